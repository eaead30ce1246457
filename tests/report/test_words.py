"""Sentences say what the numbers do."""

import json
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sim2real.report import words
from sim2real.report.heldout import Comparison
from sim2real.report.table import Table
from sim2real.stats import Difference, Estimate, difference


def comparison(gain):
    """Two policies, with a made-up difference under what is held out."""
    nominal = Difference(estimate=Estimate(value=0.0, low=-0.1, high=0.1, n_episodes=4), p_value=1.0)
    return Comparison(first="a", second="b", nominal=nominal, held_out=gain, conditions=3, declared=True)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.floats(-3, 3), min_size=1, max_size=14), st.sampled_from([1, 3]), st.floats(-3, 3))
def test_a_verdict_never_contradicts_its_interval_or_its_p_value(values, runs, shift):
    """More or less robust: 0 is outside, on that side, and p < 0.05; no difference: neither; else it is open."""
    noise = np.random.default_rng(len(values)).normal(0, 0.05, (runs, len(values)))
    gain = difference(
        np.array(values) + shift + noise, np.zeros_like(noise), np.random.default_rng(0), same_runs=True
    )
    said = words.verdict(comparison(gain))
    low, high = gain.estimate.low, gain.estimate.high
    if said == "b is more robust than a":
        assert low > 0
        assert gain.p_value < 0.05
    elif said == "b is less robust than a":
        assert high < 0
        assert gain.p_value < 0.05
    elif said.startswith("No difference"):
        assert low <= 0 <= high
        assert gain.p_value >= 0.05
    else:
        assert "is open" in said
        assert (low <= 0 <= high) == (gain.p_value < 0.05) == ("holds 0" in said)


@pytest.mark.parametrize("episodes", [4, 6])
def test_too_few_episodes_for_an_exact_test_are_named(episodes):
    """Where the interval judges alone the sentence says so, and how many episodes would not need it."""
    values = np.linspace(1.0, 1.2, episodes)[None]
    gain = difference(values, 0 * values, np.random.default_rng(0), same_runs=True)
    said = words.comparison(SimpleNamespace(challenges=()), comparison(gain), "return", rate=False)
    assert words.verdict(comparison(gain)) == "b is more robust than a"
    assert ("an exact test takes 6 episodes, not 4" in said) == (episodes == 4)


def test_actions_outside_the_space_are_told_once_for_each_policy(made):
    """The share is that of all steps, long episodes counting more; nothing is said where no action is outside."""
    study = made.walker(episodes=2)
    rows = made.rows(study)
    assert words.outside(Table(study, made.record(study, rows))) == []
    assert "outside_share" not in Table(study, made.record(study, rows)).metrics
    policy = next(iter(study.policies))
    sha256, steps, of = study.policies[policy][0].sha256, 0, 0
    for place, row in enumerate(rows):
        mine, share = row["policy_sha256"] == sha256, 0.25 * (place % 3)
        told = {"outside_share": share if mine else 0.0, "outside_by": share * mine}
        row["metrics"] = json.dumps(json.loads(row["metrics"]) | told)
        steps, of = steps + mine * share * row["length"], of + mine * row["length"]
    (said,) = words.outside(Table(study, made.record(study, rows)))
    assert said.startswith(
        f"{policy} acts outside the action space in {words.number(steps / of, True)} of its steps"
    )
    assert "by 0.5 at most" in said

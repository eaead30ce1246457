"""The same conditions in another simulator, on made-up walkers whose truth is known."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.stats import kendalltau

from sim2real import report
from sim2real.perturb.catalogue import engine
from sim2real.report.figures import figures
from sim2real.report.simulators import elsewhere
from sim2real.report.table import Table
from sim2real.stats.rank import tau_b
from sim2real.study import NOMINAL


@given(arrays(float, (2, 7), elements=st.integers(0, 4).map(float)))
@settings(max_examples=50)
def test_rank_correlation_is_kendalls(values):
    """Of one group it is what scipy says, ties included; in the opposite order it is the opposite."""
    one, other = values
    expected = kendalltau(one, other).statistic
    assert tau_b(one[None], other[None]) == pytest.approx(0.0 if np.isnan(expected) else expected)
    assert tau_b(one[None], -other[None]) == -tau_b(one[None], other[None])


@given(arrays(float, (2, 3, 5), elements=st.integers(0, 4).map(float)), st.integers(-9, 9))
@settings(max_examples=50)
def test_only_pairs_within_a_group_count(values, shift):
    """Whatever is added to one group, or is missing, changes nothing between groups."""
    one, other = values
    moved = one + np.array([[shift], [0], [2 * shift]])
    assert tau_b(one, other) == tau_b(moved, other)
    one[0, 0] = np.nan
    kept = [np.delete(side[0], 0) for side in values]
    assert tau_b(one[:1], other[:1]) == pytest.approx(tau_b(kept[0][None], kept[1][None]))


def both(made, slippery=False, **changes):
    """Return a walker's study in two simulators alike, but that in the other one all may fall below friction 0.9."""
    study = made.walker(**changes)
    labels = [label for label in study.conditions if label.startswith(("friction", "payload", "latency"))]
    conditions = {label: study.conditions[label] for label in labels if "with" not in label}
    there = {f"in mujoco: {label}": (*items, engine("mujoco")) for label, items in conditions.items()}
    conditions |= {"mujoco": (engine("mujoco"),), "restitution 0.5": study.conditions["restitution 0.5"]}
    study = made.walker(**changes, conditions=conditions | there)
    rows, here = made.rows(study), {}
    for cell, row in zip(study.cells(), rows, strict=True):
        label = cell.condition_label.removeprefix("in mujoco: ").replace("mujoco", NOMINAL)
        place = cell.policy_label, label, cell.run, cell.episode
        row["success"] = here.setdefault(place, row["success"])
        if slippery and label != cell.condition_label and label.startswith("friction 0."):
            row["success"] = int(label > "friction 0.9")
        row["digest"] += cell.condition_label
    return study, rows


def numbers(made, **changes):
    study, rows = both(made, **changes)
    store = made.record(study, rows)
    table = Table(study, store)
    return study, store, elsewhere(table, store, figures(table).competent)


def test_what_is_the_same_in_both_agrees(made):
    """Equal outcomes have no difference, and put conditions and policies in the same order."""
    study, _, (world,) = numbers(made)
    assert world.name == "engine=mujoco"
    here = [label for label in study.conditions if "mujoco" not in label and label != "restitution 0.5"]
    assert [pair.condition for pair in world.pairs if pair.policy == "plain"] == here
    assert all(pair.elsewhere in (f"in mujoco: {pair.condition}", "mujoco") for pair in world.pairs)
    assert all(pair.change.estimate.value == 0.0 and pair.adjusted_p == 1.0 for pair in world.pairs)
    assert [one.tau.value for one in (*world.conditions, world.policies)] == pytest.approx([1.0] * 3)
    assert all(first.here == first.there for first in world.breaks)


def test_what_differs_is_found_where_it_differs(made):
    """Slippery ground that is worse in the other simulator: friction differs, nothing else does, ranks agree less."""
    _, _, (world,) = numbers(made, slippery=True)
    apart = {pair.condition for pair in world.pairs if pair.adjusted_p < 0.05}
    assert apart
    assert all(label.startswith("friction") for label in apart)
    assert all(pair.change.estimate.value <= 0.0 for pair in world.pairs if pair.condition in apart)
    taus = [one.tau for one in world.conditions]
    assert all(tau.low <= tau.value < 0.99 for tau in taus)


def test_curves_have_a_line_here_and_one_there(made):
    """Each with the numbers of its own conditions, nominal included, and none is mistaken for the other."""
    study, store, (world,) = numbers(made, slippery=True)
    table = Table(study, store)
    (curve,) = (curve for curve in world.curves if "friction" in curve.family.title)
    assert [line.policy for line in curve.lines] == [
        "plain", "plain, engine=mujoco", "randomised", "randomised, engine=mujoco",
    ]  # fmt: skip
    for line in curve.lines:
        policy, there = line.policy.removesuffix(", engine=mujoco"), line.policy.endswith("mujoco")
        for x, estimate in zip(line.x, line.estimates, strict=True):
            label = NOMINAL if x == 1.0 else f"friction {x:g}"
            label = {NOMINAL: "mujoco"}.get(label, f"in mujoco: {label}") if there else label
            assert estimate == table.estimate(table.values(policy, label))


def test_runs_of_policies_may_be_unequal_in_number(made):
    """A policy with three training runs beside one with one: every number is there."""
    many = made.walker(runs=3).policies
    study, rows = both(made, policies={"plain": many["plain"], "randomised": many["randomised"][:1]})
    store = made.record(study, rows)
    table = Table(study, store)
    (world,) = elsewhere(table, store, ["plain", "randomised"])
    assert np.isfinite([one.tau.value for one in (*world.conditions, world.policies)]).all()


def test_the_page_has_a_section_for_it_and_none_without(made, tmp_path):
    """Sentences, curves and a table of pairs; a study of one simulator has nothing of it."""
    study, store, (world,) = numbers(made, slippery=True)
    text = report.write(study, store, tmp_path / "report.html", clips=False).read_text()
    assert 'id="simulator-1"' in text
    assert "The same conditions with engine=mujoco" in text
    assert all(f">{pair.condition}</th>" in text for pair in world.pairs)
    assert "Kendall" in text
    single = made.walker()
    store = made.record(single)
    assert "simulator-1" not in report.write(single, store, tmp_path / "one.html", clips=False).read_text()

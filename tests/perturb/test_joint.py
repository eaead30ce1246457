import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from sim2real.perturb import (
    Integers,
    Interval,
    LogUniform,
    Normal,
    Ramp,
    Uniform,
    add,
    delay,
    held_out_kind,
    hold,
    joint_normal,
    joint_samples,
    jointly,
    scale,
    set_to,
)
from sim2real.perturb.streams import draws
from sim2real.testing import EchoEnv, check_perturbed
from sim2real.wrappers import Perturbed

GAIN, KICK, OFFSET = "parameter:gain", "parameter:kick", "parameter:offset"
RANKS = [[1, 0.7, -0.3], [0.7, 1, 0.1], [-0.3, 0.1, 1]]
MIXED = (
    scale("parameter:a", LogUniform(0.5, 2)),
    set_to("parameter:b", Uniform(0.2, 1.2)),
    add("parameter:c", Normal(0, 0.1)),
)


def table(items, episodes=4000):
    """Return what the columns draw, episode by episode."""
    found = [draws(item) for item in items]
    rows = []
    for episode in range(episodes):
        for one in found:
            one.start(0, episode)
        rows.append([one.amount for one in found])
    return np.array(rows)


def test_ranks_correlate_as_said_and_marginals_stay():
    """Spearman's correlations are those asked for, whatever the marginals, which keep their distributions."""
    rows = table(jointly(*MIXED, rank_correlation=RANKS))
    np.testing.assert_allclose(stats.spearmanr(rows).statistic, RANKS, atol=0.05)
    assert stats.kstest(np.log2(rows[:, 0]), stats.uniform(-1, 2).cdf).pvalue > 0.01
    assert stats.kstest(rows[:, 1], stats.uniform(0.2, 1).cdf).pvalue > 0.01
    assert stats.kstest(rows[:, 2], stats.norm(0, 0.1).cdf).pvalue > 0.01


def test_a_normal_posterior_has_its_mean_and_covariance():
    """Draws have the given mean and covariance, a singular one too."""
    mean = np.array([9.0, 2.0, 0.5])
    half = np.array([[0.5, 0.0], [0.2, 0.1], [0.02, -0.05]])
    covariance = half @ half.T
    names = ["parameter:a", "parameter:b", "parameter:c"]
    rows = table(joint_normal(dict(zip(names, mean, strict=True)), covariance))
    np.testing.assert_allclose(rows.mean(0), mean, atol=0.03)
    np.testing.assert_allclose(np.cov(rows.T), covariance, atol=0.02)
    assert np.linalg.matrix_rank(rows - mean, tol=1e-6) == 2


def test_a_column_without_variance_stands_still():
    """A parameter that is known exactly is at its mean."""
    rows = table(joint_normal({"parameter:a": 3.0, "parameter:b": 1.0}, [[0, 0], [0, 4]]), 50)
    assert set(rows[:, 0]) == {3.0}
    assert len(set(rows[:, 1])) == 50


def test_rows_of_a_table_stay_together():
    """Only rows of the table come, all equally often."""
    known = np.random.default_rng(0).normal(size=(8, 3))
    items = joint_samples({f"parameter:{name}": known[:, i].tolist() for i, name in enumerate("abc")})
    rows = table(items)
    which = [int(np.flatnonzero((known == row).all(1))[0]) for row in rows]
    assert stats.chisquare(np.bincount(which)).pvalue > 0.01


@given(st.integers(0, 1000), st.floats(0.1, 2))
@settings(max_examples=20, deadline=None)
def test_strength_weakens_a_row_as_a_whole(seed, strength):
    """What is drawn departs from the identity in proportion to strength, in every column."""
    items = jointly(
        add("parameter:a", Uniform(-1, 1)), add("parameter:b", Normal(0, 1)), correlation=[[1, 0.9], [0.9, 1]]
    )
    full, weak = (table(some, 10) for some in (items, [item.at(strength) for item in items]))
    np.testing.assert_allclose(weak, strength * full, rtol=1e-12)


def test_sizes_share_their_noise():
    """Other marginals turn the same noise into draws: the group names the stream, not the numbers."""
    narrow, wide = (
        table(
            jointly(
                *(add(f"parameter:{name}", Normal(0, std)) for name in "ab"), correlation=[[1, 0.5], [0.5, 1]]
            )
        )
        for std in (0.1, 0.3)
    )
    np.testing.assert_allclose(wide, 3 * narrow)


def test_a_second_group_draws_apart():
    """The same group twice in a condition has two streams, each of them shared by its columns."""
    items = joint_samples({GAIN: [0.1, 0.2, 0.3, 0.4], "parameter:kick": [1, 2, 3, 4]}, operation="add")
    env = Perturbed(EchoEnv(), [*items, *items])
    sums = set()
    for seed in range(40):
        told = env.reset(seed=seed)[1]["parameters"]
        sums.add(round(told["gain"] - 1, 6))
        assert told["kick"] == pytest.approx(10 * (told["gain"] - 1))
    assert sums > {0.3, 0.5, 0.7}  # of unlike rows


def test_the_moments_are_shared():
    """Kicks drawn together come at the same moments, without a matrix independent in size."""
    pair = jointly(
        add(KICK, Uniform(-1, 1), every=Interval(0.2, 0.9)),
        add(GAIN, Uniform(-0.5, 0.5), every=Interval(0.2, 0.9)),
    )
    first, second = (draws(item, 0, (), 0.1) for item in pair)
    first.start(1, 0), second.start(1, 0)
    moments, sizes = [], []
    for _ in range(5000):
        first.tick(), second.tick()
        assert first.changed == second.changed
        if first.changed:
            sizes.append((first.amount, second.amount))
            moments.append(True)
    assert len(moments) > 500
    assert abs(np.corrcoef(np.array(sizes).T)[0, 1]) < 0.15


def test_signals_and_parameters_are_drawn_together():
    """A lag and a gain can depend on each other; a part of several components takes one draw."""
    items = jointly(
        delay("action", Integers(0, 4)),
        set_to(GAIN, Uniform(1, 2)),
        add("observation:action", Normal(0, 1), every="episode"),
        correlation=np.ones((3, 3)),
    )
    env = Perturbed(EchoEnv(), items)
    rows = []
    for seed in range(50):
        observation, info = env.reset(seed=seed)
        assert len(set(observation[3:].tolist())) == 1
        rows.append([info["parameters"]["delay action jointly"], info["parameters"]["gain"]])
    assert stats.spearmanr(rows).statistic > 0.95


@pytest.mark.parametrize("every", ["episode", "step", Interval(0.2, 0.5)])
def test_the_laws_hold(every):
    """Zero strength, streams, order, compounding and restoration, for columns on everything."""
    check_perturbed(
        EchoEnv,
        jointly(
            scale(GAIN, Uniform(0.5, 1.5), every=every),
            add("observation", Normal(0, 0.1), every=every),
            add("action:a", Uniform(0, 1), every=every),
            rank_correlation=RANKS,
        ),
    )
    check_perturbed(EchoEnv, joint_samples({GAIN: [1, 2, 3], OFFSET: [0, 1, 2]}))


@pytest.mark.parametrize(
    ("tested", "expected"),
    [
        ((set_to(GAIN, 0.9),), "extrapolation"),  # the offset then stands at nominal, which was not seen
        ((set_to(GAIN, 0.9), set_to(OFFSET, 2.5)), "in-distribution"),
        ((set_to(GAIN, 1.5), set_to(OFFSET, 2.5)), "extrapolation"),
    ],
)
def test_few_samples_stand_for_all_between_them(tested, expected):
    """A table of a few rows was seen about where each of its columns was."""
    seen = [joint_samples({GAIN: [0.5, 1.0, 0.8], OFFSET: [2.0, 3.0, 2.2]})]
    assert held_out_kind(tested, seen, {"gain": 1.0, "offset": 0.0}) == expected
    assert held_out_kind(seen[0], seen, {"gain": 1.0, "offset": 0.0}) == "in-distribution"


def test_losses_come_apart():
    """Two links can be bad together, but each of them loses packets of its own."""
    pair = jointly(
        hold("observation", Uniform(0.2, 0.8)), hold("action", Uniform(0.2, 0.8)), correlation=np.ones((2, 2))
    )
    first, second = (draws(item, 0, (), 0.1) for item in pair)
    first.start(0, 0), second.start(0, 0)
    assert first.source.amount == pytest.approx(second.source.amount, abs=1e-9)
    lost = np.array([[one.tick() or one.amount for one in (first, second)] for _ in range(2000)])
    assert abs(np.corrcoef(lost.T)[0, 1]) < 0.1


def test_schedules_and_strengths_apply_to_a_row():
    """A posterior can be ramped up, and weakened, as a whole: the same row at every share of it."""
    items = joint_samples({GAIN: [2, 3, 4], KICK: [1, 2, 3]}, operation="add", every=Ramp(0.4))
    first, second = (draws(item.at(0.5), 0, (), 0.1) for item in items)
    for seed in range(5):
        first.start(seed, 0), second.start(seed, 0)
        for share in (0.0, 0.25, 0.5, 0.75, 1.0, 1.0):
            first.tick(), second.tick()
            assert (first.amount or 0.0) - (second.amount or 0.0) == pytest.approx(0.5 * share)

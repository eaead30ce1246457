import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from sim2real.perturb import (
    Choice,
    Correlated,
    Drift,
    Integers,
    Interval,
    LogUniform,
    Normal,
    Samples,
    Uniform,
    add,
    clip,
    hold,
    scale,
    set_to,
    streams,
)
from sim2real.perturb.streams import draws

seeds = st.integers(0, 2**63)
noises = st.sampled_from(
    [Uniform(-1, 2), Normal(0.5, 2), LogUniform(0.5, 2), Choice([1, 4, 9]), Drift(1, 0.5)]
)


def drawn(item, steps, seed=0, occurrence=0, shape=(), episode=0, period_s=0.1):
    """Return what a perturbation draws at the first ticks of an episode."""
    found = draws(item, occurrence, shape, period_s)
    found.start(seed, episode)
    amounts = []
    for _ in range(steps):
        found.tick()
        amounts.append(found.amount)
    return amounts


@given(seeds, noises)
@settings(max_examples=20)
def test_the_same_seed_draws_the_same(seed, amount):
    """A fresh start on one seed repeats every draw; other seeds, episodes, targets and occurrences do not."""
    item = add("observation", amount)
    first = drawn(item, 100, seed)
    assert drawn(item, 100, seed) == first
    assert drawn(item, 100, seed + 1) != first
    assert drawn(item, 100, seed, episode=1) != first
    assert drawn(item, 100, seed, occurrence=1) != first
    assert drawn(add("action", amount), 100, seed) != first


@given(seeds, noises, st.floats(0.01, 3))
@settings(max_examples=30)
def test_drawn_amounts_scale_exactly_with_strength(seed, amount, strength):
    """What is drawn departs from the identity in proportion to strength: the noise stays the same."""
    for make, identity in ((add, 0.0), (scale, 1.0)):
        item = make("observation", amount)
        full, weak = (np.array(drawn(one, 20, seed)) for one in (item, item.at(strength)))
        np.testing.assert_allclose(weak - identity, strength * (full - identity), rtol=1e-9, atol=1e-12)


def test_sizes_share_their_noise():
    """Other parameters, and even another distribution, of one perturbation turn the same noise into draws."""
    narrow, wide = (drawn(add("action", Normal(0, std)), 50) for std in (0.1, 0.3))
    np.testing.assert_allclose(wide, 3 * np.array(narrow))
    even = drawn(add("action", Uniform(0, 1)), 50)
    np.testing.assert_allclose(stats.norm.cdf(narrow, 0, 0.1), even)


COLUMNS = [Correlated(Normal(0, 1), (0.6, 0.8), "a & b"), Samples(tuple(range(50)), "a & b")]


@pytest.mark.parametrize("amount", [Normal(0, 1), Drift(1, 2), *COLUMNS], ids=str)
@pytest.mark.parametrize("shape", [(), (3,)])
def test_the_block_size_does_not_show(amount, shape, monkeypatch):
    """Drawing more or fewer steps at once gives the same values."""
    item = add("observation", amount)
    usual = drawn(item, 150, shape=shape)
    monkeypatch.setattr(streams, "BLOCK", 7)
    np.testing.assert_array_equal(drawn(item, 150, shape=shape), usual)


def test_components_are_independent():
    """Every component of a signal gets noise of its own."""
    noise = np.array(drawn(add("observation", Normal(0, 1)), 4000, shape=(3,)))
    np.testing.assert_allclose(np.corrcoef(noise.T), np.eye(3), atol=0.05)


def test_an_amount_kept_for_the_episode_is_one_draw():
    """every="episode" draws at the start and keeps it; 4000 episodes follow the law."""
    item = set_to("parameter:ground.friction", Uniform(0, 1))
    amounts = [drawn(item, 3, episode=episode) for episode in range(4000)]
    assert all(len(set(kept)) == 1 for kept in amounts)
    assert stats.kstest([kept[0] for kept in amounts], "uniform").pvalue > 0.01


def test_intervals_wait_between_low_and_high():
    """The waits between draws, the first one included, are uniform in [low_s, high_s], to a control period."""
    item = add("parameter:base.velocity_x", Uniform(-1, 1), every=Interval(2, 5))
    amounts = drawn(item, 200_000, period_s=0.01)
    ticks = [i for i, (one, other) in enumerate(zip([None, *amounts], amounts, strict=False)) if one != other]
    waits_s = np.diff([0, *ticks]) * 0.01
    assert amounts[0] is None
    assert waits_s.min() >= 2 - 0.011
    assert waits_s.max() <= 5 + 0.011
    assert stats.kstest(waits_s, stats.uniform(2, 3).cdf).pvalue > 0.01


@given(seeds, st.integers(1, 15))
@settings(max_examples=20)
def test_what_lasts_ends(seed, lasting):
    """With lasting_s every effect ends that long after it began, and begins again with a new draw."""
    item = add("observation", Uniform(1, 2), every=Interval(2, 3, lasting_s=lasting / 10))
    on = [amount is not None for amount in drawn(item, 400, seed)]
    edges = np.diff(np.array([False, *on, False]).astype(int))
    begins, ends = np.flatnonzero(edges == 1), np.flatnonzero(edges == -1)
    assert len(begins) > 10
    # Both the beginning and the end are rounded up to a tick.
    assert set(ends[:-1] - begins[:-1]) <= {lasting - 1, lasting, lasting + 1}
    assert begins[0] >= 20


@given(seeds, st.floats(0, 1), st.floats(0, 1))
@settings(max_examples=30)
def test_losses_are_nested(seed, one, other):
    """Whatever is lost at a probability is lost at any higher one."""
    few, many = (drawn(hold("observation", p), 200, seed) for p in sorted((one, other)))
    assert all(more for less, more in zip(few, many, strict=True) if less)


def test_losses_are_as_frequent_as_said():
    """A probability, drawn or not, is the share of steps held."""
    assert np.mean(drawn(hold("observation", 0.2), 20_000)) == pytest.approx(0.2, abs=0.01)
    shares = [np.mean(drawn(hold("observation", Uniform(0, 1)), 200, seed)) for seed in range(300)]
    assert stats.kstest(shares, "uniform").pvalue > 0.01


def test_a_wider_clip_is_weaker():
    """clip's identity is no limit at all, so strength divides the limit."""
    assert drawn(clip("action", 2).at(0.5), 1) == [4.0]


def test_other_processes_draw_the_same():
    """A fresh interpreter with other hash seeds draws the same bits."""
    code = (
        "from sim2real.perturb import Normal, add\n"
        "from sim2real.perturb.streams import draws\n"
        "d = draws(add('observation', Normal(0, 1)))\n"
        "d.start(3, 1); d.tick(); print(d.amount.hex())"
    )
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert shown.stdout.strip() == drawn(add("observation", Normal(0, 1)), 1, 3, episode=1)[0].hex()


def test_the_streams_are_pinned():
    """Records of earlier versions stay reproducible: these are the numbers they were made with."""
    assert drawn(add("observation", Integers(0, 999)), 4) == [385, 250, 910, 162]

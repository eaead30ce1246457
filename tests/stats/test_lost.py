import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sim2real.stats import (
    LOST_SHARE,
    Difference,
    difference,
    difference_whatever_lost,
    many,
    mean_estimate,
    rate_estimate,
    whatever_lost,
)


@st.composite
def studies(draw, most_runs=3):
    """Return outcomes (runs, episodes), and which of them are lost."""
    runs, episodes = draw(st.integers(1, most_runs)), draw(st.integers(2, 12))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    outcomes = (rng.uniform(size=(runs, episodes)) < draw(st.floats(0, 1))).astype(float)
    return outcomes, rng.uniform(size=outcomes.shape) < draw(st.floats(0, 1))


def rng():
    return np.random.default_rng(0)


def of(estimated, outcomes, lost, ends=(0.0, 1.0)):
    """Return the estimate of what is not lost, whatever the rest would have been."""
    known, *both = (estimated(np.where(lost, end, outcomes)) for end in (np.nan, *ends))
    count = int(lost.sum())
    return whatever_lost(known, count, lost.size, tuple(both), pointless=many(count, lost.size))


@given(studies())
def test_a_rate_lies_within_its_bounds_whatever_the_lost_outcomes_were(study):
    """The rate of every completion lies between least and most; with one run its interval lies in the whole one."""
    outcomes, lost = study
    found, true = of(rate_estimate, outcomes, lost), rate_estimate(outcomes)
    if lost.any():
        assert found.lost.least - 1e-12 <= true.value <= found.lost.most + 1e-12
        assert found.low <= found.lost.least
        assert found.lost.most <= found.high
        if len(outcomes) == 1:
            assert found.low <= true.low + 1e-12
            assert true.high <= found.high + 1e-12


@given(studies())
def test_a_bounded_mean_lies_within_its_bounds(study):
    """The same holds for a mean of anything that lies between two values, such as seconds up to a time limit."""
    outcomes, lost = study
    found = of(lambda table: mean_estimate(table, rng()), 10 * outcomes, lost, (0.0, 10.0))
    if lost.any():
        assert found.lost.least - 1e-9 <= 10 * outcomes.mean() <= found.lost.most + 1e-9
        assert found.low <= found.lost.least + 1e-9
        assert found.lost.most <= found.high + 1e-9


@given(studies())
def test_with_nothing_lost_nothing_changes(study):
    """The estimate, or the difference, is the same to the last bit."""
    outcomes, _ = study
    known = rate_estimate(outcomes)
    assert whatever_lost(known, 0, outcomes.size, (known, known), pointless=False) is known
    gain = difference(outcomes, outcomes[:, ::-1], rng(), same_runs=True, rate=True)
    assert difference_whatever_lost(gain, (0, 0), 9, (gain, gain), pointless=False) is gain


@given(studies())
def test_many_lost_leave_no_point(study):
    """There is a value up to `LOST_SHARE` and none beyond; what the value can be is told all the same."""
    outcomes, lost = study
    found = of(rate_estimate, outcomes, lost)
    assert math.isnan(found.value) == (lost.sum() > LOST_SHARE * lost.size)
    assert 0 <= found.at_least <= found.at_most <= 1
    if not lost.any():
        assert found.at_least == found.at_most == found.value


@given(studies())
def test_what_has_no_bounds_has_none(study):
    """Without a lowest and a highest value few lost ones are told, and many leave neither number nor interval."""
    outcomes, lost = study
    known = mean_estimate(np.where(lost, np.nan, outcomes), rng())
    count = int(lost.sum())
    found = whatever_lost(known, count, lost.size, None, pointless=many(count, lost.size))
    if many(count, lost.size):
        assert all(map(math.isnan, (found.value, found.low, found.high)))
        assert (found.at_least, found.at_most) == (-math.inf, math.inf)
    else:
        assert (found.value, found.low, found.high) == (known.value, known.low, known.high)
    assert (found.lost.count if found.lost else 0) == count


@given(studies(), st.integers(0, 2**32))
def test_a_difference_holds_whatever_either_side_lost(study, seed):
    """That of every completion lies between least and most; where 0 may be the difference, none is shown."""
    outcomes, lost = study
    others = np.random.default_rng(seed).permuted(outcomes, axis=1)
    its = np.random.default_rng(seed).permuted(lost, axis=1)

    def found(mine, theirs) -> Difference:
        a, b = np.where(lost, mine, outcomes), np.where(its, theirs, others)
        return difference(a, b, rng(), same_runs=True, rate=True)

    counts = (int(lost.sum()), int(its.sum()))
    told = difference_whatever_lost(
        found(np.nan, np.nan),
        counts,
        2 * lost.size,
        (found(0.0, 1.0), found(1.0, 0.0)),
        pointless=many(sum(counts), 2 * lost.size),
    )
    if not lost.any():
        return
    bounds = told.estimate.lost
    assert bounds.least - 1e-12 <= (outcomes - others).mean() <= bounds.most + 1e-12
    assert told.lost == counts
    if bounds.least <= 0 <= bounds.most:
        assert told.p_value == 1
        assert not told.shown()


def test_a_share_is_said_in_words():
    """An estimate says how many of how many are lost, and between what it lies if it has no value."""
    lost = np.arange(20) < 6
    assert str(of(rate_estimate, np.ones((1, 20)), lost[None])).startswith("0.7 to 1 [")
    assert str(of(rate_estimate, np.ones((1, 20)), lost[None])).endswith("6 of 20 lost")
    assert "lost" not in str(rate_estimate(np.ones((1, 20))))
    assert many(6, 20)
    assert not many(1, 20)
    assert pytest.approx(0.05) == LOST_SHARE

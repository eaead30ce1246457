import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sim2real.stats import Psychometric, look, looks, mean_estimate, rate_estimate, spent
from sim2real.stats.stopping import GROWTH

LADDER = tuple(np.linspace(0, 1, 21).tolist())
counts = st.lists(st.integers(0, 30), min_size=21, max_size=21)


def search(rng, ladder, rate, half_width, most=300, at_once=4):
    """Play a search against known rates of success; return its estimate."""
    won, lost = np.zeros((2, len(ladder.severities)))
    while True:
        for place in ladder.propose(won, lost, at_once):
            success = rng.random() < rate(ladder.severities[place])
            (won if success else lost)[place] += 1
        found = ladder.estimate(won, lost)
        if found.high - found.low <= 2 * half_width or found.n_episodes >= most:
            return found


@settings(max_examples=20, deadline=None)
@given(counts, counts, st.sampled_from([0.5, 0.9]))
def test_more_success_means_no_smaller_threshold(won, lost, level):
    """Interval and median are in order, and turning every failure into a success moves them outward."""
    ladder = Psychometric(severities=LADDER, level=level)
    found, better = ladder.estimate(won, lost), ladder.estimate(np.add(won, lost), np.zeros(21))
    assert found.low <= found.value <= found.high
    assert found.value <= better.value + 1e-9
    assert found.n_episodes == sum(won) + sum(lost)


def test_units_do_not_matter():
    """Severities in other units give the threshold in those units, and the same places to play."""
    won, lost = np.r_[np.full(11, 5), np.zeros(10)], np.r_[np.zeros(11), np.full(10, 5)]
    one, thousand = (
        Psychometric(severities=tuple(scale * np.array(LADDER)), level=0.9) for scale in (1.0, 1000.0)
    )
    assert one.propose(won, lost, 6) == thousand.propose(won, lost, 6)
    found, same = one.estimate(won, lost), thousand.estimate(won, lost)
    assert (same.low, same.value, same.high) == pytest.approx(
        (1e3 * found.low, 1e3 * found.value, 1e3 * found.high)
    )


def test_episodes_go_where_the_threshold_may_be():
    """After much success up to 0.5 and failure beyond, what is proposed lies about there."""
    won, lost = np.r_[np.full(11, 20), np.zeros(10)], np.r_[np.zeros(11), np.full(10, 20)]
    ladder = Psychometric(severities=LADDER, level=0.9)
    assert all(0.4 <= LADDER[place] <= 0.6 for place in ladder.propose(won, lost, 4))


def test_a_policy_that_stands_everything_has_no_threshold():
    """Success everywhere leaves the threshold beyond the largest severity, failure everywhere at the smallest."""
    ladder, all_of_it = Psychometric(severities=LADDER, level=0.9), np.full(21, 50)
    assert math.isinf(ladder.estimate(all_of_it, np.zeros(21)).value)
    assert ladder.estimate(np.zeros(21), all_of_it).high < 0.05


def test_a_search_ends_near_the_truth():
    """Searches find the threshold of a logistic curve, which is not of the family, as narrow as was asked for."""
    rng, ladder = np.random.default_rng(0), Psychometric(severities=LADDER, level=0.9)
    truth = 0.5 - 0.05 * math.log(9)
    found = [search(rng, ladder, lambda x: 1 / (1 + math.exp((x - 0.5) / 0.05)), 0.06) for _ in range(25)]
    assert all(one.high - one.low <= 0.12 for one in found)
    assert sum(one.low <= truth <= one.high for one in found) >= 20
    assert np.mean([one.value for one in found]) == pytest.approx(truth, abs=0.02)


def test_what_makes_no_sense_is_refused():
    """A level is a rate, severities rise."""
    for wrong in (
        {"severities": LADDER, "level": 1.0},
        {"severities": (0.5, 0.4), "level": 0.9},
        {"severities": (), "level": 0.9},
    ):
        with pytest.raises(ValueError, match=r"level|Severities"):
            Psychometric(**wrong)


@settings(max_examples=50, deadline=None)
@given(st.integers(1, 50), st.integers(1, 2000))
def test_looks_grow_by_a_share_up_to_the_most(least, most):
    """Looks rise from the first to the most, at least by one and at most by the growth that is said."""
    found = looks(least, most)
    assert found[0] == min(least, most)
    assert found[-1] == most
    assert all(a < b < GROWTH * a + 1 for a, b in zip(found[:-1], found[1:], strict=True))
    assert 0.95 < spent(0.95, rate=True) < spent(0.95) < 1


def test_alike_episodes_are_no_certainty_where_others_failed():
    """A cell is left early if nothing in the study was worse, and not before a failure would hardly move its mean."""
    values = 790 + np.random.default_rng(0).normal(0, 10, 640)
    stops = {
        worst: next(
            n
            for n in looks(10, 640)
            if look(values[None, :n], 40.0, np.random.default_rng(0), met=(worst, 820.0))[1]
        )
        for worst in (770.0, 400.0, 0.0)
    }
    assert stops[770.0] == 10 < stops[400.0] < stops[0.0] < 640
    once = np.append(values[:29], 0.0)[None]
    _, enough = look(once, 40.0, np.random.default_rng(0), met=(0.0, 820.0))
    assert not enough


def test_doubt_only_widens():
    """The interval of a look holds the plain one, and is that of a rate whatever else was met."""
    for values in (np.ones((1, 40)), np.r_[np.ones(30), np.zeros(4)][None], np.ones((3, 40))):
        found, enough = look(values, 0.08, np.random.default_rng(0), met=(0.3, 0.5), rate=True)
        higher = rate_estimate(values, spent(0.95, rate=True))
        assert (found.low, found.high, found.level) == (higher.low, higher.high, 0.95)
        assert enough == (found.high - found.low <= 0.16)
        plain = mean_estimate(values, np.random.default_rng(0))
        found, _ = look(values, 0.08, np.random.default_rng(0), met=(0.3, 0.5))
        assert found.low < plain.low <= plain.value <= plain.high <= found.high
        assert found.level == plain.level
    empty, enough = look(np.full((1, 3), np.nan), 1.0, np.random.default_rng(0), met=(0.0, 1.0))
    assert empty.n_episodes == 0
    assert not enough

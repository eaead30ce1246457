import math

import numpy as np
import pytest
from enumeration import Tables
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from sim2real.stats import (
    Variation,
    detectable_effect,
    difference,
    episodes_needed,
    power,
    runs_needed,
    variation,
)
from sim2real.stats.spread import spread

laws = settings(max_examples=30, deadline=None)
VARIATIONS = st.builds(
    lambda runs, episodes, rest: Variation(runs=runs, episodes=episodes, rest=rest),
    st.floats(0, 2), st.floats(0, 2), st.floats(0.1, 2),
)  # fmt: skip


def differences(rng, of, runs, episodes, effect=0.0):
    """Return a table of differences that varies as is said."""
    return (
        effect
        + of.runs * rng.normal(size=(runs, 1))
        + of.episodes * rng.normal(size=(1, episodes))
        + of.rest * rng.normal(size=(runs, episodes))
    )


@laws
@given(VARIATIONS, st.integers(1, 6), st.integers(5, 60), st.booleans())
def test_power_rises_from_chance_to_certainty(of, runs, episodes, same_runs):
    """Power grows with the effect, and at the detectable one it is what was asked for."""
    found = detectable_effect(of, runs=runs, episodes=episodes, same_runs=same_runs)
    shape = {"runs": runs, "episodes": episodes, "same_runs": same_runs}
    assert power(found, of, **shape) == pytest.approx(0.8, abs=1e-3)
    assert power(found / 2, of, **shape) < 0.8 < power(2 * found, of, **shape)
    assert power(0.0, of, **shape) <= 0.026


@laws
@given(VARIATIONS, st.integers(1, 6), st.floats(0.2, 2))
def test_needed_episodes_are_the_fewest(of, runs, effect):
    """With the episodes needed the effect is found, with one less it is not; None means that none are enough."""
    needed = episodes_needed(effect, of, runs=runs)
    if needed is None:
        assert power(effect, of, runs=runs, episodes=2**20) < 0.8
    else:
        assert power(effect, of, runs=runs, episodes=needed) >= 0.8
        assert needed == 2 or power(effect, of, runs=runs, episodes=needed - 1) < 0.8
    more = runs_needed(effect, of, episodes=20)
    assert more is None or power(effect, of, runs=more, episodes=20) >= 0.8


def test_one_run_is_the_textbooks_paired_t_test():
    """With one run, power is that of the paired t test by the noncentral t distribution."""
    of, n, effect = Variation(rest=2.0), 25, 1.0
    expected = stats.nct.sf(stats.t.ppf(0.975, n - 1), n - 1, effect / 2.0 * math.sqrt(n))
    assert power(effect, of, runs=1, episodes=n) == pytest.approx(expected)


@pytest.mark.parametrize("episodes", [5, 10, 20, 40])
@pytest.mark.parametrize("std", [0.2, 0.5])
def test_four_of_five_studies_find_the_detectable_difference_of_rates(episodes, std):
    """Counted over all that one run's outcomes can be, `difference` shows the detectable effect in 80 % and no more."""
    effect = detectable_effect(Variation(rest=std), runs=1, episodes=episodes, rate=True)
    differing = max(effect, min(1.0, std**2 + effect**2))
    chances = np.array([(differing - effect) / 2, 1 - differing, (differing + effect) / 2])
    tables = Tables.of([[-1], [0], [1]], episodes)
    rng = np.random.default_rng(0)
    all_found = [
        difference(table, 0 * table, rng, same_runs=True, rate=True)
        for table in (np.repeat(tables.kinds, count, axis=0).T for count in tables.counts)
    ]
    shown = [one.shown() and one.estimate.value > 0 for one in all_found]
    assert tables.likely(chances)[shown].sum() == pytest.approx(0.8, abs=1e-3)


def test_needed_episodes_find_a_difference_of_rates():
    """With the episodes needed an exact test finds the effect, with one less it does not; no one finds more than 1."""
    of = Variation(rest=0.4)
    needed = episodes_needed(0.2, of, runs=1, rate=True)
    assert power(0.2, of, runs=1, episodes=needed, rate=True) >= 0.8
    assert power(0.2, of, runs=1, episodes=needed - 1, rate=True) < 0.8
    assert needed > episodes_needed(0.2, of, runs=1)
    assert detectable_effect(of, runs=1, episodes=3, rate=True) == math.inf


def test_what_varies_is_found_again():
    """The parts of a table's variance come back from its mean squares, on average over tables."""
    rng = np.random.default_rng(0)
    of = Variation(runs=0.8, episodes=0.5, rest=1.0)
    found = [variation(differences(rng, of, 5, 40)) for _ in range(400)]
    for name in ("runs", "episodes", "rest"):
        squares = [getattr(one, name) ** 2 for one in found]
        assert np.mean(squares) == pytest.approx(getattr(of, name) ** 2, rel=0.12)


def found(first, second=None):
    """Tell whether the interval of `difference` leaves 0 out: it is that of these tables' spread."""
    value = first.mean() - (0.0 if second is None else second.mean())
    return abs(value) > spread(first, second).half_width(0.95)


@pytest.mark.parametrize(
    ("runs", "of"),
    [
        (1, Variation(rest=1.0)),
        (3, Variation(rest=1.0)),
        (3, Variation(runs=0.3, episodes=0.5, rest=0.5)),
        (5, Variation(runs=0.5, rest=0.5)),
    ],
)
def test_four_of_five_studies_find_the_detectable_effect(runs, of):
    """Of simulated studies, the interval leaves 0 out in about 80 %, or more where runs turn out not to differ."""
    rng = np.random.default_rng(runs)
    effect = detectable_effect(of, runs=runs, episodes=20)
    share = np.mean([found(differences(rng, of, runs, 20, effect)) for _ in range(2000)])
    assert 0.76 < share < (0.92 if of.runs == 0 else 0.84)


def test_runs_of_their_own_are_planned_for():
    """Two policies with their own three runs: as planned, about 80 % of studies find the detectable effect."""
    rng = np.random.default_rng(9)
    one, both = Variation(runs=0.5, rest=0.4), Variation(runs=0.5 * math.sqrt(2), rest=0.4 * math.sqrt(2))
    effect = detectable_effect(both, runs=3, episodes=20, same_runs=False)
    share = np.mean(
        [found(differences(rng, one, 3, 20, effect), differences(rng, one, 3, 20)) for _ in range(2000)]
    )
    assert share == pytest.approx(0.8, abs=0.05)


def test_numbers_that_make_no_sense_are_refused():
    """Nothing varies by nothing, or by less; one episode tells nothing, and finds nothing."""
    for wrong in ({}, {"rest": -1.0}):
        with pytest.raises(ValueError, match="Standard deviations"):
            Variation(**wrong)
    with pytest.raises(ValueError, match="Two episodes"):
        variation([[1.0]])
    assert detectable_effect(Variation(rest=1.0), runs=3, episodes=1) == math.inf

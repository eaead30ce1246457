import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import stats

from sim2real.stats import (
    Estimate,
    bootstrap_estimate,
    cvar,
    difference,
    episodes_to_test,
    iqm,
    mean_estimate,
    rate_estimate,
    retention,
)
from sim2real.stats.estimate import gain_interval

SHAPES = hnp.array_shapes(min_dims=2, max_dims=2, max_side=12)
NUMBERS = st.floats(-1e3, 1e3) | st.just(np.nan)
TABLES = hnp.arrays(float, SHAPES, elements=NUMBERS)
RATES = hnp.arrays(float, SHAPES, elements=st.sampled_from([0.0, 1.0, np.nan]))
laws = settings(max_examples=50, deadline=None)


def rng():
    return np.random.default_rng(0)


def holds(estimate):
    return estimate.n_episodes == 0 or estimate.low <= estimate.value <= estimate.high


@laws
@given(TABLES)
def test_interval_contains_the_value(values):
    """Whatever is missing, the value lies in its interval, and what was counted is what is finite."""
    flat = bootstrap_estimate(values, lambda x: iqm(x.reshape(len(x), -1)), rng())
    for estimate in (mean_estimate(values, rng()), flat):
        assert holds(estimate)
        assert estimate.n_episodes == np.isfinite(values).sum()
        assert estimate.n_runs == np.isfinite(values).any(1).sum()


@laws
@given(RATES)
def test_rate_interval_lies_between_zero_and_one(values):
    """A rate's interval holds the rate, stays in [0, 1] and never has zero width."""
    estimate = rate_estimate(values)
    if estimate.n_episodes:
        assert 0 <= estimate.low <= estimate.value <= estimate.high <= 1
        assert estimate.low < estimate.high


@laws
@given(hnp.arrays(float, (1, 20), elements=st.sampled_from([0.0, 1.0])), st.sampled_from([0.8, 0.95, 0.99]))
def test_one_run_is_clopper_pearson(values, level):
    """With one run a rate's interval is Clopper and Pearson's, as scipy computes it."""
    interval = stats.binomtest(int(values.sum()), values.size).proportion_ci(level, "exact")
    estimate = rate_estimate(values, level)
    assert (estimate.low, estimate.high) == pytest.approx((interval.low, interval.high), abs=1e-9)


@laws
@given(hnp.arrays(float, (3, 8), elements=st.floats(-10, 10)), st.randoms(use_true_random=False))
def test_order_of_runs_and_episodes_is_irrelevant(values, random):
    """Shuffling runs and shuffling episodes (alike in all runs) changes neither value nor interval."""
    rows, columns = random.sample(range(3), 3), random.sample(range(8), 8)
    shuffled = values[rows][:, columns]
    for estimate in (lambda x: mean_estimate(x, rng()), lambda x: rate_estimate((x > 0) * 1.0)):
        a, b = estimate(values), estimate(shuffled)
        assert (a.value, a.low, a.high) == pytest.approx((b.value, b.low, b.high), abs=1e-9)


def test_a_difference_holds_where_seeds_mean_nothing():
    """Between independent episodes its interval holds the truth as often as it says, and its test errs as rarely."""
    random, studies = np.random.default_rng(5), 400
    for rate in (True, False):
        held, called = 0, 0
        for _ in range(studies):
            a, b = (
                random.uniform(size=(2, 1, 20)) if not rate else (random.uniform(size=(2, 1, 20)) < 0.7) * 1.0
            )
            one = difference(a, b, random, same_runs=True, rate=rate)
            held += one.estimate.low <= 0.0 <= one.estimate.high
            called += one.significant()
        assert held >= 0.93 * studies
        assert called <= 0.07 * studies


def test_common_episodes_narrow_a_difference():
    """Pairing pays: with common episode noise the paired interval is a fraction of the unpaired one."""
    random = np.random.default_rng(1)
    episodes = random.normal(size=(1, 30))
    a, b = (episodes + 0.1 * random.normal(size=(1, 30)) for _ in range(2))
    paired = difference(a, b, rng(), same_runs=True).estimate
    unpaired = difference(a, random.permuted(b, axis=1), rng(), same_runs=True).estimate
    assert paired.high - paired.low < 0.3 * (unpaired.high - unpaired.low)
    assert paired.value == pytest.approx(unpaired.value)


def test_more_runs_narrow_the_interval():
    """Ten runs of 20 episodes say more about a method than two."""
    values = np.random.default_rng(2).normal(size=(10, 20))
    widths = [
        estimate.high - estimate.low for estimate in (mean_estimate(values[:n], rng()) for n in (2, 4, 10))
    ]
    assert widths[0] > widths[1] > widths[2]


def test_perfect_runs_do_not_claim_certainty():
    """Runs that succeed in every episode leave room for the episodes that were never played."""
    assert 0.7 < rate_estimate(np.ones((3, 20))).low < 0.95
    assert (
        difference(np.zeros((1, 20)), np.ones((1, 20)), rng(), same_runs=True, rate=True).estimate.high > -1
    )
    assert retention(np.ones((2, 3, 20)), np.ones((2, 20)), rate=True).low < 1


def test_one_episode_says_nothing_about_others():
    """A mean of one episode has an unbounded interval."""
    estimate = mean_estimate([[3.0]], rng())
    assert (estimate.value, estimate.low, estimate.high) == (3.0, -np.inf, np.inf)


@pytest.mark.parametrize("values", [np.full((2, 3), np.nan), np.empty((0, 0)), np.full((1, 1), np.inf)])
def test_no_data_is_not_a_number(values):
    """Where nothing was measured nothing is claimed."""
    for estimate in (mean_estimate(values, rng()), rate_estimate(values)):
        assert np.isnan([estimate.value, estimate.low, estimate.high]).all()
        assert (estimate.n_runs, estimate.n_episodes) == (0, 0)


def test_difference_of_rates_is_mcnemar():
    """With one run the p value of a difference between rates is that of McNemar's exact test."""
    a = np.array([[1.0] * 10])
    b = np.array([[1.0, 1, 0, 1, 1, 0, 0, 1, 0, 0]])
    p_value = difference(a, b, rng(), same_runs=True, rate=True).p_value
    assert p_value == pytest.approx(stats.binomtest(5, 5).pvalue)


def test_no_difference_is_not_significant():
    """A policy differs from itself by nothing, with p = 1."""
    values = np.random.default_rng(3).normal(size=(2, 20))
    nothing = difference(values, values, rng(), same_runs=True)
    assert (nothing.estimate.value, nothing.p_value) == (0.0, 1.0)


def test_p_values_are_rare_as_they_say():
    """Without a difference, p < 0.05 happens in at most about 5 % of studies."""
    random = np.random.default_rng(4)
    for shape in ((1, 10), (3, 10)):
        p = [difference(*random.normal(size=(2, *shape)), random, same_runs=True).p_value for _ in range(400)]
        assert np.mean(np.array(p) < 0.05) < 0.085


@laws
@given(st.integers(2, 14), st.sampled_from([1, 8, 60]), st.sampled_from([1, 3]), st.booleans())
def test_the_test_that_counts_is_one_that_can_speak(episodes, comparisons, runs, same_runs):
    """With enough episodes one-sided data pass the exact test; with fewer, p < 0.05 where the interval has no 0."""
    random = np.random.default_rng([episodes, comparisons, runs])
    needed = episodes_to_test(comparisons)
    assert comparisons * 2.0 ** (1 - needed) < 0.05 <= comparisons * 2.0 ** (2 - needed)
    zero = np.zeros((runs, episodes))
    for shift in (0.0, 0.5, 1.0, 2.0, 50.0):
        a = shift + random.normal(size=(1, episodes)) + 0.1 * random.normal(size=(runs, episodes))
        one = difference(a, zero, rng(), same_runs=same_runs, comparisons=comparisons)
        assert (one.episodes, one.needed) == (episodes, needed)
        if episodes < needed:
            assert one.significant() == one.apart == one.shown()
        elif shift == 50.0 and episodes < 13:  # beyond, flips are drawn
            assert comparisons * one.p_value < 0.05 or runs > 1


@laws
@given(RATES, st.sampled_from([2, 60]), st.booleans())
def test_few_outcomes_are_judged_by_the_interval(values, comparisons, same_runs):
    """Of rates too, with fewer episodes than an exact test takes, p < 0.05 where the interval has no 0."""
    a, b = values[: len(values) // 2 + 1], values[-(len(values) // 2 + 1) :]
    one = difference(a, b, rng(), same_runs=same_runs, rate=True, comparisons=comparisons)
    if one.episodes < one.needed:
        assert one.significant() == one.apart == one.shown()


def test_equal_differences_tell_nothing_of_luck():
    """A few differences that are all the same have no t test: p is that of as many coins."""
    one = difference(np.full((1, 4), 3.0), np.zeros((1, 4)), rng(), same_runs=True)
    assert (one.p_value, one.apart, one.shown()) == (0.125, True, False)


def test_means_of_rates_do_not_pretend_to_certainty():
    """Who wins most of many conditions has an interval, narrower the more there are; who wins all, that of one."""
    most, widths = np.array([[1.0, 1.0, 1.0, 0.75]]), []
    for conditions in (4, 16, 64):
        all_won, most_won = (
            difference(
                won, np.zeros((1, 4)), rng(), same_runs=True, rate=True, conditions=conditions
            ).estimate
            for won in (np.ones((1, 4)), most)
        )
        widths.append(most_won.high - most_won.low)
        assert all_won.high == 1.0
        assert all_won.low == gain_interval(np.ones(4), 0.95)[0] < 0.5
    assert widths[0] > widths[1] > widths[2] > 0


@pytest.mark.parametrize("runs", [2, 3])
def test_clipped_intervals_hold_the_truth_as_often(runs):
    """No interval of a bounded metric leaves its bounds, and none that held the truth loses it by being cut off."""
    random = np.random.default_rng(runs)
    left = 0
    for _ in range(300):
        middle = 5 + 2 * random.normal(size=(runs, 1))
        seconds = (middle + 4 * random.normal(size=(runs, 4))).clip(0, 10)
        whole = mean_estimate(seconds, rng())
        cut = whole.clipped(0, 10)
        assert 0 <= cut.low <= cut.value <= cut.high <= 10
        assert (cut.low <= 5 <= cut.high) == (whole.low <= 5 <= whole.high)
        left += whole != cut
    assert left > 30


def test_two_policies_share_episodes_not_runs():
    """Two policies with different numbers of runs are compared over the episodes both have."""
    random = np.random.default_rng(5)
    a, b = random.normal(1, 1, (3, 12)), random.normal(0, 1, (5, 12))
    b[:, 7] = np.nan
    result = difference(a, b, rng(), same_runs=False)
    kept = np.arange(12) != 7
    assert result.estimate.value == pytest.approx(a[:, kept].mean() - b[:, kept].mean())
    assert result.estimate.n_runs == 3


@laws
@given(st.floats(0.1, 10))
def test_retention_is_a_ratio(scale):
    """Retention has no unit, and needs a positive nominal."""
    random = np.random.default_rng(6)
    nominal, values = random.uniform(1, 2, (2, 10)), random.uniform(0, 1, (2, 4, 10))
    estimate = retention(values, nominal)
    assert estimate.value == pytest.approx(values.mean() / nominal.mean())
    scaled = retention(scale * values, scale * nominal)
    assert (scaled.low, scaled.high) == pytest.approx((estimate.low, estimate.high))
    # A metric that falls below 0 has no natural zero, on whichever side of it the nominal mean lies.
    assert np.isnan(retention(values, -nominal).value)
    assert np.isnan(retention(-values, nominal).value)


def test_bootstrap_reaches_the_closed_form():
    """For several runs the bootstrap of a mean agrees with the two-way table."""
    values = np.random.default_rng(7).normal(size=(4, 1)) + np.random.default_rng(8).normal(size=(4, 30))
    a = mean_estimate(values, rng())
    b = bootstrap_estimate(values, lambda x: np.nanmean(x, axis=(1, 2)), rng())
    assert (b.low, b.high) == pytest.approx((a.low, a.high), abs=0.08 * (a.high - a.low))


def test_bootstrap_resamples_conditions_together():
    """A statistic across conditions meets the same runs and episodes in all of them."""
    values = np.random.default_rng(9).normal(size=(1, 1, 20)).repeat(3, axis=1)
    same = bootstrap_estimate(values, lambda x: (x[:, :, 0] - x[:, :, 2]).mean((1, 2)), rng())
    assert (same.low, same.high) == (0.0, 0.0)


def test_same_generator_same_interval():
    """Equal seeds give equal intervals; the global generator is left alone."""
    values = np.random.default_rng(10).normal(size=(1, 20))
    assert mean_estimate(values, np.random.default_rng(1)) == mean_estimate(values, np.random.default_rng(1))


def test_iqm_interval_matches_resampled_trim_mean():
    """The bootstrap of the IQM is scipy's trimmed mean of the same draws."""
    values = np.random.default_rng(11).normal(size=(1, 20))
    estimate = bootstrap_estimate(values, lambda x: iqm(x.reshape(len(x), -1)), rng())
    draws = np.concatenate([values[0][block] for block in _draws(rng())])
    middle = stats.trim_mean(draws, 0.25, axis=1)
    assert middle.min() <= estimate.low <= estimate.value <= estimate.high <= middle.max()
    tail = stats.norm.cdf(np.sqrt(20 / 19) * stats.t.ppf(0.025, 19))
    assert estimate.low == pytest.approx(np.quantile(middle, tail))


def _draws(random):
    return [random.integers(0, 20, (250, 20)) for _ in range(8)]


@pytest.mark.parametrize(
    "wrong",
    [
        {"value": 1.0, "low": 2.0, "high": 3.0, "n_episodes": 1},
        {"value": 1, "low": 0, "high": 2, "level": 95},
    ],
)
def test_impossible_estimates_are_refused(wrong):
    """An estimate outside its interval, or with a level that is no probability, is a mistake."""
    with pytest.raises(ValueError, match="interval|level"):
        Estimate(**wrong)


def test_cvar_is_below_the_mean():
    """The worst tenth is no better than all, and CVaR of everything is the mean."""
    values = np.random.default_rng(12).normal(size=(3, 50))
    assert (cvar(values) <= values.mean(-1)).all()
    assert cvar(values, 1.0) == pytest.approx(values.mean(-1))

"""Law 10: an estimate's interval covers the truth as often as it says."""

import itertools

import numpy as np
import pytest
from scipy import stats

from sim2real.stats import bootstrap_estimate, cvar, difference, iqm, mean_estimate, rate_estimate, retention

RUNS = (1, 2, 3, 5, 10)
# How much runs differ, how much episodes differ for all runs alike, and everything else.
NOISE = ((0.0, 0.0, 1.0), (1.0, 0.0, 1.0), (0.3, 1.0, 0.1), (0.5, 0.5, 0.2), (0.15, 0.7, 0.7))


def study(rng, shape, runs_std, episodes_std, rest_std):
    """Return values with mean 0 (runs, episodes); a single run is what it is, so it has no spread of runs."""
    runs, episodes = shape
    values = episodes_std * rng.normal(size=(1, episodes)) + rest_std * rng.normal(size=shape)
    return values + (runs_std * rng.normal(size=(runs, 1)) if runs > 1 else 0.0)


def covered(estimate, truth, studies):
    """Return the share of simulated studies whose interval holds the truth."""
    return np.mean([(e := estimate()).low <= truth <= e.high for _ in range(studies)])


def mean_coverage(rng, runs, noise, studies, episodes=20):
    return covered(lambda: mean_estimate(study(rng, (runs, episodes), *noise), rng), 0.0, studies)


def rate_coverage(rng, runs, noise, rate, studies, episodes=20):
    runs_std, episodes_std, rest_std = noise
    total = np.sqrt((runs_std**2 if runs > 1 else 0.0) + episodes_std**2 + rest_std**2)
    bar = -stats.norm.ppf(rate) * total
    return covered(
        lambda: rate_estimate((study(rng, (runs, episodes), *noise) > bar).astype(float)), rate, studies
    )


@pytest.mark.parametrize("runs", [1, 2, 3, 5])
def test_mean_covers(runs):
    """Mean intervals hold the truth in 95 % of studies, whatever differs: runs, episodes or both."""
    rng = np.random.default_rng(runs)
    for noise in NOISE[1:4]:
        assert mean_coverage(rng, runs, noise, 300) > 0.905


@pytest.mark.parametrize("runs", [1, 2, 3, 5])
def test_rate_covers(runs):
    """Rate intervals hold the truth in about 95 % of studies, also near one."""
    rng = np.random.default_rng(runs)
    for noise, rate in itertools.product(NOISE[1:4], (0.5, 0.95)):
        assert rate_coverage(rng, runs, noise, rate, 300) > 0.87


def test_difference_of_policies_covers():
    """The difference between two policies with their own runs and common episodes is covered."""
    rng = np.random.default_rng(4)

    def compare():
        shared = rng.normal(size=(1, 20))
        a, b = (study(rng, (runs, 20), 0.5, 0.0, 0.3) + shared for runs in (3, 4))
        return difference(a, b, rng, same_runs=False).estimate

    assert covered(compare, 0.0, 300) > 0.905


@pytest.mark.slow
@pytest.mark.parametrize("runs", RUNS)
def test_mean_coverage_of_2000_studies(runs):
    """Means: at least 93.5 % with several runs, 92.5 % with one, 90 % for skewed values."""
    rng = np.random.default_rng(runs)
    for noise in NOISE:
        rate = mean_coverage(rng, runs, noise, 2000)
        print(f"mean runs={runs} noise={noise} coverage={rate:.3f}")
        assert rate > (0.935 if runs > 1 else 0.925)
    skewed = covered(lambda: mean_estimate(rng.exponential(size=(runs, 20)), rng), 1.0, 2000)
    print(f"mean runs={runs} exponential coverage={skewed:.3f}")
    assert skewed > 0.90


@pytest.mark.slow
@pytest.mark.parametrize("runs", RUNS)
def test_rate_coverage_of_2000_studies(runs):
    """Rates: at least 89 % in the worst scenario (runs that differ wildly), 95 % in the median one."""
    rng = np.random.default_rng(runs)
    rates = []
    for noise, rate, episodes in itertools.product(NOISE, (0.5, 0.8, 0.95, 0.99), (20, 50)):
        rates.append(rate_coverage(rng, runs, noise, rate, 2000, episodes))
        print(f"rate runs={runs} noise={noise} p={rate} episodes={episodes} coverage={rates[-1]:.3f}")
    assert min(rates) > 0.885
    assert np.median(rates) > 0.945


@pytest.mark.slow
@pytest.mark.parametrize("runs", [1, 3])
def test_other_statistics_cover_in_2000_studies(runs):
    """IQM, retention and paired differences of rates: 90 % and more; CVaR, whose bootstrap is short, 88 %."""
    rng = np.random.default_rng(runs)
    middle = covered(
        lambda: bootstrap_estimate(study(rng, (runs, 40), 0.3, 0.5, 1), pooled(iqm), rng), 0.0, 2000
    )
    normal = float(np.hypot(1.0, 0.5)) if runs == 1 else float(np.sqrt(1 + 0.25 + 0.09))
    worst = -stats.norm.pdf(stats.norm.ppf(0.25)) / 0.25 * normal
    tail = covered(
        lambda: bootstrap_estimate(study(rng, (runs, 40), 0.3, 0.5, 1), pooled(lambda x: cvar(x, 0.25)), rng),
        worst,
        2000,
    )
    print(f"runs={runs} iqm={middle:.3f} cvar={tail:.3f}")
    assert middle > 0.92
    assert tail > 0.88
    for before, after in ((0.95, 0.5), (0.95, 0.9), (0.98, 0.02)):
        bars = [-stats.norm.ppf(rate) for rate in (before, after)]

        def paired(bars=bars):
            common = np.sqrt(0.5) * rng.normal(size=(runs, 20))
            a, b = (common + np.sqrt(0.5) * rng.normal(size=(runs, 20)) > bar for bar in bars)
            return difference(b * 1.0, a * 1.0, rng, same_runs=True, rate=True).estimate

        def kept(bars=bars):
            common = np.sqrt(0.5) * rng.normal(size=(runs, 1, 20))
            values = common + np.sqrt(0.5) * rng.normal(size=(runs, 11, 20))
            return retention((values[:, 1:] > bars[1]) * 1.0, (values[:, 0] > bars[0]) * 1.0, rate=True)

        gap, fraction = covered(paired, after - before, 2000), covered(kept, after / before, 2000)
        print(f"runs={runs} {before}->{after} difference={gap:.3f} retention={fraction:.3f}")
        assert gap > 0.93
        assert fraction > 0.90


@pytest.mark.slow
@pytest.mark.parametrize("runs", [1, 3])
def test_averaged_rates_cover_in_2000_studies(runs):
    """The mean rate over ten conditions, which is no longer 0 or 1, is covered as well."""
    rng = np.random.default_rng(runs)
    for rate, episodes_std in itertools.product((0.5, 0.9, 0.99), (0.3, 1.0)):

        def estimate(rate=rate, episodes_std=episodes_std):
            noise = rng.normal(size=(runs, 10, 20)) + episodes_std * rng.normal(size=(1, 1, 20))
            bar = -stats.norm.ppf(rate) * np.hypot(1, episodes_std)
            return rate_estimate((noise > bar).mean(1))

        share = covered(estimate, rate, 2000)
        print(f"averaged rate runs={runs} p={rate} episodes_std={episodes_std} coverage={share:.3f}")
        assert share > 0.93


def pooled(statistic):
    """Return the statistic over all runs and episodes together."""
    return lambda x: statistic(x.reshape(len(x), -1))

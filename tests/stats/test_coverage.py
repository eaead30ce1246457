"""Law 10: an estimate's interval covers the truth as often as it says."""

import itertools

import numpy as np
import pytest
from scipy import stats

from sim2real.stats import (
    Psychometric,
    bootstrap_estimate,
    cvar,
    cvar_estimate,
    difference,
    hierarchical_estimate,
    improvement_probability,
    iqm,
    look,
    looks,
    margin,
    mean_estimate,
    median,
    performance_profile,
    rate_estimate,
    retention,
    worst_estimate,
)

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


@pytest.mark.parametrize("runs", [2, 3, 5])
def test_rate_covers(runs):
    """Rate intervals of several runs hold the truth in about 95 % of studies, also near one."""
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
@pytest.mark.parametrize("runs", RUNS[1:])
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


def spread_of(noise, runs):
    """Return the standard deviation of one value."""
    runs_std, episodes_std, rest_std = noise
    return np.sqrt((runs_std**2 if runs > 1 else 0.0) + episodes_std**2 + rest_std**2)


def cvar_coverage(rng, runs, noise, share, studies):
    truth = -stats.norm.pdf(stats.norm.ppf(share)) / share * spread_of(noise, runs)
    return covered(lambda: cvar_estimate(study(rng, (runs, 40), *noise), share), truth, studies)


def improvement_coverage(rng, runs, noise, shift, studies):
    runs_std, episodes_std, rest_std = noise

    def compare():
        common = episodes_std * rng.normal(size=(1, 20))
        a, b = (common + study(rng, (runs, 20), runs_std, 0.0, rest_std) for _ in range(2))
        return improvement_probability(a + shift * spread_of((runs_std, 0.0, rest_std), runs), b)

    return covered(compare, stats.norm.cdf(shift / np.sqrt(2)), studies)


def profile_coverage(rng, runs, noise, threshold, studies):
    truth = stats.norm.sf(threshold / spread_of(noise, runs))
    return covered(
        lambda: performance_profile(study(rng, (runs, 20), *noise), [threshold])[0], truth, studies
    )


def worst_coverage(rng, runs, unlike, share, studies):
    """Eight conditions whose means lie between 0 and ``-unlike``."""
    means = -unlike * np.linspace(0, 1, 8)

    def worst():
        common = 0.5 * rng.normal(size=(1, 1, 20)) + (
            0.3 * rng.normal(size=(runs, 1, 1)) if runs > 1 else 0.0
        )
        return worst_estimate(
            means[:, None] + common + 0.7 * rng.normal(size=(runs, 8, 20)), rng, share=share
        )

    return covered(worst, np.sort(means)[: max(1, int(np.ceil(8 * share)))].mean(), studies)


SEVERITY = np.array([0.0, 0.25, 0.5, 0.75, 1.0])
HEIGHTS = np.array([0.98, 0.95, 0.8, 0.4, 0.02])  # falls to 0.9 at a third of the way from 0.25 to 0.5
CROSSING = 0.25 + 0.25 / 3


def margin_coverage(rng, runs, noise, studies):
    def mean_margin():
        common = 0.5 * study(rng, (runs, 20), *noise)[:, None]
        values = HEIGHTS[:, None] + common + 0.3 * rng.normal(size=(runs, 5, 20))
        return margin(values, SEVERITY, 0.9, rng)

    return covered(mean_margin, CROSSING, studies)


def rate_margin_coverage(rng, runs, common, studies):
    bars = -stats.norm.ppf(HEIGHTS)[:, None]

    def rate_margin():
        noise = np.sqrt(common) * rng.normal(size=(runs, 1, 30))
        values = noise + np.sqrt(1 - common) * rng.normal(size=(runs, 5, 30)) > bars
        return margin(values.astype(float), SEVERITY, 0.9, rng, rate=True)

    return covered(rate_margin, CROSSING, studies)


def stopped_coverage(rng, runs, rate, half_width, studies):
    """Return how often the interval holds the truth at which a study of a rate stopped, and its mean episodes."""
    sizes = looks(10, 640)
    spent_on, hits = 0, 0
    for _ in range(studies):
        values = (rng.random((runs, sizes[-1])) < rate).astype(float)
        for size in sizes:
            found, enough = look(values[:, :size], half_width, rng, rate=True)
            if enough:
                break
        spent_on += size
        hits += found.low <= rate <= found.high
    return hits / studies, spent_on / studies


CURVES = {
    "steep": (lambda x: np.exp(np.log(0.9) * (x / 0.7) ** 10), 0.7),
    "gradual": (lambda x: np.exp(np.log(0.9) * (x / 0.4) ** 3), 0.4),
    "with lapses": (
        lambda x: 0.97 / (1 + np.exp((x - 0.6) / 0.03)),
        0.6 - 0.03 * np.log(1 / (0.97 / 0.9 - 1)),
    ),
    "logistic": (lambda x: 1 / (1 + np.exp((x - 0.5) / 0.08)), 0.5 - 0.08 * np.log(9)),
}


def threshold_coverage(rng, curve, studies, half_width=0.06, most=120):
    """Return how often a stopped search holds the truth, and its mean episodes."""
    rate, truth = CURVES[curve]
    ladder = Psychometric(severities=tuple(np.linspace(0, 1, 21).tolist()), level=0.9)
    rates, hits, episodes = rate(np.array(ladder.severities)), 0, 0
    for _ in range(studies):
        won, lost = np.zeros((2, 21))
        while True:
            for place in ladder.propose(won, lost, 4):
                (won if rng.random() < rates[place] else lost)[place] += 1
            found = ladder.estimate(won, lost)
            if found.high - found.low <= 2 * half_width or found.n_episodes >= most:
                break
        hits += found.low <= truth <= found.high
        episodes += found.n_episodes
    return hits / studies, episodes / studies


@pytest.mark.parametrize("runs", [1, 3])
def test_figures_of_robustness_cover(runs):
    """CVaR, improvement, profiles and worst conditions hold the truth in about 95 % of studies."""
    rng = np.random.default_rng(runs)
    assert cvar_coverage(rng, runs, NOISE[4], 0.25, 200) > 0.90
    assert improvement_coverage(rng, runs, NOISE[2], 1.0, 200) > 0.90
    assert profile_coverage(rng, runs, NOISE[2], 0.0, 200) > 0.90
    assert worst_coverage(rng, runs, 0.0, 0.0, 60) > 0.88


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("runs", [1, 3])
def test_figures_of_robustness_cover_in_2000_studies(runs):
    """At least 93 %, but of three runs that differ as much as episodes do: CVaR 88 %, profiles 89 %."""
    rng = np.random.default_rng(runs)
    for noise, share in itertools.product(NOISE, (0.1, 0.25)):
        rate = cvar_coverage(rng, runs, noise, share, 2000)
        print(f"cvar runs={runs} noise={noise} share={share} coverage={rate:.3f}")
        assert rate > (0.93 if runs == 1 or noise[0] < 0.5 else 0.88)
    for noise, shift in itertools.product(NOISE, (0.0, 1.0, 2.5)):
        rate = improvement_coverage(rng, runs, noise, shift, 2000)
        print(f"improvement runs={runs} noise={noise} shift={shift} coverage={rate:.3f}")
        assert rate > 0.93
    rates = []
    for noise, threshold in itertools.product(NOISE, (0.0, -1.0)):
        rates.append(profile_coverage(rng, runs, noise, threshold, 2000))
        print(f"profile runs={runs} noise={noise} threshold={threshold} coverage={rates[-1]:.3f}")
    assert min(rates) > 0.89
    assert np.median(rates) > 0.945
    for noise in NOISE[1:4]:
        rate = covered(
            lambda noise=noise: bootstrap_estimate(study(rng, (runs, 40), *noise), pooled(median), rng),
            0.0,
            2000,
        )
        print(f"median runs={runs} noise={noise} coverage={rate:.3f}")
        assert rate > 0.92


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("runs", [1, 3])
def test_worst_conditions_and_margins_cover_in_2000_studies(runs):
    """Margins: at least 92 %; worst conditions, which are found in the same data, more than is said."""
    rng = np.random.default_rng(runs)
    for unlike, share in itertools.product((0.0, 0.3, 2.0), (0.0, 0.25)):
        rate = worst_coverage(rng, runs, unlike, share, 2000)
        print(f"worst runs={runs} unlike={unlike} share={share} coverage={rate:.3f}")
        assert rate > 0.95
    for noise in NOISE[1:4]:
        rate = margin_coverage(rng, runs, noise, 500 if runs == 1 else 2000)
        print(f"margin runs={runs} noise={noise} coverage={rate:.3f}")
        assert rate > 0.92
    for common in (0.0, 0.7):
        rate = rate_margin_coverage(rng, runs, common, 2000)
        print(f"margin of rates runs={runs} common={common} coverage={rate:.3f}")
        assert rate > 0.95


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("runs", [3, 10])
def test_the_nested_bootstrap_falls_short_in_2000_studies(runs):
    """Why runs, then episodes, is no default: with 3 runs as few as 75 % hold the truth, with 10 62 %."""
    rng = np.random.default_rng(runs)
    rates = []
    for noise in NOISE:
        rates.append(
            covered(
                lambda noise=noise: hierarchical_estimate(
                    study(rng, (runs, 20), *noise), lambda x: x.mean((1, 2)), rng
                ),
                0.0,
                2000,
            )
        )
        print(f"nested runs={runs} noise={noise} coverage={rates[-1]:.3f}")
    assert min(rates) < 0.80


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_stopped_intervals_cover_in_2000_studies():
    """Also where one stops, the last interval of several runs holds the rate as often as it says."""
    rng = np.random.default_rng(0)
    for rate in (0.5, 0.8, 0.95, 0.99):
        share, episodes = stopped_coverage(rng, 3, rate, 0.08, 2000)
        print(f"stopped runs=3 p={rate} coverage={share:.3f} episodes={episodes:.0f}")
        assert share > 0.95


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("failing", [0.0, 0.05, 0.5])
def test_stopped_means_cover_in_200_studies(failing):
    """Returns that fall from 790 to 100 in some episodes: 93 % and more, if any cell of the study showed a failure."""
    rng = np.random.default_rng(0)
    truth = 790.0 - 690.0 * failing
    for met, least in (((100.0, 850.0), 0.93), ((), 0.0)):
        hits, episodes = 0, 0
        for _ in range(200):
            values = np.where(rng.random((1, 640)) < failing, 100.0, 790.0) + 20 * rng.normal(size=(1, 640))
            for size in looks(10, 640):
                found, enough = look(values[:, :size], 60.0, rng, met=met)
                if enough:
                    break
            hits += found.low <= truth <= found.high
            episodes += size
        print(
            f"stopped mean failing={failing} met={met} coverage={hits / 200:.3f} episodes={episodes / 200:.0f}"
        )
        assert hits / 200 > least


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("curve", CURVES)
def test_stopped_threshold_searches_cover_in_2000_studies(curve):
    """Thresholds: at least 92 %, for curves of the family and for others, though one looked every 4 episodes."""
    rng = np.random.default_rng(0)
    share, episodes = threshold_coverage(rng, curve, 2000)
    print(f"threshold {curve} coverage={share:.3f} episodes={episodes:.0f}")
    assert share > 0.92


def pooled(statistic):
    """Return the statistic over all runs and episodes together."""
    return lambda x: statistic(x.reshape(len(x), -1))

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import stats

from sim2real.stats import (
    bootstrap_estimate,
    cvar_estimate,
    difference,
    generalisation_gap,
    hierarchical_estimate,
    improvement_probability,
    margin,
    mean,
    mean_estimate,
    median,
    optimality_gap,
    performance_profile,
    rate_estimate,
    trimmed,
    worst_estimate,
)

laws = settings(max_examples=50, deadline=None)
TABLES = hnp.arrays(
    float,
    hnp.array_shapes(min_dims=2, max_dims=2, max_side=8),
    elements=st.floats(-1e3, 1e3) | st.just(np.nan),
)
BLOCKS = hnp.arrays(
    float, st.tuples(st.integers(1, 3), st.integers(1, 5), st.integers(2, 6)), elements=st.floats(-10, 10)
)


def rng():
    return np.random.default_rng(0)


@laws
@given(TABLES)
def test_median_is_numpys_past_nan(values):
    """The median is that of what is finite, and NaN of nothing."""
    expected = [np.median(row[np.isfinite(row)]) if np.isfinite(row).any() else np.nan for row in values]
    assert median(values) == pytest.approx(expected, nan_ok=True)


@laws
@given(TABLES, st.floats(-1e3, 1e3))
def test_optimality_gap_is_the_target_less_what_is_kept_of_it(values, target):
    """What lies above the target earns nothing: the gap is target − mean(min(x, target)), and never negative."""
    kept = mean(np.minimum(values, target), axis=-1)
    found = optimality_gap(values, target)
    assert found == pytest.approx(target - kept, abs=1e-6, nan_ok=True)
    assert not (found < 0).any()


@laws
@given(TABLES, st.floats(0.05, 1.0))
def test_cvar_estimate_is_the_mean_of_the_tail_in_its_interval(values, share):
    """The value is that of the sorted tail, and its interval holds it whatever is missing."""
    found = cvar_estimate(values, share)
    if np.isfinite(values).all():
        assert found.value == pytest.approx(float(trimmed(values.ravel(), 0, share)))
    assert found.n_episodes == 0 or found.low <= found.value <= found.high


@settings(max_examples=20, deadline=None)
@given(BLOCKS, st.floats(0.01, 1.0))
def test_the_worst_of_all_is_the_mean(values, share):
    """The worst conditions are no better than any, grow with their share, and all of them together are the mean."""
    worst, some, every = (worst_estimate(values, rng(), share=part) for part in (0.0, share, 1.0))
    assert worst.value == pytest.approx(values.mean((0, 2)).min())
    assert worst.value <= some.value + 1e-9
    assert some.value <= every.value + 1e-9
    assert every.value == pytest.approx(values.mean())
    assert worst.low <= worst.value <= worst.high


def test_any_of_the_conditions_may_be_the_worst():
    """Of conditions that are alike, the upper limit is that of one at Bonferroni's level, the lower limit one's own."""
    table = (np.random.default_rng(6).random((2, 30)) < 0.7).astype(float)
    found = worst_estimate(np.stack([table] * 5, axis=1), rng(), rate=True)
    assert found.high == rate_estimate(table, 0.99).high
    assert found.low == rate_estimate(table, 0.95).low


@laws
@given(BLOCKS)
def test_a_profile_falls_from_all_to_none(values):
    """The share above a threshold never rises with it, is 1 below all values and 0 from the largest on."""
    thresholds = [-11.0, *np.quantile(values, [0.2, 0.5, 0.8]), values.max()]
    shares = [one.value for one in performance_profile(values, thresholds)]
    assert shares[0] == 1.0
    assert shares[-1] == 0.0
    assert (np.diff(shares) <= 1e-12).all()
    assert shares[2] == pytest.approx((values > thresholds[2]).mean())


@settings(max_examples=20, deadline=None)
@given(TABLES, st.integers(0, 5))
def test_improvement_is_the_mann_whitney_statistic(values, seed):
    """Columns average U / nm of scipy; the two sides' probabilities add up to 1; order of runs does not matter."""
    first = np.where(np.isfinite(values), values, 0.0).round(1)
    second = np.random.default_rng(seed).permuted(first, axis=1)[: max(1, len(first) - 1)]
    expected = np.mean(
        [
            stats.mannwhitneyu(a, b).statistic / (len(a) * len(b))
            for a, b in zip(first.T, second.T, strict=True)
        ]
    )
    found, back = improvement_probability(first, second), improvement_probability(second, first)
    assert found.value == pytest.approx(expected)
    assert found.value + back.value == pytest.approx(1.0)
    assert (found.low, found.high) == pytest.approx((1 - back.high, 1 - back.low))
    again = improvement_probability(first[::-1], second)
    assert (again.low, again.high) == pytest.approx((found.low, found.high))


def test_always_better_is_not_certain():
    """Three runs that always beat three others leave room for doubt, more than thirty do."""
    few, many = (improvement_probability(np.ones((n, 20)), np.zeros((n, 20))) for n in (3, 30))
    assert few.value == many.value == 1.0
    assert 0.3 < few.low < many.low < 1.0


def test_the_gap_is_the_paired_difference_of_the_averages():
    """Seen less held out, on the same episodes and runs."""
    random = np.random.default_rng(1)
    seen, held = random.normal(1, 1, (3, 2, 30)), random.normal(0, 1, (3, 4, 30))
    expected = difference(seen.mean(1), held.mean(1), rng(), same_runs=True)
    assert generalisation_gap(seen, held, rng()) == expected
    assert expected.estimate.value == pytest.approx(seen.mean() - held.mean())


def noisy(heights, std=1e-6, runs=2):
    """Return values (runs, conditions, episodes) about heights."""
    shape = (runs, len(heights), 20)
    return np.asarray(heights)[None, :, None] + std * np.random.default_rng(2).normal(size=shape)


def test_the_margin_is_where_the_line_crosses():
    """Without noise the margin is the crossing of the straight lines, in severities, whichever way they go."""
    for severity, expected in (([1.0, 2.0, 4.0], 2.0), ([0.0, -1.0, -3.0], 2.0), ([0.8, 0.6, 0.2], 0.4)):
        found = margin(noisy([1.0, 0.9, 0.1]), severity, 0.5, rng())
        assert found.value == pytest.approx(expected, abs=1e-4)
        assert found.low == pytest.approx(expected, abs=1e-4)
        assert found.high == pytest.approx(expected, abs=1e-4)


def test_a_margin_may_be_none_or_beyond():
    """Below the threshold at once it is 0; above it everywhere it is infinite, and its lower limit says from where."""
    assert margin(noisy([0.4, 0.2]), [0, 1], 0.5, rng()).value == 0.0
    beyond = margin(noisy([1.0, 0.9], 0.3), [0, 1], 0.5, rng())
    assert math.isinf(beyond.value)
    assert math.isinf(beyond.high)
    falls = margin(noisy([3.0, 0.55], 0.5), [0, 1], 0.5, rng())
    assert 0 < falls.low < falls.high == math.inf


@settings(max_examples=20, deadline=None)
@given(BLOCKS)
def test_a_lower_threshold_is_crossed_no_sooner(values):
    """The margin never shrinks as less is asked for."""
    severity = np.arange(values.shape[1], dtype=float)
    margins = [margin(values, severity, threshold, rng()) for threshold in (1.0, 0.0, -1.0)]
    for strict, lax in zip(margins[:-1], margins[1:], strict=True):
        assert strict.value <= lax.value
        assert strict.low <= lax.low + 1e-9 or len(values) == 1  # a bootstrap draws anew for every place


def test_severities_go_outward():
    """A margin needs conditions in order."""
    with pytest.raises(ValueError, match="outward"):
        margin(noisy([1.0, 0.5, 0.2]), [0.0, 2.0, 1.0], 0.5, rng())


def test_the_nested_bootstrap_agrees_where_nothing_is_nested():
    """With one run both bootstraps resample the same episodes: the limits agree to what few episodes widen."""
    values = np.random.default_rng(3).normal(size=(1, 400))
    ours = bootstrap_estimate(values, lambda x: x.mean((1, 2)), rng())
    nested = hierarchical_estimate(values, lambda x: x.mean((1, 2)), rng())
    assert (nested.low, nested.high) == pytest.approx((ours.low, ours.high), abs=0.02)
    assert nested.value == ours.value


def test_the_nested_bootstrap_takes_conditions_along():
    """Conditions of a run and episode are resampled together: a constant shift between them stays exact."""
    base = np.random.default_rng(4).normal(size=(3, 1, 10))
    both = np.concatenate([base, base + 1.0], axis=1)
    found = hierarchical_estimate(both, lambda x: (x[:, :, 1] - x[:, :, 0]).mean((1, 2)), rng())
    assert (found.low, found.value, found.high) == pytest.approx((1.0, 1.0, 1.0))


def test_nothing_measured_is_no_estimate():
    """Where nothing is finite every figure is NaN, and counts nothing."""
    nothing = np.full((2, 3, 4), np.nan)
    for found in (
        cvar_estimate(nothing[:, 0]),
        worst_estimate(nothing, rng()),
        performance_profile(nothing, [0.0])[0],
        improvement_probability(nothing[:, 0], nothing[:, 0]),
        margin(nothing, [0, 1, 2], 0.0, rng()),
        hierarchical_estimate(nothing, lambda x: x.mean((1, 2, 3)), rng()),
        generalisation_gap(nothing, nothing, rng()).estimate,
    ):
        assert math.isnan(found.value)
        assert found.n_episodes == 0


def test_agreement_with_rliable():
    """On identical (runs × tasks) and identical resamples of them, figures are rliable's to the last digits."""
    rliable = pytest.importorskip("rliable.metrics")
    random = np.random.default_rng(7)
    first, second = random.gamma(2.0, 0.4, (10, 26)), random.gamma(2.0, 0.45, (7, 26))
    for _ in range(10):
        scores = first[random.integers(0, 10, (10, 26)), np.arange(26)]  # stratified, as rliable resamples
        others = second[random.integers(0, 7, (7, 26)), np.arange(26)]
        assert float(trimmed(scores.ravel(), 0.25, 0.75)) == pytest.approx(rliable.aggregate_iqm(scores))
        assert float(median(scores.mean(0))) == pytest.approx(rliable.aggregate_median(scores))
        assert float(mean(scores, axis=(0, 1))) == pytest.approx(rliable.aggregate_mean(scores))
        gap = float(optimality_gap(scores.ravel(), 1.0))
        assert gap == pytest.approx(rliable.aggregate_optimality_gap(scores))
        probability = improvement_probability(scores, others).value
        assert probability == pytest.approx(rliable.probability_of_improvement(scores, others))
        shares = [one.value for one in performance_profile(scores, [0.2, 0.8, 1.5])]
        assert shares == pytest.approx([(scores > tau).mean() for tau in (0.2, 0.8, 1.5)])


def test_a_curve_at_a_condition_is_its_mean():
    """Where severities are those of conditions, the margin's interval ends where that condition's own does."""
    values = (np.random.default_rng(5).uniform(size=(1, 2, 40)) < [[0.95], [0.6]]).astype(float)
    ends = rate_estimate(values[:, 1])
    just = margin(values, [0, 1], ends.high + 1e-9, rng(), rate=True)
    beyond = margin(values, [0, 1], ends.high - 1e-9, rng(), rate=True)
    assert just.high == pytest.approx(1.0, abs=1e-6)
    assert math.isinf(beyond.high)
    assert mean_estimate(values[:, 1], rng()).value == ends.value

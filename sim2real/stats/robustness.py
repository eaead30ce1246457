"""Figures of a robustness study beyond the mean: tails, worst conditions, profiles, and how far a policy holds."""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sim2real.stats.aggregate import mean, trimmed
from sim2real.stats.estimate import (
    Difference,
    Estimate,
    counted,
    difference,
    mean_estimate,
    nothing,
    rate_estimate,
)
from sim2real.stats.spread import Spread, degrees_of_freedom, filled, padded, rate_interval, spread, table_of

Array = NDArray[np.float64]

STEPS = 8
"""Places between two conditions of a severity curve where its interval is looked at."""


def cvar_estimate(values: ArrayLike, share: float = 0.1, level: float = 0.95) -> Estimate:
    """Estimate the mean of the worst ``share`` of all values (runs, episodes), NaN where missing.

    Student's t on the jackknife over episodes and over runs, with no more degrees of freedom than there are values in
    the tail; further down by as much as the jackknife finds the value too high, as it is where a tail is short.
    """
    table = table_of(values)
    if table.size == 0:
        return nothing(level)
    whole = filled(table)
    value = float(trimmed(whole.ravel(), 0.0, share))
    parts, bias = [], 0.0
    for axis, count in enumerate(whole.shape):
        if count > 1:
            copies = np.repeat(whole[None], count, axis=0)
            np.moveaxis(copies, axis + 1, 1)[np.arange(count), np.arange(count)] = np.nan
            without = trimmed(copies.reshape(count, -1), 0.0, share)
            parts.append((float(without.var()) * (count - 1), count - 1))
            bias += (count - 1) * (float(without.mean()) - value)
    variance = max(part for part, _ in parts) if whole.shape[1] > 1 else np.inf
    freedom = max(1.0, min(degrees_of_freedom(variance, parts), share * whole.size - 1))
    between = parts[0] if len(parts) == 2 else (0.0, 1)
    uncertainty = Spread(variance=variance, freedom=freedom, run_variance=between[0], run_freedom=between[1])
    half = uncertainty.half_width(level)
    return counted(value, value - half - max(0.0, bias), value + half, table, level)


def worst_estimate(
    values: ArrayLike,
    rng: np.random.Generator,
    *,
    share: float = 0.0,
    rate: bool = False,
    level: float = 0.95,
) -> Estimate:
    """Estimate the mean metric over the worst conditions, which are found in the same data.

    The lowest of several means that luck moves is too low, and the more so the more alike the conditions are. The value
    is such a mean, the interval holds the truth all the same: it goes from the lowest of the lower limits to the lowest
    of the upper ones, these at Bonferroni's level, since any of the conditions may be the worst.

    Args:
        values: metric (runs, conditions, episodes), NaN where missing.
        rng: where the resampling comes from.
        share: of the conditions, the worst of which are averaged; at least one is.
        rate: the values are 0 or 1.
        level: how often the interval shall hold the truth, at least.
    """
    data = np.asarray(values, float)
    data = data[:, np.isfinite(data).any((0, 2))]
    count = data.shape[1]
    if not count:
        return nothing(level)
    worst = max(1, math.ceil(share * count))
    limits = [_of_rate(rate, data[:, i], rng, level) for i in range(count)]
    raised = [_of_rate(rate, data[:, i], rng, 1 - (1 - level) / count) for i in range(count)]
    value, low, high = (
        float(np.sort(some)[:worst].mean())
        for some in ([e.value for e in limits], [e.low for e in limits], [e.high for e in raised])
    )
    return counted(value, low, high, data, level)


def performance_profile(
    values: ArrayLike, thresholds: Sequence[float], level: float = 0.95
) -> tuple[Estimate, ...]:
    """Estimate which share of the values lies above each threshold: a score distribution (Agarwal et al., 2021).

    Each interval holds its own share at the level, not all of them at once.

    Args:
        values: metric (runs, [conditions,] episodes), NaN where missing.
        thresholds: of the metric.
        level: how often an interval shall hold the truth.
    """
    data = np.asarray(values, float)
    above = (np.where(np.isfinite(data), data > threshold, np.nan) for threshold in thresholds)
    return tuple(rate_estimate(mean(some, axis=1) if data.ndim > 2 else some, level) for some in above)


def improvement_probability(first: ArrayLike, second: ArrayLike, level: float = 0.95) -> Estimate:
    """Estimate how often a run of ``first`` does better than one of ``second`` in the same episode; a tie is half.

    Averaged over columns, which are episodes, or conditions as in Agarwal et al. (2021), of the Mann-Whitney statistic
    of all pairs of runs. The interval is that of a rate over the effective number of columns, as in `rate_estimate`;
    both sides' runs as well as the columns are drawn.

    Args:
        first: values (runs, columns), NaN where missing.
        second: values (other runs, columns); column j is the same episode or condition as in ``first``.
        level: how often the interval shall hold the truth.
    """
    a, b = np.asarray(first, float), np.asarray(second, float)
    met = np.isfinite(a)[:, None] & np.isfinite(b)[None]
    wins = np.where(met, (a[:, None] > b[None]) + 0.5 * (a[:, None] == b[None]), np.nan)
    shared = met.any((0, 1))
    tables = [table_of(mean(wins, axis=axis)[:, shared]) for axis in (1, 0)]
    fewest = min(tables, key=len)
    if fewest.size == 0:
        return nothing(level)
    # A win and a loss more, and a run that ties with everything: who always wins does not pretend to certainty.
    ours, theirs = (
        np.vstack([whole, *([np.full(whole.shape[1], 0.5)] if len(whole) > 1 else [])])
        for whole in (padded(filled(table), 0.0, 1.0) for table in tables)
    )
    middle = float(ours.mean() + theirs.mean()) / 2
    # Both tables have the same columns; half of each one's leaves their difference with all of them.
    uncertainty = spread(ours - ours.mean(0) / 2, theirs.mean(0) / 2 - theirs)
    rate, columns = float(filled(tables[0]).mean()), fewest.shape[1]
    return counted(rate, *rate_interval(rate, middle, columns, uncertainty, level), fewest, level)


def generalisation_gap(
    seen: ArrayLike, held_out: ArrayLike, rng: np.random.Generator, level: float = 0.95
) -> Difference:
    """Estimate how much better policies do where they were trained than where they were not, on the same episodes.

    Args:
        seen: metric (runs, conditions, episodes) under what training had, such as nominal alone; NaN where missing.
        held_out: metric (runs, other conditions, episodes).
        rng: where sign flips come from.
        level: how often the interval shall hold the truth.
    """
    return difference(mean(seen, axis=1), mean(held_out, axis=1), rng, same_runs=True, level=level)


def margin(
    values: ArrayLike,
    severity: ArrayLike,
    threshold: float,
    rng: np.random.Generator,
    *,
    rate: bool = False,
    level: float = 0.95,
) -> Estimate:
    """Estimate how far from the first severity the mean falls below a threshold: the robustness margin.

    The curve is straight between conditions. The interval holds the distances at which the curve's own interval holds
    the threshold (as Fieller, 1954), from where its lower limit falls below to where its upper one does.

    Args:
        values: metric (runs, conditions, episodes), NaN where missing.
        severity: where the conditions lie (conditions,), outward from the first, which is nominal.
        threshold: of the metric.
        rng: where the resampling comes from.
        rate: the values are 0 or 1.
        level: how often the interval shall hold the truth.

    Returns:
        The distance in severities: 0 if the first condition lies below the threshold already, infinite where none
        does; so may be the upper limit.

    Raises:
        ValueError: if severities do not go outward.
    """
    data, x = np.asarray(values, float), np.abs(np.asarray(severity, float) - np.ravel(severity)[0])
    if (np.diff(x) <= 0).any() or data.shape[1] != len(x):
        raise ValueError(f"severity goes outward, one for each of {data.shape[1]} conditions: {x}.")
    present = np.isfinite(data).any((0, 2))
    data, x = data[:, present], x[present]  # straight past a condition that nothing is known of
    if not present[0]:
        return nothing(level)
    places = np.union1d(x, np.linspace(x[:-1], x[1:], STEPS, endpoint=False))
    heights = []
    for parts in np.transpose([np.interp(places, x, one) for one in np.eye(len(x))]):
        blend = np.tensordot(data[:, parts > 0], parts[parts > 0], axes=(1, 0))
        found = _of_rate(rate, blend, rng, level)
        heights.append((found.low, found.value, found.high))
    low, value, high = (_crossing(places, np.array(curve), threshold) for curve in zip(*heights, strict=True))
    return counted(value, min(low, value), max(high, value), data, level)


def _crossing(places: Array, curve: Array, threshold: float) -> float:
    """Return where a curve first falls below a threshold, infinity if it does nowhere."""
    known = np.isfinite(curve)
    places, curve = places[known], curve[known]
    below = np.flatnonzero(curve < threshold)
    if not below.size:
        return math.inf
    if below[0] == 0:
        return 0.0
    (x, before), (end, after) = ((places[i], curve[i]) for i in (below[0] - 1, below[0]))
    return float(x + (end - x) * (before - threshold) / (before - after))


def _of_rate(rate: bool, table: Array, rng: np.random.Generator, level: float) -> Estimate:
    return rate_estimate(table, level) if rate else mean_estimate(table, rng, level)

"""The variance of a mean over a table of runs × episodes, and the t interval it carries."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special, stats

Array = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Spread:
    """The variance of a mean over runs and episodes, and of its runs alone, with their degrees of freedom."""

    variance: float
    freedom: float
    run_variance: float = 0.0
    run_freedom: float = 1.0

    def half_width(self, level: float) -> float:
        """Return the wider of the two t intervals: two lucky runs can hide how much runs differ."""
        tail = 0.5 + level / 2
        both = stats.t.ppf(tail, self.freedom) * np.sqrt(self.variance)
        return float(max(both, stats.t.ppf(tail, self.run_freedom) * np.sqrt(self.run_variance)))

    def p_value(self, value: float) -> float:
        """Return the two-sided probability of a mean as far from zero as ``value``."""
        pairs = ((self.variance, self.freedom), (self.run_variance, self.run_freedom))
        return max(float(2 * stats.t.sf(abs(value) / np.sqrt(v), f)) if v > 0 else 0.0 for v, f in pairs)


def spread(first: Array, second: Array | None = None) -> Spread:
    """Return the spread of ``first.mean()``, or of ``first.mean() - second.mean()`` over the same episodes.

    Runs, episodes and their interaction are random (Cornfield and Tukey, 1956): the variance is that of runs
    plus episodes minus interaction, never below its largest part, with Satterthwaite's degrees of freedom.
    """
    episodes = first.shape[1]
    if episodes < 2:
        return Spread(variance=np.inf, freedom=1.0)
    profile = first.mean(0) - (0.0 if second is None else second.mean(0))
    columns = float(profile.var(ddof=1)) / episodes
    rows, interaction = [], []
    for table in [first] if second is None else [first, second]:
        runs = len(table)
        if runs > 1:
            residual = table - table.mean(1, keepdims=True) - table.mean(0) + table.mean()
            freedom = (runs - 1) * (episodes - 1)
            rows.append((float(table.mean(1).var(ddof=1)) / runs, runs - 1))
            interaction.append((float((residual**2).sum()) / freedom / table.size, freedom))
    runs_only = sum(part for part, _ in rows)
    whole = max(runs_only, columns, runs_only + columns - sum(part for part, _ in interaction))
    return Spread(
        variance=whole,
        freedom=degrees_of_freedom(whole, [*rows, (columns, episodes - 1), *interaction]),
        run_variance=runs_only,
        run_freedom=degrees_of_freedom(runs_only, rows),
    )


def degrees_of_freedom(variance: float, parts: Sequence[tuple[float, float]]) -> float:
    """Return Satterthwaite's degrees of freedom of a sum of (variance, freedom) parts, at least 1."""
    noise = sum(part**2 / freedom for part, freedom in parts)
    return max(1.0, variance**2 / noise) if noise > 0 else 1.0


def table_of(values: ArrayLike) -> Array:
    """Return values (runs, episodes) without the runs and episodes that hold nothing."""
    table = np.atleast_2d(np.asarray(values, float))
    present = np.isfinite(table)
    kept: Array = np.where(present, table, np.nan)[present.any(1)][:, present.any(0)]
    return kept


def filled(table: Array) -> Array:
    """Return the table with each missing value replaced by what its run and its episode suggest."""
    if not np.isnan(table).any():
        return table
    rows, columns = np.nanmean(table, 1, keepdims=True), np.nanmean(table, 0, keepdims=True)
    return np.where(np.isnan(table), rows + columns - np.nanmean(table), table)


def padded(table: Array, *values: float) -> Array:
    """Return the table with one more episode per value, the same in all runs."""
    return np.hstack([table, np.tile(values, (len(table), 1))])


def clopper_pearson(rate: ArrayLike, count: ArrayLike, level: float) -> tuple[Array, Array]:
    """Return the exact interval of rates over numbers of episodes, which may be broken (Clopper and Pearson, 1934).

    Whatever the rate, intervals hold it at least as often as they say. Of Wilson's at 95 %, near 0 and 1 as few as 83 %
    do, with any number of episodes.

    >>> low, high = clopper_pearson([0.0, 0.5, 1.0], 10, 0.95)
    >>> low.round(3), high.round(3)
    (array([0.   , 0.187, 0.692]), array([0.308, 0.813, 1.   ]))
    """
    rates, tail = np.asarray(rate, float), 0.5 - level / 2
    won, lost = rates * count, (1 - rates) * count
    # A distribution without successes, or without failures, has no quantile: there the interval ends at 0 or 1.
    low: Array = np.where(won > 0, special.betaincinv(np.where(won > 0, won, 1.0), lost + 1, tail), 0.0)
    high: Array = np.where(lost > 0, special.betainccinv(won + 1, np.where(lost > 0, lost, 1.0), tail), 1.0)
    return low, high


def rate_interval(
    rate: float, middle: float, episodes: int, uncertainty: Spread, level: float, most: float = np.inf
) -> tuple[float, float]:
    """Return the interval of a rate over the number of episodes that tell as much as a table does.

    The number is that of one run, times how much smaller the table's variance is than that of one run's outcomes
    (Kish's design effect). The interval is the wider of two: Wilson's with Student's quantile allows for a variance
    that is known from few runs, Clopper and Pearson's for the few failures (or successes) that show near 1 (or 0).

    Args:
        rate: of the table.
        middle: the rate of the table with one failed and one successful episode added.
        episodes: of each run, these two not counted.
        uncertainty: of ``middle``.
        level: how often the interval shall hold the truth.
        most: episodes that the table can count for.
    """
    count = min(most, episodes * middle * (1 - middle) / (episodes + 1) / uncertainty.variance)
    quantile = uncertainty.half_width(level) / np.sqrt(uncertainty.variance)
    extra = quantile**2 / count
    centre = (rate + extra / 2) / (1 + extra)
    half = quantile / (1 + extra) * np.sqrt(rate * (1 - rate) / count + extra / (4 * count))
    low, high = clopper_pearson(rate, count, level)
    # At 0 and 1 it ends at the rate itself, but for rounding.
    return (
        float(max(0.0, min(rate, low, centre - half))),
        float(min(1.0, max(rate, high, centre + half))),
    )

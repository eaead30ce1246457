"""A number with an interval that holds the truth as often as it says, also with two training runs.

Every training run meets the same episode seeds, so values form a table of runs × episodes in which rows and
columns both differ: a policy may be bad in all its episodes, an episode hard for all its policies.
Resampling episodes within runs, or a t interval on run means, sees one of the two: of simulated studies
with 3 runs of 20 episodes, as few as 17 % had the truth in such a "95 %" interval. Here both count;
``tests/stats`` measures it.
"""

import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import optimize, stats

from sim2real.stats.aggregate import mean
from sim2real.stats.spread import (
    Spread,
    clopper_pearson,
    degrees_of_freedom,
    filled,
    padded,
    rate_interval,
    spread,
    table_of,
)

Array = NDArray[np.float64]
Statistic = Callable[[Array], Array]

RESAMPLES = 2000
FLIPS = 10_000
BATCH = 250


@dataclass(frozen=True, kw_only=True)
class Lost:
    """Episodes that were played and gave no number, and between what a number lies whatever they would have been.

    Args:
        count: how many.
        of: all that were played.
        least: the number if every one of them had the lowest value there can be, NaN if none is known.
        most: the same with the highest.
    """

    count: int
    of: int
    least: float = math.nan
    most: float = math.nan

    def __str__(self) -> str:
        return f"{self.count:,} of {self.of:,} lost"


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """A number and the interval around it; all three are NaN where there was no data.

    Args:
        value: the point estimate.
        low: lower end of the interval; minus infinity where a single episode says nothing about others.
        high: upper end of the interval.
        level: how often such intervals hold the truth.
        n_runs: training runs behind the number; with 1 the interval speaks of that one policy only.
        n_episodes: episodes behind the number, all runs together.
        lost: episodes that gave no number, None where all did; with many the value is NaN (`whatever_lost`).

    >>> print(Estimate(value=0.85, low=0.64, high=0.95, n_episodes=20))
    0.85 [0.64, 0.95]
    """

    value: float
    low: float
    high: float
    level: float = 0.95
    n_runs: int = 1
    n_episodes: int = 0
    lost: Lost | None = None

    def __post_init__(self) -> None:
        if not 0 < self.level < 1:
            raise ValueError(f"level is {self.level}; it must lie between 0 and 1.")
        pointless = self.lost is not None and math.isnan(self.value)
        if self.n_episodes and not pointless and not self.low <= self.value <= self.high:
            raise ValueError(f"The value {self.value} lies outside its interval [{self.low}, {self.high}].")

    def widened(self, ends: tuple[float, float]) -> "Estimate":
        """Return the estimate with an interval that holds another one as well."""
        low, high = ends
        return replace(self, low=min(self.low, low), high=max(self.high, high))

    def clipped(self, low: float, high: float) -> "Estimate":
        """Return the estimate with its interval inside what is possible, which costs no truth it held.

        >>> print(Estimate(value=5, low=-3.5, high=13.5, n_episodes=4).clipped(0, 10))
        5 [0, 10]
        """
        return replace(
            self, low=min(self.value, max(self.low, low)), high=max(self.value, min(self.high, high))
        )

    @property
    def at_least(self) -> float:
        """The value, or the lowest it can be where there is none because episodes were lost."""
        return self._or("least", -math.inf)

    @property
    def at_most(self) -> float:
        """The value, or the highest it can be where there is none because episodes were lost."""
        return self._or("most", math.inf)

    def _or(self, end: str, unknown: float) -> float:
        if self.lost is None or not math.isnan(self.value):
            return self.value
        bound = float(getattr(self.lost, end))
        return unknown if math.isnan(bound) else bound

    def __str__(self) -> str:
        value = f"{self.value:.3g}"
        if self.lost and math.isnan(self.value):
            if math.isnan(self.low):
                return f"unknown, {self.lost}"
            value = f"{self.lost.least:.3g} to {self.lost.most:.3g}"
        return f"{value} [{self.low:.3g}, {self.high:.3g}]{f', {self.lost}' if self.lost else ''}"


@dataclass(frozen=True, kw_only=True)
class Difference:
    """A difference, and the probability of one as large if nothing but luck told the two apart.

    Args:
        estimate: the difference with its interval.
        p_value: of the exact test or, with fewer than ``needed`` episodes, of the interval itself.
        episodes: that both sides have.
        needed: so many let the exact test speak at all.
        lost: episodes of the first side that gave no number, and of the second.
        paired: episodes of one seed are the same ones on both sides. Where they are not, the difference varies as
            much as it shows, and interval and test hold all the same.
    """

    estimate: Estimate
    p_value: float
    episodes: int = 0
    needed: int = 0
    lost: tuple[int, int] = (0, 0)
    paired: bool = True

    @property
    def apart(self) -> bool:
        """Whether the interval leaves 0 out."""
        return self.estimate.low > 0 or self.estimate.high < 0

    def significant(self, p_value: float | None = None) -> bool:
        """Tell whether a p value, its own or that one adjusted for many comparisons, is below the error allowed."""
        return (self.p_value if p_value is None else p_value) < 1 - self.estimate.level

    def shown(self, p_value: float | None = None) -> bool:
        """Tell whether it is more than luck: the test says so, and the interval does not contradict it."""
        return self.apart and self.significant(p_value)


def mean_estimate(
    values: ArrayLike,
    rng: np.random.Generator,
    level: float = 0.95,
    bounds: tuple[float, float] = (-math.inf, math.inf),
) -> Estimate:
    """Estimate a mean from values (runs, episodes), NaN where missing.

    One run: the bootstrap over episodes. Several: Student's t on the variance of the two-way table. The interval ends
    where the values do, and has room for unlike episodes where all were alike.

    Args:
        values: the metric.
        rng: where the resampling comes from.
        level: how often the interval shall hold the truth.
        bounds: between which all values lie; where they are infinite, alike episodes leave no room on that side.

    >>> print(mean_estimate([[10.0] * 20], np.random.default_rng(0), bounds=(0.0, 10.0)))
    10 [8.32, 10]
    """
    table = table_of(values)
    if len(table) < 2:
        found = bootstrap_estimate(table, lambda x: mean(x, axis=(-2, -1)), rng, level)
    else:
        whole = filled(table)
        found = around(float(whole.mean()), spread(whole).half_width(level), table, level)
    return _with_room(found, table, bounds).clipped(*bounds)


def _with_room(found: Estimate, table: Array, bounds: tuple[float, float]) -> Estimate:
    """Return an estimate from alike values with room for as many unlike ones, at a bound, as their number allows."""
    if table.size == 0 or np.nanmax(table) > np.nanmin(table):
        return found
    unlike = rate_estimate(0.0 * table, found.level).high
    low, high = (
        found.value + unlike * (end - found.value) if math.isfinite(end) else found.value for end in bounds
    )
    return found.widened((low, high))


def rate_estimate(values: ArrayLike, level: float = 0.95) -> Estimate:
    """Estimate a rate from values in [0, 1] (runs, episodes), NaN where missing.

    Of the outcomes of one run it is Clopper and Pearson's interval, which holds the truth at least as often as it says.
    With several runs, or values that are averages of outcomes, it is `rate_interval`. Its variance is that of the table
    with one failed and one successful episode added, so that runs which all succeed do not pretend to certainty.
    """
    table = table_of(values)
    if table.size == 0:
        return nothing(level)
    whole = filled(table).clip(0, 1)
    outcomes = bool(np.isin(table[np.isfinite(table)], (0.0, 1.0)).all())
    rate, episodes = float(whole.mean()), whole.shape[1]
    if len(table) == 1 and outcomes:
        low, high = clopper_pearson(rate, episodes, level)
        return counted(rate, float(low), float(high), table, level)
    stretched = padded(whole, 0.0, 1.0)
    most = whole.size if outcomes else np.inf
    ends = rate_interval(rate, float(stretched.mean()), episodes, spread(stretched), level, most)
    return counted(rate, *ends, table, level)


def difference(
    first: ArrayLike,
    second: ArrayLike,
    rng: np.random.Generator,
    *,
    same_runs: bool,
    rate: bool = False,
    conditions: int = 1,
    comparisons: int = 1,
    span: float = math.inf,
    level: float = 0.95,
) -> Difference:
    """Estimate the mean of ``first - second``, each (runs, episodes) over the same episode seeds.

    The interval is Student's t; for rates with half an episode of each outcome added (Agresti and Min, 2005), and not
    narrower than `gain_interval` where runs and conditions agree in every episode on who did better. Where no episode
    differs it has room for those that would, if ``span`` is finite.
    The p value is that of sign flips over episodes (for rates, McNemar's exact test) and, with several runs,
    no smaller than that of the t test. Where there are so few episodes that no data whatsoever would let the exact
    test speak, it is the p value of the interval, which is below 1 - level where that leaves 0 out. Which of the two
    is decided by numbers of episodes and comparisons, never by what was measured.

    Args:
        first: values, NaN where missing.
        second: values, NaN where missing; column j is the same episode seed as in ``first``.
        rng: where the sign flips come from.
        same_runs: row i of both is the same training run, as in two conditions of one policy.
        rate: the values are 0 or 1, or means of such.
        conditions: values are means over so many, as in `retention`.
        comparisons: how many there are in all, if p values are to be adjusted for them (`holm`).
        span: no difference is larger, of rates 1.
        level: how often the interval shall hold the truth.
    """
    a, b = np.asarray(first, float), np.asarray(second, float)
    shared = np.isfinite(a).any(0) & np.isfinite(b).any(0)
    tables = [table_of(a - b)] if same_runs else [table_of(a[:, shared]), table_of(b[:, shared])]
    fewest = min(tables, key=len)
    if fewest.size == 0:
        return Difference(estimate=nothing(level), p_value=np.nan)
    whole = [filled(table) for table in tables]
    profile = whole[0].mean(0) - (0.0 if same_runs else whole[1].mean(0))
    value = float(profile.mean())
    if rate:
        # Half an episode in each of the four outcomes adds 0 to the sum and 1 to the sum of squares.
        half, span = np.sqrt(0.5 / conditions), 1.0
        whole = [padded(whole[0], -half, half), *(padded(table, 0.0, 0.0) for table in whole[1:])]
    uncertainty = spread(*whole)
    found = around(value, uncertainty.half_width(level), fewest, level)
    if rate:
        found = found.widened(gain_interval(profile, level))
    elif not profile.any():
        found = _with_room(found, profile[None], (-span, span))
    p_value, needed = _sign_flip(profile, rng), episodes_to_test(comparisons, level)
    if len(profile) < needed and uncertainty.variance > 0:  # else the t test knows nothing of luck
        p_value = max(uncertainty.p_value(value), _gain_p_value(profile) if rate else 0.0)
    elif len(fewest) > 1:
        p_value = max(p_value, uncertainty.p_value(value))
    return Difference(
        estimate=found.clipped(-span, span),
        p_value=p_value,
        episodes=len(profile),
        needed=needed,
    )


def gain_interval(profile: ArrayLike, level: float) -> tuple[float, float]:
    """Return the interval of the share of episodes won less the share lost, from 1, 0 or -1 of each; else an empty one.

    It puts the exact intervals of both shares together, which cannot both be large (MOVER; Zou and Donner, 2008). Where
    twenty of twenty episodes end alike it allows for those that would not; Student's t knows little of them.

    >>> low, high = gain_interval([0.0] * 20, 0.95)
    >>> print(f"{low:.3f} {high:.3f}")
    -0.168 0.168
    """
    episodes = np.asarray(profile, float)
    if not np.isin(episodes, (-1.0, 0.0, 1.0)).all():
        return math.inf, -math.inf
    won, lost = shares = np.array([(episodes > 0).mean(), (episodes < 0).mean()])
    low, high = clopper_pearson(shares, episodes.size, level)
    # Of one episode the covariance of the two is -won * lost.
    together = -np.sqrt(won * lost / ((1 - won) * (1 - lost))) if won * lost > 0 else 0.0

    def apart(x: float, y: float) -> float:
        return float(np.sqrt(x**2 + y**2 - 2 * together * x * y))

    gain = float(won - lost)
    return gain - apart(won - low[0], high[1] - lost), gain + apart(high[0] - won, lost - low[1])


def _gain_p_value(profile: Array) -> float:
    """Return the p value that `gain_interval` stands for: 1 less the level from which on it holds 0."""

    def beyond(level: float) -> float:
        low, high = gain_interval(profile, level)
        return max(low, -high)

    if math.isinf(beyond(0.0)):
        return 0.0
    return 1.0 - float(optimize.brentq(beyond, 0.0, 1 - 1e-12)) if beyond(0.0) > 0 else 1.0


def episodes_to_test(comparisons: int = 1, level: float = 0.95) -> int:
    """Return how many paired episodes let an exact test speak among so many comparisons.

    The smallest p value of n episodes, all of them in favour of the same side, is 2^(1 - n), and Holm's method
    multiplies it by the comparisons.

    >>> episodes_to_test(), episodes_to_test(comparisons=38)
    (6, 11)
    """
    return math.floor(2 + math.log2(max(comparisons, 1) / (1 - level)))


def retention(values: ArrayLike, nominal: ArrayLike, *, rate: bool = False, level: float = 0.95) -> Estimate:
    """Estimate the mean metric over conditions as a fraction of the nominal one, by the delta method.

    NaN where nothing was measured, or where one of the two means is negative or the nominal one 0: a metric that
    falls below 0 has no natural zero, and a fraction of it means nothing.

    Args:
        values: metric (runs, conditions, episodes), NaN where missing.
        nominal: metric (runs, episodes) of the same runs and episode seeds.
        rate: the values are 0 or 1; what `difference` adds to an episode is added to one of its conditions.
        level: how often the interval shall hold the truth.
    """
    conditions, base = np.asarray(values, float), np.asarray(nominal, float)
    kept = mean(conditions, axis=1)
    both = np.isfinite(kept) & np.isfinite(base)
    middle = float(base[both].mean()) if both.any() else 0.0
    if middle <= 0 or kept[both].mean() < 0:
        return nothing(level)
    ratio = float(kept[both].mean()) / middle
    influence = table_of(np.where(both, (kept - ratio * base) / middle, np.nan))
    half = np.sqrt(0.5 / conditions.shape[1]) / middle if rate else 0.0
    width = spread(padded(filled(influence), -half, half) if rate else filled(influence)).half_width(level)
    found = around(ratio, width, influence, level)
    if not rate:
        return found
    gain = filled(table_of(np.where(both, kept - base, np.nan))).mean(0)
    low, high = gain_interval(gain, level)
    return found.widened((1 + low / middle, 1 + high / middle)).clipped(0.0, math.inf)


def bootstrap_estimate(
    values: ArrayLike, statistic: Statistic, rng: np.random.Generator, level: float = 0.95
) -> Estimate:
    """Estimate any statistic of values (runs, [conditions,] episodes) by resampling runs and episodes.

    One run: percentiles over resampled episodes, widened for few of them (Hesterberg, 2015). Several runs:
    the variance over resampled runs plus that over resampled episodes (the same ones for every run), with
    Student's t instead of percentiles, which cannot leave the range of two or three runs.

    Args:
        values: the data, NaN where missing.
        statistic: maps (batch, runs, [conditions,] episodes) to (batch,), past NaN.
        rng: where the resampling comes from.
        level: how often the interval shall hold the truth.
    """
    data = np.asarray(values, float)
    present = np.isfinite(data)
    data = data[present.any(tuple(range(1, data.ndim)))][..., present.any(tuple(range(data.ndim - 1)))]
    if data.size == 0:
        return nothing(level)
    runs, episodes = data.shape[0], data.shape[-1]
    value = float(statistic(data[None])[0])
    if episodes == 1:
        return around(value, np.inf, data, level)
    over_episodes = _resampled(data, statistic, rng, axis=data.ndim - 1)
    if runs == 1:
        quantile = np.sqrt(episodes / (episodes - 1)) * stats.t.ppf(0.5 - level / 2, episodes - 1)
        tail = stats.norm.cdf(quantile)
        low, high = np.quantile(over_episodes, [tail, 1 - tail])
        return counted(value, min(value, float(low)), max(value, float(high)), data, level)
    # Resampling n things shows (n − 1) / n of their variance.
    between = float(_resampled(data, statistic, rng, axis=0).var()) * runs / (runs - 1)
    within = float(over_episodes.var()) * episodes / (episodes - 1)
    uncertainty = Spread(
        variance=between + within,
        freedom=degrees_of_freedom(between + within, [(between, runs - 1), (within, episodes - 1)]),
        run_variance=between,
        run_freedom=runs - 1,
    )
    return around(value, uncertainty.half_width(level), data, level)


def _resampled(data: Array, statistic: Statistic, rng: np.random.Generator, axis: int) -> Array:
    """Return the statistic of RESAMPLES data sets drawn along ``axis`` with replacement."""
    count = data.shape[axis]
    batches = []
    for _ in range(RESAMPLES // BATCH):
        drawn = np.take(data, rng.integers(0, count, (BATCH, count)), axis=axis)
        batches.append(statistic(np.moveaxis(drawn, axis, 0)))
    return np.concatenate(batches)


def _sign_flip(profile: Array, rng: np.random.Generator) -> float:
    """Return the two-sided p value of the mean of paired differences (episodes,), exact for 12 or fewer."""
    sizes = abs(profile[profile != 0])
    if sizes.size == 0:
        return 1.0
    if np.ptp(sizes) < 1e-12:  # outcomes of one run
        return float(stats.binomtest(int((profile > 0).sum()), sizes.size).pvalue)
    bound = abs(profile.sum()) * (1 - 1e-12)
    if len(profile) <= 12:
        signs = np.array(list(itertools.product((-1.0, 1.0), repeat=len(profile))))
        return float((abs(signs @ profile) >= bound).mean())
    reached = 0
    for _ in range(FLIPS // 1000):
        reached += int((abs(rng.choice((-1.0, 1.0), (1000, len(profile))) @ profile) >= bound).sum())
    return (1 + reached) / (1 + FLIPS)


def nothing(level: float) -> Estimate:
    """Return the estimate of what was never measured."""
    return Estimate(value=np.nan, low=np.nan, high=np.nan, level=level, n_runs=0)


def around(value: float, half_width: float, data: Array, level: float) -> Estimate:
    """Return the estimate with a symmetric interval."""
    return counted(value, value - half_width, value + half_width, data, level)


def counted(value: float, low: float, high: float, data: Array, level: float) -> Estimate:
    """Return the estimate with what was counted in ``data`` (runs, …, episodes)."""
    counted = int(np.isfinite(data).sum())
    low, high = float(low), float(high)
    return Estimate(value=value, low=low, high=high, level=level, n_runs=len(data), n_episodes=counted)

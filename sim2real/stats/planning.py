"""Before the run: the smallest difference that a study of so many runs and episodes would find."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import ArrayLike
from scipy import optimize, stats

from sim2real.stats.estimate import difference, episodes_to_test
from sim2real.stats.spread import degrees_of_freedom, filled, table_of

MOST = 2**20
"""Runs or episodes that nobody has."""


@dataclass(frozen=True, kw_only=True)
class Variation:
    """How much a paired difference varies, as standard deviations of one value in a table of runs × episodes.

    Args:
        runs: between training runs.
        episodes: between episodes, alike in all runs.
        rest: all else.
    """

    runs: float = 0.0
    episodes: float = 0.0
    rest: float = 0.0

    def __post_init__(self) -> None:
        if not (min(self.runs, self.episodes, self.rest) >= 0 < self.runs + self.episodes + self.rest):
            raise ValueError(f"Standard deviations must not be negative, nor all be zero: {self}.")


def variation(differences: ArrayLike) -> Variation:
    """Return what a table of paired differences (runs, episodes) varies by, NaN where missing.

    From the mean squares of the two-way table (Cornfield and Tukey, 1956); of one run, everything is `rest`.

    Raises:
        ValueError: if there are fewer than two episodes, or no two differences differ.
    """
    table = table_of(differences)
    if table.size == 0 or table.shape[1] < 2:
        raise ValueError("Two episodes, at the least, tell how much they vary.")
    whole = filled(table)
    runs, episodes = whole.shape
    if runs == 1:
        return Variation(rest=float(whole.std(ddof=1)))
    residual = whole - whole.mean(1, keepdims=True) - whole.mean(0) + whole.mean()
    rest = float((residual**2).sum()) / ((runs - 1) * (episodes - 1))
    between = max(0.0, float(whole.mean(1).var(ddof=1)) - rest / episodes)
    common = max(0.0, float(whole.mean(0).var(ddof=1)) - rest / runs)
    return Variation(runs=math.sqrt(between), episodes=math.sqrt(common), rest=math.sqrt(rest))


def power(
    effect: float,
    of: Variation,
    *,
    runs: int,
    episodes: int,
    same_runs: bool = True,
    rate: bool = False,
    level: float = 0.95,
) -> float:
    """Return the probability that `difference` finds one where the true difference is ``effect``.

    That its interval leaves 0 out, by the noncentral t distribution for the wider of its two intervals; of one run's
    outcomes that McNemar's exact test finds it, or the interval where episodes are too few for that.

    Args:
        effect: the true difference.
        of: what differences vary by.
        runs: training runs, of each side.
        episodes: of each run.
        same_runs: the two sides are two conditions of the same runs; otherwise each has runs of its own.
        rate: the values are 0 or 1.
        level: of the interval.
    """
    if rate and runs == 1:
        return _power_of_outcomes(abs(effect), of, episodes, level)
    between = of.runs**2 / runs if runs > 1 else 0.0
    common, rest = of.episodes**2 / episodes, of.rest**2 / (runs * episodes)
    variance = between + common + rest
    tail = 0.5 + level / 2
    free_runs = float(runs - 1)
    if not same_runs:
        # What Satterthwaite's formula gives on average for two variances that are equal, but estimated apart.
        free_runs *= 2 * runs / (runs + 1)
    parts: list[tuple[float, float]] = [(common + rest, episodes - 1)]
    if runs > 1:
        parts += [(between + rest, free_runs), (rest, (runs - 1) * (episodes - 1))]
    freedom = degrees_of_freedom(variance, parts)
    shift = abs(effect) / math.sqrt(variance)
    found = float(stats.nct.sf(stats.t.ppf(tail, freedom), freedom, shift))
    if runs > 1:
        reach = stats.t.ppf(tail, free_runs) * math.sqrt((between + rest) / variance)
        found = min(found, float(stats.nct.sf(reach, free_runs, shift)))
    return found


def _power_of_outcomes(effect: float, of: Variation, episodes: int, level: float) -> float:
    """Return the probability that a difference of one run's rates is found, summed over what can happen.

    The share of episodes that end differently is the one at which differences vary as is said.
    """
    variance = of.runs**2 + of.episodes**2 + of.rest**2
    differing = max(effect, min(1.0, variance + effect**2))
    # Beyond ten standard deviations there is nothing to add up.
    middle, around = episodes * differing, 10 * math.sqrt(episodes * differing * (1 - differing)) + 1
    counts = np.arange(max(0, math.floor(middle - around)), min(episodes, math.ceil(middle + around)) + 1)
    if episodes < episodes_to_test(level=level):
        lost = np.array([_most_lost(int(count), episodes, level) for count in counts])
    else:
        lost = stats.binom.ppf(0.5 - level / 2, counts, 0.5) - 1  # the most that McNemar's test allows
    found = stats.binom.sf(counts - lost - 1, counts, min(1.0, (1 + effect / differing) / 2))
    return float(stats.binom.pmf(counts, episodes, differing) @ found)


@cache
def _most_lost(count: int, episodes: int, level: float) -> int:
    """Return how many of the episodes that end differently may be lost for the interval to leave 0 out, -1 if none."""

    def apart(lost: int) -> bool:
        table = np.repeat([1.0, -1.0, 0.0], [count - lost, lost, episodes - count])[None]
        unused = np.random.default_rng(0)  # nothing is drawn for outcomes of one run
        return difference(table, 0 * table, unused, same_runs=True, rate=True, level=level).apart

    return max((lost for lost in range(count // 2 + 1) if apart(lost)), default=-1)


def detectable_effect(
    of: Variation,
    *,
    runs: int,
    episodes: int,
    same_runs: bool = True,
    rate: bool = False,
    at: float = 0.8,
    level: float = 0.95,
) -> float:
    """Return the smallest true difference that is found with a probability ``at``: the minimum detectable effect.

    Arguments as for `power`; infinite for a single episode, and where no difference of rates is large enough.

    >>> round(detectable_effect(Variation(rest=1.0), runs=1, episodes=30), 2)
    0.53
    """
    if episodes < 2:
        return math.inf

    def short(effect: float) -> float:
        found = power(effect, of, runs=runs, episodes=episodes, same_runs=same_runs, rate=rate, level=level)
        return found - at

    high = 1.0 if rate else math.sqrt((of.runs**2 + of.episodes**2 + of.rest**2) / episodes)
    while short(high) < 0:
        if rate:
            return math.inf
        high *= 2
    return float(optimize.brentq(short, 0.0, high, xtol=1e-6 * high))


def episodes_needed(
    effect: float,
    of: Variation,
    *,
    runs: int,
    same_runs: bool = True,
    rate: bool = False,
    at: float = 0.8,
    level: float = 0.95,
) -> int | None:
    """Return how many episodes of each run find a difference with a probability ``at``, None if no number does.

    Arguments as for `power`: between a few training runs, no number of episodes finds what the runs themselves hide.
    Of rates some larger numbers find less again, as an exact test has steps.

    >>> episodes_needed(0.5, Variation(rest=1.0), runs=1)
    34
    """

    def enough(episodes: int) -> bool:
        found = power(effect, of, runs=runs, episodes=episodes, same_runs=same_runs, rate=rate, level=level)
        return found >= at

    return _least(enough, 2)


def runs_needed(
    effect: float,
    of: Variation,
    *,
    episodes: int,
    same_runs: bool = True,
    at: float = 0.8,
    level: float = 0.95,
) -> int | None:
    """Return how many training runs, from two on, find a difference with a probability ``at``, None if no number does.

    Arguments as for `power`, which is the same for rates.
    """

    def enough(runs: int) -> bool:
        return power(effect, of, runs=runs, episodes=episodes, same_runs=same_runs, level=level) >= at

    return _least(enough, 2)


def _least(enough: Callable[[int], bool], least: int) -> int | None:
    """Return the least number that is enough, from some number on, None if not even `MOST` is."""
    high = least
    while not enough(high):
        if high >= MOST:
            return None
        high *= 2
    low = max(least, high // 2)
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if enough(middle) else (middle + 1, high)
    return high

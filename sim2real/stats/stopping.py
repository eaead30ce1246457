"""Stopping when an interval is narrow enough, without paying for it with intervals that are too narrow."""

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import ArrayLike

from sim2real.stats.estimate import Estimate, mean_estimate, rate_estimate
from sim2real.stats.spread import padded, table_of

GROWTH = math.sqrt(2.0)
"""From one look to the next; at twice as many a study plays 1.4 times what it needs, on average, and at this 1.2."""

SPENT = 0.6
"""Share of the error of a mean's interval that is left to it when one looks often; ``tests/stats`` measures what that
holds."""

SPENT_ON_RATES = 0.9
"""The same for rates: with it at least 93 % of the intervals at which one stops hold the rate; ``tests/stats`` counts
them for half widths from 0.03 on."""


def looks(least: int, most: int) -> tuple[int, ...]:
    """Return the numbers of episodes at which one looks: `GROWTH` times as many each, and the most there may be.

    >>> looks(10, 100)
    (10, 15, 22, 32, 46, 66, 94, 100)
    """
    found = [min(least, most)]
    while found[-1] < most:
        found.append(min(math.ceil(GROWTH * found[-1]), most))
    return tuple(found)


def spent(level: float, rate: bool = False) -> float:
    """Return the level of each interval such that the one at which a study stops holds the truth at a level.

    A rule that stops on the width alone does not multiply the error by the looks, as one that stops on a difference
    does. It errs where few episodes show too small a spread.

    >>> round(spent(0.95), 4), round(spent(0.95, rate=True), 4)
    (0.97, 0.955)
    """
    return 1.0 - (SPENT_ON_RATES if rate else SPENT) * (1.0 - level)


def look(
    values: ArrayLike,
    half_width: float,
    rng: np.random.Generator,
    *,
    met: Sequence[float] = (),
    rate: bool = False,
    level: float = 0.95,
) -> tuple[Estimate, bool]:
    """Return what is known of a mean, and whether that is enough to stop.

    The interval is one at the level that is `spent`. Of a rate it is that of `rate_estimate`, which allows by itself
    for what few outcomes do not show. Of other means it holds that of one more episode as unlike the others as any
    that was met: ten alike episodes of a policy that falls once in thirty look like certainty, and a rule that stops
    at small spreads stops just there.

    Args:
        values: the metric (runs, episodes), NaN where missing.
        half_width: of the interval that is wanted.
        rng: where the resampling comes from.
        met: values that the whole study met, such as its lowest and its highest.
        rate: the values are 0 or 1.
        level: how often the interval shall hold the truth where one stops.
    """
    each = spent(level, rate)
    found = replace(rate_estimate(values, each) if rate else _doubted(values, rng, met, each), level=level)
    return found, found.high - found.low <= 2 * half_width


def _doubted(values: ArrayLike, rng: np.random.Generator, met: Sequence[float], level: float) -> Estimate:
    """Return the estimate of a mean whose interval has room for one more episode, of the values that were met."""
    found = mean_estimate(values, rng, level)
    if found.n_episodes and met:
        unlike = max(met, key=lambda end: abs(end - found.value))
        more = mean_estimate(padded(table_of(values), unlike), rng, level)
        found = replace(found, low=min(found.low, more.low), high=max(found.high, more.high))
    return found

"""Episodes that were played and gave no number: between what a figure lies, whatever they would have been.

A simulation that diverges does so where things are hard, so to leave its episodes out flatters. Instead nothing is
assumed about them: a mean lies between those with all of them at the lowest value there can be and at the highest (the
worst-case bounds of Manski, 1990). The interval goes from the lower end of the one to the upper end of the other.
"""

import math
from dataclasses import replace

from sim2real.stats.estimate import Difference, Estimate, Lost

LOST_SHARE = 0.05
"""Share of a condition's episodes up to which their loss leaves a point estimate.

In trials with people, losses below 5 % are taken to do little harm (Schulz and Grimes, 2002, Lancet 359, 781). Here
they move a rate by 5 points at most, half of what a policy may lose and still hold.
"""


def many(lost: int, of: int) -> bool:
    """Tell whether so many are lost that there is no point estimate."""
    return lost > LOST_SHARE * of


def whatever_lost(
    known: Estimate, lost: int, of: int, ends: tuple[Estimate, Estimate] | None, *, pointless: bool
) -> Estimate:
    """Return an estimate that holds whatever the lost episodes would have been; with none lost it is as it was.

    Args:
        known: from the episodes that gave a number.
        lost: how many gave none.
        of: how many were played.
        ends: the estimate with all lost episodes at the lowest and at the highest value there can be, in either order;
            None where the metric has no such values.
        pointless: too many are lost for a point estimate; without ends there is no interval either.

    >>> few, none, all = (Estimate(value=v, low=v - 0.2, high=v, n_episodes=9) for v in (1.0, 0.9, 1.0))
    >>> print(whatever_lost(few, 1, 10, (none, all), pointless=True))
    0.9 to 1 [0.7, 1], 1 of 10 lost
    """
    if not lost:
        return known
    value = math.nan if pointless else known.value
    if ends is None or any(math.isnan(one.value) for one in ends):
        low, high = (math.nan, math.nan) if pointless else (known.low, known.high)
        return replace(known, value=value, low=low, high=high, lost=Lost(count=lost, of=of))
    sides = [one for one in (*ends, known) if not math.isnan(one.value)]
    least, most = sorted(one.value for one in ends)
    return replace(
        known,
        value=value,
        low=min(one.low for one in sides),
        high=max(one.high for one in sides),
        lost=Lost(count=lost, of=of, least=least, most=most),
    )


def difference_whatever_lost(
    known: Difference,
    lost: tuple[int, int],
    of: int,
    ends: tuple[Difference, Difference] | None,
    *,
    pointless: bool,
) -> Difference:
    """Return a paired difference that holds whatever the lost episodes would have been.

    Its p value is the largest of those it may have: that of no difference, 1, where it may be on either side of 0.

    Args:
        known: from the pairs that both sides have.
        lost: how many episodes of the first side gave no number, and of the second.
        of: how many were played, on both sides together.
        ends: the difference with the lost episodes of one side at the lowest value and those of the other at the
            highest, and the other way round; None where the metric has no such values.
        pointless: as for `whatever_lost`; without ends there is no test either.
    """
    if not any(lost):
        return known
    estimates = (ends[0].estimate, ends[1].estimate) if ends else None
    found = whatever_lost(known.estimate, sum(lost), of, estimates, pointless=pointless)
    p_value = math.nan if pointless else known.p_value
    if found.lost and found.lost.least <= found.lost.most:
        sides = [one.p_value for one in (*(ends or ()), known) if not math.isnan(one.p_value)]
        p_value = 1.0 if found.lost.least <= 0 <= found.lost.most else max(sides)
    return replace(known, estimate=found, p_value=p_value, lost=lost)

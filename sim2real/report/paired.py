"""Paired differences: two sides that met the same episodes, whatever those that either lost would have been.

Where episodes do not repeat there are no same episodes: the difference has the same numbers, and is told as not paired.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from sim2real.report.table import Array, Table
from sim2real.stats import Difference, difference, difference_whatever_lost, mean


@dataclass(frozen=True, kw_only=True)
class Side:
    """A policy under some conditions; in each episode the mean over them counts."""

    table: Table
    policy: str
    conditions: tuple[str, ...]
    metric: str | None = None  # the study's own

    @property
    def runs(self) -> Sequence[str]:
        """What tells its training runs from others."""
        return [file.sha256 for file in self.table.study.policies[self.policy]]

    @property
    def counted(self) -> tuple[int, int, bool]:
        """How many of its episodes are lost and were played, and whether a condition has lost too many."""
        return self.table.counted([(self.policy, label) for label in self.conditions], self.metric)

    def values(self, lost_as: float) -> Array:
        """Return the metric (runs, conditions, episodes), lost episodes as given; NaN leaves them out."""
        return self.table.stacked(self.policy, self.conditions, self.metric, lost_as)


def paired(first: Side, second: Side, *, comparisons: int = 1) -> Difference:
    """Estimate by how much the first side does better than the second on the same episodes.

    Only what both sides have is compared, condition by condition: else a side would gain by losing what is hard.

    Args:
        first: what is judged.
        second: what it is held against, of the same number of conditions.
        comparisons: how many there are in all, if p values are to be adjusted for them.
    """
    table, name = second.table, second.metric or second.table.study.metric
    same = first.runs == second.runs

    def found(lost_as: float, opposite: float) -> Difference:
        a, b = first.values(lost_as), second.values(opposite)
        here, there = np.isfinite(a), np.isfinite(b)
        both = here & there if same else here.any(0) & there.any(0)
        return difference(
            mean(np.where(both, a, np.nan), axis=1),
            mean(np.where(both, b, np.nan), axis=1),
            table.rng(),
            same_runs=same,
            rate=name in first.table.rates & table.rates,
            conditions=len(first.conditions),
            comparisons=comparisons,
            span=table.span(name),
        )

    repeats = all(side.table.repeats(side.policy, side.conditions) for side in (first, second))
    known = replace(found(math.nan, math.nan), paired=repeats)
    (lost, of, pointless), (its_lost, its_of, its_pointless) = first.counted, second.counted
    ends = None
    if lost + its_lost and (mine := first.table.ends(name)) and (its := table.ends(name)):
        low, high = min(mine[0], its[0]), max(mine[1], its[1])
        ends = found(low, high), found(high, low)
    return difference_whatever_lost(
        known, (lost, its_lost), of + its_of, ends, pointless=pointless or its_pointless
    )

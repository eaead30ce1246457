"""What to do about it: which perturbation to widen in training, and how far, from where its curve leaves the margin."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from sim2real.perturb.heldout import reached
from sim2real.report.curves import Line, SeverityCurve, enough
from sim2real.report.severity import Family
from sim2real.report.table import Table
from sim2real.stats import Estimate, margin, mean
from sim2real.study.study import NOMINAL


@dataclass(frozen=True, kw_only=True)
class Advice:
    """What one side of a severity curve asks of the next training.

    Args:
        policy: who breaks.
        family: the perturbation.
        below: towards smaller severities than nominal.
        held: the last severity before the first that breaks it, None if the first one tested does.
        broken: the first severity that breaks it: as far as training should go.
        crossing: the severity at which the curve leaves the margin, None if nominal has no place on it.
        met: the most severe that training met on this side, None if nothing of the kind or if it does not tell.
        do: "add" it to training, "widen" it there, "learn" what was met already, or "declare" what was met.
        share: how much of the tested range is held.
    """

    policy: str
    family: Family
    below: bool
    held: float | None
    broken: float
    crossing: Estimate | None
    met: float | None
    do: Literal["add", "widen", "learn", "declare"]
    share: float


def advice(table: Table, curves: Sequence[SeverityCurve]) -> tuple[Advice, ...]:
    """Return what to do about every side of every curve that leaves the margin, the most fragile side first."""
    found = [one for curve in curves for line in curve.lines for one in _sides(table, curve.family, line)]
    return tuple(sorted(found, key=lambda one: one.share))


def _sides(table: Table, family: Family, line: Line) -> Iterator[Advice]:
    centre = family.nominal_x
    for side, below in ((line.below, True), (line.above, False)):
        if side is None or side.broken is None or centre is None:
            continue
        label = line.conditions[line.x.index(side.broken)]
        share = _reached(table, line.policy, label)
        met = None
        if share:
            met = centre + share * (side.broken - centre) if math.isfinite(centre) else side.broken / share
        yield Advice(
            policy=line.policy,
            family=family,
            below=below,
            held=side.held,
            broken=side.broken,
            crossing=_crossing(table, line, centre, below) if math.isfinite(centre) else None,
            met=met,
            do="declare" if share is None else "add" if not share else "widen" if share < 1 else "learn",
            share=side.share,
        )


def _crossing(table: Table, line: Line, centre: float, below: bool) -> Estimate:
    """Return the severity at which a curve, straight between those tested, leaves the margin on one side."""
    labels = dict(zip(line.x, line.conditions, strict=True))
    tested = sorted((x for x in labels if (x < centre if below else x > centre)), reverse=below)
    conditions = (NOMINAL, *(labels[x] for x in tested))
    nominal = float(mean(table.stacked(line.policy, conditions)[:, 0], axis=(0, 1)))
    rate = table.study.metric in table.rates
    sign = -1 if below else 1

    def found(lost_as: float, opposite: float) -> Estimate:
        stacked = table.stacked(line.policy, conditions, lost_as=lost_as)
        one = margin(stacked, (centre, *tested), enough(nominal), table.rng(), rate=rate)
        low, high = sorted(centre + sign * end for end in (one.low, one.high))
        return replace(one, value=centre + sign * one.value, low=low, high=high)

    return table.whatever_lost(found, [(line.policy, label) for label in conditions])


def _reached(table: Table, policy: str, label: str) -> float | None:
    """Return how far training went along a condition, in the run in which it went farthest; None if none tells."""
    nominals = {name: fact["nominal"] for name, fact in table.meta.get("parameters", {}).items()}
    condition, groups = tuple(table.study.conditions[label]), table.meta.get("groups", {})
    seen = [run.seen for run in table.study.policies[policy]]
    return max((reached(condition, one, nominals, groups) for one in seen if one is not None), default=None)

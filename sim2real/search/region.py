"""A region: perturbations of which each may be as strong as it likes; a point says how strong each is."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from sim2real.perturb import OPERATIONS, Amount, Perturbation, at_quantiles, matching
from sim2real.perturb.amounts import hull
from sim2real.study import NOMINAL

DIGITS = 5
"""Digits of an amount that is tried: what is found can be written by hand, and equal points are equal trials."""


@dataclass(frozen=True, kw_only=True)
class Axis:
    """One perturbation of a region, with a scale from 0 to 1 as in `sim2real.perturb.protocols`.

    Attributes:
        item: the perturbation.
        name: of the axis, unique in its region.
        nominal: value of the parameter, None for a signal or where the target names several values.
        unit: of the parameter, "" if it has none.
    """

    item: Perturbation
    name: str
    nominal: float | None = None
    unit: str = ""

    @cached_property
    def varies(self) -> str:
        """What a point chooses: "amount" where that becomes constant, or else "strength"."""
        (placed,) = at_quantiles([self.item], [0.5])
        return "strength" if placed.amount == self.item.amount else "amount"

    @cached_property
    def ends(self) -> tuple[float, float]:
        """The smallest and the largest amount or strength."""
        if self.varies == "strength":
            return 0.0, self.item.strength
        assert isinstance(self.item.amount, Amount)  # nothing else becomes another amount
        return hull(self.item.amount.support())

    def at(self, quantile: float) -> Perturbation:
        """Return the perturbation at a place from 0 to 1 of its scale."""
        (placed,) = at_quantiles([self.item], [quantile])
        value = min(max(_short(self.value(placed)), self.ends[0]), self.ends[1])
        return replace(placed, **{self.varies: value})  # type: ignore[arg-type]

    def value(self, item: Perturbation) -> float:
        """Return the amount, or else the strength, of this perturbation at some place."""
        return float(getattr(item, self.varies))

    def severity(self, item: Perturbation) -> float | None:
        """Return 0 for what changes nothing to 1 for the far end of the axis, None where nobody knows.

        A limit is twice as severe at half its size.
        """
        share, identity = item.strength / self.item.strength, OPERATIONS[item.operation].identity
        rest = self.nominal if identity is None else identity
        if self.varies == "strength":
            return share
        if rest is None:
            return None
        if math.isinf(rest):
            return share * self.ends[0] / self.value(item)
        return share * abs(self.value(item) - rest) / max(abs(end - rest) for end in self.ends)

    def weakened(self, item: Perturbation, share: float) -> Perturbation:
        """Return what ``item.at(share)`` does, written as a plain amount wherever that says the same."""
        identity = OPERATIONS[item.operation].identity
        if self.varies == "strength" or item.strength != 1 or (identity is None and self.nominal is None):
            return replace(item, strength=_short(item.strength * share))
        if identity is None:
            assert self.nominal is not None
            amount = self.nominal + share * (self.value(item) - self.nominal)
        else:
            amount = OPERATIONS[item.operation].weaken(self.value(item), share)
        return replace(item, amount=math.floor(amount + 0.5) if item.operation == "delay" else _short(amount))

    def to_json(self) -> dict[str, Any]:
        """Return the axis as plain JSON values."""
        low, high = self.ends
        return {
            "name": self.name, "label": self.item.label, "varies": self.varies, "low": low, "high": high,
            "nominal": self.nominal, "unit": self.unit,
        }  # fmt: skip


Point = Mapping[Axis, Perturbation]
"""What acts at a point of a region, in the order of its axes."""


def axes(region: Sequence[Perturbation], facts: Mapping[str, Any]) -> tuple[Axis, ...]:
    """Return the axes of a region.

    Args:
        region: what may vary.
        facts: "parameters" and "groups" as in a study's `study.json`, for nominal values and units.
    """
    known = facts["parameters"]
    targets = [item.target.removeprefix("parameter:") for item in region]
    found = []
    for item, target in zip(region, targets, strict=True):
        names = matching(target, known, facts["groups"]) if item.target.startswith("parameter:") else []
        nominals = {known[name]["nominal"] for name in names}
        found.append(
            Axis(
                item=item,
                name=target if targets.count(target) == 1 else item.label,
                nominal=nominals.pop() if len(nominals) == 1 else None,
                unit=next((known[name]["unit"] for name in names), ""),
            )
        )
    return tuple(found)


def point_at(region: Sequence[Axis], quantiles: Sequence[float]) -> Point:
    """Return the point of a region at places from 0 to 1, one for each axis.

    >>> from sim2real.perturb import Uniform, scale
    >>> region = axes([scale("parameter:mass", Uniform(0.5, 1.0))], {"parameters": {}, "groups": {}})
    >>> label(point_at(region, [0.25]))
    'scale mass by 0.625'
    """
    return acting({axis: axis.at(float(each)) for axis, each in zip(region, quantiles, strict=True)})


def acting(point: Point) -> Point:
    """Return a point without what does nothing there."""
    return {axis: item for axis, item in point.items() if item.acts}


def label(point: Point) -> str:
    """Return the name of a point among the conditions of a study: what it does, so that equal ones are one."""
    return "; ".join(item.label for item in point.values()) or NOMINAL


def _short(value: float) -> float:
    return float(f"{value:.{DIGITS}g}")

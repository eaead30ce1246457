"""Which perturbations matter, and which interact: the Sobol indices that a search left beside the records."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sim2real.report import beside
from sim2real.report.table import Table
from sim2real.stats import Estimate

FILE = "sensitivity.json"


@dataclass(frozen=True, kw_only=True)
class Axis:
    """One thing that varied: the share of the metric's variance that it decides alone, and with all others."""

    name: str
    what: str
    first: Estimate
    total: Estimate


@dataclass(frozen=True, kw_only=True)
class Sensitivity:
    """What decides a policy's metric over a region: the axis with the largest total index first."""

    policy: str
    metric: str
    points: int
    axes: tuple[Axis, ...]
    pairs: tuple[tuple[str, str, Estimate], ...]  # which interact, most first
    sentence: str


def sensitivities(table: Table) -> tuple[Sensitivity, ...]:
    """Return what `sensitivity.json` holds, policy by policy; nothing where there is no such file.

    Raises:
        Sim2RealError: If the file cannot be read.
    """
    return beside.read(table.path / FILE, "sensitivities", _sensitivities) or ()


def _sensitivities(found: Mapping[str, Any]) -> tuple[Sensitivity, ...]:
    labels = {axis["name"]: axis["label"] for axis in found["region"]}
    return tuple(
        _sensitivity(policy, metric, told, labels, int(found["points"]))
        for policy, metrics in found["policies"].items()
        for metric, told in metrics.items()
    )


def _sensitivity(
    policy: str, metric: str, told: Mapping[str, Any], labels: Mapping[str, str], points: int
) -> Sensitivity:
    axes = (
        Axis(
            name=name,
            what=labels[name],
            first=beside.estimate(first, points),
            total=beside.estimate(told["total"][name], points),
        )
        for name, first in told["first"].items()
    )
    return Sensitivity(
        policy=policy,
        metric=metric,
        points=points,
        axes=tuple(sorted(axes, key=lambda axis: -axis.total.value)),
        pairs=tuple((*pair["between"], beside.estimate(pair, points)) for pair in told["pairs"]),
        sentence=told["sentence"],
    )

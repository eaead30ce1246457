"""Severity curves: a metric against how severe a perturbation is, and how far along it a policy holds."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sim2real.perturb import HeldOutKind
from sim2real.report.severity import Family, families
from sim2real.report.table import Table
from sim2real.stats import Estimate, area, mean
from sim2real.study.study import NOMINAL, Reference

Kinds = Mapping[tuple[str, str], HeldOutKind]

SAFETY = ("safe_share", "cost", "interventions")
"""Metrics of safety, drawn against severity wherever anything counts them."""

KEPT = 0.9
"""Share of the nominal metric that counts as holding."""


@dataclass(frozen=True, kw_only=True)
class Reach:
    """How far along one side of a severity curve a policy keeps `KEPT` of its nominal metric.

    Args:
        held: the last severity before the first that breaks it, None if the first one tested does.
        broken: the first severity that breaks it, or loses too many episodes to tell; None if none tested does.
        share: how much of the tested range, counted from nominal, is held.
    """

    held: float | None
    broken: float | None
    share: float


@dataclass(frozen=True, kw_only=True)
class Line:
    """One policy's way along a severity curve; nominal is among its points where it has a place."""

    policy: str
    x: tuple[float, ...]
    estimates: tuple[Estimate, ...]
    conditions: tuple[str, ...]
    seen: tuple[bool, ...]
    below: Reach | None  # towards smaller severities than nominal
    above: Reach | None
    area: Estimate


@dataclass(frozen=True, kw_only=True)
class SeverityCurve:
    """One family of conditions: a metric of the competent policies against severity."""

    family: Family
    metric: str
    lines: tuple[Line, ...]
    references: tuple[Reference, ...]


def severity_curves(
    table: Table, policies: Sequence[str], kinds: Kinds
) -> tuple[tuple[SeverityCurve, ...], tuple[SeverityCurve, ...]]:
    """Return the curves of the study's metric, and those of others: what safety costs, what was published.

    Args:
        table: the records.
        policies: whose lines are wanted.
        kinds: how each (policy, condition) relates to the policy's training.
    """
    published = [(one.target, one.metric) for one in table.study.references]
    own, others = [], []
    for family in grouped(table):
        own.append(_curve(table, family, table.study.metric, policies, kinds))
        wanted = [*SAFETY, *(metric for target, metric in published if target == family.target)]
        for metric in dict.fromkeys(wanted):
            if metric in table.metrics and metric != table.study.metric:
                others.append(_curve(table, family, metric, policies, kinds))
    return tuple(one for one in own if one.lines), tuple(one for one in others if one.lines)


def grouped(table: Table) -> tuple[Family, ...]:
    """Return the families of a study's conditions."""
    facts = table.meta.get("parameters", {})
    conditions = {label: tuple(condition) for label, condition in table.study.conditions.items()}
    nominals = {name: fact["nominal"] for name, fact in facts.items()}
    units = {name: fact["unit"] for name, fact in facts.items()}
    return families(conditions, nominals, units, table.meta.get("groups", {}))


def _curve(table: Table, family: Family, metric: str, policies: Sequence[str], kinds: Kinds) -> SeverityCurve:
    lines = (_line(table, family, metric, policy, kinds) for policy in policies)
    references = (
        one for one in table.study.references if (one.target, one.metric) == (family.target, metric)
    )
    return SeverityCurve(
        family=family,
        metric=metric,
        lines=tuple(line for line in lines if line),
        references=tuple(references),
    )


def _line(table: Table, family: Family, metric: str, policy: str, kinds: Kinds) -> Line | None:
    """Return the policy's line through what acted, None if nothing did."""
    centre = family.nominal_x
    labels = {
        x: label
        for x, label in family.points
        if x != centre and table.acted(policy, label) and table.measured(policy, label, metric)
    }
    if not labels:
        return None
    if centre is not None and math.isfinite(centre):
        labels[centre] = NOMINAL
    x = sorted(labels)
    conditions = tuple(labels[value] for value in x)
    estimates = tuple(table.cell(policy, label, metric) for label in conditions)
    values = {value: estimate.at_least for value, estimate in zip(x, estimates, strict=True)}
    nominal = float(mean(table.values(policy, NOMINAL, metric), axis=(0, 1)))
    below = above = None
    if centre is not None:
        below = _reach([value for value in reversed(x) if value < centre], centre, values, nominal)
        above = _reach([value for value in x if value > centre], centre, values, nominal)

    def heights(lost_as: float, opposite: float) -> Estimate:
        return table.estimate(area(table.stacked(policy, conditions, metric, lost_as), x), metric)

    cells = [(policy, label) for label in conditions]
    return Line(
        policy=policy,
        x=tuple(x),
        estimates=estimates,
        conditions=conditions,
        seen=tuple(label == NOMINAL or kinds[policy, label] == "in-distribution" for label in conditions),
        below=below,
        above=above,
        area=table.whatever_lost(heights, cells, metric) if len(x) > 1 else estimates[0],
    )


def enough(nominal: float) -> float:
    """Return the value of a metric below which a policy does not hold."""
    return nominal - (1 - KEPT) * abs(nominal)


def _reach(
    outward: Sequence[float], centre: float, values: dict[float, float], nominal: float
) -> Reach | None:
    """Return how far the metric holds from nominal outward, None where nothing was tested."""
    if not outward:
        return None
    held = 0
    while held < len(outward) and values[outward[held]] >= enough(nominal):
        held += 1
    last = outward[held - 1] if held else None
    # A limit has its nominal value at infinity: there the share is counted in severities.
    share = held / len(outward)
    if math.isfinite(centre):
        share = abs(last - centre) / abs(outward[-1] - centre) if last is not None else 0.0
    return Reach(held=last, broken=outward[held] if held < len(outward) else None, share=share)

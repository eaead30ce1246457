"""The same conditions in another simulator: which findings are about the world, and which about the simulator."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sim2real.perturb import Condition, HeldOutKind, Make, makes
from sim2real.report.curves import SeverityCurve, severity_curves
from sim2real.report.paired import Side, paired
from sim2real.report.table import Table
from sim2real.stats import Difference, Estimate, bootstrap_estimate, holm, mean
from sim2real.stats.rank import tau_b
from sim2real.study.seeds import canonical
from sim2real.study.store import Store
from sim2real.study.study import NOMINAL


@dataclass(frozen=True, kw_only=True)
class Pair:
    """One policy under one condition, in the study's own environment and in the one made otherwise."""

    policy: str
    condition: str  # its label here
    index: int  # its place in the table
    elsewhere: str  # and there
    here: Estimate
    there: Estimate
    change: Difference  # from here to there, paired by episode
    adjusted_p: float

    @property
    def shown(self) -> bool:
        """Whether the two differ by more than luck among all conditions of the policy."""
        return self.change.shown(self.adjusted_p)


@dataclass(frozen=True, kw_only=True)
class Agreement:
    """How alike both put things in order of the metric: Kendall's τ_b over pairs, 1 for alike, −1 for opposite.

    The interval is the bootstrap's, over the same episodes of everything at once.
    """

    policy: str  # whose conditions are put in order; "" for the policies, under every condition
    tau: Estimate
    things: int


@dataclass(frozen=True, kw_only=True)
class Break:
    """The side of a severity curve of which a policy holds the smallest share, here and there; None for none broken."""

    policy: str
    here: str | None
    there: str | None


@dataclass(frozen=True, kw_only=True)
class Elsewhere:
    """All that was done in the environment made otherwise, beside the same in the study's own."""

    name: str  # of the environment made otherwise: "engine=mujoco"
    pairs: tuple[Pair, ...]
    conditions: tuple[Agreement, ...]
    policies: Agreement | None
    curves: tuple[SeverityCurve, ...]  # for every policy one line here, and one named `there` of it
    breaks: tuple[Break, ...]

    def there(self, policy: str) -> str:
        """Return what a policy's line is called in the environment made otherwise."""
        return f"{policy}, {self.name}"


def elsewhere(table: Table, store: Store, policies: Sequence[str]) -> tuple[Elsewhere, ...]:
    """Return what the study's records tell of every environment that its conditions make otherwise.

    A condition is compared with the one that differs from it in how the environment is made alone.

    Args:
        table: the records.
        store: where they are from.
        policies: whose numbers are wanted.
    """
    here: dict[Condition, str] = {}
    for label, condition in table.study.conditions.items():
        if not makes(condition):
            here.setdefault(tuple(condition), label)
    worlds: dict[str, dict[str, str]] = {}
    for label, condition in table.study.conditions.items():
        rest = tuple(item for item in condition if not isinstance(item, Make))
        if (made := makes(condition)) and rest in here:
            worlds.setdefault(canonical(made), {}).setdefault(here[rest], label)
    return tuple(_compare(table, store, policies, labels) for labels in worlds.values())


def _compare(table: Table, store: Store, policies: Sequence[str], labels: dict[str, str]) -> Elsewhere:
    """Compare conditions (label here -> label there) that are made alike."""
    made = makes(table.study.conditions[next(iter(labels.values()))])
    name = ", ".join(f"{keyword}={value}" for keyword, value in made.items())
    pairs = [pair for policy in policies for pair in _pairs(table, policy, labels)]
    curves = _curves(table, store, policies, labels, made, name) if NOMINAL in labels else ()
    several = len(policies) > 1
    return Elsewhere(
        name=name,
        pairs=tuple(pairs),
        conditions=tuple(_agreement(table, (policy,), labels) for policy in policies if len(labels) > 1),
        policies=_agreement(table, policies, labels) if several else None,
        curves=curves,
        breaks=tuple(
            Break(policy=policy, here=_first(curves, policy), there=_first(curves, f"{policy}, {name}"))
            for policy in policies
            if curves
        ),
    )


def _pairs(table: Table, policy: str, labels: dict[str, str]) -> list[Pair]:
    def side(label: str) -> Side:
        return Side(table=table, policy=policy, conditions=(label,))

    changes = [paired(side(there), side(here), comparisons=len(labels)) for here, there in labels.items()]
    adjusted = holm([change.p_value for change in changes])
    return [
        Pair(
            policy=policy,
            condition=here,
            index=index,
            elsewhere=there,
            here=table.cell(policy, here),
            there=table.cell(policy, there),
            change=change,
            adjusted_p=float(p),
        )
        for index, ((here, there), change, p) in enumerate(
            zip(labels.items(), changes, adjusted, strict=True)
        )
    ]


def _agreement(table: Table, policies: Sequence[str], labels: dict[str, str]) -> Agreement:
    """Return how alike here and there are in the order of one policy's conditions, or of several policies."""
    sides = [
        [[table.values(policy, label) for policy in policies] for label in side]
        for side in (labels.keys(), labels.values())
    ]
    shape = (2, len(labels), len(policies))
    runs = max(len(table.study.policies[policy]) for policy in policies)
    data = np.full((*shape, runs, table.study.episodes), np.nan)  # policies may have other numbers of runs
    for i, side in enumerate(sides):
        for j, cells in enumerate(side):
            for k, values in enumerate(cells):
                data[i, j, k, : len(values)] = values

    def statistic(drawn: NDArray[np.float64]) -> NDArray[np.float64]:
        means = mean(drawn, axis=(1, 3)).reshape(-1, *shape)
        return tau_b(*(means if len(policies) > 1 else means.swapaxes(-1, -2)).swapaxes(0, 1))

    flat = np.moveaxis(data, -2, 0).reshape(runs, -1, table.study.episodes)
    one = len(policies) == 1
    tau = bootstrap_estimate(flat, statistic, table.rng())
    return Agreement(
        policy=policies[0] if one else "",
        tau=tau.clipped(-1.0, 1.0),  # Student's interval may leave them
        things=len(labels) if one else len(policies),
    )


def _curves(
    table: Table,
    store: Store,
    policies: Sequence[str],
    labels: dict[str, str],
    made: dict[str, Any],
    name: str,
) -> tuple[SeverityCurve, ...]:
    """Return severity curves with a line here and a line there for every policy.

    The trials of conditions that make their environment otherwise are those of a study whose environment is made so,
    and of that study the curves are drawn as of any other.
    """
    study = table.study
    conditions = {label: study.conditions[label] for label in labels}
    kinds: dict[tuple[str, str], HeldOutKind] = {
        (policy, label): "unseen kind" for policy in policies for label in labels
    }
    alike = replace(study, conditions=conditions, references=(), only={})
    tables = (Table(replace(alike, env_kwargs={**study.env_kwargs, **extra}), store) for extra in ({}, made))
    here, there = (severity_curves(one, policies, kinds)[0] for one in tables)
    others = {curve.family.title: curve.lines for curve in there}
    order = [line for policy in policies for line in (policy, f"{policy}, {name}")]
    found = []
    for curve in here:
        named = (
            replace(line, policy=f"{line.policy}, {name}") for line in others.get(curve.family.title, ())
        )
        lines = sorted((*curve.lines, *named), key=lambda line: order.index(line.policy))
        found.append(replace(curve, lines=tuple(lines)))
    return tuple(found)


def _first(curves: Sequence[SeverityCurve], policy: str) -> str | None:
    """Return the perturbation of whose tested range a policy holds the smallest share, of those that break it."""
    sides = [
        (side.share, curve.family.title)
        for curve in curves
        for line in curve.lines
        for side in (line.below, line.above)
        if line.policy == policy and side and side.broken is not None
    ]
    return min(sides, key=lambda found: found[0], default=(0.0, None))[1]

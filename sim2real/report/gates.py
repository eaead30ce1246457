"""What may be said at all: which policies are competent, what acted, what was held out, what gave no number."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from sim2real.perturb import HeldOutKind
from sim2real.report.table import Table
from sim2real.stats import LOST_SHARE, Estimate, mean
from sim2real.study.heldout import kind_in
from sim2real.study.study import NOMINAL

TOO_MANY = f"more than {100 * LOST_SHARE:g} % of the episodes gave no number, so there is no point estimate"


@dataclass(frozen=True, kw_only=True)
class Competence:
    """What a policy does in the nominal world, and whether that is enough to speak of its robustness."""

    policy: str
    nominal: Estimate
    required: float
    runs: tuple[float, ...]  # the mean of every training run

    @property
    def passed(self) -> bool:
        """Whether the metric reaches what the study asks for."""
        return self.nominal.value >= self.required


@dataclass(frozen=True, kw_only=True)
class Gate:
    """A figure that is not shown, and why."""

    kind: str
    policy: str
    condition: str
    reason: str


@dataclass(frozen=True, kw_only=True)
class Failures:
    """Trials that gave no number, and how many of them are outcomes of their condition."""

    expected: int
    statuses: tuple[tuple[str, int], ...]
    errors: tuple[tuple[str, int], ...]
    unknown: int  # ran to their end, and the study's metric is not known of them
    lost: int

    @property
    def without_number(self) -> int:
        """How many trials gave no number."""
        return self.unknown + sum(count for status, count in self.statuses if status != "ok")


def competence(table: Table, policy: str) -> Competence:
    """Return what a policy does in the nominal world."""
    values = table.values(policy, NOMINAL)
    return Competence(
        policy=policy,
        nominal=table.cell(policy, NOMINAL),
        required=table.study.competent,
        runs=tuple(float(run) for run in mean(values, axis=1)),
    )


def kind_of(table: Table, policy: str, label: str) -> HeldOutKind:
    """Return how the condition relates to the training of a policy; one run that saw it is enough."""
    study, condition = table.study, table.study.conditions[label]
    kinds = [kind_in(study, run, condition, table.meta) for run in study.policies[policy]]
    return next((kind for kind in ("in-distribution", "undeclared") if kind in kinds), kinds[0])


def declared(table: Table, policy: str) -> bool:
    """Tell whether every training run of a policy says what it was trained on."""
    return all(run.seen is not None for run in table.study.policies[policy])


def gates_of(
    table: Table,
    competence: Sequence[Competence],
    kinds: dict[tuple[str, str], HeldOutKind],
    unmoved: Sequence[tuple[str, str]],
) -> tuple[Gate, ...]:
    """Return what is not shown, and why: incompetent policies, what was lost or did not act, what is not held out."""
    gates = []
    for one in competence:
        if not one.passed:
            reason = "not competent at nominal"
            if math.isnan(one.nominal.value):
                reason = TOO_MANY if one.nominal.lost else "no nominal episode was recorded"
            gates.append(Gate(kind="competence", policy=one.policy, condition=NOMINAL, reason=reason))
    for policy, label in kinds:
        if table.counted([(policy, label)])[2]:
            gates.append(Gate(kind="lost", policy=policy, condition=label, reason=TOO_MANY))
        elif not table.measured(policy, label):
            reason = "no episode was recorded"
            gates.append(Gate(kind="not measured", policy=policy, condition=label, reason=reason))
    for policy, label in unmoved:
        reason = "every episode is bit-identical to its nominal one: the perturbation did not act"
        gates.append(Gate(kind="no effect", policy=policy, condition=label, reason=reason))
    for policy, label in kinds:
        if (policy, label) not in unmoved and (parts := table.inert_parts(policy, label)):
            named = " and ".join(f"'{part}'" for part in parts)
            reason = f"{named} changed no value in any episode, so the figure is of its other parts"
            gates.append(Gate(kind="inert part", policy=policy, condition=label, reason=reason))
    for policy, label in kinds:
        if not table.repeats(policy, [label]):
            reason = "its episodes do not repeat, so it cannot be told whether a perturbation acted"
            gates.append(Gate(kind="not repeatable", policy=policy, condition=label, reason=reason))
    for (policy, label), kind in kinds.items():
        if kind == "in-distribution":
            reason = "met in training, so not held out"
            gates.append(Gate(kind="seen", policy=policy, condition=label, reason=reason))
    for policy in {policy: None for (policy, _), kind in kinds.items() if kind == "undeclared"}:
        reason = "what it was trained on is not declared, so nothing can be called held out"
        gates.append(Gate(kind="undeclared", policy=policy, condition="", reason=reason))
    return tuple(gates)


def failures(table: Table) -> Failures:
    """Count the trials that gave no number."""
    study, statuses = table.study, table.statuses()
    cells = [(policy, label) for policy in study.policies for label in study.conditions]
    return Failures(
        expected=statuses.total(),
        statuses=tuple(sorted(statuses.items())),
        errors=tuple(table.errors().most_common(8)),
        unknown=sum(int(table.unknown(*cell).sum()) for cell in cells),
        lost=table.counted(cells)[0],
    )

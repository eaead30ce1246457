"""The numbers of a report, without a word of HTML or a line of ink: what is drawn is what is tested."""

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sim2real.perturb import HeldOutKind, Perturbation, held_out_kind
from sim2real.report.curves import Line, Reach, SeverityCurve, grouped, severity_curves
from sim2real.report.table import Table
from sim2real.stats import (
    Difference,
    Estimate,
    difference,
    holm,
    mean,
    mean_estimate,
    rate_estimate,
    retention,
)
from sim2real.study.study import NOMINAL
from sim2real.study.trial import Trial

WORST_SHARE = 0.25
"""Share of the held-out conditions in the tail that is reported."""


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
class HeldOut:
    """One policy under one condition that it was not trained for."""

    policy: str
    condition: str
    condition_index: int
    kind: HeldOutKind
    estimate: Estimate
    nominal: float
    to_nominal: Difference
    adjusted_p: float
    endings: tuple[tuple[str, int], ...]


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """Two policies over the same conditions and episodes."""

    first: str
    second: str
    nominal: Difference
    held_out: Difference
    conditions: int
    declared: bool


@dataclass(frozen=True, kw_only=True)
class Challenges:
    """The three challenges of reinforcement learning for robots, each with its number."""

    policy: str
    steps: tuple[float, ...]  # environment steps of every training run that declares them
    runs: int
    hazard: str  # what the two safety numbers count
    hazard_is_rate: bool
    hazard_nominal: Estimate
    hazard_perturbed: Estimate
    interventions: Estimate | None
    kept: Estimate | None
    worst: Estimate | None
    conditions: int
    declared: bool  # whether the policy says what it was trained on


@dataclass(frozen=True, kw_only=True)
class Price:
    """What shields cost a policy and what they save: behind them against without, on the same episodes."""

    policy: str  # behind shields
    bare: str  # the same training runs without
    shields: tuple[str, ...]
    perturbed: bool  # over all perturbed conditions, or in the nominal world
    interventions: Estimate  # share of steps
    success: Difference
    returns: Difference
    bare_return: float
    cost: Difference
    bare_cost: float


@dataclass(frozen=True, kw_only=True)
class Gate:
    """A figure that is not shown, and why."""

    kind: str
    policy: str
    condition: str
    reason: str


@dataclass(frozen=True, kw_only=True)
class Failures:
    """Trials that gave no number."""

    expected: int
    statuses: tuple[tuple[str, int], ...]
    errors: tuple[tuple[str, int], ...]

    @property
    def without_number(self) -> int:
        """How many trials are missing from every figure."""
        return sum(count for status, count in self.statuses if status != "ok")


@dataclass(frozen=True, kw_only=True)
class Cell:
    """Every metric of one policy under one condition."""

    policy: str
    condition: str
    trials: int
    estimates: tuple[tuple[str, Estimate], ...]


@dataclass(frozen=True, kw_only=True)
class Sample:
    """One episode worth looking at: the worst of a condition."""

    policy: str
    condition: str
    run: int
    episode: int
    trial: Trial
    digest: str
    ending: str
    value: float


@dataclass(frozen=True, kw_only=True)
class Figures:
    """All numbers of a report."""

    competence: tuple[Competence, ...]
    gates: tuple[Gate, ...]
    curves: tuple[SeverityCurve, ...]
    other_curves: tuple[SeverityCurve, ...]  # of other metrics, for which there are published numbers
    held_out: tuple[HeldOut, ...]
    comparisons: tuple[Comparison, ...]
    challenges: tuple[Challenges, ...]
    prices: tuple[Price, ...]
    failures: Failures
    cells: tuple[Cell, ...]
    samples: tuple[Sample, ...]

    @property
    def competent(self) -> tuple[str, ...]:
        """The policies whose robustness is reported."""
        return tuple(competence.policy for competence in self.competence if competence.passed)

    def worst(self, policy: str) -> HeldOut | None:
        """Return the policy's worst held-out condition."""
        rows = [row for row in self.held_out if row.policy == policy]
        return min(rows, key=lambda row: row.estimate.value, default=None)

    def first_to_break(self, policy: str) -> tuple[SeverityCurve, Line, Reach, float] | None:
        """Return the curve and side of which the policy holds the smallest share, and where it breaks."""
        sides = [
            (curve, line, side, side.broken)
            for curve in self.curves
            for line in curve.lines
            for side in (line.below, line.above)
            if line.policy == policy and side and side.broken is not None
        ]
        return min(sides, key=lambda found: found[2].share, default=None)


def figures(table: Table) -> Figures:
    """Compute every number of a report."""
    study = table.study
    competence = tuple(_competence(table, policy) for policy in study.policies)
    passed = [one.policy for one in competence if one.passed]
    kinds = {(policy, label): _kind(table, policy, label) for policy in passed for label in table.perturbed}
    curves, others = severity_curves(table, passed, kinds)
    # A grid may well go through the nominal value: nobody expects that to act.
    idle = {label for family in grouped(table) for x, label in family.points if x == family.nominal_x}
    unmoved = [
        (policy, label)
        for (policy, label), kind in kinds.items()
        if kind != "nominal" and label not in idle and not table.acted(policy, label)
    ]
    held = [
        pair
        for pair, kind in kinds.items()
        if kind not in ("nominal", "in-distribution")
        and table.acted(*pair)
        and np.isfinite(table.values(*pair)).any()
    ]
    rows = _held_out(table, held, kinds)
    return Figures(
        competence=competence,
        gates=_gates(competence, kinds, unmoved),
        curves=curves,
        other_curves=others,
        held_out=rows,
        comparisons=_comparisons(table, passed, held),
        challenges=tuple(_challenges(table, policy, held) for policy in passed),
        prices=tuple(_prices(table)),
        failures=_failures(table),
        cells=tuple(_cell(table, policy, label) for policy in study.policies for label in study.conditions),
        samples=_samples(table, rows),
    )


def _competence(table: Table, policy: str) -> Competence:
    values = table.values(policy, NOMINAL)
    return Competence(
        policy=policy,
        nominal=table.estimate(values),
        required=table.study.competent,
        runs=tuple(float(run) for run in mean(values, axis=1)),
    )


def _kind(table: Table, policy: str, label: str) -> HeldOutKind:
    """Return how the condition relates to the training of a policy; one run that saw it is enough."""
    condition = tuple(table.study.conditions[label])
    nominals = {name: fact["nominal"] for name, fact in table.meta.get("parameters", {}).items()}
    groups = table.meta.get("groups", {})
    kinds = [held_out_kind(condition, run.seen, nominals, groups) for run in table.study.policies[policy]]
    return next((kind for kind in ("in-distribution", "undeclared") if kind in kinds), kinds[0])


def _declared(table: Table, policy: str) -> bool:
    """Tell whether every training run of a policy says what it was trained on."""
    return all(run.seen is not None for run in table.study.policies[policy])


def _gates(
    competence: Sequence[Competence],
    kinds: dict[tuple[str, str], HeldOutKind],
    unmoved: Sequence[tuple[str, str]],
) -> tuple[Gate, ...]:
    gates = []
    for one in competence:
        if not one.passed:
            reason = (
                "no nominal episode was recorded"
                if not one.nominal.n_episodes
                else "not competent at nominal"
            )
            gates.append(Gate(kind="competence", policy=one.policy, condition=NOMINAL, reason=reason))
    for policy, label in unmoved:
        reason = "every episode is bit-identical to its nominal one: the perturbation did not act"
        gates.append(Gate(kind="no effect", policy=policy, condition=label, reason=reason))
    for (policy, label), kind in kinds.items():
        if kind == "in-distribution":
            reason = "met in training, so not held out"
            gates.append(Gate(kind="seen", policy=policy, condition=label, reason=reason))
    for policy in {policy: None for (policy, _), kind in kinds.items() if kind == "undeclared"}:
        reason = "what it was trained on is not declared, so nothing can be called held out"
        gates.append(Gate(kind="undeclared", policy=policy, condition="", reason=reason))
    return tuple(gates)


def _held_out(
    table: Table, held: Sequence[tuple[str, str]], kinds: dict[tuple[str, str], HeldOutKind]
) -> tuple[HeldOut, ...]:
    """Return a row per policy and condition, the p values of each policy adjusted over its conditions."""
    differences = [
        _difference(table, table.values(policy, label), table.values(policy, NOMINAL), same_runs=True)
        for policy, label in held
    ]
    adjusted = np.full(len(held), np.nan)
    for policy in {policy for policy, _ in held}:
        mine = [index for index, (its_policy, _) in enumerate(held) if its_policy == policy]
        adjusted[mine] = holm([differences[index].p_value for index in mine])
    return tuple(
        HeldOut(
            policy=policy,
            condition=label,
            condition_index=table.perturbed.index(label),
            kind=kinds[policy, label],
            estimate=table.estimate(table.values(policy, label)),
            nominal=float(mean(table.values(policy, NOMINAL), axis=(0, 1))),
            to_nominal=one,
            adjusted_p=float(p),
            endings=endings(table, policy, label),
        )
        for (policy, label), one, p in zip(held, differences, adjusted, strict=True)
    )


def endings(table: Table, policy: str, label: str) -> tuple[tuple[str, int], ...]:
    """Count how the episodes of a cell ended, most frequent first; "" is the end of the time."""
    rows = table.rows(policy, label)
    return tuple(Counter(row["termination"] or "" for row in rows if row["status"] == "ok").most_common())


def _difference(
    table: Table,
    first: NDArray[np.float64],
    second: NDArray[np.float64],
    *,
    same_runs: bool,
    averaged: bool = False,
) -> Difference:
    rate = table.study.metric in table.rates and not averaged
    return difference(first, second, table.rng(), same_runs=same_runs, rate=rate)


def _comparisons(
    table: Table, policies: Sequence[str], held: Sequence[tuple[str, str]]
) -> tuple[Comparison, ...]:
    """Compare every policy with the first one, over the conditions that are held out for both."""
    found = []
    for second in policies[1:]:
        first = policies[0]
        common = tuple(label for label in table.perturbed if {(first, label), (second, label)} <= set(held))
        files = [[run.sha256 for run in table.study.policies[policy]] for policy in (first, second)]
        same = files[0] == files[1]  # and only what they stand behind differs
        if common:
            averages = [mean(table.stacked(policy, common), axis=1) for policy in (second, first)]
            nominal = [table.values(policy, NOMINAL) for policy in (second, first)]
            found.append(
                Comparison(
                    first=first,
                    second=second,
                    nominal=_difference(table, *nominal, same_runs=same),
                    held_out=_difference(table, *averages, same_runs=same, averaged=True),
                    conditions=len(common),
                    declared=_declared(table, first) and _declared(table, second),
                )
            )
    return tuple(found)


def _challenges(table: Table, policy: str, held: Sequence[tuple[str, str]]) -> Challenges:
    runs = table.study.policies[policy]
    declared = [run.contract.training.get("steps") for run in runs]
    labels = tuple(label for its_policy, label in held if its_policy == policy)
    hazard, metric = _hazard(table)
    stacked = table.stacked(policy, labels) if labels else None
    rate = table.study.metric in table.rates
    shielded = any(row["interventions"] for row in table.rows(policy))
    tested = (NOMINAL, *table.perturbed)
    return Challenges(
        policy=policy,
        steps=tuple(float(steps) for steps in declared if isinstance(steps, int | float)),
        runs=len(runs),
        hazard=hazard,
        hazard_is_rate=not metric,
        hazard_nominal=_hazard_estimate(table, policy, (NOMINAL,), metric),
        hazard_perturbed=_hazard_estimate(table, policy, table.perturbed or (NOMINAL,), metric),
        interventions=_hazard_estimate(table, policy, tested, "interventions") if shielded else None,
        kept=retention(stacked, table.values(policy, NOMINAL), rate=rate) if stacked is not None else None,
        worst=_worst(table, stacked) if stacked is not None else None,
        conditions=len(labels),
        declared=_declared(table, policy),
    )


def _hazard(table: Table) -> tuple[str, str]:
    """Return what safety is told by, and its metric, "" for episodes that end early."""
    for metric, words in (
        ("cost", "constraint cost per episode"),
        ("violations", "constraint violations per episode"),
    ):
        if any(row[metric] for row in table.rows()):
            return words, metric
    return "episodes that end early without success", ""


def _hazard_estimate(table: Table, policy: str, labels: Sequence[str], metric: str) -> Estimate:
    if metric:
        return mean_estimate(mean(table.stacked(policy, tuple(labels), metric), axis=1), table.rng())
    ended = [table.ended_early(policy, label) for label in labels]
    return rate_estimate(mean(np.stack(ended, axis=1), axis=1))


def _worst(table: Table, stacked: NDArray[np.float64]) -> Estimate:
    """Estimate the mean over the worst conditions, a share of `WORST_SHARE` of them."""
    order = np.argsort(mean(stacked, axis=(0, 2)))
    worst = order[: math.ceil(WORST_SHARE * len(order))]
    return table.estimate(mean(stacked[:, worst], axis=1))


def _prices(table: Table) -> Iterator[Price]:
    """Compare every policy behind shields with the same files without."""
    for policy, runs in table.study.policies.items():
        for bare, same in table.study.policies.items():
            if runs[0].shields and same == tuple(run.behind() for run in runs):
                for labels in filter(None, ((NOMINAL,), table.perturbed)):
                    yield _price(table, policy, bare, labels)


def _price(table: Table, policy: str, bare: str, labels: tuple[str, ...]) -> Price:
    def averaged(label: str, metric: str) -> NDArray[np.float64]:
        return mean(table.stacked(label, labels, metric), axis=1)

    def against(metric: str) -> Difference:
        return difference(averaged(policy, metric), averaged(bare, metric), table.rng(), same_runs=True)

    share = averaged(policy, "interventions") / averaged(policy, "length")
    return Price(
        policy=policy,
        bare=bare,
        shields=tuple(shield.name for shield in table.study.policies[policy][0].shields),
        perturbed=labels != (NOMINAL,),
        interventions=mean_estimate(share, table.rng()),
        success=against("success"),
        returns=against("return"),
        bare_return=float(np.nanmean(averaged(bare, "return"))),
        cost=against("cost"),
        bare_cost=float(np.nanmean(averaged(bare, "cost"))),
    )


def _failures(table: Table) -> Failures:
    statuses = table.statuses()
    errors = Counter(row["error"] or row["status"] for row in table.rows() if row["status"] != "ok")
    return Failures(
        expected=statuses.total(),
        statuses=tuple(sorted(statuses.items())),
        errors=tuple(errors.most_common(8)),
    )


def _cell(table: Table, policy: str, label: str) -> Cell:
    estimates = ((name, table.estimate(table.values(policy, label, name), name)) for name in table.metrics)
    return Cell(
        policy=policy,
        condition=label,
        trials=int(np.isfinite(table.values(policy, label)).sum()),
        estimates=tuple(estimates),
    )


def _samples(table: Table, rows: Sequence[HeldOut]) -> tuple[Sample, ...]:
    """Return each policy's worst episode for every thing perturbed that harms it, worst condition first."""
    samples = []
    met: set[tuple[object, ...]] = set()
    for row in sorted(rows, key=lambda row: row.estimate.value):
        condition = table.study.conditions[row.condition]
        what = (
            row.policy,
            *(item.identity if isinstance(item, Perturbation) else item for item in condition),
        )
        if row.to_nominal.estimate.value < 0 and what not in met:
            met.add(what)
            values = table.values(row.policy, row.condition)
            run, episode = (int(i) for i in np.unravel_index(np.nanargmin(values), values.shape))
            place = (row.policy, row.condition, run, episode)
            record = table.row(*place)
            samples.append(
                Sample(
                    policy=row.policy,
                    condition=row.condition,
                    run=run,
                    episode=episode,
                    trial=table.trials[place],
                    digest=record["digest"] or "",
                    ending=record["termination"] or "",
                    value=float(values[run, episode]),
                )
            )
    return tuple(samples)

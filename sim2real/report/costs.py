"""At what price: what a policy took to train, how safe it is, what it keeps, and what shields cost it."""

import math
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from sim2real.report.gates import declared
from sim2real.report.paired import Side, paired
from sim2real.report.table import Table
from sim2real.stats import Difference, Estimate, mean, mean_estimate, rate_estimate, retention
from sim2real.study.study import NOMINAL

WORST_SHARE = 0.25
"""Share of the held-out conditions in the tail that is reported."""


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
    change: Difference | None  # from nominal, where a share of it means nothing
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
    bare_return: Estimate
    cost: Difference
    bare_cost: Estimate


@dataclass(frozen=True, kw_only=True)
class Efficiency:
    """What training steps bought: each run's mean metric over the conditions that are held out for all policies."""

    policy: str
    steps: tuple[float, ...]  # of every training run that declares them
    values: tuple[float, ...]  # of the same runs
    estimate: Estimate
    conditions: int


def challenges(table: Table, policy: str, held: Sequence[tuple[str, str]]) -> Challenges:
    """Return what a policy took to train, how safe it is and what it keeps under its held-out conditions."""
    runs = table.study.policies[policy]
    labels = tuple(label for its_policy, label in held if its_policy == policy)
    hazard, metric = _hazard(table)
    shielded = table.occurs("interventions", policy)
    tested = (NOMINAL, *table.perturbed)
    kept = _kept(table, policy, labels) if labels else None
    return Challenges(
        policy=policy,
        steps=tuple(steps for steps in _steps(table, policy) if steps),
        runs=len(runs),
        hazard=hazard,
        hazard_is_rate=not metric,
        hazard_nominal=_hazard_estimate(table, policy, (NOMINAL,), metric),
        hazard_perturbed=_hazard_estimate(table, policy, table.perturbed or (NOMINAL,), metric),
        interventions=_hazard_estimate(table, policy, tested, "interventions") if shielded else None,
        kept=kept,
        change=_change(table, policy, labels) if kept and not (kept.n_episodes or kept.lost) else None,
        worst=_worst(table, policy, labels) if labels else None,
        conditions=len(labels),
        declared=declared(table, policy),
    )


def efficiencies(
    table: Table, policies: Sequence[str], held: Collection[tuple[str, str]]
) -> tuple[Efficiency, ...]:
    """Return what steps bought, nothing where no two training runs declare different numbers of them."""
    steps = {policy: _steps(table, policy) for policy in policies}
    told = [policy for policy in policies if any(steps[policy])]
    labels = tuple(label for label in table.perturbed if all((policy, label) in held for policy in told))
    if not labels or len({count for policy in told for count in steps[policy] if count}) < 2:
        return ()
    found = []
    for policy in told:
        values = mean(table.stacked(policy, labels), axis=1)
        runs = [
            (count, float(value))
            for count, value in zip(steps[policy], mean(values, axis=1), strict=True)
            if count
        ]
        found.append(
            Efficiency(
                policy=policy,
                steps=tuple(count for count, _ in runs),
                values=tuple(value for _, value in runs),
                estimate=table.average(policy, labels),
                conditions=len(labels),
            )
        )
    return tuple(found)


def _steps(table: Table, policy: str) -> tuple[float | None, ...]:
    """Return the environment steps of every training run, None where its file does not tell."""
    told = (run.contract.training.get("steps") for run in table.study.policies[policy])
    return tuple(float(steps) if isinstance(steps, int | float) else None for steps in told)


def _hazard(table: Table) -> tuple[str, str]:
    """Return what safety is told by, and its metric, "" for episodes that end early."""
    for metric, words in (
        ("cost", "constraint cost per episode"),
        ("violations", "constraint violations per episode"),
    ):
        if table.occurs(metric):
            return words, metric
    without = " without success" if table.tells_success else ""
    return f"episodes that end early{without}", ""


def _hazard_estimate(table: Table, policy: str, labels: Sequence[str], metric: str) -> Estimate:
    if metric:
        return table.average(policy, tuple(labels), metric)

    def found(lost_as: float, opposite: float) -> Estimate:
        ended = [table.ended_early(policy, label, lost_as) for label in labels]
        return rate_estimate(mean(np.stack(ended, axis=1), axis=1))

    told = "success" if table.tells_success else "length"
    return table.whatever_lost(found, [(policy, label) for label in labels], told, (0.0, 1.0))


def _kept(table: Table, policy: str, labels: tuple[str, ...]) -> Estimate:
    """Estimate the mean over conditions as a share of nominal."""
    rate = table.study.metric in table.rates

    def found(lost_as: float, opposite: float) -> Estimate:
        stacked = table.stacked(policy, labels, lost_as=lost_as)
        return retention(stacked, table.values(policy, NOMINAL, lost_as=opposite), rate=rate)

    return table.whatever_lost(found, [(policy, label) for label in (NOMINAL, *labels)])


def _change(table: Table, policy: str, labels: tuple[str, ...]) -> Difference:
    """Estimate by how much the mean over conditions differs from nominal."""
    sides = (labels, (NOMINAL,) * len(labels))
    return paired(*(Side(table=table, policy=policy, conditions=some) for some in sides))


def _worst(table: Table, policy: str, labels: tuple[str, ...]) -> Estimate:
    """Estimate the mean over the worst conditions, a share of `WORST_SHARE` of them."""
    low, _ = table.ends() or (math.nan, math.nan)
    heights = mean(table.stacked(policy, labels, lost_as=low), axis=(0, 2))
    if math.isnan(low):
        heights[[table.counted([(policy, label)])[2] for label in labels]] = -math.inf
    order = np.argsort(heights)[: math.ceil(WORST_SHARE * len(labels))]
    return table.average(policy, tuple(labels[i] for i in order))


def prices(table: Table) -> Iterator[Price]:
    """Compare every policy behind shields with the same files without."""
    for policy, runs in table.study.policies.items():
        for bare, same in table.study.policies.items():
            if runs[0].shields and same == tuple(run.behind() for run in runs):
                for labels in filter(None, ((NOMINAL,), table.perturbed)):
                    yield _price(table, policy, bare, labels)


def _price(table: Table, policy: str, bare: str, labels: tuple[str, ...]) -> Price:
    def side(label: str, metric: str) -> Side:
        return Side(table=table, policy=label, conditions=labels, metric=metric)

    def steps(lost_as: float, opposite: float) -> Estimate:
        changed, played = (
            mean(table.stacked(policy, labels, metric), axis=1) for metric in ("interventions", "length")
        )
        return mean_estimate(changed / played, table.rng(), bounds=(0.0, 1.0))

    def against(metric: str) -> Difference:
        return paired(side(policy, metric), side(bare, metric))

    return Price(
        policy=policy,
        bare=bare,
        shields=tuple(shield.name for shield in table.study.policies[policy][0].shields),
        perturbed=labels != (NOMINAL,),
        interventions=table.whatever_lost(steps, [(policy, label) for label in labels], "interventions"),
        success=against("success"),
        returns=against("return"),
        bare_return=table.average(bare, labels, "return"),
        cost=against("cost"),
        bare_cost=table.average(bare, labels, "cost"),
    )

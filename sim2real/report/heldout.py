"""What policies do under what they were not trained for, and how they differ in it."""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sim2real.perturb import HeldOutKind
from sim2real.report.gates import declared
from sim2real.report.table import Table
from sim2real.stats import Difference, Estimate, difference, holm, mean, performance_profile
from sim2real.study.study import NOMINAL

Pair = tuple[str, str]  # policy, condition

THRESHOLDS = 51
"""Values of the metric at which a profile is told."""


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

    @property
    def shown(self) -> bool:
        """Whether it differs from nominal by more than luck among all conditions of the policy."""
        return self.to_nominal.shown(self.adjusted_p)


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
class Square:
    """One policy under one condition, held out or not: a square of the heat map."""

    policy: str
    condition: str
    kind: HeldOutKind
    estimate: Estimate
    kept: float  # share of the nominal mean, NaN where that is not positive


@dataclass(frozen=True, kw_only=True)
class Profile:
    """How much of what is held out a policy does how well (Agarwal et al., 2021).

    Args:
        policy: whose.
        above: values of the metric, rising.
        share: the part of all pairs of training run and condition whose mean over episodes lies above each.
        conditions: how many, the same for all policies.
    """

    policy: str
    above: tuple[float, ...]
    share: tuple[Estimate, ...]
    conditions: int


def held_out(
    table: Table, held: Sequence[tuple[str, str]], kinds: dict[tuple[str, str], HeldOutKind]
) -> tuple[HeldOut, ...]:
    """Return a row per policy and condition, the p values of each policy adjusted over its conditions."""
    counts = Counter(policy for policy, _ in held)
    differences = [
        _difference(
            table,
            table.values(policy, label),
            table.values(policy, NOMINAL),
            same_runs=True,
            comparisons=counts[policy],
        )
        for policy, label in held
    ]
    adjusted = np.full(len(held), np.nan)
    for policy in counts:
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
    return tuple(Counter(table.texts("termination", policy, label).tolist()).most_common())


def comparisons_of(
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
                    held_out=_difference(table, *averages, same_runs=same, conditions=len(common)),
                    conditions=len(common),
                    declared=declared(table, first) and declared(table, second),
                )
            )
    return tuple(found)


def _difference(
    table: Table,
    first: NDArray[np.float64],
    second: NDArray[np.float64],
    *,
    same_runs: bool,
    conditions: int = 1,
    comparisons: int = 1,
) -> Difference:
    return difference(
        first,
        second,
        table.rng(),
        same_runs=same_runs,
        rate=table.study.metric in table.rates,
        conditions=conditions,
        comparisons=comparisons,
        span=table.span(),
    )


def squares(table: Table, policies: Sequence[str], kinds: Mapping[Pair, HeldOutKind]) -> tuple[Square, ...]:
    """Return every cell that acted and gave a number, condition by condition."""
    found = []
    for label in table.perturbed:
        for policy in policies:
            values = table.values(policy, label)
            if not table.acted(policy, label) or not np.isfinite(values).any():
                continue
            nominal = float(mean(table.values(policy, NOMINAL), axis=(0, 1)))
            estimate = table.estimate(values)
            found.append(
                Square(
                    policy=policy,
                    condition=label,
                    kind=kinds[policy, label],
                    estimate=estimate,
                    kept=estimate.value / nominal if nominal > 0 else np.nan,
                )
            )
    return tuple(found)


def profiles(table: Table, policies: Sequence[str], held: Collection[Pair]) -> tuple[Profile, ...]:
    """Return the profiles of all policies over the conditions that are held out for all of them."""
    labels = tuple(label for label in table.perturbed if all((policy, label) in held for policy in policies))
    if len(labels) < 2 or not policies:
        return ()
    scores = [mean(table.stacked(policy, labels), axis=2) for policy in policies]
    known = np.concatenate([one[np.isfinite(one)] for one in scores])
    ends = (0.0, 1.0) if table.study.metric in table.rates else (float(known.min()), float(known.max()))
    above = tuple(np.linspace(*ends, THRESHOLDS).tolist())
    return tuple(
        Profile(policy=policy, above=above, share=performance_profile(one, above), conditions=len(labels))
        for policy, one in zip(policies, scores, strict=True)
    )

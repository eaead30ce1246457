"""What policies do under what they were not trained for, and how they differ in it."""

import math
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sim2real.perturb import HeldOutKind
from sim2real.report.curves import enough
from sim2real.report.gates import declared
from sim2real.report.paired import Side, paired
from sim2real.report.table import Table
from sim2real.stats import Difference, Estimate, holm, mean, performance_profile, whatever_lost
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
    kept: float  # share of the nominal mean, at least; NaN where one of the two is negative or nominal is 0
    holds: bool  # whether it is `enough`


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
        paired(
            Side(table=table, policy=policy, conditions=(label,)),
            Side(table=table, policy=policy, conditions=(NOMINAL,)),
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
            estimate=table.cell(policy, label),
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
        if common:
            sides = [
                [Side(table=table, policy=policy, conditions=labels) for policy in (second, first)]
                for labels in ((NOMINAL,), common)
            ]
            found.append(
                Comparison(
                    first=first,
                    second=second,
                    nominal=paired(*sides[0]),
                    held_out=paired(*sides[1]),
                    conditions=len(common),
                    declared=declared(table, first) and declared(table, second),
                )
            )
    return tuple(found)


def squares(table: Table, policies: Sequence[str], kinds: Mapping[Pair, HeldOutKind]) -> tuple[Square, ...]:
    """Return every cell that acted and gave a number, condition by condition."""
    found = []
    for label in table.perturbed:
        for policy in policies:
            if not table.acted(policy, label) or not table.measured(policy, label):
                continue
            nominal = float(mean(table.values(policy, NOMINAL), axis=(0, 1)))
            estimate = table.cell(policy, label)
            found.append(
                Square(
                    policy=policy,
                    condition=label,
                    kind=kinds[policy, label],
                    estimate=estimate,
                    kept=estimate.at_least / nominal if nominal > 0 and estimate.at_least >= 0 else np.nan,
                    holds=estimate.at_least >= enough(nominal),
                )
            )
    return tuple(found)


def profiles(table: Table, policies: Sequence[str], held: Collection[Pair]) -> tuple[Profile, ...]:
    """Return the profiles of all policies over the conditions that are held out for all of them."""
    labels = tuple(label for label in table.perturbed if all((policy, label) in held for policy in policies))
    if len(labels) < 2 or not policies:
        return ()
    lost = any(table.counted([(policy, label) for label in labels])[0] for policy in policies)
    counts = [math.nan, *((table.ends() or ()) if lost else ())]
    scores = [
        [mean(table.stacked(policy, labels, lost_as=one), axis=2) for one in counts] for policy in policies
    ]
    known = np.concatenate([one[0][np.isfinite(one[0])] for one in scores])
    if not known.size:
        return ()
    ends = (0.0, 1.0) if table.study.metric in table.rates else (float(known.min()), float(known.max()))
    above = tuple(np.linspace(*ends, THRESHOLDS).tolist())
    return tuple(
        Profile(
            policy=policy,
            above=above,
            share=_profile(table, policy, labels, one, above),
            conditions=len(labels),
        )
        for policy, one in zip(policies, scores, strict=True)
    )


def _profile(
    table: Table,
    policy: str,
    labels: Sequence[str],
    scores: Sequence[NDArray[np.float64]],
    above: Sequence[float],
) -> tuple[Estimate, ...]:
    """Return the profile of scores without the lost episodes, whatever those would have been."""
    lost, of, pointless = table.counted([(policy, label) for label in labels])
    known, *ends = (performance_profile(one, above) for one in scores)
    return tuple(
        whatever_lost(one, lost, of, (ends[0][i], ends[1][i]) if ends else None, pointless=pointless)
        for i, one in enumerate(known)
    )

"""The numbers of a report, without a word of HTML or a line of ink: what is drawn is what is tested."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from sim2real.report.advice import Advice, advice
from sim2real.report.costs import Challenges, Efficiency, Price, challenges, efficiencies, prices
from sim2real.report.curves import Line, Reach, SeverityCurve, grouped, severity_curves
from sim2real.report.gates import Competence, Failures, Gate, competence, failures, gates_of, kind_of
from sim2real.report.heldout import (
    Comparison,
    HeldOut,
    Profile,
    Square,
    comparisons_of,
    held_out,
    profiles,
    squares,
)
from sim2real.report.modes import Mode, modes
from sim2real.report.response import Response, responses
from sim2real.report.samples import Sample, samples
from sim2real.report.sensitivity import Sensitivity, sensitivities
from sim2real.report.table import Table
from sim2real.report.thresholds import Threshold, thresholds
from sim2real.report.worst import Search, searched
from sim2real.stats import Estimate

NUMBERS = 5_000
"""Estimates in the appendix: more would take a browser, and the one who waits for the page, too long."""


@dataclass(frozen=True, kw_only=True)
class Cell:
    """Every metric of one policy under one condition."""

    policy: str
    condition: str
    trials: int
    estimates: tuple[tuple[str, Estimate], ...]


@dataclass(frozen=True, kw_only=True)
class Figures:
    """All numbers of a report."""

    competence: tuple[Competence, ...]
    gates: tuple[Gate, ...]
    curves: tuple[SeverityCurve, ...]
    other_curves: tuple[SeverityCurve, ...]  # of other metrics, for which there are published numbers
    advice: tuple[Advice, ...]
    squares: tuple[Square, ...]
    held_out: tuple[HeldOut, ...]
    profiles: tuple[Profile, ...]
    comparisons: tuple[Comparison, ...]
    challenges: tuple[Challenges, ...]
    efficiencies: tuple[Efficiency, ...]
    prices: tuple[Price, ...]
    responses: tuple[Response, ...]
    sensitivities: tuple[Sensitivity, ...]
    search: Search | None
    modes: tuple[Mode, ...]
    level: float  # of success, at the thresholds
    thresholds: tuple[Threshold, ...]
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
        return min(rows, key=lambda row: _badness(row.estimate), default=None)

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


def figures(table: Table, numbers: float = NUMBERS) -> Figures:
    """Compute every number of a report.

    Args:
        table: the records.
        numbers: how many there may be in the appendix; if there were more, it has the study's own metric alone.
    """
    study = table.study
    cells = [(policy, label) for policy in study.policies for label in study.conditions]
    metrics = table.metrics if len(cells) * len(table.metrics) <= numbers else (study.metric,)
    competent = tuple(competence(table, policy) for policy in study.policies)
    passed = [one.policy for one in competent if one.passed]
    kinds = {(policy, label): kind_of(table, policy, label) for policy in passed for label in table.perturbed}
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
        if kind not in ("nominal", "in-distribution") and table.acted(*pair) and table.measured(*pair)
    ]
    rows = held_out(table, held, kinds)
    level, found = thresholds(table)
    return Figures(
        competence=competent,
        gates=gates_of(table, competent, kinds, unmoved),
        curves=curves,
        other_curves=others,
        advice=advice(table, curves),
        squares=squares(table, passed, kinds),
        held_out=rows,
        profiles=profiles(table, passed, held),
        comparisons=comparisons_of(table, passed, held),
        challenges=tuple(challenges(table, policy, held) for policy in passed),
        efficiencies=efficiencies(table, passed, held),
        responses=responses(table, passed),
        sensitivities=sensitivities(table),
        search=searched(table),
        modes=modes(table),
        level=level,
        thresholds=found,
        prices=tuple(prices(table)),
        failures=failures(table),
        cells=tuple(_cell(table, policy, label, metrics) for policy, label in cells),
        samples=samples(table, rows),
    )


def _badness(one: Estimate) -> tuple[float, float, int]:
    """Return what sorts estimates from the worst on; of those that nothing is known of, who lost most comes first."""
    return one.at_least, one.at_most, -(one.lost.count if one.lost else 0)


def _cell(table: Table, policy: str, label: str, metrics: Sequence[str]) -> Cell:
    estimates = ((name, table.cell(policy, label, name)) for name in metrics)
    return Cell(
        policy=policy,
        condition=label,
        trials=int(np.isfinite(table.values(policy, label)).sum()),
        estimates=tuple(estimates),
    )

"""What findings have in common: a study's records and what its report makes of them, and how a page shows it."""

import csv
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import numpy as np

from sim2real import policies
from sim2real.policies import PolicyFile
from sim2real.report import words
from sim2real.report.curves import Reach, SeverityCurve
from sim2real.report.figures import Figures, figures
from sim2real.report.heldout import Comparison, comparisons_of
from sim2real.report.simulators import Elsewhere, elsewhere
from sim2real.report.table import Table
from sim2real.stats import Estimate, mean
from sim2real.study.document import open_study
from sim2real.study.study import NOMINAL

Numbers = dict[str, str]
Read = Callable[[Path], Numbers]
STUDIES = Path(__file__).parents[2] / "studies"
SEEDS = (0, 1, 2)
ENGINES = ("PyBullet", "MuJoCo")


EVERYBODY = -1e9  # what every policy reaches, of any metric


class Told:
    """The records of a study, and what its report makes of them.

    Args:
        folder: of the records.
        metric: to ask of instead of the study's own.
    """

    def __init__(self, folder: Path, metric: str = "") -> None:
        study, self.store = open_study(folder)
        self.study = replace(study, metric=metric, competent=EVERYBODY) if metric else study
        self.table = Table(self.study, self.store)
        self.first = next(iter(study.policies))

    @cached_property
    def figures(self) -> Figures:
        """The numbers of its report."""
        return figures(self.table, 0)

    @cached_property
    def elsewhere(self) -> Elsewhere:
        """The same conditions in the other simulator."""
        return elsewhere(self.table, self.store, self.figures.competent)[0]

    @property
    def size(self) -> Numbers:
        """How large it is."""
        return {
            "episodes": f"{len(self.study.trials()):,}",
            "conditions": f"{len(self.study.conditions)}",
            "each": f"{self.study.episodes}",
        }

    def estimate(self, metric: str, condition: str = NOMINAL, policy: str = "") -> Estimate:
        """Estimate the mean of a metric."""
        return self.table.cell(policy or self.first, condition, metric)

    def value(self, metric: str, condition: str = NOMINAL, policy: str = "") -> str:
        """Write the mean of a metric, a rate in per cent."""
        return words.point(self.estimate(metric, condition, policy), metric in self.table.rates)

    def runs(self, metric: str, condition: str, policy: str) -> list[float]:
        """Return the mean of a metric of every training run."""
        return [float(one) for one in mean(self.table.values(policy, condition, metric), axis=1)]

    def all_of(self, metric: str, condition: str, policy: str = "") -> float:
        """Return the sum of a metric over all episodes."""
        return float(np.nansum(self.table.values(policy or self.first, condition, metric)))

    def count(self, condition: str = NOMINAL, policy: str = "") -> int:
        """Return how many episodes were played."""
        return self.table.counted([(policy or self.first, condition)])[1]

    def done(self, condition: str = NOMINAL, policy: str = "") -> str:
        """Say how many of the episodes are a success, and how many gave no number."""
        cell = policy or self.first, condition
        lost, of, _ = self.table.counted([cell], "success")
        return f"{self.all_of('success', condition, policy):.0f} of {of}" + f", {lost} lost" * (lost > 0)

    def fell(self, condition: str = NOMINAL, policy: str = "") -> str:
        """Say how many of the episodes ended early."""
        return f"{np.nansum(self.table.ended_early(policy or self.first, condition)):.0f}"

    def kept(self, policy: str) -> str:
        """Say what a policy keeps of its nominal metric under what is held out."""
        found = next((one.kept for one in self.figures.challenges if one.policy == policy), None)
        return words.whole(found, True) if found else "–"

    def compared(self, first: str, second: str) -> Comparison | None:
        """Compare a policy with another over what is held out for both; None where one is not competent."""
        held = [(row.policy, row.condition) for row in self.figures.held_out]
        return next(iter(comparisons_of(self.table, (first, second), held)), None)

    def difference(self, first: str, second: str) -> Numbers:
        """Say how a policy differs from another over what is held out for both."""
        found = self.compared(first, second)
        if found is None:
            return {
                "verdict": f"{first} and {second} cannot be compared",
                "change": "–",
                "p": "–",
                "worlds": "0",
            }
        return {
            "verdict": words.verdict(found),
            "change": words.change(found.held_out, self.rate),
            "p": words.probability(found.held_out.p_value),
            "worlds": f"{found.conditions}",
        }

    @property
    def rate(self) -> bool:
        """Whether the metric is a rate."""
        return self.study.metric in self.table.rates


def block(head: str | Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a Markdown table, its head a sequence of texts, or all of them with bars in between."""
    head = head.split(" | ") if isinstance(head, str) else head
    lines = [head, ["---"] * len(head), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def prefixed(prefix: str, numbers: Numbers) -> Numbers:
    """Return numbers under longer names."""
    return {f"{prefix}_{name}": text for name, text in numbers.items()}


def listed(values: Iterable[float], digits: str = ".0f", scale: float = 1.0) -> str:
    """Write a number of every training run."""
    return " ".join(f"{scale * value:{digits}}" for value in values).replace("-", "−")


# Severity curves: where a policy holds, and where it breaks.


class Side(NamedTuple):
    """One side of a severity curve of a policy.

    Args:
        name: of the perturbation.
        curve: the curve.
        reach: how far it holds.
        labels: the condition at each severity.
        texts: each severity as it is written.
    """

    name: str
    curve: SeverityCurve
    reach: Reach
    labels: dict[float, str]
    texts: dict[float, str]

    @property
    def held(self) -> str:
        """Where it holds, as it is written."""
        return "–" if self.reach.held is None else self.texts[self.reach.held]

    @property
    def broken(self) -> str:
        """Where it breaks, as it is written."""
        return "–" if self.reach.broken is None else self.texts[self.reach.broken]


SEVERITY = re.compile(
    r"\s*(?:of |at )?((?:x |× )?-?\d+(?:\.\d+)?(?:%|\s*(?:mm|ms|m/s|rad/s|rad|kg|N|m)\b)?)", re.ASCII
)


def sides(curves: Iterable[SeverityCurve], policy: str, *, numbered: bool = False) -> Iterator[Side]:
    """Yield every side of every curve of a policy.

    Args:
        curves: of the report.
        policy: whose.
        numbered: whether labels end in the place of the severity, and not in what it is.
    """
    for curve in curves:
        for line in curve.lines:
            if line.policy == policy:
                labels = {
                    x: label for x, label in zip(line.x, line.conditions, strict=True) if label != NOMINAL
                }
                some = next(iter(labels.values()))
                name = stem(some, numbered=numbered)
                texts = {x: _severity(curve, x, "" if numbered else label) for x, label in labels.items()}
                for reach in filter(None, (line.below, line.above)):
                    yield Side(name, curve, reach, labels, texts)


def stem(label: str, *, numbered: bool = False) -> str:
    """Return what is perturbed, from the label of a condition: "payload 15 kg", or "payload 3" if it is numbered."""
    return label.rpartition(" ")[0] if numbered else SEVERITY.sub("", label, count=1).strip()


def _severity(curve: SeverityCurve, x: float, label: str) -> str:
    """Write a severity as the label does; if it does not, as the curve does."""
    if found := SEVERITY.search(label):
        return found[1].replace("x ", "× ").replace("-", "−").replace("%", " %")
    if curve.family.axis.startswith("× *."):
        return words.number(x, True)
    return ("× " if curve.family.axis.startswith("×") else "") + words.severity(curve.family, x)


def reaches(told: Told, policy: str = "") -> list[Side]:
    """Return every side of every severity curve of a policy, the first by default."""
    return list(sides(told.figures.curves, policy or told.first))


def said(folder: Path, place: int) -> str:
    """Return what a script printed, by its place among the commands."""
    (path,) = folder.glob(f"physics-*/{place}.txt")
    return path.read_text(encoding="utf-8").partition("\n")[2]


def trained(pattern: str) -> list[PolicyFile]:
    """Return the training runs that ship, by seed."""
    return list(policies.glob(f"{STUDIES}/policies/{pattern}"))


def competent_at(curve: Path) -> float:
    """Return after how many steps an evaluation first was good enough, 0 if none was."""
    with curve.open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    return next((float(row["steps"]) for row in rows if row.get("competent") == "1.0"), 0.0)


def broken(told: Told, side: Side, label_of: Callable[[str], str] = str) -> str:
    """Say where a side breaks, and how many succeed there."""
    _, _, reach, labels, _ = side
    if reach.broken is None:
        return "–"
    return f"{side.broken}: {told.done(label_of(labels[reach.broken]))}"

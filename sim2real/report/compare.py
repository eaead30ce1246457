"""Two finished studies of the same episodes, cell by cell: what got worse, beyond what luck explains."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
from numpy.typing import NDArray

from sim2real.errors import Sim2RealError, nearest
from sim2real.report.paired import Side, paired
from sim2real.report.table import Table
from sim2real.stats import Difference, Estimate, episodes_to_test, holm
from sim2real.study.document import open_study
from sim2real.study.store import Store
from sim2real.study.study import Study

ALL = "all conditions"


@dataclass(frozen=True, kw_only=True)
class Change:
    """One policy under one condition, after against before.

    Attributes:
        policy: Its label after.
        condition: Its label, or `ALL` for the mean over the conditions of each episode.
        before: The mean of the metric before.
        after: The same after.
        change: After minus before on the same episodes.
        failures: How many episodes more failed after than before.
        same: Share of the episodes that are equal bit for bit.
        adjusted_p: Its p value after Holm's method over all changes.
        verdict: "worse", "better", or "" where nothing is shown.
    """

    policy: str
    condition: str
    before: Estimate
    after: Estimate
    change: Difference
    failures: int
    same: float
    adjusted_p: float = math.nan
    verdict: str = ""


def compare(before: str, after: str, margin: float = 0.0) -> tuple[Change, ...]:
    """Return what changed between two finished studies that met the same episodes under the same conditions.

    A change is "worse" if it is not luck (p below 0.05 after Holm's method over all cells, paired by episode
    seed, and an interval without 0) and takes more than `margin` off the metric, or if more episodes failed. Nothing is
    assumed about episodes that gave no number: a change is shown if it is one whatever they would have been.

    Args:
        before: A study's folder, or FOLDER:POLICY for one of its policies.
        after: Another, or another policy. Policies are paired by label; one on each side are always a pair.
        margin: The largest loss of the metric that does not matter.

    Raises:
        Sim2RealError: If they cannot be compared: unfinished, other episodes, nothing in common, or so few
            episodes that no loss could show.
    """
    if not (margin >= 0 and math.isfinite(margin)):
        raise Sim2RealError(
            f"The margin is a loss of the metric that does not matter, 0 or more, not {margin}."
        )
    (old, old_store), (new, new_store) = _opened(before), _opened(after)
    for name in ("env", "env_kwargs", "metric", "seed", "episodes", "max_steps"):
        if getattr(old, name) != getattr(new, name):
            raise Sim2RealError(
                f"'{before}' and '{after}' did not meet the same episodes: {name} is "
                f"{getattr(old, name)!r} and {getattr(new, name)!r}."
            )
    conditions = [label for label in old.conditions if new.conditions.get(label) == old.conditions[label]]
    pairs = [(label, label) for label in old.policies if label in new.policies]
    if len(old.policies) == len(new.policies) == 1:
        pairs = [(next(iter(old.policies)), next(iter(new.policies)))]
    if not pairs or len(conditions) < 2:
        what = "policy" if not pairs else "condition but the nominal one"
        raise Sim2RealError(
            f"'{before}' and '{after}' have no {what} in common; FOLDER:POLICY names one policy."
        )
    comparisons = len(pairs) * (len(conditions) + 1)
    # A gate that cannot close is none: here the interval alone must not do.
    if (enough := episodes_to_test(comparisons)) > old.episodes:
        raise Sim2RealError(
            f"{old.episodes} episodes show no loss among {comparisons} comparisons, however large; "
            f"run both with episodes={enough} or more."
        )
    first, second = Table(old, old_store), Table(new, new_store)
    cells = [
        cell for mine, its in pairs for cell in _cells((first, second), (mine, its), conditions, comparisons)
    ]
    adjusted = holm([cell.change.p_value for cell in cells])
    return tuple(_judged(cell, float(p), margin) for cell, p in zip(cells, adjusted, strict=True))


def _opened(target: str) -> tuple[Study, Store]:
    """Return the study of FOLDER or of FOLDER:POLICY, and its records."""
    folder, colon, label = target.rpartition(":") if not Path(target).is_dir() else (target, "", "")
    study, store = open_study(folder or target)
    if colon:
        if label not in study.policies:
            raise Sim2RealError(f"'{folder}' has no policy '{label}'.{nearest(label, study.policies)}")
        study = replace(study, policies={label: study.policies[label]})
    wanted = {cell.trial.key for cell in study.cells()}
    if missing := len(wanted - store.keys()):
        raise Sim2RealError(f"'{target}' is not finished: {missing} of {len(wanted)} episodes are missing.")
    return study, store


def _failed(side: Side) -> int:
    """Return how many episodes gave no number."""
    counts = (
        int(side.table.recorded(side.policy, label).sum())
        - len(side.table.texts("status", side.policy, label))
        for label in side.conditions
    )
    return sum(counts)


def _digests(side: Side) -> NDArray[np.bytes_]:
    """Return what identifies each episode bit for bit (runs, conditions × episodes)."""
    return np.hstack([side.table.digests(side.policy, label) for label in side.conditions])


def _cells(
    tables: tuple[Table, Table], policies: tuple[str, str], conditions: Sequence[str], comparisons: int
) -> Iterator[Change]:
    """Yield what changed from the first table's policy to the second's, condition by condition and on the whole."""
    for label, counted in [*((label, (label,)) for label in conditions), (ALL, tuple(conditions))]:
        old, new = (
            Side(table=table, policy=policy, conditions=counted)
            for table, policy in zip(tables, policies, strict=True)
        )
        before, after = _digests(old), _digests(new)
        runs = min(len(before), len(after))
        same = int(((before[:runs] == after[:runs]) & (after[:runs] != b"")).sum())
        yield Change(
            policy=new.policy,
            condition=label,
            before=old.table.average(old.policy, counted),
            after=new.table.average(new.policy, counted),
            change=paired(new, old, comparisons=comparisons),
            failures=_failed(new) - _failed(old),
            same=same / after.size,
        )


def _judged(cell: Change, adjusted_p: float, margin: float) -> Change:
    shown, change = cell.change.shown(adjusted_p), cell.change.estimate
    worse = cell.failures > 0 or (shown and change.at_most < -margin)
    verdict = "worse" if worse else "better" if shown and change.at_least > 0 else ""
    return replace(cell, adjusted_p=adjusted_p, verdict=verdict)


def write_junit(changes: Sequence[Change], path: Path, name: str) -> None:
    """Write changes as a JUnit file, as continuous integration reads it: a case each, failed where worse.

    Raises:
        Sim2RealError: If the file cannot be written.
    """
    worse = sum(change.verdict == "worse" for change in changes)
    suite = ElementTree.Element("testsuite", name=name, tests=str(len(changes)), failures=str(worse))
    for change in changes:
        case = ElementTree.SubElement(suite, "testcase", classname=change.policy, name=change.condition)
        if change.verdict == "worse":
            ElementTree.SubElement(case, "failure", message=sentence(change))
        else:
            ElementTree.SubElement(case, "system-out").text = sentence(change)
    ElementTree.indent(suite)
    try:
        ElementTree.ElementTree(suite).write(path, encoding="utf-8", xml_declaration=True)
    except OSError as error:
        raise Sim2RealError(f"'{path}' cannot be written: {error.strerror or error}.") from error


def sentence(change: Change) -> str:
    """Say what changed."""
    failed = f", {change.failures} more episodes failed" if change.failures > 0 else ""
    return (
        f"{told(change.before)} before, {told(change.after)} after: {change.change.estimate} "
        f"(p = {change.adjusted_p:.2g} after Holm){failed}"
    )


def told(mean: Estimate) -> str:
    """Write a mean without its interval: between what it lies where it has no value because episodes were lost."""
    if not mean.lost:
        return f"{mean.value:.4g}"
    value = (
        f"{mean.value:.4g}" if mean.at_least == mean.at_most else f"{mean.at_least:.4g} to {mean.at_most:.4g}"
    )
    return f"{value} ({mean.lost})"

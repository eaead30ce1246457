"""Before a study is run: what it costs, and the smallest differences that it can find."""

import math
import resource
import sys
import time
from collections.abc import Sequence
from concurrent.futures import BrokenExecutor
from dataclasses import dataclass, replace
from itertools import combinations
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sim2real.errors import Sim2RealError
from sim2real.stats import Variation, detectable_effect, episodes_needed, runs_needed, variation
from sim2real.study.adaptive import measured
from sim2real.study.executors import Processes, send
from sim2real.study.rehearsal import success_untold
from sim2real.study.rollout import Bench, Row
from sim2real.study.store import Store
from sim2real.study.study import NOMINAL, Study
from sim2real.study.trial import Trial

Array = NDArray[np.float64]

PILOT_S = 20.0
"""Seconds in which episodes are played to see how long they take, and how much they differ."""
PILOT_EPISODES = 10


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """A paired difference that the study will estimate, and what it takes to find it with a probability of 80 %.

    Args:
        what: is compared.
        source: what its variation is known from.
        detectable: the smallest true difference that is found, in the unit of the study's metric.
        among_all: the same of each of all such comparisons in one policy's table, where Holm's adjustment is strictest.
        episodes: of each run, that find the effect asked for; None if no number does.
        runs: likewise of training runs, with as many episodes as the study has.
        runs_known: there are several training runs, so that one knows how much they differ.
    """

    what: str
    source: str
    detectable: float
    among_all: float
    episodes: int | None = None
    runs: int | None = None
    runs_known: bool = False


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What a study costs and can find."""

    trials: int
    missing: int
    episode_s: float
    wall_s: float
    memory_mb: float
    comparisons: tuple[Comparison, ...]


def plan(
    study: Study,
    out: str | Path | None = None,
    *,
    workers: int = 1,
    trust: bool = False,
    effect: float | None = None,
    spread: float | None = None,
) -> Plan:
    """Predict what a study costs and the smallest differences that it will find, from a few of its episodes.

    They are played in a process of its own, nominal and under the last condition, and are not recorded. Where the
    study's folder holds records, differences vary as they do there.

    Args:
        study: to be run.
        out: its folder, `runs/<name>` by default.
        workers: processes that it will run in.
        trust: load policy files that can execute code.
        effect: a difference that one wants to find, in the unit of the study's metric.
        spread: standard deviation of the metric between episodes, if it is to be assumed; with nothing that episodes
            of the same seed have in common, so pairing can only help.

    Raises:
        Sim2RealError: If the study cannot run, its metric is success and nobody tells it, or a number is not positive.
    """
    if workers < 1 or any(given is not None and given <= 0 for given in (effect, spread)):
        raise Sim2RealError("workers, effect and spread must be positive.")
    folder = Path(out) if out is not None else Path("runs", study.name)
    recorded = Store(folder).rows() if (folder / "records.sqlite").exists() else []
    trials = study.trials()
    missing = len({trial.key for trial in trials} - {row["key"] for row in recorded})
    rows, memory_mb = _played(study, trust)
    seconds = [row["wall_s"] for row in rows if row["status"] == "ok"]
    if not seconds:
        raise Sim2RealError(f"No episode could be played: {rows[0]['error']}")
    if study.metric == "success" and all(row.get("success") is None for row in (*recorded, *rows)):
        raise success_untold(trials[0])
    # The first also pays for what is made once.
    episode_s = float(np.median(seconds))
    values = measured(study, [*recorded, *rows])
    source = "records" if recorded else f"{len(seconds)} episodes played now"
    rate = all(np.isin(some[np.isfinite(some)], (0.0, 1.0)).all() for some in values.values())
    compared = (
        [("a condition with nominal", "spread assumed", Variation(rest=math.sqrt(2) * spread), True)]
        if spread
        else [(what, source, of, same) for what, of, same in _variations(study, values, rate)]
    )
    return Plan(
        trials=len(trials),
        missing=missing,
        episode_s=episode_s,
        wall_s=missing * episode_s / workers,
        memory_mb=memory_mb * workers,
        comparisons=tuple(_comparison(study, *one, rate, effect) for one in compared),
    )


def _comparison(
    study: Study, what: str, source: str, of: Variation, same_runs: bool, rate: bool, effect: float | None
) -> Comparison:
    """Return what it takes to find a difference that varies like this."""
    runs = min(len(files) for files in study.policies.values())
    family = max(1, len(study.conditions) - 1) if same_runs else 1
    detectable, among_all = (
        detectable_effect(
            of, runs=runs, episodes=study.episodes, same_runs=same_runs, rate=rate, level=1 - 0.05 / many
        )
        for many in (1, family)
    )
    return Comparison(
        what=what,
        source=source,
        detectable=detectable,
        among_all=among_all,
        episodes=episodes_needed(effect, of, runs=runs, same_runs=same_runs, rate=rate) if effect else None,
        runs=runs_needed(effect, of, episodes=study.episodes, same_runs=same_runs)
        if effect and runs > 1
        else None,
        runs_known=runs > 1,
    )


def _variations(
    study: Study, values: dict[tuple[str, str], Array], rate: bool
) -> list[tuple[str, Variation, bool]]:
    """Return what is compared, the median of how its differences vary, and whether both sides have the same runs."""
    within = [
        values[policy, label] - values[policy, NOMINAL]
        for policy in study.policies
        for label in study.conditions
        if label != NOMINAL
    ]
    between = []
    for first, second in combinations(study.policies, 2):
        for label in study.conditions:
            a, b = values[first, label], values[second, label]
            shared = min(len(a), len(b))
            between.append(a[:shared] - b[:shared])
    found = []
    for what, tables, same in (("a condition with nominal", within, True), ("two policies", between, False)):
        known = [one for table in tables if (one := _variation(table, rate)) is not None]
        if known:
            middle = sorted(known, key=lambda one: math.hypot(one.runs, one.episodes, one.rest))[
                len(known) // 2
            ]
            found.append((what, middle, same))
    return found


def _variation(table: Array, rate: bool) -> Variation | None:
    """Return how a table of differences varies, None where it says nothing."""
    kept = table[:, np.isfinite(table).all(0)]
    if rate:
        # Half an episode of each outcome, as `difference` adds them.
        half = np.full((len(kept), 1), math.sqrt(0.5))
        kept = np.hstack([kept, -half, half]) if kept.shape[1] else kept
    return variation(kept) if kept.shape[1] > 1 and kept.std() > 0 else None


def _played(study: Study, trust: bool) -> tuple[list[Row], float]:
    """Return the rows of a few episodes, and the largest memory of the process that played them, in MB."""
    *_, last = study.conditions
    few = replace(study, conditions={last: study.conditions[last]}, only={}, episodes=PILOT_EPISODES)
    cells = sorted(few.cells(), key=lambda cell: cell.episode)
    with Processes(1) as place:
        try:
            found = send(place, _pilot, [cell.trial for cell in cells], trust).result()
        except BrokenExecutor:
            raise Sim2RealError(
                "The process that played a few episodes died; workers=0 shows where."
            ) from None
    if isinstance(found, Exception):
        raise found
    return found


def _pilot(trials: Sequence[Trial], trust: bool) -> tuple[list[Row], float]:
    """Play trials, at least two and as many as there is time for."""
    bench, rows, started = Bench(trust), [], time.monotonic()
    try:
        for trial in trials:
            rows.append(bench.run(trial))
            if len(rows) > 1 and time.monotonic() - started > PILOT_S:
                break
    finally:
        bench.close()
    per_mb = 2**20 if sys.platform == "darwin" else 2**10  # getrusage counts bytes there, else KiB
    return rows, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / per_mb

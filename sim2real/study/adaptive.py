"""Spending episodes where they inform: until every interval is narrow enough, and about the thresholds of success."""

import json
import math
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Executor
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sim2real.errors import Sim2RealError
from sim2real.perturb import Perturbation
from sim2real.stats import Estimate, Psychometric, look, looks, many, whatever_lost
from sim2real.study.backends import opened
from sim2real.study.rollout import Row
from sim2real.study.runner import run
from sim2real.study.store import COLUMNS, Store
from sim2real.study.study import NOMINAL, Study

Array = NDArray[np.float64]
Played = dict[str, dict[str, list[int]]]

FIRST = 10
"""Episodes before the first look."""
STRENGTHS = 25
"""Places where a threshold search may play an episode, from nominal to the condition as it is written."""
AT_ONCE = 4
"""Episodes of a threshold search between two looks; another number is another search."""


@dataclass(frozen=True, kw_only=True)
class Measured:
    """The mean metric of a policy under a condition, its interval valid whenever one stopped."""

    policy: str
    condition: str
    episodes: int  # of each training run
    estimate: Estimate
    reached: bool  # the interval is as narrow as was asked for


@dataclass(frozen=True, kw_only=True)
class Threshold:
    """How much of a condition's strength one training run of a policy stands."""

    policy: str
    run: int
    condition: str
    estimate: Estimate  # 0: nominal; 1: the condition as it is written; infinite: more than that
    reached: bool


def run_until(
    study: Study,
    half_width: float,
    out: str | Path | None = None,
    *,
    executor: Executor | str | None = None,
    workers: int | None = None,
    **options: Any,
) -> tuple[Study, Store, tuple[Measured, ...]]:
    """Run a study with as many episodes in every cell as its interval needs, more and more until it is narrow enough.

    Looks are at fixed numbers of episodes, from `FIRST` on, and intervals are those of `look`, so that they hold the
    truth where a cell is left as often as they say. Running again resumes.

    Args:
        study: its ``episodes`` are the most that a policy file and condition may take.
        half_width: of the intervals that are wanted, in the unit of the study's metric.
        out: as for `run`.
        executor: as for `run`.
        workers: as for `run`.
        options: of `run`.

    Returns:
        The study with the episodes it came to, its records, and every cell.

    Raises:
        Sim2RealError: If the half width is not positive, or as for `run`.
    """
    if not half_width > 0:
        raise Sim2RealError(f"The half width of an interval must be positive, not {half_width}.")
    folder = Path(out) if out is not None else Path("runs", study.name)
    sizes = looks(FIRST, study.episodes)
    found: dict[tuple[str, str], Measured] = {}
    counts = {(policy, condition): 0 for policy in study.policies for condition in study.conditions}
    with opened(executor, workers, folder) as (place, at_once):
        for size in sizes:
            counts |= {cell: size for cell in counts if cell not in found or not found[cell].reached}
            only: Played = {policy: {} for policy in study.policies}
            for (policy, condition), count in counts.items():
                only[policy][condition] = list(range(count))
            part = replace(study, episodes=size, only=only)
            store = run(part, folder, executor=place, workers=at_once, **options)
            values = measured(part, store.rows())
            known = np.concatenate([some[np.isfinite(some)] for some in values.values()])
            met = (known.min(), known.max()) if known.size else ()
            rate = bool(known.size and np.isin(known, (0.0, 1.0)).all())
            for (policy, condition), count in counts.items():
                if count == size:
                    table = values[policy, condition]
                    bounded = rate or study.metric == "success"
                    one, narrow = _look(table, half_width, study.seed, met=met, rate=rate, bounded=bounded)
                    found[policy, condition] = Measured(
                        policy=policy, condition=condition, episodes=count, estimate=one, reached=narrow
                    )
            if all(one.reached for one in found.values()):
                break
    return part, store, tuple(found.values())


def _look(
    values: Array, half_width: float, seed: int, *, met: Sequence[float], rate: bool, bounded: bool
) -> tuple[Estimate, bool]:
    """Return what is known of a cell whatever its lost episodes would have been, and whether that is enough to stop."""

    def found(table: Array) -> tuple[Estimate, bool]:
        return look(table, half_width, np.random.default_rng(seed), met=met, rate=rate)

    (known, narrow), gone = found(values), np.isnan(values)
    if not (lost := int(gone.sum())):
        return known, narrow
    ends = (found(np.where(gone, 0.0, values))[0], found(np.where(gone, 1.0, values))[0]) if bounded else None
    one = whatever_lost(known, lost, values.size, ends, pointless=many(lost, values.size))
    return one, one.high - one.low <= 2 * half_width


def find_thresholds(
    study: Study,
    half_width: float = 0.05,
    out: str | Path | None = None,
    *,
    level: float = 0.9,
    most: int = 300,
    executor: Executor | str | None = None,
    workers: int | None = None,
    progress: Callable[[int, int, int], None] | None = None,
    **options: Any,
) -> tuple[Study, Store, tuple[Threshold, ...]]:
    """Find for every policy file and condition the strength at which its rate of success falls to a level.

    An episode is a success if it reaches what the study calls competent. The n-th episode of every search has the n-th
    seed, and the strength that `Psychometric` proposes. All are trials of the study that is returned: running again
    resumes, and any can be replayed.

    Args:
        study: what is searched: for each of its policies, from nominal to each of its conditions.
        half_width: of the intervals that are wanted, as a part of the condition's strength.
        out: as for `run`, "runs/<name>-thresholds" by default.
        level: the rate of success.
        most: episodes of each search.
        executor: as for `run`.
        workers: as for `run`.
        progress: called with (done, at most, failed) after every few episodes.
        options: of `run`.

    Returns:
        The study that was played, its records, and the thresholds, which `thresholds.json` beside them holds too.

    Raises:
        Sim2RealError: If a condition has no strength, a number makes no sense, or as for `run`.
    """
    if not (0 < half_width < 0.4 and 0 < level < 1 and most >= AT_ONCE):
        raise Sim2RealError(
            f"A threshold takes a half width below 0.4, a level below 1 and at least {AT_ONCE} episodes, "
            f"not {half_width}, {level} and {most}."
        )
    ladder = Psychometric(severities=tuple(np.linspace(0, 1, STRENGTHS).tolist()), level=level)
    whole, rungs = _whole(study, ladder.severities, most)
    folder = Path(out) if out is not None else Path("runs", whole.name)
    searches = {(policy, label): _Search(ladder) for policy in whole.policies for label in rungs}
    with opened(executor, workers, folder) as (place, at_once):
        while going := [
            one
            for one in searches.values()
            if not one.narrow(half_width) and len(one.places) + AT_ONCE <= most
        ]:
            for one in going:
                one.go_on()
            only: Played = {policy: {label: [] for label in whole.conditions} for policy in whole.policies}
            for (policy, label), one in searches.items():
                for episode, rung in enumerate(one.places):
                    only[policy][rungs[label][rung]].append(episode)
            part = replace(whole, only=only)
            store = run(part, folder, executor=place, workers=at_once, **options)
            values = measured(part, store.rows())
            for (policy, label), one in searches.items():
                cells = [values[policy, rung][0] for rung in rungs[label]]
                one.learn([cells[rung][episode] for episode, rung in enumerate(one.places)], study.competent)
            if progress:
                done = sum(len(one.places) for one in searches.values())
                progress(done, most * len(searches), sum(one.failed for one in searches.values()))
    origins = [(label, run) for label, runs in study.policies.items() for run in range(len(runs))]
    found = tuple(
        Threshold(
            policy=policy, run=run, condition=label, estimate=one.estimate, reached=one.narrow(half_width)
        )
        for (policy, run), name in zip(origins, whole.policies, strict=True)
        for label, one in ((label, searches[name, label]) for label in rungs)
    )
    document = {
        "version": 1,
        "study": study.name,
        "level": level,
        "thresholds": [_plain(one) for one in found],
    }
    (folder / "thresholds.json").write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    return part, store, found


def _plain(threshold: Threshold) -> dict[str, Any]:
    """Return a threshold as JSON, which has no infinity."""
    one = threshold.estimate
    ends = {name: x if math.isfinite(x := getattr(one, name)) else None for name in ("value", "low", "high")}
    lost = {}
    if one.lost:
        told = {name: x if math.isfinite(x) else None for name, x in asdict(one.lost).items()}
        lost = {"lost": told}
    return asdict(threshold) | {"estimate": ends | {"episodes": one.n_episodes} | lost}


class _Search:
    """One threshold search: at which severities its episodes were played, and how they came out."""

    def __init__(self, ladder: Psychometric) -> None:
        self._ladder = ladder
        self.places: list[int] = []
        self.learn([], 0.0)

    @property
    def failed(self) -> int:
        """How many episodes have no outcome."""
        return len(self.places) - self.estimate.n_episodes

    def narrow(self, half_width: float) -> bool:
        """Tell whether what is within reach is known well enough."""
        most = self._ladder.severities[-1]
        return min(self.estimate.high, most) - min(self.estimate.low, most) <= 2 * half_width

    def go_on(self) -> None:
        """Choose where to play next."""
        self.places += self._ladder.propose(self._won, self._lost, AT_ONCE)

    def learn(self, values: Sequence[float], enough: float) -> None:
        """Take note of all outcomes so far; what gave no number is no success, and may have been one."""
        won, failed, gone = np.zeros((3, len(self._ladder.severities)))
        for rung, value in zip(self.places, values, strict=True):
            (gone if math.isnan(value) else won if value >= enough else failed)[rung] += 1
        self._won, self._lost = won, failed + gone
        estimate, count = self._ladder.estimate, int(gone.sum())
        ends = (estimate(won, failed + gone), estimate(won + gone, failed)) if count else None
        self.estimate = whatever_lost(
            estimate(won, failed), count, len(self.places), ends, pointless=many(count, len(self.places))
        )


def _whole(study: Study, strengths: Sequence[float], most: int) -> tuple[Study, dict[str, tuple[str, ...]]]:
    """Return a study of all that a search may play, and the label of every rung for each condition searched.

    Each training run is a policy of its own, since each has a threshold of its own.
    """
    conditions, rungs = {}, {}
    for label, condition in study.conditions.items():
        if label == NOMINAL:
            continue
        items = [item for item in condition if isinstance(item, Perturbation)]
        if len(items) < len(condition):
            raise Sim2RealError(
                f"Condition '{label}' is not made of perturbations alone: the rest has no strength."
            )
        rungs[label] = (NOMINAL, *(f"{label} × {strength:.3g}" for strength in strengths[1:]))
        for rung, strength in zip(rungs[label][1:], strengths[1:], strict=True):
            conditions[rung] = tuple(item.at(strength) for item in items)
    policies = {
        label if len(runs) == 1 else f"{label}, run {run + 1}": [file]
        for label, runs in study.policies.items()
        for run, file in enumerate(runs)
    }
    if not rungs:
        raise Sim2RealError("A threshold search needs a condition besides nominal.")
    name = f"{study.name}-thresholds"
    return replace(study, name=name, policies=policies, conditions=conditions, episodes=most, only={}), rungs


def measured(study: Study, rows: Iterable[Row]) -> dict[tuple[str, str], Array]:
    """Return the study's metric (runs, episodes) of every policy and condition, NaN where no row has it."""
    values = {
        (policy, condition): np.full((len(runs), study.episodes), np.nan)
        for policy, runs in study.policies.items()
        for condition in study.conditions
    }
    found = {row["key"]: row for row in rows if row["status"] == "ok"}
    for cell in study.cells():
        if row := found.get(cell.trial.key):
            value = (row if study.metric in COLUMNS else json.loads(row["metrics"])).get(study.metric)
            if value is not None:
                values[cell.policy_label, cell.condition_label][cell.run, cell.episode] = value
    return values

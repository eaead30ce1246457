"""The records of a study as arrays (runs, episodes), joined with the study by the keys of its trials."""

import json
import math
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from itertools import chain
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from sim2real.errors import Sim2RealError, nearest
from sim2real.perturb import makes
from sim2real.stats import (
    Estimate,
    many,
    mean,
    mean_estimate,
    rate_estimate,
    whatever_lost,
)
from sim2real.study.rehearsal import touches
from sim2real.study.rollout import INERT, UNTOLD
from sim2real.study.runner import RETRIED
from sim2real.study.store import Store
from sim2real.study.study import NOMINAL, Study
from sim2real.study.trial import Trial

Array = NDArray[np.float64]
Flags = NDArray[np.bool_]
Indices = NDArray[np.intp]
Kind = TypeVar("Kind", bound=np.generic)
Cell = tuple[str, str]
"""Policy and condition."""
Place = tuple[str, str, int, int]
"""Policy, condition, run and episode of a trial."""

OUTCOMES = ("success", "return", "length", "duration_s", "cost", "violations", "interventions")
COUNTS = {"cost", "violations", "interventions"}  # zero where nothing counts
OUTSIDE = ("outside_share", "outside_by")  # of actions, likewise
TEXTS = ("status", "error", "termination")
UNBOUNDED = (-math.inf, math.inf)
_HEX = "S32"  # of keys and digests
_OK = 1  # the place of this status among all texts


class Table:
    """Every trial of a study beside its row; what is missing or failed is NaN.

    A row takes some hundred bytes: numbers lie in arrays, texts that rows share are held once, and trials are made
    again where one is asked for.

    Args:
        study: What was asked.
        store: What was recorded.

    Raises:
        Sim2RealError: If the study's metric is in no record.
    """

    def __init__(self, study: Study, store: Store) -> None:
        self.study = study
        self.meta = store.meta
        self._findings = self.meta.get("rehearsal", {}).get("findings", ())
        self.path = store.folder
        files = (file for runs in study.policies.values() for file in runs)
        self.trust = " --trust" if any(file.needs_trust for file in files) else ""
        # Where a reader has the folder, not where it was when the report was written.
        self.folder = "/".join(store.folder.parts[-2 if store.folder.parts[-2:-1] == ("runs",) else -1 :])
        self._shapes = {policy: (len(runs), study.episodes) for policy, runs in study.policies.items()}
        self._starts: dict[tuple[str, str], int] = {}
        size = 0
        for policy, shape in self._shapes.items():
            for condition in study.conditions:
                self._starts[policy, condition] = size
                size += math.prod(shape)
        self._columns: dict[str, Array] = defaultdict(lambda: np.full(size, np.nan))
        self._words: dict[str, int] = {"": 0, "ok": _OK}
        self._codes = {name: np.zeros(size, np.int32) for name in TEXTS}
        self._digests = np.zeros(size, _HEX)
        self._planned, self._recorded = np.zeros((2, size), bool)
        self._read(store)
        self._said = np.array([*self._words], object)
        self.metrics = self._named()
        self.rates = {
            name
            for name in {"success", *self.metrics} - set(OUTCOMES[1:])
            if name not in self._columns or np.isin(self._known(name), (0.0, 1.0)).all()
        }
        self.bounds = self._bounds()
        if self.metrics and study.metric not in self.metrics:
            raise Sim2RealError(
                f"No record has the metric '{study.metric}'.{nearest(study.metric, self.metrics)}"
                + f" {UNTOLD}" * (study.metric == "success")
            )

    def _read(self, store: Store) -> None:
        """Put every row of the store at the places of its trial."""
        keys = np.zeros(len(self._planned), _HEX)
        for policy, run, condition, episode, trial in self.study.cells():
            keys[self._starts[policy, condition] + run * self.study.episodes + episode] = trial.key
        self._planned = keys != b""
        order = np.argsort(keys, kind="stable")
        keys = keys[order]
        for batch in store.batches("key", "digest", *TEXTS, "metrics", *OUTCOMES):
            key, digest, *columns = zip(*batch, strict=True)
            first, end = (np.searchsorted(keys, np.array(key, _HEX), side) for side in ("left", "right"))
            # Trials of the same content have one row, and a row may be of another study.
            count = end - first
            rows = np.repeat(np.arange(len(key)), count)
            places = order[first[rows] + np.arange(len(rows)) - np.repeat(count.cumsum() - count, count)]
            self._recorded[places] = True
            self._digests[places] = np.array([one or "" for one in digest], _HEX)[rows]
            for name, texts in zip(TEXTS, columns, strict=False):
                codes = [self._words.setdefault(one or "", len(self._words)) for one in texts]
                self._codes[name][places] = np.array(codes, np.int32)[rows]
            good = self._codes["status"][places] == _OK
            rows, places = rows[good], places[good]
            metrics = [json.loads(text or "{}") for text in columns[len(TEXTS)]]
            for name in dict.fromkeys(chain.from_iterable(metrics)):
                self._put(name, [one.get(name) for one in metrics], rows, places)
            for name, values in zip(OUTCOMES, columns[len(TEXTS) + 1 :], strict=True):
                self._put(name, values, rows, places)

    def _put(self, name: str, values: Sequence[Any], rows: Indices, places: Indices) -> None:
        """Put the finite numbers among the values of some rows at their places."""
        numbers = [float(value) if isinstance(value, int | float) else math.nan for value in values]
        found = np.array(numbers)[rows]
        known = np.isfinite(found)
        if known.any():
            self._columns[name][places[known]] = found[known]

    def _known(self, name: str) -> Array:
        """Return all numbers of a metric (n,)."""
        values = self._columns[name]
        return values[np.isfinite(values)]

    def _named(self) -> tuple[str, ...]:
        """Return the metrics there are; of what is counted, that of which there is any."""
        idle = {name for name in OUTSIDE if not self.occurs(name)} - {self.study.metric}
        own = sorted(
            name for name in self._columns.keys() - set(OUTCOMES) - idle if not name.startswith(INERT)
        )
        asked = (set(OUTCOMES) - COUNTS) | {self.study.metric}
        outcomes = [
            name for name in OUTCOMES if name in self._columns and (name in asked or self.occurs(name))
        ]
        return (*outcomes, *own)

    def _bounds(self) -> dict[str, tuple[float, float]]:
        """Return between which values metrics lie by what they are, where that is known."""
        found = dict.fromkeys(self.rates, (0.0, 1.0))
        for name in self.metrics:
            if name == "success" or name.endswith("_share"):
                found[name] = (0.0, 1.0)
            elif name in ("violations", "interventions") or name.endswith("_violations"):
                found[name] = (0.0, math.inf)
        # What nothing ended ran to the end of its time, if all such episodes took as long and none took longer.
        ran_out = (self._codes["status"] == _OK) & (self._codes["termination"] == 0)
        declared = {"length": self.study.max_steps, "duration_s": self.study.env_kwargs.get("episode_s")}
        if any("episode_s" in makes(condition) for condition in self.study.conditions.values()):
            declared.pop("duration_s")
        for name in {"length", "duration_s"} & set(self.metrics):
            values = self._columns[name]
            longest, full = float(np.nanmax(values)), values[ran_out & np.isfinite(values)]
            told = declared.get(name)
            if full.size and math.isclose(float(full.min()), longest):
                found[name] = (0.0, longest)
            elif isinstance(told, int | float) and longest <= told:
                found[name] = (0.0, float(told))
            else:
                found[name] = (0.0, math.inf)
        return found

    @property
    def perturbed(self) -> tuple[str, ...]:
        """The labels of all conditions but the nominal one."""
        return tuple(label for label in self.study.conditions if label != NOMINAL)

    def trial(self, policy: str, condition: str, run: int, episode: int) -> Trial:
        """Return a trial of the study."""
        return self.study.trial(policy, run, condition, episode)

    def row(self, policy: str, condition: str, run: int, episode: int) -> dict[str, str]:
        """Return the texts of a trial's row: how it ended, and the digest of all that happened.

        Raises:
            KeyError: If the trial was not run.
        """
        place = self._starts[policy, condition] + run * self.study.episodes + episode
        if not self._recorded[place]:
            raise KeyError((policy, condition, run, episode))
        told = {name: self._said[codes[place]] for name, codes in self._codes.items()}
        return told | {"digest": self._digests[place].decode()}

    def values(
        self, policy: str, condition: str, metric: str | None = None, lost_as: float = math.nan
    ) -> Array:
        """Return a metric (runs, episodes), the study's own by default, lost episodes as given; not to be changed."""
        name = metric or self.study.metric
        if name in self._columns:
            found = self._cell(self._columns[name], policy, condition)
        else:
            found = np.full(self._shapes[policy], np.nan)
        return found if math.isnan(lost_as) else np.where(self.lost(policy, condition, name), lost_as, found)

    def lost(self, policy: str, condition: str, metric: str | None = None) -> Flags:
        """Return which episodes were played and gave no number (runs, episodes): an outcome of their condition.

        An episode that crashed or timed out may be the machine's failure, and counts as not played. Where more than
        `LOST_SHARE` of a cell did so, that is no coincidence, and they are lost.
        """
        status = self._cell(self._codes["status"], policy, condition)
        recorded = self.recorded(policy, condition)
        without = recorded & (status != _OK) | self.unknown(policy, condition, metric)
        chance = recorded & np.isin(status, [self._words[one] for one in RETRIED if one in self._words])
        found: Flags = without if many(int(chance.sum()), int(recorded.sum())) else without & ~chance
        return found

    def unknown(self, policy: str, condition: str, metric: str | None = None) -> Flags:
        """Return which episodes ran to their end without the study's metric, or a success that others tell.

        Other metrics may not apply to every episode.
        """
        name = metric or self.study.metric
        ended = self.recorded(policy, condition) & (
            self._cell(self._codes["status"], policy, condition) == _OK
        )
        needed = name == self.study.metric or (name == "success" and self.tells_success)
        found: Flags = ended & np.isnan(self.values(policy, condition, name)) & needed
        return found

    @property
    def tells_success(self) -> bool:
        """Whether the environment says of any episode how far it succeeded."""
        return "success" in self._columns

    @property
    def findings(self) -> tuple[str, ...]:
        """What was found not to repeat before the study was run, in sentences."""
        return tuple(finding["sentence"] for finding in self._findings)

    def repeats(self, policy: str, conditions: Iterable[str]) -> bool:
        """Tell whether nothing was found that keeps the episodes of some cells from being repeated."""
        return not any(
            touches(finding, policy, self.study.conditions[label])
            for finding in self._findings
            for label in conditions
        )

    def texts(self, name: str, policy: str, condition: str) -> NDArray[np.object_]:
        """Return one of `TEXTS` of every trial that gave numbers (n,), run by run."""
        codes, status = (self._cell(self._codes[one], policy, condition) for one in (name, "status"))
        found: NDArray[np.object_] = self._said[codes[status == _OK]]
        return found

    def measured(self, policy: str, condition: str, metric: str | None = None) -> bool:
        """Tell whether any episode gave a number or was lost: else nothing can be said."""
        return bool(self.counted([(policy, condition)], metric)[1])

    def recorded(self, policy: str, condition: str) -> NDArray[np.bool_]:
        """Return which trials have a row (runs, episodes)."""
        return self._cell(self._recorded, policy, condition)

    def digests(self, policy: str, condition: str) -> NDArray[np.bytes_]:
        """Return what identifies every episode bit for bit (runs, episodes), empty where that is unknown."""
        return self._cell(self._digests, policy, condition)

    def occurs(self, metric: str, policy: str | None = None) -> bool:
        """Tell whether a metric is other than 0 anywhere, or in any trial of a policy."""
        labels = self.study.policies if policy is None else (policy,)
        cells = (
            self.values(label, condition, metric) for label in labels for condition in self.study.conditions
        )
        return any(np.nan_to_num(values).any() for values in cells)

    def _cell(self, column: NDArray[Kind], policy: str, condition: str) -> NDArray[Kind]:
        """Return the part of a column that is of one cell (runs, episodes)."""
        start, shape = self._starts[policy, condition], self._shapes[policy]
        return column[start : start + math.prod(shape)].reshape(shape)

    def stacked(
        self,
        policy: str,
        conditions: tuple[str, ...],
        metric: str | None = None,
        lost_as: float = math.nan,
    ) -> Array:
        """Return a metric (runs, conditions, episodes), NaN in episodes that not all of the conditions are played in.

        Else an average over conditions would be one over others in each episode.
        """
        cells = [self.values(policy, condition, metric, lost_as) for condition in conditions]
        values = np.stack(cells, axis=1)
        for condition in self.study.only.get(policy, {}).keys() & set(conditions):
            values[..., ~self._cell(self._planned, policy, condition).any(0)] = np.nan
        return values

    def estimate(self, values: Array, metric: str | None = None) -> Estimate:
        """Estimate the mean of a metric, the study's own by default, from values (runs, episodes)."""
        name = metric or self.study.metric
        if name in self.rates:
            return rate_estimate(values)
        return mean_estimate(values, self.rng(), bounds=self.bounds.get(name, UNBOUNDED))

    def cell(self, policy: str, condition: str, metric: str | None = None) -> Estimate:
        """Estimate the mean of a metric of a policy under a condition, whatever its lost episodes would have been."""
        return self.whatever_lost(
            lambda lost_as, _: self.estimate(self.values(policy, condition, metric, lost_as), metric),
            [(policy, condition)],
            metric,
        )

    def average(self, policy: str, conditions: tuple[str, ...], metric: str | None = None) -> Estimate:
        """Estimate the mean of a metric over conditions, whatever the lost episodes would have been."""
        return self.whatever_lost(
            lambda lost_as, _: self.estimate(
                mean(self.stacked(policy, conditions, metric, lost_as), axis=1), metric
            ),
            [(policy, condition) for condition in conditions],
            metric,
        )

    def whatever_lost(
        self,
        found: Callable[[float, float], Estimate],
        cells: Sequence[Cell],
        metric: str | None = None,
        bounds: tuple[float, float] | None = None,
    ) -> Estimate:
        """Return an estimate that holds whatever lost episodes would have been; there is no value if a cell has none.

        Args:
            found: (what lost episodes count as, the opposite of that for what they are compared with) -> estimate;
                NaN leaves them out.
            cells: that it is made of.
            metric: of the values, the study's own by default.
            bounds: of its values, if not those of the metric.
        """
        lost, of, pointless = self.counted(cells, metric)
        known = found(math.nan, math.nan)
        ends = self.ends(metric, bounds) if lost else None
        both = (found(*ends), found(*ends[::-1])) if ends else None
        return whatever_lost(known, lost, of, both, pointless=pointless)

    def counted(self, cells: Iterable[Cell], metric: str | None = None) -> tuple[int, int, bool]:
        """Return how many episodes of some cells are lost and were played, and whether a cell has lost too many."""
        counts = []
        for cell in dict.fromkeys(cells):
            lost = self.lost(*cell, metric)
            played = lost | np.isfinite(self.values(*cell, metric))
            counts.append((int(lost.sum()), int(played.sum())))
        return (
            sum(lost for lost, _ in counts),
            sum(of for _, of in counts),
            any(many(*each) for each in counts),
        )

    def ends(
        self, metric: str | None = None, bounds: tuple[float, float] | None = None
    ) -> tuple[float, float] | None:
        """Return the lowest and the highest value there can be of a metric, None where that is not known."""
        low, high = bounds or self.bounds.get(metric or self.study.metric, UNBOUNDED)
        return (low, high) if math.isfinite(high - low) else None

    def span(self, metric: str | None = None) -> float:
        """Return the largest difference there can be in a metric, infinite where that is not known."""
        low, high = self.bounds.get(metric or self.study.metric, UNBOUNDED)
        return high - low

    def rng(self) -> np.random.Generator:
        """Return the generator of every interval: the same, so that no number depends on the others."""
        return np.random.default_rng(self.study.seed)

    def acted(self, policy: str, condition: str) -> bool:
        """Tell whether any episode under the condition differed from the nominal one with the same seed."""
        here, there = self.digests(policy, condition), self.digests(policy, NOMINAL)
        both = (here != b"") & (there != b"")
        return bool(not both.any() or (here != there)[both].any())

    def inert_parts(self, policy: str, condition: str) -> list[str]:
        """Return the parts of a condition that changed no value in any of its episodes, by their labels."""
        played = np.isfinite(self.values(policy, condition, "return"))
        return [
            name.removeprefix(INERT)
            for name, column in sorted(self._columns.items())
            if name.startswith(INERT)
            and played.any()
            and np.isfinite(self._cell(column, policy, condition))[played].all()
        ]

    def ended_early(self, policy: str, condition: str, lost_as: float = math.nan) -> Array:
        """Return 1 where an episode ended before its time without success, 0 where not, (runs, episodes).

        Where the environment never tells success, it is 1 for every episode that ended before its time.
        """
        status, ending = (
            self._cell(self._codes[name], policy, condition) for name in ("status", "termination")
        )
        ended, success = ending > 0, self.values(policy, condition, "success")
        if not self.tells_success:
            success = np.zeros_like(success)
        early = np.where(ended & np.isnan(success), np.nan, ended & ~(success > 0))
        found = np.where(status == _OK, early, np.nan)
        gone = np.isnan(found) & self.lost(policy, condition, "success")
        return np.where(gone, lost_as, found)

    def statuses(self) -> Counter[str]:
        """Count the trials by status; "missing" ones have no row."""
        codes, counts = np.unique(self._codes["status"][self._recorded], return_counts=True)
        found = Counter(dict(zip(self._said[codes], counts.tolist(), strict=True)))
        if missing := int((self._planned & ~self._recorded).sum()):
            found["missing"] = missing
        return found

    def errors(self) -> Counter[str]:
        """Count what went wrong in the trials that gave no number."""
        failed = self._recorded & (self._codes["status"] != _OK)
        codes = np.where(self._codes["error"] > 0, self._codes["error"], self._codes["status"])[failed]
        return Counter(self._said[codes].tolist())

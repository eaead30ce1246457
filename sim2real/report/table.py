"""The records of a study as arrays (runs, episodes), joined with the study by the keys of its trials."""

import json
import math
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from itertools import chain
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sim2real.errors import Sim2RealError, nearest
from sim2real.stats import Estimate, mean_estimate, rate_estimate
from sim2real.study.store import Store
from sim2real.study.study import NOMINAL, Study
from sim2real.study.trial import Trial

Array = NDArray[np.float64]
Row = Mapping[str, Any]

OUTCOMES = ("success", "return", "length", "duration_s", "cost", "violations", "interventions")
COUNTS = {"cost", "violations", "interventions"}  # zero where nothing counts
_READ = ("status", "error", "termination", "digest", *OUTCOMES)


class Table:
    """Every trial of a study beside its row; what is missing or failed is NaN.

    Args:
        study: What was asked.
        store: What was recorded.

    Raises:
        Sim2RealError: If the study's metric is in no record.
    """

    def __init__(self, study: Study, store: Store) -> None:
        self.study = study
        self.meta = store.meta
        self.path = store.folder
        files = (file for runs in study.policies.values() for file in runs)
        self.trust = " --trust" if any(file.needs_trust for file in files) else ""
        # Where a reader has the folder, not where it was when the report was written.
        self.folder = "/".join(store.folder.parts[-2 if store.folder.parts[-2:-1] == ("runs",) else -1 :])
        self._rows: dict[tuple[str, str], dict[tuple[int, int], Row | None]] = {
            (policy, condition): {} for policy in study.policies for condition in study.conditions
        }
        self.trials: dict[tuple[str, str, int, int], Trial] = {}
        found = {
            row["key"]: {name: row[name] for name in _READ} | {"metrics": json.loads(row["metrics"] or "{}")}
            for row in store.rows()
        }
        for policy, run, condition, episode, trial in study.cells():
            self.trials[policy, condition, run, episode] = trial
            self._rows[policy, condition][run, episode] = found.get(trial.key)
        self._arrays = {cell: self._columns(*cell) for cell in self._rows}
        spans: dict[str, set[float]] = defaultdict(
            set
        )  # the ends of each metric, and a value that is no outcome
        for name, values in (item for columns in self._arrays.values() for item in columns.items()):
            known = values[np.isfinite(values)]
            spans[name] |= {float(known.min()), float(known.max()), *known[(known != 0) & (known != 1)][:1]}
        asked = (set(OUTCOMES) - COUNTS) | {study.metric}
        own = sorted(spans.keys() - set(OUTCOMES))
        outcomes = (name for name in OUTCOMES if spans[name] - (set() if name in asked else {0.0}))
        self.metrics = (*outcomes, *own)
        if self.metrics and study.metric not in self.metrics:
            raise Sim2RealError(
                f"No record has the metric '{study.metric}'.{nearest(study.metric, self.metrics)}"
            )
        self.rates = {"success"} | {name for name in own if spans[name] <= {0.0, 1.0}}

    @property
    def perturbed(self) -> tuple[str, ...]:
        """The labels of all conditions but the nominal one."""
        return tuple(label for label in self.study.conditions if label != NOMINAL)

    def rows(self, policy: str | None = None, condition: str | None = None) -> list[Row]:
        """Return the recorded rows of one policy, of one condition, or of both."""
        return [
            row
            for (its_policy, its_condition), cell in self._rows.items()
            if policy in (None, its_policy) and condition in (None, its_condition)
            for row in cell.values()
            if row is not None
        ]

    def row(self, policy: str, condition: str, run: int, episode: int) -> Row:
        """Return the row of a trial that was run.

        Raises:
            KeyError: If it was not.
        """
        row = self._rows[policy, condition][run, episode]
        if row is None:
            raise KeyError((policy, condition, run, episode))
        return row

    def values(self, policy: str, condition: str, metric: str | None = None) -> Array:
        """Return a metric (runs, episodes), the study's own by default; not to be written to."""
        return self._arrays[policy, condition][metric or self.study.metric]

    def _columns(self, policy: str, condition: str) -> dict[str, Array]:
        """Return every metric of a cell, NaN where the row has none or it is not finite."""
        shape = len(self.study.policies[policy]), self.study.episodes
        columns: dict[str, Array] = defaultdict(lambda: np.full(shape, np.nan))
        for place, row in self._rows[policy, condition].items():
            if row is not None and row["status"] == "ok":
                for name, value in _numbers(row):
                    columns[name][place] = value
        return columns

    def stacked(self, policy: str, conditions: tuple[str, ...], metric: str | None = None) -> Array:
        """Return a metric (runs, conditions, episodes), NaN in episodes that not all of the conditions are played in.

        Else an average over conditions would be one over others in each episode.
        """
        values = np.stack([self.values(policy, condition, metric) for condition in conditions], axis=1)
        for condition in self.study.only.get(policy, {}).keys() & set(conditions):
            played = {episode for _, episode in self._rows[policy, condition]}
            values[..., [episode for episode in range(values.shape[-1]) if episode not in played]] = np.nan
        return values

    def estimate(self, values: Array, metric: str | None = None) -> Estimate:
        """Estimate the mean of a metric, the study's own by default, from values (runs, episodes)."""
        if (metric or self.study.metric) in self.rates:
            return rate_estimate(values)
        return mean_estimate(values, self.rng())

    def rng(self) -> np.random.Generator:
        """Return the generator of every interval: the same, so that no number depends on the others."""
        return np.random.default_rng(self.study.seed)

    def acted(self, policy: str, condition: str) -> bool:
        """Tell whether any episode under the condition differed from the nominal one with the same seed."""
        here, there = (
            {
                place: row["digest"]
                for place, row in self._rows[policy, label].items()
                if row and row["digest"]
            }
            for label in (condition, NOMINAL)
        )
        both = here.keys() & there.keys()
        return not both or any(here[place] != there[place] for place in both)

    def ended_early(self, policy: str, condition: str) -> Array:
        """Return 1 where an episode ended before its time without success, else 0 (runs, episodes)."""
        ended = self.values(policy, condition, "success").copy()
        for place, row in self._rows[policy, condition].items():
            if row is not None and row["status"] == "ok":
                ended[place] = float(bool(row["termination"]) and not row["success"])
        return ended

    def statuses(self) -> Counter[str]:
        """Count the trials by status; "missing" ones have no row."""
        return Counter(
            row["status"] if row else "missing" for cell in self._rows.values() for row in cell.values()
        )


def _numbers(row: Row) -> Iterator[tuple[str, float]]:
    """Return the finite numbers of a row: its outcomes, and the metrics of its environment."""
    for name, value in chain(row["metrics"].items(), ((name, row[name]) for name in OUTCOMES)):
        if isinstance(value, int | float) and math.isfinite(value):
            yield name, float(value)

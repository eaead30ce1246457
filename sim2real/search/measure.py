"""Points measured as ordinary trials: what the store holds is read, what it lacks is run."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sim2real.perturb import from_json
from sim2real.report.table import Table
from sim2real.search.region import Point, label
from sim2real.stats import mean
from sim2real.study import NOMINAL, Store, Study, run
from sim2real.study.backends import opened


class Measure:
    """A study that grows by the points asked of it, all in one folder.

    Points come from seeds and results, never from the clock: so a search that was killed asks for the same ones
    again, and runs only what is missing of them.

    Args:
        study: what is asked at every point.
        folder: of the records; conditions that an earlier search left there stay.
        options: of `run`.

    Attributes:
        study: with every point so far among its conditions.
        store: its records.
        folder: of the records.
        options: of `run`.
    """

    def __init__(self, study: Study, folder: Path, options: Mapping[str, Any]) -> None:
        self.folder, self.options = folder, options
        before = Store(folder).meta if (folder / "records.sqlite").is_file() else {}
        stated = before["study"]["conditions"] if before else {}
        conditions = {name: from_json(items) for name, items in stated.items()}
        self.study = replace(study, conditions={**conditions, **study.conditions})
        self.store = run(self.study, folder, **options)

    def table(self, points: Sequence[Point]) -> Table:
        """Return the records of some points and of nominal, after running what is missing."""
        added = {label(point): tuple(point.values()) for point in points}
        if not added.keys() <= self.study.conditions.keys():
            self.study = replace(self.study, conditions={**self.study.conditions, **added})
            self.store = run(self.study, self.folder, **self.options)
        return Table(replace(self.study, conditions={NOMINAL: (), **added}), self.store)


@contextmanager
def measuring(study: Study, out: str | Path | None, options: Mapping[str, Any]) -> Iterator[Measure]:
    """Yield a measure whose workers live until it is done."""
    folder = Path(out) if out is not None else Path("runs", study.name)
    with opened(options.get("executor"), options.get("workers"), folder) as (place, at_once):
        yield Measure(study, folder, {**options, "executor": place, "workers": at_once})


def means(
    table: Table, policy: str, points: Sequence[Point], metric: str | None = None
) -> NDArray[np.float64]:
    """Return the mean of a metric over runs and episodes at each point, NaN where too many episodes are lost."""

    def found(place: str) -> float:
        _, _, pointless = table.counted([(policy, place)], metric)
        return np.nan if pointless else float(mean(table.values(policy, place, metric), axis=(0, 1)))

    return np.array([found(label(point)) for point in points])

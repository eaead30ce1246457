"""Episodes worth looking at: the worst of every thing that harms a policy."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from sim2real.perturb import Perturbation
from sim2real.report.heldout import HeldOut
from sim2real.report.table import Table
from sim2real.study.trial import Trial


@dataclass(frozen=True, kw_only=True)
class Sample:
    """One episode worth looking at: the worst of a condition."""

    policy: str
    condition: str
    run: int
    episode: int
    trial: Trial
    digest: str
    ending: str
    value: float


def samples(table: Table, rows: Sequence[HeldOut]) -> tuple[Sample, ...]:
    """Return each policy's worst episode for every thing perturbed that harms it, worst condition first."""
    found = []
    met: set[tuple[object, ...]] = set()
    for row in sorted(rows, key=lambda row: row.estimate.at_least):
        condition = table.study.conditions[row.condition]
        what = (
            row.policy,
            *(item.identity if isinstance(item, Perturbation) else item for item in condition),
        )
        values = table.values(row.policy, row.condition)
        if row.to_nominal.estimate.at_least < 0 and what not in met and np.isfinite(values).any():
            met.add(what)
            run, episode = (int(i) for i in np.unravel_index(np.nanargmin(values), values.shape))
            place = (row.policy, row.condition, run, episode)
            record = table.row(*place)
            found.append(
                Sample(
                    policy=row.policy,
                    condition=row.condition,
                    run=run,
                    episode=episode,
                    trial=table.trial(*place),
                    digest=record["digest"],
                    ending=record["termination"],
                    value=float(values[run, episode]),
                )
            )
    return tuple(found)

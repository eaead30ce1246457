"""How much of every perturbation policies stand: what a threshold search left."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sim2real.report import beside
from sim2real.report.table import Table
from sim2real.stats import Estimate

FILE = "thresholds.json"


@dataclass(frozen=True, kw_only=True)
class Threshold:
    """The strength at which success falls to a level.

    Args:
        policy: whose.
        run: its training run, counted from 0.
        runs: how many the policy has.
        condition: at strength 1; nominal is 0.
        estimate: infinite beyond the condition itself.
        reached: whether the interval became as narrow as was asked for.
    """

    policy: str
    run: int
    runs: int
    condition: str
    estimate: Estimate
    reached: bool


def thresholds(table: Table) -> tuple[float, tuple[Threshold, ...]]:
    """Return the level and what `thresholds.json` holds, the smallest threshold first; nothing without such a file.

    Raises:
        Sim2RealError: If the file cannot be read.
    """
    return beside.read(table.path / FILE, "thresholds", _thresholds) or (math.nan, ())


def _thresholds(told: Mapping[str, Any]) -> tuple[float, tuple[Threshold, ...]]:
    names = [one["policy"] for one in told["thresholds"]]
    places = {(one["policy"], one["run"]) for one in told["thresholds"]}
    runs = {name: sum(policy == name for policy, _ in places) for name in names}
    found = (
        Threshold(
            policy=one["policy"],
            run=one["run"],
            runs=runs[one["policy"]],
            condition=one["condition"],
            estimate=beside.estimate(one["estimate"], one["estimate"]["episodes"], missing=math.inf),
            reached=one["reached"],
        )
        for one in told["thresholds"]
    )
    return float(told["level"]), tuple(
        sorted(found, key=lambda one: (one.estimate.at_least, one.estimate.low))
    )

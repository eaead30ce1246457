"""In which ways episodes failed: what a search for failure modes left."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sim2real.report import beside, worst
from sim2real.report.table import Table

FILE = "modes.json"


@dataclass(frozen=True, kw_only=True)
class Mode:
    """One way of failing.

    Args:
        name: how its episodes end.
        episodes: that failed so.
        share: of all failures.
        features: (figure, median here, median of all other failures), the most telling first.
        conditions: (condition, share of this mode, share of all other failures), the most telling first.
        policy: of the episode in its middle.
        condition: of the same.
        key: of the same.
    """

    name: str
    episodes: int
    share: float
    features: tuple[tuple[str, float, float], ...]
    conditions: tuple[tuple[str, float, float], ...]
    policy: str
    condition: str
    key: str


def modes(table: Table) -> tuple[Mode, ...]:
    """Return what `modes.json` holds, or `search.json` where there is none of the former, the most common first.

    Raises:
        Sim2RealError: If a file cannot be read.
    """
    found = (beside.read(table.path / file, "failure modes", _modes) for file in (FILE, worst.FILE))
    return next(filter(None, found), ())


def _modes(told: Mapping[str, Any]) -> tuple[Mode, ...]:
    return tuple(
        Mode(
            name=one["name"],
            episodes=one["episodes"],
            share=one["share"],
            features=tuple((it["name"], it["here"], it["elsewhere"]) for it in one["features"]),
            conditions=tuple((it["condition"], it["here"], it["elsewhere"]) for it in one["conditions"]),
            policy=one["example"]["policy"],
            condition=one["example"]["condition"],
            key=one["example"]["key"],
        )
        for one in told["modes"]
    )

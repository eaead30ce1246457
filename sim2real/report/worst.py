"""The worst case of a region, and the smallest perturbation there that still fails: what a search left."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sim2real.report import beside
from sim2real.report.table import Table
from sim2real.stats import Estimate

FILE = "search.json"


@dataclass(frozen=True, kw_only=True)
class Point:
    """One point of a region.

    Args:
        name: "nominal", "worst" or "smallest".
        score: the mean of the metric in the search itself, which chose the point for it.
        fresh: the same over episodes that the search did not see, None where there are none.
        amounts: of every axis that does something there.
        severity: of the same, from 0, which changes nothing, to 1, the far end of the axis; None where unknown.
    """

    name: str
    score: float
    fresh: Estimate | None
    amounts: Mapping[str, float]
    severity: Mapping[str, float | None]


@dataclass(frozen=True, kw_only=True)
class Search:
    """What a search of a region found.

    Args:
        policy: whose region was searched.
        metric: that was searched for its lowest mean.
        fails_below: a point fails where its mean is below.
        tried: points, before the worst was shrunk.
        failing: points of those.
        lost: further points, of which too many episodes gave no number.
        axes: name -> the perturbation in words.
        units: of the axes; "strength" of one that varies in that.
        points: nominal, the worst, and the smallest that fails if anything does.
        episodes_failed: at the smallest.
        key: of the worst of these, "" if there is none.
        clip: the file that shows it, "" if there is none.
    """

    policy: str
    metric: str
    fails_below: float
    tried: int
    failing: int
    lost: int
    axes: Mapping[str, str]
    units: Mapping[str, str]
    points: tuple[Point, ...]
    episodes_failed: int
    key: str
    clip: str

    def point(self, name: str) -> Point | None:
        """Return the point of this name."""
        return next((one for one in self.points if one.name == name), None)


def searched(table: Table) -> Search | None:
    """Return what `search.json` holds, None where there is no such file.

    Raises:
        Sim2RealError: If the file cannot be read.
    """
    return beside.read(table.path / FILE, "a search", _search)


def _search(told: Mapping[str, Any]) -> Search:
    nominal = {"score": told["nominal"], "amounts": {}, "severity": {}}
    failed = told["episodes_failed"]
    return Search(
        policy=told["policy"],
        metric=told["metric"],
        fails_below=told["fails_below"],
        tried=told["tried"],
        failing=told["failing"],
        lost=told.get("lost", 0),
        axes={axis["name"]: axis["label"] for axis in told["region"]},
        units={
            axis["name"]: "strength" if axis["varies"] == "strength" else axis["unit"]
            for axis in told["region"]
        },
        points=tuple(
            Point(
                name=name,
                score=point["score"],
                fresh=beside.estimate(told["fresh"][name], 1) if name in told["fresh"] else None,
                amounts=point["amounts"],
                severity=point["severity"],
            )
            for name, point in (
                ("nominal", nominal),
                ("worst", told["worst"]),
                ("smallest", told["smallest"]),
            )
            if point
        ),
        episodes_failed=len(failed),
        key=failed[0]["key"] if failed else "",
        clip=told["clip"] or "",
    )

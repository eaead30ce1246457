"""A search carried out: the worst point of a region, the smallest that fails, the perturbations that matter."""

from collections.abc import Sequence
from dataclasses import replace
from math import isnan, log2
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from sim2real.errors import Sim2RealError
from sim2real.report.clips import gif
from sim2real.report.table import Table
from sim2real.search.document import (
    VERSION,
    episode_to_json,
    estimate_to_json,
    indices_to_json,
    mode_to_json,
    number_to_json,
    point_to_json,
    write,
)
from sim2real.search.measure import Measure, means, measuring
from sim2real.search.modes import failed, failure_modes
from sim2real.search.optimise import METHODS
from sim2real.search.region import Axis, Point, axes, label, point_at
from sim2real.search.search import Search
from sim2real.search.sensitivity import design, indices
from sim2real.search.shrink import smallest
from sim2real.study import NOMINAL, Store, Study, Trial, replay, run
from sim2real.study.executors import send

CLIP = "smallest.gif"

LEAST_ROWS = 8
"""Rows of a design below which sensitivity indices say nothing."""


def find_failure(search: Search, out: str | Path | None = None, **options: Any) -> dict[str, Any]:
    """Find where in a region a policy does worst, and the smallest perturbation there that makes it fail.

    Every point is a condition of an ordinary study in ``out``, so killed and started again this does what is
    missing. The lowest of many means is lower than the truth, by luck; so what was found is measured again on
    fresh episodes, as a study of its own in the folder ``fresh``.

    Args:
        search: of one policy, with one or more training runs.
        out: the folder of the records, `runs/<study name>` by default.
        options: of `sim2real.study.run`: workers, executor, trust, progress, timeout_s, source.

    Returns:
        What is written to ``search.json`` there; ``docs/finding-failures.md`` explains it.

    Raises:
        Sim2RealError: If the study cannot run, or the policy fails without any perturbation.
    """
    study, limit = search.study, search.limit
    if len(study.policies) != 1:
        raise Sim2RealError(f"A search is of one policy, not of {', '.join(study.policies)} at once.")
    (policy,) = study.policies
    with measuring(study, out, options) as measure:
        found = _looked(search, policy, measure)
        again = replace(
            study,
            name=f"{study.name}-fresh",
            seed=study.seed + 1,
            episodes=search.fresh,
            conditions={name: tuple(point.values()) for name, point in found.told.items()},
        )
        fresh = Table(again, run(again, measure.folder / "fresh", **{**measure.options, "progress": None}))
        table = measure.table([point for point, _ in found.tried.values()])
        least = label(found.told["smallest"]) if "smallest" in found.told else None
        failures = [place for place in failed(table, limit) if place[1] == least]
        clip = _filmed(table.trial(*failures[0]), measure) if failures else None
    points = {name: point_to_json(point, found.tried[label(point)][1]) for name, point in found.told.items()}
    key = table.trial(*failures[0]).key[:12] if failures else ""
    amounts = {
        name: {axis.name: axis.value(item) for axis, item in point.items()}
        for name, (point, _) in found.tried.items()
    }
    result = {
        "version": VERSION,
        "study": study.name,
        "policy": policy,
        "metric": study.metric,
        "method": search.method,
        "seed": search.seed,
        "points": search.points,
        "episodes": study.episodes,
        "fails_below": limit,
        "region": [axis.to_json() for axis in found.region],
        "nominal": found.tried[NOMINAL][1],
        "tried": found.proposed,
        "failing": found.failing,
        "lost": found.lost,
        "history": [[number_to_json(score) for score in batch] for batch in found.history],
        "worst": points["worst"],
        "smallest": points.get("smallest"),
        "episodes_failed": [episode_to_json(table, place) for place in failures],
        "reproduce": f"sim2real replay {measure.folder} {key}{table.trust}" if key else None,
        "clip": clip,
        "fresh": {name: estimate_to_json(fresh.cell(policy, name)) for name in again.conditions},
        "modes": [mode_to_json(mode) for mode in failure_modes(table, limit, amounts)],
    }
    write(measure.folder / "search.json", result)
    return result


class _Found(NamedTuple):
    region: tuple[Axis, ...]
    told: dict[str, Point]  # "worst", and "smallest" if that fails
    tried: dict[str, tuple[Point, float]]  # every point and its score, by label
    history: list[list[float]]  # the scores of each batch that was proposed
    proposed: int  # points
    failing: int  # of these
    lost: int  # further points, that have no score


def _looked(search: Search, policy: str, measure: Measure) -> _Found:
    """Return what the points of a region show, after trying them."""
    limit, metric = search.limit, search.study.metric
    tried: dict[str, tuple[Point, float]] = {}
    history: list[list[float]] = []

    def scores(points: Sequence[Point]) -> list[float]:
        found: list[float] = means(measure.table(points), policy, points).tolist()
        tried.update({label(point): (point, score) for point, score in zip(points, found, strict=True)})
        return found

    def objective(places: NDArray[np.float64]) -> NDArray[np.float64]:
        history.append(scores([point_at(region, place) for place in places.tolist()]))
        return np.where(np.isnan(history[-1]), np.inf, history[-1])

    def fails(points: Sequence[Point]) -> list[bool]:
        return [score < limit for score in scores(points)]

    (nominal,) = scores([{}])
    if not nominal >= limit:
        raise Sim2RealError(
            f"'{policy}' fails without any perturbation: its {metric} is {nominal:.3g}, and below {limit:.3g} is "
            "failing; set fails_below, or choose a better policy."
        )
    region = axes(search.region, measure.store.meta)
    METHODS[search.method](objective, len(region), search.points, search.seed)
    known = [found for found in tried.values() if not isnan(found[1])]
    worst, score = min(known, key=lambda found: found[1])
    failing = sum(score < limit for _, score in known)
    lost = len(tried) - len(known)
    told = {"worst": worst} | ({"smallest": smallest(worst, fails)} if score < limit else {})
    return _Found(region, told, tried, history, len(known) - 1, failing, lost)  # nominal was not proposed


def find_sensitivity(search: Search, out: str | Path | None = None, **options: Any) -> dict[str, Any]:
    """Find how much of a metric's spread over a region each perturbation decides, alone and with others.

    The design has as many rows as `search.points` allows: a power of 2, each of a point for every axis and two more.

    Args:
        search: of one policy or several.
        out: the folder of the records, `runs/<study name>` by default.
        options: of `sim2real.study.run`, as for `find_failure`.

    Returns:
        What is written to ``sensitivity.json`` there; ``docs/finding-failures.md`` explains it.

    Raises:
        Sim2RealError: If the study cannot run, or there are too few points for the region.
    """
    study, count = search.study, len(search.region)
    least = LEAST_ROWS * (count + 2)
    if search.points < least:
        raise Sim2RealError(
            f"Sensitivity to {count} perturbations takes points={least} or more, not {search.points}."
        )
    rows = 2 ** int(log2(search.points // (count + 2)))
    with measuring(study, out, options) as measure:
        region = axes(search.region, measure.store.meta)
        points = [
            point_at(region, place) for place in design(count, rows, search.seed).reshape(-1, count).tolist()
        ]
        table = measure.table(points)

    def found(policy: str, metric: str) -> dict[str, Any]:
        values = means(table, policy, points, metric).reshape(rows, count + 2)
        return indices_to_json(region, metric, indices(values, search.seed), rows)

    result = {
        "version": VERSION,
        "study": study.name,
        "seed": search.seed,
        "points": len(points),
        "rows": rows,
        "episodes": study.episodes,
        "region": [axis.to_json() for axis in region],
        "policies": {
            policy: {metric: found(policy, metric) for metric in dict.fromkeys([study.metric, "return"])}
            for policy in study.policies
        },
    }
    write(measure.folder / "sensitivity.json", result)
    return result


def find_modes(study: Study, store: Store) -> dict[str, Any]:
    """Find the ways in which the episodes of a study failed.

    Returns:
        What is written to ``modes.json`` beside the records; ``docs/finding-failures.md`` explains it.
    """
    modes = failure_modes(Table(study, store), study.competent)
    result = {"version": VERSION, "study": study.name, "modes": [mode_to_json(mode) for mode in modes]}
    write(store.folder / "modes.json", result)
    return result


def _filmed(trial: Trial, measure: Measure) -> str | None:
    """Film an episode where episodes are run; return the name of the file, None if it cannot be filmed."""
    sent = send(measure.options["executor"], replay, trial, measure.options.get("trust", False), True)
    shown = sent.exception() or sent.result()
    if isinstance(shown, BaseException) or not shown[1]:
        return None
    (measure.folder / CLIP).write_bytes(gif(shown[1]))
    return CLIP

"""What was found as plain JSON values, in the layout of ``docs/finding-failures.md``, and in sentences."""

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from math import isfinite
from pathlib import Path
from typing import Any

from sim2real.perturb import to_json
from sim2real.report.table import Place, Table
from sim2real.search.modes import Mode, ending
from sim2real.search.region import Axis, Point, label
from sim2real.search.sensitivity import Indices
from sim2real.stats import Estimate

VERSION = 1  # of the layout

MATTERS = 0.05
"""Share of the variance from which a perturbation is named."""


def write(path: Path, result: Mapping[str, Any]) -> None:
    """Write a JSON file at once or not at all."""
    scratch = path.with_suffix(".tmp")
    scratch.write_text(
        json.dumps(result, indent=1, ensure_ascii=False, allow_nan=False) + "\n", encoding="utf-8"
    )
    os.replace(scratch, path)


def number_to_json(value: float) -> float | None:
    """Return a number, None where there is none."""
    return value if isfinite(value) else None


def estimate_to_json(estimate: Estimate) -> dict[str, Any]:
    """Return a number with its interval, and of lost episodes between what it lies whatever they would have been."""
    told: dict[str, Any] = {
        name: number_to_json(getattr(estimate, name)) for name in ("value", "low", "high")
    }
    if estimate.lost:
        told["lost"] = {name: number_to_json(number) for name, number in asdict(estimate.lost).items()}
    return told


def point_to_json(point: Point, score: float) -> dict[str, Any]:
    """Return a point and the mean of the metric there."""
    return {
        "label": label(point),
        "condition": to_json(point.values()),
        "score": score,
        "amounts": {axis.name: axis.value(item) for axis, item in point.items()},
        "severity": {axis.name: axis.severity(item) for axis, item in point.items()},
    }


def episode_to_json(table: Table, place: Place) -> dict[str, Any]:
    """Return an episode and how it ended."""
    policy, condition, run, episode = place
    return {
        "key": table.trial(*place).key,
        "run": run,
        "seed": table.trial(*place).seed,
        "value": number_to_json(float(table.values(policy, condition)[run, episode])),
        "ending": ending(table.row(*place)),
    }


def indices_to_json(region: Sequence[Axis], metric: str, found: Indices, rows: int) -> dict[str, Any]:
    """Return the sensitivity of a metric to the axes of a region, from so many rows of a design."""
    left_out = f" {rows - found.rows} of {rows} rows are left out: a point of theirs has no number."
    names = [axis.name for axis in region]
    return {
        "mean": number_to_json(found.mean),
        "std": number_to_json(found.std),
        "rows": found.rows,
        "first": {name: estimate_to_json(share) for name, share in zip(names, found.first, strict=False)},
        "total": {name: estimate_to_json(share) for name, share in zip(names, found.total, strict=False)},
        "pairs": [
            {"between": [names[i], names[j]], **estimate_to_json(share)} for (i, j), share in found.pairs
        ],
        "sentence": sentence(names, metric, found) + left_out * (found.rows < rows),
    }


def sentence(names: Sequence[str], metric: str, found: Indices) -> str:
    """Return which axes matter, alone and with others, and which pairs are seen to interact."""
    if not found.total:
        return (
            f"Nothing in this region changes {metric}." if found.rows else f"No row has numbers for {metric}."
        )
    order = sorted(range(len(names)), key=lambda i: -found.total[i].value)
    named = [
        f"{names[i]} decides {max(0.0, found.first[i].value):.0%} alone and {found.total[i].value:.0%} with others"
        for i in order
        if found.total[i].value >= MATTERS
    ]
    pairs = [
        f"{names[i]} and {names[j]} ({share.value:.0%})"
        for (i, j), share in found.pairs
        if share.low > 0 and share.value >= MATTERS
    ]
    interacting = f" Interacting: {', '.join(pairs)}." if pairs else ""
    return f"Of the variance of {metric} over the region {', '.join(named)}.{interacting}"


def mode_to_json(mode: Mode) -> dict[str, Any]:
    """Return a failure mode."""
    policy, condition, run, _ = mode.example
    told = {name: value for name, value in asdict(mode).items() if name not in ("key", "seed")}
    return told | {
        "example": {"key": mode.key, "policy": policy, "run": run, "condition": condition, "seed": mode.seed}
    }

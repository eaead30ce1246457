"""Failure modes: the ways in which episodes end badly, found in their records and told in words.

Failed episodes are sorted by why they ended. Each of these groups is split where the figures of its records (time,
return, cost, the environment's metrics) fall apart, each scaled from the 5th to the 95th percentile of all failures.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from math import isnan

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

from sim2real.report.table import Place, Table
from sim2real.search.clusters import groups

Array = NDArray[np.float64]
Flags = NDArray[np.bool_]

TOLD = 3
"""Figures and conditions that a mode is told by."""

NOTABLE = 0.1
"""Share of a mode from which a condition is worth telling."""

SET_APART = 0.5
"""Separation from which a figure is worth telling."""


@dataclass(frozen=True, kw_only=True)
class Feature:
    """A figure of the episodes of a mode beside that of all other failures, as medians.

    ``separation`` is Cliff's delta: 1 if every episode here has a larger figure than every other, -1 a smaller.
    """

    name: str
    here: float
    elsewhere: float
    separation: float


@dataclass(frozen=True, kw_only=True)
class Where:
    """A condition and the share of its failures in a mode: of the mode's, and of all other failures."""

    condition: str
    here: float
    elsewhere: float


@dataclass(frozen=True, kw_only=True)
class Mode:
    """One way of failing.

    Attributes:
        name: short, from the ending and the figure that sets the mode apart most.
        episodes: that failed so.
        share: of all failures.
        sentence: what sets the mode apart.
        example: policy, condition, run and episode of the episode in its middle.
        key: of that episode's record.
        seed: of that episode.
        features: the figures that set it apart, the most telling first.
        conditions: where it is more common than other failures, the most telling first.
    """

    name: str
    episodes: int
    share: float
    sentence: str
    example: tuple[str, str, int, int]
    key: str
    seed: int
    features: tuple[Feature, ...]
    conditions: tuple[Where, ...]


def failure_modes(
    table: Table, fails_below: float, amounts: Mapping[str, Mapping[str, float]] | None = None
) -> tuple[Mode, ...]:
    """Return the ways in which episodes failed, the most common first.

    Args:
        table: the records of a study.
        fails_below: an episode fails where the study's metric is below this, or where it did not reach its end.
        amounts: for each condition how much of what it holds, to tell modes by, not to find them by.
    """
    places = failed(table, fails_below)
    if not places:
        return ()
    figures = _figures(table, places)
    stated = [(amounts or {}).get(place[1], {}) for place in places]
    told = figures | {
        name: np.array([one.get(name, np.nan) for one in stated]) for name in dict.fromkeys(chain(*stated))
    }
    scaled = _scaled(np.column_stack([np.zeros(len(places)), *figures.values()]))
    endings = np.array([ending(table.row(*place)) for place in places])
    found = []
    for reason in dict.fromkeys(endings.tolist()):
        (ended,) = np.nonzero(endings == reason)
        labels, middles = groups(scaled[ended])
        for group, middle in enumerate(middles):
            here = np.isin(np.arange(len(places)), ended[labels == group])
            features = [feature for name in told if (feature := _feature(name, told[name], here))]
            features = sorted(features, key=lambda feature: -abs(feature.separation))[:TOLD]
            conditions = [] if amounts else _where([place[1] for place in places], here)
            example = places[ended[middle]]
            trial = table.trial(*example)
            found.append(
                Mode(
                    name=", ".join([reason, *(f"{one.name} {one.here:.3g}" for one in _apart(features)[:1])]),
                    episodes=int(here.sum()),
                    share=float(here.mean()),
                    sentence=_sentence(reason, _apart(features), conditions),
                    example=example,
                    key=trial.key,
                    seed=trial.seed,
                    features=tuple(features),
                    conditions=tuple(conditions),
                )
            )
    return tuple(sorted(found, key=lambda mode: -mode.episodes))


def failed(table: Table, fails_below: float) -> list[Place]:
    """Return the episodes that failed, the worst first: the metric is below a limit, or they did not reach their end.

    Of an episode whose success is not known it cannot be said that it failed.
    """
    found = []
    for policy in table.study.policies:
        for column, condition in enumerate(table.study.conditions):
            values = table.values(policy, condition)
            for run, episode in np.argwhere(
                table.recorded(policy, condition)
                & ~table.unknown(policy, condition)
                & ~(values >= fails_below)
            ).tolist():
                value = float(values[run, episode])
                found.append((isnan(value), value, run, episode, column, (policy, condition, run, episode)))
    return [place for *_, place in sorted(found, key=lambda one: (one[:2], one[2:5]))]


def ending(row: Mapping[str, str]) -> str:
    """Return why an episode ended, in a word or two."""
    if row["status"] != "ok":
        return row["error"] or row["status"]
    return row["termination"] or "time ran out"


def _scaled(figures: Array) -> Array:
    """Return figures (episodes, figures) on a scale from 0 to 1, and in the middle where there is none."""
    low, high = np.nanpercentile(figures, [5, 95], axis=0)
    scaled = np.clip((figures - low) / np.where(high > low, high - low, 1.0), 0, 1)
    return np.where(np.isnan(scaled), 0.5, scaled)


def _figures(table: Table, places: Sequence[Place]) -> dict[str, Array]:
    """Return the figures of episodes that differ between them, NaN where there is none."""
    told_in_seconds = {"length"} if "duration_s" in table.metrics else set()
    found = {
        name: np.array([table.values(*place[:2], name)[place[2:]] for place in places])
        for name in table.metrics
        if name not in {"success", "survived"} | told_in_seconds
    }
    return {name: values for name, values in found.items() if len(np.unique(values[np.isfinite(values)])) > 1}


def _feature(name: str, values: Array, here: Flags) -> Feature | None:
    inside, outside = (values[group & np.isfinite(values)] for group in (here, ~here))
    if not len(inside) or not len(outside):
        return None
    ranks = rankdata(np.concatenate([inside, outside]))[: len(inside)]
    larger = (ranks.sum() - len(inside) * (len(inside) + 1) / 2) / (len(inside) * len(outside))
    delta = 2 * float(larger) - 1
    return Feature(
        name=name, here=float(np.median(inside)), elsewhere=float(np.median(outside)), separation=delta
    )


def _where(labels: Sequence[str], here: Flags) -> list[Where]:
    """Return the conditions that are more common in a mode than among other failures."""
    inside, outside = (
        Counter(label for label, one in zip(labels, group, strict=True) if one) for group in (here, ~here)
    )
    shares = [
        Where(
            condition=label, here=count / inside.total(), elsewhere=outside[label] / max(1, outside.total())
        )
        for label, count in inside.items()
    ]
    more = [one for one in shares if one.here > one.elsewhere and one.here >= NOTABLE]
    return sorted(more, key=lambda one: one.elsewhere - one.here)[:TOLD]


def _apart(features: Sequence[Feature]) -> list[Feature]:
    return [one for one in features if abs(one.separation) >= SET_APART]


def _sentence(reason: str, features: Sequence[Feature], conditions: Sequence[Where]) -> str:
    """Return what sets a mode apart, in words."""
    parts = [reason, *(f"{one.name} {one.here:.3g} against {one.elsewhere:.3g}" for one in features)]
    if conditions:
        most = conditions[0]
        parts.append(
            f"{most.here:.0%} of it under '{most.condition}', against {most.elsewhere:.0%} elsewhere"
        )
    return "; ".join(parts) + "."

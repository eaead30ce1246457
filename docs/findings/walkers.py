"""What breaks a walker, the published one and those that were trained here."""

import csv
from pathlib import Path

import numpy as np

from findings.told import (
    STUDIES,
    Numbers,
    Side,
    Told,
    block,
    listed,
    prefixed,
    reaches,
    sides,
    stem,
    trained,
)
from sim2real.report import words
from sim2real.report.curves import KEPT
from sim2real.stats import mean
from sim2real.study.study import NOMINAL


def published_walker(folder: Path) -> Numbers:
    """Read what breaks the published walker."""
    told = Told(folder)
    rows, short = [], []
    for side in reaches(told):
        name, _, reach, labels, _ = side
        held, broken = labels.get(reach.held), labels.get(reach.broken)
        row = [name, side.held, f"{told.value('distance_m', held)} m" if held else ""]
        row += [side.broken, *(_walk(told, broken) if broken else [""] * 4)]
        rows.append(row)
        if name in ("friction", "payload", "motors", "actuator latency", "sensor latency", "pushes"):
            short.append([name, row[1], row[3], row[4], row[5]])
    both = "tired motors, late sensors"
    others = [label for label, condition in told.study.conditions.items() if len(condition) > 1]
    distances = told.table.values(told.first, NOMINAL, "distance_m")
    late = [label for label in told.study.conditions if label.startswith("actuator latency")]
    falls = {x: told.value("duration_s", f"friction {x:g}" if x < 1 else NOMINAL) for x in FRICTIONS}
    published = [
        [one.label, *(words.number(dict(one.points)[x]) for x in FRICTIONS)] for one in told.study.references
    ]
    return told.size | {
        "nominal": told.done(),
        "fell": told.fell(),
        "distances": f"{np.nanmin(distances):.2f} to {np.nanmax(distances):.2f} m",
        "speeds": f"{np.nanmin(distances) / 10:.2f} to {np.nanmax(distances) / 10:.2f} m/s",
        "reaches": block(
            "perturbation | holds at | distance there | breaks at | succeed there | fall | after | distance",
            rows,
        ),
        "others": block(
            "together | succeed | fall | after | distance",
            [[label, *_walk(told, label)] for label in others],
        ),
        "late": block(
            ["late by", *(label.partition("latency ")[2] for label in late)],
            [
                [what, *(f"{told.value('distance_m', label.replace('actuator', word))} m" for label in late)]
                for what, word in (("motors", "actuator"), ("sensors", "sensor"))
            ],
        ),
        "friction": block(
            ["effective friction", *(f"{x:g}" for x in FRICTIONS)],
            [[f"here: `robots/g1`, PyBullet, mean of {told.study.episodes}", *falls.values()], *published],
        ),
        "both": told.done(both),
        "both_fell": told.fell(both),
        "both_speed": f"{told.value('velocity_x_m_s', both)} m/s",
        "readme": block(
            "perturbation | holds at | breaks at | succeed there | fall there",
            [*short, [TIRED, "each alone", "together", told.done(both), told.fell(both)]],
        ),
    }


TIRED = "motors at 80 % and sensors 30 ms late"
FRICTIONS = (1.0, 0.5, 0.3, 0.2, 0.15, 0.1, 0.05)


def _walk(told: Told, label: str) -> list[str]:
    """Say of a condition how many succeed, how many fall, after how long all end, and how far they walk."""
    seconds, metres = (told.value(metric, label) for metric in ("duration_s", "distance_m"))
    return [told.done(label), told.fell(label), f"{seconds} s", f"{metres} m"]


USUAL = {
    "gravity bias": "0.05 as noise in training; a tilt of 1 to 3°",
    "tilted IMU": "1 to 3°",
    "gyro bias": "0.2 rad/s as noise in training",
    "latency": "10 to 30 ms",
    "sensor latency": "10 to 30 ms",
    "strength": "80 to 120 %",
    "all masses": "80 to 120 %",
    "rough ground": "1 to 10 cm in training",
    "stairs": "5 to 23 cm in training, 17 cm in a house",
    "steady side force": "a tether, a breeze",
    "encoder offset": "±0.01 to 0.05 rad",
}
"""What the published recipes (`sim2real list presets`) and a real G1 have: no result of ours."""

NUMERICS = ("time step", "solver iterations")


def catalogue(folder: Path) -> Numbers:
    """Read what every kind of perturbation does to the published walker."""
    told = Told(folder)
    drawn: dict[str, list[Side]] = {}
    for side in sides(told.figures.curves, told.first, numbered=True):
        drawn.setdefault(side.name, []).append(side)
    names = list(dict.fromkeys(stem(label, numbered=True) for label in told.table.perturbed))
    kept = {one.condition: one.kept for one in told.figures.squares}
    idle = {gate.condition for gate in told.figures.gates if gate.kind == "no effect"}
    usual, beyond, numerics, sound, silent = [], [], [], [], []
    for name in names:
        labels = [label for label in told.table.perturbed if stem(label, numbered=True) == name]
        found = drawn.get(name, [])
        if not found and all(label in idle for label in labels):
            silent.append(name)
            continue
        rows = [_kind(told, side) for side in found]
        if not found:  # one severity alone, or one without a place on an axis
            rows = [
                [name, "–", label, *_there(told, label)] for label in labels if kept.get(label, 1.0) < KEPT
            ]
        broken = [row for row in rows if row[2] != "–"]
        if name in NUMERICS:
            numerics += rows
        elif name in USUAL:
            usual += [[*row, USUAL[name]] for row in rows]
        elif broken:
            beyond += broken
        else:
            ends = [side.held for side in found]
            sound.append(f"{name} ({' and '.join(ends)})" if ends else name)
    head = "perturbation | holds at | breaks at | succeed there | fall there | mean velocity"
    broken_at = [
        side.labels[side.reach.broken]
        for name, found in drawn.items()
        for side in found
        if side.reach.broken is not None and name not in NUMERICS
    ]
    kinds = len([name for name in names if name not in NUMERICS])
    return told.size | {
        "kinds": f"{kinds}",
        "sound_count": f"{len(sound)}",
        "usual": block(f"{head} | usual", usual),
        "beyond": block(head, beyond),
        "sound": f"{'; '.join(sound)}.\n",
        "silent": f"{'; '.join(silent) or 'none'}",
        "numerics": block(head, numerics),
        "breaks": f"{len(broken_at)}",
        "fall": f"{sum(_mostly_falls(told, label) for label in broken_at)}",
        "gravity_noise": told.done("gravity noise 1"),
        "gravity_bias": told.done("gravity bias 2"),
        "late": told.done("latency 3"),
        "jitter": told.done("jitter 3"),
        "lost": told.done("lost commands 3"),
    }


def _mostly_falls(told: Told, label: str) -> bool:
    return bool(np.nanmean(told.table.ended_early(told.first, label)) > 0.5)


def _kind(told: Told, side: Side) -> list[str]:
    name, _, reach, labels, _ = side
    there = _there(told, labels[reach.broken]) if reach.broken is not None else ["", "", ""]
    return [name, side.held, side.broken, *there]


def _there(told: Told, label: str) -> list[str]:
    """Say of a condition how many succeed, how many fall, and how fast they walk."""
    return [told.done(label), told.fell(label), f"{told.value('velocity_x_m_s', label)} m/s"]


WALKERS = ("nominal", "randomised", "constrained")
WALKED = {
    "success": ("success", ".0f", 100.0, " %"),
    "velocity_error_m_s": ("velocity error (m/s)", ".2f", 1.0, ""),
    "tracking_error_m_s": ("tracking error", ".2f", 1.0, ""),
    "single_support_fraction": ("single support", ".0f", 100.0, " %"),
    "clearance_m": ("clearance", ".0f", 100.0, " cm"),
    "feet_apart_m": ("feet apart", ".0f", 100.0, " cm"),
    "slip_m_s": ("slip", ".0f", 100.0, " cm/s"),
}


def walk_training(folder: Path) -> Numbers:
    """Read from the shipped walkers what they took to train, and what they violated meanwhile."""
    told = {
        kind: [file.contract.training for file in trained(f"walk/{kind}-seed*.safetensors")]
        for kind in WALKERS
    }
    learning = {
        kind: [1000 * one["violations"] / _learnt(kind, one) for one in runs] for kind, runs in told.items()
    }
    rows = [
        [
            kind,
            listed((one["steps"] for one in runs), ".2f", 1e-6),
            listed((one["evaluated success"] for one in runs), ".0f", 100) + " %",
            listed(learning[kind]),
        ]
        for kind, runs in told.items()
    ]
    head = (
        "policy, seeds 0 1 2 | million steps, imitation included | success | violations in 1,000 steps of PPO"
    )
    less = sum(learning["constrained"]) / sum(learning["randomised"])
    return {"learning": block(head, rows), "saved": words.number(1 - less, True)}


def _learnt(kind: str, one: dict[str, float]) -> float:
    """Return the steps of PPO alone, as the curve tells them."""
    with (STUDIES / "policies" / "walk" / f"{kind}-seed{one['seed']}.csv").open(encoding="utf-8") as file:
        return float(list(csv.DictReader(file))[-1]["steps"])


def locomotion_as_trained(folder: Path) -> Numbers:
    """Read what walkers do under commands alone, and how long they last in worlds drawn as in training."""
    told, world = Told(folder), "worlds of training"
    walks, numbers = [], told.size
    for policy in told.study.policies:
        stays = {
            label: [1 - one for one in mean(told.table.ended_early(policy, label), axis=1)]
            for label in ("commands", world)
        }
        seconds = told.runs("duration_s", world, policy)
        walks.append(
            [
                policy,
                *(
                    listed(told.runs(name, "commands", policy), style, scale) + unit
                    for name, (_, style, scale, unit) in WALKED.items()
                ),
                *(listed(one, ".0f", 100) + " %" for one in stays.values()),
                listed(seconds, ".1f"),
            ]
        )
        numbers[f"{policy}_seconds"] = told.value("duration_s", world, policy)
        numbers[f"{policy}_range"] = f"{min(seconds):.0f} to {max(seconds):.0f}"
    sparing = [
        [what, *(listed([1000 * each for each in _per_step(told, one, name)]) for one in WALKERS[1:])]
        for what, name in (
            ("violations in 1,000 steps", "violations"),
            ("steps changed of 1,000", "interventions"),
        )
    ]
    sparing.append(["return", *(listed(told.runs("return", "commands", one)) for one in WALKERS[1:])])
    sparing.append(
        [
            "seconds in randomised worlds",
            *(listed(told.runs("duration_s", world, one), ".1f") for one in WALKERS[1:]),
        ]
    )
    returns = [told.estimate("return", "commands", one).value for one in WALKERS[1:]]
    head = [
        "policy, seeds 0 1 2",
        *(name for name, *_ in WALKED.values()),
        "no fall",
        "no fall in randomised worlds",
        "seconds there",
    ]
    return numbers | {
        "walkers": block(head, walks),
        "sparing": block(["seeds 0 1 2", *WALKERS[1:]], sparing),
        "return_lost": words.number(1 - returns[1] / returns[0], True),
    }


def _per_step(told: Told, policy: str, name: str) -> list[float]:
    """Return how often something happens in a step of every training run, under commands alone."""
    counts, lengths = (told.runs(one, "commands", policy) for one in (name, "length"))
    return [count / length for count, length in zip(counts, lengths, strict=True)]


def locomotion(folder: Path) -> Numbers:
    """Read which training survives what."""
    told = Told(folder)
    labels = list(told.study.policies)
    longest = told.table.bounds["duration_s"][1]
    rows = []
    for condition in told.table.perturbed:
        found = [told.estimate("duration_s", condition, one) for one in labels]
        if any(one.value != longest for one in found):
            cells = (words.point(one) if one.value == longest else words.whole(one) for one in found)
            rows.append([condition, *cells])
    numbers = told.size
    for first, second in (
        ("nominal", "randomised"),
        ("randomised", "constrained"),
        ("randomised", "published"),
    ):
        if second in labels:
            numbers |= prefixed(second, told.difference(first, second))
    for condition, name in (
        ("actuator latency 40 ms", "late"),
        ("payload 10 kg", "loaded"),
        ("motors at 65%", "weak"),
    ):
        numbers |= {f"{one}_{name}": told.value("duration_s", condition, one) for one in labels}
    other = ", ".join(f"{one} {told.value('duration_s', 'the other simulator', one)} s" for one in labels)
    return numbers | {"survive": block(["condition", *labels], rows), "other_simulator": other}

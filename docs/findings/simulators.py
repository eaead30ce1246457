"""Which findings are about the world, and which about a simulator."""

import re
from pathlib import Path

import numpy as np

from findings.told import ENGINES, Numbers, Side, Told, block, broken, prefixed, said, sides
from sim2real.report import words
from sim2real.report.curves import KEPT
from sim2real.report.simulators import Pair
from sim2real.study.study import NOMINAL


def _both(told: Told, policy: str = "") -> Numbers:
    """Say how alike two simulators are in what breaks a policy."""
    policy, world = policy or told.first, told.elsewhere
    pairs = [pair for pair in world.pairs if pair.policy == policy]
    tau = next(one.tau for one in world.conditions if one.policy == policy)
    first = next(one for one in world.breaks if one.policy == policy)
    episodes = told.count(NOMINAL, policy)
    apart = np.nanmax([abs(pair.change.estimate.value) for pair in pairs])
    return {
        "pairs": f"{len(pairs)}",
        "shown": f"{sum(pair.shown for pair in pairs)}",
        "most": f"{apart * episodes:.0f}",
        "of": f"{episodes}",
        "smallest_p": words.number(min(pair.change.p_value for pair in pairs)),
        "open": f"{100 * max(max(-p.change.estimate.low, p.change.estimate.high) for p in pairs):.0f} points",
        "tau": f"{tau.value:.2f} {words.between(tau)}",
        "here_first": f"“{first.here}”" if first.here else "nothing",
        "there_first": f"“{first.there}”" if first.there else "nothing",
        "nominal": told.done(NOMINAL, policy),
        "nominal_there": told.done("mujoco", policy),
    }


def _edges(told: Told) -> str:
    """Return where the first policy holds and breaks in both simulators, as a table."""
    world, policy = told.elsewhere, told.first
    there = {_key(side): side for side in sides(world.curves, world.there(policy))}
    here = {_key(side): side for side in sides(world.curves, policy)}
    rows = []
    for key in dict.fromkeys([*here, *there]):
        row = [key[0]]
        for found, label_of in ((here, str), (there, _there_too)):
            one = found.get(key)
            row += [one.held, broken(told, one, label_of)] if one else ["", ""]
        rows.append(row)
    return block(["", *(f"{engine} {does}" for engine in ENGINES for does in ("holds", "breaks"))], rows)


def _key(side: Side) -> tuple[str, str, bool]:
    name, curve, reach, *_ = side
    furthest = reach.broken if reach.held is None else reach.held
    centre = curve.family.nominal_x
    above = furthest is not None and centre is not None and furthest > centre
    return name.removesuffix(", mujoco"), curve.family.title, above


def cross_simulator(folder: Path) -> Numbers:
    """Read what two simulators make of the published walker."""
    told, walked = Told(folder), Told(folder, "distance_m")
    pairs = {pair.condition: pair for pair in walked.elsewhere.pairs}
    both = [label for label in pairs if _succeeds(told, label)]
    compared = [
        [label, *(f"{words.point(one)} m" for one in (pairs[label].here, pairs[label].there)), _luck(pairs[label])]
        for label in DISTANCES
    ]  # fmt: skip

    def twice(metric: str, label: str) -> list[str]:
        return [told.value(metric, one) for one in (label, _there_too(label))]

    far = {label: abs(pairs[label].there.value / pairs[label].here.value - 1) for label in both}
    beyond = [f"{label} ({words.number(one, True)})" for label, one in far.items() if one > ALIKE]
    return (
        told.size
        | _both(told)
        | {
            "edges": _edges(told),
            "succeed": f"{len(both)}",
            "alike": words.number(ALIKE, True),
            "beyond": ", ".join(beyond) or "nothing",
            "distances": block(["", *ENGINES, "difference"], compared),
            "tick_here": told.value("distance_m", "physics at 1 ms"),
            "tick_there": told.value("distance_m", _there_too("physics at 1 ms")),
            "nominal_here": told.value("distance_m"),
            "nominal_mujoco": told.value("distance_m", "mujoco"),
            "bouncing": block(
                [
                    "",
                    *(
                        f"{what}, {one}"
                        for what in ("energy (J)", "share of time in the air")
                        for one in ENGINES
                    ),
                ],
                [
                    [label, *twice("energy_j", label), *twice("flight_fraction", label)]
                    for label in (NOMINAL, "restitution 0.2", "restitution 0.5")
                ],
            ),
            "falling": block(
                ["", *(f"{what}, {one}" for what in ("seconds", "distance (m)") for one in ENGINES)],
                [
                    [label, *twice("duration_s", label), *twice("distance_m", label)]
                    for label in ("friction 0.1", "payload 15 kg", "motors at 70%", "actuator latency 60 ms")
                ],
            ),
        }
    )


ALIKE = 0.05  # two simulators that differ by less are said to agree

DISTANCES = (
    NOMINAL, "friction 0.3", "friction 0.15", "payload 5 kg", "payload 10 kg", "motors at 80%",
    "actuator latency 20 ms", "actuator latency 40 ms", "gravity x 1.2", "slope -0.1 rad", "slope 0.1 rad",
    "restitution 0.5",
)  # fmt: skip


def _there_too(label: str) -> str:
    return "mujoco" if label == NOMINAL else f"{label}, mujoco"


def _succeeds(told: Told, label: str) -> bool:
    return all(told.estimate("success", one).value >= KEPT for one in (label, _there_too(label)))


def _luck(pair: Pair) -> str:
    return words.change(pair.change) + ("" if pair.shown else ", may be luck")


def cross_simulator_walkers(folder: Path) -> Numbers:
    """Read what two simulators make of the walkers trained here."""
    told = Told(folder)
    numbers = told.size
    for policy in told.figures.competent:
        numbers |= prefixed(policy, _both(told, policy))
    return numbers


def cross_simulator_hands(folder: Path) -> Numbers:
    """Read what two simulators make of the scripted expert."""
    told, returned = Told(folder), Told(folder, "return")
    far = [
        abs(pair.there.value / pair.here.value - 1)
        for pair in returned.elsewhere.pairs
        if _succeeds(told, pair.condition)
    ]
    apart = words.number(max(far, default=np.nan), True)
    return told.size | _both(told) | {"edges": _edges(told), "returns": apart}


GAPS = {
    "MuJoCo, torques of a walk in Bullet": "**MuJoCo, torques of a walk in Bullet**",
    "MuJoCo, torques of a walk in MuJoCo": "**MuJoCo, torques of a walk in MuJoCo**",
}


WIDE = 44  # the column of `studies/cross_simulator.py` that says what is compared


def joint_gap(folder: Path) -> Numbers:
    """Read how far the joints of two simulators come apart, as `studies/cross_simulator.py` prints it."""
    head, *lines = said(folder, 1).splitlines()
    after = re.findall(r"[\d.]+ s", head)
    rows = {}
    for line in filter(None, lines):
        rows[line[:WIDE].strip()] = line[WIDE:].split()
    ends = rows.keys() - {row for row in rows if row.endswith(", MuJoCo")}
    joints = {row.removesuffix(", MuJoCo"): float(rows[row][0]) for row in rows.keys() - ends}

    def over(*parts: str) -> str:
        chosen = [value for joint, value in joints.items() if any(part in joint for part in parts)]
        return f"{min(chosen):.1f} to {max(chosen):.1f}"

    return {
        "gaps": block(
            ["mrad after", *after],
            [[GAPS.get(row, row.replace(" x ", " × ")), *rows[row]] for row in rows if row in ends],
        ),
        "ankles": over("ankle"),
        "hips": over("hip_roll", "hip_yaw"),
    }

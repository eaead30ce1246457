"""What the pages say of each result: from finished records to named values and tables.

Every number is of the report's own making (`sim2real.report`); here it is only chosen and put into words. A name is a
value in a sentence, or a block of lines, the last of them ended.
"""

import csv
import json
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import numpy as np

from sim2real import policies
from sim2real.policies import PolicyFile
from sim2real.report import words
from sim2real.report.curves import KEPT, Reach, SeverityCurve
from sim2real.report.figures import Figures, figures
from sim2real.report.heldout import Comparison, comparisons_of
from sim2real.report.simulators import Elsewhere, Pair, elsewhere
from sim2real.report.table import Table
from sim2real.stats import Estimate, mean
from sim2real.study.document import open_study
from sim2real.study.study import NOMINAL

Numbers = dict[str, str]
Read = Callable[[Path], Numbers]
STUDIES = Path(__file__).parents[1] / "studies"
SEEDS = (0, 1, 2)
ENGINES = ("PyBullet", "MuJoCo")


EVERYBODY = -1e9  # what every policy reaches, of any metric


class Told:
    """The records of a study, and what its report makes of them.

    Args:
        folder: of the records.
        metric: to ask of instead of the study's own.
    """

    def __init__(self, folder: Path, metric: str = "") -> None:
        study, self.store = open_study(folder)
        self.study = replace(study, metric=metric, competent=EVERYBODY) if metric else study
        self.table = Table(self.study, self.store)
        self.first = next(iter(study.policies))

    @cached_property
    def figures(self) -> Figures:
        """The numbers of its report."""
        return figures(self.table, 0)

    @cached_property
    def elsewhere(self) -> Elsewhere:
        """The same conditions in the other simulator."""
        return elsewhere(self.table, self.store, self.figures.competent)[0]

    @property
    def size(self) -> Numbers:
        """How large it is."""
        return {
            "episodes": f"{len(self.study.trials()):,}",
            "conditions": f"{len(self.study.conditions)}",
            "each": f"{self.study.episodes}",
        }

    def estimate(self, metric: str, condition: str = NOMINAL, policy: str = "") -> Estimate:
        """Estimate the mean of a metric."""
        return self.table.estimate(self.table.values(policy or self.first, condition, metric), metric)

    def value(self, metric: str, condition: str = NOMINAL, policy: str = "") -> str:
        """Write the mean of a metric, a rate in per cent."""
        return words.number(self.estimate(metric, condition, policy).value, metric in self.table.rates)

    def runs(self, metric: str, condition: str, policy: str) -> list[float]:
        """Return the mean of a metric of every training run."""
        return [float(one) for one in mean(self.table.values(policy, condition, metric), axis=1)]

    def all_of(self, metric: str, condition: str, policy: str = "") -> float:
        """Return the sum of a metric over all episodes."""
        return float(np.nansum(self.table.values(policy or self.first, condition, metric)))

    def count(self, condition: str = NOMINAL, policy: str = "") -> int:
        """Return how many episodes gave a number."""
        return int(np.isfinite(self.table.values(policy or self.first, condition)).sum())

    def done(self, condition: str = NOMINAL, policy: str = "") -> str:
        """Say how many of the episodes are a success."""
        return f"{self.all_of('success', condition, policy):.0f} of {self.count(condition, policy)}"

    def fell(self, condition: str = NOMINAL, policy: str = "") -> str:
        """Say how many of the episodes ended early."""
        return f"{np.nansum(self.table.ended_early(policy or self.first, condition)):.0f}"

    def kept(self, policy: str) -> str:
        """Say what a policy keeps of its nominal metric under what is held out."""
        found = next((one.kept for one in self.figures.challenges if one.policy == policy), None)
        return words.whole(found, True) if found else "–"

    def compared(self, first: str, second: str) -> Comparison | None:
        """Compare a policy with another over what is held out for both; None where one is not competent."""
        held = [(row.policy, row.condition) for row in self.figures.held_out]
        return next(iter(comparisons_of(self.table, (first, second), held)), None)

    def difference(self, first: str, second: str) -> Numbers:
        """Say how a policy differs from another over what is held out for both."""
        found = self.compared(first, second)
        if found is None:
            return {"change": "–", "p": "–", "worlds": "0"}
        return {
            "change": words.change(found.held_out, self.rate),
            "p": words.probability(found.held_out.p_value),
            "worlds": f"{found.conditions}",
        }

    @property
    def rate(self) -> bool:
        """Whether the metric is a rate."""
        return self.study.metric in self.table.rates


def block(head: str | Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a Markdown table, its head a sequence of texts, or all of them with bars in between."""
    head = head.split(" | ") if isinstance(head, str) else head
    lines = [head, ["---"] * len(head), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def prefixed(prefix: str, numbers: Numbers) -> Numbers:
    """Return numbers under longer names."""
    return {f"{prefix}_{name}": text for name, text in numbers.items()}


def listed(values: Iterable[float], digits: str = ".0f", scale: float = 1.0) -> str:
    """Write a number of every training run."""
    return " ".join(f"{scale * value:{digits}}" for value in values).replace("-", "−")


def quantity(value: float, unit: str) -> str:
    """Write a number with its unit."""
    return f"{words.number(value)} {unit}"


# Severity curves: where a policy holds, and where it breaks.


class Side(NamedTuple):
    """One side of a severity curve of a policy.

    Args:
        name: of the perturbation.
        curve: the curve.
        reach: how far it holds.
        labels: the condition at each severity.
        texts: each severity as it is written.
    """

    name: str
    curve: SeverityCurve
    reach: Reach
    labels: dict[float, str]
    texts: dict[float, str]

    @property
    def held(self) -> str:
        """Where it holds, as it is written."""
        return "–" if self.reach.held is None else self.texts[self.reach.held]

    @property
    def broken(self) -> str:
        """Where it breaks, as it is written."""
        return "–" if self.reach.broken is None else self.texts[self.reach.broken]


SEVERITY = re.compile(
    r"\s*(?:of |at )?((?:x |× )?-?\d+(?:\.\d+)?(?:%|\s*(?:mm|ms|m/s|rad/s|rad|kg|N|m)\b)?)", re.ASCII
)


def sides(curves: Iterable[SeverityCurve], policy: str, *, numbered: bool = False) -> Iterator[Side]:
    """Yield every side of every curve of a policy.

    Args:
        curves: of the report.
        policy: whose.
        numbered: whether labels end in the place of the severity, and not in what it is.
    """
    for curve in curves:
        for line in curve.lines:
            if line.policy == policy:
                labels = {
                    x: label for x, label in zip(line.x, line.conditions, strict=True) if label != NOMINAL
                }
                some = next(iter(labels.values()))
                name = stem(some, numbered=numbered)
                texts = {x: _severity(curve, x, "" if numbered else label) for x, label in labels.items()}
                for reach in filter(None, (line.below, line.above)):
                    yield Side(name, curve, reach, labels, texts)


def stem(label: str, *, numbered: bool = False) -> str:
    """Return what is perturbed, from the label of a condition: "payload 15 kg", or "payload 3" if it is numbered."""
    return label.rpartition(" ")[0] if numbered else SEVERITY.sub("", label, count=1).strip()


def _severity(curve: SeverityCurve, x: float, label: str) -> str:
    """Write a severity as the label does; if it does not, as the curve does."""
    if found := SEVERITY.search(label):
        return found[1].replace("x ", "× ").replace("-", "−").replace("%", " %")
    if curve.family.axis.startswith("× *."):
        return words.number(x, True)
    return ("× " if curve.family.axis.startswith("×") else "") + words.severity(curve.family, x)


def reaches(told: Told, policy: str = "") -> list[Side]:
    """Return every side of every severity curve of a policy, the first by default."""
    return list(sides(told.figures.curves, policy or told.first))


# The walkers.


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
        "both_speed": quantity(told.estimate("velocity_x_m_s", both).value, "m/s"),
        "readme": block(
            "perturbation | holds at | breaks at | succeed there | fall there",
            [*short, [TIRED, "each alone", "together", told.done(both), told.fell(both)]],
        ),
    }


TIRED = "motors at 80 % and sensors 30 ms late"
FRICTIONS = (1.0, 0.5, 0.3, 0.2, 0.15, 0.1, 0.05)


def _walk(told: Told, label: str) -> list[str]:
    """Say of a condition how many succeed, how many fall, after how long all end, and how far they walk."""
    seconds, metres = (told.estimate(metric, label).value for metric in ("duration_s", "distance_m"))
    return [told.done(label), told.fell(label), quantity(seconds, "s"), quantity(metres, "m")]


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
    kinds = len([name for name in names if name not in NUMERICS])
    return told.size | {
        "kinds": f"{kinds}",
        "sound_count": f"{len(sound)}",
        "usual": block([*head, "usual"], usual),
        "beyond": block(head, beyond),
        "sound": f"{'; '.join(sound)}.\n",
        "silent": f"{'; '.join(silent) or 'none'}",
        "numerics": block(head, numerics),
        "gravity_noise": told.done("gravity noise 1"),
        "gravity_bias": told.done("gravity bias 2"),
        "late": told.done("latency 3"),
        "jitter": told.done("jitter 3"),
        "lost": told.done("lost commands 3"),
    }


def _kind(told: Told, side: Side) -> list[str]:
    name, _, reach, labels, _ = side
    there = _there(told, labels[reach.broken]) if reach.broken is not None else ["", "", ""]
    return [name, side.held, side.broken, *there]


def _there(told: Told, label: str) -> list[str]:
    """Say of a condition how many succeed, how many fall, and how fast they walk."""
    return [told.done(label), told.fell(label), quantity(told.estimate("velocity_x_m_s", label).value, "m/s")]


# Two simulators.


def _both(told: Told, policy: str = "") -> Numbers:
    """Say how alike two simulators are in what breaks a policy."""
    policy, world = policy or told.first, told.elsewhere
    pairs = [pair for pair in world.pairs if pair.policy == policy]
    tau = next(one.tau for one in world.conditions if one.policy == policy)
    first = next(one for one in world.breaks if one.policy == policy)
    episodes = told.count(NOMINAL, policy)
    apart = max(abs(pair.change.estimate.value) for pair in pairs)
    return {
        "pairs": f"{len(pairs)}",
        "shown": f"{sum(pair.shown for pair in pairs)}",
        "most": f"{apart * episodes:.0f}",
        "of": f"{episodes}",
        "smallest_p": words.number(min(pair.change.p_value for pair in pairs)),
        "open": words.number(max(max(-p.change.estimate.low, p.change.estimate.high) for p in pairs), True),
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
            row += [one.held, _broken(told, one, label_of)] if one else ["", ""]
        rows.append(row)
    return block(["", *(f"{engine} {does}" for engine in ENGINES for does in ("holds", "breaks"))], rows)


def _key(side: Side) -> tuple[str, str, bool]:
    name, curve, reach, *_ = side
    furthest = reach.broken if reach.held is None else reach.held
    centre = curve.family.nominal_x
    above = furthest is not None and centre is not None and furthest > centre
    return name.removesuffix(", mujoco"), curve.family.title, above


def _broken(told: Told, side: Side, label_of: Callable[[str], str] = str) -> str:
    """Say where a side breaks, and how many succeed there."""
    _, _, reach, labels, _ = side
    if reach.broken is None:
        return "–"
    return f"{side.broken}: {told.done(label_of(labels[reach.broken]))}"


def cross_simulator(folder: Path) -> Numbers:
    """Read what two simulators make of the published walker."""
    told, walked = Told(folder), Told(folder, "distance_m")
    pairs = {pair.condition: pair for pair in walked.elsewhere.pairs}
    both = [label for label in pairs if _succeeds(told, label)]
    compared = [
        [label, *(quantity(one.value, "m") for one in (pairs[label].here, pairs[label].there)), _luck(pairs[label])]
        for label in DISTANCES
    ]  # fmt: skip

    def twice(metric: str, label: str) -> list[str]:
        return [told.value(metric, one) for one in (label, _there_too(label))]

    far = [
        abs(pairs[one].there.value / pairs[one].here.value - 1) for one in both if "restitution" not in one
    ]
    return (
        told.size
        | _both(told)
        | {
            "edges": _edges(told),
            "succeed": f"{len(both)}",
            "furthest": words.number(max(far, default=np.nan), True),
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
    found = (prefixed(policy, _both(told, policy)) for policy in told.figures.competent)
    return told.size | {name: text for numbers in found for name, text in numbers.items()}


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


def said(folder: Path, place: int) -> str:
    """Return what a script printed, by its place among the commands."""
    (path,) = folder.glob(f"physics-*/{place}.txt")
    return path.read_text(encoding="utf-8").partition("\n")[2]


# Hands.


def experts(folder: Path) -> Numbers:
    """Read how often the scripted expert does its tasks."""
    found = [dict(re.findall(r"^(\w+) +(\d+) of", said(folder, place), re.M)) for place in (1, 2, 3)]
    tasks, shapes, panda = found
    of = [re.findall(r"of (\d+)", said(folder, place))[0] for place in (1, 2, 3)]
    named = {"Stack": "Stack, three blocks", "Insert": "Insert, 2 mm clearance"}
    return {
        "tasks": block([named.get(task, task) for task in tasks], [list(tasks.values())]),
        "shapes": block(list(shapes), [list(shapes.values())]),
        "panda": block([named.get(task, task) for task in panda], [list(panda.values())]),
        **{f"{name}_of": count for name, count in zip(("tasks", "shapes", "panda"), of, strict=True)},
    }


def grasping_expert(folder: Path) -> Numbers:
    """Read where the scripted grasp fails."""
    told = Told(folder)
    rows = []
    for side in reaches(told):
        name, _, reach, labels, _ = side
        held = f": {told.done(labels[reach.held])}" if reach.held is not None else ""
        rows.append([name, side.held + held, _broken(told, side)])
    return told.size | {
        "nominal": told.done(),
        "reaches": block("perturbation | holds at | breaks at", rows),
    }


SEEN = {
    "latency 160 ms": "0–100 ms",
    "motors at 50%": "65–100 %",
    "mass 2 kg": "0.1–1 kg",
    "friction 0.1": "0.3–1",
    "size × 0.75": "× 0.85–1.25",
    "size × 1.4": "× 0.85–1.25",
    "pose noise 20 mm": "to 10 mm",
    "pose 25 mm off": "to 10 mm",
}
"""What the randomised hands met in training (`studies/training/hands.py`)."""


def grasping(folder: Path) -> Numbers:
    """Read which training carries a hand through which worlds."""
    told = Told(folder)
    labels = list(told.study.policies)
    rows = [
        [world, *(told.value("success", world, one) for one in labels), SEEN.get(world, "")]
        for world in (NOMINAL, *SEEN, "MuJoCo")
    ]
    rows.append(["kept of nominal, all held out", *map(told.kept, labels), ""])
    held = [
        [
            np.nansum([told.table.values(one, label)[run] for label in told.table.perturbed])
            for run in range(len(SEEDS))
        ]
        for one in labels[:2]
    ]
    return (
        told.size
        | told.difference(*labels[:2])
        | {f"kept_{label.split(',')[-1].split()[-1]}": told.kept(label) for label in labels}
        | {
            "worlds": block(["world", *labels, "randomised saw"], rows),
            "nominal_runs": ", ".join(f"{count:.0f}" for count in held[0]),
            "randomised_runs": ", ".join(f"{count:.0f}" for count in held[1]),
            "of_each": f"{len(told.table.perturbed) * told.study.episodes}",
            "over": told.difference(*labels[:2])["worlds"],
        }
    )


def hands_training(folder: Path) -> Numbers:
    """Read from the shipped hands what they took to train."""
    rows, all_first = [], []
    for task in ("reach", "push", "grasp"):
        for kind in ("nominal", "randomised"):
            files = _trained(f"hands/{task}-{kind}-seed*.safetensors")
            told = [file.contract.training for file in files]
            first = [_competent_at(Path(file.source).with_suffix(".csv")) for file in files]
            all_first += first
            rows.append(
                [
                    f"{task.capitalize()}, {kind}",
                    ", ".join(f"{steps:,.0f}" if steps else "–" for steps in first),
                    ", ".join(f"{one['steps']:,.0f}" for one in told),
                    ", ".join(words.number(one["evaluated success"], True) for one in told),
                ]
            )
    return {
        "steps": block("policy | competent after | trained for | success at the end, of 50", rows),
        "range": f"{min(all_first):,.0f} to {max(all_first):,.0f}",
    }


def _trained(pattern: str) -> list[PolicyFile]:
    """Return the training runs that ship, by seed."""
    return list(policies.glob(f"{STUDIES}/policies/{pattern}"))


def _competent_at(curve: Path) -> float:
    """Return after how many steps an evaluation first was good enough, 0 if none was."""
    with curve.open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    return next((float(row["steps"]) for row in rows if row.get("competent") == "1.0"), 0.0)


def sample_efficiency(folder: Path) -> Numbers:
    """Read what randomisation costs and buys in practice."""
    told = Told(folder)
    (trained,) = folder.glob("physics-*")
    named = {"linear": "to 1.5, linear", "competence": "to 1.5, by competence"}
    rows, numbers = [], told.size
    for how in told.study.policies:
        curves = sorted(trained.glob(f"push-{how.replace(' ', '-')}/seed-*/curve.csv"))
        first = " ".join(f"{steps:,.0f}" if steps else "–" for steps in map(_competent_at, curves))
        worlds = next((one.conditions for one in told.figures.challenges if one.policy == how), 0)
        rows.append([named.get(how, how), first, told.kept(how), f"{worlds}"])
        numbers |= prefixed(how.replace(" ", "_").replace(".", "_"), told.difference("width 0", how))
    head = " | steps to competence in the nominal world (every 4,000) | kept, held out | held-out worlds"
    return numbers | {"kinds": block(head, rows)}


# Walkers that were trained here.


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
        kind: [file.contract.training for file in _trained(f"walk/{kind}-seed*.safetensors")]
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
    head = "policy, seeds 0 1 2 | million steps, imitation included | success in its last evaluation | violations in 1,000 steps while PPO learnt"
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
        if any(one.value < longest for one in found):
            rows.append([condition, *("10" if one.value == longest else words.whole(one) for one in found)])
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


# Safety.


CONSTRAINTS = ("joint_position", "joint_velocity", "torque")
EXPLORERS = {
    "random": "bare",
    "random, joint barrier": "behind `JointBarrier`, `TorqueClamp`",
    "random, barrier programme": "behind `BarrierProgramme`",
    "random, kept upright": "behind `Recovery`, `RateLimit`, `JointBarrier`, `TorqueClamp`",
}
BEYOND = (
    NOMINAL, "payload 15 kg", "gains × 1.6", "motor strength × 1.5", "link masses × 1.2", "actuator latency 20 ms",
    "actuator latency 40 ms", "observations 2 steps late", "joint velocity noise 5", "encoder offset 0.1",
)  # fmt: skip


def safe_exploration(folder: Path) -> Numbers:
    """Read what shields are worth while a robot explores."""
    told = Told(folder)

    def steps(policy: str, condition: str = NOMINAL) -> float:
        return told.all_of("length", condition, policy)

    rows = []
    for policy, name in EXPLORERS.items():
        changed = told.all_of("interventions", NOMINAL, policy) / steps(policy)
        counts = (told.all_of(f"{one}_violations", NOMINAL, policy) for one in CONSTRAINTS)
        fell = f"{told.fell(NOMINAL, policy)} of {told.count(NOMINAL, policy)}"
        rows.append(
            [
                name,
                f"{steps(policy):,.0f}",
                fell,
                *(f"{one:,.0f}" for one in counts),
                words.number(changed, True),
            ]
        )
    ends = [
        [
            label,
            *(f"{100 * told.all_of('violations', label, one) / steps(one, label):.3g}" for one in EXPLORERS),
        ]
        for label in BEYOND
    ]
    bare, upright = "random", "random, kept upright"
    head = "random actions | steps | fell | past a stop | too fast | torque | steps changed"
    return told.size | {
        "shields": block(head, rows),
        "ends": block("perturbation | bare | joint barrier, clamp | programme | kept upright", ends),
        "bare_steps": f"{steps(bare):,.0f}",
        "bare_stops": f"{told.all_of('joint_position_violations', NOMINAL, bare):,.0f}",
        "upright_steps": f"{steps(upright):,.0f}",
        "upright_violations": f"{told.all_of('violations', NOMINAL, upright):,.0f}",
    }


def price_of_safety(folder: Path) -> Numbers:
    """Read what shields cost a controller that works."""
    told = Told(folder)
    prices = {(one.policy, one.perturbed): one for one in told.figures.prices}
    rows = []
    for policy in told.study.policies:
        if (policy, False) in prices:
            nominal, perturbed = prices[policy, False], prices[policy, True]
            rows.append(
                [
                    ", ".join(f"`{name}`" for name in nominal.shields),
                    words.number(nominal.interventions.value, True),
                    words.change(nominal.returns),
                    words.change(perturbed.success, True),
                ]
            )
            bare = nominal.bare_return
    head = "behind | steps changed | return, nominal | success, over the perturbed worlds"
    weak = "gains × 0.7"
    return told.size | {
        "price": block(head, [["nothing", "–", words.number(bare), ""], *rows]),
        "weak_bare": told.value("success", weak, "balance"),
        "weak_recovery": told.value("success", weak, "balance, recovery"),
        "worlds": f"{len(told.table.perturbed)}",
    }


# The others.


def quickstart(folder: Path) -> Numbers:
    """Read how far a balance controller keeps a humanoid standing."""
    told, policy = Told(folder), "balance"
    first, worst = told.figures.first_to_break(policy), told.figures.worst(policy)
    assert first is not None  # else this page would have to be another
    assert worst is not None
    curve, _, _, broken = first
    mine = next(one for one in told.figures.challenges if one.policy == policy)

    def carried(who: str) -> str:
        held = [(side, side.held) for side in reaches(told, who)]
        return next(text for side, text in held if side.name == "payload")

    return (
        told.size
        | told.difference(policy, "stiff balance")
        | {
            "nominal": words.whole(told.estimate("success")),
            "nominal_rate": words.whole(told.estimate("success"), True),
            "first": curve.family.title,
            "first_at": words.severity(curve.family, broken),
            "worst": worst.condition,
            "held_out": f"{mine.conditions}",
            "kept": told.kept(policy),
            "carried": carried(policy),
            "carried_stiff": carried("stiff balance"),
            "late": told.value("success", "latency 160 ms"),
        }
    )


CHEETAHS = {
    "in time, briefly": "trained in time, 51,200 steps",
    "in time": "trained in time, 512,000 steps: two runs",
    "0 to 2 steps late": "trained 0 to 2 steps late, 512,000 steps",
}
DELAYS = {
    NOMINAL: "nothing",
    "1 late": "1 step (50 ms)",
    "2 late": "2 steps",
    "3 late": "3 steps",
    "4 late": "4 steps",
    "0 to 2 late, every step anew": "0 to 2 steps, anew in every step",
}


def halfcheetah_delay(folder: Path) -> Numbers:
    """Read what a step of delay leaves of a cheetah's return."""
    told = Told(folder)
    returns = {
        (one, label): told.runs("return", label, one) for one in CHEETAHS for label in told.study.conditions
    }

    def cell(policy: str, label: str) -> str:
        nominal = returns[policy, NOMINAL]
        here = zip(returns[policy, label], nominal, strict=True)
        kept = (
            f"{words.number(value)} ({words.number(max(value / whole, 0.0), True)})" for value, whole in here
        )
        return " · ".join(kept if label != NOMINAL else map(words.number, nominal))

    def shares(policy: str, label: str) -> list[float]:
        return [
            max(a / b, 0.0) for a, b in zip(returns[policy, label], returns[policy, NOMINAL], strict=True)
        ]

    def summary(policy: str, what: str) -> list[str]:
        nominal, late = (told.estimate("return", label, policy).value for label in (NOMINAL, "1 late"))
        return [what, words.number(nominal), words.number(late), words.number(max(late / nominal, 0.0), True)]

    brief, long, late = CHEETAHS
    kept = [*shares(brief, "1 late"), *shares(long, "1 late")]
    reached = [returns[late, NOMINAL][0] / one for one in returns[long, NOMINAL]]
    (anew,) = shares(late, "0 to 2 late, every step anew")
    same = all(
        np.array_equal(*(told.table.values(one, label, "return") for label in ("1 late", "1 late, action")))
        for one in CHEETAHS
    )
    return told.size | {
        "returns": block(
            ["observations late by", *CHEETAHS.values()],
            [[what, *(cell(one, label) for one in CHEETAHS)] for label, what in DELAYS.items()],
        ),
        "published": block(
            " | without delay | 1 step late | kept",
            [
                ["deltatau-audit, PPO", "about 990", "", "3.8 %"],
                ["deltatau-audit, trained with randomised timing", "", "", "148 %"],
                summary(brief, "here, trained in time, briefly"),
                summary(long, "here, trained in time, mean of two runs"),
                summary(late, "here, trained 0 to 2 steps late"),
            ],
        ),
        "lost": f"{100 * (1 - max(kept)):.0f} to {100 * (1 - min(kept)):.0f} %",
        "left": f"{100 * min(kept):.0f} % to {100 * max(kept):.0f} %",
        "left_brief": words.number(kept[0], True),
        "left_long": " and ".join(words.number(one, True) for one in kept[1:]),
        "late_kept": words.number(shares(late, "1 late")[0], True),
        "reached": " and ".join(words.number(one, True) for one in sorted(reached)),
        "anew_lost": words.number(1 - anew, True),
        "same": "the same return" if same else "another return",
    }


AXES = {
    "ground.friction": "friction of the ground, 0.2 to 1",
    "*.mass": "mass of all links, × 0.7 to 1.4",
    "*.strength": "motor strength, × 0.7 to 1.2",
    "*.viscous_friction": "damping of the joints, × 0.5 to 2",
}


def failures(folder: Path) -> Numbers:
    """Read where a search makes a cheetah fail, and what matters to it."""
    search = json.loads((folder / "search.json").read_text(encoding="utf-8"))
    found = json.loads((folder / "sensitivity.json").read_text(encoding="utf-8"))
    (indices,) = (metrics["return"] for metrics in found["policies"].values())
    units = {axis["name"]: axis["unit"] for axis in search["region"]}

    def amounts(which: str) -> str:
        told = search[which]["amounts"]
        return ", ".join(f"{name} {_amount(value, units[name])}" for name, value in told.items())

    def row(what: str, which: str, amount: str) -> list[str]:
        score = search["nominal"] if which == "nominal" else search[which]["score"]
        return [what, amount, words.number(score), _interval(search["fresh"][which])]

    ordered = sorted(indices["total"], key=lambda name: -indices["total"][name]["value"])
    rows = [
        [_axis(name), *(_interval(indices[kind][name]) for kind in ("first", "total"))] for name in ordered
    ]
    pair = max(indices["pairs"], key=lambda one: one["value"]) if indices["pairs"] else None
    modes = [
        [mode["name"], f"{mode['episodes']}", words.number(mode["share"], True)] for mode in search["modes"]
    ]
    smallest = search["smallest"]
    found_rows = [
        row("nominal", "nominal", ""),
        row(
            f"worst of {search['tried']} points, {search['failing']} of which fail", "worst", amounts("worst")
        ),
    ]
    if smallest:
        found_rows.append(row("smallest that fails", "smallest", amounts("smallest")))
    head = ["found", "perturbation", f"return over {search['episodes']} episodes", "over fresh ones"]
    return {
        "points": f"{search['tried']}",
        "failing": f"{search['failing']}",
        "each": f"{search['episodes']}",
        "limit": words.number(search["fails_below"]),
        "nominal": words.number(search["nominal"]),
        "found": block(head, found_rows),
        "smallest": amounts("smallest") if smallest else "none",
        "smallest_count": f"{len(smallest['amounts']) if smallest else 0}",
        "worst_count": f"{len(search['worst']['amounts'])}",
        "worst_score": words.number(search["worst"]["score"]),
        "worst_fresh": words.number(search["fresh"]["worst"]["value"]),
        "failed": ", ".join(words.number(one["value"]) for one in search["episodes_failed"]),
        "modes": block("way of failing | episodes | share", modes),
        "rows": f"{indices['rows']}",
        "shares": block("perturbation | alone | with others", rows),
        "pair": " and ".join(map(_axis, pair["between"])) if pair else "none",
        "pair_share": _interval(pair) if pair else "–",
    }


def _amount(value: float, unit: str) -> str:
    return (
        f"strength {words.number(value)}" if unit == "strength" else f"{words.number(value)} {unit}".rstrip()
    )


def _axis(name: str) -> str:
    return next((text for key, text in AXES.items() if name.endswith(key)), name)


def _interval(one: dict[str, float]) -> str:
    low, value, high = (np.nan if one[part] is None else one[part] for part in ("low", "value", "high"))
    return f"{words.number(value)} [{words.number(low)}, {words.number(high)}]"

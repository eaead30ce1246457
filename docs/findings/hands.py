"""What hands do, the scripted expert's and those that learnt."""

import re
from pathlib import Path

import numpy as np

from findings.told import SEEDS, Numbers, Told, block, broken, competent_at, prefixed, reaches, said, trained
from sim2real.report import words
from sim2real.study.study import NOMINAL


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
        rows.append([name, side.held + held, broken(told, side)])
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
            files = trained(f"hands/{task}-{kind}-seed*.safetensors")
            told = [file.contract.training for file in files]
            first = [competent_at(Path(file.source).with_suffix(".csv")) for file in files]
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


def sample_efficiency(folder: Path) -> Numbers:
    """Read what randomisation costs and buys in practice."""
    told = Told(folder)
    (trained,) = folder.glob("physics-*")
    named = {"linear": "to 1.5, linear", "competence": "to 1.5, by competence"}
    rows, numbers = [], told.size
    for how in told.study.policies:
        curves = sorted(trained.glob(f"push-{how.replace(' ', '-')}/seed-*/curve.csv"))
        first = " ".join(f"{steps:,.0f}" if steps else "–" for steps in map(competent_at, curves))
        worlds = next((one.conditions for one in told.figures.challenges if one.policy == how), 0)
        rows.append([named.get(how, how), first, told.kept(how), f"{worlds}"])
        numbers |= prefixed(how.replace(" ", "_").replace(".", "_"), told.difference("width 0", how))
    head = " | steps to competence in the nominal world (every 4,000) | kept, held out | held-out worlds"
    return numbers | {"kinds": block(head, rows)}

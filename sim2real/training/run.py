"""A training run: stretches of learning, a checkpoint after each, and the policy's files at the end.

A folder holds `policy.safetensors` and `policy.onnx` with `policy.toml`, `curve.csv`, `training.json`, a copy
of the file that defined the training, and `checkpoint.pt`, from which the same call goes on. Every checkpoint
begins all episodes anew, whether the run was interrupted there or not: so an interrupted run ends with the
same bits.
"""

import csv
import io
import json
import os
import shutil
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from sim2real._version import physics_of
from sim2real.errors import Sim2RealError
from sim2real.policies import PolicyFile, file, native, onnx
from sim2real.study.rollout import Bench
from sim2real.study.seeds import episode_seed
from sim2real.study.trial import Trial
from sim2real.training.config import Imitate, Training, plain
from sim2real.training.environment import Trainee
from sim2real.training.imitation import Imitator
from sim2real.training.learner import Learner
from sim2real.training.vector import Environments

Row = dict[str, float]
Progress = Callable[[Training, int, Row], None]
Pupil = Learner | Imitator

CHECKPOINT = "checkpoint.pt"
OUTCOMES = ("return", "length", "success")


def train(
    training: Training,
    seed: int,
    folder: Path,
    *,
    source: Path | None = None,
    progress: Progress = lambda training, seed, row: None,
) -> Path:
    """Train, or go on training, and return the policy's file.

    Args:
        training: what.
        seed: of this run.
        folder: where; a folder of the same training and seed is gone on with.
        source: the file that defined the training, to keep a copy of.
        progress: called with the row of every stretch.

    Raises:
        Sim2RealError: a training that cannot be done, or a folder that belongs to another one.
    """
    folder.mkdir(parents=True, exist_ok=True)
    before = _read(folder, training, seed)
    with closing(Environments(training)) as environments:
        kind = Imitator if isinstance(training.algorithm, Imitate) else Learner
        learner = kind(training, environments, seed)
        rows: list[Row] = []
        if before:
            learner.load(before["learner"])
            rows = json.loads(before["rows"])
            _load_environments(environments, json.loads(before["environments"]))
        elif source is not None:
            shutil.copyfile(source, folder / "config.py")
        _write(folder / "training.json", json.dumps(plain(training) | {"seed": seed}, indent=1).encode())
        asked = training.competence
        while learner.steps < training.steps and not (
            asked and asked.stop and rows and rows[-1].get("competent")
        ):
            rows.append(_stretch(training, seed, folder, environments, learner, rows))
            _save(folder, training, seed, environments, learner, rows)
            progress(training, seed, rows[-1])
        return export(training, seed, folder, environments, learner, rows)


def _stretch(
    training: Training, seed: int, folder: Path, environments: Environments, learner: Pupil, rows: list[Row]
) -> Row:
    """Learn up to the next checkpoint and return what there is to tell."""
    before = environments.tally
    started, steps = time.perf_counter(), learner.steps
    environments.outcomes.clear()
    learner.stretch(len(rows), training.checkpoint)
    learnt_s = time.perf_counter() - started
    row = {
        "steps": learner.steps,
        "wall_s": (rows[-1]["wall_s"] if rows else 0.0) + learnt_s,
        "steps_per_s": (learner.steps - steps) / learnt_s,
        "episodes": len(environments.outcomes),
        **{name: value - before[name] for name, value in environments.tally.items()},
        **means(environments.outcomes),
        **learner.figures(),
    }
    if environments.curriculum is not None and hasattr(environments.curriculum, "strength"):
        row["strength"] = environments.curriculum.strength
    if environments.memory is not None:
        row["multiplier"] = environments.memory.multiplier
    asked = training.competence
    if asked and steps // asked.every < learner.steps // asked.every:
        path = export(training, seed, folder, environments, learner, [*rows, row])
        found = evaluate(training, path)
        row |= {f"evaluated {name}": value for name, value in found.items()}
        row["competent"] = float(asked.met(found))
        row["wall_s"] += time.perf_counter() - started - learnt_s
    return row


def means(outcomes: Iterable[Mapping[str, float]]) -> Row:
    """Return the means over episodes of what they all tell; nothing of no episodes."""
    found = list(outcomes)
    if not found:
        return {}
    by_all = [name for name in found[0] if all(name in outcome for outcome in found)]
    told = [name for name in by_all if name not in ("cost", "violations", "intervened")]
    first = sorted(told, key=lambda name: OUTCOMES.index(name) if name in OUTCOMES else len(OUTCOMES))
    return {name: float(np.mean([outcome[name] for outcome in found])) for name in first}


def evaluate(training: Training, path: Path) -> Row:
    """Return means over the training's evaluation episodes, played with the exported file as a study does."""
    asked = training.competence
    assert asked is not None  # or there is nothing to evaluate
    policy, bench = file(path), Bench()
    where = Trial(
        policy=policy,
        env=training.env,
        env_kwargs=training.env_kwargs,
        condition=(*asked.condition, *training.wrappers),
        constraints=training.constraints,
    )
    with closing(bench):
        rows = [bench.run(replace(where, seed=episode_seed(0, episode))) for episode in range(asked.episodes)]
    if broken := [row["error"] for row in rows if row["status"] != "ok"]:
        raise Sim2RealError(f"An evaluation episode failed: {broken[0]}")
    return means(
        {name: row[name] for name in OUTCOMES if row[name] is not None} | json.loads(row["metrics"])
        for row in rows
    )


def export(
    training: Training, seed: int, folder: Path, environments: Environments, learner: Pupil, rows: list[Row]
) -> Path:
    """Write the policy's files, native and ONNX, and return the native one."""
    curriculum, last = environments.curriculum, rows[-1] if rows else {}
    contract = replace(
        environments.trainee.contract,
        shields=training.shields,
        seen=(training.perturbations if curriculum is None else curriculum.condition,),
        training={
            "name": training.name,
            "algorithm": type(training.algorithm).__name__,
            "env": training.env,
            "env_kwargs": json.dumps(dict(training.env_kwargs), sort_keys=True),
            **({"physics": version} if (version := physics_of(training.env)) else {}),
            "identity": training.identity,
            "seed": seed,
            "steps": learner.steps + _steps_before(training.starts_from(seed)),
            "constraints": tuple(constraint.label for constraint in training.constraints),
            "mode": repr(training.mode),
            "wrappers": tuple(wrap.label for wrap in training.wrappers),
            **{name: sum(row[name] for row in rows) for name in ("cost", "violations", "interventions")},
            **{name: value for name, value in last.items() if name.startswith("evaluated ")},
        },
    )
    network, golden = learner.network()
    onnx.save(folder / "policy.onnx", network, contract, golden=golden)
    _write(folder / "policy.toml", contract.to_toml().encode())
    return native.save(folder / "policy.safetensors", network, contract, golden=golden)


def _steps_before(start: PolicyFile | None) -> int:
    """Return the steps that went into a file to start from."""
    steps = start.contract.training.get("steps", 0) if start else 0
    return steps if isinstance(steps, int) else 0


def _whose(training: Training, seed: int) -> str:
    """Return what a checkpoint is of. Half a training in one physics and half in another is neither."""
    return f"{training.identity} {seed} {physics_of(training.env)}"


def _save(
    folder: Path, training: Training, seed: int, environments: Environments, learner: Pupil, rows: list[Row]
) -> None:
    curriculum, memory = environments.curriculum, environments.memory
    state = {
        "of": _whose(training, seed),
        "learner": learner.state(),
        "rows": json.dumps(rows),
        "environments": json.dumps(
            {
                "wrappers": environments.each(Trainee.state_dicts),
                "curriculum": None if curriculum is None else curriculum.state_dict(),
                "memory": None if memory is None else memory.state_dict(),
            }
        ),
    }
    data = io.BytesIO()
    torch.save(state, data)
    _write(folder / "curve.csv", _csv(rows).encode())
    _write(folder / CHECKPOINT, data.getvalue())


def _load_environments(environments: Environments, state: Mapping[str, Any]) -> None:
    if environments.curriculum is not None:
        environments.curriculum.load_state_dict(state["curriculum"])
    if environments.memory is not None:
        environments.memory.load_state_dict(state["memory"])
    for place, states in enumerate(state["wrappers"]):
        environments.each(Trainee.load_state_dicts, states, indices=place)


def report(training: Training, seed: int, row: Row) -> None:
    """Print how far a run has come, one line on standard error."""
    left_s = max(training.steps - row["steps"], 0) / row["steps_per_s"]
    told = [f"{name} {row[name]:.3g}" for name in OUTCOMES if name in row]
    told += [f"{name} {value:.3g}" for name, value in row.items() if name.startswith("evaluated ")]
    print(
        f"{training.name} {seed}: {row['steps'] / 1e6:.2f} of {training.steps / 1e6:.2f} M steps, "
        f"{row['steps_per_s']:.0f}/s, {left_s / 60:.0f} min left, {', '.join(told)}",
        file=sys.stderr,
        flush=True,
    )


def _read(folder: Path, training: Training, seed: int) -> dict[str, Any] | None:
    path = folder / CHECKPOINT
    if not path.exists():
        return None
    state: dict[str, Any] = torch.load(path, weights_only=True)
    if state["of"] != _whose(training, seed):
        raise Sim2RealError(
            f"'{folder}' holds another training or seed, or one of another version of the physics: name a new folder "
            "with --out."
        )
    return state


def _write(path: Path, data: bytes) -> None:
    """Write a file that is either whole or not there."""
    part = path.with_name(f"{path.name}.part")
    with part.open("wb") as out:
        out.write(data)
        out.flush()
        os.fsync(out.fileno())
    part.replace(path)


def _csv(rows: list[Row]) -> str:
    columns = list(dict.fromkeys(name for row in rows for name in row))
    text = io.StringIO()
    table = csv.DictWriter(text, columns, lineterminator="\n")
    table.writeheader()
    table.writerows(rows)
    return text.getvalue()

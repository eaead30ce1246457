"""Weights & Biases as a mirror of the records: one run per training run, and one that holds the report."""

import base64
import csv
import json
import math
import os
import re
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from sim2real.perturb import to_json
from sim2real.report.figures import Figures, figures
from sim2real.report.table import Table
from sim2real.report.words import describe
from sim2real.stats import Estimate
from sim2real.study.executors import environment
from sim2real.study.seeds import content_hash
from sim2real.study.store import Store
from sim2real.study.study import Study

_CLIP = re.compile(r"data:image/gif;base64,([A-Za-z0-9+/=]+)")  # as the page holds them
_SWEEP = ("WANDB_SWEEP_ID", "WANDB_RUN_ID")
_QUIET = {"console": "off", "silent": True, "disable_code": True, "x_disable_stats": True, "init_timeout": 30}


def mirror(study: Study, store: Store, *, project: str | None = None, mode: str | None = None) -> bool:
    """Show a study's records on Weights & Biases; what goes wrong there is one warning and changes nothing.

    Every training run becomes a run of job type "eval", all of a study in one group. Its summary holds the
    robust metrics with their intervals, its history the severity curves against "severity", its config the
    policy and the conditions. A run of job type "report" has the table of all policies, the page `report.html`
    once it is written, and an artifact of records, page and clips; started by a sweep's agent, it is the run
    that the sweep waits for. Run ids follow from content, so mirroring again continues the same runs. All that
    wandb keeps on disk stays in the study's folder, from where `wandb sync` sends what was mirrored offline.

    Args:
        study: What was asked.
        store: What was recorded.
        project: The W&B project; None for the one in WANDB_PROJECT, else "sim2real".
        mode: "online", "offline" or "disabled"; None as wandb is configured, offline where that fails.

    Returns:
        Whether everything was handed over, be it to files that wait for `wandb sync`.
    """
    try:
        sink = _Sink(study, store, project or os.environ.get("WANDB_PROJECT", "sim2real"), mode)
        # Here wandb keeps what it would put into the home directory, such as the contents of tables.
        kept = str((store.folder / "wandb").absolute())
        with environment({"WANDB_DATA_DIR": kept, "WANDB_CACHE_DIR": kept}):
            sink.send()
        trouble = f"mirrored offline: {sink.detour}" if sink.detour else ""
        complete = True
    except Exception as error:  # a mirror must not cost a study
        trouble, complete = f"no complete copy of '{study.name}': {_line(error)}", False
    if trouble:
        warnings.warn(f"Weights & Biases: {trouble}", stacklevel=2)
    return complete


def mirror_training(folder: Path, *, project: str = "sim2real", mode: Any = None) -> bool:
    """Show a training run's curve on Weights & Biases, against environment steps; trouble is one warning.

    Args:
        folder: Of the run, with `curve.csv` and `training.json`.
        project: The W&B project.
        mode: As in `mirror`.

    Returns:
        Whether everything was handed over.
    """
    kept = str((folder / "wandb").absolute())
    try:
        import wandb

        config = json.loads((folder / "training.json").read_text(encoding="utf-8"))
        name = f"{config['name']}-{config['seed']}"
        with environment({"WANDB_DATA_DIR": kept, "WANDB_CACHE_DIR": kept}):
            run = wandb.init(
                project=project,
                group=config["name"],
                id=content_hash(json.dumps(config))[:16],
                name=name,
                job_type="train",
                config=config,
                dir=str(folder),
                mode=mode,
                resume="allow",
                reinit="create_new",
                settings=wandb.Settings(**_QUIET),
            )
            run.define_metric("*", step_metric="steps")
            with (folder / "curve.csv").open(encoding="utf-8") as file:
                for row in csv.DictReader(file):
                    run.log({column: float(value) for column, value in row.items() if value})
            run.finish()
    except Exception as error:  # a mirror must not cost a training
        warnings.warn(f"Weights & Biases: no complete copy of '{folder}': {_line(error)}", stacklevel=2)
        return False
    return True


class _Sink:
    """One mirroring of one study."""

    def __init__(self, study: Study, store: Store, project: str, mode: str | None) -> None:
        self.detour = ""  # why it is offline although nobody asked for that
        self._study, self._store, self._mode = study, store, mode
        content = content_hash(" ".join(sorted(trial.key for trial in study.trials())))
        self._group = f"{study.name}-{content[:8]}"
        self._common = {"project": project, "group": self._group, "dir": str(store.folder), "resume": "allow"}

    def send(self) -> None:
        """Hand everything over."""
        import wandb

        with environment(dict.fromkeys(_SWEEP)):  # an agent waits for one run, and would give all its id
            for label, runs in self._study.policies.items():
                for index, policy in enumerate(runs):
                    alone = Table(replace(self._study, policies={label: (policy,)}), self._store)
                    name = label if len(runs) == 1 else f"{label}-{index}"
                    run = self._start(
                        wandb, f"{policy.sha256[:8]}-{name}", name, "eval", self._config(label, index)
                    )
                    _fill(wandb, run, alone, figures(alone))
                    run.finish()
        if "WANDB_SWEEP_ID" in os.environ and wandb.run is None:
            wandb.teardown()  # it reads its variables once
        self._report(wandb, Table(self._study, self._store))

    def _report(self, wandb: Any, table: Table) -> None:
        """Hand over what speaks of all policies at once."""
        numbers, page = figures(table), self._store.folder / "report.html"
        run = self._start(wandb, "report", "report", "report", {"question": self._study.question})
        run.log({"cells": _cells(wandb, table, numbers)})
        robust = {
            f"robust/{policy}/{name}": value
            for policy in self._study.policies
            for name, value in _robust(numbers, policy)
        }
        run.summary.update(robust | _silent(table, numbers))
        artifact = wandb.Artifact(f"{self._group}-report", type="report")
        for path in (self._store.path, self._store.folder / "study.json", page):
            if path.is_file():
                artifact.add_file(str(path))
        if page.is_file():
            run.log({"report": wandb.Html(str(page), inject=False)})
            for index, clip in enumerate(_CLIP.findall(page.read_text(encoding="utf-8")), start=1):
                with artifact.new_file(f"clips/{index}.gif", "wb") as file:
                    file.write(base64.b64decode(clip))
        run.log_artifact(artifact)
        run.finish()

    def _start(self, wandb: Any, name: str, shown: str, job: str, config: Mapping[str, Any]) -> Any:
        """Start a run; where no mode was asked for and wandb's own fails, offline from then on."""
        stated = {
            **self._common,
            "id": content_hash(f"{self._group} {name}")[:16],
            "name": shown,
            "job_type": job,
            "config": dict(config),
            "reinit": "create_new",
            "settings": wandb.Settings(**_QUIET),
        }
        try:
            return wandb.init(mode=self._mode, **stated)
        except Exception as error:
            if self._mode is not None:
                raise
            self._mode, self.detour = "offline", _line(error)
            if wandb.run is None:
                wandb.teardown()  # an init that timed out keeps its run id to itself
            return wandb.init(mode=self._mode, **stated)

    def _config(self, label: str, index: int) -> dict[str, Any]:
        study, policy = self._study, self._study.policies[label][index]
        return {
            "policy": label,
            "training_run": index,
            "policy_file": policy.source,
            "policy_sha256": policy.sha256,
            "training": dict(policy.contract.training),
            "env": study.env,
            "env_kwargs": dict(study.env_kwargs),
            "metric": study.metric,
            "episodes": study.episodes,
            "seed": study.seed,
            "conditions": {name: to_json(condition) for name, condition in study.conditions.items()},
        }


def _fill(wandb: Any, run: Any, table: Table, numbers: Figures) -> None:
    """Log the curves, the cells and the summary of one training run."""
    run.define_metric("severity", hidden=True)
    run.define_metric("curve/*", step_metric="severity")
    for curve in numbers.curves:
        for line in curve.lines:
            for x, estimate in zip(line.x, line.estimates, strict=True):
                run.log({"severity": x} | _spread_out(f"curve/{curve.family.title}", estimate))
    run.log({"cells": _cells(wandb, table, numbers)})
    (policy,) = table.study.policies
    run.summary.update(
        {f"robust/{name}": value for name, value in _robust(numbers, policy)} | _silent(table, numbers)
    )


def _silent(table: Table, numbers: Figures) -> dict[str, int]:
    failures = numbers.failures
    return {
        "robust/trials_without_number": failures.without_number,
        "robust/trials_lost": failures.lost,
        "robust/repeatable": not table.findings,
    }


def _cells(wandb: Any, table: Table, numbers: Figures) -> Any:
    """Return every policy under every condition as a table."""
    metric = table.study.metric
    cells = wandb.Table(
        columns=["policy", "condition", "what it does", metric, "low", "high", "episodes", "lost"]
    )
    for cell in numbers.cells:
        what = describe(table.study.conditions[cell.condition])
        for name, number in cell.estimates:
            if name == metric and (number.n_episodes or number.lost):
                told = (None if math.isnan(x) else x for x in (number.value, number.low, number.high))
                lost = number.lost.count if number.lost else 0
                cells.add_data(cell.policy, cell.condition, what, *told, cell.trials, lost)
    return cells


def _robust(numbers: Figures, policy: str) -> Iterator[tuple[str, Any]]:
    """Yield the names and values of a policy's summary."""
    (competence,) = (one for one in numbers.competence if one.policy == policy)
    yield "competent", competence.passed
    yield from _spread_out("nominal", competence.nominal).items()
    for one in numbers.challenges:
        if one.policy == policy:
            yield from (_spread_out("kept", one.kept) | _spread_out("worst_quarter", one.worst)).items()
            if one.change:
                yield from _spread_out("change", one.change.estimate).items()
            if worst := numbers.worst(policy):
                yield from _spread_out("worst", worst.estimate).items()
                yield "worst_condition", worst.condition


def _spread_out(name: str, estimate: Estimate | None) -> dict[str, float]:
    """Return an estimate as plain numbers, nothing where there is none."""
    if estimate is None or not (estimate.n_episodes or estimate.lost):
        return {}
    told: dict[str, float] = {
        name: estimate.value,
        f"{name}_low": estimate.low,
        f"{name}_high": estimate.high,
    }
    if estimate.lost:
        told |= {f"{name}_lost": estimate.lost.count}
    return {name: number for name, number in told.items() if not math.isnan(number)}


def _line(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__

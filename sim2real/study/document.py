"""`study.json`: what was run, complete enough to report on it or repeat an episode from the folder alone."""

import os
import platform
import shlex
import sys
from collections.abc import Mapping
from dataclasses import asdict, fields
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sim2real import safety
from sim2real.errors import Sim2RealError
from sim2real.perturb import from_json, makes, to_json
from sim2real.perturb.condition import Importable
from sim2real.policies import PolicyFile
from sim2real.policies.contract import Contract
from sim2real.study.files import named
from sim2real.study.load import load_module, module_name
from sim2real.study.rollout import versions
from sim2real.study.store import Store
from sim2real.study.study import Reference, Study


def describe(
    study: Study, facts: Mapping[str, Any], source: Mapping[str, Any] | None, created: str | None
) -> dict[str, Any]:
    """Return what `study.json` says: the study, the versions, the parameters, and the key of every trial.

    Args:
        study: What is run.
        facts: What `check` found out about the parameters.
        source: {file, attribute, overrides} of the study's file, if it has one.
        created: When the folder was first used, None for now.
    """
    now = datetime.now(UTC).isoformat(timespec="seconds")
    keys: dict[str, list[dict[str, list[str]]]] = {
        label: [{name: [] for name in study.conditions} for _ in runs]
        for label, runs in study.policies.items()
    }
    for cell in study.cells():
        keys[cell.policy_label][cell.run][cell.condition_label].append(cell.trial.key)
    return {
        "study": study_to_json(study),
        "source": source and dict(source),
        "command": _command(),
        "folder": os.getcwd(),
        "created": created or now,
        "updated": now,
        "versions": versions() | {"platform": platform.platform()},
        **facts,
        "keys": keys,
    }


def _command() -> str:
    program = Path(sys.argv[0])
    words = ["sim2real"] if program.name in ("sim2real", "__main__.py") else ["python", str(program)]
    return shlex.join([*words, *sys.argv[1:]])


def open_study(folder: str | Path) -> tuple[Study, Store]:
    """Return the study and the records of a folder.

    Functions of the study's file are found again if it is still there. Policy files are not opened by this,
    and later only if their content is unchanged.

    Raises:
        Sim2RealError: If the folder holds no study, or one that cannot be read.
    """
    store = Store(folder)
    meta = store.meta
    if not meta:
        raise Sim2RealError(f"'{store.folder}' lacks its study.json; running the study again writes it.")
    try:
        source, text = meta["source"], str(meta["study"])
        path = Path(meta["folder"], source["file"]) if source else Path()
        if f"{module_name(path)}:" in text and path.is_file():
            load_module(path)
        return study_from_json(meta["study"]), store
    except (KeyError, TypeError, AttributeError) as error:
        path = store.folder / "study.json"
        raise Sim2RealError(f"'{path}' does not describe a study: {error!r}.") from error


def study_to_json(study: Study) -> dict[str, Any]:
    """Return a study as plain JSON values."""
    stated = {part.name: getattr(study, part.name) for part in fields(study)}
    return stated | {
        "policies": {label: [_policy_to_json(run) for run in runs] for label, runs in study.policies.items()},
        "conditions": {label: to_json(condition) for label, condition in study.conditions.items()},
        "parameters": getattr(study.parameters, "name", None),
        "references": [asdict(reference) for reference in study.references],
        "constraints": safety.to_json(study.constraints),
    }


def study_from_json(values: Mapping[str, Any]) -> Study:
    """Return the study `study_to_json` wrote; its functions and policy files are not touched by this."""
    name = values["parameters"]
    policies = values["policies"]
    conditions = {label: from_json(condition) for label, condition in values["conditions"].items()}
    changed: dict[str, Any] = {
        "policies": {label: [_policy_from_json(run) for run in runs] for label, runs in policies.items()},
        "conditions": conditions,
        "parameters": name and Importable(name),
        "references": tuple(Reference(**reference) for reference in values["references"]),
        "constraints": safety.from_json(values["constraints"]),
    }
    if "files" not in values:  # of a study of before, whose trials do not name them
        made_with = values["env_kwargs"], *map(makes, conditions.values())
        changed["files"] = dict.fromkeys(set().union(*map(named, made_with)), "")
    return Study(**{**values, **changed})


def _policy_to_json(policy: PolicyFile) -> dict[str, Any]:
    stated = {part.name: getattr(policy, part.name) for part in fields(policy)}
    return stated | {"contract": policy.contract.to_dict(), "shields": safety.to_json(policy.shields)}


def _policy_from_json(values: Mapping[str, Any]) -> PolicyFile:
    made = {
        "contract": Contract.from_dict(values["contract"]),
        "shields": safety.from_json(values["shields"]),
    }
    return PolicyFile(**{**values, **made})

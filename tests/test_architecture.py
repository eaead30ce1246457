"""The import rules of CONTRIBUTING.md, read from the source and from a fresh interpreter."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "sim2real"

# Who may import whom, by the first name below the package: each room sees only what stands in its row.
BASE = {"errors", "_version", "plugins"}
VALUES = BASE | {"perturb", "safety", "stats", "linktree", "robots", "kinematics"}
WRAPPERS = VALUES | {"wrappers"}
SIMULATION = WRAPPERS | {"simulation", "actuators", "sensors", "tasks", "envs"}
STUDY = WRAPPERS | {"policies", "study"}
ALLOWED = {
    "_version": set(),
    "errors": set(),
    "plugins": {"errors"},
    "registration": set(),
    "scaffold": {"errors"},
    "perturb": BASE,
    "safety": BASE,
    "stats": BASE,
    "linktree": BASE,
    "robots": BASE | {"linktree"},
    "kinematics": BASE | {"linktree", "robots"},
    "wrappers": WRAPPERS,
    "simulation": SIMULATION - {"tasks", "envs"},
    "actuators": BASE | {"perturb"},
    "sensors": BASE | {"linktree"},
    "tasks": SIMULATION - {"envs"},
    "envs": SIMULATION,
    "policies": VALUES | {"policies"},
    "study": STUDY,
    "sinks": STUDY | {"sinks", "report"},
    "report": STUDY | {"report"},
    "search": STUDY | {"report", "search"},
    "training": STUDY | {"training"},
    "testing": WRAPPERS,
    "cli": STUDY | SIMULATION | {"sinks", "report", "search", "training", "scaffold", "doctor", "cli"},
    "doctor": STUDY | SIMULATION | {"testing", "doctor"},
    "__main__": {"cli"},
}
HEAVY = ("pybullet", "mujoco", "torch", "wandb", "matplotlib", "stable_baselines3", "onnx", "onnxruntime")
HEAVY += ("distributed", "submitit", "ray")
ONLY_IN = {
    "pybullet": {"simulation/bullet.py"},
    "mujoco": {"wrappers/mujoco.py", "wrappers/views.py", "simulation/mujoco.py"},
    "matplotlib": {"report/draw.py"},
    "wandb": {"sinks/wandb.py"},
    "torch": {
        "policies/torchscript.py",
        "policies/sb3.py",
        "training/imitation.py",
        "training/learner.py",
        "training/run.py",
    },
    "stable_baselines3": {"training/learner.py", "training/vector.py"},
    "onnx": {"policies/onnx.py"},
}


def modules() -> list[Path]:
    return sorted(p for p in PACKAGE.rglob("*.py") if "_robots" not in p.parts)


def imports(path: Path) -> set[str]:
    """Return the dotted names a file imports anywhere, lazily or not."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            found.add(node.module or "")
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


@pytest.mark.parametrize("path", modules(), ids=lambda p: str(p.relative_to(PACKAGE)))
def test_imports_follow_the_arrows(path):
    """A module imports only from rooms its own room may see."""
    room = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
    if room == "__init__":
        return
    for name in imports(path):
        parts = name.split(".")
        if (
            parts[0] == "sim2real"
            and len(parts) > 1
            and (PACKAGE / parts[1]).exists() | (PACKAGE / f"{parts[1]}.py").exists()
        ):
            assert parts[1] in ALLOWED[room] | {room}, f"{path.name} ({room}) may not import {name}"


@pytest.mark.parametrize(("library", "files"), ONLY_IN.items())
def test_a_heavy_library_is_imported_in_its_place_alone(library, files):
    """Few files name the engine, the plotting library, the tracking service, the learning libraries."""
    users = {
        str(path.relative_to(PACKAGE))
        for path in modules()
        if any(name.split(".")[0] == library for name in imports(path))
    }
    assert users == files


def test_importing_the_package_loads_nothing_heavy():
    """``import sim2real`` and every public name come without engine, plotting, torch or wandb."""
    code = (
        "import sys, sim2real\n"
        "for name in sim2real.__all__: getattr(sim2real, name)\n"
        f"print([m for m in {HEAVY!r} if m in sys.modules])"
    )
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert shown.stdout.strip() == "[]"

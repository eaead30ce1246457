"""Whether Python, the packages, the engines and the machine are such that studies run."""

import os
import platform
import tempfile
from collections.abc import Iterator
from importlib import import_module
from importlib.metadata import PackageNotFoundError, metadata, requires, version
from pathlib import Path

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

from sim2real.errors import Finding, Sim2RealError

EXTRAS = {
    "train": "training, and policies of TorchScript and Stable-Baselines3",
    "onnx": "ONNX policies",
    "mujoco": "the engine MuJoCo, to hold out a simulator",
    "dask": "--executor dask",
    "slurm": "--executor slurm",
    "ray": "--executor ray",
    "cma": "searches by CMA-ES",
    "parquet": "numbers exported as Parquet",
}
"""What each extra brings to somebody who uses the package."""


def check_installation(records: Path = Path("runs")) -> Iterator[Finding]:
    """Look at what every command needs, in this process and on this machine.

    Args:
        records: where record folders are made.
    """
    try:
        needs = [Requirement(line) for line in requires("sim2real") or ()]
    except PackageNotFoundError:
        yield Finding(
            "sim2real", "is imported from a folder that is not installed: run pip install -e there.", False
        )
        return
    wanted = SpecifierSet(metadata("sim2real")["Requires-Python"] or "")
    python = platform.python_version()
    wrong = f"is {python}, but sim2real needs {wanted}: make an environment of such a Python."
    yield Finding("Python", python if python in wanted else wrong, python in wanted)
    own = [need for need in needs if need.marker is None or need.marker.evaluate({"extra": ""})]
    for need in own:
        said = _lack(need)
        yield Finding(need.name, said or version(need.name), not said)
    if any(map(_lack, own)):
        return  # nothing below can be looked at without
    from sim2real.simulation.engine import ENGINES

    for engine in ENGINES:
        yield _engine(engine)
    for extra, brings in EXTRAS.items():
        lacking = [need.name for need in needs if _is_of(need, extra) and _lack(need)]
        told = f"without {', '.join(lacking)}; pip install 'sim2real[{extra}]' brings {brings}"
        yield Finding(f"extra '{extra}'", told if lacking else brings, None if lacking else True)
    yield _folder(records)
    yield from _machine()


def _is_of(need: Requirement, extra: str) -> bool:
    marker = need.marker
    return marker is not None and marker.evaluate({"extra": extra}) and not marker.evaluate({"extra": ""})


def _lack(need: Requirement) -> str:
    """Return a sentence on what is wrong with a package, empty if it is as it should be."""
    try:
        found = version(need.name)
    except PackageNotFoundError:
        return f"is missing: pip install '{need.name}{need.specifier}'."
    if need.specifier.contains(found, prereleases=True):
        return ""
    return f"is {found}, but sim2real needs {need.specifier}: pip install '{need.name}{need.specifier}'."


def _engine(name: str) -> Finding:
    about = f"engine '{name}'"
    try:
        import_module(f"sim2real.simulation.{name}")
    except (Sim2RealError, ImportError) as error:
        absent = isinstance(error.__cause__ or error, ModuleNotFoundError)
        said = str(error) if isinstance(error, Sim2RealError) else f"cannot be imported: {error}."
        return Finding(about, said, None if absent else False)
    return Finding(about, "can be imported")


def _folder(records: Path) -> Finding:
    where = records if records.exists() else records.absolute().parent
    try:
        with tempfile.TemporaryFile(dir=where):
            return Finding("record folders", f"go to {records}/")
    except OSError as error:
        said = f"cannot be written in {where}: {error.strerror}; work elsewhere, or name another with --out."
        return Finding("record folders", said, False)


def _machine() -> Iterator[Finding]:
    count = os.cpu_count() or 1
    here = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else count
    if here < count:
        yield Finding("cores", f"there are {count}, but {here} for this process: give --workers {here}", None)
    else:
        yield Finding("cores", str(count))
    if count > 1 and "OMP_NUM_THREADS" not in os.environ:
        said = f"one each in worker processes, else up to {count}: set OMP_NUM_THREADS=1 where several work at once"
        yield Finding("threads of arithmetic", said, None)
    else:
        yield Finding("threads of arithmetic", os.environ.get("OMP_NUM_THREADS", "1"))

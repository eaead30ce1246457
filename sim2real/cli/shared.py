"""What several commands have in common: options that mean the same everywhere, and what they print."""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from sim2real.errors import Sim2RealError

if TYPE_CHECKING:
    from sim2real.study import Store, Study

Commands: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"


def add_source(command: argparse.ArgumentParser, name: str, kind: str, *, optional: bool = False) -> None:
    """Add the file that defines a study, a training or a search, and what it is called with."""
    command.add_argument(
        name,
        nargs="?" if optional else None,
        metavar="FILE.py[:NAME]",
        help=f"NAME is a {kind} or a function that returns one",
    )
    command.add_argument("overrides", nargs="*", metavar="key=value", help="parameters of that function")


def add_execution(command: argparse.ArgumentParser, *, runs: bool = True) -> None:
    """Add where records go and how episodes are run; one that runs no study to its end needs less."""
    command.add_argument("--out", type=Path, metavar="DIR", help="record folder (runs/<study name>)")
    command.add_argument(
        "--workers",
        type=int,
        metavar="N",
        help="worker processes (one per core)" + "; 0 runs in this one" * runs,
    )
    if runs:
        command.add_argument(
            "--executor",
            metavar="WHERE",
            help="instead: dask, dask://HOST:PORT, slurm[:PARTITION], ray, module:function",
        )
        command.add_argument("--timeout", type=float, metavar="S", help="seconds an episode may take")
    add_trust(command)


def add_trust(command: argparse.ArgumentParser) -> None:
    """Add the leave to run other people's code."""
    command.add_argument("--trust", action="store_true", help="load policy files that can run code")


def add_folder(command: argparse.ArgumentParser) -> None:
    """Add the folder that holds a study's records."""
    command.add_argument(
        "folder", nargs="?", type=Path, metavar="DIR", help="record folder (the latest in runs/)"
    )


def how(arguments: argparse.Namespace, progress: Any, source: Any) -> dict[str, Any]:
    """Return how episodes are run, as every command that runs some says it."""
    return {
        "workers": arguments.workers,
        "executor": arguments.executor,
        "trust": arguments.trust,
        "progress": progress,
        "timeout_s": arguments.timeout,
        "source": source,
    }


def write_report(study: "Study", store: "Store", trust: bool) -> None:
    """Write a study's report into its record folder, with films of its episodes, and tell where.

    What the console does not leave to the page: whether policies act outside the action space.
    """
    from functools import partial

    from sim2real.report import write
    from sim2real.report.table import Table
    from sim2real.report.words import outside
    from sim2real.study.replay import replay

    path = store.folder / "report.html"
    for sentence in outside(Table(study, store)):
        print(sentence)
    print(write(study, store, path, replay=partial(replay, trust=trust, render=True)))


def print_table(table: Sequence[Sequence[str]]) -> None:
    """Print rows of cells, each column as wide as its widest cell."""
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    lines = ("  ".join(map(str.ljust, line, widths)).rstrip() for line in table)
    print("\n".join(lines))


def latest() -> Path:
    """Return the record folder in runs/ whose study was started last."""
    found = sorted(Path("runs").glob("*/study.json"), key=lambda path: path.stat().st_mtime)
    if not found:
        raise Sim2RealError("There is no study in runs/: name its record folder.")
    return found[-1].parent

"""The commands that show what a finished study says: report, compare, replay."""

import argparse
from collections.abc import Sequence
from math import isnan
from pathlib import Path
from typing import Any

from sim2real.cli.shared import Commands, add_folder, add_trust, latest, print_table, write_report
from sim2real.errors import Sim2RealError


def add(commands: Commands) -> None:
    """Declare them."""
    report = commands.add_parser("report", help="write report.html from the records")
    report.set_defaults(run=_report)
    add_folder(report)
    report.add_argument(
        "--export",
        nargs="+",
        default=[],
        metavar="FORMAT",
        help="instead: every number as csv, parquet, latex or markdown",
    )
    add_trust(report)

    compare = commands.add_parser(
        "compare", help="compare two finished studies; exit code 1 if a policy got worse under any condition"
    )
    compare.set_defaults(run=_compare)
    compare.add_argument(
        "before", metavar="BEFORE", help="record folder, or DIR:POLICY for one of its policies"
    )
    compare.add_argument("after", metavar="AFTER", help="the same of what is held against it")
    compare.add_argument(
        "--margin", type=float, default=0.0, metavar="X", help="a loss that does not matter (0)"
    )
    compare.add_argument("--junit", type=Path, metavar="FILE", help="write what continuous integration reads")

    replay = commands.add_parser("replay", help="repeat one recorded episode and compare it bit for bit")
    replay.set_defaults(run=_replay)
    replay.add_argument("folder", type=Path, metavar="DIR", help="record folder")
    replay.add_argument("key", metavar="KEY", help="the episode's key, or enough of its first digits")
    replay.add_argument("--gif", type=Path, metavar="FILE", help="write what it looks like")
    replay.add_argument("--under", metavar="CONDITION", help="beside it: the same under another condition")
    replay.add_argument(
        "--change",
        nargs="+",
        type=_change,
        default=[],
        metavar="TARGET=X",
        help="... with a perturbation of another amount, as ground.friction=0.3",
    )
    replay.add_argument(
        "--without", nargs="+", default=[], metavar="TARGET", help="... without a perturbation"
    )
    add_trust(replay)


def _report(arguments: argparse.Namespace) -> int:
    from sim2real.study.document import open_study

    study, store = open_study(arguments.folder or latest())
    if not arguments.export:
        write_report(study, store, arguments.trust)
        return 0
    from sim2real.report.export import export

    for kind in arguments.export:
        print(*export(study, store, kind), sep="\n")
    return 0


def _compare(arguments: argparse.Namespace) -> int:
    from sim2real.report.compare import compare, told, write_junit

    changes = compare(arguments.before, arguments.after, arguments.margin)
    table = [("policy", "condition", "before", "after", "change", "p (Holm)", "")]
    for one in changes:
        numbers = (told(one.before), told(one.after), str(one.change.estimate), f"{one.adjusted_p:.2g}")
        failed = f", {one.failures} more failed" if one.failures > 0 else ""
        table.append((one.policy, one.condition, *numbers, one.verdict + failed))
    print_table(table)
    if arguments.junit:
        write_junit(changes, arguments.junit, f"{arguments.before} {arguments.after}")
    worse = sum(one.verdict == "worse" for one in changes)
    others = [one.change.estimate for one in changes if one.verdict != "worse"]
    hidden = max((-one.low for one in others if not isnan(one.low)), default=0.0)
    loss = f"a loss of {max(0.0, hidden):.2g}"
    if any(isnan(one.low) and one.lost for one in others):
        loss = "any loss"  # where too many episodes gave no number
    print(f"{worse} of {len(changes)} are worse; {loss} could hide in one of the others.")
    if not all(one.change.paired for one in changes):
        print("Episodes do not repeat, so not all changes are paired: the reports say why.")
    return 1 if worse else 0


def _replay(arguments: argparse.Namespace) -> int:
    from concurrent.futures import BrokenExecutor

    from sim2real.study.document import open_study
    from sim2real.study.executors import Processes, send
    from sim2real.study.replay import beside, changed, find, replay, under

    study, store = open_study(arguments.folder)
    trial, recorded = find(study, store, arguments.key)
    other = trial if arguments.under is None else under(study, trial, arguments.under)
    other = changed(other, dict(arguments.change), arguments.without)
    trials = [trial] if other.key == trial.key else [trial, other]
    filmed = arguments.gif is not None
    try:
        with Processes(1) as place:  # a worker like the one that ran it first
            found = [send(place, replay, one, arguments.trust, filmed).result() for one in trials]
    except BrokenExecutor:
        raise Sim2RealError("The process that repeated the episode died.") from None
    played = []
    for result in found:
        if isinstance(result, Exception):
            raise result
        played.append(result)
    if filmed:
        for row, frames in played:
            if not frames:
                raise Sim2RealError(f"The episode cannot be filmed: {row['error'] or 'nothing was rendered'}")
        shown = beside(played[0][1], played[1][1]) if len(played) == 2 else played[0][1]
        lasted_s = [row["duration_s"] for row, _ in played if row.get("duration_s")]
        _write_gif(arguments.gif, shown, max(lasted_s, default=None))
    rows = [row for row, _ in played]
    if len(rows) == 1:
        print_table([(name, str(value)) for name, value in rows[0].items() if value not in (None, "")])
    else:
        for row, one in zip(rows, trials, strict=True):
            row["condition"] = "; ".join(item.label for item in one.condition) or "nominal"
        differ = [name for name in rows[0] if rows[0].get(name) != rows[1].get(name)]
        print_table(
            [
                ("", "as recorded", "changed"),
                *((name, *(str(row.get(name)) for row in rows)) for name in differ),
            ]
        )
    row = rows[0]
    same = all(row.get(name) == recorded[name] for name in ("status", "error", "digest"))
    print("bit-identical" if same else "differs from the record")
    for finding in () if same else store.meta.get("rehearsal", {}).get("findings", ()):
        print(finding["sentence"])
    for name in ("versions", "error", "length", "return"):
        if row.get(name) != recorded[name]:
            print(f"recorded {name}: {recorded[name]}")
    return 0 if same else 1


def _change(text: str) -> tuple[str, float]:
    target, _, amount = text.rpartition("=")
    try:
        return target, float(amount)
    except ValueError:
        raise argparse.ArgumentTypeError(f"write TARGET=X, as ground.friction=0.3, not '{text}'") from None


def _write_gif(path: Path, frames: Sequence[Any], duration_s: float | None) -> None:
    from PIL import Image

    first, *rest = (Image.fromarray(frame) for frame in frames)
    each_ms = 1000 * duration_s / len(frames) if duration_s else 67
    try:
        first.save(path, save_all=True, append_images=rest, duration=each_ms, loop=0)
    except (OSError, ValueError) as error:
        raise Sim2RealError(f"'{path}' cannot be written as a GIF: {error}.") from error

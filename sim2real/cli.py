"""The command line: run a study, see how far it is, report on it, repeat one of its episodes."""

import argparse
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from sim2real.errors import Sim2RealError

if TYPE_CHECKING:
    from sim2real.study import Store, Study

# What is heavy is imported by the command that needs it, so that --help is quick.


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code: 1 if an episode did not repeat, 2 for what cannot be done."""
    parser = _parser()
    arguments, rest = parser.parse_known_args(argv)
    if rest and (arguments.run not in (_run, _train) or any(item.startswith("-") for item in rest)):
        parser.error(f"unrecognized arguments: {' '.join(rest)}")
    if arguments.run is _run and bool(arguments.study) == bool(arguments.env):
        parser.error("run takes a study's file, or --env ID and --policy FILE")
    if rest:
        arguments.overrides += rest  # parameters may also follow options
    try:
        code: int = arguments.run(arguments)
        return code
    except Sim2RealError as error:
        print(f"sim2real: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("sim2real: stopped; finished episodes are kept and the same command goes on.", file=sys.stderr)
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="sim2real", description="Will this policy survive the real world?")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    run = commands.add_parser("run", help="run what is missing of a study, then report")
    run.set_defaults(run=_run)
    run.add_argument(
        "study", nargs="?", metavar="FILE.py[:NAME]", help="NAME is a Study or a function that returns one"
    )
    run.add_argument("overrides", nargs="*", metavar="key=value", help="parameters of that function")
    run.add_argument("--env", metavar="ID", help="instead of a file: a Gymnasium environment")
    run.add_argument("--policy", nargs="+", metavar="FILE", help="... and policies to study in it")
    run.add_argument(
        "--perturb",
        nargs="+",
        metavar="PRESET",
        help="... under presets and each of their parts (easy medium hard)",
    )
    run.add_argument("--episodes", type=int, default=20, metavar="N", help="... so often each (20)")
    run.add_argument("--metric", metavar="NAME", help="... measured by this (success, or return)")
    run.add_argument(
        "--competent", type=float, metavar="X", help="... of which this much is needed at nominal"
    )
    run.add_argument("--out", type=Path, metavar="DIR", help="folder of the records (runs/<study name>)")
    run.add_argument("--workers", type=int, metavar="N", help="processes (one per core); 0 runs in this one")
    run.add_argument("--timeout", type=float, metavar="S", help="seconds an episode may take")
    run.add_argument("--retry", action="store_true", help="run episodes again that crashed or timed out")
    run.add_argument(
        "--shard", type=_shard, default=(1, 1), metavar="I/N", help="run only the I-th of N parts"
    )
    run.add_argument("--trust", action="store_true", help="load policy files that can execute code")
    run.add_argument("--no-report", action="store_true", help="do not write report.html")
    run.add_argument("--wandb", action="store_true", help="mirror the records to Weights & Biases")

    train = commands.add_parser("train", help="train policies, or go on training them")
    train.set_defaults(run=_train)
    train.add_argument(
        "training", metavar="FILE.py[:NAME]", help="NAME is a Training or a function that returns one"
    )
    train.add_argument("overrides", nargs="*", metavar="key=value", help="parameters of that function")
    train.add_argument("--seed", type=int, metavar="N", help="train this seed alone, not all that it names")
    train.add_argument("--out", type=Path, metavar="DIR", help="folder of its runs (runs/<training name>)")
    train.add_argument("--wandb", action="store_true", help="mirror the curves to Weights & Biases")

    status = commands.add_parser("status", help="show how far a study is")
    status.set_defaults(run=_status)
    report = commands.add_parser("report", help="write report.html from the records")
    report.set_defaults(run=_report)
    report.add_argument("--trust", action="store_true", help="also film policies that need trust")
    for command in (status, report):
        command.add_argument("folder", nargs="?", type=Path, metavar="DIR", help="the latest in runs/")

    merge = commands.add_parser("merge", help="join the folders of a study's shards")
    merge.set_defaults(run=_merge)
    merge.add_argument("out", type=Path, metavar="OUT", help="folder to join them in")
    merge.add_argument("folders", nargs="+", type=Path, metavar="DIR")

    shelf = commands.add_parser("list", help="list what can be used in a study")
    shelf.set_defaults(run=_list)
    shelf.add_argument("kind", choices=tuple(_LISTS))
    shelf.add_argument("--env", default=_WALK, metavar="ID", help=f"whose parameters ({_WALK})")
    shelf.add_argument("--markdown", action="store_true", help="as a page of documentation")

    new = commands.add_parser("new", help="write a working robot, task or study to start from")
    new.set_defaults(run=_new)
    new.add_argument("kind", choices=("robot", "study", "task"))
    new.add_argument("name", metavar="NAME", help="of it, and of the folder to write")

    replay = commands.add_parser("replay", help="repeat one recorded episode and compare it bit for bit")
    replay.set_defaults(run=_replay)
    replay.add_argument("folder", type=Path, metavar="DIR")
    replay.add_argument("key", metavar="KEY", help="the episode's key, or enough of its first digits")
    replay.add_argument("--gif", type=Path, metavar="FILE", help="write what it looks like")
    replay.add_argument("--trust", action="store_true", help="load policy files that can execute code")
    return parser


def _run(arguments: argparse.Namespace) -> int:
    from sim2real.study.progress import console
    from sim2real.study.runner import run

    study, source = _study(arguments)
    with console(study.name) as progress:
        store = run(
            study,
            arguments.out,
            workers=arguments.workers,
            trust=arguments.trust,
            progress=progress,
            timeout_s=arguments.timeout,
            retry=arguments.retry,
            shard=arguments.shard,
            source=source,
        )
    print(f"{len(store)} episodes in {store.folder}")
    if not arguments.no_report and arguments.shard == (1, 1):
        _write_report(study, store, arguments.trust)
    if arguments.wandb:
        from sim2real.sinks.wandb import mirror

        mirror(study, store)
    if reasons := _failures(study, store):
        reason, times = reasons.most_common(1)[0]
        raise Sim2RealError(
            f"{reasons.total()} of {len(study.trials())} episodes failed, {times} of them with: "
            f"{reason.rstrip('.')}. All are recorded; `sim2real status {store.folder}` counts the reasons."
        )
    return 0


def _study(arguments: argparse.Namespace) -> "tuple[Study, dict[str, Any] | None]":
    """Return the study that is meant, and the file it is from, if it is from any."""
    from sim2real.study.load import load_study
    from sim2real.study.quick import GRADES, quick_study

    if arguments.study:
        return load_study(arguments.study, arguments.overrides)
    study, left_out = quick_study(
        arguments.env,
        arguments.policy or (),
        arguments.perturb or GRADES,
        episodes=arguments.episodes,
        metric=arguments.metric,
        competent=arguments.competent,
    )
    print("\n".join(left_out), end="\n" if left_out else "")
    return study, None


def _failures(study: "Study", store: "Store") -> "Counter[str]":
    """Return why trials of the study failed, and how many each."""
    keys = {trial.key for trial in study.trials()}
    failed = (row for row in store.rows() if row["key"] in keys and row["status"] != "ok")
    return Counter(f"{row['status']}: {row['error']}" for row in failed)


def _train(arguments: argparse.Namespace) -> int:
    from sim2real.study.load import load_value
    from sim2real.training import Training

    training, source = load_value(arguments.training, arguments.overrides, Training, "training")
    from sim2real.training.run import report, train

    for seed in training.seeds if arguments.seed is None else (arguments.seed,):
        folder = (arguments.out or Path("runs") / training.name) / f"seed-{seed}"
        print(train(training, seed, folder, source=Path(source["file"]), progress=report))
        if arguments.wandb:
            from sim2real.sinks.wandb import mirror_training

            mirror_training(folder)
    return 0


def _shard(text: str) -> tuple[int, int]:
    part, _, parts = text.partition("/")
    if not (part.isdecimal() and parts.isdecimal()):
        raise argparse.ArgumentTypeError(f"write I/N, as 2/8, not '{text}'")
    return int(part), int(parts)


def _new(arguments: argparse.Namespace) -> int:
    from sim2real.scaffold import create

    folder = create(arguments.kind, arguments.name)
    print(
        f"{folder}/: {', '.join(sorted(path.name for path in folder.iterdir()))}; check it with pytest {folder}"
    )
    return 0


def _merge(arguments: argparse.Namespace) -> int:
    from sim2real.study.store import merge

    store = merge(arguments.out, arguments.folders)
    print(f"{len(store)} episodes in {store.folder}")
    return 0


def _status(arguments: argparse.Namespace) -> int:
    from sim2real.study.document import open_study

    study, store = open_study(arguments.folder or _latest())
    rows = {row["key"]: row for row in store.rows()}
    found: dict[tuple[str, str], list[dict[str, object] | None]] = {}
    for cell in study.cells():
        found.setdefault((cell.policy_label, cell.condition_label), []).append(rows.get(cell.trial.key))
    table = [("policy", "condition", "episodes", "failed")]
    for (policy, condition), cells in found.items():
        done = [row for row in cells if row]
        failed = sum(row["status"] != "ok" for row in done)
        table.append((policy, condition, f"{len(done)}/{len(cells)}", str(failed or "")))
    _print_table(table)
    for reason, times in _failures(study, store).most_common(6):
        print(f"{times} × {reason}")
    return 0


def _report(arguments: argparse.Namespace) -> int:
    from sim2real.study.document import open_study

    study, store = open_study(arguments.folder or _latest())
    _write_report(study, store, arguments.trust)
    return 0


def _write_report(study: "Study", store: "Store", trust: bool) -> None:
    from functools import partial

    from sim2real.report import write
    from sim2real.study.replay import replay

    path = store.folder / "report.html"
    print(write(study, store, path, replay=partial(replay, trust=trust, render=True)))


def _replay(arguments: argparse.Namespace) -> int:
    from concurrent.futures import BrokenExecutor

    from sim2real.study.document import open_study
    from sim2real.study.executors import Processes, send
    from sim2real.study.replay import find, replay

    study, store = open_study(arguments.folder)
    trial, recorded = find(study, store, arguments.key)
    try:
        with Processes(1) as place:  # a worker like the one that ran it first
            found = send(place, replay, trial, arguments.trust, arguments.gif is not None).result()
    except BrokenExecutor:
        raise Sim2RealError("The process that repeated the episode died.") from None
    if isinstance(found, Exception):
        raise found
    row, frames = found
    if arguments.gif:
        if not frames:
            raise Sim2RealError(f"The episode cannot be filmed: {row['error'] or 'nothing was rendered'}")
        _write_gif(arguments.gif, frames, row.get("duration_s"))
    _print_table([(name, str(value)) for name, value in row.items() if value not in (None, "")])
    same = all(row.get(name) == recorded[name] for name in ("status", "error", "digest"))
    print("bit-identical" if same else "differs from the record")
    for name in ("versions", "error", "length", "return"):
        if row.get(name) != recorded[name]:
            print(f"recorded {name}: {recorded[name]}")
    return 0 if same else 1


def _list(arguments: argparse.Namespace) -> int:
    from sim2real.perturb.page import markdown

    head, rows = _LISTS[arguments.kind](arguments)
    if arguments.markdown:
        print(f"# {arguments.kind.capitalize()}\n\n{markdown(head, rows)}")
    else:
        _print_table([head, *rows])
    return 0


def _robots(arguments: argparse.Namespace) -> "_Table":
    from sim2real.robots import Robot, available

    rows = []
    for name in available():
        robot = Robot.load(name)
        rows.append((name, f"{robot.name}, {len(robot.joint_names)} joints"))
        for variant in robot.variants:
            rows.append(("", f"variant '{variant}', {len(Robot.load(name, variant).joint_names)} joints"))
    return ("robot", "what it is"), rows


def _tasks(arguments: argparse.Namespace) -> "_Table":
    import gymnasium as gym

    from sim2real.plugins import plugins
    from sim2real.tasks import find

    own = [spec for spec in gym.registry.values() if spec.namespace == "sim2real" and "task" in spec.kwargs]
    rows = [(f"sim2real:{spec.id}", _first_line(find(spec.kwargs["task"]))) for spec in own]
    rows += [
        (f"sim2real:sim2real/Task-v0, task='{name}'", _first_line(find(name))) for name in plugins("tasks")
    ]
    return ("environment", "task"), rows


def _perturbations(arguments: argparse.Namespace) -> "_Table":
    from sim2real.perturb import catalogue

    return ("function", "what it is"), _functions(catalogue)


def _policies(arguments: argparse.Namespace) -> "_Table":
    from sim2real.policies import balance, builtin

    return ("policy", "what it does"), [("balance", _first_line(balance)), *_functions(builtin)]


def _presets(arguments: argparse.Namespace) -> "_Table":
    from sim2real.perturb import PRESETS
    from sim2real.plugins import plugin, plugins

    presets = {**PRESETS} | {name: plugin("presets", name) for name in plugins("presets")}
    return ("preset", "what it is"), [(name, preset.doc) for name, preset in presets.items()]


def _parameters(arguments: argparse.Namespace) -> "_Table":
    import gymnasium as gym

    from sim2real.perturb.page import PARAMETER_HEAD, parameter_rows

    try:
        env = gym.make(arguments.env, disable_env_checker=True)
    except (gym.error.Error, ImportError) as error:
        raise Sim2RealError(f"'{arguments.env}' cannot be made: {error}") from None
    table = getattr(env.unwrapped, "parameters", None)
    if table is None:
        raise Sim2RealError(f"'{arguments.env}' declares no parameters; give Perturbed some with Attributes.")
    rows = parameter_rows(table)
    env.close()
    return PARAMETER_HEAD, rows


_WALK = "sim2real:sim2real/Walk-v0"
_Table = tuple[tuple[str, ...], Sequence[tuple[str, ...]]]
_LISTS: dict[str, Callable[[argparse.Namespace], _Table]] = {
    "robots": _robots,
    "tasks": _tasks,
    "perturbations": _perturbations,
    "presets": _presets,
    "parameters": _parameters,
    "policies": _policies,
}


def _functions(module: ModuleType) -> list[tuple[str, str]]:
    return [
        (name, _first_line(value))
        for name, value in vars(module).items()
        if callable(value) and value.__module__ == module.__name__ and name[0] != "_"
    ]


def _print_table(table: Sequence[Sequence[str]]) -> None:
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    lines = ("  ".join(map(str.ljust, line, widths)).rstrip() for line in table)
    print("\n".join(lines))


def _first_line(thing: object) -> str:
    return (thing.__doc__ or "").strip().partition("\n")[0]


def _latest() -> Path:
    found = sorted(Path("runs").glob("*/study.json"), key=lambda path: path.stat().st_mtime)
    if not found:
        raise Sim2RealError("There is no study in runs/: name its folder.")
    return found[-1].parent


def _write_gif(path: Path, frames: Sequence[Any], duration_s: float | None) -> None:
    from PIL import Image

    first, *rest = (Image.fromarray(frame) for frame in frames)
    each_ms = 1000 * duration_s / len(frames) if duration_s else 67
    try:
        first.save(path, save_all=True, append_images=rest, duration=each_ms, loop=0)
    except (OSError, ValueError) as error:
        raise Sim2RealError(f"'{path}' cannot be written as a GIF: {error}.") from error

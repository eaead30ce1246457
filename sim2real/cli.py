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
    """Run the command and return its exit code: 1 if an episode differs or a study got worse, 2 for trouble."""
    parser = _parser()
    arguments, rest = parser.parse_known_args(argv)
    if rest and ("overrides" not in arguments or any(item.startswith("-") for item in rest)):
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
        help="... under presets and each of their parts (easy medium hard), and all again with engine=mujoco",
    )
    run.add_argument("--episodes", type=int, default=20, metavar="N", help="... so often each (20)")
    run.add_argument("--metric", metavar="NAME", help="... measured by this (success, or return)")
    run.add_argument(
        "--competent", type=float, metavar="X", help="... of which this much is needed at nominal"
    )
    run.add_argument("--out", type=Path, metavar="DIR", help="folder of the records (runs/<study name>)")
    run.add_argument("--workers", type=int, metavar="N", help="processes (one per core); 0 runs in this one")
    run.add_argument(
        "--executor",
        metavar="WHERE",
        help="instead: dask, dask://HOST:PORT, slurm[:PARTITION], ray, module:function",
    )
    run.add_argument(
        "--until",
        type=float,
        metavar="X",
        help="only as many of the episodes as it takes for every interval to be ± X or narrower",
    )
    run.add_argument("--timeout", type=float, metavar="S", help="seconds an episode may take")
    run.add_argument("--retry", action="store_true", help="run episodes again that crashed or timed out")
    run.add_argument(
        "--shard", type=_shard, default=(1, 1), metavar="I/N", help="run only the I-th of N parts"
    )
    run.add_argument("--trust", action="store_true", help="load policy files that can execute code")
    run.add_argument("--no-report", action="store_true", help="do not write report.html")
    run.add_argument("--wandb", action="store_true", help="mirror the records to Weights & Biases")

    plan = commands.add_parser("plan", help="predict what a study costs, and what differences it would find")
    plan.set_defaults(run=_plan)
    plan.add_argument("--effect", type=float, metavar="X", help="a difference that one wants to find")
    plan.add_argument("--spread", type=float, metavar="X", help="standard deviation to assume of the metric")
    threshold = commands.add_parser("threshold", help="find how much of each condition a policy stands")
    threshold.set_defaults(run=_threshold)
    threshold.add_argument(
        "--at", type=float, default=0.9, metavar="P", help="rate of episodes that reach `competent` (0.9)"
    )
    threshold.add_argument(
        "--until", type=float, default=0.05, metavar="X", help="half width of the interval (0.05)"
    )
    threshold.add_argument("--most", type=int, default=300, metavar="N", help="episodes of a search (300)")
    threshold.add_argument("--executor", metavar="WHERE", help="as for run")
    threshold.add_argument("--timeout", type=float, metavar="S", help="as for run")
    for command in (plan, threshold):
        command.add_argument("study", metavar="FILE.py[:NAME]", help="as for run, like all that follows")
        command.add_argument("overrides", nargs="*", metavar="key=value")
        command.add_argument("--out", type=Path, metavar="DIR")
        command.add_argument("--workers", type=int, metavar="N")
        command.add_argument("--trust", action="store_true")

    train = commands.add_parser("train", help="train policies, or go on training them")
    train.set_defaults(run=_train)
    train.add_argument(
        "training", metavar="FILE.py[:NAME]", help="NAME is a Training or a function that returns one"
    )
    train.add_argument("overrides", nargs="*", metavar="key=value", help="parameters of that function")
    train.add_argument("--seed", type=int, metavar="N", help="train this seed alone, not all that it names")
    train.add_argument("--out", type=Path, metavar="DIR", help="folder of its runs (runs/<training name>)")
    train.add_argument("--wandb", action="store_true", help="mirror the curves to Weights & Biases")

    search = commands.add_parser(
        "search", help="find where in a region a policy fails, and how little it takes"
    )
    search.set_defaults(run=_search)
    matters = commands.add_parser("sensitivity", help="find which perturbations of a region matter")
    matters.set_defaults(run=_sensitivity)
    for command in (search, matters):
        command.add_argument(
            "search", metavar="FILE.py[:NAME]", help="NAME is a Search or a function that returns one"
        )
        command.add_argument("overrides", nargs="*", metavar="key=value", help="parameters of that function")
        command.add_argument("--out", type=Path, metavar="DIR", help="as for run, like all that follows")
        command.add_argument("--workers", type=int, metavar="N")
        command.add_argument("--executor", metavar="WHERE")
        command.add_argument("--timeout", type=float, metavar="S")
        command.add_argument("--trust", action="store_true")

    status = commands.add_parser("status", help="show how far a study is")
    status.set_defaults(run=_status)
    report = commands.add_parser("report", help="write report.html from the records")
    report.set_defaults(run=_report)
    report.add_argument("--trust", action="store_true", help="also film policies that need trust")
    report.add_argument(
        "--export",
        nargs="+",
        default=[],
        metavar="FORMAT",
        help="instead: every number as csv, parquet, latex or markdown",
    )
    modes = commands.add_parser("modes", help="tell in which ways episodes failed")
    modes.set_defaults(run=_modes)
    for command in (status, report, modes):
        command.add_argument("folder", nargs="?", type=Path, metavar="DIR", help="the latest in runs/")

    merge = commands.add_parser("merge", help="join the folders of a study's shards")
    merge.set_defaults(run=_merge)
    merge.add_argument("out", type=Path, metavar="OUT", help="folder to join them in")
    merge.add_argument("folders", nargs="+", type=Path, metavar="DIR")

    compare = commands.add_parser(
        "compare", help="compare two finished studies; exit code 1 if any cell is worse"
    )
    compare.set_defaults(run=_compare)
    compare.add_argument("before", metavar="BEFORE", help="DIR, or DIR:POLICY for one of its policies")
    compare.add_argument("after", metavar="AFTER", help="the same of what is held against it")
    compare.add_argument(
        "--margin", type=float, default=0.0, metavar="X", help="a loss that does not matter (0)"
    )
    compare.add_argument("--junit", type=Path, metavar="FILE", help="write what continuous integration reads")

    sync = commands.add_parser("sync", help="push a study to Weights & Biases, or go on pushing it")
    sync.set_defaults(run=_sync)
    sync.add_argument("folder", nargs="?", type=Path, metavar="DIR", help="the latest in runs/")

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
    replay.add_argument("--under", metavar="LABEL", help="beside it: the same under another condition")
    replay.add_argument(
        "--change",
        nargs="+",
        type=_change,
        default=[],
        metavar="TARGET=X",
        help="... with another amount, as ground.friction=0.3",
    )
    replay.add_argument(
        "--without", nargs="+", default=[], metavar="TARGET", help="... without a perturbation"
    )
    replay.add_argument("--trust", action="store_true", help="load policy files that can execute code")
    return parser


def _run(arguments: argparse.Namespace) -> int:
    from sim2real.study.adaptive import run_until
    from sim2real.study.progress import console
    from sim2real.study.runner import run

    study, source = _study(arguments)
    with console(study.name) as progress:
        options = _how(arguments, progress, source) | {"retry": arguments.retry}
        if arguments.until is None:
            store = run(study, arguments.out, shard=arguments.shard, **options)
        elif arguments.shard == (1, 1):
            study, store, cells = run_until(study, arguments.until, arguments.out, **options)
            table = [("policy", "condition", "episodes", study.metric, "")]
            for one in cells:
                wider = "" if one.reached else "wider"
                table.append((one.policy, one.condition, str(one.episodes), str(one.estimate), wider))
            _print_table(table)
        else:
            raise Sim2RealError("--until looks at the episodes of all shards, so it takes no --shard.")
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


def _how(arguments: argparse.Namespace, progress: Any, source: Any) -> dict[str, Any]:
    """Return how episodes are run, as every command that runs some says it."""
    return {
        "workers": arguments.workers,
        "executor": arguments.executor,
        "trust": arguments.trust,
        "progress": progress,
        "timeout_s": arguments.timeout,
        "source": source,
    }


def _plan(arguments: argparse.Namespace) -> int:
    from sim2real.study.executors import cores
    from sim2real.study.load import load_study
    from sim2real.study.plan import plan

    study, _ = load_study(arguments.study, arguments.overrides)
    workers = cores(arguments.workers)
    asked = {"trust": arguments.trust, "effect": arguments.effect, "spread": arguments.spread}
    found = plan(study, arguments.out, workers=workers, **asked)
    print(
        f"{found.trials} episodes, {found.missing} of them still to run, {found.episode_s:.2g} s each: "
        f"{found.wall_s / 60:.3g} min and {found.memory_mb:.0f} MB with {workers} processes"
    )
    for one in found.comparisons:
        print(
            f"{one.what} ({one.source}): 4 of 5 such studies find a difference of {one.detectable:.3g} in "
            f"{study.metric}, or of {one.among_all:.3g} where Holm's adjustment is strictest"
        )
        if arguments.effect:
            found_by = f"{one.episodes or 'no number of'} episodes of each run"
            if one.runs_known:
                found_by += f", or {one.runs or 'no number of'} training runs with {study.episodes} episodes"
            print(f"  to find {arguments.effect:g}: {found_by}")
    if not found.comparisons:
        print("Too few episodes were played to know how much they differ; --spread says what to assume.")
    return 0


def _threshold(arguments: argparse.Namespace) -> int:
    from sim2real.study.adaptive import find_thresholds
    from sim2real.study.load import load_study
    from sim2real.study.progress import console

    study, source = load_study(arguments.study, arguments.overrides)
    with console(study.name) as progress:
        _, store, found = find_thresholds(
            study,
            arguments.until,
            arguments.out,
            level=arguments.at,
            most=arguments.most,
            **_how(arguments, progress, source),
        )
    table = [("policy", "run", "condition", "strength at which it falls to", f"{arguments.at:g}", "episodes")]
    for one in found:
        wider = "" if one.reached else "wider"
        shown = str(one.estimate), wider, str(one.estimate.n_episodes)
        table.append((one.policy, str(one.run + 1), one.condition, *shown))
    _print_table(table)
    print(store.folder / "thresholds.json")
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
    return Counter(reason for key, reason in store.failures().items() if reason and key in keys)


def _search(arguments: argparse.Namespace) -> int:
    from sim2real.search import find_failure

    found, folder = _searched(arguments, find_failure)
    metric, least = found["metric"], found["smallest"]
    print(
        f"{found['failing']} of {found['tried']} points fail: their {metric} is below {found['fails_below']:g}."
    )
    for name in ("worst", "smallest") if least else ("worst",):
        fresh = "{value:.3g} [{low:.3g}, {high:.3g}]".format(**found["fresh"][name])
        print(
            f"{name}: {found[name]['label']}\n  {metric} {found[name]['score']:.3g}; on fresh episodes {fresh}"
        )
    print(*(mode["sentence"] for mode in found["modes"]), sep="\n")
    print(found["reproduce"] or "Nothing fails here.")
    print(folder / "search.json")
    return 0


def _sensitivity(arguments: argparse.Namespace) -> int:
    from sim2real.search import find_sensitivity

    found, folder = _searched(arguments, find_sensitivity)
    for policy, metrics in found["policies"].items():
        print(*(f"{policy}: {told['sentence']}" for told in metrics.values()), sep="\n")
    print(folder / "sensitivity.json")
    return 0


def _searched(
    arguments: argparse.Namespace, find: Callable[..., dict[str, Any]]
) -> tuple[dict[str, Any], Path]:
    """Return what was found, and the folder it was written to."""
    from sim2real.search import Search
    from sim2real.study.load import load_value
    from sim2real.study.progress import console

    search, source = load_value(arguments.search, arguments.overrides, Search, "search")
    folder = arguments.out or Path("runs") / search.study.name
    with console(search.study.name) as progress:
        found = find(search, folder, **_how(arguments, progress, source))
    return found, folder


def _modes(arguments: argparse.Namespace) -> int:
    from sim2real.search import find_modes
    from sim2real.study.document import open_study

    study, store = open_study(arguments.folder or _latest())
    found = find_modes(study, store)
    for mode in found["modes"]:
        print(f"{mode['episodes']} episodes ({mode['share']:.0%}): {mode['sentence']}")
        print(f"  sim2real replay {store.folder} {mode['example']['key'][:12]}")
    print(store.folder / "modes.json")
    return 0


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


def _compare(arguments: argparse.Namespace) -> int:
    from sim2real.report.compare import compare, write_junit

    changes = compare(arguments.before, arguments.after, arguments.margin)
    table = [("policy", "condition", "before", "after", "change", "p (Holm)", "")]
    for one in changes:
        numbers = (f"{one.before:.3g}", f"{one.after:.3g}", str(one.change.estimate), f"{one.adjusted_p:.2g}")
        failed = f", {one.failures} more failed" if one.failures > 0 else ""
        table.append((one.policy, one.condition, *numbers, one.verdict + failed))
    _print_table(table)
    if arguments.junit:
        write_junit(changes, arguments.junit, f"{arguments.before} {arguments.after}")
    worse = sum(one.verdict == "worse" for one in changes)
    others = (one.change.estimate for one in changes if one.verdict != "worse")
    hidden = max((-change.low for change in others if change.n_episodes), default=0.0)
    print(
        f"{worse} of {len(changes)} are worse; a loss of {max(0.0, hidden):.2g} could hide in one of the others."
    )
    return 1 if worse else 0


def _sync(arguments: argparse.Namespace) -> int:
    from sim2real.sinks.wandb import mirror
    from sim2real.study.document import open_study

    study, store = open_study(arguments.folder or _latest())
    if not mirror(study, store):
        return 2
    print(f"handed over {store.folder}")
    return 0


def _status(arguments: argparse.Namespace) -> int:
    from sim2real.study.document import open_study

    study, store = open_study(arguments.folder or _latest())
    failures = store.failures()
    found: dict[tuple[str, str], list[str | None]] = {}
    for cell in study.cells():
        found.setdefault((cell.policy_label, cell.condition_label), []).append(failures.get(cell.trial.key))
    table = [("policy", "condition", "episodes", "failed")]
    for (policy, condition), cells in found.items():
        done = [reason for reason in cells if reason is not None]
        table.append((policy, condition, f"{len(done)}/{len(cells)}", str(sum(map(bool, done)) or "")))
    _print_table(table)
    for reason, times in _failures(study, store).most_common(6):
        print(f"{times} × {reason}")
    print(f"table hash {store.table_hash()}")
    return 0


def _report(arguments: argparse.Namespace) -> int:
    from sim2real.study.document import open_study

    study, store = open_study(arguments.folder or _latest())
    if not arguments.export:
        _write_report(study, store, arguments.trust)
        return 0
    from sim2real.report.export import export

    for kind in arguments.export:
        print(*export(study, store, kind), sep="\n")
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
        _print_table([(name, str(value)) for name, value in rows[0].items() if value not in (None, "")])
    else:
        for row, one in zip(rows, trials, strict=True):
            row["condition"] = "; ".join(item.label for item in one.condition) or "nominal"
        differ = [name for name in rows[0] if rows[0].get(name) != rows[1].get(name)]
        _print_table(
            [
                ("", "as recorded", "changed"),
                *((name, *(str(row.get(name)) for row in rows)) for name in differ),
            ]
        )
    row = rows[0]
    same = all(row.get(name) == recorded[name] for name in ("status", "error", "digest"))
    print("bit-identical" if same else "differs from the record")
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

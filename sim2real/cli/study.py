"""The commands that run a study, predict it and gather its records: run, plan, status, merge, sync."""

import argparse
import math
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sim2real.cli.shared import (
    Commands,
    add_execution,
    add_folder,
    add_source,
    how,
    latest,
    print_table,
    write_report,
)
from sim2real.errors import Sim2RealError

if TYPE_CHECKING:
    from sim2real.study import Store, Study


def add(commands: Commands) -> None:
    """Declare them."""
    run = commands.add_parser("run", help="run what is missing of a study, then report")
    run.set_defaults(run=_run, parser=run)
    add_source(run, "study", "Study", optional=True)
    run.add_argument("--env", metavar="ID", help="instead of a file: a Gymnasium environment")
    run.add_argument("--policy", nargs="+", metavar="FILE", help="... and policy files to study in it")
    run.add_argument(
        "--perturb",
        nargs="+",
        metavar="PRESET",
        help="... under presets and each of their parts (easy medium hard), and all again with engine=mujoco",
    )
    run.add_argument(
        "--episodes", type=int, default=20, metavar="N", help="... in so many episodes of each condition (20)"
    )
    run.add_argument("--metric", metavar="NAME", help="... measured by this (success, or return)")
    run.add_argument(
        "--competent", type=float, metavar="X", help="... of which this much is needed at nominal"
    )
    run.add_argument(
        "--period-s",
        type=float,
        metavar="S",
        help="... seconds between two steps (what the environment says)",
    )
    add_execution(run)
    run.add_argument(
        "--until",
        type=float,
        metavar="X",
        help="only as many of the episodes as it takes for every interval to be ± X or narrower",
    )
    run.add_argument("--retry", action="store_true", help="run episodes again that crashed or timed out")
    run.add_argument(
        "--shard", type=_shard, default=(1, 1), metavar="I/N", help="run only the I-th of N shards"
    )
    run.add_argument("--no-report", action="store_true", help="do not write report.html")
    run.add_argument("--wandb", action="store_true", help="mirror the records to Weights & Biases")

    plan = commands.add_parser("plan", help="predict what a study costs, and what differences it would find")
    plan.set_defaults(run=_plan)
    add_source(plan, "study", "Study")
    plan.add_argument("--effect", type=float, metavar="X", help="a difference that one wants to find")
    plan.add_argument("--spread", type=float, metavar="X", help="standard deviation to assume of the metric")
    add_execution(plan, runs=False)

    status = commands.add_parser("status", help="show how far a study is")
    status.set_defaults(run=_status)
    add_folder(status)

    merge = commands.add_parser("merge", help="join the record folders of a study's shards")
    merge.set_defaults(run=_merge)
    merge.add_argument("out", type=Path, metavar="OUT", help="record folder to join them in")
    merge.add_argument("folders", nargs="+", type=Path, metavar="DIR", help="those of the shards")

    sync = commands.add_parser("sync", help="mirror the records to Weights & Biases, or go on mirroring them")
    sync.set_defaults(run=_sync)
    add_folder(sync)


def _run(arguments: argparse.Namespace) -> int:
    if bool(arguments.study) == bool(arguments.env):
        arguments.parser.error("run takes a study file, or --env ID and --policy FILE")
    from sim2real.study.adaptive import run_until
    from sim2real.study.progress import console
    from sim2real.study.runner import run

    study, source = _study(arguments)
    with console(study.name) as progress:
        options = how(arguments, progress, source) | {"retry": arguments.retry}
        if arguments.until is None:
            store = run(study, arguments.out, shard=arguments.shard, **options)
        elif arguments.shard == (1, 1):
            study, store, cells = run_until(study, arguments.until, arguments.out, **options)
            table = [("policy", "condition", "episodes", study.metric, "")]
            for one in cells:
                wider = "" if one.reached else "wider"
                table.append((one.policy, one.condition, str(one.episodes), str(one.estimate), wider))
            print_table(table)
        else:
            raise Sim2RealError("--until looks at the episodes of all shards, so it takes no --shard.")
    print(f"{len(store)} episodes in {store.folder}")
    if not arguments.no_report and arguments.shard == (1, 1):
        write_report(study, store, arguments.trust)
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
        period_s=arguments.period_s,
    )
    print("\n".join(left_out), end="\n" if left_out else "")
    if arguments.metric is None:
        spoken = "speak" if study.metric == "success" else "do not speak"
        print(
            f"measured by {study.metric}, since the environment's first words {spoken} of success; or --metric NAME"
        )
    return study, None


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
        f"{found.wall_s / 60:.3g} min and {found.memory_mb:.0f} MB with {workers} worker processes"
    )
    for one in found.comparisons:
        print(
            f"{one.what} ({one.source}): 4 of 5 such studies find {_difference(one.detectable)} in "
            f"{study.metric}, or {_difference(one.among_all)} where Holm's adjustment is strictest"
        )
        if arguments.effect:
            found_by = f"{one.episodes or 'no number of'} episodes of each run"
            if one.runs_known:
                found_by += f", or {one.runs or 'no number of'} training runs with {study.episodes} episodes"
            print(f"  to find {arguments.effect:g}: {found_by}")
    if not found.comparisons:
        print("Too few episodes were played to know how much they differ; --spread says what to assume.")
    return 0


def _difference(size: float) -> str:
    return f"a difference of {size:.3g}" if math.isfinite(size) else "no difference, however large,"


def _status(arguments: argparse.Namespace) -> int:
    from sim2real.study.document import open_study

    study, store = open_study(arguments.folder or latest())
    failures = store.failures()
    found: dict[tuple[str, str], list[str | None]] = {}
    for cell in study.cells():
        found.setdefault((cell.policy_label, cell.condition_label), []).append(failures.get(cell.trial.key))
    table = [("policy", "condition", "episodes", "failed")]
    for (policy, condition), cells in found.items():
        done = [reason for reason in cells if reason is not None]
        table.append((policy, condition, f"{len(done)}/{len(cells)}", str(sum(map(bool, done)) or "")))
    print_table(table)
    for reason, times in _failures(study, store).most_common(6):
        print(f"{times} × {reason}")
    print(f"table hash {store.table_hash()}")
    return 0


def _merge(arguments: argparse.Namespace) -> int:
    from sim2real.study.store import merge

    store = merge(arguments.out, arguments.folders)
    print(f"{len(store)} episodes in {store.folder}")
    return 0


def _sync(arguments: argparse.Namespace) -> int:
    from sim2real.sinks.wandb import mirror
    from sim2real.study.document import open_study

    study, store = open_study(arguments.folder or latest())
    if not mirror(study, store):
        return 2
    print(f"handed over {store.folder}")
    return 0


def _failures(study: "Study", store: "Store") -> "Counter[str]":
    """Return why trials of the study failed, and how many each."""
    keys = {trial.key for trial in study.trials()}
    return Counter(reason for key, reason in store.failures().items() if reason and key in keys)


def _shard(text: str) -> tuple[int, int]:
    part, _, parts = text.partition("/")
    if not (part.isdecimal() and parts.isdecimal()):
        raise argparse.ArgumentTypeError(f"write I/N, as 2/8, not '{text}'")
    return int(part), int(parts)

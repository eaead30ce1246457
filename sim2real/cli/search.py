"""The commands that look for a policy's limits: search, sensitivity, threshold, modes."""

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

from sim2real.cli.shared import Commands, add_execution, add_folder, add_source, how, latest, print_table


def add(commands: Commands) -> None:
    """Declare them."""
    search = commands.add_parser(
        "search", help="find where in a region a policy fails, and how little it takes"
    )
    search.set_defaults(run=_search)
    matters = commands.add_parser("sensitivity", help="find which perturbations of a region matter")
    matters.set_defaults(run=_sensitivity)
    for command in (search, matters):
        add_source(command, "search", "Search")
        add_execution(command)

    threshold = commands.add_parser("threshold", help="find how much of each condition a policy stands")
    threshold.set_defaults(run=_threshold)
    add_source(threshold, "study", "Study")
    threshold.add_argument(
        "--at", type=float, default=0.9, metavar="P", help="rate of episodes that reach `competent` (0.9)"
    )
    threshold.add_argument(
        "--until", type=float, default=0.05, metavar="X", help="half width of the interval (0.05)"
    )
    threshold.add_argument(
        "--most", type=int, default=300, metavar="N", help="episodes that one threshold may take (300)"
    )
    add_execution(threshold)

    modes = commands.add_parser("modes", help="tell in which ways policies failed")
    modes.set_defaults(run=_modes)
    add_folder(modes)


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
            **how(arguments, progress, source),
        )
    table = [("policy", "run", "condition", "strength at which it falls to", f"{arguments.at:g}", "episodes")]
    for one in found:
        wider = "" if one.reached else "wider"
        shown = str(one.estimate), wider, str(one.estimate.n_episodes)
        table.append((one.policy, str(one.run + 1), one.condition, *shown))
    print_table(table)
    print(store.folder / "thresholds.json")
    return 0


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
        found = find(search, folder, **how(arguments, progress, source))
    return found, folder


def _modes(arguments: argparse.Namespace) -> int:
    from sim2real.search import find_modes
    from sim2real.study.document import open_study

    study, store = open_study(arguments.folder or latest())
    found = find_modes(study, store)
    for mode in found["modes"]:
        print(f"{mode['episodes']} episodes ({mode['share']:.0%}): {mode['sentence']}")
        print(f"  sim2real replay {store.folder} {mode['example']['key'][:12]}")
    print(store.folder / "modes.json")
    return 0

"""The commands for finding one's way: list, new, doctor."""

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path
from types import ModuleType

from sim2real.cli.shared import Commands, add_trust, print_table
from sim2real.errors import Sim2RealError

_WALK = "sim2real:sim2real/Walk-v0"
_Table = tuple[tuple[str, ...], Sequence[tuple[str, ...]]]


def add(commands: Commands) -> None:
    """Declare them."""
    shelf = commands.add_parser("list", help="list what can be used in a study")
    shelf.set_defaults(run=_list)
    shelf.add_argument("kind", choices=tuple(_LISTS))
    shelf.add_argument("--env", metavar="ID", help=f"environment whose parameters ({_WALK})")
    shelf.add_argument("--markdown", action="store_true", help="as a page of documentation")

    new = commands.add_parser("new", help="write a working robot, task or study to start from")
    new.set_defaults(run=_new)
    new.add_argument("kind", choices=("robot", "study", "task"))
    new.add_argument("name", metavar="NAME", help="of it, and of the folder to write")

    doctor = commands.add_parser(
        "doctor",
        help="check the installation, an environment, a policy and its contract; exit code 1 if any is wrong",
    )
    doctor.set_defaults(run=_doctor)
    doctor.add_argument(
        "env",
        nargs="?",
        metavar="ENV",
        help=f"Gymnasium environment (that of the policy's training, or {_WALK})",
    )
    doctor.add_argument("--policy", type=Path, metavar="FILE", help="policy file to check in it")
    doctor.add_argument(
        "--contract",
        type=Path,
        metavar="FILE",
        help="... under this contract, a TOML file; alone, without running",
    )
    doctor.add_argument("--all", action="store_true", help="try every parameter, however long it takes")
    add_trust(doctor)


def _list(arguments: argparse.Namespace) -> int:
    from sim2real.perturb.page import markdown

    head, rows = _LISTS[arguments.kind](arguments)
    if arguments.markdown:
        print(f"# {arguments.kind.capitalize()}\n\n{markdown(head, rows)}")
    else:
        print_table([head, *rows])
    return 0


def _robots(arguments: argparse.Namespace) -> _Table:
    from sim2real.robots import Robot, available

    rows = []
    for name in available():
        try:
            robot = Robot.load(name)
        except Sim2RealError as error:  # such as one whose description is in a package that is not installed
            rows.append((name, f"cannot be used here: {error}"))
            continue
        rows.append((name, f"{robot.name}, {len(robot.joint_names)} joints"))
        for variant in robot.variants:
            rows.append(("", f"variant '{variant}', {len(Robot.load(name, variant).joint_names)} joints"))
    return ("robot", "what it is"), rows


def _tasks(arguments: argparse.Namespace) -> _Table:
    from sim2real.plugins import plugins
    from sim2real.tasks import find
    from sim2real.tasks.page import ids

    rows = [(f"sim2real:{name}", _first_line(find(task))) for task, name in ids().items()]
    rows += [
        (f"sim2real:sim2real/Task-v0, task='{name}'", _first_line(find(name))) for name in plugins("tasks")
    ]
    return ("environment", "task"), rows


def _perturbations(arguments: argparse.Namespace) -> _Table:
    from sim2real.perturb import catalogue

    return ("function", "what it is"), _functions(catalogue)


def _policies(arguments: argparse.Namespace) -> _Table:
    from sim2real.policies import balance, builtin

    return ("policy", "what it does"), [("balance", _first_line(balance)), *_functions(builtin)]


def _presets(arguments: argparse.Namespace) -> _Table:
    from sim2real.perturb import PRESETS
    from sim2real.plugins import plugin, plugins

    presets = {**PRESETS} | {name: plugin("presets", name) for name in plugins("presets")}
    return ("preset", "what it is"), [(name, preset.doc) for name, preset in presets.items()]


def _parameters(arguments: argparse.Namespace) -> _Table:
    from sim2real.doctor import place_of
    from sim2real.perturb.page import PARAMETER_HEAD, parameter_rows
    from sim2real.study.rollout import make
    from sim2real.wrappers.parameters import own_parameters

    place = place_of(arguments.env)
    env = make(place)
    table = own_parameters(env)
    if table is None:
        raise Sim2RealError(f"'{place.env}' declares no parameters; give Perturbed some with Attributes.")
    rows = parameter_rows(table)
    env.close()
    return PARAMETER_HEAD, rows


def _functions(module: ModuleType) -> list[tuple[str, str]]:
    return [
        (name, _first_line(value))
        for name, value in vars(module).items()
        if callable(value) and value.__module__ == module.__name__ and name[0] != "_"
    ]


def _first_line(thing: object) -> str:
    return (thing.__doc__ or "").strip().partition("\n")[0]


def _new(arguments: argparse.Namespace) -> int:
    from sim2real.scaffold import create

    folder = create(arguments.kind, arguments.name)
    print(
        f"{folder}/: {', '.join(sorted(path.name for path in folder.iterdir()))}; check it with pytest {folder}"
    )
    return 0


def _doctor(arguments: argparse.Namespace) -> int:
    from sim2real.doctor import examine

    wrong = looked_at = 0
    asked = {"trust": arguments.trust, "everything": arguments.all}
    for heading, findings in examine(arguments.env, arguments.policy, arguments.contract, **asked):
        print(f"\n{heading}" if looked_at else heading)
        for finding in findings:
            print(f"  {_MARKS[finding.fits]} {finding.about}: {finding.said}", flush=True)
            looked_at += 1
            wrong += finding.fits is False
    print(f"\n{wrong} of {looked_at} checks found something wrong." if wrong else "\nNothing is wrong.")
    return 1 if wrong else 0


_MARKS = {True: "✓", False: "✗", None: "·"}
_LISTS: dict[str, Callable[[argparse.Namespace], _Table]] = {
    "robots": _robots,
    "tasks": _tasks,
    "perturbations": _perturbations,
    "presets": _presets,
    "parameters": _parameters,
    "policies": _policies,
}

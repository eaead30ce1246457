"""The reference page of all perturbations, written from the values themselves.

``python -m sim2real.perturb.page > docs/perturbations.md`` writes it anew.
"""

import inspect
import re
from collections.abc import Iterable
from types import ModuleType
from typing import Any

from sim2real.perturb import catalogue, curriculum, posterior
from sim2real.perturb.amounts import Interval
from sim2real.perturb.condition import KINDS
from sim2real.perturb.operations import OPERATIONS
from sim2real.perturb.parameters import Parameters, describe
from sim2real.perturb.presets import PRESETS
from sim2real.perturb.schedules import Schedule

PARAMETER_HEAD = (
    "parameter",
    "unit",
    "nominal",
    "plausible",
    "possible",
    "what it is",
    "source of the plausible range",
)


def page() -> str:
    """Return the page as Markdown."""
    amounts = [kind for kind in KINDS.values() if not issubclass(kind, Interval | Schedule)]
    times = [kind for kind in KINDS.values() if issubclass(kind, Interval | Schedule)]
    operations = [
        (
            f"`{name}`",
            _code(operation.sentence.format(amount="AMOUNT", target="TARGET")),
            _identity(operation.identity),
        )
        for name, operation in OPERATIONS.items()
    ]
    parts = [
        "# Perturbations",
        "A perturbation is target × operation × amount × every × strength, a frozen value. A condition is a tuple "
        "of them. `sim2real list perturbations` lists what there is; this page says what each of it is. "
        "`sim2real list parameters --env ID` lists the numbers of a simulation that can be perturbed, each with the "
        "range that is plausible for a real robot and its source; [those of Walk](parameters.md) are here, too.",
        "## Targets",
        markdown(
            ("target", "means"),
            [
                ("`observation`, `action`", "all of it, every part of a Dict or Tuple"),
                ("`observation:gyro`, `action:left_knee`", "a part by name"),
                ("`observation:3`, `observation:0:3`", "components by number"),
                ("`observation:pose:xy:0`", "a part of a part: keys of a Dict, places in a Tuple"),
                ("`observation:{achieved_goal,observation:0:3}`", "copies of one signal, by one draw"),
                ("`parameter:ground.friction`", "a number of the simulation"),
                ("`parameter:*.strength`", "all that match, by one draw, each about its own nominal value"),
                ("`parameter:{left,right}_knee.kp`", "either of them"),
                ("`parameter:legs.kp`", "all members of a group of the robot's, by one draw"),
            ],
        ),
        "## Operations",
        markdown(("name", "what it does", "amount that changes nothing"), operations),
        "## Amounts",
        "A number, or one of these.",
        markdown(("amount", "what it is"), map(_entry, amounts)),
        "## Every: when",
        '`"step"`, `"episode"`, or one of these.',
        markdown(("every", "what it is"), map(_entry, times)),
        "## Drawn together",
        markdown(("function", "what it gives"), _functions(posterior)),
        "## Catalogue",
        markdown(("function", "what it is"), _functions(catalogue)),
        "## Presets",
        "`preset(NAME)` gives the condition. Recipes are written for the robot of their source.",
    ]
    for name, preset in PRESETS.items():
        parts += [f"### {name}", preset.doc, f"Source: {preset.source}"]
        parts.append("\n".join(f"* {item.label.replace('*', chr(92) + '*')}" for item in preset.condition))
        if preset.without:
            parts += ["Not in it, or only nearly:", "\n".join(f"* {sentence}" for sentence in preset.without)]
    kinds = [curriculum.Linear, curriculum.ByCompetence, curriculum.AutomaticRandomization]
    parts += [
        "## Curricula",
        "A curriculum yields the condition of the next episode, for `Perturbed.become`, and is told its score.",
        markdown(("curriculum", "what it is"), map(_entry, kinds)),
    ]
    return "\n\n".join(parts) + "\n"


def parameter_rows(parameters: Parameters) -> list[tuple[str, ...]]:
    """Return the parameters of an environment, one row for those of a kind, in the order of `PARAMETER_HEAD`."""
    return [
        (
            row.name,
            row.unit,
            row.nominal,
            row.plausible,
            f"{row.low:.4g} to {row.high:.4g}",
            row.doc,
            row.source,
        )
        for row in describe(parameters)
    ]


def _functions(module: ModuleType) -> list[tuple[str, str]]:
    return [
        _entry(value)
        for name, value in vars(module).items()
        if inspect.isfunction(value) and value.__module__ == module.__name__ and not name.startswith("_")
    ]


def _entry(thing: Any) -> tuple[str, str]:
    """Return the call and the first sentence of a class or function."""
    names = [name for name in inspect.signature(thing).parameters]
    doc = inspect.getdoc(thing) or ""
    sentence = " ".join(doc.split("\n\n")[0].split()).replace("``", "`")
    return f"`{thing.__name__}({', '.join(names)})`", sentence


def _identity(identity: float | None) -> str:
    return "none" if identity is None else "∞" if identity == float("inf") else f"{identity:g}"


def _code(sentence: str) -> str:
    return re.sub(r"AMOUNT|TARGET", lambda found: f"*{found[0].lower()}*", sentence)


def markdown(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    """Return a table."""
    lines = [head, ("---",) * len(head), *rows]
    return "\n".join("| " + " | ".join(_escaped(cell) for cell in line) + " |" for line in lines)


def _escaped(cell: str) -> str:
    return re.sub(r"^\*|\|", r"\\\g<0>", cell)


if __name__ == "__main__":
    print(page(), end="")

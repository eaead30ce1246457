"""How a walker answers its commands: what was achieved against what was commanded, and where nothing happens."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import takewhile

from sim2real.perturb import Perturbation
from sim2real.perturb.amounts import Support, hull
from sim2real.report.table import Table
from sim2real.stats import Estimate

COMMAND = "command."

ANSWERED = 0.2
"""Share of a command below which it counts as not answered."""


@dataclass(frozen=True, kw_only=True)
class Answers:
    """One policy's answers along one command, the others at nominal.

    Args:
        policy: whose.
        commanded: rising.
        achieved: the mean of the metric at each, over episodes as long as they lasted.
        dead: the commands about zero that are not answered, (lowest, highest), None if all are.
    """

    policy: str
    commanded: tuple[float, ...]
    achieved: tuple[Estimate, ...]
    dead: tuple[float, float] | None


@dataclass(frozen=True, kw_only=True)
class Response:
    """What policies make of one command, such as the forward velocity."""

    command: str
    unit: str
    metric: str
    answers: tuple[Answers, ...]


def responses(table: Table, policies: Sequence[str]) -> tuple[Response, ...]:
    """Return the response to every command that conditions sweep and a metric of the same name measures.

    "command.velocity_x" is measured by a metric called "velocity_x" or "velocity_x_UNIT".
    """
    found = []
    for name, fact in table.meta.get("parameters", {}).items():
        metric = next((one for one in table.metrics if _measures(one, name)), None)
        if metric and len(swept := _swept(table, f"parameter:{name}", fact["nominal"])) > 1:
            answers = (_answers(table, policy, swept, metric) for policy in policies)
            known = tuple(one for one in answers if one)
            found.append(Response(command=name, unit=fact["unit"], metric=metric, answers=known))
    return tuple(one for one in found if one.answers)


def _measures(metric: str, name: str) -> bool:
    """Tell whether a parameter is a command, and a metric is called what it commands, with or without a unit."""
    return name.startswith(COMMAND) and f"{metric}_".startswith(f"{name.removeprefix(COMMAND)}_")


def _swept(table: Table, target: str, nominal: float) -> dict[float, str]:
    """Return {commanded: condition} of the conditions that command one constant value and do nothing else."""
    swept = {}
    for label, condition in table.study.conditions.items():
        values: Support = ((nominal, nominal),)
        for item in condition:
            values = item.reach(values) if isinstance(item, Perturbation) and item.target == target else ()
        if values and len(set(hull(values))) == 1:
            swept[values[0][0]] = label
    return {x: swept[x] for x in sorted(swept)}


def _answers(table: Table, policy: str, swept: dict[float, str], metric: str) -> Answers | None:
    achieved = {x: table.cell(policy, label, metric) for x, label in swept.items()}
    achieved = {x: one for x, one in achieved.items() if one.n_episodes or one.lost}
    if len(achieved) < 2:
        return None
    return Answers(
        policy=policy,
        commanded=tuple(achieved),
        achieved=tuple(achieved.values()),
        dead=_dead({x: one.value for x, one in achieved.items()}),
    )


def _dead(achieved: dict[float, float]) -> tuple[float, float] | None:
    """Return the lowest and highest command about zero up to which every command is not answered."""

    def reach(sign: int) -> float:
        outward = sorted((x for x in achieved if sign * x > 0), key=abs)
        silent = takewhile(lambda x: sign * achieved[x] < ANSWERED * abs(x), outward)
        return max(silent, key=abs, default=0.0)

    ends = reach(-1), reach(1)
    return ends if any(ends) else None

"""Parameters: the named numbers of a simulation that a perturbation can change."""

import math
import re
from collections.abc import Iterable
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import NamedTuple, Protocol

from sim2real.errors import Sim2RealError


@dataclass(frozen=True, kw_only=True)
class Parameter:
    """What one parameter is.

    Attributes:
        nominal: the value of the unperturbed simulation.
        unit: SI unit, "" where there is none.
        low: smallest possible value, in the unit.
        high: largest possible value, in the unit.
        doc: one sentence that says what it does.
        transient: setting it acts once, at that moment, and leaves nothing to restore (a velocity kick).
        live: whether a change acts at once; otherwise it acts from the next reset on.

    Raises:
        Sim2RealError: if the nominal value lies outside the bounds.
    """

    nominal: float
    unit: str
    low: float
    high: float
    doc: str
    transient: bool = False
    live: bool = True

    def __post_init__(self) -> None:
        for name in ("nominal", "low", "high"):
            object.__setattr__(self, name, float(getattr(self, name)))
        if not (math.isfinite(self.nominal) and self.low <= self.nominal <= self.high):
            raise Sim2RealError(
                f"A parameter's nominal value must lie within its bounds: {self.nominal} is not in "
                f"[{self.low}, {self.high}]."
            )


class Parameters(Protocol):
    """The parameters of one environment."""

    def names(self) -> tuple[str, ...]:
        """Return every name."""

    def spec(self, name: str) -> Parameter:
        """Return what the parameter is."""

    def get(self, name: str) -> float:
        """Return the current value."""

    def set(self, name: str, value: float) -> None:
        """Change the value; raises Sim2RealError outside [low, high]."""


def any_of(names: Iterable[str]) -> str:
    """Return the pattern that means these names and no others, such as the joints of a group.

    >>> any_of(["left_knee", "right_knee"]) + ".strength"
    '{left_knee,right_knee}.strength'
    """
    return "{" + ",".join(names) + "}"


def matching(pattern: str, names: Iterable[str]) -> list[str]:
    """Return the names a pattern means: ``*``, ``?`` and ``[ab]`` as in a shell, ``{a,b}`` for either.

    >>> matching("{left,right}_knee.k?", ["left_knee.kp", "right_knee.kd", "left_hip.kp"])
    ['left_knee.kp', 'right_knee.kd']
    """
    patterns = [pattern]
    while braces := re.search(r"\{([^{}]*)\}", patterns[0]):
        patterns = [one.replace(braces[0], choice, 1) for one in patterns for choice in braces[1].split(",")]
    return [name for name in names if any(fnmatchcase(name, one) for one in patterns)]


class Row(NamedTuple):
    """One kind of parameter, as lists and pages show it.

    Attributes:
        name: with ``*`` for what differs between parameters of one sentence ("*.mass").
        unit: SI unit, "" where there is none.
        nominal: as text, a range where they differ.
        low: smallest possible value of any of them.
        high: largest possible value of any of them.
        doc: what it does.
        members: how many parameters this stands for.
    """

    name: str
    unit: str
    nominal: str
    low: float
    high: float
    doc: str
    members: int


def describe(parameters: Parameters) -> tuple[Row, ...]:
    """Return what there is to perturb, parameters of one kind in one row, in the order of their names().

    Parameters are of one kind if what follows the last dot of their names, their unit and their sentence
    are the same.
    """
    kinds: dict[tuple[str, str, str], list[str]] = {}
    for name in parameters.names():
        spec = parameters.spec(name)
        kinds.setdefault((name.rpartition(".")[2], spec.unit, spec.doc), []).append(name)
    rows = []
    for (last, unit, doc), names in kinds.items():
        specs = [parameters.spec(name) for name in names]
        least, most = (f"{pick(spec.nominal for spec in specs):.4g}" for pick in (min, max))
        rows.append(
            Row(
                name=names[0] if len(names) == 1 else f"*.{last}",
                unit=unit,
                nominal=least if least == most else f"{least} to {most}",
                low=min(spec.low for spec in specs),
                high=max(spec.high for spec in specs),
                doc=doc,
                members=len(names),
            )
        )
    return tuple(rows)

"""Parameters: the named numbers of a simulation that a perturbation can change."""

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cache
from types import MappingProxyType
from typing import NamedTuple, Protocol

from sim2real.errors import Sim2RealError

Groups = Mapping[str, tuple[str, ...]]
"""What comes before the last dot of parameter names, by the name of a group: legs -> left_hip, left_knee ..."""

NO_GROUPS: Groups = MappingProxyType({})


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
        whole: whether it is a whole number; a perturbation's value is rounded to one.
        plausible: least and largest value that a real robot or laboratory may show, None if nobody said.
        source: where the plausible range comes from.

    Raises:
        Sim2RealError: if the nominal value lies outside the bounds, or the plausible range is not between them.
    """

    nominal: float
    unit: str
    low: float
    high: float
    doc: str
    transient: bool = False
    live: bool = True
    whole: bool = False
    plausible: tuple[float, float] | None = None
    source: str = ""

    def __post_init__(self) -> None:
        for name in ("nominal", "low", "high"):
            object.__setattr__(self, name, float(getattr(self, name)))
        if not (math.isfinite(self.nominal) and self.low <= self.nominal <= self.high):
            raise Sim2RealError(
                f"A parameter's nominal value must lie within its bounds: {self.nominal} is not in "
                f"[{self.low}, {self.high}]."
            )
        if self.plausible is not None:
            least, most = map(float, self.plausible)
            object.__setattr__(self, "plausible", (least, most))
            if not (self.low <= least <= self.nominal <= most <= self.high):
                raise Sim2RealError(
                    f"A plausible range lies within a parameter's bounds and holds its nominal value: "
                    f"[{least}, {most}] does not fit {self.nominal} in [{self.low}, {self.high}]."
                )


class Parameters(Protocol):
    """The parameters of one environment; an attribute ``groups``, if there is one, names parts together."""

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


def matching(pattern: str, names: Iterable[str], groups: Groups = NO_GROUPS) -> list[str]:
    """Return the names a pattern means: ``*``, ``?`` and ``[ab]`` as in a shell, ``{a,b}`` for either.

    A name means itself, whatever characters it has. What matches no name may begin with a group, which stands for
    each of its members.

    >>> matching("{left,right}_knee.k?", ["left_knee.kp", "right_knee.kd", "left_hip.kp"])
    ['left_knee.kp', 'right_knee.kd']
    >>> matching("legs.kp", ["left_knee.kp", "elbow.kp"], {"legs": ("left_hip", "left_knee")})
    ['left_knee.kp']
    >>> matching("link[0].mass", ["link0.mass", "link[0].mass"])
    ['link[0].mass']
    """
    names = dict.fromkeys(names)

    def meant(one: str) -> list[str]:
        return [one] if one in names else [name for name in names if fnmatchcase(name, one)]

    found: set[str] = set()
    for one in (pattern,) if pattern in names else globs(pattern):
        direct = meant(one)
        group, _, last = one.rpartition(".")
        members = () if direct else groups.get(group, ())
        found |= {*direct, *(name for part in members for name in meant(f"{part}.{last}"))}
    return [name for name in names if name in found]


@cache
def globs(pattern: str) -> tuple[str, ...]:
    """Return a pattern without braces for every choice that its braces leave.

    >>> globs("{left,right}_knee.k?")
    ('left_knee.k?', 'right_knee.k?')
    """
    braces = re.search(r"\{([^{}]*)\}", pattern)
    if braces is None:
        return (pattern,)
    return tuple(
        one for choice in braces[1].split(",") for one in globs(pattern.replace(braces[0], choice, 1))
    )


class Row(NamedTuple):
    """One kind of parameter, as lists and pages show it.

    Attributes:
        name: with ``*`` for what differs between parameters of one sentence ("*.mass").
        unit: SI unit, "" where there is none.
        nominal: as text, a range where they differ.
        plausible: as text, from the least to the most of any of them, "" where nobody said.
        low: smallest possible value of any of them.
        high: largest possible value of any of them.
        doc: what it does.
        source: where the plausible ranges come from.
        members: how many parameters this stands for.
    """

    name: str
    unit: str
    nominal: str
    plausible: str
    low: float
    high: float
    doc: str
    source: str
    members: int


def describe(parameters: Parameters) -> tuple[Row, ...]:
    """Return what there is to perturb, parameters of one kind in one row, in the order of their names().

    Parameters are of one kind if what follows the last dot of their names, their unit and their sentences
    are the same.
    """
    kinds: dict[tuple[str, ...], list[str]] = {}
    for name in parameters.names():
        spec = parameters.spec(name)
        kinds.setdefault((name.rpartition(".")[2], spec.unit, spec.doc, spec.source), []).append(name)
    rows = []
    for (last, unit, doc, source), names in kinds.items():
        specs = [parameters.spec(name) for name in names]
        rows.append(
            Row(
                name=names[0] if len(names) == 1 else f"*.{last}",
                unit=unit,
                nominal=_span(spec.nominal for spec in specs),
                plausible=_span(end for spec in specs for end in spec.plausible or ()),
                low=min(spec.low for spec in specs),
                high=max(spec.high for spec in specs),
                doc=doc,
                source=source,
                members=len(names),
            )
        )
    return tuple(rows)


def _span(values: Iterable[float]) -> str:
    ends = sorted(values)
    return " to ".join(dict.fromkeys(f"{end:.4g}" for end in (*ends[:1], *ends[-1:])))

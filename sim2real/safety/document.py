"""Constraints, modes and shields as plain JSON values, and back."""

from collections.abc import Iterable, Mapping
from dataclasses import fields, is_dataclass
from typing import Any

from sim2real.errors import Sim2RealError, nearest
from sim2real.safety.barrier import JointBarrier, SoftLimits, TorqueClamp
from sim2real.safety.constraint import Constraint
from sim2real.safety.learned import LearnedLayer
from sim2real.safety.modes import Lagrangian, Penalise, PidLagrangian, Record, Saute, Stochastic, Terminate
from sim2real.safety.programme import BarrierProgramme
from sim2real.safety.recovery import Recovery
from sim2real.safety.shields import ActionLimits, RateLimit

KINDS: dict[str, type] = {
    kind.__name__: kind
    for kind in (
        *(Constraint, Record, Penalise, Lagrangian, PidLagrangian, Terminate, Stochastic, Saute),
        *(
            JointBarrier,
            TorqueClamp,
            SoftLimits,
            RateLimit,
            ActionLimits,
            BarrierProgramme,
            LearnedLayer,
            Recovery,
        ),
    )
}
"""Every frozen value of safety that can be written down."""


def to_json(values: Iterable[Any]) -> list[dict[str, Any]]:
    """Return values as plain JSON; `from_json` gives equal values back.

    >>> to_json([Terminate(budget=3)])
    [{'kind': 'Terminate', 'budget': 3.0}]
    """
    return [_plain(value) for value in values]


def from_json(items: Iterable[Mapping[str, Any]]) -> tuple[Any, ...]:
    """Return the values `to_json` wrote; this imports no function of a custom constraint.

    Raises:
        Sim2RealError: if an item is none of these values.
    """
    values = []
    for item in items:
        kind = str(item.get("kind"))
        if kind not in KINDS:
            raise Sim2RealError(f"There is no kind '{kind}' in safety.{nearest(kind, KINDS)}")
        try:
            values.append(KINDS[kind](**{name: _value(of) for name, of in item.items() if name != "kind"}))
        except TypeError as error:
            raise Sim2RealError(f"This is no {kind}: {dict(item)!r} ({error}).") from None
    return tuple(values)


def _plain(value: Any) -> Any:
    if is_dataclass(value):
        return {
            "kind": type(value).__name__,
            **{f.name: _plain(getattr(value, f.name)) for f in fields(value)},
        }
    return list(map(_plain, value)) if isinstance(value, tuple) else value


def _value(plain: Any) -> Any:
    return from_json([plain])[0] if isinstance(plain, Mapping) else plain

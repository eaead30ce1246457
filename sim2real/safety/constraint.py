"""Constraints: quantities that shall not exceed a limit, as frozen values."""

import importlib
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sim2real.errors import Sim2RealError, nearest
from sim2real.safety.quantities import QUANTITIES, Measure, Reader


@dataclass(frozen=True, kw_only=True)
class Constraint:
    """A quantity that shall not exceed a limit; a step with ``value > limit`` violates it and costs 1.

    Make one with a function of `sim2real.safety.catalogue`, and another like it with ``dataclasses.replace``.

    Attributes:
        name: how records call it; unique around an environment.
        quantity: what is measured: a name in ``QUANTITIES``, or "module:function" of a function
            (observation, action, info) -> float.
        limit: the largest allowed value, in the unit. What must be *at least* something is measured negative.
        unit: SI unit of value, limit and scale; "" for a fraction.
        scale: the excess over the limit that counts as a whole violation until experience says otherwise (see
            `Stochastic`).
        arguments: what the quantity is measured of, as pairs (name, value) in the order of the names.

    Raises:
        Sim2RealError: for an unknown quantity, another unit than the quantity's, or a limit or scale that is no
            number.
    """

    name: str
    quantity: str
    limit: float
    unit: str
    scale: float = 1.0
    arguments: tuple[tuple[str, Any], ...] = ()

    def __post_init__(self) -> None:
        if ":" not in self.quantity and self.quantity not in QUANTITIES:
            raise Sim2RealError(
                f"There is no quantity '{self.quantity}'.{nearest(self.quantity, QUANTITIES)}"
            )
        if self.quantity in QUANTITIES and self.unit != QUANTITIES[self.quantity].unit:
            raise Sim2RealError(
                f"{self.quantity} is measured in '{QUANTITIES[self.quantity].unit}', not '{self.unit}'."
            )
        for field in ("limit", "scale"):
            object.__setattr__(self, field, number(getattr(self, field), f"{self.name}: {field}"))
        if self.scale <= 0.0:
            raise Sim2RealError(f"{self.name}: scale must be positive, not {self.scale:g}.")
        pairs = self.arguments.items() if isinstance(self.arguments, Mapping) else self.arguments
        object.__setattr__(self, "arguments", tuple(sorted((name, _tuples(value)) for name, value in pairs)))

    @property
    def label(self) -> str:
        """The constraint as a sentence.

        >>> Constraint(name="knees", quantity="joint_position", limit=-0.05, unit="rad").label
        'knees at least 0.05 rad'
        """
        negative = self.quantity in QUANTITIES and QUANTITIES[self.quantity].negative
        word, size = ("least", 0.0 - self.limit) if negative else ("most", self.limit)
        return f"{self.name} at {word} {size:g} {self.unit}".rstrip()

    def bind(self, reader: Reader) -> Measure:
        """Return the function that measures the quantity in a reader's environment.

        Raises:
            Sim2RealError: if the environment lacks what it takes.
        """
        try:
            if self.quantity in QUANTITIES:
                return QUANTITIES[self.quantity].bind(reader, **dict(self.arguments))
        except (Sim2RealError, TypeError) as error:
            raise Sim2RealError(f"The constraint '{self.name}' {error}") from None
        function = imported(self.quantity)
        return lambda step: float(function(step.observation, step.action, step.info))


def number(value: Any, what: str) -> float:
    """Return the value as a finite float.

    Raises:
        Sim2RealError: if it is none; ``what`` names it.
    """
    try:
        result = math.nan if isinstance(value, str) else float(value)
    except (TypeError, ValueError):
        result = math.nan
    if not math.isfinite(result):
        raise Sim2RealError(f"{what} must be a finite number, not {value!r}.")
    return result + 0.0  # -0.0 and 0.0 are one value and must read as one


def imported(name: str) -> Any:
    """Return the function that "module:function" names.

    Raises:
        Sim2RealError: if it cannot be imported.
    """
    module, _, attribute = name.partition(":")
    try:
        return getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError, ValueError) as error:
        raise Sim2RealError(f"The function '{name}' cannot be imported: {error}.") from None


def _tuples(value: Any) -> Any:
    return tuple(map(_tuples, value)) if isinstance(value, list | tuple) else value

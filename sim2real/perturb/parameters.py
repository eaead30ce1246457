"""Parameters: the named numbers of a simulation that a perturbation can change."""

import math
from dataclasses import dataclass
from typing import Protocol

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

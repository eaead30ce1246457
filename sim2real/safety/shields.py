"""Shields: values that say how an action is to be changed before it is made, and what they have in common.

A shield is a frozen value. Bound to an environment it becomes a guard, which maps what the policy sees and wants to
the action that is made, and holds what an episode leaves behind.
"""

from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

import numpy as np
from numpy.typing import NDArray

from sim2real.errors import Sim2RealError
from sim2real.safety.constraint import number
from sim2real.safety.step import Step

Array = NDArray[np.float64]


class Guard(Protocol):
    """A shield in its environment.

    Attributes:
        infeasible: whether the last action could not be made to fulfil all the shield asks for.
    """

    @property
    def infeasible(self) -> bool:
        """Whether the last action is only the best that could be done."""

    def reset(self) -> None:
        """Start an episode."""

    def __call__(self, step: Step) -> Array:
        """Return the action to be made instead of ``step.action``; that very action where it is safe."""


class Shield(Protocol):
    """What maps actions to safe ones.

    Attributes:
        name: how records call it.
    """

    name: ClassVar[str]

    def bind(self, env: Any) -> Guard:
        """Return the shield at work in an environment, which may be wrapped.

        Raises:
            Sim2RealError: if the environment lacks what it takes.
        """


@dataclass(frozen=True, kw_only=True)
class RateLimit:
    """No component of the action moves further than this from its last value.

    An episode starts from action 0, which in the environments of this package is the pose the robot stands in.
    What stands after it in a tuple of shields can move the action further: put it first.

    Attributes:
        change: largest change per step, in units of the action.

    Raises:
        Sim2RealError: unless the change is positive.
    """

    name: ClassVar[str] = "rate_limit"

    change: float

    def __post_init__(self) -> None:
        check(self, change=np.inf)

    def bind(self, env: Any) -> "_RateLimited":
        """Return the limiter for an environment whose actions are a box."""
        return _RateLimited(self.change, box(env, self.name).shape)


class _RateLimited:
    infeasible = False

    def __init__(self, change: float, shape: tuple[int, ...]) -> None:
        self._change, self._shape = change, shape

    def reset(self) -> None:
        self._last = np.zeros(self._shape)

    def __call__(self, step: Step) -> Array:
        last, change = self._last, self._change
        safe: Array = np.maximum(np.minimum(step.action, last + change), last - change)
        self._last = safe
        return safe


@dataclass(frozen=True, kw_only=True)
class ActionLimits:
    """No action leaves the environment's action space: each component is clipped to the bounds that it has there.

    It does what an environment may or may not do by itself, and counts it.
    """

    name: ClassVar[str] = "action_limits"

    def bind(self, env: Any) -> "_Limited":
        """Return the limiter for an environment whose actions are a box, bounded on any side."""
        space = box(env, self.name)
        return _Limited(space.low, space.high)


class _Limited:
    infeasible = False

    def __init__(self, low: Array, high: Array) -> None:
        self._low, self._high = low, high

    def reset(self) -> None:
        """Forget nothing: there is no state."""

    def __call__(self, step: Step) -> Array:
        safe: Array = np.minimum(np.maximum(step.action, self._low), self._high)
        return safe


def check(shield: Any, *, zero: bool = False, **highs: float) -> None:
    """Check that fields of a shield are numbers above 0, or 0 where allowed, and at most what is given; keep floats.

    Raises:
        Sim2RealError: for the first that is not.
    """
    for field, high in highs.items():
        value = number(getattr(shield, field), f"{shield.name}: {field}")
        if not (0.0 < value <= high or (zero and value == 0.0)):
            lower = "at least 0" if zero else "above 0"
            upper = "" if high == np.inf else f" and at most {high:g}"
            raise Sim2RealError(f"{shield.name}: {field} must be {lower}{upper}, not {value:g}.")
        object.__setattr__(shield, field, value)


def box(env: Any, name: str) -> Any:
    """Return the action space, which a shield of this name needs to be a box."""
    if not hasattr(env.action_space, "low"):
        raise Sim2RealError(f"The shield '{name}' changes actions of a Box space, not of {env.action_space}.")
    return env.action_space

"""Operations: what is done to a value, as pure functions ``(value, amount, memory) -> (value, memory)``.

The memory is None at reset and never changed in place. A value kept in it is handed out again later, so
callers pass values that nobody else writes to.

``delay`` is causal. Say the value at step 5 is 5, and the lag is drawn as 1, then 3, then 1::

    step            0   1   2   3   4   5   6   7
    lag, drawn      1   1   3   3   3   3   1   1
    lag, acting     1   1   2   3   3   3   1   1     grows by 1 a step at most: nothing goes back in time
    output          0   0   0   0   1   2   5   6     the first value stands in for those before it
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

Apply = Callable[[Any, Any, Any], tuple[Any, Any]]


def _set(value: Any, amount: Any, memory: None) -> tuple[Any, None]:
    return amount, memory


def _set_partly(value: Any, amount: Any, memory: None, *, strength: float) -> tuple[Any, None]:
    return value + strength * (amount - value), memory


def _add(value: Any, amount: Any, memory: None) -> tuple[Any, None]:
    return value + amount, memory


def _scale(value: Any, amount: Any, memory: None) -> tuple[Any, None]:
    return value * amount, memory


def _quantize(value: Any, amount: float, memory: None) -> tuple[Any, None]:
    return (np.rint(value / amount) * amount if amount > 0 else value), memory


def _clip(value: Any, amount: float, memory: None) -> tuple[Any, None]:
    return np.minimum(np.maximum(value, -amount), amount), memory


def _delay(value: Any, amount: float, memory: tuple[Any, ...] | None) -> tuple[Any, tuple[Any, ...]]:
    """Return the value of ``amount`` steps ago; the memory holds the values since then, newest first."""
    lag = int(amount + 0.5)
    past = (value, *(memory or ()))[: lag + 1]
    return past[-1], past


def _hold(value: Any, amount: bool, memory: Any) -> tuple[Any, Any]:
    """Return the last output again if ``amount`` says so, else the value; the memory is the last output."""
    output = memory if amount and memory is not None else value
    return output, output


@dataclass(frozen=True, kw_only=True)
class Operation:
    """One operation and how strength weakens it.

    Attributes:
        apply: the pure function; for ``hold`` the amount it gets says whether this step is held.
        identity: the amount that changes nothing; None for ``set``, where it is the value itself.
        low: smallest amount that makes sense.
        high: largest amount that makes sense.
        sentence: how it reads.
        remembers: whether it has a memory.
        each: whether every component of a signal gets a draw of its own, rather than all of them one.
        arithmetic: whether it computes with values, which takes a space of numbers and can leave its bounds.
    """

    apply: Apply
    identity: float | None
    low: float = -np.inf
    high: float = np.inf
    sentence: str
    remembers: bool = False
    each: bool = False
    arithmetic: bool = True

    def weaken(self, amount: Any, strength: float) -> Any:
        """Return the amount at a strength; ``set`` keeps it and goes part of the way there, see `at`."""
        if strength == 1.0 or self.identity is None:
            return amount
        if self.identity == np.inf:
            return amount / strength if strength else self.identity
        return self.identity + strength * (amount - self.identity)

    def at(self, strength: float) -> Apply:
        """Return the function that does the operation with weakened amounts."""
        if self.identity is None and strength != 1.0:
            return partial(_set_partly, strength=strength)
        return self.apply


OPERATIONS = {
    "add": Operation(apply=_add, identity=0.0, each=True, sentence="add {amount} to {target}"),
    "scale": Operation(apply=_scale, identity=1.0, each=True, sentence="scale {target} by {amount}"),
    "set": Operation(
        apply=_set, identity=None, each=True, arithmetic=False, sentence="set {target} to {amount}"
    ),
    "delay": Operation(
        apply=_delay, identity=0.0, low=0.0, remembers=True, arithmetic=False,
        sentence="delay {target} by {amount} steps",
    ),
    "hold": Operation(
        apply=_hold, identity=0.0, low=0.0, high=1.0, remembers=True, arithmetic=False,
        sentence="hold {target} with probability {amount}",
    ),
    "quantize": Operation(
        apply=_quantize, identity=0.0, low=0.0, sentence="quantize {target} to steps of {amount}"
    ),
    "clip": Operation(apply=_clip, identity=np.inf, low=0.0, sentence="clip {target} to ±{amount}"),
}  # fmt: skip

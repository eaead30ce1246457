"""Amounts: how much, as frozen values.

Every distribution is a quantile function: one number ``u`` in (0, 1) decides the draw, and a larger ``u``
never draws less. So two amounts, or two strengths, turn the same ``u`` into comparable draws (common random
numbers), and the streams need to know nothing about distributions. What is drawn together with others is in
`sim2real.perturb.joint`, what a clock decides in `sim2real.perturb.schedules`.
"""

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass, fields
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from sim2real.errors import Sim2RealError
from sim2real.perturb.gauss import normal_probability, normal_quantile

Array = NDArray[np.float64]
Support = tuple[tuple[float, float], ...]  # closed pieces (low, high); a single value is (value, value)

NORMAL_REACH = 3.0
"""Standard deviations either side that count as the support of a normal distribution: 99.7 % of its draws."""


def number(value: Any, what: str) -> float:
    """Return the value as a finite float.

    Raises:
        Sim2RealError: if it is none; ``what`` names it.
    """
    try:
        result = math.nan if isinstance(value, str | bytes) else float(value)
    except (TypeError, ValueError, OverflowError):
        result = math.nan
    if not math.isfinite(result):
        raise Sim2RealError(f"{what} must be a finite number, not {value!r}.")
    return result + 0.0  # -0.0 and 0.0 are one value and must read as one


def shown(value: float) -> str:
    """Write a number shortly but exactly.

    >>> shown(2.0), shown(0.1), shown(1 / 3)
    ('2', '0.1', '0.3333333333333333')
    """
    short = f"{value:g}"
    return short if float(short) == value else repr(value)


def hull(support: Support) -> tuple[float, float]:
    """Return the smallest and the largest value of a support."""
    return min(low for low, _ in support), max(high for _, high in support)


class Amount(ABC):
    """A distribution as a value: a frozen dataclass of finite numbers with `quantile` and `support`."""

    bounded: ClassVar[bool] = True
    """Whether no draw ever leaves the support."""

    def __post_init__(self) -> None:
        for field in fields(self):  # type: ignore[arg-type]
            value = number(getattr(self, field.name), f"{type(self).__name__}: {field.name}")
            object.__setattr__(self, field.name, value)
        if wrong := self._wrong():
            raise Sim2RealError(f"{self}: {wrong}.")

    def __repr__(self) -> str:
        values = (getattr(self, field.name) for field in fields(self))  # type: ignore[arg-type]
        return f"{type(self).__name__}({', '.join(map(shown, values))})"

    def _wrong(self) -> str:
        """Return why the numbers make no distribution, "" if they do."""
        return ""

    @abstractmethod
    def quantile(self, u: Array) -> Array:
        """Return the draws, of the shape of ``u``, that the numbers ``u`` in (0, 1) decide."""

    @abstractmethod
    def support(self) -> Support:
        """Return where draws lie."""


class _Range(Amount):
    low: float
    high: float

    def _wrong(self) -> str:
        return "low must not exceed high" if self.low > self.high else ""

    def support(self) -> Support:
        return ((self.low, self.high),)


@dataclass(frozen=True, repr=False)
class Uniform(_Range):
    """Equally likely everywhere in [low, high]."""

    low: float
    high: float

    def quantile(self, u: Array) -> Array:
        """Return ``low + (high - low) u``."""
        return np.clip(self.low + (self.high - self.low) * u, self.low, self.high)


@dataclass(frozen=True, repr=False)
class Outside(Amount):
    """Equally likely everywhere in [low, high] but between two inner values: beyond a range, on both sides."""

    low: float
    inner_low: float
    inner_high: float
    high: float

    def _wrong(self) -> str:
        rising = self.low < self.inner_low <= self.inner_high < self.high
        return "" if rising else "low must lie below inner_low, and high above inner_high"

    def quantile(self, u: Array) -> Array:
        """Return the value that has a share ``u`` of what is left of [low, high] below it."""
        below, above = self.inner_low - self.low, self.high - self.inner_high
        value = self.low + (below + above) * u
        beyond = np.clip(value + (self.inner_high - self.inner_low), self.inner_high, self.high)
        return np.where(value <= self.inner_low, value, beyond)

    def support(self) -> Support:
        """Return the two pieces."""
        return ((self.low, self.inner_low), (self.inner_high, self.high))


@dataclass(frozen=True, repr=False)
class LogUniform(_Range):
    """In [low, high], its logarithm uniform: as likely to halve as to double."""

    low: float
    high: float

    def _wrong(self) -> str:
        return super()._wrong() or ("low must be positive" if self.low <= 0 else "")

    def quantile(self, u: Array) -> Array:
        """Return ``low (high / low)^u``."""
        return np.clip(self.low * (self.high / self.low) ** u, self.low, self.high)


@dataclass(frozen=True, repr=False)
class Normal(Amount):
    """Normal with this mean and standard deviation; its support counts as mean ± 3 std."""

    mean: float
    std: float

    bounded = False

    def _wrong(self) -> str:
        return "std must not be negative" if self.std < 0 else ""

    def quantile(self, u: Array) -> Array:
        """Return ``mean + std Φ⁻¹(u)``."""
        drawn: Array = self.mean + self.std * normal_quantile(u)
        return drawn

    def support(self) -> Support:
        """Return mean ± 3 std, where 99.7 % of the draws lie."""
        return ((self.mean - NORMAL_REACH * self.std, self.mean + NORMAL_REACH * self.std),)


@dataclass(frozen=True, repr=False)
class TruncatedNormal(_Range):
    """Normal with this mean and standard deviation before its tails outside [low, high] are cut off."""

    mean: float
    std: float
    low: float
    high: float

    def _wrong(self) -> str:
        return super()._wrong() or ("std must be positive" if self.std <= 0 else "")

    def quantile(self, u: Array) -> Array:
        """Return ``mean + std Φ⁻¹(Φ(a) + u (Φ(b) - Φ(a)))`` with the standardised bounds a and b."""
        a, b = (self.low - self.mean) / self.std, (self.high - self.mean) / self.std
        # Φ has no digits left far above 0, so a window up there is mirrored to the other side.
        side = -1.0 if a > 0 else 1.0
        start, end = normal_probability(side * a), normal_probability(side * b)
        drawn: Array = self.mean + side * self.std * normal_quantile(start + u * (end - start))
        return np.clip(drawn, self.low, self.high)


@dataclass(frozen=True, repr=False)
class Integers(_Range):
    """Equally likely whole numbers from low to high, both included."""

    low: float
    high: float

    def _wrong(self) -> str:
        whole = self.low.is_integer() and self.high.is_integer()
        return super()._wrong() or ("" if whole else "the ends must be whole numbers")

    def quantile(self, u: Array) -> Array:
        """Return the whole number whose equal share of (0, 1) holds ``u``."""
        return np.minimum(np.floor(self.low + (self.high - self.low + 1) * u), self.high)

    def support(self) -> Support:
        """Return every whole number as a piece of its own, if they are not too many to tell."""
        if self.high - self.low > 1000:
            return super().support()
        return tuple((float(n), float(n)) for n in range(int(self.low), int(self.high) + 1))


@dataclass(frozen=True, repr=False)
class Choice(Amount):
    """One of the values, all equally likely."""

    values: tuple[float, ...]

    def __post_init__(self) -> None:
        try:
            values = tuple(sorted(number(value, "A value of Choice") for value in self.values))
        except TypeError:
            values = ()
        if not values:
            raise Sim2RealError(f"Choice takes a list of numbers, not {self.values!r}.")
        object.__setattr__(self, "values", values)

    def __repr__(self) -> str:
        return f"Choice([{', '.join(map(shown, self.values))}])"

    def quantile(self, u: Array) -> Array:
        """Return the value whose equal share of (0, 1) holds ``u``, in rising order."""
        share = np.minimum(u * len(self.values), len(self.values) - 1).astype(np.intp)
        drawn: Array = np.array(self.values)[share]
        return drawn

    def support(self) -> Support:
        """Return every value as a piece of its own."""
        return tuple((value, value) for value in self.values)


@dataclass(frozen=True, repr=False)
class Drift(Amount):
    """A value that wanders about the operation's identity: an Ornstein-Uhlenbeck process, 0 at reset.

    After the time t its standard deviation is ``std sqrt(1 - exp(-2 t / timescale_s))``; values that far
    apart correlate as ``exp(-t / timescale_s)``. Steps are exact (Gillespie 1996, Phys. Rev. E 54, 2084).
    """

    std: float
    timescale_s: float

    bounded = False

    def _wrong(self) -> str:
        return "" if self.std >= 0 and self.timescale_s > 0 else "std and timescale_s must be positive"

    def quantile(self, u: Array) -> Array:
        """Return draws from the stationary distribution, ``std Φ⁻¹(u)``."""
        return Normal(0.0, self.std).quantile(u)

    def support(self) -> Support:
        """Return ± 3 std, where 99.7 % of the values lie."""
        return Normal(0.0, self.std).support()

    def path(self, u: Array, period_s: float, last: Array | None) -> Array:
        """Return the values (steps, ...) of consecutive control steps that ``u``, of that shape, decides.

        Args:
            u: numbers in (0, 1).
            period_s: time between control steps.
            last: the value before the first of these, None at reset.
        """
        decay = math.exp(-period_s / self.timescale_s)
        values = math.sqrt(1.0 - decay**2) * self.quantile(u)
        values[0] = 0.0 if last is None else values[0] + decay * last
        for step in range(1, len(values)):
            values[step] += decay * values[step - 1]
        return values


@dataclass(frozen=True, repr=False)
class Interval:
    """When to draw again: after waits uniform in [low_s, high_s] seconds, the first one counted from reset.

    With ``lasting_s`` the effect of every draw ends that long after it. Before the first draw there is none.
    """

    low_s: float
    high_s: float
    lasting_s: float | None = None

    def __post_init__(self) -> None:
        for name in ("low_s", "high_s") if self.lasting_s is None else ("low_s", "high_s", "lasting_s"):
            object.__setattr__(self, name, number(getattr(self, name), f"Interval: {name}"))
        if not 0 < self.low_s <= self.high_s or (self.lasting_s is not None and self.lasting_s <= 0):
            raise Sim2RealError(f"{self}: times must be positive and low_s must not exceed high_s.")

    def __repr__(self) -> str:
        lasting = "" if self.lasting_s is None else f", lasting_s={shown(self.lasting_s)}"
        return f"Interval({shown(self.low_s)}, {shown(self.high_s)}{lasting})"

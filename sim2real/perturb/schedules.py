"""Schedules: how much of a perturbation acts at a time since reset, as frozen values for ``every``.

A schedule multiplies the strength by its share at the time of each control step; the amount, number or draw,
stays for the episode. So one schedule fits every operation and every target: ``scale`` by 1.2 under a sine
goes between 0.8 and 1.2, ``set`` under a ramp goes from nominal to the amount, ``hold`` under a square loses
readings now and then.
"""

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass, fields

from sim2real.errors import Sim2RealError
from sim2real.perturb.amounts import Support, number, shown

SLACK_S = 1e-9  # a control step that rounding puts just before a moment is at that moment


class Schedule(ABC):
    """The share of a perturbation that acts, by time: a frozen dataclass of finite numbers."""

    def __post_init__(self) -> None:
        for field in fields(self):  # type: ignore[arg-type]
            value = getattr(self, field.name)
            if value is not None:
                object.__setattr__(self, field.name, number(value, f"{type(self).__name__}: {field.name}"))
        if wrong := self._wrong():
            raise Sim2RealError(f"{self}: {wrong}.")

    @abstractmethod
    def _wrong(self) -> str:
        """Return why the numbers make no schedule, "" if they do."""

    @abstractmethod
    def share(self, time_s: float) -> float:
        """Return the share at a time since reset."""

    @property
    @abstractmethod
    def shares(self) -> Support:
        """Every share there can be."""

    @property
    @abstractmethod
    def sentence(self) -> str:
        """When, in words."""


@dataclass(frozen=True)
class Ramp(Schedule):
    """From nothing to all of it in ``over_s`` seconds, beginning at ``start_s``; then it stays.

    >>> ramp = Ramp(4.0, start_s=1.0)
    >>> [ramp.share(time_s) for time_s in (0.0, 1.0, 2.0, 5.0, 9.0)]
    [0.0, 0.0, 0.25, 1.0, 1.0]
    """

    over_s: float
    start_s: float = 0.0

    def _wrong(self) -> str:
        return (
            "" if self.over_s > 0 and self.start_s >= 0 else "over_s must be positive, start_s not negative"
        )

    def share(self, time_s: float) -> float:
        """Return the part of the way that lies behind."""
        return min(max((time_s - self.start_s) / self.over_s, 0.0), 1.0)

    @property
    def shares(self) -> Support:
        """Everything from nothing to all."""
        return ((0.0, 1.0),)

    @property
    def sentence(self) -> str:
        """When, in words."""
        start = f" from {shown(self.start_s)} s on" if self.start_s else ""
        return f"ramped up over {shown(self.over_s)} s{start}"


@dataclass(frozen=True)
class Sine(Schedule):
    """``sin(2π time / period_s + phase)``: both ways, so the amount is the amplitude; the phase is in rad.

    Args:
        period_s: of one oscillation, in seconds.
        phase: at reset, in rad.
    """

    period_s: float
    phase: float = 0.0

    def _wrong(self) -> str:
        return "" if self.period_s > 0 else "period_s must be positive"

    def share(self, time_s: float) -> float:
        """Return the sine."""
        return math.sin(math.tau * time_s / self.period_s + self.phase)

    @property
    def shares(self) -> Support:
        """Everything between both amplitudes."""
        return ((-1.0, 1.0),)

    @property
    def sentence(self) -> str:
        """When, in words."""
        phase = f" from phase {shown(self.phase)} rad" if self.phase else ""
        return f"as a sine of {shown(self.period_s)} s{phase}"


@dataclass(frozen=True)
class Square(Schedule):
    """On for a share of each period, off for the rest, beginning on.

    Args:
        period_s: of one turn on and off, in seconds.
        on: share of the period during which it acts.
        start_s: when the first period begins.

    >>> square = Square(2.0, on=0.25)
    >>> [square.share(time_s) for time_s in (0.0, 0.4, 0.5, 1.9, 2.0)]
    [1.0, 1.0, 0.0, 0.0, 1.0]
    """

    period_s: float
    on: float = 0.5
    start_s: float = 0.0

    def _wrong(self) -> str:
        fits = self.period_s > 0 and 0 < self.on < 1 and self.start_s >= 0
        return "" if fits else "period_s must be positive, on between 0 and 1, start_s not negative"

    def share(self, time_s: float) -> float:
        """Return 1 while on, 0 while off."""
        since_s = time_s - self.start_s + SLACK_S
        return float(since_s >= 0 and since_s % self.period_s < self.on * self.period_s)

    @property
    def shares(self) -> Support:
        """All or nothing."""
        return ((0.0, 0.0), (1.0, 1.0))

    @property
    def sentence(self) -> str:
        """When, in words."""
        start = f" from {shown(self.start_s)} s on" if self.start_s else ""
        return f"for {shown(self.on)} of each {shown(self.period_s)} s{start}"


@dataclass(frozen=True)
class At(Schedule):
    """From a time since reset on, for some seconds if ``lasting_s`` says so; a kick comes once, at that time."""

    time_s: float
    lasting_s: float | None = None

    def _wrong(self) -> str:
        fits = self.time_s >= 0 and (self.lasting_s is None or self.lasting_s > 0)
        return "" if fits else "time_s must not be negative, lasting_s must be positive"

    def share(self, time_s: float) -> float:
        """Return 1 from the time on, 0 before it and after the end."""
        since_s = time_s - self.time_s + SLACK_S
        return float(since_s >= 0 and (self.lasting_s is None or since_s < self.lasting_s))

    @property
    def shares(self) -> Support:
        """All or nothing."""
        return ((0.0, 0.0), (1.0, 1.0))

    @property
    def sentence(self) -> str:
        """When, in words."""
        lasting = "" if self.lasting_s is None else f" for {shown(self.lasting_s)} s"
        return f"at {shown(self.time_s)} s{lasting}"

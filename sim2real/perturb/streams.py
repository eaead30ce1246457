"""Random streams, and the amounts drawn from them through an episode.

A stream depends on the reset seed, the perturbation's identity and how many of that identity came before it.
It does not depend on the amount, on other perturbations, on the environment's generator or on numpy's. What is
drawn together reads one stream, each column on its own, so none of them waits for another.
"""

import math
from hashlib import blake2b
from typing import Any

import numpy as np

from sim2real.perturb.amounts import Amount, Array, Drift, Interval
from sim2real.perturb.joint import Column
from sim2real.perturb.operations import OPERATIONS
from sim2real.perturb.perturbation import Perturbation
from sim2real.perturb.schedules import Schedule

BLOCK = 64
"""Steps drawn at once, so that a step costs an index; how many they are does not change the values."""


class Stream:
    """Endless numbers in (0, 1), both ends excluded, that a key of strings and integers names."""

    def __init__(self, *key: object) -> None:
        digest = blake2b(repr(key).encode(), digest_size=16).digest()
        self._rng = np.random.Generator(np.random.Philox(key=int.from_bytes(digest, "little")))

    def __call__(self, *shape: int) -> Array:
        """Return the next numbers."""
        return np.maximum(self._rng.random(shape), 2.0**-54)


def next_episode(seed: int | None, before: tuple[int | None, int]) -> tuple[int, int]:
    """Return the seed and the number of the episode that `reset(seed)` begins, given those of the one before.

    A seed begins anew; without any the first seed is the operating system's.
    """
    known, number = before
    if seed is not None:
        return int(seed), 0
    if known is None:
        return int(np.random.SeedSequence().generate_state(1)[0]), 0
    return known, number + 1


class Draws:
    """The amount of one perturbation through an episode; this class serves what is drawn once an episode.

    Attributes:
        amount: the weakened amount that acts now, a float or an array of ``shape``; None while none does.
        changed: whether the start or the last tick drew or ended it.
        apply: what does the operation with the amount that acts now.

    Args:
        perturbation: what is drawn.
        occurrence: how many perturbations of the same identity come before it.
        shape: of one draw.
        period_s: time between ticks, needed for Drift, Interval and schedules.
    """

    amount: Any = None
    changed = False

    def __init__(
        self, perturbation: Perturbation, occurrence: int, shape: tuple[int, ...], period_s: float | None
    ) -> None:
        self._perturbation, self._shape = perturbation, shape
        self._row = (perturbation.amount.width,) if isinstance(perturbation.amount, Column) else ()
        self._key, self._own = (*perturbation.stream, occurrence), (*perturbation.identity, occurrence)
        self.apply = OPERATIONS[perturbation.operation].at(perturbation.strength)
        self._period_s = period_s or math.nan
        # A block of images must not fill the memory.
        self._block = max(1, min(BLOCK, 2**16 // max(1, math.prod(shape))))

    @property
    def source(self) -> "Draws":
        """Where the amount is drawn; another object for ``hold``, whose ``amount`` says what came of it."""
        return self

    def start(self, *episode: int) -> None:
        """Begin the episode that some integers name."""
        self._stream = Stream(*episode, *self._key)
        self._last: Any = None
        self.changed = self._perturbation.every == "episode"
        self.amount = self._next(1)[0] if self.changed else None

    def tick(self) -> None:
        """Go on to the next control step; the first tick of an episode is at the time 0."""
        self.changed = False

    def _next(self, count: int) -> list[Any]:
        """Return the next weakened amounts."""
        amount, operation = self._perturbation.amount, OPERATIONS[self._perturbation.operation]
        if not isinstance(amount, Amount):
            return [operation.weaken(amount, self._perturbation.strength)] * count
        u = self._stream(count, *self._shape, *self._row)
        if isinstance(amount, Drift):
            path = amount.path(u, self._period_s, self._last)
            self._last = path[-1]
            values = path + (operation.identity or 0.0)
        else:
            values = amount.quantile(u)
        values = operation.weaken(values, self._perturbation.strength)
        return list(values) if self._shape else values.tolist()


class _EveryStep(Draws):
    """Drawn on every step, a block of steps at once."""

    def start(self, *episode: int) -> None:
        super().start(*episode)
        self._ahead = iter(())

    def tick(self) -> None:
        self.changed = True
        try:
            self.amount = next(self._ahead)
        except StopIteration:
            self._ahead = iter(self._next(self._block))
            self.amount = next(self._ahead)


class _NowAndThen(Draws):
    """Drawn after random waits, and ended again if the interval says so."""

    def start(self, *episode: int) -> None:
        super().start(*episode)
        assert isinstance(self._perturbation.every, Interval)
        self._interval = self._perturbation.every
        self._waits = Stream(*episode, *self._key, "wait")
        self._now, self._drawn_s, self._end = -1, 0.0, math.inf
        self._wait()

    def tick(self) -> None:
        self._now += 1
        due, over = self._now >= self._due, self._now >= self._end
        self.changed = due or over
        if due:
            self.amount = self._next(1)[0]
            lasting_s = self._interval.lasting_s
            self._end = math.inf if lasting_s is None else self._first_tick(self._drawn_s + lasting_s)
            self._wait()
        elif over:
            self.amount, self._end = None, math.inf

    def _wait(self) -> None:
        low_s, high_s = self._interval.low_s, self._interval.high_s
        self._drawn_s += low_s + (high_s - low_s) * float(self._waits(1)[0])
        self._due = self._first_tick(self._drawn_s)

    def _first_tick(self, time_s: float) -> int:
        """Return the first tick that is not before a time."""
        return math.ceil(time_s / self._period_s - 1e-9)


class _Scheduled(Draws):
    """Drawn once an episode, its strength as much as the schedule says at the time."""

    def start(self, *episode: int) -> None:
        self._stream, self._now, self._share = Stream(*episode, *self._key), -1, 0.0
        self._drawn = self._unweakened()
        self.amount, self.changed = None, False

    def tick(self) -> None:
        item, operation = self._perturbation, OPERATIONS[self._perturbation.operation]
        assert isinstance(item.every, Schedule)
        self._now += 1
        share = item.every.share(self._now * self._period_s)
        self.changed = share != self._share
        if not self.changed:
            return
        self._share, strength = share, item.strength * share
        self.amount = operation.weaken(self._drawn, strength) if strength else None
        self.apply = operation.at(strength)

    def _unweakened(self) -> Any:
        amount = self._perturbation.amount
        if not isinstance(amount, Amount):
            return amount
        drawn = amount.quantile(self._stream(1, *self._shape, *self._row))[0]
        return drawn if self._shape else float(drawn)


class _Held(Draws):
    """For ``hold``: whether this step is held, that is, a number lies below the probability drawn."""

    def __init__(self, probability: Draws) -> None:
        self._probability, self.apply = probability, probability.apply

    @property
    def source(self) -> Draws:
        return self._probability

    def start(self, *episode: int) -> None:
        self._probability.start(*episode)
        # Of its own identity: probabilities may be drawn together, what is lost is lost apart.
        self._events = Stream(*episode, *self._probability._own, "event")
        self._ahead: Any = iter(())

    def tick(self) -> None:
        self._probability.tick()
        try:
            u = next(self._ahead)
        except StopIteration:
            self._ahead = iter(self._events(BLOCK).tolist())
            u = next(self._ahead)
        self.amount = u < (self._probability.amount or 0.0)


def draws(
    perturbation: Perturbation,
    occurrence: int = 0,
    shape: tuple[int, ...] = (),
    period_s: float | None = None,
) -> Draws:
    """Return the draws of a perturbation; see `Draws` for the arguments."""
    kinds = {"episode": Draws, "step": _EveryStep, "interval": _NowAndThen}
    found = kinds.get(perturbation.identity[2], _Scheduled)(perturbation, occurrence, shape, period_s)
    return _Held(found) if perturbation.operation == "hold" else found

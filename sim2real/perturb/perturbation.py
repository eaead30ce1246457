"""Perturbation = target x operation x amount x every: where, what, how much and when, as a frozen value."""

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Literal

from sim2real.errors import Sim2RealError, nearest
from sim2real.perturb.amounts import Amount, Drift, Interval, Support, hull, number, shown
from sim2real.perturb.joint import Column
from sim2real.perturb.operations import OPERATIONS
from sim2real.perturb.schedules import Schedule

Every = Literal["step", "episode"] | Interval | Schedule
Size = float | Amount


@dataclass(frozen=True, kw_only=True)
class Perturbation:
    """One way in which the world differs.

    Attributes:
        target: "observation" or "action", a part of one ("observation:gyro", "observation:3",
            "observation:0:3"), a part of a part ("observation:pose:xy:0"), copies of one signal in braces
            ("observation:{achieved_goal,observation:0:3}": one draw for all), or "parameter:NAME", where NAME
            may be a pattern (`"*.strength"`, "{left,right}_knee.kp"): one draw for all that match, each
            applied to its own nominal value.
        operation: "add", "scale" or "set"; for signals also "delay" (control steps), "hold" (probability that
            the last output is repeated), "quantize" (step size) and "clip" (symmetric limit).
        amount: a number or a distribution.
        every: when the amount is drawn again: "step", "episode" or an Interval. A number never is, so its
            "step" becomes "episode". A schedule (Ramp, Sine, Square, At) draws once an episode and lets the
            strength follow the clock.
        strength: 0 switches it off, 1 leaves it as written; amounts are weakened towards the identity.

    Raises:
        Sim2RealError: if the fields do not fit together.
    """

    target: str
    operation: str
    amount: Size
    every: Every = "episode"
    strength: float = 1.0

    def __post_init__(self) -> None:
        side, colon, part = str(self.target).partition(":")
        if side not in ("observation", "action", "parameter") or (
            not part and (colon or side == "parameter")
        ):
            raise Sim2RealError(
                f"'{self.target}' is no target; write 'observation', 'observation:NAME', 'action', "
                "'action:NAME' or 'parameter:NAME'."
            )
        if self.operation not in OPERATIONS:
            raise Sim2RealError(
                f"There is no operation '{self.operation}'.{nearest(self.operation, OPERATIONS)}"
            )
        if side == "parameter" and self.operation not in ("add", "scale", "set"):
            raise Sim2RealError(
                f"{self.target} can be added to, scaled and set; {self.operation} is for signals."
            )
        if self.every not in ("step", "episode") and not isinstance(self.every, Interval | Schedule):
            raise Sim2RealError(
                f"every is 'step', 'episode', Interval(low_s, high_s) or a schedule, not {self.every!r}."
            )
        object.__setattr__(self, "strength", number(self.strength, "strength"))
        if self.strength < 0:
            raise Sim2RealError(f"strength must not be negative: {shown(self.strength)}.")
        if not isinstance(self.amount, Amount):
            object.__setattr__(
                self, "amount", number(self.amount, f"The amount to {self.operation} {self.target}")
            )
            if self.every == "step":
                object.__setattr__(self, "every", "episode")
        self._check_amount()

    def _check_amount(self) -> None:
        operation, amount = OPERATIONS[self.operation], self.amount
        if isinstance(amount, Drift) and (self.operation not in ("add", "scale") or self.every != "step"):
            raise Sim2RealError(
                f"{amount} wanders from step to step: it takes add or scale, and every='step'."
            )
        if self.operation == "delay" and isinstance(amount, float) and not amount.is_integer():
            raise Sim2RealError(f"A signal is delayed by whole control steps, not by {shown(amount)}.")
        if math.isinf(operation.low) or not self.strength:
            return
        low, high = hull(self.support)
        tails = isinstance(amount, Amount) and not amount.bounded
        if low < operation.low or high > operation.high or tails:
            most = "" if math.isinf(operation.high) else f" and at most {shown(operation.high)}"
            raise Sim2RealError(
                f"'{self.label}': the amount must be at least {shown(operation.low)}{most}, always."
            )

    def at(self, strength: float) -> "Perturbation":
        """Return the same perturbation with its strength multiplied; ``at(0)`` does nothing.

        >>> scale("parameter:torso.mass", 0.5).at(0.5).label
        'scale torso.mass by 0.5 at strength 0.5'
        """
        return replace(self, strength=self.strength * number(strength, "strength"))

    @property
    def identity(self) -> tuple[str, ...]:
        """(target, operation, kind of every) and, drawn together with others, all of them: never the amount."""
        kind = self.every if isinstance(self.every, str) else type(self.every).__name__.lower()
        group = (self.amount.group,) if isinstance(self.amount, Column) else ()
        return self.target, self.operation, kind, *group

    @property
    def stream(self) -> tuple[str, ...]:
        """What names the random stream: the identity, or what all that is drawn together has in common."""
        return ("jointly", *self.identity[2:]) if isinstance(self.amount, Column) else self.identity

    @property
    def timed(self) -> bool:
        """Whether it counts in seconds, so that the time between steps has to be known."""
        return isinstance(self.amount, Drift) or isinstance(self.every, Interval | Schedule)

    @property
    def acts(self) -> bool:
        """Whether it can change anything: not at strength 0, nor with the operation's identity as amount."""
        return self.strength > 0 and self.amount != OPERATIONS[self.operation].identity

    @property
    def _strengths(self) -> Support:
        """Every strength that acts at some time: a schedule goes below what is written."""
        shares = self.every.shares if isinstance(self.every, Schedule) else ((1.0, 1.0),)
        return tuple((self.strength * low, self.strength * high) for low, high in shares)

    @property
    def support(self) -> Support:
        """Where the weakened amount lies; the strength must not be 0."""
        weaken = OPERATIONS[self.operation].weaken
        about = (OPERATIONS[self.operation].identity or 0.0) if isinstance(self.amount, Drift) else 0.0
        if not isinstance(self.every, Schedule):
            return tuple(
                (weaken(about + low, self.strength), weaken(about + high, self.strength))
                for low, high in self._pieces
            )
        corners = (
            [weaken(amount, strength) for strength in strengths for amount in amounts]
            for strengths in self._strengths
            for amounts in self._pieces
        )
        return _spanned(corners)

    @property
    def _pieces(self) -> Support:
        """Where the amount lies before it is weakened."""
        return self.amount.support() if isinstance(self.amount, Amount) else ((self.amount, self.amount),)

    def reach(self, values: Support) -> Support:
        """Return where this can take a parameter that lies in ``values``."""
        if not self.acts:
            return values
        if isinstance(self.every, Schedule):
            # Multilinear in value, amount and strength, so the extremes are at the corners.
            operation = OPERATIONS[self.operation]
            return _spanned(
                [
                    operation.at(strength)(value, operation.weaken(amount, strength), None)[0]
                    for value in piece
                    for amount in amounts
                    for strength in strengths
                ]
                for piece in values
                for amounts in self._pieces
                for strengths in self._strengths
            )
        apply = OPERATIONS[self.operation].at(self.strength)
        return _spanned(
            [apply(value, amount, None)[0] for value in piece for amount in amounts]
            for piece in values
            for amounts in self.support
        )

    @property
    def label(self) -> str:
        """The perturbation as a sentence, exact enough to tell any two apart.

        >>> from sim2real.perturb import Uniform
        >>> scale("parameter:torso.mass", Uniform(0.8, 1.2)).label
        'scale torso.mass by Uniform(0.8, 1.2) every episode'
        """
        what = OPERATIONS[self.operation].sentence.format(
            amount=self.amount if isinstance(self.amount, Amount) else shown(self.amount),
            target=self.target.removeprefix("parameter:"),
        )
        return what + self.when + ("" if self.strength == 1 else f" at strength {shown(self.strength)}")

    @property
    def when(self) -> str:
        """The end of the sentence that says when, with a leading space; empty for a number that always acts."""
        if isinstance(self.every, Schedule):
            return f" {self.every.sentence}"
        if isinstance(self.every, Interval):
            low, high, lasting_s = shown(self.every.low_s), shown(self.every.high_s), self.every.lasting_s
            waits = low if low == high else f"{low} to {high}"
            return f" every {waits} s" + ("" if lasting_s is None else f" for {shown(lasting_s)} s")
        return f" every {self.every}" if isinstance(self.amount, Amount) else ""


def _spanned(corners: Iterable[list[float]]) -> Support:
    return tuple(sorted({(min(some), max(some)) for some in corners}))


def _made(
    operation: str, target: str, amount: Size, every: Every | None, usual: Every = "episode"
) -> Perturbation:
    every = every or ("step" if isinstance(amount, Drift) else usual)
    return Perturbation(target=target, operation=operation, amount=amount, every=every)


def _noise(target: str) -> Every:
    """A signal has noise, drawn on every step; a parameter has a value, drawn once an episode."""
    return "episode" if target.startswith("parameter") else "step"


def add(target: str, amount: Size, *, every: Every | None = None) -> Perturbation:
    """Add an amount, drawn on every step for a signal, once an episode for a parameter, or as told.

    >>> from sim2real.perturb import Normal
    >>> add("observation:gyro", Normal(0, 0.1)).label
    'add Normal(0, 0.1) to observation:gyro every step'
    """
    return _made("add", target, amount, every, _noise(target))


def scale(target: str, amount: Size, *, every: Every | None = None) -> Perturbation:
    """Multiply by an amount, drawn as for `add`."""
    return _made("scale", target, amount, every, _noise(target))


def set_to(target: str, amount: Size, *, every: Every | None = None) -> Perturbation:
    """Replace by an amount, drawn once an episode unless told otherwise."""
    return _made("set", target, amount, every)


def delay(target: str, amount: Size, *, every: Every | None = None) -> Perturbation:
    """Let a signal arrive some control steps late; it never goes back in time, however the lag is redrawn.

    The first value stands in for what came before it.
    """
    return _made("delay", target, amount, every)


def hold(target: str, amount: Size, *, every: Every | None = None) -> Perturbation:
    """Lose a signal with a probability, decided anew on each step; the last that came through is repeated.

    ``every`` says when the probability is drawn again, or, as an Interval, when there is one at all:
    ``hold("observation", 1, every=Interval(5, 10, lasting_s=1))`` freezes all sensors for a second at times.
    """
    return _made("hold", target, amount, every)


def quantize(target: str, amount: Size, *, every: Every | None = None) -> Perturbation:
    """Round a signal to whole multiples of an amount, as an encoder does."""
    return _made("quantize", target, amount, every)


def clip(target: str, amount: Size, *, every: Every | None = None) -> Perturbation:
    """Cut a signal off at ± an amount, as a sensor's range does; strength s cuts at amount / s."""
    return _made("clip", target, amount, every)

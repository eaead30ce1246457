"""The time between two steps of an environment: who says how long it is, and whether they agree."""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, NamedTuple

import gymnasium as gym
import numpy as np

from sim2real.errors import Sim2RealError
from sim2real.wrappers.seek import CLIENT, MODEL, STATE, inside, is_a, remembered

Env = gym.Env[Any, Any]

TOLERATED = 0.02
"""Share by which two sources may differ and still agree: rates are often whole numbers (33 Hz for 0.03 s)."""

GIVEN, DECLARED, FILM = "period_s", "control_period_s", "1 / render_fps"
SECONDS = DECLARED, "step_dt", "control_dt", "ctrl_dt", "control_timestep", "CTRL_TIMESTEP"
HERTZ = "control_freq", "control_hz", "control_frequency", "policy_frequency", "agent_hz", "CTRL_FREQ"
TICK_S = "physics_dt", "sim_dt", "sim_timestep", "model_timestep", "timestep", "time_step", "_time_step"
TICKS = "frame_skip", "decimation", "n_substeps", "_n_sub_steps", "num_substeps", "action_repeat"
OWN = "", "env.", "_env."
PARTS = *OWN, "sim.", "scene.", "cfg.", "config."
"""Where an environment keeps what it says, itself first; what is called dt elsewhere is the physics'."""

WEAK = "tau", FILM
"""Films have a rate of their own and tau names many things: each counts only where another source agrees."""


class Said(NamedTuple):
    """A source and the period it speaks of, in seconds; a witness has seen a step."""

    source: str
    period_s: float
    witness: bool = False

    def __str__(self) -> str:
        return f"{self.source} says {self.period_s:.4g} s"

    def disputes(self, other: "Said") -> bool:
        """Tell whether this one, heard after another, makes that one doubtful."""
        if other.source == GIVEN or (other.source == DECLARED and not self.witness):
            return False
        if self.source in WEAK and other.source not in WEAK:
            return False
        return not math.isclose(self.period_s, other.period_s, rel_tol=TOLERATED)


@dataclass(frozen=True)
class Period:
    """The time between two steps of an environment, as far as it is known.

    What is given is taken at its word, what the environment declares is held against witnesses alone, and all other
    sources have to agree.

    Attributes:
        said: what each source says, the one to be used first.

    >>> Period((Said("dt", 0.05), Said("1 / render_fps", 1 / 30))).period_s
    0.05
    >>> Period((Said("dt", 0.002), Said("frame_skip × timestep", 0.02))).unknown
    'dt says 0.002 s, but frame_skip × timestep says 0.02 s: give period_s.'
    """

    said: tuple[Said, ...] = ()

    @property
    def unknown(self) -> str:
        """Why the period is not known and what would help; empty where it is known."""
        if not self.said:
            return "give period_s."
        first, *others = self.said
        for other in others:
            if other.disputes(first):
                return f"{first}, but {other}: give period_s."
        if first.source in WEAK and not others:
            return f"{first}, and nothing else does: give period_s."
        return ""

    @property
    def period_s(self) -> float | None:
        """The time between two steps, None where it is not known."""
        return None if self.unknown else self.said[0].period_s

    @property
    def likely_s(self) -> float | None:
        """What is used where a wrong guess does no harm."""
        return self.said[0].period_s if self.said else None

    def needed(self, who: str) -> float:
        """Return the time between two steps.

        Args:
            who: needs to know it; the subject of the sentence that says that it is not known.

        Raises:
            Sim2RealError: if it is not known.
        """
        if self.unknown:
            raise Sim2RealError(f"{who} needs to know the time between steps: {self.unknown}")
        return self.said[0].period_s

    def heard(self, *witnesses: Said) -> "Period":
        """Return what is known once there are witnesses, who are believed more than what is weak."""
        strong = [one for one in self.said if one.source not in WEAK]
        return Period((*strong, *witnesses, *self.said[len(strong) :]))


def period_of(env: Env, given: float | None = None) -> Period:
    """Return what is said of the time between two steps of an environment before there is a step.

    Args:
        env: the environment, wrapped or not.
        given: what somebody who knows says, in seconds.

    Raises:
        Sim2RealError: if what is given is no time.
    """
    bare = env.unwrapped
    said = [] if given is None else [Said(GIVEN, checked(given))]
    said += [Said(name, value) for name, value in _numbers(bare, SECONDS, PARTS)]
    said += [Said(f"1 / {name}", 1.0 / value) for name, value in _numbers(bare, HERTZ, PARTS)]
    own = [*_numbers(bare, ("dt",), OWN)]
    said += [Said(name, value) for name, value in own]
    for ticks, count in [*_numbers(bare, TICKS, PARTS)][:1]:
        model = next(iter(inside(env, MODEL)), None)
        tick_s = [("timestep", float(model.opt.timestep))] if model else [*_numbers(bare, TICK_S, PARTS)]
        # Nobody knows whether a dt beside a number of ticks is that of a tick.
        for name, value in (tick_s or own * (count > 1))[:1]:
            said.append(Said(f"{ticks} × {name}", count * value))
    said += [Said(name, value) for name, value in _numbers(bare, ("tau",), OWN)]
    said += [Said(FILM, 1.0 / value) for _, value in _numbers(env.metadata, ("render_fps",), OWN[:1])]
    return Period(tuple(said))


def checked(period_s: Any) -> float:
    """Return a period that somebody gives.

    Raises:
        Sim2RealError: if it is no time.
    """
    if _positive(period_s):
        return float(period_s)
    raise Sim2RealError(f"period_s must be a positive number of seconds, not {period_s!r}.")


def first_step(
    env: Env, action: Any, period: Period, step: Callable[[Any], Any] | None = None
) -> tuple[Any, Period]:
    """Take a step and hear its witnesses, which disturbs nothing.

    They are the clock of a MuJoCo model that is stepped, the ticks of a Bullet client, and how often the environment
    itself is stepped, which is more than once inside a wrapper that skips frames.

    Args:
        env: the environment, which was reset.
        action: of the step.
        period: what is known before.
        step: of the environment, where somebody else takes it.

    Returns:
        What the step returns, and what is known after it.
    """
    found = remembered(env, STATE, CLIENT)
    data, client = (next((one for one in found if is_a(one, *kind)), None) for kind in (STATE, CLIENT))
    before_s = data.time if data else 0.0
    with _counted(client, "stepSimulation") as ticks, _counted(env.unwrapped, "step") as steps:
        outcome = (step or env.step)(action)
    witnesses = []
    passed_s = float(data.time - before_s) if data else 0.0
    if passed_s > 0.0:  # not where another model is stepped, or this one was reset
        witnesses.append(Said("MuJoCo's clock", passed_s, witness=True))
    if client and ticks:
        tick_s = client.getPhysicsEngineParameters()["fixedTimeStep"]
        witnesses.append(Said("Bullet's clock", len(ticks) * tick_s, witness=True))
    if len(steps) > 1 and period.period_s:
        source = f"a count of {len(steps)} steps in one"
        witnesses.append(Said(source, len(steps) * period.period_s, witness=True))
    return outcome, period.heard(*witnesses)


@contextmanager
def _counted(owner: Any, name: str) -> Iterator[list[None]]:
    """Return a list that grows with each call of a method, where it can be stood in for."""
    calls: list[None] = []
    if owner is None:
        yield calls
        return
    method, own = getattr(owner, name), name in vars(owner)

    def counted(*args: Any, **kwargs: Any) -> Any:
        calls.append(None)
        return method(*args, **kwargs)

    setattr(owner, name, counted)
    try:
        yield calls
    finally:
        if own:
            setattr(owner, name, method)
        else:
            delattr(owner, name)


def _numbers(bare: Any, names: Iterable[str], parts: Iterable[str]) -> Iterator[tuple[str, float]]:
    """Yield names and values of the positive numbers among what an environment has under names, or in parts of it."""
    for part in parts:
        owner = _has(bare, part.removesuffix(".")) if part else bare
        for name in names:
            value = _has(owner, name)
            if _positive(value):
                yield part + name, float(value)


def _has(owner: Any, name: str) -> Any:
    """Return what something has under a name, None where that is nothing or cannot be told yet."""
    if isinstance(owner, Mapping):
        return owner.get(name)
    try:
        return getattr(owner, name, None)
    except Exception:  # a property of somebody else's
        return None


def _positive(value: Any) -> bool:
    number = isinstance(value, int | float | np.number) and not isinstance(value, bool | np.complexfloating)
    return bool(number and 0.0 < value < math.inf)

"""What an environment returns, held to Gymnasium's interface at the one place where it comes in.

All that asks an environment of others for something asks through here: the wrappers, a study's episodes, and the
checks of `sim2real.testing`. So what is wrong there is the same sentence everywhere.
"""

import math
import re
from collections.abc import Mapping
from numbers import Real
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium import spaces

from sim2real.errors import Sim2RealError
from sim2real.wrappers.period import Period, first_step

Env = gym.Env[Any, Any]
Stepped = tuple[Any, Any, bool, bool, dict[str, Any]]

OLD_GYM = "make it with shimmy.GymV21CompatibilityV0(env=...) around it, which turns old Gym into Gymnasium"
SAFETY = "make it with safety_gymnasium.wrappers.SafetyGymnasium2Gymnasium around it, which puts the cost into info"


class Checked:
    """Resets and steps an environment, and holds what it returns to Gymnasium's interface.

    Observation and info are checked after a reset and after the first step, by type and shape; their dtype is the
    environment's own, whatever its space says. In every step reward, terminated and truncated become plain numbers.

    Raises:
        Sim2RealError: by `reset` and `step`, for what is not as Gymnasium has it; the sentence names what helps.
    """

    def __init__(self, env: Env) -> None:
        self._env, self._first = env, True

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Any, dict[str, Any]]:
        """Begin an episode."""
        self._first = True
        try:
            returned: Any = self._env.reset(seed=seed, options=options)
        except (TypeError, ValueError) as error:
            keyword = re.search(r"reset\(\) got an unexpected keyword argument '(seed|options)'", str(error))
            if keyword:
                raise self._wrong(f"reset takes no '{keyword[1]}', as in old Gym: {OLD_GYM}") from error
            if _not_unpacked(error):
                raise self._wrong(f"reset does not return (observation, info): {OLD_GYM}") from error
            raise
        if not (isinstance(returned, tuple | list) and len(returned) == 2 and isinstance(returned[1], dict)):
            what = "nothing" if returned is None else "the observation alone"
            what = f"{len(returned)} values" if isinstance(returned, tuple) else what
            raise self._wrong(f"reset returns {what}, not (observation, info): {OLD_GYM}")
        self._check(*returned)
        return returned[0], returned[1]

    def step(self, action: Any) -> Stepped:
        """Go one step."""
        returned: Any = None
        try:
            returned = self._env.step(action)
            observation, reward, terminated, truncated, info = returned
        except (TypeError, ValueError) as error:
            if _not_unpacked(error):
                raise self._wrong(f"step returns {_values(returned, str(error))}") from error
            raise
        if self._first:
            self._check(observation, info)
            self._first = False
        if not (isinstance(reward, float) and math.isfinite(reward)):
            reward = finite(reward, "reward")
        if terminated.__class__ is not bool or truncated.__class__ is not bool:
            terminated, truncated = flag(terminated, "terminated"), flag(truncated, "truncated")
        return observation, reward, terminated, truncated, info

    def _check(self, observation: Any, info: Any) -> None:
        if not isinstance(info, dict):
            raise self._wrong(f"info is {_shown(info)}, not a dict")
        if not isinstance(info.get("parameters", {}), Mapping):
            raise self._wrong(
                f"info['parameters'] is {_shown(info['parameters'])}, where the drawn parameters are told by name: "
                "call it something else"
            )
        if wrong := misplaced(self._env.observation_space, observation):
            raise self._wrong(wrong)

    def _wrong(self, what: str) -> Sim2RealError:
        return Sim2RealError(f"{type(self._env.unwrapped).__name__} is no Gymnasium environment: {what}.")


class Checking(gym.Wrapper[Any, Any, Any, Any]):
    """A wrapper that asks an environment through `Checked`, so that what it returns needs no check."""

    timed: str = ""
    """Who needs to know the time between steps and has not yet seen one, empty for nobody."""

    _period: Period

    def __init__(self, env: Env) -> None:
        super().__init__(env)
        self._checked = checked(env)

    def _timed_step(self, action: Any) -> Stepped:
        """Go one step, and in the first one hear who contradicts a period that somebody here needs to know."""
        if not self.timed:
            return self._checked.step(action)
        outcome: Stepped
        outcome, period = first_step(self.env, action, self._period, self._checked.step)
        period.needed(self.timed)
        self.timed = ""
        return outcome


def checked(env: Env) -> Checked | Checking:
    """Return what resets and steps an environment with checks: itself, where it checks already."""
    return env if isinstance(env, Checking) else Checked(env)


def number(value: Any, what: str) -> float:
    """Return a number of whatever library, which may be alone in an array.

    Raises:
        Sim2RealError: for anything else; the sentence names what it was to be.

    >>> number(np.array([0.5]), "reward"), number(np.True_, "cost"), number(3, "cost")
    (0.5, 1.0, 3.0)
    """
    try:
        one = (value if hasattr(value, "item") else np.asarray(value)).item()
    except (TypeError, ValueError, RuntimeError):  # of several elements, in any library's words
        one = None
    if not isinstance(one, Real):
        raise Sim2RealError(f"The environment gave {_shown(value)} as {what}, which is not a number.")
    return float(one)


def finite(value: Any, what: str) -> float:
    """Return a number as `number` does, which must be finite.

    Raises:
        Sim2RealError: for anything else.
    """
    one = number(value, what)
    if not math.isfinite(one):
        raise Sim2RealError(f"The environment gave a {what} that is not finite: {one}.")
    return one


def flag(value: Any, what: str) -> bool:
    """Return a truth value of whatever library, which may be alone in an array: true, false, 0 or 1.

    Raises:
        Sim2RealError: for anything else.

    >>> flag(np.array([True]), "terminated"), flag(0, "truncated")
    (True, False)
    """
    one = number(value, what)
    if one not in (0.0, 1.0):
        raise Sim2RealError(
            f"The environment gave {_shown(value)} as {what}, which is neither true nor false."
        )
    return bool(one)


def misplaced(space: spaces.Space[Any], value: Any, name: str = "observation") -> str:
    """Return what is wrong with the type or shape of a value of a space, "" where nothing is.

    >>> misplaced(spaces.Box(-1, 1, (2,)), np.zeros((2, 1)))
    'the observation has the shape (2, 1), its space (2,): gymnasium.wrappers.ReshapeObservation helps'
    """
    if isinstance(space, spaces.Box | spaces.MultiDiscrete | spaces.MultiBinary):
        alone = space.shape == () and isinstance(value, Real)
        if not (alone or isinstance(value, np.ndarray | np.generic)):
            kind = f"{type(value).__module__}.{type(value).__qualname__}".removeprefix("builtins.")
            helps = "gymnasium.wrappers.TransformObservation with np.asarray helps"
            return f"the {name} is a {kind}, not a numpy array: {helps}"
        array = np.asarray(value)
        if array.shape != space.shape:
            helps = (
                "gymnasium.wrappers.ReshapeObservation helps" if array.size == math.prod(space.shape) else ""
            )
            helps = helps or "one of the two is wrong"
            return f"the {name} has the shape {array.shape}, its space {space.shape}: {helps}"
        if array.dtype.kind not in "biuf":
            return f"the {name} holds {array.dtype}, not numbers"
    elif isinstance(space, spaces.Dict):
        if not isinstance(value, Mapping) or not value.keys() >= space.spaces.keys():
            return (
                f"the {name} is {_shown(value)}, not a dict with the keys {', '.join(map(str, space.spaces))}"
            )
        found = (misplaced(space[key], value[key], f"{name}:{key}") for key in space.spaces)
        return next(filter(None, found), "")
    elif isinstance(space, spaces.Tuple):
        if not isinstance(value, tuple) or len(value) != len(space.spaces):
            return f"the {name} is {_shown(value)}, not a tuple of {len(space.spaces)}"
        parts = enumerate(zip(space.spaces, value, strict=True))
        return next(filter(None, (misplaced(*part, f"{name}:{place}") for place, part in parts)), "")
    return ""


def _values(returned: Any, error: str) -> str:
    """Say how many values a step returned, if it was not five, and what helps."""
    told = re.search(r"got (\d+)", error)  # where a wrapper of Gymnasium's own took them apart
    count = len(returned) if isinstance(returned, tuple | list) else int(told[1]) if told else None
    few = "too many" not in error
    how_many = _shown(returned) if few and count is None else f"{count or 'more than 5'} values"
    helps = OLD_GYM if count == 4 else SAFETY if count == 6 or not few else ""
    five = "observation, reward, terminated, truncated, info"
    return f"{how_many}, not the five of Gymnasium ({five}){': ' * bool(helps)}{helps}"


def _not_unpacked(error: BaseException) -> bool:
    """Tell whether it is here, or in a wrapper of Gymnasium's, that values could not be taken apart."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    where = trace.tb_frame.f_globals.get("__name__", "") if trace is not None else ""
    return where.startswith((__name__, "gymnasium.wrappers.")) and "unpack" in str(error)


def _shown(value: Any) -> str:
    """Return a value as text that is the same in every episode that goes wrong alike."""
    if shape := getattr(value, "shape", None):
        return f"an array of the shape {tuple(shape)}"
    text = " ".join(repr(value).split())
    return text if len(text) <= 60 else f"{text[:60]}…"

"""The wrapper that makes perturbations, which are values, happen to an environment."""

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from copy import deepcopy
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium import spaces
from gymnasium.utils import RecordConstructorArgs

from sim2real.errors import Sim2RealError, nearest
from sim2real.perturb import OPERATIONS, Make, Parameter, Parameters, Perturbation
from sim2real.perturb.amounts import Amount, Drift, Interval, Support, hull, shown
from sim2real.perturb.joint import Column
from sim2real.perturb.parameters import NO_GROUPS, Groups, matching
from sim2real.perturb.schedules import At, Ramp, Schedule, Sine
from sim2real.perturb.streams import Draws, draws, next_episode
from sim2real.wrappers.parameters import confirm, must_have, own_parameters, together

Env = gym.Env[Any, Any]
ARRAYS = (spaces.Box, spaces.MultiDiscrete, spaces.MultiBinary)


class Perturbed(gym.Wrapper[Any, Any, Any, Any], RecordConstructorArgs):
    """Put perturbations around an environment.

    At a reset: set the parameters drawn for the episode and all others back to nominal, reset the
    environment, set its transient parameters, perturb the observation. At a step: set the parameters that are
    due, perturb the action, step the environment, perturb the observation. What shares a target acts in the
    order given.

    Draws depend on the reset seed and on the perturbation alone; a reset without a seed goes on from the last
    one, counting episodes. ``info["parameters"]`` tells what acts: perturbed parameters by name with their
    value (transient ones when they are set), and operations on signals with their amount: "add
    observation:gyro" is a bias, "add observation:gyro every step" is noise.

    Where an observation is changed other than by ``delay`` or ``hold``, its bounds are as wide as its dtype.
    Actions are passed on as they are made, not clipped to the action space.

    Args:
        env: the environment, which may be perturbed already.
        perturbations: what to do to it.
        parameters: its parameters, or a function of the environment that returns them, as `discover` and
            ``Mujoco.of`` do; None for ``env.unwrapped.parameters``, if any.
        terms: names of parts of the observation; None for ``env.unwrapped.observation_terms``, if any.
        period_s: time between steps, for Interval, Drift and schedules; None for what the environment says.

    Raises:
        Sim2RealError: if a perturbation does not fit the environment; nothing is left to go wrong in a step.
    """

    _wrapped: bool = False
    _draws: "list[Draws]"
    _knobs: "dict[str, _Knob]"
    _moving: "list[_Knob]"
    _lasting: "list[_Knob]"
    _observation: "_Signal"
    _action: "_Signal"

    def __init__(
        self,
        env: Env,
        perturbations: Iterable[Perturbation],
        *,
        parameters: Parameters | Callable[[Env], Parameters] | None = None,
        terms: Mapping[str, slice] | None = None,
        period_s: float | None = None,
    ) -> None:
        self.perturbations = tuple(perturbations)
        # Parameters themselves belong to this environment, and the spec says how to make another.
        way = parameters if callable(parameters) else None
        RecordConstructorArgs.__init__(
            self, perturbations=self.perturbations, parameters=way, terms=terms, period_s=period_s
        )
        super().__init__(env)
        if callable(parameters):
            parameters = parameters(env)
        self.parameters: Parameters | None = own_parameters(env) if parameters is None else parameters
        self._inner = [layer for layer in layers(env) if isinstance(layer, Perturbed)]
        for layer in self._inner:
            layer._wrapped = True
        self._seed: int | None = None
        self._episode, self._running = 0, False
        self._told: dict[str, Any] = {}
        self._terms, self._period_s = terms, period_s
        self._next: _Plan | None = None
        self._knobs = {}
        self._check_nominal()
        self._adopt(_Plan(self, self.perturbations))
        if self._observation.space is not env.observation_space:
            self.observation_space = self._observation.space

    def become(self, perturbations: Iterable[Perturbation]) -> None:
        """Take other perturbations from the next reset on, as if made with them: draws are the same.

        The running episode goes on as it is. The observation space stays, so make the wrapper with the
        widest condition if bounds have to widen.

        Args:
            perturbations: what to do instead of what was done so far.

        Raises:
            Sim2RealError: if they do not fit; then all stays as it was.
        """
        perturbations = tuple(perturbations)
        if self._wrapped:
            raise Sim2RealError("Only the outermost Perturbed can become another: its order is in the draws.")
        plan = _Plan(self, perturbations)
        if not _within(plan.observation.space, self.observation_space):
            raise Sim2RealError(
                "These perturbations reach beyond the bounds of the observation space, which cannot widen "
                "later: make the Perturbed with the widest condition, then let it become another."
            )
        self._next = plan

    def _adopt(self, plan: "_Plan") -> None:
        if self._running:
            with together(self.parameters):
                for name, knob in self._knobs.items():
                    if name not in plan.knobs:
                        knob.restore()
        self.perturbations = plan.perturbations
        self._saved_kwargs = {**self._saved_kwargs, "perturbations": plan.perturbations}
        self._cached_spec = None
        self._draws, self._knobs = plan.draws, plan.knobs
        self._observation, self._action = plan.observation, plan.action
        self._moving = [knob for knob in plan.knobs.values() if knob.moves]
        self._lasting = [knob for knob in plan.knobs.values() if not knob.transient]
        self._next = None

    def _check_nominal(self) -> None:
        """Raise if a parameter is off its nominal value and no inner wrapper says so: no record would tell."""
        held = {name for layer in self._inner for name in layer._knobs}
        table = self.parameters
        if table is None:
            return
        wanted = getattr(
            table, "wanted", table.get
        )  # what was set; a reading may be the environment's own draw
        for name in table.names():
            value, nominal = wanted(name), table.spec(name).nominal
            if value != nominal and name not in held:
                raise Sim2RealError(
                    f"{name} is {shown(value)}, not its nominal {shown(nominal)}: make it a perturbation, or "
                    "restore() the wrapper that left it so."
                )

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Any, dict[str, Any]]:
        """Undo what the last episode changed, draw for this one, and reset."""
        if self._next is not None:
            self._adopt(self._next)
        self._seed, self._episode = next_episode(seed, (self._seed, self._episode))
        for drawn in self._draws:
            drawn.start(self._seed, self._episode)
        self._running, self._told = True, {}
        for signal in (self._observation, self._action):
            signal.start(self._told, self._seed, self._episode)
        with together(self.parameters):
            for knob in self._lasting:
                knob.turn(self._told)
        observation, info = self.env.reset(seed=seed, options=options)
        if self._lasting:
            confirm(self.parameters, {knob.name: self._told[knob.name] for knob in self._lasting})
        self._unread = bool(self._lasting)
        for knob in self._moving:
            if knob.transient:
                knob.step(self._told)
        return self._observation(observation, self._told), self._tell(info)

    def step(self, action: Any) -> tuple[Any, Any, bool, bool, dict[str, Any]]:
        """Change what is due, and go one step."""
        if not self._running:
            raise gym.error.ResetNeeded("Call reset before step.")
        told = self._told
        for drawn in self._draws:
            drawn.tick()
        for knob in self._moving:
            knob.step(told)
        action = self._action(action, told)
        observation, reward, terminated, truncated, info = self.env.step(action)
        if self._unread or ((terminated or truncated) and self._lasting):
            self._read_back()
        return self._observation(observation, told), reward, terminated, truncated, self._tell(info)

    def _read_back(self) -> None:
        """See in the first and the last step of an episode that the environment leaves alone what was set."""
        self._unread = False
        wanted = {knob.name: self._told[knob.name] for knob in self._lasting}
        must_have(self.parameters, wanted, "The environment takes it back while an episode runs.")

    def _tell(self, info: dict[str, Any]) -> dict[str, Any]:
        return {**info, "parameters": {**info.get("parameters", {}), **self._told}}

    def restore(self) -> None:
        """Give every parameter its nominal value back; a step then needs a reset first."""
        if self._running:
            with together(self.parameters):
                for knob in self._knobs.values():
                    knob.restore()
        self._running = False

    def close(self) -> None:
        """Restore the nominal values and close the environment."""
        self.restore()
        super().close()


class _Plan:
    """Perturbations connected to what they change in one environment, ready for an episode."""

    def __init__(self, wrapper: Perturbed, perturbations: tuple[Perturbation, ...]) -> None:
        env, bare = wrapper.env, wrapper.env.unwrapped
        self.perturbations = perturbations
        self.draws: list[Draws] = []
        self.knobs: dict[str, _Knob] = {}
        self._parameters, self._inner = wrapper.parameters, wrapper._inner
        terms, period_s = wrapper._terms, wrapper._period_s
        if terms is None:
            terms = getattr(bare, "observation_terms", {}) if _alike(env, "observation_space") else {}
        actions = getattr(bare, "action_names", ()) if _alike(env, "action_space") else ()
        numbered = {name: slice(i, i + 1) for i, name in enumerate(actions)}
        self.observation = _Signal("observation", env.observation_space, terms)
        self.action = _Signal("action", env.action_space, numbered)
        period_s = control_period_s(env) if period_s is None else period_s
        occurrences = Counter(item.identity for layer in self._inner for item in layer.perturbations)
        for item in perturbations:
            if isinstance(item, Make):
                raise Sim2RealError(
                    f"An environment that exists cannot be made otherwise: give {item.name}={item.value!r} to "
                    "gymnasium.make, or the condition to a Study."
                )
            if not isinstance(item, Perturbation):
                raise Sim2RealError(
                    f"Perturbed takes perturbations; put a Wrap around the environment: {item!r}."
                )
            timed = isinstance(item.amount, Drift) or isinstance(item.every, Interval | Schedule)
            if period_s is None and timed:
                raise Sim2RealError(f"'{item.label}' needs to know the time between steps: give period_s.")
            side, _, part = item.target.partition(":")
            occurrence = occurrences[item.identity]
            occurrences[item.identity] += 1
            if side == "parameter":
                self._add(item, part, draws(item, occurrence, (), period_s))
            else:
                signal = self.observation if side == "observation" else self.action
                signal.add(item, part, occurrence, period_s)
        for knob in self.knobs.values():
            knob.check()

    def _add(self, item: Perturbation, pattern: str, drawn: Draws) -> None:
        """Connect a perturbation to every parameter it means; they share its draws."""
        parameters = self._parameters
        known = parameters.names() if parameters else ()
        groups: Groups = getattr(parameters, "groups", NO_GROUPS)
        names = matching(pattern, known, groups)
        impossible: Mapping[str, str] = getattr(parameters, "impossible", {})
        for name in [] if names else matching(pattern, impossible):
            raise Sim2RealError(impossible[name])
        if parameters is None or not names:
            hint = "" if known else " Give Perturbed some parameters, such as Attributes(env, {...})."
            group = pattern.rpartition(".")[0]
            named = dict.fromkeys(
                f"{group}.{name.rpartition('.')[2]}" for name in matching(f"{group}.*", known, groups)
            )
            raise Sim2RealError(f"There is no parameter '{pattern}'.{nearest(pattern, named or known)}{hint}")
        for name in names:
            spec = parameters.spec(name)
            if not spec.live and item.every != "episode":
                raise Sim2RealError(
                    f"'{item.label}': {name} acts from a reset on, so every must be 'episode'."
                )
            lasts = isinstance(item.every, Schedule) and not isinstance(item.every, At)
            if spec.transient and (lasts or getattr(item.every, "lasting_s", None) is not None):
                raise Sim2RealError(f"'{item.label}': setting {name} acts at one moment and cannot last.")
            if any(name in layer._knobs for layer in self._inner):
                raise Sim2RealError(
                    f"'{item.label}': a Perturbed inside this one has {name}; put both into one."
                )
            if item.acts:
                self.knobs.setdefault(name, _Knob(name, spec, parameters)).add(item, drawn)
        if item.acts:
            self.draws.append(drawn)


class _Knob:
    """One parameter and what turns it, in order."""

    def __init__(self, name: str, spec: Parameter, parameters: Parameters) -> None:
        self.transient = self.moves = spec.transient
        self.name, self._spec, self._set = name, spec, parameters.set
        self._items: list[Perturbation] = []
        self._chain: list[Draws] = []

    def add(self, item: Perturbation, drawn: Draws) -> None:
        self._items.append(item)
        self._chain.append(drawn)
        self.moves |= item.every != "episode"

    def check(self) -> None:
        """Raise if all together can leave the parameter's bounds; only far tails are cut off there."""
        reached: Support = ((self._spec.nominal, self._spec.nominal),)
        for item in self._items:
            reached = item.reach(reached)
        low, high = hull(reached)
        if low < self._spec.low or high > self._spec.high:
            raise Sim2RealError(
                f"{' and '.join(repr(item.label) for item in self._items)} can make {self.name} "
                f"{shown(low if low < self._spec.low else high)} {self._spec.unit}; it must stay within "
                f"[{shown(self._spec.low)}, {shown(self._spec.high)}]."
            )

    def step(self, told: dict[str, Any]) -> None:
        """Turn it if it changes at this moment."""
        if self.transient:
            told.pop(self.name, None)
        if any([drawn.changed for drawn in self._chain]):
            self.turn(told)

    def turn(self, told: dict[str, Any]) -> None:
        """Set what the perturbations that act now make of the nominal value."""
        value = self._spec.nominal
        for drawn in self._chain:
            if drawn.amount is not None and (drawn.changed or not self.transient):
                value = drawn.apply(value, drawn.amount, None)[0]
        value = min(max(value, self._spec.low), self._spec.high)
        told[self.name] = value = float(round(value)) if self._spec.whole else value
        self._set(self.name, value)

    def restore(self) -> None:
        if not self.transient:
            self._set(self.name, self._spec.nominal)


class _Signal:
    """The observations or the actions, and what is done to them, in order."""

    def __init__(self, side: str, space: spaces.Space[Any], names: Mapping[str, slice]) -> None:
        self.space = space  # widened where perturbed values can lie
        self._side, self._names = side, names
        self._copied: dict[str | None, Any] = {}  # dtypes of arrays to change in place, by key of a Dict
        self._live: list[_Live] = []

    def add(self, item: Perturbation, part: str, occurrence: int, period_s: float | None) -> None:
        """Find the part that is meant and get ready to do the operation there."""
        operation, space = OPERATIONS[item.operation], self.space
        key = index = None
        if isinstance(space, spaces.Dict) and part:
            if part not in space.spaces:
                raise Sim2RealError(f"The {self._side} has no part '{part}'.{nearest(part, space.spaces)}")
            key, space, part = part, space[part], ""
        if isinstance(space, ARRAYS):
            index = self._index(part, space.shape) if part else ...
        elif part:
            raise Sim2RealError(f"'{item.target}': the {self._side} is {space}, which has no parts.")
        _check(item, space, index)
        if not item.acts:
            return
        if index is not None:
            self._copied[key] = space.dtype
        if isinstance(space, spaces.Box) and not operation.remembers:
            wide: spaces.Space[Any] = _widened(space, index)
            self.space = wide if key is None else spaces.Dict({**self.space.spaces, key: wide})  # type: ignore[attr-defined]
        # What is drawn together with others is one number, whatever the size of the part.
        each = operation.each and index is not None and not isinstance(item.amount, Column)
        shape = np.empty(space.shape or ())[index].shape if each else ()
        drawn = draws(item, occurrence, shape, period_s)
        self._live.append(_Live(item, occurrence, drawn, key, index, space.dtype))

    def _index(self, part: str, shape: tuple[int, ...]) -> slice:
        numbers = re.fullmatch(r"(\d+)(?::(\d+))?", part)
        if part in self._names:
            index = self._names[part]
        elif numbers:
            index = slice(int(numbers[1]), int(numbers[2] or int(numbers[1]) + 1))
        else:
            raise Sim2RealError(f"The {self._side} has no part '{part}'.{nearest(part, self._names)}")
        size = shape[0] if shape else 0
        if not (isinstance(index, slice) and 0 <= index.start < index.stop <= size):
            raise Sim2RealError(
                f"'{self._side}:{part}' is {index}, but the {self._side} has {size} components."
            )
        return index

    def start(self, told: dict[str, Any], *episode: int) -> None:
        for live in self._live:
            live.memory = None
            live.drawn.start(*episode)
            live.tell(told)

    def __call__(self, value: Any, told: dict[str, Any]) -> Any:
        """Return the perturbed value of this step; the one given stays as it is."""
        if not self._live:
            return value
        if None in self._copied:
            value = np.array(value, self._copied[None])
        elif isinstance(value, dict):
            value = {**value, **{key: np.array(value[key], dtype) for key, dtype in self._copied.items()}}
        for live in self._live:
            value = live(value, told)
        return value


class _Live:
    """One operation on a signal during an episode: the value that describes it, and its memory."""

    def __init__(
        self, item: Perturbation, occurrence: int, drawn: Draws, key: str | None, index: Any, dtype: Any
    ) -> None:
        operation = OPERATIONS[item.operation]
        self.drawn, self._source, self.memory = drawn, drawn.source, None
        kind = item.identity[2]
        self._name = f"{item.operation} {item.target}"
        self._name += "" if kind == "episode" else f" every {kind}"
        self._name += " jointly" if isinstance(item.amount, Column) else ""
        self._name += f" #{occurrence + 1}" if occurrence else ""
        self._remembers = operation.remembers
        self._key, self._index = key, index
        self._copies = isinstance(item.amount, Amount) and not isinstance(item.amount, Column)
        self._copies &= operation.each and index is not None
        whole_numbers = dtype is not None and dtype.kind in "iu" and not operation.remembers
        self._whole = np.iinfo(dtype) if whole_numbers else None

    def __call__(self, signal: Any, told: dict[str, Any]) -> Any:
        """Return the signal with the operation done; arrays are changed in place."""
        drawn, key, index = self.drawn, self._key, self._index
        drawn.tick()
        amount = drawn.amount
        self.tell(told)
        if amount is None:
            if not self._remembers:
                return signal
            amount = 0.0
        holder = signal if key is None else signal[key]
        value = holder if index is None else holder[index]
        if self._remembers:
            value = deepcopy(value) if index is None else value.copy()
        value, self.memory = drawn.apply(value, amount, self.memory)
        if self._whole is not None:
            value = np.clip(np.rint(value), self._whole.min, self._whole.max).astype(self._whole.dtype)
        if index is not None:
            holder[index] = value
            return signal
        value = deepcopy(value)
        if key is None:
            return value
        signal[key] = value
        return signal

    def tell(self, told: dict[str, Any]) -> None:
        """Note the amount that acts now."""
        amount = self._source.amount
        if amount is None:
            told.pop(self._name, None)
        else:
            # A copy, as nobody may change, or keep alive, the block of draws.
            told[self._name] = amount.copy() if self._copies else amount


def _check(item: Perturbation, space: spaces.Space[Any], index: Any) -> None:
    """Raise if an operation makes no sense on a part of a space."""
    operation = OPERATIONS[item.operation]
    if isinstance(space, spaces.Box) or operation.remembers:
        return
    if operation.arithmetic or not isinstance(space, (spaces.Discrete, *ARRAYS)):
        hint = f" Name one of its parts: {', '.join(space)}." if isinstance(space, spaces.Dict) else ""
        raise Sim2RealError(
            f"'{item.label}': there are no numbers in {space}; delay and hold work there.{hint}"
        )
    if isinstance(space, spaces.MultiBinary):
        low, high = np.zeros(space.shape), np.ones(space.shape)
    else:
        low = np.asarray(space.start)  # type: ignore[union-attr]
        high = low + (space.n if isinstance(space, spaces.Discrete) else space.nvec) - 1  # type: ignore[union-attr]
    least, most = hull(item.support) if item.acts else (low[index], high[index])
    partly = item.strength not in (0, 1) or isinstance(item.every, Ramp | Sine)
    if np.any(least < low[index]) or np.any(most > high[index]) or partly:
        raise Sim2RealError(f"'{item.label}': that is not always a value of {space}.")


def _widened(space: spaces.Box, index: Any) -> spaces.Box:
    """Return the space with the bounds of a part as wide as its dtype."""
    dtype: Any = space.dtype
    limits = np.iinfo(dtype) if dtype.kind in "iu" else None
    low, high = space.low.copy(), space.high.copy()
    low[index], high[index] = (limits.min, limits.max) if limits else (-np.inf, np.inf)
    return spaces.Box(low, high, dtype=dtype.type)


def _within(space: spaces.Space[Any], other: spaces.Space[Any]) -> bool:
    """Tell whether a space, made of another one by widening parts of it, has no wider bounds."""
    if isinstance(space, spaces.Dict) and isinstance(other, spaces.Dict):
        return all(_within(space[key], other[key]) for key in space)
    if isinstance(space, spaces.Box) and isinstance(other, spaces.Box):
        return bool(np.all(space.low >= other.low) and np.all(space.high <= other.high))
    return bool(space == other)


def _alike(env: Env, space: str) -> bool:
    """Tell whether the bare environment's names still fit, that is, no wrapper reshaped its signal."""
    bare = getattr(env.unwrapped, space, None)  # robosuite's has no spaces
    return bare is not None and bool(getattr(env, space).shape == bare.shape)


def layers(env: Env) -> Iterator[Env]:
    """Return the wrappers of an environment, the outermost first."""
    while isinstance(env, gym.Wrapper):
        yield env
        env = env.env


def control_period_s(env: Env) -> float | None:
    """Return the time between two steps in seconds, None where the environment does not say."""
    bare = env.unwrapped
    fps = env.metadata.get("render_fps")
    for found in (
        getattr(bare, "control_period_s", None),
        getattr(bare, "dt", None),
        1.0 / fps if fps else None,
    ):
        if isinstance(found, int | float) and found > 0:
            return float(found)
    return None

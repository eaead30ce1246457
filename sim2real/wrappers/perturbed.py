"""The wrapper that makes perturbations, which are values, happen to an environment."""

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from copy import deepcopy
from itertools import accumulate, combinations
from math import prod
from typing import Any, NamedTuple

import gymnasium as gym
import numpy as np
from gymnasium import spaces
from gymnasium.utils import RecordConstructorArgs
from gymnasium.utils.env_checker import data_equivalence
from gymnasium.wrappers import Autoreset

from sim2real.errors import Sim2RealError, nearest
from sim2real.perturb import OPERATIONS, Make, Parameter, Parameters, Perturbation
from sim2real.perturb.amounts import Amount, Support, hull, shown
from sim2real.perturb.joint import Column
from sim2real.perturb.parameters import NO_GROUPS, Groups, globs, matching
from sim2real.perturb.schedules import At, Ramp, Schedule, Sine
from sim2real.perturb.streams import Draws, draws, next_episode
from sim2real.wrappers.checked import Checking, misplaced
from sim2real.wrappers.parameters import confirm, must_have, own_parameters, together
from sim2real.wrappers.period import first_step, period_of

Env = gym.Env[Any, Any]
ARRAYS = (spaces.Box, spaces.MultiDiscrete, spaces.MultiBinary)
PARTED = (spaces.Dict, spaces.Tuple)
FINAL = ("final_observation", "final_obs", "terminal_observation")
"""Where environments that reset by themselves tell what was seen last."""


class Perturbed(Checking, RecordConstructorArgs):
    """Put perturbations around an environment.

    At a reset: set the parameters drawn for the episode and all others back to nominal, reset the
    environment, set its transient parameters, perturb the observation. At a step: set the parameters that are
    due, perturb the action, step the environment, perturb the observation. What shares a target acts in the
    order given.

    Draws depend on the reset seed and on the perturbation alone; a reset without a seed goes on from the last
    one, counting episodes. ``info["parameters"]`` tells what acts: perturbed parameters by name with their
    value (transient ones when they are set), and operations on signals with their amount: "add
    observation:gyro" is a bias, "delay action every step" is jitter. An array that is drawn in every step, as noise
    is, is not told: the seed draws it again.

    Where an observation is changed other than by ``delay`` or ``hold``, its bounds are as wide as its dtype.
    Actions are passed on as they are made, not clipped to the action space. Arrays keep the dtype that they come
    in, whatever the space says; only what is no float in a space of floats becomes one where it is changed.

    Args:
        env: the environment, which may be perturbed already. What resets by itself (``Autoreset``, a vector) goes
            around Perturbed, which has to see every reset.
        perturbations: what to do to it.
        parameters: its parameters, or a function of the environment that returns them, as `discover` and
            ``Mujoco.of`` do; None for ``env.unwrapped.parameters``, if any.
        terms: names of parts of the observation: slices of a vector, or in a Dict or Tuple the place that a
            target would name ("observation:0:3"); None for ``env.unwrapped.observation_terms``, if any.
        period_s: time between steps, for Interval, Drift and schedules; None for what the environment says, where
            its sources agree and the simulator's clock does not contradict them in the first step.

    Raises:
        Sim2RealError: if a perturbation does not fit the environment; in a step only if the environment breaks
            its word: by its clock, by an array of another shape than its space has, by a reset of its own.
    """

    timed: str
    """Who needs to know the time between steps and has not yet seen one, empty for nobody."""

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
        terms: Mapping[str, slice | str] | None = None,
        period_s: float | None = None,
    ) -> None:
        _check_env(env)
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
        self._episode, self._running, self._ended = 0, False, False
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
        self._period, self.timed = plan.period, plan.timed
        self._moving = [knob for knob in plan.knobs.values() if knob.moves]
        self._lasting = [knob for knob in plan.knobs.values() if not knob.transient]
        self._next = None

    def _check_nominal(self) -> None:
        """Raise if a parameter is off its nominal value and no inner wrapper says so: no record would tell."""
        held = {name for layer in self._inner for name in layer._knobs}
        table = self.parameters
        if table is None:
            return
        # What was set counts: what is read may be a draw of the environment's own.
        wanted = getattr(table, "wanted", table.get)
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
        self._running, self._ended, self._told = True, False, {}
        for signal in (self._observation, self._action):
            signal.start(self._told, self._seed, self._episode)
        for knob in self._knobs.values():
            knob.acted.clear()
        with together(self.parameters):
            for knob in self._lasting:
                knob.turn(self._told)
        observation, info = self._checked.reset(seed=seed, options=options)
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
        if self.timed:
            outcome, period = first_step(self.env, action, self._period, self._checked.step)
            period.needed(self.timed)
            self.timed = ""
        else:
            outcome = self._checked.step(action)
        observation, reward, terminated, truncated, info = outcome
        if terminated or truncated or self._ended:
            self._end(bool(terminated or truncated), observation, info)
        if self._unread or ((terminated or truncated) and self._lasting):
            self._read_back()
        return self._observation(observation, told), reward, terminated, truncated, self._tell(info)

    def _read_back(self) -> None:
        """See in the first and the last step of an episode that the environment leaves alone what was set."""
        self._unread = False
        wanted = {knob.name: self._told[knob.name] for knob in self._lasting}
        must_have(self.parameters, wanted, "The environment takes it back while an episode runs.")

    def _end(self, ended: bool, observation: Any, info: dict[str, Any]) -> None:
        """Raise if what ended went on without a reset that could be seen: what is seen now is not what was last."""
        last = [info[name] for name in FINAL if name in info]
        if not ended or not all(data_equivalence(observation, one) for one in last):
            raise Sim2RealError(
                "The environment went on after the end of an episode without a reset that Perturbed saw, so "
                "nothing was drawn anew. Call reset; where the environment resets by itself, turn that off, or "
                "put Perturbed inside of what resets it."
            )
        self._ended = True

    @property
    def inert(self) -> tuple[str, ...]:
        """Labels of the perturbations that have changed no value in this episode so far.

        Such as a factor of what is zero, a lag of what never changes, or an event that has not come yet.
        """
        acted = self._observation.acted | self._action.acted
        acted |= {item for knob in self._knobs.values() for item in knob.acted}
        return tuple(item.label for item in self.perturbations if item.acts and id(item) not in acted)

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
        terms = wrapper._terms
        if terms is None:
            terms = getattr(bare, "observation_terms", {}) if _alike(env, "observation_space") else {}
        actions = getattr(bare, "action_names", ()) if _alike(env, "action_space") else ()
        numbered = {name: slice(i, i + 1) for i, name in enumerate(actions)}
        self.observation = _Signal("observation", env.observation_space, terms)
        self.action = _Signal("action", env.action_space, numbered)
        self.period, self.timed = period_of(env, wrapper._period_s), ""
        period_s = self.period.period_s
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
            if item.timed:
                self.timed = self.timed or f"'{item.label}'"
                self.period.needed(f"'{item.label}'")
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
        self.acted: set[int] = set()  # ids of perturbations that have changed the value in this episode

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
        for item, drawn in zip(self._items, self._chain, strict=True):
            if drawn.amount is not None and (drawn.changed or not self.transient):
                before, value = value, drawn.apply(value, drawn.amount, None)[0]
                if value != before:
                    self.acted.add(id(item))
        value = min(max(value, self._spec.low), self._spec.high)
        told[self.name] = value = float(round(value)) if self._spec.whole else value
        self._set(self.name, value)

    def restore(self) -> None:
        if not self.transient:
            self._set(self.name, self._spec.nominal)


class _Place(NamedTuple):
    """Where something lies in a signal, and which part of it is meant.

    Attributes:
        path: keys of Dicts and places in Tuples, from the outside inwards.
        space: of what lies there.
        index: of the part of an array, None for what is no array.
    """

    path: tuple[Any, ...]
    space: spaces.Space[Any]
    index: Any

    @property
    def shape(self) -> tuple[int, ...]:
        """Of the part."""
        return () if self.index is None else np.empty(self.space.shape or ())[self.index].shape

    def overlaps(self, other: "_Place") -> bool:
        """Tell whether the two have something in common."""
        shorter = min(len(self.path), len(other.path))
        if self.path[:shorter] != other.path[:shorter]:
            return False
        if isinstance(self.index, slice) and isinstance(other.index, slice):
            return bool(max(self.index.start, other.index.start) < min(self.index.stop, other.index.stop))
        return True


class _Signal:
    """The observations or the actions, and what is done to them, in order."""

    def __init__(self, side: str, space: spaces.Space[Any], names: Mapping[str, slice | str]) -> None:
        self.space = space  # widened where perturbed values can lie
        self._side, self._names = side, names
        # What has to be copied: an array, told by the dtype that it needs (True for any), or parts of a Dict or
        # Tuple by their keys.
        self._own: Any = None
        self._tuples = False
        self._live: list[_Live] = []

    def add(self, item: Perturbation, part: str, occurrence: int, period_s: float | None) -> None:
        """Find what is meant and get ready to do the operation there.

        What has parts is drawn whole, one part after the other; what stands in braces shares a draw.
        """
        operation = OPERATIONS[item.operation]
        parts = dict.fromkeys(one for name in globs(part) for one in globs(self._meant(name)))
        copies = [self._places(item, one) for one in parts]
        shapes = [[place.shape for place in copy] for copy in copies]
        # What is drawn together with others is one number, whatever the size of the part.
        each = operation.each and isinstance(item.amount, Amount) and not isinstance(item.amount, Column)
        if each and any(one != shapes[0] for one in shapes):
            raise Sim2RealError(
                f"'{item.label}': parts in braces are copies of one signal and take one draw, but their shapes "
                f"differ: {', '.join(str(one)[1:-1] for one in shapes)}."
            )
        for one, other in combinations(copies, 2):
            if any(place.overlaps(another) for place in one for another in other):
                raise Sim2RealError(f"'{item.label}': the parts in braces overlap.")
        if not item.acts:
            return
        sizes = [prod(shape) for shape in shapes[0]]
        whole = shapes[0][0] if len(sizes) == 1 else (sum(sizes),)
        drawn = draws(item, occurrence, whole if each else (), period_s)
        for copy in copies:
            ends = accumulate(sizes) if each and len(sizes) > 1 else [None] * len(copy)
            for place, end in zip(copy, ends, strict=True):
                share = None if end is None else slice(end - prod(place.shape), end)
                leads = place is copies[0][0]
                live = _Live(item, occurrence, drawn, place, share, leads=leads, copies=each and whole != ())
                self._live.append(live)
                self._take(place, operation.remembers)

    def _meant(self, part: str) -> str:
        """Return where a part lies that a name stands for."""
        named = self._names.get(part)
        return named if isinstance(named, str) else part

    def _places(self, item: Perturbation, part: str) -> list[_Place]:
        """Return what a part of a target means: one place, or every leaf of what has parts and is computed with."""
        path, space, rest = self._walk(part)
        name = ":".join((self._side, *map(str, path)))
        if rest and not isinstance(space, ARRAYS):
            raise Sim2RealError(f"'{item.target}': the {name} is {space}, which has no parts.")
        if not isinstance(space, PARTED) or OPERATIONS[item.operation].remembers:
            index = self._index(name, rest, space.shape or ()) if rest else _all(space)
            if wrong := _misfit(item, space, index):
                raise Sim2RealError(f"'{item.label}': {wrong}")
            return [_Place(path, space, index)]
        found = {":".join(map(str, inner)): (inner, leaf) for inner, leaf in leaves(space)}
        wrongs = {known: _misfit(item, leaf, _all(leaf)) for known, (_, leaf) in found.items()}
        for known, wrong in wrongs.items():
            if wrong:
                fitting = ", ".join(f"{name}:{one}" for one in wrongs if not wrongs[one])
                hint = f" Name the parts that are meant, each in a perturbation of its own: {fitting}."
                raise Sim2RealError(f"'{item.label}': in {name}:{known}, {wrong}{hint if fitting else ''}")
        if not found:
            raise Sim2RealError(f"'{item.label}': the {name} is empty.")
        return [_Place((*path, *inner), leaf, _all(leaf)) for inner, leaf in found.values()]

    def _walk(self, part: str) -> tuple[tuple[Any, ...], spaces.Space[Any], str]:
        """Go down as far as there are parts, and return the way, what lies there, and what is left to be named."""
        space, path, rest = self.space, [], part
        while rest and isinstance(space, PARTED):
            names = _keys(space)
            words = rest.split(":")
            # A name may have colons of its own.
            name = next(
                (one for n in range(len(words), 0, -1) if (one := ":".join(words[:n])) in names), None
            )
            if name is None:
                known = [":".join(map(str, inner)) for inner, _ in leaves(self.space)]
                raise Sim2RealError(f"The {self._side} has no part '{part}'.{nearest(part, known)}")
            path.append(names[name])
            space, rest = space[names[name]], rest[len(name) + 1 :]  # type: ignore[index]
        return tuple(path), space, rest

    def _index(self, name: str, part: str, shape: tuple[int, ...]) -> slice:
        names = {} if isinstance(self.space, PARTED) else self._names
        numbers = re.fullmatch(r"(\d+)(?::(\d+))?", part)
        if part in names:
            index = names[part]
        elif numbers:
            index = slice(int(numbers[1]), int(numbers[2] or int(numbers[1]) + 1))
        else:
            raise Sim2RealError(f"The {name} has no part '{part}'.{nearest(part, names)}")
        size = shape[0] if shape else 0
        if not (isinstance(index, slice) and 0 <= index.start < index.stop <= size):
            raise Sim2RealError(f"'{name}:{part}' is {index}, but the {name} has {size} components.")
        return index

    def _take(self, place: _Place, remembers: bool) -> None:
        """Note what has to be copied, for it is changed in place, and which bounds widen."""
        path, space, index = place
        needed = None if index is None else True if remembers else space.dtype
        self._own = _with(self._own, path, needed)
        self._tuples |= any(
            isinstance(_at(self.space, path[:depth]), spaces.Tuple) for depth in range(len(path))
        )
        if isinstance(space, spaces.Box) and not remembers:
            # The space now, as another copy may have widened it.
            self.space = _replaced(self.space, path, _widened(_at(self.space, path), index))

    def start(self, told: dict[str, Any], *episode: int) -> None:
        for live in self._live:
            live.start(told, *episode)

    @property
    def acted(self) -> set[int]:
        """Ids of the perturbations that have changed the signal in this episode."""
        return {id(live.item) for live in self._live if live.acted}

    def check(self, value: Any) -> None:
        """Raise if a value that is to be perturbed has another form than its space says."""
        if wrong := misplaced(self.space, value, self._side):
            raise Sim2RealError(f"{wrong[0].upper()}{wrong[1:]}.")

    def __call__(self, value: Any, told: dict[str, Any]) -> Any:
        """Return the perturbed value of this step; the one given stays as it is."""
        if not self._live:
            return value
        own = self._own
        try:
            if type(own) is dict or own is None:
                value = _owned(value, own)
            else:  # an array, mostly of the right dtype: what `_owned` does, without a call
                value = np.array(value)
                dtype = value.dtype
                if dtype is not own and own is not True and dtype != own:
                    value = _owned(value, own)
            for live in self._live:
                value = live(value, told)
        except (KeyError, IndexError, TypeError, ValueError):
            self.check(value)
            raise
        return _returned(value, own) if self._tuples else value


class _Live:
    """One operation on one place of a signal during an episode: the value that describes it, and its memory.

    Args:
        item: the perturbation.
        occurrence: how many of the same identity come before it.
        drawn: its draws, which all of its places share.
        place: where it acts.
        share: what of the draw is for this place, None for all of it.
        leads: whether it is the first of the places, which draws, and tells, for all of them.
        copies: whether what it draws is an array.
    """

    def __init__(
        self,
        item: Perturbation,
        occurrence: int,
        drawn: Draws,
        place: _Place,
        share: slice | None,
        *,
        leads: bool,
        copies: bool,
    ) -> None:
        operation, dtype = OPERATIONS[item.operation], place.space.dtype
        self.drawn, self._source, self._memory = drawn, drawn.source, None
        self.item, self.acted = item, False
        kind = item.identity[2]
        self._name = f"{item.operation} {item.target}"
        self._name += "" if kind == "episode" else f" every {kind}"
        self._name += " jointly" if isinstance(item.amount, Column) else ""
        self._name += f" #{occurrence + 1}" if occurrence else ""
        self._remembers, self._leads, self._copies = operation.remembers, leads, copies
        self._tells = not (copies and kind == "step")
        self._array, self._share, self._shape = place.index is not None, share, place.shape
        # From the whole signal to what holds the value, and the value's place in there.
        self._path, self._index = place.path, place.index
        if place.path and not self._array:
            self._path, self._index = place.path[:-1], place.path[-1]
        whole_numbers = dtype is not None and dtype.kind in "iu" and not operation.remembers
        self._whole = np.iinfo(dtype) if whole_numbers else None  # type: ignore[type-var]

    def start(self, told: dict[str, Any], *episode: int) -> None:
        """Forget the last episode, and draw for this one."""
        self._memory, self.acted = None, False
        if self._leads:
            self.drawn.start(*episode)
            if self._tells:
                self._tell(told)

    def __call__(self, signal: Any, told: dict[str, Any]) -> Any:
        """Return the signal with the operation done; what holds the place is changed."""
        drawn, index = self.drawn, self._index
        if self._leads:
            drawn.tick()
            if self._tells and (self._copies or self._source.changed):
                self._tell(told)
        amount = drawn.amount
        if amount is None:
            if not self._remembers:
                return signal
            amount = 0.0
        elif self._share is not None:
            amount = amount[self._share].reshape(self._shape)
        holder = signal
        if self._path:
            for key in self._path:
                holder = holder[key]
        value = holder if index is None else holder[index]
        if self._remembers:
            value = value.copy() if self._array else deepcopy(value)
        before = value
        value, self._memory = drawn.apply(value, amount, self._memory)
        if self._whole is not None:
            value = np.clip(np.rint(value), self._whole.min, self._whole.max).astype(self._whole.dtype)
        if not self.acted:
            same = (
                np.array_equal(before, value) if self._array else data_equivalence(before, value, exact=True)
            )
            self.acted = not same
        if not self._array:
            value = deepcopy(value)
        if index is None:
            return value
        holder[index] = value
        return signal

    def _tell(self, told: dict[str, Any]) -> None:
        """Note the amount that acts now."""
        amount = self._source.amount
        if amount is None:
            told.pop(self._name, None)
        else:
            # A copy, as nobody may change, or keep alive, the block of draws.
            told[self._name] = amount.copy() if self._copies else amount


def _misfit(item: Perturbation, space: spaces.Space[Any], index: Any) -> str:
    """Return why an operation makes no sense on a part of a space, "" if it does."""
    operation = OPERATIONS[item.operation]
    if isinstance(space, spaces.Box) or operation.remembers:
        return ""
    if operation.arithmetic or not isinstance(space, (spaces.Discrete, *ARRAYS)):
        return f"there are no numbers in {space}; delay and hold work there."
    if isinstance(space, spaces.MultiBinary):
        low, high = np.zeros(space.shape), np.ones(space.shape)
    else:
        low = np.asarray(space.start)  # type: ignore[union-attr]
        high = low + (space.n if isinstance(space, spaces.Discrete) else space.nvec) - 1  # type: ignore[union-attr]
    least, most = hull(item.support) if item.acts else (low[index], high[index])
    partly = item.strength not in (0, 1) or isinstance(item.every, Ramp | Sine)
    if np.any(least < low[index]) or np.any(most > high[index]) or partly:
        return f"that is not always a value of {space}."
    return ""


def leaves(space: spaces.Space[Any]) -> Iterator[tuple[tuple[Any, ...], spaces.Space[Any]]]:
    """Return all that has no parts in a space, and the way there: keys of Dicts, places in Tuples.

    >>> [path for path, _ in leaves(spaces.Dict(a=spaces.Tuple([spaces.Discrete(2)] * 2), b=spaces.Text(3)))]
    [('a', 0), ('a', 1), ('b',)]
    """
    if not isinstance(space, PARTED):
        yield (), space
        return
    for key in _keys(space).values():
        for path, leaf in leaves(space[key]):
            yield (key, *path), leaf


def _keys(space: spaces.Space[Any]) -> dict[str, Any]:
    """Return the keys of what has parts, by the names that targets give them."""
    keys = space.spaces if isinstance(space, spaces.Dict) else range(len(space.spaces))  # type: ignore[attr-defined]
    return {str(key): key for key in keys}


def _all(space: spaces.Space[Any]) -> Any:
    """Return the index of all of an array, None for what is none."""
    return ... if isinstance(space, ARRAYS) else None


def _at(space: Any, path: tuple[Any, ...]) -> Any:
    for key in path:
        space = space[key]
    return space


def _replaced(space: Any, path: tuple[Any, ...], leaf: spaces.Space[Any]) -> spaces.Space[Any]:
    """Return the space with another leaf, its parts in the same order."""
    if not path:
        return leaf
    parts = [
        (key, _replaced(space[key], path[1:], leaf) if key == path[0] else space[key])
        for key in _keys(space).values()
    ]
    return spaces.Dict(parts) if isinstance(space, spaces.Dict) else spaces.Tuple([part for _, part in parts])


def _with(own: Any, path: tuple[Any, ...], needed: Any) -> Any:
    """Return what has to be copied, with one more place: an array, by the dtype it needs, or None."""
    if path:
        inner = own or {}
        return {**inner, path[0]: _with(inner.get(path[0]), path[1:], needed)}
    return needed if own is None or own is True else own


def _owned(value: Any, own: Any) -> Any:
    """Return the value with what is changed in place copied, and a list where a tuple is changed.

    An array keeps its dtype, if that can hold all that the needed one can.
    """
    if own is None:
        return value
    if not isinstance(own, dict):
        array = np.array(value)
        fits = own is True or own == array.dtype or np.can_cast(own, array.dtype)
        return array if fits else array.astype(own)
    if isinstance(value, dict):
        copy = value.copy()
        for key, inner in own.items():
            copy[key] = _owned(value[key], inner)
        return copy
    parts = {key: _owned(value[key], inner) for key, inner in own.items()}
    return [parts.get(place, part) for place, part in enumerate(value)]


def _returned(value: Any, own: Any) -> Any:
    """Return what `_owned` made lists of as tuples again."""
    if not isinstance(own, dict):
        return value
    if isinstance(value, dict):
        return {key: _returned(part, own.get(key)) for key, part in value.items()}
    return tuple(_returned(part, own.get(place)) for place, part in enumerate(value))


def _widened(space: spaces.Box, index: Any) -> spaces.Box:
    """Return the space with the bounds of a part as wide as its dtype."""
    dtype: Any = space.dtype
    limits = np.iinfo(dtype) if dtype.kind in "iu" else None
    low, high = space.low.copy(), space.high.copy()
    low[index], high[index] = (limits.min, limits.max) if limits else (-np.inf, np.inf)
    return spaces.Box(low, high, dtype=dtype.type)


def _within(space: spaces.Space[Any], other: spaces.Space[Any]) -> bool:
    """Tell whether a space, made of another one by widening parts of it, has no wider bounds."""
    if isinstance(space, PARTED) and isinstance(other, PARTED):
        return all(_within(space[key], other[key]) for key in _keys(space).values())
    if isinstance(space, spaces.Box) and isinstance(other, spaces.Box):
        return bool(np.all(space.low >= other.low) and np.all(space.high <= other.high))
    return bool(space == other)


def _alike(env: Env, space: str) -> bool:
    """Tell whether the bare environment's names still fit, that is, no wrapper reshaped its signal."""
    bare = getattr(env.unwrapped, space, None)  # robosuite's has no spaces
    return bare is not None and bool(getattr(env, space).shape == bare.shape)


def _check_env(env: Any) -> None:
    """Raise for what is no environment, or one whose resets could not be seen."""
    single = isinstance(env, gym.Env)
    count = getattr(env.unwrapped if single else env, "num_envs", 0)
    if isinstance(count, int) and count > single:
        raise Sim2RealError(
            "Perturbed goes around each environment of a vector, not around the vector: SyncVectorEnv([lambda: "
            "Perturbed(...), ...]), gymnasium.make_vec(..., wrappers=[...]), or wrapper_class=Perturbed in "
            "Stable-Baselines3's make_vec_env."
        )
    if not single:
        raise Sim2RealError(f"Perturbed takes a gymnasium.Env; {env!r} is none.")
    if any(isinstance(layer, Autoreset) for layer in layers(env)):
        raise Sim2RealError(
            "Perturbed would not see the resets of an Autoreset inside of it, and draw nothing anew: put the "
            "Perturbed inside, Autoreset(Perturbed(env, ...))."
        )


def layers(env: Env) -> Iterator[Env]:
    """Return the wrappers of an environment, the outermost first."""
    while isinstance(env, gym.Wrapper):
        yield env
        env = env.env

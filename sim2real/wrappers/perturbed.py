"""The wrapper that makes perturbations, which are values, happen to an environment."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import gymnasium as gym
from gymnasium.utils import RecordConstructorArgs
from gymnasium.utils.env_checker import data_equivalence
from gymnasium.wrappers import Autoreset

from sim2real.errors import Sim2RealError, nearest
from sim2real.perturb import Make, Parameter, Parameters, Perturbation
from sim2real.perturb.amounts import Support, hull, shown
from sim2real.perturb.parameters import NO_GROUPS, Groups, matching
from sim2real.perturb.schedules import At, Schedule
from sim2real.perturb.streams import Draws, draws, next_episode
from sim2real.wrappers.checked import Checking
from sim2real.wrappers.parameters import confirm, is_table, must_have, own_parameters, together
from sim2real.wrappers.period import period_of
from sim2real.wrappers.signals import Signal, within

Env = gym.Env[Any, Any]
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

    _wrapped: bool = False
    _draws: "list[Draws]"
    _knobs: "dict[str, _Knob]"
    _moving: "list[_Knob]"
    _lasting: "list[_Knob]"
    _clock: float | None
    _observation: "Signal"
    _action: "Signal"

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
        if not (parameters is None or is_table(parameters)):
            raise Sim2RealError(
                f"parameters must have names, spec, get and set, as Attributes(env, {{...}}) and discover(env) do; "
                f"{parameters!r} has not."
            )
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
        if not within(plan.observation.space, self.observation_space):
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
        self._clock = getattr(self.parameters, "clock", None) if self._lasting else None
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
        observation, reward, terminated, truncated, info = self._timed_step(action)
        if terminated or truncated or self._ended:
            self._end(bool(terminated or truncated), observation, info)
        ends = terminated or truncated
        if self._unread or (self._lasting and (ends or getattr(self.parameters, "replaced", False))):
            self.read_back()
        return self._observation(observation, told), reward, terminated, truncated, self._tell(info)

    def read_back(self) -> None:
        """See that the environment leaves alone what was set: in the first and last step, and in another engine.

        Raises:
            Sim2RealError: for a value that was told and is not what the engine has.
        """
        self._unread = False
        if self._clock is not None and getattr(self.parameters, "clock", None) == self._clock:
            raise Sim2RealError(
                f"A step does not move the simulation whose parameters are perturbed "
                f"({getattr(self.parameters, 'source', '')}): give those of the one that is meant."
            )
        self._clock = None
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
        self.observation = Signal("observation", env.observation_space, terms)
        self.action = Signal("action", env.action_space, numbered)
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

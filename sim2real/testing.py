"""The laws an environment must keep for perturbations to mean anything, for use in anybody's tests.

`check_parameters` sees that parameters act and can be undone, `check_perturbed` that perturbing is repeatable
and reversible; `EchoEnv` is a tiny environment to try things on.
"""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import replace
from functools import partial
from itertools import zip_longest
from typing import Any, ClassVar, NamedTuple

import gymnasium as gym
import numpy as np
from numpy.typing import NDArray

from sim2real.errors import Sim2RealError, nearest
from sim2real.perturb import Normal, Parameter, Parameters, Perturbation, add, delay, hold
from sim2real.wrappers import Perturbed
from sim2real.wrappers.checked import checked
from sim2real.wrappers.parameters import confirm, differs, own_parameters
from sim2real.wrappers.signals import leaves

Env = gym.Env[Any, Any]
Array = NDArray[np.float32]
Trace = list[tuple[bytes, bytes]]  # of every step: the observation, and the reward with what ended it
Change = Callable[[], None]


class EchoEnv(gym.Env[Array, Array]):
    """An environment that shows what happens to it: the observation echoes the step count and the action.

    Observation terms: ``counter`` (1), steps since reset; ``own`` (1), a draw of the environment's own
    generator; ``position`` (1), which a kick sets moving; ``action`` (3), the action times the gain plus the
    offset. An episode takes 50 steps of 0.1 s.
    """

    metadata = {"render_modes": []}
    control_period_s = 0.1
    action_names = ("a", "b", "c")

    def __init__(self) -> None:
        self.observation_terms = {
            "counter": slice(0, 1), "own": slice(1, 2), "position": slice(2, 3), "action": slice(3, 6)
        }  # fmt: skip
        self.observation_space = gym.spaces.Box(-1000.0, 1000.0, (6,), np.float32)
        self.action_space = gym.spaces.Box(-1.0, 1.0, (3,), np.float32)
        self.parameters = _EchoParameters()

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Array, dict[str, Any]]:
        """Begin an episode."""
        super().reset(seed=seed)
        self.parameters.velocity = 0.0
        self._counter, self._position, self._offset = 0, 0.0, self.parameters.get("offset")
        return self._observe(np.zeros(3)), {}

    def step(self, action: Array) -> tuple[Array, float, bool, bool, dict[str, Any]]:
        """Echo the action."""
        self._counter += 1
        self._position += self.parameters.velocity * self.control_period_s
        return self._observe(action), -float(np.square(action).sum()), False, self._counter >= 50, {}

    def _observe(self, action: NDArray[Any]) -> Array:
        echo = self.parameters.get("gain") * action + self._offset
        return np.array([self._counter, self.np_random.random(), self._position, *echo], np.float32)


class _EchoParameters:
    """One parameter of each kind: at once, from the next reset on, and for a moment."""

    SPECS: ClassVar[dict[str, Parameter]] = {
        "gain": Parameter(
            nominal=1.0, unit="", low=0.0, high=10.0, doc="Factor of the echoed action.",
            plausible=(0.5, 2.0), source="An example.",
        ),
        "offset": Parameter(
            nominal=0.0, unit="", low=-5.0, high=5.0, live=False, doc="Added to the echoed action."
        ),
        "kick": Parameter(
            nominal=0.0, unit="m/s", low=-10.0, high=10.0, transient=True, doc="Added to the velocity."
        ),
    }  # fmt: skip

    def __init__(self) -> None:
        self.velocity = 0.0
        self._values = {name: spec.nominal for name, spec in self.SPECS.items()}

    def names(self) -> tuple[str, ...]:
        return tuple(self.SPECS)

    def spec(self, name: str) -> Parameter:
        if name not in self.SPECS:
            raise Sim2RealError(f"There is no parameter '{name}'.{nearest(name, self.SPECS)}")
        return self.SPECS[name]

    def get(self, name: str) -> float:
        self.spec(name)
        return self._values[name]

    def set(self, name: str, value: float) -> None:
        spec = self.spec(name)
        if not spec.low <= value <= spec.high:
            raise Sim2RealError(f"{name} = {value} is not within [{spec.low}, {spec.high}].")
        if spec.transient:
            self.velocity += value
        else:
            self._values[name] = value


class Probe(NamedTuple):
    """What `check_parameters` saw of a parameter: the values tried, and the first step where each showed."""

    values: tuple[float, ...]
    first_steps: tuple[int | None, ...]


def check_parameters(
    env: Env,
    *,
    parameters: Parameters | None = None,
    names: Iterable[str] | None = None,
    given: Mapping[str, float] | None = None,
    seed: int = 0,
    steps: int = 50,
    must_show: bool = True,
) -> dict[str, Probe]:
    """Hold every parameter of an environment to its promises, in episodes of random actions.

    A parameter starts at its nominal value, takes what it is set to and nothing outside its bounds, reads back as
    it was set after a reset and at the end of an episode, changes no other's value, changes the episode at one of
    the values tried (one below nominal, one above) and leaves no trace once it is back. If it is live it acts at
    once, if not it leaves the running episode alone. Before all that the environment is played as it is: what it
    does wrong by itself is told as its own.

    Args:
        env: the environment; it is reset many times.
        parameters: its parameters; None for ``env.unwrapped.parameters``.
        names: those to check, None for all.
        given: values of other parameters meanwhile, for what shows only with them (where a payload sits).
        seed: of the episodes and of the actions.
        steps: of each episode.
        must_show: whether one breaks its promise that changes nothing in so many steps; some show only in others.

    Returns:
        What was tried and seen, by parameter name.

    Raises:
        AssertionError: if a promise is broken; the sentence says which.
    """
    table: Any = own_parameters(env) if parameters is None else parameters
    _must(table is not None, "The environment has no parameters.")
    _repeatable(env, seed, steps)
    for name, value in (given or {}).items():
        table.set(name, value)
    nominal = _trace(env, seed, steps)
    _must(_refuses(table, "no such name", 0.0), "Setting an unknown name must raise Sim2RealError.")
    found = {}
    for name in [name for name in table.names() if name not in (given or {})] if names is None else names:
        found[name] = _probe(env, table, name, seed, steps, nominal)
    idle = [name for name, probe in found.items() if set(probe.first_steps) <= {None}]
    for name in given or {}:
        table.set(name, table.spec(name).nominal)
    _must(not (must_show and idle), f"Nothing changed in {steps} steps with {', '.join(idle)}.")
    return found


def _probe(env: Env, table: Parameters, name: str, seed: int, steps: int, nominal: Trace) -> Probe:
    spec = table.spec(name)
    _must(
        spec.transient or not differs(table, name, spec.nominal),
        f"{name} is {table.get(name)}, not its nominal {spec.nominal}, though nobody set it: the environment "
        "draws or changes it by itself.",
    )
    for beyond in (spec.low - 1.0 - abs(spec.low), spec.high + 1.0 + abs(spec.high)):
        refused = math.isinf(beyond) or (
            _refuses(table, name, beyond) and not differs(table, name, spec.nominal)
        )
        _must(refused, f"{name} took {beyond}, which lies outside its bounds.")
    away = 0.5 * abs(spec.nominal) or 1.0
    low, high = 0.5 * (spec.low + spec.nominal), 0.5 * (spec.high + spec.nominal)
    both = [max(low, spec.nominal - away), min(high, spec.nominal + away)]
    if spec.whole:
        both = [float(math.floor(both[0])), float(math.ceil(both[1]))]
    values = [value for value in both if value != spec.nominal]
    firsts = []
    for value in values:
        change = partial(table.set, name, value)
        if spec.transient:
            changed = _trace(env, seed, steps, change)
        else:
            later = _trace(env, seed, steps, change)
            _must(spec.live or later == nominal, f"{name} is not live, but changed a running episode.")
            _must(not differs(table, name, value), _lost(table, name, value))
            changed = _trace(env, seed, steps, partial(_hold, table, name, value))
            _must(not differs(table, name, value), _lost(table, name, value))
            # Where a reset simulates, or looks, it shows what nothing later need show.
            shown_at_reset = changed[0] != nominal[0]
            _must(
                not spec.live or shown_at_reset or (later == nominal) == (changed == nominal),
                f"{name} is not live, as declared.",
            )
            table.set(name, spec.nominal)
            _alone(table, name, value)
        pairs = enumerate(zip_longest(changed, nominal))
        firsts.append(next((step for step, (one, other) in pairs if one != other), None))
        _must(_trace(env, seed, steps) == nominal, f"{name} left a trace after {value}.")
    return Probe(tuple(values), tuple(firsts))


def _hold(table: Parameters, name: str, value: float) -> None:
    """See after a reset that a parameter has its value, and set it again where the reset took it back."""
    try:
        confirm(table, {name: value})
    except Sim2RealError as error:
        raise AssertionError(str(error)) from error


def _alone(table: Parameters, name: str, value: float) -> None:
    """See that a parameter changes no other's value, from where it was to a value and back."""
    others = [other for other in table.names() if other != name and not table.spec(other).transient]
    before = {other: table.get(other) for other in others}
    nominal = table.get(name)
    table.set(name, value)
    moved = [other for other in others if differs(table, other, before[other])]
    table.set(name, nominal)
    _must(not moved, f"Setting {name} changes {', '.join(moved[:3])} too.")


def _lost(table: Parameters, name: str, value: float) -> str:
    return f"{name} was set to {value:g} and is {table.get(name):g} after an episode: the environment takes it back."


def check_perturbed(
    make: Callable[[], Env],
    perturbations: Sequence[Perturbation] | None = None,
    *,
    parameters: Callable[[Env], Parameters] | None = None,
    period_s: float | None = None,
    seed: int = 0,
    steps: int = 30,
) -> None:
    """Hold a perturbed environment to the laws of perturbation, in episodes of random actions.

    At zero strength it is the bare environment, bit for bit. One seed gives one episode, in any order and in
    any instance. Another perturbation changes no draw. Nothing compounds over resets, and nothing stays once
    it is restored, or has become unperturbed. A delay of k shifts the observation by exactly k. Each perturbation
    that is given acts when it is alone. Before all that the bare environment is held to the same: what it does
    wrong by itself is told as its own.

    Args:
        make: makes the environment.
        perturbations: to check it with; None for noise (where there are numbers), a lag and losses.
        parameters: gives the parameters of an environment that declares none.
        period_s: time between steps, as in `Perturbed`.
        seed: of the episodes and of the actions.
        steps: of each episode.

    Raises:
        AssertionError: if a law is broken; the sentence says which.
    """

    def perturbed(*items: Perturbation) -> Perturbed:
        env = make()
        made.append(env)
        return Perturbed(env, items, parameters=parameters(env) if parameters else None, period_s=period_s)

    bare = make()
    made = [bare]
    given = perturbations or ()
    if perturbations is None:
        sides = {"observation": bare.observation_space, "action": bare.action_space}
        kinds = {side: {type(leaf) for _, leaf in leaves(space)} for side, space in sides.items()}
        noisy = [side for side in sides if kinds[side] == {gym.spaces.Box}]
        perturbations = [add(side, Normal(0, 0.01)) for side in noisy]
        perturbations += [delay("action", 2), hold("observation", 0.3)]
    made.append(elsewhere := make())
    nominal = _repeatable(bare, seed, steps, elsewhere)

    def hold_to_the_laws() -> None:
        zero = _trace(perturbed(*(item.at(0.0) for item in perturbations)), seed, steps)
        _must(zero == nominal, "At zero strength the perturbed environment is not the bare one.")

        env = perturbed(*perturbations)
        first, second, *_ = [_trace(env, seed + episode, steps) for episode in range(6)]
        _must(_trace(env, seed, steps) == first, "An episode was another one after others were played.")
        _must(
            _trace(perturbed(*perturbations), seed, steps) == first, "An episode was another one elsewhere."
        )
        _must(_trace(env, seed + 1, steps) == second, "An episode was another one in another order.")
        env.restore()
        _must(_trace(env.env, seed, steps) == nominal, "A restored environment is not the bare one.")

        env.become(())
        _must(_trace(env, seed, steps) == nominal, "What has become unperturbed is not the bare environment.")
        env.become(perturbations)
        _must(_trace(env, seed, steps) == first, "What has become perturbed again is not what it was.")

        begun, alone = env.reset(seed=seed)
        also, among = perturbed(*perturbations, hold("action", 0.5), delay("observation", 3)).reset(seed=seed)
        same = _bits(begun) == _bits(also) and all(
            np.array_equal(among["parameters"][name], told) for name, told in alone["parameters"].items()
        )
        _must(same, "Adding a perturbation changed what the others drew.")

        table = parameters(bare) if parameters and given else None
        plain = [nominal, *(_trace(bare, seed + 1 + i, steps) for i in range(2 if given else 0))]
        for item in (_at_once(item) for item in given if item.acts):
            single = Perturbed(bare, [item], parameters=table, period_s=period_s)
            acted = any(_trace(single, seed + i, steps) != trace for i, trace in enumerate(plain))
            single.restore()
            _must(acted, f"'{item.label}' changes nothing in {steps} steps.")

        lag = 3
        seen = [observation for observation, _ in nominal]
        shifted = [
            observation for observation, _ in _trace(perturbed(delay("observation", lag)), seed, steps)
        ]
        _must(
            shifted == (seen[:1] * lag + seen)[: len(seen)],
            f"A delay of {lag} does not shift by {lag} steps.",
        )

    try:
        hold_to_the_laws()
    except AssertionError:
        for _ in range(3):  # whose fault is it?
            made.append(make())
            same = _trace(made[-1], seed, steps) == nominal
            _must(same, "The environment by itself plays an episode otherwise now and then.")
        raise
    finally:
        for one in made:
            one.close()


def _at_once(item: Perturbation) -> Perturbation:
    """Return a perturbation that begins at the reset instead of later in an episode, and loses every message."""
    item = item if isinstance(item.every, str) else replace(item, every="episode")
    return replace(item, amount=1.0) if item.operation == "hold" and item.strength else item


def _repeatable(env: Env, seed: int, steps: int, elsewhere: Env | None = None) -> Trace:
    """See that a bare environment plays one episode with one seed, and return it."""
    itself = "The environment by itself"
    first, again = _trace(env, seed, steps), _trace(env, seed, steps)
    there = _trace(elsewhere, seed, steps) if elsewhere else None
    if again != first:
        step = next(i for i, (one, other) in enumerate(zip_longest(again, first)) if one != other)
        why = "something is left over from the episode before"
        if step == 0:
            begun = [deepcopy(env.reset(seed=one)[0]) for one in (seed, seed, seed + 1)]
            ignores = "a later" if there is not None and there[0] == first[0] else "its"
            if _apart(begun[0], begun[1]) > 1e-3 * _apart(begun[0], begun[2]):
                why = f"{ignores} reset ignores the seed"
        elif _trace(env, seed, steps) == again:
            why = "its first episode is unlike later ones with the seed; a reset before use helps"
        _must(False, f"{itself} is not repeatable, from step {step} on: {why}.")
    for other in (1, 2) if elsewhere else ():
        _trace(env, seed + other, steps)
        after = _trace(env, seed, steps)
        _must(after == first, f"{itself} plays an episode otherwise after others were played.")
    _must(there in (None, first), f"{itself} plays an episode otherwise in another instance.")
    return first


def _apart(one: Any, other: Any) -> float:
    """Return the largest difference between the numbers of two observations."""
    if isinstance(one, dict | tuple):
        keys = one if isinstance(one, dict) else range(len(one))
        return max((_apart(one[key], other[key]) for key in keys), default=0.0)
    if np.asarray(one).dtype.kind not in "biuf":
        return float(one != other)
    return float(np.max(np.abs(np.subtract(one, other, dtype=float)), initial=0.0))


def _trace(env: Env, seed: int, steps: int, change: Change | None = None) -> Trace:
    """Play an episode of random actions and return what came of it; change something after the reset."""
    actions = deepcopy(env.action_space)
    actions.seed(seed)
    world = checked(env)
    with _speaking():
        observation, _ = world.reset(seed=seed)
    if change:
        change()
    trace = [(_bits(observation), b"")]
    for _ in range(steps):
        with _speaking():
            observation, reward, terminated, truncated, _ = world.step(actions.sample())
        trace.append((_bits(observation), _bits((float(reward), terminated, truncated))))
        if terminated or truncated:
            break
    return trace


@contextmanager
def _speaking() -> Iterator[None]:
    """Let an assertion of somebody else's environment not pass for one of the laws."""
    try:
        yield
    except AssertionError as error:
        raise RuntimeError(f"the environment refuses what it is asked for: {error}") from error


def _bits(value: Any) -> bytes:
    if isinstance(value, np.ndarray | np.generic | float):  # a number is an array without dimensions
        array = np.asarray(value)
        return str(array.dtype).encode() + array.tobytes()
    if isinstance(value, dict):
        return b"".join(key.encode() + _bits(value[key]) for key in sorted(value))
    if isinstance(value, tuple):
        return b"".join(map(_bits, value))
    return repr(value).encode()


def _refuses(table: Parameters, name: str, value: float) -> bool:
    try:
        table.set(name, value)
    except Sim2RealError:
        return True
    return False


def _must(holds: bool, sentence: str) -> None:
    if not holds:
        raise AssertionError(sentence)

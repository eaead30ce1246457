"""One episode, from reset to row: the only place where policy and environment meet."""

import math
import platform
import re
import struct
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import cache
from hashlib import blake2b
from importlib.metadata import PackageNotFoundError, version
from itertools import groupby, takewhile
from typing import Any, Protocol

import gymnasium as gym
import numpy as np
from numpy.typing import NDArray

from sim2real._version import PHYSICS_VERSION, __version__
from sim2real.errors import Sim2RealError, graphics_hint
from sim2real.perturb import Condition, Make, Parameters, Perturbation, Wrap, to_json
from sim2real.policies import BoundPolicy
from sim2real.safety import Shield
from sim2real.study.files import check_unchanged
from sim2real.study.seeds import canonical
from sim2real.study.trial import Trial
from sim2real.wrappers import Constrained, Perturbed, Shielded
from sim2real.wrappers.checked import checked, finite, number
from sim2real.wrappers.period import first_step, period_of
from sim2real.wrappers.perturbed import layers

Row = dict[str, Any]
Env = gym.Env[Any, Any]
Frames = list[NDArray[np.uint8]]

FRAMES_PER_SECOND = 15
AT_ONCE = 1000
"""Actions that are looked at together."""
ROUNDING = 2.0**-23
"""Between a limit and what float32 makes of it, as a share."""
INERT = "inert: "
"""Before the label of a part of a condition, in the metrics of an episode in which it changed no value."""
ENVIRONMENTS = 2  # kept at once: a simulator and the one that is held out
SUCCESS = ("success", "is_success")
"""What an environment may call its word on an episode's success, in `info`."""
UNTOLD = (
    "Say what counts instead, such as metric='return' or metric='survived' (1 where an episode was not terminated "
    "before its time ran out), or let the environment set info['success'] in the last step of an episode."
)


@cache
def versions() -> dict[str, str]:
    """Return the versions a rollout depends on."""
    found = {"python": platform.python_version(), "sim2real": __version__, "physics": str(PHYSICS_VERSION)}
    for package in ("numpy", "gymnasium", "pybullet", "mujoco"):
        with suppress(PackageNotFoundError):
            found[package] = version(package)
    return found


class Where(Protocol):
    """What says in which environment it plays."""

    @property
    def env(self) -> str:
        """Gymnasium id."""

    @property
    def env_kwargs(self) -> Mapping[str, Any]:
        """Arguments of `gymnasium.make`."""


def make(place: Where, /, **extra: Any) -> Env:
    """Make the bare environment of a trial, or of whatever else says where it plays.

    Raises:
        Sim2RealError: If Gymnasium cannot make it.
    """
    try:
        return gym.make(place.env, disable_env_checker=True, **(dict(place.env_kwargs) | extra))
    except Exception as error:
        if not (
            isinstance(error, gym.error.Error | ImportError | TypeError | ValueError) or graphics_hint(error)
        ):
            raise
        unknown = isinstance(error, gym.error.UnregisteredEnv) and ":" not in place.env
        hint = f" An id with the module that registers it, 'module:{place.env}', is found in every process."
        said = one_line(error) + hint * unknown
        raise Sim2RealError(f"Environment '{place.env}' cannot be made: {said}") from error


def dress(
    env: Env,
    condition: Condition,
    parameters: Parameters | None,
    shields: Sequence[Shield] = (),
    period_s: float | None = None,
) -> Env:
    """Put a condition around an environment, its first item innermost, and shields around all of it."""
    around = (item for item in condition if not isinstance(item, Make))
    for _, group in groupby(around, key=type):
        items = list(group)
        if perturbations := [item for item in items if isinstance(item, Perturbation)]:
            env = Perturbed(env, perturbations, parameters=parameters, period_s=period_s)
        for item in items:
            env = item.fn(env) if isinstance(item, Wrap) else env
    return Shielded(env, shields) if shields else env


def blank_row(trial: Trial) -> Row:
    """Return the row of a trial of which nothing is known yet."""
    return {
        "key": trial.key,
        "status": "ok",
        "error": "",
        "env": trial.env,
        "policy_sha256": trial.policy.sha256,
        "condition": canonical(to_json(trial.condition)),
        "seed": trial.seed,
        "termination": "",
        "metrics": "{}",
        "parameters": "{}",
        "versions": canonical(versions()),
    }


class Bench:
    """The environments and bound policy of the last trials, kept because making them can outlast an episode.

    A `Perturbed` is undone after its episode. A `Wrap` is opaque, so it gets an environment of its own. Of trials that
    differ in how the environment is made alone, the last two environments are kept: conditions alternate between them.

    Args:
        trust: Whether policy files that can execute code may be loaded.
    """

    def __init__(self, trust: bool = False) -> None:
        self.trust = trust
        self._shared: tuple[Any, ...] = ()
        self._held: dict[str, tuple[Env, BoundPolicy, Parameters | None]] = {}

    def run(self, trial: Trial, frames: Frames | None = None) -> Row:
        """Run a trial and return its row; frames, if given, is filled with rendered images.

        What goes wrong inside the episode is recorded in the row.

        Raises:
            Sim2RealError: If environment, policy or condition cannot be put together at all.
        """
        started = time.perf_counter()
        row = blank_row(trial)
        stage = None
        try:
            with self.staged(trial, rendered=frames is not None) as stage:
                row |= episode(*stage, trial.seed, trial.max_steps, frames, trial.period_s)
        except Exception as error:
            if stage is None:
                raise
            # Memory runs out on the machine, not in the episode: with `retry` it is played again, as after a crash.
            status = "crashed" if isinstance(error, MemoryError) else "error"
            row |= {"status": status, "error": one_line(error)}
        row["wall_s"] = time.perf_counter() - started
        return row

    @contextmanager
    def staged(self, trial: Trial, rendered: bool = False) -> Iterator[tuple[Env, BoundPolicy]]:
        """Lend the trial's environment under its condition, and its policy bound to it."""
        shared = (
            trial.policy.sha256, trial.env, trial.parameters, trial.constraints, trial.period_s, rendered,
        )  # fmt: skip
        if shared != self._shared:
            self.close()
            self._shared = shared
        made_with = canonical([trial.made_with, trial.made_from])
        opaque = any(isinstance(item, Wrap) for item in trial.condition)
        if opaque:
            self._drop(made_with)
        if made_with not in self._held:
            if len(self._held) == ENVIRONMENTS:
                self._drop(next(iter(self._held)))
            check_unchanged(trial.made_from)
            env = make(trial, **(trial.made_with | ({"render_mode": "rgb_array"} if rendered else {})))
            policy = trial.policy.bind(env, trust=self.trust)
            if (
                trial.constraints
            ):  # innermost: they watch what the robot does, whatever is done to its signals
                env = Constrained(env, trial.constraints, phase="test", period_s=trial.period_s)
            self._held[made_with] = (env, policy, trial.parameters(env) if trial.parameters else None)
        env, policy, parameters = self._held[made_with] = self._held.pop(made_with)  # the last one used
        keep = False  # after an exception: whatever state it was left in
        try:
            dressed = dress(env, trial.condition, parameters, trial.policy.shields, trial.period_s)
            yield dressed, policy
            for layer in takewhile(lambda layer: layer is not env, layers(dressed)):
                if isinstance(layer, Perturbed):
                    layer.restore()
            keep = not opaque
        finally:
            if not keep:
                self._drop(made_with)

    def _drop(self, made_with: str) -> None:
        if held := self._held.pop(made_with, None):
            held[0].close()

    def close(self) -> None:
        """Close the environments that are held."""
        for made_with in tuple(self._held):
            self._drop(made_with)


class Actor(Protocol):
    """What acts in an episode: a bound policy, or what stands in for one."""

    def reset(self, seed: int | None = None) -> None:
        """Forget the last episode."""

    def __call__(self, observation: Any) -> Any:
        """Return the action."""


def episode(
    env: Env,
    policy: Actor,
    seed: int,
    max_steps: int | None = None,
    frames: Frames | None = None,
    period_s: float | None = None,
) -> Row:
    """Play one episode and return its outcome columns.

    `success` is what the environment's last `info` says of it, None where it says nothing: nobody else can know. What
    can be seen of any episode is the metric `survived`: 1 where it was not terminated before its time ran out.
    `duration_s` is None where the time between steps is not known.

    Raises:
        Sim2RealError: If a reward is not finite, the last observation is NaN, or success is told in a way that cannot
            be understood; a bound policy checks its own actions.
    """
    period = period_of(env, period_s)
    stride = max(1, round(1 / (FRAMES_PER_SECOND * period.likely_s))) if period.likely_s else 1
    digest = blake2b(digest_size=16)
    total = cost = 0.0
    length = violations = interventions = safe = 0
    terminated = truncated = False
    world, outside = checked(env), Outside(getattr(policy, "action_space", env.action_space))
    observation, info = world.reset(seed=seed)
    policy.reset(seed=seed)
    drawn = info.get("parameters", {})
    digest.update(_bytes(observation))
    while not (terminated or truncated):
        if frames is not None and length % stride == 0:
            frames.append(np.asarray(env.render()))
        action = policy(observation)
        outside.see(action)
        if length == 0:
            outcome, period = first_step(env, action, period, world.step)
        else:
            outcome = world.step(action)
        observation, reward, terminated, truncated, info = outcome
        reward = float(reward)
        total += reward
        length += 1
        digest.update(_bytes(action) + _bytes(observation) + _DOUBLE(reward))
        if "cost" in info:
            cost += finite(info["cost"], "cost")
        violations += info.get("violations", 0)
        interventions += info.get("intervened", False)
        safe += not info.get("violations", 0)
        truncated = truncated or length == max_steps
    if not math.isfinite(total):
        raise Sim2RealError("The environment gave a reward that is not finite.")
    if _without_number(observation):  # a simulation that diverged, which never falls and so would succeed
        raise Sim2RealError("The environment gave an observation that is not a number.")
    for layer in layers(env):  # an episode that was cut had no last step of its own
        if isinstance(layer, Perturbed):
            layer.read_back()
    drawn = info.get("parameters", {}) | drawn  # what is drawn at reset, and what only appears in a step
    return {
        "return": total,
        "length": length,
        "duration_s": length * period.period_s if period.period_s else None,
        "success": success(info),
        "termination": str(info.get("termination", "terminated" if terminated else "")),
        "cost": cost,
        "violations": int(violations),
        "interventions": int(interventions),
        "metrics": canonical(
            {"survived": float(not terminated)}
            | outside.told(length)
            | _metrics(info, safe / length)
            | _inert(env)
        ),
        "parameters": canonical({name: np.asarray(value).tolist() for name, value in drawn.items()}),
        "digest": digest.hexdigest(),
    }


def success(info: Mapping[str, Any]) -> float | None:
    """Return how far an episode succeeded as its last `info` tells it, from 0 to 1; None where it does not tell.

    Raises:
        Sim2RealError: If that is no number from 0 to 1, or is told twice and differently.

    >>> success({"is_success": np.array([True])}), success({"success": 0.7}), success({"success": None})
    (1.0, 0.7, None)
    """
    told = {name: _share(name, info[name]) for name in SUCCESS if info.get(name) is not None}
    if len(set(told.values())) > 1:
        ways = " and ".join(f"info['{name}'] = {value:g}" for name, value in told.items())
        raise Sim2RealError(f"The environment tells success in two ways that differ: {ways}.")
    return next(iter(told.values()), None)


def _share(name: str, value: Any) -> float:
    """Return a number from 0 to 1, of whatever library: also one that is alone in an array."""
    with suppress(Sim2RealError):
        if 0 <= (one := number(value, name)) <= 1:
            return one
    told = " ".join(repr(value).split())[:80]
    raise Sim2RealError(
        f"The environment's info['{name}'] must be True, False or a number from 0 to 1, not {told}."
    )


class Outside:
    """Counts the actions of an episode that lie outside a box, as the policy makes them; in other spaces none can.

    Args:
        space: of the actions.
    """

    def __init__(self, space: Any) -> None:
        self._space = space if isinstance(space, gym.spaces.Box) else None
        self._seen: list[Any] = []
        self._steps, self._most = 0, 0.0

    def see(self, action: Any) -> None:
        """Take note of an action, which nobody may change after."""
        if self._space is not None:
            self._seen.append(action)
            if len(self._seen) == AT_ONCE:
                self._count()

    def told(self, length: int) -> dict[str, float]:
        """Return `outside_share`, of so many steps, and `outside_by`, by how much at most in units of the action."""
        if self._space is None:
            return {}
        self._count()
        return {"outside_share": self._steps / length, "outside_by": self._most}

    def _count(self) -> None:
        """Count what was seen: all at once, as one by one takes longer than the step of a simple environment."""
        low, high = (np.ravel(end).astype(float) for end in (self._space.low, self._space.high))  # type: ignore[union-attr]
        made = np.array(self._seen, float).reshape(-1, low.size)
        self._seen.clear()
        beyond = np.maximum(low - made, made - high)
        # A limit that float32 rounds is no limit passed.
        past = np.where(made > high, high, low)
        beyond[beyond <= ROUNDING * np.abs(past)] = 0.0
        self._steps += int(beyond.any(axis=1).sum())
        self._most = max(self._most, float(beyond.max(initial=0.0)))


def _metrics(info: Row, safe_share: float) -> dict[str, float]:
    """Return the figures of an episode: the environment's, those of each constraint, and of all shields.

    `safe_share` is the share of the steps that violate no constraint, where any is watched.
    """
    told = info.get("metrics", {})
    if not isinstance(told, Mapping):
        raise Sim2RealError(f"The environment's info['metrics'] must be numbers by name, not {told!r}.")
    found = {name: number(value, f"metrics['{name}']") for name, value in told.items()}
    for name, told in info.get("safety", {}).get("constraints", {}).items():
        found[f"{name}_violations"] = float(told["violations"])
        found[f"{name}_worst_excess"] = float(told["worst_excess"])
    if "safety" in info:
        found["safe_share"] = safe_share
    if shields := info.get("shield", {}).values():
        found["shield_change"] = float(sum(told["change"] for told in shields))
        found["shield_infeasible"] = float(sum(told["infeasible"] for told in shields))
    return found


def _inert(env: Env) -> dict[str, float]:
    """Return a figure for each part of the condition that changed no value in the episode that was played."""
    parts = (label for layer in layers(env) if isinstance(layer, Perturbed) for label in layer.inert)
    return {f"{INERT}{label}": 1.0 for label in parts}


def one_line(error: BaseException) -> str:
    """Return an exception as one line without memory addresses, so that equal failures read equal."""
    text = re.sub(r"0x[0-9a-fA-F]{6,}", "0x…", " ".join(str(error).split()))
    if hint := graphics_hint(error):
        text = f"{text.rstrip('.')}.{hint}"
    return text if isinstance(error, Sim2RealError) else f"{type(error).__name__}: {text}"


_DOUBLE = struct.Struct("<d").pack


def _without_number(value: Any) -> bool:
    """Tell whether NaN is anywhere in an observation."""
    if isinstance(value, dict | tuple):
        return any(map(_without_number, value.values() if isinstance(value, dict) else value))
    array = np.asarray(value)
    return array.dtype.kind == "f" and bool(np.isnan(array).any())


def _bytes(value: Any) -> bytes:
    if isinstance(value, np.ndarray):
        return value.tobytes()
    if isinstance(value, dict):
        return b"".join(_bytes(value[name]) for name in sorted(value))
    if isinstance(value, tuple):
        return b"".join(map(_bytes, value))
    return np.asarray(value).tobytes()

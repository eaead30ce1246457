"""The wrapper that watches constraints, which are values, and makes something of their violation."""

import math
from collections import Counter
from collections.abc import Iterable, Mapping
from functools import partial
from typing import Any, Literal, get_args

import gymnasium as gym
import numpy as np
from gymnasium import spaces
from gymnasium.utils import RecordConstructorArgs

from sim2real.errors import Sim2RealError
from sim2real.perturb.streams import Stream, next_episode
from sim2real.safety.constraint import Constraint
from sim2real.safety.modes import Charge, Memory, Mode, Record, Saute
from sim2real.safety.quantities import Reader
from sim2real.safety.step import Step
from sim2real.wrappers.checked import Checking, finite
from sim2real.wrappers.period import period_of
from sim2real.wrappers.perturbed import layers
from sim2real.wrappers.views import view_of

Env = gym.Env[Any, Any]
Phase = Literal["training", "test"]


class Constrained(Checking, RecordConstructorArgs):
    """Watch constraints around an environment, and make of their violation what a mode says.

    Constraints look at the simulation's true state after the step, whatever the sensors say, and at the action as
    it arrives here. Every step tells in ``info``

    * ``cost`` (float) and ``violations`` (int): how many constraints it violates, on top of what the environment
      and wrappers inside report under these names (so a mode works without any constraint of its own where the
      environment reports a cost);
    * ``excess``: by constraint, value − limit in its unit, positive where violated;

    and the last step of an episode ``safety``: the phase, the episode's ``cost`` and ``violations`` (of all), and
    under ``constraints``, by constraint, ``cost``, ``discounted_cost``, ``violations`` (in steps) and
    ``worst_excess``. An episode that ends here says so in ``termination``: "violation".

    A mode changes rewards and ends episodes, and learns, in training only. In a test rewards and ends are the
    environment's own; only what belongs to the observation stays. Both are counted apart, in ``totals`` and by
    ``info["safety"]["phase"]``; the phase can be set and counts from the next reset on.

    What is learnt is the wrapper's own, of all that share a `Memory`, or a trainer's that sets ``multiplier`` (by
    ``set_attr`` of a vector environment, ``env_method("set_wrapper_attr", "multiplier", value)`` in
    Stable-Baselines3), after which the environment's own episodes do not move it. An episode that is cut off from
    outside counts at the next reset.

    Args:
        env: the environment, at any place among other wrappers.
        constraints: what must not happen.
        mode: what to make of it, or the memory of a mode to share.
        phase: "training" or "test".
        discount: of ``discounted_cost``, per step.
        period_s: time between steps, for constraints that use it; None for what the environment says.

    Raises:
        Sim2RealError: if the environment lacks what a constraint needs, or a name is there twice.
    """

    def __init__(
        self,
        env: Env,
        constraints: Iterable[Constraint],
        mode: Mode | Memory | None = None,
        *,
        phase: Phase = "training",
        discount: float = 0.99,
        period_s: float | None = None,
    ) -> None:
        self.constraints = tuple(constraints)
        self.memory = mode if isinstance(mode, Memory) else Memory(mode or Record())
        self.mode = self.memory.mode
        # Not the memory: it is this process's, and the spec says how to make another environment.
        RecordConstructorArgs.__init__(
            self,
            constraints=self.constraints,
            mode=self.mode,
            phase=phase,
            discount=discount,
            period_s=period_s,
        )
        super().__init__(env)
        if not 0.0 <= discount <= 1.0:
            raise Sim2RealError(f"discount must lie between 0 and 1, not {discount}.")
        inner = [layer for layer in layers(env) if isinstance(layer, Constrained)]
        names = Counter(item.name for layer in (self, *inner) for item in layer.constraints)
        if twice := [name for name, count in names.items() if count > 1]:
            raise Sim2RealError(
                f"Two constraints are called '{twice[0]}': give one another name with replace()."
            )
        self._depth, self._discount = len(inner), discount
        self._bare = env.unwrapped
        self._period = period_of(env, period_s)
        self._reader = Reader(self._bare, self._period.period_s, self._period.unknown, partial(view_of, env))
        self._rows = [(item.name, item.limit, item.bind(self._reader)) for item in self.constraints]
        self.timed = "A constraint" if self._reader.timed else ""
        self._scales = {item.name: item.scale for item in self.constraints}
        self._saute = self.mode if isinstance(self.mode, Saute) else None
        if self._saute:
            self.observation_space = _with_budget(env.observation_space)
        self.totals: dict[str, dict[str, Any]] = {
            name: {"episodes": 0, "steps": 0, "cost": 0.0, "violations": dict.fromkeys(self._scales, 0)}
            for name in get_args(Phase)
        }
        self.phase = phase
        self._seed: int | None = None
        self._episode = self._steps = 0

    @property
    def phase(self) -> Phase:
        """What episodes count as from the next reset on."""
        return self._phase

    @phase.setter
    def phase(self, value: Phase) -> None:
        if value not in get_args(Phase):
            raise Sim2RealError(f"phase must be 'training' or 'test', not {value!r}.")
        self._phase: Phase = value

    @property
    def multiplier(self) -> float:
        """The price of a unit of cost; setting it ends learning from this environment's own episodes."""
        return self.memory.multiplier

    @multiplier.setter
    def multiplier(self, value: float) -> None:
        self.memory.multiplier = value

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Any, dict[str, Any]]:
        """Close the books of an episode that was cut off, and begin another."""
        self._close_books()
        self._seed, self._episode = next_episode(seed, (self._seed, self._episode))
        self._chances = Stream(self._seed, self._episode, "constrained", self._depth)
        observation, info = self._checked.reset(seed=seed, options=options)
        self._reader.begin()
        self._counts_as = self._phase
        self._active = self._phase == "training" and not isinstance(self.mode, Record)
        self._cost, self._violations, self._weight = 0.0, 0, 1.0
        self._counts = dict.fromkeys(self._scales, 0)
        self._discounted = dict.fromkeys(self._scales, 0.0)
        self._worst = dict.fromkeys(self._scales, -math.inf)
        return self._seen(observation), info

    def step(self, action: Any) -> tuple[Any, Any, bool, bool, dict[str, Any]]:
        """Go one step, and see what it violates."""
        observation, reward, terminated, truncated, info = self._timed_step(action)
        step = Step(observation, action, info, self._bare)
        self._reader.look(step)
        excess: dict[str, float] = info.get("excess", {}).copy()
        violated = []
        worst = self._worst
        for name, limit, measure in self._rows:
            excess[name] = over = measure(step) - limit
            if over > worst[name]:
                worst[name] = over
            if not over <= 0.0:
                violated.append(name)
        if violated:
            self._count(violated, excess)
        cost = (finite(info["cost"], "cost") if "cost" in info else 0.0) + float(len(violated))
        violations = info.get("violations", 0) + len(violated)
        self._cost += cost
        self._violations += violations
        self._steps += 1
        self._weight *= self._discount
        info = {**info, "cost": cost, "violations": violations, "excess": excess}
        if self._active:
            reward, ends = self._judge(reward, cost, violated, excess, info)
            if ends and not terminated:
                terminated, info["termination"] = True, "violation"
        if terminated or truncated:
            self._close_books(info)
        return self._seen(observation), reward, terminated, truncated, info

    def _count(self, violated: list[str], excess: dict[str, float]) -> None:
        for name in violated:
            if math.isnan(excess[name]):
                raise Sim2RealError(f"The constraint '{name}' is not a number in this step.")
            self._counts[name] += 1
            self._discounted[name] += self._weight

    def _judge(
        self, reward: Any, cost: float, violated: list[str], excess: dict[str, float], info: dict[str, Any]
    ) -> tuple[Any, bool]:
        """Return the reward that the mode makes of a step, and whether the episode ends; let the mode learn."""
        scales = self._scales
        charge = Charge(cost, self._cost, {name: excess[name] / scales[name] for name in violated})
        reward, ending = self.mode.judge(reward, charge, self.memory.state)
        self.memory.learn_step(charge)
        if not ending:
            return reward, False
        info["termination_probability"] = ending
        return reward, ending > self._chances(1)[0]

    def _close_books(self, info: dict[str, Any] | None = None) -> None:
        """Count an episode that has steps, let the mode learn from it, and tell how it went."""
        if not self._steps:
            return
        totals = self.totals[self._counts_as]
        totals["episodes"] += 1
        totals["steps"] += self._steps
        totals["cost"] += self._cost
        for name, count in self._counts.items():
            totals["violations"][name] += count
        if self._active:
            self.memory.learn_episode(self._cost)
        self._steps = 0
        if info is not None:
            inner = info.get("safety", {}).get("constraints", {})
            info["safety"] = {
                "phase": self._counts_as,
                "cost": self._cost,
                "violations": self._violations,
                "constraints": inner | {name: self._told(name) for name in self._scales},
            }

    def _told(self, name: str) -> dict[str, float]:
        return {
            "cost": float(self._counts[name]),
            "discounted_cost": self._discounted[name],
            "violations": self._counts[name],
            "worst_excess": self._worst[name],
        }

    def _seen(self, observation: Any) -> Any:
        """Return the observation, with what is left of the budget where the mode shows it."""
        if self._saute is None:
            return observation
        left = self._saute.left(self._cost)
        if isinstance(observation, dict):
            return {**observation, "budget": np.array([left], np.float32)}
        return np.append(observation, np.asarray(left, observation.dtype))

    def state_dict(self) -> dict[str, Any]:
        """Return what was learnt and counted, as plain JSON values."""
        totals = {name: {**t, "violations": dict(t["violations"])} for name, t in self.totals.items()}
        return {"memory": self.memory.state_dict(), "totals": totals}

    def load_state_dict(self, saved: Mapping[str, Any]) -> None:
        """Go on from what `state_dict` returned.

        Raises:
            Sim2RealError: if it is the state of other constraints or of another mode.
        """
        for name in get_args(Phase):
            if set(saved["totals"][name]["violations"]) != set(self._scales):
                raise Sim2RealError("This is the state of other constraints.")
        self.memory.load_state_dict(saved["memory"])
        self.totals = {
            name: {**t, "violations": dict(t["violations"])} for name, t in saved["totals"].items()
        }


def _with_budget(space: spaces.Space[Any]) -> spaces.Space[Any]:
    """Return the space with one more number, at most 1."""
    if isinstance(space, spaces.Dict) and "budget" not in space.spaces:
        return spaces.Dict({**space.spaces, "budget": spaces.Box(-np.inf, 1.0, (1,), np.float32)})
    if isinstance(space, spaces.Box) and len(space.shape) == 1 and space.dtype.kind == "f":  # type: ignore[union-attr]
        dtype: Any = space.dtype
        low, high = np.append(space.low, -np.inf), np.append(space.high, 1.0)
        return spaces.Box(low.astype(dtype), high.astype(dtype), dtype=dtype.type)
    raise Sim2RealError(
        f"Saute adds the budget to a vector of floats, or to a Dict without a 'budget', not to {space}."
    )

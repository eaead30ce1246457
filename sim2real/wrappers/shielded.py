"""The wrapper that lets shields, which are values, change actions before they are made."""

from collections.abc import Iterable
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.utils import RecordConstructorArgs

from sim2real.errors import Sim2RealError
from sim2real.safety.shields import Shield
from sim2real.safety.step import Step
from sim2real.wrappers.checked import Checking
from sim2real.wrappers.views import view_of

Env = gym.Env[Any, Any]


class Shielded(Checking, RecordConstructorArgs):
    """Put shields between the policy and an environment.

    Each in turn maps the action to a safer one, so the last has the last word. They read the observation that the
    policy reads: where a `Perturbed` inside this one spoils the sensors, their promises end.

    Every step tells in ``info``

    * ``intervened`` (bool): whether any changed the action, here or further inside;
    * ``shield``: by shield, how often in this episode it changed an action (``interventions``), by how much in sum
      (``change``, Euclidean, in units of the action), and how often it could not have all it asks for
      (``infeasible``).

    An action that no shield changes goes on untouched, bit for bit.

    Args:
        env: the environment, at any place among other wrappers.
        shields: what to put in between, in order.

    Raises:
        Sim2RealError: if the environment lacks what a shield needs, or two are of one kind.
    """

    def __init__(self, env: Env, shields: Iterable[Shield]) -> None:
        self.shields = tuple(shields)
        RecordConstructorArgs.__init__(self, shields=self.shields)
        super().__init__(env)
        names = [shield.name for shield in self.shields]
        for name in names:
            if names.count(name) > 1:
                raise Sim2RealError(
                    f"Two shields are called '{name}': the second belongs into another Shielded."
                )
        self._guards = [(shield.name, shield.bind(self)) for shield in self.shields]
        self._bare = env.unwrapped

    def view(self) -> Any:
        """Return what a shield can see of the simulation of somebody else's environment, as `Constrained` does."""
        return view_of(self.env)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Any, dict[str, Any]]:
        """Begin an episode, with nothing counted."""
        self._observation, self._info = observation, info = self._checked.reset(seed=seed, options=options)
        self._counts = {
            name: {"interventions": 0, "change": 0.0, "infeasible": 0} for name, _ in self._guards
        }
        for _, guard in self._guards:
            guard.reset()
        return observation, info

    def step(self, action: Any) -> tuple[Any, Any, bool, bool, dict[str, Any]]:
        """Let the shields have their say, and go one step."""
        wanted, intervened = action, False
        for name, guard in self._guards:
            safe = guard(Step(self._observation, action, self._info, self._bare))
            counts = self._counts[name]
            counts["infeasible"] += guard.infeasible
            if (safe != action).any():
                counts["interventions"] += 1
                counts["change"] += float(np.linalg.norm(safe - action))
                action, intervened = safe, True
        made = np.asarray(action, self.env.action_space.dtype) if intervened else wanted
        observation, reward, terminated, truncated, info = self._checked.step(made)
        info = {
            **info,
            "intervened": intervened or info.get("intervened", False),
            "shield": {**info.get("shield", {}), **{name: dict(of) for name, of in self._counts.items()}},
        }
        self._observation, self._info = observation, info
        return observation, reward, terminated, truncated, info

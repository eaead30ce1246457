"""An environment whose outcome is a formula of what is perturbed, and studies of it."""

import gymnasium as gym
import numpy as np

from sim2real import policies
from sim2real.perturb import Uniform, set_to
from sim2real.study import Study
from sim2real.wrappers import Attributes


def alone(a, b, c):
    """`a` decides it."""
    return a < 0.7


def both(a, b, c):
    """Neither `a` nor `b` does it, but both together; `c` does nothing."""
    return not (a > 0.4 and b > 0.6)


def bowl(a, b, c):
    """Worst at one place within."""
    return (a - 0.3) ** 2 + (b - 0.8) ** 2 + 0.5 * (c - 0.5) ** 2


def flat(a, b, c):
    return 1.0


def broken(a, b, c):
    if a > 0.9:
        raise ValueError("too much")
    return a < 0.5


FORMULAS = {formula.__name__: formula for formula in (alone, both, bowl, flat, broken)}


class Field(gym.Env):
    """One step; the reward is a formula of the parameters a, b and c, all 0 by nature, plus the seed's luck."""

    metadata = {"render_modes": ["rgb_array"], "render_fps": 10}  # noqa: RUF012
    control_period_s = 0.1
    observation_space = gym.spaces.Box(-np.inf, np.inf, (1,), np.float64)
    action_space = gym.spaces.Box(-1, 1, (1,), np.float64)

    def __init__(self, formula="alone", luck=0.0, render_mode=None):
        self.formula, self.luck, self.render_mode = FORMULAS[formula], luck, render_mode
        self.a = self.b = self.c = 0.0

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.by_luck = self.luck * self.np_random.normal()
        return np.zeros(1), {}

    def step(self, action):
        worth = float(self.formula(self.a, self.b, self.c)) + self.by_luck
        info = {
            "success": worth > 0.5,
            "termination": "" if worth > 0.5 else "lost",
            "metrics": {"a": self.a},
        }
        return np.zeros(1), worth, worth <= 0.5, True, info

    def render(self):
        return np.full((4, 4, 3), 128, np.uint8)


class Fall(Field):
    """Ten steps; `a` and `b` make it tip over, at once or late, `c` makes it slip. The reward is 1 a step."""

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.steps, self.jitter = 0, int(self.np_random.integers(2))
        return np.zeros(1), {}

    def step(self, action):
        self.steps += 1
        ends = {
            "tipped": 2 if self.a > 0.5 else 7 if self.b > 0.5 else 99,
            "slipped": 5 if self.c > 0.5 else 99,
        }
        reason = next((name for name, step in ends.items() if self.steps >= step + self.jitter), "")
        info = {"success": not reason, "termination": reason, "metrics": {"sway": self.np_random.normal()}}
        return np.zeros(1), 1.0, bool(reason), self.steps == 10, info


if "Field-v0" not in gym.registry:  # doctest collection runs this file a second time
    gym.register("Field-v0", entry_point="search_toys:Field")
    gym.register("Fall-v0", entry_point="search_toys:Fall")


def still(env, rest=0.0):
    return lambda observation: np.full(1, rest)


def abc(env):
    return Attributes(env, {name: name for name in "abc"})


REGION = tuple(set_to(f"parameter:{name}", Uniform(0, 1)) for name in "abc")


def field(formula="alone", luck=0.0, **changes):
    """Return a study of one policy in the field, nominal only."""
    fields = {
        "name": "field",
        "env": "search_toys:Field-v0",
        "env_kwargs": {"formula": formula, "luck": luck},
        "policies": {"it": policies.scripted(still)},
        "parameters": abc,
        "episodes": 2,
        "competent": 0.5,
    }
    return Study(**{**fields, **changes})

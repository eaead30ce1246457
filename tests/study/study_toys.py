"""Environments, policies and studies small enough to watch the runner itself."""

import os
import signal
import time

import gymnasium as gym
import numpy as np

from sim2real import policies
from sim2real.errors import Sim2RealError
from sim2real.perturb import Normal, Uniform, Wrap, add, scale
from sim2real.study import Study
from sim2real.wrappers import Attributes


class Toy(gym.Env):
    """Reports everything an environment can, unless told not to; `fault` says what goes wrong."""

    metadata = {"render_modes": ["rgb_array"], "render_fps": 10}  # noqa: RUF012
    control_period_s = 0.1
    observation_space = gym.spaces.Box(-np.inf, np.inf, (2,), np.float64)
    action_space = gym.spaces.Box(-1, 1, (1,), np.float64)
    made = 0
    tells = None  # the last info instead of its own

    def __init__(self, length=10, fault="", reports=True, render_mode=None):
        Toy.made += 1
        self.length, self.fault, self.reports, self.render_mode = length, fault, reports, render_mode
        self.gain = 1.0

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.steps, self.start = 0, self.np_random.normal()
        return np.array([self.start, 0.0]), {}

    def step(self, action):
        self.steps += 1
        if self.fault == "raises" and self.steps == 5:
            raise RuntimeError(f"lost contact at {object()}")
        if self.fault == "full":
            raise MemoryError
        if self.fault == "diverges" and self.gain > 1 and self.start > 0:
            raise RuntimeError("the solver diverged")
        over = self.steps == self.length
        info = {"cost": 0.5, "violations": 1, "intervened": self.steps == 1} if self.reports else {}
        if over and self.reports:
            info |= {"success": False, "termination": "bored", "metrics": {"distance_m": np.float32(2.0)}}
        if over and self.tells is not None:
            info = dict(self.tells)
        reward = np.nan if self.fault == "nan" else self.gain * float(action[0])
        terminated = over and self.fault == "terminates"
        seen = np.nan if self.fault == "blind" else action[0]
        return np.array([self.start, seen]), reward, terminated, over and not terminated, info

    def render(self):
        return np.full((4, 4, 3), self.steps, np.uint8)


if "Toy-v0" not in gym.registry:  # doctest collection runs this file a second time
    gym.register("Toy-v0", entry_point="study_toys:Toy")
TOY = "study_toys:Toy-v0"


class Balance:
    """Keeps a CartPole upright; a smaller gain does it worse."""

    def __init__(self, env, gain=1.0):
        self.gain = gain

    def __call__(self, observation):
        x, v, angle, rate = observation
        return int(0.1 * x + 0.2 * v + self.gain * angle + 0.5 * rate > 0)


class Repeated(gym.Wrapper):
    """Makes two steps of one, as wrappers that skip frames do."""

    def step(self, action):
        self.env.step(action)
        return self.env.step(action)


def constant(env, value=0.5):
    return lambda observation: np.array([value])


def misshapen(env):
    return lambda observation: np.zeros(3)


def nan(env):
    return lambda observation: np.array([np.nan])


def picky(env):
    raise Sim2RealError("This policy needs a robot.")


class OnSeed:
    """Acts like `constant`, but on some seeds kills its process ("kill") or never returns ("hang")."""

    def __init__(self, env, seeds, deed):
        self.seeds, self.deed = seeds, deed

    def reset(self, seed=None):
        if seed in self.seeds:
            if self.deed == "kill":
                os.kill(os.getpid(), signal.SIGKILL)
            time.sleep(60)

    def __call__(self, observation):
        return np.array([0.5])


def pole(env):
    return Attributes(env, {"pole.length": "length"})


def gain(env):
    return Attributes(env, {"gain": "gain"})


def halved(env):
    return gym.wrappers.TransformReward(env, lambda reward: reward / 2)


def torn(env):
    raise ValueError("torn")


def cartpole(**changes):
    """Return a study of two policies under three conditions and nominal: 8 trials per episode."""
    fields = {
        "name": "cartpole",
        "env": "CartPole-v1",
        "policies": {"firm": policies.scripted(Balance), "weak": policies.scripted(Balance, gain=0.2)},
        "conditions": {
            "noise": [add("observation", Normal(0, 0.1))],
            "long": [scale("parameter:pole.length", Uniform(1, 3))],
            "halved": [Wrap(halved, label="half the reward")],
        },
        "episodes": 4,
        "parameters": pole,
        "metric": "survived",
    }
    return Study(**{**fields, **changes})


def toy(factory=constant, options=None, **changes):
    """Return a study of one policy at Toy, nominal only."""
    policy = policies.scripted(factory, **(options or {}))
    return Study(**{"name": "toy", "env": TOY, "policies": {"it": policy}, "episodes": 2, **changes})

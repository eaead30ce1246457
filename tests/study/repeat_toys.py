"""Environments and policies that do not repeat, each in the way of one that was reported."""

import random

import gymnasium as gym
import numpy as np


class Steady(gym.Env):
    """Starts where its seed says, and moves as it is pushed."""

    observation_space = gym.spaces.Box(-np.inf, np.inf, (1,), np.float64)
    action_space = gym.spaces.Box(-1, 1, (1,), np.float64)

    def __init__(self, engine="own"):
        self.engine, self.left = engine, 0.0

    def start(self, seed):
        return self.np_random.normal()

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.x, self.steps = self.start(seed), 0
        return np.array([self.x]), {}

    def step(self, action):
        self.x += 0.1 * float(action[0])
        self.steps += 1
        return np.array([self.x]), -abs(self.x), False, self.steps == 8, {}


class Deaf(Steady):
    """Draws from the module `random`, as Gymnasium-Robotics#207 did."""

    def start(self, seed):
        return random.gauss(0, 1)


class Restless(Steady):
    """Starts where its seed says, and is then shaken by a generator that nobody seeded."""

    def step(self, action):
        return super().step(action + np.random.default_rng().normal())


class SeededOnce(Steady):
    """Takes the seed of the first reset alone."""

    rng = None

    def start(self, seed):
        self.rng = self.rng or np.random.default_rng(seed)
        return self.rng.normal()


class Leftover(Steady):
    """Forgets at reset to put back where it was pushed, which shows in later steps alone."""

    def step(self, action):
        self.left += float(action[0])
        return super().step(action + 0.01 * self.left)


class Toggle(Steady):
    """Every other episode is mirrored: the first is like the third."""

    sign = 1.0

    def start(self, seed):
        self.sign = -self.sign
        return self.sign * super().start(seed)


class SteadyHere(Steady):
    """Repeats unless it is made otherwise."""

    def start(self, seed):
        return random.gauss(0, 1) if self.engine == "other" else super().start(seed)


for kind in (Steady, Deaf, Restless, SeededOnce, Leftover, Toggle, SteadyHere):
    if f"{kind.__name__}-v0" not in gym.registry:
        gym.register(f"{kind.__name__}-v0", entry_point=f"repeat_toys:{kind.__name__}")


def push(env):
    return lambda observation: np.array([0.5])


def noisy(env):
    rng = np.random.default_rng()
    return lambda observation: rng.uniform(-1, 1, 1)


class Seeded:
    """Draws its actions from the seed it is reset with."""

    def __init__(self, env):
        self.reset()

    def reset(self, seed=None):
        self.rng = np.random.default_rng(seed)

    def __call__(self, observation):
        return self.rng.uniform(-1, 1, 1)


class Elephant:
    """Never forgets: acts on the sum of all it saw in all episodes."""

    def __init__(self, env):
        self.sum = 0.0

    def __call__(self, observation):
        self.sum += float(observation[0])
        return np.tanh([self.sum])


class Peeker:
    """Reads the environment behind its observations."""

    def __init__(self, env):
        self.env = env.unwrapped

    def __call__(self, observation):
        return np.tanh([self.env.x + self.env.steps])


class Shaken(gym.ObservationWrapper):
    def observation(self, observation):
        return observation + random.gauss(0, 1)


def shaken(env):
    return Shaken(env)

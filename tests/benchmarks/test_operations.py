"""What each operation costs a step: ≤ 3 µs on an observation of 47 numbers."""

import time

import gymnasium as gym
import numpy as np
import pytest

from sim2real import (
    Drift,
    Interval,
    Normal,
    Perturbed,
    Uniform,
    add,
    clip,
    delay,
    hold,
    quantize,
    scale,
    set_to,
)

STEPS = 500
OPERATIONS = {
    "add a constant": add("observation", 0.1),
    "add noise": add("observation", Normal(0, 0.1)),
    "add noise to a part": add("observation:3:6", Normal(0, 0.1)),
    "add drift": add("observation", Drift(0.1, 5)),
    "scale": scale("observation", Uniform(0.9, 1.1), every="episode"),
    "set now and then": set_to("observation:3", 0.0, every=Interval(0.5, 1, lasting_s=0.1)),
    "delay": delay("observation", 3),
    "hold": hold("observation", 0.1),
    "quantize": quantize("observation", 0.01),
    "clip": clip("observation", 1.0),
}


class Numbers(gym.Env):
    """An environment that costs nothing and shows 47 numbers."""

    metadata = {"render_modes": []}
    control_period_s = 0.02
    observation_space = gym.spaces.Box(-10, 10, (47,), np.float32)
    action_space = gym.spaces.Box(-1, 1, (12,), np.float32)
    numbers = np.linspace(-2, 2, 47, dtype=np.float32)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        return self.numbers, {}

    def step(self, action):
        return self.numbers, 0.0, False, False, {}


@pytest.mark.parametrize("name", OPERATIONS)
def test_step_cost_of_an_operation(name, benchmark):
    """An operation in `Perturbed` beside the cheapest one there is, adding a constant to one number."""
    yardstick, env = (Perturbed(Numbers(), [item]) for item in (add("observation:0", 0.1), OPERATIONS[name]))
    bare = Perturbed(Numbers(), [])
    action = np.zeros(12, np.float32)

    def episode_us(one):
        one.reset(seed=0)
        start = time.perf_counter()
        for _ in range(STEPS):
            one.step(action)
        return (time.perf_counter() - start) / STEPS * 1e6

    rounds = [[episode_us(one) for one in (bare, yardstick, env)] for _ in range(40)]
    bare_us, yardstick_us, step_us = map(min, zip(*rounds, strict=True))  # what else runs only adds
    ratio = (step_us - bare_us) / (yardstick_us - bare_us)
    benchmark.extra_info.update(step_us=step_us - bare_us, ratio=ratio)
    print(f"\n{name}: {step_us - bare_us:.2f} µs a step on top of {bare_us:.2f} µs, ratio {ratio:.2f}")
    benchmark.pedantic(lambda: env.step(action), rounds=50)

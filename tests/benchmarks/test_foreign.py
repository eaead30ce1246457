"""Perturbing and constraining somebody else's environment, beside a chain of Gymnasium's own wrappers."""

import statistics
import time
from pathlib import Path

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.wrappers import DelayObservation, RecordEpisodeStatistics, TransformObservation

from sim2real import Constrained, Normal, Perturbed, add, delay, safety

LIMIT = 5.0


def hurry(observation, action, info):
    """Return how fast the foremost joint turns."""
    return abs(observation[-1])


def ours(env):
    return Constrained(
        Perturbed(env, [add("observation", Normal(0, 0.1)), delay("observation", 2)]),
        [safety.custom(f"{Path(__file__).stem}:hurry", LIMIT)],
    )


def theirs(env):
    """The same of Gymnasium's wrappers and two closures: without seeds, and without telling what was drawn."""
    rng = np.random.default_rng(0)
    space, dtype, violations = env.observation_space, env.observation_space.dtype, []

    def noisy(observation):
        return observation + rng.normal(0, 0.1, space.shape).astype(dtype)

    def watched(observation):
        if hurry(observation, None, None) > LIMIT:
            violations.append(observation)
        return observation

    env = DelayObservation(TransformObservation(env, noisy, space), 2)
    return RecordEpisodeStatistics(TransformObservation(env, watched, space))


@pytest.mark.parametrize("id", ["Pendulum-v1", "HalfCheetah-v5", "Humanoid-v5"])
def test_the_chain_over_gymnasium_s_own(id, benchmark, monkeypatch, tmp_path):
    """Seeded noise, delay and a constraint's record add at most 6 µs of processor time to Gymnasium's chain."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(Path(__file__).parent)
    envs = [gym.make(id, disable_env_checker=True, max_episode_steps=10**9) for _ in range(3)]
    chains = {"bare": envs[0], "ours": ours(envs[1]), "theirs": theirs(envs[2])}
    action = np.zeros(envs[0].action_space.shape, envs[0].action_space.dtype)
    times_us = {name: [] for name in chains}
    for _ in range(60):
        for name, env in chains.items():
            env.reset(seed=0)
            start = time.process_time()
            for _ in range(50):
                env.step(action)
            times_us[name].append((time.process_time() - start) / 50 * 1e6)
    found = {name: round(statistics.median(times), 1) for name, times in times_us.items()}
    benchmark.extra_info.update(found)
    print(f"\n{id}, µs per step: {found}, ratio {found['ours'] / found['theirs']:.2f}")
    benchmark.pedantic(lambda: chains["ours"].step(action), rounds=50)
    assert found["ours"] <= found["theirs"] + 6

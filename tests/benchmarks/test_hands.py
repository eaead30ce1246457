"""The targets of work with a hand: a step over its physics, steps per second, resets."""

import statistics
import time

import gymnasium as gym
import pybullet
import pytest

from sim2real import policies


@pytest.fixture(scope="module")
def grasp():
    env = gym.make("sim2real:sim2real/Grasp-v0", disable_env_checker=True)
    yield env
    env.close()


def test_step_over_its_bare_physics(grasp, benchmark, monkeypatch):
    """A Grasp step, the object in the hand half of the time, ≤ 1.5 × its stepSimulation calls and 1/800 s."""
    env, expert = grasp.unwrapped, policies.scripted(policies.expert).bind(grasp)
    observation, _ = env.reset(seed=0)
    expert.reset(0)
    actions, spent, real = [], [0.0], pybullet.stepSimulation
    for _ in range(250):
        actions.append(expert(observation))
        observation, *_ = env.step(actions[-1])

    def timed(*args):
        start = time.process_time()
        real(*args)
        spent[0] += time.process_time() - start

    def episode():
        env.reset(seed=0)
        start = time.process_time()
        for action in actions:
            env.step(action)
        return time.process_time() - start

    whole, physics = [], []
    for _ in range(10):
        whole.append(episode())
        monkeypatch.setattr(pybullet, "stepSimulation", timed)
        spent[0] = 0.0
        episode()
        physics.append(spent[0])
        monkeypatch.setattr(pybullet, "stepSimulation", real)
    step_us, physics_us = (statistics.median(t) / len(actions) * 1e6 for t in (whole, physics))
    benchmark.extra_info.update(step_us=step_us, physics_us=physics_us, ratio=step_us / physics_us)
    print(f"\nGrasp step {step_us:.0f} µs, its physics {physics_us:.0f} µs, ratio {step_us / physics_us:.3f}")
    benchmark.pedantic(lambda: env.step(actions[0]), rounds=50)


def test_reset(grasp, benchmark):
    """A reset takes at most 5 ms."""
    benchmark(grasp.reset, seed=0)

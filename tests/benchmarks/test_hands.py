"""The targets of work with a hand: a step over its physics, steps per second, resets."""

import gymnasium as gym
import pytest

from sim2real import policies


@pytest.fixture(scope="module")
def grasp():
    env = gym.make("sim2real:sim2real/Grasp-v0", disable_env_checker=True)
    yield env
    env.close()


def test_step_over_its_bare_physics(grasp, over_physics):
    """A Grasp step, the object in the hand half of the time, ≤ 1.5 × its stepSimulation calls and 1/800 s."""
    env, expert = grasp.unwrapped, policies.scripted(policies.expert).bind(grasp)
    observation, _ = env.reset(seed=0)
    expert.reset(0)
    actions = []
    for _ in range(250):
        actions.append(expert(observation))
        observation, *_ = env.step(actions[-1])
    over_physics(env, actions, rounds=10)


def test_reset(grasp, benchmark):
    """A reset takes at most 5 ms."""
    benchmark(grasp.reset, seed=0)

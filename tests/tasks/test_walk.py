"""Walk's own figures."""

import math

import gymnasium as gym
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sim2real import policies
from sim2real.tasks.walk import APART_M


@pytest.fixture(scope="module")
def task():
    env = gym.make("sim2real:sim2real/Walk-v0", engine="mujoco")
    env.reset(seed=0)
    yield env.unwrapped.task
    env.close()


@settings(max_examples=30)
@given(
    yaw=st.floats(-math.pi, math.pi),
    apart_m=st.floats(-0.2, 0.4),
    ahead_m=st.floats(-0.5, 0.5),
    at_m=st.floats(-3, 3),
)
def test_feet_are_apart_across_the_heading(task, yaw, apart_m, ahead_m, at_m):
    """Where the robot is, where it looks and how long its step is do not count; crossed legs are negative."""
    left = (
        np.array([math.cos(yaw), math.sin(yaw)]) * ahead_m
        + np.array([-math.sin(yaw), math.cos(yaw)]) * apart_m
        + at_m
    )
    still = ((0.0, 0.0, 0.0, 1.0), (0.0, 0.0, 0.0))
    task.sim._foot_states = [((*left, 0.0), *still), ((at_m, at_m, 0.0), *still)]
    assert task._feet_apart_m(math.cos(yaw), math.sin(yaw)) == pytest.approx(apart_m, abs=1e-9)


def test_standing_feet_are_far_enough_apart():
    """Who stands still pays nothing for feet that are too near, and least of all distances is that of standing."""
    env = gym.make("sim2real:sim2real/Walk-v0", engine="mujoco", command=(0.0, 0.0, 0.0))
    policy = policies.scripted(policies.hold).bind(env)
    observation, _ = env.reset(seed=0)
    for _ in range(20):
        observation, _, _, _, info = env.step(policy(observation))
        assert info["reward_terms"]["feet_apart"] == 0.0
    apart_m = env.unwrapped.task.metrics()["feet_apart_m"]
    assert apart_m == pytest.approx(0.237, abs=0.02)
    assert apart_m > APART_M
    env.close()


@pytest.mark.parametrize("sway_m_s", [0.0, 0.1, 0.3])
def test_what_sways_is_charged_and_what_goes_elsewhere_is_not(task, monkeypatch, sway_m_s):
    """A lateral velocity of ± s twice a gait cycle costs s² in the mean, whatever the velocity it is added to is."""
    sim, found = task.sim, []
    monkeypatch.setattr(type(sim), "heading", property(lambda _: (1.0, 0.0)))
    task.reset()
    for step in range(600):
        sim.base_velocity_m_s = 0.2, 0.1 + sway_m_s * (-1.0) ** (step // 10), 0.0
        found.append(task.rewards(np.zeros(12))["sway"] / task.weights["sway"])
    assert np.mean(found[-400:]) == pytest.approx(sway_m_s**2, rel=0.15, abs=1e-4)

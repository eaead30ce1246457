"""The shields' targets: closed forms ≤ 10 µs for 12 joints, the quadratic programme ≤ 150 µs, beside a Walk step."""

import gymnasium as gym
import numpy as np
import pytest

from sim2real import safety
from sim2real.safety.step import Step


@pytest.fixture(scope="module")
def walk():
    env = gym.make("sim2real:sim2real/Walk-v0", disable_env_checker=True, episode_s=1e6)
    yield env
    env.close()


@pytest.mark.parametrize(
    ("shield", "most"),
    [
        (safety.JointBarrier(), 0.05),
        (safety.TorqueClamp(), 0.05),
        (safety.RateLimit(change=0.1), 0.05),
        (safety.Recovery(), 0.2),
        (safety.BarrierProgramme(), 0.6),
    ],
    ids=lambda value: getattr(value, "name", ""),
)
def test_a_shield_beside_a_step(walk, compare, shield, most):
    """A fraction of a Walk step, with actions that keep the shield busy."""
    observation, _ = walk.reset(seed=0)
    guard = shield.bind(walk)
    guard.reset()
    actions = iter(np.random.default_rng(0).uniform(-1, 1, (100_000, 12)))
    ratio = compare(
        lambda: [guard(Step(observation, next(actions), {}, walk.unwrapped)) for _ in range(20)],
        lambda: [walk.step(np.zeros(12)) for _ in range(20)],
        rounds=60,
        setup=lambda: walk.reset(seed=0),
    )
    assert ratio < most

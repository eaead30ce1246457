"""What a second engine is for: control steps per second, beside those of the first."""

import gymnasium as gym
import pytest

from sim2real import policies


@pytest.fixture
def episode():
    """Return a function that replays two seconds of Walk-v0 in an engine, with actions that keep it on its feet."""
    envs = []

    def made(engine):
        env = gym.make("sim2real:sim2real/Walk-v0", engine=engine, disable_env_checker=True).unwrapped
        envs.append(env)
        policy, actions = policies.scripted(policies.balance).bind(env), []
        observation, _ = env.reset(seed=0)
        for _ in range(100):
            actions.append(policy(observation))
            observation, *_ = env.step(actions[-1])

        def replay():
            env.reset(seed=0)
            for action in actions:
                env.step(action)

        return replay

    yield made
    for env in envs:
        env.close()


def test_mujoco_takes_at_most_half_the_time(compare, episode):
    """Two seconds of Walk-v0, reset included, in MuJoCo against Bullet."""
    assert compare(episode("mujoco"), episode("bullet"), rounds=40) <= 0.5

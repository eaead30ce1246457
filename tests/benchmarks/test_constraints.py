"""What constraints cost beside the step they watch."""

import statistics
import time

import gymnasium as gym

from sim2real import Constrained, policies, safety

TEN = (
    safety.joint_position(0.05),
    safety.joint_velocity(0.9),
    safety.torque(0.9),
    safety.power(500.0),
    safety.action_rate(50.0),
    safety.torso_tilt(0.8),
    safety.base_height(0.5),
    safety.foot_slip(0.3),
    safety.foot_impact(700.0),
    safety.forbidden_contact(),
)


class Timed(gym.Wrapper):
    """Keeps how long its last step took."""

    def step(self, action):
        start = time.perf_counter()
        result = self.env.step(action)
        self.seconds = time.perf_counter() - start
        return result


def test_recording_ten_constraints_over_none(benchmark):
    """Recording ten constraints adds ≤ 5 % to a Walk step: what is added is timed around each step itself."""
    walk = Timed(gym.make("sim2real:sim2real/Walk-v0", disable_env_checker=True, episode_s=1e6))
    env = Constrained(walk, TEN)
    policy = policies.scripted(policies.balance).bind(walk)
    observation, _ = walk.reset(seed=0)
    actions = []
    for _ in range(100):
        actions.append(policy(observation))
        observation, *_ = walk.step(actions[-1])
    bare, added = [], []
    for _ in range(30):
        env.reset(seed=0)
        for action in actions:
            start = time.perf_counter()
            env.step(action)
            added.append(time.perf_counter() - start - walk.seconds)
            bare.append(walk.seconds)
    step_us, added_us = (statistics.median(times) * 1e6 for times in (bare, added))
    benchmark.extra_info.update(step_us=step_us, added_us=added_us, ratio=added_us / step_us)
    print(f"\nWalk step {step_us:.0f} µs, ten constraints {added_us:.1f} µs, ratio {added_us / step_us:.3f}")
    benchmark.pedantic(lambda: env.step(actions[0]), rounds=50)
    env.close()

"""A robot environment of arrays only: everything a contract is checked against, and no physics."""

from collections.abc import Callable, Sequence
from typing import Any

import gymnasium as gym
import numpy as np
import pytest

from sim2real.policies import Contract, Term

JOINTS = ("left_hip", "left_knee", "right_hip", "right_knee")


class Robot(gym.Env):
    def __init__(self, joints: Sequence[str] = JOINTS, order: Sequence[str] = (), **changes: Any) -> None:
        n = len(joints)
        sizes = {"gyro": 3, "joint_position": n, "joint_velocity": n, "previous_action": n, "gait_phase": 2}
        stops = np.cumsum([sizes[name] for name in order or sizes]).tolist()
        self.observation_terms = {
            name: slice(stop - sizes[name], stop) for name, stop in zip(order or sizes, stops, strict=True)
        }
        self.joint_names = self.action_names = tuple(joints)
        self.control, self.control_period_s, self.gait_period_s = "position", 0.02, 0.8
        self.kp, self.kd, self.default_pose = np.ones(n), np.ones(n), np.arange(n) / 10
        self.action_scale, self.action_offset = np.ones(n), np.zeros(n)
        self.observation_space = gym.spaces.Box(-np.inf, np.inf, (stops[-1],), np.float32)
        self.action_space = gym.spaces.Box(-3, 3, (n,), np.float32)
        for name, value in changes.items():
            setattr(self, name, value)

    def use_gains(self, kp: np.ndarray, kd: np.ndarray) -> None:
        self.kp, self.kd = kp, kd

    def observe(self, state: dict[str, Any]) -> np.ndarray:
        """Lay a state, where joint terms are dicts by joint, out as this environment would."""
        parts = []
        for name in self.observation_terms:
            value = state.get(name, np.zeros(2))
            parts.append([value[j] for j in self.joint_names] if isinstance(value, dict) else value)
        return np.concatenate(parts).astype(np.float32)


def _contract(**changes: Any) -> Contract:
    terms = (
        Term(term="gyro", size=3, scale=0.25),
        Term(term="joint_position", size=4, offset=(0.0, 0.1, 0.2, 0.3)),
        Term(term="joint_velocity", size=4, scale=0.05),
        Term(term="previous_action", size=4),
    )
    fields = {"joints": JOINTS, "control": "position", "control_period_s": 0.02, "observation": terms}
    return Contract(**fields | changes)


@pytest.fixture(scope="session")
def robot() -> Callable[..., Robot]:
    return Robot


@pytest.fixture(scope="session")
def contract() -> Callable[..., Contract]:
    return _contract

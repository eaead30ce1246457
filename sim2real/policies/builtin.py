"""Policies that a study wants beside its own: nothing, noise, and holding still."""

import copy
from typing import Any

import numpy as np

from sim2real.errors import Sim2RealError
from sim2real.policies.binding import Policy


def zero(env: Any) -> Policy:
    """Return the policy whose actions are all zero."""
    action = np.zeros(env.action_space.shape)
    return lambda observation: action


class random:  # a factory, named like its neighbours
    """The policy that samples the action space, from a copy of it that `reset(seed)` seeds."""

    def __init__(self, env: Any) -> None:
        self._space = copy.deepcopy(env.action_space)
        self.reset(0)

    def reset(self, seed: int | None = None) -> None:
        """Restart the random numbers."""
        self._space.seed(seed)

    def __call__(self, observation: Any) -> Any:
        """Return an action drawn from the space."""
        return self._space.sample()


def hold(env: Any) -> Policy:
    """Return the policy that keeps the default pose: by targets, or under torque control by the gains.

    Raises:
        Sim2RealError: an environment without a default pose.
    """
    robot = env.unwrapped
    if not hasattr(robot, "default_pose"):
        raise Sim2RealError(f"'hold' needs a default_pose, which {type(robot).__name__} has not.")
    if env.action_space.shape != robot.default_pose.shape:
        raise Sim2RealError("'hold' needs one action per joint; 'zero' keeps an arm where it is ready.")
    pose, unit, zero = np.array(robot.default_pose), robot.action_scale, robot.action_offset
    if robot.control == "position":
        held = (pose - zero) / unit
        return lambda observation: held
    position, velocity = (robot.observation_terms[name] for name in ("joint_position", "joint_velocity"))
    kp, kd = np.array(robot.kp), np.array(robot.kd)
    return lambda observation: (kp * (pose - observation[position]) - kd * observation[velocity]) / unit

"""A controller that takes a humanoid down into a crouch: what a recovery shield falls back on."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq

from sim2real.errors import Sim2RealError
from sim2real.policies.balance import balance

Array = NDArray[np.float64]
PITCHES = ("hip_pitch", "knee", "ankle_pitch")


class crouch:  # a factory, named like its neighbours
    """Go down from the default pose into a crouch, in balance all the way, and stay there.

    A crouched robot is harder to tip over: the edge of its soles is further away, seen from its centre of mass,
    and its legs have room to give way. The way down is a row of poses, each with the soles flat and the centre of
    mass over their middle, and each with a `balance` controller of its own.

    Args:
        env: an environment of this package with a humanoid's legs, under position control.
        knee_rad: how far the knees bend in the end.
        lowering_s: time to get there.
        poses: how many there are on the way, both ends included.
        frequency_rad_s: natural frequency of the balance controllers.

    Raises:
        Sim2RealError: an environment without such legs, or without joint targets.
    """

    def __init__(
        self,
        env: Any,
        *,
        knee_rad: float = 0.9,
        lowering_s: float = 0.6,
        poses: int = 10,
        frequency_rad_s: float = 4.0,
    ) -> None:
        bare = env.unwrapped
        names, start = bare.joint_names, bare.default_pose
        hip, knee, ankle = ([i for i, name in enumerate(names) if name.endswith(of)] for of in PITCHES)
        if not hip or not knee or not ankle:
            raise Sim2RealError(f"'crouch' needs legs with joints called {', '.join(PITCHES)}.")
        robot = bare.sim.robot
        tree = robot.tree
        feet = [tree.index[foot] for foot in robot.feet]

        def bent(hip_rad: float, knee_rad: float) -> Array:
            """Return the pose with these angles and flat soles."""
            pose: Array = start.copy()
            pose[hip], pose[knee], pose[ankle] = hip_rad, knee_rad, -hip_rad - knee_rad
            return pose

        def ahead_m(hip_rad: float, knee_rad: float) -> float:
            """Return how far the centre of mass is ahead of the middle of the soles."""
            pose = bent(hip_rad, knee_rad)
            angles = {**robot.default_pose, **dict(zip(names, pose.tolist(), strict=True))}
            soles = zip(feet, tree.link_poses(angles)[feet], strict=True)
            ground = [
                (at @ shape.pose_in_link)[0, 3] for foot, at in soles for shape in tree.links[foot].collisions
            ]
            return float(tree.whole(angles).com_m[0] - (max(ground) + min(ground)) / 2.0)

        self._controllers = []
        for bend in np.linspace(start[knee[0]], knee_rad, poses).tolist():
            pose = bent(brentq(ahead_m, -bend, 0.0, args=(bend,)), bend)
            self._controllers.append(balance(env, frequency_rad_s=frequency_rad_s, pose_rad=pose))
        self._steps_each = max(1, round(lowering_s / (poses - 1) / bare.control_period_s))
        self.reset()

    def reset(self, seed: int | None = None) -> None:
        """Start at the top."""
        self._steps = 0

    def __call__(self, observation: Any) -> Array:
        """Return the joint targets of this moment, as an action."""
        stage = min(self._steps // self._steps_each, len(self._controllers) - 1)
        self._steps += 1
        action: Array = self._controllers[stage](observation)
        return action

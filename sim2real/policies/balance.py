"""A classical balance controller: what a study of learned policies can be compared with."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from sim2real.errors import Sim2RealError
from sim2real.linktree import skew
from sim2real.policies.binding import Policy

Array = NDArray[np.float64]
GRAVITY_M_S2 = 9.81


def balance(
    env: Any, *, frequency_rad_s: float = 4.0, damping_ratio: float = 1.0, pose_rad: Array | None = None
) -> Policy:
    """Return a controller that keeps the centre of mass over the feet, by joint targets.

    A virtual spring and damper pull the centre of mass, at c from above the middle of the soles, with the
    force F = −m (ω² + g/h) c − 2 ζ ω m ċ; the g/h cancels gravity's pull on an inverted pendulum of height h.
    F is held to what the soles can give before they tip, m g d / h for a support that reaches d. Its joint
    torques become offsets τ / kp of the pose:

    * forward, τ = Jᵀ F / 2 in each leg, with J the Jacobian of the centre of mass over a foot that stays flat: the
      ankles do the work;
    * sideways, the feet are narrow and far apart, so the hips shift load from one to the other: legs and pelvis move
      as a parallelogram, and the motion's virtual work, without the ankles' roll, gives τ.

    All Jacobians are those of the pose, computed once from the robot's description.

    Args:
        env: an environment of this package with two feet, under position control.
        frequency_rad_s: natural frequency ω of the closed loop.
        damping_ratio: its ζ.
        pose_rad: the joints' angles (n,) in the pose to be kept, with the soles flat; None for the default pose,
            which is the zero of the actions.

    Raises:
        Sim2RealError: an environment without feet or without joint targets.
    """
    unwrapped = env.unwrapped
    robot = getattr(getattr(unwrapped, "sim", None), "robot", None)
    if robot is None or not robot.feet or unwrapped.control != "position":
        raise Sim2RealError("'balance' needs one of this package's environments with feet and joint targets.")
    names, tree = unwrapped.joint_names, robot.tree
    pose = np.array(unwrapped.default_pose if pose_rad is None else pose_rad)
    feet = [tree.index[foot] for foot in robot.feet]

    def look(angles: Array) -> tuple[Array, Array]:
        """Return the centre of mass (3,) and the feet's poses (feet, 4, 4), both in the base frame."""
        joints = {**robot.default_pose, **dict(zip(names, angles.tolist(), strict=True))}
        return tree.whole(joints).com_m, tree.link_poses(joints)[feet]

    centre, soles = look(pose)
    step = 1e-6
    moved = [look(pose + step * axis) for axis in np.eye(len(names))]
    centre_by_joint = np.array([c - centre for c, _ in moved]).T / step  # (3, n)
    soles_by_joint = np.array([s - soles for _, s in moved]) / step  # (n, feet, 4, 4)
    ankle_roll = [joint.name for joint in tree.joints if joint.child in robot.feet]
    forward, sideways = np.zeros(len(names)), np.zeros(len(names))
    for k, sole in enumerate(soles):
        travel = soles_by_joint[:, k, :3, 3].T  # (3, n) of the foot in the base frame, and its turning
        spin = soles_by_joint[:, k, :3, :3] @ sole[:3, :3].T
        turning = np.stack([spin[:, 2, 1], spin[:, 0, 2], spin[:, 1, 0]])
        over_flat_foot = centre_by_joint - travel + skew(centre - sole[:3, 3]) @ turning
        forward += over_flat_foot[0] / len(soles)
        level_shift = np.linalg.pinv(np.vstack([-travel, turning]))[
            :, 1
        ]  # rad per m to the left, pelvis level
        sideways += np.where(np.isin(names, ankle_roll), 0.0, level_shift)
    sideways /= sideways @ sideways
    torque_by_force = np.stack([forward, sideways], axis=1)  # (n, 2)

    ground = np.array(
        [
            (sole @ shape.pose_in_link)[:3, 3]
            for foot, sole in zip(feet, soles, strict=True)
            for shape in tree.links[foot].collisions
        ]
    )
    height_m = float(centre[2] - ground[:, 2].min())
    middle, reach = (ground.max(axis=0) + ground.min(axis=0))[:2] / 2, np.ptp(ground, axis=0)[:2] / 2
    mass_kg = float(tree.bodies.mass_kg.sum())
    stiffness = mass_kg * (frequency_rad_s**2 + GRAVITY_M_S2 / height_m)
    damping = 2.0 * damping_ratio * frequency_rad_s * mass_kg
    strongest = mass_kg * GRAVITY_M_S2 * reach / height_m
    off_middle = centre[:2] - middle
    from_feet = (centre_by_joint - soles_by_joint[:, :, :3, 3].mean(axis=1).T)[:2]
    to_action = -torque_by_force / (unwrapped.kp * unwrapped.action_scale)[:, None]
    held = (pose - unwrapped.action_offset) / unwrapped.action_scale
    terms = unwrapped.observation_terms
    gyro, gravity = terms["gyro"], terms["projected_gravity"]
    position, velocity = terms["joint_position"], terms["joint_velocity"]

    def act(observation: Array) -> Array:
        down, rate = observation[gravity], observation[gyro]
        offset = off_middle + from_feet @ (observation[position] - pose) + height_m * down[:2]
        drift = from_feet @ observation[velocity] + height_m * np.array([rate[1], -rate[0]])
        pull = np.clip(stiffness * offset + damping * drift, -strongest, strongest)
        action: Array = held + to_action @ pull
        return action

    return act

"""What the mirror makes of a robot: left becomes right, and what turns about its length or height turns back.

The mirror is the plane of a robot's x and z axes. Vectors keep x and z and change the sign of y; what turns
(angular velocity, the axis of a joint) does the opposite.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sim2real.errors import Sim2RealError, nearest
from sim2real.policies import Contract
from sim2real.robots import Robot

VECTOR, TURNING = (1.0, -1.0, 1.0), (-1.0, 1.0, -1.0)
SIGNS: Mapping[str, Sequence[float]] = {
    "gyro": TURNING,
    "projected_gravity": VECTOR,
    "command": (1.0, -1.0, -1.0),  # forward, lateral, yaw rate
    "gait_phase": (-1.0, -1.0),  # feet half a period apart change places after half a period
}
"""How observation terms change that hold no joints."""


@dataclass(frozen=True)
class Mirror:
    """A mirror image: each value is another one (n,), with a sign (n,)."""

    index: NDArray[np.intp]
    sign: NDArray[np.float32]

    def __call__(self, values: Any) -> Any:
        """Return the mirror image of values (..., n), which are of numpy or torch."""
        return values[..., self.index] * self.sign


def joint_mirror(robot: Robot, joints: Sequence[str]) -> Mirror:
    """Return what the mirror makes of one value per joint: angles, velocities, torques.

    Raises:
        Sim2RealError: a joint without a counterpart, or whose counterpart turns about another axis.
    """
    frames = robot.tree.link_poses({})
    links = robot.tree.index
    axes = {
        joint.name: frames[links[joint.child]][:3, :3] @ joint.axis
        for joint in robot.tree.joints
        if joint.name in joints
    }
    index, sign = [], []
    for joint in joints:
        other = _opposite(joint)
        if other not in axes:
            raise Sim2RealError(f"'{joint}' has no mirror image '{other}'.{nearest(other, joints)}")
        along = float(np.array(TURNING) * axes[joint] @ axes[other])
        if not np.isclose(abs(along), 1.0, atol=1e-6):
            raise Sim2RealError(f"'{other}' is no mirror image of '{joint}': its axis is another.")
        index.append(list(joints).index(other))
        sign.append(round(along))
    return Mirror(np.array(index), np.array(sign, np.float32))


def observation_mirror(robot: Robot, contract: Contract) -> Mirror:
    """Return what the mirror makes of what a contract's network reads, and check what it commands.

    Raises:
        Sim2RealError: a term of unknown symmetry, or scales and offsets that differ between the sides.
    """
    joints = joint_mirror(robot, contract.joints)
    _check_alike("action_scale", contract.action_scale, joints, unsigned=True)
    _check_alike("action_offset", contract.action_offset, joints)
    parts = []
    for term in contract.observation:
        if term.term in SIGNS:
            image = Mirror(np.arange(term.size), np.array(SIGNS[term.term], np.float32))
        elif term.term.startswith("joint_") or term.term == "previous_action":
            image = joints
        else:
            raise Sim2RealError(f"Nobody knows the mirror image of '{term.term}'.{nearest(term.term, SIGNS)}")
        _check_alike(f"The scale of {term.term}", term.scale, image, unsigned=True)
        _check_alike(f"The offset of {term.term}", term.offset, image)
        parts += [image] * term.history
    return joined(parts)


def joined(parts: Sequence[Mirror]) -> Mirror:
    """Return the mirror of values that stand one behind the other."""
    starts = np.cumsum([0, *(len(part.index) for part in parts)])
    index = [part.index + start for part, start in zip(parts, starts[:-1], strict=True)]
    return Mirror(np.concatenate(index), np.concatenate([part.sign for part in parts]))


def _opposite(name: str) -> str:
    for side, other in (("left", "right"), ("right", "left")):
        if side in name:
            return name.replace(side, other)
    return name


def _check_alike(what: str, numbers: Any, image: Mirror, unsigned: bool = False) -> None:
    values = np.full(len(image.index), numbers)
    seen = values[image.index] if unsigned else image(values)
    if not np.allclose(values, seen, atol=1e-6):
        raise Sim2RealError(
            f"{what} is not the same left and right, so the mirror image means another thing."
        )

"""What an action means: from numbers within ±1 to what the motors are told."""

from typing import Literal, Protocol

import numpy as np

from sim2real.errors import Sim2RealError
from sim2real.kinematics import Chain, twist_between
from sim2real.linktree import Array
from sim2real.robots import Hand
from sim2real.sensors import Reading
from sim2real.simulation import Simulation

Fingers = Literal["synergy", "joints"]
Control = Literal["position", "torque", "twist"]

FASTEST = np.array([0.5] * 3 + [2.0] * 3)
"""What ±1 means for a twist: m/s and rad/s, as fast as a person works with care."""

AXES = ("x", "y", "z")


class Actions(Protocol):
    """The meaning of actions in one environment.

    Attributes:
        names: of each number.
        scale, offset: (m,) where each number is that of one joint, what turns it into a target in rad or a torque
            in N m; elsewhere 1 and 0.
        unit: (m,) what a change of each number by 1 counts as in a reward for smoothness.
    """

    names: tuple[str, ...]
    scale: Array
    offset: Array
    unit: Array

    def start(self) -> None:
        """Begin an episode."""

    def command(self, action: Array, reading: Reading) -> Array:
        """Return what the motors (n,) are told for one control period: targets in rad, or torques in N m."""


class JointActions:
    """One number per joint: ``offset + scale * action``, a target in rad or a torque in N m.

    Under position control 0 is the default pose and 1 the offset at which the PD law asks for full effort; under
    torque control 1 is full effort.
    """

    def __init__(self, sim: Simulation, control: Control) -> None:
        if control == "twist":
            raise Sim2RealError(
                "control must be 'position' or 'torque': a twist is that of a hand at a table."
            )
        effort_nm = sim.actuators.effort_nm
        self.names = sim.joint_names
        if control == "torque":
            self.scale, self.offset = effort_nm.copy(), np.zeros_like(effort_nm)
            self.unit = np.ones_like(effort_nm)
        else:
            self.scale, self.offset = effort_nm / sim.kp, sim.default_pose
            self.unit = self.scale

    def start(self) -> None:
        """Begin an episode."""

    def command(self, action: Array, reading: Reading) -> Array:
        """Return targets or torques."""
        return self.offset + self.scale * action


class HandActions:
    """An arm and its hand.

    The arm: one number per joint, or six for the twist (linear, angular) of the point where the hand holds things, in
    the base's axes, ±1 being ±``FASTEST``. A joint's number is its target, with 0 the pose that it starts in and ±1 far
    enough to come to either stop, or its torque over its effort limit. The fingers: one number from −1 (open) to 1
    (closed) for all, or one per joint as above.

    Targets come with what the arm needs to bear its own weight, as robots' own controllers add it: without, a gain of
    40 N m/rad lets it sag by centimetres. That is worked out from the description and the joints' readings.

    Args:
        sim: the simulation.
        hand: the hand, and the arm that carries it.
        control: "position", "torque", or "twist".
        fingers: "synergy" or "joints".
    """

    def __init__(self, sim: Simulation, hand: Hand, control: Control, fingers: Fingers) -> None:
        if fingers not in ("synergy", "joints"):
            raise Sim2RealError(f"hand must be 'synergy' or 'joints', not '{fingers}'.")
        self._sim, self._hand, self._control = sim, hand, control
        self.chain = Chain.to_hand(sim.robot, hand)
        names, reach = sim.joint_names, len(hand.arm)
        self.arm = [names.index(joint) for joint in hand.arm]
        bent = [names.index(joint) for joint in hand.fingers]
        effort_nm = sim.actuators.effort_nm
        self._middle = np.zeros(len(names)) if control == "torque" else sim.default_pose.copy()
        each = effort_nm if control == "torque" else np.maximum(
            sim.upper_rad - self._middle, self._middle - sim.lower_rad
        )  # fmt: skip
        self._by_arm = 6 if control == "twist" else reach
        self._matrix = np.zeros((len(names), self._by_arm + (1 if fingers == "synergy" else len(bent))))
        if control == "twist":
            arm_names = tuple(f"{kind}_{axis}" for kind in ("velocity", "turn") for axis in AXES)
        else:
            arm_names = hand.arm
            self._matrix[self.arm, range(reach)] = each[self.arm]
        if fingers == "joints":
            self._matrix[bent, range(self._by_arm, self._by_arm + len(bent))] = each[bent]
        elif control == "torque":
            self._matrix[bent, -1] = effort_nm[bent] * np.sign(hand.closed_rad - hand.open_rad)
        else:
            self._middle[bent] = hand.posture(0.5)
            self._matrix[bent, -1] = 0.5 * (hand.closed_rad - hand.open_rad)
        self._bent, self._inverse = bent, np.linalg.pinv(self._matrix)
        self.names = (*arm_names, *(hand.fingers if fingers == "joints" else ("closing",)))
        self.unit, self.scale, self.offset = (
            np.ones(len(self.names)),
            np.ones(len(self.names)),
            np.zeros(len(self.names)),
        )
        if self.names == names:
            self.scale, self.offset = each, self._middle
        self.start()

    def start(self) -> None:
        """Begin an episode."""
        self._aim = self._sim.default_pose[self.arm]

    def command(self, action: Array, reading: Reading) -> Array:
        """Return targets or torques."""
        sim, arm = self._sim, self.arm
        command: Array = self._middle + self._matrix @ action
        if self._control == "torque":
            return command
        position = reading.joint_position_rad[arm]
        if self._control == "twist":
            command[arm] = self._follow(FASTEST * action[:6], position)
        np.minimum(np.maximum(command, sim.lower_rad, out=command), sim.upper_rad, out=command)
        command[arm] += self.chain.holding_nm(position) / sim.kp[arm]
        return command

    def toward(self, arm_rad: Array, closing: float) -> Array:
        """Return the action whose targets are these: the arm's (rad), and the hand closed from 0 to 1.

        It is one of position control, or the twist that brings the hand from its last target there within a period.
        """
        if self._control == "twist":
            way = twist_between(self.chain.pose(self._aim), self.chain.pose(arm_rad))
            return self.moving(way / self._sim.control_period_s, closing)
        return self._action(arm_rad, closing)

    def moving(self, twist: Array, closing: float) -> Array:
        """Return the action that moves the hand by a twist (m/s, rad/s), and closes it from 0 to 1."""
        action = self._action(self._middle[self.arm], closing)
        action[:6] = twist / FASTEST
        return action

    def _action(self, arm_rad: Array, closing: float) -> Array:
        targets = self._middle.copy()
        targets[self.arm] = arm_rad
        targets[self._bent] = self._hand.posture(closing)
        action: Array = self._inverse @ (targets - self._middle)
        return action

    def _follow(self, twist: Array, position: Array) -> Array:
        """Return the arm's targets after a period of a twist.

        They start from the last ones, so that the hand goes where the twists add up to, but never lie further ahead of
        the joints than full effort reaches.
        """
        sim, period_s = self._sim, self._sim.control_period_s
        reach = sim.actuators.effort_nm[self.arm] / sim.kp[self.arm]
        aim = np.minimum(np.maximum(self._aim, position - reach), position + reach)
        rates = self.chain.velocity(aim, twist, period_s=period_s, posture_rad=sim.default_pose[self.arm])
        self._aim = aim + period_s * rates
        return self._aim

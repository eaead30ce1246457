"""The five questions a task answers: which joints, what is seen, what is rewarded, what ends it, how it went."""

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sim2real.errors import Sim2RealError, nearest
from sim2real.robots import Robot
from sim2real.simulation import Simulation
from sim2real.tasks.actions import Actions, Control, Fingers, JointActions

Array = NDArray[np.float64]

FALL_TILT_RAD = 1.0
"""A base tilted further than this from the vertical has fallen (unitree_rl_gym ends its G1 episodes there)."""

FALL_HEIGHT = 0.5
"""A base this fraction of its standing height above the ground, or lower, has fallen."""


def sum_of_squares(values: Array) -> float:
    """Return Σ x²; the same bits on every machine, which a BLAS product does not promise."""
    return float(sum(value * value for value in values.tolist()))


class Task(ABC):
    """One task on one simulation; holds what belongs to the running episode.

    Args:
        sim: the simulation the task is played on; the task adds its own parameters to it.
        weights: reward weights by term, replacing those of ``REWARDS``.
    """

    REWARDS: Mapping[str, float]
    """Weight of every reward term."""

    PROPRIOCEPTION: tuple[str, ...] = (
        "gyro", "projected_gravity", "joint_position", "joint_velocity", "previous_action"
    )  # fmt: skip
    """What the robot tells of itself, in the order in which it is observed."""

    EXTRA_TERMS: Mapping[str, int] = {}
    """Observation terms beyond proprioception, with their sizes."""

    NEEDS_HAND = False
    """Whether the task is done with a hand, the robot's base held still."""

    def __init__(self, sim: Simulation, weights: Mapping[str, float] | None = None) -> None:
        for term in weights or {}:
            if term not in self.REWARDS:
                raise Sim2RealError(
                    f"The {type(self).__name__} task has no reward term '{term}'."
                    f"{nearest(term, self.REWARDS)}"
                )
        self.sim = sim
        self.weights = {**self.REWARDS, **(weights or {})}

    @staticmethod
    def prepare(robot: Robot, arm: str | None) -> Robot:
        """Return the robot as it begins the task."""
        if arm is not None:
            raise Sim2RealError("An arm is chosen for tasks at a table only: leave arm out.")
        return robot

    @staticmethod
    @abstractmethod
    def joints(robot: Robot) -> tuple[str, ...]:
        """Return the joints the task drives; all others are locked in the default pose."""

    def actions(self, control: Control, hand: Fingers) -> Actions:
        """Return what actions mean at this task."""
        return JointActions(self.sim, control)

    def arrange(self, rng: np.random.Generator, episode: tuple[int, ...]) -> None:  # noqa: B027 - most need nothing
        """Put things in their places; the simulation has been reset, the integers name this episode's randomness."""

    @abstractmethod
    def reset(self) -> None:
        """Start an episode; the simulation has been reset and all is in its place."""

    def observe(self, terms: Mapping[str, NDArray[np.float32]]) -> None:  # noqa: B027 - proprioception alone is a fine default
        """Write the extra terms into their places, views of the observation."""

    @abstractmethod
    def rewards(self, target_change: Array) -> dict[str, float]:
        """Return the weighted reward terms of the control step that just ended.

        Args:
            target_change: (n,) what the joint targets (rad), or torques over effort limits, changed by.
        """

    @abstractmethod
    def succeeded(self) -> bool:
        """Tell whether an episode that ran to its end without failure did what was asked."""

    @abstractmethod
    def metrics(self) -> dict[str, float]:
        """Return the episode's figures, each named with its unit."""

    def failure(self) -> str:
        """Return why the episode is over, or an empty string."""
        return "fell" if self.fallen else ""

    def view(self) -> dict[str, Any]:
        """Return where to look from, as arguments of the engine's ``render``: here at the whole robot."""
        x, y, _ = self.sim.base_position_m
        size_m = self.sim.robot.base_height_m
        return {
            "target_m": (x, y, 0.8 * size_m),
            "distance_m": 2.2 * size_m,
            "yaw_deg": 40.0,
            "pitch_deg": -12.0,
        }

    @property
    def uprightness(self) -> float:
        """Cosine of the angle between the base's vertical axis and the true vertical."""
        return self.sim.uprightness

    @property
    def fallen(self) -> bool:
        """Whether the base is tilted or low beyond ``FALL_TILT_RAD`` or ``FALL_HEIGHT``."""
        return (
            self.uprightness < math.cos(FALL_TILT_RAD)
            or self.sim.clearance_m < FALL_HEIGHT * self.sim.base_height_m
        )

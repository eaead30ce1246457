"""What constraints and shields see of a step, and what they may ask a simulation for."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Vector = tuple[float, float, float]


class Step(NamedTuple):
    """One step of an environment: for a constraint after it was made, for a shield before.

    Attributes:
        observation: what the policy sees.
        action: what it does.
        info: what the environment tells.
        env: the bare environment, for the truth; a foreign one need not offer any.
    """

    observation: Any
    action: Any
    info: dict[str, Any]
    env: Any


class Engine(Protocol):
    """The contacts and links of a simulated robot; links are numbers, 0 is the base.

    Attributes:
        self_collision: whether the links of the robot touch each other.
    """

    self_collision: bool

    def contacts(self) -> list[tuple[int, int, float]]:
        """Return (link, link or a negative number for what is no link, normal force in N) per point."""

    def link_states(self, links: Sequence[int]) -> list[tuple[Vector, Any, Vector]]:
        """Return frame position (m), orientation, and velocity of the centre of mass (m/s) in the world."""


class Simulated(Protocol):
    """The true state of a simulated robot of n joints, after the last control step.

    Attributes:
        robot: its description; ``robot.joints[name]`` has ``effort_nm`` and ``velocity_rad_s``.
        engine: what simulates it.
        joint_names: n names.
        link_index: the number of every link.
        feet: the numbers of the feet.
        foot_states: of every foot, as ``engine.link_states`` gives it.
        ground_contacts: (link, normal force in N) per point where the robot touches the ground.
        lower_rad, upper_rad: the joints' stops (n,).
        joint_position_rad, joint_velocity_rad_s, torque_nm: of every joint (n,).
        base_position_m, base_velocity_m_s: in the world.
        clearance_m: height of the base above the ground under it.
        base_in_world: rows of the base's rotation.
        gravity_direction: unit vector in the world.
        uprightness: cosine of the angle between the base's vertical axis and the true vertical.
        energy_j: sum of the absolute mechanical work since the reset.
    """

    robot: Any
    engine: Engine
    joint_names: tuple[str, ...]
    link_index: Mapping[str, int]
    feet: Sequence[int]
    foot_states: Sequence[tuple[Vector, Any, Vector]]
    ground_contacts: Sequence[tuple[int, float]]
    lower_rad: Array
    upper_rad: Array
    joint_position_rad: Array
    joint_velocity_rad_s: Array
    torque_nm: Array
    base_position_m: Vector
    base_velocity_m_s: Vector
    clearance_m: float
    base_in_world: tuple[Vector, Vector, Vector]
    gravity_direction: Vector
    energy_j: float

    @property
    def uprightness(self) -> float: ...  # noqa: D102 - see above

"""What every physics engine does for a simulation, and how one is made by its name.

Above this seam nothing knows which engine it has.
"""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from importlib import import_module
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from sim2real.errors import Sim2RealError, nearest
from sim2real.sensors import Vector
from sim2real.simulation.body import Body

Array = NDArray[np.float64]
Quaternion = tuple[float, float, float, float]

ENGINES = {"bullet": "BulletEngine", "mujoco": "MujocoEngine"}
"""The class of every engine, which is in the module of its name."""


def make_engine(name: str, timestep_s: float, *, gui: bool = False) -> "Engine":
    """Return an engine with an empty world.

    Args:
        name: "bullet" or "mujoco".
        timestep_s: the physics period.
        gui: open the engine's window, if it has one.

    Raises:
        Sim2RealError: for another name, or an engine that is not installed.
    """
    if name not in ENGINES:
        raise Sim2RealError(f"There is no engine '{name}'.{nearest(name, ENGINES)}")
    made: Engine = getattr(import_module(f"sim2real.simulation.{name}"), ENGINES[name])(timestep_s, gui=gui)
    return made


def installed() -> tuple[str, ...]:
    """Return the names of the engines that can be used here."""
    found = []
    for name in ENGINES:
        with suppress(Sim2RealError, ImportError):
            import_module(f"sim2real.simulation.{name}")
            found.append(name)
    return tuple(found)


class Engine(Protocol):
    """One robot, and maybe other bodies, on one infinite plane with maybe blocks on it, stepped at a fixed period.

    Links and joints are addressed by their index in ``link_names`` and ``joint_names``; index 0 of the links is
    the base. Bodies are addressed by their index among those loaded. Quaternions are (x, y, z, w).

    Attributes:
        UNSUPPORTED: parameters that this engine cannot express, and why.
        timestep_s: the physics period.
        gravity_m_s2: in world axes.
        link_names: of the loaded robot.
        ground_is_soft: whether only ``load`` makes the ground rigid again.
    """

    UNSUPPORTED: Mapping[str, str]
    timestep_s: float
    gravity_m_s2: Vector
    link_names: list[str]
    ground_is_soft: bool

    def load(
        self,
        urdf: str,
        *,
        joint_names: Sequence[str],
        base_position_m: Sequence[float],
        base_quaternion: Sequence[float] = (0.0, 0.0, 0.0, 1.0),
        joint_position: Sequence[float] = (),
        fixed_base: bool = False,
        bodies: Sequence[Body] = (),
        blocks: int = 0,
        block_size_m: Vector = (1.0, 1.0, 1.0),
    ) -> None:
        """Build the world anew around a compiled robot, and remember that state for ``restore``."""

    def restore(self) -> None:
        """Return to the state that ``load`` ended with, bit for bit (what setters changed stays changed)."""

    def set_timestep(self, timestep_s: float) -> None:
        """Set the physics period."""

    def tick(self, torque_nm: Sequence[float], damping: Array | None = None) -> None:
        """Apply joint torques (n,) in N m and advance one physics period.

        Args:
            torque_nm: (n,) at the velocities that the period begins with.
            damping: (n,) N m s/rad, how much less torque a motor gives per speed that is gained in this period. It is
                taken implicitly: the period times it adds to the joints' own diagonals of the mass matrix.
        """

    # ---- the robot ----------------------------------------------------------------------------------------

    def set_state(
        self,
        base_position_m: Sequence[float],
        base_quaternion: Sequence[float],
        joint_position: Sequence[float],
        joint_velocity: Sequence[float] | None = None,
    ) -> None:
        """Place the robot at rest: base link frame in the world, joint positions; joint velocities if given."""

    def joint_state(self) -> tuple[Array, Array]:
        """Return joint positions and velocities, each (n,), in rad and rad/s."""

    def base_pose(self) -> tuple[Vector, Quaternion]:
        """Return the position (m) and orientation of the base link frame in the world."""

    def base_velocity(self) -> tuple[Vector, Vector]:
        """Return linear (m/s, of the base's centre of mass) and angular velocity (rad/s), in world axes."""

    def add_base_velocity(self, linear_m_s: Sequence[float], angular_rad_s: Sequence[float]) -> None:
        """Add to the velocity of the base, and with it of the whole robot, at once."""

    def surface_of_base(self, heading: Array, within_m: float = 2.0) -> Array:
        """Return the point (3,) where what flies at the base's centre of mass first meets the robot."""

    def link_states(self, links: Sequence[int]) -> list[tuple[Vector, Quaternion, Vector]]:
        """Return frame position, frame orientation and velocity of the centre of mass of links, not of the base."""

    def apply_force(self, link: int, force_n: Sequence[float], point_m: Sequence[float]) -> None:
        """Push a link for the coming tick: force in world axes, at a point in the link's frame."""

    def apply_torque(self, link: int, torque_nm: Sequence[float]) -> None:
        """Twist a link for the coming tick: torque in world axes."""

    def set_joint_friction(self, coulomb_nm: Array) -> None:
        """Set dry friction (n,) in N m."""

    def set_joint_damping(self, joint: int, viscous_nms: float) -> None:
        """Set viscous friction of one joint, in N m s/rad."""

    def set_joint_armature(self, armature: Array) -> None:
        """Set the inertia (n,) of the rotors as the joints feel it, in kg m² (kg where a joint slides).

        It adds to the joint's own diagonal of the mass matrix and to nothing else.
        """

    def set_joint_limits(self, joint: int, lower_rad: float, upper_rad: float) -> None:
        """Move the stops of one joint; lower must stay below upper."""

    def principal_axes(self, link: int) -> Array:
        """Return the rotation (3, 3) from the loaded principal axes of a link's inertia to its frame."""

    def set_link_inertial(self, link: int, mass_kg: float, principal_kgm2: Sequence[float]) -> None:
        """Give a link another mass, and moments of inertia (3,) about its loaded principal axes."""

    def reset_link_inertials(self) -> None:
        """Undo every ``set_link_inertial``."""

    def mass_matrix(self, joint_position: Sequence[float]) -> Array:
        """Return M of M q̈ + h = τ: of a free base, torque and force in its principal axes first, then the joints."""

    def bias_forces(
        self,
        joint_position: Sequence[float],
        joint_velocity: Sequence[float],
        *,
        gravity_m_s2: Sequence[float],
        spin_rad_s: Sequence[float] = (0.0, 0.0, 0.0),
    ) -> Array:
        """Return h of M q̈ + h = τ, at a gravity and a spin of a free base in the base's frame."""

    # ---- contacts -----------------------------------------------------------------------------------------

    def ground_contacts(self) -> list[tuple[int, float]]:
        """Return (link index, normal force in N) for every point where the robot touches the ground."""

    def contacts(self) -> list[tuple[int, int, float]]:
        """Return (link index, what it touches, normal force in N) for every point where the robot touches anything.

        What is touched is the index of another link, −1 for the ground, −2 − i for body i.
        """

    def set_ground(
        self, *, friction: float, restitution: float, rolling_m: float = 0.0, spinning_m: float = 0.0
    ) -> None:
        """Set the ground's friction coefficient (slip angle = atan of it), restitution and contact resistance."""

    def let_ground_bounce(self) -> None:
        """Let restitution give back all it should; for a world in which nothing has been simulated yet."""

    def set_ground_softness(self, compliance_m_n: float, damping_ns_m: float) -> None:
        """Make every contact point with the ground a spring and damper; 0 leaves a rigid ground rigid."""

    def set_link_contact(
        self, link: int, *, compliance_m_n: float, damping_ns_m: float, spinning_m: float = 0.0
    ) -> None:
        """Make every contact point of a link a spring and damper that resists spinning and does not bounce."""

    def set_block(self, block: int, top_m: Vector) -> None:
        """Put the middle of a block's top somewhere in the world."""

    # ---- bodies -------------------------------------------------------------------------------------------

    def add_body(self, body: Body) -> None:
        """Put one more body into the running world, as the last; ``load`` has to come before the next ``restore``."""

    def remove_last_body(self) -> None:
        """Take the last body out of the running world."""

    def set_body(
        self,
        body: int,
        position_m: Sequence[float],
        quaternion: Sequence[float] = (0.0, 0.0, 0.0, 1.0),
        velocity_m_s: Sequence[float] = (0.0, 0.0, 0.0),
        angular_velocity_rad_s: Sequence[float] = (0.0, 0.0, 0.0),
    ) -> None:
        """Place a body's frame in the world; velocities are those of its centre of mass, in world axes."""

    def body_pose(self, body: int) -> tuple[Vector, Quaternion]:
        """Return the position (m) and orientation of a body's frame in the world."""

    def body_velocity(self, body: int) -> tuple[Vector, Vector]:
        """Return a body's linear (m/s, of its centre of mass) and angular velocity (rad/s), in world axes."""

    def set_body_contact(
        self,
        body: int,
        *,
        friction: float,
        restitution: float,
        rolling_m: float = 0.0,
        spinning_m: float = 0.0,
    ) -> None:
        """Set how a body touches the robot; against ground and bodies, frictions and restitutions multiply."""

    # ---- the world ----------------------------------------------------------------------------------------

    def set_gravity(self, gravity_m_s2: Vector) -> None:
        """Set the gravity vector in world axes; the ground stays the plane z = 0."""

    def set_solver_iterations(self, count: int) -> None:
        """Set how often, at most, the solver goes over the constraints in a tick."""

    def render(
        self,
        *,
        target_m: Sequence[float],
        distance_m: float,
        yaw_deg: float,
        pitch_deg: float,
        width: int,
        height: int,
    ) -> NDArray[np.uint8]:
        """Return an RGB picture (height, width, 3) from a camera that looks at a point."""

    def follow(self, target_m: Sequence[float]) -> None:
        """Point the window's camera at a point."""

    def close(self) -> None:
        """Let go of everything; closing twice is fine."""

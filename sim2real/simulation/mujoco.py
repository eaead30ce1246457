"""The MuJoCo engine behind the simulation seam: the only file of the simulation that imports mujoco.

It builds the same compiled robot from the same URDF text and means the same by every number. What differs is how
contacts and stops are solved: they give way a little, as damped springs whose stiffness goes with the mass they carry.
Its own traps have their cures here:

* of two frictions MuJoCo takes the larger: here a contact with the ground goes by what touches it, which knows the
  product, and any other contact is one of explicit pairs that know theirs;
* a free joint has the velocity of the frame's origin and turns in its own axes; told here are those of the centre of
  mass, in world axes;
* a changed mass brings the constants derived from it;
* what diverges stays diverged instead of beginning anew;
* pictures come from Bullet's software renderer, which needs no display; without PyBullet from MuJoCo's own, which
  needs OpenGL.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sim2real.errors import Sim2RealError, graphics_hint
from sim2real.linktree import skew
from sim2real.sensors import Rows, Vector, into_body, rotation_rows
from sim2real.simulation.body import Body
from sim2real.simulation.engine import Engine, Quaternion

try:
    import mujoco
except Exception as error:
    if hint := graphics_hint(error):
        raise Sim2RealError(f"MuJoCo cannot be imported: {error}.{hint}") from error
    if not isinstance(error, ModuleNotFoundError):
        raise
    raise Sim2RealError(
        'engine="mujoco" needs the package mujoco: pip install "sim2real[mujoco]".'
    ) from error

Array = NDArray[np.float64]

ROBOT, GROUND, BODY = 1, 2, 4  # collision groups

HARD = (0.9999, 0.9999, 0.001, 0.5, 2.0)
"""Impedance of dry friction: next to nothing of what holds is given up to softness."""

IMPRATIO = 10.0
"""How much less friction gives way than support does: what should stick creeps by a tenth of a millimetre a second."""

SPRING_S = 0.02
"""One over the angular frequency of the springs that contacts are, which is that of MuJoCo's default contact."""

RATIOS = np.linspace(1e-3, 2.0, 2001)[::-1]
"""Damping ratios of contacts: the more, the higher what slides is lifted off the ground."""

HALF_TURN = np.emath.arccos(RATIOS)
BOUNCES = np.exp(-2.0 * HALF_TURN / np.tan(HALF_TURN)).real
"""What is kept of its speed, e = exp(−2 θ cot θ), by what meets a spring of damping ratio cos θ that cannot pull.

Where the damping ends, 0.05 are kept of a restitution of 0.
"""

CARRIED = ("dof_frictionloss", "dof_damping", "jnt_range", "body_mass", "body_inertia")
"""What setters put into a model, beside contacts."""

KINDS = {
    "box": mujoco.mjtGeom.mjGEOM_BOX,
    "sphere": mujoco.mjtGeom.mjGEOM_SPHERE,
    "cylinder": mujoco.mjtGeom.mjGEOM_CYLINDER,
    "capsule": mujoco.mjtGeom.mjGEOM_CAPSULE,
}

STILL = (0.0, 0.0, 0.0)
UPRIGHT = (0.0, 0.0, 0.0, 1.0)

STIFF = "its contacts are as stiff as the mass that they carry asks for"


@dataclass(frozen=True, kw_only=True)
class Touch:
    """How something touches."""

    friction: float = 1.0
    restitution: float = 1.0
    rolling_m: float = 0.0
    spinning_m: float = 0.0

    def against(self, other: "Touch") -> "Touch":
        """Return how the two touch each other."""
        return Touch(
            friction=self.friction * other.friction,
            restitution=self.restitution * other.restitution,
            rolling_m=self.rolling_m * other.friction + other.rolling_m * self.friction,
            spinning_m=self.spinning_m * other.friction + other.spinning_m * self.friction,
        )

    @property
    def dimensions(self) -> int:
        """In how many ways it resists: sliding, spinning on the spot, rolling."""
        return 6 if self.rolling_m else 4 if self.spinning_m else 3

    def spring(self, timestep_s: float) -> tuple[float, float]:
        """Return time constant (s) and damping ratio, as MuJoCo wants them, of what gives back the restitution.

        A damping of b takes a share of b h of a speed in a tick of h, where it should take 1 − exp(−b h).
        """
        damping_1_s = 2.0 * float(np.interp(self.restitution, BOUNCES, RATIOS)) / SPRING_S
        constant_s = 2.0 * timestep_s / -math.expm1(-damping_1_s * timestep_s)
        return constant_s, SPRING_S / constant_s


class MujocoEngine(Engine):
    """MuJoCo as an `Engine`.

    Args:
        timestep_s: the physics period.
        gui: refused; there is no window.
    """

    UNSUPPORTED = {f"{what}.{how}": STIFF for what in ("ground", "hand") for how in ("compliance", "damping")}
    ground_is_soft = False

    def __init__(self, timestep_s: float, *, gui: bool = False) -> None:
        if gui:
            raise Sim2RealError('engine="mujoco" has no window: use render_mode="rgb_array".')
        self.timestep_s = timestep_s
        self.gravity_m_s2 = (0.0, 0.0, -9.81)
        self._iterations = 50
        self._m: Any = None
        self._renderer: Any = None

    # ---- building -----------------------------------------------------------------------------------------

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
        self._urdf, self._joint_names, self._held = urdf, tuple(joint_names), fixed_base
        self._bodies, self._n_blocks, self._block_size_m = list(bodies), blocks, block_size_m
        self._touch = {-1: Touch(restitution=0.0)}
        self._build()
        m = self._m
        self._loaded_inertial = m.body_mass.copy(), m.body_inertia.copy()
        self._pushed = False
        self.set_state(base_position_m, base_quaternion, joint_position)
        self._saved = self._d.qpos.copy(), self._d.mocap_pos.copy(), self._d.mocap_quat.copy()

    def _build(self) -> None:
        """Build a model of the robot, the ground and the bodies; what does not move by itself is moved by hand."""
        spec = mujoco.MjSpec.from_string(self._urdf)
        spec.compiler.fusestatic = False
        spec.compiler.discardvisual = True
        spec.compiler.balanceinertia = False
        spec.option.cone = mujoco.mjtCone.mjCONE_ELLIPTIC
        spec.option.impratio = IMPRATIO
        spec.option.disableflags |= mujoco.mjtDisableBit.mjDSBL_AUTORESET
        base = spec.bodies[1]
        if self._held:
            base.mocap = True
        else:
            base.add_freejoint()
        solids = []  # names of shapes, and whether they move
        for i, geom in enumerate(spec.geoms):
            geom.name, geom.contype, geom.conaffinity, geom.priority = f"link {i}", ROBOT, 0, 1
            solids.append((geom.name, not self._held or geom.parent.name != base.name))
        for joint in spec.joints:
            joint.damping, joint.frictionloss = np.zeros_like(joint.damping), 0.0
            joint.solimp_friction = HARD
        ground = {"contype": GROUND, "conaffinity": ROBOT | BODY}
        spec.worldbody.add_geom(type=mujoco.mjtGeom.mjGEOM_PLANE, size=(0, 0, 1), **ground)
        length_m, width_m, height_m = self._block_size_m
        for i in range(self._n_blocks):
            block = spec.worldbody.add_body(mocap=True, pos=(2.0 * i * length_m, 0.0, -2.0 * height_m))
            block.add_geom(type=KINDS["box"], size=(0.5 * length_m, 0.5 * width_m, 0.5 * height_m), **ground)
        for i, body in enumerate(self._bodies):
            names, moves = _add_body(spec, body, f"body {i}"), body.inertial is not None
            for other, other_moves in solids:
                for name in names if moves or other_moves else ():
                    spec.add_pair(geomname1=name, geomname2=other)
            solids += [(name, moves) for name in names]
        self._m = m = spec.compile()
        self._armature = np.zeros(len(self._joint_names))
        self._damping: Array | None = None
        self._derived = True
        self._d, self._scratch = mujoco.MjData(m), mujoco.MjData(m)
        m.opt.gravity[:], m.opt.iterations = self.gravity_m_s2, self._iterations
        self.set_timestep(self.timestep_s)
        self._first_block = m.nbody - len(self._bodies) - self._n_blocks
        self._first_body = m.nbody - len(self._bodies)
        self.link_names = [m.body(i).name for i in range(1, self._first_block)]
        self._joints = np.array([m.joint(name).id for name in self._joint_names], dtype=np.intp)
        self._at_q, self._at_v = m.jnt_qposadr[self._joints], m.jnt_dofadr[self._joints]
        self._n_dof = len(spec.joints) - sum(body.inertial is not None for body in self._bodies)
        self._n_dof += 0 if self._held else 5
        owners = np.arange(m.nbody) - 1  # of each body: a link's index, −1 for the ground, −2 − i for body i
        owners[self._first_block :] = -1
        owners[self._first_body :] = -2 - np.arange(len(self._bodies))
        self._owner: list[int] = owners[m.geom_bodyid].tolist()
        self._filmed = False

    def _rebuild(self, bodies: list[Body]) -> None:
        """Go on in a world with other bodies at the end."""
        m, d = self._m, self._d
        armature, self._bodies = self._armature, bodies
        self._build()
        self.set_joint_armature(armature)
        for new, old, names in (
            (self._m, m, CARRIED),
            (self._d, d, ("qpos", "qvel", "qacc_warmstart", "mocap_pos", "mocap_quat")),
        ):
            for name in names:
                to, kept = getattr(new, name), getattr(old, name)
                both = min(len(to), len(kept))
                to[:both] = kept[:both]
        self._derived = False
        self._moved()

    def restore(self) -> None:
        """Return to the state that ``load`` ended with, bit for bit (what setters changed stays changed)."""
        mujoco.mj_resetData(self._m, self._d)
        self._d.qpos[:], self._d.mocap_pos[:], self._d.mocap_quat[:] = self._saved
        self._pushed = False
        self._moved()

    # ---- state --------------------------------------------------------------------------------------------

    def _moved(self) -> None:
        """Let positions and velocities of links follow those of the joints."""
        self._derive()
        mujoco.mj_kinematics(self._m, self._d)
        mujoco.mj_comPos(self._m, self._d)
        mujoco.mj_comVel(self._m, self._d)

    def set_state(
        self,
        base_position_m: Sequence[float],
        base_quaternion: Sequence[float],
        joint_position: Sequence[float],
        joint_velocity: Sequence[float] | None = None,
    ) -> None:
        """Place the robot: base link frame in the world, joint positions and velocities (rad, rad/s)."""
        d = self._d
        self._place(1, base_position_m, base_quaternion, STILL, STILL)
        d.qpos[self._at_q] = joint_position
        d.qvel[self._at_v] = 0.0 if joint_velocity is None else joint_velocity
        d.qacc_warmstart[:] = 0.0
        self._moved()

    def _place(
        self,
        i: int,
        position_m: Sequence[float],
        quaternion: Sequence[float],
        velocity_m_s: Sequence[float],
        angular_velocity_rad_s: Sequence[float],
    ) -> None:
        """Put MuJoCo's body i, which is free or moved by hand, somewhere; see ``set_body``."""
        m, d = self._m, self._d
        x, y, z, w = quaternion
        by_hand = m.body_mocapid[i]
        if by_hand >= 0:
            d.mocap_pos[by_hand], d.mocap_quat[by_hand] = position_m, (w, x, y, z)
            return
        q, v = m.jnt_qposadr[m.body_jntadr[i]], m.body_dofadr[i]
        d.qpos[q : q + 3], d.qpos[q + 3 : q + 7] = position_m, (w, x, y, z)
        rows = rotation_rows(x, y, z, w)
        turning_x, turning_y, turning_z = angular_velocity_rad_s
        spin = into_body(rows, (turning_x, turning_y, turning_z))
        d.qvel[v : v + 3] = velocity_m_s - np.array(rows) @ np.cross(spin, m.body_ipos[i])
        d.qvel[v + 3 : v + 6] = spin

    def _pose(self, i: int) -> tuple[Vector, Quaternion]:
        """Return where MuJoCo's body i, which is free or moved by hand, is."""
        m, d = self._m, self._d
        by_hand = m.body_mocapid[i]
        if by_hand >= 0:
            (x, y, z), (qw, qx, qy, qz) = d.mocap_pos[by_hand].tolist(), d.mocap_quat[by_hand].tolist()
        else:
            q = m.jnt_qposadr[m.body_jntadr[i]]
            x, y, z, qw, qx, qy, qz = d.qpos[q : q + 7].tolist()
        return (x, y, z), (qx, qy, qz, qw)

    def _velocity(self, i: int) -> tuple[Vector, Vector]:
        """Return how fast the centre of mass of MuJoCo's body i moves, and how fast it turns, in world axes."""
        m, d = self._m, self._d
        if m.body_mocapid[i] >= 0:
            return STILL, STILL
        v = m.body_dofadr[i]
        vx, vy, vz, *spin = d.qvel[v : v + 6].tolist()
        rows = rotation_rows(*self._pose(i)[1])
        wx, wy, wz = turning = _into_world(rows, spin)
        cx, cy, cz = _into_world(rows, m.body_ipos[i].tolist())
        return (vx + wy * cz - wz * cy, vy + wz * cx - wx * cz, vz + wx * cy - wy * cx), turning

    def joint_state(self) -> tuple[Array, Array]:
        """Return joint positions and velocities, each (n,), in rad and rad/s."""
        return self._d.qpos[self._at_q], self._d.qvel[self._at_v]

    def base_pose(self) -> tuple[Vector, Quaternion]:
        """Return the position (m) and orientation of the base link frame in the world."""
        return self._pose(1)

    def base_velocity(self) -> tuple[Vector, Vector]:
        """Return linear (m/s, of the base's centre of mass) and angular velocity (rad/s), in world axes."""
        return self._velocity(1)

    def add_base_velocity(self, linear_m_s: Sequence[float], angular_rad_s: Sequence[float]) -> None:
        """Add to the velocity of the base, and with it of the whole robot, at once."""
        linear, angular = self.base_velocity()
        self._place(
            1, *self._pose(1),
            [a + b for a, b in zip(linear, linear_m_s, strict=True)],
            [a + b for a, b in zip(angular, angular_rad_s, strict=True)],
        )  # fmt: skip

    def surface_of_base(self, heading: Array, within_m: float = 2.0) -> Array:
        """Return the point (3,) where what flies at the base's centre of mass first meets the robot.

        It is the centre of mass itself where nothing of the robot, or something else first, is in the way.
        """
        self._moved()
        centre_m: Array = self._d.xipos[1].copy()
        start_m, met = centre_m - within_m * heading, np.full(1, -1, dtype=np.int32)
        way_m: float = mujoco.mj_ray(self._m, self._d, start_m, heading, None, 1, -1, met)
        robot_first = met[0] >= 0 and self._owner[met[0]] >= 0 and way_m < within_m
        return start_m + way_m * heading if robot_first else centre_m

    def link_states(self, links: Sequence[int]) -> list[tuple[Vector, Quaternion, Vector]]:
        """Return frame position (m), frame orientation and centre-of-mass velocity (m/s) in the world per link.

        The base (index 0) has its own calls.
        """
        m, d, found, velocity = self._m, self._d, [], np.empty(6)
        self._moved()
        for i in (link + 1 for link in links):
            mujoco.mj_objectVelocity(m, d, mujoco.mjtObj.mjOBJ_BODY, i, velocity, 0)
            w, x, y, z = d.xquat[i].tolist()
            found.append((tuple(d.xpos[i].tolist()), (x, y, z, w), tuple(velocity[3:].tolist())))
        return found

    # ---- contacts -----------------------------------------------------------------------------------------

    def ground_contacts(self) -> list[tuple[int, float]]:
        """Return (link index, normal force in N) for every point where the robot touches the ground."""
        return [(link, force_n) for link, touched, force_n in self.contacts() if touched == -1]

    def contacts(self) -> list[tuple[int, int, float]]:
        """Return (link index, what it touches, normal force in N) for every point where the robot touches anything.

        What is touched is the index of another link, −1 for the ground, −2 − i for body i.
        """
        owner, contact, found = self._owner, self._d.contact, []
        forces_n = self._d.efc_force.tolist()
        for geoms, row in zip(contact.geom.tolist(), contact.efc_address.tolist(), strict=True):
            touched, link = sorted([owner[geom] for geom in geoms])
            if link >= 0:
                found.append((link, touched, forces_n[row]))
        return found

    def set_ground(
        self, *, friction: float, restitution: float, rolling_m: float = 0.0, spinning_m: float = 0.0
    ) -> None:
        """Set the ground's friction coefficient (slip angle = atan of it), restitution and contact resistance."""
        self._touch[-1] = Touch(
            friction=friction, restitution=restitution, rolling_m=rolling_m, spinning_m=spinning_m
        )
        self._touched = True

    def let_ground_bounce(self) -> None:
        """Do nothing: it does."""

    def set_ground_softness(self, compliance_m_n: float, damping_ns_m: float) -> None:
        """Do nothing: softness in metres per newton is ``UNSUPPORTED``."""

    def set_link_contact(
        self, link: int, *, compliance_m_n: float, damping_ns_m: float, spinning_m: float = 0.0
    ) -> None:
        """Let a link's contacts with bodies resist spinning and not bounce; as soft as they are they stay."""
        self._touch[link] = Touch(restitution=0.0, spinning_m=spinning_m)
        self._touched = True

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
        self._touch[-2 - body] = Touch(
            friction=friction, restitution=restitution, rolling_m=rolling_m, spinning_m=spinning_m
        )
        self._touched = True

    def _tell_touch(self) -> None:
        """Tell MuJoCo how robot and bodies touch the ground, and each other."""
        m, touch = self._m, self._touch
        for geom, owner in enumerate(self._owner):
            of = touch[-1].against(touch.get(owner, Touch()))
            m.geom_friction[geom] = of.friction, of.spinning_m, of.rolling_m
            m.geom_condim[geom], m.geom_solref[geom] = of.dimensions, of.spring(self.timestep_s)
        for pair in range(m.npair):
            one, other = self._owner[m.pair_geom1[pair]], self._owner[m.pair_geom2[pair]]
            of = touch.get(one, Touch()).against(touch.get(other, Touch()))
            m.pair_friction[pair] = of.friction, of.friction, of.spinning_m, of.rolling_m, of.rolling_m
            m.pair_dim[pair], m.pair_solref[pair] = of.dimensions, of.spring(self.timestep_s)
        self._touched = False

    def set_block(self, block: int, top_m: Vector) -> None:
        """Put the middle of a block's top somewhere in the world."""
        x, y, z = top_m
        centre_m = (x, y, z - 0.5 * self._block_size_m[2])
        self._place(self._first_block + block, centre_m, UPRIGHT, STILL, STILL)

    # ---- bodies -------------------------------------------------------------------------------------------

    def add_body(self, body: Body) -> None:
        """Put one more body into the running world, as the last; ``load`` has to come before the next ``restore``."""
        self._rebuild([*self._bodies, body])

    def remove_last_body(self) -> None:
        """Take the last body out of the running world."""
        self._touch.pop(-1 - len(self._bodies), None)
        self._rebuild(self._bodies[:-1])

    def set_body(
        self,
        body: int,
        position_m: Sequence[float],
        quaternion: Sequence[float] = (0.0, 0.0, 0.0, 1.0),
        velocity_m_s: Sequence[float] = (0.0, 0.0, 0.0),
        angular_velocity_rad_s: Sequence[float] = (0.0, 0.0, 0.0),
    ) -> None:
        """Place a body's frame in the world; velocities are those of its centre of mass, in world axes."""
        self._place(self._first_body + body, position_m, quaternion, velocity_m_s, angular_velocity_rad_s)
        self._moved()

    def body_pose(self, body: int) -> tuple[Vector, Quaternion]:
        """Return the position (m) and orientation of a body's frame in the world."""
        return self._pose(self._first_body + body)

    def body_velocity(self, body: int) -> tuple[Vector, Vector]:
        """Return a body's linear (m/s, of its centre of mass) and angular velocity (rad/s), in world axes."""
        return self._velocity(self._first_body + body)

    # ---- equations of motion --------------------------------------------------------------------------------

    def _pose_scratch(self, joint_position: Sequence[float]) -> tuple[Any, Array]:
        """Return a robot in a posture with its base upright, and velocities (n, n) as they are told from its own.

        Told are, of a free base, angular velocity and that of the centre of mass, both in its principal axes.
        """
        m, d, n = self._m, self._scratch, self._n_dof
        told = np.eye(n)
        if self._held:
            d.mocap_quat[m.body_mocapid[1]] = (1.0, 0.0, 0.0, 0.0)
        else:
            axes = self.principal_axes(0)
            told[:3, :3], told[:3, 3:6] = skew(m.body_ipos[1]) @ axes, axes
            told[3:6, :3], told[3:6, 3:6] = axes, 0.0
        d.qpos[0 if self._held else 7 :][: len(joint_position)] = joint_position
        return d, told

    def mass_matrix(self, joint_position: Sequence[float]) -> Array:
        """Return M of M q̈ + h = τ: of a free base, torque and force in its principal axes first, then the joints."""
        d, told = self._pose_scratch(joint_position)
        return told.T @ self._own_mass_matrix(d) @ told

    def _own_mass_matrix(self, d: Any) -> Array:
        m, n = self._m, self._n_dof
        self._derive()
        mujoco.mj_kinematics(m, d)
        mujoco.mj_comPos(m, d)
        mujoco.mj_crb(m, d)
        full = np.empty((m.nv, m.nv))
        mujoco.mj_fullM(m, d, full)
        if self._damping is not None:
            full[self._at_v, self._at_v] -= self.timestep_s * self._damping
        return full[:n, :n]

    def bias_forces(
        self,
        joint_position: Sequence[float],
        joint_velocity: Sequence[float],
        *,
        gravity_m_s2: Sequence[float],
        spin_rad_s: Sequence[float] = (0.0, 0.0, 0.0),
    ) -> Array:
        """Return h of M q̈ + h = τ, rows as in ``mass_matrix``, at a gravity and a spin in the base's frame.

        Where the centre of mass of a free base is at rest, its frame's origin moves with −ω × c, and is
        accelerated by ω × (ω × c) even if nothing that is told is.
        """
        d, told = self._pose_scratch(joint_position)
        m, n = self._m, self._n_dof
        d.qvel[n - len(joint_velocity) : n] = joint_velocity
        bias = np.empty(m.nv)
        if not self._held:
            dragging = np.cross(spin_rad_s, m.body_ipos[1])
            d.qvel[:3], d.qvel[3:6] = -dragging, spin_rad_s
        of_base = self._own_mass_matrix(d)[:, :3]
        m.opt.gravity[:] = gravity_m_s2
        mujoco.mj_comVel(m, d)
        mujoco.mj_rne(m, d, 0, bias)
        m.opt.gravity[:] = self.gravity_m_s2
        own = bias[:n] if self._held else bias[:n] - of_base @ np.cross(spin_rad_s, dragging)
        return told.T @ own

    # ---- stepping -----------------------------------------------------------------------------------------

    def set_timestep(self, timestep_s: float) -> None:
        """Set the physics period; dry friction is as stiff as it allows."""
        self.timestep_s, self._damping = timestep_s, None
        self._m.opt.timestep = timestep_s
        self._m.dof_solref[:] = 2.0 * timestep_s, 1.0
        self._touched = True

    def tick(self, torque_nm: Sequence[float], damping: Array | None = None) -> None:
        """Apply joint torques (n,) in N m and advance one physics period; see ``Engine.tick``."""
        d = self._d
        if damping is not self._damping:
            self._damping = damping
            self._tell_rotors()
        if self._touched:
            self._tell_touch()
        if not self._derived:
            self._derive()
        d.qfrc_applied[self._at_v] = torque_nm
        mujoco.mj_step(self._m, d)
        if self._pushed:
            d.xfrc_applied[:] = 0.0
            self._pushed = False

    def apply_force(self, link: int, force_n: Sequence[float], point_m: Sequence[float]) -> None:
        """Push a link for the coming tick: force in world axes, at a point in the link's frame."""
        d, i = self._d, link + 1
        mujoco.mj_kinematics(self._m, d)
        arm_m = d.xmat[i].reshape(3, 3) @ (np.asarray(point_m) - self._m.body_ipos[i])
        d.xfrc_applied[i, :3] += force_n
        d.xfrc_applied[i, 3:] += np.cross(arm_m, force_n)
        self._pushed = True

    def apply_torque(self, link: int, torque_nm: Sequence[float]) -> None:
        """Twist a link for the coming tick: torque in world axes."""
        self._d.xfrc_applied[link + 1, 3:] += torque_nm
        self._pushed = True

    # ---- dynamics that can change while running -------------------------------------------------------------

    def set_gravity(self, gravity_m_s2: Vector) -> None:
        """Set the gravity vector in world axes; the ground stays the plane z = 0."""
        self.gravity_m_s2 = gravity_m_s2
        if self._m is not None:
            self._m.opt.gravity[:] = gravity_m_s2

    def set_solver_iterations(self, count: int) -> None:
        """Set how often the solver goes over the constraints in a tick, at most; it seldom needs more than a few."""
        self._iterations = self._m.opt.iterations = count

    def set_joint_friction(self, coulomb_nm: Array) -> None:
        """Set dry friction (n,) in N m."""
        self._m.dof_frictionloss[self._at_v] = coulomb_nm

    def set_joint_damping(self, joint: int, viscous_nms: float) -> None:
        """Set viscous friction of one joint (index into ``joint_names``), in N m s/rad."""
        self._m.dof_damping[self._at_v[joint]] = viscous_nms

    def _tell_rotors(self) -> None:
        """Tell MuJoCo the rotors, and what implicit damping adds to them."""
        added = 0.0 if self._damping is None else self.timestep_s * self._damping
        self._m.dof_armature[self._at_v] = self._armature + added

    def set_joint_armature(self, armature: Array) -> None:
        """Set the inertia (n,) of the rotors as the joints feel it, in kg m² (kg where a joint slides)."""
        self._armature, self._damping, self._derived = np.array(armature, dtype=np.float64), None, False
        self._tell_rotors()

    def set_joint_limits(self, joint: int, lower_rad: float, upper_rad: float) -> None:
        """Move the stops of one joint (index into ``joint_names``); lower must stay below upper."""
        self._m.jnt_range[self._joints[joint]] = lower_rad, upper_rad

    def principal_axes(self, link: int) -> Array:
        """Return the rotation (3, 3) from the loaded principal axes of a link's inertia to its frame."""
        w, x, y, z = self._m.body_iquat[link + 1].tolist()
        return np.array(rotation_rows(x, y, z, w))

    def set_link_inertial(self, link: int, mass_kg: float, principal_kgm2: Sequence[float]) -> None:
        """Give a link another mass, and moments of inertia (3,) about its loaded principal axes."""
        self._m.body_mass[link + 1], self._m.body_inertia[link + 1] = mass_kg, principal_kgm2
        self._derived = False

    def reset_link_inertials(self) -> None:
        """Undo every ``set_link_inertial``."""
        self._m.body_mass[:], self._m.body_inertia[:] = self._loaded_inertial
        self._derived = False

    def _derive(self) -> None:
        """Let what MuJoCo derives from masses and rotors follow them, if they have changed."""
        if not self._derived:
            self._m.dof_armature[self._at_v] = self._armature
            mujoco.mj_setConst(self._m, self._scratch)
            self._tell_rotors()
            self._derived = True

    # ---- looking ------------------------------------------------------------------------------------------

    @cached_property
    def _camera(self) -> Engine:
        from sim2real.simulation.bullet import BulletEngine

        return BulletEngine(self.timestep_s)

    def render(self, **view: Any) -> NDArray[np.uint8]:
        """Return an RGB picture (height, width, 3) from a camera that looks at a point."""
        try:
            camera = self._camera
        except Sim2RealError:
            return self._drawn(**view)
        pose, joints = self.base_pose(), self.joint_state()[0].tolist()
        if not self._filmed:
            camera.load(
                self._urdf, joint_names=self._joint_names, base_position_m=pose[0], joint_position=joints,
                fixed_base=self._held, bodies=self._bodies, blocks=self._n_blocks, block_size_m=self._block_size_m,
            )  # fmt: skip
            self._filmed = True
        camera.set_state(*pose, joints)
        for body in range(len(self._bodies)):
            camera.set_body(body, *self.body_pose(body))
        for block in range(self._n_blocks):
            (x, y, z), _ = self._pose(self._first_block + block)
            camera.set_block(block, (x, y, z + 0.5 * self._block_size_m[2]))
        return camera.render(**view)

    def _drawn(
        self, *, target_m: Sequence[float], distance_m: float, yaw_deg: float, pitch_deg: float,
        width: int, height: int,
    ) -> NDArray[np.uint8]:  # fmt: skip
        """Return the picture as MuJoCo draws it: the shapes that touch."""
        view = mujoco.MjvCamera()
        view.lookat, view.distance = target_m, distance_m
        view.azimuth, view.elevation = yaw_deg + 90.0, pitch_deg
        m = self._m
        m.vis.global_.fovy, m.vis.global_.offwidth, m.vis.global_.offheight = 50.0, width, height
        m.vis.headlight.ambient, m.vis.headlight.diffuse = [0.55] * 3, [0.45] * 3
        m.geom_rgba[m.geom_type == mujoco.mjtGeom.mjGEOM_PLANE] = 0.9, 0.9, 0.95, 1.0
        if self._renderer is None or (self._renderer.model, self._renderer.width) != (m, width):
            self._put_away()
            self._renderer = mujoco.Renderer(m, height, width)
        self._renderer.update_scene(self._d, view)
        picture: NDArray[np.uint8] = self._renderer.render()
        return picture

    def _put_away(self) -> None:
        if self._renderer is not None:
            self._renderer.close()
            self._renderer = None

    def follow(self, target_m: Sequence[float]) -> None:
        """Do nothing: there is no window."""

    def close(self) -> None:
        """Let go of the camera, if there was one; closing twice is fine."""
        self._put_away()
        if "_camera" in self.__dict__:
            self._camera.close()


def _add_body(spec: Any, body: Body, name: str) -> list[str]:
    """Add a body to the world, and return the names of its shapes."""
    x, y, z, w = body.quaternion
    moves = body.inertial is not None
    added = spec.worldbody.add_body(name=name, pos=body.position_m, quat=(w, x, y, z), mocap=not moves)
    if body.inertial is not None:
        added.add_freejoint()
        tensor = body.inertial.inertia_kgm2
        added.mass, added.ipos = float(body.inertial.mass_kg), body.inertial.com_m
        added.fullinertia = [*np.diag(tensor), tensor[0, 1], tensor[0, 2], tensor[1, 2]]
        added.explicitinertial = True
    names = [f"{name} {i}" for i in range(len(body.shapes))]
    for each, shape in zip(names, body.shapes, strict=True):
        size = [0.5 * side for side in shape.size]
        if shape.kind != "box":
            size[0] = shape.size[0]
        quaternion = np.empty(4)
        mujoco.mju_mat2Quat(quaternion, shape.pose_in_link[:3, :3].ravel())
        added.add_geom(
            name=each, type=KINDS[shape.kind], size=[*size, 0.0, 0.0][:3], pos=shape.pose_in_link[:3, 3],
            quat=quaternion, contype=BODY if moves else 0, conaffinity=0, priority=1,
        )  # fmt: skip
    return names


def _into_world(rows: Rows, vector: Sequence[float]) -> Vector:
    """Turn a vector in body axes into world axes."""
    x, y, z = vector
    (a, b, c), (d, e, f), (g, h, i) = rows
    return a * x + b * y + c * z, d * x + e * y + f * z, g * x + h * y + i * z

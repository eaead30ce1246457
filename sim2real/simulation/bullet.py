"""The Bullet engine behind the simulation seam: the only file that imports pybullet.

Above this file everything speaks of link and joint names, seconds and SI units. Here live the cures for the
engine's traps, each with a test that fails without it (``tests/simulation/test_bullet.py``):

* poses come from the *link* frame, not from Bullet's inertial frame;
* inertia is read from the description, and a changed mass always brings its own inertia;
* the default joint motors and the default damping of 0.04 are switched off;
* contact friction is the ground's coefficient alone (Bullet multiplies the two bodies' coefficients), and
  between robot and another body that body's alone;
* a rotor's inertia is on its joint alone: Bullet's joints have none, so each turns a flywheel through a gear;
* no speed is cut off at 100 rad/s, which a light link has in passing before its rotor is felt;
* viscous friction is implicit, as explicit it would be unstable for what is light;
* ground that was soft becomes rigid again only by a rebuild;
* restitution is swallowed by contacts that are solved before they touch;
* a reset restores a saved state bit for bit, and a rebuild starts from an empty world.
"""

import contextlib
import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sim2real.errors import Sim2RealError
from sim2real.linktree import rpy_of
from sim2real.sensors import Vector
from sim2real.simulation.body import Body
from sim2real.simulation.engine import Quaternion


@contextlib.contextmanager
def _silence() -> Iterator[None]:
    """Send what the engine's C code prints on import, while connecting and while loading to nowhere."""
    with open(os.devnull, "w") as nowhere:
        saved = [os.dup(fd) for fd in (1, 2)]
        try:
            for fd in (1, 2):
                os.dup2(nowhere.fileno(), fd)
            yield
        finally:
            for fd, old in zip((1, 2), saved, strict=True):
                os.dup2(old, fd)
                os.close(old)


try:
    with _silence():
        import pybullet
except ModuleNotFoundError as error:  # pragma: no cover - only on Pythons without a wheel
    raise Sim2RealError(
        "This environment runs on PyBullet, which is not installed: its wheels end with Python 3.11, so use that, "
        "or `pip install pybullet`, which newer Pythons compile from source for many minutes, or engine='mujoco'."
    ) from error

WHEELS = 4
"""Flywheels on one axle of the rotors: what a contact costs grows with the joints of a body, and so does a body."""

RESIDUAL = 1e-18
"""Where the solver stops. Bullet's own 1e-7 leaves the gears a thousandth of a N m: a wrong inertia of light links."""

UNLIMITED = 1e12
"""A speed, or an impulse, that is never met."""

FREEWHEEL = 1e-3
"""Inertia of a flywheel that no joint turns, in kg m²."""

_WORLD_FRAME = pybullet.WORLD_FRAME
_TORQUE = pybullet.TORQUE_CONTROL


def _quaternion(rotation: NDArray[np.float64]) -> Quaternion:
    """Return the quaternion (x, y, z, w) of a (3, 3) rotation."""
    quaternion: Quaternion = pybullet.getQuaternionFromEuler(rpy_of(rotation))
    return quaternion


class BulletEngine:
    """One robot, and maybe other bodies, on one infinite plane with maybe blocks on it, stepped at a fixed period.

    Links and joints are addressed by their index in ``link_names`` and ``joint_names``; index 0 of the links is
    the base. Bodies are addressed by their index among those loaded. Quaternions are (x, y, z, w).

    Args:
        timestep_s: the physics period.
        gui: open Bullet's window instead of running headless.

    Attributes:
        timestep_s: the physics period.
        gravity_m_s2: in world axes.
    """

    UNSUPPORTED: Mapping[str, str] = {}

    def __init__(self, timestep_s: float, *, gui: bool = False) -> None:
        self.timestep_s = timestep_s
        with _silence():
            self._client = pybullet.connect(pybullet.GUI if gui else pybullet.DIRECT)
        self.gravity_m_s2: Vector = (0.0, 0.0, -9.81)
        self._urdf_path = Path(tempfile.gettempdir()) / f"sim2real-{os.getpid()}-{id(self)}.urdf"

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
        """Build the world anew around a compiled robot, and remember that state for ``restore``.

        Blocks are parts of the ground, like boxes in size, at first well under its plane; see ``set_block``.

        Starting from an empty world makes an episode depend on nothing that was simulated before it.
        """
        c = self._client
        pybullet.resetSimulation(physicsClientId=c)
        pybullet.setPhysicsEngineParameter(
            fixedTimeStep=self.timestep_s,
            numSubSteps=0,
            solverResidualThreshold=RESIDUAL,
            deterministicOverlappingPairs=1,
            enableFileCaching=0,
            physicsClientId=c,
        )
        pybullet.setGravity(*self.gravity_m_s2, physicsClientId=c)
        self.ground_is_soft = False
        plane = pybullet.createCollisionShape(pybullet.GEOM_PLANE, physicsClientId=c)
        self._ground = [pybullet.createMultiBody(0, plane, physicsClientId=c)]
        self._urdf_path.write_text(urdf)
        try:
            with _silence():
                self._robot = pybullet.loadURDF(
                    str(self._urdf_path),
                    basePosition=(0.0, 0.0, 0.0),
                    useFixedBase=fixed_base,
                    flags=pybullet.URDF_USE_INERTIA_FROM_FILE,
                    physicsClientId=c,
                )
        finally:
            self._urdf_path.unlink()
        self._free = 0 if fixed_base else 6
        self._index_names(joint_names)
        # Two calls: given damping or activation in the same call, Bullet drops a link's friction and restitution.
        pybullet.changeDynamics(
            self._robot, -1, linearDamping=0.0, angularDamping=0.0, maxJointVelocity=UNLIMITED,
            activationState=pybullet.ACTIVATION_STATE_DISABLE_SLEEPING, physicsClientId=c,
        )  # fmt: skip
        for link in range(-1, self._n_bullet_joints):
            pybullet.changeDynamics(
                self._robot, link, lateralFriction=1.0, restitution=1.0, jointDamping=0.0, physicsClientId=c
            )
        self._build_rotors()
        self.set_joint_friction(np.zeros(len(self._joints)))
        self._loaded_inertial = [
            pybullet.getDynamicsInfo(self._robot, link, physicsClientId=c)
            for link in range(-1, self._n_bullet_joints)
        ]
        self._inertial_in_base: tuple[Vector, Quaternion] = self._loaded_inertial[0][3:5]
        self._base_in_inertial = pybullet.invertTransform(*self._inertial_in_base)
        self.set_state(base_position_m, base_quaternion, joint_position)
        self._bodies = [self._build(body) for body in bodies]
        self._body_index = {unique: i for i, (unique, *_) in enumerate(self._bodies)}
        self._half_block_m = 0.5 * block_size_m[2]
        if blocks:  # made in one go, as rigid bodies: that takes a fraction of the time, now and in each tick
            shape = pybullet.createCollisionShape(
                pybullet.GEOM_BOX, halfExtents=[0.5 * edge for edge in block_size_m], physicsClientId=c
            )
            sunken = [(2.0 * i * block_size_m[0], 0.0, -2.0 * block_size_m[2]) for i in range(blocks)]
            self._ground += pybullet.createMultiBody(
                0, shape, batchPositions=sunken, useMaximalCoordinates=1, physicsClientId=c
            )
        self._saved = pybullet.saveState(physicsClientId=c)

    def _build_rotors(self) -> None:
        """Give each joint a flywheel, on an axle held far away, that a gear turns exactly as fast as the joint.

        A hard constraint q̇ = θ̇ with a wheel of inertia a makes the joint-space inertia M + diag(a), and leaves
        contacts, stops and dry friction to be solved together with it. The motor drives the wheel, as it does in a
        robot: put on the link, its torque would throw what is light before the rotor is felt, and restitution
        would give that speed back.
        """
        c, n = self._client, len(self._joints)
        self._armature, self._viscous_nms, self._damping = np.zeros(n), np.zeros(n), np.zeros(n)
        self._wheels: list[tuple[int, int, int]] = []  # of each joint: body, link and gear
        for first in range(0, n, WHEELS):
            count = min(WHEELS, n - first)
            still, upright = [(0.0, 0.0, 0.0)] * count, [(0.0, 0.0, 0.0, 1.0)] * count
            axle = pybullet.createMultiBody(
                0.0, basePosition=(0.0, 0.0, -1000.0), linkMasses=[1.0] * count,
                linkCollisionShapeIndices=[-1] * count, linkVisualShapeIndices=[-1] * count,
                linkPositions=still, linkOrientations=upright,
                linkInertialFramePositions=still, linkInertialFrameOrientations=upright,
                linkParentIndices=[0] * count, linkJointTypes=[pybullet.JOINT_REVOLUTE] * count,
                linkJointAxis=[(0.0, 0.0, 1.0)] * count, physicsClientId=c,
            )  # fmt: skip
            pybullet.changeDynamics(
                axle, -1, linearDamping=0.0, angularDamping=0.0, maxJointVelocity=UNLIMITED, physicsClientId=c
            )
            for link in range(count):
                pybullet.changeDynamics(axle, link, jointDamping=0.0, physicsClientId=c)
                pybullet.setJointMotorControl2(
                    axle, link, pybullet.VELOCITY_CONTROL, force=0.0, physicsClientId=c
                )
                gear = pybullet.createConstraint(
                    self._robot, self._joints[first + link], axle, link, pybullet.JOINT_GEAR,
                    (0.0, 0.0, 1.0), (0.0, 0.0, 0.0), (0.0, 0.0, 0.0), physicsClientId=c,
                )  # fmt: skip
                self._wheels.append((axle, link, gear))
        self._turned: list[bool | None] = [None] * n
        self._driven: list[
            tuple[int, list[int], list[int]]
        ] = []  # what motors drive: body, its links, which motors
        for joint in range(n):
            self._turn_wheel(joint)

    def _damp(self, damping: NDArray[np.float64]) -> None:
        """Give the flywheels what implicit damping adds to the joints."""
        changed = np.flatnonzero(damping != self._damping).tolist()
        self._damping = damping
        for joint in changed:
            self._turn_wheel(joint)

    def _turn_wheel(self, joint: int) -> None:
        """Give a joint's flywheel the inertia that is asked for, and let it go where that is none.

        Viscous friction d over a period h, taken at the velocity that the period ends with, is an inertia h d more:
        (M + h d) Δv = h (τ − d v). MuJoCo does the same. So is the damping of the motors.
        """
        c = self._client
        axle, link, gear = self._wheels[joint]
        damping = self._damping[joint] + self._viscous_nms[joint]
        inertia = float(self._armature[joint] + self.timestep_s * damping)
        pybullet.changeDynamics(
            axle, link, localInertiaDiagonal=[inertia or FREEWHEEL] * 3, physicsClientId=c
        )
        turned = inertia > 0.0
        if turned != self._turned[joint]:
            self._turned[joint] = turned
            force = UNLIMITED if turned else 0.0
            pybullet.changeConstraint(gear, gearRatio=-1.0, maxForce=force, physicsClientId=c)
            speed = pybullet.getJointState(self._robot, self._joints[joint], physicsClientId=c)[1]
            pybullet.resetJointState(axle, link, 0.0, speed, physicsClientId=c)
            self._find_driven()

    def _find_driven(self) -> None:
        """Find what each motor drives: its joint's flywheel, or the joint itself where it has none."""
        of: dict[int, tuple[list[int], list[int]]] = {}
        for joint, (axle, link, _) in enumerate(self._wheels):
            body, part = (axle, link) if self._turned[joint] else (self._robot, self._joints[joint])
            parts, motors = of.setdefault(body, ([], []))
            parts.append(part)
            motors.append(joint)
        self._driven = [(body, parts, motors) for body, (parts, motors) in of.items()]

    def _build(self, body: Body) -> tuple[int, tuple[Vector, Quaternion], tuple[Vector, Quaternion]]:
        """Build a body, and return it with the pose of its inertial frame in its own, and the other way round."""
        c = self._client
        kinds = {"box": pybullet.GEOM_BOX, "sphere": pybullet.GEOM_SPHERE,
                 "cylinder": pybullet.GEOM_CYLINDER, "capsule": pybullet.GEOM_CAPSULE}  # fmt: skip
        solid: dict[str, list[object]] = {
            "shapeTypes": [], "halfExtents": [], "radii": [], "lengths": [],
            "collisionFramePositions": [], "collisionFrameOrientations": [],
        }  # fmt: skip
        for shape in body.shapes:
            is_box = shape.kind == "box"
            solid["shapeTypes"].append(kinds[shape.kind])
            solid["halfExtents"].append([0.5 * side for side in shape.size] if is_box else [0.0] * 3)
            solid["radii"].append(0.0 if is_box else shape.size[0])
            solid["lengths"].append(shape.size[1] if len(shape.size) == 2 else 0.0)
            solid["collisionFramePositions"].append(shape.pose_in_link[:3, 3].tolist())
            solid["collisionFrameOrientations"].append(_quaternion(shape.pose_in_link[:3, :3]))
        touched = pybullet.createCollisionShapeArray(**solid, physicsClientId=c)
        seen = pybullet.createVisualShapeArray(
            **{key.replace("collision", "visual"): values for key, values in solid.items()},
            rgbaColors=[shape.rgba for shape in body.shapes], physicsClientId=c,
        )  # fmt: skip
        mass_kg, inertial_in_body, moments = 0.0, ((0.0, 0.0, 0.0), (0.0, 0.0, 0.0, 1.0)), [0.0] * 3
        if body.inertial is not None:
            mass_kg = float(body.inertial.mass_kg)
            principal, axes = np.linalg.eigh(body.inertial.inertia_kgm2)
            axes[:, 2] *= np.linalg.det(axes)
            inertial_in_body = (tuple(body.inertial.com_m.tolist()), _quaternion(axes))
            moments = principal.tolist()
        pose = pybullet.multiplyTransforms(body.position_m, body.quaternion, *inertial_in_body)
        unique = pybullet.createMultiBody(
            mass_kg,
            touched,
            seen,
            (0.0, 0.0, 0.0),
            (0.0, 0.0, 0.0, 1.0),
            *inertial_in_body,
            physicsClientId=c,
        )
        pybullet.resetBasePositionAndOrientation(unique, *pose, physicsClientId=c)
        pybullet.changeDynamics(
            unique, -1, linearDamping=0.0, angularDamping=0.0,
            activationState=pybullet.ACTIVATION_STATE_DISABLE_SLEEPING, physicsClientId=c,
        )  # fmt: skip
        pybullet.changeDynamics(
            unique, -1, localInertiaDiagonal=moments, lateralFriction=1.0, restitution=1.0, physicsClientId=c
        )
        return unique, inertial_in_body, pybullet.invertTransform(*inertial_in_body)

    def _index_names(self, joint_names: Sequence[str]) -> None:
        c = self._client
        base_name = pybullet.getBodyInfo(self._robot, physicsClientId=c)[0].decode()
        self._n_bullet_joints = pybullet.getNumJoints(self._robot, physicsClientId=c)
        found: dict[str, int] = {}
        self.link_names = [base_name]
        for j in range(self._n_bullet_joints):
            info = pybullet.getJointInfo(self._robot, j, physicsClientId=c)
            found[info[1].decode()] = j
            self.link_names.append(info[12].decode())
        self._joints = [found[name] for name in joint_names]

    def restore(self) -> None:
        """Return to the state that ``load`` ended with, bit for bit (what setters changed stays changed).

        One restoration is not enough: where the contacts differ from the saved ones, as after a fall, the solver
        keeps something of them that shows in the first tick. A tick from the saved state overwrites it.
        """
        self._damp(np.zeros(len(self._joints)))
        pybullet.restoreState(self._saved, physicsClientId=self._client)
        pybullet.stepSimulation(self._client)
        pybullet.restoreState(self._saved, physicsClientId=self._client)

    # ---- state --------------------------------------------------------------------------------------------

    def set_state(
        self,
        base_position_m: Sequence[float],
        base_quaternion: Sequence[float],
        joint_position: Sequence[float],
        joint_velocity: Sequence[float] | None = None,
    ) -> None:
        """Place the robot: base link frame in the world, joint positions and velocities (rad, rad/s)."""
        c = self._client
        position, quaternion = pybullet.multiplyTransforms(
            base_position_m, base_quaternion, *self._inertial_in_base
        )
        pybullet.resetBasePositionAndOrientation(self._robot, position, quaternion, physicsClientId=c)
        pybullet.resetBaseVelocity(self._robot, (0, 0, 0), (0, 0, 0), physicsClientId=c)
        velocities = [0.0] * len(self._joints) if joint_velocity is None else joint_velocity
        for joint, wheel, q, v in zip(self._joints, self._wheels, joint_position, velocities, strict=True):
            pybullet.resetJointState(self._robot, joint, q, v, physicsClientId=c)
            pybullet.resetJointState(wheel[0], wheel[1], 0.0, v, physicsClientId=c)

    def joint_state(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return joint positions and velocities, each (n,), in rad and rad/s."""
        if not self._joints:
            return np.zeros(0), np.zeros(0)
        states = pybullet.getJointStates(self._robot, self._joints, self._client)
        return np.array([s[0] for s in states]), np.array([s[1] for s in states])

    def base_pose(self) -> tuple[Vector, Quaternion]:
        """Return the position (m) and orientation of the base link frame in the world."""
        position, quaternion = pybullet.getBasePositionAndOrientation(self._robot, self._client)
        pose: tuple[Vector, Quaternion] = pybullet.multiplyTransforms(
            position, quaternion, *self._base_in_inertial
        )
        return pose

    def surface_of_base(self, heading: NDArray[np.float64], within_m: float = 2.0) -> NDArray[np.float64]:
        """Return the point (3,) where what flies at the base's centre of mass first meets the robot.

        It is the centre of mass itself where nothing of the robot, or something else first, is in the way.
        """
        centre_m = np.array(pybullet.getBasePositionAndOrientation(self._robot, self._client)[0])
        ((met, _, share, *_),) = pybullet.rayTest(
            (centre_m - within_m * heading).tolist(), centre_m.tolist(), physicsClientId=self._client
        )
        return centre_m - (1.0 - share if met == self._robot else 0.0) * within_m * heading

    def base_velocity(self) -> tuple[Vector, Vector]:
        """Return linear (m/s, of the base's centre of mass) and angular velocity (rad/s), in world axes."""
        velocity: tuple[Vector, Vector] = pybullet.getBaseVelocity(self._robot, self._client)
        return velocity

    def add_base_velocity(self, linear_m_s: Sequence[float], angular_rad_s: Sequence[float]) -> None:
        """Add to the velocity of the base, and with it of the whole robot, at once."""
        linear, angular = self.base_velocity()
        pybullet.resetBaseVelocity(
            self._robot,
            [a + b for a, b in zip(linear, linear_m_s, strict=True)],
            [a + b for a, b in zip(angular, angular_rad_s, strict=True)],
            physicsClientId=self._client,
        )

    def link_states(self, links: Sequence[int]) -> list[tuple[Vector, Quaternion, Vector]]:
        """Return frame position (m), frame orientation and centre-of-mass velocity (m/s) in the world per link.

        The base (index 0) has its own calls.
        """
        states = pybullet.getLinkStates(
            self._robot, [i - 1 for i in links], computeLinkVelocity=1, physicsClientId=self._client
        )
        return [(s[4], s[5], s[6]) for s in states]

    def ground_contacts(self) -> list[tuple[int, float]]:
        """Return (link index, normal force in N) for every point where the robot touches the ground."""
        if len(self._ground) == 1:
            points = pybullet.getContactPoints(
                bodyA=self._robot, bodyB=self._ground[0], physicsClientId=self._client
            )
            return [(point[3] + 1, point[9]) for point in points]
        return [(link, force_n) for link, touched, force_n in self.contacts() if touched == -1]

    def contacts(self) -> list[tuple[int, int, float]]:
        """Return (link index, what it touches, normal force in N) for every point where the robot touches anything.

        What is touched is the index of another link, −1 for the ground, −2 − i for body i. A contact of two links
        is told once.
        """
        found = []
        for point in pybullet.getContactPoints(bodyA=self._robot, physicsClientId=self._client):
            other = point[2]
            if other == self._robot:
                touched = point[4] + 1
            else:
                body = self._body_index.get(other)
                touched = -1 if body is None else -2 - body
            found.append((point[3] + 1, touched, point[9]))
        return found

    def mass_matrix(self, joint_position: Sequence[float]) -> NDArray[np.float64]:
        """Return the joint-space mass matrix, rotors included, floating base first when the base is free."""
        matrix = np.array(
            pybullet.calculateMassMatrix(self._robot, list(joint_position), physicsClientId=self._client)
        )
        rows = np.array(self._joints, dtype=np.intp) + self._free  # in Bullet's order of joints
        matrix[rows, rows] += self._armature
        return matrix

    # ---- bodies -------------------------------------------------------------------------------------------

    def add_body(self, body: Body) -> None:
        """Put one more body into the running world, as the last; ``load`` has to come before the next ``restore``."""
        self._bodies.append(self._build(body))
        self._body_index[self._bodies[-1][0]] = len(self._bodies) - 1

    def remove_last_body(self) -> None:
        """Take the last body out of the running world."""
        unique, *_ = self._bodies.pop()
        del self._body_index[unique]
        pybullet.removeBody(unique, physicsClientId=self._client)

    def set_body(
        self,
        body: int,
        position_m: Sequence[float],
        quaternion: Sequence[float] = (0.0, 0.0, 0.0, 1.0),
        velocity_m_s: Sequence[float] = (0.0, 0.0, 0.0),
        angular_velocity_rad_s: Sequence[float] = (0.0, 0.0, 0.0),
    ) -> None:
        """Place a body's frame in the world; velocities are those of its centre of mass, in world axes."""
        c = self._client
        unique, inertial_in_body, _ = self._bodies[body]
        pose = pybullet.multiplyTransforms(position_m, quaternion, *inertial_in_body)
        pybullet.resetBasePositionAndOrientation(unique, *pose, physicsClientId=c)
        pybullet.resetBaseVelocity(unique, velocity_m_s, angular_velocity_rad_s, physicsClientId=c)

    def body_pose(self, body: int) -> tuple[Vector, Quaternion]:
        """Return the position (m) and orientation of a body's frame in the world."""
        unique, _, body_in_inertial = self._bodies[body]
        inertial = pybullet.getBasePositionAndOrientation(unique, self._client)
        pose: tuple[Vector, Quaternion] = pybullet.multiplyTransforms(*inertial, *body_in_inertial)
        return pose

    def body_velocity(self, body: int) -> tuple[Vector, Vector]:
        """Return a body's linear (m/s, of its centre of mass) and angular velocity (rad/s), in world axes."""
        velocity: tuple[Vector, Vector] = pybullet.getBaseVelocity(self._bodies[body][0], self._client)
        return velocity

    def set_body_contact(
        self,
        body: int,
        *,
        friction: float,
        restitution: float,
        rolling_m: float = 0.0,
        spinning_m: float = 0.0,
    ) -> None:
        """Set how a body touches.

        Friction and restitution are those of contact with the robot, and what contact with the ground or another
        body is multiplied by; against rolling and spinning the two bodies' resistances add up.
        """
        pybullet.changeDynamics(
            self._bodies[body][0], -1, lateralFriction=friction, restitution=restitution,
            rollingFriction=rolling_m, spinningFriction=spinning_m, physicsClientId=self._client,
        )  # fmt: skip

    def bias_forces(
        self,
        joint_position: Sequence[float],
        joint_velocity: Sequence[float],
        *,
        gravity_m_s2: Sequence[float],
        spin_rad_s: Sequence[float] = (0.0, 0.0, 0.0),
    ) -> NDArray[np.float64]:
        """Return h of M q̈ + h = τ: what gravity, Coriolis and centrifugal forces ask of the joints and of the base.

        Rows are those of ``mass_matrix``: a free base first, its torque and then its force, both in the axes of
        its inertia. The base's state is an argument, so this holds for an observed state as well as for the true
        one; its velocity is not, as the same laws hold in every uniformly moving frame.

        Bullet's inverse dynamics takes gravity as given in the base's principal axes, so that is how it is
        given here, for as long as the call lasts.

        Args:
            joint_position: (n,) rad, in the order of the description.
            joint_velocity: (n,) rad/s.
            gravity_m_s2: (3,) in the base's frame.
            spin_rad_s: angular velocity of a free base (3,) in its frame.
        """
        free = self._free
        to_principal = pybullet.invertTransform((0.0, 0.0, 0.0), self._inertial_in_base[1])
        down, spin = (
            pybullet.multiplyTransforms(*to_principal, vector, (0.0, 0.0, 0.0, 1.0))[0]
            for vector in (gravity_m_s2, spin_rad_s)
        )
        position, velocity = list(joint_position), list(joint_velocity)
        if free:
            position, velocity = [0.0] * 7 + position, [*spin, 0.0, 0.0, 0.0, *velocity]
        pybullet.setGravity(*down, physicsClientId=self._client)
        force = pybullet.calculateInverseDynamics(
            self._robot, position, velocity, [0.0] * len(velocity), physicsClientId=self._client
        )
        pybullet.setGravity(*self.gravity_m_s2, physicsClientId=self._client)
        return np.array((*force[free // 2 : free], *force[: free // 2], *force[free:]))

    # ---- stepping -----------------------------------------------------------------------------------------

    def tick(self, torque_nm: Sequence[float], damping: NDArray[np.float64] | None = None) -> None:
        """Apply joint torques (n,) in N m and advance one physics period; see ``Engine.tick``."""
        if damping is not self._damping:
            self._damp(np.zeros(len(self._joints)) if damping is None else damping)
        for body, parts, motors in self._driven:
            pybullet.setJointMotorControlArray(
                body,
                parts,
                _TORQUE,
                forces=[torque_nm[motor] for motor in motors],
                physicsClientId=self._client,
            )
        pybullet.stepSimulation(self._client)

    def apply_force(self, link: int, force_n: Sequence[float], point_m: Sequence[float]) -> None:
        """Push a link for the coming tick: force in world axes, at a point in the link's frame."""
        c = self._client
        state = None if link == 0 else pybullet.getLinkState(self._robot, link - 1, physicsClientId=c)
        frame = self.base_pose() if state is None else state[4:6]
        at, _ = pybullet.multiplyTransforms(*frame, point_m, (0, 0, 0, 1))
        pybullet.applyExternalForce(self._robot, link - 1, force_n, at, _WORLD_FRAME, physicsClientId=c)

    def apply_torque(self, link: int, torque_nm: Sequence[float]) -> None:
        """Twist a link for the coming tick: torque in world axes."""
        pybullet.applyExternalTorque(
            self._robot, link - 1, torque_nm, _WORLD_FRAME, physicsClientId=self._client
        )

    # ---- dynamics that can change while running -------------------------------------------------------------

    def set_gravity(self, gravity_m_s2: Vector) -> None:
        """Set the gravity vector in world axes; the ground stays the plane z = 0."""
        self.gravity_m_s2 = gravity_m_s2
        pybullet.setGravity(*gravity_m_s2, physicsClientId=self._client)

    def set_ground(
        self, *, friction: float, restitution: float, rolling_m: float = 0.0, spinning_m: float = 0.0
    ) -> None:
        """Set the ground's friction coefficient (slip angle = atan of it), restitution and contact resistance.

        Bullet multiplies both bodies' values; the robot's are 1, so the ground's are what contact feels. Against
        rolling and spinning it takes r₁ μ₂ + r₂ μ₁; the robot's r are 0, so these too are the ground's: the
        torque that a contact resists with, per newton of its normal force.
        """
        for ground in self._ground:
            pybullet.changeDynamics(
                ground, -1, lateralFriction=friction, restitution=restitution,
                rollingFriction=rolling_m, spinningFriction=spinning_m, physicsClientId=self._client,
            )  # fmt: skip

    def let_ground_bounce(self) -> None:
        """Let restitution give back all it should; for a world in which nothing has been simulated yet.

        Bullet solves contacts before they touch, so that they just touch after a tick, and swallows a bounce on the
        way: all of it at short periods. With this they are solved when they touch.
        """
        for ground in self._ground:
            pybullet.changeDynamics(ground, -1, contactProcessingThreshold=0.0, physicsClientId=self._client)

    def set_ground_softness(self, compliance_m_n: float, damping_ns_m: float) -> None:
        """Make every contact point a spring and damper; 0 leaves a rigid ground rigid.

        Bullet takes stiffness and damping only together, and once a ground is soft only ``load`` makes it rigid
        again: until then a compliance of 0 is one of 1e-9 m/N.
        """
        if compliance_m_n > 0.0 or self.ground_is_soft:
            self.ground_is_soft = True
            for ground in self._ground:
                pybullet.changeDynamics(
                    ground, -1, contactStiffness=1.0 / max(compliance_m_n, 1e-9), contactDamping=damping_ns_m,
                    physicsClientId=self._client,
                )  # fmt: skip

    def set_block(self, block: int, top_m: Vector) -> None:
        """Put the middle of a block's top somewhere in the world."""
        centre_m = (*top_m[:2], top_m[2] - self._half_block_m)
        pybullet.resetBasePositionAndOrientation(
            self._ground[1 + block], centre_m, (0, 0, 0, 1), physicsClientId=self._client
        )

    def set_timestep(self, timestep_s: float) -> None:
        """Set the physics period."""
        self.timestep_s = timestep_s
        pybullet.setPhysicsEngineParameter(fixedTimeStep=timestep_s, physicsClientId=self._client)
        for joint in range(len(self._joints)):
            self._turn_wheel(joint)

    def set_link_contact(
        self, link: int, *, compliance_m_n: float, damping_ns_m: float, spinning_m: float = 0.0
    ) -> None:
        """Make every contact point of a link a spring and damper, and let it resist spinning, as a rubber pad does.

        Two flat rigid faces may share their force between their corners in any way; springs share it evenly, so that
        a grip holds what its friction can bear. The resistance is that of `set_ground`: against a body of friction μ
        it is the torque μ spinning_m per newton of normal force. Rubber does not bounce.
        """
        pybullet.changeDynamics(
            self._robot, link - 1, restitution=0.0, contactStiffness=1.0 / compliance_m_n, contactDamping=damping_ns_m,
            spinningFriction=spinning_m, physicsClientId=self._client,
        )  # fmt: skip

    def set_solver_iterations(self, count: int) -> None:
        """Set how often the solver goes over the constraints in a tick; Bullet's own number is 50."""
        pybullet.setPhysicsEngineParameter(numSolverIterations=count, physicsClientId=self._client)

    def set_joint_friction(self, coulomb_nm: NDArray[np.float64]) -> None:
        """Set dry friction (n,) in N m: a velocity motor to rest that can give no more than this torque.

        With zero it also switches off the motor that every Bullet joint starts with.
        """
        if self._joints:
            pybullet.setJointMotorControlArray(
                self._robot,
                self._joints,
                pybullet.VELOCITY_CONTROL,
                targetVelocities=[0.0] * len(self._joints),
                forces=coulomb_nm.tolist(),
                physicsClientId=self._client,
            )

    def set_joint_damping(self, joint: int, viscous_nms: float) -> None:
        """Set viscous friction of one joint (index into ``joint_names``), in N m s/rad."""
        self._viscous_nms[joint] = viscous_nms
        pybullet.changeDynamics(
            self._robot, self._joints[joint], jointDamping=viscous_nms, physicsClientId=self._client
        )
        self._turn_wheel(joint)

    def set_joint_armature(self, armature: NDArray[np.float64]) -> None:
        """Set the inertia (n,) of the rotors as the joints feel it, in kg m² (kg where a joint slides)."""
        for joint in np.flatnonzero(armature != self._armature).tolist():
            self._armature[joint] = armature[joint]
            self._turn_wheel(joint)

    def set_joint_limits(self, joint: int, lower_rad: float, upper_rad: float) -> None:
        """Move the stops of one joint (index into ``joint_names``); lower must stay below upper."""
        pybullet.changeDynamics(
            self._robot, self._joints[joint], jointLowerLimit=lower_rad, jointUpperLimit=upper_rad,
            physicsClientId=self._client,
        )  # fmt: skip

    def principal_axes(self, link: int) -> NDArray[np.float64]:
        """Return the rotation (3, 3) from the loaded principal axes of a link's inertia to its frame."""
        return np.reshape(pybullet.getMatrixFromQuaternion(self._loaded_inertial[link][4]), (3, 3))

    def set_link_inertial(self, link: int, mass_kg: float, principal_kgm2: Sequence[float]) -> None:
        """Give a link another mass, and moments of inertia (3,) about its loaded principal axes, in one call.

        Given a mass alone Bullet would replace the inertia by that of the collision shape. The centre of mass and
        the axes cannot change this way; that takes a ``load`` of another description.
        """
        pybullet.changeDynamics(
            self._robot, link - 1, mass=mass_kg, localInertiaDiagonal=principal_kgm2,
            physicsClientId=self._client,
        )  # fmt: skip

    def reset_link_inertials(self) -> None:
        """Undo every ``set_link_inertial``: Bullet's saved state does not hold masses."""
        for link, (mass_kg, _, diagonal, *_) in enumerate(self._loaded_inertial):
            pybullet.changeDynamics(
                self._robot, link - 1, mass=mass_kg, localInertiaDiagonal=diagonal,
                physicsClientId=self._client,
            )  # fmt: skip

    # ---- looking ------------------------------------------------------------------------------------------

    def render(
        self, *, target_m: Sequence[float], distance_m: float, yaw_deg: float, pitch_deg: float,
        width: int, height: int,
    ) -> NDArray[np.uint8]:  # fmt: skip
        """Return an RGB picture (height, width, 3) from a camera that looks at a point."""
        c = self._client
        view = pybullet.computeViewMatrixFromYawPitchRoll(target_m, distance_m, yaw_deg, pitch_deg, 0, 2)
        projection = pybullet.computeProjectionMatrixFOV(50.0, width / height, 0.05, 30.0)
        picture = pybullet.getCameraImage(
            width, height, view, projection, shadow=0,
            lightDirection=(1.0, -2.0, 3.0), lightAmbientCoeff=0.55, lightDiffuseCoeff=0.45, lightSpecularCoeff=0.05,
            renderer=pybullet.ER_TINY_RENDERER, physicsClientId=c,
        )  # fmt: skip
        return np.reshape(np.asarray(picture[2], dtype=np.uint8), (height, width, 4))[:, :, :3].copy()

    def follow(self, target_m: Sequence[float]) -> None:
        """Point the window's camera at a point."""
        pybullet.resetDebugVisualizerCamera(2.0, 40.0, -12.0, target_m, physicsClientId=self._client)

    def close(self) -> None:
        """Disconnect; closing twice is fine."""
        if self._client >= 0:
            pybullet.disconnect(self._client)
            self._client = -1

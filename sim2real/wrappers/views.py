"""What constraints read of a MuJoCo model or a PyBullet client in somebody else's environment: views of its state.

They change nothing. Both are like `sim2real.safety.step.Simulated`, as far as the simulator knows; what it does not
know stands in ``lacks``, or is NaN. They are found again after each reset, since an environment may build its model
anew. Limits and ratings are those of when the environment was wrapped, whatever a perturbation makes of them.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from types import SimpleNamespace
from typing import Any

import gymnasium as gym
import numpy as np
from numpy.typing import NDArray

from sim2real.errors import Sim2RealError
from sim2real.safety.step import Step, Vector
from sim2real.wrappers.bullet import MOTOR_COMMANDS, Link, client_in, followed, links_of
from sim2real.wrappers.mujoco import HINGE, SLIDE, TRANSMISSIONS, simulation_in
from sim2real.wrappers.parameters import numbered
from sim2real.wrappers.seek import CLIENT, MODEL, STATE, NoEngine, is_a, seek

Array = NDArray[np.float64]
Env = gym.Env[Any, Any]
TORQUE_CONTROL = 1  # of PyBullet's motor commands
FIXED = 0  # from mjtGain and mjtBias: a force that is the command times a number
WRAPS_JOINT = 1  # from MuJoCo's mjtWrap
INTEGRATOR = 1  # from mjtDyn: an actuator whose force is not bounded by its command
UNDER_M = 1e-4
"""How far below what a ray hits the next one starts."""

UNCOUNTED = (
    "the joints' work at every physics tick (env.unwrapped.sim.energy_j), which {} does not count: watch torque and "
    "joint_velocity instead."
)
WHICH_FEET = "to know which links are feet, which {} does not say: name them with links=[…]."


def view_of(env: Env) -> "MujocoView | BulletView":
    """Return a view of the MuJoCo model or the PyBullet client that an environment steps.

    Raises:
        Sim2RealError: if there is neither, or there are both; the sentence is completed by who asks.
    """
    name = type(env.unwrapped).__name__
    try:
        found = seek(env, STATE, MODEL, CLIENT)
    except NoEngine:
        raise Sim2RealError(
            f"needs env.unwrapped.sim, or a MuJoCo model or PyBullet client to look into: {name} has none of them."
        ) from None
    clients = sum(is_a(one.thing, *CLIENT) for one in found)
    if 0 < clients < len(found):
        raise Sim2RealError(f"cannot tell which engine is meant: {name} has some of MuJoCo and of PyBullet.")
    return BulletView(env) if clients else MujocoView(env)


class MujocoView:
    """The true state of the robot in a MuJoCo model: the trees of bodies in which motors drive joints.

    Positions and speeds are those after the step; torques and contacts those of its last physics tick, which MuJoCo
    leaves behind. The base is the root of the tree, upright as in the model's initial pose.

    Args:
        env: the environment.

    Raises:
        Sim2RealError: for a model that is another one after a reset.
    """

    lacks: Mapping[str, str] = {
        "energy_j": UNCOUNTED.format("a MuJoCo model"),
        "feet": WHICH_FEET.format("a MuJoCo model"),
        "velocity_rad_s": "a MuJoCo model has no speed limits",
        "effort_nm": "neither its motors' forcerange or ctrlrange nor its actuatorfrcrange does",
    }

    def __init__(self, env: Env) -> None:
        import mujoco

        self._mujoco, self._env, self._model = mujoco, env, None
        self._found = simulation_in(env)
        self.begin()
        model: Any = self._model
        joints = [i for i in range(model.njnt) if model.jnt_type[i] in (SLIDE, HINGE)]
        named, _ = numbered(model.joint(i).name or f"joint{i}" for i in range(model.njnt))
        self.joint_names = tuple(named[i] for i in joints)
        bodies, _ = numbered(model.body(i).name or f"body{i}" for i in range(model.nbody))
        self.link_index = {name: i for i, name in enumerate(bodies) if i}
        self._joints = joints
        limited = model.jnt_limited[joints].astype(bool)
        self.lower_rad, self.upper_rad = (
            np.where(limited, model.jnt_range[joints, side], sign * np.inf)
            for side, sign in ((0, -1), (1, 1))
        )
        self._effort_nm = self._efforts()
        self._roots = {int(model.body_rootid[model.jnt_bodyid[i]]) for i in self._effort_nm}
        rated = {
            name: SimpleNamespace(effort_nm=self._effort_nm.get(i, math.nan), velocity_rad_s=math.nan)
            for i, name in zip(joints, self.joint_names, strict=True)
        }
        self.robot = SimpleNamespace(joints=rated)
        self.engine = self

    def begin(self) -> None:
        """Find the model that is stepped from now on."""
        model, self._data = self._found.now(self._env)
        if self._data is None:
            raise Sim2RealError("needs the MjData that the environment steps, which is not in reach.")
        self._stale = True
        if model is self._model:
            return
        names = bytes(model.names), model.nq, model.nv, model.nbody
        if self._model is not None and names != self._named:
            raise Sim2RealError(
                "The MuJoCo model has other bodies or joints after this reset: it cannot be watched."
            )
        self._model, self._named, self._scratch = model, names, self._mujoco.MjData(model)
        self._qpos = [
            int(model.jnt_qposadr[i]) for i in range(model.njnt) if model.jnt_type[i] in (SLIDE, HINGE)
        ]
        self._dofs = [
            int(model.jnt_dofadr[i]) for i in range(model.njnt) if model.jnt_type[i] in (SLIDE, HINGE)
        ]
        self._mujoco.mj_kinematics(model, self._scratch)
        self._upright = self._scratch.xmat.reshape(-1, 3, 3).copy()

    def look(self, step: Step) -> None:
        """Notice that the state is another one."""
        self._stale = True

    def _efforts(self) -> dict[int, float]:
        """Return the largest torque (N m, or N) that motors can put on each joint that they drive, NaN if unknown."""
        model: Any = self._model
        efforts: dict[int, float] = {}
        for motor in range(model.nu):
            kind, target = (
                TRANSMISSIONS.get(int(model.actuator_trntype[motor])),
                int(model.actuator_trnid[motor, 0]),
            )
            if kind == "joint" and model.jnt_type[target] in (SLIDE, HINGE):
                most = abs(model.actuator_gear[motor, 0]) * self._force(motor)
                efforts[target] = efforts.get(target, 0.0) + float(most)
            elif kind == "tendon":
                first = model.tendon_adr[target]
                for wrap in range(first, first + model.tendon_num[target]):
                    if model.wrap_type[wrap] == WRAPS_JOINT:
                        efforts[int(model.wrap_objid[wrap])] = math.nan
        for joint in efforts:
            if model.jnt_actfrclimited[joint]:
                efforts[joint] = float(np.fmin(efforts[joint], np.abs(model.jnt_actfrcrange[joint]).max()))
        return efforts

    def _force(self, motor: int) -> float:
        """Return the largest force of a motor: of its range, and of what the largest command makes; NaN if unknown."""
        model: Any = self._model
        most = math.nan
        if model.actuator_forcelimited[motor]:
            most = float(np.abs(model.actuator_forcerange[motor]).max())
        bias, gain = model.actuator_biastype[motor], model.actuator_gaintype[motor]
        direct = bias == FIXED and gain == FIXED and model.actuator_dyntype[motor] != INTEGRATOR
        if direct and model.actuator_ctrllimited[motor]:
            command = np.abs(model.actuator_ctrlrange[motor]).max()
            most = float(np.fmin(most, abs(model.actuator_gainprm[motor, 0]) * command))
        return most

    @property
    def own_joints(self) -> tuple[str, ...]:
        """The joints of the robot: those that motors drive.

        Raises:
            Sim2RealError: if there are none, or others in the same tree have stops as well, so that one has to say.
        """
        model: Any = self._model
        named = dict(zip(self._joints, self.joint_names, strict=True))
        passive = [
            name
            for i, name in named.items()
            if i not in self._effort_nm
            and model.jnt_limited[i]
            and int(model.body_rootid[model.jnt_bodyid[i]]) in self._roots
        ]
        if passive or not self._effort_nm:
            no_motor = (
                f"no motor drives {', '.join(map(repr, passive[:4]))}" if passive else "it has no motors"
            )
            raise Sim2RealError(
                f"cannot tell which joints of the MuJoCo model are the robot's, as {no_motor}: name them."
            )
        return tuple(name for i, name in named.items() if i in self._effort_nm)

    @property
    def joint_position_rad(self) -> Array:
        """Of every hinge (rad) and slide (m)."""
        position: Array = self._data.qpos[self._qpos]
        return position

    @property
    def joint_velocity_rad_s(self) -> Array:
        """Of every hinge (rad/s) and slide (m/s)."""
        velocity: Array = self._data.qvel[self._dofs]
        return velocity

    @property
    def torque_nm(self) -> Array:
        """What the motors put on every joint in the last physics tick."""
        torque: Array = self._data.qfrc_actuator[self._dofs]
        return torque

    # ---- bodies ---------------------------------------------------------------------------------------------------

    @property
    def _now(self) -> Any:
        """Data of the state after the step; in the environment's own, bodies are where the last tick found them."""
        if self._stale:
            mujoco, model, data, scratch = self._mujoco, self._model, self._data, self._scratch
            for field in ("qpos", "qvel", "mocap_pos", "mocap_quat"):
                getattr(scratch, field)[:] = getattr(data, field)
            mujoco.mj_kinematics(model, scratch)
            mujoco.mj_comPos(model, scratch)
            mujoco.mj_comVel(model, scratch)
            self._stale = False
        return self._scratch

    @property
    def _base(self) -> int:
        if len(self._roots) == 1:
            return next(iter(self._roots))
        many = "several robots" if self._roots else "no motors"
        raise Sim2RealError(f"cannot tell which body is the base: the MuJoCo model has {many}.")

    @property
    def base_position_m(self) -> Vector:
        """Of the base's frame in the world."""
        return self.link_states([self._base])[0][0]

    @property
    def base_velocity_m_s(self) -> Vector:
        """Of the base's centre of mass in the world."""
        return self.link_states([self._base])[0][2]

    @property
    def uprightness(self) -> float:
        """Cosine of the angle between the vertical and the base's axis that is vertical in the initial pose."""
        gravity = self._model.opt.gravity  # type: ignore[attr-defined]
        up = -gravity / np.linalg.norm(gravity) if gravity.any() else np.array((0.0, 0.0, 1.0))
        turned = self._now.xmat[self._base].reshape(3, 3) @ self._upright[self._base].T
        return float(up @ turned @ np.array((0.0, 0.0, 1.0)))

    @property
    def clearance_m(self) -> float:
        """Height of the base above what stands still under it.

        Raises:
            Sim2RealError: if there is nothing.
        """
        model, data, start = self._model, self._now, np.array(self.base_position_m)
        height, geom = 0.0, np.zeros(1, np.int32)
        while True:
            below = start - (0.0, 0.0, height)
            distance = self._mujoco.mj_ray(model, data, below, (0.0, 0.0, -1.0), None, 1, -1, geom, None)
            if geom[0] < 0:
                break
            height += distance
            if self._still(int(model.geom_bodyid[geom[0]])):  # type: ignore[attr-defined]
                return float(height)
            height += UNDER_M
        raise Sim2RealError("needs ground under the base, where the MuJoCo model has none.")

    def link_states(self, links: Sequence[int]) -> list[tuple[Vector, Any, Vector]]:
        """Return frame position (m), orientation, and velocity of the centre of mass (m/s) in the world."""
        data, velocity, found = self._now, np.zeros(6), []
        for link in links:
            self._mujoco.mj_objectVelocity(
                self._model, data, self._mujoco.mjtObj.mjOBJ_BODY, link, velocity, 0
            )
            found.append((tuple(data.xpos[link].tolist()), data.xquat[link], tuple(velocity[3:].tolist())))
        return found

    # ---- contacts -------------------------------------------------------------------------------------------------

    def _still(self, body: int) -> bool:
        return bool(self._model.body_weldid[body] == 0)  # type: ignore[attr-defined]

    @property
    def self_collision(self) -> bool:
        """Whether the shapes of any two links can touch, as MuJoCo's collision filter says."""
        model: Any = self._model
        geoms = [i for i in range(model.ngeom) if int(model.body_rootid[model.geom_bodyid[i]]) in self._roots]
        welds, types, affine = (
            of[geoms]
            for of in (model.body_weldid[model.geom_bodyid], model.geom_contype, model.geom_conaffinity)
        )
        above = model.body_weldid[model.body_parentid[welds]]
        collide = (types[:, None] & affine) | (affine[:, None] & types) > 0
        apart = (welds[:, None] != welds) & (above[:, None] != welds) & (welds[:, None] != above)
        paired = [
            tuple(int(model.body_rootid[model.geom_bodyid[geom]]) for geom in pair)
            for pair in zip(model.pair_geom1, model.pair_geom2, strict=True)
        ]
        return bool((collide & apart).any()) or any(a == b and a in self._roots for a, b in paired)

    def contacts(self) -> list[tuple[int, int, float]]:
        """Return (link, link or −1 for what is no link of the robot, normal force in N) per point of the last tick."""
        model, data = self._model, self._data
        bodies, force, found = model.geom_bodyid, np.zeros(6), []  # type: ignore[attr-defined]
        for i, (one, other) in enumerate(data.contact.geom[: data.ncon]):
            if one < 0 or other < 0:
                continue
            pair = sorted((int(bodies[one]), int(bodies[other])), key=self._foreign)
            if not self._foreign(pair[0]):
                self._mujoco.mj_contactForce(model, data, i, force)
                link = -1 - pair[1] if self._foreign(pair[1]) else pair[1]
                found.append((pair[0], link, float(force[0])))
        return found

    def _foreign(self, body: int) -> bool:
        return int(self._model.body_rootid[body]) not in self._roots  # type: ignore[attr-defined]

    @property
    def ground_contacts(self) -> list[tuple[int, float]]:
        """(link, normal force in N) per point where the robot touches what stands still."""
        return [(link, n) for link, other, n in self.contacts() if other < 0 and self._still(-1 - other)]


class BulletView:
    """The true state of the robot in a PyBullet client: the one body with joints.

    The base's axis is the z axis of its frame. Torques that are commanded as such PyBullet does not tell: those are
    heard on their way to it.

    Args:
        env: the environment, which has loaded its bodies.

    Raises:
        Sim2RealError: for bodies that are others after a reset.
    """

    lacks: Mapping[str, str] = {
        "energy_j": UNCOUNTED.format("a PyBullet client"),
        "feet": WHICH_FEET.format("a PyBullet client"),
        "self_collision": "to know whether links touch each other, which PyBullet does not tell: use custom().",
        "velocity_rad_s": "its description does not",
        "effort_nm": "its description does not",
    }

    def __init__(self, env: Env) -> None:
        self._env, self._client = env, None
        self._found = client_in(env)
        self._heard: dict[tuple[int, int], float] | None = None
        self.begin()
        client: Any = self._client
        self._driven = [link for link in self._links if link.joint is not None]
        self.joint_names = tuple(str(link.joint) for link in self._driven)
        self.link_index = {link.name: number for number, link in enumerate(self._links)}
        told = [client.getJointInfo(link.body, link.place) for link in self._driven]
        self.lower_rad = np.array([row[8] if row[8] < row[9] else -np.inf for row in told])
        self.upper_rad = np.array([row[9] if row[8] < row[9] else np.inf for row in told])
        rated = [
            SimpleNamespace(effort_nm=row[10] or math.nan, velocity_rad_s=row[11] or math.nan) for row in told
        ]
        self.robot = SimpleNamespace(joints=dict(zip(self.joint_names, rated, strict=True)))
        self.engine = self

    def begin(self) -> None:
        """Find the client that is stepped from now on, and its bodies."""
        (client,) = followed(self._env, self._found)
        links, _ = links_of(client, None)
        if self._client is not None and [(o.name, o.joint) for o in links] != [
            (o.name, o.joint) for o in self._links
        ]:
            raise Sim2RealError(
                "The PyBullet client has other bodies after this reset: it cannot be watched."
            )
        self._links: list[Link] = links
        self._driven = [link for link in links if link.joint is not None]
        if client is not self._client:
            self._client = client
            if self._heard is not None:
                self._listen()

    def look(self, step: Step) -> None:
        """Read nothing: PyBullet is asked when something is measured."""

    @property
    def _robot(self) -> int:
        bodies = dict.fromkeys(link.body for link in self._driven)
        if len(bodies) != 1:
            raise Sim2RealError(
                f"cannot tell which body is the robot: {len(bodies)} of the PyBullet client have joints."
            )
        robot: int = next(iter(bodies))
        return robot

    @property
    def own_joints(self) -> tuple[str, ...]:
        """The joints of the one body that has any.

        Raises:
            Sim2RealError: if several have.
        """
        robot = self._robot
        return tuple(str(link.joint) for link in self._driven if link.body == robot)

    def _states(self, part: int) -> Array:
        client: Any = self._client
        return np.array([client.getJointState(link.body, link.place)[part] for link in self._driven])

    @property
    def joint_position_rad(self) -> Array:
        """Of every revolute (rad) and prismatic (m) joint."""
        return self._states(0)

    @property
    def joint_velocity_rad_s(self) -> Array:
        """Of every revolute (rad/s) and prismatic (m/s) joint."""
        return self._states(1)

    @property
    def torque_nm(self) -> Array:
        """What the motors put on every joint in the last physics tick, and what torque was commanded last."""
        if self._heard is None:
            self._listen()
        heard: Any = self._heard
        told: Array = self._states(3) + [heard.get((link.body, link.place), 0.0) for link in self._driven]
        return told

    def _listen(self) -> None:
        self._heard, client = {}, self._client
        for name in MOTOR_COMMANDS:
            setattr(client, name, partial(self._hear, name, getattr(client, name), self._heard))

    @staticmethod
    def _hear(
        name: str, command: Callable[..., Any], heard: dict[tuple[int, int], float], *args: Any, **kwargs: Any
    ) -> Any:
        order = MOTOR_COMMANDS[name]
        given = dict(zip(order, args, strict=False)) | kwargs
        body, joints = (
            given["bodyIndex" if "bodyIndex" in given else "bodyUniqueId"],
            np.atleast_1d(given[order[1]]),
        )
        torques = np.broadcast_to(given.get(order[5], 0.0), len(joints))
        for joint, torque in zip(joints.tolist(), torques.tolist(), strict=True):
            heard[body, joint] = torque if given[order[2]] == TORQUE_CONTROL else 0.0
        return command(*args, **kwargs)

    # ---- bodies ---------------------------------------------------------------------------------------------------

    def link_states(self, links: Sequence[int]) -> list[tuple[Vector, Any, Vector]]:
        """Return frame position (m), orientation, and velocity of the centre of mass (m/s) in the world."""
        return [self._state(self._links[number].body, self._links[number].place) for number in links]

    def _state(self, body: int, place: int) -> tuple[Vector, Any, Vector]:
        client: Any = self._client
        if place >= 0:
            state = client.getLinkState(body, place, computeLinkVelocity=1, computeForwardKinematics=1)
            return state[4], state[5], state[6]
        inertial = client.invertTransform(*client.getDynamicsInfo(body, -1)[3:5])
        position, turned = client.multiplyTransforms(*client.getBasePositionAndOrientation(body), *inertial)
        return position, turned, client.getBaseVelocity(body)[0]

    @property
    def base_position_m(self) -> Vector:
        """Of the base's frame in the world."""
        return self._state(self._robot, -1)[0]

    @property
    def base_velocity_m_s(self) -> Vector:
        """Of the base's centre of mass in the world."""
        return self._state(self._robot, -1)[2]

    @property
    def uprightness(self) -> float:
        """Cosine of the angle between the z axis of the base's frame and the vertical."""
        client: Any = self._client
        physics = client.getPhysicsEngineParameters()
        gravity = np.array([physics[f"gravityAcceleration{axis}"] for axis in "XYZ"])
        up = -gravity / np.linalg.norm(gravity) if gravity.any() else np.array((0.0, 0.0, 1.0))
        axis = np.reshape(client.getMatrixFromQuaternion(self._state(self._robot, -1)[1]), (3, 3))[:, 2]
        return float(up @ axis)

    @property
    def clearance_m(self) -> float:
        """Height of the base above what stands still under it.

        Raises:
            Sim2RealError: if there is nothing.
        """
        client: Any = self._client
        x, y, z = self.base_position_m
        top, bottom = z, z - 1e3
        while True:
            body, _, _, (_, _, hit_m), _ = client.rayTest((x, y, top), (x, y, bottom))[0]
            if body < 0:
                break
            if self._still(body):
                return float(z - hit_m)
            top = hit_m - UNDER_M
        raise Sim2RealError("needs ground under the base, where the PyBullet client has none.")

    def _still(self, body: int) -> bool:
        client: Any = self._client
        return client.getDynamicsInfo(body, -1)[0] == 0.0 and not client.getNumJoints(body)

    @property
    def ground_contacts(self) -> list[tuple[int, float]]:
        """(link, normal force in N) per point where the robot touches what stands still."""
        client, robot = self._client, self._robot
        numbers = {link.place: number for number, link in enumerate(self._links) if link.body == robot}
        points = client.getContactPoints(bodyA=robot)  # type: ignore[attr-defined]
        return [(numbers[point[3]], point[9]) for point in points if self._still(point[2])]

"""One robot in one engine: control steps, resets, readings, and the parameters of all of it.

command ─► Actuators ─► engine ─► (true state) ─► Encoders, IMU ─► SensorBuffer ─► reading
               ▲           ▲                            ▲               ▲
               └───────────┴──────── parameters ────────┴───────────────┘
"""

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from sim2real.actuators import Actuators
from sim2real.errors import Sim2RealError
from sim2real.linktree import Inertial
from sim2real.perturb.parameters import Parameter
from sim2real.robots import Changes, Compiled, Robot
from sim2real.sensors import Encoders, Imu, Reading, SensorBuffer, Vector, into_body, rotation_rows
from sim2real.simulation.devices import register_motors, register_sensors
from sim2real.simulation.disturbances import Disturbances, Thrower
from sim2real.simulation.engine import Quaternion, make_engine
from sim2real.simulation.ground import Ground
from sim2real.simulation.inertials import Inertials
from sim2real.simulation.joints import Joints
from sim2real.simulation.scene import Scene
from sim2real.simulation.setters import attribute
from sim2real.simulation.stability import stable_ticks
from sim2real.simulation.table import ParameterTable
from sim2real.simulation.terrain import Terrain

Array = NDArray[np.float64]


class Simulation:
    """A robot standing on the ground, driven by its actuators and read through its sensors.

    The true state after the last control step is in the public attributes; ``reading`` is what the sensors say.

    Args:
        robot: the description.
        actuated: joint names, in the order of commands and readings; all others are locked and merged away.
        physics_period_s: the engine's period; an episode whose motors are too stiff for it gets a shorter one.
        control_period_s: a whole multiple of it.
        control: "position" (joint targets, rad) or "torque" (N m).
        fixed_base: hold the base still, for robots bolted down.
        visible: carry the shapes that only rendering needs.
        gui: open the engine's window.
        engine: "bullet" or "mujoco".

    Raises:
        Sim2RealError: for periods that do not divide, a robot whose gains are stable only at an absurdly short period,
            or an engine that there is not.
    """

    def __init__(
        self,
        robot: Robot,
        actuated: Sequence[str],
        *,
        physics_period_s: float = 0.005,
        control_period_s: float = 0.02,
        control: Literal["position", "torque"] = "position",
        fixed_base: bool = False,
        visible: bool = False,
        gui: bool = False,
        engine: str = "bullet",
    ) -> None:
        self.ticks = round(control_period_s / physics_period_s)
        if self.ticks < 1 or abs(self.ticks * physics_period_s - control_period_s) > 1e-9:
            raise Sim2RealError(
                f"The control period must be a whole multiple of the physics period, "
                f"not {control_period_s:g} s over {physics_period_s:g} s."
            )
        self.robot = robot
        self.joint_names = tuple(actuated)
        self.engine_name = engine
        self.physics_period_s = self._wanted_period_s = physics_period_s
        self.control_period_s = control_period_s
        self.default_pose = np.array([robot.default_pose[name] for name in actuated], dtype=np.float64)
        self.fixed_base = fixed_base
        self._visible = visible or gui
        self._nominal = robot.compile(actuated, visuals=self._visible)
        joints = [robot.joints[name] for name in actuated]

        def column(field: str) -> Array:
            return np.array([getattr(joint, field) for joint in joints], dtype=np.float64)

        self.kp, self.kd = column("kp"), column("kd")
        self.lower_rad, self.upper_rad = column("lower"), column("upper")
        self.joint_position_rad, self.joint_velocity_rad_s = np.zeros(len(joints)), np.zeros(len(joints))
        self.actuators = Actuators(
            kp=self.kp,
            kd=self.kd,
            effort_nm=column("effort_nm"),
            stall_nm=column("stall_nm"),
            no_load_rad_s=column("velocity_rad_s"),
            inertia=np.ones(len(joints)),
            timestep_s=physics_period_s,
            torque_control=control == "torque",
        )
        self._sensors = SensorBuffer(physics_period_s)
        self._encoders = Encoders(len(joints), physics_period_s)
        self.engine = make_engine(engine, physics_period_s, gui=gui)
        self.ground, self.scene, self.terrain = Ground(self.engine), Scene(self.engine), Terrain(self.engine)
        self._thrower = Thrower(self.engine, self.scene)
        self._joints = Joints(joints, self.engine, self.actuators.tuned)
        self._inertials = Inertials(robot)
        self._applied: Changes | None = None
        self._disturbances = Disturbances(self.engine)
        self._load(self._nominal)
        self._axes = {link: self.engine.principal_axes(i) for link, i in self.link_index.items()}
        self._imu = self._find_imu()
        self.feet = [self.index_of(foot) for foot in robot.feet]
        unsupported = self.engine.UNSUPPORTED.items()
        self.parameters = ParameterTable(
            {name: f"engine='{engine}' cannot express {name}: {why}." for name, why in unsupported}
        )
        self._register()
        self._least_inertia = 0.5 / np.diag(np.linalg.inv(self._inertia())) if joints else np.zeros(0)
        self.reset()

    # ---- episodes -----------------------------------------------------------------------------------------

    def reset(
        self,
        joint_offset_rad: Array | None = None,
        velocity_m_s: tuple[float, float] = (0.0, 0.0),
        episode: tuple[int, ...] = (),
    ) -> None:
        """Stand the robot in its default pose, with the inertial parameters that are set by now.

        Args:
            joint_offset_rad: (n,) added to the default pose; the soles stay at their height only for small ones.
            velocity_m_s: horizontal velocity to start with, along x and y of the world.
            episode: integers that name the random numbers of whatever is random in here.
        """
        self._apply_changes()
        self._keep_time()
        self._joints.reset()
        self.engine.restore()
        self.terrain.begin(episode)
        hold = self.default_pose
        if joint_offset_rad is not None:
            hold = hold + joint_offset_rad
            self.engine.set_state((0.0, 0.0, self.base_height_m), (0.0, 0.0, 0.0, 1.0), hold.tolist())
        if any(velocity_m_s):
            self.engine.add_base_velocity((*velocity_m_s, 0.0), (0.0, 0.0, 0.0))
        self.time_s = 0.0
        self.energy_j = 0.0
        self.torque_nm = np.zeros(len(self.joint_names))
        self.actuators.reset(np.zeros_like(hold) if self.actuators.commands_torque else hold, episode)
        self._observe()
        if self._encoders.active:
            self._encoders.start(self.joint_position_rad, self.joint_velocity_rad_s, anew=True)
        self._sensors.reset(self._read())
        self.reading = self._sensors.read()

    def step(self, command: Array) -> None:
        """Advance one control period under a command (n,)."""
        engine, actuators, sensors, encoders = self.engine, self.actuators, self._sensors, self._encoders
        joints, disturbances = self._joints, self._disturbances
        if actuators.changed:
            self._shorten_ticks()
        actuators.command(command)
        period = self.physics_period_s
        buffered = sensors.active
        position, velocity = self.joint_position_rad, self.joint_velocity_rad_s
        if encoders.active:
            encoders.start(position, velocity)
        if self.terrain.raised:
            self.terrain.follow(*self.base_position_m[:2])
        if disturbances.drag_area_m2:
            disturbances.blow(self.base_velocity_m_s, self._base_com_m)
        for _ in range(self.ticks):
            if encoders.active:
                torque = actuators.torque(encoders.position_rad, encoders.velocity_rad_s)
            else:
                torque = actuators.torque(position, velocity)
            if disturbances.acting:
                disturbances.push()
            if joints.sticking:
                joints.grip_or_let_go(velocity)
            damping, before = actuators.damping, velocity
            engine.tick(torque.tolist(), damping)
            position, velocity = engine.joint_state()
            torque = torque - damping * (velocity - before)  # as it is when the tick ends
            if encoders.active:
                encoders.follow(position, velocity)
            power = torque * velocity
            self.energy_j += period * sum(map(abs, power.tolist()))
            if buffered:
                self.joint_position_rad, self.joint_velocity_rad_s = position, velocity
                self._observe_base()
                sensors.push(self._read())
        self.time_s += self.control_period_s
        self.torque_nm = torque
        self.joint_position_rad, self.joint_velocity_rad_s = position, velocity
        self._observe_base()
        before = self.reading.joint_position_rad
        if buffered:
            self.reading = sensors.read()
        else:
            self.reading = self._read()
            sensors.reset(self.reading)
        if encoders.differentiated >= 0.5:
            change = self.reading.joint_position_rad - before
            self.reading = replace(self.reading, joint_velocity_rad_s=change / self.control_period_s)

    def close(self) -> None:
        """Let go of the engine."""
        self.engine.close()

    @property
    def gravity_direction(self) -> Vector:
        """Unit vector of gravity in world axes."""
        return self.ground.gravity_direction

    @property
    def clearance_m(self) -> float:
        """Height of the base above the ground under it; standing it is ``base_height_m``."""
        x, y, z = self.base_position_m
        return z - self.terrain.height_m(x, y)

    def index_of(self, link: str) -> int:
        """Return the engine's index of the link that a link of the description is part of."""
        return self.link_index[self._nominal.link_of[link]]

    # ---- the true state and what sensors make of it ---------------------------------------------------------

    def _observe(self) -> None:
        self.joint_position_rad, self.joint_velocity_rad_s = self.engine.joint_state()
        self._observe_base()

    def _observe_base(self) -> None:
        self.base_position_m, quaternion = self.engine.base_pose()
        self.base_velocity_m_s, self.base_angular_velocity_rad_s = self.engine.base_velocity()
        self.base_in_world = rotation_rows(*quaternion)
        self._contacts: list[tuple[int, float]] | None = None
        self._foot_states: list[tuple[Vector, Quaternion, Vector]] | None = None

    @property
    def heading(self) -> tuple[float, float]:
        """Cosine and sine of the angle from the world's x axis to the base's, in the horizontal plane."""
        (cosine, _, _), (sine, _, _), _ = self.base_in_world
        size = math.hypot(cosine, sine) or 1.0
        return cosine / size, sine / size

    @property
    def uprightness(self) -> float:
        """Cosine of the angle between the base's vertical axis and the true vertical."""
        (_, _, a), (_, _, b), (_, _, c) = self.base_in_world
        x, y, z = self.gravity_direction
        return -(a * x + b * y + c * z)

    @property
    def ground_contacts(self) -> list[tuple[int, float]]:
        """Link index and normal force (N) of every point where the robot touches the ground, read once per step."""
        if self._contacts is None:
            self._contacts = self.engine.ground_contacts()
        return self._contacts

    @property
    def foot_states(self) -> list[tuple[Vector, Quaternion, Vector]]:
        """Position (m), orientation, and velocity of the centre of mass (m/s) of every foot, read once per step."""
        if self._foot_states is None:
            self._foot_states = self.engine.link_states(self.feet)
        return self._foot_states

    def _find_imu(self) -> Imu:
        imu = self.robot.sensors.get("imu")
        if imu is None:
            return Imu(np.eye(3))
        merged, _, rotation = self._nominal.frame_of[imu.link]
        if self.link_index[merged] != 0:
            raise Sim2RealError(
                f"The IMU of robot '{self.robot.name}' sits on '{merged}'; it must be rigidly joined to the base."
            )
        return Imu(rotation @ imu.rotation)

    def _find_centres(self, compiled: Compiled) -> dict[str, tuple[int, list[float]]]:
        """Return for each link the engine's link it is part of, and its centre of mass in that one's frame."""
        found = {}
        for link, inertial in compiled.robot.inertials.items():
            merged, origin_m, rotation = compiled.frame_of[link]
            found[link] = (self.link_index[merged], (origin_m + rotation @ inertial.com_m).tolist())
        return found

    def _read(self) -> Reading:
        gyro = into_body(self.base_in_world, self.base_angular_velocity_rad_s)
        gravity = into_body(self.base_in_world, self.gravity_direction)
        encoders, position, velocity = self._encoders, self.joint_position_rad, self.joint_velocity_rad_s
        if encoders.active:
            position, velocity = encoders.position_rad, encoders.velocity_rad_s
        return Reading(
            gyro_rad_s=self._imu.read(gyro),
            projected_gravity=self._imu.read(gravity),
            joint_position_rad=position,
            joint_velocity_rad_s=velocity,
        )

    # ---- the world that the parameters make -----------------------------------------------------------------

    def use_gains(self, kp: Array, kd: Array) -> None:
        """Adopt a policy's gains (n,) as the nominal ones, in the order of ``joint_names``.

        Raises:
            Sim2RealError: They are stable only at an absurdly short physics period.
        """
        self.kp, self.kd = np.array(kp, dtype=np.float64), np.array(kd, dtype=np.float64)
        for name, p, d in zip(self.joint_names, self.kp, self.kd, strict=True):
            self.parameters.renominate(f"{name}.kp", float(p))
            self.parameters.renominate(f"{name}.kd", float(d))
        self._stable_ticks()

    def _load(self, compiled: Compiled) -> None:
        self._loaded, self.base_height_m = compiled, compiled.robot.base_height_m
        blocks, block_size_m = self.terrain.load()
        self.engine.load(
            compiled.urdf,
            joint_names=self.joint_names,
            base_position_m=(0.0, 0.0, self.base_height_m),
            joint_position=self.default_pose.tolist(),
            fixed_base=self.fixed_base,
            bodies=self.scene.load(),
            blocks=blocks,
            block_size_m=block_size_m,
        )
        self.link_index = {name: i for i, name in enumerate(self.engine.link_names)}
        self._disturbances.centres = self._find_centres(compiled)
        self._base_com_m: list[float] = compiled.merged[self.engine.link_names[0]].com_m.tolist()
        self.ground.tell()
        self._joints.tell()
        self.scene.tell()

    def _keep_time(self) -> None:
        """Divide the control period into as many ticks as the parameters ask for, and tell all who count them.

        They ask for it by `solver.timestep`, and by motors that are too stiff for it.
        """
        period_s = self.parameters.spec("solver.timestep").nominal
        self.ticks = self._stable_ticks()
        if self.ticks != round(self.control_period_s / period_s):
            period_s = self.control_period_s / self.ticks
        self._tell_period(period_s)

    def _tell_period(self, period_s: float) -> None:
        if period_s != self.physics_period_s:
            self.physics_period_s = period_s
            self.actuators.timestep_s = self._sensors.timestep_s = self._encoders.timestep_s = period_s
            self.actuators.settle()
            self.engine.set_timestep(period_s)

    def _stable_ticks(self) -> int:
        """Return how many ticks of a control period the wanted values ask for, by them alone."""
        motors, ticks = self.actuators, max(1, round(self.control_period_s / self._wanted_period_s))
        motors.changed = False
        motors.inertia = np.where(self._joints.armature > 0.0, self._joints.armature, self._least_inertia)
        if motors.commands_torque:
            return ticks
        return stable_ticks(
            self.control_period_s, ticks, names=self.joint_names, armature=self._joints.armature,
            kp=motors.strength * motors.kp, kd=motors.strength * motors.kd, inertia=self._inertia,
        )  # fmt: skip

    def _shorten_ticks(self) -> None:
        """Divide the ticks of a running episode whose motors have become too stiff for them."""
        parts = math.ceil(self._stable_ticks() / self.ticks)
        if parts > 1:
            self.ticks *= parts
            self.actuators.divide_ticks(parts)
            self._sensors.divide_ticks(parts)
            self._tell_period(self.control_period_s / self.ticks)

    def _inertia(self) -> Array:
        """Return the joint-space inertia (n, n) in the default pose, of a free base with the base giving way."""
        names = self._nominal.tree.joint_names
        matrix = self.engine.mass_matrix([self.robot.default_pose[name] for name in names])
        rows = [names.index(name) for name in self.joint_names]
        if self.fixed_base:
            return matrix[np.ix_(rows, rows)]
        free = matrix[6:, 6:] - matrix[6:, :6] @ np.linalg.solve(matrix[:6, :6], matrix[:6, 6:])
        return free[np.ix_(rows, rows)]

    def _apply_changes(self) -> None:
        """Give the engine the robot and the world that the parameters ask for.

        In place where the engine can (masses, and inertias about unchanged axes); by building the world anew from
        a recompiled description where it cannot. Which of the two depends on the wanted values alone, never on
        what was simulated before: the same parameters give the same bits. A world whose ground, scene or
        terrain is to be another is built anew as well.
        """
        changes = self._inertials.wanted()
        rebuild = self.ground.changed or self.scene.changed or self.terrain.changed
        if changes == self._applied and not rebuild:
            return
        wanted = nominal = self._nominal
        if changes:
            wanted = self.robot.compile(self.joint_names, changes, visuals=self._visible)
        in_place = {
            wanted.link_names[place]: self._moments(wanted.link_names[place], wanted.tree.bodies[place])
            for place in wanted.tree.bodies.differing(nominal.tree.bodies)
        }
        if wanted.robot is self.robot and all(in_place.values()):
            if self._loaded is nominal and not rebuild:
                self.engine.reset_link_inertials()
            else:
                self._load(nominal)
            for link, moments in in_place.items():
                mass_kg = float(wanted.merged[link].mass_kg)
                self.engine.set_link_inertial(self.link_index[link], mass_kg, moments)
        else:
            self._load(wanted)
        self._applied = changes

    def _moments(self, link: str, wanted: Inertial) -> list[float]:
        """Return the moments of inertia about the nominal axes; none where axes or centre of mass differ."""
        axes = self._axes[link]
        tensor = axes.T @ wanted.inertia_kgm2 @ axes
        moments: list[float] = np.diag(tensor).tolist()
        if np.abs(wanted.com_m - self._nominal.merged[link].com_m).max() > 1e-12:
            return []
        if np.abs(tensor - np.diag(moments)).max() > 1e-9 * sum(moments):
            return []
        return moments

    def _register(self) -> None:
        table, joints = self.parameters, self.joint_names
        self.ground.register(table)
        register_motors(table, self.actuators, joints)
        self._joints.register(table, self.default_pose)
        register_sensors(table, self._sensors, self._encoders, self._imu, joints)
        self._inertials.register(table)
        self._disturbances.register(table)
        self._thrower.register(table)
        self.terrain.register(table)
        doc = "Period of the physics, as near as a whole part of the control period comes: no physics, but accuracy."
        spec = Parameter(nominal=self.physics_period_s, unit="s", low=0.01 * self.physics_period_s,
                         high=self.control_period_s, doc=doc, live=False)  # fmt: skip
        table.add("solver.timestep", spec, attribute(self, "_wanted_period_s"))
        if self.fixed_base:
            still = [link for link in self.robot.link_names if not self.index_of(link)]
            table.leave_out(still, but=("length",))
            table.leave_out(["base", "air", "wind", "thrown", "imu", "gyro", "projected_gravity", "terrain"])
            if self.robot.payload_link in still:
                table.leave_out(["payload"])

"""One robot in one engine: control steps, resets, readings, and the parameters of all of it.

command ─► Actuators ─► engine ─► (true state) ─► Encoders, IMU ─► SensorBuffer ─► reading
               ▲           ▲                            ▲               ▲
               └───────────┴──────── parameters ────────┴───────────────┘
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from sim2real.actuators import Actuators
from sim2real.errors import Sim2RealError
from sim2real.linktree import Inertial, pose_of
from sim2real.perturb.parameters import Parameter
from sim2real.robots import Changes, Compiled, Robot
from sim2real.sensors import PARTS, Encoders, Reading, SensorBuffer, Vector, into_body, rotation_rows
from sim2real.simulation.table import ParameterTable

Array = NDArray[np.float64]
GRAVITY_M_S2 = 9.81
AXES = ("x", "y", "z")
IDENTITY = np.eye(3).tolist()
AIR_KG_M3 = 1.225
"""Density of air at sea level, ISO 2533."""
AT_REST_RAD_S = 0.01
"""Joint speed below which stiction holds."""
SEIZED_NM = 1e6
"""Dry friction of a joint that is stuck."""


class Simulation:
    """A robot standing on the ground, driven by its actuators and read through its sensors.

    The true state after the last control step is in the public attributes; ``reading`` is what the sensors say.

    Args:
        robot: the description.
        actuated: joint names, in the order of commands and readings; all others are locked and merged away.
        physics_period_s: the engine's period.
        control_period_s: a whole multiple of it.
        control: "position" (joint targets, rad) or "torque" (N m).
        fixed_base: hold the base still, for robots bolted down.
        visible: carry the shapes that only rendering needs.
        gui: open the engine's window.

    Raises:
        Sim2RealError: for periods that do not divide, or a robot whose gains are unstable at this period.
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
    ) -> None:
        from sim2real.simulation.bullet import BulletEngine

        self.ticks = round(control_period_s / physics_period_s)
        if self.ticks < 1 or abs(self.ticks * physics_period_s - control_period_s) > 1e-9:
            raise Sim2RealError(
                f"The control period must be a whole multiple of the physics period, "
                f"not {control_period_s:g} s over {physics_period_s:g} s."
            )
        self.robot = robot
        self.joint_names = tuple(actuated)
        self.physics_period_s = physics_period_s
        self.control_period_s = control_period_s
        self.default_pose = np.array([robot.default_pose[name] for name in actuated], dtype=np.float64)
        self._fixed_base = fixed_base
        self._visible = visible or gui
        self._nominal = robot.compile(actuated, visuals=self._visible)
        if control == "position":
            self._nominal.check(physics_period_s)
        joints = [robot.joints[name] for name in actuated]

        def column(field: str) -> Array:
            return np.array([getattr(joint, field) for joint in joints], dtype=np.float64)

        self.kp, self.kd = column("kp"), column("kd")
        self.lower_rad, self.upper_rad = column("lower"), column("upper")
        self._coulomb_nm, self._viscous_nms = column("coulomb_nm"), column("viscous_nms")
        self.joint_position_rad, self.joint_velocity_rad_s = np.zeros(len(joints)), np.zeros(len(joints))
        self.actuators = Actuators(
            kp=self.kp,
            kd=self.kd,
            effort_nm=column("effort_nm"),
            stall_nm=column("stall_nm"),
            no_load_rad_s=column("velocity_rad_s"),
            timestep_s=physics_period_s,
            torque_control=control == "torque",
        )
        self._sensors = SensorBuffer(physics_period_s)
        self._encoders = Encoders(len(joints), physics_period_s)
        self._differentiated = 0.0
        self._imu_rpy_rad = [0.0, 0.0, 0.0]
        self._stiction_nm, self._stuck = np.zeros(len(joints)), np.zeros(len(joints))
        self._sticking, self._at_rest = False, np.ones(len(joints), dtype=np.bool_)
        self._stops_rad = np.column_stack((self.lower_rad, self.upper_rad))
        self._gravity_z_m_s2, self._slope_rad, self._slope_direction_rad = -GRAVITY_M_S2, 0.0, 0.0
        self._ground = {"friction": 1.0, "restitution": 0.0, "rolling_m": 0.0, "spinning_m": 0.0}
        self._compliance_m_n, self._damping_ns_m = 0.0, 0.0
        self._solver_iterations = 50
        self._drag_area_m2, self._wind_m_s = 0.0, [0.0, 0.0, 0.0]
        self._wrenches: dict[str, list[float]] = {}  # per link: force, then torque, while not zero
        self._centres: dict[
            str, tuple[int, list[float]]
        ] = {}  # per link: merged link, centre of mass in its frame
        self._changes: dict[str, dict[str, Any]] = {
            kind: {} for kind in ("mass", "com_m", "inertia", "shape", "payload", "armature")
        }
        self._applied_changes: dict[str, dict[str, Any]] = {}
        self.engine = BulletEngine(physics_period_s, gui=gui)
        self._load(self._nominal)
        self._axes = {link: self.engine.principal_axes(i) for link, i in self.link_index.items()}
        self._nominal_imu = self._imu_in_base = self._find_imu()
        self.feet = [self.link_index[self._nominal.link_of[foot]] for foot in robot.feet]
        self.parameters = ParameterTable()
        self._register_parameters()
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
        self._apply_inertial_changes()
        if self._sticking:
            self._at_rest[:] = True
            self._set_dry_friction()
        self.engine.restore()
        hold = self.default_pose
        if joint_offset_rad is not None:
            hold = hold + joint_offset_rad
            self.engine.set_state((0.0, 0.0, self.robot.base_height_m), (0.0, 0.0, 0.0, 1.0), hold.tolist())
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
        actuators.command(command)
        period = self.physics_period_s
        buffered = sensors.active
        position, velocity = self.joint_position_rad, self.joint_velocity_rad_s
        if encoders.active:
            encoders.start(position, velocity)
        if self._drag_area_m2:
            self._blow()
        for _ in range(self.ticks):
            if encoders.active:
                torque = actuators.torque(encoders.position_rad, encoders.velocity_rad_s)
            else:
                torque = actuators.torque(position, velocity)
            if self._wrenches:
                self._push()
            if self._sticking:
                self._grip_or_let_go(velocity)
            engine.tick(torque.tolist())
            position, velocity = engine.joint_state()
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
        if self._differentiated >= 0.5:
            change = self.reading.joint_position_rad - before
            self.reading = replace(self.reading, joint_velocity_rad_s=change / self.control_period_s)

    def close(self) -> None:
        """Let go of the engine."""
        self.engine.close()

    # ---- the true state and what sensors make of it ---------------------------------------------------------

    def _observe(self) -> None:
        self.joint_position_rad, self.joint_velocity_rad_s = self.engine.joint_state()
        self._observe_base()

    def _observe_base(self) -> None:
        self.base_position_m, quaternion = self.engine.base_pose()
        self.base_velocity_m_s, self.base_angular_velocity_rad_s = self.engine.base_velocity()
        self.base_in_world = rotation_rows(*quaternion)

    def _find_imu(self) -> tuple[Vector, Vector, Vector] | None:
        """Return the rows of the IMU's rotation in the base, or None where it is aligned with it."""
        imu = self.robot.sensors.get("imu")
        if imu is None:
            return None
        merged, _, rotation = self._nominal.frame_of[imu.link]
        if self.link_index[merged] != 0:
            raise Sim2RealError(
                f"The IMU of robot '{self.robot.name}' sits on '{merged}'; it must be rigidly joined to the base."
            )
        rows = rotation @ imu.rotation
        return None if np.allclose(rows, np.eye(3)) else tuple(map(tuple, rows.tolist()))  # type: ignore[return-value]

    def _read(self) -> Reading:
        gyro = into_body(self.base_in_world, self.base_angular_velocity_rad_s)
        gravity = into_body(self.base_in_world, self.gravity_direction)
        if self._imu_in_base is not None:
            gyro, gravity = into_body(self._imu_in_base, gyro), into_body(self._imu_in_base, gravity)
        encoders, position, velocity = self._encoders, self.joint_position_rad, self.joint_velocity_rad_s
        if encoders.active:
            position, velocity = encoders.position_rad, encoders.velocity_rad_s
        return Reading(
            gyro_rad_s=gyro,
            projected_gravity=gravity,
            joint_position_rad=position,
            joint_velocity_rad_s=velocity,
        )

    # ---- the world that the parameters make -----------------------------------------------------------------

    def use_gains(self, kp: Array, kd: Array) -> None:
        """Adopt a policy's gains (n,) as the nominal ones, in the order of ``joint_names``."""
        self.kp, self.kd = np.array(kp, dtype=np.float64), np.array(kd, dtype=np.float64)
        for name, p, d in zip(self.joint_names, self.kp, self.kd, strict=True):
            self.parameters.renominate(f"{name}.kp", float(p))
            self.parameters.renominate(f"{name}.kd", float(d))

    def _load(self, compiled: Compiled) -> None:
        self._loaded = compiled
        self.engine.load(
            compiled.urdf,
            joint_names=self.joint_names,
            base_position_m=(0.0, 0.0, self.robot.base_height_m),
            joint_position=self.default_pose.tolist(),
            fixed_base=self._fixed_base,
        )
        self.link_index = {name: i for i, name in enumerate(self.engine.link_names)}
        self._restore_world()

    def _restore_world(self) -> None:
        """Tell a freshly built engine everything that was set before."""
        self._set_gravity()
        self.engine.set_ground(**self._ground)
        self.engine.set_ground_softness(self._compliance_m_n, self._damping_ns_m)
        self.engine.set_solver_iterations(self._solver_iterations)
        self._set_dry_friction()
        nominal = np.column_stack((self.lower_rad, self.upper_rad))
        for joint in np.flatnonzero((self._stops_rad != nominal).any(axis=1)).tolist():
            self.engine.set_joint_limits(joint, *self._stops_rad[joint].tolist())
        for i, viscous_nms in enumerate(self._viscous_nms):
            self.engine.set_joint_damping(i, float(viscous_nms))

    def _set_gravity(self) -> None:
        """Tilt gravity instead of the ground: on an infinite plane the two are the same physics."""
        slope, direction = self._slope_rad, self._slope_direction_rad
        downhill = math.sin(slope)
        self.gravity_direction: Vector = (
            downhill * math.cos(direction), downhill * math.sin(direction), -math.cos(slope)
        )  # fmt: skip
        x, y, z = (-self._gravity_z_m_s2 * component for component in self.gravity_direction)
        self.engine.set_gravity((x, y, z))

    def _push(self) -> None:
        for link, wrench in self._wrenches.items():
            merged, point_m = self._centres[link]
            if any(wrench[:3]):
                self.engine.apply_force(merged, wrench[:3], point_m)
            if any(wrench[3:]):
                self.engine.apply_torque(merged, wrench[3:])

    def _blow(self) -> None:
        """Let the air push at the base's centre of mass through the coming control step: F = ½ ρ A |u| u.

        u is the speed of the wind relative to the base, A the drag area (drag coefficient times frontal area).
        """
        u = [wind - speed for wind, speed in zip(self._wind_m_s, self.base_velocity_m_s, strict=True)]
        pressure_n_m_s = 0.5 * AIR_KG_M3 * self._drag_area_m2 * math.hypot(*u)
        base = self.engine.link_names[0]
        self._centres[""] = (0, self._loaded.merged[base].com_m.tolist())
        self._wrenches[""] = [*(pressure_n_m_s * component for component in u), 0.0, 0.0, 0.0]

    def _set_dry_friction(self) -> None:
        """Tell the engine what holds each joint back: Coulomb friction, stiction at rest, or that it is stuck."""
        held_nm = np.where(self._at_rest, self._stiction_nm, 0.0) + np.where(
            self._stuck >= 0.5, SEIZED_NM, 0.0
        )
        self.engine.set_joint_friction(self._coulomb_nm + held_nm)

    def _grip_or_let_go(self, velocity: Array) -> None:
        """Let stiction act on the joints that are at rest, and on no others."""
        at_rest = np.abs(velocity) < AT_REST_RAD_S
        if at_rest.tobytes() != self._at_rest.tobytes():
            self._at_rest = at_rest
            self._set_dry_friction()

    def _turn_imu(self) -> None:
        rows = self._nominal_imu
        if any(self._imu_rpy_rad):
            nominal = np.eye(3) if rows is None else np.array(rows)
            turned = nominal @ pose_of(rpy=self._imu_rpy_rad)[:3, :3]
            rows = tuple(map(tuple, turned.tolist()))  # type: ignore[assignment]
        self._imu_in_base = rows

    def _apply_inertial_changes(self) -> None:
        """Give the engine the mass distribution that the parameters ask for.

        In place where the engine can (masses, and inertias about unchanged axes); by building the world anew from
        a recompiled description where it cannot. Which of the two depends on the wanted values alone, never on
        what was simulated before: the same parameters give the same bits. A world whose ground was soft and is
        to be rigid is built anew as well.
        """
        hardened = self.engine.ground_is_soft and self._compliance_m_n == 0.0
        changes = {kind: dict(of_kind) for kind, of_kind in self._changes.items() if of_kind}
        if changes == self._applied_changes and not hardened:
            return
        nominal = self._nominal
        wanted = nominal
        if changes:
            wanted = self.robot.compile(self.joint_names, Changes(**changes), visuals=self._visible)
        in_place: dict[str, list[float]] = {}
        for link, inertial in wanted.merged.items():
            if inertial != nominal.merged[link]:
                in_place[link] = self._moments(link, inertial)
        if all(in_place.values()):
            if self._loaded is nominal and not hardened:
                self.engine.reset_link_inertials()
            else:
                self._load(nominal)
            for link, moments in in_place.items():
                mass_kg = float(wanted.merged[link].mass_kg)
                self.engine.set_link_inertial(self.link_index[link], mass_kg, moments)
        else:
            self._load(wanted)
        self._applied_changes = changes

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

    # ---- parameters ---------------------------------------------------------------------------------------

    def _register_parameters(self) -> None:
        self._register_world()
        self._register_actuators()
        self._register_joints()
        self._register_sensors()
        self._register_inertials()
        self._register_wind()
        self._register_pushes()

    def _register_world(self) -> None:
        add = self.parameters.add

        def ground(field: str) -> Callable[[float], None]:
            def set_ground(value: float) -> None:
                self._ground[field] = value
                self.engine.set_ground(**self._ground)

            return set_ground

        add(
            "ground.friction",
            Parameter(
                nominal=1.0, unit="", low=0.0, high=10.0,
                doc="Coulomb coefficient between soles and ground; a body slides above a slope of its arctangent.",
            ),
            ground("friction"),
        )  # fmt: skip
        add(
            "ground.restitution",
            Parameter(nominal=0.0, unit="", low=0.0, high=1.0, doc="Speed kept by a bounce, as a fraction."),
            ground("restitution"),
        )
        for field, motion in (("rolling", "rolling over"), ("spinning", "spinning on the spot against")):
            add(
                f"ground.{field}_friction",
                Parameter(
                    nominal=0.0, unit="m", low=0.0, high=1.0,
                    doc=f"Torque with which a contact resists {motion} the ground, per normal force.",
                ),
                ground(f"{field}_m"),
            )  # fmt: skip

        def softness(field: str) -> Callable[[float], None]:
            def set_softness(value: float) -> None:
                setattr(self, field, value)
                self.engine.set_ground_softness(self._compliance_m_n, self._damping_ns_m)

            return set_softness

        add(
            "ground.compliance",
            Parameter(
                nominal=0.0, unit="m/N", low=0.0, high=0.01,
                doc="How far a contact point sinks into the ground per normal force: one over its stiffness.",
            ),
            softness("_compliance_m_n"),
        )  # fmt: skip
        add(
            "ground.damping",
            Parameter(
                nominal=0.0, unit="N s/m", low=0.0, high=1e5,
                doc="Damping of a contact point, where the ground has compliance.",
            ),
            softness("_damping_ns_m"),
        )  # fmt: skip

        def set_iterations(value: float) -> None:
            self._solver_iterations = round(value)
            self.engine.set_solver_iterations(self._solver_iterations)

        add(
            "solver.iterations",
            Parameter(
                nominal=50.0, unit="", low=1.0, high=1000.0,
                doc="How often the engine goes over contacts and stops in a tick: no physics, but accuracy.",
            ),
            set_iterations,
        )  # fmt: skip

        def gravity(field: str) -> Callable[[float], None]:
            def set_gravity(value: float) -> None:
                setattr(self, field, value)
                self._set_gravity()

            return set_gravity

        add(
            "gravity.z",
            Parameter(
                nominal=-GRAVITY_M_S2, unit="m/s²", low=-100.0, high=0.0, doc="Gravity along the vertical."
            ),
            gravity("_gravity_z_m_s2"),
        )
        add(
            "ground.slope",
            Parameter(
                nominal=0.0, unit="rad", low=-1.5, high=1.5,
                doc="Inclination of the ground; positive is downhill along ground.slope_direction.",
            ),
            gravity("_slope_rad"),
        )  # fmt: skip
        add(
            "ground.slope_direction",
            Parameter(
                nominal=0.0, unit="rad", low=-math.pi, high=math.pi,
                doc="Heading in which a positive slope goes downhill; 0 is straight ahead.",
            ),
            gravity("_slope_direction_rad"),
        )  # fmt: skip

    def _register_actuators(self) -> None:
        """Register what all motors have in common."""
        add, motors = self.parameters.add, self.actuators

        def attribute(field: str) -> Callable[[float], None]:
            def set_attribute(value: float) -> None:
                setattr(motors, field, value)
                if field not in ("latency_s", "jitter_s", "loss"):
                    motors.settle()

            return set_attribute

        rows: tuple[tuple[str, str, float, str, float, float, str], ...] = (
            ("actuator.latency_s", "latency_s", 0.0, "s", 0.0, 1.0,
             "Time from a command to its effect on the motors, in whole physics ticks."),
            ("actuator.jitter_s", "jitter_s", 0.0, "s", 0.0, 1.0,
             "Largest extra latency of a command, uniform and drawn anew for each."),
            ("actuator.loss", "loss", 0.0, "", 0.0, 1.0,
             "Probability that a command is lost; the motors then go on with the one before."),
            ("actuator.torque_noise", "torque_noise", 0.0, "", 0.0, 10.0,
             "Half width of a uniform random torque, new in every physics tick, as a fraction of the effort limit."),
            ("actuator.continuous_torque", "continuous", 1.0, "", 0.01, 1.0,
             "Torque that a motor can give for ever, as a fraction of the effort limit; heat takes it there."),
            ("actuator.thermal_time_s", "thermal_time_s", 60.0, "s", 0.1, 1e5,
             "Time constant with which a motor heats up and cools down, where continuous_torque is below 1."),
            ("battery.voltage", "supply", 1.0, "", 0.01, 2.0,
             "Voltage of the idle battery, as a fraction of the nominal: no-load speed and stall torque go with it."),
            ("battery.sag", "sag_per_w", 0.0, "1/W", 0.0, 1.0,
             "Fraction of the voltage lost per mechanical power drawn, while small: R/V² of the battery."),
        )  # fmt: skip
        for name, field, nominal, unit, low, high, doc in rows:
            add(name, Parameter(nominal=nominal, unit=unit, low=low, high=high, doc=doc), attribute(field))

    def _register_joints(self) -> None:
        """Register what each joint has: its motor, its friction, its encoder, its stops."""
        add, motors, encoders = self.parameters.add, self.actuators, self._encoders
        settle = motors.settle

        def element(
            array: Array, index: int, then: Callable[[], None] | None = None
        ) -> Callable[[float], None]:
            def set_element(value: float) -> None:
                array[index] = value
                if then is not None:
                    then()

            return set_element

        def damping(index: int) -> Callable[[float], None]:
            def set_damping(value: float) -> None:
                self._viscous_nms[index] = value
                self.engine.set_joint_damping(index, value)

            return set_damping

        def stop(index: int, side: int) -> Callable[[float], None]:
            def set_stop(value: float) -> None:
                self._stops_rad[index, side] = value
                self.engine.set_joint_limits(index, *self._stops_rad[index].tolist())

            return set_stop

        def dry_friction() -> None:
            self._sticking = bool(self._stiction_nm.any())
            self._at_rest = np.abs(self.joint_velocity_rad_s) < AT_REST_RAD_S
            self._set_dry_friction()

        for i, name in enumerate(self.joint_names):
            rows = (
                ("strength", 1.0, "", 0.0, 10.0, "Torque delivered per torque asked for.", motors.strength, None),
                ("kp", motors.kp[i], "N m/rad", 0.0, 1e5, "Proportional gain of the motor controller.",
                 motors.kp, None),
                ("kd", motors.kd[i], "N m s/rad", 0.0, 1e4, "Derivative gain of the motor controller.",
                 motors.kd, None),
                ("effort_limit", motors.effort_nm[i], "N m", 0.0, 1e4, "Largest torque at the joint.",
                 motors.effort_nm, settle),
                ("no_load_speed", motors.no_load_rad_s[i], "rad/s", 1e-3, 1e4,
                 "Joint speed at which full drive gives no torque.", motors.no_load_rad_s, settle),
                ("lag_s", 0.0, "s", 0.0, 1.0,
                 "Time constant with which the motor's torque follows what it should be.", motors.lag_s, settle),
                ("dead_zone", 0.0, "N m", 0.0, 1e3,
                 "What is lost of every torque before it shows at the joint.", motors.dead_zone_nm, settle),
                ("ripple", 0.0, "N m", 0.0, 1e3,
                 "Amplitude of a cogging torque, a sine of the joint's position.", motors.ripple_nm, settle),
                ("ripple_cycles", motors.ripple_cycles[i], "", 0.0, 1e5,
                 "Periods of the ripple in a revolution of the joint.", motors.ripple_cycles, None),
                ("coulomb_friction", self._coulomb_nm[i], "N m", 0.0, 1e3,
                 "Dry friction: torque below which the joint sticks.", self._coulomb_nm, dry_friction),
                ("stiction", 0.0, "N m", 0.0, 1e3,
                 f"Dry friction on top of Coulomb's while the joint is slower than {AT_REST_RAD_S:g} rad/s.",
                 self._stiction_nm, dry_friction),
                ("stuck", 0.0, "", 0.0, 1.0, "From 0.5 on the joint is held where it is.", self._stuck, dry_friction),
                ("backlash", 0.0, "rad", 0.0, 1.0,
                 "Play between motor and joint: what the joint turns before motor and encoder notice.",
                 encoders.backlash_rad, encoders.settle),
                ("encoder_offset", 0.0, "rad", -math.pi, math.pi,
                 "Error of the joint's position, in what is read and in what the motor controller uses.",
                 encoders.offset_rad, encoders.settle),
            )  # fmt: skip
            for field, nominal, unit, low, high, doc, array, then in rows:
                spec = Parameter(nominal=float(nominal), unit=unit, low=low, high=high, doc=doc)
                add(f"{name}.{field}", spec, element(array, i, then))
            spec = Parameter(
                nominal=float(self._viscous_nms[i]), unit="N m s/rad", low=0.0, high=1e3,
                doc="Friction torque per joint speed.",
            )  # fmt: skip
            add(f"{name}.viscous_friction", spec, damping(i))
            lower, upper = self._stops_rad[i].tolist()
            at = float(self.default_pose[i])
            if math.isfinite(upper - lower):
                for side, nominal, low, high in (
                    (0, lower, lower - math.pi, at),
                    (1, upper, at, upper + math.pi),
                ):
                    field = ("lower", "upper")[side]
                    doc = f"Where the {field} stop of the joint is, on its side of the default pose."
                    spec = Parameter(nominal=nominal, unit="rad", low=low, high=high, doc=doc)
                    add(f"{name}.{field}_limit", spec, stop(i, side))

    def _register_sensors(self) -> None:
        """Register what ails the sensors beyond noise; the encoders are among the joints."""
        add, sensors = self.parameters.add, self._sensors

        def part_latency(index: int) -> Callable[[float], None]:
            return lambda value: sensors.more_s.__setitem__(index, value)

        spec = Parameter(
            nominal=0.0, unit="s", low=0.0, high=1.0,
            doc="Age of every proprioceptive reading, in whole physics ticks.",
        )  # fmt: skip
        add("sensor.latency_s", spec, lambda value: setattr(sensors, "latency_s", value))
        for i, part in enumerate(PARTS):
            name = part.removesuffix("_rad_s").removesuffix("_rad")
            spec = Parameter(
                nominal=0.0, unit="s", low=0.0, high=1.0,
                doc=f"Age of the {name.replace('_', ' ')} on top of sensor.latency_s, in whole physics ticks.",
            )  # fmt: skip
            add(f"{name}.latency_s", spec, part_latency(i))
        add(
            "joint_velocity.finite_difference",
            Parameter(
                nominal=0.0, unit="", low=0.0, high=1.0,
                doc="From 0.5 on the joint velocity read is the change of the joint position read, per control step.",
            ),
            lambda value: setattr(self, "_differentiated", value),
        )  # fmt: skip

        def turn(index: int) -> Callable[[float], None]:
            def set_angle(value: float) -> None:
                self._imu_rpy_rad[index] = value
                self._turn_imu()

            return set_angle

        for i, (name, axis) in enumerate(zip(("roll", "pitch", "yaw"), AXES, strict=True)):
            spec = Parameter(
                nominal=0.0, unit="rad", low=-math.pi, high=math.pi,
                doc=f"How the IMU is mounted askew: its {name}, about its {axis} axis.",
            )  # fmt: skip
            add(f"imu.{name}", spec, turn(i))

    def _register_inertials(self) -> None:
        """Register what reshapes the mass distribution; all of it acts at the next reset."""
        add, robot = self.parameters.add, self.robot

        def change(kind: str, name: str, nominal: float) -> Callable[[float], None]:
            """Note a factor on the nominal value for the next compilation."""

            def set_change(value: float) -> None:
                if value == nominal:
                    self._changes[kind].pop(name, None)
                else:
                    self._changes[kind][name] = value / nominal

            return set_change

        for link, inertial in robot.inertials.items():
            if inertial.mass_kg <= 0.0:
                continue
            mass_kg = float(inertial.mass_kg)
            add(
                f"{link}.mass",
                Parameter(
                    nominal=mass_kg, unit="kg", low=1e-3 * mass_kg, high=1e3 * mass_kg, live=False,
                    doc="Mass of the link; its inertia goes with it.",
                ),
                change("mass", link, mass_kg),
            )  # fmt: skip
            add(
                f"{link}.inertia",
                Parameter(
                    nominal=1.0, unit="", low=1e-3, high=1e3, live=False,
                    doc="Rotational inertia of the link, as a multiple of the nominal.",
                ),
                change("inertia", link, 1.0),
            )  # fmt: skip
            for axis, name in enumerate(AXES):
                add(
                    f"{link}.com_{name}",
                    Parameter(
                        nominal=0.0, unit="m", low=-1.0, high=1.0, live=False,
                        doc=f"Shift of the link's centre of mass along its {name} axis.",
                    ),
                    self._vector_change("com_m", link, axis),
                )  # fmt: skip
            self._register_shape(link)
        for joint in self.joint_names:
            armature = robot.joints[joint].armature_kgm2
            if armature > 0.0:
                add(
                    f"{joint}.armature",
                    Parameter(
                        nominal=armature, unit="kg m²", low=1e-3 * armature, high=1e2 * armature, live=False,
                        doc="Rotor inertia seen at the joint.",
                    ),
                    change("armature", joint, armature),
                )  # fmt: skip
        self._register_payload()

    def _register_shape(self, link: str) -> None:
        """Register how a link's mass is spread: with mass and com every possible inertia, and no impossible one."""

        def entry(row: int, column: int) -> Callable[[float], None]:
            def set_entry(value: float) -> None:
                rows = [list(of) for of in self._changes["shape"].get(link, IDENTITY)]
                rows[row][column] = value
                if rows == IDENTITY:
                    self._changes["shape"].pop(link, None)
                else:
                    self._changes["shape"][link] = rows

            return set_entry

        for i, axis in enumerate(AXES):
            spec = Parameter(
                nominal=1.0, unit="", low=0.05, high=20.0, live=False,
                doc=f"Stretches how the link's mass is spread about its centre along its {axis} axis, by a factor.",
            )  # fmt: skip
            self.parameters.add(f"{link}.stretch_{axis}", spec, entry(i, i))
        for i, j in ((0, 1), (0, 2), (1, 2)):
            one, other = AXES[i], AXES[j]
            spec = Parameter(
                nominal=0.0, unit="", low=-10.0, high=10.0, live=False,
                doc=f"Shears how the link's mass is spread: along {one} per distance along {other}.",
            )  # fmt: skip
            self.parameters.add(f"{link}.shear_{one}{other}", spec, entry(i, j))

    def _vector_change(self, kind: str, link: str, axis: int) -> Callable[[float], None]:
        def set_component(value: float) -> None:
            vector = list(self._changes[kind].get(link, (0.0, 0.0, 0.0)))
            vector[axis] = value
            if any(vector):
                self._changes[kind][link] = tuple(vector)
            else:
                self._changes[kind].pop(link, None)

        return set_component

    def _register_payload(self) -> None:
        add, robot = self.parameters.add, self.robot
        link = robot.payload_link
        self._payload = [0.0, 0.0, 0.0, 0.0]  # kg, then its offset from the link's centre of mass

        def component(index: int) -> Callable[[float], None]:
            def set_component(value: float) -> None:
                self._payload[index] = value
                mass_kg, *offset_m = self._payload
                if mass_kg == 0.0:
                    self._changes["payload"].pop(link, None)
                else:
                    at_m = robot.inertials[link].com_m + np.array(offset_m)
                    self._changes["payload"][link] = (mass_kg, tuple(at_m.tolist()))

            return set_component

        add(
            "payload.mass",
            Parameter(
                nominal=0.0, unit="kg", low=0.0, high=1e3, live=False,
                doc=f"A point mass carried by the {link}.",
            ),
            component(0),
        )  # fmt: skip
        for axis, name in enumerate(AXES):
            add(
                f"payload.{name}",
                Parameter(
                    nominal=0.0, unit="m", low=-2.0, high=2.0, live=False,
                    doc=f"Where the payload sits along the {link}'s {name} axis, from its centre of mass.",
                ),
                component(1 + axis),
            )  # fmt: skip

    def _register_wind(self) -> None:
        add = self.parameters.add

        def set_area(value: float) -> None:
            self._drag_area_m2 = value
            self._wrenches.pop("", None)

        spec = Parameter(
            nominal=0.0, unit="m²", low=0.0, high=10.0,
            doc="Drag coefficient times frontal area of the robot; 0 is a world without air.",
        )  # fmt: skip
        add("air.drag_area", spec, set_area)

        def blow(axis: int) -> Callable[[float], None]:
            return lambda value: self._wind_m_s.__setitem__(axis, value)

        for axis, name in enumerate(AXES):
            spec = Parameter(
                nominal=0.0, unit="m/s", low=-100.0, high=100.0,
                doc=f"Wind along world {name}, where air.drag_area is above 0.",
            )  # fmt: skip
            add(f"wind.speed_{name}", spec, blow(axis))

    def _register_pushes(self) -> None:
        add = self.parameters.add

        def kick(axis: int, angular: bool) -> Callable[[float], None]:
            def add_velocity(value: float) -> None:
                velocity = [0.0, 0.0, 0.0]
                velocity[axis] = value
                still = (0.0, 0.0, 0.0)
                self.engine.add_base_velocity(*((still, velocity) if angular else (velocity, still)))

            return add_velocity

        for axis, name in enumerate(AXES):
            add(
                f"base.velocity_{name}",
                Parameter(
                    nominal=0.0, unit="m/s", low=-100.0, high=100.0, transient=True,
                    doc=f"A kick: added at once to the whole robot's velocity along world {name}.",
                ),
                kick(axis, angular=False),
            )  # fmt: skip
            add(
                f"base.angular_velocity_{name}",
                Parameter(
                    nominal=0.0, unit="rad/s", low=-100.0, high=100.0, transient=True,
                    doc=f"A twist: added at once to the base's angular velocity about world {name}.",
                ),
                kick(axis, angular=True),
            )  # fmt: skip

        def wrench(link: str, component: int) -> Callable[[float], None]:
            def set_component(value: float) -> None:
                wrench = self._wrenches.setdefault(link, [0.0] * 6)
                wrench[component] = value
                if not any(wrench):
                    del self._wrenches[link]

            return set_component

        kinds = (
            ("force", "N", 1e5, "A force on the link's centre of mass along"),
            ("torque", "N m", 1e4, "A torque on the link about"),
        )
        for link, inertial in self.robot.inertials.items():
            merged, origin_m, rotation = self._nominal.frame_of[link]
            self._centres[link] = (self.link_index[merged], (origin_m + rotation @ inertial.com_m).tolist())
            for kind, (field, unit, most, doc) in enumerate(kinds):
                for axis, name in enumerate(AXES):
                    spec = Parameter(
                        nominal=0.0, unit=unit, low=-most, high=most,
                        doc=f"{doc} world {name}, until changed.",
                    )  # fmt: skip
                    add(f"{link}.{field}_{name}", spec, wrench(link, 3 * kind + axis))

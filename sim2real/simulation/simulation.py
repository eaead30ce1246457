"""One robot in one engine: control steps, resets, readings, and the parameters of all of it.

command ─► Actuators ─► engine ─► (true state) ─► SensorBuffer ─► reading
               ▲           ▲                            ▲
               └───────────┴──── parameters ────────────┘
"""

import math
from collections.abc import Callable, Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from sim2real.actuators import Actuators
from sim2real.errors import Sim2RealError
from sim2real.linktree import Inertial
from sim2real.perturb.parameters import Parameter
from sim2real.robots import Changes, Compiled, Robot
from sim2real.sensors import Reading, SensorBuffer, Vector, into_body, rotation_rows
from sim2real.simulation.table import ParameterTable

Array = NDArray[np.float64]
GRAVITY_M_S2 = 9.81
AXES = ("x", "y", "z")


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
        self._gravity_z_m_s2, self._slope_rad, self._slope_direction_rad = -GRAVITY_M_S2, 0.0, 0.0
        self._ground: dict[str, float] = {"friction": 1.0, "restitution": 0.0}
        self._forces_n: dict[str, list[float]] = {}  # per link, while not zero
        self._centres: dict[
            str, tuple[int, list[float]]
        ] = {}  # per link: merged link, centre of mass in its frame
        self._changes: dict[str, dict[str, Any]] = {
            kind: {} for kind in ("mass", "com_m", "inertia", "payload", "armature")
        }
        self._applied_changes: dict[str, dict[str, Any]] = {}
        self.engine = BulletEngine(physics_period_s, gui=gui)
        self._load(self._nominal)
        self._axes = {link: self.engine.principal_axes(i) for link, i in self.link_index.items()}
        self._imu_in_base = self._find_imu()
        self.feet = [self.link_index[self._nominal.link_of[foot]] for foot in robot.feet]
        self.parameters = ParameterTable()
        self._register_parameters()
        self.reset()

    # ---- episodes -----------------------------------------------------------------------------------------

    def reset(
        self,
        joint_offset_rad: Array | None = None,
        velocity_m_s: tuple[float, float] = (0.0, 0.0),
    ) -> None:
        """Stand the robot in its default pose, with the inertial parameters that are set by now.

        Args:
            joint_offset_rad: (n,) added to the default pose; the soles stay at their height only for small ones.
            velocity_m_s: horizontal velocity to start with, along x and y of the world.
        """
        self._apply_inertial_changes()
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
        self.actuators.reset(np.zeros_like(hold) if self.actuators.commands_torque else hold)
        self._observe()
        self._sensors.reset(self._read())
        self.reading = self._sensors.read()

    def step(self, command: Array) -> None:
        """Advance one control period under a command (n,)."""
        engine, actuators, sensors = self.engine, self.actuators, self._sensors
        actuators.command(command)
        period = self.physics_period_s
        buffered = sensors.active
        position, velocity = self.joint_position_rad, self.joint_velocity_rad_s
        for _ in range(self.ticks):
            torque = actuators.torque(position, velocity)
            if self._forces_n:
                self._push()
            engine.tick(torque.tolist())
            position, velocity = engine.joint_state()
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
        if buffered:
            self.reading = sensors.read()
        else:
            self.reading = self._read()
            sensors.reset(self.reading)

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
        return Reading(
            gyro_rad_s=gyro,
            projected_gravity=gravity,
            joint_position_rad=self.joint_position_rad,
            joint_velocity_rad_s=self.joint_velocity_rad_s,
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
        self.engine.set_joint_friction(self._coulomb_nm)
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
        for link, force_n in self._forces_n.items():
            merged, point_m = self._centres[link]
            self.engine.apply_force(merged, force_n, point_m)

    def _apply_inertial_changes(self) -> None:
        """Give the engine the mass distribution that the parameters ask for.

        In place where the engine can (masses, and inertias about unchanged axes); by building the world anew from
        a recompiled description where it cannot. Which of the two depends on the wanted values alone, never on
        what was simulated before: the same parameters give the same bits.
        """
        changes = {kind: dict(of_kind) for kind, of_kind in self._changes.items() if of_kind}
        if changes == self._applied_changes:
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
            if self._loaded is nominal:
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
        self._register_inertials()
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
        add, motors = self.parameters.add, self.actuators

        def attribute(owner: object, field: str) -> Callable[[float], None]:
            return lambda value: setattr(owner, field, value)

        rows: tuple[tuple[str, object, str], ...] = (
            ("actuator", motors, "Time from a command to its effect on the motors, in whole physics ticks."),
            ("sensor", self._sensors, "Age of every proprioceptive reading, in whole physics ticks."),
        )
        for part, owner, doc in rows:
            spec = Parameter(nominal=0.0, unit="s", low=0.0, high=1.0, doc=doc)
            add(f"{part}.latency_s", spec, attribute(owner, "latency_s"))

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

        def dry_friction() -> None:
            self.engine.set_joint_friction(self._coulomb_nm)

        for i, name in enumerate(self.joint_names):
            gains_and_limits = (
                ("strength", 1.0, "", 0.0, 10.0, "Torque delivered per torque asked for.", motors.strength, None),
                ("kp", motors.kp[i], "N m/rad", 0.0, 1e5, "Proportional gain of the motor controller.",
                 motors.kp, None),
                ("kd", motors.kd[i], "N m s/rad", 0.0, 1e4, "Derivative gain of the motor controller.",
                 motors.kd, None),
                ("effort_limit", motors.effort_nm[i], "N m", 0.0, 1e4, "Largest torque at the joint.",
                 motors.effort_nm, None),
                ("no_load_speed", motors.no_load_rad_s[i], "rad/s", 1e-3, 1e4,
                 "Joint speed at which full drive gives no torque.", motors.no_load_rad_s, motors.settle),
                ("coulomb_friction", self._coulomb_nm[i], "N m", 0.0, 1e3,
                 "Dry friction: torque below which the joint sticks.", self._coulomb_nm, dry_friction),
            )  # fmt: skip
            for field, nominal, unit, low, high, doc, array, then in gains_and_limits:
                spec = Parameter(nominal=float(nominal), unit=unit, low=low, high=high, doc=doc)
                add(f"{name}.{field}", spec, element(array, i, then))
            spec = Parameter(
                nominal=float(self._viscous_nms[i]), unit="N m s/rad", low=0.0, high=1e3,
                doc="Friction torque per joint speed.",
            )  # fmt: skip
            add(f"{name}.viscous_friction", spec, damping(i))

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

        def force(link: str, axis: int) -> Callable[[float], None]:
            def set_force(value: float) -> None:
                force_n = self._forces_n.setdefault(link, [0.0, 0.0, 0.0])
                force_n[axis] = value
                if not any(force_n):
                    del self._forces_n[link]

            return set_force

        for link, inertial in self.robot.inertials.items():
            merged, origin_m, rotation = self._nominal.frame_of[link]
            self._centres[link] = (self.link_index[merged], (origin_m + rotation @ inertial.com_m).tolist())
            for axis, name in enumerate(AXES):
                add(
                    f"{link}.force_{name}",
                    Parameter(
                        nominal=0.0, unit="N", low=-1e5, high=1e5,
                        doc=f"A force on the link's centre of mass along world {name}, until changed.",
                    ),
                    force(link, axis),
                )  # fmt: skip

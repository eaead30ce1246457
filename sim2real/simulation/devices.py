"""The parameters of motors and sensors: names and meanings for what `actuators` and `sensors` hold."""

import math
from collections.abc import Sequence

from sim2real.actuators import Actuators
from sim2real.perturb.parameters import Parameter
from sim2real.sensors import PARTS, Encoders, Imu, SensorBuffer
from sim2real.simulation.inertials import AXES
from sim2real.simulation.setters import attribute, element
from sim2real.simulation.table import ParameterTable


def register_motors(table: ParameterTable, motors: Actuators, joint_names: Sequence[str]) -> None:
    """Register what all motors have in common, and what each has of its own."""
    settle = motors.settle
    common = (
        ("actuator.latency_s", "latency_s", 0.0, "s", 0.0, 1.0,
         "Time from a command to its effect on the motors, in whole physics ticks.", None),
        ("actuator.jitter_s", "jitter_s", 0.0, "s", 0.0, 1.0,
         "Largest extra latency of a command, uniform and drawn anew for each.", None),
        ("actuator.loss", "loss", 0.0, "", 0.0, 1.0,
         "Probability that a command is lost; the motors then go on with the one before.", None),
        ("actuator.torque_noise", "torque_noise", 0.0, "", 0.0, 10.0,
         "Half width of a uniform random torque, new in every physics tick, as a fraction of the effort limit.",
         settle),
        ("actuator.continuous_torque", "continuous", 1.0, "", 0.01, 1.0,
         "Torque that a motor can give for ever, as a fraction of the effort limit; heat takes it there.", settle),
        ("actuator.thermal_time_s", "thermal_time_s", 60.0, "s", 0.1, 1e5,
         "Time constant with which a motor heats up and cools down, where continuous_torque is below 1.", settle),
        ("battery.voltage", "supply", 1.0, "", 0.01, 2.0,
         "Voltage of the idle battery, as a fraction of the nominal: no-load speed and stall torque go with it.",
         settle),
        ("battery.sag", "sag_per_w", 0.0, "1/W", 0.0, 1.0,
         "Fraction of the voltage lost per mechanical power drawn, while small: R/V² of the battery.", settle),
    )  # fmt: skip
    for name, field, nominal, unit, low, high, doc, then in common:
        spec = Parameter(nominal=nominal, unit=unit, low=low, high=high, doc=doc)
        table.add(name, spec, attribute(motors, field, then))
    each = (
        ("strength", motors.strength, "", 0.0, 10.0, "Torque delivered per torque asked for.", motors.tuned),
        ("kp", motors.kp, "N m/rad", 0.0, 1e5, "Proportional gain of the motor controller.", motors.tuned),
        ("kd", motors.kd, "N m s/rad", 0.0, 1e4, "Derivative gain of the motor controller.", motors.tuned),
        ("effort_limit", motors.effort_nm, "N m", 0.0, 1e4, "Largest torque at the joint.", settle),
        ("no_load_speed", motors.no_load_rad_s, "rad/s", 1e-3, 1e4,
         "Joint speed at which full drive gives no torque.", settle),
        ("lag_s", motors.lag_s, "s", 0.0, 1.0,
         "Time constant with which the motor's torque follows what it should be.", settle),
        ("dead_zone", motors.dead_zone_nm, "N m", 0.0, 1e3,
         "What is lost of every torque before it shows at the joint.", settle),
        ("ripple", motors.ripple_nm, "N m", 0.0, 1e3,
         "Amplitude of a cogging torque, a sine of the joint's position.", settle),
        ("ripple_cycles", motors.ripple_cycles, "", 0.0, 1e5,
         "Periods of the ripple in a revolution of the joint.", None),
    )  # fmt: skip
    for i, joint in enumerate(joint_names):
        for field, values, unit, low, high, doc, then in each:
            spec = Parameter(nominal=float(values[i]), unit=unit, low=low, high=high, doc=doc)
            table.add(f"{joint}.{field}", spec, element(values, i, then))


def register_sensors(
    table: ParameterTable, buffer: SensorBuffer, encoders: Encoders, imu: Imu, joint_names: Sequence[str]
) -> None:
    """Register what ails the sensors beyond noise."""
    for i, joint in enumerate(joint_names):
        for field, values, low, high, doc in (
            ("backlash", encoders.backlash_rad, 0.0, 1.0,
             "Play between motor and joint: what the joint turns before motor and encoder notice."),
            ("encoder_offset", encoders.offset_rad, -math.pi, math.pi,
             "Error of the joint's position, in what is read and in what the motor controller uses."),
        ):  # fmt: skip
            spec = Parameter(nominal=0.0, unit="rad", low=low, high=high, doc=doc)
            table.add(f"{joint}.{field}", spec, element(values, i, encoders.settle))
    doc = "Age of every proprioceptive reading, in whole physics ticks."
    spec = Parameter(nominal=0.0, unit="s", low=0.0, high=1.0, doc=doc)
    table.add("sensor.latency_s", spec, attribute(buffer, "latency_s"))
    for i, part in enumerate(PARTS):
        name = part.removesuffix("_rad_s").removesuffix("_rad")
        doc = f"Age of the {name.replace('_', ' ')} on top of sensor.latency_s, in whole physics ticks."
        spec = Parameter(nominal=0.0, unit="s", low=0.0, high=1.0, doc=doc)
        table.add(f"{name}.latency_s", spec, element(buffer.more_s, i))
    doc = "From 0.5 on the joint velocity read is the change of the joint position read, per control step."
    spec = Parameter(nominal=0.0, unit="", low=0.0, high=1.0, doc=doc)
    table.add("joint_velocity.finite_difference", spec, attribute(encoders, "differentiated"))
    for i, (name, axis) in enumerate(zip(("roll", "pitch", "yaw"), AXES, strict=True)):
        doc = f"How the IMU is mounted askew: its {name}, about its {axis} axis."
        spec = Parameter(nominal=0.0, unit="rad", low=-math.pi, high=math.pi, doc=doc)
        table.add(f"imu.{name}", spec, element(imu.askew_rpy_rad, i, imu.settle))

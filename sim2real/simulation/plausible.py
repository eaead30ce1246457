"""What a real robot, or the laboratory it stands in, may show of every parameter, and who says so.

The first row whose pattern matches a parameter's name gives its plausible range: where the value can lie
("is"), what its nominal value can be multiplied by ("times"), or what can be added to it ("plus"), in the
parameter's own unit. A range never leaves the parameter's bounds, and it reaches as far as the nominal value, which
is what somebody set up or measured. Where no framework, paper or standard gives a number, the row says that it
is engineering judgement, and what the judgement rests on. These are ranges to randomise and to test over, no
limits.
"""

import math
from dataclasses import replace
from fnmatch import fnmatchcase
from functools import cache
from typing import Literal, NamedTuple

from sim2real.perturb.parameters import Parameter, globs


class Range(NamedTuple):
    """The plausible range of all parameters that a pattern means."""

    pattern: str
    how: Literal["is", "times", "plus"]
    low: float
    high: float
    source: str


JUDGED = "Engineering judgement: "
ANYWHERE = "Geometry: it can point anywhere."

RANGES = (
    # The ground and the world.
    Range("ground.friction", "is", 0.1, 1.25, "unitreerobotics/unitree_rl_gym, G1."),
    Range("ground.restitution", "is", 0.0, 0.4, "Improbable-AI/walk-these-ways, scripts/train.py."),
    Range("ground.rolling_friction", "is", 0.0, 0.005, "mujocolab/mjlab, fingertips of its lift task."),
    Range("ground.spinning_friction", "is", 0.0, 0.02, "mujocolab/mjlab, fingertips of its lift task."),
    Range("ground.compliance", "is", 0.0, 1e-4, JUDGED + "from concrete to a foam mat of 10 kN/m per point."),
    Range("ground.damping", "is", 0.0, 1e3, JUDGED + "twice the critical damping of a foam mat under 35 kg."),
    Range("ground.slope", "is", -0.083, 0.083, "ADA Standards (2010) 405.2: ramps rise 1 in 12 at most."),
    Range("gravity.z", "is", -9.833, -9.780, "WGS 84: normal gravity from the equator to the poles."),
    Range("terrain.roughness", "is", 0.0, 0.1, "isaac-sim/IsaacLab, terrains/config/rough.py."),
    Range("terrain.step_height", "is", 0.0, 0.178, "International Building Code 1011.5.2: risers of 7 inches."),
    Range("terrain.step_length", "is", 0.279, 0.5, "International Building Code 1011.5.2: treads from 11 inches."),
    Range("solver.*", "times", 0.5, 2.0, JUDGED + "half or twice the effort should not change the physics."),
    Range("air.drag_area", "is", 0.0, 0.8, JUDGED + "a standing adult has about 0.8 m²."),
    Range("wind.speed_z", "is", -1.0, 1.0, JUDGED + "wind near the ground is level."),
    Range("wind.speed_*", "is", -7.9, 7.9, "Beaufort scale: up to force 4, a moderate breeze."),
    # Motors.
    Range("actuator.latency_s", "is", 0.0, 0.04, "LeCAR-Lab/ASAP: up to 2 control steps of 20 ms."),
    Range("actuator.jitter_s", "is", 0.0, 0.01, JUDGED + "half a control step at 50 Hz."),
    Range("actuator.loss", "is", 0.0, 0.05, JUDGED + "a congested bus; a healthy one loses far less."),
    Range("actuator.torque_noise", "is", 0.0, 0.15, "LeCAR-Lab/ASAP: 0.1 of the limit, itself times up to 1.5."),
    Range("actuator.continuous_torque", "is", 0.3, 1.0, JUDGED + "rated over peak torque of geared servo motors."),
    Range("actuator.thermal_time_s", "is", 20.0, 600.0, JUDGED + "from a motor's winding to its housing."),
    Range("battery.voltage", "is", 0.83, 1.17, "Lithium-ion cells: 3.0 to 4.2 V about the nominal 3.6 V."),
    Range("battery.sag", "is", 0.0, 1e-4, JUDGED + "0.2 ohm of cells and wires behind 47 V."),
    Range("*.strength", "is", 0.8, 1.2, "zixuan417/smooth-humanoid-locomotion (LCP), G1."),
    Range("*.{kp,kd}", "times", 0.75, 1.25, "LeCAR-Lab/ASAP and NVlabs/HOVER."),
    Range("*.effort_limit", "times", 0.8, 1.2, JUDGED + "what data sheets call peak torque."),
    Range("*.no_load_speed", "times", 0.83, 1.17, "It goes with the voltage of lithium-ion cells, 3.0 to 4.2 V."),
    Range("*.lag_s", "is", 0.0, 0.008, JUDGED + "torque bandwidths from 20 Hz."),
    Range("*.{dead_zone,coulomb_friction}", "is", 0.0, 2.0, "BoosterRobotics/booster_gym, T1."),
    Range("*.stiction", "is", 0.0, 1.0, JUDGED + "half of the largest Coulomb friction on top."),
    Range("*.viscous_friction", "is", 0.0, 1.0, JUDGED + "the low end of what PACE searches, 0 to 7."),
    Range("*.ripple", "is", 0.0, 1.0, JUDGED + "about a hundredth of the peak torque of a leg motor."),
    Range("*.ripple_cycles", "times", 0.25, 4.0, JUDGED + "slots and gear ratios of common motors."),
    Range("*.armature", "times", 0.8, 1.25, JUDGED + "as well known as other inertias."),
    # Joints.
    Range("*.stuck", "is", 0.0, 1.0, JUDGED + "joints do seize."),
    Range("*.backlash", "is", 0.0, 0.009, JUDGED + "planetary gears are sold with up to 30 arc minutes."),
    Range("*.encoder_offset", "is", -0.05, 0.05, "google-deepmind/mujoco_playground, G1."),
    Range("*.{lower,upper}_limit", "plus", -0.05, 0.05, JUDGED + "stops are known as well as encoders are set."),
    # Sensors.
    Range("sensor.latency_s", "is", 0.0, 0.05, "Haarnoja et al. 2023, arXiv:2304.13653: 10 to 50 ms."),
    Range("pose_estimate.latency_s", "is", 0.0, 0.06, "google-deepmind/mujoco_playground, push: to 12 steps of 5 ms."),
    Range("*.latency_s", "is", 0.0, 0.02, JUDGED + "sensors of one robot differ by a control step at 50 Hz."),
    Range("joint_velocity.finite_difference", "is", 0.0, 1.0, JUDGED + "both kinds of drives are common."),
    Range("imu.*", "is", -0.035, 0.035, "Haarnoja et al. 2023, arXiv:2304.13653: 2 degrees."),
    # Masses and lengths of the robot, and of what it handles.
    Range("payload.mass", "is", 0.0, 3.0, "unitreerobotics/unitree_rl_gym, G1: up to 3 kg more on the base."),
    Range("payload.?", "is", -0.2, 0.2, JUDGED + "a load in the arms or on the back."),
    Range("object*.mass", "times", 0.2, 2.0, "isaac-sim/IsaacLab, dexsuite."),
    Range("object*.size*", "times", 0.75, 1.5, "isaac-sim/IsaacLab, dexsuite."),
    Range("object*.friction", "is", 0.5, 1.0, "isaac-sim/IsaacLab, dexsuite."),
    Range("object*.restitution", "is", 0.0, 0.4, JUDGED + "between a beanbag and hard plastic."),
    Range("object*.com_?", "is", -0.005, 0.005, "google-deepmind/mujoco_playground, LEAP hand."),
    Range("object*.x", "plus", -0.1, 0.1, "isaac-sim/IsaacLab, lift task."),
    Range("object*.y", "plus", -0.25, 0.25, "isaac-sim/IsaacLab, lift task."),
    Range("object.rolling_friction", "is", 0.0, 0.005, "mujocolab/mjlab, fingertips of its lift task."),
    Range("object.shape", "is", 0.0, 100.0, "Any of the shapes there are."),
    Range("initial.object_x", "is", 0.0, 0.1, "isaac-sim/IsaacLab, lift task."),
    Range("initial.object_y", "is", 0.0, 0.25, "isaac-sim/IsaacLab, lift task."),
    Range("initial.object_yaw", "is", 0.0, math.pi, "isaac-sim/IsaacLab, dexsuite: any rotation."),
    Range("pose_estimate.noise", "is", 0.0, 0.015, "google-deepmind/mujoco_playground, push: 15 mm."),
    Range("pose_estimate.offset_?", "is", -0.005, 0.005, "isaac-sim/IsaacLab, deployed gear assembly: 5 mm."),
    Range("pose_estimate.yaw", "is", -0.131, 0.131, "google-deepmind/mujoco_playground, push: 7.5 degrees."),
    Range("hand.{compliance,damping}", "times", 0.3, 3.0, JUDGED + "from hard to soft rubber."),
    Range("hand.spinning_friction", "is", 1e-4, 0.02, "mujocolab/mjlab, fingertips of its lift task."),
    Range("hole.clearance", "times", 0.25, 2.5, JUDGED + "from a snug fit to a loose one."),
    Range("table.height", "plus", -0.05, 0.05, "isaac-sim/IsaacLab, dexsuite."),
    Range("table.friction", "times", 0.5, 1.5, JUDGED + "wood, plastic and cloth."),
    Range("thrown.mass", "is", 0.056, 0.62, "Rules of play: from a tennis ball (ITF) to a basketball (FIBA)."),
    Range("*.mass", "times", 0.8, 1.2, "LeCAR-Lab/ASAP."),
    Range("*.inertia", "times", 0.8, 1.25, JUDGED + "as well known as masses."),
    Range("*.com_?", "is", -0.05, 0.05, "amazon-far/holosoma, G1."),
    Range("*.stretch_?", "is", 0.9, 1.1, JUDGED + "what drawings leave out is some of the mass."),
    Range("*.shear_??", "is", -0.05, 0.05, JUDGED + "principal axes known to 3 degrees."),
    Range("*.length", "times", 0.98, 1.02, JUDGED + "machined links, and how well they are measured."),
    # What comes from outside.
    Range("base.velocity_z", "is", -0.4, 0.4, "mujocolab/mjlab, velocity task of the G1."),
    Range("base.velocity_?", "is", -1.0, 1.0, "LeCAR-Lab/ASAP and leggedrobotics/legged_gym."),
    Range("base.angular_velocity_z", "is", -0.78, 0.78, "mujocolab/mjlab, velocity task of the G1."),
    Range("base.angular_velocity_?", "is", -0.52, 0.52, "mujocolab/mjlab, velocity task of the G1."),
    Range("thrown.speed", "is", 0.0, 10.0, JUDGED + "thrown by hand, in play."),
    Range("thrown.radius", "is", 0.0327, 0.1225, "Rules of play: from a tennis ball (ITF) to a basketball (FIBA)."),
    Range("{thrown.direction,ground.slope_direction,object*.yaw}", "is", -math.pi, math.pi, ANYWHERE),
    Range("*.force_?", "is", -30.0, 30.0, "BoosterRobotics/booster_gym, T1: three standard deviations of 10 N."),
    Range("*.torque_?", "is", -6.0, 6.0, "BoosterRobotics/booster_gym, T1: three standard deviations of 2 N m."),
    # What is asked for, and how it starts.
    Range("command.velocity_x", "is", -1.0, 1.0, "google-deepmind/mujoco_playground, G1."),
    Range("command.velocity_y", "is", -0.5, 0.5, "google-deepmind/mujoco_playground, G1."),
    Range("command.yaw_rate", "is", -1.0, 1.0, "google-deepmind/mujoco_playground, G1."),
    Range("initial.joint_noise", "is", 0.0, 0.2, "isaac-sim/IsaacLab, velocity task of Spot."),
    Range("initial.velocity_noise", "is", 0.0, 0.5, "isaac-sim/IsaacLab, velocity task."),
)  # fmt: skip


def described(name: str, spec: Parameter) -> Parameter:
    """Return a parameter with its plausible range and the source of it; as it is if it has one, or no row fits."""
    row = _row(name)
    if spec.plausible is not None or row is None:
        return spec
    nominal = spec.nominal
    ends = {
        "is": (row.low, row.high),
        "times": (nominal * row.low, nominal * row.high),
        "plus": (nominal + row.low, nominal + row.high),
    }[row.how]
    least, most = max(spec.low, min(*ends, nominal)), min(spec.high, max(*ends, nominal))
    return replace(spec, plausible=(least, most), source=row.source)


@cache
def _row(name: str) -> Range | None:
    return next((row for row in RANGES if any(fnmatchcase(name, one) for one in globs(row.pattern))), None)

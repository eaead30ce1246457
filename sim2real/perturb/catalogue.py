"""The catalogue: perturbations by the name a roboticist would look for.

A size is a number or a distribution. The parameters are those of sim2real's own environments; elsewhere,
`sim2real.wrappers.Attributes` gives such names to what an environment has.
"""

from collections.abc import Iterable
from dataclasses import replace
from typing import Literal

from sim2real.perturb.amounts import Amount, Drift, Interval, Normal, Uniform
from sim2real.perturb.condition import Make
from sim2real.perturb.joint import Column
from sim2real.perturb.parameters import NO_GROUPS, Groups, Parameters, matching
from sim2real.perturb.perturbation import (
    Every,
    Perturbation,
    Size,
    add,
    clip,
    delay,
    hold,
    quantize,
    scale,
    set_to,
)
from sim2real.perturb.schedules import Sine

Axis = Literal["x", "y", "z"]

PUSHES = Interval(5.0, 10.0)
"""The waits between pushes of mujoco_playground's humanoid training."""
SHOVES = Interval(5.0, 10.0, lasting_s=0.2)


def sensor_noise(term: str, std: float) -> Perturbation:
    """Readings of a term ("*": of all) off by a new normal amount each time, in the term's unit."""
    return add(_part("observation", term), Normal(0, std))


def sensor_bias(term: str, std: float) -> Perturbation:
    """Readings of a term off by a normal amount that stays for the episode: a calibration error."""
    return add(_part("observation", term), Normal(0, std), every="episode")


def sensor_drift(term: str, std: float, timescale_s: float) -> Perturbation:
    """Readings of a term off by an amount that wanders, starting at 0: a gyro warming up."""
    return add(_part("observation", term), Drift(std, timescale_s))


def sensor_delay(term: str, steps: Size, *, every: Every = "episode") -> Perturbation:
    """Readings of a term late by whole control steps; with ``every="step"`` they jitter."""
    return delay(_part("observation", term), steps, every=every)


def sensor_latency(latency_s: Size) -> Perturbation:
    """All sensors late by some seconds, at physics resolution."""
    return set_to("parameter:sensor.latency_s", latency_s)


def packet_loss(probability: Size, term: str = "*") -> Perturbation:
    """Readings lost on the way, each with a probability; the last one is seen again."""
    return hold(_part("observation", term), probability)


def encoder_resolution(step: Size, term: str = "joint_position") -> Perturbation:
    """Readings rounded to multiples of a step in the term's unit: 2π/4096 rad for an encoder of 12 bits."""
    return quantize(_part("observation", term), step)


def action_noise(std: float, name: str = "*") -> Perturbation:
    """Actions off by a new normal amount each time, in the action's unit."""
    return add(_part("action", name), Normal(0, std))


def action_delay(steps: Size, name: str = "*", *, every: Every = "episode") -> Perturbation:
    """Actions carried out late by whole control steps; with ``every="step"`` they jitter."""
    return delay(_part("action", name), steps, every=every)


def saturation(limit: Size, name: str = "*") -> Perturbation:
    """Actions cut off at ± a limit in the action's unit."""
    return clip(_part("action", name), limit)


def latency(latency_s: Size) -> Perturbation:
    """Commands that reach the motors some seconds late, at physics resolution."""
    return set_to("parameter:actuator.latency_s", latency_s)


def motor_strength(factor: Size, joints: str = "*") -> Perturbation:
    """Motors that give a part of the torque they are told to; ``joints`` is a name or a pattern."""
    return scale(f"parameter:{joints}.strength", factor)


def stiffness(factor: Size, joints: str = "*") -> Perturbation:
    """Position gains times a factor."""
    return scale(f"parameter:{joints}.kp", factor)


def damping(factor: Size, joints: str = "*") -> Perturbation:
    """Velocity gains times a factor."""
    return scale(f"parameter:{joints}.kd", factor)


def joint_friction(
    factor: Size, joints: str = "*", kind: Literal["coulomb", "viscous"] = "coulomb"
) -> Perturbation:
    """Friction in the joints times a factor."""
    return scale(f"parameter:{joints}.{kind}_friction", factor)


def friction(coefficient: Size) -> Perturbation:
    """Another coefficient of friction of the ground."""
    return set_to("parameter:ground.friction", coefficient)


def restitution(coefficient: Size) -> Perturbation:
    """Another coefficient of restitution of the ground: 0 swallows every impact, 1 gives it all back."""
    return set_to("parameter:ground.restitution", coefficient)


def slope(angle_rad: Size) -> Perturbation:
    """Ground inclined by an angle in rad; positive is downhill."""
    return set_to("parameter:ground.slope", angle_rad)


def gravity(factor: Size) -> Perturbation:
    """Gravity times a factor."""
    return scale("parameter:gravity.z", factor)


def mass(factor: Size, link: str = "*") -> Perturbation:
    """Link masses times a factor; ``link`` is a name or a pattern."""
    return scale(f"parameter:{link}.mass", factor)


def payload(mass_kg: Size) -> Perturbation:
    """Something to carry that weighs some kg."""
    return set_to("parameter:payload.mass", mass_kg)


def center_of_mass(offset_m: Size, link: str = "torso", axis: Axis = "x") -> Perturbation:
    """A link's centre of mass moved along one of its axes, in m."""
    return add(f"parameter:{link}.com_{axis}", offset_m)


def push(speed: Size, axis: Axis = "y", *, every: Every = PUSHES) -> Perturbation:
    """A kick to the base's velocity, in m/s; a number stands for anything up to it, either way."""
    return add(f"parameter:base.velocity_{axis}", _either_way(speed), every=every)


def shove(force: Size, link: str = "torso", axis: Axis = "y", *, every: Every = SHOVES) -> Perturbation:
    """A force on a link for a moment, in N; a number stands for anything up to it, either way."""
    return add(f"parameter:{link}.force_{axis}", _either_way(force), every=every)


def jitter(jitter_s: Size) -> Perturbation:
    """Every command late by another extra time of up to some seconds."""
    return set_to("parameter:actuator.jitter_s", jitter_s)


def command_loss(probability: Size) -> Perturbation:
    """Commands lost on the way, each with a probability; the motors go on with the last one."""
    return set_to("parameter:actuator.loss", probability)


def motor_lag(lag_s: Size, joints: str = "*") -> Perturbation:
    """Torque that follows what is asked with a time constant, in seconds."""
    return set_to(f"parameter:{joints}.lag_s", lag_s)


def dead_zone(torque: Size, joints: str = "*") -> Perturbation:
    """Some N m lost of every torque before it shows at the joint."""
    return set_to(f"parameter:{joints}.dead_zone", torque)


def backlash(angle_rad: Size, joints: str = "*") -> Perturbation:
    """Play between motor and joint, in rad."""
    return set_to(f"parameter:{joints}.backlash", angle_rad)


def dry_friction(torque: Size, joints: str = "*") -> Perturbation:
    """Coulomb friction in the joints, in N m."""
    return set_to(f"parameter:{joints}.coulomb_friction", torque)


def stiction(torque: Size, joints: str = "*") -> Perturbation:
    """Dry friction on top of Coulomb's while a joint rests, in N m."""
    return set_to(f"parameter:{joints}.stiction", torque)


def torque_ripple(torque: Size, joints: str = "*") -> Perturbation:
    """Cogging: a torque that is a sine of the joint's angle, by its amplitude in N m."""
    return set_to(f"parameter:{joints}.ripple", torque)


def torque_noise(fraction: Size) -> Perturbation:
    """Random torques in every physics tick, up to a fraction of the effort limit."""
    return set_to("parameter:actuator.torque_noise", fraction)


def overheating(fraction: Size) -> Perturbation:
    """Motors whose torque fades, as they heat up, towards a fraction of the effort limit."""
    return set_to("parameter:actuator.continuous_torque", fraction)


def low_battery(voltage: Size) -> Perturbation:
    """A battery at a fraction of its voltage: less torque at speed, and a lower top speed."""
    return set_to("parameter:battery.voltage", voltage)


def dead_motor(joint: str) -> Perturbation:
    """A motor that gives no torque at all."""
    return scale(f"parameter:{joint}.strength", 0.0)


def stuck_joint(joint: str) -> Perturbation:
    """A joint that is held where it is."""
    return set_to(f"parameter:{joint}.stuck", 1.0)


def encoder_offset(angle_rad: Size, joints: str = "*") -> Perturbation:
    """Joint zeros off by an angle in rad, for what is read and for the motors' controllers alike."""
    return add(f"parameter:{joints}.encoder_offset", angle_rad)


def imu_misalignment(angle_rad: Size, axis: Literal["roll", "pitch", "yaw"] = "pitch") -> Perturbation:
    """An IMU mounted askew by an angle in rad."""
    return add(f"parameter:imu.{axis}", angle_rad)


def sensor_gain(term: str, factor: Size) -> Perturbation:
    """Readings of a term times a factor: a scale error."""
    return scale(_part("observation", term), factor)


def sensor_range(term: str, limit: Size) -> Perturbation:
    """Readings of a term cut off at ± a limit in the term's unit: a sensor that saturates."""
    return clip(_part("observation", term), limit)


def differentiated_velocity() -> Perturbation:
    """Joint velocities from the change of the joint positions read, as drives without a tachometer give them."""
    return set_to("parameter:joint_velocity.finite_difference", 1.0)


def torque_limit(factor: Size, joints: str = "*") -> Perturbation:
    """Largest torque of the motors times a factor."""
    return scale(f"parameter:{joints}.effort_limit", factor)


def speed_limit(factor: Size, joints: str = "*") -> Perturbation:
    """No-load speed of the motors times a factor: where their torque-speed curves end."""
    return scale(f"parameter:{joints}.no_load_speed", factor)


def battery_sag(fraction: Size) -> Perturbation:
    """A battery that loses a fraction of its voltage for each watt drawn."""
    return set_to("parameter:battery.sag", fraction)


def armature(factor: Size, joints: str = "*") -> Perturbation:
    """Rotor inertia of the motors, as their joints feel it, times a factor."""
    return scale(f"parameter:{joints}.armature", factor)


def joint_stop(angle_rad: Size, joints: str = "*", side: Literal["lower", "upper"] = "upper") -> Perturbation:
    """Mechanical stops of joints, moved by an angle in rad."""
    return add(f"parameter:{joints}.{side}_limit", angle_rad)


def link_length(factor: Size, link: str = "*") -> Perturbation:
    """Links longer by a factor, and no heavier; ``link`` is a name or a pattern."""
    return scale(f"parameter:{link}.length", factor)


def soft_ground(compliance_m_n: Size) -> Perturbation:
    """Ground that gives way under every contact point, by m per N."""
    return set_to("parameter:ground.compliance", compliance_m_n)


def rough_terrain(height_m: Size) -> Perturbation:
    """Ground of square blocks, each of a height of its own up to this one, in m."""
    return set_to("parameter:terrain.roughness", height_m)


def stairs(height_m: Size) -> Perturbation:
    """Flights of stairs up and down whatever the heading, by the height of a step in m."""
    return set_to("parameter:terrain.step_height", height_m)


def periodic_force(force: Size, period_s: float, link: str = "torso", axis: Axis = "y") -> Perturbation:
    """A force on a link that goes to and fro as a sine, by its amplitude in N."""
    return add(f"parameter:{link}.force_{axis}", force, every=Sine(period_s))


def random_force(std: float, timescale_s: float, link: str = "torso", axis: Axis = "y") -> Perturbation:
    """A force on a link that wanders about 0: coloured noise, by its standard deviation in N and its memory."""
    return add(f"parameter:{link}.force_{axis}", Drift(std, timescale_s))


def thrown_ball(speed: Size, *, every: Every = PUSHES) -> Perturbation:
    """A ball thrown at the base at some m/s; ``thrown.mass``, ``radius`` and ``direction`` say which and whence."""
    return set_to("parameter:thrown.speed", speed, every=every)


def timestep(factor: Size) -> Perturbation:
    """Period of the physics times a factor: what a result owes to the numbers and not to the world."""
    return scale("parameter:solver.timestep", factor)


def engine(name: str) -> Make:
    """Another simulator for the same robot and task, "bullet" or "mujoco": a simulator held out."""
    return Make(name="engine", value=name)


def severities(perturbation: Perturbation, strengths: Iterable[float]) -> dict[str, tuple[Perturbation]]:
    """Return one condition for every strength, by its label: what a severity curve is drawn from.

    >>> list(severities(friction(0.2), [0.5, 1.0]))
    ['set ground.friction to 0.2 at strength 0.5', 'set ground.friction to 0.2']
    """
    found = (perturbation.at(strength) for strength in strengths)
    return {one.label: (one,) for one in found}


def sweep(
    parameters: Parameters, pattern: str = "*", strengths: Iterable[float] = (1.0,)
) -> dict[str, tuple[Perturbation]]:
    """Return conditions that take each parameter a pattern means, alone, to either end of its plausible range.

    Args:
        parameters: of an environment; those without a plausible range are left out.
        pattern: which of them.
        strengths: how far on the way to the end.

    >>> from sim2real.testing import EchoEnv
    >>> list(sweep(EchoEnv().parameters, "gain"))
    ['set gain to 0.5', 'set gain to 2']
    """
    conditions: dict[str, tuple[Perturbation]] = {}
    strengths = tuple(strengths)
    for name in matching(pattern, parameters.names(), getattr(parameters, "groups", NO_GROUPS)):
        spec = parameters.spec(name)
        for end in spec.plausible or ():
            if end != spec.nominal:
                conditions |= severities(set_to(f"parameter:{name}", end), strengths)
    return conditions


def each(
    perturbation: Perturbation, names: Iterable[str], groups: Groups = NO_GROUPS
) -> tuple[Perturbation, ...]:
    """Return one perturbation for every name that a pattern means, each with a draw of its own.

    Args:
        perturbation: with a pattern as target; any other comes back alone, as it is.
        names: all parameters of an environment.
        groups: its groups of parts, if the target names one.

    >>> [one.target for one in each(mass(Uniform(0.9, 1.1)), ["torso.mass", "gravity.z", "head.mass"])]
    ['parameter:torso.mass', 'parameter:head.mass']
    """
    side, _, pattern = perturbation.target.partition(":")
    if side != "parameter" or isinstance(perturbation.amount, Column):
        return (perturbation,)
    found = matching(pattern, names, groups)
    return tuple(replace(perturbation, target=f"parameter:{name}") for name in found) or (perturbation,)


def _part(side: str, name: str) -> str:
    return side if name == "*" else f"{side}:{name}"


def _either_way(size: Size) -> Amount:
    return size if isinstance(size, Amount) else Uniform(-abs(size), abs(size))

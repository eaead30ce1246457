"""Conditions by name: graded challenges, and the randomisation of published training recipes.

Every preset is a plain condition that its source's numbers make in our targets and units, with a list of what
of the source has no equivalent here. Recipes are written for the robot named in them: masses in kg and pushes
in m/s mean something else on a robot of another size.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from sim2real.errors import Sim2RealError, nearest
from sim2real.perturb.amounts import Amount, Choice, Interval, Normal, Uniform
from sim2real.perturb.catalogue import each, friction, latency, mass, sensor_latency
from sim2real.perturb.perturbation import Every, Perturbation, add, hold, scale, set_to
from sim2real.perturb.posterior import joint_samples, jointly
from sim2real.plugins import plugin, plugins


@dataclass(frozen=True, kw_only=True)
class Preset:
    """A condition with its origin.

    Attributes:
        doc: one sentence.
        source: where the numbers are from.
        condition: what it does.
        without: what of the source is not in it, or only nearly, a sentence each.
    """

    doc: str
    source: str
    condition: tuple[Perturbation, ...]
    without: tuple[str, ...] = ()


def preset(name: str, names: Iterable[str] | None = None) -> tuple[Perturbation, ...]:
    """Return the condition of a preset.

    Args:
        name: one of `PRESETS`, or of a plug-in in the entry point group ``sim2real.presets``.
        names: all parameters of an environment. With them, each one that a pattern means gets a draw of its
            own, as most recipes do; without, one draw moves all of them together.

    Raises:
        Sim2RealError: if there is no such preset.

    >>> preset("medium")[0].label
    'set actuator.latency_s to 0.15'
    """
    found = PRESETS.get(name) or plugin("presets", name)
    if not isinstance(found, Preset):
        raise Sim2RealError(f"There is no preset '{name}'.{nearest(name, [*PRESETS, *plugins('presets')])}")
    condition = found.condition
    if names is None:
        return condition
    names = tuple(names)
    return tuple(one for item in condition for one in each(item, names))


def _noise(
    gyro: float, projected_gravity: float, joint_position: float, joint_velocity: float
) -> tuple[Perturbation, ...]:
    """Return uniform noise on the readings, by its half widths in rad/s, 1, rad and rad/s."""
    sizes = {
        "gyro": gyro,
        "projected_gravity": projected_gravity,
        "joint_position": joint_position,
        "joint_velocity": joint_velocity,
    }
    return tuple(add(f"observation:{term}", _either_way(size)) for term, size in sizes.items() if size)


def _gaussian(
    gyro: float, projected_gravity: float, joint_position: float, joint_velocity: float
) -> tuple[Perturbation, ...]:
    """Return normal noise on the readings, by its standard deviations in rad/s, 1, rad and rad/s."""
    uniform = _noise(gyro, projected_gravity, joint_position, joint_velocity)
    stds = (gyro, projected_gravity, joint_position, joint_velocity)
    return tuple(add(item.target, Normal(0, std)) for item, std in zip(uniform, stds, strict=True))


def _push(every: Interval, **sizes: float) -> tuple[Perturbation, ...]:
    """Return a kick to several velocities at the same moments, each uniform up to a size either way."""
    kicks = [add(f"parameter:base.{name}", _either_way(size), every=every) for name, size in sizes.items()]
    return jointly(*kicks)


def _any_way(slowest: float, fastest: float, every: Every) -> tuple[Perturbation, ...]:
    """Return a kick in any direction, its speed uniform: 16 directions times 8 speeds."""
    speeds = [slowest + (fastest - slowest) * (i + 0.5) / 8 for i in range(8)]
    headings = [math.tau * i / 16 for i in range(16)]
    columns = {
        "parameter:base.velocity_x": [round(v * math.cos(a), 9) for v in speeds for a in headings],
        "parameter:base.velocity_y": [round(v * math.sin(a), 9) for v in speeds for a in headings],
    }
    return joint_samples(columns, operation="add", every=every)


def _com(link: str, x: float, y: float, z: float) -> tuple[Perturbation, ...]:
    """Return shifts of a link's centre of mass, uniform up to some m either way along each axis."""
    return tuple(
        add(f"parameter:{link}.com_{axis}", _either_way(size))
        for axis, size in zip("xyz", (x, y, z), strict=True)
    )


def _gains(low: float, high: float) -> tuple[Perturbation, ...]:
    return tuple(scale(f"parameter:*.{gain}", Uniform(low, high)) for gain in ("kp", "kd"))


def _either_way(size: float) -> Amount:
    return Uniform(-size, size)


def _start(velocity_m_s: float) -> Perturbation:
    return set_to("parameter:initial.velocity_noise", velocity_m_s)


def _combined(delay_s: float, std: float, stuck: float, repeated: float, low: float, high: float) -> Preset:
    """Return a grade of the Real-World RL suite's combined challenge.

    Readings that stick with probability p for n steps are stuck for a share p n / (p n + 1 - p) of the steps;
    actions that repeat n times are held for a share 1 - 1 / n.
    """
    grade = "hard" if std >= 1 else "medium" if std > 0.2 else "easy"
    condition = (
        latency(delay_s),
        sensor_latency(delay_s),
        add("observation", Normal(0, std)),
        add("action", Normal(0, std)),
        hold("observation", stuck),
        *((hold("action", repeated),) if repeated else ()),
        friction(Uniform(low, high)),
    )
    return Preset(
        doc=f"Late, noisy, lossy and slippery, {grade}: the combined challenge of the Real-World RL suite.",
        source=f"google-research/realworldrl_suite, combined challenge '{grade}' of its humanoid (25 ms steps).",
        condition=condition,
        without=(
            "Rewards are not delayed.",
            "No components without meaning are added to the observation.",
            "Readings are lost as a whole and seen again; there each component is zeroed, or sticks, on its own.",
            "Readings and actions are lost on as many steps as there, each on its own; there for 1, 5 or 10, and "
            "for 1, 2 or 3 steps in a row.",
        ),
    )


_SETS = "Pushes add to the velocity; there they replace it."
_BASE_VELOCITY = "Noise on the linear velocity of the base: it is not observed."
_JOINTS_SCALED = "Joints begin near the default pose; there at 0.5 to 1.5 times its angles."
_FRICTION = "Noise in joint friction is relative, so it acts only on a robot with some."

PRESETS: Mapping[str, Preset] = MappingProxyType(
    {
        "easy": _combined(0.075, 0.1, 0.01, 0.0, 0.6, 0.8),
        "medium": _combined(0.15, 0.3, 0.208, 0.5, 0.5, 0.9),
        "hard": _combined(0.225, 1.0, 0.526, 0.667, 0.4, 1.0),
        "legged_gym": Preset(
            doc="Friction, pushes and sensor noise of legged_gym's base task.",
            source="leggedrobotics/legged_gym, envs/base/legged_robot_config.py.",
            condition=(
                friction(Uniform(0.5, 1.25)),
                *_push(Interval(15, 15), velocity_x=1.0, velocity_y=1.0),
                *_noise(0.2, 0.05, 0.01, 1.5),
                _start(0.5),
            ),
            without=(_SETS, _BASE_VELOCITY, _JOINTS_SCALED, "Noise on the height scan: it is not observed."),
        ),
        "humanoid_gym": Preset(
            doc="Friction, mass, pushes, lag and noise that took humanoid-gym's XBot-L to the real robot.",
            source="roboterax/humanoid-gym, envs/custom/humanoid_config.py and humanoid_env.py (10 ms steps).",
            condition=(
                friction(Uniform(0.1, 2.0)),
                add("parameter:torso.mass", Uniform(-5, 5)),
                latency(Uniform(0, 0.005)),
                scale("action", Normal(1, 0.02)),
                *_push(
                    Interval(4, 4),
                    velocity_x=0.2,
                    velocity_y=0.2,
                    angular_velocity_x=0.4,
                    angular_velocity_y=0.4,
                    angular_velocity_z=0.4,
                ),
                *_gaussian(0.06, 0.018, 0.03, 0.3),
            ),
            without=(
                _SETS,
                "Actions are late by up to half a step for an episode; there blended with the last, anew each step.",
                "The attitude is read as projected gravity; there as Euler angles, with 0.018 rad of noise.",
            ),
        ),
        "unitree_rl_gym": Preset(
            doc="Friction, mass, pushes and noise of Unitree's own G1 and H1 training.",
            source="unitreerobotics/unitree_rl_gym, envs/g1/g1_config.py.",
            condition=(
                friction(Uniform(0.1, 1.25)),
                add("parameter:pelvis.mass", Uniform(-1, 3)),
                *_push(Interval(5, 5), velocity_x=1.5, velocity_y=1.5),
                *_noise(0.2, 0.05, 0.01, 1.5),
            ),
            without=(_SETS,),
        ),
        "mjlab_g1": Preset(
            doc="Friction, centre of mass, encoder bias, frequent pushes and noise of mjlab's G1 velocity task.",
            source="mujocolab/mjlab, tasks/velocity (G1).",
            condition=(
                friction(Uniform(0.3, 1.2)),
                *_com("torso", 0.025, 0.025, 0.03),
                add("observation:joint_position", Uniform(-0.015, 0.015), every="episode"),
                *_push(
                    Interval(1, 3),
                    velocity_x=0.5,
                    velocity_y=0.5,
                    velocity_z=0.4,
                    angular_velocity_x=0.52,
                    angular_velocity_y=0.52,
                    angular_velocity_z=0.78,
                ),
                *_noise(0.2, 0.05, 0.01, 1.5),
            ),
            without=(
                _BASE_VELOCITY,
                "Encoders are off for an episode; there for the whole training run of an environment.",
            ),
        ),
        "playground_g1": Preset(
            doc="Friction, masses, joints, pushes and noise of MuJoCo Playground's G1 joystick task.",
            source="google-deepmind/mujoco_playground, _src/locomotion/g1 (joystick.py, randomize.py).",
            condition=(
                friction(Uniform(0.4, 1.0)),
                mass(Uniform(0.9, 1.1)),
                add("parameter:torso.mass", Uniform(-1, 1)),
                scale("parameter:*.coulomb_friction", Uniform(0.5, 2.0)),
                scale("parameter:*.armature", Uniform(1.0, 1.05)),
                add("observation:joint_position", Uniform(-0.05, 0.05), every="episode"),
                *_any_way(0.1, 2.0, Interval(5, 10)),
                *_noise(0.2, 0.05, 0.03, 1.5),
                _start(0.5),
            ),
            without=(
                _BASE_VELOCITY,
                _JOINTS_SCALED,
                _FRICTION,
                "Inertia goes with mass; there it stays.",
                "Pushes go one of 16 ways at one of 8 speeds; there any.",
                "The pose that angles are measured from shifts in what is read, not in the motors.",
            ),
        ),
        "hover": Preset(
            doc="Friction, masses, gains, torque noise, lag and pushes of HOVER's H1 training.",
            source="NVlabs/HOVER, neural_wbc/isaac_lab_wrapper, events/event_cfg.py.",
            condition=(
                friction(Uniform(0.7, 1.3)),
                mass(Uniform(0.7, 1.3)),
                *_com("torso", 0.1, 0.1, 0.1),
                *_gains(0.75, 1.25),
                set_to("parameter:actuator.torque_noise", Uniform(0.05, 0.15)),
                latency(Choice((0.0, 0.02, 0.04, 0.06))),
                *_push(Interval(5, 5), velocity_x=1.0, velocity_y=1.0),
            ),
            without=(
                "Noise on body positions and on the motion to follow: neither is observed.",
                "All links change their mass; there eight of them.",
                "No pause of 60 steps without pushes after one.",
            ),
        ),
        "asap": Preset(
            doc="ASAP's domain randomisation with the large sensor noise of its recipe for the real G1.",
            source="LeCAR-Lab/ASAP, domain_rand_base.yaml and deepmimic_a2c_nolinvel_LARGEnoise_history.yaml.",
            condition=(
                friction(Uniform(0.5, 1.25)),
                mass(Uniform(0.8, 1.2)),
                *_com("torso", 0.1, 0.1, 0.1),
                *_gains(0.75, 1.25),
                set_to("parameter:actuator.torque_noise", Uniform(0.05, 0.15)),
                latency(Choice((0.0, 0.02, 0.04))),
                *_push(Interval(5, 10), velocity_x=1.0, velocity_y=1.0),
                *_noise(0.3, 0.2, 0.01, 1.0),
            ),
            without=(
                _SETS,
                "Offsets of the motion to follow, and its lost packets: there is no motion to follow.",
            ),
        ),
        "booster": Preset(
            doc="Ground, masses, gains, friction, lag, kicks, long pushes and noise of Booster's T1 training.",
            source="BoosterRobotics/booster_gym, envs/T1.yaml (2 ms physics).",
            condition=(
                friction(Uniform(0.1, 2.0)),
                set_to("parameter:ground.restitution", Uniform(0.1, 0.9)),
                scale("parameter:torso.mass", Uniform(0.8, 1.2)),
                mass(Uniform(0.98, 1.02), "*_*"),
                *_com("torso", 0.1, 0.1, 0.1),
                *_com("*_*", 0.005, 0.005, 0.005),
                *_gains(0.95, 1.05),
                add("parameter:*.coulomb_friction", Uniform(0, 2)),
                latency(Uniform(0, 0.018)),
                *jointly(
                    *(
                        add(f"parameter:base.velocity_{axis}", Normal(0, 0.1), every=Interval(2, 2))
                        for axis in "xyz"
                    )
                ),
                *jointly(
                    *(
                        add(
                            f"parameter:torso.{kind}_{axis}",
                            Normal(0, std),
                            every=Interval(5, 5, lasting_s=1),
                        )
                        for kind, std in (("force", 10), ("torque", 2))
                        for axis in "xyz"
                    )
                ),
                *_gaussian(0.1, 0.01, 0.01, 0.1),
                _start(0.1),
            ),
            without=(
                "Contact compliance, which is another quantity in its engine.",
                "Joints begin uniformly about the default pose; there normally, with 0.05 rad.",
            ),
        ),
        "holosoma": Preset(
            doc="Friction, masses, centre of mass, gains, lag, pushes and noise of holosoma's G1 training.",
            source="amazon-far/holosoma, managers/randomization and the G1 configuration.",
            condition=(
                friction(Uniform(0.5, 1.25)),
                mass(Uniform(0.9, 1.2)),
                add("parameter:pelvis.mass", Uniform(-1, 3)),
                *_com("torso", 0.05, 0.05, 0.05),
                *_gains(0.9, 1.1),
                latency(Choice((0.0, 0.02))),
                *_push(Interval(5, 10), velocity_x=1.0, velocity_y=1.0),
                *_noise(0.0, 0.0, 0.01, 0.1),
            ),
            without=(_JOINTS_SCALED, "Encoder bias and torque noise: they are off there."),
        ),
    }
)

"""Of all that can go wrong, what breaks a walking policy first?

    sim2real run studies/catalogue.py policy=PATH/motion.pt --trust

One severity curve for every kind of perturbation the toolkit has, each from harmless to hopeless, on one policy.
"""

from pathlib import Path

from sim2real import (
    At,
    Drift,
    Interval,
    Normal,
    Sine,
    Study,
    Uniform,
    add,
    delay,
    hold,
    policies,
    quantize,
    scale,
    set_to,
)
from sim2real.perturb import Perturbation

HERE = Path(__file__).parent
EVERY_2_S = Interval(2.0, 2.0)


def parameter(name: str, values: tuple[float, ...], **options: object) -> list[Perturbation]:
    """One perturbation for each value that a parameter is set to."""
    return [set_to(f"parameter:{name}", value, **options) for value in values]  # type: ignore[arg-type]


def factor(name: str, values: tuple[float, ...]) -> list[Perturbation]:
    """One perturbation for each factor on a parameter's nominal value."""
    return [scale(f"parameter:{name}", value) for value in values]


def noise(term: str, stds: tuple[float, ...], every: str = "step") -> list[Perturbation]:
    """White noise on a term of the observation, or a bias that lasts for the episode."""
    return [add(f"observation:{term}", Normal(0, std), every=every) for std in stds]  # type: ignore[arg-type]


WORLD = {
    "friction": parameter("ground.friction", (0.3, 0.15, 0.1, 0.05)),
    "restitution": parameter("ground.restitution", (0.2, 0.4, 0.8)),
    "rolling friction": parameter("ground.rolling_friction", (0.01, 0.03, 0.1)),
    "spinning friction": parameter("ground.spinning_friction", (0.01, 0.03, 0.1)),
    "soft ground": parameter("ground.compliance", (1e-5, 1e-4, 3e-4)),
    "rough ground": parameter("terrain.roughness", (0.02, 0.04, 0.08, 0.15)),
    "stairs": parameter("terrain.step_height", (0.02, 0.05, 0.1, 0.15)),
    "gravity": factor("gravity.z", (0.5, 0.8, 1.2, 1.5)),
    "slope": parameter("ground.slope", (-0.2, -0.1, 0.1, 0.2)),
    "steady side force": parameter("torso.force_y", (10, 20, 40, 80)),
}
BODY = {
    "payload": parameter("payload.mass", (5, 10, 15, 20)),
    "all masses": factor("*.mass", (0.7, 0.85, 1.15, 1.3)),
    "all inertias": factor("*.inertia", (0.5, 2.0, 4.0)),
    "torso's centre of mass": [add("parameter:torso.com_x", x) for x in (-0.1, -0.05, 0.05, 0.1)],
    "armature": factor("*.armature", (0.5, 2.0, 4.0)),
    "length of the shins": factor("{left,right}_knee.length", (0.8, 0.9, 1.1, 1.2)),
    "length of the thighs": factor("{left,right}_hip_yaw.length", (0.8, 0.9, 1.1, 1.2)),
    "one longer shin": factor("left_knee.length", (1.02, 1.05, 1.1, 1.2)),
}
MOTORS = {
    "strength": factor("*.strength", (0.9, 0.8, 0.7, 0.6)),
    "kp": factor("*.kp", (0.6, 0.8, 1.25, 1.6)),
    "kd": factor("*.kd", (0.3, 0.6, 1.5, 2.0)),
    "latency": parameter("actuator.latency_s", (0.02, 0.04, 0.06, 0.08)),
    "jitter": parameter("actuator.jitter_s", (0.02, 0.04, 0.08)),
    "lost commands": parameter("actuator.loss", (0.1, 0.3, 0.6)),
    "lag": parameter("*.lag_s", (0.01, 0.02, 0.04, 0.08)),
    "dead zone": parameter("*.dead_zone", (0.5, 1, 2, 4)),
    "backlash": parameter("*.backlash", (0.01, 0.03, 0.1)),
    "dry friction": parameter("*.coulomb_friction", (0.5, 1, 2, 4)),
    "stiction": parameter("*.stiction", (1, 2, 4)),
    "viscous friction": parameter("*.viscous_friction", (0.5, 1, 2, 4)),
    "ripple": parameter("*.ripple", (1, 3, 10)),
    "torque noise": parameter("actuator.torque_noise", (0.05, 0.1, 0.3)),
    "battery voltage": parameter("battery.voltage", (0.8, 0.6, 0.4)),
    "overheating": parameter("actuator.continuous_torque", (0.5, 0.2, 0.1)),
    "a weak knee": parameter("left_knee.strength", (0.7, 0.5, 0.3, 0.0)),
    "a weak ankle": parameter("left_ankle_pitch.strength", (0.7, 0.5, 0.3, 0.0)),
    "a stuck hip": parameter("left_hip_yaw.stuck", (1.0,)),
    "effort limit": factor("*.effort_limit", (0.6, 0.4, 0.3)),
}
SENSORS = {
    "sensor latency": parameter("sensor.latency_s", (0.02, 0.04, 0.06, 0.08)),
    "gyro latency": parameter("gyro.latency_s", (0.02, 0.05, 0.1)),
    "encoder latency": parameter("joint_position.latency_s", (0.02, 0.05, 0.1)),
    "gyro noise": noise("gyro", (0.3, 1.0, 3.0)),
    "gyro bias": noise("gyro", (0.1, 0.3, 1.0), "episode"),
    "gyro drift": [add("observation:gyro", Drift(std, 5.0)) for std in (0.1, 0.3, 1.0)],
    "gravity noise": noise("projected_gravity", (0.05, 0.2, 0.5)),
    "gravity bias": noise("projected_gravity", (0.02, 0.05, 0.1), "episode"),
    "encoder noise": noise("joint_position", (0.01, 0.1, 0.3)),
    "encoder offset": [
        add("parameter:*.encoder_offset", Uniform(-width, width)) for width in (0.02, 0.05, 0.1, 0.2)
    ],
    "velocity noise": noise("joint_velocity", (1.5, 5.0, 15.0)),
    "encoder resolution": [quantize("observation:joint_position", step) for step in (0.01, 0.05, 0.2)],
    "tilted IMU": parameter("imu.pitch", (-0.1, -0.05, 0.05, 0.1)),
    "lost readings": [hold("observation", p) for p in (0.1, 0.3, 0.6)],
    "late by control steps": [delay("observation", steps) for steps in (1, 2, 3, 4)],
}
DISTURBANCES = {
    "sideways pushes": [
        add("parameter:base.velocity_y", Uniform(-v, v), every=EVERY_2_S) for v in (0.6, 1.2, 1.8)
    ],
    "forward pushes": [
        add("parameter:base.velocity_x", Uniform(-v, v), every=EVERY_2_S) for v in (0.6, 1.2, 1.8)
    ],
    "one shove of 0.2 s": parameter("torso.force_y", (50, 100, 200, 400), every=At(3.0, 0.2)),
    "thrown balls": parameter("thrown.speed", (2.5, 5, 10, 15), every=EVERY_2_S),
    "swaying": parameter("torso.force_y", (20, 40, 80), every=Sine(1.0)),
    "buffeting": [add("parameter:torso.force_y", Drift(std, 0.5)) for std in (10, 20, 40)],
    "action noise": [add("action", Normal(0, std)) for std in (0.03, 0.1, 0.3)],
}


NUMBERS = {
    "time step": factor("solver.timestep", (0.2, 0.5, 2.0, 4.0)),
    "solver iterations": parameter("solver.iterations", (200, 20, 10, 5)),
}


def study(
    policy: Path, contract: Path = HERE / "contracts" / "unitree_g1.toml", episodes: int = 10, seed: int = 0
) -> Study:
    """Build the study of one walking policy over the whole catalogue."""
    families = {**WORLD, **BODY, **MOTORS, **SENSORS, **DISTURBANCES, **NUMBERS}
    conditions = {
        f"{name} {k}": [one] for name, curve in families.items() for k, one in enumerate(curve, start=1)
    }
    return Study(
        name="catalogue",
        question="Of all that can go wrong, what breaks a published walking policy first?",
        env="sim2real:sim2real/Walk-v0",
        policies={"published": policies.file(policy, contract=contract)},
        conditions=conditions,
        episodes=episodes,
        seed=seed,
        metric="success",
        competent=0.9,
    )

"""How far does a published walking policy generalise, and what breaks it first?

    sim2real run studies/published_walker.py policy=PATH/motion.pt --trust

PATH holds Unitree's G1 policy (github.com/unitreerobotics/unitree_rl_gym, deploy/pre_train/g1/motion.pt). Any other
walking policy goes in with its own contract: ``policy=walk.onnx contract=walk.toml``.
"""

from pathlib import Path

from sim2real import Interval, Reference, Study, Uniform, policies
from sim2real.perturb.catalogue import (
    friction,
    latency,
    motor_strength,
    payload,
    push,
    sensor_latency,
    sensor_noise,
    slope,
)

HERE = Path(__file__).parent
EVERY_2_S = Interval(2.0, 2.0)

# Seconds until the fall of the same policy on its own published description (12 joints), at command 0.5 m/s and
# episodes of 10 s, measured with MuJoCo 4.0 and PyBullet 3.2.7 on the same compiled robot.
FRICTION = (1.0, 0.5, 0.3, 0.2, 0.15, 0.1, 0.05)
MUJOCO_S = (10.0, 10.0, 10.0, 10.0, 10.0, 5.2, 1.0)
PYBULLET_S = (10.0, 10.0, 10.0, 10.0, 10.0, 3.3, 1.4)


def study(
    policy: Path, contract: Path = HERE / "contracts" / "unitree_g1.toml", episodes: int = 20, seed: int = 0
) -> Study:
    """Build the study of one walking policy, given by its file and its contract."""
    conditions = {
        **{f"friction {mu}": [friction(mu)] for mu in (0.5, 0.3, 0.2, 0.15, 0.1, 0.05)},
        **{f"payload {kg} kg": [payload(kg)] for kg in (2, 5, 10, 15, 20)},
        **{f"motors at {s:.0%}": [motor_strength(s)] for s in (0.9, 0.8, 0.7, 0.6, 0.5)},
        **{f"actuator latency {ms} ms": [latency(ms / 1000)] for ms in (10, 20, 40, 60, 80)},
        **{f"sensor latency {ms} ms": [sensor_latency(ms / 1000)] for ms in (10, 20, 40, 60, 80)},
        **{f"gyro noise {std} rad/s": [sensor_noise("gyro", std)] for std in (0.1, 0.3, 1.0, 3.0)},
        **{f"encoder noise {std} rad": [sensor_noise("joint_position", std)] for std in (0.01, 0.03, 0.1)},
        **{f"pushes of {v} m/s": [push(v, "y", every=EVERY_2_S)] for v in (0.3, 0.6, 0.9, 1.2, 1.5)},
        **{f"slope {angle} rad": [slope(angle)] for angle in (-0.2, -0.1, -0.05, 0.05, 0.1, 0.2)},
        "wet floor and a rucksack": [friction(0.2), payload(5)],
        "tired motors, late sensors": [motor_strength(0.8), sensor_latency(0.03)],
        "as trained, friction and payload": [friction(Uniform(0.55, 1.125)), payload(Uniform(0.0, 3.0))],
    }
    return Study(
        name="published_walker",
        question="How far does a published walking policy generalise, and what breaks it first?",
        env="sim2real:sim2real/Walk-v0",
        policies={"published": policies.file(policy, contract=contract)},
        conditions=conditions,
        episodes=episodes,
        seed=seed,
        metric="success",
        competent=0.9,
        references=(
            Reference(
                label="MuJoCo 4.0",
                metric="duration_s",
                target="parameter:ground.friction",
                points=tuple(zip(FRICTION, MUJOCO_S, strict=True)),
                source="the policy's own 12-joint description in MuJoCo, command 0.5 m/s, 10 s",
            ),
            Reference(
                label="PyBullet, 12-joint description",
                metric="duration_s",
                target="parameter:ground.friction",
                points=tuple(zip(FRICTION, PYBULLET_S, strict=True)),
                source="the policy's own 12-joint description in PyBullet 3.2.7, command 0.5 m/s, 10 s",
            ),
        ),
    )

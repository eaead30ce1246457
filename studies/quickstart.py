"""How far does a classical balance controller keep a humanoid standing, and what fells it first?

sim2real run studies/quickstart.py
"""

import math

from sim2real import Interval, Study, Uniform, policies
from sim2real.perturb.catalogue import (
    encoder_resolution,
    friction,
    latency,
    motor_strength,
    packet_loss,
    payload,
    push,
    sensor_bias,
    sensor_noise,
    slope,
)

EVERY_2_S = Interval(2.0, 2.0)


def study(episodes: int = 15, seed: int = 0) -> Study:
    """Build the study; both numbers can be given on the command line."""
    conditions = {
        **{f"push {v} m/s": [push(v, "y", every=EVERY_2_S)] for v in (0.1, 0.2, 0.3, 0.4, 0.5, 0.6)},
        **{f"latency {ms} ms": [latency(ms / 1000)] for ms in (10, 20, 40, 80, 120, 160)},
        **{f"friction {mu}": [friction(mu)] for mu in (0.5, 0.1, 0.05, 0.02)},
        **{f"payload {kg} kg": [payload(kg)] for kg in (2, 5, 10, 15, 20)},
        **{f"motors at {s:.0%}": [motor_strength(s)] for s in (0.95, 0.9, 0.85, 0.8, 0.7)},
        **{f"slope {angle} rad": [slope(angle)] for angle in (-0.1, -0.05, 0.025, 0.05, 0.1)},
        **{f"gyro noise {std} rad/s": [sensor_noise("gyro", std)] for std in (0.05, 0.1, 0.2, 0.3)},
        **{f"tilt bias {std}": [sensor_bias("projected_gravity", std)] for std in (0.02, 0.05, 0.1)},
        "encoders of 8 bits": [encoder_resolution(2 * math.pi / 256)],
        "half of the packets lost": [packet_loss(0.5)],
        "a little of everything": [
            push(Uniform(-0.1, 0.1), "y", every=EVERY_2_S),
            latency(0.01),
            friction(0.5),
            payload(2),
            motor_strength(0.95),
            sensor_noise("gyro", 0.05),
        ],
    }
    return Study(
        name="quickstart",
        question="How far does a classical balance controller keep a humanoid standing, and what fells it first?",
        env="sim2real:sim2real/Stand-v0",
        policies={
            "balance": policies.scripted(policies.balance),
            "stiff balance": policies.scripted(policies.balance, frequency_rad_s=6.0),
            "hold the pose": policies.scripted(policies.hold),
        },
        conditions=conditions,
        episodes=episodes,
        seed=seed,
        metric="success",
        competent=0.9,
    )

"""Which training lets a walker survive what it was not trained for, and at what price?

    sim2real run studies/locomotion.py
    sim2real run studies/locomotion.py published=PATH/motion.pt --trust    # beside a published policy
    sim2real run studies/locomotion.py:as_trained    # in worlds drawn as `randomised` met them, all at once

The learnt walkers are those of `studies/training/walk.py`, three training runs each: `nominal` has seen commands only,
`randomised` other worlds too, and `constrained` spares its joints as well. `scripted` is the controller they began as
imitators of, which knows its true velocity. PATH holds Unitree's G1 policy (github.com/unitreerobotics/unitree_rl_gym,
deploy/pre_train/g1/motion.pt).
"""

from dataclasses import replace
from pathlib import Path

from sim2real import Interval, Study, policies, set_to
from sim2real.perturb.catalogue import (
    center_of_mass,
    engine,
    friction,
    latency,
    motor_strength,
    payload,
    push,
    rough_terrain,
    sensor_latency,
    sensor_noise,
    slope,
)
from sim2real.safety import joint_position, joint_velocity, torque
from sim2real.study.load import load_module

HERE = Path(__file__).parent
TRAINED = HERE / "policies" / "walk"
EVERY_2_S = Interval(2.0, 2.0)


def commanded(forward: float = 0.0, left: float = 0.0, turn: float = 0.0) -> list:
    """Return the condition in which another velocity is commanded (m/s, m/s, rad/s)."""
    values = {"velocity_x": forward, "velocity_y": left, "yaw_rate": turn}
    return [set_to(f"parameter:command.{name}", value) for name, value in values.items()]


COMMANDS = {
    **{f"forward at {v} m/s": commanded(forward=v) for v in (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)},
    **{f"sideways at {v} m/s": commanded(left=v) for v in (-0.3, 0.3)},
    **{f"turning at {w} rad/s": commanded(forward=0.4, turn=w) for w in (-0.5, 0.5)},
}

# The first of each is the edge of what `randomised` was trained in; what follows is held out.
SEVERITIES = {
    **{f"friction {mu}": [friction(mu)] for mu in (0.4, 0.2, 0.1)},
    **{f"payload {kg} kg": [payload(kg)] for kg in (5, 10, 15)},
    **{f"motors at {s:.0%}": [motor_strength(s)] for s in (0.8, 0.65, 0.5)},
    **{f"actuator latency {ms} ms": [latency(ms / 1000)] for ms in (20, 40, 60)},
    **{f"sideways pushes of {v} m/s": [push(v, "y", every=EVERY_2_S)] for v in (0.5, 0.75, 1.0)},
    **{f"gyro noise {std} rad/s": [sensor_noise("gyro", std)] for std in (0.1, 0.3, 1.0)},
}

UNSEEN = {
    "sensors 20 ms late": [sensor_latency(0.02)],
    "centre of mass 5 cm forward": [center_of_mass(0.05)],
    "uphill, 0.1 rad": [slope(0.1)],
    "downhill, 0.1 rad": [slope(-0.1)],
    "rough ground, 2 cm": [rough_terrain(0.02)],
    "wet floor and a rucksack": [friction(0.2), payload(8)],
    "tired motors, late commands": [motor_strength(0.7), latency(0.03)],
    "the other simulator": [engine("bullet")],
}


def study(
    episodes: int = 5,
    seed: int = 0,
    published: Path | None = None,
    contract: Path = HERE / "contracts" / "unitree_g1.toml",
    trained: Path = TRAINED,
) -> Study:
    """Build the study of the walkers under a folder, and of a published policy where one is given."""
    kinds = "nominal", "randomised", "constrained"
    learnt = {kind: policies.glob(f"{trained}/{kind}-seed*.safetensors") for kind in kinds}
    others = {"published": policies.file(published, contract=contract)} if published else {}
    return Study(
        name="locomotion",
        question="Which training lets a walker survive what it was not trained for, and at what price?",
        env="sim2real:sim2real/Walk-v0",
        env_kwargs={"engine": "mujoco"},
        policies={**learnt, "scripted": policies.scripted(policies.gait), **others},
        conditions=COMMANDS | SEVERITIES | UNSEEN,
        constraints=(joint_position(), joint_velocity(), torque()),
        episodes=episodes,
        seed=seed,
        metric="duration_s",  # until the fall; how well the command is kept is a metric beside it
        competent=9.0,
    )


def as_trained(episodes: int = 20, seed: int = 0) -> Study:
    """Build the study of 20 s in worlds drawn as in training, all perturbations together, and of what PPO began as."""
    recipe = load_module(HERE / "training" / "walk.py")
    worlds = {"commands": recipe.COMMANDS, "worlds of training": (*recipe.COMMANDS, *recipe.RANDOMISATION)}
    walkers = study(episodes, seed)
    return replace(
        walkers,
        name="locomotion-as-trained",
        env_kwargs={"engine": "mujoco", "episode_s": recipe.EPISODE_S},
        policies={**walkers.policies, "imitators": policies.glob(recipe.STARTS)},
        conditions=worlds,
        competent=0.9 * recipe.EPISODE_S,
    )

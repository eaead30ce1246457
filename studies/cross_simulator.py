"""Which findings about a policy are about the world, and which about the simulator they were found in?

    sim2real run studies/cross_simulator.py policy=PATH/motion.pt --trust
    sim2real run studies/cross_simulator.py policies='studies/policies/walk/*.safetensors'
    sim2real run studies/cross_simulator.py:expert task=Grasp
    python studies/cross_simulator.py PATH/motion.pt

Every condition is met twice, in PyBullet and with ``engine="mujoco"``, over the same episodes: the same compiled robot,
motors, sensors and perturbations. PATH holds Unitree's G1 policy (github.com/unitreerobotics/unitree_rl_gym,
deploy/pre_train/g1/motion.pt); ``policies`` are any others that walk, NAME-seedN.safetensors being run N of NAME. The
last command tells how far the joints of both engines come apart from the same states and torques.
"""

import sys
from pathlib import Path

import gymnasium as gym
import numpy as np

from sim2real import Interval, Sim2RealError, Study
from sim2real.perturb import Item, set_to
from sim2real.perturb.catalogue import (
    engine,
    friction,
    gravity,
    latency,
    mass,
    motor_strength,
    payload,
    push,
    restitution,
    sensor_latency,
    sensor_noise,
    slope,
    timestep,
)
from sim2real.perturb.parameters import matching
from sim2real.policies import PolicyFile, file, glob, scripted
from sim2real.policies import expert as scripted_expert
from sim2real.simulation import Simulation
from sim2real.simulation.gap import Array, Moment, Recorder, joint_gap

HERE = Path(__file__).parent
CONTRACT = HERE / "contracts" / "unitree_g1.toml"
WALK = "sim2real:sim2real/Walk-v0"
EVERY_2_S = Interval(2.0, 2.0)
HORIZONS_S = (0.01, 0.02, 0.05, 0.1, 0.2)


def in_both(conditions: dict[str, list[Item]]) -> dict[str, list[Item]]:
    """Return the conditions, and each of them again in MuJoCo, the nominal world included."""
    there = {f"{label}, mujoco": [*items, engine("mujoco")] for label, items in conditions.items()}
    return {**conditions, "mujoco": [engine("mujoco")], **there}


def study(
    policy: str = "", contract: Path = CONTRACT, policies: str = "", episodes: int = 10, seed: int = 0
) -> Study:
    """Build the study of walking policies: one with a contract beside it, and any that a pattern finds."""
    found: dict[str, list[PolicyFile]] = {}
    for one in glob(policies) if policies else ():
        found.setdefault(one.label.partition("-seed")[0], []).append(one)
    if policy:
        found["published"] = [file(policy, contract=contract)]
    if not found:
        raise Sim2RealError("Name what shall walk: policy=PATH/motion.pt, or policies='PATTERN'.")
    conditions: dict[str, list[Item]] = {
        **{f"friction {mu}": [friction(mu)] for mu in (0.5, 0.3, 0.2, 0.15, 0.1, 0.05)},
        **{f"restitution {e}": [restitution(e)] for e in (0.2, 0.5)},
        **{f"payload {kg} kg": [payload(kg)] for kg in (5, 10, 15, 20)},
        **{f"motors at {s:.0%}": [motor_strength(s)] for s in (0.9, 0.8, 0.7, 0.6)},
        **{f"actuator latency {ms} ms": [latency(ms / 1000)] for ms in (20, 40, 60, 80)},
        **{f"sensor latency {ms} ms": [sensor_latency(ms / 1000)] for ms in (20, 40, 60)},
        **{f"gyro noise {std} rad/s": [sensor_noise("gyro", std)] for std in (0.3, 1.0, 3.0)},
        **{f"pushes of {v} m/s": [push(v, "y", every=EVERY_2_S)] for v in (0.6, 0.9, 1.2, 1.5)},
        **{f"slope {angle} rad": [slope(angle)] for angle in (-0.2, -0.1, 0.1, 0.2)},
        **{f"gravity x {factor}": [gravity(factor)] for factor in (0.8, 1.2)},
        **{f"physics at {5 * factor:g} ms": [timestep(factor)] for factor in (0.2, 0.5)},
    }
    return Study(
        name="cross_simulator",
        question="Which findings about a walking policy are about the world, and which about the simulator?",
        env=WALK,
        policies=found,
        conditions=in_both(conditions),
        episodes=episodes,
        seed=seed,
        metric="success",
        competent=0.9,
    )


def expert(task: str = "Grasp", episodes: int = 10, seed: int = 0) -> Study:
    """Build the study of the scripted expert at a task for a hand: Reach, Push or Grasp."""
    conditions: dict[str, list[Item]] = {
        **{f"motors at {s:.0%}": [motor_strength(s)] for s in (0.4, 0.3, 0.25, 0.2)},
        **{f"actuator latency {ms} ms": [latency(ms / 1000)] for ms in (100, 200, 400)},
        "arm x 2": [mass(2.0, "*elbow*")],
    }
    if task != "Reach":
        conditions |= {
            **{f"mass {kg:g} kg": [set_to("parameter:object.mass", kg)] for kg in (1.0, 2.0, 3.0, 4.0)},
            **{f"friction {mu}": [set_to("parameter:object.friction", mu)] for mu in (0.2, 0.1, 0.05)},
            **{f"size x {f}": [set_to("parameter:object.size", f)] for f in (0.75, 1.5, 1.75)},
            **{
                f"pose {mm} mm off": [set_to("parameter:pose_estimate.offset_x", mm / 1e3)]
                for mm in (20, 40, 60)
            },
        }
    return Study(
        name=f"cross_simulator_{task.lower()}",
        question=f"Does what breaks the scripted expert at {task} break it in another simulator, too?",
        env=f"sim2real:sim2real/{task}-v0",
        policies={"expert": scripted(scripted_expert)},
        conditions=in_both(conditions),
        episodes=episodes,
        seed=seed,
    )


def walked(path: str, contract: Path, engine: str, steps: int) -> tuple[list[Moment], Simulation]:
    """Return every tick of the policy's first seconds in an engine, and the simulation that they were in."""
    env = gym.make(WALK, engine=engine)
    sim, policy = env.unwrapped.sim, file(path, contract=contract).bind(env, trust=True)  # type: ignore[attr-defined]
    alone, sim.engine = sim.engine, Recorder(sim.engine)
    observation, _ = env.reset(seed=0)
    policy.reset(0)
    for _ in range(steps):
        observation, *_ = env.step(policy(observation))
    moments, sim.engine = sim.engine.moments, alone
    return moments, sim


def changed(pattern: str, factor: float) -> Simulation:
    """Return a simulation in Bullet with the parameters that a pattern means at a multiple of their nominal values."""
    sim: Simulation = gym.make(WALK).unwrapped.sim  # type: ignore[attr-defined]
    for name in matching(pattern, sim.parameters.names()):
        sim.parameters.set(name, factor * sim.parameters.spec(name).nominal)
    sim.reset()
    return sim


def gaps(path: str, contract: Path = CONTRACT, steps: int = 250) -> None:
    """Print how far joints come apart that get the torques of the policy's walk, from the same states."""
    moments, bullet = walked(path, contract, "bullet", steps)
    others, mujoco = walked(path, contract, "mujoco", steps)
    ticks = [round(horizon_s / bullet.physics_period_s) for horizon_s in HORIZONS_S]

    def rows(played: list[Moment], other: Simulation) -> Array:
        gap = joint_gap(played, bullet, other, ticks=ticks[-1], every=2 * bullet.ticks)
        return 1000.0 * gap[np.array(ticks) - 1].T

    def show(what: str, values: Array) -> None:
        print(f"{what:44}", *(f"{value:8.2f}" for value in values))

    print(f"{'mrad (rms) from Bullet after':44}", *(f"{horizon_s:6g} s" for horizon_s in HORIZONS_S))
    for what, played, other in (
        ("MuJoCo, torques of a walk in Bullet", moments, mujoco),
        ("MuJoCo, torques of a walk in MuJoCo", others, mujoco),
        ("Bullet, all masses x 1.02", moments, changed("*.mass", 1.02)),
        ("Bullet, all masses x 1.1", moments, changed("*.mass", 1.1)),
        ("Bullet, ground friction x 0.5", moments, changed("ground.friction", 0.5)),
        ("Bullet, solver iterations x 4", moments, changed("solver.iterations", 4.0)),
        ("Bullet again", moments, bullet),
    ):
        show(what, np.sqrt((rows(played, other) ** 2).mean(axis=0)))
    print()
    for joint, values in zip(bullet.joint_names, rows(moments, mujoco), strict=True):
        show(f"{joint}, MuJoCo", values)


if __name__ == "__main__":
    gaps(*sys.argv[1:2])

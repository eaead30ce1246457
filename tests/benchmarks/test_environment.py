"""The environment's targets: step, perturbed step, physics, load, reset, memory, import."""

import statistics
import subprocess
import sys
import time
from pathlib import Path

import gymnasium as gym
import numpy as np
import pytest

from sim2real import (
    Integers,
    Interval,
    Normal,
    Perturbed,
    Robot,
    Uniform,
    add,
    delay,
    hold,
    policies,
    quantize,
    scale,
    set_to,
)
from sim2real.simulation.bullet import BulletEngine

TEN = (
    add("observation:gyro", Normal(0, 0.1)),
    add("observation:joint_velocity", Normal(0, 0.5)),
    add("observation:joint_position", Normal(0, 0.01)),
    add("observation:gyro", Normal(0, 0.02), every="episode"),
    quantize("observation:joint_position", 0.001),
    hold("observation", 0.02),
    delay("observation", 1),
    delay("action", Integers(0, 1)),
    scale("parameter:*.strength", Uniform(0.9, 1.1)),
    add("parameter:base.velocity_y", Uniform(-0.3, 0.3), every=Interval(1, 2)),
)


@pytest.fixture(scope="module")
def stand():
    env = gym.make("sim2real:sim2real/Stand-v0", disable_env_checker=True, episode_s=1e6)
    yield env
    env.close()


@pytest.fixture(scope="module")
def walk():
    env = gym.make("sim2real:sim2real/Walk-v0", disable_env_checker=True, episode_s=1e6)
    yield env
    env.close()


def recorded_actions(env, n=100):
    """Actions that keep the robot on its feet, marching a little, to be replayed by what is timed."""
    policy = policies.scripted(policies.balance).bind(env)
    observation, _ = env.reset(seed=0)
    actions = []
    for _ in range(n):
        actions.append(policy(observation))
        observation, *_ = env.step(actions[-1])
    return actions


def test_step_over_its_bare_physics(walk, over_physics):
    """A Walk step ≤ 1.35 × its four stepSimulation calls."""
    over_physics(walk.unwrapped, recorded_actions(walk), rounds=40)


def test_ten_perturbations_over_none(walk, benchmark):
    """Perturbed with ten perturbations adds ≤ 15 % to the step."""
    actions = recorded_actions(walk)
    bare, perturbed = walk, Perturbed(walk, TEN)

    def episode(env):
        env.reset(seed=0)
        start = time.perf_counter()
        for action in actions:
            env.step(action)
        return time.perf_counter() - start

    times = {"bare": [], "perturbed": []}
    for _ in range(40):
        times["perturbed"].append(episode(perturbed))
        perturbed.restore()
        times["bare"].append(episode(bare))
    bare_us, perturbed_us = (statistics.median(times[k]) / len(actions) * 1e6 for k in ("bare", "perturbed"))
    ratio = perturbed_us / bare_us
    benchmark.extra_info.update(bare_us=bare_us, perturbed_us=perturbed_us, ratio=ratio)
    print(f"\nbare {bare_us:.0f} µs, ten perturbations {perturbed_us:.0f} µs, ratio {ratio:.3f}")
    walk.reset(seed=0)
    benchmark.pedantic(lambda: walk.step(actions[0]), rounds=50)


def test_physics_of_the_compiled_robot(compare):
    """The merged robot against the same description with its fixed links, limp: ratio ≤ 0.7, rotors in both."""
    robot = Robot.load("g1")
    legs = robot.group("legs")
    merged = robot.compile(legs)
    full = (Path(__file__).parents[2] / "robots" / "g1" / "g1.urdf").read_text()
    for joint in robot.joint_names:
        if joint not in legs:
            full = full.replace(
                f'<joint name="{joint}" type="revolute">', f'<joint name="{joint}" type="fixed">'
            )
    engines = []
    for urdf in (merged.urdf, full):
        engine = BulletEngine(0.005)
        engine.load(urdf, joint_names=legs, base_position_m=(0, 0, robot.base_height_m),
                    joint_position=[robot.default_pose[j] for j in legs])  # fmt: skip
        engines.append(engine)
    still = [0.0] * len(legs)
    compare(lambda: [engines[0].tick(still) for _ in range(20)], lambda: [engines[1].tick(still) for _ in range(20)],
            setup=lambda: [e.restore() for e in engines])  # fmt: skip
    for engine in engines:
        engine.close()


def test_loading_a_compiled_robot(benchmark, walk):
    """Load ≤ 10 ms."""
    sim = walk.unwrapped.sim
    benchmark(sim._load, sim._nominal)


def test_reset_with_twenty_changed_parameters(benchmark, walk):
    """Twenty masses, strengths and gains, changed in place: ≤ 1 ms."""
    legs = walk.unwrapped.joint_names
    condition = [scale(f"parameter:{name}.strength", Uniform(0.8, 1.2)) for name in legs[:7]]
    condition += [scale(f"parameter:{name}.mass", Uniform(0.8, 1.2)) for name in legs[:7]]
    condition += [scale(f"parameter:{name}.kp", Uniform(0.8, 1.2)) for name in legs[:6]]
    env = Perturbed(walk, condition)
    benchmark(env.reset)
    env.restore()
    walk.reset(seed=0)


def test_reset_with_recompilation(benchmark, walk):
    """A shifted centre of mass, a payload and rotors: ≤ 10 ms."""
    env = Perturbed(
        walk,
        [
            add("parameter:torso.com_x", Uniform(-0.05, 0.05)),
            set_to("parameter:payload.mass", Uniform(1, 5)),
            scale("parameter:*.armature", Uniform(0.9, 1.1)),
        ],
    )
    benchmark(env.reset)
    env.restore()
    walk.reset(seed=0)


def test_reset_with_other_lengths(benchmark, walk):
    """Every link of another length, recompiled: ≤ 10 ms."""
    env = Perturbed(walk, [scale("parameter:*.length", Uniform(0.95, 1.05))])
    benchmark(env.reset)
    env.restore()
    walk.reset(seed=0)


def test_step_on_rough_ground(compare, walk):
    """A Walk step among blocks ≤ 1.3 × one on the plane."""
    env = walk.unwrapped
    rough = gym.make("sim2real:sim2real/Walk-v0", disable_env_checker=True, episode_s=1e6)
    rough.unwrapped.parameters.set("terrain.roughness", 0.03)
    actions = recorded_actions(walk, 20)
    compare(lambda: [rough.step(action) for action in actions], lambda: [env.step(action) for action in actions],
            rounds=60, setup=lambda: (rough.reset(seed=0), env.reset(seed=0)))  # fmt: skip
    rough.close()


def test_memory_of_one_more_environment(benchmark):
    """≤ 40 MB each, by the resident size of a fresh process."""
    code = (
        "import gymnasium as gym, resource\n"
        "make = lambda: gym.make('sim2real:sim2real/Walk-v0', disable_env_checker=True)\n"
        "def mb(): return int(next(l for l in open('/proc/self/status') if l.startswith('VmRSS')).split()[1]) / 1024\n"
        "envs = [make()]; [e.reset(seed=0) for e in envs]; before = mb()\n"
        "envs += [make() for _ in range(8)]; [e.reset(seed=0) for e in envs]; print((mb() - before) / 8)"
    )
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    benchmark.extra_info["mb"] = float(shown.stdout)
    print(f"\nmemory of one more environment: {float(shown.stdout):.1f} MB")
    benchmark.pedantic(lambda: None)


def test_importing_the_package(benchmark):
    """``import sim2real`` ≤ 0.3 s on top of ``import gymnasium``."""

    def seconds(code):
        return float(subprocess.run(
            [sys.executable, "-c", f"import time; t = time.perf_counter(); {code}; print(time.perf_counter() - t)"],
            capture_output=True, text=True, check=True,
        ).stdout)  # fmt: skip

    extra = statistics.median(
        seconds("import gymnasium; t = time.perf_counter(); import sim2real") for _ in range(9)
    )
    benchmark.extra_info["seconds"] = extra
    print(f"\nimport sim2real on top of gymnasium: {extra:.3f} s")
    benchmark.pedantic(lambda: np.zeros(1))


# What acts so little that the robot moves as before: the difference is what computing it costs.
ON_TOP = {
    "lag": {"*.lag_s": 1e-6},
    "dead zone": {"*.dead_zone": 1e-9},
    "ripple": {"*.ripple": 1e-9},
    "torque noise": {"actuator.torque_noise": 1e-9},
    "heat": {"actuator.continuous_torque": 0.999999},
    "battery": {"battery.sag": 1e-12},
    "jitter": {"actuator.jitter_s": 1e-6},
    "loss": {"actuator.loss": 1e-12},
    "backlash": {"*.backlash": 1e-9},
    "encoder offset": {"*.encoder_offset": 1e-9},
    "finite difference": {"joint_velocity.finite_difference": 1.0},
    "misaligned IMU": {"imu.roll": 1e-9},
    "torque on a link": {"torso.torque_z": 1e-6},
}


@pytest.mark.parametrize("what", ON_TOP)
def test_cost_of_what_a_real_robot_has_on_top(walk, benchmark, what):
    """Each motor and sensor imperfection, on all joints, ≤ 2 µs per physics step; nothing while it is off."""
    env, actions = walk.unwrapped, recorded_actions(walk, 60)
    values = {}
    for pattern, value in ON_TOP[what].items():
        names = [f"{joint}{pattern[1:]}" for joint in env.joint_names] if pattern[0] == "*" else [pattern]
        values |= dict.fromkeys(names, value)

    def episode():
        env.reset(seed=0)
        start = time.perf_counter()
        for action in actions:
            env.step(action)
        return time.perf_counter() - start

    extra = []
    for _ in range(40):
        off = episode()
        for name, value in values.items():
            env.parameters.set(name, value)
        extra.append(episode() - off)
        for name in values:
            env.parameters.set(name, env.parameters.spec(name).nominal)
    tick_us = statistics.median(extra) / len(actions) / env.sim.ticks * 1e6
    benchmark.extra_info.update(tick_us=tick_us)
    print(f"\n{what}: {tick_us:.2f} µs per physics step")
    benchmark.pedantic(lambda: env.step(actions[0]), rounds=50)

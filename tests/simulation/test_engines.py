"""The engines agree: one compiled robot, one set of numbers, and what comes of them within stated bounds."""

import hashlib
import subprocess
import sys
from pathlib import Path

import gymnasium as gym
import numpy as np
import pytest
from scipy.linalg import block_diag

from sim2real import Perturbed, Robot, Sim2RealError, Study, policies, set_to
from sim2real.perturb.catalogue import friction
from sim2real.simulation.engine import ENGINES, make_engine
from sim2real.study.replay import replay
from sim2real.testing import check_parameters, check_perturbed

SPIN_RAD_S = (1.0, -0.7, 0.4)


def make(task="Walk", engine="mujoco", **options):
    return gym.make(f"sim2real:sim2real/{task}-v0", engine=engine, disable_env_checker=True, **options)


def legs_in_the_air(name, held, timestep_s=0.001):
    """A G1 at a posture and speed of its own, high above the ground."""
    robot = Robot.load("g1")
    names = robot.group("legs")
    rng = np.random.default_rng(0)
    position = np.array([robot.default_pose[joint] for joint in names]) + 0.1 * rng.normal(size=12)
    velocity = rng.normal(size=12)
    engine = make_engine(name, timestep_s)
    engine.load(
        robot.compile(names).urdf, joint_names=names, base_position_m=(0, 0, 5), joint_position=position,
        fixed_base=held,
    )  # fmt: skip
    engine.set_joint_armature(np.array([robot.joints[joint].armature for joint in names]))
    engine.set_state((0, 0, 5), (0, 0, 0.6, 0.8), position, velocity)
    if not held:
        engine.add_base_velocity((0.3, 0.1, 0.5), SPIN_RAD_S)
    return engine, position, velocity


@pytest.mark.parametrize("held", [True, False])
def test_the_equations_of_motion_are_the_same(held):
    """Mass matrix and bias forces agree to 1e-6 of their largest element, joints and base."""
    found = []
    for name in ENGINES:
        engine, position, velocity = legs_in_the_air(name, held)
        turn = [] if held else [engine.principal_axes(0)] * 2
        into_link_frame = block_diag(*turn, np.eye(12))
        matrix = into_link_frame @ engine.mass_matrix(position) @ into_link_frame.T
        bias = engine.bias_forces(
            position, velocity, gravity_m_s2=(1.0, 2.0, -9.0), spin_rad_s=(0, 0, 0) if held else SPIN_RAD_S
        )
        found.append((matrix, into_link_frame @ bias))
        engine.close()
    for one, other in zip(*found, strict=True):
        np.testing.assert_allclose(one, other, rtol=0, atol=1e-6 * np.abs(one).max())


@pytest.mark.parametrize("held", [True, False])
def test_from_the_same_state_the_same_torques_lead_to_the_same_motion(held):
    """In 0.1 s in the air, clear of stops, no joint comes apart by more than 0.1 mrad, nor the base by 0.1 mm."""
    ends = []
    for name in ENGINES:
        engine, start, _ = legs_in_the_air(name, held)
        for tick in range(100):
            engine.tick((0.5 * np.sin(0.05 * tick + np.arange(12))).tolist())
        ends.append((engine.joint_state()[0], np.array(engine.base_pose()[0])))
        engine.close()
    (joints, base), (other_joints, other_base) = ends
    assert np.abs(joints - other_joints).max() < 1e-4
    assert np.abs(base - other_base).max() < 1e-4
    assert np.abs(joints - start).max() > 0.1


def test_standing_takes_the_same_force_and_torques():
    """Balanced, the ground carries the weight, and no torque differs by more than 2 N m: legs can brace each other."""
    torques = []
    for name in ENGINES:
        env = make("Stand", name)
        sim, policy = env.unwrapped.sim, policies.scripted(policies.balance).bind(env)
        observation, _ = env.reset(seed=0)
        for _ in range(200):
            observation, *_ = env.step(policy(observation))
        weight_n = 9.81 * sim.robot.tree.whole(sim.robot.default_pose).mass_kg
        assert sum(force_n for _, force_n in sim.ground_contacts) == pytest.approx(weight_n, rel=0.01)
        assert {link for link, _ in sim.ground_contacts} == set(sim.feet)
        torques.append(sim.torque_nm)
        env.close()
    assert np.abs(torques[0] - torques[1]).max() < 2.0
    assert np.abs(torques[0]).max() > 3.0


# ---- what holds in Bullet by the tests of environments -----------------------------------------------------------


def test_the_laws_of_perturbation_hold_in_mujoco():
    """Zero strength, order, instance, restoration, delay: bit for bit."""
    check_perturbed(lambda: make("Stand"), steps=15)


def digest(seed=0, steps=40):
    """What an episode in MuJoCo was, every bit of it, on feet and after a fall."""
    env = make()
    observation, _ = env.reset(seed=seed)
    found = hashlib.sha256(observation.tobytes())
    rng = np.random.default_rng(0)
    for _ in range(steps):
        observation, reward, *_ = env.step(rng.uniform(-1.0, 1.0, 12))
        found.update(observation.tobytes() + np.float64(reward).tobytes())
    env.close()
    return found.hexdigest()


def test_an_episode_repeats_in_another_process():
    """The same seed, the same bits."""
    code = "import sys; sys.path.insert(0, sys.argv[1]); import test_engines; print(test_engines.digest())"
    command = [sys.executable, "-c", code, str(Path(__file__).parent)]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip() == digest()


@pytest.fixture(scope="module")
def walk():
    env = make()
    yield env
    env.close()


def test_parameters_keep_their_promises_in_mujoco(walk):
    """One of each kind is nominal at first, refused outside its bounds, acts, and is gone without a trace."""
    names = [
        "ground.friction", "ground.restitution", "ground.rolling_friction", "ground.spinning_friction", "ground.slope",
        "gravity.z", "solver.timestep", "base.velocity_x", "base.angular_velocity_z",
        "torso.mass", "torso.inertia", "torso.com_x", "torso.stretch_y", "torso.shear_xy", "torso.length",
        "torso.force_y", "left_knee.torque_y", "left_knee.coulomb_friction", "left_knee.viscous_friction",
        "left_knee.stiction", "left_knee.stuck", "left_knee.armature", "payload.mass", "air.drag_area",
    ]  # fmt: skip
    check_parameters(walk, names=names, steps=20)
    check_parameters(walk, names=["terrain.roughness"], given={"initial.velocity_noise": 5.0})
    check_parameters(walk, names=["thrown.speed"], given={"gravity.z": -1.0})


@pytest.mark.parametrize("name", ["ground.compliance", "ground.damping"])
def test_what_an_engine_cannot_express_is_told(walk, name):
    """It is no parameter there, and a perturbation of it says why."""
    assert name not in walk.unwrapped.parameters.names()
    with pytest.raises(Sim2RealError, match=f"engine='mujoco' cannot express {name}: its contacts"):
        Perturbed(walk, [set_to(f"parameter:{name}", 1e-4)])
    with pytest.raises(Sim2RealError, match="cannot express"):
        walk.unwrapped.parameters.get(name)


@pytest.mark.parametrize("engine", ENGINES)
def test_a_study_of_an_engine_repeats_its_episodes(engine, tmp_path):
    """The engine is an argument of the environment, and so of every trial: run again it has the same digest."""
    study = Study(
        name="engines", question="Does it stand?", env="sim2real:sim2real/Stand-v0",
        policies={"balance": policies.scripted(policies.balance)}, conditions={"slippery": [friction(0.3)]},
        episodes=1, env_kwargs={"engine": engine, "episode_s": 0.4},
    )  # fmt: skip
    trials = [cell.trial for cell in study.cells()]
    rows = [[replay(trial)[0]["digest"] for trial in trials] for _ in range(2)]
    assert rows[0] == rows[1]


def test_a_picture_shows_the_same_robot():
    """After three steps both engines show the same, terrain and a flying ball included."""
    pictures = []
    for engine in ENGINES:
        env = make("Stand", engine, render_mode="rgb_array")
        parameters = env.unwrapped.parameters
        parameters.set("terrain.step_height", 0.1)
        env.reset(seed=0)
        parameters.set("thrown.speed", 3.0)
        env.render()
        for _ in range(3):
            env.step(np.zeros(12))
        pictures.append(env.render().astype(float))
        env.close()
    assert pictures[0].std() > 10.0
    assert np.abs(pictures[0] - pictures[1]).mean() < 0.2


@pytest.mark.parametrize("task", ["Reach", "Push", "Grasp", "Place", "Stack", "Insert"])
def test_every_task_can_be_made_in_mujoco(task):
    """Its expert knows nothing of the engine."""
    env = make(task)
    policy = policies.scripted(policies.expert).bind(env)
    observation, _ = env.reset(seed=0)
    policy.reset(0)
    for _ in range(5):
        observation, reward, *_ = env.step(policy(observation))
        assert np.isfinite(reward)
        assert env.observation_space.contains(observation)
    env.close()


def test_a_thing_is_grasped_in_mujoco():
    """The expert tuned in Bullet lifts the box here as well."""
    env = make("Grasp")
    policy = policies.scripted(policies.expert).bind(env)
    observation, _ = env.reset(seed=0)
    policy.reset(0)
    over = False
    while not over:
        observation, _, terminated, truncated, info = env.step(policy(observation))
        over = terminated or truncated
    assert info["success"]
    env.close()


def test_an_engine_that_is_not_there_is_told(monkeypatch):
    """By its name, or because it is not installed."""
    with pytest.raises(Sim2RealError, match="no engine 'mujco'.*Did you mean 'mujoco'"):
        make(engine="mujco")
    monkeypatch.setitem(sys.modules, "mujoco", None)
    monkeypatch.delitem(sys.modules, "sim2real.simulation.mujoco")
    with pytest.raises(Sim2RealError, match="pip install"):
        make_engine("mujoco", 0.005)

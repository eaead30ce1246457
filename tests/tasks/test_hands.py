"""Work with a hand: what is told is true, what is asked is judged by the things, and what is built can be done."""

import fnmatch
import importlib
import math
from pathlib import Path

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

from sim2real import Sim2RealError, policies
from sim2real.perturb import Normal, add, delay, scale, set_to
from sim2real.safety import grip_force, object_drop
from sim2real.simulation.objects import SHAPES
from sim2real.testing import check_parameters, check_perturbed
from sim2real.wrappers import Constrained, Perturbed

TOUCHED = ("object", "table", "initial", "pose_estimate", "hand")
TASKS = ("Reach", "Push", "Grasp", "Place", "Stack", "Insert")


def make(task="Grasp", **options):
    return gym.make(f"sim2real:sim2real/{task}-v0", disable_env_checker=True, **options)


@pytest.fixture(scope="module")
def grasp():
    env = make()
    yield env
    env.close()


def play(env, seed, policy=None, change=None):
    """The last step's info of an episode under the expert."""
    policy = policy or policies.scripted(policies.expert).bind(env)
    observation, _ = env.reset(seed=seed)
    policy.reset(seed)
    while True:
        observation, _, terminated, truncated, info = env.step(policy(observation))
        if change:
            change(info)
        if terminated or truncated:
            return info


@pytest.mark.parametrize("task", TASKS)
def test_gymnasium_finds_nothing_to_complain_about(task):
    """The environment checker passes without a warning, and terms tile the observation."""
    env = make(task, episode_s=0.4)
    check_env(env.unwrapped, skip_render_check=True)
    size = env.observation_space.shape[0]
    parts = env.unwrapped.observation_terms.values()
    assert sorted(i for part in parts for i in range(size)[part]) == list(range(size))
    env.close()


@pytest.mark.parametrize("task", TASKS)
def test_the_expert_does_what_is_asked(task):
    """Every task can be done by its expert."""
    env = make(task)
    assert play(env, seed=1)["success"]
    env.close()


@pytest.mark.parametrize("task", ["Reach", "Push", "Grasp"])
def test_a_twist_does_what_the_experts_targets_do(task):
    """The expert commands where its hand shall be: by joint targets or by the twist that leads there."""
    env = make(task, control="twist")
    assert play(env, seed=1)["success"]
    env.close()


@pytest.mark.slow
@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("robot", ["g1", "panda"])
def test_experts_reach_the_targets_of_their_tasks(task, robot, monkeypatch):
    """In 20 episodes each they succeed as often as the tasks ask, with either hand."""
    monkeypatch.syspath_prepend(Path(__file__).parents[2] / "studies")
    experts = importlib.import_module("experts")
    assert experts.successes(task, 20, robot) >= 20 * experts.TARGETS[task]


@pytest.mark.parametrize("shape", SHAPES)
def test_every_shape_can_be_grasped(shape):
    """Whatever lies on the table."""
    env = make(shape=shape)
    assert play(env, seed=2)["success"]
    env.close()


@pytest.mark.parametrize("task", TASKS)
def test_doing_nothing_is_no_success(task):
    """Nothing is given away: whoever holds still fails, and misses all of the reward for success."""
    env = make(task, reward="sparse")
    env.reset(seed=1)
    done, total = False, 0.0
    while not done:
        _, reward, terminated, truncated, info = env.step(np.zeros(env.action_space.shape))
        done, total = terminated or truncated, total + reward
        assert reward == pytest.approx(sum(info["reward_terms"].values()))
    assert not info["success"]
    assert total == 0.0
    env.close()


def test_a_grasp_counts_only_while_the_object_is_up(grasp):
    """The hand's pose earns nothing: an object that is let go is no success, however long it was held."""
    expert = policies.scripted(policies.expert).bind(grasp)
    observation, _ = grasp.reset(seed=0)
    expert.reset(0)
    for step in range(300):
        action = expert(observation)
        if step > 250:
            action[-1] = -1.0
        observation, _, _, _, info = grasp.step(action)
        if step == 250:
            assert info["reward_terms"]["success"] > 0.0
    assert not info["success"]


def test_a_grip_needs_friction(grasp):
    """The same expert drops the object once friction is far less than its grip needs."""
    table = grasp.unwrapped.parameters
    assert play(grasp, 2)["success"]
    table.set("object.friction", 0.02)
    assert not play(grasp, 2)["success"]
    table.set("object.friction", 0.8)


def test_the_held_object_touches_the_fingers_and_sinks_in_by_what_they_give_way(grasp):
    """Fingers press on it, and no contact goes deeper than a few times force times compliance."""
    play(grasp, 0)
    engine = grasp.unwrapped.sim.engine
    import pybullet

    points = pybullet.getContactPoints(bodyA=engine._robot, physicsClientId=engine._client)
    assert len(points) >= 3
    assert min(grasp.unwrapped.task.finger_force_n) > 1.0
    assert all(point[8] > -4e-3 for point in points)


def test_the_observed_pose_is_that_of_the_object(grasp):
    """Position and axes are those in the scene, seen from the base, and are wrong by what the parameters say."""
    env, table = grasp.unwrapped, grasp.unwrapped.parameters
    terms = env.observation_terms

    def seen():
        observation, _ = env.reset(seed=5)
        return observation[terms["object_position"]], observation[terms["object_orientation"]].reshape(2, 3)

    at_m, axes = seen()
    true_m, (_, _, sine, cosine) = env.sim.scene.pose("object")
    assert at_m == pytest.approx(np.subtract(true_m, env.sim.base_position_m), abs=1e-6)
    yaw = 2.0 * math.atan2(sine, cosine)
    assert axes[0] == pytest.approx([math.cos(yaw), math.sin(yaw), 0.0], abs=1e-5)
    assert axes[1] == pytest.approx([-math.sin(yaw), math.cos(yaw), 0.0], abs=1e-5)
    table.set("pose_estimate.offset_y", 0.03)
    table.set("pose_estimate.yaw", 0.4)
    off_m, off_axes = seen()
    assert off_m - at_m == pytest.approx([0.0, 0.03, 0.0], abs=1e-6)
    assert off_axes[0] == pytest.approx([math.cos(yaw + 0.4), math.sin(yaw + 0.4), 0.0], abs=1e-5)
    table.set("pose_estimate.offset_y", 0.0)
    table.set("pose_estimate.yaw", 0.0)
    table.set("pose_estimate.noise", 0.01)
    noise = np.concatenate(
        [seen()[0] - at_m, *(env.step(np.zeros(8))[0][terms["object_position"]] - at_m for _ in range(50))]
    )
    assert 0.008 < np.abs(noise).max() <= 0.01 + 1e-6
    table.set("pose_estimate.noise", 0.0)


@pytest.mark.parametrize("steps", [1, 4])
def test_a_late_pose_is_the_true_one_of_so_many_steps_ago(grasp, steps):
    """Latency shifts the observed pose by whole control steps and nothing else."""
    env = grasp.unwrapped
    part = env.observation_terms["object_position"]

    def trace():
        env.reset(seed=3)
        env.sim.scene.move("object", (0.3, -0.1, 0.9), velocity_m_s=(0.1, 0.0, 0.0))
        return np.array([env.step(np.zeros(8))[0][part] for _ in range(12)])

    prompt = trace()
    env.parameters.set("pose_estimate.latency_s", steps * env.control_period_s)
    late = trace()
    env.parameters.set("pose_estimate.latency_s", 0.0)
    assert np.array_equal(late[steps:], prompt[:-steps])


@pytest.mark.parametrize("robot", ["g1", "panda"])
@pytest.mark.parametrize("control", ["position", "twist"])
def test_an_arm_bears_its_own_weight(robot, control):
    """Commanded to stay where it is ready, the hand stays within 2 mm, whatever the gains."""
    env = make(robot=robot, control=control)
    env.unwrapped.parameters.set("initial.joint_noise", 0.0)
    env.reset(seed=0)
    start = env.unwrapped.task.hand_m
    action = np.zeros(env.action_space.shape)
    action[-1] = -1.0
    for _ in range(50):
        env.step(action)
    assert np.abs(env.unwrapped.task.hand_m - start).max() < 2e-3
    env.close()


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_a_twist_moves_the_hand_as_fast_as_it_says(axis):
    """Half of the box along an axis is 0.25 m/s along it, once the arm has got going."""
    env = make(control="twist")
    env.reset(seed=0)
    action = np.zeros(7)
    action[axis], action[-1] = (0.3 if axis < 2 else 0.3), -1.0
    places = []
    for _ in range(20):
        env.step(action)
        places.append(env.unwrapped.task.hand_m)
    speed = (places[19] - places[9]) / (10 * 0.02)
    expected = np.zeros(3)
    expected[axis] = 0.15
    assert speed == pytest.approx(expected, abs=0.04)
    env.close()


@pytest.mark.parametrize("hand", ["synergy", "joints"])
def test_torques_and_fingers_are_commanded_each_in_their_unit(hand):
    """Full effort on a finger closes it, under torque control as under position control."""
    for control in ("torque", "position"):
        env = make(control=control, hand=hand)
        env.reset(seed=0)
        fingers = [env.unwrapped.joint_names.index(name) for name in env.unwrapped.task.hand.fingers]
        before = env.unwrapped.sim.joint_position_rad[fingers]
        way = np.sign(env.unwrapped.task.hand.closed_rad - before)
        action = np.zeros(env.action_space.shape)
        action[7:] = 1.0 if hand == "synergy" else way
        for _ in range(10):
            env.step(action)
        moved = (env.unwrapped.sim.joint_position_rad[fingers] - before) * way
        assert (moved[np.abs(env.unwrapped.task.hand.closed_rad - before) > 0.2] > 0.1).all()
        env.close()


def test_without_input_energy_only_falls(grasp):
    """With its motors dead the arm's kinetic and potential energy never grows, and the object stays where it lies."""
    env, table = grasp.unwrapped, grasp.unwrapped.parameters
    robot, dead = env.sim.robot, [name for name in table.names() if name.endswith(".strength")]
    damping = {f"{joint}.viscous_friction": 0.2 if "hand" not in joint else 0.01 for joint in env.joint_names}

    def energy_j():
        angles = {**robot.default_pose, **dict(zip(env.joint_names, env.sim.joint_position_rad, strict=True))}
        whole, speed = robot.tree.whole(angles), env.sim.joint_velocity_rad_s
        kinetic = 0.5 * speed @ env.sim.engine.mass_matrix(env.sim.joint_position_rad.tolist()) @ speed
        return kinetic + 9.81 * float(whole.mass_kg * whole.com_m[2])

    for name, value in {**dict.fromkeys(dead, 0.0), **damping}.items():
        table.set(name, value)
    env.reset(seed=0)
    env.sim.scene.move("object", (0.6, 0.2, 0.79))
    energies = []
    for _ in range(150):
        env.step(np.zeros(8))
        energies.append(energy_j())
    assert np.diff(energies).max() < 0.01
    assert energies[-1] < energies[0] - 1.0
    assert np.abs(env.sim.scene.velocity("object")[0]).max() < 1e-2
    for name, value in {**dict.fromkeys(dead, 1.0), **dict.fromkeys(damping, 0.0)}.items():
        table.set(name, value)


@pytest.mark.slow
def test_every_parameter_acts_and_leaves_no_trace(grasp):
    """The laws hold for all but what random actions do not touch: the ground, and the stops of the joints.

    What is on the table and how it touches has a longer test of its own.
    """
    names = [
        name
        for name in grasp.unwrapped.parameters.names()
        if name.split(".")[0] not in ("ground", *TOUCHED) and not name.endswith("_limit")
    ]
    needs = {  # what shows only together with something else
        "actuator.thermal_time_s": {"actuator.continuous_torque": 0.1},
        "*.ripple_cycles": {f"{joint}.ripple": 0.5 for joint in grasp.unwrapped.joint_names},
    }
    for pattern, given in needs.items():
        together = fnmatch.filter(names, pattern)
        names = [name for name in names if name not in together]
        check_parameters(grasp, names=together, given=given, steps=40)
    check_parameters(grasp, names=names, steps=40)


@pytest.mark.slow
@pytest.mark.parametrize(("task", "seed"), [(task, 1 if task == "Push" else 0) for task in TASKS])
def test_the_parameters_of_a_task_act_and_leave_no_trace(task, seed):
    """The laws hold for what is on the table, where it begins, what is known of it, and how it touches.

    With these seeds random actions touch the table, and what is on it, but do not put a peg into its hole.
    """
    env = make(task)
    names = [name for name in env.unwrapped.parameters.names() if name.split(".")[0] in TOUCHED]
    check_parameters(env, names=names, seed=seed, steps=120)
    env.close()


def test_perturbations_keep_their_laws():
    """What is perturbed is repeatable, reversible and independent, objects and estimates of their poses included."""
    check_perturbed(
        make,
        [
            scale("parameter:object.size", 1.1),
            add("parameter:table.height", 0.02),
            add("parameter:pose_estimate.noise", 0.01),
            add("observation:object_position", Normal(0, 0.01)),
            delay("action", 1),
        ],
    )


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"robot": "mannequin"}, "no robot 'mannequin'"),
        ({"variant": "nothing"}, "no variant 'nothing'"),
        ({"arm": "midle"}, "no hand 'midle'"),
        ({"shape": "bax"}, "shape 'bax'.*'box'"),
        ({"reward": "spars"}, "'dense' or 'sparse'"),
        ({"hand": "fist"}, "'synergy' or 'joints'"),
        ({"control": "thought"}, "'position', 'torque' or 'twist'"),
    ],
)
def test_a_mistake_is_named(options, sentence):
    """One sentence says what was wrong."""
    with pytest.raises(Sim2RealError, match=sentence):
        make(**options)


def test_a_robot_without_hands_is_refused(request):
    """Whoever has no hand cannot work with one, and nobody walks on arms."""
    ball = request.path.parents[1] / "robots" / "ball"
    with pytest.raises(Sim2RealError, match="no hands"):
        make(robot=str(ball))
    with pytest.raises(Sim2RealError, match="leave arm out"):
        make("Walk", arm="right")


def test_an_observed_perturbation_reaches_the_expert():
    """With the object seen far beside where it is the expert grasps at nothing."""
    env = Perturbed(make(), [set_to("parameter:pose_estimate.offset_y", 0.1)])
    policy = policies.scripted(policies.expert).bind(env)
    assert not play(env, 0, policy)["success"]
    env.close()


def test_grip_and_height_of_the_object_can_be_constrained():
    """A grip is as strong as the fingers' forces add up to; the object is lowest where it stood at first."""
    env = Constrained(make(), [grip_force(1.0), object_drop(0.9)])
    expert = policies.scripted(policies.expert).bind(env)
    env.reset(seed=0)
    start_m = env.unwrapped.sim.scene.pose("object")[0][2]
    info = play(env, 0, expert)
    told = info["safety"]["constraints"]
    assert told["grip_force"]["worst_excess"] >= env.unwrapped.task.grip_force_n - 1.0 > 0.0
    assert told["object_drop"]["worst_excess"] == pytest.approx(0.9 - start_m, abs=2e-3)
    with pytest.raises(Sim2RealError, match="object_drop.*object_in_world"):
        Constrained(make("Reach"), [object_drop(0.5)])


@pytest.mark.parametrize("restitution", [0.0, 0.3, 0.7])
def test_an_object_bounces_off_the_table_with_what_restitution_leaves_of_its_speed(grasp, restitution):
    """From any height the speed after the bounce is e times that before, to the 0.1 that ticks leave open."""
    env = grasp.unwrapped
    env.parameters.set("object.restitution", restitution)
    for height_m in (0.05, 0.1, 0.2):
        env.reset(seed=0)
        (x, y, z), quaternion = env.sim.scene.pose("object")
        env.sim.scene.move("object", (x + 0.12, y, z + height_m), quaternion)
        speeds = []
        for _ in range(150):
            env.sim.engine.tick([0.0] * len(env.joint_names))
            speeds.append(env.sim.scene.velocity("object")[0][2])
        fastest = int(np.argmin(speeds))
        assert speeds[fastest] == pytest.approx(-math.sqrt(2 * 9.81 * height_m), rel=0.05)
        kept = max(speeds[fastest : fastest + 10]) / -speeds[fastest]
        assert restitution - 0.01 <= kept <= restitution + 0.1
    env.parameters.set("object.restitution", 0.0)


@pytest.mark.parametrize(("clearance_m", "falls_in"), [(0.002, False), (0.006, False), (0.01, True)])
def test_a_peg_falls_into_a_hole_that_is_wider_than_it_and_into_no_other(clearance_m, falls_in):
    """A peg of 48 mm over a hole of 42 or 46 mm stays on its rim, and over one of 50 mm reaches the floor."""
    env = make("Insert").unwrapped
    env.parameters.set("object.size", 1.2)
    env.parameters.set("hole.clearance", clearance_m)
    env.reset(seed=0)
    x, y, z = (a + b for a, b in zip(env.task.goal, env.sim.base_position_m, strict=True))
    env.sim.scene.move("object", (x, y, z + 0.03 + 0.06 + 0.005))
    for _ in range(40):
        env.sim.step(env.sim.default_pose)
    foot_m = env.sim.scene.pose("object")[0][2] - 0.06 - z
    assert foot_m == pytest.approx(0.0 if falls_in else 0.03, abs=2e-3)
    env.close()

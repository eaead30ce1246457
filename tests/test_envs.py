import os
import subprocess
import sys
import warnings

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

from sim2real import Normal, Perturbed, add, policies, scale, set_to
from sim2real.errors import Sim2RealError
from sim2real.testing import check_parameters

HELD = np.zeros(12)  # the default pose
IDS = ("sim2real:sim2real/Stand-v0", "sim2real:sim2real/Walk-v0")


def make(task="Walk", **options):
    return gym.make(f"sim2real:sim2real/{task}-v0", disable_env_checker=True, **options)


@pytest.fixture(scope="module")
def walk():
    env = make(episode_s=1.0)
    yield env
    env.close()


@pytest.fixture(scope="module")
def stand():
    env = make("Stand", episode_s=4.0)
    yield env
    env.close()


def wriggle(env, seed=3, steps=40):
    """Everything an episode says under random targets about the default pose."""
    rng = np.random.default_rng(seed)
    observation, _ = env.reset(seed=seed)
    trace = [observation.tobytes()]
    for _ in range(steps):
        action = 0.2 * rng.standard_normal(env.action_space.shape)
        observation, reward, terminated, truncated, _ = env.step(action)
        trace.append((observation.tobytes(), reward, terminated))
        if terminated or truncated:
            break
    return trace


@pytest.mark.parametrize("env_id", IDS)
@pytest.mark.parametrize("control", ["position", "torque"])
def test_gymnasium_finds_nothing_to_complain_about(env_id, control):
    """The environment checker passes without a warning, bare and perturbed."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for conditions in ([], [add("observation:gyro", Normal(0, 0.1)), scale("parameter:*.strength", 0.9)]):
            env = gym.make(env_id, control=control, episode_s=0.5)
            check_env(Perturbed(env, conditions).unwrapped if not conditions else env.unwrapped,
                      skip_render_check=True)  # fmt: skip
            env.close()


@pytest.mark.parametrize("env_id", IDS)
def test_terms_tile_the_observation(env_id):
    """Every component belongs to exactly one named term, and what is observed lies in the space."""
    env = gym.make(env_id, disable_env_checker=True)
    size = env.observation_space.shape[0]
    covered = sorted(i for part in env.unwrapped.observation_terms.values() for i in range(size)[part])
    assert covered == list(range(size))
    assert env.observation_space.contains(env.reset(seed=0)[0])
    env.close()


@pytest.mark.parametrize("task", ["walk", "stand"])
def test_the_reward_is_the_sum_of_its_terms(request, task):
    """Nothing is rewarded that has no name."""
    env = request.getfixturevalue(task)
    env.reset(seed=0)
    for _ in range(20):
        _, reward, _, _, info = env.step(HELD)
        assert reward == pytest.approx(sum(info["reward_terms"].values()), abs=1e-12)
        assert set(info["reward_terms"]) == set(env.unwrapped.task.REWARDS)


def test_sensors_tell_the_true_state_at_rest(stand):
    """Upright and still: no turning, gravity straight down, joints where they are."""
    stand.unwrapped.parameters.set("initial.joint_noise", 0.0)
    stand.unwrapped.parameters.set("initial.velocity_noise", 0.0)
    observation, _ = stand.reset(seed=0)
    terms = stand.unwrapped.observation_terms
    assert observation[terms["gyro"]] == pytest.approx([0, 0, 0], abs=1e-9)
    assert observation[terms["projected_gravity"]] == pytest.approx([0, 0, -1], abs=1e-6)
    assert observation[terms["joint_position"]] == pytest.approx(stand.unwrapped.default_pose, abs=1e-6)
    stand.unwrapped.parameters.set("initial.joint_noise", 0.05)
    stand.unwrapped.parameters.set("initial.velocity_noise", 0.1)


def test_the_same_seed_is_the_same_episode_bit_for_bit(walk):
    """Repeated after other episodes, and in another process."""
    first = wriggle(walk)
    wriggle(walk, seed=4)
    assert wriggle(walk) == first
    code = (
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "from test_envs import make, wriggle\n"
        "print(hash(tuple(wriggle(make(episode_s=1.0)))))"
    )
    run = subprocess.run(
        [sys.executable, "-c", code, __file__.rpartition("/")[0]],
        capture_output=True, text=True, check=True, env=os.environ | {"PYTHONHASHSEED": "0"},
    )  # fmt: skip
    here = subprocess.run(
        [sys.executable, "-c", f"print(hash(tuple({first!r})))"],
        capture_output=True, text=True, check=True, env=os.environ | {"PYTHONHASHSEED": "0"},
    )  # fmt: skip
    assert run.stdout == here.stdout


@pytest.mark.parametrize("steps", [10, 48, 60])
def test_an_episode_remembers_nothing_of_a_fall(steps):
    """The first episode after one that ended on its toes, or on the ground, is that of a fresh environment."""

    def flail(env):
        observation, _ = env.reset(seed=0)
        env.action_space.seed(0)
        return [observation.tobytes(), *(env.step(env.action_space.sample())[0].tobytes() for _ in range(5))]

    env = make(episode_s=2.0)
    fresh = flail(env)
    env.close()
    env = make(episode_s=2.0)
    env.reset(seed=0)
    for _ in range(steps):
        if env.step(HELD)[2]:
            break
    assert flail(env) == fresh
    env.close()


def test_different_seeds_are_different_episodes(walk):
    """The spread of the initial state is real."""
    assert wriggle(walk, seed=1)[0] != wriggle(walk, seed=2)[0]


def test_zero_strength_is_no_perturbation(walk):
    """Perturbations at strength 0 leave every bit alone, recompiling ones too."""
    bare = wriggle(walk)
    conditions = [
        set_to("parameter:payload.mass", 5.0).at(0.0),
        scale("parameter:*.strength", 0.5).at(0.0),
        add("observation", Normal(0, 1)).at(0.0),
    ]
    perturbed = Perturbed(walk, conditions)
    assert wriggle(perturbed) == bare
    perturbed.restore()


def test_rendering_changes_nothing():
    """An episode that is looked at is the episode that is not."""
    env, seen = make(episode_s=0.5), make(episode_s=0.5, render_mode="rgb_array", render_size=(64, 48))

    def act(env, look):
        env.reset(seed=5)
        out = []
        for _ in range(20):
            out.append(env.step(HELD)[0].tobytes())
            if look:
                picture = env.render()
                assert picture.shape == (48, 64, 3)
                assert picture.std() > 5
        return out

    assert act(env, look=False) == act(seen, look=True)
    env.close()
    seen.close()


def test_an_episode_ends_with_how_it_went(walk):
    """The last step, and no other, brings success, the cause and the figures."""
    walk.reset(seed=0)
    for _ in range(60):
        *_, terminated, truncated, info = walk.step(HELD)
        over = terminated or truncated
        assert ("metrics" in info) == ("success" in info) == ("termination" in info) == over
        if over:
            break
    assert over
    assert all(isinstance(value, float) for value in info["metrics"].values())


def test_standing_still_is_not_walking(walk):
    """Success at the commanded speed needs the speed."""
    walk.unwrapped.task.reset()
    walk.unwrapped.task._steps = 10
    walk.unwrapped.task._sum_command_x = 10 * 0.5
    assert not walk.unwrapped.task.succeeded()
    walk.unwrapped.task._sum_velocity = [10 * 0.45, 0.0, 0.0]
    assert walk.unwrapped.task.succeeded()


def test_the_command_is_a_parameter(walk):
    """A perturbation of the command is what the policy sees."""
    env = Perturbed(walk, [set_to("parameter:command.velocity_x", 0.3)])
    observation, info = env.reset(seed=0)
    assert observation[walk.unwrapped.observation_terms["command"]] == pytest.approx([0.3, 0, 0])
    assert info["parameters"]["command.velocity_x"] == 0.3
    env.restore()


def test_the_gait_clock_turns_once_a_period(walk):
    """Sine and cosine of 2π t / T."""
    observation, _ = walk.reset(seed=0)
    term = walk.unwrapped.observation_terms["gait_phase"]
    assert observation[term] == pytest.approx([0, 1])
    for _ in range(10):  # a quarter of 0.8 s
        observation = walk.step(HELD)[0]
    assert observation[term] == pytest.approx([1, 0], abs=1e-6)


def stands(env, seconds, condition=()):
    policy = policies.scripted(policies.balance).bind(env)
    env = Perturbed(env, condition)
    observation, _ = env.reset(seed=0)
    for _ in range(round(seconds * 50)):
        observation, _, terminated, truncated, info = env.step(policy(observation))
        if terminated or truncated:
            break
    env.restore()
    return info["termination"] == "", info["metrics"]


def test_the_balance_controller_stands_where_the_held_pose_falls(stand):
    """Holding the pose is unstable; the controller stands, also on slippery ground, loaded, late and pushed."""
    assert stands(stand, 4)[0]
    for condition in (
        [set_to("parameter:ground.friction", 0.2)],
        [set_to("parameter:payload.mass", 5.0)],
        [set_to("parameter:actuator.latency_s", 0.02)],
        [add("parameter:base.velocity_y", 0.2)],
        [add("observation:gyro", Normal(0, 0.05))],
    ):
        upright, metrics = stands(stand, 4, condition)
        assert upright, condition
        assert metrics["max_tilt_rad"] < 0.3
    hold = policies.scripted(policies.hold).bind(stand)
    observation, _ = stand.reset(seed=0)
    for _ in range(200):
        observation, _, terminated, _, info = stand.step(hold(observation))
        if terminated:
            break
    assert info["termination"] == "fell"


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"robot": "g2"}, "no robot 'g2'"),
        ({"control": "velocity"}, "'position', 'torque' or 'twist'"),
        ({"gait": 0.8}, "'walk' cannot be made with these options"),
        ({"rewards": {"enrgy": 1.0}}, "Did you mean 'energy'"),
        ({"control_period_s": 0.013}, "whole multiple"),
    ],
)
def test_a_wrong_option_is_told_in_a_sentence(options, sentence):
    """Before anything is simulated."""
    with pytest.raises(Sim2RealError, match=sentence):
        make(**options)


def test_every_parameter_of_the_walking_robot_acts(walk):
    """All of them, by name: nominal, refused outside bounds, acting, and gone without a trace."""
    names = walk.unwrapped.parameters.names()
    joints = walk.unwrapped.joint_names
    hidden = [  # what shows only together with something else
        ({"ground.slope": 0.1}, ["ground.slope_direction"]),
        ({"payload.mass": 3.0}, [f"payload.{axis}" for axis in "xyz"]),
        ({"air.drag_area": 0.5}, [f"wind.speed_{axis}" for axis in "xyz"]),
        ({"ground.compliance": 1e-4}, ["ground.damping"]),
        (
            {"gravity.z": -1.0},
            ["thrown.speed"],
        ),  # a slow ball, and a robot that falls slowly enough to be met
        ({"initial.velocity_noise": 5.0}, ["terrain.roughness", "terrain.step_height"]),
        ({"initial.velocity_noise": 5.0, "terrain.roughness": 0.1}, ["terrain.step_length"]),
        ({"actuator.continuous_torque": 0.5}, ["actuator.thermal_time_s"]),
        ({"battery.voltage": 0.3}, [f"{joint}.no_load_speed" for joint in joints]),  # a curve that is met
        ({f"{joint}.ripple": 1.0 for joint in joints}, [f"{joint}.ripple_cycles" for joint in joints]),
    ]
    stops = [name for name in names if name.endswith(("lower_limit", "upper_limit"))]
    balls = ["thrown.mass", "thrown.radius", "thrown.direction"]
    apart = {*stops, *balls, *(name for _, of in hidden for name in of)}
    probes = check_parameters(walk, names=[name for name in names if name not in apart], steps=20)
    for given, of in hidden:
        probes |= check_parameters(walk, names=of, given=given)
    assert {*probes, *stops, *balls} == set(names)


def test_every_parameter_of_a_thrown_ball_acts(walk):
    """Another mass, size or direction is another throw, and the next episode shows nothing of it."""
    parameters = walk.unwrapped.parameters
    free = wriggle(walk, steps=25)

    def thrown():
        walk.reset(seed=3)
        parameters.set("thrown.speed", 5.0)
        return [walk.step(HELD)[0].tobytes() for _ in range(25)]

    throw = thrown()
    for name, value in (("mass", 0.5), ("radius", 0.05), ("direction", 1.0)):
        parameters.set(f"thrown.{name}", value)
        assert thrown() != throw, name
        parameters.set(f"thrown.{name}", parameters.spec(f"thrown.{name}").nominal)
        assert thrown() == throw, name
    assert wriggle(walk, steps=25) == free


def test_every_stop_of_the_walking_robot_acts(walk):
    """A stop moved to the default pose is met; moved back it leaves no trace."""
    parameters = walk.unwrapped.parameters
    free = wriggle(walk, steps=15)
    for joint, at in zip(walk.unwrapped.joint_names, walk.unwrapped.default_pose, strict=True):
        for side in ("lower", "upper"):
            nominal = parameters.get(f"{joint}.{side}_limit")
            parameters.set(f"{joint}.{side}_limit", float(at))
            assert wriggle(walk, steps=15) != free, (joint, side)
            parameters.set(f"{joint}.{side}_limit", nominal)
            assert wriggle(walk, steps=15) == free, (joint, side)


def test_what_is_random_in_the_motors_follows_the_reset_seed(walk):
    """Same seed, same jitter, loss and torque noise; the next episode without a seed has others, repeatably."""
    parameters = walk.unwrapped.parameters
    values = {"actuator.jitter_s": 0.02, "actuator.loss": 0.3, "actuator.torque_noise": 0.05}
    actions = 0.1 * np.random.default_rng(0).standard_normal((10, 12))
    parameters.set("initial.joint_noise", 0.0)
    parameters.set("initial.velocity_noise", 0.0)

    def episode(seed):
        walk.reset(seed=seed)
        return [walk.step(action)[0].tobytes() for action in actions]

    plain = episode(1)
    assert episode(2) == plain
    for name, value in values.items():
        parameters.set(name, value)
        one, two, other = episode(1), episode(None), episode(2)
        assert len({tuple(e) for e in (plain, one, two, other)}) == 4
        assert [episode(1), episode(None)] == [one, two]
        parameters.set(name, 0.0)
    parameters.set("initial.joint_noise", 0.05)
    parameters.set("initial.velocity_noise", 0.1)
    walk.reset(seed=1)
    own = walk.unwrapped.np_random.bit_generator.state
    parameters.set("actuator.torque_noise", 0.05)
    walk.reset(seed=1)
    walk.step(HELD)
    assert walk.unwrapped.np_random.bit_generator.state == own
    parameters.set("actuator.torque_noise", 0.0)

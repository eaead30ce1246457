"""The scripted walker: its legs reach where they should, it is the same left and right, and it walks."""

import gymnasium as gym
import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from sim2real import Sim2RealError, policies
from sim2real.policies.gait import ACCELERATION_M_S2, FAST, FULL_M_S, SLOW
from sim2real.tasks.walk import TOLERANCE_M_S
from sim2real.training.symmetry import joint_mirror


@pytest.fixture(scope="module")
def walk():
    env = gym.make("sim2real:sim2real/Walk-v0", engine="mujoco")
    env.reset(seed=0)
    yield env
    env.close()


@pytest.fixture(scope="module")
def walker(walk):
    return policies.gait(walk)


@settings(max_examples=30)
@given(x=st.floats(-0.2, 0.2), y=st.floats(-0.1, 0.1), z=st.floats(-0.62, -0.5))
def test_legs_put_a_level_foot_where_it_should_be(walk, walker, x, y, z):
    """Forward kinematics finds the foot where it was to be, to 3.5 cm: the hip rolls about a tilted axis."""
    tree = walk.unwrapped.sim.robot.tree
    pitch, roll, knee, ankle_pitch, ankle_roll = walker._leg(x, y, z)
    angles = {
        "left_hip_pitch": pitch, "left_hip_roll": roll, "left_knee": knee,
        "left_ankle_pitch": ankle_pitch, "left_ankle_roll": ankle_roll,
    }  # fmt: skip
    poses = tree.link_poses(angles)
    at = {joint.name: poses[tree.index[joint.child]] for joint in tree.joints}
    hip_m = np.array([at["left_hip_pitch"][0, 3], at["left_hip_roll"][1, 3], at["left_hip_pitch"][2, 3]])
    foot = at["left_ankle_roll"]
    assert at["left_ankle_pitch"][:3, 3] - hip_m == pytest.approx([x, y, z], abs=0.035)
    assert foot[2, 2] > np.cos(0.15)


TILT, RATE, SPEED = st.floats(-0.3, 0.3), st.floats(-1.0, 1.0), st.floats(-0.8, 0.8)


@settings(max_examples=30)
@given(
    command=st.tuples(st.floats(0.0, 0.8), st.floats(-0.3, 0.3), st.floats(-0.5, 0.5)),
    clock=st.floats(0.0, 1.0),
    state=st.tuples(TILT, TILT, RATE, RATE, SPEED, SPEED),
)
def test_left_and_right_are_mirror_images(walk, command, clock, state):
    """Half a cycle later, in the mirror image of a state and told to go to the other side, it does the mirror image."""
    assume(
        min(abs(clock % 0.5 - edge) for edge in (0.0, 0.05, 0.5)) > 1e-6
    )  # where a foot is lifted or put down
    robot = walk.unwrapped
    mirror = joint_mirror(robot.sim.robot, robot.joint_names)
    observation = np.zeros(robot.observation_space.shape)

    def act(side, phase):
        policy = policies.gait(walk)
        policy._state = lambda: tuple(np.array(state) * (1.0, side, 1.0, side, 1.0, side))
        observation[robot.observation_terms["command"]] = np.array(command) * (1.0, side, side)
        observation[robot.observation_terms["gait_phase"]] = np.sin(phase), np.cos(phase)
        return policy(observation)

    phase = 2.0 * np.pi * clock
    np.testing.assert_allclose(act(-1.0, phase + np.pi), mirror(act(1.0, phase)), atol=1e-3)


@pytest.mark.parametrize("engine", ["mujoco", "bullet"])
@pytest.mark.parametrize("forward_m_s", [0.3, 0.8])
def test_it_walks(engine, forward_m_s):
    """In either engine it follows a command for ten seconds, one foot after the other, and hardly slips."""
    env = gym.make("sim2real:sim2real/Walk-v0", engine=engine, command=(forward_m_s, 0.0, 0.2))
    policy = policies.scripted(policies.gait).bind(env)
    observation, _ = env.reset(seed=0)
    policy.reset(0)
    over = False
    while not over:
        observation, _, terminated, truncated, info = env.step(policy(observation).astype(np.float32))
        over = terminated or truncated
    found = info["metrics"]
    assert not terminated
    assert found["velocity_error_m_s"] < TOLERANCE_M_S
    assert found["alternation"] > 0.95
    assert found["flight_fraction"] < 0.05
    assert found["asymmetry"] < 0.1
    assert found["slip_m_s"] < 0.15
    env.close()


@settings(max_examples=30)
@given(command=st.floats(0.0, 1.0))
def test_it_approaches_a_speed_and_its_gains_no_faster_than_it_may(walk, command):
    """It aims no nearer than it may accelerate, at the command in the end, and mixes gains by speed."""
    policy = policies.gait(walk)
    policy._accelerate([command, 0.0])
    assert policy._aim_m_s[0] == min(command, ACCELERATION_M_S2 * 0.02)
    for _ in range(200):
        policy._accelerate([command, 0.0])
    assert policy._aim_m_s[0] == pytest.approx(command)
    share = min(1.0, command / FULL_M_S)
    mixed = (1.0 - share) * np.array(SLOW) + share * np.array(FAST)
    np.testing.assert_allclose(policy._gains, mixed, atol=1e-12)


def test_what_it_cannot_walk_with_is_named(walk):
    """Another robot, or a gain that there is not, is refused in one sentence."""
    with pytest.raises(Sim2RealError, match="no gain 'lift'.*lift_m"):
        policies.gait(walk, fast={"lift": 0.1})
    reach = gym.make("sim2real:sim2real/Reach-v0")
    with pytest.raises(Sim2RealError, match="two legs"):
        policies.gait(reach)
    reach.close()

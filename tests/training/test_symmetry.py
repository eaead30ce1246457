import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sim2real.errors import Sim2RealError
from sim2real.policies import Contract, Term
from sim2real.robots import Robot
from sim2real.training import Ppo, Training
from sim2real.training.environment import Trainee
from sim2real.training.learner import Learner
from sim2real.training.privileged import TRUTHS, truths
from sim2real.training.symmetry import joined, joint_mirror, observation_mirror
from sim2real.training.vector import Environments

G1 = Robot.load("g1")
WALK = Training(
    name="walk",
    env="sim2real:sim2real/Walk-v0",
    env_kwargs={"command": (0.4, 0.0, 0.0)},
    history=2,
    algorithm=Ppo(rollout=8, batch=16, epochs=1, mirror=True, privileged=tuple(TRUTHS)),
    network=(16,),
    environments=2,
    processes=0,
    steps=16,
)


@pytest.fixture(scope="module")
def walker():
    env = Trainee(WALK)
    yield env
    env.close()


def mirrors(env):
    told = truths(WALK.algorithm.privileged, env.unwrapped)
    seen = joined([observation_mirror(G1, env.contract), *(truth.mirror for truth in told)])
    return seen, joint_mirror(G1, env.contract.joints)


def test_a_mirror_image_of_a_mirror_image_is_the_thing_itself(walker):
    """Mirrored twice, all joints of the robot and all that the network and the critic read are as before."""
    for mirror in (joint_mirror(G1, G1.joint_names), *mirrors(walker)):
        values = np.random.default_rng(0).normal(size=(5, len(mirror.index))).astype(np.float32)
        np.testing.assert_array_equal(mirror(mirror(values)), values)
        assert not np.array_equal(mirror(values), values)


def test_only_what_turns_about_the_lateral_axis_keeps_its_sign():
    """Pitch and knee angles stay, roll and yaw angles change sign, for every joint of the robot."""
    signs = dict(zip(G1.joint_names, joint_mirror(G1, G1.joint_names).sign, strict=True))
    assert all(
        (sign > 0) == ("pitch" in name or "knee" in name or "elbow" in name) for name, sign in signs.items()
    )


@settings(max_examples=5, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_a_mirrored_robot_moves_as_the_mirror_image(seed):
    """Mirrored actions from a mirrored start lead to mirrored readings and truths, up to the robot's own asymmetry."""
    here, there = Trainee(WALK), Trainee(WALK)
    seen, done = mirrors(here)
    for env in (here, there):
        for name in ("joint_noise", "velocity_noise"):
            env.unwrapped.parameters.set(f"initial.{name}", 0.0)
        env.reset(seed=0)
        sim = (
            env.unwrapped.sim
        )  # in the air: a foot that lands a tick later makes more of an asymmetry than it is
        sim.engine.set_state((0.0, 0.0, 2.0), (0.0, 0.0, 0.0, 1.0), sim.default_pose.tolist())
    rng = np.random.default_rng(seed)
    clock = np.arange(seen.index.size)[here.read - 4 : here.read]  # both see the same time
    moved = 0.0
    for _ in range(6):
        action = rng.normal(0, 0.5, 12).astype(np.float32)
        a, *_ = here.step(action)
        b, *_ = there.step(done(action))
        image = seen(a)
        image[clock] = b[clock]
        moved = max(moved, float(np.abs(a - b).max()))
        np.testing.assert_allclose(image, b, atol=0.02)
    assert moved > 0.5
    here.close()
    there.close()


def test_every_sample_is_learnt_from_with_its_mirror_image():
    """A batch holds each observation and action and its image, with the same probability, advantage and return."""
    environments = Environments(WALK)
    learner = Learner(WALK, environments, 0)
    learner.stretch(0, 16)
    seen, done = mirrors(environments.trainee)
    (batch,) = learner.model.rollout_buffer.get(16)
    first, second = (type(batch)(*(part[half] for part in batch)) for half in (slice(16), slice(16, 32)))
    np.testing.assert_array_equal(seen(first.observations.numpy()), second.observations)
    np.testing.assert_array_equal(done(first.actions.numpy()), second.actions)
    assert all(torch.equal(*pair) for pair in zip(first[2:], second[2:], strict=True))
    environments.close()


def test_the_actor_does_not_see_what_only_the_critic_is_told():
    """Privileged values change the value of a state and not the action taken in it."""
    environments = Environments(WALK)
    policy = Learner(WALK, environments, 0).model.policy
    seen = torch.zeros(1, environments.observation_space.shape[0])
    told = seen.clone()
    told[:, environments.trainee.read :] = 1.0
    assert torch.equal(*(policy.get_distribution(x).distribution.mean for x in (seen, told)))
    assert not torch.equal(policy.predict_values(seen), policy.predict_values(told))
    environments.close()


def test_what_has_no_known_mirror_image_is_refused():
    """An unknown term, a lone joint and an offset on one side each give one sentence."""
    joints = ("left_knee", "right_knee")
    common = {"joints": joints, "control": "position", "control_period_s": 0.02}
    with pytest.raises(Sim2RealError, match="mirror image of 'wind'"):
        observation_mirror(G1, Contract(observation=(Term(term="wind", size=1),), **common))
    with pytest.raises(Sim2RealError, match="no mirror image 'right_knee'"):
        joint_mirror(G1, ("left_knee",))
    with pytest.raises(Sim2RealError, match="action_offset is not the same"):
        observation_mirror(
            G1, Contract(observation=(Term(term="gyro", size=3),), action_offset=(0.1, 0.2), **common)
        )

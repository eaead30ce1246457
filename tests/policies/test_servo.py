"""The visual servo: it has no memory, it does what is asked, and it does not give up."""

import gymnasium as gym
import numpy as np
import pytest

from sim2real import Sim2RealError, policies


def make(task, **options):
    return gym.make(
        f"sim2real:sim2real/{task}-v0", disable_env_checker=True, **{"control": "twist"} | options
    )


def play(env, policy, seed, meddle=None):
    """The last step's info of an episode, and all that was seen."""
    observation, _ = env.reset(seed=seed)
    seen, over = [observation], False
    while not over:
        observation, _, terminated, truncated, info = env.step(policy(observation))
        seen.append(observation)
        if meddle:
            meddle(env.unwrapped)
        over = terminated or truncated
    return info, seen


@pytest.fixture(scope="module")
def grasp():
    env = make("Grasp")
    yield env
    env.close()


@pytest.mark.parametrize(
    ("task", "robot"), [("Reach", "g1"), ("Push", "g1"), ("Reach", "panda"), ("Grasp", "panda")]
)
def test_it_does_what_is_asked_within_four_seconds(task, robot):
    """Whatever the hand, the goal is reached in time to be held for the last second of four."""
    env = make(task, robot=robot, episode_s=4.0)
    info, _ = play(env, policies.scripted(policies.servo).bind(env), seed=1)
    assert info["success"]
    env.close()


def test_what_it_does_follows_from_what_it_sees(grasp):
    """Asked about the states of an episode backwards, another one gives bit for bit the same answers."""
    one, other = policies.servo(grasp), policies.servo(grasp)
    _, seen = play(grasp, one, seed=0)
    forwards = [one(observation) for observation in seen]
    backwards = [other(observation) for observation in reversed(seen)]
    assert np.array_equal(forwards, backwards[::-1])
    assert np.abs(forwards).max() <= 1.0


def test_what_is_knocked_out_of_its_grip_is_taken_again(grasp):
    """An object that is put back on the table while it is lifted is lifted in the end."""
    taken = []

    def meddle(env):
        if not taken and env.task.clearance_m() > 0.05:
            taken.append(True)
            at, quaternion = env.sim.scene.pose("object")
            env.sim.scene.move("object", (at[0], at[1], at[2] - env.task.clearance_m()), quaternion)

    info, _ = play(grasp, policies.servo(grasp), 2, meddle)
    assert taken
    assert info["success"]


def test_where_it_cannot_work_it_says_so():
    """Joint targets and tasks it does not know are one sentence each."""
    for options, says in (
        ({"task": "Grasp", "control": "position"}, "control='twist'"),
        ({"task": "Stack"}, "'servo' cannot do Stack"),
    ):
        env = make(**options)
        with pytest.raises(Sim2RealError, match=says):
            policies.servo(env)
        env.close()

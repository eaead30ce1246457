"""Environments that others wrote, as they come from the package index, keep every law of perturbation."""

import pickle
from dataclasses import replace
from functools import partial
from pathlib import Path

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.wrappers import AddRenderObservation, Autoreset, RecordEpisodeStatistics, TimeLimit

from sim2real import Attributes, Integers, Normal, Perturbed, Uniform, add, delay, discover, hold, scale
from sim2real.testing import check_perturbed

pytest.importorskip("panda_gym")
pytest.importorskip("pybullet_envs_gymnasium")

CLASSIC = ["CartPole-v1", "Acrobot-v1", "MountainCar-v0", "MountainCarContinuous-v0", "Pendulum-v1"]
TOYS = ["Blackjack-v1", "CliffWalking-v1", "FrozenLake-v1", "Taxi-v4"]
MUJOCO = ["HalfCheetah-v5", "Walker2d-v5", "Humanoid-v5"]
PYBULLET = ["HopperBulletEnv-v0", "AntBulletEnv-v0"]
DYNAMICS = {
    "HalfCheetah-v5": [
        scale("parameter:torso.mass", Uniform(0.5, 2)),
        scale("parameter:ground.friction", 0.5),
    ],
    "Walker2d-v5": [scale("parameter:*.strength", Uniform(0.5, 1)), scale("parameter:gravity.z", 0.8)],
    "Humanoid-v5": [scale("parameter:{left,right}_thigh.mass", 1.5), add("parameter:torso.com_x", 0.05)],
    "HopperBulletEnv-v0": [scale("parameter:foot.mass", 2.0), add("parameter:actuator.latency_s", 0.033)],
    "AntBulletEnv-v0": [scale("parameter:ground.friction", Uniform(0.2, 1)), scale("parameter:*.mass", 1.2)],
    "PandaReach-v3": [scale("parameter:*.strength", 0.01), scale("parameter:gravity.z", 0.5)],
}


@pytest.fixture(autouse=True)
def away(tmp_path, monkeypatch):
    """Play elsewhere, as MuJoCo writes its warnings into a file where it runs."""
    monkeypatch.chdir(tmp_path)


def make(id, **kwargs):
    """Make an environment; those of pybullet_envs_gymnasium play their first episode unlike all later ones."""
    env = gym.make(id, disable_env_checker=True, **kwargs)
    if id in PYBULLET:
        env.reset(seed=0)
    return env


@pytest.mark.parametrize("id", [*CLASSIC, *TOYS, *MUJOCO, *PYBULLET])
def test_signals_of_any_environment_can_be_perturbed(id):
    """Noise, lag and loss keep the laws on numbers, and lag and loss on what is only one of several."""
    check_perturbed(lambda: make(id), steps=15)


def test_the_laws_find_what_an_environment_does_wrong_by_itself():
    """An environment whose first episode is unlike a later one with its seed is told so."""
    with pytest.raises(AssertionError, match="its first episode is unlike later ones"):
        check_perturbed(lambda: gym.make("HopperBulletEnv-v0", disable_env_checker=True), steps=15)


@pytest.mark.parametrize("id", DYNAMICS)
def test_dynamics_of_any_simulator_can_be_perturbed(id):
    """Masses, friction, motors and gravity found in an environment keep the laws, and act."""
    check_perturbed(lambda: make(id), DYNAMICS[id], parameters=discover, steps=20)
    env = make(id)
    bare, changed = (rollout(one, 12) for one in (env, Perturbed(env, DYNAMICS[id], parameters=discover)))
    assert not same(bare, changed)
    env.close()


@pytest.mark.parametrize("part", ["observation", "achieved_goal", "desired_goal"])
def test_a_part_of_a_dict_is_late_alone(part):
    """In a Dict of observations one part can be late by k steps while the others stay as they are."""
    env = make("PandaReach-v3")
    bare = rollout(env, 10)
    late = rollout(Perturbed(env, [delay(f"observation:{part}", 2)]), 10)
    for key in bare[0]:
        values = [observation[key] for observation in bare]
        expected = values[:1] * 2 + values[:-2] if key == part else values
        assert same(expected, [observation[key] for observation in late])
    env.close()


def filmed():
    return AddRenderObservation(
        make("PandaReach-v3", render_mode="rgb_array", render_width=32, render_height=24)
    )


def test_images_can_be_noisy_late_and_lost():
    """Pixels are perturbed within their range, as whole numbers; a lost image is the one before."""
    env = filmed()
    images = rollout(env, 4)
    assert images[0].shape == (24, 32, 3)
    assert same(rollout(Perturbed(env, [delay("observation", 1)]), 4), images[:1] + images[:-1])
    assert same(rollout(Perturbed(env, [hold("observation", 1.0)]), 4), images[:1] * 5)
    noisy = Perturbed(env, [add("observation", Normal(0, 20))])
    seen = rollout(noisy, 4)
    assert all(image in noisy.observation_space for image in seen)
    error, images = np.array(seen, float) - images, np.array(images)
    assert error[(images > 80) & (images < 175)].std() == pytest.approx(20, rel=0.05)
    env.close()


NOISY = (add("observation", Normal(0, 0.1)), delay("action", Integers(0, 2)), hold("observation", 0.2))


def noisy(id="CartPole-v1"):
    return Perturbed(make(id), NOISY)


def test_gymnasium_wrappers_inside_and_outside_change_nothing():
    """Statistics, time limits and autoresets may stand on either side of the perturbations."""
    expected = rollout(noisy("Pendulum-v1"), 10)
    for env in (
        RecordEpisodeStatistics(TimeLimit(noisy("Pendulum-v1"), 10)),
        Perturbed(RecordEpisodeStatistics(TimeLimit(make("Pendulum-v1"), 10)), NOISY),
        Autoreset(noisy("Pendulum-v1")),
    ):
        assert same(rollout(env, 10), expected)
    env = RecordEpisodeStatistics(TimeLimit(noisy("Pendulum-v1"), 10))
    env.reset(seed=0)
    infos = [env.step(env.action_space.sample())[-1] for _ in range(10)]
    assert infos[-1]["episode"]["l"] == 10
    assert "parameters" in infos[-1]


@pytest.mark.parametrize("kind", [gym.vector.SyncVectorEnv, gym.vector.AsyncVectorEnv])
def test_a_vector_environment_plays_what_each_would_play_alone(kind):
    """In vectors, in this process and in others, over resets too, every copy has its own draws and no others."""
    together = kind([noisy, noisy])
    alone = [noisy(), noisy()]
    observations, _ = together.reset(seed=[3, 4])
    own = [env.reset(seed=seed)[0] for env, seed in zip(alone, (3, 4), strict=True)]
    ended = [False, False]
    for step in range(60):
        assert same(list(observations), own)
        action = step // 3 % 2
        observations, *_ = together.step(np.array([action, action]))
        for i, env in enumerate(alone):
            if ended[i]:  # a vector resets in the step after the last
                own[i], ended[i] = env.reset()[0], False
            else:
                own[i], _, terminated, truncated, _ = env.step(action)
                ended[i] = terminated or truncated
    together.close()


def test_stable_baselines_makes_vectors_of_them():
    """make_vec_env wraps, seeds and steps perturbed environments of any kind."""
    from stable_baselines3.common.env_util import make_vec_env

    cheetah = partial(Perturbed, perturbations=DYNAMICS["HalfCheetah-v5"], parameters=discover)
    vector = make_vec_env("HalfCheetah-v5", 2, seed=5, wrapper_class=cheetah)
    vector.reset()
    _, _, _, infos = vector.step(np.zeros((2, 6)))
    masses = [info["parameters"]["torso.mass"] for info in infos]
    assert masses[0] != masses[1]
    vector.close()


def test_a_pickled_environment_goes_on_as_it_is():
    """A copy by pickle plays the same, its parameters its own."""
    env = make("CartPole-v1")
    perturbed = Perturbed(
        env, [*NOISY, scale("parameter:gravity", 0.5)], parameters=Attributes(env, {"gravity": "gravity"})
    )
    perturbed.reset(seed=1)
    copy = pickle.loads(pickle.dumps(perturbed))
    for action in (0, 1, 1, 0):
        assert same([perturbed.step(action)[0]], [copy.step(action)[0]])
    copy.reset(seed=2)
    assert copy.unwrapped.gravity == 4.9
    perturbed.restore()
    assert (env.unwrapped.gravity, copy.unwrapped.gravity) == (9.8, 4.9)


@pytest.mark.parametrize("id", ["CartPole-v1", "FrozenLake-v1", "HalfCheetah-v5", "HopperBulletEnv-v0"])
def test_a_spec_makes_the_same_environment_again(id):
    """`gymnasium.make` of a spec gives an environment that plays the same, dynamics included."""
    env = Perturbed(make(id), [delay("action", 1), *DYNAMICS.get(id, ())], parameters=discover)
    again = gym.make(env.spec)
    assert same(rollout(env, 8), rollout(again, 8))
    assert again.get_wrapper_attr("perturbations") == env.perturbations


def rollout(env, steps, seed=0):
    """Return the observations of an episode of random actions."""
    env.action_space.seed(seed)
    observations = [env.reset(seed=seed)[0]]
    observations += [env.step(env.action_space.sample())[0] for _ in range(steps)]
    return observations


def same(one, other):
    """Tell whether two lists of observations are equal, bit for bit."""
    if isinstance(one[0], dict):
        return all(same([a[key] for a in one], [b[key] for b in other]) for key in one[0])
    return len(one) == len(other) and all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))


def test_training_with_delay_gives_back_what_a_delay_takes():
    """The published cheetahs: one step late costs the one trained in time more than half, the other nothing."""
    from sim2real.study.load import load_study
    from sim2real.study.rollout import Bench

    study, _ = load_study(str(Path(__file__).parents[1] / "studies" / "halfcheetah_delay.py"))
    bench, returns = Bench(), {}
    for cell in replace(study, episodes=1).cells():
        if cell.run == 0 and cell.condition_label in ("nominal", "1 late"):
            returns[cell.policy_label, cell.condition_label] = bench.run(replace(cell.trial, seed=4))[
                "return"
            ]
    kept = {policy: returns[policy, "1 late"] / returns[policy, "nominal"] for policy in study.policies}
    assert kept["in time, briefly"] < 0.1
    assert kept["in time"] < 0.5
    assert kept["0 to 2 steps late"] > 0.95
    assert returns["0 to 2 steps late", "nominal"] > 3000

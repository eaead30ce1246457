"""Environments that others wrote, as they come from the package index, keep every law of perturbation."""

import pickle
from dataclasses import replace
from functools import partial
from pathlib import Path

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.vector import AsyncVectorEnv, AutoresetMode, SyncVectorEnv
from gymnasium.wrappers import (
    AddRenderObservation,
    Autoreset,
    FrameStackObservation,
    RecordEpisodeStatistics,
    TimeLimit,
    TransformObservation,
)

from sim2real import (
    Attributes,
    Integers,
    Normal,
    Perturbed,
    Sim2RealError,
    Uniform,
    add,
    delay,
    discover,
    hold,
    scale,
)
from sim2real.perturb import preset, set_to
from sim2real.testing import EchoEnv, check_perturbed

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


def test_a_goal_is_measured_once():
    """In a goal environment the place of the hand stands in two parts: by braces both are off by the same amount."""
    env = Perturbed(
        make("PandaReach-v3"), [add("observation:{observation:0:3,achieved_goal}", Normal(0, 0.1))]
    )
    noisy, bare = rollout(env, 10), rollout(make("PandaReach-v3"), 10)
    for one, other in zip(noisy, bare, strict=True):
        assert np.array_equal(one["observation"][:3], one["achieved_goal"])
        assert not np.any(one["achieved_goal"] == other["achieved_goal"])
        assert np.array_equal(one["observation"][3:], other["observation"][3:])
        assert np.array_equal(one["desired_goal"], other["desired_goal"])
    env.close()


def test_a_preset_reaches_all_that_a_policy_reads():
    """Noise and lag on "the observation" are on every part of a Dict of observations, each with its own draws."""
    noisy = [item for item in preset("medium") if item.target == "observation" and item.operation == "add"]
    errors = [
        np.concatenate([one[key] - other[key] for key in one])
        for one, other in zip(
            rollout(Perturbed(make("PandaReach-v3"), noisy), 40),
            rollout(make("PandaReach-v3"), 40),
            strict=True,
        )
    ]
    assert np.std(errors, axis=0) == pytest.approx(0.3, rel=0.4)
    assert np.std(errors) == pytest.approx(0.3, rel=0.1)
    assert np.abs(np.corrcoef(np.transpose(errors)) - np.eye(12)).max() < 0.6


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


def test_stacks_and_transforms_stand_on_either_side():
    """Late frames are a late stack, and noise before a factor is the same noise, as much larger, behind it."""
    late = [delay("observation", 2)]
    inside = FrameStackObservation(Perturbed(make("Pendulum-v1"), late), 3)
    assert same(
        rollout(inside, 10), rollout(Perturbed(FrameStackObservation(make("Pendulum-v1"), 3), late), 10)
    )

    def doubled(env):
        return TransformObservation(env, lambda observation: 2 * observation, env.observation_space)

    small, large = ([add("observation", Normal(0, std))] for std in (0.1, 0.2))
    before = rollout(doubled(Perturbed(make("Pendulum-v1"), small)), 10)
    after = rollout(Perturbed(doubled(make("Pendulum-v1")), large), 10)
    np.testing.assert_allclose(before, after, rtol=1e-5, atol=1e-6)


DRAWN = (
    scale("parameter:gain", Uniform(0.5, 1.5)),
    set_to("parameter:offset", Uniform(-1, 1)),  # acts from a reset on
    add("observation:position", Normal(0, 0.1)),
    delay("observation", Integers(1, 3)),
    add("action", Normal(0, 0.1), every="episode"),
)


def echo():
    return TimeLimit(EchoEnv(), 4)


def drawn():
    return Perturbed(echo(), DRAWN)


def told(info):
    """Return what an episode drew, without what is drawn on every step, as plain values."""
    return {name: np.asarray(value).tolist() for name, value in info.items() if "every step" not in name}


gym.register("sim2real-tests/Echo-v0", entry_point=EchoEnv, max_episode_steps=4)


@pytest.mark.parametrize("mode", AutoresetMode)
@pytest.mark.parametrize("kind", ["sync", "async"])
@pytest.mark.parametrize("made", ["make_vec", "class"])
def test_a_vector_environment_plays_what_each_would_play_alone(kind, mode, made):
    """Whoever resets, and when: every episode of every copy has draws of its own, those it would have alone."""
    if made == "class":
        vector = {"sync": SyncVectorEnv, "async": AsyncVectorEnv}[kind]([drawn] * 2, autoreset_mode=mode)
    else:
        vector = gym.make_vec(
            "sim2real-tests/Echo-v0",
            num_envs=2,
            vectorization_mode=kind,
            vector_kwargs={"autoreset_mode": mode},
            wrappers=[partial(Perturbed, perturbations=DRAWN)],
        )
    alone = [drawn(), drawn()]
    observations, infos = vector.reset(seed=[3, 4])
    own, parameters = zip(
        *(env.reset(seed=seed) for env, seed in zip(alone, (3, 4), strict=True)), strict=True
    )
    own, episodes, ended = list(own), [told(info["parameters"]) for info in parameters], [False, False]
    action = np.full(3, 0.5, np.float32)
    for _ in range(14):
        assert same(list(observations), own)
        if mode is AutoresetMode.DISABLED and any(ended):
            observations, infos = vector.reset(options={"reset_mask": np.array(ended)})
            for i in np.flatnonzero(ended):
                own[i], info = alone[i].reset()
                episodes.append(told(info["parameters"]))
            ended = [False, False]
            continue
        observations, _, terminated, truncated, infos = vector.step(np.stack([action, action]))
        for i, env in enumerate(alone):
            if ended[i]:  # the step after the last is the reset
                own[i], info = env.reset()
                ended[i] = False
                episodes.append(told(info["parameters"]))
                continue
            own[i], _, over, out_of_time, info = env.step(action)
            assert (over, out_of_time) == (terminated[i], truncated[i])
            ended[i] = over or out_of_time
            if ended[i] and mode is AutoresetMode.SAME_STEP:
                assert same([infos["final_obs"][i]], [own[i]])
                own[i], info = env.reset()
                ended[i] = False
                episodes.append(told(info["parameters"]))
        for name, value in told(info["parameters"]).items():
            assert np.asarray(infos["parameters"][name][1]).tolist() == value
    assert len(episodes) >= 6
    assert len({repr(one["gain"]) for one in episodes}) == len(episodes)
    assert len({repr(one["add action"]) for one in episodes}) == len(episodes)
    vector.close()


def test_an_autoreset_outside_draws_every_episode_anew():
    """Episodes that Autoreset begins are those that resets without a seed would: draws, lags and parameters."""
    env, alone = Autoreset(drawn()), drawn()
    expected, action = [alone.reset(seed=5)], np.full(3, 0.5, np.float32)
    for step in range(1, 14):
        expected.append(alone.reset() if step % 5 == 0 else alone.step(action)[::4])
    found = [env.reset(seed=5), *(env.step(action)[::4] for _ in range(13))]
    for (one, info), (other, other_info) in zip(found, expected, strict=True):
        assert same([one], [other])
        assert repr(info) == repr(other_info)
    assert len({info["parameters"]["gain"] for _, info in found}) == 3


def dummy(count=1):
    from stable_baselines3.common.vec_env import DummyVecEnv

    return DummyVecEnv([drawn] * count)


class Batched(EchoEnv):
    num_envs = 4


@pytest.mark.parametrize(
    ("make", "hint"),
    [
        (lambda: Autoreset(echo()), "put the Perturbed inside"),
        (lambda: TimeLimit(RecordEpisodeStatistics(Autoreset(echo())), 9), "put the Perturbed inside"),
        (lambda: Perturbed(Autoreset(echo()), ()), "put the Perturbed inside"),
        (lambda: SyncVectorEnv([echo]), "each environment of a vector"),
        (lambda: gym.wrappers.vector.RecordEpisodeStatistics(SyncVectorEnv([echo])), "each environment of a"),
        (dummy, "each environment of a vector"),
        (Batched, "each environment of a vector"),
        (lambda: "CartPole-v1", "takes a gymnasium.Env; 'CartPole-v1' is none"),
    ],
)
def test_what_would_reset_unseen_is_refused(make, hint):
    """An Autoreset inside, a vector, of Stable-Baselines3 too, and what is no environment: a sentence each."""
    with pytest.raises(Sim2RealError, match=hint):
        Perturbed(make(), DRAWN[2:])


class Endless(gym.Wrapper):
    """Resets by itself, in the step that ends an episode or in the next one, and tells of it or not."""

    def __init__(self, at_once, key=None):
        super().__init__(echo())
        self.at_once, self.key, self.over = at_once, key, False

    def step(self, action):
        if self.over:
            self.over = False
            observation, info = self.env.reset()
            return observation, 0.0, False, False, info
        observation, reward, terminated, truncated, info = self.env.step(action)
        if terminated or truncated:
            self.over = not self.at_once
            if self.key:
                info[self.key] = observation
            if self.at_once:
                observation, _ = self.env.reset()
        return observation, reward, terminated, truncated, info


@pytest.mark.parametrize(
    ("at_once", "key", "step"),
    [(False, None, 5), (True, None, 5), (True, "final_observation", 4), (True, "final_obs", 4)],
)
def test_an_environment_that_resets_by_itself_is_told_so(at_once, key, step):
    """It is noticed where it speaks of a final observation, or at the latest in the step that follows the end."""
    env = Perturbed(Endless(at_once, key), DRAWN[2:])
    env.reset(seed=0)
    for _ in range(step - 1):
        env.step(np.zeros(3))
    with pytest.raises(Sim2RealError, match="went on after the end of an episode"):
        env.step(np.zeros(3))
    env.reset()
    env.step(np.zeros(3))


def test_what_only_tells_what_was_seen_last_has_not_reset():
    """A final observation that is the one returned is no sign of a reset."""

    class Telling(gym.Wrapper):
        def step(self, action):
            observation, *rest, info = self.env.step(action)
            return observation, *rest, {**info, "final_observation": observation.copy()}

    assert same(rollout(Perturbed(Telling(echo()), DRAWN[2:]), 4), rollout(Perturbed(echo(), DRAWN[2:]), 4))


def test_stable_baselines_counts_episodes():
    """DummyVecEnv resets without a seed: copies and episodes differ, each as it would be alone, and so again."""
    runs = []
    for _ in range(2):
        vector, alone = dummy(2), [drawn(), drawn()]
        vector.seed(7)
        observations, seen = vector.reset(), []
        own = [env.reset(seed=7 + i)[0] for i, env in enumerate(alone)]
        for step in range(1, 13):
            assert same(list(observations), own)
            observations, _, dones, infos = vector.step(np.zeros((2, 3), np.float32))
            own = [env.step(np.zeros(3, np.float32))[0] for env in alone]
            if step % 4 == 0:
                assert same([info["terminal_observation"] for info in infos], own)
                own = [env.reset()[0] for env in alone]
                seen += [info["parameters"]["gain"] for info in infos]
            assert dones.tolist() == [step % 4 == 0] * 2
        runs.append(seen)
    assert runs[0] == runs[1]
    assert len(set(runs[0])) == 6


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

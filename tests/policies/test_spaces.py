"""What a Stable-Baselines3 file was trained with is held against the environment before it acts."""

import re
import warnings
from types import SimpleNamespace

import gymnasium as gym
import numpy as np
import pytest
from gymnasium import spaces

from sim2real import Sim2RealError, policies
from sim2real.doctor.policy import check_policy
from sim2real.policies.spaces import compare_spaces

FLOATS = spaces.Box(-1, 1, (3,), np.float32)
IMAGE = spaces.Box(0, 255, (8, 9, 3), np.uint8)


def judged(own, here, what="action"):
    """Return what is said of a pair of spaces, and whether it fits; the other pair is alike."""
    same = spaces.Discrete(2)
    pair = (same, own) if what == "action" else (own, same)
    env = SimpleNamespace(
        observation_space=same if what == "action" else here, action_space=here if what == "action" else same
    )
    env.unwrapped = env
    found = list(compare_spaces(pair, env))
    worst = min(found, key=lambda one: {False: 0, None: 1, True: 2}[one.fits])
    return worst.fits, worst.said


@pytest.mark.parametrize(
    ("own", "here", "fits", "said"),
    [
        (FLOATS, FLOATS, True, ""),
        (FLOATS, spaces.Box(-1, 1, (4,), np.float32), False, r"of shape \(3,\), but .* have \(4,\)"),
        (FLOATS, spaces.Box(-1, 1, (3,), np.float64), True, ""),
        (FLOATS, spaces.Box(-1, 1, (3,), np.int64), False, "are floats, but .* are whole numbers"),
        (FLOATS, spaces.Discrete(3), False, "but those of SimpleNamespace are in Discrete"),
        (spaces.Discrete(3), spaces.Discrete(4), False, "Discrete.3., but"),
        (spaces.Dict(a=FLOATS), spaces.Dict(b=FLOATS), False, "of a, but SimpleNamespace has b"),
        (spaces.Dict(a=FLOATS), spaces.Dict(a=spaces.Box(-1, 1, (4,))), False, r"'a' of shape \(3,\)"),
        (IMAGE, IMAGE, True, ""),
        (spaces.Box(0, 255, (3, 8, 9), np.uint8), IMAGE, True, ""),
        (spaces.Box(0, 255, (3, 9, 8), np.uint8), IMAGE, False, "of shape"),
        (IMAGE, spaces.Box(0, 1, (8, 9, 3), np.float32), False, "whole numbers, but .* floats"),
        (
            spaces.Box(0, 1, (8, 9, 3), np.float32), spaces.Box(0, 255, (8, 9, 3), np.float32),
            None, "from 0 to 1, but .* from 0 to 255: is one scaled otherwise",
        ),
    ],
)  # fmt: skip
@pytest.mark.parametrize("what", ["observation", "action"])
def test_spaces_are_compared_by_kind_shape_and_bounds(own, here, fits, said, what):
    """Another kind or shape does not fit; another range of an image is told; channels may come first."""
    found, sentence = judged(own, here, what)
    assert found is fits
    if said:
        assert re.search(said, sentence)


def test_bounds_matter_for_actions_and_not_for_observations():
    """A policy scales its output to the bounds it knew; what an observation may reach is nothing it reads."""
    wide = spaces.Box(-1, np.array([1, 2, 1], np.float32), (3,), np.float32)
    assert judged(FLOATS, wide, "action")[0] is None
    assert "from -1 to 1, but those of SimpleNamespace go from -1 to 2" in judged(FLOATS, wide, "action")[1]
    assert judged(FLOATS, wide, "observation")[0] is True


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """A model of Pendulum with actions from −1 to 1."""
    sb3 = pytest.importorskip("stable_baselines3")
    path = tmp_path_factory.mktemp("sb3") / "model.zip"
    env = gym.wrappers.RescaleAction(gym.make("Pendulum-v1"), np.float32(-1), np.float32(1))
    sb3.PPO("MlpPolicy", env, seed=0, device="cpu").save(path)
    return policies.file(path)


def test_a_stable_baselines_file_tells_its_spaces(model):
    """Elsewhere it is refused by name; where actions have other bounds it runs, with a warning and in the doctor."""
    with pytest.raises(
        Sim2RealError, match="model.zip' does not fit: The policy was trained with observations of"
    ):
        model.bind(gym.make("MountainCarContinuous-v0"), trust=True)
    with pytest.warns(UserWarning, match="actions from -1 to 1, but those of PendulumEnv go from -2 to 2"):
        model.bind(gym.make("Pendulum-v1"), trust=True)
    with warnings.catch_warnings(action="error"):
        model.bind(
            gym.wrappers.RescaleAction(gym.make("Pendulum-v1"), np.float32(-1), np.float32(1)), trust=True
        )
    place = SimpleNamespace(env="Pendulum-v1", env_kwargs={})
    assert any(
        "go from -2 to 2" in one.said and one.fits is None for one in check_policy(place, model, trust=True)
    )

"""What breaks a law, or cannot be seen, is told; an environment that is sound is left alone."""

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.envs.classic_control import PendulumEnv

from sim2real.doctor import Place, environment
from sim2real.doctor.environment import check_environment
from sim2real.testing import EchoEnv


class Painted(EchoEnv):
    """One that can be rendered."""

    metadata = {"render_modes": ["rgb_array"]}
    picture = np.arange(18, dtype=np.uint8).reshape(2, 3, 3)

    def __init__(self, render_mode=None):
        super().__init__()
        self.render_mode = render_mode

    def render(self):
        return self.picture


class Blank(Painted):
    picture = np.full((2, 3, 3), 7, np.uint8)


class Grey(Painted):
    picture = np.arange(6, dtype=np.uint8).reshape(2, 3)


class Blind(Painted):
    def render(self):
        raise RuntimeError("no display")


class Doubtful(PendulumEnv):
    """One that says two things of its period: 0.05 s, and ten ticks of 0.002 s."""

    metadata = {"render_modes": []}
    timestep, decimation = 0.002, 10


class Unseeded(EchoEnv):
    """One whose episodes differ though their seeds do not."""

    played = 0

    def reset(self, *, seed=None, options=None):
        Unseeded.played += 1
        return super().reset(seed=Unseeded.played)


class Kept(EchoEnv):
    """One whose parameter leaves something behind."""

    def __init__(self):
        super().__init__()
        put, self.left = self.parameters.set, 0.0

        def keep(name, value):
            put(name, value)
            self.left += name == "gain"

        self.parameters.set = keep

    def step(self, action):
        observation, *rest = super().step(action)
        return observation + np.float32(self.left), *rest


KINDS = (EchoEnv, Painted, Blank, Grey, Blind, Doubtful, Unseeded, Kept)


@pytest.fixture(scope="module", autouse=True)
def registered():
    """Let Gymnasium make them."""
    for kind in KINDS:
        gym.register(id=f"{kind.__name__}-v0", entry_point=kind)
    yield
    for kind in KINDS:
        del gym.registry[f"{kind.__name__}-v0"]


@pytest.mark.parametrize(
    ("kind", "about", "sentence"),
    [
        (Blank, {"picture"}, "is 3 × 2 points of one colour"),
        (Grey, {"picture"}, "has the shape (2, 3), where (height, width, 3) is right."),
        (Blind, {"picture"}, "cannot be rendered: RuntimeError: no display"),
        (
            Doubtful,
            {"control period"},
            "dt says 0.05 s, but decimation × timestep says 0.02 s: give period_s.",
        ),
        (
            Unseeded,
            {"perturbations", *(f"parameter '{name}'" for name in ("gain", "offset", "kick"))},
            "ignores the seed",
        ),
        (Kept, {"parameter 'gain'"}, "gain left a trace"),
    ],
)
def test_what_is_wrong_with_an_environment_is_told(kind, about, sentence, wrong):
    """One fault is one finding for each law that it breaks."""
    found = wrong(check_environment(Place(env=f"{kind.__name__}-v0"), everything=True))
    assert {finding.about for finding in found} == about
    assert sentence in found[0].said


def test_a_sound_environment_has_nothing_wrong(wrong):
    """It is measured, seen, and held to all laws; what cannot be judged is told and not blamed."""
    findings = {
        finding.about: finding for finding in check_environment(Place(env="Painted-v0"), everything=True)
    }
    assert wrong(findings.values()) == []
    assert findings["environment"].said == "Box(6,) to Box(3,)"
    assert findings["control period"].said == "0.1 s, by control_period_s"
    assert findings["picture"].said == "3 × 2 points"
    assert findings["parameters"].said == "3"
    unseen = {finding.about: finding.fits for finding in check_environment(Place(env="EchoEnv-v0"))}
    assert unseen["picture"] is None


@pytest.mark.parametrize(
    ("id", "fits", "told"),
    [
        ("CartPole-v1", True, "0.02 s, by tau; 1 / render_fps says 0.02 s"),
        ("Pendulum-v1", True, "0.05 s, by dt; 1 / render_fps says 0.03333 s"),
        ("MountainCar-v0", None, "1 / render_fps says 0.03333 s, and nothing else does: give period_s."),
        (
            "HalfCheetah-v5",
            True,
            "0.05 s, by dt; frame_skip × timestep says 0.05 s; MuJoCo's clock says 0.05 s; 1 / render_fps says 0.05 s",
        ),
    ],
)
def test_the_period_is_told_with_all_that_speaks_of_it(id, fits, told):
    """What is used first, then the others; what nobody can be sure of is no fault of the environment."""
    assert environment._period(gym.make(id)) == ("control period", told, fits)


def test_walk_keeps_the_laws_as_far_as_they_are_tried(monkeypatch, wrong):
    """The default is sound, its picture shows something, and the time given limits what is tried."""
    monkeypatch.setattr(environment, "PARAMETERS_S", 0.5)
    findings = {
        finding.about: finding for finding in check_environment(Place(env="sim2real:sim2real/Walk-v0"))
    }
    assert wrong(findings.values()) == []
    assert {"environment", "picture", "perturbations", "parameters"} <= findings.keys()
    assert "--all tries the others" in findings["parameters"].said


@pytest.mark.parametrize("name", ["sim2real:sim2real/Wlk-v0", "no_such_package:X-v0", "absent-v0"])
def test_an_environment_that_cannot_be_made_is_one_finding(name, wrong):
    """There is nothing more to look at then."""
    (finding,) = check_environment(Place(env=name))
    assert wrong([finding]) == [finding]
    assert name in finding.said


def test_all_groups_of_parameters_are_tried_early():
    """Names come in another order, none twice, and the first of each group before the second of any."""
    names = ["b.x", "a.x", "a.y", "a.z", "c.x", "b.y"]
    tried = environment._in_turn(names)
    assert sorted(tried) == sorted(names)
    assert tried[:3] == ["a.x", "b.x", "c.x"]
    assert tried[-1] == "a.z"


class Precise(EchoEnv):
    """One that observes in another precision than it says."""

    def _observe(self, action):
        return super()._observe(action).astype(np.float64)


class Column(EchoEnv):
    """One that observes in another shape than it says."""

    def _observe(self, action):
        return super()._observe(action)[:, None]


@pytest.mark.parametrize(
    ("kind", "fits", "said"),
    [
        (Precise, None, "is float64, its space float32"),
        (Column, False, r"has the shape (6, 1), its space (6,)"),
    ],
)
def test_the_first_observation_is_held_against_its_space(kind, fits, said):
    """Another dtype is told as it is no mistake by itself, another shape is one."""
    gym.register("Observed-v0", entry_point=kind)
    try:
        findings = [one for one in check_environment(Place(env="Observed-v0")) if one.about == "observation"]
    finally:
        del gym.registry["Observed-v0"]
    (found,) = findings
    assert found.fits is fits
    assert said in found.said

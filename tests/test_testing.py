import gymnasium as gym
import numpy as np
import pytest

from sim2real.errors import Sim2RealError
from sim2real.perturb import Drift, Normal, add, scale
from sim2real.testing import EchoEnv, check_parameters, check_perturbed
from sim2real.wrappers import Attributes


def test_the_echo_environment_keeps_its_own_laws():
    """EchoEnv passes both checks, and its report says when each parameter first showed."""
    check_perturbed(EchoEnv)
    probes = check_parameters(EchoEnv())
    assert {name: probe.first_steps for name, probe in probes.items()} == {
        "gain": (1, 1), "offset": (0, 0), "kick": (1, 1)
    }  # fmt: skip


@pytest.mark.parametrize("name", ["CartPole-v1", "Pendulum-v1", "FrozenLake-v1", "Blackjack-v1"])
def test_foreign_environments_pass(name):
    """Perturbing Gymnasium's environments keeps every law, on any kind of space."""
    check_perturbed(lambda: gym.make(name))


def test_who_checks_may_say_how_long_a_step_is():
    """Where the environment does not, what counts in seconds cannot be checked without."""
    drift = [add("observation", Drift(0.01, 1.0))]
    with pytest.raises(Sim2RealError, match="give period_s"):
        check_perturbed(lambda: gym.make("MountainCarContinuous-v0"), drift)
    check_perturbed(lambda: gym.make("MountainCarContinuous-v0"), drift, period_s=0.05)


def test_perturbations_of_ones_own_can_be_checked():
    """The laws hold with parameters of a foreign environment too."""
    check_perturbed(
        lambda: gym.make("Pendulum-v1"),
        [scale("parameter:mass", 1.5), add("observation:2", Normal(0, 0.1))],
        parameters=lambda env: Attributes(env, {"mass": "m"}),
    )


class Forgetful(EchoEnv):
    """Draws from a generator that no seed reaches."""

    stray = np.random.default_rng(0)

    def _observe(self, action):
        return super()._observe(action + self.stray.random())


class Leaky(EchoEnv):
    """Keeps adding the offset."""

    def reset(self, **arguments):
        observation, info = super().reset(**arguments)
        self.parameters._values["gain"] += self.parameters.get("offset")
        return observation, info


class Idle(EchoEnv):
    """Ignores its gain."""

    def _observe(self, action):
        observation = super()._observe(np.zeros(3))
        observation[3:] += action
        return observation


class Hasty(EchoEnv):
    """Lets an offset act at once, which is declared to act from the next reset on."""

    def step(self, action):
        self._offset = self.parameters.get("offset")
        return super().step(action)


class Late(EchoEnv):
    """Lets the gain act from the next reset on, which is declared to act at once."""

    def reset(self, **arguments):
        self.gain = self.parameters.get("gain")
        return super().reset(**arguments)

    def _observe(self, action):
        observation = super()._observe(np.zeros(3))
        observation[3:] += self.gain * action
        return observation


class Boundless(EchoEnv):
    """Takes any value."""

    def __init__(self):
        super().__init__()
        self.parameters.set = self.parameters._values.__setitem__


@pytest.mark.parametrize(
    ("kind", "sentence"),
    [
        (Forgetful, "Two episodes with one seed differ"),
        (Leaky, "left a trace|was set to|is .* not its nominal"),
        (Idle, "Nothing changed in 50 steps with gain"),
        (Hasty, "offset is not live, but changed a running episode"),
        (Late, "gain is not live, as declared"),
        (Boundless, "unknown name must raise"),
    ],
)
def test_broken_parameters_are_found(kind, sentence):
    """Each promise a parameter can break is told in a sentence."""
    with pytest.raises(AssertionError, match=sentence):
        check_parameters(kind())


def test_parameters_that_show_only_together():
    """A parameter without effect at the nominal value of another is checked with that one given."""

    class Dependent(Idle):
        def _observe(self, action):
            return super()._observe(action * (1 + self._offset * self.parameters.get("gain")))

    with pytest.raises(AssertionError, match="gain"):
        check_parameters(Dependent(), names=["gain"])
    assert set(check_parameters(Dependent(), given={"offset": 1.0})) == {"gain", "kick"}


def test_unseeded_randomness_is_found():
    """An environment whose episodes differ fails the laws of perturbation."""
    with pytest.raises(AssertionError, match="bare one"):
        check_perturbed(Forgetful)

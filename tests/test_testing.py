import gymnasium as gym
import numpy as np
import pytest

from sim2real.errors import Sim2RealError
from sim2real.perturb import Drift, Normal, add, scale
from sim2real.testing import EchoEnv, check_parameters, check_perturbed
from sim2real.wrappers import Attributes, Perturbed


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


class Scalar(gym.Env):
    """One number to see and one to do, in spaces without dimensions, the action bounded below alone."""

    control_period_s = 0.1
    observation_space = gym.spaces.Box(-np.inf, np.inf, (), np.float32)
    action_space = gym.spaces.Box(0.0, np.inf, (), np.float32)
    kind = float

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.x = self.np_random.normal()
        return self.kind(self.x), {}

    def step(self, action):
        assert np.shape(action) == ()
        self.x += 0.1 * action
        return self.kind(self.x), -abs(self.x), False, False, {}


@pytest.mark.parametrize("kind", [float, np.float32, lambda x: np.array(x, np.float32)])
def test_spaces_without_dimensions_keep_the_laws(kind, monkeypatch):
    """A number is perturbed as an array of one is, whether it comes as Python's, numpy's or an array."""
    monkeypatch.setattr(Scalar, "kind", staticmethod(kind))
    check_perturbed(Scalar)
    env = Perturbed(
        Scalar(), [add("action", Normal(0, 1), every="episode"), add("observation", Normal(0, 1))]
    )
    drawn = env.reset(seed=0)[1]["parameters"]
    assert isinstance(drawn["add action"], float)


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
        (Forgetful, "by itself is not repeatable, from step 0 on: its reset ignores the seed"),
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
    """An environment whose episodes differ fails the laws of perturbation, and is told as the cause."""
    with pytest.raises(AssertionError, match="by itself is not repeatable, from step 0 on"):
        check_perturbed(Forgetful)


class Restless(EchoEnv):
    """Keeps its position over resets."""

    def reset(self, **arguments):
        position = getattr(self, "_position", 0.0)
        super().reset(**arguments)
        self._position = position + 1.0
        return self._observe(np.zeros(3)), {}


class Warm(EchoEnv):
    """Draws as the seed says, and keeps a hair of what was before."""

    def reset(self, **arguments):
        self._hair = 1e-6 * (hasattr(self, "_hair") + getattr(self, "_hair", 0.0))
        return super().reset(**arguments)

    def _observe(self, action):
        return super()._observe(action + self._hair)


class Numbered(EchoEnv):
    """Is like no other instance."""

    count = 0

    def __init__(self):
        super().__init__()
        Numbered.count += 1
        self._number = Numbered.count

    def _observe(self, action):
        return super()._observe(action + self._number)


class Resumed(EchoEnv):
    """Takes up what another seed has left."""

    last = None

    def reset(self, *, seed=None, **arguments):
        self._bias, self.last = (self.last not in (None, seed)), seed
        return super().reset(seed=seed, **arguments)

    def _observe(self, action):
        return super()._observe(action + self._bias)


class Settling(EchoEnv):
    """Plays its first episode unlike all others."""

    first = None

    def reset(self, **arguments):
        self.first = self.first is None
        return super().reset(**arguments)

    def _observe(self, action):
        return super()._observe(action * (2 if self.first else 1))


class Fitful(EchoEnv):
    """Is like no other instance once some have been made."""

    count = 0

    def __init__(self):
        super().__init__()
        Fitful.count += 1
        self._bias = Fitful.count > 4

    def _observe(self, action):
        return super()._observe(action + self._bias)


class Refusing(EchoEnv):
    """Asserts something of its actions."""

    def step(self, action):
        assert action[0] > 2.0, "not that"


@pytest.mark.parametrize(
    ("kind", "sentence"),
    [
        (Restless, "from step 0 on: a later reset ignores the seed"),
        (Fitful, "by itself plays an episode otherwise now and then"),
        (Refusing, "refuses what it is asked for: not that"),
        (Warm, "from step 0 on: something is left over from the episode before"),
        (Numbered, "by itself plays an episode otherwise in another instance"),
        (Resumed, "by itself plays an episode otherwise after others were played"),
        (Settling, "its first episode is unlike later ones"),
    ],
)
def test_what_an_environment_does_wrong_is_told_as_its_own(kind, sentence):
    """A law names who breaks it: the bare environment is played first."""
    with pytest.raises((AssertionError, RuntimeError), match=sentence):
        check_perturbed(kind)


def test_a_perturbation_that_does_nothing_is_named():
    """Each perturbation has to act alone; another one that does act hides none."""
    with pytest.raises(AssertionError, match="'scale gain by 2' changes nothing in 30 steps"):
        check_perturbed(Idle, [scale("parameter:gain", 2.0), add("observation", Normal(0, 0.1))])


class Coupled(EchoEnv):
    """Changes its offset with its gain."""

    def __init__(self):
        super().__init__()
        values = self.parameters._values
        put = self.parameters.set

        def both(name, value):
            put(name, value)
            if name == "gain":
                values["offset"] = value - 1.0

        self.parameters.set = both


def test_a_parameter_changes_no_other():
    """Setting one parameter leaves what the others read as it was."""
    with pytest.raises(AssertionError, match="Setting gain changes offset too"):
        check_parameters(Coupled(), names=["gain"])


class Rewriting(EchoEnv):
    """Gives its gain back in every step, or in every reset for good."""

    when = "step"

    def reset(self, **arguments):
        found = super().reset(**arguments)
        if self.when == "reset":
            self.parameters._values["gain"] = 1.0
        return found

    def step(self, action):
        self.parameters._values["gain"] = 1.0
        return super().step(action)


def test_a_value_that_the_environment_takes_back_is_refused():
    """What is told has happened: a value rewritten in a step stops the episode, and breaks a law."""
    with pytest.raises(AssertionError, match="gain was set to .* the environment takes it back"):
        check_parameters(Rewriting(), names=["gain"])
    perturbed = Perturbed(Rewriting(), [scale("parameter:gain", 2.0)])
    perturbed.reset(seed=0)
    with pytest.raises(Sim2RealError, match="gain was set to 2, and the simulator has 1"):
        perturbed.step(np.zeros(3, np.float32))

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.wrappers import TimeLimit

from sim2real import Constrained, Normal, Perturbed, add, policies, safety
from sim2real.errors import Sim2RealError
from sim2real.study import Trial
from sim2real.study.rollout import Bench
from sim2real.testing import check_perturbed
from sim2real.wrappers import Shielded
from sim2real.wrappers.checked import Checked, checked, misplaced

SPACE = gym.spaces.Box(-1, 1, (2,), np.float32)


class Other(gym.Env):
    """Somebody else's environment, three steps long; `changes` is what is peculiar about it."""

    action_space = gym.spaces.Box(-1, 1, (1,), np.float32)

    def __init__(self, space=SPACE, **changes):
        self.observation_space, self.changes = space, changes

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.time = 0
        return self.changes.get("first", (self._observe(), {}))

    def step(self, action):
        self.time += 1
        told = {"reward": 1.0, "terminated": False, "truncated": self.time >= 3, "info": {}} | self.changes
        five = self._observe(), told["reward"], told["terminated"], told["truncated"], told["info"]
        return self.changes.get("step", lambda *values: values)(*five)

    def _observe(self):
        return self.changes.get("observation", np.zeros(2, np.float32))


class OldReset(Other):
    def reset(self):
        return self._observe()


def make(place="plain", **changes):
    """An environment for `gymnasium.make`; with `place` a name of those below, for trials alone."""
    return (OldReset if place == "old" else Other)(**PECULIAR.get(place, changes))


def torch_like():
    """A tensor of some library: an array with another type."""
    import torch

    return torch.zeros(2)


PECULIAR = {
    "none": {"first": None},
    "alone": {"first": np.zeros(2, np.float32)},
    "old": {},
    "four": {"step": lambda observation, reward, terminated, truncated, info: (observation, reward, truncated, info)},
    "six": {"step": lambda observation, reward, *rest: (observation, reward, 0.5, *rest)},
    "shape": {"observation": np.zeros((2, 1), np.float32)},
    "list": {"observation": [0.0, 0.0]},
    "tuple": {"observation": (0.0, 0.0)},
    "tensor": {"observation": torch_like()},
    "no info": {"info": None},
    "parameters": {"info": {"parameters": [1, 2]}},
    "no reward": {"reward": None},
    "two rewards": {"reward": np.ones(2)},
    "nan": {"reward": np.float32("nan")},
    "half ended": {"terminated": 0.5},
}  # fmt: skip
SENTENCES = {
    "none": r"reset returns nothing, not \(observation, info\): .*shimmy.GymV21CompatibilityV0",
    "alone": r"reset returns the observation alone, not \(observation, info\): .*shimmy.GymV21CompatibilityV0",
    "old": "reset takes no '(seed|options)', as in old Gym: .*shimmy.GymV21CompatibilityV0",
    "four": "step returns 4 values, not the five.*shimmy.GymV21CompatibilityV0",
    "six": "step returns (6|more than 5) values, not the five.*safety_gymnasium.wrappers.SafetyGymnasium2Gymnasium",
    "shape": r"has the shape \(2, 1\), its space \(2,\): gymnasium.wrappers.ReshapeObservation helps",
    "list": "is a list, not a numpy array: gymnasium.wrappers.TransformObservation",
    "tuple": "is a tuple, not a numpy array: gymnasium.wrappers.TransformObservation",
    "tensor": "is a torch.Tensor, not a numpy array: gymnasium.wrappers.TransformObservation",
    "no info": "info is None, not a dict",
    "parameters": r"info\['parameters'\] is \[1, 2\]",
    "no reward": "gave None as reward, which is not a number",
    "two rewards": r"gave an array of the shape \(2,\) as reward, which is not a number",
    "nan": "gave a reward that is not finite: nan",
    "half ended": "gave 0.5 as terminated, which is neither true nor false",
}

gym.register("Other-v0", entry_point=make)


def play(env):
    env.reset(seed=0)
    return [env.step(np.zeros(1, np.float32)) for _ in range(3)]


@pytest.mark.parametrize("within", [lambda env: env, lambda env: TimeLimit(env, 9)], ids=["", "TimeLimit"])
@pytest.mark.parametrize("name", PECULIAR)
def test_what_is_no_gymnasium_is_one_sentence_everywhere(name, within):
    """A study, each wrapper and the checks say the same, also where a wrapper of Gymnasium's takes values apart."""
    for ask in (
        lambda: play(Perturbed(within(make(name)), [add("action", Normal(0, 1))])),
        lambda: play(Constrained(within(make(name)), [])),
        lambda: play(Shielded(within(make(name)), [safety.ActionLimits()])),
        lambda: check_perturbed(lambda: within(make(name))),
    ):
        with pytest.raises(Sim2RealError, match=SENTENCES[name]) as error:
            ask()
        assert "\n" not in str(error.value)
    trial = Trial(policy=policies.scripted(policies.zero), env="Other-v0", env_kwargs={"place": name})
    with pytest.raises(AssertionError, match=SENTENCES[name]):
        raise AssertionError(Bench().run(trial)["error"])


@pytest.mark.parametrize(
    "one", [1.0, 1, np.float32(1), np.array(1.0), np.array([[1.0]]), torch_like()[:1] + 1]
)
def test_one_number_is_a_number_in_any_wrapping(one):
    """Rewards are floats and ends are bools, whatever they come in."""
    env = Perturbed(make(reward=one, terminated=one, truncated=0 * one), [])
    _, reward, terminated, truncated, _ = play(env)[0]
    assert (reward, terminated, truncated) == (1.0, True, False)
    assert isinstance(reward, float)
    assert (type(terminated), type(truncated)) == (bool, bool)


def test_an_error_of_the_environment_s_own_stays_what_it_is():
    """Values that the environment itself cannot take apart are its own matter."""

    def broken(*_):
        return [one + two for one, two in [(1, 2, 3)]]

    with pytest.raises(ValueError, match="too many values to unpack"):
        play(Perturbed(make(step=broken), []))


def test_dtypes_and_bounds_are_the_environment_s():
    """What differs from the space in these alone is handed on as it is, and 0-d spaces take plain numbers."""
    for value in (np.zeros(2), np.array([7, 0])):
        assert checked(make(observation=value)).reset()[0] is value
    assert (
        misplaced(gym.spaces.Box(-1, 1, ()), 0.5) == misplaced(gym.spaces.Box(-1, 1, ()), np.float32(3)) == ""
    )


def test_the_inner_parts_of_an_observation_are_checked_by_their_names():
    """What is missing or misshapen in a Dict or a Tuple is named as targets name it."""
    space = gym.spaces.Dict(arm=gym.spaces.Tuple([SPACE, gym.spaces.Discrete(2)]))
    assert misplaced(space, {"arm": (np.zeros(2), 1), "more": 0}) == ""
    assert "observation:arm:0 has the shape (3,)" in misplaced(space, {"arm": (np.zeros(3), 1)})
    assert "observation:arm is" in misplaced(space, {"arm": ()})
    assert "keys arm" in misplaced(space, {})


def test_who_checks_is_not_checked_again():
    """A wrapper of ours that stands around another asks it directly."""
    inner = Perturbed(make(), [])
    assert isinstance(inner._checked, Checked)
    assert Constrained(inner, [])._checked is inner

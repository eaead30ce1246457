import copy
import warnings
from typing import ClassVar

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env
from hypothesis import given, settings
from hypothesis import strategies as st

from sim2real.errors import Sim2RealError
from sim2real.perturb import (
    At,
    Choice,
    Drift,
    Integers,
    Interval,
    Normal,
    Ramp,
    Sine,
    Square,
    Uniform,
    Wrap,
    add,
    any_of,
    clip,
    delay,
    held_out_kind,
    hold,
    jointly,
    quantize,
    scale,
    set_to,
)
from sim2real.testing import EchoEnv
from sim2real.wrappers import Attributes, Perturbed
from sim2real.wrappers.perturbed import layers

KICK, GAIN, OFFSET = "parameter:kick", "parameter:gain", "parameter:offset"
EVERYTHING = (
    add("observation", Normal(0, 0.1)),
    add("observation", Normal(0, 0.1), every="episode"),
    add("observation:own", Drift(0.1, 1)),
    delay("observation", Integers(0, 3), every="step"),
    hold("observation:counter", 0.2),
    quantize("observation:0:2", 0.25),
    clip("observation:5", 0.9),
    add("action", Uniform(-0.1, 0.1)),
    scale("action:b", Uniform(0.9, 1.1)),
    delay("action", 2),
    set_to("action:c", 0.3, every=Interval(0.2, 0.4, 0.2)),
    scale(GAIN, Uniform(0.5, 1.5)),
    add(GAIN, Uniform(-0.2, 0.2), every="step"),
    add(OFFSET, Normal(0, 0.1)),
    add(KICK, Uniform(-1, 1), every=Interval(0.2, 0.5)),
    add("observation:position", Normal(0, 0.1), every=Ramp(0.5)),
    add("action", Uniform(-0.1, 0.1), every=Sine(0.7)),
    hold("observation:position", 0.5, every=Square(0.6)),
    set_to("observation:own", Uniform(0, 1), every=Ramp(0.5, start_s=0.2)),
    add(KICK, Uniform(-1, 1), every=At(0.3)),
    *jointly(
        add("observation:action", Normal(0, 0.1)),
        add("action:a", Normal(0, 0.1)),
        correlation=[[1, 0.8], [0.8, 1]],
    ),
)
conditions = st.lists(st.sampled_from(EVERYTHING), unique=True, max_size=8)
seeds = st.integers(0, 10_000)


class Anything(gym.Env):
    """Echoes actions of any space as observations; the first observation is given."""

    metadata: ClassVar[dict] = {"render_modes": [], "render_fps": 10}

    def __init__(self, space, first):
        self.observation_space = self.action_space = space
        self.first = first

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        return self.first, {}

    def step(self, action):
        return action, 0.0, False, False, {}


def play(env, seed=0, steps=12, actions=None):
    """Return every observation and every info of an episode of given or random actions, noise told among the rest."""
    space = copy.deepcopy(env.action_space)
    space.seed(seed)
    observation, info = env.reset(seed=seed)
    observations, infos = [observation], [with_noise(info, env)]
    for step in range(steps):
        observation, _, terminated, truncated, info = env.step(actions[step] if actions else space.sample())
        observations.append(observation)
        infos.append(with_noise(info, env))
        if terminated or truncated:
            break
    return observations, infos


def with_noise(info, env):
    """Return info with the arrays of this step, which nobody keeps, among the parameters."""
    found = {}
    for layer in (layer for layer in layers(env) if isinstance(layer, Perturbed)):
        for live in (*layer._observation._live, *layer._action._live):
            if not live._tells and live.drawn.amount is not None:
                found[live._name] = live.drawn.amount.copy()
    return {**info, "parameters": {**info["parameters"], **found}} if found else info


def told(infos, name):
    return [info["parameters"].get(name) for info in infos]


def equal(one, other):
    return len(one) == len(other) and all(
        a.tobytes() == b.tobytes() and a.dtype == b.dtype for a, b in zip(one, other, strict=True)
    )


# Identity ------------------------------------------------------------------------------------------------------


@given(conditions, seeds)
@settings(max_examples=20, deadline=None)
def test_zero_strength_is_the_bare_environment(condition, seed):
    """At zero strength every bit of every observation, the env's own draws included, is that of the bare env."""
    perturbed = Perturbed(EchoEnv(), [item.at(0.0) for item in condition])
    observations, infos = play(perturbed, seed)
    assert equal(observations, play(EchoEnv(), seed)[0])
    assert all(info["parameters"] == {} for info in infos)
    assert perturbed.observation_space == EchoEnv().observation_space


def test_what_nothing_perturbs_is_handed_on_itself():
    """Without a perturbation of a side its objects pass through, not copies of them."""
    env = Anything(gym.spaces.Dict(x=gym.spaces.Box(-1, 1, (2,))), {"x": np.zeros(2, np.float32)})
    bare = Perturbed(env, [delay("observation", 0), add("action:x", 0.0)])
    observation, _ = bare.reset(seed=0)
    assert observation is env.first
    action = bare.action_space.sample()
    assert bare.step(action)[0] is action


def test_the_environment_keeps_its_own_draws():
    """Perturbing everything draws nothing from the environment's generator."""
    bare, perturbed = EchoEnv(), Perturbed(EchoEnv(), EVERYTHING)
    play(bare), play(perturbed)
    assert bare.np_random.random() == perturbed.unwrapped.np_random.random()


# Streams -------------------------------------------------------------------------------------------------------


@given(conditions, seeds, seeds)
@settings(max_examples=20, deadline=None)
def test_the_same_seed_is_the_same_episode(condition, seed, other):
    """A seed gives one episode, bit for bit, in any order of episodes and in any instance."""
    env = Perturbed(EchoEnv(), condition)
    first, _ = play(env, seed)
    play(env, other)
    assert equal(play(env, seed)[0], first)
    assert equal(play(Perturbed(EchoEnv(), condition), seed)[0], first)


@given(conditions, st.randoms(use_true_random=False), seeds)
@settings(max_examples=20, deadline=None)
def test_other_perturbations_change_no_draw(condition, random, seed):
    """Adding, removing and reordering perturbations leaves the draws of all others as they were."""
    _, all_infos = play(Perturbed(EchoEnv(), EVERYTHING), seed)
    some = random.sample(condition, len(condition))
    _, infos = play(Perturbed(EchoEnv(), some), seed)
    for info, reference in zip(infos, all_infos, strict=True):
        for name, value in info["parameters"].items():
            if name not in ("gain", "kick"):  # two perturbations make their values together
                np.testing.assert_array_equal(value, reference["parameters"][name])


def test_equal_identities_draw_apart():
    """The second of two perturbations of one identity has its own noise, in one wrapper or in two."""
    noise = add("observation", Normal(0, 1))
    together = play(Perturbed(EchoEnv(), [noise, noise]))[1]
    nested = play(Perturbed(Perturbed(EchoEnv(), [noise]), [noise]))[1]
    for infos in (together, nested):
        first, second = (
            np.array(told(infos, name))
            for name in ("add observation every step", "add observation every step #2")
        )
        assert not np.any(first == second)
    assert equal(
        told(together, "add observation every step #2"), told(nested, "add observation every step #2")
    )


def test_the_reset_tells_what_the_episode_drew():
    """All that is drawn once an episode is told at the reset, of actions too; arrays of noise are told never."""
    noise, bias = add("observation", Normal(0, 1)), add("observation", Normal(0, 1), every="episode")
    items = [noise, bias, delay("action", Integers(1, 3)), hold("action", Uniform(0.1, 0.2)), scale(GAIN, 2)]
    env = Perturbed(EchoEnv(), items)
    drawn = env.reset(seed=0)[1]["parameters"]
    names = ["add observation", "delay action", "hold action", "gain"]
    assert sorted(drawn) == sorted(names)
    assert drawn["delay action"] in (1, 2, 3)
    assert 0.1 <= drawn["hold action"] <= 0.2
    assert drawn["add observation"].shape == (6,)
    assert sorted(env.step(env.action_space.sample())[4]["parameters"]) == sorted(names)


def test_episodes_without_a_seed_go_on():
    """Resets without a seed give new episodes, the same ones after the same seed; without any seed, unlike ones."""
    env = Perturbed(EchoEnv(), [scale(GAIN, Uniform(0, 2))])
    runs = [[env.reset(seed=seed)[1]["parameters"]["gain"] for seed in (7, None, None)] for _ in range(2)]
    assert runs[0] == runs[1]
    assert len(set(runs[0])) == 3
    fresh = [
        Perturbed(EchoEnv(), EVERYTHING[1:2]).reset()[1]["parameters"]["add observation"] for _ in range(2)
    ]
    assert not equal([fresh[0]], [fresh[1]])


@given(seeds, st.floats(0.1, 2))
@settings(max_examples=20, deadline=None)
def test_strength_scales_what_is_added(seed, strength):
    """The noise on an observation is proportional to strength."""
    noise = add("observation:action", Normal(0, 0.1))
    bare, full, weak = (
        np.array(play(Perturbed(EchoEnv(), items), seed)[0], np.float64)
        for items in ([], [noise], [noise.at(strength)])
    )
    np.testing.assert_allclose(weak - bare, strength * (full - bare), atol=1e-6)


# Parameters ----------------------------------------------------------------------------------------------------


def test_nothing_compounds():
    """After 100 episodes everything is as in the first; restoring and closing give back the nominal values."""
    bare = EchoEnv()
    env = Perturbed(bare, EVERYTHING)
    first, _ = play(env, seed=3)
    for seed in range(100):
        play(env, seed, steps=3)
    assert equal(play(env, seed=3)[0], first)
    assert bare.parameters.get("gain") != 1.0
    env.restore()
    assert [bare.parameters.get(name) for name in bare.parameters.names()] == [1.0, 0.0, 0.0]
    with pytest.raises(gym.error.ResetNeeded):
        env.step(np.zeros(3))
    env.reset()
    env.close()
    env.close()
    assert bare.parameters.get("gain") == 1.0


def test_one_parameter_takes_all_its_perturbations_in_order():
    """Perturbations of one parameter apply one after the other to the nominal value."""
    env = Perturbed(EchoEnv(), [add(GAIN, 1.0), scale(GAIN, 3.0), scale(GAIN, 0.5).at(0.5)])
    assert env.reset(seed=0)[1]["parameters"] == {"gain": 4.5}
    env = Perturbed(EchoEnv(), [set_to(GAIN, 3.0).at(0.25)])
    assert env.reset(seed=0)[1]["parameters"] == {"gain": 1.5}


def test_parameters_are_set_before_the_reset_and_kicks_after_it():
    """A parameter of the episode shapes the reset itself; a kick acts right after it, once."""
    env = Perturbed(EchoEnv(), [set_to(OFFSET, 2.0), add(KICK, 1.5)])
    observation, info = env.reset(seed=0)
    assert observation[3:].tolist() == [2.0, 2.0, 2.0]
    assert info["parameters"] == {"offset": 2.0, "kick": 1.5}
    assert env.unwrapped.parameters.velocity == 1.5
    observations, infos = play(env, steps=3)
    assert [float(one[2]) for one in observations] == pytest.approx([0, 0.15, 0.3, 0.45])
    assert told(infos, "kick") == [1.5, None, None, None]


def test_interval_kicks_act_just_before_the_step():
    """A kick due after 0.3 s acts in the fourth step, and is told in that step's info only."""
    env = Perturbed(EchoEnv(), [add(KICK, 1.0, every=Interval(0.3, 0.3))])
    observations, infos = play(env, steps=7)
    assert told(infos, "kick") == [None, None, None, None, 1.0, None, None, 1.0]
    speed = np.diff([float(one[2]) for one in observations]) / 0.1
    np.testing.assert_allclose(speed, [0, 0, 0, 1, 1, 1, 2], atol=1e-5)


def test_every_kick_acts_but_once():
    """A kick of the episode and one that comes later each act at their own moment only."""
    env = Perturbed(EchoEnv(), [add(KICK, 1.0), add(KICK, 2.0, every=Interval(0.3, 0.3))])
    assert told(play(env, steps=5)[1], "kick") == [1, None, None, None, 2, None]


def test_a_parameter_drifts_about_nominal():
    """A scale that drifts starts at nominal and wanders about it."""
    gains = [
        told(play(Perturbed(EchoEnv(), [scale(GAIN, Drift(0.1, 0.2))]), seed, steps=40)[1], "gain")
        for seed in range(30)
    ]
    assert all(path[:2] == [1.0, 1.0] for path in gains)
    assert np.mean(gains) == pytest.approx(1.0, abs=0.02)
    assert np.std(np.array(gains)[:, 10:]) == pytest.approx(0.1, abs=0.02)


def test_what_lasts_goes_back_to_nominal():
    """A parameter set for a while is nominal before and after."""
    env = Perturbed(EchoEnv(), [set_to(GAIN, 2.0, every=Interval(0.3, 0.3, lasting_s=0.2))])
    infos = play(env, steps=8)[1]
    assert told(infos, "gain") == [1, 1, 1, 1, 2, 2, 1, 2, 2]


def test_signals_are_perturbed_for_a_while():
    """An operation on a signal that lasts is told, and acts, while it does; others stay until redrawn."""
    short = add("observation:counter", 100.0, every=Interval(0.3, 0.3, lasting_s=0.2))
    observations, infos = play(Perturbed(EchoEnv(), [short]), steps=7)
    assert [float(one[0]) for one in observations] == [0, 1, 2, 103, 104, 5, 106, 107]
    assert [value is not None for value in told(infos, "add observation:counter every interval")] == [
        float(one[0]) > 99 for one in observations
    ]
    kept = set_to("observation:counter", 9.0, every=Interval(0.3, 0.3))
    assert [float(one[0]) for one in play(Perturbed(EchoEnv(), [kept]), steps=5)[0]] == [0, 1, 2, 9, 9, 9]


def test_a_freeze_and_a_lag_come_and_go():
    """Signals can be frozen, or late, for a while, and never go back in time."""
    freeze = hold("observation:counter", 1, every=Interval(0.3, 0.3, lasting_s=0.2))
    late = delay("observation:counter", 2, every=Interval(0.3, 0.3, lasting_s=0.2))
    frozen, lagging = (
        [float(one[0]) for one in play(Perturbed(EchoEnv(), [item]), steps=5)[0]] for item in (freeze, late)
    )
    assert frozen == [0, 1, 2, 2, 2, 5]
    assert lagging == [0, 1, 2, 2, 2, 5]


def test_a_pattern_means_one_draw_for_all():
    """All parameters that match get the same draw, each applied to its own nominal value."""
    env = gym.make("Pendulum-v1")
    table = Attributes(env, {"a.size": "m", "b.size": "l", "g": "g"})
    drawn = Perturbed(env, [scale("parameter:*.size", Uniform(0.5, 2))], parameters=table).reset(seed=1)[1][
        "parameters"
    ]
    assert drawn["a.size"] == drawn["b.size"] == env.unwrapped.m
    assert set(drawn) == {"a.size", "b.size"}


def test_tails_stop_at_the_bounds():
    """A normal amount fits if its 99.7 % do; what lies further out is cut at the parameter's bounds."""
    env = Perturbed(EchoEnv(), [add(GAIN, Normal(-0.5, 0.16))])
    gains = [env.reset(seed=seed)[1]["parameters"]["gain"] for seed in range(3000)]
    assert min(gains) == 0.0


# Signals -------------------------------------------------------------------------------------------------------


SPACES = {
    "Discrete": (gym.spaces.Discrete(9), 0, list(range(1, 9))),
    "Box": (gym.spaces.Box(-9, 9, (2,)), np.zeros(2, np.float32), [np.full(2, n, np.float32) for n in range(1, 9)]),
    "scalar Box": (gym.spaces.Box(-9, 9, ()), np.array(0, np.float32), [np.array(n, np.float32) for n in range(1, 9)]),
    "image": (gym.spaces.Box(0, 255, (2, 2), np.uint8), np.zeros((2, 2), np.uint8),
              [np.full((2, 2), n, np.uint8) for n in range(1, 9)]),
    "MultiDiscrete": (gym.spaces.MultiDiscrete([9, 9]), np.zeros(2, np.int64),
                      [np.full(2, n, np.int64) for n in range(1, 9)]),
    "Dict": (gym.spaces.Dict(a=gym.spaces.Discrete(9), b=gym.spaces.Box(-9, 9, (2,))),
             {"a": 0, "b": np.zeros(2, np.float32)}, [{"a": n, "b": np.full(2, n, np.float32)} for n in range(1, 9)]),
    "Tuple": (gym.spaces.Tuple([gym.spaces.Discrete(9)]), (0,), [(n,) for n in range(1, 9)]),
}  # fmt: skip


@pytest.mark.parametrize("name", SPACES)
@pytest.mark.parametrize("lag", [1, 3])
def test_delays_shift_every_kind_of_space(name, lag):
    """Observations and actions of any space arrive k steps late, exactly, and the first stands in before that."""
    space, first, actions = SPACES[name]
    late, _ = play(Perturbed(Anything(space, first), [delay("observation", lag)]), steps=8, actions=actions)
    assert repr(late) == repr(([first] * lag + [first, *actions])[: len(late)])
    late, _ = play(Perturbed(Anything(space, first), [delay("action", lag)]), steps=8, actions=actions)
    assert repr(late[1:]) == repr((actions[:1] * lag + actions)[:8])
    assert all(space.contains(one) for one in late)


def test_delays_hold_on_to_nothing_that_changes():
    """An environment may write into its arrays, and a user into theirs, without changing what arrives later."""

    class Reusing(Anything):
        def step(self, action):
            self.first["b"] += 1
            return self.first, 0.0, False, False, {}

    space, first, _ = SPACES["Dict"]
    env = Perturbed(Reusing(space, copy.deepcopy(first)), [delay("observation", 2)])
    env.reset(seed=0)
    seen = []
    for _ in range(6):
        observation = env.step(0)[0]
        seen.append(float(observation["b"][0]))
        observation["b"] += 100
    assert seen == [0, 0, 1, 2, 3, 4]


def test_parts_of_a_dict_are_perturbed_alone():
    """A named part of a Dict space changes, its copy alone, and only its bounds widen."""
    space, first, actions = SPACES["Dict"]
    env = Perturbed(
        Anything(space, first),
        [add("observation:b", 1.0), set_to("observation:a", 4), delay("observation:b", 1)],
    )
    observations, _ = play(env, steps=3, actions=actions)
    assert [one["a"] for one in observations] == [4, 4, 4, 4]
    assert [float(one["b"][0]) for one in observations] == [1, 1, 2, 3]
    assert first["b"].tolist() == [0, 0]
    assert np.all(np.isinf(env.observation_space["b"].high))
    assert env.observation_space["a"] == space["a"]
    assert all(env.observation_space.contains(one) for one in observations)


def test_whole_numbers_stay_whole():
    """Noise on an image is rounded and stays between 0 and 255."""
    space, first, actions = SPACES["image"]
    env = Perturbed(Anything(space, first), [add("observation", Normal(0, 200))])
    observations, _ = play(env, steps=8, actions=actions)
    assert all(one.dtype == np.uint8 and env.observation_space.contains(one) for one in observations)
    assert {0, 255} < set(np.array(observations).ravel().tolist())


def test_only_the_affected_bounds_widen():
    """add, scale and set open the bounds of their part and keep the dtype; delay and hold keep the space."""
    space = EchoEnv().observation_space
    wide = Perturbed(EchoEnv(), [add("observation:action", 1.0)]).observation_space
    assert wide.dtype == space.dtype
    assert np.isinf(wide.high).tolist() == [False] * 3 + [True] * 3
    assert (
        Perturbed(EchoEnv(), [delay("observation", 2), hold("observation", 0.5)]).observation_space
        is not None
    )
    assert Perturbed(EchoEnv(), [delay("observation", 2), add("action", 9.0)]).observation_space == space


def test_actions_pass_as_made():
    """An action beyond the space is not clipped, and the caller's array is not touched."""
    action = np.array([0.9, -0.9, 0.0], np.float32)
    env = Perturbed(EchoEnv(), [scale("action", 2.0), add("action:a", 1.0), clip("action:2", 0.1)])
    env.reset(seed=0)
    np.testing.assert_allclose(env.step(action)[0][3:], [2.8, -1.8, 0.0], rtol=1e-6)
    assert action.tolist() == np.array([0.9, -0.9, 0.0], np.float32).tolist()


def test_terms_can_be_named_by_the_caller():
    """Names given to the wrapper mean parts of any flat observation."""
    env = Perturbed(gym.make("CartPole-v1"), [set_to("observation:angle", 0.5)], terms={"angle": slice(2, 3)})
    assert env.reset(seed=0)[0][2] == 0.5


def test_names_of_a_reshaped_observation_are_forgotten():
    """Behind a wrapper that reshapes the observation, the bare environment's names mean nothing and are unknown."""
    stacked = gym.wrappers.FrameStackObservation(EchoEnv(), 8)
    with pytest.raises(Sim2RealError, match="no part 'counter'"):
        Perturbed(stacked, [add("observation:counter", 1.0)])


def test_what_is_told_cannot_disturb():
    """Changing what info holds changes nothing that follows."""
    items = [
        add("observation", Normal(0, 1), every="episode"),
        add("action", Normal(0, 1)),
        hold("action", 0.2),
    ]
    calm, _ = play(Perturbed(EchoEnv(), items))
    env = Perturbed(EchoEnv(), items)
    _, info = env.reset(seed=0)
    space = copy.deepcopy(env.action_space)
    space.seed(0)
    for expected in calm[1:]:
        for value in info["parameters"].values():
            value += 100  # in place where it is an array
        observation, *_, info = env.step(space.sample())
        assert equal([observation], [expected])


# Signals that have parts ---------------------------------------------------------------------------------------


def box(*shape):
    return gym.spaces.Box(-9, 9, shape, np.float32)


TREE = gym.spaces.Dict(
    [
        ("pose", gym.spaces.Dict(z=box(), xy=box(2))),
        ("goal", gym.spaces.Tuple([box(2), box(2, 2)])),
        ("arm", box(3)),
    ]
)
IN_ORDER = [
    "pose:z",
    "pose:xy:0",
    "pose:xy:1",
    "goal:0:0",
    "goal:0:1",
    "goal:1:0",
    "goal:1:0",
    "goal:1:1",
    "goal:1:1",
]
IN_ORDER += ["arm:0", "arm:1", "arm:2"]  # as Gymnasium flattens them


class Tree(gym.Env):
    """Numbers of the environment's own in a Dict of a Dict, a Tuple and a Box, its keys not in alphabetical order."""

    control_period_s = 0.1
    observation_space, action_space = TREE, gym.spaces.Discrete(2)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        return self._observe(), {}

    def step(self, action):
        return self._observe(), 0.0, False, False, {}

    def _observe(self):
        return gym.spaces.unflatten(TREE, self.np_random.uniform(-2, 2, 12).astype(np.float32))


def flat(env):
    return gym.wrappers.FlattenObservation(env)


@pytest.mark.parametrize(
    "item",
    [
        add("observation", 0.1),
        add("observation", Normal(0, 0.1)),
        add("observation", Normal(0, 0.1), every="episode"),
        add("observation", Drift(0.1, 1)),
        scale("observation", Uniform(0.5, 2), every=Interval(0.2, 0.4, 0.2)),
        set_to("observation", Uniform(0, 1), every=Ramp(0.5)),
        delay("observation", Integers(0, 3), every="step"),
        hold("observation", 0.4),
        quantize("observation", 0.25),
        clip("observation", 1.0),
        jointly(add("observation", Normal(0, 1)), add("action:0", Normal(0, 1)))[0],
    ],
    ids=lambda item: item.label,
)
def test_what_has_parts_is_perturbed_as_the_vector_that_it_flattens_to(item):
    """The whole of a Dict takes the same draws, bit for bit, as its parts would in one vector, and tells the same."""
    inside, outside = play(flat(Perturbed(Tree(), [item]))), play(Perturbed(flat(Tree()), [item]))
    assert equal(inside[0], outside[0])
    assert repr(inside[1]) == repr(outside[1])
    assert not equal(inside[0], play(flat(Tree()))[0])
    env = Perturbed(Tree(), [item])
    assert all(env.observation_space.contains(one) for one in play(env)[0])


@pytest.mark.parametrize(
    "part", [*dict.fromkeys(IN_ORDER), "pose", "pose:xy", "goal", "goal:0", "goal:1", "arm:0:2"]
)
def test_a_part_of_a_part_is_perturbed_alone(part):
    """However deep it lies, what a target names changes, and nothing else, in bounds neither."""
    head, _, last = part.rpartition(":")
    names = [f"{head.rpartition(':')[0]}:{n}" for n in (0, 1)] if part == "arm:0:2" else [part]
    expected = [any(one == name or one.startswith(f"{name}:") for name in names) for one in IN_ORDER]
    bare, env = Tree(), Perturbed(Tree(), [add(f"observation:{part}", 20.0)])
    observations = play(flat(env))[0]
    change = np.array(observations) - play(flat(bare))[0]
    np.testing.assert_allclose(change, np.tile(np.where(expected, 20, 0), (13, 1)), atol=1e-5)
    bounds = gym.spaces.flatten_space(env.observation_space)
    assert np.isinf(bounds.high).tolist() == expected
    assert all(env.observation_space.contains(one) for one in play(env)[0])


def test_parts_that_are_left_alone_are_handed_on_themselves():
    """Only what is perturbed is copied; a tuple stays a tuple, and the environment's own values as they were."""
    env = Anything(TREE, TREE.sample())
    before = copy.deepcopy(env.first)
    seen, _ = Perturbed(env, [add("observation:goal:0", 1.0), delay("observation:pose:z", 1)]).reset(seed=0)
    assert repr(env.first) == repr(before)
    assert isinstance(seen["goal"], tuple)
    assert seen["arm"] is env.first["arm"]
    assert seen["goal"][1] is env.first["goal"][1]
    assert seen["pose"]["xy"] is env.first["pose"]["xy"]


def test_actions_can_have_parts_too():
    """Parts of nested actions are perturbed and late as parts of observations are."""
    TREE.seed(0)
    actions = [TREE.sample() for _ in range(6)]
    items = [add("action:goal:1", 1.0), delay("action:pose", 2), set_to("action:arm:1", 0.5)]
    seen = play(Perturbed(Anything(TREE, TREE.sample()), items), steps=6, actions=actions)[0][1:]
    for step, (one, action) in enumerate(zip(seen, actions, strict=True)):
        np.testing.assert_array_equal(one["goal"][1], action["goal"][1] + np.float32(1))
        assert repr(one["pose"]) == repr(actions[max(0, step - 2)]["pose"])
        assert one["arm"].tolist() == [action["arm"][0], 0.5, action["arm"][2]]
        assert one["goal"][0] is action["goal"][0]


def test_every_part_has_its_own_noise():
    """No two components share a draw, and all are told in one array, in the order in which they are flattened."""
    observations, infos = play(flat(Perturbed(Tree(), [add("observation", Normal(0, 1))])))
    noise = np.array(observations) - play(flat(Tree()))[0]
    assert len(set(noise.ravel().tolist())) == noise.size
    np.testing.assert_allclose(told(infos, "add observation every step"), noise, atol=1e-5)


@pytest.mark.parametrize(
    "item",
    [
        add("observation:{pose:xy,goal:0,arm:1:3}", Normal(0, 0.1)),
        add("observation:{pose:xy,goal:0,arm:1:3}", Normal(0, 0.1), every="episode"),
        scale("observation:{pose:xy,goal:0,arm:1:3}", Drift(0.1, 1)),
        hold("observation:{pose:xy,goal:0,arm:1:3}", 0.5),
        delay("observation:{pose:xy,goal:0,arm:1:3}", Integers(0, 3), every="step"),
        quantize("observation:{pose:xy,goal:0,arm:1:3}", 0.25),
        add("observation:position", Normal(0, 0.1)),
    ],
    ids=lambda item: item.label,
)
def test_copies_of_one_signal_stay_equal(item):
    """What stands in braces, or has one name, holds one measurement: one draw acts on each copy of it."""

    class Copies(Tree):
        def _observe(self):
            found = super()._observe()
            return {**found, "goal": (found["pose"]["xy"].copy(), found["goal"][1]),
                    "arm": np.append(np.float32(7), found["pose"]["xy"])}  # fmt: skip

    names = {"position": "{pose:xy,goal:0,arm:1:3}"}
    observations, infos = play(Perturbed(Copies(), [item], terms=names), steps=30)
    bare, _ = play(Copies(), steps=30)
    for one in observations:
        np.testing.assert_array_equal(one["pose"]["xy"], one["goal"][0])
        np.testing.assert_array_equal(one["pose"]["xy"], one["arm"][1:])
        assert one["arm"][0] == 7
    assert not equal([one["pose"]["xy"] for one in observations], [one["pose"]["xy"] for one in bare])
    assert equal([one["goal"][1] for one in observations], [one["goal"][1] for one in bare])
    assert all(np.shape(value) in ((), (2,)) for value in infos[-1]["parameters"].values())


@pytest.mark.parametrize(
    ("target", "hint"),
    [
        ("observation:pose:yaw", r"no part 'pose:yaw'.*Did you mean"),
        ("observation:goal:2", "Did you mean 'goal:[01]'"),
        ("observation:arm:3", "'observation:arm:3' is .*observation:arm has 3 components"),
        ("observation:pose:z:0", "observation:pose:z has 0 components"),
        ("observation:arm:elbow", "The observation:arm has no part 'elbow'"),
        ("observation:{pose:xy,arm}", "one draw, but their shapes differ: (2,), (3,)"),
        ("observation:{arm,pose:x}", "no part 'pose:x'"),
        ("observation:{arm:0:2,arm:1:3}", "overlap"),
        ("observation:{goal:0,goal}", "shapes differ"),
    ],
)
def test_a_part_that_is_not_there_is_told(target, hint):
    """Whatever is wrong with the name of a part, or with what braces put together, is told before a step."""
    hint = hint.replace("(", r"\(").replace(")", r"\)")
    with pytest.raises(Sim2RealError, match=hint):
        Perturbed(Tree(), [add(target, Normal(0, 1))])


def test_parts_without_numbers_are_left_out_only_if_one_says_so():
    """Arithmetic on a whole with a text in it is refused, and its other parts are named; lag and loss take it."""
    space = gym.spaces.Dict(say=gym.spaces.Text(5), x=gym.spaces.Box(-1, 1, (1,)), n=gym.spaces.Discrete(3))
    env = Anything(space, {"say": "abc", "x": np.zeros(1, np.float32), "n": 1})
    with pytest.raises(Sim2RealError, match=r"in observation:say, there are no .* its own: observation:x\."):
        Perturbed(env, [add("observation", 1.0)])
    said = {"say": "ab", "x": np.ones(1, np.float32), "n": 2}
    items = [delay("observation", 1), add("observation:x", 1.0), hold("observation:say", 0.5)]
    observations, _ = play(Perturbed(env, items), steps=2, actions=[said, said])
    assert repr(observations[1]) == repr({**env.first, "x": np.ones(1, np.float32)})
    assert observations[2]["n"] == 2


@pytest.mark.parametrize(
    ("space", "value"),
    [
        (gym.spaces.Box(-9, 9, (3,), np.float32), np.array([0.1, 0.2, 0.3])),
        (gym.spaces.Box(-9, 9, (3,), np.float64), np.array([0.1, 0.2, 0.3], np.float32)),
        (gym.spaces.Box(-9, 9, (3,), np.float32), np.array([1, 0, 2])),
        (gym.spaces.Box(-999, 999, (3,), np.int32), np.array([1, 0, 2], np.uint8)),
        (gym.spaces.Box(-9, 9, (), np.float32), np.array(0.1)),
        (gym.spaces.Box(-9, 9, (), np.float32), 0.1),
    ],
)
def test_values_are_those_that_the_environment_returns(space, value):
    """Where a space says another dtype, nothing is rounded to it: not what is late, nor what stands beside noise."""
    env, given = Anything(space, value), np.array(value)
    assert Perturbed(env, [add("observation", Normal(0, 1)).at(0)]).reset(seed=0)[0] is value
    late, _ = Perturbed(env, [delay("observation", 1)]).reset(seed=0)
    assert equal([late], [given])
    noise = 300 if space.dtype == np.int32 else 0.5
    part = "observation:0" if space.shape else "observation"
    perturbed = Perturbed(env, [add(part, Uniform(noise, 2 * noise))])
    noisy, info = perturbed.reset(seed=0)
    drawn = with_noise(info, perturbed)["parameters"][f"add {part} every step"]
    shift = np.rint(drawn) if noise == 300 else drawn
    expected = np.append(given[:1] + shift, given[1:]) if space.shape else given + shift
    np.testing.assert_allclose(noisy, expected, atol=1e-6)
    assert np.array_equal(noisy[1:], given[1:]) if space.shape else noisy.shape == ()


def test_an_environment_that_breaks_its_word_is_told_so():
    """An array of another shape, or a part that is missing, is one sentence at the reset, or in the step."""
    space = gym.spaces.Dict(a=gym.spaces.Tuple([gym.spaces.Box(-1, 1, (2,))]))
    right = {"a": (np.zeros(2, np.float32),)}
    for wrong in ({"a": (np.zeros((2, 1), np.float32),)}, {"a": ()}, {}, None, np.zeros(2)):
        with pytest.raises(Sim2RealError, match=r"shape \(2, 1\), its space \(2,\)|not a (dict|tuple)"):
            Perturbed(Anything(space, wrong), [add("observation", Normal(0, 1))]).reset(seed=0)
        env = Perturbed(Anything(space, right), [add("observation", Normal(0, 1))])
        env.reset(seed=0)
        with pytest.raises(Sim2RealError, match=r"shape \(2, 1\), its space \(2,\)|not a (dict|tuple)"):
            env.step(wrong)


# Refusals ------------------------------------------------------------------------------------------------------


def frozen_lake(*items):
    return Perturbed(gym.make("FrozenLake-v1"), items)


@pytest.mark.parametrize(
    ("make", "hint"),
    [
        (lambda: Perturbed(EchoEnv(), [scale("parameter:gian", 2)]), "Did you mean 'gain'"),
        (lambda: Perturbed(EchoEnv(), [scale("parameter:*.mass", 2)]), "no parameter"),
        (lambda: Perturbed(EchoEnv(), [scale("parameter:gian", 2).at(0)]), "Did you mean 'gain'"),
        (lambda: Perturbed(gym.make("CartPole-v1"), [scale(GAIN, 2)]), "Attributes"),
        (lambda: Perturbed(EchoEnv(), [add("observation:cuonter", 2)]), "Did you mean 'counter'"),
        (lambda: Perturbed(EchoEnv(), [add("action:d", 2)]), "Known: a, b, c"),
        (lambda: Perturbed(EchoEnv(), [add("observation:6", 2)]), "6 components"),
        (lambda: Perturbed(EchoEnv(), [add("observation:3:9", 2)]), "6 components"),
        (lambda: Perturbed(EchoEnv(), [add("observation:3:3", 2)]), "6 components"),
        (lambda: Perturbed(EchoEnv(), [add("observation:x", 2)], terms={"x": slice(0, 9)}), "6 components"),
        (lambda: Perturbed(EchoEnv(), [scale(OFFSET, Uniform(0, 1), every="step")]), "every must be 'episode'"),
        (lambda: Perturbed(EchoEnv(), [add(OFFSET, 1, every=Interval(1, 2))]), "every must be 'episode'"),
        (lambda: Perturbed(EchoEnv(), [add(KICK, 1, every=Interval(1, 2, 1))]), "cannot last"),
        (lambda: Perturbed(EchoEnv(), [scale(GAIN, 11)]), "can make gain 11"),
        (lambda: Perturbed(EchoEnv(), [scale(GAIN, Uniform(-1, 1))]), "can make gain -1"),
        (lambda: Perturbed(EchoEnv(), [scale(GAIN, 5), scale(GAIN, Uniform(0, 5))]), "can make gain 25"),
        (lambda: Perturbed(EchoEnv(), [add(GAIN, Normal(0, 1))]), "can make gain -2"),
        (lambda: Perturbed(Perturbed(EchoEnv(), [scale(GAIN, 2)]), [scale(GAIN, 2)]), "put both into one"),
        (lambda: Perturbed(EchoEnv(), [Wrap(Anything, label="x")]), "takes perturbations"),
        (lambda: frozen_lake(add("observation", 1)), "no numbers"),
        (lambda: frozen_lake(scale("action", 1.5)), "no numbers"),
        (lambda: frozen_lake(set_to("action", 4)), "not always a value"),
        (lambda: frozen_lake(set_to("action", Integers(0, 3)).at(0.5)), "not always a value"),
        (lambda: frozen_lake(delay("observation:0", 1)), "no parts"),
        (lambda: Perturbed(Anything(*SPACES["Dict"][:2]), [add("observation", 1)]), "own: observation:b"),
        (lambda: Perturbed(Anything(*SPACES["Dict"][:2]), [add("observation:c", 1)]), "Known: a, b"),
        (lambda: Perturbed(Anything(*SPACES["Tuple"][:2]), [set_to("observation", 9)]), "not always a value"),
        (lambda: Perturbed(Anything(*SPACES["Tuple"][:2]), [delay("observation:1", 1)]), "Known: 0"),
        (lambda: Perturbed(Anything(*SPACES["MultiDiscrete"][:2]), [set_to("action:1", 9)]), "not always a value"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_refused_when_wrapped(make, hint):
    """Every misfit is told before the first step, in one sentence, with the nearest right name."""
    with pytest.raises(Sim2RealError, match=hint):
        make()


@pytest.mark.parametrize("item", [add("action", Drift(1, 1)), add("action", 1, every=Interval(1, 2))])
def test_seconds_need_a_period(item):
    """Drift and Interval need the control period, from the environment or from the caller."""

    class Timeless(EchoEnv):
        control_period_s = None

    with pytest.raises(Sim2RealError, match="period_s"):
        Perturbed(Timeless(), [item])
    Perturbed(Timeless(), [item], period_s=0.1).reset(seed=0)


# Gymnasium -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("make", "items"),
    [
        (EchoEnv, EVERYTHING),
        (lambda: gym.make("CartPole-v1"), [add("observation", Normal(0, 1)), delay("action", 1), hold("action", 0.1)]),
        (lambda: gym.make("Pendulum-v1"), [add("action", Normal(0, 0.1)), scale("observation:2", Uniform(0.5, 2))]),
        (lambda: gym.make("MountainCarContinuous-v0"), [quantize("observation", 0.01), clip("action", 0.5)]),
        (lambda: gym.make("FrozenLake-v1"), [delay("observation", Integers(0, 2)), hold("action", 0.3)]),
    ],
)  # fmt: skip
def test_gymnasium_finds_nothing_wrong(make, items):
    """check_env passes without a warning, but for being a wrapper and for bounds that are rightly infinite."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        check_env(Perturbed(make(), items), skip_render_check=True)
    expected = ("different from the unwrapped", "probably too", "symmetric and normalized")
    assert [
        str(one.message) for one in caught if not any(text in str(one.message) for text in expected)
    ] == []


def test_echo_env_itself_is_clean():
    """check_env has no remark at all about the bare EchoEnv."""
    check_env(EchoEnv(), skip_render_check=True)


def test_other_wrappers_and_vectors_work():
    """Statistics, time limits and vector environments take a perturbed environment like any other."""

    def make():
        env = Perturbed(gym.wrappers.TimeLimit(EchoEnv(), 5), EVERYTHING)
        return gym.wrappers.RecordEpisodeStatistics(env)

    vector = gym.vector.SyncVectorEnv([make, make])
    vector.reset(seed=[1, 2])
    alone = make()
    alone.reset(seed=2)
    for _ in range(5):
        observations, _, _, truncated, infos = vector.step(np.zeros((2, 3), np.float32))
        observation, _, _, _, info = alone.step(np.zeros(3, np.float32))
        np.testing.assert_array_equal(observations[1], observation)
        assert infos["parameters"]["gain"][1] == info["parameters"]["gain"]
    assert truncated.all()
    assert "episode" in info
    vector.close()


def test_the_spec_rebuilds_the_wrapper():
    """gym.make of a wrapped environment's spec gives the same perturbed environment."""
    env = Perturbed(gym.make("Pendulum-v1"), [add("observation", Normal(0, 0.1)), delay("action", 2)])
    again = gym.make(env.spec)
    assert equal(play(env)[0], play(again)[0])


def test_a_running_episode_can_be_copied():
    """A deep copy in the middle of an episode goes on exactly as the original does."""
    env = Perturbed(EchoEnv(), EVERYTHING)
    play(env, steps=70)
    twin = copy.deepcopy(env)
    action = np.full(3, 0.5, np.float32)
    env.reset(seed=5), twin.reset(seed=5)
    for _ in range(9):
        env.step(action), twin.step(action)
    other = copy.deepcopy(env)
    for _ in range(9):
        assert equal([env.step(action)[0]], [other.step(action)[0]])


def test_choice_of_actions_can_be_set():
    """A discrete action can be replaced by drawn ones."""
    space, first, actions = SPACES["Discrete"]
    env = Perturbed(Anything(space, first), [set_to("action", Choice([2, 5]), every="step")])
    observations, _ = play(env, steps=8, actions=actions)
    assert set(observations[1:]) == {2, 5}
    assert all(space.contains(one) for one in observations)


def test_a_parameter_left_off_its_nominal_value_is_refused():
    """What another wrapper, or a hand, left behind would be in no record: it is told when wrapping."""
    env = EchoEnv()
    first = Perturbed(env, [set_to(GAIN, 2.0)])
    first.reset(seed=0)
    with pytest.raises(Sim2RealError, match=r"gain is 2, not its nominal .* restore\(\)"):
        Perturbed(env, [add("observation", 0.1)])
    Perturbed(first, [add("observation", 0.1)])  # around it there is a record
    first.restore()
    Perturbed(env, [add("observation", 0.1)])


# Becoming another ----------------------------------------------------------------------------------------------


@given(conditions, conditions, seeds)
@settings(max_examples=20, deadline=None)
def test_becoming_another_is_being_made_so(one, other, seed):
    """From the next reset on a wrapper is, bit for bit, one made with the new perturbations, and back again."""
    env = Perturbed(EchoEnv(), EVERYTHING)
    env.become(one)
    first = play(env, seed)
    env.become(other)
    again, told_again = play(env, seed)
    expected, told_expected = play(Perturbed(EchoEnv(), other), seed)
    assert equal(again, expected)
    assert repr(told_again) == repr(told_expected)
    assert env.perturbations == tuple(other)
    env.become(one)
    assert equal(play(env, seed)[0], first[0])


def test_the_running_episode_goes_on():
    """What is to come acts at the next reset, not before, and what has gone is back at nominal then."""
    env = Perturbed(EchoEnv(), [set_to(GAIN, 2.0)])
    env.reset(seed=0)
    env.become([set_to(OFFSET, 1.0)])
    assert env.step(np.ones(3, np.float32))[0][3:].tolist() == [2, 2, 2]
    env.reset()
    assert env.step(np.ones(3, np.float32))[0][3:].tolist() == [2, 2, 2]  # gain 1, offset 1
    assert env.unwrapped.parameters.get("gain") == 1.0
    env.become([])
    env.restore()
    assert env.unwrapped.parameters.get("offset") == 0.0
    env.reset()
    assert env.step(np.ones(3, np.float32))[0][3:].tolist() == [1, 1, 1]


def test_what_does_not_fit_changes_nothing():
    """A refusal leaves the wrapper as it was; bounds that would widen, and inner wrappers, are refused."""
    env = Perturbed(EchoEnv(), [set_to(GAIN, 2.0)])
    before, _ = play(env)
    for items, hint in (([scale("parameter:gian", 2)], "gain"), ([add("observation", 1.0)], "widest")):
        with pytest.raises(Sim2RealError, match=hint):
            env.become(items)
    assert equal(play(env)[0], before)
    Perturbed(env, [])
    with pytest.raises(Sim2RealError, match="outermost"):
        env.become([])


def test_the_spec_follows():
    """The spec makes what the wrapper has become."""
    env = Perturbed(gym.make("Pendulum-v1"), [add("observation", Normal(0, 0.1))])
    assert env.spec is not None
    env.become([add("observation", Normal(0, 0.2))])
    expected = play(env)[0]
    assert equal(play(gym.make(env.spec))[0], expected)


def test_every_process_can_be_told():
    """A vector environment passes the new condition on to each of its environments."""
    vector = gym.vector.SyncVectorEnv([lambda: Perturbed(EchoEnv(), [set_to(GAIN, 2.0)])] * 2)
    vector.call("become", [set_to(GAIN, 3.0)])
    _, infos = vector.reset(seed=0)
    assert infos["parameters"]["gain"].tolist() == [3, 3]
    vector.close()


def test_a_pattern_can_name_alternatives():
    """Braces mean either name, and so do they for what counts as seen."""
    items = [scale("parameter:{gain,no}", 2.0)]
    assert Perturbed(EchoEnv(), items).reset(seed=0)[1]["parameters"] == {"gain": 2.0}
    assert held_out_kind(items, [[scale(GAIN, Uniform(1, 3))]], {"gain": 1.0}) == "in-distribution"


def test_a_group_of_joints_is_all_of_them():
    """A group is its members, by one draw; a group that has no such parameter is told what it has."""
    env = gym.make("sim2real:sim2real/Walk-v0")
    with pytest.raises(Sim2RealError, match=r"Did you mean 'legs.strength'\?"):
        Perturbed(env, [scale("parameter:legs.strenght", 0.8)])
    legs = any_of(env.unwrapped.sim.robot.groups["legs"])
    told = []
    for name in ("legs", legs):
        perturbed = Perturbed(env, [scale(f"parameter:{name}.strength", Uniform(0.5, 1))])
        told.append(perturbed.reset(seed=0)[1]["parameters"])
        perturbed.restore()
    assert [len(one) for one in told] == [12, 12]
    assert [len(set(one.values())) for one in told] == [1, 1]
    assert told[0].keys() == told[1].keys()
    env.close()


def test_parts_that_change_nothing_are_named_in_every_episode():
    """A factor of zero, a delay of what never changes and an event that has not come are inert; others hide none."""
    parts = {
        "acts": add("observation:own", Normal(0, 0.1)),
        "factor of zero": scale("parameter:offset", 2.0),
        "sets what is set": set_to("parameter:gain", 1.0),
        "not yet": add("parameter:kick", 1.0, every=Interval(2.0, 2.0)),
        "lag of a constant": delay("action", 2),
        "clips nothing": clip("observation:counter", 100.0),
    }
    env = Perturbed(EchoEnv(), parts.values())
    for seed in range(2):
        env.reset(seed=seed)
        for _ in range(10):
            env.step(np.ones(3, np.float32))
        assert env.inert == tuple(item.label for name, item in parts.items() if name != "acts")
    for step in range(15):
        env.step(np.full(3, step, np.float32))
    assert env.inert == tuple(
        parts[name].label for name in ("factor of zero", "sets what is set", "clips nothing")
    )

import json
import warnings
from dataclasses import replace
from typing import ClassVar

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env
from hypothesis import given, settings
from hypothesis import strategies as st

from sim2real.errors import Sim2RealError
from sim2real.perturb import Normal, add
from sim2real.safety import (
    Constraint,
    Lagrangian,
    Memory,
    Penalise,
    PidLagrangian,
    Record,
    Saute,
    Stochastic,
    Terminate,
    action_rate,
    custom,
    joint_velocity,
)
from sim2real.testing import EchoEnv
from sim2real.wrappers import Constrained, Perturbed


def size(observation, action, info):
    return float(np.abs(action).sum())


def told(observation, action, info):
    return info["level"]


def nothing(observation, action, info):
    return float("nan")


SIZE, RATE = custom(size, 1.5), action_rate(8.0)
LEVEL = custom(told, 0.0, name="level", scale=1.0)
MODES = (
    Record(),
    Penalise(weight=0.5),
    Lagrangian(limit=3, episodes=1),
    PidLagrangian(limit=3, episodes=1),
    Terminate(budget=8),
    Stochastic(probability=0.5, window=10, shift=3),
    Saute(budget=8),
)


class Levels(gym.Env):
    """Tells one level after the other, rewards each step with 1, and is truncated after the last."""

    metadata: ClassVar[dict] = {"render_modes": []}
    observation_space = gym.spaces.Box(-10, 10, (1,), np.float64)
    action_space = gym.spaces.Box(-1, 1, (1,), np.float32)

    def __init__(self, levels, costs=None, limit=None):
        self.levels, self.costs = levels, costs
        self.limit = len(levels) if limit is None else limit

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.time = 0
        return np.zeros(1), {}

    def step(self, action):
        info = {"level": self.levels[self.time]}
        if self.costs:
            info["cost"] = self.costs[self.time]
        self.time += 1
        return np.zeros(1), 1.0, False, self.time >= self.limit, info


def play(env, seed=0, most=1000):
    """Return the steps of an episode of random actions; the action space is left alone."""
    rng = np.random.default_rng(seed)
    observation, info = env.reset(seed=seed)
    steps = [(observation, 0.0, False, False, info)]
    while not (steps[-1][2] or steps[-1][3]) and len(steps) <= most:
        low, high = env.action_space.low, env.action_space.high
        steps.append(env.step(rng.uniform(low, high).astype(env.action_space.dtype)))
    return steps


def bits(steps):
    return [(np.asarray(o).tobytes(), float(r), te, tr) for o, r, te, tr, _ in steps]


levels = st.lists(st.floats(-2, 2).map(lambda x: round(x, 3)), min_size=1, max_size=30)

# Recording -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("constraints", [(), (SIZE,), (SIZE, RATE)])
def test_recording_changes_nothing(constraints):
    """Observations, rewards and ends are the bare environment's, bit for bit, inside and outside of Perturbed."""
    noise = [add("observation", Normal(0, 0.1))]
    assert bits(play(Constrained(EchoEnv(), constraints))) == bits(play(EchoEnv()))
    perturbed = bits(play(Perturbed(EchoEnv(), noise)))
    assert bits(play(Constrained(Perturbed(EchoEnv(), noise), constraints))) == perturbed
    assert bits(play(Perturbed(Constrained(EchoEnv(), constraints), noise))) == perturbed


@pytest.mark.parametrize("mode", MODES, ids=lambda mode: type(mode).__name__)
def test_a_test_changes_nothing_and_teaches_nothing(mode):
    """In the test phase rewards and ends are the environment's, and the memory stays as it was."""
    env = Constrained(EchoEnv(), (SIZE,), mode, phase="test")
    before = env.memory.state_dict()
    assert [step[1:] for step in bits(play(env))] == [step[1:] for step in bits(play(EchoEnv()))]
    assert env.memory.state_dict() == before


@given(levels=levels, limit=st.floats(-1, 1), discount=st.floats(0, 1))
@settings(max_examples=50)
def test_the_books_are_those_of_the_steps(levels, limit, discount):
    """Violated ⇔ value > limit ⇔ excess > 0; sums, discounted sums Σ γᵗ and the worst are those of all steps."""
    env = Constrained(Levels(levels), [replace(LEVEL, limit=limit)], discount=discount)
    steps = play(env)[1:]
    violated = [level > limit for level in levels]
    for bad, level, (*_, info) in zip(violated, levels, steps, strict=True):
        assert (info["cost"], info["violations"]) == (float(bad), int(bad))
        assert info["excess"] == {"level": level - limit}
        assert (info["excess"]["level"] > 0) == bad
    safety = steps[-1][-1]["safety"]
    assert safety["cost"] == safety["violations"] == sum(violated)
    own = safety["constraints"]["level"]
    assert own["cost"] == own["violations"] == sum(violated)
    assert own["worst_excess"] == max(levels) - limit
    assert own["discounted_cost"] == pytest.approx(sum(discount**t for t, bad in enumerate(violated) if bad))
    assert all("safety" not in info for *_, info in steps[:-1])


@given(levels=levels)
@settings(max_examples=30)
def test_costs_add_up_through_a_stack(levels):
    """Two wrappers with a constraint each tell what one with both tells, whatever the environment reports itself."""
    other = replace(LEVEL, name="other", limit=0.5)
    costs = [0.25] * len(levels)
    one = play(Constrained(Levels(levels, costs), [LEVEL, other]))
    two = play(Constrained(Constrained(Levels(levels, costs), [LEVEL]), [other]))
    assert [step[-1] for step in one] == [step[-1] for step in two]
    total = sum((level > 0) + (level > 0.5) for level in levels)
    assert one[-1][-1]["safety"]["cost"] == total + 0.25 * len(levels)
    assert one[-1][-1]["safety"]["violations"] == total


def test_training_and_test_are_counted_apart():
    """Each episode counts in the phase it began in, in totals and in info; setting the phase waits for a reset."""
    env = Constrained(Levels([1.0, -1.0, 1.0]), [LEVEL])
    env.reset(seed=0)
    env.phase = "test"
    for _ in range(3):
        *_, info = env.step(np.zeros(1))
    assert info["safety"]["phase"] == "training"
    assert play(env)[-1][-1]["safety"]["phase"] == "test"
    play(env)
    counted = {"episodes": 1, "steps": 3, "cost": 2.0, "violations": {"level": 2}}
    assert env.totals["training"] == counted
    twice = {"episodes": 2, "steps": 6, "cost": 4.0, "violations": {"level": 4}}
    assert env.totals["test"] == twice


def test_an_episode_cut_off_from_outside_counts_at_the_next_reset():
    """A time limit around the wrapper hides the end from it; the episode's cost is learnt all the same."""
    env = Constrained(Levels([1.0] * 9), [LEVEL], Lagrangian(limit=1, rate=1, episodes=1))
    play(gym.wrappers.TimeLimit(env, 4))
    assert env.multiplier == 0.0
    env.reset()
    assert env.multiplier == 3.0
    env.reset()
    assert env.totals["training"]["episodes"] == 1


# What is made of it --------------------------------------------------------------------------------------------


@given(levels=levels, budget=st.integers(0, 10))
@settings(max_examples=30)
def test_termination_comes_in_the_step_that_overspends(levels, budget):
    """The episode is the bare one cut after the step whose violations exceed the budget, and says so."""
    steps = play(Constrained(Levels(levels), [LEVEL], Terminate(budget=budget)))[1:]
    spent = np.cumsum([level > 0 for level in levels])
    over = [i for i, total in enumerate(spent) if total > budget]
    assert len(steps) == (over[0] + 1 if over else len(levels))
    _, _, terminated, _, info = steps[-1]
    assert terminated == bool(over)
    assert info.get("termination", "") == ("violation" if over else "")
    assert "safety" in info


def test_the_price_reaches_the_reward_of_the_very_step():
    """Penalised reward is r − weight · cost, step by step, and the reward itself without a violation."""
    levels = [1.0, -1.0, 0.5]
    steps = play(Constrained(Levels(levels), [LEVEL, replace(LEVEL, name="b")], Penalise(weight=0.75)))[1:]
    assert [step[1] for step in steps] == [-0.5, 1.0, -0.5]


def test_stochastic_ends_come_as_often_as_they_say():
    """With δ in every step episodes last 1/δ on average, and the sum of rewards is Σ (1 − δ)ᵗ, the published return."""
    mode = Stochastic(probability=0.2, keep=1.0)
    env = Constrained(Levels([1.0] * 200), [LEVEL], mode)
    lengths, returns = [], []
    for seed in range(1500):
        steps = play(env, seed)[1:]
        lengths.append(len(steps))
        returns.append(sum(step[1] for step in steps))
        assert steps[0][-1]["termination_probability"] == 0.2
    # Geometric: variance (1 − δ) / δ² = 20, so five standard errors are 0.58.
    assert np.mean(lengths) == pytest.approx(5.0, abs=0.58)
    assert np.mean(returns) == pytest.approx(sum(0.8**t for t in range(1, 200)), abs=0.8 * 0.58)


def test_two_stochastic_wrappers_draw_apart():
    """A stack of two that each end with δ ends with 1 − (1 − δ)²: neither draws what the other does."""
    mode = Stochastic(probability=0.2, keep=1.0)
    inner = Constrained(Levels([1.0] * 200), [LEVEL], mode)
    env = Constrained(inner, [replace(LEVEL, name="again")], mode)
    mean = np.mean([len(play(env, seed)) - 1 for seed in range(1500)])
    # Geometric with 0.36: five standard errors are 0.29.
    assert mean == pytest.approx(1 / 0.36, abs=0.29)


def test_an_end_of_the_environments_own_keeps_its_name():
    """Where the environment ends in the same step, its termination stands; the books are closed once."""
    fell = gym.wrappers.TransformReward(Levels([1.0]), float)
    fell.step = lambda action: (np.zeros(1), 1.0, True, False, {"level": 1.0, "termination": "fell"})
    env = Constrained(fell, [LEVEL], Terminate())
    assert play(env)[-1][-1]["termination"] == "fell"
    assert env.totals["training"]["episodes"] == 1


def test_one_seed_gives_one_episode_whatever_came_before():
    """Stochastic ends depend on the seed and on how many resets followed it; other seeds give others."""

    def lengths(env, seeds):
        return [len(play(env, seed)) for seed in seeds]

    def make():
        return Constrained(Levels([1.0] * 50), [LEVEL], Stochastic(probability=0.2, keep=1.0))

    one = lengths(make(), range(20))
    assert lengths(make(), reversed(range(20))) == one[::-1]
    assert len(set(one)) > 5
    unseeded = []
    for env in (make(), make()):
        env.reset(seed=3)
        found = []
        for _ in range(5):
            env.reset()
            while not env.step(np.zeros(1))[2]:
                pass
            found.append(env.totals["training"]["steps"])
        unseeded.append(found)
    assert unseeded[0] == unseeded[1]


@given(levels=levels, budget=st.integers(1, 10))
@settings(max_examples=30)
def test_the_budget_left_is_in_the_observation(levels, budget):
    """One more number, 1 − spent / budget exactly, in a Box that contains it; no reward once it is negative."""
    env = Constrained(Levels(levels), [LEVEL], Saute(budget=budget, unsafe=-2))
    spent = 0
    for i, (observation, reward, _, _, _) in enumerate(play(env)):
        spent += i > 0 and levels[i - 1] > 0
        assert observation[-1] == 1.0 - spent / budget
        assert env.observation_space.contains(observation)
        assert i == 0 or reward == (-2.0 if spent > budget else 1.0)


def test_the_budget_in_a_dictionary_has_a_name():
    """A Dict observation gets a term 'budget'; what cannot hold one is refused."""
    both = gym.spaces.Dict({"a": gym.spaces.Discrete(3), "b": gym.spaces.Box(-1, 1, (1,))})
    inner = gym.wrappers.TransformObservation(Levels([1.0]), lambda o: {"a": 0, "b": o.astype("f4")}, both)
    env = Constrained(inner, [LEVEL], Saute(budget=4))
    observation = play(env)[-1][0]
    assert observation["budget"] == 0.75
    assert env.observation_space.contains(observation)
    with pytest.raises(Sim2RealError, match="without a 'budget'"):
        Constrained(env, [replace(LEVEL, name="b")], Saute(budget=4))
    image = gym.wrappers.TransformObservation(
        Levels([1.0]), lambda o: o, gym.spaces.Box(0, 255, (4, 4), np.uint8)
    )
    with pytest.raises(Sim2RealError, match="a vector of floats"):
        Constrained(image, [LEVEL], Saute(budget=4))


# Many environments ---------------------------------------------------------------------------------------------


def test_environments_of_a_process_learn_together():
    """Two environments with one memory move it as one that plays the episodes of both."""
    mode = Lagrangian(limit=1, rate=0.1, episodes=4)
    memory = Memory(mode)
    pair = [Constrained(Levels([1.0] * n), [LEVEL], memory) for n in (2, 5)]
    alone = Memory(mode)
    for _ in range(6):
        for env in pair:
            play(env)
        alone.learn_episode(2.0)
        alone.learn_episode(5.0)
    assert pair[0].multiplier == pair[1].multiplier == alone.multiplier > 0


@pytest.mark.parametrize("kind", [gym.vector.SyncVectorEnv, gym.vector.AsyncVectorEnv])
def test_vector_environments_tell_and_take_the_multiplier(kind):
    """In a vector environment costs arrive per environment, and a trainer sets the multiplier of all."""
    makes = [lambda n=n: Constrained(Levels([1.0] * n), [LEVEL], Lagrangian(limit=1)) for n in (2, 3)]
    vector = kind(makes)
    vector.reset(seed=0)
    vector.set_attr("multiplier", 3.0)
    actions = np.zeros((2, 1), np.float32)
    _, rewards, *_, info = vector.step(actions)
    assert info["cost"].tolist() == [1.0, 1.0]
    assert rewards.tolist() == [-0.5, -0.5]  # (1 − 3·1) / (1 + 3)
    *_, info = vector.step(actions)
    assert info["safety"]["cost"].tolist() == [2.0, 0.0]
    assert vector.get_attr("multiplier") == (3.0, 3.0)
    vector.close()


def test_stable_baselines_trains_unchanged():
    """make_vec_env takes the wrapper, PPO learns, each price from its own episodes, and a trainer sets all of them."""
    from stable_baselines3 import PPO
    from stable_baselines3.common.env_util import make_vec_env

    options = {"constraints": [Constraint(name="big", quantity=SIZE.quantity, limit=0.8, unit="")]}
    options["mode"] = Lagrangian(limit=2, rate=0.05, episodes=4)
    vector = make_vec_env(EchoEnv, n_envs=2, seed=0, wrapper_class=Constrained, wrapper_kwargs=options)
    model = PPO("MlpPolicy", vector, n_steps=100, batch_size=100, n_epochs=1, seed=0, device="cpu")
    model.learn(400)
    assert all(price > 0 for price in vector.get_attr("multiplier"))
    totals = vector.get_attr("totals")
    assert [t["training"]["episodes"] for t in totals] == [4, 4]
    assert [t["test"]["episodes"] for t in totals] == [0, 0]
    vector.env_method("set_wrapper_attr", "multiplier", 2.5)
    vector.env_method("set_wrapper_attr", "phase", "test")
    assert vector.get_attr("multiplier") == [2.5, 2.5]
    vector.close()


# Housekeeping --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", MODES, ids=lambda mode: type(mode).__name__)
def test_the_api_is_gymnasiums_and_the_spec_rebuilds_it(mode):
    """The checker finds nothing, and gym.make of the spec plays the same episode."""
    gym.register("Echo-v0", EchoEnv)
    try:
        env = Constrained(gym.make("Echo-v0", disable_env_checker=True), (SIZE, RATE), mode, discount=0.5)
        again = gym.make(env.spec, disable_env_checker=True)
        assert bits(play(again, 5)) == bits(play(env, 5))
        assert (again.constraints, again.mode) == (env.constraints, env.mode)
    finally:
        gym.registry.pop("Echo-v0")
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*different from the unwrapped version.*")
        warnings.filterwarnings(
            "ignore", message=".*minimum value is -infinity.*"
        )  # what is overspent has no bound
        check_env(Constrained(EchoEnv(), (SIZE,), mode), skip_render_check=True)


@pytest.mark.parametrize("mode", MODES, ids=lambda mode: type(mode).__name__)
def test_a_checkpoint_goes_on_as_if_nothing_had_happened(mode):
    """State as JSON text, loaded into a new wrapper: the same rewards, ends and totals from there on."""

    def make():
        return Constrained(EchoEnv(), (SIZE, RATE), mode)

    env, whole = make(), make()
    play(env, 1)
    again = make()
    again.load_state_dict(json.loads(json.dumps(env.state_dict())))
    play(whole, 1)
    assert bits(play(again, 2)) == bits(play(whole, 2))
    assert again.totals == whole.totals
    with pytest.raises(Sim2RealError, match="other constraints"):
        Constrained(EchoEnv(), (SIZE,)).load_state_dict(env.state_dict())


def test_mistakes_are_told():
    """Names twice, a phase or discount that does not exist, no period, no number, no multiplier: one sentence each."""
    with pytest.raises(Sim2RealError, match="Two constraints are called 'size'"):
        Constrained(Constrained(EchoEnv(), [SIZE]), [SIZE])
    with pytest.raises(Sim2RealError, match="'training' or 'test'"):
        Constrained(EchoEnv(), [SIZE], phase="tset")
    with pytest.raises(Sim2RealError, match="between 0 and 1"):
        Constrained(EchoEnv(), [SIZE], discount=1.5)
    with pytest.raises(Sim2RealError, match="'action_rate' needs to know the time between steps"):
        Constrained(Levels([1.0]), [RATE])
    with pytest.raises(Sim2RealError, match=r"'joint_velocity' needs env\.unwrapped\.sim"):
        Constrained(EchoEnv(), [joint_velocity()])
    with pytest.raises(Sim2RealError, match="'nothing' is not a number"):
        play(Constrained(EchoEnv(), [custom(nothing)]))
    with pytest.raises(Sim2RealError, match="has no multiplier"):
        _ = Constrained(EchoEnv(), [SIZE]).multiplier
    assert Constrained(Levels([1.0]), [RATE], period_s=0.1).constraints == (RATE,)

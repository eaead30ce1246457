import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sim2real.errors import Sim2RealError
from sim2real.safety import (
    Charge,
    Lagrangian,
    Memory,
    Penalise,
    PidLagrangian,
    Record,
    Saute,
    Stochastic,
    Terminate,
)


def charge(cost=0.0, spent=0.0, **excess):
    return Charge(cost, spent, excess)


# Prices ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("share", [0.1, 0.5, 0.8])
@pytest.mark.parametrize("kind", [Lagrangian, PidLagrangian])
def test_the_multiplier_converges_to_the_analytic_solution(kind, share):
    """max Σ 2x − x² over T steps, of which the part x costs 1, s.t. cost ≤ d: x = d/T, λ = 2 (1 − d/T).

    The best response to the reward (r − λ c) / (1 + λ) is x = 1 − λ/2, whatever the division; the dual's gradient
    is T x − d.
    """
    steps, limit = 100, 100 * share
    memory = Memory(
        kind(limit=limit, episodes=3, **({"rate": 0.005} if kind is Lagrangian else {"kp": 0.002}))
    )
    if kind is PidLagrangian:
        memory = Memory(PidLagrangian(limit=limit, episodes=3, kp=0.005, ki=0.002, kd=0.001))
    for _ in range(3000):
        x = min(max(1 - memory.multiplier / 2, 0.0), 1.0)
        memory.learn_episode(steps * x)
    assert memory.multiplier == pytest.approx(2 * (1 - share), abs=1e-3)
    assert steps * x == pytest.approx(limit, abs=0.1)


def test_the_multiplier_converges_in_the_mean_with_random_costs():
    """The same problem with every step costing 1 with probability x: mean cost and multiplier are the analytic ones."""
    steps, limit = 100, 30.0
    memory, rng = Memory(Lagrangian(limit=limit, rate=0.001, episodes=10)), np.random.default_rng(0)
    prices, costs = [], []
    for episode in range(6000):
        x = min(max(1 - memory.multiplier / 2, 0.0), 1.0)
        cost = float(rng.binomial(steps, x))
        memory.learn_episode(cost)
        if episode > 2000:
            prices.append(memory.multiplier)
            costs.append(cost)
    assert np.mean(prices) == pytest.approx(2 * (1 - limit / steps), rel=0.01)
    assert np.mean(costs) == pytest.approx(limit, rel=0.01)


@given(costs=st.lists(st.floats(0, 1e4), max_size=40), limit=st.floats(0, 100), pid=st.booleans())
@settings(max_examples=50)
def test_the_multiplier_stays_within_its_bounds(costs, limit, pid):
    """0 ≤ λ ≤ most, after whatever costs; it moves once in `episodes` episodes only."""
    mode = (PidLagrangian if pid else Lagrangian)(limit=limit, most=5, episodes=2)
    memory = Memory(mode)
    for i, cost in enumerate(costs):
        before = memory.multiplier
        memory.learn_episode(cost)
        assert 0 <= memory.multiplier <= 5
        assert i % 2 or memory.multiplier == before


@given(reward=st.floats(-10, 10), cost=st.floats(0, 5), price=st.floats(0, 100))
@settings(max_examples=50)
def test_the_price_is_taken_off_the_reward(reward, cost, price):
    """(1 + λ) times the reward is r − λ c; at λ = 0 it is r, bit for bit."""
    memory = Memory(Lagrangian(limit=1))
    assert memory.mode.judge(reward, charge(cost), memory.state) == (reward, 0.0)
    memory.multiplier = price
    priced, ending = memory.mode.judge(reward, charge(cost), memory.state)
    assert priced * (1 + price) == pytest.approx(reward - price * cost, abs=1e-9)
    assert ending == 0.0
    assert Penalise(weight=price).judge(reward, charge(cost), {}) == (reward - price * cost, 0.0)


def test_pid_parts_are_what_they_are_called():
    """With one gain alone: kp gives kp Δ, ki the clipped sum of ki Δ, kd the growth over the delay, never its fall."""

    def prices(costs, **gains):
        mode = PidLagrangian(
            limit=10, episodes=1, smoothing=0, delay=2, **{"kp": 0, "ki": 0, "kd": 0} | gains
        )
        memory, found = Memory(mode), []
        for cost in costs:
            memory.learn_episode(cost)
            found.append(memory.multiplier)
        return found

    costs = [12.0, 15.0, 8.0, 20.0]
    assert prices(costs, kp=0.5) == [1.0, 2.5, 0.0, 5.0]
    assert prices(costs, ki=0.5) == [1.0, 3.5, 2.5, 7.5]
    assert prices([0.0, *costs], ki=0.5) == [0.0, 1.0, 3.5, 2.5, 7.5]
    assert prices(costs, kd=0.5) == [0.0, 1.5, 0.0, 2.5]


def test_a_multiplier_set_from_outside_stays():
    """Who sets the multiplier owns it: no episode moves it any more, and modes without one say so."""
    memory = Memory(Lagrangian(limit=0, episodes=1, rate=1))
    memory.learn_episode(3.0)
    assert memory.multiplier == 3.0
    memory.multiplier = 0.7
    memory.learn_episode(3.0)
    assert memory.multiplier == 0.7
    with pytest.raises(Sim2RealError, match="between 0 and the most"):
        memory.multiplier = 1e6
    with pytest.raises(Sim2RealError, match="no multiplier"):
        Memory(Record()).multiplier = 1.0


# Budgets ---------------------------------------------------------------------------------------------------------


@given(costs=st.lists(st.integers(0, 5), min_size=1, max_size=50), budget=st.integers(0, 60))
@settings(max_examples=50)
def test_budgets_are_exact(costs, budget):
    """An episode ends in the first step whose sum of whole costs exceeds the budget, and in no other."""
    mode, spent = Terminate(budget=budget), 0.0
    for i, cost in enumerate(costs):
        spent += cost
        assert mode.judge(1.0, charge(cost, spent), {}) == (1.0, float(sum(costs[: i + 1]) > budget))


@given(spent=st.integers(0, 60), budget=st.integers(1, 60))
@settings(max_examples=50)
def test_nothing_is_left_exactly_when_all_is_spent(spent, budget):
    """What is left is 1 at first, 0 when the budget is spent to the last, negative beyond, where reward ends."""
    mode = Saute(budget=budget, unsafe=-1)
    left = mode.left(float(spent))
    assert np.sign(left) == np.sign(budget - spent)
    assert left * budget == pytest.approx(budget - spent)
    assert mode.judge(3.0, charge(1.0, float(spent)), {}) == (-1.0 if left < 0 else 3.0, 0.0)


# Constraints as terminations ---------------------------------------------------------------------------------------


@given(reward=st.floats(-5, 5), excess=st.dictionaries(st.sampled_from("abc"), st.floats(0.001, 10)))
@settings(max_examples=50)
def test_ending_is_as_likely_as_the_worst_violation(reward, excess):
    """δ = p · min(1, largest excess in scales), and the reward is max(0, r + shift) (1 − δ), never negative."""
    mode = Stochastic(probability=0.4, shift=1)
    got, ending = mode.judge(reward, charge(**excess), mode.begin())
    assert ending == 0.4 * min(1.0, max(excess.values(), default=0.0))
    assert got == pytest.approx(max(0.0, reward + 1) * (1 - ending))
    more = {name: 2 * x for name, x in excess.items()}
    assert mode.judge(reward, charge(**more), mode.begin())[1] >= ending


@pytest.mark.parametrize("size", [0.2, 3.0])
def test_the_worst_follows_what_happens_from_the_scale(size):
    """After k windows with one violation of x each the worst is x + (1 − x) keepᵏ: scale 1 at first, x at last."""
    mode = Stochastic(keep=0.9, window=5)
    memory = Memory(mode)
    for window in range(1, 60):
        for step in range(5):
            memory.learn_step(charge(a=size) if step == window % 5 else charge())
        assert memory.state["worst"]["a"] == pytest.approx(size + (1 - size) * 0.9**window)
    _, ending = mode.judge(1.0, charge(a=size / 2), memory.state)
    assert ending == pytest.approx(mode.probability / 2, rel=0.02)


@given(sizes=st.lists(st.floats(0.01, 5), min_size=1, max_size=20))
@settings(max_examples=50)
def test_a_window_is_as_good_as_a_batch(sizes):
    """Violations in one window lead to the same worst in whatever order, as if they were of many environments."""
    states = []
    for order in (sizes, sizes[::-1]):
        memory = Memory(Stochastic(window=len(sizes)))
        for size in order:
            memory.learn_step(charge(a=size))
        states.append(memory.state)
    assert states[0] == states[1]
    assert states[0]["worst"]["a"] == pytest.approx(0.95 + 0.05 * max(sizes))


# Memory ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", [Lagrangian(limit=3), PidLagrangian(limit=3, delay=3), Stochastic(window=7)])
@given(costs=st.lists(st.floats(0.1, 9), min_size=2, max_size=60), cut=st.integers(0, 60))
@settings(max_examples=20)
def test_a_memory_goes_on_from_its_state(mode, costs, cut):
    """Saved as JSON text in the middle and loaded elsewhere, it ends as if nothing had happened."""

    def learn(memory, costs):
        for cost in costs:
            memory.learn_step(charge(cost, a=cost))
            memory.learn_episode(cost)
        return memory

    whole = learn(Memory(mode), costs)
    saved = json.loads(json.dumps(learn(Memory(mode), costs[:cut]).state_dict()))
    again = Memory(mode)
    again.load_state_dict(saved)
    assert learn(again, costs[cut:]).state_dict() == whole.state_dict()
    with pytest.raises(Sim2RealError, match="memory of"):
        Memory(Record()).load_state_dict(saved)

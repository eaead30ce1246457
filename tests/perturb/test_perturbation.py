import dataclasses
import json
import math
import pickle

import gymnasium as gym
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sim2real.errors import Sim2RealError
from sim2real.perturb import (
    At,
    Choice,
    Correlated,
    Drift,
    Integers,
    Interval,
    LogUniform,
    Normal,
    Perturbation,
    Ramp,
    Samples,
    Sine,
    Square,
    TruncatedNormal,
    Uniform,
    Wrap,
    add,
    clip,
    delay,
    from_json,
    hold,
    joint_normal,
    joint_samples,
    jointly,
    quantize,
    scale,
    set_to,
    to_json,
)

numbers = st.floats(-1e6, 1e6)
ranges = st.tuples(numbers, numbers).map(sorted)
shares = st.tuples(st.floats(0, 1), st.floats(0, 1)).map(sorted)
amounts = st.one_of(
    numbers,
    ranges.map(lambda r: Uniform(*r)),
    st.builds(Normal, numbers, st.floats(0, 10)),
    ranges.map(lambda r: TruncatedNormal(0, 1, *r)),
    st.lists(numbers, min_size=1, max_size=4).map(Choice),
    st.just(LogUniform(0.1, 2)),
    st.just(Integers(-2, 2)),
    ranges.map(lambda r: Correlated(Uniform(*r), (0.6, 0.8), "a & b")),
    st.lists(numbers, min_size=1, max_size=4).map(lambda values: Samples(tuple(values), "a & b")),
)
schedules = st.one_of(
    st.sampled_from(["step", "episode"]),
    st.builds(Interval, st.floats(0.1, 1), st.floats(1, 5), st.none() | st.floats(0.1, 2)),
    st.builds(Ramp, st.floats(0.1, 9), st.floats(0, 9)),
    st.builds(Sine, st.floats(0.1, 9), st.floats(-3, 3)),
    st.builds(Square, st.floats(0.1, 9), st.floats(0.1, 0.9), st.floats(0, 9)),
    st.builds(At, st.floats(0, 9), st.none() | st.floats(0.1, 2)),
)
one_way = schedules.filter(lambda every: not isinstance(every, Sine))
targets = st.sampled_from(["observation", "observation:gyro", "observation:0:3", "action:left_knee"])
strengths = st.floats(0, 2)
perturbations = st.one_of(
    st.builds(lambda f, t, a, e, s: f(t, a, every=e).at(s), st.sampled_from([add, scale, set_to]),
              targets | st.just("parameter:torso.mass"), amounts, schedules, strengths),
    st.builds(lambda t, s: add(t, Drift(0.1, 3)).at(s), targets, strengths),
    st.builds(lambda t, a, e: delay(t, a, every=e), targets, st.just(Integers(0, 3)) | st.just(2), one_way),
    st.builds(lambda t, a, e: hold(t, Uniform(*a), every=e), targets, shares, one_way),
    st.builds(lambda f, t, a: f(t, a), st.sampled_from([quantize, clip]), targets, st.floats(0.01, 5)),
)  # fmt: skip

BOTH = (add("action", Normal(0, 1)), add("observation", Normal(0, 1)))
IDENTITY = [[1, 0], [0, 1]]


def shorten(env):
    return gym.wrappers.TimeLimit(env, 3)


@given(st.lists(perturbations, max_size=3).map(tuple))
@settings(max_examples=50)
def test_conditions_survive_json_pickle_and_hash(condition):
    """A condition written as JSON text, or pickled, comes back equal, bit for bit, with the same hash."""
    text = json.dumps(to_json(condition))
    for again in (from_json(json.loads(text)), pickle.loads(pickle.dumps(condition))):
        assert again == condition
        assert hash(again) == hash(condition)
        assert json.dumps(to_json(again)) == text


@given(perturbations, perturbations)
@settings(max_examples=50)
def test_labels_tell_perturbations_apart(one, other):
    """Two perturbations read the same only if they are the same."""
    assert (one.label == other.label) == (one == other)


@given(perturbations, strengths)
@settings(max_examples=50)
def test_strength_multiplies(item, strength):
    """at(1) is the perturbation itself, at(0) does not act, and strength is no part of the identity."""
    assert item.at(1.0) == item
    assert not item.at(0.0).acts
    if item.operation != "hold":
        assert item.at(strength).strength == item.strength * strength
        assert item.at(strength).identity == item.identity


@pytest.mark.parametrize(
    ("item", "every"),
    [
        (add("observation", Normal(0, 1)), "step"),
        (scale("action", Uniform(0, 1)), "step"),
        (add("observation", Drift(1, 1)), "step"),
        (scale("parameter:ground.friction", Drift(0.1, 1)), "step"),
        (scale("parameter:torso.mass", Uniform(0, 1)), "episode"),
        (set_to("observation", Uniform(0, 1)), "episode"),
        (delay("action", Integers(0, 2)), "episode"),
        (hold("observation", 0.1), "episode"),
        (add("observation", 0.1, every="step"), "episode"),
    ],
)
def test_usual_schedules(item, every):
    """Noise is drawn on every step, a bias, a lag or a mass once an episode; a number is never drawn."""
    assert item.every == every


def test_values_are_frozen():
    """A perturbation cannot be changed."""
    with pytest.raises(dataclasses.FrozenInstanceError):
        add("observation", 1).strength = 2


@pytest.mark.parametrize(
    ("make", "hint"),
    [
        (lambda: add("observaton", 1), "is no target"),
        (lambda: add("parameter", 1), "is no target"),
        (lambda: add("observation:", 1), "is no target"),
        (lambda: Perturbation(target="action", operation="scael", amount=1), "Did you mean 'scale'"),
        (lambda: delay("parameter:ground.friction", 1), "is for signals"),
        (lambda: add("action", math.nan), "finite"),
        (lambda: add("action", "much"), "finite"),
        (lambda: add("action", None), "finite"),
        (lambda: add("action", Normal(0, 1), every="minute"), "'step', 'episode'"),
        (lambda: add("action", 1).at(-1), "negative"),
        (lambda: add("action", 1).at(math.inf), "finite"),
        (lambda: delay("action", -1), "at least 0"),
        (lambda: delay("action", 1.5), "whole control steps"),
        (lambda: delay("action", Normal(2, 0.1)), "always"),
        (lambda: hold("action", 1.1), "at most 1"),
        (lambda: hold("action", Uniform(0, 2)), "at most 1"),
        (lambda: hold("action", 0.8).at(2), "at most 1"),
        (lambda: quantize("action", -0.1), "at least 0"),
        (lambda: clip("action", Uniform(-1, 1)), "at least 0"),
        (lambda: set_to("action", Drift(1, 1)), "add or scale"),
        (lambda: add("action", Drift(1, 1), every="episode"), "every='step'"),
        (lambda: delay("action", 2, every=Sine(1.0)), "at least 0"),
        (lambda: Ramp(0.0), "must be positive"),
        (lambda: Sine(-1.0), "must be positive"),
        (lambda: Square(1.0, on=1.0), "between 0 and 1"),
        (lambda: At(-1.0), "must not be negative"),
        (lambda: At(math.nan), "finite"),
        (lambda: add("action", Drift(1, 1), every=Ramp(1.0)), "every='step'"),
        (lambda: jointly(add("action", 1.0), add("observation", Normal(0, 1))), "draws nothing"),
        (lambda: jointly(add("action", Normal(0, 1))), "takes two"),
        (lambda: jointly(*[add("action", Normal(0, 1))] * 2), "the same to the same target"),
        (lambda: jointly(add("action", Normal(0, 1)), add("observation", Drift(1, 1))), "not Drift"),
        (lambda: jointly(add("action", Normal(0, 1)), add("action:a", Normal(0, 1), every="episode")), "same moments"),
        (lambda: jointly(*BOTH, correlation=[[1, 2], [2, 1]]), "beyond ±1"),
        (lambda: jointly(*BOTH, correlation=[[1, 0.5], [0.1, 1]]), "symmetric"),
        (lambda: jointly(*BOTH, correlation=[[1]]), "2 × 2"),
        (lambda: jointly(*BOTH, correlation=IDENTITY, rank_correlation=IDENTITY), "not both"),
        (lambda: joint_normal({"action:a": 0, "action:b": 0, "action:c": 0}, [[1, 1, -1], [1, 1, 1], [-1, 1, 1]]),
         "semidefinite"),
        (lambda: joint_normal({"action:a": 0, "action:b": 0}, [[0, 1], [1, 1]]), "without variance"),
        (lambda: joint_samples({"action:a": [1, 2], "action:b": [1]}), "equally long"),
        (lambda: joint_samples({"action:a": [], "action:b": []}), "empty"),
        (lambda: Correlated(Uniform(0, 1), (1.0, 1.0), "x"), "length 1"),
        (lambda: Wrap(lambda env: env, label="opaque"), "top level"),
        (lambda: from_json([{"target": "action"}]), "no perturbation"),
        (lambda: from_json([{**to_json([add("action", Normal(0, 1))])[0], "amount": {"kind": "Nrmal"}}]), "Normal"),
        (lambda: from_json([{"wrap": "sim2real.nowhere:f", "label": "x"}])[0].fn(None), "cannot be imported"),
    ],
)  # fmt: skip
def test_what_makes_no_sense_is_refused_in_a_sentence(make, hint):
    """Every contradiction is told when the value is made."""
    with pytest.raises(Sim2RealError, match=hint) as caught:
        make()
    assert str(caught.value).count("\n") == 0


def test_a_wrap_is_a_value_that_calls_a_function():
    """A Wrap equals another of the same function, survives JSON and pickling, and does what the function does."""
    wrap = Wrap(shorten, label="short episodes")
    again = from_json(json.loads(json.dumps(to_json((wrap,)))))[0]
    assert again == wrap == Wrap(shorten, label="short episodes") == pickle.loads(pickle.dumps(wrap))
    assert hash(again) == hash(wrap)
    assert isinstance(again.fn(gym.make("CartPole-v1")), gym.wrappers.TimeLimit)


def test_reading_a_wrap_imports_nothing():
    """A record can name any module; reading it must not run it."""
    (wrap,) = from_json([{"wrap": "no.such.module:function", "label": "foreign"}])
    assert wrap.label == "foreign"

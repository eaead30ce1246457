import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sim2real.perturb import (
    Choice,
    Drift,
    Integers,
    Interval,
    Normal,
    Uniform,
    Wrap,
    add,
    delay,
    held_out_kind,
    hold,
    scale,
    set_to,
)

NOMINALS = {
    "ground.friction": 0.8,
    "torso.mass": 9.0,
    "a.strength": 1.0,
    "b.strength": 1.0,
    "base.velocity_x": 0.0,
}
FRICTION, MASS = "parameter:ground.friction", "parameter:torso.mass"


def kind(condition, seen):
    return held_out_kind(condition, seen, NOMINALS)


def identity(env):
    return env


@pytest.mark.parametrize(
    ("condition", "seen", "expected"),
    [
        ((), [], "nominal"),
        ((), None, "nominal"),
        ((scale(MASS, 1.0),), [], "nominal"),
        ((scale(MASS, 2.0).at(0),), [], "nominal"),
        ((scale(MASS, 1.1),), None, "undeclared"),
        ((scale(MASS, 1.1),), [], "unseen kind"),
        ((scale(MASS, 1.1),), [()], "unseen kind"),
        ((scale(MASS, 1.1),), [(scale(MASS, Uniform(0.8, 1.2)),)], "in-distribution"),
        ((scale(MASS, 1.3),), [(scale(MASS, Uniform(0.8, 1.2)),)], "extrapolation"),
        ((scale(MASS, Uniform(0.9, 1.3)),), [(scale(MASS, Uniform(0.8, 1.2)),)], "extrapolation"),
        ((scale(MASS, 1.3).at(0.5),), [(scale(MASS, Uniform(0.8, 1.2)),)], "in-distribution"),
        ((scale(MASS, 1.1),), [(scale(MASS, Uniform(0.8, 1.2)).at(0.1),)], "extrapolation"),
        # One parameter is compared in absolute terms, whatever the operation.
        ((set_to(FRICTION, 0.96),), [(scale(FRICTION, Uniform(0.8, 1.2)),)], "in-distribution"),
        ((add(FRICTION, 0.3),), [(scale(FRICTION, Uniform(0.8, 1.2)),)], "extrapolation"),
        ((scale(FRICTION, 1.1),), [(set_to(FRICTION, Uniform(0.5, 0.88)),)], "in-distribution"),
        ((scale(FRICTION, Drift(0.1, 5)),), [(scale(FRICTION, Drift(0.2, 5)),)], "in-distribution"),
        ((scale(MASS, 1.2), add(MASS, 3.0)), [(set_to(MASS, Uniform(9, 14)),)], "in-distribution"),
        ((scale("parameter:a.strength", 0.9),), [(scale("parameter:*.strength", Uniform(0.8, 1)),)], "in-distribution"),
        # Gaps.
        ((set_to(FRICTION, 0.5),), [(set_to(FRICTION, Choice([0.3, 0.8])),)], "interpolation"),
        ((set_to(FRICTION, 0.3),), [(set_to(FRICTION, Choice([0.3, 0.8])),)], "in-distribution"),
        ((set_to(FRICTION, 0.5),), [(set_to(FRICTION, 0.3),), ()], "interpolation"),
        ((set_to(FRICTION, 0.9),), [(set_to(FRICTION, 0.3),), ()], "extrapolation"),
        ((set_to(FRICTION, Uniform(0.4, 0.9)),),
         [(set_to(FRICTION, Uniform(0.3, 0.6)),), (set_to(FRICTION, Uniform(0.6, 1)),)], "in-distribution"),
        ((set_to(FRICTION, Choice([0.3, 0.9])),), [(set_to(FRICTION, 0.3),), (set_to(FRICTION, 0.9),)],
         "in-distribution"),
        ((delay("action", 2),), [(delay("action", Integers(0, 3)),)], "in-distribution"),
        ((delay("action", 4),), [(delay("action", Integers(0, 3)),)], "extrapolation"),
        ((delay("action", 2),), [(delay("action", Integers(0, 3), every="step"),)], "in-distribution"),
        ((hold("action", 0.1),), [(hold("action", Uniform(0, 0.2)),)], "in-distribution"),
        # Parts seen apart.
        ((scale(MASS, 1.1), delay("action", 1)), [(scale(MASS, 1.1),), (delay("action", 1),)], "combination"),
        ((scale(MASS, 1.1), delay("action", 1)), [(scale(MASS, 1.1), delay("action", 1))], "in-distribution"),
        ((scale(MASS, 1.5), delay("action", 1)), [(scale(MASS, 1.1),), (delay("action", 1),)], "extrapolation"),
        # What is left alone stands at its identity.
        ((scale(MASS, 1.1),), [(scale(MASS, Uniform(1, 2)), delay("action", Integers(0, 2)))], "in-distribution"),
        ((scale(MASS, 1.1),), [(scale(MASS, Uniform(1, 2)), delay("action", Integers(1, 2)))], "extrapolation"),
        ((scale(MASS, 1.1),), [(scale(MASS, Uniform(1, 2)), set_to(FRICTION, 0.5))], "extrapolation"),
        ((scale(MASS, 1.1),), [(scale(MASS, Uniform(1, 2)), add("action", 1.0, every=Interval(1, 2)))],
         "in-distribution"),
        # Kinds.
        ((add("observation:gyro", 0.1),), [(add("observation", 0.1),)], "unseen kind"),
        ((add("observation", 0.1),), [(add("observation", Normal(0, 0.1)),)], "unseen kind"),
        ((add("observation", 0.1),), [(add("observation", Normal(0, 0.1), every="episode"),)], "in-distribution"),
        ((add("observation", Normal(0, 0.1)),), [(add("observation", Normal(0, 0.2)),)], "in-distribution"),
        ((add("observation", Normal(0, 0.3)),), [(add("observation", Normal(0, 0.2)),)], "extrapolation"),
        ((add("observation", Drift(0.1, 5)),), [(add("observation", Normal(0, 0.2)),)], "unseen kind"),
        ((add("observation", Drift(0.1, 5)),), [(add("observation", Drift(0.2, 5)),)], "in-distribution"),
        ((add("observation", Drift(0.1, 5)),), [(add("observation", Drift(0.2, 9)),)], "extrapolation"),
        ((Wrap(identity, label="x"),), [()], "unseen kind"),
        ((Wrap(identity, label="x"),), [(Wrap(identity, label="y"),)], "in-distribution"),
        # A parameter that this environment does not have is compared as it is written.
        ((scale("parameter:tail.mass", 1.1),), [(scale("parameter:tail.mass", Uniform(1, 2)),)], "in-distribution"),
    ],
)  # fmt: skip
def test_kinds(condition, seen, expected):
    """Each kind is told from the others."""
    assert kind(condition, seen) == expected


def push(speed, low_s, high_s, lasting_s=None):
    return add("parameter:base.velocity_x", Uniform(-speed, speed), every=Interval(low_s, high_s, lasting_s))


@pytest.mark.parametrize(
    ("tested", "expected"),
    [
        (push(0.5, 6, 8), "in-distribution"),
        (push(2.0, 6, 8), "extrapolation"),
        (push(0.5, 1, 2), "extrapolation"),
        (push(0.5, 6, 8, 1.0), "extrapolation"),
        (add("parameter:base.velocity_x", 0.5), "unseen kind"),
    ],
)
def test_events_are_seen_as_often_as_they_came(tested, expected):
    """A push is new if it is harder, comes at other times, lasts longer, or comes but once at the start."""
    assert kind((tested,), [(push(1.0, 5, 10),)]) == expected


axes = st.sampled_from(
    [
        (scale, MASS, "episode"), (scale, FRICTION, "episode"), (scale, "parameter:*.strength", "episode"),
        (add, "observation:gyro", "step"), (add, "observation:gyro", "episode"), (hold, "observation", "episode"),
        (scale, "action", "step"),
    ]
)  # fmt: skip
grid = st.integers(0, 10).map(lambda n: n / 10)
pairs = st.tuples(grid, grid).map(sorted)


@st.composite
def training(draw):
    """Return a training condition, and one of which every world is among its worlds."""
    seen, tested = [], []
    for make, target, every in draw(st.lists(axes, min_size=1, max_size=4, unique=True)):
        identity = 1.0 if make is scale else 0.0
        low, high = draw(pairs)
        a, b = (low + share * (high - low) for share in draw(pairs))
        if draw(st.booleans()) and low <= identity <= high:
            inside = []
        else:
            inside = [
                make(target, Uniform(a, b) if every == "step" or draw(st.booleans()) else a, every=every)
            ]
        seen.append(make(target, Uniform(low, high), every=every))
        tested += inside
    return tuple(seen), tuple(tested)


@given(training(), st.lists(training().map(lambda pair: pair[0]), max_size=2), st.integers(0, 2))
@settings(max_examples=50)
def test_what_lies_within_training_is_never_held_out(pair, others, place):
    """A condition inside one training condition is in distribution, whatever else was trained on."""
    seen, tested = pair
    others.insert(place, seen)
    assert kind(tested, others) in ("in-distribution", "nominal")


@given(training(), st.permutations(range(4)), st.lists(training().map(lambda pair: pair[0]), max_size=3))
@settings(max_examples=30)
def test_the_order_of_training_conditions_does_not_matter(pair, order, seen):
    """The kind depends on what was seen, not on when."""
    shuffled = [seen[i] for i in order if i < len(seen)]
    assert kind(pair[1], seen) == kind(pair[1], shuffled)


@pytest.mark.parametrize("tiles", [2, 5])
def test_worlds_tiled_by_training_conditions_were_seen(tiles):
    """A box that many training conditions cover only together was seen; with one of them missing it was not."""
    names = [f"p{i}" for i in range(tiles)]
    halves = [[scale(f"parameter:{name}", Uniform(*half)) for half in ((0.5, 1), (1, 1.5))] for name in names]
    seen = list(itertools.product(*halves))
    tested = tuple(scale(f"parameter:{name}", Uniform(0.6, 1.4)) for name in names)
    nominals = dict.fromkeys(names, 2.0)
    assert held_out_kind(tested, seen, nominals) == "in-distribution"
    assert held_out_kind(tested, seen[:-1], nominals) == "combination"


@given(training(), grid)
@settings(max_examples=30)
def test_beyond_the_hull_is_extrapolation(pair, beyond):
    """A value outside everything seen of one parameter is extrapolation."""
    seen = [tuple(item for item in pair[0] if item.target != MASS) + (scale(MASS, Uniform(0.9, 1.1)),)]
    assert kind((scale(MASS, 1.2 + beyond),), seen) == "extrapolation"

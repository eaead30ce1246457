import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chi2

from sim2real.perturb import (
    Choice,
    Drift,
    Integers,
    Interval,
    LogUniform,
    Normal,
    Uniform,
    Wrap,
    add,
    delay,
    held_out_kind,
    hold,
    joint_normal,
    joint_samples,
    jointly,
    scale,
    set_to,
)
from sim2real.perturb.catalogue import engine
from sim2real.perturb.heldout import reached

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
        ((scale(MASS, 1.1),), [(Wrap(identity, label="x"), scale(MASS, 1.1))], "unseen kind"),
        ((engine("mujoco"),), None, "undeclared"),
        ((engine("mujoco"),), [(), (engine("bullet"),)], "unseen kind"),
        ((engine("mujoco"),), [(), (engine("mujoco"),)], "in-distribution"),
        ((engine("mujoco"), scale(MASS, 1.1)), [(scale(MASS, 1.1),), (engine("mujoco"),)], "combination"),
        ((engine("mujoco"), scale(MASS, 1.3)), [(engine("mujoco"), scale(MASS, 1.1))], "extrapolation"),
        ((scale(MASS, 1.1),), [(engine("mujoco"), scale(MASS, 1.1))], "unseen kind"),
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


POINT = {"a": 5.0, "b": -2.0, "c": 0.5}
"""Nominal values: one of each sign, so that a factor turns one marginal round."""


def at(values):
    """Return the condition that sets parameters to constants."""
    return tuple(set_to(f"parameter:{name}", value) for name, value in zip(POINT, values, strict=False))


def correlations(size):
    """Correlation matrices, some of them singular."""
    numbers = st.lists(st.floats(-1, 1), min_size=size * size, max_size=size * size)

    def matrix(entries):
        rows = np.array(entries).reshape(size, size) + 0.1 * np.eye(size)
        rows /= np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-3)
        inner = rows @ rows.T
        return inner / np.sqrt(np.outer(np.diag(inner), np.diag(inner)))

    return numbers.map(matrix)


marginals = st.sampled_from(
    [(scale, Uniform(0.8, 1.2)), (scale, LogUniform(0.5, 2)), (add, Normal(0, 0.3)), (add, Integers(-2, 2)),
     (set_to, Uniform(-1, 1)), (scale, Choice([0.9, 1.0, 1.3]))]
)  # fmt: skip


@given(st.lists(marginals, min_size=3, max_size=3), correlations(3), st.integers(0, 1))
@settings(max_examples=30, deadline=None)
def test_what_was_drawn_together_was_seen(columns, matrix, others):
    """A training condition is in distribution, whatever its columns and however they correlate."""
    items = (make(f"parameter:{name}", amount) for name, (make, amount) in zip(POINT, columns, strict=True))
    condition = jointly(*items, correlation=matrix)
    seen = [(set_to("parameter:a", 99.0),)] * others + [condition]
    assert held_out_kind(condition, seen, POINT) == "in-distribution"


@given(st.floats(-0.95, 0.95), st.floats(0, 2 * math.pi), st.floats(0.01, 100))
@settings(max_examples=50, deadline=None)
def test_a_correlated_normal_was_seen_within_its_ellipsoid(correlation, angle, unit):
    """A point is a combination from the 99.73 % ellipsoid on; the unit, and what is done, do not matter."""
    covariance = np.array([[0.25, correlation * 0.5 * 0.1], [correlation * 0.5 * 0.1, 0.01]])
    direction = np.linalg.cholesky(covariance) @ [math.cos(angle), math.sin(angle)]
    radius = math.sqrt(chi2.ppf(chi2.cdf(9, 1), 2))
    for share, expected in ((0.93, "in-distribution"), (1.2, "combination")):
        off = share * radius * direction
        if np.all(np.abs(off) < 2.99 * np.array([0.5, 0.1])) and abs(correlation) > 0.01:
            units = np.array([unit, 1.0])
            set_together = joint_normal(
                {"parameter:a": 5 * unit, "parameter:b": -2}, covariance * np.outer(units, units)
            )
            nominals = {"a": 3.0 * unit, "b": -2.0}
            assert (
                held_out_kind(at((np.array([5.0, -2.0]) + off) * units), [set_together], nominals) == expected
            )
            shares = np.array([3.0, -2.0])
            scaled = joint_normal(
                {"parameter:a": 5 / 3, "parameter:b": 1},
                covariance / np.outer(shares, shares),
                operation="scale",
            )
            assert held_out_kind(at((np.array([5.0, -2.0]) + off) * units), [scaled], nominals) == expected


@given(st.lists(st.tuples(pairs, grid), min_size=3, max_size=3))
@settings(max_examples=30, deadline=None)
def test_without_correlation_together_is_as_apart(columns):
    """Drawing at the same moments, without correlation, holds nothing out that the ranges do not."""
    apart = tuple(
        set_to(f"parameter:{name}", Uniform(*ends)) for name, (ends, _) in zip(POINT, columns, strict=True)
    )
    tested = at([value for _, value in columns])
    assert held_out_kind(tested, [jointly(*apart)], POINT) == held_out_kind(tested, [apart], POINT)


@pytest.mark.parametrize(
    ("tested", "expected"),
    [
        (at((1.2, 1.2)), "in-distribution"),
        (at((1.1, 1.12)), "in-distribution"),
        (at((1.2, 0.8)), "combination"),
        (at((1.2,)), "combination"),  # b stays where it is
        (at((1.01,)), "in-distribution"),
        (at((1.3, 1.2)), "extrapolation"),
        ((set_to("parameter:a", Uniform(0.8, 1.2)), set_to("parameter:b", Uniform(0.8, 1.2))), "combination"),
        ((set_to("parameter:a", Uniform(0.98, 1.02)), set_to("parameter:b", Uniform(0.98, 1.02))), "in-distribution"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("others", [0, 1])
def test_corners_that_a_copula_avoids_were_not_seen(tested, expected, others):
    """What rises together was seen together at the ends of its ranges, and not apart."""
    both = (set_to(f"parameter:{name}", Uniform(0.8, 1.2)) for name in "ab")
    seen = [jointly(*both, correlation=[[1, 0.95], [0.95, 1]])]
    seen += [(set_to("parameter:a", 1.0), set_to("parameter:b", 1.0))] * others
    assert held_out_kind(tested, seen, {"a": 1.0, "b": 1.0}) == expected


def test_a_corner_seen_in_another_condition_was_seen():
    """What one training condition avoids, another may have shown."""
    both = tuple(set_to(f"parameter:{name}", Uniform(0.8, 1.2)) for name in "ab")
    tied = jointly(*both, correlation=[[1, 0.95], [0.95, 1]])
    turned = jointly(*both, correlation=[[1, -0.95], [-0.95, 1]])
    nominals = {"a": 1.0, "b": 1.0}
    assert held_out_kind(at((1.2, 0.8)), [tied], nominals) == "combination"
    assert held_out_kind(at((1.2, 0.8)), [tied, turned], nominals) == "in-distribution"
    assert held_out_kind(at((1.2, 0.8)), [tied, both], nominals) == "in-distribution"
    assert held_out_kind(at((1.2, 0.8)), [tied, (delay("action", 1),)], nominals) == "combination"


@pytest.mark.parametrize("size", [2, 6])
def test_a_table_was_seen_where_its_samples_are(size):
    """Rows and further samples of one distribution were seen; between two clusters, or off a line, nothing was."""
    rng = np.random.default_rng(0)
    names = [f"p{i}" for i in range(size)]
    nominals = dict.fromkeys(names, 0.0)
    mixing = np.eye(size) + 0.5 * rng.normal(size=(size, size))

    def sampled(count):
        centres = np.where(rng.random(count) < 0.5, -6, 6)[:, None]
        return centres + rng.normal(size=(count, size)) @ mixing

    def kind_of(row):
        return held_out_kind(
            tuple(set_to(f"parameter:{name}", value) for name, value in zip(names, row, strict=True)),
            seen,
            nominals,
        )

    table = sampled(400)
    seen = [joint_samples({f"parameter:{name}": table[:, i].tolist() for i, name in enumerate(names)})]
    assert held_out_kind(seen[0], seen, nominals) == "in-distribution"
    assert {kind_of(row) for row in table[:20]} == {"in-distribution"}
    found = [kind_of(row) for row in sampled(200)]
    inside = found.count("in-distribution")
    assert inside >= 0.95 * (len(found) - found.count("extrapolation"))
    assert kind_of(np.full(size, 0.3)) == "combination"
    assert kind_of(np.array([6.0, -6.0] * (size // 2))) == "combination"


def test_a_table_tells_a_correlation_among_many_columns():
    """Two columns that always agreed were not seen to disagree, however many others there are."""
    rng = np.random.default_rng(0)
    table = rng.normal(size=(500, 20))
    table[:, 1] = table[:, 0] + 0.01 * table[:, 1]
    nominals = {f"p{i}": 0.0 for i in range(20)}
    seen = [joint_samples({f"parameter:{name}": table[:, i].tolist() for i, name in enumerate(nominals)})]
    for first, second, expected in ((1.0, 1.0, "in-distribution"), (1.0, -1.0, "combination")):
        tested = (set_to("parameter:p0", first), set_to("parameter:p1", second))
        assert held_out_kind(tested, seen, nominals) == expected


@pytest.mark.parametrize(
    ("others", "every"), [((), Interval(1, 2)), ((add("parameter:a", Uniform(-0.4, 0.4)),), "episode")]
)
def test_where_no_ellipsoid_is_known_the_box_counts(others, every):
    """At intervals, and where something else moves a parameter too, all that the ranges hold was seen."""
    both = (add(f"parameter:{name}", Uniform(-0.2, 0.2), every=every) for name in "ab")
    seen = [(*jointly(*both, correlation=[[1, 0.99], [0.99, 1]]), *others)]
    tested = (add("parameter:a", 0.2, every=every), add("parameter:b", -0.2, every=every))
    assert held_out_kind(tested, seen, POINT) == "in-distribution"


def test_a_group_was_seen_where_its_members_were():
    """A group as target is the same as its members by name."""
    groups = {"arms": ("a", "b")}
    seen = [(scale("parameter:arms.strength", Uniform(0.8, 1.2)),)]
    for tested, expected in ((0.9, "in-distribution"), (0.7, "extrapolation")):
        assert held_out_kind((scale("parameter:a.strength", tested),), seen, NOMINALS, groups) == expected
        seen_by_name = [(scale("parameter:{a,b}.strength", Uniform(0.8, 1.2)),)]
        by_group = (scale("parameter:arms.strength", tested),)
        assert held_out_kind(by_group, seen_by_name, NOMINALS, groups) == expected


@settings(max_examples=50, deadline=None)
@given(st.floats(0.05, 3.0), st.floats(0.05, 3.0), st.sampled_from(["set", "scale", "add"]))
def test_training_reached_as_far_as_it_went(x, edge, operation):
    """Where training spanned nominal to an edge, a value is in the distribution just where it reached 1 or more."""
    nominal = {"set": 0.8, "scale": 1.0, "add": 0.0}[operation]
    make = {"set": set_to, "scale": scale, "add": add}[operation]
    seen = [(make(FRICTION, Uniform(min(nominal, edge), max(nominal, edge) + 1e-9)),)]
    condition = (make(FRICTION, x),)
    share = reached(condition, seen, NOMINALS)
    if abs(x - nominal) > 1e-3 and abs(edge - nominal) > 1e-3:
        same_side = (x > nominal) == (edge > nominal)
        assert share == pytest.approx(
            (edge - nominal) / (x - nominal) if same_side else 0.0, rel=1e-5, abs=1e-5
        )
        if abs(x - edge) > 1e-6:
            assert (kind(condition, seen) == "in-distribution") == (share > 1)


def test_training_reached_nothing_of_another_kind():
    """What training never did, or did only to another target or on the other side, it reached 0 of."""
    assert reached((delay("action", 4),), [(delay("action", Integers(0, 2)),)], NOMINALS) == 0.5
    assert reached((delay("action", 4),), [(delay("observation", 2),)], NOMINALS) == 0
    assert reached((delay("action", 4),), (), NOMINALS) == 0
    both = (scale("parameter:*.strength", 0.5),)
    assert reached(both, [(scale("parameter:a.strength", 0.5),)], NOMINALS) == 0
    apart = (scale("parameter:a.strength", 0.5), scale("parameter:b.strength", 0.9))
    assert reached(both, [apart], NOMINALS) == pytest.approx(0.2)

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sim2real.perturb import Drift, Interval, Normal, Uniform, Wrap, add, clip, delay, hold, scale, set_to
from sim2real.report.severity import families

NOMINALS = {"ground.friction": 1.0, "left.kp": 2.0, "right.kp": 3.0}
UNITS = {"ground.friction": "", "torso.force_x": "N"}


def grouped(*perturbations, **more):
    conditions = {"nominal": ()} | {str(i): (item,) for i, item in enumerate(perturbations)} | more
    return families(conditions, NOMINALS, UNITS)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.floats(0.1, 2.0), min_size=2, max_size=8, unique=True), st.randoms(use_true_random=False))
def test_a_family_is_sorted_and_complete(amounts, random):
    """Every single-perturbation condition is on the curve once, in the order of severity."""
    shuffled = random.sample(amounts, len(amounts))
    (family,) = grouped(*(scale("parameter:torso.mass", amount) for amount in shuffled))
    assert [x for x, _ in family.points] == sorted(amounts)
    assert {label for _, label in family.points} == {str(i) for i in range(len(amounts))}
    assert family.nominal_x == 1.0


@pytest.mark.parametrize(
    ("perturbation", "half", "nominal"),
    [
        (scale("parameter:torso.mass", 0.5), 0.75, 1.0),
        (add("parameter:torso.force_x", 4.0), 2.0, 0.0),
        (set_to("parameter:ground.friction", 0.2), 0.6, 1.0),
        (delay("action", 4), 2.0, 0.0),
        (hold("observation", 0.5), 0.25, 0.0),
        (clip("action", 2.0), 4.0, math.inf),
        (add("observation:gyro", Normal(0, 0.2)), 0.1, 0.0),
        (add("observation:gyro", Drift(0.2, 5.0)), 0.1, 0.0),
        (scale("parameter:torso.mass", Uniform(0.8, 1.2)), 0.1, 0.0),
        (scale("parameter:torso.mass", Uniform(0.8, 1.4)), 0.5, 0.0),
    ],
)
def test_half_the_strength_is_half_way_to_nominal(perturbation, half, nominal):
    """Severity is the weakened constant, the width of a distribution about the identity, or its strength."""
    (family,) = grouped(perturbation, perturbation.at(0.5))
    assert family.nominal_x == nominal
    assert any(x == pytest.approx(half) for x, _ in family.points)


def test_what_differs_in_kind_is_another_curve():
    """Target, operation, redrawing and kind of amount tell families apart; singles make none."""
    found = grouped(
        *(add("observation:gyro", Normal(0, std)) for std in (0.1, 0.2)),
        *(add("observation:gyro", Normal(0, std), every="episode") for std in (0.1, 0.2)),
        *(add("observation:gyro", Uniform(-a, a)) for a in (0.1, 0.2)),
        *(add("observation:gyro", a) for a in (0.1, 0.2)),
        *(add("observation:accelerometer", Normal(0, std)) for std in (0.1, 0.2)),
        delay("action", 1),
        pair=(delay("action", 2), delay("observation", 1)),
        wrapped=(Wrap(families, label="opaque"),),
    )
    assert len(found) == 5
    assert len({family.title for family in found}) == 5


def test_titles_and_axes_read_well():
    """A title is the perturbation's own sentence with x for the number; the axis has the parameter's unit."""
    pushes = (add("parameter:torso.force_x", Uniform(-a, a), every=Interval(5, 10, 0.2)) for a in (20, 40))
    friction = (set_to("parameter:ground.friction", mu) for mu in (0.2, 0.4))
    push, ground = grouped(*pushes, *friction)
    assert push.title == "add Uniform(0 ± x) to torso.force_x every 5 to 10 s for 0.2 s"
    assert (push.axis, push.unit) == ("half-width", "N")
    assert (ground.title, ground.axis) == ("set ground.friction to x", "ground.friction")


def test_an_ambiguous_nominal_is_unknown():
    """A pattern over parameters with different nominal values has no single nominal severity."""
    (both,) = grouped(set_to("parameter:*.kp", 1.0), set_to("parameter:*.kp", 5.0))
    assert both.nominal_x is None
    (one,) = grouped(set_to("parameter:left.kp", 1.0), set_to("parameter:left.kp", 5.0))
    assert one.nominal_x == 2.0

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from search_toys import REGION, field

from sim2real.errors import Sim2RealError
from sim2real.perturb import (
    Correlated,
    Integers,
    Interval,
    Normal,
    Uniform,
    add,
    clip,
    delay,
    hold,
    scale,
    set_to,
)
from sim2real.search import Search
from sim2real.search.region import axes, label, point_at

FACTS = {
    "parameters": {
        "floor.friction": {"nominal": 0.8, "unit": ""},
        "trunk.mass": {"nominal": 9.0, "unit": "kg"},
        "left.kp": {"nominal": 40.0, "unit": ""},
        "right.kp": {"nominal": 60.0, "unit": ""},
    },
    "groups": {},
}
MIXED = (
    set_to("parameter:floor.friction", Uniform(0.1, 1.0)),
    scale("parameter:trunk.mass", Uniform(0.5, 2.0)),
    set_to("parameter:*.kp", Uniform(20, 80)),
    delay("observation", Integers(0, 4)),
    add("observation", Normal(0, 0.2)),
    hold("action", 0.3),
    clip("action", Uniform(0.25, 1.0), every="episode"),
    add("parameter:trunk.mass", Uniform(-1, 1), every=Interval(1, 2)),
)
SCALE = st.lists(st.floats(0, 1), min_size=len(MIXED), max_size=len(MIXED))


@settings(max_examples=50)
@given(SCALE)
def test_every_point_lies_in_its_region(quantiles):
    """Amounts stay within their distributions and strengths within what is written, whatever the rounding."""
    region = axes(MIXED, FACTS)
    for axis, item in point_at(region, quantiles).items():
        low, high = axis.ends
        assert low <= axis.value(item) <= high
        assert (item.target, item.operation, item.every) == (
            axis.item.target,
            axis.item.operation,
            axis.item.every,
        )
        assert (severity := axis.severity(item)) is None or 0 <= severity <= 1 + 1e-12


@settings(max_examples=50)
@given(SCALE, st.floats(0.01, 1))
def test_a_weakened_perturbation_does_what_its_strength_says(quantiles, share):
    """Written as a plain amount it reaches the same values as ``at(share)``, to the digits that are kept."""
    for axis, item in point_at(axes(MIXED, FACTS), quantiles).items():
        written, meant = axis.weakened(item, share), item.at(share)
        if axis.item.operation == "delay":  # by whole steps, as the operation itself rounds
            assert written.amount == math.floor(item.amount * share + 0.5)
            continue
        for rest in (0.8, 0.8), (40.0, 40.0):
            if item.operation in ("set", "add", "scale") and axis.nominal in (None, rest[0]):
                assert np.allclose(written.reach((rest,)), meant.reach((rest,)), rtol=1e-4, atol=1e-4)
        if item.operation != "set":
            assert np.allclose(written.support, meant.support, rtol=1e-4, atol=1e-6)


def test_severity_is_the_distance_from_doing_nothing():
    """0 at the nominal value or the identity, 1 at the end of the range that is farthest from it."""
    friction, mass, kp, *_, limit, _ = axes(MIXED, FACTS)
    assert friction.severity(friction.at(0.0)) == 1
    assert friction.severity(friction.at(1.0)) == pytest.approx(0.2 / 0.7)
    assert mass.severity(mass.at(1.0)) == 1
    assert mass.severity(mass.at(1 / 3)) == pytest.approx(0)
    assert kp.severity(kp.at(0.0)) is None  # one amount, two nominal values
    assert limit.severity(limit.at(0.0)) == 1
    assert limit.severity(limit.at(1.0)) == 0.25  # a limit has an effect until it is infinite


def test_what_is_drawn_once_varies_in_amount_and_all_else_in_strength():
    """Noise stays noise and a push stays a push at every point; a mass becomes a number."""
    varies = [axis.varies for axis in axes(MIXED, FACTS)]
    assert varies == ["amount"] * 4 + ["strength"] * 2 + ["amount", "strength"]


def test_equal_points_have_one_label():
    """A point is named by what acts there, so one where nothing acts is nominal."""
    region = axes(MIXED[3:6], FACTS)
    assert label(point_at(region, [0.0, 0.0, 0.0])) == "nominal"
    assert label(point_at(region, [0.0, 0.5, 0.0])) == label(point_at(region, [0.05, 0.5, 0.0]))


def test_axes_of_one_target_keep_apart():
    """Where two perturbations move one thing their axes are named by their sentences."""
    names = [axis.name for axis in axes(MIXED, FACTS)]
    assert len(set(names)) == len(names)
    assert names[0] == "floor.friction"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"study": "field"}, "study must be"),
        ({"region": ()}, "list of perturbations"),
        ({"region": REGION[0]}, "list of perturbations"),
        ({"region": [REGION[0].at(0)]}, "list of perturbations"),
        ({"region": [REGION[0], REGION[0]]}, "each of its perturbations once"),
        ({"region": [set_to("parameter:a", Correlated(Uniform(0, 1), (1.0,), "g"))]}, "no scale of its own"),
        ({"points": 0}, "points must be a whole number of at least 1"),
        ({"seed": True}, "seed must be a whole number"),
        ({"method": "evolutoin"}, "Did you mean 'evolution'"),
        ({"fails_below": math.nan}, "fails_below must be a finite value of 'success'"),
    ],
)
def test_what_cannot_be_searched_is_refused_in_a_sentence(changes, message):
    """A search is checked when it is made."""
    with pytest.raises(Sim2RealError, match=message) as caught:
        Search(**{"study": field(), "region": REGION, **changes})
    assert "\n" not in str(caught.value)

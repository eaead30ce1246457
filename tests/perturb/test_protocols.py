import itertools
from dataclasses import replace

import gymnasium as gym
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sim2real.errors import Sim2RealError
from sim2real.perturb import (
    Choice,
    Integers,
    Interval,
    LogUniform,
    Normal,
    Outside,
    TruncatedNormal,
    Uniform,
    add,
    at_quantiles,
    causal_world,
    corners,
    delay,
    held_out_kind,
    joint_normal,
    jointly,
    latin_hypercube,
    of_kind,
    one_at_a_time,
    packer,
    scale,
    set_to,
    sobol,
)
from sim2real.perturb.amounts import hull
from sim2real.wrappers import Attributes

laws = settings(max_examples=50, deadline=None)


class World(gym.Env):
    """Six parameters of nominal value 1."""

    a = b = c = d = e = f = 1.0


PARAMETERS = Attributes(World(), {name: name for name in "abcdef"})
AMOUNTS = (
    Uniform(0.5, 2.0),
    LogUniform(0.1, 10.0),
    Normal(1.0, 0.2),
    TruncatedNormal(1.0, 0.5, 0.4, 1.2),
    Outside(0.1, 0.5, 2.0, 3.0),
    Choice((0.5, 0.7, 3.0)),
)
REGION = [set_to(f"parameter:{name}", amount) for name, amount in zip("abcdef", AMOUNTS, strict=True)]
NOISE = add("observation", Normal(0, 0.4))


def amounts(conditions):
    """Return the amounts of conditions (conditions, perturbations)."""
    return np.array([[item.amount for item in condition] for condition in conditions.values()])


@pytest.mark.parametrize("design", [latin_hypercube, sobol])
def test_designs_meet_every_part_of_every_distribution_once(design):
    """Of n points exactly one lies between neighbouring n-quantiles of each perturbation: the marginals are right."""
    region = [item for item in REGION if not isinstance(item.amount, Choice)]
    found = amounts(design(region, 16, seed=3))
    edges = np.linspace(0, 1, 17)[1:-1]
    for column, item in zip(found.T, region, strict=True):
        # What lies beyond ± 3 std of a normal counts as there, in its first or last part.
        parts = np.searchsorted(item.amount.quantile(edges), column)
        assert sorted(parts) == list(range(16))


@pytest.mark.parametrize("design", [latin_hypercube, sobol])
def test_a_design_is_its_seed(design):
    """The same seed gives the same design, another seed another one, every point under a label of its own."""
    first, again, other = design(REGION, 8, seed=1), design(REGION, 8, seed=1), design(REGION, 8, seed=2)
    assert first == again
    assert first != other
    assert len(first) == len(set(first.values())) == 8


def test_a_sobol_design_grows():
    """More points keep those there are, in their order."""
    assert list(sobol(REGION, 32, seed=5).items())[:8] == list(sobol(REGION, 8, seed=5).items())


@laws
@given(st.integers(1, 9), st.integers(4, 7))
def test_corners_are_balanced(count, power):
    """All 2ᵏ or the most allowed; each perturbation, each pair and each three stand at all their ends equally often."""
    region = [set_to(f"parameter:{name}", Uniform(0.0, 1.0)) for name in "abcdefghi"[:count]]
    if 2 * count > 2**power:
        with pytest.raises(Sim2RealError, match=r"most=\d+ or more"):
            corners(region, 2**power)
        return
    found = amounts(corners(region, 2**power))
    assert len(found) == len({tuple(row) for row in found}) == min(2**count, 2**power)
    assert np.isin(found, (0.0, 1.0)).all()
    for size in range(1, min(3, count) + 1):
        for some in itertools.combinations(range(count), size):
            _, counts = np.unique(found[:, some], axis=0, return_counts=True)
            assert (counts == len(found) / 2**size).all()


def test_corners_stand_at_the_ends_of_the_support():
    """Every corner takes each amount to an end of what can be drawn, and noise to nothing or to what is written."""
    region = [*REGION, NOISE]
    found = corners(region, 128)
    assert len(found) == 128
    for condition in found.values():
        for item, original in zip(condition[:-1], REGION, strict=True):
            assert any(item.amount == pytest.approx(end) for end in hull(original.amount.support()))
        assert condition[-1] in (NOISE, NOISE.at(0))


@laws
@given(st.lists(st.floats(0, 1), min_size=8, max_size=8))
def test_points_lie_in_the_region(quantiles):
    """Each constant lies where the region's own draws lie, a lag is whole, what is drawn again keeps its law."""
    region = [
        *REGION,
        delay("action", Uniform(0, 3)),
        add("parameter:a", Uniform(-1, 1), every=Interval(1, 2)),
    ]
    *constants, lag, kick = at_quantiles(region, quantiles)
    for item, original in zip(constants, REGION, strict=True):
        low, high = hull(original.amount.support())
        assert low <= item.amount <= high
        assert replace(item, amount=original.amount) == original
    assert lag.amount in range(4)
    assert kick == region[-1].at(quantiles[-1])


def test_what_is_drawn_together_is_spread_together():
    """Points of a correlated region correlate as its draws do, and two groups are two."""
    pair = joint_normal({"parameter:a": 0.0, "parameter:b": 0.0}, [[1.0, 0.9], [0.9, 1.0]])
    others = jointly(set_to("parameter:c", Uniform(0, 1)), set_to("parameter:d", Uniform(0, 1)))
    found = amounts(sobol([*pair, *others], 512))
    correlation = np.corrcoef(found.T)
    assert correlation[0, 1] == pytest.approx(0.9, abs=0.03)
    assert abs(correlation[2, 3]) < 0.05
    assert abs(correlation[:2, 2:]).max() < 0.05


def test_one_at_a_time_is_a_severity_curve_each():
    """Every condition has one perturbation, at every strength asked for, under its own label."""
    found = one_at_a_time([*REGION, NOISE], (0.5, 1.0))
    assert len(found) == 2 * 7
    assert {condition[0] for condition in found.values()} == {
        item.at(strength) for item in [*REGION, NOISE] for strength in (0.5, 1.0)
    }


boxes = st.lists(st.tuples(st.floats(0.1, 3.0), st.floats(0.1, 3.0)).map(sorted), min_size=2, max_size=2).map(
    lambda ends: tuple(set_to(f"parameter:{n}", Uniform(*end)) for n, end in zip("ab", ends, strict=True))
)
HELD_OUT = ("interpolation", "extrapolation", "combination", "unseen kind")


@laws
@given(st.lists(boxes, min_size=1, max_size=3), st.integers(0, 100))
def test_nothing_seen_is_called_held_out(seen, seed):
    """A point that lies in a box of training is of no held-out kind; every other one is of exactly one."""
    conditions = sobol([set_to(f"parameter:{n}", Uniform(0.0, 3.2)) for n in "ab"], 16, seed)
    found = [set(of_kind(kind, conditions, PARAMETERS, seen)) for kind in HELD_OUT]
    for label, condition in conditions.items():
        inside = any(
            all(
                one.amount.low <= item.amount <= one.amount.high
                for item, one in zip(condition, box, strict=True)
            )
            for box in seen
        )
        assert sum(label in some for some in found) == (not inside)


def test_a_kind_is_one_to_every_policy():
    """A condition is kept only if no policy saw it; a policy that tells nothing leaves none; a wrong kind is named."""
    grid = {str(x): (set_to("parameter:a", x),) for x in (0.5, 1.5, 2.5)}
    narrow, wide = ([(set_to("parameter:a", Uniform(0.9, high)),)] for high in (1.1, 2.0))
    assert list(of_kind("extrapolation", grid, PARAMETERS, narrow)) == ["0.5", "1.5", "2.5"]
    assert list(of_kind("extrapolation", grid, PARAMETERS, narrow, wide)) == ["0.5", "2.5"]
    assert not of_kind("extrapolation", grid, PARAMETERS, narrow, None)
    with pytest.raises(Sim2RealError, match="extrapolation"):
        of_kind("extrapolate", grid, PARAMETERS, narrow)


def test_packer_extrapolates_on_both_sides():
    """To a policy trained in R, R is known and E is extrapolation; E draws below and above R, and never inside."""
    worlds = packer({set_to("parameter:a", Uniform(0.8, 1.2)): (0.5, 1.8)})
    nominals = {"a": 1.0}
    assert held_out_kind(worlds["random"], [worlds["random"]], nominals) == "in-distribution"
    assert held_out_kind(worlds["extreme"], [worlds["random"]], nominals) == "extrapolation"
    assert held_out_kind(worlds["random"], [worlds["deterministic"]], nominals) == "unseen kind"
    drawn = worlds["extreme"][0].amount.quantile(np.linspace(0, 1, 1001))
    assert ((drawn <= 0.8) | (drawn >= 1.2)).all()
    assert (drawn < 0.8).mean() == pytest.approx(0.3 / 0.9, abs=0.01)
    for wrong in ({REGION[1]: (0.01, 20.0)}, {set_to("parameter:a", Uniform(0.8, 1.2)): (0.9, 1.8)}):
        with pytest.raises(Sim2RealError, match=r"Uniform|inner_low"):
            packer(wrong)


def test_causal_world_holds_b_out():
    """To a policy trained on all of A: A is known, alone and jointly, and whatever has a variable in B is held out."""
    spaces = {
        n: (scale(f"parameter:{n}", Uniform(0.8, 1.2)), scale(f"parameter:{n}", Uniform(1.2, 2.0)))
        for n in "abc"
    }
    found = causal_world(spaces)
    assert len(found) == 2 * 3 + 2 + 3
    trained = [found["all in A"]]
    kinds = {
        label: held_out_kind(condition, trained, dict.fromkeys("abc", 1.0))
        for label, condition in found.items()
    }
    assert {label for label, kind in kinds.items() if kind == "in-distribution"} == {
        "all in A", *(f"{n} in A" for n in "abc")
    }  # fmt: skip
    assert {kind for label, kind in kinds.items() if " B" in label} == {"extrapolation"}
    with pytest.raises(Sim2RealError, match=r"overlap from 1\.1 to 1\.2"):
        causal_world(
            {"a": (scale("parameter:a", Uniform(0.8, 1.2)), scale("parameter:a", Uniform(1.1, 2.0)))}
        )
    with pytest.raises(Sim2RealError, match="one perturbation"):
        causal_world({"a": (REGION[0], REGION[1])})


def test_a_region_is_made_of_perturbations():
    """No perturbation, no region; a point has as many numbers as the region; Sobol's points are a power of two."""
    for wrong, said in (
        (lambda: sobol([], 4), "at least one"),
        (lambda: corners(["friction"]), "is none"),
        (lambda: sobol(REGION, 6), "power of two"),
        (lambda: at_quantiles(REGION, [0.5]), "6 numbers, not 1"),
    ):
        with pytest.raises(Sim2RealError, match=said):
            wrong()


def test_whole_numbers_stay_whole():
    """A distribution of whole numbers is spread over them, each as often as any other."""
    found = amounts(sobol([delay("action", Integers(0, 3))], 16))
    assert np.unique(found, return_counts=True)[1].tolist() == [4, 4, 4, 4]

from hypothesis import given, settings
from hypothesis import strategies as st

from sim2real.perturb import Uniform, scale, set_to
from sim2real.search.region import axes, point_at
from sim2real.search.shrink import HALVINGS, minimal, smallest

ITEMS = tuple(range(9))
AXES = axes(
    [set_to(f"parameter:p{i}", Uniform(0, 1)) for i in range(5)],
    {"parameters": {f"p{i}": {"nominal": 0.0, "unit": ""} for i in range(5)}, "groups": {}},
)
CAUSES = st.lists(st.sets(st.sampled_from(ITEMS), min_size=1, max_size=5), min_size=1, max_size=3)


@settings(max_examples=50)
@given(CAUSES)
def test_nothing_can_be_left_out_of_what_is_minimal(causes):
    """It fails, without any one of its items it does not; and if a single item fails it is a single item."""

    def fails(group):
        return any(cause <= set(group) for cause in causes)

    found = minimal(ITEMS, lambda groups: [fails(group) for group in groups])
    assert fails(found)
    assert not any(fails([item for item in found if item != left]) for left in found)
    assert len(found) == 1 or not any(fails([item]) for item in ITEMS)


@settings(max_examples=50)
@given(st.frozensets(st.integers(0, 2**9 - 1)))
def test_what_is_minimal_fails_whatever_fails(holes):
    """Also where more items fail less: what is returned was tried and failed."""

    def fails(group):
        return len(group) == len(ITEMS) or sum(1 << item for item in group) in holes

    assert fails(minimal(ITEMS, lambda groups: [fails(group) for group in groups]))


@settings(max_examples=50)
@given(st.lists(st.floats(0.05, 0.9), min_size=5, max_size=5), st.sets(st.integers(0, 4), min_size=1))
def test_a_shrunk_point_stands_at_the_edge_of_failing(limits, needed):
    """It holds what is needed and no more, each within 1/64 of where it stops to fail."""

    def fails(point):
        values = {axis.name: axis.value(item) for axis, item in point.items()}
        return all(values.get(f"p{i}", 0.0) > limits[i] for i in needed)

    worst = point_at(AXES, [1.0] * 5)
    found = smallest(worst, lambda points: [fails(point) for point in points])
    assert fails(found)
    assert {axis.name for axis in found} == {f"p{i}" for i in needed}
    for axis, item in found.items():
        limit = limits[int(axis.name[1])]
        assert limit < axis.value(item) <= limit + 2 * 2.0**-HALVINGS + 1e-4


def test_a_point_of_one_perturbation_is_weakened_too():
    """Nothing can be left out, but less is enough."""
    (axis,) = axes([scale("action", Uniform(0, 1), every="episode")], {"parameters": {}, "groups": {}})
    found = smallest(
        {axis: axis.item.at(1.0)}, lambda points: [point[axis].strength > 0.3 for point in points]
    )
    assert 0.3 < found[axis].strength < 0.32

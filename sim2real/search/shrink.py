"""From a point that fails to the smallest part of it that still does."""

from collections.abc import Callable, Collection, Sequence
from typing import TypeVar

from sim2real.search.region import Axis, Point, acting

T = TypeVar("T")

HALVINGS = 6
"""Bisection ends within 1/64 of the whole."""


def smallest(point: Point, fails: Callable[[Sequence[Point]], Sequence[bool]]) -> Point:
    """Return the smallest part of a failing point that fails: fewest perturbations first, then the weakest.

    None of its perturbations can be left out. They are weakened together, then one by one, each to within 1/64 of
    where it stops to fail; every step was tried, so the result fails whatever the shape of the failing region.

    Args:
        point: fails.
        fails: tells of points whether they fail.
    """
    part: Point = dict(minimal(tuple(point.items()), lambda groups: fails([dict(group) for group in groups])))
    for axes in (tuple(part), *((axis,) for axis in part if len(part) > 1)):
        part = weakest(part, axes, fails)
    return part


def minimal(
    items: tuple[T, ...], fails: Callable[[Sequence[tuple[T, ...]]], Sequence[bool]]
) -> tuple[T, ...]:
    """Return some of the items that fail together, none of which can be left out; one alone, if one alone fails.

    Delta debugging (Zeller and Hildebrandt 2002, IEEE Trans. Softw. Eng. 28, 183), whose tests of one round are
    made at once.

    Args:
        items: fail together.
        fails: tells of groups of items, in their order, whether they fail.

    >>> minimal((1, 2, 3, 4, 5, 6), lambda groups: [{2, 5} <= set(group) for group in groups])
    (2, 5)
    """
    singles = [(item,) for item in items]
    for single, failed in zip(singles, fails(singles), strict=True):
        if failed:
            return single
    parts = 2
    while len(items) > 2:
        edges = [round(i * len(items) / parts) for i in range(parts + 1)]
        chunks = [items[low:high] for low, high in zip(edges, edges[1:], strict=False)]
        rests = [items[:low] + items[high:] for low, high in zip(edges, edges[1:], strict=False)]
        groups = chunks + rests if parts > 2 else chunks
        hit = next((i for i, failed in enumerate(fails(groups)) if failed), None)
        if hit is not None:
            items = groups[hit]
            parts = 2 if hit < len(chunks) else max(parts - 1, 2)
        elif parts == len(items):
            break
        else:
            parts = min(2 * parts, len(items))
    return items


def weakest(
    point: Point, axes: Collection[Axis], fails: Callable[[Sequence[Point]], Sequence[bool]]
) -> Point:
    """Return a failing point with some axes weakened together as far as was seen to fail, by bisection."""
    low, high, best = 0.0, 1.0, point
    for _ in range(HALVINGS):
        share = (low + high) / 2
        part = acting({
            axis: axis.weakened(item, share) if axis in axes else item for axis, item in point.items()
        })  # fmt: skip
        if fails([part])[0]:
            high, best = share, part
        else:
            low = share
    return best

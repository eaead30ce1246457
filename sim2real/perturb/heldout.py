"""Held out or seen: computed from what a policy was trained on, never declared.

A condition is a box: along every axis, the values it can take. The axes are the parameters, in absolute
terms, and the amounts of operations on signals; whatever a condition leaves alone stands at its nominal value
or at the operation's identity. A condition was seen if the boxes of the training conditions cover its own.

What is drawn together counts as the box of its columns' ranges: a training condition that is correlated counts
as having seen the corners its correlation avoids. The kinds know nothing of likelihood, here or elsewhere.
"""

import math
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import fields
from typing import Any, Literal

from sim2real.perturb.amounts import Drift, Interval, Support, hull
from sim2real.perturb.condition import Condition, Wrap
from sim2real.perturb.operations import OPERATIONS
from sim2real.perturb.parameters import matching
from sim2real.perturb.perturbation import Perturbation
from sim2real.perturb.schedules import Schedule

HeldOutKind = Literal[
    "nominal", "in-distribution", "interpolation", "extrapolation", "combination", "unseen kind", "undeclared"
]
Axis = tuple[Any, ...]
Box = dict[Axis, Support]


def held_out_kind(
    condition: Condition, seen: Iterable[Condition] | None, nominals: Mapping[str, float]
) -> HeldOutKind:
    """Tell how a condition relates to those a policy saw in training.

    Args:
        condition: what the policy is tested under.
        seen: what it was trained under, () for the nominal world only, None if nobody knows.
        nominals: the nominal value of every parameter of the environment, by name.

    Returns:
        "nominal": nothing acts. "undeclared": ``seen`` is None. "in-distribution": every world the condition
        can make was one of training. "unseen kind": it changes what no training condition changed.
        "extrapolation": some value lies beyond all that were seen. "interpolation": some value lies in a gap
        between them. "combination": every value was seen, but not together. Columns drawn together count by
        their ranges, as if they were independent.

    >>> from sim2real.perturb import Uniform, scale
    >>> seen = [(scale("parameter:torso.mass", Uniform(0.8, 1.2)),)]
    >>> held_out_kind((scale("parameter:torso.mass", 1.5),), seen, {"torso.mass": 9.0})
    'extrapolation'
    """
    rest: Box = {}
    box = _box(condition, nominals, rest)
    if not box:
        return "nominal"
    if seen is None:
        return "undeclared"
    boxes = [_box(one, nominals, rest) for one in seen] or [{}]
    if not box.keys() <= {axis for one in boxes for axis in one}:
        return "unseen kind"
    axes = box.keys() | rest.keys()
    box, *boxes = ({axis: one.get(axis, rest.get(axis, ())) for axis in axes} for one in (box, *boxes))
    if _covered(box, boxes):
        return "in-distribution"
    unions = {axis: tuple(piece for one in boxes for piece in one[axis]) for axis in axes}
    gaps = [
        axis for axis in axes if not _covered({axis: box[axis]}, [{axis: (one,)} for one in unions[axis]])
    ]
    for axis in gaps:
        (low, high), (seen_low, seen_high) = hull(box[axis]), hull(unions[axis])
        if low < seen_low or high > seen_high:
            return "extrapolation"
    return "interpolation" if gaps else "combination"


def _box(condition: Condition, nominals: Mapping[str, float], rest: Box) -> Box:
    """Return what a condition does along its axes, and note in ``rest`` where each stands without it.

    Details (waiting times, a timescale) are axes too, but stand nowhere without what they are details of.
    """
    box: Box = {}
    occurrences: Counter[Axis] = Counter()
    for item in condition:
        if isinstance(item, Wrap):
            box[item.fn,], rest[item.fn,] = _point(1.0), _point(0.0)
            continue
        if not item.acts:
            continue
        side, _, pattern = item.target.partition(":")
        names = matching(pattern, nominals) if side == "parameter" else []
        axes: list[Axis] = [("parameter", name, _kind(item)) for name in names]
        for axis, name in zip(axes, names, strict=True):
            rest[axis] = _point(nominals[name])
            box[axis] = item.reach(box.get(axis, rest[axis]))
        if not names:  # a signal, or a parameter that this environment does not have
            identity = OPERATIONS[item.operation].identity
            what = (item.target, item.operation, _kind(item))
            axes = [(*what, occurrences[what])]
            occurrences[what] += 1
            rest[axes[0]] = _point(math.inf if identity is None else identity)
            box[axes[0]] = item.support
            if identity is None:
                box[*axes[0], "strength"] = _point(item.strength)
        for axis in axes:
            if isinstance(item.amount, Drift):
                box[*axis, "timescale_s"] = _point(item.amount.timescale_s)
            if isinstance(item.every, Interval):
                box[axis] += rest[axis]  # before the first draw
                box[*axis, "wait_s"] = ((item.every.low_s, item.every.high_s),)
                box[*axis, "lasting_s"] = _point(item.every.lasting_s or math.inf)
            if isinstance(item.every, Schedule):
                for field in fields(item.every):  # type: ignore[arg-type]
                    value = getattr(item.every, field.name)
                    box[*axis, field.name] = _point(math.inf if value is None else value)
    for some in (box, rest):
        some |= {axis: tuple((_rounded(low), _rounded(high)) for low, high in some[axis]) for axis in some}
    return box


def _kind(item: Perturbation) -> str:
    """Return what makes two perturbations of one target and operation differ in kind, not in size.

    Noise drawn on every step and a bias kept for an episode are two things; a lag or a mass is the same thing
    however often it is drawn.
    """
    if isinstance(item.amount, Drift):
        return "drift"
    if not isinstance(item.every, str):
        return type(item.every).__name__.lower()
    by_value = item.target.startswith("parameter") or not OPERATIONS[item.operation].each
    return "" if by_value else item.every


def _point(value: float) -> Support:
    return ((value, value),)


def _rounded(value: float) -> float:
    """Return nine digits of a value, so that 0.96 written by hand is the 0.8 x 1.2 that was computed."""
    return float(f"{value:.9g}")


def _covered(box: Box, seen: Iterable[Box]) -> bool:
    """Tell whether every point of a box lies in one of the seen boxes."""
    near = [one for one in seen if all(_common(box[axis], one[axis]) for axis in box)]
    if not near:
        return any(not support for support in box.values())
    first, *others = near
    inside = dict(box)
    for axis in box:
        # What sticks out of the first box along this axis, while inside it along the axes before.
        outside = _minus(inside[axis], first[axis])
        if outside and not _covered({**inside, axis: outside}, others):
            return False
        inside[axis] = _common(inside[axis], first[axis])
    return True


def _common(one: Support, other: Support) -> Support:
    """Return what two supports share, without the single points where intervals of the first only touch."""
    pieces = ((max(a, c), min(b, d), a == b) for a, b in one for c, d in other)
    return tuple((low, high) for low, high, point in pieces if low < high or (point and low == high))


def _minus(one: Support, other: Support) -> Support:
    for low, high in other:
        below = [(a, min(b, low)) for a, b in one if a < low]
        above = [(max(a, high), b) for a, b in one if b > high]
        one = (*below, *above)
    return one

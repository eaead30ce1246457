"""Held out or seen: computed from what a policy was trained on, never declared.

A condition is a box: along every axis, the values it can take. The axes are the parameters, in absolute
terms, and the amounts of operations on signals; whatever a condition leaves alone stands at its nominal value
or at the operation's identity. A condition was seen if the boxes of the training conditions cover its own.

What was drawn together in training fills no box. A correlated normal, or any copula, was seen where its
normal scores lie in the ellipsoid that holds 99.7 % of its draws, as ± 3 std hold of a single normal
(`Correlated.likely`); a table of samples, where its samples are about as dense as they are elsewhere
(`Samples.likely`). A condition within the boxes counts as seen if at least 95 % of its own draws lie there too: for
one of constants that is the one point that it is. If they do not it is a combination, as each value was
seen, but not with the others. Only the box counts of what is drawn together at intervals or on a schedule, and of
a parameter that something else moves as well.

What an environment is wrapped in or made with (another simulator, another robot) has no size: it was met in training
or not. A condition that does it, and training never, is of an unseen kind, and so is one that does without what
training always had.
"""

import math
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import fields
from functools import partial
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from sim2real.perturb.amounts import Amount, Array, Drift, Interval, Support, hull
from sim2real.perturb.condition import Condition, Make, Wrap
from sim2real.perturb.joint import Column
from sim2real.perturb.operations import OPERATIONS
from sim2real.perturb.parameters import NO_GROUPS, Groups, matching
from sim2real.perturb.perturbation import Perturbation
from sim2real.perturb.schedules import Schedule
from sim2real.perturb.streams import Stream

HeldOutKind = Literal[
    "nominal", "in-distribution", "interpolation", "extrapolation", "combination", "unseen kind", "undeclared"
]
Axis = tuple[Any, ...]
Box = dict[Axis, Support]
Acting = Iterator[tuple[Perturbation, int, dict[Axis, float]]]

DRAWS = 256
"""How many draws stand for a condition that is drawn."""

WITHIN = 0.95
"""Part of the draws that has to lie where training was."""


def held_out_kind(
    condition: Condition,
    seen: Iterable[Condition] | None,
    nominals: Mapping[str, float],
    groups: Groups = NO_GROUPS,
) -> HeldOutKind:
    """Tell how a condition relates to those a policy saw in training.

    Args:
        condition: what the policy is tested under.
        seen: what it was trained under, () for the nominal world only, None if nobody knows.
        nominals: the nominal value of every parameter of the environment, by name.
        groups: its groups of parts, if targets name any.

    Returns:
        "nominal": nothing acts. "undeclared": ``seen`` is None. "in-distribution": every world the condition
        can make was one of training. "unseen kind": it changes what no training condition changed, or has an
        environment wrapped or made as none of them had it.
        "extrapolation": some value lies beyond all that were seen. "interpolation": some value lies in a gap
        between them. "combination": every value was seen, but not together.

    >>> from sim2real.perturb import Uniform, scale
    >>> seen = [(scale("parameter:torso.mass", Uniform(0.8, 1.2)),)]
    >>> held_out_kind((scale("parameter:torso.mass", 1.5),), seen, {"torso.mass": 9.0})
    'extrapolation'
    """
    rest: Box = {}
    acting = partial(_acting, nominals=nominals, groups=groups)
    box = _box(condition, acting(condition), rest)
    if not box:
        return "nominal"
    if seen is None:
        return "undeclared"
    seen = tuple(seen)
    boxes = [_box(one, acting(one), rest) for one in seen] or [{}]
    if not box.keys() <= {axis for one in boxes for axis in one}:
        return "unseen kind"
    axes = box.keys() | rest.keys()
    box, *boxes = ({axis: one.get(axis, rest.get(axis, ())) for axis in axes} for one in (box, *boxes))
    if _covered(box, boxes):
        ties = [_ties(acting(one)) for one in seen]
        return "in-distribution" if _together(acting(condition), box, ties, boxes) else "combination"
    unions = {axis: tuple(piece for one in boxes for piece in one[axis]) for axis in axes}
    gaps = [
        axis for axis in axes if not _covered({axis: box[axis]}, [{axis: (one,)} for one in unions[axis]])
    ]
    if any(not isinstance(axis[0], str) for axis in gaps):
        return "unseen kind"
    for axis in gaps:
        (low, high), (seen_low, seen_high) = hull(box[axis]), hull(unions[axis])
        if low < seen_low or high > seen_high:
            return "extrapolation"
    return "interpolation" if gaps else "combination"


def reached(
    condition: Condition, seen: Iterable[Condition], nominals: Mapping[str, float], groups: Groups = NO_GROUPS
) -> float:
    """Tell how far training went along what a condition does: 0 not at all, 1 as far as it does, 2 twice as far.

    Of several axes the one along which it went least counts. Gaps in what was seen are not looked for.

    >>> from sim2real.perturb import Uniform, set_to
    >>> seen = [(set_to("parameter:ground.friction", Uniform(0.6, 1.2)),)]
    >>> reached((set_to("parameter:ground.friction", 0.2),), seen, {"ground.friction": 1.0})
    0.5
    """
    acting = partial(_acting, nominals=nominals, groups=groups)
    box, *boxes = (_box(one, acting(one), {}) for one in (condition, *seen))
    shares = []
    for axis, start in ((axis, start) for *_, stands in acting(condition) for axis, start in stands.items()):
        ends = [hull(one[axis]) for one in boxes if axis in one]
        for end in hull(box[axis]):
            if end != start:
                far = (met[end > start] for met in ends)
                # A limit stands at infinity: strength s puts it at the amount / s.
                share = (end / met if math.isinf(start) else (met - start) / (end - start) for met in far)
                shares.append(max(share, default=0.0))
    return max(0.0, min(shares, default=0.0))


def _acting(condition: Condition, nominals: Mapping[str, float], groups: Groups) -> Acting:
    """Yield what acts, how many of the same identity came before, and where each of its axes stands without it."""
    occurrences: Counter[Axis] = Counter()
    for item in condition:
        if not isinstance(item, Perturbation) or not item.acts:
            continue
        side, _, pattern = item.target.partition(":")
        names = matching(pattern, nominals, groups) if side == "parameter" else []
        stands: dict[Axis, float] = {("parameter", name, _kind(item)): nominals[name] for name in names}
        if not names:  # a signal, or a parameter that this environment does not have
            identity = OPERATIONS[item.operation].identity
            what = (item.target, item.operation, _kind(item))
            stands = {(*what, occurrences[what]): math.inf if identity is None else identity}
            occurrences[what] += 1
        yield item, occurrences[item.identity], stands
        occurrences[item.identity] += 1


def _box(condition: Condition, acting: Acting, rest: Box) -> Box:
    """Return what a condition does along its axes, and note in ``rest`` where each stands without it.

    Details (waiting times, a timescale) are axes too, but stand nowhere without what they are details of.
    """
    box: Box = {}
    for whole in condition:
        if isinstance(whole, Wrap | Make):
            axis = (whole.fn if isinstance(whole, Wrap) else whole,)
            box[axis], rest[axis] = _point(1.0), _point(0.0)
    for item, _, stands in acting:
        for axis, start in stands.items():
            rest[axis] = _point(start)
            if axis[0] == "parameter":
                box[axis] = item.reach(box.get(axis, rest[axis]))
            else:
                box[axis] = item.support
                if OPERATIONS[item.operation].identity is None:
                    box[*axis, "strength"] = _point(item.strength)
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


class _Tie(NamedTuple):
    """Columns of a training condition that were drawn together, one for each axis that they move."""

    axes: tuple[Axis, ...]
    columns: tuple[Column, ...]
    worths: tuple[Callable[[Array], Array], ...]

    def likely(self, values: Mapping[Axis, Array], box: Box) -> NDArray[np.bool_]:
        """Tell which values, brought into the condition's box, may have been drawn together."""
        rows = np.column_stack([np.clip(values[axis], *hull(box[axis])) for axis in self.axes])
        return type(self.columns[0]).likely(self.columns, self.worths, rows)


def _ties(acting: Acting) -> list[_Tie]:
    """Return what is drawn together in a condition, but for axes that something else moves as well."""
    items = tuple(acting)
    movers = Counter(axis for *_, stands in items for axis in stands)
    found: dict[Axis, list[tuple[Axis, Column, Callable[[Array], Array]]]] = defaultdict(list)
    for item, occurrence, stands in items:
        if isinstance(item.amount, Column) and isinstance(item.every, str):
            found[type(item.amount), *item.stream, occurrence] += [
                (axis, item.amount, partial(_value, item, axis, start))
                for axis, start in stands.items()
                if movers[axis] == 1
            ]
    return [
        _Tie(*zip(*members, strict=True)) for members in found.values() if len({c for _, c, _ in members}) > 1
    ]


def _together(acting: Acting, box: Box, ties: Sequence[list[_Tie]], boxes: Sequence[Box]) -> bool:
    """Tell whether the draws of a condition within the boxes lie where those of training lie, too."""
    axes = tuple(dict.fromkeys(axis for some in ties for tie in some for axis in tie.axes))
    if not axes:
        return True
    drawn = _drawn(acting, axes)
    values = [np.clip(drawn.get(axis, np.zeros(DRAWS)), *hull(box[axis])) for axis in axes]
    rows, counts = np.unique(np.column_stack(values), axis=0, return_counts=True)
    columns = dict(zip(axes, rows.T, strict=True))
    everywhere = np.ones(len(rows), np.bool_)
    likely = [
        np.all([everywhere, *(tie.likely(columns, one) for tie in some)], axis=0)
        for some, one in zip(ties, boxes, strict=True)
    ]
    within = 0
    for i, row in enumerate(rows.tolist()):
        point = {axis: _point(_rounded(value)) for axis, value in zip(axes, row, strict=True)}
        within += counts[i] * _covered(
            box | point, [one for one, good in zip(boxes, likely, strict=True) if good[i]]
        )
    return bool(within >= WITHIN * DRAWS)


def _drawn(acting: Acting, axes: Sequence[Axis]) -> dict[Axis, Array]:
    """Return the values (draws,) that a condition gives those of the axes that it moves."""
    values: dict[Axis, Array] = {}
    for item, occurrence, stands in acting:
        amount: Any = item.amount
        if isinstance(amount, Amount):
            width = (amount.width,) if isinstance(amount, Column) else ()
            amount = amount.quantile(Stream("held out", *item.stream, occurrence)(DRAWS, *width))
        for axis in stands.keys() & axes:
            value = _value(item, axis, values.get(axis, stands[axis]), amount)
            values[axis] = np.broadcast_to(value, DRAWS)
    return values


def _value(item: Perturbation, axis: Axis, before: Any, amount: Any) -> Any:
    """Return where an amount takes an axis that stood somewhere before."""
    operation = OPERATIONS[item.operation]
    weakened = operation.weaken(amount, item.strength)
    return operation.at(item.strength)(before, weakened, None)[0] if axis[0] == "parameter" else weakened


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
    near = [one for one in seen if all(common(box[axis], one[axis]) for axis in box)]
    if not near:
        return any(not support for support in box.values())
    first, *others = near
    inside = dict(box)
    for axis in box:
        # What sticks out of the first box along this axis, while inside it along the axes before.
        outside = _minus(inside[axis], first[axis])
        if outside and not _covered({**inside, axis: outside}, others):
            return False
        inside[axis] = common(inside[axis], first[axis])
    return True


def common(one: Support, other: Support) -> Support:
    """Return what two supports share, without the single points where intervals of the first only touch."""
    pieces = ((max(a, c), min(b, d), a == b) for a, b in one for c, d in other)
    return tuple((low, high) for low, high, point in pieces if low < high or (point and low == high))


def _minus(one: Support, other: Support) -> Support:
    for low, high in other:
        below = [(a, min(b, low)) for a, b in one if a < low]
        above = [(max(a, high), b) for a, b in one if b > high]
        one = (*below, *above)
    return one

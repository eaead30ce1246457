"""The observations or actions of an environment, and what perturbations do to them, at any depth of a space."""

import re
from collections.abc import Iterator, Mapping
from copy import deepcopy
from itertools import accumulate, combinations
from math import prod
from typing import Any, NamedTuple

import numpy as np
from gymnasium import spaces
from gymnasium.utils.env_checker import data_equivalence

from sim2real.errors import Sim2RealError, nearest
from sim2real.perturb import OPERATIONS, Perturbation
from sim2real.perturb.amounts import Amount, hull
from sim2real.perturb.joint import Column
from sim2real.perturb.parameters import globs
from sim2real.perturb.schedules import Ramp, Sine
from sim2real.perturb.streams import Draws, draws
from sim2real.wrappers.checked import misplaced

ARRAYS = (spaces.Box, spaces.MultiDiscrete, spaces.MultiBinary)
PARTED = (spaces.Dict, spaces.Tuple)


class _Place(NamedTuple):
    """Where something lies in a signal, and which part of it is meant.

    Attributes:
        path: keys of Dicts and places in Tuples, from the outside inwards.
        space: of what lies there.
        index: of the part of an array, None for what is no array.
    """

    path: tuple[Any, ...]
    space: spaces.Space[Any]
    index: Any

    @property
    def shape(self) -> tuple[int, ...]:
        """Of the part."""
        return () if self.index is None else np.empty(self.space.shape or ())[self.index].shape

    def overlaps(self, other: "_Place") -> bool:
        """Tell whether the two have something in common."""
        shorter = min(len(self.path), len(other.path))
        if self.path[:shorter] != other.path[:shorter]:
            return False
        if isinstance(self.index, slice) and isinstance(other.index, slice):
            return bool(max(self.index.start, other.index.start) < min(self.index.stop, other.index.stop))
        return True


class Signal:
    """The observations or the actions, and what is done to them, in order."""

    def __init__(self, side: str, space: spaces.Space[Any], names: Mapping[str, slice | str]) -> None:
        self.space = space  # widened where perturbed values can lie
        self._side, self._names = side, names
        # What has to be copied: an array, told by the dtype that it needs (True for any), or parts of a Dict or
        # Tuple by their keys.
        self._own: Any = None
        self._tuples = False
        self._live: list[_Live] = []

    def add(self, item: Perturbation, part: str, occurrence: int, period_s: float | None) -> None:
        """Find what is meant and get ready to do the operation there.

        What has parts is drawn whole, one part after the other; what stands in braces shares a draw.
        """
        operation = OPERATIONS[item.operation]
        parts = dict.fromkeys(one for name in globs(part) for one in globs(self._meant(name)))
        copies = [self._places(item, one) for one in parts]
        shapes = [[place.shape for place in copy] for copy in copies]
        # What is drawn together with others is one number, whatever the size of the part.
        each = operation.each and isinstance(item.amount, Amount) and not isinstance(item.amount, Column)
        if each and any(one != shapes[0] for one in shapes):
            raise Sim2RealError(
                f"'{item.label}': parts in braces are copies of one signal and take one draw, but their shapes "
                f"differ: {', '.join(str(one)[1:-1] for one in shapes)}."
            )
        for one, other in combinations(copies, 2):
            if any(place.overlaps(another) for place in one for another in other):
                raise Sim2RealError(f"'{item.label}': the parts in braces overlap.")
        if not item.acts:
            return
        sizes = [prod(shape) for shape in shapes[0]]
        whole = shapes[0][0] if len(sizes) == 1 else (sum(sizes),)
        drawn = draws(item, occurrence, whole if each else (), period_s)
        for copy in copies:
            ends = accumulate(sizes) if each and len(sizes) > 1 else [None] * len(copy)
            for place, end in zip(copy, ends, strict=True):
                share = None if end is None else slice(end - prod(place.shape), end)
                leads = place is copies[0][0]
                live = _Live(item, occurrence, drawn, place, share, leads=leads, copies=each and whole != ())
                self._live.append(live)
                self._take(place, operation.remembers)

    def _meant(self, part: str) -> str:
        """Return where a part lies that a name stands for."""
        named = self._names.get(part)
        return named if isinstance(named, str) else part

    def _places(self, item: Perturbation, part: str) -> list[_Place]:
        """Return what a part of a target means: one place, or every leaf of what has parts and is computed with."""
        path, space, rest = self._walk(part)
        name = ":".join((self._side, *map(str, path)))
        if rest and not isinstance(space, ARRAYS):
            raise Sim2RealError(f"'{item.target}': the {name} is {space}, which has no parts.")
        if not isinstance(space, PARTED) or OPERATIONS[item.operation].remembers:
            index = self._index(name, rest, space.shape or ()) if rest else _all(space)
            if wrong := _misfit(item, space, index):
                raise Sim2RealError(f"'{item.label}': {wrong}")
            return [_Place(path, space, index)]
        found = {":".join(map(str, inner)): (inner, leaf) for inner, leaf in leaves(space)}
        wrongs = {known: _misfit(item, leaf, _all(leaf)) for known, (_, leaf) in found.items()}
        for known, wrong in wrongs.items():
            if wrong:
                fitting = ", ".join(f"{name}:{one}" for one in wrongs if not wrongs[one])
                hint = f" Name the parts that are meant, each in a perturbation of its own: {fitting}."
                raise Sim2RealError(f"'{item.label}': in {name}:{known}, {wrong}{hint if fitting else ''}")
        if not found:
            raise Sim2RealError(f"'{item.label}': the {name} is empty.")
        return [_Place((*path, *inner), leaf, _all(leaf)) for inner, leaf in found.values()]

    def _walk(self, part: str) -> tuple[tuple[Any, ...], spaces.Space[Any], str]:
        """Go down as far as there are parts, and return the way, what lies there, and what is left to be named."""
        space, path, rest = self.space, [], part
        while rest and isinstance(space, PARTED):
            names = _keys(space)
            words = rest.split(":")
            # A name may have colons of its own.
            name = next(
                (one for n in range(len(words), 0, -1) if (one := ":".join(words[:n])) in names), None
            )
            if name is None:
                known = [":".join(map(str, inner)) for inner, _ in leaves(self.space)]
                raise Sim2RealError(f"The {self._side} has no part '{part}'.{nearest(part, known)}")
            path.append(names[name])
            space, rest = space[names[name]], rest[len(name) + 1 :]  # type: ignore[index]
        return tuple(path), space, rest

    def _index(self, name: str, part: str, shape: tuple[int, ...]) -> slice:
        names = {} if isinstance(self.space, PARTED) else self._names
        numbers = re.fullmatch(r"(\d+)(?::(\d+))?", part)
        if part in names:
            index = names[part]
        elif numbers:
            index = slice(int(numbers[1]), int(numbers[2] or int(numbers[1]) + 1))
        else:
            raise Sim2RealError(f"The {name} has no part '{part}'.{nearest(part, names)}")
        size = shape[0] if shape else 0
        if not (isinstance(index, slice) and 0 <= index.start < index.stop <= size):
            raise Sim2RealError(f"'{name}:{part}' is {index}, but the {name} has {size} components.")
        return index

    def _take(self, place: _Place, remembers: bool) -> None:
        """Note what has to be copied, for it is changed in place, and which bounds widen."""
        path, space, index = place
        needed = None if index is None else True if remembers else space.dtype
        self._own = _with(self._own, path, needed)
        self._tuples |= any(
            isinstance(_at(self.space, path[:depth]), spaces.Tuple) for depth in range(len(path))
        )
        if isinstance(space, spaces.Box) and not remembers:
            # The space now, as another copy may have widened it.
            self.space = _replaced(self.space, path, _widened(_at(self.space, path), index))

    def start(self, told: dict[str, Any], *episode: int) -> None:
        """Begin an episode."""
        for live in self._live:
            live.start(told, *episode)

    @property
    def acted(self) -> set[int]:
        """Ids of the perturbations that have changed the signal in this episode."""
        return {id(live.item) for live in self._live if live.acted}

    def check(self, value: Any) -> None:
        """Raise if a value that is to be perturbed has another form than its space says."""
        if wrong := misplaced(self.space, value, self._side):
            raise Sim2RealError(f"{wrong[0].upper()}{wrong[1:]}.")

    def __call__(self, value: Any, told: dict[str, Any]) -> Any:
        """Return the perturbed value of this step; the one given stays as it is."""
        if not self._live:
            return value
        own = self._own
        try:
            if type(own) is dict or own is None:
                value = _owned(value, own)
            else:  # an array, mostly of the right dtype: what `_owned` does, without a call
                value = np.array(value)
                dtype = value.dtype
                if dtype is not own and own is not True and dtype != own:
                    value = _owned(value, own)
            for live in self._live:
                value = live(value, told)
        except (KeyError, IndexError, TypeError, ValueError):
            self.check(value)
            raise
        return _returned(value, own) if self._tuples else value


class _Live:
    """One operation on one place of a signal during an episode: the value that describes it, and its memory.

    Args:
        item: the perturbation.
        occurrence: how many of the same identity come before it.
        drawn: its draws, which all of its places share.
        place: where it acts.
        share: what of the draw is for this place, None for all of it.
        leads: whether it is the first of the places, which draws, and tells, for all of them.
        copies: whether what it draws is an array.
    """

    def __init__(
        self,
        item: Perturbation,
        occurrence: int,
        drawn: Draws,
        place: _Place,
        share: slice | None,
        *,
        leads: bool,
        copies: bool,
    ) -> None:
        operation, dtype = OPERATIONS[item.operation], place.space.dtype
        self.drawn, self._source, self._memory = drawn, drawn.source, None
        self.item, self.acted = item, False
        kind = item.identity[2]
        self._name = f"{item.operation} {item.target}"
        self._name += "" if kind == "episode" else f" every {kind}"
        self._name += " jointly" if isinstance(item.amount, Column) else ""
        self._name += f" #{occurrence + 1}" if occurrence else ""
        self._remembers, self._leads, self._copies = operation.remembers, leads, copies
        self._tells = not (copies and kind == "step")
        self._array, self._share, self._shape = place.index is not None, share, place.shape
        # From the whole signal to what holds the value, and the value's place in there.
        self._path, self._index = place.path, place.index
        if place.path and not self._array:
            self._path, self._index = place.path[:-1], place.path[-1]
        whole_numbers = dtype is not None and dtype.kind in "iu" and not operation.remembers
        self._whole = np.iinfo(dtype) if whole_numbers else None  # type: ignore[type-var]

    def start(self, told: dict[str, Any], *episode: int) -> None:
        """Forget the last episode, and draw for this one."""
        self._memory, self.acted = None, False
        if self._leads:
            self.drawn.start(*episode)
            if self._tells:
                self._tell(told)

    def __call__(self, signal: Any, told: dict[str, Any]) -> Any:
        """Return the signal with the operation done; what holds the place is changed."""
        drawn, index = self.drawn, self._index
        if self._leads:
            drawn.tick()
            if self._tells and (self._copies or self._source.changed):
                self._tell(told)
        amount = drawn.amount
        if amount is None:
            if not self._remembers:
                return signal
            amount = 0.0
        elif self._share is not None:
            amount = amount[self._share].reshape(self._shape)
        holder = signal
        if self._path:
            for key in self._path:
                holder = holder[key]
        value = holder if index is None else holder[index]
        if self._remembers:
            value = value.copy() if self._array else deepcopy(value)
        before = value
        value, self._memory = drawn.apply(value, amount, self._memory)
        if self._whole is not None:
            value = np.clip(np.rint(value), self._whole.min, self._whole.max).astype(self._whole.dtype)
        if not self.acted:
            self.acted = not _same(before, value)
        if not self._array:
            value = deepcopy(value)
        if index is None:
            return value
        holder[index] = value
        return signal

    def _tell(self, told: dict[str, Any]) -> None:
        """Note the amount that acts now."""
        amount = self._source.amount
        if amount is None:
            told.pop(self._name, None)
        else:
            # A copy, as nobody may change, or keep alive, the block of draws.
            told[self._name] = amount.copy() if self._copies else amount


def _same(one: Any, other: Any) -> bool:
    """Tell whether a value is what it was; bytes are compared several times as fast as numbers."""
    if not (isinstance(one, np.ndarray) and isinstance(other, np.ndarray)):
        return bool(data_equivalence(one, other, exact=True))
    if one.dtype == other.dtype:
        return one.tobytes() == other.tobytes()
    return np.array_equal(one, other)


def _misfit(item: Perturbation, space: spaces.Space[Any], index: Any) -> str:
    """Return why an operation makes no sense on a part of a space, "" if it does."""
    operation = OPERATIONS[item.operation]
    if isinstance(space, spaces.Box) or operation.remembers:
        return ""
    if operation.arithmetic or not isinstance(space, (spaces.Discrete, *ARRAYS)):
        return f"there are no numbers in {space}; delay and hold work there."
    if isinstance(space, spaces.MultiBinary):
        low, high = np.zeros(space.shape), np.ones(space.shape)
    else:
        low = np.asarray(space.start)  # type: ignore[union-attr]
        high = low + (space.n if isinstance(space, spaces.Discrete) else space.nvec) - 1  # type: ignore[union-attr]
    least, most = hull(item.support) if item.acts else (low[index], high[index])
    partly = item.strength not in (0, 1) or isinstance(item.every, Ramp | Sine)
    if np.any(least < low[index]) or np.any(most > high[index]) or partly:
        return f"that is not always a value of {space}."
    return ""


def leaves(space: spaces.Space[Any]) -> Iterator[tuple[tuple[Any, ...], spaces.Space[Any]]]:
    """Return all that has no parts in a space, and the way there: keys of Dicts, places in Tuples.

    >>> [path for path, _ in leaves(spaces.Dict(a=spaces.Tuple([spaces.Discrete(2)] * 2), b=spaces.Text(3)))]
    [('a', 0), ('a', 1), ('b',)]
    """
    if not isinstance(space, PARTED):
        yield (), space
        return
    for key in _keys(space).values():
        for path, leaf in leaves(space[key]):
            yield (key, *path), leaf


def _keys(space: spaces.Space[Any]) -> dict[str, Any]:
    """Return the keys of what has parts, by the names that targets give them."""
    keys = space.spaces if isinstance(space, spaces.Dict) else range(len(space.spaces))  # type: ignore[attr-defined]
    return {str(key): key for key in keys}


def _all(space: spaces.Space[Any]) -> Any:
    """Return the index of all of an array, None for what is none."""
    return ... if isinstance(space, ARRAYS) else None


def _at(space: Any, path: tuple[Any, ...]) -> Any:
    for key in path:
        space = space[key]
    return space


def _replaced(space: Any, path: tuple[Any, ...], leaf: spaces.Space[Any]) -> spaces.Space[Any]:
    """Return the space with another leaf, its parts in the same order."""
    if not path:
        return leaf
    parts = [
        (key, _replaced(space[key], path[1:], leaf) if key == path[0] else space[key])
        for key in _keys(space).values()
    ]
    return spaces.Dict(parts) if isinstance(space, spaces.Dict) else spaces.Tuple([part for _, part in parts])


def _with(own: Any, path: tuple[Any, ...], needed: Any) -> Any:
    """Return what has to be copied, with one more place: an array, by the dtype it needs, or None."""
    if path:
        inner = own or {}
        return {**inner, path[0]: _with(inner.get(path[0]), path[1:], needed)}
    return needed if own is None or own is True else own


def _owned(value: Any, own: Any) -> Any:
    """Return the value with what is changed in place copied, and a list where a tuple is changed.

    An array keeps its dtype, if that can hold all that the needed one can.
    """
    if own is None:
        return value
    if not isinstance(own, dict):
        array = np.array(value)
        fits = own is True or own == array.dtype or np.can_cast(own, array.dtype)
        return array if fits else array.astype(own)
    if isinstance(value, dict):
        copy = value.copy()
        for key, inner in own.items():
            copy[key] = _owned(value[key], inner)
        return copy
    parts = {key: _owned(value[key], inner) for key, inner in own.items()}
    return [parts.get(place, part) for place, part in enumerate(value)]


def _returned(value: Any, own: Any) -> Any:
    """Return what `_owned` made lists of as tuples again."""
    if not isinstance(own, dict):
        return value
    if isinstance(value, dict):
        return {key: _returned(part, own.get(key)) for key, part in value.items()}
    return tuple(_returned(part, own.get(place)) for place, part in enumerate(value))


def _widened(space: spaces.Box, index: Any) -> spaces.Box:
    """Return the space with the bounds of a part as wide as its dtype."""
    dtype: Any = space.dtype
    limits = np.iinfo(dtype) if dtype.kind in "iu" else None
    low, high = space.low.copy(), space.high.copy()
    low[index], high[index] = (limits.min, limits.max) if limits else (-np.inf, np.inf)
    return spaces.Box(low, high, dtype=dtype.type)


def within(space: spaces.Space[Any], other: spaces.Space[Any]) -> bool:
    """Tell whether a space, made of another one by widening parts of it, has no wider bounds."""
    if isinstance(space, PARTED) and isinstance(other, PARTED):
        return all(within(space[key], other[key]) for key in _keys(space).values())
    if isinstance(space, spaces.Box) and isinstance(other, spaces.Box):
        return bool(np.all(space.low >= other.low) and np.all(space.high <= other.high))
    return bool(space == other)

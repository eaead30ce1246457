"""Finding the engine in an environment that somebody else wrote, and finding it again after a reset."""

import sys
import weakref
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from copy import deepcopy
from functools import lru_cache
from types import BuiltinFunctionType, FunctionType, MethodType, ModuleType
from typing import Any, NamedTuple

import gymnasium as gym
import numpy as np

from sim2real.errors import Sim2RealError

Env = gym.Env[Any, Any]
Kind = tuple[str, str]
"""A class: the package that has it and its name, so that nothing needs to be imported to look for it."""

STATE, MODEL, CLIENT = ("mujoco", "MjData"), ("mujoco", "MjModel"), ("pybullet_utils", "BulletClient")

DEEP = 8  # attributes of attributes; dm_control through shimmy needs 4, its composer environments 6
MANY = 50_000  # objects looked at, some 0.1 s
OPAQUE = (
    str, bytes, int, float, complex, np.ndarray, np.generic, type, ModuleType, FunctionType, BuiltinFunctionType,
    MethodType,
)  # fmt: skip


_WAYS: "weakref.WeakKeyDictionary[Any, list[tuple[tuple[str, Any], ...]]]" = weakref.WeakKeyDictionary()


class NoEngine(Sim2RealError):
    """There is no such engine in an environment, as far as was looked."""


class Found(NamedTuple):
    """An object inside an environment, and the attributes and items that lead to it from ``env.unwrapped``."""

    thing: Any
    way: tuple[tuple[str, Any], ...]

    def __str__(self) -> str:
        """Return the way as one writes it in Python."""
        steps = (f".{name}" if kind == "attribute" else f"[{name!r}]" for kind, name in self.way)
        return "env.unwrapped" + "".join(steps)


def seek(env: Env, *kinds: Kind) -> list[Found]:
    """Return the objects of some classes inside an environment, the nearest first, each once.

    An environment that loads its engine only when it is reset is reset to that end.

    Raises:
        NoEngine: if there are none, with how far was looked.
    """
    found, looked = _search(env, kinds)
    if not found:
        with played(env):
            pass
        found, looked = _search(env, kinds)
    if not found:
        names = " and no ".join(name for _, name in kinds)
        raise NoEngine(
            f"There is no {names} in {type(env.unwrapped).__name__}: its parameters are not known. "
            f"(Looked at {looked:,} objects, {DEEP} attributes deep.)"
        )
    return found


def inside(env: Env, *kinds: Kind) -> list[Any]:
    """Return the objects of some classes that are inside an environment as it is now, the nearest first.

    Nothing is looked for whose package nobody has imported.
    """
    return [one.thing for one in _imported(env, kinds)]


def remembered(env: Env, *kinds: Kind) -> list[Any]:
    """Return what `inside` does, looking where it was found before: some 20 ms less in a large environment.

    What an environment loads only after it was first looked into is not seen.
    """
    bare = env.unwrapped
    ways = _WAYS.get(bare)
    found = [follow(env, way) for way in ways or ()]
    if ways is None or not all(any(is_a(one, *kind) for kind in kinds) for one in found):
        sought = _imported(env, kinds)
        _WAYS[bare] = [one.way for one in sought]
        found = [one.thing for one in sought]
    return found


def follow(env: Env, way: tuple[tuple[str, Any], ...]) -> Any:
    """Return what a way leads to now, None where it leads nowhere."""
    thing: Any = env.unwrapped
    try:
        for kind, name in way:
            thing = getattr(thing, name) if kind == "attribute" else thing[name]
            if isinstance(thing, weakref.ref):
                thing = thing()
    except (AttributeError, LookupError, TypeError, ReferenceError):
        return None
    return thing


def is_a(thing: Any, package: str, kind: str) -> bool:
    """Tell whether something is of a class, without importing the package that has it.

    >>> is_a(np.pi, "builtins", "float"), is_a(np.pi, "numpy", "float")
    (True, False)
    """
    try:
        return _descends(thing.__class__, package, kind)  # a proxy has the class of what it stands for
    except (AttributeError, ReferenceError, TypeError):
        return False


@lru_cache(4096)
def _descends(cls: type, package: str, kind: str) -> bool:
    return any(base.__name__ == kind and base.__module__.partition(".")[0] == package for base in cls.__mro__)


@lru_cache(4096)
def _slots(cls: type) -> tuple[str, ...]:
    """Return the names of attributes that a class keeps outside of its instances' dictionary."""
    found = (base.__dict__.get("__slots__", ()) for base in cls.__mro__)
    return tuple(name for slots in found for name in ((slots,) if isinstance(slots, str) else slots))


@contextmanager
def played(env: Env) -> Iterator[Callable[[], object]]:
    """Begin an episode, yield what goes a step in it, and leave the environment reset.

    What it loads must not depend on chance, nor what it plays later on this seed.
    """
    actions = deepcopy(env.action_space)
    actions.seed(0)
    env.reset(seed=0)
    yield lambda: env.step(actions.sample())
    env.reset(seed=int(np.random.SeedSequence().generate_state(1)[0]))


def the_one(env: Env, found: list[Found], clock: Callable[[Any], Any], advice: str) -> Found:
    """Return the one of several engines that a step of the environment moves.

    Args:
        env: the environment; a step of it is played where there are several.
        found: the engines in it.
        clock: returns what is another number after an engine has been stepped.
        advice: what to do where it cannot be told.

    Raises:
        Sim2RealError: if a step moves none or several of them.
    """
    if len(found) == 1:
        return found[0]
    with played(env) as step:
        before = [clock(follow(env, one.way)) for one in found]
        step()
        after = [clock(follow(env, one.way)) for one in found]
    moved = [one for one, old, new in zip(found, before, after, strict=True) if old != new]
    if len(moved) != 1:
        raise Sim2RealError(
            f"There are {len(found)} engines in {type(env.unwrapped).__name__} ({', '.join(map(str, found))}), and a "
            f"step moves {len(moved)} of them: {advice}"
        )
    return moved[0]


def _imported(env: Env, kinds: tuple[Kind, ...]) -> list[Found]:
    """Return what was found of the classes whose packages somebody has imported."""
    there = tuple(kind for kind in kinds if kind[0] in sys.modules)
    return _search(env, there)[0] if there else []


def _search(env: Env, kinds: tuple[Kind, ...]) -> tuple[list[Found], int]:
    """Return what was found and how many objects were looked at."""
    waiting = deque([Found(env.unwrapped, ())])
    found: list[Found] = []
    seen = {id(env.unwrapped)}
    looked = 0
    while waiting and looked < MANY:
        one = waiting.popleft()
        looked += 1
        if any(is_a(one.thing, *kind) for kind in kinds):
            found.append(one)
        elif len(one.way) < DEEP:
            for step, thing in _inside(one.thing):
                if not isinstance(thing, OPAQUE) and thing is not None and id(thing) not in seen:
                    seen.add(id(thing))
                    waiting.append(Found(thing, (*one.way, step)))
    return found, looked


def _inside(thing: Any) -> Iterator[tuple[tuple[str, Any], Any]]:
    """Return what an object holds: items of a list or dictionary, else attributes."""
    if isinstance(thing, dict):
        yield from ((("item", key), value) for key, value in list(thing.items()))
    elif isinstance(thing, list | tuple):
        yield from ((("item", i), value) for i, value in enumerate(thing))
    else:
        try:
            names = (*getattr(thing, "__dict__", ()), *_slots(thing.__class__))
        except (AttributeError, ReferenceError, TypeError):
            return
        for name in names:
            try:
                value = getattr(thing, name)
            except Exception:  # somebody else's property; what cannot be looked at holds nothing
                continue
            yield ("attribute", name), value() if isinstance(value, weakref.ref) else value

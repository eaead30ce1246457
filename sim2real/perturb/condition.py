"""Conditions: tuples of perturbations, as values and as JSON."""

import importlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from sim2real.errors import Sim2RealError, nearest
from sim2real.perturb.amounts import (
    Amount,
    Choice,
    Drift,
    Integers,
    Interval,
    LogUniform,
    Normal,
    Outside,
    TruncatedNormal,
    Uniform,
)
from sim2real.perturb.joint import Correlated, Samples
from sim2real.perturb.perturbation import Perturbation
from sim2real.perturb.schedules import At, Ramp, Schedule, Sine, Square

KINDS: dict[str, type[Amount] | type[Interval] | type[Schedule]] = {
    kind.__name__: kind
    for kind in (
        *(
            Uniform,
            Outside,
            LogUniform,
            Normal,
            TruncatedNormal,
            Integers,
            Choice,
            Drift,
            Correlated,
            Samples,
        ),
        *(Interval, Ramp, Sine, Square, At),
    )
}


@dataclass(frozen=True)
class Importable:
    """A function by its name, "module:function"; it is imported when it is called, not before."""

    name: str

    def __call__(self, *args: Any) -> Any:
        """Import the function and call it.

        Raises:
            Sim2RealError: if it cannot be imported.
        """
        module, _, attribute = self.name.partition(":")
        try:
            function = getattr(importlib.import_module(module), attribute)
        except (ImportError, AttributeError, ValueError) as error:
            raise Sim2RealError(f"The function '{self.name}' cannot be imported: {error}.") from None
        return function(*args)


@dataclass(frozen=True)
class Wrap:
    """Any change to an environment, opaque to everything but itself: a function env -> env.

    Attributes:
        fn: a function at the top level of a module; kept by its name.
        label: how reports call it.

    Raises:
        Sim2RealError: if the function has no importable name.
    """

    fn: Any
    label: str = field(kw_only=True)

    def __post_init__(self) -> None:
        if not isinstance(self.fn, Importable):
            name = getattr(self.fn, "__qualname__", "<")
            if any(sign in name for sign in "<."):
                raise Sim2RealError(f"Wrap '{self.label}' takes a function at the top level of a module.")
            object.__setattr__(self, "fn", Importable(f"{self.fn.__module__}:{name}"))


@dataclass(frozen=True, kw_only=True)
class Make:
    """How the environment is made: another value of one keyword of `gymnasium.make`.

    So a whole simulator can be held out (``engine``), a robot (``robot``), or the model file of an environment from
    elsewhere (``xml_file``). The environment has its parameters from it, so it comes before all perturbations, wherever
    it stands among them.

    Attributes:
        name: the keyword.
        value: a plain JSON value.

    Raises:
        Sim2RealError: if the name cannot be a keyword, or the value is not plain JSON.

    >>> Make(name="engine", value="mujoco").label
    "make with engine='mujoco'"
    """

    name: str
    value: Any = field(compare=False)
    _text: str = field(init=False, repr=False)  # is compared instead: 1 equals True, and lists have no hash

    def __post_init__(self) -> None:
        if not str(self.name).isidentifier():
            raise Sim2RealError(f"Make overrides a keyword of gymnasium.make; {self.name!r} cannot be one.")
        try:
            text = json.dumps(self.value, sort_keys=True, allow_nan=False)
        except (TypeError, ValueError) as error:
            raise Sim2RealError(f"Make '{self.name}' takes a plain JSON value: {error}.") from None
        object.__setattr__(self, "value", json.loads(text))
        object.__setattr__(self, "_text", text)

    @property
    def label(self) -> str:
        """The item as a sentence."""
        return f"make with {self.name}={self.value!r}"


Item = Perturbation | Wrap | Make
Condition = tuple[Item, ...]


def makes(condition: Iterable[Item]) -> dict[str, Any]:
    """Return the keywords of `gymnasium.make` that a condition overrides, with their values.

    Raises:
        Sim2RealError: if it overrides one twice.
    """
    found: dict[str, Any] = {}
    for item in condition:
        if isinstance(item, Make):
            if item.name in found:
                raise Sim2RealError(f"An environment is made with one '{item.name}', not with two.")
            found[item.name] = item.value
    return found


def to_json(condition: Iterable[Item]) -> list[dict[str, Any]]:
    """Return a condition as plain JSON values; `from_json` gives an equal condition back."""
    return [_item(item) for item in condition]


def _item(item: Item) -> dict[str, Any]:
    if isinstance(item, Wrap):
        return {"wrap": item.fn.name, "label": item.label}
    return {"make": item.name, "value": item.value} if isinstance(item, Make) else _fields(item)


def from_json(items: Iterable[Mapping[str, Any]]) -> Condition:
    """Return the condition `to_json` wrote; this imports no function of a `Wrap`.

    Raises:
        Sim2RealError: if an item is no perturbation.
    """
    condition: list[Item] = []
    for item in items:
        try:
            if "wrap" in item:
                condition.append(Wrap(Importable(item["wrap"]), label=item["label"]))
            elif "make" in item:
                condition.append(Make(name=item["make"], value=item.get("value")))  # TOML leaves a null out
            else:
                condition.append(Perturbation(**{name: _value(value) for name, value in item.items()}))
        except (KeyError, TypeError, AttributeError) as error:
            raise Sim2RealError(f"This is no perturbation: {item!r} ({error}).") from None
    return tuple(condition)


def _fields(value: Any) -> dict[str, Any]:
    return {field.name: _plain(getattr(value, field.name)) for field in fields(value)}


def _plain(value: Any) -> Any:
    if isinstance(value, Amount | Interval | Schedule):
        return {"kind": type(value).__name__, **_fields(value)}
    return list(value) if isinstance(value, tuple) else value


def _value(plain: Any) -> Any:
    if not isinstance(plain, Mapping):
        return plain
    kind, rest = plain["kind"], {name: value for name, value in plain.items() if name != "kind"}
    if kind not in KINDS:
        raise Sim2RealError(f"There is no distribution '{kind}'.{nearest(kind, KINDS)}")
    return KINDS[kind](**{name: _value(value) for name, value in rest.items()})

"""Adapters: the parameters of environments that do not declare any."""

import math
from collections.abc import Callable, Mapping
from functools import partial
from types import ModuleType
from typing import Any

import gymnasium as gym

from sim2real.errors import Sim2RealError, nearest
from sim2real.perturb import Parameter


class Table:
    """Named parameters, their current values, and what makes a new value act.

    Setting one to the value it has does nothing, except for a transient one, where each setting is an event.
    """

    def __init__(self) -> None:
        self._specs: dict[str, Parameter] = {}
        self._values: dict[str, float] = {}
        self._setters: dict[str, Callable[[float], None]] = {}

    def add(self, name: str, spec: Parameter, setter: Callable[[float], None]) -> None:
        """Register a parameter that has its nominal value."""
        self._specs[name], self._values[name], self._setters[name] = spec, spec.nominal, setter

    def _row(
        self,
        name: str,
        nominal: float,
        unit: str,
        low: float,
        high: float,
        doc: str,
        setter: Callable[[float], None],
        transient: bool = False,
    ) -> None:
        spec = Parameter(nominal=nominal, unit=unit, low=low, high=high, doc=doc, transient=transient)
        self.add(name, spec, setter)

    def names(self) -> tuple[str, ...]:
        """Return every name."""
        return tuple(self._specs)

    def spec(self, name: str) -> Parameter:
        """Return what the parameter is; its nominal value is the one it had when this object was made."""
        if name not in self._specs:
            raise Sim2RealError(f"There is no parameter '{name}'.{nearest(name, self._specs)}")
        return self._specs[name]

    def get(self, name: str) -> float:
        """Return the current value."""
        self.spec(name)
        return self._values[name]

    def set(self, name: str, value: float) -> None:
        """Change the value.

        Raises:
            Sim2RealError: for an unknown name or a value outside the parameter's bounds.
        """
        spec = self.spec(name)
        if not spec.low <= value <= spec.high:
            raise Sim2RealError(
                f"{name} = {value:g} {spec.unit} lies outside what is possible, "
                f"{spec.low:g} to {spec.high:g} {spec.unit}."
            )
        if spec.transient:
            self._setters[name](value)
        elif value != self.get(name):
            self._values[name] = float(value)
            self._setters[name](float(value))


def seek(env: gym.Env[Any, Any], package: str, kind: str) -> Any:
    """Return the first object of a package's class among the attributes of an environment, and theirs.

    Raises:
        Sim2RealError: if there is none.
    """
    level, seen = [env.unwrapped], set[int]()
    for _ in range(5):
        for thing in level:
            if is_a(thing, package, kind):
                return thing
        inner = [value for thing in level for value in getattr(thing, "__dict__", {}).values()]
        level = [
            value for value in inner if id(value) not in seen and not isinstance(value, type | ModuleType)
        ]
        seen |= set(map(id, level))
    raise Sim2RealError(
        f"There is no {kind} in {type(env.unwrapped).__name__}: its parameters are not known."
    )


def is_a(thing: Any, package: str, kind: str) -> bool:
    """Tell whether something is of a class, without importing the package that has it.

    >>> is_a(math.pi, "builtins", "float"), is_a(math.pi, "numpy", "float")
    (True, False)
    """
    bases = type(thing).__mro__
    return any(base.__name__ == kind and base.__module__.partition(".")[0] == package for base in bases)


class Attributes(Table):
    """Parameters that are plain attributes of an environment, whatever it is.

    What an environment computes from an attribute when it is made (CartPole's ``polemass_length`` from its
    ``length``) does not follow a change.

    Args:
        env: the environment, wrapped or not.
        paths: parameter name -> attribute of ``env.unwrapped``, dots lead further in.

    Raises:
        Sim2RealError: if there is no such attribute, or it is no finite number.

    >>> parameters = Attributes(gym.make("CartPole-v1"), {"pole.length": "length"})
    >>> parameters.set("pole.length", 1.0)
    >>> parameters.get("pole.length"), parameters.spec("pole.length").nominal
    (1.0, 0.5)
    """

    def __init__(self, env: gym.Env[Any, Any], paths: Mapping[str, str]) -> None:
        super().__init__()
        self._places: dict[str, tuple[Any, str]] = {}
        for name, path in paths.items():
            owner: Any = env.unwrapped
            *way, last = path.split(".")
            for attribute in (*way, last):
                if not hasattr(owner, attribute):
                    known = [known for known in dir(owner) if not known.startswith("_")]
                    raise Sim2RealError(
                        f"{type(owner).__name__} has no attribute '{attribute}'.{nearest(attribute, known)}"
                    )
                holder, owner = owner, getattr(owner, attribute)
            try:
                nominal = float(owner)
            except (TypeError, ValueError):
                nominal = math.nan
            if not math.isfinite(nominal):
                raise Sim2RealError(f"'{path}' cannot be a parameter: it is {owner!r}, not a finite number.")
            self._places[name] = holder, last
            spec = Parameter(
                nominal=nominal, unit="", low=-math.inf, high=math.inf, doc=f"The attribute {path}."
            )
            self.add(name, spec, partial(setattr, holder, last))

    def get(self, name: str) -> float:
        """Return the current value, whoever set it."""
        self.spec(name)
        return float(getattr(*self._places[name]))

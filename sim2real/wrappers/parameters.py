"""Adapters: the parameters of environments that do not declare any."""

import math
from collections.abc import Mapping
from typing import Any

import gymnasium as gym

from sim2real.errors import Sim2RealError, nearest
from sim2real.perturb import Parameter


class Attributes:
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
        self._places: dict[str, tuple[Any, str]] = {}
        self._specs: dict[str, Parameter] = {}
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
            self._specs[name] = Parameter(
                nominal=nominal, unit="", low=-math.inf, high=math.inf, doc=f"The attribute {path}."
            )

    def names(self) -> tuple[str, ...]:
        """Return every name."""
        return tuple(self._specs)

    def spec(self, name: str) -> Parameter:
        """Return what the parameter is; its nominal value is the one it had when this object was made."""
        if name not in self._specs:
            raise Sim2RealError(f"'{name}' is no parameter.{nearest(name, self._specs)}")
        return self._specs[name]

    def get(self, name: str) -> float:
        """Return the current value."""
        self.spec(name)
        return float(getattr(*self._places[name]))

    def set(self, name: str, value: float) -> None:
        """Change the value."""
        self.spec(name)
        setattr(*self._places[name], value)

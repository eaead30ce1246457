"""The table of parameters an environment exposes: what there is, what it is now, and how it is changed."""

import math
from collections.abc import Callable

from sim2real.errors import Sim2RealError, nearest
from sim2real.perturb.parameters import Parameter


class ParameterTable:
    """Named parameters with their current values; implements ``sim2real.perturb.Parameters``.

    Setting one to the value it has does nothing, except for a transient one, where each setting is an event.
    """

    def __init__(self) -> None:
        self._specs: dict[str, Parameter] = {}
        self._values: dict[str, float] = {}
        self._setters: dict[str, Callable[[float], None]] = {}

    def add(self, name: str, spec: Parameter, setter: Callable[[float], None]) -> None:
        """Register a parameter; ``setter`` makes a new value act (or notes it, where ``spec.live`` is False)."""
        self._specs[name] = spec
        self._values[name] = spec.nominal
        self._setters[name] = setter

    def renominate(self, name: str, nominal: float) -> None:
        """Give a parameter another nominal value and set it to that."""
        spec = self._specs[name]
        fields = {field: getattr(spec, field) for field in spec.__dataclass_fields__}
        self._specs[name] = Parameter(**(fields | {"nominal": nominal}))
        self.set(name, nominal)

    def names(self) -> tuple[str, ...]:
        """Return every name, in the order of registration."""
        return tuple(self._specs)

    def spec(self, name: str) -> Parameter:
        """Return what a parameter is: nominal value, unit, bounds, meaning."""
        try:
            return self._specs[name]
        except KeyError:
            raise Sim2RealError(f"There is no parameter '{name}'.{nearest(name, self._specs)}") from None

    def get(self, name: str) -> float:
        """Return the current value."""
        self.spec(name)
        return self._values[name]

    def set(self, name: str, value: float) -> None:
        """Change a value.

        Raises:
            Sim2RealError: for an unknown name or a value outside the parameter's bounds.
        """
        spec = self.spec(name)
        value = float(value)
        if not (spec.low <= value <= spec.high) or math.isnan(value):
            raise Sim2RealError(
                f"{name} = {value:g} {spec.unit} lies outside what is possible, "
                f"{spec.low:g} to {spec.high:g} {spec.unit}."
            )
        if spec.transient:
            self._setters[name](value)
        elif value != self._values[name]:
            self._values[name] = value
            self._setters[name](value)

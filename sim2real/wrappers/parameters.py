"""Adapters: the parameters of environments that do not declare any."""

import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from types import MappingProxyType
from typing import Any, Self

import gymnasium as gym
import numpy as np

from sim2real.errors import Sim2RealError, nearest
from sim2real.perturb import Parameter, Parameters
from sim2real.perturb.parameters import NO_GROUPS, Groups

Reader = Callable[[], float]
Setter = Callable[[float], object]

READ_BACK = 1e-6
"""Share by which a value that was set may differ from what is read back: engines keep some in single precision."""


class Table:
    """Named parameters, how they are read, and what makes a new value act.

    Setting one to the value it has does nothing, except for a transient one, where each setting is an event.
    """

    impossible: Mapping[str, str] = MappingProxyType({})
    """Names that cannot be parameters here, and a sentence that says why."""

    groups: Groups = NO_GROUPS
    """Parts that a pattern may name together."""

    source = ""
    """Where the parameters were found, as one says it to a user."""

    def __init__(self) -> None:
        self._specs: dict[str, Parameter] = {}
        self._values: dict[str, float] = {}
        self._setters: dict[str, Setter] = {}
        self._readers: dict[str, Reader] = {}

    def add(self, name: str, spec: Parameter, setter: Setter, reader: Reader | None = None) -> None:
        """Register a parameter that has its nominal value.

        Args:
            name: by which it is set.
            spec: what it is.
            setter: makes a value act.
            reader: tells the value that acts now; None where it is the one set last, as nobody else can change it.
        """
        self._specs[name], self._values[name], self._setters[name] = spec, spec.nominal, setter
        if reader is not None:
            self._readers[name] = reader

    def names(self) -> tuple[str, ...]:
        """Return every name."""
        return tuple(self._specs)

    def spec(self, name: str) -> Parameter:
        """Return what the parameter is; its nominal value is the one it had when this object was made."""
        if name not in self._specs:
            raise Sim2RealError(
                self.impossible.get(name) or f"There is no parameter '{name}'.{nearest(name, self._specs)}"
            )
        return self._specs[name]

    def get(self, name: str) -> float:
        """Return the value that acts now, read from the engine where somebody else can change it there."""
        self.spec(name)
        reader = self._readers.get(name)
        return self._values[name] if reader is None else reader()

    def wanted(self, name: str) -> float:
        """Return the value that was set last, the nominal one before."""
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
        elif value != self._values[name] or differs(self, name, value):
            self._values[name] = float(value)
            self._setters[name](float(value))

    def together(self) -> AbstractContextManager[object]:
        """Return a context in which values are only noted where what follows from them can wait until its end."""
        return nullcontext()


def own_parameters(env: gym.Env[Any, Any]) -> Parameters | None:
    """Return the parameters that an environment declares itself, None if there are none.

    An attribute ``parameters`` that is something else (a configuration, a network's weights) is none of them.
    """
    found: Any = getattr(env.unwrapped, "parameters", None)
    return found if is_table(found) else None


def is_table(found: Any) -> bool:
    """Tell whether something has what parameters have."""
    return all(callable(getattr(found, method, None)) for method in ("names", "spec", "get", "set"))


def together(parameters: Parameters | None) -> AbstractContextManager[object]:
    """Return the context in which several parameters are set, for any kind of parameters."""
    found: Any = getattr(parameters, "together", nullcontext)()
    return found  # type: ignore[no-any-return]


def differs(parameters: Parameters, name: str, value: float) -> bool:
    """Tell whether a parameter has another value than the one it was set to."""
    return not math.isclose(parameters.get(name), value, rel_tol=READ_BACK, abs_tol=1e-12)


def confirm(parameters: Parameters | None, wanted: Mapping[str, float]) -> None:
    """See after a reset that parameters have the values they were set to, and set again what the reset took back.

    Raises:
        Sim2RealError: for one that does not keep what it is set to.
    """
    if parameters is None:
        return
    lost = {name: value for name, value in wanted.items() if differs(parameters, name, value)}
    if not lost:
        return
    with together(parameters):
        for name, value in lost.items():
            if parameters.spec(name).live:
                parameters.set(name, value)
    must_have(parameters, lost, "A reset of the environment takes it back, and it cannot be set again.")


def must_have(parameters: Parameters | None, wanted: Mapping[str, float], reason: str) -> None:
    """Raise if a parameter has another value than it was set to.

    Raises:
        Sim2RealError: naming it, both values and the reason.
    """
    for name, value in wanted.items():
        if parameters is not None and differs(parameters, name, value):
            raise Sim2RealError(
                f"{name} was set to {value:.6g} {parameters.spec(name).unit}".rstrip()
                + f", and the simulator has {parameters.get(name):.6g}. {reason}"
            )


def numbered(names: Iterable[str], reserved: Iterable[str] = ()) -> tuple[list[str], dict[str, list[str]]]:
    """Return names made unique by numbers, and those of equal names by the one they had.

    >>> numbered(["cube", "table", "cube"])
    (['cube_1', 'table', 'cube_2'], {'cube': ['cube_1', 'cube_2']})
    """
    names = list(names)
    count, taken = Counter([*names, *reserved]), {*names, *reserved}
    unique: list[str] = []
    groups: dict[str, list[str]] = {}
    for name in names:
        if count[name] > 1:
            number = len(groups.setdefault(name, [])) + 1
            while f"{name}_{number}" in taken:
                number += 1
            taken.add(f"{name}_{number}")
            groups[name].append(f"{name}_{number}")
            name = groups[name][-1]
        unique.append(name)
    return unique, groups


class EngineTable(Table):
    """The parameters of an engine inside somebody else's environment, which may replace it at any reset.

    The engine is found again before anything is read or set. Specifications are those of the first one; readers
    and setters are those of the one that is stepped now.

    Args:
        find: returns what the engine consists of.
        source: where it was found.
    """

    def __init__(self, find: Callable[[], tuple[Any, ...]], source: str = "") -> None:
        super().__init__()
        self.source = source
        self.groups, self.impossible = {}, {}
        self._find = find
        self._engine: tuple[Any, ...] = ()
        self._named = False
        self._renew()
        self._named = True

    def __reduce_ex__(self, protocol: Any) -> Any:
        """Refuse copies and pickles, whose setters would be those of this engine."""
        raise Sim2RealError(
            f"The parameters of an engine cannot be copied ({self.source}): make another environment, and give its "
            "Perturbed the function that finds them, such as parameters=discover."
        )

    @classmethod
    def known(cls, env: gym.Env[Any, Any], *engine: Any) -> Self | None:
        """Return the table that a wrapper has of an engine already: two would undo each other's changes."""
        while isinstance(env, gym.Wrapper):
            table = vars(env).get("parameters")
            if isinstance(table, cls):
                table._renew()
                if table.is_of(*engine):
                    return table
            env = env.env
        return None

    @property
    def clock(self) -> float | None:
        """What a step changes if it moves the engine, None where that cannot be told."""
        return None

    def _describe(self) -> None:
        """Register the parameters of ``self._engine``."""
        raise NotImplementedError

    def is_of(self, *engine: Any) -> bool:
        """Tell whether the parameters are described as those of an engine."""
        return [*map(id, engine)] == [*map(id, self._engine)]

    @property
    def replaced(self) -> bool:
        """Whether the environment has another engine than the one that was last read or set."""
        return not self.is_of(*self._find())

    def _renew(self) -> None:
        """Find the engine that is stepped now."""
        if not self.is_of(*(engine := self._find())):
            self._engine = engine
            self._readers, self._setters = {}, {}
            self._describe()

    def _row(
        self,
        name: str,
        nominal: float,
        unit: str,
        low: float,
        high: float,
        doc: str,
        setter: Setter,
        reader: Reader | None = None,
        *,
        transient: bool = False,
    ) -> None:
        """Register a parameter, with bounds as wide as its nominal value needs (a damping of 1e11 is one)."""
        nominal = float(nominal)
        if not math.isfinite(nominal):
            self.impossible = {
                **self.impossible,
                name: f"{name} cannot be a parameter: it is {nominal}, not a finite number.",
            }
            return
        if name not in self._specs:
            if self._named:
                return  # of a later engine; what was offered stays what is offered
            low, high = min(low, nominal), max(high, 10.0 * nominal if nominal > 0.1 * high else high)
            self._specs[name] = Parameter(
                nominal=nominal, unit=unit, low=low, high=high, doc=doc, transient=transient
            )
            self._values[name] = nominal
        self._setters[name] = setter
        if reader is not None:
            self._readers[name] = reader

    def _live(self, name: str) -> None:
        self._renew()
        if name in self._specs and name not in self._setters:
            raise Sim2RealError(
                f"There is no '{name}' any more: the environment has built another model without it."
            )

    def get(self, name: str) -> float:
        """Return the value that the engine has now."""
        self._live(name)
        return super().get(name)

    def set(self, name: str, value: float) -> None:
        """Change the value in the engine that is stepped now.

        Raises:
            Sim2RealError: for an unknown name, a value outside the parameter's bounds, or a part that is gone.
        """
        self._live(name)
        super().set(name, value)


class Attributes(Table):
    """Parameters that are plain attributes of an environment, whatever it is.

    What an environment computes from an attribute when it is made (CartPole's ``polemass_length`` from its
    ``length``) does not follow a change. Whole numbers stay whole, NumPy's stay NumPy's, and the nominal value is the
    object that was found.

    Args:
        env: the environment, wrapped or not.
        paths: parameter name -> attribute of ``env.unwrapped``, dots lead further in.

    Raises:
        Sim2RealError: if there is no such attribute, it is no finite number, or it cannot be set.

    >>> parameters = Attributes(gym.make("CartPole-v1"), {"pole.length": "length"})
    >>> parameters.set("pole.length", 1.0)
    >>> parameters.get("pole.length"), parameters.spec("pole.length").nominal
    (1.0, 0.5)
    """

    def __init__(self, env: gym.Env[Any, Any], paths: Mapping[str, str]) -> None:
        super().__init__()
        for name, path in paths.items():
            *way, last = path.split(".")
            found = env.unwrapped
            for attribute in (*way, last):
                if not hasattr(found, attribute):
                    known = [known for known in dir(found) if not known.startswith("_")]
                    raise Sim2RealError(
                        f"{type(found).__name__} has no attribute '{attribute}'.{nearest(attribute, known)}"
                    )
                found = getattr(found, attribute)
            self._add(name, path, env.unwrapped, tuple(way), last, found)

    def _add(
        self, name: str, path: str, bare: gym.Env[Any, Any], way: tuple[str, ...], last: str, found: Any
    ) -> None:
        try:
            nominal = math.nan if isinstance(found, bool | np.bool_ | np.ndarray) else float(found)
        except (TypeError, ValueError):
            nominal = math.nan
        if not math.isfinite(nominal):
            raise Sim2RealError(f"'{path}' cannot be a parameter: it is {found!r}, not a finite number.")
        put = partial(_put, bare, way, last, found)
        try:
            setattr(_followed(bare, way), last, found)
        except AttributeError as error:
            raise Sim2RealError(f"'{path}' cannot be a parameter: it cannot be set ({error}).") from error
        spec = Parameter(
            nominal=nominal, unit="", low=-math.inf, high=math.inf, doc=f"The attribute {path}.",
            whole=isinstance(found, int | np.integer),
        )  # fmt: skip
        self.add(name, spec, put, partial(_read, bare, way, last))


def _followed(owner: Any, way: tuple[str, ...]) -> Any:
    """Return what has an attribute; it is looked for each time, as environments build parts of themselves anew."""
    for attribute in way:
        owner = getattr(owner, attribute)
    return owner


def _put(owner: Any, way: tuple[str, ...], last: str, nominal: Any, value: float) -> None:
    number = round(value) if isinstance(nominal, int | np.integer) else float(value)
    kind = type(nominal) if isinstance(nominal, np.generic) else type(number)
    setattr(_followed(owner, way), last, nominal if value == float(nominal) else kind(number))


def _read(owner: Any, way: tuple[str, ...], last: str) -> float:
    return float(getattr(_followed(owner, way), last))

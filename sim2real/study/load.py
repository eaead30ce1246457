"""Study files: Python that defines a study, run under a name that every process gives it."""

import importlib.util
import inspect
import re
import sys
import traceback
import types
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from sim2real.errors import Sim2RealError, nearest
from sim2real.study.rollout import one_line
from sim2real.study.study import Study

T = TypeVar("T")
_loaded: dict[str, str] = {}  # module name -> path of every study file this process has run


def load_module(path: str | Path) -> types.ModuleType:
    """Run a Python file as the module `study_<stem>`, so that its functions have one name in all processes.

    Raises:
        Sim2RealError: If there is no such file, or it cannot be run; the sentence says at which line.
    """
    path = Path(path).absolute()
    if not path.is_file():
        raise Sim2RealError(f"There is no study file '{path}'.")
    name = module_name(path)
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise Sim2RealError(f"'{path}' is not a Python file.")
    if str(path.parent) not in sys.path:
        sys.path.append(str(path.parent))  # its neighbours can be imported, here and in spawned workers
    module = importlib.util.module_from_spec(spec)
    sys.modules[name], _loaded[name] = module, str(path)
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        del sys.modules[name], _loaded[name]
        raise Sim2RealError(f"{_place(error, path)}: {one_line(error)}") from error
    return module


def module_name(path: str | Path) -> str:
    """Return the name under which a study file is run.

    >>> module_name("studies/ground-friction.py")
    'study_ground_friction'
    """
    return "study_" + re.sub(r"\W", "_", Path(path).stem)


def loaded_in(payload: bytes) -> dict[str, str]:
    """Return the study files (module name -> path) that a pickle refers to."""
    return {name: path for name, path in _loaded.items() if name.encode() in payload}


def load_study(target: str, overrides: Sequence[str] = ()) -> tuple[Study, dict[str, Any]]:
    """Return the study a file defines and where it came from: {file, attribute, overrides}; as `load_value`."""
    return load_value(target, overrides, Study, "study")


def load_value(
    target: str, overrides: Sequence[str], kind: type[T], attribute: str
) -> tuple[T, dict[str, Any]]:
    """Return the value of a kind that a file defines and where it came from: {file, attribute, overrides}.

    Args:
        target: "file.py" or "file.py:name"; the name holds the value, or a function that returns one.
        overrides: "parameter=value" for that function, read as its signature says.
        kind: of the value.
        attribute: its name where the target has none.

    Raises:
        Sim2RealError: If there is no such value, or a parameter or value does not fit.
    """
    path, colon, named = target.rpartition(":")
    if not colon or named.endswith(".py"):
        path, named = target, attribute
    module = load_module(path)
    if named not in vars(module):
        known = [name for name, value in vars(module).items() if isinstance(value, kind)]
        raise Sim2RealError(f"'{path}' defines no '{named}'.{nearest(named, known)}")
    found = getattr(module, named)
    if not isinstance(found, kind) and callable(found):
        arguments = _arguments(found, overrides)
        try:
            found = found(**arguments)
        except Exception as error:
            raise Sim2RealError(f"{_place(error, Path(path).absolute())}: {one_line(error)}") from error
    elif overrides:
        raise Sim2RealError(f"'{named}' in '{path}' is not a function: it cannot take {overrides[0]!r}.")
    if not isinstance(found, kind):
        what = kind.__name__
        raise Sim2RealError(f"'{named}' in '{path}' is neither a {what} nor a function that returns one.")
    return found, {"file": path, "attribute": named, "overrides": list(overrides)}


def _arguments(function: Any, overrides: Sequence[str]) -> dict[str, Any]:
    parameters = inspect.signature(function).parameters
    hints = get_type_hints(function)
    arguments = {}
    for override in overrides:
        name, equals, text = override.partition("=")
        if not equals:
            raise Sim2RealError(f"'{override}' must be parameter=value.")
        if name not in parameters:
            known = nearest(name, parameters)
            raise Sim2RealError(f"'{function.__name__}' has no parameter '{name}'.{known}")
        try:
            arguments[name] = typed(text, hints.get(name, _guess(parameters[name])))
        except ValueError as error:
            raise Sim2RealError(f"{name}={text}: {error}.") from None
    for name, parameter in parameters.items():
        if parameter.default is parameter.empty and name not in arguments:
            raise Sim2RealError(f"'{function.__name__}' needs {name}=value.")
    return arguments


def typed(text: str, annotation: Any) -> Any:
    """Read a command line's text as a type: int, float, bool, str, Path, Optional, Literal or tuple.

    Raises:
        ValueError: If the text does not fit.

    >>> typed("0.5,2", tuple[float, ...]), typed("none", int | None), typed("yes", bool)
    ((0.5, 2.0), None, True)
    """
    origin, inner = get_origin(annotation), get_args(annotation)
    if annotation is bool:
        if text.lower() not in _BOOLEANS:
            raise ValueError(f"'{text}' is neither true nor false")
        return _BOOLEANS[text.lower()]
    if annotation in (int, float, str, Path):
        try:
            return annotation(text)
        except ValueError:
            raise ValueError(f"'{text}' is not of the type {annotation.__name__}") from None
    if origin is Literal:
        for value in inner:
            if str(value) == text:
                return value
        raise ValueError(f"'{text}' is none of {', '.join(map(str, inner))}")
    if origin in (Union, types.UnionType):
        if text.lower() == "none" and types.NoneType in inner:
            return None
        for member in inner:
            with suppress(ValueError):
                return typed(text, member)
        raise ValueError(f"'{text}' is not of the type {annotation}")
    if origin in (tuple, list):
        parts = [part.strip() for part in text.strip("()[] ").split(",") if part.strip()]
        members = inner if origin is tuple and inner[-1] is not Ellipsis else inner[:1] * len(parts)
        if len(parts) != len(members):
            raise ValueError(f"'{text}' must have {len(members)} values, separated by commas")
        return origin(map(typed, parts, members))
    raise ValueError(f"a parameter of type {annotation} cannot be set from the command line")


_BOOLEANS = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}


def _guess(parameter: inspect.Parameter) -> type:
    return str if parameter.default in (parameter.empty, None) else type(parameter.default)


def _place(error: Exception, path: Path) -> str:
    """Return file:line of the last line of the study file that led to the error."""
    if isinstance(error, SyntaxError) and error.filename:
        return f"{error.filename}:{error.lineno}"
    frames = traceback.extract_tb(error.__traceback__)
    lines = [frame.lineno for frame in frames if frame.filename == str(path)]
    return f"{path}:{lines[-1]}" if lines else str(path)

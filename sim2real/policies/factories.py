"""Policies written in Python: `factory(env, **kwargs) -> policy`, found again by name in any process.

What one does follows from its module, from the modules that this imports from its own folder or package, and from the
files that its arguments name. What is installed beside it is named by versions, as is this package.
"""

import hashlib
import importlib.util
import inspect
import json
import os
import symtable
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from importlib.machinery import PathFinder
from itertools import islice
from modulefinder import ModuleFinder
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any

import gymnasium as gym

from sim2real.errors import Sim2RealError, nearest

Factory = Callable[..., Any]
_PACKAGE = Path(__file__).resolve().parents[1]
MOST = 1_000
"""Files in a folder that an argument names."""
_SHARED = ("site-packages", "dist-packages")  # folders where modules stand beside each other by chance


def locate(factory: str | Factory, kwargs: Mapping[str, Any]) -> tuple[str, bytes, dict[str, bytes]]:
    """Return a factory's reference, "module:name" or "file.py:name", its source, and what else it runs on by name.

    Raises:
        Sim2RealError: a factory that cannot be found, now or by name later, or does not take the arguments.
    """
    if isinstance(factory, str):
        module, _, name = factory.rpartition(":")
        if not module or not name:
            raise Sim2RealError(f"A factory is named 'module:name' or 'file.py:name', not '{factory}'.")
        if module.endswith(".py"):
            # The file may be the very study being read: it is only looked at here, and run when bound.
            source = _read(module)
            symbols = symtable.symtable(source.decode(), module, "exec").get_symbols()
            known = [symbol.get_name() for symbol in symbols if symbol.is_assigned() or symbol.is_imported()]
            if name.partition(".")[0] not in known:
                raise Sim2RealError(f"'{module}' defines no '{name}'.{nearest(name, known)}")
            return factory, source, _others(module, source, kwargs)
        factory = resolve(factory)
    module, name = getattr(factory, "__module__", ""), getattr(factory, "__qualname__", "<")
    try:
        path = inspect.getsourcefile(factory)
    except (TypeError, OSError):
        path = None
    if "<" in name or path is None:
        raise Sim2RealError(f"{factory!r} is not a function or class at the top level of a Python file.")
    _check_arguments(factory, name, kwargs)
    # A study read from its path is in sys.modules here, but no other process could import it by its name.
    spec = PathFinder.find_spec(module.partition(".")[0]) if module != "__main__" else None
    places = [] if spec is None else spec.submodule_search_locations or [spec.origin or ""]
    importable = any(place and path.startswith(place) for place in places)
    source = _read(path)
    return f"{module if importable else path}:{name}", source, _others(path, source, kwargs)


def resolve(reference: str) -> Factory:
    """Return the factory of a reference.

    Raises:
        Sim2RealError: a module that cannot be imported, or a name that it does not have.
    """
    module, _, name = reference.rpartition(":")
    try:
        found: Any = _run(module) if module.endswith(".py") else importlib.import_module(module)
    except Exception as error:
        raise Sim2RealError(f"'{module}' cannot be imported: {type(error).__name__}: {error}.") from error
    for part in name.split("."):
        if not hasattr(found, part):
            raise Sim2RealError(f"'{module}' defines no '{name}'.{nearest(part, vars(found))}")
        found = getattr(found, part)
    return found  # type: ignore[no-any-return]


def make(reference: str, env: Any, kwargs: Mapping[str, Any]) -> Any:
    """Return the policy that a factory makes for an environment.

    Raises:
        Sim2RealError: arguments that the factory does not take, or a result that is not a policy.
    """
    factory = resolve(reference)
    _check_arguments(factory, reference, kwargs)
    if not callable(policy := factory(env, **kwargs)):
        kind = type(policy).__name__
        raise Sim2RealError(f"'{reference}' returned {kind}, not a callable observation -> action.")
    return policy


def _check_arguments(factory: Factory, name: str, kwargs: Mapping[str, Any]) -> None:
    try:
        inspect.signature(factory).bind(None, **kwargs)
    except TypeError as error:
        raise Sim2RealError(
            f"'{name}' cannot be called with {', '.join(['env', *kwargs])}: {error}."
        ) from error


def _others(place: str, source: bytes, kwargs: Mapping[str, Any]) -> dict[str, bytes]:
    """Return the contents of modules that a module imports from its own folder, and of files that arguments name."""
    path = Path(place).resolve()
    found = {f"file {text}": content for text, content in _files(path, kwargs)}
    if path.is_relative_to(_PACKAGE):
        return found
    root = path.parent
    while (root / "__init__.py").is_file():
        root = root.parent
    own = root / path.relative_to(root).parts[0] if root != path.parent else root
    if own.name in _SHARED:
        return found
    modules, waiting = {path: source}, [path]
    while waiting:
        at = waiting.pop()
        for module in _imports(at, modules[at], root):
            if module not in modules and module.is_relative_to(own) and not module.is_relative_to(_PACKAGE):
                modules[module] = _read(str(module))
                waiting.append(module)
    del modules[path]
    return found | {f"import {at.relative_to(root).as_posix()}": content for at, content in modules.items()}


def _imports(path: Path, source: bytes, root: Path) -> Iterator[Path]:
    """Yield the files in which the modules that a module imports would stand below a folder."""
    try:
        waiting = [compile(source, path, "exec", dont_inherit=True)]
    except (SyntaxError, ValueError):
        return  # Python itself will refuse it
    while waiting:  # not by ast, which fails where two threads parse at once (python/cpython#106905)
        code = waiting.pop()
        waiting += [inner for inner in code.co_consts if isinstance(inner, CodeType)]
        for kind, found in ModuleFinder().scan_opcodes(code):
            if kind == "store":
                continue
            *level, members, module = found
            base = path.parents[level[0] - 1] if level else root
            for name in [module, *(f"{module}.{member}".strip(".") for member in members or ())]:
                parts = [part for part in name.split(".") if part]
                for end in range(1, len(parts) + 1):
                    at = base.joinpath(*parts[:end])
                    yield from (
                        file.resolve()
                        for file in (at.with_name(f"{at.name}.py"), at / "__init__.py")
                        if file.is_file()
                    )


def _files(path: Path, arguments: Any) -> Iterator[tuple[str, bytes]]:
    """Yield text and content of all files named in arguments, from the working directory or the factory's folder.

    The content of a folder is that of all files in it, by name.

    Raises:
        Sim2RealError: for a folder of too many files.
    """
    if isinstance(arguments, Mapping):
        arguments = list(arguments.values())
    if isinstance(arguments, list | tuple):
        for argument in arguments:
            yield from _files(path, argument)
    elif isinstance(arguments, str):
        places = [
            place
            for place in (arguments, str(path.parent / arguments))
            if arguments and os.path.exists(place)
        ]
        if places and os.path.isfile(places[0]):
            yield arguments, _read(places[0])
        elif places:
            yield arguments, _folder(Path(places[0]))


def _folder(path: Path) -> bytes:
    """Return the names and hashes of all files in a folder; what Python leaves there is none of them."""
    files = (at for at in path.rglob("*") if at.is_file() and "__pycache__" not in at.parts)
    some = list(islice(files, MOST + 1))
    if len(some) > MOST:
        raise Sim2RealError(
            f"'{path}', an argument of a scripted policy, is a folder of more than {MOST:,} files: name those it reads."
        )
    named = {at.relative_to(path).as_posix(): hashlib.sha256(_read(str(at))).hexdigest() for at in some}
    return json.dumps(named, sort_keys=True).encode()


def _read(path: str) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise Sim2RealError(f"The scripted policy '{path}' cannot be read: {error.strerror}.") from error


def _run(path: str) -> ModuleType:
    """Import a file under a name made of its content, once per process."""
    name = f"sim2real_scripted_{hashlib.sha256(_read(path)).hexdigest()[:16]}"
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, path)
        assert spec is not None and spec.loader is not None  # noqa: PT018 - so of every path that ends in .py
        sys.modules[name] = module = importlib.util.module_from_spec(spec)
        try:
            with _registered_once():
                spec.loader.exec_module(module)
        except BaseException:
            del sys.modules[name]
            raise
    return sys.modules[name]


@contextmanager
def _registered_once() -> Iterator[None]:
    """Leave environments registered as they are, where a study's file is run once more for the policy in it."""
    before = dict(gym.registry)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*Overriding environment")
        yield
    gym.registry.update(before)

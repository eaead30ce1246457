"""What other packages add, by entry points in the groups sim2real.robots, tasks, presets and executors."""

from importlib.metadata import entry_points
from typing import Any

from sim2real.errors import Sim2RealError


def plugins(kind: str) -> tuple[str, ...]:
    """Return the names that installed packages give to a kind of thing: "tasks", "presets" or "executors"."""
    return tuple(sorted(entry_points(group=f"sim2real.{kind}").names))


def plugin(kind: str, name: str) -> Any:
    """Return what an installed package gives under a name, None if none does.

    Raises:
        Sim2RealError: if it cannot be loaded.
    """
    for found in entry_points(group=f"sim2real.{kind}").select(name=name):
        try:
            return found.load()
        except Exception as error:
            raise Sim2RealError(
                f"The plug-in '{name}' ({found.value}) cannot be loaded: {type(error).__name__}: {error}."
            ) from error
    return None

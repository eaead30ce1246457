"""The ids of the environments, told to Gymnasium as soon as it is there.

Gymnasium takes ten times as long to import as all that `sim2real --help` needs. So this package does not import it only
to name its environments: whoever makes one has imported Gymnasium, before this package or after.
"""

import sys
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

OF_THE_BODY = {"Stand": 10.0, "Walk": 10.0}
OF_THE_HAND = {"Reach": 4.0, "Push": 10.0, "Grasp": 6.0, "Place": 10.0, "Stack": 20.0, "Insert": 15.0}
"""Seconds that an episode of each task lasts."""


def announce() -> None:
    """Register the environments, now or right after Gymnasium's import."""
    if "gymnasium" in sys.modules:
        _register()
    else:
        sys.meta_path.insert(0, _AfterGymnasium())


def _register() -> None:
    from gymnasium import register

    def add(name: str, **kwargs: Any) -> None:
        register(id=f"sim2real/{name}-v0", entry_point="sim2real.envs:RobotEnv", kwargs=kwargs)

    for task, episode_s in OF_THE_BODY.items():
        add(task, task=task.lower(), episode_s=episode_s)
    for task, episode_s in OF_THE_HAND.items():
        add(task, task=task.lower(), episode_s=episode_s, physics_period_s=0.004)
    add("Task")  # task="name", for those of plug-ins


class _AfterGymnasium(MetaPathFinder):
    """Finds Gymnasium where the others do, and has its import end with the ids."""

    def find_spec(self, name: str, path: Any = None, target: ModuleType | None = None) -> ModuleSpec | None:
        if name != "gymnasium":
            return None
        others = (finder for finder in sys.meta_path if finder is not self)
        spec = next(filter(None, (finder.find_spec(name, path, target) for finder in others)), None)
        if spec and spec.loader:
            run = spec.loader.exec_module

            def exec_module(module: ModuleType) -> None:
                run(module)
                _register()

            spec.loader.exec_module = exec_module  # type: ignore[method-assign]
        return spec

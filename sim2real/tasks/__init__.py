"""What is asked of a robot: one file per task."""

from sim2real.errors import Sim2RealError, nearest
from sim2real.plugins import plugin, plugins
from sim2real.tasks.grasp import Grasp
from sim2real.tasks.insert import Insert
from sim2real.tasks.place import Place
from sim2real.tasks.push import Push
from sim2real.tasks.reach import Reach
from sim2real.tasks.stack import Stack
from sim2real.tasks.stand import Stand
from sim2real.tasks.task import Task
from sim2real.tasks.walk import Walk

TASKS: dict[str, type[Task]] = {
    "grasp": Grasp,
    "insert": Insert,
    "place": Place,
    "push": Push,
    "reach": Reach,
    "stack": Stack,
    "stand": Stand,
    "walk": Walk,
}
"""Every task by the name its environment is registered under."""


def find(name: str) -> type[Task]:
    """Return a task by its name, here or in the entry point group ``sim2real.tasks`` of an installed package.

    Raises:
        Sim2RealError: if there is none of that name.
    """
    found: type[Task] | None = TASKS.get(name) or plugin("tasks", name)
    if found is None:
        raise Sim2RealError(f"There is no task '{name}'.{nearest(name, [*TASKS, *plugins('tasks')])}")
    return found


__all__ = ["TASKS", "Grasp", "Insert", "Place", "Push", "Reach", "Stack", "Stand", "Task", "Walk", "find"]

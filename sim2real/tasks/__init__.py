"""What is asked of a robot: one file per task."""

from sim2real.tasks.stand import Stand
from sim2real.tasks.task import Task
from sim2real.tasks.walk import Walk

TASKS: dict[str, type[Task]] = {"stand": Stand, "walk": Walk}
"""Every task by the name its environment is registered under."""

__all__ = ["TASKS", "Stand", "Task", "Walk"]

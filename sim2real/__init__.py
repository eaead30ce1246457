"""sim2real: will this policy survive the real world, what breaks it first, and did randomisation help?

Importing this package loads no engine, no plotting, no torch and no wandb; making an environment does.
"""

import gymnasium as _gym

from sim2real import policies
from sim2real._version import __version__
from sim2real.errors import Sim2RealError
from sim2real.perturb import (
    At,
    Choice,
    Drift,
    Integers,
    Interval,
    LogUniform,
    Normal,
    Ramp,
    Sine,
    Square,
    TruncatedNormal,
    Uniform,
    Wrap,
    add,
    clip,
    delay,
    hold,
    joint_normal,
    joint_samples,
    jointly,
    preset,
    quantize,
    scale,
    set_to,
    severities,
)
from sim2real.robots import Robot
from sim2real.study import Reference, Study
from sim2real.wrappers import Attributes, Perturbed

for _task in ("Stand", "Walk"):
    _gym.register(
        id=f"sim2real/{_task}-v0", entry_point="sim2real.envs:RobotEnv", kwargs={"task": _task.lower()}
    )

__all__ = [
    "At",
    "Attributes",
    "Choice",
    "Drift",
    "Integers",
    "Interval",
    "LogUniform",
    "Normal",
    "Perturbed",
    "Ramp",
    "Reference",
    "Robot",
    "Sim2RealError",
    "Sine",
    "Square",
    "Study",
    "TruncatedNormal",
    "Uniform",
    "Wrap",
    "__version__",
    "add",
    "clip",
    "delay",
    "hold",
    "joint_normal",
    "joint_samples",
    "jointly",
    "policies",
    "preset",
    "quantize",
    "scale",
    "set_to",
    "severities",
]

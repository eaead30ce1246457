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
    Make,
    Normal,
    Outside,
    Ramp,
    Sine,
    Square,
    TruncatedNormal,
    Uniform,
    Wrap,
    add,
    causal_world,
    clip,
    corners,
    delay,
    hold,
    joint_normal,
    joint_samples,
    jointly,
    latin_hypercube,
    of_kind,
    one_at_a_time,
    packer,
    preset,
    quantize,
    scale,
    set_to,
    severities,
    sobol,
)
from sim2real.robots import Robot
from sim2real.safety import Constraint
from sim2real.study import Reference, Study
from sim2real.wrappers import Attributes, Bullet, Constrained, Mujoco, Perturbed, Shielded, discover

for _task, _episode_s in {"Stand": 10.0, "Walk": 10.0}.items():
    _gym.register(
        id=f"sim2real/{_task}-v0",
        entry_point="sim2real.envs:RobotEnv",
        kwargs={"task": _task.lower(), "episode_s": _episode_s},
    )
for _task, _episode_s in {
    "Reach": 4.0, "Push": 10.0, "Grasp": 6.0, "Place": 10.0, "Stack": 20.0, "Insert": 15.0
}.items():  # fmt: skip
    _gym.register(
        id=f"sim2real/{_task}-v0",
        entry_point="sim2real.envs:RobotEnv",
        kwargs={"task": _task.lower(), "episode_s": _episode_s, "physics_period_s": 0.004},
    )
_gym.register(
    id="sim2real/Task-v0", entry_point="sim2real.envs:RobotEnv"
)  # task="name", for those of plug-ins

__all__ = [
    "At",
    "Attributes",
    "Bullet",
    "Choice",
    "Constrained",
    "Constraint",
    "Drift",
    "Integers",
    "Interval",
    "LogUniform",
    "Make",
    "Mujoco",
    "Normal",
    "Outside",
    "Perturbed",
    "Ramp",
    "Reference",
    "Robot",
    "Shielded",
    "Sim2RealError",
    "Sine",
    "Square",
    "Study",
    "TruncatedNormal",
    "Uniform",
    "Wrap",
    "__version__",
    "add",
    "causal_world",
    "clip",
    "corners",
    "delay",
    "discover",
    "hold",
    "joint_normal",
    "joint_samples",
    "jointly",
    "latin_hypercube",
    "of_kind",
    "one_at_a_time",
    "packer",
    "policies",
    "preset",
    "quantize",
    "scale",
    "set_to",
    "severities",
    "sobol",
]

"""sim2real: will this policy survive the real world, what breaks it first, and did randomisation help?

Importing this package loads next to nothing, a name of it what the name needs, and making an environment an engine.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from sim2real._version import __version__
from sim2real.errors import Sim2RealError
from sim2real.registration import announce

if TYPE_CHECKING:
    from sim2real import policies
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

announce()

_ROOMS = ("perturb", "policies", "robots", "safety", "study", "wrappers")
"""Where the names below are from; a room is entered when somebody asks for one of its names."""


def __getattr__(name: str) -> Any:
    if name in _ROOMS:
        return import_module(f"{__name__}.{name}")
    for room in _ROOMS if name in __all__ else ():
        if hasattr(module := import_module(f"{__name__}.{room}"), name):
            globals()[name] = value = getattr(module, name)
            return value
    raise AttributeError(f"module '{__name__}' has no attribute '{name}'")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})  # for those who look for names before asking for one


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

"""The perturbation algebra: frozen values that say where, what, how much and when."""

from sim2real.perturb.amounts import (
    Amount,
    Choice,
    Drift,
    Integers,
    Interval,
    LogUniform,
    Normal,
    TruncatedNormal,
    Uniform,
)
from sim2real.perturb.catalogue import each, severities, sweep
from sim2real.perturb.condition import Condition, Wrap, from_json, to_json
from sim2real.perturb.heldout import HeldOutKind, held_out_kind
from sim2real.perturb.joint import Correlated, Samples
from sim2real.perturb.operations import OPERATIONS, Operation
from sim2real.perturb.parameters import Parameter, Parameters, any_of, describe, matching
from sim2real.perturb.perturbation import (
    Every,
    Perturbation,
    add,
    clip,
    delay,
    hold,
    quantize,
    scale,
    set_to,
)
from sim2real.perturb.posterior import joint_normal, joint_samples, jointly
from sim2real.perturb.presets import PRESETS, Preset, preset
from sim2real.perturb.schedules import At, Ramp, Schedule, Sine, Square

__all__ = [
    "OPERATIONS",
    "PRESETS",
    "Amount",
    "At",
    "Choice",
    "Condition",
    "Correlated",
    "Drift",
    "Every",
    "HeldOutKind",
    "Integers",
    "Interval",
    "LogUniform",
    "Normal",
    "Operation",
    "Parameter",
    "Parameters",
    "Perturbation",
    "Preset",
    "Ramp",
    "Samples",
    "Schedule",
    "Sine",
    "Square",
    "TruncatedNormal",
    "Uniform",
    "Wrap",
    "add",
    "any_of",
    "clip",
    "delay",
    "describe",
    "each",
    "from_json",
    "held_out_kind",
    "hold",
    "joint_normal",
    "joint_samples",
    "jointly",
    "matching",
    "preset",
    "quantize",
    "scale",
    "set_to",
    "severities",
    "sweep",
    "to_json",
]

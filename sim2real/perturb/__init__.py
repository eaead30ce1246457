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
from sim2real.perturb.catalogue import severities
from sim2real.perturb.condition import Condition, Wrap, from_json, to_json
from sim2real.perturb.heldout import HeldOutKind, held_out_kind
from sim2real.perturb.operations import OPERATIONS, Operation
from sim2real.perturb.parameters import Parameter, Parameters
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

__all__ = [
    "OPERATIONS",
    "Amount",
    "Choice",
    "Condition",
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
    "TruncatedNormal",
    "Uniform",
    "Wrap",
    "add",
    "clip",
    "delay",
    "from_json",
    "held_out_kind",
    "hold",
    "quantize",
    "scale",
    "set_to",
    "severities",
    "to_json",
]

"""Constraints, what to make of their violation, and shields, as values and pure functions."""

from sim2real.safety.barrier import JointBarrier, SoftLimits, TorqueClamp
from sim2real.safety.catalogue import (
    action_rate,
    base_height,
    custom,
    end_effector_speed,
    foot_impact,
    foot_slip,
    forbidden_contact,
    grip_force,
    joint_position,
    joint_velocity,
    object_drop,
    power,
    self_collision,
    torque,
    torso_tilt,
    workspace,
)
from sim2real.safety.constraint import Constraint
from sim2real.safety.document import from_json, to_json
from sim2real.safety.learned import LearnedLayer
from sim2real.safety.modes import (
    Charge,
    Lagrangian,
    Memory,
    Mode,
    Penalise,
    PidLagrangian,
    Record,
    Saute,
    Stochastic,
    Terminate,
)
from sim2real.safety.programme import BarrierProgramme
from sim2real.safety.recovery import Recovery
from sim2real.safety.shields import ActionLimits, Guard, RateLimit, Shield
from sim2real.safety.step import Step

__all__ = [
    "ActionLimits",
    "BarrierProgramme",
    "Charge",
    "Constraint",
    "Guard",
    "JointBarrier",
    "Lagrangian",
    "LearnedLayer",
    "Memory",
    "Mode",
    "Penalise",
    "PidLagrangian",
    "RateLimit",
    "Record",
    "Recovery",
    "Saute",
    "Shield",
    "SoftLimits",
    "Step",
    "Stochastic",
    "Terminate",
    "TorqueClamp",
    "action_rate",
    "base_height",
    "custom",
    "end_effector_speed",
    "foot_impact",
    "foot_slip",
    "forbidden_contact",
    "from_json",
    "grip_force",
    "joint_position",
    "joint_velocity",
    "object_drop",
    "power",
    "self_collision",
    "to_json",
    "torque",
    "torso_tilt",
    "workspace",
]

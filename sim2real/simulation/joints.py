"""What the engine knows of each joint beside its motor's torque: rotor, friction, stops, and that it may be stuck."""

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from sim2real.perturb.parameters import Parameter
from sim2real.robots import Drive
from sim2real.simulation.engine import Engine
from sim2real.simulation.setters import Setter, element
from sim2real.simulation.table import ParameterTable

Array = NDArray[np.float64]

AT_REST_RAD_S = 0.01
"""Joint speed below which stiction holds."""

SEIZED_NM = 1e6
"""Dry friction of a joint that is stuck."""


class Joints:
    """Rotors, friction and stops of n joints; every array is (n,), the stops (n, 2).

    Attributes:
        armature: inertia of the rotors as the joints feel it, in kg m² (kg where a joint slides).
        sticking: whether any joint has stiction, so that ``grip_or_let_go`` is to be called before each tick.

    Args:
        drives: the joints.
        engine: what they are in.
        tuned: called when a rotor has changed.
    """

    def __init__(self, drives: list[Drive], engine: Engine, tuned: Callable[[], None]) -> None:
        self._engine, self._tuned = engine, tuned
        self._names = [drive.name for drive in drives]
        self._coulomb_nm = np.array([drive.coulomb_nm for drive in drives])
        self._viscous_nms = np.array([drive.viscous_nms for drive in drives])
        self.armature = np.array([drive.armature for drive in drives])
        self._units = ["kg" if drive.slides else "kg m²" for drive in drives]
        self._nominal_stops_rad = np.array([(drive.lower, drive.upper) for drive in drives]).reshape(-1, 2)
        self._stops_rad = self._nominal_stops_rad.copy()
        self._stiction_nm, self._stuck = np.zeros(len(drives)), np.zeros(len(drives))
        self._at_rest = np.ones(len(drives), dtype=np.bool_)
        self.sticking = False

    def reset(self) -> None:
        """Begin an episode at rest."""
        if self.sticking:
            self._at_rest[:] = True
            self._tell_dry_friction()

    def tell(self) -> None:
        """Tell a freshly built engine everything."""
        self._tell_dry_friction()
        self._tell_armature()
        for joint in np.flatnonzero((self._stops_rad != self._nominal_stops_rad).any(axis=1)).tolist():
            self._engine.set_joint_limits(joint, *self._stops_rad[joint].tolist())
        for joint, viscous_nms in enumerate(self._viscous_nms.tolist()):
            self._engine.set_joint_damping(joint, viscous_nms)

    def grip_or_let_go(self, velocity: Array) -> None:
        """Let stiction act on the joints that are at rest, and on no others."""
        at_rest = np.abs(velocity) < AT_REST_RAD_S
        if at_rest.tobytes() != self._at_rest.tobytes():
            self._at_rest = at_rest
            self._tell_dry_friction()

    def _tell_dry_friction(self) -> None:
        """Tell the engine what holds each joint back: Coulomb friction, stiction at rest, or that it is stuck."""
        held_nm = np.where(self._at_rest, self._stiction_nm, 0.0)
        held_nm += np.where(self._stuck >= 0.5, SEIZED_NM, 0.0)
        self._engine.set_joint_friction(self._coulomb_nm + held_nm)

    def _dry_friction_changed(self) -> None:
        self.sticking = bool(self._stiction_nm.any())
        self._at_rest = np.abs(self._engine.joint_state()[1]) < AT_REST_RAD_S
        self._tell_dry_friction()

    def _tell_armature(self) -> None:
        self._engine.set_joint_armature(self.armature)
        self._tuned()

    def _damping(self, joint: int) -> Setter:
        def set_damping(value: float) -> None:
            self._viscous_nms[joint] = value
            self._engine.set_joint_damping(joint, value)

        return set_damping

    def _stop(self, joint: int, side: int) -> Setter:
        def set_stop(value: float) -> None:
            self._stops_rad[joint, side] = value
            self._engine.set_joint_limits(joint, *self._stops_rad[joint].tolist())

        return set_stop

    def register(self, table: ParameterTable, default_pose: Array) -> None:
        """Register rotor and friction of every joint, and the stops of those that have any."""
        changed = self._dry_friction_changed
        for i, name in enumerate(self._names):
            rows = (
                ("coulomb_friction", self._coulomb_nm[i], "N m", 1e3,
                 "Dry friction: torque below which the joint sticks.", element(self._coulomb_nm, i, changed)),
                ("stiction", 0.0, "N m", 1e3,
                 f"Dry friction on top of Coulomb's while the joint is slower than {AT_REST_RAD_S:g} rad/s.",
                 element(self._stiction_nm, i, changed)),
                ("stuck", 0.0, "", 1.0, "From 0.5 on the joint is held where it is.",
                 element(self._stuck, i, changed)),
                ("viscous_friction", self._viscous_nms[i], "N m s/rad", 1e3, "Friction torque per joint speed.",
                 self._damping(i)),
                ("armature", self.armature[i], self._units[i], max(1e2 * self.armature[i], 10.0),
                 "Inertia of the motor's rotor as the joint feels it.",
                 element(self.armature, i, self._tell_armature)),
            )  # fmt: skip
            for field, nominal, unit, high, doc, setter in rows:
                spec = Parameter(nominal=float(nominal), unit=unit, low=0.0, high=high, doc=doc)
                table.add(f"{name}.{field}", spec, setter)
            lower, upper = self._stops_rad[i].tolist()
            at = float(default_pose[i])
            if not math.isfinite(upper - lower):
                continue
            sides = (("lower", lower, lower - math.pi, at), ("upper", upper, at, upper + math.pi))
            for side, (field, nominal, low, high) in enumerate(sides):
                doc = f"Where the {field} stop of the joint is, on its side of the default pose."
                spec = Parameter(nominal=nominal, unit="rad", low=low, high=high, doc=doc)
                table.add(f"{name}.{field}_limit", spec, self._stop(i, side))

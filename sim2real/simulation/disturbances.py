"""What pushes a robot from outside: kicks, forces and torques on its links, the air."""

import math
from collections.abc import Mapping
from functools import partial

from sim2real.perturb.parameters import Parameter
from sim2real.sensors import Vector
from sim2real.simulation.bullet import BulletEngine
from sim2real.simulation.inertials import AXES
from sim2real.simulation.setters import Setter, attribute, element
from sim2real.simulation.table import ParameterTable

AIR_KG_M3 = 1.225
"""Density of air at sea level, ISO 2533."""

STILL = (0.0, 0.0, 0.0)


class Disturbances:
    """Forces that act until changed, on any link of the description, in world axes.

    Args:
        engine: what they act in.
        centres: of each link, the index of the engine's link it is part of, and its centre of mass in that one's frame.

    Attributes:
        drag_area_m2: where above 0, ``blow`` has to be called before each control step.
    """

    def __init__(self, engine: BulletEngine, centres: Mapping[str, tuple[int, list[float]]]) -> None:
        self._engine, self._centres = engine, centres
        self._wrenches: dict[str, list[float]] = {}  # per link: force, then torque, while not zero
        self.drag_area_m2, self._wind_m_s = 0.0, [0.0, 0.0, 0.0]
        self._draught: tuple[list[float], list[float]]  # force, and where on the base it acts

    @property
    def acting(self) -> bool:
        """Whether ``push`` has to be called before each tick."""
        return bool(self._wrenches) or self.drag_area_m2 > 0.0

    def blow(self, base_velocity_m_s: Vector, base_com_m: list[float]) -> None:
        """Let the air push at the base's centre of mass through the coming control step: F = ½ ρ A |u| u.

        u is the speed of the wind relative to the base, A the drag area (drag coefficient times frontal area).
        """
        u = [wind - speed for wind, speed in zip(self._wind_m_s, base_velocity_m_s, strict=True)]
        pressure_n_m_s = 0.5 * AIR_KG_M3 * self.drag_area_m2 * math.hypot(*u)
        self._draught = ([pressure_n_m_s * component for component in u], base_com_m)

    def push(self) -> None:
        """Push for the coming tick."""
        for link, wrench in self._wrenches.items():
            index, point_m = self._centres[link]
            if any(wrench[:3]):
                self._engine.apply_force(index, wrench[:3], point_m)
            if any(wrench[3:]):
                self._engine.apply_torque(index, wrench[3:])
        if self.drag_area_m2:
            self._engine.apply_force(0, *self._draught)

    def _kick(self, axis: int, value: float) -> None:
        velocity = [0.0, 0.0, 0.0]
        velocity[axis] = value
        self._engine.add_base_velocity(velocity, STILL)

    def _twist(self, axis: int, value: float) -> None:
        velocity = [0.0, 0.0, 0.0]
        velocity[axis] = value
        self._engine.add_base_velocity(STILL, velocity)

    def _wrench(self, link: str, component: int) -> Setter:
        def set_component(value: float) -> None:
            wrench = self._wrenches.setdefault(link, [0.0] * 6)
            wrench[component] = value
            if not any(wrench):
                del self._wrenches[link]

        return set_component

    def register(self, table: ParameterTable) -> None:
        """Register the air, the kicks of the base, and a force and a torque on every link."""
        doc = "Drag coefficient times frontal area of the robot; 0 is a world without air."
        spec = Parameter(nominal=0.0, unit="m²", low=0.0, high=10.0, doc=doc)
        table.add("air.drag_area", spec, attribute(self, "drag_area_m2"))
        for i, axis in enumerate(AXES):
            doc = f"Wind along world {axis}, where air.drag_area is above 0."
            spec = Parameter(nominal=0.0, unit="m/s", low=-100.0, high=100.0, doc=doc)
            table.add(f"wind.speed_{axis}", spec, element(self._wind_m_s, i))
        for i, axis in enumerate(AXES):
            for field, unit, doc, act in (
                ("velocity", "m/s", "A kick: added at once to the whole robot's velocity along", self._kick),
                ("angular_velocity", "rad/s", "A twist: added at once to the base's angular velocity about",
                 self._twist),
            ):  # fmt: skip
                spec = Parameter(
                    nominal=0.0, unit=unit, low=-100.0, high=100.0, transient=True, doc=f"{doc} world {axis}."
                )
                table.add(f"base.{field}_{axis}", spec, partial(act, i))
        kinds = (
            ("force", "N", 1e5, "A force on the link's centre of mass along"),
            ("torque", "N m", 1e4, "A torque on the link about"),
        )
        for link in self._centres:
            for kind, (field, unit, most, doc) in enumerate(kinds):
                for i, axis in enumerate(AXES):
                    spec = Parameter(
                        nominal=0.0,
                        unit=unit,
                        low=-most,
                        high=most,
                        doc=f"{doc} world {axis}, until changed.",
                    )
                    table.add(f"{link}.{field}_{axis}", spec, self._wrench(link, 3 * kind + i))

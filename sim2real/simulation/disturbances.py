"""What pushes a robot from outside: kicks, forces and torques on its links, the air, a ball thrown at it."""

import math
from collections.abc import Mapping
from functools import partial

import numpy as np

from sim2real.linktree import Inertial, Shape, pose_of
from sim2real.perturb.parameters import Parameter
from sim2real.sensors import Vector
from sim2real.simulation.body import Body
from sim2real.simulation.engine import Engine
from sim2real.simulation.inertials import AXES
from sim2real.simulation.scene import Scene
from sim2real.simulation.setters import Setter, attribute, element
from sim2real.simulation.table import ParameterTable

AIR_KG_M3 = 1.225
"""Density of air at sea level, ISO 2533."""

STILL = (0.0, 0.0, 0.0)

THROW_M = 0.5
"""How far a ball flies before it meets the robot."""


class Disturbances:
    """Forces that act until changed, on any link of the description, in world axes.

    Args:
        engine: what they act in.

    Attributes:
        centres: of each link, the index of the engine's link it is part of, and its centre of mass in that one's frame.
        drag_area_m2: where above 0, ``blow`` has to be called before each control step.
    """

    centres: Mapping[str, tuple[int, list[float]]]

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
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
            index, point_m = self.centres[link]
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
        for link in self.centres:
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


class Thrower:
    """Throws a ball at the robot: where its surface is in front of the base's centre of mass.

    The ball starts with the base's velocity, the speed at which it is to come closer, and as much upwards as
    gravity takes on the way. It rolls on until the next throw or reset.

    Attributes:
        mass_kg, radius_m: of the ball, which is solid; at first those of a handball.
        direction_rad: heading in which it flies.
    """

    def __init__(self, engine: Engine, scene: Scene) -> None:
        self._engine, self._scene = engine, scene
        self.mass_kg, self.radius_m, self.direction_rad = 0.45, 0.095, 0.0

    def throw(self, speed_m_s: float) -> None:
        """Throw the ball; at no speed, do not."""
        if not speed_m_s:
            return
        heading = np.array([math.cos(self.direction_rad), math.sin(self.direction_rad), 0.0])
        way_m = THROW_M + self.radius_m
        start_m = self._engine.surface_of_base(heading) - way_m * heading
        velocity_m_s = self._engine.base_velocity()[0] + speed_m_s * heading
        # n ticks of T s fall by g T² n (n + 1) / 2.
        time_s = THROW_M / speed_m_s + self._engine.timestep_s
        velocity_m_s -= 0.5 * time_s * np.array(self._engine.gravity_m_s2)
        solid = Inertial(
            mass_kg=np.array(self.mass_kg),
            com_m=np.zeros(3),
            inertia_kgm2=0.4 * self.mass_kg * self.radius_m**2 * np.eye(3),
        )
        shape = Shape(kind="sphere", size=(self.radius_m,), pose_in_link=pose_of())
        x, y, z = start_m.tolist()
        ball = Body(name="thrown ball", shapes=(shape,), inertial=solid, position_m=(x, y, z))
        self._scene.throw_in(ball, velocity_m_s.tolist())

    def register(self, table: ParameterTable) -> None:
        """Register the throw and the ball."""
        doc = "A throw: a ball comes at the middle of the base at this speed, from half a metre away."
        spec = Parameter(nominal=0.0, unit="m/s", low=0.0, high=50.0, transient=True, doc=doc)
        table.add("thrown.speed", spec, self.throw)
        for name, field, unit, low, high, doc in (
            ("mass", "mass_kg", "kg", 1e-3, 100.0, "Mass of the next ball thrown."),
            ("radius", "radius_m", "m", 0.01, 0.5, "Radius of the next ball thrown."),
            ("direction", "direction_rad", "rad", -math.pi, math.pi, "Heading in which the next ball flies."),
        ):
            spec = Parameter(nominal=getattr(self, field), unit=unit, low=low, high=high, doc=doc)
            table.add(f"thrown.{name}", spec, attribute(self, field))

"""The ground and the gravity that holds a robot on it."""

import math

from sim2real.perturb.parameters import Parameter
from sim2real.sensors import Vector
from sim2real.simulation.engine import Engine
from sim2real.simulation.setters import attribute
from sim2real.simulation.table import ParameterTable

GRAVITY_M_S2 = 9.81


class Ground:
    """An infinite plane: how it holds, bounces, gives way and slopes.

    A slope tilts gravity instead of the plane: on an infinite plane the two are the same physics.

    Attributes:
        gravity_direction: unit vector of gravity in world axes.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self.friction, self.restitution, self.rolling_m, self.spinning_m = 1.0, 0.0, 0.0, 0.0
        self.compliance_m_n, self.damping_ns_m = 0.0, 0.0
        self.gravity_z_m_s2, self.slope_rad, self.slope_direction_rad = -GRAVITY_M_S2, 0.0, 0.0
        self.solver_iterations = 50.0
        self.gravity_direction: Vector = (0.0, 0.0, -1.0)
        self._bouncy = False

    @property
    def changed(self) -> bool:
        """Whether the world is to be built anew: its ground was soft and is to be rigid, or bounced, or is to."""
        hardens = self._engine.ground_is_soft and self.compliance_m_n == 0.0
        return hardens or self._bouncy != (self.restitution > 0.0)

    def tell(self) -> None:
        """Tell a freshly built engine everything."""
        self._bouncy = self.restitution > 0.0
        if self._bouncy:
            self._engine.let_ground_bounce()
        self._tell_gravity()
        self._tell_contact()
        self._tell_softness()
        self._tell_iterations()

    def _tell_contact(self) -> None:
        self._engine.set_ground(
            friction=self.friction, restitution=self.restitution,
            rolling_m=self.rolling_m, spinning_m=self.spinning_m,
        )  # fmt: skip

    def _tell_softness(self) -> None:
        self._engine.set_ground_softness(self.compliance_m_n, self.damping_ns_m)

    def _tell_iterations(self) -> None:
        self._engine.set_solver_iterations(round(self.solver_iterations))

    def _tell_gravity(self) -> None:
        downhill, direction = math.sin(self.slope_rad), self.slope_direction_rad
        self.gravity_direction = (
            downhill * math.cos(direction), downhill * math.sin(direction), -math.cos(self.slope_rad)
        )  # fmt: skip
        x, y, z = (-self.gravity_z_m_s2 * component for component in self.gravity_direction)
        self._engine.set_gravity((x, y, z))

    def register(self, table: ParameterTable) -> None:
        """Register the parameters of contact with the ground, of gravity, and of the engine's accuracy."""
        contact, softness, gravity = self._tell_contact, self._tell_softness, self._tell_gravity
        rows = (
            ("ground.friction", "friction", "", 0.0, 10.0,
             "Coulomb coefficient between soles and ground; a body slides above a slope of its arctangent.", contact),
            ("ground.restitution", "restitution", "", 0.0, 1.0, "Speed kept by a bounce, as a fraction.", contact),
            ("ground.rolling_friction", "rolling_m", "m", 0.0, 1.0,
             "Torque with which a contact resists rolling over the ground, per normal force.", contact),
            ("ground.spinning_friction", "spinning_m", "m", 0.0, 1.0,
             "Torque with which a contact resists spinning on the spot against the ground, per normal force.", contact),
            ("ground.compliance", "compliance_m_n", "m/N", 0.0, 0.01,
             "How far a contact point sinks into the ground per normal force: one over its stiffness.", softness),
            ("ground.damping", "damping_ns_m", "N s/m", 0.0, 1e5,
             "Damping of a contact point, where the ground has compliance.", softness),
            ("solver.iterations", "solver_iterations", "", 1.0, 1000.0,
             "How often the engine goes over contacts and stops in a tick: no physics, but accuracy.",
             self._tell_iterations),
            ("gravity.z", "gravity_z_m_s2", "m/s²", -100.0, 0.0, "Gravity along the vertical.", gravity),
            ("ground.slope", "slope_rad", "rad", -1.5, 1.5,
             "Inclination of the ground; positive is downhill along ground.slope_direction.", gravity),
            ("ground.slope_direction", "slope_direction_rad", "rad", -math.pi, math.pi,
             "Heading in which a positive slope goes downhill; 0 is straight ahead.", gravity),
        )  # fmt: skip
        for name, field, unit, low, high, doc, then in rows:
            spec = Parameter(nominal=getattr(self, field), unit=unit, low=low, high=high, doc=doc)
            table.add(name, spec, attribute(self, field, then))

"""What can be measured of a step: each quantity is bound once to an environment and then costs microseconds.

A quantity is a function ``(reader, **arguments) -> measure``, and a measure ``step -> float``. What several of
them look at, such as the contacts, the `Reader` reads once per step. Lists of floats do the work of small arrays:
between two steps of an engine, a dozen of them is quicker.
"""

import math
from collections.abc import Callable, Iterable, Sequence
from functools import cached_property
from operator import mul, sub
from typing import Any, NamedTuple

import numpy as np

from sim2real.errors import Sim2RealError, nearest
from sim2real.safety.step import Array, Simulated, Step, Vector

Measure = Callable[[Step], float]
Rated = float | tuple[tuple[str, float], ...] | None

TOUCH_N = 1.0
"""Normal force from which on a link counts as touching the ground; the Walk task has the same."""


class Reader:
    """What the constraints of one environment read of it, each thing once per step.

    Args:
        env: the bare environment.
        period_s: time between steps, None where it is unknown.
        unknown: why it is, and what would help.
        view: returns what can be seen of a simulation where ``env.sim`` is none of this package.

    Attributes:
        timed: whether anybody asked for the time between steps.
        ground_force_n: per link that touches the ground, the sum of its normal forces; after ``need``.
        change: largest change of a component of the action; after ``need``.
        work_j: absolute mechanical work of the joints in this step; after ``need``.
    """

    def __init__(
        self,
        env: Any,
        period_s: float | None,
        unknown: str = "give period_s.",
        view: Callable[[], Any] | None = None,
    ) -> None:
        self.env, self._period_s, self._unknown, self._view = env, period_s, unknown, view
        self.timed = False
        self._reads: list[Callable[[Step], None]] = []
        self._links: list[int] = []
        self._states: Sequence[tuple[Vector, Any, Vector]] = ()
        self.ground_force_n: dict[int, float] = {}
        self.change = self.work_j = 0.0
        self.begin()

    def begin(self) -> None:
        """Start an episode."""
        self._action: list[float] = []
        self._energy_j = 0.0
        if "_simulation" in self.__dict__ and hasattr(self._simulation, "begin"):
            self._simulation.begin()

    def look(self, step: Step) -> None:
        """Read what is needed of a step."""
        for read in self._reads:
            read(step)

    def need(self, read: Callable[[Step], None]) -> None:
        """Have something read at every step: one of the methods below."""
        if read not in self._reads:
            self._reads.append(read)

    # ---- what the environment has ------------------------------------------------------------------------------

    def has(self, path: str) -> Any:
        """Return an attribute of the environment by its dotted path.

        Raises:
            Sim2RealError: if there is none; the sentence is completed by who asks.
        """
        found = self.env
        for name in path.split("."):
            if not hasattr(found, name):
                raise Sim2RealError(f"needs env.unwrapped.{path}, which this environment does not have.")
            found = getattr(found, name)
        return found

    @cached_property
    def _simulation(self) -> Any:
        if self._view is None or hasattr(getattr(self.env, "sim", None), "engine"):
            return self.has("sim")
        found = self._view()
        self.need(found.look)
        return found

    def sim(self, *names: str) -> Simulated:
        """Return the simulation, which must have these attributes."""
        sim: Simulated = self._simulation
        for name in names:
            if not hasattr(sim, name):
                absent = f"env.unwrapped.sim.{name}, which this environment does not have."
                raise Sim2RealError(f"needs {getattr(sim, 'lacks', {}).get(name, absent)}")
        return sim

    @property
    def period_s(self) -> float:
        """Time between steps."""
        if self._period_s is None:
            raise Sim2RealError(f"needs to know the time between steps: {self._unknown}")
        self.timed = True
        return self._period_s

    def link(self, name: str) -> int:
        """Return the number of a link."""
        known = self.sim("link_index").link_index
        if name not in known:
            raise Sim2RealError(f"knows no link '{name}'.{nearest(name, known)}")
        return known[name]

    def joints(self, names: Iterable[str] | None) -> Callable[[Array], list[float]]:
        """Return what picks joints by name, or the robot's, from values of all (n,)."""
        places = self._places(names)
        if places == list(range(len(self._simulation.joint_names))):
            return lambda values: values.tolist()  # type: ignore[no-any-return]
        return lambda values: values[places].tolist()  # type: ignore[no-any-return]

    def _places(self, names: Iterable[str] | None) -> list[int]:
        sim = self.sim("joint_names")
        names = getattr(sim, "own_joints", sim.joint_names) if names is None else names
        for name in names:
            if name not in sim.joint_names:
                raise Sim2RealError(f"knows no joint '{name}'.{nearest(name, sim.joint_names)}")
        return [sim.joint_names.index(name) for name in names]

    def rated(self, field: str, given: Rated = None) -> tuple[Callable[[Array], list[float]], list[float]]:
        """Return what picks joints, and 1 / what each is rated for: as given, or as the description says.

        A perturbation does not change it. A number given is for all joints of the robot, pairs name those that count.

        Raises:
            Sim2RealError: if that is not known of a joint.
        """
        sim = self.sim("joint_names")
        pairs = dict(given) if isinstance(given, tuple) else None
        places = self._places(pairs)
        names = [sim.joint_names[place] for place in places]
        if pairs is not None:
            values = [pairs[name] for name in names]
        elif given is not None:
            values = [given] * len(names)  # type: ignore[list-item]
        else:
            self.sim("robot")
            values = [getattr(sim.robot.joints[name], field) for name in names]
        for name, value in zip(names, values, strict=True):
            if not value > 0.0:
                why = getattr(sim, "lacks", {}).get(field, "its description does not")
                what = "speed" if field == "velocity_rad_s" else "torque"
                raise Sim2RealError(f"needs the rated {what} of the joint '{name}', and {why}: give rated=…")
        return self.joints(names), (1.0 / np.array(values, dtype=np.float64)).tolist()

    # ---- what is read once per step -----------------------------------------------------------------------------

    def read_ground(self, step: Step) -> None:
        """Sum up the contacts with the ground."""
        force_n: dict[int, float] = {}
        for link, normal_n in self._simulation.ground_contacts:
            force_n[link] = force_n.get(link, 0.0) + normal_n
        self.ground_force_n = force_n

    def read_links(self, step: Step) -> None:
        """Read the state of all links that are asked for."""
        self._states = self._simulation.engine.link_states(self._links)

    def read_action(self, step: Step) -> None:
        """Compare the action with the last; in the first step there is none."""
        action = np.asarray(step.action).ravel().tolist()
        self.change = max(map(abs, map(sub, action, self._action or action)))
        self._action = action

    def read_energy(self, step: Step) -> None:
        """Take the difference of the energy counter."""
        energy_j = self._simulation.energy_j
        self.work_j = energy_j - self._energy_j
        self._energy_j = energy_j

    def state_of(self, link: int) -> Callable[[], tuple[Vector, Any, Vector]]:
        """Return what gives position (m), orientation and velocity (m/s) of a link in the world."""
        if link == 0:
            sim = self.sim("base_position_m", "base_velocity_m_s")
            return lambda: (sim.base_position_m, None, sim.base_velocity_m_s)
        self.sim("engine")
        if link not in self._links:
            self._links.append(link)
        place = self._links.index(link)
        self.need(self.read_links)
        return lambda: self._states[place]


# ---- joints -----------------------------------------------------------------------------------------------------


def _past_the_stops(reader: Reader, joints: Sequence[str] | None = None) -> Measure:
    sim = reader.sim("joint_position_rad", "lower_rad", "upper_rad")
    pick = reader.joints(joints)
    lower, upper = pick(sim.lower_rad), pick(sim.upper_rad)
    if all(map(math.isinf, (*lower, *upper))):
        raise Sim2RealError("needs joints with stops, and these have none.")

    def measure(step: Step) -> float:
        position = pick(sim.joint_position_rad)
        past: float = max(max(map(sub, position, upper)), max(map(sub, lower, position)))
        return past

    return measure


def _velocity(reader: Reader, rated: Rated = None) -> Measure:
    sim, (pick, per_rated) = reader.sim("joint_velocity_rad_s"), reader.rated("velocity_rad_s", rated)
    return lambda step: max(map(abs, map(mul, pick(sim.joint_velocity_rad_s), per_rated)))


def _torque(reader: Reader, rated: Rated = None) -> Measure:
    sim, (pick, per_rated) = reader.sim("torque_nm"), reader.rated("effort_nm", rated)
    return lambda step: max(map(abs, map(mul, pick(sim.torque_nm), per_rated)))


def _power(reader: Reader) -> Measure:
    reader.sim("energy_j")
    reader.need(reader.read_energy)
    frequency = 1.0 / reader.period_s
    return lambda step: reader.work_j * frequency


def _action_rate(reader: Reader) -> Measure:
    reader.need(reader.read_action)
    frequency = 1.0 / reader.period_s
    return lambda step: reader.change * frequency


# ---- body and feet ------------------------------------------------------------------------------------------------


def _tilt(reader: Reader) -> Measure:
    sim = reader.sim("uprightness")
    return lambda step: math.acos(max(-1.0, min(1.0, sim.uprightness)))


def _depth(reader: Reader) -> Measure:
    sim = reader.sim("clearance_m")
    return lambda step: -sim.clearance_m


def _feet(reader: Reader, links: Sequence[str] | None) -> tuple[int, ...]:
    reader.sim("ground_contacts")
    reader.need(reader.read_ground)
    return tuple(reader.sim("feet").feet if links is None else map(reader.link, links))


def _foot_slip(reader: Reader, links: Sequence[str] | None = None) -> Measure:
    feet = _feet(reader, links)
    if links is None:
        sim = reader.sim("foot_states")
        states: Callable[[], Sequence[tuple[Vector, Any, Vector]]] = lambda: sim.foot_states  # noqa: E731
    else:
        each = [reader.state_of(foot) for foot in feet]
        states = lambda: [state() for state in each]  # noqa: E731

    def measure(step: Step) -> float:
        force_n, fastest = reader.ground_force_n, 0.0
        for foot, (_, _, (vx, vy, _)) in zip(feet, states(), strict=True):
            if force_n.get(foot, 0.0) > TOUCH_N:
                fastest = max(fastest, math.hypot(vx, vy))
        return fastest

    return measure


def _foot_force(reader: Reader, links: Sequence[str] | None = None) -> Measure:
    feet = _feet(reader, links)
    nothing = [0.0] * len(feet)
    return lambda step: max(map(reader.ground_force_n.get, feet, nothing))


def _ground_force(reader: Reader, links: Sequence[str] | None) -> Measure:
    sim = reader.sim("ground_contacts")
    reader.need(reader.read_ground)
    if links is None:
        sim = reader.sim("feet", "link_index")
        forbidden = frozenset(sim.link_index.values()) - frozenset(sim.feet)
    else:
        forbidden = frozenset(map(reader.link, links))

    def measure(step: Step) -> float:
        return sum([n for link, n in reader.ground_force_n.items() if link in forbidden], 0.0)

    return measure


def _self_force(reader: Reader) -> Measure:
    # An engine that lets links pass through each other would report none, which is not the same as none.
    engine = reader.sim("engine").engine
    for name in ("self_collision", "contacts"):
        if not hasattr(engine, name):
            absent = f"env.unwrapped.sim.engine.{name}, which this environment does not have."
            raise Sim2RealError(f"needs {getattr(engine, 'lacks', {}).get(name, absent)}")
    if not engine.self_collision:
        raise Sim2RealError(
            "needs an engine that simulates self-collision; links pass through each other here."
        )
    return lambda step: sum([normal_n for _, other, normal_n in engine.contacts() if other >= 0], 0.0)


# ---- hands and objects ----------------------------------------------------------------------------------------------


def _outside(reader: Reader, low_m: Vector, high_m: Vector, link: str | None) -> Measure:
    state = reader.state_of(0 if link is None else reader.link(link))

    def measure(step: Step) -> float:
        position = state()[0]
        return max(max(a - x, x - b) for a, x, b in zip(low_m, position, high_m, strict=True))

    return measure


def _link_speed(reader: Reader, links: Sequence[str]) -> Measure:
    states = [reader.state_of(reader.link(name)) for name in links]
    return lambda step: max(math.hypot(*state()[2]) for state in states)


def _grip(reader: Reader) -> Measure:
    reader.has("task.grip_force_n")
    return lambda step: float(step.env.task.grip_force_n)


def _object_depth(reader: Reader) -> Measure:
    reader.has("task.object_in_world")
    return lambda step: -float(step.env.task.object_in_world[2])


class Quantity(NamedTuple):
    """One row of the table: how it is measured, its unit, and whether its negative is what one speaks of."""

    bind: Callable[..., Measure]
    unit: str
    negative: bool = False


QUANTITIES: dict[str, Quantity] = {
    "joint_position": Quantity(_past_the_stops, "rad", negative=True),
    "joint_velocity": Quantity(_velocity, ""),
    "torque": Quantity(_torque, ""),
    "power": Quantity(_power, "W"),
    "action_rate": Quantity(_action_rate, "1/s"),
    "torso_tilt": Quantity(_tilt, "rad"),
    "base_height": Quantity(_depth, "m", negative=True),
    "foot_slip": Quantity(_foot_slip, "m/s"),
    "foot_impact": Quantity(_foot_force, "N"),
    "self_collision": Quantity(_self_force, "N"),
    "forbidden_contact": Quantity(_ground_force, "N"),
    "workspace": Quantity(_outside, "m"),
    "end_effector_speed": Quantity(_link_speed, "m/s"),
    "grip_force": Quantity(_grip, "N"),
    "object_drop": Quantity(_object_depth, "m", negative=True),
}
"""Every quantity of a robot by its name; any other is a function of (observation, action, info)."""

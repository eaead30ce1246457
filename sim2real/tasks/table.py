"""A table and the things on it: what they are made of, where an episode begins, and what is known of their poses."""

import math
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from sim2real.linktree import Array, Shape, pose_of
from sim2real.perturb.parameters import Parameter
from sim2real.perturb.streams import Stream
from sim2real.sensors import Rows, Vector, rotation_rows
from sim2real.simulation import Simulation
from sim2real.simulation.body import Body
from sim2real.simulation.objects import SHAPES, rest_height_m, scaled, solid, thing
from sim2real.simulation.scene import Contact
from sim2real.simulation.setters import element

TOP_M = (0.5, 1.0, 0.03)
"""Length, width and thickness of the table's top."""

EDGE_M = 0.15
"""How far the table's near edge is from the middle of where the hand works."""

COMPLIANCE_M_N, DAMPING_NS_M, PATCH_M = 1e-4, 30.0, 0.005
"""The rubber on arm and hand. Engineering judgement: 10 N sink in by a millimetre, and a fingertip's patch has a radius
of 8 mm, of which friction's mean lever is 2/3."""

Pose = tuple[Vector, Rows]
"""Position (m) and rotation (rows of a matrix) in the axes of the robot's base."""


class Table:
    """A table in front of a robot, and things on it that share one set of parameters.

    Args:
        sim: the simulation, its base held still and upright; table and things are put into its scene.
        middle_m: middle of where the hand works, on the table's top, in the world.
        things: shapes of the things, by their names.
        slots_m: where each thing begins, along x and y from there.
        mass_kg: of each thing.
        spread: half widths of where a thing begins about its slot: along x and y in m, of its yaw in rad.
        choice: name of the one thing's shape, where that is a parameter.

    Attributes:
        height_m: height of the table's top in the axes of the base.
        shapes: what each thing looks like in this episode.
        told: what is told about that: the same but for the size.
    """

    def __init__(
        self,
        sim: Simulation,
        middle_m: Vector,
        things: Mapping[str, tuple[Shape, ...]],
        slots_m: Sequence[tuple[float, float]],
        *,
        mass_kg: float,
        spread: Vector,
        choice: str | None,
    ) -> None:
        self._sim, self._middle_m, self._slots_m = sim, middle_m, slots_m
        self._things, self._fixed = dict(things), dict[str, tuple[Shape, ...]]()
        self.names = tuple(things)
        self.values: dict[str, float] = {}
        self._links = [index for index in sim.link_index.values() if index]
        if things:
            self._describe_things(mass_kg, spread, choice)
        doc = "Height of the table's top above the ground."
        self._add(self._put, False, ("table.height", middle_m[2], "m", 0.0, 3.0, doc))
        doc = "Coulomb coefficient between table and hand, and what that of an object is multiplied by."
        self._add(self._touch, True, ("table.friction", 0.7, "", 0.0, 10.0, doc))
        self._add(
            self._rubber, True,
            ("hand.compliance", COMPLIANCE_M_N, "m/N", 1e-6, 0.01,
             "How far a contact point of arm or hand gives way per normal force: one over its stiffness."),
            ("hand.damping", DAMPING_NS_M, "N s/m", 0.0, 1e4, "Damping of a contact point of arm or hand."),
            ("hand.spinning_friction", PATCH_M, "m", 0.0, 0.1,
             "Torque with which a contact of the hand resists spinning on the spot, per force of friction that it can "
             "bear: 2/3 of the radius of a fingertip's patch."),
        )  # fmt: skip
        self._put()

    def _describe_things(self, mass_kg: float, spread: Vector, choice: str | None) -> None:
        self._add(
            self._put, False,
            ("object.mass", mass_kg, "kg", 1e-3, 100.0, "Mass of each object; its inertia goes with it."),
            ("object.size", 1.0, "", 0.2, 3.0, "Factor on all lengths of an object, its mass staying."),
            *((f"object.com_{axis}", 0.0, "m", -0.1, 0.1, f"Shift of an object's centre of mass along its {axis} axis.")
              for axis in "xyz"),
        )  # fmt: skip
        if choice is not None:
            kinds = list(SHAPES)
            doc = (
                "What the object is, rounded: "
                + ", ".join(f"{i} {kind}" for i, kind in enumerate(kinds))
                + "."
            )
            self._add(
                self._put, False, ("object.shape", float(kinds.index(choice)), "", 0.0, len(kinds) - 1.0, doc)
            )
        self._add(
            None, False,
            ("object.x", 0.0, "m", -0.3, 0.3, "Where objects begin, along x, from where they usually do."),
            ("object.y", 0.0, "m", -0.5, 0.5, "Where objects begin, along y, from where they usually do."),
            ("object.yaw", 0.0, "rad", -math.pi, math.pi, "How objects are turned at first."),
            ("initial.object_x", spread[0], "m", 0.0, 0.3, "Half width of the uniform spread of object.x at reset."),
            ("initial.object_y", spread[1], "m", 0.0, 0.5, "Half width of the uniform spread of object.y at reset."),
            ("initial.object_yaw", spread[2], "rad", 0.0, math.pi,
             "Half width of the uniform spread of object.yaw at reset."),
        )  # fmt: skip
        self._add(
            self._touch, True,
            ("object.friction", 0.8, "", 0.0, 10.0,
             "Coulomb coefficient between object and hand; between object and table it is this times the table's."),
            ("object.rolling_friction", 0.001, "m", 0.0, 0.1,
             "Torque with which a contact of an object resists rolling, per force of friction that it can bear."),
            ("object.restitution", 0.0, "", 0.0, 1.0, "Speed that an object keeps when it bounces on the table."),
        )  # fmt: skip

    def _add(
        self, then: Callable[[], None] | None, live: bool, *rows: tuple[str, float, str, float, float, str]
    ) -> None:
        for name, nominal, unit, low, high, doc in rows:
            self.values[name] = nominal
            spec = Parameter(nominal=nominal, unit=unit, low=low, high=high, live=live, doc=doc)
            self._sim.parameters.add(name, spec, element(self.values, name, then))

    def fix(self, name: str, shapes: tuple[Shape, ...]) -> None:
        """Let something stand still on the table, from the next reset on; its frame is the middle of the table."""
        self._fixed[name] = shapes
        self._put()

    def _look_of(self, name: str) -> tuple[Shape, ...]:
        if "object.shape" in self.values:
            return SHAPES[list(SHAPES)[round(self.values["object.shape"])]]
        return self._things[name]

    def _put(self) -> None:
        """Tell the scene what there is from the next reset on."""
        scene, values = self._sim.scene, self.values
        x, y, _ = self._middle_m
        height = values["table.height"]
        top = solid(
            "box", *TOP_M, at_m=(TOP_M[0] / 2 - EDGE_M, 0.0, -TOP_M[2] / 2), rgba=(0.55, 0.6, 0.65, 1.0)
        )
        for name, still in {"table": (top,), **self._fixed}.items():
            scene.put(Body(name=name, shapes=still, position_m=(x, y, height)), Contact(restitution=1.0))
        shapes = {name: scaled(self._look_of(name), values["object.size"]) for name in self.names}
        for name, (dx, dy) in zip(self.names, self._slots_m, strict=True):
            at_m = (x + dx, y + dy, height + rest_height_m(shapes[name]))
            shift_m = (values["object.com_x"], values["object.com_y"], values["object.com_z"])
            scene.put(thing(name, shapes[name], values["object.mass"], shift_m, at_m))
        self._touch()

    def _touch(self) -> None:
        values, scene = self.values, self._sim.scene
        for name in ("table", *self._fixed):
            scene.touch(name, Contact(friction=values["table.friction"], restitution=1.0))
        for name in self.names:
            contact = Contact(
                friction=values["object.friction"],
                restitution=values["object.restitution"],
                rolling_m=values["object.rolling_friction"],
            )
            scene.touch(name, contact)

    def _rubber(self) -> None:
        """Give arm and hand their skin, which the engine forgets when the world is built anew."""
        for link in self._links:
            self._sim.engine.set_link_contact(
                link, compliance_m_n=self.values["hand.compliance"], damping_ns_m=self.values["hand.damping"],
                spinning_m=self.values["hand.spinning_friction"],
            )  # fmt: skip

    def begin(self, rng: np.random.Generator) -> None:
        """Put every thing where an episode begins with it."""
        self._rubber()
        values = self.values
        self.height_m = values["table.height"] - self._sim.base_position_m[2]
        self.told = {name: self._look_of(name) for name in self.names}
        self.shapes = {name: scaled(told, values.get("object.size", 1.0)) for name, told in self.told.items()}
        x, y, _ = self._middle_m
        for name, (dx, dy) in zip(self.names, self._slots_m, strict=True):
            across, aside, turned = rng.uniform(-1.0, 1.0, 3).tolist()
            yaw = values["object.yaw"] + values["initial.object_yaw"] * turned
            at_m = (
                x + dx + values["object.x"] + values["initial.object_x"] * across,
                y + dy + values["object.y"] + values["initial.object_y"] * aside,
                values["table.height"] + rest_height_m(self.shapes[name]),
            )
            self._sim.scene.move(name, at_m, (0.0, 0.0, math.sin(yaw / 2), math.cos(yaw / 2)))

    def pose(self, name: str) -> Pose:
        """Return where a thing really is."""
        (x, y, z), quaternion = self._sim.scene.pose(name)
        base_x, base_y, base_z = self._sim.base_position_m
        return (x - base_x, y - base_y, z - base_z), rotation_rows(*quaternion)


class PoseEstimate:
    """What a camera knows of things' poses: late, and somewhat beside the truth.

    Args:
        sim: whose parameters its errors become.
        count: how many things there are.
    """

    def __init__(self, sim: Simulation, count: int) -> None:
        self._period_s = sim.control_period_s
        self.values: dict[str, float] = {}
        for name, unit, low, high, doc in (
            ("noise", "m", 0.0, 1.0, "Half width of a uniform error of each coordinate, new in every control step."),
            *((f"offset_{axis}", "m", -1.0, 1.0, f"Error of every position along the base's {axis} axis.")
              for axis in "xyz"),
            ("yaw", "rad", -math.pi, math.pi, "Error of every orientation about the vertical."),
            ("latency_s", "s", 0.0, 1.0, "Age of every pose, in whole control steps."),
        ):  # fmt: skip
            self.values[name] = 0.0
            if not count:
                continue
            spec = Parameter(nominal=0.0, unit=unit, low=low, high=high, doc=doc)
            sim.parameters.add(f"pose_estimate.{name}", spec, element(self.values, name))

    def begin(self, episode: tuple[int, ...]) -> None:
        """Forget the last episode; the integers name the random numbers of this one."""
        self._stream = Stream(*episode, "pose_estimate.noise")
        self._seen: list[list[Pose]] = []
        self._shown = 0

    def __call__(self, poses: list[Pose]) -> Array:
        """Return what is known (things, 9) after another step: position (m), and the x and y axes of each thing.

        It never goes back in time; before enough time has passed the first poses stand in.
        """
        values = self.values
        self._seen.append(poses)
        self._shown = max(self._shown, len(self._seen) - 1 - round(values["latency_s"] / self._period_s))
        known = np.array(
            [(*at, *(row[i] for i in (0, 1) for row in rows)) for at, rows in self._seen[self._shown]]
        )
        if any(values[f"offset_{axis}"] for axis in "xyz"):
            known[:, :3] += [values[f"offset_{axis}"] for axis in "xyz"]
        if values["noise"]:
            known[:, :3] += values["noise"] * (2.0 * self._stream(len(poses), 3) - 1.0)
        if values["yaw"]:
            turn = pose_of(rpy=(0.0, 0.0, values["yaw"]))[:3, :3]
            known[:, 3:] = (known[:, 3:].reshape(-1, 2, 3) @ turn.T).reshape(-1, 6)
        return known

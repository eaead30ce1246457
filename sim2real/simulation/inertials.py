"""A robot's masses, how they are spread, and its lengths: what parameters want of them, noted for the next reset."""

from typing import Any

import numpy as np

from sim2real.perturb.parameters import Parameter
from sim2real.robots import Changes, Robot
from sim2real.simulation.setters import Setter, element
from sim2real.simulation.table import ParameterTable

AXES = ("x", "y", "z")
IDENTITY = np.eye(3).tolist()


class Inertials:
    """The changes of a robot's body that its parameters ask for."""

    def __init__(self, robot: Robot) -> None:
        self._robot = robot
        kinds = ("mass", "com_m", "inertia", "shape", "length")
        self._wanted: dict[str, dict[str, Any]] = {kind: {} for kind in kinds}
        self._payload = [0.0, 0.0, 0.0, 0.0]  # kg, then its offset from the link's centre of mass

    def wanted(self) -> Changes | None:
        """Return the changes to compile the robot with; None for the nominal robot."""
        found: dict[str, dict[str, Any]] = {kind: dict(of) for kind, of in self._wanted.items() if of}
        mass_kg, *offset_m = self._payload
        if mass_kg:
            link = self._robot.payload_link
            centre_m = self._robot.inertials[link].com_m
            if link in self._wanted["length"]:
                centre_m = self._robot.stretch(link, self._wanted["length"][link]) @ centre_m
            found["payload"] = {link: (mass_kg, tuple((centre_m + np.array(offset_m)).tolist()))}
        return Changes(**found) if found else None

    def _note(self, kind: str, name: str, change: Any, nominal: Any) -> None:
        if change == nominal:
            self._wanted[kind].pop(name, None)
        else:
            self._wanted[kind][name] = change

    def _factor(self, kind: str, name: str, nominal: float) -> Setter:
        return lambda value: self._note(kind, name, value / nominal, 1.0)

    def _shift(self, link: str, axis: int) -> Setter:
        def set_component(value: float) -> None:
            vector = list(self._wanted["com_m"].get(link, (0.0, 0.0, 0.0)))
            vector[axis] = value
            self._note("com_m", link, tuple(vector), (0.0, 0.0, 0.0))

        return set_component

    def _entry(self, link: str, row: int, column: int) -> Setter:
        def set_entry(value: float) -> None:
            rows = [list(of) for of in self._wanted["shape"].get(link, IDENTITY)]
            rows[row][column] = value
            self._note("shape", link, rows, IDENTITY)

        return set_entry

    def register(self, table: ParameterTable) -> None:
        """Register the mass properties and lengths of the links, and the payload."""

        def add(
            name: str, nominal: float, unit: str, low: float, high: float, doc: str, setter: Setter
        ) -> None:
            spec = Parameter(nominal=nominal, unit=unit, low=low, high=high, doc=doc, live=False)
            table.add(name, spec, setter)

        for link, inertial in self._robot.inertials.items():
            mass_kg = float(inertial.mass_kg)
            if mass_kg <= 0.0:
                continue
            add(f"{link}.mass", mass_kg, "kg", 1e-3 * mass_kg, 1e3 * mass_kg,
                "Mass of the link; its inertia goes with it.", self._factor("mass", link, mass_kg))  # fmt: skip
            add(f"{link}.inertia", 1.0, "", 1e-3, 1e3,
                "Rotational inertia of the link, as a multiple of the nominal.",
                self._factor("inertia", link, 1.0))  # fmt: skip
            for i, axis in enumerate(AXES):
                add(f"{link}.com_{axis}", 0.0, "m", -1.0, 1.0,
                    f"Shift of the link's centre of mass along its {axis} axis.", self._shift(link, i))  # fmt: skip
            # With mass and centre of mass these make every possible inertia, and no impossible one.
            for i, axis in enumerate(AXES):
                add(f"{link}.stretch_{axis}", 1.0, "", 0.05, 20.0,
                    f"Stretches how the link's mass is spread about its centre along its {axis} axis, by a factor.",
                    self._entry(link, i, i))  # fmt: skip
            for i, j in ((0, 1), (0, 2), (1, 2)):
                one, other = AXES[i], AXES[j]
                add(f"{link}.shear_{one}{other}", 0.0, "", -10.0, 10.0,
                    f"Shears how the link's mass is spread: along {one} per distance along {other}.",
                    self._entry(link, i, j))  # fmt: skip
        for link, length_m in self._robot.lengths_m.items():
            add(f"{link}.length", length_m, "m", 0.5 * length_m, 2.0 * length_m,
                "Length of the link, from its joint to the farthest it carries; its mass stays, spread further.",
                self._factor("length", link, length_m))  # fmt: skip
        link = self._robot.payload_link
        add("payload.mass", 0.0, "kg", 0.0, 1e3, f"A point mass carried by the {link}.",
            element(self._payload, 0))  # fmt: skip
        for i, axis in enumerate(AXES):
            add(f"payload.{axis}", 0.0, "m", -2.0, 2.0,
                f"Where the payload sits along the {link}'s {axis} axis, from its centre of mass.",
                element(self._payload, 1 + i))  # fmt: skip

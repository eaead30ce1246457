"""Insert: put a peg into a hole."""

import math
from typing import Any

import numpy as np

from sim2real.linktree import Shape
from sim2real.perturb.parameters import Parameter
from sim2real.sensors import Vector
from sim2real.simulation.objects import solid
from sim2real.tasks.hands import HandTask

RADIUS_M, LENGTH_M = 0.02, 0.1
"""The peg, a cylinder that stands upright at first."""

DEPTH_M, WALL_M = 0.03, 0.03
"""The hole, square and open to the table: its depth, and the thickness of the four walls that make it."""

SUNK_M = 0.005
"""How near to the table the lowest point of an inserted peg is."""

APART_M = 0.14
"""How far the hole is from the middle of where the peg begins, towards the inner side."""


class Insert(HandTask):
    """Put an upright peg into a square hole, as wide as it and ``hole.clearance``. The goal is the hole's floor."""

    REWARDS = {
        "reach": 1.0,  # 1 − tanh of the hand's distance from the peg over 0.1 m
        "grip": 0.5,  # thumb and a finger touch
        "carry": 5.0,  # 1 − tanh of the distance of the peg's foot from the goal over 0.1 m
        "success": 10.0,  # in the hole, down to its floor
        "smoothness": -0.01,  # squared change of the action
    }
    SPREAD = (0.03, 0.02, 0.6)

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        doc = "By how much the hole is wider than the peg of nominal size, between opposite walls."
        spec = Parameter(nominal=0.002, unit="m", low=0.0, high=0.1, live=False, doc=doc)
        self.sim.parameters.add("hole.clearance", spec, self._dig)
        self._dig(spec.nominal)

    def _dig(self, clearance_m: float) -> None:
        """Build the walls of the hole, from the next reset on."""
        from_middle_m = RADIUS_M + clearance_m / 2.0 + WALL_M / 2.0
        long_m, y = 2.0 * (from_middle_m + WALL_M / 2.0), self.inwards * APART_M / 2.0
        short_m, z, colour = long_m - 2.0 * WALL_M, DEPTH_M / 2.0, (0.4, 0.4, 0.45, 1.0)
        self.table.fix(
            "hole",
            tuple(
                solid("box", *size, at_m=(x, y + dy, z), rgba=colour)
                for side in (-1.0, 1.0)
                for size, x, dy in (
                    ((WALL_M, long_m, DEPTH_M), side * from_middle_m, 0.0),
                    ((short_m, WALL_M, DEPTH_M), 0.0, side * from_middle_m),
                )
            ),
        )

    def things(self, shape: str) -> dict[str, tuple[Shape, ...]]:
        """Return the peg."""
        return {"object": (solid("cylinder", RADIUS_M, LENGTH_M),)}

    def slots_m(self) -> list[tuple[float, float]]:
        """Return the peg's place on the outer side."""
        return [(0.0, -self.inwards * APART_M / 2.0)]

    def draw_goal(self, rng: np.random.Generator) -> Vector:
        """Return the middle of the hole's floor."""
        x, y, _ = self.hand.work_m.tolist()
        return x, y + self.inwards * APART_M / 2.0, self.table.height_m

    def _foot_m(self) -> Vector:
        """Return the middle of the peg's lower end."""
        (x, y, z), rows = self.poses["object"]
        half_m = self.table.shapes["object"][0].size[1] / 2.0
        return x - half_m * rows[0][2], y - half_m * rows[1][2], z - half_m * rows[2][2]

    def progress(self) -> dict[str, float]:
        """Return the hand's nearness to the peg, its grip, and the nearness of the peg's foot to the goal."""
        carry = 1.0 - math.tanh(math.dist(self._foot_m(), self.goal) / 0.1)
        return {"reach": self.nearness(self.poses["object"][0]), "grip": self.grip, "carry": carry}

    def reached(self) -> bool:
        """Whether the peg stands on the hole's floor."""
        x, y, _ = self._foot_m()
        return math.hypot(x - self.goal[0], y - self.goal[1]) <= RADIUS_M and self.clearance_m() <= SUNK_M

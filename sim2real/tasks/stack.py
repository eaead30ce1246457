"""Stack: build a tower of three blocks."""

import math

import numpy as np

from sim2real.linktree import Shape
from sim2real.sensors import Vector
from sim2real.simulation.objects import solid
from sim2real.tasks.hands import HandTask
from sim2real.tasks.place import SLOW_M_S

EDGE_M = 0.045
"""Edge of the blocks."""

ASIDE_M = 0.015
"""How far beside the middle of the block below a block may stand, and how far off in height."""

APART_M = 0.11
"""How far the blocks are from each other at first."""

COLOURS = {"first": (0.8, 0.25, 0.2, 1.0), "second": (0.25, 0.6, 0.3, 1.0), "third": (0.25, 0.4, 0.8, 1.0)}


class Stack(HandTask):
    """Put the second block on the first, the third on that, and let go of them. The goal is where the first stands."""

    REWARDS = {
        "reach": 1.0,  # 1 − tanh of the hand's distance from the next block over 0.1 m
        "stack": 5.0,  # 1 − tanh of the distance of each block from its place over 0.1 m, for both together
        "success": 20.0,  # both in their places, all at rest and not touched
        "smoothness": -0.01,  # squared change of the action
    }
    SPREAD = (0.015, 0.01, 0.3)
    MASS_KG = 0.1

    def things(self, shape: str) -> dict[str, tuple[Shape, ...]]:
        """Return three coloured cubes."""
        return {name: (solid("box", *(EDGE_M,) * 3, rgba=rgba),) for name, rgba in COLOURS.items()}

    def slots_m(self) -> list[tuple[float, float]]:
        """Return places in a row, the first block in the middle."""
        return [(0.0, 0.0), (0.0, APART_M), (0.0, -APART_M)]

    def draw_goal(self, rng: np.random.Generator) -> Vector:
        """Return where the first block is."""
        return self.poses["first"][0]

    def _off_m(self) -> tuple[float, float]:
        """Return how far the second and the third block are from their places."""
        first, second, third = (self.poses[name][0] for name in COLOURS)
        edge_m = self.table.shapes["first"][0].size[2]
        return tuple(
            math.dist(above, (below[0], below[1], below[2] + edge_m))
            for above, below in ((second, first), (third, second))
        )  # type: ignore[return-value]

    def progress(self) -> dict[str, float]:
        """Return the nearness of the hand to the next block, and of the blocks to their places."""
        off_m = self._off_m()
        following = "third" if off_m[0] <= ASIDE_M else "second"
        stack = sum(0.5 * (1.0 - math.tanh(off / 0.1)) for off in off_m)
        return {"reach": self.nearness(self.poses[following][0]), "stack": stack}

    def reached(self) -> bool:
        """Whether the tower stands alone."""
        return (
            max(self._off_m()) <= ASIDE_M
            and max(self.finger_force_n) == 0.0
            and all(math.hypot(*self.sim.scene.velocity(name)[0]) <= SLOW_M_S for name in COLOURS)
        )

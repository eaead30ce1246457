"""Reach: bring the hand to a point."""

import math

import numpy as np

from sim2real.linktree import Shape
from sim2real.sensors import Vector
from sim2real.tasks.hands import HandTask

NEAR_M = 0.02
"""How near to the goal the hand has to be."""

ABOVE_M = (0.06, 0.18)
"""How high above the table goals are."""


class Reach(HandTask):
    """Keep the point where the hand holds things within ``NEAR_M`` of a goal over an empty table."""

    REWARDS = {
        "reach": 1.0,  # 1 − tanh of the hand's distance from the goal over 0.1 m
        "success": 1.0,  # within NEAR_M
        "smoothness": -0.01,  # squared change of the action
    }

    def things(self, shape: str) -> dict[str, tuple[Shape, ...]]:
        """Return nothing."""
        return {}

    def slots_m(self) -> list[tuple[float, float]]:
        """Return nothing."""
        return []

    def draw_goal(self, rng: np.random.Generator) -> Vector:
        """Return a point above where things would begin."""
        (x, y), up = self.around(rng), rng.uniform(-1.0, 1.0)
        middle, half = sum(ABOVE_M) / 2.0, (ABOVE_M[1] - ABOVE_M[0]) / 2.0
        return x, y, self.table.height_m + middle + half * up

    def progress(self) -> dict[str, float]:
        """Return nearness."""
        return {"reach": self.nearness(self.goal)}

    def reached(self) -> bool:
        """Whether the hand is there."""
        return math.dist(self.hand_m.tolist(), self.goal) <= NEAR_M

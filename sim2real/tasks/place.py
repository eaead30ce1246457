"""Place: take an object and put it down elsewhere."""

import math

import numpy as np

from sim2real.sensors import Vector
from sim2real.tasks.hands import HandTask

NEAR_M = 0.03
"""How near to the goal the middle of the object has to be."""

SLOW_M_S = 0.02
"""Speed up to which an object counts as at rest."""


class Place(HandTask):
    """Put an object down within ``NEAR_M`` of a goal on the table, and let go of it.

    The object begins on the outer side of the hand, its goal is on the inner side.
    """

    REWARDS = {
        "reach": 1.0,  # 1 − tanh of the hand's distance from the object over 0.1 m
        "grip": 0.5,  # thumb and a finger touch
        "carry": 5.0,  # 1 − tanh of the object's distance from the goal over 0.1 m
        "success": 10.0,  # there, at rest and not touched
        "smoothness": -0.01,  # squared change of the action
    }
    SPREAD = (0.04, 0.03, 0.6)
    APART_M = 0.14

    def slots_m(self) -> list[tuple[float, float]]:
        """Return the object's side."""
        return [(0.0, -self.inwards * self.APART_M / 2.0)]

    def draw_goal(self, rng: np.random.Generator) -> Vector:
        """Return a point on the other side."""
        x, y = self.around(rng)
        return x, y + self.inwards * self.APART_M / 2.0, self.poses["object"][0][2]

    def progress(self) -> dict[str, float]:
        """Return the hand's nearness, its grip, and the object's nearness to the goal."""
        position = self.poses["object"][0]
        carry = 1.0 - math.tanh(math.dist(position, self.goal) / 0.1)
        return {"reach": self.nearness(position), "grip": self.grip, "carry": carry}

    def reached(self) -> bool:
        """Whether the object lies there alone."""
        return (
            math.dist(self.poses["object"][0], self.goal) <= NEAR_M
            and max(self.finger_force_n) == 0.0
            and math.hypot(*self.sim.scene.velocity("object")[0]) <= SLOW_M_S
        )

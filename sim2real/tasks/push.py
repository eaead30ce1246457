"""Push: slide an object over the table to a goal."""

import math

import numpy as np

from sim2real.sensors import Vector
from sim2real.tasks.hands import HandTask

NEAR_M = 0.03
"""How near to the goal the middle of the object has to be."""

FAR_M = (0.06, 0.1)
"""How far the goal is from the object."""


class Push(HandTask):
    """Bring an object within ``NEAR_M`` of a goal on the table, ahead of it or further out."""

    REWARDS = {
        "reach": 1.0,  # 1 − tanh of the hand's distance from the object over 0.1 m
        "push": 5.0,  # 1 − tanh of the object's distance from the goal over 0.1 m
        "success": 5.0,  # within NEAR_M
        "smoothness": -0.01,  # squared change of the action
    }

    SPREAD = (0.03, 0.05, 0.6)

    def slots_m(self) -> list[tuple[float, float]]:
        """Return a place from which the goals are within reach."""
        return [(-0.03, 0.03 * self.inwards)]

    def draw_goal(self, rng: np.random.Generator) -> Vector:
        """Return a point on the table, between straight ahead of the object and straight outwards."""
        x, y, z = self.poses["object"][0]
        turn, far = rng.uniform(0.0, 1.0, 2).tolist()
        far_m = FAR_M[0] + (FAR_M[1] - FAR_M[0]) * far
        angle = 0.5 * math.pi * turn
        return x + far_m * math.cos(angle), y - self.inwards * far_m * math.sin(angle), z

    @property
    def _left_m(self) -> float:
        (x, y, _), (goal_x, goal_y, _) = self.poses["object"][0], self.goal
        return math.hypot(goal_x - x, goal_y - y)

    def progress(self) -> dict[str, float]:
        """Return the hand's nearness, and the object's to the goal."""
        push = 1.0 - math.tanh(self._left_m / 0.1)
        return {"reach": self.nearness(self.poses["object"][0]), "push": push}

    def reached(self) -> bool:
        """Whether the object is there, on the table."""
        return self._left_m <= NEAR_M and self.clearance_m() < 0.005

"""Grasp: lift an object off the table and hold it."""

from sim2real.tasks.hands import HandTask

LIFT_M = 0.1
"""How high above the table an object has to be held."""


class Grasp(HandTask):
    """Take an object and hold it at least ``LIFT_M`` above the table. The goal is a point above where it stood."""

    REWARDS = {
        "reach": 1.0,  # 1 − tanh of the hand's distance from the object over 0.1 m
        "grip": 0.5,  # thumb and a finger touch
        "lift": 5.0,  # height above the table over LIFT_M, up to 1
        "success": 10.0,  # held at that height
        "smoothness": -0.01,  # squared change of the action
    }

    def progress(self) -> dict[str, float]:
        """Return nearness, grip and height."""
        lift = min(max(self.clearance_m() / LIFT_M, 0.0), 1.0)
        return {"reach": self.nearness(self.poses["object"][0]), "grip": self.grip, "lift": lift}

    def reached(self) -> bool:
        """Whether the object is up."""
        return self.clearance_m() >= LIFT_M

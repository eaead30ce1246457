"""A controller for work with a hand that decides anew in every moment, from what it sees in that moment alone."""

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from sim2real.errors import Sim2RealError
from sim2real.kinematics import facing_down, twist_between
from sim2real.policies.expert import ABOVE_M, LIFT_M_S, SPEED_M_S, SPEED_RAD_S, Array, expert, raised

GAIN_M, GAIN_RAD = 5.0, 4.0
"""Speed per distance left, 1/s: slow enough for commands that arrive 150 ms late (gain × latency stays below 1)."""

NEAR_M, BAND_M = 0.008, 0.006
"""How near to where it takes a thing the hand begins to close, and over what way it then closes fully."""

TOLERANCE_M = 0.08
"""By how much further off the thing may be once the hand has closed, so that a grip is not given up for a slip."""

TURN_M_RAD, TURN_RAD = 0.05, 0.1
"""Metres off to the side that a radian of wrong turn counts as, and the turn that does not matter."""

STEEP = 4.0
"""Height at which to come near a thing, per distance to the side that is left: a funnel."""

GRIP_N = (3.0, 8.0)
"""Force of the weaker side of a grip at which to begin to move the thing, and at which to move it at full speed."""

WIDE = 40.0
"""Radians of turning that a metre less between the fingers is worth, about."""


class servo(expert):  # a factory, named like its neighbours
    """The visual servo of an environment in which a hand works at a table: it has no plan and no memory.

    A thing is approached down a funnel, taken where the hand is near it, and brought to the goal while it is held; what
    slips away is taken again. What it does is a function of the observation, and nearly everywhere a smooth
    one, so it can be asked in any state what to do next: a teacher (see `sim2real.training.Imitate`).

    Args:
        env: an environment of this package for a hand, with `control="twist"`: Reach, Push or Grasp.

    Raises:
        Sim2RealError: an environment of another kind.
    """

    def __init__(self, env: Any) -> None:
        super().__init__(env)
        unwrapped = env.unwrapped
        if unwrapped.control != "twist":
            raise Sim2RealError(
                "'servo' moves the hand by its velocity: make the environment with control='twist'."
            )
        self._moving = unwrapped.actions.moving
        self._fingers = [unwrapped.joint_names.index(joint) for joint in self.hand.fingers]
        self._span = self.hand.closed_rad - self.hand.open_rad

    @staticmethod
    def does() -> Mapping[str, Callable[..., Any]]:
        """Return what is done, by the name of the task."""
        return {"Reach": servo.reach, "Push": servo.take_along, "Grasp": servo.take_along}

    def __call__(self, observation: Array) -> Array:
        """Return the action for an observation."""
        self.seen = {name: observation[part].astype(np.float64) for name, part in self._terms.items()}
        action: Array = self._does(self, self.chain.pose(self.seen["joint_position"][self._arm]))
        return action

    def reach(self, hand: Array) -> Array:
        """Return the action that brings the hand (4, 4) to the goal."""
        target = facing_down(hand)
        target[:3, 3] = self.seen["goal"]
        action: Array = self._moving(_toward(hand, target, SPEED_M_S), 0.0)
        return action

    def take_along(self, hand: Array) -> Array:
        """Return the action that takes the object, or brings it to the goal."""
        thing = self.pose()
        grasp = self.facing(thing, hand)
        x, y, up_m = hand[:3, 3] - grasp[:3, 3]
        turn = math.hypot(*twist_between(hand, grasp)[3:])
        bent = self.seen["joint_position"][self._fingers] - self.hand.open_rad
        spared_m = TOLERANCE_M * _share(float(bent @ self._span / (self._span @ self._span)), (0.0, 1.0))
        aside_m = math.hypot(x, y) + TURN_M_RAD * max(0.0, turn - TURN_RAD) - spared_m
        closing = _share(max(aside_m, abs(up_m) - spared_m), (NEAR_M + BAND_M, NEAR_M))
        thumb, *others = self.seen["finger_force"].tolist()
        held = closing * _share(min(thumb, max(others)), GRIP_N)
        height_m = min(max(STEEP * (aside_m - NEAR_M), 0.0), ABOVE_M)
        target = hand.copy()
        target[:3, 3] += self.seen["goal"] - thing[:3, 3]
        approach = _toward(hand, raised(grasp, height_m), SPEED_M_S)
        twist = (1.0 - held) * approach + held * _toward(hand, target, LIFT_M_S)
        action: Array = self._moving(twist, closing)
        return action

    def facing(self, thing: Array, hand: Array) -> Array:
        """Return the hand's pose (4, 4) to take a thing across one of its own axes: a narrow one, or one that is near.

        Nearness is to the turn of the hand now, so that the choice stands once it has been made.
        """
        shapes = self.task.table.told["object"]
        found = []
        for x, y, _ in (sign * thing[:3, axis] for axis in (0, 1) for sign in (1.0, -1.0)):
            across = np.array([x, y, 0.0]) / max(math.hypot(x, y), 1e-9)
            width_m = shapes[0].width_m(thing[:3, :3].T @ across)
            found.append((WIDE * width_m - float(across @ hand[:3, 1]), across))
        return self.around(thing, shapes, min(found, key=lambda one: one[0])[1])[0]


def _toward(pose: Array, target: Array, speed_m_s: float) -> Array:
    """Return a twist (6,) from a pose (4, 4) to another, slower as less is left."""
    way = twist_between(pose, target) * ([GAIN_M] * 3 + [GAIN_RAD] * 3)
    way[:3] *= min(1.0, speed_m_s / max(math.hypot(*way[:3]), 1e-9))
    way[3:] *= min(1.0, SPEED_RAD_S / max(math.hypot(*way[3:]), 1e-9))
    return way


def _share(value: float, ends: tuple[float, float]) -> float:
    """Return how far a value has come from one end to the other, from 0 to 1.

    >>> _share(0.3, (1.0, 0.0))
    0.7
    """
    start, end = ends
    return min(max((value - start) / (end - start), 0.0), 1.0)

"""What all work of one hand at a table has in common."""

import math
from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from sim2real.errors import Sim2RealError, nearest
from sim2real.kinematics import Chain, facing_down
from sim2real.linktree import Array, Shape
from sim2real.robots import Hand, Robot
from sim2real.sensors import Vector
from sim2real.simulation import Simulation
from sim2real.simulation.objects import SHAPES
from sim2real.tasks.actions import Actions, Control, Fingers, HandActions
from sim2real.tasks.table import Pose, PoseEstimate, Table
from sim2real.tasks.task import Task, sum_of_squares

HELD_S = 1.0
"""How long a task's goal must hold, to the end of the episode, for success."""

READY_M = 0.2
"""How high above the middle of the table the hand is at first."""

TOUCH_N = 0.2
"""Force from which a finger counts as touching."""


class HandTask(Task):
    """Something done at a table with one hand, its robot's base held still.

    Observed are the poses of the things on the table as `PoseEstimate` knows them, the normal force on each finger, and
    the goal, a point; all in the axes of the robot's base. Success is a goal that holds without a break for the
    last ``HELD_S`` of an episode; it is a matter of the things, not of the hand.

    Attributes:
        inwards: 1 where +y leads from the hand's side to the middle of the robot, else −1.

    Args:
        sim: the simulation of a robot that `prepare` returned.
        weights: reward weights to replace.
        reward: "dense", or "sparse" for that of success alone.
        shape: the object's, a name in ``SHAPES``.
    """

    NEEDS_HAND = True
    PROPRIOCEPTION = ("joint_position", "joint_velocity", "previous_action")
    MASS_KG = 0.2
    SPREAD = (0.04, 0.08, 0.6)
    """Half widths of where things begin: along x and y in m, of their yaw in rad."""

    def __init__(
        self,
        sim: Simulation,
        weights: Mapping[str, float] | None = None,
        *,
        reward: Literal["dense", "sparse"] = "dense",
        shape: str = "box",
    ) -> None:
        if reward not in ("dense", "sparse"):
            raise Sim2RealError(f"reward must be 'dense' or 'sparse', not '{reward}'.")
        if shape not in SHAPES:
            raise Sim2RealError(f"There is no object of shape '{shape}'.{nearest(shape, SHAPES)}")
        sparse = {term: 0.0 for term in self.REWARDS if term != "success"} if reward == "sparse" else {}
        super().__init__(sim, {**sparse, **(weights or {})})
        self.hand = hand_of(sim.robot)
        self.chain = Chain.to_hand(sim.robot, self.hand)
        self._arm = [sim.joint_names.index(joint) for joint in self.hand.arm]
        carried_by = {joint.child: joint.parent for joint in sim.robot.tree.joints}
        self._fingers: dict[int, int] = {}  # which finger an engine's link is part of
        for finger, link in enumerate(self.hand.tips):
            while link != self.hand.palm:
                self._fingers[sim.index_of(link)] = finger
                link = carried_by[link]
        x, y, z = self.hand.work_m.tolist()
        middle_m = (x, y, round(sim.base_position_m[2] + z, 3))
        things = self.things(shape)
        self.inwards = -math.copysign(1.0, y)
        self.table = Table(
            sim, middle_m, things, self.slots_m(), mass_kg=self.MASS_KG, spread=self.SPREAD,
            choice=shape if things == {"object": SHAPES[shape]} else None,
        )  # fmt: skip
        self.estimate = PoseEstimate(sim, len(things))
        self.poses: dict[str, Pose] = dict.fromkeys(things, ((0.0, 0.0, 0.0), ((1.0, 0.0, 0.0),) * 3))
        self.finger_force_n = [0.0] * len(self.hand.tips)
        self.EXTRA_TERMS = {
            **{
                f"{name}_{what}": size
                for name in things
                for what, size in (("position", 3), ("orientation", 6))
            },
            "finger_force": len(self.hand.tips),
            "goal": 3,
        }

    # ---- what a task is made of -----------------------------------------------------------------------------

    def things(self, shape: str) -> Mapping[str, tuple[Shape, ...]]:
        """Return the shapes of the things on the table, by their names."""
        return {"object": SHAPES[shape]}

    def slots_m(self) -> list[tuple[float, float]]:
        """Return where each of them begins, from the middle of the table."""
        return [(0.0, 0.0)]

    def around(self, rng: np.random.Generator) -> tuple[float, float]:
        """Return a point of the table, spread about the middle of where the hand works as things are."""
        x, y, _ = self.hand.work_m.tolist()
        across, aside = rng.uniform(-1.0, 1.0, 2).tolist()
        return x + self.SPREAD[0] * across, y + self.SPREAD[1] * aside

    def draw_goal(self, rng: np.random.Generator) -> Vector:
        """Return the goal of an episode whose things are in their places, in the axes of the base."""
        x, y, z = self.poses["object"][0]
        return x, y, z + 0.15

    @abstractmethod
    def progress(self) -> dict[str, float]:
        """Return the unweighted reward terms beside ``success`` and ``smoothness``."""

    @abstractmethod
    def reached(self) -> bool:
        """Tell whether the goal holds right now."""

    def actions(self, control: Control, hand: Fingers) -> Actions:
        """Return what actions mean for the hand."""
        return HandActions(self.sim, self.hand, control, hand)

    # ---- an episode -----------------------------------------------------------------------------------------

    @staticmethod
    def prepare(robot: Robot, arm: str | None) -> Robot:
        """Return the robot with only the hand that works, ready above the table; by default its last one.

        The hand opens, and its arm brings it there turned as in the default pose, but for the shortest turn that
        makes it approach from above.
        """
        name = arm or next(reversed([*robot.hands]), "right")
        hand = robot.hand(name)
        chain = Chain.to_hand(robot, hand)
        start = np.array([robot.default_pose[joint] for joint in hand.arm])
        ready = facing_down(chain.pose(start))
        ready[:3, 3] = hand.work_m + [0.0, 0.0, READY_M]
        reached = chain.reach(ready, start, near_m=1e-4, near_rad=1e-3)
        if not reached.within(0.01, 0.1):
            raise Sim2RealError(
                f"robot '{robot.name}' cannot hold its hand '{name}' {READY_M:g} m above work_m: it stays "
                f"{reached.error_m:.2g} m and {reached.error_rad:.2g} rad off."
            )
        pose = {
            **robot.default_pose,
            **dict(zip(hand.arm, reached.position_rad.tolist(), strict=True)),
            **dict(zip(hand.fingers, hand.open_rad.tolist(), strict=True)),
        }
        return replace(robot, default_pose=pose, hands={name: hand})

    @staticmethod
    def joints(robot: Robot) -> tuple[str, ...]:
        """Return the joints of the arm and of the fingers."""
        hand = hand_of(robot)
        return (*hand.arm, *hand.fingers)

    def arrange(self, rng: np.random.Generator, episode: tuple[int, ...]) -> None:
        """Put the things in their places and choose the goal."""
        self.table.begin(rng)
        self.estimate.begin(episode)
        self.poses = {name: self.table.pose(name) for name in self.table.names}
        self.goal = self.draw_goal(rng)

    def reset(self) -> None:
        """Start the episode's counts."""
        self._streak = 0
        self._strongest_n = 0.0
        self._look()

    def _look(self) -> None:
        """Take in the true state after a control step."""
        sim = self.sim
        self._lowest_m: dict[str, float] = {}
        self.poses = {name: self.table.pose(name) for name in self.table.names}
        self.hand_m = self.chain.pose(sim.joint_position_rad[self._arm])[:3, 3]
        self.finger_force_n = [0.0] * len(self.hand.tips)
        for link, _, force_n in sim.engine.contacts():
            if link in self._fingers:
                self.finger_force_n[self._fingers[link]] += force_n

    def observe(self, terms: Mapping[str, NDArray[np.float32]]) -> None:
        """Write what is known of the things, the fingers' forces, and the goal."""
        known = self.estimate(list(self.poses.values()))
        for name, row in zip(self.poses, known, strict=True):
            terms[f"{name}_position"][:] = row[:3]
            terms[f"{name}_orientation"][:] = row[3:]
        terms["finger_force"][:] = self.finger_force_n
        terms["goal"][:] = self.goal

    def rewards(self, target_change: Array) -> dict[str, float]:
        """Return the weighted terms of one control step."""
        self._look()
        holds = self.reached()
        self._streak = self._streak + 1 if holds else 0
        self._strongest_n = max(self._strongest_n, *self.finger_force_n)
        terms = {
            **self.progress(), "success": float(holds), "smoothness": sum_of_squares(target_change)
        }  # fmt: skip
        return {term: self.weights[term] * value for term, value in terms.items()}

    def succeeded(self) -> bool:
        """Whoever has reached the goal and kept it to the end has succeeded."""
        return self._streak * self.sim.control_period_s >= HELD_S - 1e-9

    def failure(self) -> str:
        """Return "fell off" when a thing has fallen off the table."""
        low = self.table.height_m - 0.05
        return "fell off" if any(at[2] < low for at, _ in self.poses.values()) else ""

    def metrics(self) -> dict[str, float]:
        """Return for how long the goal held to the end, the strongest touch of a finger, and the cost."""
        return {
            "held_s": self._streak * self.sim.control_period_s,
            "strongest_touch_n": self._strongest_n,
            "energy_j": self.sim.energy_j,
        }

    def view(self) -> dict[str, Any]:
        """Return a view over the table at the hand's work."""
        x, y, z = (self.sim.base_position_m + self.hand.work_m).tolist()
        return {"target_m": (x, y, z + 0.1), "distance_m": 0.8, "yaw_deg": 130.0, "pitch_deg": -25.0}

    # ---- figures that several tasks reward -------------------------------------------------------------------

    def nearness(self, at_m: Vector) -> float:
        """Return 1 where the hand holds things right there, falling to 0 with the distance (Isaac Lab's lift task)."""
        return 1.0 - math.tanh(math.dist(self.hand_m.tolist(), at_m) / 0.1)

    @property
    def grip(self) -> float:
        """1 while the first finger and another one touch something, else 0."""
        first, *others = self.finger_force_n
        return float(first > TOUCH_N and max(others) > TOUCH_N)

    @property
    def grip_force_n(self) -> float:
        """Sum of the normal forces on the fingers."""
        return sum(self.finger_force_n)

    @property
    def object_in_world(self) -> Vector:
        """Position of the thing that is lowest.

        Raises:
            AttributeError: if there is nothing on the table.
        """
        if not self.poses:
            raise AttributeError("There is nothing on this table.")
        x, y, z = min((at for at, _ in self.poses.values()), key=lambda at: at[2])
        base_x, base_y, base_z = self.sim.base_position_m
        return base_x + x, base_y + y, base_z + z

    def clearance_m(self, name: str = "object") -> float:
        """Return how high the lowest point of a thing is above the table."""
        if name not in self._lowest_m:
            at, rows = self.poses[name]
            pose = np.eye(4)
            pose[:3, :3], pose[:3, 3] = rows, at
            self._lowest_m[name] = min(shape.lowest_m(pose) for shape in self.table.shapes[name])
        return self._lowest_m[name] - self.table.height_m


def hand_of(robot: Robot) -> Hand:
    """Return the hand of a robot that has one."""
    (hand,) = robot.hands.values()
    return hand

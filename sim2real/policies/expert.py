"""A classical controller for work with a hand: inverse kinematics, grasps planned by shape, and a firm grip."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sim2real.errors import Sim2RealError, nearest
from sim2real.kinematics import Chain, facing_down, twist_between
from sim2real.linktree import Shape, pose_of, skew

Array = NDArray[np.float64]
Script = Iterator[Array]

DOWN = np.array([0.0, 0.0, -1.0])
UPSIDE_DOWN = np.diag([1.0, -1.0, -1.0, 1.0])

SPEED_M_S, SPEED_RAD_S = 0.25, 1.5
"""How fast the hand moves along a line, and the fastest joint where the way does not matter."""

LIFT_M_S = 0.12
"""How fast to lift a thing: one that hangs over swings out of a hurried grip."""

ABOVE_M = 0.09
"""How far above a grasp the hand comes down from."""

CLEARANCE_M = 0.004
"""How near the fingertips come to the table."""

DAMPING_S, DAMPED = 0.03, 0.1
"""Damping added to the joints' own, with which they swing: over their stiffness, and at most so much of their speed in
a control step, as more would make light joints rattle."""

MISSED = 0.015
"""Metres and radians by which a plan may miss a pose at no cost."""

CAREFULLY_M_S, SETTLING_M = 0.05, 0.02
"""How fast to let a peg into a hole, and what way an arm that settles could have gone meanwhile."""

RIM_M = 0.035
"""How far above its place a peg is aimed before it is let into a hole: just above the rim."""

PUSH_M_S = 0.1
"""How fast to slide a thing over the table."""

GRIP_S, LETTING_GO_S = 0.6, 0.4
"""How long the fingers take to close and to open."""


class expert:  # a factory, named like its neighbours
    """The scripted expert of an environment in which a hand works at a table.

    It knows the robot's description, what the things on the table look like nominally, and the observation; not what
    a perturbation has changed. A grasp approaches from above, closes across the thing's narrowest side within reach,
    and is tilted so that both sides of the hand come equally near to the table.

    Args:
        env: an environment of this package for a hand, under position control or that of a twist.

    Raises:
        Sim2RealError: an environment of another kind.
    """

    def __init__(self, env: Any) -> None:
        unwrapped = env.unwrapped
        task: Any = getattr(unwrapped, "task", None)
        if not getattr(task, "NEEDS_HAND", False) or unwrapped.control == "torque":
            raise Sim2RealError(
                "'expert' needs one of this package's environments for a hand, with joint targets or a twist."
            )
        name, known = type(task).__name__, self.does()
        if name not in known:
            raise Sim2RealError(f"'{type(self).__name__}' cannot do {name}.{nearest(name, known)}")
        self._does = known[name]
        self.task, self.hand, self._toward = task, task.hand, unwrapped.actions.toward
        self.robot, self.period_s = unwrapped.sim.robot, unwrapped.control_period_s
        self.chain = Chain.to_hand(self.robot, self.hand)
        self._terms = unwrapped.observation_terms
        self._arm = [unwrapped.joint_names.index(joint) for joint in self.hand.arm]
        self._lag_s = (unwrapped.kd / unwrapped.kp)[self._arm]  # by which damping holds a moving joint back
        self._ready = unwrapped.default_pose[self._arm]
        tree, pose = self.robot.tree, self.robot.default_pose
        places = [6 + tree.joint_names.index(joint) for joint in self.hand.arm]
        inertia = np.diag(tree.mass_matrix(pose))[places]
        self._damping_s = np.minimum(DAMPING_S, DAMPED * inertia / (self.period_s * unwrapped.kp[self._arm]))
        palm = self.robot.tree.links[self.robot.tree.index[self.hand.palm]]
        out_of_palm = np.linalg.inv(self.hand.grasp_in_palm @ UPSIDE_DOWN)
        self._palm_m = min(shape.lowest_m(out_of_palm) for shape in palm.collisions)
        beyond = [corners[:, 1].mean() > 0.0 for corners in self._corners(0.0)]
        self._tips_at = []  # on this side of what is held and on the other, from open to closed
        for tips in map(self._corners, np.linspace(0.0, 1.0, 41).tolist()):
            halves = (
                [tip for tip, b in zip(tips, beyond, strict=True) if b == side] for side in (False, True)
            )
            self._tips_at.append(tuple(map(np.concatenate, halves)))
        self._gaps = [float(other[:, 1].min() - one[:, 1].max()) for one, other in self._tips_at]
        self.reset()

    def reset(self, seed: int | None = None) -> None:
        """Begin an episode."""
        self._script: Script | None = None
        self._aim, self._closing = self._ready, 0.0
        self._bias = np.zeros(len(self._arm))

    def __call__(self, observation: Array) -> Array:
        """Return the next action."""
        self.seen = {name: observation[part].astype(np.float64) for name, part in self._terms.items()}
        if self._script is None:
            self._script = self._does(self)
        return next(self._script)

    @staticmethod
    def does() -> Mapping[str, Callable[..., Any]]:
        """Return what is done, by the name of the task."""
        return SCRIPTS

    # ---- what is seen ---------------------------------------------------------------------------------------

    def pose(self, name: str = "object") -> Array:
        """Return where a thing seems to be, (4, 4) in the axes of the base."""
        pose = np.eye(4)
        pose[:3, 3] = self.seen[f"{name}_position"]
        x, y = self.seen[f"{name}_orientation"].reshape(2, 3)
        pose[:3, :3] = np.stack([x, y, np.cross(x, y)], axis=1)
        return pose

    @property
    def now(self) -> Array:
        """Where the hand is commanded to be, (4, 4)."""
        return self.chain.pose(self._aim)

    # ---- moving ---------------------------------------------------------------------------------------------

    def hold(self, aim: Array, closing: float) -> Array:
        """Return the action that keeps the arm at joint positions, correcting slowly for where it sags."""
        error = aim - self.seen["joint_position"][self._arm]
        rate = (aim - self._aim) / self.period_s
        damping = self._damping_s * (rate - self.seen["joint_velocity"][self._arm])
        self._bias = np.clip(self._bias + 2.0 * self.period_s * error, -0.1, 0.1)
        self._aim, self._closing = aim, closing
        action: Array = self._toward(aim + self._bias + self._lag_s * rate + damping, closing)
        return action

    def wait(self, time_s: float = math.inf) -> Script:
        """Stay."""
        while time_s > 0.0:
            time_s -= self.period_s
            yield self.hold(self._aim, self._closing)

    def go(self, target: Array) -> Script:
        """Bring the arm to joint positions, whatever way the hand takes."""
        start, way = self._aim, target - self._aim
        yield from (
            self.hold(start + s * way, self._closing) for s in self._ease(np.abs(way).max() / SPEED_RAD_S)
        )

    def line(self, target: Array, speed_m_s: float = SPEED_M_S) -> Script:
        """Bring the hand to a pose (4, 4) in a straight line, turning evenly."""
        start = self.now
        twist = twist_between(start, target)
        time_s = max(math.hypot(*twist[:3]) / speed_m_s, math.hypot(*twist[3:]) / SPEED_RAD_S)
        for s in self._ease(time_s):
            pose = np.eye(4)
            pose[:3, 3] = start[:3, 3] + s * twist[:3]
            pose[:3, :3] = _turned(s * twist[3:]) @ start[:3, :3]
            yield self.hold(self._solve(pose, self._aim), self._closing)

    def close(self, closing: float, time_s: float) -> Script:
        """Move the fingers."""
        start = self._closing
        yield from (self.hold(self._aim, start + s * (closing - start)) for s in self._ease(time_s / 1.9))

    def _ease(self, time_s: float) -> Iterator[float]:
        """Yield how far to have gone, without jerks, when at the fastest moving as if evenly within a time."""
        steps = max(1, round(1.9 * time_s / self.period_s))
        yield from (
            s**3 * (10.0 - 15.0 * s + 6.0 * s * s) for s in (np.arange(1, steps + 1) / steps).tolist()
        )

    def _solve(self, pose: Array, start: Array, starts: int = 1) -> Array:
        return self.chain.reach(pose, start, starts=starts, steps=12, near_m=1e-4, near_rad=1e-3).position_rad

    # ---- grasps ---------------------------------------------------------------------------------------------

    def _corners(self, closing: float) -> list[Array]:
        """Return corners and middles (…, 3) of each fingertip's shapes in the grasp frame."""
        robot, hand = self.robot, self.hand
        joints = {
            **robot.default_pose,
            **dict(zip(hand.fingers, hand.posture(closing).tolist(), strict=True)),
        }
        poses = robot.tree.link_poses(joints)
        to_grasp = np.linalg.inv(poses[robot.tree.index[hand.palm]] @ hand.grasp_in_palm)
        signs = np.stack(np.meshgrid(*[(-0.5, 0.0, 0.5)] * 3), axis=-1).reshape(-1, 3)
        found = []
        for tip in (robot.tree.index[tip] for tip in hand.tips):
            shapes, pose = robot.tree.links[tip].collisions, to_grasp @ poses[tip]
            widths = np.array([[shape.width_m(axis) for axis in np.eye(3)] for shape in shapes])
            middles = np.array([shape.pose_in_link[:3, 3] for shape in shapes])
            corners = (middles[:, None] + signs * widths[:, None]).reshape(-1, 3)
            found.append(corners @ pose[:3, :3].T + pose[:3, 3])
        return found

    def _fits(self, width_m: float) -> int:
        """Return how far closed a thing of a width just fits between the fingers."""
        return max((i for i, gap in enumerate(self._gaps) if gap >= width_m + 0.01), default=0)

    def _fit(self, width_m: float) -> tuple[float, float]:
        """Return by which angle to tilt the hand about its x axis for a thing of a width, and the tips' depth then."""
        fits = self._fits(width_m)
        thumb, other = (side[np.argmax(side[:, 2])] for side in self._tips_at[fits])
        tilt = math.atan2(thumb[2] - other[2], other[1] - thumb[1])
        down = np.array([0.0, math.sin(tilt), math.cos(tilt)])
        return tilt, max(float((side @ down).max()) for sides in self._tips_at[: fits + 1] for side in sides)

    def _plan(self, *poses: Array) -> tuple[float, Array]:
        """Return what going through poses costs the arm (bending, and what it misses), and its joints at the first."""
        aim, cost, path = self._ready, 0.0, list[Array]()
        for pose in poses:
            found = self.chain.reach(pose, aim, starts=1 if path else 2, steps=15, near_m=1e-3, near_rad=1e-2)
            cost += float(np.abs(found.position_rad - aim).max())
            cost += 100.0 * max(0.0, found.error_m + found.error_rad - MISSED)
            aim = found.position_rad
            path.append(aim)
        return cost, path[0]

    def grasp(self, name: str = "object") -> tuple[Array, Array]:
        """Return the hand's pose (4, 4) to take a thing, and the arm's joint positions above it.

        Of the directions in which to close, those across narrower sides are better, and among equals those for which
        the arm bends least from where it is ready.
        """
        thing, shapes = self.pose(name), self.task.table.told[name]
        found = []
        for yaw in np.arange(-12, 12) * (math.pi / 12.0):
            across = np.array([math.cos(yaw), math.sin(yaw), 0.0])
            pose, width_m = self.around(thing, shapes, across)
            cost, aim = self._plan(raised(pose, ABOVE_M), pose)
            reaches = np.concatenate([*self._tips_at[0], *self._tips_at[self._fits(width_m)]])
            fingers = np.linalg.inv(thing) @ pose @ np.column_stack([reaches, np.ones(len(reaches))]).T
            blocked = width_m > self._gaps[0] - 0.01 or any(_inside(shape, fingers).any() for shape in shapes)
            found.append((cost + 40.0 * width_m + 10.0 * blocked, pose, aim))
        _, pose, aim = min(found, key=lambda one: one[0])
        return pose, aim

    def around(self, thing: Array, shapes: Sequence[Shape], across: Array) -> tuple[Array, float]:
        """Return the hand's pose (4, 4) to take a thing with fingers that close across a direction, and its width."""
        table_m = thing[2, 3] + min(shape.lowest_m(np.eye(4)) for shape in shapes)
        top_m = thing[2, 3] - min(shape.lowest_m(UPSIDE_DOWN) for shape in shapes)
        width_m = shapes[0].width_m(thing[:3, :3].T @ across)
        tilt, depth_m = self._fit(width_m)
        pose = np.eye(4)
        pose[:3, :3] = (
            np.stack([np.cross(across, DOWN), across, DOWN], axis=1) @ pose_of(rpy=(tilt, 0.0, 0.0))[:3, :3]
        )
        pose[:3, 3] = thing[:3, 3]
        # Neither may the fingertips touch the table, nor the palm the thing.
        pose[2, 3] = max(pose[2, 3], table_m + depth_m + CLEARANCE_M, top_m - self._palm_m + CLEARANCE_M)
        return pose, width_m

    def take(self, name: str = "object", lift_m: float = 0.14, higher_m: float = 0.0) -> Script:
        """Grasp a thing, maybe higher than in its middle, and lift it."""
        pose, aim = self.grasp(name)
        seen_m = self.pose(name)[:3, 3]
        yield from self.go(aim)
        pose[:3, 3] += self.pose(name)[:3, 3] - seen_m + [0.0, 0.0, higher_m]
        yield from self.line(pose)
        yield from self.close(1.0, GRIP_S)
        yield from self.line(raised(self.now, lift_m), LIFT_M_S)

    def put(
        self,
        name: str,
        goal_m: Array,
        ways_m: Sequence[float] = (0.01, 0.01, 0.0),
        speed_m_s: float = SPEED_M_S,
    ) -> Script:
        """Put a thing in the hand down at a point, upright, by way of points so far above, and let go of it."""
        yield from self.bring(name, goal_m + [0.0, 0.0, ABOVE_M], SPEED_M_S)
        for up_m in ways_m:
            yield from self.bring(name, goal_m + [0.0, 0.0, up_m], speed_m_s)
        yield from self.close(0.0, LETTING_GO_S)
        yield from self.line(raised(self.now, ABOVE_M))

    def bring(self, name: str, goal_m: Array, speed_m_s: float) -> Script:
        """Bring a thing in the hand to a point, upright, as it seems to be held now, and let the arm settle."""
        thing = self.pose(name)
        wanted = facing_down(thing @ UPSIDE_DOWN) @ UPSIDE_DOWN
        wanted[:3, 3] = goal_m
        yield from self.line(wanted @ np.linalg.inv(thing) @ self.now, speed_m_s)
        yield from self.wait(SETTLING_M / speed_m_s)

    def slide(self, name: str, goal_m: Array) -> Script:
        """Slide a thing over the table to a point, between the fingers, and let go of it."""
        yield from self.take(name, lift_m=0.0)
        for speed_m_s in (PUSH_M_S, PUSH_M_S / 2.0):
            target = self.now
            target[:2, 3] += (goal_m - self.pose(name)[:3, 3])[:2]
            yield from self.line(target, speed_m_s)
        yield from self.close(0.0, LETTING_GO_S)
        yield from self.line(raised(self.now, ABOVE_M))


def raised(pose: Array, by_m: float) -> Array:
    """Return a pose (4, 4) that lies higher."""
    higher = pose.copy()
    higher[2, 3] += by_m
    return higher


def _inside(shape: Shape, points: Array) -> NDArray[np.bool_]:
    """Return which points (4, k) lie within the box about a shape."""
    own = np.linalg.inv(shape.pose_in_link) @ points
    aligned = replace(shape, pose_in_link=np.eye(4))
    half = np.array([[aligned.width_m(axis) / 2.0] for axis in np.eye(3)])
    inside: NDArray[np.bool_] = np.all(np.abs(own[:3]) < half, axis=0)
    return inside


def _turned(rotation: Array) -> Array:
    """Return the matrix (3, 3) of a rotation vector (rad): Rodrigues' formula."""
    angle = math.hypot(*rotation)
    if angle == 0.0:
        return np.eye(3)
    cross = skew(rotation / angle)
    matrix: Array = np.eye(3) + math.sin(angle) * cross + (1.0 - math.cos(angle)) * cross @ cross
    return matrix


def _reach(self: expert) -> Script:
    target = facing_down(self.now)
    target[:3, 3] = self.seen["goal"]
    yield from self.line(target)
    yield from self.wait()


def _grasp(self: expert) -> Script:
    yield from self.take()
    yield from self.wait()


def _push(self: expert) -> Script:
    yield from self.slide("object", self.seen["goal"])
    yield from self.wait()


def _place(self: expert) -> Script:
    yield from self.take()
    yield from self.put("object", self.seen["goal"])
    yield from self.wait()


def _stack(self: expert) -> Script:
    for name, below in (("second", "first"), ("third", "second")):
        yield from self.take(name)
        block = self.task.table.told[below][0]
        yield from self.put(name, self.pose(below)[:3, 3] + [0.0, 0.0, block.size[2]])
    yield from self.wait()


def _insert(self: expert) -> Script:
    yield from self.take(higher_m=0.02)
    half_m = -min(shape.lowest_m(np.eye(4)) for shape in self.task.table.told["object"])
    ways_m = [*[RIM_M] * 4, 0.7 * RIM_M, 0.4 * RIM_M, 0.0]
    yield from self.put("object", self.seen["goal"] + [0.0, 0.0, half_m], ways_m, CAREFULLY_M_S)
    yield from self.wait()


SCRIPTS: dict[str, Callable[[expert], Script]] = {
    "Reach": _reach, "Push": _push, "Grasp": _grasp, "Place": _place, "Stack": _stack, "Insert": _insert,
}  # fmt: skip
"""What to do, by the name of the task."""

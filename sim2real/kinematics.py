"""Where a hand is, how it moves with the joints, and which joints bring it somewhere.

A chain is the part of a robot between its base and a frame on one of its links. Poses are 4x4 matrices in the
frame of the robot's base link; a twist is (linear, angular) velocity of the end frame's origin, in the base's axes.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from sim2real.errors import Sim2RealError, nearest
from sim2real.linktree import NOTHING, Array, Inertial, skew
from sim2real.robots import Hand, Robot

GRAVITY_M_S2 = (0.0, 0.0, -9.81)
NEAR_SINGULAR = 0.05
"""Singular values of the Jacobian below this (in m and rad) count as near a singularity."""
DAMPING = 0.05
"""Damping factor at a singularity: with the number above, joint rates never exceed the twist divided by it."""
PATIENCE = 4
"""Steps in which a search must come a tenth nearer; if not, it begins elsewhere."""

_NEXT, _LAST = np.array([1, 2, 0]), np.array([2, 0, 1])


@dataclass(frozen=True, kw_only=True, eq=False)
class Reached:
    """What a search for a pose found: joint positions (n,), and how far from the pose the end frame is there."""

    position_rad: Array
    error_m: float
    error_rad: float

    def within(self, distance_m: float = 1e-4, angle_rad: float = 1e-3) -> bool:
        """Return whether the end frame is as near to the pose as told."""
        return self.error_m <= distance_m and self.error_rad <= angle_rad


@dataclass(frozen=True, kw_only=True, eq=False)
class Chain:
    """The joints that carry an end frame, all others of the robot resting in its default pose.

    Build it with ``Chain.to`` or ``Chain.to_hand``. Among its n joints may be some that do not move the end frame:
    their Jacobian columns are zero, and no answer moves them.

    Attributes:
        joint_names: the n joints, in the order of every array here (rad and rad/s; m and m/s where one slides).
        lower_rad: (n,) lower limits.
        upper_rad: (n,) upper limits.
        speed_rad_s: (n,) speed limits.
        moving: (k,) places among the n of the joints that move the end frame, from the base on.
        bases: (k, 4, 16) matrices, flattened, whose sum weighted by 1, cos q, sin q and q is the pose of a joint's
            frame in that of the one before; z is the joint's axis.
        end: (4, 4) pose of the end frame in the last joint's.
        slides: (k,) 1 where a joint slides, 0 where it turns.
        bodies: mass, in the joints' frames, of all that moves with each of them but not with the next.
    """

    joint_names: tuple[str, ...]
    lower_rad: Array
    upper_rad: Array
    speed_rad_s: Array
    moving: NDArray[np.intp]
    bases: Array
    end: Array
    slides: Array
    bodies: Inertial

    @staticmethod
    def to(robot: Robot, joints: Sequence[str], link: str, offset: Array | None = None) -> Chain:
        """Return the chain from the base to a frame at ``offset`` (4, 4), by default the identity, in a link.

        Raises:
            Sim2RealError: A name is unknown, or no joint among them moves the link.
        """
        wanted = [("joint", name, tuple(robot.joints)) for name in joints]
        for what, name, known in [*wanted, ("link", link, robot.link_names)]:
            if name not in known:
                raise Sim2RealError(f"robot '{robot.name}' has no {what} '{name}'.{nearest(name, known)}")
        index, by_child = robot.tree.index, {joint.child: joint for joint in robot.tree.joints}
        path, at = [], link
        while at in by_child:
            if by_child[at].name in joints:
                path.append(by_child[at])
            at = by_child[at].parent
        if not path:
            raise Sim2RealError(f"none of the joints {', '.join(joints)} moves link '{link}'.")
        merge = robot.tree.hold([joint.name for joint in path], robot.default_pose)
        tree = merge.tree(robot.tree.bodies, range(len(robot.link_names)))
        onto_z = np.eye(4)  # pose of the frame whose z is a joint's axis, in the link that it moves
        bases, bodies = [], []
        for place, joint in enumerate(tree.joints, start=1):
            before = onto_z.T @ joint.pose_in_parent
            onto_z = np.eye(4)
            onto_z[:3, :3] = _with_z(joint.axis)
            bases.append(before @ onto_z @ _PARTS[joint.kind == "prismatic"])
            bodies.append(tree.bodies[place].seen_from(onto_z.T))
        place = index[link]
        drives = [robot.joints[name] for name in joints]
        return Chain(
            joint_names=tuple(joints),
            lower_rad=np.array([drive.lower for drive in drives]),
            upper_rad=np.array([drive.upper for drive in drives]),
            speed_rad_s=np.array([drive.velocity_rad_s for drive in drives]),
            moving=np.array([tuple(joints).index(joint.name) for joint in tree.joints]),
            bases=np.array(bases).reshape(-1, 4, 16),
            end=onto_z.T @ merge.frames[place] @ (np.eye(4) if offset is None else offset),
            slides=np.array([joint.kind == "prismatic" for joint in tree.joints], float),
            bodies=Inertial(**{key: np.array([vars(body)[key] for body in bodies]) for key in vars(NOTHING)}),
        )

    @staticmethod
    def to_hand(robot: Robot, hand: Hand, joints: Sequence[str] = ()) -> Chain:
        """Return the chain to where a hand holds things, by default of its arm's joints alone."""
        return Chain.to(robot, joints or hand.arm, hand.palm, hand.grasp_in_palm)

    def pose(self, position_rad: Array) -> Array:
        """Return the pose (4, 4) of the end frame at joint positions (n,)."""
        pose: Array = self._frames(position_rad)[-1] @ self.end
        return pose

    def pose_and_jacobian(self, position_rad: Array) -> tuple[Array, Array]:
        """Return the pose (4, 4) of the end frame and its Jacobian (6, n): twist = Jacobian @ joint velocities.

        A hinge with axis a through p moves the end e with a × (e − p) and turns it with a; a slide moves it with a.
        """
        frames = self._frames(position_rad)
        pose = frames[-1] @ self.end
        axis, arm = frames[:, :3, 2], pose[:3, 3] - frames[:, :3, 3]
        jacobian = np.zeros((6, len(self.joint_names)))
        turned = _cross(axis, arm)
        if self._sliding:
            turned += self.slides[:, None] * (axis - turned)
            axis = axis * (1.0 - self.slides[:, None])
        jacobian[:3, self.moving], jacobian[3:, self.moving] = turned.T, axis.T
        return pose, jacobian

    def jacobian(self, position_rad: Array) -> Array:
        """Return the Jacobian (6, n) of the end frame at joint positions (n,)."""
        return self.pose_and_jacobian(position_rad)[1]

    def holding_nm(self, position_rad: Array, gravity_m_s2: Sequence[float] = GRAVITY_M_S2) -> Array:
        """Return the torques (n,) that hold the chain still against gravity, given in the base's axes.

        They are the gradient of the potential energy: a hinge bears −a · Σ (c − p) × m g of all that it carries.
        """
        frames = self._frames(position_rad)
        mass, gravity = self.bodies.mass_kg, np.array(gravity_m_s2)
        centres = (frames[:, :3, :3] @ self.bodies.com_m[:, :, None])[:, :, 0] + frames[:, :3, 3]
        carried = np.cumsum(mass[::-1])[::-1, None]
        moment = np.cumsum((mass[:, None] * centres)[::-1], axis=0)[::-1] - carried * frames[:, :3, 3]
        torque = np.zeros(len(self.joint_names))
        bears = _cross(moment, gravity)
        if self._sliding:
            bears += self.slides[:, None] * (carried * gravity - bears)
        torque[self.moving] = -(frames[:, :3, 2] * bears).sum(1)
        return torque

    def velocity(
        self,
        position_rad: Array,
        twist: Array,
        *,
        period_s: float,
        posture_rad: Array | None = None,
        posture_rate: float = 1.0,
    ) -> Array:
        """Return joint velocities (n,) that give the end frame a twist and break no limit within the period.

        Freedom that the twist leaves goes towards a posture. Near singularities the solution is damped: the end
        frame then moves less than asked for, never faster.

        Args:
            position_rad: (n,) where the joints are.
            twist: (6,) in m/s and rad/s, or (3,): linear only, and free to turn.
            period_s: how long the velocities will last.
            posture_rad: (n,) where the joints would rather be.
            posture_rate: at which fraction of the way there, per second.
        """
        low = np.maximum(-self.speed_rad_s, (self.lower_rad - position_rad) / period_s)
        high = np.minimum(self.speed_rad_s, (self.upper_rad - position_rad) / period_s)
        jacobian = self.jacobian(position_rad)[: len(twist)]
        rates, free = _resolved(jacobian, twist, low, high)
        if posture_rad is not None:
            wish = posture_rate * (posture_rad - position_rad)[free]
            rates[free] += _unfelt(jacobian[:, free], wish, (low - rates)[free], (high - rates)[free])
        return rates

    def reach(
        self,
        target: Array,
        start_rad: Array,
        *,
        turned: bool = True,
        starts: int = 32,
        steps: int = 60,
        near_m: float = 1e-6,
        near_rad: float = 1e-5,
    ) -> Reached:
        """Return the joint positions within limits that bring the end frame to a pose, or as near as was found.

        Levenberg-Marquardt, damped by half the squared error (Sugihara, IEEE Transactions on Robotics 27, 2011)
        and with the limits of ``velocity``, from ``start_rad`` first and then from places spread evenly over the
        joints' ranges, the same in every call. Look at the errors: a pose may be out of reach.

        Args:
            target: (4, 4) pose in the base's frame.
            start_rad: (n,) where to begin.
            turned: whether the orientation matters as well; if not, ``error_rad`` is 0.
            starts: how many beginnings to try.
            steps: how many steps to take from each at most.
            near_m: distance that ends the search.
            near_rad: angle that ends it.
        """
        rows = 6 if turned else 3
        best = Reached(position_rad=start_rad, error_m=math.inf, error_rad=math.inf)
        for position in self._spread(start_rad, starts):
            sizes: list[float] = []
            while len(sizes) <= steps:
                pose, jacobian = self.pose_and_jacobian(position)
                error = twist_between(pose, target)[:rows]
                sizes.append(math.hypot(*error))
                if sizes[-1] < math.hypot(best.error_m, best.error_rad):
                    metres, radians = math.hypot(*error[:3]), math.hypot(*error[3:])
                    best = Reached(position_rad=position, error_m=metres, error_rad=radians)
                    if best.within(near_m, near_rad):
                        return best
                if len(sizes) > PATIENCE and sizes[-1] > 0.9 * sizes[-1 - PATIENCE]:
                    break
                low, high = self.lower_rad - position, self.upper_rad - position
                damping = 0.5 * sizes[-1] ** 2 + 1e-6
                position = position + _resolved(jacobian[:rows], error, low, high, damping)[0]
        return best

    def _frames(self, position_rad: Array) -> Array:
        """Return the poses (k, 4, 4) of the joints' frames, z along their axes."""
        q = position_rad[self.moving]
        weights = np.ones((len(q), 1, 4))
        np.cos(q, out=weights[:, 0, 1])
        np.sin(q, out=weights[:, 0, 2])
        weights[:, 0, 3] = q
        frames: Array = (weights @ self.bases).reshape(-1, 4, 4)
        for place in range(1, len(frames)):
            frames[place] = frames[place - 1].dot(frames[place])
        return frames

    @cached_property
    def _sliding(self) -> bool:
        return bool(self.slides.any())

    def _spread(self, start_rad: Array, count: int) -> Iterator[Array]:
        """Yield the start, then points of Roberts' additive sequence over the ranges (a full turn where endless)."""
        low, high = self.lower_rad[self.moving], self.upper_rad[self.moving]
        low, high = np.where(np.isfinite(low), low, -np.pi), np.where(np.isfinite(high), high, np.pi)
        start = np.clip(start_rad, self.lower_rad, self.upper_rad)
        yield start
        golden = 2.0
        for _ in range(30):  # the root of g^(k+1) = g + 1 generalises the golden ratio to k dimensions
            golden = (1.0 + golden) ** (1.0 / (len(low) + 1))
        strides = golden ** -np.arange(1.0, len(low) + 1)
        for i in range(1, count):
            point = start.copy()
            point[self.moving] = low + (high - low) * ((0.5 + i * strides) % 1.0)
            yield point


def twist_between(pose: Array, target: Array) -> Array:
    """Return the twist (6,) that in one second moves a pose (4, 4) straight to another, turning about one axis.

    >>> twist_between(np.eye(4), np.diag([-1.0, -1.0, 1.0, 1.0])).round(3).tolist()
    [0.0, 0.0, 0.0, 0.0, 0.0, 3.142]
    """
    turn = target[:3, :3] @ pose[:3, :3].T
    axis = np.array([turn[2, 1] - turn[1, 2], turn[0, 2] - turn[2, 0], turn[1, 0] - turn[0, 1]])
    sine, cosine = 0.5 * math.hypot(*axis), 0.5 * (turn[0, 0] + turn[1, 1] + turn[2, 2] - 1.0)
    if sine < 1e-7 and cosine < 0.0:  # half a turn: R + 1 is 2 a aᵀ
        column = int(np.argmax(np.diag(turn)))
        axis, sine = (turn + np.eye(3))[:, column], 0.0
    length = math.hypot(*axis)
    angle = math.atan2(sine, cosine)
    return np.concatenate((target[:3, 3] - pose[:3, 3], axis * (angle / length if length else 0.0)))


def facing_down(pose: Array) -> Array:
    """Return a pose (4, 4) turned by the smallest angle that lets its z axis point straight down.

    One that faces straight up stays, as no angle is the smallest.

    >>> facing_down(np.array([[1.0, 0, 0, 5], [0, 0, 1, 6], [0, -1, 0, 7], [0, 0, 0, 1]]))[:3, 1:].tolist()
    [[0.0, 0.0, 5.0], [-1.0, 0.0, 6.0], [0.0, -1.0, 7.0]]
    """
    down, turned = np.array([0.0, 0.0, -1.0]), pose.copy()
    cross = skew(np.cross(pose[:3, 2], down))
    turned[:3, :3] += (cross + cross @ cross / max(1.0 + float(pose[:3, 2] @ down), 1e-12)) @ pose[:3, :3]
    return turned


def _resolved(
    jacobian: Array, twist: Array, low: Array, high: Array, damping: float | None = None
) -> tuple[Array, NDArray[np.intp]]:
    """Return the rates (n,) within limits that best give a twist, and the places of those that no limit set.

    Damped least squares by singular values: 1/s becomes s/(s² + d). Unless told d is 0, and below ε it grows to
    (1 − (s/ε)²) λ² (numerical filtering; Chiaverini, IEEE Transactions on Robotics and Automation 13, 1997). What
    would break a limit is set to it, and the rest solved again (as in Flacco, De Luca, Khatib, ICRA 2012).
    """
    rates, free, left = np.zeros(len(low)), np.arange(len(low)), twist
    while len(free):
        u, s, vt = np.linalg.svd(jacobian[:, free], full_matrices=False)
        if damping is None:
            damped = s * s + DAMPING**2 * np.maximum(0.0, 1.0 - (s / NEAR_SINGULAR) ** 2)
        else:
            damped = s * s + damping
        wanted = vt.T @ (s / damped * (u.T @ left))
        rates[free] = kept = np.minimum(np.maximum(wanted, low[free]), high[free])
        inside = kept == wanted
        if inside.all():
            break
        left = left - jacobian[:, free[~inside]] @ kept[~inside]
        free = free[inside]
    return rates, free


def _unfelt(jacobian: Array, wish: Array, low: Array, high: Array) -> Array:
    """Return the part of a wish (n,) that the end frame does not feel, shortened to limits with low ≤ 0 ≤ high.

    The wish is projected on the Jacobian's null space (Liégeois, IEEE Transactions on Systems, Man, and
    Cybernetics 7, 1977). A joint that is at a limit and would move on is left out, and the rest projected again.
    """
    rates, free = np.zeros(len(wish)), np.arange(len(wish))
    while len(free):
        felt = np.linalg.svd(jacobian[:, free], full_matrices=False)[2]
        aside = wish[free] - felt.T @ (felt @ wish[free])
        room, size = np.where(aside > 0, high[free], -low[free]), np.maximum(np.abs(aside), 1e-12)
        if (moves := (room > 1e-12) | (size <= 1e-12)).all():
            rates[free] = min(1.0, (room / size).min()) * aside
            break
        free = free[moves]
    return rates


def _cross(a: Array, b: Array) -> Array:
    """Return the cross products of rows (k, 3), five times as fast as numpy's."""
    first, second = a[..., _NEXT] * b[..., _LAST], a[..., _LAST] * b[..., _NEXT]
    difference: Array = first - second
    return difference


def _with_z(axis: Array) -> Array:
    """Return a rotation (3, 3) whose third column is a unit vector."""
    x = np.cross(axis, np.eye(3)[int(np.argmin(np.abs(axis)))])
    x /= np.linalg.norm(x)
    return np.column_stack((x, np.cross(axis, x), axis))


def _parts(slides: bool) -> Array:
    """Return the matrices (4, 4, 4) whose sum weighted by 1, cos q, sin q, q is a motion q along or about z."""
    parts = np.zeros((4, 4, 4))
    if slides:
        parts[0], parts[3, 2, 3] = np.eye(4), 1.0
    else:
        parts[0, 2:, 2:], parts[1, :2, :2] = np.eye(2), np.eye(2)
        parts[2, :3, :3] = skew(np.array([0.0, 0.0, 1.0]))
    return parts


_PARTS = (_parts(slides=False), _parts(slides=True))

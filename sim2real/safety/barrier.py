"""Closed-form shields for the joints of a robot: inequalities that are linear in what each motor is told.

In a control period every joint is taken for an inertia of its own, pulled by its motor controller and by nothing
else that is known,

    I q̈ = g u − kp q − kd q̇ + d        (position control: g = kp; torque control: g = 1, kp = kd = 0)

and is followed through the physics ticks of the period, v ← v + dt q̈, q ← q + dt v, just as the engine does it. So
position, velocity and torque at every tick are linear in (q, q̇, u), and a limit on any of them is a bound on u.

What the model leaves out stands in two numbers: the inertia I, from the least to the most that a joint can weigh over
all poses, with the other joints limp, 1 / (M⁻¹)ᵢᵢ, or stiff, Mᵢᵢ; and the torque d, which is anything up to a bound.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from sim2real.errors import Sim2RealError
from sim2real.safety.shields import Array, Guard, check
from sim2real.safety.step import Step

Limit = tuple[Array, Array, Array, Array]

POSES = 64
"""How many poses stand for all when inertias are compared."""

NO_HOLD = 1e-9
"""A limit on something that the action moves by less than this (rad, rad/s or N m per unit) binds no action."""


class Joints:
    """What is known of the n joints of a robot before it moves; arrays are (n,), in the order of the actions.

    Args:
        env: an environment of this package, which may be wrapped.
        name: of the shield that asks.

    Raises:
        Sim2RealError: for another environment, one whose observations a wrapper has reshaped, or one with actions that
            are not one per joint.
    """

    def __init__(self, env: Any, name: str) -> None:
        bare = env.unwrapped
        terms = getattr(bare, "observation_terms", {})
        if not hasattr(getattr(bare, "sim", None), "engine") or not {
            "joint_position",
            "joint_velocity",
        } <= set(terms):
            raise Sim2RealError(
                f"The shield '{name}' needs an environment of this package, with joints to read: elsewhere, fit a "
                "LearnedLayer to a constraint, or limit actions with a RateLimit."
            )
        if env.observation_space.shape != bare.observation_space.shape:
            raise Sim2RealError(f"The shield '{name}' must be inside the wrapper that reshapes observations.")
        self.sim = sim = bare.sim
        if tuple(bare.action_names) != sim.joint_names:
            raise Sim2RealError(
                f"The shield '{name}' needs actions that are one number per joint (of a hand, too)."
            )
        drives = [sim.robot.joints[joint] for joint in sim.joint_names]
        self.index = np.r_[terms["joint_position"], terms["joint_velocity"]]
        self.terms = terms
        self.effort_nm = np.array([drive.effort_nm for drive in drives])
        self.speed_rad_s = np.array([drive.velocity_rad_s for drive in drives])
        self.lower_rad, self.upper_rad = sim.lower_rad.copy(), sim.upper_rad.copy()
        self.offset, self.scale = bare.action_offset.copy(), bare.action_scale.copy()
        self.by_torque = bare.control == "torque"
        endless = np.isinf(self.upper_rad - self.lower_rad)
        self.range_rad = np.where(endless, 2.0 * np.pi, self.upper_rad - self.lower_rad)
        start = np.where(endless, sim.default_pose - np.pi, self.lower_rad)
        self._weigh(start + self.range_rad * spread(POSES, len(drives)))

    def _weigh(self, poses: Array) -> None:
        """Find the least and the most that each joint weighs, and what the others can do to it."""
        n = poses.shape[1]
        matrices = np.array([self.sim.engine.mass_matrix(pose.tolist()) for pose in poses])
        held = np.abs(matrices[:, -n:, -n:]).max(axis=0)
        self.heavy_kgm2: Array = np.diag(held).copy()
        limp = np.diagonal(np.linalg.inv(matrices), axis1=1, axis2=2)[:, -n:]
        self.light_kgm2: Array = 1.0 / limp.max(axis=0)
        np.fill_diagonal(held, 0.0)
        self.coupled_nm: Array = held @ (self.effort_nm / self.heavy_kgm2)

    def gains(self) -> tuple[Array, Array, Array]:
        """Return g, kp and kd of now: a policy may have brought its own."""
        if self.by_torque:
            return np.ones_like(self.effort_nm), np.zeros_like(self.effort_nm), np.zeros_like(self.effort_nm)
        return self.sim.kp, self.sim.kp, self.sim.kd

    def respond(self, inertia_kgm2: Array) -> tuple[Array, Array, Array]:
        """Return position, velocity and torque at every tick of a control period as functions of (q, q̇, u).

        Each is (ticks, 3, n): per tick the coefficients of q, q̇ and u. The torque is the one that leads to the
        velocity of its tick.
        """
        (gain, kp, kd), dt = self.gains(), self.sim.physics_period_s
        position, velocity, target = np.eye(3)[:, :, None] * np.ones_like(inertia_kgm2)
        ticks = []
        for _ in range(self.sim.ticks):
            torque = gain * target - kp * position - kd * velocity
            velocity = velocity + dt / inertia_kgm2 * torque
            position = position + dt * velocity
            ticks.append((position, velocity, torque))
        found: tuple[Array, Array, Array] = tuple(map(np.array, zip(*ticks, strict=True)))  # type: ignore[assignment]
        return found

    def room_rad(self, margin_rad: float) -> tuple[Array, Array]:
        """Return the ends of what is left of every joint's range inside a margin, at least half of it."""
        margin = np.minimum(margin_rad, 0.25 * self.range_rad)
        return self.lower_rad + margin, self.upper_rad - margin

    def reach_s(self, braking: float) -> Array:
        """Return the time τ of the barrier, τ² = I range / (braking · effort), at least a control period.

        A joint that brakes along its barrier, q̇ = (stop − q)/τ, decelerates by q̇/τ ≤ range/τ².
        """
        slow = np.sqrt(self.heavy_kgm2 * self.range_rad / (braking * self.effort_nm))
        reach_s: Array = np.maximum(slow, self.sim.control_period_s)
        return reach_s


class Bounded:
    """The guard of a shield whose limits are linear: bounds on every component of the action.

    Where two limits contradict each other the component ends between them.

    Args:
        joints: whose limits they are.
        limits: makes what is limited: (coefficients (3, n) of q, q̇ and u; lowest (n,); highest (n,); torque (n,)
            that may act beside the motor), as it is now.
    """

    def __init__(self, joints: Joints, limits: Callable[[], Iterator[Limit]]) -> None:
        self._joints, self._limits = joints, limits
        self._n = len(joints.effort_nm)
        self.reset()

    def reset(self) -> None:
        """Take over the gains of now."""
        joints = self._joints
        per_torque = 1.0 / (joints.gains()[0] * joints.scale)
        constants, slopes = [], []
        for (of_position, of_velocity, of_target), low, high, beside_nm in self._limits():
            gain = of_target * joints.scale
            moved = np.abs(gain) > NO_HOLD
            gain = np.where(moved, gain, 1.0)
            still = of_target * joints.offset
            ends = np.sort(np.stack([(low - still) / gain, (high - still) / gain]), axis=0)
            slope = np.hstack([np.diag(of_position / gain), np.diag(of_velocity / gain)])
            # Upper bounds, and lower ones with their sign changed, so that one minimum finds both.
            for end, sign in ((ends[1], 1.0), (-ends[0], -1.0)):
                constants.append(np.where(moved, end - per_torque * beside_nm, np.inf))
                slopes.append(np.where(moved[:, None], sign * slope, 0.0))
        self._constants, self._slopes = np.concatenate(constants), np.concatenate(slopes)

    @property
    def infeasible(self) -> bool:
        """Whether limits contradicted each other."""
        return bool((self._lower > self._upper).any())

    def __call__(self, step: Step) -> Array:
        """Return the nearest action within the bounds."""
        state = step.observation[self._joints.index].astype(np.float64)
        bounds = self._constants - self._slopes @ state
        closest = np.minimum.reduce(bounds.reshape(-1, 2 * self._n), axis=0)
        self._upper = upper = closest[: self._n]
        self._lower = lower = -closest[self._n :]
        first, last = np.minimum(lower, upper), np.maximum(lower, upper)
        nearest: Array = np.minimum(np.maximum(step.action, first), last)
        return nearest


@dataclass(frozen=True, kw_only=True)
class JointBarrier:
    """Keep every joint off its stops and below its speed, by bounds on what its motor is told.

    The barrier is q + τ q̇ ≤ upper − margin, and likewise below: a joint may approach its stop as fast as it can
    brake. It and the speed limit are held at the first and the last physics tick of the control period, both for a
    joint that is as heavy as it gets and has a torque of up to ``disturbance`` on it beside its motor, and for one
    that is as light as it gets because the others give way (then they do not push it to its stop either).

    That is as much as is promised: for joints as read, gains and masses as described, motors that do as they are
    told (put a `TorqueClamp` behind it), and while the bounds do not contradict each other. The weight of a robot
    that topples over its foot is more than an ankle's motor can hold: put a `Recovery` before it.

    Attributes:
        margin_rad: distance from the stops, where that leaves at least half of a joint's range.
        speed: fraction of the rated speed.
        braking: part of the effort that τ reckons with for braking; the rest is for gravity and other joints.
        disturbance: unknown torque, as a fraction of the effort; never more than the other joints together can
            do to a joint by their own inertia.

    Raises:
        Sim2RealError: for numbers out of range.
    """

    name: ClassVar[str] = "joint_barrier"

    margin_rad: float = 0.05
    speed: float = 0.9
    braking: float = 0.35
    disturbance: float = 0.2

    def __post_init__(self) -> None:
        check(self, speed=1.0, braking=1.0)
        check(self, zero=True, margin_rad=np.inf, disturbance=1.0)

    def bind(self, env: Any) -> Guard:
        """Return the barrier for an environment's joints."""
        return self.around(Joints(env, self.name))

    def around(self, joints: Joints) -> Bounded:
        """Return the barrier for joints."""
        reach_s = joints.reach_s(self.braking)
        speed = self.speed * joints.speed_rad_s
        lower, upper = joints.room_rad(self.margin_rad)

        most = np.minimum(self.disturbance * joints.effort_nm, self.braking * joints.coupled_nm)

        def limits() -> Iterator[Limit]:
            # A joint is light where the others give way, which then do not push it towards its stop.
            for inertia, beside in ((joints.light_kgm2, 0.0 * most), (joints.heavy_kgm2, most)):
                position, velocity, _ = joints.respond(inertia)
                for tick in (0, -1):
                    yield position[tick] + reach_s * velocity[tick], lower, upper, beside
                    yield velocity[tick], -speed, speed, most

        return Bounded(joints, limits)


@dataclass(frozen=True, kw_only=True)
class TorqueClamp:
    """Hold what the motor controllers ask for below a fraction of the effort limit.

    In the first physics tick of the control period that is exact for what is read,
    `|kp (u − q) − kd q̇| ≤ fraction · effort`; in the last it holds for a joint on its own, light or heavy.

    Attributes:
        fraction: of the effort limit; a little below the one that must not be exceeded.

    Raises:
        Sim2RealError: unless it lies above 0 and not above 1.
    """

    name: ClassVar[str] = "torque_clamp"

    fraction: float = 0.85

    def __post_init__(self) -> None:
        check(self, fraction=1.0)

    def bind(self, env: Any) -> Bounded:
        """Return the clamp for an environment's motors."""
        return self.around(Joints(env, self.name))

    def around(self, joints: Joints) -> Bounded:
        """Return the clamp for the motors of joints."""
        effort = self.fraction * joints.effort_nm

        def limits() -> Iterator[Limit]:
            light, heavy = (joints.respond(of)[2] for of in (joints.light_kgm2, joints.heavy_kgm2))
            for torque in (light[0], light[-1], heavy[-1]):
                yield torque, -effort, effort, 0.0 * effort

        return Bounded(joints, limits)


@dataclass(frozen=True, kw_only=True)
class SoftLimits:
    """Tell no joint to leave the middle part of its range: legged_gym's ``soft_dof_pos_limit``, made a shield.

    Where the joint goes is another matter: it promises nothing about a robot that pushes a joint beyond where it is
    told to be. What it has over `JointBarrier` is that it leaves a joint all its speed, so that a gait survives it.

    Attributes:
        fraction: of the range, around its middle.

    Raises:
        Sim2RealError: unless it lies above 0 and not above 1.
    """

    name: ClassVar[str] = "soft_limits"

    fraction: float = 0.9

    def __post_init__(self) -> None:
        check(self, fraction=1.0)

    def bind(self, env: Any) -> Guard:
        """Return the limiter for an environment's joints, which are told where to be.

        Raises:
            Sim2RealError: if they are told a torque instead.
        """
        joints = Joints(env, self.name)
        if joints.by_torque:
            raise Sim2RealError(
                f"The shield '{self.name}' limits the positions joints are told; these are told torques."
            )
        spared_rad = 0.5 * (1.0 - self.fraction) * joints.range_rad
        lower, upper = joints.lower_rad + spared_rad, joints.upper_rad - spared_rad
        target = np.outer((0.0, 0.0, 1.0), np.ones_like(lower))

        def limits() -> Iterator[Limit]:
            yield target, lower, upper, np.zeros_like(lower)

        return Bounded(joints, limits)


def spread(count: int, dimensions: int) -> Array:
    """Return points (count, dimensions) that fill the unit cube evenly: Roberts' R sequence.

    Its steps are powers of 1/φ with φ^(d+1) = φ + 1 ("The unreasonable effectiveness of quasirandom sequences", 2018).

    >>> spread(3, 1).ravel().round(3).tolist()
    [0.118, 0.736, 0.354]
    """
    ratio = 2.0
    for _ in range(64):
        ratio = (1.0 + ratio) ** (1.0 / (dimensions + 1))
    steps = ratio ** -np.arange(1.0, dimensions + 1.0)
    points: Array = (0.5 + np.outer(np.arange(1, count + 1), steps)) % 1.0
    return points

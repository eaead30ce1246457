"""How short the physics period has to be for stiff motors.

Motors are integrated with explicit stiffness and implicit damping (``sim2real.actuators``): with v and then q stepped
as engines do, deviations obey M (q₊ − 2 q + q₋) = −h² K q − h D (q₊ − q). A mode x zⁿ with m = xᵀM x, k = xᵀK x and
d = xᵀD x has (m + h d) z² − (2 m + h d − h² k) z + m = 0, whose roots lie within the unit circle if and only if
h² k < 4 m + 2 h d (Jury). Damping, however strong, only helps.
"""

import math
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from sim2real.errors import Sim2RealError

Array = NDArray[np.float64]

FLOOR_S = 1e-4
"""The shortest period that a control period is divided into."""

MARGIN = 0.5
"""Share of the inertia that is counted on: at all of it a mode swings from tick to tick for ever."""


def longest_period_s(inertia: Array, kp: Array, kd: Array) -> Array:
    """Return for each joint (n,) the longest stable period, where it moves at least ``inertia`` (n,); inf without kp.

    It holds in every posture and contact: M minus the rotors is positive semidefinite.

    >>> longest_period_s(np.array([0.01]), np.array([200.0]), np.array([0.0])).round(6).tolist()  # √(2 a/k)
    [0.01]
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        found: Array = (kd + np.sqrt(kd * kd + 4.0 * MARGIN * inertia * kp)) / kp
    return np.where(kp > 0.0, found, math.inf)


def stable_ticks(
    control_period_s: float,
    ticks: int,
    *,
    names: Sequence[str],
    armature: Array,
    kp: Array,
    kd: Array,
    inertia: Callable[[], Array],
) -> int:
    """Return into how many ticks, ``ticks`` or more, a control period has to be divided.

    Args:
        control_period_s: what is divided.
        ticks: into how many parts at least.
        names: of the n joints.
        armature: (n,) in kg m².
        kp: (n,) in N m/rad, as the joint feels it.
        kd: (n,) in N m s/rad, as the joint feels it.
        inertia: returns the (n, n) joint-space inertia, rotors included; asked only if the rotors do not suffice.

    Raises:
        Sim2RealError: The period would fall below ``FLOOR_S``; the sentence names the joint.
    """
    by_rotors = longest_period_s(armature, kp, kd)
    if (by_rotors * ticks >= control_period_s).all():
        return ticks
    moments = 4.0 * MARGIN * inertia()

    def worst(count: int) -> tuple[float, int]:
        """Return the largest share of what a mode may have, and the joint that has the largest part in it."""
        h = control_period_s / count
        load = h * h * kp - 2.0 * h * kd
        low = np.linalg.inv(np.linalg.cholesky(moments))
        shares, modes = np.linalg.eigh((low * load) @ low.T)
        return shares[-1], int(np.argmax(kp * (low.T @ modes[:, -1]) ** 2))

    most = math.floor(control_period_s / FLOOR_S + 1e-9)
    share, joint = worst(max(ticks, most))
    if share >= 1.0:
        raise Sim2RealError(
            f"joint '{names[joint]}' with kp {kp[joint]:g} and kd {kd[joint]:g} would need a physics period below "
            f"{FLOOR_S:g} s to be stable: lower its kp or strength, raise its kd, or raise its armature "
            f"(now {armature[joint]:g})."
        )
    while worst(ticks)[0] >= 1.0:
        ticks += 1
    return ticks

"""Constraints by name, each one sentence: functions that return `Constraint` values."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from sim2real.errors import Sim2RealError
from sim2real.safety.constraint import Constraint, number
from sim2real.safety.quantities import QUANTITIES

Point = Sequence[float]
Rated = float | Mapping[str, float] | None


def joint_position(margin_rad: float = 0.05, *, joints: Sequence[str] | None = None) -> Constraint:
    """Every joint, or each one named, stays this far from its stops; the value is how far the worst is past one (rad).

    >>> joint_position().label
    'joint_position at least 0.05 rad'
    """
    return _made("joint_position", -margin_rad, scale=0.1, **_given(joints=joints))


def joint_velocity(limit: float = 1.0, *, rated: Rated = None) -> Constraint:
    """No joint is faster than this fraction of its rated speed.

    Args:
        limit: the fraction.
        rated: speed in rad/s (m/s of a slide) of all joints, or by joint of those that count; None for what the robot's
            description says.
    """
    return _made("joint_velocity", limit, scale=0.1, **_given(rated=_rated("joint_velocity", rated)))


def torque(limit: float = 0.9, *, rated: Rated = None) -> Constraint:
    """No joint's torque, at the end of the step, is above this fraction of its effort limit.

    The motors saturate at the whole of it, so a limit of 1 is one that nothing violates.

    Args:
        limit: the fraction.
        rated: effort limit in N m (N of a slide) of all joints, or by joint of those that count; None for what the
            robot's description says.
    """
    return _made("torque", limit, scale=0.1, **_given(rated=_rated("torque", rated)))


def power(limit_w: float) -> Constraint:
    """The joints' absolute mechanical power, summed over joints and averaged over the step, stays below this."""
    return _made("power", limit_w)


def action_rate(limit_per_s: float) -> Constraint:
    """No component of the action changes faster than this, in units of the action per second.

    The action is the one that arrives at `Constrained`: a shield outside has acted on it, one inside has not.
    """
    return _made("action_rate", limit_per_s)


def torso_tilt(limit_rad: float = 0.8) -> Constraint:
    """The base's axis leans no further from the vertical than this.

    0.8 rad is the roll at which Unitree's deployment code stops its robots.
    """
    return _made("torso_tilt", limit_rad, scale=0.2)


def base_height(least_m: float) -> Constraint:
    """The base's frame stays this high above the ground under it; the value is its negative height (m)."""
    return _made("base_height", -least_m, scale=0.1)


def foot_slip(limit_m_s: float, *, links: Sequence[str] | None = None) -> Constraint:
    """No foot, or link named, that bears load moves over the ground faster than this, at its centre of mass."""
    return _made("foot_slip", limit_m_s, **_given(links=links))


def foot_impact(limit_n: float, *, links: Sequence[str] | None = None) -> Constraint:
    """The ground presses on no foot, or link named, harder than this, in the last physics tick of the step."""
    return _made("foot_impact", limit_n, **_given(links=links))


def self_collision(limit_n: float = 0.0) -> Constraint:
    """The links of the robot do not press on each other harder than this in sum.

    It takes an engine that simulates these contacts (``sim.engine.self_collision``) and tells them
    (``sim.engine.contacts()``); a MuJoCo model in somebody else's environment does both, PyBullet does not tell.
    """
    return _made("self_collision", limit_n, scale=100.0)


def forbidden_contact(links: Sequence[str] | None = None, limit_n: float = 0.0) -> Constraint:
    """The ground presses no harder than this on the links named, or on all but the feet."""
    return _made("forbidden_contact", limit_n, scale=100.0, links=links)


def workspace(low_m: Point, high_m: Point, link: str | None = None) -> Constraint:
    """A link's frame, or the base's, stays in a box of the world; the value is how far it is outside (m)."""
    if not (len(low_m) == len(high_m) == 3 and all(a <= b for a, b in zip(low_m, high_m, strict=True))):
        raise Sim2RealError(
            f"workspace takes two corners (x, y, z), the lower first, not {low_m} and {high_m}."
        )
    low, high = ([float(x) for x in corner] for corner in (low_m, high_m))
    return _made("workspace", 0.0, scale=0.1, low_m=low, high_m=high, link=link)


def end_effector_speed(links: Sequence[str], limit_m_s: float = 0.25) -> Constraint:
    """No link named is faster than this, at its centre of mass.

    0.25 m/s is the reduced speed at which ISO 10218-1 lets a person work beside a robot.
    """
    if isinstance(links, str) or not links:
        raise Sim2RealError(f"end_effector_speed takes a sequence of link names, not {links!r}.")
    return _made("end_effector_speed", limit_m_s, links=links)


def grip_force(limit_n: float) -> Constraint:
    """The hand holds with no more force than this, as ``task.grip_force_n`` of the environment says."""
    return _made("grip_force", limit_n)


def object_drop(least_m: float) -> Constraint:
    """The object stays this high in the world (``task.object_in_world``); the value is its negative height (m)."""
    return _made("object_drop", -least_m, scale=0.1)


def custom(
    fn: Callable[..., float] | str,
    limit: float = 0.0,
    *,
    unit: str = "",
    name: str | None = None,
    scale: float | None = None,
) -> Constraint:
    """Any function (observation, action, info) -> float of any environment stays below the limit.

    Args:
        fn: a function at the top level of a module, or its name "module:function".
        limit: the largest allowed value.
        unit: of what it returns.
        name: how records call it; None for the function's own name.
        scale: see `Constraint`.

    Raises:
        Sim2RealError: if the function has no importable name.
    """
    if not isinstance(fn, str):
        own = getattr(fn, "__qualname__", "<")
        if any(sign in own for sign in "<."):
            raise Sim2RealError(f"custom takes a function at the top level of a module, not {fn!r}.")
        fn = f"{fn.__module__}:{own}"
    return Constraint(
        name=name or fn.rpartition(":")[2],
        quantity=fn,
        limit=limit,
        unit=unit,
        scale=_scale(limit) if scale is None else scale,
    )


def _made(quantity: str, limit: float, scale: float | None = None, **arguments: Any) -> Constraint:
    made = Constraint(
        name=quantity,
        quantity=quantity,
        limit=limit,
        unit=QUANTITIES[quantity].unit,
        arguments=tuple(arguments.items()),
    )
    return replace(made, scale=_scale(made.limit) if scale is None else scale)


def _given(**arguments: Any) -> dict[str, Any]:
    """Return the arguments that are not None: what is left out stays out of the records."""
    return {name: value for name, value in arguments.items() if value is not None}


def _rated(name: str, rated: Rated) -> Any:
    """Return ratings as a number or sorted pairs.

    Raises:
        Sim2RealError: unless all are positive numbers.
    """
    if rated is None:
        return None
    pairs = sorted(rated.items()) if isinstance(rated, Mapping) else [("", rated)]
    found = [(joint, number(value, f"{name}: rated")) for joint, value in pairs]
    if not found or min(value for _, value in found) <= 0.0:
        raise Sim2RealError(
            f"{name}: rated is a positive number, or one for each joint named, not {rated!r}."
        )
    return found if isinstance(rated, Mapping) else found[0][1]


def _scale(limit: float) -> float:
    """Return the excess that counts as a whole violation where nothing better is known: as much as the limit."""
    return abs(limit) or 1.0

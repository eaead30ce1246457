"""What a critic may know in training and no robot can measure."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from sim2real.errors import Sim2RealError, nearest
from sim2real.training.symmetry import TURNING, VECTOR, Mirror

_SIDED = ("left", "right", "_y", "yaw", "roll")


@dataclass(frozen=True, kw_only=True)
class Truth:
    """Some true values of a simulation: how to read them of an environment, and their mirror image."""

    read: Callable[[Any], Sequence[float]]
    mirror: Mirror


def _signs(*signs: float) -> Mirror:
    return Mirror(np.arange(len(signs)), np.array(signs, np.float32))


def _velocity(env: Any) -> Sequence[float]:
    return env.sim.base_velocity_m_s @ np.array(env.sim.base_in_world)  # type: ignore[no-any-return]


def _turning(env: Any) -> Sequence[float]:
    turning = np.array(env.sim.base_angular_velocity_rad_s) @ np.array(env.sim.base_in_world)
    return 0.25 * turning  # type: ignore[no-any-return]


def _height(env: Any) -> Sequence[float]:
    return (10.0 * (env.sim.clearance_m - env.sim.base_height_m),)


def _contact(env: Any) -> Sequence[float]:
    down = {link for link, force_n in env.sim.ground_contacts if force_n > 1.0}
    return [float(foot in down) for foot in env.sim.feet]


TRUTHS: Mapping[str, Truth] = {
    "velocity": Truth(read=_velocity, mirror=_signs(*VECTOR)),  # of the base, m/s, its own axes
    "turning": Truth(read=_turning, mirror=_signs(*TURNING)),  # of the base, rad/s, its own axes; × 0.25
    "height": Truth(read=_height, mirror=_signs(1.0)),  # of the base above its standing height, dm
    "contact": Truth(
        read=_contact, mirror=Mirror(np.array([1, 0]), np.ones(2, np.float32))
    ),  # feet that are down
}


def truths(names: Sequence[str], env: Any) -> tuple[Truth, ...]:
    """Return what privileged names stand for in an unwrapped environment.

    Raises:
        Sim2RealError: a name that stands for nothing there.
    """
    found = []
    for name in names:
        kind, _, parameter = name.rpartition(":")
        if kind == "parameter" and parameter in env.parameters.names():
            found.append(_of_parameter(parameter, env))
        elif name in TRUTHS:
            found.append(TRUTHS[name])
        else:
            known = (*TRUTHS, *(f"parameter:{one}" for one in env.parameters.names()))
            raise Sim2RealError(f"A critic cannot be told '{name}'.{nearest(name, known)}")
    return tuple(found)


def _of_parameter(name: str, env: Any) -> Truth:
    """Return a parameter as its distance from nominal, as a share of it where it is not 0."""
    nominal, get = env.parameters.spec(name).nominal, env.parameters.get
    if any(sign in name for sign in _SIDED):
        raise Sim2RealError(f"'{name}' belongs to one side, which a critic cannot be told.")
    return Truth(read=lambda env: ((get(name) - nominal) / (abs(nominal) or 1.0),), mirror=_signs(1.0))

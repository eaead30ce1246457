"""How far two simulations come apart that begin in the same states and get the same torques."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from sim2real.errors import Sim2RealError
from sim2real.sensors import Vector
from sim2real.simulation.engine import Engine, Quaternion
from sim2real.simulation.simulation import Simulation

Array = NDArray[np.float64]


class Moment(NamedTuple):
    """The true state of a robot before a tick, and what its motors give in it: see `Engine.tick`."""

    base_position_m: Vector
    base_quaternion: Quaternion
    base_velocity_m_s: Vector
    base_angular_velocity_rad_s: Vector
    joint_position_rad: Array
    joint_velocity_rad_s: Array
    torque_nm: list[float]
    damping: Array | None


class Recorder:
    """An engine that notes every tick: ``sim.engine = recorder = Recorder(sim.engine)``.

    Attributes:
        moments: one for every tick so far.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self.moments: list[Moment] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._engine, name)

    def tick(self, torque_nm: Sequence[float], damping: Array | None = None) -> None:
        """Note state and torques, and go on."""
        engine = self._engine
        self.moments.append(
            Moment(
                *engine.base_pose(), *engine.base_velocity(), *engine.joint_state(), list(torque_nm), damping
            )
        )
        engine.tick(torque_nm, damping)


def joint_gap(
    moments: Sequence[Moment], one: Simulation, other: Simulation, *, ticks: int, every: int
) -> Array:
    """Return the rms gap (ticks, n) in rad between the joints of two simulations, by how long they went alone.

    Both are put into a recorded state and get the torques that were recorded from there on, whatever comes of them;
    again and again, from states ``every`` ticks apart. Motors, sensors and pushes have no part in it, so what is told
    apart is the rigid bodies, their joints and their contacts.

    Args:
        moments: of a `Recorder`, without a reset between them.
        one: a simulation of the recorded robot, at the recorded physics period; it needs a reset afterwards.
        other: another one, in another engine or with other parameters.
        ticks: how long they go alone, in physics periods.
        every: ticks from one start to the next.

    Raises:
        Sim2RealError: if the simulations have other joints or periods, or less was recorded than they are to go.
    """
    if one.joint_names != other.joint_names or one.physics_period_s != other.physics_period_s:
        raise Sim2RealError(
            "Two simulations can be compared if they have the same joints and physics period."
        )
    starts = range(0, len(moments) - ticks + 1, every)
    if not starts:
        raise Sim2RealError(f"{len(moments)} ticks were recorded; {ticks} are to be played.")
    square = np.zeros((ticks, len(one.joint_names)))
    for start in starts:
        played = moments[start : start + ticks]
        square += (_path(one.engine, played) - _path(other.engine, played)) ** 2
    rms: Array = np.sqrt(square / len(starts))
    return rms


def _path(engine: Engine, moments: Sequence[Moment]) -> Array:
    """Return the joint positions (ticks, n) after each tick, from the first state on."""
    first = moments[0]
    engine.restore()
    engine.set_state(*first[:2], first.joint_position_rad.tolist(), first.joint_velocity_rad_s.tolist())
    if any(first.base_velocity_m_s) or any(first.base_angular_velocity_rad_s):
        engine.add_base_velocity(first.base_velocity_m_s, first.base_angular_velocity_rad_s)
    path = []
    for moment in moments:
        engine.tick(moment.torque_nm, moment.damping)
        path.append(engine.joint_state()[0])
    return np.array(path)

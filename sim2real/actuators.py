"""Joint actuators at physics rate: from a command to the torque that the joint feels.

    command ─► latency ─► PD (or torque as commanded) ─► strength ─► torque-speed curve and effort limit ─► τ

Dry and viscous joint friction act on the joint itself, in the engine, where they are exact.
"""

from collections import deque

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


class Actuators:
    """The motors of n joints, in SI units; every array below is (n,) and may be changed between ticks.

    The torque-speed curve is the four-quadrant law of a DC motor (Isaac Lab's and mjlab's ``DCMotor``)::

        −e ≤ s·(−1 − v/v₀) ≤ τ ≤ s·(1 − v/v₀) ≤ e

    with stall torque s, no-load speed v₀ and effort limit e: an unloaded motor under full drive ends at v₀.

    Args:
        kp: proportional gains in N m/rad.
        kd: derivative gains in N m s/rad.
        effort_nm: largest torque at the joint.
        stall_nm: torque at rest under full drive; at least ``effort_nm``.
        no_load_rad_s: joint speed at which full drive gives no torque.
        timestep_s: physics period.
        torque_control: commands are torques instead of joint targets.
    """

    def __init__(
        self,
        *,
        kp: Array,
        kd: Array,
        effort_nm: Array,
        stall_nm: Array,
        no_load_rad_s: Array,
        timestep_s: float,
        torque_control: bool = False,
    ) -> None:
        self.kp, self.kd = kp.copy(), kd.copy()
        self.strength = np.ones_like(kp)
        self.effort_nm, self.stall_nm = effort_nm.copy(), stall_nm.copy()
        self.no_load_rad_s = no_load_rad_s.copy()
        self.latency_s = 0.0
        self._timestep_s = timestep_s
        self.commands_torque = torque_control
        self._in_flight: deque[tuple[int, Array]] = deque()
        self._tick = 0
        self._active = np.zeros_like(kp)
        self._lower, self._upper, self._slope = (np.empty_like(kp) for _ in range(3))
        self.settle()

    def settle(self) -> None:
        """Derive what the tick needs; call it after a change of limits or of the torque-speed curve."""
        np.divide(self.stall_nm, self.no_load_rad_s, out=self._slope)

    def reset(self, command: Array) -> None:
        """Start an episode: until the first command arrives, ``command`` (n,) is what the motors follow."""
        self._in_flight.clear()
        self._tick = 0
        self._active = command.copy()

    def command(self, command: Array) -> None:
        """Send a command (n,): joint targets in rad, or torques in N m. It arrives ``latency_s`` later.

        Latency is counted in whole physics ticks (rounded). A command never overtakes a later one: one that
        would arrive after its successor is lost.
        """
        delay = round(self.latency_s / self._timestep_s)
        if delay == 0:
            self._in_flight.clear()
            self._active = command
        else:
            self._in_flight.append((self._tick + delay, command))

    def torque(self, position: Array, velocity: Array) -> Array:
        """Return the torques (n,) in N m for this physics tick, from joint positions and velocities."""
        if self._in_flight:
            due = [i for i, (tick, _) in enumerate(self._in_flight) if tick <= self._tick]
            if due:
                self._active = self._in_flight[due[-1]][1]
                for _ in range(due[-1] + 1):
                    self._in_flight.popleft()
        self._tick += 1
        if self.commands_torque:
            torque = self.strength * self._active
        else:
            torque = self._active - position
            torque *= self.kp
            torque -= self.kd * velocity
            torque *= self.strength
        # The curve of the driving quadrant, then the limit that holds in all four.
        lost = self._slope * velocity
        np.minimum(torque, np.subtract(self.stall_nm, lost, out=self._upper), out=torque)
        lost += self.stall_nm
        np.maximum(torque, np.negative(lost, out=self._lower), out=torque)
        np.minimum(torque, self.effort_nm, out=torque)
        return np.maximum(torque, -self.effort_nm, out=torque)

"""Joint actuators at physics rate: from a command to the torque that the joint feels.

    command ─► loss, latency, jitter ─► PD (or torque as commanded) ─► strength ─► torque noise
            ─► torque-speed curve under the battery's voltage ─► effort limit, less what heat takes
            ─► electrical lag ─► dead zone ─► torque ripple ─► τ

Dry and viscous joint friction act on the joint itself, in the engine, where they are exact.

Damping is integrated implicitly. A torque τ(v) that falls with the joint's speed, held for a tick of h, throws what is
light beyond where it should stop: explicit damping d of an inertia m is unstable from h d = 2 m on. The torque that
the tick should end with solves m Δv = h τ(v + Δv); every piece of τ is a line c − d v, of which that solution is
(c − d v)·m/(m + h d), and the smaller of two pieces has the smaller solution, so the chain of limits is gone through
once more with pieces that are scaled down. From the two torques, τ₀ at the beginning and τ₁ at the end, follows the
slope of the secant, d = (τ₀ − τ₁)/Δv, and (M + h d) Δv = h τ₀ is what the engine solves: an inertia h d more on the
joint's own diagonal, for this tick. Between the limits h d is h·kd whatever m is; at a limit it is nothing.
"""

from collections import deque

import numpy as np
from numpy.typing import NDArray

from sim2real.perturb.streams import Stream

Array = NDArray[np.float64]

# Looked up once. On arrays as small as these, `out` takes longer than making a new one.
_minimum, _maximum = np.minimum, np.maximum

BLOCK = 64
"""Random numbers drawn at once; how many they are does not change the values."""


class Actuators:
    """The motors of n joints, in SI units; every array below is (n,).

    Latency, jitter and loss may be changed between ticks; after any other change call ``settle``, or ``tuned`` if it
    is one of gains and strength. What a real motor has on top of the ideal one costs nothing while it is not there.

    The torque-speed curve is the four-quadrant law of a DC motor (Isaac Lab's and mjlab's ``DCMotor``)::

        −e ≤ s·(−1 − v/v₀) ≤ τ ≤ s·(1 − v/v₀) ≤ e

    with stall torque s, no-load speed v₀ and effort limit e: an unloaded motor under full drive ends at v₀.

    Attributes:
        latency_s: time from a command to its effect.
        jitter_s: largest extra latency of a command, uniform and drawn anew for each.
        loss: probability that a command is lost; the motors then go on with the one before.
        torque_noise: half width of a torque drawn anew in each tick, as a fraction of the effort limit: the
            random force injection of ASAP and HOVER.
        lag_s: time constant T of the electrical circuit, T τ' = τ_limited − τ.
        dead_zone_nm: what is lost of every torque before it shows, τ − min(d, |τ|)·sign τ (as in Booster Gym).
        ripple_nm, ripple_cycles: amplitude A of a cogging torque A·sin(n q), and its cycles n in a revolution of
            the joint; 84, the least common multiple of 12 and 14, is that of 12 slots and 14 poles without gears.
        continuous: fraction c of the effort limit that a motor can give for ever. Its heat θ follows
            T θ' = (τ/(c e))² − θ, the first-order model of thermal relays (IEC 60255-149), and takes
            (1 − c) θ of the effort limit: e when cold, c e when hot.
        thermal_time_s: the time constant T of that heat.
        inertia: inertia m that a motor moves at least, its rotor's; it matters only where a limit begins or ends.
        damping: how much less torque the motor gives per speed that is gained in this tick, d above, in N m s/rad;
            ``torque`` finds it.
        changed: whether ``tuned`` was called since this was last set to False, so that the period may be too long.
        supply: voltage of the idle battery, as a fraction of the nominal; stall torque and no-load speed go with it.
        sag_per_w: the battery's internal resistance over its nominal voltage squared, R/V₀². Under a load of P
            the fraction of the voltage left solves u·(supply − u) = P·R/V₀²; P is the mechanical power.

    Args:
        kp: proportional gains in N m/rad.
        kd: derivative gains in N m s/rad.
        effort_nm: largest torque at the joint.
        stall_nm: torque at rest under full drive; at least ``effort_nm``.
        no_load_rad_s: joint speed at which full drive gives no torque.
        inertia: inertia that each motor moves at least, in kg m²; above 0.
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
        inertia: Array,
        timestep_s: float,
        torque_control: bool = False,
    ) -> None:
        self.kp, self.kd = kp.copy(), kd.copy()
        self.strength = np.ones_like(kp)
        self.effort_nm, self.stall_nm = effort_nm.copy(), stall_nm.copy()
        self.no_load_rad_s = no_load_rad_s.copy()
        self.inertia = inertia.copy()
        self.latency_s = self.jitter_s = self.loss = 0.0
        self.torque_noise, self.sag_per_w = 0.0, 0.0
        self.supply, self.continuous, self.thermal_time_s = 1.0, 1.0, 60.0
        self.lag_s, self.dead_zone_nm, self.ripple_nm = (np.zeros_like(kp) for _ in range(3))
        self.ripple_cycles = np.full_like(kp, 84.0)
        self.timestep_s = timestep_s
        self.commands_torque = torque_control
        self._in_flight: deque[tuple[int, Array]] = deque()
        self._active = np.zeros_like(kp)
        self.changed = False
        self._fade_nm = np.zeros_like(kp)  # what heat has taken of the effort limit
        self.settle()
        self.reset(self._active)

    def tuned(self) -> None:
        """Note that gains, strength or rotors have changed."""
        self._tuned = self.changed = True

    def settle(self) -> None:
        """Derive what the tick needs; call it after a change of anything but the command's way."""
        self._tuned = True  # and let the next tick derive the rest
        self._slope = self.stall_nm / self.no_load_rad_s
        self._noisy, self._loaded = self.torque_noise > 0.0, self.sag_per_w > 0.0
        self._warm = self.continuous < 1.0
        self._disturbed = self._noisy or self._loaded or self._warm
        self._stall, self._effort = self.supply * self.stall_nm, self.effort_nm  # before load and heat
        self._back_stall, self._back_effort = -self._stall, -self._effort
        self._noise_nm = self.torque_noise * self.effort_nm
        # D' = ((1 − c) e (τ/(c e))² − D) / T, in D = (1 − c) e θ, which never exceeds (1 − c) e.
        self._kept = float(np.exp(-self.timestep_s / self.thermal_time_s))
        largest = (1.0 - self.continuous) * self.effort_nm
        squared = np.where(self.effort_nm > 0.0, (self.continuous * self.effort_nm) ** 2, np.inf)
        self._heating = (1.0 - self._kept) * largest / squared
        np.minimum(self._fade_nm, largest, out=self._fade_nm)
        self._lagging, self._dead = bool(self.lag_s.any()), bool(self.dead_zone_nm.any())
        self._rippled = bool(self.ripple_nm.any())
        self._worn = self._lagging or self._dead or self._rippled
        self._gained = -np.expm1(-self.timestep_s / np.maximum(self.lag_s, 1e-9))

    def reset(self, command: Array, episode: tuple[int, ...] = ()) -> None:
        """Start an episode: until the first command arrives, ``command`` (n,) is what the motors follow.

        Args:
            command: joint targets in rad, or torques in N m.
            episode: integers that name the episode's random numbers.
        """
        self._in_flight.clear()
        self._tick = 0
        self._active = command.copy()
        self._motor_nm = np.zeros_like(self.kp)
        self._fade_nm[:] = 0.0
        self._jitters, self._losses = (_Numbers(*episode, f"actuator.{of}") for of in ("jitter_s", "loss"))
        self._noises = _Numbers(*episode, "actuator.torque_noise", width=len(self.kp))

    def command(self, command: Array) -> None:
        """Send a command (n,): joint targets in rad, or torques in N m. It arrives ``latency_s`` later.

        Latency is counted in whole physics ticks (rounded). A command never overtakes a later one: one that
        would arrive after its successor is lost.
        """
        latency_s = self.latency_s
        if self.jitter_s:
            latency_s += self.jitter_s * self._jitters.next()[0]
        if self.loss and self._losses.next()[0] < self.loss:
            return
        delay = round(latency_s / self.timestep_s)
        if delay == 0:
            self._in_flight.clear()
            self._active = command
        else:
            self._in_flight.append((self._tick + delay, command))

    def divide_ticks(self, parts: int) -> None:
        """Let what is on its way arrive when it should, now that a tick is so many."""
        now = self._tick
        self._in_flight = deque((now + (due - now) * parts, command) for due, command in self._in_flight)

    def torque(self, position: Array, velocity: Array) -> Array:
        """Return the torques (n,) in N m for this physics tick, from joint positions and velocities."""
        if self._in_flight:
            due = [i for i, (tick, _) in enumerate(self._in_flight) if tick <= self._tick]
            if due:
                self._active = self._in_flight[due[-1]][1]
                for _ in range(due[-1] + 1):
                    self._in_flight.popleft()
        self._tick += 1
        if self._tuned:
            self._tune()
        if self.commands_torque:
            torque = self.strength * self._active
        else:
            torque = self._active - position
            torque *= self.kp
            torque -= self.kd * velocity
            torque *= self.strength
        if self._disturbed:
            self._disturb(torque, velocity)
        # The curve of the driving quadrant, then the limit that holds in all four.
        asked, lost, self.damping = torque, self._slope * velocity, self._unlimited
        most, least = self._stall - lost, self._back_stall - lost
        torque = _maximum(_minimum(torque, most), least)
        torque = _maximum(_minimum(torque, self._effort), self._back_effort)
        if torque.tobytes() != asked.tobytes():  # a fifth of the time that comparing numbers takes
            self._limit(asked, torque, most, least)
        if self._worn:
            return self._wear(torque, position)
        self._motor_nm = torque
        return torque

    def _tune(self) -> None:
        """Derive what implicit damping needs."""
        h = self.timestep_s
        self._unlimited = np.zeros_like(self.kd) if self.commands_torque else self.strength * self.kd
        self._kept_of_asked = self.inertia / (self.inertia + h * self._unlimited)
        self._kept_of_curve = self.inertia / (self.inertia + h * self._slope)
        self._tuned = False

    def _limit(self, asked: Array, torque: Array, most: Array, least: Array) -> None:
        """Find what implicit damping adds where a limit is met, or where the tick comes to meet one."""
        kept = self._kept_of_curve
        end = _maximum(_minimum(asked * self._kept_of_asked, most * kept), least * kept)
        end = _maximum(_minimum(end, self._effort), self._back_effort)
        moves = np.abs(end) > 1e-12
        ratio = np.divide(torque, end, out=np.ones_like(end), where=moves)
        secant = self.inertia / self.timestep_s * np.maximum(ratio - 1.0, 0.0)
        self.damping = np.where(moves, secant, self._unlimited)

    def _disturb(self, torque: Array, velocity: Array) -> None:
        """Add noise to what is asked for, and find what voltage and heat leave of the limits."""
        if self._noisy:
            torque += self._noise_nm * self._noises.next()
        if self._loaded:
            drawn = self.sag_per_w * max(0.0, float(self._motor_nm.dot(velocity)))
            left = 0.5 * (self.supply + max(0.0, self.supply**2 - 4.0 * drawn) ** 0.5)
            self._stall = self.stall_nm * left
            self._back_stall = -self._stall
        if self._warm:
            self._fade_nm *= self._kept
            heat = self._motor_nm * self._motor_nm
            heat *= self._heating
            self._fade_nm += heat
            self._effort = self.effort_nm - self._fade_nm
            self._back_effort = -self._effort

    def _wear(self, torque: Array, position: Array) -> Array:
        """Return what becomes of a torque on its way through the circuit and the gears."""
        if self._lagging:
            torque -= self._motor_nm
            torque *= self._gained
            torque += self._motor_nm
            self.damping = self.damping * self._gained
        self._motor_nm = torque
        if self._dead:
            self.damping = self.damping * (np.abs(torque) > self.dead_zone_nm)
            torque = torque - _maximum(_minimum(torque, self.dead_zone_nm), -self.dead_zone_nm)
        if self._rippled:
            torque = torque + self.ripple_nm * np.sin(self.ripple_cycles * position)
        return torque


class _Numbers:
    """Endless rows of numbers that a key names: within (0, 1), or within (−1, 1) where they have a width."""

    def __init__(self, *key: object, width: int = 0) -> None:
        self._key, self._width = key, width
        self._stream: Stream | None = None
        self._ahead: list[Array] = []

    def next(self) -> Array:
        """Return the next row."""
        if not self._ahead:
            if self._stream is None:
                self._stream = Stream(*self._key)
            rows = self._stream(BLOCK, self._width or 1)
            self._ahead = list((2.0 * rows - 1.0 if self._width else rows)[::-1])
        return self._ahead.pop()

"""Proprioceptive sensors, in SI units and their own frames, with latency at physics resolution."""

from collections import deque
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from sim2real.linktree import pose_of

Vector = tuple[float, float, float]
Rows = tuple[Vector, Vector, Vector]
Array = NDArray[np.float64]

# Looked up once. On arrays as small as these, `out` takes longer than making a new one.
_minimum, _maximum = np.minimum, np.maximum


@dataclass(frozen=True, slots=True)
class Reading:
    """What the robot's sensors tell at one instant."""

    gyro_rad_s: Vector
    """Angular velocity of the IMU in its own axes."""
    projected_gravity: Vector
    """Unit vector of gravity in the IMU's axes; (0, 0, −1) when upright."""
    joint_position_rad: Array
    joint_velocity_rad_s: Array


PARTS = tuple(field.name for field in fields(Reading))


class SensorBuffer:
    """Hands out readings that are ``latency_s`` old, never going back in time.

    ``push`` is called once a physics tick while there is latency, ``read`` once a control step. Latency counts
    in whole physics ticks (rounded); before enough time has passed the first reading stands in.

    Attributes:
        latency_s: age of every reading.
        more_s: further age of each part, in the order of the fields of `Reading`.
    """

    def __init__(self, timestep_s: float) -> None:
        self.latency_s = 0.0
        self.more_s = [0.0] * len(PARTS)
        self.timestep_s = timestep_s
        self._readings: deque[Reading] = deque()
        self._newest = self._oldest = -1  # ticks of the last and the first reading kept
        self._shown = [-1] * len(PARTS)  # ticks of the parts handed out last

    @property
    def active(self) -> bool:
        """Whether readings have to be pushed every tick."""
        return self.latency_s > 0.0 or any(self.more_s)

    def reset(self, reading: Reading) -> None:
        """Start an episode with its first reading, shown until later ones are old enough."""
        self._readings.clear()
        self._readings.append(reading)
        self._newest = self._oldest = 0
        self._shown = [0] * len(PARTS)

    def push(self, reading: Reading) -> None:
        """Record the reading of the next physics tick."""
        self._readings.append(reading)
        self._newest += 1

    def divide_ticks(self, parts: int) -> None:
        """Let what is kept be as old as it is, now that a tick is so many: in between the reading before stands."""
        kept = list(self._readings)
        self._readings = deque(reading for reading in kept[:-1] for _ in range(parts))
        self._readings.append(kept[-1])
        self._newest, self._oldest = self._newest * parts, self._oldest * parts
        self._shown = [tick * parts for tick in self._shown]

    def read(self) -> Reading:
        """Return of each part the newest reading that is at least its latency old."""
        for i, more_s in enumerate(self.more_s):
            wanted = self._newest - round((self.latency_s + more_s) / self.timestep_s)
            self._shown[i] = max(self._shown[i], wanted)
        while self._oldest < min(self._shown):
            self._readings.popleft()
            self._oldest += 1
        return Reading(
            *(
                getattr(self._readings[tick - self._oldest], part)
                for part, tick in zip(PARTS, self._shown, strict=True)
            )
        )


class Encoders:
    """The encoders of n joints, on the motor's side of the gears; every array is (n,).

    Attributes:
        offset_rad: what is read when the joint is at 0.
        backlash_rad: play between motor and joint: the motor stands still until the joint has gone through it,
            then is taken along (the hysteresis of Nordin and Gutman, Automatica 2002, for a motor without inertia).
        active: whether any of that is there; ``settle`` finds out after a change.
        position_rad, velocity_rad_s: what is read while it is.
        differentiated: from 0.5 on whoever reads takes velocity from the change of the positions read.
    """

    def __init__(self, count: int, timestep_s: float) -> None:
        self.offset_rad, self.backlash_rad = np.zeros(count), np.zeros(count)
        self.differentiated = 0.0
        self.timestep_s = timestep_s
        self.active = False
        self._motor_rad: Array | None = None
        self.settle()

    def settle(self) -> None:
        """Derive what the tick needs; call it after a change."""
        self._half_rad = 0.5 * self.backlash_rad
        self._loose, self._off = bool(self.backlash_rad.any()), bool(self.offset_rad.any())
        was, self.active = self.active, self._loose or self._off
        if self.active and not was:
            self._motor_rad = None

    def start(self, position: Array, velocity: Array, *, anew: bool = False) -> None:
        """Take the joints' positions and velocities as the motors', where these are not known or begin anew."""
        if anew or self._motor_rad is None:
            self._motor_rad, self.velocity_rad_s = position, velocity
        self.position_rad = self._motor_rad + self.offset_rad

    def follow(self, position: Array, velocity: Array) -> None:
        """Go on by a physics tick, to the joints' next positions and velocities."""
        if self._loose and self._motor_rad is not None:
            before, half = self._motor_rad, self._half_rad
            motor = _maximum(_minimum(position + half, before), position - half)
            speed = motor - before
            speed *= 1.0 / self.timestep_s
            self._motor_rad, self.velocity_rad_s = motor, speed
        else:
            self._motor_rad, self.velocity_rad_s = position, velocity
        self.position_rad = self._motor_rad + self.offset_rad if self._off else self._motor_rad


class Imu:
    """The inertial sensor on a robot's base.

    Args:
        rotation: (3, 3), its axes in the base's as it should be mounted.

    Attributes:
        askew_rpy_rad: roll, pitch and yaw about its own axes by which it is mounted askew; then ``settle``.
    """

    def __init__(self, rotation: Array) -> None:
        self._nominal = np.eye(3) if np.allclose(rotation, np.eye(3)) else rotation
        self.askew_rpy_rad = [0.0, 0.0, 0.0]
        self.settle()

    def settle(self) -> None:
        """Derive the rotation in use; call it after a change."""
        rotation = self._nominal
        if any(self.askew_rpy_rad):
            rotation = rotation @ pose_of(rpy=self.askew_rpy_rad)[:3, :3]
        aligned = np.array_equal(rotation, np.eye(3))
        self._in_base: Rows | None = None if aligned else tuple(map(tuple, rotation.tolist()))  # type: ignore[assignment]

    def read(self, in_base: Vector) -> Vector:
        """Return a vector of the base's axes in the sensor's."""
        return in_base if self._in_base is None else into_body(self._in_base, in_base)


def rotation_rows(x: float, y: float, z: float, w: float) -> Rows:
    """Return the rows of the rotation matrix (body to world) of a unit quaternion (x, y, z, w)."""
    xx, yy, zz = x * x, y * y, z * z
    xy, xz, yz, wx, wy, wz = x * y, x * z, y * z, w * x, w * y, w * z
    return (
        (1.0 - 2.0 * (yy + zz), 2.0 * (xy - wz), 2.0 * (xz + wy)),
        (2.0 * (xy + wz), 1.0 - 2.0 * (xx + zz), 2.0 * (yz - wx)),
        (2.0 * (xz - wy), 2.0 * (yz + wx), 1.0 - 2.0 * (xx + yy)),
    )


def into_body(rows: Rows, vector: Vector) -> Vector:
    """Turn a world vector into body axes: the transpose of the body-to-world rotation.

    >>> quarter_turn_about_z = rotation_rows(0.0, 0.0, 0.5**0.5, 0.5**0.5)
    >>> [abs(round(c, 9)) for c in into_body(quarter_turn_about_z, (0.0, 1.0, 0.0))]
    [1.0, 0.0, 0.0]
    """
    (a, b, c), (d, e, f), (g, h, i) = rows
    x, y, z = vector
    return a * x + d * y + g * z, b * x + e * y + h * z, c * x + f * y + i * z

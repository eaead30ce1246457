"""Proprioceptive sensors, in SI units and their own frames, with latency at physics resolution."""

from collections import deque
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Vector = tuple[float, float, float]
Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Reading:
    """What the robot's sensors tell at one instant."""

    gyro_rad_s: Vector
    """Angular velocity of the IMU in its own axes."""
    projected_gravity: Vector
    """Unit vector of gravity in the IMU's axes; (0, 0, −1) when upright."""
    joint_position_rad: Array
    joint_velocity_rad_s: Array


class SensorBuffer:
    """Hands out readings that are ``latency_s`` old, never going back in time.

    ``push`` is called once a physics tick while there is latency, ``read`` once a control step. Latency counts
    in whole physics ticks (rounded); before enough time has passed the first reading stands in.
    """

    def __init__(self, timestep_s: float) -> None:
        self.latency_s = 0.0
        self._timestep_s = timestep_s
        self._readings: deque[Reading] = deque()
        self._newest = -1  # tick of the last reading pushed
        self._shown = -1  # tick of the last reading handed out

    @property
    def active(self) -> bool:
        """Whether readings have to be pushed every tick."""
        return self.latency_s > 0.0

    def reset(self, reading: Reading) -> None:
        """Start an episode with its first reading, shown until later ones are old enough."""
        self._readings.clear()
        self._readings.append(reading)
        self._newest = self._shown = 0

    def push(self, reading: Reading) -> None:
        """Record the reading of the next physics tick."""
        self._readings.append(reading)
        self._newest += 1

    def read(self) -> Reading:
        """Return the newest reading that is at least the latency old."""
        wanted = self._newest - round(self.latency_s / self._timestep_s)
        while self._shown < wanted:
            self._readings.popleft()
            self._shown += 1
        return self._readings[0]


def rotation_rows(x: float, y: float, z: float, w: float) -> tuple[Vector, Vector, Vector]:
    """Return the rows of the rotation matrix (body to world) of a unit quaternion (x, y, z, w)."""
    xx, yy, zz = x * x, y * y, z * z
    xy, xz, yz, wx, wy, wz = x * y, x * z, y * z, w * x, w * y, w * z
    return (
        (1.0 - 2.0 * (yy + zz), 2.0 * (xy - wz), 2.0 * (xz + wy)),
        (2.0 * (xy + wz), 1.0 - 2.0 * (xx + zz), 2.0 * (yz - wx)),
        (2.0 * (xz - wy), 2.0 * (yz + wx), 1.0 - 2.0 * (xx + yy)),
    )


def into_body(rows: tuple[Vector, Vector, Vector], vector: Vector) -> Vector:
    """Turn a world vector into body axes: the transpose of the body-to-world rotation.

    >>> quarter_turn_about_z = rotation_rows(0.0, 0.0, 0.5**0.5, 0.5**0.5)
    >>> [abs(round(c, 9)) for c in into_body(quarter_turn_about_z, (0.0, 1.0, 0.0))]
    [1.0, 0.0, 0.0]
    """
    (a, b, c), (d, e, f), (g, h, i) = rows
    x, y, z = vector
    return a * x + d * y + g * z, b * x + e * y + h * z, c * x + f * y + i * z

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sim2real.sensors import Reading, SensorBuffer, into_body, rotation_rows

DT = 0.005


def reading(value):
    return Reading(
        gyro_rad_s=(float(value),) * 3,
        projected_gravity=(0.0, 0.0, -1.0),
        joint_position_rad=np.zeros(1),
        joint_velocity_rad_s=np.zeros(1),
    )


@given(ticks=st.integers(0, 20))
def test_latency_shows_readings_of_exactly_its_age(ticks):
    """The reading at tick t is the one taken at t − k, or the first while there is none so old."""
    buffer = SensorBuffer(DT)
    buffer.latency_s = ticks * DT
    buffer.reset(reading(0))
    for t in range(1, 60):
        buffer.push(reading(t))
        assert buffer.read().gyro_rad_s[0] == max(0, t - ticks)


@given(st.lists(st.integers(0, 10), min_size=2, max_size=40))
@settings(max_examples=50)
def test_readings_never_go_back_in_time(latencies):
    """Whatever the latency does, what is shown is never older than what was shown before."""
    buffer = SensorBuffer(DT)
    buffer.reset(reading(0))
    shown = []
    for t, ticks in enumerate(latencies, start=1):
        buffer.latency_s = ticks * DT
        buffer.push(reading(t))
        shown.append(buffer.read().gyro_rad_s[0])
    assert shown == sorted(shown)


@given(st.lists(st.floats(-1, 1), min_size=7, max_size=7))
def test_turning_into_the_body_keeps_length_and_undoes_the_rotation(numbers):
    """|Rᵀv| = |v| and R(Rᵀv) = v."""
    quaternion = np.array(numbers[:4]) + (0, 0, 0, 2.0)
    quaternion /= np.linalg.norm(quaternion)
    rows = rotation_rows(*quaternion)
    vector = tuple(numbers[4:])
    body = into_body(rows, vector)
    assert np.array(rows) @ body == pytest.approx(vector, abs=1e-12)

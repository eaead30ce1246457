import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sim2real.sensors import PARTS, Encoders, Reading, SensorBuffer, into_body, rotation_rows

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


def stamped(tick):
    """A reading all of whose parts tell its tick."""
    vector, joints = (float(tick),) * 3, np.full(2, float(tick))
    return Reading(
        gyro_rad_s=vector, projected_gravity=vector, joint_position_rad=joints, joint_velocity_rad_s=joints
    )


def ticks_of(reading):
    return [getattr(reading, part)[0] for part in PARTS]


@given(common=st.integers(0, 8), more=st.lists(st.integers(0, 8), min_size=4, max_size=4))
def test_every_part_of_a_reading_has_its_own_age(common, more):
    """A part is as old as the common latency and its own together, whatever the others are."""
    buffer = SensorBuffer(DT)
    buffer.latency_s, buffer.more_s = common * DT, [k * DT for k in more]
    buffer.reset(stamped(0))
    for t in range(1, 40):
        buffer.push(stamped(t))
        if t % 4 == 0:
            assert ticks_of(buffer.read()) == [max(0, t - common - k) for k in more]


@given(st.lists(st.lists(st.integers(0, 6), min_size=4, max_size=4), min_size=2, max_size=30))
@settings(max_examples=50)
def test_no_part_goes_back_in_time(latencies):
    """Whatever the latencies do, no part is ever older than it was."""
    buffer = SensorBuffer(DT)
    buffer.reset(stamped(0))
    shown = []
    for t, more in enumerate(latencies, start=1):
        buffer.more_s = [k * DT for k in more]
        buffer.push(stamped(t))
        shown.append(ticks_of(buffer.read()))
    assert (np.diff(shown, axis=0) >= 0).all()


def followed(encoders, path):
    """What encoders read along a path of one joint, and their speeds."""
    encoders.start(np.array([path[0]]), np.zeros(1), anew=True)
    read = []
    for before, now in zip(path, path[1:], strict=False):
        encoders.follow(np.array([now]), np.array([(now - before) / DT]))
        read.append((encoders.position_rad[0], encoders.velocity_rad_s[0]))
    return np.array(read).T


@given(st.floats(-1, 1), st.lists(st.floats(-1, 1), min_size=1, max_size=20))
def test_an_offset_shifts_what_is_read_and_nothing_else(offset, path):
    """Read = true + offset, at the true speed."""
    encoders = Encoders(1, DT)
    encoders.offset_rad[:] = offset
    encoders.settle()
    if encoders.active:
        position, velocity = followed(encoders, [0.0, *path])
        assert position == pytest.approx(np.array(path) + offset, abs=1e-12)
        assert velocity == pytest.approx(np.diff([0.0, *path]) / DT, abs=1e-9)


def test_backlash_is_a_hysteresis_of_its_width():
    """Around a loop between ±1 the motor stops at ±(1 − b/2) and stands still while the joint crosses b."""
    width = 0.1
    encoders = Encoders(1, DT)
    encoders.backlash_rad[:] = width
    encoders.settle()
    path = np.concatenate(
        [np.linspace(0, 1, 1001), np.linspace(1, -1, 2001)[1:], np.linspace(-1, 1, 2001)[1:]]
    )
    position, velocity = followed(encoders, path.tolist())
    joint = path[1:]
    down, up = slice(1000 + 200, 3000), slice(3000 + 200, 5000)
    assert position[down] == pytest.approx(joint[down] + width / 2, abs=1e-9)
    assert position[up] == pytest.approx(joint[up] - width / 2, abs=1e-9)
    turning = slice(1000, 1000 + 99)  # 0.099 rad after the turn
    assert velocity[turning] == pytest.approx(0.0, abs=1e-9)
    assert velocity[down] == pytest.approx(-0.001 / DT, rel=1e-6)
    assert np.ptp(position[1000:]) == pytest.approx(2.0 - width, abs=1e-9)


@given(st.floats(0.01, 0.5), st.lists(st.floats(-1, 1), min_size=1, max_size=30))
def test_with_backlash_the_motor_is_never_further_off_than_half_of_it(width, path):
    """|motor − joint| ≤ b/2, and the speed read is the change of the position read."""
    encoders = Encoders(1, DT)
    encoders.backlash_rad[:] = width
    encoders.settle()
    position, velocity = followed(encoders, [0.0, *path])
    assert (np.abs(position - path) <= width / 2 + 1e-12).all()
    assert velocity == pytest.approx(np.diff([0.0, *position]) / DT, abs=1e-9)

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sim2real.actuators import Actuators

DT = 0.005


def motors(n=1, *, torque_control=False, **arrays):
    values = {"kp": 100.0, "kd": 2.0, "effort_nm": 80.0, "stall_nm": 120.0, "no_load_rad_s": 30.0} | arrays
    return Actuators(
        **{name: np.full(n, value) for name, value in values.items()},
        timestep_s=DT,
        torque_control=torque_control,
    )


def zero(n=1):
    return np.zeros(n)


@given(
    target=st.floats(-0.3, 0.3), position=st.floats(-0.3, 0.3), velocity=st.floats(-3, 3),
    strength=st.floats(0, 1.2),
)  # fmt: skip
def test_inside_its_limits_the_torque_is_the_pd_law_times_strength(target, position, velocity, strength):
    """τ = strength · (kp (target − q) − kd v) as long as no limit is met."""
    m = motors()
    m.strength[:] = strength
    m.command(np.array([target]))
    torque = m.torque(np.array([position]), np.array([velocity]))
    expected = strength * (100 * (target - position) - 2 * velocity)
    assert torque[0] == pytest.approx(expected, abs=1e-9)


@given(command=st.floats(-1e4, 1e4), velocity=st.floats(-30, 30))
def test_the_torque_never_leaves_the_torque_speed_curve(command, velocity):
    """Driving torque ≤ stall (1 − v/v₀), and effort bounds all four quadrants."""
    m = motors(torque_control=True)
    m.command(np.array([command]))
    torque = m.torque(zero(), np.array([velocity]))[0]
    assert abs(torque) <= 80.0
    assert -120.0 * (1 + velocity / 30) - 1e-9 <= torque <= 120.0 * (1 - velocity / 30) + 1e-9


def test_an_unloaded_motor_under_full_drive_ends_at_its_no_load_speed():
    """Terminal speed of a driven inertia is the no-load speed, whatever the inertia."""
    m = motors(torque_control=True, no_load_rad_s=12.0)
    m.command(np.array([1e3]))
    velocity = zero()
    for _ in range(4000):
        velocity = velocity + DT * m.torque(zero(), velocity) / 0.8
    assert velocity[0] == pytest.approx(12.0, rel=1e-6)


@given(ticks=st.integers(0, 12), commands=st.lists(st.floats(-10, 10), min_size=1, max_size=8))
@settings(max_examples=50)
def test_latency_shifts_commands_by_exactly_its_ticks(ticks, commands):
    """What a motor does at tick t + k under latency k·dt is what it does at t without."""
    per_command = 4

    def torques(latency_s, total):
        m = motors(torque_control=True)
        m.reset(zero())
        m.latency_s = latency_s
        out = []
        for t in range(total):
            if t % per_command == 0 and t // per_command < len(commands):
                m.command(np.array([commands[t // per_command]]))
            out.append(m.torque(zero(), zero())[0])
        return out

    n = per_command * len(commands)
    prompt = torques(0.0, n)
    late = torques(ticks * DT, n + ticks)
    assert late[ticks:] == prompt
    assert late[:ticks] == [0.0] * ticks


@given(st.lists(st.integers(0, 10), min_size=2, max_size=20))
@settings(max_examples=50)
def test_jitter_never_lets_an_older_command_follow_a_newer_one(latencies):
    """Under latency that changes with every command the commands that act come in the order they were sent."""
    m = motors(torque_control=True)
    m.reset(np.array([-1.0]))
    acted = []
    for i, ticks in enumerate(latencies):
        m.latency_s = ticks * DT
        m.command(np.array([float(i)]))
        acted += [m.torque(zero(), zero())[0] for _ in range(2)]
    acted += [m.torque(zero(), zero())[0] for _ in range(12)]
    assert acted == sorted(acted)
    assert acted[-1] == len(latencies) - 1


def test_a_reset_forgets_commands_in_flight():
    """After a reset the held pose is followed until a new command arrives."""
    m = motors(torque_control=True)
    m.latency_s = 0.1
    m.command(np.array([50.0]))
    m.reset(zero())
    assert all(m.torque(zero(), zero())[0] == 0.0 for _ in range(40))

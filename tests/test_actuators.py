import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sim2real.actuators import Actuators

DT = 0.005


def motors(n=1, *, torque_control=False, **arrays):
    values = {
        "kp": 100.0,
        "kd": 2.0,
        "effort_nm": 80.0,
        "stall_nm": 120.0,
        "no_load_rad_s": 30.0,
        "inertia": 0.05,
    }
    values |= arrays
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


# ---- what a real motor has on top -----------------------------------------------------------------------------


def having(m, **values):
    """Set attributes of motors, arrays throughout, as whoever sets them must."""
    for name, value in values.items():
        if isinstance(getattr(m, name), np.ndarray):
            getattr(m, name)[:] = value
        else:
            setattr(m, name, value)
    m.settle()
    return m


def pulled(m, command, ticks, velocity=0.0, episode=()):
    """Torques (ticks, n) under a constant command at a constant speed, from a reset on."""
    n = len(m.kp)
    m.reset(zero(n), episode)
    m.command(np.full(n, float(command)))
    return np.array([m.torque(zero(n), np.full(n, velocity)) for _ in range(ticks)])


@pytest.mark.parametrize("lag_s", [0.002, 0.01, 0.1])
def test_torque_follows_through_the_lag_as_an_exponential(lag_s):
    """A step of τ becomes τ (1 − exp(−t/T)), exactly, at any tick."""
    m = having(motors(torque_control=True), lag_s=lag_s)
    t = DT * np.arange(1, 41)
    assert pulled(m, 30.0, 40)[:, 0] == pytest.approx(30.0 * (1 - np.exp(-t / lag_s)), rel=1e-12)


def test_each_motor_has_its_own_lag():
    """One motor's lag leaves another's torque bit-identical."""
    m = having(motors(2, torque_control=True), lag_s=[0.0, 0.05])
    torques = pulled(m, 30.0, 20)
    assert (torques[:, 0] == 30.0).all()
    assert torques[0, 1] == pytest.approx(30.0 * (1 - np.exp(-DT / 0.05)))


@given(command=st.floats(-60, 60), width=st.floats(0, 10))
def test_the_dead_zone_takes_its_width_from_every_torque(command, width):
    """τ − min(d, |τ|) sign τ: nothing below d, and less by d above."""
    m = having(motors(torque_control=True), dead_zone_nm=width)
    expected = np.sign(command) * max(0.0, abs(command) - width)
    assert pulled(m, command, 1)[0, 0] == pytest.approx(expected, abs=1e-12)


def test_ripple_repeats_as_often_as_told_in_a_revolution():
    """A sin(n q) on top of the torque: over a turn its mean is 0 and its only harmonic the n-th."""
    m = having(motors(torque_control=True), ripple_nm=0.7, ripple_cycles=9.0)
    m.command(np.array([5.0]))
    angles = 2 * np.pi * np.arange(512) / 512
    torques = np.array([m.torque(np.array([q]), zero())[0] for q in angles])
    harmonics = np.abs(np.fft.rfft(torques)) / 512
    assert harmonics[0] == pytest.approx(5.0)
    assert 2 * harmonics[9] == pytest.approx(0.7)
    assert np.delete(harmonics, [0, 9]).max() < 1e-9


def test_torque_noise_is_uniform_white_and_in_proportion_to_the_effort_limit():
    """Half width = fraction × limit, variance a third of its square, no correlation in time or between motors."""
    m = having(motors(3, torque_control=True), torque_noise=0.1, effort_nm=[20.0, 40.0, 80.0])
    noise = pulled(m, 0.0, 20000, episode=(1,)) / (0.1 * m.effort_nm)
    assert 0.99 < np.abs(noise).max() <= 1.0
    assert noise.std(axis=0) == pytest.approx([3**-0.5] * 3, rel=0.02)
    assert np.abs(np.corrcoef(noise.T) - np.eye(3)).max() < 0.03
    assert abs(np.corrcoef(noise[1:, 0], noise[:-1, 0])[0, 1]) < 0.03


def test_more_torque_noise_is_the_same_noise():
    """Twice the fraction is twice every draw; another episode has others, the same one the same."""
    m = having(motors(torque_control=True), torque_noise=0.1)
    once = pulled(m, 0.0, 100, episode=(7, 0))
    assert pulled(m, 0.0, 100, episode=(7, 1))[0] != once[0]
    having(m, torque_noise=0.2)
    assert (pulled(m, 0.0, 100, episode=(7, 0)) == 2 * once).all()


def arrivals(m, count=400, spacing=40, episode=(3,)):
    """Ticks from each command to its effect; None where it was lost."""
    m.reset(np.array([-1.0]), episode)
    waits = []
    for i in range(count):
        m.command(np.array([0.01 * i]))
        acted = [m.torque(zero(), zero())[0] for _ in range(spacing)]
        waits.append(acted.index(0.01 * i) if 0.01 * i in acted else None)
    return waits


def test_jitter_spreads_arrivals_uniformly_over_its_width():
    """Latency + U(0, jitter): every tick in between occurs, equally often, and none beyond."""
    m = having(motors(torque_control=True), latency_s=2 * DT, jitter_s=10 * DT)
    waits = arrivals(m, 2000)
    assert set(waits) == set(range(2, 13))
    inner = [waits.count(k) for k in range(3, 12)]
    assert min(inner) > 140
    assert max(inner) < 260
    assert arrivals(m, 50) == waits[:50]
    assert arrivals(m, 50, episode=(4,)) != waits[:50]


@pytest.mark.parametrize("loss", [0.0, 0.3, 1.0])
def test_commands_are_lost_as_often_as_told_and_the_last_one_stays(loss):
    """The fraction lost is the probability; a motor whose command is lost goes on with the one before."""
    m = having(motors(torque_control=True), loss=loss)
    waits = arrivals(m, 2000, spacing=1)
    assert waits.count(None) / 2000 == pytest.approx(loss, abs=0.04)
    held = 0.01 * max((i for i, wait in enumerate(waits) if wait == 0), default=-100)
    assert m.torque(zero(), zero())[0] == held


def test_a_higher_loss_loses_those_commands_and_more():
    """The same draws decide at every probability, so what is lost at 10 % is lost at 30 %."""
    lost = [
        {
            i
            for i, wait in enumerate(arrivals(having(motors(torque_control=True), loss=p), spacing=1))
            if wait is None
        }
        for p in (0.1, 0.3)
    ]
    assert lost[0] < lost[1]


def test_heat_takes_the_torque_down_to_what_is_continuous():
    """Full effort when cold; for ever, the continuous fraction of it, whatever the time constant."""
    m = having(motors(torque_control=True), continuous=0.6, thermal_time_s=2.0)
    torques = pulled(m, 1e3, 8000)[:, 0]
    assert torques[0] == 80.0
    assert (np.diff(torques) <= 1e-12).all()
    assert torques[-1] == pytest.approx(0.6 * 80.0, rel=1e-6)


def test_heat_is_that_of_the_first_order_model():
    """At constant torque θ = (τ/(c e))² (1 − exp(−t/T)), which takes (1 − c) e θ; it cools as exp(−t/T)."""
    m = having(motors(torque_control=True), continuous=0.5, thermal_time_s=1.5)
    pulled(m, 30.0, 200)
    theta = (30.0 / 40.0) ** 2 * (1 - np.exp(-199 * DT / 1.5))
    assert m.torque(zero(), zero())[0] == 30.0
    m.command(zero())
    m.torque(zero(), zero())
    for _ in range(99):
        m.torque(zero(), zero())
    m.command(np.array([1e3]))
    theta = (theta * np.exp(-2 * DT / 1.5) + (30.0 / 40.0) ** 2 * (1 - np.exp(-2 * DT / 1.5))) * np.exp(
        -100 * DT / 1.5
    )
    assert m.torque(zero(), zero())[0] == pytest.approx(80.0 - 40.0 * theta, rel=1e-9)
    m.reset(zero())
    m.command(np.array([1e3]))
    assert m.torque(zero(), zero())[0] == 80.0


def test_a_motor_that_can_hold_its_limit_for_ever_never_fades():
    """Continuous = 1 is no thermal model at all."""
    m = having(motors(torque_control=True), thermal_time_s=0.1)
    assert (pulled(m, 1e3, 2000) == 80.0).all()


@pytest.mark.parametrize("voltage", [0.5, 0.8, 1.2])
def test_the_no_load_speed_goes_with_the_voltage(voltage):
    """Stall torque and no-load speed are proportional to it; what a current limit bounds is not."""
    m = having(motors(torque_control=True), supply=voltage, effort_nm=1e3)
    assert pulled(m, 1e4, 1)[0, 0] == pytest.approx(120.0 * voltage)
    assert pulled(m, 1e4, 1, velocity=30.0 * voltage)[0, 0] == pytest.approx(0.0, abs=1e-9)
    having(m, effort_nm=10.0)
    assert pulled(m, 1e4, 1)[0, 0] == 10.0


def test_the_battery_sags_by_the_law_of_its_resistance():
    """With P drawn the voltage u left solves u (1 − u) = P R/V²; braking motors do not draw."""
    m = having(motors(torque_control=True), sag_per_w=1e-3, effort_nm=1e3)
    torque = pulled(m, 12.0, 2, velocity=10.0)[1, 0]
    assert torque == 12.0
    m.command(np.array([1e4]))
    left = 0.5 + (0.25 - 0.12) ** 0.5
    assert m.torque(zero(), np.array([10.0]))[0] == pytest.approx(120.0 * left - 40.0)
    pulled(m, -12.0, 2, velocity=10.0)
    m.command(np.array([1e4]))
    assert m.torque(zero(), np.array([10.0]))[0] == pytest.approx(120.0 - 40.0)


def test_more_than_the_battery_can_give_leaves_half_its_voltage():
    """The most power comes at half the voltage (Jacobi's law)."""
    m = having(motors(torque_control=True), sag_per_w=1.0, effort_nm=1e3)
    assert pulled(m, 1e4, 2, velocity=1.0)[1, 0] == pytest.approx(60.0 - 4.0)


def test_what_is_switched_off_again_leaves_no_trace():
    """With everything set and set back, an episode of torques is bit-identical to that of new motors."""
    m, nominal = motors(3), motors(3)
    changes = {
        "lag_s": 0.01, "dead_zone_nm": 1.0, "ripple_nm": 1.0, "ripple_cycles": 3.0, "torque_noise": 0.1,
        "continuous": 0.5, "thermal_time_s": 1.0, "supply": 0.9, "sag_per_w": 1e-3, "jitter_s": 0.01, "loss": 0.2,
    }  # fmt: skip
    before = {name: np.array(getattr(m, name)).tolist() for name in changes}
    having(m, **changes)
    worn = pulled(m, 0.5, 50)
    having(m, **before)
    ideal = pulled(nominal, 0.5, 50)
    assert (pulled(m, 0.5, 50) == ideal).all()
    assert not np.isclose(worn, ideal).all()

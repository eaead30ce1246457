"""Every parameter acts, by the amount physics says."""

import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sim2real import Robot
from sim2real.errors import Sim2RealError
from sim2real.robots import Changes
from sim2real.simulation import Simulation

ROBOTS = Path(__file__).parents[1] / "robots"
G = 9.81
PERIOD = 0.02


@pytest.fixture(scope="module")
def shared_legs():
    robot = Robot.load("g1")
    sim = Simulation(robot, robot.group("legs"))
    yield sim
    sim.close()


@pytest.fixture
def legs(shared_legs):
    """The G1 on its legs, every parameter nominal."""
    to_nominal(shared_legs)
    return shared_legs


@pytest.fixture(scope="module")
def shared_pendulum():
    """2 kg, 0.5 m below the hinge, 0.6 kg m² about it; bolted down."""
    sim = Simulation(Robot.load(ROBOTS / "pendulum"), ["hinge"], control="torque", fixed_base=True)
    yield sim
    sim.close()


@pytest.fixture
def pendulum(shared_pendulum):
    to_nominal(shared_pendulum)
    return shared_pendulum


@pytest.fixture
def box():
    sim = Simulation(Robot.load(ROBOTS / "box"), [])
    yield sim
    sim.close()


def to_nominal(sim):
    for name in sim.parameters.names():
        spec = sim.parameters.spec(name)
        if not spec.transient:
            sim.parameters.set(name, spec.nominal)


def run(sim, steps, command=None):
    command = sim.default_pose if command is None else np.asarray(command, dtype=float)
    for _ in range(steps):
        sim.step(command)
    return sim


def pendulum_acceleration(sim, torque):
    """Angular acceleration over the first physics tick from rest, hanging, without gravity."""
    sim.parameters.set("gravity.z", 0.0)
    sim.reset()
    run(sim, 1, [torque])
    return sim.joint_velocity_rad_s[0] / PERIOD


def whole_mass_matrix(sim):
    return sim.engine.mass_matrix([0.0] * 7 + sim.default_pose.tolist())


def trace(sim, steps=25, seed=0):
    """Readings of an episode under a fixed wriggle, every bit of them."""
    sim.reset()
    rng = np.random.default_rng(seed)
    out = []
    for _ in range(steps):
        sim.step(sim.default_pose + 0.1 * rng.standard_normal(len(sim.joint_names)))
        r = sim.reading
        out.append((r.gyro_rad_s, r.projected_gravity, *r.joint_position_rad, *r.joint_velocity_rad_s))
    return out


# ---- world ------------------------------------------------------------------------------------------------


@given(st.floats(-20.0, -0.5))
@settings(max_examples=10)
def test_gravity_is_the_acceleration_of_free_fall(g):
    """A dropped body reaches v = g t."""
    sim = Simulation(Robot.load(ROBOTS / "box"), [])
    sim.parameters.set("gravity.z", g)
    sim.reset()
    sim.engine.set_state((0, 0, 100), (0, 0, 0, 1), [])
    run(sim, 10)
    assert sim.base_velocity_m_s[2] == pytest.approx(g * 10 * PERIOD, rel=1e-6)
    sim.close()


@pytest.mark.parametrize("friction", [0.1, 0.5])
@pytest.mark.parametrize("direction", [0.0, 2.0])
def test_a_box_slides_above_the_slip_angle_and_rests_below(box, friction, direction):
    """Slip angle = atan μ; above it a = g (sin α − μ cos α), downhill."""
    box.parameters.set("ground.friction", friction)
    box.parameters.set("ground.slope_direction", direction)
    for excess in (-0.03, 0.1):
        angle = math.atan(friction) + excess
        box.parameters.set("ground.slope", angle)
        box.reset()
        run(box, 50)
        vx, vy, _ = box.base_velocity_m_s
        downhill = vx * math.cos(direction) + vy * math.sin(direction)
        expected = max(0.0, G * (math.sin(angle) - friction * math.cos(angle)))
        # Bullet's friction is a pyramid: off its axes it is stronger, by up to √2.
        tolerance = 0.05 if direction == 0.0 else 0.5
        assert downhill == pytest.approx(expected, rel=tolerance, abs=1e-3)


def test_the_slope_is_what_the_imu_feels(legs):
    """Projected gravity of a robot upright on the plane is (sin α, 0, −cos α)."""
    legs.parameters.set("ground.slope", 0.1)
    legs.reset()
    assert legs.reading.projected_gravity == pytest.approx((math.sin(0.1), 0.0, -math.cos(0.1)), abs=1e-9)


@pytest.mark.parametrize("restitution", [0.3, 0.7])
def test_restitution_is_the_speed_kept_by_a_bounce(restitution):
    """A ball dropped from a height rebounds with e times its speed."""
    sim = Simulation(Robot.load(ROBOTS / "ball"), [], physics_period_s=0.001, control_period_s=0.001)
    sim.parameters.set("ground.restitution", restitution)
    sim.reset()
    sim.engine.set_state((0, 0, 1.0), (0, 0, 0, 1), [])
    speeds = [run(sim, 1).base_velocity_m_s[2] for _ in range(700)]
    assert max(speeds) == pytest.approx(-restitution * min(speeds), rel=0.05)
    sim.close()


# ---- mass distribution ----------------------------------------------------------------------------------------


def test_a_payload_adds_its_mass_where_it_sits(legs):
    """Total mass grows by it, in the engine too, and the centre of mass is the weighted mean."""
    pose = legs.robot.default_pose
    before = legs._nominal.tree.whole(pose)
    merged, origin, rotation = legs._nominal.frame_of["torso"]
    at = origin + rotation @ (legs.robot.inertials["torso"].com_m + (0.2, 0.0, 0.0))
    assert merged == legs.engine.link_names[0]
    legs.parameters.set("payload.mass", 5.0)
    legs.parameters.set("payload.x", 0.2)
    legs.reset()
    after = legs._loaded.tree.whole(pose)
    assert after.mass_kg == pytest.approx(before.mass_kg + 5.0, abs=1e-9)
    assert after.com_m == pytest.approx((before.mass_kg * before.com_m + 5.0 * at) / after.mass_kg, abs=1e-9)
    carried = np.isclose(np.diag(whole_mass_matrix(legs)), after.mass_kg, rtol=1e-6)
    assert carried.sum() == 3


@given(factor=st.floats(0.2, 5.0))
@settings(max_examples=10)
def test_twice_the_mass_halves_the_acceleration(shared_pendulum, factor):
    """Mass scales the inertia about the hinge with it: α = τ / (k I)."""
    to_nominal(shared_pendulum)
    shared_pendulum.parameters.set("rod.mass", 2.0 * factor)
    assert pendulum_acceleration(shared_pendulum, 0.3) == pytest.approx(0.3 / (0.6 * factor), rel=1e-3)


def test_inertia_alone_leaves_the_mass(pendulum):
    """Twice the rotational inertia of the rod: I = 2 × 0.1 + 2 × 0.5²."""
    pendulum.parameters.set("rod.inertia", 2.0)
    assert pendulum_acceleration(pendulum, 0.3) == pytest.approx(0.3 / 0.7, rel=1e-3)


def test_the_centre_of_mass_moves_as_told(pendulum):
    """0.1 m further down: I = 0.1 + 2 × 0.6², by recompiling the robot."""
    pendulum.parameters.set("rod.com_z", -0.1)
    assert pendulum_acceleration(pendulum, 0.3) == pytest.approx(0.3 / (0.1 + 2 * 0.36), rel=1e-3)


def test_a_stretch_spreads_the_mass_along_its_axis(pendulum):
    """Σ_zz = (Ixx + Iyy − Izz) / 2 = 0.095 grows by the factor squared; about y, I = 0.6 + 0.095 × (k² − 1)."""
    pendulum.parameters.set("rod.stretch_z", 2.0)
    assert pendulum_acceleration(pendulum, 0.3) == pytest.approx(0.3 / (0.6 + 3 * 0.095), rel=1e-3)
    pendulum.parameters.set("rod.stretch_z", 1.0)
    pendulum.parameters.set("rod.stretch_y", 3.0)
    assert pendulum_acceleration(pendulum, 0.3) == pytest.approx(0.3 / 0.6, rel=1e-3)


def test_a_shear_tilts_the_principal_axes(pendulum):
    """x ← x + s z adds s² Σ_zz to the inertia about y, and −s Σ_zz to the product of inertia."""
    pendulum.parameters.set("rod.shear_xz", 0.5)
    assert pendulum_acceleration(pendulum, 0.3) == pytest.approx(0.3 / (0.6 + 0.25 * 0.095), rel=1e-3)
    assert pendulum._loaded.merged["rod"].inertia_kgm2[0, 2] == pytest.approx(-0.5 * 0.095, rel=1e-9)


@given(
    st.lists(st.floats(0.1, 5.0), min_size=3, max_size=3), st.lists(st.floats(-3, 3), min_size=3, max_size=3)
)
@settings(max_examples=30)
def test_every_stretch_and_shear_is_a_possible_body(shared_legs, stretches, shears):
    """Moments of inertia stay positive and within the triangle inequality; mass and centre of mass stay."""
    to_nominal(shared_legs)
    values = dict(zip(("stretch_x", "stretch_y", "stretch_z", "shear_xy", "shear_xz", "shear_yz"),
                      (*stretches, *shears), strict=True))  # fmt: skip
    for name, value in values.items():
        shared_legs.parameters.set(f"left_knee.{name}", value)
    changes = shared_legs._inertials.wanted() or Changes()
    body, _ = shared_legs.robot._changed(changes)
    place = shared_legs.robot.tree.index["left_knee"]
    nominal = shared_legs.robot.inertials["left_knee"]
    moments = np.linalg.eigvalsh(body.inertia_kgm2[place])
    assert moments[0] > 0
    assert moments[2] <= (moments[0] + moments[1]) * (1 + 1e-9)
    assert (body.mass_kg[place], *body.com_m[place]) == (nominal.mass_kg, *nominal.com_m)


def test_armature_adds_to_the_inertia_of_its_joint(legs):
    """The diagonal of the mass matrix grows by the added rotor inertia."""
    joint = legs.joint_names.index("left_knee")
    before = whole_mass_matrix(legs)
    nominal = legs.parameters.get("left_knee.armature")
    legs.parameters.set("left_knee.armature", 3 * nominal)
    legs.reset()
    grown = np.diag(whole_mass_matrix(legs) - before)
    assert grown[6 + joint] == pytest.approx(2 * nominal, rel=1e-4)


# ---- actuators ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("strength", [0.0, 0.5, 1.0, 1.3])
def test_strength_scales_the_torque(pendulum, strength):
    """α = k τ / I."""
    pendulum.parameters.set("hinge.strength", strength)
    assert pendulum_acceleration(pendulum, 0.3) == pytest.approx(strength * 0.3 / 0.6, rel=1e-3, abs=1e-12)


def test_the_effort_limit_bounds_the_torque(pendulum):
    """More than the limit accelerates no more than the limit."""
    pendulum.parameters.set("hinge.effort_limit", 0.3)
    assert pendulum_acceleration(pendulum, 50.0) == pytest.approx(0.3 / 0.6, rel=1e-3)


def test_full_drive_ends_at_the_no_load_speed(pendulum):
    """Terminal speed is the no-load speed."""
    pendulum.parameters.set("gravity.z", 0.0)
    pendulum.parameters.set("hinge.no_load_speed", 5.0)
    pendulum.reset()
    run(pendulum, 200, [50.0])
    assert pendulum.joint_velocity_rad_s[0] == pytest.approx(5.0, rel=1e-3)


def test_dry_friction_holds_what_is_below_it(pendulum):
    """Below it the joint sticks, above it the rest accelerates."""
    pendulum.parameters.set("hinge.coulomb_friction", 0.2)
    assert pendulum_acceleration(pendulum, 0.19) == pytest.approx(0.0, abs=1e-9)
    assert pendulum_acceleration(pendulum, 0.5) == pytest.approx(0.3 / 0.6, rel=1e-3)


def test_viscous_friction_slows_exponentially(pendulum):
    """v(t) = v₀ exp(−b t / I)."""
    pendulum.parameters.set("gravity.z", 0.0)
    pendulum.parameters.set("hinge.viscous_friction", 0.3)
    pendulum.reset()
    pendulum.engine.set_state((0, 0, 0.1), (0, 0, 0, 1), [0.0], [1.0])
    run(pendulum, 50, [0.0])
    assert pendulum.joint_velocity_rad_s[0] == pytest.approx(math.exp(-0.3 / 0.6), rel=0.01)


@pytest.mark.parametrize("gain", ["kp", "kd"])
def test_gains_are_those_of_the_pd_law(gain):
    """Torque of the first tick is kp (target − q), and damping takes kd v."""
    sim = Simulation(Robot.load(ROBOTS / "pendulum"), ["hinge"], fixed_base=True)
    sim.parameters.set("gravity.z", 0.0)
    sim.parameters.set("hinge.kp", 7.0)
    sim.parameters.set("hinge.kd", 0.5)
    sim.reset()
    position, velocity = np.array([0.1]), np.array([0.2])
    sim.actuators.command(np.array([0.3]))
    assert sim.actuators.torque(position, velocity)[0] == pytest.approx(7.0 * 0.2 - 0.5 * 0.2)
    sim.close()


@pytest.mark.parametrize("latency_s", [0.005, 0.015, 0.02, 0.045])
def test_actuator_latency_delays_the_response_by_its_ticks(latency_s):
    """A step of torque shows in the velocity exactly latency later, at physics resolution."""
    sim = Simulation(Robot.load(ROBOTS / "pendulum"), ["hinge"], control="torque", fixed_base=True,
                     physics_period_s=0.005, control_period_s=0.005)  # fmt: skip
    sim.parameters.set("gravity.z", 0.0)

    def response():
        sim.reset()
        return [run(sim, 1, [0.3]).joint_velocity_rad_s[0] for _ in range(40)]

    prompt = response()
    sim.parameters.set("actuator.latency_s", latency_s)
    late = response()
    ticks = round(latency_s / 0.005)
    assert late[ticks:] == pytest.approx(prompt[: 40 - ticks], abs=1e-12)
    assert not any(late[:ticks])
    sim.close()


@pytest.mark.parametrize("latency_s", [0.005, 0.02, 0.035])
def test_sensor_latency_delays_the_readings_by_its_ticks(latency_s):
    """What is read is the true state of latency ago, at physics resolution."""
    sim = Simulation(Robot.load(ROBOTS / "pendulum"), ["hinge"], control="torque", fixed_base=True,
                     physics_period_s=0.005, control_period_s=0.005)  # fmt: skip
    sim.parameters.set("sensor.latency_s", latency_s)
    sim.reset()
    true, read = [], []
    for _ in range(40):
        run(sim, 1, [0.3])
        true.append(sim.joint_position_rad[0])
        read.append(sim.reading.joint_position_rad[0])
    ticks = round(latency_s / 0.005)
    assert read[ticks:] == true[: 40 - ticks]
    sim.close()


@pytest.mark.parametrize("torque", [0.3, 20.0])
def test_a_dead_motor_is_a_free_joint(pendulum, torque):
    """At strength 0 nothing that is commanded moves it, and it swings as if it had no motor."""
    pendulum.parameters.set("hinge.strength", 0.0)
    assert pendulum_acceleration(pendulum, torque) == 0.0
    pendulum.parameters.set("gravity.z", -G)

    def swing(command):
        pendulum.reset()
        pendulum.engine.set_state((0, 0, 0.1), (0, 0, 0, 1), [0.3], [0.0])
        return [run(pendulum, 1, [command]).joint_position_rad[0] for _ in range(40)]

    assert swing(torque) == swing(0.0)


def test_lag_delays_the_speed_gained_by_its_time_constant(pendulum):
    """Under a step of torque the speed is τ/I (t − T (1 − exp(−t/T))): in the end T behind the prompt one."""
    pendulum.parameters.set("gravity.z", 0.0)
    pendulum.parameters.set("hinge.lag_s", 0.05)
    pendulum.reset()
    run(pendulum, 25, [0.3])
    expected = 0.3 / 0.6 * (0.5 - 0.05 * (1 - math.exp(-0.5 / 0.05)))
    assert pendulum.joint_velocity_rad_s[0] == pytest.approx(expected, rel=0.01)


def test_the_dead_zone_swallows_small_torques(pendulum):
    """Below it nothing moves, above it α = (τ − d) / I."""
    pendulum.parameters.set("hinge.dead_zone", 0.2)
    assert pendulum_acceleration(pendulum, 0.19) == 0.0
    assert pendulum_acceleration(pendulum, -0.5) == pytest.approx(-0.3 / 0.6, rel=1e-3)


def test_ripple_traps_a_joint_that_can_turn_freely(pendulum):
    """Near q = π/n it is a spring of stiffness A n: small oscillations at ω² = A n / I."""
    pendulum.parameters.set("gravity.z", 0.0)
    pendulum.parameters.set("hinge.ripple", 0.5)
    pendulum.parameters.set("hinge.ripple_cycles", 6.0)
    pendulum.reset()
    pendulum.engine.set_state((0, 0, 0.1), (0, 0, 0, 1), [math.pi / 6 + 0.01], [0.0])
    pendulum._observe()
    offsets = np.array([run(pendulum, 1, [0.0]).joint_position_rad[0] for _ in range(400)]) - math.pi / 6
    falling = np.flatnonzero((offsets[:-1] > 0) & (offsets[1:] <= 0))
    period = np.diff(falling).mean() * PERIOD
    assert period == pytest.approx(2 * math.pi / math.sqrt(0.5 * 6 / 0.6), rel=0.02)


def test_torque_noise_makes_the_speed_wander_as_a_random_walk(pendulum):
    """Var v after k ticks = k (f e h / I)² / 3, over many episodes."""
    pendulum.parameters.set("gravity.z", 0.0)
    pendulum.parameters.set("actuator.torque_noise", 0.02)
    speeds = []
    for episode in range(300):
        pendulum.reset(episode=(episode,))
        speeds.append(run(pendulum, 10, [0.0]).joint_velocity_rad_s[0])
    assert np.std(speeds) == pytest.approx(math.sqrt(40 / 3) * 0.02 * 50 * 0.005 / 0.6, rel=0.12)


def test_random_motors_repeat_an_episode_by_its_name(legs):
    """Jitter, loss and torque noise are a function of the integers that name the episode, and of nothing else."""
    for name, value in (("actuator.jitter_s", 0.02), ("actuator.loss", 0.2), ("actuator.torque_noise", 0.05)):
        legs.parameters.set(name, value)

    def positions(*episode):
        legs.reset(episode=episode)
        rng = np.random.default_rng(0)
        wriggle = (legs.default_pose + 0.1 * rng.standard_normal(12) for _ in range(10))
        return [run(legs, 1, command).joint_position_rad.tolist() for command in wriggle]

    first = positions(5, 0)
    assert positions(5, 1) != first
    assert positions(5, 0) == first


def test_a_low_battery_lowers_the_terminal_speed(pendulum):
    """Under full drive a free joint ends at voltage × no-load speed."""
    pendulum.parameters.set("gravity.z", 0.0)
    pendulum.parameters.set("hinge.no_load_speed", 5.0)
    pendulum.parameters.set("battery.voltage", 0.7)
    pendulum.reset()
    run(pendulum, 200, [50.0])
    assert pendulum.joint_velocity_rad_s[0] == pytest.approx(0.7 * 5.0, rel=1e-3)


def test_stiction_has_to_be_broken(pendulum):
    """Between Coulomb's friction and what comes on top a joint at rest stays, and one that moves goes on."""
    pendulum.parameters.set("gravity.z", 0.0)
    pendulum.parameters.set("hinge.coulomb_friction", 0.2)
    pendulum.parameters.set("hinge.stiction", 0.3)

    def speed(torque, start):
        pendulum.reset()
        pendulum.engine.set_state((0, 0, 0.1), (0, 0, 0, 1), [0.0], [start])
        pendulum._observe()
        return run(pendulum, 10, [torque]).joint_velocity_rad_s[0]

    assert speed(0.45, 0.0) == pytest.approx(0.0, abs=1e-6)
    assert speed(0.45, 0.5) == pytest.approx(0.5 + (0.45 - 0.2) / 0.6 * 0.2, rel=1e-3)
    slow_ticks = 0.01 / ((0.6 - 0.5) / 0.6 * 0.005)  # until it is no longer at rest
    assert slow_ticks == pytest.approx(12)
    assert speed(0.6, 0.0) == pytest.approx(0.01 + (0.6 - 0.2) / 0.6 * 28 * 0.005, rel=0.1)
    assert speed(0.0, 0.05) == pytest.approx(0.0, abs=1e-6)
    assert speed(0.45, 0.0) == pytest.approx(0.0, abs=1e-6)


def test_a_stuck_joint_stays_where_it_is(pendulum):
    """Gravity and full effort together do not move it, wherever it got stuck, and freed it swings again."""
    pendulum.reset()
    pendulum.engine.set_state((0, 0, 0.1), (0, 0, 0, 1), [0.5], [1.0])
    pendulum._observe()
    run(pendulum, 2, [0.0])
    pendulum.parameters.set("hinge.stuck", 1.0)
    run(pendulum, 1, [50.0])
    where = pendulum.joint_position_rad[0]
    run(pendulum, 100, [50.0])
    assert pendulum.joint_position_rad[0] == pytest.approx(where, abs=1e-6)
    pendulum.parameters.set("hinge.stuck", 0.0)
    assert abs(run(pendulum, 5, [50.0]).joint_velocity_rad_s[0]) > 1.0


def test_a_stop_is_where_it_is_told():
    """A joint driven against its stop rests there; shifted, somewhere else, also after a recompilation."""
    sim = Simulation(Robot.load("g1"), ["left_knee"], control="torque", fixed_base=True)
    nominal = sim.parameters.get("left_knee.upper_limit")
    assert nominal == sim.upper_rad[0]
    sim.parameters.set("gravity.z", 0.0)
    sim.parameters.set("left_knee.viscous_friction", 1.0)

    def rest(command):
        sim.reset()
        sim.engine.set_state((0, 0, 3), (0, 0, 0, 1), sim.default_pose.tolist())
        return run(sim, 150, [command]).joint_position_rad[0]

    assert rest(5.0) == pytest.approx(nominal, abs=0.01)
    for recompiled in (0.0, 0.05):
        sim.parameters.set("torso.com_x", recompiled)
        sim.parameters.set("left_knee.upper_limit", 1.5)
        sim.parameters.set("left_knee.lower_limit", 0.2)
        assert rest(5.0) == pytest.approx(1.5, abs=0.01)
        assert rest(-5.0) == pytest.approx(0.2, abs=0.01)
    sim.parameters.set("torso.com_x", 0.0)
    sim.parameters.set("left_knee.upper_limit", nominal)
    assert rest(5.0) == pytest.approx(nominal, abs=0.01)
    sim.close()


# ---- sensors --------------------------------------------------------------------------------------------------


def prompt_pendulum(**options):
    """The pendulum read and driven at every physics tick, without gravity."""
    sim = Simulation(Robot.load(ROBOTS / "pendulum"), ["hinge"], fixed_base=True,
                     physics_period_s=0.005, control_period_s=0.005, **options)  # fmt: skip
    sim.parameters.set("gravity.z", 0.0)
    return sim


def test_an_encoder_offset_moves_the_joint_and_not_the_reading():
    """The controller brings what it reads to the target: the true joint ends at target − offset."""
    sim = prompt_pendulum()
    sim.parameters.set("hinge.encoder_offset", 0.1)
    sim.reset()
    assert sim.reading.joint_position_rad[0] == pytest.approx(0.1)
    run(sim, 2000, [0.3])
    assert sim.joint_position_rad[0] == pytest.approx(0.2, abs=1e-4)
    assert sim.reading.joint_position_rad[0] == pytest.approx(0.3, abs=1e-4)
    sim.close()


def test_within_its_backlash_a_joint_is_free():
    """A held joint gives way to a push by half the play before the motor feels anything, and the reading with it."""
    sim = prompt_pendulum()
    sim.parameters.set("hinge.backlash", 0.1)
    sim.reset()
    sim.engine.set_state((0, 0, 0.1), (0, 0, 0, 1), [0.0], [0.2])
    sim._observe()
    sim.actuators.command(np.zeros(1))
    for _ in range(49):  # 0.049 rad at 0.2 rad/s
        run(sim, 1, [0.0])
    assert sim.joint_velocity_rad_s[0] == pytest.approx(0.2, abs=1e-9)
    assert sim.joint_position_rad[0] == pytest.approx(0.049, abs=1e-9)
    assert sim.reading.joint_position_rad[0] == 0.0
    assert sim.reading.joint_velocity_rad_s[0] == 0.0
    run(sim, 10, [0.0])
    assert sim.joint_velocity_rad_s[0] < 0.2
    assert sim.reading.joint_position_rad[0] == pytest.approx(sim.joint_position_rad[0] - 0.05, abs=1e-9)
    sim.close()


@pytest.mark.parametrize("part", ["gyro", "projected_gravity", "joint_position", "joint_velocity"])
def test_one_sensor_can_be_late_on_its_own(legs, part):
    """What is late is what was read that long ago, and the other parts are bit-identical to a prompt episode."""

    def episode():
        legs.reset()
        legs.engine.add_base_velocity((0, 0, 0), (0.3, 0.2, 0.1))
        readings = []
        for i in range(15):
            readings.append(run(legs, 1, legs.default_pose + 0.02 * i).reading)
        fields = ("gyro_rad_s", "projected_gravity", "joint_position_rad", "joint_velocity_rad_s")
        return {f: [np.array(getattr(r, f)).tolist() for r in readings] for f in fields}

    prompt = episode()
    legs.parameters.set(f"{part}.latency_s", 3 * PERIOD)
    late = episode()
    for field, values in late.items():
        if field.removesuffix("_rad_s").removesuffix("_rad") == part:
            assert values[3:] == prompt[field][:-3]
            assert values != prompt[field]
        else:
            assert values == prompt[field]


@pytest.mark.parametrize(("turn", "gravity"), [
    ("roll", (0.0, -math.sin(0.2), -math.cos(0.2))),
    ("pitch", (math.sin(0.2), 0.0, -math.cos(0.2))),
    ("yaw", (0.0, 0.0, -1.0)),
])  # fmt: skip
def test_a_misaligned_imu_reads_in_its_own_axes(legs, turn, gravity):
    """Turned by an angle about an axis it sees gravity and rates turned back; along that axis nothing changes."""
    legs.parameters.set(f"imu.{turn}", 0.2)
    legs.reset()
    assert legs.reading.projected_gravity == pytest.approx(gravity, abs=1e-9)
    legs.engine.add_base_velocity((0, 0, 0), (1.0, 2.0, 3.0))
    legs._observe()
    axis = ("roll", "pitch", "yaw").index(turn)
    reading, true = legs._read().gyro_rad_s, legs.base_angular_velocity_rad_s
    assert reading[axis] == pytest.approx(true[axis], abs=1e-9)
    assert math.dist(reading, (0, 0, 0)) == pytest.approx(math.dist(true, (0, 0, 0)), abs=1e-9)
    after = {"roll": 1, "pitch": 2, "yaw": 0}[turn]
    following = {"roll": 2, "pitch": 0, "yaw": 1}[turn]
    expected = math.cos(0.2) * true[after] + math.sin(0.2) * true[following]
    assert reading[after] == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("latency_s", [0.0, 0.01])
def test_a_differentiated_velocity_is_the_change_of_the_readings(legs, latency_s):
    """v = (q − q before) / control period, of the readings as they come, and q itself stays."""
    legs.parameters.set("joint_position.latency_s", latency_s)
    legs.reset()
    commands = [legs.default_pose + 0.02 * i for i in range(10)]
    plain = [run(legs, 1, command).reading.joint_position_rad for command in commands]
    legs.parameters.set("joint_velocity.finite_difference", 1.0)
    legs.reset()
    start = legs.reading.joint_position_rad
    readings = [run(legs, 1, command).reading for command in commands]
    assert [r.joint_position_rad.tolist() for r in readings] == [q.tolist() for q in plain]
    expected = np.diff([start, *plain], axis=0) / PERIOD
    assert np.array([r.joint_velocity_rad_s for r in readings]) == pytest.approx(expected, abs=1e-9)


# ---- ground ---------------------------------------------------------------------------------------------------


@pytest.fixture
def ball():
    sim = Simulation(Robot.load(ROBOTS / "ball"), [], physics_period_s=0.001, control_period_s=0.001)
    yield sim
    sim.close()


@pytest.mark.parametrize("friction_m", [0.0, 0.002, 0.005])
def test_a_ball_that_rolls_slows_down_by_the_rolling_friction(ball, friction_m):
    """a = (f/R) g / (1 + 2/5): the resisting torque is f N, on a ball that does not slip."""
    ball.parameters.set("ground.rolling_friction", friction_m)
    ball.reset()
    run(ball, 100)
    ball.engine.add_base_velocity((1.0, 0, 0), (0, 10.0, 0))
    run(ball, 500)
    assert ball.base_velocity_m_s[0] == pytest.approx(1.0 - 0.5 * G * friction_m / 0.1 / 1.4, rel=1e-3)


@pytest.mark.parametrize("friction_m", [0.0, 0.002, 0.01])
def test_a_ball_that_spins_slows_down_by_the_spinning_friction(ball, friction_m):
    """α = f N / I about the vertical."""
    ball.parameters.set("ground.spinning_friction", friction_m)
    ball.reset()
    run(ball, 100)
    ball.engine.add_base_velocity((0, 0, 0), (0, 0, 20.0))
    run(ball, 500)
    expected = 20.0 - 0.5 * G * friction_m / 0.004
    assert ball.base_angular_velocity_rad_s[2] == pytest.approx(expected, rel=1e-3)


@pytest.mark.parametrize("compliance_m_n", [5e-5, 2e-4, 1e-3])
def test_soft_ground_gives_way_by_weight_times_compliance(ball, compliance_m_n):
    """A ball of 1 kg on one contact point sinks by m g c."""
    ball.parameters.set("ground.compliance", compliance_m_n)
    ball.parameters.set("ground.damping", 50.0)
    ball.reset()
    run(ball, 3000)
    assert 0.1 - ball.base_position_m[2] == pytest.approx(G * compliance_m_n, rel=0.06, abs=1e-5)


def test_soft_ground_is_a_damped_spring(ball):
    """Dropped onto it the ball leaves it slower the more damping there is."""

    def rebound(damping):
        ball.parameters.set("ground.compliance", 2e-4)
        ball.parameters.set("ground.damping", damping)
        ball.reset()
        ball.engine.set_state((0, 0, 0.3), (0, 0, 0, 1), [])
        return max(run(ball, 1).base_velocity_m_s[2] for _ in range(500))

    speeds = [rebound(damping) for damping in (0.0, 20.0, 60.0, 200.0)]
    assert speeds == sorted(speeds, reverse=True)
    assert speeds[0] > 0.7 * math.sqrt(2 * G * 0.2)
    assert speeds[-1] < 0.2


def test_ground_that_was_soft_is_rigid_again_to_the_bit(legs):
    """Bullet cannot take softness back; the world is built anew, with masses changed in place kept."""
    nominal = trace(legs)
    legs.parameters.set("torso.mass", 1.2 * legs.parameters.get("torso.mass"))
    heavy = trace(legs)
    legs.parameters.set("ground.compliance", 1e-4)
    assert trace(legs) != heavy
    legs.parameters.set("ground.compliance", 0.0)
    assert trace(legs) == heavy
    legs.parameters.set("ground.compliance", 1e-4)
    soft = trace(legs)
    to_nominal(legs)
    assert trace(legs) == nominal
    legs.parameters.set("torso.mass", 1.2 * legs.parameters.get("torso.mass"))
    legs.parameters.set("ground.compliance", 1e-4)
    assert trace(legs) == soft


def test_fewer_solver_iterations_solve_less(legs):
    """The same step from the same state differs, and 50 iterations are the engine's own, to the bit."""
    nominal = trace(legs)
    legs.parameters.set("solver.iterations", 3)
    assert trace(legs) != nominal
    legs.parameters.set("torso.com_x", 0.01)
    few = trace(legs)
    legs.parameters.set("solver.iterations", 50)
    assert trace(legs) != few
    legs.parameters.set("torso.com_x", 0.0)
    assert trace(legs) == nominal


# ---- disturbances ---------------------------------------------------------------------------------------------


@given(st.floats(-3, 3), st.sampled_from("xyz"))
@settings(max_examples=12)
def test_a_push_of_v_changes_the_velocity_by_v(shared_legs, v, axis):
    """A kick adds its velocity to the whole robot, and joints do not notice."""
    to_nominal(shared_legs)
    shared_legs.reset()
    run(shared_legs, 3)
    before, joints = shared_legs.engine.base_velocity()[0], shared_legs.engine.joint_state()[1]
    shared_legs.parameters.set(f"base.velocity_{axis}", v)
    change = np.subtract(shared_legs.engine.base_velocity()[0], before)
    assert change["xyz".index(axis)] == pytest.approx(v, abs=1e-9)
    assert np.abs(change).sum() == pytest.approx(abs(v), abs=1e-9)
    assert shared_legs.engine.joint_state()[1] == pytest.approx(joints, abs=1e-12)


def test_force_is_mass_times_acceleration(box):
    """A force on a body of 1 kg for 0.2 s in free fall changes its velocity by F t / m, and does not turn it."""
    box.reset()
    box.engine.set_state((0, 0, 100), (0, 0, 0, 1), [])
    box.parameters.set("box.force_x", 3.0)
    run(box, 10)
    box.parameters.set("box.force_x", 0.0)
    run(box, 10)
    assert box.base_velocity_m_s[0] == pytest.approx(3.0 * 0.2, rel=1e-6)
    assert box.base_angular_velocity_rad_s == pytest.approx((0, 0, 0), abs=1e-3)


@pytest.mark.parametrize("wind", [-12.0, 5.0])
def test_a_free_body_takes_on_the_speed_of_the_wind(box, wind):
    """m v' = ½ ρ A (w − v)², so that w − v = w / (1 + ½ ρ A |w| t / m), and nothing turns."""
    box.parameters.set("gravity.z", 0.0)
    box.parameters.set("air.drag_area", 0.5)
    box.parameters.set("wind.speed_y", wind)
    box.reset()
    box.engine.set_state((0, 0, 100), (0.5, 0.5, 0.5, 0.5), [])
    run(box, 50)
    expected = wind - wind / (1 + 0.5 * 1.225 * 0.5 * abs(wind) * 1.0)
    assert box.base_velocity_m_s[1] == pytest.approx(expected, rel=0.02)
    assert box.base_angular_velocity_rad_s == pytest.approx((0, 0, 0), abs=1e-6)


def test_still_air_ends_a_fall_at_its_terminal_speed(box):
    """v = √(2 m g / ρ A)."""
    box.parameters.set("air.drag_area", 0.5)
    box.reset()
    box.engine.set_state((0, 0, 200), (0, 0, 0, 1), [])
    run(box, 200)
    assert box.base_velocity_m_s[2] == pytest.approx(-math.sqrt(2 * G / (1.225 * 0.5)), rel=1e-3)
    box.parameters.set("air.drag_area", 0.0)
    box.engine.set_state((0, 0, 200), (0, 0, 0, 1), [])
    run(box, 10)
    assert box.base_velocity_m_s[2] == pytest.approx(-G * 0.2, rel=1e-6)


@pytest.mark.parametrize("axis", "xyz")
def test_torque_is_inertia_times_angular_acceleration(ball, axis):
    """A torque on a free ball turns it at τ t / I about that axis of the world, however it lies."""
    ball.reset()
    ball.engine.set_state((0, 0, 100), (0.5, 0.5, 0.5, 0.5), [])
    ball.parameters.set(f"ball.torque_{axis}", 0.02)
    run(ball, 100)
    expected = [0.02 * 0.1 / 0.004 * (name == axis) for name in "xyz"]
    assert ball.base_angular_velocity_rad_s == pytest.approx(expected, abs=1e-6)
    assert ball.base_velocity_m_s[:2] == pytest.approx((0, 0), abs=1e-9)


def test_a_torque_on_a_link_turns_its_joint(pendulum):
    """About the hinge it accelerates the rod as the motor would: α = τ / I; across it, not at all."""
    pendulum.parameters.set("rod.torque_y", 0.3)
    assert pendulum_acceleration(pendulum, 0.0) == pytest.approx(0.3 / 0.6, rel=1e-3)
    pendulum.parameters.set("rod.torque_y", 0.0)
    pendulum.parameters.set("rod.torque_x", 0.3)
    assert pendulum_acceleration(pendulum, 0.0) == pytest.approx(0.0, abs=1e-9)


def test_a_force_on_a_merged_link_acts_at_its_own_centre(legs):
    """Pushed at the torso, above the centre of what is merged, the robot tips over; at the pelvis, under it, back."""

    def pitch_rate(link):
        legs.reset()
        legs.parameters.set(f"{link}.force_x", 100.0)
        run(legs, 3)
        legs.parameters.set(f"{link}.force_x", 0.0)
        return legs.base_angular_velocity_rad_s[1]

    assert pitch_rate("torso") > 0.3
    assert pitch_rate("pelvis") < -0.3


# ---- what holds for all of them -------------------------------------------------------------------------------


def test_nothing_compounds_over_a_hundred_resets(legs):
    """Setting the same values again and again gives the same episode, natively changed or recompiled."""
    for name, value in (("left_knee.mass", 2.5), ("torso.com_x", 0.02)):
        to_nominal(legs)
        first = None
        for _ in range(100):
            legs.parameters.set(name, value)
            legs.reset()
        legs.parameters.set(name, value)
        again = trace(legs)
        to_nominal(legs)
        legs.reset()
        legs.parameters.set(name, value)
        first = trace(legs)
        assert again == first


def test_an_episode_depends_on_nothing_simulated_before_it(legs):
    """The same parameters give the same bits, whatever was set, recompiled or run before."""
    nominal = trace(legs)
    legs.parameters.set("torso.com_x", 0.05)
    shifted = trace(legs)
    legs.parameters.set("left_knee.mass", 3.0)
    trace(legs)
    to_nominal(legs)
    legs.parameters.set("left_knee.mass", 3.0)
    heavy = trace(legs)
    to_nominal(legs)
    assert trace(legs) == nominal
    fresh = Simulation(legs.robot, legs.joint_names)
    assert trace(fresh) == nominal
    fresh.parameters.set("left_knee.mass", 3.0)
    assert trace(fresh) == heavy
    to_nominal(fresh)
    fresh.parameters.set("torso.com_x", 0.05)
    assert trace(fresh) == shifted
    fresh.close()


def test_changing_a_mass_in_place_is_recompiling_it(legs):
    """The two ways of changing a mass agree to rounding."""
    legs.parameters.set("left_knee.mass", 3.0)
    legs.reset()
    assert legs._loaded is legs._nominal
    in_place = whole_mass_matrix(legs)
    legs.parameters.set("torso.com_x", 1e-9)
    legs.reset()
    assert legs._loaded is not legs._nominal
    assert whole_mass_matrix(legs) == pytest.approx(in_place, rel=1e-6, abs=1e-7)


def test_values_outside_the_possible_are_refused(legs):
    """One sentence names the parameter, the value and the bounds."""
    with pytest.raises(Sim2RealError, match=r"ground.friction = -1 .* 0 to 10"):
        legs.parameters.set("ground.friction", -1.0)
    with pytest.raises(Sim2RealError, match="Did you mean 'ground.friction'"):
        legs.parameters.set("ground.fricton", 0.5)
    with pytest.raises(Sim2RealError, match="ground.friction = nan"):
        legs.parameters.set("ground.friction", math.nan)


def test_a_map_of_mass_that_is_no_cholesky_factor_is_refused():
    """Upper triangular with a positive diagonal, so that every value is one body and no other's."""
    with pytest.raises(Sim2RealError, match="upper triangular"):
        Changes(shape={"torso": [[1, 0, 0], [0.5, 1, 0], [0, 0, 1]]})
    with pytest.raises(Sim2RealError, match="upper triangular"):
        Changes(shape={"torso": [[1, 0, 0], [0, -1, 0], [0, 0, 1]]})


def test_periods_must_divide():
    """A control period that is no whole multiple of the physics period is refused."""
    with pytest.raises(Sim2RealError, match="whole multiple"):
        Simulation(Robot.load(ROBOTS / "box"), [], physics_period_s=0.003)

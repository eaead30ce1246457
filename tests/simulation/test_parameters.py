"""Every parameter acts, by the amount physics says."""

import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sim2real import Robot
from sim2real.errors import Sim2RealError
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


def test_periods_must_divide():
    """A control period that is no whole multiple of the physics period is refused."""
    with pytest.raises(Sim2RealError, match="whole multiple"):
        Simulation(Robot.load(ROBOTS / "box"), [], physics_period_s=0.003)

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
from sim2real.simulation.scene import Contact

ROBOTS = Path(__file__).parents[1] / "robots"
G = 9.81
PERIOD = 0.02


@pytest.fixture(scope="module")
def shared_legs(simulation):
    robot = Robot.load("g1")
    sim = simulation(robot, robot.group("legs"))
    yield sim
    sim.close()


@pytest.fixture
def legs(shared_legs):
    """The G1 on its legs, every parameter nominal."""
    to_nominal(shared_legs)
    return shared_legs


@pytest.fixture(scope="module")
def shared_pendulum(simulation):
    """2 kg, 0.5 m below the hinge, 0.6 kg m² about it; bolted down."""
    sim = simulation(Robot.load(ROBOTS / "pendulum"), ["hinge"], control="torque", fixed_base=True)
    yield sim
    sim.close()


@pytest.fixture
def pendulum(shared_pendulum):
    to_nominal(shared_pendulum)
    return shared_pendulum


@pytest.fixture
def box(simulation):
    sim = simulation(Robot.load(ROBOTS / "box"), [])
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
    return sim.engine.mass_matrix(sim.default_pose.tolist())


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
def test_gravity_is_the_acceleration_of_free_fall(simulation, g):
    """A dropped body reaches v = g t."""
    sim = simulation(Robot.load(ROBOTS / "box"), [])
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
        vx, vy, rising = box.base_velocity_m_s
        downhill = vx * math.cos(direction) + vy * math.sin(direction)
        # What slides may hop: pushed off the ground harder, it is held back by as much more.
        expected = max(0.0, G * (math.sin(angle) - friction * math.cos(angle)) - friction * rising)
        # Bullet's friction is a pyramid: off its axes it is stronger, by up to √2.
        tolerance = 0.05 if direction == 0.0 else 0.5
        assert downhill == pytest.approx(expected, rel=tolerance, abs=1e-3)


def test_the_slope_is_what_the_imu_feels(legs):
    """Projected gravity of a robot upright on the plane is (sin α, 0, −cos α)."""
    legs.parameters.set("ground.slope", 0.1)
    legs.reset()
    assert legs.reading.projected_gravity == pytest.approx((math.sin(0.1), 0.0, -math.cos(0.1)), abs=1e-9)


BOUNCES = {
    ("bullet", 0.001): (-1e-3, 0.065), ("bullet", 0.005): (-1e-3, 0.09),
    ("mujoco", 0.001): (-4e-3, 0.06), ("mujoco", 0.005): (-0.02, 0.11),
}  # fmt: skip
"""How much less and more of its speed than the restitution a ball may keep, by engine and period."""


@pytest.mark.parametrize("period_s", [0.001, 0.005])
@pytest.mark.parametrize("restitution", [0.0, 0.3, 0.7])
def test_restitution_is_the_speed_kept_by_a_bounce(simulation, name_of, restitution, period_s):
    """From any height a ball rebounds with e times its speed, and what the engine adds to lift it out of the ground."""
    sim = simulation(Robot.load(ROBOTS / "ball"), [], physics_period_s=period_s, control_period_s=period_s)
    sim.parameters.set("ground.restitution", restitution)
    for height_m in (0.4, 0.6, 0.8, 1.0):
        sim.reset()
        sim.engine.set_state((0, 0, height_m), (0, 0, 0, 1), [])
        speeds = [run(sim, 1).base_velocity_m_s[2] for _ in range(round(0.7 / period_s))]
        less, more = BOUNCES[name_of(sim.engine), period_s]
        assert less < max(speeds) / -min(speeds) - restitution < more
    sim.close()


def test_ground_that_bounced_is_what_it_was_to_the_bit(legs):
    """Bouncing or not, an episode depends on nothing that was simulated before."""
    nominal = trace(legs)
    legs.parameters.set("ground.restitution", 0.4)
    bouncing = trace(legs)
    assert bouncing != nominal
    legs.parameters.set("ground.restitution", 0.2)
    trace(legs)
    legs.parameters.set("ground.restitution", 0.0)
    assert trace(legs) == nominal
    legs.parameters.set("ground.restitution", 0.4)
    assert trace(legs) == bouncing


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


def test_armature_adds_to_the_inertia_of_its_joint_and_of_nothing_else(legs):
    """The diagonal of the mass matrix grows by the added rotor inertia, at its joint's row."""
    joint = legs.joint_names.index("left_knee")
    legs.reset()
    before = whole_mass_matrix(legs)
    nominal = legs.parameters.get("left_knee.armature")
    legs.parameters.set("left_knee.armature", 3 * nominal)
    legs.reset()
    grown = np.zeros_like(before)
    grown[6 + joint, 6 + joint] = 2 * nominal
    assert whole_mass_matrix(legs) - before == pytest.approx(grown, abs=1e-9)


# ---- lengths --------------------------------------------------------------------------------------------------


@pytest.fixture
def bob(simulation):
    """1 kg on a rod of 0.12 kg and 0.5 m, hanging on a hinge; bolted down."""
    sim = simulation(Robot.load(ROBOTS / "bob"), ["hinge"], control="torque", fixed_base=True)
    yield sim
    sim.close()


@pytest.mark.parametrize("factor", [0.5, 1.0, 1.5, 2.0])
def test_a_link_k_times_as_long_turns_k_squared_times_as_hard(bob, factor):
    """Masses stay and distances grow: I = 0.26 k² about the hinge, and the pendulum's period is √k times as long."""
    assert bob.parameters.get("rod.length") == pytest.approx(0.5)
    bob.parameters.set("rod.length", 0.5 * factor)
    bob.reset()
    bob.engine.set_state((0, 0, 0.1), (0, 0, 0, 1), [0.05], [0.0])
    bob._observe()
    before = bob.joint_position_rad[0]
    for quarter in range(1, 200):  # noqa: B007 - the number of periods until it hangs straight down
        after = run(bob, 1, [0.0]).joint_position_rad[0]
        if after <= 0.0:
            break
        before = after
    period_s = 4 * PERIOD * (quarter - after / (after - before))
    nominal_s = 2 * math.pi * math.sqrt(0.26 / (G * (1 * 0.5 + 0.12 * 0.25)))
    assert period_s == pytest.approx(math.sqrt(factor) * nominal_s, rel=0.02)
    assert pendulum_acceleration(bob, 0.3) == pytest.approx(0.3 / (0.26 * factor**2), rel=1e-3)


@pytest.mark.parametrize("factor", [0.8, 1.2])
def test_a_longer_link_moves_what_it_carries_and_nothing_else(legs, factor):
    """Knee to ankle is k times as far, hip to knee as far as ever; masses stay; soles are on the ground at reset."""

    def look():
        legs.reset()
        at = {link: legs.engine.link_states([i])[0][0] for link, i in legs.link_index.items() if i}
        shin = math.dist(at["left_knee"], at["left_ankle_pitch"])
        thigh = math.dist(at["left_hip_yaw"], at["left_knee"])
        mass_kg = legs._loaded.tree.whole(legs.robot.default_pose).mass_kg
        return shin, thigh, at["left_ankle_roll"][2], mass_kg

    shin, thigh, sole, mass_kg = look()
    for side in ("left", "right"):
        legs.parameters.set(f"{side}_knee.length", factor * shin)
    assert shin == pytest.approx(legs.parameters.spec("left_knee.length").nominal, rel=1e-6)
    assert look() == pytest.approx((factor * shin, thigh, sole, mass_kg), rel=1e-6)
    tilt_rad = -0.1 + 0.3  # of the shins
    grown_m = (factor - 1) * shin * math.cos(tilt_rad)
    assert legs.base_height_m == pytest.approx(legs.robot.base_height_m + grown_m, rel=1e-6)
    run(legs, 5)
    assert {link for link, _ in legs.ground_contacts} == set(legs.feet)
    assert sum(force for _, force in legs.ground_contacts) == pytest.approx(mass_kg * G, rel=0.3)


def test_a_longer_trunk_lifts_the_payload_with_its_centre_of_mass(legs):
    """Payload and pushes stay where they were told to be from the link's centre of mass."""
    legs.parameters.set("payload.mass", 5.0)
    legs.parameters.set("payload.z", 0.1)
    legs.parameters.set("torso.length", 1.5 * legs.parameters.get("torso.length"))
    legs.reset()
    ((mass_kg, at_m),) = legs._inertials.wanted().payload.values()
    centre_m = legs._loaded.robot.inertials["torso"].com_m
    assert mass_kg == 5.0
    assert at_m == pytest.approx(centre_m + (0, 0, 0.1), abs=1e-12)
    assert centre_m[2] > 1.4 * legs.robot.inertials["torso"].com_m[2]
    _, push_m = legs._disturbances.centres["torso"]
    assert push_m[2] - legs._nominal.frame_of["torso"][1][2] == pytest.approx(centre_m[2])


@given(st.floats(0.5, 2.0), st.sampled_from(("pelvis", "left_hip_yaw", "left_elbow", "waist_yaw")))
@settings(max_examples=20, deadline=None)
def test_every_length_is_a_possible_robot(shared_legs, factor, link):
    """It compiles, weighs the same, and its lowest foot stands on the ground."""
    robot = shared_legs.robot
    compiled = robot.compile(shared_legs.joint_names, Changes(length={link: factor}))
    whole = compiled.tree.whole(robot.default_pose)
    assert whole.mass_kg == pytest.approx(robot.tree.whole(robot.default_pose).mass_kg)
    poses = compiled.robot.tree.link_poses(robot.default_pose)
    soles = [s.lowest_m(poses[robot.tree.index[foot]])
             for foot in robot.feet for s in robot.tree.links[robot.tree.index[foot]].collisions]  # fmt: skip
    assert compiled.robot.base_height_m == pytest.approx(-min(soles), abs=1e-12)


def test_a_longer_link_is_no_wider(shared_legs, bob):
    """The hips move down with a longer pelvis and not apart; a longer rod is as thin as before."""
    hips = {}
    for factor in (1.0, 1.5):
        compiled = shared_legs.robot.compile(shared_legs.joint_names, Changes(length={"pelvis": factor}))
        joints = {joint.name: joint.pose_in_parent[:3, 3] for joint in compiled.robot.tree.joints}
        hips[factor] = joints["left_hip_pitch"]
    assert hips[1.5] == pytest.approx(hips[1.0] * (1.0, 1.0, 1.5), abs=1e-3)
    longer = bob.robot.compile(["hinge"], Changes(length={"rod": 1.5})).robot.tree
    rod = longer.links[longer.index["rod"]].collisions[0]
    assert rod.size == pytest.approx((0.01, 0.75))
    assert rod.pose_in_link[:3, 3] == pytest.approx((0, 0, -0.375))


def test_a_link_without_length_is_told(legs):
    """Only what carries a moving joint has a length."""
    with pytest.raises(Sim2RealError, match="no link of a length 'left_ankle_rol'.*'left_ankle_pitch'"):
        legs.robot.compile(legs.joint_names, Changes(length={"left_ankle_rol": 1.1}))
    with pytest.raises(Sim2RealError, match="length of 'torso' should be changed by a positive number"):
        Changes(length={"torso": 0.0})


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


def test_dry_friction_holds_what_is_below_it(pendulum, name_of):
    """Below it the joint sticks, above it the rest accelerates."""
    pendulum.parameters.set("hinge.coulomb_friction", 0.2)
    creeps = {"bullet": 1e-9, "mujoco": 1e-5}[name_of(pendulum.engine)]
    assert pendulum_acceleration(pendulum, 0.19) == pytest.approx(0.0, abs=creeps)
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
def test_gains_are_those_of_the_pd_law(simulation, gain):
    """Torque of the first tick is kp (target − q), and damping takes kd v."""
    sim = simulation(Robot.load(ROBOTS / "pendulum"), ["hinge"], fixed_base=True)
    sim.parameters.set("gravity.z", 0.0)
    sim.parameters.set("hinge.kp", 7.0)
    sim.parameters.set("hinge.kd", 0.5)
    sim.reset()
    position, velocity = np.array([0.1]), np.array([0.2])
    sim.actuators.command(np.array([0.3]))
    assert sim.actuators.torque(position, velocity)[0] == pytest.approx(7.0 * 0.2 - 0.5 * 0.2)
    sim.close()


@pytest.mark.parametrize("latency_s", [0.005, 0.015, 0.02, 0.045])
def test_actuator_latency_delays_the_response_by_its_ticks(simulation, latency_s):
    """A step of torque shows in the velocity exactly latency later, at physics resolution."""
    sim = simulation(Robot.load(ROBOTS / "pendulum"), ["hinge"], control="torque", fixed_base=True,
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
def test_sensor_latency_delays_the_readings_by_its_ticks(simulation, latency_s):
    """What is read is the true state of latency ago, at physics resolution."""
    sim = simulation(Robot.load(ROBOTS / "pendulum"), ["hinge"], control="torque", fixed_base=True,
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


def test_a_stuck_joint_stays_where_it_is(pendulum, name_of):
    """Gravity and full effort together do not move it, wherever it got stuck, and freed it swings again."""
    pendulum.reset()
    pendulum.engine.set_state((0, 0, 0.1), (0, 0, 0, 1), [0.5], [1.0])
    pendulum._observe()
    run(pendulum, 2, [0.0])
    pendulum.parameters.set("hinge.stuck", 1.0)
    run(pendulum, 1, [50.0])
    where = pendulum.joint_position_rad[0]
    run(pendulum, 100, [50.0])
    creeps = {"bullet": 1e-6, "mujoco": 1e-4}[name_of(pendulum.engine)]
    assert pendulum.joint_position_rad[0] == pytest.approx(where, abs=creeps)
    pendulum.parameters.set("hinge.stuck", 0.0)
    assert abs(run(pendulum, 5, [50.0]).joint_velocity_rad_s[0]) > 1.0


def test_a_stop_is_where_it_is_told(simulation):
    """A joint driven against its stop rests there; shifted, somewhere else, also after a recompilation."""
    sim = simulation(Robot.load("g1"), ["left_knee"], control="torque", fixed_base=True)
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
        sim.parameters.set("left_knee.com_x", recompiled)
        sim.parameters.set("left_knee.upper_limit", 1.5)
        sim.parameters.set("left_knee.lower_limit", 0.2)
        assert rest(5.0) == pytest.approx(1.5, abs=0.01)
        assert rest(-5.0) == pytest.approx(0.2, abs=0.01)
    sim.parameters.set("left_knee.com_x", 0.0)
    sim.parameters.set("left_knee.upper_limit", nominal)
    assert rest(5.0) == pytest.approx(nominal, abs=0.01)
    sim.close()


# ---- sensors --------------------------------------------------------------------------------------------------


def prompt_pendulum(simulation, **options):
    """The pendulum read and driven at every physics tick, without gravity."""
    sim = simulation(Robot.load(ROBOTS / "pendulum"), ["hinge"], fixed_base=True,
                     physics_period_s=0.005, control_period_s=0.005, **options)  # fmt: skip
    sim.parameters.set("gravity.z", 0.0)
    return sim


def test_an_encoder_offset_moves_the_joint_and_not_the_reading(simulation):
    """The controller brings what it reads to the target: the true joint ends at target − offset."""
    sim = prompt_pendulum(simulation)
    sim.parameters.set("hinge.encoder_offset", 0.1)
    sim.reset()
    assert sim.reading.joint_position_rad[0] == pytest.approx(0.1)
    run(sim, 2000, [0.3])
    assert sim.joint_position_rad[0] == pytest.approx(0.2, abs=1e-4)
    assert sim.reading.joint_position_rad[0] == pytest.approx(0.3, abs=1e-4)
    sim.close()


def test_within_its_backlash_a_joint_is_free(simulation):
    """A held joint gives way to a push by half the play before the motor feels anything, and the reading with it."""
    sim = prompt_pendulum(simulation)
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
def ball(simulation):
    sim = simulation(Robot.load(ROBOTS / "ball"), [], physics_period_s=0.001, control_period_s=0.001)
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
    assert ball.base_velocity_m_s[0] == pytest.approx(1.0 - 0.5 * G * friction_m / 0.1 / 1.4, rel=2e-3)


@pytest.mark.parametrize("friction_m", [0.0, 0.002, 0.01])
def test_a_ball_that_spins_slows_down_by_the_spinning_friction(ball, friction_m):
    """α = f N / I about the vertical."""
    ball.parameters.set("ground.spinning_friction", friction_m)
    ball.reset()
    run(ball, 100)
    ball.engine.add_base_velocity((0, 0, 0), (0, 0, 20.0))
    run(ball, 500)
    expected = 20.0 - 0.5 * G * friction_m / 0.004
    assert ball.base_angular_velocity_rad_s[2] == pytest.approx(expected, rel=1e-2)


@pytest.mark.parametrize("simulation", ["bullet"], indirect=True)
@pytest.mark.parametrize("compliance_m_n", [5e-5, 2e-4, 1e-3])
def test_soft_ground_gives_way_by_weight_times_compliance(ball, compliance_m_n):
    """A ball of 1 kg on one contact point sinks by m g c."""
    ball.parameters.set("ground.compliance", compliance_m_n)
    ball.parameters.set("ground.damping", 50.0)
    ball.reset()
    run(ball, 3000)
    assert 0.1 - ball.base_position_m[2] == pytest.approx(G * compliance_m_n, rel=0.06, abs=1e-5)


@pytest.mark.parametrize("simulation", ["bullet"], indirect=True)
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


@pytest.mark.parametrize("simulation", ["bullet"], indirect=True)
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


def throw(sim, speed, **values):
    for name, value in values.items():
        sim.parameters.set(f"thrown.{name}", value)
    sim.parameters.set("thrown.speed", speed)


@pytest.mark.parametrize("restitution", [0.0, 1.0])
@pytest.mark.parametrize("direction", [0.0, 2.0])
def test_a_thrown_ball_brings_its_momentum(box, restitution, direction):
    """What box and ball have after the impact is m v of the ball before, whether it bounces or not."""
    box.parameters.set("gravity.z", 0.0)
    box.reset()
    box.engine.set_state((0, 0, 50), (0, 0, 0, 1), [])
    box.engine.add_base_velocity((0.0, 0.0, 1.0), (0, 0, 0))
    throw(box, 4.0, mass=0.5, radius=0.05, direction=direction)
    box.scene.touch("thrown ball", Contact(restitution=restitution))
    assert 0.6499 < math.dist(box.scene.pose("thrown ball")[0], (0, 0, 50)) < 0.7
    run(box, 25)
    of_box, of_ball = np.array(box.base_velocity_m_s), np.array(box.scene.velocity("thrown ball")[0])
    thrown = 4.0 * np.array([math.cos(direction), math.sin(direction), 0.0])
    assert 1.0 * of_box + 0.5 * of_ball == pytest.approx(0.5 * thrown + (0, 0, 1.5), abs=1e-6)
    if direction == 0.0:  # square on a face, and so through the centre
        closing = (of_box - of_ball)[0]
        assert closing == pytest.approx(4.0 * restitution, abs=0.3)
        assert box.base_angular_velocity_rad_s == pytest.approx((0, 0, 0), abs=1e-3)


@pytest.mark.parametrize("timestep", [0.002, 0.005])
@pytest.mark.parametrize("speed", [1.0, 2.5, 5.0])
def test_a_thrown_ball_meets_the_middle_of_the_base(box, speed, timestep):
    """Gravity on the way is allowed for, and how the base moves: it meets the middle of a face of a box that slides."""
    box.parameters.set("ground.friction", 0.0)
    box.parameters.set("solver.timestep", timestep)
    box.reset(velocity_m_s=(0.0, 0.5))
    throw(box, speed)
    run(box, round(0.5 / speed / PERIOD))
    x, y, z = np.subtract(box.scene.pose("thrown ball")[0], box.base_position_m)
    assert x == pytest.approx(-0.195, abs=0.005)
    assert y == pytest.approx(0.0, abs=1e-3)
    assert z == pytest.approx(0.0, abs=2e-3)


def test_a_ball_is_there_from_its_throw_to_the_next_reset(legs):
    """A second throw takes it away from where it is, and after a reset no bit shows that it ever was."""
    nominal = trace(legs)
    legs.reset()
    for _ in range(3):
        throw(legs, 3.0)
        assert legs.scene.names == ("thrown ball",)
        run(legs, 20)
    assert trace(legs) == nominal
    assert legs.scene.names == ()


# ---- the time step --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("ticks", [1, 2, 8, 20])
def test_a_fall_adds_up_over_its_ticks(box, ticks):
    """n ticks of h fall g h² n (n + 1) / 2, the sum of the velocities after each."""
    box.parameters.set("solver.timestep", PERIOD / ticks)
    box.reset()
    box.engine.set_state((0, 0, 1), (0, 0, 0, 1), [])
    n = 10 * ticks
    run(box, 10)
    assert box.physics_period_s * box.ticks == pytest.approx(PERIOD, rel=1e-12)
    assert 1 - box.base_position_m[2] == pytest.approx(G * (PERIOD / ticks) ** 2 * n * (n + 1) / 2, rel=1e-6)


def test_the_time_step_is_a_whole_part_of_the_control_period(box):
    """The nearest number of ticks, at least one, and the time of the environment goes on as before."""
    for wanted, ticks in ((0.006, 3), (0.0065, 3), (0.02, 1), (0.0001, 200), (0.0051, 4), (0.005, 4)):
        box.parameters.set("solver.timestep", wanted)
        box.reset()
        run(box, 2)
        assert (box.ticks, box.time_s) == (ticks, 2 * PERIOD)
    assert box.physics_period_s == 0.005


@pytest.mark.parametrize("timestep", [0.0025, 0.01])
def test_times_in_seconds_do_not_depend_on_the_time_step(pendulum, timestep):
    """A command and a reading are as late as told, and a motor lags by its time constant, in other ticks."""
    pendulum.parameters.set("gravity.z", 0.0)

    def episode():
        pendulum.reset()
        readings = [run(pendulum, 1, [0.3]).reading.joint_position_rad[0] for _ in range(20)]
        return readings, pendulum.joint_velocity_rad_s[0]

    pendulum.parameters.set("actuator.latency_s", 0.04)
    pendulum.parameters.set("sensor.latency_s", 0.02)
    pendulum.parameters.set("hinge.lag_s", 0.05)
    coarse = episode()
    pendulum.parameters.set("solver.timestep", timestep)
    fine = episode()
    for readings, speed in (coarse, fine):
        assert not any(readings[:3])
        assert readings[3] != 0.0
        expected = 0.3 / 0.6 * (0.36 - 0.05 * (1 - math.exp(-0.36 / 0.05)))
        assert speed == pytest.approx(expected, rel=0.03)
    assert fine != coarse
    pendulum.parameters.set("solver.timestep", 0.005)
    assert episode() == coarse


def test_a_shorter_time_step_keeps_energy_better(pendulum):
    """The largest error of the energy of a free swing shrinks with the period of the physics."""

    def drift(timestep):
        pendulum.parameters.set("solver.timestep", timestep)
        pendulum.reset()
        pendulum.engine.set_state((0, 0, 0.1), (0, 0, 0, 1), [1.0], [0.0])
        pendulum._observe()
        errors = []
        for _ in range(100):
            run(pendulum, 1, [0.0])
            q, v = pendulum.joint_position_rad[0], pendulum.joint_velocity_rad_s[0]
            errors.append(abs(0.3 * v * v - 2 * G * 0.5 * (math.cos(q) - math.cos(1.0))))
        return max(errors)

    drifts = [drift(timestep) for timestep in (0.02, 0.01, 0.005, 0.0025)]
    assert drifts == sorted(drifts, reverse=True)
    assert drifts[0] > 4 * drifts[-1]


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


def test_an_episode_depends_on_nothing_simulated_before_it(simulation, legs):
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
    fresh = simulation(legs.robot, legs.joint_names)
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


def test_periods_must_divide(simulation):
    """A control period that is no whole multiple of the physics period is refused."""
    with pytest.raises(Sim2RealError, match="whole multiple"):
        simulation(Robot.load(ROBOTS / "box"), [], physics_period_s=0.003)

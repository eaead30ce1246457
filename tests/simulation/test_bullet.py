"""Each trap of an engine has a test here that fails without its cure; most are Bullet's, and hold in every engine."""

import math
import subprocess
import sys

import gymnasium as gym
import numpy as np
import pytest

from sim2real import policies

DT = 0.005


def link(name, *, mass=1.0, inertia=(0.01, 0.02, 0.02), com=(0, 0, 0), box=None, products=(0, 0, 0)):
    ixx, iyy, izz = inertia
    ixy, ixz, iyz = products
    shape = f'<collision><geometry><box size="{box}"/></geometry></collision>' if box else ""
    return f"""<link name="{name}"><inertial><origin xyz="{com[0]} {com[1]} {com[2]}"/><mass value="{mass}"/>
      <inertia ixx="{ixx}" iyy="{iyy}" izz="{izz}" ixy="{ixy}" ixz="{ixz}" iyz="{iyz}"/></inertial>{shape}</link>"""


BOX = f'<robot name="box">{link("box", box="0.4 0.4 0.1")}</robot>'
ARM = f"""<robot name="arm">{link("base", mass=5.0, inertia=(1, 1, 1))}
  {link("rod", inertia=(0.02, 0.02, 0.001), com=(0, 0, -0.5))}
  <joint name="hinge" type="revolute"><parent link="base"/><child link="rod"/><axis xyz="0 1 0"/>
  <limit lower="-3" upper="3" effort="5" velocity="2"/></joint></robot>"""
I_HINGE = 0.02 + 1.0 * 0.5**2


def load_box(engine, height=0.05, **options):
    engine.load(BOX, joint_names=(), base_position_m=(0, 0, height), **options)


def load_arm(engine, angle=0.0):
    engine.load(
        ARM, joint_names=("hinge",), base_position_m=(0, 0, 2), joint_position=[angle], fixed_base=True
    )


def ticks(engine, n, torque=()):
    for _ in range(n):
        engine.tick(torque)


def test_free_fall_is_undamped(engine):
    """v = g t: Bullet's default damping of 0.04 would lose 4 % in a second."""
    load_box(engine, height=50.0)
    ticks(engine, 200)
    assert engine.base_velocity()[0][2] == pytest.approx(-9.81, rel=1e-9)


def test_the_base_pose_is_that_of_the_link_frame(engine):
    """A centre of mass off the link's origin, and tilted principal axes, do not move the reported frame."""
    urdf = f'<robot name="r">{link("l", com=(0.1, 0.2, 0.3), products=(0.004, 0, 0.003))}</robot>'
    engine.load(urdf, joint_names=(), base_position_m=(1, 2, 3), base_quaternion=(0, 0, 0.6, 0.8))
    position, quaternion = engine.base_pose()
    assert position == pytest.approx((1, 2, 3), abs=1e-6)
    assert quaternion == pytest.approx((0, 0, 0.6, 0.8), abs=1e-6)


def test_inertia_comes_from_the_description(engine):
    """α = τ / I with the description's I, not that of the collision box."""
    load_arm(engine)
    engine.set_gravity((0, 0, 0))
    engine.tick([0.13])
    assert engine.joint_state()[1][0] == pytest.approx(0.13 / I_HINGE * DT, rel=1e-6)


def test_a_changed_mass_brings_its_own_inertia(engine):
    """Twice the mass and inertia halve the acceleration; Bullet would take the collision shape's inertia."""
    load_arm(engine)
    engine.set_gravity((0, 0, 0))
    engine.set_link_inertial(1, 2.0, [0.04, 0.04, 0.002])
    engine.tick([0.13])
    assert engine.joint_state()[1][0] == pytest.approx(0.13 / (2 * I_HINGE) * DT, rel=1e-6)
    engine.restore()
    engine.reset_link_inertials()
    engine.tick([0.13])
    assert engine.joint_state()[1][0] == pytest.approx(0.13 / I_HINGE * DT, rel=1e-6)


def test_joints_are_free_of_the_default_motor(engine):
    """An undriven pendulum keeps its energy; Bullet's default velocity motor would hold it."""
    load_arm(engine, angle=0.5)
    ticks(engine, 400, [0.0])
    q, v = engine.joint_state()
    energy = 0.5 * I_HINGE * v[0] ** 2 - 9.81 * 0.5 * math.cos(q[0])
    assert energy == pytest.approx(-9.81 * 0.5 * math.cos(0.5), rel=0.01)


def test_a_pendulum_swings_at_its_period(engine):
    """T = 2π √(I / m g l) for small swings."""
    load_arm(engine, angle=0.05)
    crossings = []
    before = 0.05
    for t in range(1, 1200):
        engine.tick([0.0])
        now = engine.joint_state()[0][0]
        if before < 0 <= now:
            crossings.append((t - now / (now - before)) * DT)
        before = now
    period = np.diff(crossings).mean()
    assert period == pytest.approx(2 * math.pi * math.sqrt(I_HINGE / (9.81 * 0.5)), rel=0.005)


@pytest.mark.parametrize("friction", [0.2, 0.6])
def test_the_slip_angle_is_the_arctangent_of_the_friction(engine, friction):
    """A box rests below atan μ and slides above it with a = g (sin α − μ cos α)."""
    slip = math.atan(friction)
    speeds = {}
    for angle in (slip - 0.02, slip + 0.02, slip + 0.1):
        engine.set_gravity((9.81 * math.sin(angle), 0, -9.81 * math.cos(angle)))
        load_box(engine)
        engine.set_ground(friction=friction, restitution=0.0)
        ticks(engine, 200)
        speeds[angle], _, rising = engine.base_velocity()[0]
    still, creeping, sliding = speeds.values()
    assert abs(still) < 1e-3
    assert creeping > 0.1
    steep = slip + 0.1
    # What slides may hop: pushed off the ground harder, it is held back by as much more.
    expected = 9.81 * (math.sin(steep) - friction * math.cos(steep)) - friction * rising
    assert sliding == pytest.approx(expected, rel=0.03)


def test_the_friction_of_every_link_is_that_of_the_ground(engine):
    """A sled sliding on a link other than its base slows down by μ g; Bullet multiplies in the link's own 0.5."""
    urdf = f"""<robot name="sled">{link("body")}{link("runner", box="0.4 0.4 0.1")}
      <joint name="swivel" type="revolute"><parent link="body"/><child link="runner"/><axis xyz="0 0 1"/>
      <limit lower="-3" upper="3" effort="5" velocity="2"/></joint></robot>"""
    engine.load(urdf, joint_names=("swivel",), base_position_m=(0, 0, 0.05), joint_position=[0.0])
    engine.set_ground(friction=0.3, restitution=0.0)
    ticks(engine, 20, [0.0])
    engine.add_base_velocity((2.0, 0, 0), (0, 0, 0))
    before = engine.base_velocity()[0][0]
    ticks(engine, 60, [0.0])
    after, _, rising = engine.base_velocity()[0]
    assert before - after == pytest.approx(0.3 * (9.81 * 60 * DT + rising), rel=0.02)


def test_damping_is_off_on_an_articulated_robot(engine):
    """A free two-link robot falls as v = g t and keeps its spin."""
    free = ARM.replace('axis xyz="0 1 0"', 'axis xyz="0 0 1"')
    engine.load(free, joint_names=("hinge",), base_position_m=(0, 0, 50), joint_position=[0.0])
    engine.add_base_velocity((0, 0, 0), (0, 0, 1.0))
    ticks(engine, 200, [0.0])
    linear, angular = engine.base_velocity()
    assert linear[2] == pytest.approx(-9.81, rel=1e-6)
    assert angular[2] == pytest.approx(1.0, rel=1e-6)


def test_dry_friction_is_exact(engine, name_of):
    """Below its value the joint sticks; above it the rest of the torque accelerates."""
    load_arm(engine)
    engine.set_gravity((0, 0, 0))
    engine.set_joint_friction(np.array([0.2]))
    ticks(engine, 20, [0.19])
    assert engine.joint_state()[1][0] == pytest.approx(
        0.0, abs={"bullet": 1e-9, "mujoco": 1e-6}[name_of(engine)]
    )
    ticks(engine, 20, [0.33])
    assert engine.joint_state()[1][0] == pytest.approx(0.13 / I_HINGE * 20 * DT, rel=1e-3)


def test_viscous_friction_decays_exponentially(engine):
    """v(t) = v₀ exp(−b t / I)."""
    load_arm(engine)
    engine.set_gravity((0, 0, 0))
    engine.set_joint_damping(0, 0.1)
    engine.set_state((0, 0, 2), (0, 0, 0, 1), [0.0], [1.0])
    ticks(engine, 200, [0.0])
    assert engine.joint_state()[1][0] == pytest.approx(math.exp(-0.1 / I_HINGE), rel=0.01)


def test_force_over_mass_is_acceleration(engine):
    """F = m a at the centre of mass, with no rotation."""
    urdf = f'<robot name="r">{link("l", mass=2.0, com=(0.1, 0, 0))}</robot>'
    engine.load(urdf, joint_names=(), base_position_m=(0, 0, 30))
    for _ in range(100):
        engine.apply_force(0, (3.0, 0.0, 0.0), (0.1, 0.0, 0.0))
        engine.tick(())
    linear, angular = engine.base_velocity()
    assert linear[0] == pytest.approx(3.0 / 2.0 * 0.5, rel=1e-9)
    assert angular == pytest.approx((0, 0, 0), abs=1e-4)


def test_a_kick_changes_velocity_by_itself(engine):
    """A kick of v adds v, whatever the velocity was."""
    load_box(engine, height=30)
    ticks(engine, 10)
    before = engine.base_velocity()[0]
    engine.add_base_velocity((0.3, -0.2, 0.1), (0, 0, 0))
    assert np.subtract(engine.base_velocity()[0], before) == pytest.approx((0.3, -0.2, 0.1))


@pytest.mark.parametrize("restitution", [0.0, 0.5, 0.8])
def test_a_bounce_keeps_the_restitution_of_its_speed(engine, restitution):
    """A dropped box rebounds with e times its speed."""
    load_box(engine, height=1.05)
    engine.set_ground(friction=1.0, restitution=restitution)
    speeds = []
    for _ in range(110):
        engine.tick(())
        speeds.append(engine.base_velocity()[0][2])
    impact = -min(speeds)
    assert impact == pytest.approx(math.sqrt(2 * 9.81 * 1.0), rel=0.02)
    assert max(speeds) == pytest.approx(restitution * impact, abs=0.1 * impact)


@pytest.mark.parametrize("engine", ["bullet"], indirect=True)
def test_softness_needs_a_new_world_to_go_away(engine):
    """Bullet cannot unset it: until the next load 0 is as rigid as can be told, and then it is rigid to the bit."""
    load_box(engine, height=0.6)
    first = bounce(engine)
    engine.restore()
    engine.set_ground_softness(1e-3, 10.0)
    assert bounce(engine) != first
    engine.restore()
    engine.set_ground_softness(0.0, 0.0)
    assert engine.ground_is_soft
    assert bounce(engine)[-1][0][2] == pytest.approx(first[-1][0][2], abs=0.01)
    load_box(engine, height=0.6)
    engine.set_ground_softness(0.0, 0.0)
    assert not engine.ground_is_soft
    assert bounce(engine) == first


def bounce(engine):
    """A tumbling box whose every bit counts."""
    engine.add_base_velocity((0.4, 0.1, 0.0), (2.0, 3.0, 1.0))
    trace = []
    for _ in range(300):
        engine.tick(())
        trace.append(engine.base_pose())
    return trace


def test_restore_repeats_an_episode_bit_for_bit(engine):
    """The same start gives the same trajectory, contacts included."""
    load_box(engine, height=0.6)
    first = bounce(engine)
    engine.restore()
    assert bounce(engine) == first


def test_a_rebuilt_world_remembers_nothing(engine):
    """Loading again after another robot repeats the first trajectory bit for bit."""
    load_box(engine, height=0.6)
    first = bounce(engine)
    load_arm(engine, angle=0.3)
    ticks(engine, 50, [0.1])
    load_box(engine, height=0.6)
    assert bounce(engine) == first


def test_a_description_is_read_anew_each_time(engine):
    """Two robots loaded one after the other are two robots; Bullet caches files by name unless told not to."""
    load_arm(engine)
    engine.load(ARM.replace('mass value="1.0"', 'mass value="3.0"'), joint_names=("hinge",),
                base_position_m=(0, 0, 2), joint_position=[0.0], fixed_base=True)  # fmt: skip
    assert engine.mass_matrix([0.0])[0, 0] == pytest.approx(0.02 + 3.0 * 0.25, rel=1e-6)


def test_looking_changes_nothing(engine):
    """Rendering in the middle of an episode leaves every bit of it alone."""
    load_box(engine, height=0.6)
    first = bounce(engine)
    engine.restore()
    engine.render(target_m=(0, 0, 0.3), distance_m=2, yaw_deg=40, pitch_deg=-20, width=32, height=24)
    assert bounce(engine) == first


def test_nothing_is_printed():
    """Bullet's C code writes to stdout and stderr on import, connect and load; none of it gets out."""
    code = (
        "from sim2real.simulation.bullet import BulletEngine\n"
        f"e = BulletEngine(0.005); e.load({ARM!r}, joint_names=('hinge',), base_position_m=(0, 0, 1), "
        "joint_position=[0.0]); e.close()"
    )
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert shown.stdout + shown.stderr == ""


def test_bouncing_ground_does_not_throw_what_stands_on_it():
    """Motors that hold a robot up are no speed that the ground gives back: its feet stay down, as cheaply."""
    env = gym.make("sim2real:sim2real/Stand-v0", disable_env_checker=True)
    sim, policy = env.unwrapped.sim, policies.scripted(policies.balance).bind(env)
    spent_j = []
    for restitution in (0.0, 0.5):
        env.unwrapped.parameters.set("ground.restitution", restitution)
        observation, _ = env.reset(seed=0)
        down = 0
        for _ in range(100):
            observation, *_ = env.step(policy(observation))
            down += len({link for link, _ in sim.ground_contacts}) == 2
        assert down > 90
        spent_j.append(sim.energy_j)
    env.close()
    assert spent_j[1] < 1.5 * spent_j[0]

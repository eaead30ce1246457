"""Each trap of MuJoCo that physics in ``test_bullet.py`` does not show has a test here that fails without its cure."""

from pathlib import Path

import numpy as np
import pytest

from sim2real import Robot, Sim2RealError
from sim2real.linktree import Inertial, Shape, pose_of
from sim2real.simulation import Simulation
from sim2real.simulation.body import Body
from sim2real.simulation.mujoco import MujocoEngine, Touch

ROBOTS = Path(__file__).parents[1] / "robots"


def ball(at_m):
    solid = Inertial(mass_kg=np.array(0.5), com_m=np.zeros(3), inertia_kgm2=2e-3 * np.eye(3))
    shape = Shape(kind="sphere", size=(0.1,), pose_in_link=pose_of())
    return Body(name="ball", shapes=(shape,), inertial=solid, position_m=at_m)


@pytest.fixture
def sim():
    robot = Robot.load("g1")
    made = Simulation(robot, robot.group("legs"), engine="mujoco")
    yield made
    made.close()


def test_a_body_that_comes_and_goes_leaves_the_robot_alone(sim):
    """A new model has what setters put into the old one, and the running state, contacts and frictions included."""
    sim.parameters.set("ground.friction", 0.3)
    sim.parameters.set("left_knee.mass", 6.0)  # in place
    sim.parameters.set("left_knee.coulomb_friction", 2.0)
    sim.parameters.set("left_knee.viscous_friction", 1.0)
    sim.parameters.set("left_knee.lower_limit", 0.25)
    sim.parameters.set("solver.timestep", 0.004)

    def episode(thrown):
        sim.reset(velocity_m_s=(0.3, 0.1))
        path = []
        for step in range(30):
            if thrown and step in (10, 20):
                sim.scene.throw_in(ball((9.0, 0.0, 1.0)), (0.0, 0.0, 0.0))
            sim.step(sim.default_pose + 0.3 * np.sin(step))
            path.append(np.concatenate([sim.base_position_m, sim.joint_position_rad]))
        return np.array(path)

    np.testing.assert_allclose(episode(True), episode(False), rtol=0, atol=1e-9)


def test_links_are_where_their_joints_have_brought_them():
    """After a step a link's velocity is that of the joint then; MuJoCo leaves links where they were before it."""
    sim = Simulation(
        Robot.load(ROBOTS / "pendulum"), ["hinge"], control="torque", engine="mujoco", fixed_base=True
    )
    sim.engine.set_state((0, 0, 0.1), (0, 0, 0, 1), [0.5], [1.0])
    for _ in range(10):
        sim.step(np.zeros(1))
        ((_, _, velocity_m_s),) = sim.engine.link_states([1])
        (q,), (v,) = sim.joint_position_rad, sim.joint_velocity_rad_s
        assert velocity_m_s == pytest.approx((-0.5 * np.cos(q) * v, 0, 0.5 * np.sin(q) * v), abs=1e-9)
    sim.close()


def test_a_mass_changed_in_place_touches_as_one_compiled():
    """What MuJoCo derives from masses, such as how stiff a contact is, follows a changed one."""
    sim = Simulation(Robot.load(ROBOTS / "box"), [], engine="mujoco")
    ends = []
    sim.parameters.set("box.mass", 20.0 * sim.parameters.get("box.mass"))
    for shift_m in (0.0, 1e-9):  # the second takes a recompilation
        sim.parameters.set("box.com_x", shift_m)
        sim.reset()
        sim.engine.set_state((0, 0, 0.5), (0, 0, 0, 1), [])
        for _ in range(30):
            sim.step(np.zeros(0))
        ends.append((*sim.base_position_m, *(force_n for _, force_n in sim.ground_contacts)))
    assert ends[0] == pytest.approx(ends[1], rel=1e-6, abs=1e-7)
    sim.close()


def test_what_is_held_against_the_ground_is_not_pushed():
    """A contact between two things that cannot move has no force."""
    sim = Simulation(Robot.load(ROBOTS / "box"), [], engine="mujoco", fixed_base=True)
    sim.engine.set_state((0, 0, 0.0), (0, 0, 0, 1), [])
    sim.step(np.zeros(0))
    assert sim.ground_contacts == []
    sim.close()


def test_what_diverges_does_not_begin_anew(tmp_path, monkeypatch):
    """MuJoCo would put a robot that flew apart back to where its joints are zero, and nobody would know."""
    monkeypatch.chdir(tmp_path)  # where it writes its log
    sim = Simulation(
        Robot.load(ROBOTS / "gripper"), ["left", "right"], control="torque", engine="mujoco", fixed_base=True
    )
    sim.engine.tick([1e14, 0.0])
    assert not abs(sim.engine.joint_state()[0][0]) < 1e3
    sim.close()


def test_how_two_things_touch_is_symmetric_and_multiplies():
    """Friction and restitution multiply; each one's resistance to rolling and spinning goes by the other's friction."""
    one = Touch(friction=0.5, restitution=0.8, rolling_m=0.01, spinning_m=0.0)
    other = Touch(friction=0.6, restitution=0.5, rolling_m=0.0, spinning_m=0.02)
    both = one.against(other)
    assert both == other.against(one)
    assert (both.friction, both.restitution) == pytest.approx((0.3, 0.4))
    assert (both.rolling_m, both.spinning_m) == pytest.approx((0.006, 0.01))


def test_there_is_no_window():
    """One sentence says what there is instead."""
    with pytest.raises(Sim2RealError, match='no window: use render_mode="rgb_array"'):
        MujocoEngine(0.005, gui=True)

"""Bodies beside the robot obey the same physics, and a scene remembers what it was told."""

import math
from pathlib import Path

import numpy as np
import pytest

from sim2real import Robot, Sim2RealError
from sim2real.linktree import Inertial, Shape, pose_of
from sim2real.simulation.body import Body
from sim2real.simulation.scene import Contact

ROBOTS = Path(__file__).parents[1] / "robots"


@pytest.fixture
def sim(simulation):
    sim = simulation(Robot.load(ROBOTS / "box"), [])
    yield sim
    sim.close()


def block(side_m=0.1, mass_kg=0.5, **more):
    inertia = np.eye(3) * mass_kg * side_m**2 / 6
    return Body(
        name="block",
        shapes=(Shape(kind="box", size=(side_m,) * 3, pose_in_link=pose_of()),),
        inertial=Inertial(mass_kg=np.array(mass_kg), com_m=np.zeros(3), inertia_kgm2=inertia),
        **more,
    )


def test_a_body_falls_freely_and_comes_to_rest_on_the_ground(sim):
    """Half of g t² while falling; half its side above the ground in the end."""
    sim.scene.put(block(position_m=(2.0, 0.0, 1.0)))
    sim.reset()
    for _ in range(10):
        sim.step(np.zeros(0))
    period, ticks = sim.physics_period_s, 10 * sim.ticks
    fallen = 9.81 * period**2 * ticks * (ticks + 1) / 2
    assert sim.scene.pose("block")[0][2] == pytest.approx(1.0 - fallen, abs=1e-7)
    for _ in range(100):
        sim.step(np.zeros(0))
    assert sim.scene.pose("block")[0][2] == pytest.approx(0.05, abs=2e-3)


@pytest.mark.parametrize("of_body", [0.3, 0.8])
@pytest.mark.parametrize("of_ground", [0.5, 1.0])
def test_a_body_slides_above_the_slip_angle_of_both_frictions(sim, of_body, of_ground):
    """It rests below, and slides above, the arctangent of the product of body's and ground's friction."""
    sim.scene.put(block(position_m=(2.0, 0.0, 0.05)), Contact(friction=of_body))
    sim.parameters.set("ground.friction", of_ground)
    for factor, slides in ((0.9, False), (1.1, True)):
        sim.parameters.set("ground.slope", math.atan(factor * of_body * of_ground))
        sim.reset()
        for _ in range(50):
            sim.step(np.zeros(0))
        assert (sim.scene.pose("block")[0][0] > 2.02) == slides


def test_a_body_turning_freely_keeps_its_angular_momentum(sim):
    """Without gravity, and whatever its axes: R I Rᵀ ω stays, to what explicit integration loses."""
    tilt = pose_of(rpy=(0.3, 0.2, 0.1))[:3, :3]
    inertia = tilt @ np.diag([1e-3, 2e-3, 2.5e-3]) @ tilt.T
    body = Body(
        name="block",
        shapes=block().shapes,
        inertial=Inertial(mass_kg=np.array(0.5), com_m=np.array([0.01, 0, 0.02]), inertia_kgm2=inertia),
    )
    sim.scene.put(body)
    sim.parameters.set("gravity.z", 0.0)
    sim.reset()
    sim.scene.move("block", (3.0, 0.0, 1.0), (0.0, 0.0, 0.6, 0.8), angular_velocity_rad_s=(3.0, 2.0, 1.0))

    def momentum():
        _, (x, y, z, w) = sim.scene.pose("block")
        vector = np.array([x, y, z])
        cross = np.cross(np.eye(3), vector)
        rotation = np.eye(3) + 2 * w * cross + 2 * cross @ cross
        return rotation @ inertia @ rotation.T @ np.array(sim.scene.velocity("block")[1])

    before = momentum()
    for _ in range(50):
        sim.step(np.zeros(0))
    assert np.linalg.norm(momentum() - before) < 0.02 * np.linalg.norm(before)


def test_the_robot_stands_on_a_body_and_the_contacts_say_so(sim):
    """What carries the box is the body, with the box's weight."""
    top = Shape(kind="box", size=(2.0, 2.0, 0.1), pose_in_link=pose_of((0, 0, -0.05)))
    sim.scene.put(Body(name="slab", shapes=(top,), position_m=(0.0, 0.0, 0.1)))
    sim.reset()
    sim.engine.set_state((0.0, 0.0, 0.1 + sim.robot.base_height_m), (0, 0, 0, 1), ())
    for _ in range(50):
        sim.step(np.zeros(0))
    contacts = sim.engine.contacts()
    assert {touched for _, touched, _ in contacts} == {-2}
    weight = 9.81 * sum(float(body.mass_kg) for body in sim.robot.inertials.values())
    assert sum(force for _, _, force in contacts) == pytest.approx(weight, rel=0.02)


def test_a_scene_that_is_put_back_leaves_no_trace(sim):
    """With a body far away, and after it has gone, the robot's world is the same to the bit."""

    def episode():
        sim.reset(velocity_m_s=(1.0, 0.3))
        for _ in range(30):
            sim.step(np.zeros(0))
        return sim.base_position_m, sim.base_velocity_m_s

    alone = episode()
    sim.scene.put(block(position_m=(50.0, 0.0, 0.05)))
    episode()
    sim.scene.remove("block")
    assert episode() == alone


def test_a_body_that_is_not_there_is_named_with_the_nearest(sim):
    """One sentence says what there is."""
    sim.scene.put(block())
    sim.reset()
    with pytest.raises(Sim2RealError, match="no body 'blok'.*'block'"):
        sim.scene.pose("blok")


def test_a_body_without_shape_or_mass_is_refused():
    """A thing that moves has a mass, and everything has a shape."""
    with pytest.raises(Sim2RealError, match="above 0 kg"):
        block(mass_kg=0.0)
    with pytest.raises(Sim2RealError, match="1 to 16 shapes"):
        Body(name="nothing", shapes=())

"""Two simulations from the same states and torques: what tells them apart shows, and nothing else."""

import numpy as np
import pytest

from sim2real import Robot, Sim2RealError
from sim2real.simulation import Simulation
from sim2real.simulation.engine import ENGINES
from sim2real.simulation.gap import Recorder, joint_gap

TICKS = 20


@pytest.fixture(scope="module")
def simulations():
    """A G1 on its legs in each engine, twice in Bullet."""
    robot = Robot.load("g1")
    made = {name: Simulation(robot, robot.group("legs"), engine=name) for name in ENGINES}
    made["bullet again"] = Simulation(robot, robot.group("legs"))
    yield made
    for sim in made.values():
        sim.close()


@pytest.fixture(scope="module")
def moments(simulations):
    """What it did in Bullet in half a second of squatting a little, from standing on."""
    sim = simulations["bullet"]
    sim.reset()
    engine, sim.engine = sim.engine, Recorder(sim.engine)
    found = sim.engine.moments
    for step in range(25):
        sim.step(sim.default_pose + 0.05 * np.sin(0.5 * step))
    sim.engine = engine
    return found


def test_what_is_recorded_is_each_tick(simulations, moments):
    """Four ticks a control step, each from the state that the last one led to, with torques within the limits."""
    assert len(moments) == 25 * simulations["bullet"].ticks
    travelled = np.diff([moment.joint_position_rad for moment in moments], axis=0)
    velocity = np.array([moment.joint_velocity_rad_s for moment in moments])
    np.testing.assert_allclose(travelled, 0.005 * velocity[1:], atol=1e-9)
    assert np.abs([moment.torque_nm for moment in moments]).max() > 1.0


@pytest.mark.parametrize("name", ENGINES)
def test_a_simulation_and_itself_do_not_come_apart(simulations, moments, name):
    """Played twice, in either engine, the gap is zero to the bit: a start does not depend on the play before it."""
    sim = simulations[name]
    assert not joint_gap(moments, sim, sim, ticks=TICKS, every=30).any()


def test_the_same_simulation_made_twice_does_not_come_apart(simulations, moments):
    """Nothing but the robot, its state and the torques counts."""
    one, other = simulations["bullet"], simulations["bullet again"]
    assert not joint_gap(moments, one, other, ticks=TICKS, every=30).any()


def test_a_heavier_shin_comes_apart_the_more_the_heavier_and_the_longer(simulations, moments):
    """The gap rises with the change of a mass, and with time."""
    one, other = simulations["bullet"], simulations["bullet again"]
    gaps = []
    for factor in (1.05, 1.2, 1.6):
        mass_kg = other.parameters.spec("left_knee.mass").nominal
        other.parameters.set("left_knee.mass", factor * mass_kg)
        other.reset()
        gaps.append(joint_gap(moments, one, other, ticks=TICKS, every=30))
    other.parameters.set("left_knee.mass", mass_kg)
    other.reset()
    small, middle, large = (gap[-1].max() for gap in gaps)
    assert small < middle < large
    for gap in gaps:
        assert gap[0].max() < gap[TICKS // 2].max() < gap[-1].max()


def test_engines_come_apart_slowly(simulations, moments):
    """On the ground, after 0.1 s of the same torques, no joint is off by more than 20 mrad (rms), and some are."""
    gap = joint_gap(moments, simulations["bullet"], simulations["mujoco"], ticks=TICKS, every=10)
    assert gap.shape == (TICKS, 12)
    assert 1e-6 < gap[-1].max() < 0.02
    swapped = joint_gap(moments, simulations["mujoco"], simulations["bullet"], ticks=TICKS, every=10)
    np.testing.assert_array_equal(gap, swapped)


def test_what_cannot_be_compared_is_told(simulations, moments):
    """Other joints, or more ticks than were recorded."""
    robot = Robot.load("g1")
    other = Simulation(robot, robot.group("legs")[:6])
    with pytest.raises(Sim2RealError, match="same joints"):
        joint_gap(moments, simulations["bullet"], other, ticks=TICKS, every=10)
    other.close()
    with pytest.raises(Sim2RealError, match="100 ticks were recorded; 101"):
        joint_gap(moments, *[simulations["bullet"]] * 2, ticks=101, every=1)

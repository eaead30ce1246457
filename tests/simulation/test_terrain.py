"""Ground that is not flat carries, is as high as it says, and is the same ground whatever its size."""

import math
from pathlib import Path

import gymnasium as gym
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sim2real import Perturbed, Robot, policies, set_to
from sim2real.simulation import Simulation, terrain

ROBOTS = Path(__file__).parents[1] / "robots"
G = 9.81
CENTRES = np.arange(-12, 13) * 0.3  # of the blocks about the start


def make(robot, simulation=Simulation, **values):
    sim = simulation(Robot.load(ROBOTS / robot), [])
    for name, value in values.items():
        sim.parameters.set(f"terrain.{name}", value)
    sim.reset()
    return sim


@pytest.fixture
def ball(simulation):
    sim = make("ball", simulation, step_height=0.1)
    yield sim
    sim.close()


@pytest.fixture
def box(simulation):
    sim = make("box", simulation, step_height=0.1)
    yield sim
    sim.close()


def drop(sim, x, y, steps=100, above=0.02):
    """Let the robot fall on the middle of a block, and wait."""
    sim.reset()
    height = sim.terrain.height_m(x, y)
    sim.engine.set_state((x, y, height + sim.base_height_m + above), (0, 0, 0, 1), ())
    sim._observe()
    for _ in range(steps):
        sim.step(np.zeros(0))
    return height


def heights(sim, episode=()):
    sim.reset(episode=episode)
    return np.array([[sim.terrain.height_m(x, y) for y in CENTRES] for x in CENTRES])


@pytest.mark.parametrize("robot", ["ball", "box"])
@pytest.mark.parametrize(("x", "y"), [(0.9, 0.0), (2.1, 0.3), (0.0, -1.2), (-30.0, 12.3)])
def test_what_lies_on_a_step_lies_at_its_height(simulation, robot, x, y):
    """The base at rest is its standing height above the block, near the start and far from it."""
    sim = make(robot, simulation, step_height=0.1)
    height = drop(sim, x, y)
    assert height > 0
    assert sim.base_position_m == pytest.approx((x, y, height + sim.base_height_m), abs=1e-3)
    assert sim.clearance_m == pytest.approx(sim.base_height_m, abs=1e-3)
    sim.close()


def test_contact_with_a_step_is_contact_with_the_ground(box):
    """It carries the weight, and both ways of asking say so."""
    drop(box, 2.1, 0.0)
    assert {touched for _, touched, _ in box.engine.contacts()} == {-1}
    assert sum(force for _, force in box.ground_contacts) == pytest.approx(G, rel=0.02)


@pytest.mark.parametrize("step_m", [0.05, 0.2])
@pytest.mark.parametrize("length_m", [0.2, 0.3, 0.5])
@pytest.mark.parametrize("heading", [(1, 0), (0, 1), (-1, 0), (0, -1), (1, 1)])
def test_stairs_go_a_flight_up_and_a_flight_down(step_m, length_m, heading):
    """From a flat start, in every heading, one step per length of a step, up as often as down."""
    sim = make("ball", step_height=step_m, step_length=length_m)
    x, y = heading
    levels = [sim.terrain.height_m(x * i * length_m, y * i * length_m) / step_m for i in range(40)]
    start = levels.index(pytest.approx(1.0)) - 1
    assert (start + 0.5) * length_m >= terrain.START_M > (start - 0.5) * length_m
    up, down = list(range(1, terrain.FLIGHT + 1)), list(range(terrain.FLIGHT - 1, -1, -1))
    expected = ([0.0] * (start + 1) + (up + down) * 9)[:40]
    assert levels == pytest.approx(expected)
    sim.close()


@given(roughness=st.floats(0.005, 0.5), factor=st.floats(1.1, 2.0))
@settings(max_examples=10, deadline=None)
def test_rougher_ground_is_the_same_ground_but_higher(shared, roughness, factor):
    """Every height goes with the roughness, on noise that is the episode's."""
    shared.parameters.set("terrain.roughness", roughness)
    low = heights(shared, (3,))
    shared.parameters.set("terrain.roughness", factor * roughness)
    assert heights(shared, (3,)) == pytest.approx(factor * low, rel=1e-12)
    assert not np.array_equal(heights(shared, (4,)), factor * low)


@pytest.fixture(scope="module")
def shared():
    sim = make("ball")
    yield sim
    sim.close()


def test_roughness_is_the_largest_height_evenly_spread(shared):
    """Mean and standard deviation of the heights are those of Uniform(0, roughness); the start is flat."""
    shared.parameters.set("terrain.roughness", 0.08)
    found = heights(shared, (1,))
    far = np.maximum(*np.abs(np.meshgrid(CENTRES, CENTRES))) > 0.6 + 0.15
    assert not found[~far].any()
    assert 0 < found[far].min() < 0.004
    assert 0.076 < found[far].max() < 0.08
    assert found[far].mean() == pytest.approx(0.04, abs=3 * 0.08 / math.sqrt(12 * far.sum()))
    assert found[far].std() == pytest.approx(0.08 / math.sqrt(12), rel=0.1)


@pytest.mark.parametrize("friction", [0.2, 0.6])
def test_the_friction_of_the_ground_is_that_of_its_steps(box, friction):
    """On a wide step a box rests below the slip angle and slides above it, at g (sin α − μ cos α)."""
    box.parameters.set("terrain.step_length", 4.0)
    box.parameters.set("ground.friction", friction)
    for excess in (-0.03, 0.1):
        angle = math.atan(friction) + excess
        box.parameters.set("ground.slope", angle)
        assert drop(box, 3.0, 0.0, steps=0, above=0.0) == 0.1
        for _ in range(25):
            box.step(np.zeros(0))
        downhill, _, rising = box.base_velocity_m_s
        expected = max(0.0, 0.5 * G * (math.sin(angle) - friction * math.cos(angle)) - friction * rising)
        assert downhill == pytest.approx(expected, rel=0.05, abs=1e-3)


def test_a_step_bounces_as_the_ground_does(ball):
    """Restitution is the speed kept."""
    ball.parameters.set("solver.timestep", 0.001)
    ball.parameters.set("ground.restitution", 0.6)
    height = drop(ball, 2.1, 0.0, steps=0, above=0.5)
    tops = []
    for _ in range(40):
        ball.step(np.zeros(0))
        tops.append(ball.base_position_m[2] - 0.1 - height)
    assert max(tops[20:]) == pytest.approx(0.6**2 * 0.5, rel=0.15)


@pytest.mark.parametrize("simulation", ["bullet"], indirect=True)
def test_a_step_gives_way_as_the_ground_does(ball):
    """Compliance is how far a newton sinks it in."""
    ball.parameters.set("solver.timestep", 0.001)
    ball.parameters.set("ground.compliance", 1e-3)
    ball.parameters.set("ground.damping", 50.0)
    height = drop(ball, 2.1, 0.0, steps=150)
    assert height + 0.1 - ball.base_position_m[2] == pytest.approx(G * 1e-3, rel=0.06)


def tumble(sim, episode=(1,), steps=120):
    """A ball rolling off over the blocks, every bit of it."""
    sim.reset(episode=episode, velocity_m_s=(3.0, 0.4))
    path = []
    for _ in range(steps):
        sim.step(np.zeros(0))
        path.append((sim.base_position_m, sim.base_velocity_m_s))
    return path


def test_an_episode_on_rough_ground_repeats_to_the_bit_and_leaves_no_trace(simulation):
    """Whatever was simulated before; and flat again, it is the world that never was rough."""
    sim, fresh = make("ball", simulation), make("ball", simulation, roughness=0.03)
    flat = tumble(sim)
    sim.parameters.set("terrain.roughness", 0.03)
    first = tumble(sim)
    assert max(x for (x, _, _), _ in first) > 1.0
    assert tumble(sim, (2,)) != first
    assert tumble(sim) == first == tumble(fresh)
    sim.parameters.set("terrain.step_length", 0.4)
    assert tumble(sim) != first
    sim.parameters.set("terrain.step_length", 0.3)
    assert tumble(sim) == first
    sim.parameters.set("terrain.roughness", 0.0)
    assert tumble(sim) == flat
    sim.close()
    fresh.close()


def test_blocks_that_are_far_away_change_nothing(monkeypatch):
    """The square that goes with the robot is large enough: with a larger one the episode is the same."""
    path = tumble(make("ball", roughness=0.005), steps=200)
    assert max(x for (x, _, _), _ in path) > 3.0
    monkeypatch.setattr(terrain, "SIDE", 30)
    assert tumble(make("ball", roughness=0.005), steps=200) == path


@pytest.mark.parametrize("condition", [
    [],
    [set_to("parameter:terrain.roughness", 0.05)],
    [set_to("parameter:terrain.step_height", 0.15)],
])  # fmt: skip
def test_a_robot_stands_at_the_start_and_does_not_fall_through_when_it_falls(condition):
    """The balance controller stands on any ground; thrown onto it, no foot gets under it."""
    env = Perturbed(gym.make("sim2real:sim2real/Stand-v0", disable_env_checker=True), condition)
    sim = env.unwrapped.sim
    policy = policies.scripted(policies.balance).bind(env)
    observation, _ = env.reset(seed=0)
    for _ in range(100):
        observation, _, over, *_ = env.step(policy(observation))
        assert not over
    sim.engine.add_base_velocity((3.0, 0.0, 2.0), (0.0, 0.0, 0.0))
    lowest = math.inf
    for _ in range(100):
        env.step(np.zeros(12))
        for (x, y, z), *_ in sim.foot_states:
            lowest = min(lowest, z - sim.terrain.height_m(x, y))
    assert sim.base_position_m[0] > 1.0
    assert lowest > 0.0
    env.close()

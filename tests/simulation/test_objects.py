"""Objects weigh what their shapes say, and a grip holds what its friction can bear."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sim2real import Robot
from sim2real.simulation.objects import SHAPES, of_density, rest_height_m, scaled, solid, thing, volume_m3
from sim2real.simulation.scene import Contact

GRIPPER = Path(__file__).parents[1] / "robots" / "gripper"
SOLIDS = (
    solid("box", 0.1, 0.2, 0.3),
    solid("sphere", 0.1),
    solid("cylinder", 0.1, 0.3),
    solid("capsule", 0.1, 0.2),
)
length = st.floats(0.01, 0.2)


def contains(shape, points):
    """Which points (k, 3) of a shape's own frame lie in it."""
    if shape.kind == "box":
        return (np.abs(points) <= np.array(shape.size) / 2).all(axis=1)
    radius, extent = (*shape.size, 0.0)[:2]
    beyond = np.maximum(np.abs(points[:, 2]) - extent / 2, 0.0)
    if shape.kind == "cylinder":
        return (np.hypot(points[:, 0], points[:, 1]) <= radius) & (beyond == 0.0)
    return np.hypot(np.hypot(points[:, 0], points[:, 1]), beyond) <= radius


@pytest.mark.parametrize("shape", SOLIDS, ids=lambda shape: shape.kind)
def test_volume_and_inertia_are_those_of_the_points_in_the_shape(shape):
    """Sums over a fine grid of the points inside give volume and moments of inertia."""
    grid = (np.arange(60) + 0.5) / 60 - 0.5
    sides = np.array([shape.width_m(axis) for axis in np.eye(3)])
    points = np.stack(np.meshgrid(*(grid * side for side in sides), indexing="ij"), axis=-1).reshape(-1, 3)
    inside = points[contains(shape, points)]
    cell = sides.prod() / len(points)
    squares = (inside**2).sum(axis=0)
    body = of_density(shape, 1000.0)
    assert volume_m3(shape) == pytest.approx(cell * len(inside), rel=0.01)
    assert np.diag(body.inertia_kgm2) == pytest.approx(1000.0 * cell * (squares.sum() - squares), rel=0.01)


@given(a=length, b=length, c=length, cut=st.floats(0.2, 0.8), shift=st.floats(-0.05, 0.05))
@settings(max_examples=30)
def test_a_box_is_the_sum_of_its_parts(a, b, c, cut, shift):
    """A box cut in two and put together again weighs and turns as before."""
    parts = (
        solid("box", cut * a, b, c, at_m=((cut - 1) * a / 2, 0, 0)),
        solid("box", (1 - cut) * a, b, c, at_m=(cut * a / 2, 0, 0)),
    )
    whole, split = (thing("o", s, 0.3, (shift, 0, 0)).inertial for s in ((solid("box", a, b, c),), parts))
    assert split.com_m == pytest.approx(whole.com_m, abs=1e-9)
    assert split.inertia_kgm2 == pytest.approx(whole.inertia_kgm2, rel=1e-6, abs=1e-12)


@pytest.mark.parametrize("name", SHAPES)
def test_a_larger_thing_of_the_same_mass_turns_with_the_square_of_its_size(name):
    """Lengths go with the factor, moments of inertia with its square, and it stands the higher."""
    small, large = SHAPES[name], scaled(SHAPES[name], 2.0)
    one, other = thing("o", small, 0.2).inertial, thing("o", large, 0.2).inertial
    assert other.inertia_kgm2 == pytest.approx(4 * one.inertia_kgm2, rel=1e-9, abs=1e-15)
    assert other.com_m == pytest.approx(2 * one.com_m, abs=1e-12)
    assert rest_height_m(large) == pytest.approx(2 * rest_height_m(small))


@pytest.mark.parametrize("name", SHAPES)
def test_the_parts_of_a_thing_do_not_overlap(name):
    """Else some of it would weigh twice."""
    points = np.random.default_rng(0).uniform(-0.12, 0.12, (20000, 3))
    ones = np.column_stack([points, np.ones(len(points))]).T
    inside = [
        contains(replace(shape, pose_in_link=np.eye(4)), (np.linalg.inv(shape.pose_in_link) @ ones)[:3].T)
        for shape in SHAPES[name]
    ]
    assert np.sum(inside, axis=0).max() == 1


def lost_m(simulation, shape, friction, ratio, mass_kg=0.3, spinning_m=0.0, com_m=(0.0, 0.0, 0.0)):
    """How far a thing sinks in a second between two pads that press with the ratio of the force it takes."""
    sim = simulation(Robot.load(GRIPPER), ["left", "right"], control="torque", fixed_base=True)
    force_n = ratio * mass_kg * 9.81 / (2.0 * friction)
    sim.scene.put(thing("thing", (shape,), mass_kg, com_m), Contact(friction=friction))
    sim.reset()
    for pad in (1, 2):
        sim.engine.set_link_contact(pad, compliance_m_n=1e-4, damping_ns_m=30.0, spinning_m=spinning_m)
    closed = 0.045 - shape.width_m(np.array([0.0, 1.0, 0.0])) / 2
    base_m = (0.0, 0.0, sim.robot.base_height_m)
    sim.engine.set_state(base_m, (0, 0, 0, 1), [closed, closed])
    sim.scene.move("thing", (0.0, 0.0, base_m[2] + 0.5))
    sim.parameters.set("gravity.z", 0.0)
    for gravity, steps in ((0.0, 10), (-9.81, 50)):
        sim.parameters.set("gravity.z", gravity)
        for _ in range(steps):
            sim.step(np.full(2, force_n))
    (_, _, z), _ = sim.scene.pose("thing")
    sim.close()
    return base_m[2] + 0.5 - z


@pytest.mark.parametrize("shape", SOLIDS[:3], ids=lambda shape: shape.kind)
@pytest.mark.parametrize("friction", [0.2, 0.5, 1.0])
def test_two_pads_hold_a_mass_if_and_only_if_friction_can_bear_it(simulation, shape, friction):
    """Pressed from both sides with N a mass m stays if 2 μ N > m g and falls if 2 μ N < m g; nothing sticks."""
    small = scaled((shape,), 0.05 / shape.width_m(np.array([0.0, 1.0, 0.0])))[0]
    assert lost_m(simulation, small, friction, 1.05) < 2e-3
    assert lost_m(simulation, small, friction, 0.95) > 0.1

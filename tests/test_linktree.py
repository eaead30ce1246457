"""Merging changes nothing that moves, the engine reads what was written, and wrong URDF is told in a sentence."""

import math
from dataclasses import replace
from itertools import product
from pathlib import Path

import numpy as np
import pybullet
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sim2real.errors import Sim2RealError
from sim2real.linktree import MOVABLE, Inertial, Joint, Link, Shape, Tree, parse, pose_of, rpy_of, skew
from sim2real.robots import Robot

laws = settings(max_examples=40, deadline=None)
MANNEQUIN = Path(__file__).parent / "robots" / "mannequin"
SEEDS = st.integers(0, 2**32 - 1)


def random_body(rng, mass_kg=None):
    """Return a body with an inertia that a real one can have, of any orientation."""
    turn = pose_of(rpy=rng.uniform(-3, 3, 3))[:3, :3]
    a, b, c = rng.uniform(0.01, 1, 3)
    inertia = turn @ np.diag([b + c, a + c, a + b]) @ turn.T * rng.choice([1, 1e-2, 1e-4])
    mass = rng.uniform(0.1, 5) if mass_kg is None else mass_kg
    return Inertial(mass_kg=np.array(mass), com_m=rng.uniform(-0.3, 0.3, 3), inertia_kgm2=inertia)


def random_tree(seed, kinds=(*MOVABLE, "fixed"), size=8):
    """Return a tree of random shape, kinds of joints and inertias; some fixed links have no mass."""
    rng = np.random.default_rng(seed)
    links, bodies, joints = [Link(name="link0")], {"link0": random_body(rng)}, []
    for i in range(1, rng.integers(2, size + 1)):
        kind = str(rng.choice(kinds))
        axis = rng.normal(size=3)
        pose = pose_of(rng.uniform(-0.5, 0.5, 3), rng.uniform(-3, 3, 3))
        parent = f"link{rng.integers(i)}"
        links.append(Link(name=f"link{i}"))
        joints.append(
            Joint(
                name=f"joint{i}",
                kind=kind,
                parent=parent,
                child=f"link{i}",
                pose_in_parent=pose,
                axis=axis / np.linalg.norm(axis),
            )
        )
        if kind in MOVABLE or rng.random() < 0.7:
            bodies[f"link{i}"] = random_body(rng)
    return Tree.build("random", links, bodies, joints), rng


def positions_of(tree, rng):
    return {name: float(rng.uniform(-1.5, 1.5)) for name in tree.joint_names}


def merged(tree, driven, positions):
    return tree.hold(driven, positions).tree(tree.bodies, range(len(tree.links)))


@laws
@given(SEEDS)
def test_merging_keeps_mass_and_motion(seed):
    """Mass, its centre and the joint-space inertia of what still moves are those of the whole tree."""
    tree, rng = random_tree(seed)
    driven = [name for name in tree.joint_names if rng.random() < 0.6]
    held = positions_of(tree, rng)
    small = merged(tree, driven, held)
    positions = held | {name: float(rng.uniform(-1.5, 1.5)) for name in driven}
    assert set(small.joint_names) == set(driven)
    whole, kept = tree.whole(positions), small.whole(positions)
    assert kept.mass_kg == pytest.approx(whole.mass_kg, rel=1e-12)
    assert np.allclose(kept.com_m, whole.com_m, atol=1e-9)
    assert np.allclose(kept.inertia_kgm2, whole.inertia_kgm2, atol=1e-9)
    rows = [*range(6), *(6 + tree.joint_names.index(name) for name in small.joint_names)]
    assert np.allclose(
        small.mass_matrix(positions), tree.mass_matrix(positions)[np.ix_(rows, rows)], atol=1e-9
    )


@laws
@given(SEEDS)
def test_the_mass_matrix_is_the_kinetic_energy(seed):
    """½ vᵀ M v is the links' energy, their velocities taken from kinematics by differences; M is symmetric."""
    tree, rng = random_tree(seed)
    positions, rates = positions_of(tree, rng), {name: rng.normal() for name in tree.joint_names}
    base, h = rng.normal(size=6), 1e-6

    def poses(time):
        at = {name: positions[name] + time * rates[name] for name in positions}
        turn = pose_of(time * base[:3])
        turn[:3, :3] += time * skew(base[3:])
        return turn @ tree.link_poses(at)

    here = tree.bodies.seen_from(poses(0))
    energy = 0.0
    for place, rate in enumerate((poses(h) - poses(-h)) / (2 * h)):
        spin = rate[:3, :3] @ poses(0)[place, :3, :3].T
        omega = np.array([spin[2, 1], spin[0, 2], spin[1, 0]])
        speed = rate[:3, :3] @ tree.bodies.com_m[place] + rate[:3, 3]
        energy += (here.mass_kg[place] * speed @ speed + omega @ here.inertia_kgm2[place] @ omega) / 2
    velocity = np.array([*base, *(rates[name] for name in tree.joint_names)])
    matrix = tree.mass_matrix(positions)
    assert velocity @ matrix @ velocity / 2 == pytest.approx(energy, rel=1e-6)
    assert np.allclose(matrix, matrix.T, atol=1e-12)


@pytest.fixture(scope="module")
def engine_matrix(tmp_path_factory):
    """Load URDF text as the simulation does and return the engine's mass matrix in this package's convention."""
    client = pybullet.connect(pybullet.DIRECT)
    path = tmp_path_factory.mktemp("urdf") / "robot.urdf"

    def matrix(tree, positions, text=None):
        pybullet.resetSimulation(physicsClientId=client)  # else it takes the inertia of a body removed before
        pybullet.setPhysicsEngineParameter(enableFileCaching=0, physicsClientId=client)
        path.write_text(text or tree.urdf())
        flags = pybullet.URDF_USE_INERTIA_FROM_FILE
        body = pybullet.loadURDF(str(path), flags=flags, physicsClientId=client)
        count = pybullet.getNumJoints(body, physicsClientId=client)
        infos = [pybullet.getJointInfo(body, joint, physicsClientId=client) for joint in range(count)]
        assert tuple(info[1].decode() for info in infos) == tree.joint_names
        com, quaternion = pybullet.getDynamicsInfo(body, -1, physicsClientId=client)[3:5]
        turn = np.reshape(pybullet.getMatrixFromQuaternion(quaternion), (3, 3)).T
        # Bullet: angular, then linear velocity of the base's centre of mass, along its principal axes.
        to_engine = np.eye(6 + count)
        to_engine[:6, :6] = np.block([[np.zeros((3, 3)), turn], [turn, -turn @ skew(np.array(com))]])
        values = [positions[name] for name in tree.joint_names]
        found = np.array(pybullet.calculateMassMatrix(body, values, physicsClientId=client))
        return to_engine.T @ found @ to_engine

    yield matrix
    pybullet.disconnect(client)


def assert_same_inertia(engine, ours):
    scale = np.sqrt(
        np.outer(np.diag(ours), np.diag(ours))
    )  # each entry against the two diagonal ones it couples
    assert np.abs((engine - ours) / scale).max() < 1e-9


def test_the_engine_reads_random_trees_as_they_are(engine_matrix):
    """Off-diagonal inertia, tilted frames, hinges and slides: the engine's mass matrix is ours."""
    for seed in range(30):
        tree, rng = random_tree(seed, size=6)
        tree = merged(tree, tree.joint_names, {})
        positions = positions_of(tree, rng)
        assert_same_inertia(engine_matrix(tree, positions), tree.mass_matrix(positions))


@pytest.mark.parametrize(
    ("name", "variant", "group", "visuals"),
    [
        ("g1", None, "legs", False),
        ("g1", None, "arms", True),
        ("g1", "hands", "left_hand", False),
        (MANNEQUIN, None, "legs", True),
    ],
)
def test_the_engine_reads_robots_as_they_are(engine_matrix, name, variant, group, visuals):
    """The compiled text has the mass matrix that the compiler computed, but for the rotors, which URDF cannot say."""
    robot = Robot.load(name, variant)
    compiled = robot.compile(robot.group(group), visuals=visuals)
    rng = np.random.default_rng(0)
    positions = {joint: float(rng.uniform(-0.5, 0.5)) for joint in compiled.joint_names}
    rotors = [robot.joints[name].armature for name in compiled.tree.joint_names]
    ours = compiled.tree.mass_matrix(positions) - np.diag([0.0] * 6 + rotors)
    assert_same_inertia(engine_matrix(compiled.tree, positions, compiled.urdf), ours)


def test_extreme_but_possible_inertia_survives_the_engine(engine_matrix):
    """A thin rod, whose moments are on the edge of what is possible, keeps them: no rounding pushes it over."""
    for moments in ([0.0, 0.3, 0.3], [0.1, 0.2, 0.3], [0.7, 0.1, 0.6]):
        body = Inertial(mass_kg=np.array(1.0), com_m=np.zeros(3), inertia_kgm2=np.diag(moments))
        tree = Tree.build("rod", [Link(name="rod")], {"rod": body}, [])
        engine = engine_matrix(tree, {})
        assert np.diag(engine)[3:6] == pytest.approx(moments, abs=1e-9)


@laws
@given(SEEDS)
def test_text_and_tree_go_round(seed):
    """Writing is deterministic, and what is read back weighs and moves the same."""
    tree, rng = random_tree(seed, kinds=MOVABLE)
    again = parse(tree.urdf())
    positions = positions_of(tree, rng)
    assert tree.urdf() == replace(tree).urdf()
    assert again.joint_names == tree.joint_names
    assert np.allclose(again.mass_matrix(positions), tree.mass_matrix(positions), atol=1e-9)


@laws
@given(st.tuples(*[st.floats(-3.1, 3.1)] * 3), st.sampled_from([None, math.pi / 2, -math.pi / 2]))
def test_angles_give_back_the_rotation(rpy, pole):
    """Roll, pitch and yaw of a rotation make that rotation, at the poles too."""
    rotation = pose_of(rpy=(rpy[0], rpy[1] if pole is None else pole, rpy[2]))[:3, :3]
    assert np.allclose(pose_of(rpy=rpy_of(rotation))[:3, :3], rotation, atol=1e-12)


@laws
@given(SEEDS, st.sampled_from(["box", "sphere", "cylinder", "capsule"]))
def test_nothing_of_a_shape_is_below_its_lowest_point(seed, kind):
    """The lowest height is that of the lowest of many points on the shape."""
    rng = np.random.default_rng(seed)
    size = tuple(rng.uniform(0.1, 1, {"box": 3, "sphere": 1}.get(kind, 2)))
    shape = Shape(kind=kind, size=size, pose_in_link=pose_of(rng.normal(size=3), rng.uniform(-3, 3, 3)))
    link = pose_of(rng.normal(size=3), rng.uniform(-3, 3, 3))
    ways = rng.normal(size=(20000, 3))
    ways /= np.linalg.norm(ways, axis=1, keepdims=True)
    if kind == "box":
        points = np.array(list(product(*[(-side / 2, side / 2) for side in size])))
    elif kind == "cylinder":
        rim = ways[:, :2] / np.linalg.norm(ways[:, :2], axis=1, keepdims=True)
        points = np.c_[size[0] * rim, np.sign(ways[:, 2]) * size[1] / 2]
    else:
        points = size[0] * ways
        points[:, 2] += np.sign(ways[:, 2]) * (size[1] / 2 if kind == "capsule" else 0)
    heights = (link @ shape.pose_in_link @ np.c_[points, np.ones(len(points))].T)[2]
    assert shape.lowest_m(link) <= heights.min() + 1e-12
    assert shape.lowest_m(link) == pytest.approx(heights.min(), abs=0.01)


SLIDER = """
<robot name="slider">
  <material name="blue"><color rgba="0 0 1 1"/></material>
  <link name="base"><inertial><origin xyz="1 0 0"/><mass value="2"/><inertia ixx="1" iyy="1" izz="1"/></inertial>
    <visual><geometry><mesh filename="m.stl"/></geometry></visual>
    <collision><geometry><mesh filename="m.stl"/></geometry></collision>
    <collision><origin xyz="0 0 1"/><geometry><capsule radius="1" length="2"/></geometry></collision></link>
  <link name="cart"><inertial><mass value="1"/><inertia ixx="1" iyy="1" izz="1"/></inertial>
    <visual><geometry><sphere radius="1"/></geometry><material name="blue"/></visual></link>
  <link name="frame"/>
  <joint name="rail" type="prismatic"><parent link="base"/><child link="cart"/><origin xyz="0 0 1"/>
    <axis xyz="0 2 0"/><limit lower="-1" upper="2" effort="3"/><dynamics damping="0.1" friction="0.2"/></joint>
  <joint name="weld" type="fixed"><parent link="cart"/><child link="frame"/></joint>
</robot>\0
"""


def test_reading_keeps_what_urdf_says():
    """Axes are made unit, meshes are left out, a link without inertial has no mass, defaults are URDF's."""
    tree = parse(SLIDER)
    rail = tree.joints[0]
    assert (rail.lower, rail.upper, rail.effort, rail.velocity) == (-1, 2, 3, math.inf)
    assert (rail.damping, rail.friction, rail.axis.tolist()) == (0.1, 0.2, [0, 1, 0])
    assert tree.bodies.mass_kg.tolist() == [2, 1, 0]
    base, cart, _ = tree.links
    assert [shape.kind for shape in base.collisions + base.visuals] == ["capsule", "capsule"]
    assert (base.has_mesh, cart.has_mesh, cart.visuals[0].rgba) == (True, False, (0, 0, 1, 1))


def test_the_unit_of_length_scales_lengths_and_inertia():
    """A file in half metres has half the lengths and a quarter of the inertia, and the same masses."""
    whole, half = parse(SLIDER), parse(SLIDER, scale=0.5)
    assert np.allclose(half.whole({"rail": 0.5}).com_m, whole.whole({"rail": 1.0}).com_m / 2)
    assert np.allclose(half.whole({}).inertia_kgm2, whole.whole({}).inertia_kgm2 / 4)
    assert (half.joints[0].lower, half.joints[0].upper) == (-0.5, 1)
    assert half.links[0].collisions[0].size == (0.5, 1)
    assert whole.links[0].collisions[0].lowest_m(np.eye(4)) == -1


def test_shapes_ride_along_when_merged():
    """A held link's shape is where it was, now on the link that carries it."""
    tree = parse(SLIDER)
    small = merged(tree, [], {"rail": 0.7})
    assert np.allclose(small.links[0].visuals[-1].pose_in_link[:3, 3], [0, 0.7, 1])
    assert "<visual>" not in small.urdf()
    assert small.urdf(visuals=True).count("<visual>") == 2


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("</robot>", "", "this is not URDF"),
        ('type="prismatic"', 'type="prismtic"', "type 'prismtic'. Did you mean 'prismatic'?"),
        ('<child link="cart"/>', '<child link="crt"/>', "unknown link 'crt'. Did you mean 'cart'?"),
        ('<link name="frame"/>', '<link name="frame"/><link name="alone"/>', "is no tree"),
        ('<link name="frame"/>', '<link name="cart"/><link name="frame"/>', "no name twice"),
        ('<child link="frame"/>', '<child link="cart"/>', "is no tree"),
        ('name="weld"', 'name="rail"', "no name twice"),
        ('lower="-1"', 'lower="-1."".', "this is not URDF"),
        ('lower="-1"', 'lower="-1.0."', "lower='-1.0.'> should hold 1 number."),
        ('xyz="0 2 0"', 'xyz="0 2"', "xyz='0 2'> should hold 3 numbers."),
        ("capsule", "cone", "link 'base' has a collision 'cone'."),
    ],
)
def test_wrong_urdf_is_told_in_a_sentence(old, new, message):
    """The sentence names the part that is wrong and, for names, what would be right."""
    with pytest.raises(Sim2RealError, match=".*") as error:
        parse(SLIDER.replace(old, new))
    assert message in str(error.value)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('<mass value="1"/>', "", "link 'cart' would move without mass"),
        (
            '<mass value="1"/><inertia ixx="1"',
            '<mass value="1"/><inertia ixx="3"',
            "link 'cart' has principal moments",
        ),
    ],
)
def test_what_no_engine_should_get_is_never_written(old, new, message):
    """A movable link without mass (1 kg in PyBullet), or with an impossible inertia, is refused by name."""
    tree = parse(SLIDER.replace(old, new))
    with pytest.raises(Sim2RealError, match=message):
        merged(tree, ["rail"], {}).urdf()

"""Descriptions are read or refused with a sentence, and compiling changes exactly what it is told to change."""

import math
from dataclasses import replace
from importlib.metadata import EntryPoint, EntryPoints
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sim2real import robots
from sim2real.errors import Sim2RealError
from sim2real.linktree import pose_of
from sim2real.robots import Changes, Robot, reflected_inertia

laws = settings(max_examples=40, deadline=None)

G1, HANDS, PANDA = Robot.load("g1"), Robot.load("g1", "hands"), Robot.load("panda")
LEGS = G1.group("legs")
SHELF = Path(__file__).parent / "robots"
MOVED = st.dictionaries(st.sampled_from(LEGS), st.floats(-1, 1), max_size=12)
FACTOR = st.floats(0.1, 10)
HEAVY = st.sampled_from([link for link, body in G1.inertials.items() if body.mass_kg > 0.01])


# ---- the Unitree G1 --------------------------------------------------------------------------------------------


def test_the_g1_is_the_published_robot():
    """Joints and masses are those of unitree_ros, g1_29dof_rev_1_0.urdf and g1_29dof_with_hand_rev_1_0.urdf."""
    assert (len(G1.joint_names), len(HANDS.joint_names)) == (29, 43)
    assert G1.tree.whole({}).mass_kg == pytest.approx(33.34114202, rel=1e-12)
    assert HANDS.tree.whole({}).mass_kg == pytest.approx(34.394234, rel=1e-12)
    leg = {"hip_pitch": (88, 32), "hip_roll": (139, 20), "hip_yaw": (88, 32), "knee": (139, 20)}
    leg |= {"ankle_pitch": (35, 30), "ankle_roll": (35, 30)}
    for name, limits in leg.items():
        drive = G1.joints[f"left_{name}"]
        assert (drive.effort_nm, drive.velocity_rad_s) == limits
    assert (G1.joints["left_knee"].lower, G1.joints["left_knee"].upper) == (-0.087267, 2.8798)


def test_the_g1_stands_on_the_published_soles():
    """Each foot touches with four 5 mm spheres, all eight at the same height in the default pose."""
    poses = G1.tree.link_poses(G1.default_pose)
    for foot in G1.feet:
        place = G1.tree.index[foot]
        shapes = G1.tree.links[place].collisions
        centres = sorted(tuple(shape.pose_in_link[:3, 3]) for shape in shapes)
        assert [(shape.kind, shape.size) for shape in shapes] == [("sphere", (0.005,))] * 4
        assert centres == [
            (-0.05, -0.025, -0.03),
            (-0.05, 0.025, -0.03),
            (0.12, -0.03, -0.03),
            (0.12, 0.03, -0.03),
        ]
        for shape in shapes:
            assert shape.lowest_m(poses[place]) == pytest.approx(-G1.base_height_m, abs=1e-9)
    assert G1.base_height_m == pytest.approx(0.7842, abs=1e-4)
    assert HANDS.base_height_m == G1.base_height_m


@pytest.mark.parametrize("robot", [G1, HANDS], ids=["rubber", "hands"])
def test_the_g1_is_its_own_mirror_image(robot):
    """Shapes, limits, gains and pose of the right are those of the left, seen in the x-z plane."""
    mirror = np.diag([1.0, -1.0, 1.0, 1.0])

    def solids(shapes, image):
        rows = [
            (shape.kind, shape.size, *(image @ shape.pose_in_link @ image).round(9).ravel() + 0.0)
            for shape in shapes
        ]
        return sorted(rows)

    for name, link in zip(robot.link_names, robot.tree.links, strict=True):
        if name.startswith("left_"):
            other = robot.tree.links[robot.tree.index[name.replace("left", "right")]]
            assert solids(link.collisions, mirror) == solids(other.collisions, np.eye(4))
            assert solids(link.visuals, mirror) == solids(other.visuals, np.eye(4))
    for name, drive in robot.joints.items():
        if name.startswith("left_"):
            other = robot.joints[name.replace("left", "right")]
            same = replace(drive, name=other.name, lower=other.lower, upper=other.upper)
            assert same == other
            assert (drive.lower, drive.upper) in ((other.lower, other.upper), (-other.upper, -other.lower))


def test_the_g1_has_the_published_armature():
    """Derived from rotors and gears, armature is mjlab's: 5020, two of them, 7520-14, 7520-22, 4010."""
    known = {"left_elbow": 0.003609725, "left_ankle_roll": 2 * 0.003609725, "left_hip_yaw": 0.010177520}
    known |= {"left_knee": 0.025101925, "left_wrist_yaw": 0.00425}
    for name, armature in known.items():
        assert G1.joints[name].armature == pytest.approx(armature, abs=1e-9)


def test_groups_cover_the_g1():
    """Legs, waist, arms and hands are all joints, each once, in the order of the description."""
    groups = [HANDS.group(name) for name in ("legs", "waist", "arms", "hands")]
    assert sorted(sum(groups, ())) == sorted(HANDS.joint_names)
    assert [len(group) for group in groups] == [12, 3, 14, 14]
    assert G1.joint_names[:12] == LEGS
    assert LEGS[:6] == G1.group("left_leg")


# ---- the Franka Panda, and hands -------------------------------------------------------------------------------


def test_the_panda_is_the_published_robot():
    """Masses are those of Gaz et al. 2019; limits, and where the flange is at zero, those of its data sheet."""
    links = (0.629769, 4.970684, 0.646926, 3.228604, 3.587895, 1.225946, 1.666555, 0.735522)
    assert PANDA.tree.whole({}).mass_kg == pytest.approx(sum(links) + 0.73 + 2 * 0.015, rel=1e-12)
    for link, body in PANDA.inertials.items():  # none of PyBullet's placeholders is left
        assert np.linalg.eigvalsh(body.inertia_kgm2).max() < 0.1 or link == "panda_link1"
    flange = PANDA.tree.link_poses({})[PANDA.tree.index["panda_link8"]]
    assert np.allclose(flange[:3, 3], (0.088, 0.0, 0.926), atol=1e-9)
    limits = [(PANDA.joints[name].lower, PANDA.joints[name].upper) for name in PANDA.group("arm")]
    assert limits[1:6:2] == [(-1.7628, 1.7628), (-3.0718, -0.0698), (-0.0175, 3.7525)]
    assert limits[0] == limits[2] == limits[4] == limits[6] == (-2.8973, 2.8973)
    drives = [PANDA.joints[name] for name in PANDA.group("arm")]
    assert [drive.effort_nm for drive in drives] == [87] * 4 + [12] * 3
    assert [drive.velocity_rad_s for drive in drives] == [2.175] * 4 + [2.61] * 3


def test_only_the_pandas_base_touches_the_ground():
    """Bolted to the ground at height 0, nothing but its foot comes near it, in the default pose."""
    assert PANDA.base_height_m == pytest.approx(0.0, abs=1e-12)
    poses = PANDA.tree.link_poses(PANDA.default_pose)
    for pose, link in zip(poses[1:], PANDA.tree.links[1:], strict=True):
        assert min((shape.lowest_m(pose) for shape in link.collisions), default=1.0) > 0.02


@pytest.mark.parametrize(
    ("robot", "name"),
    [(HANDS, "left"), (HANDS, "right"), (PANDA, "gripper")],
    ids=["left", "right", "gripper"],
)
def test_fingers_oppose_each_other_about_the_grasp_frame(robot, name):
    """Closing on 0.06 m, the inner faces of the tips are 0.03 m before and behind its origin, and nearly parallel."""
    hand = robot.hand(name)

    def faces(closing):
        """Return (tips, 2): where along y a tip's inner face is, at its middle, and how its normal leans."""
        posture = dict(zip(hand.fingers, hand.posture(closing), strict=True))
        poses = robot.tree.link_poses(dict(robot.default_pose) | posture)
        grasp = poses[robot.tree.index[hand.palm]] @ hand.grasp_in_palm
        found = []
        for tip in hand.tips:
            place = robot.tree.index[tip]
            pad = robot.tree.links[place].collisions[-1]
            pose, size = np.linalg.inv(grasp) @ poses[place] @ pad.pose_in_link, pad.size
            axis = int(np.argmax(np.abs(pose[1, :3])))
            side = -np.sign(pose[1, 3])  # inwards
            normal = pose[:3, axis] * np.sign(pose[1, axis]) * side
            centre = pose[:3, 3] + 0.5 * size[axis] * normal
            found.append((centre[1] - centre[2] * -normal[2] / normal[1], normal[1] * side))
        return np.array(found)

    gaps = [np.ptp(faces(closing)[:, 0]) for closing in np.linspace(0, 1, 101)]
    assert gaps[0] > 0.075
    closing = float(np.linspace(0, 1, 101)[int(np.argmin(np.abs(np.array(gaps) - 0.06)))])
    at = faces(closing)
    assert np.allclose(np.abs(at[:, 0]), 0.03, atol=0.003)
    assert np.allclose(at[:, 1], 1.0, atol=1 - np.cos(np.radians(10)))
    assert {*np.sign(at[:, 0])} == {-1.0, 1.0}


def test_the_right_hand_is_the_mirror_image_of_the_left():
    """Mirrored in the x-z plane, open and closed tips and the grasp frame's origin are the other hand's."""
    places = {}
    for side in ("left", "right"):
        hand = HANDS.hand(side)
        for closing in (0.0, 1.0):
            posture = dict(zip(hand.fingers, hand.posture(closing), strict=True))
            poses = HANDS.tree.link_poses(dict(HANDS.default_pose) | posture)
            ends = [poses[HANDS.tree.index[tip]] for tip in hand.tips]
            ends.append(poses[HANDS.tree.index[hand.palm]] @ hand.grasp_in_palm)
            places[side, closing] = np.array(ends)[:, :3, 3]
            approach, across = ends[-1][:3, 2], ends[-1][:3, 1]
            assert approach[1] == pytest.approx(-1.0 if side == "left" else 1.0)  # palms face each other
            assert across[0] == pytest.approx(1.0)
    for closing in (0.0, 1.0):
        mirrored = places["left", closing] * [1, -1, 1]
        assert np.allclose(
            mirrored, places["right", closing], atol=2e-5
        )  # the published arms differ by 0.01 mm


def test_a_robot_without_hands_says_so():
    """Asked for a hand, a robot names the ones it has, or the variants in which it may have some."""
    with pytest.raises(Sim2RealError, match=r"'Unitree G1' has no hands, .*; its variants are hands\."):
        G1.hand("left")
    with pytest.raises(Sim2RealError, match=r"has no hand 'lef'\. Did you mean 'left'\?"):
        HANDS.hand("lef")


# ---- compiling -------------------------------------------------------------------------------------------------


@laws
@given(MOVED)
def test_compiling_keeps_mass_and_frames(moved):
    """Arms and waist merged: total mass and its centre, and where each original link is, stay what they were."""
    compiled = G1.compile(LEGS)
    positions = dict(G1.default_pose) | moved
    whole, kept = G1.tree.whole(positions), compiled.tree.whole(positions)
    assert kept.mass_kg == pytest.approx(whole.mass_kg, rel=1e-12)
    assert np.allclose(kept.com_m, whole.com_m, atol=1e-9)
    original, merged = G1.tree.link_poses(positions), compiled.tree.link_poses(positions)
    for link, (carrier, xyz, rotation) in compiled.frame_of.items():
        frame = pose_of(xyz)
        frame[:3, :3] = rotation
        assert np.allclose(
            merged[compiled.tree.index[carrier]] @ frame, original[G1.tree.index[link]], atol=1e-9
        )
        assert compiled.link_of[link] == carrier


def without_rotors(robot):
    return replace(robot, joints={name: replace(drive, armature=0.0) for name, drive in robot.joints.items()})


def test_armature_is_on_the_diagonal_of_its_joint_and_nowhere_else():
    """Of the driven joints the rotors add to the diagonal of the mass matrix; links and locked joints have none."""
    compiled, bare = (robot.compile(LEGS).tree for robot in (G1, without_rotors(G1)))
    added = compiled.mass_matrix(G1.default_pose) - bare.mass_matrix(G1.default_pose)
    rotors = [G1.joints[name].armature for name in compiled.joint_names]
    assert np.allclose(added, np.diag([0.0] * 6 + rotors), atol=1e-12)
    assert compiled.bodies == bare.bodies


@laws
@given(HEAVY, FACTOR, st.tuples(*[st.floats(-0.2, 0.2)] * 3), st.floats(0, 20))
def test_changes_move_the_whole_as_told(link, factor, shift, load_kg):
    """Σ m and Σ m c of the robot change by what was added to one link: a factor, a shift, a point mass."""
    frame = G1.tree.link_poses(G1.default_pose)[G1.tree.index[link]]
    body, before = G1.inertials[link], G1.compile(LEGS).tree.whole(G1.default_pose)
    changes = Changes(mass={link: factor}, com_m={link: shift}, payload={link: (load_kg, (0.1, 0.2, 0.3))})
    after = G1.compile(LEGS, changes).tree.whole(G1.default_pose)
    old, new = body.mass_kg, factor * body.mass_kg
    assert after.mass_kg == pytest.approx(before.mass_kg + new - old + load_kg, rel=1e-12)

    def at(point):
        return (frame @ np.array([*point, 1.0]))[:3]

    moment = new * at(body.com_m + shift) - old * at(body.com_m) + load_kg * at((0.1, 0.2, 0.3))
    assert np.allclose(after.mass_kg * after.com_m, before.mass_kg * before.com_m + moment, atol=1e-9)


@laws
@given(HEAVY, FACTOR, FACTOR)
def test_inertia_goes_with_mass_and_on_its_own(link, mass, inertia):
    """With only its own link driven, the tensor is that of the description times both factors."""
    compiled = G1.compile(G1.joint_names, Changes(mass={link: mass}, inertia={link: inertia}))
    nominal = G1.compile(G1.joint_names)
    merged = compiled.link_of[link]
    alone = sum(carrier == merged for carrier in compiled.link_of.values()) == 1
    if alone and merged in G1.joints:
        told = mass * inertia * G1.inertials[link].inertia_kgm2
        assert np.allclose(compiled.merged[merged].inertia_kgm2, told, rtol=1e-9, atol=1e-15)
    for other in nominal.link_names:
        assert (compiled.merged[other] == nominal.merged[other]) == (
            other != merged or mass == inertia == 1 or mass * inertia == mass == 1
        )


def test_compiling_twice_gives_the_same_text():
    """The text depends on nothing but the robot, the joints and the changes."""
    changes = Changes(mass={"torso": 1.5}, payload={"torso": (2.0, (0.0, 0.0, 0.1))})
    assert G1.compile(LEGS, changes).urdf == Robot.load("g1").compile(LEGS, changes).urdf
    assert G1.compile(LEGS, changes).urdf != G1.compile(LEGS).urdf
    assert G1.compile(LEGS, Changes()).urdf == G1.compile(LEGS).urdf


def test_the_order_of_joints_is_the_callers():
    """Commands come in the order that was asked for, whatever the engine's."""
    backwards = LEGS[::-1]
    compiled = G1.compile(backwards)
    assert compiled.joint_names == backwards
    assert compiled.tree.joint_names == LEGS


@pytest.mark.parametrize(
    ("actuated", "changes", "message"),
    [
        (["left_kne"], {}, "robot 'Unitree G1' has no joint 'left_kne'. Did you mean 'left_knee'?"),
        (["left_knee", "left_knee"], {}, "each joint can be actuated only once"),
        (LEGS, {"mass": {"torsso": 1.1}}, "has no link 'torsso'. Did you mean 'torso'?"),
        (LEGS, {"payload": {"torsso": (1, (0, 0, 0))}}, "has no link 'torsso'. Did you mean 'torso'?"),
        (LEGS, {"com_m": {"d435": (0, 0, 1)}}, "link 'd435' of robot 'Unitree G1' has no mass to change."),
        (
            LEGS,
            {"mass": {"torso": 0.0}},
            "mass of 'torso' should be changed by a positive number, not 0.0.",
        ),
        (
            LEGS,
            {"inertia": {"torso": math.nan}},
            "inertia of 'torso' should be changed by a positive number, not nan.",
        ),
        (
            LEGS,
            {"payload": {"torso": (-1, (0, 0, 0))}},
            "payload of 'torso' should be changed by a positive number, not -1.",
        ),
    ],
)
def test_wrong_names_and_numbers_are_told_in_a_sentence(actuated, changes, message):
    """Compiling refuses what it does not know or cannot be, and never leaves a change without effect."""
    with pytest.raises(Sim2RealError) as error:
        G1.compile(actuated, Changes(**changes))
    assert message in str(error.value)


# ---- robots that nobody prepared -------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "mass_kg"), [("box", 1), ("ball", 1), ("pendulum", 1002)])
def test_robots_without_joints_or_feet_work(name, mass_kg):
    """A box and a ball compile to one link, and rest on their lowest point."""
    robot = Robot.load(SHELF / name)
    compiled = robot.compile(robot.joint_names)
    assert robot.base_height_m == pytest.approx(0.1)
    assert compiled.tree.whole({}).mass_kg == mass_kg
    assert len(compiled.link_names) == 1 + len(robot.joint_names)


def test_a_humanoid_of_another_package_needs_no_code():
    """PyBullet's mannequin gets hinges for ball joints, metres and an upright base by its robot.toml alone."""
    robot = Robot.load(SHELF / "mannequin")
    compiled = robot.compile(robot.group("legs"))
    assert len(compiled.joint_names) == 12
    assert compiled.tree.whole({}).mass_kg == pytest.approx(45.0001, rel=1e-12)
    poses = robot.tree.link_poses(robot.default_pose)
    heights = {name: poses[place, 2, 3] + robot.base_height_m for name, place in robot.tree.index.items()}
    assert 0 < heights["left_ankle"] < heights["left_knee"] < heights["left_hip"] < heights["neck"] < 1.6
    assert poses[robot.tree.index["left_hip"], 1, 3] > 0.05
    with pytest.raises(Sim2RealError, match="joint 'neck' is spherical"):
        robot.compile(["neck"])


URDF = """
<robot name="arm">
  <link name="base"><inertial><mass value="2"/><inertia ixx="1" iyy="1" izz="1"/></inertial>
    <collision><geometry><mesh filename="m.stl"/></geometry></collision></link>
  <link name="left"><inertial><mass value="1"/><inertia ixx="1" iyy="1" izz="1"/></inertial></link>
  <link name="right"><inertial><mass value="1"/><inertia ixx="1" iyy="1" izz="1"/></inertial></link>
  <joint name="left_turn" type="revolute"><parent link="base"/><child link="left"/><limit lower="-1" upper="1"/></joint>
  <joint name="right_slide" type="prismatic"><parent link="base"/><child link="right"/>
    <limit lower="0" upper="1"/></joint>
</robot>"""
TOML = """
urdf = "arm.urdf"
source = "made up"
meshes = "skip"
[effort_nm]
source = "made up"
"*" = 10.0
"""


HAND = """
[hands.a]
palm = "base"
arm = ["left_turn"]
tips = ["right"]
work_m = [0.1, 0.2, 0.3]
fingers = { "right_*" = [0, 1] }
source = "made up"
"""


def made(folder, toml, urdf=URDF):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "arm.urdf").write_text(urdf)
    (folder / "robot.toml").write_text(toml)
    return folder


def test_later_globs_override_earlier_ones(tmp_path):
    """Numbers spread by glob in the order of the file, and what nobody says has a plain default."""
    toml = TOML + '[kp_nm_rad]\n"*" = 5\n"left_*" = 7.0\nsource = "made up"\n'
    robot = Robot.load(made(tmp_path / "arm", toml))
    assert (robot.joints["left_turn"].kp, robot.joints["right_slide"].kp) == (7, 5)
    assert (robot.joints["left_turn"].stall_nm, robot.joints["left_turn"].kd) == (20, 0)
    assert (robot.name, robot.payload_link, robot.default_pose["left_turn"]) == ("arm", "base", 0)


def test_toml_can_add_shapes_and_sensors(tmp_path):
    """A [[shapes]] table gives links a primitive to collide and be seen with; a sensor sits where it is told."""
    shape = 'capsule_m = [0.1, 0.4]\nxyz_m = [0, 0, -0.2]\nsource = "made up"\n'
    sensor = '[sensors.imu]\nlink = "base"\nrpy_rad = [0, 0, 3.0]\nxyz_m = [0, 0, 1]\nsource = "made up"\n'
    toml = f'{TOML}\n[[shapes]]\nlink = "*"\n{shape}\n{sensor}'
    robot = Robot.load(made(tmp_path / "arm", toml.replace('meshes = "skip"', "")))
    assert [len(link.collisions) for link in robot.tree.links] == [1, 1, 1]
    assert robot.base_height_m == pytest.approx(0.5)
    assert np.allclose(robot.sensors["imu"].rotation, pose_of(rpy=(0, 0, 3))[:3, :3])
    assert robot.compile(["left_turn"], visuals=True).urdf.count("<capsule") == 6


def test_toml_can_give_hands_and_inertias(tmp_path):
    """A hand closes on a straight line; an inertia told replaces the URDF's, in the order xx, yy, zz, xy, xz, yz."""
    told = '[inertials."l*"]\nmass_kg = 3\ncom_m = [1, 2, 3]\ninertia_kgm2 = [4, 5, 6, 0.1, 0.2, 0.3]\nsource = "x"\n'
    robot = Robot.load(made(tmp_path / "arm", TOML + HAND + told))
    hand = robot.hand("a")
    assert (hand.fingers, hand.arm, hand.tips) == (("right_slide",), ("left_turn",), ("right",))
    assert [float(hand.posture(closing)[0]) for closing in (0.0, 0.25, 1.0)] == [0.0, 0.25, 1.0]
    assert np.array_equal(hand.grasp_in_palm, np.eye(4))
    assert hand.work_m.tolist() == [0.1, 0.2, 0.3]
    body = robot.inertials["left"]
    assert (float(body.mass_kg), body.com_m.tolist()) == (3.0, [1.0, 2.0, 3.0])
    assert body.inertia_kgm2.tolist() == [[4.0, 0.1, 0.2], [0.1, 5.0, 0.3], [0.2, 0.3, 6.0]]
    assert robot.inertials["right"].mass_kg == 1.0


@pytest.mark.parametrize(
    ("toml", "message"),
    [
        ("urdf = ", "arm/robot.toml: "),
        ('source = "made up"', "arm/robot.toml: [the file] should have 'urdf'."),
        (TOML.replace('source = "made up"\nmeshes', "meshes"), "[the file] should have 'source'."),
        (TOML.replace('source = "made up"\n"*"', '"*"'), "[effort_nm] should have 'source'."),
        (TOML.replace("arm.urdf", "arn.urdf"), "there is no file 'arn.urdf' beside it. Did you mean 'arm.urdf'?"),
        (TOML.replace("arm.urdf", "package:no_such/arm.urdf"), "no 'arm.urdf' in a Python package 'no_such'"),
        (TOML.replace("effort_nm", "efort_nm"), "unknown key 'efort_nm'. Did you mean 'effort_nm'?"),
        (TOML.replace('"*"', '"left_trn*"'), "in [effort_nm] matches nothing. Did you mean 'left_turn'?"),
        (TOML.replace("10.0", '"strong"'), "'*' in [effort_nm] should be a number, not 'strong'."),
        (TOML.replace("10.0", "-1"), "effort_nm of 'left_turn' is -1, not 0 or more."),
        (TOML.replace('meshes = "skip"', ""), "link 'base' has only a mesh: add [[shapes]] or meshes"),
        (TOML.replace("meshes", 'feet = ["foot"]\nmeshes'), "'foot' in [feet] matches nothing."),
        (TOML.replace("meshes", 'feet = "foot"\nmeshes'), "'feet' in [the file] should be a list, not 'foot'."),
        (TOML.replace("meshes", 'base = "left"\nmeshes'), "base should be the URDF's root link, 'base', not"),
        (TOML.replace("meshes", "base_rpy_rad = [0, 1]\nmeshes"), "should be 3 numbers, not [0, 1]."),
        (TOML + '[pose_rad]\nsource = "x"\n"left_*" = 2\n', "'left_turn', 2, is outside its limits, -1.0 to 1.0."),
        (TOML + '[lower_rad]\nsource = "x"\n"left_*" = 2\n', "'left_turn' has limits the wrong way round: 2, 1.0."),
        (TOML + '[stall_nm]\nsource = "x"\n"*" = 2\n', "stall_nm of 'left_turn', 2, is below its effort limit."),
        (TOML + '[motor]\nsource = "x"\n"*" = "m1"\n', "[motor] names an unknown motor 'm1'."),
        (
            TOML + '[armature_kgm2]\nsource = "x"\n"*" = 0.1\n',
            "joint 'right_slide' slides: its armature belongs in [armature_kg].",
        ),
        (
            TOML + '[armature_kg]\nsource = "x"\n"left_*" = 0.1\n',
            "joint 'left_turn' turns: its armature belongs in [armature_kgm2].",
        ),
        (TOML + '[[shapes]]\nsource = "x"\nlink = "left"\n', "[[shapes]] for 'left' should have one of box_m"),
        (TOML + "[motors]\nm1 = 3\n", "[motors.m1] should be a table, not 3."),
        (TOML.replace("meshes", 'feet = ["left"]\nmeshes'), "the foot 'left' has no primitive shape to stand on"),
        (TOML + '[hands.a]\nsource = "x"\npalm = "base"\n', "[hands.a] should have 'arm'."),
        (TOML + HAND.replace("right_*", "wrong"), "'wrong' in [hands.a] matches nothing. Known: left_turn,"),
        (TOML + HAND.replace("[0, 1]", "[0, 2]"), "'right_slide' in [hands.a], [0, 2], is outside its limits, 0.0"),
        (TOML + HAND.replace("[0, 1]", "[0, 1, 1]"), "'right_*' in [hands.a.fingers] should be 2 numbers, not [0"),
        (TOML + '[inertials.left]\nsource = "x"\nmass_kg = 1\ncom_m = [0, 0]\n', "should have 'inertia_kgm2'."),
        (TOML + '[groups]\nall = "*"\n', "'all' in [groups] should be a list, not '*'."),
        (TOML + '[variants.big]\nmeshs = "x"\n', "there is no variant 'bigg'. Did you mean 'big'?"),
    ],
)  # fmt: skip
def test_wrong_descriptions_are_told_in_a_sentence(tmp_path, toml, message):
    """The sentence begins with the file and names the table, the key or glob, and what would be right."""
    with pytest.raises(Sim2RealError) as error:
        Robot.load(made(tmp_path / "arm", toml), "bigg" if "variants" in toml else None)
    assert str(error.value).startswith("arm/robot.toml: ")
    assert message in str(error.value)


def test_a_joint_without_effort_limit_cannot_be_actuated(tmp_path):
    """What an actuator needs to know is asked for by name."""
    robot = Robot.load(made(tmp_path / "arm", TOML.split("[effort_nm]")[0]))
    with pytest.raises(Sim2RealError, match="joint 'left_turn' has no effort limit"):
        robot.compile(["left_turn"])


def test_robots_are_found_on_every_shelf(tmp_path, monkeypatch):
    """A checkout's folder comes before the wheel's copy, then entry points, then paths; then a hint."""
    site = tmp_path / "site"
    monkeypatch.setattr(robots, "__file__", str(site / "sim2real" / "robots.py"))
    plugin = EntryPoint(name="plug", value="pathlib:Path.home", group="sim2real.robots")
    monkeypatch.setattr(robots.importlib.metadata, "entry_points", lambda group: EntryPoints([plugin]))
    monkeypatch.setenv("HOME", str(made(tmp_path / "home", TOML)))
    made(site / "sim2real" / "_robots" / "arm", TOML + '[groups]\nwheel = ["*"]\n')
    assert "wheel" in Robot.load("arm").groups
    made(site / "robots" / "arm", TOML + '[groups]\ncheckout = ["*"]\n')
    assert "checkout" in Robot.load("arm").groups
    assert Robot.load("plug").name == "home"
    assert Robot.load(str(made(tmp_path / "else", TOML))).name == "else"
    with pytest.raises(Sim2RealError, match=r"there is no robot 'arn', .* Did you mean 'arm'\?"):
        Robot.load("arn")


@laws
@given(st.lists(st.floats(0, 1), min_size=1, max_size=3), st.lists(st.floats(1, 10), max_size=3))
def test_gears_reflect_inertia_by_the_square(inertias, gears):
    """The rotor counts with the square of the whole ratio, what turns with the joint counts as it is."""
    inertias = inertias[: len(gears) + 1]
    parts = [part * math.prod(gears[i:]) ** 2 for i, part in enumerate(inertias)]
    assert reflected_inertia(inertias, gears) == pytest.approx(sum(parts))
    assert reflected_inertia([1.0], [2.0, 3.0]) == 36.0
    assert reflected_inertia([0.0, 0.0, 1.0], [2.0, 3.0]) == 1.0

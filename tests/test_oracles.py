"""Other libraries, given the descriptions as they were written, know the same robots as ours do."""

import re
from pathlib import Path

import mujoco
import numpy as np
import pinocchio
import pytest

from sim2real.kinematics import Chain
from sim2real.robots import Robot

ROBOTS = Path(__file__).parents[1] / "robots"
ORIGINAL = {"g1.urdf": Robot.load("g1"), "g1_hands.urdf": Robot.load("g1", "hands")}
each = pytest.mark.parametrize("name", ORIGINAL)


def anywhere(robot, rng):
    """A posture within the limits."""
    return {name: float(rng.uniform(drive.lower, drive.upper)) for name, drive in robot.joints.items()}


def arranged(names, positions):
    return np.array([positions[name] for name in names])


@each
def test_mujoco_weighs_the_original_description_as_the_link_tree_does(name):
    """All 29 or 43 joints, nothing merged, compiled by MuJoCo from the file itself: mass matrix, rotors apart."""
    robot = ORIGINAL[name]
    spec = mujoco.MjSpec.from_file(str(ROBOTS / "g1" / name))
    spec.compiler.fusestatic, spec.compiler.balanceinertia = False, False
    spec.bodies[1].add_freejoint()
    model = spec.compile()
    data, rng = mujoco.MjData(model), np.random.default_rng(0)
    assert model.body_mass.sum() == pytest.approx(float(robot.tree.bodies.mass_kg.sum()), rel=1e-12)
    joints = [model.joint(joint) for joint in robot.joint_names]
    rows = [*range(6), *(int(joint.dofadr[0]) for joint in joints)]
    for _ in range(4):
        positions = anywhere(robot, rng)
        for joint, drive in zip(joints, robot.joint_names, strict=True):
            data.qpos[joint.qposadr[0]] = positions[drive]
        data.qpos[3:7] = 1.0, 0.0, 0.0, 0.0
        mujoco.mj_kinematics(model, data)
        mujoco.mj_comPos(model, data)
        mujoco.mj_crb(model, data)
        theirs = np.empty((model.nv, model.nv))
        mujoco.mj_fullM(model, data, theirs)
        ours = robot.tree.mass_matrix(positions)
        theirs = theirs[np.ix_(rows, rows)]
        size = np.sqrt(np.outer(np.diag(theirs), np.diag(theirs)))
        assert np.abs((ours - theirs) / size).max() < 1e-6


@each
@pytest.mark.parametrize("side", ["left", "right"])
def test_pinocchio_has_the_hand_where_chains_do_and_moves_it_so(name, side):
    """Pose and Jacobian of the end of an arm, by another library from the file itself."""
    robot, rng = ORIGINAL[name], np.random.default_rng(1)
    text = (ROBOTS / "g1" / name).read_text()
    bare = re.sub(
        r"<(visual|collision)>.*?</\1>", "", text, flags=re.S
    )  # it has capsules, which it does not know
    model = pinocchio.buildModelFromXML(bare)
    data = model.createData()
    names = [model.names[i] for i in range(1, model.njoints)]
    arm = [
        joint
        for joint in robot.joint_names
        if joint.startswith((f"{side}_shoulder", f"{side}_elbow", f"{side}_wrist"))
    ]
    link = next(joint.child for joint in robot.tree.joints if joint.name == f"{side}_wrist_yaw")
    chain = Chain.to(robot, arm, link)
    columns = [names.index(joint) for joint in arm]
    for _ in range(4):
        positions = dict(robot.default_pose) | {joint: anywhere(robot, rng)[joint] for joint in arm}
        angles = arranged(names, positions)
        frame = model.getFrameId(link, pinocchio.FrameType.BODY)
        pinocchio.framesForwardKinematics(model, data, angles)
        theirs = pinocchio.computeFrameJacobian(
            model, data, angles, frame, pinocchio.ReferenceFrame.LOCAL_WORLD_ALIGNED
        )
        pose, jacobian = chain.pose_and_jacobian(arranged(arm, positions))
        assert np.allclose(pose, data.oMf[frame].homogeneous, atol=1e-9)
        assert np.allclose(jacobian, theirs[:, columns], atol=1e-9)

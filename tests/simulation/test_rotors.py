"""A rotor is on its joint: M(q) = M₀(q) + diag(a), of every robot that ships, in both engines, and in what they do."""

import numpy as np
import pinocchio
import pytest

from sim2real.robots import Robot, available
from sim2real.simulation import Simulation
from sim2real.simulation.engine import ENGINES
from sim2real.simulation.readback import rotor_remainders

TICK_S = 1e-3
WHOLE = [(name, None, fixed) for name, fixed in (("g1", False), ("panda", True))] + [("g1", "hands", True)]


def test_every_robot_that_ships_is_held_to_it():
    """A robot that joins the shelf joins this test."""
    assert {name for name, *_ in WHOLE} == set(available())


def inertia_by_pinocchio(compiled, robot, positions, fixed):
    """The joint-space inertia by another library, which reads the same URDF and is told the rotors its own way."""
    free = () if fixed else (pinocchio.JointModelFreeFlyer(),)
    model = pinocchio.buildModelFromXML(compiled.urdf, *free)
    names = [model.names[i] for i in range(1, model.njoints)][0 if fixed else 1 :]
    rotors = [robot.joints[name].armature for name in names]
    model.armature = np.array([0.0] * (0 if fixed else 6) + rotors)
    angles = []
    for name in names:
        joint = model.joints[model.getJointId(name)]
        angle = positions[name]
        angles += (
            [angle] if joint.nq == 1 else [np.cos(angle), np.sin(angle)]
        )  # without limits it is a circle
    base = [] if fixed else [0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0]
    matrix = pinocchio.crba(model, model.createData(), np.array(base + angles))
    full = np.triu(matrix) + np.triu(matrix, 1).T
    rows = [model.joints[model.getJointId(name)].idx_v for name in compiled.tree.joint_names]
    return full[np.ix_([*range(0 if fixed else 6), *rows], [*range(0 if fixed else 6), *rows])]


def postures(robot, count, rng):
    """The default pose, and others within the limits."""
    yield dict(robot.default_pose)
    for _ in range(count):
        yield {
            name: float(rng.uniform(max(drive.lower, -3.0), min(drive.upper, 3.0)))
            for name, drive in robot.joints.items()
        }


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize(("name", "variant", "fixed"), WHOLE)
def test_the_engines_mass_matrix_is_pinocchios(name, variant, fixed, engine):
    """All joints and a free base's rows, over random postures: to 1e-6 of the largest element of their rows."""
    robot = Robot.load(name, variant)
    compiled = robot.compile(robot.joint_names)
    sim = Simulation(robot, robot.joint_names, fixed_base=fixed, control="torque", engine=engine)
    told = np.zeros((0, 0)) if fixed else sim.engine.principal_axes(0)
    centre_m = compiled.tree.bodies.com_m[0]
    for positions in postures(robot, 5, np.random.default_rng(0)):
        ours = sim.engine.mass_matrix([positions[joint] for joint in compiled.tree.joint_names])
        theirs = inertia_by_pinocchio(compiled, robot, positions, fixed)
        if (
            not fixed
        ):  # theirs: velocity of the origin, then spin; ours: spin, then velocity of the centre of mass
            x, y, z = centre_m
            cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
            turn = np.eye(len(ours))
            turn[:3, :3], turn[:3, 3:6] = cross @ told, told
            turn[3:6, :3], turn[3:6, 3:6] = told, 0.0
            theirs = turn.T @ theirs @ turn
        size = np.sqrt(np.outer(np.diag(theirs), np.diag(theirs)))
        assert np.abs((ours - theirs) / size).max() < 1e-6
    sim.close()


def response(sim, positions, torque_nm):
    """Accelerations (n, n) of the joints from rest, by the engine itself: a column for a torque at each joint."""
    joints = sim.joint_names
    columns = []
    for joint in range(len(joints)):
        sim.engine.restore()
        sim.engine.set_state((0.0, 0.0, 3.0), (0.0, 0.0, 0.0, 1.0), [positions[name] for name in joints])
        torques = np.zeros(len(joints))
        torques[joint] = torque_nm
        sim.engine.tick(torques.tolist())
        columns.append(sim.engine.joint_state()[1] / (TICK_S * torque_nm))
    return np.array(columns).T


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("torque_nm", [1.0, 1e-3])
@pytest.mark.parametrize(("name", "variant", "fixed"), WHOLE)
def test_a_torque_gives_the_acceleration_that_the_mass_matrix_says(name, variant, fixed, torque_nm, engine):
    """1 N m, and 1 mN m, at each joint from rest, clear of stops: M⁻¹, to 1e-6 in MuJoCo and to 0.1 % in Bullet."""
    robot = Robot.load(name, variant)
    sim = Simulation(
        robot, robot.joint_names, physics_period_s=TICK_S, control_period_s=TICK_S, fixed_base=fixed,
        control="torque", engine=engine,
    )  # fmt: skip
    for joint in robot.joint_names:
        sim.parameters.set(f"{joint}.coulomb_friction", 0.0)
        sim.parameters.set(f"{joint}.viscous_friction", 0.0)
    sim.parameters.set("gravity.z", 0.0)
    sim.reset()
    tree, rng = robot.compile(robot.joint_names).tree, np.random.default_rng(1)
    order = [tree.joint_names.index(joint) for joint in robot.joint_names]
    for _ in range(2):
        middle = {}
        for joint, drive in robot.joints.items():
            low, high = max(drive.lower, -3.0), min(drive.upper, 3.0)
            middle[joint] = float(rng.uniform(low + 0.3 * (high - low), high - 0.3 * (high - low)))
        matrix = tree.mass_matrix(middle)
        inverse = np.linalg.inv(matrix[6:, 6:] if fixed else matrix)[-len(order) :, -len(order) :]
        wanted = inverse[np.ix_(order, order)]
        size = np.sqrt(np.outer(np.diag(wanted), np.diag(wanted)))
        apart = np.abs((response(sim, middle, torque_nm) - wanted) / size)
        assert apart.max() < (1e-6 if engine == "mujoco" else 1e-3)
    sim.close()


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize(("name", "variant", "fixed"), WHOLE)
def test_what_is_told_of_each_joint_is_next_to_nothing(name, variant, fixed, engine):
    """The remainder that the doctor and the page on two simulators tell, of every joint."""
    robot = Robot.load(name, variant)
    found = rotor_remainders(robot, robot.joint_names, fixed_base=fixed, engine=engine)
    assert found.keys() == set(robot.joint_names)
    assert max(found.values()) < (1e-9 if engine == "mujoco" else 1e-4)


def test_a_joint_that_is_too_heavy_is_told(monkeypatch):
    """An engine that leaves a knee's rotor out shows in that knee, and in no joint of the other leg."""
    from sim2real.simulation.bullet import BulletEngine

    whole = BulletEngine.set_joint_armature
    monkeypatch.setattr(
        BulletEngine,
        "set_joint_armature",
        lambda self, armature: whole(self, np.r_[armature[:3], 0.0, armature[4:]]),
    )
    robot = Robot.load("g1")
    found = rotor_remainders(robot, robot.group("legs"))
    assert found["left_knee"] > 0.1
    assert max(share for joint, share in found.items() if joint.startswith("right")) < 1e-2


@pytest.mark.parametrize("engine", ENGINES)
def test_a_rotor_can_come_and_go_while_the_robot_moves(engine):
    """Where the description gives none, armature is 0 and can be set; the joint then takes as long to turn as told."""
    robot = Robot.load("g1")
    joints = robot.group("legs")
    sim = Simulation(
        robot, joints, physics_period_s=TICK_S, control_period_s=TICK_S, control="torque", engine=engine
    )
    for joint in joints:
        sim.parameters.set(f"{joint}.armature", 0.0)
    sim.parameters.set("gravity.z", 0.0)
    tree = robot.compile(joints).tree
    bare = tree.mass_matrix(robot.default_pose) - np.diag([0.0] * 6 + [j.armature for j in tree.joints])
    for rotor in (0.0, 0.05, 0.0):
        sim.parameters.set("left_knee.armature", rotor)
        sim.reset()
        sim.engine.set_state((0.0, 0.0, 3.0), (0.0, 0.0, 0.0, 1.0), sim.default_pose.tolist())
        torques = np.zeros(len(joints))
        torques[joints.index("left_knee")] = 1.0
        sim.engine.tick(torques.tolist())
        matrix, knee = bare.copy(), 6 + tree.joint_names.index("left_knee")
        matrix[knee, knee] += rotor
        wanted = np.linalg.inv(matrix)[knee, knee]
        got = sim.engine.joint_state()[1][joints.index("left_knee")] / TICK_S
        assert got == pytest.approx(wanted, rel=1e-3)
    sim.close()

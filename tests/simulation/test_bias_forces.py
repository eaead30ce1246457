"""What the engine says of its own equations of motion, M q̈ + h = τ."""

from itertools import product

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from sim2real import Robot
from sim2real.linktree import pose_of
from sim2real.simulation.engine import ENGINES, make_engine

DT = 1e-6
TILT = pose_of(rpy=(0.3, -0.4, 0.5))[:3, :3]
QUATERNION = Rotation.from_matrix(TILT).as_quat()
SPIN_RAD_S = np.array((1.0, -0.7, 0.4))


@pytest.fixture(
    params=product(ENGINES, (True, False)), ids=lambda param: f"{param[0]}-{'held' if param[1] else 'free'}"
)
def legs(request):
    """A G1 in the air at a random posture and speed, askew."""
    robot = Robot.load("g1")
    names = robot.group("legs")
    rng = np.random.default_rng(0)
    position = np.array([robot.default_pose[name] for name in names]) + 0.05 * rng.normal(size=12)
    velocity = 2.0 * rng.normal(size=12)
    name, held = request.param
    engine = make_engine(name, DT)
    engine.load(
        robot.compile(names).urdf, joint_names=names, base_position_m=(0, 0, 3), joint_position=position,
        fixed_base=held,
    )  # fmt: skip
    engine.set_state((0, 0, 3), QUATERNION, position, velocity)
    if not held:
        engine.add_base_velocity((0.3, 0.1, -0.5), SPIN_RAD_S)
    yield engine, held, position, velocity
    engine.close()


def test_mass_matrix_and_bias_forces_give_the_acceleration(legs):
    """Joints without torque accelerate by what solves M q̈ = −h, base held or free, whatever its attitude."""
    engine, held, position, velocity = legs
    spin = np.zeros(3) if held else TILT.T @ SPIN_RAD_S
    bias = engine.bias_forces(position, velocity, gravity_m_s2=TILT.T @ (0, 0, -9.81), spin_rad_s=spin)
    foreseen = np.linalg.solve(engine.mass_matrix(position), -bias)[-12:]
    engine.tick([0.0] * 12)
    happened = (engine.joint_state()[1] - velocity) / DT
    np.testing.assert_allclose(happened, foreseen, rtol=1e-4, atol=1e-3)
    assert np.abs(happened).max() > 10.0


def test_asking_for_bias_forces_changes_nothing(legs):
    """Gravity is what it was: the next tick is the same with and without the question."""
    engine, _, position, velocity = legs
    engine.set_gravity((0.0, 0.0, -9.81))
    ends = []
    for asked in (False, True):
        engine.set_state((0, 0, 3), QUATERNION, position, velocity)
        if asked:
            engine.bias_forces(position, velocity, gravity_m_s2=(1.0, 2.0, 3.0))
        engine.tick([0.0] * 12)
        ends.append(np.concatenate([*engine.joint_state(), engine.base_velocity()[0]]))
    np.testing.assert_array_equal(*ends)

"""Whether an engine moves a robot as its description says: the joints' inertias, read back from what it does."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from sim2real.robots import Robot
from sim2real.simulation.simulation import Simulation

TICK_S = 1e-3
HEIGHT_M = 3.0


def rotor_remainders(
    robot: Robot, joints: Sequence[str], *, fixed_base: bool = False, engine: str = "bullet"
) -> dict[str, float]:
    """Return for each joint by what share its acceleration under a torque is not that of M₀(q) + diag(armature).

    From rest in the default pose, each joint a tenth of its range away from its stops at least, in the air and
    without gravity and friction: a tick of 1 N m (1 N where it slides, less where that would make it faster than
    1 rad/s). The mass matrix is that of the compiled description, by the composite-rigid-body algorithm, which
    shares nothing with either engine.
    """
    sim = Simulation(
        robot, joints, physics_period_s=TICK_S, control_period_s=TICK_S, control="torque",
        fixed_base=fixed_base, engine=engine,
    )  # fmt: skip
    try:
        for joint in joints:
            sim.parameters.set(f"{joint}.coulomb_friction", 0.0)
            sim.parameters.set(f"{joint}.viscous_friction", 0.0)
        sim.parameters.set("gravity.z", 0.0)
        sim.reset()
        tree, room = robot.compile(joints).tree, 0.1 * np.minimum(sim.upper_rad - sim.lower_rad, 1.0)
        posture = np.clip(sim.default_pose, sim.lower_rad + room, sim.upper_rad - room)
        matrix = tree.mass_matrix(dict(zip(joints, posture.tolist(), strict=True)))
        inverse = np.linalg.inv(matrix[6:, 6:] if fixed_base else matrix)[-len(joints) :, -len(joints) :]
        wanted = np.diag(inverse)[[tree.joint_names.index(joint) for joint in joints]]
        torques: NDArray[np.float64] = np.minimum(1.0, 1.0 / (wanted * TICK_S))
        found = {}
        for i, joint in enumerate(joints):
            sim.engine.restore()
            sim.engine.set_state((0.0, 0.0, HEIGHT_M), (0.0, 0.0, 0.0, 1.0), posture.tolist())
            sim.engine.tick(np.where(np.arange(len(joints)) == i, torques, 0.0).tolist())
            speed = sim.engine.joint_state()[1][i]
            found[joint] = abs(float(speed / (TICK_S * torques[i] * wanted[i])) - 1.0)
        return found
    finally:
        sim.close()

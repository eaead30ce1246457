"""Stand: stay upright and in place, whatever happens."""

import math

from sim2real.robots import Robot
from sim2real.tasks.task import Array, Task, sum_of_squares


class Stand(Task):
    """Keep standing. Success is an episode without a fall."""

    REWARDS = {
        "alive": 1.0,  # every step
        "stability": -2.0,  # sine squared of the tilt
        "stillness": -0.5,  # squared speed of the base over the ground
        "posture": -0.2,  # squared distance of the joints from the default pose
        "energy": -2e-4,  # mechanical power
        "smoothness": -0.1,  # squared change of the joint targets
    }

    @staticmethod
    def joints(robot: Robot) -> tuple[str, ...]:
        """Return the leg joints."""
        return robot.group("legs")

    def reset(self) -> None:
        """Start the episode's sums."""
        self._max_tilt_rad = self._max_drift_m = 0.0
        self._energy_before_j = 0.0

    def rewards(self, target_change: Array) -> dict[str, float]:
        """Return the weighted terms of one control step."""
        sim, weights = self.sim, self.weights
        upright = min(self.uprightness, 1.0)
        x, y, _ = sim.base_position_m
        vx, vy, _ = sim.base_velocity_m_s
        self._max_tilt_rad = max(self._max_tilt_rad, math.acos(max(upright, -1.0)))
        self._max_drift_m = max(self._max_drift_m, math.hypot(x, y))
        bent = sim.joint_position_rad - sim.default_pose
        power_w = (sim.energy_j - self._energy_before_j) / sim.control_period_s
        self._energy_before_j = sim.energy_j
        return {
            "alive": weights["alive"],
            "stability": weights["stability"] * (1.0 - upright * upright),
            "stillness": weights["stillness"] * (vx * vx + vy * vy),
            "posture": weights["posture"] * sum_of_squares(bent),
            "energy": weights["energy"] * power_w,
            "smoothness": weights["smoothness"] * sum_of_squares(target_change),
        }

    def succeeded(self) -> bool:
        """Whoever stands to the end has succeeded."""
        return True

    def metrics(self) -> dict[str, float]:
        """Return how far the base tilted and drifted, and what it cost."""
        return {
            "max_tilt_rad": self._max_tilt_rad,
            "max_drift_m": self._max_drift_m,
            "energy_j": self.sim.energy_j,
        }

"""Walk: follow a velocity command, stepping to a gait clock."""

import math
from collections.abc import Mapping
from functools import partial

import numpy as np
from numpy.typing import NDArray

from sim2real.perturb.parameters import Parameter
from sim2real.robots import Robot
from sim2real.simulation import Simulation
from sim2real.tasks.task import Array, Task, sum_of_squares

STANCE = 0.55
"""Part of the gait cycle a foot is meant to be down (unitree_rl_gym's G1)."""

SWING_HEIGHT_M = 0.08
"""Highest point of the reference swing (unitree_rl_gym's G1)."""

TOLERANCE_M_S = 0.2
"""Largest difference between commanded and mean achieved velocity of an episode that counts as success."""


class Walk(Task):
    """Walk at a commanded velocity (forward and lateral in the robot's heading, and yaw rate).

    Success is an episode without a fall whose mean velocity lies within ``TOLERANCE_M_S`` of the command: standing
    still is not walking. The command is made of parameters (``command.velocity_x`` …), so a command distribution
    is a perturbation like any other: ``set_to("parameter:command.velocity_x", Uniform(0, 0.8))``.

    Args:
        sim: the simulation.
        weights: reward weights to replace.
        command: nominal (forward m/s, lateral m/s, yaw rate rad/s).
        gait_period_s: period of the gait clock; the feet are half a period apart.
    """

    REWARDS = {
        "alive": 0.15,
        "tracking": 2.0,  # exp(−squared velocity error / 0.1)
        "yaw_tracking": 0.5,  # exp(−squared yaw rate error / 0.25)
        "forward_velocity": 0.5,  # velocity along the command, up to the command
        "stability": -1.0,  # sine squared of the tilt, and 0.05 × squared roll and pitch rates
        "height": -10.0,  # squared distance from the standing height above the ground
        "energy": -5e-4,  # mechanical power
        "smoothness": -0.1,  # squared change of the joint targets
        "gait": 0.6,  # feet down and up as the clock says, −1 to 1
        "foot_height": 2.0,  # exp(−squared distance from the reference heights / 0.002)
    }
    EXTRA_TERMS = {"command": 3, "gait_phase": 2}

    def __init__(
        self,
        sim: Simulation,
        weights: Mapping[str, float] | None = None,
        *,
        command: tuple[float, float, float] = (0.5, 0.0, 0.0),
        gait_period_s: float = 0.8,
    ) -> None:
        super().__init__(sim, weights)
        self.gait_period_s = gait_period_s
        self._command = [float(c) for c in command]
        self._standing_foot_height_m = [position[2] for position, _, _ in sim.engine.link_states(sim.feet)]
        rows = (
            ("velocity_x", "m/s", 10.0, "Commanded forward velocity."),
            ("velocity_y", "m/s", 10.0, "Commanded lateral velocity, positive to the left."),
            ("yaw_rate", "rad/s", 10.0, "Commanded yaw rate, positive to the left."),
        )
        for i, (name, unit, bound, doc) in enumerate(rows):
            spec = Parameter(nominal=self._command[i], unit=unit, low=-bound, high=bound, doc=doc)
            sim.parameters.add(f"command.{name}", spec, partial(self._command.__setitem__, i))

    @staticmethod
    def joints(robot: Robot) -> tuple[str, ...]:
        """Return the leg joints."""
        return robot.group("legs")

    def reset(self) -> None:
        """Start the episode's sums."""
        self._steps = 0
        self._sum_velocity = [0.0, 0.0, 0.0]
        self._sum_error = self._sum_command_x = self._sum_command_y = 0.0
        self._travelled_m = self._energy_before_j = self._max_tilt_rad = 0.0
        self._flight = 0

    def observe(self, terms: Mapping[str, NDArray[np.float32]]) -> None:
        """Write command and gait clock."""
        terms["command"][:] = self._command
        phase = 2.0 * math.pi * (self.sim.time_s / self.gait_period_s)
        terms["gait_phase"][:] = math.sin(phase), math.cos(phase)

    def rewards(self, target_change: Array) -> dict[str, float]:
        """Return the weighted terms of one control step."""
        sim, weights = self.sim, self.weights
        (cos_yaw, _, _), (sin_yaw, _, _), _ = sim.base_in_world
        size = math.hypot(cos_yaw, sin_yaw) or 1.0
        cos_yaw, sin_yaw = cos_yaw / size, sin_yaw / size
        vx, vy, _ = sim.base_velocity_m_s
        forward, left = cos_yaw * vx + sin_yaw * vy, cos_yaw * vy - sin_yaw * vx
        roll_rate, pitch_rate, yaw_rate = sim.base_angular_velocity_rad_s
        want_forward, want_left, want_yaw_rate = self._command
        error = (forward - want_forward) ** 2 + (left - want_left) ** 2
        wanted = math.hypot(want_forward, want_left)
        along = (forward * want_forward + left * want_left) / wanted if wanted > 0.0 else 0.0
        upright = min(self.uprightness, 1.0)
        power_w = (sim.energy_j - self._energy_before_j) / sim.control_period_s

        self._steps += 1
        self._energy_before_j = sim.energy_j
        self._max_tilt_rad = max(self._max_tilt_rad, math.acos(max(upright, -1.0)))
        self._sum_error += math.sqrt(error)
        self._sum_velocity[0] += forward
        self._sum_velocity[1] += left
        self._sum_velocity[2] += yaw_rate
        self._sum_command_x += want_forward
        self._sum_command_y += want_left

        gait, height_error = self._gait()
        return {
            "alive": weights["alive"],
            "tracking": weights["tracking"] * math.exp(-error / 0.1),
            "yaw_tracking": weights["yaw_tracking"] * math.exp(-((yaw_rate - want_yaw_rate) ** 2) / 0.25),
            "forward_velocity": weights["forward_velocity"] * min(along, wanted),
            "stability": weights["stability"]
            * (1.0 - upright * upright + 0.05 * (roll_rate * roll_rate + pitch_rate * pitch_rate)),
            "height": weights["height"] * (sim.clearance_m - sim.base_height_m) ** 2,
            "energy": weights["energy"] * power_w,
            "smoothness": weights["smoothness"] * sum_of_squares(target_change),
            "gait": weights["gait"] * gait,
            "foot_height": weights["foot_height"] * math.exp(-height_error / 0.002),
        }

    def _gait(self) -> tuple[float, float]:
        """Return agreement of the feet with the clock (−1 to 1), and the squared foot height error (m²)."""
        sim = self.sim
        down = {link for link, force_n in sim.ground_contacts if force_n > 1.0}
        agreement = height_error = 0.0
        cycle = sim.time_s / self.gait_period_s
        n_feet = len(sim.feet)
        if down.isdisjoint(sim.feet):
            self._flight += 1
        for i, (foot, ((x, y, z), _, _)) in enumerate(zip(sim.feet, sim.foot_states, strict=True)):
            phase = (cycle + i / n_feet) % 1.0
            stance = phase < STANCE
            agreement += 1.0 if (foot in down) == stance else -1.0
            reference_m = 0.0
            if not stance:
                reference_m = SWING_HEIGHT_M * math.sin(math.pi * (phase - STANCE) / (1.0 - STANCE))
            height_m = z - sim.terrain.height_m(x, y)
            height_error += (height_m - self._standing_foot_height_m[i] - reference_m) ** 2
        return agreement / n_feet, height_error

    @property
    def _mean_velocity_error_m_s(self) -> float:
        n = max(self._steps, 1)
        return (
            math.hypot(
                self._sum_velocity[0] - self._sum_command_x, self._sum_velocity[1] - self._sum_command_y
            )
            / n
        )

    def succeeded(self) -> bool:
        """Whoever kept the commanded velocity on average has succeeded."""
        return self._mean_velocity_error_m_s <= TOLERANCE_M_S

    def metrics(self) -> dict[str, float]:
        """Return how far, how well and at what cost the robot walked."""
        sim, n = self.sim, max(self._steps, 1)
        x, y, _ = sim.base_position_m
        return {
            "distance_m": x,
            "lateral_m": y,
            "velocity_x_m_s": self._sum_velocity[0] / n,
            "velocity_y_m_s": self._sum_velocity[1] / n,
            "yaw_rate_rad_s": self._sum_velocity[2] / n,
            "velocity_error_m_s": self._mean_velocity_error_m_s,
            "tracking_error_m_s": self._sum_error / n,
            "flight_fraction": self._flight / n,
            "max_tilt_rad": self._max_tilt_rad,
            "energy_j": sim.energy_j,
        }

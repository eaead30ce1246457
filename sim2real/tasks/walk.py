"""Walk: follow a velocity command, stepping to a gait clock."""

import math
from collections.abc import Mapping
from functools import partial

import numpy as np
from numpy.typing import NDArray

from sim2real.perturb.parameters import Parameter
from sim2real.robots import Robot
from sim2real.simulation import Simulation
from sim2real.tasks.gait import Gait
from sim2real.tasks.task import Array, Task, sum_of_squares

SWING_HEIGHT_M = 0.08
"""Highest point of the reference swing (unitree_rl_gym's G1)."""

APART_M = 0.15
"""Feet nearer to each other than this, across the heading, would strike each other (holosoma's G1); nothing here stops
legs that cross."""

TOLERANCE_M_S = 0.2
"""Largest difference between commanded and mean achieved velocity of an episode that counts as success."""

TOLERANCE_RAD_S = 0.3
"""The same of the yaw rate, for the reward alone."""


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
        "alive": 0.15,  # every step
        "tracking": 2.0,  # exp(−(velocity error / `TOLERANCE_M_S`)²), of the mean over about a gait cycle
        "yaw_tracking": 0.5,  # exp(−(yaw rate error / `TOLERANCE_RAD_S`)²), likewise
        "forward_velocity": 0.5,  # velocity along the command, up to the command
        "sway": -8.0,  # squared difference of the velocity from its mean over about a gait cycle
        "stability": -1.0,  # sine squared of the tilt, and 0.05 × squared roll and pitch rates
        "height": -10.0,  # squared distance from the standing height above the ground
        "energy": -5e-4,  # mechanical power
        "smoothness": -0.1,  # squared change of the joint targets
        "gait": 0.6,  # feet down and up as the clock says, −1 to 1
        "foot_height": 2.0,  # exp(−squared distance from the reference heights / 0.002)
        "feet_apart": -2.0,  # share of `APART_M` by which the feet are nearer to each other
    }
    EXTRA_TERMS = {"command": 3, "gait_phase": 2}
    STANCE = 0.55
    """Part of the gait cycle a foot is meant to be down (unitree_rl_gym's G1)."""

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
        standing = [position for position, _, _ in sim.engine.link_states(sim.feet)]
        self._standing_foot_height_m = [height_m for _, _, height_m in standing]
        self._outward = math.copysign(1.0, standing[0][1] - standing[-1][1])  # of the first foot, to the left
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
        self._error: tuple[float, ...] = (0.0, 0.0, 0.0)
        self._sum_error = self._sum_command_x = self._sum_command_y = 0.0
        self._travelled_m = self._energy_before_j = self._max_tilt_rad = 0.0
        self._least_apart_m = math.inf
        self._gait = Gait(len(self.sim.feet), self.sim.control_period_s)

    def observe(self, terms: Mapping[str, NDArray[np.float32]]) -> None:
        """Write command and gait clock."""
        terms["command"][:] = self._command
        phase = 2.0 * math.pi * (self.sim.time_s / self.gait_period_s)
        terms["gait_phase"][:] = math.sin(phase), math.cos(phase)

    def rewards(self, target_change: Array) -> dict[str, float]:
        """Return the weighted terms of one control step."""
        sim, weights = self.sim, self.weights
        cos_yaw, sin_yaw = sim.heading
        vx, vy, _ = sim.base_velocity_m_s
        forward, left = cos_yaw * vx + sin_yaw * vy, cos_yaw * vy - sin_yaw * vx
        roll_rate, pitch_rate, yaw_rate = sim.base_angular_velocity_rad_s
        want_forward, want_left, want_yaw_rate = self._command
        errors = forward - want_forward, left - want_left, yaw_rate - want_yaw_rate
        # A robot sways at every step; what counts is where it goes.
        share = sim.control_period_s / self.gait_period_s
        self._error = tuple(e + share * (new - e) for e, new in zip(self._error, errors, strict=True))
        error_forward, error_left, error_yaw = self._error
        error = math.hypot(error_forward, error_left) / TOLERANCE_M_S
        sway = (errors[0] - error_forward) ** 2 + (errors[1] - error_left) ** 2
        wanted = math.hypot(want_forward, want_left)
        along = (forward * want_forward + left * want_left) / wanted if wanted > 0.0 else 0.0
        upright = min(self.uprightness, 1.0)
        power_w = (sim.energy_j - self._energy_before_j) / sim.control_period_s

        self._steps += 1
        self._energy_before_j = sim.energy_j
        self._max_tilt_rad = max(self._max_tilt_rad, math.acos(max(upright, -1.0)))
        self._sum_error += math.hypot(*errors[:2])
        self._sum_velocity[0] += forward
        self._sum_velocity[1] += left
        self._sum_velocity[2] += yaw_rate
        self._sum_command_x += want_forward
        self._sum_command_y += want_left

        gait, height_error = self._clocked()
        near = max(0.0, 1.0 - self._feet_apart_m(cos_yaw, sin_yaw) / APART_M)
        return {
            "alive": weights["alive"],
            "tracking": weights["tracking"] * math.exp(-error * error),
            "yaw_tracking": weights["yaw_tracking"] * math.exp(-((error_yaw / TOLERANCE_RAD_S) ** 2)),
            "forward_velocity": weights["forward_velocity"] * min(along, wanted),
            "sway": weights["sway"] * sway,
            "stability": weights["stability"]
            * (1.0 - upright * upright + 0.05 * (roll_rate * roll_rate + pitch_rate * pitch_rate)),
            "height": weights["height"] * (sim.clearance_m - sim.base_height_m) ** 2,
            "energy": weights["energy"] * power_w,
            "smoothness": weights["smoothness"] * sum_of_squares(target_change),
            "gait": weights["gait"] * gait,
            "foot_height": weights["foot_height"] * math.exp(-height_error / 0.002),
            "feet_apart": weights["feet_apart"] * near,
        }

    def _clocked(self) -> tuple[float, float]:
        """Return agreement of the feet with the clock (−1 to 1), and the squared foot height error (m²)."""
        sim = self.sim
        touching = {link for link, force_n in sim.ground_contacts if force_n > 1.0}
        down = [foot in touching for foot in sim.feet]
        height_m = [
            z - sim.terrain.height_m(x, y) - standing_m
            for ((x, y, z), _, _), standing_m in zip(
                sim.foot_states, self._standing_foot_height_m, strict=True
            )
        ]
        self._gait.observe(down, height_m, [velocity_m_s for _, _, velocity_m_s in sim.foot_states])

        cycle, n_feet = sim.time_s / self.gait_period_s, len(down)
        agreement = height_error = 0.0
        for i in range(n_feet):
            phase = (cycle + i / n_feet) % 1.0
            stance = phase < self.STANCE
            agreement += 1.0 if down[i] == stance else -1.0
            reference_m = 0.0
            if not stance:
                reference_m = SWING_HEIGHT_M * math.sin(math.pi * (phase - self.STANCE) / (1.0 - self.STANCE))
            height_error += (height_m[i] - reference_m) ** 2
        return agreement / n_feet, height_error

    def _feet_apart_m(self, cos_yaw: float, sin_yaw: float) -> float:
        """Return how far apart the first and the last foot are across the heading, negative where legs cross."""
        ((x, y, _), _, _), *_, ((other_x, other_y, _), _, _) = self.sim.foot_states
        apart_m = self._outward * (cos_yaw * (y - other_y) - sin_yaw * (x - other_x))
        self._least_apart_m = min(self._least_apart_m, apart_m)
        return apart_m

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
            **self._gait.metrics(),
            "feet_apart_m": self._least_apart_m if self._steps else 0.0,
            "max_tilt_rad": self._max_tilt_rad,
            "energy_j": sim.energy_j,
        }

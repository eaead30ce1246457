"""A classical controller for walking: feet put down to a clock by inverse kinematics, where balance wants them.

Foot placement and stance feedback are linear in tilt and velocity, as in SIMBICON (Yin et al. 2007,
doi:10.1145/1276377.1276509) and Raibert's hoppers; the gains were found by CMA-ES (studies/training/gait.py).
They are those of standing and those of walking at `FULL_M_S`, and in between a mixture. It knows the true velocity of
the base, which no robot does: a teacher, and a yardstick for policies that are learnt.
"""

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from sim2real.errors import Sim2RealError, nearest

Array = NDArray[np.float64]

JOINTS = ("hip_pitch", "hip_roll", "hip_yaw", "knee", "ankle_pitch", "ankle_roll")
SIDES = (("left", 1.0), ("right", -1.0))
PLACED = 0.87
"""Part of its swing after which a foot is above where it comes down."""


FULL_M_S = 0.8
"""Commanded forward velocity from which on it walks by the gains of walking alone."""
ACCELERATION_M_S2 = 0.5
"""Greatest change of the velocity that is aimed at."""


class Gains(NamedTuple):
    """What there is to tune: feedback is of tilt (rad), its rate (rad/s), and of speed beyond the command (m/s)."""

    height_m: float  # of the hip above the ankle
    lift_m: float  # of a swinging foot
    push_m: float  # by which a stance leg is longer in its middle
    inward_m: float  # by which feet are nearer to each other than hips
    near_m: float  # by which a foot that comes down may be nearer to the other one than usual
    ahead_m: float  # of a foot that comes down
    sway_m: float  # of the hips over the feet
    sway_phase: float
    lead: float  # what is aimed at, as a share of the commanded forward velocity
    lead_left: float
    lean_rad: float  # forward
    stride: float  # of the one aimed at
    turn: float
    place_forward_s: float  # further out, per m/s too fast
    place_forward_m: float  # ... per rad of pitch
    place_left_s: float
    place_left_m: float
    hip_pitch: float  # of the stance hip, per rad of pitch
    hip_pitch_s: float  # ... per rad/s
    hip_roll: float
    hip_roll_s: float
    hip_out_rad: float
    ankle_pitch: float
    ankle_pitch_s: float
    ankle_pitch_s_m: float  # rad per m/s too fast
    ankle_roll: float
    ankle_roll_s: float
    ankle_roll_s_m: float


SLOW = Gains(
    height_m=0.646, lift_m=0.1078, push_m=0.016, inward_m=0.0839, near_m=0.0929, ahead_m=0.0195, sway_m=-0.1075,
    sway_phase=-0.0239, lead=0.9217, lead_left=0.8974, lean_rad=0.0274, stride=0.5138, turn=0.9419,
    place_forward_s=0.3804, place_forward_m=-0.199, place_left_s=0.3546, place_left_m=0.462, hip_pitch=0.5607,
    hip_pitch_s=0.3372, hip_roll=2.0349, hip_roll_s=0.3935, hip_out_rad=0.314, ankle_pitch=0.9306,
    ankle_pitch_s=0.2928, ankle_pitch_s_m=1.1804, ankle_roll=0.3596, ankle_roll_s=0.0181,
    ankle_roll_s_m=-0.6554,
)  # fmt: skip
FAST = Gains(
    height_m=0.6296, lift_m=0.0982, push_m=0.0131, inward_m=0.1095, near_m=0.0697, ahead_m=-0.0528,
    sway_m=-0.1214, sway_phase=-0.0054, lead=0.771, lead_left=0.951, lean_rad=0.0398, stride=0.7647,
    turn=0.5883, place_forward_s=0.4121, place_forward_m=-0.1921, place_left_s=0.3592, place_left_m=0.3242,
    hip_pitch=0.709, hip_pitch_s=0.4396, hip_roll=2.0614, hip_roll_s=0.4501, hip_out_rad=0.4031,
    ankle_pitch=1.2068, ankle_pitch_s=0.2705, ankle_pitch_s_m=1.3238, ankle_roll=1.016, ankle_roll_s=0.0526,
    ankle_roll_s_m=-0.8202,
)  # fmt: skip


class gait:  # a factory, named like its neighbours
    """The scripted walker of a humanoid whose legs have six joints each.

    Args:
        env: this package's Walk, under position control.
        slow: of `Gains`, to replace in `SLOW`.
        fast: likewise, in `FAST`.

    Raises:
        Sim2RealError: an environment of another kind, or a gain that there is not.
    """

    def __init__(
        self, env: Any, *, slow: Mapping[str, float] | None = None, fast: Mapping[str, float] | None = None
    ) -> None:
        robot = env.unwrapped
        names = [f"{side}_{joint}" for side, _ in SIDES for joint in JOINTS]
        if getattr(robot, "control", None) != "position" or set(robot.joint_names) != set(names):
            raise Sim2RealError(f"'gait' walks on joint targets of {', '.join(JOINTS)} of two legs only.")
        for name in (*(slow or ()), *(fast or ())):
            if name not in Gains._fields:
                raise Sim2RealError(f"'gait' has no gain '{name}'.{nearest(name, Gains._fields)}")
        self._slow, self._fast = SLOW._replace(**slow or {}), FAST._replace(**fast or {})
        self._sim, self._stance = robot.sim, robot.task.STANCE
        self._period_s = robot.gait_period_s
        self._command, self._clock = (robot.observation_terms[name] for name in ("command", "gait_phase"))
        self._order = [names.index(joint) for joint in robot.joint_names]
        self._unit, self._zero = np.array(robot.action_scale), np.array(robot.action_offset)
        tree = robot.sim.robot.tree
        poses = tree.link_poses(dict(zip(robot.joint_names, robot.default_pose, strict=True)))
        at = {joint.name: poses[tree.index[joint.child]][:3, 3] for joint in tree.joints}
        hip, knee, ankle = (at[f"left_{joint}"][[0, 2]] for joint in ("hip_pitch", "knee", "ankle_pitch"))
        self._drop_m = float(at["left_hip_pitch"][2] - at["left_hip_roll"][2])
        self._thigh_m, self._shank_m = float(np.hypot(*(knee - hip))), float(np.hypot(*(ankle - knee)))
        self.reset()

    def reset(self, seed: int | None = None) -> None:
        """Stand with the feet side by side."""
        self._aim_m_s = [0.0, 0.0]
        self._gains = self._slow
        self._standing = [True, True]
        self._from = [(0.0, 0.0, 0.0)] * 2  # where the foot was at the beginning of its stance or swing
        self._at = [(0.0, 0.0, 0.0)] * 2  # forward (m), left (m) and turned left (rad), relative to its hip

    def __call__(self, observation: Array) -> Array:
        """Return the next action."""
        *wanted, want_turn = observation[self._command].tolist()
        self._accelerate(wanted)
        g = self._gains
        want_forward, want_left = g.lead * self._aim_m_s[0], g.lead_left * self._aim_m_s[1]
        sine, cosine = observation[self._clock].tolist()
        clock = math.atan2(sine, cosine) / (2.0 * math.pi)
        pitch, roll, pitch_rate, roll_rate, forward, left = self._state()
        pitch -= g.lean_rad
        too_fast, too_left = forward - want_forward, left - want_left
        sway_m = g.sway_m * math.sin(2.0 * math.pi * (clock + g.sway_phase))
        targets: list[float] = []
        before = tuple(self._at)
        for i, (_, outward) in enumerate(SIDES):
            phase = (clock + 0.5 * i) % 1.0
            standing = phase < self._stance
            if standing != self._standing[i]:
                self._standing[i], self._from[i] = standing, self._at[i]
            x, y, yaw = self._from[i]
            if standing:
                part, since_s = phase / self._stance, phase * self._period_s
                x -= g.stride * want_forward * since_s
                y -= want_left * since_s
                yaw -= g.turn * want_turn * since_s
                z = -g.height_m - g.push_m * math.sin(math.pi * part)
            else:
                part = (phase - self._stance) / (1.0 - self._stance)
                half_s = 0.5 * self._stance * self._period_s
                ahead = g.ahead_m + g.stride * want_forward * half_s
                ahead += g.place_forward_s * too_fast + g.place_forward_m * pitch
                aside = want_left * half_s + g.place_left_s * too_left + g.place_left_m * roll
                other = before[1 - i][1]
                aside = other + outward * max(outward * (aside - other), -g.near_m)
                done = 0.5 - 0.5 * math.cos(math.pi * min(1.0, part / PLACED))
                x += done * (ahead - x)
                y += done * (aside - y)
                yaw += done * (g.turn * want_turn * half_s - yaw)
                z = -g.height_m + g.lift_m * math.sin(math.pi * part)
            self._at[i] = x, y, yaw
            hip_pitch, hip_roll, knee, ankle_pitch, ankle_roll = self._leg(
                x, y + sway_m - outward * g.inward_m, z
            )
            if standing:
                firm = min(1.0, 4.0 * part, 4.0 * (1.0 - part))  # while the weight is on it
                hip_pitch += firm * (g.hip_pitch * pitch + g.hip_pitch_s * pitch_rate)
                hip_roll += firm * (g.hip_roll * roll + g.hip_roll_s * roll_rate + outward * g.hip_out_rad)
                ankle_pitch += firm * (
                    g.ankle_pitch * pitch + g.ankle_pitch_s * pitch_rate + g.ankle_pitch_s_m * too_fast
                )
                ankle_roll += firm * (
                    g.ankle_roll * roll + g.ankle_roll_s * roll_rate + g.ankle_roll_s_m * too_left
                )
            else:  # as if the base were level
                hip_pitch -= pitch
                hip_roll -= roll
            targets += [hip_pitch, hip_roll, yaw, knee, ankle_pitch, ankle_roll]
        action: Array = (np.array(targets)[self._order] - self._zero) / self._unit
        return action.clip(-1.0, 1.0)

    def _accelerate(self, wanted: list[float]) -> None:
        """Aim at a velocity nearer to the commanded one, by the gains of that speed."""
        most = ACCELERATION_M_S2 * self._sim.control_period_s
        aim = [a + max(-most, min(most, want - a)) for a, want in zip(self._aim_m_s, wanted, strict=True)]
        if aim[0] != self._aim_m_s[0]:
            share = min(1.0, abs(aim[0]) / FULL_M_S)
            self._gains = Gains(
                *(slow + share * (fast - slow) for slow, fast in zip(self._slow, self._fast, strict=True))
            )
        self._aim_m_s = aim

    def _state(self) -> tuple[float, float, float, float, float, float]:
        """Return pitch, roll, their rates, and forward and left velocity, in the frame of the heading."""
        cos_yaw, sin_yaw = self._sim.heading
        (_, _, up_x), (_, _, up_y), (_, _, up_z) = self._sim.base_in_world
        (vx, vy, _), (wx, wy, _) = self._sim.base_velocity_m_s, self._sim.base_angular_velocity_rad_s
        return (
            math.atan2(cos_yaw * up_x + sin_yaw * up_y, up_z),
            -math.atan2(cos_yaw * up_y - sin_yaw * up_x, up_z),
            cos_yaw * wy - sin_yaw * wx,
            cos_yaw * wx + sin_yaw * wy,
            cos_yaw * vx + sin_yaw * vy,
            cos_yaw * vy - sin_yaw * vx,
        )

    def _leg(self, x: float, y: float, z: float) -> tuple[float, float, float, float, float]:
        """Return hip pitch and roll, knee, ankle pitch and roll that put a level foot near (x, y, z) from the hip."""
        thigh, shank = self._thigh_m, self._shank_m
        below = -z - self._drop_m
        down = self._drop_m + math.hypot(y, below)
        length = min(math.hypot(x, down), thigh + shank - 1e-4)
        knee = math.pi - math.acos(_cosine((thigh**2 + shank**2 - length**2) / (2.0 * thigh * shank)))
        lifted = math.atan2(x, down) + math.acos(
            _cosine((thigh**2 + length**2 - shank**2) / (2.0 * thigh * length))
        )
        roll = math.atan2(y, below)
        return -lifted, roll, knee, lifted - knee, -roll


def _cosine(value: float) -> float:
    return max(-1.0, min(1.0, value))

"""How feet are set: what tells walking from shuffling, hopping and sliding."""

import math
from collections.abc import Sequence

SWING_M = 0.01
"""A foot that rose at least so far above where it stands has swung; less is a shuffle."""


class Gait:
    """Counts an episode's footfalls, one control step after the other.

    A *step* is the landing of a foot that has swung, i.e. rose `SWING_M` or more.

    Args:
        n_feet: how many feet there are.
        control_period_s: time between two observations.
    """

    def __init__(self, n_feet: int, control_period_s: float) -> None:
        self._control_period_s = control_period_s
        self._rise_m = [0.0] * n_feet
        self._stance = [0] * n_feet
        self._observed = self._partly = self._flight = 0
        self._steps = self._alternating = 0
        self._last: int | None = None
        self._sum_clearance_m = self._sum_slip_m_s = 0.0

    def observe(
        self,
        down: Sequence[bool],
        height_m: Sequence[float],
        velocity_m_s: Sequence[tuple[float, float, float]],
    ) -> None:
        """Take note of one control step.

        Args:
            down: (feet) whether it touches the ground.
            height_m: (feet) above where it is when the robot stands.
            velocity_m_s: (feet) in the world.
        """
        self._observed += 1
        n_down = sum(down)
        self._flight += n_down == 0
        self._partly += 0 < n_down < len(down)
        for foot, (touches, risen_m, (vx, vy, _)) in enumerate(
            zip(down, height_m, velocity_m_s, strict=True)
        ):
            if not touches:
                self._rise_m[foot] = max(self._rise_m[foot], risen_m)
                continue
            self._stance[foot] += 1
            self._sum_slip_m_s += math.hypot(vx, vy)
            if self._rise_m[foot] >= SWING_M:
                self._steps += 1
                self._alternating += self._last is not None and self._last != foot
                self._sum_clearance_m += self._rise_m[foot]
                self._last = foot
            self._rise_m[foot] = 0.0

    def metrics(self) -> dict[str, float]:
        """Return the figures of the gait, zeros before anything was observed.

        ``single_support_fraction`` (some feet down, not all) and ``flight_fraction`` (none) are of time;
        ``alternation`` is the share of steps that followed one of another foot; ``asymmetry`` the difference of the
        longest and the shortest stance relative to their sum; ``clearance_m`` the mean highest point of a swing;
        ``slip_m_s`` the mean horizontal speed of feet on the ground.
        """
        n, steps, stance = max(self._observed, 1), max(self._steps, 1), sum(self._stance)
        longest, shortest = max(self._stance), min(self._stance)
        return {
            "single_support_fraction": self._partly / n,
            "flight_fraction": self._flight / n,
            "cadence_hz": self._steps / (n * self._control_period_s),
            "alternation": self._alternating / max(steps - 1, 1),
            "asymmetry": (longest - shortest) / max(longest + shortest, 1),
            "clearance_m": self._sum_clearance_m / steps,
            "slip_m_s": self._sum_slip_m_s / max(stance, 1),
        }

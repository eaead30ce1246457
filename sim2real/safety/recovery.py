"""The shield that takes over before the robot falls."""

import math
from dataclasses import dataclass
from typing import Any, ClassVar

from sim2real.errors import Sim2RealError
from sim2real.safety.constraint import imported
from sim2real.safety.shields import Array, check
from sim2real.safety.step import Step

READS = ("gyro", "projected_gravity")


@dataclass(frozen=True, kw_only=True)
class Recovery:
    """Let a recovery policy act from when the robot is about to fall until it has been calm for a while.

    Recovery RL (Thananjeyan et al., 2020) with an estimate of risk that needs no learning: the tilt that the body
    would have after ``lead_s`` at the rate it turns now. Above ``trigger_rad`` the recovery policy takes over; it
    gives back when the estimate has stayed below ``release_rad`` for ``calm_s``.

    Attributes:
        policy: "module:function" that makes the recovery policy of an environment.
        trigger_rad: from which on the recovery policy acts.
        release_rad: below which the robot is calm; less than the trigger.
        lead_s: how far ahead the tilt is looked at; about √(h/g) with h the height of the centre of mass, the time in
            which a falling robot tilts e times as far.
        calm_s: how long it has to be calm.

    Raises:
        Sim2RealError: for numbers out of range.
    """

    name: ClassVar[str] = "recovery"

    policy: str = "sim2real.policies.crouch:crouch"
    trigger_rad: float = 0.07
    release_rad: float = 0.03
    lead_s: float = 0.3
    calm_s: float = 1.0

    def __post_init__(self) -> None:
        check(self, trigger_rad=math.pi / 2, release_rad=math.pi / 2, calm_s=math.inf)
        check(self, zero=True, lead_s=math.inf)
        if self.release_rad >= self.trigger_rad:
            raise Sim2RealError(
                f"{self.name}: release_rad must be below trigger_rad, or the two policies take turns."
            )

    def bind(self, env: Any) -> "_Recovering":
        """Return the watch over an environment that says how its body is turned and turns."""
        terms = getattr(env.unwrapped, "observation_terms", {})
        if missing := [term for term in READS if term not in terms]:
            raise Sim2RealError(f"The shield '{self.name}' needs an observation with '{missing[0]}'.")
        if (period_s := getattr(env.unwrapped, "control_period_s", None)) is None:
            raise Sim2RealError(f"The shield '{self.name}' needs env.unwrapped.control_period_s, in seconds.")
        calm_steps = math.ceil(self.calm_s / period_s)
        return _Recovering(self, imported(self.policy)(env), calm_steps, *(terms[term] for term in READS))


class _Recovering:
    infeasible = False

    def __init__(self, shield: Recovery, policy: Any, calm_steps: int, gyro: slice, gravity: slice) -> None:
        self._shield, self._policy, self._calm_steps = shield, policy, calm_steps
        self._gyro, self._gravity = gyro, gravity

    def reset(self) -> None:
        self._left = 0  # calm steps to go before the recovery policy gives back

    def __call__(self, step: Step) -> Array:
        ahead_rad = self._tilt_ahead_rad(step.observation)
        if ahead_rad > self._shield.trigger_rad:
            if not self._left and hasattr(self._policy, "reset"):
                self._policy.reset()
            self._left = self._calm_steps
        elif self._left:
            self._left = self._left - 1 if ahead_rad < self._shield.release_rad else self._calm_steps
        recovering: Array = self._policy(step.observation) if self._left else step.action
        return recovering

    def _tilt_ahead_rad(self, observation: Any) -> float:
        """Return the angle between body and vertical after the lead: down turns in the body by ġ = g × ω."""
        x, y, z = observation[self._gravity].tolist()
        wx, wy, wz = observation[self._gyro].tolist()
        lead = self._shield.lead_s
        x, y, z = x + lead * (y * wz - z * wy), y + lead * (z * wx - x * wz), z + lead * (x * wy - y * wx)
        return math.atan2(math.hypot(x, y), -z)

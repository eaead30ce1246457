"""The joint barrier as a quadratic programme, with the robot's coupled dynamics in it."""

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from sim2real.safety.barrier import JointBarrier, Joints, TorqueClamp
from sim2real.safety.shields import Array, Guard, check
from sim2real.safety.step import Step

GRAVITY_M_S2 = 9.81


@dataclass(frozen=True, kw_only=True)
class BarrierProgramme(JointBarrier):
    """Make the action nearest to the wanted one that keeps positions, velocities and torques within limits together.

    It minimises `|a − wanted|²` subject to the limits of `JointBarrier` and `TorqueClamp` at the first and the last
    physics tick, with the joints pulling at each other as the engine's mass matrix M and bias forces h say,
    M q̈ + h = τ, both taken at the observed state and held for the control period. So it needs less slack for what
    is unknown than the closed form, and allows more.

    The base is taken not to accelerate. That is exact for one that is bolted down and near for a trunk that other
    legs bear up; contact forces at the limb itself are unknown torques, like all that is not in the model. The
    state, gravity and spin are what the observation says, in the base's axes. Where there is no such action (or
    the solver finds none) the action is that of the closed form, and `infeasible` says so.

    Attributes:
        effort: fraction of the effort limit that torques stay below.
    """

    name: ClassVar[str] = "barrier_programme"

    braking: float = 0.3
    disturbance: float = 0.05
    effort: float = 0.85

    def __post_init__(self) -> None:
        super().__post_init__()
        check(self, effort=1.0)

    def bind(self, env: Any) -> Guard:
        """Return the programme for an environment's joints."""
        return _Programme(self, Joints(env, self.name))


class _Programme:
    def __init__(self, shield: BarrierProgramme, joints: Joints) -> None:
        from daqp import solve

        self._solve = solve
        self._joints = joints
        barrier = JointBarrier(margin_rad=shield.margin_rad, speed=shield.speed, braking=shield.braking)
        self._closed_form = barrier.around(joints), TorqueClamp(fraction=shield.effort).around(joints)
        self._reach_s = joints.reach_s(shield.braking)[:, None]
        n = self._n = len(joints.effort_nm)
        ends = (
            joints.room_rad(shield.margin_rad),
            (-shield.speed * joints.speed_rad_s, shield.speed * joints.speed_rad_s),
            (-shield.effort * joints.effort_nm, shield.effort * joints.effort_nm),
        )
        self._low, self._high = (np.concatenate(2 * [end[side] for end in ends]) for side in (0, 1))
        self._square, self._kinds = np.eye(n), np.zeros(len(self._low), np.int32)
        self._slack_nm = np.minimum(shield.disturbance * joints.effort_nm, shield.braking * joints.coupled_nm)
        self.infeasible = False

    def reset(self) -> None:
        sim = self._joints.sim
        self._down = np.transpose(sim.base_in_world) @ sim.gravity_direction  # of a base that is bolted down
        for guard in self._closed_form:
            guard.reset()
        gain, kp, kd = self._joints.gains()
        # (n, n + 1): what the gains make of an action and of 1.
        self._to_torque = np.column_stack([np.diag(gain * self._joints.scale), gain * self._joints.offset])
        self._kp, self._kd = kp[:, None], kd[:, None]
        self._slack = self._slack_nm / (gain * self._joints.scale)

    def __call__(self, step: Step) -> Array:
        reaction, constant = self._predict(step.observation)
        slack = np.abs(reaction) @ self._slack
        low, high = self._low - constant + slack, self._high - constant - slack
        action: Array = np.asarray(step.action, np.float64)
        made = reaction @ action
        self.infeasible = False
        if ((low <= made) & (made <= high)).all():
            return action
        found, _, flag, _ = self._solve(self._square, -action, reaction, high, low, self._kinds)
        self.infeasible = flag < 1
        if self.infeasible:
            found = action
            for guard in self._closed_form:
                found = guard(step._replace(action=found))
        solved: Array = found
        return solved

    def _predict(self, observation: Any) -> tuple[Array, Array]:
        """Return what the limits hold, as a matrix (rows, n) times the action plus a constant (rows,)."""
        n, sim, terms = self._n, self._joints.sim, self._joints.terms
        state = observation[self._joints.index].astype(np.float64)
        joints = state[:n].tolist()
        free = "projected_gravity" in terms
        down = observation[terms["projected_gravity"]] if free else self._down
        bias = sim.engine.bias_forces(
            joints,
            state[n:].tolist(),
            gravity_m_s2=(GRAVITY_M_S2 * down).tolist(),
            spin_rad_s=observation[terms["gyro"]].tolist() if free else (0.0, 0.0, 0.0),
        )[-n:]
        dt = sim.physics_period_s
        push = dt * np.linalg.inv(sim.engine.mass_matrix(joints)[-n:, -n:])
        position, velocity = np.zeros((2, n, n + 1))
        position[:, n], velocity[:, n] = state[:n], state[n:]
        rows = []
        last = sim.ticks - 1
        for tick in range(sim.ticks):
            torque = self._to_torque - self._kp * position - self._kd * velocity
            net = torque.copy()
            net[:, n] -= bias
            velocity = velocity + push @ net
            position = position + dt * velocity
            if tick in (0, last):
                rows += [position + self._reach_s * velocity, velocity, torque]
        found = np.concatenate(rows if last else 2 * rows)
        return np.ascontiguousarray(found[:, :n]), found[:, n]

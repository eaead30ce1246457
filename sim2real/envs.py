"""Environments: a robot and a task make one.

gym.make("sim2real:sim2real/Walk-v0", robot="g1", control="position", episode_s=10.0)
"""

from collections.abc import Mapping
from functools import partial
from typing import Any, Literal

import gymnasium as gym
import numpy as np
from numpy.typing import NDArray

from sim2real.errors import Sim2RealError, nearest
from sim2real.perturb.parameters import Parameter
from sim2real.robots import Robot
from sim2real.simulation import Simulation
from sim2real.tasks import TASKS

Array = NDArray[np.float64]
Observation = NDArray[np.float32]


class RobotEnv(gym.Env[Observation, NDArray[Any]]):
    """A robot at a task.

    Action: one number per joint in the order of ``joint_names``, in the box from −1 to 1, that becomes
    ``action_offset + action_scale * action``: a joint target in rad (``control="position"``; 0 is the default
    pose and 1 the offset at which the PD law asks for full effort) or a torque in N m (``"torque"``; 1 is full
    effort). Values beyond the box are followed too, to the motors' limits.

    Observation: one flat float32 vector in SI units whose parts are named in ``observation_terms``: ``gyro``
    (rad/s, body axes), ``projected_gravity`` (unit vector, body axes), ``joint_position`` (rad),
    ``joint_velocity`` (rad/s), ``previous_action``, and those of the task.

    ``info["reward_terms"]`` holds the weighted terms, whose sum is the reward. On the last step
    ``info["success"]`` (bool), ``info["termination"]`` (why it ended, empty when the time ran out) and
    ``info["metrics"]`` (figures by name and unit) tell how the episode went.

    Args:
        task: name of the task.
        robot: name of a robot, or a folder with one.
        variant: the robot's variant, where it has any.
        control: "position" or "torque".
        episode_s: length of an episode; the environment truncates itself.
        physics_period_s: the engine's period.
        control_period_s: time between actions, a whole multiple of the physics period.
        rewards: reward weights by term, replacing the task's.
        render_mode: None, "rgb_array" or "human".
        task_options: passed on to the task (for Walk: ``command``, ``gait_period_s``).

    Raises:
        Sim2RealError: for an unknown task, robot or option, in one sentence.
    """

    metadata = {"render_modes": ["rgb_array", "human"], "render_fps": 50}

    def __init__(
        self,
        task: str,
        *,
        robot: str = "g1",
        variant: str | None = None,
        control: Literal["position", "torque"] = "position",
        episode_s: float = 10.0,
        physics_period_s: float = 0.005,
        control_period_s: float = 0.02,
        rewards: Mapping[str, float] | None = None,
        render_mode: str | None = None,
        render_size: tuple[int, int] = (320, 240),
        **task_options: Any,
    ) -> None:
        if task not in TASKS:
            raise Sim2RealError(f"There is no task '{task}'.{nearest(task, TASKS)}")
        if control not in ("position", "torque"):
            raise Sim2RealError(f"control must be 'position' or 'torque', not '{control}'.")
        if render_mode not in (None, *self.metadata["render_modes"]):
            raise Sim2RealError(f"render_mode must be 'rgb_array', 'human' or None, not '{render_mode}'.")
        kind = TASKS[task]
        description = Robot.load(robot, variant)
        self.sim = Simulation(
            description,
            kind.joints(description),
            physics_period_s=physics_period_s,
            control_period_s=control_period_s,
            control=control,
            visible=render_mode is not None,
            gui=render_mode == "human",
        )
        try:
            self.task = kind(self.sim, rewards, **task_options)
        except TypeError as error:
            self.sim.close()
            raise Sim2RealError(f"The task '{task}' cannot be made with these options: {error}.") from None
        self.render_mode = render_mode
        self.metadata = {**self.metadata, "render_fps": round(1.0 / control_period_s)}
        self._render_size = render_size
        self.control = control
        self.control_period_s = control_period_s
        self.joint_names = self.action_names = self.sim.joint_names
        self.default_pose = self.sim.default_pose
        self.parameters = self.sim.parameters
        self._spread = {"joint_noise": 0.05, "velocity_noise": 0.1}
        self._register_initial_state()
        self._episode: tuple[int, int] | None = None  # its seed, and how many came after that one
        self._max_steps = round(episode_s / control_period_s)
        effort_nm = self.sim.actuators.effort_nm
        if control == "torque":
            self.action_scale, self.action_offset = effort_nm.copy(), np.zeros_like(effort_nm)
            self._change_unit = np.ones_like(effort_nm)
        else:
            self.action_scale, self.action_offset = effort_nm / self.sim.kp, self.default_pose
            self._change_unit = self.action_scale
        self.action_space = gym.spaces.Box(-1.0, 1.0, effort_nm.shape, dtype=np.float32)
        limit, self.observation_terms = self._bound_terms()
        self.observation_space = gym.spaces.Box(-limit, limit, dtype=np.float32)
        self._observation = np.zeros_like(limit)
        self._views = {name: self._observation[part] for name, part in self.observation_terms.items()}

    @property
    def kp(self) -> Array:
        """Nominal proportional gains (n,), N m/rad."""
        return self.sim.kp

    @property
    def kd(self) -> Array:
        """Nominal derivative gains (n,), N m s/rad."""
        return self.sim.kd

    @property
    def gait_period_s(self) -> float | None:
        """Period of the gait clock, where the task has one."""
        return getattr(self.task, "gait_period_s", None)

    def use_gains(self, kp: Array, kd: Array) -> None:
        """Adopt a policy's gains (n,) as the nominal ones; call it before wrapping in ``Perturbed``."""
        self.sim.use_gains(kp, kd)

    def _register_initial_state(self) -> None:
        rows = (
            (
                "joint_noise",
                "rad",
                "Half width of the uniform spread of every joint about the default pose at reset.",
            ),
            (
                "velocity_noise",
                "m/s",
                "Half width of the uniform spread of the velocity along x and y at reset.",
            ),
        )
        for name, unit, doc in rows:
            spec = Parameter(nominal=self._spread[name], unit=unit, low=0.0, high=10.0, live=False, doc=doc)
            self.parameters.add(f"initial.{name}", spec, partial(self._spread.__setitem__, name))

    def _bound_terms(self) -> tuple[Observation, dict[str, slice]]:
        """Return a bound on every component, far beyond what is physical, and where each term stands."""
        n = len(self.joint_names)
        sizes = {"gyro": 3, "projected_gravity": 3, "joint_position": n, "joint_velocity": n,
                 "previous_action": n, **self.task.EXTRA_TERMS}  # fmt: skip
        bounds = {"projected_gravity": 2.0, "gait_phase": 1.0}
        terms: dict[str, slice] = {}
        limit: list[float] = []
        for name, size in sizes.items():
            terms[name] = slice(len(limit), len(limit) + size)
            limit += [bounds.get(name, 1e4)] * size
        return np.array(limit, dtype=np.float32), terms

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Observation, dict[str, Any]]:
        """Stand the robot in its default pose, each joint a little off it."""
        super().reset(seed=seed)
        joints = self._spread["joint_noise"] * self.np_random.uniform(-1.0, 1.0, len(self.joint_names))
        vx, vy = self._spread["velocity_noise"] * self.np_random.uniform(-1.0, 1.0, 2)
        if seed is not None or self._episode is None:
            self._episode = (self.np_random_seed, 0)
        else:
            self._episode = (self._episode[0], self._episode[1] + 1)
        self.sim.reset(joints if joints.any() else None, (float(vx), float(vy)), self._episode)
        self.task.reset()
        self._steps = 0
        self._previous_action = np.zeros_like(self.default_pose)
        return self._observe(), {}

    def step(self, action: NDArray[Any]) -> tuple[Observation, float, bool, bool, dict[str, Any]]:
        """Hold an action (n,) for one control period."""
        action = np.array(action, dtype=np.float64)
        self.sim.step(self.action_offset + self.action_scale * action)
        self._steps += 1
        terms = self.task.rewards(self._change_unit * (action - self._previous_action))
        self._previous_action = action
        failure = self.task.failure()
        terminated = failure != ""
        truncated = not terminated and self._steps >= self._max_steps
        info: dict[str, Any] = {"reward_terms": terms}
        if terminated or truncated:
            info["success"] = truncated and self.task.succeeded()
            info["termination"] = failure
            info["metrics"] = self.task.metrics()
        if self.render_mode == "human":
            self.sim.engine.follow(self.sim.base_position_m)
        return self._observe(), sum(terms.values()), terminated, truncated, info

    def _observe(self) -> Observation:
        views, reading = self._views, self.sim.reading
        views["gyro"][:] = reading.gyro_rad_s
        views["projected_gravity"][:] = reading.projected_gravity
        views["joint_position"][:] = reading.joint_position_rad
        views["joint_velocity"][:] = reading.joint_velocity_rad_s
        views["previous_action"][:] = self._previous_action
        self.task.observe(views)
        return self._observation.copy()

    def render(self) -> NDArray[np.uint8] | None:  # type: ignore[override]
        """Return a picture (height, width, 3) that follows the robot, in mode "rgb_array"."""
        if self.render_mode != "rgb_array":
            return None
        x, y, _ = self.sim.base_position_m
        width, height = self._render_size
        size_m = self.sim.robot.base_height_m
        return self.sim.engine.render(
            target_m=(x, y, 0.8 * size_m), distance_m=2.2 * size_m,
            yaw_deg=40.0, pitch_deg=-12.0, width=width, height=height,
        )  # fmt: skip

    def close(self) -> None:
        """Let go of the engine."""
        self.sim.close()

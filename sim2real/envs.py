"""Environments: a robot and a task make one.

gym.make("sim2real:sim2real/Walk-v0", robot="g1", control="position", episode_s=10.0)
"""

from collections.abc import Mapping
from functools import partial
from typing import Any

import gymnasium as gym
import numpy as np
from numpy.typing import NDArray

from sim2real.errors import Sim2RealError
from sim2real.perturb.parameters import Parameter
from sim2real.robots import Robot
from sim2real.simulation import Simulation
from sim2real.tasks import Task, find
from sim2real.tasks.actions import Control, Fingers

Array = NDArray[np.float64]
Observation = NDArray[np.float32]


class RobotEnv(gym.Env[Observation, NDArray[Any]]):
    """A robot at a task.

    Action: numbers named in ``action_names``, in the box from −1 to 1; what they mean is told at `JointActions`, and
    for work with a hand at `HandActions`. Values beyond the box are followed too, to the motors' limits.

    Observation: one flat float32 vector in SI units whose parts are named in ``observation_terms``: ``gyro``
    (rad/s, body axes) and ``projected_gravity`` (unit vector, body axes) where the base is free, ``joint_position``
    (rad), ``joint_velocity`` (rad/s), ``previous_action``, and those of the task.

    ``info["reward_terms"]`` holds the weighted terms, whose sum is the reward. On the last step
    ``info["success"]`` (bool), ``info["termination"]`` (why it ended, empty when the time ran out) and
    ``info["metrics"]`` (figures by name and unit) tell how the episode went.

    Args:
        task: name of the task, here or in a plug-in, or a task itself.
        robot: name of a robot, or a folder with one.
        variant: the robot's variant, where it has any; without one, work with a hand takes that called "hands" of a
            robot that has no hand otherwise.
        control: "position", "torque", or (for a hand) "twist".
        arm: which hand works, by its name in the robot's description; by default the last.
        hand: how it is commanded: by "synergy" from open to closed, or by "joints".
        engine: what simulates it, "bullet" or "mujoco".
        episode_s: length of an episode; the environment truncates itself.
        physics_period_s: the engine's period, where the motors are not too stiff for it; what an episode had at its end
            is among its metrics.
        control_period_s: time between actions, a whole multiple of the physics period.
        rewards: reward weights by term, replacing the task's.
        render_mode: None, "rgb_array" or "human".
        task_options: passed on to the task (for Walk: ``command``, ``gait_period_s``).

    Raises:
        Sim2RealError: for an unknown task, robot, engine or option, in one sentence.
    """

    metadata = {"render_modes": ["rgb_array", "human"], "render_fps": 50}

    def __init__(
        self,
        task: str | type[Task],
        *,
        robot: str = "g1",
        variant: str | None = None,
        control: Control = "position",
        arm: str | None = None,
        hand: Fingers = "synergy",
        engine: str = "bullet",
        episode_s: float = 10.0,
        physics_period_s: float = 0.005,
        control_period_s: float = 0.02,
        rewards: Mapping[str, float] | None = None,
        render_mode: str | None = None,
        render_size: tuple[int, int] = (320, 240),
        **task_options: Any,
    ) -> None:
        kind = find(task) if isinstance(task, str) else task
        if control not in ("position", "torque", "twist"):
            raise Sim2RealError(f"control must be 'position', 'torque' or 'twist', not '{control}'.")
        if render_mode not in (None, *self.metadata["render_modes"]):
            raise Sim2RealError(f"render_mode must be 'rgb_array', 'human' or None, not '{render_mode}'.")
        description = Robot.load(robot, variant)
        if kind.NEEDS_HAND and variant is None and not description.hands and "hands" in description.variants:
            description = Robot.load(robot, "hands")
        description = kind.prepare(description, arm)
        self.sim = Simulation(
            description,
            kind.joints(description),
            physics_period_s=physics_period_s,
            control_period_s=control_period_s,
            control="torque" if control == "torque" else "position",
            fixed_base=kind.NEEDS_HAND,
            visible=render_mode is not None,
            gui=render_mode == "human",
            engine=engine,
        )
        try:
            self.task = kind(self.sim, rewards, **task_options)
            self.actions = self.task.actions(control, hand)
        except TypeError as error:
            self.sim.close()
            raise Sim2RealError(f"The task '{task}' cannot be made with these options: {error}.") from None
        self.render_mode = render_mode
        self.metadata = {**self.metadata, "render_fps": round(1.0 / control_period_s)}
        self._render_size = render_size
        self.control = control
        self.control_period_s = control_period_s
        self.joint_names, self.action_names = self.sim.joint_names, self.actions.names
        self.default_pose = self.sim.default_pose
        self.parameters = self.sim.parameters
        self.parameters.groups = description.groups
        self._spread = {"joint_noise": 0.05, "velocity_noise": 0.1}
        self._room_rad = (self.sim.lower_rad - self.default_pose, self.sim.upper_rad - self.default_pose)
        self._register_initial_state()
        self._episode: tuple[int, int] | None = None  # its seed, and how many came after that one
        self._max_steps = round(episode_s / control_period_s)
        self.action_scale, self.action_offset = self.actions.scale, self.actions.offset
        self.action_space = gym.spaces.Box(-1.0, 1.0, (len(self.action_names),), dtype=np.float32)
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
        for name, unit, doc in rows[: 1 if self.task.NEEDS_HAND else 2]:
            spec = Parameter(nominal=self._spread[name], unit=unit, low=0.0, high=10.0, live=False, doc=doc)
            self.parameters.add(f"initial.{name}", spec, partial(self._spread.__setitem__, name))

    def _bound_terms(self) -> tuple[Observation, dict[str, slice]]:
        """Return a bound on every component, far beyond what is physical, and where each term stands."""
        n = len(self.joint_names)
        own = {"gyro": 3, "projected_gravity": 3, "joint_position": n, "joint_velocity": n,
               "previous_action": len(self.action_names)}  # fmt: skip
        sizes = {**{name: own[name] for name in self.task.PROPRIOCEPTION}, **self.task.EXTRA_TERMS}
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
        joints = np.minimum(np.maximum(joints, self._room_rad[0]), self._room_rad[1])
        vx = vy = 0.0
        if not self.task.NEEDS_HAND:
            vx, vy = (self._spread["velocity_noise"] * self.np_random.uniform(-1.0, 1.0, 2)).tolist()
        if seed is not None or self._episode is None:
            self._episode = (self.np_random_seed, 0)
        else:
            self._episode = (self._episode[0], self._episode[1] + 1)
        self.sim.reset(joints if joints.any() else None, (vx, vy), self._episode)
        self.actions.start()
        self.task.arrange(self.np_random, self._episode)
        self.task.reset()
        self._steps = 0
        self._previous_action = np.zeros(len(self.action_names))
        return self._observe(), {}

    def step(self, action: NDArray[Any]) -> tuple[Observation, float, bool, bool, dict[str, Any]]:
        """Hold an action for one control period."""
        action = np.array(action, dtype=np.float64)
        self.sim.step(self.actions.command(action, self.sim.reading))
        self._steps += 1
        terms = self.task.rewards(self.actions.unit * (action - self._previous_action))
        self._previous_action = action
        failure = self.task.failure()
        terminated = failure != ""
        truncated = not terminated and self._steps >= self._max_steps
        info: dict[str, Any] = {"reward_terms": terms}
        if terminated or truncated:
            info["success"] = truncated and self.task.succeeded()
            info["termination"] = failure
            info["metrics"] = self.task.metrics() | {"physics_period_s": self.sim.physics_period_s}
        if self.render_mode == "human":
            self.sim.engine.follow(self.sim.base_position_m)
        return self._observe(), sum(terms.values()), terminated, truncated, info

    def _observe(self) -> Observation:
        views, reading = self._views, self.sim.reading
        if "gyro" in views:
            views["gyro"][:] = reading.gyro_rad_s
            views["projected_gravity"][:] = reading.projected_gravity
        views["joint_position"][:] = reading.joint_position_rad
        views["joint_velocity"][:] = reading.joint_velocity_rad_s
        views["previous_action"][:] = self._previous_action
        self.task.observe(views)
        return self._observation.copy()

    def render(self) -> NDArray[np.uint8] | None:  # type: ignore[override]
        """Return a picture (height, width, 3) of where the task looks, in mode "rgb_array"."""
        if self.render_mode != "rgb_array":
            return None
        width, height = self._render_size
        return self.sim.engine.render(**self.task.view(), width=width, height=height)

    def close(self) -> None:
        """Let go of the engine."""
        self.sim.close()

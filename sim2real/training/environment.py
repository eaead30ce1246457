"""The environment a network is trained in: it reads and commands as its exported file will."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from sim2real.errors import Sim2RealError
from sim2real.perturb import Perturbation
from sim2real.policies import BoundPolicy, Contract, Term, scripted
from sim2real.policies.binding import SpaceBinding
from sim2real.safety import Record
from sim2real.study.rollout import make, success
from sim2real.training.config import Imitate, Sac, Training
from sim2real.training.privileged import truths
from sim2real.wrappers import Constrained, Perturbed, Shielded
from sim2real.wrappers.perturbed import layers

Array = NDArray[np.float32]
Outcome = dict[str, Any]

SCALES: Mapping[str, float] = {"gyro": 0.25, "joint_velocity": 0.05, "command": 2.0}
"""Of observation terms in SI units, to about one (legged_gym's and unitree_rl_gym's obs_scales)."""

TALLIED = ("cost", "violations", "intervened")
"""What is summed over every step, as a study's rollout does."""


def contract_of(training: Training, env: Any) -> Contract:
    """Return what the policy will read and command; an empty contract where no robot is behind the environment."""
    robot = env.unwrapped
    if not hasattr(robot, "joint_names"):
        return Contract()
    pose = tuple(robot.default_pose)
    size = int(np.prod(robot.observation_space.shape))
    terms = [
        Term(
            term=name,
            size=len(range(*part.indices(size))),
            scale=SCALES.get(name, 1.0),
            offset=pose if name == "joint_position" else 0.0,
            history=training.history,
        )
        for name, part in robot.observation_terms.items()
    ]
    held = robot.control != "torque"
    return Contract(
        joints=robot.joint_names,
        outputs=() if robot.action_names == robot.joint_names else robot.action_names,
        control=robot.control,
        control_period_s=robot.control_period_s,
        observation=tuple(terms),
        action_scale=tuple(training.action_scale * robot.action_scale),
        action_offset=tuple(robot.action_offset),
        action_clip=training.algorithm.bound,
        kp=tuple(robot.kp) if held else None,
        kd=tuple(robot.kd) if held else None,
        gait_period_s=robot.gait_period_s,
    )


class Trainee(gym.Wrapper[Array, Array, Any, Any]):
    """A training's environment as the learner sees it.

    Observation: what the network reads, and behind it what only the critic is told, or what a teacher would have the
    network put out. Action: what the network puts out. The last `info` of an episode holds its outcome: return,
    length, success where that is told, what was tallied and the metrics, all in the environment's own units.

    Raises:
        Sim2RealError: an environment that cannot be trained in.
    """

    def __init__(self, training: Training) -> None:
        env = make(training)
        space, actions = env.observation_space, env.action_space
        if not (isinstance(space, spaces.Box) and isinstance(actions, spaces.Box) and len(space.shape) == 1):
            raise Sim2RealError(
                f"'{training.env}' cannot be trained in: it needs flat boxes, not {space}, {actions}."
            )
        self.contract = contract_of(training, env)
        bare = env.unwrapped
        bound = self.contract.observation
        self._binding = self.contract.bind(bare) if bound else SpaceBinding(env)
        if not bound and training.history > 1:
            raise Sim2RealError(f"'{training.env}' has no named terms to keep a history of.")
        self._truths = truths(training.algorithm.privileged, bare)
        self._teacher: BoundPolicy | None = None
        if isinstance(training.algorithm, Imitate):
            self._teacher = scripted(training.algorithm.teacher).bind(env)
            self._unit = training.action_scale if bound else 1.0
        if training.constraints or not isinstance(training.mode, Record):
            env = Constrained(env, training.constraints, training.mode, period_s=training.period_s)
        self._perturbed = env = Perturbed(env, training.perturbations, period_s=training.period_s)
        for wrap in training.wrappers:
            env = wrap.fn(env)
        if training.shields:
            env = Shielded(env, training.shields)
        super().__init__(env)
        self.read = self.contract.observation_size if bound else space.shape[0]
        told = sum(len(truth.mirror.index) for truth in self._truths)
        told += actions.shape[0] if self._teacher else 0
        squashed = isinstance(training.algorithm, Sac)
        if squashed and not bound and not (np.all(actions.low == -1) and np.all(actions.high == 1)):
            raise Sim2RealError(f"Sac trains actions from -1 to 1; those of '{training.env}' are {actions}.")
        # Without a contract nothing clips what a file's network puts out, so nothing clips it here.
        self._limit = limit = training.algorithm.bound if bound or squashed else 1e6
        self.observation_space = spaces.Box(-np.inf, np.inf, (self.read + told,), np.float32)
        self.action_space = spaces.Box(-limit, limit, actions.shape, np.float32)
        self._reward_scale = training.reward_scale
        self.tally = np.zeros(len(TALLIED))

    def become(self, condition: Iterable[Perturbation]) -> None:
        """Be perturbed otherwise from the next episode on."""
        self._perturbed.become(condition)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Array, Outcome]:
        """Begin an episode."""
        observation, info = self.env.reset(seed=seed, options=options)
        self._binding.reset()
        if self._teacher:
            self._teacher.reset(seed)
        self._return, self._length, self._before = 0.0, 0, self.tally.copy()
        return self._observe(observation), info

    def step(self, action: Array) -> tuple[Array, float, bool, bool, Outcome]:
        """Go one step."""
        observation, reward, terminated, truncated, info = self.env.step(self._binding.act(action))
        self._return += float(reward)
        self._length += 1
        self.tally += [info.get(name, 0.0) for name in TALLIED]
        if terminated or truncated:
            info = {**info, "outcome": self._outcome(info, bool(terminated))}
        return self._observe(observation), self._reward_scale * float(reward), terminated, truncated, info

    def _observe(self, observation: Any) -> Array:
        read = np.asarray(self._binding.observe(observation), np.float32)
        told = [value for truth in self._truths for value in truth.read(self.unwrapped)]
        if self._teacher:
            told += np.clip(self._teacher(observation) / self._unit, -self._limit, self._limit).tolist()
        return np.append(read, np.array(told, np.float32)) if told else read

    def _outcome(self, info: Mapping[str, Any], terminated: bool) -> Outcome:
        told = success(info)
        if told is None and info.get("termination") == "violation":
            told = 0.0  # this training ends what violates its constraints, before the environment can tell
        return {
            "survived": float(not terminated),
            **{name: float(value) for name, value in info.get("metrics", {}).items()},
            **dict(zip(TALLIED, (self.tally - self._before).tolist(), strict=True)),
            "return": self._return,
            "length": self._length,
            **({} if told is None else {"success": told}),
        }

    def set_price(self, multiplier: float) -> None:
        """Set the multiplier of the constraint whose price is learnt for all environments together."""
        self.priced().multiplier = multiplier

    def priced(self) -> Any:
        """Return the outermost `Constrained` with a multiplier, or None."""
        found = (layer for layer in layers(self.env) if isinstance(layer, Constrained))
        return next((layer for layer in found if "multiplier" in layer.memory.state), None)

    def state_dicts(self) -> list[dict[str, Any]]:
        """Break the episode off, and return the states of all wrappers that have one, the outermost first."""
        self.env.reset(seed=0)  # a wrapper may count an episode that was broken off when the next begins
        return [layer.state_dict() for layer in self._stateful()]

    def load_state_dicts(self, states: Iterable[Mapping[str, Any]]) -> None:
        """Give the wrappers their states back."""
        for layer, state in zip(self._stateful(), states, strict=True):
            layer.load_state_dict(state)

    def _stateful(self) -> list[Any]:
        return [layer for layer in layers(self.env) if "state_dict" in dir(type(layer))]


def widest(training: Training) -> Training:
    """Return the training under the hardest its curriculum ever gets, which a worker can be sent."""
    if training.curriculum is None:
        return training
    hardest = training.curriculum(training.perturbations).widest
    return replace(training, perturbations=hardest, curriculum=None)

"""The environments of a training as one vector environment of Stable-Baselines3."""

from collections.abc import Callable, Mapping
from multiprocessing.shared_memory import SharedMemory
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium import spaces
from stable_baselines3.common.env_util import is_wrapped
from stable_baselines3.common.vec_env import VecEnv

from sim2real.errors import Sim2RealError, nearest
from sim2real.perturb.curriculum import Curriculum
from sim2real.safety import Memory
from sim2real.study.seeds import content_hash
from sim2real.training.config import Training
from sim2real.training.environment import Outcome, Trainee, widest
from sim2real.training.workers import Board, Here, Place, There, ask


def seed_of(*parts: object) -> int:
    """Return 32 bits that follow from what they are for.

    >>> seed_of("environment", 0, 1) == seed_of("environment", 0, 1) != seed_of("environment", 1, 0)
    True
    """
    return int(content_hash("/".join(map(str, parts)))[:8], 16)


class Environments(VecEnv):  # type: ignore[misc]
    """Several environments per process, their numbers in shared memory, one message per process and step.

    What is played does not depend on the number of processes. Under a curriculum the condition of an
    environment's next episode is settled while the one before is played. Where a mode learns a price of cost (a
    Lagrange multiplier), all environments learn one together.

    Attributes:
        trainee: one more environment, never stepped, to ask what is read and commanded.
        curriculum: where the training has one.
        memory: of the price, where the training has one.
        outcomes: of the episodes that ended since the list was last emptied.
    """

    def __init__(self, training: Training) -> None:
        self.curriculum: Curriculum | None = None
        if training.curriculum is not None:
            self.curriculum = training.curriculum(training.perturbations)
        training = widest(training)
        self.trainee = Trainee(training)
        space, actions = self.trainee.observation_space, self.trainee.action_space
        priced = self.trainee.priced()
        self.memory = None if priced is None else Memory(priced.mode)
        count, self._score = training.environments, training.score
        sizes = (count, spaces.flatdim(space), spaces.flatdim(actions))
        self._block: SharedMemory | None = None
        self._groups: list[Place]
        if training.processes:
            self._block = SharedMemory(create=True, size=Board.of(*sizes).size)
            shares = np.array_split(np.arange(count), training.processes)
            self._groups = [There(training, share.tolist(), self._block, sizes) for share in shares]
            for group in self._groups:
                group.reply()
            self._board = Board.of(*sizes, self._block)
        else:
            self._board = Board.of(*sizes)
            self._groups = [Here(training, range(count), self._board)]
        self._playing: list[Any] = []
        self.outcomes: list[Outcome] = []
        super().__init__(count, space, actions)

    def prepare(self, *parts: object) -> None:
        """Settle the seeds of the next reset by what it is for."""
        self._seeds = [seed_of("environment", *parts, place) for place in range(self.num_envs)]

    def reset(self) -> Any:
        """Begin an episode everywhere."""
        self._playing = self._draw_all()
        ask(self._groups, "reset", dict(enumerate(self._seeds)), dict(enumerate(self._playing)))
        self._next = self._draw_all()
        self._due = dict(enumerate(self._next))
        self._price = None if self.memory is None else self.memory.multiplier
        return self._board.observations.copy()

    def _draw_all(self) -> list[Any]:
        return [self.curriculum.next() for _ in range(self.num_envs)] if self.curriculum else []

    def step_async(self, actions: Any) -> None:
        """Start a step."""
        self._board.actions[:] = actions
        for group in self._groups:
            group.tell("step", self._due, self._price)
        self._due, self._price = {}, None

    def step_wait(self) -> Any:
        """Return observations, rewards, which episodes ended, and infos."""
        infos: list[dict[str, Any]] = [{}] * self.num_envs
        done = np.zeros(self.num_envs, bool)
        for group in self._groups:
            for place, (ran_out, outcome) in group.reply().items():
                done[place] = True
                infos[place] = {
                    "terminal_observation": self._board.last[place].copy(), "TimeLimit.truncated": ran_out
                }  # fmt: skip
                self.outcomes.append(outcome)
                self._turn(place, outcome)
        return self._board.observations.copy(), self._board.rewards.copy(), done, infos

    def _turn(self, place: int, outcome: Outcome) -> None:
        if self.memory is not None:
            self.memory.learn_episode(outcome["cost"])
            self._price = self.memory.multiplier
        if self.curriculum is None:
            return
        if self._score not in outcome:
            raise Sim2RealError(f"No episode measures '{self._score}'.{nearest(self._score, outcome)}")
        self.curriculum.report(self._playing[place], outcome[self._score], outcome["length"])
        self._playing[place] = self._next[place]
        self._next[place] = self._due[place] = self.curriculum.next()

    @property
    def tally(self) -> dict[str, float]:
        """Cost, violations and interventions of all steps since the environments were made."""
        return dict(
            zip(("cost", "violations", "interventions"), self._board.tally.sum(0).tolist(), strict=True)
        )

    def close(self) -> None:
        """Close the environments and end the processes."""
        self.trainee.close()
        for group in self._groups:
            group.end()
        if self._block is not None:
            del self._board
            self._block.close()
            self._block.unlink()

    def each(self, do: Callable[..., Any], *args: Any, indices: Any = None) -> list[Any]:
        """Return what a function of the environment, at the top level of a module, returns for each."""
        places = list(self._get_indices(indices))
        parts = ask(self._groups, "each", places, do, *args)
        found = {place: value for part in parts for place, value in part.items()}
        return [found[place] for place in places]

    def get_attr(self, attr_name: str, indices: Any = None) -> list[Any]:
        """Return an attribute of every environment."""
        return self.each(Trainee.get_wrapper_attr, attr_name, indices=indices)

    def set_attr(self, attr_name: str, value: Any, indices: Any = None) -> None:
        """Set an attribute of every environment."""
        self.each(Trainee.set_wrapper_attr, attr_name, value, indices=indices)

    def env_method(self, method_name: str, *args: Any, indices: Any = None, **kwargs: Any) -> list[Any]:
        """Call a method of every environment."""
        return self.each(_call, method_name, args, kwargs, indices=indices)

    def env_is_wrapped(
        self, wrapper_class: type[gym.Wrapper[Any, Any, Any, Any]], indices: Any = None
    ) -> list[bool]:
        """Tell of every environment whether a wrapper is around it."""
        return self.each(is_wrapped, wrapper_class, indices=indices)


def _call(env: Trainee, name: str, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
    return env.get_wrapper_attr(name)(*args, **kwargs)

"""Groups of environments, in this process or in spawned ones, with their numbers in shared memory."""

import multiprocessing
import pickle
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.shared_memory import SharedMemory
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sim2real.errors import Sim2RealError
from sim2real.perturb import Perturbation
from sim2real.study.executors import ONE_THREAD_EACH, caught, environment, start_worker
from sim2real.study.load import load_module, loaded_in
from sim2real.training.config import Training
from sim2real.training.environment import TALLIED, Outcome, Trainee

Conditions = Mapping[int, tuple[Perturbation, ...]]
Ended = dict[int, tuple[bool, Outcome]]  # by environment: whether its time ran out, and the outcome


@dataclass(frozen=True)
class Board:
    """The numbers of n environments, which both sides see.

    Attributes:
        actions: (n, a) float32, written by the learner.
        observations: (n, o) float32, of the episode that goes on.
        last: (n, o) float32, the last observation of the episode that ended.
        rewards: (n,) float32.
        tally: (n, 3) float64, sums over all steps ever.
    """

    actions: NDArray[np.float32]
    observations: NDArray[np.float32]
    last: NDArray[np.float32]
    rewards: NDArray[np.float32]
    tally: NDArray[np.float64]

    @staticmethod
    def of(count: int, read: int, written: int, memory: SharedMemory | None = None) -> "Board":
        """Return a board for so many environments, of so many values, in this memory or a private one."""
        shapes = ((count, len(TALLIED)), (count, written), (count, read), (count, read), (count,))
        kinds = (np.float64, *(np.float32,) * 4)
        arrays: list[Any] = []
        place = 0
        for shape, kind in zip(shapes, kinds, strict=True):
            size = int(np.prod(shape)) * np.dtype(kind).itemsize
            private = np.zeros(shape, kind)
            arrays.append(private if memory is None else np.ndarray(shape, kind, memory.buf, place))
            place += size
        tally, actions, observations, last, rewards = (
            arrays  # the widest numbers first, so that all are aligned
        )
        return Board(actions, observations, last, rewards, tally)

    @property
    def size(self) -> int:
        """Bytes it takes."""
        return sum(array.nbytes for array in vars(self).values())


class Group:
    """Some of a training's environments, with their rows of the board; each method is a command."""

    def __init__(self, training: Training, places: Iterable[int], board: Board) -> None:
        self._envs = {place: Trainee(training) for place in places}
        self._board = board

    def reset(self, seeds: Mapping[int, int], conditions: Conditions) -> None:
        """Begin an episode in every environment, with its seed, under the condition given, if any."""
        self._become(conditions)
        for place, env in self._envs.items():
            self._board.observations[place], _ = env.reset(seed=seeds[place])

    def step(self, conditions: Conditions, price: float | None) -> Ended:
        """Go one step in every environment; what has ended begins again, under the next condition given.

        A price is that of the constraints' cost from now on.
        """
        self._become(conditions)
        if price is not None:
            for env in self._envs.values():
                env.set_price(price)
        board, ended = self._board, {}
        for place, env in self._envs.items():
            observation, board.rewards[place], terminated, truncated, info = env.step(board.actions[place])
            if terminated or truncated:
                ended[place] = not terminated, info["outcome"]
                board.last[place] = observation
                observation, _ = env.reset()
            board.observations[place] = observation
            board.tally[place] = env.tally
        return ended

    def _become(self, conditions: Conditions) -> None:
        for place, condition in conditions.items():
            if place in self._envs:
                self._envs[place].become(condition)

    def each(self, places: Sequence[int], do: Callable[..., Any], *args: Any) -> dict[int, Any]:
        """Return what a function of the environment, importable by its name, returns for some of them."""
        return {place: do(env, *args) for place, env in self._envs.items() if place in places}

    def close(self) -> None:
        """Close all environments."""
        for env in self._envs.values():
            env.close()


class Here:
    """A group in this process, which works while it is told to."""

    def __init__(self, training: Training, places: Sequence[int], board: Board) -> None:
        self._group = Group(training, places, board)

    def tell(self, command: str, *args: Any) -> None:
        """Obey a command."""
        self._reply = getattr(self._group, command)(*args)

    def reply(self) -> Any:
        """Return what the last command returned."""
        return self._reply

    def end(self) -> None:
        """Close the environments."""
        self._group.close()


class There:
    """A group in a spawned process of one thread, which ends with this one however it ends."""

    def __init__(
        self, training: Training, places: Sequence[int], memory: SharedMemory, sizes: tuple[int, int, int]
    ) -> None:
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        watched, self._alive = context.Pipe(duplex=False)
        payload = pickle.dumps(training)
        self._process = context.Process(
            target=_serve,
            args=(theirs, watched, payload, loaded_in(payload), places, memory.name, sizes),
            daemon=True,
        )
        with environment(ONE_THREAD_EACH):
            self._process.start()
        theirs.close()

    def tell(self, command: str, *args: Any) -> None:
        """Send a command."""
        self._pipe.send((command, args))

    def reply(self) -> Any:
        """Wait for what the last command returned.

        Raises:
            Sim2RealError: what the command raised, or a process that died.
        """
        try:
            answer = self._pipe.recv()
        except (EOFError, ConnectionError):
            raise Sim2RealError(
                f"A process that played environments died ({self._process.exitcode})."
            ) from None
        if isinstance(answer, Exception):
            raise answer
        return answer

    def end(self) -> None:
        """End the process."""
        self._alive.close()
        self._process.join()
        self._pipe.close()


Place = Here | There


def ask(groups: Sequence[Place], command: str, *args: Any) -> list[Any]:
    """Have all groups obey a command at the same time, and return what each returned."""
    for group in groups:
        group.tell(command, *args)
    return [group.reply() for group in groups]


def _serve(
    pipe: Connection,
    watched: Connection,
    payload: bytes,
    files: Mapping[str, str],
    places: Sequence[int],
    memory_name: str,
    sizes: tuple[int, int, int],
) -> None:
    start_worker(watched)
    memory = SharedMemory(memory_name)
    group: Group | None = None

    def obey(command: str, args: tuple[Any, ...]) -> Any:
        assert group is not None  # made before the first command
        return getattr(group, command)(*args)

    def make() -> None:
        nonlocal group
        for name, path in files.items():
            if name not in sys.modules:
                load_module(path)
        group = Group(pickle.loads(payload), places, Board.of(*sizes, memory))

    pipe.send(caught(make))
    while True:
        command, args = pipe.recv()
        pipe.send(caught(obey, command, args))

"""How trials run in another process: sent, timed, caught; and the executors that take nothing but Python."""

import faulthandler
import importlib
import multiprocessing
import os
import pickle
import platform
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import BrokenExecutor, Executor, Future, ProcessPoolExecutor
from contextlib import contextmanager, suppress
from multiprocessing.connection import Connection, wait
from typing import Any, TypeVar

import gymnasium as gym
from gymnasium.envs.registration import parse_env_id

from sim2real.errors import Sim2RealError
from sim2real.study.load import load_module, loaded_in
from sim2real.study.rollout import Bench, Row
from sim2real.study.trial import Trial

T = TypeVar("T")

_UNSENDABLE = (pickle.PicklingError, AttributeError, TypeError)

ONE_THREAD_EACH: dict[str, str | None] = dict.fromkeys(
    ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1"
)
_here = threading.local()  # holds a bench for each thread, since an executor may run its tasks in threads
_loading = threading.Lock()  # a study file that one thread is running is not complete for another
_clock = threading.Lock()
_deadlines: dict[int, float] = {}  # of each thread, since the clock that ends the process is one for all


def send(executor: Executor, function: Callable[..., T], value: Any, *args: Any) -> "Future[T | Exception]":
    """Submit function(value, *args), where value may hold functions of a study file.

    An exception that the function raised is the future's *result*; a future *raises* if its task was lost.

    Raises:
        Sim2RealError: If the value cannot be sent to another process.
    """
    try:
        payload = pickle.dumps(value)
    except _UNSENDABLE as error:
        raise Sim2RealError(f"The study cannot be sent to a worker process: {error}.") from error
    known = _registrations(value)
    files = loaded_in(b"".join([payload, *known]))
    places = [os.path.abspath(place) for place in sys.path]
    return executor.submit(_receive, function, payload, files, known, places, *args)


def _receive(
    function: Callable[..., T],
    payload: bytes,
    files: Mapping[str, str],
    known: Sequence[bytes],
    places: Sequence[str],
    *args: Any,
) -> T | Exception:
    def call() -> T:
        with _loading:
            sys.path += [place for place in places if place not in sys.path]
            for name, path in files.items():
                if name not in sys.modules:
                    load_module(path)
            for registration in known:
                _register(registration)
        try:
            sent = pickle.loads(payload)
        except (AttributeError, ImportError) as error:
            raise Sim2RealError(
                f"A worker process does not find what the study is made of: {error}."
            ) from error
        return function(sent, *args)

    return caught(call)


def _registrations(value: Any) -> list[bytes]:
    """Return how the environments of a study or of trials are registered here: their ids and pickled specs.

    A spec that cannot be pickled stands by the name of the module that made it, whose file may register it again.
    """
    ids = {one.env for one in (value if isinstance(value, Sequence) else [value]) if hasattr(one, "env")}
    names = {parse_env_id(id)[:2] for id in ids if ":" not in id}  # a module in an id registers it by itself
    found = []
    for spec in [spec for spec in gym.registry.values() if (spec.namespace, spec.name) in names]:
        try:
            found.append(pickle.dumps(spec))
        except _UNSENDABLE:
            found.append(pickle.dumps(getattr(spec.entry_point, "__module__", "")))
    return found


def _register(registration: bytes) -> None:
    """Register an environment as it is registered elsewhere, unless a module that has been imported does so."""
    with suppress(AttributeError, ImportError):  # `make` says what is missing
        spec = pickle.loads(registration)
        if isinstance(spec, str):
            return
        if isinstance(spec.entry_point, str):
            importlib.import_module(spec.entry_point.partition(":")[0])
        gym.registry.setdefault(spec.id, spec)


def caught(function: Callable[..., T], *args: Any) -> T | Exception:
    """Return what a function returns, or what it raised, as an exception that every process can unpickle."""
    try:
        return function(*args)
    except Sim2RealError as error:
        return error
    except Exception:
        return RuntimeError(traceback.format_exc())


def cores(workers: int | None) -> int:
    """Return how many processes to run: as many as asked for, or one per core of this machine."""
    return workers or os.cpu_count() or 1


def process_name() -> str:
    """Return what tells this process from all others that run now."""
    return f"{platform.node()} {os.getpid()}"


def run_trials(trials: Sequence[Trial], trust: bool, timeout_s: float | None, runner: str) -> list[Row]:
    """Run trials one after the other in this thread's bench; the process ends at a trial's time-out.

    The clock is the C library's, so it ends calls that never return to Python, and prints where they hang.

    Args:
        trials: What to run.
        trust: Load policy files that can execute code.
        timeout_s: Wall-clock limit of each.
        runner: The `process_name` of the process that waits for the rows, which no time-out ends.
    """
    bench = getattr(_here, "bench", None)
    if bench is None or bench.trust != trust:
        bench = _here.bench = Bench(trust)
    rows = []
    for trial in trials:
        with limited(timeout_s, runner):
            rows.append(bench.run(trial))
    return rows


@contextmanager
def limited(limit_s: float | None, runner: str) -> Iterator[None]:
    """End the process if what is done here takes longer, but not the one that waits for it."""
    if limit_s is None or runner == process_name():
        yield
        return
    try:
        _end_at(time.monotonic() + limit_s)
        yield
    finally:
        _end_at(None)


def _end_at(deadline_s: float | None) -> None:
    """End the process when the first deadline of any of its threads is over."""
    with _clock:
        _deadlines.pop(threading.get_ident(), None)
        if deadline_s is not None:
            _deadlines[threading.get_ident()] = deadline_s
        if _deadlines:
            left_s = max(0.001, min(_deadlines.values()) - time.monotonic())
            faulthandler.dump_traceback_later(left_s, exit=True)  # restarts the clock
        else:
            faulthandler.cancel_dump_traceback_later()


class InProcess(Executor):
    """Runs every task at once, where it is submitted."""

    def submit(self, fn: Callable[..., T], /, *args: Any, **kwargs: Any) -> "Future[T]":
        """Return the finished future of a task."""
        future: Future[T] = Future()
        future.set_result(fn(*args, **kwargs))
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Close the environment that this thread holds."""
        if bench := _here.__dict__.pop("bench", None):
            bench.close()


class Processes(Executor):
    """Spawned processes with one thread of arithmetic each; a pool that broke is replaced by the next submit.

    Workers end with this process however it ends, and when `stop` is called, whatever they are doing.
    """

    def __init__(self, workers: int) -> None:
        self._workers = workers
        self._open()

    def _open(self) -> None:
        context = multiprocessing.get_context("spawn")
        watched, self._alive = context.Pipe(duplex=False)
        self._pool = ProcessPoolExecutor(
            self._workers, mp_context=context, initializer=start_worker, initargs=(watched,)
        )

    def submit(self, fn: Callable[..., T], /, *args: Any, **kwargs: Any) -> "Future[T]":
        """Queue a task."""
        with environment(ONE_THREAD_EACH):  # processes start inside submit
            try:
                return self._pool.submit(fn, *args, **kwargs)
            except BrokenExecutor:
                self.stop()
                self._open()
                return self._pool.submit(fn, *args, **kwargs)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """End the workers when they are done."""
        self._pool.shutdown(wait=wait, cancel_futures=cancel_futures)
        self._alive.close()

    def __exit__(self, kind: Any, error: Any, trace: Any) -> None:
        self.stop() if kind else self.shutdown()

    def stop(self) -> None:
        """End the workers now."""
        self._alive.close()
        self._pool.shutdown(wait=False, cancel_futures=True)


@contextmanager
def environment(variables: Mapping[str, str | None]) -> Iterator[None]:
    """Set environment variables for a while (None removes), for what reads them when it starts."""

    def put(values: Mapping[str, str | None]) -> None:
        for name, value in values.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value

    before = {name: os.environ.get(name) for name in variables}
    put(variables)
    try:
        yield
    finally:
        put(before)


def start_worker(watched: Connection) -> None:
    """Begin a spawned process: Ctrl-C does not reach it, and it ends when the other end of the pipe does."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the parent decides
    threading.Thread(target=_end_with_parent, args=(watched,), daemon=True).start()


def _end_with_parent(watched: Connection) -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None  # a worker has one
    wait([watched, parent.sentinel])  # ready when the parent closes its end, or is gone
    os._exit(1)

"""Executors by name: processes, Dask, Slurm and Ray, what plug-ins add, and any function that returns one."""

import importlib
import os
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from typing import Any, TypeVar

from sim2real.errors import Sim2RealError, nearest
from sim2real.perturb.condition import Importable
from sim2real.plugins import plugin, plugins
from sim2real.study.executors import ONE_THREAD_EACH, InProcess, Processes, cores, environment
from sim2real.study.rollout import one_line

T = TypeVar("T")
Opened = Iterator[tuple[Executor, int]]


@contextmanager
def opened(where: Executor | str | None, workers: int | None, folder: Path) -> Opened:
    """Yield an executor and how many tasks it runs at once; what was opened here is closed again.

    Args:
        where: An executor; a name of `EXECUTORS`, with what its function says after a colon; one that an
            installed package gives in the group `sim2real.executors`; or "module:function". The last two are
            called with the number of workers and return an executor. None runs in processes.
        workers: How many tasks at once; 0 runs in this process if no executor is named; None takes as many
            as a cluster has, else one per core.
        folder: Of the study, for what an executor has to write.

    Raises:
        Sim2RealError: If there is no such executor, or it cannot be reached.
    """
    count = cores(workers)
    if isinstance(where, Executor):
        yield where, count
    elif where is None and workers == 0:
        with InProcess() as place:
            yield place, 1
    else:
        kind, _, rest = (where or "processes").partition(":")
        with ExitStack() as stack:
            if found := EXECUTORS.get(kind):
                yield stack.enter_context(found(rest, workers, folder))
            elif (found := plugin("executors", kind)) or rest:
                yield stack.enter_context((found or Importable(str(where)))(count)), count
            else:
                known = nearest(kind, (*EXECUTORS, *plugins("executors")))
                raise Sim2RealError(f"There is no executor '{kind}'; 'module:function' names another.{known}")


@contextmanager
def processes(rest: str, workers: int | None, folder: Path) -> Opened:
    """Spawned processes of this machine."""
    if rest:
        raise Sim2RealError(f"--executor processes takes nothing after it, not ':{rest}'; see --workers.")
    count = cores(workers)
    with Processes(count) as place:
        yield place, count


@contextmanager
def dask(rest: str, workers: int | None, folder: Path) -> Opened:
    """The Dask cluster whose scheduler is at //HOST:PORT, or one of this machine's processes."""
    distributed, config = _library("distributed", "dask"), _library("dask.config", "dask")
    # A task that lost its process is lost at once: whether to try again is decided in one place, the runner, which
    # also says what became of it.
    own = {"threads_per_worker": 1, "dashboard_address": None, "silence_logs": "CRITICAL"}
    with ExitStack() as stack:
        stack.enter_context(config.set({"distributed.scheduler.allowed-failures": 0}))
        try:
            where: Any = f"tcp:{rest}"
            if not rest:
                count = cores(workers)
                where = stack.enter_context(distributed.LocalCluster(n_workers=count, **own))
            client = stack.enter_context(distributed.Client(where))
        except (OSError, ValueError, RuntimeError) as error:
            raise Sim2RealError(f"No Dask scheduler answers at 'dask:{rest}': {one_line(error)}.") from error
        at_once = workers or max(1, sum(client.nthreads().values()))
        yield client.get_executor(pure=False), at_once


@contextmanager
def slurm(rest: str, workers: int | None, folder: Path) -> Opened:
    """Slurm jobs in a PARTITION, with submitit's parameters as in PARTITION,mem_gb=4,timeout_min=60,qos=low.

    Jobs keep their output in the study's folder. `cluster=local` runs them as processes of this machine.
    """
    submitit = _library("submitit", "slurm")
    pairs = [part.rpartition("=") for part in rest.split(",") if part]
    given: dict[str, Any] = {name or "partition": _number(value) for name, _, value in pairs}
    cluster = given.pop("cluster", "slurm")
    try:
        jobs = submitit.AutoExecutor(folder=folder / "jobs", cluster=cluster)
        shared = jobs._typed_parameters()  # what every cluster knows; anything else is Slurm's own
        named = {name if name in shared else f"slurm_{name}": value for name, value in given.items()}
        jobs.update_parameters(**{"name": "sim2real", **named})
    except (RuntimeError, ValueError, NameError, AssertionError) as error:
        raise Sim2RealError(f"Slurm cannot be used as 'slurm:{rest}': {one_line(error)}.") from error
    count = cores(workers)
    with _Jobs(jobs, 2 * count) as place:
        yield place, count


@contextmanager
def ray(rest: str, workers: int | None, folder: Path) -> Opened:
    """The Ray cluster at //HOST:PORT or in RAY_ADDRESS, or one of this machine's processes."""
    library = _library("ray", "ray")
    count = cores(workers)
    own = {} if rest or "RAY_ADDRESS" in os.environ else {"num_cpus": count, "include_dashboard": False}
    with ExitStack() as stack:
        if not library.is_initialized():
            try:
                library.init(address=f"ray:{rest}" if rest else None, **own)
            except (OSError, ValueError, RuntimeError) as error:
                raise Sim2RealError(f"No Ray cluster answers at 'ray:{rest}': {one_line(error)}.") from error
            stack.callback(library.shutdown)
        yield _Remote(library), workers or max(1, int(library.cluster_resources().get("CPU", 1)))


EXECUTORS: dict[str, Callable[[str, int | None, Path], AbstractContextManager[tuple[Executor, int]]]] = {
    "processes": processes,
    "dask": dask,
    "slurm": slurm,
    "ray": ray,
}


class _Jobs(Executor):
    """Runs every task as a job of submitit's, whose end a thread waits for."""

    chunk_s = 600.0  # what makes a place in the queue worth while

    def __init__(self, jobs: Any, at_once: int) -> None:
        self._jobs, self._threads = jobs, ThreadPoolExecutor(at_once)
        self._waited_for: dict[Future[Any], Any] = {}

    def submit(self, fn: Callable[..., T], /, *args: Any, **kwargs: Any) -> "Future[T]":
        """Queue a job; at most as many as there are threads should wait at once."""
        with environment(ONE_THREAD_EACH):  # jobs inherit it
            job = self._jobs.submit(fn, *args, **kwargs)
        future: Future[T] = self._threads.submit(job.result)
        self._waited_for[future] = job
        future.add_done_callback(self._waited_for.pop)
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Wait for the jobs, or end them."""
        for job in list(self._waited_for.values()) if cancel_futures else ():
            job.cancel(check=False)
        self._threads.shutdown(wait, cancel_futures=cancel_futures)

    def __exit__(self, kind: Any, error: Any, trace: Any) -> None:
        self.shutdown(cancel_futures=kind is not None)


class _Remote(Executor):
    """Runs every task as one of Ray's."""

    def __init__(self, library: Any) -> None:
        # Whether to try again is decided in one place, the runner.
        self._call = library.remote(max_retries=0)(_call)

    def submit(self, fn: Callable[..., T], /, *args: Any, **kwargs: Any) -> "Future[T]":
        """Queue a task."""
        future: Future[T] = self._call.remote(fn, args, kwargs).future()
        return future


def _call(function: Callable[..., T], args: tuple[Any, ...], kwargs: dict[str, Any]) -> T:
    return function(*args, **kwargs)


def _library(name: str, extra: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise Sim2RealError(
            f"--executor {extra} needs what `pip install 'sim2real[{extra}]'` brings: {error}."
        ) from error


def _number(text: str) -> int | float | str:
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text

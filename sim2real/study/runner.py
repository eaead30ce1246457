"""Running a study: what is missing goes out in chunks, what returns is committed, what dies is isolated."""

import time
import warnings
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, CancelledError, Executor, Future, wait
from contextlib import contextmanager
from dataclasses import dataclass
from math import ceil
from pathlib import Path
from typing import Any

from sim2real.errors import Sim2RealError
from sim2real.study.backends import opened
from sim2real.study.check import check
from sim2real.study.document import describe
from sim2real.study.executors import process_name, run_trials, send
from sim2real.study.rehearsal import UNPAIRED, identity
from sim2real.study.rollout import Row, blank_row, one_line
from sim2real.study.store import Store, locked
from sim2real.study.study import Study
from sim2real.study.trial import Trial

LIVES = 2  # a chunk lost this often is taken apart
LIVES_ALONE = 3  # a trial lost this often while nothing else ran is given up
STARTS = 5  # workers that may die before they answer
CHUNK_S = 5.0  # seconds of work handed out at once, where an executor names no other number
RETRIED = ("crashed", "timeout")  # perhaps the machine's failures; an "error" would only repeat itself


def run(
    study: Study,
    out: str | Path | None = None,
    *,
    workers: int | None = None,
    executor: Executor | str | None = None,
    trust: bool = False,
    progress: Callable[[int, int, int], None] | None = None,
    chunk_s: float | None = None,
    timeout_s: float | None = None,
    retry: bool = False,
    shard: tuple[int, int] = (1, 1),
    source: Mapping[str, Any] | None = None,
) -> Store:
    """Run the trials of a study that are not recorded yet and return its records; to resume, run again.

    Args:
        study: What to run.
        out: The folder of the records, `runs/<name>` by default.
        workers: Processes; 0 runs in this process, None takes one per core. With an executor: how many tasks
            it runs at once.
        executor: Where to run instead: "dask", "dask://HOST:PORT", "slurm:PARTITION", "ray", the name that a
            plug-in gave, "module:function" (a function of `workers`), or an executor.
        trust: Load policy files that can execute code.
        progress: Called with (done, total, failed) at the start and after every commit.
        chunk_s: Seconds of work handed out at once, None for what suits the executor.
        timeout_s: Wall-clock limit of one episode, in other processes only.
        retry: Run trials again whose process died or whose time ran out.
        shard: (i, n) runs the i-th of n parts, for machines that share nothing; `merge` joins their folders.
        source: {file, attribute, overrides} of the study's file, recorded so that it can be found again.

    Raises:
        Sim2RealError: Before the first episode if the study cannot run or the folder cannot be used.
    """
    folder = Path(out) if out is not None else Path("runs", study.name)
    if any(given is not None and given <= 0 for given in (chunk_s, timeout_s)) or (workers or 0) < 0:
        raise Sim2RealError("workers must not be negative; chunk_s and timeout_s must be positive.")
    part, parts = shard
    if not 1 <= part <= parts:
        raise Sim2RealError(f"A shard is the i-th of n, as 1/4 to 4/4, not {part}/{parts}.")
    trials = [trial for trial in study.trials() if int(trial.key, 16) % parts == part - 1]
    with locked(folder):
        store = Store.create(folder)
        meta = store.meta
        if meta and (found := meta["study"]["name"]) != study.name:
            raise Sim2RealError(f"'{folder}' holds the study '{found}': choose another folder.")
        if retry:
            store.forget(*RETRIED)
        recorded = store.keys()
        missing = [trial for trial in trials if trial.key not in recorded]
        progress = progress or (lambda done, total, failed: None)
        done, failed = len(trials) - len(missing), 0
        with _told(), opened(executor, workers, folder) as (place, at_once):
            known = {
                name: meta.get(name, {})
                for name in ("parameters", "groups", "defaults", "period", "rehearsal")
            }
            if missing or not meta:
                rehearsed = known["rehearsal"].get("of") == identity(study)
                facts = _checked(study, place, trust, not rehearsed, timeout_s)
                known = facts | ({"rehearsal": known["rehearsal"]} if rehearsed else {})
            store.write_meta(describe(study, known, source, meta.get("created")))
            for finding in known["rehearsal"].get("findings", ()):
                warnings.warn(f"{finding['sentence']} {UNPAIRED}", stacklevel=2)
            progress(done, len(trials), failed)
            worth_s: float = getattr(place, "chunk_s", CHUNK_S) if chunk_s is None else chunk_s
            for rows in _execute(missing, place, at_once, trust, worth_s, timeout_s):
                store.add(rows)
                done += len(rows)
                failed += sum(row["status"] != "ok" for row in rows)
                progress(done, len(trials), failed)
    return store


@contextmanager
def _told() -> Iterator[None]:
    """Turn the end of an executor itself, which no task is to blame for, into a sentence."""
    try:
        yield
    except (BrokenExecutor, CancelledError) as error:
        raise Sim2RealError(
            f"The executor broke ({one_line(error).rstrip(': ')}); run again with a new one to continue."
        ) from error


def _checked(
    study: Study, executor: Executor, trust: bool, rehearsing: bool, timeout_s: float | None
) -> dict[str, Any]:
    """Return what `check` finds out; what an episode does to its process is for its record to tell."""
    for life in range(LIVES_ALONE):
        _await_worker(executor)
        sent = send(executor, check, study, trust, rehearsing and not life, timeout_s, process_name())
        if (loss := sent.exception()) is None:
            found = sent.result()
            if isinstance(found, Exception):
                raise found
            return found
        why = one_line(loss).rstrip(".")
    raise Sim2RealError(
        f"The environment or a policy ends the process it is made in ({why}); workers=0 shows where."
    )


def _await_worker(executor: Executor) -> None:
    """Return when a worker answers, so that what dies from now on dies of its task."""
    for _ in range(STARTS):
        if executor.submit(int).exception() is None:
            return
    raise Sim2RealError(
        "Worker processes die as they start. A script must call run() under `if __name__ == '__main__':`."
    )


@dataclass
class _Chunk:
    """Trials handed out together."""

    trials: list[Trial]
    alone: bool = False
    losses: int = 0
    since_s: float = 0.0


class _Queue:
    """What goes out next: lost chunks again, fresh ones, and at the end suspects of a crash one by one."""

    def __init__(self, trials: Sequence[Trial], workers: int, chunk_s: float) -> None:
        self._fresh = deque(trials)
        self._lost: deque[_Chunk] = deque()
        self._suspects: deque[_Chunk] = deque()
        self._shares = 3 * max(workers, 1)
        self._chunk_s = chunk_s
        self._episodes, self._wall_s = 0, 0.0

    def take(self, idle: bool) -> _Chunk | None:
        """Return the next chunk, None if there is none or it has to wait until nothing else runs."""
        if self._lost:
            return self._lost.popleft()
        if self._fresh:
            # Not more than a fraction of what is left, so that all workers finish together.
            worth = self._chunk_s * self._episodes / self._wall_s if self._wall_s else 1
            size = max(1, min(int(worth), ceil(len(self._fresh) / self._shares)))
            return _Chunk([self._fresh.popleft() for _ in range(size)])
        return self._suspects.popleft() if self._suspects and idle else None

    def learn(self, rows: Sequence[Row]) -> None:
        """Take note of how long episodes last."""
        self._episodes += len(rows)
        self._wall_s += sum(row["wall_s"] for row in rows)

    def lose(self, chunk: _Chunk) -> Trial | None:
        """Queue a lost chunk again in whole or in parts; return the trial if it is to be given up."""
        chunk.losses += 1
        if chunk.losses < (LIVES_ALONE if chunk.alone else LIVES):
            (self._suspects if chunk.alone else self._lost).append(chunk)
        elif chunk.alone:
            return chunk.trials[0]
        else:
            self._suspects.extend(_Chunk([trial], alone=True) for trial in chunk.trials)
        return None


def _execute(
    trials: Sequence[Trial],
    executor: Executor,
    workers: int,
    trust: bool,
    chunk_s: float,
    timeout_s: float | None,
) -> Iterator[list[Row]]:
    """Yield rows as they come back."""
    queue = _Queue(trials, workers, chunk_s)
    running: dict[Future[Any], _Chunk] = {}
    try:
        while True:
            while len(running) < max(1, 2 * workers) and (chunk := queue.take(idle=not running)):
                if chunk.alone:
                    _await_worker(executor)
                chunk.since_s = time.monotonic()
                sent = send(executor, run_trials, chunk.trials, trust, timeout_s, process_name())
                running[sent] = chunk
            if not running:
                return
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                chunk = running.pop(future)
                if future.exception() is not None:
                    if trial := queue.lose(chunk):
                        late = timeout_s is not None and time.monotonic() - chunk.since_s >= timeout_s
                        yield [blank_row(trial) | _given_up(late)]
                    continue
                rows = future.result()
                if isinstance(rows, Exception):
                    raise rows
                queue.learn(rows)
                yield rows
    finally:
        for future in running:
            future.cancel()


def _given_up(late: bool) -> Row:
    if late:
        return {"status": "timeout", "error": "The episode ran out of time."}
    return {"status": "crashed", "error": "The process that ran this episode died."}

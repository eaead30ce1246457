"""How far a run has come: a live bar on a terminal, a plain line now and then elsewhere."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

LINE_EVERY_S = 5.0


@contextmanager
def console(name: str) -> Iterator[Callable[[int, int, int], None]]:
    """Yield a function of (done, total, failed) that shows them on standard error."""
    with _bar(name) if sys.stderr.isatty() else _lines(name) as show:
        yield show


@contextmanager
def _bar(name: str) -> Iterator[Callable[[int, int, int], None]]:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    rate = _Rate()
    columns = (
        TextColumn(name), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[rate]:.1f} episodes/s"),
        TimeRemainingColumn(), TextColumn("{task.fields[failed]} failed"),
    )  # fmt: skip
    with Progress(*columns, console=Console(stderr=True)) as bar:
        task = None

        def show(done: int, total: int, failed: int) -> None:
            nonlocal task
            if task is None:
                task = bar.add_task("", total=total, completed=done, rate=0.0, failed=failed)
            bar.update(task, total=total, completed=done, rate=rate(done), failed=failed)

        yield show


@contextmanager
def _lines(name: str) -> Iterator[Callable[[int, int, int], None]]:
    rate = _Rate()
    last_s = -LINE_EVERY_S

    def show(done: int, total: int, failed: int) -> None:
        nonlocal last_s
        now_s, speed = time.monotonic(), rate(done)
        if now_s - last_s < LINE_EVERY_S and done < total:
            return
        last_s = now_s
        left = f", {speed:.1f}/s, {(total - done) / speed:.0f} s left" if speed else ""
        print(f"{name}: {done} of {total} episodes{left}, {failed} failed", file=sys.stderr, flush=True)

    yield show


class _Rate:
    """Episodes per second since the first call, which may come with episodes done before."""

    def __init__(self) -> None:
        self._start: tuple[int, float] | None = None

    def __call__(self, done: int) -> float:
        now_s = time.monotonic()
        self._start = self._start or (done, now_s)
        return (done - self._start[0]) / max(now_s - self._start[1], 1e-9)

"""Ratios within one run: each benchmark times its own yardstick beside it."""

import statistics
import time

import pytest


@pytest.fixture
def compare(benchmark):
    """Time two functions in turn, keep the first with pytest-benchmark, and report the ratio of medians."""

    def run(what, yardstick, *, rounds=200, setup=None):
        times, yardsticks = [], []
        for _ in range(rounds):
            for function, kept in ((what, times), (yardstick, yardsticks)):
                if setup is not None:
                    setup()
                start = time.perf_counter()
                function()
                kept.append(time.perf_counter() - start)
        ratio = statistics.median(times) / statistics.median(yardsticks)
        benchmark.extra_info["ratio"] = round(ratio, 3)
        benchmark.extra_info["us"] = round(statistics.median(times) * 1e6, 1)
        benchmark.pedantic(what, rounds=20)
        print(f"\n{benchmark.name}: {statistics.median(times) * 1e6:.1f} µs, ratio {ratio:.3f}")
        return ratio

    return run

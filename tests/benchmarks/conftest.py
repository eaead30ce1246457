"""Ratios within one run: each benchmark times its own yardstick beside it."""

import statistics
import time

import pybullet
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


@pytest.fixture
def over_physics(benchmark, monkeypatch):
    """Report what a step of an episode takes over its stepSimulation calls, both in processor time."""

    def run(env, actions, *, rounds):
        spent, real = [0.0], pybullet.stepSimulation

        def timed(*args):
            start = time.process_time()
            real(*args)
            spent[0] += time.process_time() - start

        def episode():
            env.reset(seed=0)
            start = time.process_time()
            for action in actions:
                env.step(action)
            return time.process_time() - start

        whole, physics = [], []
        for _ in range(rounds):
            whole.append(episode())
            monkeypatch.setattr(pybullet, "stepSimulation", timed)
            spent[0] = 0.0
            episode()
            physics.append(spent[0])
            monkeypatch.setattr(pybullet, "stepSimulation", real)
        step_us, physics_us = (statistics.median(t) / len(actions) * 1e6 for t in (whole, physics))
        benchmark.extra_info.update(step_us=step_us, physics_us=physics_us, ratio=step_us / physics_us)
        print(
            f"\n{benchmark.name}: {step_us:.0f} µs, physics {physics_us:.0f} µs, ratio {step_us / physics_us:.3f}"
        )
        benchmark.pedantic(lambda: env.step(actions[0]), rounds=50)

    return run

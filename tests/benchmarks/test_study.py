"""The runner's targets: two processes against one, and what running costs beside the episodes themselves."""

import statistics
import time

import pytest

from sim2real import Study, policies
from sim2real.perturb.catalogue import friction, latency
from sim2real.study import run


def study(episodes):
    """A study of whole episodes of the G1 standing, as in the quickstart."""
    return Study(
        name="benchmark",
        env="sim2real:sim2real/Stand-v0",
        policies={"balance": policies.scripted(policies.balance)},
        conditions={
            "late": [latency(0.01)],
            "slippery": [friction(0.3)],
            "both": [latency(0.01), friction(0.3)],
        },
        episodes=episodes,
    )


def seconds(work, out, workers):
    """Wall seconds of a run into an empty folder, and the wall seconds of its episodes."""
    start = time.perf_counter()
    store = run(work, out, workers=workers)
    spent = time.perf_counter() - start
    return spent, sum(row["wall_s"] for row in store.rows())


@pytest.mark.timeout(900)
def test_two_processes_against_one(tmp_path, benchmark):
    """≥ 1.85 × on a study long enough to pay for starting the processes (forty seconds on one)."""
    work, ratios = study(90), []
    for k in range(3):
        one, _ = seconds(work, tmp_path / f"one{k}", 1)
        two, _ = seconds(work, tmp_path / f"two{k}", 2)
        ratios.append(one / two)
    ratio = statistics.median(ratios)
    benchmark.extra_info["speed-up"] = ratio
    print(f"\ntwo processes against one: {ratio:.2f} × (of {sorted(round(r, 2) for r in ratios)})")
    benchmark.pedantic(lambda: None)


def test_overhead_of_the_runner(tmp_path, benchmark):
    """≤ 5 % of the episodes' own time, in the process itself."""
    ratios = []
    for k in range(3):
        whole, episodes = seconds(study(25), tmp_path / str(k), 0)
        ratios.append(whole / episodes)
    ratio = statistics.median(ratios)
    benchmark.extra_info["ratio"] = ratio
    print(f"\na run over its own episodes: {ratio:.3f}")
    benchmark.pedantic(lambda: None)

"""The runner's targets: two processes against one, what running costs beside the episodes, a million rows."""

import sqlite3
import statistics
import time
from contextlib import closing

import pytest

from sim2real import Study, policies
from sim2real.perturb.catalogue import friction, latency
from sim2real.study import Store, run


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
    """≤ 3 % of the episodes' own time, in the process itself: 1 ms an episode, and the check before the first."""
    ratios = []
    for k in range(3):
        whole, episodes = seconds(study(25), tmp_path / str(k), 0)
        ratios.append(whole / episodes)
    ratio = statistics.median(ratios)
    benchmark.extra_info["ratio"] = ratio
    print(f"\na run over its own episodes: {ratio:.3f}")
    benchmark.pedantic(lambda: None)


MILLION = """
WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 999999)
INSERT INTO records (key, status, error, env, policy_sha256, condition, seed, metrics, digest, versions)
SELECT lower(hex(randomblob(16))), 'ok', '', 'Env-v0', 'p', 'c', i, '{"distance_m": 1.2345}',
       hex(randomblob(16)), '{}'
FROM n
"""


def test_what_a_million_rows_cost_a_run_that_goes_on(tmp_path, benchmark):
    """Resume scan ≤ 2 s: opening the store and reading its keys, against SQLite reading as many alone."""
    path = Store.create(tmp_path).path
    with closing(sqlite3.connect(path)) as db, db:
        db.execute("PRAGMA cache_size = -400000")  # kB: keys are random
        db.execute(MILLION)

    def alone():
        with closing(sqlite3.connect(path)) as db:
            db.execute("SELECT key FROM records").fetchall()

    def taken(function):
        start = time.perf_counter()
        function()
        return time.perf_counter() - start

    times = [(taken(Store(tmp_path).keys), taken(alone)) for _ in range(3)]
    scan_s, alone_s = map(statistics.median, zip(*times, strict=True))
    benchmark.extra_info.update(scan_s=scan_s, ratio=scan_s / alone_s)
    print(f"\nthe keys of a million rows: {scan_s:.2f} s, {scan_s / alone_s:.2f} × SQLite alone")
    benchmark.pedantic(lambda: None)

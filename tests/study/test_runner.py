import os
import random
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
import study_toys
from study_toys import OnSeed, cartpole, misshapen, toy

from sim2real import policies
from sim2real.errors import Sim2RealError
from sim2real.perturb import Drift, Wrap, add, scale
from sim2real.study import Store, merge, open_study, run
from sim2real.study.executors import Processes
from sim2real.study.replay import find
from sim2real.study.runner import _Queue

DRIVER = """
import sys
from study_toys import cartpole
from sim2real.study import run
if __name__ == "__main__":
    run(cartpole(episodes=int(sys.argv[2])), sys.argv[1], workers=2, chunk_s=0.1)
"""


# What every executor must stand; the local one stands for Slurm, whose jobs it runs as processes.
slow = pytest.mark.slow
EVERYWHERE = [
    "processes",
    pytest.param("dask", marks=slow),
    pytest.param("ray", marks=slow),
    pytest.param("slurm:cluster=local", marks=slow),
]


@pytest.fixture
def elsewhere(monkeypatch):
    """A function that skips what is not installed; what it starts finds what this process finds."""
    monkeypatch.setenv("PYTHONPATH", environ()["PYTHONPATH"])

    def needs(executor):
        library = {"dask": "distributed", "slurm": "submitit", "ray": "ray"}.get(executor.partition(":")[0])
        if library:
            pytest.importorskip(library)
        return executor

    return needs


def environ():
    """Return the environment of a shell that finds what this process finds."""
    return {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    """The table hash of a study, by its number of episodes, from a run in this process."""
    known = {}

    def table_hash(episodes):
        if episodes not in known:
            folder = tmp_path_factory.mktemp("undisturbed")
            known[episodes] = run(cartpole(episodes=episodes), folder, workers=0).table_hash()
        return known[episodes]

    return table_hash


def ran(study, folder, **options):
    """Run a study and return how many trials that took."""
    seen = []
    run(study, folder, progress=lambda done, total, failed: seen.append(done), **options)
    return seen[-1] - seen[0]


def test_the_table_is_the_same_wherever_trials_run(tmp_path, undisturbed):
    """Processes, threads and this process, small chunks and large, give tables that are equal bit for bit."""
    study = cartpole(episodes=6)
    pool = run(study, tmp_path / "pool", workers=2, chunk_s=0.02)
    with ThreadPoolExecutor(2) as threads:
        other = run(study, tmp_path / "threads", executor=threads, workers=2)
    named = run(study, tmp_path / "named", executor="concurrent.futures:ThreadPoolExecutor", workers=2)
    assert len(pool) == len(other) == len(named) == 2 * 4 * 6
    assert pool.table_hash() == other.table_hash() == named.table_hash() == undisturbed(6)


def test_four_ways_to_run_a_study_give_one_table(tmp_path, elsewhere):
    """Serial, in processes, on Dask, and as merged shards: the same table hash."""
    study = cartpole(episodes=3)
    stores = [
        run(study, tmp_path / "serial", workers=0),
        run(study, tmp_path / "processes", workers=2),
        run(study, tmp_path / "dask", executor=elsewhere("dask"), workers=2),
    ]
    shards = [run(study, tmp_path / f"{i}", workers=0, shard=(i, 3)).folder for i in (1, 2, 3)]
    stores.append(merge(tmp_path / "merged", shards))
    assert {len(store) for store in stores} == {2 * 4 * 3}
    assert len({store.table_hash() for store in stores}) == 1


@pytest.mark.parametrize(
    ("executor", "message"),
    [
        ("dusk", "There is no executor 'dusk'.*Did you mean 'dask'"),
        ("no_module:pool", "'no_module:pool' cannot be imported"),
        ("processes:4", "takes nothing after it, not ':4'"),
        ("slurm:cluster=lokal", "Slurm cannot be used as 'slurm:cluster=lokal'"),
        ("slurm:cluster=local,memgb=2", "Slurm cannot be used.*memgb"),
    ],
)
def test_an_executor_that_cannot_be_opened_is_a_sentence(tmp_path, elsewhere, executor, message):
    """Names, what follows them, and what does not answer: told before any episode."""
    with pytest.raises(Sim2RealError, match=message):
        run(toy(), tmp_path, executor=elsewhere(executor))
    assert len(Store(tmp_path)) == 0


@pytest.mark.parametrize(
    ("executor", "library"), [("dask", "distributed"), ("slurm:gpu", "submitit"), ("ray", "ray")]
)
def test_an_executor_that_is_not_installed_says_how_to_get_it(tmp_path, monkeypatch, executor, library):
    """Each is an extra of its own, imported when it is asked for."""
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(Sim2RealError, match=rf"pip install 'sim2real\[{executor.partition(':')[0]}\]'"):
        run(toy(), tmp_path, executor=executor)


def test_a_scheduler_that_is_not_there_is_a_sentence(tmp_path, elsewhere):
    """Nothing is run, and the address is named."""
    executor = elsewhere("dask") + "://localhost:1"
    from dask import config

    told = pytest.raises(Sim2RealError, match="No Dask scheduler answers at 'dask://localhost:1'")
    with config.set({"distributed.comm.timeouts.connect": "0.5s"}), told:
        run(toy(), tmp_path, executor=executor)


def test_a_plug_in_may_bring_an_executor(tmp_path, monkeypatch):
    """A name of the group sim2real.executors is called with the number of workers."""
    asked = []

    def grid(workers):
        asked.append(workers)
        return ThreadPoolExecutor(workers)

    monkeypatch.setattr(
        "sim2real.study.backends.plugin", lambda kind, name: {("executors", "grid"): grid}[kind, name]
    )
    assert len(run(toy(), tmp_path, executor="grid", workers=3)) == 2
    assert asked == [3]


def test_an_executor_that_ends_is_a_sentence(tmp_path):
    """What is lost with all workers is no trial's fault: told so, and the next run goes on."""

    class Gone(ThreadPoolExecutor):
        left = 5

        def submit(self, fn, /, *args, **kwargs):
            Gone.left -= 1
            future = super().submit(fn, *args, **kwargs) if Gone.left else Future()
            if not Gone.left:
                future.cancel()
                future.set_running_or_notify_cancel()
            return future

    with Gone(1) as place, pytest.raises(Sim2RealError, match="The executor broke"):
        run(toy(episodes=5), tmp_path, executor=place, workers=1)
    assert 0 < (kept := len(Store(tmp_path))) < 5
    assert ran(toy(episodes=5), tmp_path, workers=0) == 5 - kept


@pytest.mark.parametrize("threads", [1, 2])
def test_the_first_deadline_of_any_thread_ends_a_process(threads):
    """A thread that goes on from trial to trial does not put off the end of one that hangs beside it."""
    code = f"""
import threading, time
from sim2real.study.executors import _end_at
def hang():
    _end_at(time.monotonic() + 0.5)
    time.sleep(60)
def work():
    for _ in range(600):
        _end_at(time.monotonic() + 0.5)
        time.sleep(0.1)
    _end_at(None)
for target in (hang, work)[:{threads}]:
    threading.Thread(target=target).start()
"""
    started = time.monotonic()
    assert (
        subprocess.run([sys.executable, "-c", code], env=environ(), stderr=subprocess.DEVNULL).returncode == 1
    )
    assert time.monotonic() - started < 30


def test_running_again_runs_exactly_what_is_missing(tmp_path, undisturbed):
    """More episodes, conditions or policies add their rows; what is there stays, in whatever order it came."""
    one = cartpole(episodes=2, policies={"weak": cartpole().policies["weak"]})
    assert ran(one, tmp_path, workers=0) == 8
    assert ran(one, tmp_path, workers=0) == 0
    assert ran(cartpole(episodes=6), tmp_path, workers=0) == 40
    assert Store(tmp_path).table_hash() == undisturbed(6)


def test_shards_are_disjoint_complete_and_merge_in_any_order(tmp_path, undisturbed):
    """The parts share no trial, together they are the study, and joined they are its table bit for bit."""
    folders = [tmp_path / f"part{i}" for i in (1, 2, 3)]
    for i, folder in enumerate(folders, start=1):
        run(cartpole(episodes=6), folder, workers=0, shard=(i, 3))
    keys = [Store(folder).keys() for folder in folders]
    assert all(keys)
    assert sum(map(len, keys)) == len(set().union(*keys)) == len(cartpole(episodes=6).trials())
    for name, order in (("forth", folders), ("back", folders[::-1]), ("twice", folders * 2)):
        assert merge(tmp_path / name, order).table_hash() == undisturbed(6)
    assert ran(cartpole(episodes=6), tmp_path / "back", workers=0) == 0
    assert open_study(tmp_path / "forth")[0] == open_study(folders[0])[0]


def test_only_parts_of_one_study_are_merged(tmp_path):
    """Another study's folder, and a part that is none, are refused with nothing written."""
    for episodes in (1, 2):
        run(cartpole(episodes=episodes), tmp_path / str(episodes), workers=0)
    with pytest.raises(Sim2RealError, match="hold different studies"):
        merge(tmp_path / "both", [tmp_path / "1", tmp_path / "2"])
    assert len(Store(tmp_path / "both")) == 0
    with pytest.raises(Sim2RealError, match="not 4/3"):
        run(cartpole(), tmp_path / "part", shard=(4, 3))


def test_rows_are_kept_when_a_run_is_interrupted(tmp_path, undisturbed):
    """What was committed before Ctrl-C is not run again."""

    def interrupt(done, total, failed):
        if done >= 10:
            raise KeyboardInterrupt

    for workers in (0, 2):
        with pytest.raises(KeyboardInterrupt):
            run(cartpole(episodes=6), tmp_path, workers=workers, chunk_s=0.01, progress=interrupt)
    kept = len(Store(tmp_path))
    assert 10 <= kept < 48
    assert ran(cartpole(episodes=6), tmp_path, workers=0) == 48 - kept
    assert Store(tmp_path).table_hash() == undisturbed(6)


def test_an_interrupted_run_does_not_wait_for_its_workers(tmp_path):
    """Ctrl-C ends episodes that would go on for a minute."""
    seeds = [cell.trial.seed for cell in toy(episodes=6).cells()]
    study, started = toy(OnSeed, {"seeds": seeds[2:], "deed": "hang"}, episodes=6), time.monotonic()

    def interrupt(done, total, failed):
        if done:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(study, tmp_path, workers=2, progress=interrupt)
    assert time.monotonic() - started < 30
    assert len(Store(tmp_path)) in (1, 2)


def test_workers_compute_in_one_thread():
    """Arithmetic libraries are told so before they load; this process's environment stays as it is."""
    before = dict(os.environ)
    with Processes(1) as place:
        assert place.submit(os.getenv, "OMP_NUM_THREADS").result() == "1"
    assert dict(os.environ) == before


def test_a_script_that_runs_a_study_unguarded_is_told_so(tmp_path):
    """Spawned workers import the script; without a main guard they would run it again."""
    (tmp_path / "script.py").write_text(DRIVER.replace('if __name__ == "__main__":', "if True:"))
    command = [sys.executable, str(tmp_path / "script.py"), str(tmp_path / "run"), "2"]
    shown = subprocess.run(command, env=environ(), capture_output=True, text=True, timeout=120)
    assert shown.returncode == 1
    assert "must call run() under `if __name__ == '__main__':`" in shown.stderr


@pytest.mark.timeout(900)  # submitit takes its time to notice a death
@pytest.mark.parametrize("executor", EVERYWHERE)
def test_a_trial_that_kills_its_process_is_isolated(tmp_path, elsewhere, executor):
    """It alone is recorded as crashed, again only with retry; every other trial is as if it had never been."""
    seeds = [cell.trial.seed for cell in toy(episodes=12).cells()]
    study = toy(OnSeed, {"seeds": [seeds[3]], "deed": "kill"}, episodes=12)
    store = run(study, tmp_path, executor=elsewhere(executor), workers=2)
    assert {row["seed"] for row in store.rows() if row["status"] == "crashed"} == {seeds[3]}
    assert sum(row["status"] == "ok" for row in store.rows()) == 11
    assert ran(study, tmp_path, workers=2) == 0
    assert ran(study, tmp_path, workers=1, retry=True) == 1


@pytest.mark.timeout(900)  # submitit takes its time to notice a death
@pytest.mark.parametrize("executor", EVERYWHERE)
def test_an_episode_that_never_ends_runs_out_of_time(tmp_path, elsewhere, executor):
    """With a time-out a hanging trial is recorded as such, and the rest is run."""
    seeds = [cell.trial.seed for cell in toy(episodes=3).cells()]
    study = toy(OnSeed, {"seeds": seeds[:1], "deed": "hang"}, episodes=3)
    rows = run(study, tmp_path, executor=elsewhere(executor), workers=1, timeout_s=0.5).rows()
    assert {row["seed"]: row["status"] for row in rows} == dict.fromkeys(seeds, "ok") | {seeds[0]: "timeout"}


def test_a_failing_policy_fills_its_rows_and_stops_nothing(tmp_path):
    """Errors inside episodes are rows, they are kept, and they are counted."""
    counts = []
    study = toy(misshapen, episodes=3)
    run(study, tmp_path, workers=0, progress=lambda *count: counts.append(count))
    assert counts[-1] == (3, 3, 3)
    assert ran(study, tmp_path, workers=0, retry=True) == 0


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"env": "Nowhere-v0"}, "Environment 'Nowhere-v0' cannot be made"),
        ({"env_kwargs": {"lenth": 3}}, "cannot be made.*lenth"),
        ({"policies": {"p": policies.scripted(study_toys.picky)}}, "Policy 'p': .*needs a robot"),
        ({"conditions": {"c": [scale("parameter:gian", 2.0)]}}, "Condition 'c': .*gian"),
        ({"conditions": {"c": [add("observation:9", 1.0)]}}, "Condition 'c': "),
        ({"conditions": {"c": [Wrap(study_toys.torn, label="w")]}}, "(?s)torn.*Condition 'c' cannot be used"),
        (
            {"conditions": {"c": [Wrap(study_toys.Repeated, label="w"), add("action", Drift(0.1, 1.0))]}},
            "Condition 'c': .*control_period_s says 0.1 s, but a count of 2 steps in one says 0.2 s: give period_s",
        ),
    ],
)
@pytest.mark.parametrize("workers", [0, 1])
def test_what_cannot_run_is_told_before_any_episode(tmp_path, changes, message, workers):
    """The sentence names the policy or the condition, and nothing is recorded."""
    with pytest.raises((Sim2RealError, RuntimeError), match=message):
        run(toy(parameters=study_toys.gain, **changes), tmp_path, workers=workers)
    assert len(Store(tmp_path)) == 0


def test_one_folder_belongs_to_one_study(tmp_path):
    """Another study's name on the folder is refused, as are impossible numbers."""
    run(toy(), tmp_path, workers=0)
    with pytest.raises(Sim2RealError, match="holds the study 'toy'"):
        run(toy(name="other"), tmp_path, workers=0)
    for wrong in ({"workers": -1}, {"chunk_s": 0.0}, {"timeout_s": -1.0}):
        with pytest.raises(Sim2RealError, match="must be positive"):
            run(toy(), tmp_path, **wrong)


def test_the_folder_alone_tells_what_was_run(tmp_path):
    """Study, keys, versions and parameters are read back from study.json."""
    study = cartpole(episodes=2)
    run(study, tmp_path, workers=0, source={"file": "x.py", "attribute": "study", "overrides": []})
    again, store = open_study(tmp_path)
    assert again == study
    meta = store.meta
    keys = {key for runs in meta["keys"].values() for run in runs for cell in run.values() for key in cell}
    assert keys == store.keys()
    assert meta["parameters"]["pole.length"]["nominal"] == 0.5
    assert meta["versions"].keys() >= {"python", "numpy", "gymnasium", "sim2real", "platform"}
    created = meta["created"]
    run(replace(study, episodes=3), tmp_path, workers=0)
    assert store.meta["created"] == created
    trial, row = find(again, store, sorted(keys)[0][:12])
    assert trial.key == row["key"] == sorted(keys)[0]
    with pytest.raises(Sim2RealError, match="key that starts with"):
        find(again, store, "")


def test_chunks_grow_to_their_worth_and_shrink_to_the_end():
    """Chunks start at one trial, follow the measured time, and leave every worker something at the end."""
    trials = cartpole(episodes=100).trials()
    queue, sizes = _Queue(trials, workers=2, chunk_s=1.0), []
    while chunk := queue.take(idle=True):
        sizes.append(len(chunk.trials))
        queue.learn([{"wall_s": 0.02}] * len(chunk.trials))
    assert sizes[0] == 1
    assert max(sizes) == 50
    assert sizes[-6:] == [1] * 6
    assert sum(sizes) == len(trials)


def workers_of(pid):
    """Return the ids of a process's spawned workers."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            parent = int(stat.read_text().rpartition(")")[2].split()[1])
            if parent == pid and b"spawn_main" in (stat.parent / "cmdline").read_bytes():
                found.append(int(stat.parent.name))
        except (OSError, IndexError):
            continue
    return found


def kill_workers(folder, kills, episodes, rng, executor="processes"):
    """Run a study in this process while its workers are killed at random; return how many were."""
    done, begun, ended = 0, threading.Event(), threading.Event()

    def kill():
        nonlocal done
        begun.wait()  # where no worker ever starts, nothing can be run
        while done < kills and not ended.wait(rng.uniform(0.4, 1.5)):
            if victims := workers_of(os.getpid()):
                os.kill(rng.choice(victims), signal.SIGKILL)
                done += 1
                if done % 2:  # every other one can strike workers as they start, on a slow machine, too
                    begun.clear()
                    begun.wait()

    killer = threading.Thread(target=kill)
    killer.start()
    try:
        run(
            cartpole(episodes=episodes),
            folder,
            executor=executor,
            workers=2,
            chunk_s=0.2,
            progress=lambda *_: begun.set(),
        )
    finally:
        begun.set()
        ended.set()
        killer.join()
    return done


def kill_parent(folder, episodes, rng):
    """Start a study twice and kill its process at random, then let it end; return how often it was killed."""
    folder.mkdir()
    (script := folder / "driver.py").write_text(DRIVER)
    command = [sys.executable, str(script), str(folder), str(episodes)]
    done = 0
    for _ in range(2):
        process = subprocess.Popen(command, env=environ(), stderr=subprocess.DEVNULL)
        time.sleep(rng.uniform(0.3, 2.5))
        workers = workers_of(process.pid)
        done += process.poll() is None
        process.kill()
        process.wait()
        deadline = time.monotonic() + 10
        while any(Path(f"/proc/{pid}").exists() for pid in workers):
            assert time.monotonic() < deadline, "a worker outlived its parent"
            time.sleep(0.05)
    subprocess.run(command, env=environ(), check=True)
    return done


linux = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="finds processes in /proc")


@linux
@pytest.mark.parametrize("executor", EVERYWHERE[:2])
def test_killed_workers_change_nothing(tmp_path, elsewhere, undisturbed, executor):
    """SIGKILL of workers at random moments leaves the table as an undisturbed run makes it."""
    assert kill_workers(tmp_path, 2, 100, random.Random(0), elsewhere(executor)) >= 1
    assert Store(tmp_path).table_hash() == undisturbed(100)


@linux
def test_of_two_runs_in_one_folder_one_goes_on(tmp_path, undisturbed):
    """Started together, one is told that the other is writing, and the other's table is as if alone."""
    (script := tmp_path / "driver.py").write_text(DRIVER)
    command = [sys.executable, str(script), str(tmp_path / "run"), "100"]
    both = [subprocess.Popen(command, env=environ(), stderr=subprocess.PIPE, text=True) for _ in range(2)]
    told = [process.communicate(timeout=120)[1] for process in both]
    assert sorted(process.returncode for process in both) == [0, 1]
    assert [bool(text) for text in told] == [bool(process.returncode) for process in both]
    assert "Another run is writing to" in "".join(told)
    assert Store(tmp_path / "run").table_hash() == undisturbed(100)


def test_a_full_disk_loses_nothing_that_was_recorded(tmp_path):
    """Where no more can be written the run ends with a sentence; with room again, it goes on from there."""
    resource = pytest.importorskip("resource")
    study, counts, limits = toy(episodes=400), [0], resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        for room_kb in (2, 60):
            resource.setrlimit(resource.RLIMIT_FSIZE, (room_kb * 1024, limits[1]))
            with pytest.raises(Sim2RealError, match="cannot be used|cannot hold|cannot be written"):
                run(study, tmp_path / "full", workers=0, progress=lambda done, *_: counts.append(done))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert 0 < max(counts) < 400
    assert ran(study, tmp_path / "full", workers=0) == 400 - max(counts)
    assert Store(tmp_path / "full").table_hash() == run(study, tmp_path / "roomy", workers=0).table_hash()


def test_a_clock_that_jumps_changes_nothing(tmp_path, undisturbed, monkeypatch):
    """Dates may go back or ahead by years while a study runs: no number, no order depends on them."""
    real, jumps = time.time, random.Random(3)
    monkeypatch.setattr(time, "time", lambda: real() + jumps.uniform(-1e8, 1e8))
    for episodes in (3, 6):
        store = run(cartpole(episodes=episodes), tmp_path, workers=0, timeout_s=60)
    assert store.table_hash() == undisturbed(6)
    assert all(0 <= row["wall_s"] < 60 for row in store.rows())


@linux
def test_a_killed_parent_loses_nothing_it_recorded(tmp_path, undisturbed):
    """SIGKILL of the parent ends its workers, and running again completes the same table."""
    assert kill_parent(tmp_path / "run", 100, random.Random(0)) >= 1
    assert Store(tmp_path / "run").table_hash() == undisturbed(100)


@linux
@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_150_killed_workers_change_nothing(tmp_path, undisturbed):
    """As above, 150 times."""
    rng, done = random.Random(1), 0
    while done < 150:
        folder = tmp_path / str(done)
        done += kill_workers(folder, 150 - done, 400, rng)
        assert Store(folder).table_hash() == undisturbed(400)


@linux
@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_fifty_killed_parents_lose_nothing(tmp_path, undisturbed):
    """As above, fifty times."""
    rng, done = random.Random(2), 0
    while done < 50:
        folder = tmp_path / str(done)
        done += kill_parent(folder, 400, rng)
        assert Store(folder).table_hash() == undisturbed(400)

import csv
import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace

import numpy as np
import pytest
from training_toys import NOISE, toy

from sim2real import policies
from sim2real.errors import Sim2RealError
from sim2real.safety import RateLimit, Terminate
from sim2real.study.rollout import Bench
from sim2real.study.seeds import episode_seed
from sim2real.study.trial import Trial
from sim2real.training import Competence, Ppo, Sac
from sim2real.training.run import evaluate, train

SAC = Sac(memory=600, warm_up=400, batch=32, updates=1)
MADE = ("policy.safetensors", "policy.onnx", "policy.toml", "curve.csv", "training.json", "checkpoint.pt")


def results(folder):
    """Return what a run ends with, but for wall time."""
    with (folder / "curve.csv").open() as file:
        rows = [
            {k: v for k, v in row.items() if k not in ("wall_s", "steps_per_s")}
            for row in csv.DictReader(file)
        ]
    return rows, [(folder / name).read_bytes() for name in MADE[:3]]


class Stop(Exception):
    pass


def stop_after(count):
    """Return a progress function that interrupts a run after some stretches."""
    left = [count]

    def progress(training, seed, row):
        left[0] -= 1
        if not left[0]:
            raise Stop

    return progress


@pytest.mark.parametrize(
    ("algorithm", "after"),
    [(toy().algorithm, 1), (toy().algorithm, 3), (SAC, 1)],
    ids=["1-ppo", "3-ppo", "1-sac"],
)
def test_an_interrupted_run_ends_with_the_same_bits(tmp_path, algorithm, after):
    """Weights, curve and evaluations do not tell whether a run was interrupted, at any checkpoint."""
    training = toy(algorithm=algorithm)
    train(training, 3, tmp_path / "straight")
    with pytest.raises(Stop):
        train(training, 3, tmp_path / "broken", progress=stop_after(after))
    train(training, 3, tmp_path / "broken")
    assert results(tmp_path / "straight") == results(tmp_path / "broken")


def test_a_killed_run_ends_with_the_same_bits_however_many_processes(tmp_path):
    """After SIGKILL in the middle of a stretch the same command goes on, and worker processes change nothing."""
    config, out = tmp_path / "config.py", tmp_path / "out"
    config.write_text(
        "from training_toys import toy\n\ndef training(processes: int): return toy(processes=processes)"
    )
    command = [sys.executable, "-m", "sim2real", "train", config, "--seed", "3", "--out", out]
    place = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    running = subprocess.Popen([*command, "processes=2"], env=place)
    while not (out / "seed-3" / "checkpoint.pt").exists():
        time.sleep(0.005)
        assert running.poll() is None
    running.send_signal(signal.SIGKILL)
    assert running.wait() == -signal.SIGKILL
    done = subprocess.run([*command, "processes=1"], env=place, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "of 0.00 M steps" in done.stderr
    train(toy(), 3, tmp_path / "straight")
    assert results(tmp_path / "straight") == results(out / "seed-3")
    assert sorted(path.name for path in (out / "seed-3").iterdir()) == sorted((*MADE, "config.py"))


def test_another_training_or_seed_is_not_gone_on_with(tmp_path):
    """A folder belongs to one training and one seed, and says so; more steps are the same training."""
    short = toy(steps=256, competence=None)
    train(short, 0, tmp_path)
    with pytest.raises(Sim2RealError, match="another training or seed"):
        train(short, 1, tmp_path)
    with pytest.raises(Sim2RealError, match="another training or seed"):
        train(replace(short, network=(8,)), 0, tmp_path)
    train(replace(short, steps=512), 0, tmp_path)
    assert [row["steps"] for row in results(tmp_path)[0]] == ["256", "512"]


def test_seeds_differ(tmp_path):
    """Runs of two seeds learn different weights."""
    one, two = (train(toy(steps=256), seed, tmp_path / str(seed)) for seed in (0, 1))
    assert policies.file(one).sha256 != policies.file(two).sha256


def test_learning_learns_and_stops_when_competent(tmp_path):
    """A task that can be learnt is learnt, and no step is taken after the evaluation that shows it."""
    asked = Competence(at_least={"success": 0.9}, at_most={"far_m": 0.4}, every=512, episodes=20)
    training = toy(
        algorithm=Ppo(rollout=64, batch=64, epochs=8, learning_rate=3e-3, discount=0.9),
        perturbations=(), curriculum=None, wrappers=(), steps=40_000, checkpoint=512, competence=asked,
    )  # fmt: skip
    path = train(training, 0, tmp_path)
    rows, _ = results(tmp_path)
    assert float(rows[0]["evaluated success"]) < 0.9
    assert float(rows[-1]["evaluated success"]) >= 0.9
    assert float(rows[-1]["return"]) > float(rows[0]["return"])
    assert int(rows[-1]["steps"]) < training.steps
    assert asked.met(evaluate(training, path))
    assert train(training, 0, tmp_path) == path
    assert results(tmp_path)[0] == rows


def test_what_is_exported_says_what_it_saw_and_what_it_cost(tmp_path):
    """The file's contract holds environment and conditions met in training, steps, seed and cost of the curve."""
    wide = toy(curriculum=None, steps=512, env_kwargs={"max_episode_steps": 20})
    contract = policies.file(train(wide, 4, tmp_path)).contract
    assert contract.seen == (NOISE,)
    rows, _ = results(tmp_path)
    assert contract.training["cost"] == pytest.approx(sum(float(row["cost"]) for row in rows))
    assert contract.training["cost"] > 0
    assert (contract.training["seed"], contract.training["steps"]) == (4, 512)
    assert contract.training["wrappers"] == ("remembering",)
    assert json.loads(contract.training["env_kwargs"]) == {"max_episode_steps": 20}


@pytest.mark.parametrize("algorithm", [toy().algorithm, SAC], ids=["ppo", "sac"])
def test_native_and_onnx_files_compute_the_same(tmp_path, algorithm):
    """Both exports of a network with a normaliser agree, on inputs beyond its clip too."""
    native = policies.file(train(toy(algorithm=algorithm, steps=512), 0, tmp_path)).load()
    onnx = policies.file(tmp_path / "policy.onnx", contract=tmp_path / "policy.toml").load()
    for x in np.random.default_rng(0).normal(0, 5, (20, 2)).astype(np.float32):
        np.testing.assert_allclose(native(x), onnx(x), rtol=1e-5, atol=1e-5)


def test_a_damaged_export_does_not_load(tmp_path):
    """An ONNX file whose weights changed no longer computes its golden output, and says so."""
    train(toy(steps=256), 0, tmp_path)
    path = tmp_path / "policy.onnx"
    data = path.read_bytes()
    bias = policies.file(tmp_path / "policy.safetensors").load().tensors["1.bias"].tobytes()
    path.write_bytes(data.replace(bias, np.float32([1, 2]).tobytes()))
    with pytest.raises(Sim2RealError, match="golden"):
        policies.file(path).load()


def test_evaluation_is_a_study_of_the_file(tmp_path):
    """An evaluation's means are those of the trials of a study with the same seeds."""
    training = toy(steps=256, competence=Competence(episodes=3, condition=NOISE))
    path = train(training, 0, tmp_path)
    trial = Trial(policy=policies.file(path), env=training.env, condition=(*NOISE, *training.wrappers))
    returns = [Bench().run(replace(trial, seed=episode_seed(0, k)))["return"] for k in range(3)]
    assert evaluate(training, path)["return"] == pytest.approx(np.mean(returns))


def test_constraints_end_episodes_in_training_alone(tmp_path):
    """What a mode does to an episode is not done to those that are evaluated; shields and counts stay."""
    asked = Competence(at_least={"success": 2.0}, every=256, episodes=4)
    training = toy(mode=Terminate(), shields=(RateLimit(change=0.05),), steps=256, competence=asked)
    path = train(training, 0, tmp_path)
    (row,), _ = results(tmp_path)
    assert float(row["length"]) < 20
    assert float(row["evaluated length"]) == 20
    assert float(row["interventions"]) > 0
    policy = policies.file(path)
    assert policy.contract.training["mode"] == "Terminate(budget=0.0)"
    assert policy.shields == policy.contract.shields == training.shields
    assert policy.behind().shields == ()
    assert policy.behind().sha256 == policy.sha256


def test_an_unknown_criterion_is_refused(tmp_path):
    """A criterion that no episode measures is named, with the nearest that is."""
    with pytest.raises(Sim2RealError, match="Did you mean 'far_m'"):
        train(toy(steps=512, competence=Competence(at_most={"far": 1.0}, every=256, episodes=1)), 0, tmp_path)

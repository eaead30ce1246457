import sys

import gymnasium as gym
import pytest

from sim2real import policies
from sim2real.errors import Sim2RealError
from sim2real.study import Trial
from sim2real.study.executors import Processes, run_trials, send
from sim2real.study.load import load_study

LINE = """
import gymnasium as gym, numpy as np
class Line(gym.Env):
    observation_space = action_space = gym.spaces.Box(-1, 1, (1,), np.float32)
    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        return np.zeros(1, np.float32), {}
    def step(self, action):
        return np.zeros(1, np.float32), 1.0, False, True, {}
"""
STUDY = """
from sim2real import Study, policies
def still(env):
    return lambda observation: observation
study = Study(name="s", env=ENV, policies={"still": policies.scripted(still)}, metric="return", competent=0)
"""
WAYS = {
    "a neighbour's, by name": ("import neighbour\nENV = 'Neighbour-v0'", "Neighbour-v0"),
    "a neighbour's class": ("import other\nENV = 'Other-v3'", "Other-v3"),
    "a class of its own": (LINE + "gym.register('Own-v0', entry_point=Line)\nENV = 'Own-v0'", "Own-v0"),
    "a function without a name": (
        LINE + "gym.register('Unnamed-v0', entry_point=lambda **_: Line())\nENV = 'Unnamed-v0'",
        "Unnamed-v0",
    ),
    "the module in the id": ("ENV = 'neighbour:Neighbour-v0'", "Neighbour-v0"),
}


@pytest.fixture(scope="module")
def worker():
    with Processes(1) as place:
        yield place


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder with two modules that register environments, forgotten after the test."""
    register = "gym.register('{}', entry_point={})"
    (tmp_path / "neighbour.py").write_text(LINE + register.format("Neighbour-v0", "'neighbour:Line'"))
    (tmp_path / "other.py").write_text(LINE + register.format("Other-v3", "Line"))
    monkeypatch.setattr(sys, "path", [*sys.path])
    known = set(gym.registry)
    yield tmp_path
    for name in ("neighbour", "other", "study_s"):
        sys.modules.pop(name, None)
    for id in set(gym.registry) - known:
        del gym.registry[id]


@pytest.mark.parametrize("way", WAYS)
def test_what_a_study_registers_is_registered_in_its_workers(way, worker, folder):
    """However a study's file comes by its environment, a spawned process that never saw it plays the same episode."""
    text, id = WAYS[way]
    (folder / "s.py").write_text(text + STUDY)
    trials = load_study(str(folder / "s.py"))[0].trials()
    here = run_trials(trials, False, None, "")
    there = send(worker, run_trials, trials, False, None, "").result()
    assert worker.submit(forget, id).result()
    assert [(row["error"], row["digest"]) for row in there] == [("", row["digest"]) for row in here]


def forget(id):
    """Forget a study in a worker, and tell whether its environment was registered there."""
    for name in ("neighbour", "other", "study_s"):
        sys.modules.pop(name, None)
    return gym.registry.pop(id, None) is not None


def test_what_no_other_process_can_find_is_one_sentence(worker):
    """An environment that only this process can make is named with what would make it found."""
    gym.register("Here-v0", entry_point=lambda **_: None)
    trial = Trial(policy=policies.scripted(policies.zero), env="Here-v0")
    try:
        found = send(worker, run_trials, [trial], False, None, "").result()
    finally:
        del gym.registry["Here-v0"]
    assert isinstance(found, Sim2RealError)
    assert "module:Here-v0" in str(found)
    assert "\n" not in str(found)

import pickle
import shutil
import subprocess
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
from training_toys import toy

from sim2real.errors import Sim2RealError
from sim2real.perturb import Wrap
from sim2real.perturb.curriculum import ByCompetence
from sim2real.safety import Penalise, RateLimit, Saute, Terminate, joint_velocity
from sim2real.study.load import load_module
from sim2real.training import Competence, Imitate, Ppo, Sac


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"steps": 0}, "'steps' must be positive"),
        ({"processes": 5}, "4 environments need 0 to as many processes"),
        ({"network": ()}, "at least one hidden layer"),
        ({"activation": "relo"}, "Did you mean 'relu'"),
        ({"perturbations": (Wrap(toy, label="x"),)}, "put .* into wrappers"),
        ({"algorithm": Ppo(mirror=True)}, "normalise knows no mirror images"),
        ({"mode": Saute(budget=1.0)}, "what no contract names"),
        ({"env": "Nothing-v0"}, None),
    ],
)
def test_what_cannot_be_trained_is_one_sentence(changes, says):
    """A wrong value is refused when it is stated; an unknown environment is not looked for before it is needed."""
    if says is None:
        toy(**changes)
    else:
        with pytest.raises(Sim2RealError, match=says):
            toy(**changes)


@pytest.mark.parametrize("options", [{"discount": 1.5}, {"gae": 0.0}, {"batch": 0}, {"kl": -1.0}])
def test_wrong_options_of_an_algorithm_are_refused(options):
    """Shares lie in (0, 1] and counts and rates are positive."""
    with pytest.raises(Sim2RealError, match=next(iter(options))):
        Ppo(**options)
    with pytest.raises(Sim2RealError, match="polyak"):
        Sac(polyak=2.0)


def test_a_configuration_loads_nothing_heavy():
    """What states a training comes without torch, which loads where it learns, and without the engine."""
    heavy = ("torch", "stable_baselines3", "pybullet")
    code = f"import sys, sim2real.training; print([name for name in {heavy} if name in sys.modules])"
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert shown.stdout.strip() == "[]"


def test_identity_is_what_decides_what_is_learnt():
    """How long, how often, where and under what name does not change it; all else does."""
    training = toy()
    same = replace(training, name="x", steps=5, seeds=(7,), processes=2, competence=None)
    assert same.identity == training.identity == pickle.loads(pickle.dumps(training)).identity
    others = [
        replace(training, **change)
        for change in (
            {"perturbations": training.perturbations[:1]},
            {"curriculum": partial(ByCompetence, raise_above=0.5)},
            {"curriculum": partial(ByCompetence, raise_above=0.6)},
            {"wrappers": ()},
            {"mode": Penalise(weight=1.0)},
            {"mode": Terminate(budget=1.0)},
            {"constraints": (joint_velocity(),)},
            {"shields": (RateLimit(change=0.1),)},
            {"algorithm": Ppo()},
            {"algorithm": Sac()},
            {"reward_scale": 0.5},
            {"environments": 8},
            {"checkpoint": 512},
            {"env_kwargs": {"length": 3}},
            {"period_s": 0.2},
        )
    ]
    assert len({training.identity, *(other.identity for other in others)}) == 1 + len(others)


def test_identity_follows_what_is_read(tmp_path):
    """A robot given by path and a teacher that is written for it are part of a training by their content."""
    robot, teacher = tmp_path / "mine", tmp_path / "teaching_mine.py"
    shutil.copytree(Path(__file__).parents[2] / "robots" / "panda", robot)
    teacher.write_text("def teach(env):\n    return None\n")

    def identity() -> str:
        algorithm = Imitate(teacher=load_module(teacher).teach)
        return toy(env_kwargs={"robot": str(robot)}, algorithm=algorithm).identity

    found = [identity()]
    for path in (robot / "robot.toml", teacher):
        path.write_text(path.read_text() + "\n")
        found.append(identity())
    assert len(set(found)) == 3
    (robot / "README.md").write_text("")
    assert identity() == found[-1]


def test_competence_needs_every_bound_and_at_least_one():
    """Bounds are inclusive and all must hold; without any nothing is ever good enough."""
    asked = Competence(at_least={"success": 0.9}, at_most={"error": 0.1})
    assert asked.met({"success": 0.9, "error": 0.1})
    assert not asked.met({"success": 0.8, "error": 0.1})
    assert not asked.met({"success": 0.9, "error": 0.2})
    assert not Competence().met({"success": 1.0})

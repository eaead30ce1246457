"""The study of two simulators asks the same in both."""

from pathlib import Path

import pytest

from sim2real import Sim2RealError
from sim2real.perturb import Make, makes
from sim2real.study import NOMINAL
from sim2real.study.check import check
from sim2real.study.load import load_study

FILE = str(Path(__file__).parents[2] / "studies" / "cross_simulator.py")


@pytest.mark.parametrize("task", ["Reach", "Grasp"])
def test_every_condition_starts_in_both(task):
    """Each has a counterpart that differs in the engine alone, and every episode can begin."""
    study, _ = load_study(f"{FILE}:expert", [f"task={task}"])
    here = [items for items in study.conditions.values() if not makes(items)]
    there = [items for items in study.conditions.values() if makes(items)]
    assert all(makes(items) == {"engine": "mujoco"} for items in there)
    assert here == [tuple(item for item in items if not isinstance(item, Make)) for items in there]
    assert study.conditions[NOMINAL] in here
    assert check(study, False)["defaults"] == {"engine": "bullet"}


def test_a_walk_is_asked_for_by_its_file():
    """Without a policy there is nothing to study, in one sentence."""
    with pytest.raises(Sim2RealError, match="Name what shall walk"):
        load_study(FILE)

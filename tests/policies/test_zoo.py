"""The policies that come with the studies: what each says of itself holds."""

import csv
import json
import math
from pathlib import Path

import pytest

from sim2real import policies
from sim2real.study.load import load_module
from sim2real.study.rollout import Bench
from sim2real.study.seeds import episode_seed
from sim2real.study.trial import Trial

ZOO = sorted((Path(__file__).parents[2] / "studies/policies/hands").glob("*.safetensors"))
TARGETS = {"reach": 0.95, "push": 0.95, "grasp": 0.9}


@pytest.mark.parametrize("path", ZOO, ids=lambda path: path.stem)
def test_a_file_tells_what_it_is(path):
    """Name, seed, what was seen, steps of its curve and success in nominal episodes agree, and it is small."""
    task, kind, seed = path.stem.split("-")
    contract = policies.file(path).contract
    told = contract.training
    with path.with_suffix(".csv").open() as file:
        last = list(csv.DictReader(file))[-1]
    assert (told["name"], f"seed{told['seed']}") == (f"{task}-{kind}", seed)
    assert bool(*contract.seen) == (kind == "randomised")
    assert int(last["steps"]) == told["steps"]
    assert float(last["evaluated success"]) == told["evaluated success"] >= TARGETS[task]
    assert path.stat().st_size < 300_000


@pytest.mark.parametrize("path", [path for path in ZOO if "-seed0" in path.name], ids=lambda path: path.stem)
def test_it_does_what_it_says(path):
    """Of the first four episodes it was evaluated in, no more fail than a tenth makes likely: one."""
    policy = policies.file(path)
    told = policy.contract.training
    where = {"env": told["env"], "env_kwargs": json.loads(told["env_kwargs"])}
    bench = Bench()
    rows = [bench.run(Trial(policy=policy, seed=episode_seed(0, k), **where)) for k in range(4)]
    bench.close()
    assert sum(row["success"] for row in rows) >= 3
    assert all(math.isclose(row["duration_s"], 4.0) for row in rows)


STUDIES = Path(__file__).parents[2] / "studies"
WALKERS = sorted((STUDIES / "policies/walk").glob("*.safetensors"))


@pytest.fixture(scope="module")
def recipe():
    return load_module(str(STUDIES / "training/walk.py"))


def trainings(recipe):
    """Return the trainings of the recipe by the name of their files."""
    return {
        "imitation": recipe.imitation(),
        "imitation-randomised": recipe.imitation(randomised=True),
        "imitation-constrained": recipe.imitation(randomised=True, constrained=True),
        "nominal": recipe.training(),
        "randomised": recipe.randomised(),
        "constrained": recipe.constrained(),
    }


@pytest.mark.parametrize("path", WALKERS, ids=lambda path: path.stem)
def test_a_walker_is_what_its_recipe_makes(recipe, path):
    """Its file names the training that the recipe holds, its seed, what it saw, and all steps, the imitator's too."""
    kind, _, seed = path.stem.rpartition("-seed")
    training, contract = trainings(recipe)[kind], policies.file(path).contract
    told = contract.training
    assert (told["identity"], told["name"], str(told["seed"])) == (training.identity, training.name, seed)
    assert contract.seen == (training.perturbations,)
    assert contract.shields == training.shields
    before = training.starts_from(int(seed))
    with path.with_suffix(".csv").open() as file:
        steps = int(list(csv.DictReader(file))[-1]["steps"])
    assert told["steps"] == steps + (before.contract.training["steps"] if before else 0)
    assert path.stat().st_size < 300_000


@pytest.mark.parametrize(
    "path", [path for path in WALKERS if not path.stem.startswith("imit")], ids=lambda path: path.stem
)
def test_a_walker_walks(recipe, path):
    """For ten seconds it does not fall, goes where it was told to, and sets its feet as a walk does."""
    bench = Bench()
    row = bench.run(
        Trial(
            policy=policies.file(path),
            env="sim2real:sim2real/Walk-v0",
            env_kwargs={"engine": "mujoco"},
            seed=episode_seed(0, 0),
        )
    )
    bench.close()
    found = json.loads(row["metrics"])
    assert row["length"] == 500
    assert found["velocity_error_m_s"] < 0.3
    for name, least in recipe.GAIT_AT_LEAST.items():
        assert found[name] >= least, name
    for name, most in recipe.GAIT_AT_MOST.items():
        assert found[name] <= most, name

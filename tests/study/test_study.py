import json
from dataclasses import FrozenInstanceError, replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from study_toys import Balance, cartpole, constant, gain, pole

from sim2real import policies
from sim2real.errors import Sim2RealError
from sim2real.perturb import Uniform, Wrap, add, scale
from sim2real.study import NOMINAL, Reference, Study, Trial
from sim2real.study.document import study_from_json, study_to_json
from sim2real.study.seeds import episode_seed

NOISE = add("observation", Uniform(-1, 1))


@given(seed=st.integers(0, 2**40), episode=st.integers(0, 10**6), more=st.integers(1, 50))
def test_episode_seeds_depend_on_the_study_seed_and_the_episode_alone(seed, episode, more):
    """Seeds are 32-bit, the same in every study with the seed, and unmoved by the number of episodes."""
    assert 0 <= episode_seed(seed, episode) < 2**32
    few, many = cartpole(seed=seed, episodes=more), cartpole(seed=seed, episodes=more + 1, max_steps=3)
    seeds = {cell.episode: cell.trial.seed for cell in many.cells()}
    assert all(cell.trial.seed == seeds[cell.episode] for cell in few.cells())


def test_keys_depend_on_content_alone():
    """Labels, their order, grid position, question and number of episodes leave every key as it is."""
    study = cartpole()
    shuffled = Study(
        name="other",
        env=study.env,
        policies={f"the {label}": runs for label, runs in reversed(study.policies.items())},
        conditions={f"a {label}": items for label, items in reversed(study.conditions.items()) if items},
        episodes=study.episodes + 3,
        parameters=pole,
        question="Why?",
        competent=0.1,
        metric="return",
    )
    assert {trial.key for trial in study.trials()} < {trial.key for trial in shuffled.trials()}
    assert len({trial.key for trial in study.trials()}) == 2 * 4 * 4


def test_a_wraps_label_is_only_a_label():
    """The label of a Wrap does not enter the key; its function does."""
    policy = policies.scripted(Balance)
    keys = [
        Trial(policy=policy, env="CartPole-v1", condition=(Wrap(fn, label=label),)).key
        for fn, label in ((pole, "a"), (pole, "b"), (gain, "a"))
    ]
    assert keys[0] == keys[1] != keys[2]


def test_every_part_of_the_content_changes_the_key():
    """Policy, environment, arguments, condition and its order, seed, parameters and limit all count."""
    trial = Trial(policy=policies.scripted(Balance), env="CartPole-v1", condition=(NOISE,))
    others = [
        replace(trial, policy=policies.scripted(Balance, gain=0.5)),
        replace(trial, env="CartPole-v0"),
        replace(trial, env_kwargs={"sutton_barto_reward": True}),
        replace(trial, condition=()),
        replace(trial, condition=(NOISE.at(0.5),)),
        replace(trial, condition=(NOISE, scale("action", 2))),
        replace(trial, condition=(scale("action", 2), NOISE)),
        replace(trial, seed=1),
        replace(trial, parameters=pole),
        replace(trial, max_steps=10),
        replace(trial, period_s=0.02),
        replace(trial, period_s=0.03),
    ]
    assert len({trial.key, *(other.key for other in others)}) == len(others) + 1


def test_nominal_comes_first_and_by_itself():
    """Every study has the unperturbed condition, and nothing else may carry its name."""
    assert list(cartpole().conditions)[0] == NOMINAL
    assert cartpole(conditions={NOMINAL: ()}).conditions == {NOMINAL: ()}
    with pytest.raises(Sim2RealError, match="'nominal' names the unperturbed condition"):
        cartpole(conditions={NOMINAL: [NOISE]})


def test_all_conditions_of_an_episode_come_before_the_next_episode():
    """Cells go by policy, then episode, then condition, so that every condition has data early."""
    places = [(cell.policy_label, cell.run, cell.episode) for cell in cartpole().cells()]
    assert places == sorted(places)


def test_a_study_survives_json():
    """What study.json holds gives an equal study with equal keys back."""
    study = cartpole(
        env_kwargs={"sutton_barto_reward": True},
        references=[Reference(label="paper", metric="success", target="action", points=[(0, 1)], source="x")],
    )
    again = study_from_json(json.loads(json.dumps(study_to_json(study))))
    assert again == study
    assert [trial.key for trial in again.trials()] == [trial.key for trial in study.trials()]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"name": "a/b"}, "becomes a folder"),
        ({"name": ".."}, "becomes a folder"),
        ({"name": ""}, "becomes a folder"),
        ({"env": ""}, "id of a Gymnasium environment"),
        ({"policies": {}}, "needs policies"),
        ({"policies": {"a": []}}, "Policy 'a' must be"),
        ({"policies": {"a": "policy.zip"}}, "Policy 'a' must be"),
        ({"policies": {"a": [policies.scripted(Balance)] * 2}}, "lists one file twice"),
        ({"conditions": {"a": NOISE}}, "Condition 'a' must be a list"),
        ({"conditions": {"a": ["noise"]}}, "Condition 'a' must be a list"),
        ({"conditions": [NOISE]}, "must be a dict"),
        ({"conditions": {1: [NOISE]}}, "must be a dict"),
        ({"episodes": 0}, "episodes must be a whole number of at least 1"),
        ({"episodes": 2.0}, "episodes must be a whole number"),
        ({"seed": -1}, "seed must be"),
        ({"max_steps": 0}, "max_steps must be"),
        ({"period_s": 0.0}, "period_s must be a positive number"),
        ({"competent": float("nan")}, "competent must be"),
        ({"env_kwargs": {"robot": Path("g1")}}, "plain JSON values"),
        ({"parameters": lambda env: None}, "top level of a module"),
        ({"references": ["paper"]}, "references must be"),
    ],
)
def test_what_cannot_be_used_is_refused_in_a_sentence(changes, message):
    """A study is checked when it is made."""
    with pytest.raises(Sim2RealError, match=message) as caught:
        cartpole(**changes)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("points", [(), 3, [(1,)], [("a", "b")]])
def test_a_reference_needs_pairs_of_numbers(points):
    """Published numbers are (severity, value) pairs."""
    with pytest.raises(Sim2RealError, match="needs points"):
        Reference(label="paper", metric="success", target="action", points=points, source="x")


def test_studies_and_trials_are_values():
    """They cannot be changed, and equal content is equal."""
    study, trial = cartpole(), cartpole().trials()[0]
    with pytest.raises(FrozenInstanceError):
        study.episodes = 3
    assert trial == study.trials()[0]
    assert hash(trial) == hash(study.trials()[0])
    assert policies.scripted(constant) == policies.scripted(constant)

"""What a training that starts from a policy file owes to it."""

from dataclasses import replace

import numpy as np
import pytest
from training_toys import toy

from sim2real import policies
from sim2real.errors import Sim2RealError
from sim2real.training import Imitate, Ppo
from sim2real.training.run import train

PLAIN = {"curriculum": None, "normalise": False, "competence": None, "steps": 256}


def centre(env):
    """Push the point to the origin."""
    return lambda observation: -observation


def tensors(path):
    return policies.file(path).load().tensors


@pytest.fixture(scope="module")
def clone(tmp_path_factory):
    training = toy(
        name="clone",
        algorithm=Imitate(teacher=centre, rollout=16, updates=200, batch=32),
        mode=toy().mode,
        **PLAIN,
    )
    return train(training, 0, tmp_path_factory.mktemp("clone"))


def test_an_actor_whose_critic_alone_learns_stays_what_it_started_as(clone, tmp_path):
    """Through the steps of `critic_first` not a bit of the actor changes; after them it does."""
    ppo = Ppo(rollout=32, batch=64, epochs=2, critic_first=256)
    training = toy(algorithm=ppo, start=(policies.file(clone),), **PLAIN)
    for name, value in tensors(train(training, 1, tmp_path / "frozen")).items():
        np.testing.assert_array_equal(value, tensors(clone)[name])
    longer = train(replace(training, steps=512), 1, tmp_path / "longer")
    assert any((value != tensors(clone)[name]).any() for name, value in tensors(longer).items())


def test_steps_of_the_start_count(clone, tmp_path):
    """A policy's file tells all steps that went into it, those of what it started from included."""
    training = toy(algorithm=Ppo(rollout=32, batch=64), start=(policies.file(clone),), **PLAIN)
    assert policies.file(train(training, 1, tmp_path)).contract.training["steps"] == 256 + 256


def test_what_one_starts_from_is_part_of_what_is_learnt(clone):
    """Trainings that start elsewhere are other trainings, whatever the files are called."""
    bare = toy(**PLAIN)
    assert replace(bare, start=(policies.file(clone),)).identity != bare.identity


def test_each_seed_may_have_a_start_of_its_own(clone):
    """Files are given to seeds in their order; a seed beyond them has none."""
    other = policies.scripted(centre)
    training = toy(seeds=(5, 6), start=(policies.file(clone), other), **PLAIN)
    assert training.starts_from(6) == other
    with pytest.raises(Sim2RealError, match="Seed 7"):
        training.starts_from(7)
    with pytest.raises(Sim2RealError, match="3 seeds start from one file"):
        toy(seeds=(1, 2, 3), start=(policies.file(clone), other), **PLAIN)


@pytest.mark.parametrize(
    ("changes", "why"),
    [({"network": (17,)}, "no plain network of elu layers .2, 17, 2."), ({"activation": "relu"}, "relu")],
)
def test_a_start_that_does_not_fit_is_refused(clone, tmp_path, changes, why):
    """Another shape or activation is named before anything is learnt."""
    training = toy(algorithm=Ppo(rollout=32, batch=64), start=(policies.file(clone),), **PLAIN | changes)
    with pytest.raises(Sim2RealError, match=why):
        train(training, 0, tmp_path)


def test_who_cannot_start_from_a_file_says_so(clone):
    """Neither imitators nor those who normalise can."""
    for changes in ({"algorithm": Imitate(teacher=centre)}, {"normalise": True}):
        with pytest.raises(Sim2RealError, match="Only a Ppo"):
            toy(start=(policies.file(clone),), **PLAIN | changes)

"""Imitation: the teacher's answers are the teacher's, what is linear is learnt, and steps count whoever acts."""

from dataclasses import replace

import numpy as np
import pytest
from test_run import MADE, Stop, results, stop_after
from training_toys import toy

from sim2real import policies
from sim2real.errors import Sim2RealError
from sim2real.safety import Record
from sim2real.training import Competence, Imitate
from sim2real.training.environment import Trainee
from sim2real.training.imitation import Imitator
from sim2real.training.run import train
from sim2real.training.vector import Environments

WEIGHTS, BIAS = np.array([[-0.9, 0.2], [0.1, -0.7]]), np.array([0.05, -0.1])


def affine(env):
    """Return a teacher that moves the point to the origin, nearly."""
    return lambda observation: WEIGHTS @ observation + BIAS


class forgetful:  # a factory, as the package's own are
    """A teacher that counts the steps of an episode."""

    def __init__(self, env):
        self.count = 0

    def reset(self, seed=None):
        self.count = 0

    def __call__(self, observation):
        self.count += 1
        return np.full(2, 0.01 * self.count)


ALGORITHM = Imitate(teacher=affine, rollout=20, updates=200, batch=64, learning_rate=3e-3)


def cloning(**changes):
    """Return a small imitation; nothing is perturbed, and nothing stops it."""
    stated = {
        "algorithm": ALGORITHM, "perturbations": (), "curriculum": None, "wrappers": (), "mode": Record(),
        "steps": 480, "checkpoint": 80, "competence": None,
    }  # fmt: skip
    return toy(**(stated | changes))


def test_an_affine_teacher_is_cloned(tmp_path):
    """After six rounds the file does what the teacher does wherever it was, to a hundredth of what it can do."""
    training = cloning(network=(64,), activation="relu")
    network = policies.file(train(training, 0, tmp_path)).load()
    seen = np.random.default_rng(0).uniform(-0.9, 0.9, (200, 2)).astype(np.float32)
    gap = [network(x) - affine(None)(x) for x in seen]
    assert np.sqrt(np.mean(np.square(gap))) < 0.03


@pytest.mark.parametrize("after", [1, 4])
def test_an_interrupted_imitation_ends_with_the_same_bits(tmp_path, after):
    """Weights, curve and evaluations do not tell whether a run was interrupted, noise and curriculum included."""
    training = toy(algorithm=replace(ALGORITHM, updates=20), checkpoint=160, steps=960,
                   competence=Competence(at_least={"success": 2.0}, every=480, episodes=2))  # fmt: skip
    train(training, 3, tmp_path / "straight")
    with pytest.raises(Stop):
        train(training, 3, tmp_path / "broken", progress=stop_after(after))
    train(training, 3, tmp_path / "broken")
    assert results(tmp_path / "straight") == results(tmp_path / "broken")
    assert {path.name for path in (tmp_path / "broken").iterdir()} == set(MADE)


def test_every_step_counts_and_the_teacher_acts_in_ever_fewer(tmp_path):
    """Rounds have as many steps as are counted, and the teacher's share of them falls from 1 by one factor each."""
    train(cloning(algorithm=replace(ALGORITHM, updates=1, share=0.5), steps=240), 0, tmp_path)
    rows, _ = results(tmp_path)
    assert [(int(row["steps"]), float(row["share"])) for row in rows] == [(80, 1.0), (160, 0.5), (240, 0.25)]
    assert policies.file(tmp_path / "policy.safetensors").contract.training["steps"] == 240


def test_in_the_first_round_the_teacher_plays():
    """What is remembered of it is, bit for bit, what the teacher would have seen and done alone."""
    training = cloning()
    environments = Environments(training)
    learner = Imitator(training, environments, 0)
    learner.stretch(0, 80)
    memory = learner.state()["memory"].numpy().reshape(20, 4, 4)
    environments.prepare(0, 0)
    seen = environments.reset()
    for rows in memory:
        assert np.array_equal(rows, seen)
        np.testing.assert_allclose(
            rows[:, 2:], [affine(None)(row) for row in rows[:, :2]], rtol=1e-6, atol=1e-7
        )
        seen = environments.step(seen[:, 2:])[0]
    environments.close()


def test_a_teacher_begins_an_episode_anew():
    """It is asked once about every state, and told of every reset."""
    trainee = Trainee(cloning(algorithm=replace(ALGORITHM, teacher=forgetful)))
    for _ in range(2):
        observation, _ = trainee.reset(seed=1)
        for count in range(1, 5):
            np.testing.assert_allclose(observation[2:], 0.01 * count)
            observation, *_ = trainee.step(np.zeros(2, np.float32))
    trainee.close()


def test_a_teachers_answers_are_outputs_of_the_network():
    """Where a contract stands between network and robot, the answer read as an output is the teacher's own action."""
    options = {"control": "twist", "episode_s": 0.2}
    training = cloning(
        env="sim2real:sim2real/Push-v0", env_kwargs=options, action_scale=0.5, algorithm=Imitate(bound=2.0)
    )
    trainee = Trainee(training)
    observation, _ = trainee.reset(seed=0)
    teacher = policies.servo(trainee.unwrapped)
    for _ in range(5):
        env = trainee.unwrapped
        wanted = teacher(env._observation)
        observation, *_ = trainee.step(observation[trainee.read :])
        np.testing.assert_allclose(env._previous_action, wanted, atol=1e-6)
    assert trainee.contract.outputs == env.action_names
    trainee.close()


@pytest.mark.parametrize("options", [{"rollout": 0}, {"share": 0.0}, {"updates": 0}, {"learning_rate": -1.0}])
def test_wrong_options_are_refused(options):
    """Counts and rates are positive, and a share is one."""
    with pytest.raises(Sim2RealError, match=next(iter(options))):
        Imitate(**options)

import os
import signal
import subprocess
import sys
import time
from dataclasses import replace

import numpy as np
import pytest
from stable_baselines3.common.vec_env import DummyVecEnv
from training_toys import NOISE, Remembering, breaking, toy

from sim2real.errors import Sim2RealError
from sim2real.perturb import Wrap
from sim2real.policies import BoundPolicy
from sim2real.safety import Lagrangian, Record
from sim2real.study.rollout import make
from sim2real.training import Ppo, Sac, Training
from sim2real.training.environment import Trainee, widest
from sim2real.training.vector import Environments
from sim2real.wrappers import Perturbed

PLAIN = toy(curriculum=None, wrappers=(), normalise=False, mode=Record())


def played(training, steps=50, seed=0):
    """Return all that a vector environment shows over some steps."""
    environments = Environments(training)
    environments.prepare(seed)
    shown = [environments.reset()]
    rng = np.random.default_rng(0)
    for _ in range(steps):
        *numbers, infos = environments.step(rng.uniform(-1, 1, (training.environments, 2)).astype(np.float32))
        shown += [*numbers, repr(infos)]
    shown += [
        environments.outcomes,
        environments.tally,
        repr(environments.curriculum and environments.curriculum.condition),
    ]
    environments.close()
    return shown


def test_what_is_played_does_not_depend_on_the_processes():
    """Observations, rewards, ends, infos, outcomes and the curriculum are the same in any number of processes."""
    for here, there in zip(played(toy()), played(toy(processes=3)), strict=True):
        assert np.array_equal(here, there)


def test_it_is_the_vector_environment_that_stable_baselines_knows():
    """Step by step it shows what Stable-Baselines3's own shows of the same environments, terminal ones too."""
    own = DummyVecEnv([lambda: Trainee(PLAIN)] * PLAIN.environments)
    environments = Environments(PLAIN)
    environments.prepare(7)
    own._seeds = environments._seeds
    assert np.array_equal(environments.reset(), own.reset())
    rng = np.random.default_rng(0)
    ended = 0
    for _ in range(45):
        actions = rng.uniform(-1, 1, (PLAIN.environments, 2)).astype(np.float32)
        (a, b, c, infos), (x, y, z, theirs) = environments.step(actions), own.step(actions)
        assert all(map(np.array_equal, (a, b, c), (x, y, z)))
        for done, info, other in zip(c, infos, theirs, strict=True):
            if done:
                ended += 1
                assert np.array_equal(info["terminal_observation"], other["terminal_observation"])
                assert info["TimeLimit.truncated"] == other["TimeLimit.truncated"]
    assert ended
    environments.close()
    own.close()


def test_no_two_environments_or_stretches_play_the_same():
    """Every environment of every stretch of every seed starts elsewhere."""
    environments = Environments(PLAIN)
    starts = []
    for parts in ((0, 0), (0, 1), (1, 0)):
        environments.prepare(*parts)
        starts += environments.reset().tolist()
    environments.close()
    assert len({tuple(start) for start in starts}) == 3 * PLAIN.environments


def test_an_outcome_is_in_the_environments_own_units():
    """The reward that is learnt from is scaled, and the return that is recorded is not."""
    one, two = (played(replace(PLAIN, reward_scale=scale)) for scale in (1.0, 0.5))
    assert one[-3] == two[-3]
    np.testing.assert_allclose(one[2], 2.0 * two[2], rtol=1e-6)


def test_what_goes_wrong_in_a_process_is_said_here():
    """An exception in a worker ends the training with its own words."""
    environments = Environments(replace(PLAIN, processes=2, wrappers=(Wrap(breaking, label="breaking"),)))
    environments.reset()
    with pytest.raises(RuntimeError, match="a joint came off"):
        environments.step(np.zeros((PLAIN.environments, 2)))
    environments.close()


def test_a_process_that_dies_is_noticed():
    """A worker that is killed ends the training with one sentence."""
    environments = Environments(replace(PLAIN, processes=2))
    environments.reset()
    os.kill(environments._groups[1]._process.pid, signal.SIGKILL)
    with pytest.raises(Sim2RealError, match="died"):
        environments.step(np.zeros((PLAIN.environments, 2)))
    environments.close()


def test_processes_end_with_the_one_that_started_them():
    """When the learner is killed no worker is left."""
    code = (
        "import time\nfrom training_toys import toy\nfrom sim2real.training.vector import Environments\n"
        "if __name__ == '__main__':\n"
        "    found = Environments(toy(processes=2))\n"
        "    print(*(group._process.pid for group in found._groups), flush=True)\n"
        "    time.sleep(60)"
    )
    place = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    running = subprocess.Popen(
        [sys.executable, "-c", code], env=place, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    workers = [int(pid) for pid in running.stdout.readline().split()]
    assert len(workers) == 2
    running.kill()
    running.communicate()
    deadline = time.monotonic() + 10
    while any(os.path.exists(f"/proc/{pid}") and "Z" not in state(pid) for pid in workers):
        assert time.monotonic() < deadline
        time.sleep(0.01)


def state(pid):
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()[0]
    except OSError:
        return "Z"


def test_one_price_is_learnt_for_all_environments():
    """Every environment charges the multiplier that the costs of all episodes have led to."""
    training = toy(mode=Lagrangian(limit=2.0, rate=0.1, episodes=1), curriculum=None, wrappers=())
    environments = Environments(training)
    environments.prepare(0)
    environments.reset()
    for _ in range(90):
        environments.step(np.ones((training.environments, 2)))
    expected = 0.0
    for outcome in environments.outcomes:
        expected = max(0.0, expected + 0.1 * (outcome["cost"] - 2.0))
    assert expected > 0.0
    assert environments.memory.multiplier == pytest.approx(expected)
    environments.step(np.zeros((training.environments, 2)))
    assert environments.get_attr("multiplier") == [environments.memory.multiplier] * training.environments
    environments.close()


def test_attributes_and_methods_reach_every_environment():
    """Stable-Baselines3's access to environments works in worker processes."""
    environments = Environments(toy(processes=1))
    environments.set_attr("price", 3.0, indices=[1, 2])
    assert environments.get_attr("price") == [0.0, 3.0, 3.0, 0.0]
    assert environments.env_method("state_dict", indices=1) == [{"price": 3.0}]
    assert environments.env_is_wrapped(Remembering) == [True] * 4
    environments.close()


def test_the_network_reads_and_commands_as_its_file_will():
    """In training and from its file a policy sees and does the same, bit for bit, under noise and delay too."""
    training = Training(
        name="stand", env="sim2real:sim2real/Stand-v0", history=3, perturbations=(NOISE[0],), reward_scale=0.5
    )
    trainee = Trainee(training)
    seen, rng = [], np.random.default_rng(0)
    actions = rng.normal(0, 2, (15, 12)).astype(np.float32)  # some are beyond the clip
    env = make(training)
    left = iter(actions)
    policy = BoundPolicy(
        lambda x: (seen.append(x.copy()), next(left))[1], trainee.contract.bind(env.unwrapped)
    )
    env = Perturbed(env, training.perturbations)
    read, _ = trainee.reset(seed=5)
    observation, _ = env.reset(seed=5)
    for action in actions:
        given = policy(observation)
        assert np.array_equal(read, seen[-1])
        read, reward, *_ = trainee.step(action)
        observation, other, *_ = env.step(given)
        assert reward == 0.5 * other
    trainee.close()
    env.close()


def test_what_cannot_be_trained_in_is_refused_before_work_starts():
    """Discrete actions, actions beyond ±1 for Sac, a history without terms and unknown truths are one sentence each."""
    refused = {
        "needs flat boxes": {"env": "CartPole-v1"},
        "actions from -1 to 1": {"env": "Pendulum-v1", "algorithm": Sac()},
        "no named terms": {"history": 2},
        "cannot be told 'speed'": {
            "env": "sim2real:sim2real/Stand-v0",
            "algorithm": Ppo(privileged=("speed",)),
        },
        "cannot be made": {"env": "Nothing-v0"},
    }
    for says, changes in refused.items():
        with pytest.raises(Sim2RealError, match=says):
            Trainee(replace(PLAIN, perturbations=(), **changes))


def test_an_episode_is_reported_with_the_condition_it_was_played_under():
    """What the curriculum is told an environment plays under is what it does, from the first episode to the last."""
    environments = Environments(toy(processes=2))
    environments.prepare(0)
    environments.reset()
    seen = set()
    for _ in range(100):
        assert [tuple(one) for one in environments.get_attr("perturbations")] == environments._playing
        seen |= set(environments._playing)
        environments.step(np.zeros((4, 2)))
    assert len(seen) > 2
    environments.close()


def test_a_score_that_no_episode_measures_is_named():
    """A curriculum that waits for an unknown figure says so at the first episode's end."""
    with pytest.raises(Sim2RealError, match="Did you mean 'far_m'"):
        played(toy(score="far"))


def test_workers_are_sent_the_widest_condition():
    """Under a curriculum environments are made for the hardest that can come."""
    training = toy()
    assert widest(training).perturbations == training.perturbations
    assert widest(training).curriculum is None

"""A study made of an environment, policies and presets asks what they mean there."""

import gymnasium as gym
import numpy as np
import pytest

from sim2real import Sim2RealError, delay, policies, preset
from sim2real.perturb import makes
from sim2real.policies import Mlp
from sim2real.study import run
from sim2real.study.quick import quick_study
from sim2real.study.study import NOMINAL


@pytest.fixture
def path(tmp_path):
    """Return a policy file that fits Pendulum-v1: one layer of three numbers to one."""
    return policies.save(tmp_path / "mine.safetensors", Mlp([([[0.1, 0.2, 0.3]], [0.0])]))


def test_every_part_of_a_preset_is_in_it_or_told(path):
    """A preset's parts are conditions, alone and together; what does not fit is told with the reason."""
    study, left_out = quick_study("Pendulum-v1", [path], ["medium"])
    whole, parts = preset("medium"), study.conditions["medium"]
    assert len(parts) + len(left_out) == len(whole)
    assert set(study.conditions) == {NOMINAL, "medium", *(part.label for part in parts)}
    assert left_out == (
        "medium without 'set ground.friction to Uniform(0.5, 0.9) every episode': "
        "There is no parameter 'ground.friction'.",
    )


def test_latency_without_a_parameter_is_as_many_steps(path):
    """0.15 s are 0.15 / 0.05 = 3 control steps of a pendulum, in what it sees and in what it does."""
    study, _ = quick_study("Pendulum-v1", [path], ["medium"])
    assert {delay("action", 3), delay("observation", 3)} <= set(study.conditions["medium"])
    dict_parts, _ = quick_study("panda_gym:PandaReach-v3", [path], ["medium"])
    targets = {item.target for item in dict_parts.conditions["medium"]}
    assert {"parameter:actuator.latency_s", "observation", "action"} <= targets


class Speaking(gym.Env):
    """Shows a number and a word."""

    observation_space = gym.spaces.Dict(say=gym.spaces.Text(5), x=gym.spaces.Box(-1, 1, (2,)))
    action_space = gym.spaces.Discrete(2)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        return {"say": "abc", "x": np.zeros(2, np.float32)}, {}

    def step(self, action):
        return self.reset()[0], 0.0, False, False, {}


gym.register("sim2real-tests/Speaking-v0", entry_point=Speaking, disable_env_checker=True)


def test_what_does_not_fit_the_whole_is_put_on_every_part_that_it_fits(path):
    """Noise goes on what has numbers, and what has none is told; what is lost is lost as a whole."""
    study, left_out = quick_study("sim2real-tests/Speaking-v0", [path], ["medium"], competent=0.0)
    on_observations = {(item.operation, item.target) for item in study.conditions["medium"]}
    assert {("add", "observation:x"), ("hold", "observation"), ("hold", "action")} == on_observations
    assert any(
        "observation:say every step': there are no numbers in Text" in sentence for sentence in left_out
    )
    assert not any("observation:x" in sentence for sentence in left_out)


def test_a_return_is_held_against_that_of_random_actions(path):
    """Returns have no natural level: what random actions get in five nominal episodes is asked for, and said."""
    study, _ = quick_study("Pendulum-v1", [path], ["easy"])
    returns = []
    for seed in range(5):
        env = gym.make("Pendulum-v1")
        policy = policies.scripted(policies.random).bind(env)
        observation, _ = env.reset(seed=seed)
        policy.reset(seed)
        total, over = 0.0, False
        while not over:
            observation, reward, ended, cut, _ = env.step(policy(observation))
            total, over = total + float(reward), ended or cut
        returns.append(total)
    assert study.competent == pytest.approx(sum(returns) / 5)
    assert f"random actions, which get {study.competent:.4g}" in study.question
    assert quick_study("Pendulum-v1", [path], ["easy"], competent=-300.0)[0].competent == -300.0
    with pytest.raises(Sim2RealError, match=r"--competent\): random actions, which stand in, do not tell it"):
        quick_study("Pendulum-v1", [path], ["easy"], metric="distance_m")


def test_all_is_asked_again_of_the_environment_made_otherwise(path, tmp_path):
    """KEYWORD=VALUE is a condition of its own, and goes with every preset and part: each has its counterpart."""
    study, left_out = quick_study("Pendulum-v1", [path], ["easy", "g=5.0"], episodes=1)
    here = {label for label, items in study.conditions.items() if not makes(items)}
    there = {label for label, items in study.conditions.items() if makes(items) == {"g": 5.0}}
    assert there == {"g=5.0", *(f"{label}, g=5.0" for label in here - {NOMINAL})}
    for label in here - {NOMINAL}:
        assert study.conditions[f"{label}, g=5.0"][1:] == study.conditions[label]
    assert len(left_out) == 2 * len([sentence for sentence in left_out if "g=5.0" in sentence])
    store = run(study, tmp_path / "out", workers=0)
    digests = {row["digest"] for row in store.rows()}
    assert len(digests) >= 2
    with pytest.raises(Sim2RealError, match="cannot be made"):
        quick_study("Pendulum-v1", [path], ["easy", "engine=mujoco"])


def test_a_period_that_only_a_clock_tells_is_measured_and_told(path):
    """Before its first reset, the hopper of pybullet_envs_gymnasium says nothing but the rate of its films."""
    pytest.importorskip("pybullet_envs_gymnasium")
    env = "pybullet_envs_gymnasium:HopperBulletEnv-v0"
    study, told = quick_study(env, [path], ["easy"])
    assert study.period_s == pytest.approx(0.0165)
    assert told[-1] == "The time between steps is taken to be 0.0165 s: Bullet's clock says 0.0165 s."
    assert quick_study(env, [path], ["easy"], period_s=0.02)[0].period_s == 0.02
    assert quick_study("Pendulum-v1", [path], ["easy"])[0].period_s is None


def test_what_is_measured_follows_the_environment(path):
    """Success where an environment speaks of it at once, else the return; both can be chosen."""
    assert quick_study("panda_gym:PandaReach-v3", [path], ["easy"])[0].metric == "success"
    study, _ = quick_study("Pendulum-v1", [path], ["easy"], competent=-2000)
    assert (study.metric, study.competent) == ("return", -2000)


def test_it_runs_where_nothing_is_known_but_the_id(path, tmp_path):
    """Every trial of it gives a row without failure, and the folder tells the study again."""
    study, _ = quick_study("Pendulum-v1", [path], ["easy"], episodes=1)
    store = run(study, tmp_path / "out", workers=0)
    assert {row["status"] for row in store.rows()} == {"ok"}
    assert len(store) == len(study.trials())


def test_mistakes_are_told_in_a_sentence(path):
    """An environment, a preset and a file that are not there."""
    with pytest.raises(Sim2RealError, match="'Nowhere-v0' cannot be made"):
        quick_study("Nowhere-v0", [path])
    with pytest.raises(Sim2RealError, match="no preset 'meduim'. Did you mean 'medium'"):
        quick_study("Pendulum-v1", [path], ["meduim"])
    with pytest.raises(Sim2RealError, match="cannot be read"):
        quick_study("Pendulum-v1", ["nothing.zip"])

import json

import numpy as np
import pytest

from sim2real import policies
from sim2real.errors import Sim2RealError
from sim2real.perturb import Interval, Normal, Uniform, add, delay, scale, set_to
from sim2real.perturb.catalogue import friction, latency, push
from sim2real.study import Study, Trial, replay
from sim2real.study.replay import beside, changed, under

PUSHED = push(Uniform(-0.2, 0.2), "y", every=Interval(0.2, 0.3))
SLIPPERY = friction(Uniform(0.4, 0.6))


@pytest.fixture(scope="module")
def trial():
    """Half a second of standing: pushed at random, on ground drawn at random, with noise."""
    return Trial(
        policy=policies.scripted(policies.balance),
        env="sim2real:sim2real/Stand-v0",
        env_kwargs={"episode_s": 0.5},
        condition=(PUSHED, SLIPPERY, latency(0.01), add("observation:gyro", Normal(0, 0.1))),
        seed=7,
    )


def drawn(trial):
    row, _ = replay(trial)
    assert row["status"] == "ok", row["error"]
    return json.loads(row["parameters"]), row["digest"]


def test_changing_nothing_is_the_same_episode(trial):
    """Without a change, and with one to what it was already, the episode has the same name."""
    assert changed(trial, {}).key == trial.key
    assert changed(trial, {"actuator.latency_s": 0.01}).key == trial.key


def test_a_change_leaves_all_other_draws(trial):
    """With one perturbation changed, left out or added, every other draws bit for bit what it drew before."""
    before, digest = drawn(trial)
    for other, theirs in (
        (changed(trial, {"ground.friction": 0.55}), "ground.friction"),
        (changed(trial, {}, ["parameter:ground.friction"]), "ground.friction"),
        (changed(trial, {"payload.mass": 3.0}), "payload.mass"),
    ):
        after, changed_digest = drawn(other)
        assert changed_digest != digest
        shared = (before.keys() | after.keys()) - {theirs}
        assert len(shared) >= 2
        assert {name: before[name] for name in shared} == {name: after[name] for name in shared}


def test_the_amount_is_exactly_what_was_asked_for(trial):
    """A change sets the amount at full strength and keeps operation, target and rhythm."""
    weak = (SLIPPERY.at(0.5), PUSHED)
    (ground, pushed) = changed(
        Trial(policy=trial.policy, env=trial.env, condition=weak), {"ground.friction": 0.3}
    ).condition
    assert ground == set_to("parameter:ground.friction", 0.3)
    assert pushed == PUSHED
    (ground, pushed) = changed(
        Trial(policy=trial.policy, env=trial.env, condition=weak), {PUSHED.target: 0.1}
    ).condition
    assert (pushed.amount, pushed.every, pushed.operation) == (0.1, PUSHED.every, PUSHED.operation)


def test_what_is_unknown_or_ambiguous_is_refused(trial):
    """A signal that nothing perturbs, a target that two perturb and one that none does are named."""
    with pytest.raises(Sim2RealError, match=r"no perturbation of 'observation:gyr'.*observation:gyro"):
        changed(trial, {"observation:gyr": 0.1})
    with pytest.raises(Sim2RealError, match="no perturbation of 'payload.mass'"):
        changed(trial, {}, ["payload.mass"])
    twice = Trial(
        policy=trial.policy, env=trial.env, condition=(delay("action", 1), scale("action", 0.9), SLIPPERY)
    )
    with pytest.raises(Sim2RealError, match="2 perturbations .* 'action': delay action by 1"):
        changed(twice, {"action": 2.0})
    assert changed(twice, {}, ["action"]).condition == (SLIPPERY,)
    with pytest.raises(Sim2RealError, match="ground.friction"):
        replay(changed(trial, {"grund.friction": 0.1}))


def test_the_same_episode_under_another_condition(trial):
    """Another condition of the study keeps policy and seed; one that the study has not is named."""
    study = Study(
        name="s", env=trial.env, policies={"it": trial.policy}, conditions={"late": [latency(0.02)]}
    )
    late = under(study, trial, "late")
    assert (late.condition, late.seed, late.policy) == ((latency(0.02),), trial.seed, trial.policy)
    assert under(study, trial, "nominal").condition == ()
    with pytest.raises(Sim2RealError, match="'lat'.*'late'"):
        under(study, trial, "lat")


def test_side_by_side_the_shorter_waits():
    """Both episodes begin together, and the one that ends first stays in its last image."""
    short = [np.full((6, 8, 3), i, np.uint8) for i in range(3)]
    long = [np.full((6, 8, 3), 100 + i, np.uint8) for i in range(5)]
    for first, second, lasted in ((short, long, (3, 5)), (long, short, (5, 3))):
        both = beside(first, second)
        assert len(both) == 5
        for i, image in enumerate(both):
            assert image.shape == (6, 20, 3)
            assert (image[:, :8] == first[min(i, lasted[0] - 1)]).all()
            assert (image[:, -8:] == second[min(i, lasted[1] - 1)]).all()

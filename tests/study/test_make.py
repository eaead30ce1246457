"""A condition may say how the environment is made: another simulator, held out like any other perturbation."""

import json
from dataclasses import replace

import gymnasium as gym
import pytest
from study_toys import TOY, Balance, Toy, constant, gain, halved, toy

from sim2real import Perturbed, Sim2RealError, _version, policies
from sim2real._version import PHYSICS_VERSION
from sim2real.perturb import Make, Uniform, Wrap, add, scale, set_to
from sim2real.perturb.catalogue import engine, friction
from sim2real.policies import PolicyFile
from sim2real.policies.contract import Contract
from sim2real.study import NOMINAL, Study, Trial, run
from sim2real.study.check import check
from sim2real.study.document import open_study, study_from_json, study_to_json
from sim2real.study.heldout import kind_in
from sim2real.study.replay import replay
from sim2real.study.rollout import Bench
from sim2real.study.store import merge

SHORT, LONG = Make(name="length", value=5), Make(name="length", value=20)
PLAIN = Trial(policy=policies.scripted(constant), env=TOY, parameters=gain)


def standing(**changes):
    """Return a study of a standing robot, for 0.4 s, in both simulators."""
    fields = {
        "name": "standing",
        "env": "sim2real:sim2real/Stand-v0",
        "env_kwargs": {"episode_s": 0.4},
        "policies": {"balance": policies.scripted(policies.balance)},
        "conditions": {
            "slippery": [friction(0.3)],
            "mujoco": [engine("mujoco")],
            "slippery in mujoco": [friction(0.3), engine("mujoco")],
        },
        "episodes": 2,
    }
    return Study(**{**fields, **changes})


def test_a_key_is_what_it_was(monkeypatch):
    """Trials that make their environment as the study does have the keys that they had before conditions could not.

    Those of an environment of ours hold the version of its physics as well.
    """
    policy = PolicyFile(source="a", kind="native", label="a", sha256="0" * 64, contract=Contract())
    theirs = Trial(
        policy=policy,
        env="HalfCheetah-v5",
        env_kwargs={"engine": "mujoco", "episode_s": 2.0},
        condition=(scale("parameter:torso.mass", Uniform(0.8, 1.2)), Wrap(json.dumps, label="x")),
        seed=3,
        max_steps=7,
    )
    assert theirs.key == "acca315d9ea9d03d2c1a526ab31d544e"
    ours = replace(theirs, env="sim2real:sim2real/Walk-v0")
    before = ours.key
    monkeypatch.setattr(_version, "PHYSICS_VERSION", PHYSICS_VERSION + 1)
    assert replace(ours).key != before
    assert replace(theirs).key == theirs.key


def test_it_does_not_matter_who_says_how_the_environment_is_made():
    """Condition and study say the same content; another value is another content, and so is its type."""
    noise = add("action", 0.1)
    by_condition = replace(PLAIN, condition=(noise, SHORT))
    assert by_condition.key == replace(PLAIN, condition=(SHORT, noise)).key
    assert by_condition.key == replace(PLAIN, condition=(noise,), env_kwargs={"length": 5}).key
    assert by_condition.key == replace(by_condition, env_kwargs={"length": 7}).key
    others = [
        replace(PLAIN, condition=(noise, *more)) for more in ((), (LONG,), (Make(name="length", value=5.0),))
    ]
    assert len({by_condition.key, *(other.key for other in others)}) == 4


def test_the_environment_is_made_so():
    """An episode is as long as the condition makes it, also around what else it does, and whatever ran before."""
    bench = Bench()
    conditions = [
        (),
        (SHORT,),
        (LONG, scale("parameter:gain", 3.0)),
        (Wrap(halved, label="half"), SHORT),
        (SHORT,),
        (),
    ]
    rows = [bench.run(replace(PLAIN, condition=condition)) for condition in conditions]
    assert [row["length"] for row in rows] == [10, 5, 20, 5, 5, 10]
    assert [row["return"] for row in rows] == [5.0, 2.5, 30.0, 1.25, 2.5, 5.0]
    assert (
        rows[1]["digest"]
        == rows[4]["digest"]
        == Bench().run(replace(PLAIN, env_kwargs={"length": 5}))["digest"]
    )


def test_two_environments_are_kept_and_no_more(monkeypatch):
    """Conditions that alternate make each environment once; a third displaces the older, another policy all."""
    alive = set()
    made, close = Toy.__init__, Toy.close
    monkeypatch.setattr(
        Toy, "__init__", lambda self, *args, **kwargs: (alive.add(id(self)), made(self, *args, **kwargs))[1]
    )
    monkeypatch.setattr(Toy, "close", lambda self: (alive.discard(id(self)), close(self))[1])
    bench, before = Bench(), Toy.made
    for _ in range(3):
        for condition in ((), (SHORT,), (SHORT, scale("parameter:gain", 2.0))):
            bench.run(replace(PLAIN, condition=condition))
    assert (Toy.made - before, len(alive)) == (2, 2)
    bench.run(replace(PLAIN, condition=(LONG,)))
    assert (Toy.made - before, len(alive)) == (3, 2)
    bench.run(replace(PLAIN, condition=(SHORT,)))
    assert Toy.made - before == 3
    bench.run(replace(PLAIN, policy=policies.scripted(constant, value=0.1)))
    assert len(alive) == 1
    bench.close()
    assert not alive


def test_what_stands_between_two_perturbations_does_not_part_them():
    """They are one `Perturbed`, so both may turn one parameter."""
    condition = (scale("parameter:gain", 2.0), SHORT, add("parameter:gain", 1.0))
    assert Bench().run(replace(PLAIN, condition=condition))["return"] == 7.5


def test_the_same_engine_again_changes_no_bit():
    """Made with what it is made with anyway, an environment plays the nominal episode."""
    study = standing(conditions={"bullet": [engine("bullet")], "mujoco": [engine("mujoco")]}, episodes=1)
    nominal, bullet, mujoco = (replay(cell.trial)[0] for cell in study.cells())
    assert bullet["digest"] == nominal["digest"] != mujoco["digest"]


def test_a_study_of_two_simulators_resumes_repeats_and_merges(tmp_path):
    """Run in parts, in another order, on its own or beside another simulator: the same rows, bit for bit."""
    study = standing()
    whole = run(study, tmp_path / "whole", workers=0)
    again, store = open_study(tmp_path / "whole")
    assert again == study
    parts = [tmp_path / f"part-{i}" for i in (1, 2)]
    for i, part in enumerate(parts, 1):
        run(study, part, workers=0, shard=(i, 2))
    joined = merge(tmp_path / "joined", parts)
    there = {"episode_s": 0.4, "engine": "mujoco"}
    alone = run(
        replace(study, env_kwargs=there, conditions={"slippery": [friction(0.3)]}),
        tmp_path / "alone",
        workers=0,
    )
    digests = {row["key"]: row["digest"] for row in whole.rows()}
    assert {row["key"]: row["digest"] for row in joined.rows()} == digests
    assert {row["key"]: row["digest"] for row in alone.rows()}.items() < digests.items()
    assert len(set(digests.values())) == len(digests) == 8
    trial = next(cell.trial for cell in study.cells() if cell.condition_label == "slippery in mujoco")
    assert replay(trial)[0]["digest"] == digests[trial.key]
    assert study_from_json(json.loads(json.dumps(study_to_json(study)))) == study
    assert store.meta["defaults"] == {"engine": "bullet"}


@pytest.mark.parametrize(
    ("condition", "message"),
    [
        ([engine("mujco")], "Condition 'c': .*There is no engine 'mujco'.*Did you mean 'mujoco'"),
        ([engine("mujoco"), set_to("parameter:ground.compliance", 1e-4)],
         "Condition 'c': engine='mujoco' cannot express ground.compliance"),
        ([Make(name="motor", value=1)], "Condition 'c': .*cannot be made"),
    ],
)  # fmt: skip
def test_what_cannot_be_made_is_told_before_the_first_episode(condition, message):
    """The sentence names the condition."""
    with pytest.raises(Sim2RealError, match=message) as caught:
        check(standing(conditions={"c": condition}), False)
    assert "\n" not in str(caught.value)


def test_a_study_makes_an_environment_with_one_of_each():
    """Two engines in one condition are a mistake, and so is one for an environment that exists."""
    with pytest.raises(Sim2RealError, match="one 'engine', not with two"):
        standing(conditions={"c": [engine("mujoco"), engine("bullet")]})
    with pytest.raises(
        Sim2RealError, match="exists cannot be made otherwise: give length=5 to gymnasium.make"
    ):
        Perturbed(gym.make(TOY), [SHORT])


def test_every_policy_is_bound_in_every_simulator():
    """One that does not fit the other environment is told before the first episode."""
    study = toy(
        policies={"it": policies.scripted(constant), "picky": policies.scripted(only_ten)},
        conditions={"short": [SHORT]},
    )
    with pytest.raises(Sim2RealError, match="Condition 'short': ten alone"):
        check(study, False)


def only_ten(env):
    """Return a policy for environments of ten steps."""
    if env.unwrapped.length != 10:
        raise Sim2RealError("ten alone")
    return constant(env)


@pytest.mark.parametrize(("registered", "length"), [({}, 10), ({"length": 7}, 7)])
def test_what_is_said_nowhere_is_what_the_environment_is_registered_with(registered, length):
    """Of the keywords asked about, and no others; the study's own value is no default."""
    gym.register("Registered-v0", entry_point="study_toys:Toy", kwargs=registered)
    study = toy(env="Registered-v0", env_kwargs={"length": 8, "fault": ""}, conditions={"short": [SHORT]})
    assert check(study, False)["defaults"] == {"length": length}
    del gym.registry["Registered-v0"]


FACTS = {"parameters": {"ground.friction": {"nominal": 1.0}}, "defaults": {"engine": "bullet"}}


@pytest.mark.parametrize(
    ("trained_in", "here", "condition", "expected"),
    [
        ({}, {}, [engine("mujoco")], "unseen kind"),
        ({}, {}, [engine("bullet")], "nominal"),
        ({"engine": "bullet"}, {}, [engine("mujoco")], "unseen kind"),
        ({"engine": "mujoco"}, {}, [engine("mujoco")], "in-distribution"),
        ({"engine": "mujoco"}, {}, [friction(0.5)], "unseen kind"),  # in a simulator that training never had
        ({"engine": "mujoco"}, {}, [engine("mujoco"), friction(0.5)], "in-distribution"),
        ({"engine": "mujoco"}, {}, [engine("mujoco"), friction(0.1)], "extrapolation"),
        ({"engine": "mujoco"}, {"engine": "mujoco"}, [engine("bullet")], "unseen kind"),
        ({"engine": "mujoco"}, {"engine": "mujoco"}, [engine("mujoco"), friction(0.5)], "in-distribution"),
        ({"engine": "bullet"}, {"engine": "mujoco"}, [engine("bullet"), friction(0.5)], "in-distribution"),
        ({}, {"engine": "mujoco"}, [engine("bullet"), friction(0.5)], "in-distribution"),
        ({"episode_s": 20.0}, {"episode_s": 10.0}, [friction(0.5)], "in-distribution"),  # nobody asks about it
        (None, {}, [engine("mujoco")], "unseen kind"),
        (None, {}, [friction(0.5)], "in-distribution"),
    ],
)  # fmt: skip
def test_a_simulator_is_held_out_by_what_the_policy_says_it_was_trained_in(
    trained_in, here, condition, expected
):
    """Met in training or not is told by the env_kwargs in the policy's own file."""
    training = {} if trained_in is None else {"env_kwargs": json.dumps(trained_in)}
    contract = Contract(seen=[(friction(0.5),), ()], training=training)
    policy = PolicyFile(source="a", kind="native", label="a", sha256="0" * 64, contract=contract)
    conditions = {"asked": condition, "other": [engine("mujoco")]}
    study = standing(policies={"a": policy}, conditions=conditions, env_kwargs=here)
    assert kind_in(study, policy, condition, FACTS) == expected
    silent = replace(policy, contract=Contract(seen=None, training=training))
    assert kind_in(study, silent, condition, FACTS) == ("nominal" if expected == "nominal" else "undeclared")
    assert kind_in(study, policy, study.conditions[NOMINAL], FACTS) == "nominal"


def test_a_scripted_policy_was_tuned_in_the_studys_own_environment():
    """It tells nothing of where, so another simulator is unseen, as everything is that it declares not to have met."""
    policy = policies.scripted(Balance)
    study = standing(policies={"a": policy})
    assert kind_in(study, policy, study.conditions["mujoco"], FACTS) == "unseen kind"

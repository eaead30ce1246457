import json
import math
from dataclasses import replace

import gymnasium as gym
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from study_toys import TOY, Repeated, Toy, cartpole, constant, gain, halved, misshapen, nan, toy

from sim2real import policies
from sim2real.errors import Sim2RealError
from sim2real.perturb import Normal, Uniform, Wrap, add, delay, scale, set_to
from sim2real.study import Store, Trial, replay
from sim2real.study.rollout import AT_ONCE, INERT, Bench, Outside, dress, one_line, success
from sim2real.study.runner import RETRIED
from sim2real.study.store import COLUMNS

POLICY = policies.scripted(constant)


def trial(condition=(), policy=POLICY, **kwargs):
    return Trial(
        policy=policy, env=TOY, condition=tuple(condition), seed=7, parameters=gain, env_kwargs=kwargs
    )


def outcome(row):
    return {name: value for name, value in row.items() if name not in ("key", "condition", "wall_s")}


def test_a_row_tells_what_the_environment_reported():
    """Return, costs, success, termination, metrics, versions and drawn parameters are recorded."""
    row = Bench().run(trial([scale("parameter:gain", 3.0), add("action", Normal(0, 1), every="episode")]))
    drawn = json.loads(row["parameters"])
    assert set(row) == set(COLUMNS)
    assert row["status"] == "ok"
    assert row["return"] == pytest.approx(10 * 3 * (0.5 + drawn["add action"][0]))
    assert drawn["gain"] == 3.0
    assert (row["length"], row["duration_s"]) == (10, 1.0)
    assert (row["cost"], row["violations"], row["interventions"]) == (5.0, 10, 1)
    assert (row["success"], row["termination"]) == (0, "bored")
    assert json.loads(row["metrics"]) == {
        "distance_m": 2.0,
        "survived": 1.0,
        "outside_share": 0.0,
        "outside_by": 0.0,
    }
    assert json.loads(row["versions"]).keys() >= {"python", "numpy", "gymnasium", "sim2real"}


def test_a_row_names_the_parts_of_its_condition_that_did_nothing():
    """A part that acts hides none that changes no value."""
    inert = set_to("parameter:gain", 1.0)  # which it is
    row = Bench().run(trial([add("action", Normal(0, 1)), inert]))
    assert [name for name in json.loads(row["metrics"]) if name.startswith(INERT)] == [
        f"{INERT}{inert.label}"
    ]


def test_an_episode_lasts_as_long_as_is_known():
    """As many periods as steps: the environment's, or the one given; none where a wrapper makes two steps of one."""
    plain = trial()
    assert Bench().run(plain)["duration_s"] == pytest.approx(10 * 0.1)
    assert Bench().run(replace(plain, period_s=0.3))["duration_s"] == pytest.approx(10 * 0.3)
    repeated = replace(plain, condition=(Wrap(Repeated, label="two"),))
    row = Bench().run(repeated)
    assert (row["length"], row["duration_s"]) == (5, None)
    assert Bench().run(replace(repeated, period_s=0.2))["duration_s"] == pytest.approx(5 * 0.2)


@pytest.mark.parametrize(("fault", "survived", "termination"), [("", 1, ""), ("terminates", 0, "terminated")])
def test_where_nothing_is_reported_success_is_unknown(fault, survived, termination):
    """To last until one's time runs out is to survive; whether that is success the environment alone can say."""
    row = Bench().run(trial(reports=False, fault=fault))
    assert (row["success"], row["termination"], row["cost"]) == (None, termination, 0.0)
    assert json.loads(row["metrics"]) == {"survived": survived, "outside_share": 0.0, "outside_by": 0.0}


@pytest.mark.parametrize(
    ("told", "success"),
    [
        ({}, None),
        ({"success": None}, None),
        ({"success": None, "is_success": True}, 1),
        ({"success": np.bool_(False)}, 0),
        ({"is_success": np.array([True])}, 1),
        ({"success": np.float32(0.5), "is_success": 0.5}, 0.5),
        ({"success": 0.7}, 0.7),
        ({"success": [0.25]}, 0.25),
        ({"success": np.array(1)}, 1),
    ],
)
def test_success_is_what_the_environment_says(told, success, tmp_path, monkeypatch):
    """A number is a number in any wrapping, a fraction stays one in the store too, and None says nothing."""
    monkeypatch.setattr(Toy, "tells", told)
    row = Bench().run(trial())
    assert (row["status"], row["success"]) == ("ok", success)
    store = Store.create(tmp_path)
    store.add([row])
    assert store.rows()[0]["success"] == success


@pytest.mark.parametrize(
    "value", ["yes", math.nan, 2, -0.1, math.inf, [True, False], {"task": True}, np.zeros(2), np.array([])]
)
def test_success_that_is_no_share_is_a_sentence(value, monkeypatch):
    """What is no number from 0 to 1 is neither success nor failure; the sentence shows it."""
    monkeypatch.setattr(Toy, "tells", {"success": value})
    row = Bench().run(trial())
    assert row["status"] == "error"
    assert row["error"].startswith(
        "The environment's info['success'] must be True, False or a number from 0 to 1"
    )


def test_success_of_torch_is_understood():
    """A tensor is read wherever it lies, and whether or not it has a gradient."""
    torch = pytest.importorskip("torch")
    assert success({"success": torch.tensor(True)}) == 1
    assert success({"is_success": torch.tensor([0.5], requires_grad=True)}) == 0.5


def test_success_that_is_told_twice_must_be_one(monkeypatch):
    """Two names with different values cannot both be right."""
    monkeypatch.setattr(Toy, "tells", {"success": True, "is_success": 0.0})
    row = Bench().run(trial())
    assert "differ: info['success'] = 1 and info['is_success'] = 0" in row["error"]


def beside(space, made):
    """Return what `Outside` tells of actions."""
    outside = Outside(space)
    for action in made:
        outside.see(action)
    return outside.told(len(made))


@given(
    hnp.arrays(np.float32, (7, 2), elements=st.floats(-4, 4, width=32)),
    st.sampled_from([(-1.0, 1.0), (0.25, np.inf), (-np.inf, 0.5), (-np.inf, np.inf)]),
)
def test_steps_outside_the_box_are_counted_as_by_hand(made, ends):
    """Each step with a component beyond a bound counts once, and the largest distance to one is kept."""
    space = gym.spaces.Box(*ends, (2,), np.float32)
    steps = most = 0.0
    for action in made:
        beyond = max(0.0, *(max(ends[0] - one, one - ends[1]) for one in map(float, action)))
        steps, most = steps + (beyond > 0), max(most, beyond)
    assert beside(space, made) == {"outside_share": steps / 7, "outside_by": pytest.approx(most)}


def test_what_float32_rounds_is_not_outside_and_long_episodes_are_counted_whole():
    """A limit of 0.1 is 0.10000000149 in float32; in other spaces nothing is counted."""
    limit = gym.spaces.Box(-0.1, 0.1, (1,), np.float64)
    assert beside(limit, [np.array([0.1], np.float32)]) == {"outside_share": 0.0, "outside_by": 0.0}
    many = [np.array([1.1 if step % 2 else 0.0]) for step in range(2 * AT_ONCE + 6)]
    assert beside(limit, many) == {"outside_share": 0.5, "outside_by": pytest.approx(1.0)}
    assert beside(gym.spaces.Box(-1, 1, ()), [np.array(3.0)]) == {"outside_share": 1.0, "outside_by": 2.0}
    assert beside(gym.spaces.Discrete(2), [1]) == {}


def test_actions_count_as_the_policy_makes_them_and_can_be_clipped():
    """What a perturbation adds is not the policy's; a clip is part of the trial, and changes what runs."""
    beyond, late = policies.scripted(constant, value=1.5), [add("action", 5.0)]
    counted = {"outside_share": 1.0, "outside_by": 0.5}
    rows = {
        (policy, bool(condition)): Bench().run(trial(condition, policy=policy))
        for policy in (POLICY, beyond, beyond.clipped())
        for condition in ([], late)
    }
    for (policy, _), row in rows.items():
        metrics = json.loads(row["metrics"])
        expected = counted if policy is not POLICY else dict.fromkeys(counted, 0.0)
        assert {name: metrics[name] for name in counted} == expected
    assert rows[beyond, False]["return"] == 15.0
    assert rows[beyond.clipped(), False]["return"] == 10.0
    assert rows[beyond.clipped(), True]["return"] == 60.0
    assert rows[beyond.clipped(), False]["interventions"] == 10
    assert trial(policy=beyond).key != trial(policy=beyond.clipped()).key
    assert beyond.clipped().sha256 == beyond.sha256


def test_noise_needs_no_row():
    """The last noise of an image is in no record; a bias is, and the episode repeats without either."""
    noisy = trial([add("observation", Normal(0, 1)), add("observation", Normal(0, 1), every="episode")])
    row = Bench().run(noisy)
    assert [*json.loads(row["parameters"])] == ["add observation"]
    assert replay(noisy)[0]["digest"] == row["digest"]


@pytest.mark.parametrize(
    ("told", "message"),
    [
        ({"metrics": [1, 2]}, r"info\['metrics'\] must be numbers by name, not \[1, 2\]"),
        ({"metrics": {"e": None}}, r"gave None as metrics\['e'\], which is not a number"),
        ({"cost": "low"}, "gave 'low' as cost, which is not a number"),
        ({"cost": math.nan}, "gave a cost that is not finite: nan"),
    ],
)
def test_what_is_told_besides_must_be_numbers(told, message, monkeypatch):
    """Metrics and cost are numbers in any wrapping, or the record says what they are instead."""
    monkeypatch.setattr(Toy, "tells", told)
    row = Bench().run(trial())
    with pytest.raises(AssertionError, match=message):
        raise AssertionError(row["error"])
    wrapped = {"metrics": {"e": np.array([2.0])}, "cost": np.array([0.5])}
    monkeypatch.setattr(Toy, "tells", wrapped)
    row = Bench().run(trial())
    assert json.loads(row["metrics"])["e"] == 2.0


def test_max_steps_cuts_an_episode_as_its_end_would():
    """A cut episode counts as truncated."""
    cut = Trial(policy=POLICY, env=TOY, env_kwargs={"reports": False, "fault": "terminates"}, max_steps=4)
    row = Bench().run(cut)
    assert (row["length"], row["success"], row["termination"]) == (4, None, "")
    assert json.loads(row["metrics"])["survived"] == 1


@pytest.mark.parametrize(
    ("policy", "fault", "message"),
    [
        (misshapen, "", r"shape \(3,\)"),
        (nan, "", "finite"),
        (constant, "raises", r"RuntimeError: lost contact at <object object at 0x…>"),
        (constant, "nan", "reward that is not finite"),
        (constant, "blind", "observation that is not a number"),
    ],
)
def test_what_goes_wrong_in_an_episode_is_its_record(policy, fault, message):
    """Failures are rows with one sentence, and the next episode is as if nothing had happened."""
    bench, clean = Bench(), Bench().run(trial())
    row = bench.run(trial(policy=policies.scripted(policy), fault=fault))
    assert row["status"] == "error"
    assert "return" not in row
    with pytest.raises(AssertionError, match=message):
        raise AssertionError(row["error"])
    assert "\n" not in row["error"]
    assert outcome(bench.run(trial())) == outcome(clean)


def test_what_the_machine_lacks_is_no_outcome():
    """An episode that ran out of memory can be retried, as one whose process died."""
    row = Bench().run(trial(fault="full"))
    assert row["status"] in RETRIED
    assert "MemoryError" in row["error"]


def test_rows_do_not_depend_on_what_the_bench_ran_before():
    """Same trial, same row, in any order and company."""
    trials = cartpole(episodes=2, max_steps=60).trials()
    alone = {one.key: outcome(Bench().run(one)) for one in trials}
    bench = Bench()
    for one in (*reversed(trials), *trials[::3], *trials[1::2]):
        assert outcome(bench.run(one)) == alone[one.key]


def test_the_environment_is_made_once_for_many_conditions():
    """Perturbed episodes share an environment that is nominal in between; a Wrap gets one of its own."""
    bench, before = Bench(), Toy.made
    conditions = [(), (scale("parameter:gain", 3.0),), (set_to("parameter:gain", Uniform(2, 3)),), ()]
    returns = [bench.run(trial(condition))["return"] for condition in conditions]
    assert Toy.made == before + 1
    assert returns[0] == returns[3] == 5.0
    assert bench.run(trial([Wrap(halved, label="half")]))["return"] == 2.5
    assert Toy.made == before + 2


def test_zero_strength_is_bit_identical_to_nominal():
    """Perturbations at strength 0 leave every observation, action and reward as it was; at 1 they do not."""
    perturbations = [add("observation", Normal(0, 1)), delay("action", 1), scale("parameter:gain", 2.0)]
    off = [perturbation.at(0) for perturbation in perturbations]
    digests = [Bench().run(trial(condition))["digest"] for condition in ((), off, perturbations)]
    assert digests[0] == digests[1] != digests[2]


def test_the_first_item_of_a_condition_is_innermost():
    """Perturbations and wraps are put on in the order they are listed."""
    items = (add("action", 1.0), scale("action", 2.0), Wrap(halved, label="a"), add("observation", 1.0))
    layers, env = [], dress(gym.make(TOY), items, None)
    while isinstance(env, gym.Wrapper):
        layers.append(type(env).__name__)
        env = env.env
    assert layers[:3] == ["Perturbed", "TransformReward", "Perturbed"]


def test_what_cannot_be_put_together_is_no_record():
    """An environment that cannot be made ends the run with a sentence instead of filling the table."""
    with pytest.raises(Sim2RealError, match="Environment 'Nowhere-v0' cannot be made"):
        Bench().run(Trial(policy=POLICY, env="Nowhere-v0"))


def test_a_replay_has_the_digest_of_the_record_and_shows_it():
    """Repeating a trial gives the same row; rendering adds pictures and changes nothing."""
    one = toy(episodes=1).trials()[0]
    recorded, (row, frames) = Bench().run(one), replay(one, render=True)
    assert outcome(row) == outcome(recorded)
    assert [int(frame[0, 0, 0]) for frame in frames] == list(range(10))
    assert replay(one)[1] == []


def test_an_error_reads_the_same_in_every_process():
    """Addresses and line breaks are taken out of an exception's text."""
    assert one_line(ValueError("at 0x7f00aa11bb22\n  and so on")) == "ValueError: at 0x… and so on"
    assert one_line(Sim2RealError("Plainly.")) == "Plainly."

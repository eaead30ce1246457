"""Constraints and shields in a study: part of what a trial is, of its row, and of the price that is reported."""

import json

import numpy as np
import pytest
from study_toys import TOY, constant, gain, toy

from sim2real import policies
from sim2real.errors import Sim2RealError
from sim2real.perturb import add, scale
from sim2real.report.figures import figures
from sim2real.report.table import Table
from sim2real.safety import RateLimit, custom
from sim2real.study import Study, Trial, open_study, run
from sim2real.study.rollout import Bench

POLICY = policies.scripted(constant)  # always 0.5


def pushed(observation, action, info):
    """How much of the action arrived."""
    return float(action[0])


HARD = custom(pushed, 0.35, name="hard")


def row(policy=POLICY, condition=(), constraints=(HARD,)):
    return Bench().run(
        Trial(policy=policy, env=TOY, condition=condition, seed=7, parameters=gain, constraints=constraints,
              env_kwargs={"reports": False})
    )  # fmt: skip


def test_shields_and_constraints_are_part_of_what_a_trial_is():
    """Each changes the key, and so does each number in them."""
    made = [
        Trial(policy=policy, env=TOY, constraints=constraints)
        for policy in (POLICY, POLICY.behind(RateLimit(change=0.1)), POLICY.behind(RateLimit(change=0.2)))
        for constraints in ((), (HARD,), (custom(pushed, 0.4, name="hard"),))
    ]
    assert len({trial.key for trial in made}) == 9
    assert POLICY.behind(RateLimit(change=0.1)).behind() == POLICY


def test_a_row_counts_what_each_constraint_saw():
    """0.5 exceeds 0.35 by 0.15 in each of ten steps; behind a limit of 0.1 a step only from the fourth on."""
    bare, shielded = row(), row(POLICY.behind(RateLimit(change=0.1)))
    assert (bare["cost"], bare["violations"], bare["interventions"]) == (10.0, 10, 0)
    metrics = json.loads(bare["metrics"])
    assert metrics == {
        "hard_violations": 10.0,
        "hard_worst_excess": pytest.approx(0.15),
        "safe_share": 0.0,
        "survived": 1.0,
        "outside_share": 0.0,
        "outside_by": 0.0,
    }
    assert (shielded["cost"], shielded["interventions"]) == (7.0, 4)
    told = json.loads(shielded["metrics"])
    assert told["shield_change"] == pytest.approx(0.4 + 0.3 + 0.2 + 0.1)
    assert (told["shield_infeasible"], told["safe_share"]) == (0.0, pytest.approx(0.3))


def test_constraints_watch_what_arrives_and_shields_what_is_sent():
    """A perturbed action is judged as perturbed; a shield outside of the perturbation cannot help that."""
    offset = (add("action", 0.22),)
    assert json.loads(row(condition=offset)["metrics"])["hard_worst_excess"] == pytest.approx(0.37)
    shielded = row(POLICY.behind(RateLimit(change=0.0625)), offset)
    assert shielded["interventions"] == 7
    assert shielded["cost"] == 8.0  # k / 16 + 0.22 > 0.35 from the third step on


def test_watching_changes_nothing():
    """Return, length and digest of an episode are those of one that nobody watched."""
    watched, alone = row(), row(constraints=())
    assert [watched[name] for name in ("return", "length", "digest")] == [
        alone[name] for name in ("return", "length", "digest")
    ]


def test_perturbations_are_undone_behind_a_shield():
    """The environment that a bench holds is nominal again after a shielded, perturbed episode."""
    bench = Bench()

    def play(policy, condition):
        trial = Trial(policy=policy, env=TOY, condition=condition, seed=7, parameters=gain)
        return bench.run(trial)["return"]

    nominal = play(POLICY, ())
    play(POLICY.behind(RateLimit(change=1.0)), (scale("parameter:gain", 3.0),))
    assert play(POLICY, ()) == nominal


def test_the_price_of_safety_is_the_paired_difference(tmp_path):
    """Behind the shield the return falls and the cost falls by what arithmetic says, in a study read back from disk."""
    study = toy(
        name="price", policies={"bare": POLICY, "shielded": POLICY.behind(RateLimit(change=0.1))},
        conditions={"stronger": [scale("parameter:gain", 2.0)]}, parameters=gain, constraints=[HARD],
        env_kwargs={"reports": False}, episodes=4, metric="survived",
    )  # fmt: skip
    run(study, tmp_path / "price", workers=0)
    again, store = open_study(tmp_path / "price")
    assert again == study
    nominal, perturbed = figures(Table(again, store)).prices
    assert (nominal.policy, nominal.bare, nominal.perturbed) == ("shielded", "bare", False)
    assert nominal.returns.estimate.value == pytest.approx(-1.0)
    assert perturbed.returns.estimate.value == pytest.approx(-2.0)
    assert nominal.bare_return.value == pytest.approx(5.0)
    assert nominal.cost.estimate.value == pytest.approx(-3.0)
    assert nominal.interventions.value == pytest.approx(0.4)
    assert np.isnan(nominal.success.estimate.value)  # nobody told


def test_one_name_names_one_constraint_and_one_shield():
    """Two of a name would share a column, two shields of a kind a count."""
    with pytest.raises(Sim2RealError, match="names of their own"):
        toy(constraints=[HARD, HARD])
    with pytest.raises(Sim2RealError, match="one shield of a kind"):
        POLICY.behind(RateLimit(change=0.1), RateLimit(change=0.2))
    with pytest.raises(Sim2RealError, match="torso_tilt"):
        Study(name="x", env=TOY, policies={"it": POLICY}, constraints=["torque"])

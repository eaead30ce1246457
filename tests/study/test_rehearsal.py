"""Whether episodes repeat is found out before a study, said, and kept with it."""

import warnings
from dataclasses import replace

import pytest
import repeat_toys
from repeat_toys import Elephant, Peeker, Seeded, noisy, push, shaken

from sim2real import policies
from sim2real.errors import Sim2RealError
from sim2real.perturb import Make, Normal, Wrap, add
from sim2real.report import write
from sim2real.report.figures import figures
from sim2real.report.table import Table
from sim2real.study import Store, Study, merge, run
from sim2real.study.rehearsal import identity, rehearse

NOISE = {"noise": [add("observation", Normal(0, 0.1))]}


def asked(env="Steady", factory=push, **changes):
    """Return a study of one policy in one of the toys, whose best return is 0."""
    fields = {
        "name": "repeat", "env": f"repeat_toys:{env}-v0", "policies": {"it": policies.scripted(factory)},
        "conditions": NOISE, "episodes": 2, "metric": "return", "competent": -1e9,
    }  # fmt: skip
    return Study(**{**fields, **changes})


def sentences(study):
    return [finding["sentence"] for finding in rehearse(study, trust=False)["findings"]]


@pytest.mark.parametrize(
    ("env", "why"),
    [
        ("Deaf", "ignores the seed"),
        ("Restless", "differs from run to run"),
        ("SeededOnce", "depends on the episode before"),
        ("Leftover", "depends on the episode before"),
        ("Toggle", "depends on the episode before"),
    ],
)
@pytest.mark.parametrize("factory", [push, noisy])
def test_an_environment_that_does_not_repeat_is_named_with_the_reason(env, why, factory):
    """Whatever the policy does: its actions are recorded, and the environment is judged without it."""
    (sentence,) = sentences(asked(env, factory))
    assert sentence.startswith(f"Environment 'repeat_toys:{env}-v0' {why}")


@pytest.mark.parametrize("factory", [push, Seeded, Peeker])
def test_what_repeats_is_not_suspected(factory):
    """Also of a policy that draws from the seed it is given, or that looks behind its observations."""
    assert sentences(asked(factory=factory)) == []


@pytest.mark.parametrize("factory", [noisy, Elephant])
def test_a_policy_that_does_not_repeat_is_told_from_its_environment(factory):
    """Alone, or as the first or the second of two; the other is not suspected."""
    steady, other = policies.scripted(push), policies.scripted(factory)
    for among in ({"it": other}, {"it": other, "steady": steady}, {"steady": steady, "it": other}):
        with pytest.warns(UserWarning, match="Policy 'it' acts otherwise.*not called paired"):
            store = run(asked(policies=among), f"{next(iter(among))}-{len(among)}", workers=0)
        table = Table(asked(policies=among), store)
        assert [label for label in among if not table.repeats(label, NOISE)] == ["it"]


@pytest.fixture(autouse=True)
def aside(tmp_path, monkeypatch):
    """Records go to a folder of the test's own."""
    monkeypatch.chdir(tmp_path)


def test_environments_are_judged_one_by_one():
    """What one is made or wrapped with goes for its conditions alone, and for what is wrapped around it."""
    other, wrap = Make(name="engine", value="other"), Wrap(shaken, label="shaken")
    conditions = NOISE | {"other": [other], "both": [other, wrap], "wrapped": [wrap, *NOISE["noise"]]}
    study = asked("SteadyHere", conditions=conditions)
    with pytest.warns(UserWarning, match="not called paired"):
        table = Table(study, run(study, workers=0))
    assert [label for label in study.conditions if not table.repeats("it", [label])] == [
        "other",
        "both",
        "wrapped",
    ]
    assert "(make with engine='other') ignores the seed" in table.findings[0]
    assert "(shaken) ignores the seed" in table.findings[1]


def test_the_keys_of_trials_do_not_change_and_the_report_says_why():
    """Nothing is called paired, the reason is in the answer, and no gate says that a perturbation acted."""
    study = asked("Deaf", episodes=8)
    with pytest.warns(UserWarning, match="ignores the seed"):
        store = run(study, workers=0)
    assert store.keys() == {trial.key for trial in study.trials()}
    table = Table(study, store)
    (gate,) = (gate for gate in figures(table).gates if gate.kind == "not repeatable")
    assert (gate.policy, gate.condition) == ("it", "noise")
    page = write(study, store, "report.html", clips=False).read_text()
    answer, methods = page.partition("What to do about it")[0], page.rpartition(">Methods<")[2]
    assert "Not repeatable." in answer
    assert "ignores the seed" in answer
    assert "paired by episode" not in methods
    assert "differences\nare not paired" in methods
    steady = asked(episodes=8)
    page = write(steady, run(steady, "steady", workers=0), "steady.html", clips=False).read_text()
    assert "differences are paired by episode" in page
    assert "was the same bit for bit" in page
    assert "not paired" not in page


def test_the_result_stays_with_the_study(monkeypatch):
    """Resumed, in shards and merged it is the same, and no episode is played for it again."""
    study = asked("Leftover", episodes=4)
    with pytest.warns(UserWarning, match="depends on the episode before"):
        whole = run(study, "whole", workers=0).meta["rehearsal"]
    with pytest.warns(UserWarning, match="depends on the episode before"):
        shards = [run(study, f"{i}", workers=0, shard=(i, 2)).folder for i in (1, 2)]
    assert merge("merged", shards).meta["rehearsal"] == whole
    assert whole == {"of": identity(study), "findings": whole["findings"]}
    monkeypatch.setattr("sim2real.study.check.rehearse", None)  # it would fail
    more = replace(study, episodes=6, conditions={**NOISE, "more": [add("observation", 0.1)]})
    with pytest.warns(UserWarning, match="depends on the episode before"):
        assert run(more, "whole", workers=0).meta["rehearsal"] == whole
    assert len(Store("whole")) == 3 * 6
    assert identity(asked("Leftover", metric="length")) != identity(study) != identity(asked())


def test_shards_that_found_different_things_are_merged_into_all():
    """What one machine found counts for all."""
    study = asked(episodes=4)
    folders = [run(study, f"{i}", workers=0, shard=(i, 2)).folder for i in (1, 2)]
    finding = {"policy": "it", "environment": "", "sentence": "Policy 'it' is moody."}
    store = Store(folders[1])
    store.write_meta(store.meta | {"rehearsal": {"of": identity(study), "findings": [finding]}})
    for order in (folders, folders[::-1]):
        assert merge(f"merged{order[0]}", order).meta["rehearsal"]["findings"] == [finding]


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        (
            {},
            "has neither info['success'] nor info['is_success']. Say what counts instead, such as metric='return'",
        ),
        ({"max_steps": 3}, "cut after max_steps=3, has neither"),
    ],
)
def test_a_study_of_success_that_nobody_tells_is_refused(changes, told):
    """Before any work, in one sentence that says what was looked for and what can be done."""
    with pytest.raises(Sim2RealError) as error:
        run(asked(metric="success", competent=0.9, **changes), "refused", workers=0)
    assert told in str(error.value)
    assert len(Store("refused")) == 0
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        survived = asked(metric="survived", competent=0.9, **changes)
        assert Table(survived, run(survived, "refused", workers=0)).cell("it", "noise").value == 1


def test_the_bare_environment_is_blamed_for_its_own_faults(monkeypatch):
    """Neither policy nor condition is named where it fails without them; the place in its code is."""

    def fails(self, seed):
        raise KeyError("no such motor")

    monkeypatch.setattr(repeat_toys.Steady, "start", fails)
    with pytest.raises(
        Sim2RealError, match=r"^Environment 'repeat_toys:Steady-v0' itself cannot be reset: KeyError"
    ) as it:
        run(asked(), workers=0)
    assert "test_rehearsal.py:" in str(it.value)

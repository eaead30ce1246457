from dataclasses import replace
from xml.etree import ElementTree

import numpy as np
import pytest

from sim2real.cli import main
from sim2real.errors import Sim2RealError
from sim2real.report.compare import ALL, compare, sentence
from sim2real.study.document import describe


@pytest.fixture(scope="module")
def recorded(made):
    """A function that returns the folder of a finished study."""

    def record(study, rows=None):
        store = made.record(study, rows)
        store.write_meta(store.meta | describe(study, {}, None, None))
        return str(store.folder)

    return record


def of(study, *labels):
    return replace(study, policies={label: study.policies[label] for label in labels})


@pytest.fixture(scope="module")
def both(made, recorded):
    """The folder of a study of two policies, of which one stands more."""
    return recorded(made.walker(episodes=40))


def test_a_study_did_not_change_against_itself(both):
    """Every difference is zero, every episode equal bit for bit, and nothing is better or worse."""
    changes = compare(both, both)
    assert {change.policy for change in changes} == {"plain", "randomised"}
    assert all(change.change.estimate.value == 0 and change.same == 1 for change in changes)
    assert {change.verdict for change in changes} == {""}


def test_luck_is_rarely_called_a_loss(made, recorded):
    """Of studies that differ by luck alone, about one in twenty has a cell that is called worse, or fewer."""
    alarms = 0
    for trial in range(30):
        study = of(made.walker(episodes=20, seed=trial), "plain")
        study = replace(study, conditions=dict(list(study.conditions.items())[:8]))
        other = replace(
            study, policies={"plain": [replace(study.policies["plain"][0], sha256=f"{trial:064}")]}
        )
        alarms += any(change.verdict == "worse" for change in compare(recorded(study), recorded(other)))
    assert alarms <= 4


def test_what_is_weaker_is_found_where_it_is(both):
    """Of the two policies of one study the plain one is worse on the whole and where it breaks, not at nominal."""
    changes = {change.condition: change for change in compare(f"{both}:randomised", f"{both}:plain")}
    assert changes[ALL].verdict == changes["payload 6"].verdict == changes["friction 0.4"].verdict == "worse"
    assert changes["nominal"].verdict == changes["friction 1"].verdict == ""
    forth = {change.condition: change.verdict for change in compare(f"{both}:plain", f"{both}:randomised")}
    assert forth[ALL] == forth["payload 6"] == "better"
    assert "worse" not in forth.values()


def test_the_numbers_are_those_of_the_records(made, both):
    """Before, after and their difference are plain means over the same episodes."""
    study = made.walker(episodes=40)
    cells = {}
    for cell, row in zip(study.cells(), made.rows(study), strict=True):
        cells.setdefault((cell.policy_label, cell.condition_label), []).append(row["success"])
    for change in compare(f"{both}:randomised", f"{both}:plain"):
        names = study.conditions if change.condition == ALL else [change.condition]
        before, after = (np.mean([cells[label, name] for name in names]) for label in ("randomised", "plain"))
        assert change.before.value == pytest.approx(before)
        assert change.after.value == pytest.approx(after)
        assert change.change.estimate.value == pytest.approx(after - before)


def test_a_loss_within_the_margin_is_none(both):
    """A larger margin calls less a loss; one that no loss can reach, nothing."""
    worse = [
        {
            change.condition
            for change in compare(f"{both}:randomised", f"{both}:plain", margin)
            if change.verdict == "worse"
        }
        for margin in (0.0, 0.4, 0.8, 1.0)
    ]
    assert worse[0] > worse[1] > worse[2] > worse[3] == set()


def test_more_failed_episodes_are_worse_whatever_the_rest_says(made, recorded):
    """An episode that gives no number any more is a loss by itself, and the only one here."""
    study = of(made.walker(episodes=20), "plain")
    rows = made.rows(study)
    (lost,) = (
        i for i, cell in enumerate(study.cells()) if (cell.condition_label, cell.episode) == ("push 0.5", 3)
    )
    broken = [dict(row) for row in rows]
    broken[lost].update(status="crashed", success=None, digest=None)
    worse = [
        change
        for change in compare(recorded(study, rows), recorded(study, broken))
        if change.verdict == "worse"
    ]
    assert [(change.condition, change.failures) for change in worse] == [("push 0.5", 1), (ALL, 1)]


def test_a_change_holds_whatever_either_side_lost(made, recorded):
    """Where both lost as many episodes, but others, no change lies within what is told, and the sentence says so."""
    study = of(made.walker(episodes=20), "plain")
    rows = made.rows(study)
    gone = {"status": "error", "error": "RuntimeError: diverged", "success": None, "digest": None}
    before, after = (
        [
            row | (gone if cell.condition_label == "push 0.5" and cell.episode in lost else {})
            for cell, row in zip(study.cells(), rows, strict=True)
        ]
        for lost in ((1, 2, 3), (4, 5, 6))
    )
    changes = {one.condition: one for one in compare(recorded(study, before), recorded(study, after))}
    for label in ("push 0.5", ALL):
        lost = changes[label].change.estimate.lost
        assert (lost.count, changes[label].verdict) == (6, "")
        assert lost.least <= 0 <= lost.most
        assert "3 of" in sentence(changes[label])
    assert {
        one.change.estimate.lost for one in changes.values() if one.condition not in ("push 0.5", ALL)
    } == {None}


def test_what_did_not_meet_the_same_episodes_is_not_compared(made, recorded, both):
    """One sentence says what differs, is missing or too little."""
    study = made.walker(episodes=40)
    unfinished = recorded(study, made.rows(study)[:-3])
    few = recorded(made.walker(episodes=5))
    strangers = recorded(
        replace(study, policies={"a": study.policies["plain"], "b": study.policies["randomised"]})
    )
    elsewhere = recorded(replace(study, conditions={}))
    for one, other, message in (
        (both, recorded(made.walker(episodes=40, seed=1)), "did not meet the same episodes: seed is 0 and 1"),
        (both, few, "episodes is 40 and 5"),
        (few, few, "5 episodes show no loss among 76 comparisons.*episodes=12"),
        (both, unfinished, "3 of 2960 episodes are missing"),
        (f"{both}:plan", both, "no policy 'plan'. Did you mean 'plain'"),
        (both, strangers, "no policy in common"),
        (both, elsewhere, "no condition but the nominal one in common"),
        (both, "nowhere", "holds no records"),
    ):
        with pytest.raises(Sim2RealError, match=message):
            compare(one, other)
    with pytest.raises(Sim2RealError, match="0 or more, not -1"):
        compare(both, both, -1)


def test_the_command_ends_as_continuous_integration_reads_it(both, tmp_path, capsys):
    """Exit codes 0, 1 and 2; the JUnit file fails what is worse and nothing else."""
    junit = tmp_path / "junit.xml"
    assert main(["compare", both, both]) == 0
    assert main(["compare", f"{both}:randomised", f"{both}:plain", "--junit", str(junit)]) == 1
    shown = capsys.readouterr().out
    suite = ElementTree.parse(junit).getroot()
    failed = {case.get("name") for case in suite if case.find("failure") is not None}
    worse = {
        change.condition
        for change in compare(f"{both}:randomised", f"{both}:plain")
        if change.verdict == "worse"
    }
    assert failed == worse
    assert (suite.get("tests"), suite.get("failures")) == ("38", str(len(worse)))
    assert f"{len(worse)} of 38 are worse" in shown
    assert main(["compare", f"{both}:randomised", f"{both}:plain", "--margin", "1"]) == 0
    assert main(["compare", both, "nowhere"]) == 2
    assert main(["compare", both, both, "--junit", str(tmp_path / "no" / "where")]) == 2

import json
import math
from dataclasses import replace

import numpy as np
import pytest
from study_toys import cartpole, gain, halved, nan, toy

from sim2real.cli import main
from sim2real.errors import Sim2RealError
from sim2real.perturb import Normal, Wrap, add, scale
from sim2real.report import beside
from sim2real.report.table import Table
from sim2real.study import open_study, replay, run
from sim2real.study.adaptive import AT_ONCE, find_thresholds, measured, run_until

NOISE, LONG = add("observation", Normal(0, 0.5)), scale("parameter:pole.length", 8.0)


def study(**changes):
    """A pole-balancer that nothing, or almost everything, upsets."""
    fields = {
        "policies": {"firm": cartpole().policies["firm"]},
        "conditions": {"noise": [NOISE], "long": [LONG]},
        "max_steps": 100,
        "episodes": 160,
    }
    return cartpole(**{**fields, **changes})


def diverging(**changes):
    """A toy whose simulation diverges on half of the seeds as soon as its gain is raised, and else succeeds."""
    fields = {
        "conditions": {"gain": [scale("parameter:gain", 3.0)]},
        "parameters": gain,
        "metric": "survived",
    }
    return toy(env_kwargs={"fault": "diverges", "reports": False}, **{**fields, **changes})


def test_every_interval_is_as_narrow_as_asked_or_took_all_there_was(tmp_path):
    """Cells end narrow or at the study's episodes, the least that a look allows, and only those were played."""
    halfway = study(conditions={"some noise": [NOISE.at(0.6)], "long": [LONG]})
    part, store, cells = run_until(halfway, 0.08, tmp_path, workers=0)
    by_label = {cell.condition: cell for cell in cells}
    assert by_label["nominal"].episodes == by_label["long"].episodes == 22
    assert by_label["some noise"].episodes == 160
    for cell in cells:
        assert cell.reached == (cell.estimate.high - cell.estimate.low <= 0.16)
        assert cell.reached or cell.episodes == 160
        assert cell.estimate.level == pytest.approx(0.95)
    assert len(store) == len(part.trials()) == 160 + 2 * 22
    assert part.trials() == open_study(tmp_path)[0].trials()
    # An average over conditions is one over the same conditions in every episode.
    both = np.isfinite(Table(part, store).stacked("firm", ("nominal", "some noise")))[0]
    assert both.sum(1).tolist() == [22, 22]


def test_stopping_resumes_and_is_part_of_the_whole(tmp_path):
    """Running again plays nothing new and says the same, and the whole study then runs what is missing alone."""
    work = study(conditions={"long": [LONG]})
    _, first, cells = run_until(work, 0.15, tmp_path, workers=0)
    before = first.table_hash()
    _, again, same = run_until(work, 0.15, tmp_path, workers=0)
    assert (again.table_hash(), same) == (before, cells)
    seen = []
    run(replace(work, episodes=50), tmp_path, workers=0, progress=lambda done, *_: seen.append(done))
    assert seen[-1] - seen[0] == 2 * 35


def test_a_search_plays_each_seed_once_and_finds_what_a_grid_finds(tmp_path):
    """Every episode of a search is a trial of its own seed; success falls through the level about the threshold."""
    work = study(conditions={"long": [LONG]})
    played, store, (found,) = find_thresholds(work, 0.08, tmp_path, most=80, workers=0)
    assert found.reached
    assert found.estimate.n_episodes == len(store) == len(played.trials()) <= 80
    assert len({trial.seed for trial in played.trials()}) == len(store)
    grid = replace(
        work,
        conditions={name: [LONG.at(getattr(found.estimate, name))] for name in ("low", "high")},
        episodes=40,
    )
    values = measured(grid, run(grid, tmp_path / "grid", workers=0).rows())
    assert values["firm", "low"].mean() >= 0.8
    assert values["firm", "high"].mean() <= 0.95


def test_a_search_resumes_replays_and_is_written_down(tmp_path):
    """A search cut short goes on as if it never was, its episodes repeat bit for bit, its thresholds are JSON."""
    work = study(conditions={"long": [LONG], "harmless": [scale("parameter:pole.length", 1.01)]})
    whole = find_thresholds(work, 0.08, tmp_path / "whole", most=60, workers=0)
    find_thresholds(work, 0.08, tmp_path / "parts", most=20, workers=0)
    played, store, found = find_thresholds(work, 0.08, tmp_path / "parts", most=60, workers=0)
    assert store.table_hash() == whole[1].table_hash()
    assert found == whole[2]
    rows = {row["key"]: row for row in store.rows()}
    trial = open_study(tmp_path / "parts")[0].trials()[7]
    assert trial in played.trials()
    assert replay(trial)[0]["digest"] == rows[trial.key]["digest"]
    written = json.loads((tmp_path / "parts" / "thresholds.json").read_text())
    assert [one["condition"] for one in written["thresholds"]] == ["long", "harmless"]
    assert written["thresholds"][1]["estimate"]["high"] is None
    assert math.isinf(found[1].estimate.high)
    assert found[1].reached


def test_training_runs_have_thresholds_of_their_own(tmp_path):
    """Each file of a policy is searched alone, and named by its policy and run."""
    both = {"it": [*cartpole().policies["firm"], *cartpole().policies["weak"]]}
    played, _, found = find_thresholds(study(policies=both), 0.3, tmp_path, most=8, workers=0)
    assert [(one.policy, one.run, one.condition) for one in found] == [
        ("it", run, condition) for run in (0, 1) for condition in ("noise", "long")
    ]
    assert list(played.policies) == ["it, run 1", "it, run 2"]


def test_a_cell_that_loses_episodes_is_not_left_early(tmp_path):
    """Where half of the episodes diverge no interval is narrow: it holds what they may have been, to the last."""
    hard = diverging(episodes=30)
    _, _, cells = run_until(hard, 0.2, tmp_path, workers=0)
    nominal, heavy = cells
    assert (nominal.reached, nominal.estimate.lost) == (True, None)
    assert (heavy.reached, heavy.episodes) == (False, 30)
    lost = heavy.estimate.lost
    assert math.isnan(heavy.estimate.value)
    assert (lost.least, lost.most) == (1 - lost.count / 30, 1)
    assert heavy.estimate.low < lost.least
    _, _, returns = run_until(replace(hard, metric="return"), 1e9, tmp_path, workers=0)
    assert [one.reached for one in returns] == [True, False]


def test_a_threshold_holds_whatever_the_lost_outcomes_were(tmp_path):
    """It lies between that with all lost episodes failed and that with all succeeded, and is read back so."""
    _, store, (found,) = find_thresholds(diverging(), 0.1, tmp_path, most=40, workers=0)
    lost = found.estimate.lost
    assert lost.count == sum(row["status"] == "error" for row in store.rows())
    assert lost.least < 0.5
    assert found.estimate.low <= lost.least <= lost.most <= found.estimate.high
    told = json.loads((tmp_path / "thresholds.json").read_text())["thresholds"][0]["estimate"]
    again = beside.estimate(told, told["episodes"], missing=math.inf)
    assert str(again) == str(found.estimate)


def test_what_failed_to_run_is_no_outcome(tmp_path):
    """Episodes that raise count neither as success nor as failure, and the search ends all the same."""
    broken = toy(nan, conditions={"gain": [add("observation", 1.0)]})
    _, store, (found,) = find_thresholds(broken, 0.1, tmp_path, most=2 * AT_ONCE, workers=0)
    assert len(store) == 2 * AT_ONCE
    assert found.estimate.n_episodes == 0
    assert not found.reached


def test_what_cannot_be_searched_is_refused(tmp_path):
    """A wrapper has no strength, nothing has no condition, and numbers must make sense."""
    for wrong, said in (
        (
            lambda: find_thresholds(study(conditions={"w": [Wrap(halved, label="w")]}), out=tmp_path),
            "no strength",
        ),
        (lambda: find_thresholds(study(conditions={}), out=tmp_path), "besides nominal"),
        (lambda: find_thresholds(study(), 0.5, tmp_path), "below 0.4, a level"),
        (lambda: run_until(study(), 0.0, tmp_path), "positive"),
    ):
        with pytest.raises(Sim2RealError, match=said):
            wrong()


def test_only_names_what_there_is():
    """A study that is to be played in part names its own policies and conditions."""
    assert len(study(only={"firm": {"noise": [3], "long": []}}).trials()) == 160 + 1
    for wrong in ({"soft": {}}, {"firm": {"wind": [1]}}):
        with pytest.raises(Sim2RealError, match="of the study"):
            study(only=wrong)


FILE = """
from study_toys import cartpole
from sim2real.perturb import scale
study = cartpole(policies={"firm": cartpole().policies["firm"]}, episodes=40, max_steps=50,
                 conditions={"long": [scale("parameter:pole.length", 8.0)]})
"""


def test_the_command_line_stops_and_searches(tmp_path, capsys):
    """`run --until` and `threshold` print what they found, and where it is."""
    path = tmp_path / "poles.py"
    path.write_text(FILE)
    common = ["--workers", "0"]
    assert (
        main(["run", str(path), "--until", "0.15", "--no-report", "--out", str(tmp_path / "a"), *common]) == 0
    )
    shown = capsys.readouterr().out
    assert "nominal    15        1 [0." in shown
    assert main(["threshold", str(path), "--until", "0.2", "--out", str(tmp_path / "b"), *common]) == 0
    assert "thresholds.json" in capsys.readouterr().out
    assert (
        main(["run", str(path), "--until", "0.1", "--shard", "1/2", "--out", str(tmp_path / "c"), *common])
        == 2
    )
    assert "--shard" in capsys.readouterr().err

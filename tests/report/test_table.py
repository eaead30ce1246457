import json
import math
from dataclasses import replace

import numpy as np
import pytest

from sim2real.errors import Sim2RealError
from sim2real.report.table import Table


def test_every_row_has_its_place(made):
    """Values stand at (run, episode) of their cell, whatever the order of the rows in the store."""
    study = made.walker(episodes=4, runs=2)
    rows = made.rows(study)
    table = Table(study, made.record(study, rows[::-1]))
    recorded = {row["key"]: row["return"] for row in rows}
    for cell in study.cells():
        value = table.values(cell.policy_label, cell.condition_label, "return")[cell.run, cell.episode]
        assert value == recorded[cell.trial.key]


def test_what_failed_or_is_missing_is_nan(made):
    """Failed and missing trials give no number and are counted."""
    study = made.walker(episodes=4)
    rows = made.rows(study, failures=3)
    table = Table(study, made.record(study, rows[:-5]))
    everything = np.concatenate(
        [table.values(p, c).ravel() for p in study.policies for c in study.conditions]
    )
    assert np.isnan(everything).sum() == 8
    assert table.statuses() == {"ok": len(rows) - 8, "error": 3, "missing": 5}


def test_an_unknown_metric_is_named(made):
    """A metric nobody recorded is refused, with the nearest one that was."""
    study = made.walker(episodes=2, metric="distance")
    with pytest.raises(Sim2RealError, match="'distance'.*distance_m"):
        Table(study, made.record(study))


def test_only_bit_identical_rollouts_did_not_act(made):
    """A perturbation acted unless every digest equals the nominal one of its seed."""
    study = made.walker(episodes=3)
    table = Table(study, made.record(study))
    assert not table.acted("plain", "restitution 0.5")
    assert table.acted("plain", "payload 2")
    assert Table(study, made.record(study, [])).acted("plain", "payload 2")


def test_counts_of_nothing_are_left_out(made):
    """Cost, violations and interventions are columns only where something was counted."""
    study = made.walker(episodes=2)
    rows = made.rows(study)
    assert "cost" not in Table(study, made.record(study, rows)).metrics
    assert "cost" in Table(study, made.record(study, [row | {"cost": 1.5} for row in rows])).metrics
    costly = made.walker(episodes=2, metric="cost", competent=0.0)
    assert "cost" in Table(costly, made.record(costly)).metrics


def test_intervals_end_where_the_metric_does(made):
    """Seconds and lengths lie between 0 and the time limit where that shows, shares in [0, 1], counts above 0."""
    study = made.walker(episodes=4, runs=2, metric="duration_s", competent=0.0)
    rows = made.rows(study)
    for row in rows:
        row["metrics"] = json.dumps(json.loads(row["metrics"]) | {"safe_share": row["length"] / 500})
    table = Table(study, made.record(study, rows))
    assert table.bounds["duration_s"] == (0.0, 10.0)
    assert table.bounds["length"] == (0.0, 500.0)
    assert table.bounds["safe_share"] == table.bounds["success"] == (0.0, 1.0)
    assert table.span("duration_s") == 10.0
    assert "distance_m" not in table.bounds
    wide = table.estimate(np.array([[0.0, 10.0, 9.0], [10.0, 0.0, 1.0]]))
    assert (wide.low, wide.high) == (0.0, 10.0)
    cut = [row | {"termination": "fell", "success": 0} for row in rows]
    assert Table(study, made.record(study, cut)).bounds["duration_s"] == (0.0, math.inf)
    told = made.walker(episodes=4, runs=2, env_kwargs={"episode_s": 12.0}, max_steps=600)
    keys = {cell.trial.key: row for cell, row in zip(told.cells(), cut, strict=True)}
    stated = Table(told, made.record(told, [row | {"key": key} for key, row in keys.items()]))
    assert (stated.bounds["duration_s"], stated.bounds["length"]) == ((0.0, 12.0), (0.0, 600.0))


def test_trials_of_the_same_content_share_a_row(made):
    """A policy that stands in a study twice has the same numbers twice, and trials are those of the study."""
    study = made.walker(episodes=3)
    twice = replace(study, policies={**study.policies, "again": study.policies["plain"]})
    table = Table(twice, made.record(study))
    for label in twice.conditions:
        assert np.array_equal(table.values("plain", label), table.values("again", label))
    for policy, run, condition, episode, trial in [*twice.cells()][::17]:
        assert table.trial(policy, condition, run, episode) == trial


def test_early_ends_are_failures(made):
    """An episode ends early where it terminated without success; a success may end it too."""
    study = made.walker(episodes=5)
    rows = [row | {"termination": "reached", "success": 1} for row in made.rows(study)]
    assert (Table(study, made.record(study, rows)).ended_early("plain", "nominal") == 0).all()
    rows = [row | {"termination": "fell", "success": 0} for row in rows]
    assert (Table(study, made.record(study, rows)).ended_early("plain", "nominal") == 1).all()

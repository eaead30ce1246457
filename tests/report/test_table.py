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


def test_early_ends_are_failures(made):
    """An episode ends early where it terminated without success; a success may end it too."""
    study = made.walker(episodes=5)
    rows = [row | {"termination": "reached", "success": 1} for row in made.rows(study)]
    assert (Table(study, made.record(study, rows)).ended_early("plain", "nominal") == 0).all()
    rows = [row | {"termination": "fell", "success": 0} for row in rows]
    assert (Table(study, made.record(study, rows)).ended_early("plain", "nominal") == 1).all()

import csv
import sys
from types import SimpleNamespace

import pytest
from training_toys import toy

from sim2real.sinks.wandb import mirror_training
from sim2real.training.run import train


def fake(monkeypatch, init):
    monkeypatch.setitem(sys.modules, "wandb", SimpleNamespace(init=init, Settings=lambda **options: options))


def test_the_mirror_shows_the_curve(tmp_path, monkeypatch):
    """Every row of the curve is logged, in order, in a run whose id the training and its seed decide."""
    train(toy(steps=512), 5, tmp_path)
    runs = []

    def init(**options):
        run = SimpleNamespace(
            options=options, logged=[], finish=lambda: None, define_metric=lambda *a, **k: None
        )
        run.log = run.logged.append
        runs.append(run)
        return run

    fake(monkeypatch, init)
    assert mirror_training(tmp_path, mode="offline")
    assert mirror_training(tmp_path, mode="offline")
    with (tmp_path / "curve.csv").open() as file:
        rows = [{name: float(value) for name, value in row.items() if value} for row in csv.DictReader(file)]
    assert [run.logged for run in runs] == [rows, rows]
    assert len(rows) == 2
    assert runs[0].options["id"] == runs[1].options["id"]
    assert runs[0].options["config"]["seed"] == 5


def test_trouble_with_the_mirror_is_a_warning(tmp_path, monkeypatch):
    """A service that is not there costs a training nothing but one warning."""
    train(toy(steps=256), 0, tmp_path)

    def init(**options):
        raise ConnectionError("no route to host")

    fake(monkeypatch, init)
    with pytest.warns(UserWarning, match="no route to host"):
        assert not mirror_training(tmp_path)

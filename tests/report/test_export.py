import csv
import importlib.util
import math
import re

import numpy as np
import pytest

from sim2real.errors import Sim2RealError
from sim2real.report.export import export
from sim2real.report.figures import figures
from sim2real.report.table import Table


@pytest.fixture(scope="module")
def written(made):
    study = made.walker(episodes=4, runs=2, extra=("a_b & 50 %",), competent=0.5)
    store = made.record(study, made.rows(study, failures=2))
    return study, store


def read(path):
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_every_trial_is_read_back_bit_for_bit(written):
    """In trials.csv each recorded row stands at its place in the study, and its floats are the recorded ones."""
    study, store = written
    path, _ = export(study, store, "csv")
    found = {row["key"]: row for row in read(path)}
    recorded = {row["key"]: row for row in store.rows()}
    assert found.keys() == recorded.keys()
    table = Table(study, store)
    for cell in study.cells():
        row, own = found[cell.trial.key], recorded[cell.trial.key]
        assert (row["policy"], row["condition"]) == (cell.policy_label, cell.condition_label)
        assert (int(row["run"]), int(row["episode"])) == (cell.run, cell.episode)
        for name in ("return", "duration_s"):
            assert (float(row[name]) if row[name] else None) == own[name]
        distance = table.values(*cell[0:3:2], "distance_m")[cell.run, cell.episode]
        assert (float(row["distance_m"]) if row["distance_m"] else math.nan) == pytest.approx(
            distance, abs=0, nan_ok=True
        )


def test_every_estimate_of_the_appendix_is_read_back(written):
    """estimates.csv holds each metric of each policy under each condition, with its interval, exactly."""
    study, store = written
    _, path = export(study, store, "csv")
    found = {(row["policy"], row["condition"], row["metric"]): row for row in read(path)}
    cells = figures(Table(study, store)).cells
    assert len(found) == sum(len(cell.estimates) for cell in cells)
    for cell in cells:
        for metric, one in cell.estimates:
            row = found[cell.policy, cell.condition, metric]
            numbers = [float(row[name]) for name in ("value", "low", "high")]
            np.testing.assert_array_equal(numbers, [one.value, one.low, one.high])
            assert int(row["lost"]) == (one.lost.count if one.lost else 0)
    assert {row["kind"] for row in found.values()} >= {"nominal", "in-distribution", "extrapolation", ""}


def test_tables_for_papers_have_a_row_per_condition(written, tmp_path):
    """Markdown and LaTeX have one line per condition and one column per policy, and no sign breaks them."""
    study, store = written
    (path,) = export(study, store, "markdown", tmp_path)
    head, _, *lines = path.read_text("utf-8").splitlines()
    assert len(lines) == len(study.conditions)
    assert {len(re.split(r"(?<!\\)\|", line)) for line in (head, *lines)} == {len(study.policies) + 3}
    (path,) = export(study, store, "latex", tmp_path)
    body = [line for line in path.read_text("utf-8").splitlines() if line.endswith(r"\\")]
    assert len(body) == 1 + len(study.conditions)
    assert {len(re.split(r"(?<!\\)&", line)) for line in body} == {len(study.policies) + 1}
    assert not any(re.search(r"(?<!\\)[%_#]", line) for line in body)
    assert r"a\_b \& 50 \%" in body[0]


def test_parquet_needs_its_library_and_says_so(written, monkeypatch):
    """Where pyarrow is missing one sentence says what to install."""
    monkeypatch.setitem(__import__("sys").modules, "pyarrow", None)
    with pytest.raises(Sim2RealError, match="pip install pyarrow"):
        export(*written, "parquet")


@pytest.mark.skipif(not importlib.util.find_spec("pyarrow"), reason="pyarrow is optional")
def test_parquet_holds_what_csv_holds(written):
    """Both formats have the same rows."""
    from pyarrow import parquet

    for exact, plain in zip(export(*written, "parquet"), export(*written, "csv"), strict=True):
        rows = parquet.read_table(exact).to_pylist()
        assert [{name: "" if v is None else str(v) for name, v in row.items()} for row in rows] == read(plain)


def test_what_cannot_be_exported_is_said(written, tmp_path):
    """An unknown format and a folder that is none are each refused in a sentence."""
    with pytest.raises(Sim2RealError, match="write one of csv"):
        export(*written, "xlsx")
    with pytest.raises(Sim2RealError, match="cannot hold the tables"):
        export(*written, "markdown", tmp_path / "absent")

import base64
import importlib.util
import json
import os
import struct
import subprocess
import sys
import zlib
from pathlib import Path
from types import SimpleNamespace

import matplotlib
import pytest

from sim2real.sinks.wandb import mirror
from sim2real.study.document import describe

SPEC = importlib.util.spec_from_file_location("made", Path(__file__).parents[1] / "report" / "conftest.py")
made = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(made)


def records(path):
    """Yield the records of an offline run's file, which is framed like a LevelDB log in blocks of 32 KiB."""
    from wandb.proto.wandb_internal_pb2 import Record

    data, at, whole = path.read_bytes(), 7, b""
    while at + 7 <= len(data):
        left = 32768 - at % 32768
        if left < 7:
            at += left
            continue
        crc, size, kind = struct.unpack("<IHB", data[at : at + 7])
        if kind == 0:
            at += left
            continue
        part = data[at + 7 : at + 7 + size]
        assert crc == zlib.crc32(part, zlib.crc32(bytes([kind])))
        whole += part
        if kind in (1, 4):  # all of it, or its last part
            record = Record()
            record.ParseFromString(whole)
            yield record
            whole = b""
        at += 7 + size


def read(path):
    """Return what an offline run would tell the server."""
    run = SimpleNamespace(history=[], summary={}, config={}, defined=[], artifacts=[], about=None)
    for record in records(path):
        kind = record.WhichOneof("record_type")
        if kind == "run":
            run.about = record.run
            run.config = {item.key: json.loads(item.value_json) for item in record.run.config.update}
        elif kind == "history":
            items = record.history.item
            run.history.append(
                {item.key or ".".join(item.nested_key): json.loads(item.value_json) for item in items}
            )
        elif kind == "summary":
            for item in record.summary.update:
                run.summary[item.key or ".".join(item.nested_key)] = json.loads(item.value_json)
        elif kind == "metric":
            run.defined.append(record.metric)
        elif kind == "artifact":
            run.artifacts.append({entry.path: entry.size for entry in record.artifact.manifest.contents})
        elif kind == "request" and record.request.WhichOneof("request_type") == "log_artifact":
            manifest = record.request.log_artifact.artifact.manifest
            run.artifacts.append({entry.path: entry.size for entry in manifest.contents})
    return run


CLIP = b"GIF89a, and what it shows"
PAGE = f'<!DOCTYPE html><img src="data:image/gif;base64,{base64.b64encode(CLIP).decode()}">'


def recorded(folder):
    """Return a finished study of four training runs, in a folder."""
    study = made.walker(episodes=5, runs=2)
    store = made.record(study, folder)
    store.write_meta(store.meta | describe(study, {}, None, None))
    (folder / "report.html").write_text(PAGE)
    return study


def mirrored(folder, **variables):
    """Push a study from the shell; return what that said, and all runs there are, the latest last."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("WANDB_")}
    environment |= {
        "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
        "HOME": str(folder.parent / "home"),
        "MPLCONFIGDIR": matplotlib.get_cachedir(),
    }
    done = subprocess.run(
        [sys.executable, "-m", "sim2real", "sync", str(folder)],
        env=environment | variables,
        cwd=folder.parent,
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    paths = sorted(folder.glob("wandb/offline-run-*/run-*.wandb"), key=lambda path: path.stat().st_mtime_ns)
    return done, [read(path) for path in paths]


@pytest.fixture(scope="module")
def offline(tmp_path_factory):
    pytest.importorskip("wandb")
    folder = tmp_path_factory.mktemp("runs") / "walk"
    study = recorded(folder)
    done, runs = mirrored(folder, WANDB_MODE="offline")
    return study, folder, done, runs


def test_one_run_per_training_run_and_one_report(offline):
    """Every training run is a run of the study's group, with an id that its content decides."""
    study, folder, done, runs = offline
    assert (done.stdout.strip(), done.stderr) == (f"handed over {folder}", "")
    assert [run.about.job_type for run in runs].count("eval") == 4
    assert [run.about.job_type for run in runs].count("report") == 1
    assert len({run.about.run_group for run in runs}) == 1
    assert len({run.about.run_id for run in runs}) == 5
    assert runs[0].about.run_group.startswith(f"{study.name}-")


def test_config_holds_policy_and_conditions(offline):
    """A run's config says which policy it is and what it was put through."""
    study, _, _, runs = offline
    for run in runs:
        if run.about.job_type == "eval":
            policy = study.policies[run.config["policy"]][run.config["training_run"]]
            assert run.config["policy_sha256"] == policy.sha256
            assert run.config["conditions"].keys() == study.conditions.keys()
            assert run.config["training"]["steps"] > 0


def test_history_holds_the_severity_curves(offline):
    """Every point of every curve is a row against "severity", with its interval."""
    _, _, _, runs = offline
    for run in runs:
        if run.about.job_type == "eval":
            name = "curve/set payload.mass to x"
            rows = {row["severity"]: row for row in run.history if name in row}
            assert sorted(rows) == [0, 2, 4, 6, 8, 10]
            assert all(row[f"{name}_low"] <= row[name] <= row[f"{name}_high"] for row in rows.values())
            assert {"severity", "curve/*"} <= {metric.name or metric.glob_name for metric in run.defined}


def test_summary_holds_the_robust_metrics(offline):
    """The summary has what is kept, the worst condition and whether the policy is competent, with intervals."""
    _, _, _, runs = offline
    for run in runs:
        if run.about.job_type == "eval" and run.summary["robust/competent"]:
            assert (
                run.summary["robust/kept_low"]
                <= run.summary["robust/kept"]
                <= run.summary["robust/kept_high"]
            )
            assert run.summary["robust/worst_condition"]


def test_the_report_goes_along(offline):
    """The last run has the page, the table and the summary of all policies; records and clips as an artifact."""
    study, *_, runs = offline
    (report,) = (run for run in runs if run.about.job_type == "report")
    (files,) = (part for part in report.artifacts if "records.sqlite" in part)
    assert files.keys() == {"report.html", "records.sqlite", "study.json", "clips/1.gif"}
    assert files["clips/1.gif"] == len(CLIP)
    logged = {name: value for row in report.history for name, value in row.items()}
    assert (logged["report._type"], logged["report.size"]) == ("html-file", len(PAGE))
    assert (logged["cells.nrows"], logged["cells.ncols"]) == (2 * len(study.conditions), 8)
    assert {f"robust/{policy}/kept" for policy in study.policies} <= report.summary.keys()


def test_pushing_again_continues_the_same_runs(offline):
    """Ids follow from content; a sweep's agent finds the report under the id that it gave."""
    _, folder, _, runs = offline
    swept = {"WANDB_SWEEP_ID": "sweep1", "WANDB_RUN_ID": "agent7", "WANDB_PROJECT": "theirs"}
    _, all_runs = mirrored(folder, WANDB_MODE="offline", **swept)
    again = all_runs[len(runs) :]
    ids = [{run.about.job_type: [] for run in runs} for _ in range(2)]
    for found, part in zip(ids, (runs, again), strict=True):
        for run in part:
            found[run.about.job_type].append(run.about.run_id)
    assert sorted(ids[0]["eval"]) == sorted(ids[1]["eval"])
    assert ids[1]["report"] == ["agent7"] != ids[0]["report"]
    assert {run.about.sweep_id for run in again if run.about.job_type == "eval"} == {""}
    assert {run.about.sweep_id for run in again if run.about.job_type == "report"} == {"sweep1"}
    assert {run.about.project for run in again} == {"theirs"}


def test_nothing_is_left_outside_the_folder(offline):
    """All that wandb writes lies in the study's own wandb folder."""
    _, folder, _, _ = offline
    assert {path.name for path in folder.iterdir()} == {
        "records.sqlite",
        "study.json",
        "report.html",
        "wandb",
    }
    home = folder.parent / "home"
    assert not home.exists() or not [path for path in home.rglob("*") if path.is_file()]


def test_without_a_key_it_goes_offline(tmp_path):
    """Nobody logged in: one warning, and everything is there to be synced later."""
    pytest.importorskip("wandb")
    recorded(tmp_path / "walk")
    done, runs = mirrored(tmp_path / "walk")
    assert done.stderr.count("UserWarning") == 1
    assert "mirrored offline" in done.stderr
    assert len(runs) == 5


class Broken:
    """A wandb of which one function fails."""

    def __init__(self, where):
        self._where = where
        self.Settings = self.Table = self.Artifact = lambda *_, **__: self
        self.summary = {}

    def __getattr__(self, name):
        def call(*_, **__):
            if name == self._where:
                raise ConnectionError("the network\nis down")
            return self

        return call


@pytest.mark.parametrize("where", ["init", "define_metric", "log", "finish", "log_artifact", "absent"])
def test_failing_is_one_warning(tmp_path, monkeypatch, where):
    """Whatever fails, and wherever, costs one warning and leaves the records and the process as they were."""
    study = made.walker(episodes=2)
    store = made.record(study, tmp_path / study.name)
    before, environment = store.table_hash(), dict(os.environ)
    monkeypatch.setitem(sys.modules, "wandb", None if where == "absent" else Broken(where))
    with pytest.warns(UserWarning, match="Weights & Biases: no complete copy") as caught:
        assert mirror(study, store) is False
    assert len(caught) == 1
    assert store.table_hash() == before
    assert dict(os.environ) == environment

"""Laws of files that an environment is made from: what runs is in the key."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from sim2real import policies
from sim2real.errors import Sim2RealError
from sim2real.perturb import Make
from sim2real.study import Study, run
from sim2real.study.document import open_study, study_from_json, study_to_json
from sim2real.study.replay import find, replay, under

G1 = Path(__file__).parents[2] / "robots" / "g1"


@pytest.fixture
def folder(tmp_path) -> Path:
    return Path(shutil.copytree(G1, tmp_path / "mine"))


def study(robot: str, **changes) -> Study:
    fields = {
        "name": "robots",
        "env": "sim2real:sim2real/Stand-v0",
        "policies": {"hold": policies.scripted(policies.hold)},
        "env_kwargs": {"robot": robot},
        "episodes": 1,
        "max_steps": 3,
        "metric": "return",
        "competent": 0.0,
    }
    return Study(**fields | changes)


def keys(study: Study) -> list[str]:
    return [cell.trial.key for cell in study.cells()]


def edited(path: Path) -> None:
    path.write_text(path.read_text() + "\n")


def test_a_robot_given_by_path_is_named_by_its_content(folder):
    """A change of robot.toml or of its URDF is another trial, whoever names the folder; other files are not read."""

    def both() -> list[str]:
        other = [Make(name="robot", value=str(folder))]
        return keys(study(str(folder))) + keys(study("g1", conditions={"other": other}))

    at_first, urdfs = both(), sorted(folder.glob("*.urdf"))
    edited(folder / "README.md")
    assert both() == at_first
    found = [at_first]
    for path in (folder / "robot.toml", *urdfs):
        edited(path)
        found.append(both())
    by_kwarg, nominal, by_condition = zip(*found, strict=True)
    assert (len(set(by_kwarg)), len(set(nominal)), len(set(by_condition))) == (len(found), 1, len(found))


def test_other_files_are_named_by_their_content(tmp_path, monkeypatch):
    """So is the model file of an environment of others; a text that names nothing counts as itself alone."""
    monkeypatch.chdir(tmp_path)
    made = {
        "env": "Ant-v5",
        "env_kwargs": {"xml_file": "ant.xml", "inline": "<a.b/>" * 9999, "terrain": ["a.png"]},
    }
    found = []
    for name in ("ant.xml", "a.png"):
        found.append(keys(study("", **made))[0])
        (tmp_path / name).write_text("one")
        found.append(keys(study("", **made))[0])
        (tmp_path / name).write_text("two")
    assert len(set(found)) == 4


def test_what_comes_with_the_package_keeps_its_key():
    """A study without files has the keys that it had: those of trials that know of none."""
    plain = study("g1", conditions={"other": [Make(name="engine", value="mujoco")]})
    assert plain.files == {}
    assert keys(plain) == [replace(cell.trial, files={}).key for cell in plain.cells()]
    assert {len(cell.trial.made_from) for cell in plain.cells()} == {0}


def test_records_outlive_the_files_they_are_about(folder):
    """A stored study has the keys it was run under, also where its files are not, and one of before those of before."""
    asked = study(str(folder), conditions={"other": [Make(name="robot", value="g1")]})
    stored = json.loads(json.dumps(study_to_json(asked)))
    shutil.rmtree(folder)
    again = study_from_json(stored)
    assert again == asked
    assert (
        keys(replace(again, question="Why?"))
        == keys(asked)
        != keys(study(str(folder), conditions=asked.conditions))
    )
    del stored["files"]
    assert keys(study_from_json(stored)) == [replace(cell.trial, files={}).key for cell in asked.cells()]


def test_a_robot_that_changed_does_not_run_under_the_old_key(folder, tmp_path):
    """Workers and replays refuse a robot that is not the one declared; declared again, its episodes are others."""
    asked = study("g1", conditions={"mine": [Make(name="robot", value=str(folder))]})
    run(asked, tmp_path / "out", workers=1)
    opened, store = open_study(tmp_path / "out")
    (nominal, mine) = keys(opened)
    trial, row = find(opened, store, mine)
    assert replay(trial)[0]["digest"] == row["digest"]
    assert under(opened, find(opened, store, nominal)[0], "mine").key == mine
    edited(folder / "robot.toml")
    sentence = f"'{folder}' has changed since the study was declared: declare it again.$"
    with pytest.raises(Sim2RealError, match=sentence):
        replay(trial)
    with pytest.raises(Sim2RealError, match=sentence):
        run(asked, tmp_path / "other", workers=1)
    again = study("g1", conditions={"mine": [Make(name="robot", value=str(folder))]})
    assert len(run(again, tmp_path / "out", workers=1)) == 3

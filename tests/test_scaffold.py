"""What `sim2real new` writes works before anything is changed in it."""

import subprocess
import sys
from importlib.metadata import EntryPoint, EntryPoints

import gymnasium as gym
import pytest

from sim2real import Sim2RealError, plugins, preset, scale
from sim2real.cli import main
from sim2real.scaffold import KINDS, create
from sim2real.tasks import find


def test_templates_pass_their_own_checks(tmp_path, monkeypatch, capsys):
    """Each kind comes with a test, and passes it; a folder that is there is not written into."""
    monkeypatch.chdir(tmp_path)
    for kind in KINDS:
        assert main(["new", kind, f"my_{kind}"]) == 0
        assert f"check it with pytest my_{kind}" in capsys.readouterr().out
        assert main(["new", kind, f"my_{kind}"]) == 2
        assert "exists" in capsys.readouterr().err
    checked = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-W", "error", "-p", "no:cacheprovider", "."],
        capture_output=True, text=True,
    )  # fmt: skip
    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert "6 passed" in checked.stdout


def test_a_name_that_python_does_not_take_is_refused(tmp_path):
    """The sentence says what a name is made of, and nothing is written."""
    with pytest.raises(Sim2RealError, match="small letters"):
        create("study", "My-Own", tmp_path)
    with pytest.raises(Sim2RealError, match="no template of a 'robt'. Did you mean 'robot'"):
        create("robt", "mine", tmp_path)
    assert not list(tmp_path.iterdir())


PRESET = """
from sim2real.perturb import Preset, scale
HEAVY = Preset(doc="Heavy.", source="made up", condition=(scale("parameter:*.mass", 2.0),))
"""


@pytest.fixture
def installed(tmp_path, monkeypatch):
    """Pretend that packages with a task, presets and one that is broken are installed."""
    create("task", "crouch", tmp_path)
    (tmp_path / "crouch" / "their_presets.py").write_text(PRESET)
    monkeypatch.syspath_prepend(tmp_path / "crouch")
    found = EntryPoints(
        EntryPoint(name, value, f"sim2real.{kind}")
        for kind, name, value in (
            ("tasks", "crouch", "crouch:Crouch"),
            ("presets", "heavy", "their_presets:HEAVY"),
            ("presets", "broken", "nowhere:NOTHING"),
        )
    )
    monkeypatch.setattr(plugins, "entry_points", lambda **match: found.select(**match))


def test_a_task_of_another_package_is_found_by_its_name(installed):
    """An environment plays the task of an installed package."""
    env = gym.make("sim2real:sim2real/Task-v0", task="crouch", disable_env_checker=True)
    env.reset(seed=0)
    assert "height_error" in env.unwrapped.observation_terms
    with pytest.raises(Sim2RealError, match="There is no task 'crouc'. Did you mean 'crouch'"):
        find("crouc")


def test_presets_of_other_packages_are_found_by_their_names(installed):
    """A preset of an installed package is a preset; one that cannot be loaded is told in a sentence."""
    assert preset("heavy") == (scale("parameter:*.mass", 2.0),)
    with pytest.raises(Sim2RealError, match="plug-in 'broken' .* cannot be loaded: ModuleNotFoundError"):
        preset("broken")
    with pytest.raises(Sim2RealError, match="Did you mean 'heavy'"):
        preset("haevy")

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from sim2real.cli import main
from sim2real.study import Store

STUDY = """
import gymnasium as gym
import numpy as np
from sim2real import policies
from sim2real.perturb import Normal, Wrap, add, delay, scale
from sim2real.study import Study
from sim2real.wrappers import Attributes

class Balance:
    def __init__(self, env, gain=1.0):
        self.gain = gain
    def __call__(self, observation):
        x, v, angle, rate = observation
        return int(0.1 * x + 0.2 * v + self.gain * angle + 0.5 * rate > 0)

def broken(env):
    return lambda observation: np.array([np.nan, 0.0])

def pole(env):
    return Attributes(env, {"pole.length": "length"})

def halved(env):
    return gym.wrappers.TransformReward(env, lambda reward: reward / 2)

def study(episodes: int = 2, name: str = "balance", policy: str = "Balance"):
    return Study(
        name=name, env="CartPole-v1", episodes=episodes, parameters=pole, max_steps=50, metric="survived",
        policies={"it": policies.scripted(f"{__file__}:{policy}")},
        conditions={
            "late": [delay("observation", 2)],
            "long": [scale("parameter:pole.length", 2.0)],
            "halved": [Wrap(halved, label="half the reward")],
        },
    )
"""


@pytest.fixture
def study(tmp_path, monkeypatch):
    """A study file in the working directory."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "balance.py").write_text(STUDY)
    return "balance.py"


@pytest.fixture
def finished(study):
    """The same, run."""
    assert main(["run", study, "--no-report", "--workers", "0"]) == 0
    return Store("runs/balance")


def shell(*words):
    paths = os.pathsep.join(filter(None, sys.path))
    return subprocess.run(
        [sys.executable, "-m", "sim2real", *words],
        env={**os.environ, "PYTHONPATH": paths},
        capture_output=True,
        text=True,
        timeout=60,
    )


def test_a_study_is_run_shown_reported_and_repeated(study):
    """From the shell: run in worker processes, run again, status, replay from the folder alone."""
    first = shell("run", study, "episodes=3", "--no-report", "--workers", "2", "name=walk")
    assert first.returncode == 0, first.stderr
    assert "12 episodes in runs/walk" in first.stdout
    assert "walk: 12 of 12 episodes" in first.stderr
    again = shell("run", study, "episodes=4", "name=walk", "--no-report", "--workers", "2")
    assert "walk: 12 of 16 episodes" in again.stderr
    shown = shell("status").stdout
    assert re.search(r"^it +halved +4/4$", shown, re.MULTILINE)
    assert shown.splitlines()[-1] == f"table hash {Store('runs/walk').table_hash()}"
    for row in Store("runs/walk").rows()[::4]:
        repeated = shell("replay", "runs/walk", row["key"][:10])
        assert repeated.returncode == 0, repeated.stderr
        assert "bit-identical" in repeated.stdout


def test_a_report_is_written_after_a_run_and_on_demand(study, capsys):
    """`run` ends with the report's path; `report` writes it again from the folder."""
    assert main(["run", study, "--workers", "0"]) == 0
    path = Path("runs/balance/report.html")
    assert capsys.readouterr().out.splitlines()[-1] == str(path)
    path.unlink()
    assert main(["report"]) == 0
    assert path.is_file()


def test_actions_outside_the_space_are_told_once(study, capsys):
    """The console says of each policy how often, and by how much, and whether they were clipped."""
    Path("beyond.py").write_text("""
from sim2real import Study, policies
import numpy as np
def strong(env):
    return lambda observation: np.array([2.5])
it = policies.scripted(strong)
study = Study(
    name="beyond", env="Pendulum-v1", policies={"bare": it, "clipped": it.clipped()},
    metric="return", competent=-1e4, episodes=2, max_steps=5,
)
""")
    assert main(["run", "beyond.py", "--workers", "0"]) == 0
    said = [line for line in capsys.readouterr().out.splitlines() if "outside" in line]
    told = "acts outside the action space in 100\N{NO-BREAK SPACE}% of its steps, by 0.5 at most."
    assert said == [
        f"bare {told} The environment got them as they are; clipped() clips them.",
        f"clipped {told} They were clipped.",
    ]
    page = Path("runs/beyond/report.html").read_text()
    assert [page.count(sentence) for sentence in said] == [1, 1]


def test_a_replay_can_be_filmed(tmp_path, monkeypatch, capsys):
    """--gif writes what the episode looked like, and looking leaves every bit of it alone."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "stand.py").write_text(
        "from sim2real import Study, policies\n"
        "study = Study(name='stand', env='sim2real:sim2real/Stand-v0', env_kwargs={'episode_s': 0.5}, episodes=1,\n"
        "              policies={'balance': policies.scripted(policies.balance)})\n"
    )
    assert main(["run", "stand.py", "--no-report", "--workers", "0"]) == 0
    (row,) = Store("runs/stand").rows()
    assert main(["replay", "runs/stand", row["key"], "--gif", "film.gif"]) == 0
    assert "bit-identical" in capsys.readouterr().out
    assert (tmp_path / "film.gif").read_bytes()[:3] == b"GIF"


def test_a_replay_that_differs_exits_with_1(finished, capsys):
    """A digest that is not the recorded one is told, with what was recorded."""
    row = finished.rows()[0]
    finished.forget("ok")
    finished.add([row | {"digest": "0" * 32, "length": 7}])
    assert main(["replay", "runs/balance", row["key"]]) == 1
    shown = capsys.readouterr().out
    assert "differs from the record" in shown
    assert "recorded length: 7" in shown


def test_a_policy_that_changed_is_not_replayed(finished, study, capsys):
    """A record is repeated with the policy it was made with, or not at all."""
    Path(study).write_text(STUDY + "\n# changed\n")
    assert main(["replay", "runs/balance", finished.rows()[0]["key"]]) == 2
    assert "changed" in capsys.readouterr().err


def test_failures_are_counted_with_their_reasons(study, capsys):
    """A run in which episodes failed says so and exits with 2, all recorded; `status` says how many and why."""
    assert main(["run", study, "policy=broken", "--no-report", "--workers", "0"]) == 2
    assert re.search(r"8 of 8 episodes failed, 8 of them with: .*finite", capsys.readouterr().err)
    assert len(Store("runs/balance")) == 8
    assert main(["status", "runs/balance"]) == 0
    shown = capsys.readouterr().out
    assert re.search(r"^it +nominal +2/2 +2$", shown, re.MULTILINE)
    assert re.search(r"^8 × error: .*finite", shown, re.MULTILINE)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["run", "absent.py"], "There is no study file"),
        (["run", "balance.py:nothing"], "defines no 'nothing'"),
        (["run", "balance.py", "episode=3"], "Did you mean 'episodes'?"),
        (["run", "balance.py", "episodes=x"], "'x' is not of the type int"),
        (["run", "balance.py", "policy=Balanse"], "balance.py:28: "),
        (["run", "torn.py"], "torn.py:3: SyntaxError"),
        (["run", "failing.py"], "failing.py:2: ZeroDivisionError: division by zero"),
        (["run", "balance.py", "--out", "balance.py/here"], "cannot hold records"),
        (["run", "balance.py", "--workers", "-1"], "workers must not be negative"),
        (["status", "absent"], "holds no records"),
        (["status"], "There is no study in runs/"),
        (["report"], "There is no study in runs/"),
        (["replay", "absent", "00"], "holds no records"),
    ],
)
def test_what_cannot_be_done_is_one_sentence_and_exit_code_2(study, capsys, words, message):
    """`sim2real: <sentence>` on standard error, nothing else."""
    Path("torn.py").write_text("a = 1\n\ndef (\n")
    Path("failing.py").write_text("a = 0\nb = 1 / a\n")
    assert main(words) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("sim2real: ")
    assert captured.err.count("\n") == 1
    assert message in captured.err


def test_an_unexpected_failure_keeps_its_traceback(study, monkeypatch):
    """Only what the user can put right becomes a sentence."""

    def fail(*args, **kwargs):
        raise KeyError("a bug")

    monkeypatch.setattr("sim2real.study.load.load_study", fail)
    with pytest.raises(KeyError, match="a bug"):
        main(["run", study])


def test_ctrl_c_says_how_to_go_on(study, monkeypatch, capsys):
    """An interrupted run exits with 130 and says that nothing is lost."""

    def interrupt(*args, **kwargs):
        raise KeyboardInterrupt

    monkeypatch.setattr("sim2real.study.runner.run", interrupt)
    assert main(["run", study]) == 130
    assert "the same command goes on" in capsys.readouterr().err


@pytest.mark.parametrize("words", [[], ["walk"], ["run"], ["run", "balance.py", "--fast"], ["list", "cats"]])
def test_a_wrong_command_line_shows_the_usage(words, capsys):
    """The parser's own exit code is 2, too."""
    with pytest.raises(SystemExit, match="2"):
        main(words)
    assert "usage: sim2real" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        ("robots", "g1"),
        ("tasks", "sim2real:sim2real/Walk-v0"),
        ("perturbations", "push"),
        ("policies", "zero"),
        ("parameters", "ground.friction"),
    ],
)
def test_what_there_is_can_be_listed(kind, name, capsys):
    """Every kind lists its names with a line about each."""
    assert main(["list", kind]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert name in [line.split()[0] for line in lines]
    assert all(len(line.split()) > 1 for line in lines)


def test_the_page_of_parameters_is_up_to_date(capsys):
    """The written page is what is listed: sim2real list parameters --markdown > docs/parameters.md."""
    assert main(["list", "parameters", "--markdown"]) == 0
    assert (Path(__file__).parents[2] / "docs" / "parameters.md").read_text() == capsys.readouterr().out


@pytest.mark.parametrize("name", ["CartPole-v1", "sim2real:sim2real/Wlk-v0", "no_such_package:X-v0"])
def test_what_has_no_parameters_is_told_as_such(name, capsys):
    """An environment without parameters, or one that is none, ends with a sentence that names it."""
    assert main(["list", "parameters", "--env", name]) == 2
    (sentence,) = capsys.readouterr().err.splitlines()
    assert sentence.startswith("sim2real: ")
    assert f"'{name}'" in sentence


@pytest.mark.parametrize("words", [["--help"], ["run", "--help"], ["doctor", "--help"]])
def test_help_imports_nothing_that_takes_time(words):
    """Whoever asks for help waits for no arithmetic, environments, engine, plotting, learning or tracking."""
    heavy = (
        "numpy",
        "scipy",
        "gymnasium",
        "pybullet",
        "mujoco",
        "matplotlib",
        "torch",
        "wandb",
        "rich",
        "jinja2",
    )
    code = (
        "import atexit, runpy, sys\n"
        f"atexit.register(lambda: print('loaded:', *(sys.modules.keys() & {heavy!r})))\n"
        f"sys.argv[1:] = {words!r}\n"
        "runpy.run_module('sim2real', run_name='__main__')"
    )
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert shown.stdout.startswith("usage: sim2real")
    assert shown.stdout.splitlines()[-1] == "loaded:"


def test_a_replay_shows_what_one_change_would_have_made(finished, capsys):
    """--change, --without and --under play the episode a second time, and both outcomes stand side by side."""
    row = next(row for row in finished.rows() if "pole.length" in row["condition"])
    for words, told in (
        (["--change", "pole.length=0.5"], "scale pole.length by 0.5"),
        (["--without", "pole.length"], "nominal"),
        (["--under", "late"], "delay observation by 2 steps"),
    ):
        assert main(["replay", "runs/balance", row["key"], *words]) == 0
        shown = capsys.readouterr().out
        assert "bit-identical" in shown
        assert re.search(rf"^condition +scale pole.length by 2 +{told}$", shown, re.MULTILINE)
        assert re.search(rf"^digest +{row['digest']} +(?!{row['digest']})\w+$", shown, re.MULTILINE)
    assert main(["replay", "runs/balance", row["key"], "--change", "pole.length=2"]) == 0
    assert "as recorded" not in capsys.readouterr().out


def test_numbers_are_exported_instead_of_reported(finished, capsys):
    """--export writes tables into the study's folder, and no report."""
    assert main(["report", "runs/balance", "--export", "csv", "markdown"]) == 0
    names = [Path(line).name for line in capsys.readouterr().out.splitlines()]
    assert names == ["trials.csv", "estimates.csv", "estimates.md"]
    assert all((finished.folder / name).is_file() for name in names)
    assert not (finished.folder / "report.html").exists()

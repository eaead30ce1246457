"""Every block of code in the pages about foreign environments, safety, hands and statistics runs as it stands."""

import re
import shlex
from dataclasses import replace
from pathlib import Path

import pytest

from sim2real import Study
from sim2real.cli import main
from sim2real.study import run
from sim2real.study.load import load_module

pytest.importorskip("panda_gym")

DOCS = Path(__file__).parents[1] / "docs"
PAGE = (DOCS / "your-own-env.md").read_text()
BLOCKS = re.findall(
    r"```python\n(.*?)```",
    PAGE + "".join((DOCS / f"{name}.md").read_text() for name in ("safety", "hands", "statistics")),
    re.S,
)
COMMANDS = [
    line for block in re.findall(r"```console\n(.*?)```", PAGE, re.S) for line in block.strip().split("\n")
]


@pytest.fixture
def away(tmp_path, monkeypatch):
    """Work where there is a model.zip, and nothing else."""
    from stable_baselines3 import PPO

    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MUJOCO_GL", "disable")  # films for a report take minutes without a graphics card
    PPO("MlpPolicy", "HalfCheetah-v5", n_steps=64, device="cpu").save("model.zip")
    return tmp_path


@pytest.mark.parametrize("block", range(len(BLOCKS)))
def test_a_block_runs(block, away):
    """As a file of its own each block runs, its tests pass, and its studies can be run."""
    path = away / f"block_{block}.py"
    path.write_text(BLOCKS[block])
    found = vars(load_module(path))
    for name, value in list(found.items()):
        if name.startswith("test_"):
            value()
        if isinstance(value, Study):
            store = run(replace(value, episodes=1, max_steps=20), away / "out", workers=0, trust=True)
            assert {row["status"] for row in store.rows()} == {"ok"}


# Gymnasium's renderer says so when it is collected without ever having had a display.
@pytest.mark.filterwarnings(
    "ignore:Exception ignored in. .*OffScreenViewer:pytest.PytestUnraisableExceptionWarning"
)
@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_runs(command, away, capsys):
    """Each command does what the page says; the study is cut to one episode each."""
    program, *arguments = shlex.split(command)
    shorter = ["--episodes", "1", "--workers", "0", "--competent", "-9999"] if "run" in arguments else []
    assert program == "sim2real"
    assert main([*arguments, *shorter]) == 0
    written = Path("runs/HalfCheetah-v5/report.html") if shorter else Path(arguments[-1])
    assert written.exists()

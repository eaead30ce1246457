import pytest

from sim2real.cli import main
from sim2real.study import Store

FILE = """
from search_toys import REGION, field
from sim2real.search import Search

def search(formula: str = "both", points: int = 20):
    return Search(study=field(formula), region=REGION, points=points, fresh=2)
"""


@pytest.fixture
def file(tmp_path, monkeypatch):
    """A file with a search in the working directory."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "falls.py").write_text(FILE)
    return "falls.py"


def test_a_search_ends_with_the_line_that_repeats_what_it_found(file, capsys):
    """Search, repeat the counterexample, tell the modes: each from the command line."""
    assert main(["search", file, "--workers", "0"]) == 0
    shown = capsys.readouterr().out.splitlines()
    assert shown[-1] == "runs/field/search.json"
    (line,) = (line for line in shown if line.startswith("sim2real replay"))
    assert main(line.split()[1:]) == 0
    assert "bit-identical" in capsys.readouterr().out
    assert main(["modes", "runs/field"]) == 0
    assert "lost" in capsys.readouterr().out
    assert "smallest: set a to 0.4" in "\n".join(shown)


def test_sensitivity_is_told_in_a_sentence(file, capsys):
    """One for each metric of each policy, and the file they are in."""
    assert main(["sensitivity", file, "--workers", "0", "--out", "there", "points=40"]) == 0
    shown = capsys.readouterr().out
    assert "it: Of the variance of success over the region" in shown
    assert shown.splitlines()[-1] == "there/sensitivity.json"
    assert len(Store("there")) > 40


def test_mistakes_are_told_in_a_sentence(file, capsys):
    """A file without a search, and a parameter that there is not, end with exit code 2."""
    assert main(["search", f"{file}:study"]) == 2
    assert "defines no 'study'" in capsys.readouterr().err
    assert main(["sensitivity", file, "pionts=3"]) == 2
    assert "Did you mean 'points'" in capsys.readouterr().err

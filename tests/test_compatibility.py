"""Other people's environments: the page says what was found, and what is installed here still plays as it says."""

import importlib.util
import json
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[1] / "docs"
_spec = importlib.util.spec_from_file_location("compatibility", DOCS / "compatibility.py")
compatibility = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(compatibility)

PLACES = [place for group in compatibility.MATRIX for place in group.environments]
KNOWN = compatibility.known()


def test_the_page_says_what_was_found():
    """Every environment of the matrix was played, and nobody changed the page by hand."""
    assert list(KNOWN["rows"]) == [place.env for place in PLACES]
    assert compatibility.page(KNOWN) == compatibility.PAGE.read_text(encoding="utf-8")


def test_the_matrix_is_wide():
    """It has 25 environments of 12 packages that could be made, and parameters were found in most of them."""
    rows = [row for row in KNOWN["rows"].values() if "signals" in row]
    assert len(rows) >= 25
    assert len({row["package"] for row in rows}) >= 12
    assert sum(bool(row["adapter"]) for row in rows) >= len(rows) / 2


@pytest.mark.parametrize("place", PLACES, ids=lambda place: place.env)
def test_what_does_not_hold_has_its_reason_beside_it(place):
    """An environment that breaks a law has a cause that somebody looked up, and no other environment has one."""
    assert bool(compatibility.wrong(KNOWN["rows"][place.env])) == (place.name in compatibility.CAUSES)


def test_the_sample_has_a_parameter_of_each_kind_first():
    """Kinds come before their second parameters, and there are no more than are to be tried."""
    names = [f"link{i}.{kind}" for i in range(50) for kind in ("mass", "inertia", "com_x")] + ["gravity.z"]
    first, rest = compatibility.sample(names)[:4], compatibility.sample(names)[4:]
    assert {name.rpartition(".")[2] for name in first} == {"mass", "inertia", "com_x", "z"}
    assert len(first + rest) == compatibility.SAMPLE


@pytest.mark.parametrize(
    ("does", "said"),
    [
        ("kill -SEGV $$", "It died (SIGSEGV) while it was played"),
        ("echo 'No screen' >&2; exit 3", "It died (exit code 3) while it was played: No screen"),
        ("sleep 60", "It was ended after 1 s while it was played"),
    ],
)
def test_a_process_that_dies_or_hangs_leaves_what_it_found(does, said, tmp_path):
    """The row has what was written before the end, and how the process ended."""
    found = {"versions": {}, "adapter": "Mujoco"}
    told = json.dumps(found | {"doing": "played"})
    python = tmp_path / "python"
    python.write_text(f"#!/bin/bash\necho '{told}' >> \"${{@: -1}}\"\n{does}\n")
    python.chmod(0o755)
    row = compatibility.played(python, PLACES[0], timeout_s=1.0)
    assert row == {"package": PLACES[0].package, "env": PLACES[0].env, **found, "stopped": said}


@pytest.mark.slow
@pytest.mark.parametrize("place", PLACES, ids=lambda place: place.env)
def test_what_is_installed_here_plays_as_the_page_says(place):
    """In the versions that the page names the same engine is found in the same place, and the same laws hold."""
    row = KNOWN["rows"][place.env]
    for package, number in row["versions"].items():
        try:
            here = version(package)
        except PackageNotFoundError:
            pytest.skip(f"{package} is not installed")
        if here != number:
            pytest.skip(f"{package} {here} is installed, and {number} was played")
    found = compatibility.played(sys.executable, place)
    assert (found["adapter"], found["parameters"]) == (row["adapter"], row["parameters"])
    assert not row["adapter"] or found["found"] == row["found"]
    assert found["period"] == row["period"]
    assert bool(compatibility.wrong(found)) == bool(compatibility.wrong(row)), found

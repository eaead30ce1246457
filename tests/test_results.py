"""A page says what came of the studies behind it: of a version of the code that is named, and stale only if told."""

import hashlib
import importlib
import json
import re
from pathlib import Path

import pytest

from sim2real._version import PHYSICS_VERSION

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
FILES = sorted((DOCS / "results").glob("*.json"))
PAGES = [ROOT / "README.md", *sorted(DOCS.glob("*.md"))]
OPENED = re.compile(r"<!-- results: ([\w-]+)/([\w-]+) -->")


@pytest.fixture
def results(monkeypatch):
    """Return the script that makes results."""
    monkeypatch.syspath_prepend(DOCS)
    return importlib.import_module("results")


def used(path):
    """Return (result, number) of everything that a page takes from results."""
    return set(OPENED.findall(path.read_text(encoding="utf-8")))


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.stem)
def test_pages_say_what_results_say(path, results):
    """Every number of a page is one of a result, and nobody changed it by hand."""
    text = path.read_text(encoding="utf-8")
    assert len(OPENED.findall(text)) == len(results.MARK.findall(text)) == text.count("<!-- / -->")
    assert not [f"{name}/{which}" for name, which in used(path) if results.number(name, which) is None]
    assert results.page(text) == text


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.stem)
def test_pages_say_when_and_with_which_physics(path, results):
    """Who reads a number or a chart reads on the same page when it was made, and whether it is stale."""
    text, found = path.read_text(encoding="utf-8"), used(path)
    shown = {(path.parent / target).resolve() for target in re.findall(r"\]\(([^)#:\s]+\.svg)\)", text)}
    charted = {
        one.name for one in results.RESULTS if {(ROOT / chart).resolve() for chart in one.charts} & shown
    }
    for name in {name for name, _ in found} | charted:
        assert (name, "made") in found, f"{path.name} does not say when {name} was made"


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.stem)
def test_comments_do_not_break_paragraphs(path):
    """A comment that begins a line ends the paragraph before it: so only that of a block, alone on its line, may."""
    for line in path.read_text(encoding="utf-8").splitlines():
        if re.match(r"\s*(?:[*-] +|\d+\. +)?<!-- (?:results:|/)", line):
            assert re.fullmatch(r" *<!-- (?:results: \S+|/) -->", line), line


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_result_says_where_it_is_from(path, results):
    """Command, commit, date and physics; charts are those of the same records; some page uses it."""
    found = json.loads(path.read_text(encoding="utf-8"))
    (result,) = [one for one in results.RESULTS if one.name == path.stem]
    assert found["commands"] == result.typed
    assert found["commands"] or result.trained
    assert re.fullmatch(r"[0-9a-f]{40}", found["commit"]), "it was made with changes that no commit has"
    assert re.fullmatch(r"\d{4}-\d\d-\d\d", found["made"])
    assert (found["physics"] is not None) == result.physics
    assert found["charts"] == {
        chart: hashlib.sha256((ROOT / chart).read_bytes()).hexdigest() for chart in result.charts
    }
    assert any(path.stem in {name for name, _ in used(page)} for page in PAGES)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_what_is_stale_says_so(path, results):
    """A result of another physics than today's is marked on every page that has it, and no other is."""
    found = json.loads(path.read_text(encoding="utf-8"))
    stale = found["physics"] not in (None, PHYSICS_VERSION)
    (result,) = [one for one in results.RESULTS if one.name == path.stem]
    mark = f"Made with physics version {found['physics']}; the current one is {PHYSICS_VERSION}"
    assert (mark in results.made(result)) == stale


def test_a_change_of_physics_makes_results_stale(results, monkeypatch):
    """All that our physics has a say in, and nothing else."""
    monkeypatch.setattr(results, "PHYSICS_VERSION", PHYSICS_VERSION + 1)
    for result in results.RESULTS:
        if results.known(result.name):
            assert ("makes it anew" in results.made(result)) == result.physics

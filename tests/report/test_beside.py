"""What searches leave beside the records is told as it was written."""

import json
import math
import re

import pytest
from report_toys import FILES, FRESH, LADDER, search

from sim2real import report
from sim2real.errors import Sim2RealError
from sim2real.report import modes, thresholds, words, worst
from sim2real.report.figures import figures
from sim2real.report.table import Table


@pytest.fixture
def beside(made):
    """A study's records, and a function that leaves files beside them and returns the table."""
    study = made.walker(episodes=3)
    store = made.record(study)

    def left(**files):
        for name, told in files.items():
            (store.folder / f"{name}.json").write_text(json.dumps(told))
        return Table(study, store)

    return left


def test_the_least_that_fails_and_the_worst_are_told_with_their_replay(beside):
    """Points keep their amounts, severities and fresh numbers; the key is that of the worst failed episode."""
    found = worst.searched(beside(search=search()))
    assert [one.name for one in found.points] == ["nominal", "worst", "smallest"]
    assert found.point("smallest").amounts == {"payload.mass": 4.25}
    assert found.point("worst").fresh.value == 0.4
    assert (found.key, found.episodes_failed) == ("cd" * 16, 2)
    said = " ".join(words.searched(found))
    assert "at 7 of 40 points" in said
    assert "no more than payload.mass 4.25 kg (0.5 [0.3, 0.7] on fresh episodes" in said


def test_a_region_without_failures_has_no_smallest(beside):
    """Where nothing failed nothing is called a cause, and the page is written."""
    calm = search(failing=0, smallest=None, episodes_failed=[], modes=[])
    calm["fresh"] = {"nominal": FRESH, "worst": FRESH}
    table = beside(search=calm)
    found = worst.searched(table)
    assert found.point("smallest") is None
    assert found.key == ""
    assert "at none of 40" in words.searched(found)[0]
    assert modes.modes(table) == ()


def test_failure_modes_of_the_records_come_before_those_of_a_search(beside):
    """`modes.json` is about the whole study; without it a search tells its own."""
    assert [one.name for one in modes.modes(beside(search=search()))] == ["fell"]
    table = beside(modes=FILES["modes.json"])
    assert [one.share for one in modes.modes(table)] == [0.6, 0.4]
    said = words.failing(figures(table))
    assert "Of 50 failed episodes" in said
    assert "most often under “friction 0.1”" in said


def test_what_is_stood_least_comes_first(beside):
    """Thresholds rise; a null is infinite, beyond the condition as it is written."""
    table = beside(thresholds=LADDER)
    level, found = thresholds.thresholds(table)
    assert level == 0.9
    assert [one.estimate.value for one in found] == [0.34, 0.6, math.inf]
    assert words.strength(found[1].estimate) == "0.6 [0.5, more than 1]"
    assert words.strength(found[2].estimate) == "more than 1 [0.8, more than 1]"
    assert words.standing(figures(table)).endswith(
        "plain falls to 90\N{NO-BREAK SPACE}% at 0.34 [0.29, 0.39] of its strength."
    )


def test_the_page_has_what_was_found_and_how_to_see_it_again(made, tmp_path):
    """Sections stand only where there is such a file, with a command for every episode named."""
    study = made.walker(episodes=3)
    store = made.record(study)
    sections = {worst.FILE: "worst", modes.FILE: "modes", thresholds.FILE: "thresholds"}

    bare = report.write(study, store, tmp_path / "bare.html", clips=False).read_text(encoding="utf-8")
    for file, told in FILES.items():
        (store.folder / file).write_text(json.dumps(told))
    full = report.write(study, store, tmp_path / "full.html", clips=False).read_text(encoding="utf-8")
    for name in sections.values():
        assert f'<h2 id="{name}">' not in bare
        assert f'<h2 id="{name}">' in full
    assert {"cd" * 6, "ab" * 6} <= set(re.findall(r"sim2real replay \S+ (\w+)", full))


@pytest.mark.parametrize("file", FILES)
def test_a_damaged_file_is_one_sentence(made, file):
    """What cannot be read is named with its path."""
    study = made.walker(episodes=2)
    store = made.record(study)
    for broken in ("{", "[]", "{}"):
        (store.folder / file).write_text(broken)
        with pytest.raises(Sim2RealError, match=f"{file}' does not hold .*; move it away or make it again"):
            figures(Table(study, store))

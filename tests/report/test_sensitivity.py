import json
import math

import pytest

from sim2real import report
from sim2real.errors import Sim2RealError
from sim2real.report.sensitivity import FILE, sensitivities
from sim2real.report.table import Table


def index(value, low, high):
    return {"value": value, "low": low, "high": high}


FOUND = {
    "version": 1, "study": "walk-friction", "seed": 0, "points": 384, "rows": 64, "episodes": 10,
    "region": [{"name": name, "label": f"set {name} to Uniform(0, 1) every episode"} for name in ("a.mass", "b.kp")],
    "policies": {"plain": {"success": {
        "mean": 0.7, "std": 0.2, "explained": True,
        "first": {"a.mass": index(0.1, 0.0, 0.2), "b.kp": index(0.5, 0.4, 0.6)},
        "total": {"a.mass": index(0.2, 0.1, 0.3), "b.kp": index(0.9, 0.7, 1.1)},
        "pairs": [{"between": ["a.mass", "b.kp"], **index(0.1, -0.1, 0.2)}],
        "sentence": "b.kp decides 50 % of it.",
    }}},
}  # fmt: skip


@pytest.fixture
def searched(made):
    study = made.walker(episodes=3)
    return study, made.record(study)


def test_what_matters_most_comes_first(searched):
    """Axes stand in the order of their total index, each with both of its indices and intervals as written."""
    study, store = searched
    (store.folder / FILE).write_text(json.dumps(FOUND))
    (one,) = sensitivities(Table(study, store))
    assert (one.policy, one.metric, one.points) == ("plain", "success", 384)
    assert [axis.name for axis in one.axes] == ["b.kp", "a.mass"]
    assert (one.axes[0].first.value, one.axes[0].total.high) == (0.5, 1.1)
    assert one.pairs[0][:2] == ("a.mass", "b.kp")


def test_an_index_nobody_could_tell_is_left_open(searched):
    """A null is shown as nothing, not as zero."""
    study, store = searched
    told = json.loads(json.dumps(FOUND))
    told["policies"]["plain"]["success"]["first"]["a.mass"] = index(None, None, None)
    (store.folder / FILE).write_text(json.dumps(told))
    (one,) = sensitivities(Table(study, store))
    assert math.isnan(one.axes[1].first.value)
    assert one.axes[1].first.n_episodes == 0
    assert "a.mass" in report.write(study, store, store.folder / "r.html", clips=False).read_text("utf-8")


def test_without_a_search_nothing_is_said(searched):
    """A study without the file has no such section, and a file that is something else is named."""
    study, store = searched
    assert sensitivities(Table(study, store)) == ()
    page = report.write(study, store, store.folder / "r.html", clips=False)
    assert "Sobol" not in page.read_text("utf-8")
    (store.folder / FILE).write_text("[]")
    with pytest.raises(Sim2RealError, match="does not hold sensitivities"):
        sensitivities(Table(study, store))

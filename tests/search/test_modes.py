import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from search_toys import field

from sim2real.perturb import set_to
from sim2real.report.table import Table
from sim2real.search import find_modes
from sim2real.search.clusters import groups, silhouette
from sim2real.search.modes import failed
from sim2real.study import run

CONDITIONS = {name: [set_to(f"parameter:{name}", 1.0)] for name in "abc"}


@pytest.fixture(scope="module")
def fallen(tmp_path_factory):
    """A study whose policy tips over at once, tips over late, or slips, each under its condition."""
    study = field(
        env="search_toys:Fall-v0",
        env_kwargs={},
        conditions=CONDITIONS,
        episodes=12,
        name="fall",
        competent=1.0,
    )
    return study, run(study, tmp_path_factory.mktemp("fall"), workers=0)


def test_ways_of_failing_are_told_apart(fallen):
    """By how episodes end, and by when: each mode holds all failures of its cause and no other."""
    study, store = fallen
    modes, keys = find_modes(study, store)["modes"], store.keys()
    assert len(modes) == 3
    for mode in modes:
        assert mode["episodes"] == 12
        assert mode["share"] == pytest.approx(1 / 3)
        (where,) = mode["conditions"]
        assert (where["here"], where["elsewhere"]) == (1, 0)
        assert mode["example"]["condition"] == where["condition"]
        assert mode["example"]["key"] in keys
        ended = "slipped" if where["condition"] == "c" else "tipped"
        assert mode["sentence"].startswith(ended)
    early = next(mode for mode in modes if mode["conditions"][0]["condition"] == "a")
    figure = next(one for one in early["features"] if one["name"] == "duration_s")
    assert figure["separation"] == -1
    assert figure["here"] < 0.4 < figure["elsewhere"]


def test_what_did_not_fail_is_in_no_mode(fallen):
    """The failures are those whose metric is below the limit, the worst first, and no others."""
    table = Table(*fallen)
    assert {condition for _, condition, _, _ in failed(table, 1.0)} == set(CONDITIONS)
    assert failed(table, 0.0) == []
    returns = Table(field(**{**vars(fallen[0]), "metric": "return"}), fallen[1])
    values = [returns.values(place[0], place[1])[place[2:]] for place in failed(returns, 9.5)]
    assert values == sorted(values)


def test_a_study_without_failures_has_no_modes(tmp_path):
    """Nothing is told where nothing failed."""
    study = field("flat")
    assert find_modes(study, run(study, tmp_path, workers=0))["modes"] == []


@settings(max_examples=12, deadline=None)
@given(st.integers(0, 10**6), st.integers(2, 4), st.integers(1, 5))
def test_groups_that_stand_apart_are_found(seed, count, axes):
    """Each is found whole, its middle is one of its own, and the order of points does not matter."""
    rng = np.random.default_rng(seed)
    owner = rng.permutation(np.repeat(np.arange(count), 12))
    points = owner[:, None] * 10.0 + rng.normal(size=(len(owner), axes))
    labels, middles = groups(points)
    assert len(middles) == count
    assert len(set(zip(labels.tolist(), owner.tolist(), strict=True))) == count
    assert [labels[middle] for middle in middles] == list(range(count))


def test_points_beyond_the_many_join_the_nearest():
    """Also where not all are compared, each is in the group that it stands in."""
    rng = np.random.default_rng(0)
    owner = rng.integers(2, size=3000)
    labels, middles = groups(owner[:, None] * 10.0 + rng.normal(size=(3000, 2)))
    assert len(middles) == 2
    assert len(set(zip(labels.tolist(), owner.tolist(), strict=True))) == 2


def test_what_has_no_groups_is_rarely_cut():
    """Of 40 tables that are spread evenly, along a line or in a box, at most 6 are split."""
    rng = np.random.default_rng(0)
    cut = 0
    for i in range(40):
        spread = rng.random((30, 1 if i % 2 else 3))
        along = spread @ rng.normal(size=(spread.shape[1], 4))
        cut += len(groups(along)[1]) > 1
    assert cut <= 6


@pytest.mark.parametrize("points", [np.zeros((1, 2)), np.zeros((2, 1)), np.zeros((9, 3)), np.eye(3)])
def test_too_little_to_compare_is_one_group(points):
    """A point alone, equal points, and points all as far apart are not split."""
    labels, middles = groups(points)
    assert (labels == 0).all()
    assert len(middles) == 1


def test_the_silhouette_is_that_of_its_definition():
    """(b − a) / max(a, b) with the mean distance to the own and to the nearest other group; 0 for one alone."""
    x = np.array([0.0, 1.0, 10.0, 12.0, 30.0])
    labels = np.array([0, 0, 1, 1, 2])
    widths = [(11 - 1) / 11, (10 - 1) / 10, (9.5 - 2) / 9.5, (11.5 - 2) / 11.5, 0]
    assert silhouette(np.abs(x[:, None] - x), labels) == pytest.approx(np.mean(widths))

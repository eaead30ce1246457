import numpy as np
import pytest

from sim2real.errors import Sim2RealError
from sim2real.search import optimise
from sim2real.search.optimise import METHODS

BEST = np.array([0.2, 0.8, 0.55])


def bowl(x):
    """Return a rotated, narrow bowl."""
    from_best = (x - BEST[: x.shape[1]]) @ np.linalg.qr(np.vander(np.arange(1, x.shape[1] + 1)))[0]
    return (from_best**2 * 4.0 ** np.arange(x.shape[1])).sum(axis=1)


def ran(method, f, axes, points, seed=0):
    """Return all points that were tried, and their values."""
    tried = []

    def objective(x):
        tried.append((x.copy(), f(x)))
        return tried[-1][1]

    METHODS[method](objective, axes, points, seed)
    return np.concatenate([x for x, _ in tried]), np.concatenate([y for _, y in tried])


@pytest.fixture(params=METHODS)
def method(request):
    if request.param == "cma":
        pytest.importorskip("cma")
    return request.param


@pytest.mark.parametrize(("axes", "points"), [(1, 3), (2, 17), (3, 40)])
def test_no_more_points_are_tried_than_asked_for(method, axes, points):
    """All of them lie in the unit cube, and at least half of the budget is spent."""
    x, _ = ran(method, bowl, axes, points)
    assert points / 2 <= len(x) <= points
    assert x.shape[1] == axes
    assert ((x >= 0) & (x <= 1)).all()


def test_points_follow_from_seed_and_results_alone(method):
    """The same seed and results give the same points bit for bit, and numpy's own generator is left alone."""
    before = np.random.get_state()[1].copy()  # noqa: NPY002
    one, other = (ran(method, bowl, 2, 30)[0] for _ in range(2))
    assert np.array_equal(one, other)
    assert not np.array_equal(one, ran(method, bowl, 2, 30, seed=1)[0])
    assert np.array_equal(before, np.random.get_state()[1])  # noqa: NPY002


def test_a_search_beats_chance(method):
    """Of as many points spread at random the best is farther from the bottom, by this factor in the median."""
    found = [ran(method, bowl, 3, 60, seed)[1].min() for seed in range(5)]
    chance = [bowl(np.random.default_rng(seed).random((60, 3))).min() for seed in range(25)]
    assert np.median(found) < np.median(chance) / {"bayesian": 20, "evolution": 1.5, "cma": 1.5}[method]


def test_a_plateau_and_missing_values_end_no_search(method):
    """Where nothing differs, or half of the points have no value, the budget is still spent."""
    for f in (lambda x: np.ones(len(x)), lambda x: np.where(x[:, 0] > 0.5, np.inf, x[:, 1])):
        assert len(ran(method, f, 2, 40)[0]) >= 20


def test_bayesian_search_needs_few_points():
    """It comes as close in 40 points as differential evolution does in 160."""
    few = np.median([ran("bayesian", bowl, 3, 40, seed)[1].min() for seed in range(3)])
    many = np.median([ran("evolution", bowl, 3, 160, seed)[1].min() for seed in range(3)])
    assert few < many


def test_a_missing_package_is_named(monkeypatch):
    """Without cma the sentence says how to get it."""
    monkeypatch.setattr(optimise, "import_module", lambda name: (_ for _ in ()).throw(ImportError(name)))
    with pytest.raises(Sim2RealError, match="pip install 'sim2real\\[cma\\]'"):
        METHODS["cma"](bowl, 2, 10, 0)


def test_the_gaussian_process_passes_through_what_it_knows():
    """Without noise its mean is the value and its deviation nothing; far away it knows no more than at first."""
    rng = np.random.default_rng(0)
    x, y = rng.random((12, 2)), rng.normal(size=12)
    scale = np.array([0.3, 0.3, 1e-8])
    middle, deviation = optimise._predicted(x, y, x, scale)
    assert np.allclose(middle, y, atol=1e-4)
    assert (deviation < 1e-2 * y.std()).all()
    far, unsure = optimise._predicted(x, y, np.full((1, 2), 50.0), scale)
    assert far == pytest.approx(y.mean())
    assert unsure == pytest.approx(y.std())


def test_expected_improvement_is_what_is_expected():
    """Its logarithm is that of the mean of max(best − Y, 0), by sampling and far in the tail by its bounds."""
    draws = np.random.default_rng(0).normal(size=10**6)
    for middle in (-1.0, 0.0, 2.0):
        sampled = np.maximum(0.5 - (middle + 0.7 * draws), 0).mean()
        found = optimise._log_improvement(np.array([middle]), np.array([0.7]), np.array([0.5, 0.9]))
        assert np.exp(found) == pytest.approx(sampled, rel=0.02)
    tail = optimise._log_improvement(np.array([19.9, 20.1, 60.0]), np.ones(3), np.zeros(1))
    assert np.isfinite(tail).all()
    assert tail[0] > tail[1] > tail[2]
    assert tail[0] - tail[1] == pytest.approx(20.0 * 0.2, rel=0.02)

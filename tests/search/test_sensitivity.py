import numpy as np
import pytest
from scipy.stats import sobol_indices

from sim2real.search.document import sentence
from sim2real.search.sensitivity import design, indices


def ishigami(u):
    """Return Ishigami and Homma's function (1990) on the unit cube: 7 sin² x₂, and sin x₁ with or without x₃⁴."""
    x = (2 * u - 1) * np.pi
    return np.sin(x[..., 0]) + 7 * np.sin(x[..., 1]) ** 2 + 0.1 * x[..., 2] ** 4 * np.sin(x[..., 0])


# The function's own: V₁ = (1 + b π⁴ / 5)² / 2, V₂ = a² / 8, V₁₃ = b² π⁸ (1 / 18 − 1 / 50), with a = 7 and b = 0.1.
V1, V2, V13 = (1 + 0.1 * np.pi**4 / 5) ** 2 / 2, 49 / 8, 0.01 * np.pi**8 * (1 / 18 - 1 / 50)
V = V1 + V2 + V13


def test_ishigami_s_function_has_its_indices():
    """First, total and pairwise shares are those that integration gives."""
    found = indices(ishigami(design(3, 4096, seed=0)), seed=0)
    assert found.std**2 == pytest.approx(V, rel=0.03)
    assert [one.value for one in found.first] == pytest.approx([V1 / V, V2 / V, 0], abs=0.02)
    assert [one.value for one in found.total] == pytest.approx([(V1 + V13) / V, V2 / V, V13 / V], abs=0.02)
    assert [found.together[pair].value for pair in ((0, 1), (0, 2), (1, 2))] == pytest.approx(
        [0, V13 / V, 0], abs=0.02
    )


def test_what_adds_up_does_not_interact():
    """For an additive function first and total indices are equal, add up to 1, and no pair shares anything."""
    weights = np.array([1.0, 2.0, 3.0, 0.0])
    found = indices(design(4, 1024, seed=1) @ weights, seed=0)
    shares = weights**2 / (weights**2).sum()
    assert [one.value for one in found.first] == pytest.approx(shares, abs=0.01)
    assert [one.value for one in found.total] == pytest.approx(shares, abs=0.01)
    assert [one.value for one in found.together.values()] == pytest.approx([0] * 6, abs=0.01)


def test_what_acts_only_together_interacts_alone():
    """The product of centred numbers has no first index and one pair that has it all."""
    found = indices(np.prod(design(2, 1024, seed=2) - 0.5, axis=-1), seed=0)
    assert [one.value for one in found.first] == pytest.approx([0, 0], abs=0.02)
    assert [one.value for one in found.total] == pytest.approx([1, 1], abs=0.05)
    assert found.together[0, 1].value == pytest.approx(1, abs=0.05)


def test_first_and_total_agree_with_scipy():
    """On the same evaluations they are those of `scipy.stats.sobol_indices`."""
    values = ishigami(design(3, 256, seed=3))
    a, b, *mixed = values.T
    theirs = sobol_indices(
        func={"f_A": a[None], "f_B": b[None], "f_AB": np.array(mixed)[:, None]}, n=len(values)
    )
    found = indices(values, seed=0)
    assert [one.value for one in found.first] == pytest.approx(theirs.first_order.ravel(), rel=1e-9)
    assert [one.value for one in found.total] == pytest.approx(theirs.total_order.ravel(), rel=1e-9)


def test_intervals_hold_the_truth():
    """Over 100 designs of independent rows, 95 % intervals of total indices hold it in at least 88 %."""
    truth = [(V1 + V13) / V, V2 / V, V13 / V]
    rng, held = np.random.default_rng(0), 0
    for _ in range(100):
        a, b = rng.random((2, 128, 3))
        mixed = [np.where(np.arange(3) == i, b, a) for i in range(3)]
        found = indices(ishigami(np.stack([a, b, *mixed], axis=1)), seed=0)
        held += sum(one.low <= true <= one.high for one, true in zip(found.total, truth, strict=True))
    assert held >= 0.88 * 300


def test_a_design_differs_where_it_says():
    """Row by row AB_i is A but for axis i, which is that of B; every margin is even."""
    points = design(3, 64, seed=4)
    a, b, mixed = points[:, 0], points[:, 1], points[:, 2:]
    for axis in range(3):
        own = np.arange(3) == axis
        assert np.array_equal(mixed[:, axis][:, own], b[:, own])
        assert np.array_equal(mixed[:, axis][:, ~own], a[:, ~own])
    assert (np.sort(np.floor(a * 64), axis=0) == np.arange(64)[:, None]).all()


def test_rows_without_a_number_do_not_count():
    """A point that failed to be measured takes its row away and no other."""
    values = ishigami(design(3, 128, seed=5))
    holed = np.concatenate([values, values[:8]])
    holed[128:, 4] = np.nan
    assert indices(holed, seed=0) == indices(values, seed=0)
    assert indices(np.full((8, 5), np.nan), seed=0).rows == 0


def test_where_nothing_changes_nothing_is_said():
    """A number that is constant over the region has no indices, and the sentence says so."""
    found = indices(np.full((16, 5), 0.3), seed=0)
    assert (found.std, found.first, found.total, found.together) == (0, (), (), {})
    assert sentence("abc", "success", found) == "Nothing in this region changes success."


def test_the_sentence_names_what_matters_and_what_interacts():
    """The largest first, what is below 5 % not at all."""
    found = indices(ishigami(design(3, 1024, seed=0)), seed=0)
    told = sentence(["hip", "knee", "toe"], "return", found)
    assert told.index("hip") < told.index("knee") < told.index("toe")
    assert told.endswith("Interacting: hip and toe (25%).")

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import stats

from sim2real.stats import area, cvar, holm, iqm, trimmed

laws = settings(max_examples=50, deadline=None)
P_VALUES = hnp.arrays(float, st.integers(1, 20), elements=st.floats(0, 1))


@laws
@given(P_VALUES)
def test_holm_is_monotone_and_never_smaller(p_values):
    """Adjusting keeps the order, never lowers a p value, never exceeds 1 or Bonferroni's."""
    adjusted = holm(p_values)
    order = np.argsort(p_values, kind="stable")
    assert (np.diff(adjusted[order]) >= 0).all()
    assert (adjusted >= p_values).all()
    assert (adjusted <= np.minimum(1, p_values * len(p_values))).all()


@laws
@given(P_VALUES, st.randoms(use_true_random=False))
def test_holm_ignores_order_and_what_was_not_tested(p_values, random):
    """Shuffling the comparisons shuffles the result, and NaN is not a comparison."""
    order = random.sample(range(len(p_values)), len(p_values))
    assert holm(p_values[order]) == pytest.approx(holm(p_values)[order])
    assert holm(np.append(p_values, np.nan))[:-1] == pytest.approx(holm(p_values))


def test_holm_keeps_false_alarms_rare():
    """Among 20 comparisons of nothing, one significant result stays as rare as 5 %."""
    p_values = np.random.default_rng(0).uniform(size=(2000, 20))
    assert np.mean([(holm(row) < 0.05).any() for row in p_values]) < 0.07


@laws
@given(hnp.arrays(float, st.integers(1, 10).map(lambda n: 4 * n), elements=st.floats(-1e3, 1e3)))
def test_iqm_is_the_trimmed_mean(values):
    """The interquartile mean is scipy's 25 % trimmed mean where quarters are whole numbers of values."""
    assert iqm(values) == pytest.approx(stats.trim_mean(values, 0.25), abs=1e-9)


@laws
@given(
    hnp.arrays(float, st.integers(1, 20), elements=st.floats(-1e3, 1e3)),
    st.floats(0.05, 1),
    st.floats(0.05, 1),
)
def test_cvar_grows_with_its_share(values, a, b):
    """A worse tail is a lower mean, and NaN does not count."""
    small, large = sorted((a, b))
    assert cvar(values, small) <= cvar(values, large) + 1e-9
    assert cvar(np.append(values, np.nan), a) == pytest.approx(cvar(values, a))


def test_trimmed_of_nothing_is_nan():
    """Where nothing is finite there is no middle."""
    assert np.isnan(trimmed([np.nan, np.nan], 0, 1))


def test_area_lies_between_the_extremes_and_ignores_order():
    """The mean height of a curve lies within it, however its points were listed."""
    random = np.random.default_rng(1)
    values, severity = random.uniform(size=(2, 5, 7)), np.array([0.1, 0.2, 0.5, 0.6, 1.0])
    result = area(values, severity)
    assert (values.min(1) <= result).all()
    assert (result <= values.max(1)).all()
    order = random.permutation(5)
    assert area(values[:, order], severity[order]) == pytest.approx(result)

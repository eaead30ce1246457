import math
import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from sim2real.errors import Sim2RealError
from sim2real.perturb import (
    Choice,
    Drift,
    Integers,
    Interval,
    LogUniform,
    Normal,
    Outside,
    TruncatedNormal,
    Uniform,
)
from sim2real.perturb.amounts import hull

U = np.random.default_rng(0).random(20_000)

finite = st.floats(-1e6, 1e6, allow_subnormal=False)
positive = st.floats(1e-3, 1e3)
ranges = st.tuples(finite, finite).map(sorted)
bounded = st.one_of(
    ranges.map(lambda r: Uniform(*r)),
    st.tuples(positive, positive).map(sorted).map(lambda r: LogUniform(*r)),
    st.builds(lambda r, mean, std: TruncatedNormal(mean, std, *r), ranges, finite, positive),
    st.tuples(st.integers(-50, 50), st.integers(0, 20)).map(lambda r: Integers(r[0], r[0] + r[1])),
    st.lists(finite, min_size=1, max_size=5).map(Choice),
    st.lists(finite, min_size=4, max_size=4, unique=True).map(sorted).map(lambda ends: Outside(*ends)),
)
unbounded = st.one_of(st.builds(Normal, finite, positive), st.builds(Drift, positive, positive))


@pytest.mark.parametrize(
    ("amount", "law"),
    [
        (Uniform(-1, 3), stats.uniform(-1, 4)),
        (LogUniform(0.1, 10), stats.loguniform(0.1, 10)),
        (Normal(2, 0.5), stats.norm(2, 0.5)),
        (TruncatedNormal(0, 1, -0.5, 2), stats.truncnorm(-0.5, 2)),
        (TruncatedNormal(0, 1, 9, 10), stats.truncnorm(9, 10)),
        (TruncatedNormal(1, 2, -15, -13), stats.truncnorm(-8, -7, 1, 2)),
        (Drift(0.3, 5), stats.norm(0, 0.3)),
        (Outside(-3, -1, 1, 2), stats.rv_histogram(([2, 0, 1], [-3, -1, 1, 2]), density=False)),
    ],
    ids=str,
)
def test_continuous_amounts_follow_their_law(amount, law):
    """Draws pass a Kolmogorov-Smirnov test against scipy's distribution of the same name, far tails included."""
    assert stats.kstest(amount.quantile(U), law.cdf).pvalue > 0.01


@pytest.mark.parametrize(
    ("amount", "values"), [(Integers(-1, 2), [-1, 0, 1, 2]), (Choice([5, 0.5]), [0.5, 5])]
)
def test_discrete_amounts_are_equally_likely(amount, values):
    """Each value is drawn as often as any other, both ends included."""
    found, counts = np.unique(amount.quantile(U), return_counts=True)
    assert found.tolist() == values
    assert stats.chisquare(counts).pvalue > 0.01


@given(bounded, st.lists(st.floats(2**-54, 1 - 2**-53), min_size=1, max_size=20))
@settings(max_examples=50)
def test_draws_lie_in_the_support_and_never_fall_with_u(amount, numbers):
    """A bounded amount never leaves its support, and a larger number never draws less."""
    drawn = amount.quantile(np.array(sorted(numbers)))
    assert all(any(low <= value <= high for low, high in amount.support()) for value in drawn)
    assert np.all(np.diff(drawn) >= 0)


@given(unbounded)
@settings(max_examples=20)
def test_the_support_of_a_normal_holds_almost_all_draws(amount):
    """Three standard deviations either side hold 99.7 % of the draws."""
    low, high = hull(amount.support())
    drawn = amount.quantile(U)
    assert 0.995 < np.mean((low <= drawn) & (drawn <= high)) < 1.0


def test_a_choice_is_a_set_of_values():
    """The order in which values are listed means nothing."""
    assert Choice([2, 1]) == Choice((1.0, 2.0))
    assert Choice([2, 1]).quantile(np.array([0.1, 0.9])).tolist() == [1, 2]


def test_drift_starts_at_zero_and_settles():
    """Drift is 0 at reset, its spread grows as the Ornstein-Uhlenbeck process does, and it forgets exponentially."""
    drift, period_s = Drift(0.4, 2.0), 0.1
    u = np.random.default_rng(1).random((200, 4000))
    path = drift.path(u, period_s, None)
    time_s = np.arange(200) * period_s
    assert np.all(path[0] == 0.0)
    expected = 0.4 * np.sqrt(1 - np.exp(-2 * time_s / 2.0))
    np.testing.assert_allclose(path.std(axis=1)[1:], expected[1:], rtol=0.05)
    late = path[100:]
    for lag in (1, 10, 20):
        correlation = np.mean(late[lag:] * late[:-lag]) / np.mean(late * late)
        assert correlation == pytest.approx(math.exp(-lag * period_s / 2.0), abs=0.03)


def test_a_drift_goes_on_where_a_block_ended():
    """Drawing a path in two blocks gives the path drawn in one."""
    drift, u = Drift(1.0, 0.5), np.random.default_rng(2).random((20, 3))
    first = drift.path(u[:8], 0.1, None)
    second = drift.path(u[8:], 0.1, first[-1])
    np.testing.assert_array_equal(np.concatenate([first, second]), drift.path(u, 0.1, None))


@given(st.one_of(bounded, unbounded))
@settings(max_examples=50)
def test_amounts_are_values(amount):
    """Amounts survive pickling and their own repr, are hashable, and equal by value."""
    assert pickle.loads(pickle.dumps(amount)) == amount
    assert eval(repr(amount)) == amount
    assert hash(eval(repr(amount))) == hash(amount)


@pytest.mark.parametrize(
    "make",
    [
        lambda: Uniform(2, 1),
        lambda: Uniform(0, math.inf),
        lambda: Uniform(math.nan, 1),
        lambda: Uniform("0", 1),
        lambda: Uniform(None, 1),
        lambda: LogUniform(0, 1),
        lambda: Normal(0, -1),
        lambda: TruncatedNormal(0, 0, -1, 1),
        lambda: TruncatedNormal(0, 1, 1, -1),
        lambda: Integers(0.5, 2),
        lambda: Integers(3, 2),
        lambda: Choice([]),
        lambda: Choice(3),
        lambda: Choice([1, math.inf]),
        lambda: Drift(-1, 1),
        lambda: Drift(1, 0),
        lambda: Interval(0, 1),
        lambda: Interval(2, 1),
        lambda: Interval(1, 2, 0),
        lambda: Interval(1, math.inf),
    ],
)
def test_numbers_that_make_no_distribution_are_refused(make):
    """Every impossible amount or interval raises one sentence when it is made."""
    with pytest.raises(Sim2RealError, match=r"^[A-Z].*\.$"):
        make()

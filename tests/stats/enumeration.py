"""How often intervals of rates hold the truth, by counting every outcome there can be instead of drawing some."""

import itertools
from dataclasses import dataclass
from functools import cache

import numpy as np
from scipy import stats
from scipy.special import gammaln, xlog1py, xlogy

from sim2real.stats import look, looks, rate_estimate


@cache
def rate_limits(n):
    """Return the intervals of 0 to n successes in one run of n episodes, as `rate_estimate` has them."""
    found = [rate_estimate([[1.0] * won + [0.0] * (n - won)]) for won in range(n + 1)]
    return np.array([one.low for one in found]), np.array([one.high for one in found])


@cache
def look_limits(n):
    """Return the same of the intervals at which `run --until` looks."""
    rng = np.random.default_rng(0)  # nothing is drawn for rates
    found = [look([[1.0] * won + [0.0] * (n - won)], 0.1, rng, rate=True)[0] for won in range(n + 1)]
    return np.array([one.low for one in found]), np.array([one.high for one in found])


@cache
def wilson_limits(n):
    """Return the same of Wilson's intervals."""
    found = [stats.binomtest(won, n).proportion_ci(0.95, "wilson") for won in range(n + 1)]
    return np.array([one.low for one in found]), np.array([one.high for one in found])


def log_choices(*counts):
    """Return the logarithm of the number of orders in which so many of each kind come."""
    return gammaln(1 + sum(counts)) - sum(gammaln(1 + np.asarray(count)) for count in counts)


def worst_coverage(n, limits):
    """Return the smallest coverage of any rate in (0, 1), and the rate near which it is.

    Where the same outcomes k to m are covered, P(k <= X <= m) rises and then falls with the rate, so that the smallest
    coverage lies just before or just after an end of an interval.
    """
    low, high = limits(n)
    ends = np.unique([low, high])
    ends = ends[(ends > 0) & (ends < 1)][:, None]
    likely = stats.binom.pmf(np.arange(n + 1), n, ends)
    before = (likely * ((low < ends) & (ends <= high))).sum(1)
    after = (likely * ((low <= ends) & (ends < high))).sum(1)
    covered = np.minimum(before, after)
    place = covered.argmin()
    return covered[place], float(ends[place, 0])


def beside(limits):
    """Return the rates just before and just after the ends of intervals (..., 2), where coverage jumps."""
    ends = np.unique(limits)
    found = np.concatenate([ends - 1e-9, ends + 1e-9])
    return found[(found > 0) & (found < 1)]


@dataclass(frozen=True, kw_only=True)
class Stopped:
    """Every way in which a run is stopped: after how many episodes, with how many successes, in how many orders."""

    episodes: np.ndarray
    won: np.ndarray
    log_orders: np.ndarray
    low: np.ndarray
    high: np.ndarray

    def likely(self, rates):
        """Return how likely each way is at each rate (rates, ways)."""
        p = np.asarray(rates)[:, None]
        return np.exp(self.log_orders + xlogy(self.won, p) + xlog1py(self.episodes - self.won, -p))

    def mean_episodes(self, rates):
        return self.likely(rates) @ self.episodes

    def coverage(self, rates):
        p = np.asarray(rates)[:, None]
        return (self.likely(rates) * ((self.low <= p) & (p <= self.high))).sum(1)

    def worst_coverage(self):
        """Return the smallest coverage of all rates: just beside the ends of intervals, and at steps between them."""
        rates = np.r_[beside([self.low, self.high]), np.linspace(0.001, 0.999, 999)]
        return self.coverage(rates).min()


def stopped(half_width, limits=look_limits, least=10, most=400):
    """Follow every run that is looked at as `run --until` does, until its interval is narrow enough."""
    orders, before, found = np.ones(1), 0, []
    for n in looks(least, most):
        new = np.arange(n - before + 1)
        orders, before = np.convolve(orders, np.exp(log_choices(new, new[::-1]))), n
        low, high = limits(n)
        (here,) = np.nonzero(((high - low <= 2 * half_width) | (n == most)) & (orders > 0))
        found.append((np.full(len(here), n), here, np.log(orders[here]), low[here], high[here]))
        orders[here] = 0.0
    return Stopped(
        **dict(zip(Stopped.__dataclass_fields__, map(np.concatenate, zip(*found, strict=True)), strict=True))
    )


@dataclass(frozen=True, kw_only=True)
class Tables:
    """Every table of outcomes (runs, episodes) there can be, but for the order of its episodes.

    ``kinds`` are the columns that an episode can have (kinds, runs), ``counts`` how often a table has each.
    """

    kinds: np.ndarray
    counts: np.ndarray

    @classmethod
    def of(cls, kinds, episodes):
        kinds = np.array(kinds, float)
        bars = np.array([*itertools.combinations(range(episodes + len(kinds) - 1), len(kinds) - 1)])
        edges = np.pad(bars, ((0, 0), (1, 1)), constant_values=(-1, episodes + len(kinds) - 1))
        return cls(kinds=kinds, counts=np.diff(edges, axis=1) - 1)

    def limits(self, estimate):
        """Return the interval of every table (tables, 2)."""
        found = (estimate(np.repeat(self.kinds, count, axis=0).T) for count in self.counts)
        return np.array([(one.low, one.high) for one in found])

    def likely(self, chances):
        """Return how likely every table is where an episode is of each kind with these chances (kinds,)."""
        return np.exp(log_choices(*self.counts.T) + xlogy(self.counts, chances).sum(1))

    def coverage(self, limits, chances, truth):
        """Return how often the truth is held where an episode is of each kind with these chances (kinds,)."""
        held = (limits[:, 0] <= truth + 1e-12) & (truth - 1e-12 <= limits[:, 1])
        return float(self.likely(chances)[held].sum())

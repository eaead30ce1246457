"""Amounts drawn together: one vector of numbers decides a whole row, each column turns it into its own draw.

A column is complete in itself: it holds what makes its own draw and the name of its group. All columns of a
group read one random stream, which the group's targets, operations and ``every`` name, never their sizes. So
a posterior from system identification is a condition like any other: frozen, written as JSON, weakened by
strength, and unchanged by whatever stands beside it.
"""

import math
from abc import abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from sim2real.errors import Sim2RealError
from sim2real.perturb.amounts import NORMAL_REACH, Amount, Array, Drift, Support, number, shown
from sim2real.perturb.gauss import normal_probability, normal_quantile

Worth = Callable[[Array], Array]

NEIGHBOURS = 7
"""Samples are surrounded by balls that reach the nearest 7 others; 99.9 % of further samples lie in one.

Balls that reach the n-th neighbour cover a place n times on average, in any dimension, and miss about e⁻ⁿ.
"""

SCORES = np.linspace(-NORMAL_REACH, NORMAL_REACH, 1201)
"""Where the marginals of a copula are tabulated; what is rarer counts as the last."""

SLACK = 0.1
"""Standard deviations by which a row may miss what correlations of ± 1 demand."""


class Column(Amount):
    """An amount that is drawn together with the others of its group.

    `quantile` takes the numbers of whole rows, (..., width), and returns this column's draws, (...). The
    support is this column's range alone, `likely` tells which values come together.
    """

    group: str
    """What is drawn together, by name; it names the random stream."""

    @property
    @abstractmethod
    def width(self) -> int:
        """How many numbers decide one row."""

    @classmethod
    @abstractmethod
    def likely(cls, columns: Sequence[Self], worths: Sequence[Worth], rows: Array) -> NDArray[np.bool_]:
        """Tell which rows lie where a group's draws lie, all columns taken together.

        Args:
            columns: of one group.
            worths: what turns draws of each column into values; monotone.
            rows: values (n, columns).
        """


@dataclass(frozen=True, repr=False)
class Correlated(Column):
    """A column with a distribution of its own, tied to the others by a Gaussian copula.

    The draw is ``marginal(Φ(weights · Φ⁻¹(u)))``: weights of unit length are a row of the Cholesky factor of
    the copula's correlation matrix.

    Attributes:
        marginal: the distribution of this column.
        weights: one for every column of the group.
        group: names the random stream.
    """

    marginal: Amount
    weights: tuple[float, ...]
    group: str

    def __post_init__(self) -> None:
        weights = tuple(number(weight, "A weight of Correlated") for weight in self.weights)
        object.__setattr__(self, "weights", weights)
        if not isinstance(self.marginal, Amount) or isinstance(self.marginal, Column | Drift):
            raise Sim2RealError(
                f"Correlated takes a distribution like Uniform or Normal, not {self.marginal!r}."
            )
        if not weights or abs(float(np.linalg.norm(weights)) - 1.0) > 1e-6:
            raise Sim2RealError(f"The weights of Correlated must have length 1: {list(weights)}.")

    def __repr__(self) -> str:
        if sorted(self.weights) == [0.0] * (self.width - 1) + [1.0]:
            tied = f"column {self.weights.index(1.0) + 1} of {self.width}"
        else:
            tied = f"copula [{', '.join(map(shown, self.weights))}]"
        return f"{self.marginal} ({tied} of {_brief(self.group)})"

    @property
    def bounded(self) -> bool:  # type: ignore[override]
        """Whether no draw ever leaves the support."""
        return self.marginal.bounded

    @property
    def width(self) -> int:
        """How many numbers decide one row: as many as there are columns."""
        return len(self.weights)

    def quantile(self, u: Array) -> Array:
        """Return the marginal's draws at the ranks that the copula gives."""
        rank = normal_probability((normal_quantile(u) * np.array(self.weights)).sum(axis=-1))
        return self.marginal.quantile(np.clip(rank, 2.0**-54, 1.0 - 2.0**-53))

    def support(self) -> Support:
        """Return the marginal's support; which values come together `likely` tells."""
        return self.marginal.support()

    @classmethod
    def likely(cls, columns: Sequence[Self], worths: Sequence[Worth], rows: Array) -> NDArray[np.bool_]:
        """Tell which rows lie in the ellipsoid of normal scores that holds 99.7 % of the draws.

        Sets of columns that do not correlate with each other have an ellipsoid each, and a column that
        correlates with no other has none: it counts as if it were drawn alone.
        """
        from scipy.sparse.csgraph import connected_components
        from scipy.special import gammaincinv

        weights = np.array([column.weights for column in columns])
        correlation = weights @ weights.T
        low, high = np.transpose(
            [
                _scores(worth(column.marginal.quantile(normal_probability(SCORES))), values)
                for column, worth, values in zip(columns, worths, rows.T, strict=True)
            ],
            (1, 2, 0),
        )
        inside = np.ones(len(rows), np.bool_)
        count, sets = connected_components(np.abs(correlation) > 1e-9)
        for one in (np.flatnonzero(sets == i) for i in range(count)):
            block = correlation[np.ix_(one, one)]
            if len(one) > 1:
                distance = _least(
                    np.linalg.inv(block + SLACK**2 * np.eye(len(one))), low[:, one], high[:, one]
                )
                # A squared distance has the χ² distribution with as many degrees of freedom as the rank.
                freedom = np.linalg.matrix_rank(block, tol=SLACK**2)
                most = 2.0 * gammaincinv(freedom / 2.0, math.erf(NORMAL_REACH / math.sqrt(2.0)))
                inside &= distance <= most
        return inside


@dataclass(frozen=True, repr=False)
class Samples(Column):
    """A column of a table of samples: the group draws one row, all rows equally likely.

    Attributes:
        values: of this column, row by row.
        group: names the random stream.
    """

    values: tuple[float, ...]
    group: str

    width: ClassVar[int] = 1  # type: ignore[misc]

    def __post_init__(self) -> None:
        values = tuple(number(value, "A value of Samples") for value in self.values)
        object.__setattr__(self, "values", values)
        if not values:
            raise Sim2RealError("Samples takes a list of numbers, not an empty one.")

    def __repr__(self) -> str:
        low, high = shown(min(self.values)), shown(max(self.values))
        name = _digest(repr(self.values))
        return f"Samples({len(self.values)} in [{low}, {high}], #{name}, of {_brief(self.group)})"

    def quantile(self, u: Array) -> Array:
        """Return this column's values in the rows that ``u`` picks."""
        row = np.minimum(u[..., 0] * len(self.values), len(self.values) - 1).astype(np.intp)
        drawn: Array = np.array(self.values)[row]
        return drawn

    def support(self) -> Support:
        """Return the range: samples stand for what lies between them."""
        return ((min(self.values), max(self.values)),)

    @classmethod
    def likely(cls, columns: Sequence[Self], worths: Sequence[Worth], rows: Array) -> NDArray[np.bool_]:
        """Tell which rows lie no further from some row of the table than its `NEIGHBOURS`-th nearest other row.

        Distances are Mahalanobis', by the table's own covariance; the fewer its rows are, the less of their
        correlation is taken for true.
        """
        from scipy.spatial import cKDTree

        table = np.column_stack(
            [worth(np.array(one.values)) for one, worth in zip(columns, worths, strict=True)]
        )
        count, width = table.shape
        spread = np.maximum(table.std(axis=0), 1e-9 * np.abs(table).max(axis=0) + 1e-300)
        table, rows = ((some - table.mean(axis=0)) / spread for some in (table, rows))
        correlation = (table.T @ table + width * np.eye(width)) / (count + width)
        table, rows = (np.linalg.solve(np.linalg.cholesky(correlation), some.T).T for some in (table, rows))
        reach = cKDTree(table).query(table, min(count, NEIGHBOURS + 1))[0].reshape(count, -1)[:, -1]
        near = [np.linalg.norm(table - row, axis=1) <= reach + 1e-6 for row in rows]
        return np.array([some.any() for some in near])


def _scores(marginal: Array, values: Array) -> tuple[Array, Array]:
    """Return the least and the greatest normal score that gives each value of a marginal, tabulated at `SCORES`."""
    if marginal[0] > marginal[-1]:
        low, high = _scores(marginal[::-1], values)
        return -high, -low
    same = 1e-9 * np.abs(marginal).max()  # 0.96 written by hand is the 0.8 x 1.2 that was computed
    low, high = (
        np.interp(np.searchsorted(marginal, end) - 0.5, np.arange(len(SCORES)), SCORES)
        for end in (values - same, values + same)
    )
    return low, high


def _least(inverse: Array, low: Array, high: Array) -> Array:
    """Return the least ``z · inverse · z`` (n,) for z between low and high (n, columns), column after column."""
    z = (low + high) / 2
    for _ in range(50):
        for i in np.flatnonzero((low < high).any(axis=0)):
            z[:, i] = np.clip(z[:, i] - z @ inverse[i] / inverse[i, i], low[:, i], high[:, i])
    least: Array = ((z @ inverse) * z).sum(axis=1)
    return least


def _brief(group: str) -> str:
    """Return a group's name, or what is left of a long one with a digest in place of the rest."""
    return group if len(group) <= 48 else f"{group.partition(' & ')[0]} & others #{_digest(group)}"


def _digest(text: str) -> str:
    return blake2b(text.encode(), digest_size=4).hexdigest()


def copula(correlation: Any, size: int, *, ranks: bool) -> Array:
    """Return the Cholesky factor of a Gaussian copula's correlation matrix; its rows have unit length.

    Args:
        correlation: matrix (size, size).
        size: number of columns.
        ranks: whether the matrix holds Spearman's rank correlations, which are turned into those of the
            normal scores, ``2 sin(π ρ / 6)`` (Kruskal 1958, J. Am. Stat. Assoc. 53, 814).

    Raises:
        Sim2RealError: if it is no correlation matrix.
    """
    matrix = square(correlation, size, "correlation")
    if not np.allclose(np.diag(matrix), 1.0) or np.any(np.abs(matrix) > 1.0 + 1e-9):
        raise Sim2RealError("A correlation matrix has 1 on its diagonal and nothing beyond ±1.")
    if ranks:
        matrix = 2.0 * np.sin(np.pi / 6.0 * matrix)
    factor = root(matrix, "correlation")
    rows: Array = factor / np.linalg.norm(factor, axis=1, keepdims=True)
    return rows


def square(matrix: Any, size: int, what: str) -> Array:
    """Return a symmetric matrix of finite numbers.

    Raises:
        Sim2RealError: if it is none.
    """
    try:
        found = np.array(matrix, np.float64)
    except (TypeError, ValueError):
        found = np.empty(0)
    if found.shape != (size, size) or not np.all(np.isfinite(found)) or not np.allclose(found, found.T):
        raise Sim2RealError(f"The {what} of {size} columns is a symmetric matrix of {size} × {size} numbers.")
    return found


def root(matrix: Array, what: str) -> Array:
    """Return a lower triangular L with ``L Lᵀ = matrix``, which may be singular.

    Raises:
        Sim2RealError: if it is not positive semidefinite.
    """
    values, vectors = np.linalg.eigh(matrix)
    if values.min() < -1e-8 * max(values.max(), 1e-300):
        raise Sim2RealError(
            f"The {what} is not positive semidefinite: its least eigenvalue is {values.min():.3g}."
        )
    half = vectors * np.sqrt(np.maximum(values, 0.0))
    lower = np.asarray(np.linalg.qr(half.T, mode="r")).T
    signs = np.where(np.diag(lower) < 0, -1.0, 1.0)
    found: Array = lower * signs
    return found

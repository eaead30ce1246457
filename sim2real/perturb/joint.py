"""Amounts drawn together: one vector of numbers decides a whole row, each column turns it into its own draw.

A column is complete in itself: it holds what makes its own draw and the name of its group. All columns of a
group read one random stream, which the group's targets, operations and ``every`` name, never their sizes. So
a posterior from system identification is a condition like any other: frozen, written as JSON, weakened by
strength, and unchanged by whatever stands beside it.
"""

from abc import abstractmethod
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any, ClassVar

import numpy as np

from sim2real.errors import Sim2RealError
from sim2real.perturb.amounts import Amount, Array, Drift, Support, number, shown
from sim2real.perturb.gauss import normal_probability, normal_quantile


class Column(Amount):
    """An amount that is drawn together with the others of its group.

    `quantile` takes the numbers of whole rows, (..., width), and returns this column's draws, (...). The
    support, and so what counts as held out, is this column's range alone: no correlation shows in it.
    """

    group: str
    """What is drawn together, by name; it names the random stream."""

    @property
    @abstractmethod
    def width(self) -> int:
        """How many numbers decide one row."""


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
        """Return the marginal's support; which values come together is not told."""
        return self.marginal.support()


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

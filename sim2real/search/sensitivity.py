"""Sobol indices: how much of the spread of a number over a region each perturbation decides, alone and together.

The spread is the variance over points drawn from the region's distributions, what varies in strength being uniform from
0 to as written. With f at points A, B and AB_i (as A, but axis i as in B), all of n rows:

    first_i    = mean(f(B) (f(AB_i) − f(A))) / variance               (Saltelli et al. 2010, table 2 b)
    total_i    = mean((f(A) − f(AB_i))²) / 2 variance                 (Jansen 1999)
    total_ij   = mean((f(AB_i) − f(AB_j))²) / 2 variance              (the same, for the two as one)
    together_ij = total_i + total_j − total_ij                        (Liu and Owen 2006, superset importance)

since AB_i and AB_j differ in axes i and j alone. The last is the share of all interactions in which both take part, and
takes no further point.
"""

from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray
from scipy.stats import qmc

from sim2real.stats import Estimate

Array = NDArray[np.float64]

RESAMPLES = 1000
LEVEL = 0.95


@dataclass(frozen=True, kw_only=True)
class Indices:
    """Sobol indices of one number over a region, each with its bootstrap interval over rows.

    Attributes:
        mean: of the number over the region.
        std: its spread there; the rest is empty where it is 0.
        rows: base points with a number everywhere.
        first: share of the variance that each axis decides alone.
        total: the same with all interactions that it takes part in.
        together: for each pair of axes, the share of the interactions that both take part in.
    """

    mean: float
    std: float
    rows: int
    first: tuple[Estimate, ...]
    total: tuple[Estimate, ...]
    together: dict[tuple[int, int], Estimate]

    @property
    def pairs(self) -> list[tuple[tuple[int, int], Estimate]]:
        """The pairs of axes, those that share most first."""
        return sorted(self.together.items(), key=lambda pair: -pair[1].value)


def design(axes: int, rows: int, seed: int) -> Array:
    """Return the points (rows, axes + 2, axes) in the unit cube: A, B, AB_0, AB_1, …; rows is a power of 2."""
    both = qmc.Sobol(2 * axes, rng=np.random.default_rng(seed)).random(rows)
    a, b = both[:, :axes], both[:, axes:]
    mixed = np.where(np.eye(axes, dtype=bool), b[:, None], a[:, None])
    return np.concatenate([a[:, None], b[:, None], mixed], axis=1)


def indices(values: Array, seed: int) -> Indices:
    """Return the indices of a number at the points of a design.

    Args:
        values: (rows, axes + 2), NaN where there is none; such a row does not count.
        seed: of the bootstrap.
    """
    known = values[np.isfinite(values).all(axis=1)]
    count, axes = len(known), known.shape[1] - 2
    base = known[:, :2]
    middle, std = (float(base.mean()), float(base.std())) if count else (np.nan, np.nan)
    if not std > 1e-12 * abs(middle):
        return Indices(mean=middle, std=0.0 * std, rows=count, first=(), total=(), together={})
    a, b, *mixed = (known - middle).T
    pairs = list(combinations(range(axes), 2))
    # Every index is a ratio of means over rows, so a resample is a weight for each row.
    terms = np.array([
        *(b * (each - a) for each in mixed),
        *((a - each) ** 2 / 2 for each in mixed),
        *((mixed[i] - mixed[j]) ** 2 / 2 for i, j in pairs),
        (a + b) / 2,
        (a**2 + b**2) / 2,
    ])  # fmt: skip
    drawn = np.random.default_rng(seed).multinomial(count, np.full(count, 1 / count), RESAMPLES)
    *parts, mean, square = terms @ np.vstack([np.ones(count), drawn]).T / count
    variance = square - mean**2
    shares = np.array(parts) / np.where(variance > 1e-12 * std**2, variance, np.nan)
    shares[2 * axes :] = [
        shares[axes + i] + shares[axes + j] - both
        for (i, j), both in zip(pairs, shares[2 * axes :], strict=True)
    ]
    found = [_estimate(each[0], each[1:], count) for each in shares]
    return Indices(
        mean=middle, std=std, rows=count, first=tuple(found[:axes]), total=tuple(found[axes : 2 * axes]),
        together=dict(zip(pairs, found[2 * axes :], strict=True)),
    )  # fmt: skip


def _estimate(value: float, resampled: Array, rows: int) -> Estimate:
    """Return a number with the middle of its resamples around it."""
    low, high = np.nanquantile(resampled, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Estimate(
        value=float(value),
        low=float(min(low, value)),
        high=float(max(high, value)),
        level=LEVEL,
        n_episodes=rows,
    )

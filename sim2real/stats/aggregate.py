"""What a robustness study summarises: middles, tails, areas, and many comparisons at once."""

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.integrate import trapezoid

Array = NDArray[np.float64]


def trimmed(values: ArrayLike, start: float, end: float) -> Array:
    """Return the mean of the sorted last axis between two fractions of its finite values.

    A value at the edge counts with the share of it that lies inside.

    >>> float(trimmed([1, 2, 3, 4], 0.25, 0.75)), float(trimmed([1, 2, 3, np.nan], 0, 0.5))
    (2.5, 1.3333333333333333)
    """
    ordered = np.sort(np.asarray(values, float), axis=-1)
    count = np.isfinite(ordered).sum(-1, keepdims=True)
    rank = np.arange(ordered.shape[-1])
    weight = np.clip(np.minimum(rank + 1, end * count) - np.maximum(rank, start * count), 0, None)
    total, whole = np.nansum(ordered * weight, axis=-1), weight.sum(-1)
    result: Array = np.divide(total, whole, out=np.full(np.shape(total), np.nan), where=whole > 0)
    return result


def mean(values: ArrayLike, axis: int | tuple[int, ...]) -> Array:
    """Return the mean of what is finite, NaN where nothing is."""
    data = np.asarray(values, float)
    count = np.isfinite(data).sum(axis)
    total = np.nansum(data, axis=axis)
    result: Array = np.divide(total, count, out=np.full(np.shape(total), np.nan), where=count > 0)
    return result


def iqm(values: ArrayLike) -> Array:
    """Return the interquartile mean over the last axis (Agarwal et al., 2021), past NaN."""
    return trimmed(values, 0.25, 0.75)


def median(values: ArrayLike) -> Array:
    """Return the median over the last axis, past NaN; NaN where nothing is.

    >>> median([[1, 2, np.nan, 7], [1, 2, 3, 4]])
    array([2. , 2.5])
    """
    ordered = np.sort(np.asarray(values, float), axis=-1)
    count = np.isfinite(ordered).sum(-1, keepdims=True)
    middle = np.stack([np.maximum(count - 1, 0) // 2, np.minimum(count // 2, ordered.shape[-1] - 1)])
    result: Array = np.take_along_axis(ordered[None], middle, axis=-1).mean((0, -1))
    return result


def optimality_gap(values: ArrayLike, target: float) -> Array:
    """Return by how much what lies below a target misses it, on average over the last axis (Agarwal et al., 2021).

    >>> float(optimality_gap([0.5, 1.0, 3.0], target=1.0).round(3))
    0.167
    """
    return mean(np.maximum(target - np.asarray(values, float), 0.0), axis=-1)


def cvar(values: ArrayLike, share: float = 0.1) -> Array:
    """Return the mean of the lowest ``share`` of the last axis, past NaN: the conditional value at risk."""
    return trimmed(values, 0.0, share)


def area(values: ArrayLike, severity: ArrayLike) -> Array:
    """Return the mean height of each severity curve over the range it spans (runs, episodes).

    Args:
        values: metric (runs, conditions, episodes).
        severity: where the conditions lie (conditions,), not all the same.

    >>> area([[[1.0], [1.0], [0.0]]], [0.0, 0.5, 1.0])
    array([[0.75]])
    """
    x = np.asarray(severity, float)
    order = np.argsort(x)
    return np.asarray(trapezoid(np.asarray(values, float)[:, order], x[order], axis=1) / np.ptp(x))


def holm(p_values: ArrayLike) -> Array:
    """Return p values (n,) adjusted so that a false alarm among all is as rare as in one (Holm, 1979).

    NaN stays NaN and is not counted as a comparison.

    >>> holm([0.01, 0.04, 0.03]).round(3)
    array([0.03, 0.06, 0.06])
    """
    adjusted = np.array(p_values, float)
    known = np.flatnonzero(np.isfinite(adjusted))
    order = known[np.argsort(adjusted[known], kind="stable")]
    stepped = np.maximum.accumulate(adjusted[order] * np.arange(len(order), 0, -1))
    adjusted[order] = np.minimum(1.0, stepped)
    return adjusted

"""Whether two measurements order the same things the same way."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]

DIGITS = 9
"""Means that agree to so many decimals are tied: they differ by rounding alone."""


def tau_b(first: ArrayLike, second: ArrayLike) -> Array:
    """Return Kendall's rank correlation τ_b (...) of values (..., groups, n), over the pairs within every group.

    1 where both order every pair alike, −1 where they order every pair in opposite ways, with Kendall's correction for
    ties (1945). 0 where one of them ties everything and so has no order to agree with. What is NaN in one is left out
    of both.

    >>> float(tau_b([[1, 2, 3]], [[10, 30, 20]]))
    0.3333333333333333
    """
    a, b = np.asarray(first, float), np.asarray(second, float)
    one, other = _order(a + 0.0 * b), _order(b + 0.0 * a)  # NaN in one is NaN in both
    concordant, pairs = (
        (one * other).sum((-3, -2, -1)),
        [(order**2).sum((-3, -2, -1)) for order in (one, other)],
    )
    all_pairs = np.sqrt(pairs[0] * pairs[1])
    result: Array = np.divide(concordant, all_pairs, out=np.zeros_like(all_pairs), where=all_pairs > 0)
    return result


def _order(values: Array) -> Array:
    """Return the sign of every difference (..., groups, n, n), 0 where a value is missing."""
    difference = np.round(values[..., :, None] - values[..., None, :], DIGITS)
    return np.sign(np.nan_to_num(difference))

"""The standard normal distribution; scipy loads when it is first asked, not when the package is imported."""

from typing import Any

import numpy as np
from numpy.typing import NDArray


def normal_quantile(probability: Any) -> NDArray[np.float64]:
    """Return the value below which a standard normal number lies with this probability."""
    from scipy.special import ndtri

    return np.asarray(ndtri(probability))


def normal_probability(value: Any) -> NDArray[np.float64]:
    """Return the probability that a standard normal number lies below a value."""
    from scipy.special import ndtr

    return np.asarray(ndtr(value))

"""Ways to look for the minimum of a function on the unit cube that is costly, noisy and without gradient."""

from collections.abc import Callable
from importlib import import_module

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_factor, cho_solve
from scipy.optimize import differential_evolution, minimize
from scipy.spatial.distance import cdist
from scipy.special import ndtr
from scipy.stats import qmc

from sim2real.errors import Sim2RealError

Array = NDArray[np.float64]
Objective = Callable[[Array], Array]
"""Turns points (n, axes) into values (n,), infinite where there is none."""

BATCH = 4
"""Points that the Bayesian search tries at once."""

CANDIDATES = 1024
"""Points among which it chooses."""


def evolution(f: Objective, axes: int, points: int, seed: int) -> None:
    """Differential evolution (Storn and Price 1997, J. Global Optim. 11, 341), one generation at a time."""
    rng = np.random.default_rng(seed)
    crowd = min(max(5, min(10 * axes, points // 6)), points)
    start = qmc.LatinHypercube(axes, rng=rng).random(crowd)
    if crowd < 5 or points < 2 * crowd:
        f(start)
        return
    differential_evolution(
        lambda x: f(x.T), [(0.0, 1.0)] * axes, init=start, maxiter=points // crowd - 1, rng=rng,
        vectorized=True, updating="deferred", polish=False, tol=0.0, atol=-1.0,  # a plateau is no reason to stop
    )  # fmt: skip


def cma_es(f: Objective, axes: int, points: int, seed: int) -> None:
    """CMA-ES (Hansen 2016, arXiv:1604.00772) from the middle, and again from elsewhere when it has converged.

    Raises:
        Sim2RealError: If the package `cma` is not installed.
    """
    try:
        cma = import_module("cma")
    except ImportError:
        raise Sim2RealError("method='cma' needs the package cma: pip install 'sim2real[cma]'.") from None
    rng = np.random.default_rng(seed)
    start, left = np.full(axes, 0.5), points
    while left > 0:
        # Its own seed would be numpy's global one.
        options = {"bounds": [0, 1], "randn": lambda *shape: rng.standard_normal(shape), "verbose": -9}
        strategy = cma.CMAEvolutionStrategy(start, 0.3, options)
        while left > 0 and not strategy.stop():
            asked = np.array(strategy.ask())
            values = f(asked[:left])
            left -= len(values)
            if len(values) == len(asked):
                strategy.tell(list(asked), np.nan_to_num(values, posinf=1e300).tolist())
        start = rng.random(axes)


def bayesian(f: Objective, axes: int, points: int, seed: int) -> None:
    """Expected improvement on a Gaussian process (Jones et al. 1998, J. Global Optim. 13, 455), in small batches.

    While a batch is put together, its points count as measured with the value that is expected of them
    (Ginsbourger et al. 2010, "kriging believer").
    """
    rng = np.random.default_rng(seed)
    x = qmc.LatinHypercube(axes, rng=rng).random(min(points, 2 * axes + 4))
    y = f(x)
    scale = np.append(np.full(axes, 0.5), 1e-2)
    while len(x) < points:
        known = np.isfinite(y)
        believed_x, believed_y = x[known], y[known]
        candidates = rng.random((CANDIDATES, axes))
        scale = _likeliest(believed_x, believed_y, scale) if len(believed_y) else scale
        for _ in range(min(BATCH, points - len(x))):
            # Half of the candidates stand around the best point known, ever closer.
            near = believed_x[np.argmin(believed_y)] if len(believed_y) else np.full(axes, 0.5)
            reach = 0.3 * np.geomspace(1.0, 0.01, CANDIDATES // 2)[:, None]
            around = np.clip(near + reach * (2 * candidates[: CANDIDATES // 2] - 1), 0, 1)
            pool = np.concatenate([candidates[CANDIDATES // 2 :], around])
            middle, deviation = _predicted(believed_x, believed_y, pool, scale)
            best = int(np.argmax(_log_improvement(middle, deviation, believed_y)))
            believed_x = np.vstack([believed_x, pool[best]])
            believed_y = np.append(believed_y, middle[best])
        fresh = believed_x[known.sum() :]
        x, y = np.vstack([x, fresh]), np.append(y, f(fresh))


def _kernel(one: Array, other: Array, scale: Array) -> Array:
    """Return the Matérn 5/2 correlation of points (n, axes) and (m, axes); ``scale`` holds a length per axis."""
    r = np.sqrt(5.0) * cdist(one / scale[:-1], other / scale[:-1])
    return np.asarray((1 + r + r**2 / 3) * np.exp(-r))


def _standardised(y: Array) -> tuple[Array, float, float]:
    middle, spread = float(y.mean()), float(y.std()) or 1.0
    return (y - middle) / spread, middle, spread


def _likeliest(x: Array, y: Array, start: Array) -> Array:
    """Return the lengths of the axes and the share of noise in the variance that are most likely.

    Before the values are seen lengths are log-normal about 1, the edge of the cube.
    """
    z, _, _ = _standardised(y)

    def cost(logs: Array) -> float:
        scale = np.exp(logs)
        factor = cho_factor(_kernel(x, x, scale) + scale[-1] * np.eye(len(x)), lower=True)
        return float(
            0.5 * z @ cho_solve(factor, z) + np.log(np.diag(factor[0])).sum() + 0.5 * (logs[:-1] ** 2).sum()
        )

    bounds = [(np.log(0.05), np.log(5.0))] * x.shape[1] + [(np.log(1e-4), np.log(1.0))]
    return np.asarray(np.exp(minimize(cost, np.log(start), bounds=bounds, method="L-BFGS-B").x))


def _predicted(x: Array, y: Array, at: Array, scale: Array) -> tuple[Array, Array]:
    """Return mean and standard deviation (n,) of the process at points (n, axes)."""
    if not len(y):
        return np.zeros(len(at)), np.ones(len(at))
    z, middle, spread = _standardised(y)
    factor = cho_factor(_kernel(x, x, scale) + scale[-1] * np.eye(len(x)), lower=True)
    across = _kernel(at, x, scale)
    variance = 1 - np.einsum("ij,ji->i", across, cho_solve(factor, across.T))
    return middle + spread * (across @ cho_solve(factor, z)), spread * np.sqrt(np.clip(variance, 1e-12, None))


def _log_improvement(middle: Array, deviation: Array, y: Array) -> Array:
    """Return the logarithm of the improvement that is expected over the lowest value known."""
    t = ((y.min() if len(y) else 0.0) - middle) / deviation
    density = -0.5 * t**2 - 0.5 * np.log(2 * np.pi)
    # φ(t) + t Φ(t), by the tail's series where the two cancel.
    with np.errstate(divide="ignore", invalid="ignore"):
        plain = np.log(np.exp(density) + t * ndtr(t))
        tail = density - 2 * np.log(np.abs(t))
    return np.asarray(np.where(t > -20, plain, tail) + np.log(deviation))


METHODS = {"bayesian": bayesian, "evolution": evolution, "cma": cma_es}

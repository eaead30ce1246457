"""Perturbations drawn together: what system identification found out, as a randomisation."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from sim2real.errors import Sim2RealError
from sim2real.perturb.amounts import Amount, Array, Normal, number
from sim2real.perturb.joint import Correlated, Samples, copula, root, square
from sim2real.perturb.perturbation import Every, Perturbation


def jointly(
    *perturbations: Perturbation, correlation: Any = None, rank_correlation: Any = None
) -> tuple[Perturbation, ...]:
    """Return the perturbations with the same distributions, drawn together by a Gaussian copula.

    Each keeps its marginal. They are drawn at the same moments, from one stream; without a matrix they are
    independent of each other, and only the moments are shared: a push that goes both ways at once.

    Args:
        perturbations: at least two, each with a distribution, all with one ``every``.
        correlation: matrix of the normal scores' correlations.
        rank_correlation: in place of it, the matrix of Spearman's correlations, which no marginal distorts.

    Raises:
        Sim2RealError: if they cannot be drawn together.

    >>> from sim2real.perturb import Uniform, scale
    >>> both = (scale("parameter:a.kp", Uniform(0.8, 1.2)), scale("parameter:a.kd", Uniform(0.5, 2)))
    >>> [str(one.amount.marginal) for one in jointly(*both, rank_correlation=[[1, 0.7], [0.7, 1]])]
    ['Uniform(0.8, 1.2)', 'Uniform(0.5, 2)']
    """
    if correlation is not None and rank_correlation is not None:
        raise Sim2RealError("jointly takes correlation or rank_correlation, not both.")
    for item in perturbations:
        if not isinstance(item.amount, Amount):
            raise Sim2RealError(f"'{item.label}' draws nothing, so nothing can be drawn together with it.")
    given = correlation if rank_correlation is None else rank_correlation
    matrix = np.eye(len(perturbations)) if given is None else given
    rows = copula(matrix, len(perturbations), ranks=rank_correlation is not None)
    return _columns(perturbations, rows)


def joint_normal(
    means: Mapping[str, float], covariance: Any, *, operation: str = "set", every: Every = "episode"
) -> tuple[Perturbation, ...]:
    """Return perturbations drawn together from a multivariate normal distribution.

    Args:
        means: target -> mean.
        covariance: matrix in the order of the targets.
        operation: what is done with the draws: "set", "scale" or "add".
        every: when they are drawn again, all at once.

    Raises:
        Sim2RealError: if it is no covariance matrix, or does not fit.

    >>> posterior = joint_normal({"parameter:a.mass": 9, "parameter:b.mass": 2}, [[0.25, 0.1], [0.1, 0.04]])
    >>> [str(one.amount.marginal) for one in posterior]
    ['Normal(9, 0.5)', 'Normal(2, 0.2)']
    """
    matrix = square(covariance, len(means), "covariance")
    stds = np.sqrt(np.maximum(np.diag(matrix), 0.0))
    still = stds == 0
    units = np.where(still, 1.0, stds)
    correlation = matrix / np.outer(units, units) + np.diag(still.astype(float))
    if np.any(correlation[still].sum(axis=-1) != 1.0):
        raise Sim2RealError("A column without variance cannot covary with another.")
    root(matrix, "covariance")
    items = [
        Perturbation(target=target, operation=operation, amount=Normal(mean, std), every=every)
        for (target, mean), std in zip(means.items(), stds, strict=True)
    ]
    return _columns(items, copula(correlation, len(items), ranks=False))


def joint_samples(
    columns: Mapping[str, Sequence[float]], *, operation: str = "set", every: Every = "episode"
) -> tuple[Perturbation, ...]:
    """Return perturbations that draw one row of a table together, all rows equally likely.

    Args:
        columns: target -> its value in every row.
        operation: what is done with the values: "set", "scale" or "add".
        every: when a row is drawn again.

    Raises:
        Sim2RealError: if the columns differ in length, or do not fit.

    >>> rows = {"parameter:ground.friction": [0.4, 0.9, 1.0], "parameter:torso.mass": [9.5, 9.0, 8.0]}
    >>> len(joint_samples(rows))
    2
    """
    lengths = {target: len(values) for target, values in columns.items()}
    if len(set(lengths.values())) > 1:
        told = ", ".join(f"{target} has {length}" for target, length in lengths.items())
        raise Sim2RealError(f"The columns of a table are equally long: {told}.")
    group = _group([(operation, target) for target in columns])
    return tuple(
        Perturbation(
            target=target,
            operation=operation,
            amount=Samples(tuple(number(value, target) for value in values), group),
            every=every,
        )
        for target, values in columns.items()
    )


def _columns(items: Sequence[Perturbation], rows: Array) -> tuple[Perturbation, ...]:
    if len({item.every for item in items}) > 1:
        raise Sim2RealError(
            "What is drawn together is drawn at the same moments: give all of them one every."
        )
    if len(items) < 2:
        raise Sim2RealError("It takes two perturbations to draw them together.")
    group = _group([(item.operation, item.target) for item in items])
    # Twelve digits, so that the same posterior is the same value on every machine's linear algebra.
    return tuple(
        replace(item, amount=Correlated(item.amount, tuple(float(f"{weight:.12f}") for weight in row), group))  # type: ignore[arg-type]
        for item, row in zip(items, rows, strict=True)
    )


def _group(columns: Sequence[tuple[str, str]]) -> str:
    if len(set(columns)) < len(columns):
        raise Sim2RealError("Two columns drawn together do the same to the same target; make them one.")
    return " & ".join(f"{operation} {target.removeprefix('parameter:')}" for operation, target in columns)

"""Groups of points that stand apart, if any do."""

import numpy as np
from numpy.typing import NDArray
from scipy.cluster.hierarchy import fcluster, linkage
from scipy.spatial.distance import cdist, pdist, squareform

Array = NDArray[np.float64]
Labels = NDArray[np.intp]

MOST_POINTS = 500
"""Points beyond these, which are taken evenly, join the group whose middle is nearest."""

MOST_GROUPS = 8
REFERENCES = 19


def groups(points: Array) -> tuple[Labels, list[int]]:
    """Return the group of each point (n, axes), and of each group the point in its middle.

    Average linkage on city-block distances is cut where the mean silhouette is largest. Points spread evenly give some
    silhouette, too, so a cut counts only if it has more than any of 19 tables spread evenly along the same principal
    axes (the reference of Tibshirani, Walther and Hastie 2001): one in 20 tables without groups is cut.
    """
    some = np.linspace(0, len(points) - 1, min(len(points), MOST_POINTS)).astype(int)
    few = points[some]
    width, cut = _best_cut(few)
    rng = np.random.default_rng(0)
    if width <= max(
        (_best_cut(_even(few, rng))[0] for _ in range(REFERENCES * bool(cut.any()))), default=0.0
    ):
        cut = np.zeros(len(few), np.intp)
    members = [np.flatnonzero(cut == group) for group in range(cut.max() + 1)]
    middles = [
        some[inside[cdist(few[inside], few[inside], "cityblock").sum(axis=1).argmin()]] for inside in members
    ]
    labels = cdist(points, points[middles], "cityblock").argmin(axis=1)
    labels[some] = cut
    return labels, [int(middle) for middle in middles]


def silhouette(distance: Array, labels: Labels) -> float:
    """Return the mean silhouette (Rousseeuw 1987) of two or more groups, from distances (n, n)."""
    member = np.eye(labels.max() + 1)[labels]
    sizes = member.sum(axis=0)
    to_group = distance @ member
    own = to_group[np.arange(len(labels)), labels] / np.maximum(sizes[labels] - 1, 1)
    other = np.where(member > 0, np.inf, to_group / sizes).min(axis=1)
    larger = np.maximum(own, other)
    widths = np.divide(other - own, larger, out=np.zeros_like(own), where=larger > 0)
    return float(np.where(sizes[labels] > 1, widths, 0.0).mean())


def _best_cut(points: Array) -> tuple[float, Labels]:
    """Return the largest mean silhouette of all cuts and that cut; one group if there is nothing to cut."""
    distance = pdist(points, "cityblock")
    whole = 0.0, np.zeros(len(points), np.intp)
    if not distance.any():
        return whole
    tree, square = linkage(distance, "average"), squareform(distance)
    cuts = (fcluster(tree, k, "maxclust") - 1 for k in range(2, min(MOST_GROUPS, len(points) - 1) + 1))
    return max(
        [whole, *((silhouette(square, cut), cut) for cut in cuts if cut.any())], key=lambda pair: pair[0]
    )


def _even(points: Array, rng: np.random.Generator) -> Array:
    """Return as many points, spread evenly in the smallest box along the principal axes that holds these."""
    middle = points.mean(axis=0)
    _, _, directions = np.linalg.svd(points - middle, full_matrices=False)
    along = (points - middle) @ directions.T
    drawn = rng.uniform(along.min(axis=0), along.max(axis=0), along.shape)
    return np.asarray(middle + drawn @ directions)

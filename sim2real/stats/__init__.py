"""Estimates with intervals that count training runs before episodes.

Arrays are (runs, episodes) or (runs, conditions, episodes), NaN where missing.
"""

from sim2real.stats.aggregate import area, cvar, holm, iqm, mean, trimmed
from sim2real.stats.estimate import (
    Difference,
    Estimate,
    bootstrap_estimate,
    difference,
    mean_estimate,
    rate_estimate,
    retention,
)

__all__ = [
    "Difference",
    "Estimate",
    "area",
    "bootstrap_estimate",
    "cvar",
    "difference",
    "holm",
    "iqm",
    "mean",
    "mean_estimate",
    "rate_estimate",
    "retention",
    "trimmed",
]

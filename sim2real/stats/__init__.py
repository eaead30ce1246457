"""Estimates with intervals that count training runs before episodes.

Arrays are (runs, episodes) or (runs, conditions, episodes), NaN where missing.
"""

from sim2real.stats.aggregate import area, cvar, holm, iqm, mean, median, optimality_gap, trimmed
from sim2real.stats.estimate import (
    Difference,
    Estimate,
    Lost,
    bootstrap_estimate,
    difference,
    episodes_to_test,
    mean_estimate,
    rate_estimate,
    retention,
)
from sim2real.stats.hierarchical import hierarchical_estimate
from sim2real.stats.lost import LOST_SHARE, difference_whatever_lost, many, whatever_lost
from sim2real.stats.planning import (
    Variation,
    detectable_effect,
    episodes_needed,
    power,
    runs_needed,
    variation,
)
from sim2real.stats.psychometric import Psychometric
from sim2real.stats.robustness import (
    cvar_estimate,
    generalisation_gap,
    improvement_probability,
    margin,
    performance_profile,
    worst_estimate,
)
from sim2real.stats.stopping import look, looks, spent

__all__ = [
    "LOST_SHARE",
    "Difference",
    "Estimate",
    "Lost",
    "Psychometric",
    "Variation",
    "area",
    "bootstrap_estimate",
    "cvar",
    "cvar_estimate",
    "detectable_effect",
    "difference",
    "difference_whatever_lost",
    "episodes_needed",
    "episodes_to_test",
    "generalisation_gap",
    "hierarchical_estimate",
    "holm",
    "improvement_probability",
    "iqm",
    "look",
    "looks",
    "many",
    "margin",
    "mean",
    "mean_estimate",
    "median",
    "optimality_gap",
    "performance_profile",
    "power",
    "rate_estimate",
    "retention",
    "runs_needed",
    "spent",
    "trimmed",
    "variation",
    "whatever_lost",
    "worst_estimate",
]

"""Searching a region: where a policy fails, how little it takes, what matters, and how episodes end."""

from sim2real.search.find import find_failure, find_modes, find_sensitivity
from sim2real.search.search import Search

__all__ = ["Search", "find_failure", "find_modes", "find_sensitivity"]

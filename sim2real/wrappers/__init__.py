"""Gymnasium wrappers."""

from sim2real.wrappers.parameters import Attributes
from sim2real.wrappers.perturbed import Perturbed

__all__ = ["Attributes", "Perturbed"]

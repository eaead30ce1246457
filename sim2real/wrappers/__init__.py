"""Gymnasium wrappers."""

from sim2real.wrappers.bullet import Bullet
from sim2real.wrappers.constrained import Constrained
from sim2real.wrappers.discover import discover
from sim2real.wrappers.mujoco import Mujoco
from sim2real.wrappers.parameters import Attributes, Table
from sim2real.wrappers.perturbed import Perturbed
from sim2real.wrappers.shielded import Shielded

__all__ = ["Attributes", "Bullet", "Constrained", "Mujoco", "Perturbed", "Shielded", "Table", "discover"]

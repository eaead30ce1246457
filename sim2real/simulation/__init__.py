"""A compiled robot in an engine, with its actuators, its sensors and every parameter that can be perturbed."""

from sim2real.simulation.simulation import Simulation
from sim2real.simulation.table import ParameterTable

__all__ = ["ParameterTable", "Simulation"]

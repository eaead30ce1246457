"""What is physics holds in every engine."""

from functools import partial

import pytest

from sim2real.simulation import Simulation
from sim2real.simulation.engine import ENGINES, make_engine

DT = 0.005


@pytest.fixture(scope="module", params=ENGINES)
def simulation(request):
    """Make a simulation, in each engine in turn."""
    return partial(Simulation, engine=request.param)


@pytest.fixture(scope="session")
def name_of():
    """Return the name of an engine, for bounds of its own: MuJoCo's contacts, stops and dry friction give way."""
    return lambda engine: type(engine).__module__.rpartition(".")[2]


@pytest.fixture(params=ENGINES)
def engine(request):
    """Each engine in turn, with a period of 5 ms."""
    made = make_engine(request.param, DT)
    yield made
    made.close()

import math

import gymnasium as gym
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import sim2real  # noqa: F401 - registers the environments
from sim2real.errors import Sim2RealError
from sim2real.perturb.parameters import Parameter, globs, matching
from sim2real.simulation import ParameterTable
from sim2real.simulation.plausible import RANGES, described


@pytest.fixture(scope="module", params=["Walk", "Stand", "Grasp", "Insert"])
def env(request):
    made = gym.make(f"sim2real:sim2real/{request.param}-v0", disable_env_checker=True)
    yield made
    made.close()


def test_every_parameter_says_what_is_plausible_and_who_says_so(env):
    """Each range lies within what is possible, holds the nominal value, is wider than that, and has a source."""
    table = env.unwrapped.parameters
    for name in table.names():
        spec = table.spec(name)
        assert spec.plausible is not None, f"{name} needs a row in sim2real.simulation.plausible.RANGES"
        low, high = spec.plausible
        assert spec.low <= low <= spec.nominal <= high <= spec.high, name
        assert low < high, name
        assert spec.source.endswith("."), name


@pytest.mark.parametrize("end", [0, 1])
def test_both_ends_of_all_ranges_can_be_simulated(env, end):
    """With everything at one end of what is plausible, at once, the world is still one of finite numbers."""
    table = env.unwrapped.parameters
    for name in table.names():
        table.set(name, table.spec(name).plausible[end])
    env.reset(seed=0)
    for _ in range(25):
        observation, reward, *_ = env.step(np.zeros(env.action_space.shape, np.float32))
        assert np.all(np.isfinite(observation))
        assert math.isfinite(reward)
    for name in table.names():
        table.set(name, table.spec(name).nominal)


def names(row):
    """Return a name for every choice in a row's pattern."""
    return [one.replace("*", "any").replace("?", "x") for one in globs(row.pattern)]


def test_no_row_is_hidden_by_one_before_it():
    """Every choice in a row's pattern gives the row's own range and source."""
    spec = Parameter(nominal=0.0, unit="", low=-math.inf, high=math.inf, doc="")
    for row in RANGES:
        assert {described(name, spec).source for name in names(row)} == {row.source}, row


@given(st.sampled_from(RANGES), st.floats(-1e3, 1e3), st.floats(0, 1e3), st.floats(0, 1e3))
@settings(max_examples=50)
def test_a_range_stays_within_bounds_and_reaches_the_nominal_value(row, nominal, below, above):
    """Whatever nominal value and bounds a parameter has, its plausible range fits it."""
    spec = Parameter(nominal=nominal, unit="", low=nominal - below, high=nominal + above, doc="")
    low, high = described(names(row)[0], spec).plausible
    assert spec.low <= low <= nominal <= high <= spec.high
    ends = {
        "is": (row.low, row.high),
        "times": sorted((nominal * row.low, nominal * row.high)),
        "plus": (nominal + row.low, nominal + row.high),
    }[row.how]
    for found, wanted in zip((low, high), ends, strict=True):
        assert found in (pytest.approx(wanted), spec.low, spec.high, nominal)


def test_a_new_nominal_value_has_a_new_range():
    """What is known as a share of the nominal value follows it, time and again; what was declared stays till then."""
    table = ParameterTable()
    spec = Parameter(nominal=100.0, unit="N m/rad", low=0.0, high=1e5, doc="Gain.")
    table.add("knee.kp", spec, lambda value: None)
    assert table.spec("knee.kp").plausible == (75.0, 125.0)
    for nominal in (40.0, 200.0):
        table.renominate("knee.kp", nominal)
        assert table.spec("knee.kp").plausible == (0.75 * nominal, 1.25 * nominal)
        assert table.get("knee.kp") == table.spec("knee.kp").nominal == nominal
    own = Parameter(nominal=1.0, unit="", low=0.0, high=2.0, doc="", plausible=(0.5, 1.0), source="Measured.")
    table.add("hip.kp", own, lambda value: None)
    assert table.spec("hip.kp") == own


def test_a_parameter_that_nobody_knows_has_no_range():
    """A made-up parameter is left as it is, rather than given a number that nobody vouches for."""
    spec = Parameter(nominal=1.0, unit="", low=0.0, high=2.0, doc="")
    assert described("moon.cheese", spec) is spec


@pytest.mark.parametrize("plausible", [(-1.0, 1.0), (0.0, 3.0), (1.5, 2.0), (0.0, 0.5), (math.nan, 2.0)])
def test_an_impossible_range_is_refused(plausible):
    """A plausible range lies within the bounds and holds the nominal value."""
    with pytest.raises(Sim2RealError, match="plausible range"):
        Parameter(nominal=1.0, unit="", low=0.0, high=2.0, doc="", plausible=plausible)


def test_groups_mean_the_joints_of_the_robot(env):
    """A group names what its members have, and nothing else."""
    table, sim = env.unwrapped.parameters, env.unwrapped.sim
    for group, joints in sim.robot.groups.items():
        driven = [joint for joint in joints if joint in sim.joint_names]
        found = matching(f"{group}.strength", table.names(), table.groups)
        assert sorted(found) == sorted(f"{joint}.strength" for joint in driven)
        assert set(matching(f"{group}.*", table.names(), table.groups)) == {
            name for name in table.names() if name.rpartition(".")[0] in joints
        }
    assert matching("legs.no_such", table.names(), table.groups) == []

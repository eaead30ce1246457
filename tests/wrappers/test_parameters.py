import gymnasium as gym
import numpy as np
import pytest

from sim2real.errors import Sim2RealError
from sim2real.perturb import scale
from sim2real.testing import check_parameters
from sim2real.wrappers import Attributes, Perturbed


def test_attributes_of_a_foreign_environment_act():
    """Attributes of Pendulum are parameters that keep every promise."""
    env = gym.make("Pendulum-v1")
    probes = check_parameters(env, parameters=Attributes(env, {"gravity": "g", "mass": "m", "length": "l"}))
    assert set(probes) == {"gravity", "mass", "length"}


def test_nominal_is_what_the_attribute_was():
    """The nominal value is remembered from before any change, also further in."""
    env = gym.make("Pendulum-v1")
    env.unwrapped.motor = type("Motor", (), {"gain": 3})()
    table = Attributes(env, {"motor.gain": "motor.gain"})
    table.set("motor.gain", 5)
    assert table.get("motor.gain") == 5
    assert table.spec("motor.gain").nominal == 3
    table.set("motor.gain", 3)
    perturbed = Perturbed(env, [scale("parameter:motor.gain", 2)], parameters=table)
    perturbed.reset(seed=0)
    assert env.unwrapped.motor.gain == 6
    perturbed.close()
    assert env.unwrapped.motor.gain == 3


@pytest.mark.parametrize(
    ("paths", "hint"),
    [
        ({"x": "lenght"}, "Did you mean 'length'"),
        ({"x": "length.further"}, "no attribute 'further'"),
        ({"x": "render_mode"}, "not a finite number"),
        ({"x": "kinematics_integrator"}, "not a finite number"),
    ],
)
def test_what_is_no_number_is_refused(paths, hint):
    """A misspelt attribute, or one that is no number, is told with the nearest right name."""
    with pytest.raises(Sim2RealError, match=hint):
        Attributes(gym.make("CartPole-v1"), paths)


def test_unknown_names_are_refused():
    """get, set and spec of an unknown name suggest the nearest one."""
    table = Attributes(gym.make("CartPole-v1"), {"pole.length": "length"})
    for use in (table.get, table.spec, lambda name: table.set(name, 1.0)):
        with pytest.raises(Sim2RealError, match=r"Did you mean 'pole\.length'"):
            use("pole.lenght")


@pytest.mark.parametrize("nominal", [np.int64(5), np.float32(1.1), np.float64(1.1), 5, 1.1])
def test_an_attribute_keeps_its_type(nominal):
    """NumPy computes otherwise with a number of Python; what is back at nominal is what was there."""
    env = gym.make("Pendulum-v1")
    env.unwrapped.gain = nominal
    table = Attributes(env, {"gain": "gain"})
    table.set("gain", 3.0)
    assert (type(env.unwrapped.gain), env.unwrapped.gain) == (type(nominal), 3)
    assert table.spec("gain").whole == (nominal == 5)
    table.set("gain", table.spec("gain").nominal)
    assert env.unwrapped.gain is nominal


@pytest.mark.parametrize("value", [np.True_, np.array(0.5)])
def test_an_attribute_that_is_no_single_number_is_refused(value):
    """A flag is none, and an array is changed in place by others."""
    env = gym.make("Pendulum-v1")
    env.unwrapped.gain = value
    with pytest.raises(Sim2RealError, match="not a finite number"):
        Attributes(env, {"gain": "gain"})


@pytest.mark.parametrize("given", [{"gravity": 9.0}, lambda env: {"gravity": 9.0}])
def test_what_are_no_parameters_is_told(given):
    """A dictionary is a likely mistake."""
    with pytest.raises(Sim2RealError, match="parameters must have names, spec, get and set"):
        Perturbed(gym.make("Pendulum-v1"), [], parameters=given)

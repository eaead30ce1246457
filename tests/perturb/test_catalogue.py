import inspect

import gymnasium as gym
import pytest

from sim2real.perturb import Interval, Perturbation, Uniform, catalogue, severities, sweep, to_json
from sim2real.perturb.catalogue import (
    action_delay,
    each,
    friction,
    mass,
    motor_strength,
    payload,
    push,
    sensor_noise,
)
from sim2real.testing import EchoEnv
from sim2real.wrappers import Perturbed

ARGUMENTS = {
    "term": "gyro", "std": 0.1, "timescale_s": 5.0, "steps": 2, "latency_s": 0.02, "probability": 0.1, "step": 0.01,
    "limit": 1.0, "factor": 0.8, "coefficient": 0.5, "angle_rad": 0.05, "mass_kg": 2.0, "offset_m": 0.02,
    "speed": 1.0, "force": 50.0, "jitter_s": 0.02, "lag_s": 0.01, "torque": 1.0, "fraction": 0.1, "voltage": 0.8,
    "joint": "left_knee", "compliance_m_n": 1e-4, "height_m": 0.03, "period_s": 1.0,
}  # fmt: skip
HELPERS = [
    function
    for name, function in inspect.getmembers(catalogue, inspect.isfunction)
    if function.__module__ == catalogue.__name__
    and not name.startswith("_")
    and name not in ("engine", "severities", "sweep", "each")
]


@pytest.mark.parametrize("helper", HELPERS, ids=lambda helper: helper.__name__)
def test_every_helper_makes_one_perturbation_that_acts(helper):
    """A helper called with its sizes alone gives a perturbation that acts and reads as a sentence."""
    needed = [
        name
        for name, parameter in inspect.signature(helper).parameters.items()
        if parameter.default is inspect.Parameter.empty
    ]
    item = helper(**{name: ARGUMENTS[name] for name in needed})
    assert isinstance(item, Perturbation)
    assert item.acts
    assert to_json([item])
    assert helper.__doc__.endswith(".")


@pytest.mark.parametrize(
    ("item", "label"),
    [
        (sensor_noise("gyro", 0.2), "add Normal(0, 0.2) to observation:gyro every step"),
        (sensor_noise("*", 0.2), "add Normal(0, 0.2) to observation every step"),
        (
            motor_strength(Uniform(0.8, 1.2), "left_*"),
            "scale left_*.strength by Uniform(0.8, 1.2) every episode",
        ),
        (push(1.0), "add Uniform(-1, 1) to base.velocity_y every 5 to 10 s"),
        (push(1.0, "x", every=Interval(1, 2)), "add Uniform(-1, 1) to base.velocity_x every 1 to 2 s"),
        (payload(2), "set payload.mass to 2"),
        (action_delay(2), "delay action by 2 steps"),
    ],
)
def test_helpers_read_as_they_act(item, label):
    """The generated sentence says what the helper's name promises."""
    assert item.label == label


def test_severities_are_one_condition_a_strength():
    """A severity curve has one labelled condition for every strength, of one identity."""
    curve = severities(push(1.0), [0.0, 0.5, 1.0])
    assert [condition[0].strength for condition in curve.values()] == [0.0, 0.5, 1.0]
    assert len({condition[0].identity for condition in curve.values()}) == 1
    assert all(label == condition[0].label for label, condition in curve.items())


def test_a_sweep_goes_to_both_ends_of_what_is_plausible():
    """Each condition changes one parameter, to where its plausible range ends; without one there is none."""
    env = EchoEnv()
    low, high = env.parameters.spec("gain").plausible
    conditions = sweep(env.parameters, "*", [0.5, 1.0])
    found = []
    for label, condition in conditions.items():
        told = Perturbed(env, condition).reset(seed=0)[1]["parameters"]
        assert label == condition[0].label
        found.append(told["gain"])
        assert told.keys() == {"gain"}
        env.parameters.set("gain", 1.0)
    assert found == [1 + share * (end - 1) for end in (low, high) for share in (0.5, 1.0)]


def test_each_draws_apart():
    """What one pattern means draws together; taken apart, every parameter draws on its own, the rest stays."""
    names = ("a.mass", "b.mass", "c.kp")
    parts = each(mass(Uniform(0.9, 1.1)), names)
    assert [part.target for part in parts] == ["parameter:a.mass", "parameter:b.mass"]
    assert len({part.identity for part in parts}) == 2
    for alone in (friction(0.5), sensor_noise("gyro", 0.1), mass(2.0, "no_such")):
        assert each(alone, names) == (alone,)
    assert each(mass(2.0, "both"), names, {"both": ("a", "b")}) == each(mass(2.0, "{a,b}"), names)


def test_every_helper_means_something_on_the_walking_robot():
    """No short form names a parameter, or a term, that the package's own environment does not have."""
    env = gym.make("sim2real:sim2real/Walk-v0", disable_env_checker=True)
    for helper in HELPERS:
        needed = inspect.signature(helper).parameters.items()
        sizes = {name: ARGUMENTS[name] for name, one in needed if one.default is inspect.Parameter.empty}
        perturbed = Perturbed(env, [helper(**sizes)])
        perturbed.reset(seed=0)
        perturbed.restore()
    env.close()

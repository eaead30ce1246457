import json

import pytest

from sim2real.perturb import Uniform, add, scale, set_to
from sim2real.report.figures import figures
from sim2real.report.response import ANSWERED, responses
from sim2real.report.table import Table

VELOCITY, TURN = "parameter:command.velocity_x", "parameter:command.yaw_rate"
COMMANDS = (-0.6, -0.3, -0.1, 0.0, 0.1, 0.2, 0.4, 0.8)
DEAD = {"plain": 0.25, "randomised": 0.0}  # below which a policy does nothing


@pytest.fixture(scope="module")
def walked(made):
    """A study that sweeps a command; policies do 0.8 of what they are told, but nothing in their dead zone."""
    conditions = {f"forward {v}": (set_to(VELOCITY, v),) for v in COMMANDS} | {
        "half": (scale(VELOCITY, 0.5),),
        "any": (set_to(VELOCITY, Uniform(0, 1)),),
        "turning": (set_to(VELOCITY, 0.3), set_to(TURN, 0.5)),
        "more": (add(TURN, 0.25),),
        "slippery": (set_to("parameter:ground.friction", 0.9),),
    }
    study = made.walker(episodes=4, conditions=conditions, competent=0.0)
    commanded = dict(zip((f"forward {v}" for v in COMMANDS), COMMANDS, strict=True)) | {"half": 0.25}
    rows = made.rows(study)
    for cell, row in zip(study.cells(), rows, strict=True):
        x = commanded.get(cell.condition_label, 0.5)
        row["metrics"] = json.dumps(
            {"velocity_x_m_s": 0.8 * x * (abs(x) > DEAD[cell.policy_label]), "velocity_error_m_s": 9.0}
        )
    store = made.record(study, rows)
    facts = store.meta["parameters"] | {
        name: {"nominal": nominal, "unit": unit, "low": -9.0, "high": 9.0, "doc": ""}
        for name, nominal, unit in (("command.velocity_x", 0.5, "m/s"), ("command.yaw_rate", 0.0, "rad/s"))
    }
    store.write_meta(store.meta | {"parameters": facts})
    return Table(study, store)


def test_what_is_commanded_alone_is_on_the_map(walked):
    """A response has every command that is constant and given alone, nominal among them, and what measures it."""
    (one,) = responses(walked, ("plain", "randomised"))
    assert (one.command, one.unit, one.metric) == ("command.velocity_x", "m/s", "velocity_x_m_s")
    for answers in one.answers:
        assert answers.commanded == tuple(sorted({*COMMANDS, 0.25, 0.5}))
        for x, achieved in zip(answers.commanded, answers.achieved, strict=True):
            assert achieved.value == pytest.approx(0.8 * x * (abs(x) > DEAD[answers.policy]))


def test_a_dead_zone_is_what_is_not_answered(walked):
    """The dead zone spans the commands about zero of which too little is answered, and only if there are any."""
    (one,) = responses(walked, ("plain", "randomised"))
    plain, randomised = one.answers
    assert plain.dead == (-0.1, 0.25)
    assert randomised.dead is None
    for x, achieved in zip(plain.commanded, plain.achieved, strict=True):
        inside = plain.dead[0] <= x <= plain.dead[1]
        assert inside == (abs(achieved.value) <= ANSWERED * abs(x))


def test_a_study_that_sweeps_no_command_has_no_map(made, walked):
    """Without conditions that command something, or a metric that measures it, there is no response."""
    study = made.walker(episodes=2)
    assert figures(Table(study, made.record(study))).responses == ()
    assert {one.command for one in responses(walked, ("plain",))} == {"command.velocity_x"}

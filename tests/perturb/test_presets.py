import json

import gymnasium as gym
import numpy as np
import pytest

from sim2real.errors import Sim2RealError
from sim2real.perturb import OPERATIONS, PRESETS, from_json, held_out_kind, matching, preset, to_json
from sim2real.testing import check_perturbed
from sim2real.wrappers import Perturbed


def walk():
    return gym.make("sim2real:sim2real/Walk-v0")


@pytest.fixture(scope="module")
def parameters():
    env = walk()
    yield env.unwrapped.parameters
    env.close()


INERT = {
    "playground_g1": "scale *.coulomb_friction by Uniform(0.5, 2) every episode",  # which the G1 has none of
    "booster": "set initial.velocity_noise to 0.1",  # which it is
}


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_acts_on_a_robot_and_keeps_the_laws(name):
    """Every part of every preset fits the walking task and moves something, and all keep every law."""
    acting = [item for item in PRESETS[name].condition if item.label != INERT.get(name)]
    check_perturbed(walk, acting, steps=5)


@pytest.mark.parametrize("name", INERT)
def test_a_part_of_a_preset_that_does_nothing_on_a_robot_is_named(name):
    """What scales nothing, or sets what is set, is not hidden by parts that act."""
    inert = [item for item in PRESETS[name].condition if item.label == INERT[name]]
    with pytest.raises(AssertionError, match="changes nothing in 5 steps"):
        check_perturbed(walk, inert, steps=5)


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_is_a_value_with_an_origin(name, parameters):
    """Every preset names its source, survives JSON, and every part of it acts and means something."""
    found = PRESETS[name]
    assert from_json(json.loads(json.dumps(to_json(found.condition)))) == found.condition
    assert found.source.endswith(".")
    assert found.doc.endswith(".")
    assert all(sentence.endswith(".") for sentence in found.without)
    for item in found.condition:
        assert item.acts
        assert item.operation in OPERATIONS
        side, _, pattern = item.target.partition(":")
        assert side != "parameter" or matching(pattern, parameters.names())


@pytest.mark.parametrize("name", ["hover", "booster"])
def test_names_draw_links_apart(name, parameters):
    """With an environment's names every link has its own draw, and what is drawn lies where the preset says."""
    condition = preset(name, parameters.names())
    env = Perturbed(walk(), condition)
    told = env.reset(seed=0)[1]["parameters"]
    ratios = {name: told[name] / parameters.spec(name).nominal for name in told if name.endswith(".kp")}
    assert len(set(ratios.values())) == len(ratios) > 10
    nominals = {name: parameters.spec(name).nominal for name in parameters.names()}
    assert held_out_kind(condition, [preset(name)], nominals) == "in-distribution"
    env.close()


def test_grades_rise():
    """Hard is later, noisier and more slippery than medium, and medium than easy, each with the same draws."""
    for easy, medium, hard in zip(*(
        [item for item in preset(name) if item.identity != ("action", "hold", "episode")]
        for name in ("easy", "medium", "hard")
    ), strict=True):  # fmt: skip
        assert easy.identity == medium.identity == hard.identity
        widths = [
            np.ptp(item.support)
            if item.operation == "set" and "latency" not in item.target
            else max(map(max, item.support))
            for item in (easy, medium, hard)
        ]
        assert widths == sorted(set(widths))


def test_an_unknown_preset_is_told_with_the_nearest():
    """A misspelt name comes with the right one."""
    with pytest.raises(Sim2RealError, match="Did you mean 'medium'"):
        preset("mediun")

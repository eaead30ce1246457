"""Laws of contracts as values."""

import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sim2real.errors import Sim2RealError
from sim2real.perturb import Interval, Uniform, add, delay, scale
from sim2real.policies import Contract, Term
from sim2real.safety import RateLimit, Recovery, SoftLimits

SEEN = (
    (),
    (scale("parameter:torso.mass", Uniform(0.8, 1.2)), delay("action", 2)),
    (add("parameter:torso.velocity_y", Uniform(-1, 1), every=Interval(5, 10)),),
)
numbers = st.floats(-1e6, 1e6)
SHIELDS = (RateLimit(change=0.5), SoftLimits(fraction=0.85), Recovery())


@st.composite
def contracts(draw):
    joints = tuple(draw(st.lists(st.text(min_size=1), min_size=1, max_size=4, unique=True)))
    per_joint = st.one_of(numbers, st.tuples(*[numbers] * len(joints)))
    outputs = draw(st.sampled_from([(), tuple(f"{joint}'s" for joint in joints)]))
    gains = st.none() | st.tuples(*[st.floats(0, 1e3)] * len(joints))
    kp = draw(gains)
    flat = st.one_of(st.text(), st.integers(-(2**60), 2**60), st.booleans(), numbers)
    return Contract(
        joints=joints,
        control="position",
        control_period_s=draw(st.floats(1e-4, 1)),
        observation=(
            Term(term="joint_position", size=len(joints), scale=draw(per_joint), offset=draw(per_joint)),
            Term(term="gyro", size=3, history=draw(st.integers(1, 5))),
        ),
        outputs=outputs,
        action_scale=draw(per_joint),
        action_offset=draw(per_joint),
        action_clip=draw(st.none() | st.floats(0.1, 100)),
        kp=kp,
        kd=kp,
        gait_period_s=draw(st.none() | st.floats(0.1, 2)),
        shields=draw(st.sampled_from([(), SHIELDS])),
        seen=draw(st.none() | st.lists(st.sampled_from(SEEN)).map(tuple)),
        training=draw(st.dictionaries(st.text(), flat | st.lists(flat).map(tuple), max_size=3)),
    )


@settings(max_examples=50, deadline=None)
@given(contracts())
def test_written_contracts_read_back_equal(contract):
    """A contract survives TOML and JSON unchanged, whatever is in its names and numbers."""
    assert Contract.from_toml(contract.to_toml()) == contract
    assert Contract.from_dict(json.loads(json.dumps(contract.to_dict()))) == contract


def test_undeclared_differs_from_nominal_only(contract):
    """That nothing was declared as seen, and that nothing but the nominal world was seen, stay different."""
    undeclared, nominal = contract(), contract(seen=())
    assert Contract.from_toml(undeclared.to_toml()).seen is None
    assert Contract.from_toml(nominal.to_toml()).seen == ()


def test_arrays_are_taken_as_numbers(contract):
    """A contract made from numpy arrays and lists equals the one made from tuples."""
    given_arrays = contract(
        kp=np.full(4, 3.0), kd=[1, 1, 1, 1], action_scale=np.float32(0.25), joints=list("abcd")
    )
    assert given_arrays == contract(kp=(3.0,) * 4, kd=(1.0,) * 4, action_scale=0.25, joints=tuple("abcd"))
    assert hash(given_arrays) == hash(replace(given_arrays))


GYRO = Term(term="gyro", size=3)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"joints": ("a", "b", "c", "a")}, "A contract lists the joint 'a' more than once."),
        ({"observation": (GYRO, GYRO)}, "A contract lists the observation term 'gyro' more than once."),
        ({"joints": ()}, "A contract with observation terms must list its joints."),
        (
            {"observation": ()},
            "A contract with control, control_period_s, joints must list its observation terms.",
        ),
        (
            {"control": "velocity"},
            "'control' of a contract is 'position' or 'torque' or 'twist', not 'velocity'.",
        ),
        ({"control": "twist"}, "A contract with control = 'twist' must list its outputs."),
        ({"outputs": ("x", "x")}, "A contract lists the output 'x' more than once."),
        (
            {"outputs": ("x", "y"), "action_scale": (1.0,) * 4},
            "'action_scale' of a contract has 4 numbers; it needs one, or one for each of 2.",
        ),
        (
            {"outputs": ("x", "y"), "observation": (Term(term="previous_action", size=4),)},
            "'previous_action' has one value per output: 2, not 4.",
        ),
        ({"history_by": "time"}, "'history_by' of a contract is 'term' or 'frame', not 'time'."),
        ({"control_period_s": 0.0}, "'control_period_s' of a contract must be a positive number, not 0.0."),
        ({"action_clip": math.inf}, "'action_clip' of a contract must be a positive number, not inf."),
        (
            {"action_scale": "big"},
            "'action_scale' of a contract must be a number or a list of numbers, not 'big'.",
        ),
        (
            {"action_offset": (0.0, 1.0)},
            "'action_offset' of a contract has 2 numbers; it needs one, or one for each of 4.",
        ),
        ({"action_offset": math.nan}, "'action_offset' of a contract must be finite."),
        ({"kp": (1, 1, 1, 1)}, "A contract gives both kp and kd, one number per joint, or neither."),
        ({"kp": 100, "kd": 2}, "A contract gives both kp and kd, one number per joint, or neither."),
        (
            {"kp": (1,) * 4, "kd": (-1,) * 4},
            "The gains of a contract belong to position control and are not negative.",
        ),
        (
            {"kp": (1,) * 4, "kd": (1,) * 4, "control": "torque"},
            "The gains of a contract belong to position control and are not negative.",
        ),
        (
            {"observation": (Term(term="gait_phase", size=2),)},
            "A contract that reads 'gait_phase' must state gait_period_s.",
        ),
        (
            {"observation": (Term(term="joint_velocity", size=3),)},
            "'joint_velocity' has one value per joint: 4, not 3.",
        ),
        (
            {"observation": (GYRO, Term(term="command", size=3, history=2)), "history_by": "frame"},
            "With history_by = 'frame' all observation terms have the same history.",
        ),
        (
            {"training": {"net": {"a": 1}}},
            "'net' of a training record must be text, a number or a list of these.",
        ),
    ],
)
def test_contradictions_are_refused_in_one_sentence(contract, changes, sentence):
    """A contract that contradicts itself says where."""
    with pytest.raises(Sim2RealError) as error:
        contract(**changes)
    assert str(error.value) == sentence


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("control = ", "A contract must be valid TOML: Invalid value (at end of document)."),
        ("", "A contract says format = 'sim2real-policy/1', not None."),
        (
            "format = 'sim2real-policy/2'",
            "A contract says format = 'sim2real-policy/1', not 'sim2real-policy/2'.",
        ),
        ("format = 'sim2real-policy/1'\njoint = []", "A contract has no 'joint'. Did you mean 'joints'?"),
        (
            "format = 'sim2real-policy/1'\nobservation = [{term = 'gyro', size = 3, scal = 2}]",
            "An observation term has no 'scal'. Did you mean 'scale'?",
        ),
        (
            "format = 'sim2real-policy/1'\nobservation = ['gyro']",
            "An observation term is written {term = …, size = …}, not 'gyro'.",
        ),
        (
            "format = 'sim2real-policy/1'\nobservation = [{term = 'gyro', size = 0}]",
            "'size' of 'gyro' must be a positive integer, not 0.",
        ),
    ],
)
def test_unreadable_text_is_refused_in_one_sentence(tmp_path, text, sentence):
    """A contract file that cannot be used says why, and a file that is read says which it is."""
    with pytest.raises(Sim2RealError) as error:
        Contract.from_toml(text)
    assert str(error.value) == sentence
    (path := tmp_path / "c.toml").write_text(text)
    with pytest.raises(Sim2RealError) as error:
        Contract.read(path)
    assert str(error.value) == f"The contract '{path}' cannot be used: {sentence}"


def test_published_contract_reads():
    """The contract of Unitree's published policy has its 47 values, 12 joints, and mirrored legs."""
    published = Contract.read(Path(__file__).parents[2] / "studies/contracts/unitree_g1.toml")
    assert (published.observation_size, len(published.joints)) == (47, 12)
    assert [joint.replace("left", "right") for joint in published.joints[:6]] == list(published.joints[6:])
    for per_joint in (published.kp, published.kd, published.action_offset):
        assert per_joint[:6] == per_joint[6:]
    position = next(term for term in published.observation if term.term == "joint_position")
    assert position.offset == published.action_offset

"""What a condition is made of beside perturbations, as values and as JSON."""

import json
import pickle

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sim2real import Sim2RealError
from sim2real.perturb import Make, add, from_json, makes, to_json
from sim2real.perturb.catalogue import engine
from sim2real.policies.contract import Contract

plain = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.floats(-5, 5) | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=5,
)


@given(plain)
@settings(max_examples=50)
def test_a_making_is_a_value(value):
    """It survives JSON, pickling and a policy's file, equal and with an equal hash, whatever its value holds."""
    one = Make(name="xml_file", value=value)
    contract = Contract(seen=[(one,)])
    for again in (
        from_json(json.loads(json.dumps(to_json((one,)))))[0],
        pickle.loads(pickle.dumps(one)),
        Contract.from_toml(contract.to_toml()).seen[0][0] if _has_toml(value) else one,
    ):
        assert again == one
        assert hash(again) == hash(one)
        assert again.value == value


def _has_toml(value):
    """Tell whether TOML can hold it: it has no null within a value."""
    return "null" not in json.dumps(value) or value is None


@given(plain, plain)
@settings(max_examples=50)
def test_makings_are_equal_where_their_json_is(one, other):
    """True, 1 and 1.0 are three values, as they are for the key of a trial."""
    same = json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)
    assert (Make(name="a", value=one) == Make(name="a", value=other)) == same
    assert len({Make(name="a", value=value) for value in (True, 1, 1.0, "1")}) == 4
    assert Make(name="a", value=one) != Make(name="b", value=one)


def test_a_condition_tells_what_it_makes():
    """Its keywords in one dict, past everything else, and each once."""
    noise = add("action", 0.1)
    assert makes((noise, engine("mujoco"), Make(name="robot", value="h1"))) == {
        "engine": "mujoco",
        "robot": "h1",
    }
    assert makes((noise,)) == {}
    with pytest.raises(Sim2RealError, match="made with one 'engine', not with two"):
        makes((engine("mujoco"), engine("bullet")))


@pytest.mark.parametrize(
    ("name", "value", "hint"),
    [
        ("a b", 1, "cannot be one"), ("", 1, "cannot be one"),
        ("a", object(), "plain JSON"), ("a", float("nan"), "plain JSON"),
    ],
)  # fmt: skip
def test_what_makes_no_environment_is_refused_in_a_sentence(name, value, hint):
    """A keyword is an identifier, a value can be written down."""
    with pytest.raises(Sim2RealError, match=hint):
        Make(name=name, value=value)

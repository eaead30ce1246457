import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sim2real.perturb import OPERATIONS

lags = st.lists(st.integers(0, 6), min_size=1, max_size=40)
values = st.floats(-1e3, 1e3)


def run(name, inputs, amounts):
    memory, outputs = None, []
    for value, amount in zip(inputs, amounts, strict=True):
        output, memory = OPERATIONS[name].apply(value, amount, memory)
        outputs.append(output)
    return outputs


@given(st.integers(0, 8), st.integers(1, 40))
@settings(max_examples=50)
def test_a_constant_delay_shifts_exactly(lag, length):
    """A delay of k gives the input of k steps ago, and before that the first input."""
    assert run("delay", range(length), [lag] * length) == [max(0, step - lag) for step in range(length)]


@given(lags)
@settings(max_examples=50)
def test_jitter_never_goes_back_in_time(drawn):
    """However the lag is redrawn, no output is older than the last one or older than was asked for."""
    outputs = run("delay", range(len(drawn)), drawn)
    assert outputs == sorted(outputs)
    assert all(output >= step - lag for step, (output, lag) in enumerate(zip(outputs, drawn, strict=True)))


def test_a_weakened_lag_is_rounded():
    """Lags between whole steps, which strength makes, are rounded to the nearest."""
    assert run("delay", range(6), [1.4] * 6) == run("delay", range(6), [1] * 6)
    assert run("delay", range(6), [1.5] * 6) == run("delay", range(6), [2] * 6)


def test_delay_does_what_its_documentation_draws():
    """The worked trace of the module holds."""
    assert run("delay", range(8), [1, 1, 3, 3, 3, 3, 1, 1]) == [0, 0, 0, 0, 1, 2, 5, 6]


def test_hold_repeats_the_last_output():
    """A held step gives the last output again; the first step cannot be held."""
    assert run("hold", [1, 2, 3, 4], [True, True, False, True]) == [1, 1, 3, 3]


@given(values, values)
@settings(max_examples=50)
def test_operations_compute_what_they_say(value, amount):
    """add adds, scale multiplies, set replaces, quantize rounds to multiples, clip limits."""
    assert run("add", [value], [amount]) == [value + amount]
    assert run("scale", [value], [amount]) == [value * amount]
    assert run("set", [value], [amount]) == [amount]
    assert run("clip", [value], [abs(amount)]) == [min(max(value, -abs(amount)), abs(amount))]
    step = abs(amount) + 0.1
    (rounded,) = run("quantize", [value], [step])
    assert abs(rounded - value) <= step / 2 * (1 + 1e-9)
    assert rounded / step == pytest.approx(round(rounded / step))


@given(st.sampled_from(sorted(OPERATIONS)), st.floats(0.1, 1.0), st.floats(0.01, 5), st.floats(-3, 3))
@settings(max_examples=50)
def test_strength_leads_from_the_identity_to_the_amount(name, strength, amount, value):
    """Strength 1 keeps the amount; less is a share of the way from the identity, for clip a wider limit."""
    operation = OPERATIONS[name]
    assert operation.weaken(amount, 1.0) == amount
    weak = operation.weaken(amount, strength)
    if name == "clip":
        assert weak == amount / strength
    elif name == "set":
        assert operation.at(strength)(value, weak, None)[0] == pytest.approx(
            value + strength * (amount - value)
        )
    else:
        assert weak - operation.identity == pytest.approx(strength * (amount - operation.identity))


@pytest.mark.parametrize("name", ["delay", "hold"])
def test_memory_is_never_changed_in_place(name):
    """An operation is a pure function: running it again from an old memory gives the same again."""
    _, early = OPERATIONS[name].apply(np.arange(3.0), 2, None)
    once = OPERATIONS[name].apply(np.arange(3.0) + 1, 2, early)
    OPERATIONS[name].apply(np.arange(3.0) + 9, 0, once[1])
    again = OPERATIONS[name].apply(np.arange(3.0) + 1, 2, early)
    np.testing.assert_array_equal(once[0], again[0])
    assert len(once[1]) == len(again[1])

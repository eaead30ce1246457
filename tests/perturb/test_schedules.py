import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sim2real.perturb import (
    At,
    Normal,
    Ramp,
    Sine,
    Square,
    Uniform,
    add,
    clip,
    delay,
    held_out_kind,
    hold,
    quantize,
    scale,
    set_to,
)
from sim2real.perturb.streams import draws
from sim2real.testing import EchoEnv, check_perturbed
from sim2real.wrappers import Perturbed

GAIN, KICK, OFFSET = "parameter:gain", "parameter:kick", "parameter:offset"
SCHEDULES = [Ramp(1.0), Ramp(0.5, start_s=0.3), Sine(1.0), Sine(0.7, 1.0), Square(0.6), At(0.5), At(0.5, 0.3)]
times = st.floats(0, 100)


def course(item, steps, parameter="gain"):
    """Return a parameter at the reset and after each step of 0.1 s."""
    env = Perturbed(EchoEnv(), [item])
    infos = [env.reset(seed=0)[1]] + [env.step(np.zeros(3, np.float32))[4] for _ in range(steps)]
    return [info["parameters"].get(parameter) for info in infos]


@given(st.sampled_from(SCHEDULES), times)
def test_a_share_is_one_of_the_shares(schedule, time_s):
    """What a schedule gives at any time lies in what it says it can give."""
    share = schedule.share(time_s)
    assert any(low <= share <= high for low, high in schedule.shares)


def test_a_parameter_follows_the_clock():
    """The value in the step that begins at t is nominal times what the formula gives at t."""
    time_s = np.arange(12) * 0.1
    expected = {
        Ramp(0.5, start_s=0.2): 1 + np.clip((time_s - 0.2) / 0.5, 0, 1),
        Sine(0.8, 0.5): 1 + np.sin(2 * np.pi * time_s / 0.8 + 0.5),
        Square(0.4, on=0.5): [2, 2, 1, 1] * 3,
        At(0.3, 0.2): [1, 1, 1, 2, 2, *[1] * 7],
        At(0.3): [1, 1, 1, *[2] * 9],
    }
    for schedule, values in expected.items():
        np.testing.assert_allclose(course(scale(GAIN, 2.0, every=schedule), 12)[1:], values, atol=1e-12)


def test_set_goes_from_nominal_to_the_amount():
    """A ramp of set passes the values between; at half strength it ends half way."""
    ramped = set_to(GAIN, 3.0, every=Ramp(0.4))
    np.testing.assert_allclose(course(ramped, 6), [1, 1, 1.5, 2, 2.5, 3, 3])
    np.testing.assert_allclose(course(ramped.at(0.5), 6), [1, 1, 1.25, 1.5, 1.75, 2, 2])


def test_a_kick_comes_once_at_its_time():
    """A transient parameter is set in the one step that begins at the time."""
    assert course(add(KICK, 1.5, every=At(0.3)), 6, "kick") == [None, None, None, None, 1.5, None, None]
    assert course(add(KICK, 1.5, every=At(0.0)), 2, "kick") == [None, 1.5, None]


@pytest.mark.parametrize("every", [Ramp(1.0), Sine(1.0), Square(1.0), At(0.1, 0.5)])
def test_kicks_do_not_last(every):
    """A kick is no thing of duration."""
    with pytest.raises(ValueError, match="cannot last"):
        Perturbed(EchoEnv(), [add(KICK, 1.0, every=every)])


@pytest.mark.parametrize("every", SCHEDULES, ids=str)
def test_what_acts_from_a_reset_on_follows_no_clock(every):
    """A parameter that is not live takes no schedule."""
    with pytest.raises(ValueError, match="every must be 'episode'"):
        Perturbed(EchoEnv(), [add(OFFSET, 1.0, every=every)])


def test_signals_follow_the_clock():
    """Each operation on a signal is done with the amount weakened to the share at the reading's time."""

    def counter(item):
        env = Perturbed(EchoEnv(), [item])
        seen = [env.reset(seed=0)[0]] + [env.step(np.zeros(3, np.float32))[0] for _ in range(6)]
        return [float(one[0]) for one in seen]

    part = "observation:counter"
    assert counter(add(part, 10.0, every=Ramp(0.4))) == pytest.approx([0, 3.5, 7, 10.5, 14, 15, 16])
    assert counter(set_to(part, 9.0, every=Ramp(0.2))) == pytest.approx([0, 5, 9, 9, 9, 9, 9])
    assert counter(delay(part, 2, every=At(0.2, 0.2))) == [0, 1, 1, 1, 4, 5, 6]
    assert counter(hold(part, 1.0, every=At(0.2, 0.2))) == [0, 1, 1, 1, 4, 5, 6]
    assert counter(quantize(part, 4.0, every=Square(0.4))) == [0, 0, 2, 3, 4, 4, 6]
    assert counter(clip(part, 1.5, every=Ramp(0.4))) == pytest.approx([0, 1, 2, 2, 1.5, 1.5, 1.5])


@pytest.mark.parametrize("every", SCHEDULES, ids=str)
def test_the_laws_hold(every):
    """Zero strength, streams, order, compounding and restoration, for a schedule of draws on everything."""
    check_perturbed(
        EchoEnv,
        [
            scale(GAIN, Uniform(0.5, 1.5), every=every),
            add("observation", Normal(0, 0.1), every=every),
            set_to("action:a", Uniform(0, 1), every=every),
        ],
    )


@given(st.sampled_from(SCHEDULES), st.floats(0.1, 2), st.integers(0, 1000))
def test_stronger_keeps_the_draw(every, strength, seed):
    """The amount at any time is proportional to strength."""

    def amounts(item):
        found = draws(item, 0, (), 0.1)
        found.start(seed, 0)
        return [found.tick() or found.amount or 0.0 for _ in range(20)]

    item = add(GAIN, Uniform(1, 2), every=every)
    np.testing.assert_allclose(amounts(item.at(strength)), strength * np.array(amounts(item)), rtol=1e-12)


def test_bounds_hold_at_every_time():
    """A sine that would leave the bounds on its way down is refused when it is made."""
    with pytest.raises(ValueError, match="can make gain -1"):
        Perturbed(EchoEnv(), [scale(GAIN, 3.0, every=Sine(1.0))])
    Perturbed(EchoEnv(), [scale(GAIN, 3.0, every=Ramp(1.0))])


@pytest.mark.parametrize(
    ("tested", "expected"),
    [
        (scale(GAIN, 1.5, every=Ramp(2.0)), "in-distribution"),
        (scale(GAIN, 2.5, every=Ramp(2.0)), "extrapolation"),
        (scale(GAIN, 1.5, every=Ramp(1.0)), "extrapolation"),
        (scale(GAIN, 1.5, every=Sine(2.0)), "unseen kind"),
        (scale(GAIN, 1.5), "unseen kind"),
    ],
)
def test_a_course_is_held_out_by_its_values_and_its_times(tested, expected):
    """A ramp was seen if its values, and its pace, were; a constant is another kind of thing."""
    seen = [(scale(GAIN, Uniform(1.0, 2.0), every=Ramp(2.0)),)]
    assert held_out_kind((tested,), seen, {"gain": 1.0}) == expected


def test_labels_read_as_sentences():
    """The generated sentence says what happens when."""
    assert scale(GAIN, 1.2, every=Sine(2.0)).label == "scale gain by 1.2 as a sine of 2 s"
    assert add(KICK, 1.0, every=At(3.0)).label == "add 1 to kick at 3 s"
    assert (
        set_to(GAIN, Uniform(0, 1), every=Ramp(5.0, start_s=1.0)).label
        == "set gain to Uniform(0, 1) ramped up over 5 s from 1 s on"
    )
    assert (
        hold("action", 0.5, every=Square(2.0)).label == "hold action with probability 0.5 for 0.5 of each 2 s"
    )

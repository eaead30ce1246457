"""What a gait's figures say of gaits whose figures are known."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sim2real.tasks.gait import SWING_M, Gait

STILL = (0.0, 0.0, 0.0)
PERIOD_S = 0.02


def walked(cycles, stance, swing, height_m=0.05, hop=False, slide_m_s=0.0):
    """Return the figures of a gait whose feet swing in turn, or together, each for `swing` steps."""
    gait = Gait(2, PERIOD_S)
    length = stance + swing
    for i in range(cycles * length):
        phases = [i % length, (i + (0 if hop else length // 2)) % length]
        down = [phase < stance for phase in phases]
        heights_m = [0.0 if touches else height_m for touches in down]
        gait.observe(down, heights_m, [(slide_m_s if touches else 1.0, 0.0, 0.0) for touches in down])
    return gait.metrics()


def test_nothing_observed_is_all_zero():
    """A gait that was never seen has no figures but zeros."""
    assert set(Gait(2, PERIOD_S).metrics().values()) == {0.0}


@given(half=st.integers(2, 15), extra=st.integers(0, 5), cycles=st.integers(3, 8))
def test_walking_alternates_and_never_flies(half, extra, cycles):
    """Feet half a cycle apart that stand longer than they swing: no flight, double support of what is left over."""
    swing = half - min(extra, half - 1)
    stance = 2 * half - swing
    found = walked(cycles, stance, swing)
    assert found["flight_fraction"] == 0.0
    assert found["single_support_fraction"] == pytest.approx(2 * swing / (stance + swing))
    assert found["alternation"] == 1.0
    assert found["asymmetry"] <= 1.0 / cycles
    assert found["clearance_m"] == pytest.approx(0.05)
    assert found["cadence_hz"] == pytest.approx(1.0 / (half * PERIOD_S), rel=0.2)


def test_hopping_is_flight_without_single_support():
    """Feet that swing together are never single, and are both in the air while they swing."""
    found = walked(6, 6, 4, hop=True)
    assert found["flight_fraction"] == pytest.approx(0.4)
    assert found["single_support_fraction"] == 0.0


def test_limping_is_asymmetric():
    """A foot that stands twice as long as the other is a third of their sum ahead of it, and never alternates."""
    gait = Gait(2, PERIOD_S)
    for _ in range(10):
        for down in ((True, False), (True, True)):
            gait.observe(down, [0.0 if touches else 0.05 for touches in down], [STILL, STILL])
    found = gait.metrics()
    assert found["asymmetry"] == pytest.approx((20 - 10) / 30)
    assert found["alternation"] == 0.0


@given(st.floats(0.0, SWING_M, exclude_max=True))
def test_shuffling_is_no_stepping(height_m):
    """Feet that hardly leave the ground take no steps, however often contact is lost."""
    found = walked(5, 6, 4, height_m=height_m)
    assert found["cadence_hz"] == found["clearance_m"] == found["alternation"] == 0.0


@given(st.floats(0.0, 2.0))
def test_slip_is_the_speed_of_feet_on_the_ground(slide_m_s):
    """What feet do in the air is no slip."""
    assert walked(4, 6, 4, slide_m_s=slide_m_s)["slip_m_s"] == pytest.approx(slide_m_s)

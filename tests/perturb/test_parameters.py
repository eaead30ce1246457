import pytest

from sim2real.perturb import any_of, describe, matching
from sim2real.testing import EchoEnv

NAMES = ("left_knee.kp", "right_knee.kp", "left_hip.kp", "gravity.z")


@pytest.mark.parametrize(
    ("pattern", "count"),
    [
        ("*", 4),
        ("*.kp", 3),
        ("*_knee.kp", 2),
        ("gravity.z", 1),
        ("{left_knee,left_hip}.kp", 2),
        ("{left,right}_{knee,hip}.kp", 3),
        ("{left_*,gravity}.*", 3),
        ("{}", 0),
        ("{unclosed.kp", 0),
    ],
)
def test_patterns_mean_names(pattern, count):
    """Stars and braces mean what they mean in a shell; order is that of the names."""
    found = matching(pattern, NAMES)
    assert len(found) == count
    assert found == [name for name in NAMES if name in found]


def test_any_of_means_these_and_no_others():
    """The pattern made of names matches them back."""
    assert matching(any_of(NAMES[:3:2]), NAMES) == list(NAMES[:3:2])


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("knees.kp", ["left_knee.kp", "right_knee.kp"]),
        ("knees.k?", ["left_knee.kp", "right_knee.kp"]),
        ("{knees,left_hip}.kp", ["left_knee.kp", "right_knee.kp", "left_hip.kp"]),
        ("knees.kd", []),
        ("left_hip.kp", ["left_hip.kp"]),  # a name of its own comes first
        ("knees", []),
    ],
)
def test_a_group_means_its_members(pattern, expected):
    """What stands before the last dot may be a group, unless it is a name already."""
    groups = {"knees": ("left_knee", "right_knee"), "left_hip": ("left_knee",)}
    assert matching(pattern, NAMES, groups) == expected


def test_every_parameter_is_in_one_row():
    """Rows count every parameter once and repeat its facts."""
    table = EchoEnv().parameters
    rows = describe(table)
    assert sum(row.members for row in rows) == len(table.names())
    kick = next(row for row in rows if row.name == "kick")
    assert (kick.unit, kick.nominal, kick.low, kick.high) == ("m/s", "0", -10.0, 10.0)
    assert kick.doc.endswith(".")
    gain = next(row for row in rows if row.name == "gain")
    assert (kick.plausible, gain.plausible, gain.source) == ("", "0.5 to 2", "An example.")

import re
import xml.etree.ElementTree as ET

import matplotlib as mpl
import pytest

from sim2real.report import draw
from sim2real.report.figures import figures
from sim2real.report.table import Table
from sim2real.stats import Estimate

ORDER = ("plain", "randomised")
LIMITS = (-0.03, 1.03)


@pytest.fixture(scope="module")
def curves(made):
    study = made.walker(episodes=10)
    return figures(Table(study, made.record(study))).curves


def drawn(curve, **changes):
    stated = {"rate": True, "limits": LIMITS, "metric": "success", "alt": "success < all & more"}
    return draw.severity(curve, ORDER, **(stated | changes))


def test_same_numbers_same_bytes(curves):
    """A figure depends on its numbers alone, not on the user's matplotlib settings or earlier figures."""
    first = drawn(curves[0])
    with mpl.rc_context({"font.size": 30, "axes.grid": False, "lines.linewidth": 9}):
        drawn(curves[1])
        assert drawn(curves[0]) == first


def test_a_figure_stays_inside_itself(curves):
    """Nothing in a figure reaches into the page: no style sheet, no address to load, no colour of its own."""
    for curve in curves:
        svg = drawn(curve)
        assert "<style" not in svg
        assert "http" not in svg.replace('xmlns:xlink="http://www.w3.org/1999/xlink"', "")
        assert not re.search("#[0-9a-f]{6}\\b", svg)
        used = set(re.findall(r"#([\w-]+)", svg))
        assert used == set(re.findall(r'id="([^"]*)"', svg))


def test_a_figure_is_xml_with_a_name(curves):
    """A figure is well-formed and tells a screen reader what it shows."""
    svg = ET.fromstring(drawn(curves[0]))
    assert svg.get("role") == "img"
    assert svg.get("aria-label") == "success < all & more"


def test_every_estimate_is_drawn(curves):
    """Each line has a marker per estimate, each reference one per published point."""
    for curve in curves:
        markers = len(re.findall("<use ", drawn(curve))) - len(re.findall("<use ", drawn_empty(curve)))
        published = sum(len(reference.points) for reference in curve.references)
        assert markers == sum(len(line.x) for line in curve.lines) + published


def drawn_empty(curve):
    """Return the axes alone, at the same limits: drawn in the colour of the page."""
    svg = drawn(curve)
    marks = "|".join(
        re.escape(found) for found in set(re.findall(r"<use [^>]*var\(--(?:p\d|ink)\)[^>]*/>", svg))
    )
    return re.sub(marks, "", svg) if marks else svg


def test_interval_lies_on_its_track():
    """However wide, an interval is drawn between the ends of its track; without data nothing is."""
    wide = Estimate(value=0.5, low=-1e9, high=float("inf"), n_episodes=1)
    numbers = [float(n) for n in re.findall(r"[MH](-?[\d.]+)", draw.interval(wide, LIMITS, 0.9))]
    assert all(4 <= n <= 116 for n in numbers)
    nothing = Estimate(value=float("nan"), low=float("nan"), high=float("nan"), n_runs=0)
    assert draw.interval(nothing, LIMITS, None) == ""


def test_policies_look_different():
    """The first six policies differ in colour and marker."""
    assert len({draw.swatch(index) for index in range(6)}) == 6

"""Curves, bars and intervals as SVG that follow the colours of the page; the same numbers give the same bytes."""

import io
import math
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from html import escape
from itertools import cycle
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter, LogLocator, MaxNLocator, NullLocator, PercentFormatter

from sim2real.report.costs import Efficiency
from sim2real.report.curves import Line, Reach, SeverityCurve
from sim2real.report.heldout import Profile
from sim2real.report.response import Response
from sim2real.stats import Estimate

PALETTE = 6
"""Number of policy colours the page defines; further policies share them and differ by line."""

# Stand-ins that become CSS variables once matplotlib has written them.
_INK, _FAINT, _GRID, _PAGE = "#010101", "#020202", "#030303", "#040404"
_POLICIES = [f"#0505{index:02x}" for index in range(PALETTE)]
_VARIABLES = dict(
    zip(
        (_INK, _FAINT, _GRID, _PAGE, *_POLICIES),
        ("--ink", "--faint", "--grid", "--page", *(f"--p{index}" for index in range(PALETTE))),
        strict=True,
    )
)
_STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",
    "svg.hashsalt": "sim2real",
    "font.size": 9.5,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": _FAINT,
    "axes.labelcolor": _INK,
    "axes.linewidth": 0.8,
    "xtick.color": _FAINT,
    "ytick.color": _FAINT,
    "xtick.labelcolor": _INK,
    "ytick.labelcolor": _INK,
    "grid.color": _GRID,
    "grid.linewidth": 0.8,
    "path.simplify": False,
    "text.parse_math": False,
}


def severity(
    curve: SeverityCurve,
    order: Sequence[str],
    *,
    rate: bool,
    limits: tuple[float, float],
    metric: str,
    alt: str,
) -> str:
    """Return a severity curve as an <svg> element.

    Args:
        curve: what to draw.
        order: all policies of the report, so that a policy looks the same in every figure.
        rate: whether the metric is shown in per cent.
        limits: ends of the metric's axis.
        metric: name of the metric.
        alt: the text that stands for the picture.
    """
    unit = f" ({curve.family.unit})" if curve.family.unit else ""
    with _style():
        figure, axes = _axes(metric, curve.family.axis + unit, limits, rate)
        axes.xaxis.set_major_locator(MaxNLocator(7, steps=[1, 2, 2.5, 5, 10]))
        if curve.family.nominal_x is not None and math.isfinite(curve.family.nominal_x):
            axes.axvline(curve.family.nominal_x, color=_FAINT, lw=0.8, ls=(0, (1, 2)), zorder=1)
            place = (curve.family.nominal_x, 1.02)
            axes.text(
                *place, "nominal", transform=axes.get_xaxis_transform(), ha="center", fontsize=8, color=_FAINT
            )
        span = np.ptp([x for line in curve.lines for x in line.x])
        for row, line in enumerate(curve.lines):
            shift = (row - (len(curve.lines) - 1) / 2) * 0.012 * span
            _draw_line(axes, line, order.index(line.policy), shift, row)
        for reference, marker in zip(curve.references, cycle("DPXv^"), strict=False):
            x, y = zip(*sorted(reference.points), strict=True)
            axes.plot(x, y, marker, mfc="none", mec=_INK, ms=6.5, mew=1.1, zorder=4)
        return _svg(figure, alt)


def profile(profiles: Sequence[Profile], order: Sequence[str], *, rate: bool, metric: str, alt: str) -> str:
    """Return the profiles of policies as an <svg> element; arguments as for `severity`."""
    with _style():
        limits = (-0.03, 1.03)
        figure, axes = _axes(
            "part of the held-out conditions", f"in which the mean {metric} is above", limits, True
        )
        if rate:
            axes.xaxis.set_major_formatter(PercentFormatter(1.0, decimals=0, symbol=" %"))
        for one in profiles:
            look = _look(order.index(one.policy)) | {"marker": ""}
            share, low, high = np.array([(e.value, e.low, e.high) for e in one.share]).T
            axes.fill_between(one.above, low, high, color=look["color"], alpha=0.15, lw=0)
            axes.plot(one.above, share, **look, zorder=3)
        return _svg(figure, alt)


def efficiency(
    efficiencies: Sequence[Efficiency],
    order: Sequence[str],
    *,
    rate: bool,
    limits: tuple[float, float],
    metric: str,
    alt: str,
) -> str:
    """Return what training steps bought as an <svg> element: every run, and every policy with its interval."""
    with _style():
        figure, axes = _axes(f"held-out {metric}", "environment steps of training", limits, rate)
        axes.set_xscale("log")
        axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.xaxis.set_major_formatter(EngFormatter(sep="\N{NO-BREAK SPACE}"))
        axes.xaxis.set_minor_locator(NullLocator())
        axes.margins(x=0.15)
        for one in efficiencies:
            look = _look(order.index(one.policy))
            middle = float(np.exp(np.mean(np.log(one.steps))))
            low, high = np.clip((one.estimate.low, one.estimate.high), *limits)
            axes.vlines(middle, low, high, color=look["color"], lw=1.4, alpha=0.55, zorder=2)
            axes.plot([middle], [one.estimate.value], **(look | {"ms": 7.0}), zorder=4)
            axes.plot(one.steps, one.values, look["marker"], mfc="none", mec=look["color"], ms=4.0, zorder=3)
        return _svg(figure, alt)


def response(one: Response, order: Sequence[str], *, metric: str, alt: str) -> str:
    """Return what was achieved against what was commanded as an <svg> element, the dead zone as a bar at zero."""
    ends = [end for answers in one.answers for e in answers.achieved for end in (e.low, e.high, e.value)]
    asked = [x for answers in one.answers for x in answers.commanded]
    known = [0.0, *filter(math.isfinite, ends), *asked]
    margin = 0.06 * (max(known) - min(known))
    limits = min(known) - margin, max(known) + margin
    with _style():
        figure, axes = _axes(metric, f"commanded ({one.unit})" if one.unit else "commanded", limits, False)
        axes.plot(
            [min(asked), max(asked)], [min(asked), max(asked)], color=_FAINT, lw=0.8, ls=(0, (1, 2)), zorder=1
        )
        for answers in one.answers:
            look = _look(order.index(answers.policy))
            low, high = (
                np.clip([getattr(e, end) for e in answers.achieved], *limits) for end in ("low", "high")
            )
            axes.vlines(answers.commanded, low, high, color=look["color"], lw=1.4, alpha=0.55, zorder=2)
            axes.plot(answers.commanded, [e.value for e in answers.achieved], **look, zorder=3)
            if answers.dead:
                axes.plot(
                    answers.dead, (0.0, 0.0), color=look["color"], lw=5, alpha=0.35, solid_capstyle="butt"
                )
        return _svg(figure, alt)


def _axes(title: str, axis: str, limits: tuple[float, float], rate: bool) -> tuple[Figure, Axes]:
    """Return a figure with axes for something against something, the title over the upright one."""
    figure = Figure(figsize=(4.6, 2.9), layout="constrained")
    axes = figure.add_subplot()
    axes.set_title(title, loc="left", fontsize=9.5, color=_FAINT, pad=15)
    axes.set_ylim(*limits)
    axes.yaxis.set_major_locator(MaxNLocator(5))
    if rate:
        axes.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0, symbol=" %"))
    axes.set_xlabel(axis)
    axes.grid(axis="y")
    axes.set_axisbelow(True)
    return figure, axes


def swatch(index: int) -> str:
    """Return the line and marker of a policy, for the key above the figures."""
    figure = Figure(figsize=(0.45, 0.2))
    with _style():
        axes = figure.add_axes((0, 0, 1, 1))
        axes.axis("off")
        axes.set(xlim=(0, 1), ylim=(0, 1))
        axes.plot([0.05, 0.5, 0.95], [0.5] * 3, **_look(index), markevery=[1])
        return _svg(figure, "")


def interval(estimate: Estimate, limits: tuple[float, float], mark: float | None) -> str:
    """Return an estimate as a dot on its interval, with a tick at ``mark``; "" where there is none.

    Where lost episodes leave no value, a bar shows between what it lies.
    """
    low, high = limits
    if math.isnan(estimate.low) or high <= low or not (estimate.n_episodes or estimate.lost):
        return ""

    def place(value: float) -> float:
        return round(4 + 112 * min(1.0, max(0.0, (value - low) / (high - low))), 1)

    tick = f'<path class="tick" d="M{place(mark)} 1V13"/>' if mark is not None else ""
    point = f'<circle cx="{place(estimate.value)}" cy="7" r="3.2"/>'
    if math.isnan(estimate.value):
        point = f'<path class="open" d="M{place(estimate.at_least)} 7H{place(estimate.at_most)}"/>'
    return (
        '<svg class="interval" viewBox="0 0 120 14" aria-hidden="true">'
        f'<path class="track" d="M4 7H116"/>{tick}<path d="M{place(estimate.low)} 7H{place(estimate.high)}"/>'
        f"{point}</svg>"
    )


def reach(below: Reach | None, above: Reach | None) -> str:
    """Return how much of the tested range holds as bars from nominal outward, "" where nothing was tested."""
    sides = [(side, sign) for side, sign in ((below, -1), (above, 1)) if side]
    if not sides:
        return ""
    middle = 4 if below is None else 116 if above is None else 60
    room = 112 / len(sides)
    bars = "".join(
        f'<path class="{name}" d="M{middle} 7h{sign * room * share:.1f}"/>'
        for side, sign in sides
        for name, share in (("tested", 1.0), ("held", side.share))
    )
    return (
        f'<svg class="reach" viewBox="0 0 120 14" aria-hidden="true">{bars}'
        f'<path class="tick" d="M{middle} 1V13"/></svg>'
    )


def bars(full: float, pale: float, ends: tuple[float, float] | None = None) -> str:
    """Return a full bar over a pale one, both from 0 to 1, and the interval of the pale one; "" if either is NaN."""

    def place(value: float) -> float:
        return round(4 + 112 * min(1.0, max(0.0, value)), 1)

    if not (math.isfinite(full) and math.isfinite(pale)):
        return ""
    between = f'<path class="tick" d="M{place(ends[0])} 7H{place(ends[1])}"/>' if ends else ""
    return (
        '<svg class="bars" viewBox="0 0 120 14" aria-hidden="true"><path class="track" d="M4 13H116"/>'
        f'<path class="total" d="M4 7H{place(pale)}"/><path d="M4 7H{place(full)}"/>{between}</svg>'
    )


def _draw_line(axes: Axes, line: Line, index: int, shift: float, row: int) -> None:
    """Draw a policy's estimates with their intervals, and below them the severities it met in training.

    Where lost episodes leave no value, a bar shows between what it lies, and a cross along the bottom that it is so.
    """
    x = np.array(line.x) + shift
    y, low, high = np.array([(e.value, e.low, e.high) for e in line.estimates]).T
    low, high = (np.clip(side, *axes.get_ylim()) for side in (low, high))
    look = _look(index)
    axes.vlines(x, low, high, color=look["color"], lw=1.4, alpha=0.55, zorder=2)
    axes.plot(x, y, **look, zorder=3)
    across = axes.get_xaxis_transform()
    for place, one in zip(x, line.estimates, strict=True):
        if one.lost and math.isnan(one.value):
            ends = np.clip((one.at_least, one.at_most), *axes.get_ylim())
            if math.isfinite(one.at_least):
                axes.vlines(place, *ends, color=look["color"], lw=5, alpha=0.45, zorder=2)
            axes.plot(place, 0.03, "x", mec=look["color"], ms=5, transform=across, zorder=3)
    met = [value for value, seen in zip(line.x, line.seen, strict=True) if seen]
    if len(met) > 1:
        height = 0.02 + 0.025 * row
        axes.plot([met[0], met[-1]], [height] * 2, color=look["color"], lw=3, alpha=0.45, transform=across)


def _look(index: int) -> dict[str, Any]:
    """Return colour, line and marker of the policy with this index."""
    return {
        "color": _POLICIES[index % PALETTE],
        "ls": ("-", "--", "-.", ":")[index % 4],
        "lw": 1.6,
        "marker": "osD^vP"[index % 6],
        "ms": 5.0,
        "mec": _PAGE,
        "mew": 0.7,
    }


@contextmanager
def _style() -> Iterator[None]:
    """Apply the report's style, whatever the user's own."""
    with mpl.rc_context():
        mpl.rcdefaults()
        mpl.rcParams.update(_STYLE)
        yield


def _svg(figure: Figure, alt: str) -> str:
    """Return a figure as an <svg> element to be put into a page that defines its colours."""
    text = io.StringIO()
    figure.savefig(text, format="svg", transparent=True, metadata={"Date": None})
    svg = text.getvalue()
    svg = svg[svg.index("<svg") :]
    # Its style sheet, fonts and group names would reach into the page around it.
    svg = re.sub(
        r"<metadata>.*?</metadata>|<style.*?</style>|<!--.*?-->|<defs>\s*</defs>", "", svg, flags=re.DOTALL
    )
    svg = re.sub(r'<g id="[^"]*"', "<g", svg)
    svg = re.sub(r"(font: [\d.]+px) [^;\"]*", r"\1 sans-serif", svg)
    svg = re.sub("|".join(_VARIABLES), lambda found: f"var({_VARIABLES[found[0]]})", svg)
    said = f'role="img" aria-label="{escape(alt, quote=True)}"' if alt else 'aria-hidden="true"'
    view = re.search(r'viewBox="[^"]*"', svg)
    head = f'<svg class="chart" {view[0] if view else ""} {said} xmlns:xlink="http://www.w3.org/1999/xlink">'
    return re.sub(r"\n\s*", "\n", re.sub(r"<svg.*?>", head, svg, count=1, flags=re.DOTALL)).strip()

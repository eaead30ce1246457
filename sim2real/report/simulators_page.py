"""The report's section on environments made otherwise: sentences, curves and table."""

import math
from collections.abc import Iterator, Sequence
from importlib import resources

from jinja2 import Environment
from markupsafe import Markup

from sim2real.report import draw, words
from sim2real.report.curves import SeverityCurve
from sim2real.report.simulators import Elsewhere
from sim2real.stats import Estimate

NAMED = 5
"""How many conditions a sentence names."""


def section(page: Environment, worlds: Sequence[Elsewhere], metric: str, rate: bool) -> Markup:
    """Return the section as HTML, nothing if nothing was made otherwise.

    Args:
        page: where templates are rendered.
        worlds: the numbers.
        metric: name of the study's metric.
        rate: whether it is shown in per cent.
    """
    template = resources.files("sim2real.report").joinpath("simulators.html").read_text(encoding="utf-8")

    def drawn(world: Elsewhere) -> Iterator[tuple[SeverityCurve, Markup]]:
        plain, limits = words.plain(metric), _limits(world, rate)
        for curve in world.curves:
            title = curve.family.title
            alt = f"{plain} against x in: {title}; here and with {world.name}. The numbers are in the table below."
            yield (
                curve,
                Markup(draw.severity(curve, _order(world), rate=rate, limits=limits, metric=plain, alt=alt)),
            )

    return Markup(
        page.from_string(template).render(
            worlds=worlds,
            words=words,
            metric=words.plain(metric),
            rate=rate,
            sentences=lambda world: sentences(world, words.plain(metric), rate),
            key=lambda world: [
                (label, Markup(draw.swatch(index))) for index, label in enumerate(_order(world))
            ],
            drawn=drawn,
        )
    )


def sentences(world: Elsewhere, metric: str, rate: bool) -> Iterator[str]:
    """Say how far the two agree, policy by policy."""
    for policy in dict.fromkeys(pair.policy for pair in world.pairs):
        changes = [pair for pair in world.pairs if pair.policy == policy]
        pairs = [pair for pair in changes if not math.isnan(pair.change.estimate.low)]
        apart = [pair.condition for pair in pairs if pair.shown]
        named = f": {', '.join(apart)}" if len(apart) <= NAMED else ", bold in the table"
        told = f", and differs by more than luck in {len(apart)}{named}" if apart else ""
        largest = max(pairs, key=lambda pair: _size(pair.change.estimate), default=None)
        if largest is None:
            yield f"{policy}: nothing was measured in both."
            continue
        size = words.change(largest.change, rate)
        yield (
            f"{policy}: of {len(pairs)} conditions its {metric} changes most in “{largest.condition}”, by {size}{told}."
        )
        if unknown := sum(pair.change.estimate.lost is not None for pair in changes if pair not in pairs):
            yield f"{policy}: in {unknown} more, too many episodes are lost to tell."
    for one in world.conditions:
        yield (
            f"{one.policy}: {one.things} conditions are put in order of {metric} alike to a rank correlation "
            f"(Kendall’s τ) of {words.whole(one.tau)}."
        )
    if world.policies:
        tau = words.whole(world.policies.tau)
        yield f"The {world.policies.things} policies are put in order alike, within conditions, to {tau}."
    for first in world.breaks:
        here, there = (f"“{title}”" if title else "nothing tested" for title in (first.here, first.there))
        both = f"What breaks {first.policy} first is {here}"
        yield f"{both} in both." if here == there else f"{both} here, and {there} with {world.name}."


def _size(change: Estimate) -> float:
    """Return how large a change is, at most."""
    return max(abs(change.at_least), abs(change.at_most))


def _order(world: Elsewhere) -> list[str]:
    """Return the names of all lines, so that each looks the same in every figure."""
    policies = dict.fromkeys(pair.policy for pair in world.pairs)
    return [line for policy in policies for line in (policy, world.there(policy))]


def _limits(world: Elsewhere, rate: bool) -> tuple[float, float]:
    """Return the ends of the metric's axis: zero and all that is shown."""
    if rate:
        return -0.03, 1.03
    estimates = [one for curve in world.curves for line in curve.lines for one in line.estimates]
    ends = [end for one in estimates for end in (one.low, one.high, one.value)]
    known = [0.0, *filter(math.isfinite, ends)]
    margin = 0.04 * (max(known) - min(known)) or 1.0
    return min(known) - margin, max(known) + margin

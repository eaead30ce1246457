"""The report's numbers as words."""

import math
import shlex
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from sim2real.perturb import Item
from sim2real.report.advice import Advice
from sim2real.report.costs import Challenges
from sim2real.report.curves import KEPT, Reach
from sim2real.report.figures import Figures
from sim2real.report.heldout import Comparison
from sim2real.report.severity import Family
from sim2real.report.table import Table
from sim2real.report.thresholds import Threshold
from sim2real.report.worst import Point, Search
from sim2real.safety import ActionLimits
from sim2real.stats import Difference, Estimate, Lost
from sim2real.study.seeds import episode_seed
from sim2real.study.study import Study

UNITS = {"m_s": "m/s", "rad_s": "rad/s", "nm": "N m", "kg": "kg", "rad": "rad", "m": "m", "s": "s", "n": "N"}
UNITS |= {"j": "J", "w": "W"}

UNKNOWN = "unknown"
"""What is said of a number that too many episodes are lost for, where nothing bounds it."""


def number(value: float, rate: bool = False) -> str:
    """Write a number with three digits, a rate in per cent.

    >>> number(-1234.5), number(0.01234), number(0.853, rate=True).replace("\N{NO-BREAK SPACE}", " ")
    ('−1,234', '0.0123', '85 %')
    """
    if math.isnan(value):
        return "–"
    if rate:
        return f"{_digits(100 * value, 0)}\N{NO-BREAK SPACE}%"
    return _digits(value)


def between(estimate: Estimate, rate: bool = False) -> str:
    """Write an estimate's interval.

    >>> between(Estimate(value=0.85, low=0.64, high=0.948, n_episodes=20), rate=True)
    '[64, 95]'
    """
    if math.isnan(estimate.low) or not (estimate.n_episodes or estimate.lost):
        return ""
    scale, places = (100, 0) if rate else (1, None)
    return f"[{_digits(scale * estimate.low, places)}, {_digits(scale * estimate.high, places)}]"


def point(estimate: Estimate, rate: bool = False) -> str:
    """Write an estimate without its interval: between what it lies where too many episodes are lost for a value.

    >>> some = Estimate(value=math.nan, low=0.2, high=0.9, lost=Lost(count=6, of=20, least=0.4, most=0.7))
    >>> point(some, rate=True).replace("\N{NO-BREAK SPACE}", " ")
    '40 to 70 %'
    """
    if estimate.lost and math.isnan(estimate.value):
        return UNKNOWN if math.isnan(estimate.lost.least) else _range(estimate.lost, rate)
    return number(estimate.value, rate)


def whole(estimate: Estimate, rate: bool = False) -> str:
    """Write an estimate with its interval, and what it says of lost episodes."""
    return f"{point(estimate, rate)} {between(estimate, rate)}".strip() + lost(estimate, rate)


def lost(estimate: Estimate, rate: bool = False) -> str:
    """Say how many episodes are lost, and between what the value lies whatever they would have been.

    >>> few = Estimate(value=1, low=0.7, high=1, n_episodes=39, lost=Lost(count=1, of=40, least=0.975, most=1))
    >>> lost(few, rate=True).replace("\N{NO-BREAK SPACE}", " ")
    '; 1 of 40 lost, so 98 to 100 %'
    """
    if not estimate.lost:
        return ""
    ends = "" if math.isnan(estimate.value) else _range(estimate.lost, rate)
    return f"; {estimate.lost}{f', so {ends}' if ' to ' in ends else ''}"


def _range(found: Lost, rate: bool) -> str:
    low, high = (number(end, rate) for end in (found.least, found.most))
    return low if low == high else f"{low.removesuffix(f'{chr(0xA0)}%')} to {high}"


def change(difference: Difference, rate: bool = False, unit: str = " points") -> str:
    """Write a difference with its interval, that of rates in percentage points."""
    estimate, scale = difference.estimate, 100 if rate else 1

    def signed(value: float) -> str:
        return f"{'+' if value > 0 else ''}{_digits(scale * value, 0 if rate else None)}"

    if math.isnan(estimate.low) or not (estimate.n_episodes or estimate.lost):
        return "–"
    value = signed(estimate.value)
    if estimate.lost and math.isnan(estimate.value):
        value = f"{signed(estimate.lost.least)} to {signed(estimate.lost.most)}"
    return f"{value}{unit if rate else ''} {between(estimate, rate)}{'' if difference.paired else ' (not paired)'}"


def probability(p: float) -> str:
    """Write a p value.

    >>> probability(0.0004), probability(0.0312)
    ('p < 0.001', 'p = 0.031')
    """
    if math.isnan(p):
        return ""
    return "p < 0.001" if p < 0.001 else f"p = {p:.2g}"


def bare_p(p: float) -> str:
    """Write a p value for a column of them."""
    return probability(p).removeprefix("p ").removeprefix("= ")


def steps(counts: Sequence[float]) -> str:
    """Write numbers of training steps.

    >>> steps([2e6]), steps([1.5e6, 2e6])
    ('2 million', '1.5 million to 2 million')
    """
    ends = dict.fromkeys((min(counts), max(counts)))
    return " to ".join(f"{n / 1e6:.3g} million" if n >= 1e6 else f"{n:,.0f}" for n in ends)


def endings(counted: Iterable[tuple[str, int]]) -> str:
    """Write how often episodes ended early and why, most frequent first.

    >>> endings([("fell", 14), ("", 4), ("left the ground plane", 2)])
    '14 fell, 2 left the ground plane'
    """
    return ", ".join(f"{count} {ending}" for ending, count in counted if ending) or "–"


def severity(family: Family, x: float) -> str:
    """Write a severity with its unit."""
    return f"{x:g}{' ' if family.unit else ''}{family.unit}".replace("-", "−")


def reach(family: Family, side: Reach, *, below: bool) -> str:
    """Say how far one side of a curve holds."""
    way, end = ("down to", "lowest") if below else ("up to", "highest")
    broken = "" if side.broken is None else severity(family, side.broken)
    if side.held is None:
        return f"broken at {broken} already"
    if side.broken is None:
        return f"{way} {severity(family, side.held)}, the {end} tested"
    return f"{way} {severity(family, side.held)}, broken at {broken}"


def plain(metric: str) -> str:
    """Write a metric's name with spaces, its unit in brackets.

    >>> plain("tracking_error_m_s"), plain("success")
    ('tracking error (m/s)', 'success')
    """
    for suffix, unit in UNITS.items():
        if metric.endswith(f"_{suffix}"):
            return f"{metric.removesuffix(f'_{suffix}').replace('_', ' ')} ({unit})"
    return metric.replace("_", " ")


def describe(condition: Iterable[Item]) -> str:
    """Return a condition as a sentence."""
    return "; ".join(item.label for item in condition) or "nothing perturbed"


def answer(figures: Figures, policy: str, metric: str, rate: bool) -> list[str]:
    """Say what breaks a policy first, which condition is worst, and what it keeps on the whole."""
    metric = plain(metric)
    nominal = next(one.nominal for one in figures.competence if one.policy == policy)
    share = f"{_margin(nominal.at_most)} {metric}"
    sentences = [f"In the nominal world its {metric} is {whole(nominal, rate)}."]
    if first := figures.first_to_break(policy):
        curve, line, side, broken = first
        there = whole(line.estimates[line.x.index(broken)], rate)
        at = severity(curve.family, broken)
        held = f"at {at}, the mildest tested on that side, its {metric} is {there} already."
        if side.held is not None:
            held = f"{share} is kept as far as {severity(curve.family, side.held)}; at {at} it is {there}."
        sentences.append(f"What breaks it first is “{curve.family.title}”: {held}")
        todo = next(one for one in figures.advice if one.policy == policy)  # of the same side
        sentences.append(f"To get further, {advise(todo)}.")
    elif any(line.policy == policy for curve in figures.curves for line in curve.lines):
        sentences.append(
            f"None of its severity curves falls below {share}; what has one severity alone has no curve."
        )
    if worst := figures.worst(policy):
        luck = probability(worst.adjusted_p)
        ends = worst.estimate.at_least, worst.estimate.at_most
        ties = math.isfinite(ends[0]) and sum(
            row.policy == policy and (row.estimate.at_least, row.estimate.at_most) == ends
            for row in figures.held_out
        )
        others = f" (level with {ties - 1} other{'s' if ties > 2 else ''})" if ties > 1 else ""
        against = f", {change(worst.to_nominal, rate)} from nominal" + f" ({luck} after Holm)" * bool(luck)
        if math.isnan(worst.to_nominal.estimate.low):
            against = ""
        sentences.append(
            f"The worst condition is “{worst.condition}”{others}: {metric} {whole(worst.estimate, rate)}{against}."
        )
    for mine in figures.challenges:
        if mine.policy == policy and mine.kept and (mine.kept.n_episodes or mine.kept.lost):
            where = _where(mine)
            kept = f"keeps {point(mine.kept, True)} {between(mine.kept, True)} of its nominal {metric}"
            if math.isnan(mine.kept.low):
                kept = f"keeps an {UNKNOWN} part of its nominal {metric}"
            sentences.append(f"Over {where} it {kept}{lost(mine.kept, True)}.")
        elif mine.policy == policy and mine.change:
            sentences.append(
                f"Over {_where(mine)} its {metric} changes by {change(mine.change, rate)}; "
                f"a {metric} that falls below 0 has no share that could be kept."
            )
    return sentences


def _where(mine: Challenges) -> str:
    what = "held-out" if mine.declared else "perturbed"
    return f"all {mine.conditions} {what} conditions" if mine.conditions > 1 else f"the one {what} condition"


def margin(figures: Figures) -> str:
    """Say what counts as holding, for all policies."""
    levels = [one.nominal.at_most for one in figures.competence if one.passed]
    if all(level > 0 for level in levels):
        return f"{100 * KEPT:.0f} % of nominal"
    return f"nominal less {100 * (1 - KEPT):.0f} % of its size"


def _margin(nominal: float) -> str:
    """Say what counts as holding of a policy, before the name of the metric: of a negative one there are no shares."""
    if nominal > 0:
        return f"{100 * KEPT:.0f} % of its nominal"
    return f"all but {100 * (1 - KEPT):.0f} % of the size of its nominal"


def advise(one: Advice) -> str:
    """Say what one side of a curve asks of the next training."""
    way, goal = "down to" if one.below else "up to", severity(one.family, one.broken)
    if one.do == "add":
        return f"add it to training, {way} {goal}"
    if one.do == "widen":
        return f"widen it in training, from {met(one)} {way} {goal}"
    if one.do == "learn":
        return f"train on it longer or with more weight: {goal} was met, and breaks it"
    return f"train {way} {goal}, unless that was met: the policy’s file does not tell"


def met(one: Advice) -> str:
    """Say how far training went on one side of a curve."""
    if one.do == "declare":
        return "not declared"
    return "none" if one.met is None else severity(one.family, float(f"{one.met:.4g}"))


def crossing(one: Advice) -> str:
    """Say at which severity a curve leaves the margin, with its interval."""
    if one.crossing is None or not (one.crossing.n_episodes or one.crossing.lost):
        return "–"
    told = point(one.crossing)
    unit = f" {one.family.unit}" if one.family.unit and told != UNKNOWN else ""
    return f"{told}{unit} {between(one.crossing)}".strip() + lost(one.crossing)


def comparison(figures: Figures, one: Comparison, metric: str, rate: bool) -> str:
    """Say whether one policy is more robust than another, and at what price."""
    trained = "was trained on" if one.declared else "is known to have been trained on"
    price = f"{change(one.nominal, rate)} in the nominal world ({probability(one.nominal.p_value)})"
    told = {mine.policy: mine.steps for mine in figures.challenges if mine.steps}
    if one.first in told and one.second in told:
        price += f", and {steps(told[one.second])} training steps against {steps(told[one.first])}"
    gain = one.held_out
    few = ""
    if 0 < gain.episodes < gain.needed:
        few = f", judged by the interval: an exact test takes {gain.needed} episodes, not {gain.episodes}"
    luck = f" ({probability(gain.p_value)}{few})" if probability(gain.p_value) else ""
    return (
        f"{verdict(one)} under what neither {trained}: {plain(metric)} {change(gain, rate)} over "
        f"{one.conditions} conditions{' on the same episodes' if gain.paired else ''}{luck}.{_sides(one)} "
        f"The price: {price}."
    )


def _sides(one: Comparison) -> str:
    """Say what either side of a comparison lost, "" if nothing."""
    found = one.held_out.estimate.lost
    if not found:
        return ""
    holds = "the difference holds whatever they would have been"
    if math.isnan(found.least):
        holds = "nothing bounds what they would have been"
        if not math.isnan(one.held_out.estimate.value):
            holds = "it is that of the episodes that both have, since " + holds
    return f" Lost are {lost_by(one.held_out, one.second, one.first)}, of {found.of:,} episodes: {holds}."


def lost_by(difference: Difference, first: str, second: str) -> str:
    """Say how many episodes either side of a difference lost, "" if none."""
    sides = zip((first, second), difference.lost, strict=True)
    told = [f"{count:,} of {side}" for side, count in sides if count]
    return " and ".join(told) + " alone" * (len(told) == 1)


def verdict(one: Comparison) -> str:
    """Say whether a policy is more robust than another, and so where test and interval do not agree."""
    gain = one.held_out
    more = f"{one.second} is {'more' if gain.estimate.at_most > 0 else 'less'} robust than {one.first}"
    if gain.estimate.lost and math.isnan(gain.estimate.low):
        return f"Whether {one.second} is more robust than {one.first} cannot be told, since too many episodes are lost,"
    if gain.shown():
        return more
    if gain.apart or gain.significant():
        ways = ("the interval leaves 0 out", "the test finds none")
        if not gain.apart:
            ways = ("the interval holds 0", "the test finds a difference")
        return f"Whether {more} is open, since {ways[0]} and {ways[1]},"
    return f"No difference shows between {one.second} and {one.first}"


def searched(one: Search, rate: bool = False) -> list[str]:
    """Say where a search made a policy fail, and how little that takes."""
    metric, worst, smallest = plain(one.metric), one.point("worst"), one.point("smallest")
    many = "perturbations" if len(one.axes) > 1 else "perturbation"
    sentences = [
        f"{one.policy} fails ({metric} below {number(one.fails_below, rate)}) at {one.failing or 'none'} of "
        f"{one.tried} points in a region of {len(one.axes)} {many}."
    ]
    if one.lost:
        further = f"{one.lost} further point{'s' if one.lost > 1 else ''}"
        sentences.append(f"Nothing is said of {further}, where too many episodes gave no number.")
    if smallest:
        sentences.append(f"It takes no more than {amounts(one, smallest)}{_anew(smallest, rate)}.")
    if worst:
        sentences.append(f"The worst found is {amounts(one, worst)}{_anew(worst, rate)}.")
    if smallest:
        sentences.append(
            "The smallest stands at the edge of failing by design, so on fresh episodes it may lie on either side."
        )
    return sentences


def _anew(point: Point, rate: bool) -> str:
    """Say what a point is like on episodes that the search did not see, and so did not choose it for."""
    return (
        f" ({whole(point.fresh, rate)} on fresh episodes)" if point.fresh and point.fresh.n_episodes else ""
    )


def amounts(one: Search, point: Point) -> str:
    """Write how much of what a point of a region holds."""
    told = (f"{name} {amount(one, name, value)}" for name, value in point.amounts.items())
    return ", ".join(told) or "nothing perturbed"


def amount(one: Search, axis: str, value: float) -> str:
    """Write an amount of an axis with its unit."""
    unit = one.units[axis]
    return f"strength {number(value)}" if unit == "strength" else f"{number(value)} {unit}".rstrip()


def failing(figures: Figures) -> str:
    """Say how most episodes fail, and which perturbation goes with it."""
    first, *others = figures.modes
    went = f", most often under “{first.conditions[0][0]}”" if first.conditions else ""
    rest = f"; {len(others)} other way{'s' if len(others) > 1 else ''} of failing" if others else ""
    total = round(first.episodes / first.share)
    return f"Of {total:,} failed episodes {number(first.share, True)} are alike: {first.name}{went}{rest}."


def standing(figures: Figures) -> str:
    """Say which perturbation is stood least."""
    least = figures.thresholds[0]
    level = number(figures.level, True)
    if math.isinf(least.estimate.at_least):
        return f"Success stays above {level} up to the whole of every condition."
    return (
        f"“{least.condition}” is stood least: the success of {whose(least)} falls to {level} at "
        f"{strength(least.estimate)} of its strength."
    )


def whose(one: Threshold) -> str:
    """Name the policy of a threshold, and which of its training runs it is where there are several."""
    return f"{one.policy}, run {one.run + 1}" if one.runs > 1 else one.policy


def strength(estimate: Estimate) -> str:
    """Write a threshold with its interval, as a part of a condition's strength.

    >>> strength(Estimate(value=float("inf"), low=0.8, high=float("inf"), n_episodes=40))
    'more than 1 [0.8, more than 1]'
    """

    def told(x: float) -> str:
        return "more than 1" if math.isinf(x) else number(x)

    value = told(estimate.value)
    if estimate.lost and math.isnan(estimate.value):
        value = " to ".join(dict.fromkeys((told(estimate.at_least), told(estimate.at_most))))
    ends = f"[{told(estimate.low)}, {told(estimate.high)}]"
    return f"{value} {ends}{f'; {estimate.lost}' if estimate.lost else ''}"


def apart(figures: Figures, policy: str) -> list[str]:
    """Return the conditions that break a policy and are on none of its curves."""
    drawn = {
        label
        for curve in figures.curves
        for line in curve.lines
        if line.policy == policy
        for label in line.conditions
    }
    return [
        one.condition
        for one in figures.squares
        if one.policy == policy and not one.holds and one.condition not in drawn
    ]


def outside(table: Table) -> list[str]:
    """Say of each policy how often, and by how much at most, its actions lie outside the action space."""
    told = []
    for policy, runs in table.study.policies.items():
        share, most, length = (
            np.stack([table.values(policy, label, name) for label in table.study.conditions])
            for name in ("outside_share", "outside_by", "length")
        )
        if not np.nansum(share):
            continue
        steps = np.nansum(share * length) / np.nansum(np.where(np.isnan(share), np.nan, length))
        clipped = all(any(isinstance(one, ActionLimits) for one in run.shields) for run in runs)
        then = (
            "They were clipped." if clipped else "The environment got them as they are; clipped() clips them."
        )
        shown, by = number(max(float(steps), 0.01), True), number(float(np.nanmax(most)))
        few = "less than " if steps < 0.01 else ""
        told.append(
            f"{policy} acts outside the action space in {few}{shown} of its steps, by {by} at most. {then}"
        )
    return told


def setting(study: Study, meta: Mapping[str, Any]) -> str:
    """Say where, with what and from which seeds a study was run."""
    made = {**meta.get("defaults", {}), **study.env_kwargs}
    told = ", ".join(f"{name}={value!r}" for name, value in made.items())
    parts = [f"All episodes were played in {study.env}{f', made with {told}' if told else ''}."]
    facts = meta.get("versions") or {}
    if libraries := ", ".join(f"{name} {version}" for name, version in facts.items() if name != "platform"):
        where = f" on {facts['platform']}" if "platform" in facts else ""
        parts.append(f"They ran with {libraries}{where}.")
    seeds = [str(episode_seed(study.seed, episode)) for episode in range(min(study.episodes, 3))]
    more = ", …" if study.episodes > len(seeds) else ""
    plural = "s" if study.episodes > 1 else ""
    parts.append(
        f"Environment and policy were reset with the seed{plural} {', '.join(seeds)}{more} of study seed {study.seed}."
    )
    return " ".join(parts)


def too_few(figures: Figures) -> int:
    """Return how many episodes an exact test of each held-out condition takes, 0 if all have as many."""
    tests = [row.to_nominal for row in figures.held_out if row.to_nominal.estimate.n_episodes]
    return max((one.needed for one in tests if one.episodes < one.needed), default=0)


def commands(table: Table) -> list[tuple[str, str]]:
    """Return (what it does, command) to make all this again."""
    source, folder, trust = table.meta.get("source") or {}, table.folder, table.trust
    file = source.get("file", "STUDY.py")
    if source.get("attribute", "study") != "study":
        file += f":{source['attribute']}"
    again = shlex.join(["sim2real", "run", file, *source.get("overrides", ())]) + trust
    return [
        ("Run the study; what is recorded already is not run again", again),
        ("Write this report again", f"sim2real report {folder}{trust}"),
        (
            "Play one recorded episode again" + ", bit for bit" * (not table.findings),
            f"sim2real replay {folder} KEY{trust}",
        ),
    ]


def _digits(value: float, places: int | None = None) -> str:
    """Write a number with a true minus sign: with so many places, or three significant digits."""
    if math.isinf(value):
        return "∞" if value > 0 else "−∞"
    style = f".{places}f" if places is not None else ",.0f" if abs(value) >= 100 else ".3g"
    text = f"{value:{style}}"
    return "0" if float(text.replace(",", "")) == 0 else text.replace("-", "−")

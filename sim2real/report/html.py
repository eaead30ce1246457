"""From numbers to one HTML file that needs nothing but a browser."""

import base64
import math
import os
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from importlib import resources
from pathlib import Path

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup

from sim2real.report import draw, words
from sim2real.report.clips import BUDGET_BYTES, Replay, film
from sim2real.report.curves import KEPT, SeverityCurve, grouped
from sim2real.report.figures import Figures, figures
from sim2real.report.gates import Gate
from sim2real.report.heldout import Square
from sim2real.report.response import ANSWERED, Response
from sim2real.report.simulators import Elsewhere, elsewhere
from sim2real.report.simulators_page import section
from sim2real.report.table import Table
from sim2real.report.worst import Search
from sim2real.stats import LOST_SHARE
from sim2real.study.rehearsal import UNPAIRED
from sim2real.study.replay import replay as play
from sim2real.study.store import Store
from sim2real.study.study import NOMINAL, Study

ROWS = 1000
"""Held-out conditions that are tabled with their tests: more would not fit a page that is sent around."""


def write(
    study: Study, store: Store, path: str | Path, *, clips: bool = True, replay: Replay | None = None
) -> Path:
    """Write the report of a study and return its path; the same records give the same bytes.

    Args:
        study: What was asked.
        store: What was recorded; the study need not be complete.
        path: The file to write.
        clips: Play a few failures again and show them.
        replay: How, if not by `sim2real.study.replay` (which opens no policy file that needs trust): a
        function
            trial -> (row, images).

    Raises:
        Sim2RealError: If the study's metric is in no record.
    """
    table = Table(study, store)
    numbers = figures(table)
    worlds = elsewhere(table, store, numbers.competent)
    text = render(table, numbers, (replay or partial(play, render=True)) if clips else None, worlds)
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    scratch = path.with_suffix(".tmp")
    scratch.write_text(text, encoding="utf-8")
    os.replace(scratch, path)
    return path


def render(
    table: Table, numbers: Figures, replay: Replay | None = None, worlds: Sequence[Elsewhere] = ()
) -> str:
    """Return the report as HTML."""
    study = table.study
    rate = study.metric in table.rates
    shown, silent = film(numbers.samples, replay) if replay else ((), ())
    limits = _limits(table, numbers, study.metric)
    page = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    for name in ("number", "whole", "between", "change"):  # the page speaks of one metric nearly everywhere
        page.filters[name] = partial(getattr(words, name), rate=rate)
    template = resources.files("sim2real.report").joinpath("template.html").read_text(encoding="utf-8")
    return page.from_string(template).render(
        study=study,
        meta=table.meta,
        table=table,
        numbers=numbers,
        words=words,
        nominal=NOMINAL,
        unpaired=UNPAIRED,
        rehearsed=bool(table.meta.get("rehearsal")),
        rate=rate,
        metric=words.plain(study.metric),
        swatches={policy: Markup(draw.swatch(index)) for index, policy in enumerate(study.policies)},
        interval=lambda estimate, mark=None, ends=limits: Markup(draw.interval(estimate, ends, mark)),
        reach=lambda below, above: Markup(draw.reach(below, above)),
        bars=lambda *places: Markup(draw.bars(*places)),
        search_limits=_search_limits(numbers.search),
        search_clip=_clip(table.path, numbers.search) if replay else "",
        kept=KEPT,
        lost_share=LOST_SHARE,
        answered=ANSWERED,
        fragile=sorted(numbers.curves, key=_share),
        efficiency=_efficiency(numbers, table),
        maps=list(_maps(numbers, table)),
        lowest=sorted(numbers.held_out, key=lambda row: row.estimate.at_least)[:ROWS],
        profile=_profile(numbers, table),
        responses=[(one, _response(one, table)) for one in numbers.responses],
        curves=[
            (curve, _drawn(curve, table, _limits(table, numbers, curve.metric)))
            for curve in (*numbers.curves, *numbers.other_curves)
        ],
        gates=_grouped(numbers.gates),
        answers={policy: words.answer(numbers, policy, study.metric, rate) for policy in numbers.competent},
        comparisons=[words.comparison(numbers, one, study.metric, rate) for one in numbers.comparisons],
        worlds=worlds,
        simulators=section(page, worlds, study.metric, rate),
        setting=words.setting(study, table.meta),
        clips=shown,
        silent=silent,
        runs=sorted({len(files) for files in study.policies.values()}),
        commands=words.commands(table),
        conditions={label: words.describe(condition) for label, condition in study.conditions.items()},
    )


def _drawn(curve: SeverityCurve, table: Table, limits: tuple[float, float]) -> Markup:
    policies = " and ".join(line.policy for line in curve.lines)
    metric = words.plain(curve.metric)
    svg = draw.severity(
        curve,
        tuple(table.study.policies),
        rate=curve.metric in table.rates,
        limits=limits,
        metric=metric,
        alt=f"{metric} of {policies} against x in: {curve.family.title}. The numbers are in the table below.",
    )
    return Markup(svg)


def _share(curve: SeverityCurve) -> float:
    """Return the smallest share of its tested range that a policy holds of a curve."""
    sides = (side for line in curve.lines for side in (line.below, line.above) if side)
    return min((side.share for side in sides), default=math.inf)


def _maps(numbers: Figures, table: Table) -> Iterator[tuple[str, list[tuple[str, dict[str, Square]]]]]:
    """Yield (title, rows) of the heat map: a part for every family, by severity, and one for all else."""
    found: dict[str, dict[str, Square]] = {}
    for one in numbers.squares:
        found.setdefault(one.condition, {})[one.policy] = one
    for family in grouped(table):
        rows = [(words.severity(family, x), found.pop(label)) for x, label in family.points if label in found]
        if rows:
            yield family.title, rows
    if found:
        yield "other conditions", list(found.items())


def _profile(numbers: Figures, table: Table) -> Markup:
    """Return the drawn profiles, nothing where there are none."""
    if not numbers.profiles:
        return Markup()
    metric, order = words.plain(table.study.metric), tuple(table.study.policies)
    alt = f"Share of the held-out conditions whose mean {metric} is above a value. The numbers are in the table below."
    rate = table.study.metric in table.rates
    return Markup(draw.profile(numbers.profiles, order, rate=rate, metric=metric, alt=alt))


def _efficiency(numbers: Figures, table: Table) -> Markup:
    """Return what training steps bought as it is drawn, nothing where that cannot be told."""
    if not numbers.efficiencies:
        return Markup()
    metric = words.plain(table.study.metric)
    svg = draw.efficiency(
        numbers.efficiencies,
        tuple(table.study.policies),
        rate=table.study.metric in table.rates,
        limits=_limits(table, numbers, table.study.metric),
        metric=metric,
        alt=f"Mean held-out {metric} against the environment steps of training. The numbers are in the table below.",
    )
    return Markup(svg)


def _response(one: Response, table: Table) -> Markup:
    metric = words.plain(one.metric)
    alt = f"{metric} achieved against {one.command} commanded. The numbers are in the table below."
    return Markup(draw.response(one, tuple(table.study.policies), metric=f"{metric}, achieved", alt=alt))


def _search_limits(search: Search | None) -> tuple[float, float]:
    """Return the ends of the axis on which the points of a search are drawn: zero, the limit, and all of them."""
    points = search.points if search else ()
    known = [0.0, search.fails_below if search else 1.0]
    known += [end for point in points if point.fresh for end in (point.fresh.low, point.fresh.high)]
    known = [*filter(math.isfinite, known)]
    return min(known), max(known)


def _clip(folder: Path, search: Search | None) -> str:
    """Return the clip of a search as a data URI, "" where there is none or it is too large for a page."""
    path = folder / search.clip if search and search.clip else None
    if path is None or not path.is_file() or path.stat().st_size > BUDGET_BYTES / 4:
        return ""
    return f"data:image/gif;base64,{base64.b64encode(path.read_bytes()).decode()}"


def _limits(table: Table, numbers: Figures, metric: str) -> tuple[float, float]:
    """Return the ends of a metric's axis, the same in all figures: zero and all that is shown of it."""
    if metric in table.rates:
        return -0.03, 1.03
    curves = [curve for curve in (*numbers.curves, *numbers.other_curves) if curve.metric == metric]
    estimates = [estimate for curve in curves for line in curve.lines for estimate in line.estimates]
    if metric == table.study.metric:
        estimates += [row.estimate for row in numbers.held_out] + [one.nominal for one in numbers.competence]
    ends = [end for one in estimates for end in (one.low, one.high, one.value)]
    ends += [y for curve in curves for reference in curve.references for _, y in reference.points]
    known = [0.0, *filter(math.isfinite, ends)]
    margin = 0.04 * (max(known) - min(known)) or 1.0
    return min(known) - margin, max(known) + margin


def _grouped(gates: Iterable[Gate]) -> list[tuple[str, str, list[str]]]:
    """Return (policy, reason, conditions) with the conditions of one policy and reason together."""
    groups: dict[tuple[str, str], list[str]] = {}
    for gate in gates:
        groups.setdefault((gate.policy, gate.reason), []).append(gate.condition)
    return [
        (policy, reason, [label for label in labels if label]) for (policy, reason), labels in groups.items()
    ]

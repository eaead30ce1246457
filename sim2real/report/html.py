"""From numbers to one HTML file that needs nothing but a browser."""

import math
import os
from collections.abc import Iterable
from functools import partial
from importlib import resources
from pathlib import Path

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup

from sim2real.report import draw, words
from sim2real.report.clips import Replay, film
from sim2real.report.curves import SeverityCurve
from sim2real.report.figures import Figures, Gate, figures
from sim2real.report.table import Table
from sim2real.study.replay import replay as play
from sim2real.study.store import Store
from sim2real.study.study import NOMINAL, Study


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
    text = render(table, figures(table), (replay or partial(play, render=True)) if clips else None)
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    scratch = path.with_suffix(".tmp")
    scratch.write_text(text, encoding="utf-8")
    os.replace(scratch, path)
    return path


def render(table: Table, numbers: Figures, replay: Replay | None = None) -> str:
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
        rate=rate,
        metric=words.plain(study.metric),
        swatches={policy: Markup(draw.swatch(index)) for index, policy in enumerate(study.policies)},
        interval=lambda estimate, mark=None: Markup(draw.interval(estimate, limits, mark)),
        curves=[
            (curve, _drawn(curve, table, _limits(table, numbers, curve.metric)))
            for curve in (*numbers.curves, *numbers.other_curves)
        ],
        gates=_grouped(numbers.gates),
        answers={policy: words.answer(numbers, policy, study.metric, rate) for policy in numbers.competent},
        comparisons=[words.comparison(one, study.metric, rate) for one in numbers.comparisons],
        clips=shown,
        silent=silent,
        runs=sorted({len(files) for files in study.policies.values()}),
        commands=words.commands(table.meta, table.folder, table.trust),
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

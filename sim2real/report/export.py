"""A study's numbers for other programs: every trial and every estimate as tables, and tables for papers."""

import csv
import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from sim2real.errors import Sim2RealError
from sim2real.report import words
from sim2real.report.figures import Figures, figures
from sim2real.report.table import Table
from sim2real.stats import Estimate
from sim2real.study.store import Store
from sim2real.study.study import NOMINAL, Study

Line = Mapping[str, Any]

FORMATS = ("csv", "parquet", "latex", "markdown")
_ESCAPED = {sign: f"\\{sign}" for sign in "&%$#_{}"}
_ESCAPED |= {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"}


def export(study: Study, store: Store, kind: str, folder: str | Path | None = None) -> tuple[Path, ...]:
    """Write a study's numbers into a folder, its own by default, and return the files.

    "csv" and "parquet": `trials`, one row per trial with every metric as it was recorded, and `estimates`, one row per
    policy, condition and metric; floats are written so that reading gives the same bits. "latex" (booktabs) and
    "markdown": `estimates`, the study's metric with its interval, conditions × policies.

    Raises:
        Sim2RealError: If there is no such format, a file cannot be written, or "parquet" lacks its library.
    """
    if kind not in FORMATS:
        raise Sim2RealError(f"There is no format '{kind}': write one of {', '.join(FORMATS)}.")
    folder = Path(folder or store.folder)
    table = Table(study, store)
    numbers = figures(table, math.inf)
    try:
        if kind in ("csv", "parquet"):
            write = _csv if kind == "csv" else _parquet
            tables = {"trials": list(trials(table, store)), "estimates": list(estimates(table, numbers))}
            return tuple(write(folder / f"{name}.{kind}", lines) for name, lines in tables.items())
        text, path = (
            (latex(table, numbers), folder / "estimates.tex")
            if kind == "latex"
            else (markdown(table, numbers), folder / "estimates.md")
        )
        path.write_text(text, encoding="utf-8")
        return (path,)
    except OSError as error:
        raise Sim2RealError(f"'{folder}' cannot hold the tables: {error.strerror or error}.") from error


def trials(table: Table, store: Store) -> Iterator[Line]:
    """Yield every recorded trial: its place in the study, its row, and a column for each metric of the environment."""
    rows = {row["key"]: row for row in store.rows()}
    outcomes = next(iter(rows.values()), {}).keys() - {"metrics", "condition"}
    own = [name for name in table.metrics if name not in outcomes]
    for policy, run, condition, episode, trial in table.study.cells():
        if row := rows.get(trial.key):
            place = {"policy": policy, "run": run, "condition": condition, "episode": episode}
            metrics = json.loads(row["metrics"] or "{}")
            told = {name: row[name] for name in row if name in outcomes}
            yield place | told | {name: metrics.get(name) for name in own}


def estimates(table: Table, numbers: Figures) -> Iterator[Line]:
    """Yield every estimate of the appendix, with how the condition relates to the policy's training.

    "lost" episodes gave no number; whatever they would have been, the value lies between "least" and "most".
    """
    kinds = {(one.policy, one.condition): one.kind for one in numbers.squares}
    kinds |= {(policy, NOMINAL): "nominal" for policy in table.study.policies}
    for cell in numbers.cells:
        for metric, one in cell.estimates:
            yield {
                "policy": cell.policy,
                "condition": cell.condition,
                "kind": kinds.get((cell.policy, cell.condition)),
                "metric": metric,
                "value": one.value,
                "low": one.low,
                "high": one.high,
                "level": one.level,
                "runs": one.n_runs,
                "episodes": one.n_episodes,
                "lost": one.lost.count if one.lost else 0,
                "least": one.lost.least if one.lost else one.value,
                "most": one.lost.most if one.lost else one.value,
            }


def markdown(table: Table, numbers: Figures) -> str:
    """Return the study's metric with its intervals as a Markdown table, conditions × policies."""
    head, *rows = ([text.replace("|", "\\|") for text in line] for line in _grid(table, numbers))
    lines = [head, ["---", *("---:" for _ in head[1:])], *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def latex(table: Table, numbers: Figures) -> str:
    """Return the same as a LaTeX tabular that needs the package booktabs."""
    head, *rows = (
        [
            "".join(_ESCAPED.get(sign, sign) for sign in text).replace("−", "$-$").replace("∞", r"$\infty$")
            for text in line
        ]
        for line in _grid(table, numbers)
    )
    body = [" & ".join(line) + r" \\" for line in rows]
    return "\n".join(
        [
            rf"\begin{{tabular}}{{l{'r' * (len(head) - 1)}}}",
            r"\toprule",
            " & ".join(head) + r" \\",
            r"\midrule",
            *body,
            r"\bottomrule",
            r"\end{tabular}",
            "",
        ]
    )


def _grid(table: Table, numbers: Figures) -> Iterator[Sequence[str]]:
    """Yield the head, and for every condition its label and what every policy does under it."""
    metric, rate = table.study.metric, table.study.metric in table.rates
    known: dict[tuple[str, str], Estimate] = {
        (cell.policy, cell.condition): dict(cell.estimates)[metric]
        for cell in numbers.cells
        if metric in dict(cell.estimates)
    }
    yield f"{words.plain(metric)} [95 % interval]", *table.study.policies
    for label in table.study.conditions:
        found = (known.get((policy, label)) for policy in table.study.policies)
        yield label, *(words.whole(one, rate) if one else "–" for one in found)


def _csv(path: Path, lines: Iterable[Line]) -> Path:
    rows = list(lines)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]) if rows else [])
        writer.writeheader()
        writer.writerows(rows)  # a float is written as its repr, which reads back to the same bits
    return path


def _parquet(path: Path, lines: Iterable[Line]) -> Path:
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError as error:
        raise Sim2RealError("Parquet is written by pyarrow: pip install pyarrow.") from error
    parquet.write_table(pyarrow.Table.from_pylist(list(lines)), path)
    return path

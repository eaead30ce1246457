"""Take a chart out of a report, as a picture for these pages.

python docs/figure.py runs/grasping/report.html "set object.size to x" docs/studies/grasping-size.svg

A number at the end takes another of the charts with that title, counted from 0.
"""

import re
import sys
from pathlib import Path

KEY_WIDTH, ROW = 30.0, 20.0


def chart(report: str, title: str, which: int = 0) -> str:
    """Return a chart as an SVG file: its title, the key of its lines, and itself, in the report's light colours."""
    found = [*re.finditer(rf"<figure[^>]*>\s*<h3>{re.escape(title)}</h3>\s*(<svg.*?</svg>)", report, re.S)][
        which
    ]
    figure = found[1]
    width, height = map(float, re.findall(r'viewBox="0 0 ([\d.]+) ([\d.]+)"', figure)[0])
    section = report[: found.start()].rpartition('<p class="key">')[2].partition("</p>")[0]
    keys = re.findall(r'<span class="policy">(<svg.*?</svg>)(.*?)</span>', section, re.S)
    parts = [f'<text x="8" y="16" class="title">{title}</text>']
    for row, (mark, label) in enumerate(keys):
        y = 24.0 + ROW * row
        parts.append(_placed(mark, 8.0, y, KEY_WIDTH, 14.0))
        parts.append(f'<text x="{16 + KEY_WIDTH}" y="{y + 11}">{label}</text>')
    above = 30.0 + ROW * len(keys)
    parts.append(_placed(figure, 0.0, above, width, height))
    colours = re.findall(r":root \{(.*?)\}", report, re.S)[0]
    style = f"svg {{{colours}}} text {{font: 12px system-ui, sans-serif; fill: var(--ink)}} .title {{font-weight: 600}}"
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" '
        f'viewBox="0 0 {width:g} {above + height:g}" width="{1.4 * width:.0f}"><style>{style}</style>'
        f'<rect width="100%" height="100%" fill="var(--page)"/>{"".join(parts)}</svg>\n'
    )


def _placed(svg: str, x: float, y: float, width: float, height: float) -> str:
    """Return a chart of its own as part of another picture."""
    inside = svg.partition(">")[2]
    box = re.findall(r'viewBox="[^"]*"', svg)[0]
    return f'<svg x="{x:g}" y="{y:g}" width="{width:g}" height="{height:g}" {box}>{inside}'


if __name__ == "__main__":
    page, title, out, *which = sys.argv[1:]
    svg = chart(Path(page).read_text(encoding="utf-8"), title, *map(int, which))
    Path(out).write_text(svg, encoding="utf-8")

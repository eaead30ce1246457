import html
import json
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from report_toys import FILES

from sim2real import report
from sim2real.perturb import set_to
from sim2real.report.sensitivity import FILE

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
pytestmark = pytest.mark.skipif(not BROWSER, reason="needs Chromium")

FRAMES = [(width, scheme) for width in (1280, 390) for scheme in ("light", "dark")]

INDEX = {"value": 0.5, "low": 0.4, "high": 0.6}
MATTERS = {
    "points": 64,
    "region": [{"name": "payload.mass", "label": "set payload.mass to Uniform(0, 5) every episode"}],
    "policies": {
        "plain": {
            "success": {
                "first": {"payload.mass": INDEX},
                "total": {"payload.mass": INDEX},
                "pairs": [],
                "sentence": "payload.mass decides 50 % of it.",
            }
        }
    },
}


def picture(trial):
    """Return a replay of something that moves."""
    return {"digest": "?"}, [np.full((30, 40, 3), 40 + i, np.uint8) for i in range(20)]


@pytest.fixture(scope="module")
def rich(made, tmp_path_factory):
    """A report with every section but those that other files test in theirs."""
    base = made.walker()
    walking = {
        f"forward {v} m/s": (set_to("parameter:command.velocity_x", v),) for v in (-0.3, 0.1, 0.2, 0.4, 0.8)
    }
    conditions = {label: base.conditions[label] for label in base.conditions if label != "nominal"} | walking
    study = made.walker(episodes=6, extra=("untrained",), conditions=conditions, competent=0.7)
    rows = made.rows(study, failures=2)
    for row in rows:
        if row["metrics"]:
            row["metrics"] = json.dumps(json.loads(row["metrics"]) | {"velocity_x_m_s": 0.3})
    store = made.record(study, rows)
    command = {"command.velocity_x": {"nominal": 0.5, "unit": "m/s", "low": -9.0, "high": 9.0, "doc": ""}}
    store.write_meta(store.meta | {"parameters": store.meta["parameters"] | command})
    for file, told in {FILE: MATTERS, **FILES}.items():
        (store.folder / file).write_text(json.dumps(told))
    path = tmp_path_factory.mktemp("page") / "report.html"
    return report.write(study, store, path, replay=picture)


def complaints(text, folder, frames=FRAMES):
    """Return what is wrong with a page in each frame, and what the console said."""
    page = html.escape(text)
    shown = "".join(
        f'<iframe sandbox="allow-same-origin" title="{width} {scheme}" class="{scheme}" width="{width}" height="900" '
        f'style="border: 0; color-scheme: {scheme}" srcdoc="{page}"></iframe>'
        for width, scheme in frames
    )
    checks = Path(__file__).with_name("page_checks.js").read_text(encoding="utf-8")
    around = folder / "around.html"
    around.write_text(
        f"<!DOCTYPE html><meta charset='utf-8'><title>frames</title><body>{shown}"
        f"<script>addEventListener('load', () => {{{checks}}});</script>",
        encoding="utf-8",
    )
    options = (
        *("--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"),
        *(f"--user-data-dir={folder / 'profile'}", "--enable-logging=stderr", "--dump-dom"),
    )
    ran = subprocess.run(
        [BROWSER, *options, around.as_uri()], capture_output=True, text=True, timeout=200, check=True
    )
    return json.loads(html.unescape(ran.stdout.split("FOUND")[-2])), re.findall(".*CONSOLE.*", ran.stderr)


def test_the_page_reads_well_in_a_browser(rich, tmp_path):
    """Wide and narrow, light and dark: no overflow, contrast of 4.5 and more, names, heads, focus; nothing is loaded.

    Nor is there a word on the console. No script may run in it, so none can be missed.
    """
    found, said = complaints(rich.read_text(encoding="utf-8"), tmp_path)
    assert found == {f"{width} {scheme}": [] for width, scheme in FRAMES}
    assert said == []


def test_what_is_wrong_with_a_page_is_seen(rich, tmp_path):
    """Each kind of damage to the page is complained about: the test above can fail."""
    damage = (
        '<p style="color: #999; background: #fff">faint</p><div style="width: 2000px">wide</div><h4>deep</h4>'
        '<section></section><p aria-labelledby="nobody"></p><a href="#nowhere">x</a>'
        "<table><tbody><tr><td>1</td></tr></tbody></table><table><tr><th>x</th></tr></table>"
        '<img src="http://127.0.0.1:9/x.png"><svg></svg><a href="#answer" style="outline: none">y</a><h1>again</h1>'
        '<div style="overflow: auto; width: 50px"><pre>a long line of words</pre></div>'
    )
    text = rich.read_text(encoding="utf-8").replace("</main>", f"{damage}</main>")
    (found,) = complaints(text, tmp_path, [(1280, "light")])[0].values()
    kinds = (
        "contrast 2.85; scrolls to; beyond the edge; a level is left out; not one h1; a section without; no heads; "
        "named by nothing; leads nowhere; a table without a name; rows without a head; a head of nothing; no alt; "
        "a picture without words; out of reach of the keyboard; its focus cannot be seen; loads http:"
    )
    for words in kinds.split("; "):
        assert any(one.startswith(words) for one in found), words

import re
from html.parser import HTMLParser

import numpy as np
import pytest

from sim2real import report
from sim2real.perturb import scale

VOID = {"meta", "img", "br", "link", "hr", "input"}
LOADING = {"src", "href", "xlink:href", "data", "poster", "srcset", "action"}


class Page(HTMLParser):
    """What a browser would make of the page: balanced elements, identifiers, addresses, text."""

    def __init__(self, text):
        super().__init__()
        self.open, self.ids, self.addresses, self.tags, self.words = [], [], [], [], []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        self.ids += [value for name, value in attributes if name == "id"]
        self.addresses += [value for name, value in attributes if name in LOADING]
        if tag not in VOID and not self.get_starttag_text().endswith("/>"):
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.handle_starttag(tag, attributes)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.words.append(data)

    @property
    def text(self):
        return " ".join(" ".join(self.words).split())


def picture(trial):
    """Return a replay of something that moves."""
    images = np.full((60, 90, 120, 3), 200, np.uint8)
    for i, image in enumerate(images):
        image[30:60, i : i + 20] = (30, 30, 200)
    return {"digest": "?"}, list(images)


@pytest.fixture(scope="module")
def written(made, tmp_path_factory):
    study = made.walker(extra=("untrained",), name="walk-friction")
    store = made.record(study, made.rows(study, failures=2))
    path = report.write(study, store, tmp_path_factory.mktemp("out") / "deep" / "report.html", replay=picture)
    return study, store, path.read_text(encoding="utf-8")


def test_the_page_needs_nothing_else(written):
    """No address but data inside the page and places within it; no script; under 2 MB."""
    _, _, text = written
    page = Page(text)
    assert all(re.match(r"data:image/gif;base64,|#", address) for address in page.addresses)
    assert not {tag for tag, _ in page.tags} & {"script", "link", "iframe", "object"}
    assert "url(" not in re.sub(r"url\(#", "", text)
    assert "@import" not in text
    assert len(text) < 2_000_000


def test_the_page_is_well_formed(written):
    """Elements are balanced, every place that is pointed to exists, and identifiers of the page are unique."""
    _, _, text = written
    page = Page(text)
    assert {address[1:] for address in page.addresses if address.startswith("#")} <= set(page.ids)
    outside = Page(re.sub(r"<svg.*?</svg>", "", text, flags=re.DOTALL))
    assert len(outside.ids) == len(set(outside.ids))


def test_everything_shown_has_words(written):
    """Images and figures have names, tables head their columns, what scrolls can be reached by keyboard."""
    _, _, text = written
    page = Page(text)
    assert all(attributes.get("alt") for tag, attributes in page.tags if tag == "img")
    for tag, attributes in page.tags:
        if tag == "svg":
            assert attributes.get("aria-label") or attributes.get("aria-hidden") == "true"
        if tag == "th":
            assert attributes.get("scope") in ("col", "row", "rowgroup")
        if attributes.get("class") == "scroll":
            assert attributes.get("tabindex") == "0"
            assert attributes.get("aria-label") or attributes.get("aria-labelledby")


def test_the_answer_comes_first(written):
    """The page opens with what breaks each competent policy, and refuses to speak for the others."""
    text = Page(written[2]).text
    opening = text[text.index("The answer", 600) : text.index("Three challenges of")]
    for label in ("plain", "randomised"):
        assert re.search(rf"{label} In the nominal world its success is .*? What breaks it first is", opening)
    assert "below the required 90 %: it is not yet competent" in opening


def test_every_condition_can_be_looked_up(written):
    """All numbers of all conditions, open gates or not, are in the appendix, and every clip has its command."""
    study, _, text = written
    page = Page(text).text
    appendix = page[page.index("All numbers", page.index("All numbers") + 20) :]
    for label in study.conditions:
        assert appendix.count(label) >= len(study.policies)
    keys = re.findall(r"sim2real replay walk-friction ([0-9a-f]{12})", page)
    assert len(keys) == 6
    known = {trial.key[:12] for trial in study.trials()}
    assert set(keys) <= known


def test_same_records_same_bytes(written, tmp_path):
    """Writing a report again gives the same file."""
    study, store, text = written
    again = report.write(study, store, tmp_path / "again.html", replay=picture)
    assert again.read_text(encoding="utf-8") == text


def test_labels_are_text_not_markup(made, tmp_path):
    """Whatever a study calls things, it cannot break the page."""
    nasty = '<b>&"$x^2$'
    study = made.walker(
        episodes=3,
        question=nasty,
        policies={nasty: made.walker().policies["plain"]},
        conditions={f"{nasty}{x}": (scale(f"parameter:{nasty}", x),) for x in (0.5, 0.7)},
        competent=0.0,
    )
    text = report.write(study, made.record(study), tmp_path / "r.html", clips=False).read_text(
        encoding="utf-8"
    )
    assert "<b>&" not in text
    assert nasty in Page(text).text


@pytest.mark.parametrize("count", [0, 1, 30])
def test_a_study_that_has_hardly_begun_has_a_report(made, tmp_path, count):
    """With no, one or few records the report says what is missing."""
    study = made.walker(episodes=2)
    store = made.record(study, made.rows(study)[:count])
    text = report.write(study, store, tmp_path / "r.html", clips=False).read_text(encoding="utf-8")
    assert f"{148 - count} missing" in Page(text).text


@pytest.mark.parametrize("runs", [1, 3])
@pytest.mark.parametrize("metric", ["success", "distance_m"])
def test_methods_tell_what_was_done(made, tmp_path, runs, metric):
    """The methods paragraph names the interval that was used and what one training run means."""
    study = made.walker(episodes=6, runs=runs, metric=metric, competent=0.5)
    text = report.write(study, made.record(study), tmp_path / "r.html", clips=False).read_text(
        encoding="utf-8"
    )
    methods = Page(text[text.index('<h2 id="methods">') : text.index('<dl class="commands">')]).text
    assert ("Clopper" in methods) == ("Wilson" in methods) == (metric == "success")
    assert ("McNemar" in methods) == (metric == "success" and runs == 1)
    assert ("Student’s t interval on" in methods) == (metric == "distance_m" and runs == 3)
    assert ("not of the method that trained it" in methods) == (runs == 1)
    assert "{" not in methods


def test_too_few_episodes_are_said(made, tmp_path):
    """Where no exact test could speak, the report says how many episodes it would take; with those, it does not."""
    said = r"an exact test takes (\d+) episodes"
    study = made.walker(episodes=6)
    text = report.write(study, made.record(study), tmp_path / "r.html", clips=False).read_text(
        encoding="utf-8"
    )
    needed = int(re.search(said, text)[1])
    comparisons = len(study.conditions) - 2  # restitution did not act
    assert 2.0 ** (1 - needed) * comparisons < 0.05 <= 2.0 ** (2 - needed) * comparisons
    enough = made.walker(episodes=needed)
    page = report.write(enough, made.record(enough), tmp_path / "s.html", clips=False)
    assert not re.search(said, page.read_text(encoding="utf-8"))


def test_clips_can_be_left_out(made, tmp_path):
    """Without clips nothing is played again."""
    study = made.walker(episodes=2)
    text = report.write(study, made.record(study), tmp_path / "r.html", clips=False).read_text(
        encoding="utf-8"
    )
    assert "Failures to look at" not in text


def test_an_environment_without_images_is_no_failure(made, tmp_path):
    """Policies whose episodes cannot be played again are named, and the report is written."""
    study = made.walker(episodes=2)
    text = report.write(study, made.record(study), tmp_path / "r.html").read_text(encoding="utf-8")
    assert "No clips of plain:" in Page(text).text

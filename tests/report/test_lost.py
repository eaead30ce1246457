import math
from types import SimpleNamespace

import numpy as np
import pytest

from sim2real import report
from sim2real.report import words
from sim2real.report.figures import figures
from sim2real.report.table import Table
from sim2real.stats import LOST_SHARE

GONE = dict.fromkeys(("return", "length", "duration_s", "success", "termination", "digest", "metrics"))
DIVERGED = GONE | {"status": "error", "error": "RuntimeError: the solver diverged"}
CRASHED = GONE | {"status": "crashed", "error": "The process that ran this episode died."}


def losing(study, rows, share, seed=0, to=DIVERGED):
    """Return rows of which each is lost with the probability that `share` gives to its policy and condition."""
    rng = np.random.default_rng(seed)
    return [
        row | (to if rng.uniform() < share(cell.policy_label, cell.condition_label) else {})
        for cell, row in zip(study.cells(), rows, strict=True)
    ]


def severe(policy, label):
    """Heavy payloads diverge, the heaviest always, and of one policy more."""
    kg = float(label.split()[1]) if label.startswith("payload") else 0.0
    return 1.0 if kg == 10 else (0.5 if policy == "plain" else 0.1) * (kg == 6) + 0.02 * (kg > 0)


@pytest.fixture(scope="module", params=[1, 2], ids=["one run", "two runs"])
def pair(made, request):
    """The figures of a study, and of the same where episodes diverged."""
    study = made.walker(episodes=20, runs=request.param)
    rows = made.rows(study)
    tables = [Table(study, made.record(study, some)) for some in (rows, losing(study, rows, severe))]
    return SimpleNamespace(tables=tables, whole=figures(tables[0]), lossy=figures(tables[1]))


def within(bounded, true):
    """Assert that a number is among those that an estimate allows for, if any of its episodes are lost."""
    if bounded.lost:
        assert bounded.lost.least - 1e-9 <= true.value <= bounded.lost.most + 1e-9
        assert bounded.low <= bounded.lost.least <= bounded.lost.most <= bounded.high
    else:
        assert bounded.value == pytest.approx(true.value, nan_ok=True)


def test_every_figure_allows_for_what_was_lost(pair):
    """What the whole study says of a rate lies within what the one with lost episodes says, wherever it is said."""
    whole, lossy = pair.whole, pair.lossy
    cells = zip(lossy.cells, whole.cells, strict=True)
    pairs = [(dict(a.estimates)["success"], dict(b.estimates)["success"]) for a, b in cells]
    curves = {(c.family.title, line.policy): line for c in whole.curves for line in c.lines}
    for curve in lossy.curves:
        for line in curve.lines:
            true = curves[curve.family.title, line.policy]
            assert line.conditions == true.conditions
            pairs += [*zip(line.estimates, true.estimates, strict=True), (line.area, true.area)]
    for a, b in zip(lossy.challenges, whole.challenges, strict=True):
        pairs += [(a.kept, b.kept), (a.hazard_nominal, b.hazard_nominal)]
        pairs += [(a.hazard_perturbed, b.hazard_perturbed)]
    for a, b in zip(lossy.comparisons, whole.comparisons, strict=True):
        pairs += [(a.held_out.estimate, b.held_out.estimate), (a.nominal.estimate, b.nominal.estimate)]
    rows = {(row.policy, row.condition): row for row in whole.held_out}
    for row in lossy.held_out:
        true = rows[row.policy, row.condition]
        pairs += [(row.estimate, true.estimate), (row.to_nominal.estimate, true.to_nominal.estimate)]
    for a, b in zip(lossy.profiles, whole.profiles, strict=True):
        pairs += zip(a.share, b.share, strict=True)
    assert sum(a.lost is not None for a, _ in pairs) > 20
    for bounded, true in pairs:
        within(bounded, true)


def test_what_lost_nothing_has_the_same_bits(pair):
    """A condition that lost nothing is told as if no other had."""
    whole = {(one.policy, one.condition): one for one in pair.whole.cells}
    for one in pair.lossy.cells:
        if not dict(one.estimates)["success"].lost:
            assert one == whole[one.policy, one.condition]


def test_no_condition_falls_out(pair):
    """A condition that always diverges is on its curve, in the map and in the table, breaks, and the gate says why."""
    numbers = pair.lossy
    for policy in numbers.competent:
        (line,) = (
            line
            for curve in numbers.curves
            if "payload" in curve.family.title
            for line in curve.lines
            if line.policy == policy
        )
        heaviest = line.estimates[line.conditions.index("payload 10")]
        assert math.isnan(heaviest.value)
        assert (heaviest.lost.least, heaviest.lost.most) == (0, 1)
        assert line.above.broken <= 10
        assert {"payload 10"} <= {one.condition for one in numbers.squares if one.policy == policy}
        assert {"payload 10"} <= {one.condition for one in numbers.held_out if one.policy == policy}
        closed = {(gate.policy, gate.condition) for gate in numbers.gates if gate.kind == "lost"}
        assert (policy, "payload 10") in closed
    for cell in numbers.cells:
        one = dict(cell.estimates)["success"]
        lost = one.lost.count if one.lost else 0
        assert math.isnan(one.value) == (lost > LOST_SHARE * (one.n_episodes + lost))


def test_a_metric_without_bounds_says_how_many_are_lost(made):
    """Where too many are lost there is no number of a return and none of what it is part of, and no test."""
    study = made.walker(episodes=20, metric="return", competent=10.0)
    numbers = figures(Table(study, made.record(study, losing(study, made.rows(study), severe))))
    row = next(one for one in numbers.held_out if one.condition == "payload 10")
    assert math.isnan(row.estimate.low)
    assert math.isnan(row.to_nominal.p_value)
    assert words.whole(row.estimate) == "unknown; 20 of 20 lost"
    assert numbers.worst("plain").condition == "payload 10"
    said = words.comparison(numbers, numbers.comparisons[0], "return", False)
    assert "cannot be told, since too many episodes are lost" in said


def test_a_comparison_says_whose_rows_are_lost(made):
    """Where one policy alone loses episodes the sentence names it, and the difference allows for all of them."""
    study = made.walker(episodes=20)
    rows = losing(study, made.rows(study), lambda policy, label: (policy == "plain") * severe(policy, label))
    numbers = figures(Table(study, made.record(study, rows)))
    (one,) = numbers.comparisons
    assert one.held_out.lost[0] == 0 < one.held_out.lost[1]
    said = words.comparison(numbers, one, "success", True)
    assert f"Lost are {one.held_out.lost[1]} of plain alone, of" in said


def test_a_crash_is_no_outcome_unless_it_is_the_rule(made):
    """A few episodes that crashed are as good as not played; where more do, that is no coincidence: they are lost."""
    study = made.walker(episodes=40)
    rows = made.rows(study)
    for cell, row in zip(study.cells(), rows, strict=True):
        row |= CRASHED if (cell.condition_label, cell.episode) == ("push 1", 3) else {}
    one = Table(study, made.record(study, rows)).cell("plain", "push 1")
    assert (one.lost, one.n_episodes) == (None, 39)
    some = losing(study, made.rows(study), lambda _, label: 0.5 * (label == "push 1"), to=CRASHED)
    many = Table(study, made.record(study, some)).cell("plain", "push 1")
    assert many.lost.count + many.n_episodes == 40


def test_a_nominal_that_diverges_is_no_reference(made):
    """A policy that loses too many nominal episodes is not called competent, and the report says why."""
    study = made.walker(episodes=20)
    rows = losing(study, made.rows(study), lambda policy, label: 0.4 * (label == "nominal"))
    numbers = figures(Table(study, made.record(study, rows)))
    assert numbers.competent == ()
    assert all("no point estimate" in gate.reason for gate in numbers.gates)


def test_a_study_in_which_everything_diverges_has_a_report(made, tmp_path):
    """Nothing is known of it, and the page says so."""
    study = made.walker(episodes=3)
    store = made.record(study, losing(study, made.rows(study), lambda *_: 1.0))
    text = report.write(study, store, tmp_path / "r.html", clips=False).read_text(encoding="utf-8")
    assert "3 of 3 lost" in text


@pytest.mark.parametrize("metric", ["success", "return"])
def test_the_page_says_what_is_lost(made, tmp_path, metric):
    """The answer, the gates and the tables tell it, and no number that is none is printed."""
    study = made.walker(episodes=20, metric=metric, competent=0.9 if metric == "success" else 10.0)
    store = made.record(study, losing(study, made.rows(study), severe))
    text = report.write(study, store, tmp_path / "r.html", clips=False).read_text(encoding="utf-8")
    answer = text[text.index('<h2 id="answer">') : text.index('<h2 id="challenges">')]
    assert " lost" in answer
    assert "20 of 20 lost" in text
    assert "are outcomes of their conditions and called lost" in text
    assert "A cross along the bottom" in text
    assert "nan" not in text.split("<main>")[1]

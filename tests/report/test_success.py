"""Success that is a fraction, that is known of some episodes only, and that nobody tells."""

import re

import numpy as np
import pytest
from scipy import stats

from sim2real import report
from sim2real.report.figures import figures
from sim2real.report.table import Table
from sim2real.search.modes import failed
from sim2real.study import Store


@pytest.fixture
def told(made):
    """A function: the study of a walker, and its table with the success of each row changed."""

    def tell(change, **changes):
        study = made.walker(episodes=20, **changes)
        rows = [
            row | {"success": change(index, row["success"])} for index, row in enumerate(made.rows(study))
        ]
        return study, Table(study, made.record(study, rows)), rows

    return tell


def success(figures, policy, condition):
    (cell,) = (one for one in figures.cells if (one.policy, one.condition) == (policy, condition))
    return dict(cell.estimates).get("success")


def test_fractions_are_averaged_as_they_are(told):
    """Their interval is that of a mean inside [0, 1], not one of counts, since nothing was counted."""
    share = np.random.default_rng(0).uniform(0.6, 0.8, 10_000)
    study, table, rows = told(lambda index, _: float(share[index]), competent=0.5)
    assert "success" not in table.rates
    values = table.values("plain", "nominal")
    found = success(figures(table), "plain", "nominal")
    assert found.value == pytest.approx(np.mean([v for v in values.ravel()]))
    assert values.ravel() == pytest.approx([row["success"] for row in rows][: 20 * 37 : 37])
    t = stats.t.ppf(0.975, 19) * values.std(ddof=1) / np.sqrt(20)
    assert (found.high - found.low) / 2 == pytest.approx(t, rel=0.25)
    assert 0.0 <= found.low <= found.high <= 1.0


def test_unknown_success_is_neither_failure_nor_success(told, tmp_path):
    """What is told lies between all of them failed and all succeeded; they are counted, and none is a way to fail."""
    unknown = set(range(0, 1480, 7))
    study, table, rows = told(lambda index, known: None if index in unknown else known)
    numbers = figures(table)
    assert numbers.failures.unknown == len(unknown) == numbers.failures.without_number
    for policy in study.policies:
        for condition in study.conditions:
            values, gone = table.values(policy, condition), table.unknown(policy, condition)
            assert (np.isnan(values) == gone).all()
            if gone.any():
                found = success(numbers, policy, condition)
                assert found.lost.count == gone.sum()
                assert found.lost.least == pytest.approx(np.nan_to_num(values, nan=0.0).mean())
                assert found.lost.most == pytest.approx(np.nan_to_num(values, nan=1.0).mean())
    keys = {table.trial(*place).key for place in failed(table, 0.9)}
    assert keys == {row["key"] for row in rows if row["success"] == 0}
    text = report.write(study, Store(table.path), tmp_path / "report.html", clips=False).read_text()
    assert f"{len(unknown)} whose success the environment does not tell" in re.sub(r"\s+", " ", text)


def test_where_nobody_tells_success_none_is_counted(told):
    """A study of something else has no number of success; what ended early is not called without success."""
    study, table, rows = told(lambda index, known: None, metric="return", competent=0.0)
    numbers = figures(table)
    assert success(numbers, "plain", "nominal") is None
    assert (numbers.failures.unknown, numbers.failures.lost) == (0, 0)
    (mine, _) = numbers.challenges
    assert mine.hazard == "episodes that end early"
    ended = [bool(row["termination"]) for row in rows[: 20 * 37 : 37]]
    assert mine.hazard_nominal.value == pytest.approx(np.mean(ended))


def test_unknown_success_is_bounded_in_a_study_of_something_else(told):
    """Where others tell theirs, an episode that does not may have been either."""
    study, table, _ = told(lambda index, known: None if index % 2 else known, metric="return", competent=0.0)
    numbers = figures(table)
    for condition in study.conditions:
        gone = table.unknown("plain", condition, "success")
        found = success(numbers, "plain", condition)
        assert (found.lost.count if found.lost else 0) == gone.sum()
    assert numbers.failures.unknown == 0

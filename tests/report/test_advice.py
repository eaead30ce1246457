import pytest

from sim2real.perturb import Uniform, clip, held_out_kind, set_to
from sim2real.report.advice import advice
from sim2real.report.curves import KEPT
from sim2real.report.figures import figures
from sim2real.report.table import Table


@pytest.fixture(scope="module")
def numbers(made):
    study = made.walker()
    return figures(Table(study, made.record(study)))


def told(numbers, policy, target, below=False):
    return [
        one
        for one in numbers.advice
        if (one.policy, one.family.target, one.below) == (policy, f"parameter:{target}", below)
    ]


def test_every_side_that_breaks_and_no_other_has_advice(numbers):
    """There is one piece of advice for each side of each line that leaves the margin."""
    broken = [
        (line.policy, curve.family, below, side.broken)
        for curve in numbers.curves
        for line in curve.lines
        for side, below in ((line.below, True), (line.above, False))
        if side and side.broken is not None
    ]
    found = [(one.policy, one.family, one.below, one.broken) for one in numbers.advice]
    assert len(broken) > 8
    assert sorted(found, key=repr) == sorted(broken, key=repr)


def test_the_most_fragile_side_comes_first(numbers):
    """Advice begins with what holds least of its tested range, which is what breaks the policy first."""
    for policy in numbers.competent:
        mine = [one for one in numbers.advice if one.policy == policy]
        assert [one.share for one in mine] == sorted(one.share for one in mine)
        curve, _, side, broken = numbers.first_to_break(policy)
        assert (mine[0].family, mine[0].share, mine[0].broken) == (curve.family, side.share, broken)


def test_what_was_met_is_widened_and_what_was_not_is_added(numbers):
    """A range of training that ends before the break is widened, from where it ended; what it lacks is added."""
    (friction,) = told(numbers, "randomised", "ground.friction", below=True)
    assert (friction.do, friction.met) == ("widen", pytest.approx(0.5))
    (payload,) = told(numbers, "randomised", "payload.mass")
    assert (payload.do, payload.met) == ("widen", pytest.approx(3.0))
    (latency,) = told(numbers, "randomised", "actuator.latency_s")
    assert (latency.do, latency.met) == ("add", None)
    assert {one.do for one in numbers.advice if one.policy == "plain"} == {"add"}


def test_widened_as_advised_training_meets_what_broke(made, numbers):
    """With training widened to the severity that broke it, the condition that broke it is no longer held out."""
    nominals = {"ground.friction": 1.0, "payload.mass": 0.0}
    for one in numbers.advice:
        name = one.family.target.removeprefix("parameter:")
        if one.policy == "randomised" and name in nominals:
            label = next(label for x, label in one.family.points if x == one.broken)
            condition = made.walker().conditions[label]
            ends = sorted((nominals[name], one.broken))
            widened = [(set_to(one.family.target, Uniform(*ends)),)]
            assert held_out_kind(condition, widened, nominals) == "in-distribution"


def test_what_was_met_and_breaks_is_to_be_learnt(made):
    """A policy that breaks within what it was trained on is not told to widen it."""
    study = made.walker()
    wide = (set_to("parameter:payload.mass", Uniform(0.0, 20.0)),)
    runs = [made.policy("wide", (wide,))]
    numbers = figures(
        Table(study_of := made.walker(policies={**study.policies, "randomised": runs}), made.record(study_of))
    )
    (payload,) = told(numbers, "randomised", "payload.mass")
    assert (payload.do, payload.met) == ("learn", pytest.approx(20.0))


def test_what_is_not_declared_is_asked_for(made):
    """Of a policy that does not tell what it was trained on it is not said what training met."""
    study = made.walker(policies={"plain": [made.policy("secretive", None)]})
    numbers = figures(Table(study, made.record(study)))
    assert {(one.do, one.met) for one in numbers.advice} == {("declare", None)}


def test_a_limit_has_its_severity_the_other_way_round(made):
    """Of a limit, nominal at infinity, training met the smallest; a smaller one that breaks is to be met next."""
    conditions = {f"limit {x}": (clip("action", x),) for x in (0.5, 1.0, 2.0)}
    policies = {"plain": [made.policy("limited", ((clip("action", Uniform(1.5, 3.0)),),))]}
    study = made.walker(conditions=conditions, policies=policies)
    rows = made.rows(study)
    for cell, row in zip(study.cells(), rows, strict=True):
        row["success"] = int(cell.condition_label not in ("limit 0.5", "limit 1.0"))
    table = Table(study, made.record(study, rows))
    (one,) = advice(table, figures(table).curves)
    assert (one.do, one.met, one.held, one.broken, one.crossing) == ("widen", 1.5, 2.0, 1.0, None)


def test_the_crossing_lies_between_what_held_and_what_broke(numbers):
    """The curve leaves the margin after the last severity that holds and not after the first that does not."""
    crossed = 0
    for one in numbers.advice:
        ends = sorted((one.family.nominal_x if one.held is None else one.held, one.broken))
        assert ends[0] <= one.crossing.value <= ends[1]
        assert one.crossing.low <= one.crossing.value <= one.crossing.high
        line = next(
            line
            for curve in numbers.curves
            if curve.family == one.family
            for line in curve.lines
            if line.policy == one.policy
        )
        values = {x: estimate.value for x, estimate in zip(line.x, line.estimates, strict=True)}
        if one.held is not None:
            enough = KEPT * values[one.family.nominal_x]
            share = (one.crossing.value - one.held) / (one.broken - one.held)
            assert values[one.held] + share * (values[one.broken] - values[one.held]) == pytest.approx(enough)
            crossed += 1
    assert crossed > 5

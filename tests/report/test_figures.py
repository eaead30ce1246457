import json
import math

import numpy as np
import pytest

from sim2real.perturb import set_to
from sim2real.report import words
from sim2real.report.curves import KEPT
from sim2real.report.figures import figures
from sim2real.report.table import Table
from sim2real.stats import holm, rate_estimate
from sim2real.study import Reference
from sim2real.study.rollout import INERT


@pytest.fixture(scope="module")
def whole(made):
    study = made.walker(extra=("untrained",))
    table = Table(study, made.record(study, made.rows(study, failures=2)))
    return table, figures(table)


def gates(numbers, kind):
    return {(gate.policy, gate.condition) for gate in numbers.gates if gate.kind == kind}


def test_incompetence_closes_every_figure(whole):
    """A policy below the required nominal metric is in no figure about robustness, and the gate says so."""
    _, numbers = whole
    assert numbers.competent == ("plain", "randomised")
    assert gates(numbers, "competence") == {("untrained", "nominal")}
    shown = {line.policy for curve in numbers.curves for line in curve.lines}
    shown |= {row.policy for row in numbers.held_out} | {one.policy for one in numbers.challenges}
    assert shown == {"plain", "randomised"}
    assert {cell.policy for cell in numbers.cells} == {"plain", "randomised", "untrained"}


def test_what_did_not_act_has_no_figure(whole):
    """A condition whose rollouts all equal the nominal ones is in no table and on no curve."""
    _, numbers = whole
    assert gates(numbers, "no effect") == {(policy, "restitution 0.5") for policy in numbers.competent}
    assert "restitution 0.5" not in {row.condition for row in numbers.held_out}


def test_a_part_that_did_nothing_in_any_episode_is_named(made):
    """What the figure of a condition is not about is said, unless the part did something in some episode."""
    study = made.walker(episodes=3)
    recorded = made.rows(study)
    labels = [cell.condition_label for cell in study.cells()]
    for label, part, count in (("noise 0.1", "scale a by 2", None), ("friction 0.4", "scale b by 2", 1)):
        for row in [row for row, of in zip(recorded, labels, strict=True) if of == label][:count]:
            row["metrics"] = json.dumps(json.loads(row["metrics"]) | {f"{INERT}{part}": 1.0})
    table = Table(study, made.record(study, recorded))
    found = [gate for gate in figures(table).gates if gate.kind == "inert part"]
    assert {gate.condition for gate in found} == {"noise 0.1"}
    assert "'scale a by 2' changed no value in any episode" in found[0].reason


def test_a_grid_may_go_through_nominal(whole):
    """A condition at the nominal value is the nominal point of its curve, not a perturbation that failed to act."""
    _, numbers = whole
    assert "friction 1" not in {gate.condition for gate in numbers.gates if gate.kind == "no effect"}
    friction = numbers.curves[0].lines[0]
    assert friction.conditions[friction.x.index(1.0)] == "nominal"


def test_what_was_met_in_training_is_not_held_out(whole):
    """A condition inside what a policy was trained on is on its curve but not in the held-out table."""
    _, numbers = whole
    seen = {condition for policy, condition in gates(numbers, "seen") if policy == "randomised"}
    assert {"friction 0.6", "friction 1.2", "payload 2"} <= seen
    assert not seen & {row.condition for row in numbers.held_out if row.policy == "randomised"}
    assert seen & {row.condition for row in numbers.held_out if row.policy == "plain"}
    curve = next(line for line in numbers.curves[0].lines if line.policy == "randomised")
    assert dict(zip(curve.conditions, curve.seen, strict=True))["friction 0.6"]


def test_undeclared_training_is_said(made):
    """Without a declaration of training conditions nothing is called held out, and the gate says why."""
    study = made.walker(episodes=6, extra=("untrained",), competent=0.0)
    numbers = figures(Table(study, made.record(study)))
    assert gates(numbers, "undeclared") == {("untrained", "")}
    assert {row.kind for row in numbers.held_out if row.policy == "untrained"} == {"undeclared"}


def test_failures_are_counted(whole):
    """Trials without a number are counted by status and by error."""
    table, numbers = whole
    assert numbers.failures.without_number == 2
    assert numbers.failures.expected == len([*table.study.cells()])
    assert numbers.failures.errors == (("RuntimeError: the solver diverged", 2),)


def test_numbers_are_those_of_the_records(whole):
    """Estimates are made of exactly the rows of their cell."""
    table, numbers = whole
    for row in numbers.held_out[:10]:
        values = table.values(row.policy, row.condition)
        if not row.estimate.lost:
            assert row.estimate == rate_estimate(values)
        assert row.estimate.value == pytest.approx(np.nanmean(values))


def test_the_worst_is_the_worst(whole):
    """No held-out condition has a lower estimate than the worst one."""
    _, numbers = whole
    for policy in numbers.competent:
        mine = [row.estimate.value for row in numbers.held_out if row.policy == policy]
        assert numbers.worst(policy).estimate.value == min(mine)


def test_p_values_are_adjusted_per_policy(whole):
    """Holm's method runs over the conditions of each policy."""
    _, numbers = whole
    for policy in numbers.competent:
        mine = [row for row in numbers.held_out if row.policy == policy]
        assert [row.adjusted_p for row in mine] == pytest.approx(
            holm([row.to_nominal.p_value for row in mine])
        )


def test_reach_is_the_last_severity_before_the_first_break(whole):
    """Up to `held` all points keep enough of nominal, `broken` does not, and the share lies in [0, 1]."""
    _, numbers = whole
    for curve in numbers.curves:
        for line in curve.lines:
            values = {x: estimate.value for x, estimate in zip(line.x, line.estimates, strict=True)}
            enough = KEPT * values[curve.family.nominal_x]
            for side, sign in ((line.below, -1), (line.above, 1)):
                if side is None:
                    continue
                outward = [x for x in line.x if sign * (x - curve.family.nominal_x) > 0]
                limit = side.held if side.held is not None else curve.family.nominal_x
                assert all(values[x] >= enough for x in outward if sign * x <= sign * limit)
                assert side.broken is None or values[side.broken] < enough
                assert 0 <= side.share <= 1


def test_the_first_to_break_holds_the_smallest_share(whole):
    """What breaks a policy first is the side of a curve of which it holds least."""
    _, numbers = whole
    for policy in numbers.competent:
        _, _, first, broken = numbers.first_to_break(policy)
        sides = [
            side
            for curve in numbers.curves
            for line in curve.lines
            if line.policy == policy
            for side in (line.below, line.above)
            if side and side.broken is not None
        ]
        assert first.share == min(side.share for side in sides)
        assert broken == first.broken


def test_comparison_is_over_what_neither_was_trained_on(whole):
    """Two policies are compared over the conditions held out for both."""
    _, numbers = whole
    (comparison,) = numbers.comparisons
    both = {row.condition for row in numbers.held_out if row.policy == "plain"}
    both &= {row.condition for row in numbers.held_out if row.policy == "randomised"}
    assert comparison.conditions == len(both)
    assert comparison.held_out.estimate.value > 0.1
    assert comparison.declared


def test_challenges_have_their_numbers(whole):
    """Steps come from the policy files; retention and hazard are shares."""
    _, numbers = whole
    plain, randomised = numbers.challenges
    assert (plain.steps, randomised.steps) == ((2e6,), (6e6,))
    assert plain.kept.value < randomised.kept.value < 1
    assert plain.hazard_perturbed.value > plain.hazard_nominal.value
    assert plain.worst.value <= plain.kept.value


def test_recorded_cost_tells_safety(made):
    """Where constraints recorded a cost, safety is told by it, and shields by how often they act."""
    study = made.walker(episodes=4)
    rows = [row | {"cost": 2.0, "interventions": 3} for row in made.rows(study)]
    challenge = figures(Table(study, made.record(study, rows))).challenges[0]
    assert challenge.hazard == "constraint cost per episode"
    assert challenge.hazard_perturbed.value == pytest.approx(2.0)
    assert challenge.interventions.value == pytest.approx(3.0)


def test_published_numbers_stand_beside_what_they_measure(made):
    """A reference is drawn on the curve of its target and metric, also where that is not the study's metric."""
    published = {"label": "them", "target": "parameter:ground.friction", "source": "there"}
    study = made.walker(
        episodes=4,
        references=(
            Reference(metric="success", points=((0.3, 0.5),), **published),
            Reference(metric="distance_m", points=((0.3, 2.0),), **published),
            Reference(metric="never_recorded", points=((0.3, 2.0),), **published),
        ),
    )
    numbers = figures(Table(study, made.record(study)))
    assert [one.metric for one in numbers.curves[0].references] == ["success"]
    assert not any(curve.references for curve in numbers.curves[1:])
    (other,) = numbers.other_curves
    assert (other.metric, other.family) == ("distance_m", numbers.curves[0].family)
    assert [one.metric for one in other.references] == ["distance_m"]


def test_samples_are_the_worst_episodes(whole):
    """A sample is the worst episode of its cell, once per policy and thing perturbed."""
    table, numbers = whole
    for sample in numbers.samples:
        values = table.values(sample.policy, sample.condition)
        assert sample.value == np.nanmin(values)
        assert sample.trial.condition == table.study.conditions[sample.condition]
    first_words = [
        (sample.policy, sample.condition.split()[0])
        for sample in numbers.samples
        if "with" not in sample.condition
    ]
    assert len(first_words) == len(set(first_words))


def test_an_empty_or_partial_study_is_reported_as_such(made):
    """Figures of a study that has hardly begun say so and do not fail."""
    study = made.walker(episodes=3)
    nothing = figures(Table(study, made.record(study, [])))
    assert nothing.competent == ()
    assert {gate.reason for gate in nothing.gates} == {"no nominal episode was recorded"}
    rows = made.rows(study)
    for count in (1, 40, 200):
        figures(Table(study, made.record(study, rows[:count])))


def test_a_metric_may_be_negative(made):
    """Where nominal is not positive nothing is told as a share of it, and severities still have a reach."""
    study = made.walker(episodes=5, metric="score", competent=-1.0)
    rows = [row | {"metrics": json.dumps({"score": (row["success"] or 0) - 1.5})} for row in made.rows(study)]
    numbers = figures(Table(study, made.record(study, rows)))
    mine = numbers.challenges[0]
    assert math.isnan(mine.kept.value)
    assert numbers.first_to_break("plain")
    table = Table(study, made.record(study, rows))
    held = [row.condition for row in numbers.held_out if row.policy == mine.policy]
    gaps = [table.values(mine.policy, label) - table.values(mine.policy, "nominal") for label in held]
    assert mine.change.estimate.value == pytest.approx(np.nanmean(gaps))
    said = " ".join(words.answer(numbers, mine.policy, "score", False))
    assert "score changes by −" in said
    assert "keeps" not in said
    assert words.margin(numbers) == "nominal less 10 % of its size"
    # What breaks and is on no curve is told all the same: −1.5 is below −0.5 − 0.05.
    low = {one.condition for one in numbers.squares if one.policy == "plain" and one.estimate.value < -0.6}
    assert low
    assert not any(one.holds for one in numbers.squares if one.policy == "plain" and one.condition in low)


def test_nothing_depends_on_other_conditions(made):
    """Adding a condition changes no estimate of the others."""
    study = made.walker(episodes=6, metric="distance_m", competent=1.0)
    more = made.walker(
        episodes=6,
        metric="distance_m",
        competent=1.0,
        conditions=dict(study.conditions) | {"gravity": (set_to("parameter:payload.mass", 1.0),)},
    )
    a, b = (figures(Table(one, made.record(one))) for one in (study, more))
    shared = {(row.policy, row.condition): row.estimate for row in b.held_out}
    assert all(shared[row.policy, row.condition] == row.estimate for row in a.held_out)


def test_the_heat_map_has_every_cell_that_acted(whole):
    """Each competent policy has a square for every condition that acted on it, with its kind and what it keeps."""
    table, numbers = whole
    silent = gates(numbers, "no effect") | {(policy, "friction 1") for policy in numbers.competent}
    places = {(one.policy, one.condition): one for one in numbers.squares}
    assert places.keys() | silent == {(p, c) for p in numbers.competent for c in table.perturbed}
    held = {(row.policy, row.condition): row for row in numbers.held_out}
    for place, one in places.items():
        nominal = np.nanmean(table.values(place[0], "nominal"))
        assert one.kept == pytest.approx(np.nanmean(table.values(*place)) / nominal)
        assert (one.kind == "in-distribution") == (place not in held or place in silent)


def test_a_profile_counts_what_lies_above(whole):
    """A profile falls from what does anything to nothing, and is the share of conditions above each value."""
    table, numbers = whole
    assert {one.policy for one in numbers.profiles} == set(numbers.competent)
    common = [
        label
        for label in table.perturbed
        if all(
            (p, label) in {(row.policy, row.condition) for row in numbers.held_out} for p in numbers.competent
        )
    ]
    for one in numbers.profiles:
        assert one.conditions == len(common)
        shares = [estimate.value for estimate in one.share]
        assert shares == sorted(shares, reverse=True)
        means = np.array([np.nanmean(table.values(one.policy, label)) for label in common])
        assert shares == pytest.approx([(means > above).mean() for above in one.above])
        assert all(estimate.low <= estimate.value <= estimate.high for estimate in one.share)


def test_steps_buy_what_the_same_conditions_tell(made):
    """Sample efficiency has each run's steps and its mean over the conditions held out for all policies."""
    study = made.walker(episodes=6, runs=2)
    table = Table(study, made.record(study))
    numbers = figures(table)
    plain, randomised = numbers.efficiencies
    assert (plain.steps, randomised.steps) == ((2e6, 2e6), (6e6, 6e6))
    assert plain.conditions == randomised.conditions == numbers.comparisons[0].conditions
    gain = randomised.estimate.value - plain.estimate.value
    assert gain == pytest.approx(numbers.comparisons[0].held_out.estimate.value)
    assert np.mean(plain.values) == pytest.approx(plain.estimate.value)


def test_without_different_steps_there_is_nothing_to_buy(made):
    """Policies that took the same steps, or tell none, have no such figure."""
    same = {name: [made.policy(name, (), steps=5)] for name in ("plain", "randomised")}
    silent = {name: [made.policy(name, ())] for name in ("plain", "randomised")}
    for policies in (same, silent):
        study = made.walker(episodes=3, policies=policies)
        assert figures(Table(study, made.record(study))).efficiencies == ()

import json

import gymnasium as gym
import numpy as np
import pytest

from sim2real.errors import Sim2RealError
from sim2real.perturb import Integers, Normal, Uniform, Wrap, add, delay, held_out_kind, scale, set_to
from sim2real.perturb.curriculum import AutomaticRandomization, ByCompetence, Linear
from sim2real.testing import EchoEnv
from sim2real.wrappers import Perturbed

GAIN, OFFSET = "parameter:gain", "parameter:offset"
WIDEST = (scale(GAIN, Uniform(0.5, 2.0)), add(OFFSET, Uniform(-1, 1)), delay("action", Integers(0, 4)))


def linear():
    return Linear([scale(GAIN, 2.0), add("observation", Normal(0, 1))], 1000, start=0.1, end=0.9, after=200)


def competence():
    return ByCompetence([scale(GAIN, 2.0)], raise_above=0.7, lower_below=0.3, step=0.25, episodes=3)


def adr(**options):
    given = {"raise_above": 0.8, "lower_below": 0.4, "episodes": 4, "seed": 3, "step": 0.1} | options
    return AutomaticRandomization(WIDEST, **given)


def play(curriculum, cope, episodes=1, seed=0):
    """Report scores of a policy that copes with some values, drawn as a wrapper would draw them."""
    rng = np.random.default_rng(seed)
    for _ in range(episodes):
        condition = curriculum.next()
        values = [float(item.amount.quantile(rng.random(1))[0]) for item in condition]
        curriculum.report(condition, float(cope(values)), steps=50)


def test_a_line_goes_from_start_to_end():
    """Strength is linear in the steps reported between ``after`` and the end, and constant outside."""
    curriculum, strengths = linear(), []
    for _ in range(15):
        strengths.append(curriculum.strength)
        curriculum.report(curriculum.next(), 0.0, steps=100)
    np.testing.assert_allclose(strengths, np.interp(np.arange(15) * 100, [200, 1200], [0.1, 0.9]))
    assert [item.strength for item in curriculum.next()] == [0.9, 0.9]
    assert [item.strength for item in curriculum.widest] == [0.9, 0.9]


def test_competence_moves_strength_both_ways():
    """Good means raise, bad means lower, others leave the strength; it stays within its bounds."""
    curriculum = competence()
    for mean, expected in ((0.9, 0.25), (0.9, 0.5), (0.5, 0.5), (0.1, 0.25), (0.1, 0.0), (0.1, 0.0)):
        for _ in range(3):
            curriculum.report(curriculum.next(), mean)
        assert curriculum.strength == expected
    for _ in range(30):
        curriculum.report(curriculum.next(), 1.0)
    assert curriculum.strength == 1.0


def test_scores_at_another_strength_do_not_count():
    """An episode that began before a move says nothing about what came after."""
    curriculum = competence()
    old = curriculum.next()
    for _ in range(3):
        curriculum.report(old, 1.0)
    for _ in range(9):
        curriculum.report(old, 1.0)
    assert curriculum.strength == 0.25


def test_ends_widen_to_where_the_policy_copes():
    """Every end goes as far as the policy copes, each on its own, and stays there."""
    curriculum = adr()
    play(curriculum, lambda v: 0.74 < v[0] < 1.55 and v[1] > -0.62 and v[2] < 2.5, episodes=6000)
    gain, offset, lag = (item.amount for item in curriculum.condition)
    # The end found is the last place where all is well, or the one beyond it, under test.
    assert gain.low == pytest.approx(0.75, abs=0.051)
    assert gain.high == pytest.approx(1.5, abs=0.101)
    assert offset.low == pytest.approx(-0.6, abs=0.101)
    assert offset.high >= 0.8  # it fails now and then where others are under test
    assert (lag.low, lag.high) in ((0, 2), (0, 3))


def test_all_goes_to_the_limits_and_back():
    """A policy that copes with everything ends at the widest ranges, one that fails at where it began."""
    curriculum = adr()
    assert curriculum.entropy < -5
    play(curriculum, lambda v: True, episodes=1000)
    assert curriculum.condition == curriculum.widest
    assert curriculum.entropy == pytest.approx(0.0)
    play(curriculum, lambda v: False, episodes=1000)
    assert [item.amount for item in curriculum.condition] == [Uniform(1, 1), Uniform(0, 0), Integers(0, 0)]


def test_a_known_range_of_scores_saves_episodes_and_changes_nothing():
    """With the range known, tests end early and decide the same on the same scores."""
    plain, early = (
        adr(episodes=10, boundary_share=1.0),
        adr(episodes=10, boundary_share=1.0, score_range=(0, 1)),
    )
    rng = np.random.default_rng(0)
    spared = 0
    for share in rng.random(200):
        assert (plain.testing, plain.condition) == (early.testing, early.condition)
        scores = list((rng.random(10) < share).astype(float))
        for score in scores:
            plain.report(plain.next(), score)
        while True:
            early.report(early.next(), scores.pop(0))
            if not early.state_dict()["scores"]:
                break
        spared += len(scores)
    assert spared > 300


@pytest.mark.parametrize("make", [linear, competence, adr])
def test_a_checkpoint_goes_on_as_if_nothing_happened(make):
    """A state written as JSON, and read into a fresh curriculum, yields the same conditions from there on."""
    first = make()
    rng = np.random.default_rng(0)
    for _ in range(37):
        first.report(first.next(), rng.random(), steps=10)
    second = make()
    second.load_state_dict(json.loads(json.dumps(first.state_dict())))
    for _ in range(100):
        condition = first.next()
        assert second.next() == condition
        score = rng.random()
        first.report(condition, score, steps=10), second.report(condition, score, steps=10)
    assert first.state_dict() == second.state_dict()


@pytest.mark.parametrize("make", [linear, competence, adr])
def test_all_it_yields_lies_within_the_widest(make):
    """No condition ever reaches beyond the widest, and all fit an environment made with that."""
    curriculum, rng = make(), np.random.default_rng(1)
    env = Perturbed(EchoEnv(), curriculum.widest)
    nominals = {"gain": 1.0, "offset": 0.0}
    for _ in range(60):
        condition = curriculum.next()
        env.become(condition)
        env.reset(seed=0)
        if make is adr:
            assert held_out_kind(condition, [curriculum.widest], nominals) in ("in-distribution", "nominal")
        curriculum.report(condition, rng.random(), steps=30)


def test_a_tested_end_is_a_range_of_one_value():
    """While an end is tested its parameter stands there, and all others draw what they draw anyway."""
    curriculum = adr(boundary_share=1.0)
    play(curriculum, lambda v: True, episodes=60)
    condition = curriculum.next()
    changed = [
        (one, other) for one, other in zip(condition, curriculum.condition, strict=True) if one != other
    ]
    assert len(changed) == 1
    one, other = changed[0]
    tested, side = curriculum.testing
    assert other == tested
    assert one.amount.low == one.amount.high == getattr(other.amount, side)
    assert one.identity == other.identity


def test_set_begins_where_it_is_told():
    """A range of absolute values needs a start, a number or a narrower range."""
    curriculum = AutomaticRandomization(
        [set_to(GAIN, Uniform(0.5, 3))], raise_above=0, start=[set_to(GAIN, Uniform(1.0, 1.5))]
    )
    assert curriculum.condition[0].amount == Uniform(1.0, 1.5)


@pytest.mark.parametrize(
    ("make", "hint"),
    [
        (lambda: AutomaticRandomization([set_to(GAIN, Uniform(0.5, 3))], raise_above=0), "give start"),
        (lambda: AutomaticRandomization([add(GAIN, Normal(0, 1))], raise_above=0), "no range to widen"),
        (lambda: AutomaticRandomization([scale(GAIN, Uniform(2, 3))], raise_above=0), "within its range: at 1"),
        (lambda: adr(raise_above=0.1), "must not exceed"),
        (lambda: adr(step=0.0), "in \\(0, 1\\]"),
        (lambda: adr(start=[]), "start has 0"),
        (lambda: adr(start=WIDEST[::-1]), "where widest has"),
        (lambda: Linear([scale(GAIN, 2)], 0), "at least 1"),
        (lambda: Linear([Wrap(adr, label="x")], 5), "takes perturbations"),
        (lambda: ByCompetence([scale(GAIN, 2)], raise_above=0, lower_below=1), "must not exceed"),
        (lambda: ByCompetence([scale(GAIN, 2)], raise_above=0, step=-1), "positive step"),
        (lambda: competence().report(competence().next(), float("nan")), "finite"),
        (lambda: adr().load_state_dict(linear().state_dict()), "no state of"),
        (lambda: adr().load_state_dict(
            AutomaticRandomization(WIDEST[:1], raise_above=0).state_dict()), "other ranges"),
    ],
)  # fmt: skip
def test_mistakes_are_told_in_a_sentence(make, hint):
    """What makes no curriculum is refused when it is made."""
    with pytest.raises(Sim2RealError, match=hint):
        make()


def test_several_environments_share_one_curriculum():
    """Environments side by side, each in an episode of its own condition, are told and heard one by one."""
    curriculum = adr(episodes=2, score_range=(0, 1))
    vector = gym.vector.SyncVectorEnv([lambda: Perturbed(EchoEnv(), curriculum.widest) for _ in range(4)])
    for _ in range(30):
        conditions = [curriculum.next() for _ in vector.envs]
        for env, condition in zip(vector.envs, conditions, strict=True):
            env.become(condition)
        _, infos = vector.reset(seed=0)
        for gain, condition in zip(infos["parameters"]["gain"], conditions, strict=True):
            curriculum.report(condition, score=float(gain < 1.3), steps=1)
    gain = curriculum.condition[0].amount
    assert gain.low < 1 < gain.high < 1.5
    vector.close()

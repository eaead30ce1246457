import numpy as np
import pytest
from study_toys import cartpole, nan, toy

from sim2real.cli import main
from sim2real.errors import Sim2RealError
from sim2real.perturb import Normal, add
from sim2real.stats import Variation, detectable_effect
from sim2real.study import plan as room
from sim2real.study import run
from sim2real.study.executors import InProcess
from sim2real.study.plan import plan


def study(**changes):
    fields = {
        "conditions": {"noise": [add("observation", Normal(0, 0.15))]},
        "episodes": 30,
        "max_steps": 100,
    }
    return cartpole(**{**fields, **changes})


@pytest.fixture
def here(monkeypatch):
    """Play in this process, where making one takes seconds."""
    monkeypatch.setattr(room, "Processes", lambda workers: InProcess())


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The records of the whole study."""
    path = tmp_path_factory.mktemp("plan")
    run(study(), path, workers=0)
    return path


def test_a_plan_counts_what_is_missing_and_what_that_takes(tmp_path, folder):
    """All is to be played before a run and nothing after; two processes take half the time, and twice the memory."""
    before, after = plan(study(), tmp_path / "new", workers=2), plan(study(), folder)
    assert (before.trials, before.missing) == (120, 120)
    assert before.wall_s == pytest.approx(120 * before.episode_s / 2)
    assert (after.missing, after.wall_s) == (0, 0.0)
    assert 0 < before.episode_s < 1
    assert 20 < after.memory_mb < 2000
    assert before.memory_mb == pytest.approx(2 * after.memory_mb, rel=0.2)
    assert not (tmp_path / "new").exists()


def test_an_assumed_spread_is_the_formula(tmp_path, here):
    """With a spread assumed, the detectable effect is that of two such values that have nothing in common."""
    (found,) = plan(study(), tmp_path, spread=0.3).comparisons
    of = Variation(rest=0.3 * np.sqrt(2))
    assert found.detectable == pytest.approx(detectable_effect(of, runs=1, episodes=30, rate=True))
    assert found.among_all == found.detectable  # one condition: nothing to adjust for


def test_records_say_how_much_differences_vary(folder, here):
    """A larger effect takes fewer episodes; a few more conditions make every one of them harder to tell apart."""
    one = plan(study(), folder, effect=0.1)
    large = plan(study(), folder, effect=0.3)
    assert [found.source for found in one.comparisons] == ["records"] * 2
    assert [found.what for found in one.comparisons] == ["a condition with nominal", "two policies"]
    for small, big in zip(one.comparisons, large.comparisons, strict=True):
        assert big.episodes < small.episodes
        assert 0 < small.detectable < 1
        assert not small.runs_known
    more = {f"noise {i}": [add("observation", Normal(0, 0.15 + 0.01 * i))] for i in range(5)}
    wide = plan(study(conditions=study().conditions | more), folder).comparisons[0]
    assert wide.among_all > wide.detectable


def test_a_plan_needs_episodes_that_run(tmp_path, here):
    """If no episode can be played, the sentence says why; numbers must be positive."""
    with pytest.raises(Sim2RealError, match="finite"):
        plan(toy(nan), tmp_path)
    with pytest.raises(Sim2RealError, match="positive"):
        plan(study(), tmp_path, effect=-1.0)


def test_the_command_line_plans(tmp_path, capsys, here):
    """`plan` says how many episodes, how long, and what would be found."""
    path = tmp_path / "poles.py"
    path.write_text("from study_toys import cartpole\nstudy = cartpole(episodes=30, max_steps=50)\n")
    assert main(["plan", str(path), "--effect", "0.2", "--spread", "0.3", "--workers", "2"]) == 0
    shown = capsys.readouterr().out
    assert shown.startswith("240 episodes, 240 of them still to run")
    assert "to find 0.2: " in shown

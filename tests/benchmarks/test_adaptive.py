"""Episodes that a threshold takes: played where they tell most, against a fixed grid of severities."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from sim2real import Normal, Study, add, policies
from sim2real.stats import Psychometric, margin
from sim2real.study import run
from sim2real.study.adaptive import FIRST, find_thresholds, measured, run_until

POLICY = Path(__file__).parents[2] / "studies" / "policies" / "halfcheetah" / "delay0-seed1.safetensors"
HALF_WIDTH = 0.05


def study(**changes):
    """A trained half-cheetah over 200 steps; it succeeds with 600 or more of the 790 that it earns undisturbed."""
    fields = {
        "name": "benchmark",
        "env": "HalfCheetah-v5",
        "policies": {"trained": policies.file(POLICY)},
        "conditions": {"noise": [add("observation", Normal(0, 0.1))]},
        "metric": "return",
        "competent": 600.0,
        "max_steps": 200,
    }
    return Study(**{**fields, **changes})


@pytest.mark.timeout(1800)
def test_a_threshold_takes_a_fraction_of_a_grid_s_episodes(tmp_path, benchmark):
    """The noise that success survives in 90 %, ± 5 % of the noise tried: ≥ 4 × fewer episodes than a grid of eleven."""
    _, _, (found,) = find_thresholds(study(), HALF_WIDTH, tmp_path / "search", workers=0)
    assert found.reached
    severities = np.linspace(0, 1, 11)
    noise = study().conditions["noise"][0]
    rungs = {f"{x:.1f}": [noise.at(float(x))] for x in severities}
    needed, widths = {}, {}
    for count in (5, 10, 20, 30, 40, 60, 80, 120, 160):
        grid = replace(study(), conditions=rungs, episodes=count)
        values = measured(grid, run(grid, tmp_path / "grid", workers=0).rows())
        held = np.stack([values["trained", label] for label in rungs], axis=1) >= grid.competent
        won = held[0].sum(1)
        rng = np.random.default_rng(0)
        for name, one in (
            (
                "the same curves",
                Psychometric(severities=tuple(severities), level=0.9).estimate(won, count - won),
            ),
            ("straight lines between intervals", margin(held.astype(float), severities, 0.9, rng, rate=True)),
        ):
            widths[name] = (min(one.high, 1.0) - min(one.low, 1.0)) / 2
            if widths[name] <= HALF_WIDTH:
                needed.setdefault(name, len(severities) * count)
        if len(needed) == len(widths):
            break
    ratios = {name: needed.get(name, len(severities) * count) / found.estimate.n_episodes for name in widths}
    benchmark.extra_info.update(ratios)
    print(f"\n{found.estimate} with {found.estimate.n_episodes} episodes")
    for name, ratio in ratios.items():
        more = "" if name in needed else f"more than (it is ± {widths[name]:.2f} still) "
        print(f"a grid read by {name}: {more}{ratio:.1f} × as many")
    benchmark.pedantic(lambda: None)


@pytest.mark.timeout(1800)
def test_sequential_allocation_against_equal_episodes(tmp_path, benchmark):
    """The return within ± 40 in each of eight conditions, against as many episodes in all as the worst takes.

    Beside it what an oracle would need that knew every spread beforehand and looked once: no method takes fewer.
    """
    noise = study().conditions["noise"][0]
    strengths = (0.02, 0.05, 0.1, 0.15, 0.3, 0.6, 1.0)
    work = study(conditions={f"{x}": [noise.at(x)] for x in strengths}, episodes=320)
    part, store, cells = run_until(work, 40.0, tmp_path, workers=0)
    spreads = [np.nanstd(one, ddof=1) for one in measured(part, store.rows()).values()]
    needed = [max(FIRST, (1.96 * one / 40.0) ** 2) for one in spreads]
    fixed, oracle = len(needed) * max(needed), sum(needed)
    ratio = fixed / len(store)
    benchmark.extra_info.update(ratio=ratio, oracle=fixed / oracle)
    counts = ", ".join(f"{cell.condition} {cell.episodes}" for cell in cells)
    print(
        f"\n{len(store)} episodes ({counts}); a grid takes {fixed:.0f}, {ratio:.1f} × as many; an oracle {oracle:.0f}"
    )
    benchmark.pedantic(lambda: None)

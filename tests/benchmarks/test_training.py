"""Training's target: what the learner leaves of the environments' own throughput."""

import statistics
import time

import numpy as np
import pytest

from sim2real.training import Ppo, Training
from sim2real.training.learner import Learner
from sim2real.training.vector import Environments

STEPS = 2 * 256 * 32


@pytest.mark.timeout(900)
@pytest.mark.parametrize("mirror", [False, True])
def test_learner_and_environments_against_environments_alone(mirror, benchmark):
    """≥ 60 % of the environments' own steps per second, in two processes on two cores."""
    training = Training(
        name="benchmark", env="sim2real:sim2real/Walk-v0", algorithm=Ppo(mirror=mirror), checkpoint=STEPS
    )
    environments = Environments(training)
    learner = Learner(training, environments, 0)
    learner.stretch(0, STEPS)
    rng, ratios, speeds = np.random.default_rng(0), [], []
    for number in range(1, 4):
        start = time.perf_counter()
        learner.stretch(number, STEPS)
        both_s = time.perf_counter() - start
        start = time.perf_counter()
        environments.prepare(number)
        environments.reset()
        for _ in range(STEPS // training.environments):
            environments.step(training.algorithm.std * rng.standard_normal((training.environments, 12)))
        ratios.append((time.perf_counter() - start) / both_s)
        speeds.append(STEPS / both_s)
    environments.close()
    ratio = statistics.median(ratios)
    benchmark.extra_info["ratio"] = round(ratio, 3)
    print(
        f"\nlearner and environments, mirror={mirror}: {ratio:.2f} of the environments', {max(speeds):.0f} steps/s"
    )
    benchmark.pedantic(lambda: None)

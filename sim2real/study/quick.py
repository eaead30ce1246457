"""A study without a file: somebody's environment, somebody's policies, named conditions."""

import json
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

from sim2real.errors import Sim2RealError
from sim2real.perturb import Integers, Item, Make, Parameters, Perturbation, delay, preset
from sim2real.perturb.amounts import hull
from sim2real.policies import file, random, scripted
from sim2real.study.rollout import Env, episode, make
from sim2real.study.study import SHARES, Study
from sim2real.wrappers import Perturbed, discover
from sim2real.wrappers.period import first_step, period_of
from sim2real.wrappers.signals import leaves

GRADES = ("easy", "medium", "hard")
TRIES = 5
"""Episodes of random actions that say from where on a return is worth speaking of."""
LONGEST = 10_000
LATE = {"parameter:actuator.latency_s": "action", "parameter:sensor.latency_s": "observation"}


def quick_study(
    env: str,
    paths: Sequence[str | Path],
    perturb: Sequence[str] = GRADES,
    *,
    episodes: int = 20,
    metric: str | None = None,
    competent: float | None = None,
    period_s: float | None = None,
) -> tuple[Study, tuple[str, ...]]:
    """Return the study of policies in an environment, under presets and under each of their parts alone.

    A latency that the environment has no parameter for is a delay of as many control steps; what does not fit
    the whole of a Dict or Tuple, as some part has no numbers, goes for each other part. The rest is left out. After
    ``KEYWORD=VALUE`` among the presets all of this is asked once more, of the environment made with that value.

    Args:
        env: Gymnasium id, with the module that registers it if need be.
        paths: policy files.
        perturb: names of presets, and KEYWORD=VALUE, an argument of `gymnasium.make` ("engine=mujoco").
        episodes: per policy and condition.
        metric: as in `Study`; None for success, if the environment's first words tell of it, or else the return.
        competent: as in `Study`; None for 0.9 of success and other shares, and for what random actions get of anything
            else.
        period_s: as in `Study`; None for what the environment says, or else its simulator's clock.

    Returns:
        The study, and a sentence about every part of a preset that was left out, and about a period that was measured.

    Raises:
        Sim2RealError: for an environment, a policy or a preset that there is not.
    """
    made = make(SimpleNamespace(env=env, env_kwargs={}))
    stated = period_of(made, period_s)
    parameters = discover(made)
    _, info = made.reset(seed=0)
    metric = metric or ("return" if {"success", "is_success"}.isdisjoint(info) else "success")
    presets = [name for name in perturb if "=" not in name]
    made.action_space.seed(0)
    _, period = first_step(made, made.action_space.sample(), stated)
    if stated.unknown and not period.unknown:
        period_s = period.period_s
    conditions, left_out = _conditions(made, parameters, presets, period_s)
    if stated.unknown and period_s:
        left_out.append(f"The time between steps is taken to be {period_s:.4g} s: {period.said[0]}.")
    for other in (_other(word) for word in perturb if "=" in word):
        made = make(SimpleNamespace(env=env, env_kwargs={other.name: other.value}))
        there, lost = _conditions(made, discover(made), presets, period_s)
        where = f"{other.name}={other.value}"
        conditions[where] = [other]
        conditions |= {f"{label}, {where}": [other, *items] for label, items in there.items()}
        left_out += [f"{where}, {sentence}" for sentence in lost]
    question = f"How much is left under {', '.join(perturb)}?"
    if competent is None and metric not in SHARES and not metric.endswith("_share"):
        competent = _of_chance(env, metric)
        question += f" Competent is who gets more {metric} than random actions, which get {competent:.4g}."
    study = Study(
        name=re.sub(r"[^\w.-]", "-", env.rpartition("/")[2].rpartition(":")[2]),
        env=env,
        policies={Path(path).stem: [file(path)] for path in paths},
        conditions=conditions,
        parameters=discover,
        episodes=episodes,
        metric=metric,
        competent=0.9 if competent is None else competent,
        question=question,
        period_s=period_s,
    )
    return study, tuple(left_out)


def _of_chance(env: str, metric: str) -> float:
    """Return the mean of a metric over nominal episodes of random actions.

    Raises:
        Sim2RealError: if they do not end, or do not tell it.
    """
    made = make(SimpleNamespace(env=env, env_kwargs={}))
    policy = scripted(random).bind(made)
    values = []
    for seed in range(TRIES):
        row = episode(made, policy, seed, LONGEST)
        told = {**json.loads(row["metrics"]), **row}
        if row["length"] == LONGEST or told.get(metric) is None:
            why = f"have no end after {LONGEST:,} steps" if row["length"] == LONGEST else "do not tell it"
            raise Sim2RealError(
                f"Say which nominal {metric} is good enough (--competent): random actions, which stand in, {why}."
            )
        values.append(float(told[metric]))
    made.close()
    return sum(values) / TRIES


def _other(word: str) -> Make:
    """Return what KEYWORD=VALUE means; a value that is not JSON is text."""
    name, _, value = word.partition("=")
    try:
        return Make(name=name, value=json.loads(value))
    except json.JSONDecodeError:
        return Make(name=name, value=value)


def _conditions(
    made: Env, parameters: Parameters, presets: Sequence[str], period_s: float | None
) -> tuple[dict[str, list[Item]], list[str]]:
    """Return presets and each of their parts as they fit an environment, which is closed, and what does not."""
    conditions: dict[str, list[Item]] = {}
    left_out: list[str] = []
    for name in presets:
        parts: list[Item] = []
        for item in preset(name):
            for one, wrong in _fitted(item, made, parameters, period_s):
                if wrong:
                    left_out.append(f"{name} without '{one.label}': {wrong}")
                else:
                    parts.append(one)
        conditions[name] = parts
        conditions |= {part.label: [part] for part in parts}
    made.close()
    return conditions, left_out


def _fitted(
    item: Perturbation, env: Env, parameters: Parameters, period_s: float | None
) -> list[tuple[Perturbation, str]]:
    """Return the perturbation as it fits an environment, or its parts, each with why it does not fit, "" if it does."""
    period = period_of(env, period_s)
    if item.target in LATE and item.target.partition(":")[2] not in parameters.names():
        if period.unknown:
            needed = "that is a delay, for which one needs to know the time between steps: "
            return [(item, needed + period.unknown)]
        steps = [round(seconds / period.said[0].period_s) for seconds in hull(item.support)]
        if not steps[1]:
            return [(item, "that is less than half a control step.")]
        item = delay(
            LATE[item.target], steps[0] if steps[0] == steps[1] else Integers(*steps), every=item.every
        )
    wrong = _misfit(item, env, parameters, period_s)
    if not wrong:
        return [(item, "")]
    space = {"observation": env.observation_space, "action": env.action_space}.get(item.target)
    paths = [] if space is None else [path for path, _ in leaves(space) if path]
    parts = [replace(item, target=":".join((item.target, *map(str, path)))) for path in paths]
    return [(part, _misfit(part, env, parameters, period_s)) for part in parts] or [(item, wrong)]


def _misfit(item: Perturbation, env: Env, parameters: Parameters, period_s: float | None) -> str:
    """Return why a perturbation does not fit an environment, "" if it does."""
    try:
        Perturbed(env, [item], parameters=parameters, period_s=period_s)
    except Sim2RealError as error:
        return str(error).removeprefix(f"'{item.label}': ").partition(". ")[0].rstrip(".") + "."
    return ""

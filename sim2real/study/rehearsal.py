"""Whether episodes repeat, found out before a study: where they do not, no two conditions meet the same episodes.

The first policy plays an episode; its recorded actions are then played again, and once more after another episode. So
the environment is judged without a policy, and policies in an environment that is known to repeat.
"""

from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from copy import deepcopy
from dataclasses import replace
from typing import Any

import gymnasium as gym
from gymnasium.utils.env_checker import data_equivalence

from sim2real.errors import Sim2RealError
from sim2real.perturb import Item, Make, Perturbation, to_json
from sim2real.study.rollout import SUCCESS, UNTOLD, Actor, Bench, episode, one_line, success
from sim2real.study.seeds import canonical, content_hash
from sim2real.study.study import NOMINAL, Cell, Study
from sim2real.study.trial import Trial

Finding = dict[str, str]
"""What does not repeat: a `sentence`, and the label of the `policy` or the `surroundings` of the `environment`."""

UNPAIRED = "So differences are not called paired: no two conditions are known to meet the same episodes."
STEPS = 100
"""Control steps of an episode that is played to see whether it repeats."""
EPISODES = 8
"""How many are played in an environment, about; that many times the time limit of one is allowed."""
FEW_STEPS = 10
"""The same of every policy but the first: one that draws its actions shows it at once."""


def surroundings(condition: Iterable[Item]) -> str:
    """Return what a condition makes and wraps its environment with; perturbations repeat by themselves."""
    return canonical(to_json(item for item in condition if not isinstance(item, Perturbation)))


def touches(finding: Finding, policy: str, condition: Iterable[Item]) -> bool:
    """Tell whether what does not repeat has a part in the episodes of a policy under a condition."""
    if finding["policy"]:
        return finding["policy"] == policy
    # What is wrapped around an environment that does not repeat does not repeat either.
    made = [item for item in condition if isinstance(item, Make)]
    return finding["environment"] in (surroundings(condition), surroundings(made))


def identity(study: Study) -> str:
    """Return what tells a rehearsal from that of another study; more perturbations and episodes make no other."""
    policies = [(cell.policy_label, cell.trial.key) for cell in _nominal(study)]
    return content_hash(canonical([study.metric, policies, sorted(_environments(study))]))


def rehearse(study: Study, trust: bool, restless: Sequence[str] = ()) -> dict[str, Any]:
    """Play a few short episodes of the first policy, in each environment that conditions make or wrap.

    Args:
        study: to be run.
        trust: load policy files that can execute code.
        restless: labels of the other policies that are not `steady` in the nominal environment.

    Returns:
        "of": the study's `identity`; "findings": all that does not repeat.

    Raises:
        Sim2RealError: If the study's metric is success, and the environment does not tell it.
    """
    first = _nominal(study)[0]
    second = replace(study, episodes=2, only={}).trial(first.policy_label, first.run, NOMINAL, 1)
    if study.metric == "success":
        _ask_for_success(first.trial, second, trust)
    findings: list[Finding] = []
    for key, items in _environments(study).items():
        if any(touches(finding, "", items) for finding in findings):
            continue
        why, steady_policy = _judged(
            replace(first.trial, condition=items), replace(second, condition=items), trust
        )
        if why:
            told = ", ".join(item.label for item in items)
            name = f"Environment '{study.env}'" + (f" ({told})" if told else "")
            findings.append({"policy": "", "environment": key, "sentence": f"{name} {why}"})
        elif not steady_policy:
            restless = [first.policy_label, *restless]
    if not any(touches(finding, "", ()) for finding in findings):
        why = "acts otherwise when an episode is repeated, in an environment that repeats the same actions."
        findings += [
            {"policy": label, "environment": "", "sentence": f"Policy '{label}' {why}"}
            for label in dict.fromkeys(restless)
        ]
    return {"of": identity(study), "findings": findings}


def steady(bench: Bench, trial: Trial) -> bool:
    """Tell whether the first steps of an episode repeat; what fails in them is for its record to tell."""
    few = _cut(trial, FEW_STEPS)
    first, played = _outcome(bench, few)
    return not played or _outcome(bench, few)[0] == first


def _nominal(study: Study) -> list[Cell]:
    """Return the first nominal episode of every policy file."""
    return [*replace(study, conditions={}, episodes=1, only={}).cells()]


def _environments(study: Study) -> dict[str, tuple[Item, ...]]:
    """Return what makes and wraps the environments of a study, the nominal one first, by its `surroundings`."""
    found: dict[str, tuple[Item, ...]] = {}
    for condition in study.conditions.values():
        around = tuple(item for item in condition if not isinstance(item, Perturbation))
        found.setdefault(surroundings(around), around)
    return found


def _cut(trial: Trial, steps: int) -> Trial:
    return replace(trial, max_steps=min(trial.max_steps or steps, steps))


def _judged(trial: Trial, other: Trial, trust: bool) -> tuple[str, bool]:
    """Return in what an environment does not repeat, "" if it does, and whether the policy then does."""
    trial, other = _cut(trial, STEPS), _cut(other, STEPS)
    tape: list[Any] = []
    with closing(Bench(trust)) as bench:
        first, played = _outcome(bench, trial, record=tape)
        if not played:
            return "", True
        again, _ = _outcome(bench, trial, replay=tape)
        _outcome(bench, other)
        after, _ = _outcome(bench, trial, replay=tape)
        if first == again == after:
            return "", _outcome(bench, trial)[0] == first
    beginnings, outcomes = [], []
    for _ in range(2):
        with closing(Bench(trust)) as bench:
            with bench.staged(trial) as (env, _):
                beginnings.append(deepcopy(env.reset(seed=trial.seed)[0]))
            outcomes.append(_outcome(bench, trial, replay=tape))
    if not data_equivalence(beginnings[0], beginnings[1], exact=True):
        return "ignores the seed: two copies of it that are reset with one seed begin differently.", True
    if outcomes[0] != outcomes[1]:
        return "differs from run to run: with one seed and the same actions two copies of it go apart.", True
    return (
        "depends on the episode before: with one seed and the same actions it gives another episode once it has played "
        "one, while fresh copies of it agree.",
        True,
    )


def _outcome(
    bench: Bench, trial: Trial, *, record: list[Any] | None = None, replay: Sequence[Any] = ()
) -> tuple[str, bool]:
    """Return what tells an episode from others, or what went wrong in it, and whether nothing did.

    Args:
        bench: where it is played.
        trial: which.
        record: takes the policy's actions.
        replay: actions to be played instead.
    """
    try:
        with bench.staged(trial) as (env, policy):
            actor: Actor = _Tape(replay) if replay else policy
            actor = actor if record is None else _Recorder(actor, record)
            return str(episode(env, actor, trial.seed, trial.max_steps)["digest"]), True
    except Exception as error:
        return one_line(error), False


class _Recorder:
    """A policy whose actions are kept."""

    def __init__(self, policy: Actor, tape: list[Any]) -> None:
        self._policy, self._tape = policy, tape

    def reset(self, seed: int | None = None) -> None:
        self._policy.reset(seed)

    def __call__(self, observation: Any) -> Any:
        self._tape.append(deepcopy(action := self._policy(observation)))
        return action


class _Tape:
    """Acts as was recorded; an episode that lasts longer goes on with the last action."""

    def __init__(self, tape: Sequence[Any]) -> None:
        self._tape = tape

    def reset(self, seed: int | None = None) -> None:
        self._step = 0

    def __call__(self, observation: Any) -> Any:
        action = self._tape[min(self._step, len(self._tape) - 1)]
        self._step += 1
        return deepcopy(action)


def _ask_for_success(first: Trial, second: Trial, trust: bool) -> None:
    """Raise a sentence if none of some episodes tells success, or one tells it in a way that cannot be understood."""
    with closing(Bench(trust)) as bench:
        for trial in (first, second):
            with bench.staged(trial) as (env, policy):
                heard = _Ear(env)
                try:
                    episode(heard, policy, trial.seed, trial.max_steps)
                except Exception:
                    success(heard.info)
                    return  # what went wrong otherwise its record will tell
            if success(heard.info) is not None:
                return
    raise success_untold(first)


def success_untold(trial: Trial) -> Sim2RealError:
    """Return the sentence for a study of success in an environment that does not tell it."""
    looked_for = " nor ".join(f"info['{name}']" for name in SUCCESS)
    cut = f", which is cut after max_steps={trial.max_steps}," if trial.max_steps else ""
    return Sim2RealError(
        f"'{trial.env}' does not tell success: the last step of an episode{cut} has neither {looked_for}. {UNTOLD}"
    )


class _Ear(gym.Wrapper[Any, Any, Any, Any]):
    """Keeps the last `info`."""

    info: Mapping[str, Any] = {}

    def step(self, action: Any) -> tuple[Any, Any, bool, bool, dict[str, Any]]:
        told = self.env.step(action)
        self.info = told[-1]
        return told

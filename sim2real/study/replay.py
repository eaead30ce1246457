"""One recorded episode again, to look at it, to prove that it repeats, or to see what one change would have made."""

from collections.abc import Mapping, Sequence
from dataclasses import replace as with_fields

import numpy as np

from sim2real.errors import Sim2RealError, nearest
from sim2real.perturb import Item, Perturbation, set_to
from sim2real.study.rollout import Bench, Frames, Row
from sim2real.study.store import Store
from sim2real.study.study import Study
from sim2real.study.trial import Trial


def replay(trial: Trial, trust: bool = False, render: bool = False) -> tuple[Row, Frames]:
    """Run one trial in this process; return its row and, if rendered, images (height, width, 3), 15 a second.

    The row's `digest` is the recorded one if and only if every observation, action and reward is the same.

    Raises:
        Sim2RealError: If environment or policy cannot be made, or the policy file is not the one recorded.
    """
    bench = Bench(trust)
    frames: Frames = []
    try:
        return bench.run(trial, frames if render else None), frames
    finally:
        bench.close()


def find(study: Study, store: Store, key: str) -> tuple[Trial, Row]:
    """Return the trial and the recorded row whose key starts with the given digits.

    Raises:
        Sim2RealError: If none or several do, or the trial is not one of the study as it was last run.
    """
    rows = [row for row in store.rows() if key and row["key"].startswith(key)]
    if len(rows) != 1:
        raise Sim2RealError(f"{len(rows)} episodes of '{study.name}' have a key that starts with '{key}'.")
    for cell in study.cells():
        if cell.trial.key == rows[0]["key"]:
            return cell.trial, rows[0]
    raise Sim2RealError(f"The episode {rows[0]['key']} is no longer part of '{study.name}'.")


def changed(trial: Trial, amounts: Mapping[str, float], without: Sequence[str] = ()) -> Trial:
    """Return the same episode with some perturbations changed; all others draw what they drew before.

    Args:
        trial: the episode.
        amounts: target -> the constant amount that its perturbation has from now on, at full strength; a parameter that
            nothing perturbs is set to it. "parameter:" may be left out.
        without: targets whose perturbations are left out.

    Raises:
        Sim2RealError: If a target names no perturbation of the episode and no parameter, or several perturbations.

    >>> from sim2real.perturb import Uniform
    >>> from sim2real.policies import builtin, scripted
    >>> slippery = Trial(
    ...     policy=scripted(builtin.hold), env="E", condition=(set_to("parameter:friction", Uniform(0, 1)),)
    ... )
    >>> changed(slippery, {"friction": 0.3}).condition[0].label
    'set friction to 0.3'
    """
    condition = list(trial.condition)
    for target in without:
        gone = _found(condition, target)
        if not gone:
            raise _unknown(condition, target)
        condition = [item for item in condition if item not in gone]
    for target, amount in amounts.items():
        found = _found(condition, target)
        if len(found) > 1:
            raise Sim2RealError(
                f"{len(found)} perturbations of the episode have the target '{target}': "
                f"{'; '.join(item.label for item in found)}. It cannot be told which of them {amount:g} is for."
            )
        side, colon, _ = target.partition(":")
        if found:
            place = condition.index(found[0])
            condition[place] = with_fields(found[0], amount=amount, strength=1.0)
        elif side == "parameter" or not (colon or side in ("observation", "action")):
            condition.append(set_to(target if colon else f"parameter:{target}", amount))
        else:
            raise _unknown(condition, target)
    return with_fields(trial, condition=tuple(condition))


def under(study: Study, trial: Trial, label: str) -> Trial:
    """Return the same episode under another condition of the study.

    Raises:
        Sim2RealError: If the study has no such condition.
    """
    if label not in study.conditions:
        raise Sim2RealError(f"'{study.name}' has no condition '{label}'.{nearest(label, study.conditions)}")
    return with_fields(trial, condition=tuple(study.conditions[label]))


def _found(condition: Sequence[Item], target: str) -> list[Perturbation]:
    """Return the perturbations of a target, whose "parameter:" may be left out."""
    return [
        item
        for item in condition
        if isinstance(item, Perturbation) and item.target in (target, f"parameter:{target}")
    ]


def _unknown(condition: Sequence[Item], target: str) -> Sim2RealError:
    targets = [item.target for item in condition if isinstance(item, Perturbation)]
    return Sim2RealError(f"The episode has no perturbation of '{target}'.{nearest(target, targets)}")


def beside(first: Frames, second: Frames) -> Frames:
    """Return images of two episodes side by side, the first to end waiting for the other in its last image."""
    longest = range(max(len(first), len(second)))
    gap = np.full((len(first[0]), 4, 3), 255, np.uint8)
    return [np.hstack([first[min(i, len(first) - 1)], gap, second[min(i, len(second) - 1)]]) for i in longest]

"""How a study's conditions relate to what a policy saw, the making of its environment included."""

import json
from collections.abc import Iterable, Mapping
from typing import Any

from sim2real.perturb import Condition, HeldOutKind, Item, Make, held_out_kind, makes
from sim2real.policies import PolicyFile
from sim2real.study.study import Study


def kind_in(
    study: Study, policy: PolicyFile, condition: Iterable[Item], facts: Mapping[str, Any]
) -> HeldOutKind:
    """Tell how a condition of a study relates to what a policy saw in training.

    Environments are made with much that is no part of their world (an episode's length, a camera). So what counts is
    what the study itself asks about: the keywords that its conditions override. The ``env_kwargs`` in a policy's file
    tell what it was trained in; one that tells nothing counts as trained in the environment of the study.

    Args:
        study: the study.
        policy: one of its policies.
        condition: one of its conditions.
        facts: what `check` found out, as it stands in `study.json`.
    """
    asked = {name for items in study.conditions.values() for name in makes(items)}
    defaults = facts.get("defaults", {})
    here = {**defaults, **study.env_kwargs}
    acting = tuple(
        item
        for item in condition
        if not (isinstance(item, Make) and item.name in here and here[item.name] == item.value)
    )
    nominals = {name: fact["nominal"] for name, fact in facts.get("parameters", {}).items()}
    return held_out_kind(acting, _seen(policy, asked, here, defaults), nominals, facts.get("groups", {}))


def _seen(
    policy: PolicyFile, asked: set[str], here: Mapping[str, Any], defaults: Mapping[str, Any]
) -> tuple[Condition, ...] | None:
    """Return the conditions met in training, with what their environment was made with otherwise than here."""
    told = policy.contract.training.get("env_kwargs")
    if policy.seen is None or told is None:
        return policy.seen
    there = {**defaults, **json.loads(str(told))}
    otherwise = tuple(
        Make(name=name, value=there[name])
        for name in sorted(asked & there.keys())
        if name not in here or here[name] != there[name]
    )
    return tuple((*one, *otherwise) for one in policy.seen or ((),))

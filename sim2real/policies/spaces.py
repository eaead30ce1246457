"""The spaces that a policy was trained with, held against those of the environment in which it is to act."""

from collections.abc import Iterator
from typing import Any

import numpy as np
from gymnasium import spaces

from sim2real.errors import Finding

Space = spaces.Space[Any]
KINDS = {"b": "booleans", "i": "whole numbers", "u": "whole numbers", "f": "floats"}


def compare_spaces(policy: tuple[Space, Space], env: Any) -> Iterator[Finding]:
    """Hold observation and action space of a policy against those of an environment.

    Shape and kind must fit. Bounds need not, but are told where they say in which unit something is: those of images,
    and those of actions, to which a policy scales its output.
    """
    name = type(env.unwrapped).__name__
    for what, own, here in zip(
        ("observations", "actions"), policy, (env.observation_space, env.action_space), strict=True
    ):
        yield from _compare(what, own, here, name)


def _compare(what: str, own: Space, here: Space, name: str) -> Iterator[Finding]:
    if isinstance(own, spaces.Dict) and isinstance(here, spaces.Dict):
        if set(own) != set(here):
            parts = ", ".join(own), ", ".join(here)
            said = f"The policy was trained with {what} of {parts[0]}, but {name} has {parts[1]}."
            yield Finding(what, said, False)
            return
        for key in own:
            yield from _compare(f"{what} '{key}'", own[key], here[key], name)
        return
    if isinstance(own, spaces.Box) and isinstance(here, spaces.Box):
        yield _boxes(what, own, here, name)
        return
    said = f"The policy was trained with {what} in {own}, but those of {name} are in {here}."
    same = bool(own == here)
    yield Finding(what, str(here) if same else said, same)


def _boxes(what: str, own: spaces.Box, here: spaces.Box, name: str) -> Finding:
    trained = f"The policy was trained with {what}"
    # Stable-Baselines3 puts the channels of an image first, and turns one that has them last by itself.
    shapes = {here.shape, here.shape[-1:] + here.shape[:-1]} if len(here.shape) == 3 else {here.shape}
    if own.shape not in shapes:
        return Finding(what, f"{trained} of shape {own.shape}, but those of {name} have {here.shape}.", False)
    kinds = [KINDS.get(np.dtype(box.dtype).kind, str(box.dtype)) for box in (own, here)]
    if kinds[0] != kinds[1]:
        return Finding(what, f"{trained} that are {kinds[0]}, but those of {name} are {kinds[1]}.", False)
    images = len(here.shape) == 3
    mine, its = ((float(box.low.min()), float(box.high.max())) for box in (own, here))
    same = (
        mine == its if images else np.array_equal(own.low, here.low) and np.array_equal(own.high, here.high)
    )
    if (images or what.startswith("actions")) and not same:
        if not images:  # the component that differs most tells more than the outermost ends
            away = np.abs(np.nan_to_num(own.high - here.high)) + np.abs(np.nan_to_num(own.low - here.low))
            worst = np.unravel_index(int(away.argmax()), away.shape)
            mine, its = ((float(box.low[worst]), float(box.high[worst])) for box in (own, here))
        ends = f"from {mine[0]:g} to {mine[1]:g}, but those of {name} go from {its[0]:g} to {its[1]:g}"
        return Finding(what, f"{trained} {ends}: is one scaled otherwise?", None)
    return Finding(what, f"shape {here.shape}, {kinds[0]}, as the policy was trained with")

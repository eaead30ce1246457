"""What the user is told when an input is wrong: one sentence, with the nearest right name."""

import difflib
import os
import re
import traceback
from collections.abc import Iterable
from typing import NamedTuple


class Sim2RealError(ValueError):
    """An input that cannot be used, told in one sentence; the command line turns it into exit code 2."""


class Finding(NamedTuple):
    """One thing that was looked at: what, what is so or one sentence on what is wrong, and whether it fits.

    `fits` is None where there is something to know but nothing to judge.
    """

    about: str
    said: str
    fits: bool | None = True


def graphics_hint(error: BaseException) -> str:
    """Return the sentence that follows a failure of MuJoCo to draw, empty for any other failure.

    Such failures have as many faces as there are libraries below; what they share is where they come from.
    """
    places = [frame.f_globals.get("__name__", "") for frame, _ in traceback.walk_tb(error.__traceback__)]
    if not any(re.search(r"mujoco.*(render|gl_context|egl|osmesa|glfw)", place) for place in places):
        return ""
    now = os.environ.get("MUJOCO_GL", "")
    ways = {"egl": "draws without a display", "osmesa": "does so in software, where libOSMesa is installed"}
    others = ", ".join(f"MUJOCO_GL={name} {does}" for name, does in ways.items() if name != now)
    return f" MuJoCo cannot draw with MUJOCO_GL={now or 'unset'}: {others}."


def nearest(name: str, known: Iterable[str]) -> str:
    """Return the hint that follows an unknown name: the nearest known one, or all of them when none is near.

    >>> nearest("ground.fricton", ["ground.friction", "torso.mass"])
    " Did you mean 'ground.friction'?"
    >>> nearest("wind", ["ground.friction", "torso.mass"])
    ' Known: ground.friction, torso.mass.'
    """
    options = sorted(known)
    close = difflib.get_close_matches(name, options, n=1)
    if close:
        return f" Did you mean '{close[0]}'?"
    if not options:
        return " None is known here."
    shown = ", ".join(options[:12])
    return f" Known: {shown}{', …' if len(options) > 12 else ''}."

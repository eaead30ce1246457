"""Files that an environment is made from: named by path in a study, and by content in its trials."""

import hashlib
import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from sim2real import robots
from sim2real.errors import Sim2RealError

LONGEST = 4096
"""Characters of a path, as on Linux; a longer text may be a model itself."""


def named(kwargs: Mapping[str, Any]) -> set[str]:
    """Return the texts among arguments of `gymnasium.make` that may name a file, or a robot's folder.

    >>> sorted(named({"engine": "mujoco", "robot": "my arm", "options": [{"terrain": "hills.png"}]}))
    ['hills.png', 'my arm']
    """
    paths = (text for text in _texts(list(kwargs.values())) if len(text) < LONGEST)
    found = {text for text in paths if "." in text or "/" in text or os.sep in text}
    return found | {robot for robot in [kwargs.get("robot")] if isinstance(robot, str)}


def contents(texts: Iterable[str]) -> dict[str, str]:
    """Return the sha256 of what each text names, "" where it names nothing; a robot is all that it is read from.

    Robots that come with this package are left out: its version names them.
    """
    found = {}
    for text in texts:
        content, path = robots.content(text), os.path.expanduser(text)  # as Gymnasium does for models
        if content is None and os.path.isfile(path):
            content = Path(path).read_bytes()
        if content != b"":
            found[text] = "" if content is None else hashlib.sha256(content).hexdigest()
    return found


def check_unchanged(known: Mapping[str, str]) -> None:
    """Refuse files whose content is no longer what it was.

    Raises:
        Sim2RealError: if there is one; the sentence names it.
    """
    now = contents(known)
    for text, sha256 in known.items():
        if now.get(text) != sha256:
            raise Sim2RealError(f"'{text}' has changed since the study was declared: declare it again.")


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        yield from _texts(list(value.values()))
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _texts(item)

"""Working beginnings of a robot, a task or a study, to be changed into one's own."""

import re
from pathlib import Path

from sim2real.errors import Sim2RealError, nearest

SHELF = Path(__file__).parent / "templates"
KINDS = tuple(sorted(folder.name for folder in SHELF.iterdir()))


def create(kind: str, name: str, where: str | Path = ".") -> Path:
    """Write a folder that holds a robot, a task or a study, and a test that it passes.

    Args:
        kind: one of `KINDS`.
        name: what to call it: a Python name in small letters.
        where: the folder to make it in.

    Raises:
        Sim2RealError: for another kind, another name, or a folder that exists.
    """
    if kind not in KINDS:
        raise Sim2RealError(f"There is no template of a '{kind}'.{nearest(kind, KINDS)}")
    if not re.fullmatch("[a-z][a-z0-9_]*", name):
        raise Sim2RealError(f"A name is made of small letters, digits and '_', not '{name}'.")
    folder = Path(where) / name
    if folder.exists():
        raise Sim2RealError(f"'{folder}' exists: choose another name.")
    folder.mkdir(parents=True)
    for template in sorted((SHELF / kind).iterdir()):
        text = template.read_text(encoding="utf-8")
        text = text.replace("NAME", name).replace("CLASS", name.title().replace("_", ""))
        path = folder / template.name.replace("NAME", name).removesuffix(".txt")
        path.write_text(text, encoding="utf-8")
    return folder

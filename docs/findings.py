"""What the pages say of each result: from finished records to named tables and values."""

from pathlib import Path

Numbers = dict[str, str]
"""Name -> a value in a sentence, or a block: lines of their own, the last of them ended."""


def nothing(folder: Path) -> Numbers:
    """Return no number."""
    return {}

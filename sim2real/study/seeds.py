"""Content turned into numbers that are the same in every process: canonical text, its hash, episode seeds."""

import json
from hashlib import blake2b
from typing import Any


def canonical(value: Any) -> str:
    """Write plain JSON data in the one form that is hashed and stored.

    Raises:
        TypeError: If the value holds something JSON has no word for.

    >>> canonical({"b": (1, 2.0), "a": None})
    '{"a":null,"b":[1,2.0]}'
    """
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def content_hash(text: str) -> str:
    """Return 128 bits of blake2b of the text, as 32 hexadecimal digits."""
    return blake2b(text.encode(), digest_size=16).hexdigest()


def episode_seed(study_seed: int, episode: int) -> int:
    """Return the 32-bit seed of an episode: every policy meets the same episodes under every condition.

    >>> episode_seed(0, 0), episode_seed(0, 1)
    (1735201683, 3278692055)
    """
    return int.from_bytes(blake2b(f"{study_seed}/{episode}".encode(), digest_size=4).digest(), "big")

"""Files that searches leave beside the records, as `docs/finding-failures.md` lays them out."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from sim2real.errors import Sim2RealError
from sim2real.stats import Estimate

Found = TypeVar("Found")


def read(path: Path, what: str, parse: Callable[[Mapping[str, Any]], Found]) -> Found | None:
    """Return what is made of a JSON file, None where there is no such file.

    Raises:
        Sim2RealError: If the file does not hold what it should.
    """
    try:
        return parse(json.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise Sim2RealError(
            f"'{path}' does not hold {what}: {error!r}; move it away or make it again."
        ) from error


def estimate(told: Mapping[str, float | None], count: int, missing: float = float("nan")) -> Estimate:
    """Return a number with its interval; a null is ``missing``, and where that is no number there is no interval."""
    value, low, high = (missing if (end := told[name]) is None else end for name in ("value", "low", "high"))
    if not low <= value <= high:
        low, high, count = value, value, 0
    return Estimate(value=value, low=low, high=high, n_episodes=count)

"""Files that searches leave beside the records, as `docs/finding-failures.md` lays them out."""

import json
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from sim2real.errors import Sim2RealError
from sim2real.stats import Estimate, Lost, many

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


def estimate(told: Mapping[str, Any], count: int, missing: float = float("nan")) -> Estimate:
    """Return a number with its interval; a null is ``missing``, and where that is no number there is no interval.

    Where too many episodes are lost there is no number, and an interval all the same.
    """

    def read(numbers: Mapping[str, float | None], *names: str) -> list[float]:
        return [missing if (end := numbers[name]) is None else end for name in names]

    value, low, high = read(told, "value", "low", "high")
    if told.get("lost"):
        lost: Mapping[str, Any] = told["lost"]
        least, most = read(lost, "least", "most")
        found = Lost(count=lost["count"], of=lost["of"], least=least, most=most)
        value = math.nan if many(found.count, found.of) else value
        return Estimate(value=value, low=low, high=high, n_episodes=count, lost=found)
    if not low <= value <= high:
        low, high, count = value, value, 0
    return Estimate(value=value, low=low, high=high, n_episodes=count)

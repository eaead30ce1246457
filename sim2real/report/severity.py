"""Families of conditions that differ only in how severe they are: the curves of a report."""

import math
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass

from sim2real.perturb import Amount, Condition, Drift, Normal, Perturbation, Uniform
from sim2real.perturb.operations import OPERATIONS
from sim2real.perturb.parameters import NO_GROUPS, Groups, matching
from sim2real.study.study import NOMINAL


@dataclass(frozen=True, kw_only=True)
class Family:
    """Conditions of one perturbation each, alike but for one number x.

    Args:
        target: what is perturbed.
        title: the perturbation as a sentence, with x for the number.
        axis: what x is.
        unit: unit of x, "" if it has none or nobody said.
        nominal_x: where x changes nothing; infinite for a limit, None if unknown.
        points: (x, condition label), rising in x; nominal is not among them.
    """

    target: str
    title: str
    axis: str
    unit: str
    nominal_x: float | None
    points: tuple[tuple[float, str], ...]


def families(
    conditions: Mapping[str, Condition],
    nominals: Mapping[str, float],
    units: Mapping[str, str],
    parts: Groups = NO_GROUPS,
) -> tuple[Family, ...]:
    """Group the conditions with exactly one perturbation by target, operation, redrawing and kind of amount.

    A constant is its own severity, weakened by its strength. A distribution about the operation's identity
    has its width as severity, any other its strength. Groups of one make no curve.
    """
    groups: dict[tuple[str, ...], dict[float, tuple[str, Perturbation]]] = defaultdict(dict)
    for label, condition in conditions.items():
        if label != NOMINAL and len(condition) == 1 and isinstance(condition[0], Perturbation):
            item = condition[0]
            x = severity(item, _nominal(item, nominals, parts))
            if x is not None:
                groups[item.target, item.operation, str(item.every), _kind(item)].setdefault(x, (label, item))
    return tuple(
        _family({x: group[x] for x in sorted(group)}, nominals, units, parts)
        for group in groups.values()
        if len(group) > 1
    )


def severity(item: Perturbation, nominal: float | None) -> float | None:
    """Return how severe a perturbation is, its parameter having this nominal value; None where that has no number."""
    if isinstance(item.amount, Amount):
        width = _width(item)
        return item.strength if width is None else item.strength * width
    if item.operation != "set":
        return float(OPERATIONS[item.operation].weaken(item.amount, item.strength)) if item.strength else None
    if item.strength == 1:
        return item.amount
    return None if nominal is None else nominal + item.strength * (item.amount - nominal)


def _family(
    group: Mapping[float, tuple[str, Perturbation]],
    nominals: Mapping[str, float],
    units: Mapping[str, str],
    parts: Groups,
) -> Family:
    """Return the family of the conditions at each x."""
    item = next(iter(group.values()))[1]
    constant, kind = not isinstance(item.amount, Amount), _kind(item)
    name = item.target.removeprefix("parameter:")
    operation = OPERATIONS[item.operation]
    amount = "x" if constant else kind if _width(item) is not None else f"x × {kind}"
    unit = next((units[known] for known in matching(name, units, parts)), "")
    axis = {
        "set": name,
        "add": f"added to {name}",
        "scale": f"× {name}",
        "delay": "delay",
        "hold": "probability",
        "quantize": "step size",
        "clip": "limit ±",
    }[item.operation]
    if item.operation == "scale":
        unit = ""
    elif item.operation == "delay":
        unit = "control steps"
    if not constant:
        wide = "half-width" if isinstance(item.amount, Uniform) else "standard deviation"
        axis, unit = (wide, unit) if _width(item) is not None else ("strength", "")
    return Family(
        target=item.target,
        title=operation.sentence.format(amount=amount, target=name) + item.when,
        axis=axis,
        unit=unit,
        nominal_x=(_nominal(item, nominals, parts) if item.operation == "set" else operation.identity)
        if constant
        else 0.0,
        points=tuple((x, label) for x, (label, _) in group.items()),
    )


def _kind(item: Perturbation) -> str:
    """Return what amounts of one family have in common, as it is written in the title."""
    if not isinstance(item.amount, Amount):
        return "x"
    if _width(item) is None:
        return str(item.amount)
    middle = f"{OPERATIONS[item.operation].identity:g}"
    if isinstance(item.amount, Drift):
        return f"Drift(x, {item.amount.timescale_s:g})"
    return f"Normal({middle}, x)" if isinstance(item.amount, Normal) else f"Uniform({middle} ± x)"


def _width(item: Perturbation) -> float | None:
    """Return standard deviation or half-width of a distribution about the operation's identity, else None."""
    amount, identity = item.amount, OPERATIONS[item.operation].identity
    if isinstance(amount, Drift) or (isinstance(amount, Normal) and amount.mean == identity):
        return amount.std
    if identity is None or not isinstance(amount, Uniform):
        return None
    centred = math.isclose(amount.low + amount.high, 2 * identity, abs_tol=1e-12)
    return amount.high - identity if centred else None


def _nominal(item: Perturbation, nominals: Mapping[str, float], parts: Groups) -> float | None:
    """Return the nominal value of the parameter, None if it is unknown or its target names several values."""
    name = item.target.removeprefix("parameter:")
    values = {nominals[known] for known in matching(name, nominals, parts)}
    return values.pop() if len(values) == 1 else None

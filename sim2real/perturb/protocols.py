"""Held-out protocols: builders of conditions, label -> condition, as a study takes them.

A *region* says what may vary: perturbations, each with a scale from 0 to 1. What is drawn once an episode becomes
constant, at that quantile of its distribution (0 and 1 are the ends of its support). Everything else (noise, pushes,
biases that every component of a signal draws for itself, plain numbers) keeps its amount, at that strength.

What a builder is called does not make its conditions held out: `of_kind` computes it from what policies saw.
"""

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, get_args

import numpy as np

from sim2real.errors import Sim2RealError, nearest
from sim2real.perturb.amounts import Amount, Array, Outside, Uniform, hull, shown
from sim2real.perturb.catalogue import severities
from sim2real.perturb.condition import Condition
from sim2real.perturb.heldout import HeldOutKind, common, held_out_kind
from sim2real.perturb.joint import Column
from sim2real.perturb.operations import OPERATIONS
from sim2real.perturb.parameters import NO_GROUPS, Parameters
from sim2real.perturb.perturbation import Perturbation
from sim2real.perturb.schedules import Schedule

Region = Sequence[Perturbation]
Conditions = dict[str, tuple[Perturbation, ...]]


def at_quantiles(region: Region, quantiles: Sequence[float]) -> tuple[Perturbation, ...]:
    """Return the condition at one point of a region.

    Args:
        region: what may vary.
        quantiles: in [0, 1], one for every perturbation; what is drawn together has as many as decide its row.

    Raises:
        Sim2RealError: if there are more or fewer.

    >>> from sim2real.perturb import Normal, Uniform, add, set_to
    >>> region = [set_to("parameter:ground.friction", Uniform(0.2, 1)), add("observation:gyro", Normal(0, 0.4))]
    >>> [item.label for item in at_quantiles(region, [0.25, 0.5])]
    ['set ground.friction to 0.4', 'add Normal(0, 0.4) to observation:gyro every step at strength 0.5']
    """
    places = _places(region)
    if len(quantiles) != places[-1].stop:
        raise Sim2RealError(f"A point of this region has {places[-1].stop} numbers, not {len(quantiles)}.")
    point = np.asarray(quantiles, np.float64)
    return tuple(_placed(item, point[place]) for item, place in zip(region, places, strict=False))


def one_at_a_time(region: Region, strengths: Iterable[float] = (0.25, 0.5, 0.75, 1.0)) -> Conditions:
    """Return conditions of one perturbation each, at every strength: a severity curve for every perturbation."""
    strengths = tuple(strengths)
    return {label: found for item in region for label, found in severities(item, strengths).items()}


def corners(region: Region, most: int = 32) -> Conditions:
    """Return conditions with every perturbation at one end of its scale or the other, all at once.

    All 2ᵏ corners if they are not too many, or else a fraction of resolution IV (Box and Hunter, 1961): each
    perturbation stands at each end in half of the corners, and so does every pair at each pair of ends in a quarter.
    No average over them mistakes the effect of two perturbations together for that of a third.

    Args:
        region: what may vary.
        most: how many corners there may be.

    Raises:
        Sim2RealError: if so few corners cannot tell the perturbations apart.
    """
    count = _places(region)[-1].stop
    needed = 2 ** min(count, math.ceil(math.log2(2 * count)))
    if most < needed:
        raise Sim2RealError(f"Corners of {count} perturbations take most={needed} or more, not {most}.")
    bits = min(count, most.bit_length() - 1)
    # Columns of Hadamard's matrix with an odd number of bits: the product of any two is no other one of them.
    odd = sorted((n for n in range(1, 2**bits) if n.bit_count() % 2), key=lambda n: (n.bit_count() > 1, n))
    ends = [[(row & column).bit_count() % 2 for column in odd[:count]] for row in range(2**bits)]
    return {f"corner {''.join('-+'[end] for end in row)}": at_quantiles(region, row) for row in ends}


def latin_hypercube(region: Region, points: int, seed: int = 0) -> Conditions:
    """Return conditions that fill a region: of each perturbation's scale, every one of n equal parts is met once.

    (McKay, Beckman and Conover, 1979.) Another number of points is another design.
    """
    from scipy.stats import qmc

    return _design("latin hypercube", region, qmc.LatinHypercube(_places(region)[-1].stop, rng=seed), points)


def sobol(region: Region, points: int, seed: int = 0) -> Conditions:
    """Return conditions that fill a region evenly in all perturbations together: a scrambled Sobol sequence.

    (Owen, 1998.) More points keep those there are, so a study grows without running anything again.

    Raises:
        Sim2RealError: if the number of points is no power of two, which its evenness takes.
    """
    from scipy.stats import qmc

    if points < 1 or points & (points - 1):
        raise Sim2RealError(f"A Sobol design has 1, 2, 4, 8, … points, a power of two, not {points}.")
    return _design("sobol", region, qmc.Sobol(_places(region)[-1].stop, rng=seed), points)


def of_kind(
    kind: HeldOutKind,
    conditions: Mapping[str, Condition],
    parameters: Parameters,
    *seen: Iterable[Condition] | None,
) -> dict[str, Condition]:
    """Return those of the conditions that are of a kind to every policy, as `held_out_kind` computes it.

    Args:
        kind: "interpolation", "extrapolation", "combination", "unseen kind", or another one of `held_out_kind`.
        conditions: to choose from, such as a design over a region.
        parameters: of the environment.
        seen: of each policy, the conditions that it was trained under (`PolicyFile.seen`).

    Raises:
        Sim2RealError: if there is no such kind.

    >>> from sim2real.perturb import Uniform, set_to
    >>> from sim2real.testing import EchoEnv
    >>> trained = [(set_to("parameter:gain", Uniform(0.8, 1.2)),)]
    >>> grid = {f"gain {x}": (set_to("parameter:gain", x),) for x in (0.5, 0.9, 1.5)}
    >>> list(of_kind("extrapolation", grid, EchoEnv().parameters, trained))
    ['gain 0.5', 'gain 1.5']
    """
    if kind not in get_args(HeldOutKind):
        raise Sim2RealError(f"There is no kind '{kind}' of condition.{nearest(kind, get_args(HeldOutKind))}")
    nominals = {name: parameters.spec(name).nominal for name in parameters.names()}
    groups = getattr(parameters, "groups", NO_GROUPS)
    trained = [one if one is None else tuple(one) for one in seen]
    return {
        label: condition
        for label, condition in conditions.items()
        if all(held_out_kind(condition, one, nominals, groups) == kind for one in trained)
    }


def packer(ranges: Mapping[Perturbation, tuple[float, float]]) -> Conditions:
    """Return the worlds D, R and E of Packer et al. (2018, arXiv:1810.12282): deterministic, random, extreme.

    Policies are trained in D or in R. Tested where they were trained they interpolate; from D in R, and from either
    in E, they extrapolate.

    Args:
        ranges: what is random in R, with a `Uniform` amount -> how far E goes, below that and above.

    Raises:
        Sim2RealError: if an amount is not uniform, or E does not go further than R on both sides.

    >>> from sim2real.perturb.catalogue import Uniform, friction
    >>> list(packer({friction(Uniform(0.5, 1.0)): (0.1, 1.5)}).values())[2][0].label
    'set ground.friction to Outside(0.1, 0.5, 1, 1.5) every episode'
    """
    extreme = []
    for item, (low, high) in ranges.items():
        if not isinstance(item.amount, Uniform):
            raise Sim2RealError(f"'{item.label}': what is random in R needs a Uniform amount.")
        extreme.append(replace(item, amount=Outside(low, item.amount.low, item.amount.high, high)))
    return {"deterministic": (), "random": tuple(ranges), "extreme": tuple(extreme)}


def causal_world(spaces: Mapping[str, tuple[Perturbation, Perturbation]]) -> Conditions:
    """Return splits as in CausalWorld (Ahmed et al. 2020, arXiv:2010.04296): each variable has a space A and a space B.

    Policies are trained in A. Every variable is met alone in A and in B, all of them jointly in A and in B, and, which
    tells what breaks a policy, one in B with the rest in A.

    Args:
        spaces: name of the variable -> the same perturbation with an amount in A, and in B.

    Raises:
        Sim2RealError: if the two are not the same but for their amounts, or the spaces overlap.

    >>> from sim2real.perturb.catalogue import Uniform, friction, payload
    >>> list(causal_world({"friction": (friction(Uniform(0.5, 1)), friction(Uniform(0.2, 0.5))),
    ...                    "payload": (payload(Uniform(0, 2)), payload(Uniform(2, 5)))}))[4:]
    ['all in A', 'all in B', 'friction in B, rest in A', 'payload in B, rest in A']
    """
    for name, (a, b) in spaces.items():
        if replace(a, amount=b.amount) != b:
            raise Sim2RealError(
                f"The spaces A and B of {name} are one perturbation with two amounts, not two."
            )
        if shared := common(a.support, b.support):
            low, high = map(shown, hull(shared))
            raise Sim2RealError(
                f"The spaces A and B of {name} overlap from {low} to {high}; B is to be held out."
            )
    conditions: Conditions = {
        f"{name} in {'AB'[i]}": (pair[i],) for name, pair in spaces.items() for i in (0, 1)
    }
    if len(spaces) > 1:
        conditions |= {f"all in {'AB'[i]}": tuple(pair[i] for pair in spaces.values()) for i in (0, 1)}
        conditions |= {
            f"{name} in B, rest in A": tuple(pair[other == name] for other, pair in spaces.items())
            for name in spaces
        }
    return conditions


def _design(name: str, region: Region, engine: Any, points: int) -> Conditions:
    """Return a condition for each point that an engine of `scipy.stats.qmc` gives."""
    return {f"{name} {i}": at_quantiles(region, row) for i, row in enumerate(engine.random(points), start=1)}


def _places(region: Region) -> list[slice]:
    """Return which numbers of a point decide each perturbation, and last a slice that ends where they all end."""
    places: list[slice] = []
    known: dict[tuple[Any, ...], slice] = {}
    occurrences: Counter[tuple[str, ...]] = Counter()
    end = 0
    for item in region:
        if not isinstance(item, Perturbation):
            raise Sim2RealError(f"A region is a list of perturbations; {item!r} is none.")
        together = isinstance(item.amount, Column) and _constant(item)
        # As their random stream is: the same for what is drawn together, and no other.
        key = (*item.stream, occurrences[item.identity]) if together else (len(places),)
        if key not in known:
            start, end = end, end + (getattr(item.amount, "width", 1) if together else 1)
            known[key] = slice(start, end)
        occurrences[item.identity] += 1
        places.append(known[key])
    if not places:
        raise Sim2RealError("A region needs at least one perturbation.")
    return [*places, slice(end, end)]


def _constant(item: Perturbation) -> bool:
    """Tell whether an episode has one value of what is drawn."""
    each = OPERATIONS[item.operation].each and not item.target.startswith("parameter")
    once = item.every == "episode" or isinstance(item.every, Schedule)
    return isinstance(item.amount, Amount) and once and not each


def _placed(item: Perturbation, quantile: Array) -> Perturbation:
    """Return a perturbation at one place of its scale."""
    if not _constant(item) or not isinstance(item.amount, Amount):
        return item.at(float(quantile[0]))
    column = isinstance(item.amount, Column)
    # A row of several ends of the scale would be one of several infinities.
    drawn = item.amount.quantile(np.clip(quantile, 2.0**-54, 1.0 - 2.0**-53) if column else quantile[0])
    amount = float(np.clip(drawn, *hull(item.amount.support())))
    return replace(item, amount=math.floor(amount + 0.5) if item.operation == "delay" else amount)

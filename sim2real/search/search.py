"""What is asked of a region: where a policy fails in it, and which of its perturbations matter."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from sim2real.errors import Sim2RealError, nearest
from sim2real.perturb import Perturbation
from sim2real.perturb.joint import Column
from sim2real.search.optimise import METHODS
from sim2real.study import Study


@dataclass(frozen=True, kw_only=True)
class Search:
    """A study of a whole region instead of some conditions.

    Attributes:
        study: policies, environment, metric and episodes; its own conditions are run as well.
        region: what may vary, as in `sim2real.perturb.protocols`. What is drawn once an episode is a range of constant
            amounts; anything else (noise, pushes, a number) varies in strength from 0 to as written.
        points: how many points of the region may be tried, before what fails is shrunk.
        method: "bayesian" takes the fewest points; for thousands "evolution", or "cma" (with the package cma).
        fails_below: a point fails where its mean of the study's metric is below this; `study.competent` if None.
        fresh: episodes, unseen by the search, on which what it found is measured again.
        seed: of the proposals; the study's own seed chooses the episodes.

    Raises:
        Sim2RealError: If a field cannot be used.
    """

    study: Study
    region: tuple[Perturbation, ...]
    points: int = 200
    method: str = "bayesian"
    fails_below: float | None = None
    fresh: int = 50
    seed: int = 0

    def __post_init__(self) -> None:
        if not isinstance(self.study, Study):
            raise Sim2RealError(f"study must be a Study(...), not {self.study!r}.")
        region = tuple(self.region) if isinstance(self.region, Sequence) else (None,)
        if not region or not all(isinstance(item, Perturbation) and item.acts for item in region):
            raise Sim2RealError("region must be a list of perturbations that do something.")
        if drawn := [item.label for item in region if isinstance(item.amount, Column)]:
            raise Sim2RealError(f"'{drawn[0]}' has no scale of its own: what is drawn together is no region.")
        if len(set(region)) < len(region):
            raise Sim2RealError("A region holds each of its perturbations once.")
        object.__setattr__(self, "region", region)
        for value, name, least in (
            (self.points, "points", 1),
            (self.fresh, "fresh", 1),
            (self.seed, "seed", 0),
        ):
            if isinstance(value, bool) or not isinstance(value, int) or value < least:
                raise Sim2RealError(f"{name} must be a whole number of at least {least}, not {value!r}.")
        if self.method not in METHODS:
            raise Sim2RealError(f"There is no method '{self.method}'.{nearest(self.method, METHODS)}")
        if not math.isfinite(self.limit):
            raise Sim2RealError(
                f"fails_below must be a finite value of '{self.study.metric}', not {self.limit}."
            )

    @property
    def limit(self) -> float:
        """The mean of the metric below which a point fails."""
        return self.study.competent if self.fails_below is None else self.fails_below

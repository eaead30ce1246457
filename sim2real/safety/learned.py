"""A safety layer whose dynamics are learnt, for environments that nobody has written down a model of."""

from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np

from sim2real.errors import Sim2RealError
from sim2real.safety.constraint import Constraint
from sim2real.safety.quantities import Reader
from sim2real.safety.shields import Array, box, check
from sim2real.safety.step import Step

Row = tuple[float, ...]


@dataclass(frozen=True, kw_only=True)
class LearnedLayer:
    """Change an action as little as it takes for a constraint to hold after the step, as a fitted model says.

    The model is linear in the action, c' = c + f(s) + g(s)ᵀ a, with f and g linear in the observation s. Then the
    nearest safe action is a − λ g with the least λ that is enough (Dalal et al., "Safe exploration in continuous
    action spaces", 2018), here cut off at the bounds of the action space on the way. What is observed of the
    constraint is its value after the last step, so its quantity must not depend on the action to come.

    Make one with `fit`. As good as the model is the promise: on data like those it was fitted to, c' stays below
    what was predicted by ``margin`` or less in the part ``coverage`` of all steps that `fit` was told.

    Attributes:
        constraint: what shall not exceed its limit.
        centre, spread: of the observation (d), which the model sees as (s − centre) / spread.
        drift: coefficients of f (1 + d), the constant first.
        effect: coefficients of g, (1 + d) for each component of the action.
        margin: how much lower than the limit the prediction has to be, in the constraint's unit.

    Raises:
        Sim2RealError: for coefficients that do not fit together.
    """

    name: ClassVar[str] = "learned_layer"

    constraint: Constraint
    centre: Row
    spread: Row
    drift: Row
    effect: tuple[Row, ...]
    margin: float = 0.0

    def __post_init__(self) -> None:
        for field in ("centre", "spread", "drift"):
            object.__setattr__(self, field, tuple(map(float, getattr(self, field))))
        object.__setattr__(self, "effect", tuple(tuple(map(float, row)) for row in self.effect))
        check(self, zero=True, margin=np.inf)
        sizes = {len(self.centre), len(self.spread), *(len(row) - 1 for row in (self.drift, *self.effect))}
        if len(sizes) > 1 or not self.effect or not all(self.spread):
            raise Sim2RealError(
                f"{self.name}: coefficients of unequal sizes, or a spread of 0; use LearnedLayer.fit."
            )

    @classmethod
    def fit(
        cls,
        constraint: Constraint,
        *,
        observations: Array,
        actions: Array,
        values: Array,
        next_values: Array,
        ridge: float = 1e-3,
        coverage: float = 0.95,
    ) -> Self:
        """Return the layer fitted to steps by ridge regression; its margin is fitted to every fifth of them.

        Args:
            constraint: what was measured.
            observations: (steps, d), before each step.
            actions: (steps, m), made in it.
            values: (steps,) of the constraint's quantity before it.
            next_values: (steps,) after it.
            ridge: weight of the squared coefficients, per step.
            coverage: part of the steps held back in which the value must not come out higher than predicted plus
                margin.

        Raises:
            Sim2RealError: for arrays of unequal length, fewer steps than coefficients, or numbers out of range.
        """
        seen, done = (np.asarray(of, np.float64).reshape(len(of), -1) for of in (observations, actions))
        change = np.asarray(next_values, np.float64) - np.asarray(values, np.float64)
        steps, d, m = len(seen), seen.shape[1], done.shape[1]
        if not steps == len(done) == len(change):
            raise Sim2RealError("observations, actions, values and next_values must be of the same steps.")
        if steps < 2 * (1 + d) * (1 + m):
            raise Sim2RealError(
                f"{steps} steps are too few for {(1 + d) * (1 + m)} coefficients; take twice that."
            )
        if not 0.0 < coverage < 1.0 or not ridge > 0.0:
            raise Sim2RealError("coverage must lie between 0 and 1, and ridge be positive.")
        centre, spread = seen.mean(axis=0), np.maximum(seen.std(axis=0), 1e-9)
        features = _features((seen - centre) / spread)
        design = np.hstack([features] + [features * done[:, [i]] for i in range(m)])
        held = np.arange(steps) % 5 == 4
        fitted = design[~held]
        normal = fitted.T @ fitted + ridge * len(fitted) * np.eye(design.shape[1])
        weights = np.linalg.solve(normal, fitted.T @ change[~held])
        missed = np.quantile(change[held] - design[held] @ weights, coverage)
        drift, *effect = weights.reshape(1 + m, 1 + d).tolist()
        return cls(
            constraint=constraint,
            centre=tuple(centre.tolist()),
            spread=tuple(spread.tolist()),
            drift=tuple(drift),
            effect=tuple(map(tuple, effect)),
            margin=max(0.0, float(missed)),
        )

    def bind(self, env: Any) -> "_Layer":
        """Return the layer for an environment of this observation and action space."""
        space = box(env, self.name)
        wanted = len(self.centre), len(self.effect)
        found = np.prod(env.observation_space.shape), np.prod(space.shape)
        if wanted != found:
            raise Sim2RealError(
                f"The shield '{self.name}' is fitted to {wanted[0]} observations and {wanted[1]} actions; this "
                f"environment has {found[0]} and {found[1]}."
            )
        return _Layer(self, env, space)


class _Layer:
    def __init__(self, shield: LearnedLayer, env: Any, space: Any) -> None:
        bare = env.unwrapped
        view = getattr(env, "view", None)
        self._reader = Reader(bare, getattr(bare, "control_period_s", None), view=view)
        self._measure = shield.constraint.bind(self._reader)
        self._limit = shield.constraint.limit - shield.margin
        self._centre, self._spread = np.array(shield.centre), np.array(shield.spread)
        self._drift, self._effect = np.array(shield.drift), np.array(shield.effect)
        self._low, self._high = (np.asarray(end, np.float64).ravel() for end in (space.low, space.high))
        self._shape = space.shape
        self.infeasible = False

    def reset(self) -> None:
        self._reader.begin()
        self._last = np.zeros(self._shape)
        self.infeasible = False

    def __call__(self, step: Step) -> Array:
        before = step._replace(action=self._last)
        self._reader.look(before)
        features = _features(((np.ravel(step.observation) - self._centre) / self._spread)[None])[0]
        slope = self._effect @ features
        action = np.asarray(step.action, np.float64)
        wanted = action.ravel()
        excess = self._measure(before) + self._drift @ features + slope @ wanted - self._limit
        self.infeasible = False
        if excess > 0.0:
            ends = np.where(slope > 0.0, self._low, self._high)
            # What each component can take off, and the λ at which it has; beyond the box it takes off nothing.
            room = np.maximum(slope * (wanted - ends), 0.0)
            full = np.divide(room, slope**2, out=np.zeros_like(room), where=slope != 0.0)
            kinks = np.sort(np.append(full, 0.0))
            taken = np.minimum(room, kinks[:, None] * slope**2).sum(axis=1)
            self.infeasible = bool(excess > taken[-1])
            pull = np.minimum(np.interp(excess, taken, kinks), full)
            action = (wanted - pull * slope).reshape(self._shape)
        self._last = action
        return action


def _features(scaled: Array) -> Array:
    """Return what f and g are linear in: 1 and the scaled observation."""
    return np.hstack([np.ones((len(scaled), 1)), scaled])

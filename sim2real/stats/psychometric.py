"""Psychometric threshold search: where along a severity success falls to a level, and where to look next."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sim2real.stats.estimate import Estimate

Array = NDArray[np.float64]

BEYOND = 1.5
"""How far thresholds are thought of, in largest severities: what lies beyond the largest counts as infinite."""
SHAPES = np.geomspace(0.7, 40.0, 12)
LAPSES = np.array([0.0, 0.1, 0.3, 0.6])
"""Parts of what lies between the level and certainty that are lost at no severity already."""
LEAST = 1e-3
"""No outcome is less likely than this, so that no single episode rules anything out for good."""


@dataclass(frozen=True, kw_only=True)
class Psychometric:
    """Falling success curves, top · exp(-log(top / level) · (severity / threshold)^shape), all equally likely at first.

    Weibull's curve, as in QUEST (Watson and Pelli, 1983), with the threshold itself as a parameter. The next severity
    is the one that is expected to leave the smallest variance of the threshold's logarithm, much as in the ψ method
    (Kontsevich and Tyler, 1999). The interval is Bayesian, so it means the same however often one looked before
    stopping; outcomes are taken for independent, so every episode takes a seed of its own.

    Args:
        severities: where episodes can be played, rising from 0, which changes nothing, or above.
        level: the rate of success that marks the threshold.
        thresholds: how many of them are told apart.

    >>> search = Psychometric(severities=(0.25, 0.5, 0.75, 1.0), level=0.5)
    >>> print(search.estimate(won=[20, 20, 0, 0], lost=[0, 0, 20, 20]))
    0.634 [0.544, 0.711]
    """

    severities: tuple[float, ...]
    level: float
    thresholds: int = 150

    def __post_init__(self) -> None:
        if not 0 < self.level < 1:
            raise ValueError(f"level is {self.level}; it must lie between 0 and 1.")
        if not self.severities or self.severities[0] < 0 or (np.diff(self.severities) <= 0).any():
            raise ValueError(f"Severities rise from 0 or above, not as {self.severities}.")

    @cached_property
    def _edges(self) -> Array:
        return np.linspace(0.0, BEYOND * self.severities[-1], self.thresholds + 1)

    @cached_property
    def _success(self) -> Array:
        """Rates of success (thresholds, shapes and tops, severities)."""
        middles = (self._edges[1:] + self._edges[:-1]) / 2
        top = 1.0 - LAPSES[:, None] * (1.0 - self.level)
        with np.errstate(divide="ignore"):  # the logarithm of no severity
            way = np.log(self.severities) - np.log(middles)[:, None, None, None]
        grown = np.exp(np.minimum(SHAPES[:, None, None] * way, 100.0))
        rates = top * np.exp(-np.log(top / self.level) * grown)
        clipped: Array = np.clip(rates, LEAST, 1.0 - LEAST)
        return clipped.reshape(self.thresholds, -1, len(self.severities))

    @cached_property
    def _logs(self) -> tuple[Array, Array]:
        return np.log(self._success), np.log(1.0 - self._success)

    def _weights(self, won: Array, lost: Array) -> Array:
        """Return how likely each curve is after some outcomes (thresholds, shapes and tops)."""
        log_likely: Array = self._logs[0] @ won + self._logs[1] @ lost
        likely: Array = np.exp(log_likely - log_likely.max())
        return np.asarray(likely / likely.sum())

    def estimate(self, won: ArrayLike, lost: ArrayLike, level: float = 0.95) -> Estimate:
        """Return the threshold's median and credible interval, infinite where it may lie beyond all severities.

        Args:
            won: successes at each severity.
            lost: failures at each severity.
            level: how much the interval shall hold.
        """
        successes, failures = np.asarray(won, float), np.asarray(lost, float)
        below = np.concatenate([[0.0], self._weights(successes, failures).sum(1).cumsum()])
        wanted = np.interp([0.5, 0.5 - level / 2, 0.5 + level / 2], below, self._edges)
        value, low, high = np.where(wanted > self.severities[-1], np.inf, wanted).tolist()
        return Estimate(
            value=value, low=low, high=high, level=level, n_episodes=int(successes.sum() + failures.sum())
        )

    def propose(self, won: ArrayLike, lost: ArrayLike, episodes: int = 1) -> list[int]:
        """Return the places among the severities where some more episodes tell most, taken together.

        Args:
            won: successes at each severity.
            lost: failures at each severity.
            episodes: how many; after the first each supposes that those before came out as is most likely.
        """
        successes, failures = np.array(won, float), np.array(lost, float)
        logs = np.log((self._edges[1:] + self._edges[:-1])[:, None] / 2)
        places = []
        for _ in range(episodes):
            weights = self._weights(successes, failures)
            rate, first = (np.tensordot(some, self._success, 2) for some in (weights, weights * logs))
            # The variance that is left is the second moment less this.
            explained = first**2 / rate + ((weights * logs).sum() - first) ** 2 / (1.0 - rate)
            place = int(explained.argmax())
            places.append(place)
            successes[place] += rate[place]
            failures[place] += 1.0 - rate[place]
        return places

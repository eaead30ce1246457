"""Curricula: which condition to train under next, decided by what came of those before.

A curriculum is the one thing here with a state. It yields conditions, which are values, and is told how each
episode went; `state_dict` and `load_state_dict` carry it over a checkpoint, random generator included. It
knows no environment: give what `next` returns to ``Perturbed.become`` before a reset, in as many environments
as there are, and `report` the score of each episode with the condition it was played under.

    curriculum = ByCompetence(preset("medium"), raise_above=0.8, lower_below=0.5)
    env = Perturbed(env, curriculum.widest)
    while training:
        condition = curriculum.next()
        env.become(condition)
        curriculum.report(condition, score=play_an_episode(env))
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any, Literal

import numpy as np

from sim2real.errors import Sim2RealError
from sim2real.perturb.amounts import Integers, Uniform, number, shown
from sim2real.perturb.condition import from_json, to_json
from sim2real.perturb.operations import OPERATIONS
from sim2real.perturb.perturbation import Perturbation

Perturbations = tuple[Perturbation, ...]
Side = Literal["low", "high"]


class Curriculum(ABC):
    """What to train under next.

    Attributes:
        widest: the hardest it ever gets; make the `Perturbed` with it, so that all bounds are wide enough.
    """

    widest: Perturbations

    @property
    @abstractmethod
    def condition(self) -> Perturbations:
        """All that is trained under now, as one condition: what a policy's file should say it has seen."""

    def next(self) -> Perturbations:
        """Return the condition of the next episode."""
        return self.condition

    @abstractmethod
    def report(self, condition: Iterable[Perturbation], score: float, steps: int = 0) -> None:
        """Take note of an episode: the condition it was played under, its score, its length in steps."""

    @abstractmethod
    def state_dict(self) -> dict[str, Any]:
        """Return the state as plain JSON values."""

    @abstractmethod
    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from a state.

        Raises:
            Sim2RealError: if it is not the state of a curriculum like this one.
        """


class _Strength(Curriculum):
    """A condition whose strength moves."""

    def __init__(self, condition: Iterable[Perturbation], strength: float, most: float) -> None:
        self._full = _checked(condition)
        self.strength = strength
        self.widest = _at(self._full, most)

    @property
    def condition(self) -> Perturbations:
        """The condition at the strength of now."""
        return _at(self._full, self.strength)


class Linear(_Strength):
    """Strength that goes from ``start`` to ``end`` in a number of environment steps, counted over all of them.

    Attributes:
        strength: of now.
        steps_done: all that was reported.

    Args:
        condition: at strength 1.
        steps: after which the end is reached.
        start: strength at first.
        end: strength at last.
        after: steps before it begins to change.

    >>> from sim2real.perturb.catalogue import payload
    >>> curriculum = Linear([payload(2)], 1000)
    >>> curriculum.report(curriculum.next(), score=0.0, steps=250)
    >>> curriculum.condition[0].label
    'set payload.mass to 2 at strength 0.25'
    """

    def __init__(
        self,
        condition: Iterable[Perturbation],
        steps: int,
        *,
        start: float = 0.0,
        end: float = 1.0,
        after: int = 0,
    ) -> None:
        if steps < 1 or after < 0 or min(start, end) < 0:
            raise Sim2RealError(
                "Linear takes at least 1 step, and strengths and 'after' that are not negative."
            )
        super().__init__(condition, float(start), max(start, end))
        self._steps, self._start, self._end, self._after = steps, float(start), float(end), after
        self.steps_done = 0

    def report(self, condition: Iterable[Perturbation], score: float, steps: int = 0) -> None:
        """Count the steps; the score does not matter."""
        self._go_to(self.steps_done + int(steps))

    def _go_to(self, steps: int) -> None:
        self.steps_done = steps
        share = min(max((steps - self._after) / self._steps, 0.0), 1.0)
        self.strength = self._start + share * (self._end - self._start)

    def state_dict(self) -> dict[str, Any]:
        """Return the steps done."""
        return {"kind": "Linear", "steps_done": self.steps_done}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on after the steps done."""
        self._go_to(int(_of(state, "Linear", "steps_done")["steps_done"]))


class ByCompetence(_Strength):
    """Strength that goes up while episodes go well, and down while they go badly.

    Every ``episodes`` episodes at one strength, their mean score decides; episodes played at another strength
    do not count.

    Attributes:
        strength: of now.

    Args:
        condition: at strength 1.
        raise_above: mean score above which the strength goes up.
        lower_below: mean score below which it goes down.
        step: how far it goes, each time.
        episodes: how many scores decide.
        start: strength at first.
        most: strength it does not go beyond; the least is 0.
    """

    def __init__(
        self,
        condition: Iterable[Perturbation],
        *,
        raise_above: float,
        lower_below: float = -math.inf,
        step: float = 0.05,
        episodes: int = 20,
        start: float = 0.0,
        most: float = 1.0,
    ) -> None:
        if not lower_below <= raise_above:
            raise Sim2RealError(f"lower_below {lower_below} must not exceed raise_above {raise_above}.")
        if episodes < 1 or step <= 0 or not 0 <= start <= most:
            raise Sim2RealError(
                "ByCompetence takes at least 1 episode, a positive step and 0 <= start <= most."
            )
        super().__init__(condition, float(start), most)
        self._above, self._below, self._step = float(raise_above), float(lower_below), float(step)
        self._episodes, self._most = episodes, float(most)
        self._scores: list[float] = []

    def report(self, condition: Iterable[Perturbation], score: float, steps: int = 0) -> None:
        """Count the score if the episode was played at the strength of now, and move when enough are in."""
        if tuple(condition) != self.condition:
            return
        self._scores.append(number(score, "A score"))
        if len(self._scores) < self._episodes:
            return
        mean = float(np.mean(self._scores))
        self._scores = []
        move = self._step if mean > self._above else -self._step if mean < self._below else 0.0
        # Twelve digits, so that going up and down again comes back to the same condition.
        self.strength = round(min(max(self.strength + move, 0.0), self._most), 12)

    def state_dict(self) -> dict[str, Any]:
        """Return the strength and the scores at it."""
        return {"kind": "ByCompetence", "strength": self.strength, "scores": list(self._scores)}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on at a strength."""
        state = _of(state, "ByCompetence", "strength", "scores")
        self.strength, self._scores = float(state["strength"]), [float(score) for score in state["scores"]]


class AutomaticRandomization(Curriculum):
    """Ranges that widen, each end on its own, where the policy still copes: automatic domain randomisation.

    Algorithm 1 of OpenAI et al. 2019 (arXiv:1910.07113): some episodes stand at one end of one range, all
    other draws inside theirs; once enough of them are in, a mean score of at least ``raise_above`` moves this
    end outwards by ``step`` and one below ``lower_below`` moves it back. Made for few environments: one end is
    tested at a time, in an order shuffled anew each round, instead of all 2n ends at once; and with the
    ``score_range`` known a test is over as soon as the episodes still missing cannot change what it decides.
    An episode of an end that has moved meanwhile does not count.

    Attributes:
        widest: ranges that no end goes beyond.

    Args:
        widest: perturbations with Uniform or Integers as amount; others belong to every episode as they are.
        raise_above: mean score at which an end moves outwards.
        lower_below: mean score below which an end moves back.
        start: where ranges begin, one value or narrower range each; None for the operations' identities,
            which ``set`` does not have.
        step: of a move, as a share of the way from where the end began to where it may go.
        episodes: how many scores decide a test.
        boundary_share: share of episodes that test an end.
        score_range: least and largest score possible, if they are known.
        seed: of the curriculum's own choices.

    >>> from sim2real.perturb.catalogue import mass
    >>> adr = AutomaticRandomization([mass(Uniform(0.5, 2))], raise_above=0.8, episodes=1, boundary_share=1)
    >>> for _ in range(2):
    ...     adr.report(adr.next(), score=1.0)
    >>> adr.condition[0].amount
    Uniform(0.975, 1.05)
    """

    def __init__(
        self,
        widest: Iterable[Perturbation],
        *,
        raise_above: float,
        lower_below: float = -math.inf,
        start: Iterable[Perturbation] | None = None,
        step: float = 0.05,
        episodes: int = 20,
        boundary_share: float = 0.5,
        score_range: tuple[float, float] | None = None,
        seed: int = 0,
    ) -> None:
        self.widest = _checked(widest)
        if not lower_below <= raise_above:
            raise Sim2RealError(f"lower_below {lower_below} must not exceed raise_above {raise_above}.")
        if episodes < 1 or not 0 < step <= 1 or not 0 < boundary_share <= 1:
            raise Sim2RealError("It takes at least 1 episode, and a step and a boundary_share in (0, 1].")
        self._above, self._below = float(raise_above), float(lower_below)
        self._step, self._episodes, self._share = float(step), episodes, float(boundary_share)
        self._range = score_range or (-math.inf, math.inf)
        self._moves = math.ceil(1 / self._step - 1e-9)
        self._ends: dict[tuple[int, Side], tuple[float, float]] = {}
        narrow = (None,) * len(self.widest) if start is None else _checked(start)
        if len(narrow) != len(self.widest):
            raise Sim2RealError(f"start has {len(narrow)} perturbations, widest has {len(self.widest)}.")
        for index, (item, begin) in enumerate(zip(self.widest, narrow, strict=True)):
            if isinstance(item.amount, Uniform | Integers):
                low, high = _begins(item, begin)
                self._ends[index, "low"] = low, item.amount.low
                self._ends[index, "high"] = high, item.amount.high
        if not any(first != last for first, last in self._ends.values()):
            raise Sim2RealError("There is no range to widen: give Uniform or Integers amounts.")
        self._places = dict.fromkeys(self._ends, 0)
        self._rng = np.random.Generator(np.random.PCG64(seed))
        self._seed, self._round = int(seed), 0
        self._order: list[tuple[int, Side]] = []
        self._scores: list[float] = []
        self._shuffle()

    @property
    def condition(self) -> Perturbations:
        """All ranges of now: what episodes that test no end draw from."""
        return tuple(
            replace(item, amount=type(item.amount)(self._end(index, "low"), self._end(index, "high")))
            if isinstance(item.amount, Uniform | Integers)
            else item
            for index, item in enumerate(self.widest)
        )

    @property
    def testing(self) -> tuple[Perturbation, Side]:
        """The range and its end that are tested now."""
        index, side = self._order[0]
        return self.condition[index], side

    @property
    def entropy(self) -> float:
        """Mean logarithm of the ranges' widths, each as a share of its widest, in nats: 0 when all are there."""
        shares = []
        for index, item in enumerate(self.widest):
            if isinstance(item.amount, Uniform | Integers) and item.amount.high > item.amount.low:
                width = self._end(index, "high") - self._end(index, "low")
                shares.append(max(width / (item.amount.high - item.amount.low), 1e-3))
        return float(np.mean(np.log(shares)))

    def next(self) -> Perturbations:
        """Return the condition of the next episode: all ranges, or one of them at the end that is tested."""
        return self._boundary() if self._rng.random() < self._share else self.condition

    def report(self, condition: Iterable[Perturbation], score: float, steps: int = 0) -> None:
        """Count the score if the episode tested the end that is tested now, and move it when that is decided."""
        if tuple(condition) != self._boundary():
            return
        self._scores.append(number(score, "A score"))
        least, most = self._mean()
        if least >= self._above:
            move = 1
        elif most < self._below:
            move = -1
        elif self._below <= least and most < self._above:
            move = 0
        else:
            return
        end = self._order.pop(0)
        self._places[end] = min(max(self._places[end] + move, 0), self._moves)
        self._scores = []
        if not self._order:
            self._shuffle()

    def _mean(self) -> tuple[float, float]:
        """Return the least and the largest mean there can be when all scores of the test are in."""
        missing = self._episodes - len(self._scores)
        if not missing:
            mean = float(np.mean(self._scores))
            return mean, mean
        least, most = ((sum(self._scores) + missing * bound) / self._episodes for bound in self._range)
        return least, most

    def _shuffle(self) -> None:
        ends = [end for end, (first, last) in self._ends.items() if first != last]
        # Not from the generator of `next`: how many episodes a test took must not change what comes after.
        order = np.random.Generator(np.random.PCG64([self._seed, self._round])).permutation(len(ends))
        self._order, self._round = [ends[i] for i in order], self._round + 1

    def _boundary(self) -> Perturbations:
        index, side = self._order[0]
        condition = list(self.condition)
        value = self._end(index, side)
        kind: Any = type(condition[index].amount)
        # A range of one value, not a number: redrawn as before, and no noise becomes a bias.
        condition[index] = replace(condition[index], amount=kind(value, value))
        return tuple(condition)

    def _end(self, index: int, side: Side) -> float:
        first, last = self._ends[index, side]
        value = first + min(self._places[index, side] * self._step, 1.0) * (last - first)
        if isinstance(self.widest[index].amount, Integers):
            return first + math.trunc(value - first + math.copysign(1e-9, last - first))
        return float(f"{value:.12g}")

    def state_dict(self) -> dict[str, Any]:
        """Return where the ends are, what is tested, with which scores, and the generator."""
        return {
            "kind": "AutomaticRandomization",
            "widest": to_json(self.widest),
            "places": [[index, side, place] for (index, side), place in self._places.items()],
            "seed": self._seed,
            "round": self._round,
            "order": [list(end) for end in self._order],
            "scores": list(self._scores),
            "generator": self._rng.bit_generator.state,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from a state of the same ranges."""
        state = _of(
            state,
            "AutomaticRandomization",
            "widest",
            "places",
            "seed",
            "round",
            "order",
            "scores",
            "generator",
        )
        if from_json(state["widest"]) != self.widest:
            raise Sim2RealError("This is the state of a curriculum with other ranges.")
        self._seed, self._round = state["seed"], state["round"]
        self._places = {(index, side): place for index, side, place in state["places"]}
        self._order = [(index, side) for index, side in state["order"]]
        self._scores = [float(score) for score in state["scores"]]
        self._rng.bit_generator.state = state["generator"]


def _checked(condition: Iterable[Perturbation]) -> Perturbations:
    items = tuple(condition)
    for item in items:
        if not isinstance(item, Perturbation):
            raise Sim2RealError(f"A curriculum takes perturbations, whose size can change, not {item!r}.")
    return items


def _at(condition: Perturbations, strength: float) -> Perturbations:
    return tuple(item.at(strength) for item in condition)


def _begins(item: Perturbation, begin: Perturbation | None) -> tuple[float, float]:
    """Return where the ends of a range begin."""
    amount: Any = item.amount
    if begin is None:
        identity = OPERATIONS[item.operation].identity
        if identity is None or not math.isfinite(identity):
            raise Sim2RealError(f"'{item.label}' has no value that changes nothing: give start.")
        low = high = identity
    elif begin.identity[:2] != item.identity[:2]:
        raise Sim2RealError(f"start has '{begin.label}' where widest has '{item.label}'.")
    else:
        pieces = (
            begin.amount.support() if not isinstance(begin.amount, float | int) else ((begin.amount,) * 2,)
        )
        low, high = min(piece[0] for piece in pieces), max(piece[1] for piece in pieces)
    if not amount.low <= low <= high <= amount.high:
        raise Sim2RealError(
            f"'{item.label}' does not begin within its range: at {shown(low)}"
            f"{'' if low == high else f' to {shown(high)}'}."
        )
    return low, high


def _of(state: Mapping[str, Any], kind: str, *names: str) -> Mapping[str, Any]:
    if state.get("kind") != kind or any(name not in state for name in names):
        raise Sim2RealError(f"This is no state of {kind}: {sorted(state)}.")
    return state

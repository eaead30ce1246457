"""What `Constrained` makes of a violation: modes are values, what they learn is in a `Memory`.

A mode is two pure functions. `judge` turns a step into a reward and a probability that the episode ends here.
`learn_step` and `learn_episode` turn what was learnt so far and what has happened into what is learnt now.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, fields
from statistics import fmean
from typing import Any, NamedTuple

from sim2real.errors import Sim2RealError
from sim2real.safety.constraint import number

State = dict[str, Any]
"""What a mode has learnt, as plain JSON values."""


class Charge(NamedTuple):
    """What a step cost.

    Attributes:
        cost: of this step.
        spent: cost of the episode so far, this step included.
        excess: of every constraint that is violated in this step, in units of its scale, by name.
    """

    cost: float
    spent: float
    excess: Mapping[str, float]


@dataclass(frozen=True, kw_only=True)
class Mode:
    """What is made of violations; all fields are finite numbers."""

    def __post_init__(self) -> None:
        for field in fields(self):
            value = number(getattr(self, field.name), f"{type(self).__name__}: {field.name}")
            object.__setattr__(self, field.name, value)
        if wrong := self._wrong():
            raise Sim2RealError(f"{self}: {wrong}.")

    def _wrong(self) -> str:
        """Return what is wrong with the fields, or an empty string."""
        return ""

    def begin(self) -> State:
        """Return what is known before anything has been learnt."""
        return {}

    def judge(self, reward: float, charge: Charge, state: State) -> tuple[float, float]:
        """Return the reward of a step and the probability that the episode ends with it."""
        return reward, 0.0

    def learn_step(self, state: State, charge: Charge) -> State:
        """Return what is known after a step."""
        return state

    def learn_episode(self, state: State, cost: float) -> State:
        """Return what is known after an episode of this cost."""
        return state


@dataclass(frozen=True, kw_only=True)
class Record(Mode):
    """Only record: rewards and episodes stay what they are, bit for bit."""


@dataclass(frozen=True, kw_only=True)
class Penalise(Mode):
    """Take a fixed price off the reward: r − weight · cost."""

    weight: float

    def judge(self, reward: float, charge: Charge, state: State) -> tuple[float, float]:
        """Return the reward less the price."""
        return reward - self.weight * charge.cost, 0.0


@dataclass(frozen=True, kw_only=True)
class _Priced(Mode, ABC):
    """A price λ per cost that is learnt until episodes cost the limit: the reward is (r − λ·cost) / (1 + λ).

    The division keeps the reward's size whatever λ (OmniSafe's PPO-Lagrangian divides the advantage so).
    """

    limit: float
    initial: float = 0.0
    most: float = 100.0
    episodes: float = 10.0

    def _wrong(self) -> str:
        if self.limit < 0.0:
            return "the limit of the cost of an episode must not be negative"
        if not 0.0 <= self.initial <= self.most:
            return "initial must lie between 0 and most"
        return (
            "" if self.episodes >= 1.0 and self.episodes.is_integer() else "episodes must be a whole number"
        )

    def begin(self) -> State:
        """Return the initial multiplier."""
        return {"multiplier": self.initial, "costs": []}

    def judge(self, reward: float, charge: Charge, state: State) -> tuple[float, float]:
        """Return the reward at the price of now."""
        price: float = state["multiplier"]
        return (reward - price * charge.cost) / (1.0 + price), 0.0

    def learn_episode(self, state: State, cost: float) -> State:
        """Collect the costs of some episodes, then move the multiplier by their mean."""
        costs = [*state["costs"], cost]
        if len(costs) < self.episodes:
            return {**state, "costs": costs}
        moved = self._move(state, fmean(costs))
        return {**moved, "multiplier": min(max(moved["multiplier"], 0.0), self.most), "costs": []}

    @abstractmethod
    def _move(self, state: State, cost: float) -> State:
        """Return the state with its multiplier moved by the mean cost of an episode."""


@dataclass(frozen=True, kw_only=True)
class Lagrangian(_Priced):
    """Learn the price by gradient ascent on the dual: λ ← max(0, λ + rate · (mean cost of an episode − limit)).

    Attributes:
        limit: the cost an episode may have on average.
        rate: step per unit of cost; OmniSafe's 0.035, without its Adam.
        initial: first multiplier.
        most: largest multiplier. Where a policy can end its episode, as a robot can by falling, it will once a step
            costs more than it earns: keep the price below that.
        episodes: how many are averaged for one update.
    """

    rate: float = 0.035

    def _move(self, state: State, cost: float) -> State:
        return {**state, "multiplier": state["multiplier"] + self.rate * (cost - self.limit)}


@dataclass(frozen=True, kw_only=True)
class PidLagrangian(_Priced):
    """Learn the price with a controller: λ = max(0, kp·Δ + I + kd·max(0, growth of the cost)).

    Δ is how far the mean cost of an episode is above the limit, I = max(0, I + ki·Δ). Stooke, Achiam and Abbeel,
    "Responsive safety in reinforcement learning by PID Lagrangian methods" (2020), algorithm 2; gains, smoothing
    and the delay of the growth are those of OmniSafe's CPPOPID.

    Attributes:
        limit: the cost an episode may have on average.
        initial: first integral, and so the first multiplier.
        most: largest multiplier and integral.
        episodes: how many are averaged for one update.
        kp: proportional gain.
        ki: integral gain.
        kd: derivative gain.
        smoothing: how much of the last Δ and cost stays in the proportional and the derivative part, 0 to 1.
        delay: over how many updates the growth is taken.
    """

    kp: float = 0.1
    ki: float = 0.01
    kd: float = 0.01
    smoothing: float = 0.95
    delay: float = 10.0

    def _wrong(self) -> str:
        if not 0.0 <= self.smoothing < 1.0:
            return "smoothing must lie within [0, 1)"
        if self.delay < 1.0 or not self.delay.is_integer():
            return "delay must be a whole number of updates"
        return super()._wrong()

    def begin(self) -> State:
        """Return the initial integral; nothing has been smoothed."""
        return {**super().begin(), "integral": self.initial, "error": None, "smoothed": []}

    def _move(self, state: State, cost: float) -> State:
        error, past, kept = cost - self.limit, state["smoothed"], self.smoothing
        integral = min(max(state["integral"] + self.ki * error, 0.0), self.most)
        if past:
            error = kept * state["error"] + (1.0 - kept) * error
            cost = kept * past[-1] + (1.0 - kept) * cost
        growth = max(0.0, cost - past[0]) if past else 0.0
        return {
            **state,
            "multiplier": self.kp * error + integral + self.kd * growth,
            "integral": integral,
            "error": error,
            "smoothed": [*past, cost][-int(self.delay) :],
        }


@dataclass(frozen=True, kw_only=True)
class Terminate(Mode):
    """End the episode in the step that takes its cost above a budget; 0 is none at all."""

    budget: float = 0.0

    def _wrong(self) -> str:
        return "the budget must not be negative" if self.budget < 0.0 else ""

    def judge(self, reward: float, charge: Charge, state: State) -> tuple[float, float]:
        """End what is over budget."""
        return reward, float(charge.spent > self.budget)


@dataclass(frozen=True, kw_only=True)
class Stochastic(Mode):
    """Constraints as terminations: end an episode with a probability that grows with the worst violation.

    δ = probability · maxᵢ min(1, excessᵢ / worstᵢ), and the reward becomes max(0, reward + shift) · (1 − δ): Chane-Sane
    et al., "CaT: constraints as terminations for legged locomotion reinforcement learning" (2024). δ is in
    ``info["termination_probability"]`` for whoever discounts by it instead.

    Ending only deters where there is something to lose, so rewards have to be at least 0. What is left of a
    negative one after the shift is cut off; if that is often, the task has changed: shift by what a step loses at
    most.

    worstᵢ follows the largest excess of a window of steps, worstᵢ ← keep·worstᵢ + (1 − keep)·largest. The
    publication takes the largest of thousands of environments at one time; where there are few, a window stands
    in for it, and the constraint's scale for what is not yet known. The window is counted over all environments
    that share a `Memory`.

    Attributes:
        probability: δ of the worst violation; 1 is for what must never happen, 0.25 the published soft value.
        keep: how much of the worst stays after a window; the published value.
        window: steps.
        shift: added to the reward.
        least: smallest worst, in units of the scale.
    """

    probability: float = 0.25
    keep: float = 0.95
    window: float = 4096.0
    shift: float = 0.0
    least: float = 1e-6

    def _wrong(self) -> str:
        if not 0.0 <= self.probability <= 1.0 or not 0.0 <= self.keep <= 1.0:
            return "probability and keep must lie between 0 and 1"
        if self.window < 1.0 or not self.window.is_integer():
            return "window must be a whole number of steps"
        return "" if self.least > 0.0 else "least must be positive"

    def begin(self) -> State:
        """Return an empty window; what is not in ``worst`` is 1, its scale."""
        return {"worst": {}, "largest": {}, "steps": 0}

    def judge(self, reward: float, charge: Charge, state: State) -> tuple[float, float]:
        """Return what the probability leaves of the reward."""
        worst = state["worst"]
        shares = [excess / worst.get(name, 1.0) for name, excess in charge.excess.items()]
        ending = self.probability * min(1.0, max(shares, default=0.0))
        return max(0.0, reward + self.shift) * (1.0 - ending), ending

    def learn_step(self, state: State, charge: Charge) -> State:
        """Let the worst follow the window."""
        worst, largest, steps = state["worst"], state["largest"], state["steps"] + 1
        if charge.excess:
            largest = {**largest, **{n: max(x, largest.get(n, 0.0)) for n, x in charge.excess.items()}}
        if steps >= self.window:
            follow = {n: self.keep * worst.get(n, 1.0) + (1.0 - self.keep) * largest.get(n, 0.0)
                      for n in {**worst, **largest}}  # fmt: skip
            worst, largest, steps = {n: max(x, self.least) for n, x in follow.items()}, {}, 0
        return {"worst": worst, "largest": largest, "steps": steps}


@dataclass(frozen=True, kw_only=True)
class Saute(Mode):
    """Show the policy what is left of a budget, and reward nothing once it is overspent.

    The observation gets one more number, 1 − spent / budget: 1 at reset, 0 when all is spent, negative beyond.
    Sootla et al., "Sauté RL: almost surely safe reinforcement learning using state augmentation" (2022), without
    discounting, as episodes end.

    Attributes:
        budget: the cost an episode may have.
        unsafe: reward of every step after more than that.
    """

    budget: float
    unsafe: float = 0.0

    def _wrong(self) -> str:
        return "" if self.budget > 0.0 else "the budget must be positive, or nothing could be left of it"

    def left(self, spent: float) -> float:
        """Return the part of the budget that is left."""
        return 1.0 - spent / self.budget

    def judge(self, reward: float, charge: Charge, state: State) -> tuple[float, float]:
        """Return the reward, or the unsafe one."""
        return (self.unsafe if charge.spent > self.budget else reward), 0.0


class Memory:
    """What a mode has learnt; give one to several `Constrained` of a process to let them learn together.

    Setting ``multiplier`` from outside, as a trainer does that averages over processes, ends learning here: from
    then on it is what it is set to.

    Args:
        mode: whose memory it is.
    """

    def __init__(self, mode: Mode) -> None:
        self.mode = mode
        self.state = mode.begin()
        self._held = False

    @property
    def multiplier(self) -> float:
        """The price of a unit of cost.

        Raises:
            Sim2RealError: if the mode has none, or for one that it does not allow.
        """
        if not isinstance(self.mode, _Priced):
            raise Sim2RealError(f"{self.mode} has no multiplier; Lagrangian and PidLagrangian have one.")
        price: float = self.state["multiplier"]
        return price

    @multiplier.setter
    def multiplier(self, value: float) -> None:
        self.multiplier  # noqa: B018 - whether there is one
        value = number(value, "The multiplier")
        if not 0.0 <= value <= self.mode.most:  # type: ignore[attr-defined]
            raise Sim2RealError(
                f"The multiplier lies between 0 and the most of {self.mode}: {value:g} does not."
            )
        self.state, self._held = {**self.state, "multiplier": value, "costs": []}, True

    def learn_step(self, charge: Charge) -> None:
        """Learn from a step."""
        self.state = self.mode.learn_step(self.state, charge)

    def learn_episode(self, cost: float) -> None:
        """Learn from an episode."""
        if not self._held:
            self.state = self.mode.learn_episode(self.state, cost)

    def state_dict(self) -> dict[str, Any]:
        """Return all of it as plain JSON values."""
        return {"mode": repr(self.mode), "state": self.state, "held": self._held}

    def load_state_dict(self, saved: Mapping[str, Any]) -> None:
        """Go on from what `state_dict` returned.

        Raises:
            Sim2RealError: if it is the memory of another mode.
        """
        if saved.get("mode") != repr(self.mode):
            raise Sim2RealError(f"This is a memory of {saved.get('mode')}, not of {self.mode}.")
        self.state, self._held = dict(saved["state"]), saved["held"]

"""What is asked: which policies, under which conditions, over how many episodes."""

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from sim2real.errors import Sim2RealError
from sim2real.perturb import Condition, Item, makes
from sim2real.policies import PolicyFile
from sim2real.safety import Constraint
from sim2real.study.files import contents, named
from sim2real.study.seeds import canonical, episode_seed
from sim2real.study.trial import ParametersOf, Trial, importable
from sim2real.wrappers.period import checked

NOMINAL = "nominal"
SHARES = ("success", "survived")
"""Metrics from 0 to 1, of which 0.9 is competent where nothing else is said."""


class Cell(NamedTuple):
    """Where a trial stands in a study; labels live here and nowhere below."""

    policy_label: str
    run: int  # index of the training run
    condition_label: str
    episode: int
    trial: Trial


@dataclass(frozen=True, kw_only=True)
class Reference:
    """Published numbers drawn beside a severity curve.

    Attributes:
        label: Name in the legend.
        metric: The metric the numbers measure.
        target: The perturbed target, such as "parameter:ground.friction".
        points: (severity, value) pairs.
        source: Where they were published.
    """

    label: str
    metric: str
    target: str
    points: tuple[tuple[float, float], ...]
    source: str

    def __post_init__(self) -> None:
        try:
            points = tuple((float(x), float(value)) for x, value in self.points)
        except (TypeError, ValueError):
            points = ()
        if not points:
            raise Sim2RealError(f"Reference '{self.label}' needs points: pairs of (severity, value).")
        object.__setattr__(self, "points", points)


@dataclass(frozen=True, kw_only=True)
class Study:
    """A question put to policies: every policy meets the same episodes under every condition.

    Attributes:
        name: Also the name of the folder the records go to.
        env: Gymnasium id, with the module that registers it if need be ("sim2real:sim2real/Walk-v0").
        policies: Label -> policy file, or one file per training run.
        conditions: Label -> perturbations, wrappers, and how the environment is made otherwise; "nominal"
            (nothing) always comes first.
        episodes: Per policy file and condition.
        seed: Chooses the episodes.
        env_kwargs: Arguments of `gymnasium.make`: plain JSON values.
        parameters: Importable function env -> Parameters, for environments without their own.
        metric: What is compared: a column of the records or a name in their `metrics`.
        competent: The nominal value of `metric` below which robustness is not reported; None for 0.9 of success and
            other shares. A return has no natural level, so it has to be said.
        max_steps: Control steps after which an episode counts as truncated, None for no limit.
        question: What the study is to answer, in a sentence for the report.
        references: Published numbers to draw beside severity curves.
        period_s: Seconds between two steps, which the environment is asked for by default; needed for perturbations and
            constraints that count in seconds, where it does not say or its sources differ.
        constraints: What is watched in every episode; what they count is the records' cost and violations.
        only: Policy label -> condition label -> the episodes it is played in, where that is not all of them.
        files: Path -> sha256 of the files and robots' folders that `env_kwargs` and conditions name, "" for none; by
            default as they are now.

    Raises:
        Sim2RealError: If a field cannot be used.
    """

    name: str
    env: str
    policies: Mapping[str, Sequence[PolicyFile]]
    conditions: Mapping[str, Sequence[Item]] = field(default_factory=dict)
    episodes: int = 20
    seed: int = 0
    env_kwargs: Mapping[str, Any] = field(default_factory=dict)
    parameters: ParametersOf | None = None
    metric: str = "success"
    competent: float = None  # type: ignore[assignment] # it is a number once the study is made
    max_steps: int | None = None
    question: str = ""
    references: tuple[Reference, ...] = ()
    constraints: tuple[Constraint, ...] = ()
    period_s: float | None = None
    only: Mapping[str, Mapping[str, Sequence[int]]] = field(default_factory=dict)
    files: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[\w][\w. -]*(?<![. ])", str(self.name), re.ASCII):
            raise Sim2RealError(
                f"A study's name becomes a folder: letters, digits, '.', '_' and '-', not {self.name!r}."
            )
        if not isinstance(self.env, str) or not self.env:
            raise Sim2RealError(f"env must be the id of a Gymnasium environment, not {self.env!r}.")
        for value, what, least in (
            (self.episodes, "episodes", 1),
            (self.seed, "seed", 0),
            (1 if self.max_steps is None else self.max_steps, "max_steps", 1),
        ):
            if isinstance(value, bool) or not isinstance(value, int) or value < least:
                raise Sim2RealError(f"{what} must be a whole number of at least {least}, not {value!r}.")
        if self.competent is None:
            if self.metric not in SHARES and not self.metric.endswith("_share"):
                raise Sim2RealError(
                    f"Say which nominal {self.metric} is good enough to speak of robustness: competent=…, such as what "
                    "random actions get; it has no natural level as success has."
                )
            object.__setattr__(self, "competent", 0.9)
        if self.period_s is not None:
            object.__setattr__(self, "period_s", checked(self.period_s))
        if not math.isfinite(self.competent):
            raise Sim2RealError(f"competent must be a finite value of '{self.metric}', not {self.competent}.")
        try:
            canonical(dict(self.env_kwargs))
        except (TypeError, ValueError) as error:
            raise Sim2RealError(f"env_kwargs must hold plain JSON values: {error}.") from None
        if self.parameters is not None:
            object.__setattr__(self, "parameters", importable(self.parameters))
        if not all(isinstance(reference, Reference) for reference in self.references):
            raise Sim2RealError("references must be Reference(...) values.")
        object.__setattr__(self, "references", tuple(self.references))
        names = [getattr(constraint, "name", None) for constraint in self.constraints]
        if not all(isinstance(constraint, Constraint) for constraint in self.constraints):
            raise Sim2RealError("constraints must be values of sim2real.safety, such as torso_tilt(0.8).")
        if len(set(names)) < len(names):
            raise Sim2RealError(f"Constraints need names of their own, not {', '.join(map(str, names))}.")
        object.__setattr__(self, "constraints", tuple(self.constraints))
        object.__setattr__(self, "policies", _policies(self.policies))
        object.__setattr__(self, "conditions", _conditions(self.conditions))
        for policy, chosen in self.only.items():
            if policy not in self.policies or not chosen.keys() <= self.conditions.keys():
                raise Sim2RealError(
                    f"only names policies and conditions of the study, not '{policy}': {[*chosen]}."
                )

        made_with = (self.env_kwargs, *map(makes, self.conditions.values()))
        unknown = set().union(*map(named, made_with)) - self.files.keys()
        object.__setattr__(self, "files", {**self.files, **contents(sorted(unknown))})

    def cells(self) -> Iterator[Cell]:
        """Iterate over every (policy, run, condition, episode) with its trial, in the order they are run.

        All conditions of an episode come before the next episode, so every cell of a policy gets data early.
        """
        seeds = [episode_seed(self.seed, episode) for episode in range(self.episodes)]
        for policy_label, runs in self.policies.items():
            chosen = {label: set(some) for label, some in self.only.get(policy_label, {}).items()}
            for run, policy in enumerate(runs):
                for episode, seed in enumerate(seeds):
                    for condition_label, condition in self.conditions.items():
                        if condition_label in chosen and episode not in chosen[condition_label]:
                            continue
                        trial = self._trial(policy, condition, seed)
                        yield Cell(policy_label, run, condition_label, episode, trial)

    def trial(self, policy_label: str, run: int, condition_label: str, episode: int) -> Trial:
        """Return the trial at one place of the study."""
        seed = episode_seed(self.seed, episode)
        return self._trial(self.policies[policy_label][run], self.conditions[condition_label], seed)

    def _trial(self, policy: PolicyFile, condition: Sequence[Item], seed: int) -> Trial:
        return Trial(
            policy=policy,
            env=self.env,
            env_kwargs=self.env_kwargs,
            condition=tuple(condition),
            seed=seed,
            parameters=self.parameters,
            max_steps=self.max_steps,
            constraints=self.constraints,
            period_s=self.period_s,
            files=self.files,
        )

    def trials(self) -> tuple[Trial, ...]:
        """Return the trials to run, each content once."""
        return tuple({cell.trial.key: cell.trial for cell in self.cells()}.values())


def _policies(given: Mapping[str, PolicyFile | Sequence[PolicyFile]]) -> dict[str, tuple[PolicyFile, ...]]:
    if not isinstance(given, Mapping) or not given or not all(isinstance(label, str) for label in given):
        raise Sim2RealError("A study needs policies: a dict of label -> policy file.")
    policies = {}
    for label, value in given.items():
        runs = tuple(value) if isinstance(value, Sequence) else (value,)
        if not runs or not all(isinstance(run, PolicyFile) for run in runs):
            raise Sim2RealError(f"Policy '{label}' must be a policies.file(...), or a list with one per run.")
        if len({(run.sha256, run.shields) for run in runs}) < len(runs):
            raise Sim2RealError(f"Policy '{label}' lists one file twice; each training run counts once.")
        policies[label] = runs
    return policies


def _conditions(given: Mapping[str, Sequence[Item]]) -> dict[str, Condition]:
    if not isinstance(given, Mapping) or not all(isinstance(label, str) for label in given):
        raise Sim2RealError("conditions must be a dict of label -> list of perturbations.")
    conditions: dict[str, Condition] = {NOMINAL: ()}
    for label, value in given.items():
        items = value if isinstance(value, Sequence) else (None,)
        if not all(isinstance(item, Item) for item in items):
            raise Sim2RealError(f"Condition '{label}' must be a list of perturbations, not {value!r}.")
        if label == NOMINAL and value:
            raise Sim2RealError("'nominal' names the unperturbed condition; give this one another label.")
        makes(items)  # names no keyword twice
        conditions[label] = tuple(items)
    return conditions

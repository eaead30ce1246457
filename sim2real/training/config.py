"""What is trained, and how: frozen values that a Python file puts together."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, is_dataclass
from functools import cached_property, partial
from typing import Any

from sim2real.errors import Sim2RealError, nearest
from sim2real.perturb import Perturbation, Wrap, to_json
from sim2real.perturb.curriculum import Curriculum
from sim2real.policies import Policy, PolicyFile, scripted, servo
from sim2real.policies.native import ACTIVATIONS
from sim2real.safety import Constraint, Mode, Record, Saute, Shield
from sim2real.study.files import contents, named
from sim2real.study.seeds import canonical, content_hash

CurriculumOf = Callable[[tuple[Perturbation, ...]], Curriculum]


@dataclass(frozen=True, kw_only=True)
class Ppo:
    """Proximal policy optimisation (Schulman et al. 2017, arXiv:1707.06347), by Stable-Baselines3.

    Attributes:
        rollout: steps of every environment between two updates.
        batch: samples of a gradient step.
        epochs: passes over the samples of an update.
        learning_rate: of Adam; the actor's at first.
        critic_learning_rate: where it is not the same. It stays what it is.
        kl: how far an update should move the policy, in nats: after one that moves it twice as far the actor's rate
            is divided by 1.5, after one that moves it half as far multiplied, between 1e-5 and 1e-2 (rsl_rl's
            adaptive schedule); None keeps the rate.
        discount: of the return, per step.
        gae: λ of generalised advantage estimation.
        clip: of the ratio of probabilities.
        entropy: weight of the entropy bonus.
        std: of the actions at first, in the network's output.
        bound: outputs of the network are clipped to ± this.
        mirror: learn from every sample and from its mirror image too (Mittal et al. 2024, arXiv:2403.04359).
        privileged: what the critic sees beside the actor's input: names in `sim2real.training.privileged`, or
            "parameter:NAME", relative to nominal.
        critic_first: steps at first in which only the critic learns, for an actor that has a start to lose.
    """

    rollout: int = 256
    batch: int = 2048
    epochs: int = 4
    learning_rate: float = 3e-4
    critic_learning_rate: float | None = None
    kl: float | None = 0.01
    discount: float = 0.99
    gae: float = 0.95
    clip: float = 0.2
    entropy: float = 0.0
    std: float = 0.7
    bound: float = 5.0
    mirror: bool = False
    privileged: tuple[str, ...] = ()
    critic_first: int = 0

    def __post_init__(self) -> None:
        _positive(self, "rollout", "batch", "epochs", "learning_rate", "clip", "std", "bound")
        if self.kl is not None:
            _positive(self, "kl")
        _shares(self, "discount", "gae")


@dataclass(frozen=True, kw_only=True)
class Sac:
    """Soft actor-critic (Haarnoja et al. 2018, arXiv:1812.05905), by Stable-Baselines3.

    Outputs end in ±1, which `Training.action_scale` has to make wide enough. A checkpoint holds the memory.

    Attributes:
        memory: transitions that are kept to learn from.
        warm_up: steps of random actions at first.
        batch: samples of a gradient step.
        updates: gradient steps per step of all environments.
        learning_rate: of Adam.
        discount: of the return, per step.
        polyak: share by which the target follows the critic.
    """

    memory: int = 300_000
    warm_up: int = 5_000
    batch: int = 256
    updates: int = 4
    learning_rate: float = 3e-4
    discount: float = 0.99
    polyak: float = 0.005

    bound = 1.0
    mirror = False
    privileged: tuple[str, ...] = field(default=(), init=False)

    def __post_init__(self) -> None:
        _positive(self, "memory", "warm_up", "batch", "updates", "learning_rate")
        _shares(self, "discount", "polyak")


@dataclass(frozen=True, kw_only=True)
class Imitate:
    """Imitation of a teacher that is asked in every state what it would do: DAgger (Ross et al. 2011, arXiv:1011.0686).

    A round plays, the teacher acting in a share of the steps and the network in the others, and then fits the
    network to what the teacher would have done in all states of all rounds. Rewards teach nothing. Every step counts,
    whoever acted in it.

    Attributes:
        teacher: `factory(env) -> policy`, of the environment without perturbations, which sees what the policy sees; at
            the top level of a module. It knows best if what it does follows from what it sees, as then its answers
            in states that it would not have come to make sense.
        rollout: steps of every environment in a round: an episode's, as every checkpoint begins episodes anew.
        share: of the steps in which the teacher acts: all in the first round, this in the second, its square in the
            third …
        updates: gradient steps of a round, of a learning rate that falls to 0 along a cosine.
        batch: samples of a gradient step.
        learning_rate: of Adam, at the beginning of each round.
        bound: outputs of the network are clipped to ± this, and what the teacher does as well.
    """

    teacher: Callable[[Any], Policy] = servo
    rollout: int = 300
    share: float = 0.3
    updates: int = 2_000
    batch: int = 256
    learning_rate: float = 1e-3
    bound: float = 1.0

    mirror = False
    privileged: tuple[str, ...] = field(default=(), init=False)

    def __post_init__(self) -> None:
        _positive(self, "rollout", "updates", "batch", "learning_rate", "bound")
        _shares(self, "share")


@dataclass(frozen=True, kw_only=True)
class Competence:
    """When a policy is good enough: bounds on the means over evaluation episodes of the exported file.

    Attributes:
        at_least: least mean, by the name of a column ("success", "return", "length") or of a metric.
        at_most: greatest mean, likewise.
        episodes: how many are played; the same ones every time.
        every: steps of training between two evaluations.
        condition: under which; nominal by default.
        stop: end the training there; otherwise it only tells when it was reached.
    """

    at_least: Mapping[str, float] = field(default_factory=dict, hash=False)
    at_most: Mapping[str, float] = field(default_factory=dict, hash=False)
    episodes: int = 20
    every: int = 500_000
    condition: tuple[Perturbation, ...] = ()
    stop: bool = True

    def __post_init__(self) -> None:
        object.__setattr__(self, "condition", tuple(self.condition))
        _positive(self, "episodes", "every")

    def met(self, means: Mapping[str, float]) -> bool:
        """Tell whether means over episodes are good enough; without any bound they never are.

        Raises:
            Sim2RealError: a bound on something that the episodes do not measure.

        >>> Competence(at_least={"success": 0.95}).met({"success": 0.97})
        True
        """
        for name in (*self.at_least, *self.at_most):
            if name not in means:
                raise Sim2RealError(f"No episode measures '{name}'.{nearest(name, means)}")
        low = all(means[name] >= bound for name, bound in self.at_least.items())
        high = all(means[name] <= bound for name, bound in self.at_most.items())
        return low and high and bool(self.at_least or self.at_most)


@dataclass(frozen=True, kw_only=True)
class Training:
    """A policy to be trained: where, under what, by what, and how long.

    Attributes:
        name: of the folder in runs/.
        env: Gymnasium id.
        env_kwargs: arguments of `gymnasium.make`: plain JSON values.
        perturbations: what it is trained under, its domain randomisation.
        curriculum: makes a curriculum of the perturbations: `partial(ByCompetence, raise_above=0.8)`.
        score: what the curriculum is told of an episode: a column or metric, as in `Competence`.
        constraints: what is watched in the robot itself, whatever is done to its signals.
        period_s: seconds between two steps, as in a Study.
        mode: what is made of their violation; a price that is learnt is one for all environments.
        shields: that the policy stands behind, in training and from its file in a study.
        wrappers: anything else, put around the perturbed environment.
        algorithm: a Ppo, a Sac, or an Imitate.
        start: policy files, such as imitators of one teacher, as which the actor of a Ppo begins: one for all seeds,
            or one for each.
        network: sizes of the hidden layers, of actor and critic alike.
        activation: between the layers.
        history: how many moments of every observation term the policy sees.
        action_scale: of the network's output, in the environment's own unit of action.
        reward_scale: of the rewards learnt from; records keep the environment's own.
        normalise: learn mean and spread of the input, for environments whose terms have no scales.
        steps: of all environments together.
        seeds: one training run each.
        environments: played side by side.
        processes: that share the environments; 0 plays them in the learner's.
        checkpoint: steps between two checkpoints, rounded up to whole updates.
        competence: when to stop early.

    Raises:
        Sim2RealError: values that contradict each other or cannot be used.
    """

    name: str
    env: str
    env_kwargs: Mapping[str, Any] = field(default_factory=dict, hash=False)
    perturbations: tuple[Perturbation, ...] = ()
    curriculum: CurriculumOf | None = None
    score: str = "success"
    constraints: tuple[Constraint, ...] = ()
    period_s: float | None = None
    mode: Mode = field(default_factory=Record)
    shields: tuple[Shield, ...] = ()
    wrappers: tuple[Wrap, ...] = ()
    algorithm: Ppo | Sac | Imitate = field(default_factory=Ppo)
    start: tuple[PolicyFile, ...] = ()
    network: tuple[int, ...] = (256, 128)
    activation: str = "elu"
    history: int = 1
    action_scale: float = 0.25
    reward_scale: float = 1.0
    normalise: bool = False
    steps: int = 10_000_000
    seeds: tuple[int, ...] = (0,)
    environments: int = 32
    processes: int = 2
    checkpoint: int = 100_000
    competence: Competence | None = None

    def __post_init__(self) -> None:
        for name in ("perturbations", "constraints", "shields", "wrappers", "start", "network", "seeds"):
            object.__setattr__(self, name, tuple(getattr(self, name)))
        _positive(self, "history", "action_scale", "reward_scale", "steps", "environments", "checkpoint")
        if self.activation not in ACTIVATIONS:
            raise Sim2RealError(
                f"There is no activation '{self.activation}'.{nearest(self.activation, ACTIVATIONS)}"
            )
        if not 0 <= self.processes <= self.environments:
            raise Sim2RealError(f"{self.environments} environments need 0 to as many processes.")
        if not self.network or min(self.network) < 1 or not self.seeds:
            raise Sim2RealError("A training has at least one hidden layer and one seed.")
        for item in self.perturbations:
            if not isinstance(item, Perturbation):
                raise Sim2RealError(f"Training perturbations are perturbations; put {item!r} into wrappers.")
        if isinstance(self.mode, Saute):
            raise Sim2RealError("Saute shows the policy what no contract names: choose another mode.")
        if self.normalise and (self.algorithm.mirror or self.algorithm.privileged):
            raise Sim2RealError("normalise knows no mirror images and no privileged values: turn it off.")

        if self.start and (self.normalise or not isinstance(self.algorithm, Ppo)):
            raise Sim2RealError("Only a Ppo that does not normalise can start from a policy file.")
        if len(self.start) not in (0, 1, len(self.seeds)):
            raise Sim2RealError(
                f"{len(self.seeds)} seeds start from one file or from one each, not {len(self.start)}."
            )

    def starts_from(self, seed: int) -> PolicyFile | None:
        """Return the file as which the actor begins, if any.

        Raises:
            Sim2RealError: a seed that is none of the training's, each of which has a file of its own.
        """
        if len(self.start) < 2:
            return self.start[0] if self.start else None
        if seed not in self.seeds:
            raise Sim2RealError(f"Seed {seed} has no file to start from: the seeds are {self.seeds}.")
        return self.start[self.seeds.index(seed)]

    @cached_property
    def identity(self) -> str:
        """Hash of all that decides what is learnt, whatever it is called and however long it takes.

        Of functions it holds the names, but of a teacher that does not come with this package the code as well.
        """
        free = ("name", "steps", "seeds", "processes", "competence")
        told = {k: v for k, v in plain(self).items() if k not in free}
        if told["period_s"] is None:  # as before there was such a field
            del told["period_s"]
        if made_from := {path: sha256 for path, sha256 in contents(named(self.env_kwargs)).items() if sha256}:
            told["made_from"] = made_from
        teacher = getattr(self.algorithm, "teacher", None)
        if teacher is not None and teacher.__module__.partition(".")[0] != __name__.partition(".")[0]:
            told["teacher"] = scripted(teacher).sha256
        return content_hash(canonical(told))


def plain(value: Any) -> Any:
    """Return a value of this file as plain JSON data."""
    if isinstance(value, Perturbation | Wrap):
        return to_json((value,))[0]
    if isinstance(value, PolicyFile):
        return value.sha256
    if isinstance(value, partial):
        return [plain(value.func), plain(value.args), plain(value.keywords)]
    if is_dataclass(value) and not isinstance(value, type):
        return {"kind": type(value).__name__} | {
            part.name: plain(getattr(value, part.name)) for part in fields(value)
        }
    if isinstance(value, Mapping):
        return {name: plain(item) for name, item in value.items()}
    if isinstance(value, tuple | list):
        return [plain(item) for item in value]
    if callable(value):
        return f"{value.__module__}:{value.__qualname__}"
    return value


def _positive(value: Any, *names: str) -> None:
    for name in names:
        if not getattr(value, name) > 0:
            raise Sim2RealError(f"'{name}' must be positive, not {getattr(value, name)}.")


def _shares(value: Any, *names: str) -> None:
    for name in names:
        if not 0 < getattr(value, name) <= 1:
            raise Sim2RealError(f"'{name}' must be in (0, 1], not {getattr(value, name)}.")

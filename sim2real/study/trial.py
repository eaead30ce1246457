"""One policy, one condition, one episode seed: the unit of work, of record and of resume."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from typing import Any

from sim2real import safety
from sim2real._version import physics_of
from sim2real.errors import Sim2RealError
from sim2real.perturb import Condition, Make, Parameters, makes, to_json
from sim2real.perturb.condition import Importable
from sim2real.policies import PolicyFile
from sim2real.safety import Constraint
from sim2real.study.files import named
from sim2real.study.seeds import canonical, content_hash

RECORD_VERSION = 2  # what a row means; with another number every earlier record is one of another trial

ParametersOf = Callable[[Any], Parameters]


def importable(function: Callable[..., Any]) -> Importable:
    """Return a function as its name, which any process can import.

    Raises:
        Sim2RealError: If it is not a function at the top level of a module.

    >>> importable(canonical)
    Importable(name='sim2real.study.seeds:canonical')
    """
    if isinstance(function, Importable):
        return function
    name = getattr(function, "__qualname__", "<")
    if any(sign in name for sign in "<."):
        raise Sim2RealError(f"{function!r} must be a function at the top level of a module.")
    return Importable(f"{function.__module__}:{name}")


@dataclass(frozen=True, kw_only=True)
class Trial:
    """One episode to be measured; its `key` is a hash of what it is, never of labels or order.

    Attributes:
        policy: The policy file, with the shields it stands behind.
        env: Gymnasium id.
        env_kwargs: Arguments of `gymnasium.make`: plain JSON values.
        condition: Perturbations, wrappers, and how the environment is made otherwise; () is nominal.
        seed: Given to the environment and the policy at reset.
        parameters: Importable function env -> Parameters, for environments without their own.
        max_steps: Control steps after which the episode is cut, None for no limit.
        constraints: What is watched; it changes nothing.
        period_s: Seconds between two steps, None for what the environment says.
        files: Path -> sha256 of what the environment is made from, "" for nothing.
    """

    policy: PolicyFile
    env: str
    env_kwargs: Mapping[str, Any] = field(default_factory=dict, hash=False)
    condition: Condition = ()
    seed: int = 0
    parameters: ParametersOf | None = None
    max_steps: int | None = None
    constraints: tuple[Constraint, ...] = ()
    period_s: float | None = None
    files: Mapping[str, str] = field(default_factory=dict, hash=False)

    def __post_init__(self) -> None:
        if self.parameters is not None:
            object.__setattr__(self, "parameters", importable(self.parameters))

    @cached_property
    def made_with(self) -> dict[str, Any]:
        """All arguments of `gymnasium.make`, those that the condition overrides included."""
        return dict(self.env_kwargs) | makes(self.condition)

    @cached_property
    def made_from(self) -> dict[str, str]:
        """Path -> sha256 of the files and robots' folders that `made_with` names."""
        return {text: sha256 for text in named(self.made_with) if (sha256 := self.files.get(text))}

    @cached_property
    def key(self) -> str:
        """32 hexadecimal digits that name the content of this trial."""
        return content_hash(
            canonical(
                [
                    RECORD_VERSION,
                    self.policy.sha256,
                    self.env,
                    self.made_with,  # so that it does not matter whether study or condition says it
                    _content(self.condition),
                    self.seed,
                    getattr(self.parameters, "name", None),
                    self.max_steps,
                    _plain(self.policy.shields),
                    _plain(self.constraints),
                    *([self.made_from] if self.made_from else []),
                    *([f"period {self.period_s!r} s"] if self.period_s else []),
                    *([f"physics {version}"] if (version := physics_of(self.env)) else []),
                ]
            )
        )


@lru_cache(maxsize=1024)
def _plain(values: tuple[Any, ...]) -> str:
    return canonical(safety.to_json(values))


@lru_cache(maxsize=1024)
def _content(condition: Condition) -> str:
    items = to_json(item for item in condition if not isinstance(item, Make))
    return canonical([{name: value for name, value in item.items() if name != "label"} for item in items])

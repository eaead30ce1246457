"""Whether what one has can be used: the installation, an environment, a policy under its contract.

Each check is a `Finding`; the command `sim2real doctor` prints them.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sim2real.doctor.installation import check_installation
from sim2real.errors import Finding

if TYPE_CHECKING:
    from sim2real.policies import Contract

WALK = "sim2real:sim2real/Walk-v0"


@dataclass(frozen=True, kw_only=True)
class Place:
    """An environment to make."""

    env: str
    env_kwargs: Mapping[str, Any] = field(default_factory=dict)


def examine(
    env: str | None = None,
    policy: Path | None = None,
    contract: Path | None = None,
    *,
    trust: bool = False,
    everything: bool = False,
) -> Iterator[tuple[str, Iterator[Finding]]]:
    """Yield a heading and the findings below it, which are looked for as they are asked for.

    Args:
        env: Gymnasium id; None for that which the policy says it was trained in, else as in `place_of`.
        policy: its file.
        contract: its contract, for files that carry none, or to hold against the one that the file carries.
        trust: load policy files that can run code.
        everything: hold every parameter to its promises, however long it takes.

    Raises:
        Sim2RealError: a policy file or a contract that cannot be read.
    """
    yield "installation", check_installation()
    try:
        from sim2real.doctor.environment import check_environment
        from sim2real.doctor.policy import check_contract, check_policy
        from sim2real.policies import Contract, file
    except ModuleNotFoundError:
        return  # what is missing has been told
    given = None if contract is None else Contract.read(contract)
    declared = policy and file(policy, contract=None if policy.suffix == ".safetensors" else given)
    place = _place(env, declared.contract if declared else given)
    made_with = "".join(f", {name}={value}" for name, value in place.env_kwargs.items())
    yield place.env + made_with, check_environment(place, everything)
    if declared:
        yield declared.source, check_policy(place, declared, given, trust)
    elif given:
        yield str(contract), check_contract(place, given)


def _place(env: str | None, contract: "Contract | None") -> Place:
    """Return the environment that is meant, made as in training if that was in the same."""
    training = contract.training if contract else {}
    if "env" in training and env in (None, training["env"]):
        return Place(env=str(training["env"]), env_kwargs=json.loads(str(training.get("env_kwargs", "{}"))))
    return place_of(env)


def place_of(env: str | None) -> Place:
    """Return the environment of an id as it is made by default; without one, `WALK` in an engine that is installed."""
    if env is not None:
        return Place(env=env)
    from sim2real.simulation.engine import ENGINES, installed

    usual, here = next(iter(ENGINES)), installed()
    return Place(env=WALK, env_kwargs={} if usual in here or not here else {"engine": here[0]})

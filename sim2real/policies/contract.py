"""What a policy's inputs and outputs mean, kept beside its weights so that it runs on no others."""

import json
import math
import tomllib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Self

import numpy as np

from sim2real import safety
from sim2real.errors import Sim2RealError, nearest
from sim2real.perturb import Condition, from_json, to_json
from sim2real.policies.binding import ContractBinding
from sim2real.safety import Shield

FORMAT = "sim2real-policy/1"
Numbers = float | tuple[float, ...]
Scalar = str | int | float | bool


@dataclass(frozen=True, kw_only=True)
class Term:
    """One observation term as the network reads it: `(x - offset) * scale`.

    `scale` and `offset` are one number or one per element; of a `history` of values the oldest comes first.
    Terms named `joint_...` hold one value per joint in the contract's order; `previous_action` is the last
    output of the network itself (after the clip), zero at reset.

    Raises:
        Sim2RealError: a size, history, scale or offset that cannot be used.
    """

    term: str
    size: int
    scale: Numbers = 1.0
    offset: Numbers = 0.0
    history: int = 1

    def __post_init__(self) -> None:
        for name, value in (("size", self.size), ("history", self.history)):
            if type(value) is not int or value < 1:
                raise Sim2RealError(f"'{name}' of '{self.term}' must be a positive integer, not {value!r}.")
        for name in ("scale", "offset"):
            _keep(self, name, _numbers(f"'{name}' of '{self.term}'", getattr(self, name), self.size))


@dataclass(frozen=True, kw_only=True)
class Contract:
    """The terms on which a policy runs; an empty one promises nothing and binds by the shape of the spaces.

    The network's output, clipped to ±`action_clip`, becomes `action_offset + action_scale * output`: joint
    targets in rad (`control="position"`) or torques in N m (`"torque"`), in the order of `joints`, or the
    actions of the names in `outputs`, in the environment's own unit.

    Args:
        joints: the joints the policy commands, in its own order.
        control: `"position"`, `"torque"` or `"twist"`.
        control_period_s: seconds between two actions.
        observation: the terms, in the order in which the network reads them.
        outputs: names of the actions that the network puts out, where they are not one per joint.
        action_scale: one number, or one per output.
        action_offset: one number, or one per output.
        action_clip: symmetric limit on the network's output.
        kp: position gains in N m/rad, one per joint; None keeps those of the environment.
        kd: velocity gains in N m s/rad, one per joint.
        gait_period_s: the period behind the term `gait_phase`.
        history_by: `"term"` keeps the history of each term together (Isaac Lab), `"frame"` the terms of each
            moment (humanoid-gym).
        shields: that it was trained behind, and stands behind wherever it runs.
        seen: the conditions met in training; `()` is the nominal world alone, None is undeclared.
        training: algorithm, steps, seed, command and so on; flat.

    Raises:
        Sim2RealError: parts that are missing or contradict each other.

    >>> contract = Contract(joints=("knee",), control="torque", control_period_s=0.02,
    ...                     observation=(Term(term="joint_position", size=1),))
    >>> Contract.from_toml(contract.to_toml()) == contract
    True
    """

    joints: tuple[str, ...] = ()
    control: str = ""
    control_period_s: float = 0.0
    observation: tuple[Term, ...] = ()
    outputs: tuple[str, ...] = ()
    action_scale: Numbers = 1.0
    action_offset: Numbers = 0.0
    action_clip: float | None = None
    kp: tuple[float, ...] | None = None
    kd: tuple[float, ...] | None = None
    gait_period_s: float | None = None
    history_by: str = "term"
    shields: tuple[Shield, ...] = ()
    seen: tuple[Condition, ...] | None = None
    training: Mapping[str, Scalar | Sequence[Scalar]] = field(default_factory=dict, hash=False)

    def __post_init__(self) -> None:
        _keep(self, "joints", tuple(self.joints))
        _keep(self, "observation", tuple(self.observation))
        _keep(self, "outputs", tuple(self.outputs))
        _keep(self, "shields", tuple(self.shields))
        _keep(self, "seen", None if self.seen is None else tuple(map(tuple, self.seen)))
        _keep(self, "training", {name: _flat(name, value) for name, value in self.training.items()})
        if self.observation:
            self._check()
        elif stated := self._stated().keys() - {"shields", "seen", "training"}:
            raise Sim2RealError(
                f"A contract with {', '.join(sorted(stated))} must list its observation terms."
            )

    def _check(self) -> None:
        terms = [term.term for term in self.observation]
        for what, names in (
            ("joint", self.joints), ("observation term", terms), ("output", self.outputs)
        ):  # fmt: skip
            if repeated := [name for name in names if list(names).count(name) > 1]:
                raise Sim2RealError(f"A contract lists the {what} '{repeated[0]}' more than once.")
        if not self.joints:
            raise Sim2RealError("A contract with observation terms must list its joints.")
        for name, known in (("control", ("position", "torque", "twist")), ("history_by", ("term", "frame"))):
            if (value := getattr(self, name)) not in known:
                raise Sim2RealError(
                    f"'{name}' of a contract is {' or '.join(map(repr, known))}, not {value!r}."
                )
        if self.control == "twist" and not self.outputs:
            raise Sim2RealError("A contract with control = 'twist' must list its outputs.")
        for name in ("control_period_s", "gait_period_s", "action_clip"):
            if (value := getattr(self, name)) is None:
                continue
            if not (_is_number(value) and 0 < value < math.inf):
                raise Sim2RealError(f"'{name}' of a contract must be a positive number, not {value!r}.")
            _keep(self, name, float(value))
        for name, size in (
            ("action_scale", self.action_size), ("action_offset", self.action_size),
            ("kp", len(self.joints)), ("kd", len(self.joints)),
        ):  # fmt: skip
            if (value := getattr(self, name)) is not None:
                _keep(self, name, _numbers(f"'{name}' of a contract", value, size))
        gains = (self.kp, self.kd)
        if (self.kp is None) != (self.kd is None) or float in map(type, gains):
            raise Sim2RealError("A contract gives both kp and kd, one number per joint, or neither.")
        if self.kp and self.kd and (self.control == "torque" or min(self.kp + self.kd) < 0):
            raise Sim2RealError("The gains of a contract belong to position control and are not negative.")
        if "gait_phase" in terms and self.gait_period_s is None:
            raise Sim2RealError("A contract that reads 'gait_phase' must state gait_period_s.")
        if self.history_by == "frame" and len({term.history for term in self.observation}) > 1:
            raise Sim2RealError("With history_by = 'frame' all observation terms have the same history.")
        for term in self.observation:
            last = term.term == "previous_action"
            what, count = (
                ("output", self.action_size) if last and self.outputs else ("joint", len(self.joints))
            )
            if (last or term.term.startswith("joint_")) and term.size != count:
                raise Sim2RealError(f"'{term.term}' has one value per {what}: {count}, not {term.size}.")

    @property
    def action_size(self) -> int:
        """Number of values that the network puts out."""
        return len(self.outputs or self.joints)

    @property
    def observation_size(self) -> int:
        """Number of values that the network reads."""
        return sum(term.size * term.history for term in self.observation)

    def bind(self, env: Any) -> ContractBinding:
        """Check this contract against an unwrapped environment, hand it the gains, and return the binding.

        Raises:
            Sim2RealError: the environment lacks, or differs in, something the policy relies on.
        """
        return ContractBinding(self, env)

    def _stated(self) -> dict[str, Any]:
        """Return the fields that differ from their defaults."""
        values = {part.name: (getattr(self, part.name), part.default) for part in fields(self)}
        return {name: value for name, (value, default) in values.items() if value not in (default, {})}

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON values, defaults left out."""
        stated = self._stated()
        if self.observation:
            stated["observation"] = [
                {p.name: getattr(term, p.name) for p in fields(term) if getattr(term, p.name) != p.default}
                for term in self.observation
            ]
        if self.shields:
            stated["shields"] = safety.to_json(self.shields)
        if self.seen is not None:
            stated["seen"] = [to_json(condition) for condition in self.seen]
        plain: dict[str, Any] = json.loads(json.dumps({"format": FORMAT} | stated))
        return plain

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Read what `to_dict` wrote.

        Raises:
            Sim2RealError: another format, or a key that no contract has.
        """
        values = dict(values)
        if (stated := values.pop("format", None)) != FORMAT:
            raise Sim2RealError(f"A contract says format = '{FORMAT}', not {stated!r}.")
        _check_keys(values, cls, "A contract")
        values["observation"] = tuple(_read_term(term) for term in values.get("observation", ()))
        values["shields"] = safety.from_json(values.get("shields", ()))
        if "seen" in values:
            values["seen"] = tuple(from_json(condition) for condition in values["seen"])
        return cls(**values)

    def to_toml(self) -> str:
        """Return the contract as the text of a TOML file."""
        values = self.to_dict()
        training = values.pop("training", {})
        lines = [f"{name} = {_toml(value)}" for name, value in values.items()]
        lines += ["", "[training]", *(f"{_toml(name)} = {_toml(value)}" for name, value in training.items())]
        return "\n".join(lines) + "\n"

    @classmethod
    def from_toml(cls, text: str) -> Self:
        """Read a contract from TOML text.

        Raises:
            Sim2RealError: text that is not TOML, or not a contract.
        """
        try:
            return cls.from_dict(tomllib.loads(text))
        except tomllib.TOMLDecodeError as error:
            raise Sim2RealError(f"A contract must be valid TOML: {error}.") from error

    @classmethod
    def read(cls, path: str | Path) -> Self:
        """Read a contract from a TOML file; every error names the file."""
        try:
            return cls.from_toml(Path(path).read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError, Sim2RealError) as error:
            raise Sim2RealError(f"The contract '{path}' cannot be used: {error}") from error


def _keep(owner: object, name: str, value: object) -> None:
    object.__setattr__(
        owner, name, value
    )  # frozen dataclasses store the canonical form of what they were given


def _is_number(value: object) -> bool:
    return isinstance(value, int | float | np.number) and not isinstance(value, bool)


def _numbers(what: str, value: Any, size: int) -> Numbers:
    """Return one float, or a tuple with one per element."""
    items = [value] if _is_number(value) else value
    if not isinstance(items, Collection | np.ndarray) or not all(map(_is_number, items)):
        raise Sim2RealError(f"{what} must be a number or a list of numbers, not {value!r}.")
    if not all(map(math.isfinite, items)):
        raise Sim2RealError(f"{what} must be finite.")
    if items is value and len(items) != size:
        raise Sim2RealError(f"{what} has {len(items)} numbers; it needs one, or one for each of {size}.")
    return float(value) if items is not value else tuple(map(float, items))


def _flat(name: str, value: Any) -> Scalar | tuple[Scalar, ...]:
    items = value if isinstance(value, list | tuple) else [value]
    if not all(isinstance(item, str | int | float) for item in items):
        raise Sim2RealError(f"'{name}' of a training record must be text, a number or a list of these.")
    return tuple(value) if isinstance(value, list) else value


def _check_keys(values: Collection[str], cls: type, what: str) -> None:
    known = [part.name for part in fields(cls)]
    for name in values:
        if name not in known:
            raise Sim2RealError(f"{what} has no '{name}'.{nearest(name, known)}")


def _read_term(values: Any) -> Term:
    if not isinstance(values, Mapping) or not {"term", "size"} <= values.keys():
        raise Sim2RealError(f"An observation term is written {{term = …, size = …}}, not {values!r}.")
    _check_keys(values, Term, "An observation term")
    return Term(**values)


def _toml(value: Any) -> str:
    """Write a plain JSON value as TOML, which has no null: such keys are left out."""
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, dict):
        items = (f"{_toml(key)} = {_toml(item)}" for key, item in value.items() if item is not None)
        return "{" + ", ".join(items) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_toml, value)) + "]"
    return repr(value)

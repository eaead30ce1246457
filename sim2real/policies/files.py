"""Policies as values: cheap to send to a worker, named by their content, opened only where they run."""

import glob as globbing
import hashlib
import json
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from gymnasium import spaces

from sim2real.errors import Sim2RealError, nearest
from sim2real.perturb import Condition
from sim2real.policies import factories, native, onnx
from sim2real.policies.binding import BoundPolicy, Policy, SpaceBinding
from sim2real.policies.contract import Contract
from sim2real.policies.spaces import compare_spaces
from sim2real.safety import ActionLimits, Shield

_KINDS = {".safetensors": "native", ".pt": "TorchScript", ".onnx": "ONNX", ".zip": "Stable-Baselines3"}


@dataclass(frozen=True, kw_only=True)
class PolicyFile:
    """One policy: where it is, the contract it runs under, and a sha256 of all that decides what it does.

    An ONNX file is all of its files: the sha256 covers the weights that it keeps beside itself, by name and content.

    Between it and the environment stand ``shields``, in order, at first those that it was trained behind; the sha256
    is that of the policy alone.
    """

    source: str
    kind: str
    label: str
    sha256: str
    contract: Contract
    options: str = "{}"
    shields: tuple[Shield, ...] = ()

    def behind(self, *shields: Shield) -> "PolicyFile":
        """Return the same policy behind these shields and no others, which see its actions in this order.

        Those of its contract are among them only if they are named again: without arguments it is bare.

        Raises:
            Sim2RealError: if two are of one kind.
        """
        names = [shield.name for shield in shields]
        if len(set(names)) < len(names):
            raise Sim2RealError(f"A policy stands behind one shield of a kind, not {', '.join(names)}.")
        return replace(self, shields=shields)

    def clipped(self) -> "PolicyFile":
        """Return the same policy with its actions clipped to the action space, after all its shields.

        >>> scripted("sim2real.policies.builtin:zero").clipped().shields
        (ActionLimits(),)
        """
        return self.behind(*self.shields, ActionLimits())

    @property
    def needs_trust(self) -> bool:
        """Whether opening the file can run what its author put into it.

        A .zip is unpickled. A TorchScript graph is a program that may at least write files (`aten::save`);
        PyTorch's own security policy treats one as code.
        """
        return self.kind in ("TorchScript", "Stable-Baselines3")

    @property
    def seen(self) -> tuple[Condition, ...] | None:
        """The conditions met in training; None when undeclared."""
        return self.contract.seen

    def load(self, trust: bool = False) -> Policy:
        """Return the network alone, which reads and writes its own units.

        Raises:
            Sim2RealError: trust that is missing, a file that changed since, or one that cannot be opened.
        """
        if self.kind == "scripted":
            raise Sim2RealError(
                f"The scripted policy '{self.label}' exists in an environment only: use bind."
            )
        if self.needs_trust and not trust:
            raise Sim2RealError(
                f"Opening '{self.source}' can run code: give --trust (trust=True) if you trust its author."
            )
        data, others = _read(Path(self.source), self.kind)
        self._check_unchanged(data, others)
        try:
            return _open(self.kind, data, others, self.source)
        except Sim2RealError:
            raise
        except ModuleNotFoundError as error:
            raise Sim2RealError(f"'{self.source}' needs the package '{error.name}'; install it.") from error
        except Exception as error:
            reason = str(error).strip().partition("\n")[0]
            raise Sim2RealError(f"'{self.source}' is not a {self.kind} policy: {reason}") from error

    def bind(self, env: Any, trust: bool = False) -> BoundPolicy:
        """Return the policy ready to run in an environment, its contract checked and its gains handed over.

        Raises:
            Sim2RealError: as `load`, or a policy and an environment that do not belong together.
        """
        if self.kind == "scripted":
            kwargs = json.loads(self.options)
            self._check_unchanged(*factories.locate(self.source, kwargs)[1:])
            return BoundPolicy(factories.make(self.source, env, kwargs), SpaceBinding(env))
        robot, promises = env.unwrapped, bool(self.contract.observation)
        name = type(robot).__name__
        if not promises and self.kind != "Stable-Baselines3" and hasattr(robot, "joint_names"):
            raise Sim2RealError(
                f"'{self.source}' does not say what it reads and commands: {name} needs a contract='….toml'."
            )
        network = self.load(trust)
        trained = None if promises else getattr(network, "spaces", None)
        for finding in compare_spaces(trained, env) if trained else ():
            if finding.fits is False:
                raise Sim2RealError(f"'{self.source}' does not fit: {finding.said}")
            if finding.fits is None:
                warnings.warn(f"'{self.source}': {finding.said}", stacklevel=2)
        policy = BoundPolicy(network, self.contract.bind(robot) if promises else SpaceBinding(env))
        if isinstance(space := env.observation_space, spaces.Box):
            try:  # so that a network of the wrong size fails here and not in an episode
                policy(np.full(space.shape, 0.1, space.dtype))
            except Exception as error:
                reason = str(error).strip().rpartition("\n")[2]
                raise Sim2RealError(f"'{self.source}' does not fit {name}: {reason}") from error
            policy.reset()
        return policy

    def _check_unchanged(self, data: bytes, others: Mapping[str, bytes]) -> None:
        name = self.source.rpartition(":")[2] if self.kind == "scripted" else ""
        if _digest(data, others, self.contract, name, self.options) != self.sha256:
            raise Sim2RealError(f"'{self.source}' has changed since it was declared: declare it again.")


def file(
    path: str | Path,
    *,
    contract: Contract | str | Path | None = None,
    seen: Sequence[Condition] | None = None,
    name: str | None = None,
) -> PolicyFile:
    """Return the policy in a file: .safetensors (native), .onnx, .pt (TorchScript) or .zip (SB3).

    Args:
        path: the file.
        contract: a Contract or its TOML file; native files carry theirs. Without one it binds by shape.
        seen: the conditions met in training, for files that do not say.
        name: what to call it; the file's name by default.

    Raises:
        Sim2RealError: a file that is missing, of an unknown kind, or that contradicts the arguments.
    """
    path = Path(path)
    if path.suffix not in _KINDS:
        raise Sim2RealError(f"'{path}' is no known kind of policy file.{nearest(path.suffix, _KINDS)}")
    kind = _KINDS[path.suffix]
    data, others = _read(path, kind)
    if kind == "native":
        if contract is not None:
            raise Sim2RealError(f"'{path}' carries its own contract: leave contract out.")
        contract = Contract.from_dict(native.read_record(data, path)["contract"])
    elif not isinstance(contract, Contract):
        contract = Contract() if contract is None else Contract.read(contract)
    if seen is not None:
        declared, contract = contract.seen, replace(contract, seen=tuple(seen))
        if declared not in (None, contract.seen):
            raise Sim2RealError(f"'{path}' already declares what it saw in training: leave seen out.")
    sha256 = _digest(data, others, contract)
    bare = PolicyFile(source=str(path), kind=kind, label=name or path.stem, sha256=sha256, contract=contract)
    return bare.behind(*contract.shields)


def glob(
    pattern: str, *, contract: Contract | str | Path | None = None, seen: Sequence[Condition] | None = None
) -> tuple[PolicyFile, ...]:
    """Return the policies whose paths match, sorted: as a rule the training runs of one method.

    Raises:
        Sim2RealError: no match, or as `file`.
    """
    if not (paths := sorted(globbing.glob(pattern, recursive=True))):
        raise Sim2RealError(f"No policy file matches '{pattern}'.")
    return tuple(file(path, contract=contract, seen=seen) for path in paths)


def scripted(
    factory: str | factories.Factory,
    *,
    seen: Sequence[Condition] | None = (),
    name: str | None = None,
    **kwargs: Any,
) -> PolicyFile:
    """Return a policy written in Python: `factory(env, **kwargs)` gives a callable observation -> action.

    Its sha256 covers its module, what this imports from its own folder or package, and every file, or folder with
    all in it, that an argument names, from the working directory or from the module's folder.

    Args:
        factory: a function or class of a Python file, or "module:name" or "file.py:name".
        seen: the conditions it was tuned on; by default the nominal world alone.
        name: what to call it; the factory's name by default.
        kwargs: plain JSON values.

    Raises:
        Sim2RealError: a factory that cannot be found, or arguments that it does not take.
    """
    try:
        options = json.dumps(kwargs, sort_keys=True)
    except TypeError as error:
        raise Sim2RealError(f"Arguments of a scripted policy are plain JSON values: {error}.") from error
    source, code, others = factories.locate(factory, kwargs)
    contract, attribute = Contract(seen=None if seen is None else tuple(seen)), source.rpartition(":")[2]
    shown = ", ".join(f"{key}={value}" for key, value in kwargs.items())
    return PolicyFile(
        source=source,
        kind="scripted",
        label=name or attribute + (f"({shown})" if shown else ""),
        sha256=_digest(code, others, contract, attribute, options),
        contract=contract,
        options=options,
    )


def _open(kind: str, data: bytes, others: Mapping[str, bytes], source: str) -> Policy:
    if kind == "native":
        return native.load(data, source)
    if kind == "TorchScript":
        from sim2real.policies.torchscript import TorchScriptPolicy

        return TorchScriptPolicy(data)
    if kind == "ONNX":
        return onnx.OnnxPolicy(data, others, Path(source).name)
    from sim2real.policies.sb3 import Sb3Policy

    return Sb3Policy(data)


def _read(path: Path, kind: str) -> tuple[bytes, dict[str, bytes]]:
    """Return the content of a policy's file, and of the others that it names."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise Sim2RealError(f"The policy '{path}' cannot be read: {error.strerror}.") from error
    return data, onnx.beside(path, data) if kind == "ONNX" else {}


def _digest(
    data: bytes, others: Mapping[str, bytes], contract: Contract, name: str = "", options: str = "{}"
) -> str:
    """Hash what decides the behaviour: contents and contract, but neither labels, shields nor the training record."""
    told: list[Any] = [replace(contract, shields=(), seen=None, training={}).to_dict(), name, options]
    if others:  # a policy that is one file keeps the name it has in earlier records
        told.append({other: hashlib.sha256(content).hexdigest() for other, content in others.items()})
    return hashlib.sha256(data + json.dumps(told, sort_keys=True).encode()).hexdigest()

"""The native policy file: one .safetensors with JSON metadata, run by numpy, 5 to 25 times as fast as torch.

Tensors `0.weight` (out, in), `0.bias` (out,), … and, with a normaliser, `normalizer.mean` and `.std`; the
metadata key `sim2real` holds the contract, the architecture and a digest. A golden input and its output show
on loading that the network still computes what it did when it was saved.
"""

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from sim2real.errors import Sim2RealError, nearest
from sim2real.policies.contract import FORMAT, Contract

Layer = tuple[np.ndarray, np.ndarray]
TOLERANCE = 1e-5
_ZERO = np.zeros((), np.float32)


def _elu(x: np.ndarray) -> None:
    negative = np.minimum(x, _ZERO)
    np.expm1(negative, out=negative)
    np.maximum(x, _ZERO, out=x)
    x += negative


def _relu(x: np.ndarray) -> None:
    np.maximum(x, _ZERO, out=x)


def _tanh(x: np.ndarray) -> None:
    np.tanh(x, out=x)


ACTIVATIONS: dict[str, Callable[[np.ndarray], None]] = {"elu": _elu, "relu": _relu, "tanh": _tanh}


class Mlp:
    """A multilayer perceptron in float32: `clip((x - mean) / std)`, hidden layers, a linear or tanh output.

    Args:
        layers: (weight (out, in), bias (out,)) of every linear layer.
        activation: "elu", "relu" or "tanh", between the layers.
        squash: whether tanh follows the last layer.
        mean: of the observation normaliser, shape (in,); None without one.
        std: of the observation normaliser, shape (in,).
        clip: symmetric limit on the normalised observation.

    Raises:
        Sim2RealError: an unknown activation, or arrays whose shapes do not fit or that are not finite.
    """

    def __init__(
        self,
        layers: Sequence[Layer],
        activation: str = "elu",
        *,
        squash: bool = False,
        mean: Any = None,
        std: Any = None,
        clip: float | None = None,
    ) -> None:
        if activation not in ACTIVATIONS:
            raise Sim2RealError(
                f"A policy has no activation '{activation}'.{nearest(activation, ACTIVATIONS)}"
            )
        self.tensors: dict[str, np.ndarray] = {}
        self._layers = [(_array(weight), _array(bias)) for weight, bias in layers]
        sizes = [weight.shape[-1] for weight, _ in self._layers[:1]]
        for place, (weight, bias) in enumerate(self._layers):
            if weight.shape != (len(bias), sizes[-1]):
                raise Sim2RealError(
                    f"Layer {place} has weights {weight.shape}, not {(len(bias), sizes[-1])}."
                )
            sizes.append(len(bias))
            self.tensors |= {f"{place}.weight": weight, f"{place}.bias": bias}
        if len(sizes) < 2:
            raise Sim2RealError("A policy network needs at least one layer.")
        self.sizes, self.clip, self._normalises = sizes, clip, mean is not None
        if self._normalises:
            self._mean, self._std = _array(mean), _array(std)
            if not (self._mean.shape == self._std.shape == (sizes[0],) and self._std.all()):
                raise Sim2RealError(f"The normaliser needs {sizes[0]} means and as many std other than 0.")
            self.tensors |= {"normalizer.mean": self._mean, "normalizer.std": self._std}
        self.activation, self.squash, self._activate = activation, squash, ACTIVATIONS[activation]
        self._hidden = [(weight, bias, np.empty_like(bias)) for weight, bias in self._layers[:-1]]

    def __call__(self, x: Any) -> np.ndarray:
        """Return the output, shape (out,), for one input, shape (in,)."""
        x = np.asarray(x, np.float32)
        if self._normalises:
            x = (x - self._mean) / self._std
            if self.clip is not None:
                x.clip(-self.clip, self.clip, out=x)
        for weight, bias, out in self._hidden:
            np.dot(weight, x, out=out)
            out += bias
            self._activate(out)
            x = out
        weight, bias = self._layers[-1]
        output: np.ndarray = np.dot(weight, x)
        output += bias
        if self.squash:
            _tanh(output)
        return output


def save(
    path: str | Path, network: Mlp, contract: Contract | None = None, *, golden: tuple[Any, Any] | None = None
) -> Path:
    """Write a policy file; equal content gives equal bytes.

    Args:
        path: where to, ending in .safetensors.
        network: the actor.
        contract: what inputs and outputs mean, what was seen, and the training record.
        golden: an input and its output from the network that was trained, to prove the export.

    Raises:
        Sim2RealError: a network that does not fit the contract or the golden pair.
    """
    from safetensors.numpy import save as dump

    path, contract = Path(path), contract or Contract()
    if path.suffix != ".safetensors":
        raise Sim2RealError(f"A native policy file ends in .safetensors, unlike '{path.name}'.")
    has, needs = (network.sizes[0], network.sizes[-1]), (contract.observation_size, contract.action_size)
    if contract.observation and has != needs:
        raise Sim2RealError(
            f"The network maps {has[0]} values to {has[1]}, the contract {needs[0]} to {needs[1]}."
        )
    x = _array(golden[0] if golden else np.random.default_rng(0).standard_normal(has[0]))
    y = _array(golden[1]) if golden else network(x)
    _check_golden(network, x, y, path)
    tensors = network.tensors | {"golden.input": x, "golden.output": y}
    record = {
        "format": FORMAT,
        "contract": contract.to_dict(),
        "sizes": network.sizes,
        "activation": network.activation,
        "squash": network.squash,
        "clip": network.clip,
        "sha256": _digest(tensors),
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(dump(tensors, metadata={"sim2real": json.dumps(record, sort_keys=True)}))
    return path


def read_record(data: bytes, name: str | Path) -> dict[str, Any]:
    """Return the metadata of a native file: 8 bytes of length, that much JSON, then the arrays.

    Raises:
        Sim2RealError: bytes that are not a native policy file.
    """
    try:
        header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
        record: dict[str, Any] = json.loads(header["__metadata__"]["sim2real"])
    except (ValueError, KeyError, TypeError) as error:
        raise Sim2RealError(
            f"'{name}' is not a native policy: its metadata is missing or damaged."
        ) from error
    if record.get("format") != FORMAT:
        raise Sim2RealError(f"'{name}' has format {record.get('format')!r}; this version reads '{FORMAT}'.")
    return record


def load(data: bytes, name: str | Path) -> Mlp:
    """Return the network in the bytes of a native file.

    Raises:
        Sim2RealError: damaged content, or a network that no longer computes its golden pair.
    """
    from safetensors.numpy import load as parse

    record, tensors = read_record(data, name), parse(data)
    if _digest(tensors) != record["sha256"]:
        raise Sim2RealError(f"'{name}' is damaged: its arrays do not have the digest written beside them.")
    network = Mlp(
        [(tensors[f"{place}.weight"], tensors[f"{place}.bias"]) for place in range(len(record["sizes"]) - 1)],
        record["activation"],
        squash=record["squash"],
        mean=tensors.get("normalizer.mean"),
        std=tensors.get("normalizer.std"),
        clip=record["clip"],
    )
    _check_golden(network, tensors["golden.input"], tensors["golden.output"], name)
    return network


def _array(value: Any) -> np.ndarray:
    array = np.ascontiguousarray(value, np.float32)
    if not np.isfinite(array).all():
        raise Sim2RealError("The arrays of a policy network must be finite.")
    return array


def _check_golden(network: Mlp, x: np.ndarray, y: np.ndarray, name: str | Path) -> None:
    output = network(x)
    if not np.allclose(output, y, rtol=TOLERANCE, atol=TOLERANCE):
        gap = float(np.abs(output - y).max())
        raise Sim2RealError(f"'{name}' is {gap:.2g} off its golden output, where {TOLERANCE:g} is allowed.")


def _digest(tensors: Mapping[str, np.ndarray]) -> str:
    content = hashlib.sha256()
    for name in sorted(tensors):
        content.update(f"{name}{tensors[name].shape}".encode() + tensors[name].tobytes())
    return content.hexdigest()

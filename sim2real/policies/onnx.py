"""ONNX policies (.onnx): run by onnxruntime on one thread, written by onnx.

A tensor's values may stand in another file, as torch writes `policy.onnx.data` beside `policy.onnx`. Such a policy is
all of its files: `beside` finds them in the policy's own folder and nowhere else.
"""

import json
import os
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

import numpy as np

from sim2real.errors import Sim2RealError
from sim2real.policies.contract import Contract
from sim2real.policies.native import TOLERANCE, Mlp

# Field number -> message, of every message of onnx.proto that leads to a tensor.
LEADS = {
    "ModelProto": {7: "GraphProto", 20: "TrainingInfoProto", 25: "FunctionProto"},
    "TrainingInfoProto": {1: "GraphProto", 2: "GraphProto"},
    "GraphProto": {1: "NodeProto", 5: "TensorProto", 15: "SparseTensorProto"},
    "FunctionProto": {7: "NodeProto", 11: "AttributeProto"},
    "NodeProto": {5: "AttributeProto"},
    "AttributeProto": {
        **{5: "TensorProto", 10: "TensorProto", 6: "GraphProto", 11: "GraphProto"},
        **{22: "SparseTensorProto", 23: "SparseTensorProto"},
    },
    "SparseTensorProto": {1: "TensorProto", 2: "TensorProto"},
}
_EXTERNAL_DATA, _DATA_LOCATION, _EXTERNAL = 13, 14, b"\1"  # of a TensorProto


class OnnxPolicy:
    """A network whose first input is the observation and whose first output is the action.

    Further inputs are recurrent state: zero at reset, then fed from the further outputs in the same order, as
    rsl_rl exports an LSTM (`obs, h_in, c_in` to `actions, h_out, c_out`). `contract` is what a file written by `save`
    carries.

    Args:
        data: content of the graph's file.
        others: contents of all files that it names, by location.
        name: of the graph's file.

    Raises:
        Sim2RealError: a file written by `save` that no longer computes its golden pair.
    """

    def __init__(self, data: bytes, others: Mapping[str, bytes], name: str = "policy.onnx") -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        # onnxruntime opens further files by itself. In a folder of their own it finds exactly those that were read.
        with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
            for location, content in {**others, name: data}.items():
                Path(folder, location).parent.mkdir(parents=True, exist_ok=True)
                Path(folder, location).write_bytes(content)
            graph = os.path.join(folder, name)
            try:
                self._session = onnxruntime.InferenceSession(
                    graph, options, providers=["CPUExecutionProvider"]
                )
            except Exception as error:  # in words that do not name a folder which is gone
                raise ValueError(str(error).replace(graph, name)) from error
        first, *states = self._session.get_inputs()
        self._input = first.name
        self._states = {s.name: [size if isinstance(size, int) else 1 for size in s.shape] for s in states}
        self.contract: Contract | None = None
        self.reset()
        if record := self._session.get_modelmeta().custom_metadata_map.get("sim2real"):
            told = json.loads(record)
            self.contract = Contract.from_dict(told["contract"])
            x, y = told["golden"]
            if not np.allclose(self(x), y, rtol=TOLERANCE, atol=TOLERANCE):
                raise Sim2RealError("The ONNX policy does not compute its golden output.")

    def reset(self, seed: int | None = None) -> None:
        """Zero the recurrent state."""
        self._feed = {name: np.zeros(shape, np.float32) for name, shape in self._states.items()}

    def __call__(self, x: Any) -> np.ndarray:
        """Return the output, shape (out,), for one input, shape (in,)."""
        self._feed[self._input] = np.asarray(x, np.float32)[None]
        actions, *states = self._session.run(None, self._feed)
        self._feed |= dict(
            zip(self._states, states, strict=False)
        )  # without state, further outputs are ignored
        output: np.ndarray = actions[0]
        return output


def beside(path: Path, data: bytes) -> dict[str, bytes]:
    """Return the contents of all files that an ONNX file names, by location, in a fixed order.

    Args:
        path: of the ONNX file.
        data: its content.

    Raises:
        Sim2RealError: a location outside of the file's folder, or a file that cannot be read.
    """
    folder, found = path.parent.resolve(), {}
    for location in sorted(set(_locations(data))):
        what = f"'{path}' keeps weights in '{location}', which"
        spelt = PurePosixPath(location), PureWindowsPath(location)
        target = folder.joinpath(location).resolve() if "\0" not in location else None
        if (
            target is None
            or any(other.anchor or ".." in other.parts for other in spelt)
            or not target.is_relative_to(folder)
        ):
            raise Sim2RealError(f"{what} is not in its own folder: put it there, or export a single file.")
        try:
            found[location] = target.read_bytes()
        except OSError as error:
            raise Sim2RealError(f"{what} cannot be read: {error.strerror}.") from error
    return found


def _locations(data: bytes) -> Iterator[str]:
    """Yield where an ONNX file has tensors outside of itself; what is damaged is left to onnxruntime to refuse."""
    waiting = [("ModelProto", memoryview(data))]
    while waiting:
        kind, message = waiting.pop()
        told = list(_fields(message))
        if kind != "TensorProto":
            waiting += [(LEADS[kind][number], value) for number, value in told if number in LEADS[kind]]
        elif (_DATA_LOCATION, _EXTERNAL) in told:
            entries = [dict(_fields(value)) for number, value in told if number == _EXTERNAL_DATA]
            places = [entry.get(2, memoryview(b"")) for entry in entries if entry.get(1) == b"location"]
            yield from (str(place, "utf-8", "replace") for place in places)


def _fields(message: memoryview) -> Iterator[tuple[int, Any]]:
    """Yield number and content of every field of a protobuf message, as in protobuf.dev, "Encoding"."""
    at = 0

    def varint() -> int:
        nonlocal at
        value = 0
        for shift in range(0, 70, 7):
            value |= (message[at] & 127) << shift
            at += 1
            if message[at - 1] < 128:
                break
        return value

    try:
        while at < len(message):
            number, wire = divmod(varint(), 8)
            size = varint() if wire == 2 else {0: 0, 1: 8, 5: 4}[wire]
            start, at = at, at + size
            if wire == 0:
                varint()
            yield number, message[start:at]
    except (IndexError, KeyError):  # it ends too soon, or is no such message
        return


def save(path: str | Path, network: Mlp, contract: Contract, *, golden: tuple[Any, Any]) -> Path:
    """Write a network as ONNX, from `obs` (1, in) to `actions` (1, out), with its contract and golden pair.

    Both are JSON in the metadata, at full precision, under the key `sim2real`.

    Args:
        path: where to, ending in .onnx.
        network: the actor.
        contract: what inputs and outputs mean.
        golden: an input and its output, from the network that was trained.
    """
    from onnx import TensorProto, helper, numpy_helper

    path = Path(path)
    nodes: list[Any] = []
    weights: list[Any] = []
    at = "obs"

    def then(operation: str, *inputs: str, **attributes: Any) -> None:
        nonlocal at
        before, at = at, f"x{len(nodes)}"
        nodes.append(helper.make_node(operation, [before, *inputs], [at], **attributes))

    def array(name: str, value: Any) -> str:
        weights.append(numpy_helper.from_array(np.asarray(value, np.float32), name))
        return name

    tensors = network.tensors
    if "normalizer.mean" in tensors:
        then("Sub", array("normalizer.mean", tensors["normalizer.mean"]))
        then("Div", array("normalizer.std", tensors["normalizer.std"]))
        if network.clip is not None:
            then("Clip", array("low", -network.clip), array("high", network.clip))
    last = len(network.sizes) - 2
    for place in range(last + 1):
        names = [f"{place}.weight", f"{place}.bias"]
        then("Gemm", *(array(name, tensors[name]) for name in names), transB=1)
        if place < last:
            then({"elu": "Elu", "relu": "Relu", "tanh": "Tanh"}[network.activation])
    then("Tanh" if network.squash else "Identity")
    nodes[-1].output[0] = "actions"
    ends = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, size])
        for name, size in (("obs", network.sizes[0]), ("actions", network.sizes[-1]))
    ]
    graph = helper.make_graph(nodes, "policy", ends[:1], ends[1:], weights)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    record = {"contract": contract.to_dict(), "golden": [np.asarray(part, float).tolist() for part in golden]}
    helper.set_model_props(model, {"sim2real": json.dumps(record, sort_keys=True)})
    path.write_bytes(model.SerializeToString())
    return path

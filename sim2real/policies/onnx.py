"""ONNX policies (.onnx): run by onnxruntime on one thread, written by onnx."""

import json
from pathlib import Path
from typing import Any

import numpy as np

from sim2real.errors import Sim2RealError
from sim2real.policies.contract import Contract
from sim2real.policies.native import TOLERANCE, Mlp


class OnnxPolicy:
    """A network whose first input is the observation and whose first output is the action.

    Further inputs are recurrent state: zero at reset, then fed from the further outputs in the same order, as
    rsl_rl exports an LSTM (`obs, h_in, c_in` to `actions, h_out, c_out`). `contract` is what a file written by `save`
    carries.

    Raises:
        Sim2RealError: a file written by `save` that no longer computes its golden pair.
    """

    def __init__(self, data: bytes) -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        self._session = onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
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

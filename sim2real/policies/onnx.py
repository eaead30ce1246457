"""ONNX policies (.onnx), run by onnxruntime on one thread."""

from typing import Any

import numpy as np


class OnnxPolicy:
    """A network whose first input is the observation and whose first output is the action.

    Further inputs are recurrent state: zero at reset, then fed from the further outputs in the same order, as
    rsl_rl exports an LSTM (`obs, h_in, c_in` to `actions, h_out, c_out`).
    """

    def __init__(self, data: bytes) -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        self._session = onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
        first, *states = self._session.get_inputs()
        self._input = first.name
        self._states = {s.name: [size if isinstance(size, int) else 1 for size in s.shape] for s in states}
        self.reset()

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

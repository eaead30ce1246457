"""Laws of the formats that others write: ONNX, TorchScript and Stable-Baselines3."""

import gymnasium as gym
import numpy as np
import pytest

from sim2real import policies
from sim2real.errors import Sim2RealError
from sim2real.policies import Term

REST = {"joint_position": np.zeros(4), "previous_action": np.zeros(4)}


def _field(number: int, value: bytes | int) -> bytes:
    """Encode one protobuf field: a varint, or anything with a length."""
    if isinstance(value, int):
        return bytes([number << 3, value])
    assert len(value) < 128
    return bytes([number << 3 | 2, len(value)]) + value


def _onnx(inputs: list[str], outputs: list[str], nodes: list[tuple[str, list[str], str]]) -> bytes:
    """Write an ONNX file (field numbers: onnx.proto3) whose values are all float32 of shape (1, 4)."""
    shape = _field(1, _field(1, 1)) + _field(1, _field(1, 4))
    values = {
        name: _field(1, name.encode()) + _field(2, _field(1, _field(1, 1) + _field(2, shape)))
        for name in inputs + outputs
    }
    graph = b""
    for operator, reads, writes in nodes:
        graph += _field(
            1,
            b"".join(_field(1, name.encode()) for name in reads)
            + _field(2, writes.encode())
            + _field(4, operator.encode()),
        )
    graph += _field(2, b"g") + b"".join(_field(11, values[name]) for name in inputs)
    graph += b"".join(_field(12, values[name]) for name in outputs)
    length = bytes([len(graph) & 127 | 128, len(graph) >> 7])
    return _field(1, 8) + bytes([7 << 3 | 2]) + length + graph + _field(8, _field(1, b"") + _field(2, 13))


def test_onnx_runs_with_its_state(tmp_path, robot, contract):
    """An ONNX policy runs without trust, feeds its state back, and forgets it at a reset."""
    pytest.importorskip("onnxruntime")
    (plain := tmp_path / "plain.onnx").write_bytes(_onnx(["obs"], ["out"], [("Neg", ["obs"], "out")]))
    terms = contract(observation=(Term(term="joint_velocity", size=4),))
    env = robot()
    policy = policies.file(plain, contract=terms).bind(env)
    observation = env.observe(
        {"gyro": np.zeros(3), "joint_velocity": dict.fromkeys(env.joint_names, 2.0)} | REST
    )
    np.testing.assert_array_equal(policy(observation), [-2.0] * 4)
    (recurrent := tmp_path / "sum.onnx").write_bytes(
        _onnx(["obs", "h"], ["out", "h_out"], [("Add", ["obs", "h"], "out"), ("Identity", ["out"], "h_out")])
    )
    policy = policies.file(recurrent, contract=terms).bind(env)
    for _ in range(2):
        policy.reset(0)
        assert [policy(observation)[0] for _ in range(3)] == [2.0, 4.0, 6.0]


@pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")
def test_torchscript_needs_trust_and_forgets_at_reset(tmp_path, robot, contract):
    """A TorchScript policy needs trust; its state, wherever it is kept, starts anew at every reset."""
    torch = pytest.importorskip("torch")

    class Recurrent(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.memory, self.head = torch.nn.LSTM(15, 8), torch.nn.Linear(8, 4)
            self.register_buffer("hidden", torch.zeros(1, 1, 8))
            self.register_buffer("cell", torch.zeros(1, 1, 8))
            self.count = 0

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            out, (hidden, cell) = self.memory(x.unsqueeze(0), (self.hidden, self.cell))
            self.hidden[:] = hidden
            self.cell = cell
            self.count += 1
            return self.head(out.squeeze(0)) + self.count

        @torch.jit.export
        def reset_memory(self) -> None:
            self.hidden[:] = 0.0
            self.cell[:] = 0.0
            self.count = 0

    torch.manual_seed(0)
    module, path = torch.jit.script(Recurrent()), tmp_path / "policy.pt"
    module(torch.ones(1, 15))  # saved after use: the file itself holds a state that is not zero
    torch.jit.save(module, path)
    declared, env = policies.file(path, contract=contract()), robot()
    with pytest.raises(
        Sim2RealError, match=r"policy.pt' can run code: give --trust \(trust=True\) if you trust its author.$"
    ):
        declared.bind(env)
    observations = np.random.default_rng(0).normal(size=(6, 17)).astype(np.float32)
    rollouts = []
    first, second = (declared.bind(env, trust=True) for _ in range(2))
    for policy in (first, first, second):
        policy.reset(3)
        rollouts.append([policy(observation).tolist() for observation in observations])
    assert rollouts[0] == rollouts[1] == rollouts[2]
    module.reset_memory()
    x = contract().bind(env).observe(observations[0])
    with torch.inference_mode():
        expected = module(torch.tensor(x)[None])[0].numpy()
    np.testing.assert_allclose(rollouts[0][0], expected, atol=1e-6)
    path.write_bytes(b"no archive")
    with pytest.raises(Sim2RealError, match="policy.pt' is not a TorchScript policy: "):
        policies.file(path).load(trust=True)


@pytest.mark.parametrize(
    ("algorithm", "task"), [("PPO", "Pendulum-v1"), ("A2C", "CartPole-v1"), ("DQN", "CartPole-v1")]
)
def test_sb3_gives_its_deterministic_action(tmp_path, algorithm, task):
    """A Stable-Baselines3 file needs trust and then acts as the model it was saved from."""
    sb3 = pytest.importorskip("stable_baselines3")
    with gym.make(task) as env:
        model = getattr(sb3, algorithm)("MlpPolicy", env, seed=0, device="cpu")
        model.save(path := tmp_path / "model.zip")
        with pytest.raises(Sim2RealError, match="give --trust"):
            policies.file(path).bind(env)
        policy = policies.file(path).bind(env, trust=True)
        env.observation_space.seed(0)
        for observation in [env.observation_space.sample() for _ in range(5)]:
            np.testing.assert_array_equal(
                policy(observation), model.predict(observation, deterministic=True)[0]
            )

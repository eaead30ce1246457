"""Laws of policies as values: what names them, and what they refuse."""

import pickle
import sys
from pathlib import Path

import gymnasium as gym
import numpy as np
import pytest

from sim2real import policies
from sim2real.errors import Sim2RealError
from sim2real.perturb import Uniform, scale
from sim2real.policies import Mlp

SEEN = ((scale("parameter:torso.mass", Uniform(0.8, 1.2)),),)


@pytest.fixture
def native(tmp_path, contract) -> Path:
    weights = np.random.default_rng(0).normal(size=(4, 15))
    return policies.save(tmp_path / "a.safetensors", Mlp([(weights, np.zeros(4))]), contract())


def test_content_names_a_policy(tmp_path, native, contract):
    """The sha256 follows content and contract, not path, label, what was seen or the training record."""
    (copy := tmp_path / "b.safetensors").write_bytes(native.read_bytes())
    first = policies.file(native)
    assert policies.file(copy, seen=SEEN, name="b").sha256 == first.sha256
    onnx = tmp_path / "a.onnx"
    onnx.write_bytes(b"one")
    declared = [
        policies.file(onnx, contract=c).sha256 for c in (None, contract(), contract(action_scale=0.5))
    ]
    assert len(set(declared)) == 3
    assert policies.file(onnx, contract=contract(training={"seed": 1}, seen=SEEN)).sha256 == declared[1]
    onnx.write_bytes(b"two")
    assert policies.file(onnx, contract=contract()).sha256 != declared[1]


def test_policies_are_values(native):
    """A policy file pickles small, compares and hashes by content, and says what it saw."""
    first = policies.file(native, seen=SEEN)
    data = pickle.dumps(first)
    assert pickle.loads(data) == first
    assert hash(pickle.loads(data)) == hash(first)
    assert len(data) < 4000
    assert (first.seen, first.label, first.needs_trust) == (SEEN, "a", False)
    assert policies.file(native).seen is None


def test_bound_policies_repeat_themselves(robot, native):
    """After a reset the same observations give the same actions, bit for bit, in any number of copies."""
    env = robot()
    observations = np.random.default_rng(0).normal(size=(10, 17)).astype(np.float32)
    rollouts = []
    first, second = (policies.file(native).bind(env) for _ in range(2))
    for policy in (first, first, second):
        policy.reset(7)
        rollouts.append([policy(observation).tolist() for observation in observations])
    assert rollouts[0] == rollouts[1] == rollouts[2]


def test_changed_files_are_refused(robot, native):
    """A file that changed after it was declared does not run under the old name."""
    declared = policies.file(native)
    policies.save(native, Mlp([(np.zeros((4, 15)), np.zeros(4))]), declared.contract)
    with pytest.raises(
        Sim2RealError, match="a.safetensors' has changed since it was declared: declare it again.$"
    ):
        declared.bind(robot())


def test_arguments_that_contradict_the_file_are_refused(tmp_path, native, contract):
    """Missing files, unknown kinds, and what a file already says are each told in one sentence."""
    onnx = tmp_path / "a.onnx"
    onnx.write_bytes(b"")
    (tmp_path / "c.toml").write_text(contract(seen=()).to_toml())
    cases = [
        (
            lambda: policies.file("gone.onnx"),
            "^The policy 'gone.onnx' cannot be read: No such file or directory.$",
        ),
        (lambda: policies.file("a.onx"), "^'a.onx' is no known kind of policy file. Did you mean '.onnx'?"),
        (
            lambda: policies.file(native, contract=contract()),
            "carries its own contract: leave contract out.$",
        ),
        (lambda: policies.file(onnx, contract="gone.toml"), "^The contract 'gone.toml' cannot be used: "),
        (
            lambda: policies.file(onnx, contract=tmp_path / "c.toml", seen=SEEN),
            "already declares what it saw in training: leave seen out.$",
        ),
        (lambda: policies.glob(f"{tmp_path}/*.pt"), r"^No policy file matches '.*\*.pt'.$"),
        (lambda: policies.file(onnx).load(), "is not a ONNX policy: "),
    ]
    for make, sentence in cases:
        with pytest.raises(Sim2RealError, match=sentence):
            make()


def test_glob_gives_the_runs_in_order(tmp_path, native):
    """A pattern gives every match once, sorted, each under its own name."""
    for name in ("c", "b"):
        (tmp_path / f"{name}.safetensors").write_bytes(native.read_bytes())
    assert [run.label for run in policies.glob(f"{tmp_path}/*.safetensors", seen=SEEN)] == ["a", "b", "c"]


def test_robots_need_a_contract_and_foreign_environments_do_not(robot, tmp_path):
    """Without a contract a network is refused by a robot, and held to the shape of the spaces elsewhere."""
    small = policies.save(tmp_path / "a.safetensors", Mlp([(np.ones((1, 3)), np.zeros(1))]))
    with pytest.raises(
        Sim2RealError, match="does not say what it reads and commands: Robot needs a contract='….toml'.$"
    ):
        policies.file(small).bind(robot())
    with gym.make("Pendulum-v1") as env:
        policy = policies.file(small).bind(env)
        np.testing.assert_allclose(policy(np.array([0.1, 0.2, 0.3], np.float32)), [0.6], rtol=1e-6)
    with (
        gym.make("CartPole-v1") as env,
        pytest.raises(Sim2RealError, match="a.safetensors' does not fit CartPoleEnv: "),
    ):
        policies.file(small).bind(env)


def test_missing_packages_are_named(monkeypatch, tmp_path):
    """A format whose package is not installed says which one it is."""
    (path := tmp_path / "a.onnx").write_bytes(b"")
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(Sim2RealError, match="a.onnx' needs the package 'onnxruntime'; install it.$"):
        policies.file(path).load()

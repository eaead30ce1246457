"""Laws of policies written in Python."""

import hashlib
import json
import pickle
import subprocess
import sys
from pathlib import Path

import gymnasium as gym
import numpy as np
import pytest

from sim2real import policies
from sim2real.errors import Sim2RealError
from sim2real.policies import Contract


def proportional(env, gain: float = 1.0):
    """A factory in this file."""
    return lambda observation: gain * observation[: env.action_space.shape[0]]


class Outer:
    """A place for a factory that is not at the top level."""

    @staticmethod
    def constant(env):
        return lambda observation: np.ones(env.action_space.shape)


def test_factories_are_named_by_source_and_arguments(tmp_path, robot):
    """A scripted policy's sha256 follows its file and arguments, however the factory is named."""
    one, two = policies.scripted(proportional, gain=1.0), policies.scripted(proportional, gain=2.0)
    assert one.sha256 != two.sha256
    assert (two.label, two.seen, two.needs_trust) == ("proportional(gain=2.0)", (), False)
    by_path = policies.scripted(f"{__file__}:proportional", gain=2.0, name="p")
    assert (by_path.sha256, by_path.label) == (two.sha256, "p")
    observation = np.arange(17, dtype=np.float32)
    for policy in (two, by_path):
        np.testing.assert_array_equal(policy.bind(robot())(observation), 2 * observation[:4])
    np.testing.assert_array_equal(policies.scripted(Outer.constant).bind(robot())(observation), np.ones(4))
    assert policies.scripted("sim2real.policies:zero") == policies.scripted(policies.zero)
    (path := tmp_path / "mine.py").write_text("def make(env):\n    return lambda observation: 1\n")
    declared = policies.scripted(f"{path}:make")
    path.write_text("def make(env):\n    return lambda observation: 2\n")
    with pytest.raises(Sim2RealError, match="has changed since it was declared"):
        declared.bind(robot())


def test_scripted_policies_travel(tmp_path):
    """A scripted policy declared in a file that no import finds binds in a fresh process."""
    code = "import pickle, sys, gymnasium; env = gymnasium.make('Pendulum-v1')\n"
    code += (
        "print(pickle.loads(bytes.fromhex(sys.argv[1])).bind(env)(env.observation_space.sample() * 0 + 1))"
    )
    data = pickle.dumps(policies.scripted(proportional, gain=0.5)).hex()
    done = subprocess.run([sys.executable, "-c", code, data], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[0.5]"


def test_builtin_policies(robot):
    """Zero is zero, random repeats by seed, hold commands the pose or the torques towards it."""
    env, observation = robot(), np.zeros(17, np.float32)
    observation[3:7], observation[7:11] = 0.5, 2.0
    assert not policies.scripted(policies.zero).bind(env)(observation).any()
    noise, draws = policies.scripted(policies.random).bind(env), []
    for seed in (5, 5, 6):
        noise.reset(seed)
        draws.append([noise(observation).tolist() for _ in range(3)])
    assert draws[0] == draws[1] != draws[2]
    np.testing.assert_allclose(
        policies.scripted(policies.hold).bind(env)(observation), env.default_pose, rtol=1e-6
    )
    torque = policies.scripted(policies.hold).bind(robot(control="torque"))(observation)
    np.testing.assert_allclose(torque, env.default_pose - 0.5 - 2.0, rtol=1e-6)
    with (
        gym.make("Pendulum-v1") as pendulum,
        pytest.raises(Sim2RealError, match="'hold' needs a default_pose, which P"),
    ):
        policies.scripted(policies.hold).bind(pendulum)


@pytest.mark.parametrize(
    ("factory", "kwargs", "sentence"),
    [
        ("hold", {}, "^A factory is named 'module:name' or 'file.py:name', not 'hold'.$"),
        ("nowhere.to.be:found", {}, "^'nowhere.to.be' cannot be imported: ModuleNotFoundError: "),
        ("sim2real.policies:holt", {}, "^'sim2real.policies' defines no 'holt'. Did you mean 'hold'?"),
        ("gone.py:make", {}, "^The scripted policy 'gone.py' cannot be read: No such file or directory.$"),
        (f"{__file__}:proportionl", {}, "defines no 'proportionl'. Did you mean 'proportional'?"),
        (lambda env: None, {}, "is not a function or class at the top level of a Python file.$"),
        (len, {}, "is not a function or class at the top level of a Python file.$"),
        (
            proportional,
            {"gian": 2},
            "^'proportional' cannot be called with env, gian: got an unexpected keyword",
        ),
        (proportional, {"gain": {1}}, "^Arguments of a scripted policy are plain JSON values: "),
    ],
)
def test_factories_that_cannot_be_found_are_refused(factory, kwargs, sentence):
    """A factory that could not be found again, or not be called, is refused when it is declared."""
    with pytest.raises(Sim2RealError, match=sentence):
        policies.scripted(factory, **kwargs)


def test_results_that_are_no_policies_are_refused(robot, tmp_path):
    """A factory must give a policy and its file must run; a scripted policy has no unbound form."""
    (path := tmp_path / "mine.py").write_text("def act(observation):\n    return 0\n")
    declared = policies.scripted(f"{path}:act")
    with pytest.raises(
        Sim2RealError, match="mine.py:act' returned int, not a callable observation -> action.$"
    ):
        declared.bind(robot())
    with pytest.raises(
        Sim2RealError, match="^The scripted policy 'act' exists in an environment only: use bind.$"
    ):
        declared.load()
    path.write_text("def act(env):\n    return 0\n\n1 / 0\n")
    with pytest.raises(
        Sim2RealError, match="mine.py' cannot be imported: ZeroDivisionError: division by zero.$"
    ):
        policies.scripted(f"{path}:act").bind(robot())


def test_empty_contract_is_the_default():
    """A scripted policy promises nothing but what it saw."""
    assert policies.scripted(policies.zero, seen=None).contract == Contract()


NEIGHBOURS = {
    "mine.py": "import numpy, helper\nfrom kit import part\n\ndef make(env):\n    import late\n"
    "    return lambda observation: helper.gain\n",
    "helper.py": "import mine\nfrom kit.deep import low\ngain = 1\n",
    "kit/__init__.py": "",
    "kit/part.py": "from . import beside\n",
    "kit/beside.py": "",
    "kit/deep/__init__.py": "from ..part import beside\n",
    "kit/deep/low.py": "",
    "late.py": "",
}


@pytest.mark.parametrize("changed", NEIGHBOURS)
def test_factories_are_named_by_all_that_they_run_on(tmp_path, robot, changed):
    """A change of any module that a factory imports from its folder, at any depth, is another policy."""
    for name, text in {**NEIGHBOURS, "unused.py": "", "kit/unused.py": ""}.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    declared = policies.scripted(f"{tmp_path}/mine.py:make")
    for name in ("unused.py", "kit/unused.py"):
        (tmp_path / name).write_text("1")
    assert policies.scripted(f"{tmp_path}/mine.py:make") == declared
    (tmp_path / changed).write_text(NEIGHBOURS[changed] + "\n")
    assert policies.scripted(f"{tmp_path}/mine.py:make").sha256 != declared.sha256
    with pytest.raises(Sim2RealError, match="has changed since it was declared"):
        declared.bind(robot())


def test_files_given_to_factories_are_part_of_them(tmp_path, monkeypatch):
    """A file that an argument names, however deep, counts by its content, and no other file does."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.py").write_text(
        "class Make:\n    def __init__(self, env, file='', others=()):\n        pass\n"
    )
    for name in ("a", "b", "c"):
        (tmp_path / name).write_text(name)

    def declared():
        return [
            policies.scripted("mine.py:Make", **kwargs).sha256
            for kwargs in (
                {"file": "a"},
                {"file": "b"},
                {"file": "-", "others": [{"x": "c"}]},
                {"file": "no such file"},
            )
        ]

    first = declared()
    for place, name in enumerate("abc"):
        (tmp_path / name).write_text("other")
        second = declared()
        assert [k for k in range(4) if first[k] != second[k]] == [place]
        first = second


def test_what_is_installed_is_named_by_its_version():
    """A policy of this package is its own module alone, so that records of it stay valid."""
    known = hashlib.sha256(
        Path(policies.balance.__code__.co_filename).read_bytes()
        + json.dumps([Contract().to_dict(), "balance", "{}"], sort_keys=True).encode()
    )
    assert policies.scripted(policies.balance).sha256 == known.hexdigest()


def reads(env, **places):
    return lambda observation: np.zeros(4)


@pytest.mark.parametrize(
    ("given", "changed"),
    [
        ({"path": "w.npz"}, "w.npz"),
        ({"paths": ["a.bin", "w.npz"]}, "w.npz"),
        ({"config": {"actor": {"weights": ["w.npz"]}}}, "w.npz"),
        ({"folder": "ensemble"}, "ensemble/deep/1.bin"),
    ],
)
@pytest.mark.parametrize("beside", [True, False])
def test_a_policy_is_named_by_all_files_that_its_arguments_name(
    tmp_path, monkeypatch, robot, given, changed, beside
):
    """Files in lists, dicts and folders, from the working directory or the module's, are in the hash."""
    module = tmp_path / "made" / "mine.py"
    folder = "made/" if beside else ""
    files = (f"{folder}w.npz", f"{folder}a.bin", f"{folder}ensemble/deep/1.bin")
    for name in files:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"old")
    module.parent.mkdir(exist_ok=True)
    module.write_text("def make(env, **places):\n    return lambda observation: 0\n")
    monkeypatch.chdir(tmp_path)
    declared = policies.scripted(f"{module}:make", **given)
    assert policies.scripted(f"{module}:make", **given) == declared
    (module.parent if beside else tmp_path).joinpath(changed).write_bytes(b"new")
    assert policies.scripted(f"{module}:make", **given).sha256 != declared.sha256
    with pytest.raises(Sim2RealError, match="has changed since it was declared"):
        declared.bind(robot())


def test_a_folder_too_large_to_name_a_policy_is_refused(tmp_path, monkeypatch):
    """A folder of more files than a policy can sensibly read is asked to be named more closely."""
    monkeypatch.setattr("sim2real.policies.factories.MOST", 2)
    for name in "abc":
        (tmp_path / name).touch()
    with pytest.raises(Sim2RealError, match="a folder of more than 2 files: name those it reads"):
        policies.scripted(reads, folder=str(tmp_path))

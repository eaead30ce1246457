"""The command `sim2real doctor`."""

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.envs.classic_control import CartPoleEnv
from gymnasium.envs.registration import EnvSpec

from sim2real import policies
from sim2real.cli import main
from sim2real.policies import Mlp


class Unseen(CartPoleEnv):
    """One that is not rendered, which takes a package that may not be there, and that says what its end is."""

    metadata = {"render_modes": [], "render_fps": 50}

    def step(self, action):
        *outcome, info = super().step(action)
        return *outcome, info | {"success": not outcome[2]}


@pytest.fixture
def pole(tmp_path, monkeypatch):
    """A policy that balances the pole of Unseen-v0, in the working directory, and one that does not."""
    monkeypatch.setitem(gym.registry, "Unseen-v0", EnvSpec("Unseen-v0", entry_point=Unseen))
    monkeypatch.chdir(tmp_path)
    policies.save("right.safetensors", Mlp([([[-1.0, -1, -10, -3], [1, 1, 10, 3]], np.zeros(2))]))
    policies.save("wrong.safetensors", Mlp([(np.ones((2, 4)), np.zeros(2))]))


@pytest.mark.parametrize(("name", "code"), [("right", 0), ("wrong", 1)])
def test_the_exit_code_says_whether_anything_is_wrong(name, code, pole, capsys):
    """Each check is one line with its mark, below what it is about, and the last line counts."""
    assert main(["doctor", "Unseen-v0", "--policy", f"{name}.safetensors"]) == code
    *lines, empty, last = capsys.readouterr().out.splitlines()
    headings = [line for line in lines if line and line[0] != " "]
    assert headings == ["installation", "Unseen-v0", f"{name}.safetensors"]
    marks = [line[2] for line in lines if line.startswith("  ")]
    assert set(marks) <= set("✓✗·")
    assert marks.count("✗") == code
    assert empty == ""
    assert last == (f"1 of {len(marks)} checks found something wrong." if code else "Nothing is wrong.")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--policy", "absent.safetensors"], "The policy 'absent.safetensors' cannot be read"),
        (["--policy", "right.txt"], "no known kind of policy file"),
        (["--contract", "absent.toml"], "The contract 'absent.toml' cannot be used"),
    ],
)
def test_what_cannot_be_read_is_one_sentence_and_exit_code_2(words, message, pole, capsys):
    """As for every command."""
    assert main(["doctor", "Unseen-v0", *words]) == 2
    assert message in capsys.readouterr().err


def test_a_contract_alone_is_held_against_the_environment(pole, capsys):
    """Without the policy file there is nothing to run, but much to compare."""
    contract = policies.Contract(
        joints=("knee",), control="torque", control_period_s=0.02,
        observation=(policies.Term(term="joint_position", size=1),),
    )  # fmt: skip
    with open("knee.toml", "w") as file:
        file.write(contract.to_toml())
    assert main(["doctor", "Unseen-v0", "--contract", "knee.toml"]) == 1
    assert "✗ joint_names: The policy's contract needs 'joint_names'" in capsys.readouterr().out

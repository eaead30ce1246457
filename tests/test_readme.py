"""The README's code runs as it stands."""

import re
from pathlib import Path

import numpy as np
import pytest

from sim2real import Study, policies
from sim2real.policies import Contract, Mlp, Term

README = (Path(__file__).parents[1] / "README.md").read_text()
BLOCKS = re.findall(r"```python\n(.*?)```", README, re.S)


def test_the_study_is_a_study(tmp_path, monkeypatch):
    """The first block defines a valid study once the policy files it names are there."""
    legs = [
        f"{side}_{joint}"
        for side in ("left", "right")
        for joint in ("hip_pitch", "hip_roll", "hip_yaw", "knee", "ankle_pitch", "ankle_roll")
    ]
    contract = Contract(
        joints=legs,
        control="position",
        control_period_s=0.02,
        observation=(Term(term="joint_position", size=12),),
        action_scale=0.25,
    )
    (tmp_path / "runs" / "mine").mkdir(parents=True)
    for seed in range(2):
        layers = [(np.full((12, 12), 0.1 * seed), np.zeros(12))]
        policies.save(tmp_path / f"runs/mine/{seed}.safetensors", Mlp(layers), contract)
    monkeypatch.chdir(tmp_path)
    found: dict[str, Study] = {}
    exec(BLOCKS[0], found)
    assert len(found["study"].conditions) == 10
    assert len(found["study"].trials()) == 2 * 10 * 50


@pytest.mark.parametrize("block", BLOCKS[1:])
def test_a_block_runs(block):
    """Every other block runs on its own."""
    exec(f"import gymnasium as gym\n{block}", {})

"""Stable-Baselines3 policies (.zip), asked for their deterministic action."""

import importlib
import io
import json
import zipfile
from typing import Any


class Sb3Policy:
    """A saved model of any of Stable-Baselines3's own algorithms, without an observation normaliser."""

    def __init__(self, data: bytes) -> None:
        import torch

        torch.set_num_threads(1)
        # The file names its policy class, not its algorithm; PPO and A2C share the class, and PPO opens both.
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            family = json.loads(archive.read("data"))["policy_class"]["__module__"].split(".")[1]
        family = "ppo" if family == "common" else family
        algorithm = getattr(importlib.import_module(f"stable_baselines3.{family}"), family.upper())
        self._model = algorithm.load(io.BytesIO(data), device="cpu")
        self.spaces = self._model.observation_space, self._model.action_space

    def __call__(self, observation: Any) -> Any:
        """Return the action for one observation."""
        return self._model.predict(observation, deterministic=True)[0]

"""Learning from a teacher: play, be told what the teacher would have done, fit, and play again."""

from itertools import pairwise
from typing import Any

import torch
from torch import nn

from sim2real.policies import Mlp
from sim2real.training.config import Imitate, Training
from sim2real.training.learner import ACTIVATIONS
from sim2real.training.vector import Environments, seed_of

TINY, CLIP = 1e-4, 10.0
"""Variance that is added to that of every input, of about one in its own unit: what hardly ever varies tells nothing;
and the bound on an input, as in Stable-Baselines3's VecNormalize."""


class Imitator:
    """One training run's imitation of a teacher, in stretches whose randomness follows from seed and place.

    Args:
        training: what to learn, with an `Imitate` as algorithm.
        environments: where.
        seed: of the run.
    """

    def __init__(self, training: Training, environments: Environments, seed: int) -> None:
        # One thread: on networks this small two cost more than they bring.
        torch.set_num_threads(1)
        self._training, self._environments, self._seed = training, environments, seed
        self._read = environments.trainee.read
        outputs = environments.observation_space.shape[0] - self._read
        torch.manual_seed(seed_of("learner", seed))
        layers: list[nn.Module] = []
        for into, out in pairwise((self._read, *training.network, outputs)):
            layers += [nn.Linear(into, out), ACTIVATIONS[training.activation]()]
        self._network = nn.Sequential(*layers[:-1])
        # What was read, and behind it what the teacher would have done: one row per step, of all rounds.
        self._memory = torch.zeros(0, self._read + outputs)
        self._mean, self._spread = torch.zeros(self._read), torch.ones(self._read)
        self._rounds = 0
        self._told: dict[str, float] = {}

    @property
    def _algorithm(self) -> Imitate:
        assert isinstance(self._training.algorithm, Imitate)
        return self._training.algorithm

    @property
    def steps(self) -> int:
        """Steps of all environments so far."""
        return len(self._memory)

    def stretch(self, number: int, steps: int) -> None:
        """Learn for at least so many steps, whole rounds; the number is that of the stretch in the run."""
        torch.manual_seed(seed_of("stretch", self._seed, number))
        self._environments.prepare(self._seed, number)
        seen, end = self._environments.reset(), self.steps + steps
        while self.steps < end:
            seen = self._play(seen)
            self._fit()

    def _play(self, seen: Any) -> Any:
        """Play one round from what is seen now, and return what is seen then."""
        share = self._algorithm.share**self._rounds
        limit = torch.from_numpy(self._environments.action_space.high)
        rows, gap = [], 0.0
        for _ in range(self._algorithm.rollout):
            row = torch.from_numpy(seen)
            rows.append(row)
            wanted = row[:, self._read :]
            with torch.no_grad():
                own = self._network(self._normal(row[:, : self._read])).clip(-limit, limit)
            gap += float((own - wanted).square().mean())
            actions = torch.where(torch.rand(len(row), 1) < share, wanted, own)
            seen = self._environments.step(actions.numpy())[0]
        self._memory = torch.cat((self._memory, *rows))
        self._rounds += 1
        self._told = {"share": share, "disagreement": (gap / self._algorithm.rollout) ** 0.5}
        return seen

    def _fit(self) -> None:
        options, total = self._algorithm, 0.0
        read, wanted = self._memory[:, : self._read], self._memory[:, self._read :]
        if self._training.normalise:
            self._mean, self._spread = read.mean(0), (read.var(0, correction=0) + TINY).sqrt()
        read = self._normal(read)
        adam = torch.optim.Adam(self._network.parameters(), options.learning_rate)
        pace = torch.optim.lr_scheduler.CosineAnnealingLR(adam, options.updates)
        for _ in range(options.updates):
            batch = torch.randint(len(read), (options.batch,))
            loss = (self._network(read[batch]) - wanted[batch]).square().mean()
            adam.zero_grad()
            loss.backward()
            adam.step()
            pace.step()
            total += float(loss.detach())
        self._told["error"] = (total / options.updates) ** 0.5

    def _normal(self, read: torch.Tensor) -> torch.Tensor:
        return ((read - self._mean) / self._spread).clip(-CLIP, CLIP) if self._training.normalise else read

    def figures(self) -> dict[str, float]:
        """Return of the last round the teacher's share, how far the network was from it before, and the fit's error.

        The last two are root mean squares over outputs.
        """
        return self._told

    def network(self) -> tuple[Mlp, tuple[Any, Any]]:
        """Return the network, and an input with the output that torch gives to it."""
        x = torch.randn(self._read, generator=torch.Generator().manual_seed(0))
        with torch.no_grad():
            y = self._network(self._normal(x[None]))[0]
        layers = [layer for layer in self._network if isinstance(layer, nn.Linear)]
        weights = [(layer.weight.detach().numpy(), layer.bias.detach().numpy()) for layer in layers]
        norm: dict[str, Any] = {}
        if self._training.normalise:
            norm = {"mean": self._mean.numpy(), "std": self._spread.numpy(), "clip": CLIP}
        return Mlp(weights, self._training.activation, **norm), (x.numpy(), y.numpy())

    def state(self) -> dict[str, Any]:
        """Return all that the next stretch depends on, as tensors and plain values."""
        return {
            "network": self._network.state_dict(), "memory": self._memory, "rounds": self._rounds,
            "mean": self._mean, "spread": self._spread,
        }  # fmt: skip

    def load(self, state: dict[str, Any]) -> None:
        """Go on from a state."""
        self._network.load_state_dict(state["network"])
        self._memory, self._rounds = state["memory"], state["rounds"]
        self._mean, self._spread = state["mean"], state["spread"]

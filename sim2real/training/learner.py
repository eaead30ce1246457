"""The learner: Stable-Baselines3's algorithms with what training here needs, and the way out of them."""

from typing import Any

import numpy as np
import torch
from stable_baselines3 import PPO, SAC
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.buffers import ReplayBuffer, RolloutBuffer
from stable_baselines3.common.logger import Logger
from stable_baselines3.common.policies import ActorCriticPolicy
from stable_baselines3.common.torch_layers import MlpExtractor
from stable_baselines3.common.type_aliases import RolloutBufferSamples
from stable_baselines3.common.utils import set_random_seed
from stable_baselines3.common.vec_env import VecNormalize
from torch import nn

from sim2real.errors import Sim2RealError
from sim2real.policies import Mlp, PolicyFile
from sim2real.training.config import Ppo, Training
from sim2real.training.privileged import truths
from sim2real.training.symmetry import Mirror, joined, joint_mirror, observation_mirror
from sim2real.training.vector import Environments, seed_of

ACTIVATIONS = {"elu": nn.ELU, "relu": nn.ReLU, "tanh": nn.Tanh}
MEMORY = ("observations", "next_observations", "actions", "rewards", "dones", "timeouts")


class _Extractor(MlpExtractor):  # type: ignore[misc]
    """Hidden layers of which the actor's read the first values only and the critic's all."""

    def __init__(self, read: int, size: int, **kwargs: Any) -> None:
        super().__init__(size, **kwargs)
        self._read = read
        self.policy_net = MlpExtractor(read, **kwargs).policy_net

    def forward_actor(self, features: torch.Tensor) -> torch.Tensor:
        return self.policy_net(features[:, : self._read])


class _Policy(ActorCriticPolicy):  # type: ignore[misc]
    """An actor that does not see what only the critic is told."""

    def __init__(self, *args: Any, read: int, **kwargs: Any) -> None:
        self._read = read
        super().__init__(*args, **kwargs)

    def _build_mlp_extractor(self) -> None:
        self.mlp_extractor = _Extractor(
            self._read,
            self.features_dim,
            net_arch=self.net_arch,
            activation_fn=self.activation_fn,
            device=self.device,
        )


class _MirroredBuffer(RolloutBuffer):  # type: ignore[misc]
    """Samples that come with their mirror images, which were as likely and are worth as much."""

    def __init__(self, *args: Any, seen: Mirror, done: Mirror, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._seen, self._done = (
            Mirror(*map(torch.from_numpy, (mirror.index, mirror.sign))) for mirror in (seen, done)
        )

    def _get_samples(self, batch_inds: Any, env: Any = None) -> RolloutBufferSamples:
        samples = super()._get_samples(batch_inds, env)
        images = samples._replace(
            observations=self._seen(samples.observations), actions=self._done(samples.actions)
        )
        return RolloutBufferSamples(*(torch.cat(pair) for pair in zip(samples, images, strict=True)))


class _Ppo(PPO):  # type: ignore[misc]
    """PPO whose learning rate follows from how far the last update moved the policy."""

    pace: float
    critic_pace: float
    kl: float | None
    critic_first: int

    def split(self) -> None:
        """Give actor and critic learning rates of their own."""
        policy, hidden = self.policy, self.policy.mlp_extractor
        actor = [*hidden.policy_net.parameters(), *policy.action_net.parameters(), policy.log_std]
        critic = [*hidden.value_net.parameters(), *policy.value_net.parameters()]
        policy.optimizer = torch.optim.Adam([{"params": actor}, {"params": critic}], eps=1e-5)

    def _update_learning_rate(self, optimizers: Any) -> None:
        actor, critic = self.policy.optimizer.param_groups
        actor["lr"], critic["lr"] = self.pace, self.critic_pace

    def train(self) -> None:
        critic_only = self.num_timesteps <= self.critic_first
        for part in (self.policy.mlp_extractor.policy_net, self.policy.action_net):
            part.requires_grad_(not critic_only)
        self.policy.log_std.requires_grad_(not critic_only)
        super().train()
        if self.kl is None or critic_only:
            return
        seen, done, before = (
            torch.from_numpy(getattr(self.rollout_buffer, name))
            for name in ("observations", "actions", "log_probs")
        )
        with torch.no_grad():
            change = self.policy.evaluate_actions(seen, done)[1] - before.flatten()
            moved = float(
                (change.exp() - 1.0 - change).mean()
            )  # the estimator k3 of Schulman's "Approximating KL"
        if moved > 2.0 * self.kl:
            self.pace = max(self.pace / 1.5, 1e-5)
        elif moved < 0.5 * self.kl:
            self.pace = min(self.pace * 1.5, 1e-2)


class Learner:
    """One training run's algorithm, in stretches whose randomness follows from seed and place.

    So a run that goes on from the end of a stretch needs no state of any generator, and no environment's.

    Args:
        training: what to learn.
        environments: where.
        seed: of the run.

    Raises:
        Sim2RealError: options that this training's environments cannot have.
    """

    def __init__(self, training: Training, environments: Environments, seed: int) -> None:
        # One thread: on networks this small two cost more than they bring.
        torch.set_num_threads(1)
        options: Any = training.algorithm
        self._environments, self._seed = environments, seed
        self._training = training
        self._normaliser: Any = VecNormalize(environments, norm_reward=False) if training.normalise else None
        common = {
            "env": self._normaliser or environments,
            "batch_size": training.algorithm.batch,
            "learning_rate": training.algorithm.learning_rate,
            "gamma": options.discount,
            "seed": seed_of("learner", seed),
            "device": "cpu",
        }
        shape = {"net_arch": list(training.network), "activation_fn": ACTIVATIONS[training.activation]}
        make = self._ppo if isinstance(training.algorithm, Ppo) else self._sac
        self.model: BaseAlgorithm = make(training.algorithm, common, shape)
        if start := training.starts_from(seed):
            self._begin_as(start)
        self.model.set_logger(Logger(None, []))  # its own would leave a folder behind for every stretch

    def _ppo(self, options: Any, common: dict[str, Any], shape: dict[str, Any]) -> PPO:
        buffer = {}
        if options.mirror:
            seen, done = self._mirrors()
            buffer = {
                "rollout_buffer_class": _MirroredBuffer, "rollout_buffer_kwargs": {"seen": seen, "done": done}
            }  # fmt: skip
        model = _Ppo(
            _Policy,
            n_steps=options.rollout,
            n_epochs=options.epochs,
            gae_lambda=options.gae,
            clip_range=options.clip,
            ent_coef=options.entropy,
            policy_kwargs={
                **shape,
                "log_std_init": np.log(options.std),
                "read": self._environments.trainee.read,
            },
            **buffer,
            **common,
        )
        model.kl, model.pace, model.critic_first = options.kl, options.learning_rate, options.critic_first
        model.critic_pace = options.critic_learning_rate or options.learning_rate
        model.split()
        return model

    def _begin_as(self, start: PolicyFile) -> None:
        """Make the actor the network of a policy file."""
        contract, own = start.contract, self._environments.trainee.contract
        for part in ("joints", "outputs", "observation", "action_scale", "action_offset", "history_by"):
            if getattr(contract, part) != getattr(own, part):
                raise Sim2RealError(
                    f"'{start.source}' has another {part} than this training: {getattr(own, part)}."
                )
        network: Any = start.load()
        actor: Any = self.model.policy
        layers = [layer for layer in actor.mlp_extractor.policy_net if isinstance(layer, nn.Linear)]
        layers.append(actor.action_net)
        sizes = [layers[0].in_features, *(layer.out_features for layer in layers)]
        kind = self._training.activation, sizes
        tensors = network.tensors if isinstance(network, Mlp) and not network.squash else {}
        if not tensors or (network.activation, network.sizes) != kind or "normalizer.mean" in tensors:
            raise Sim2RealError(
                f"'{start.source}' is no plain network of {kind[0]} layers {sizes}, as is trained here."
            )
        with torch.no_grad():
            for place, layer in enumerate(layers):
                layer.weight.copy_(torch.from_numpy(tensors[f"{place}.weight"]))
                layer.bias.copy_(torch.from_numpy(tensors[f"{place}.bias"]))

    def _sac(self, options: Any, common: dict[str, Any], shape: dict[str, Any]) -> SAC:
        return SAC(
            "MlpPolicy",
            buffer_size=options.memory,
            learning_starts=options.warm_up,
            gradient_steps=options.updates,
            tau=options.polyak,
            policy_kwargs=shape,
            **common,
        )

    def _mirrors(self) -> tuple[Mirror, Mirror]:
        trainee = self._environments.trainee
        bare: Any = trainee.unwrapped
        contract = trainee.contract
        if not contract.observation:
            raise Sim2RealError(f"'{self._training.env}' has no robot, so nobody knows its mirror image.")
        told = truths(self._training.algorithm.privileged, bare)
        seen = joined([observation_mirror(bare.sim.robot, contract), *(truth.mirror for truth in told)])
        return seen, joint_mirror(bare.sim.robot, contract.joints)

    def stretch(self, number: int, steps: int) -> None:
        """Learn for at least so many steps, whole updates; the number is that of the stretch in the run."""
        seed = seed_of("stretch", self._seed, number)
        set_random_seed(seed)
        self.model.action_space.seed(seed)
        self._environments.prepare(self._seed, number)
        self.model._last_obs = None  # so that all environments are reset
        self.model.learn(steps, reset_num_timesteps=False)

    @property
    def steps(self) -> int:
        """Steps of all environments so far."""
        return int(self.model.num_timesteps)

    def figures(self) -> dict[str, float]:
        """Return what tells how learning goes: the spread of the actions, and the learning rate of now."""
        if not isinstance(self.model, _Ppo):
            return {}
        return {
            "std": float(self.model.policy.log_std.exp().mean().detach()),
            "learning_rate": self.model.pace,
        }

    def network(self) -> tuple[Mlp, tuple[Any, Any]]:
        """Return the actor's mean as a network, and an input with the output that torch gives to it."""
        policy: Any = self.model.policy
        squash = isinstance(self.model, SAC)
        actor = policy.actor.latent_pi if squash else policy.mlp_extractor.policy_net
        layers = [layer for layer in actor if isinstance(layer, nn.Linear)]
        layers.append(policy.actor.mu if squash else policy.action_net)
        x = np.random.default_rng(0).standard_normal(self._environments.trainee.read).astype(np.float32)
        norm = {}
        read = torch.from_numpy(x)
        if self._normaliser:
            moments, tiny = self._normaliser.obs_rms, self._normaliser.epsilon
            norm = {
                "mean": moments.mean,
                "std": np.sqrt(moments.var + tiny),
                "clip": self._normaliser.clip_obs,
            }
            read = torch.from_numpy(self._normaliser.normalize_obs(x))
        with torch.no_grad():
            y = layers[-1](actor(read[None]))[0]
            y = torch.tanh(y) if squash else y
        weights = [(layer.weight.detach().numpy(), layer.bias.detach().numpy()) for layer in layers]
        return Mlp(weights, self._training.activation, squash=squash, **norm), (x, y.numpy())

    def state(self) -> dict[str, Any]:
        """Return all that the next stretch depends on, as tensors and plain values."""
        _, variables = self.model._get_torch_save_params()
        return {
            "parameters": self.model.get_parameters(),
            "variables": {name: getattr(self.model, name).detach().clone() for name in variables},
            "steps": self.model.num_timesteps,
            "updates": self.model._n_updates,
            "pace": getattr(self.model, "pace", None),
            "normaliser": self._moments(),
            "memory": self._memory(),
        }

    def load(self, state: dict[str, Any]) -> None:
        """Go on from a state."""
        self.model.set_parameters(state["parameters"])
        for name, value in state["variables"].items():
            getattr(self.model, name).data.copy_(value)
        self.model.num_timesteps = state["steps"]
        self.model._n_updates = state["updates"]
        if isinstance(self.model, _Ppo):
            self.model.pace = state["pace"]
        if self._normaliser:
            moments = self._normaliser.obs_rms
            moments.mean, moments.var = (state["normaliser"][name].numpy() for name in ("mean", "var"))
            moments.count = state["normaliser"]["count"]
        if state["memory"]:
            memory: ReplayBuffer = self.model.replay_buffer
            filled = len(state["memory"]["rewards"])
            for name in MEMORY:
                getattr(memory, name)[:filled] = state["memory"][name].numpy()
            memory.pos, memory.full = state["memory"]["pos"], filled == memory.buffer_size

    def _moments(self) -> dict[str, Any]:
        if not self._normaliser:
            return {}
        moments = self._normaliser.obs_rms
        return {
            "mean": torch.from_numpy(moments.mean), "var": torch.from_numpy(moments.var), "count": float(moments.count)
        }  # fmt: skip

    def _memory(self) -> dict[str, Any]:
        memory: ReplayBuffer | None = getattr(self.model, "replay_buffer", None)
        if memory is None:
            return {}
        filled = memory.size()
        arrays = {name: torch.from_numpy(getattr(memory, name)[:filled]) for name in MEMORY}
        return {**arrays, "pos": memory.pos}

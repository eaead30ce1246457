"""Train PPO on HalfCheetah-v5 with randomised observation delay, and export the actor as a native policy file.

python studies/halfcheetah_train.py --delay 0 --seed 0    # never late
python studies/halfcheetah_train.py --delay 2 --seed 0    # each episode 0, 1 or 2 steps late

Checkpoints lie in --out; the same command goes on from the last one.
"""

import argparse
from pathlib import Path

import gymnasium as gym
import numpy as np
import torch
from stable_baselines3 import PPO
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.vec_env import DummyVecEnv, VecNormalize

from sim2real import Integers, Perturbed, delay, policies
from sim2real.policies import Contract, Mlp

STEPS_PER_CHECKPOINT = 51_200

# Hyperparameters tuned for HalfCheetah: DLR-RM/rl-baselines3-zoo, hyperparams/ppo.yml.
PPO_TUNED = {
    "n_steps": 512,
    "batch_size": 64,
    "n_epochs": 20,
    "learning_rate": 2.0633e-05,
    "gamma": 0.98,
    "gae_lambda": 0.92,
    "clip_range": 0.1,
    "ent_coef": 0.000401762,
    "vf_coef": 0.58096,
    "max_grad_norm": 0.8,
    "policy_kwargs": {
        "log_std_init": -2,
        "ortho_init": False,
        "activation_fn": torch.nn.ReLU,
        "net_arch": {"pi": [256, 256], "vf": [256, 256]},
    },
}


class Checkpoints(BaseCallback):
    """Writes model and normaliser into a folder of their own, whole or not at all."""

    def __init__(self, out: Path) -> None:
        super().__init__()
        self._out = out

    def _on_rollout_start(self) -> None:  # when learning from the last rollout is done
        if self.num_timesteps and self.num_timesteps % STEPS_PER_CHECKPOINT == 0:
            save(self.model, self._out)

    def _on_step(self) -> bool:
        return True


def train(most_delay: int, seed: int, steps: int, out: Path) -> PPO:
    """Train, or go on training."""
    torch.set_num_threads(1)
    seen = condition(most_delay)
    env = DummyVecEnv(
        [lambda: gym.wrappers.RecordEpisodeStatistics(Perturbed(gym.make("HalfCheetah-v5"), seen))]
    )
    if saved := sorted(out.glob("checkpoint-*")):
        normal = VecNormalize.load(str(saved[-1] / "normaliser.pkl"), env)
        model = PPO.load(saved[-1] / "model.zip", normal, device="cpu")
    else:
        normal = VecNormalize(env, gamma=PPO_TUNED["gamma"])
        model = PPO("MlpPolicy", normal, seed=seed, device="cpu", **PPO_TUNED)
    model.learn(steps - model.num_timesteps, Checkpoints(out), reset_num_timesteps=False)
    save(model, out)
    return model


def condition(most_delay: int):
    """Return what a training run meets."""
    return (delay("observation", Integers(0, most_delay)),) if most_delay else ()


def save(model: PPO, out: Path) -> None:
    """Write a checkpoint and tell how far training is."""
    steps = model.num_timesteps
    folder = out / f"checkpoint-{steps:09}"
    if folder.exists():
        return
    fresh = folder.with_name(f"unfinished-{steps}")
    fresh.mkdir(parents=True, exist_ok=True)
    model.save(fresh / "model.zip")
    model.get_vec_normalize_env().save(str(fresh / "normaliser.pkl"))
    fresh.rename(folder)
    recent = [episode["r"] for episode in model.ep_info_buffer]
    print(f"{steps} steps: return {np.mean(recent):.0f}", flush=True)


def export(model: PPO, path: Path, contract: Contract) -> None:
    """Write the actor with its normaliser; what SB3 does around it becomes part of the network.

    SB3 clips actions to the box from -1 to 1, which is clip(y) = relu(y + 1) - relu(y - 1) - 1: one more layer.
    """
    normal, actor = model.get_vec_normalize_env(), model.policy
    first, second, last = (
        actor.mlp_extractor.policy_net[0],
        actor.mlp_extractor.policy_net[2],
        actor.action_net,
    )
    layers = [(layer.weight.detach().numpy(), layer.bias.detach().numpy()) for layer in (first, second, last)]
    weight, bias = layers.pop()
    one = np.eye(len(bias))
    layers.append((np.vstack([weight, weight]), np.concatenate([bias + 1, bias - 1])))
    layers.append((np.hstack([one, -one]), -np.ones(len(bias))))
    std = np.sqrt(normal.obs_rms.var + normal.epsilon)
    network = Mlp(layers, "relu", mean=normal.obs_rms.mean, std=std, clip=normal.clip_obs)
    example = normal.obs_rms.mean + std * np.random.default_rng(0).standard_normal(len(std))
    output = model.predict(normal.normalize_obs(example), deterministic=True)[0]
    policies.save(path, network, contract, golden=(example, output))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument(
        "--delay", type=int, default=0, help="most steps by which an episode's observations are late"
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--steps", type=int, default=512_000)
    parser.add_argument(
        "--out", type=Path, default=Path("runs/halfcheetah"), help="folder for checkpoints and policy"
    )
    chosen = parser.parse_args()
    name = f"delay{chosen.delay}-seed{chosen.seed}"
    model = train(chosen.delay, chosen.seed, chosen.steps, chosen.out / name)
    record = {"algorithm": "PPO", "steps": model.num_timesteps, "seed": chosen.seed, "env": "HalfCheetah-v5"}
    terms = Contract(seen=(condition(chosen.delay),), training=record)
    export(model, chosen.out / f"{name}.safetensors", terms)

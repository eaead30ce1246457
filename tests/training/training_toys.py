"""An environment that is learnt in seconds, and trainings in it."""

from functools import partial

import gymnasium as gym
import numpy as np

from sim2real.perturb import Uniform, Wrap, add, scale
from sim2real.perturb.curriculum import AutomaticRandomization
from sim2real.safety import Lagrangian
from sim2real.training import Competence, Ppo, Training


class Reach(gym.Env):
    """A point that should be pushed to the origin; 20 steps, or out of bounds."""

    metadata = {"render_modes": [], "render_fps": 10}  # noqa: RUF012
    control_period_s = 0.1
    observation_space = gym.spaces.Box(-np.inf, np.inf, (2,), np.float32)
    action_space = gym.spaces.Box(-1, 1, (2,), np.float32)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.steps, self.point = 0, self.np_random.uniform(-1, 1, 2)
        return self.point.astype(np.float32), {}

    def step(self, action):
        self.steps += 1
        self.point = self.point + 0.3 * np.clip(action, -1, 1)
        far = float(np.abs(self.point).max())
        info = {
            "cost": float(far > 1),
            "violations": int(far > 1),
            "metrics": {"far_m": far},
            "success": far < 0.4,
        }
        return self.point.astype(np.float32), -far, far > 3, self.steps == 20, info


if "Reach-v0" not in gym.registry:
    gym.register("Reach-v0", entry_point="training_toys:Reach")


class Remembering(gym.Wrapper):
    """Takes a price off the reward that every episode raises, one that is cut off too; it is a state."""

    def __init__(self, env):
        super().__init__(env)
        self.price, self.open = 0.0, False

    def reset(self, **options):
        self.price += 0.01 * self.open
        self.open = False
        return self.env.reset(**options)

    def step(self, action):
        self.open = True
        observation, reward, *rest = self.env.step(action)
        return observation, reward - self.price, *rest

    def state_dict(self):
        return {"price": self.price}

    def load_state_dict(self, state):
        self.price = state["price"]


def remembering(env):
    return Remembering(env)


class Breaking(gym.Wrapper):
    def step(self, action):
        raise RuntimeError("a joint came off")


def breaking(env):
    return Breaking(env)


NOISE = (add("observation", Uniform(-0.05, 0.05)), scale("action", Uniform(0.8, 1.2), every="episode"))


def toy(**changes):
    """Return a small training; everything that has a state has one in it."""
    stated = {
        "name": "toy",
        "env": "training_toys:Reach-v0",
        "perturbations": NOISE,
        "curriculum": partial(
            AutomaticRandomization, raise_above=0.0, episodes=2, start=(NOISE[0].at(1), scale("action", 1.0))
        ),
        "mode": Lagrangian(limit=2.0, rate=0.1, episodes=3),
        "wrappers": (Wrap(remembering, label="remembering"),),
        "algorithm": Ppo(rollout=32, batch=64, epochs=2),
        "network": (16,),
        "normalise": True,
        "steps": 1280,
        "environments": 4,
        "processes": 0,
        "checkpoint": 256,
        "competence": Competence(at_least={"success": 2.0}, every=512, episodes=2),
    }
    return Training(**(stated | changes))

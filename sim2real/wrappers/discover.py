"""The parameters of any environment, whatever simulates it."""

from contextlib import suppress
from typing import Any

import gymnasium as gym

from sim2real.errors import Sim2RealError
from sim2real.perturb import Parameters
from sim2real.wrappers.bullet import Bullet
from sim2real.wrappers.mujoco import Mujoco
from sim2real.wrappers.parameters import Table


def discover(env: gym.Env[Any, Any]) -> Parameters:
    """Return an environment's own parameters, or those of the MuJoCo model or the PyBullet client in it.

    Where there is neither, there are no parameters; signals can be perturbed all the same.

    >>> discover(gym.make("CartPole-v1")).names()
    ()
    """
    own: Parameters | None = getattr(env.unwrapped, "parameters", None)
    if own is not None:
        return own
    for adapter in (Mujoco, Bullet):
        with suppress(Sim2RealError):
            return adapter.of(env)
    return Table()

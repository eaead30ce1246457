"""The parameters of any environment, whatever simulates it."""

from contextlib import nullcontext
from typing import Any

import gymnasium as gym

from sim2real.errors import Sim2RealError
from sim2real.perturb import Parameters
from sim2real.wrappers.bullet import Bullet
from sim2real.wrappers.mujoco import Mujoco
from sim2real.wrappers.parameters import Table, own_parameters
from sim2real.wrappers.seek import CLIENT, MODEL, STATE, NoEngine, inside, is_a, played, seek


def discover(env: gym.Env[Any, Any]) -> Parameters:
    """Return an environment's own parameters, or those of the MuJoCo model or the PyBullet client in it.

    Where there is neither, there are no parameters (``source`` says how far was looked); signals can be
    perturbed all the same.

    Raises:
        Sim2RealError: if there are several engines, or one that cannot be described.

    >>> discover(gym.make("CartPole-v1")).names()
    ()
    """
    own = own_parameters(env)
    if own is not None:
        return own
    late = not inside(env, STATE, MODEL, CLIENT)
    try:
        found = seek(env, STATE, MODEL, CLIENT)
    except NoEngine as error:
        none = Table()
        none.source = str(error)
        return none
    clients = sum(is_a(one.thing, *CLIENT) for one in found)
    if 0 < clients < len(found):
        raise Sim2RealError(
            f"{type(env.unwrapped).__name__} has engines of MuJoCo and of PyBullet ({', '.join(map(str, found))}): "
            "give Mujoco.of or Bullet.of as parameters."
        )
    with played(env) if late else nullcontext():  # as Mujoco.of does
        return Bullet.of(env) if clients else Mujoco.of(env)

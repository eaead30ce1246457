"""The one place that holds versions."""

__version__ = "0.1.0"

PHYSICS_VERSION = 2
"""What our own environments simulate. Whatever moves differently after a change needs another number: episodes are
named by it, so that none of two worlds are mixed, and results say which one they are about.

1: rotors on links, explicit motor damping. 2: rotors on joints, implicit damping.
"""


def physics_of(env: str) -> int | None:
    """Return the version of the physics behind a Gymnasium id; None where the environment is not ours.

    >>> physics_of("sim2real:sim2real/Walk-v0") == PHYSICS_VERSION, physics_of("CartPole-v1")
    (True, None)
    """
    return PHYSICS_VERSION if env.rpartition(":")[2].startswith("sim2real/") else None

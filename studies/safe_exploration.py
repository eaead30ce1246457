"""What shields are worth while a robot explores, where their guarantees end, and what they cost a policy that works.

sim2real run studies/safe_exploration.py          random exploration of Walk-v0, with and without shields
sim2real run studies/safe_exploration.py:price    the balance controller on Stand-v0, with and without
"""

from sim2real import Study, add, delay, policies, scale, set_to
from sim2real.perturb import Normal
from sim2real.perturb.catalogue import friction, latency, payload
from sim2real.safety import (
    BarrierProgramme,
    JointBarrier,
    RateLimit,
    Recovery,
    TorqueClamp,
    joint_position,
    joint_velocity,
    torque,
    torso_tilt,
)

# What the motors and the gears shall be spared: the stops themselves, the rated speed, full effort.
LIMITS = (joint_position(0.0), joint_velocity(1.0), torque(0.9))

CLOSED_FORM = (JointBarrier(), TorqueClamp(fraction=0.85))

# A robot that falls over drives its joints past any limit, whatever the motors do: so it must not fall either.
UPRIGHT = (Recovery(), RateLimit(change=0.1), *CLOSED_FORM)

# Each of these takes the shields' assumptions away: what they know of the motors, or what they see.
BEYOND = {
    **{f"friction {mu:g}": [friction(mu)] for mu in (0.1, 0.4)},
    **{f"payload {kg:g} kg": [payload(kg)] for kg in (5, 15)},
    **{f"gains × {x:g}": [scale("parameter:*.kp", x)] for x in (0.7, 1.3, 1.6)},
    **{f"motor strength × {x:g}": [scale("parameter:*.strength", x)] for x in (0.7, 1.2, 1.5)},
    **{f"link masses × {x:g}": [scale("parameter:*.mass", x)] for x in (0.8, 1.2)},
    **{f"actuator latency {ms} ms": [latency(ms / 1000)] for ms in (5, 10, 20, 40)},
    **{f"observations {n} steps late": [delay("observation", n)] for n in (1, 2)},
    **{f"joint position noise {x:g}": [add("observation:joint_position", Normal(0, x))] for x in (0.01, 0.03, 0.1)},
    **{f"joint velocity noise {x:g}": [add("observation:joint_velocity", Normal(0, x))] for x in (0.5, 1.5, 5.0)},
    **{f"encoder offset {x:g}": [set_to("parameter:*.encoder_offset", x)] for x in (0.02, 0.05, 0.1)},
}  # fmt: skip


def study(episodes: int = 20, seed: int = 0) -> Study:
    """Build the study of random exploration, with and without shields."""
    explorer = policies.scripted(policies.random, seen=())
    return Study(
        name="safe-exploration",
        question="How much of what random exploration does to a robot do shields prevent, and where does that end?",
        env="sim2real:sim2real/Walk-v0",
        policies={
            "random": explorer,
            "random, joint barrier": explorer.behind(*CLOSED_FORM),
            "random, barrier programme": explorer.behind(BarrierProgramme()),
            "random, kept upright": explorer.behind(*UPRIGHT),
        },
        conditions=BEYOND,
        constraints=LIMITS,
        metric="safe_share",
        competent=0.0,
        episodes=episodes,
        seed=seed,
    )


def price(episodes: int = 20, seed: int = 0) -> Study:
    """Build the study of a controller that stands, with and without shields."""
    balance = policies.scripted(policies.balance)
    return Study(
        name="price-of-safety",
        question="What do shields cost a controller that stands, in the nominal world and in others?",
        env="sim2real:sim2real/Stand-v0",
        policies={
            "balance": balance,
            "balance, joint barrier": balance.behind(*CLOSED_FORM),
            "balance, barrier programme": balance.behind(BarrierProgramme()),
            "balance, recovery": balance.behind(Recovery()),
        },
        conditions={
            **{label: BEYOND[label] for label in ("payload 15 kg", "gains × 0.7", "actuator latency 20 ms")},
            **{f"shoves of {n} N": [set_to("parameter:torso.force_x", n)] for n in (10, 20, 30)},
        },
        constraints=(*LIMITS, torso_tilt(0.3)),
        episodes=episodes,
        seed=seed,
    )

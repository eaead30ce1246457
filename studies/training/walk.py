"""How the G1 learns to walk to a commanded velocity: forward, sideways, turning.

    sim2real train studies/training/walk.py                # nominal
    sim2real train studies/training/walk.py:randomised
    sim2real train studies/training/walk.py:constrained

Each trains three seeds, in MuJoCo. A seed begins as an imitator of the scripted walker (`sim2real.policies.gait`)
that met the same perturbations; those that ship are from

    sim2real train studies/training/walk.py:imitation
    sim2real train studies/training/walk.py:imitation randomised=True
    sim2real train studies/training/walk.py:imitation randomised=True constrained=True

The pairs differ in one thing: `randomised` in the perturbations, `constrained` in what is done about wear.
"""

from dataclasses import replace
from pathlib import Path

from sim2real import Interval, Normal, Uniform, add, policies, set_to
from sim2real.perturb.catalogue import friction, latency, motor_strength, payload, push
from sim2real.safety import Lagrangian, SoftLimits, joint_position, joint_velocity, torque
from sim2real.training import Competence, Imitate, Ppo, Training

TRAINED = Path(__file__).parent.parent / "policies" / "walk"
STARTS = f"{TRAINED}/imitation-seed*.safetensors"
RANDOMISED_STARTS = f"{TRAINED}/imitation-randomised-seed*.safetensors"
CONSTRAINED_STARTS = f"{TRAINED}/imitation-constrained-seed*.safetensors"

COMMANDS = (
    set_to("parameter:command.velocity_x", Uniform(0.0, 0.8)),
    set_to("parameter:command.velocity_y", Uniform(-0.3, 0.3)),
    set_to("parameter:command.yaw_rate", Uniform(-0.5, 0.5)),
)

# Friction and sensor noise of unitree_rl_gym's G1; pushes, payload, strength and latency about half of what the
# published policy stands (studies/published_walker.py), so that what lies beyond can be held out.
RANDOMISATION = (
    friction(Uniform(0.4, 1.25)),
    payload(Uniform(0.0, 5.0)),
    motor_strength(Uniform(0.8, 1.1)),
    latency(Uniform(0.0, 0.02)),
    push(Uniform(-0.5, 0.5), "x", every=Interval(2.0, 5.0)),
    push(Uniform(-0.5, 0.5), "y", every=Interval(2.0, 5.0)),
    add("observation:gyro", Normal(0.0, 0.1)),
    add("observation:projected_gravity", Normal(0.0, 0.03)),
    add("observation:joint_position", Normal(0.0, 0.01)),
    add("observation:joint_velocity", Normal(0.0, 0.75)),
)

EPISODE_S = 20.0

# Where the robot wears out: joints near their stops, too fast, or at nearly full torque.
WEAR = (joint_position(), joint_velocity(), torque())
# What is done about it: no leg is told to be straight, and what wears all the same has a price. A step of walking earns
# more than the price can take; were it to earn less, falling early would pay.
SPARING = SoftLimits(fraction=0.85)
PRICE = Lagrangian(limit=20.0, most=4.0)

# Survival alone is not walking: one foot after the other, apart, without hops, limps or slides.
GAIT_AT_LEAST = {
    "single_support_fraction": 0.6,
    "alternation": 0.95,
    "clearance_m": 0.03,
    "feet_apart_m": 0.05,
}
GAIT_AT_MOST = {"flight_fraction": 0.05, "asymmetry": 0.1, "slip_m_s": 0.1}

# Of a walker that hardly falls any more, more is asked about where it goes than Walk's own weights ask.
WEIGHTS = {"tracking": 4.0, "yaw_tracking": 1.5, "sway": -30.0}

PPO = Ppo(
    rollout=256,
    batch=2048,
    epochs=4,
    kl=0.02,
    learning_rate=3e-5,
    critic_learning_rate=1e-3,  # the actor's is kept small by how far it may move, which a new critic cannot wait for
    std=0.1,
    mirror=True,
    privileged=("velocity", "turning", "height", "contact"),
    critic_first=100_000,
)


def imitation(steps: int = 200_000, randomised: bool = False, constrained: bool = False) -> Training:
    """Build the training of networks that do what the scripted walker would, from what a robot can sense."""
    return Training(
        name="walk-imitation" + "-randomised" * randomised + "-constrained" * constrained,
        env="sim2real:sim2real/Walk-v0",
        env_kwargs={"engine": "mujoco"},
        perturbations=COMMANDS + RANDOMISATION * randomised,
        shields=(SPARING,) * constrained,
        algorithm=Imitate(teacher=policies.gait, rollout=250, updates=1000, batch=512, bound=PPO.bound),
        steps=steps,
        seeds=(0, 1, 2),
        environments=16,
        processes=0,
    )


def training(steps: int = 3_000_000, processes: int = 0, starts: str = STARTS) -> Training:
    """Build the nominal walker's: nothing is drawn but the command."""
    return Training(
        name="walk-nominal",
        env="sim2real:sim2real/Walk-v0",
        env_kwargs={"engine": "mujoco", "episode_s": EPISODE_S, "rewards": WEIGHTS},
        perturbations=COMMANDS,
        constraints=WEAR,  # only counted
        algorithm=PPO,
        start=policies.glob(starts),
        reward_scale=0.02,  # the control period, so that a return is of the size of an episode's seconds
        steps=steps,
        seeds=(0, 1, 2),
        environments=32,
        processes=processes,
        competence=Competence(
            at_least={"success": 0.95} | GAIT_AT_LEAST,
            at_most={"tracking_error_m_s": 0.15} | GAIT_AT_MOST,
            condition=COMMANDS,
            every=250_000,
            stop=False,  # all are trained equally long, so that they can be compared
        ),
    )


def randomised(steps: int = 3_000_000, processes: int = 0, starts: str = RANDOMISED_STARTS) -> Training:
    """Build the walker's whose world is drawn anew every episode."""
    nominal = training(steps, processes, starts)
    return replace(nominal, name="walk-randomised", perturbations=(*COMMANDS, *RANDOMISATION))


def constrained(steps: int = 3_000_000, processes: int = 0, starts: str = CONSTRAINED_STARTS) -> Training:
    """Build the randomised walker's that also spares its joints."""
    free = randomised(steps, processes, starts)
    return replace(free, name="walk-constrained", shields=(SPARING,), mode=PRICE)

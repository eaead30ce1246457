"""How the G1 learns to walk to a commanded velocity: forward, sideways, turning.

    sim2real train studies/training/walk.py                    # nominal
    sim2real train studies/training/walk.py:randomised
    sim2real train studies/training/walk.py:constrained

Each trains three seeds. The pairs differ in one thing: `randomised` in the perturbations, `constrained` in
what wear costs.
"""

from dataclasses import replace

from sim2real import Interval, Normal, Uniform, add, set_to
from sim2real.perturb.catalogue import friction, latency, motor_strength, payload, push
from sim2real.safety import Lagrangian, joint_position, joint_velocity, torque
from sim2real.training import Competence, Ppo, Training

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

PPO = Ppo(
    rollout=128,
    batch=1024,
    epochs=5,
    learning_rate=5e-4,
    entropy=0.002,
    std=0.5,
    mirror=True,
    privileged=("velocity", "turning", "height", "contact"),
)


# Where the robot wears out: joints near their stops, too fast, or at nearly full torque.
WEAR = (joint_position(), joint_velocity(), torque())


def training(steps: int = 10_000_000, environments: int = 32, processes: int = 2) -> Training:
    """Build the nominal walker's: nothing is drawn but the command."""
    return Training(
        name="walk-nominal",
        env="sim2real:sim2real/Walk-v0",
        perturbations=COMMANDS,
        constraints=WEAR,  # only counted
        algorithm=PPO,
        reward_scale=0.02,  # the control period, so that a return is of the size of an episode's seconds
        steps=steps,
        seeds=(0, 1, 2),
        environments=environments,
        processes=processes,
        competence=Competence(
            at_least={"success": 0.95}, at_most={"tracking_error_m_s": 0.15}, condition=COMMANDS
        ),
    )


def randomised(steps: int = 10_000_000, environments: int = 32, processes: int = 2) -> Training:
    """Build the walker's whose world is drawn anew every episode."""
    nominal = training(steps, environments, processes)
    return replace(nominal, name="walk-randomised", perturbations=(*COMMANDS, *RANDOMISATION))


def constrained(steps: int = 10_000_000, environments: int = 32, processes: int = 2) -> Training:
    """Build the randomised walker's that also pays for wear."""
    free = randomised(steps, environments, processes)
    return replace(free, name="walk-constrained", mode=Lagrangian(limit=5.0))

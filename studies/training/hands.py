"""How a hand learns to reach, to push and to grasp: by asking a visual servo what it would do.

    sim2real train studies/training/hands.py:reach             # nominal
    sim2real train studies/training/hands.py:reach_randomised
    sim2real train studies/training/hands.py:push              # and so on: push_randomised, grasp, grasp_randomised

Each trains three seeds, until 50 nominal episodes show it competent; grasps, which a study compares, all equally long.
The hand is moved by its velocity, the fingers are closed together; episodes are as short as what is to be done allows.
"""

from sim2real import Uniform, set_to
from sim2real.perturb import Perturbation
from sim2real.perturb.catalogue import latency, motor_strength
from sim2real.training import Competence, Imitate, Training

# About half of what the scripted expert stands (docs/hands.md), so that what lies beyond can be held out.
ARM = (latency(Uniform(0.0, 0.1)), motor_strength(Uniform(0.65, 1.0)))
OBJECT = (
    set_to("parameter:object.mass", Uniform(0.1, 1.0)),
    set_to("parameter:object.friction", Uniform(0.3, 1.0)),
    set_to("parameter:object.size", Uniform(0.85, 1.25)),
    set_to("parameter:pose_estimate.noise", Uniform(0.0, 0.01)),
    set_to("parameter:pose_estimate.offset_x", Uniform(-0.01, 0.01)),
    set_to("parameter:pose_estimate.offset_y", Uniform(-0.01, 0.01)),
)

EPISODE_S, PERIOD_S = 4.0, 0.02


def reach(steps: int = 60_000) -> Training:
    """Build the nominal one's that brings the hand to a point."""
    return _training("Reach", 0.95, every=4_000, steps=steps)


def reach_randomised(steps: int = 60_000) -> Training:
    """Build the one's whose arm is drawn anew every episode."""
    return _training("Reach", 0.95, every=6_000, steps=steps, randomisation=ARM)


def push(steps: int = 60_000) -> Training:
    """Build the nominal one's that slides an object to a point."""
    return _training("Push", 0.95, every=12_000, steps=steps)


def push_randomised(steps: int = 60_000) -> Training:
    """Build the one's whose arm, object and view of it are drawn anew every episode."""
    return _training("Push", 0.95, every=16_000, steps=steps, randomisation=(*ARM, *OBJECT))


def grasp(steps: int = 32_000) -> Training:
    """Build the nominal one's that takes an object and lifts it."""
    return _training("Grasp", 0.95, every=16_000, steps=steps, stop=False)


def grasp_randomised(steps: int = 32_000) -> Training:
    """Build the one's whose arm, object and view of it are drawn anew every episode."""
    return _training("Grasp", 0.95, every=16_000, steps=steps, stop=False, randomisation=(*ARM, *OBJECT))


def _training(
    task: str,
    success: float,
    *,
    every: int,
    steps: int,
    stop: bool = True,
    randomisation: tuple[Perturbation, ...] = (),
) -> Training:
    rollout, environments = round(EPISODE_S / PERIOD_S), 10
    return Training(
        name=f"{task.lower()}-{'randomised' if randomisation else 'nominal'}",
        env=f"sim2real:sim2real/{task}-v0",
        env_kwargs={"control": "twist", "episode_s": EPISODE_S},
        perturbations=randomisation,
        algorithm=Imitate(rollout=rollout, updates=600, learning_rate=2e-3),
        action_scale=1.0,
        normalise=True,
        steps=steps,
        seeds=(0, 1, 2),
        environments=environments,
        processes=0,
        checkpoint=rollout * environments,
        competence=Competence(at_least={"success": success}, episodes=50, every=every, stop=stop),
    )

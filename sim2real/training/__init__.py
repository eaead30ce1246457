"""Training: what to learn, as a value, and the run that learns it; torch loads only where it learns.

    training = Training(name="walk", env="sim2real:sim2real/Walk-v0", algorithm=Ppo(mirror=True), seeds=(0, 1, 2))

in a file of its own, and `sim2real train FILE.py`.
"""

from sim2real.training.config import Competence, Imitate, Ppo, Sac, Training

__all__ = ["Competence", "Imitate", "Ppo", "Sac", "Training"]

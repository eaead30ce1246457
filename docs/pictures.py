"""The pictures of docs/tasks.md: every task in the hands of its scripted policy, some seconds in.

python docs/pictures.py
"""

from pathlib import Path

import gymnasium as gym
from PIL import Image

from sim2real import policies

HERE = Path(__file__).parent / "tasks"
AFTER_S = {"Stand": 1, "Walk": 3.3, "Reach": 2, "Push": 4, "Grasp": 4.5, "Place": 6, "Stack": 15, "Insert": 8}
SCRIPTS = {"Stand": policies.balance, "Walk": policies.gait}


def picture(task: str, after_s: float) -> Image.Image:
    """Return what a task looks like after some seconds of its scripted policy."""
    env = gym.make(f"sim2real:sim2real/{task}-v0", render_mode="rgb_array", render_size=(960, 600))
    policy = policies.scripted(SCRIPTS.get(task, policies.expert)).bind(env)
    observation, _ = env.reset(seed=1)
    for _ in range(round(after_s / env.unwrapped.control_period_s)):
        observation, *_ = env.step(policy(observation))
    shown = Image.fromarray(env.render()).resize((640, 400), Image.Resampling.LANCZOS)
    env.close()
    return shown


if __name__ == "__main__":
    HERE.mkdir(exist_ok=True)
    for task, after_s in AFTER_S.items():
        picture(task, after_s).save(HERE / f"{task.lower()}.jpg", quality=80, optimize=True)

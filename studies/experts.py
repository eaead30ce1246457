"""How often does the scripted expert do each of the tasks for a hand? No study of perturbations: a check of the tasks.

python studies/experts.py [episodes] [robot]
python studies/experts.py [episodes] [robot] shapes    # Grasp alone, of objects of every shape
"""

import sys

import gymnasium as gym

from sim2real import policies
from sim2real.simulation.objects import SHAPES

TARGETS = {"Reach": 0.95, "Push": 0.95, "Grasp": 0.9, "Place": 0.9, "Stack": 0.8, "Insert": 0.7}
"""What a task should be done at least, of 100 episodes."""


def successes(task: str, episodes: int, robot: str = "g1", shape: str = "box") -> int:
    """Return how many of some episodes, seeded from 0 on, end in success."""
    env = gym.make(f"sim2real:sim2real/{task}-v0", robot=robot, shape=shape)
    expert = policies.scripted(policies.expert).bind(env)
    done = 0
    for seed in range(episodes):
        observation, _ = env.reset(seed=seed)
        expert.reset(seed)
        over = False
        while not over:
            observation, _, terminated, truncated, info = env.step(expert(observation))
            over = terminated or truncated
        done += info["success"]
    env.close()
    return done


if __name__ == "__main__":
    episodes, robot = int((*sys.argv[1:], "100")[0]), (*sys.argv[2:], "g1")[0]
    if sys.argv[3:] == ["shapes"]:
        for shape in SHAPES:
            print(f"{shape:8} {successes('Grasp', episodes, robot, shape):4} of {episodes}", flush=True)
    else:
        for task, target in TARGETS.items():
            done = successes(task, episodes, robot)
            print(f"{task:8} {done:4} of {episodes}, target {target:.0%}", flush=True)

"""Find the gains of the scripted walker, `sim2real.policies.gait`, by CMA-ES.

    python studies/training/gait.py                    # from gains at which it falls, some 25 minutes on one core
    python studies/training/gait.py --start found.json --generations 40

What is found is printed as JSON after every generation; it goes into policies/gait.py. Needs the package cma.
"""

import argparse
import json
from dataclasses import asdict
from pathlib import Path

import cma
import gymnasium as gym
import numpy as np

from sim2real.policies.gait import Gains, gait
from sim2real.study.seeds import episode_seed

FIRST = Gains(
    height_m=0.6, lift_m=0.08, push_m=0.01, inward_m=0.0, near_m=0.02, ahead_m=0.0, sway_m=0.01, sway_phase=0.0,
    lead=1.0, stride=1.0, turn=0.5, place_forward_s=0.15, place_forward_m=0.1, place_left_s=0.2, place_left_m=0.0,
    hip_pitch=0.3, hip_pitch_s=0.05, hip_roll=0.3, hip_roll_s=0.05, hip_out_rad=0.0,
    ankle_pitch=0.1, ankle_pitch_s=0.02, ankle_pitch_s_m=0.0, ankle_roll=0.1, ankle_roll_s=0.02, ankle_roll_s_m=0.0,
)  # fmt: skip
STEP = Gains(
    height_m=0.01, lift_m=0.015, push_m=0.01, inward_m=0.01, near_m=0.02, ahead_m=0.02, sway_m=0.01, sway_phase=0.1,
    lead=0.2, stride=0.3, turn=0.4, place_forward_s=0.08, place_forward_m=0.08, place_left_s=0.08, place_left_m=0.1,
    hip_pitch=0.3, hip_pitch_s=0.05, hip_roll=0.3, hip_roll_s=0.05, hip_out_rad=0.05,
    ankle_pitch=0.2, ankle_pitch_s=0.03, ankle_pitch_s_m=0.15, ankle_roll=0.2, ankle_roll_s=0.03, ankle_roll_s_m=0.15,
)  # fmt: skip
CORNERS = ((0.8, 0.0, 0.0), (0.0, -0.3, 0.0))
LOW, HIGH = (0.0, -0.3, -0.5), (0.8, 0.3, 0.5)
"""Commands: forward and lateral velocity (m/s) and yaw rate (rad/s)."""


BIAS = 1000.0
"""Points a m/s of mean velocity beside the commanded one costs, and half a rad/s: return alone lets it be slow."""


def play(env: gym.Env, policy: gait, command: tuple[float, ...], seed: int, steps: int) -> tuple[float, int]:
    """Return how good an episode was, in points of its return, and its length."""
    for name, value in zip(("velocity_x", "velocity_y", "yaw_rate"), command, strict=True):
        env.unwrapped.parameters.set(f"command.{name}", value)
    observation, _ = env.reset(seed=seed)
    policy.reset()
    total, step, over = 0.0, 0, False
    while step < steps and not over:
        observation, reward, terminated, truncated, _ = env.step(policy(observation).astype(np.float32))
        total, step, over = total + float(reward), step + 1, terminated or truncated
    found = env.unwrapped.task.metrics()
    turned = abs(found["yaw_rate_rad_s"] - command[2])
    return total - BIAS * (found["velocity_error_m_s"] + 0.5 * turned) * step / steps, step


def main() -> None:
    """Search."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--start", type=Path, help="JSON of gains to begin from")
    parser.add_argument("--generations", type=int, default=150)
    parser.add_argument("--population", type=int, default=20)
    parser.add_argument("--spread", type=float, default=0.7, help="of the first generation, in steps")
    parser.add_argument("--steps", type=int, default=300, help="of an episode")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out", type=Path, default=Path("gait.json"))
    options = parser.parse_args()
    first = asdict(FIRST) | (json.loads(options.start.read_text()) if options.start else {})
    names, step = list(first), asdict(STEP)
    search = cma.CMAEvolutionStrategy(
        [first[name] / step[name] for name in names],
        options.spread,
        {"seed": options.seed, "popsize": options.population, "verbose": -9},
    )
    env = gym.make("sim2real:sim2real/Walk-v0", engine="mujoco")
    env.reset(seed=0)
    rng, played = np.random.default_rng(options.seed), 0
    for generation in range(options.generations):
        commands = (*CORNERS, *map(tuple, rng.uniform(LOW, HIGH, (3, 3))))
        losses, points = [], search.ask()
        for point in points:
            policy = gait(env, **{name: float(x * step[name]) for name, x in zip(names, point, strict=True)})
            results = [play(env, policy, c, episode_seed(0, generation), options.steps) for c in commands]
            losses.append(-float(np.mean([reward for reward, _ in results])))
            played += sum(length for _, length in results)
        search.tell(points, losses)
        found = {name: round(float(x * step[name]), 4) for name, x in zip(names, search.mean, strict=True)}
        options.out.write_text(json.dumps(found))
        print(
            generation,
            played,
            f"best {-min(losses):.0f} mean {-np.mean(losses):.0f}",
            json.dumps(found),
            flush=True,
        )


if __name__ == "__main__":
    main()

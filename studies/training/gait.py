"""Find the gains of the scripted walker, `sim2real.policies.gait`, by CMA-ES.

    python studies/training/gait.py --of slow --start first --out slow.json    # from gains at which it falls
    python studies/training/gait.py --of fast --start slow.json --out fast.json
    python studies/training/gait.py --of both --start slow.json fast.json

Gains of a speed that is neither tuned nor begun with are those of the one that is. What is found is printed as JSON
after every generation; it goes into policies/gait.py. Needs the package cma.
"""

import argparse
import json
from pathlib import Path

import cma
import gymnasium as gym
import numpy as np

from sim2real import Perturbed
from sim2real.policies.gait import FAST, SLOW, Gains, gait
from sim2real.study.load import load_module
from sim2real.study.seeds import episode_seed

FIRST = Gains(
    height_m=0.6, lift_m=0.08, push_m=0.01, inward_m=0.0, near_m=0.02, ahead_m=0.0, sway_m=0.01, sway_phase=0.0,
    lead=1.0, lead_left=1.0, lean_rad=0.0, stride=1.0, turn=0.5, place_forward_s=0.15, place_forward_m=0.1,
    place_left_s=0.2, place_left_m=0.0, hip_pitch=0.3, hip_pitch_s=0.05, hip_roll=0.3, hip_roll_s=0.05,
    hip_out_rad=0.0, ankle_pitch=0.1, ankle_pitch_s=0.02, ankle_pitch_s_m=0.0, ankle_roll=0.1, ankle_roll_s=0.02,
    ankle_roll_s_m=0.0,
)  # fmt: skip
STEP = Gains(
    height_m=0.01, lift_m=0.015, push_m=0.01, inward_m=0.01, near_m=0.02, ahead_m=0.02, sway_m=0.01, sway_phase=0.1,
    lead=0.2, lead_left=0.2, lean_rad=0.04, stride=0.3, turn=0.4, place_forward_s=0.08, place_forward_m=0.08,
    place_left_s=0.08, place_left_m=0.1, hip_pitch=0.3, hip_pitch_s=0.05, hip_roll=0.3, hip_roll_s=0.05,
    hip_out_rad=0.05, ankle_pitch=0.2, ankle_pitch_s=0.03, ankle_pitch_s_m=0.15, ankle_roll=0.2, ankle_roll_s=0.03,
    ankle_roll_s_m=0.15,
)  # fmt: skip
LOW, HIGH = np.array([0.0, -0.3, -0.5]), np.array([0.8, 0.3, 0.5])
"""Commands: forward and lateral velocity (m/s) and yaw rate (rad/s)."""
FORWARD = {"slow": (0.0, 0.25), "fast": (0.65, 0.8), "both": (0.0, 0.8)}
"""Forward velocities that gains are tuned at."""
CORNER = {"slow": (0.0, 0.3, 0.0), "fast": (0.8, 0.3, 0.5), "both": (0.8, 0.3, 0.5)}
"""What is commanded in every generation."""

ERROR = 3000.0
"""Points a m/s of mean tracking error costs, and half a rad/s of mean turning: return alone lets it be slow."""

Gaits = dict[str, Gains]


def play(env: gym.Env, policy: gait, command: tuple[float, ...], seed: int, steps: int) -> tuple[float, int]:
    """Return how good an episode was, in points of its return, and its length."""
    robot = env.unwrapped
    for name, value in zip(("velocity_x", "velocity_y", "yaw_rate"), command, strict=True):
        robot.parameters.set(f"command.{name}", value)
    observation, _ = env.reset(seed=seed)
    policy.reset()
    total, step, over = 0.0, 0, False
    while step < steps and not over:
        observation, reward, terminated, truncated, _ = env.step(policy(observation).astype(np.float32))
        total, step, over = total + float(reward), step + 1, terminated or truncated
    found = robot.task.metrics()
    turned = abs(found["yaw_rate_rad_s"] - command[2])
    return total - ERROR * (found["tracking_error_m_s"] + 0.5 * turned) * step / steps, step


def begin(names: list[str]) -> Gaits:
    """Return the gains that are begun with: "shipped", "first", or those in files of this script."""
    if names == ["shipped"]:
        return {"slow": SLOW, "fast": FAST}
    if names == ["first"]:
        return {}
    files = [json.loads(Path(name).read_text()) for name in names]
    return {part: Gains(**gains) for found in files for part, gains in found.items()}


def main() -> None:
    """Search."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--of", choices=FORWARD, default="both", help="gains that are tuned")
    parser.add_argument("--start", nargs="+", default=["shipped"], help="gains to begin from")
    parser.add_argument("--generations", type=int, default=150)
    parser.add_argument("--population", type=int, default=20)
    parser.add_argument("--spread", type=float, default=0.7, help="of the first generation, in steps")
    parser.add_argument("--steps", type=int, default=400, help="of an episode")
    parser.add_argument("--episodes", type=int, default=5)
    parser.add_argument("--drawn", type=int, default=0, help="of them in worlds drawn as in training")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out", type=Path, default=Path("gait.json"))
    options = parser.parse_args()
    gaits = begin(options.start)
    parts = ("slow", "fast") if options.of == "both" else (options.of,)
    unit = np.tile(STEP, len(parts))
    search = cma.CMAEvolutionStrategy(
        np.concatenate([gaits.get(part, next(iter(gaits.values()), FIRST)) for part in parts]) / unit,
        options.spread,
        {"seed": options.seed, "popsize": options.population, "verbose": -9},
    )

    def built(point: np.ndarray) -> Gaits:
        rows = (np.asarray(point) * unit).reshape(len(parts), -1)
        return {part: Gains(*map(float, row)) for part, row in zip(parts, rows, strict=True)}

    env = gym.make("sim2real:sim2real/Walk-v0", engine="mujoco")
    env.reset(seed=0)
    drawn = Perturbed(env, load_module(Path(__file__).parent / "walk.py").RANDOMISATION)
    worlds = [env] * (options.episodes - options.drawn) + [drawn] * options.drawn
    rng, played = np.random.default_rng(options.seed), 0
    low, high = LOW.copy(), HIGH.copy()
    low[0], high[0] = FORWARD[options.of]
    for generation in range(options.generations):
        commands = [CORNER[options.of], *map(tuple, rng.uniform(low, high, (options.episodes - 1, 3)))]
        losses, points, seed = [], search.ask(), episode_seed(0, generation)
        for point in points:
            found = built(point)
            only = dict.fromkeys(("slow", "fast"), next(iter(found.values())))
            kinds = {name: gains._asdict() for name, gains in (only | gaits | found).items()}
            results = [
                play(world, gait(env, **kinds), command, seed, options.steps)
                for world, command in zip(worlds, commands, strict=True)
            ]
            losses.append(-float(np.mean([reward for reward, _ in results])))
            played += sum(length for _, length in results)
        search.tell(points, losses)
        found = {
            part: {name: round(value, 4) for name, value in gains._asdict().items()}
            for part, gains in built(search.mean).items()
        }
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

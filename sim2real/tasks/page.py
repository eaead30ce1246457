"""The reference page of all tasks, written from the environments themselves.

``python -m sim2real.tasks.page > docs/tasks.md`` writes it anew.
"""

import inspect
import re
from typing import Any

import gymnasium as gym

from sim2real.perturb.page import markdown
from sim2real.tasks import TASKS
from sim2real.tasks.task import Task

TERMS = {
    "gyro": ("rad/s", "angular velocity of the base, in its own axes"),
    "projected_gravity": ("", "unit vector downwards, in the axes of the base"),
    "joint_position": ("rad", "of the driven joints, in the order of `joint_names`"),
    "joint_velocity": ("rad/s", "likewise"),
    "previous_action": ("", "as it was given"),
    "command": ("m/s, m/s, rad/s", "wanted velocity forward and to the left, and wanted turn to the left"),
    "gait_phase": ("", "sine and cosine of the gait clock"),
    "position": ("m", "of a thing, as its pose is estimated"),
    "orientation": ("", "its x and y axes, as its pose is estimated"),
    "finger_force": ("N", "normal force on each finger"),
    "goal": ("m", "where it is to go"),
}
"""Unit and meaning of every observation term; those of things by the end of their name."""

UNITS = {"M": "m", "S": "s", "RAD": "rad", "M_S": "m/s", "RAD_S": "rad/s", "N": "N"}
"""By the end of a constant's name."""

INTRODUCTION = """\
Every task is a plain Gymnasium environment: an action is a vector within ±1, held for a control period of 20 ms, an
observation a float32 vector whose parts are named in `env.unwrapped.observation_terms`; `info["reward_terms"]` has the
weighted terms of a reward, and their sum is the reward. On the last step `info["success"]`, `info["termination"]` and
`info["metrics"]` tell how it went. Weights are replaced by `rewards={"energy": -1e-3}`. What can be perturbed:
[parameters](parameters.md).

On legs an episode ends with a fall. At the table it ends when something falls off, and success is a goal that holds
without a break for the last second; positions are in the axes of the robot's base. What these hands can do:
[hands](hands.md)."""


def ids() -> dict[str, str]:
    """Return the id of every task's environment, by the task's name."""
    return {
        spec.kwargs["task"]: name
        for name, spec in gym.registry.items()
        if spec.namespace == "sim2real" and "task" in spec.kwargs
    }


def page() -> str:
    """Return the page as Markdown."""
    parts = ["# Tasks", INTRODUCTION, "## What an action means", _actions()]
    for task, name in ids().items():
        parts += _task(TASKS[task], name)
    return "\n\n".join(parts) + "\n"


def _actions() -> str:
    """Return the table of what an action is, by environment and by how it is made."""
    meaning = {
        "legs": "joint targets about the default pose, ±1 is where their motors ask for full effort",
        "position": "joint targets about the pose at the start, ±1 reaches either stop",
        "twist": "velocity of the point where the hand holds things, ±1 is 0.5 m/s and 2 rad/s",
        "torque": "torque over the effort limit",
        "synergy": "one number from open (−1) to closed (1)",
        "joints": "one number for each finger joint",
    }  # fmt: skip
    rows = []
    for name in ("Walk-v0", "Grasp-v0"):
        with_hand = name == "Grasp-v0"
        for control in ("position", "twist", "torque") if with_hand else ("position", "torque"):
            for hand in ("synergy", "joints") if with_hand else ("",):
                options: dict[str, Any] = {"control": control, **({"hand": hand} if hand else {})}
                env = gym.make(f"sim2real/{name}", **options).unwrapped
                written = ", ".join(f'{key}="{value}"' for key, value in options.items())
                kinds = [control, hand] if with_hand else ["legs" if control == "position" else control]
                told = "; fingers: ".join(meaning[kind] for kind in kinds)
                names: tuple[str, ...] = env.action_names  # type: ignore[attr-defined]
                rows.append(
                    ("with a hand" if with_hand else "on legs", f"`{written}`", str(len(names)), told)
                )
                env.close()
    return markdown(("robot", "made with", "numbers", "each means"), rows)


def _task(kind: type[Task], name: str) -> list[str]:
    """Return the part about one task."""
    made = gym.make(name)
    env: Any = made.unwrapped
    title, constants = kind.__name__, vars(inspect.getmodule(kind))
    doc = (inspect.getdoc(kind) or "").split("Args:")[0]
    about = [_told(" ".join(part.split()), constants) for part in doc.strip().split("\n\n")]
    seen = [
        (f"`{term}`", f"{part.start} to {part.stop - 1}", *_meaning(term))
        for term, part in env.observation_terms.items()
    ]
    notes = dict(re.findall(r'"(\w+)": [-\d.e]+,  # (.*)', inspect.getsource(kind)))
    rewards = [
        (f"`{term}`", f"{weight:g}".replace("-", "−"), _told(notes[term], constants))
        for term, weight in kind.REWARDS.items()
    ]
    env.reset(seed=0)
    figures = ", ".join(f"`{metric}`" for metric in env.task.metrics())
    parts = [
        f"## {title}",
        f"![{title}: the scripted policy at work](tasks/{title.lower()}.jpg)",
        *about,
        f'`gym.make("sim2real:{name}")`: episodes of {env.spec.kwargs["episode_s"]:g} s, physics every '
        f"{1e3 * env.sim.physics_period_s:g} ms.",
        markdown(("observed", "at", "unit", "what it is"), seen),
        markdown(("rewarded", "weight", "for"), rewards),
        f"Metrics: {figures}.",
    ]
    made.close()
    return parts


def _meaning(term: str) -> tuple[str, str]:
    return TERMS[term] if term in TERMS else TERMS[term.rpartition("_")[2]]


def _told(sentence: str, constants: dict[str, Any]) -> str:
    """Return a sentence with the numbers that its constants stand for."""

    def number(found: re.Match[str]) -> str:
        return f"{constants[found[1]]:g} {UNITS[found[2]]}"

    return re.sub(r"`*\b([A-Z]+(?:_[A-Z]+)*?_(M_S|RAD_S|RAD|M|S|N))\b`*", number, sentence).replace("``", "`")


if __name__ == "__main__":
    print(page(), end="")

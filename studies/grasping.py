"""Which training carries a hand through which worlds that it never met?

sim2real run studies/grasping.py                 # the scripted policies, and those that learnt, nominal or randomised
sim2real run studies/grasping.py task=Push       # or task=Reach
sim2real run studies/grasping.py:expert          # where the scripted expert alone gives up, in finer steps

The policies are those of `studies/training/hands.py`.
"""

from pathlib import Path

from sim2real import Study, policies, set_to
from sim2real.perturb import Item, Make
from sim2real.perturb.catalogue import latency, motor_strength

TRAINED = Path(__file__).parent / "policies" / "hands"
ENOUGH_S = {"Reach": 4.0, "Push": 6.0, "Grasp": 5.0}  # for the scripted expert, the slowest of them


def study(episodes: int = 10, seed: int = 0, task: str = "Grasp") -> Study:
    """Build the study; its parameters can be given on the command line."""
    conditions: dict[str, list[Item]] = {
        "latency 160 ms": [latency(0.16)],
        "motors at 50%": [motor_strength(0.5)],
        "MuJoCo": [Make(name="engine", value="mujoco")],
    }
    if task != "Reach":
        conditions |= {
            "mass 2 kg": [set_to("parameter:object.mass", 2.0)],
            "friction 0.1": [set_to("parameter:object.friction", 0.1)],
            "size × 0.75": [set_to("parameter:object.size", 0.75)],
            "size × 1.4": [set_to("parameter:object.size", 1.4)],
            "pose noise 20 mm": [set_to("parameter:pose_estimate.noise", 0.02)],
            "pose 25 mm off": [set_to("parameter:pose_estimate.offset_x", 0.025)],
        }
    learnt = {
        label: policies.glob(f"{TRAINED}/{task.lower()}-{label}-seed*.safetensors")
        for label in ("nominal", "randomised")
    }
    scripts = {
        "expert": [policies.scripted(policies.expert)],
        "servo, the teacher": [policies.scripted(policies.servo)],
    }
    return Study(
        name="grasping" if task == "Grasp" else f"{task.lower()}ing",
        question="Which training carries a hand through which worlds that it never met?",
        env=f"sim2real:sim2real/{task}-v0",
        env_kwargs={"control": "twist", "episode_s": ENOUGH_S[task]},
        # The nominal ones come first: with them all others are compared.
        policies={f"learnt, {label}": files for label, files in learnt.items()} | scripts,
        conditions=conditions,
        episodes=episodes,
        seed=seed,
        metric="success",
        competent=0.9,
    )


def expert(episodes: int = 15, seed: int = 0) -> Study:
    """Build the study of the scripted expert alone."""
    conditions = {
        **{f"mass {kg} kg": [set_to("parameter:object.mass", kg)] for kg in (1.0, 2.0, 3.0, 4.0)},
        **{f"friction {mu}": [set_to("parameter:object.friction", mu)] for mu in (0.4, 0.2, 0.1, 0.05)},
        **{f"size × {f}": [set_to("parameter:object.size", f)] for f in (0.5, 0.75, 1.25, 1.5, 1.75)},
        **{
            f"pose noise {mm} mm": [set_to("parameter:pose_estimate.noise", mm / 1e3)]
            for mm in (10, 20, 40, 80)
        },
        **{
            f"pose {mm} mm off": [set_to("parameter:pose_estimate.offset_x", mm / 1e3)]
            for mm in (10, 20, 30, 40)
        },
        **{f"latency {ms} ms": [latency(ms / 1e3)] for ms in (80, 160, 320, 640)},
        **{f"motors at {s:.0%}": [motor_strength(s)] for s in (0.8, 0.6, 0.4, 0.3, 0.2)},
    }
    return Study(
        name="grasping-expert",
        question="Where does a scripted grasp fail?",
        env="sim2real:sim2real/Grasp-v0",
        policies={"expert": policies.scripted(policies.expert)},
        conditions=conditions,
        episodes=episodes,
        seed=seed,
        metric="success",
        competent=0.9,
    )

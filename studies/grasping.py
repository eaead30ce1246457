"""Where does a scripted grasp fail: mass, friction, size, what is seen of the object, latency, weak motors?

sim2real run studies/grasping.py
"""

from sim2real import Study, policies, set_to
from sim2real.perturb.catalogue import latency, motor_strength


def study(episodes: int = 15, seed: int = 0) -> Study:
    """Build the study; both numbers can be given on the command line."""
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
        name="grasping",
        question="Where does a scripted grasp fail?",
        env="sim2real:sim2real/Grasp-v0",
        policies={"expert": policies.scripted(policies.expert)},
        conditions=conditions,
        episodes=episodes,
        seed=seed,
        metric="success",
        competent=0.9,
    )

"""A made-up walker: what a report is tested on, in rows as a real study records them."""

import json
import sys
from hashlib import blake2b
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from sim2real.perturb import Interval, Normal, Uniform, add, scale, set_to
from sim2real.policies import PolicyFile
from sim2real.policies.contract import Contract
from sim2real.study import Reference, Store, Study

sys.path.append(str(Path(__file__).parent))  # makes `report_toys` importable

PARAMETERS = {
    "ground.friction": (1.0, ""),
    "ground.restitution": (0.0, ""),
    "payload.mass": (0.0, "kg"),
    "actuator.latency_s": (0.0, "s"),
    "base.velocity_y": (0.0, "m/s"),
    "left_knee.strength": (1.0, ""),
    "right_knee.strength": (1.0, ""),
}


def friction(mu):
    return (set_to("parameter:ground.friction", mu),)


def payload(mass_kg):
    return (set_to("parameter:payload.mass", mass_kg),)


def latency(latency_s):
    return (set_to("parameter:actuator.latency_s", latency_s),)


def push(speed):
    return (add("parameter:base.velocity_y", Uniform(-speed, speed), every=Interval(5, 10)),)


def strength(part):
    return (scale("parameter:*.strength", part),)


def noise(std):
    return (add("observation:gyro", Normal(0, std)),)


# What every policy stands, by family, and how sharply it breaks: success = Π 1 / (1 + exp((x - at) / width)).
STANDS = {
    "plain": {
        "friction": 0.52,
        "payload": 4.5,
        "latency": 0.016,
        "push": 0.7,
        "strength": 0.72,
        "noise": 0.45,
    },
    "randomised": {
        "friction": 0.33,
        "payload": 9.0,
        "latency": 0.034,
        "push": 1.1,
        "strength": 0.55,
        "noise": 0.9,
    },
}
WIDTH = {"friction": 0.03, "payload": 0.8, "latency": 0.003, "push": 0.15, "strength": 0.03, "noise": 0.12}
GRIDS = {
    "friction": (friction, (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.8, 1.0, 1.2)),
    "payload": (payload, (2.0, 4.0, 6.0, 8.0, 10.0)),
    "latency": (latency, (0.005, 0.01, 0.02, 0.03, 0.04)),
    "push": (push, (0.25, 0.5, 0.75, 1.0, 1.5)),
    "strength": (strength, (0.5, 0.6, 0.7, 0.8, 0.9, 1.1)),
    "noise": (noise, (0.1, 0.2, 0.4, 0.8)),
}


def policy(name, seen, **training):
    contract = Contract(seen=seen, training=training)
    digest = blake2b(name.encode()).hexdigest()[:64]
    return PolicyFile(
        source=f"{name}.safetensors", kind="native", label=name, sha256=digest, contract=contract
    )


def walker(episodes=20, runs=1, competent=0.9, extra=(), **changes):
    """Return a study of two policies, one trained on what the other has never met."""
    seen = (friction(Uniform(0.5, 1.25)) + payload(Uniform(0.0, 3.0)),)
    conditions = {f"{name} {x:g}": make(x) for name, (make, grid) in GRIDS.items() for x in grid} | {
        "friction 0.6 with 4 kg": friction(0.6) + payload(4.0),
        "restitution 0.5": (set_to("parameter:ground.restitution", 0.5),),
    }
    policies = {
        "plain": [policy(f"plain-{i}", (), steps=2_000_000) for i in range(runs)],
        "randomised": [policy(f"randomised-{i}", seen, steps=6_000_000) for i in range(runs)],
    } | {name: [policy(name, None)] for name in extra}
    published = Reference(
        label="sim-to-sim", metric="success", target="parameter:ground.friction",
        points=((0.2, 0.15), (0.4, 0.7), (0.7, 1.0)), source="Example et al., 2025, table 3",
    )  # fmt: skip
    stated = {
        "name": "walk-friction",
        "env": "sim2real:sim2real/Walk-v0",
        "policies": policies,
        "conditions": conditions,
        "episodes": episodes,
        "competent": competent,
        "question": "Does randomising friction and payload buy robustness to what was not randomised?",
        "references": (published,),
    }
    return Study(**(stated | changes))


def severity(label):
    """Return {family: x} of a condition's label."""
    name, _, rest = label.partition(" ")
    if label == "friction 0.6 with 4 kg":
        return {"friction": 0.6, "payload": 4.0}
    return {name: float(rest)} if name in GRIDS else {}


def chance(stands, label):
    """Return the probability that an episode succeeds."""
    p = 0.985
    for name, x in severity(label).items():
        sign = -1 if name in ("friction", "strength") else 1
        p /= 1 + np.exp(sign * (x - stands[name]) / WIDTH[name])
    return p


def rows(study, failures=0):
    """Return a row per trial: hard episodes are hard for all, runs differ a little."""
    result = []
    for cell in study.cells():
        name = cell.policy_label
        key = int(cell.trial.key[:12], 16)
        episode = np.random.default_rng([cell.episode, 7])
        noise = np.random.default_rng(key)
        run = np.random.default_rng([cell.run, len(name)]).normal(0, 0.3)
        stands = STANDS.get(name, {family: 0.0 for family in WIDTH})
        p = chance(stands, cell.condition_label) if name in STANDS else 0.3
        logit = np.log(p / (1 - p)) + run + 0.8 * episode.normal()
        success = bool(noise.uniform() < 1 / (1 + np.exp(-logit)))
        length = 500 if success else int(40 + 420 * noise.uniform() ** 1.5)
        acts = cell.condition_label not in ("nominal", "restitution 0.5", "friction 1")
        content = cell.condition_label if acts else "nominal"
        if not acts:
            nominal = np.random.default_rng([cell.episode, cell.run, len(name)])
            success, length = bool(nominal.uniform() < (0.97 if name in STANDS else 0.3)), 500
            length = length if success else 300
        distance = 0.0098 * length + 0.05 * np.random.default_rng([cell.episode, 3]).normal()
        result.append(
            {
                "key": cell.trial.key,
                "status": "ok",
                "error": "",
                "env": study.env,
                "policy_sha256": cell.trial.policy.sha256,
                "condition": "[]",
                "seed": cell.trial.seed,
                "return": 3.0 * distance,
                "length": length,
                "duration_s": 0.02 * length,
                "success": int(success),
                "termination": "" if success else ("fell" if noise.uniform() < 0.85 else "left the ground"),
                "cost": 0.0,
                "violations": 0,
                "interventions": 0,
                "metrics": json.dumps({"distance_m": distance, "energy_j": 90.0 * distance}),
                "parameters": "{}",
                "versions": json.dumps({"python": "3.11.7", "sim2real": "0.1.0"}),
                "wall_s": 0.1,
                "digest": blake2b(f"{name} {cell.run} {cell.episode} {content}".encode()).hexdigest()[:32],
            }
        )
    for row in result[3 : 3 + 40 * failures : 40]:
        row.update(
            dict.fromkeys(("return", "length", "duration_s", "success", "termination", "digest", "metrics"))
        )
        row.update(status="error", error="RuntimeError: the solver diverged")
    return result


def record(study, folder, recorded=None):
    """Return a store in ``folder`` as a run would have left it."""
    folder.mkdir(parents=True, exist_ok=True)
    store = Store.create(folder)
    store.add(rows(study) if recorded is None else recorded)
    facts = {
        name: {"nominal": nominal, "unit": unit, "low": -100.0, "high": 100.0, "doc": ""}
        for name, (nominal, unit) in PARAMETERS.items()
    }
    store.write_meta(
        {"parameters": facts, "versions": {"python": "3.11.7", "sim2real": "0.1.0", "numpy": "2.4.6"}}
    )
    return store


@pytest.fixture(scope="session")
def made(tmp_path_factory):
    """The functions above, for tests to make studies with; a record gets a folder of its own."""

    def recorded(study, recorded=None):
        return record(study, tmp_path_factory.mktemp("runs") / study.name, recorded)

    return SimpleNamespace(walker=walker, rows=rows, record=recorded, policy=policy)

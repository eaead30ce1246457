"""What shields are worth, how far a robot stands, and two questions about a cheetah."""

import json
from pathlib import Path

import numpy as np

from findings.told import Numbers, Told, block, reaches
from sim2real.report import words
from sim2real.study.study import NOMINAL

CONSTRAINTS = ("joint_position", "joint_velocity", "torque")
EXPLORERS = {
    "random": "bare",
    "random, joint barrier": "behind `JointBarrier`, `TorqueClamp`",
    "random, barrier programme": "behind `BarrierProgramme`",
    "random, kept upright": "behind `Recovery`, `RateLimit`, `JointBarrier`, `TorqueClamp`",
}
BEYOND = (
    NOMINAL, "payload 15 kg", "gains × 1.6", "motor strength × 1.5", "link masses × 1.2", "actuator latency 20 ms",
    "actuator latency 40 ms", "observations 2 steps late", "joint velocity noise 5", "encoder offset 0.1",
)  # fmt: skip


def safe_exploration(folder: Path) -> Numbers:
    """Read what shields are worth while a robot explores."""
    told = Told(folder)

    def steps(policy: str, condition: str = NOMINAL) -> float:
        return told.all_of("length", condition, policy)

    rows = []
    for policy, name in EXPLORERS.items():
        changed = told.all_of("interventions", NOMINAL, policy) / steps(policy)
        counts = (told.all_of(f"{one}_violations", NOMINAL, policy) for one in CONSTRAINTS)
        fell = f"{told.fell(NOMINAL, policy)} of {told.count(NOMINAL, policy)}"
        rows.append(
            [
                name,
                f"{steps(policy):,.0f}",
                fell,
                *(f"{one:,.0f}" for one in counts),
                words.number(changed, True),
            ]
        )
    ends = [
        [
            label,
            *(f"{100 * told.all_of('violations', label, one) / steps(one, label):.3g}" for one in EXPLORERS),
        ]
        for label in BEYOND
    ]
    bare, upright = "random", "random, kept upright"
    head = "random actions | steps | fell | past a stop | too fast | torque | steps changed"
    return told.size | {
        "shields": block(head, rows),
        "ends": block("perturbation | bare | joint barrier, clamp | programme | kept upright", ends),
        "bare_steps": f"{steps(bare):,.0f}",
        "bare_stops": f"{told.all_of('joint_position_violations', NOMINAL, bare):,.0f}",
        "upright_steps": f"{steps(upright):,.0f}",
        "upright_violations": f"{told.all_of('violations', NOMINAL, upright):,.0f}",
    }


def price_of_safety(folder: Path) -> Numbers:
    """Read what shields cost a controller that works."""
    told = Told(folder)
    prices = {(one.policy, one.perturbed): one for one in told.figures.prices}
    rows = []
    for policy in told.study.policies:
        if (policy, False) in prices:
            nominal, perturbed = prices[policy, False], prices[policy, True]
            rows.append(
                [
                    ", ".join(f"`{name.title().replace('_', '')}`" for name in nominal.shields),
                    words.point(nominal.interventions, True),
                    words.change(nominal.returns),
                    words.change(perturbed.success, True),
                ]
            )
            bare = nominal.bare_return
    head = "behind | steps changed | return, nominal | success, over the perturbed worlds"
    weak = "gains × 0.7"
    return told.size | {
        "price": block(head, [["nothing", "–", words.point(bare), ""], *rows]),
        "weak_bare": told.value("success", weak, "balance"),
        "weak_recovery": told.value("success", weak, "balance, recovery"),
        "worlds": f"{len(told.table.perturbed)}",
    }


def quickstart(folder: Path) -> Numbers:
    """Read how far a balance controller keeps a humanoid standing."""
    told, policy = Told(folder), "balance"
    first, worst = told.figures.first_to_break(policy), told.figures.worst(policy)
    assert first is not None  # else this page would have to be another
    assert worst is not None
    curve, _, _, broken = first
    mine = next(one for one in told.figures.challenges if one.policy == policy)

    def carried(who: str) -> str:
        held = [(side, side.held) for side in reaches(told, who)]
        return next(text for side, text in held if side.name == "payload")

    return (
        told.size
        | told.difference(policy, "stiff balance")
        | {
            "nominal": words.whole(told.estimate("success"), True),
            "low": words.number(told.estimate("success").low, True),
            "first": curve.family.title,
            "first_at": words.severity(curve.family, broken),
            "worst": worst.condition,
            "held_out": f"{mine.conditions}",
            "kept": told.kept(policy),
            "carried": carried(policy),
            "carried_stiff": carried("stiff balance"),
            "late": told.value("success", "latency 160 ms"),
        }
    )


CHEETAHS = {
    "in time, briefly": "trained in time, 51,200 steps",
    "in time": "trained in time, 512,000 steps: two runs",
    "0 to 2 steps late": "trained 0 to 2 steps late, 512,000 steps",
}
DELAYS = {
    NOMINAL: "nothing",
    "1 late": "1 step (50 ms)",
    "2 late": "2 steps",
    "3 late": "3 steps",
    "4 late": "4 steps",
    "0 to 2 late, every step anew": "0 to 2 steps, anew in every step",
}


def halfcheetah_delay(folder: Path) -> Numbers:
    """Read what a step of delay leaves of a cheetah's return."""
    told = Told(folder)
    returns = {
        (one, label): told.runs("return", label, one) for one in CHEETAHS for label in told.study.conditions
    }

    def cell(policy: str, label: str) -> str:
        nominal = returns[policy, NOMINAL]
        here = zip(returns[policy, label], nominal, strict=True)
        kept = (
            f"{words.number(value)} ({words.number(max(value / whole, 0.0), True)})" for value, whole in here
        )
        return " · ".join(kept if label != NOMINAL else map(words.number, nominal))

    def shares(policy: str, label: str) -> list[float]:
        return [
            max(a / b, 0.0) for a, b in zip(returns[policy, label], returns[policy, NOMINAL], strict=True)
        ]

    def summary(policy: str, what: str) -> list[str]:
        nominal, late = (told.estimate("return", label, policy).value for label in (NOMINAL, "1 late"))
        return [what, words.number(nominal), words.number(late), words.number(max(late / nominal, 0.0), True)]

    brief, long, late = CHEETAHS
    kept = [*shares(brief, "1 late"), *shares(long, "1 late")]
    reached = [returns[late, NOMINAL][0] / one for one in returns[long, NOMINAL]]
    (anew,) = shares(late, "0 to 2 late, every step anew")
    same = all(
        np.array_equal(*(told.table.values(one, label, "return") for label in ("1 late", "1 late, action")))
        for one in CHEETAHS
    )
    return told.size | {
        "returns": block(
            ["observations late by", *CHEETAHS.values()],
            [[what, *(cell(one, label) for one in CHEETAHS)] for label, what in DELAYS.items()],
        ),
        "published": block(
            " | without delay | 1 step late | kept",
            [
                ["deltatau-audit, PPO", "about 990", "", "3.8 %"],
                ["deltatau-audit, trained with randomised timing", "", "", "148 %"],
                summary(brief, "here, trained in time, briefly"),
                summary(long, "here, trained in time, mean of two runs"),
                summary(late, "here, trained 0 to 2 steps late"),
            ],
        ),
        "lost": f"{100 * (1 - max(kept)):.0f} to {100 * (1 - min(kept)):.0f} %",
        "left": f"{100 * min(kept):.0f} % to {100 * max(kept):.0f} %",
        "left_brief": words.number(kept[0], True),
        "left_long": " and ".join(words.number(one, True) for one in kept[1:]),
        "late_kept": words.number(shares(late, "1 late")[0], True),
        "reached": " and ".join(words.number(one, True) for one in sorted(reached)),
        "anew_lost": words.number(1 - anew, True),
        "same": "the same return" if same else "another return",
    }


AXES = {
    "delay observation": ("observations late", "0 to 2 steps", "by {} steps"),
    "observation": ("noise on all sensors", "up to 0.03", "{} × 0.03"),
    "ground.friction": ("friction of the ground", "0.2 to 1", "{}"),
    "*.mass": ("mass of all links", "× 0.7 to 1.4", "× {}"),
    "*.strength": ("motor strength", "× 0.7 to 1.2", "× {}"),
    "*.viscous_friction": ("damping of the joints", "× 0.5 to 2", "× {}"),
}
"""What the perturbations of `studies/failures.py` are called, how far they reach, and how an amount is written."""


def failures(folder: Path) -> Numbers:
    """Read where a search makes a cheetah fail, and what matters to it."""
    search = json.loads((folder / "search.json").read_text(encoding="utf-8"))
    found = json.loads((folder / "sensitivity.json").read_text(encoding="utf-8"))
    (indices,) = (metrics["return"] for metrics in found["policies"].values())

    def amounts(which: str) -> str:
        told = search[which]["amounts"]
        said = ((*_axis(name), words.number(value)) for name, value in told.items())
        return ", ".join(f"{what} {amount.format(value)}" for what, _, amount, value in said)

    def row(what: str, which: str, amount: str) -> list[str]:
        score = search["nominal"] if which == "nominal" else search[which]["score"]
        return [what, amount, words.number(score), _interval(search["fresh"][which])]

    ordered = sorted(indices["total"], key=lambda name: -indices["total"][name]["value"])
    rows = [
        [_ranged(name), *(_interval(indices[kind][name]) for kind in ("first", "total"))] for name in ordered
    ]
    pair = max(indices["pairs"], key=lambda one: one["value"]) if indices["pairs"] else None
    modes = [
        [mode["name"], f"{mode['episodes']}", words.number(mode["share"], True)] for mode in search["modes"]
    ]
    smallest = search["smallest"]
    found_rows = [
        row("nominal", "nominal", ""),
        row(
            f"worst of {search['tried']} points, {search['failing']} of which fail", "worst", amounts("worst")
        ),
    ]
    if smallest:
        found_rows.append(row("smallest that fails", "smallest", amounts("smallest")))
    head = ["found", "perturbation", f"return over {search['episodes']} episodes", "over fresh ones"]
    return {
        "points": f"{search['tried']}",
        "failing": f"{search['failing']}",
        "each": f"{search['episodes']}",
        "limit": words.number(search["fails_below"]),
        "nominal": words.number(search["nominal"]),
        "found": block(head, found_rows),
        "smallest": amounts("smallest") if smallest else "none",
        "smallest_count": f"{len(smallest['amounts']) if smallest else 0}",
        "worst_count": f"{len(search['worst']['amounts'])}",
        "worst_score": words.number(search["worst"]["score"]),
        "worst_fresh": words.number(search["fresh"]["worst"]["value"]),
        "failed": ", ".join(words.number(one["value"]) for one in search["episodes_failed"]),
        "modes": block("way of failing | episodes | share", modes),
        "rows": f"{indices['rows']}",
        "shares": block("perturbation | alone | with others", rows),
        "pair": " and ".join(_axis(name)[0] for name in pair["between"]) if pair else "none",
        "pair_share": _interval(pair) if pair else "–",
    }


def _axis(name: str) -> tuple[str, str, str]:
    """Return name, reach and amount of a perturbation of the region."""
    return next(told for part, told in AXES.items() if part in name)


def _ranged(name: str) -> str:
    what, reach, _ = _axis(name)
    return f"{what}, {reach}"


def _interval(one: dict[str, float]) -> str:
    low, value, high = (np.nan if one[part] is None else one[part] for part in ("low", "value", "high"))
    return f"{words.number(value)} [{words.number(low)}, {words.number(high)}]"

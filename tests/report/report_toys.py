"""Files that searches leave beside records, in the layout of the documentation."""

FRESH = {"value": 0.5, "low": 0.3, "high": 0.7}
EXAMPLE = {"policy": "plain", "run": 0, "condition": "friction 0.1", "seed": 3}


def mode(name, episodes, share, **changes):
    """A failure mode as `docs/finding-failures.md` lays it out."""
    told = {
        "name": name,
        "episodes": episodes,
        "share": share,
        "sentence": "",
        "example": EXAMPLE | {"key": "ab" * 16},
        "features": [{"name": "duration_s", "here": 1.2, "elsewhere": 4.4, "separation": -0.93}],
        "conditions": [{"condition": "friction 0.1", "here": 0.8, "elsewhere": 0.1}],
    }
    return told | changes


def search(**changes):
    """A search as `docs/finding-failures.md` lays it out."""
    told = {
        "policy": "plain",
        "metric": "success",
        "fails_below": 0.9,
        "region": [
            {"name": "ground.friction", "label": "set ground.friction", "varies": "amount", "unit": ""},
            {"name": "payload.mass", "label": "set payload.mass", "varies": "amount", "unit": "kg"},
        ],
        "nominal": 0.98,
        "tried": 40,
        "failing": 7,
        "worst": {
            "score": 0.1,
            "amounts": {"ground.friction": 0.13, "payload.mass": 9.5},
            "severity": {"ground.friction": 0.97, "payload.mass": 0.95},
        },
        "smallest": {"score": 0.8, "amounts": {"payload.mass": 4.25}, "severity": {"payload.mass": 0.425}},
        "episodes_failed": [{"key": "cd" * 16}, {"key": "ef" * 16}],
        "clip": None,
        "fresh": {"nominal": FRESH, "worst": FRESH | {"value": 0.4}, "smallest": FRESH},
        "modes": [mode("fell", 3, 1.0, conditions=[])],
    }
    return told | changes


def threshold(condition, value, low, high, **changes):
    """A threshold as `docs/statistics.md` lays it out."""
    estimate = {"value": value, "low": low, "high": high, "episodes": 84}
    told = {"policy": "plain", "run": 0, "condition": condition, "reached": True, "estimate": estimate}
    return told | changes


LADDER = {
    "level": 0.9,
    "thresholds": [
        threshold("noise", 0.6, 0.5, None, reached=False),
        threshold("delay", 0.34, 0.29, 0.39),
        threshold("delay", None, 0.8, None, policy="randomised"),
    ],
}
FILES = {
    "search.json": search(),
    "modes.json": {"modes": [mode("fell, duration_s 1.2", 30, 0.6), mode("time ran out", 20, 0.4)]},
    "thresholds.json": LADDER,
}

"""One recorded episode again, to look at it or to prove that it repeats."""

from sim2real.errors import Sim2RealError
from sim2real.study.rollout import Bench, Frames, Row
from sim2real.study.store import Store
from sim2real.study.study import Study
from sim2real.study.trial import Trial


def replay(trial: Trial, trust: bool = False, render: bool = False) -> tuple[Row, Frames]:
    """Run one trial in this process; return its row and, if rendered, images (height, width, 3), 15 a second.

    The row's `digest` is the recorded one if and only if every observation, action and reward is the same.

    Raises:
        Sim2RealError: If environment or policy cannot be made, or the policy file is not the one recorded.
    """
    bench = Bench(trust)
    frames: Frames = []
    try:
        return bench.run(trial, frames if render else None), frames
    finally:
        bench.close()


def find(study: Study, store: Store, key: str) -> tuple[Trial, Row]:
    """Return the trial and the recorded row whose key starts with the given digits.

    Raises:
        Sim2RealError: If none or several do, or the trial is not one of the study as it was last run.
    """
    rows = [row for row in store.rows() if key and row["key"].startswith(key)]
    if len(rows) != 1:
        raise Sim2RealError(f"{len(rows)} episodes of '{study.name}' have a key that starts with '{key}'.")
    for cell in study.cells():
        if cell.trial.key == rows[0]["key"]:
            return cell.trial, rows[0]
    raise Sim2RealError(f"The episode {rows[0]['key']} is no longer part of '{study.name}'.")

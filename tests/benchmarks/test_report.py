"""What a report takes: processor time and bytes for 100,000 rows, in the shapes that studies have."""

import time

import pytest

from sim2real.perturb import set_to
from sim2real.policies import PolicyFile
from sim2real.policies.contract import Contract
from sim2real.report import write
from sim2real.study import Store, Study

ROWS = 100_000


def recorded(folder, runs, conditions):
    """Return a study of two policies over so many conditions, and a store of `ROWS` rows made up for it."""
    episodes = ROWS // (2 * runs * (conditions + 1))
    study = Study(
        name="large",
        env="sim2real:sim2real/Walk-v0",
        policies={
            name: [
                PolicyFile(
                    source=name, kind="native", label=name, sha256=f"{name}{run}", contract=Contract(seen=())
                )
                for run in range(runs)
            ]
            for name in ("plain", "randomised")
        },
        conditions={
            f"condition {i}": (set_to(f"parameter:p{i // 8}", 1.0 + i % 8),) for i in range(conditions)
        },
        episodes=episodes,
        competent=0.5,
    )
    store = Store.create(folder)
    plain = {
        "status": "ok",
        "error": "",
        "env": study.env,
        "condition": "[]",
        "parameters": "{}",
        "versions": "{}",
    }
    counts = {"cost": 0.0, "violations": 0, "interventions": 0}
    store.add(
        plain
        | counts
        | {
            "key": cell.trial.key,
            "policy_sha256": cell.trial.policy.sha256,
            "seed": cell.trial.seed,
            "return": number % 97 / 7,
            "length": 500 - number % 89,
            "duration_s": 10 - number % 89 / 50,
            "success": int(number % 13 > 1),
            "termination": "" if number % 13 > 1 else "fell",
            "metrics": f'{{"distance_m":{number % 83 / 17}}}',
            "digest": f"{number:032x}",
            "wall_s": 0.1,
        }
        for number, cell in enumerate(study.cells())
    )
    facts = {
        f"p{i}": {"nominal": 0.0, "unit": "", "low": 0.0, "high": 9.0, "doc": ""} for i in range(conditions)
    }
    store.write_meta({"parameters": facts, "versions": {"python": "3.11"}})
    return study, store


@pytest.mark.timeout(1200)
@pytest.mark.parametrize(("runs", "conditions"), [(5, 40), (1, 40), (1, 1000)])
def test_report_of_a_hundred_thousand_rows(tmp_path, benchmark, runs, conditions):
    """≤ 10 s of processor time and ≤ 2 MB, without clips."""
    study, store = recorded(tmp_path, runs, conditions)
    started = time.process_time()
    path = write(study, store, tmp_path / "report.html", clips=False)
    spent, size = time.process_time() - started, path.stat().st_size
    benchmark.extra_info.update(seconds=spent, bytes=size, rows=len(store))
    print(f"\n{len(store)} rows, {runs} runs, {conditions} conditions: {spent:.1f} s, {size / 1e6:.2f} MB")
    assert size <= 2_000_000
    benchmark.pedantic(lambda: None)

"""Whether a study can run at all, found out before the first episode."""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from sim2real.errors import Sim2RealError
from sim2real.study.rollout import Bench, make
from sim2real.study.study import NOMINAL, Study


def check(study: Study, trust: bool) -> dict[str, dict[str, Any]]:
    """Bind every policy, start an episode under every condition, and return what is known of the parameters.

    Returns:
        "parameters": name -> {nominal, unit, low, high, doc}, under the first policy's gains; a limit that is
        not finite is None. "groups": their groups of parts.

    Raises:
        Sim2RealError: If something does not fit; the sentence names the policy or the condition.
    """
    cells = list(replace(study, episodes=1).cells())
    first = cells[0]
    make(first.trial).close()
    bench = Bench(trust)
    try:
        for cell in reversed(cells):  # the first policy comes last
            nominal = cell.condition_label == NOMINAL
            if nominal or (cell.policy_label, cell.run) == (first.policy_label, first.run):
                who = f"Policy '{cell.policy_label}'" if nominal else f"Condition '{cell.condition_label}'"
                with _blaming(who), bench.staged(cell.trial) as (env, _):
                    env.reset(seed=cell.trial.seed)
        with bench.staged(first.trial) as (env, _):
            own = getattr(env.unwrapped, "parameters", None)
            parameters = study.parameters(env) if study.parameters else own
            return {"parameters": _facts(parameters), "groups": dict(getattr(parameters, "groups", {}))}
    finally:
        bench.close()


def _facts(parameters: Any) -> dict[str, dict[str, Any]]:
    facts = {}
    for name in parameters.names() if parameters else ():
        spec = parameters.spec(name)
        low, high = (limit if math.isfinite(limit) else None for limit in (spec.low, spec.high))
        facts[name] = {"nominal": spec.nominal, "unit": spec.unit, "low": low, "high": high, "doc": spec.doc}
    return facts


@contextmanager
def _blaming(who: str) -> Iterator[None]:
    try:
        yield
    except Sim2RealError as error:
        raise Sim2RealError(f"{who}: {error}") from error
    except Exception as error:
        error.add_note(f"{who} cannot be used.")
        raise

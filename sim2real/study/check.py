"""Whether a study can run at all, found out before the first episode."""

import inspect
import math
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import gymnasium as gym

from sim2real.errors import Sim2RealError
from sim2real.perturb import makes
from sim2real.study.executors import limited
from sim2real.study.rehearsal import EPISODES, rehearse, steady
from sim2real.study.rollout import Bench, Env, make, one_line
from sim2real.study.seeds import canonical
from sim2real.study.study import NOMINAL, Study
from sim2real.study.trial import Trial
from sim2real.wrappers.checked import checked
from sim2real.wrappers.parameters import own_parameters
from sim2real.wrappers.period import period_of
from sim2real.wrappers.perturbed import layers


def check(
    study: Study, trust: bool, rehearsing: bool = False, timeout_s: float | None = None, runner: str = ""
) -> dict[str, dict[str, Any]]:
    """Bind every policy, start an episode under every condition, and return what is known of the environment.

    Args:
        study: to be run.
        trust: load policy files that can execute code.
        rehearsing: play some episodes as well, which may end this process.
        timeout_s: wall-clock limit of each, as for `run_trials`.
        runner: likewise.

    Returns:
        "parameters": name -> {nominal, unit, low, high, doc}, under the first policy's gains; a limit that is
        not finite is None. "groups": their groups of parts. "defaults": of the keywords that conditions make the
        environment with, where it has any. "period": seconds between two steps, and what each source says of it.
        "rehearsal": as of `rehearse`, empty without one.

    Raises:
        Sim2RealError: If something does not fit; the sentence names the environment, the policy or the condition.
    """
    cells = list(replace(study, episodes=1, only={}).cells())
    first, restless = cells[0], list[str]()
    _try(first.trial)
    met = {canonical(first.trial.made_with)}
    bench = Bench(trust)
    try:
        for cell in reversed(cells):  # the first policy comes last
            nominal = cell.condition_label == NOMINAL
            alone = (cell.policy_label, cell.run) == (first.policy_label, first.run)
            if nominal or alone or cell.trial.made_with != first.trial.made_with:
                who = f"Policy '{cell.policy_label}'" if nominal else f"Condition '{cell.condition_label}'"
                with _blaming(who):
                    if (made := canonical(cell.trial.made_with)) not in met:
                        met.add(made)
                        _try(cell.trial)
                    with bench.staged(cell.trial) as (env, _):
                        env.reset(seed=cell.trial.seed)
                        if any(getattr(layer, "timed", "") for layer in layers(env)):
                            env.action_space.seed(0)
                            env.step(env.action_space.sample())  # so that clocks are heard
            if rehearsing and nominal and not alone:
                with limited(timeout_s, runner):
                    restless += [] if steady(bench, cell.trial) else [cell.policy_label]
        with bench.staged(first.trial) as (env, _):
            period = period_of(env, study.period_s)
            parameters = study.parameters(env) if study.parameters else own_parameters(env)
            facts = {
                "parameters": _facts(parameters),
                "groups": dict(getattr(parameters, "groups", {})),
                "defaults": _defaults(
                    env, {name for items in study.conditions.values() for name in makes(items)}
                ),
                "period": {"period_s": period.period_s, "said": {name: s for name, s, _ in period.said}},
            }
    finally:
        bench.close()
    with limited(timeout_s and EPISODES * timeout_s, runner):
        return facts | {"rehearsal": rehearse(study, trust, restless) if rehearsing else {}}


def _try(trial: Trial) -> None:
    """Make the bare environment of a trial and begin an episode: what goes wrong there is its own fault."""
    env = make(trial, **trial.made_with)
    try:
        checked(env).reset(seed=trial.seed)
    except Exception as error:
        said = f"Environment '{trial.env}' itself cannot be reset: {one_line(error).rstrip('.')}"
        if isinstance(error, Sim2RealError):  # ours, which says what is wrong without a place
            raise Sim2RealError(f"{said}.") from error
        *_, last = traceback.extract_tb(error.__traceback__)
        raise Sim2RealError(f"{said} ({last.filename}:{last.lineno}).") from error
    finally:
        env.close()


def _facts(parameters: Any) -> dict[str, dict[str, Any]]:
    facts = {}
    for name in parameters.names() if parameters else ():
        spec = parameters.spec(name)
        low, high = (limit if math.isfinite(limit) else None for limit in (spec.low, spec.high))
        facts[name] = {"nominal": spec.nominal, "unit": spec.unit, "low": low, "high": high, "doc": spec.doc}
    return facts


def _defaults(env: Env, names: set[str]) -> dict[str, Any]:
    """Return what an environment is made with where nothing is said: plain JSON values, None for none."""
    taken = inspect.signature(type(env.unwrapped).__init__).parameters
    own = {name: parameter.default for name, parameter in taken.items()}
    registered = gym.spec(env.unwrapped.spec.id).kwargs if env.unwrapped.spec else {}
    found = {name: value for name, value in (own | registered).items() if name in names}
    return {
        name: value for name, value in sorted(found.items()) if isinstance(value, str | int | float | None)
    }


@contextmanager
def _blaming(who: str) -> Iterator[None]:
    try:
        yield
    except Sim2RealError as error:
        raise Sim2RealError(f"{who}: {error}") from error
    except Exception as error:
        error.add_note(f"{who} cannot be used.")
        raise

"""Whether an environment can be made, be seen, and keeps the laws without which perturbations mean nothing."""

import math
import time
from collections.abc import Callable, Iterable, Iterator
from functools import partial, reduce
from itertools import groupby, takewhile, zip_longest
from operator import getitem

import numpy as np

from sim2real.errors import Finding, Sim2RealError
from sim2real.study.rollout import Env, Where, make, one_line
from sim2real.testing import check_parameters, check_perturbed
from sim2real.wrappers import discover
from sim2real.wrappers.checked import checked
from sim2real.wrappers.period import first_step, period_of
from sim2real.wrappers.signals import leaves

PARAMETERS_S = 15.0
"""Wall-clock time in which parameters are held to their promises, unless all are."""

TOLERATED = 1e-3
"""Share by which an engine's joint may be lighter or heavier than the description says."""

STEPS = 20
"""Of each episode that shows whether a parameter does."""


def check_environment(place: Where, everything: bool = False) -> Iterator[Finding]:
    """Make an environment, look at it, and hold it to the laws of `sim2real.testing`.

    Args:
        place: which environment.
        everything: hold every parameter to its promises, not as many as go into `PARAMETERS_S`.
    """
    try:
        env = make(place)
    except Sim2RealError as error:
        yield Finding("environment", str(error), False)
        return
    try:
        spaces = (
            f"{type(one).__name__}{one.shape or ''}" for one in (env.observation_space, env.action_space)
        )
        yield Finding("environment", " to ".join(spaces))
        yield from _observation(env)
        yield _period(env)
        yield _picture(place, env)
        yield from _rotors(env)
        yield _law("perturbations", partial(check_perturbed, partial(make, place), parameters=discover))
        yield from _parameters(env, everything)
    finally:
        env.close()


def _observation(env: Env) -> Iterator[Finding]:
    """Tell what is wrong with the first observation, and where its dtype is another than that of its space."""
    try:
        observation, _ = checked(env).reset(seed=0)
    except Exception as error:
        yield Finding("observation", one_line(error), False)
        return
    for path, space in leaves(env.observation_space):
        found = getattr(reduce(getitem, path, observation), "dtype", None)
        if found is not None and space.shape is not None and found != space.dtype:  # None is float64 to numpy
            name = ":".join(("observation", *map(str, path)))
            yield Finding(name, f"is {found}, its space {space.dtype}: it is handed on as it is", None)


def _period(env: Env) -> Finding:
    """Say how long a step is, by what, and what else speaks of it; clocks are heard over one step."""
    stated = period_of(env)
    try:
        env.reset(seed=0)
        env.action_space.seed(0)
        _, period = first_step(env, env.action_space.sample(), stated)
    except Exception as error:
        return Finding("control period", f"cannot be measured: {one_line(error)}", False)
    if not period.said:
        said = "nothing says how long a step is: give period_s to whatever counts in seconds"
        return Finding("control period", said, None)
    first, *others = period.said
    if period.unknown:
        also = "".join(f" Also, {one}." for one in others if str(one) not in period.unknown)
        return Finding("control period", period.unknown + also, False if others else None)
    said = "; ".join([f"{first.period_s:.4g} s, by {first.source}", *map(str, others)])
    if stated.unknown:
        said += f". Nobody knows that before a step: give period_s={first.period_s:.4g} to whatever counts in seconds"
    return Finding("control period", said, None if stated.unknown else True)


def _picture(place: Where, env: Env) -> Finding:
    if "rgb_array" not in env.metadata.get("render_modes", ()):
        return Finding("picture", "there is no render mode 'rgb_array', so reports show no films", None)
    try:
        seen = make(place, render_mode="rgb_array")
        seen.reset(seed=0)
        frame = np.asarray(seen.render())
        seen.close()
    except Exception as error:
        return Finding("picture", f"cannot be rendered: {one_line(error)}", False)
    if frame.ndim != 3 or frame.shape[-1] != 3:
        said = f"has the shape {frame.shape}, where (height, width, 3) is right."
        return Finding("picture", said, False)
    height, width, _ = frame.shape
    if (frame == frame[0, 0]).all():
        return Finding("picture", f"is {width} × {height} points of one colour: nothing is rendered.", False)
    return Finding("picture", f"{width} × {height} points")


def _rotors(env: Env) -> Iterator[Finding]:
    """Tell, of an environment of ours, whether the engine's joints are as heavy as the description says."""
    try:
        from sim2real.envs import RobotEnv
        from sim2real.simulation.readback import rotor_remainders
    except Sim2RealError:
        return  # no engine, so no environment of ours
    bare = env.unwrapped
    if not isinstance(bare, RobotEnv):
        return
    sim = bare.sim
    found = rotor_remainders(sim.robot, sim.joint_names, fixed_base=sim.fixed_base, engine=sim.engine_name)
    worst = max(found, key=lambda joint: found[joint])
    apart = [f"{joint} {100 * share:.2g} %" for joint, share in found.items() if share > TOLERATED]
    said = (
        f"each of {len(found)} joints is as heavy as its links and its rotor, to {found[worst]:.1g} ({worst})"
    )
    wrong = f"other accelerations under 1 N m than M₀ + diag(armature) gives: {', '.join(apart)}."
    yield Finding("rotors", wrong if apart else said, not apart)


def _law(about: str, law: Callable[[], object]) -> Finding:
    """Return whether a law of `sim2real.testing` holds, or how it is broken."""
    try:
        law()
    except AssertionError as error:
        return Finding(about, f"break a law: {error}", False)
    except Exception as error:
        return Finding(about, f"cannot be tried: {one_line(error)}", False)
    return Finding(about, "repeatable, reversible, and nothing at zero strength")


def _parameters(env: Env, everything: bool) -> Iterator[Finding]:
    try:
        table = discover(env)
    except Sim2RealError as error:
        yield Finding("parameters", str(error), False)
        return
    names, source = _in_turn(table.names()), getattr(table, "source", "")
    if not names:
        yield Finding(
            "parameters", f"{source or 'there are none'} Signals can be perturbed all the same.", None
        )
        return
    end_s = math.inf if everything else time.monotonic() + PARAMETERS_S
    tried, silent = 0, []
    for name in takewhile(lambda name: time.monotonic() < end_s, names):
        tried += 1
        try:
            probes = check_parameters(env, parameters=table, names=[name], steps=STEPS, must_show=False)
        except Exception as error:
            said = str(error) if isinstance(error, AssertionError) else one_line(error)
            yield Finding(f"parameter '{name}'", said, False)
        else:
            if set(probes[name].first_steps) <= {None}:
                silent.append(name)
    rest = "" if tried == len(names) else f" of {len(names)}; --all tries the others"
    yield Finding("parameters", f"{tried}{rest}{f' ({source})' if source else ''}")
    for reason, cannot in groupby(getattr(table, "impossible", {}).items(), lambda row: row[1]):
        yield Finding("parameters", f"not {', '.join(name for name, _ in cannot)}: {reason}", None)
    if silent:
        said = f"{', '.join(silent)}: nothing to see of them in {STEPS} steps of random actions alone"
        yield Finding("parameters", said, None)


def _in_turn(names: Iterable[str]) -> list[str]:
    """Return names of all kinds early: the first of each group ("ground", "left_knee"), then the second of each."""
    groups = [list(group) for _, group in groupby(sorted(names), lambda name: name.partition(".")[0])]
    return [name for row in zip_longest(*groups) for name in row if name is not None]

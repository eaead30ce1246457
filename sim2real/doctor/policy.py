"""Whether a policy and its contract belong together, fit an environment, and lead to what they did in training.

Names and sizes either fit or do not: that is `sim2real.policies.binding.compare`, which every binding uses. Numbers
that a binding must take at their word are judged here by what else is known of them: the contract that the file
carries, the robot's own gains and pose, what the network saw in training, and two seconds of what it does.
"""

import json
import re
import warnings
from collections.abc import Generator, Iterator, Mapping
from dataclasses import fields, replace
from typing import Any

import gymnasium as gym
import numpy as np
from numpy.typing import NDArray

from sim2real._version import physics_of
from sim2real.errors import Finding, Sim2RealError
from sim2real.policies import BoundPolicy, Contract, ContractBinding, Mlp, Policy, PolicyFile, Term
from sim2real.policies.binding import compare
from sim2real.policies.spaces import compare_spaces
from sim2real.study.rollout import Env, Row, Where, dress, episode, make, one_line
from sim2real.wrappers.period import period_of

Array = NDArray[np.float64]

RUN_S = 2.0
"""Long enough to fall: an unsupported robot 0.7 m high is on the ground after 0.4 s."""

UNLIKE = 5.0
"""Factor by which gains may differ from the robot's. Published ones of the Unitree G1 differ from each other by up
to 3.2 (kd of a hip's roll: 2.0 in unitree_rl_gym, 6.3 in mjlab); a wrong unit (N m/deg) is a factor of 57."""

APART_RAD = 0.5
"""Distance by which the pose about which a policy acts may differ from the robot's: a deeper crouch is nearer, degrees
for radians are further off."""

SHARE = (0.02, 1.05)
"""Of the range of an environment's action, what one unit of a network's output may move it by. Where ±1 is what full
effort reaches, unitree_rl_gym's G1 has 0.2 to 0.28 and mjlab's 0.25; a policy that acts in the range itself has 1."""

MOVED = 0.1
"""Distance in rad, or share of a gain, by which numbers must fit better in another order to be called misplaced."""

SATURATED = 0.5
"""Share of the steps in which an action at its limit is worth knowing of."""

BEYOND_STD = 5.0
"""Distance from the mean of training, in its standard deviations and root mean square, that no input keeps to."""

BEYOND = 100.0
"""What an input without normaliser never exceeded in training: `clip_observations` of legged_gym and its heirs."""

CUSTOMARY: Mapping[str, tuple[Any, ...]] = {
    "gyro": (0.25, 0.2, 1.0),
    "joint_position": (1.0,),
    "joint_velocity": (0.05, 0.1, 1.0),
    "projected_gravity": (1.0,),
    "command": ((2.0, 2.0, 0.25), 1.0),
}
"""Scales that are tried in place of a contract's: those of legged_gym and unitree_rl_gym, and of Isaac Lab."""


def check_contract(place: Where, contract: Contract) -> Iterator[Finding]:
    """Hold a contract against an environment, term by term."""
    try:
        env = make(place)
    except Sim2RealError:
        return  # told where the environment is looked at
    try:
        yield from _terms(contract, env.unwrapped)
    finally:
        env.close()


def check_policy(
    place: Where, policy: PolicyFile, given: Contract | None = None, trust: bool = False
) -> Iterator[Finding]:
    """Open a policy, hold its contract against its file and an environment, and see what it does in two seconds.

    Args:
        place: which environment.
        policy: the policy, with the contract that its file carries, if it carries any.
        given: the contract to go by, where it is another.
        trust: whether policy files that can run code may be loaded.
    """
    try:
        network = policy.load(trust)
    except Sim2RealError as error:
        yield Finding("network", str(error), False)
        return
    carried = policy.contract if policy.kind == "native" else getattr(network, "contract", None)
    proved = (
        "opens" if carried is None else "opens, and computes the golden output that was written beside it"
    )
    yield Finding("network", proved)
    contract = given or policy.contract
    yield from _physics(contract)
    if given and carried:
        yield from _differences(given, carried)
    try:
        env = make(place)
    except Sim2RealError:
        return  # told where the environment is looked at
    try:
        yield from _in(env, policy, network, contract, trust)
    finally:
        env.close()


def _physics(contract: Contract | None) -> Iterator[Finding]:
    """Tell of a policy trained in an environment of ours whether that world moved as it does now."""
    training = contract.training if contract else {}
    if (now := physics_of(str(training.get("env", "")))) and (then := training.get("physics", 1)) != now:
        said = (
            f"it was trained and evaluated in version {then} of the physics, this is version {now}: what its file says "
            "of its evaluation is about that world"
        )
        yield Finding("physics", said, None)


def _differences(given: Contract, carried: Contract) -> Iterator[Finding]:
    """Yield the parts in which two contracts of one network differ, the order of joints being one."""
    pairs: dict[str, tuple[Any, Any]] = {
        part.name: (getattr(given, part.name), getattr(carried, part.name))
        for part in fields(Contract)
        if part.name not in ("observation", "seen", "training")
    }
    ours, theirs = (tuple(term.term for term in contract.observation) for contract in (given, carried))
    pairs["order of observation"] = ours, theirs
    for one, other in zip(given.observation, carried.observation, strict=False):
        if one.term == other.term:
            for part in fields(Term):
                pair = getattr(one, part.name), getattr(other, part.name)
                pairs[f"{part.name} of '{one.term}'"] = pair
    differ = {name: pair for name, pair in pairs.items() if pair[0] != pair[1]}
    for name, (one_has, other_has) in differ.items():
        where = ""
        if isinstance(one_has, tuple) and isinstance(other_has, tuple) and len(one_has) == len(other_has):
            place = next(i for i in range(len(one_has)) if one_has[i] != other_has[i])
            where, one_has, other_has = f" as number {place + 1}", one_has[place], other_has[place]
        said = f"the contract given has {_short(one_has)}{where}, the file's own {_short(other_has)}."
        yield Finding(name, said, False)
    if not differ:
        yield Finding("contract", "that of the file")


def _short(value: Any) -> str:
    if isinstance(value, tuple):
        return ", ".join(map(_short, value))
    return f"{value:g}" if isinstance(value, float) else "nothing" if value is None else str(value)


def _terms(contract: Contract, env: Any) -> Generator[Finding, None, bool]:
    """Hold a contract against an unwrapped environment: what must fit, which is returned, and then what should."""
    found = list(compare(contract, env))
    yield from found
    fits = all(finding.fits for finding in found)
    if fits:
        yield from _tables(contract, env)
        yield _reach(contract, env)
    return fits


def _tables(contract: Contract, env: Any) -> Iterator[Finding]:
    """Hold numbers that belong to joints against those that the robot has for the same ones.

    Numbers that lie nearer to the robot's in another order stand at the wrong joints. No order is better than that in
    which the smaller belongs to the smaller, so only it is compared with.
    """
    name, joints = type(env).__name__, contract.joints
    order = [env.joint_names.index(joint) for joint in joints]
    tables: list[tuple[str, str, Any, Any]] = []
    if (pose := getattr(env, "default_pose", None)) is not None and contract.control == "position":
        for term in contract.observation:
            if term.term == "joint_position" and term.offset != 0.0:
                tables.append(("offset of 'joint_position'", "rad", term.offset, pose))
        if not contract.outputs:
            tables.append(("action_offset", "rad", contract.action_offset, pose))
    if contract.kp is not None and hasattr(env, "kp"):
        tables += [("kp", "N m/rad", contract.kp, env.kp), ("kd", "N m s/rad", contract.kd, env.kd)]
    for about, unit, ours, theirs in tables:
        ours, theirs = np.full(len(joints), ours), np.asarray(theirs)[order]
        a, b = (ours, theirs) if unit == "rad" else np.log(np.maximum((ours, theirs), 1e-9))
        apart = np.abs(a - b)
        worst = int(apart.argmax())
        where = f"'{joints[worst]}' has {ours[worst]:g} {unit} where {name} has {theirs[worst]:g}"
        if apart.sum() - np.abs(np.sort(a) - np.sort(b)).sum() > MOVED:
            said = f"{about} does not fit it: {where}, and the same numbers would fit in another order."
            yield Finding("order of joints", said, False)
        elif apart[worst] > (APART_RAD if unit == "rad" else np.log(UNLIKE)):
            yield Finding(about, f"{where}: it is in {unit}, in the order of joints.", False)
        else:
            yield Finding(about, f"{ours.min():g} to {ours.max():g} {unit}")


def _reach(contract: Contract, env: Any) -> Finding:
    """Say how far one unit of the network's output goes, in the range of the environment's action."""
    names = contract.outputs or contract.joints
    known = env.action_names if contract.outputs else env.joint_names
    unit = np.full(len(known), getattr(env, "action_scale", 1.0))[[known.index(name) for name in names]]
    share = np.abs(np.full(len(names), contract.action_scale) / unit)
    least, most = share.min(), share.max()
    if SHARE[0] <= least and most <= SHARE[1]:
        return Finding(
            "action_scale",
            f"one unit of output is at least {least:.2g}, at most {most:.2g} of an action's range",
        )
    worst = int(share.argmax() if most > SHARE[1] else share.argmin())
    said = f"one unit of output is {share[worst]:.2g} of the range of '{names[worst]}', where 0.25 to 1 is usual."
    return Finding("action_scale", said, False)


class _Heard:
    """A network, and what it read."""

    def __init__(self, network: Policy) -> None:
        self._network = network
        self.read: list[Array] = []

    def reset(self, seed: int | None = None) -> None:
        if hasattr(self._network, "reset"):
            self._network.reset(seed)

    def __call__(self, x: Array) -> Any:
        self.read.append(x.copy())
        return self._network(x)


class _Seen(gym.Wrapper[Any, Any, Any, Any]):
    """An environment, and the actions it was given."""

    def __init__(self, env: Env) -> None:
        super().__init__(env)
        self.actions: list[Any] = []

    def step(self, action: Any) -> tuple[Any, Any, bool, bool, dict[str, Any]]:
        self.actions.append(action)
        return super().step(action)


def _in(env: Env, policy: PolicyFile, network: Policy, contract: Contract, trust: bool) -> Iterator[Finding]:
    """Hold a contract against an environment, and play in it."""
    robot: Any = env.unwrapped
    promises, heard = bool(contract.observation), _Heard(network)
    if promises and not (yield from _terms(contract, robot)):
        return
    if not promises and hasattr(network, "spaces"):
        found = list(compare_spaces(network.spaces, env))
        yield from found
        if not all(finding.fits in (True, None) for finding in found):
            return
    gains = (robot.kp.copy(), robot.kd.copy()) if contract.kp is not None and hasattr(robot, "kp") else None
    try:
        env = dress(env, (), None, contract.shields)
        with warnings.catch_warnings(action="ignore"):  # of spaces, of which the findings tell
            bound = (
                BoundPolicy(heard, ContractBinding(contract, robot)) if promises else policy.bind(env, trust)
            )
        row, actions = _play(env, bound)
    except Exception as error:
        yield Finding("episode", f"cannot be played: {one_line(error)}", False)
        failed = True
    else:
        yield from _told(env, row, actions)
        if promises:
            yield _inputs(contract, network, np.array(heard.read))
        failed = _failed(row)
    if failed and promises:
        yield from _suspects(env, network, contract, gains)


def _play(env: Env, bound: BoundPolicy) -> tuple[Row, NDArray[Any]]:
    """Return the first seconds of an episode, and the actions of each step."""
    period_s, seen = period_of(env).period_s, _Seen(env)
    steps = round(RUN_S / period_s) if period_s else 100
    with np.errstate(over="ignore", invalid="ignore"):  # what comes of it ends the episode
        return episode(seen, bound, 0, steps), np.array(seen.actions)


def _failed(row: Row) -> bool:
    return bool(row["termination"]) and row["success"] is not None and not row["success"]


def _told(env: Env, row: Row, actions: NDArray[Any]) -> Iterator[Finding]:
    lasted = f"{row['duration_s']:.3g} s" if row["duration_s"] else f"{row['length']} steps"
    if _failed(row):
        yield Finding("episode", f"is over after {lasted}: {row['termination']}.", False)
    elif row["termination"]:
        untold = "" if row["success"] else ", and whether it succeeded the environment does not tell"
        yield Finding(
            "episode", f"is over after {lasted}: {row['termination']}{untold}.", None if untold else True
        )
    else:
        yield Finding("episode", f"goes on after {lasted}")
    space = env.action_space
    if isinstance(space, gym.spaces.Box) and (np.isfinite(space.low) | np.isfinite(space.high)).any():
        share = ((actions <= space.low) | (actions >= space.high)).mean(0).ravel()
        worst = int(share.argmax())
        name = getattr(env.unwrapped, "action_names", range(share.size))[worst]
        said = f"'{name}' is at its limit in {share[worst]:.0%} of the steps, more than any other"
        said = said if share[worst] else "none is ever at its limit"
        metrics = json.loads(row["metrics"])
        if outside := metrics.get("outside_share"):
            by = f"by {metrics['outside_by']:.3g} at most"
            said += f"; {outside:.0%} of the steps lie outside the action space, {by}"
        yield Finding("actions", said, None if outside or share[worst] > SATURATED else True)


def _inputs(contract: Contract, network: Policy, inputs: Array) -> Finding:
    """Say whether what the network reads is like what it was trained on."""
    names = [[term.term] * term.size for term in contract.observation]
    if contract.history_by == "frame":
        labels = contract.observation[0].history * [name for term in names for name in term]
    else:
        labels = [
            name
            for term, held in zip(names, contract.observation, strict=True)
            for name in term * held.history
        ]
    tensors = network.tensors if isinstance(network, Mlp) else {}
    if "normalizer.mean" in tensors:
        away = (inputs - tensors["normalizer.mean"]) / tensors["normalizer.std"]
        size, limit = np.sqrt(np.square(away).mean(0)), BEYOND_STD
        unit = "standard deviations from what training met, in root mean square"
    else:
        size, limit, unit = np.abs(inputs).max(0), BEYOND, "at most, as the network reads it"
    worst = int(size.argmax())
    said = f"'{labels[worst]}' is furthest out: {size[worst]:.3g} {unit}"
    if size[worst] > limit:
        return Finding("inputs", f"{said}, where {limit:g} is much: see its scale and offset.", False)
    return Finding("inputs", said)


def _suspects(
    env: Env, network: Policy, contract: Contract, gains: tuple[Array, Array] | None
) -> Iterator[Finding]:
    """Try contracts that differ in one thing, each a likely mistake; one that goes on names what may be wrong."""
    robot: Any = env.unwrapped
    found: dict[str, list[str]] = {}
    tried = 0
    for about, change, other in _others(contract, robot):
        try:
            if gains:  # a contract without any has those of the environment, not of the one before
                robot.use_gains(*gains)
            row, _ = _play(env, BoundPolicy(network, ContractBinding(other, robot)))
        except Exception:  # noqa: S112 - it is no better
            continue
        tried += 1
        if not _failed(row):
            found.setdefault(about, []).append(change)
    for about, changes in found.items():
        said = f"the episode goes on with {' or '.join(changes)} instead: see what it was in training."
        yield Finding(about, said, None if len(found) > 1 else False)
    if tried and not found:
        yield Finding("contract", f"none of {tried} likely mistakes in it explains that", None)


def _others(contract: Contract, robot: Any) -> Iterator[tuple[str, str, Contract]]:
    """Yield contracts that differ from this one in one thing: what it is, what it is there, and the contract."""
    joints = tuple(robot.joint_names)
    mirrored = tuple(_other_side(joint) for joint in contract.joints)
    for order, change in ((joints, "the joints in the environment's order"), (mirrored, "left for right")):
        if order != contract.joints and set(order) == set(joints):
            yield "order of joints", change, replace(contract, joints=order)
    if contract.kp is not None:
        yield "gains", "the environment's own gains", replace(contract, kp=None, kd=None)
    places = [joints.index(joint) for joint in contract.joints]
    pose = tuple(np.asarray(getattr(robot, "default_pose", np.zeros(len(joints))))[places].tolist())
    if contract.control == "position" and not contract.outputs:
        yield "action_offset", "the environment's default pose", replace(contract, action_offset=pose)
        scale = 0.25 * np.full(len(joints), getattr(robot, "action_scale", 1.0))[places]
        yield (
            "action_scale",
            "a quarter of an action's range",
            replace(contract, action_scale=tuple(scale.tolist())),
        )
    for place, term in enumerate(contract.observation):
        scales = CUSTOMARY.get(term.term, ())
        others = [("scale", scale) for scale in scales if np.size(scale) in (1, term.size)]
        others += [("offset", offset) for offset in (pose, 0.0) if term.term == "joint_position"]
        for part, value in others:
            if getattr(term, part) != value:
                terms = list(contract.observation)
                terms[place] = replace(term, **{part: value})  # type: ignore[arg-type]
                change = "the default pose" if value is pose else _short(value)
                yield f"{part} of '{term.term}'", change, replace(contract, observation=tuple(terms))


def _other_side(joint: str) -> str:
    """Return the joint of the other side.

    >>> _other_side("left_knee")
    'right_knee'
    """
    return re.sub("left|right", lambda found: {"left": "right", "right": "left"}[found[0]], joint)

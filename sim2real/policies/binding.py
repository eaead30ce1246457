"""The runtime between an environment and a network: what the policy reads, and what its output commands."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from gymnasium import spaces

from sim2real.errors import Finding, Sim2RealError, nearest

if TYPE_CHECKING:
    from sim2real.policies.contract import Contract


class Policy(Protocol):
    """Anything that maps an observation to an action; it may also have `reset(seed)`."""

    def __call__(self, observation: Any, /) -> Any:
        """Return the action for one observation."""


class BoundPolicy:
    """A policy ready to run in one environment: `reset(seed)`, then a call for each observation."""

    def __init__(self, network: Policy, binding: ContractBinding | SpaceBinding) -> None:
        self._network = network
        self._binding = binding
        self._reset: Callable[[int | None], object] = getattr(network, "reset", lambda seed: None)

    @property
    def action_space(self) -> spaces.Space[Any]:
        """The space that its actions are for, in which those of a Box need not lie."""
        return self._binding.space

    def reset(self, seed: int | None = None) -> None:
        """Forget the last episode."""
        self._binding.reset()
        self._reset(seed)

    def __call__(self, observation: Any) -> Any:
        """Return the action.

        Raises:
            Sim2RealError: an observation or output of the wrong shape, or an output that is not finite.
        """
        return self._binding.act(self._network(self._binding.observe(observation)))


class ContractBinding:
    """A contract resolved against one unwrapped environment, in float32; made by `Contract.bind`."""

    def __init__(self, contract: Contract, env: Any) -> None:
        for finding in compare(contract, env):
            if not finding.fits:
                raise Sim2RealError(finding.said)
        self._names, size = contract.outputs or contract.joints, contract.action_size
        known = env.action_names if contract.outputs else env.joint_names
        # For each action of the environment, and for each joint, its place in the policy.
        self._order = np.argsort([known.index(name) for name in self._names])
        in_env = np.array([env.joint_names.index(joint) for joint in contract.joints])
        self.space: spaces.Space[Any] = env.action_space
        self._shape = env.observation_space.shape
        values = math.prod(self._shape)
        # The source holds the environment's observation and behind it the policy's own last output.
        self._source = np.zeros(values + size, np.float32)
        self._previous = self._source[values:]
        places = {name: np.arange(values)[part] for name, part in env.observation_terms.items()}
        places |= {name: place[in_env] for name, place in places.items() if name.startswith("joint_")}
        places["previous_action"] = values + np.arange(size)
        terms = contract.observation
        self._index = np.concatenate([places[term.term] for term in terms])
        self._offset = np.concatenate([np.full(term.size, term.offset, np.float32) for term in terms])
        self._scale = np.concatenate([np.full(term.size, term.scale, np.float32) for term in terms])
        self._window, self._stacked = _history(contract)
        self._fresh = True
        self._clip, self._what = contract.action_clip, "output" if contract.outputs else "joint"
        # From the network's output through joint targets (or torques) to the environment's own unit of action.
        unit, zero = getattr(env, "action_scale", 1.0), getattr(env, "action_offset", 0.0)
        scale, offset = np.full(size, contract.action_scale), np.full(size, contract.action_offset)
        self._action_scale = (scale[self._order] / unit).astype(np.float32)
        self._action_offset = ((offset[self._order] - zero) / unit).astype(np.float32)
        if contract.kp is not None:
            order = np.argsort(in_env)
            env.use_gains(np.array(contract.kp)[order], np.array(contract.kd)[order])

    def reset(self) -> None:
        """Forget the last output, and the history, which the next observation then fills."""
        self._previous[:] = 0.0
        self._fresh = True

    def observe(self, observation: Any) -> np.ndarray:
        """Return the network's input, shape (observation_size,), for the environment's flat observation."""
        if observation.shape != self._shape:
            raise Sim2RealError(f"The policy reads observations of {self._shape}, not {observation.shape}.")
        self._source[: observation.size] = observation
        frame = self._source.take(self._index)
        frame -= self._offset
        frame *= self._scale
        if self._window is None:
            return frame
        if self._fresh:
            self._window[:] = frame
            self._fresh = False
        self._window[:-1] = self._window[1:]
        self._window[-1] = frame
        return self._window.take(self._stacked)

    def act(self, output: Any) -> np.ndarray:
        """Return the environment's action, shape (n_outputs,), for the network's output."""
        if output.shape != self._previous.shape:
            raise Sim2RealError(
                f"The policy returned shape {output.shape} for {len(self._names)} {self._what}s."
            )
        if not all(map(math.isfinite, output.tolist())):  # on a dozen floats, a third of np.isfinite's time
            bad = int(np.argmin(np.isfinite(output)))
            raise Sim2RealError(
                f"The policy returned {output[bad]} for the {self._what} '{self._names[bad]}'."
            )
        if self._clip is not None:
            output = np.clip(output, -self._clip, self._clip)
        self._previous[:] = output
        action = self._previous.take(self._order)
        action *= self._action_scale
        action += self._action_offset
        return action


class SpaceBinding:
    """Observations and actions as they are, checked against the environment's spaces."""

    def __init__(self, env: Any) -> None:
        self._shape = env.observation_space.shape
        self.space: spaces.Space[Any] = env.action_space

    def reset(self) -> None:
        """Forget nothing: there is no state."""

    def observe(self, observation: Any) -> Any:
        """Return the observation, whose shape must be that of the space."""
        if self._shape is not None and (shape := np.shape(observation)) != self._shape:
            raise Sim2RealError(f"The policy reads observations of {self._shape}, not {shape}.")
        return observation

    def act(self, output: Any) -> Any:
        """Return the output as an action of the space; n values for n discrete actions mean the largest.

        Raises:
            Sim2RealError: an output that is not all finite numbers, of another shape, or of a space without bounds to
                be left, such as a number that is none of n discrete actions.
        """
        action, space = np.array(output), self.space
        if action.dtype.kind not in "biuf" or not all(map(math.isfinite, action.ravel().tolist())):
            raise Sim2RealError(f"The policy returned {action.tolist()!r}, which is not all finite numbers.")
        if isinstance(space, spaces.Discrete) and space.n > 1 and action.shape == (space.n,):
            action = space.start + np.argmax(action)
        if action.shape != space.shape:
            if space.shape is None or action.size != 1 or math.prod(space.shape) != 1:
                raise Sim2RealError(
                    f"The policy returned shape {action.shape}, but actions have {space.shape}."
                )
            action = action.reshape(space.shape)
        made = action.astype(space.dtype)
        box = isinstance(space, spaces.Box)
        if box and made.dtype.kind == "f":
            return made
        if not (made == action).all() or not (box or space.contains(made[()])):
            raise Sim2RealError(f"The policy returned {action.tolist()!r}, which is no action of {space}.")
        return int(made) if isinstance(space, spaces.Discrete) else made


def _history(contract: Contract) -> tuple[np.ndarray | None, np.ndarray]:
    """Return the window of frames, oldest first, and where in it each value of the network's input stands."""
    size = sum(term.size for term in contract.observation)
    length = max(term.history for term in contract.observation)
    window, places = np.zeros((length, size), np.float32), np.arange(length * size).reshape(length, size)
    if contract.history_by == "frame" or length == 1:
        return (window if length > 1 else None), places.ravel()
    columns = np.split(places, np.cumsum([term.size for term in contract.observation])[:-1], axis=1)
    recent = [part[-term.history :].ravel() for part, term in zip(columns, contract.observation, strict=True)]
    return window, np.concatenate(recent)


def compare(contract: Contract, env: Any) -> Iterator[Finding]:
    """Hold a contract against an unwrapped environment, term by term; the first that does not fit stops a binding.

    What only tells whether a contract is likely, and not whether it can be followed, is left to `sim2real doctor`.
    """
    name = type(env).__name__
    needs = ["joint_names", "observation_terms", "control_period_s", "control"]
    for attribute in (
        needs + ["use_gains"] * (contract.kp is not None) + ["action_names"] * bool(contract.outputs)
    ):
        if not hasattr(env, attribute):
            sentence = f"The policy's contract needs '{attribute}', which {name} does not have."
            yield Finding(attribute, sentence, False)
            return

    def held(about: str, fits: bool, said: str, wrong: str) -> Finding:
        return Finding(about, said if fits else wrong, fits)

    control = f"The policy commands {contract.control}, but {name} expects {env.control}."
    yield held("control", contract.control == env.control, contract.control, control)
    periods = [("control period", contract.control_period_s, env.control_period_s)]
    if contract.gait_period_s is not None and getattr(env, "gait_period_s", None) is not None:
        periods.append(("gait period", contract.gait_period_s, env.gait_period_s))
    for what, policy_s, env_s in periods:
        wrong = f"The policy's {what} is {policy_s:g} s, but that of {name} is {env_s:g} s."
        yield held(what, math.isclose(policy_s, env_s, rel_tol=1e-6), f"{policy_s:g} s", wrong)
    for joint in contract.joints:
        if joint not in env.joint_names:
            hint = nearest(joint, env.joint_names)
            wrong = f"The policy commands the joint '{joint}', which {name} does not.{hint}"
            yield Finding("joints", wrong, False)
    for joint in env.joint_names:
        if joint not in contract.joints:
            wrong = f"{name} actuates the joint '{joint}', which the policy does not command."
            yield Finding("joints", wrong, False)
    if set(contract.joints) == set(env.joint_names):
        order = "in" if contract.joints == tuple(env.joint_names) else "not in"
        told = f"{len(contract.joints)}, {order} the order of {name}, into which they are put by name"
        yield Finding("joints", told)
    if contract.outputs:
        stated, known = ", ".join(contract.outputs), ", ".join(env.action_names)
        wrong = f"The policy puts out {stated}, but the actions of {name} are {known}."
        yield held("outputs", set(contract.outputs) == set(env.action_names), stated, wrong)
    for term in contract.observation:
        if term.term == "previous_action":
            continue
        about = f"observation '{term.term}'"
        if term.term not in env.observation_terms:
            hint = nearest(term.term, env.observation_terms)
            wrong = f"The policy reads '{term.term}', which {name} does not observe.{hint}"
            yield Finding(about, wrong, False)
            continue
        size = len(range(*env.observation_terms[term.term].indices(math.prod(env.observation_space.shape))))
        wrong = f"The policy reads {term.size} values of '{term.term}', {name} has {size}."
        told = f"{size} values" + f", the last {term.history} of each" * (term.history > 1)
        told += ", each with its scale" if isinstance(term.scale, tuple) else f", times {term.scale:g}"
        yield held(about, size == term.size, told, wrong)

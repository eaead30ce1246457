"""The parameters of a PyBullet client that somebody else's environment steps."""

from collections import Counter, deque
from collections.abc import Callable, Mapping
from copy import deepcopy
from functools import partial
from typing import Any, NamedTuple

import gymnasium as gym
import numpy as np

from sim2real.errors import Sim2RealError
from sim2real.wrappers.parameters import EngineTable, numbered
from sim2real.wrappers.seek import CLIENT, Found, follow, is_a, played, seek

AXES = "xyz"
GROUND = ("ground", "floor", "plane")
DRIVEN = (0, 1)  # revolute and prismatic joints
STRONGEST = 1e5  # the force of a motor command that names none
WATCHED_STEPS = 2  # of an environment, to see which motors it commands

# The order of the arguments of motor commands, up to the force.
MOTOR_COMMANDS = {
    "setJointMotorControl2": (
        "bodyUniqueId", "jointIndex", "controlMode", "targetPosition", "targetVelocity", "force",
    ),
    "setJointMotorControlArray": (
        "bodyUniqueId", "jointIndices", "controlMode", "targetPositions", "targetVelocities", "forces",
    ),
}  # fmt: skip
RESETTING = ("resetSimulation", "restoreState", "resetJointState")
# What changes which bodies there are, and what else may give values back to the engine that were changed here.
LOADING = ("resetSimulation", "removeBody", "loadURDF", "loadSDF", "loadMJCF", "createMultiBody")
OVERWRITING = (*LOADING, "changeDynamics", "setGravity")


class Bullet(EngineTable):
    """The parameters of a PyBullet client: links, joints, contact, gravity, motors, kicks.

    Names are those of the description, with the fields of sim2real's own environments: ``foot.mass`` (its
    inertia goes with it), ``foot.inertia``, ``foot.friction``, ``foot.restitution``, ``foot.rolling_friction``,
    ``foot.spinning_friction``, ``knee.viscous_friction``, ``knee.strength``, ``ground.friction``, ``gravity.z``,
    ``actuator.latency_s``, ``base.velocity_x``. A body without joints goes by its own name, a static one called
    ground, floor or plane is the ground. Bodies of one name are numbered; a link's name that occurs twice has
    its body's in front; and the name that they share means all of them.

    Friction is what PyBullet calls lateral friction; it multiplies that of the two that touch. Strength weakens
    torques, and the largest force of position and velocity motors. To that end some functions of the client are
    stood in for: they see motor commands, and when the environment loads or sets something anew. An environment
    that calls the module ``pybullet`` instead of a client is out of reach. PyBullet tells no joint's damping, so
    that is the one value that cannot be read back: it is the last one set, the description's before.

    Args:
        client: a ``pybullet_utils.bullet_client.BulletClient`` whose bodies are loaded.
        bodies: what to call which bodies, others are left out; None for all, as their descriptions call them.

    Raises:
        Sim2RealError: for anything but such a client, or a body that there is not.
    """

    def __init__(self, client: Any, bodies: Mapping[str, int] | None = None) -> None:
        if not is_a(client, *CLIENT):
            raise Sim2RealError(f"Bullet needs a BulletClient of pybullet_utils, not {client!r}.")
        self._begin(lambda: (client,), "PyBullet", bodies)

    def _begin(
        self, find: Callable[[], tuple[Any, ...]], source: str, bodies: Mapping[str, int] | None
    ) -> None:
        self._bodies = bodies
        self._reloaded = False
        self._commanded: set[tuple[int, int]] = set()
        super().__init__(find, source)

    @classmethod
    def of(cls, env: gym.Env[Any, Any], bodies: Mapping[str, int] | None = None) -> "Bullet":
        """Return the parameters of the PyBullet client that an environment steps, also where it makes another one.

        The beginning of an episode is played, to see which motors the environment commands; strength of others, and
        latency where there are none, are no parameters.

        Raises:
            Sim2RealError: if there is none, or it cannot be told which of several is meant.
        """
        found = client_in(env)
        known = cls.known(env, found.thing)
        if known and known._bodies == bodies:
            return known
        table = cls.__new__(cls)
        table._begin(partial(followed, env, found), f"PyBullet, {found}", bodies)
        with played(env) as step:
            table._renew()
            table._describe_again()
            table._commanded.clear()
            for _ in range(WATCHED_STEPS):
                step()
            table._leave_out_motors_but(table._commanded)
        return table

    def _describe_again(self) -> None:
        """Take for nominal what there is after a reset whose seed is known."""
        self._specs, self._values, self._named = {}, {}, False
        self._nominal.clear()
        self._describe_bodies()
        self._named = True

    def _leave_out_motors_but(self, commanded: set[tuple[int, int]]) -> None:
        names = {f"{joint}.strength": place in commanded for place, joint in self._joints.items()}
        names["actuator.latency_s"] = any(names.values())
        for name in (name for name, acts in names.items() if not acts):
            del self._specs[name], self._values[name]
            reason = (
                f"{name} cannot act: the environment's first {WATCHED_STEPS} steps command no such motor of PyBullet. "
                "Where later ones do, give Bullet(client) as parameters."
            )
            self.impossible = {**self.impossible, name: reason}

    def _renew(self) -> None:
        super()._renew()
        if self._reloaded:
            self._describe_bodies()

    def _describe(self) -> None:
        (self._client,) = self._engine
        intercepted = dict.fromkeys((*MOTOR_COMMANDS, *RESETTING, *OVERWRITING, "stepSimulation"))
        self._raw = {name: getattr(self._client, name) for name in intercepted}
        self._nominal: dict[tuple[int, int], tuple[Any, ...]] = {}
        self._overwritten = (
            self._named
        )  # of another client nothing tells that a value without a reader is lost
        self._damping: dict[tuple[int, int], float] = {}  # set by whomever since there are stand-ins
        self._under_way: deque[_Command] = deque()
        self._forget()
        self._describe_bodies()
        for name in intercepted:
            setattr(self._client, name, partial(self._stand_in, name))

    def _describe_bodies(self) -> None:
        """Register the parameters of what is loaded now, whose names may be those of other bodies than before."""
        self._reloaded = False
        self._setters, self._readers = {}, {}
        links, self.groups = links_of(self._client, self._bodies)
        self._joints = {(link.body, link.place): link.joint for link in links if link.joint}
        for link in links:
            self._add_link(link)
        self._add_world(links)

    def _change(self, link: "Link", field: str, value: float) -> None:
        self._raw["changeDynamics"](link.body, link.place, **{field: value})

    def _damp(self, link: "Link", value: float) -> None:
        self._damping[link.body, link.place] = value
        self._change(link, "jointDamping", value)

    def _add_link(self, link: "Link") -> None:
        body, place = link.body, link.place

        def now(at: int) -> Any:
            return self._client.getDynamicsInfo(body, place)[at]

        dynamics = self._nominal.setdefault((body, place), self._client.getDynamicsInfo(body, place))
        mass_kg, friction, inertia = dynamics[:3]
        largest = int(np.argmax(inertia))

        def spread(_: float) -> None:
            heavier = self._values[f"{link.name}.mass"] / mass_kg
            # A mass on its own would replace the inertia by that of the shape.
            each = [one * (heavier * self._values.get(f"{link.name}.inertia", 1.0)) for one in inertia]
            self._raw["changeDynamics"](body, place, mass=mass_kg * heavier, localInertiaDiagonal=each)

        def spun() -> float:
            return float(now(2)[largest] / inertia[largest] / (now(0) / mass_kg))

        if mass_kg > 0.0:
            self._row(f"{link.name}.mass", mass_kg, "kg", 1e-3 * mass_kg, 1e3 * mass_kg,
                      "Mass of the link; its inertia goes with it.", spread, partial(now, 0))  # fmt: skip
            if inertia[largest] > 0.0:
                self._row(f"{link.name}.inertia", 1.0, "", 1e-3, 1e3,
                          "Rotational inertia of the link, as a multiple of the nominal.", spread, spun)  # fmt: skip
        least, most_m = self._client.getAABB(body, place)
        if (
            least != most_m
        ):  # it has a shape that can touch; asking for the shape crashes PyBullet on MJCF bodies
            for field, key, at, unit, most, doc in (
                ("friction", "lateralFriction", 1, "", 10.0,
                 "Coulomb coefficient, times that of what is touched."),
                ("restitution", "restitution", 5, "", 1.0,
                 "Speed kept by a bounce, as a fraction, times that of what is touched."),
                ("rolling_friction", "rollingFriction", 6, "m", 1.0, "Resistance to rolling."),
                ("spinning_friction", "spinningFriction", 7, "m", 1.0, "Resistance to spinning on the spot."),
            ):  # fmt: skip
                self._row(f"{link.name}.{field}", dynamics[at], unit, 0.0, most, doc,
                          partial(self._change, link, key), partial(now, at))  # fmt: skip
        if link.joint is None:
            return

        joint = self._client.getJointInfo(body, place)
        force, per = ("N m", "/rad") if joint[2] == DRIVEN[0] else ("N", "/m")
        damping = self._damping.get((body, place), joint[6])
        self._row(f"{link.joint}.viscous_friction", damping, f"{force} s{per}", 0.0, 1e3,
                  "Friction torque per joint speed.", partial(self._damp, link),
                  lambda: self._damping.get((body, place), joint[6]))  # fmt: skip
        self._row(f"{link.joint}.strength", 1.0, "", 0.0, 10.0, "Torque delivered per torque asked for.",
                  _noted)  # fmt: skip

    def _add_world(self, links: "list[Link]") -> None:
        self._row("gravity.z", self._engine_value("gravityAccelerationZ"), "m/s²", -100.0, 100.0,
                  "Gravity along the vertical.", self._set_gravity,
                  partial(self._engine_value, "gravityAccelerationZ"))  # fmt: skip
        self._row("actuator.latency_s", 0.0, "s", 0.0, 1.0,
                  "Time from a command to its effect on the motors, in whole physics ticks.", _noted)  # fmt: skip
        jointed = {link.body for link in links if link.joint}
        robots = [link for link in links if link.place < 0 and link.body in jointed
                  and f"{link.name}.mass" in self._specs]  # fmt: skip
        if len(robots) > 1:
            self.groups = {**self.groups, "base": tuple(link.name for link in robots)}
        for link in robots:
            name = link.name if len(robots) > 1 else "base"
            for axis, letter in enumerate(AXES):
                self._row(f"{name}.velocity_{letter}", 0.0, "m/s", -100.0, 100.0,
                          f"A kick: added at once to the base's velocity along world {letter}.",
                          partial(self._kick, link.body, axis), transient=True)  # fmt: skip

    def _engine_value(self, name: str) -> float:
        return float(self._client.getPhysicsEngineParameters()[name])

    def _set_gravity(self, value: float) -> None:
        horizontal = (self._engine_value(f"gravityAcceleration{axis}") for axis in "XY")
        self._raw["setGravity"](*horizontal, value)

    def _kick(self, body: int, axis: int, value: float) -> None:
        linear, angular = self._client.getBaseVelocity(body)
        kicked = [speed + value * (i == axis) for i, speed in enumerate(linear)]
        self._client.resetBaseVelocity(body, kicked, angular)

    def _forget(self) -> None:
        """Begin an episode: motor commands of another one do not arrive."""
        self._tick = 0
        self._under_way.clear()
        self._first: list[Callable[[], object]] | None = []

    def _stand_in(self, name: str, *args: Any, **kwargs: Any) -> Any:
        if name in MOTOR_COMMANDS:
            return self._command(name, args, kwargs)
        if name == "stepSimulation":
            self._step()
        self._overwritten |= name in OVERWRITING
        self._reloaded |= name in LOADING
        if name in RESETTING:
            self._forget()
        if name == "resetSimulation":
            self._nominal.clear()
            self._damping.clear()
        elif name == "changeDynamics" and "jointDamping" in kwargs:
            given = dict(zip(("bodyUniqueId", "linkIndex"), args, strict=False)) | kwargs
            self._damping[given["bodyUniqueId"], given["linkIndex"]] = float(kwargs["jointDamping"])
        elif name == "removeBody":
            gone = args[0] if args else kwargs["bodyUniqueId"]
            self._nominal = {place: told for place, told in self._nominal.items() if place[0] != gone}
            self._damping = {place: told for place, told in self._damping.items() if place[0] != gone}
        return self._raw[name](*args, **kwargs)

    def _command(self, name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        args, kwargs = self._weakened(MOTOR_COMMANDS[name], args, kwargs)
        latency_s = self._values.get("actuator.latency_s", 0.0)
        if not latency_s and not self._under_way:
            return self._raw[name](*args, **kwargs)
        send = partial(self._raw[name], *deepcopy(args), **deepcopy(kwargs))
        if self._tick == 0 and self._first is not None:
            self._first.append(send)  # as if it had been commanded all along
        latency_ticks = round(latency_s / self._engine_value("fixedTimeStep"))
        last = self._under_way[-1].tick if self._under_way else 0
        self._under_way.append(_Command(max(self._tick + latency_ticks, last), send))
        return None

    def _step(self) -> None:
        if self._overwritten:
            self._overwritten = False
            if self._reloaded:
                self._describe_bodies()
            for name, value in self._values.items():
                if value != self._specs[name].nominal and name in self._setters:
                    self._setters[name](value)
        while self._under_way and self._under_way[0].tick <= self._tick:
            self._under_way.popleft().send()
            self._first = None
        for send in self._first or ():
            send()
        self._tick += 1

    def _weakened(
        self, order: tuple[str, ...], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Return the arguments of a motor command with its force weakened."""
        given = dict(zip(order, args, strict=False)) | kwargs
        body, joints = given["bodyIndex" if "bodyIndex" in given else "bodyUniqueId"], given[order[1]]
        places = [(body, int(joint)) for joint in np.atleast_1d(joints)]
        force = given.get(order[5])
        full = np.broadcast_to(STRONGEST if force is None else force, len(places))
        self._commanded.update(place for place, newtons in zip(places, full, strict=True) if newtons)
        strength = [self._values.get(f"{self._joints.get(place)}.strength", 1.0) for place in places]
        if set(strength) == {1.0}:
            return args, kwargs
        weak = full * strength
        value = weak.tolist() if np.ndim(joints) else float(weak[0])
        if len(args) > 5:
            return (*args[:5], value, *args[6:]), kwargs
        return args, kwargs | {order[5]: value}


class _Command(NamedTuple):
    """A motor command on its way."""

    tick: int
    send: Callable[[], object]


class Link(NamedTuple):
    """A link, its joint to the one before, if that can be driven, and where PyBullet has them."""

    name: str
    joint: str | None
    body: int
    place: int


def client_in(env: gym.Env[Any, Any]) -> Found:
    """Return the PyBullet client with bodies that is in an environment.

    Raises:
        Sim2RealError: if there is none, or there are several.
    """
    found = seek(env, CLIENT)
    loaded = [one for one in found if one.thing.getNumBodies()] if len(found) > 1 else found
    if len(loaded) != 1:
        raise Sim2RealError(
            f"There are {len(found)} PyBullet clients in {type(env.unwrapped).__name__} "
            f"({', '.join(map(str, found))}), {len(loaded)} with bodies: give Bullet(client) the one that is meant."
        )
    return loaded[0]


def followed(env: gym.Env[Any, Any], found: Found) -> tuple[Any]:
    """Return the client that is where one was found, or wherever there is one now."""
    client = follow(env, found.way)
    return (client if is_a(client, *CLIENT) else client_in(env).thing,)


def _noted(value: float) -> None:
    """Do nothing: motor commands look up the value."""


def links_of(client: Any, bodies: Mapping[str, int] | None) -> tuple[list[Link], dict[str, tuple[str, ...]]]:
    """Return the links of bodies under names that occur once, and names by the one that several would have.

    Raises:
        Sim2RealError: for a body that there is not.
    """
    known = [client.getBodyUniqueId(i) for i in range(client.getNumBodies())]
    wanted = list(bodies.items()) if bodies is not None else [("", body) for body in known]
    for called, body in wanted:
        if body not in known:
            raise Sim2RealError(f"There is no body {body} for '{called}': there are {known}.")
    bases = {body: [text.decode() for text in client.getBodyInfo(body)] for _, body in wanted}
    jointed = {body: client.getNumJoints(body) > 0 for body in bases}
    own = [called or bases[body][1].removesuffix("_obj") or f"body{body}" for called, body in wanted]
    for i, (_, body) in enumerate(wanted):
        if not jointed[body] and own[i] in GROUND and client.getDynamicsInfo(body, -1)[0] == 0.0:
            own[i] = "ground"
    called_bodies, groups = numbered(own)
    found: list[tuple[str, Link]] = []
    for called, (_, body) in zip(called_bodies, wanted, strict=True):
        found.append((called, Link(bases[body][0] if jointed[body] else called, None, body, -1)))
        for joint in (client.getJointInfo(body, i) for i in range(client.getNumJoints(body))):
            driven = joint[1].decode() if joint[2] in DRIVEN else None
            found.append((called, Link(joint[12].decode(), driven, body, joint[0])))
    count = Counter(name for _, link in found for name in {link.name, link.joint})

    def once(called: str, name: str) -> str:
        if count[name] == 1:
            return name
        groups.setdefault(name, []).append(f"{called}.{name}")
        return groups[name][-1]

    links = [
        Link(once(called, link.name), link.joint and once(called, link.joint), link.body, link.place)
        for called, link in found
    ]
    return links, {name: tuple(dict.fromkeys(members)) for name, members in groups.items()}

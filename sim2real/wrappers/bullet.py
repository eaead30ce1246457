"""The parameters of a PyBullet client that somebody else's environment steps."""

from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping
from copy import deepcopy
from functools import partial
from typing import Any, NamedTuple

import gymnasium as gym
import numpy as np

from sim2real.errors import Sim2RealError
from sim2real.wrappers.parameters import Table, is_a, seek

AXES = "xyz"
CLIENT = "pybullet_utils", "BulletClient"
GROUND = ("ground", "floor", "plane")
DRIVEN = (0, 1)  # revolute and prismatic joints
STRONGEST = 1e5  # the force of a motor command that names none

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
# What may give values back to the engine that were changed here.
OVERWRITING = (
    "resetSimulation", "loadURDF", "loadSDF", "loadMJCF", "createMultiBody", "changeDynamics", "setGravity",
)  # fmt: skip


class Bullet(Table):
    """The parameters of a PyBullet client: links, joints, contact, gravity, motors, kicks.

    Names are those of the description, with the fields of sim2real's own environments: ``foot.mass`` (its
    inertia goes with it), ``foot.inertia``, ``foot.friction``, ``foot.restitution``, ``foot.rolling_friction``,
    ``foot.spinning_friction``, ``knee.viscous_friction``, ``knee.strength``, ``ground.friction``, ``gravity.z``,
    ``actuator.latency_s``, ``base.velocity_x``. A body without joints goes by its own name, a static one called
    ground, floor or plane is the ground, and a name that occurs twice has the body's in front.

    Friction is what PyBullet calls lateral friction; it multiplies that of the two that touch. Strength weakens
    torques, and the largest force of position and velocity motors. To that end some functions of the client are
    stood in for: they see motor commands, and when the environment loads or sets something anew. An environment
    that calls the module ``pybullet`` instead of a client is out of reach.

    Args:
        client: a ``pybullet_utils.bullet_client.BulletClient`` whose bodies are loaded.
        bodies: what to call which bodies, others are left out; None for all, as their descriptions call them.

    Raises:
        Sim2RealError: for anything but such a client, or a body that there is not.
    """

    def __init__(self, client: Any, bodies: Mapping[str, int] | None = None) -> None:
        if not is_a(client, *CLIENT):
            raise Sim2RealError(f"Bullet needs a BulletClient of pybullet_utils, not {client!r}.")
        super().__init__()
        self._client = client
        intercepted = dict.fromkeys((*MOTOR_COMMANDS, *RESETTING, *OVERWRITING, "stepSimulation"))
        self._raw = {name: getattr(client, name) for name in intercepted}
        self._strength: dict[tuple[int, int], float] = {}
        self._latency_s = 0.0
        self._overwritten = False
        self._under_way: deque[_Command] = deque()
        self._forget()
        links = list(_links(client, bodies))
        for link in links:
            self._add_link(link)
        self._add_world(links)
        for name in intercepted:
            setattr(client, name, partial(self._stand_in, name))

    @classmethod
    def of(cls, env: gym.Env[Any, Any], bodies: Mapping[str, int] | None = None) -> "Bullet":
        """Return the parameters of the first PyBullet client in an environment, reset if it loads only then.

        Raises:
            Sim2RealError: if there is none.
        """
        return cls(client_in(env), bodies)

    def _change(self, link: "_Link", field: str, value: float) -> None:
        self._raw["changeDynamics"](link.body, link.place, **{field: value})

    def _add_link(self, link: "_Link") -> None:
        dynamics = self._client.getDynamicsInfo(link.body, link.place)
        mass_kg, friction, inertia = dynamics[:3]
        factors = {"mass": 1.0, "inertia": 1.0}

        def spread(kind: str, nominal: float, value: float) -> None:
            factors[kind] = value / nominal
            # A mass on its own would replace the inertia by that of the shape.
            each = [one * (factors["mass"] * factors["inertia"]) for one in inertia]
            mass = mass_kg * factors["mass"]
            self._raw["changeDynamics"](link.body, link.place, mass=mass, localInertiaDiagonal=each)

        if mass_kg > 0.0:
            self._row(f"{link.name}.mass", mass_kg, "kg", 1e-3 * mass_kg, 1e3 * mass_kg,
                      "Mass of the link; its inertia goes with it.", partial(spread, "mass", mass_kg))  # fmt: skip
            self._row(f"{link.name}.inertia", 1.0, "", 1e-3, 1e3,
                      "Rotational inertia of the link, as a multiple of the nominal.",
                      partial(spread, "inertia", 1.0))  # fmt: skip
        least, most_m = self._client.getAABB(link.body, link.place)
        if (
            least != most_m
        ):  # it has a shape that can touch; asking for the shape crashes PyBullet on MJCF bodies
            for field, key, nominal, unit, most, doc in (
                ("friction", "lateralFriction", friction, "", 10.0,
                 "Coulomb coefficient, times that of what is touched."),
                ("restitution", "restitution", dynamics[5], "", 1.0,
                 "Speed kept by a bounce, as a fraction, times that of what is touched."),
                ("rolling_friction", "rollingFriction", dynamics[6], "m", 1.0, "Resistance to rolling."),
                ("spinning_friction", "spinningFriction", dynamics[7], "m", 1.0, "Resistance to spinning on the spot."),
            ):  # fmt: skip
                self._row(
                    f"{link.name}.{field}", nominal, unit, 0.0, most, doc, partial(self._change, link, key)
                )
        if link.joint is None:
            return
        joint = self._client.getJointInfo(link.body, link.place)
        force, per = ("N m", "/rad") if joint[2] == DRIVEN[0] else ("N", "/m")
        self._row(f"{link.joint}.viscous_friction", joint[6], f"{force} s{per}", 0.0, 1e3,
                  "Friction torque per joint speed.", partial(self._change, link, "jointDamping"))  # fmt: skip
        self._row(f"{link.joint}.strength", 1.0, "", 0.0, 10.0, "Torque delivered per torque asked for.",
                  partial(self._strength.__setitem__, (link.body, link.place)))  # fmt: skip

    def _add_world(self, links: "list[_Link]") -> None:
        self._row("gravity.z", self._engine("gravityAccelerationZ"), "m/s²", -100.0, 100.0,
                  "Gravity along the vertical.", self._set_gravity)  # fmt: skip
        self._row("actuator.latency_s", 0.0, "s", 0.0, 1.0,
                  "Time from a command to its effect on the motors, in whole physics ticks.",
                  partial(setattr, self, "_latency_s"))  # fmt: skip
        movable = {link.body for link in links if link.place < 0 and f"{link.name}.mass" in self._specs}
        if robots := [link.body for link in links if link.joint and link.body in movable]:
            for axis, letter in enumerate(AXES):
                self._row(f"base.velocity_{letter}", 0.0, "m/s", -100.0, 100.0,
                          f"A kick: added at once to the base's velocity along world {letter}.",
                          partial(self._kick, robots[0], axis), transient=True)  # fmt: skip

    def _engine(self, name: str) -> float:
        return float(self._client.getPhysicsEngineParameters()[name])

    def _set_gravity(self, value: float) -> None:
        self._raw["setGravity"](
            self._engine("gravityAccelerationX"), self._engine("gravityAccelerationY"), value
        )

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
        if name in RESETTING:
            self._forget()
        return self._raw[name](*args, **kwargs)

    def _command(self, name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        args, kwargs = self._weakened(MOTOR_COMMANDS[name], args, kwargs)
        if not self._latency_s and not self._under_way:
            return self._raw[name](*args, **kwargs)
        send = partial(self._raw[name], *deepcopy(args), **deepcopy(kwargs))
        if self._tick == 0 and self._first is not None:
            self._first.append(send)  # as if it had been commanded all along
        latency_ticks = round(self._latency_s / self._engine("fixedTimeStep"))
        last = self._under_way[-1].tick if self._under_way else 0
        self._under_way.append(_Command(max(self._tick + latency_ticks, last), send))
        return None

    def _step(self) -> None:
        if self._overwritten:
            self._overwritten = False
            for name, value in self._values.items():
                if value != self._specs[name].nominal:
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
        strength = [self._strength.get((body, int(joint)), 1.0) for joint in np.atleast_1d(joints)]
        if set(strength) == {1.0}:
            return args, kwargs
        force = given.get(order[5])
        weak = np.broadcast_to(STRONGEST if force is None else force, len(strength)) * strength
        value = weak.tolist() if np.ndim(joints) else float(weak[0])
        if len(args) > 5:
            return (*args[:5], value, *args[6:]), kwargs
        return args, kwargs | {order[5]: value}


def client_in(env: gym.Env[Any, Any]) -> Any:
    """Return the first PyBullet client in an environment, which is reset if it loads only then.

    Raises:
        Sim2RealError: if there is none.
    """
    try:
        return seek(env, *CLIENT)
    except Sim2RealError:
        env.reset(seed=0)  # what it loads must not depend on chance, nor what it plays later on this seed
        env.reset(seed=int(np.random.SeedSequence().generate_state(1)[0]))
        return seek(env, *CLIENT)


class _Command(NamedTuple):
    """A motor command on its way."""

    tick: int
    send: Callable[[], object]


class _Link(NamedTuple):
    """A link, its joint to the one before, if that can be driven, and where PyBullet has them."""

    name: str
    joint: str | None
    body: int
    place: int


def _links(client: Any, bodies: Mapping[str, int] | None) -> Iterator[_Link]:
    """Return the links of bodies under names that occur once.

    Raises:
        Sim2RealError: for a body that there is not.
    """
    known = [client.getBodyUniqueId(i) for i in range(client.getNumBodies())]
    found: list[tuple[str, _Link]] = []
    for called, body in bodies.items() if bodies is not None else (("", body) for body in known):
        if body not in known:
            raise Sim2RealError(f"There is no body {body} for '{called}': there are {known}.")
        base, own = (text.decode() for text in client.getBodyInfo(body))
        called = called or own.removesuffix("_obj") or f"body{body}"
        joints = [client.getJointInfo(body, i) for i in range(client.getNumJoints(body))]
        static = client.getDynamicsInfo(body, -1)[0] == 0.0
        alone = "ground" if static and called in GROUND else called
        found.append((called, _Link(base if joints else alone, None, body, -1)))
        for joint in joints:
            driven = joint[1].decode() if joint[2] in DRIVEN else None
            found.append((called, _Link(joint[12].decode(), driven, body, joint[0])))
    names = Counter(name for _, link in found for name in {link.name, link.joint})
    for called, link in found:
        name, joint = (
            f"{called}.{one}" if one and names[one] > 1 else one for one in (link.name, link.joint)
        )
        yield _Link(str(name), joint, link.body, link.place)

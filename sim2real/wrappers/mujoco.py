"""The parameters of a MuJoCo model that somebody else's environment steps."""

import math
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from functools import partial
from typing import Any, NamedTuple

import gymnasium as gym
import numpy as np

from sim2real.errors import Sim2RealError
from sim2real.wrappers.mujoco_contact import Pair, collides, friction_now, ground_pairs, moves
from sim2real.wrappers.parameters import EngineTable, numbered
from sim2real.wrappers.seek import MODEL, STATE, Found, follow, inside, is_a, played, seek, the_one

AXES = "xyz"
# From MuJoCo's mjtGeom, mjtJoint, mjtTrn, mjtGain and mjtBias.
SHAPES = (2, 3, 4, 5, 6)  # sphere, capsule, ellipsoid, cylinder, box
FREE, SLIDE, HINGE = 0, 2, 3
TRANSMISSIONS = {0: "joint", 1: "joint", 3: "tendon"}
LIMITS = {"joint": "jnt_actfrcrange", "tendon": "tendon_actfrcrange"}
# What a motor's force is proportional to, by the law it follows: all of a linear one's coefficients, of a muscle its
# peak force and the scale that stands in for it.
PROPORTIONAL = {0: slice(None), 1: slice(None), 2: slice(2, 4)}


class Mujoco(EngineTable):
    """The parameters of a MuJoCo model: bodies, joints, motors, ground, gravity, shapes, kicks.

    Names are the model's, with the fields of sim2real's own environments: ``torso.mass`` (its inertia goes with
    it), ``torso.inertia``, ``torso.com_x``, ``knee.viscous_friction``, ``knee.coulomb_friction``,
    ``knee.armature``, ``knee.stiffness``, ``knee.strength`` (a motor is called as the joint it drives; where
    several drive one, each goes by its own name, and the joint's means all of them), ``knee.kp`` and ``knee.kd``
    of position and velocity servos, ``ground.friction`` (and ``foot.friction`` where shapes on the ground
    differ), ``gravity.z``, ``foot.size``, ``base.velocity_x``. Constants that MuJoCo derives from these are
    computed anew.

    Args:
        model: the ``mujoco.MjModel``.
        data: the ``mujoco.MjData`` that is stepped, for the kicks; without it there are none.

    >>> parameters = Mujoco.of(gym.make("Hopper-v5"))
    >>> parameters.set("torso.mass", 5.0)
    >>> round(parameters.spec("torso.mass").nominal, 2), parameters.get("torso.mass"), parameters.source
    (3.67, 5.0, 'MuJoCo, env.unwrapped.data')
    """

    def __init__(self, model: Any, data: Any = None) -> None:
        self._begin(lambda: (model, data), "MuJoCo")

    def _begin(self, find: Callable[[], tuple[Any, ...]], source: str) -> None:
        self._waits = self._stale = False
        super().__init__(find, source)

    @classmethod
    def of(cls, env: gym.Env[Any, Any]) -> "Mujoco":
        """Return the parameters of the MuJoCo model that an environment steps, also where it builds another one.

        Raises:
            Sim2RealError: if there is none, or it cannot be told which of several is stepped.
        """
        late = not inside(env, STATE, MODEL)
        found = simulation_in(env)
        if known := cls.known(env, *found.now(env)):
            return known
        table = cls.__new__(cls)
        with (
            played(env) if late else nullcontext()
        ):  # what a reset loads may be drawn: with this seed it is nominal
            table._begin(partial(found.now, env), f"MuJoCo, {found}")
        return table

    @property
    def clock(self) -> float | None:
        """The simulated time, in s."""
        self._renew()
        data = self._engine[1]
        return None if data is None else float(data.time)

    @contextmanager
    def together(self) -> Iterator[None]:
        """Derive what follows from several values once, after all of them are set."""
        self._waits = True
        try:
            yield
        finally:
            self._waits = False
            if self._stale:
                self._derive()

    def _derive(self) -> None:
        self._stale = self._waits
        if not self._waits:
            welded = self._model.eq_data.copy()  # which an environment sets where it holds something
            self._set_const()
            self._model.eq_data[:] = welded

    def _describe(self) -> None:
        import mujoco

        model, data = self._engine
        self._model = model
        # From 4.0 on mj_setConst also derives what follows from centres of mass and from sizes.
        self._derives_frames = int(mujoco.__version__.partition(".")[0]) >= 4
        self._set_const = partial(mujoco.mj_setConst, model, mujoco.MjData(model))
        self._groups: dict[str, tuple[str, ...]] = {}
        bodies = self._called("body", [model.body(body).name for body in range(model.nbody)])
        joints = self._called("joint", [model.joint(joint).name for joint in range(model.njnt)])
        for body in range(1, model.nbody):
            if model.body_mass[body] > 0.0 and moves(model, body):  # of what stands still no mass acts
                self._add_body(body, bodies[body])
        for joint in range(model.njnt):
            if model.jnt_type[joint] in (SLIDE, HINGE):
                self._add_joint(joint, joints[joint])
        self._add_motors(joints)
        geoms = self._geom_names(bodies)
        for geom in range(model.ngeom * self._derives_frames):
            if model.geom_type[geom] in SHAPES and model.geom_bodyid[geom] and collides(model, geom):
                self._add_shape(geom, geoms[geom])
        self._row("gravity.z", float(model.opt.gravity[2]), "m/s²", -100.0, 100.0, "Gravity along the vertical.",
                  partial(model.opt.gravity.__setitem__, 2), lambda: float(model.opt.gravity[2]))  # fmt: skip
        if pairs := list(ground_pairs(model)):
            self._add_friction(pairs, geoms)
        if data is not None:
            self._add_kicks(data, bodies)
        self.groups = self._groups

    def _called(self, kind: str, names: list[str]) -> list[str]:
        """Return names that occur once, also for what has none."""
        unique, groups = numbered([name or f"{kind}{i}" for i, name in enumerate(names)])
        self._groups |= {group: tuple(members) for group, members in groups.items()}
        return unique

    def _geom_names(self, bodies: list[str]) -> list[str]:
        """Return names of shapes; one without a name is called as its body."""
        names = [
            self._model.geom(geom).name or bodies[self._model.geom_bodyid[geom]]
            for geom in range(self._model.ngeom)
        ]
        unique, groups = numbered(names, ["ground"])
        self._groups = {group: tuple(members) for group, members in groups.items()} | self._groups
        return unique

    def _add_body(self, body: int, name: str) -> None:
        model = self._model
        mass_kg, com_m = float(model.body_mass[body]), model.body_ipos[body].copy()
        made = _Made(
            (model.body_mass[body : body + 1], model.body_inertia[body]),
            lambda by, mass, inertia: (mass * by["mass"], inertia * (by["mass"] * by["inertia"])),
            self._derive,
        )

        def move(axis: int, value: float) -> None:
            model.body_ipos[body, axis] = com_m[axis] + value
            self._derive()

        self._row(f"{name}.mass", mass_kg, "kg", 1e-3 * mass_kg, 1e3 * mass_kg,
                  "Mass of the link; its inertia goes with it.", *made.by("mass", mass_kg, 0))  # fmt: skip
        self._row(f"{name}.inertia", 1.0, "", 1e-3, 1e3,
                  "Rotational inertia of the link, as a multiple of the nominal.",
                  *made.by("inertia", 1.0, 1))  # fmt: skip
        # Where a body was compiled as simple, its mass matrix has no room for another centre of mass.
        simple = model.body_simple[body] or model.dof_simplenum[self._dofs(body)].any()
        reason = "" if self._derives_frames else "That needs MuJoCo 4."
        if simple:
            reason = (
                "MuJoCo compiled the body as simple, which body/simple='false' in its description prevents."
            )
        for axis, letter in enumerate(AXES):
            if reason:
                self._cannot(f"{name}.com_{letter}", f"The centre of mass of '{name}' cannot move: {reason}")
                continue
            self._row(f"{name}.com_{letter}", 0.0, "m", -1.0, 1.0,
                      f"Shift of the link's centre of mass along its {letter} axis.", partial(move, axis),
                      partial(_moved, model.body_ipos, (body, axis), float(com_m[axis])))  # fmt: skip

    def _dofs(self, body: int) -> slice:
        first = self._model.body_dofadr[body]
        return slice(first, first + self._model.body_dofnum[body])

    def _cannot(self, name: str, reason: str) -> None:
        self.impossible = {**self.impossible, name: reason}

    def _add_joint(self, joint: int, name: str) -> None:
        model = self._model
        dof = model.jnt_dofadr[joint]
        turns = model.jnt_type[joint] == HINGE
        force, per, inertia = ("N m", "/rad", "kg m²") if turns else ("N", "/m", "kg")
        for field, values, at, unit, most, doc in (
            ("viscous_friction", model.dof_damping, dof, f"{force} s{per}", 1e3, "Friction torque per joint speed."),
            ("coulomb_friction", model.dof_frictionloss, dof, force, 1e3,
             "Dry friction: torque below which the joint sticks."),
            ("armature", model.dof_armature, dof, inertia, 1e2, "Rotor inertia seen at the joint."),
            ("stiffness", model.jnt_stiffness, joint, f"{force}{per}", 1e4, "Of a spring in the joint."),
        ):  # fmt: skip
            self._entry(f"{name}.{field}", values, at, unit, (0.0, most), doc)

    def _entry(
        self, name: str, values: Any, at: Any, unit: str, bounds: tuple[float, float], doc: str
    ) -> None:
        """Register a parameter that is one entry of an array of the model."""
        if np.ndim(values[at]):  # a polynomial, its linear coefficient first
            at = (at, 0)
        self._row(name, float(values[at]), unit, *bounds, doc, partial(self._put, values, at),
                  lambda: float(values[at]))  # fmt: skip

    def _put(self, values: Any, at: Any, value: Any) -> None:
        values[at] = value
        self._derive()

    def _add_motors(self, joints: list[str]) -> None:
        model = self._model
        driven: defaultdict[tuple[str, int], list[int]] = defaultdict(list)
        for motor in range(model.nu):
            what = TRANSMISSIONS.get(int(model.actuator_trntype[motor]), "motor")
            driven[what, int(model.actuator_trnid[motor, 0]) if what in LIMITS else motor].append(motor)
        called = [model.actuator(motor).name or f"motor{motor}" for motor in range(model.nu)]
        for (what, place), motors in driven.items():
            if what == "joint" and len(motors) == 1 and model.joint(place).name:
                called[motors[0]] = joints[place]
        # A joint that several drive keeps its name for all of them.
        names, groups = numbered(
            called, [joints[at] for (what, at), on in driven.items() if what == "joint" and on[1:]]
        )
        self._groups |= {group: tuple(members) for group, members in groups.items()}
        for (what, place), motors in driven.items():
            if what == "joint" and len(motors) > 1:
                self._groups[joints[place]] = tuple(names[motor] for motor in motors)
            share = self._shared_limit(what, place, motors)
            for motor in motors:
                self._add_motor(motor, names[motor], partial(share, motor))

    def _shared_limit(self, what: str, place: int, motors: list[int]) -> Callable[[int, float], None]:
        """Return what tells the limit of a joint's or tendon's force that a motor on it has another strength.

        The limit follows the mean strength of the motors that share it.
        """
        if not hasattr(self._model, LIMITS.get(what, "")):  # tendons have none before MuJoCo 3.3.1
            return lambda motor, strength: None
        limit = getattr(self._model, LIMITS[what])[place]
        nominal, strengths = limit.copy(), dict.fromkeys(motors, 1.0)

        def follow(motor: int, strength: float) -> None:
            strengths[motor] = strength
            limit[:] = nominal * (sum(strengths.values()) / len(strengths))

        return follow

    def _add_motor(self, motor: int, name: str, then: Callable[[float], None]) -> None:
        """Register a motor's strength, and its gains where it is a servo."""
        model = self._model
        kinds = int(model.actuator_gaintype[motor]), int(model.actuator_biastype[motor])
        if not all(kind in PROPORTIONAL for kind in kinds):
            self._cannot(
                f"{name}.strength", f"The force of '{name}' follows a law that a factor does not scale."
            )
            return
        gains, biases = (
            values[motor, PROPORTIONAL[kind]]
            for values, kind in zip((model.actuator_gainprm, model.actuator_biasprm), kinds, strict=True)
        )
        if not (gains.any() or biases.any()):
            self._cannot(f"{name}.strength", f"'{name}' has no gain, so it delivers no force.")
            return
        # A servo's force is gain * command - kp * position - kd * speed.
        servo = kinds == (0, 1) and gains[0] > 0.0
        positions = servo and biases[1] == -gains[0]
        paces = servo and not biases[1] and biases[2] == -gains[0]
        kp = float(gains[0]) if positions else 0.0
        kd = float(-biases[2]) if positions or paces else 0.0

        def scaled(by: Mapping[str, float], gain: Any, bias: Any, limits: Any) -> tuple[Any, ...]:
            bias = bias * by["strength"]
            if servo:
                bias[1:3] *= by["kp"], by["kd"]
            return gain * (by["strength"] * by["kp" if positions else "kd"]), bias, limits * by["strength"]

        made = _Made((gains, biases, model.actuator_forcerange[motor]), scaled)
        put, read = made.by("strength", 1.0, 0 if gains.any() else 1)

        def weaken(value: float) -> None:
            put(value)
            then(value)

        self._row(
            f"{name}.strength", 1.0, "", 0.0, 10.0, "Torque delivered per torque asked for.", weaken, read
        )
        joint = int(model.actuator_trnid[motor, 0]) if int(model.actuator_trntype[motor]) in (0, 1) else -1
        force, per = ("N", "/m") if joint >= 0 and model.jnt_type[joint] == SLIDE else ("N m", "/rad")
        for kind, row, unit, nominal, doc in (
            ("kp", 0, f"{force}{per}", kp, "Proportional gain of the motor controller."),
            ("kd", 1, f"{force} s{per}", kd, "Derivative gain of the motor controller."),
        ):
            if nominal > 0.0:
                self._row(
                    f"{name}.{kind}", nominal, unit, 0.0, 1e3 * nominal, doc, *made.by(kind, nominal, row)
                )

    def _add_shape(self, geom: int, name: str) -> None:
        model, nominal = self._model, self._model.geom_size[geom].copy()
        self._row(f"{name}.size", 1.0, "", 0.1, 10.0,
                  "Size of the shape that touches, as a multiple of the nominal; mass stays.",
                  lambda value: self._put(model.geom_size, geom, nominal * value),
                  lambda: _share(model.geom_size[geom], nominal))  # fmt: skip

    def _add_friction(self, pairs: list[Pair], geoms: list[str]) -> None:
        """Register the friction of the ground, and of each shape on it where they differ.

        All coefficients of the model go with the ground's, as the larger of two counts in a contact.
        """
        import mujoco

        model = self._model
        if model.opt.enableflags & mujoco.mjtEnableBit.mjENBL_OVERRIDE:
            self._cannot("ground.friction", "The model overrides the friction of every contact (o_friction).")
            return
        best = max(pairs, key=lambda pair: pair.friction)
        if best.friction <= 0.0:
            self._cannot("ground.friction", "Nothing that can touch the ground has friction on it.")
            return
        mine: defaultdict[int, list[Pair]] = defaultdict(list)
        for pair in pairs:
            mine[pair.geom].append(pair)

        flexes = getattr(model, "flex_friction", np.empty((0, 3)))  # since MuJoCo 3

        def scaled(by: Mapping[str, float], shapes: Any, described: Any, soft: Any) -> tuple[Any, ...]:
            shapes, described, soft = (values * by["ground"] for values in (shapes, described, soft))
            for geom, on_ground in mine.items():
                explicit = [pair.explicit for pair in on_ground if pair.explicit is not None]
                described[explicit] *= by[geoms[geom]]
                if len(explicit) < len(on_ground):
                    shapes[geom] *= by[geoms[geom]]
            return shapes, described, soft

        made = _Made((model.geom_friction[:, 0], model.pair_friction[:, :2], flexes[:, 0]), scaled)

        def now(kind: str, nominal: float, on_ground: list[Pair]) -> float:
            """Return the coefficient that is farthest from what was set, in terms of the one that was."""
            told = made.wanted(kind, nominal)
            others = {
                pair: made.factor(geoms[pair.geom] if kind == "ground" else "ground") for pair in on_ground
            }
            found = [
                friction_now(model, pair) * nominal / (pair.friction * other)
                for pair, other in others.items() if pair.friction * other
            ]  # fmt: skip
            farthest = max(found, key=lambda one: abs(one - told), default=told)
            return told if math.isclose(farthest, told, abs_tol=1e-12) else farthest

        alike = len({pair.friction for pair in pairs}) == 1
        which = "what touches it" if alike else f"what grips it best, '{geoms[best.geom]}'"
        self._row("ground.friction", best.friction, "", 1e-3, 10.0,
                  f"Coulomb coefficient between the ground and {which}; all others go with it.",
                  made.by("ground", best.friction)[0], partial(now, "ground", best.friction, pairs))  # fmt: skip
        for geom, on_ground in mine.items() if not alike else ():
            name, friction = f"{geoms[geom]}.friction", max(pair.friction for pair in on_ground)
            if not (friction and all(pair.decides for pair in on_ground)):
                self._cannot(
                    name, f"The ground decides the friction of '{geoms[geom]}': ground.friction changes it."
                )
                continue
            self._row(name, friction, "", max(pair.least for pair in on_ground), 10.0,
                      "Coulomb coefficient between the shape and the ground, at the ground's nominal one.",
                      made.by(geoms[geom], friction)[0],
                      partial(now, geoms[geom], friction, on_ground))  # fmt: skip

    def _add_kicks(self, data: Any, bodies: list[str]) -> None:
        """Register kicks of what the motors move, along the axes in which its first body moves freely."""
        model = self._model
        driven = model.actuator_trnid[model.actuator_trntype <= 1, 0]  # joints
        moved = model.jnt_bodyid[driven]
        roots = list(dict.fromkeys(int(model.body_rootid[body]) for body in moved)) or list(
            range(1, min(2, model.nbody))
        )
        names = ["base"] if len(roots) == 1 else [bodies[root] for root in roots]
        if len(roots) > 1:
            self._groups["base"] = tuple(names)
        for root, name in zip(roots, names, strict=True):
            for letter, dof, sign in self._free_axes(root):
                self._row(f"{name}.velocity_{letter}", 0.0, "m/s", -100.0, 100.0,
                          f"A kick: added at once to the base's velocity along world {letter}.",
                          partial(_kick, data.qvel, dof, sign), transient=True)  # fmt: skip

    def _free_axes(self, body: int) -> Iterator[tuple[str, int, float]]:
        """Return the world axes along which a root body slides: letter, degree of freedom, and its direction."""
        import mujoco

        model = self._model
        turned = np.zeros(9)
        mujoco.mju_quat2Mat(turned, model.body_quat[body])
        for joint in range(model.body_jntadr[body], model.body_jntadr[body] + model.body_jntnum[body]):
            dof = int(model.jnt_dofadr[joint])
            if model.jnt_type[joint] == FREE:
                yield from ((letter, dof + i, 1.0) for i, letter in enumerate(AXES))
            elif model.jnt_type[joint] == SLIDE:
                way = turned.reshape(3, 3) @ model.jnt_axis[joint]
                for letter, along in zip(AXES, way, strict=True):
                    if abs(along) > 1.0 - 1e-9:
                        yield letter, dof, float(np.sign(along))


class Simulated(NamedTuple):
    """Where a simulation is inside an environment: its state, None where there is none, and its model."""

    data: Found | None
    model: Found | None

    def __str__(self) -> str:
        """Return the way to it."""
        return str(self.data or self.model)

    def now(self, env: gym.Env[Any, Any]) -> tuple[Any, Any]:
        """Return the model and the state that are there now, or wherever there is a simulation now."""
        data = self.data and follow(env, self.data.way)
        model = getattr(data, "model", None) or (self.model and follow(env, self.model.way))
        if not is_a(model, *MODEL) or (self.data and not is_a(data, *STATE)):
            found = simulation_in(env)
            data, model = found.data and found.data.thing, found.model and found.model.thing
            return getattr(data, "model", model), data
        return model, data


def simulation_in(env: gym.Env[Any, Any]) -> Simulated:
    """Return where the MuJoCo simulation is that an environment steps.

    Raises:
        Sim2RealError: if there is none, or it cannot be told which of several is stepped.
    """
    found = seek(env, STATE, MODEL)
    states = [one for one in found if is_a(one.thing, *STATE)]
    models = [one for one in found if is_a(one.thing, *MODEL)]
    state = states and the_one(
        env, states, lambda data: data.time, "give Mujoco(model, data) the one that is meant."
    )
    if state and hasattr(state.thing, "model"):
        return Simulated(state, None)
    if state and len(models) > 1:  # MuJoCo before 3.1 does not tell whose state it is: its neighbour's
        models = [one for one in models if one.way[:-1] == state.way[:-1]]
    if len(models) != 1:
        raise Sim2RealError(
            f"It cannot be told which MuJoCo model {type(env.unwrapped).__name__} steps "
            f"({', '.join(map(str, found))}): give Mujoco(model, data) the one that is meant."
        )
    return Simulated(state or None, models[0])


class _Made:
    """Entries of a model that several parameters make together, each by a factor to its nominal value.

    Args:
        rows: the entries, as views into the model's arrays.
        made: returns what they are, of the factors by kind and of their nominal values.
        then: is called when they have changed.
    """

    def __init__(
        self,
        rows: tuple[Any, ...],
        made: Callable[..., tuple[Any, ...]],
        then: Callable[[], None] = lambda: None,
    ) -> None:
        self._rows, self._nominal = rows, tuple(row.copy() for row in rows)
        self._made, self._then = made, then
        self._factors: defaultdict[str, float] = defaultdict(lambda: 1.0)
        self._values: dict[str, float] = {}

    def wanted(self, kind: str, nominal: float) -> float:
        """Return what a parameter was set to last, nominal before."""
        return self._values.get(kind, nominal)

    def factor(self, kind: str) -> float:
        """Return a parameter's factor to its nominal value."""
        return self._factors[kind]

    def by(
        self, kind: str, nominal: float, row: int = 0
    ) -> tuple[Callable[[float], None], Callable[[], float]]:
        """Return what sets and what reads a parameter; a row tells its value where somebody else wrote to them."""
        once, twice = (
            self._made(defaultdict(lambda: 1.0, {kind: factor}), *self._nominal) for factor in (1.0, 2.0)
        )
        # What the parameter has no part in may have been written by the environment, and stays.
        parts = [one != other for one, other in zip(once, twice, strict=True)]

        def put(value: float) -> None:
            self._factors[kind], self._values[kind] = value / nominal, value
            made = self._made(self._factors, *self._nominal)
            for entries, values, part in zip(self._rows, made, parts, strict=True):
                entries[part] = values[part]
            self._then()

        def read() -> float:
            made = self._made(self._factors, *self._nominal)
            whole = zip(self._rows, made, parts, strict=True)
            if all(np.array_equal(entries[part], values[part]) for entries, values, part in whole):
                return self.wanted(kind, nominal)
            if made[row].any():
                return self.wanted(kind, nominal) * _share(self._rows[row].ravel(), made[row].ravel())
            return nominal * _share(self._rows[row].ravel(), self._nominal[row].ravel())

        return put, read


def _share(now: Any, nominal: Any) -> float:
    """Return by what factor values are larger than the nominal ones, by the largest of these."""
    at = int(np.argmax(np.abs(nominal)))
    return float(now[at] / nominal[at]) if nominal[at] else 1.0


def _moved(values: Any, at: Any, nominal: float) -> float:
    return float(values[at] - nominal)


def _kick(velocity: Any, dof: int, sign: float, value: float) -> None:
    velocity[dof] += sign * value

"""The parameters of a MuJoCo model that somebody else's environment steps."""

from functools import partial
from typing import Any

import gymnasium as gym
import numpy as np

from sim2real.wrappers.parameters import Table, seek

AXES = "xyz"
# From MuJoCo's mjtGeom, mjtJoint, mjtTrn, mjtGain and mjtBias.
PLANE, SHAPES = 0, (2, 3, 4, 5, 6)  # sphere, capsule, ellipsoid, cylinder, box
FREE, SLIDE, HINGE = 0, 2, 3
TO_JOINT = (0, 1)
LINEAR = (0, 1)  # forces that are linear in command and state


class Mujoco(Table):
    """The parameters of a MuJoCo model: bodies, joints, motors, ground, gravity, shapes, kicks.

    Names are the model's, with the fields of sim2real's own environments: ``torso.mass`` (its inertia goes with
    it), ``torso.inertia``, ``torso.com_x``, ``knee.viscous_friction``, ``knee.coulomb_friction``,
    ``knee.armature``, ``knee.stiffness``, ``knee.strength`` (a motor is called as the joint it drives),
    ``knee.kp`` and ``knee.kd`` of a position servo, ``ground.friction``, ``gravity.z``, ``foot.size``,
    ``base.velocity_x``. Constants that MuJoCo derives from these are computed anew.

    Args:
        model: the ``mujoco.MjModel``.
        data: the ``mujoco.MjData`` that is stepped, for the kicks; without it there are none.

    >>> parameters = Mujoco.of(gym.make("Hopper-v5"))
    >>> parameters.set("torso.mass", 5.0)
    >>> round(parameters.spec("torso.mass").nominal, 2), parameters.get("torso.mass")
    (3.67, 5.0)
    """

    def __init__(self, model: Any, data: Any = None) -> None:
        import mujoco

        super().__init__()
        self._model = model
        self._centres_move = (
            int(mujoco.__version__.partition(".")[0]) >= 4
        )  # mj_setConst then derives all of it
        # From 4.0 on mj_setConst also derives what follows from centres of mass and from sizes.
        self._derives_frames = int(mujoco.__version__.partition(".")[0]) >= 4
        self._derive = partial(mujoco.mj_setConst, model, mujoco.MjData(model))
        for body in range(1, model.nbody):
            if model.body_mass[body] > 0.0:
                self._add_body(body)
        for joint in range(model.njnt):
            if model.jnt_type[joint] in (SLIDE, HINGE):
                self._add_joint(joint)
        for motor in range(model.nu):
            if model.actuator_gaintype[motor] in LINEAR and model.actuator_biastype[motor] in LINEAR:
                self._add_motor(motor)
        for geom in range(model.ngeom * self._derives_frames):
            if model.geom_type[geom] in SHAPES and model.geom_bodyid[geom] and model.geom(geom).name:
                self._add_shape(geom)
        self._add_world()
        if data is not None:
            self._add_kicks(data)

    @classmethod
    def of(cls, env: gym.Env[Any, Any]) -> "Mujoco":
        """Return the parameters of the first MuJoCo model in an environment.

        Raises:
            Sim2RealError: if there is none.
        """
        return cls(seek(env, "mujoco", "MjModel"), seek(env, "mujoco", "MjData"))

    def _add_body(self, body: int) -> None:
        model = self._model
        name = model.body(body).name or f"body{body}"
        mass_kg, inertia = float(model.body_mass[body]), model.body_inertia[body].copy()
        com_m, shift_m = model.body_ipos[body].copy(), np.zeros(3)
        factors = {"mass": 1.0, "inertia": 1.0}

        def spread(kind: str, nominal: float, value: float) -> None:
            factors[kind] = value / nominal
            model.body_mass[body] = mass_kg * factors["mass"]
            model.body_inertia[body] = inertia * (factors["mass"] * factors["inertia"])
            self._derive()

        def move(axis: int, value: float) -> None:
            shift_m[axis] = value
            model.body_ipos[body] = com_m + shift_m
            self._derive()

        self._row(f"{name}.mass", mass_kg, "kg", 1e-3 * mass_kg, 1e3 * mass_kg,
                  "Mass of the link; its inertia goes with it.", partial(spread, "mass", mass_kg))  # fmt: skip
        self._row(f"{name}.inertia", 1.0, "", 1e-3, 1e3,
                  "Rotational inertia of the link, as a multiple of the nominal.",
                  partial(spread, "inertia", 1.0))  # fmt: skip
        dofs = slice(model.body_dofadr[body], model.body_dofadr[body] + model.body_dofnum[body])
        # Where a body was compiled as simple, its mass matrix has no room for another centre of mass.
        if model.dof_simplenum[dofs].any() or not self._derives_frames:
            return
        for axis, letter in enumerate(AXES):
            self._row(f"{name}.com_{letter}", 0.0, "m", -1.0, 1.0,
                      f"Shift of the link's centre of mass along its {letter} axis.", partial(move, axis))  # fmt: skip

    def _add_joint(self, joint: int) -> None:
        model = self._model
        name, dof = model.joint(joint).name or f"joint{joint}", model.jnt_dofadr[joint]
        turns = model.jnt_type[joint] == HINGE
        force, per, inertia = ("N m", "/rad", "kg m²") if turns else ("N", "/m", "kg")
        for field, values, at, unit, most, doc in (
            ("viscous_friction", model.dof_damping, dof, f"{force} s{per}", 1e3, "Friction torque per joint speed."),
            ("coulomb_friction", model.dof_frictionloss, dof, force, 1e3,
             "Dry friction: torque below which the joint sticks."),
            ("armature", model.dof_armature, dof, inertia, 1e2, "Rotor inertia seen at the joint."),
            ("stiffness", model.jnt_stiffness, joint, f"{force}{per}", 1e4, "Of a spring in the joint."),
        ):  # fmt: skip
            self._row(
                f"{name}.{field}", float(values[at]), unit, 0.0, most, doc, partial(self._put, values, at)
            )

    def _put(self, values: Any, at: Any, value: Any) -> None:
        values[at] = value
        self._derive()

    def _add_motor(self, motor: int) -> None:
        model = self._model
        driven = model.actuator_trnid[motor, 0] if model.actuator_trntype[motor] in TO_JOINT else -1
        name = (
            (model.joint(driven).name if driven >= 0 else "") or model.actuator(motor).name or f"motor{motor}"
        )
        rows = model.actuator_gainprm[motor], model.actuator_biasprm[motor], model.actuator_forcerange[motor]
        gain, bias, limits = (row.copy() for row in rows)
        factors = {"strength": 1.0, "kp": 1.0, "kd": 1.0}

        def scale(kind: str, nominal: float, value: float) -> None:
            factors[kind] = value / nominal
            stiffer, damper, stronger = factors["kp"], factors["kd"], factors["strength"]
            model.actuator_gainprm[motor] = gain * stronger * stiffer
            model.actuator_biasprm[motor] = bias * stronger
            model.actuator_biasprm[motor, 1:3] *= stiffer, damper
            model.actuator_forcerange[motor] = limits * stronger

        self._row(f"{name}.strength", 1.0, "", 0.0, 10.0,
                  "Torque delivered per torque asked for.", partial(scale, "strength", 1.0))  # fmt: skip
        if (
            gain[0] > 0.0 and bias[1] == -gain[0]
        ):  # a position servo: gain * command - kp * position - kd * speed
            for kind, unit, nominal, doc in (
                ("kp", "N m/rad", float(gain[0]), "Proportional gain of the motor controller."),
                ("kd", "N m s/rad", float(-bias[2]), "Derivative gain of the motor controller."),
            ):
                if nominal > 0.0:
                    setter = partial(scale, kind, nominal)
                    self._row(f"{name}.{kind}", nominal, unit, 0.0, 1e3 * nominal, doc, setter)

    def _add_shape(self, geom: int) -> None:
        model, nominal = self._model, self._model.geom_size[geom].copy()
        self._row(f"{model.geom(geom).name}.size", 1.0, "", 0.1, 10.0,
                  "Size of the shape that touches, as a multiple of the nominal; mass stays.",
                  lambda value: self._put(model.geom_size, geom, nominal * value))  # fmt: skip

    def _add_world(self) -> None:
        model = self._model
        self._row("gravity.z", float(model.opt.gravity[2]), "m/s²", -100.0, 100.0,
                  "Gravity along the vertical.", partial(model.opt.gravity.__setitem__, 2))  # fmt: skip
        static = model.body_weldid[model.geom_bodyid] == 0
        if not (static & (model.geom_type == PLANE)).any():
            return
        # The larger of two coefficients counts in a contact, so all have to go together.
        values = model.geom_friction[:, 0], model.pair_friction[:, :2]
        kept = [value.copy() for value in values]
        nominal = float(kept[0].max())

        def scale(value: float) -> None:
            for row, before in zip(values, kept, strict=True):
                row[:] = before * (value / nominal)

        self._row("ground.friction", nominal, "", 1e-3, 10.0,
                  "Coulomb coefficient between the ground and what grips it best; all others go with it.",
                  scale)  # fmt: skip

    def _add_kicks(self, data: Any) -> None:
        """Register kicks where the first body moves freely along an axis."""
        model = self._model
        first, count = (int(of[1]) for of in (model.body_jntadr, model.body_jntnum))
        for joint in range(first, first + count):
            dof, axis = model.jnt_dofadr[joint], model.jnt_axis[joint]
            moves = (
                np.eye(3) if model.jnt_type[joint] == FREE else axis[None] * (model.jnt_type[joint] == SLIDE)
            )
            for i, way in enumerate(moves):
                for letter, straight in zip(AXES, np.eye(3), strict=True):
                    if np.array_equal(way, straight):
                        setter = partial(_kick, data.qvel, dof + i)
                        self._row(f"base.velocity_{letter}", 0.0, "m/s", -100.0, 100.0,
                                  f"A kick: added at once to the base's velocity along world {letter}.",
                                  setter, transient=True)  # fmt: skip


def _kick(velocity: Any, dof: int, value: float) -> None:
    velocity[dof] += value

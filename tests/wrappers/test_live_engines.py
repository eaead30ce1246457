"""What is told of a foreign engine has happened in the one that is stepped now, whatever a reset builds."""

from copy import deepcopy

import gymnasium as gym
import mujoco
import numpy as np
import pybullet
import pytest
from pybullet_utils.bullet_client import BulletClient

from sim2real import Perturbed, Sim2RealError, Uniform, discover, scale, set_to
from sim2real.perturb import matching
from sim2real.study.rollout import episode
from sim2real.testing import check_parameters, check_perturbed
from sim2real.wrappers import Bullet, Mujoco

ARM = """<mujoco><worldbody>
<body name="arm"><joint name="j" axis="0 1 0"/>
<geom type="capsule" fromto="0 0 0 .5 0 0" size=".05" mass="{mass}"/></body></worldbody>
<actuator><motor joint="j"/></actuator></mujoco>"""


class Swinging(gym.Env):
    """An arm that keeps its model, and resets its state alone."""

    dt = 0.02
    action_space = gym.spaces.Box(-1, 1, (1,), np.float32)

    def __init__(self):
        self._build()

    def _build(self, mass_kg=1.0):
        self.model = mujoco.MjModel.from_xml_string(ARM.format(mass=mass_kg))
        self.data = mujoco.MjData(self.model)

    @property
    def observation_space(self):
        return gym.spaces.Box(-np.inf, np.inf, (self.model.nq + self.model.nv,), np.float64)

    def _observe(self):
        return np.concatenate([self.data.qpos, self.data.qvel])

    def _begin(self):
        mujoco.mj_resetData(self.model, self.data)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self._begin()
        return self._observe(), {}

    def step(self, action):
        self.data.ctrl[:] = action
        mujoco.mj_step(self.model, self.data, 10)
        return self._observe(), 0.0, False, False, {}


class Rebuilding(Swinging):
    """Builds its model anew at every reset."""

    def _begin(self):
        self._build()


class Drawing(Swinging):
    """Draws its own mass at every reset."""

    def _begin(self):
        super()._begin()
        self.model.body_mass[1] = self.np_random.uniform(0.9, 1.1)


class Varying(Swinging):
    """Builds another model at every reset."""

    def _begin(self):
        self._build(self.np_random.uniform(0.9, 1.1))


class Stubborn(Swinging):
    """Gives its arm 1 kg before every step."""

    def step(self, action):
        self.model.body_mass[1] = 1.0
        return super().step(action)


@pytest.mark.parametrize("kind", [Swinging, Rebuilding, Drawing, Varying])
def test_what_is_told_is_what_the_engine_has(kind):
    """At every reset the value that is told is in the model that is stepped, with its inertia, and acts."""
    env = kind()
    perturbed = Perturbed(env, [scale("parameter:arm.mass", Uniform(1.5, 3.0))], parameters=discover)
    fresh = mujoco.MjModel.from_xml_string(ARM.format(mass=1.0))
    for seed in range(4):
        told = perturbed.reset(seed=seed)[1]["parameters"]["arm.mass"]
        assert env.model.body_mass[1] == pytest.approx(told)
        assert env.model.body_inertia[1] == pytest.approx(told * fresh.body_inertia[1], rel=1e-6)
        speed = perturbed.step(np.ones(1, np.float32))[0][1]
        heavy = mujoco.MjModel.from_xml_string(ARM.format(mass=told))
        state = mujoco.MjData(heavy)
        state.ctrl[:] = 1.0
        mujoco.mj_step(heavy, state, 10)
        assert speed == pytest.approx(state.qvel[0], rel=1e-6)
    perturbed.restore()
    assert env.model.body_mass[1] == pytest.approx(1.0)
    assert env.model.body_inertia[1] == pytest.approx(fresh.body_inertia[1], rel=1e-6)


@pytest.mark.parametrize("kind", [Swinging, Rebuilding])
def test_the_laws_hold_where_a_model_is_built_anew(kind):
    """A model that is replaced at each reset keeps every law, as one that stays."""
    check_perturbed(kind, [scale("parameter:arm.mass", 2.0)], parameters=discover)
    env = kind()
    check_parameters(env, parameters=discover(env), names=["arm.mass", "j.strength", "j.armature"])


def test_a_value_that_an_environment_draws_itself_is_told():
    """Where nothing was set and another value than the nominal is read, the environment is named."""
    env = Drawing()
    with pytest.raises(
        AssertionError, match="though nobody set it: the environment draws or changes it by itself"
    ):
        check_parameters(env, parameters=discover(env), names=["arm.mass"])


def test_a_value_that_is_taken_back_while_an_episode_runs_is_refused():
    """Not told, not stored: the first step says that the environment takes it back."""
    perturbed = Perturbed(Stubborn(), [scale("parameter:arm.mass", 2.0)], parameters=discover)
    perturbed.reset(seed=0)
    with pytest.raises(Sim2RealError, match="arm.mass was set to 2 kg, and the simulator has 1"):
        perturbed.step(np.ones(1, np.float32))


class Twins(Swinging):
    """Keeps a copy of its model for planning, and steps the second alone."""

    def _build(self, mass_kg=1.0):
        model = mujoco.MjModel.from_xml_string(ARM.format(mass=5.0))
        self.plan = (model, mujoco.MjData(model))
        super()._build(mass_kg)


class Both(Twins):
    """Steps both."""

    def step(self, action):
        mujoco.mj_step(*self.plan)
        return super().step(action)


def test_of_several_simulations_the_one_is_meant_that_is_stepped():
    """A copy that a planner keeps is passed over; where both are stepped, one has to be named."""
    parameters = discover(Twins())
    assert parameters.source == "MuJoCo, env.unwrapped.data"
    assert parameters.spec("arm.mass").nominal == pytest.approx(1.0)
    with pytest.raises(
        Sim2RealError,
        match=r"2 engines in Both \(env.unwrapped.data, env.unwrapped.plan\[1\]\), and a step moves 2",
    ):
        discover(Both())


class Old:
    """A state that does not tell its model, as before MuJoCo 3.1."""

    time = 0.0


Old.__name__, Old.__module__ = "MjData", "mujoco"


def test_a_state_that_does_not_tell_its_model_goes_with_its_neighbour():
    """Of two models the one beside the state is meant; where there is none, one has to be named."""
    env = Swinging()
    env.data, env.plan = Old(), {"model": mujoco.MjModel.from_xml_string(ARM.format(mass=5.0))}
    env.reset = env.step = None
    assert Mujoco.of(env).spec("arm.mass").nominal == pytest.approx(1.0)
    env.data, env.held = None, {"data": Old()}
    with pytest.raises(Sim2RealError, match="It cannot be told which MuJoCo model Swinging steps"):
        Mujoco.of(env)


class Planning(Twins):
    """Moves without its simulations, which are there to plan with."""

    def _build(self, mass_kg=1.0):
        super()._build(mass_kg)
        del self.data

    def _begin(self):
        self._build()

    def _observe(self):
        return np.zeros(2)

    def step(self, action):
        return np.asarray(action).repeat(2).astype(float), 0.0, False, False, {}


def test_a_simulation_that_no_step_moves_is_refused():
    """What is changed in it is changed in nothing that is observed."""
    perturbed = Perturbed(Planning(), [scale("parameter:arm.mass", 2.0)], parameters=discover)
    perturbed.reset(seed=0)
    with pytest.raises(
        Sim2RealError, match="A step does not move the simulation whose parameters are perturbed"
    ):
        perturbed.step(np.ones(1, np.float32))


def test_an_attribute_of_another_meaning_is_no_table():
    """An unrelated attribute called parameters hides no engine."""
    env = Swinging()
    env.parameters = {"seed": 3}
    assert "arm.mass" in discover(env).names()
    Perturbed(env, [])


def test_an_engine_that_cannot_be_described_is_told():
    """No error of an adapter is swallowed."""
    env = Swinging()
    env.model.geom_friction[:] = np.nan
    env.data.model.opt.gravity[2] = np.nan
    assert "not a finite number" in discover(env).impossible["gravity.z"]
    env.plan = BulletClient(pybullet.DIRECT)
    with pytest.raises(Sim2RealError, match="engines of MuJoCo and of PyBullet"):
        discover(env)
    env.plan.disconnect()


class Dropping(gym.Env):
    """Cubes of one description that fall, in a client that is made anew or cleared at each reset."""

    observation_space = gym.spaces.Box(-np.inf, np.inf, (3,), np.float64)
    action_space = gym.spaces.Box(-1, 1, (1,), np.float32)

    def __init__(self, file, fresh=True, shuffled=False, flags=0):
        self._file, self._fresh, self._shuffled, self._flags = str(file), fresh, shuffled, flags
        self.client = None

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        if self._fresh and self.client is not None:
            self.client.disconnect()
        if self._fresh or self.client is None:
            self.client = BulletClient(pybullet.DIRECT)
        self.client.resetSimulation()
        self.client.setGravity(0, 0, -10)
        count = 1 + int(self._shuffled and self.np_random.integers(2))
        for _ in range(count - 1):
            self.client.createMultiBody(
                0.0, self.client.createCollisionShape(pybullet.GEOM_SPHERE, radius=0.1)
            )
        self.cubes = [self.client.loadURDF(self._file, [i, 0, 1], flags=self._flags) for i in range(3)]
        return self._observe(), {}

    def _observe(self):
        return np.array([self.client.getBasePositionAndOrientation(cube)[0][2] for cube in self.cubes])

    def step(self, action):
        self.client.applyExternalForce(
            self.cubes[0], -1, [0, 0, 5 * float(action[0])], [0, 0, 0], pybullet.LINK_FRAME
        )
        self.client.stepSimulation()
        return self._observe(), 0.0, False, False, {}

    def close(self):
        if self.client is not None:
            self.client.disconnect()
            self.client = None

    def masses(self):
        return [self.client.getDynamicsInfo(cube, -1)[0] for cube in self.cubes]


@pytest.fixture
def cube(tmp_path):
    """Return the description of a cube of 0.1 kg."""
    file = tmp_path / "cube.urdf"
    file.write_text("""<robot name="cube"><link name="cube"><inertial><mass value="0.1"/>
<inertia ixx="0.001" ixy="0" ixz="0" iyy="0.001" iyz="0" izz="0.001"/></inertial>
<collision><geometry><box size="0.1 0.1 0.1"/></geometry></collision></link></robot>""")
    return file


@pytest.mark.parametrize(("fresh", "shuffled"), [(True, False), (False, False), (False, True)])
def test_bodies_are_found_by_their_names_in_whatever_was_loaded(cube, fresh, shuffled):
    """Three of one description have a name each, in a new client and among other bodies, and a pattern means all."""
    env = Dropping(cube, fresh, shuffled)
    parameters = Bullet.of(env)
    assert {"cube_1.mass", "cube_2.mass", "cube_3.mass"} <= set(parameters.names())
    for pattern, expected in (
        ("*.mass", [0.2] * 3),
        ("cube.mass", [0.2] * 3),
        ("cube_2.mass", [0.1, 0.2, 0.1]),
    ):
        perturbed = Perturbed(env, [scale(f"parameter:{pattern}", 2.0)], parameters=parameters)
        for seed in range(3):
            perturbed.reset(seed=seed)
            perturbed.step(np.zeros(1, np.float32))
            assert env.masses() == pytest.approx(expected)
        perturbed.restore()
        assert env.masses() == pytest.approx([0.1] * 3)
    env.close()


def test_the_laws_hold_in_a_client_that_is_made_anew(cube):
    """A heavier cube falls as fast, but is pushed less, by the client that is stepped."""
    heavier = [set_to("parameter:cube_1.mass", 0.4), scale("parameter:gravity.z", 0.5)]
    check_perturbed(lambda: Dropping(cube), heavier, parameters=Bullet.of, steps=10)


def test_a_body_without_inertia_has_none_to_change(cube):
    """What is zero stays zero times any factor, so it is no parameter; its mass is one."""
    cube.write_text(cube.read_text().replace("0.001", "0"))
    env = Dropping(cube, flags=pybullet.URDF_USE_INERTIA_FROM_FILE)
    parameters = Bullet.of(env)
    assert "cube_1.mass" in parameters.names()
    assert "cube_1.inertia" not in parameters.names()
    parameters.set("cube_1.mass", 0.4)
    assert env.masses() == pytest.approx([0.4, 0.1, 0.1])
    env.close()


def test_latency_is_not_offered_where_no_motor_is_commanded(cube):
    """Forces from outside are no motor commands, so nothing could be late."""
    parameters = Bullet.of(Dropping(cube))
    assert "actuator.latency_s" not in parameters.names()
    with pytest.raises(Sim2RealError, match="command no such motor"):
        parameters.spec("actuator.latency_s")


MOTORS = """<mujoco><option gravity="0 0 0"/><worldbody>
<body><joint name="a" axis="0 1 0" {limit}/><geom type="capsule" fromto="0 0 0 .5 0 0" size=".05"/>
<body pos=".5 0 0"><joint name="b" axis="0 1 0" range="-1 1" limited="true"/>
<geom type="capsule" fromto="0 0 0 .5 0 0" size=".05"/></body></body>
</worldbody><tendon><fixed name="t"><joint joint="b" coef="1"/></fixed></tendon>
<actuator>{motors}</actuator></mujoco>"""
KINDS = {
    "motor": ('<motor joint="a"/>', ""),
    "motor within its own limit": ('<motor joint="a" gear="20" forcelimited="true" forcerange="-.5 .5"/>', ""),
    "motor within the joint's limit": ('<motor joint="a" gear="20"/>', 'actuatorfrcrange="-3 3"'),
    "position": ('<position joint="a" kp="20" kv="2"/>', 'actuatorfrcrange="-3 3"'),
    "velocity": ('<velocity joint="a" kv="2"/>', ""),
    "position and velocity": ('<position name="p" joint="a" kp="9"/><velocity name="v" joint="a" kv="2"/>', ""),
    "antagonists": ('<motor name="p" joint="a" gear="3"/><motor name="q" joint="a" gear="-2"/>',
                    'actuatorfrcrange="-.5 .5"'),
    "muscle": ('<muscle name="m" joint="b" force="30"/>', ""),
    "muscle that is scaled": ('<muscle name="m" joint="b" scale="200"/>', ""),
    "tendon": ('<motor name="w" tendon="t" gear="2"/>', ""),
    "affine": ('<general joint="a" gaintype="affine" gainprm="2 1 .5" biastype="affine" biasprm="1 -3 -.2"/>', ""),
}  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
def test_half_the_strength_is_half_the_force_of_any_motor(kind):
    """Saturated or not, of every law of force, what arrives at the joints is half, and comes back bit for bit."""
    motors, limit = KINDS[kind]
    model = mujoco.MjModel.from_xml_string(MOTORS.format(motors=motors, limit=limit))
    fields = ("actuator_gainprm", "actuator_biasprm", "actuator_forcerange", "jnt_actfrcrange")
    before = [getattr(model, field).copy() for field in fields]

    def force():
        data = mujoco.MjData(model)
        data.qpos[:], data.qvel[:] = 0.3, 0.4
        data.ctrl[:] = 1.0
        data.act[:] = 0.7
        mujoco.mj_forward(model, data)
        return data.qfrc_actuator.copy()

    full, parameters = force(), Mujoco(model)
    assert np.abs(full).max() > 0.01
    strengths = [name for name in parameters.names() if name.endswith(".strength")]
    assert len(strengths) == model.nu
    for name in strengths:
        parameters.set(name, 0.5)
    np.testing.assert_allclose(force(), 0.5 * full, rtol=1e-9)
    for name in strengths:
        parameters.set(name, 1.0)
    for field, values in zip(fields, before, strict=True):
        np.testing.assert_array_equal(getattr(model, field), values)


def test_every_motor_of_a_joint_has_a_name_and_the_joints_means_all():
    """A servo made of two has a gain from each; setting one changes no other."""
    motors, _ = KINDS["position and velocity"]
    env = Swinging()
    env.model = mujoco.MjModel.from_xml_string(MOTORS.format(motors=motors, limit=""))
    env.data = mujoco.MjData(env.model)
    parameters = Mujoco.of(env)
    told = {name: parameters.spec(name).nominal for name in ("p.kp", "v.kd", "p.strength", "v.strength")}
    assert list(told.values()) == [9.0, 2.0, 1.0, 1.0]
    for name, value in (("v.kd", 3.0), ("p.strength", 0.5), ("p.kp", 4.0)):
        parameters.set(name, value)
        told[name] = value
        assert told == pytest.approx({name: parameters.get(name) for name in told})
    weak = Perturbed(Swinging(), [], parameters=None)
    assert weak.parameters is None
    both = Perturbed(env, [scale("parameter:a.strength", 0.5)], parameters=lambda env: Mujoco.of(env))
    assert set(both.reset(seed=0)[1]["parameters"]) == {"p.strength", "v.strength"}


def test_names_that_the_model_does_not_give_are_made_unique():
    """Bodies without a name, and one that is called as such a body would be, are told apart."""
    model = mujoco.MjModel.from_xml_string(
        """<mujoco><worldbody><body><freejoint/><geom size=".1"/></body>
        <body name="body1"><freejoint/><geom size=".1"/></body></worldbody></mujoco>"""
    )
    parameters = Mujoco(model)
    masses = [name for name in parameters.names() if name.endswith(".mass")]
    assert masses == ["body1_1.mass", "body1_2.mass"]
    parameters.set("body1_2.mass", 9.0)
    assert model.body_mass[2] == 9.0


@pytest.mark.parametrize(
    "joint", ["<freejoint/>", '<joint type="slide"/>', '<joint axis="0 1 0"/>', '<joint type="ball"/>']
)
def test_a_body_that_was_compiled_as_simple_keeps_its_centre(joint):
    """MuJoCo 4 ends in a fatal error there; the parameter is refused in a sentence, all others work."""
    model = mujoco.MjModel.from_xml_string(
        f'<mujoco><worldbody><body name="b">{joint}<geom size=".1" mass="1"/></body></worldbody></mujoco>'
    )
    parameters = Mujoco(model)
    with pytest.raises(Sim2RealError, match="The centre of mass of 'b' cannot move"):
        parameters.spec("b.com_x")
    parameters.set("b.mass", 2.0)


def test_of_what_stands_still_no_mass_is_a_parameter():
    """Bodies that are fixed, or that somebody moves by hand, have a mass that no force can show."""
    model = mujoco.MjModel.from_xml_string(
        """<mujoco><worldbody><geom type="plane" size="1 1 1"/>
        <body name="table"><geom size=".1" mass="1"/><body name="screw"><geom size=".1" mass="1"/></body></body>
        <body name="tracker" mocap="true"><geom size=".1" mass="1"/></body>
        <body name="cube"><freejoint/><body name="lid"><geom size=".1" mass="1"/></body></body></worldbody></mujoco>"""
    )
    assert [name for name in Mujoco(model).names() if name.endswith(".mass")] == ["lid.mass"]


def test_a_nominal_value_beyond_the_usual_bounds_is_one():
    """A joint held still by a damping of 1e11, as in others' environments, is a parameter like all."""
    model = mujoco.MjModel.from_xml_string(
        '<mujoco><worldbody><body><joint name="j" damping="1e11"/><geom size=".1"/></body></worldbody></mujoco>'
    )
    assert Mujoco(model).spec("j.viscous_friction").nominal == 1e11
    assert Mujoco(mujoco.MjModel.from_xml_string("<mujoco/>")).names() == ("gravity.z",)


def test_many_masses_are_derived_from_once(monkeypatch):
    """What follows from thirty masses is computed once, after all are set."""
    bodies = "".join(
        f'<body name="b{i}" pos="{i} 0 0"><freejoint/><geom size=".1"/></body>' for i in range(30)
    )
    env = Swinging()
    env.model = mujoco.MjModel.from_xml_string(f"<mujoco><worldbody>{bodies}</worldbody></mujoco>")
    env.data = mujoco.MjData(env.model)
    calls = []
    derive = mujoco.mj_setConst
    monkeypatch.setattr(mujoco, "mj_setConst", lambda *args: (calls.append(1), derive(*args)))
    perturbed = Perturbed(env, [scale("parameter:*.mass", 2.0)], parameters=Mujoco.of(env))
    perturbed.reset(seed=0)
    assert len(calls) == 1
    assert env.model.body_subtreemass[0] == pytest.approx(2 * 30 * 4 / 3 * np.pi)


@pytest.mark.parametrize("begun", [False, True])
def test_one_engine_has_one_table_in_all_wrappers(begun):
    """Mass and inertia multiply, whichever wrapper sets them, and nominal stays what it was before an episode."""
    env = Swinging()
    nominal = env.model.body_inertia[1].copy()
    inner = Perturbed(env, [scale("parameter:arm.mass", 2)], parameters=discover)
    if begun:
        inner.reset(seed=0)
    outer = Perturbed(inner, [scale("parameter:arm.inertia", 3)], parameters=lambda env: Mujoco.of(env))
    told = outer.reset(seed=0)[1]["parameters"]
    outer.step(outer.action_space.sample())
    assert told == {"arm.mass": 2.0, "arm.inertia": 3.0}
    np.testing.assert_allclose(env.model.body_inertia[1], 6.0 * nominal)
    assert outer.parameters.spec("arm.mass").nominal == 1.0


def test_parameters_of_an_engine_are_not_copied():
    """The setters of a copy would be those of the engine that was copied."""
    with pytest.raises(Sim2RealError, match="cannot be copied .*make another environment"):
        deepcopy(Perturbed(Swinging(), [], parameters=discover))


class Spinning(Dropping):
    """A wheel that starts at 10 rad/s and is braked by friction alone, in a client that is made anew at each reset."""

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.client.setJointMotorControl2(self.cubes[0], 0, pybullet.VELOCITY_CONTROL, force=0)
        self.client.resetJointState(self.cubes[0], 0, 0.0, 10.0)
        return self._observe(), {}

    def _observe(self):
        return np.array([*self.client.getJointState(self.cubes[0], 0)[:2], 0.0])

    def step(self, action):
        self.client.stepSimulation()
        return self._observe(), 0.0, False, False, {}


@pytest.fixture
def wheel(cube):
    """Return the description of a cube with a wheel."""
    shape = cube.read_text().partition(">")[2].removesuffix("</robot>")
    turns = '<joint name="axle" type="continuous"><parent link="cube"/><child link="wheel"/><axis xyz="0 0 1"/></joint>'
    cube.write_text(f'<robot name="cart">{shape}{shape.replace("cube", "wheel", 1)}{turns}</robot>')
    return cube


@pytest.mark.parametrize("fresh", [True, False])
def test_a_friction_that_cannot_be_read_back_brakes_in_every_client(wheel, fresh):
    """PyBullet tells no joint's damping, so that of a new client is set whatever it was in the one before."""

    def speed(*items):
        env = Perturbed(Spinning(wheel, fresh), items, parameters=discover)
        for _ in range(3):
            env.reset(seed=0)
            for _ in range(20):
                observation, *_ = env.step(np.zeros(1, np.float32))
        env.close()
        return float(observation[1])

    assert speed(set_to("parameter:*axle.viscous_friction", 0.01)) < 0.8 * speed()


def test_a_body_that_is_removed_takes_no_others_values_along(cube):
    """The number of the client is no body's."""
    env = Dropping(cube)
    parameters = Bullet.of(env)
    inertia = env.client.getDynamicsInfo(env.cubes[0], -1)[2]
    parameters.set("cube_1.inertia", 2.0)
    env.client.removeBody(env.cubes[2], physicsClientId=env.client._client)
    parameters.set("cube_1.inertia", 1.0)
    assert env.client.getDynamicsInfo(env.cubes[0], -1)[2] == pytest.approx(inertia)
    env.close()


def test_a_motor_called_as_the_joint_it_shares_is_one_of_several():
    """The joint's name means all of its motors, also where one of them has that name."""
    model = mujoco.MjModel.from_xml_string(
        ARM.format(mass=1.0).replace(
            '<motor joint="j"/>', '<motor name="j" joint="j"/><motor name="k" joint="j"/>'
        )
    )
    parameters = Mujoco(model)
    assert matching("j.strength", parameters.names(), parameters.groups) == ["j_1.strength", "k.strength"]


def test_what_an_environment_holds_by_a_weld_stays_where_it_is():
    """Constants are derived anew where a mass changes; where something was grasped is none of them."""
    model = mujoco.MjModel.from_xml_string("""<mujoco><worldbody><body name="hand" mocap="true"/>
    <body name="cube" pos="0 0 1"><freejoint/><geom size=".1"/></body></worldbody>
    <equality><weld body1="hand" body2="cube"/><connect body1="hand" body2="cube" anchor="0 0 0"/></equality>
    </mujoco>""")
    model.eq_data[0, 3:10] = held = (0, 0, 0, 1, 0, 0, 0)
    model.eq_data[1, 3:6] = 0.3
    Mujoco(model).set("cube.mass", 2.0)
    np.testing.assert_array_equal(model.eq_data[0, 3:10], held)
    np.testing.assert_array_equal(model.eq_data[1, 3:6], 0.3)


class Damped(Spinning):
    """Gives its wheel another friction than the description does, at each reset."""

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.client.changeDynamics(self.cubes[0], 0, jointDamping=0.01)
        return self._observe(), {}


@pytest.mark.parametrize("friction", [0.0, 0.01])
def test_a_friction_that_the_environment_sets_is_nominal_and_gives_way(wheel, friction):
    """What is told brakes the wheel, also where it is what the description says."""

    def speed(env, *items):
        env = Perturbed(env, items, parameters=discover)
        nominal = env.parameters.spec("cart_1.axle.viscous_friction").nominal
        env.reset(seed=0)
        for _ in range(20):
            observation, *_ = env.step(np.zeros(1, np.float32))
        env.close()
        return nominal, float(observation[1])

    item = set_to("parameter:cart_1.axle.viscous_friction", friction)
    nominal, told = speed(Damped(wheel, fresh=False), item)
    assert nominal == 0.01
    assert told == speed(Spinning(wheel, fresh=False), item)[1]


class Swapping(Rebuilding):
    """Builds its model anew in the third step of an episode."""

    def _begin(self):
        super()._begin()
        self._steps = 0

    def step(self, action):
        self._steps += 1
        if self._steps == 3:
            self._build()
        return super().step(action)


def test_a_model_that_is_built_anew_while_an_episode_runs_is_seen_at_once():
    """No step is told to have had what another model has, also where the episode is cut before it ends."""
    env = Perturbed(Swapping(), [scale("parameter:arm.mass", 2)], parameters=discover)
    env.reset(seed=0)
    for _ in range(2):
        env.step(np.zeros(1, np.float32))
    with pytest.raises(Sim2RealError, match="arm.mass was set to 2 kg, and the simulator has 1"):
        env.step(np.zeros(1, np.float32))


class Late(Swinging):
    """Has no model before its first reset, and one with another mass after each."""

    def _build(self, mass_kg=1.0):
        pass

    @property
    def observation_space(self):
        return gym.spaces.Box(-np.inf, np.inf, (2,), np.float64)

    def _begin(self):
        Swinging._build(self, self.np_random.uniform(1.0, 2.0))
        mujoco.mj_resetData(self.model, self.data)


class Weighed(Dropping):
    """Draws the mass of its cubes at each reset."""

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        for cube in self.cubes:
            self.client.changeDynamics(cube, -1, mass=self.np_random.uniform(1.0, 2.0))
        return self._observe(), {}


def test_nominal_is_no_chance(cube):
    """What is drawn at a reset is nominal as one known seed draws it, in every process."""
    for make, find, name in (
        (Late, discover, "arm.mass"),
        (Late, Mujoco.of, "arm.mass"),
        (lambda: Weighed(cube), discover, "cube_1.mass"),
    ):
        first, second = (find(make()).spec(name).nominal for _ in range(2))
        assert first == second


def test_a_mass_that_the_environment_draws_stays_when_inertia_changes():
    """Two parameters that act on one body write what is theirs alone."""
    env = Swinging()
    parameters = Mujoco.of(env)
    env.model.body_mass[1] = 1.7
    for inertia in (2.0, 3.0):
        parameters.set("arm.inertia", inertia)
        assert (parameters.get("arm.inertia"), parameters.get("arm.mass")) == (inertia, 1.7)
    env.model.body_inertia[1] *= 0.5
    assert parameters.get("arm.inertia") == pytest.approx(1.5)


class Fading(Swinging):
    """Gives its arm 1 kg back after three steps."""

    def step(self, action):
        found = super().step(action)
        self.count = getattr(self, "count", 0) + 1
        if self.count % 5 == 3:
            self.model.body_mass[1] = 1.0
        return found


def test_a_value_that_is_lost_in_an_episode_that_is_cut_makes_no_record_of_it():
    """An episode that a study cuts is read back at its end, as one that ends by itself."""
    perturbed = Perturbed(Fading(), [scale("parameter:arm.mass", 2.0)], parameters=discover)
    with pytest.raises(Sim2RealError, match="arm.mass was set to 2 kg, and the simulator has 1"):
        episode(perturbed, Still(), seed=0, max_steps=5)


class Still:
    """Does nothing."""

    def reset(self, seed=None):
        pass

    def __call__(self, observation):
        return np.zeros(1, np.float32)

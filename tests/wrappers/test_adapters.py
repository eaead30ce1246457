"""The adapters change a foreign simulator by what physics says, and give everything back."""

import gymnasium as gym
import mujoco
import numpy as np
import pybullet
import pytest
from pybullet_utils.bullet_client import BulletClient

from sim2real import Sim2RealError, discover
from sim2real.testing import check_parameters
from sim2real.wrappers import Bullet, Mujoco

ARM = """
<mujoco>
  <option gravity="0 0 {gravity}"/>
  <worldbody>
    <geom name="floor" type="plane" size="5 5 1" friction="{floor}"/>
    <body name="box" pos="0 2 {drop}">
      <joint name="free" type="free" damping="0.5"/>
      <inertial pos="0 0 0" mass="{mass}" diaginertia="{inertia} {inertia} {inertia}"/>
      <geom name="hull" type="box" size="{half} {half} {half}" friction="{sole}"/>
    </body>
    <body name="arm" pos="0 0 2">
      <joint name="shoulder" axis="0 1 0" damping="{damping}"
             frictionloss="{dry}" armature="{armature}" stiffness="{spring}"/>
      <geom name="rod" type="capsule" fromto="0 0 0 .5 0 0" size=".05" friction="{sole}"/>
      <inertial pos="{arm_com} 0 0" mass="1" diaginertia=".1 .1 .1"/>
      <body name="forearm" pos=".5 0 0">
        <joint name="elbow" axis="0 1 0"/>
        <inertial pos="{com} 0 {up}" quat="1 1 0 0" mass="1" diaginertia=".1 .1 .1"/>
        <geom name="knob" type="sphere" pos=".25 0 0" size=".1" friction="{sole}"/>
        <geom name="tip" type="sphere" pos=".5 0 0" size=".1" friction="{sole}"/>
        <site name="grip" pos=".25 0 0"/>
      </body>
    </body>
  </worldbody>
  <actuator><position name="servo" joint="shoulder" kp="{kp}" kv="{kd}"/></actuator>
</mujoco>
"""
NOMINAL = {
    "gravity": -9.81, "floor": 0.6, "sole": 0.8, "drop": 0.35, "com": 0.25, "up": 0.0, "arm_com": 0.0,
    "mass": 2.0, "inertia": 0.05, "half": 0.3,
    "damping": 0.2, "dry": 0.1, "armature": 0.01, "spring": 1.0, "kp": 20.0, "kd": 0.5,
}  # fmt: skip

DERIVED = (
    "geom_rbound", "geom_aabb", "geom_sameframe", "bvh_aabb",
    "body_invweight0", "dof_invweight0", "dof_M0", "actuator_acc0", "body_sameframe",
)  # fmt: skip


def played(model, steps=200):
    """Return the states of an episode that throws the box sideways and moves the arm."""
    data = mujoco.MjData(model)
    data.qvel[:6] = 1.0, 0.0, 0.0, 0.3, 0.2, 0.1
    states = []
    for step in range(steps):
        data.ctrl[:] = np.sin(0.05 * step)
        mujoco.mj_step(model, data)
        states.append(np.concatenate([data.qpos, data.geom_xpos.ravel(), data.site_xpos.ravel()]))
    return np.array(states)


def compiled(**changes):
    return mujoco.MjModel.from_xml_string(ARM.format(**(NOMINAL | changes)))


@pytest.mark.parametrize(
    ("name", "value", "described"),
    [
        ("box.mass", 5.0, {"mass": 5.0, "inertia": 0.125}),
        ("box.inertia", 3.0, {"inertia": 0.15}),
        ("arm.com_x", 0.1, {"arm_com": 0.1}),
        ("forearm.com_x", 0.1, {"com": 0.35}),
        ("forearm.com_z", 0.1, {"up": 0.1}),
        ("shoulder.viscous_friction", 0.9, {"damping": 0.9}),
        ("shoulder.coulomb_friction", 0.4, {"dry": 0.4}),
        ("shoulder.armature", 0.1, {"armature": 0.1}),
        ("shoulder.stiffness", 4.0, {"spring": 4.0}),
        ("shoulder.kp", 30.0, {"kp": 30.0}),
        ("shoulder.kd", 1.5, {"kd": 1.5}),
        ("shoulder.strength", 0.5, {"kp": 10.0, "kd": 0.25}),
        ("gravity.z", -3.0, {"gravity": -3.0}),
        ("ground.friction", 0.2, {"floor": 0.15, "sole": 0.2}),
        ("hull.size", 1.1, {"half": 0.33}),
    ],
)
def test_a_change_of_a_running_model_is_a_change_of_its_description(name, value, described):
    """A model changed by the adapter moves as one compiled from a changed file, and back at nominal as before."""
    model, expected = compiled(), played(compiled(**described))
    nominal = played(model)
    parameters = Mujoco(model)
    parameters.set(name, value)
    np.testing.assert_allclose(played(model), expected, rtol=1e-9, atol=1e-9)
    for field in DERIVED:
        np.testing.assert_allclose(getattr(model, field), getattr(compiled(**described), field), atol=1e-9)
    assert np.abs(expected - nominal).max() > 1e-4
    parameters.set(name, parameters.spec(name).nominal)
    np.testing.assert_array_equal(played(model), nominal)


def test_changes_of_one_thing_by_two_parameters_are_both_there():
    """Mass and inertia, strength and gain: the order in which they are set does not matter."""
    one, other = compiled(), compiled()
    changes = {"box.mass": 4.0, "box.inertia": 0.5, "shoulder.strength": 0.7, "shoulder.kp": 25.0}
    for model, order in ((one, list(changes)), (other, list(changes)[::-1])):
        parameters = Mujoco(model)
        for name in order:
            parameters.set(name, changes[name])
    np.testing.assert_array_equal(played(one), played(other))
    assert one.body_inertia[1] == pytest.approx(0.05 * 2 * 0.5)


@pytest.fixture
def away(tmp_path, monkeypatch):
    """Play elsewhere, as MuJoCo writes its warnings into a file where it runs."""
    monkeypatch.chdir(tmp_path)


def touches(name):
    """Tell whether a parameter shows only where something is touched."""
    return name.rpartition(".")[2] in (
        "size",
        "friction",
        "restitution",
        "rolling_friction",
        "spinning_friction",
    )


@pytest.mark.parametrize("id", ["HalfCheetah-v5", "Walker2d-v5", "Humanoid-v5"])
def test_parameters_of_mujoco_environments_keep_their_promises(id, away):
    """Every parameter acts, at once, within its bounds and without a trace, save those a planar body lacks."""
    env = gym.make(id)
    parameters = Mujoco.of(env)
    planar = id != "Humanoid-v5"
    names = [
        name for name in parameters.names() if not touches(name) and not (planar and name.endswith("com_y"))
    ]
    names = names[:: len(names) // 10]  # each takes six episodes
    check_parameters(env, parameters=parameters, names=[*names, "gravity.z", "ground.friction"], steps=20)
    assert "base.velocity_x" in parameters.names()


def test_a_kick_is_the_change_of_velocity_it_says(away):
    """A kick adds exactly its size to the base's velocity along its axis, and to nothing else."""
    env = gym.make("Humanoid-v5")
    env.reset(seed=0)
    before = env.unwrapped.data.qvel.copy()
    Mujoco.of(env).set("base.velocity_y", 1.5)
    np.testing.assert_array_equal(env.unwrapped.data.qvel - before, 1.5 * np.eye(len(before))[1])


class MjModel:
    """Another's class of that name, with MuJoCo's inside."""

    def __init__(self, model):
        self.pointer = model


def test_a_model_is_found_behind_other_objects():
    """The simulator may be an attribute of an attribute, and what only has its name is passed over."""
    env = gym.make("CartPole-v1")
    model = compiled()
    env.unwrapped.physics = MjModel(MjModel(model))
    parameters = Mujoco.of(env)
    assert parameters.source == "MuJoCo, env.unwrapped.physics.pointer.pointer"
    assert not [name for name in parameters.names() if "velocity" in name]  # no state, no kicks
    env.unwrapped.states = {"now": [mujoco.MjData(model)]}
    parameters = Mujoco.of(env)
    assert parameters.source == "MuJoCo, env.unwrapped.states['now'][0]"
    parameters.set("box.mass", 4.0)
    assert model.body_mass[1] == 4.0


@pytest.mark.parametrize("adapter", [Mujoco, Bullet])
def test_without_the_simulator_one_sentence_says_so(adapter):
    """An environment of another kind has no such parameters."""
    with pytest.raises(
        Sim2RealError, match="There is no (MjData and no MjModel|BulletClient) in CartPoleEnv.*Looked at"
    ):
        adapter.of(gym.make("CartPole-v1"))


def test_looking_for_a_simulator_leaves_chance_alone():
    """Episodes without a seed are other ones in every environment that was looked into."""
    envs = [gym.make("CartPole-v1") for _ in range(2)]
    for env in envs:
        assert discover(env).names() == ()
    assert not np.array_equal(envs[0].reset()[0], envs[1].reset()[0])


@pytest.fixture
def client():
    """Yield a client with a floor, at 1 kHz."""
    found = BulletClient(pybullet.DIRECT)
    yield fresh(found)
    found.disconnect()


def fresh(client):
    """Build the world anew, as many an environment does at every reset: a floor and a brick on it."""
    client.resetSimulation()
    client.setTimeStep(0.001)
    client.setGravity(0, 0, -10)
    half = [0.2, 0.2, 0.1]
    shape = client.createCollisionShape(pybullet.GEOM_BOX, halfExtents=half)
    wide = client.createCollisionShape(pybullet.GEOM_BOX, halfExtents=[20, 20, 0.5])
    client.createMultiBody(0, wide, basePosition=[0, 0, -0.5])
    client.createMultiBody(3.0, shape, basePosition=[0, 0, 0.1])
    client.changeDynamics(1, -1, lateralFriction=1.0, linearDamping=0, angularDamping=0)
    return client


BODIES = {"plane": 0, "brick": 1}


def test_gravity_and_friction_are_those_of_the_equations(client):
    """A brick slows down at friction times gravity, at the nominal values and at others."""
    parameters = Bullet(client, BODIES)
    for friction, gravity in ((0.5, -10.0), (0.3, -10.0), (0.5, -5.0)):
        parameters.set("ground.friction", friction)
        parameters.set("gravity.z", gravity)
        client.resetBasePositionAndOrientation(1, [0, 0, 0.1], [0, 0, 0, 1])
        client.resetBaseVelocity(1, [3, 0, 0], [0, 0, 0])
        for _ in range(400):
            client.stepSimulation()
        assert client.getBaseVelocity(1)[0][0] == pytest.approx(3 + friction * gravity * 0.4, rel=0.02)


def test_inertia_goes_with_mass(client):
    """A mass times a factor is an inertia times the factor, and both come back exactly."""
    parameters = Bullet(client, BODIES)
    before = client.getDynamicsInfo(1, -1)
    parameters.set("brick.mass", 6.0)
    mass, _, inertia = client.getDynamicsInfo(1, -1)[:3]
    assert mass == 6.0
    assert inertia == pytest.approx([2 * one for one in before[2]])
    parameters.set("brick.mass", 3.0)
    assert client.getDynamicsInfo(1, -1) == before


def test_what_is_built_anew_is_changed_again(client):
    """A world that the environment builds anew, with values of its own, keeps what was set, until it is undone."""
    parameters = Bullet(client, BODIES)
    parameters.set("gravity.z", -2.0)
    parameters.set("brick.mass", 9.0)
    for gravity, mass in ((-2.0, 9.0), (-10.0, 3.0)):
        fresh(client).stepSimulation()
        assert client.getPhysicsEngineParameters()["gravityAccelerationZ"] == gravity
        assert client.getDynamicsInfo(1, -1)[0] == mass
        parameters.set("gravity.z", -10.0)
        parameters.set("brick.mass", 3.0)


def test_bodies_that_are_not_there_are_named(client):
    """A body nobody loaded, and a thing that is no client, are each told in a sentence."""
    with pytest.raises(Sim2RealError, match="There is no body 7 for 'cube'"):
        Bullet(client, {"cube": 7})
    with pytest.raises(Sim2RealError, match="needs a BulletClient"):
        Bullet(pybullet)


@pytest.fixture
def hopper(away):
    """Return a PyBullet environment with torque motors and one tick of the engine per step, and its parameters."""
    pytest.importorskip("pybullet_envs_gymnasium")
    env = gym.make("HopperBulletEnv-v0", disable_env_checker=True)
    yield env, Bullet.of(env)
    env.close()


def seen(env, actions):
    """Return the observations of an episode."""
    observations = [env.reset(seed=0)[0]]
    observations += [env.step(action)[0] for action in actions]
    return np.array(observations)


ACTIONS = np.random.default_rng(0).uniform(-0.5, 0.5, (12, 3))


def test_half_the_strength_is_half_the_torque(hopper):
    """A weakened motor does what a full one does that is asked for less."""
    env, parameters = hopper
    expected = seen(env, 0.5 * ACTIONS)
    for joint in ("thigh_joint", "leg_joint", "foot_joint"):
        parameters.set(f"{joint}.strength", 0.5)
    np.testing.assert_array_equal(seen(env, ACTIONS), expected)


@pytest.mark.parametrize("ticks", [1, 3])
def test_latency_shifts_the_commands_by_whole_ticks(hopper, ticks):
    """Late by k ticks, the motors follow the command of k ticks ago, at first the first one."""
    env, parameters = hopper
    expected = seen(env, [ACTIONS[0]] * ticks + list(ACTIONS[:-ticks]))
    for _ in range(2):
        parameters.set("actuator.latency_s", ticks * 0.0165)
        np.testing.assert_array_equal(seen(env, ACTIONS), expected)
    parameters.set("actuator.latency_s", 0.0)
    assert not np.array_equal(seen(env, ACTIONS), expected)


def test_parameters_of_a_bullet_walker_keep_their_promises(hopper):
    """Every parameter of an environment somebody else wrote acts, at once, within its bounds and without a trace."""
    env, parameters = hopper
    names = [name for name in parameters.names() if not touches(name) and not name.startswith("ignore")]
    found = check_parameters(
        env, parameters=parameters, names=[*names, "ground.friction", "foot.friction"], steps=20
    )
    assert {"torso.mass", "leg_joint.strength", "actuator.latency_s"} <= found.keys()


def test_parameters_of_a_manipulator_keep_their_promises(away):
    """The same in panda-gym, whose motors are position servos and whose bodies have no names of their own."""
    pytest.importorskip("panda_gym")
    env = gym.make("PandaPickAndPlace-v3", disable_env_checker=True)
    parameters = Bullet.of(env, env.unwrapped.sim._bodies_idx)
    names = ["panda_link5.mass", "panda_joint2.strength", "panda_joint4.viscous_friction", "object.mass",
             "gravity.z", "actuator.latency_s"]  # fmt: skip
    check_parameters(env, parameters=parameters, names=names, steps=10)
    assert {"ground.friction", "table.friction", "object.friction"} <= set(parameters.names())
    env.close()

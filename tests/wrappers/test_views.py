"""Constraints on somebody else's environment measure what its simulator says, read here without this package."""

import gymnasium as gym
import mujoco
import numpy as np
import panda_gym  # noqa: F401 - registers its environments
import pybullet
import pytest
from pybullet_utils.bullet_client import BulletClient

from sim2real import Sim2RealError, safety
from sim2real.safety import JointBarrier, LearnedLayer, SoftLimits, TorqueClamp
from sim2real.wrappers import Constrained, Shielded

WALKERS = {"Hopper-v5": "foot", "Walker2d-v5": "foot", "HalfCheetah-v5": "ffoot", "Ant-v5": "aux_1"}


class Arm(gym.Env):
    """PyBullet's KUKA arm, by torque."""

    observation_space = gym.spaces.Box(-np.inf, np.inf, (7,))
    action_space = gym.spaces.Box(-50.0, 50.0, (7,))

    def __init__(self):
        import pybullet_data

        self.client = BulletClient(pybullet.DIRECT)
        self.client.setGravity(0, 0, -9.81)
        folder = pybullet_data.getDataPath()
        self.client.loadURDF(f"{folder}/plane.urdf")
        self.arm = self.client.loadURDF(f"{folder}/kuka_iiwa/model.urdf", (0, 0, 0.3), useFixedBase=True)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        for joint in range(7):
            self.client.resetJointState(self.arm, joint, 0.1)
            self.client.setJointMotorControl2(self.arm, joint, pybullet.VELOCITY_CONTROL, force=0)
        return np.zeros(7, np.float32), {}

    def step(self, action):
        for joint, torque in enumerate(action):
            self.client.setJointMotorControl2(self.arm, joint, pybullet.TORQUE_CONTROL, force=float(torque))
        self.client.stepSimulation()
        return np.zeros(7, np.float32), 0.0, False, False, {}


def excesses(env, constraints, steps, oracle):
    """Compare value − limit of every step of random actions with an oracle of the bare environment."""
    watched = Constrained(env, constraints)
    watched.action_space.seed(3)
    watched.reset(seed=3)
    for _ in range(steps):
        *_, ended, cut, info = watched.step(watched.action_space.sample())
        wanted = oracle(env.unwrapped)
        found = {item.name: info["excess"][item.name] + item.limit for item in watched.constraints}
        assert found == pytest.approx(
            wanted,
            rel=1e-9,
            abs=1e-7,  # PyBullet's rays are of single precision
        )
        if ended or cut:
            watched.reset()
    return found


@pytest.mark.parametrize("name", WALKERS)
def test_a_mujoco_robot_is_measured_as_mujoco_says(name):
    """Stops, speed, torque, tilt, height, feet and speed of a link come straight from MuJoCo's arrays."""
    env = gym.make(name)
    model, foot = env.unwrapped.model, env.unwrapped.model.body(WALKERS[name]).id
    driven = model.actuator_trnid[:, 0]
    dofs, places = model.jnt_dofadr[driven], model.jnt_qposadr[driven]
    gear = model.actuator_gear[:, 0] * model.actuator_ctrlrange[:, 1]

    def oracle(bare):
        data = bare.data
        fresh = mujoco.MjData(model)
        fresh.qpos[:], fresh.qvel[:] = data.qpos, data.qvel
        mujoco.mj_forward(model, fresh)
        low, high = model.jnt_range[driven].T
        q, force, touch = data.qpos[places], np.zeros(6), 0.0
        for i in range(data.ncon):
            bodies = set(model.geom_bodyid[data.contact[i].geom].tolist())
            if bodies == {0, foot}:
                mujoco.mj_contactForce(model, data, i, force)
                touch += force[0]
        # The velocity of the centre of mass by its Jacobian.
        jacobian = np.zeros((3, model.nv))
        mujoco.mj_jacBodyCom(model, fresh, jacobian, None, foot)
        return {
            "joint_position": max((q - high).max(), (low - q).max()),
            "joint_velocity": np.abs(data.qvel[dofs]).max() / 8.0,
            "torque": np.abs(data.qfrc_actuator[dofs] / gear).max(),
            "torso_tilt": np.arccos(np.clip(fresh.xmat[1].reshape(3, 3)[2, 2], -1, 1)),
            "base_height": -fresh.xpos[1, 2],
            "foot_impact": touch,
            "end_effector_speed": np.linalg.norm(jacobian @ data.qvel),
        }

    rows = [
        safety.joint_position(), safety.joint_velocity(rated=8.0), safety.torque(), safety.torso_tilt(),
        safety.base_height(0.5), safety.foot_impact(100.0, links=[WALKERS[name]]),
        safety.end_effector_speed([WALKERS[name]]),
    ]  # fmt: skip
    excesses(env, rows, 60, oracle)


def test_watching_changes_nothing():
    """An episode is bit for bit the same with and without constraints that look into MuJoCo."""
    rows = [
        safety.joint_position(),
        safety.torque(),
        safety.torso_tilt(),
        safety.self_collision(),
        safety.base_height(0),
    ]
    plain, watched = gym.make("Humanoid-v5"), Constrained(gym.make("Humanoid-v5"), rows)
    plain.reset(seed=0), watched.reset(seed=0)
    for _ in range(20):
        action = np.full(17, 0.3)
        np.testing.assert_array_equal(plain.step(action)[0], watched.step(action)[0])


def test_links_that_press_on_each_other_press_with_mujocos_force():
    """Self-collision is the sum of normal forces between links of the robot; not of those on the ground."""
    env = gym.make("Humanoid-v5", terminate_when_unhealthy=False)
    model, seen = env.unwrapped.model, []

    def oracle(bare):
        total, force = 0.0, np.zeros(6)
        for i in range(bare.data.ncon):
            if model.geom_bodyid[bare.data.contact[i].geom].all():
                mujoco.mj_contactForce(model, bare.data, i, force)
                total += force[0]
        seen.append(total)
        return {"self_collision": total}

    excesses(env, [safety.self_collision()], 200, oracle)
    assert max(seen) > 0
    with pytest.raises(Sim2RealError, match="links pass through each other"):
        Constrained(gym.make("HalfCheetah-v5"), [safety.self_collision()])


class Rebuilds(gym.Wrapper):
    """Builds its model anew at each reset, as robosuite does."""

    def reset(self, **kwargs):
        bare, old = self.env.unwrapped, self.env.unwrapped.model
        bare.model = mujoco.MjModel.from_xml_path(bare.fullpath)
        bare.data = mujoco.MjData(bare.model)
        assert bare.model is not old
        return super().reset(**kwargs)


def test_a_model_that_is_rebuilt_is_found_again():
    """After a reset that replaces model and data, what is measured is of the new ones."""
    env = Constrained(Rebuilds(gym.make("Hopper-v5")), [safety.joint_position(0.0), safety.base_height(0.5)])
    for seed in range(3):
        env.reset(seed=seed)
        _, _, _, _, info = env.step(np.array([0.5, -0.5, 0.2]))
        bare = env.unwrapped
        low, high = bare.model.jnt_range[3:].T
        q = bare.data.qpos[3:]
        assert info["excess"]["joint_position"] == pytest.approx(max((q - high).max(), (low - q).max()))
        assert info["excess"]["base_height"] == pytest.approx(0.5 - bare.data.qpos[1])


def test_an_arm_in_pybullet_is_measured_as_pybullet_says():
    """Stops, speed, commanded torques, and frames of links, from the client's own functions and the description."""
    env = Arm()

    def oracle(bare):
        client, arm = bare.client, bare.arm
        infos = [client.getJointInfo(arm, i) for i in range(7)]
        states = [client.getJointState(arm, i) for i in range(7)]
        tip = client.getLinkState(arm, 6, computeForwardKinematics=1)[4]
        base = client.getBasePositionAndOrientation(arm)[0]
        inside = client.getDynamicsInfo(arm, -1)[3]
        return {
            "joint_position": max(max(s[0] - i[9], i[8] - s[0]) for i, s in zip(infos, states, strict=True)),
            "joint_velocity": max(abs(s[1]) / i[11] for i, s in zip(infos, states, strict=True)),
            "torque": max(abs(t) / i[10] for i, t in zip(infos, env.last, strict=True)),
            "workspace": max(max(-x, x - 0.5) for x in tip),
            "base_height": inside[2] - base[2],
        }

    step = env.step

    def kept(action):
        env.last = action.tolist()
        return step(action)

    env.step = kept
    rows = [
        safety.joint_position(), safety.joint_velocity(), safety.torque(),
        safety.workspace((0, 0, 0), (0.5, 0.5, 0.5), link="lbr_iiwa_link_7"), safety.base_height(0.1),
    ]  # fmt: skip
    excesses(env, rows, 50, oracle)


def test_motors_of_a_panda_are_measured_by_their_own_torques():
    """Of position motors the torque is what PyBullet says it applied."""
    env = gym.make("PandaReach-v3")
    client = env.unwrapped.sim.physics_client

    def oracle(bare):
        joints = [i for i in range(client.getNumJoints(0)) if client.getJointInfo(0, i)[2] in (0, 1)]
        of = [(client.getJointState(0, i)[3], client.getJointInfo(0, i)[10]) for i in joints]
        return {"torque": max(abs(torque) / most for torque, most in of)}

    excesses(env, [safety.torque()], 10, oracle)


@pytest.mark.parametrize(
    ("name", "made", "said"),
    [
        ("Hopper-v5", safety.joint_velocity(), "rated speed of the joint 'thigh_joint', and a MuJoCo model has no"),
        ("Hopper-v5", safety.power(10.0), "does not count: watch torque and joint_velocity"),
        ("Hopper-v5", safety.foot_slip(0.1), "which links are feet, which a MuJoCo model does not say"),
        ("Hopper-v5", safety.forbidden_contact(), "which links are feet, which a MuJoCo model does not say"),
        ("Hopper-v5", safety.joint_position(joints=["thigh"]), "no joint 'thigh'. Did you mean 'thigh_joint'"),
        ("InvertedPendulum-v5", safety.joint_position(), "no motor drives 'hinge': name them"),
        ("PandaReach-v3", safety.self_collision(), "PyBullet does not tell"),
        ("CartPole-v1", safety.torque(), "CartPoleEnv has none of them"),
    ],
)  # fmt: skip
def test_what_cannot_be_read_is_one_sentence(name, made, said):
    """What a simulator does not know, or who is meant, is asked for before an episode starts."""
    with pytest.raises(Sim2RealError, match=f"'{made.name}' .*{said}"):
        Constrained(gym.make(name), [made])


def test_named_joints_are_the_ones_that_count():
    """A joint that no motor drives is watched where it is named, and ratings by joint leave others out."""
    env = Constrained(
        gym.make("InvertedPendulum-v5"),
        [safety.joint_position(joints=["hinge"]), safety.joint_velocity(rated={"hinge": 2.0})],
    )
    env.reset(seed=0)
    info = env.step(np.array([1.0]))[4]
    data, (low, high) = env.unwrapped.data, env.unwrapped.model.jnt_range[1]
    assert info["excess"]["joint_position"] == pytest.approx(
        max(data.qpos[1] - high, low - data.qpos[1]) + 0.05
    )
    assert info["excess"]["joint_velocity"] == pytest.approx(abs(data.qvel[1]) / 2.0 - 1.0)


@pytest.mark.parametrize("shield", [JointBarrier(), TorqueClamp(), SoftLimits()])
@pytest.mark.parametrize("name", ["Hopper-v5", "PandaReach-v3"])
def test_joint_shields_say_where_they_work(shield, name):
    """What takes a motor model is of this package's environments; the sentence says what stands in elsewhere."""
    with pytest.raises(
        Sim2RealError, match=f"'{shield.name}' needs an environment of this package.*LearnedLayer"
    ):
        Shielded(gym.make(name), [shield])


def test_a_learned_layer_reads_joints_of_somebody_elses_robot():
    """It changes actions by the true stops of a hopper, found again after a reset."""
    layer = LearnedLayer(
        constraint=safety.joint_position(0.0), centre=(0.0,) * 11, spread=(1.0,) * 11,
        drift=(10.0,) + (0.0,) * 11, effect=((1.0,) + (0.0,) * 11,) * 3,
    )  # fmt: skip
    env = Shielded(Rebuilds(gym.make("Hopper-v5")), [layer])
    for seed in range(2):
        env.reset(seed=seed)
        _, _, _, _, info = env.step(np.ones(3, np.float32))
        assert info["intervened"]

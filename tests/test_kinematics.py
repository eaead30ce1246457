"""Chains are where the engine says, move as they say, and find the joints for a pose or say how far off they end."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.spatial.transform import Rotation

from sim2real.errors import Sim2RealError
from sim2real.kinematics import NEAR_SINGULAR, Chain, twist_between
from sim2real.linktree import pose_of
from sim2real.robots import Robot
from sim2real.simulation.bullet import BulletEngine
from sim2real.simulation.simulation import Simulation

laws = settings(max_examples=40, deadline=None)

G1, PANDA = Robot.load("g1", "hands"), Robot.load("panda")
LEFT, RIGHT, GRIPPER = G1.hand("left"), G1.hand("right"), PANDA.hand("gripper")
CHAINS = {
    "waist and arm": (G1, Chain.to_hand(G1, LEFT, (*G1.group("waist"), *LEFT.arm))),
    "arm": (G1, Chain.to_hand(G1, RIGHT)),
    "panda": (PANDA, Chain.to_hand(PANDA, GRIPPER)),
    "finger": (PANDA, Chain.to(PANDA, PANDA.joint_names[::-1], "panda_leftfinger", pose_of((0, 0.01, 0.04)))),
}
each = pytest.mark.parametrize("name", CHAINS)
SEED = st.integers(0, 2**32 - 1)
TWIST = arrays(float, 6, elements=st.floats(-0.5, 0.5))


def anywhere(chain, seed, margin=0.0):
    """Return joint positions within limits, at least a share of the range away from them."""
    share = margin + (1 - 2 * margin) * np.random.default_rng(seed).random(len(chain.joint_names))
    return chain.lower_rad + share * (chain.upper_rad - chain.lower_rad)


def pose_at(robot, chain, position, link, offset):
    """Return where the link tree, which knows nothing of chains, has the end frame."""
    named = dict(robot.default_pose) | dict(zip(chain.joint_names, position, strict=True))
    return robot.tree.link_poses(named)[robot.tree.index[link]] @ offset


# ---- where the hand is, and how it moves -----------------------------------------------------------------------


@laws
@given(SEED)
def test_the_end_frame_is_where_the_link_tree_has_it(seed):
    """Products of precomputed matrices give the pose that walking the tree gives, whatever joints are in between."""
    ends = [(LEFT.palm, LEFT.grasp_in_palm), (RIGHT.palm, RIGHT.grasp_in_palm)]
    ends += [(GRIPPER.palm, GRIPPER.grasp_in_palm), ("panda_leftfinger", pose_of((0, 0.01, 0.04)))]
    for (robot, chain), end in zip(CHAINS.values(), ends, strict=True):
        position = anywhere(chain, seed)
        assert np.allclose(chain.pose(position), pose_at(robot, chain, position, *end), atol=1e-12)


@pytest.mark.parametrize("robot", [G1, PANDA], ids=["g1", "panda"])
def test_the_end_frame_is_where_the_engine_has_it(robot):
    """For every link that moves, the chain's pose is the engine's link frame."""
    compiled = robot.compile(robot.joint_names)
    chains = [Chain.to(robot, robot.joint_names, link) for link in compiled.link_names[1:]]
    engine = BulletEngine(0.005)
    for seed in range(3):
        position = anywhere(chains[0], seed)
        engine.load(
            compiled.urdf,
            joint_names=robot.joint_names,
            base_position_m=(0, 0, 0),
            joint_position=position,
            fixed_base=True,
        )
        order = [engine.link_names.index(link) for link in compiled.link_names[1:]]
        for chain, (xyz, quaternion, _) in zip(chains, engine.link_states(order), strict=True):
            pose = chain.pose(position)
            assert np.allclose(pose[:3, 3], xyz, atol=1e-6)
            assert np.allclose(pose[:3, :3], Rotation.from_quat(quaternion).as_matrix(), atol=1e-6)
    engine.close()


@each
@laws
@given(seed=SEED)
def test_the_jacobian_is_the_derivative_of_the_pose(name, seed):
    """Column i is the twist that central differences see when joint i moves."""
    _, chain = CHAINS[name]
    position, h = anywhere(chain, seed), 1e-6
    pose, jacobian = chain.pose_and_jacobian(position)
    assert np.array_equal(pose, chain.pose(position))
    steps = h * np.eye(len(position))
    seen = [twist_between(chain.pose(position - d), chain.pose(position + d)) / (2 * h) for d in steps]
    assert np.allclose(jacobian, np.transpose(seen), atol=1e-8)


@laws
@given(TWIST, st.floats(0, np.pi), arrays(float, 3, elements=st.floats(-1, 1)))
def test_the_twist_between_poses_leads_from_one_to_the_other(twist, angle, axis):
    """Moved by it for a second, turning about its one axis, the first pose becomes the second; half a turn too."""
    start, target = pose_of(twist[:3], twist[3:]), np.eye(4)
    target[:3, :3] = Rotation.from_rotvec(angle * axis / (np.linalg.norm(axis) or 1)).as_matrix()
    for end in (target, target @ start, np.diag([-1.0, 1.0, -1.0, 1.0]) @ start):
        found = twist_between(start, end)
        assert np.allclose(start[:3, 3] + found[:3], end[:3, 3])
        assert np.allclose(
            Rotation.from_rotvec(found[3:]).as_matrix() @ start[:3, :3], end[:3, :3], atol=1e-7
        )
        assert np.linalg.norm(found[3:]) <= np.pi + 1e-9


@each
@laws
@given(seed=SEED)
def test_what_holds_the_chain_is_the_gradient_of_its_energy(name, seed):
    """Torque i is how fast −Σ m g·c of the whole robot grows with joint i, whichever way gravity points."""
    robot, chain = CHAINS[name]
    position, h, gravity = anywhere(chain, seed), 1e-5, np.array([1.0, -2.0, -9.81])

    def energy(q):
        moved = {chain.joint_names[place]: q[place] for place in chain.moving}
        whole = robot.tree.whole(dict(robot.default_pose) | moved)
        return -whole.mass_kg * gravity @ whole.com_m

    slopes = [(energy(position + d) - energy(position - d)) / (2 * h) for d in h * np.eye(len(position))]
    assert np.allclose(chain.holding_nm(position, gravity), slopes, atol=1e-6)


@pytest.mark.parametrize("name", ["arm", "panda"])
def test_the_engine_needs_the_torque_that_the_chain_says(name):
    """At rest the motors give what holds the arm there; asked for q + τ/kp, it rests at q, where PD alone sags."""
    robot, chain = CHAINS[name]
    simulation = Simulation(robot, chain.joint_names, fixed_base=True)
    wanted = simulation.default_pose + 0.1
    errors_m = []
    for ahead_rad in (0.0, chain.holding_nm(wanted) / simulation.kp):
        simulation.reset()
        for _ in range(250):
            simulation.step(wanted + ahead_rad)
        position = simulation.joint_position_rad
        assert np.allclose(simulation.torque_nm, chain.holding_nm(position), atol=0.02)
        errors_m.append(np.linalg.norm(chain.pose(position)[:3, 3] - chain.pose(wanted)[:3, 3]))
    assert errors_m[0] > 0.01
    assert errors_m[1] < 5e-4


# ---- velocity --------------------------------------------------------------------------------------------------


@each
@laws
@given(seed=SEED, twist=TWIST, posture=SEED)
def test_joint_velocities_give_the_twist_where_limits_let_them(name, seed, twist, posture):
    """Without limits and away from singularities the twist is exact, and a posture does not change what is felt."""
    _, chain = CHAINS[name]
    chain = replace(chain, speed_rad_s=np.full(len(chain.joint_names), np.inf))
    position = anywhere(chain, seed, 0.1)
    jacobian = chain.jacobian(position)
    if np.linalg.svd(jacobian, compute_uv=False).min() < NEAR_SINGULAR:
        return
    plain = chain.velocity(position, twist, period_s=1e-6)
    towards = {"posture_rad": anywhere(chain, posture), "posture_rate": 5.0}
    posed = chain.velocity(position, twist, period_s=1e-6, **towards)
    assert np.allclose(jacobian @ plain, twist, atol=1e-9)
    assert np.allclose(jacobian @ posed, twist, atol=1e-9)
    assert (posed - plain) @ (towards["posture_rad"] - position) >= -1e-9
    linear = chain.velocity(position, twist[:3], period_s=1e-6)
    assert np.allclose(jacobian[:3] @ linear, twist[:3], atol=1e-9)
    assert np.linalg.norm(linear) <= np.linalg.norm(plain) + 1e-9


@each
@laws
@given(seed=SEED, twist=TWIST, posture=SEED)
def test_no_limit_is_broken_and_the_posture_is_never_felt(name, seed, twist, posture):
    """Speeds and positions after the period stay within limits, and what a posture adds leaves the hand still."""
    _, chain = CHAINS[name]
    position = anywhere(chain, seed)
    plain = chain.velocity(position, 10 * twist, period_s=0.1)
    towards = {"posture_rad": anywhere(chain, posture), "posture_rate": 50.0}
    posed = chain.velocity(position, 10 * twist, period_s=0.1, **towards)
    for rates in (plain, posed):
        assert (np.abs(rates) <= chain.speed_rad_s + 1e-9).all()
        after = position + 0.1 * rates
        assert ((chain.lower_rad - 1e-9 <= after) & (after <= chain.upper_rad + 1e-9)).all()
    assert np.allclose(chain.jacobian(position) @ (posed - plain), 0.0, atol=1e-8)


def test_a_joint_at_its_limit_leaves_the_work_to_the_others():
    """A redundant arm whose elbow may not bend further, or only slowly, still gives the twist by its other joints."""
    _, chain = CHAINS["waist and arm"]
    position = anywhere(chain, 3, 0.3)
    elbow = np.array(chain.joint_names) == "left_elbow"
    twist = chain.jacobian(position) @ elbow
    assert chain.velocity(position, twist, period_s=0.1)[elbow] > 0.1
    stopped = replace(chain, upper_rad=np.where(elbow, position, chain.upper_rad))
    slow = replace(chain, speed_rad_s=np.where(elbow, 0.05, chain.speed_rad_s))
    for limited, most in ((stopped, 0.0), (slow, 0.05)):
        rates = limited.velocity(position, twist, period_s=0.1)
        assert rates[elbow] == pytest.approx(most, abs=1e-12)
        assert np.allclose(chain.jacobian(position) @ rates, twist, atol=1e-9)


@laws
@given(TWIST, st.floats(-0.05, 0.05))
def test_near_a_singularity_nothing_runs_away(twist, bend):
    """With the arm stretched out, joint speeds stay below the twist over the singular value that damping begins at."""
    chain = replace(CHAINS["arm"][1], speed_rad_s=np.full(7, np.inf))
    position = np.zeros(7)
    position[chain.joint_names.index("right_elbow")] = np.pi / 2 + bend
    rates = chain.velocity(position, twist, period_s=1e-6)
    assert np.linalg.svd(chain.jacobian(position), compute_uv=False).min() < NEAR_SINGULAR
    assert np.linalg.norm(rates) <= np.linalg.norm(twist) / NEAR_SINGULAR + 1e-9
    assert np.linalg.norm(chain.jacobian(position) @ rates) <= np.linalg.norm(twist) + 1e-9


# ---- reaching --------------------------------------------------------------------------------------------------


@each
def test_reachable_poses_are_reached(name):
    """Where joints within limits have brought the hand, the search brings it too, to 0.1 mm and 1 mrad."""
    _, chain = CHAINS[name]
    rest = 0.5 * (chain.lower_rad + chain.upper_rad)
    beside = np.setdiff1d(np.arange(len(rest)), chain.moving)
    for seed in range(60):
        target = chain.pose(anywhere(chain, seed))
        found = chain.reach(target, rest)
        assert found.within(1e-4, 1e-3)
        assert ((chain.lower_rad <= found.position_rad) & (found.position_rad <= chain.upper_rad)).all()
        assert np.allclose(found.position_rad[beside], rest[beside], rtol=0, atol=1e-12)
        error = twist_between(chain.pose(found.position_rad), target)
        assert found.error_m == pytest.approx(np.linalg.norm(error[:3]), abs=1e-12)
        assert found.error_rad == pytest.approx(np.linalg.norm(error[3:]), abs=1e-12)
        again = chain.reach(target, rest)
        assert np.array_equal(found.position_rad, again.position_rad)


@each
def test_joints_stay_within_limits_wherever_the_search_begins(name):
    """Even if the place to begin is past the limits and has the hand at the pose already."""
    _, chain = CHAINS[name]
    past = chain.upper_rad + 0.1
    found = chain.reach(chain.pose(past), past)
    assert ((chain.lower_rad <= found.position_rad) & (found.position_rad <= chain.upper_rad)).all()


@each
def test_a_place_is_reached_whatever_the_orientation(name):
    """Free to turn, the hand comes to a place that it cannot have in the orientation asked for."""
    _, chain = CHAINS[name]
    for seed in range(20):
        start = anywhere(chain, seed, 0.2)
        target = chain.pose(anywhere(chain, seed + 100)) @ pose_of(rpy=(3.0, 0, 0))
        found = chain.reach(target, start, turned=False)
        assert np.linalg.norm(chain.pose(found.position_rad)[:3, 3] - target[:3, 3]) < 1e-4
        assert found.error_rad == 0.0


def test_what_is_out_of_reach_is_told():
    """The errors of a pose too far away are those of the stretched arm: no less than geometry leaves."""
    _, chain = CHAINS["panda"]
    target = chain.pose(np.clip(0.0, chain.lower_rad, chain.upper_rad))
    target[:3, 3] = (2.0, 0.0, 0.333)
    found = chain.reach(target, np.clip(0.0, chain.lower_rad, chain.upper_rad), turned=False)
    longest = np.hypot(0.316, 0.0825) + np.hypot(0.384, 0.0825) + np.hypot(0.088, 0.107 + 0.1034)
    assert not found.within(0.5)
    assert 2.0 - longest <= found.error_m < 2.0 - longest + 0.15
    assert found.error_m == pytest.approx(
        np.linalg.norm(chain.pose(found.position_rad)[:3, 3] - target[:3, 3])
    )


@pytest.mark.parametrize(
    ("joints", "link", "message"),
    [
        (["left_elbo"], "left_hand_palm", "has no joint 'left_elbo'. Did you mean 'left_elbow'?"),
        (["left_elbow"], "left_palm", "has no link 'left_palm'. Did you mean"),
        (["left_elbow"], "pelvis", "none of the joints left_elbow moves link 'pelvis'."),
    ],
)
def test_a_chain_that_cannot_be_is_refused(joints, link, message):
    """Unknown names, and joints that do not move the link, are told in a sentence."""
    with pytest.raises(Sim2RealError) as error:
        Chain.to(G1, joints, link)
    assert message in str(error.value)

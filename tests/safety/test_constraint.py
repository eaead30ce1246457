import json
from dataclasses import replace
from types import SimpleNamespace

import gymnasium as gym
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sim2real import safety
from sim2real.errors import Sim2RealError
from sim2real.safety.quantities import QUANTITIES, Reader
from sim2real.testing import EchoEnv
from sim2real.wrappers import Constrained


def own_measure(observation, action, info):
    return float(np.sum(action)) - info["offset"]


ALL = (
    safety.joint_position(0.1),
    safety.joint_velocity(),
    safety.torque(),
    safety.power(300),
    safety.action_rate(20),
    safety.torso_tilt(0.5),
    safety.base_height(0.5),
    safety.foot_slip(0.2),
    safety.foot_impact(600),
    safety.self_collision(),
    safety.forbidden_contact(["pelvis"]),
    safety.workspace([-1, -1, 0], [1, 1, 2]),
    safety.end_effector_speed(["pelvis"]),
    safety.grip_force(40),
    safety.object_drop(0.3),
    safety.custom(own_measure, 1.0, unit="N"),
    safety.Record(),
    safety.Penalise(weight=2),
    safety.Lagrangian(limit=3, rate=0.1),
    safety.PidLagrangian(limit=3, delay=4),
    safety.Terminate(budget=5),
    safety.Stochastic(probability=1, shift=0.5),
    safety.Saute(budget=7),
)


@pytest.fixture(scope="module")
def stand():
    env = gym.make("sim2real:sim2real/Stand-v0", disable_env_checker=True, episode_s=1e6)
    yield env
    env.close()


def measured(constraint, env, **step):
    """Return the value of a constraint in an environment as it stands."""
    reader = Reader(env, 0.02)
    measure = constraint.bind(reader)
    seen = safety.Step(
        **{"observation": None, "action": np.zeros(1), "info": {}, "env": env} | step,
    )
    reader.look(seen)
    return measure(seen)


# Values --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("value", ALL, ids=lambda value: str(getattr(value, "name", value)))
def test_values_survive_json(value):
    """What is written as JSON text comes back equal, with the same hash."""
    (again,) = safety.from_json(json.loads(json.dumps(safety.to_json([value]))))
    assert again == value
    assert hash(again) == hash(value)


def test_the_catalogue_has_every_quantity():
    """Each quantity has a constraint of its name, and each label says the limit one asked for."""
    assert {item.quantity for item in ALL if isinstance(item, safety.Constraint)} >= set(QUANTITIES)
    assert safety.base_height(0.5).label == "base_height at least 0.5 m"
    assert safety.foot_impact(600).label == "foot_impact at most 600 N"


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: replace(safety.torque(), quantity="torqe"), "Did you mean 'torque'"),
        (lambda: replace(safety.torque(), unit="N m"), "is measured in ''"),
        (lambda: safety.power(float("nan")), "power: limit must be a finite number"),
        (lambda: replace(safety.torque(), scale=0), "scale must be positive"),
        (lambda: safety.custom(lambda o, a, i: 0.0), "top level of a module"),
        (lambda: safety.workspace([0, 0, 1], [1, 1, 0]), "the lower first"),
        (lambda: safety.end_effector_speed("pelvis"), "a sequence of link names"),
        (lambda: safety.Lagrangian(limit=-1), "must not be negative"),
        (lambda: safety.Lagrangian(limit=1, initial=200), "between 0 and most"),
        (lambda: safety.Lagrangian(limit=1, episodes=0.5), "whole number"),
        (lambda: safety.PidLagrangian(limit=1, smoothing=1), "smoothing"),
        (lambda: safety.PidLagrangian(limit=1, delay=0), "delay"),
        (lambda: safety.Terminate(budget=-1), "must not be negative"),
        (lambda: safety.Stochastic(probability=1.5), "between 0 and 1"),
        (lambda: safety.Stochastic(window=0), "whole number"),
        (lambda: safety.Saute(budget=0), "must be positive"),
        (lambda: safety.from_json([{"kind": "Lagrange"}]), "Did you mean 'Lagrangian'"),
        (lambda: safety.from_json([{"kind": "Saute", "money": 1}]), "This is no Saute"),
    ],
)
def test_mistakes_are_told(make, said):
    """A wrong field raises at once, and the sentence names it."""
    with pytest.raises(Sim2RealError, match=said):
        make()


@pytest.mark.parametrize("item", [item for item in ALL if getattr(item, "quantity", "") in QUANTITIES])
def test_what_an_environment_lacks_is_told_when_wrapped(item):
    """Every constraint but those on the action names itself and what a foreign environment does not have."""
    if item.quantity == "action_rate":
        Constrained(EchoEnv(), [item])
        return
    with pytest.raises(Sim2RealError, match=rf"'{item.name}' needs env\.unwrapped\.(sim|task)"):
        Constrained(EchoEnv(), [item])


def test_what_our_environments_lack_is_told_when_wrapped(stand):
    """A link that is not there and a hand that is not there are told by name."""
    with pytest.raises(Sim2RealError, match=r"'workspace' knows no link 'pelvs'\. Did you mean 'pelvis'"):
        Constrained(stand, [safety.workspace([0, 0, 0], [1, 1, 1], link="pelvs")])
    with pytest.raises(Sim2RealError, match=r"'grip_force' needs env\.unwrapped\.task\.grip_force_n"):
        Constrained(stand, [safety.grip_force(10)])
    with pytest.raises(Sim2RealError, match=r"cannot be imported"):
        Constrained(stand, [safety.custom("no.such:thing")])


# Quantities ----------------------------------------------------------------------------------------------------

numbers = st.lists(st.floats(-5, 5), min_size=3, max_size=3).map(np.array)


@given(position=numbers, velocity=numbers, torque=numbers, lower=numbers, reach=st.floats(0.1, 3))
@settings(max_examples=50)
def test_joint_quantities_are_those_of_the_worst_joint(position, velocity, torque, lower, reach):
    """Past a stop: max(lower − q, q − upper); speed and torque: the largest |x| over what the joint is rated for."""
    rated = {"a": (10.0, 20.0), "b": (20.0, 5.0), "c": (3.0, 7.0)}
    joints = {n: SimpleNamespace(effort_nm=e, velocity_rad_s=v) for n, (e, v) in rated.items()}
    sim = SimpleNamespace(
        robot=SimpleNamespace(joints=joints), joint_names=tuple(rated),
        joint_position_rad=position, joint_velocity_rad_s=velocity, torque_nm=torque,
        lower_rad=lower, upper_rad=lower + reach,
    )  # fmt: skip
    env = SimpleNamespace(sim=sim)
    past = max(max(a - q, q - a - reach) for a, q in zip(lower, position, strict=True))
    assert measured(safety.joint_position(), env) == pytest.approx(past, abs=1e-12)
    fastest = max(abs(v) / rated[n][1] for n, v in zip(rated, velocity, strict=True))
    assert measured(safety.joint_velocity(), env) == pytest.approx(fastest)
    strongest = max(abs(t) / rated[n][0] for n, t in zip(rated, torque, strict=True))
    assert measured(safety.torque(), env) == pytest.approx(strongest)


@given(
    point=numbers,
    low=numbers,
    size=st.lists(st.floats(0, 3), min_size=3, max_size=3).map(np.array),
)
@settings(max_examples=50)
def test_a_workspace_is_left_by_the_distance_to_its_nearest_wall(point, low, size):
    """Inside ⇔ value ≤ 0; outside it is the largest excursion along an axis."""
    env = SimpleNamespace(sim=SimpleNamespace(base_position_m=tuple(point), base_velocity_m_s=(0, 0, 0)))
    box = safety.workspace(low, low + size)
    value = measured(box, env)
    inside = bool(np.all((low <= point) & (point <= low + size)))
    assert (value <= 0.0) == inside
    moved = np.clip(point, low, low + size) - point
    assert max(value, 0.0) == pytest.approx(np.abs(moved).max(), abs=1e-12)


@given(forces=st.lists(st.tuples(st.integers(0, 3), st.floats(0, 500)), max_size=8))
@settings(max_examples=50)
def test_contact_forces_add_up_per_link(forces):
    """A foot bears the sum of its contact points, and what no foot bears is forbidden: together, all of it."""
    sim = SimpleNamespace(feet=[2, 3], link_index={"a": 0, "b": 1, "c": 2, "d": 3}, ground_contacts=forces)
    env = SimpleNamespace(sim=sim)
    feet = [sum(n for link, n in forces if link == foot) for foot in (2, 3)]
    assert measured(safety.foot_impact(1), env) == pytest.approx(max(feet))
    others = measured(safety.forbidden_contact(), env)
    assert others + sum(feet) == pytest.approx(sum(n for _, n in forces))
    named = measured(safety.forbidden_contact(["b"]), env) + measured(safety.forbidden_contact(["a"]), env)
    assert named == pytest.approx(others)


def test_self_collision_is_what_links_press_on_each_other():
    """Contacts with the ground and with objects, negative numbers, do not count."""
    contacts = [(1, -1, 100.0), (2, 0, 3.0), (4, 2, 4.0), (5, -2, 50.0)]
    engine = SimpleNamespace(contacts=lambda: contacts, self_collision=True)
    env = SimpleNamespace(sim=SimpleNamespace(engine=engine))
    assert measured(safety.self_collision(), env) == 7.0
    engine.self_collision = False
    with pytest.raises(Sim2RealError, match="links pass through each other here"):
        measured(safety.self_collision(), env)


def test_hands_and_objects_are_what_the_task_says():
    """Grip force is the task's; an object's height is held against the least height, strictly."""
    env = SimpleNamespace(task=SimpleNamespace(grip_force_n=12.0, object_in_world=(0.1, 0.2, 0.3)))
    assert measured(safety.grip_force(10), env) == 12.0
    drop = safety.object_drop(0.3)
    assert measured(drop, env) == drop.limit
    env.task.object_in_world = (0.1, 0.2, 0.299)
    assert measured(drop, env) > drop.limit


def test_a_standing_robot_presses_on_the_ground_with_its_weight(stand):
    """At rest the feet bear m g together, nothing else touches, nothing slips, the base is upright and at height."""
    sim = stand.unwrapped.sim
    stand.reset(seed=0)
    sim.reset()
    for _ in range(15):
        sim.step(sim.default_pose)
    weight_n = 9.81 * sum(inertial.mass_kg for inertial in sim._nominal.merged.values())
    forces = Reader(stand.unwrapped, 0.02)
    forces.read_ground(None)
    borne = sum(forces.ground_force_n.values())
    assert borne == pytest.approx(weight_n, rel=0.05)
    assert measured(safety.foot_impact(1), stand.unwrapped) == max(forces.ground_force_n.values())
    assert measured(safety.forbidden_contact(), stand.unwrapped) == 0.0
    assert measured(safety.foot_slip(1), stand.unwrapped) < 0.1
    assert measured(safety.torso_tilt(), stand.unwrapped) < 0.1
    height = -measured(safety.base_height(0.5), stand.unwrapped)
    assert height == pytest.approx(sim.robot.base_height_m, abs=0.03)


@pytest.mark.parametrize("speed_m_s", [0.5, 1.5])
def test_feet_that_glide_slip_as_fast_as_the_robot(stand, speed_m_s):
    """Without friction a robot that starts with a velocity keeps it, and its loaded feet slip at that speed."""
    env = stand.unwrapped
    env.parameters.set("ground.friction", 0.0)
    try:
        env.sim.reset(velocity_m_s=(0.6 * speed_m_s, 0.8 * speed_m_s))
        env.sim.step(env.sim.default_pose)
        assert measured(safety.foot_slip(1), env) == pytest.approx(speed_m_s, abs=0.1)
        assert measured(safety.end_effector_speed(["pelvis"]), env) == pytest.approx(speed_m_s, rel=0.05)
    finally:
        env.parameters.set("ground.friction", env.parameters.spec("ground.friction").nominal)


@pytest.mark.parametrize("slope_rad", [0.05, 0.2])
def test_tilt_is_against_the_true_vertical(stand, slope_rad):
    """A robot that stands at right angles on a slope leans by the slope."""
    env = stand.unwrapped
    env.parameters.set("ground.slope", slope_rad)
    try:
        env.sim.reset()
        assert measured(safety.torso_tilt(), env) == pytest.approx(slope_rad)
    finally:
        env.parameters.set("ground.slope", 0.0)


def test_what_is_read_once_per_step_is_what_the_engine_says(stand):
    """After every step and every reset, contacts and foot states shared by all who ask are the engine's of now."""
    sim = stand.unwrapped.sim
    rng = np.random.default_rng(0)
    for seed in (0, 1):
        stand.reset(seed=seed)
        for _ in range(5):
            assert sim.ground_contacts == sim.engine.ground_contacts()
            assert sim.foot_states == sim.engine.link_states(sim.feet)
            stand.step(rng.uniform(-1, 1, 12))
    sim.reset()
    assert sim.ground_contacts == sim.engine.ground_contacts()
    assert sim.foot_states == sim.engine.link_states(sim.feet)


def test_power_is_the_work_of_a_step_over_its_time(stand):
    """Power summed over steps times the period is the energy counter; the same holds again after a reset."""
    env = Constrained(stand, [safety.power(1e-9)])
    rng = np.random.default_rng(0)
    for seed in (0, 1):
        env.reset(seed=seed)
        total = 0.0
        for _ in range(8):
            *_, info = env.step(rng.uniform(-0.2, 0.2, 12))
            total += (info["excess"]["power"] + 1e-9) * 0.02
        assert total == pytest.approx(stand.unwrapped.sim.energy_j)


@given(actions=st.lists(numbers, min_size=1, max_size=6))
@settings(max_examples=30)
def test_action_rate_is_the_largest_change_over_time(actions):
    """max |aₜ − aₜ₋₁| / period, 0 in the first step of every episode, though the caller reuses the array."""
    env = Constrained(EchoEnv(), [safety.action_rate(1)])
    buffer = np.zeros(3)
    for _ in range(2):
        env.reset(seed=0)
        last = actions[0]
        for action in actions:
            buffer[:] = action
            *_, info = env.step(buffer)
            rate = np.abs(action - last).max() / EchoEnv.control_period_s
            assert info["excess"]["action_rate"] + 1 == pytest.approx(rate)
            last = action

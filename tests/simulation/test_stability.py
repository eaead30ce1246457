"""Motors are integrated stably: what passes does not diverge, and what is stiff is the same at any period."""

import gymnasium as gym
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sim2real import Perturbed, Sim2RealError, scale, set_to
from sim2real.robots import Robot
from sim2real.simulation import Simulation
from sim2real.simulation.engine import ENGINES
from sim2real.simulation.stability import FLOOR_S, longest_period_s, stable_ticks

laws = settings(max_examples=60, deadline=None)
CONTROL_S = 0.02


def growth(inertia, kp, kd, h):
    """Spectral radius of one tick of explicit stiffness and implicit damping, v and then q."""
    n = len(inertia)
    damped = np.linalg.inv(inertia + h * np.diag(kd))
    push, keep = -h * damped @ np.diag(kp), damped @ inertia
    step = np.block([[np.eye(n) + h * push, h * keep], [push, keep]])
    return np.abs(np.linalg.eigvals(step)).max()


@laws
@given(moment=st.floats(1e-4, 1.0), kp=st.floats(0.1, 1e5), kd=st.floats(0.0, 100.0), h=st.floats(1e-4, 0.05))
def test_of_one_joint_the_period_is_the_longest_stable_one(moment, kp, kd, h):
    """The recursion stays bounded up to h² k = 4 m + 2 h d, and what is called stable counts on half of m only."""
    edge = (h * h * kp - 2 * h * kd) / (4 * moment)
    if abs(edge - 1) > 0.01:
        bounded = growth(np.array([[moment]]), np.array([kp]), np.array([kd]), h) <= 1 + 1e-9
        assert bounded == (edge < 1)
    longest = longest_period_s(np.array([moment]), np.array([kp]), np.array([kd]))[0]
    assert (h <= longest) == (h * h * kp - 2 * h * kd <= 2 * moment) or h == pytest.approx(longest)


@laws
@given(seed=st.integers(0, 10**6), kp=st.floats(10, 1e5), kd=st.floats(0, 50), ticks=st.integers(1, 8))
def test_what_is_called_stable_does_not_diverge(seed, kp, kd, ticks):
    """For coupled joints, with rotors and without, in the posture that was looked at."""
    rng = np.random.default_rng(seed)
    root = rng.normal(size=(4, 4)) * 0.1
    rotors = rng.uniform(0, 0.02, 4) * (rng.random(4) < 0.7)
    inertia = root @ root.T + np.diag(rotors) + 1e-4 * np.eye(4)
    gains = kp * rng.uniform(0.5, 1, 4), kd * rng.uniform(0.5, 1, 4)
    try:
        found = stable_ticks(
            CONTROL_S, ticks, names="abcd", armature=rotors, kp=gains[0], kd=gains[1], inertia=lambda: inertia
        )
    except Sim2RealError:
        return
    assert found >= ticks
    assert CONTROL_S / found >= FLOOR_S * 0.999 or found == ticks
    assert growth(inertia, *gains, CONTROL_S / found) <= 1 + 1e-9


def test_what_no_period_makes_stable_is_refused_by_name():
    """A stiff joint without rotor and damping: the sentence says which, how stiff, and what would help."""
    with pytest.raises(
        Sim2RealError, match=r"joint 'b' with kp 1e\+06 and kd 0 would need a physics period below"
    ):
        stable_ticks(
            CONTROL_S, 4, names="ab", armature=np.zeros(2), kp=np.array([1.0, 1e6]), kd=np.zeros(2),
            inertia=lambda: np.diag([1.0, 1e-3]),
        )  # fmt: skip


# ---- one joint in an engine ------------------------------------------------------------------------------------


def wrist(engine, period_s, **changes):
    """A G1 held by its pelvis, of which one wrist moves."""
    sim = Simulation(
        Robot.load("g1"), ["left_wrist_yaw"], physics_period_s=period_s, fixed_base=True, engine=engine
    )
    for field, value in changes.items():
        sim.parameters.set(f"left_wrist_yaw.{field}", value)
    sim.reset()
    return sim


def swing(sim, target_rad=0.3, steps=25):
    """Positions (steps,) after each control period under a step of the target, and the torques' work."""
    positions = []
    for _ in range(steps):
        sim.step(sim.default_pose + target_rad)
        positions.append(float(sim.joint_position_rad[0]))
    sim.close()
    return np.array(positions), sim.energy_j


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize(
    "changes",
    [
        {"kp": 40.0, "kd": 10.0},
        {"kp": 40.0, "kd": 1.0, "viscous_friction": 5.0},
        {"kp": 40.0, "kd": 2.0, "armature": 0.0},
        {"kp": 20.0, "kd": 0.5, "strength": 2.0},
    ],
)
def test_a_stiff_wrist_moves_at_5_ms_as_it_does_at_a_quarter_of_a_millisecond(engine, changes):
    """Damping of an inertia of 0.005 kg m² far beyond what explicit integration stands: to 5 % of the step."""
    coarse, fine = swing(wrist(engine, 0.005, **changes)), swing(wrist(engine, 0.00025, **changes))
    assert np.abs(coarse[0] - fine[0]).max() < 0.05 * 0.3
    assert np.abs(np.diff(coarse[0], 2)[5:]).max() < 0.003  # no chatter from step to step


@pytest.mark.parametrize("engine", ENGINES)
def test_a_motor_at_its_limit_neither_chatters_nor_gives_more(engine):
    """Thrown far from its target with kd 10: the torque stays within the limit, and the joint comes to rest."""
    sim = wrist(engine, 0.005, kp=40.0, kd=10.0)
    limit = sim.robot.joints["left_wrist_yaw"].effort_nm
    sim.engine.set_state((0, 0, 1), (0, 0, 0, 1), sim.default_pose.tolist(), [12.0])
    speeds = []
    for _ in range(50):
        sim.step(sim.default_pose)
        assert np.abs(sim.torque_nm).max() <= limit * (1 + 1e-9)
        speeds.append(abs(float(sim.joint_velocity_rad_s[0])))
    assert max(speeds[-10:]) < 0.05
    sim.close()


# ---- episodes --------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module", params=ENGINES)
def stand(request):
    env = gym.make(
        "sim2real:sim2real/Stand-v0", engine=request.param, disable_env_checker=True, episode_s=0.2
    )
    yield env
    env.close()


def periods(env, condition):
    """The physics period at the end of an episode, as its metrics tell it."""
    perturbed = Perturbed(env, condition)
    perturbed.reset(seed=0)
    done = False
    while not done:
        *_, terminated, truncated, info = perturbed.step(np.zeros(12))
        done = terminated or truncated
    perturbed.restore()
    return info["metrics"]["physics_period_s"]


def test_an_episode_with_stiff_motors_gets_a_shorter_period_and_says_so(stand):
    """By the wanted values alone: before, with and after them."""
    stiff = [scale("parameter:*.kp", 40.0)]
    assert periods(stand, []) == 0.005
    shorter = periods(stand, stiff)
    assert shorter < 0.005
    assert periods(stand, []) == 0.005
    assert periods(stand, stiff) == shorter
    assert periods(stand, [*stiff, scale("parameter:*.armature", 40.0)]) == 0.005


def test_motors_that_stiffen_on_the_way_get_it_too(stand):
    """A gain that changes within the episode divides the ticks from there on; latencies stay what they are."""
    env = stand.unwrapped
    env.parameters.set("actuator.latency_s", 0.04)
    env.parameters.set("sensor.latency_s", 0.02)
    env.reset(seed=0)
    for _ in range(4):
        env.step(np.zeros(12))
    for joint in env.joint_names:
        env.parameters.set(f"{joint}.kp", 40.0 * env.parameters.get(f"{joint}.kp"))
    shown = []
    for _ in range(4):
        before = env.sim.joint_position_rad.copy()
        env.step(np.full(12, 0.1))
        shown.append(np.array_equal(env.sim.reading.joint_position_rad, before))
    assert env.sim.physics_period_s < 0.005
    assert all(shown)  # readings are one control period old, before and after
    for name in ("actuator.latency_s", "sensor.latency_s"):
        env.parameters.set(name, 0.0)
    for joint in env.joint_names:
        env.parameters.set(f"{joint}.kp", env.parameters.spec(f"{joint}.kp").nominal)
    env.reset(seed=0)
    assert env.sim.physics_period_s == 0.005


def test_a_condition_that_no_period_makes_stable_is_refused(stand):
    """In one sentence that names the joint."""
    impossible = {"kp": 1e5, "strength": 10.0, "armature": 0.0, "kd": 0.0}
    env = Perturbed(
        stand, [set_to(f"parameter:left_ankle_roll.{field}", value) for field, value in impossible.items()]
    )
    with pytest.raises(
        Sim2RealError, match="joint 'left_ankle_roll' with kp .* would need a physics period below"
    ):
        env.reset(seed=0)
    env.restore()
    stand.reset(seed=0)

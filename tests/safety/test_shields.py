import json
from types import SimpleNamespace

import gymnasium as gym
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sim2real import Robot, policies, safety
from sim2real.errors import Sim2RealError
from sim2real.safety.barrier import Joints, spread
from sim2real.safety.step import Step
from sim2real.simulation import Simulation
from sim2real.wrappers import Shielded

N = 12
CLOSED = (safety.JointBarrier(), safety.TorqueClamp())


class Held:
    """The G1's legs, its base bolted down high in the air: what the joint shields make promises about."""

    def __init__(self, control="position"):
        robot = Robot.load("g1")
        self.sim = sim = Simulation(robot, robot.group("legs"), fixed_base=True, control=control)
        self.unwrapped, self.control, self.action_names = self, control, sim.joint_names
        self.control_period_s = sim.control_period_s
        self.observation_terms = {
            "gyro": slice(0, 3), "projected_gravity": slice(3, 6),
            "joint_position": slice(6, 6 + N), "joint_velocity": slice(6 + N, 6 + 2 * N),
        }  # fmt: skip
        self.observation_space = SimpleNamespace(shape=(6 + 2 * N,))
        self.action_space = gym.spaces.Box(-1.0, 1.0, (N,))
        effort = sim.actuators.effort_nm
        self.action_scale = effort / sim.kp if control == "position" else effort.copy()
        self.action_offset = sim.default_pose if control == "position" else np.zeros(N)

    def observe(self, position=None, velocity=None):
        reading = self.sim.reading
        position = reading.joint_position_rad if position is None else position
        velocity = reading.joint_velocity_rad_s if velocity is None else velocity
        parts = reading.gyro_rad_s, reading.projected_gravity, position, velocity
        return np.concatenate(parts).astype(np.float32)

    def reset(self):
        sim = self.sim
        sim.reset()
        sim.engine.set_state((0, 0, 3), (0, 0, 0, 1), sim.default_pose.tolist())
        return self.step(np.zeros(N))

    def step(self, action):
        self.sim.step(self.action_offset + self.action_scale * action)
        return self.observe()


@pytest.fixture(scope="module")
def held():
    env = Held()
    env.reset()
    yield env
    env.sim.close()


@pytest.fixture(scope="module")
def stand():
    env = gym.make("sim2real:sim2real/Stand-v0", disable_env_checker=True, episode_s=6.0)
    yield env
    env.close()


def guard(shield, env):
    made = shield.bind(env)
    made.reset()
    return made


def step(env, action, **state):
    return Step(env.observe(**state), action, {}, env)


# ---- the model that the barriers stand on ----------------------------------------------------------------------


@given(light=st.booleans(), seed=st.integers(0, 2**32 - 1))
@settings(max_examples=20, deadline=None)
def test_the_response_is_what_integration_gives(held, light, seed):
    """Position, velocity and torque at every tick are linear in (q, v, u), with the coefficients said."""
    rng = np.random.default_rng(seed)
    joints, sim = Joints(held, "test"), held.sim
    inertia = joints.light_kgm2 if light else joints.heavy_kgm2
    position, velocity, target = rng.normal(size=(3, N))
    start = np.stack([position, velocity, target])
    for of_position, of_velocity, of_torque in zip(*joints.respond(inertia), strict=True):
        torque = sim.kp * (target - position) - sim.kd * velocity
        velocity = velocity + sim.physics_period_s * torque / inertia
        position = position + sim.physics_period_s * velocity
        np.testing.assert_allclose((of_position * start).sum(axis=0), position, rtol=1e-9, atol=1e-9)
        np.testing.assert_allclose((of_velocity * start).sum(axis=0), velocity, rtol=1e-9, atol=1e-9)
        np.testing.assert_allclose((of_torque * start).sum(axis=0), torque, rtol=1e-9, atol=1e-7)


def test_no_pose_makes_a_joint_lighter_or_heavier_than_the_range(held):
    """Poses that were not looked at stay within the inertias found, but for a few per cent."""
    joints, engine = Joints(held, "test"), held.sim.engine
    for at in np.random.default_rng(1).random((200, N)):
        matrix = engine.mass_matrix(joints.lower_rad + joints.range_rad * at)
        assert (np.diag(matrix) <= 1.1 * joints.heavy_kgm2).all()
        assert (1.0 / np.diag(np.linalg.inv(matrix)) >= 0.8 * joints.light_kgm2).all()


@given(seed=st.integers(0, 2**32 - 1), heavy=st.booleans(), pushed=st.floats(-1, 1))
@settings(max_examples=50, deadline=None)
def test_a_joint_by_itself_stays_behind_its_barrier(held, seed, heavy, pushed):
    """Wherever the bounds agree, barrier and speed hold at the first and the last tick under any push allowed."""
    rng = np.random.default_rng(seed)
    shield = safety.JointBarrier()
    barrier, joints, sim = guard(shield, held), Joints(held, "test"), held.sim
    reach_s, speed = joints.reach_s(shield.braking), shield.speed * joints.speed_rad_s
    lower, upper = joints.lower_rad + shield.margin_rad, joints.upper_rad - shield.margin_rad
    position = lower + (upper - lower) * rng.random(N)
    velocity = rng.uniform((lower - position) / reach_s, (upper - position) / reach_s)
    velocity = np.clip(velocity, -speed, speed)
    wanted = rng.uniform(-2, 2, N)
    target = held.action_offset + held.action_scale * barrier(
        step(held, wanted, position=position, velocity=velocity)
    )
    kept = barrier._lower <= barrier._upper
    most = np.minimum(shield.disturbance * joints.effort_nm, shield.braking * joints.coupled_nm)
    inertia, push = (joints.heavy_kgm2, pushed * most) if heavy else (joints.light_kgm2, 0.0)
    ends = []
    for _ in range(sim.ticks):
        torque = sim.kp * (target - position) - sim.kd * velocity + push
        velocity = velocity + sim.physics_period_s * torque / inertia
        position = position + sim.physics_period_s * velocity
        ends.append((position + reach_s * velocity, velocity))
    assert kept.any()
    for barrier_rad, velocity in (ends[0], ends[-1]):
        assert (barrier_rad <= upper + 1e-5)[kept].all()
        assert (barrier_rad >= lower - 1e-5)[kept].all()
        assert (np.abs(velocity) <= speed + 1e-3)[kept].all()


# ---- what every shield promises --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "shield",
    [*CLOSED, safety.SoftLimits(), safety.BarrierProgramme(), safety.RateLimit(change=0.3)],
    ids=lambda shield: shield.name,
)
@given(seed=st.integers(0, 2**32 - 1))
@settings(max_examples=30, deadline=None)
def test_a_safe_action_stays_what_it_is(held, shield, seed):
    """What a shield has made safe it does not change again, nor anything between two safe actions."""
    rng = np.random.default_rng(seed)
    joints = Joints(held, "test")
    position = joints.lower_rad + joints.range_rad * rng.uniform(0.2, 0.8, N)
    state = {"position": position, "velocity": 0.3 * rng.normal(size=N)}
    at = shield.bind(held)

    def made(action):
        at.reset()
        safe = at(step(held, action, **state))
        assert not at.infeasible
        return safe

    first, second = made(rng.uniform(-2, 2, N)), made(rng.uniform(-2, 2, N))
    for action in (first, second, (first + second) / 2):
        np.testing.assert_allclose(made(action), action, atol=1e-6)


@pytest.mark.parametrize("control", ["position", "torque"])
def test_the_clamp_bounds_the_first_torque_exactly(control):
    """Whatever is wanted in whatever state, the motor controllers ask for no more than the fraction."""
    env, rng = Held(control), np.random.default_rng(0)
    env.reset()
    clamp, sim = guard(safety.TorqueClamp(fraction=0.6), env), env.sim
    joints = Joints(env, "test")
    most = 0.0
    for _ in range(200):
        position = joints.lower_rad + joints.range_rad * rng.random(N)
        velocity = np.where(rng.random(N) < 0.5, 0.0, rng.normal(size=N))
        target = env.action_offset + env.action_scale * clamp(
            step(env, rng.uniform(-3, 3, N), position=position, velocity=velocity)
        )
        torque = target if control == "torque" else sim.kp * (target - position) - sim.kd * velocity
        ratio = np.abs(torque[clamp._lower <= clamp._upper]) / joints.effort_nm[clamp._lower <= clamp._upper]
        assert (ratio <= 0.6 + 1e-5).all()
        most = max(most, ratio.max())
    assert most > 0.59
    sim.close()


@given(st.floats(-9, 9), st.sampled_from([(-1.0, 1.0), (0.2, np.inf), (-np.inf, 0.5)]))
def test_action_limits_clip_to_the_bounds_there_are(wanted, ends):
    """An action inside is left as it is; one outside becomes the bound that it passed, on sides that have one."""
    for shape in ((1,), ()):
        env = SimpleNamespace(action_space=gym.spaces.Box(*ends, shape, np.float64))
        limited = safety.ActionLimits().bind(env)
        safe = limited(Step(None, np.full(shape, wanted), {}, None))
        assert safe == min(max(wanted, ends[0]), ends[1])


def test_the_rate_limiter_moves_by_the_change_at_most_and_gets_there():
    """From 0, each step goes as far towards what is wanted as the limit allows."""
    env = gym.make("Pendulum-v1")
    limiter = guard(safety.RateLimit(change=0.5), env)
    wanted = np.array([1.2])
    made = [float(limiter(Step(None, wanted, {}, env))[0]) for _ in range(4)]
    assert made == pytest.approx([0.5, 1.0, 1.2, 1.2])


@pytest.mark.parametrize("end", [-1.0, 1.0])
def test_soft_limits_keep_joints_that_are_told_to_go_to_their_stops_off_them(end):
    """Sent beyond its stop, a joint is told to be a tenth of its range away; without the shield it ends at the stop."""
    env = Held()
    left_rad = {}
    for shielded in (False, True):
        env.reset()
        limiter = guard(safety.SoftLimits(fraction=0.8), env)
        wanted = np.full(N, 20.0 * end)
        told = limiter(step(env, wanted)) if shielded else wanted
        for _ in range(150):
            env.step(told)
        joints = Joints(env, "test")
        position = env.sim.joint_position_rad
        left_rad[shielded] = np.minimum(position - joints.lower_rad, joints.upper_rad - position)
        if shielded:
            target = env.action_offset + env.action_scale * told
            place = (target - joints.lower_rad) / joints.range_rad
            np.testing.assert_allclose(place, 0.5 + 0.4 * end, atol=1e-9)
    # A joint sags by what it carries, and stays half as far from its stop as it was told to.
    assert (left_rad[True] > 0.05 * joints.range_rad).all()
    assert (left_rad[False] < 0.01 * joints.range_rad).all()
    env.sim.close()


# ---- proofs: zero violations on the bolted robot -----------------------------------------------------------------


def sequences(env, kind, rng, steps):
    """Random actions, or such as want to break something."""
    sim, scale, offset = env.sim, env.action_scale, env.action_offset
    action = side = rng.choice([-1.0, 1.0], N)
    for k in range(steps):
        if kind == "random" and k % 5 == 0:
            action = rng.uniform(-1, 1, N)
        elif kind == "bang-bang":
            side = np.where(rng.random(N) < 0.08, -side, side)
            action = side
        elif kind == "resonant":  # pumps energy into every swing
            action = np.sign(sim.joint_velocity_rad_s + 1e-9) * (
                1 if k // 200 % 2 else rng.choice([-1, 1], N)
            )
        elif kind == "at the stops" and k % 60 == 0:
            side = rng.choice([-1.0, 1.0], N)
            action = (np.where(side > 0, sim.upper_rad, sim.lower_rad) + 0.5 * side - offset) / scale
        yield action


def worst(env, shields, kind, steps, seed):
    """Return how far past its stop a joint got at any physics tick, and its largest speed over the rated."""
    rng, sim, observation = np.random.default_rng(seed), env.sim, env.reset()
    guards = [guard(shield, env) for shield in shields]
    past, fast, read = [-np.inf], [0.0], sim.engine.joint_state
    rated = Joints(env, "test").speed_rad_s

    def watched():
        position, velocity = read()
        past.append(np.maximum(position - sim.upper_rad, sim.lower_rad - position).max())
        fast.append((np.abs(velocity) / rated).max())
        return position, velocity

    sim.engine.joint_state = watched
    try:
        for action in sequences(env, kind, rng, steps):
            for made in guards:
                action = made(Step(observation, action, {}, env))
            observation = env.step(action)
    finally:
        del sim.engine.joint_state
    return max(past), max(fast)


KINDS = ("random", "bang-bang", "resonant", "at the stops")


@pytest.mark.parametrize("kind", KINDS)
def test_without_a_shield_limits_break(held, kind):
    """What the shields are up against: every sequence drives joints into their stops and beyond their speed."""
    past, fast = worst(held, (), kind, 300, 0)
    assert past > 0.01
    assert fast > 1.0


@pytest.mark.parametrize("kind", KINDS)
def test_with_the_closed_forms_none_does(held, kind):
    """No joint reaches a stop or its rated speed at any physics tick, base held, nominal dynamics."""
    past, fast = worst(held, CLOSED, kind, 1250, 1)
    assert past < 0.0
    assert fast < 1.0


@pytest.mark.parametrize("kind", KINDS)
def test_with_the_programme_none_does(held, kind):
    """The same with the quadratic programme."""
    past, fast = worst(held, (safety.BarrierProgramme(),), kind, 500, 2)
    assert past < 0.0
    assert fast < 1.0


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_not_in_a_hundred_thousand_steps(held, kind):
    """The same for 10⁵ control steps in all."""
    past, fast = worst(held, CLOSED, kind, 25_000, 3)
    assert past < 0.0
    assert fast < 1.0


# ---- the quadratic programme -------------------------------------------------------------------------------------


def test_the_programme_foresees_the_step(held):
    """What joints do in a step comes out as foreseen but for a tenth, much nearer than for joints by themselves."""
    rng, observation = np.random.default_rng(0), held.reset()
    programme, joints, sim = guard(safety.BarrierProgramme(), held), Joints(held, "test"), held.sim
    missed, alone, changed = [], [], []
    for _ in range(100):
        action = programme(Step(observation, rng.uniform(-0.3, 0.3, N), {}, held))
        reaction, constant = programme._predict(observation)
        _, foreseen, _ = (reaction @ action + constant).reshape(2, 3, N)[1]
        start = (
            sim.joint_position_rad,
            sim.joint_velocity_rad_s,
            held.action_offset + held.action_scale * action,
        )
        by_itself = (joints.respond(joints.heavy_kgm2)[1][-1] * start).sum(axis=0)
        observation = held.step(action)
        missed.append(foreseen - sim.joint_velocity_rad_s)
        alone.append(by_itself - sim.joint_velocity_rad_s)
        changed.append(sim.joint_velocity_rad_s - start[1])
    missed, alone, changed = (np.linalg.norm(of) for of in (missed, alone, changed))
    assert missed < 0.1 * changed
    assert missed < 0.3 * alone


def test_the_programme_allows_more_than_the_closed_form_and_keeps_its_limits(held):
    """Its action is within its limits and nearer to the wanted one than any feasible one between it and rest."""
    rng, observation = np.random.default_rng(0), held.reset()
    programme, closed = guard(safety.BarrierProgramme(), held), guard(safety.JointBarrier(), held)
    solved, nearer = 0, []
    for _ in range(200):
        now = Step(observation, rng.uniform(-1, 1, N), {}, held)
        action = programme(now)
        if not programme.infeasible:
            solved += 1
            reaction, constant = programme._predict(observation)
            slack = np.abs(reaction) @ programme._slack
            low, high = programme._low - constant + slack, programme._high - constant - slack
            assert (reaction @ action >= low - 1e-4).all()
            assert (reaction @ action <= high + 1e-4).all()
            for candidate in rng.uniform(-1, 1, (50, 1)) * now.action:
                if (low <= reaction @ candidate).all() and (reaction @ candidate <= high).all():
                    assert (
                        np.linalg.norm(action - now.action) <= np.linalg.norm(candidate - now.action) + 1e-6
                    )
            nearer.append(np.linalg.norm(action - now.action) - np.linalg.norm(closed(now) - now.action))
        observation = held.step(action)
    assert solved > 180
    assert np.median(nearer) < 0.0


def test_where_there_is_no_feasible_action_the_closed_form_acts_and_it_says_so(held):
    """A joint that flies towards its stop too fast to be caught: infeasible, and the action is the closed form's."""
    programme = guard(safety.BarrierProgramme(), held)
    joints = Joints(held, "test")
    state = {"position": joints.upper_rad - 0.06, "velocity": 0.8 * joints.speed_rad_s}
    now = step(held, np.zeros(N), **state)
    action = programme(now)
    assert programme.infeasible
    for closed in (safety.JointBarrier(braking=safety.BarrierProgramme().braking), safety.TorqueClamp()):
        now = now._replace(action=guard(closed, held)(now))
    np.testing.assert_array_equal(action, now.action)


# ---- the learned layer ---------------------------------------------------------------------------------------------


def speed_of(observation, action, info):
    return float(observation[2])


def swung(env, layer, steps=1500, seed=0):
    """Return observations, actions and the speeds before and after each step under random actions."""
    env = Shielded(env, (layer,) if layer else ())
    rng = np.random.default_rng(seed)
    observation, _ = env.reset(seed=seed)
    rows, info = [], {}
    for _ in range(steps):
        action = rng.uniform(-2, 2, 1).astype(np.float32)
        following, _, _, truncated, info = env.step(action)
        rows.append((observation, action, observation[2], following[2]))
        observation = env.reset()[0] if truncated else following
    return [np.array(of) for of in zip(*rows, strict=True)], info


def test_a_layer_fitted_to_a_pendulum_keeps_its_speed():
    """θ̈ = 15 sin θ + 3 u is linear in what is observed, so it is learnt exactly, and the limit kept where it can be."""
    env = gym.make("Pendulum-v1")
    limit = safety.custom(speed_of, 2.0, unit="rad/s")
    (seen, done, now, after), _ = swung(env, None)
    free = np.abs(after) < 7.9  # beyond it the environment clips the speed
    layer = safety.LearnedLayer.fit(
        limit,
        observations=seen[free],
        actions=done[free],
        values=now[free],
        next_values=after[free],
        ridge=1e-9,
    )
    scaled = np.array(layer.effect[0])
    assert scaled[0] == pytest.approx(3 * 0.05, rel=1e-3)
    assert layer.margin < 1e-2
    (_, _, now, after), info = swung(env, layer, seed=1)
    assert info["shield"]["learned_layer"]["interventions"] > 0
    catchable = now + 0.75 - 0.3 <= 2.0  # gravity gives at most 0.75, the motor takes at most 0.3
    assert (after[catchable] <= 2.0 + 0.02).all()
    (_, _, _, free_after), _ = swung(env, None, seed=1)
    assert (after > 2.02).mean() < 0.5 * (free_after > 2.02).mean()


def test_the_margin_covers_what_the_model_misses():
    """Of normal noise the 95 % quantile, 1.64 of its standard deviations."""
    rng = np.random.default_rng(0)
    seen, done = rng.normal(size=(20_000, 2)), rng.uniform(-1, 1, (20_000, 1))
    after = 0.5 * done[:, 0] + 0.1 * rng.normal(size=20_000)
    layer = safety.LearnedLayer.fit(
        safety.torso_tilt(), observations=seen, actions=done, values=np.zeros(20_000), next_values=after
    )
    assert layer.margin == pytest.approx(0.1645, rel=0.05)


@given(seed=st.integers(0, 2**32 - 1))
@settings(max_examples=50, deadline=None)
def test_the_layer_makes_the_nearest_action_that_the_model_calls_safe(seed):
    """Safe actions stay; others end on the limit, in the box, and no random safe action of the box is nearer."""
    rng = np.random.default_rng(seed)
    m, d = 3, 2
    layer = safety.LearnedLayer(
        constraint=safety.custom(zero_value, 0.3), centre=(0.0,) * d, spread=(1.0,) * d,
        drift=tuple(rng.normal(size=1 + d)), effect=tuple(map(tuple, rng.normal(size=(m, 1 + d)))),
    )  # fmt: skip
    env = SimpleNamespace(
        action_space=gym.spaces.Box(-1, 1, (m,)),
        observation_space=gym.spaces.Box(-9, 9, (d,)),
        unwrapped=None,
    )
    at, seen, wanted = guard(layer, env), rng.normal(size=d), rng.uniform(-1, 1, m)
    features = np.array([1.0, *seen])
    slope, drift = np.array(layer.effect) @ features, np.array(layer.drift) @ features
    action = at(Step(seen, wanted, {}, env))
    assert (np.abs(action) <= 1 + 1e-12).all()
    if drift + slope @ wanted <= 0.3:
        np.testing.assert_array_equal(action, wanted)
    elif at.infeasible:
        assert drift - np.abs(slope).sum() > 0.3
        np.testing.assert_allclose(action, -np.sign(slope))
    else:
        assert drift + slope @ action == pytest.approx(0.3, abs=1e-9)
        others = rng.uniform(-1, 1, (500, m))
        others = others[drift + others @ slope <= 0.3]
        assert (np.linalg.norm(others - wanted, axis=1) >= np.linalg.norm(action - wanted) - 1e-9).all()


def zero_value(observation, action, info):
    return 0.0


# ---- recovery ------------------------------------------------------------------------------------------------------


def tilted(stand, tilt_rad, rate_rad_s=0.0):
    """Return an observation of a body that leans forward, and turns further."""
    seen = np.zeros(stand.observation_space.shape, np.float32)
    terms = stand.unwrapped.observation_terms
    seen[terms["projected_gravity"]] = np.sin(tilt_rad), 0.0, -np.cos(tilt_rad)
    seen[terms["gyro"]] = 0.0, rate_rad_s, 0.0
    return seen


def ones(env):
    return lambda observation: np.ones(env.action_space.shape)


def test_recovery_takes_over_early_and_gives_back_late(stand):
    """Hysteresis: it acts from the trigger on, by tilt and rate together, and until it was calm for long enough."""
    shield = safety.Recovery(
        policy=f"{__name__}:ones", trigger_rad=0.1, release_rad=0.05, lead_s=0.5, calm_s=0.06
    )
    at = guard(shield, stand)

    def acts(*state):
        return bool(at(Step(tilted(stand, *state), np.zeros(N), {}, stand.unwrapped)).any())

    assert [acts(0.09), acts(0.06, 0.07), acts(0.11)] == [False, False, True]
    assert acts(0.07)  # between release and trigger: go on
    assert [acts(0.0), acts(0.0), acts(0.0)] == [True, True, False]
    assert acts(0.03, 0.2)  # 0.03 + 0.5 · 0.2
    assert [acts(0.0), acts(0.0), acts(0.06), acts(0.0), acts(0.0), acts(0.0)] == [True] * 5 + [False]


def test_recovery_reaches_a_stable_crouch(stand):
    """Legs told to stand still let the robot fall; with the shield it ends low, upright, at rest, on its feet.

    A robot that does not step cannot be caught from every push: of eight, seven at least are.
    """
    sim = stand.unwrapped.sim
    shielded = Shielded(stand, (safety.Recovery(calm_s=60.0),))
    fallen = []
    for seed in range(8):
        for env in (stand, shielded):
            env.reset(seed=seed)
            sim.engine.add_base_velocity((0.05 * np.cos(seed), 0.05 * np.sin(seed), 0.0), (0.0, 0.0, 0.0))
            terminated = truncated = False
            while not (terminated or truncated):
                *_, terminated, truncated, _ = env.step(np.zeros(N))
            assert terminated or env is shielded
        fallen.append(terminated)
        if terminated:
            continue
        assert sim.base_position_m[2] < 0.93 * sim.robot.base_height_m
        assert stand.unwrapped.task.uprightness > 0.99
        assert np.linalg.norm(sim.base_velocity_m_s) < 0.01
        assert {link for link, _ in sim.engine.ground_contacts()} == set(sim.feet)
    assert sum(fallen) <= 1


def test_the_crouch_is_as_deep_as_asked_for(stand):
    """By itself the policy comes to rest with its knees bent as asked, but for what the load bends them further."""
    bare = stand.unwrapped
    for knee_rad in (0.6, 0.9):
        crouch = policies.crouch(stand, knee_rad=knee_rad)
        observation, _ = stand.reset(seed=0)
        for _ in range(150):
            observation, _, terminated, *_ = stand.step(crouch(observation))
            assert not terminated
        bent = bare.sim.joint_position_rad[[name.endswith("knee") for name in bare.joint_names]]
        assert (np.abs(bent - knee_rad - 0.1) < 0.1).all()


# ---- values and mistakes -------------------------------------------------------------------------------------------

SHIELDS = (
    *CLOSED,
    safety.BarrierProgramme(disturbance=0.1),
    safety.RateLimit(change=0.2),
    safety.ActionLimits(),
    safety.Recovery(trigger_rad=0.2),
    safety.LearnedLayer(
        constraint=safety.torso_tilt(), centre=(0.0, 1.0), spread=(1.0, 2.0), drift=(0.0, 1.0, 2.0),
        effect=((1.0, 2.0, 3.0),),
    ),
)  # fmt: skip


def test_shields_are_values():
    """JSON and back gives equal values of equal hash, and different numbers different ones."""
    back = safety.from_json(json.loads(json.dumps(safety.to_json(SHIELDS))))
    assert back == SHIELDS
    assert hash(back) == hash(SHIELDS)
    assert safety.JointBarrier(speed=0.8) != safety.JointBarrier()
    assert eval(repr(SHIELDS[0]), vars(safety)) == SHIELDS[0]


def timeless():
    """Return an environment that has a recovery's terms and does not say how long a step is."""
    env = gym.make("Pendulum-v1").unwrapped
    env.observation_terms = {"gyro": slice(0, 3), "projected_gravity": slice(0, 3)}
    return env


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (
            lambda: safety.JointBarrier(speed=1.5),
            "joint_barrier: speed must be above 0 and at most 1, not 1.5",
        ),
        (lambda: safety.SoftLimits(fraction=0.0), "soft_limits: fraction must be above 0 and at most 1"),
        (lambda: safety.SoftLimits().bind(Held("torque")), "these are told torques"),
        (lambda: safety.RateLimit(change=0), "rate_limit: change must be above 0, not 0"),
        (lambda: safety.Recovery(release_rad=0.2), "release_rad must be below trigger_rad"),
        (lambda: safety.TorqueClamp().bind(gym.make("Pendulum-v1")), "needs an environment of this package"),
        (lambda: safety.Recovery().bind(gym.make("Pendulum-v1")), "needs an observation with 'gyro'"),
        (lambda: safety.Recovery().bind(timeless()), r"needs env\.unwrapped\.control_period_s, in seconds"),
        (lambda: safety.RateLimit(change=1).bind(gym.make("CartPole-v1")), "actions of a Box space"),
        (lambda: safety.JointBarrier().bind(gym.make("sim2real:sim2real/Grasp-v0")), "one number per joint"),
        (lambda: SHIELDS[-1].bind(gym.make("Pendulum-v1")), "fitted to 2 observations and 1 actions"),
        (lambda: Shielded(gym.make("Pendulum-v1"), [SHIELDS[3]] * 2), "Two shields are called 'rate_limit'"),
    ],
)
def test_a_mistake_is_one_sentence(make, sentence):
    """It names the shield, what is wrong and what would be right."""
    with pytest.raises(Sim2RealError, match=sentence):
        make()


def test_points_spread_evenly():
    """Every box of a sixteenth of the unit square gets one to seven of 64 points."""
    counts, *_ = np.histogram2d(*spread(64, 2).T, bins=4, range=[[0, 1], [0, 1]])
    assert 1 <= counts.min() <= counts.max() <= 7

"""Laws of a contract resolved against an environment."""

import gymnasium as gym
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sim2real.errors import Sim2RealError
from sim2real.policies import BoundPolicy, Mlp, Term
from sim2real.policies.binding import SpaceBinding

JOINTS = ("left_hip", "left_knee", "right_hip", "right_knee")
UNREAD = {"joint_position": np.zeros(1), "previous_action": np.zeros(1)}
WAYS = ("forward", "sideways", "closing")
TERMS = ("gyro", "joint_position", "joint_velocity", "previous_action", "gait_phase")


def network(inputs: int = 15, outputs: int = 4) -> Mlp:
    rng = np.random.default_rng(1)
    sizes = (inputs, 16, outputs)
    return Mlp(
        [(rng.normal(size=(b, a)), rng.normal(size=b)) for a, b in zip(sizes, sizes[1:], strict=False)]
    )


def states(seed: int, steps: int = 4) -> list[dict]:
    rng = np.random.default_rng(seed)
    joints = ("joint_position", "joint_velocity", "previous_action")
    return [
        {"gyro": rng.normal(size=3)}
        | {name: dict(zip(JOINTS, rng.normal(size=4), strict=True)) for name in joints}
        for _ in range(steps)
    ]


def targets(policy: BoundPolicy, env, seed: int) -> list[dict[str, float]]:
    """Return the commanded joint targets by name over a few steps."""
    policy.reset(seed)
    actions = [policy(env.observe(state)) for state in states(seed)]
    return [dict(zip(env.joint_names, action.tolist(), strict=True)) for action in actions]


@settings(max_examples=50, deadline=None)
@given(joints=st.permutations(JOINTS), order=st.permutations(TERMS), seed=st.integers(0, 99))
def test_layout_of_the_environment_does_not_matter(robot, contract, joints, order, seed):
    """Whatever the environment's order of joints and terms, every joint gets bit for bit the same target."""
    gains = {"kp": (1.0, 2.0, 3.0, 4.0), "kd": (0.1, 0.2, 0.3, 0.4)}
    terms = contract(action_scale=(0.1, 0.2, 0.3, 0.4), action_offset=(1.0, 2.0, 3.0, 4.0), **gains)
    plain, other = robot(), robot(joints, order)
    assert targets(BoundPolicy(network(), terms.bind(plain)), plain, seed) == targets(
        BoundPolicy(network(), terms.bind(other)), other, seed
    )
    for name, values in gains.items():
        assert dict(zip(joints, getattr(other, name), strict=True)) == dict(zip(JOINTS, values, strict=True))


@given(seed=st.integers(0, 99), unit=st.floats(0.1, 3.0), zero=st.floats(-1.0, 1.0))
def test_the_environments_unit_of_action_does_not_matter(robot, contract, seed, unit, zero):
    """Actions differ, the joint targets they stand for do not."""
    terms = contract(action_scale=0.25, action_offset=(1.0, 2.0, 3.0, 4.0))
    plain, scaled = robot(), robot(action_scale=np.full(4, unit), action_offset=np.full(4, zero))
    wanted = targets(BoundPolicy(network(), terms.bind(plain)), plain, seed)
    actions = targets(BoundPolicy(network(), terms.bind(scaled)), scaled, seed)
    for target, action in zip(wanted, actions, strict=True):
        assert {k: zero + unit * a for k, a in action.items()} == pytest.approx(target, abs=1e-4)


@settings(max_examples=50, deadline=None)
@given(order=st.permutations(range(4)), joints=st.permutations(range(4)), history=st.integers(1, 3))
def test_layout_of_the_policy_does_not_matter(robot, contract, order, joints, history):
    """Permuting a policy's terms, joints and weights alike changes no joint's target."""
    env, base = robot(), contract()
    terms = [
        Term(term=t.term, size=t.size, scale=t.scale, offset=t.offset, history=history)
        for t in base.observation
    ]
    columns = np.split(np.arange(15 * history), np.cumsum([t.size * history for t in terms])[:-1])
    per_joint = [c.reshape(history, -1)[:, joints].ravel() if i else c for i, c in enumerate(columns)]
    moved = []
    for term in terms:
        offset = np.broadcast_to(term.offset, term.size)
        moved.append(Term(**vars(term) | {"offset": tuple(offset[joints] if term.size == 4 else offset)}))
    weights, bias = np.random.default_rng(2).normal(size=(4, 15 * history)), np.zeros(4)
    plain = contract(observation=terms, action_scale=0.25)
    permuted = contract(
        joints=[JOINTS[j] for j in joints], observation=[moved[i] for i in order], action_scale=0.25
    )
    rows = weights[joints][:, np.concatenate([per_joint[i] for i in order])]
    expected = targets(BoundPolicy(Mlp([(weights, bias)]), plain.bind(env)), env, 3)
    actual = targets(BoundPolicy(Mlp([(rows, bias)]), permuted.bind(env)), env, 3)
    for one, other in zip(expected, actual, strict=True):
        assert one == pytest.approx(other, abs=1e-4)


def test_values_follow_the_written_formulas(robot, contract):
    """Inputs are (x - offset) * scale, targets offset + scale * output; the clipped output is read back."""
    env = robot()
    binding = contract(action_scale=0.5, action_offset=0.1, action_clip=1.0).bind(env)
    state = states(0)[0]
    q, dq = (np.array(list(state[name].values())) for name in ("joint_position", "joint_velocity"))
    scaled = np.concatenate([state["gyro"] * 0.25, q - [0.0, 0.1, 0.2, 0.3], dq * 0.05])
    for previous in ([0.0] * 4, [1.0, -1.0, 0.5, 0.25]):
        np.testing.assert_allclose(
            binding.observe(env.observe(state)), np.append(scaled, previous), rtol=1e-6
        )
        action = binding.act(np.array([2.0, -3.0, 0.5, 0.25], np.float32))
        np.testing.assert_allclose(action, [0.6, -0.4, 0.35, 0.225], rtol=1e-6)
    binding.reset()
    np.testing.assert_array_equal(binding.observe(env.observe(state))[-4:], 0)


@pytest.mark.parametrize("by", ["term", "frame"])
def test_history_is_a_sliding_window(robot, contract, by):
    """The window holds the last frames, oldest first, backfilled after a reset, in the contract's layout."""
    env = robot(joints=("knee",))
    terms = tuple(
        Term(term=name, size=size, history=3) for name, size in (("gyro", 3), ("joint_velocity", 1))
    )
    binding = contract(joints=("knee",), observation=terms, history_by=by).bind(env)
    frames = [np.arange(4.0) + 10 * step for step in range(5)]
    for _ in range(2):
        binding.reset()
        for step, frame in enumerate(frames):
            x = binding.observe(env.observe({"gyro": frame[:3], "joint_velocity": frame[3:], **UNREAD}))
            window = np.array([frames[max(step - lag, 0)] for lag in (2, 1, 0)])
            expected = window.ravel() if by == "frame" else np.append(window[:, :3].ravel(), window[:, 3])
            np.testing.assert_array_equal(x, expected)


def test_histories_may_differ(robot, contract):
    """Terms with different histories each keep their own number of values."""
    terms = (Term(term="gyro", size=3), Term(term="joint_velocity", size=4, history=2))
    env, bound = robot(), contract(observation=terms)
    binding = bound.bind(env)
    first, second = (env.observe(state) for state in states(0, 2))
    binding.observe(first)
    x = binding.observe(second)
    place = env.observation_terms["joint_velocity"]
    np.testing.assert_array_equal(x, np.concatenate([second[:3], first[place], second[place]]))
    assert len(x) == bound.observation_size


@settings(max_examples=50, deadline=None)
@given(ours=st.permutations(WAYS), theirs=st.permutations(WAYS), joints=st.permutations(JOINTS))
def test_the_order_of_named_outputs_does_not_matter(robot, contract, ours, theirs, joints):
    """Where actions are not one per joint, each gets its own number, and the gains still go to their joints."""
    unit = {"action_scale": np.ones(3), "action_offset": np.zeros(3)}
    env = robot(joints, control="twist", action_names=tuple(theirs), **unit)
    numbers = dict(zip(WAYS, (0.1, 0.2, 0.3), strict=True))
    scales = dict(zip(WAYS, (1.0, 2.0, 4.0), strict=True))
    terms = contract(
        control="twist",
        outputs=ours,
        observation=(Term(term="joint_position", size=4), Term(term="previous_action", size=3)),
        action_scale=[scales[way] for way in ours],
        kp=(1.0, 2.0, 3.0, 4.0),
        kd=(0.1, 0.2, 0.3, 0.4),
    )
    binding = terms.bind(env)
    action = binding.act(np.array([numbers[way] for way in ours]))
    assert dict(zip(theirs, action, strict=True)) == pytest.approx(
        {way: scales[way] * numbers[way] for way in WAYS}
    )
    seen = binding.observe(env.observe(states(0)[0] | {"previous_action": dict.fromkeys(JOINTS, 0.0)}))
    np.testing.assert_allclose(seen[4:], [numbers[way] for way in ours], rtol=1e-6)
    assert dict(zip(joints, env.kp, strict=True)) == dict(zip(JOINTS, terms.kp, strict=True))


MISMATCHES = [
    ({}, {"control": "torque"}, "The policy commands position, but Robot expects torque."),
    ({}, {"control_period_s": 0.01}, "The policy's control period is 0.02 s, but that of Robot is 0.01 s."),
    ({"gait_period_s": 0.7}, {}, "The policy's gait period is 0.7 s, but that of Robot is 0.8 s."),
    (
        {},
        {"joints": ("left_hip", "left_nee", "right_hip", "right_knee")},
        "The policy commands the joint 'left_knee', which Robot does not. Did you mean 'left_nee'?",
    ),
    (
        {},
        {"joints": (*JOINTS, "waist")},
        "Robot actuates the joint 'waist', which the policy does not command.",
    ),
    (
        {"observation": (Term(term="giro", size=3),)},
        {},
        "The policy reads 'giro', which Robot does not observe. Did you mean 'gyro'?",
    ),
    ({"observation": (Term(term="gyro", size=2),)}, {}, "The policy reads 2 values of 'gyro', Robot has 3."),
    (
        {"outputs": ("speed", "lean"), "observation": (Term(term="gyro", size=3),)},
        {"action_names": ("speed", "turn")},
        "The policy puts out speed, lean, but the actions of Robot are speed, turn.",
    ),
]


@pytest.mark.parametrize(("terms", "changes", "sentence"), MISMATCHES)
def test_mismatches_name_both_sides(robot, contract, terms, changes, sentence):
    """A policy does not bind to an environment that differs from its contract, and hears how it differs."""
    with pytest.raises(Sim2RealError) as error:
        contract(**terms).bind(robot(**changes))
    assert str(error.value) == sentence


def test_foreign_environments_lack_something(contract):
    """An environment that is no robot is refused by the first thing it lacks."""
    with pytest.raises(
        Sim2RealError, match="^The policy's contract needs 'joint_names', which PendulumEnv does"
    ):
        contract().bind(gym.make("Pendulum-v1").unwrapped)


@pytest.mark.parametrize(
    ("observation", "output", "sentence"),
    [
        (16, np.zeros(4), r"^The policy reads observations of \(17,\), not \(16,\).$"),
        (17, np.zeros(3), r"^The policy returned shape \(3,\) for 4 joints.$"),
        (17, np.array([0, np.nan, 0, 0]), "^The policy returned nan for the joint 'left_knee'.$"),
        (17, np.array([np.inf, -np.inf, 0, 0]), "^The policy returned inf for the joint 'left_hip'.$"),
    ],
)
def test_bad_values_stop_a_bound_policy(robot, contract, observation, output, sentence):
    """An observation or output that cannot be right is an error at once."""
    policy = BoundPolicy(lambda x: output, contract().bind(robot()))
    with pytest.raises(Sim2RealError, match=sentence):
        policy(np.zeros(observation, np.float32))


@pytest.mark.parametrize(
    ("space", "output", "action"),
    [
        (gym.spaces.Box(-1, 1, (2,), np.float32), [0.5, 7.0], np.array([0.5, 7.0], np.float32)),
        (gym.spaces.Discrete(3, start=4), np.array([0.1, 0.9, 0.2]), 5),
        (gym.spaces.Discrete(3), np.array(2), 2),
        (gym.spaces.Box(-1, 1, (2,), np.float32), np.zeros(3), "returned shape .3,., but actions have .2,."),
        (
            gym.spaces.Box(-1, 1, (1,), np.float32),
            [np.nan],
            "returned .nan., which is not all finite numbers",
        ),
        (gym.spaces.Box(-1, 1, (1,), np.float32), None, "returned None, which is not all finite numbers"),
        (gym.spaces.Discrete(3), np.zeros(2), "returned shape .2,., but actions have ()"),
        (gym.spaces.Discrete(3), np.array([1]), 1),
        (gym.spaces.Discrete(3), 3, "returned 3, which is no action of Discrete.3."),
        (gym.spaces.Discrete(3), 0.7, "returned 0.7, which is no action of Discrete.3."),
        (gym.spaces.MultiDiscrete([2, 2]), [1.0, 0.0], np.array([1, 0])),
        (gym.spaces.MultiDiscrete([2, 2]), [1, 2], "returned .1, 2., which is no action of MultiDiscrete"),
        (gym.spaces.MultiBinary(2), [0.5, 1], "returned .0.5, 1.0., which is no action of MultiBinary"),
        (gym.spaces.Box(0, 255, (1,), np.uint8), [300], "returned .300., which is no action of Box"),
        (gym.spaces.Box(-1, 1, (), np.float32), [0.5], np.array(0.5, np.float32)),
        (gym.spaces.Box(-1, 1, (1,), np.float32), 0.5, np.array([0.5], np.float32)),
        (gym.spaces.Box(-1, 1, (1, 1), np.float32), np.float64(0.5), np.array([[0.5]], np.float32)),
    ],
)
def test_without_a_contract_the_spaces_decide(space, output, action):
    """A policy without a contract is held to the shapes of the spaces, and its output is left as it is."""
    env = gym.Env()
    env.observation_space, env.action_space = gym.spaces.Box(-1, 1, (5,)), space
    policy = BoundPolicy(lambda x: output, SpaceBinding(env))
    if isinstance(action, str):
        with pytest.raises(Sim2RealError, match=action):
            policy(np.zeros(5))
    else:
        result = policy(np.zeros(5))
        np.testing.assert_array_equal(result, action)
        assert space.contains(result) or action is not result
    with pytest.raises(Sim2RealError, match=r"reads observations of \(5,\), not \(4,\)"):
        policy(np.zeros(4))

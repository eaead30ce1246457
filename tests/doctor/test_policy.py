"""A contract that is wrong in one thing is told so by the name of that thing, and a right one is left alone."""

import json
from dataclasses import replace
from pathlib import Path

import gymnasium as gym
import numpy as np
import pytest

from sim2real import policies
from sim2real.doctor import Place
from sim2real.doctor.policy import _told, check_contract, check_policy
from sim2real.errors import Sim2RealError
from sim2real.policies import Contract, Mlp, onnx
from sim2real.safety import SoftLimits
from sim2real.study.rollout import make

STUDIES = Path(__file__).parents[2] / "studies"
# A copy of one that was trained for studies, which may be trained again: a better one may withstand more.
WALKER = policies.file(Path(__file__).with_name("walker.safetensors"))
SHIPPED = sorted((STUDIES / "policies").glob("walk/*-seed0.safetensors"))
SHIPPED += sorted((STUDIES / "policies").glob("hands/reach-*-seed0.safetensors"))
PUBLISHED = Contract.read(STUDIES / "contracts" / "unitree_g1.toml")
WALK = Place(env="sim2real:sim2real/Walk-v0")


def times(factor, values):
    return tuple(np.multiply(factor, values).tolist())


def swapped(values, *pairs):
    values = list(values)
    for one, other in pairs:
        values[one], values[other] = values[other], values[one]
    return tuple(values)


def with_term(contract, name, **changes):
    return replace(
        contract,
        observation=tuple(
            replace(term, **changes) if term.term == name else term for term in contract.observation
        ),
    )


HERS = WALKER.contract
HIP_AND_KNEE, LEFT_AND_RIGHT = [(0, 3)], [(place, place + 6) for place in range(6)]
MISTAKES = {
    "period": (replace(HERS, control_period_s=0.01), {"control period"}),
    "gait period": (replace(HERS, gait_period_s=0.7), {"gait period"}),
    "control": (replace(HERS, control="torque", kp=None, kd=None), {"control"}),
    "a term that there is not": (
        replace(HERS, observation=(replace(HERS.observation[0], term="giro"), *HERS.observation[1:])),
        {"observation 'giro'"},
    ),
    "a hip for a knee": (
        replace(HERS, joints=swapped(HERS.joints, *HIP_AND_KNEE)),
        {"order of joints", "episode"},
    ),
    "left for right": (
        replace(HERS, joints=swapped(HERS.joints, *LEFT_AND_RIGHT)),
        {"order of joints", "episode"},
    ),
    "velocities too large": (
        with_term(HERS, "joint_velocity", scale=1.0),
        {"scale of 'joint_velocity'", "episode"},
    ),
    "velocities too small": (
        with_term(HERS, "joint_velocity", scale=0.0025),
        {"scale of 'joint_velocity'", "episode"},
    ),
    "turning too large": (with_term(HERS, "gyro", scale=5.0), {"scale of 'gyro'", "episode"}),
    "turning beyond all numbers": (with_term(HERS, "gyro", scale=1e38), {"scale of 'gyro'", "episode"}),
    "gains too high": (replace(HERS, kp=times(10, HERS.kp)), {"kp", "gains", "episode"}),
    "gains a little too low": (replace(HERS, kp=times(0.33, HERS.kp)), {"gains", "episode"}),
    "degrees": (
        replace(HERS, action_offset=times(57.3, HERS.action_offset)),
        {"action_offset", "episode"},
    ),
    "targets too far": (replace(HERS, action_scale=times(4, HERS.action_scale)), {"action_scale", "episode"}),
}


@pytest.mark.parametrize(("contract", "about"), MISTAKES.values(), ids=MISTAKES)
def test_what_is_wrong_in_a_contract_is_named(contract, about, tmp_path, wrong):
    """One mistake is told by its own name, by physics where no number shows it, and nothing else is blamed."""
    path = policies.save(tmp_path / "walker.safetensors", WALKER.load(), contract)
    assert {finding.about for finding in wrong(check_policy(WALK, policies.file(path)))} == about


def test_a_policy_is_played_behind_its_shields(tmp_path, wrong):
    """A shield that lets nothing move keeps the good walker from walking; one that changes nothing blames nobody."""
    found = {}
    for fraction in (1.0, 1e-3):
        contract = replace(HERS, shields=(SoftLimits(fraction=fraction),))
        path = policies.save(tmp_path / f"{fraction}.safetensors", WALKER.load(), contract)
        found[fraction] = {finding.about for finding in wrong(check_policy(WALK, policies.file(path)))}
    assert "episode" in found[1e-3]
    assert found[1.0] == set()


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_nothing_is_wrong_with_what_is_shipped(path, wrong):
    """Policies under the contract that training wrote, in the environment it names."""
    policy = policies.file(path)
    place = Place(env=policy.contract.training["env"], env_kwargs={"control": policy.contract.control})
    findings = list(check_policy(place, policy))
    assert wrong(findings) == []
    assert {"network", "control period", "joints", "kp", "kd", "action_scale", "episode", "inputs"} <= {
        finding.about for finding in findings
    }


@pytest.mark.parametrize("contract", [HERS, PUBLISHED], ids=["ours", "published"])
def test_an_order_that_all_of_a_contract_keeps_is_no_mistake(contract, wrong):
    """Joints in any order fit, as long as every number moves with its joint; one that does not is told."""
    order = np.random.default_rng(0).permutation(len(contract.joints))

    def moved(values):
        return tuple(np.array(values)[order].tolist()) if isinstance(values, tuple) else values

    tables = ("joints", "kp", "kd", "action_scale", "action_offset")
    other = replace(contract, **{name: moved(getattr(contract, name)) for name in tables})
    offset = next(term.offset for term in contract.observation if term.term == "joint_position")
    other = with_term(other, "joint_position", offset=moved(offset))
    assert wrong(check_contract(WALK, other)) == []
    for name in ("kp", "action_offset"):
        still = replace(other, **{name: getattr(contract, name)})
        (found,) = wrong(check_contract(WALK, still))
        assert (found.about, found.said.split()[0]) == ("order of joints", name)


def test_all_mistakes_are_told_where_binding_tells_the_first(wrong):
    """Binding and doctor use the same comparison: its first finding is what stops a binding."""
    contract = replace(with_term(HERS, "gyro", term="giro"), control_period_s=0.01, gait_period_s=0.7)
    found = wrong(check_contract(WALK, contract))
    assert [finding.about for finding in found] == ["control period", "gait period", "observation 'giro'"]
    env = make(WALK)
    with pytest.raises(Sim2RealError) as error:
        contract.bind(env.unwrapped)
    env.close()
    assert str(error.value) == found[0].said


GIVEN = {
    "nothing": (HERS, set()),
    "the record of training": (replace(HERS, seen=None, training={}), set()),
    "period": (replace(HERS, control_period_s=0.02 + 1e-9), {"control_period_s"}),
    "gains": (replace(HERS, kd=times(1.1, HERS.kd)), {"kd"}),
    "joints": (replace(HERS, joints=swapped(HERS.joints, *LEFT_AND_RIGHT)), {"joints"}),
    "scale": (with_term(HERS, "command", scale=1.0), {"scale of 'command'"}),
    "offset": (with_term(HERS, "joint_position", offset=0.0), {"offset of 'joint_position'"}),
    "clip": (replace(HERS, action_clip=None), {"action_clip"}),
    "order of terms": (
        replace(HERS, observation=swapped(HERS.observation, (2, 3))),
        {"order of observation"},
    ),
}


@pytest.mark.parametrize("kind", ["native", "onnx"])
@pytest.mark.parametrize(("contract", "about"), GIVEN.values(), ids=GIVEN)
def test_a_contract_is_held_against_that_of_the_file(kind, contract, about, tmp_path, wrong):
    """Whatever differs is told, however little it shows: the file knows what its network was trained on."""
    policy = WALKER
    if kind == "onnx":
        pytest.importorskip("onnxruntime")
        network, x = WALKER.load(), np.linspace(-1, 1, 47)
        path = onnx.save(tmp_path / "walker.onnx", network, HERS, golden=(x, network(x)))
        policy = policies.file(path, contract=contract)
    found = wrong(check_policy(Place(env="none-v0"), policy, contract))
    assert {finding.about for finding in found} == about


def test_inputs_are_held_against_what_training_met(tmp_path, wrong):
    """Where the file has a normaliser, a scale that is wrong shows in the first seconds even if nothing falls."""
    hand = policies.file(STUDIES / "policies" / "hands" / "reach-nominal-seed0.safetensors")
    contract = with_term(hand.contract, "joint_velocity", scale=1.0)
    path = policies.save(tmp_path / "hand.safetensors", hand.load(), contract)
    place = Place(env="sim2real:sim2real/Reach-v0", env_kwargs={"control": "twist"})
    found = wrong(check_policy(place, policies.file(path)))
    assert [finding.about for finding in found][:1] == ["inputs"]
    assert "'joint_velocity'" in found[0].said


def test_a_file_that_cannot_be_used_says_why(tmp_path, wrong):
    """Damage, missing trust, and a network that has no contract are each one finding."""
    data = bytearray(Path(WALKER.source).read_bytes())
    data[-1] ^= 1
    (damaged := tmp_path / "a.safetensors").write_bytes(data)
    (code := tmp_path / "a.pt").write_bytes(b"")
    bare = policies.save(tmp_path / "bare.safetensors", WALKER.load())
    small = policies.save(tmp_path / "small.safetensors", Mlp([(np.ones((12, 3)), np.zeros(12))]))
    cartpole = Place(env="CartPole-v1")
    for path, place, about, sentence in (
        (damaged, WALK, "network", "is damaged"),
        (code, WALK, "network", "--trust"),
        (bare, WALK, "episode", "does not say what it reads and commands"),
        (small, cartpole, "episode", "does not fit CartPoleEnv"),
    ):
        (found,) = wrong(check_policy(place, policies.file(path)))
        assert found.about == about
        assert sentence in found.said


def test_without_a_contract_the_episode_decides(tmp_path, wrong):
    """In somebody's environment a policy is bound by the spaces, and played."""
    for weights, falls in (([[-1.0, -1, -10, -3], [1, 1, 10, 3]], False), ([[9.0, 9, 9, 9]] * 2, True)):
        path = policies.save(tmp_path / "pole.safetensors", Mlp([(weights, np.zeros(2))]))
        found = [*check_policy(Place(env="CartPole-v1"), policies.file(path))]
        assert wrong(found) == []  # CartPole does not tell whether its end is a failure
        (played,) = (finding for finding in found if finding.about == "episode")
        assert (
            (played.fits is None)
            == ("whether it succeeded the environment does not tell" in played.said)
            == falls
        )


def test_limits_of_one_side_are_limits():
    """Actions at, and beyond, the only bound there is are told; without any bound there is nothing to tell."""
    env = gym.Env()
    row = {"duration_s": 1.0, "termination": "", "success": None, "length": 2}
    row["metrics"] = json.dumps({"outside_share": 0.5, "outside_by": 0.25})
    told = {}
    for low in (0.5, -np.inf):
        env.action_space = gym.spaces.Box(low, np.inf, (1,))
        told[low] = [finding.said for finding in _told(env, row, np.array([[0.25], [0.75]]))]
    assert told[0.5][1] == (
        "'0' is at its limit in 50% of the steps, more than any other; 50% of the steps lie outside the action space, "
        "by 0.25 at most"
    )
    assert len(told[-np.inf]) == 1

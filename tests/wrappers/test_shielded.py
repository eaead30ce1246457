import pickle

import gymnasium as gym
import numpy as np
import pytest

from sim2real import Normal, Perturbed, add, delay, policies, safety
from sim2real.wrappers import Shielded

WALK, STAND = "sim2real:sim2real/Walk-v0", "sim2real:sim2real/Stand-v0"
CLOSED = (safety.JointBarrier(), safety.TorqueClamp())


@pytest.fixture(scope="module")
def walk():
    env = gym.make(WALK, disable_env_checker=True)
    yield env
    env.close()


@pytest.fixture(scope="module")
def stand():
    env = gym.make(STAND, disable_env_checker=True, episode_s=4.0)
    yield env
    env.close()


def rollout(env, actions, seed=0):
    observation, _ = env.reset(seed=seed)
    trace = [observation.tobytes()]
    for action in actions:
        observation, reward, _, _, info = env.step(action)
        trace.append(observation.tobytes() + np.float64(reward).tobytes())
    return trace, info


def test_a_shield_that_changes_nothing_is_no_shield(walk):
    """Where every action is safe the rollout is that of the bare environment, bit for bit."""
    actions = [0.05 * walk.action_space.sample().astype(np.float64) for _ in range(40)]
    shielded = Shielded(walk, (safety.RateLimit(change=1.0), safety.TorqueClamp(fraction=1.0)))
    bare, _ = rollout(walk, actions)
    trace, info = rollout(shielded, actions)
    assert trace == bare
    assert info["intervened"] is False
    assert info["shield"]["rate_limit"] == {"interventions": 0, "change": 0.0, "infeasible": 0}


def test_it_counts_and_measures_what_it_changes():
    """Interventions, the sum of their Euclidean sizes, and both from 0 at every reset."""
    env = Shielded(gym.make("Pendulum-v1"), (safety.RateLimit(change=0.5),))
    for _ in range(2):
        env.reset(seed=0)
        told = [env.step(np.array([wanted], np.float32))[4] for wanted in (0.5, 2.0, 1.5, 0.0)]
        assert [info["intervened"] for info in told] == [False, True, False, True]
        assert [info["shield"]["rate_limit"]["interventions"] for info in told] == [0, 1, 1, 2]
        assert told[-1]["shield"]["rate_limit"]["change"] == pytest.approx(1.0 + 1.0)


class Stubborn:
    """A shield that changes nothing and is never satisfied."""

    name = "stubborn"
    infeasible = True

    def bind(self, env):
        return self

    def reset(self):
        pass

    def __call__(self, step):
        return step.action


def test_it_counts_what_could_not_be_had():
    """A shield of anybody's making fits, and where it is not satisfied that is said."""
    env = Shielded(gym.make("Pendulum-v1"), (Stubborn(),))
    env.reset(seed=0)
    for count in (1, 2):
        *_, info = env.step(np.zeros(1, np.float32))
        assert info["shield"]["stubborn"] == {"interventions": 0, "change": 0.0, "infeasible": count}


def test_the_last_shield_has_the_last_word():
    """Shields act in order, each on what the one before it made."""
    env = gym.make("Pendulum-v1")
    env = Shielded(Shielded(env, (safety.RateLimit(change=0.1),)), (safety.RateLimit(change=0.5),))
    env.reset(seed=0)
    *_, info = env.step(np.array([0.4], np.float32))  # only the inner one has anything against it
    assert info["intervened"]
    env.reset(seed=0)
    *_, info = env.step(np.array([2.0], np.float32))
    assert info["shield"]["rate_limit"]["change"] == pytest.approx(1.5)
    assert env.env.env.unwrapped.last_u == pytest.approx(0.1)


@pytest.mark.parametrize("shields", [CLOSED, (safety.BarrierProgramme(),), (safety.Recovery(),)], ids=len)
def test_it_fits_anywhere_among_perturbations(walk, shields):
    """Inside and outside a Perturbed it acts, repeats itself bit for bit and leaves nothing behind."""
    condition = [add("observation:joint_velocity", Normal(0, 0.5)), delay("action", 1)]
    actions = [walk.action_space.sample() for _ in range(20)]
    bare, _ = rollout(walk, actions)
    for dressed in (
        lambda: Shielded(Perturbed(walk, condition), shields),
        lambda: Perturbed(Shielded(walk, shields), condition),
    ):
        traces = []
        for _ in range(2):
            env = dressed()
            trace, info = rollout(env, actions)
            assert "parameters" in info
            assert "shield" in info
            traces.append(trace)
            (env if isinstance(env, Perturbed) else env.env).restore()
        assert traces[0] == traces[1]
    assert rollout(walk, actions)[0] == bare


def test_its_spec_makes_it_again():
    """The spec survives pickling, and what it makes has equal shields."""
    env = Shielded(gym.make(WALK, disable_env_checker=True), CLOSED)
    again = gym.make(pickle.loads(pickle.dumps(env.spec)))
    assert again.shields == CLOSED
    again.close()
    env.close()


def shielded_walk():
    return Shielded(gym.make(WALK, disable_env_checker=True), (safety.Recovery(), *CLOSED))


@pytest.mark.parametrize("kind", [gym.vector.SyncVectorEnv, gym.vector.AsyncVectorEnv])
def test_it_works_in_vector_environments(kind):
    """Every environment of a vector tells of its own shields."""
    env = kind([shielded_walk] * 2)
    env.reset(seed=0)
    for _ in range(3):
        *_, info = env.step(np.ones((2, 12), np.float32))
    assert info["intervened"].all()
    assert (info["shield"]["joint_barrier"]["interventions"] == 3).all()
    env.close()


def test_it_works_in_stable_baselines():
    """Stable-Baselines3 makes and steps it like any environment."""
    from stable_baselines3.common.env_util import make_vec_env

    env = make_vec_env(WALK, n_envs=2, wrapper_class=Shielded, wrapper_kwargs={"shields": CLOSED})
    env.reset()
    _, _, _, infos = env.step(np.ones((2, 12), np.float32))
    assert all(info["intervened"] for info in infos)
    env.close()


def violations(env, steps, seed):
    """Count the steps of random exploration near a stop, above rated speed and at the effort limit."""
    sim = env.unwrapped.sim
    limits = safety.joint_position(), safety.joint_velocity(), safety.torque()
    counts = np.zeros(len(limits))
    rng = np.random.default_rng(seed)
    env.reset(seed=seed)
    drives = [sim.robot.joints[name] for name in sim.joint_names]
    rated = np.array([drive.velocity_rad_s for drive in drives])
    effort = np.array([drive.effort_nm for drive in drives])
    for _ in range(steps):
        *_, terminated, truncated, _ = env.step(rng.uniform(-1, 1, 12).astype(np.float32))
        past = np.maximum(sim.joint_position_rad - sim.upper_rad, sim.lower_rad - sim.joint_position_rad)
        ratios = past, np.abs(sim.joint_velocity_rad_s) / rated, np.abs(sim.torque_nm) / effort
        counts += [(ratio > limit.limit).any() for ratio, limit in zip(ratios, limits, strict=True)]
        if terminated or truncated:
            env.reset()
    return counts


def test_random_exploration_violates_a_hundred_times_less(walk):
    """Joint limits, speed and torque: with recovery, rate limit and closed forms against without any shield."""
    shields = (safety.Recovery(), safety.RateLimit(change=0.1), *CLOSED)
    bare = sum(violations(walk, 500, seed) for seed in range(3))
    shielded = sum(violations(Shielded(walk, shields), 1000, seed) for seed in range(3))
    assert (bare > 100).all()
    assert (shielded <= 0.01 * 2 * bare).all()


@pytest.mark.parametrize("shields", [CLOSED, (safety.BarrierProgramme(),)], ids=len)
def test_the_balance_controller_is_left_alone(stand, shields):
    """Its return is the same within the standard error of its own episodes."""
    policy = policies.scripted(policies.balance).bind(stand)
    returns = []
    for env in (stand, Shielded(stand, shields)):
        returns.append([])
        for seed in range(5):
            observation, _ = env.reset(seed=seed)
            total, terminated, truncated = 0.0, False, False
            while not (terminated or truncated):
                observation, reward, terminated, truncated, _ = env.step(policy(observation))
                total += reward
            returns[-1].append(total)
    bare, shielded = map(np.array, returns)
    assert abs((shielded - bare).mean()) <= bare.std(ddof=1) / np.sqrt(len(bare))

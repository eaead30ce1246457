"""A period is what all that can be trusted agrees on, and what a simulator's clock then shows; else one is asked."""

import math
from types import SimpleNamespace

import gymnasium as gym
import numpy as np
import pytest

from sim2real import Constrained, Drift, Interval, Perturbed, Sim2RealError, add, delay
from sim2real.safety import action_rate
from sim2real.testing import EchoEnv
from sim2real.wrappers.period import first_step, period_of

DRIFT = add("observation", Drift(0.1, 1.0))
CLOCKED = ["InvertedPendulum-v5", "Hopper-v5", "HalfCheetah-v5", "Reacher-v5", "Humanoid-v5"]


class Says(EchoEnv):
    """Says of its period what it is made with."""

    control_period_s = None

    def __init__(self, fps=None, **said):
        super().__init__()
        self.metadata = {"render_modes": [], "render_fps": fps}
        vars(self).update(said)


class Repeated(gym.Wrapper):
    """Makes four steps of one, as wrappers that skip frames do."""

    def step(self, action):
        for _ in range(3):
            self.env.step(action)
        return self.env.step(action)


def after_a_step(env):
    """Return what is known after the first step."""
    env.reset(seed=0)
    return first_step(env, env.action_space.sample(), period_of(env))[1]


@pytest.mark.parametrize("id", CLOCKED)
def test_what_mujoco_environments_say_is_what_passes_in_their_simulation(id):
    """The oracle is the engine's time, which no attribute enters."""
    env = gym.make(id)
    env.reset(seed=0)
    before_s = env.unwrapped.data.time
    env.step(env.action_space.sample())
    assert period_of(env).period_s == pytest.approx(env.unwrapped.data.time - before_s, rel=1e-9)
    said = {one.source: one.period_s for one in after_a_step(env).said}
    assert said["MuJoCo's clock"] == pytest.approx(said["dt"], rel=1e-9)
    assert said["frame_skip × timestep"] == pytest.approx(said["dt"], rel=1e-9)


def test_classic_control_is_timed_by_its_integrators():
    """Position moves by velocity × period, that before the step in CartPole, that after it in the pendulum."""
    pole = gym.make("CartPole-v1").unwrapped
    pole.reset(seed=0)
    x, speed, *_ = pole.state
    pole.step(1)
    pole.step(1)  # the first step only changes the speed
    (x, speed, *_), _ = pole.state, pole.step(1)
    assert (pole.state[0] - x) / speed == pytest.approx(period_of(pole).period_s)
    swing = gym.make("Pendulum-v1").unwrapped
    swing.reset(seed=0)
    angle = swing.state[0]
    swing.step(np.array([1.0]))
    assert (swing.state[0] - angle) / swing.state[1] == pytest.approx(period_of(swing).period_s)
    assert period_of(swing).period_s != pytest.approx(1 / swing.metadata["render_fps"], rel=0.1)


@pytest.mark.parametrize(
    ("said", "period_s"),
    [
        ({"dt": 0.05}, 0.05),
        ({"dt": 0.05, "fps": 30}, 0.05),  # a film has its own rate
        ({"dt": 0.03, "fps": 33}, 0.03),
        ({"tau": 0.02, "fps": 50}, 0.02),
        ({"control_freq": 20, "control_timestep": 0.05, "model_timestep": 0.002}, 0.05),
        ({"step_dt": 0.02, "physics_dt": 0.005, "cfg": SimpleNamespace(decimation=4)}, 0.02),
        ({"sim": SimpleNamespace(timestep=0.002, n_substeps=20, dt=0.04)}, 0.04),
        ({"config": {"policy_frequency": 5}, "fps": 15}, 0.2),
        (
            {"control_period_s": 0.02, "dt": 0.005},
            0.02,
        ),  # which says what it is, beside what may be the physics'
        ({"dt": 0.02, "frame_skip": 1}, 0.02),
        ({"dt": 0.02, "frame_skip": 4, "timestep": 0.005}, 0.02),
    ],
)
def test_sources_that_agree_are_used(said, period_s):
    """One that can be trusted, several that agree, or two weak ones that do."""
    assert period_of(Says(**said)).period_s == pytest.approx(period_s)
    Perturbed(Says(**said), [DRIFT])


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ({}, []),
        ({"fps": 30}, ["1 / render_fps says 0.03333 s"]),
        ({"tau": 0.5}, ["tau says 0.5 s"]),
        ({"tau": 0.5, "fps": 50}, ["tau says 0.5 s", "1 / render_fps says 0.02 s"]),
        ({"dt": 0.002, "decimation": 10}, ["dt says 0.002 s", "decimation × dt says 0.02 s"]),
        ({"dt": 0.002, "frame_skip": 5, "timestep": 0.002}, ["dt says", "frame_skip × timestep says 0.01 s"]),
        (
            {"control_freq": 20, "control_timestep": 0.02},
            ["control_timestep says", "1 / control_freq says 0.05 s"],
        ),
        ({"dt": -1.0}, []),
        ({"dt": math.inf}, []),
        ({"dt": "0.02"}, []),
        ({"dt": True}, []),
    ],
)
def test_where_they_differ_or_prove_nothing_the_period_is_asked_for(said, told):
    """Only by who needs it, in a sentence that names what was found; what is given settles it."""
    env = Says(**said)
    assert period_of(env).period_s is None
    for timed in ([DRIFT], [add("action", 1, every=Interval(1, 2))]):
        with pytest.raises(
            Sim2RealError, match=r"needs to know the time between steps: .*give period_s\."
        ) as error:
            Perturbed(env, timed)
        assert all(one in str(error.value) for one in told)
    with pytest.raises(Sim2RealError, match="The constraint 'action_rate' needs to know") as error:
        Constrained(env, [action_rate(1.0)])
    assert all(one in str(error.value) for one in told)
    Perturbed(env, [delay("observation", 2)]).reset(seed=0)
    Perturbed(env, [DRIFT], period_s=0.02).reset(seed=0)
    assert period_of(env, 0.02).period_s == 0.02


@pytest.mark.parametrize("wrong", [0, -0.1, math.nan, math.inf, "0.02", True])
def test_what_is_given_must_be_a_time(wrong):
    """A period is a positive number of seconds."""
    with pytest.raises(Sim2RealError, match="period_s must be a positive number of seconds"):
        period_of(Says(), wrong)


def lying(**said):
    """Return a cheetah, whose clock goes 0.05 s in a step, that says something else."""
    env = gym.make("HalfCheetah-v5")
    vars(env.unwrapped).update(said)
    return env


@pytest.mark.parametrize(
    "around", [lambda env: Perturbed(env, [DRIFT]), lambda env: Constrained(env, [action_rate(1e9)])]
)
def test_a_clock_that_says_otherwise_stops_the_first_step(around):
    """Even where the environment declares its period; an honest one goes on, and so does one that was given."""
    env = around(lying(control_period_s=0.01))
    for _ in range(2):
        env.reset(seed=0)
        with pytest.raises(
            Sim2RealError, match=r"control_period_s says 0.01 s, but MuJoCo's clock says 0.05 s"
        ):
            env.step(env.action_space.sample())
    env = around(lying(control_period_s=0.05))
    env.reset(seed=0)
    env.step(env.action_space.sample())
    assert env.timed == ""


def test_nobody_is_stopped_who_does_not_count_in_seconds():
    """Noise and delays of steps are the same at any rate, and what is given is taken at its word."""
    for env in (
        Perturbed(lying(control_period_s=0.01), [delay("action", 1)]),
        Perturbed(lying(), [DRIFT], period_s=0.01),
    ):
        env.reset(seed=0)
        env.step(env.action_space.sample())


def test_a_wrapper_that_skips_frames_is_noticed():
    """By the engine's clock, and without any by counting."""
    env = Perturbed(Repeated(gym.make("HalfCheetah-v5")), [DRIFT])
    env.reset(seed=0)
    with pytest.raises(Sim2RealError, match=r"dt says 0.05 s, but MuJoCo's clock says 0.2 s: give period_s"):
        env.step(env.action_space.sample())
    env = Perturbed(Repeated(gym.make("Pendulum-v1")), [DRIFT])
    env.reset(seed=0)
    with pytest.raises(Sim2RealError, match=r"dt says 0.05 s, but a count of 4 steps in one says 0.2 s"):
        env.step(env.action_space.sample())
    assert (
        after_a_step(Repeated(gym.make("MountainCar-v0"))).period_s is None
    )  # four times what proves nothing
    inside = Repeated(Perturbed(gym.make("Pendulum-v1"), [DRIFT]))
    inside.reset(seed=0)
    inside.step(inside.action_space.sample())  # there a step is a step


def test_bullet_tells_the_time_by_its_ticks():
    """Panda's client makes 20 ticks of 1/500 s, Hopper's one of 0.0165 s, of which it says nothing before."""
    pytest.importorskip("panda_gym")
    pytest.importorskip("pybullet_envs_gymnasium")
    assert period_of(gym.make("HopperBulletEnv-v0")).period_s is None
    for id, period_s in (("PandaReach-v3", 0.04), ("HopperBulletEnv-v0", 0.0165)):
        period = after_a_step(gym.make(id))
        assert {one.source: one.period_s for one in period.said}["Bullet's clock"] == pytest.approx(period_s)
        assert period.period_s == pytest.approx(period_s)


@pytest.mark.parametrize("id", ["HalfCheetah-v5", "Pendulum-v1", "PandaReach-v3"])
def test_hearing_witnesses_disturbs_nothing(id):
    """The step is the same bit for bit, and nothing is left on the environment."""
    if id.startswith("Panda"):
        pytest.importorskip("panda_gym")
    env = gym.make(id)
    action = env.action_space.sample()
    seen = []
    for step in (lambda: env.step(action), lambda: first_step(env, action, period_of(env))[0]):
        env.reset(seed=3)
        before = set(vars(env.unwrapped))
        seen.append(repr([*step(), *env.step(action)]))
        assert set(vars(env.unwrapped)) - before <= {"_elapsed_steps"}
        assert "step" not in vars(env.unwrapped)
    assert seen[0] == seen[1]

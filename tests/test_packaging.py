"""A wheel built from the tree works on its own, robots included."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """Build the wheel from a copy of the tree, so that nothing is left behind in it."""
    target = tmp_path_factory.mktemp("wheel")
    tree = target / "tree"
    files = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    for name in files.stdout.split("\n"):
        source = ROOT / name
        if name and source.is_file() and not name.startswith("tests/"):
            (tree / name).parent.mkdir(parents=True, exist_ok=True)
            (tree / name).write_bytes(source.read_bytes())
    subprocess.run(
        [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", target, tree],
        capture_output=True, check=True,
    )  # fmt: skip
    return next(target.glob("*.whl"))


def test_the_wheel_holds_every_module_and_robot(wheel):
    """Nothing that the package needs is left out."""
    inside = set(zipfile.ZipFile(wheel).namelist())
    modules = {str(p.relative_to(ROOT)) for p in (ROOT / "sim2real").rglob("*.py")}
    robots = {f"sim2real/_robots/{p.relative_to(ROOT / 'robots')}" for p in (ROOT / "robots").glob("*/*")}
    assert modules | robots | {"sim2real/py.typed", "sim2real/report/template.html"} <= inside


def test_the_wheel_works_outside_the_checkout(wheel, tmp_path):
    """Unpacked alone in an empty folder it makes an environment, and the command line lists the robot."""
    zipfile.ZipFile(wheel).extractall(tmp_path / "site")
    code = (
        "import gymnasium as gym, sim2real, sys\n"
        "assert sim2real.__file__.startswith(sys.argv[1]), sim2real.__file__\n"
        "env = gym.make('sim2real:sim2real/Walk-v0'); env.reset(seed=0)\n"
        "from sim2real import cli; sys.exit(cli.main(['list', 'robots']))"
    )
    site = str(tmp_path / "site")
    shown = subprocess.run(
        [sys.executable, "-c", code, site],
        cwd=tmp_path, capture_output=True, text=True, env=os.environ | {"PYTHONPATH": site},
    )  # fmt: skip
    assert shown.returncode == 0, shown.stderr
    assert "g1" in shown.stdout


def test_without_the_engine_the_rest_works_and_says_what_to_install():
    """As on Pythons without a PyBullet wheel: foreign environments are perturbed, ours say what is missing."""
    code = (
        "import sys; sys.modules['pybullet'] = None\n"
        "import gymnasium as gym, sim2real\n"
        "from sim2real import Perturbed, delay\n"
        "env = Perturbed(gym.make('CartPole-v1'), [delay('action', 1)]); env.reset(seed=0); env.step(0)\n"
        "try: gym.make('sim2real:sim2real/Walk-v0')\n"
        "except sim2real.Sim2RealError as error: print(error)"
    )
    shown = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert "PyBullet, which is not installed" in shown.stdout
    assert "pip install pybullet" in shown.stdout


def drawing_by(way):
    """Return the environment variables under which MuJoCo draws in a way of its own."""
    return os.environ | {"MUJOCO_GL": way, "PYTHONPATH": str(ROOT)}


def test_without_the_engine_every_command_works(tmp_path):
    """Lists, doctor, laws and studies in MuJoCo need no PyBullet; what cannot be drawn is ✗ and names what helps."""
    pytest.importorskip("mujoco")
    (tmp_path / "study.py").write_text(
        "from sim2real import Study, policies, set_to\n"
        "study = Study(name='s', env='sim2real:sim2real/Stand-v0', env_kwargs={'engine': 'mujoco'}, episodes=1,\n"
        "    metric='survived', max_steps=5, policies={'hold': policies.scripted(policies.hold)},\n"
        "    conditions={'ice': [set_to('parameter:ground.friction', 0.1)]})"
    )
    code = (
        "import sys; sys.modules['pybullet'] = sys.modules['pybullet_data'] = None\n"
        "import sim2real.doctor.environment as environment; environment.PARAMETERS_S = 0.1\n"
        "from sim2real.cli import main\n"
        "lists = ['robots', 'tasks', 'perturbations', 'presets', 'parameters', 'policies']\n"
        "print('codes', [main(['list', kind]) for kind in lists])\n"
        "print('study', main(['run', 'study.py', '--workers', '0']))\n"
        "print('refused', main(['list', 'parameters', '--env', 'sim2real:sim2real/Walk-v0']))\n"
        "print('doctor', main(['doctor']))"
    )
    shown = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, env=drawing_by("disable")
    )
    assert "Traceback" not in shown.stderr
    assert "codes [0, 0, 0, 0, 0, 0]" in shown.stdout
    assert "panda  cannot be used here" in shown.stdout
    assert "study 0" in shown.stdout
    assert "refused 2" in shown.stdout
    assert "sim2real:sim2real/Walk-v0, engine=mujoco" in shown.stdout
    (wrong,) = [line for line in shown.stdout.splitlines() if "✗" in line]
    assert "picture" in wrong
    assert "MUJOCO_GL=egl draws without a display" in wrong


def test_a_wrong_way_to_draw_is_a_sentence(tmp_path):
    """MuJoCo refuses to be imported then, which is no reason for a traceback."""
    pytest.importorskip("mujoco")
    shown = subprocess.run(
        [sys.executable, "-m", "sim2real", "doctor", "HalfCheetah-v5"],
        cwd=tmp_path, capture_output=True, text=True, env=drawing_by("nonsense"),
    )  # fmt: skip
    assert shown.returncode == 1, shown.stderr
    assert "Traceback" not in shown.stderr
    assert "✗ environment: Environment 'HalfCheetah-v5' cannot be made" in shown.stdout
    assert shown.stdout.count("MUJOCO_GL=egl draws without a display") == 2

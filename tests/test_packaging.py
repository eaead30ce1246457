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

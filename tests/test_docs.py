"""The pages do what they say: blocks of code run, commands exist, links lead somewhere, and the site builds."""

import importlib
import re
import shlex
from dataclasses import replace
from pathlib import Path

import pytest

import sim2real
from sim2real import Study, cli
from sim2real.study import run
from sim2real.study.load import load_module

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PAGES = sorted(path.stem for path in DOCS.glob("*.md"))
ROOMS = ("perturb", "safety", "policies", "study", "stats", "training", "search", "testing")
BLOCK = re.compile(r"^```(python|console|toml)\n(.*?)^```", re.S | re.M)
WITH_CODE = [page for page in PAGES if BLOCK.search((DOCS / f"{page}.md").read_text())]

SLOW = ("quickstart", "tutorial-grasp")
"""Pages that are followed to the letter only where there are minutes to spare."""

FOLLOWED = {"quickstart", "robots", "studies", "tutorial-grasp", "tutorial-policy", "your-own-env"}
"""Pages whose commands are run; those of others take hours, or files of others, and are only read."""

SHORTER = {
    "--env": ["--episodes", "1", "--workers", "0", "--competent", "-9999"],
    "grasp.py:grasp": ["steps=2000"],
    "walker_study.py": ["episodes=1", "--workers", "0"],
    "grasp_study.py": ["episodes=1", "--workers", "0"],
}
"""What follows a command so that it takes seconds."""


@pytest.fixture
def away(tmp_path, monkeypatch):
    """Work in a folder where there are the studies, as in a checkout, and a model of somebody's."""
    stable_baselines3 = pytest.importorskip("stable_baselines3")
    pytest.importorskip("panda_gym")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MUJOCO_GL", "disable")  # films for a report take minutes without a graphics card
    Path("studies").symlink_to(ROOT / "studies")
    stable_baselines3.PPO("MlpPolicy", "HalfCheetah-v5", n_steps=64, device="cpu").save("model.zip")
    return tmp_path


def execute(path):
    """Run a block as a file of its own, the tests in it, and a little of its studies."""
    for name, value in list(vars(load_module(path)).items()):
        if name.startswith("test_"):
            value()
        if isinstance(value, Study):
            store = run(replace(value, episodes=1, max_steps=20), path.with_suffix(""), workers=0, trust=True)
            assert {row["status"] for row in store.rows()} == {"ok"}


def commands(text):
    """Return the arguments of every sim2real command in a block."""
    lines = [shlex.split(line, comments=True) for line in text.strip().splitlines()]
    return [arguments for program, *arguments in lines if program == "sim2real"]


# Gymnasium's renderer says so when it is collected without ever having had a display; PyTorch is leaving TorchScript.
@pytest.mark.filterwarnings(
    "ignore:Exception ignored in. .*OffScreenViewer:pytest.PytestUnraisableExceptionWarning",
    "ignore:.*torch.jit:DeprecationWarning",
)
@pytest.mark.timeout(1200)
@pytest.mark.parametrize(
    "page",
    [pytest.param(page, marks=pytest.mark.slow if page in SLOW else ()) for page in WITH_CODE],
)
def test_a_page_can_be_followed(page, away, capsys):
    """In one folder, from top to bottom: files are saved, blocks run, and commands do what the page says."""
    for place, (language, text) in enumerate(BLOCK.findall((DOCS / f"{page}.md").read_text())):
        name = re.match(r"# (\w+\.(?:py|toml))\n", text)
        if name:
            Path(name[1]).write_text(text)
        elif language == "python":
            path = away / f"block_{page.replace('-', '_')}_{place}.py"
            path.write_text(text)
            execute(path)
        elif page in FOLLOWED:
            for arguments in commands(text):
                if not any(argument.endswith("motion.pt") for argument in arguments):
                    shorter = [more for key, extra in SHORTER.items() if key in arguments for more in extra]
                    assert cli.main([*arguments, *shorter]) == 0


@pytest.mark.parametrize("page", ["README", *WITH_CODE])
def test_every_command_is_one(page):
    """The command line takes each command that is written anywhere, in a block or in a sentence."""
    text = (ROOT / "README.md" if page == "README" else DOCS / f"{page}.md").read_text()
    written = [arguments for language, block in BLOCK.findall(text) if language == "console"
               for arguments in commands(block)]  # fmt: skip
    written += [shlex.split(line)[1:] for line in re.findall(r"`(sim2real [a-z]+ [^`…]*)`", text)]
    for arguments in written:
        _, rest = cli.parser().parse_known_args(arguments)
        assert not [item for item in rest if item.startswith("-")]


def test_every_perturbation_in_the_table_is_python():
    """Each perturbation that is shown as written can be made."""
    rows = re.findall(r"^\| .*? \| (`.*`).*\|$", (DOCS / "concepts.md").read_text(), re.M)
    calls = [
        call for row in rows for call in re.findall(r"`((?:add|scale|set_to|hold|delay)\([^`…]*\))`", row)
    ]
    assert len(calls) >= 12
    for call in calls:
        exec(f"from sim2real import *\n{call}", {})


@pytest.mark.parametrize("path", [ROOT / "README.md", *DOCS.rglob("*.md")], ids=lambda path: path.stem)
def test_links_lead_somewhere(path):
    """What a page links to or shows is there, in a checkout as on the site."""
    for target in re.findall(r"\]\(([^)#:\s]+)(?:#[\w-]+)?\)", path.read_text()):
        assert (path.parent / target).exists(), target


def test_every_page_is_in_the_contents():
    """Nobody has to know the address of a page."""
    listed = re.findall(r"^([\w-]+)$", (DOCS / "index.md").read_text(), re.M)
    assert {page for page in PAGES if page != "index"} <= set(listed)


@pytest.mark.parametrize("room", ROOMS)
def test_every_public_name_says_what_it_is(room):
    """Functions and classes that one is to use are documented, and so are the public methods of classes."""
    module = importlib.import_module(f"sim2real.{room}")
    names = getattr(module, "__all__", [name for name in vars(module) if not name.startswith("_")])
    for name in names:
        value = getattr(module, name)
        if callable(value) and getattr(value, "__module__", "").startswith("sim2real"):
            assert value.__doc__, name
            for part, method in vars(value).items() if isinstance(value, type) else ():
                if callable(method) and not part.startswith("_"):
                    assert method.__doc__, f"{name}.{part}"


def test_every_short_name_is_described_somewhere():
    """What `sim2real` offers by name is in one of the reference's parts, or described on its own page."""
    described = set(re.findall(r":: (\w+)$", (DOCS / "api" / "sim2real.md").read_text(), re.M))
    rooms = [importlib.import_module(f"sim2real.{room}") for room in ROOMS]
    elsewhere = {name for room in rooms for name in getattr(room, "__all__", ())}
    assert set(sim2real.__all__) - elsewhere - described - {"__version__", "policies", "Constraint"} == set()


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """Build the site, every warning an error."""
    build = pytest.importorskip("sphinx.cmd.build")
    pytest.importorskip("myst_parser")
    out = tmp_path_factory.mktemp("site")
    assert build.main(["-W", "--keep-going", "-q", "-b", "html", str(DOCS), str(out)]) == 0
    return out


@pytest.mark.filterwarnings("ignore")
def test_the_site_fetches_nothing(site):
    """A page shows in full without a network: nothing but links leads out."""
    for path in site.rglob("*.html"):
        tags = re.findall(r"<(?:link|script|img|source|iframe|video)\b[^>]*>", path.read_text())
        assert not [tag for tag in tags if re.search(r'(?:src|href)="(?:https?:)?//', tag)], path
    for path in site.rglob("*.css"):
        assert not re.search(r"url\(.?(?:https?:)?//|@import .?(?:https?:)?//", path.read_text()), path

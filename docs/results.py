"""The numbers of these pages: run the studies behind them, and write what came of it into the pages.

    python docs/results.py --policy PATH/motion.pt      # everything: `make results POLICY=PATH/motion.pt`
    python docs/results.py quickstart grasping          # two of them
    python docs/results.py --list                       # what there is, and which of it is stale
    python docs/results.py --pages                      # run nothing: write what is known into the pages

A result is a row in `RESULTS`: commands, and a function of `findings/` that reads what they leave. Commands run in
`runs/results/NAME`; what is recorded there is not run again. What came of them is `docs/results/NAME.json`. A page
takes a number from there between two comments, `<!-- results: NAME/NUMBER -->` and `<!-- / -->`. The number `made` is
there for every result: when it was made, with which physics, and whether that is another than today's.
"""

import argparse
import hashlib
import json
import os
import re
import shlex
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from functools import partial
from pathlib import Path
from typing import Any

import figure
from findings import hands, others, simulators, walkers
from findings.told import Numbers

from sim2real import policies, report
from sim2real._version import PHYSICS_VERSION
from sim2real.errors import Sim2RealError, nearest
from sim2real.study.document import open_study
from sim2real.study.rollout import versions

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "docs" / "results"
RUNS = ROOT / "runs" / "results"
PAGES = (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))
POLICY = "motion.pt"
CODE = ("sim2real", "studies", "robots")
"""What decides about numbers: a result that was made with changes to these has a commit that ends in -dirty."""

MARK = re.compile(r"( *)<!-- results: ([\w-]+)/([\w-]+) -->.*?<!-- / -->", re.S)


@dataclass(frozen=True, kw_only=True)
class Result:
    """What is run for some numbers of the pages, and what is read from it.

    Args:
        name: of the result, its file and its folder.
        commands: what one would type; `{policy}` is Unitree's policy, which does not ship, and `{runs}` the folder of
            training runs.
        read: what is found in the folder.
        physics: whether our own physics has a say in it.
        charts: picture -> title of a chart in the report, and which of those with that title.
        trained: the folder of policies that ship, in whose files the numbers are.
        renewed: how it is made anew, if not by `make results`.
    """

    name: str
    commands: tuple[str, ...]
    read: Callable[[Path], Numbers]
    physics: bool = True
    charts: dict[str, tuple[str, int]] = field(default_factory=dict)
    trained: str = ""
    renewed: str = ""

    @property
    def needs_policy(self) -> bool:
        """Whether it takes a file that does not ship."""
        return any("{policy}" in command for command in self.commands)

    @property
    def typed(self) -> list[str]:
        """The commands, as one would type them."""
        return [command.format(policy=POLICY, runs="runs") for command in self.commands]


def outputs(folder: Path) -> Path:
    """Return where what scripts print and what is trained is kept: it is about one physics only."""
    return folder / f"physics-{PHYSICS_VERSION}"


TRAINED_WALKERS = "'studies/policies/walk/[nr]*-seed*.safetensors'"
WIDTHS = ("width 0", "width 0.5", "width 1", "width 1.5", "linear", "competence")
KINDS = {how: how.replace(" ", "-") for how in WIDTHS}
TRUSTED = "policy={policy} --trust"

RESULTS = (
    Result(
        name="published-walker",
        commands=(f"sim2real run studies/published_walker.py {TRUSTED}",),
        read=walkers.published_walker,
    ),
    Result(
        name="catalogue",
        commands=(f"sim2real run studies/catalogue.py {TRUSTED}",),
        read=walkers.catalogue,
    ),
    Result(
        name="cross-simulator",
        commands=(f"sim2real run studies/cross_simulator.py episodes=12 {TRUSTED}",),
        read=simulators.cross_simulator,
    ),
    Result(
        name="cross-simulator-walkers",
        commands=(f"sim2real run studies/cross_simulator.py policies={TRAINED_WALKERS} episodes=2",),
        read=simulators.cross_simulator_walkers,
        charts={"docs/studies/cross-payload.svg": ("set payload.mass to x", 1)},
    ),
    Result(
        name="cross-simulator-grasp",
        commands=("sim2real run studies/cross_simulator.py:expert task=Grasp episodes=5",),
        read=simulators.cross_simulator_hands,
    ),
    Result(
        name="cross-simulator-reach",
        commands=("sim2real run studies/cross_simulator.py:expert task=Reach episodes=10",),
        read=simulators.cross_simulator_hands,
    ),
    Result(
        name="joint-gap",
        commands=("python studies/cross_simulator.py {policy}",),
        read=simulators.joint_gap,
    ),
    Result(
        name="experts",
        commands=(
            "python studies/experts.py 100 g1",
            "python studies/experts.py 20 g1 shapes",
            "python studies/experts.py 20 panda",
        ),
        read=hands.experts,
    ),
    Result(
        name="grasping-expert",
        commands=("sim2real run studies/grasping.py:expert",),
        read=hands.grasping_expert,
    ),
    Result(
        name="locomotion",
        commands=("sim2real run studies/locomotion.py published={policy} episodes=12 --trust",),
        read=walkers.locomotion,
        charts={
            "docs/studies/locomotion-latency.svg": ("set actuator.latency_s to x", 0),
            "docs/studies/locomotion-strength.svg": ("scale *.strength by x", 0),
        },
    ),
    Result(
        name="locomotion-as-trained",
        commands=("sim2real run studies/locomotion.py:as_trained",),
        read=walkers.locomotion_as_trained,
    ),
    Result(
        name="halfcheetah-delay",
        commands=("sim2real run studies/halfcheetah_delay.py",),
        read=others.halfcheetah_delay,
        charts={"docs/half-cheetah-delay.svg": ("delay observation by x steps", 0)},
        physics=False,
    ),
    Result(
        name="quickstart",
        commands=("sim2real run studies/quickstart.py",),
        read=others.quickstart,
        charts={
            "docs/studies/quickstart-latency.svg": ("set actuator.latency_s to x", 0),
            "docs/studies/quickstart-payload.svg": ("set payload.mass to x", 0),
        },
    ),
    Result(
        name="grasping",
        commands=("sim2real run studies/grasping.py episodes=10",),
        read=hands.grasping,
        charts={
            "docs/studies/grasping-size.svg": ("set object.size to x", 0),
            "docs/studies/grasping-profile.svg": ("Performance profile", 0),
        },
    ),
    Result(
        name="safe-exploration",
        commands=("sim2real run studies/safe_exploration.py",),
        read=others.safe_exploration,
    ),
    Result(
        name="price-of-safety",
        commands=("sim2real run studies/safe_exploration.py:price",),
        read=others.price_of_safety,
    ),
    Result(
        name="failures",
        commands=(
            "sim2real search studies/failures.py",
            "sim2real sensitivity studies/failures.py points=512",
        ),
        read=others.failures,
        physics=False,
    ),
    Result(
        name="hands-training",
        commands=(),
        read=hands.hands_training,
        trained="hands",
        renewed="sim2real train studies/training/hands.py:NAME",
    ),
    Result(
        name="walk-training",
        commands=(),
        read=walkers.walk_training,
        trained="walk",
        renewed="sim2real train studies/training/walk.py:NAME",
    ),
    Result(
        name="sample-efficiency",
        commands=(
            *(
                f"sim2real train studies/sample_efficiency.py:training how='{how}' --out {{runs}}/push-{folder}"
                for how, folder in KINDS.items()
            ),
            "sim2real run studies/sample_efficiency.py episodes=5 trained={runs}",
        ),
        read=hands.sample_efficiency,
    ),
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Do what the command line asks for and return the exit code: 1 if something is left to do."""
    words = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    words.add_argument("names", nargs="*", metavar="NAME", help="results (all)")
    words.add_argument("--policy", type=Path, metavar="FILE", help="Unitree's motion.pt, which does not ship")
    words.add_argument("--workers", type=int, metavar="N", help="worker processes (one per core)")
    words.add_argument(
        "--tiny", action="store_true", help="a little of each, in runs/tiny: does all this work?"
    )
    words.add_argument("--list", action="store_true", help="run nothing: say what there is")
    words.add_argument("--pages", action="store_true", help="run nothing: write what is known into the pages")
    asked = words.parse_args(arguments)
    there = {result.name: result for result in RESULTS}
    for name in asked.names:
        if name not in there:
            words.error(f"there is no result '{name}'.{nearest(name, there)}")
    chosen = [there[name] for name in asked.names or there]
    if asked.list:
        print(*(f"{result.name:24} {state(result)}" for result in chosen), sep="\n")
        return 0
    left = [] if asked.pages else [name for name in map(partial(_made, asked=asked), chosen) if name]
    write_pages()
    left += missing()
    print(*left, sep="\n")
    return 1 if left else 0


def _made(result: Result, asked: argparse.Namespace) -> str:
    """Run a result, read it and write it; return what is left to do."""
    print(f"[{result.name}] {datetime.now().isoformat(' ', 'seconds')}", flush=True)
    if result.needs_policy and asked.policy is None:
        return f"[{result.name}] left out: it needs Unitree's policy, POLICY=PATH/motion.pt"
    folder = (ROOT / "runs" / "tiny" if asked.tiny else RUNS) / result.name
    try:
        run(result, folder, asked.policy and asked.policy.absolute(), asked.workers, tiny=asked.tiny)
        print(f"[{result.name}] {write(result, folder)}", flush=True)
        write_pages()
    except Exception as error:  # what comes after it can be made all the same
        if not isinstance(error, Sim2RealError):
            traceback.print_exc()
        return f"[{result.name}] failed: {error}"
    return ""


# What runs.


def run(result: Result, folder: Path, policy: Path | None, workers: int | None, *, tiny: bool) -> None:
    """Run what is missing of a result.

    Args:
        result: what.
        folder: where.
        policy: Unitree's.
        workers: how many processes, None for one per core.
        tiny: an episode of each, one training run, few steps and points.

    Raises:
        Sim2RealError: If a command fails.
    """
    kept = outputs(folder)
    kept.mkdir(parents=True, exist_ok=True)
    for place, (command, typed) in enumerate(zip(result.commands, result.typed, strict=True), start=1):
        print(f"[{result.name}] {typed}", flush=True)
        program, *words = shlex.split(command.format(policy=policy, runs=kept))
        words, started = _fewer(words) if tiny else words, time.time()
        if program == "python":
            _script(words, typed, kept / f"{place}.txt")
        else:
            options = [] if workers is None or words[0] == "train" else ["--workers", str(workers)]
            options += ["--no-report"] * (words[0] == "run")
            options += [] if "--out" in words else ["--out", str(folder)]
            try:
                _called([sys.executable, "-m", "sim2real", *words, *options])
            except Sim2RealError as error:
                if words[0] != "run" or not _complete(folder, since=started):
                    raise
                print(
                    f"[{result.name}] {error} But all episodes are recorded, and the page says so.",
                    flush=True,
                )
        print(f"[{result.name}] {(time.time() - started) / 60:.1f} min", flush=True)


def _script(words: Sequence[str], typed: str, path: Path) -> None:
    """Keep what a script prints, unless that is known already."""
    if not (path.is_file() and path.read_text(encoding="utf-8").startswith(f"{typed}\n")):
        told = _called([sys.executable, *words], capture=True)
        path.write_text(f"{typed}\n{told}", encoding="utf-8")


def _called(arguments: Sequence[str], capture: bool = False) -> str:
    """Run a program where studies are run from, and return what it prints if that is wanted."""
    # Films take minutes without a graphics card, and no page shows one.
    around = {**os.environ, "MUJOCO_GL": "disable", "PYTHONPATH": str(ROOT)}
    pipe = subprocess.PIPE if capture else None
    done = subprocess.run(arguments, cwd=ROOT, env=around, text=True, stdout=pipe)
    if done.returncode < 0 or done.returncode == 130:
        raise KeyboardInterrupt
    if done.returncode:
        raise Sim2RealError(f"It ended with exit code {done.returncode}.")
    return done.stdout or ""


def _fewer(words: Sequence[str]) -> list[str]:
    """Return the arguments of a command so that it takes a minute at most."""
    if "studies/halfcheetah_delay.py" in words:
        return list(words)  # takes no number of episodes
    few = {"run": ["episodes=1"], "train": ["steps=2000", "--seed", "0"], "search": ["points=8"]}
    few["sensitivity"] = ["points=64"]
    given = {word.partition("=")[0] for word in few.get(words[0], ())}
    kept = ["1" if word.isdecimal() else word for word in words if word.partition("=")[0] not in given]
    kept = [word.replace("-seed*", "-seed0") for word in kept]
    return [*kept, *few.get(words[0], ())]


def _complete(folder: Path, since: float) -> bool:
    """Tell whether a study that was run since has a row for every episode, if only to say that it gave no number."""
    study, store = open_study(folder)
    updated = datetime.fromisoformat(store.meta["updated"]).timestamp()
    return updated >= int(since) and {trial.key for trial in study.trials()} <= store.keys()


# What is written.


def write(result: Result, folder: Path) -> str:
    """Read what came of a result, write its file and its charts, and return what became of the file."""
    found = facts(result, folder) | {"numbers": lines(result.read(folder))}
    charts = {path: svg.encode() for path, svg in drawn(result, folder).items()}
    for path, content in charts.items():
        (ROOT / path).write_bytes(content)
    found["charts"] = {path: hashlib.sha256(content).hexdigest() for path, content in charts.items()}
    path, before = FOLDER / f"{result.name}.json", known(result.name)
    if before and before == {**found, "made": before["made"], "commit": before["commit"]}:
        return "as it was"
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(found, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    return f"written to {path.relative_to(ROOT)}"


def facts(result: Result, folder: Path) -> dict[str, Any]:
    """Return what made a result: commands, when, of which code and physics, and how many episodes."""
    head = _git("rev-parse", "HEAD") + ("-dirty" if _git("status", "--porcelain", "--", *CODE) else "")
    physics, libraries, counts = PHYSICS_VERSION, versions(), (None, 0)
    day = datetime.now(UTC).date().isoformat()
    if result.trained:
        shipped = ROOT / "studies" / "policies" / result.trained
        files = policies.glob(f"{shipped}/*.safetensors")
        physics, libraries = min(file.contract.training.get("physics", 1) for file in files), {}
        head, day = _git("log", "-1", "--format=%H %cs", "--", str(shipped)).split()
    elif (folder / "study.json").is_file():
        rows = _rows(result, folder)
        counts = len(rows), sum(row["status"] != "ok" for row in rows)
        made_with = [json.loads(text) for text in dict.fromkeys(row["versions"] for row in rows)]
        libraries = made_with[-1]
        if result.physics and {int(one.get("physics", 1)) for one in made_with} != {physics}:
            raise Sim2RealError(f"'{folder}' holds episodes of another physics than {physics}.")
    return {
        "commands": result.typed,
        "made": day,
        "commit": head,
        "physics": physics if result.physics else None,
        "versions": {name: one for name, one in libraries.items() if name != "physics"},
        "episodes": counts[0],
        "without_number": counts[1],
    }


def _rows(result: Result, folder: Path) -> list[dict[str, Any]]:
    """Return the rows of a study, or all that a search has asked for."""
    study, store = open_study(folder)
    asked = {trial.key for trial in study.trials()}
    searched = any(command.startswith("sim2real search") for command in result.commands)
    return [row for row in store.rows() if searched or row["key"] in asked]


def _git(*words: str) -> str:
    return subprocess.run(
        ["git", *words], cwd=ROOT, text=True, check=True, stdout=subprocess.PIPE
    ).stdout.strip()


def drawn(result: Result, folder: Path) -> dict[str, str]:
    """Return the charts that pages show, out of the report of the records."""
    if not result.charts:
        return {}
    study, store = open_study(folder)
    text = report.write(study, store, folder / "report.html", clips=False).read_text(encoding="utf-8")
    return {path: figure.chart(text, *which) for path, which in result.charts.items()}


def lines(numbers: Numbers) -> dict[str, str | list[str]]:
    """Return numbers as they are written to a file: a block as its lines."""
    return {name: text.splitlines() if "\n" in text else text for name, text in numbers.items()}


def known(name: str) -> dict[str, Any]:
    """Return what came of a result, empty if that is not known yet."""
    path = FOLDER / f"{name}.json"
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    return found


def stale(result: Result) -> bool:
    """Tell whether a result was made with another physics than today's."""
    return known(result.name).get("physics", PHYSICS_VERSION) not in (None, PHYSICS_VERSION)


def state(result: Result) -> str:
    """Say in a few words what there is of a result."""
    found = known(result.name)
    return made(result) if found else "missing"


# What the pages say.


def made(result: Result) -> str:
    """Say when and with what a result was made, and that it is stale if it is."""
    found = known(result.name)
    day = date.fromisoformat(found["made"])
    count = "" if found["episodes"] is None else f"{found['episodes']:,} episodes"
    if found["without_number"]:
        count += f", {found['without_number']:,} of which gave no number"
    told = [count, f"{day.day} {day:%B %Y}"]
    if found["physics"] == PHYSICS_VERSION:
        told.append(f"physics version {PHYSICS_VERSION}")
    said = ", ".join(filter(None, told))
    if not stale(result):
        return said
    again = result.renewed or f"make results STUDY={result.name}"
    return (
        f"{said}. **Made with physics version {found['physics']}; the current one is {PHYSICS_VERSION}: "
        f"`{again}` makes it anew**"
    )


def number(name: str, which: str) -> str | list[str] | None:
    """Return a value that a page shows in a sentence, the lines of a block, or None for what is not known yet."""
    result = next((one for one in RESULTS if one.name == name), None)
    found = known(name)
    if result is None or not found:
        return None
    return made(result) if which == "made" else found["numbers"].get(which)


def page(text: str) -> str:
    """Return a page with all of its numbers as they are known."""
    return MARK.sub(_filled, text)


def _filled(found: re.Match[str]) -> str:
    """Return a pair of comments with what belongs between them, as far from the margin as they are."""
    margin, name, which = found.groups()
    start, text, end = f"{margin}<!-- results: {name}/{which} -->", number(name, which), "<!-- / -->"
    if text is None:
        return found[0]
    if isinstance(text, str):
        return f"{start}{text}{end}"
    return "\n".join([start, "", *(margin + line for line in text), "", margin + end])


def missing() -> list[str]:
    """Return what pages name and nobody knows."""
    asked = {
        (name, which) for path in PAGES for _, name, which in MARK.findall(path.read_text(encoding="utf-8"))
    }
    return [
        f"{name}/{which} is not known yet" for name, which in sorted(asked) if number(name, which) is None
    ]


def write_pages() -> None:
    """Write what is known into the pages."""
    for path in PAGES:
        text = path.read_text(encoding="utf-8")
        if (anew := page(text)) != text:
            path.write_text(anew, encoding="utf-8")
            print(f"{path.relative_to(ROOT)} has new numbers", flush=True)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except Sim2RealError as error:
        sys.exit(f"results: {error}")
    except KeyboardInterrupt:
        sys.exit("results: stopped; finished episodes are kept and the same command goes on.")

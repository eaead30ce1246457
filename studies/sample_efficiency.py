"""How much practice does randomisation cost, and what does it buy: at which width, all at once or by a curriculum?

    for how in "width 0" "width 0.5" "width 1" "width 1.5" linear competence; do
        sim2real train studies/sample_efficiency.py:training how="$how"
    done
    sim2real run studies/sample_efficiency.py

A hand learns to push an object, as in `studies/training/hands.py`: equally long however it is randomised, so that what
it can do then can be compared. Width 1 is that file's randomisation. `linear` widens it from nothing to 1.5 over two
thirds of the steps; `competence` whenever four of five pushes succeed. The curve of each training run tells when it was
first competent in the nominal world.
"""

from dataclasses import replace
from functools import partial
from pathlib import Path

from sim2real import Sim2RealError, Study, policies
from sim2real.errors import nearest
from sim2real.perturb.curriculum import ByCompetence, Linear
from sim2real.study.load import load_module
from sim2real.training import Training

HERE = Path(__file__).parent
STEPS = 32_000
WIDEST = 1.5
WIDTHS = {"width 0": 0.0, "width 0.5": 0.5, "width 1": 1.0, "width 1.5": WIDEST}
CURRICULA = {
    "linear": partial(Linear, steps=STEPS * 2 // 3, end=WIDEST),
    "competence": partial(ByCompetence, raise_above=0.75, episodes=10, step=0.25, most=WIDEST),
}
KINDS = (*WIDTHS, *CURRICULA)


def training(how: str = "width 1", steps: int = STEPS) -> Training:
    """Build the training of one kind."""
    if how not in KINDS:
        raise Sim2RealError(f"There is no '{how}' here.{nearest(how, KINDS)}")
    hands = load_module(HERE / "training" / "hands.py")
    width = WIDTHS.get(how, 1.0)
    ranges = tuple(p.at(width) for p in hands.push_randomised().perturbations)
    nominal = hands.push(steps)
    return replace(
        nominal,
        name=name(how),
        perturbations=ranges if width else (),
        curriculum=CURRICULA.get(how),
        competence=replace(nominal.competence, every=4_000, episodes=20, stop=False),
    )


def name(how: str) -> str:
    """Return the name of the folder of a kind's training runs."""
    return f"push-{how.replace(' ', '-')}"


def study(episodes: int = 10, seed: int = 0, trained: Path = Path("runs")) -> Study:
    """Build the study of the training runs under a folder, in the worlds that studies/grasping.py holds out."""
    pushing = load_module(HERE / "grasping.py").study(episodes, seed, task="Push")
    return replace(
        pushing,
        name="sample-efficiency",
        question="What does randomisation cost in practice, what does it buy, and does a curriculum help?",
        policies={how: policies.glob(f"{trained}/{name(how)}/seed-*/policy.safetensors") for how in KINDS},
    )

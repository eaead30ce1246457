"""Where does a running cheetah fail that was trained to see the world up to two steps late, and what matters to it?

    sim2real search studies/failures.py
    sim2real sensitivity studies/failures.py points=512

The policies are those of `studies/halfcheetah_train.py`.
"""

from pathlib import Path

from sim2real import Integers, Normal, Study, Uniform, add, delay, discover, policies, scale, set_to
from sim2real.search import Search

TRAINED = Path(__file__).parent / "policies" / "halfcheetah"

REGION = (
    delay("observation", Integers(0, 2)),
    add("observation", Normal(0, 0.03)),
    set_to("parameter:ground.friction", Uniform(0.2, 1.0)),
    scale("parameter:*.mass", Uniform(0.7, 1.4)),
    scale("parameter:*.strength", Uniform(0.7, 1.2)),
    scale("parameter:*.viscous_friction", Uniform(0.5, 2.0)),
)


def search(
    policy: str = "delay2", points: int = 100, episodes: int = 4, method: str = "bayesian", seed: int = 0
) -> Search:
    """Build the search; "delay0" is the policy that was trained in time."""
    study = Study(
        name=f"failures-{policy}",
        question="Where in a region of six perturbations does a running cheetah fail, and which of them matter?",
        env="HalfCheetah-v5",
        env_kwargs={"camera_name": "track"},  # clips follow the cheetah
        policies={policy: policies.glob(f"{TRAINED}/{policy}-seed*.safetensors")},
        parameters=discover,
        episodes=episodes,
        metric="return",
        competent=500,
        max_steps=250,
    )
    return Search(study=study, region=REGION, points=points, method=method, fresh=20, seed=seed)

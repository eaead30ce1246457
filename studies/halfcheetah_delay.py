"""What is left of a running cheetah that sees the world one step late, trained in time or trained for it?

sim2real run studies/halfcheetah_delay.py

The policies are those of `studies/halfcheetah_train.py`: "briefly" has --steps 51200, the others 512000.
"""

from pathlib import Path

from sim2real import Integers, Reference, Study, delay, policies

TRAINED = Path(__file__).parent / "policies" / "halfcheetah"

study = Study(
    name="halfcheetah-delay",
    question="What does a step of observation delay leave of the return, and does training with delay give it back?",
    env="HalfCheetah-v5",
    policies={
        "in time, briefly": policies.glob(f"{TRAINED}/brief-seed*.safetensors"),
        "in time": policies.glob(f"{TRAINED}/delay0-seed*.safetensors"),
        "0 to 2 steps late": policies.glob(f"{TRAINED}/delay2-seed*.safetensors"),
    },
    conditions={f"{k} late": [delay("observation", k)] for k in (1, 2, 3, 4)}
    | {"1 late, action": [delay("action", 1)]}
    | {"0 to 2 late, every step anew": [delay("observation", Integers(0, 2), every="step")]},
    episodes=30,
    metric="return",
    competent=500,
    references=(
        Reference(
            label="PPO of deltatau-audit",
            metric="return",
            target="observation",
            points=((0, 990), (1, 37.6)),
            source="deltatau-audit 0.6.2, README: 3.8 % of about 990 under one step.",
        ),
    ),
)

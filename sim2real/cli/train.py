"""The command that trains."""

import argparse
from pathlib import Path

from sim2real.cli.shared import Commands, add_source


def add(commands: Commands) -> None:
    """Declare it."""
    train = commands.add_parser("train", help="train policies, or go on training them")
    train.set_defaults(run=_train)
    add_source(train, "training", "Training")
    train.add_argument("--seed", type=int, metavar="N", help="train this seed alone, not all that it names")
    train.add_argument(
        "--out", type=Path, metavar="DIR", help="folder of its training runs (runs/<training name>)"
    )
    train.add_argument("--wandb", action="store_true", help="mirror the curves to Weights & Biases")


def _train(arguments: argparse.Namespace) -> int:
    from sim2real.study.load import load_value
    from sim2real.training import Training

    training, source = load_value(arguments.training, arguments.overrides, Training, "training")
    from sim2real.training.run import report, train

    for seed in training.seeds if arguments.seed is None else (arguments.seed,):
        folder = (arguments.out or Path("runs") / training.name) / f"seed-{seed}"
        print(train(training, seed, folder, source=Path(source["file"]), progress=report))
        if arguments.wandb:
            from sim2real.sinks.wandb import mirror_training

            mirror_training(folder)
    return 0

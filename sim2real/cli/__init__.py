"""The command line: run a study, see how far it is, report on it, repeat one of its episodes.

A file for each group of commands declares them and does what they say. What is heavy is imported by the command that
needs it, so that --help is quick.
"""

import argparse
import sys
from collections.abc import Sequence

from sim2real.cli import report, search, shelf, study, train
from sim2real.errors import Sim2RealError

__all__ = ["main", "parser"]


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code.

    1 if an episode differs, a policy got worse, or a check found something wrong; 2 for trouble.
    """
    command_line = parser()
    arguments, rest = command_line.parse_known_args(argv)
    if rest and ("overrides" not in arguments or any(item.startswith("-") for item in rest)):
        command_line.error(f"unrecognized arguments: {' '.join(rest)}")
    if rest:
        arguments.overrides += rest  # parameters may also follow options
    try:
        code: int = arguments.run(arguments)
        return code
    except Sim2RealError as error:
        print(f"sim2real: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("sim2real: stopped; finished episodes are kept and the same command goes on.", file=sys.stderr)
        return 130


def parser() -> argparse.ArgumentParser:
    """Return what reads the command line; the function of the chosen command is the argument ``run``."""
    command_line = argparse.ArgumentParser(
        prog="sim2real", description="Will this policy survive the real world?"
    )
    commands = command_line.add_subparsers(required=True, metavar="COMMAND")
    for group in (study, train, search, report, shelf):
        group.add(commands)
    return command_line

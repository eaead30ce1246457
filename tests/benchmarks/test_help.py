"""What asking for help costs, in units of starting Python."""

import resource
import subprocess
import sys

import pytest


def processor_s(*words: str) -> float:
    """Processor time of a Python process."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, *words], stdout=subprocess.DEVNULL, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime


def least_s(*words: str) -> float:
    """The least of several, since other processes only ever add to it."""
    return min(processor_s(*words) for _ in range(10))


@pytest.mark.parametrize("words", [["--help"], ["run", "--help"]], ids=" ".join)
def test_help_against_starting_python(words, benchmark):
    """≤ 10 × `python -c pass`: 0.06 s where that takes 0.011 s, and 0.9 s with all that a study imports."""
    ratio = least_s("-m", "sim2real", *words) / least_s("-c", "pass")
    benchmark.extra_info["ratio"] = round(ratio, 2)
    print(f"\nsim2real {' '.join(words)}: {ratio:.1f} × python -c pass")
    benchmark.pedantic(processor_s, ("-m", "sim2real", *words), rounds=3)
    assert ratio <= 10

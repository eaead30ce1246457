"""The environments have their ids, and the package its names, whatever is imported first."""

import ast
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

import sim2real

ORDERS = {
    "by its id alone": "",
    "Gymnasium first": "import gymnasium\nimport sim2real",
    "this package first": "import sim2real\nimport gymnasium",
    "a name of it first": "from sim2real import Study, scale\nimport gymnasium",
    "a room of it first": "import sim2real.perturb\nimport gymnasium",
}


@pytest.mark.parametrize("first", ORDERS.values(), ids=ORDERS)
def test_environments_are_registered_once_in_any_order_of_imports(first):
    """Each id is there when Gymnasium makes the environment, and Gymnasium never warns of a second one."""
    code = (
        f"{first}\nimport importlib, gymnasium\nimportlib.import_module('sim2real')  # as gymnasium.make does\n"
        "ids = [spec.name for spec in gymnasium.registry.values() if spec.namespace == 'sim2real']\n"
        "print(*sorted(ids))"
    )
    command = [sys.executable, "-W", "error", "-c", code]
    shown = subprocess.run(command, capture_output=True, text=True, check=True)
    assert shown.stdout.strip() == "Grasp Insert Place Push Reach Stack Stand Task Walk"


def test_public_names_are_those_that_the_source_imports():
    """A name fetched when asked for is the one that type checkers see, and is in `__all__`."""
    source = ast.parse(Path(sim2real.__file__).read_text())
    (block,) = (node for node in source.body if isinstance(node, ast.If))
    homes = {alias.name: line.module for line in block.body for alias in line.names}
    assert {*homes, "Sim2RealError", "__version__"} == set(sim2real.__all__)
    assert set(sim2real.__all__) <= set(dir(sim2real))
    for name, home in homes.items():
        expected = getattr(import_module(home), name)
        assert getattr(sim2real, name) is expected
    with pytest.raises(AttributeError, match="module 'sim2real' has no attribute 'absent'"):
        _ = sim2real.absent

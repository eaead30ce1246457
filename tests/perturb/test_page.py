from pathlib import Path

from sim2real.perturb import OPERATIONS, PRESETS
from sim2real.perturb.page import PARAMETER_HEAD, markdown, page, parameter_rows
from sim2real.testing import EchoEnv

PAGE = Path(__file__).parents[2] / "docs" / "perturbations.md"


def test_the_page_is_up_to_date():
    """The written page is what the values say: python -m sim2real.perturb.page > docs/perturbations.md."""
    assert PAGE.read_text() == page()


def test_the_page_names_everything():
    """Every operation and every preset is on it, and every row of a table has the cells of its head."""
    text = page()
    assert all(f"`{name}`" in text for name in OPERATIONS)
    assert all(f"### {name}" in text for name in PRESETS)
    for block in text.split("\n\n"):
        lines = [line for line in block.splitlines() if line.startswith("| ")]
        assert len({line.replace("\\|", "").count("|") for line in lines}) <= 1


def test_a_table_of_parameters_has_a_row_each():
    """A parameter's row shows unit, nominal value, ranges, meaning and source."""
    rows = parameter_rows(EchoEnv().parameters)
    assert ("kick", "m/s", "0", "", "-10 to 10", "Added to the velocity.", "") in rows
    assert {len(row) for row in rows} == {len(PARAMETER_HEAD)}


def test_a_table_shows_what_its_cells_say():
    """Signs that mean something in Markdown are escaped."""
    assert markdown(("a", "b"), [("*.mass", "x|y")]).splitlines()[-1] == r"| \*.mass | x\|y |"

"""The page of the tasks is what the environments say, with a picture of each."""

from pathlib import Path

import pytest

from sim2real.tasks import TASKS
from sim2real.tasks.page import page

DOCS = Path(__file__).parents[2] / "docs"


def test_the_page_is_up_to_date():
    """The written page is what the code says: python -m sim2real.tasks.page > docs/tasks.md."""
    assert (DOCS / "tasks.md").read_text() == page()


@pytest.mark.parametrize("task", TASKS)
def test_every_task_has_a_picture(task):
    """It is small enough to look at on a phone: python docs/pictures.py."""
    assert 5_000 < (DOCS / "tasks" / f"{task}.jpg").stat().st_size < 40_000

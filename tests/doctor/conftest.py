"""What the checks find wrong."""

from collections.abc import Callable, Iterable

import pytest

from sim2real.errors import Finding


@pytest.fixture(scope="session")
def wrong() -> Callable[[Iterable[Finding]], list[Finding]]:
    """Return a function that picks the findings that something is wrong, each of them one line."""

    def chosen(findings: Iterable[Finding]) -> list[Finding]:
        found = [finding for finding in findings if finding.fits is False]
        assert all(len(finding.said.splitlines()) == 1 for finding in found)
        return found

    return chosen

"""Stopping when an interval is narrow enough, without paying for it with intervals that are too narrow."""


def looks(least: int, most: int) -> tuple[int, ...]:
    """Return the numbers of episodes at which one looks: twice as many each time, and the most there may be.

    >>> looks(10, 100)
    (10, 20, 40, 80, 100)
    """
    found = [min(least, most)]
    while found[-1] < most:
        found.append(min(2 * found[-1], most))
    return tuple(found)


def spent(level: float, times: int) -> float:
    """Return the level of each interval such that all of several looks hold the truth together at a level.

    Bonferroni's: whenever one stops, and for whatever reason, the last interval holds the truth as often as is said.

    >>> round(spent(0.95, 5), 4)
    0.99
    """
    return 1.0 - (1.0 - level) / times

"""What makes a parameter act: small functions that put a number where it belongs."""

from collections.abc import Callable
from typing import Any

Setter = Callable[[float], None]


def element(values: Any, index: int | str, then: Callable[[], None] | None = None) -> Setter:
    """Return a setter of one element of an array, list or dictionary, after which ``then`` is called."""

    def set_element(value: float) -> None:
        values[index] = value
        if then is not None:
            then()

    return set_element


def attribute(owner: Any, name: str, then: Callable[[], None] | None = None) -> Setter:
    """Return a setter of one attribute of an object, after which ``then`` is called."""

    def set_attribute(value: float) -> None:
        setattr(owner, name, value)
        if then is not None:
            then()

    return set_attribute

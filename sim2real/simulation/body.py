"""Things in the world beside the robot: what they are made of, before any engine."""

from dataclasses import dataclass

from sim2real.errors import Sim2RealError
from sim2real.linktree import Inertial, Shape


@dataclass(frozen=True, kw_only=True, eq=False)
class Body:
    """One rigid thing, in its own frame.

    Attributes:
        name: what it is called.
        shapes: what it touches and is seen with, at most 16.
        inertial: its mass properties; None for what never moves.
        position_m, quaternion: where its frame is in the world at first; (x, y, z, w).

    Raises:
        Sim2RealError: for no shape or too many, or a body that moves and has no mass.
    """

    name: str
    shapes: tuple[Shape, ...]
    inertial: Inertial | None = None
    position_m: tuple[float, float, float] = (0.0, 0.0, 0.0)
    quaternion: tuple[float, float, float, float] = (0.0, 0.0, 0.0, 1.0)

    def __post_init__(self) -> None:
        if not 1 <= len(self.shapes) <= 16:
            raise Sim2RealError(f"Body '{self.name}' should have 1 to 16 shapes, not {len(self.shapes)}.")
        if self.inertial is not None and not self.inertial.mass_kg > 0.0:
            raise Sim2RealError(
                f"Body '{self.name}' should have a mass above 0 kg, not {self.inertial.mass_kg:g}."
            )

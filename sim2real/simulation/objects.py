"""Things to handle: solids, alone and put together, with the mass properties that their shapes give them."""

import math
from dataclasses import replace

import numpy as np

from sim2real.linktree import Inertial, Shape, pose_of
from sim2real.simulation.body import Body

Vector = tuple[float, float, float]
QUARTER = math.pi / 2


def solid(
    kind: str,
    *size_m: float,
    at_m: Vector = (0.0, 0.0, 0.0),
    rpy_rad: Vector = (0.0, 0.0, 0.0),
    rgba: tuple[float, ...] = (0.85, 0.45, 0.15, 1.0),
) -> Shape:
    """Return a primitive solid: its sizes are those of `Shape`, its pose is in the frame of the whole thing."""
    return Shape(kind=kind, size=size_m, pose_in_link=pose_of(at_m, rpy_rad), rgba=rgba)


SHAPES: dict[str, tuple[Shape, ...]] = {
    "box": (solid("box", 0.05, 0.05, 0.08),),
    "cylinder": (solid("cylinder", 0.025, 0.1),),
    "sphere": (solid("sphere", 0.03),),
    "capsule": (solid("capsule", 0.025, 0.06, rpy_rad=(0.0, QUARTER, 0.0)),),
    "mug": (
        solid("cylinder", 0.03, 0.08),
        solid("box", 0.02, 0.01, 0.01, at_m=(0.04, 0.0, 0.025)),
        solid("box", 0.02, 0.01, 0.01, at_m=(0.04, 0.0, -0.025)),
        solid("box", 0.01, 0.01, 0.06, at_m=(0.055, 0.0, 0.0)),
    ),
    "l": (
        solid("box", 0.14, 0.04, 0.05, at_m=(0.02, 0.0, 0.0)),
        solid("box", 0.04, 0.06, 0.05, at_m=(0.07, 0.05, 0.0)),
    ),
    "t": (
        solid("box", 0.1, 0.04, 0.05),
        solid("box", 0.04, 0.1, 0.05, at_m=(0.07, 0.0, 0.0)),
    ),
    "hammer": (
        solid("box", 0.14, 0.03, 0.04),
        solid("cylinder", 0.02, 0.08, at_m=(0.09, 0.0, 0.0), rpy_rad=(QUARTER, 0.0, 0.0)),
    ),
}
"""What objects can look like, as they lie on a table: z is up, and the origin is where to hold them.

It is the first shape that is held: it fits between fingers along one horizontal direction at least.
"""


def volume_m3(shape: Shape) -> float:
    """Return the volume of a shape.

    >>> volume_m3(solid("box", 0.1, 0.2, 0.3)).__round__(6)
    0.006
    """
    if shape.kind == "box":
        return math.prod(shape.size)
    radius, length = (*shape.size, 0.0)[:2]
    ball = 4.0 / 3.0 * math.pi * radius**3 if shape.kind in ("sphere", "capsule") else 0.0
    return math.pi * radius**2 * length + ball


def of_density(shape: Shape, density_kg_m3: float) -> Inertial:
    """Return the mass properties of a homogeneous shape, in the frame of the whole thing.

    The two halves of a capsule's ball sit at its ends: about their own centre of mass, 3/8 r off the flat side,
    each has 83/320 m r² across the axis and 2/5 m r² along it.
    """
    mass_kg = density_kg_m3 * volume_m3(shape)
    if shape.kind == "box":
        squares = np.square(shape.size)
        moments = mass_kg / 12.0 * (squares.sum() - squares)
    else:
        radius, length = (*shape.size, 0.0)[:2]
        tube_kg = density_kg_m3 * math.pi * radius**2 * length if shape.kind != "sphere" else 0.0
        ball_kg = mass_kg - tube_kg
        along = (0.5 * tube_kg + 0.4 * ball_kg) * radius**2
        across = tube_kg * (radius**2 / 4.0 + length**2 / 12.0)
        across += ball_kg * (83.0 / 320.0 * radius**2 + (length / 2.0 + 3.0 / 8.0 * radius) ** 2)
        moments = np.array([across, across, along])
    own = Inertial(mass_kg=np.array(mass_kg), com_m=np.zeros(3), inertia_kgm2=np.diag(moments))
    return own.seen_from(shape.pose_in_link)


def scaled(shapes: tuple[Shape, ...], factor: float) -> tuple[Shape, ...]:
    """Return the same thing at another size."""

    def larger(shape: Shape) -> Shape:
        pose = shape.pose_in_link.copy()
        pose[:3, 3] *= factor
        return replace(shape, size=tuple(factor * side for side in shape.size), pose_in_link=pose)

    return tuple(map(larger, shapes))


def thing(
    name: str,
    shapes: tuple[Shape, ...],
    mass_kg: float,
    com_shift_m: Vector = (0.0, 0.0, 0.0),
    position_m: Vector = (0.0, 0.0, 0.0),
) -> Body:
    """Return a homogeneous body of a mass, its shapes not overlapping; the shift moves its centre of mass alone."""
    density = mass_kg / sum(map(volume_m3, shapes))
    parts = [of_density(shape, density) for shape in shapes]
    stacked = Inertial(**{key: np.array([vars(part)[key] for part in parts]) for key in vars(parts[0])})
    whole = stacked.joined(np.zeros(len(parts), dtype=np.intp), 1)[0]
    shifted = Inertial(
        mass_kg=np.array(mass_kg), com_m=whole.com_m + np.array(com_shift_m), inertia_kgm2=whole.inertia_kgm2
    )
    return Body(name=name, shapes=shapes, inertial=shifted, position_m=position_m)


def rest_height_m(shapes: tuple[Shape, ...]) -> float:
    """Return how high a thing's frame is while it stands as described."""
    return -min(shape.lowest_m(np.eye(4)) for shape in shapes)

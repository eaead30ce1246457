"""Which shapes of a MuJoCo model touch its ground, and which coefficient of friction a pair of them has.

The rules are MuJoCo's (documentation, "Collision detection" and "Contact parameters"): a ``<pair>`` has its own
values; of other pairs those whose masks match collide, unless they are welded together or excluded; the shape of
higher priority decides, at equal priority the larger value counts; in one dimension there is no friction.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple

GROUND = ("ground", "floor", "terrain", "plane")
PLANE, FIELD = 0, 1  # of mjtGeom


class Pair(NamedTuple):
    """A shape that moves and can touch the ground.

    Attributes:
        geom: the shape.
        ground: the shape of the ground.
        friction: Coulomb coefficient between them.
        explicit: index of the ``<pair>`` that describes them, None where the shapes do.
        decides: whether the moving shape's own coefficient is the one that counts.
        least: what the ground imposes: the pair's coefficient cannot be less, whatever the shape's own.
    """

    geom: int
    ground: int
    friction: float
    explicit: int | None
    decides: bool
    least: float


def moves(model: Any, body: int) -> bool:
    """Tell whether forces can move a body: it, or what it hangs on, has a joint."""
    while body and not model.body_dofnum[body]:
        body = model.body_parentid[body]
    return bool(body)


def ground_of(model: Any) -> list[int]:
    """Return the shapes that are the ground: planes and height fields that do not move, else what is called so."""
    static = [geom for geom in range(model.ngeom) if not moves(model, model.geom_bodyid[geom])]
    flat = [geom for geom in static if model.geom_type[geom] in (PLANE, FIELD)]
    return flat or [geom for geom in static if model.geom(geom).name.lower() in GROUND]


def ground_pairs(model: Any) -> Iterator[Pair]:
    """Return every pair of a moving shape and the ground that has friction."""
    described = zip(model.pair_geom1.tolist(), model.pair_geom2.tolist(), strict=True)
    explicit = {frozenset(geoms): i for i, geoms in enumerate(described)}
    for ground in ground_of(model):
        for geom in range(model.ngeom):
            if not moves(model, model.geom_bodyid[geom]):
                continue
            index = explicit.get(frozenset((geom, ground)))
            if index is not None:
                if model.pair_dim[index] > 1:
                    yield Pair(geom, ground, float(model.pair_friction[index, 0]), index, True, 0.0)
            elif _collide(model, geom, ground):
                yield from _described_by_shapes(model, geom, ground)


def friction_now(model: Any, pair: Pair) -> float:
    """Return the Coulomb coefficient that the model has now for a pair."""
    if pair.explicit is not None:
        return float(model.pair_friction[pair.explicit, 0])
    return next((found.friction for found in _described_by_shapes(model, pair.geom, pair.ground)), 0.0)


def collides(model: Any, geom: int) -> bool:
    """Tell whether a shape can touch anything at all."""
    in_pair = geom in model.pair_geom1 or geom in model.pair_geom2
    return bool(in_pair or model.geom_contype[geom] or model.geom_conaffinity[geom])


def _described_by_shapes(model: Any, geom: int, ground: int) -> Iterator[Pair]:
    own, other = (float(model.geom_friction[one, 0]) for one in (geom, ground))
    first, second = (int(model.geom_priority[one]) for one in (geom, ground))
    dimensions = [int(model.geom_condim[one]) for one in (geom, ground)]
    if first != second:
        dimension, friction = (dimensions[0], own) if first > second else (dimensions[1], other)
        if dimension > 1:
            yield Pair(geom, ground, friction, None, first > second, 0.0)
    elif max(dimensions) > 1:
        yield Pair(geom, ground, max(own, other), None, own >= other, other)


def _collide(model: Any, geom: int, ground: int) -> bool:
    """Tell whether MuJoCo lets two shapes collide that no ``<pair>`` describes; the ground is no one's parent."""
    masks = model.geom_contype, model.geom_conaffinity
    if not (masks[0][geom] & masks[1][ground] or masks[0][ground] & masks[1][geom]):
        return False
    first, second = sorted((int(model.geom_bodyid[geom]), int(model.geom_bodyid[ground])))
    return (first << 16) + second not in model.exclude_signature

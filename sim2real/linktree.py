"""Link trees: read URDF, hold joints still and merge what they joined, weigh, and write URDF for an engine.

A pose is a 4x4 matrix: `frame_in_other @ point_in_frame` gives the point in the other frame. Units are SI.
"""

from __future__ import annotations

import math
import xml.etree.ElementTree as ET
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from sim2real.errors import Sim2RealError, nearest

Array = NDArray[np.float64]
MOVABLE = ("revolute", "continuous", "prismatic")
SOLIDS = {"box": ("size",), "sphere": ("radius",), "cylinder": ("radius", "length")}
SOLIDS["capsule"] = SOLIDS["cylinder"]


def pose_of(xyz: Sequence[float] = (0, 0, 0), rpy: Sequence[float] = (0, 0, 0)) -> Array:
    """Return the (4, 4) pose at `xyz` (m) turned by roll, pitch, yaw (rad) about the fixed axes x, y, z.

    >>> pose_of((1, 2, 3))[:3, 3].tolist()
    [1.0, 2.0, 3.0]
    """
    (sr, sp, sy), (cr, cp, cy) = np.sin(rpy), np.cos(rpy)
    return np.array(
        [
            [cy * cp, cy * sp * sr - sy * cr, cy * sp * cr + sy * sr, xyz[0]],
            [sy * cp, sy * sp * sr + cy * cr, sy * sp * cr - cy * sr, xyz[1]],
            [-sp, cp * sr, cp * cr, xyz[2]],
            [0, 0, 0, 1],
        ]
    )


def rpy_of(rotation: Array) -> tuple[float, float, float]:
    """Return roll, pitch, yaw (rad) of a (3, 3) rotation, exact at the gimbal's pole as well."""
    (a, b, c), (d, e, f), (g, _, _) = rotation.tolist()
    yaw = math.atan2(d, a)
    sine, cosine = math.sin(yaw), math.cos(yaw)
    return math.atan2(sine * c - cosine * f, cosine * e - sine * b), math.atan2(0 - g, math.hypot(a, d)), yaw


def skew(vector: Array) -> Array:
    """Return the (3, 3) matrix whose product with w is the cross product of `vector` and w."""
    x, y, z = vector.tolist()
    return np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])


@dataclass(frozen=True, kw_only=True, eq=False)
class Inertial:
    """Mass properties of a rigid body, or of many stacked along a first axis, each in its link's frame.

    `mass_kg` (...); `com_m` (..., 3), the centre of mass; `inertia_kgm2` (..., 3, 3) about that centre.
    """

    mass_kg: Array
    com_m: Array
    inertia_kgm2: Array

    def __getitem__(self, index: object) -> Inertial:
        return Inertial(**{name: values[index] for name, values in vars(self).items()})

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Inertial):
            return NotImplemented
        return all(np.array_equal(values, vars(other)[name]) for name, values in vars(self).items())

    def differing(self, other: Inertial) -> list[int]:
        """Return the places of those of the (bodies,) that are not those of another stack of as many."""
        apart = self.mass_kg != other.mass_kg
        apart |= (self.com_m != other.com_m).any(1) | (self.inertia_kgm2 != other.inertia_kgm2).any((1, 2))
        return np.flatnonzero(apart).tolist()

    def mapped(self, mapping: Array) -> Inertial:
        """Return one body with its mass where a linear map (3, 3) about its centre of mass puts it.

        Second moments S = ∫ r rᵀ dm become A S Aᵀ; the inertia is tr(S) 1 − S.
        """
        moments = 0.5 * np.trace(self.inertia_kgm2) * np.eye(3) - self.inertia_kgm2
        moments = mapping @ moments @ mapping.T
        return replace(self, inertia_kgm2=np.trace(moments) * np.eye(3) - moments)

    def seen_from(self, poses: Array) -> Inertial:
        """Return the same bodies in the frames in which the poses (..., 4, 4) of their links are given."""
        rotation = poses[..., :3, :3]
        com = (rotation @ self.com_m[..., None])[..., 0] + poses[..., :3, 3]
        inertia = rotation @ self.inertia_kgm2 @ np.swapaxes(rotation, -1, -2)
        return Inertial(mass_kg=self.mass_kg, com_m=com, inertia_kgm2=inertia)

    def joined(self, group: NDArray[np.intp], count: int) -> Inertial:
        """Return the (count,) bodies made by rigidly joining those of the same `group` (bodies,).

        By the parallel-axis theorem a joined body's inertia is the sum of I + m (|d|² 1 − d dᵀ), d from its
        centre of mass to theirs. Summed in order: changing one body leaves the other sums bit-identical.
        """

        def total(values: Array) -> Array:
            sums = np.zeros((count, *values.shape[1:]))
            np.add.at(sums, group, values)
            return sums

        mass = total(self.mass_kg)
        com = total(self.mass_kg[:, None] * self.com_m) / np.where(mass > 0, mass, 1)[:, None]
        arm = self.com_m - com[group]
        steiner = (arm**2).sum(1)[:, None, None] * np.eye(3) - arm[:, :, None] * arm[:, None, :]
        inertia = total(self.inertia_kgm2 + self.mass_kg[:, None, None] * steiner)
        return Inertial(mass_kg=mass, com_m=com, inertia_kgm2=inertia)

    @property
    def spatial(self) -> Array:
        """The (6, 6) inertia for (linear, angular) velocity of the origin; Featherstone 2008, 2.63."""
        arm = self.mass_kg * skew(self.com_m)
        return np.block([[self.mass_kg * np.eye(3), -arm], [arm, self.inertia_kgm2 - skew(self.com_m) @ arm]])


NOTHING = Inertial(mass_kg=np.array(0.0), com_m=np.zeros(3), inertia_kgm2=np.zeros((3, 3)))


@dataclass(frozen=True, kw_only=True, eq=False)
class Shape:
    """A primitive solid in a link's frame.

    `size` in m: box (x, y, z), sphere (radius,), cylinder and capsule (radius, length along z without caps).
    """

    kind: str
    size: tuple[float, ...]
    pose_in_link: Array
    rgba: tuple[float, ...] = (0.7, 0.7, 0.7, 1.0)

    def stretched(self, mapping: Array) -> Shape:
        """Return the shape where a linear map (3, 3) of its link's points puts it: as much longer, no thicker.

        It keeps its orientation, and its edges their angles.
        """
        pose = self.pose_in_link.copy()
        pose[:3, 3] = mapping @ pose[:3, 3]
        x, y, z = np.linalg.norm(mapping @ pose[:3, :3], axis=0).tolist()
        by = (x, y, z) if self.kind == "box" else (1.0, z)
        size = tuple(factor * size for factor, size in zip(by, self.size, strict=False))
        return replace(self, size=size, pose_in_link=pose)

    def lowest_m(self, link_in_world: Array) -> float:
        """Return the height of the shape's lowest point."""
        pose = link_in_world @ self.pose_in_link
        down = np.abs(pose[2, :3])
        if self.kind == "box":
            return float(pose[2, 3] - down @ self.size / 2)
        radius, length = (*self.size, 0.0)[:2]
        rim = math.sqrt(max(0.0, 1 - down[2] ** 2)) if self.kind == "cylinder" else 1.0
        return float(pose[2, 3] - rim * radius - down[2] * length / 2)

    def width_m(self, direction: Array) -> float:
        """Return how far the shape extends along a unit vector (3,) of the link's frame, from one side to the other.

        >>> Shape(kind="box", size=(0.1, 0.04, 0.02), pose_in_link=pose_of()).width_m(np.array([0.0, 1.0, 0.0]))
        0.04
        """
        along = np.abs(self.pose_in_link[:3, :3].T @ direction)
        if self.kind == "box":
            return float(along @ self.size)
        radius, length = (*self.size, 0.0)[:2]
        rim = math.sqrt(max(0.0, 1 - along[2] ** 2)) if self.kind == "cylinder" else 1.0
        return float(2 * rim * radius + along[2] * length)

    def urdf(self, tag: str) -> str:
        """Return the shape as a `collision` or `visual` element."""
        values = [self.size] if self.kind == "box" else [(value,) for value in self.size]
        size = " ".join(f'{k}="{_text(value)}"' for k, value in zip(SOLIDS[self.kind], values, strict=True))
        paint = f'<material name="{_text(self.rgba)}"><color rgba="{_text(self.rgba)}"/></material>'
        solid = f"{_origin(self.pose_in_link)}<geometry><{self.kind} {size}/></geometry>"
        return f"  <{tag}>{solid}{paint if tag == 'visual' else ''}</{tag}>\n"


@dataclass(frozen=True, kw_only=True, eq=False)
class Link:
    """A body's name and primitive shapes, and whether a mesh it collides by was left out."""

    name: str
    collisions: tuple[Shape, ...] = ()
    visuals: tuple[Shape, ...] = ()
    has_mesh: bool = False

    def carrying(self, other: Link, pose: Array) -> Link:
        """Return this link with the shapes of another one that sits on it at `pose`."""

        def moved(shapes: tuple[Shape, ...]) -> tuple[Shape, ...]:
            return tuple(replace(shape, pose_in_link=pose @ shape.pose_in_link) for shape in shapes)

        solids, looks = self.collisions + moved(other.collisions), self.visuals + moved(other.visuals)
        return replace(self, collisions=solids, visuals=looks)

    @cached_property
    def urdf(self) -> dict[str, str]:
        """The elements of its shapes, by what they are for: collision, visual."""
        shapes = {"collision": self.collisions, "visual": self.visuals}
        return {tag: "".join(shape.urdf(tag) for shape in of_tag) for tag, of_tag in shapes.items()}


@dataclass(frozen=True, kw_only=True, eq=False)
class Joint:
    """How a child link moves against its parent; limits in rad and N m (m and N when prismatic).

    `armature` is what the motor's rotor weighs at the joint, in kg m² (kg when prismatic). URDF has no word for it.
    """

    name: str
    kind: str
    parent: str
    child: str
    pose_in_parent: Array
    axis: Array
    lower: float = -math.inf
    upper: float = math.inf
    effort: float = math.inf
    velocity: float = math.inf
    damping: float = 0.0
    friction: float = 0.0
    armature: float = 0.0

    def child_in_parent(self, position: float) -> Array:
        """Return the child link's pose at a joint position, which joints that cannot move ignore."""
        motion = np.eye(4)
        if self.kind == "prismatic":
            motion[:3, 3] = self.axis * position
        elif self.kind in MOVABLE:
            cross = skew(self.axis)  # Rodrigues' formula
            motion[:3, :3] += math.sin(position) * cross + (1 - math.cos(position)) * cross @ cross
        return self.pose_in_parent @ motion

    @cached_property
    def urdf(self) -> str:
        """The joint's element; damping, friction and armature stay out, they are the simulation's to model."""
        limits = {key: getattr(self, key) for key in ("lower", "upper", "effort", "velocity")}
        if free := math.isinf(self.upper - self.lower):  # PyBullet wants limits of a slide, these mean none
            limits |= {"lower": 0.0, "upper": -1.0}
        limit = "".join(f' {key}="{value!r}"' for key, value in limits.items() if math.isfinite(value))
        kind = "continuous" if self.kind == "revolute" and free else self.kind
        return (
            f'<joint name="{self.name}" type="{kind}">\n'
            f'  <parent link="{self.parent}"/><child link="{self.child}"/>{_origin(self.pose_in_parent)}\n'
            f'  <axis xyz="{_text(self.axis.tolist())}"/><limit{limit}/>\n</joint>\n'
        )


@dataclass(frozen=True, kw_only=True, eq=False)
class Tree:
    """A robot's links, root first, depth first; `joints[i]` moves `links[i + 1]`; `bodies`: their masses."""

    name: str
    links: tuple[Link, ...]
    joints: tuple[Joint, ...]
    bodies: Inertial

    @staticmethod
    def build(
        name: str, links: Iterable[Link], bodies: Mapping[str, Inertial], joints: Iterable[Joint]
    ) -> Tree:
        """Return the tree of parts given in any order; a link without a body has no mass, as URDF has it.

        Raises:
            Sim2RealError: A joint names an unknown link, or the joints do not join the links into one tree.
        """
        links, joints = tuple(links), tuple(joints)
        known = {link.name: link for link in links}
        children: dict[str, list[Joint]] = {link: [] for link in known}
        for joint in joints:
            for end in (joint.parent, joint.child):
                if end not in known:
                    raise Sim2RealError(
                        f"joint '{joint.name}' joins an unknown link '{end}'.{nearest(end, known)}"
                    )
            children[joint.parent].append(joint)
        moved = {joint.child for joint in joints}
        roots = sorted(set(known) - moved)
        once = len(known) == len(links) and len({joint.name for joint in joints}) == len(moved) == len(joints)
        order: list[Joint] = []
        waiting = children[roots[0]][::-1] if once and roots else []
        while waiting:
            order.append(waiting.pop())
            waiting += children[order[-1].child][::-1]
        if len(order) + 1 != len(links):
            raise Sim2RealError(
                f"'{name}' is no tree: it needs one root link (it has {len(roots)}: {', '.join(roots)}), "
                "one joint to each other link, and no name twice."
            )
        names = [roots[0], *(joint.child for joint in order)]
        each = [vars(bodies.get(link, NOTHING)) for link in names]
        stacked = Inertial(**{key: np.array([body[key] for body in each]) for key in vars(NOTHING)})
        return Tree(
            name=name, links=tuple(known[link] for link in names), joints=tuple(order), bodies=stacked
        )

    @cached_property
    def index(self) -> dict[str, int]:
        """The place of each link."""
        return {link.name: place for place, link in enumerate(self.links)}

    @cached_property
    def joint_names(self) -> tuple[str, ...]:
        """The joints that can move, in the order in which an engine meets them."""
        return tuple(joint.name for joint in self.joints if joint.kind in MOVABLE)

    def link_poses(self, positions: Mapping[str, float]) -> Array:
        """Return the (links, 4, 4) poses in the root's frame; joint positions in rad or m, 0 if not named."""
        poses = [np.eye(4)]
        for joint in self.joints:
            moved = joint.child_in_parent(positions.get(joint.name, 0.0))
            poses.append(poses[self.index[joint.parent]] @ moved)
        return np.array(poses)

    def whole(self, positions: Mapping[str, float]) -> Inertial:
        """Return the mass properties of the whole robot, in the root link's frame."""
        return self.bodies.seen_from(self.link_poses(positions)).joined(np.zeros(len(self.links), int), 1)[0]

    def mass_matrix(self, positions: Mapping[str, float]) -> Array:
        """Return the (6 + n, 6 + n) joint-space inertia of the free-floating robot.

        Velocities: linear and angular of the root link's origin in its own frame, then of `joint_names`.
        Composite-rigid-body algorithm with everything in the root's frame: Featherstone 2008, section 6.2.
        A rotor adds its armature to its joint's own diagonal and to nothing else: it spins many times as fast as
        the joint, so what it takes from turning with the link before it is left out (ibid., section 9.6).
        """
        poses = self.link_poses(positions)
        seen = self.bodies.seen_from(poses)
        composite = [seen[place].spatial for place in range(len(self.links))]
        above = [-1, *(self.index[joint.parent] for joint in self.joints)]
        for place in range(len(self.joints), 0, -1):
            composite[above[place]] = composite[above[place]] + composite[place]
        columns: dict[
            int, tuple[int, Array]
        ] = {}  # of a link: its joint's column, its twist at unit joint speed
        for place, joint in enumerate(self.joints, start=1):
            if joint.kind in MOVABLE:
                axis, origin = poses[place, :3, :3] @ joint.axis, poses[place, :3, 3]
                slides = joint.kind == "prismatic"
                twist = np.r_[axis, np.zeros(3)] if slides else np.r_[np.cross(origin, axis), axis]
                columns[place] = 6 + len(columns), twist
        matrix = np.zeros((6 + len(columns), 6 + len(columns)))
        matrix[:6, :6] = composite[0]
        for place, (i, twist) in columns.items():
            force = composite[place] @ twist
            matrix[:6, i] = matrix[i, :6] = force
            while place:
                if place in columns:
                    j, other = columns[place]
                    matrix[i, j] = matrix[j, i] = other @ force
                place = above[place]
        for place, (i, _) in columns.items():
            matrix[i, i] += self.joints[place - 1].armature
        return matrix

    def hold(self, driven: Iterable[str], positions: Mapping[str, float]) -> Merge:
        """Return the structure in which only the `driven` joints move and all others rest at `positions`."""
        driven = set(driven)
        group, frames = [0], [np.eye(4)]
        links, joints = [self.links[0]], list[Joint]()
        for link, joint in zip(self.links[1:], self.joints, strict=True):
            parent = self.index[joint.parent]
            if joint.name in driven:
                pose, carrier = frames[parent] @ joint.pose_in_parent, links[group[parent]].name
                joints.append(replace(joint, parent=carrier, pose_in_parent=pose))
                group.append(len(links))
                frames.append(np.eye(4))
                links.append(link)
            else:
                frames.append(frames[parent] @ joint.child_in_parent(positions.get(joint.name, 0.0)))
                group.append(group[parent])
                links[group[-1]] = links[group[-1]].carrying(link, frames[-1])
        return Merge(
            name=self.name,
            links=tuple(links),
            joints=tuple(joints),
            group=np.array(group),
            frames=np.array(frames),
        )

    def urdf(self, visuals: bool = False) -> str:
        """Return URDF text: the same for the same tree, at full precision, inertia along principal axes.

        PyBullet diagonalises a full tensor, to 1e-9; what is diagonal already it takes as it is.

        Raises:
            Sim2RealError: See `check`.
        """
        moments, axes = self._principal
        parts = [f'<?xml version="1.0"?>\n<robot name="{self.name}">\n']
        masses, coms = self.bodies.mass_kg.tolist(), self.bodies.com_m.tolist()
        for link, mass, com, (x, y, z), turn in zip(
            self.links, masses, coms, moments.tolist(), axes, strict=True
        ):
            parts.append(
                f'<link name="{link.name}">\n  <inertial>'
                f'<origin xyz="{_text(com)}" rpy="{_text(rpy_of(turn))}"/><mass value="{mass!r}"/>'
                f'<inertia ixx="{x!r}" ixy="0" ixz="0" iyy="{y!r}" iyz="0" izz="{z!r}"/></inertial>\n'
                f"{link.urdf['collision']}{link.urdf['visual'] if visuals else ''}</link>\n"
            )
        return "".join([*parts, *(joint.urdf for joint in self.joints), "</robot>\n"])

    def check(self) -> None:
        """Refuse what no engine can simulate.

        Raises:
            Sim2RealError: A link has no mass (PyBullet would make it 1 kg), or an inertia no body can have.
        """
        _ = self._principal

    @cached_property
    def _principal(self) -> tuple[Array, Array]:
        tensors = self.bodies.inertia_kgm2
        moments, axes = np.linalg.eigh(tensors)
        aligned = ~np.any(tensors * (1 - np.eye(3)), axis=(1, 2))  # a box keeps the axes of its link
        moments[aligned], axes[aligned] = np.einsum("bii->bi", tensors[aligned]), np.eye(3)
        axes[:, :, 0] *= np.sign(np.linalg.det(axes))[:, None]
        others = moments.sum(1, keepdims=True) - moments
        impossible = np.any((moments < 0) | (moments > others * (1 + 1e-6)), axis=1)
        for place, link in enumerate(self.links):
            if self.bodies.mass_kg[place] <= 0:
                raise Sim2RealError(
                    f"link '{link.name}' would move without mass: give it an <inertial>, or hold its joint."
                )
            if impossible[place]:
                raise Sim2RealError(
                    f"link '{link.name}' has principal moments of inertia {moments[place].tolist()} kg m²: "
                    "none may be negative or exceed the sum of the other two."
                )
        return np.minimum(
            moments, others * (1 - 1e-12)
        ), axes  # past the sum by rounding, PyBullet would zero it


@dataclass(frozen=True, kw_only=True, eq=False)
class Merge:
    """A tree's structure with joints held; `group` (L,), `frames` (L, 4, 4) put old links into new ones."""

    name: str
    links: tuple[Link, ...]
    joints: tuple[Joint, ...]
    group: NDArray[np.intp]
    frames: Array

    def tree(self, bodies: Inertial, places: Sequence[int]) -> Tree:
        """Return the tree with the exact composite inertia of `bodies`, given in old links at `places`."""
        merged = bodies.seen_from(self.frames[places]).joined(self.group[places], len(self.links))
        return Tree(name=self.name, links=self.links, joints=self.joints, bodies=merged)


def parse(text: str, scale: float = 1.0) -> Tree:
    """Return the link tree of URDF text whose unit of length is `scale` m; meshes are left out.

    A link without primitive visual shapes looks like its collision shapes.

    Raises:
        Sim2RealError: The text is no URDF, or a part of it makes no sense; the sentence names the part.
    """
    try:  # files in the wild end in a zero byte, or begin with a blank line
        root = ET.fromstring(text.strip("\0 \t\r\n"))
    except ET.ParseError as error:
        raise Sim2RealError(f"this is not URDF: {error}.") from None
    colors = {paint.get("name"): color for paint in root.iter("material") for color in paint.findall("color")}

    def pose(element: ET.Element) -> Array:
        origin = element.find("origin")
        xyz, rpy = (_numbers(origin, key, 3, 0.0) for key in ("xyz", "rpy"))
        return pose_of([scale * x for x in xyz], rpy)

    def shapes(link: ET.Element, tag: str) -> Iterable[Shape]:
        for element in link.findall(tag):
            solid = element.find("geometry/*")
            kind = "" if solid is None else solid.tag
            if kind == "mesh":
                continue
            if kind not in SOLIDS:
                raise Sim2RealError(f"link '{link.get('name')}' has a {tag} '{kind}'.{nearest(kind, SOLIDS)}")
            counts = {key: 3 if key == "size" else 1 for key in SOLIDS[kind]}
            size = tuple(scale * x for key, count in counts.items() for x in _numbers(solid, key, count))
            paint = element.find("material")
            color = None if paint is None else colors.get(paint.get("name"))
            rgba = Shape.rgba if color is None else tuple(_numbers(color, "rgba", 4))
            yield Shape(kind=kind, size=size, pose_in_link=pose(element), rgba=rgba)

    links, bodies = [], {}
    for element in root.findall("link"):
        name = element.get("name", "")
        solids, looks = tuple(shapes(element, "collision")), tuple(shapes(element, "visual"))
        has_mesh = element.find("collision/geometry/mesh") is not None
        links.append(Link(name=name, collisions=solids, visuals=looks or solids, has_mesh=has_mesh))
        if (inertial := element.find("inertial")) is not None:
            (mass,) = _numbers(inertial.find("mass"), "value", 1, 0.0)
            keys = ("ixx", "ixy", "ixz", "ixy", "iyy", "iyz", "ixz", "iyz", "izz")
            tensor = np.array([_numbers(inertial.find("inertia"), key, 1, 0.0) for key in keys]).reshape(3, 3)
            body = replace(NOTHING, mass_kg=np.array(mass), inertia_kgm2=scale**2 * tensor)
            bodies[name] = body.seen_from(pose(inertial))
    joints = [_joint(element, pose(element), scale) for element in root.findall("joint")]
    return Tree.build(root.get("name", "robot"), links, bodies, joints)


def _joint(element: ET.Element, pose: Array, scale: float) -> Joint:
    name, kind = element.get("name", ""), element.get("type", "")
    kinds = (*MOVABLE, "fixed", "floating", "planar", "spherical")
    if kind not in kinds:
        raise Sim2RealError(f"joint '{name}' has the type '{kind}'.{nearest(kind, kinds)}")
    parent, child = (
        "" if end is None else end.get("link", "") for end in map(element.find, ("parent", "child"))
    )
    axis = element.find("axis")
    direction = np.array([1.0, 0.0, 0.0] if axis is None else _numbers(axis, "xyz", 3))
    limit, dynamics = element.find("limit"), element.find("dynamics")
    numbers = {key: _numbers(limit, key, 1, math.inf)[0] for key in ("effort", "velocity")}
    numbers |= {key: _numbers(dynamics, key, 1, 0.0)[0] for key in ("damping", "friction")}
    if limit is not None and kind in ("revolute", "prismatic"):
        reach = scale if kind == "prismatic" else 1.0
        lower, upper = (reach * _numbers(limit, key, 1, 0.0)[0] for key in ("lower", "upper"))
        if lower <= upper:  # the wild writes "free" as a lower limit above the upper one
            numbers |= {"lower": lower, "upper": upper}
    length = np.linalg.norm(direction) or 1.0
    return Joint(
        name=name,
        kind=kind,
        parent=parent,
        child=child,
        pose_in_parent=pose,
        axis=direction / length,
        **numbers,
    )


def _numbers(element: ET.Element | None, key: str, count: int, default: float | None = None) -> list[float]:
    text = None if element is None else element.get(key)
    if text is None and default is not None:
        return [default] * count
    try:
        numbers = [float(word) for word in (text or "").split()]
    except ValueError:
        numbers = []
    if len(numbers) != count:
        tag = "" if element is None else element.tag
        raise Sim2RealError(f"<{tag} {key}={text!r}> should hold {count} number{'s' if count > 1 else ''}.")
    return numbers


def _origin(pose: Array) -> str:
    return f'<origin xyz="{_text(pose[:3, 3].tolist())}" rpy="{_text(rpy_of(pose[:3, :3]))}"/>'


def _text(values: Iterable[float]) -> str:
    return " ".join(map(repr, values))

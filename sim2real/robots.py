"""Robots: folders of URDF and TOML, read, checked, and compiled into small descriptions for an engine.

A folder's `robot.toml` names its `urdf` (a file beside it, or `package:module/path` in an installed package) and
says what URDF cannot. Each table of numbers names its `source`; units are in the names; joints and links may be
given by globs, of which later ones override earlier ones. All of it is optional but `urdf` and `source`:

    name, base (checked to be the root), payload (the link that carries one), feet = ["left_ankle_roll", ...]
    [groups] legs = ["*_hip_*", ...]          [pose_rad] [kp_nm_rad] [kd_nms_rad] [coulomb_nm] [viscous_nms]
    [motors.NAME] inertia_kgm2, gear_ratio, count; [motor] "*_knee" = NAME; or [armature_kgm2] outright, and
    [armature_kg] of a joint that slides (its gear ratio is in rad/m)
    [lower_rad] [upper_rad] [effort_nm] [velocity_rad_s] where the URDF lacks or misstates them, [stall_nm]
    [sensors.NAME] link, xyz_m, rpy_rad       [variants.NAME] any of these, laid over the rest
    [hands.NAME] palm, xyz_m, rpy_rad, arm = ["left_elbow", ...], tips, work_m, fingers = { joint = [open, closed] }
    [inertials.LINK] mass_kg, com_m, inertia_kgm2 = [xx, yy, zz, xy, xz, yz] where the URDF misstates them
    length_scale (the URDF's unit in m), base_rpy_rad (turns a base whose z is not up), meshes = "skip"
    [[shapes]] link, xyz_m, rpy_rad, and box_m = [x, y, z], sphere_m = [r], cylinder_m or capsule_m = [r, length]
    [hinges.JOINT] axes = { yaw = [0, 0, 1], ... }, carrier_kg: hinges, in series, in place of a spherical joint
"""

from __future__ import annotations

import importlib.metadata
import importlib.resources
import math
import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, fields, replace
from fnmatch import fnmatchcase
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from sim2real.errors import Sim2RealError, nearest
from sim2real.linktree import (
    MOVABLE,
    NOTHING,
    SOLIDS,
    Array,
    Inertial,
    Joint,
    Link,
    Merge,
    Shape,
    Tree,
    parse,
    pose_of,
)

Vector = tuple[float, float, float]

# Kinds of values: a type, [type] for a list of any length, or how many numbers a list holds.
_PER_JOINT = {  # tables that give joints a number, and the field of Drive that it becomes
    "lower_rad": "lower",
    "upper_rad": "upper",
    "effort_nm": "effort_nm",
    "stall_nm": "stall_nm",
    "velocity_rad_s": "velocity_rad_s",
    "kp_nm_rad": "kp",
    "kd_nms_rad": "kd",
    "armature_kgm2": "armature",
    "armature_kg": "armature",
    "coulomb_nm": "coulomb_nm",
    "viscous_nms": "viscous_nms",
}
_NEEDED: dict[str, Any] = {"source": str}
_PLACED: dict[str, Any] = {"xyz_m": 3, "rpy_rad": 3}
_TOP: dict[str, Any] = {
    **dict.fromkeys(("name", "base", "payload", "meshes"), str),
    **dict.fromkeys(("groups", "motors", "motor", "pose_rad", "hinges", "inertials"), dict),
    **dict.fromkeys(("sensors", "hands", "variants"), dict),
    **dict.fromkeys(_PER_JOINT, dict),
    "feet": [str],
    "shapes": [dict],
    "length_scale": float,
    "base_rpy_rad": 3,
}


@dataclass(frozen=True, kw_only=True)
class Drive:
    """One movable joint and its motor, in rad and N m (in m and N when it is prismatic).

    `armature` is the inertia of the motor's rotor as the joint feels it, in kg m² (kg when it is prismatic).

    `stall_nm` begins the torque-speed line that ends in 0 at `velocity_rad_s`; unless told it is twice the
    effort limit, which the motor then holds up to half its top speed.
    """

    name: str
    slides: bool
    lower: float
    upper: float
    effort_nm: float
    stall_nm: float
    velocity_rad_s: float
    kp: float
    kd: float
    armature: float
    coulomb_nm: float
    viscous_nms: float

    def __post_init__(self) -> None:
        for key in [item.name for item in fields(self)][4:]:
            if not getattr(self, key) >= 0:
                raise Sim2RealError(f"{key} of '{self.name}' is {getattr(self, key)}, not 0 or more.")
        if not self.lower <= self.upper:
            raise Sim2RealError(f"'{self.name}' has limits the wrong way round: {self.lower}, {self.upper}.")
        if self.stall_nm < self.effort_nm:
            raise Sim2RealError(f"stall_nm of '{self.name}', {self.stall_nm}, is below its effort limit.")


@dataclass(frozen=True, kw_only=True, eq=False)
class Sensor:
    """Where a sensor sits: its link, and its position (3,) and rotation (3, 3) in that link's frame."""

    link: str
    xyz_m: Array
    rotation: Array


@dataclass(frozen=True, kw_only=True, eq=False)
class Hand:
    """A hand: what carries it, where it holds things, and how its fingers close.

    Attributes:
        palm: the link that the fingers sit on.
        grasp_in_palm: (4, 4) pose in the palm's frame of where a held object's centre goes. Its z axis is the
            approach, from the palm to the object; its y axis is the one along which the fingers close, pointing
            from the thumb to the fingers that oppose it (between two like fingers, either way).
        arm: the joints that carry it, from the base.
        fingers: its k joints.
        open_rad: (k,) positions (m where a joint slides) with the hand open.
        closed_rad: (k,) positions to command for a grip: fingers that stop earlier press on what stops them.
        tips: the links that touch an object first.
        work_m: (3,) a point in the base's frame that it reaches well from above: the middle of the part of a
            table's top where it works.
    """

    palm: str
    grasp_in_palm: Array
    arm: tuple[str, ...]
    fingers: tuple[str, ...]
    open_rad: Array
    closed_rad: Array
    tips: tuple[str, ...]
    work_m: Array

    def posture(self, closing: float) -> Array:
        """Return the joint positions (k,) on the straight line from open (0) to closed (1)."""
        return self.open_rad + closing * (self.closed_rad - self.open_rad)


@dataclass(frozen=True, kw_only=True)
class Changes:
    """What to change in a robot's body before it is compiled, by its own link and joint names.

    Args:
        mass: factor on a link's mass, its inertia going with it.
        com_m: shift of a link's centre of mass in its frame.
        inertia: factor on a link's inertia, on top of that of its mass.
        shape: (3, 3) linear map, upper triangular with a positive diagonal, of where a link's mass is about its
            centre of mass, in its frame's axes. With mass and com_m these are the ten parameters that make every
            physically possible body and no other (Rucker & Wensing, RA-L 2022).
        length: factor on a link's length: see `Robot.lengths_m`. All that sits on the link moves along, its shapes
            get longer and its mass is spread further, but none of it gets thicker or heavier.
        payload: (kg, position) of a point mass fixed in a link's frame.
    """

    mass: Mapping[str, float] = field(default_factory=dict)
    com_m: Mapping[str, Vector] = field(default_factory=dict)
    inertia: Mapping[str, float] = field(default_factory=dict)
    shape: Mapping[str, Sequence[Sequence[float]]] = field(default_factory=dict)
    length: Mapping[str, float] = field(default_factory=dict)
    payload: Mapping[str, tuple[float, Vector]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        numbers = {
            **vars(self),
            "com_m": {},
            "shape": {},
            "payload": {link: kg for link, (kg, _) in self.payload.items()},
        }
        for what, values in numbers.items():
            for name, value in values.items():
                if not 0 <= value < math.inf or (value == 0 and what in ("mass", "inertia", "length")):
                    raise Sim2RealError(
                        f"{what} of '{name}' should be changed by a positive number, not {value}."
                    )

        for name, rows in self.shape.items():
            mapping = np.array(rows, float)
            if (
                not (np.diag(mapping) > 0).all()
                or np.tril(mapping, -1).any()
                or not np.isfinite(mapping).all()
            ):
                raise Sim2RealError(
                    f"shape of '{name}' should be upper triangular with a positive diagonal, not {rows}."
                )


UNCHANGED = Changes()


@dataclass(frozen=True, kw_only=True, eq=False)
class Robot:
    """A robot's description: its links and joints, how they are driven, what it stands on and senses with."""

    name: str
    tree: Tree
    joints: Mapping[str, Drive]
    default_pose: Mapping[str, float]
    groups: Mapping[str, tuple[str, ...]]
    feet: tuple[str, ...]
    sensors: Mapping[str, Sensor]
    payload_link: str
    hands: Mapping[str, Hand] = field(default_factory=dict)
    variants: tuple[str, ...] = ()

    @staticmethod
    def load(name_or_folder: str | Path, variant: str | None = None) -> Robot:
        """Return the robot of a folder with a `robot.toml`, given by path or by name.

        A name is looked for in `robots/` beside the package, in the copy that a wheel brings, and among
        installed entry points of the group "sim2real.robots" (a folder's path, or a function returning it).

        Raises:
            Sim2RealError: There is no such robot or variant, or its description is wrong somewhere.
        """
        folder = _folder(name_or_folder)
        try:
            return _described(folder, tomllib.loads((folder / "robot.toml").read_text("utf-8")), variant)
        except (Sim2RealError, tomllib.TOMLDecodeError) as error:
            raise Sim2RealError(f"{folder.name}/robot.toml: {error}") from None

    @property
    def joint_names(self) -> tuple[str, ...]:
        """The joints that can move."""
        return self.tree.joint_names

    @property
    def link_names(self) -> tuple[str, ...]:
        """All links, the base first."""
        return tuple(self.tree.index)

    @cached_property
    def inertials(self) -> dict[str, Inertial]:
        """The mass properties of each link in its own frame."""
        return {link: self.tree.bodies[place] for link, place in self.tree.index.items()}

    @cached_property
    def _axes(self) -> dict[str, Array]:
        """The vector (3,) along which a link is long, as long as the link; for those that carry a moving joint."""
        found = {}
        for link in self.link_names:
            at = [j.pose_in_parent[:3, 3] for j in self.tree.joints if j.parent == link and j.kind in MOVABLE]
            ends = np.array(at).reshape(-1, 3)
            axis = np.linalg.svd(ends)[2][0]
            length_m = np.abs(ends @ axis).max(initial=0.0)
            if length_m > 1e-3:
                found[link] = length_m * axis
        return found

    @cached_property
    def lengths_m(self) -> dict[str, float]:
        """How long a link is, if it carries moving joints: how far they are from its own joint, along one axis.

        Of one joint that is its distance. Of more it is that of the farthest, along the axis through the link's
        frame that they are nearest to, by least squares: up and down for a pelvis and for a torso.
        """
        return {link: float(np.linalg.norm(axis)) for link, axis in self._axes.items()}

    def stretch(self, link: str, factor: float) -> Array:
        """Return the linear map (3, 3) of what is fixed in a link's frame when the link is longer by a factor.

        Raises:
            Sim2RealError: The robot has no such link, or it has no length.
        """
        if link not in self._axes:
            raise Sim2RealError(f"'{self.name}' has no link of a length '{link}'.{nearest(link, self._axes)}")
        axis = self._axes[link] / self.lengths_m[link]
        return np.eye(3) + (factor - 1.0) * np.outer(axis, axis)

    def _lengthened(self, factors: Mapping[str, float]) -> Robot:
        links, joints, tree = list(self.tree.links), list(self.tree.joints), self.tree
        mass_kg, com_m, inertia_kgm2 = (values.copy() for values in vars(tree.bodies).values())
        for link, factor in factors.items():
            mapping, place = self.stretch(link, factor), tree.index[link]
            links[place] = replace(
                links[place],
                collisions=tuple(shape.stretched(mapping) for shape in links[place].collisions),
                visuals=tuple(shape.stretched(mapping) for shape in links[place].visuals),
            )
            com_m[place] = mapping @ com_m[place]
            inertia_kgm2[place] = tree.bodies[place].mapped(mapping).inertia_kgm2
            for i, joint in enumerate(tree.joints):
                if joint.parent == link:
                    pose = joint.pose_in_parent.copy()
                    pose[:3, 3] = mapping @ pose[:3, 3]
                    joints[i] = replace(joint, pose_in_parent=pose)
        bodies = Inertial(mass_kg=mass_kg, com_m=com_m, inertia_kgm2=inertia_kgm2)
        return replace(self, tree=replace(tree, links=tuple(links), joints=tuple(joints), bodies=bodies))

    @cached_property
    def base_height_m(self) -> float:
        """How high the base link's frame is in the default pose, the lowest foot (or link) on the ground."""
        poses = self.tree.link_poses(self.default_pose)
        lows = [0.0] if not any(link.collisions for link in self.tree.links) else []
        for place in (self.tree.index[link] for link in self.feet or self.link_names):
            lows += [shape.lowest_m(poses[place]) for shape in self.tree.links[place].collisions]
        return -min(lows)

    def group(self, name: str) -> tuple[str, ...]:
        """Return the joints of a group.

        Raises:
            Sim2RealError: The robot has no such group.
        """
        if name not in self.groups:
            raise Sim2RealError(f"robot '{self.name}' has no group '{name}'.{nearest(name, self.groups)}")
        return self.groups[name]

    def hand(self, name: str) -> Hand:
        """Return one of the robot's hands.

        Raises:
            Sim2RealError: The robot has no such hand, or none at all.
        """
        if not self.hands:
            hint = f"; its variants are {', '.join(self.variants)}" if self.variants else ""
            raise Sim2RealError(f"robot '{self.name}' has no hands, which [hands] in robot.toml gives{hint}.")
        if name not in self.hands:
            raise Sim2RealError(f"robot '{self.name}' has no hand '{name}'.{nearest(name, self.hands)}")
        return self.hands[name]

    def compile(
        self, actuated: Sequence[str], changes: Changes = UNCHANGED, visuals: bool = False
    ) -> Compiled:
        """Return the robot with only the `actuated` joints left, all others held in the default pose.

        The rotors' armature goes with the joints that are left, not into their links: put there it would load every
        joint above as well. URDF cannot say it, so whoever loads the text tells the engine.

        Args:
            actuated: Joint names, in the order in which they will be commanded.
            changes: What to change in its body.
            visuals: Whether the URDF also says how the robot looks (loading then takes 1.5 times as long).

        Raises:
            Sim2RealError: A name is unknown, a joint cannot be driven, or a link is left without mass.
        """
        if changes.length:
            robot = self._lengthened(changes.length)
            merge, frame_of = _structure(robot, tuple(actuated))
        else:
            robot, (merge, frame_of) = self, _structure_as_described(self, tuple(actuated))
        tree = merge.tree(*robot._changed(changes))
        tree.check()
        return Compiled(
            robot=robot, joint_names=tuple(actuated), tree=tree, visuals=visuals, frame_of=frame_of
        )

    def _changed(self, changes: Changes) -> tuple[Inertial, list[int]]:
        mass, com, inertia = (values.copy() for values in vars(self.tree.bodies).values())

        def place(link: str) -> int:
            if link not in self.tree.index:
                raise Sim2RealError(f"'{self.name}' has no link '{link}'.{nearest(link, self.link_names)}")
            return self.tree.index[link]

        for link in (*changes.mass, *changes.inertia, *changes.shape, *changes.com_m):
            if not mass[place(link)]:
                raise Sim2RealError(f"link '{link}' of robot '{self.name}' has no mass to change.")
        for link, factor in changes.mass.items():
            mass[place(link)] *= factor
            inertia[place(link)] *= factor
        for link, factor in changes.inertia.items():
            inertia[place(link)] *= factor
        for link, rows in changes.shape.items():
            body = replace(NOTHING, inertia_kgm2=inertia[place(link)])
            inertia[place(link)] = body.mapped(np.array(rows, float)).inertia_kgm2
        for link, shift in changes.com_m.items():
            com[place(link)] += shift
        points = [kg for kg, _ in changes.payload.values()]
        bodies = Inertial(
            mass_kg=np.append(mass, points),
            com_m=np.vstack([com, *(xyz for _, xyz in changes.payload.values())]),
            inertia_kgm2=np.concatenate([inertia, np.zeros((len(points), 3, 3))]),
        )
        return bodies, [*range(len(mass)), *map(place, changes.payload)]


@dataclass(frozen=True, kw_only=True, eq=False)
class Compiled:
    """A robot ready for an engine: `urdf` and `tree` hold only the actuated joints and the merged links.

    `robot` is the description, its links as long as they were asked to be; `visuals`: whether `urdf` has its looks.

    `frame_of` gives for each original link the merged one, and the position (3,) and rotation (3, 3) in it.
    """

    robot: Robot
    joint_names: tuple[str, ...]
    tree: Tree
    visuals: bool
    frame_of: Mapping[str, tuple[str, Array, Array]]

    @property
    def link_names(self) -> tuple[str, ...]:
        """The merged links, each named after the original link that is nearest the base."""
        return tuple(self.tree.index)

    @cached_property
    def urdf(self) -> str:
        """The text for an engine, which knows nothing of armature."""
        return self.tree.urdf(self.visuals)

    @cached_property
    def link_of(self) -> dict[str, str]:
        """The merged link of each original one."""
        return {link: merged for link, (merged, _, _) in self.frame_of.items()}

    @cached_property
    def merged(self) -> dict[str, Inertial]:
        """The mass properties of each merged link in its own frame."""
        return {link: self.tree.bodies[place] for link, place in self.tree.index.items()}


def reflected_inertia(inertia_kgm2: Sequence[float], gear_ratio: Sequence[float]) -> float:
    """Return what the spinning parts of a gear train weigh at the joint: the sum of J_i (N_i N_(i+1) … N_n)².

    Part i, the rotor first, drives gear i, so it turns as many times as fast as the joint as all gears from
    there on multiply to; a part after the last gear turns with the joint. Energy goes with speed squared.

    >>> round(reflected_inertia([0.489e-4, 0.098e-4, 0.533e-4], [4.5, 1 + 48 / 22]), 6)  # Unitree 7520-14
    0.010178
    """
    return sum(part * math.prod(gear_ratio[i:]) ** 2 for i, part in enumerate(inertia_kgm2))


def _structure(robot: Robot, actuated: tuple[str, ...]) -> tuple[Merge, dict[str, tuple[str, Array, Array]]]:
    kinds = {joint.name: joint.kind for joint in robot.tree.joints}
    for name in actuated:
        if name in kinds and name not in robot.joints:
            raise Sim2RealError(
                f"joint '{name}' is {kinds[name]}; only revolute, continuous and prismatic joints can be "
                "actuated ([hinges] in robot.toml can make hinges of a spherical one)."
            )
        if name not in robot.joints:
            raise Sim2RealError(f"robot '{robot.name}' has no joint '{name}'.{nearest(name, robot.joints)}")
        if not math.isfinite(robot.joints[name].effort_nm):
            raise Sim2RealError(f"joint '{name}' has no effort limit: give it one in [effort_nm].")
    if len(set(actuated)) < len(actuated):
        raise Sim2RealError(f"each joint can be actuated only once: {', '.join(actuated)}.")
    geared = [
        replace(joint, armature=robot.joints[joint.name].armature) if joint.name in actuated else joint
        for joint in robot.tree.joints
    ]
    merge = replace(robot.tree, joints=tuple(geared)).hold(actuated, robot.default_pose)
    rows = zip(robot.link_names, merge.group, merge.frames, strict=True)
    return merge, {link: (merge.links[new].name, frame[:3, 3], frame[:3, :3]) for link, new, frame in rows}


_structure_as_described = lru_cache(maxsize=64)(_structure)


def available() -> tuple[str, ...]:
    """Return the names of the robots that ship with the package or that installed plug-ins bring."""
    shipped = {found.parent.name for shelf in _shelves() for found in shelf.glob("*/robot.toml")}
    return tuple(sorted(shipped | importlib.metadata.entry_points(group="sim2real.robots").names))


def content(name_or_folder: str | Path) -> bytes | None:
    """Return what a robot is read from, its `robot.toml` and every URDF that this names; None if there is none.

    It is empty for a robot that comes with this package. What cannot be read is left out: `Robot.load` says why.
    """
    try:
        folder = _folder(name_or_folder)
    except (Sim2RealError, OSError):  # such as a text that is too long for a path
        return None
    if any(folder.resolve().is_relative_to(shelf.resolve()) for shelf in _shelves()):
        return b""
    told = (folder / "robot.toml").read_bytes()
    with suppress(ValueError, AttributeError, OSError):
        table = tomllib.loads(told.decode())
        for part in (table, *table.get("variants", {}).values()):
            if "urdf" in part:
                told += _urdf(folder, part["urdf"]).encode()
    return told


def _shelves() -> tuple[Path, Path]:
    package = Path(__file__).parent
    return package.parent / "robots", package / "_robots"  # a checkout's, and the copy in a wheel


def _folder(name: str | Path) -> Path:
    def candidates() -> Iterator[Path]:
        yield from (shelf / name for shelf in _shelves())
        for plugin in importlib.metadata.entry_points(group="sim2real.robots").select(name=str(name)):
            folder = plugin.load()
            yield Path(folder() if callable(folder) else folder)
        yield Path(name)

    for folder in candidates():
        if (folder / "robot.toml").is_file():
            return folder
    hint = nearest(str(name), available())
    raise Sim2RealError(f"there is no robot '{name}', nor a robot.toml there.{hint}")


def _described(folder: Path, table: dict[str, Any], variant: str | None) -> Robot:
    table = _with_variant(table, variant)
    tree = _edited(parse(_urdf(folder, table["urdf"]), table.get("length_scale", 1.0)), table)
    names, links = tree.joint_names, tuple(tree.index)
    if table.get("base", links[0]) != links[0]:
        raise Sim2RealError(f"base should be the URDF's root link, '{links[0]}', not '{table['base']}'.")
    joints = _drives(tree, table)
    pose = dict.fromkeys(names, 0.0) | _spread(table, "pose_rad", float, names)
    for name, angle in pose.items():
        if not joints[name].lower <= angle <= joints[name].upper:
            limits = f"{joints[name].lower} to {joints[name].upper}"
            raise Sim2RealError(f"the default pose of '{name}', {angle}, is outside its limits, {limits}.")
    groups = table.get("groups", {})
    _check(groups, "groups", {}, dict.fromkeys(groups, [str]))
    chosen = {
        group: [name for glob in groups[group] for name in _match(glob, names, group)] for group in groups
    }
    sensors = {}
    for sensor, at in table.get("sensors", {}).items():
        _check(at, f"sensors.{sensor}", {"link": str, **_NEEDED}, _PLACED)
        place = pose_of(at.get("xyz_m", (0, 0, 0)), at.get("rpy_rad", (0, 0, 0)))
        link = _match(at["link"], links, f"sensors.{sensor}")[0]
        sensors[sensor] = Sensor(link=link, xyz_m=place[:3, 3], rotation=place[:3, :3])
    feet = tuple(link for glob in table.get("feet", ()) for link in _match(glob, links, "feet"))
    for foot in feet:
        if not tree.links[tree.index[foot]].collisions:
            raise Sim2RealError(f"the foot '{foot}' has no primitive shape to stand on: add [[shapes]].")
    heaviest = links[int(np.argmax(tree.bodies.mass_kg))]
    return Robot(
        name=table.get("name", folder.name),
        tree=tree,
        joints=joints,
        default_pose=pose,
        groups={group: tuple(name for name in names if name in chosen[group]) for group in groups},
        feet=feet,
        sensors=sensors,
        payload_link=_match(table.get("payload", heaviest), links, "payload")[0],
        hands={
            hand: _hand(f"hands.{hand}", at, joints, links) for hand, at in table.get("hands", {}).items()
        },
        variants=tuple(table.get("variants", ())),
    )


def _hand(where: str, at: Any, joints: Mapping[str, Drive], links: Sequence[str]) -> Hand:
    _check(
        at,
        where,
        {"palm": str, "arm": [str], "tips": [str], "work_m": 3, "fingers": dict, **_NEEDED},
        _PLACED,
    )
    _check(at["fingers"], f"{where}.fingers", {}, dict.fromkeys(at["fingers"], 2))
    pairs = {name: pair for glob, pair in at["fingers"].items() for name in _match(glob, joints, where)}
    for name, pair in pairs.items():
        lower, upper = joints[name].lower, joints[name].upper
        if not lower <= min(pair) <= max(pair) <= upper:
            raise Sim2RealError(f"'{name}' in [{where}], {pair}, is outside its limits, {lower} to {upper}.")
    arm = {name for glob in at["arm"] for name in _match(glob, joints, where)}
    ends = np.array(list(pairs.values()), float).reshape(-1, 2)
    return Hand(
        palm=_match(at["palm"], links, where)[0],
        grasp_in_palm=pose_of(at.get("xyz_m", (0, 0, 0)), at.get("rpy_rad", (0, 0, 0))),
        arm=tuple(name for name in joints if name in arm),
        fingers=tuple(pairs),
        open_rad=ends[:, 0],
        closed_rad=ends[:, 1],
        tips=tuple(link for glob in at["tips"] for link in _match(glob, links, where)),
        work_m=np.array(at["work_m"], float),
    )


def _with_variant(table: dict[str, Any], variant: str | None) -> dict[str, Any]:
    _check(table, "the file", {"urdf": str, **_NEEDED}, _TOP)
    variants = table.get("variants", {})
    _check(variants, "variants", {}, dict.fromkeys(variants, dict))
    if variant is None:
        return table
    if variant not in variants:
        raise Sim2RealError(f"there is no variant '{variant}'.{nearest(variant, variants)}")
    both = {key: (table.get(key), value) for key, value in variants[variant].items()}
    merged = {k: a | b if isinstance(a, dict) and isinstance(b, dict) else b for k, (a, b) in both.items()}
    _check(table | merged, f"variants.{variant}", {"urdf": str, **_NEEDED}, _TOP)
    return table | merged


def _drives(tree: Tree, table: Mapping[str, Any]) -> dict[str, Drive]:
    motors = {}
    for motor, numbers in table.get("motors", {}).items():
        lists = {"inertia_kgm2": [float], "gear_ratio": [float]}
        _check(numbers, f"motors.{motor}", {**lists, **_NEEDED}, {"count": float})
        motors[motor] = numbers.get("count", 1) * reflected_inertia(*(numbers[key] for key in lists))
    motor_of = _spread(table, "motor", str, tree.joint_names)
    for motor in motor_of.values():
        if motor not in motors:
            raise Sim2RealError(f"[motor] names an unknown motor '{motor}'.{nearest(motor, motors)}")
    told = {key: _spread(table, key, float, tree.joint_names) for key in _PER_JOINT}
    drives = {}
    for joint in (joint for joint in tree.joints if joint.name in tree.joint_names):
        values = {
            "lower": joint.lower,
            "upper": joint.upper,
            "effort_nm": joint.effort,
            "velocity_rad_s": joint.velocity,
            "kp": 0.0,
            "kd": 0.0,
            "armature": motors[motor_of[joint.name]] if joint.name in motor_of else 0.0,
            "coulomb_nm": joint.friction,
            "viscous_nms": joint.damping,
            **{
                _PER_JOINT[key]: numbers[joint.name] for key, numbers in told.items() if joint.name in numbers
            },
        }
        slides = joint.kind == "prismatic"
        motion, wrong, right = ("slides", "kgm2", "kg") if slides else ("turns", "kg", "kgm2")
        if joint.name in told[f"armature_{wrong}"]:
            raise Sim2RealError(f"joint '{joint.name}' {motion}: its armature belongs in [armature_{right}].")
        drives[joint.name] = Drive(
            name=joint.name, slides=slides, **{"stall_nm": 2 * values["effort_nm"]} | values
        )
    return drives


def _edited(tree: Tree, table: Mapping[str, Any]) -> Tree:
    """Return the tree with what robot.toml adds to a URDF that is not ours to edit."""
    links = {link.name: link for link in tree.links}
    bodies = {link: tree.bodies[place] for link, place in tree.index.items()}
    joints = {joint.name: joint for joint in tree.joints}
    for glob, told in table.get("inertials", {}).items():
        _check(told, f"inertials.{glob}", {"mass_kg": float, "com_m": 3, "inertia_kgm2": 6, **_NEEDED})
        tensor = np.array(told["inertia_kgm2"], float)[[[0, 3, 4], [3, 1, 5], [4, 5, 2]]]
        body = Inertial(
            mass_kg=np.array(told["mass_kg"], float),
            com_m=np.array(told["com_m"], float),
            inertia_kgm2=tensor,
        )
        bodies |= dict.fromkeys(_match(glob, links, "inertials"), body)
    for glob, hinges in table.get("hinges", {}).items():
        _check(hinges, f"hinges.{glob}", {"axes": dict, "carrier_kg": float, **_NEEDED})
        axes, carrier_kg = hinges["axes"], hinges["carrier_kg"]
        _check(axes, f"hinges.{glob}.axes", {}, dict.fromkeys(axes, 3))
        for name in _match(glob, joints, "hinges"):
            joint = joints.pop(name)
            body = bodies[joint.child]
            kept = (
                1 - carrier_kg * (len(axes) - 1) / body.mass_kg
            )  # the links between have theirs from the child
            bodies[joint.child] = replace(
                body, mass_kg=kept * body.mass_kg, inertia_kgm2=kept * body.inertia_kgm2
            )
            for suffix, axis in axes.items():
                hinge, unit = f"{name}_{suffix}", np.array(axis) / np.linalg.norm(axis)
                child = joint.child if suffix == list(axes)[-1] else hinge
                joints[hinge] = replace(joint, name=hinge, kind="revolute", child=child, axis=unit)
                links.setdefault(child, Link(name=child))
                bodies.setdefault(child, replace(NOTHING, mass_kg=np.array(carrier_kg)))
                joint = replace(joint, parent=hinge, pose_in_parent=np.eye(4))
    sizes = {f"{kind}_m": 3 if kind == "box" else len(keys) for kind, keys in SOLIDS.items()}
    for shape in table.get("shapes", ()):
        _check(shape, "shapes", {"link": str, **_NEEDED}, {**_PLACED, **sizes})
        given = [key for key in sizes if key in shape]
        if len(given) != 1:
            raise Sim2RealError(f"[[shapes]] for '{shape['link']}' should have one of {', '.join(sizes)}.")
        place = pose_of(shape.get("xyz_m", (0, 0, 0)), shape.get("rpy_rad", (0, 0, 0)))
        solid = (Shape(kind=given[0].removesuffix("_m"), size=tuple(shape[given[0]]), pose_in_link=place),)
        for link in _match(shape["link"], links, "shapes"):
            links[link] = links[link].carrying(Link(name="", collisions=solid, visuals=solid), np.eye(4))
    for part in links.values():
        if part.has_mesh and not part.collisions and table.get("meshes") != "skip":
            raise Sim2RealError(f"link '{part.name}' has only a mesh: add [[shapes]] or meshes = \"skip\".")
    if "base_rpy_rad" in table:
        joints["upright"] = Joint(
            name="upright",
            kind="fixed",
            parent="upright",
            child=tree.links[0].name,
            pose_in_parent=pose_of(rpy=table["base_rpy_rad"]),
            axis=np.zeros(3),
        )
        links["upright"] = Link(name="upright")
    return Tree.build(tree.name, links.values(), bodies, joints.values())


def _urdf(folder: Path, place: str) -> str:
    if place.startswith("package:"):
        package, _, inside = place.removeprefix("package:").partition("/")
        try:
            return importlib.resources.files(package).joinpath(inside).read_text("utf-8")
        except (ModuleNotFoundError, OSError):
            raise Sim2RealError(f"no '{inside}' in a Python package '{package}' is installed.") from None
    if not (folder / place).is_file():
        known = (found.name for found in folder.glob("*.urdf"))
        raise Sim2RealError(f"there is no file '{place}' beside it.{nearest(place, known)}")
    return (folder / place).read_text("utf-8")


def _spread(table: Mapping[str, Any], key: str, kind: Any, names: Sequence[str]) -> dict[str, Any]:
    """Return the value that a table of globs gives each joint, later globs overriding earlier ones."""
    globs = {glob: value for glob, value in table.get(key, {}).items() if glob != "source"}
    if key in table:
        _check(table[key], key, _NEEDED, dict.fromkeys(globs, kind))
    return {name: value for glob, value in globs.items() for name in _match(glob, names, key)}


def _match(glob: str, names: Iterable[str], where: str) -> list[str]:
    names = list(names)
    found = [name for name in names if fnmatchcase(name, glob)]
    if not found:
        raise Sim2RealError(f"'{glob}' in [{where}] matches nothing.{nearest(glob, names)}")
    return found


def _check(table: Any, where: str, needed: Mapping[str, Any], allowed: Mapping[str, Any] = _NEEDED) -> None:
    """Refuse what is no table, lacks a key, or has an unknown key or a value of the wrong kind."""
    kinds = {**allowed, **needed}
    words = {float: "a number", str: "text", dict: "a table"}

    def fits(value: Any, kind: Any) -> bool:
        if isinstance(kind, int):
            return fits(value, [float]) and len(value) == kind
        if isinstance(kind, list):
            return isinstance(value, list) and all(fits(item, kind[0]) for item in value)
        if kind is float:
            return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
        return isinstance(value, kind) and value != ""

    if not isinstance(table, dict):
        raise Sim2RealError(f"[{where}] should be a table, not {table!r}.")
    for key in needed:
        if key not in table:
            raise Sim2RealError(f"[{where}] should have '{key}'.")
    for key, value in table.items():
        if key not in kinds:
            raise Sim2RealError(f"[{where}] has an unknown key '{key}'.{nearest(key, kinds)}")
        kind = kinds[key]
        if not fits(value, kind):
            some = f"{kind} numbers" if isinstance(kind, int) else "a list"
            wanted = some if isinstance(kind, (int, list)) else words[kind]
            raise Sim2RealError(f"'{key}' in [{where}] should be {wanted}, not {value!r}.")

"""The bodies around a robot: which there are, where they begin an episode, how they touch."""

from collections.abc import Sequence
from dataclasses import dataclass

from sim2real.errors import Sim2RealError, nearest
from sim2real.sensors import Vector
from sim2real.simulation.body import Body
from sim2real.simulation.engine import Engine, Quaternion


@dataclass(kw_only=True)
class Contact:
    """How a body touches: see ``Engine.set_body_contact``."""

    friction: float = 1.0
    restitution: float = 0.0
    rolling_m: float = 0.0
    spinning_m: float = 0.0


class Scene:
    """Bodies by name, in an engine.

    What ``put`` and ``remove`` change acts from the next reset of the simulation on, by building the world anew;
    what ``touch`` and ``move`` change acts at once.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._wanted: dict[str, Body] = {}
        self._loaded: dict[str, Body] = {}
        self._contacts: dict[str, Contact] = {}
        self._index: dict[str, int] = {}
        self._thrown = ""

    @property
    def names(self) -> tuple[str, ...]:
        """What the bodies in the world are called."""
        return tuple(self._loaded)

    @property
    def changed(self) -> bool:
        """Whether the world is to be built anew."""
        return self._wanted != self._loaded

    def put(self, body: Body, contact: Contact | None = None) -> None:
        """Add a body, or replace the one of that name."""
        self._wanted[body.name] = body
        self._contacts[body.name] = contact or self._contacts.get(body.name) or Contact()

    def throw_in(self, body: Body, velocity_m_s: Sequence[float]) -> None:
        """Put a body into the running episode, in the place of the one thrown in before; the next reset removes it."""
        if self._thrown in self._loaded:
            del self._loaded[self._thrown]
            self._engine.remove_last_body()
        self._thrown = body.name
        self._loaded[body.name] = body
        self._index[body.name] = len(self._loaded) - 1
        self._engine.add_body(body)
        self.touch(body.name, Contact())
        self.move(body.name, body.position_m, velocity_m_s=velocity_m_s)

    def remove(self, name: str) -> None:
        """Take a body away."""
        self._wanted.pop(name, None)

    def load(self) -> Sequence[Body]:
        """Return what to build the world with; ``tell`` is to be called when it is built."""
        self._loaded = dict(self._wanted)
        self._index = {name: i for i, name in enumerate(self._loaded)}
        return tuple(self._loaded.values())

    def tell(self) -> None:
        """Tell a freshly built engine how everything touches."""
        for name in self._loaded:
            self.touch(name, self._contacts[name])

    def touch(self, name: str, contact: Contact) -> None:
        """Let a body touch otherwise."""
        self._contacts[name] = contact
        if name in self._loaded:
            self._engine.set_body_contact(self.index(name), **vars(contact))

    def index(self, name: str) -> int:
        """Return the engine's index of a body.

        Raises:
            Sim2RealError: if there is none of that name.
        """
        if name not in self._index:
            raise Sim2RealError(f"There is no body '{name}' in the scene.{nearest(name, self._index)}")
        return self._index[name]

    def pose(self, name: str) -> tuple[Vector, Quaternion]:
        """Return the position (m) and orientation (x, y, z, w) of a body's frame in the world."""
        return self._engine.body_pose(self.index(name))

    def velocity(self, name: str) -> tuple[Vector, Vector]:
        """Return a body's linear (m/s, of its centre of mass) and angular velocity (rad/s), in world axes."""
        return self._engine.body_velocity(self.index(name))

    def move(
        self,
        name: str,
        position_m: Sequence[float],
        quaternion: Sequence[float] = (0.0, 0.0, 0.0, 1.0),
        velocity_m_s: Sequence[float] = (0.0, 0.0, 0.0),
        angular_velocity_rad_s: Sequence[float] = (0.0, 0.0, 0.0),
    ) -> None:
        """Put a body's frame somewhere; velocities are those of its centre of mass, in world axes."""
        self._engine.set_body(self.index(name), position_m, quaternion, velocity_m_s, angular_velocity_rad_s)

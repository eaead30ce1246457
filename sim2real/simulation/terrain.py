"""Ground that is not flat: square blocks on the plane, as high as stairs and roughness make them."""

import math

from sim2real.perturb.parameters import Parameter
from sim2real.perturb.streams import Stream
from sim2real.sensors import Vector
from sim2real.simulation.engine import Engine
from sim2real.simulation.setters import element
from sim2real.simulation.table import ParameterTable

START_M = 0.6
"""The ground is flat this far from where an episode begins, along x and along y."""

FLIGHT = 5
"""Steps in a flight of stairs."""

SIDE = 12
"""Blocks along an edge of the square of blocks that goes with the robot."""

PERIOD = 64
"""Blocks after which the roughness repeats itself."""

DEPTH_M = 4.0
"""Height of a block, most of it under the plane: through what is convex and this thick nothing falls."""

SUNKEN_M = -1.0
"""Where the top of a block is that should not be felt: well under the plane."""


class Terrain:
    """An endless field of square blocks, of which the engine has those about the robot.

    The top of a block is as high as the stairs are there, and higher by the roughness times a number of the
    block's own between 0 and 1, the same in an episode whatever the roughness. Stairs are square rings about the
    start: whatever its heading, the robot meets a flight up, then one down, and so on.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._wanted_m = [0.0, 0.0, 0.3]  # roughness, height and length of a step, from the next episode on
        self._roughness_m, self._step_m, self._edge_m = 0.0, 0.0, 0.0
        self._numbers: list[list[float]] = []
        self._cells: list[tuple[int, int] | None] = []  # where the engine's blocks are
        self._centre = (0, 0)

    @property
    def raised(self) -> bool:
        """Whether there are blocks, so that ``follow`` is to be called before each control step."""
        return self._edge_m > 0.0

    @property
    def changed(self) -> bool:
        """Whether the world is to be built anew, with other blocks or with none."""
        return self._edge_m != self._wanted_edge_m

    @property
    def _wanted_edge_m(self) -> float:
        roughness_m, step_m, edge_m = self._wanted_m
        return edge_m if roughness_m or step_m else 0.0

    def load(self) -> tuple[int, Vector]:
        """Return how many blocks to build the world with, and their size in m; ``begin`` is to be called then."""
        self._edge_m = self._wanted_edge_m
        return (SIDE * SIDE if self.raised else 0), (self._edge_m, self._edge_m, DEPTH_M)

    def begin(self, episode: tuple[int, ...]) -> None:
        """Lay out the ground of the episode that some integers name."""
        if self.raised:
            self._roughness_m, self._step_m, _ = self._wanted_m
            self._numbers = Stream(*episode, "terrain.roughness")(PERIOD, PERIOD).tolist()
            self._cells = [None] * (SIDE * SIDE)
            self._surround((0, 0))

    def follow(self, x_m: float, y_m: float) -> None:
        """Keep the blocks about the place where the robot is by now."""
        centre = self._cell(x_m), self._cell(y_m)
        if centre != self._centre:
            self._surround(centre)

    def height_m(self, x_m: float, y_m: float) -> float:
        """Return how far the ground is above the plane."""
        return max(0.0, self._top_m(self._cell(x_m), self._cell(y_m))) if self.raised else 0.0

    def _cell(self, along_m: float) -> int:
        return math.floor(along_m / self._edge_m + 0.5)

    def _top_m(self, i: int, j: int) -> float:
        ring = max(abs(i), abs(j)) - math.ceil(START_M / self._edge_m - 0.5)
        if ring <= 0:
            return SUNKEN_M
        turn = ring % (2 * FLIGHT)
        stairs_m = self._step_m * min(turn, 2 * FLIGHT - turn)
        return stairs_m + self._roughness_m * self._numbers[i % PERIOD][j % PERIOD] or SUNKEN_M

    def _surround(self, centre: tuple[int, int]) -> None:
        self._centre = centre
        first_i, first_j = (middle - SIDE // 2 for middle in centre)
        for i in range(first_i, first_i + SIDE):
            for j in range(first_j, first_j + SIDE):
                block = i % SIDE * SIDE + j % SIDE
                if self._cells[block] != (i, j):
                    self._cells[block] = (i, j)
                    self._engine.set_block(block, (i * self._edge_m, j * self._edge_m, self._top_m(i, j)))

    def register(self, table: ParameterTable) -> None:
        """Register what makes the ground rough or stepped."""
        rows = (
            ("roughness", 0.0, 1.0, "Largest height of the blocks of rough ground."),
            ("step_height", 0.0, 0.3, f"Height of a step of stairs: {FLIGHT} up, {FLIGHT} down, and so on."),
            ("step_length", 0.2, 10.0, "Length of a step, and edge of the blocks of rough ground."),
        )
        for i, (name, low, high, doc) in enumerate(rows):
            spec = Parameter(nominal=self._wanted_m[i], unit="m", low=low, high=high, doc=doc, live=False)
            table.add(f"terrain.{name}", spec, element(self._wanted_m, i))

"""A floor as arrays for the planner: which moves exist, and how far every cell is from a goal.

The travel distance of a goal is a *field*: for each cell the number of moves to the goal along the site's exits,
one-way aisles included, by breadth-first search backwards from the goal. Fields are uint16 (`FAR` where the goal
cannot be reached), kept by goal in one matrix with the least recently used row thrown out, so that a planner kernel
reads them as `fields[slot, cell]`. One field of 38,000 free cells takes about 0.1 ms.

Moves are counted: turning costs a robot about as much as one cell, and that is left to the planner's preference for
going straight on. Two things cost as many moves more as a robot makes elsewhere in the time that they take: a move into
an automatic door from outside (its opening time), and a move into a cell of a speed zone slower than PACE. Pods and
doors that stay shut have no moves at all, one-way aisles those of their direction.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numba import njit
from numpy.typing import NDArray

from coordination.pockets import find_pockets
from sim.errors import MusterError
from sim.fixtures import DoorState
from sim.site import MOVES, Site

NONE = -1
"""No cell, no robot, no decision."""

FAR = np.uint16(65535)
"""Distance of a cell from which the goal cannot be reached."""

NO_SLOT = -1
"""No field."""

AROUND = 32
"""Detours kept: for so many robots at once another way is looked for."""

PACE = 0.8
"""m/s that a robot makes on average, to turn times into moves (measured: coordination/rehearsal.py)."""

OPPOSITE = (2, 3, 0, 1)
"""Index in MOVES of the opposite move."""


class RoadmapError(MusterError):
    """A cell that is asked for is no place where a robot can be."""


class Roadmap:
    """The moves of a floor; immutable. Cells are those of the site, blocked ones without moves."""

    def __init__(self, site: Site) -> None:
        """Compile the site's exits; raises RoadmapError when an exit leads off the floor or into a blocked cell."""
        self.site = site
        self.width = site.width
        self.cells = site.height * site.width
        self.free: NDArray[np.bool_] = ~site.standing.reshape(-1)
        self.offsets = np.array([row * site.width + column for row, column in MOVES], np.int32)
        self.exits: NDArray[np.uint8] = np.zeros(self.cells, np.uint8)
        """Bit m: a robot may leave the cell by MOVES[m]."""
        self.entries: NDArray[np.uint8] = np.zeros(self.cells, np.uint8)
        """Bit m: the neighbour in direction MOVES[m] may move into the cell."""
        rows, columns = np.divmod(np.arange(self.cells), site.width)
        for move, (row_step, column_step) in enumerate(MOVES):
            open_ = site.exits[:, :, move].reshape(-1)
            row, column = rows + row_step, columns + column_step
            inside = (row >= 0) & (row < site.height) & (column >= 0) & (column < site.width)
            target = np.where(inside, row * site.width + column, 0)
            wrong = open_ & ~(inside & self.free[target] & self.free)
            if wrong.any():
                cell = int(np.flatnonzero(wrong)[0])
                raise RoadmapError(
                    f"site {site.name}: the exit of cell {cell} in direction {MOVES[move]} leads to no free cell; "
                    "clear it in the site's exits"
                )
            self.exits[open_] |= np.uint8(1 << move)
            self.entries[target[open_]] |= np.uint8(1 << OPPOSITE[move])
        self.bridges: NDArray[np.uint8] = np.zeros(self.cells, np.uint8)
        """Bit m: MOVES[m] from the cell lies on no ring, so that two robots on it cannot go around each other."""
        _find_bridges(self.exits | self.entries, self.offsets, self.bridges)
        self.pocket, self.mouth, self.depth = find_pockets(self.exits | self.entries, self.offsets)
        """`pocket` (cells,) is each cell's, or NONE; `mouth` (pockets,) the cell before it; `depth` (cells,) moves from
        the mouth.
        """
        self.wait: NDArray[np.uint16] = np.zeros(self.cells, np.uint16)
        """Moves that waiting costs who drives into the cell: those of automatic doors."""
        self.door: NDArray[np.int32] = np.full(self.cells, NONE, np.int32)
        """Which door the cell belongs to, or NONE: within one nobody waits again."""
        for number, door in enumerate(site.fixtures.doors):
            if door.state is DoorState.AUTOMATIC:
                self.wait[list(door.cells)] = math.ceil(door.opening * PACE / site.cell)
                self.door[list(door.cells)] = number
        self.slow: NDArray[np.uint16] = np.zeros(self.cells, np.uint16)
        """Moves that a move into the cell costs beyond one: those of speed zones, in whole moves."""
        for zone in site.fixtures.zones:
            more = max(round(PACE / zone.limit) - 1, 0)
            self.slow[list(zone.cells)] = np.maximum(self.slow[list(zone.cells)], more)
        self.weighs = bool(self.wait.any() or self.slow.any())
        """Whether moves differ: where they do not, a breadth-first search is all that is needed."""
        self.pocket_cells: NDArray[np.int32] = np.flatnonzero(self.pocket >= 0).astype(np.int32)

    def neighbours(self, cell: int) -> list[int]:
        """The cells that a robot may move to from a cell, in the order of MOVES."""
        return [cell + int(self.offsets[move]) for move in range(4) if self.exits[cell] >> move & 1]

    def adjacent(self, a: int, b: int) -> bool:
        """Whether a robot may move from cell a to cell b."""
        return b in self.neighbours(a)

    def cell_at(self, x: float, y: float) -> int:
        """The free cell under a point, or NONE: `Site.cell_at` of one point, without arrays."""
        if not (math.isfinite(x) and math.isfinite(y)):
            return NONE
        site = self.site
        column, row = math.floor(x / site.cell), site.height - 1 - math.floor(y / site.cell)
        if not (0 <= column < site.width and 0 <= row < site.height) or site.blocked[row, column]:
            return NONE
        return row * site.width + column

    def centre(self, cell: int) -> tuple[float, float]:
        """`Site.centre` of one cell, without arrays."""
        row, column = divmod(cell, self.site.width)
        return (column + 0.5) * self.site.cell, (self.site.height - row - 0.5) * self.site.cell

    def check_cells(self, cells: Sequence[int], what: str) -> None:
        """Raises RoadmapError, naming `what`, unless every cell is a free cell of the floor."""
        for cell in cells:
            if not 0 <= cell < self.cells or not self.free[cell]:
                where = "off the floor" if not 0 <= cell < self.cells else "blocked"
                raise RoadmapError(f"{what}: cell {cell} is {where}; name a free cell of site {self.site.name}")

    def field(self, goal: int) -> NDArray[np.uint16]:
        """Moves from every cell to the goal, (cells,); FAR where there is no way."""
        distance = np.empty(self.cells, np.uint16)
        queue = np.empty(self.cells, np.int32)
        self.search(goal, self.entries, distance, queue)
        return distance

    def search(
        self, goal: int, entries: NDArray[np.uint8], distance: NDArray[np.uint16], queue: NDArray[np.int32]
    ) -> None:
        """Fill `distance` (cells,) with the field of a goal, as `entries` are open; `queue` (cells,) is scratch."""
        if self.weighs:
            waiting = np.zeros(self.cells, np.bool_)
            _cheapest_first(
                goal,
                self.entries[goal],
                entries,
                self.offsets,
                self.wait,
                self.slow,
                self.door,
                distance,
                queue,
                waiting,
            )
        else:
            _breadth_first(goal, self.entries[goal], entries, self.offsets, distance, queue)


class Fields:
    """Owns the fields in use: a matrix of rows (slots), by goal, the least recently used thrown out.

    Beside them AROUND rows hold *detours*: fields of a goal around cells that are closed for the one who asks.
    """

    def __init__(self, roadmap: Roadmap, slots: int) -> None:
        """Room for `slots` fields; that must be more than the goals asked for at once."""
        self.roadmap = roadmap
        self.matrix: NDArray[np.uint16] = np.empty((slots + AROUND, roadmap.cells), np.uint16)
        """(slots + AROUND, cells): moves to the slot's goal."""
        self.computed = 0
        """Fields computed so far."""
        self._queue = np.empty(roadmap.cells, np.int32)
        self._slot_of = np.full(roadmap.cells, NO_SLOT, np.int32)
        self._goal_of = np.full(slots, NO_SLOT, np.int32)
        self._used = np.zeros(slots, np.int64)
        self._clock = 0
        self._detours: dict[tuple[int, frozenset[int]], tuple[int, int]] = {}  # slot and tick, least recent first
        self._tick = 0

    def slots(self, goals: NDArray[np.int32]) -> NDArray[np.int32]:
        """The slot of each goal's field, computing those that are missing; goals below 0 give NO_SLOT.

        Slots stay valid until the next call of `slots` or `slot`.
        """
        self._clock += 1
        wanted = goals >= 0
        slots = np.where(wanted, self._slot_of[goals], NO_SLOT).astype(np.int32)
        self._used[slots[slots >= 0]] = self._clock
        for index in np.flatnonzero(wanted & (slots < 0)):
            slots[index] = self._take(int(goals[index]))
        return slots

    def slot(self, goal: int) -> int:
        """The slot of one goal's field."""
        return int(self.slots(np.array([goal], np.int32))[0])

    def new_tick(self) -> None:
        """Detours of the tick before may be thrown out from now on."""
        self._tick += 1

    def around(self, goal: int, closed: frozenset[int]) -> int:
        """The slot of a field that enters no closed cell but the goal; NO_SLOT when this tick has too many of them.

        Valid for this tick.
        """
        key = (goal, closed)
        slot, _ = self._detours.pop(key, (NO_SLOT, 0))
        if slot == NO_SLOT:
            if len(self._detours) < AROUND:
                slot = len(self._used) + len(self._detours)
            else:
                oldest = next(iter(self._detours))
                if self._detours[oldest][1] == self._tick:
                    return NO_SLOT
                slot, _ = self._detours.pop(oldest)
            entries = self.roadmap.entries.copy()
            entries[list(closed)] = 0
            self._search(goal, entries, slot)
            # The search reaches closed cells from behind; nobody shall take one for the next step.
            self.matrix[slot, [cell for cell in closed if cell != goal]] = FAR
        self._detours[key] = (slot, self._tick)
        return slot

    def _take(self, goal: int) -> int:
        slot = int(self._slot_of[goal])
        if slot < 0:
            slot = int(np.argmin(self._used))
            if self._used[slot] == self._clock:
                raise ValueError(f"{len(self._used)} fields are too few for the goals asked for at once")
            if self._goal_of[slot] >= 0:
                self._slot_of[self._goal_of[slot]] = NO_SLOT
            self._search(goal, self.roadmap.entries, slot)
            self._goal_of[slot] = goal
            self._slot_of[goal] = slot
        self._used[slot] = self._clock
        return slot

    def _search(self, goal: int, entries: NDArray[np.uint8], slot: int) -> None:
        self.roadmap.search(goal, entries, self.matrix[slot], self._queue)
        self.computed += 1


@njit(cache=True, nogil=True)
def _breadth_first(
    goal: int,
    goal_entries: np.uint8,
    entries: NDArray[np.uint8],
    offsets: NDArray[np.int32],
    distance: NDArray[np.uint16],
    queue: NDArray[np.int32],
) -> None:
    """Fill `distance`; `goal_entries` stand for the goal's own entries, which may be closed to passing robots."""
    distance[:] = 65535
    distance[goal] = 0
    queue[0] = goal
    head, tail = 0, 1
    east, north, west, south = offsets[0], offsets[1], offsets[2], offsets[3]
    ways = goal_entries
    while head < tail:
        cell = queue[head]
        if head > 0:
            ways = entries[cell]
        head += 1
        next_distance = distance[cell] + 1
        if next_distance >= 65535:
            break
        if ways & 1 and distance[cell + east] == 65535:
            distance[cell + east] = next_distance
            queue[tail] = cell + east
            tail += 1
        if ways & 2 and distance[cell + north] == 65535:
            distance[cell + north] = next_distance
            queue[tail] = cell + north
            tail += 1
        if ways & 4 and distance[cell + west] == 65535:
            distance[cell + west] = next_distance
            queue[tail] = cell + west
            tail += 1
        if ways & 8 and distance[cell + south] == 65535:
            distance[cell + south] = next_distance
            queue[tail] = cell + south
            tail += 1


@njit(cache=True, nogil=True)
def _cheapest_first(
    goal: int,
    goal_entries: np.uint8,
    entries: NDArray[np.uint8],
    offsets: NDArray[np.int32],
    wait: NDArray[np.uint16],
    slow: NDArray[np.uint16],
    door: NDArray[np.int32],
    distance: NDArray[np.uint16],
    queue: NDArray[np.int32],
    waiting: NDArray[np.bool_],
) -> None:
    """`_breadth_first` with the cost of doors and zones: a queue that takes cells again whose distance has fallen.

    (Bellman 1958 and Ford; both are few, so that few cells come twice.) `waiting` marks cells in the queue.
    """
    distance[:] = 65535
    distance[goal] = 0
    queue[0] = goal
    waiting[goal] = True
    head, count = 0, 1
    while count > 0:
        cell = queue[head]
        head = (head + 1) % len(queue)
        count -= 1
        waiting[cell] = False
        ways = goal_entries if cell == goal else entries[cell]
        for move in range(4):
            if not ways >> move & 1:
                continue
            there = cell + offsets[move]
            cost = int(distance[cell]) + 1 + int(slow[cell])
            if door[there] != door[cell]:
                cost += int(wait[cell])
            if cost < int(distance[there]):
                distance[there] = cost
                if not waiting[there]:
                    queue[(head + count) % len(queue)] = there
                    waiting[there] = True
                    count += 1


@njit(cache=True, nogil=True)
def _find_bridges(ways: NDArray[np.uint8], offsets: NDArray[np.int32], bridges: NDArray[np.uint8]) -> None:
    """Edges on no ring, by Tarjan's low links (1974): one depth-first search without recursion."""
    cells = len(ways)
    order = np.full(cells, -1, np.int32)
    low = np.zeros(cells, np.int32)
    parent_move = np.full(cells, -1, np.int8)
    tried = np.zeros(cells, np.int8)
    stack = np.empty(cells, np.int32)
    count = 0
    for root in range(cells):
        if order[root] >= 0 or ways[root] == 0:
            continue
        depth = 0
        stack[0] = root
        order[root] = low[root] = count
        count += 1
        while depth >= 0:
            cell = stack[depth]
            move = tried[cell]
            if move < 4:
                tried[cell] += 1
                if not ways[cell] >> move & 1 or (parent_move[cell] >= 0 and move == (parent_move[cell] + 2) % 4):
                    continue
                there = cell + offsets[move]
                if order[there] < 0:
                    order[there] = low[there] = count
                    count += 1
                    parent_move[there] = move
                    depth += 1
                    stack[depth] = there
                else:
                    low[cell] = min(low[cell], order[there])
                continue
            depth -= 1
            if depth >= 0:
                parent = stack[depth]
                low[parent] = min(low[parent], low[cell])
                if low[cell] > order[parent]:
                    move = parent_move[cell]
                    bridges[parent] |= 1 << move
                    bridges[cell] |= 1 << ((move + 2) % 4)


def warm() -> None:
    """Compile (or load from numba's cache) what this module runs in a tick."""
    blocked = np.zeros((2, 2), bool)
    exits = np.zeros((2, 2, 4), bool)
    exits[0, 0, 0] = True
    Roadmap(Site("warm", blocked, np.zeros_like(blocked), exits)).field(1)

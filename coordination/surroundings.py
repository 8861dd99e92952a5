"""Which cells near a robot others hold: the part of the grants that a robot is told of in its picture.

The nearest come first (by Euclidean distance between cells, ties by row, then column), so that what does not fit is
what the lidar sees least of.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from coordination.ledger import Ledger
from coordination.mover import Mover
from coordination.roadmap import NONE, Roadmap
from coordination.rules import Rules


class Surroundings:
    """Owns the list of steps to the cells around one, nearest first."""

    def __init__(self, roadmap: Roadmap, rules: Rules) -> None:
        """Radius and most cells come from the rules."""
        self.roadmap = roadmap
        self._cells = rules.picture_cells
        self._around = _steps_by_distance(rules.picture_radius)

    def of(self, mover: Mover, ledger: Ledger) -> tuple[int, ...]:
        """Cells near a robot that others hold, nearest first."""
        row, column = divmod(mover.path[mover.at], self.roadmap.width)
        found = np.empty(self._cells, np.int32)
        grid = ledger.owner.reshape(self.roadmap.site.height, self.roadmap.site.width)
        count = _held_nearby(row, column, mover.index, grid, self._around, found)
        return tuple(found[:count].tolist())


def _steps_by_distance(radius: int) -> NDArray[np.int32]:
    """(row, column) steps to all cells of a square around one, (steps, 2), nearest first."""
    steps = [(row, column) for row in range(-radius, radius + 1) for column in range(-radius, radius + 1)]
    return np.array(sorted(steps, key=lambda step: (step[0] ** 2 + step[1] ** 2, step)), np.int32)


@njit(cache=True, nogil=True)
def _held_nearby(
    row: int,
    column: int,
    robot: int,
    owner: NDArray[np.int32],
    steps: NDArray[np.int32],
    found: NDArray[np.int32],
) -> int:
    """Write the nearest cells that others own, as far as there is room; returns how many. `owner` (height, width)."""
    height, width = owner.shape
    count = 0
    for index in range(len(steps)):
        r, c = row + steps[index, 0], column + steps[index, 1]
        if 0 <= r < height and 0 <= c < width and owner[r, c] >= 0 and owner[r, c] != robot:
            if count == len(found):
                break
            found[count] = r * width + c
            count += 1
    return count


def warm() -> None:
    """Compile (or load from numba's cache) what this module runs in a tick."""
    _held_nearby(0, 0, 0, np.full((1, 3), NONE, np.int32), _steps_by_distance(1), np.empty(4, np.int32))

"""Ways over a floor's cells to a handful of goals: for every cell the neighbour to step to next.

People, and whoever else walks the floor by cells, follow a `Ways` table instead of planning: `towards[g, cell]` is the
first of the eight moves of a shortest way to goal g, so that a kernel finds its way around racks by one look-up. The
lengths behind it are octile (a diagonal costs sqrt 2) and never cut a corner: a diagonal move is open only where both
cells beside it are. One table row serves every separate part of the floor at once: goal g lies in each of them.

Made on the host, once for a floor. Doors, pods and one-way aisles are for robots; this module takes a grid of cells
that may be entered and nothing else.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sim.randomization import Term, draw_numpy
from sim.reach import components
from sim.site import make_site

STEPS = ((0, 1), (-1, 1), (-1, 0), (-1, -1), (0, -1), (1, -1), (1, 0), (1, 1))
"""(row, column) of the eight moves: east, north-east, and so on counter-clockwise; odd ones are diagonal."""

HERE = 8
"""Code of the goal's own cell."""

NOWHERE = 9
"""Code of a cell from which the goal cannot be reached."""


@dataclass(frozen=True)
class Ways:
    """The next move from every cell to every goal."""

    towards: NDArray[np.uint8]
    """(goals, cells): the index of a move in STEPS, HERE or NOWHERE."""
    goals: NDArray[np.int32]
    """(goals, parts): the cell of each goal in each separate part of the floor."""


def find_ways(enterable: NDArray[np.bool_], goals: int, seed: int = 0) -> Ways:
    """Ways to `goals` goals in every part of a floor, drawn by the seed; `enterable` (height, width).

    A part with fewer cells than goals holds some of its cells twice. Shape of the result as in `Ways`.
    """
    part = components(make_site("ways", ~enterable))
    parts = int(part.max(initial=-1)) + 1
    cells = np.zeros((goals, parts), np.int32)
    bits = draw_numpy(seed, int(Term.PERSON_START), 1, 0, np.arange(part.size))
    order = np.lexsort((bits, part))
    first = np.searchsorted(part[order], np.arange(parts))
    many = np.append(first[1:], part.size) - first
    for goal in range(goals):
        cells[goal] = order[first + goal % many]
    starts = np.zeros((goals, part.size), bool)
    starts[np.arange(goals)[:, None], cells] = True
    return Ways(towards=_next_moves(enterable, starts.reshape(goals, *enterable.shape)), goals=cells)


def _next_moves(enterable: NDArray[np.bool_], starts: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """The first move of a shortest way from each cell to the starts, (goals, cells); relaxation until nothing falls."""
    goals, height, width = starts.shape
    padded = np.zeros((height + 2, width + 2), bool)
    padded[1:-1, 1:-1] = enterable
    length = np.full((goals, height + 2, width + 2), np.inf, np.float32)
    length[:, 1:-1, 1:-1][starts] = 0.0
    inner = np.s_[:, 1:-1, 1:-1]
    open_moves = [_open(padded, move) for move in range(8)]
    towards = np.full((goals, height, width), NOWHERE, np.uint8)
    towards[starts] = HERE
    while True:
        fell = False
        for move, (row, column) in enumerate(STEPS):
            cost = np.float32(np.sqrt(2.0) if move % 2 else 1.0)
            there = length[:, 1 + row : 1 + row + height, 1 + column : 1 + column + width] + cost
            better = (there < length[inner] - 1e-3) & open_moves[move]
            if better.any():
                fell = True
                length[inner][better] = there[better]
                towards[better] = move
        if not fell:
            return towards.reshape(goals, -1)


def _open(padded: NDArray[np.bool_], move: int) -> NDArray[np.bool_]:
    """From which cells a move is open, (height, width): the cell itself, the next and, on a diagonal, both beside."""
    height, width = padded.shape[0] - 2, padded.shape[1] - 2

    def shifted(row: int, column: int) -> NDArray[np.bool_]:
        return padded[1 + row : 1 + row + height, 1 + column : 1 + column + width]

    row, column = STEPS[move]
    return shifted(0, 0) & shifted(row, column) & shifted(row, 0) & shifted(0, column)

"""Which cells of a floor a robot reaches, and in how many moves: whole-floor floods with numpy, exits obeyed.

For import, checks and building training sets; planners keep their own distance fields (`coordination/roadmap.py`).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sim.site import MOVES, Site

FAR = np.int32(1 << 30)
"""Distance of a cell from which the goal cannot be reached."""


def components(site: Site) -> NDArray[np.int32]:
    """The separate part of the floor that each cell belongs to, (cells,); -1 where blocked. One-way moves join too."""
    label = np.where(site.blocked, -1, np.arange(site.blocked.size).reshape(site.blocked.shape)).astype(np.int32)
    step = [site.exits[..., move] for move in range(4)]
    while True:
        before = label.copy()
        for a, b, go in (
            (np.s_[:, :-1], np.s_[:, 1:], step[0][:, :-1] | step[2][:, 1:]),
            (np.s_[:-1, :], np.s_[1:, :], step[3][:-1] | step[1][1:]),
        ):
            np.minimum(label[a], label[b], out=label[a], where=go)
            np.minimum(label[a], label[b], out=label[b], where=go)
        root = label.reshape(-1)
        free = root >= 0
        root[free] = root[root[free]]  # pointer jumping: long aisles need few rounds
        if (label == before).all():
            return np.unique(root, return_inverse=True)[1].astype(np.int32).reshape(-1) - int((root < 0).any())


def count_apart(site: Site, cells: NDArray[np.integer], gap: float, enough: int) -> int:
    """How many of `cells` (n,) lie at least `gap` cells from each other, taken in turn; counts to `enough` at most.

    In another order it may be more: a lower bound.
    """
    row, column = np.divmod(np.asarray(cells), site.width)
    left = np.ones(len(row), bool)
    count = 0
    while left.any() and count < enough:
        first = int(np.argmax(left))
        left &= (row - row[first]) ** 2 + (column - column[first]) ** 2 >= gap * gap
        count += 1
    return count


def distances(site: Site, goals: NDArray[np.integer]) -> NDArray[np.int32]:
    """Moves from each cell to the nearest of `goals`, exits obeyed, (cells,); FAR where none can be reached."""
    field = np.full(site.blocked.shape, FAR, np.int32)
    field.reshape(-1)[goals] = 0
    front = field == 0
    moves = 0
    while front.any():
        moves += 1
        reached = np.zeros_like(front)
        reached[:, :-1] |= site.exits[:, :-1, 0] & front[:, 1:]
        reached[1:] |= site.exits[1:, :, 1] & front[:-1]
        reached[:, 1:] |= site.exits[:, 1:, 2] & front[:, :-1]
        reached[:-1] |= site.exits[:-1, :, 3] & front[1:]
        front = reached & (field == FAR)
        field[front] = moves
    return field.reshape(-1)


def reversed_exits(exits: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Exits of the floor on which every move is made backwards."""
    back = np.zeros_like(exits)
    back[:, 1:, 2] = exits[:, :-1, 0]
    back[:-1, :, 3] = exits[1:, :, 1]
    back[:, :-1, 0] = exits[:, 1:, 2]
    back[1:, :, 1] = exits[:-1, :, 3]
    assert len(MOVES) == 4
    return back

"""Pockets: what leads nowhere but back to the rest of the floor, and who is to leave one.

A dead end is a cell that vanishes when cells with at most one way out are taken away again and again (the floor's
2-core remains: Seidman, "Network structure and minimum degree", Social Networks 1983). A *pocket* is the dead ends that
are reached by one cell of the core, its *mouth*. PIBT's pushing always ends on rings; in a pocket it need not. So a
pocket takes one robot at a time: who wants in waits outside until it is empty, who comes out goes first, and nobody is
pushed in. A floor without a ring has no core and no pocket.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

SHARED = -2
"""A pocket in which several robots are."""


@njit(cache=True, nogil=True)
def find_pockets(
    ways: NDArray[np.uint8], offsets: NDArray[np.int32]
) -> tuple[NDArray[np.int32], NDArray[np.int32], NDArray[np.int32]]:
    """The pocket of each cell or -1 (cells,), the mouth of each pocket (pockets,), and moves from it (cells,).

    `ways` (cells,): bit m when MOVES[m] leads on, either way.
    """
    dead_end = _dead_ends(ways, offsets)
    cells = len(ways)
    pocket = np.full(cells, -1, np.int32)
    depth = np.zeros(cells, np.int32)
    mouth = np.empty(cells, np.int32)
    queue = np.empty(cells, np.int32)
    count = 0
    for start in range(cells):
        if dead_end[start] or ways[start] == 0:
            continue
        for way in range(4):
            first = start + offsets[way]
            if not ways[start] >> way & 1 or not dead_end[first] or pocket[first] >= 0:
                continue
            mouth[count] = start
            pocket[first] = count
            depth[first] = 1
            queue[0] = first
            head, tail = 0, 1
            while head < tail:
                cell = queue[head]
                head += 1
                for move in range(4):
                    there = cell + offsets[move]
                    if ways[cell] >> move & 1 and dead_end[there] and pocket[there] < 0:
                        pocket[there] = count
                        depth[there] = depth[cell] + 1
                        queue[tail] = there
                        tail += 1
            count += 1
    return pocket, mouth[:count].copy(), depth


@njit(cache=True, nogil=True)
def _dead_ends(ways: NDArray[np.uint8], offsets: NDArray[np.int32]) -> NDArray[np.uint8]:
    """Cells that vanish when cells with at most one way out are taken away again and again."""
    cells = len(ways)
    degree = np.zeros(cells, np.int8)
    dead = np.zeros(cells, np.uint8)
    queue = np.empty(cells, np.int32)
    tail = 0
    for cell in range(cells):
        for move in range(4):
            degree[cell] += ways[cell] >> move & 1
        if ways[cell] and degree[cell] <= 1:
            dead[cell] = 1
            queue[tail] = cell
            tail += 1
    head = 0
    while head < tail:
        cell = queue[head]
        head += 1
        for move in range(4):
            if ways[cell] >> move & 1:
                there = cell + offsets[move]
                degree[there] -= 1
                if dead[there] == 0 and degree[there] <= 1:
                    dead[there] = 1
                    queue[tail] = there
                    tail += 1
    return dead


@njit(cache=True, nogil=True)
def empty_pockets(
    end: NDArray[np.int32],
    owner: NDArray[np.int32],
    pocket: NDArray[np.int32],
    mouth: NDArray[np.int32],
    depth: NDArray[np.int32],
    pocket_cells: NDArray[np.int32],
    goal: NDArray[np.int32],
    users: NDArray[np.int32],
    leaving: NDArray[np.bool_],
) -> None:
    """Say who is in each pocket, and send out who has nothing to do there or stands before another."""
    for cell in pocket_cells:
        robot = owner[cell]
        if robot >= 0 and users[pocket[cell]] != robot:
            users[pocket[cell]] = robot if users[pocket[cell]] == -1 else SHARED
    deepest = np.full(len(users), -1, np.int32)
    for robot in range(len(end)):
        if end[robot] < 0 or pocket[end[robot]] < 0:
            continue
        where = pocket[end[robot]]
        if users[where] == -1:
            users[where] = robot
        elif users[where] != robot:
            users[where] = SHARED
        if deepest[where] < 0 or depth[end[robot]] > depth[end[deepest[where]]]:
            deepest[where] = robot
    for robot in range(len(end)):
        if end[robot] < 0 or pocket[end[robot]] < 0:
            continue
        where = pocket[end[robot]]
        stays = goal[robot] >= 0 and pocket[goal[robot]] == where
        if users[where] == SHARED and deepest[where] != robot:
            stays = False
            goal[robot] = mouth[where]
        elif goal[robot] < 0:
            goal[robot] = mouth[where]
        leaving[robot] = not stays

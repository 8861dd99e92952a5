"""Seeded floors: a warehouse to work in, a campus of small walled blocks to learn on, and paths over either.

`generate_warehouse` lays racks in blocks. Between the racks of a block run aisles of one cell, declared person-free: a
robot fits, a person beside it would not. Around the blocks run aisles of three cells: along the wall a walkway for
people, which robots may not enter, then a lane with the stations (along the two long sides) and chargers (along the
short ones), served from the walkway, then a lane for driving. Between rows of blocks run three cells too: a lane, a
walkway, a lane; robots may cross the walkway there but not follow it. The two cells between columns of blocks are a
lane each.

The walkways form rings without dead ends, so that no robot can pen a person in, and every corner keeps a lane between
what hides a person and a robot that comes round it: at a blind corner without one no robot can guarantee to stand
before a person of 1.6 m/s touches it. Lanes and rack aisles are open at both ends: what robots may enter is strongly
connected, and no single cell cuts it in two.

`generate_campus` makes one big floor of independent walled blocks, each with its own draw of rack sizes, aisle widths,
rooms or scattered obstacles. An environment trains on a campus: a world stands in one block, so a draw of the block is
a draw of the layout, and all worlds share one model with one set of static boxes.

Same arguments, same floor: numpy's PCG64 seeded by the argument. Nothing here models traffic.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sim.furnish import furnish
from sim.reach import FAR, components, distances
from sim.site import CELL, MOVES, Site, SiteError, make_site

AISLE = 3
"""Width of the aisles with a walkway, cells."""

CROSS = 2
"""Width of the aisles between columns of blocks, cells."""


@dataclass(frozen=True)
class CorridorLibrary:
    """Paths over a floor, to draw training goals from."""

    cells: NDArray[np.int32]
    """(paths, longest): cells in driving order, neighbours one move apart; padded by repeating the last."""
    lengths: NDArray[np.int32]
    """(paths,): cells in use."""


def generate_warehouse(
    seed: int,
    *,
    width: int = 32,
    height: int = 22,
    stations: int = 16,
    chargers: int = 8,
    one_way: bool = False,
    doors: int = 0,
    pods: int = 0,
    speed_limit: float | None = None,
    cell: float = CELL,
) -> Site:
    """A warehouse of `width` x `height` cells, its outer walls (one cell) included.

    `stations` are spread over the top and bottom sides, top first, `chargers` over the left and right ones; `one_way`
    lets robots drive the rack aisles in one direction only, up and down in turn. `doors`, `pods` and `speed_limit`
    (m/s) are drawn by `sim.furnish` onto the same floor. Raises `SiteError` where the size leaves no room for racks, a
    side none for its stations or chargers, or the racks none for doors or pods.
    """
    least = 2 + 2 * AISLE + 3
    if width < least or height < least:
        raise SiteError(
            f"expected a warehouse of at least {least} x {least} cells (walls, aisles and one rack), "
            f"got {width} x {height}; make it larger"
        )
    for count, room, what in ((stations, width - 6, "stations"), (chargers, height - 10, "chargers")):
        if not 0 <= count <= 2 * (room // 2):
            raise SiteError(
                f"expected at most {2 * (room // 2)} {what} along two sides of a {width} x {height} warehouse, "
                f"got {count}; ask for fewer or make it larger"
            )
    rng = np.random.default_rng([seed, 0x57A2E])
    blocked = np.ones((height, width), bool)
    blocked[1:-1, 1:-1] = False
    person_free = ~blocked
    exits_up: list[int] = []
    exits_down: list[int] = []
    rows = _split(rng, 1 + AISLE, height - 1 - AISLE, AISLE, 3, 7)
    columns = _split(rng, 1 + AISLE, width - 1 - AISLE, CROSS, 7, 12)
    ring = np.zeros_like(blocked)
    ring[[1, -2], 1:-1] = ring[1:-1, [1, -2]] = True
    crossings = np.zeros_like(blocked)
    for row in (top - 2 for top, _ in rows[1:]):
        crossings[row, 2 : width - 2] = True
    person_free[ring | crossings] = False
    for left, right in columns:
        aisles = _rack_aisles(rng, left, right)
        for top, bottom in rows:
            blocked[top:bottom, left:right] = True
            person_free[top:bottom, left:right] = False
            for number, column in enumerate(aisles):
                blocked[top:bottom, column] = False
                person_free[top:bottom, column] = True
                (exits_up if number % 2 == 0 else exits_down).extend(
                    range(top * width + column, bottom * width + column, width)
                )
    site = make_site(
        f"generate:{seed}",
        blocked,
        person_free=person_free,
        stations=_along(rng, stations, 3, width - 3, lambda side, at: (2, height - 3)[side] * width + at),
        chargers=_along(rng, chargers, 5, height - 5, lambda side, at: at * width + (2, width - 3)[side]),
        cell=cell,
    )
    exits = site.exits.reshape(-1, 4)
    exits[np.flatnonzero(ring)] = False
    exits[np.flatnonzero(crossings)[:, None], [0, 2]] = False
    for move, (down, right) in enumerate(MOVES):
        exits[np.flatnonzero(np.roll(ring, (-down, -right), (0, 1))), move] = False
    if one_way:
        exits[exits_up, 3] = False
        exits[exits_down, 1] = False
        # Nor in at the wrong end, from the cell before it.
        exits[[c - width for c in exits_up if c - width not in exits_up], 3] = False
        exits[[c + width for c in exits_down if c + width not in exits_down], 1] = False
    if doors or pods or speed_limit is not None:
        return furnish(site, seed, doors=doors, pods=pods, speed_limit=speed_limit)
    return site


def generate_campus(
    seed: int,
    *,
    blocks: tuple[int, int] = (8, 8),
    block: tuple[int, int] = (12, 12),
    cell: float = CELL,
) -> Site:
    """One floor of `blocks` (rows, columns) walled blocks of `block` (rows, columns) cells each, all different.

    Block (i, j) covers rows i * block[0] and up, columns j * block[1] and up; its outermost ring is wall and its free
    cells are connected, so it shares nothing with its neighbours. Narrow aisles are person-free in half of the blocks,
    dead ends of what people walk on in all: a robot sent to one and the person in it would wait for each other for
    ever. Raises `SiteError` where a block has no inside.
    """
    if min(block) < 7 or min(blocks) < 1:
        raise SiteError(f"expected blocks of at least 7 x 7 cells, got {blocks} blocks of {block}; make them larger")
    rng = np.random.default_rng([seed, 0xCA395])
    height, width = blocks[0] * block[0], blocks[1] * block[1]
    blocked = np.ones((height, width), bool)
    person_free = np.zeros_like(blocked)
    for i in range(blocks[0]):
        for j in range(blocks[1]):
            inside = _block(rng, block[0] - 2, block[1] - 2)
            at = (slice(i * block[0] + 1, (i + 1) * block[0] - 1), slice(j * block[1] + 1, (j + 1) * block[1] - 1))
            blocked[at] = inside
            if rng.random() < 0.5:
                person_free[at] = _narrow(inside)
            person_free[at] |= dead_ends(inside | person_free[at]) & ~inside
    return make_site(f"campus:{seed}", blocked, person_free=person_free, cell=cell)


def dead_ends(closed: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Open cells of a grid on which one cannot walk for ever without turning back, (rows, columns) like `closed`.

    The others are the largest set of which every cell has two neighbours in the set (the 2-core of the grid's graph):
    loops, and bridges between loops, where a person who meets a robot turns round and finds a way on. Where there is no
    loop, as in a tree of aisles, every way on ends and all cells are dead ends.
    """
    kept = np.pad(~closed, 1)
    while True:
        neighbours = np.zeros(kept.shape, np.int8)
        neighbours[1:-1, 1:-1] = (
            kept[:-2, 1:-1].astype(np.int8) + kept[2:, 1:-1] + kept[1:-1, :-2] + kept[1:-1, 2:]
        )  # fmt: skip
        fewer = kept & (neighbours >= 2)
        if (fewer == kept).all():
            return ~closed & ~kept[1:-1, 1:-1]
        kept = fewer


def paths_to(
    site: Site, goals: NDArray[np.int32], seed: int, count: int, shortest: int, longest: int
) -> CorridorLibrary:
    """`count` shortest paths of `shortest` to `longest` cells that end in one of `goals`, the same share for each.

    Raises `SiteError` where no goal can be reached from that far.
    """
    rng = np.random.default_rng([seed, 0xD0C5])
    fields = np.stack([distances(site, each) for each in np.reshape(goals, (-1, 1))])  # (goals, cells)
    field, start = np.nonzero((fields + 1 >= shortest) & (fields + 1 <= longest))
    if len(start) == 0:
        raise SiteError(
            f"expected a floor with a way of {shortest} to {longest} cells to one of {len(goals)} places, {site.name} "
            "has none; open the floor before them"
        )
    edges = np.flatnonzero(np.diff(field, prepend=-1, append=-1))  # nonzero lists goal by goal
    goal = rng.integers(len(edges) - 1, size=count)
    pick = rng.integers(edges[goal], edges[goal + 1])
    cells = np.repeat(start[pick][:, None], longest, axis=1).astype(np.int32)
    lengths = _walk(site, rng, fields, field[pick], cells, np.ones(count, np.int32), np.ones(count, bool))
    return CorridorLibrary(cells=cells, lengths=lengths)


def corridor_library(site: Site, seed: int, count: int, shortest: int = 2, longest: int = 24) -> CorridorLibrary:
    """`count` paths of `shortest` to `longest` cells over a floor, spread evenly over its separate parts.

    Most are shortest paths, half of them with few turns; one in seven goes on from its goal to another, as the way of a
    robot does that was pushed aside. One-way aisles are obeyed. Raises `SiteError` where no two cells are that far
    apart.
    """
    if not 1 <= shortest <= longest:
        raise SiteError(f"expected 1 <= shortest <= longest, got {shortest} and {longest}; swap them")
    rng = np.random.default_rng([seed, 0x9A7B5])
    parts = components(site)
    goals = _goals(rng, parts, min(96, max(8, count // 8)))
    fields = np.stack([distances(site, each) for each in goals])  # (goals, cells)
    reach = fields + 1  # cells on the way, both ends counted
    field, start = np.nonzero((reach >= shortest) & (reach <= longest))
    if len(start) == 0:
        raise SiteError(
            f"expected a floor with two cells {shortest - 1} to {longest - 1} moves apart, {site.name} has none; "
            "allow other lengths or open the floor"
        )
    # The same share for each separate part of the floor, however many cells it has.
    order = np.argsort(parts[start], kind="stable")
    field, start = field[order], start[order]
    edges = np.flatnonzero(np.diff(parts[start], prepend=-2, append=-2))
    part = rng.integers(len(edges) - 1, size=count)
    pick = rng.integers(edges[part], edges[part + 1])
    cells = np.repeat(start[pick][:, None], longest, axis=1).astype(np.int32)
    straight = rng.random(count) < 0.5
    detour = rng.random(count) < 1.0 / 7.0
    lengths = _walk(site, rng, fields, field[pick], cells, np.ones(count, np.int32), straight)
    if detour.any():
        other = rng.integers(len(fields), size=count)
        more = detour & (fields[other, cells[:, -1]] < FAR)
        if more.any():
            extended = cells[more]
            grown = _walk(site, rng, fields, other[more], extended, lengths[more], straight[more])
            cells[more], lengths[more] = extended, grown
    return CorridorLibrary(cells=cells, lengths=lengths)


def _split(
    rng: np.random.Generator, start: int, end: int, gap: int, smallest: int, largest: int
) -> list[tuple[int, int]]:
    """[start, end) cut into stretches `gap` apart, each `smallest` to `largest` long where that is possible."""
    room = end - start
    counts = [n for n in range(1, room) if smallest * n <= room - gap * (n - 1) <= largest * n]
    count = int(rng.choice(counts)) if counts else 1
    lengths = np.full(count, (room - gap * (count - 1)) // count)
    rest = room - gap * (count - 1) - lengths.sum()
    lengths[rng.permutation(count)[:rest]] += 1
    starts = start + np.concatenate(([0], np.cumsum(lengths[:-1] + gap)))
    return [(int(a), int(a + n)) for a, n in zip(starts, lengths, strict=True)]


def _rack_aisles(rng: np.random.Generator, left: int, right: int) -> list[int]:
    """Columns of the one-cell aisles between racks one or two cells deep that fill [left, right)."""
    aisles: list[int] = []
    at = left
    while True:
        at += int(rng.choice([1, 2], p=[0.3, 0.7]))  # mostly two racks back to back
        if at >= right - 1:
            return aisles
        aisles.append(at)
        at += 1


def _along(rng: np.random.Generator, count: int, start: int, end: int, cell: Callable[[int, int], int]) -> list[int]:
    """`count` cells over two sides, spread evenly over [start, end) with a little play; `cell(side, at)` names them."""
    cells = []
    for side, number in enumerate((count - count // 2, count // 2)):
        pitch = (end - start) / max(number, 1)
        for k in range(number):
            play = rng.uniform(0.3, 0.7) if pitch >= 2.0 else 0.0
            cells.append(int(cell(side, start + int((k + play) * pitch))))
    return cells


def _block(rng: np.random.Generator, height: int, width: int) -> NDArray[np.bool_]:
    """The inside of one campus block: free cells connected, at least a third of it free."""
    while True:
        kind = int(rng.choice(3, p=[0.5, 0.3, 0.2]))
        inside = (_racks, _scattered, _rooms)[kind](rng, height, width)
        label = components(make_site("block", inside))
        size = np.bincount(label[label >= 0])
        if size.max(initial=0) * 3 >= height * width:
            return (label != size.argmax()).reshape(height, width)


def _racks(rng: np.random.Generator, height: int, width: int) -> NDArray[np.bool_]:
    """Racks in rows with aisles of one to three cells between them, standing or lying."""
    inside = np.zeros((height, width), bool)
    aisle, depth, edge = (int(rng.integers(1, 4)) for _ in range(3))
    length = int(rng.integers(2, 8))
    cross = int(rng.integers(1, 4))
    first = int(rng.integers(0, 2))
    for column in range(first, width, aisle + depth):
        for row in range(edge % 2, height, length + cross):
            inside[row : row + length, column : column + depth] = True
    inside &= rng.random((height, width)) < rng.uniform(0.85, 1.0)  # a bay is missing here and there
    return inside.T.copy() if rng.random() < 0.5 and height == width else inside


def _scattered(rng: np.random.Generator, height: int, width: int) -> NDArray[np.bool_]:
    """Single blocked cells at random, none to a quarter of all."""
    return rng.random((height, width)) < rng.uniform(0.0, 0.25)


def _rooms(rng: np.random.Generator, height: int, width: int) -> NDArray[np.bool_]:
    """Four rooms with doors one or two cells wide."""
    inside = np.zeros((height, width), bool)
    row, column = int(rng.integers(2, height - 2)), int(rng.integers(2, width - 2))
    inside[row], inside[:, column] = True, True
    for begin, end in ((0, column), (column + 1, width)):
        door = int(rng.integers(begin, end))
        inside[row, door : min(end, door + int(rng.integers(1, 3)))] = False
    for begin, end in ((0, row), (row + 1, height)):
        door = int(rng.integers(begin, end))
        inside[door : min(end, door + int(rng.integers(1, 3))), column] = False
    return inside


def _narrow(blocked: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Free cells with something blocked on both sides, across or along: where a person beside a robot has no room."""
    padded = np.pad(blocked, 1, constant_values=True)
    across = padded[1:-1, :-2] & padded[1:-1, 2:]
    along = padded[:-2, 1:-1] & padded[2:, 1:-1]
    return ~blocked & (across | along)


def _goals(rng: np.random.Generator, parts: NDArray[np.int32], count: int) -> list[NDArray[np.int64]]:
    """`count` draws of one goal in each separate part: parts do not meet, so one flood serves all of them."""
    order = np.argsort(parts, kind="stable")
    order = order[parts[order] >= 0]
    edges = np.flatnonzero(np.diff(parts[order], prepend=-2, append=-2))
    return [order[rng.integers(edges[:-1], edges[1:])] for _ in range(count)]


def _walk(
    site: Site,
    rng: np.random.Generator,
    fields: NDArray[np.int32],
    field: NDArray[np.int64],
    cells: NDArray[np.int32],
    lengths: NDArray[np.int32],
    straight: NDArray[np.bool_],
) -> NDArray[np.int32]:
    """Walk each path on, downhill on its distance field, until its goal or the array's end; returns the new lengths.

    `cells` (paths, longest) is written in place, `lengths` are the cells that it holds so far. Ties between moves that
    come nearer go to the last move where `straight` is set, else to chance.
    """
    paths, longest = cells.shape
    exits = site.exits.reshape(-1, 4)
    offsets = np.array([row * site.width + column for row, column in MOVES])
    lengths = lengths.copy()
    last = np.full(paths, -1)
    here = cells[:, -1].astype(np.int64)
    while True:
        going = (fields[field, here] > 0) & (lengths < longest)
        if not going.any():
            return lengths
        nearer = np.zeros((paths, 4), bool)
        for move in range(4):
            there = np.where(exits[here, move], here + offsets[move], here)
            nearer[:, move] = fields[field, there] < fields[field, here]
        score = rng.random((paths, 4)) + 2.0 * (straight[:, None] & (np.arange(4) == last[:, None]))
        move = np.argmax(np.where(nearer, score, -1.0), axis=1)
        here = np.where(going, here + offsets[move], here)
        last = np.where(going, move, last)
        lengths[going] += 1
        ahead = np.arange(longest) >= lengths[:, None] - 1
        cells[ahead] = np.broadcast_to(here[:, None].astype(np.int32), cells.shape)[ahead]

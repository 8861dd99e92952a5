"""Lifelong path finding by PIBT: each robot's next cell, decided for all robots in one pass by priority.

PIBT (Okumura et al., "Priority Inheritance with Backtracking", AIJ 2022): robots choose in order of priority, each its
best neighbour cell by distance to its goal; a robot that stands in the chosen cell inherits the priority and chooses
next; when it finds no way out, the chooser takes its next best. A pair that must change places in a narrow aisle is
recognised a few moves ahead, and the one with the higher priority backs off to a branch, drawing the other after it
(the swap of LaCAM2, Okumura, IJCAI 2023; here only on bridges: on a ring it undoes what pushing does).

One kernel, `decide`, serves two executions. In the *synchronous* one (`lifelong`) every robot moves at once. In the
*asynchronous* one (`rightofway`) a robot plans from the end of the cells that it was granted, and everything that it
still holds on the way there is in `owner`:

- A cell that nobody holds may be taken at once.
- A cell that another robot holds but is bound to leave may be chosen too: the step stays *pending* until that robot
  has left. This is an edge of the action dependency graph: the pair (who waits, for whom).
- Edges never close a ring: a choice that would (exchanging places, rotating in a full ring) is not made. So every
  pending step is granted once the robots ahead have driven, whatever their speeds.
- Pockets (dead ends, see `pockets`) take one robot at a time, and nobody is pushed in. Everywhere else on rings PIBT's
  pushing always ends at a free cell, if there is one.
- A robot that fits beneath no standing pod is neither sent nor pushed nor drawn into the cell of one.
- A robot that is not ready (at work, stopped, silent, or with a step pending) is a fixed obstacle at its plan's end.

The kernel is deterministic: ties are broken by going straight on, then by a hash of robot and cell. Its helpers are
inlined, for passing them the tuples costs half as much again, and stand in this one file: numba's cache looks at the
kernel's file alone, and would go on using what it compiled of a helper elsewhere.
"""

# numpy's stubs give an element of an array of unknown rank the array's own type, which the kernels' helpers refuse:
# pyright: reportArgumentType=false, reportAssignmentType=false, reportReturnType=false
from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from coordination.pockets import empty_pockets
from coordination.roadmap import NONE, Fields, Roadmap
from sim.site import make_site


class Situation(NamedTuple):
    """What `decide` sees and writes. `(robots,)` and `(cells,)` arrays, all int32 unless said."""

    end: NDArray[np.int32]
    """(robots,) the last cell of each robot's plan; NONE for a robot that takes no part."""
    tail: NDArray[np.int32]
    """(robots,) the last cell that it was granted; differs from `end` while a step is pending."""
    previous: NDArray[np.int32]
    """(robots,) the granted cell before the tail to which the plan may be cut back; NONE when it may not."""
    goal: NDArray[np.int32]
    """(robots,) goal cell; NONE for an idle robot, which stays unless pushed."""
    slot: NDArray[np.int32]
    """(robots,) out: row of `fields` with the distances that were used; NONE for an idle robot."""
    heading: NDArray[np.int32]
    """(robots,) index in MOVES of the plan's last move; NONE when there was none."""
    ready: NDArray[np.uint8]
    """(robots,) 0: fixed at its end; 1: may choose; 2: may choose only when pushed."""
    owner: NDArray[np.int32]
    """(cells,) the robot that holds each cell, or NONE."""
    at: NDArray[np.int32]
    """(cells,) the robot whose plan ends in each cell, or NONE."""
    own: NDArray[np.uint8]
    """(cells,) 1 where the owner may turn back into the cell: it lies behind it and is not yet released."""
    tall: NDArray[np.uint8]
    """(robots,) 1 for a robot that fits beneath no standing pod."""
    pods: NDArray[np.uint8]
    """(cells,) 1 where a pod stands."""
    next: NDArray[np.int32]
    """(robots,) out: the next cell of each robot's plan, `end` for staying."""
    claim: NDArray[np.int32]
    """(cells,) scratch, NONE everywhere between calls."""


class Ways(NamedTuple):
    """What `decide` knows of the floor: `(cells,)` arrays of its Roadmap, and of this pass."""

    exits: NDArray[np.uint8]
    bridges: NDArray[np.uint8]
    pocket: NDArray[np.int32]
    offsets: NDArray[np.int32]
    """(4,) MOVES as steps between cells."""
    target: NDArray[np.int32]
    """(robots,) pocket of each robot's goal, or NONE."""
    users: NDArray[np.int32]
    """(pockets,) the robot that is in each pocket, NONE, or SHARED; kept up to date during the pass."""


def situation(robots: int, cells: int) -> Situation:
    """A situation without robots, with room for them."""

    def none(count: int) -> NDArray[np.int32]:
        return np.full(count, NONE, np.int32)

    return Situation(
        end=none(robots),
        tail=none(robots),
        previous=none(robots),
        goal=none(robots),
        slot=none(robots),
        heading=none(robots),
        ready=np.zeros(robots, np.uint8),
        owner=none(cells),
        at=none(cells),
        own=np.zeros(cells, np.uint8),
        tall=np.zeros(robots, np.uint8),
        pods=np.zeros(cells, np.uint8),
        next=none(robots),
        claim=none(cells),
    )


def decide(
    roadmap: Roadmap,
    fields: Fields,
    rank: NDArray[np.int64],
    now: Situation,
    around: NDArray[np.int32] | None = None,
) -> None:
    """Write the next cell of every robot to `now.next`, and the fields that were used to `now.slot`.

    `rank` (robots,): smaller chooses earlier, the index breaks ties; robots on their way out of a pocket choose before
    all others. `around` (robots,): the slot of the detour by which a robot plans, NONE for those who need none.
    """
    goal = now.goal.copy()
    users = np.full(len(roadmap.mouth), NONE, np.int32)
    leaving = np.zeros(len(goal), np.bool_)
    empty_pockets(
        now.end, now.owner, roadmap.pocket, roadmap.mouth, roadmap.depth, roadmap.pocket_cells, goal, users, leaving
    )
    now.slot[:] = fields.slots(goal)
    if around is not None:
        np.copyto(now.slot, around, where=around != NONE)
    order = np.lexsort((rank, ~leaving)).astype(np.int32)
    target = np.where(goal >= 0, roadmap.pocket[goal], NONE).astype(np.int32)
    ways = Ways(roadmap.exits, roadmap.bridges, roadmap.pocket, roadmap.offsets, target, users)
    _decide(order, now, fields.matrix, ways)


@njit(cache=True, nogil=True)
def _decide(order: NDArray[np.int32], now: Situation, fields: NDArray[np.uint16], ways: Ways) -> None:
    end, ready, at, chosen, claim = now.end, now.ready, now.at, now.next, now.claim
    pocket, users = ways.pocket, ways.users
    robots = len(end)
    stack = np.empty(robots + 1, np.int32)
    choices = np.empty((robots + 1, 5), np.int32)
    counts = np.empty(robots + 1, np.int32)
    position = np.empty(robots + 1, np.int32)
    partner = np.empty(robots + 1, np.int32)
    for robot in range(robots):
        chosen[robot] = -1
        if end[robot] >= 0 and ready[robot] == 0:
            chosen[robot] = end[robot]
            claim[end[robot]] = robot
    for root in order:
        if chosen[root] >= 0 or ready[root] != 1:
            continue
        depth = 0
        stack[0] = root
        counts[0] = -1
        settled = False  # what the robot that was pushed last came to
        while depth >= 0:
            robot = stack[depth]
            if counts[depth] < 0:
                counts[depth] = _rank(robot, now, fields, ways, choices[depth])
                partner[depth] = _swap_partner(robot, choices[depth], counts[depth], now, fields, ways)
                if partner[depth] >= 0:
                    choices[depth, : counts[depth]] = choices[depth, : counts[depth]][::-1].copy()
                position[depth] = 0
            elif settled:
                _draw_after(robot, partner[depth], position[depth], now)
                depth -= 1
                continue
            else:
                chosen[robot] = -1  # the pushed robot could not leave, and has claimed its cell
                position[depth] += 1
            pushed = -1
            settled = False
            while position[depth] < counts[depth]:
                cell = choices[depth, position[depth]]
                if claim[cell] < 0:
                    there = at[cell]
                    if there >= 0 and there != robot and chosen[there] < 0:
                        pushed = there
                    else:
                        settled = _leads_out(robot, cell, now)
                    if pushed >= 0 or settled:
                        chosen[robot] = cell
                        claim[cell] = robot
                        if pocket[cell] >= 0 and users[pocket[cell]] == -1:
                            users[pocket[cell]] = robot  # kept for this pass even when it must choose again
                        break
                position[depth] += 1
            if pushed >= 0:
                depth += 1
                stack[depth] = pushed
                counts[depth] = -1
                continue
            if settled:
                _draw_after(robot, partner[depth], position[depth], now)
            else:
                chosen[robot] = end[robot]
                claim[end[robot]] = robot
            depth -= 1
    for robot in range(robots):
        if end[robot] >= 0:
            if chosen[robot] < 0:  # only to be moved when pushed, and nobody did
                chosen[robot] = end[robot]
            claim[chosen[robot]] = -1
            claim[end[robot]] = -1


@njit(forceinline=True)
def _rank(robot: int, now: Situation, fields: NDArray[np.uint16], ways: Ways, choices: NDArray[np.int32]) -> int:
    """Write the cells that the robot may want, best first; returns how many."""
    slot, heading, at, owner = now.slot, now.heading, now.at, now.owner
    pocket, users = ways.pocket, ways.users
    here = now.end[robot]
    keys = np.empty(5, np.int64)
    count = 0
    for move in range(5):
        if move == 4:
            cell = here
        elif ways.exits[here] >> move & 1:
            cell = here + ways.offsets[move]
        else:
            continue
        if slot[robot] >= 0:
            distance = np.int64(fields[slot[robot], cell])
            if distance == 65535 and cell != here:
                continue
        else:
            distance = np.int64(0 if cell == here else 1)
        if cell != here and owner[cell] == robot and cell != now.previous[robot] and now.own[cell] == 0:
            continue
        if cell != here and now.tall[robot] != 0 and now.pods[cell] != 0:
            continue
        if pocket[cell] >= 0 and pocket[cell] != pocket[here]:
            # nobody is pushed into a pocket, and who wants in waits until it is empty
            user = users[pocket[cell]]
            if pocket[cell] != ways.target[robot] or (user != -1 and user != robot):
                continue
        # distance, then a free cell, then straight on, then a hash that spreads robots over equal ways
        key = distance * 64
        if at[cell] >= 0 and at[cell] != robot:
            key += 32
        if move < 4 and heading[robot] >= 0 and move != heading[robot]:
            key += 16
        key += ((robot * 40503 + cell * 30011) >> 4) & 15
        slot_at = count
        while slot_at > 0 and keys[slot_at - 1] > key:
            keys[slot_at] = keys[slot_at - 1]
            choices[slot_at] = choices[slot_at - 1]
            slot_at -= 1
        keys[slot_at] = key
        choices[slot_at] = cell
        count += 1
    return count


@njit(forceinline=True)
def _leads_out(robot: int, cell: int, now: Situation) -> bool:
    """Whether a step into the cell closes no ring of robots that wait for each other.

    Follows who must leave for whom: a robot leaves a cell unconditionally when its granted cells go on from there.
    """
    end, tail, owner, chosen = now.end, now.tail, now.owner, now.next
    holder = owner[cell]
    if holder < 0:
        return True
    if holder == robot:
        return cell == end[robot] or cell == now.previous[robot] or now.own[cell] != 0
    for _ in range(len(end)):
        if holder == robot:
            return False
        if tail[holder] != cell:
            return True
        cell = chosen[holder] if chosen[holder] >= 0 else end[holder]
        if cell == tail[holder]:
            return False
        following = owner[cell]
        if following < 0 or following == holder:
            return True
        holder = following
    return False


@njit(forceinline=True)
def _draw_after(robot: int, partner: int, position: int, now: Situation) -> None:
    """The swap partner follows into the cell that the robot, on its first choice, leaves."""
    end, chosen, claim = now.end, now.next, now.claim
    if partner < 0 or position != 0 or chosen[partner] >= 0 or chosen[robot] == end[robot]:
        return
    cell = end[robot]
    if claim[cell] >= 0 or claim[end[partner]] >= 0 or (now.tall[partner] != 0 and now.pods[cell] != 0):
        return
    chosen[partner] = cell
    claim[cell] = partner


@njit(forceinline=True)
def _branches(cell: int, came_from: int, ways: Ways) -> tuple[int, int]:
    """How many ways lead on from a cell (not back and not into a pocket), and the last one."""
    count = 0
    onward = -1
    for move in range(4):
        if ways.exits[cell] >> move & 1:
            there = cell + ways.offsets[move]
            if there == came_from or ways.pocket[there] >= 0:
                continue
            count += 1
            onward = there
    return count, onward


@njit(forceinline=True)
def _swap_required(
    pusher: int, pulled: int, pusher_cell: int, pulled_cell: int, now: Situation, fields: NDArray[np.uint16], ways: Ways
) -> bool:
    """Whether pushing on would come to no branch before the pusher's goal, so that the two must change places."""
    slot = now.slot
    if slot[pusher] < 0:
        return False
    field = fields[slot[pusher]]
    other = fields[max(slot[pulled], 0)]
    idle = slot[pulled] < 0
    steps = 0
    while field[pulled_cell] < field[pusher_cell]:
        count, onward = _branches(pulled_cell, pusher_cell, ways)
        if count >= 2:
            return False
        if count <= 0:
            break
        pusher_cell, pulled_cell = pulled_cell, onward
        steps += 1
        if steps > 4096:
            return False
    deeper = field[pusher_cell] == 0 or field[pulled_cell] < field[pusher_cell]
    if idle:
        return field[pulled_cell] < field[pusher_cell]
    return other[pusher_cell] < other[pulled_cell] and deeper


@njit(forceinline=True)
def _swap_possible(pusher_cell: int, pulled_cell: int, ways: Ways) -> bool:
    """Whether backing off from `pusher_cell` by way of `pulled_cell` comes to a branch."""
    origin = pusher_cell
    steps = 0
    while pulled_cell != origin and steps <= 4096:
        count, onward = _branches(pulled_cell, pusher_cell, ways)
        if count >= 2:
            return True
        if count <= 0:
            return False
        pusher_cell, pulled_cell = pulled_cell, onward
        steps += 1
    return False


@njit(forceinline=True)
def _swap_partner(
    robot: int, choices: NDArray[np.int32], count: int, now: Situation, fields: NDArray[np.uint16], ways: Ways
) -> int:
    """The robot with which this one must change places and can, or -1."""
    at, chosen = now.at, now.next
    if count == 0 or now.slot[robot] < 0:
        return -1
    here = now.end[robot]
    want = choices[0]
    on_ring = True
    for move in range(4):
        if ways.bridges[here] >> move & 1 and want == here + ways.offsets[move]:
            on_ring = False
    if on_ring:
        return -1  # whoever stands there can go around: PIBT's pushing suffices, and backing off would undo it
    there = at[want]
    if (
        there >= 0
        and chosen[there] < 0
        and _swap_required(robot, there, here, want, now, fields, ways)
        and _swap_possible(want, here, ways)
    ):
        return there
    for move in range(4):
        if ways.exits[here] >> move & 1:
            cell = here + ways.offsets[move]
            beside = at[cell]
            if beside < 0 or cell == want or chosen[beside] >= 0 or now.ready[beside] == 0:
                continue
            if _swap_required(beside, robot, here, want, now, fields, ways) and _swap_possible(want, here, ways):
                return beside
    return -1


def warm() -> None:
    """Compile (or load from numba's cache) what this module runs in a tick."""
    roadmap = Roadmap(make_site("warm", np.zeros((1, 3), bool)))
    now = situation(2, roadmap.cells)
    decide(roadmap, Fields(roadmap, slots=2), np.zeros(2, np.int64), now)

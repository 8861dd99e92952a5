"""Who may enter shared ground: a part of traffic's decisions (sim/driving/deciding.py).

Ground that two lanes share is given to one vehicle after the other in the order in which they asked (tickets); a
vehicle asks for all such lanes in a row at once, when it is the first of its lane and the lane behind them has room
for it. Who holds lanes can therefore always leave them, and of those who ask one is always the first: nobody waits for
ever, without traffic lights or priority signs.
"""

# pyright: reportGeneralTypeIssues=false, reportArgumentType=false, reportIndexIssue=false, reportCallIssue=false
# pyright: reportAttributeAccessIssue=false, reportOperatorIssue=false, reportReturnType=false
# pyright: reportInvalidTypeForm=false, reportOptionalMemberAccess=false, reportAssignmentType=false
# Warp traces kernels itself: its scalar and array types are not what a type checker takes them for.

from __future__ import annotations

import warp as wp

from sim.driving.following import Rules, meets, path_distance
from sim.driving.maparrays import ConflictArrays
from sim.driving.movers import MapArrays, MoverArrays
from sim.driving.standing import CLAIMS_C, HOPS_C
from sim.driving.state import ActorArrays
from sim.frenet import Lanes

wp.set_module_options({"fuse_fp": False, "enable_backward": False})


@wp.func
def has_passed(
    lanes: Lanes, conflicts: ConflictArrays, actors: ActorArrays, movers: MoverArrays, world: int, j: int, row: int
) -> bool:
    """Whether the rear of j is beyond the shared ground of a row of conflicts, whose other lane j holds."""
    other = conflicts.other[row]
    rear = actors.place[world, j, 0] - 0.5 * actors.size[world, j, 0]
    lane = actors.lane[world, j]
    if lane == other:
        return rear > conflicts.other_end[row] + 0.5
    if movers.before[world, j] == other:
        return rear + lanes.length[other] > conflicts.other_end[row] + 0.5
    # neither on it nor just off it: beyond if an earlier lane of its claim lies behind it
    return path_distance(movers, world, j, other, 0.0) == wp.inf


@wp.func
def may_enter(
    lanes: Lanes, conflicts: ConflictArrays, actors: ActorArrays, movers: MoverArrays, world: int, i: int, slots: int
) -> bool:
    """Whether nobody holds, and nobody who asked before, what i asks for."""
    for j in range(slots):
        holds = movers.claim[world, j, 0] >= 0
        asks = movers.ready[world, j] != 0 and (
            movers.ticket[world, j] < movers.ticket[world, i]
            or (movers.ticket[world, j] == movers.ticket[world, i] and j < i)
        )
        if j != i and actors.kind[world, j] >= 0 and (holds or asks):
            for k in range(CLAIMS_C):
                mine = movers.want[world, i, k]
                if mine >= 0:
                    for m in range(CLAIMS_C):
                        theirs = movers.want[world, j, m]
                        if holds:
                            theirs = movers.claim[world, j, m]
                        if theirs >= 0:
                            row = meets(conflicts, mine, theirs)
                            if row >= 0:
                                if not holds:
                                    return False
                                if not has_passed(lanes, conflicts, actors, movers, world, j, row):
                                    return False
    return True


@wp.func
def ego_in_the_way(
    rules: Rules, lanes: Lanes, conflicts: ConflictArrays, actors: ActorArrays, movers: MoverArrays, world: int, i: int
) -> bool:
    """Whether an ego holds ground that i holds too: it drove in without being the next."""
    for j in range(rules.robots):
        if j != i and movers.claim[world, j, 0] >= 0:
            for k in range(CLAIMS_C):
                mine = movers.claim[world, i, k]
                if mine >= 0:
                    for m in range(CLAIMS_C):
                        theirs = movers.claim[world, j, m]
                        if theirs >= 0:
                            row = meets(conflicts, mine, theirs)
                            if row >= 0 and not has_passed(lanes, conflicts, actors, movers, world, j, row):
                                return True
    return False


@wp.func
def way_to_claim(map: MapArrays, movers: MoverArrays, world: int, i: int, half: float) -> float:
    """From i's front to the line before the first lane that it holds, m; inf where it is beyond it."""
    first = movers.claim[world, i, 0]
    for hop in range(1, HOPS_C):
        if movers.path[world, i, hop] == first:
            if map.stop[first] <= 0.0:
                return movers.path_at[world, i, hop - 1] + map.line[movers.path[world, i, hop - 1]] - half
            return movers.path_at[world, i, hop] + map.stop[first] - half
    return wp.inf

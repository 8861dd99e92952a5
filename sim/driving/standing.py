"""How somebody of traffic stands: the pose that follows from lane, s and d, and the empty slot.

A pose is worked out anew in each motor period of each vehicle, so that it must cost little: the frame of the lane is
taken once in a control step (`stand_on`), and poses between follow the arc of its curvature (`put`).
"""

# pyright: reportGeneralTypeIssues=false, reportArgumentType=false, reportIndexIssue=false, reportCallIssue=false
# pyright: reportAttributeAccessIssue=false, reportOperatorIssue=false, reportReturnType=false
# pyright: reportInvalidTypeForm=false, reportOptionalMemberAccess=false, reportAssignmentType=false
# Warp traces kernels itself: its scalar and array types are not what a type checker takes them for.

from __future__ import annotations

import warp as wp

from sim.driving.movers import CLAIMS, HOPS, MoverArrays
from sim.driving.state import ActorArrays
from sim.frenet import Lanes, lane_frame

wp.set_module_options({"fuse_fp": False, "enable_backward": False})

PARKED = -1000.0
"""x and y of slots without anybody, m from the road's middle: away from everybody, and still a number."""

HOPS_C = wp.constant(HOPS)
CLAIMS_C = wp.constant(CLAIMS)
PARKED_C = wp.constant(PARKED)


@wp.func
def forget(movers: MoverArrays, world: int, i: int) -> None:
    """Nobody, or nobody who drives on a lane."""
    for hop in range(HOPS_C):
        movers.path[world, i, hop] = -1
    for k in range(CLAIMS_C):
        movers.claim[world, i, k] = -1
        movers.want[world, i, k] = -1
    movers.also[world, i] = -1
    movers.ticket[world, i] = -1
    movers.ready[world, i] = 0
    movers.granted[world, i] = 0
    movers.line[world, i] = wp.inf


@wp.func
def vanish(actors: ActorArrays, movers: MoverArrays, world: int, i: int) -> None:
    """An empty slot."""
    actors.kind[world, i] = -1
    actors.lane[world, i] = -1
    actors.violates[world, i] = wp.uint8(0)
    for k in range(3):
        actors.motion[world, i, k] = 0.0
        actors.place[world, i, k] = 0.0
    actors.pose[world, i, 0] = PARKED_C
    actors.pose[world, i, 1] = PARKED_C - 20.0 * float(i)
    actors.pose[world, i, 2] = 0.0
    movers.side[world, i] = 0
    movers.crossed[world, i] = 0
    movers.pending[world, i] = 0
    movers.rest[world, i] = 0
    movers.before[world, i] = -1
    movers.leave[world, i] = -1
    movers.stood[world, i] = 0
    movers.ahead[world, i] = -1
    movers.crossing[world, i] = -1
    movers.walk[world, i] = 0
    movers.also_s[world, i] = 0.0
    movers.aim[world, i] = 0.0
    movers.slant[world, i] = 0.0
    movers.driven[world, i] = 0.0
    movers.gap[world, i] = 0.0
    movers.accel[world, i] = 0.0
    movers.along[world, i] = 0.0
    movers.pace[world, i] = 0.0
    movers.allowed[world, i] = 0.0
    for k in range(movers.base.shape[2]):
        movers.base[world, i, k] = 0.0
    for hop in range(movers.path.shape[2]):
        movers.path_at[world, i, hop] = 0.0
    forget(movers, world, i)


@wp.func
def stand_on(lanes: Lanes, actors: ActorArrays, movers: MoverArrays, world: int, i: int) -> None:
    """Take the frame of the lane where somebody is as the one that `put` starts from."""
    s = actors.place[world, i, 0]
    frame = lane_frame(lanes, actors.lane[world, i], s)
    movers.base[world, i, 0] = s
    movers.base[world, i, 1] = frame.x
    movers.base[world, i, 2] = frame.y
    movers.base[world, i, 3] = frame.heading
    movers.base[world, i, 4] = wp.cos(frame.heading)
    movers.base[world, i, 5] = wp.sin(frame.heading)
    movers.base[world, i, 6] = frame.curvature


@wp.func
def put(
    actors: ActorArrays, movers: MoverArrays, world: int, i: int, s: float, d: float, slant: float, v: float
) -> None:
    """The pose that follows from s, d and slant: along the arc of the lane's curvature from this control step's frame.

    The arc is at most 2 m long; its angle e is below 0.1, for which cos e = 1 - e^2 / 2 and sin e = e are within 2e-4.
    """
    way = s - movers.base[world, i, 0]
    cos = movers.base[world, i, 4]
    sin = movers.base[world, i, 5]
    curvature = movers.base[world, i, 6]
    half = 0.5 * curvature * way
    turn = 2.0 * half
    x = movers.base[world, i, 1] + way * (cos - sin * half)
    y = movers.base[world, i, 2] + way * (sin + cos * half)
    near = 1.0 - 0.5 * turn * turn
    actors.pose[world, i, 0] = x - d * (sin * near + cos * turn)
    actors.pose[world, i, 1] = y + d * (cos * near - sin * turn)
    square = slant * slant
    angle = slant * (1.0 + square * (1.0 / 6.0 + 0.075 * square))  # asin below 0.2
    actors.pose[world, i, 2] = movers.base[world, i, 3] + turn + angle
    actors.motion[world, i, 2] = curvature * v * wp.sqrt(1.0 - square)

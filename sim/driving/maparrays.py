"""The map on a device: conflicts, crossings and routes of an atlas, as kernels read them.

`sim.driving.atlas.Atlas` makes them; who only reads them (the shield, a robot) needs no more than this module.
"""

# pyright: reportGeneralTypeIssues=false, reportArgumentType=false, reportIndexIssue=false, reportCallIssue=false
# pyright: reportAttributeAccessIssue=false, reportInvalidTypeForm=false
# Warp traces kernels itself: its scalar and array types are not what a type checker takes them for.

from __future__ import annotations

import warp as wp

wp.set_module_options({"fuse_fp": False, "enable_backward": False})


@wp.struct
class ConflictArrays:
    """Stretches of lanes that share ground with other lanes (`sim.road.Conflict`), both ways round; N in all."""

    first: wp.array(dtype=wp.int32)
    """Of each lane, rising with `begin`; (L + 1,)"""
    other: wp.array(dtype=wp.int32)
    """The other lane, (N,)"""
    begin: wp.array(dtype=wp.float32)
    """s on the lane, m, (N,)"""
    end: wp.array(dtype=wp.float32)
    other_begin: wp.array(dtype=wp.float32)
    """s on the other lane, m, (N,)"""
    other_end: wp.array(dtype=wp.float32)
    kind: wp.array(dtype=wp.int32)
    """`sim.road.ConflictKind`, (N,)"""


@wp.struct
class CrossingArrays:
    """Where people cross: C crossings, M meetings of a lane with one."""

    first: wp.array(dtype=wp.int32)
    """Of each road, (R + 1,)"""
    ends: wp.array2d(dtype=wp.float32)
    """x, y of the middle of one end and of the other, m; (C, 4)"""
    width: wp.array(dtype=wp.float32)
    """m, (C,)"""
    lane_first: wp.array(dtype=wp.int32)
    """Of each lane's meetings, rising with `begin`; (L + 1,)"""
    crossing: wp.array(dtype=wp.int32)
    """Which crossing, (M,)"""
    s: wp.array(dtype=wp.float32)
    """Where the lane's centre meets the crossing's middle line, m on the lane, (M,)"""
    begin: wp.array(dtype=wp.float32)
    """From where to where the lane's strip and the crossing's share ground, m on the lane, (M,)"""
    end: wp.array(dtype=wp.float32)
    along: wp.array(dtype=wp.float32)
    """Where on the crossing that is, m from its first end, (M,)"""


@wp.struct
class RoutesArrays:
    """K routes of all roads; M is the number of lanes of the road with the most."""

    road: wp.array(dtype=wp.int32)
    """(K,)"""
    first: wp.array(dtype=wp.int32)
    """First lane of its road, (K,)"""
    road_first: wp.array(dtype=wp.int32)
    """First route of each road, (R + 1,)"""
    start_lane: wp.array(dtype=wp.int32)
    """Lane of the atlas, (K,)"""
    start_s: wp.array(dtype=wp.float32)
    goal_lane: wp.array(dtype=wp.int32)
    goal_s: wp.array(dtype=wp.float32)
    length: wp.array(dtype=wp.float32)
    """From start to goal, m, (K,)"""
    next_lane: wp.array2d(dtype=wp.int32)
    """Lane of the atlas to take next, -1 where the road ends; column: lane less `first`; (K, M)"""
    togo: wp.array2d(dtype=wp.float32)
    """From a lane's beginning to the goal, m, inf where there is no way; less the s on the lane it is what is left, so
    that it is negative beyond the goal; (K, M)"""


@wp.func
def route_next(routes: RoutesArrays, route: int, lane: int) -> int:
    """The lane to take from a lane of the route's road."""
    return routes.next_lane[route, lane - routes.first[route]]


@wp.func
def route_togo(routes: RoutesArrays, route: int, lane: int, s: float) -> float:
    """Metres left to the goal."""
    return routes.togo[route, lane - routes.first[route]] - s

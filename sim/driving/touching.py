"""Which actors an ego's box overlaps: the oracle of contacts on the road, for both bodies.

Two rectangles are apart exactly if one of the four directions of their sides separates them (separating axes). Along a
side's normal n, with half lengths a, b along the unit vectors u, v of each rectangle and d between their middles,

    |n . d| > sum of (a |n . u| + b |n . v|) over both

Rectangles that touch without overlapping count as apart. The shield has its own geometry: this module shares none.
"""

# pyright: reportGeneralTypeIssues=false, reportArgumentType=false, reportIndexIssue=false, reportCallIssue=false
# pyright: reportAttributeAccessIssue=false, reportOperatorIssue=false, reportReturnType=false
# pyright: reportInvalidTypeForm=false, reportOptionalMemberAccess=false
# Warp traces kernels itself: its scalar and array types are not what a type checker takes them for.

from __future__ import annotations

import warp as wp

from sim.driving.state import ActorArrays
from sim.launches import Launchable, per_thread, record

wp.set_module_options({"fuse_fp": False, "enable_backward": False})


@wp.func
def apart_along(nx: float, ny: float, d: wp.vec2, u: wp.vec2, half: wp.vec2, w: wp.vec2, other: wp.vec2) -> bool:
    """Whether the direction n separates two rectangles of sides along u and w, with half lengths and widths."""
    n = wp.vec2(nx, ny)
    one = half[0] * wp.abs(wp.dot(n, u)) + half[1] * wp.abs(n[0] * u[1] - n[1] * u[0])
    two = other[0] * wp.abs(wp.dot(n, w)) + other[1] * wp.abs(n[0] * w[1] - n[1] * w[0])
    return wp.abs(wp.dot(n, d)) >= one + two


@wp.func
def overlaps(actors: ActorArrays, world: int, a: int, b: int) -> bool:
    """Whether the rectangles of two slots overlap."""
    d = wp.vec2(
        actors.pose[world, b, 0] - actors.pose[world, a, 0], actors.pose[world, b, 1] - actors.pose[world, a, 1]
    )
    half = wp.vec2(0.5 * actors.size[world, a, 0], 0.5 * actors.size[world, a, 1])
    other = wp.vec2(0.5 * actors.size[world, b, 0], 0.5 * actors.size[world, b, 1])
    reach = wp.length(half) + wp.length(other)
    if wp.dot(d, d) >= reach * reach:
        return False
    u = wp.vec2(wp.cos(actors.pose[world, a, 2]), wp.sin(actors.pose[world, a, 2]))
    w = wp.vec2(wp.cos(actors.pose[world, b, 2]), wp.sin(actors.pose[world, b, 2]))
    return not (
        apart_along(u[0], u[1], d, u, half, w, other)
        or apart_along(-u[1], u[0], d, u, half, w, other)
        or apart_along(w[0], w[1], d, u, half, w, other)
        or apart_along(-w[1], w[0], d, u, half, w, other)
    )


@wp.kernel
def find_touching(robots: int, actors: ActorArrays, touching: wp.array2d(dtype=wp.uint8), each: int) -> None:
    """For each row and slot, whether they overlap; empty slots and the ego itself do not."""
    row, part = wp.tid()  # pyright: ignore[reportAssignmentType]  # as many as the launch has dimensions
    world = row / robots
    ego = row % robots
    for slot in range(part * each, (part + 1) * each):
        found = wp.uint8(0)
        there = slot != ego and actors.kind[world, slot] >= 0 and actors.kind[world, ego] >= 0
        if there and overlaps(actors, world, ego, slot):
            found = wp.uint8(1)
        touching[row, slot] = found


def record_touching(robots: int, actors: ActorArrays, touching: wp.array, device: str) -> Launchable:
    """The launch that fills `touching` (rows, A), uint8, from the actors' boxes, egos' slots included."""
    rows, slots = touching.shape
    each = per_thread(slots, device)
    return record(find_touching, (rows, slots // each), [robots, actors, touching, each], device)

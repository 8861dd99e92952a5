"""Ways over crossings as walkers take them: how far in the kerbs are, and along which walkways people come and go.

Worked out once for an atlas: from each end of a crossing a way leads along the walkway there in the direction in which
that one is longer, or straight on where the map has none.
"""

# pyright: reportGeneralTypeIssues=false, reportArgumentType=false, reportIndexIssue=false, reportCallIssue=false
# pyright: reportAttributeAccessIssue=false, reportOperatorIssue=false, reportReturnType=false
# pyright: reportInvalidTypeForm=false, reportOptionalMemberAccess=false, reportAssignmentType=false
# Warp traces kernels itself: its scalar and array types are not what a type checker takes them for.

from __future__ import annotations

import numpy as np
import warp as wp

from sim.driving.atlas import Atlas
from sim.road import LaneKind, Road

wp.set_module_options({"fuse_fp": False, "enable_backward": False})


@wp.struct
class WayArrays:
    """What walkers know of crossings, precomputed of an atlas."""

    kerb: wp.array2d(dtype=wp.float32)
    """From each end to the first lane for vehicles, m, (C, 2)"""
    inset: wp.array2d(dtype=wp.float32)
    """From each end to the middle of the walkway, m, (C, 2)"""
    leg: wp.array3d(dtype=wp.float32)
    """Direction away from each end along which people come and go, (C, 2, 2)"""
    first: wp.array(dtype=wp.int32)
    """Of each crossing's meetings, (C + 1,)"""
    row: wp.array(dtype=wp.int32)
    """Row in `CrossingArrays`, (M,)"""
    lane: wp.array(dtype=wp.int32)
    """Lane of each row of `CrossingArrays`, (M,)"""


def way_arrays(atlas: Atlas) -> WayArrays:
    """The precomputed arrays of an atlas."""
    crossings = atlas.crossings
    crossing, along = crossings.crossing.numpy(), crossings.along.numpy()
    lane = np.repeat(np.arange(int(atlas.first[-1])), np.diff(crossings.lane_first.numpy()))
    every = [(number, each) for number, road in enumerate(atlas.roads) for each in road.crossings]
    kerb, inset, leg = np.zeros((len(every), 2)), np.zeros((len(every), 2)), np.zeros((len(every), 2, 2))
    walkways = [_walkways(road) for road in atlas.roads]
    for index, (number, each) in enumerate(every):
        met = along[crossing == index]
        if len(met):
            kerb[index] = max(met.min() - 1.7, 0.0), max(each.length - met.max() - 1.7, 0.0)
        ends = np.array([each.start, each.end])
        inward = (ends[1] - ends[0]) / max(each.length, 1e-9)
        for end in (0, 1):
            towards = inward if end == 0 else -inward
            inset[index, end], leg[index, end] = _leg(walkways[number], ends[end], towards, float(kerb[index, end]))
    order = np.argsort(crossing, kind="stable")
    arrays = WayArrays()
    floats = {"kerb": kerb, "inset": inset, "leg": leg}
    whole = {
        "first": np.concatenate([[0], np.cumsum(np.bincount(crossing, minlength=len(every)))]),
        "row": order, "lane": lane,
    }  # fmt: skip
    for name, values in floats.items():
        setattr(arrays, name, wp.array(values.astype(np.float32), dtype=wp.float32, device=atlas.device))
    for name, values in whole.items():
        setattr(arrays, name, wp.array(values.astype(np.int32), dtype=wp.int32, device=atlas.device))
    return arrays


def _walkways(road: Road) -> np.ndarray:
    """Points of the walkways' centres with their headings and the way left either way, (points, 5)."""
    parts = [
        np.column_stack([lane.centre, lane.heading, lane.s, lane.length - lane.s])
        for lane in road.lanes
        if lane.kind == LaneKind.WALKWAY
    ]
    return np.concatenate(parts) if parts else np.zeros((0, 5))


def _leg(points: np.ndarray, end: np.ndarray, inward: np.ndarray, kerb: float) -> tuple[float, np.ndarray]:
    """How far inside the end the walkway's middle is, and the direction in which it leads on furthest."""
    inside = 0.5 * kerb
    if len(points):
        distance = np.hypot(*(points[:, :2] - (end + inside * inward)).T)
        nearest = int(distance.argmin())
        if distance[nearest] < 1.0:
            _, _, heading, back, onward = points[nearest]
            sign = 1.0 if onward >= back else -1.0
            return inside, sign * np.array([np.cos(heading), np.sin(heading)])
    return 0.0, -inward

"""Frames, angles and the corridor: plane geometry that every floor shares.

A corridor is the ground that a robot may cover: a polyline of way-points in W whose segment i runs from point i-1
to point i, `half_width[i]` to each side and, square-capped, as far beyond both ends. Over cells of a warehouse
floor this is exactly the union of the granted cells; a goal in free space is one wide segment. A corridor of one
point is one square; a corridor of no point is no permission to move.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

CORRIDOR_POINTS = 8
"""Way-points that corridor arrays have room for; longer corridors are cut at the far end."""


@dataclass(frozen=True)
class Corridor:
    """The ground that one robot may cover, in W."""

    points: NDArray[np.float32]
    """Way-points, (n, 2), m."""
    half_width: NDArray[np.float32]
    """Half width of the segment that ends at each point, (n,), m; entry 0 is the cap around the first point."""


@dataclass(frozen=True)
class CorridorArrays:
    """Corridors of many rows, padded to CORRIDOR_POINTS by repeating the last point."""

    points: NDArray[np.float32]
    """(rows, CORRIDOR_POINTS, 2)"""
    half_width: NDArray[np.float32]
    """(rows, CORRIDOR_POINTS)"""
    count: NDArray[np.int32]
    """Way-points in use, (rows,); 0 is no permission."""


def pack_corridors(corridors: Sequence[Corridor]) -> CorridorArrays:
    """Corridors as padded arrays, one row each; way-points beyond CORRIDOR_POINTS are cut off."""
    rows = len(corridors)
    points = np.zeros((rows, CORRIDOR_POINTS, 2), np.float32)
    half_width = np.zeros((rows, CORRIDOR_POINTS), np.float32)
    count = np.zeros(rows, np.int32)
    for row, corridor in enumerate(corridors):
        n = min(len(corridor.points), CORRIDOR_POINTS)
        count[row] = n
        if n:
            points[row, :n] = corridor.points[:n]
            points[row, n:] = corridor.points[n - 1]
            half_width[row, :n] = corridor.half_width[:n]
            half_width[row, n:] = corridor.half_width[n - 1]
    return CorridorArrays(points=points, half_width=half_width, count=count)


def wrap_angle(angle: float) -> float:
    """The same angle in (-pi, pi]."""
    return math.atan2(math.sin(angle), math.cos(angle))

"""A whole drive on a plan of its road: one picture with the way that was driven, in the colours of who drove.

`drive_map(course, moments)` fits what was driven into a frame, or the whole road of a drive without moments. Marks:
where it began (white), where the car was last (blue), contacts (red).
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from sim.driving.drawn import COLOURS, GRASS, DrawnRoad, drawn_road
from sim.driving.figures import EGO, HALO
from sim.driving.instruments import TONES
from sim.driving.moment import Course, Moment
from sim.driving.picture import to_bytes
from sim.driving.raster import Brush, Bytes, Part, Sheet, disc, window_at
from sim.road import Floats

WAY: Bytes = (28, 116, 232)
"""Where the policy drove: on a plan green would be lost among the trees."""

ROOM = 25.0
"""Around what was driven, m."""

SCALE_MAX = 4.0
"""Pixels per metre of a short drive."""


def drive_map(
    course: Course,
    moments: Sequence[Moment],
    width: int = 1100,
    height: tuple[int, int] = (150, 480),
    *,
    drawn: DrawnRoad | None = None,
) -> NDArray[np.uint8]:
    """The plan, as high as it needs to be between two heights, (rows, width, 3)."""
    drawn = drawn if drawn is not None else drawn_road(course.road)
    way = np.array([course.size.middle(*moment.pose) for moment in moments]).reshape(-1, 2)
    low_x, low_y, high_x, high_y = drawn.bounds
    low, high = (way.min(axis=0) - ROOM, way.max(axis=0) + ROOM) if len(way) else ((low_x, low_y), (high_x, high_y))
    span = np.subtract(high, low)
    scale = float(min(width / span[0], height[1] / span[1], SCALE_MAX))
    rows = min(max(round(scale * float(span[1])), height[0]), height[1])
    x, y = (0.5 * np.add(low, high)).tolist()
    window = window_at(x, y, scale, width, rows)
    parts = [Part(strip.outline, to_bytes(COLOURS[strip.ground])) for strip in drawn.strips]
    brush = Brush(Sheet(parts, scale, to_bytes(GRASS)).cut(window), window)
    for mode, stretch in _stretches(way, [moment.mode for moment in moments]):
        brush.line(stretch, max(2.2, 4.0 / scale), TONES[mode] if mode in TONES and mode != "policy" else WAY)
    if len(way):
        _mark(brush, way[0], 7.0 / scale, HALO, WAY)
        _mark(brush, way[-1], 7.0 / scale, EGO, HALO)
    touched = np.array([bool(moment.contact) for moment in moments], bool)
    for row in np.flatnonzero(touched & ~np.append(False, touched[:-1])).tolist():
        _mark(brush, way[row], 9.0 / scale, TONES["stopped"], HALO)
    return brush.frame()


def _mark(brush: Brush, at: Floats, radius: float, inner: Bytes, outer: Bytes) -> None:
    brush.fill([disc(at, radius)], outer)
    brush.fill([disc(at, 0.65 * radius)], inner)


def _stretches(way: Floats, modes: Sequence[str]) -> list[tuple[str, Floats]]:
    """Pieces of the way in which the same drove, each with the first point of the next; the policy's first."""
    cuts = [0, *(k for k in range(1, len(modes)) if modes[k] != modes[k - 1]), len(modes)]
    pieces = [(modes[a], way[a : b + 1]) for a, b in itertools.pairwise(cuts) if b > a]
    return sorted(pieces, key=lambda piece: piece[0] != "policy")

"""Values of CommonRoad files: exact ones, intervals, places, areas and shapes (sim/commonroad.py reads what has them).

An interval or an area stands for its middle where one value is needed; how far an area reaches from there is told.
"""

from __future__ import annotations

import math

import numpy as np

from sim.road import Floats
from sim.xmltree import Element


def point(element: Element) -> tuple[float, float]:
    """X and y of a <point> or a <center>, m."""
    return element.one("x").value(), element.one("y").value()


def scalar(element: Element | None, default: float | None, owner: Element) -> float:
    """An exact value, or the middle of an interval; raises where neither is given and there is no default."""
    low, high = interval(element)
    if element is None:
        if default is None:
            raise owner.fault(f"expected an orientation in <{owner.tag}>, it is missing; add it")
        return default
    return 0.5 * (low + high)


def interval(element: Element | None) -> tuple[float, float]:
    """An exact value twice, or an interval; everything where nothing is stated."""
    if element is None:
        return -math.inf, math.inf
    exact = element.some("exact")
    if exact is not None:
        value = exact.value()
        return value, value
    low, high = element.one("intervalStart").value(), element.one("intervalEnd").value()
    if high < low:
        raise element.fault(f"expected an interval, got {low:g} to {high:g}; turn it round")
    return low, high


def place(position: Element) -> tuple[float, float, float]:
    """Middle of a position, and the radius of the area that it states (0 for a point)."""
    if len(position.children) != 1:
        raise position.fault(f"expected one point or area in <position>, got {len(position.children)}; repair it")
    (part,) = position.children
    if part.tag == "point":
        return (*point(part), 0.0)
    outline = outline_of(part)
    x, y = (0.5 * (outline.min(axis=0) + outline.max(axis=0))).tolist()
    return x, y, float(np.hypot(*(outline - (x, y)).T).max())


def outline_of(part: Element) -> Floats:
    """The corners of an area, (corners, 2); a circle as a polygon around it with 16."""
    if part.tag == "rectangle":
        length, width = part.one("length").value(low=0.0), part.one("width").value(low=0.0)
        turn = part.some("orientation")
        centre = part.some("center")
        angle = turn.value() if turn else 0.0
        x, y = point(centre) if centre else (0.0, 0.0)
        corners = np.array([(1, 1), (-1, 1), (-1, -1), (1, -1)]) * (0.5 * length, 0.5 * width)
        c, w = math.cos(angle), math.sin(angle)
        return corners @ np.array([(c, w), (-w, c)]) + (x, y)
    if part.tag == "circle":
        centre = part.some("center")
        x, y = point(centre) if centre else (0.0, 0.0)
        angles = np.arange(16) * (math.tau / 16)
        radius = part.one("radius").value(low=0.0) / math.cos(math.pi / 16)
        return np.stack([x + radius * np.cos(angles), y + radius * np.sin(angles)], axis=-1)
    if part.tag == "polygon":
        points = np.array([point(each) for each in part.all("point")])
        if len(points) < 3:
            raise part.fault(f"expected at least 3 points of a polygon, got {len(points)}; add them")
        return points
    raise part.fault(f"expected <rectangle>, <circle> or <polygon>, got <{part.tag}>; convert it")


def extent(shape: Element) -> tuple[float, float, tuple[float, float], float]:
    """Length, width, middle and turn of the box around a shape in the obstacle's frame, m and rad."""
    parts = [part for part in shape.children]
    if len(parts) == 1 and parts[0].tag == "rectangle":
        (part,) = parts
        turn, centre = part.some("orientation"), part.some("center")
        middle = point(centre) if centre else (0.0, 0.0)
        size = part.one("length").value(low=1e-3), part.one("width").value(low=1e-3)
        return *size, middle, turn.value() if turn else 0.0
    if not parts:
        raise shape.fault("expected a shape, got none; add it")
    outline = np.concatenate([outline_of(part) for part in parts])
    low, high = outline.min(axis=0), outline.max(axis=0)
    x, y = (0.5 * (low + high)).tolist()
    return float(high[0] - low[0]), float(high[1] - low[1]), (x, y), 0.0

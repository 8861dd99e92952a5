"""Free room: what a lidar sees free of, and whether a drive that is about to begin fits into it.

Everything is in the frame of the robot as it stands: hits of the lidar as points, a drive as the places where its
middle comes by. A drive fits where every point keeps `clear` from it: the robot's radius, a margin, and a share of the
way for what is not known yet. A ray that meets nothing within its range says that nothing is there; who plans joins
several scans, because one may drop out. Pure functions; people who walk in later are the affair of the guard
(fleet/course.py).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

SEEN = 0.999
"""Of the largest range: a ray that reads more met nothing."""

MARGIN = 0.15
"""Between hull and anything, m: three times what the default lidar's noise and a localisation of 3 cm add up to."""

SHARE = 0.05
"""Of the way driven so far, added to the margin: wheels that are 5 % off, a turn that comes later than thought."""

SPACING = 0.12
"""Between the places of a drive that are looked at, m: with the margin nothing of a leg's size fits in between."""

TURNS = 36
"""Headings that are tried, 10 degrees apart."""


def hits(scans: Sequence[NDArray[np.floating]], angles: NDArray[np.floating], range_max: float) -> NDArray[np.float64]:
    """What scans of one place met, as points in the robot's frame, (n, 2)."""
    ranges = np.concatenate([np.asarray(scan, np.float64) for scan in scans])
    directions = np.tile(np.asarray(angles, np.float64), len(scans))
    met = ranges < SEEN * range_max
    return np.column_stack([ranges[met] * np.cos(directions[met]), ranges[met] * np.sin(directions[met])])


def way_of(v: float, w: float, seconds: float, stop: float, *, accel: float, turn_accel: float) -> NDArray[np.float64]:
    """Where a robot comes by that goes to (v, w) from rest, is told so for `seconds`, and then needs `stop` m: (n, 2).

    It takes up speed with `accel` (m/s^2) and turn with `turn_accel`; the stop goes on along the same arc.
    """
    dt = min(SPACING / max(abs(v), 1e-3), 0.1)
    x = y = yaw = speed = rate = time = 0.0
    places = [(0.0, 0.0)]
    left = stop
    while time < seconds or (left > 0.0 and abs(speed) > 1e-6):
        speed = math.copysign(min(abs(v), abs(speed) + accel * dt), v)
        rate = math.copysign(min(abs(w), abs(rate) + turn_accel * dt), w)
        yaw += 0.5 * rate * dt
        x, y = x + speed * dt * math.cos(yaw), y + speed * dt * math.sin(yaw)
        yaw += 0.5 * rate * dt
        if time >= seconds:
            left -= abs(speed) * dt
        time += dt
        if math.hypot(x - places[-1][0], y - places[-1][1]) >= 0.8 * SPACING:
            places.append((x, y))
    return np.array([*places, (x, y)])


def clearance(places: NDArray[np.float64], points: NDArray[np.float64], radius: float) -> float:
    """The least distance of any point from the hull along a way (n, 2), less MARGIN and SHARE of the way, m."""
    if not len(points):
        return math.inf
    along = np.concatenate(([0.0], np.cumsum(np.hypot(*np.diff(places, axis=0).T))))
    apart = np.hypot(places[:, None, 0] - points[None, :, 0], places[:, None, 1] - points[None, :, 1]).min(axis=1)
    return float((apart - SHARE * along).min()) - radius - MARGIN


def heading_for(places: NDArray[np.float64], points: NDArray[np.float64], radius: float) -> float | None:
    """By how much to turn so that a way fits, rad: the smallest turn of TURNS; None where it fits nowhere."""
    for number in sorted(range(TURNS), key=lambda k: min(k, TURNS - k)):
        angle = 2.0 * math.pi * number / TURNS
        c, s = math.cos(angle), math.sin(angle)
        turned = np.column_stack([c * places[:, 0] - s * places[:, 1], s * places[:, 0] + c * places[:, 1]])
        if clearance(turned, points, radius) > 0.0:
            return math.remainder(angle, 2.0 * math.pi)
    return None


def straight_room(points: NDArray[np.float64], radius: float, angle: float, most: float = 10.0) -> float:
    """How far the robot can go straight on at an angle until a point is within its hull and MARGIN, m."""
    if not len(points):
        return most
    c, s = math.cos(angle), math.sin(angle)
    ahead, aside = c * points[:, 0] + s * points[:, 1], c * points[:, 1] - s * points[:, 0]
    wide = radius + MARGIN
    met = (np.abs(aside) < wide) & (ahead > 0.0)
    if not met.any():
        return most
    return float(np.clip((ahead[met] - np.sqrt(wide**2 - aside[met] ** 2)).min(), 0.0, most))

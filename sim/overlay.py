"""What pictures of an environment show beside its bodies: the way ahead of each robot, its corridor, its goal.

Plain numpy of what a `BatchEnv` holds, for the renderer (sim/rendering.py) and the page of `muster view`. Tasks without
a corridor (track, pick) have none of it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from sim.env import BatchEnv


@dataclass(frozen=True)
class Strip:
    """A rectangle on the floor."""

    x: float
    """Middle, W, m"""
    y: float
    yaw: float
    half_length: float
    half_width: float


@dataclass(frozen=True)
class Ahead:
    """What lies ahead of one robot."""

    corridor: list[Strip]
    """The ground that it may cover now."""
    way: NDArray[np.float32]
    """Way-points of its path from where it stands to the goal, (n, 2), W; the corridor's where the task has no path."""
    arrived: bool
    """Whether the last way-point is its goal."""


def strips(points: NDArray[np.floating], half_width: NDArray[np.floating]) -> list[Strip]:
    """A corridor (sim/geometry.py) as rectangles: a segment each, with its square caps; (n, 2) and (n,)."""
    if len(points) == 1:
        x, y, half = float(points[0, 0]), float(points[0, 1]), float(half_width[0])
        return [Strip(x, y, 0.0, half, half)]
    found = []
    for (x, y), (to_x, to_y), half in zip(
        points[:-1].tolist(), points[1:].tolist(), half_width[1:].tolist(), strict=True
    ):
        dx, dy = to_x - x, to_y - y
        length = math.hypot(dx, dy)
        found.append(Strip(x + dx / 2, y + dy / 2, math.atan2(dy, dx), length / 2 + half, half))
    return found


def _driver(environment: BatchEnv) -> object:
    """What drives the robots: a fleet's are driven by the task of each, those of dock and carry by a Navigate."""
    task = getattr(environment.task, "each", environment.task)
    return getattr(task, "way", task)


def stays(environment: BatchEnv) -> bool:
    """Whether the task's robots work where they stand (pick): it grants ground, and no path leads on."""
    return environment.task.corridor is not None and getattr(_driver(environment), "course", None) is None


def ahead_of(environment: BatchEnv, row: int) -> Ahead | None:
    """What lies ahead of the robot of a row; None where its task grants no ground."""
    corridor = environment.task.corridor
    if corridor is None:
        return None
    count = int(corridor.count.numpy()[row])
    if count == 0:
        return None
    points, half_width = corridor.points.numpy()[row, :count], corridor.half_width.numpy()[row, :count]
    arrived = bool(corridor.final.numpy()[row])
    way = points
    task = _driver(environment)
    course, paths = getattr(task, "course", None), getattr(task, "paths", None)
    if course is not None and paths is not None:
        path = int(course.path.numpy()[row])
        cells = paths.cells.numpy()[path, : int(paths.lengths.numpy()[path])]
        way = environment.site.centre(cells[int(course.index.numpy()[row]) :]).astype(np.float32)
        arrived = True
    return Ahead(strips(points, half_width), way, arrived)

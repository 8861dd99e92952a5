"""Fixtures in pictures: boxes with a colour for doors, pods, speed zones and ramps, without a physics library.

A ramp is drawn as one step for each of its cells, at the height of the cell's middle.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sim.fixtures import DoorState
from sim.site import Site

DOOR, POD, RAMP, ZONE = (
    (0.80, 0.35, 0.20, 1.0),
    (0.35, 0.45, 0.75, 1.0),
    (0.66, 0.68, 0.66, 1.0),
    (0.88, 0.72, 0.80, 1.0),
)

DOOR_DRAWN = 1.2
"""Height of doors in pictures, m: robots behind them stay visible from above."""


@dataclass(frozen=True)
class Drawn:
    """A box of a picture."""

    where: tuple[float, float, float, float]
    """x_min, y_min, x_max, y_max in W, m"""
    low: float
    high: float
    colour: tuple[float, float, float, float]
    door: int = -1
    """Number of the door whose box it is, to be hidden while it is open; -1 for everything else."""


def drawn_fixtures(site: Site) -> list[Drawn]:
    """The boxes of a site's fixtures; doors that always stand open have none."""
    fixtures = site.fixtures

    def square(cell: int, half_x: float, half_y: float) -> tuple[float, float, float, float]:
        x, y = site.centre(cell).tolist()
        return x - half_x, y - half_y, x + half_x, y + half_y

    half = site.cell / 2
    boxes = [Drawn(square(cell, half, half), 0.0, 0.015, ZONE) for zone in fixtures.zones for cell in zone.cells]
    for ramp in fixtures.ramps:
        for cell in ramp.cells(site.width):
            middle = float(np.mean(site.corner_height.reshape(-1, 4)[cell]))
            boxes.append(Drawn(square(cell, half, half), 0.0, middle, RAMP))
    length, width, height = fixtures.pod_size
    boxes += [Drawn(square(pod, length / 2, width / 2), 0.0, height, POD) for pod in fixtures.pods]
    for number, door in enumerate(fixtures.doors):
        if door.state is not DoorState.OPEN:
            boxes += [Drawn(square(cell, half, half), 0.0, DOOR_DRAWN, DOOR, number) for cell in door.cells]
    return boxes

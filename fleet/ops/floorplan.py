"""The floor or the road as a browser draws it: coloured boxes or outlines seen from above, sent once."""

from __future__ import annotations

from typing import Any

import numpy as np

from fleet.ops.cars import Moved
from sim.bodies.specs import CAR
from sim.drawing import FLOOR, Colour, drawn_floor, tint
from sim.driving.drawn import COLOURS, GRASS, Ground, drawn_road
from sim.road import Road
from sim.robot import RobotSpec
from sim.site import Site

PALE = 0.4
"""Share of white in the floor's colours: robots and their modes are what is looked for."""
BOXES = 60_000
"""At most: a hall of 500 by 500 cells has 15,000."""


def floorplan(site: Site | None) -> dict[str, Any]:  # JSON
    """Width, height, cell (m) and boxes [x0, y0, x1, y1, colour]; no boxes where the floor is not known."""
    spec = RobotSpec()
    robot = {"length": spec.length, "width": spec.width}
    if site is None:
        return {"known": False, "width": 0.0, "height": 0.0, "boxes": [], "robot": robot}
    boxes = [
        [*(round(value, 3) for value in part.where), _hex(tint(part.colour, PALE))]
        for part in drawn_floor(site)
        if part.colour != FLOOR
    ]
    return {
        "known": True,
        "name": site.name,
        "width": site.width * site.cell,
        "height": site.height * site.cell,
        "boxes": boxes[:BOXES],
        "floor": _hex(tint(FLOOR, PALE)),
        "robot": robot,
    }


def roadplan(road: Road) -> dict[str, Any]:  # JSON
    """The same of a road: outlines [colour, x, y, x, y, ...], m, from the lower left corner of what is drawn."""
    drawn = drawn_road(road)
    low_x, low_y, high_x, high_y = drawn.bounds
    shapes = [
        [_hex(tint(COLOURS[strip.ground], PALE)), *np.round(strip.outline - (low_x, low_y), 2).ravel().tolist()]
        for strip in drawn.strips
        if strip.ground is not Ground.PAINT
    ]
    return {
        "known": True,
        "name": road.name,
        "width": high_x - low_x,
        "height": high_y - low_y,
        "boxes": [],
        "shapes": shapes[:BOXES],
        "floor": _hex(tint(GRASS, PALE)),
        "robot": {"length": CAR.length, "width": CAR.width},
        "car": True,
    }


def on_road(road: Road) -> Moved:
    """How a pose in the road's own coordinates is moved onto its plan."""
    drawn = drawn_road(road)
    dx, dy = (drawn.origin[axis] + drawn.bounds[axis] for axis in (0, 1))
    return lambda pose: (pose[0] - dx, pose[1] - dy, pose[2])


def _hex(colour: Colour) -> str:
    return "#" + "".join(f"{round(255 * part):02x}" for part in colour[:3])

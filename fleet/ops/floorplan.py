"""The floor as a browser draws it: coloured boxes seen from above, sent once."""

from __future__ import annotations

from typing import Any

from sim.drawing import FLOOR, Colour, drawn_floor, tint
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


def _hex(colour: Colour) -> str:
    return "#" + "".join(f"{round(255 * part):02x}" for part in colour[:3])

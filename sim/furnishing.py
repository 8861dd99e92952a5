"""Fixtures as bodies: doors and pods as boxes, ramps and platforms as ground that wheels drive on.

A pod is a box of its size in the middle of its cell, a door fills each of its cells. Both are parts of the world body
with the masks of racks (loads ask for those themselves), so that what senses racks senses them. An automatic door
stands shut: whoever runs the floor opens it by clearing the masks of its geoms (`door_geoms`). A ramp is a slab under
its slope with the ground's masks: hulls never meet it, wheels and casters do, so the planar body does not feel it.

The slope is a plane over the ramp's cells; the edge where it meets the floor is a line, not a rounded sill.
"""

# pyright: reportAttributeAccessIssue=false
# (mujoco defines these names at run time)

from __future__ import annotations

import math

import mujoco
import numpy as np

from sim.bodies.parts import FLOOR_BIT, ROBOT_BIT, STATIC_BIT, TRACTION
from sim.fixtures import FLAT, DoorState, Ramp
from sim.site import Site

DOOR_HEIGHT = 2.0
"""m; the lidar is planar, so this is for pictures."""

DOOR_COLOUR, POD_COLOUR, RAMP_COLOUR = (0.80, 0.35, 0.20, 1.0), (0.35, 0.45, 0.75, 1.0), (0.70, 0.70, 0.66, 1.0)

SLAB = 0.1
"""Thickness of a ramp's slab, m; all of it lies below the slope."""


Masks = tuple[int, int]
"""Collision bits of a geom: contype, conaffinity."""

SOLID: Masks = (STATIC_BIT, ROBOT_BIT)
GROUND: Masks = (FLOOR_BIT, 0)


def add_fixtures(world: mujoco.MjSpec, site: Site, *, pods: bool = True, moving_doors: bool = False) -> None:
    """Add a site's shut doors, ramps and pods; without `pods` somebody else makes bodies of those.

    `moving_doors`: automatic doors are left to `add_moving_doors`.
    """
    length, width, height = site.fixtures.pod_size
    for number, cell in enumerate(site.fixtures.pods if pods else ()):
        x, y = site.centre(cell).tolist()
        half = (length / 2, width / 2, height / 2)
        _box(world.worldbody, f"pod{number}", (x, y, height / 2), half, POD_COLOUR, SOLID)
    for number, door in enumerate(site.fixtures.doors):
        if door.state is DoorState.OPEN or (moving_doors and door.state is DoorState.AUTOMATIC):
            continue
        for part, cell in enumerate(door.cells):
            x, y = site.centre(cell).tolist()
            half = (site.cell / 2, site.cell / 2, DOOR_HEIGHT / 2)
            _box(world.worldbody, f"door{number}.{part}", (x, y, DOOR_HEIGHT / 2), half, DOOR_COLOUR, SOLID)
    for number, ramp in enumerate(site.fixtures.ramps):
        _add_ramp(world, f"ramp{number}", site, ramp)


def add_moving_doors(world: mujoco.MjSpec, site: Site) -> list[str]:
    """The automatic doors as mocap bodies at the origin, in order, shut; their names. They open by sinking."""
    names = []
    for number, door in enumerate(site.fixtures.doors):
        if door.state is DoorState.AUTOMATIC:
            names.append(f"door{number}")
            body = world.worldbody.add_body(name=names[-1], mocap=True)
            for part, cell in enumerate(door.cells):
                x, y = site.centre(cell).tolist()
                half = (site.cell / 2, site.cell / 2, DOOR_HEIGHT / 2)
                _box(body, f"{names[-1]}.{part}", (x, y, DOOR_HEIGHT / 2), half, DOOR_COLOUR, SOLID)
    return names


def door_geoms(model: mujoco.MjModel, site: Site, number: int) -> list[int]:
    """The geoms of a door that is not built open."""
    door = site.fixtures.doors[number]
    return [model.geom(f"door{number}.{part}").id for part in range(len(door.cells))]


def _add_ramp(world: mujoco.MjSpec, name: str, site: Site, ramp: Ramp) -> None:
    column, row, columns, rows = ramp.area
    c = site.cell
    x, y = (column + columns / 2) * c, (site.height - row - rows / 2) * c
    half = np.array([columns * c / 2, rows * c / 2])
    if ramp.up == FLAT:
        box = (half[0], half[1], ramp.rise / 2)
        geom = _box(world.worldbody, name, (x, y, ramp.rise / 2), box, RAMP_COLOUR, GROUND)
    else:
        run = ramp.steps * c
        slope = math.atan2(ramp.rise, run)
        # The slab in its own frame climbs along x; it is turned about z to its direction (quarter turns) after that.
        along, across = math.hypot(run, ramp.rise) / 2, half[1 if ramp.up in (0, 2) else 0]
        turn = math.pi / 2 * ramp.up
        down = SLAB / 2  # from the middle of the slope along its normal
        back = down * math.sin(slope)
        centre = (
            x + back * math.cos(turn),
            y + back * math.sin(turn),
            ramp.rise / 2 - down * math.cos(slope),
        )
        geom = _box(world.worldbody, name, centre, (along, across, SLAB / 2), RAMP_COLOUR, GROUND)
        # q = turn about z, then pitch about y by -slope (nose up)
        cz, sz, cy, sy = math.cos(turn / 2), math.sin(turn / 2), math.cos(slope / 2), -math.sin(slope / 2)
        geom.quat = (cz * cy, -sz * sy, cz * sy, sz * cy)
    geom.friction = (TRACTION, 0.005, 0.0001)
    geom.condim = 3


def _box(
    parent: mujoco.MjsBody,
    name: str,
    centre: tuple[float, float, float],
    half: tuple[float, float, float],
    colour: tuple[float, float, float, float],
    masks: Masks,
) -> mujoco.MjsGeom:
    return parent.add_geom(
        name=name,
        type=mujoco.mjtGeom.mjGEOM_BOX,
        size=half,
        pos=centre,
        contype=masks[0],
        conaffinity=masks[1],
        condim=1,
        rgba=colour,
    )

"""Things to pick: items that lie in open bins on a shelf.

A shelf is a board with one bin in front of the robot, part of the world; an item is a box on a free joint. Where items
lie is drawn by whoever begins an episode; the model has them in the middle of the bin.
"""

# pyright: reportAttributeAccessIssue=false
# (mujoco defines these names at run time)

from __future__ import annotations

import math

import mujoco

from sim.bodies.parts import FLOOR_BIT, LOAD_BIT, PERSON_BIT, ROBOT_BIT, STATIC_BIT
from sim.loads import Item, Shelf

BIN = (0.30, 0.40, 0.12)
"""Depth (away from the robot), width and height of a bin inside, m: small load carrier (EN 13199-1)."""

WALL = 0.01
"""Thickness of board and walls, m; see `sim.bodies.manipulator.WALL`."""

FRICTION = 0.4
"""Cardboard on plastic: between shrink film, 0.3, and cardboard, 0.5 ([CTU Code] of sim/sources.py)."""


def add_shelf(world: mujoco.MjSpec, number: int, shelf: Shelf) -> None:
    """The board on two posts and the bin's walls, fixed to the world."""
    x, y, yaw = shelf.at
    depth, width, height = BIN
    deep, wide = depth / 2 + WALL, width / 2 + WALL
    rack = world.worldbody.add_body(
        name=f"board{number}", pos=(x, y, shelf.height), quat=(math.cos(yaw / 2), 0.0, 0.0, math.sin(yaw / 2))
    )
    parts = [
        ((0.0, 0.0, -WALL), (deep, wide, WALL)),
        ((deep, 0.0, height / 2), (WALL / 2, wide, height / 2)),
        ((-deep, 0.0, height / 2), (WALL / 2, wide, height / 2)),
        ((0.0, wide, height / 2), (deep, WALL / 2, height / 2)),
        ((0.0, -wide, height / 2), (deep, WALL / 2, height / 2)),
    ]
    post = (shelf.height - 2 * WALL) / 2
    parts += [((deep - 0.03, side * (wide - 0.03), -post - 2 * WALL), (0.02, 0.02, post)) for side in (-1.0, 1.0)]
    for place, half in parts:
        rack.add_geom(
            type=mujoco.mjtGeom.mjGEOM_BOX,
            size=half,
            pos=place,
            contype=STATIC_BIT,
            conaffinity=ROBOT_BIT | LOAD_BIT,
            condim=3,
            friction=(FRICTION, 0.005, 0.0001),
            rgba=(0.45, 0.5, 0.58, 0.7),
        )


def add_item(world: mujoco.MjSpec, number: int, item: Item, shelf: Shelf) -> None:
    """Item `number` upright in the middle of its bin."""
    body = world.worldbody.add_body(name=f"item{number}", pos=(*shelf.at[:2], shelf.height + item.size[2] / 2))
    body.add_freejoint(name=f"item{number}")
    body.add_geom(
        name=f"item{number}",
        type=mujoco.mjtGeom.mjGEOM_BOX,
        size=[side / 2 for side in item.size],
        mass=item.mass,
        contype=LOAD_BIT,
        conaffinity=ROBOT_BIT | STATIC_BIT | PERSON_BIT | LOAD_BIT | FLOOR_BIT,
        condim=3,
        friction=(FRICTION, 0.005, 0.0001),
        rgba=(0.85, 0.25, 0.2, 1.0),
    )

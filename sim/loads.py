"""Loads that a task wants on its floor beside robots and people: movable pods, loose boxes, shelves to pick from.

Data alone, without a physics library; `sim/scene.py` builds them, `sim/pods.py`, `sim/boxes.py` and `sim/picking.py`
move them, `sim/sights.py` shows them to the lidar.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Item:
    """A box that an arm may pick."""

    size: tuple[float, float, float] = (0.10, 0.08, 0.06)
    """Length, width, height, m."""
    mass: float = 0.4
    """kg"""


@dataclass(frozen=True)
class Shelf:
    """A board with one bin that opens upwards, and what lies in it."""

    at: tuple[float, float, float]
    """Middle of the bin's floor in W, and the direction away from the robot: x, y (m), yaw (rad)."""
    height: float = 0.45
    """Of the bin's floor, m: a low level of a flow rack, within the reach of an arm on a base 0.36 m high."""
    items: tuple[Item, ...] = (Item(),)


@dataclass(frozen=True)
class Loads:
    """What a scene gets beside robots and people."""

    movable_pods: bool = False
    """Whether robots can lift the site's pods; else they are part of the map."""
    pods: int = 0
    """Pods of the task's own, one for each robot, parked until it places them."""
    pod_size: tuple[float, float, float] | None = None
    """Of all pods of the scene, m; None: as the site says."""
    boxes: int = 0
    """Loose boxes, parked until a task spills them (`sim.boxes.spill`)."""
    shelves: tuple[Shelf, ...] = ()
    """Bins to pick from."""


NO_LOADS = Loads()
"""Robots and people alone."""

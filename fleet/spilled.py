"""Boxes that were spilled on a fleet's floor: where they lie, and what both witnesses see of them.

A box lies on a free cell of its own, drawn by the seed, at no station, charger, pod, door or robot. It sleeps until
something pushes it (`sim/bodies/box.py`). Whoever touches one has touched the map: a thing that stands there.
"""

# pyright: reportAttributeAccessIssue=false
# (mujoco defines these names at run time)

from __future__ import annotations

import mujoco
import numpy as np
from numpy.typing import NDArray

from fleet.oracle import Touch, rectangles_overlap
from sim.bodies.box import BOX_SIZE
from sim.fixtures import DoorState
from sim.randomization import Term, draw_numpy, unit_numpy
from sim.scene import Scene
from sim.site import Site, SiteError

ASIDE = 0.25
"""Furthest that a box lies beside its cell's middle along x or y, as a share of the cell."""

DRAWS = 7
"""Index of the boxes' draws among those of start cells."""


def box_places(site: Site, starts: NDArray[np.int32], boxes: int, seed: int) -> NDArray[np.float64]:
    """x, y (m) and yaw of each box, (boxes, 3). Raises `SiteError` where the floor has no room for so many."""
    free = ~site.filled.reshape(-1)
    free[[*starts, *site.stations, *site.chargers, *site.fixtures.door_cells(*DoorState)]] = False
    cells = np.flatnonzero(free)
    if boxes > len(cells):
        raise SiteError(
            f"expected room for {boxes} boxes on {site.name}, got {len(cells)} cells that are free beside robots, "
            "stations and chargers; spill fewer"
        )
    order = np.argsort(draw_numpy(seed, int(Term.START), 0, DRAWS, np.arange(len(cells))), kind="stable")
    shares = [unit_numpy(draw_numpy(seed, int(Term.START), 0, DRAWS + 1 + k, np.arange(boxes))) for k in range(3)]
    middle = site.centre(cells[order[:boxes]]).reshape(boxes, 2)
    away = ASIDE * site.cell * (2.0 * np.stack(shares[:2], axis=-1) - 1.0)
    return np.column_stack([middle + away, np.pi * shares[2]]).astype(np.float64)


class Spilled:
    """Owns the view of the boxes' coordinates in one simulation."""

    def __init__(self, scene: Scene, data: mujoco.MjData, places: NDArray[np.floating]) -> None:
        """Lay the boxes out."""
        width = 7 if scene.falls else 3
        first = scene.robots * scene.qpos_stride + scene.pods * width
        self.count = scene.boxes
        self._at = data.qpos[first : first + self.count * width].reshape(self.count, width)
        self.put(places)

    def put(self, places: NDArray[np.floating]) -> None:
        """Lay them at x, y (m), yaw, (boxes, 3)."""
        width = self._at.shape[1]
        x, y, yaw = np.asarray(places).T
        self._at[:, 0], self._at[:, 1] = x, y
        if width == 3:
            self._at[:, 2] = yaw
        else:
            self._at[:, 2] = BOX_SIZE[2] / 2
            self._at[:, 3:] = np.stack([np.cos(yaw / 2), 0.0 * yaw, 0.0 * yaw, np.sin(yaw / 2)], axis=-1)

    def poses(self) -> NDArray[np.float64]:
        """x, y (m), yaw of each box in W, (boxes, 3); one that was tipped over as if it stood."""
        if self._at.shape[1] == 3:
            return self._at.copy()
        w, i, j, k = self._at[:, 3:7].T
        yaw = np.arctan2(2.0 * (w * k + i * j), 1.0 - 2.0 * (j * j + k * k))
        return np.column_stack([self._at[:, :2], yaw])


def add_boxes(
    touch: Touch,
    size: tuple[float, float],
    poses: NDArray[np.floating],
    boxes: NDArray[np.floating],
    holder: NDArray[np.integer] | None = None,
) -> None:
    """The geometric witness's flags of boxes (steps, boxes, 3), into `touch`.

    For robots (steps, robots, 3) of `size`; or for what robots hold, with each thing's robot or -1 in `holder` (steps,
    things): decks pass over boxes, legs do not.
    """
    for thing in range(poses.shape[1]):
        for box in range(boxes.shape[1]):
            hit = rectangles_overlap(*size, poses[:, thing], BOX_SIZE[0], BOX_SIZE[1], boxes[:, box])
            if holder is None:
                touch.map[:, thing] |= hit
            else:
                at = np.flatnonzero(hit & (holder[:, thing] >= 0))
                touch.map[at, holder[at, thing]] = True

"""Doors that open by themselves: what a plant moves, one floor at a time.

An automatic door is shut until a robot's centre comes within SENSE of it or a person within REACH. It then needs its
opening time, during which it stands in the way as a whole, and is open until nobody has been so near for HOLD. Closing
takes as long again and begins with the whole door in the way: nobody is near then, and who comes near turns it round.
Worse than a real door, which clears the lower part first, so that a plan which works here works there.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sim.fixtures import DoorState
from sim.site import Site

SENSE = 3.5
"""m, from a robot's centre to the door. The shut door is something unknown to a robot's shield, which lets it creep up
to 0.7 m before it (measured with a door of 25 s, 2026-11); motion detectors of industrial doors cover 3 to 7 m."""

REACH = 1.0
"""m, from a person's middle: a hand's reach before the door."""

HOLD = 3.0
"""s that a door stays open after the last one left."""


class Doors:
    """Owns how far each automatic door of a floor is open. Doors of other states never move."""

    def __init__(self, site: Site) -> None:
        """All automatic doors shut."""
        self.site = site
        doors = site.fixtures.doors
        self.open: NDArray[np.bool_] = np.array([door.state is DoorState.OPEN for door in doors], bool)
        """Whether each door may be passed, (doors,)."""
        self._opening = np.array([door.opening for door in doors])
        self._automatic = np.array([door.state is DoorState.AUTOMATIC for door in doors], bool)
        self._progress = np.zeros(len(doors))  # s of the opening time done
        self._lonely = np.full(len(doors), np.inf)  # s since somebody was near
        self._centres = [site.centre(np.array(door.cells)) for door in doors]

    def step(self, seconds: float, robots: NDArray[np.floating], people: NDArray[np.floating]) -> bool:
        """Let time pass; robots (n, 2) and people (m, 2) stand there, m. Whether some door opened or shut."""
        before = self.open.copy()
        for door in np.flatnonzero(self._automatic).tolist():
            near = self._gap(door, robots) < SENSE or self._gap(door, people) < REACH
            self._lonely[door] = 0.0 if near else self._lonely[door] + seconds
            wanted = self._lonely[door] < HOLD
            change = seconds if wanted else -seconds
            self._progress[door] = np.clip(self._progress[door] + change, 0.0, self._opening[door])
            # 1 us: sums of periods
            self.open[door] = wanted and self._progress[door] >= self._opening[door] - 1.0e-6
        return bool((before != self.open).any())

    def shut_cells(self) -> NDArray[np.int64]:
        """Cells in which a door stands now."""
        shut = [
            cell
            for door, open_ in zip(self.site.fixtures.doors, self.open, strict=True)
            if not open_
            for cell in door.cells
        ]
        return np.array(shut, np.int64)

    def _gap(self, door: int, points: NDArray[np.floating]) -> float:
        """From a door to the nearest of some points, m; inf without points."""
        if len(points) == 0:
            return np.inf
        beyond = np.abs(points[:, None, :2] - self._centres[door][None]) - self.site.cell / 2
        return float(np.hypot(*np.moveaxis(np.maximum(beyond, 0.0), -1, 0)).min())

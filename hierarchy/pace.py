"""Speed zones on a robot: `sim/pace.py`'s kernel on one row, for what policy, hold or fallback propose.

On a floor without zones there is nothing to ask, and nothing is launched.
"""

from __future__ import annotations

import math

import warp as wp

from hierarchy.corridors import Way, corridor
from sim.geometry import CORRIDOR_POINTS
from sim.launches import record
from sim.pace import NO_LIMIT, keep_pace, make_zones
from sim.robot import RobotSpec
from sim.site import Site


class Pace:
    """The speed limits of a floor for one kind of robot. Owns the launch and its arrays, no state between calls."""

    def __init__(self, spec: RobotSpec, site: Site) -> None:
        self.zones = bool(site.fixtures.zones)
        """Whether the floor has any."""
        if not self.zones:
            return
        self._site = site

        def floats(*shape: int) -> wp.array:
            return wp.zeros(shape, dtype=wp.float32, device="cpu")

        arrays = (floats(1, 3), floats(1, 2), floats(1, CORRIDOR_POINTS, 2))
        count = wp.zeros(1, dtype=wp.int32, device="cpu")
        command, limit = floats(1, 2), floats(1)
        self._launch = record(keep_pace, 1, [make_zones(site, spec, "cpu"), *arrays, count, command, limit])
        self._pose, self._twist, self._points = (array.numpy() for array in arrays)
        self._count, self._command, self._limit = count.numpy(), command.numpy(), limit.numpy()
        self._filled: tuple[int, ...] = ()

    def apply(
        self, command: tuple[float, float], position: tuple[float, float], speed: float, way: Way
    ) -> tuple[tuple[float, float], float]:
        """A command (v, w) within the limits, on the same arc, and the limit, m/s (inf for none); `speed` is |v| now.

        What is not finite is left for others to refuse.
        """
        if not self.zones:
            return command, math.inf
        if way.cells != self._filled:
            self._points[0, : len(way.cells)] = corridor(self._site, way).points
            self._filled = way.cells
        self._count[0] = min(way.end + 1, len(way.cells))
        self._pose[0, :2], self._twist[0, 0], self._command[0] = position, speed, command
        self._launch.launch()
        limit = float(self._limit[0])
        if not abs(command[0]) > limit:
            return command, limit if limit < NO_LIMIT else math.inf
        return (float(self._command[0, 0]), float(self._command[0, 1])), limit

    def limit(self, position: tuple[float, float], speed: float, way: Way) -> float:
        """The largest speed that may be commanded, m/s; inf where there is no limit near."""
        return self.apply((0.0, 0.0), position, speed, way)[1]

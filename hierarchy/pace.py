"""Speed zones: what a robot is commanded at most where it is and where it is going.

In a cell with a limit L the commanded speed is at most L while any part of the footprint is in it, and on the way there
at most what comes down to L at a rate A before the footprint enters:

    v <= sqrt(L^2 + 2 A d),    d = max(gap - r - |v| (period + latency), 0)

with the gap between the robot's centre and the cell and the radius r of the footprint. The proposal is scaled as a
whole, so that its curvature stays. This is a rule of the house, not a law of safety: it is applied to what is proposed,
before the shield, which judges what is left by its own bounds and is not loosened by it.
"""

from __future__ import annotations

import math

from hierarchy.corridors import Way, cells_under, centre
from sim.robot import SECOND, RobotSpec
from sim.site import Site

SHARE = 0.5
"""Of the drive's largest acceleration: A, so that a drive which lags behind the falling limit catches up."""


class Pace:
    """The speed limits of a floor for one kind of robot."""

    def __init__(self, spec: RobotSpec, site: Site) -> None:
        self._site = site
        self._radius = spec.radius
        self._rate = SHARE * spec.drive.accel_max
        self._delay = spec.period / SECOND + spec.latency_bound
        # a dict of the few cells that have a limit: Python's own numbers in a loop over ten cells
        self._limits = {cell: zone.limit for zone in site.fixtures.zones for cell in zone.cells}

    def limit(self, position: tuple[float, float], speed: float, way: Way) -> float:
        """The largest speed that may be commanded, m/s; inf where there is no limit near. `speed` is |v| now."""
        if not self._limits:
            return math.inf
        allowed = min(
            (self._limits.get(cell, math.inf) for cell in cells_under(self._site, position, self._radius)),
            default=math.inf,
        )
        half = self._site.cell / 2
        for cell in way.cells[way.here :]:
            limit = self._limits.get(cell, math.inf)
            if limit < allowed:
                x, y = centre(self._site, cell)
                gap = math.hypot(max(abs(position[0] - x) - half, 0.0), max(abs(position[1] - y) - half, 0.0))
                left = max(gap - self._radius - speed * self._delay, 0.0)
                allowed = min(allowed, math.sqrt(limit * limit + 2.0 * self._rate * left))
        return allowed

    def apply(
        self, command: tuple[float, float], position: tuple[float, float], speed: float, way: Way
    ) -> tuple[float, float]:
        """A command (v, w) within the limits, on the same arc; what is not finite is left for others to refuse."""
        limit = self.limit(position, speed, way)
        v, w = command
        if not abs(v) > limit:
            return command
        return math.copysign(limit, v), w * limit / abs(v)

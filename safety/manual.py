"""What an operator may ask of a robot: slowly, and for as long as somebody keeps asking.

    wanted (v, w), its age  ->  the same arc, scaled so that no point of the footprint is faster than JOG_SPEED
                                standstill, where the wish is older than DEAD_MAN, from the future, or no number

What comes out is a proposal like any other: the shield judges it, and every stop stands above it
(`safety/supervisor.py`). Where it is refused it is proposed slower, then the robot stops: a person steers, and is never
turned another way. The dead-man counts in the robot's own clock: a stamp that the coordinator gave the operator
comes back with each wish, so that a wish is never younger than it claims, however long it travelled.
"""

from __future__ import annotations

import math

from sim.robot import MILLISECOND

JOG_SPEED = 0.3
"""m/s of any point of the footprint: [ISO 3691-4] where nothing detects persons. The lidar does here; but who drives by
hand looks at the thing that is in the way, and stands beside it."""

DEAD_MAN = 400 * MILLISECOND
"""ns; an older wish means standing. The stamp's way round takes a tick of the coordinator, a cycle of the robot and the
period of a terminal, 250 ms at worst; what is left is one lost message. At JOG_SPEED a robot goes 0.12 m in it."""


SLOWER = (1.0, 0.5, 0.25)
"""Shares of a wish that are proposed one after the other: half of the cap is below the shield's CREEP, which lets a
robot away from what it stands too near to; a quarter is 0.075 m/s, and slower is standing."""


def command(wanted: tuple[float, float], age: int, radius: float) -> tuple[float, float]:
    """The v (m/s) and w (rad/s) that an operator's wish makes.

    Args:
        wanted: v and w as they came, whatever they are. age: ns since the wish cannot have been older, by the robot's
            clock. radius: of the footprint's circle, m.
    """
    v, w = wanted
    if abs(age) > DEAD_MAN or not (math.isfinite(v) and math.isfinite(w)):
        return (0.0, 0.0)
    fastest = abs(v) + abs(w) * radius  # of the rim's points, which turn about the centre
    share = min(1.0, JOG_SPEED / fastest) if fastest > 0.0 else 0.0
    return (v * share, w * share)

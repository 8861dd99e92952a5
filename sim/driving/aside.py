"""Cars that take no part: where they stand."""

# pyright: reportGeneralTypeIssues=false, reportArgumentType=false, reportIndexIssue=false, reportCallIssue=false
# pyright: reportAttributeAccessIssue=false, reportInvalidTypeForm=false
# Warp traces kernels itself: its scalar and array types are not what a type checker takes them for.

from __future__ import annotations

import warp as wp

from sim.driving.scene import PARKED
from sim.driving.state import Footing
from sim.rows import RobotArrays

ASIDE_X, ASIDE_Y = wp.constant(PARKED[0]), wp.constant(PARKED[1])
ASIDE_STEP = wp.constant(20.0)
"""Distance of cars that stand aside, m."""


@wp.func
def stand_aside(row: int, state: RobotArrays, footing: Footing, speed: wp.array(dtype=wp.float32)) -> None:
    """A row that takes no part: far away, at rest, on no lane."""
    state.active[row] = wp.uint8(0)
    state.pose[row, 0] = ASIDE_X - ASIDE_STEP * float(row + 1)
    state.pose[row, 1] = ASIDE_Y
    state.pose[row, 2] = 0.0
    footing.lane[row] = -1
    footing.place[row, 3] = 0.0
    speed[row] = 0.0

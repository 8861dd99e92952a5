"""Robots that take no part: where they stand, and how those that ended get there.

A robot of a fleet that has ended, or that an episode does not need, stands beyond the walls in a place of its own, at
rest, where no lidar sees it and nothing meets it. Every task puts it there: in `begin` the rows that are not active
(`state.active`), in `leave` those that have just ended (`sim.tasks.fleet`). `Plant.place` then moves the bodies, and
what belongs to a robot (its pod) goes with it.
"""

# pyright: reportGeneralTypeIssues=false, reportArgumentType=false, reportIndexIssue=false, reportCallIssue=false
# pyright: reportAttributeAccessIssue=false, reportOperatorIssue=false, reportReturnType=false
# pyright: reportInvalidTypeForm=false, reportOptionalMemberAccess=false
# Warp traces kernels itself: its scalar and array types are not what a type checker takes them for.

from __future__ import annotations

import warp as wp

from sim.drive import DriveArrays
from sim.people import PARKED_AT
from sim.rows import RobotArrays, come_to_rest

wp.set_module_options({"fuse_fp": False, "enable_backward": False})

ROBOT_GAP = 3.0
"""Between robots that stand aside, m: more than any robot of ours, or its pod, is long."""

ROBOT_GAP_C = wp.constant(ROBOT_GAP)


@wp.func
def stand_aside(row: int, robot: int, state: RobotArrays) -> None:
    """The pose of a robot that takes no part."""
    state.pose[row, 0] = PARKED_AT - ROBOT_GAP_C * float(robot + 1)
    state.pose[row, 1] = PARKED_AT
    state.pose[row, 2] = 0.0


@wp.kernel
def leave_floor(robots: int, mask: wp.array(dtype=wp.uint8), state: RobotArrays, drive: DriveArrays) -> None:
    """Masked rows stand aside from here on, at rest."""
    row = wp.tid()
    if mask[row] != wp.uint8(0):
        stand_aside(row, row % robots, state)
        come_to_rest(row, state, drive)

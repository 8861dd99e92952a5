"""What each row of a driving task is told to do, and how its episode goes: the structs that its kernels share."""

# pyright: reportGeneralTypeIssues=false, reportArgumentType=false, reportIndexIssue=false, reportCallIssue=false
# pyright: reportAttributeAccessIssue=false, reportOperatorIssue=false, reportReturnType=false
# pyright: reportInvalidTypeForm=false, reportOptionalMemberAccess=false
# Warp traces kernels itself: its scalar and array types are not what a type checker takes them for.

from __future__ import annotations

import warp as wp

wp.set_module_options({"fuse_fp": False, "enable_backward": False})

LANE_SKILL, CHANGE_SKILL, PULL_SKILL, ROUTE = wp.constant(0), wp.constant(1), wp.constant(2), wp.constant(3)

ON_LINE, STRAIGHT = wp.constant(0.35), wp.constant(0.06)
"""m and rad; so near a car is on a line: within a third of what a lane leaves beside it."""

ANY_SPEED = wp.constant(1.0e3)
"""m/s: no bound."""

SLOWEST, SLOWER = wp.constant(0.5), wp.constant(0.4)
"""Least share of the allowed speed that may be wished for; share of a skill's episodes that are driven at less than
all of it."""

JUMP = wp.constant(1.0)
"""m; d that jumps by more within a step belongs to another lane: no car moves sideways as fast."""


@wp.struct
class Wish:
    """What each row is told to do, by a task or by a manoeuvre policy; and what follows of it."""

    side: wp.array(dtype=wp.int32)
    """Lanes that are still to be crossed to the left (negative: right), (rows,)"""
    pull: wp.array(dtype=wp.uint8)
    """Stop at the road's side, (rows,)"""
    pace: wp.array(dtype=wp.float32)
    """Share of the allowed speed, (rows,)"""
    line: wp.array(dtype=wp.float32)
    """The d of the line to follow, m, (rows,)"""
    brisk: wp.array(dtype=wp.float32)
    """What a brisk driver would drive there, m/s, (rows,)"""
    last_d: wp.array(dtype=wp.float32)
    """d at the observation before, m, (rows,)"""
    crossed: wp.array(dtype=wp.int32)
    """Lanes crossed in this episode without a wish, (rows,)"""
    most: wp.array(dtype=wp.float32)
    """No faster than this, m/s: an appointment (sim/driving/appointment.py) would be missed by coming early, (rows,)"""
    least: wp.array(dtype=wp.float32)
    """As fast as this at least where limits and bends allow it, m/s: who is late follows nearer, (rows,)"""


@wp.struct
class Course:
    """How each row's episode went so far."""

    way: wp.array(dtype=wp.float32)
    """Driven, m, (rows,)"""
    allowed: wp.array(dtype=wp.float32)
    """What limits, bends and vehicles ahead allowed, m, (rows,)"""
    settled: wp.array(dtype=wp.int32)
    """Steps on the wished line without a break, (rows,)"""
    refused: wp.array(dtype=wp.int32)
    """Steps in which a filter changed the command, (rows,)"""

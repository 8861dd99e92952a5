"""The judge: whether one candidate may be released, and if not why.

It may, if at every instant of its path (`safety/path.py`) until standstill the robot is

    inside the corridor          or, for a robot that already is outside, no deeper outside than it is now;
    clear of every obstacle      distance(point, path) > R + radius + growth(t) + speed (t + age): equal is unsafe.

What moves is a person, and some cells are declared person-free: slices that stay within the disc around the robot that
no person can enter (`FilterInputs.person_free`) are judged by standing things alone. A standing robot cannot be at
fault: slices without speed are not judged. A robot with a standing obstacle inside its bound (but outside its circle),
seen or hidden, may creep away from it. After Mitsch et al. (IJRR 2017), theorem 2, along arcs.

The proposal and every candidate of the lattice pass here and nowhere else.
"""

from __future__ import annotations

# pyright: reportGeneralTypeIssues=false, reportArgumentType=false, reportIndexIssue=false, reportCallIssue=false, reportAttributeAccessIssue=false, reportOperatorIssue=false, reportReturnType=false, reportInvalidTypeForm=false, reportAssignmentType=false
# Warp traces kernels itself: its scalar and array types are not what a type checker takes them for.
import warp as wp

from safety.dynamics import Bounds
from safety.occupancy import covered, point_segment, segment_segment
from safety.path import ROUNDING, predict
from safety.reason import Reason
from safety.sight import CLEAR, Ask, Sight

wp.set_module_options({"fuse_fp": False, "enable_backward": False})

CREEP = wp.constant(0.2)
"""m/s; slow enough that the tracking error is far below e0 (docs/benchmarks.md), fast enough to get away."""


@wp.struct
class Verdict:
    """What the judge says of one candidate."""

    reason: wp.int32
    margin: float
    plan: wp.vec3
    """v, w at the stop's begin, and how long it takes"""
    culprit: wp.int32


@wp.func
def judge(row: int, command_v: float, command_w: float, first: int, ask: Ask, sight: Sight, b: Bounds) -> Verdict:
    """Whether one candidate may be released: reason 0 if so. `first` is the point to ask first (-1: none)."""
    verdict = Verdict()
    verdict.margin = CLEAR
    verdict.culprit = -1
    path = predict(
        sight.start[row, 0],
        sight.start[row, 1],
        ask.last_command[row, 0],
        ask.last_command[row, 1],
        command_v,
        command_w,
        sight.start[row, 3],
        moves(row, sight),
        b,
    )
    verdict.plan = wp.vec3(path.v, path.w, path.stop)
    if path.count == 0:
        return verdict
    n_rectangles = sight.rectangle_count[row]
    if n_rectangles == 0:
        verdict.reason = Reason.NO_CORRIDOR
        return verdict
    inside = sight.start[row, 2]
    # what stays this near to the start is out of every moving body's reach
    refuge = sight.start[row, 4] - b.radius
    for k in range(path.count):
        margin = b.radius + b.localisation + path.slices[k, 4]
        if not covered(
            path.slices[k, 0],
            path.slices[k, 1],
            path.slices[k, 2],
            path.slices[k, 3],
            wp.min(margin, inside),
            row,
            sight.rectangles,
            n_rectangles,
            b.radius,
        ):
            verdict.reason = Reason.CORRIDOR
            return verdict
    last = path.count - 1
    growth = path.slices[last, 4]
    for k in range(path.count):
        growth = wp.max(growth, path.slices[k, 4])
    horizon = path.slices[last, 5]
    slow = path.fastest <= CREEP
    for i in range(-1, sight.point_count[row]):
        j = i
        if i < 0:
            j = first
        if j >= 0:
            point = sight.points[row, j]
            px = point[0]
            py = point[1]
            bound = b.radius + point[2]
            speed = point[3]
            quick = (
                point_segment(px, py, 0.0, 0.0, path.end_x, path.end_y)
                - path.bulge
                - (bound + growth + speed * horizon)
            )
            if quick > 0.0:
                verdict.margin = wp.min(verdict.margin, quick)
            else:
                now = wp.sqrt(px * px + py * py)
                # a standing thing already inside the bound, but outside the robot's circle: away from it, slowly. The
                # bound is that of the plan's end: between it and the bound at rest nothing at all would be verified
                escaping = slow and speed == 0.0 and now <= bound + growth + ROUNDING and now > b.radius
                for k in range(path.count):
                    distance = point_segment(
                        px, py, path.slices[k, 0], path.slices[k, 1], path.slices[k, 2], path.slices[k, 3]
                    )
                    clearance = distance - (bound + path.slices[k, 4] + speed * path.slices[k, 5])
                    if speed > 0.0 and path.slices[k, 6] < refuge:
                        clearance = wp.max(clearance, refuge - path.slices[k, 6])
                    if not (clearance > 0.0):
                        if escaping and distance >= now - ROUNDING:
                            clearance = 0.0
                        else:
                            verdict.reason = Reason.OBSTACLE
                            if speed > 0.0:
                                verdict.reason = Reason.PERSON
                            verdict.culprit = j
                            return verdict
                    verdict.margin = wp.min(verdict.margin, clearance)
    for j in range(sight.phantom_count[row]):
        ax = sight.phantoms[row, j, 0]
        ay = sight.phantoms[row, j, 1]
        bx = sight.phantoms[row, j, 2]
        by = sight.phantoms[row, j, 3]
        body = sight.phantoms[row, j, 4]
        bound = b.radius + b.range_noise + body
        speed = sight.phantoms[row, j, 5]
        now = point_segment(0.0, 0.0, ax, ay, bx, by)
        # as with a standing thing: what hides there stands, so away from it, or turning on the spot, slowly
        escaping = slow and speed == 0.0 and now <= bound + growth + ROUNDING and now > b.radius + body
        for k in range(path.count):
            distance = segment_segment(
                path.slices[k, 0], path.slices[k, 1], path.slices[k, 2], path.slices[k, 3], ax, ay, bx, by
            )
            clearance = distance - (bound + path.slices[k, 4] + speed * path.slices[k, 5])
            if path.slices[k, 6] < refuge:
                clearance = wp.max(clearance, refuge - path.slices[k, 6])
            if not (clearance > 0.0):
                if escaping and distance >= now - ROUNDING:
                    clearance = 0.0
                else:
                    verdict.reason = Reason.PHANTOM
                    return verdict
            verdict.margin = wp.min(verdict.margin, clearance)
    return verdict


@wp.func
def moves(row: int, sight: Sight) -> bool:
    """Whether anything near a row may move: then the stop is cut into slices of time."""
    if sight.phantom_count[row] > 0:
        return True
    for i in range(sight.point_count[row]):  # noqa: SIM110 (Warp knows no generators)
        if sight.points[row, i][3] > 0.0:
            return True
    return False

"""How far bodies reach along and across a path that bends: corners come first, not middles.

On a bend of curvature k a point x ahead on the tangent and y m to the inside lies atan(k x / (1 - k y)) / k along the
path, which in a junction's bend of 8 m radius is 0.3 m more than x for the inner corner of a car's nose.
"""

from __future__ import annotations

# pyright: reportGeneralTypeIssues=false, reportArgumentType=false, reportIndexIssue=false, reportCallIssue=false, reportAttributeAccessIssue=false, reportOperatorIssue=false, reportReturnType=false, reportInvalidTypeForm=false, reportAssignmentType=false
# Warp traces kernels itself: its scalar and array types are not what a type checker takes them for.
import warp as wp

from safety.roadbounds import RoadBounds

wp.set_module_options({"fuse_fp": False, "enable_backward": False})


@wp.func
def body(d: float, side: float, curve: float, b: RoadBounds) -> wp.vec2:
    """The least and the largest d of the car's outline: a straight body over a path that bends; side is sin(yaw)."""
    back = d - b.rear * side - 0.5 * curve * b.rear * b.rear
    ahead = d + b.front * side - 0.5 * curve * b.front * b.front
    low = wp.min(back, ahead)
    high = wp.max(back, ahead)
    if wp.abs(curve) > 1.0e-4:
        x = side / curve  # where the offset d + x side - curve x^2 / 2 turns round
        if x > -b.rear and x < b.front:
            turned = d + 0.5 * side * side / curve
            low = wp.min(low, turned)
            high = wp.max(high, turned)
    return wp.vec2(low - b.half_width, high + b.half_width)


@wp.func
def arc_way(x: float, inner: float, bend: float) -> float:
    """How far along a bend a point reaches that lies x ahead on the tangent, `inner` m to the inside; x at least."""
    k = wp.abs(bend)
    if k < 1.0e-4:
        return x
    return wp.max(x, wp.atan2(k * x, wp.max(1.0 - k * inner, 0.2)) / k)


@wp.func
def nose_way(d: float, yaw: float, bend: float, b: RoadBounds) -> float:
    """How much further than `b.front` our nose's inner corner reaches along a bend, at an offset and a heading, m."""
    side = wp.sin(yaw)
    cosine = wp.cos(yaw)
    x = b.front * cosine + b.half_width * wp.abs(side)
    inner = wp.sign(bend) * (d + b.front * side) + b.half_width
    return wp.max(arc_way(x, inner, bend) - b.front, 0.0)

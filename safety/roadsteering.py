"""How a car is steered to a line along its path: the law by which plans are foreseen, and driven.

    d'' = -OMEGA^2 (d - line) - 2 OMEGA d'

beside the bend's own curvature, within SIDEWAYS, the wheels' stop and the largest lateral acceleration.
"""

from __future__ import annotations

# pyright: reportGeneralTypeIssues=false, reportArgumentType=false, reportIndexIssue=false, reportCallIssue=false, reportAttributeAccessIssue=false, reportOperatorIssue=false, reportReturnType=false, reportInvalidTypeForm=false, reportAssignmentType=false
# Warp traces kernels itself: its scalar and array types are not what a type checker takes them for.
import warp as wp

from safety.roadbounds import RoadBounds

wp.set_module_options({"fuse_fp": False, "enable_backward": False})

OMEGA = wp.constant(1.0)
"""rad/s; frequency of the steering law: a lane change in about 4 s, a_lat = 1.5 m/s^2 at most."""

SIDEWAYS = wp.constant(1.5)
"""Largest lateral acceleration that the steering law adds to the bend's own, m/s^2: half of ISO 11270's 3.0."""

FIRM, FIRM_SIDEWAYS = wp.constant(2.0), wp.constant(3.0)
"""rad/s, m/s^2 (ISO 11270's most); of who no longer knows where bends begin: beside 2 m of them it must come back."""

CRAWL = wp.constant(3.0)
"""m/s; below it steering goes by distance, not by time."""

LOOK_AHEAD = wp.constant(0.15)
"""s; the bend's curvature is asked for so early: half of the steering's way to it."""


@wp.func
def steering(d: float, side: float, cosine: float, v: float, curve: float, line: float, b: RoadBounds) -> float:
    """The curvature that leads to a line along the path, whose curvature is `curve`; side is sin(yaw)."""
    return steer_by(OMEGA, SIDEWAYS, d, side, cosine, v, curve, line, b)


@wp.func
def firmly(d: float, side: float, cosine: float, v: float, curve: float, line: float, b: RoadBounds) -> float:
    """The same, for who sees the lane but no longer knows where its bends begin."""
    return steer_by(FIRM, FIRM_SIDEWAYS, d, side, cosine, v, curve, line, b)


@wp.func
def steer_by(
    omega: float,
    most: float,
    d: float,
    side: float,
    cosine: float,
    v: float,
    curve: float,
    line: float,
    b: RoadBounds,
) -> float:
    """The law with a frequency and a largest lateral acceleration."""
    pace = wp.max(v, CRAWL)
    wish = -(omega * omega * (d - line) + 2.0 * omega * pace * side)
    wish = wp.clamp(wish, -most, most)
    bend = curve * cosine / wp.max(1.0 - curve * d, 0.3)
    return limit_curvature(bend + wish / (pace * pace), v, b)


@wp.func
def limit_curvature(curvature: float, v: float, b: RoadBounds) -> float:
    """Within the steering's stop and the largest lateral acceleration."""
    most = wp.min(b.curvature_max, b.lateral / wp.max(v * v, 1.0e-3))
    return wp.clamp(curvature, -most, most)

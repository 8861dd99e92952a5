"""The lattice: what the shield tries instead of a proposal that it refused, and which of it is nearest.

    candidates   7 speeds by 9 yaw rates that the drive can reach within one period, and a full stop
    cost         (dv / span of v)^2 + 8 (dw / span of w)^2, the distance to the proposal

A further command means the same for one period, so the lattice lies around the measured twist and not on a fixed grid.

A deterministic policy repeats the advance that was refused, and would stand for ever, or tremble at the edge of its
ground. Three rules keep it from that (`tests/safety/test_lattice.py`):

    who wants to get on turns, in every candidate that does not advance, along its corridor;
    no candidate sends a robot the way that it neither drives nor wants to drive: braking is the stored plan's;
    none crawls slower than CRAWL: it stands.

The turn w = 2 bearing dies out as the bearing does, whatever the policy asks, so nothing can swing about a threshold.
Who asks for no more than CREEP (the fallback, a robot that settles) aims and turns by itself, and is left to rest where
it is refused: turned against its aim it would turn back, and take that for progress.

The lattice proposes; `safety/judge.py` decides on each of its candidates as on any other command.
"""

from __future__ import annotations

# pyright: reportGeneralTypeIssues=false, reportArgumentType=false, reportIndexIssue=false, reportCallIssue=false, reportAttributeAccessIssue=false, reportOperatorIssue=false, reportReturnType=false, reportInvalidTypeForm=false, reportAssignmentType=false
# Warp traces kernels itself: its scalar and array types are not what a type checker takes them for.
import warp as wp

from safety.dynamics import Bounds
from safety.judge import CREEP
from safety.sight import Ask, Sight

wp.set_module_options({"fuse_fp": False, "enable_backward": False})

SPEEDS = wp.constant(7)
TURNS = wp.constant(9)
"""With the full stop they are `safety.simplex.LATTICE`."""

CRAWL = wp.constant(0.05)
"""m/s; slower candidates stand: 5 mm a cycle, while turning on the spot frees a way of decimetres."""

ALIGN_RATE = wp.constant(2.0)
"""1/s; turning on the spot towards the corridor's way, so fast for each radian that is left."""


@wp.func
def candidate(row: int, c: int, ask: Ask, sight: Sight, b: Bounds) -> wp.vec3:
    """Command c of a row's lattice: v, w, and its cost, the weighted square distance to the proposal.

    The lattice spans what the drive can reach within one period (a further command means the same for that long).
    """
    if c == SPEEDS * TURNS:
        return wp.vec3(0.0, 0.0, 14.0)
    v0 = sight.start[row, 0]
    w0 = sight.start[row, 1]
    fall = b.brake * b.period
    if v0 < 0.0:
        fall = b.accel * b.period
    rise = b.accel * b.period
    if v0 < 0.0:
        rise = b.brake * b.period
    ask_v = wp.clamp(ask.command[row, 0], -b.reverse_max, b.speed_max)
    low = wp.max(v0 - fall, -b.reverse_max)
    high = wp.min(v0 + rise, b.speed_max)
    if v0 >= 0.0 and ask_v >= 0.0:
        low = wp.max(low, 0.0)
    if v0 <= 0.0 and ask_v <= 0.0:
        high = wp.min(high, 0.0)
    v = node(low, high, ask_v, SPEEDS, c // TURNS, CRAWL)
    wish = wp.clamp(ask.command[row, 1], -b.turn_max, b.turn_max)
    if ask_v > CREEP and v[0] == 0.0:
        wish = wp.clamp(ALIGN_RATE * sight.start[row, 5], -b.turn_max, b.turn_max)
    turn = b.turn_accel * b.period
    low = wp.max(w0 - turn, -b.turn_max)
    high = wp.min(w0 + turn, b.turn_max)
    w = node(low, high, wish, TURNS, c % TURNS, 0.0)
    # one step of turn weighs as two of speed: slowing down keeps the way that the policy chose
    return wp.vec3(v[0], w[0], v[1] * v[1] + 8.0 * w[1] * w[1])


@wp.func
def node(low: float, high: float, wish: float, n: int, i: int, least: float) -> wp.vec2:
    """The i-th nearest of n values in [low, high], and its distance to the wish over the interval's length.

    The node nearest to the wish is the wish itself, the one nearest to zero is zero, and so is any below `least`.
    """
    span = wp.max(high - low, 1.0e-6)
    target = wp.clamp(wish, low, high)
    step = span / float(n - 1)
    centre = wp.clamp(int(wp.round((target - low) / step)), 0, n - 1)
    k = (centre + alternate(i) + n) % n
    value = low + step * float(k)
    if k == centre:
        value = target
    elif low < 0.0 and high > 0.0 and k == int(wp.round(-low / step)):
        value = 0.0
    if wp.abs(value) < least:
        value = 0.0
    return wp.vec2(value, (value - target) / span)


@wp.func
def alternate(i: int) -> int:
    """0, -1, 1, -2, 2, ... : neighbours of a lattice index, near ones first."""
    half = (i + 1) // 2
    if i % 2 == 1:
        return -half
    return half

"""Traffic's motor period: vehicles along and across their lanes, speeds and accelerations within their bounds.

Along the lane a vehicle does what was decided, v' = a. Across it steers for `aim` (0, or the middle of the lane beside)
plus its wandering, with bounded lateral speed and acceleration. What it steers is its slant, the sine of its angle to
the lane, by at most STEER for each metre that it drives: one that stands neither moves sideways nor turns. The pose
follows from the lane: x(s) + d n(s), yaw turned by the slant; v_across = v slant.
"""

# pyright: reportGeneralTypeIssues=false, reportArgumentType=false, reportIndexIssue=false, reportCallIssue=false
# pyright: reportAttributeAccessIssue=false, reportOperatorIssue=false, reportReturnType=false
# pyright: reportInvalidTypeForm=false, reportOptionalMemberAccess=false, reportAssignmentType=false
# Warp traces kernels itself: its scalar and array types are not what a type checker takes them for.

from __future__ import annotations

import warp as wp

from sim.driving.following import Rules, choose
from sim.driving.movers import MapArrays, MoverArrays
from sim.driving.standing import put, stand_on, vanish
from sim.driving.state import ActorArrays
from sim.frenet import Lanes

wp.set_module_options({"fuse_fp": False, "enable_backward": False})

CHANGE_SPEED = 1.2
"""Lateral speed of a lane change, m/s (R157's cut-ins: 0.9 to 1.8 m/s; profile.lateral_change is the bound)."""

KEEP_SPEED = 0.25
"""Lateral speed of one that keeps its lane, m/s; below `RoadProfile.lateral`."""

LATERAL_ACCEL = 0.8
"""m/s^2 (R157, 5.2.6.4.1.1 allows 1 m/s^2 for lane changes)."""

APPROACH = 0.6
"""Lateral speed for each metre of distance to the aim, 1/s: lateral acceleration stays below 0.8 m/s^2 at the end."""

SLANT = 0.2
"""Lateral speed is at most this share of the speed: an angle of 11 degrees to the lane."""

STEER = 0.05
"""By how much the slant changes at most for each metre driven, 1/m: a circle of 20 m radius beside the lane's own bend
(96/53/EC asks lorries to turn within 12.5 m)."""

CORNERS = 0.1
"""How far the corners of one that keeps its lane stray beside its middle at least, m; else within the wandering."""

CHANGE_C = wp.constant(CHANGE_SPEED)
KEEP_C = wp.constant(KEEP_SPEED)
LATERAL_C = wp.constant(LATERAL_ACCEL)
APPROACH_C = wp.constant(APPROACH)
SLANT_C = wp.constant(SLANT)
STEER_C = wp.constant(STEER)
CORNERS_C = wp.constant(CORNERS)


@wp.func
def move_one(
    rules: Rules,
    map: MapArrays,
    lanes: Lanes,
    actors: ActorArrays,
    movers: MoverArrays,
    world: int,
    i: int,
) -> None:
    """The same for one of them."""
    lane = actors.lane[world, i]
    if actors.kind[world, i] < 0 or lane < 0:
        return
    dt = rules.period
    before = actors.motion[world, i, 0]
    v = wp.max(before + movers.accel[world, i] * dt, 0.0)
    mean = 0.5 * (before + v)
    s = actors.place[world, i, 0]
    d = actors.place[world, i, 1]
    slant = movers.slant[world, i]
    # across
    off = movers.aim[world, i] - d
    fastest = wp.min(CHANGE_C, rules.lateral_change)
    most = SLANT_C
    if movers.side[world, i] == 0 and wp.abs(d) <= rules.wander + 0.1:
        fastest = wp.min(KEEP_C, rules.lateral)
        most = wp.min(SLANT_C, 2.0 * wp.max(rules.wander - wp.abs(d), CORNERS_C) / actors.size[world, i, 0])
    most = wp.min(most, wp.sqrt(STEER_C * wp.abs(off)))  # it can be straight again where it wants to be
    pace = wp.max(mean, 0.1)
    wish = wp.clamp(wp.clamp(APPROACH_C * off, -fastest, fastest) / pace, -most, most)
    turns = wp.min(STEER_C * mean, LATERAL_C / pace) * dt
    slant = wp.clamp(wish, slant - turns, slant + turns)
    across = v * slant
    d += across * dt
    # along
    straight = wp.sqrt(wp.max(mean * mean - across * across, 0.0))
    s += straight * dt / wp.max(1.0 - movers.base[world, i, 6] * d, 0.2)
    movers.driven[world, i] = movers.driven[world, i] + mean * dt
    actors.motion[world, i, 0] = v
    actors.motion[world, i, 1] = (v - before) / dt
    if s > lanes.length[lane]:
        onward = choose(map, movers.key[world, i], lane)
        if onward < 0:
            vanish(actors, movers, world, i)
            return
        s -= lanes.length[lane]
        movers.before[world, i] = lane
        actors.lane[world, i] = onward
        movers.also[world, i] = -1
        actors.place[world, i, 0] = s
        stand_on(lanes, actors, movers, world, i)
    actors.place[world, i, 0] = s
    actors.place[world, i, 1] = d
    actors.place[world, i, 2] = across
    movers.slant[world, i] = slant
    put(actors, movers, world, i, s, d, slant, v)


@wp.kernel(module="sim.driving.traffic")
def move(
    rules: Rules,
    map: MapArrays,
    lanes: Lanes,
    actors: ActorArrays,
    movers: MoverArrays,
    each: int,
) -> None:
    """One motor period of traffic's vehicles."""
    world, part = wp.tid()
    for i in range(part * each, wp.min((part + 1) * each, rules.vehicles)):
        move_one(rules, map, lanes, actors, movers, world, rules.robots + i)

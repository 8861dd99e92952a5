"""Traffic's motor period: vehicles along and across their lanes, speeds and accelerations within their bounds.

Along the lane a vehicle does what was decided, v' = a. Across it steers for `aim` (0, or the middle of the lane beside)
plus its wandering, with bounded lateral speed and acceleration; one that stands does not move sideways. The pose
follows from the lane: x(s) + d n(s), yaw turned by atan2(v_across, v_along).
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

CHANGE_C = wp.constant(CHANGE_SPEED)
KEEP_C = wp.constant(KEEP_SPEED)
LATERAL_C = wp.constant(LATERAL_ACCEL)
APPROACH_C = wp.constant(APPROACH)
SLANT_C = wp.constant(SLANT)


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
    across = actors.place[world, i, 2]
    # across
    aim = movers.aim[world, i]
    fastest = rules.lateral
    if movers.side[world, i] != 0 or wp.abs(d) > rules.wander + 0.1:
        fastest = wp.min(CHANGE_C, rules.lateral_change)
    else:
        fastest = wp.min(KEEP_C, rules.lateral)
    fastest = wp.min(fastest, SLANT_C * v)
    wish = wp.clamp(APPROACH_C * (aim - d), -fastest, fastest)
    across = wp.clamp(wish, across - LATERAL_C * dt, across + LATERAL_C * dt)
    across = wp.clamp(across, -SLANT_C * v, SLANT_C * v)
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
    put(actors, movers, world, i, s, d, across, v)


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

"""Where scripted actors are: along chains of lanes, before or behind the ego, under which lane.

Distances between actors are measured along the chain of lanes that the ego is on, from the middle of one box to that of
the other. Beyond a lane's end an actor follows the successor that turns least; over its border the neighbour becomes
its reference.
"""

# pyright: reportGeneralTypeIssues=false, reportArgumentType=false, reportIndexIssue=false, reportCallIssue=false
# pyright: reportAttributeAccessIssue=false, reportOperatorIssue=false, reportReturnType=false
# pyright: reportInvalidTypeForm=false, reportOptionalMemberAccess=false
# Warp traces kernels itself: its scalar and array types are not what a type checker takes them for.

from __future__ import annotations

import warp as wp

from sim.driving.scriptstate import Played, Script
from sim.driving.state import ActorArrays
from sim.frenet import Lanes, lane_frame, lane_project

wp.set_module_options({"fuse_fp": False, "enable_backward": False})

CHAIN = wp.constant(32)
"""Lanes that are followed to find an actor: a town's are 10 m long at least, a highway's pieces 100 m."""


@wp.func
def along_chain(lanes: Lanes, script: Script, lane: int, s: float) -> wp.vec2:
    """The lane that s on `lane` really lies on, and s there; lane -1 beyond the end of the road."""
    here = int(lane)
    at = float(s)
    for _ in range(CHAIN):
        if here >= 0 and at > lanes.length[here]:
            at -= lanes.length[here]
            here = script.onward[here, 0]
        elif here >= 0 and at < 0.0:
            here = script.onward[here, 1]
            if here >= 0:
                at += lanes.length[here]
    if here >= 0 and (at < 0.0 or at > lanes.length[here]):
        here = -1
    return wp.vec2(float(here), at)


@wp.func
def find_ahead(lanes: Lanes, script: Script, lane: int, s: float, x: float, y: float, guess: float) -> wp.vec2:
    """How far a place lies ahead of s along the chain of lanes, and how far left of it, m; `guess` of the former."""
    here = int(lane)
    passed = -s
    for _ in range(CHAIN):
        if guess - passed > lanes.length[here] and script.onward[here, 0] >= 0:
            passed += lanes.length[here]
            here = script.onward[here, 0]
        elif guess - passed < 0.0 and script.onward[here, 1] >= 0:
            here = script.onward[here, 1]
            passed -= lanes.length[here]
    found = lane_project(lanes, here, x, y, wp.clamp(guess - passed, 0.0, lanes.length[here]))
    if found[0] >= lanes.length[here] - 1.0e-3 and script.onward[here, 0] >= 0:
        passed += lanes.length[here]
        here = script.onward[here, 0]
        found = lane_project(lanes, here, x, y, 0.0)
    elif found[0] <= 1.0e-3 and script.onward[here, 1] >= 0:
        here = script.onward[here, 1]
        passed -= lanes.length[here]
        found = lane_project(lanes, here, x, y, lanes.length[here])
    return wp.vec2(passed + found[0], found[1])


@wp.struct
class Under:
    """The lane under a place."""

    lane: int
    """-1: none"""
    s: float
    d: float
    against: int
    """1: it runs against the reference lane"""


@wp.func
def find_under(lanes: Lanes, lane: int, x: float, y: float, s: float, d: float) -> Under:
    """The lane that a place is on, from s, d on a reference lane, over neighbours and the oncoming lanes."""
    under = Under()
    under.lane = lane
    under.s = s
    under.d = d
    under.against = 0
    for _ in range(6):
        if under.lane >= 0:
            frame = lane_frame(lanes, under.lane, under.s)
            other = wp.int32(-2)
            turned = wp.int32(0)
            if under.d > frame.left:
                other = lanes.beside[under.lane, 0]
                if other < 0:
                    other = lanes.beside[under.lane, 2]
                    turned = 1
            elif under.d < -frame.right:
                other = lanes.beside[under.lane, 1]
            if other == -1:
                under.lane = -1
            if other >= 0:
                guess = under.s * lanes.length[other] / lanes.length[under.lane]
                if turned == 1:
                    guess = lanes.length[other] - guess
                found = lane_project(lanes, other, x, y, guess)
                under.lane = other
                under.s = found[0]
                under.d = found[1]
                if turned == 1:
                    under.against = 1 - under.against
    return under


@wp.func
def show(w: int, k: int, lanes: Lanes, script: Script, played: Played, actors: ActorArrays, fresh: wp.bool) -> None:
    """Write an actor's slot of `ActorArrays` from its state, and change its reference lane when it crossed a border."""
    slot = script.first + k
    lane = played.lane[w, k]
    s = played.place[w, k, 0]
    d = played.place[w, k, 1]
    u = played.speed[w, k, 0]
    across = played.speed[w, k, 1]
    frame = lane_frame(lanes, lane, s)
    x = frame.x - d * wp.sin(frame.heading)
    y = frame.y + d * wp.cos(frame.heading)
    if u > 0.05 or wp.abs(across) > 0.05:
        played.speed[w, k, 3] = wp.atan2(across, u)
    yaw = frame.heading + played.speed[w, k, 3]
    turn = yaw - actors.pose[w, slot, 2]
    rate = wp.atan2(wp.sin(turn), wp.cos(turn)) / script.step
    if fresh:
        rate = u * frame.curvature
    speed = wp.sqrt(u * u + across * across)
    actors.pose[w, slot, 0] = x
    actors.pose[w, slot, 1] = y
    actors.pose[w, slot, 2] = yaw
    actors.motion[w, slot, 0] = speed
    share = wp.float32(1.0)
    if speed > 0.0:
        share = u / speed
    actors.motion[w, slot, 1] = played.speed[w, k, 2] * share
    actors.motion[w, slot, 2] = rate
    under = find_under(lanes, lane, x, y, s, d)
    if under.lane >= 0 and under.against == 0 and under.lane != lane:
        heading = lane_frame(lanes, under.lane, under.s).heading
        played.lane[w, k] = under.lane
        played.place[w, k, 0] = under.s
        played.place[w, k, 1] = under.d
        played.speed[w, k, 3] = played.speed[w, k, 3] + frame.heading - heading
    sign = 1.0 - 2.0 * float(under.against)
    actors.lane[w, slot] = under.lane
    actors.place[w, slot, 0] = under.s
    actors.place[w, slot, 1] = under.d
    actors.place[w, slot, 2] = sign * across

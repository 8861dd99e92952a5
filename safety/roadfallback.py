"""The road's fallback: what drives a car to a minimal-risk state when its policy cannot.

    STOP       brake comfortably in the own lane, until rest; who is between two lanes creeps into one first
    SHOULDER   steer onto a hard shoulder that is free beside the lane, and stop there
    DONE       at rest, and stays so; who finds within STOOD that it is between two lanes goes on

It starts with the shoulder where one begins within sight and nobody stands on the way there, otherwise it stops in
the lane: a lane is no place to stay, but nothing is gained by driving on without a policy. It only proposes: the shield
judges its commands like any other, and where the view has failed plays the stored plan, which ends in rest too. Without
a shield it brakes as hard as comfort allows by the best estimate that there is, and steers by its last believed path.

One kernel over rows; `RoadFallbackMemory` is all that it remembers.
"""

from __future__ import annotations

# pyright: reportGeneralTypeIssues=false, reportArgumentType=false, reportIndexIssue=false, reportCallIssue=false, reportAttributeAccessIssue=false, reportOperatorIssue=false, reportReturnType=false, reportInvalidTypeForm=false, reportAssignmentType=false
# Warp traces kernels itself: its scalar and array types are not what a type checker takes them for.
from dataclasses import dataclass, field
from enum import IntEnum

import warp as wp

from safety.dynamics import finite
from safety.roadbounds import RoadBounds, RoadRules, road_bounds
from safety.roadplan import braking
from safety.roadsight import (
    BEHIND_C,
    INTRUSION,
    OBJECTS_C,
    OX,
    OY,
    PCURVE,
    PLEFT,
    PRIGHT,
    PRIGHT_LANE,
    PSHOULDER,
    REST,
    STEP_C,
    path_bend,
    path_index,
    path_least,
    project,
)
from safety.roadsteering import LOOK_AHEAD, steering
from sim.driving.profile import RoadProfile
from sim.driving.state import View
from sim.launches import Launchable, record
from sim.robot import RobotSpec

wp.set_module_options({"fuse_fp": False, "enable_backward": False})


class RoadPhase(IntEnum):
    """What the fallback is doing."""

    STOP = 0
    SHOULDER = 1
    DONE = 2


STOP = wp.constant(int(RoadPhase.STOP))
SHOULDER = wp.constant(int(RoadPhase.SHOULDER))
DONE = wp.constant(int(RoadPhase.DONE))

SLACK = wp.constant(0.4)
"""m of a shoulder beyond the car's width, so that it is entered at all."""

ENTER_SPEED = wp.constant(8.0)
"""m/s held while the car still is between lane and shoulder: at rest there it would block both."""


CREEP = wp.constant(3.0)
"""m/s held while the car still is between two lanes: steering goes by distance below it (CRAWL)."""

PULLS_AWAY = wp.constant(2.0)
"""m/s^2 up to that speed: the most that ISO 15622 lets an adaptive cruise control accelerate."""

STOOD = wp.constant(5.0)
"""s at rest, after which a car stays where it is until somebody comes for it: others have begun to drive around it."""

INSIDE = wp.constant(0.1)
"""m between the car and its lane's edges, from which on it is in it: what the lane camera may be off by."""


@dataclass(frozen=True)
class RoadFallbackMemory:
    """What the fallback remembers of each row."""

    phase: wp.array
    """`RoadPhase`, int32 (rows,)"""
    last: wp.array
    """Acceleration and curvature proposed last, float32 (rows, 2)"""
    stood: wp.array
    """For how long it has been at rest as DONE, s, float32 (rows,)"""


@dataclass
class RoadFallback:
    """Owns the recorded launch, not the memory."""

    spec: RobotSpec
    profile: RoadProfile = field(default_factory=RoadProfile)
    rules: RoadRules = field(default_factory=RoadRules)
    bounds: RoadBounds = field(init=False)

    def __post_init__(self) -> None:
        self.bounds = road_bounds(self.spec, self.profile, self.rules)

    def init(self, rows: int, device: str = "cpu") -> RoadFallbackMemory:
        """Memory for `rows` cars whose fallback has just been called."""
        return RoadFallbackMemory(
            phase=wp.zeros(rows, dtype=wp.int32, device=device),
            last=wp.zeros((rows, 2), dtype=wp.float32, device=device),
            stood=wp.zeros(rows, dtype=wp.float32, device=device),
        )

    def record(self, view: View, mask: wp.array, memory: RoadFallbackMemory, command: wp.array) -> Launchable:
        """The launch that writes a proposal (rows, 2) for the rows whose mask (uint8, (rows,)) is set.

        Rows whose mask is not set forget: their next call begins anew.
        """
        inputs = [view, self.bounds, mask, memory.phase, memory.last, memory.stood, command]
        return record(propose_stop, mask.shape[0], inputs, mask.device)

    def reset(self, mask: wp.array, memory: RoadFallbackMemory) -> None:
        """Forget the rows whose mask is set."""
        wp.launch(begin_anew, mask.shape[0], [mask, memory.phase, memory.last, memory.stood], device=mask.device)


@wp.kernel
def begin_anew(
    mask: wp.array(dtype=wp.uint8),
    phase: wp.array(dtype=wp.int32),
    last: wp.array2d(dtype=wp.float32),
    stood: wp.array(dtype=wp.float32),
) -> None:
    """Rows whose mask is set have not been called yet."""
    row = wp.tid()
    if mask[row] != wp.uint8(0):
        phase[row] = STOP
        last[row, 0] = 0.0
        last[row, 1] = 0.0
        stood[row] = 0.0


@wp.func
def shoulder_room(view: View, row: int, far: float, b: RoadBounds) -> float:
    """How far ahead of base_link a shoulder lies beside the lane, wide enough and on and on, up to `far`, m."""
    last = wp.min(BEHIND_C + int(far / STEP_C) + 2, BEHIND_C + 60)
    for k in range(BEHIND_C, last):
        free = view.path_lane[row, k] >= 0 and not (view.path[row, k, PRIGHT_LANE] > 0.0)
        if not (free and view.path[row, k, PSHOULDER] >= 2.0 * b.half_width + SLACK):
            return float(k - 1 - BEHIND_C) * STEP_C
    return far


@wp.func
def beside_clear(view: View, row: int, far: float) -> bool:
    """Whether nobody is right of the lane from just behind up to `far` m ahead."""
    last = wp.min(BEHIND_C + int(far / STEP_C) + 2, BEHIND_C + 60)
    for j in range(OBJECTS_C):
        if view.object_kind[row, j] >= 0:
            at = project(view, row, last, view.objects[row, j, OX], view.objects[row, j, OY])
            if at[0] > -10.0 and at[0] < far + 10.0 and at[1] < -path_least(view, row, BEHIND_C, PRIGHT):
                return False
    return True


@wp.func
def shoulder_line(view: View, row: int, v: float, d: float, begun: bool, b: RoadBounds) -> wp.vec2:
    """The middle of a shoulder to stop on, d in m, and the braking for it; 0 without one.

    It must be free for as long as it takes to get onto it and to stop. Who already is on it needs the way to stop
    alone, and brakes harder than comfort where it ends soon: its end is no place to come back into the lane at.
    `begun`: it was being stopped on before, and still is while hard braking is all that is left.
    """
    line = -(view.path[row, BEHIND_C, PRIGHT] + 0.5 * view.path[row, BEHIND_C, PSHOULDER])
    pace = wp.max(v, ENTER_SPEED)
    far = wp.min(pace * 5.0 + 0.5 * pace * pace / b.comfort, 180.0)
    here = shoulder_room(view, row, far, b)
    if here >= far and beside_clear(view, row, far):
        return wp.vec2(line, b.comfort)
    if d + b.half_width > -view.path[row, BEHIND_C, PRIGHT] + INTRUSION or here < 0.0:
        return wp.vec2(0.0, 0.0)
    # until braking answers, and while it builds up
    waits = v * (b.latency + b.period + 0.5 * b.brake / b.jerk)
    strength = 0.5 * v * v / wp.max(here - waits, 0.1)
    if strength > b.brake and not begun:
        return wp.vec2(0.0, 0.0)
    return wp.vec2(line, wp.clamp(strength, b.comfort, b.brake))


@wp.kernel
def propose_stop(
    view: View,
    b: RoadBounds,
    mask: wp.array(dtype=wp.uint8),
    phase: wp.array(dtype=wp.int32),
    last: wp.array2d(dtype=wp.float32),
    stood: wp.array(dtype=wp.float32),
    command: wp.array2d(dtype=wp.float32),
) -> None:
    """The fallback's proposal for each masked row."""
    row = wp.tid()
    if mask[row] == wp.uint8(0):
        phase[row] = STOP
        last[row, 1] = 0.0
        stood[row] = 0.0
        return
    v = view.motion[row, 0]
    d = view.where[row, 0]
    yaw = view.where[row, 1]
    sum = v + d + yaw + view.path[row, BEHIND_C, PCURVE] + view.motion[row, 2]
    if not (finite(sum) and view.path_lane[row, BEHIND_C] >= 0):
        # nothing to steer by: straight on where the wheels point, to rest
        command[row, 0] = -b.comfort
        command[row, 1] = last[row, 1]
        return
    fresh = view.age[row] <= b.age and view.list_age[row] <= b.list_age
    left = path_least(view, row, BEHIND_C, PLEFT) - d
    right = path_least(view, row, BEHIND_C, PRIGHT) + d
    if view.path[row, BEHIND_C, PRIGHT_LANE] <= 0.0:
        right = right + view.path[row, BEHIND_C, PSHOULDER]
    between = fresh and wp.min(left, right) < b.half_width + INSIDE
    if v <= REST and not between:
        phase[row] = DONE
    elif phase[row] == DONE and fresh and wp.min(left, right) < b.half_width and stood[row] < STOOD:
        phase[row] = STOP  # came to rest between two lanes while nothing was known of others: that is over
    stood[row] = wp.where(phase[row] == DONE and v <= REST, stood[row] + b.period, 0.0)
    line = wp.float32(0.0)
    strength = b.comfort
    if phase[row] != DONE and fresh:
        aside = shoulder_line(view, row, v, d, phase[row] == SHOULDER, b)
        line = aside[0]
        if line < 0.0:
            strength = aside[1]
            phase[row] = SHOULDER
        elif phase[row] == SHOULDER:
            phase[row] = STOP
    curve = path_bend(view, row, path_index(v * LOOK_AHEAD))
    turn = steering(d, wp.sin(yaw), wp.cos(yaw), wp.max(v, 0.0), curve, line, b)
    a = -braking(strength, line, v, turn, b)
    if between and line == 0.0 and v < CREEP + 1.0:
        a = wp.clamp(CREEP - v, -b.comfort, PULLS_AWAY)
    if line < 0.0 and strength <= b.comfort and d > line + 0.3 and v < ENTER_SPEED:
        a = wp.min(1.0, ENTER_SPEED - v)
    if phase[row] == DONE:
        a = -1.0
        turn = last[row, 1]
    command[row, 0] = a
    command[row, 1] = turn
    last[row, 0] = a
    last[row, 1] = turn

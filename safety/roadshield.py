"""The road's shield: no command drives the car unless a fail-safe plan after it is proved safe.

The cycle is that of `safety/simplex.py`, as for the robot on a floor; the law differs. A command is an acceleration and
a curvature; a plan is a line across the path, a strength of braking and a hold (`safety/roadplan.py`), kept with the
path that it was verified on, so that it can be driven to standstill from the pose alone, whatever else fails. When the
pose fails too, it is driven by dead reckoning from the last state.

    RoadShield(spec).init(rows, device) -> memory;  launch(inputs, memory, out);  reset(mask, memory)

with `sim.driving.filter.RoadInputs` and `sim.filter.FilterOutputs`. What the shield promises is passive safety under
`RoadProfile`: with speed it touches nobody who keeps that profile, keeps its lane and the limit.
"""

from __future__ import annotations

# pyright: reportGeneralTypeIssues=false, reportArgumentType=false, reportIndexIssue=false, reportCallIssue=false, reportAttributeAccessIssue=false, reportOperatorIssue=false, reportReturnType=false, reportInvalidTypeForm=false, reportAssignmentType=false
# Warp traces kernels itself: its scalar and array types are not what a type checker takes them for.
from dataclasses import dataclass, field

import warp as wp

from safety.dynamics import finite
from safety.roadareas import look_areas
from safety.roadbounds import RoadBounds, RoadRules, RoadShieldError, road_bounds
from safety.roadhidden import look_hidden
from safety.roadjudge import judge_road
from safety.roadkept import RoadKept, believe, clear_road, drift, keep_road, kept_bend, onto
from safety.roadmitigation import mitigate
from safety.roadobjects import set_object
from safety.roadplan import SLICE_TIME, braking, go
from safety.roadsight import (
    AREAS,
    BEHIND_C,
    HISTORY,
    OBJECTS_C,
    REST,
    SD,
    SET,
    START,
    STEP_C,
    SV,
    SYAW,
    RoadAsk,
    RoadSight,
    look_start,
    path_bend,
    path_index,
    remember,
)
from safety.roadsteering import LOOK_AHEAD, firmly, limit_curvature, steering
from safety.simplex import Law, Recording, Tried, make_kernels, make_tried, recorded, struct_of
from sim.driving.filter import RoadInputs
from sim.driving.profile import RoadProfile
from sim.driving.state import OBJECTS, PATH
from sim.filter import FilterOutputs
from sim.robot import RobotSpec

wp.set_module_options({"fuse_fp": False, "enable_backward": False})

CURVES = wp.constant(7)
"""Curvatures of the lattice, with 9 accelerations; the last candidate brakes comfortably in the lane."""

STANDING = wp.constant(-1.0)
"""m/s^2; what a car at rest is told, so that it stays there."""


@dataclass(frozen=True)
class RoadShieldMemory:
    """The shield's state and scratch, one row per car: the arrays of `RoadKept`, `RoadSight` and `Tried`.

    The first six outlive a launch; a snapshot that has them all goes on bit for bit.
    """

    plan: wp.array
    elapsed: wp.array
    played: wp.array
    state: wp.array
    path: wp.array
    history: wp.array
    start: wp.array
    objects: wp.array
    object_mode: wp.array
    areas: wp.array
    area_count: wp.array
    status: wp.array
    culprit: wp.array
    seen: wp.array
    best: wp.array
    margins: wp.array
    plans: wp.array
    verdicts: wp.array
    commands: wp.array


@dataclass
class RoadShield:
    """The filter of a car among others; owns the recorded launches, not the memory."""

    spec: RobotSpec
    profile: RoadProfile = field(default_factory=RoadProfile)
    rules: RoadRules = field(default_factory=RoadRules)
    bounds: RoadBounds = field(init=False)
    recorded: dict[tuple[int, int, int], Recording] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Raises RoadShieldError where car, profile and rules do not fit each other."""
        self.bounds = road_bounds(self.spec, self.profile, self.rules)
        room = (HISTORY - 1) * self.bounds.period
        if self.bounds.latency > min(room, 8.0 * float(SLICE_TIME)) + 1.0e-6:
            raise RoadShieldError(
                f"car {self.spec.name}: the latency bound is {self.bounds.latency} s, the shield remembers commands "
                f"for {min(room, 8.0 * float(SLICE_TIME)):.2f} s; lower the latency or lengthen the period"
            )

    def init(self, rows: int, device: str = "cpu") -> RoadShieldMemory:
        """Memory for `rows` cars at rest."""

        def floats(*shape: int) -> wp.array:
            return wp.zeros(shape, dtype=wp.float32, device=device)

        def whole(*shape: int) -> wp.array:
            return wp.zeros(shape, dtype=wp.int32, device=device)

        return RoadShieldMemory(
            plan=floats(rows, 4),
            elapsed=floats(rows),
            played=whole(rows),
            state=floats(rows, 9),
            path=floats(rows, PATH, 3),
            history=floats(rows, HISTORY, 2),
            start=floats(rows, START),
            objects=floats(rows, OBJECTS, SET),
            object_mode=whole(rows, OBJECTS),
            areas=floats(rows, AREAS, 3),
            area_count=whole(rows),
            **make_tried(rows, device),
        )

    def launch(self, inputs: RoadInputs, memory: RoadShieldMemory, out: FilterOutputs) -> None:
        """Judge every row; recorded at the first call on these arrays, no allocation after it."""
        key = (id(inputs), id(memory), id(out))
        recording = self.recorded.get(key)
        if recording is None:
            recording = self._record(inputs, memory, out)
            self.recorded[key] = recording
        for command in recording.commands:
            command.launch()

    def reset(self, mask: wp.array, memory: RoadShieldMemory) -> None:
        """Forget the rows whose mask is set (uint8, (rows,))."""
        kept = struct_of(RoadKept, memory)
        wp.launch(KERNELS.forget, dim=mask.shape[0], inputs=[mask, kept], device=memory.plan.device)

    def _record(self, inputs: RoadInputs, memory: RoadShieldMemory, out: FilterOutputs) -> Recording:
        rows = inputs.command.shape[0]
        if memory.plan.shape[0] != rows or inputs.view.motion.shape[0] != rows:
            raise RoadShieldError(
                f"commands have {rows} rows, the view {inputs.view.motion.shape[0]}, the memory "
                f"{memory.plan.shape[0]}; make them for the same number of cars"
            )
        ask = struct_of(RoadAsk, inputs)
        seen = [ask, self.bounds, struct_of(RoadSight, memory)]
        tried, kept = struct_of(Tried, memory), struct_of(RoadKept, memory)
        recording = recorded(KERNELS, rows, seen, tried, kept, out, inputs.command.device)
        return Recording(recording.commands, (*recording.keep, inputs, memory))


@wp.func
def look_road(row: int, ask: RoadAsk, b: RoadBounds, sight: RoadSight) -> int:
    """Everything that one row is judged by; 0, or the Reason why nothing can be judged."""
    remember(row, ask, sight)
    sight.area_count[row] = 0
    reason = look_start(row, ask, b, sight)
    if reason != 0:
        return reason
    for j in range(OBJECTS_C):
        found = set_object(row, j, ask, b, sight)
        if found != 0:
            return found
    look_hidden(row, ask, b, sight)
    look_areas(row, ask, b, sight)
    return 0


@wp.func
def cut_road(row: int, ask: RoadAsk, b: RoadBounds, sight: RoadSight) -> wp.vec2:
    """The proposal within the car's limits."""
    a = wp.clamp(ask.command[row, 0], -b.brake, b.accel)
    return wp.vec2(a, limit_curvature(ask.command[row, 1], sight.start[row, SV], b))


@wp.func
def candidate_road(row: int, c: int, ask: RoadAsk, sight: RoadSight, b: RoadBounds) -> wp.vec3:
    """Command c of a row's lattice and its distance to the proposal.

    Accelerations from the proposal's down to full braking, finer near it, and one above; curvatures from the proposal's
    to that which keeps the lane, and a little beyond; comfortable braking in the lane.
    """
    u = cut_road(row, ask, b, sight)
    v = sight.start[row, SV]
    curve = path_bend(ask.view, row, path_index(v * LOOK_AHEAD))
    yaw = sight.start[row, SYAW]
    keeps = steering(sight.start[row, SD], wp.sin(yaw), wp.cos(yaw), v, curve, 0.0, b)
    if c == 63:
        return wp.vec3(wp.min(u[0], -b.comfort), keeps, 2.2)
    i = c // CURVES
    step = wp.float32(0.0)
    a = u[0]
    if i == 8:
        a = 0.5 * (u[0] + b.accel)
        step = 0.3
    elif i > 0:
        step = 1.0
        if i < 7:
            step = float(i * i) / 49.0
        a = u[0] - (u[0] + b.brake) * step
    n = c % CURVES
    share = 0.25 * float(n)
    if n == 6:
        share = -0.25
    k = limit_curvature(u[1] + (keeps - u[1]) * share, v, b)
    return wp.vec3(a, k, step * step + 2.0 * share * share)


@wp.func
def admits_road(row: int, u: wp.vec3, ask: RoadAsk, sight: RoadSight, b: RoadBounds) -> bool:
    """Every candidate is worth judging."""
    return True


@wp.func
def play_road(row: int, ask: RoadAsk, sight: RoadSight, b: RoadBounds, kept: RoadKept, seen: bool) -> wp.vec2:
    """The next tick of the stored plan, steered from the pose, or by dead reckoning where that is no number.

    While place and lane camera contradict each other, one is wrong: the camera if it jumped, else the place, which a
    bad odometer takes away slowly, and then the plan's line is sought by the camera.
    """
    view = ask.view
    sum = view.pose[row, 0] + view.pose[row, 1] + view.pose[row, 2] + view.motion[row, 0] + view.motion[row, 1]
    good = finite(sum + view.motion[row, 2])
    last = kept.history[row, 0, 0]
    if kept.plan[row, 3] == 0.0 and seen:
        # nothing was ever verified: hard braking in the lane
        keep_road(row, wp.vec3(0.0, b.brake, 0.0), wp.vec2(0.0, 0.0), ask, sight, b, kept)
    if good:
        believe(row, ask, b, kept)
    else:
        drift(row, b.period, last, b, kept)
        kept.state[row, 5] = kept.history[row, 0, 1]
    v = kept.state[row, 3]
    time = kept.elapsed[row]
    kept.elapsed[row] = time + b.period
    if kept.plan[row, 3] == 0.0:
        return wp.vec2(-b.brake, kept.history[row, 0, 1])
    # steer from where the car will be when the drive answers
    x = kept.state[row, 0]
    y = kept.state[row, 1]
    yaw = kept.state[row, 2]
    k = kept.state[row, 5]
    moved = go(v, kept.state[row, 4], last, b.latency, b)
    middle = yaw + 0.5 * k * moved[2]
    at = onto(row, x + moved[2] * wp.cos(middle), y + moved[2] * wp.sin(middle), kept)
    turn = yaw + k * moved[2] - at[1]
    ahead = kept_bend(row, at[2] + moved[0] * LOOK_AHEAD / STEP_C, kept)
    d = at[0]
    line = kept.plan[row, 0]
    firm = wp.int32(0)
    side = view.where[row, 1]
    if view.age[row] > b.age and good and kept.state[row, 7] > 0.0 and view.path_lane[row, BEHIND_C] >= 0:
        bend = path_bend(view, row, path_index(0.0))
        further = path_bend(view, row, path_index(moved[2] + moved[0] * LOOK_AHEAD))
        if wp.abs(side) < 1.0 and finite(bend + further):
            turned = (k - bend) * moved[2]
            d = view.where[row, 0] + moved[2] * wp.sin(side + 0.5 * turned)
            turn = side + turned
            ahead = further
            line = line * (1.0 - kept.state[row, 8])
            firm = wp.where(kept.plan[row, 0] == 0.0, 1, 0)  # to another line it would leave little to brake with
    steer = wp.float32(0.0)
    if firm == 1:
        steer = firmly(d, wp.sin(turn), wp.cos(turn), moved[0], ahead, line, b)
    else:
        steer = steering(d, wp.sin(turn), wp.cos(turn), moved[0], ahead, line, b)
    if v <= REST and time >= kept.plan[row, 2]:
        return wp.vec2(STANDING, kept.history[row, 0, 1])
    stops = -braking(kept.plan[row, 1], kept.plan[row, 0], v, wp.max(wp.abs(steer), wp.abs(k)), b)
    hold = wp.max(kept.plan[row, 2] - time, 0.0)
    a = stops
    if hold > 0.0:
        a = wp.float32(0.0)
    if seen:
        a = mitigate(row, a, hold, stops, ask, sight, b)
    return wp.vec2(a, steer)


LAW = Law(
    "safety.roadshield",
    RoadAsk,
    RoadBounds,
    RoadSight,
    RoadKept,
    look_road,
    cut_road,
    judge_road,
    candidate_road,
    admits_road,
    keep_road,
    play_road,
    clear_road,
)
"""A car on a road among others who keep `RoadProfile`."""

KERNELS = make_kernels(LAW)
"""They compile once, as one Warp module."""

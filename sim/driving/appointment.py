"""Appointments: who must be somewhere at a time drives so that he is, whatever policy chooses his manoeuvres.

    appointments = Appointments(environment, recordings)      the goals of an atlas's recorded problems
    Manoeuvres(environment, skills, appointments)             kept before every control step

A rule by hand over `Wish`, for goals that state a time (sim/actors.py: Goal). Of the way and the time left to where the
goal begins and ends, and of the speeds that it states, follow

    most      a speed that does not lead out of the goal before its time begins, nor into it faster than it allows
    least     the mean speed that is needed to come in before its time is over
    side      the lanes that the route still asks for, as soon as they may be entered, and no others

and nobody with an appointment stops at the side or drives slowly for another reason. Limits, bends, who drives ahead
and the shield stay above all of it.
Ways are along the route; beyond the goal, and after its time, nothing is wished any more.
"""

# pyright: reportGeneralTypeIssues=false, reportArgumentType=false, reportIndexIssue=false, reportCallIssue=false
# pyright: reportAttributeAccessIssue=false, reportOperatorIssue=false, reportReturnType=false
# pyright: reportInvalidTypeForm=false, reportOptionalMemberAccess=false
# Warp traces kernels itself: its scalar and array types are not what a type checker takes them for.

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import warp as wp

from sim.actors import Goal
from sim.driving.brisk import EARLY, Limits
from sim.driving.env import RoadEnv
from sim.driving.pathframe import Around, path_at
from sim.driving.recorded import Recorded
from sim.driving.skill import Driving
from sim.driving.state import OBJECTS, View
from sim.driving.wish import ANY_SPEED, Wish
from sim.launches import Launchable, record
from sim.road import project
from sim.robot import SECOND

wp.set_module_options({"fuse_fp": False, "enable_backward": False})

OBJECTS_C = wp.constant(OBJECTS)
FROM, TO, SLOWEST, FASTEST, ENTERS, LEAVES, PLACED = (wp.constant(k) for k in range(7))
"""Columns of an appointment: s since the beginning, m/s, metres of the route left where the goal begins and ends; 1
where it states a place."""

SPARE_WAY, SPARE_SPEED = wp.constant(1.5), wp.constant(0.3)
"""m and m/s that are kept from a goal's ends: what place and speed are measured wrong by (RobotSpec, RoadRules)."""

SPARE_TIME = wp.constant(0.2)
"""s; the drive's latency and lag."""

SLOW = wp.constant(0.5)
"""m/s; who is early goes on at a crawl, so that he still steers."""

THINKS, BRAKES, ROOM, FOLLOWS = wp.constant(1.0), wp.constant(4.0), wp.constant(2.0), wp.constant(0.3)
"""s and m/s^2 by which whoever comes behind in the lane beside may stop behind us (`RoadProfile`: brake_least, and a
driver's second of reaction), where we brake at comfort; m and s left to whoever is ahead there."""

LETS_GO = wp.constant(1.0)
"""m/s by which one drives slower than whoever is too near ahead in the lane that one wants."""

INSISTS = wp.constant(2.0)
"""What is asked for less, for what one is faster than asked: policies drive up to 1.5 m/s faster than told."""

STARTED = wp.constant(0.8)
"""m from the lane's middle; from here on a change of lane is finished."""

NEVER = 1.0e9


@wp.func
def room_beside(row: int, side: int, view: View, around: Around, limits: Limits, comfort: float) -> wp.vec2:
    """1 if nobody in the lane beside has to brake hard for us, nor we for them; the speed of who is too near ahead.

    ANY_SPEED, m/s, where nobody is.
    """
    v = wp.max(view.motion[row, 0], 0.0)
    room = wp.vec2(1.0, ANY_SPEED)
    for j in range(OBJECTS_C):
        if view.object_kind[row, j] >= 0:
            s = around.objects[row, j, 0]
            d = around.objects[row, j, 1]
            there = path_at(view, row, s)
            low = there.left
            high = there.left + there.left_lane
            if side < 0:
                low = -there.right - there.right_lane
                high = -there.right
            if d + around.objects[row, j, 5] > low and d - around.objects[row, j, 5] < high:
                along = wp.max(around.objects[row, j, 2], 0.0)
                ahead = s - limits.front - around.objects[row, j, 4]
                behind = -limits.rear - s - around.objects[row, j, 4]
                follows = wp.where(along > v, 0.5, 1.0) * FOLLOWS  # who drives away makes room
                if s > 0.0 and ahead < ROOM + follows * v + wp.max(v * v - along * along, 0.0) / (2.0 * BRAKES):
                    room[0] = 0.0
                    room[1] = wp.min(room[1], along)
                stops = THINKS * along + along * along / (2.0 * BRAKES) - v * v / (2.0 * comfort)
                if s <= 0.0 and behind < wp.max(stops, ROOM):
                    room[0] = 0.0
    return room


@wp.kernel
def keep(
    robots: int,
    period: float,
    middle: float,
    road: wp.array(dtype=wp.int32),
    step: wp.array(dtype=wp.int32),
    appointments: wp.array2d(dtype=wp.float32),
    view: View,
    around: Around,
    limits: Limits,
    comfort: float,
    wish: Wish,
) -> None:
    """What each row's appointment asks for now."""
    row = wp.tid()
    k = road[row / robots]
    now = float(step[row]) * period
    wish.most[row] = ANY_SPEED
    wish.least[row] = 0.0
    until = appointments[k, TO] - now
    if until < 0.0:
        return
    wish.pull[row] = wp.uint8(0)
    wish.pace[row] = 1.0
    if appointments[k, PLACED] == 0.0:
        return
    here = path_at(view, row, 0.0)
    side = wp.int32(0)
    if view.goal[row, 1] > 0.0 and here.left_lane > 0.0:
        side = 1
    if view.goal[row, 1] < 0.0 and here.right_lane > 0.0:
        side = -1
    beside = wp.float32(ANY_SPEED)
    if side != 0 and not (wish.side[row] * side > 0 and wp.abs(view.where[row, 0]) > STARTED):
        room = room_beside(row, side, view, around, limits, comfort)
        beside = room[1]
        if room[0] == 0.0:
            side = 0
    wish.side[row] = side
    left = view.goal[row, 0] - middle
    enters = left - appointments[k, ENTERS] + SPARE_WAY
    leaves = left - appointments[k, LEAVES] - SPARE_WAY
    if leaves <= 0.0:
        return
    most = wp.float32(ANY_SPEED)
    waits = appointments[k, FROM] - now
    if waits > 0.0:
        most = leaves / (waits + SPARE_TIME)
    ahead = wp.max(enters, 0.0)
    fastest = wp.max(appointments[k, FASTEST] - SPARE_SPEED, 0.0)
    most = wp.min(most, wp.sqrt(fastest * fastest + 2.0 * EARLY * ahead))
    least = ahead / wp.max(until - SPARE_TIME, 0.1)
    if ahead <= 0.0 and appointments[k, SLOWEST] > 0.0:
        least = wp.max(least, appointments[k, SLOWEST] + SPARE_SPEED)
    if beside < ANY_SPEED:  # too near behind whom we shall follow: let him go ahead
        slower = beside - LETS_GO
        slower -= INSISTS * wp.max(view.motion[row, 0] - slower, 0.0)
        most = wp.min(most, wp.max(slower, least))
    wish.most[row] = wp.max(most, SLOW)
    wish.least[row] = wp.min(least, wish.most[row])


class Appointments:
    """Owns the goals' numbers on a device; `keep` is launched before every control step."""

    def __init__(self, environment: RoadEnv, recordings: Sequence[Recorded | None]) -> None:
        """Recording k belongs to road k of the atlas. Raises ValueError for another number of them, or another task."""
        plant, task = environment.plant, environment.task
        if len(recordings) != len(plant.atlas.roads):
            raise ValueError(f"expected a recording, or None, for each of {len(plant.atlas.roads)} roads")
        if not isinstance(task, Driving):
            raise ValueError("expected a driving task, got another")
        table = np.array([_numbers(each) for each in recordings], np.float32)
        self.numbers: wp.array = wp.array(table, dtype=wp.float32, device=plant.device)
        """(roads, 7): see FROM to PLACED."""
        comfort = plant.spec.car.brake_comfort
        inputs = [plant.robots, plant.spec.period / SECOND, plant.spec.middle, plant.road, plant.state.step,
                  self.numbers, plant.view, plant.around, task.limits, comfort, task.wish]  # fmt: skip
        self.keep: Launchable = record(keep, plant.rows, inputs, plant.device)


def _numbers(recording: Recorded | None) -> tuple[float, ...]:
    """The appointment of a problem: its first goal that states an end of its time; else none."""
    timed = [goal for goal in recording.problem.goals if math.isfinite(goal.time[1])] if recording is not None else []
    if recording is None or not timed:
        return (0.0, -1.0, 0.0, NEVER, 0.0, 0.0, 0.0)
    goal, begin = timed[0], recording.problem.time
    way = _way(recording, goal)
    slowest, fastest = max(goal.speed[0], 0.0), min(goal.speed[1], NEVER)
    times = max(goal.time[0] - begin, 0.0), goal.time[1] - begin
    return (*times, slowest, fastest, *(way or (0.0, 0.0)), 0.0 if way is None else 1.0)


def _way(recording: Recorded, goal: Goal) -> tuple[float, float] | None:
    """Metres of the route that are left where a goal begins and where it ends; None where it states no place.

    The route leads to the end of the goal's lane, or to the middle of its area (sim/driving/recorded.py).
    """
    plan, lanes = recording.plan, recording.road.lanes
    if goal.lanes:
        return lanes[goal.lanes[0]].length, 0.0
    if not goal.areas:
        return None
    lane = lanes[plan.goal_lane]
    s, _ = project(lane.centre, lane.s, goal.areas[0])
    return plan.goal_s - float(s.min()), plan.goal_s - float(s.max())

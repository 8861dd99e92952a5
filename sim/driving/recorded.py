"""Recorded scenarios: CommonRoad files as a road, an ego's beginning, its goals, and what the others did.

A `Recorded` is one planning problem of one file. Its others are played as they were recorded (sim/driving/replay.py):
they do not react, they appear with their first state and are gone after their last. Time counts from the problem's
initial state. Where the ego begins and where it should go are also given on lanes, for routes: the lane under a place
that runs the way the ego faces; who begins on the lane of oncoming traffic is put beside the own one.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sim.actors import Actor, Goal, Problem
from sim.commonroad import Scenario, read_commonroad
from sim.driving.atlas import Atlas
from sim.driving.routes import RoutePlan
from sim.driving.starts import Place, Places, route_places
from sim.road import Floats, LaneKind, Road, RoadError, project

AFTER = 2.0
"""How long an episode goes on beyond the last moment at which a goal may be reached, s."""

ENDLESS = 60.0
"""How long it goes on where no goal states an end and nobody moves, s."""


@dataclass(frozen=True)
class Spot:
    """A place on a road's lane."""

    lane: int
    s: float
    """m"""
    d: float
    """To the left of the lane's centre, m"""
    turn: float
    """Heading to that of the lane, rad"""


@dataclass(frozen=True, eq=False)
class Recorded:
    """One planning problem and everybody else of its file."""

    name: str
    road: Road
    actors: tuple[Actor, ...]
    problem: Problem
    step: float
    """Time step of the file, s"""
    start: Spot
    """Of the middle of the ego's box"""
    plan: RoutePlan

    @property
    def duration(self) -> float:
        """How long an episode of it lasts, s."""
        ends = [goal.time[1] for goal in self.problem.goals if math.isfinite(goal.time[1])]
        ends = ends or [float(actor.trajectory.time[-1]) for actor in self.actors if actor.moves]
        return max(ends, default=ENDLESS + self.problem.time) - self.problem.time + AFTER

    def rear_axle(self, middle: float) -> Spot:
        """Where base_link begins, `middle` m behind the middle of the box."""
        (x, y), heading = self.problem.position, self.problem.heading
        at = x - middle * math.cos(heading), y - middle * math.sin(heading)
        lane = self.road.lanes[self.start.lane]
        s, d = project(lane.centre, lane.s, np.array([at]))
        on = float(s[0])
        if on <= 0.0:  # beyond the lane's beginning
            on = self.start.s - middle
        return Spot(self.start.lane, on, float(d[0]), _turn(heading, float(np.interp(on, lane.s, lane.heading))))


def from_commonroad(path: Path, problem: int = 0) -> Recorded:
    """Planning problem number `problem` of a file, counted from 0.

    Raises `RoadError` or `FileError`, one line: for files that the reader refuses, and as `recorded_of`.
    """
    return recorded_of(read_commonroad(path), path, problem)


def recorded_of(scenario: Scenario, path: Path, problem: int = 0) -> Recorded:
    """Planning problem number `problem` of what was read of `path`, counted from 0.

    Raises `RoadError`, one line, for a problem that is not there, an ego or a goal off the road.
    """
    if not 0 <= problem < len(scenario.problems):
        raise RoadError(
            f"{path}: expected planning problem {problem} of {len(scenario.problems)}, counted from 0, it is not "
            "there; choose another or add it"
        )
    chosen = scenario.problems[problem]
    start = _spot(scenario.road, chosen.position, chosen.heading)
    if start is None:
        x, y = chosen.position
        raise RoadError(
            f"{path}: expected planning problem {chosen.name} to begin on a driving lane, got ({x:g}, {y:g}), which is "
            "off the road; move it"
        )
    for actor in scenario.actors:
        if _within(actor, chosen):
            raise RoadError(
                f"{path}: expected planning problem {chosen.name} to begin beside obstacle {actor.name}, it begins "
                "within it; move one"
            )
    for goal in chosen.goals:
        _check_goal(path, scenario.road, chosen, goal)
    plan = _plan(scenario.road, chosen, start)
    name = path.stem if len(scenario.problems) == 1 else f"{path.stem}, problem {chosen.name}"
    return Recorded(name, scenario.road, scenario.actors, chosen, scenario.step, start, plan)


def _within(actor: Actor, problem: Problem) -> bool:
    """Whether the middle of the ego is in somebody's box when a problem begins."""
    times = actor.trajectory.time
    if actor.moves and not times[0] <= problem.time <= times[-1]:
        return False
    x, y, heading, _ = actor.trajectory.at(problem.time)
    dx, dy = problem.position[0] - x, problem.position[1] - y
    along, across = math.cos(heading) * dx + math.sin(heading) * dy, math.cos(heading) * dy - math.sin(heading) * dx
    return abs(along) < 0.5 * actor.length and abs(across) < 0.5 * actor.width


def _check_goal(path: Path, road: Road, problem: Problem, goal: Goal) -> None:
    for area in goal.areas:
        middle = 0.5 * (area.min(axis=0) + area.max(axis=0))
        halfway = 0.5 * (area + np.roll(area, 1, axis=0))
        if not any(road.nearest(float(x), float(y)) for x, y in (middle, *area, *halfway)):
            raise RoadError(
                f"{path}: expected a goal of planning problem {problem.name} on a driving lane, got an area about "
                f"({middle[0]:g}, {middle[1]:g}), which is off the road; move it"
            )
    for lane in goal.lanes:
        if road.lanes[lane].kind != LaneKind.DRIVING:
            raise RoadError(
                f"{path}: expected a goal of planning problem {problem.name} on a driving lane, got lanelet "
                f"{road.lanes[lane].name}, which is none; choose another"
            )


def _plan(road: Road, problem: Problem, start: Spot) -> RoutePlan:
    """The route to the first goal that says where it is; else straight on for as long as it lasts."""
    for goal in problem.goals:
        if goal.lanes:
            lane = goal.lanes[0]
            return RoutePlan(start.lane, start.s, lane, road.lanes[lane].length, goal.lanes[1:])
        for area in goal.areas:
            x, y = (0.5 * (area.min(axis=0) + area.max(axis=0))).tolist()
            heading = 0.5 * sum(goal.heading) if math.isfinite(sum(goal.heading)) else None
            spot = _spot(road, (x, y), heading)
            if spot is not None:
                return RoutePlan(start.lane, start.s, spot.lane, spot.s)
    ends = [goal.time[1] for goal in problem.goals if math.isfinite(goal.time[1])]
    left = 1.5 * max(problem.speed, 10.0) * (max(ends, default=ENDLESS) - problem.time)
    lane, s = start.lane, start.s
    passed = {lane}
    while s + left > road.lanes[lane].length:
        after = [k for k in road.lanes[lane].successors if road.lanes[k].kind == LaneKind.DRIVING and k not in passed]
        if not after:
            return RoutePlan(start.lane, start.s, lane, road.lanes[lane].length)
        left -= road.lanes[lane].length - s
        lane, s = min(after, key=lambda k: abs(float(np.ptp(road.lanes[k].heading[[0, -1]])))), 0.0
        passed.add(lane)
    return RoutePlan(start.lane, start.s, lane, s + left)


def _spot(road: Road, place: tuple[float, float], heading: float | None) -> Spot | None:
    """The driving lane at a place that runs along `heading`, or the one beside it that does; None off the road."""
    for index, _, _ in road.nearest(*place):
        for lane in (index, road.lanes[index].oncoming):
            if lane < 0:
                continue
            here = road.lanes[lane]
            s, d = project(here.centre, here.s, np.array([place]))
            turn = 0.0 if heading is None else _turn(heading, float(np.interp(s[0], here.s, here.heading)))
            if abs(turn) < 0.5 * math.pi:
                return Spot(lane, float(s[0]), float(d[0]), turn)
    return None


def _turn(heading: float, lane: float) -> float:
    return math.remainder(heading - lane, math.tau)


def recorded_places(recordings: Sequence[Recorded | None], middle: float) -> Places:
    """Where a task's episodes begin on the roads of an atlas: as recorded; of roads without a recording on routes.

    `middle`: how far the middle of the ego's box lies ahead of base_link, m.
    """

    def places(atlas: Atlas, road: int) -> Iterable[Place]:
        recording = recordings[road]
        if recording is None:
            yield from route_places(atlas, road)
            return
        at = recording.rear_axle(middle)
        yield Place(at.lane, at.s, at.s, 0, atlas.route_of(road)[0], recording.problem.speed, at.d, at.turn)

    return places


def lanes_along(road: Road, actor: Actor) -> tuple[np.ndarray, Floats]:
    """The lane under each state of an actor, (states,), -1 for none, and its s there, m.

    Where lanes overlap, the one that runs its way counts, and of those the one that it was on before, or a successor.
    """
    path = actor.trajectory
    best, place = np.full(len(path.time), -1), np.zeros(len(path.time))
    rank = np.full(len(path.time), np.inf)
    fits = np.zeros((len(road.lanes), len(path.time)))
    along = np.zeros_like(fits)
    for index, lane in enumerate(road.lanes):
        s, d = project(lane.centre, lane.s, path.position)
        off = np.abs(d) - 0.5 * np.interp(s, lane.s, lane.width)
        turn = np.abs(np.angle(np.exp(1j * (path.heading - np.interp(s, lane.s, lane.heading)))))
        beyond = (s <= 0.0) | (s >= lane.length)
        usable = (off <= 0.0) & ~beyond
        cost = turn + (0.0 if lane.kind == LaneKind.DRIVING else 1.0) + 0.1 * np.abs(d)
        fits[index], along[index] = np.where(usable, cost, np.inf), s
    before = -1
    for k in range(len(path.time)):
        ranked = fits[:, k].copy()
        if before >= 0:
            ranked[[before, *road.lanes[before].successors]] -= 0.5  # rad: two lanes part slowly
        chosen = int(ranked.argmin())
        if np.isfinite(fits[chosen, k]):
            best[k], place[k], rank[k] = chosen, along[chosen, k], ranked[chosen]
            before = chosen
    return best, place

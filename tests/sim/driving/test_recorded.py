"""Recorded scenarios: who appears when and where, and when a goal is reached."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import warp as wp

from sim.actors import Goal
from sim.device import start_warp
from sim.driving.atlas import Atlas
from sim.driving.profile import RoadProfile
from sim.driving.recorded import Recorded, from_commonroad
from sim.driving.replay import Replay
from sim.driving.routes import RoutePlan
from sim.driving.state import ActorArrays, make_actors
from sim.road import RoadError
from tests.sim.test_commonroad import BOX, GOAL, ROADS, SHARED, lanelet, needs_files, state, write


def problem(
    goal: str = GOAL, *, x: float = 5.0, y: float = 0.0, heading: float = 0.0, time: int = 0, name: int = 9
) -> str:
    first = state(x, y, time, tag="initialState", heading=heading)
    return f'<planningProblem id="{name}">{first}{goal}</planningProblem>'


def moving(*rows: tuple[float, float, int, float], kind: str = "car", name: int = 3) -> str:
    """States x, y, time step, speed; the first one initial."""
    first = state(*rows[0][:3], tag="initialState", speed=rows[0][3])
    rest = "".join(state(*row[:3], speed=row[3]) for row in rows[1:])
    path = f"<trajectory>{rest}</trajectory>"
    return f'<dynamicObstacle id="{name}"><type>{kind}</type>{BOX}{first}{path}</dynamicObstacle>'


STANDING = (
    f'<staticObstacle id="4"><type>parkedVehicle</type>{BOX}{state(70, 0, 0, tag="initialState")}</staticObstacle>'
)


def played(recording: Recorded, worlds: int = 1, actors: int = 5) -> tuple[Replay, ActorArrays, Atlas]:
    start_warp()
    atlas = Atlas([recording.road], routes=[[recording.plan]])
    arrays = make_actors(worlds, actors, "cpu")
    replay = Replay([recording], atlas, arrays, road=wp.zeros(worlds, dtype=wp.int32))
    replay.begin(wp.full(worlds, 1, dtype=wp.uint8)).launch()
    return replay, arrays, atlas


def test_actors_are_where_they_were_recorded(tmp_path: Path) -> None:
    """From 1 s on 10 m/s, then braking by 5 m/s^2; there from the first state to the last."""
    rows = [(10.0 + 10.0 * 0.1 * k, 0.1 * k, 10 + k, 10.0) for k in range(5)]
    rows += [(14.0, 0.4, 14, 10.0), (14.95, 0.4, 15, 9.0)][1:]
    path = write(tmp_path / "a.xml", ROADS, moving(*rows), STANDING, problem())
    recording = from_commonroad(path)
    replay, arrays, atlas = played(recording)
    origin, actor = np.array(atlas.origin(0)), recording.actors[0]
    seen = []
    for tick in range(200):
        time = tick * 0.01
        kind = arrays.kind.numpy()[0].tolist()
        assert kind[2] == 0, "what stands is there all the time"
        if kind[1] >= 0:
            seen.append(tick)
            x, y, heading, speed = actor.trajectory.at(time)
            assert arrays.pose.numpy()[0, 1, :2] + origin == pytest.approx((x, y), abs=1e-4)
            assert arrays.pose.numpy()[0, 1, 2] == pytest.approx(heading, abs=1e-5)
            assert arrays.motion.numpy()[0, 1, 0] == pytest.approx(speed, abs=1e-4)
            assert arrays.lane.numpy()[0, 1] == 0
            assert arrays.place.numpy()[0, 1, :2] == pytest.approx((x, y), abs=1e-3)
            assert (
                arrays.motion.numpy()[0, 1, 1] == pytest.approx(-10.0 if tick >= 140 else 0.0, abs=1e-2) or tick == 150
            )
        replay.move.launch()
    assert (seen[0], seen[-1], len(seen)) == (100, 150, 51)


def test_recorded_motion_outside_the_profile_is_marked(tmp_path: Path) -> None:
    rows = [(10.0, 0.0, 0, 10.0), (11.0, 0.0, 1, 10.0), (11.9, 0.0, 2, 8.0), (12.7, 0.0, 3, 8.0)]
    recording = from_commonroad(write(tmp_path / "a.xml", ROADS, moving(*rows), problem()))
    replay, arrays, _ = played(recording)
    marked = []
    for _ in range(30):
        marked.append(int(arrays.violates.numpy()[0, 1]))
        replay.move.launch()
    assert marked == [0] * 10 + [1] * 10 + [0] * 10, "20 m/s^2 from 0.1 to 0.2 s"
    atlas = Atlas([recording.road], routes=[[recording.plan]])
    lax = Replay([recording], atlas, arrays, road=wp.zeros(1, dtype=wp.int32), profile=RoadProfile(brake=25.0))
    assert not lax.recordings.breaks.numpy().any()


def test_time_counts_from_the_problems_beginning(tmp_path: Path) -> None:
    rows = [(10.0 + k, 0.0, k, 10.0) for k in range(40)]
    recording = from_commonroad(write(tmp_path / "a.xml", ROADS, moving(*rows), problem(time=20)))
    _, arrays, _ = played(recording)
    assert arrays.place.numpy()[0, 1, 0] == pytest.approx(30.0, abs=1e-3)
    assert recording.duration == pytest.approx(4.0 - 2.0 + 2.0)


def test_the_ego_begins_on_a_lane_and_has_a_route(tmp_path: Path) -> None:
    recording = from_commonroad(write(tmp_path / "a.xml", ROADS, problem(y=0.5, heading=0.1)))
    assert recording.plan == RoutePlan(0, 5.0, 1, 40.0)
    assert (recording.start.lane, recording.start.s, recording.start.d) == pytest.approx((0, 5.0, 0.5))
    behind = recording.rear_axle(1.4)
    assert behind.s == pytest.approx(5.0 - 1.4 * math.cos(0.1))
    assert behind.d == pytest.approx(0.5 - 1.4 * math.sin(0.1))
    assert behind.turn == pytest.approx(0.1)


def test_who_begins_among_oncoming_traffic_is_put_beside_the_own_lane(tmp_path: Path) -> None:
    other = (
        lanelet(1, 0.0, '<adjacentLeft ref="2" drivingDir="opposite"/><successor ref="3"/>')
        + lanelet(3, 0.0, '<predecessor ref="1"/>', begin=50.0, end=90.0)
        + '<lanelet id="2"><leftBound><point><x>50</x><y>1.75</y></point><point><x>0</x><y>1.75</y></point></leftBound>'
        "<rightBound><point><x>50</x><y>5.25</y></point><point><x>0</x><y>5.25</y></point></rightBound>"
        '<adjacentLeft ref="1" drivingDir="opposite"/></lanelet>'
    )
    goal = GOAL.replace('ref="2"', 'ref="3"')
    recording = from_commonroad(write(tmp_path / "a.xml", other, problem(goal, y=3.5)))
    assert (recording.start.lane, recording.start.d) == pytest.approx((0, 3.5))


def area(x: float, y: float) -> str:
    """A goal of a square of 4 m, any time up to 4 s."""
    square = f"<rectangle><length>4</length><width>4</width><center><x>{x}</x><y>{y}</y></center></rectangle>"
    return (
        f"<goalState><position>{square}</position><time><intervalStart>0</intervalStart><intervalEnd>40</intervalEnd>"
        "</time></goalState>"
    )


@pytest.mark.parametrize(
    ("parts", "number", "message"),
    [
        ((problem(),), 1, r"a.xml: expected planning problem 1 of 1, counted from 0, it is not there"),
        ((), 0, r"a.xml: expected planning problem 0 of 0"),
        (
            (problem(x=71.0), STANDING),
            0,
            r"a.xml: expected planning problem 9 to begin beside obstacle 4, it begins with",
        ),
        ((problem(y=9.0),), 0, r"a.xml: expected planning problem 9 to begin on a driving lane, got \(5, 9\)"),
        (
            (problem(area(70.0, 20.0)),),
            0,
            r"a.xml: expected a goal of planning problem 9 on a driving lane, got an area",
        ),
    ],
)
def test_problems_off_the_road_are_refused(tmp_path: Path, parts: tuple[str, ...], number: int, message: str) -> None:
    path = write(tmp_path / "a.xml", ROADS, *parts)
    with pytest.raises(RoadError, match=message):
        from_commonroad(path, number)


def test_a_goal_half_on_the_road_is_one(tmp_path: Path) -> None:
    recording = from_commonroad(write(tmp_path / "a.xml", ROADS, problem(area(70.0, 3.0))))
    assert recording.plan.goal_lane == 1


def test_slots_must_do(tmp_path: Path) -> None:
    recording = from_commonroad(write(tmp_path / "a.xml", ROADS, STANDING, problem()))
    with pytest.raises(RoadError, match="expected 2 slots for 1 egos and 1 recorded actors, got 1"):
        played(recording, actors=1)


class GoalBench:
    """One world whose ego is put somewhere; its problem has the goals given, on the road of ROADS."""

    def __init__(self, tmp_path: Path, *goals: Goal) -> None:
        from dataclasses import replace

        recording = from_commonroad(write(tmp_path / "a.xml", ROADS, problem()))
        recording = replace(recording, problem=replace(recording.problem, goals=goals))
        self.replay, self.arrays, atlas = played(recording)
        self.origin = np.array(atlas.origin(0))

    def at(self, x: float, y: float = 0.0, *, time: float = 2.0, yaw: float = 0.0, speed: float = 10.0) -> bool:
        self.replay.begin(wp.full(1, 1, dtype=wp.uint8)).launch()
        self.replay.ticks.fill_(round(time / 0.01))
        self.arrays.pose.numpy()[0, 0] = (*(np.array((x, y)) - self.origin), yaw)
        self.arrays.motion.numpy()[0, 0, 0] = speed
        self.replay.decide.launch()
        reached = bool(self.replay.reached.numpy()[0])
        assert float(self.replay.when.numpy()[0]) == pytest.approx(time if reached else -1.0, abs=1e-5)
        return reached


def test_goals_hold_for_lanes_times_headings_and_speeds(tmp_path: Path) -> None:
    bench = GoalBench(tmp_path, Goal((2.0, 4.0), lanes=(1,), heading=(-0.2, 0.2), speed=(5.0, 15.0)))
    assert bench.at(60.0)
    assert bench.at(60.0, 1.7)
    assert not bench.at(60.0, 1.8), "beside the lane"
    assert not bench.at(40.0), "on the lane before"
    assert not bench.at(95.0), "beyond the lane"
    assert bench.at(60.0, time=1.98), "half a step early"
    assert not bench.at(60.0, time=1.96)
    assert not bench.at(60.0, time=4.05)
    assert bench.at(60.0, yaw=0.19)
    assert not bench.at(60.0, yaw=0.21)
    assert bench.at(60.0, yaw=math.tau - 0.1), "a turn more is the same heading"
    assert not bench.at(60.0, yaw=math.pi)
    assert not bench.at(60.0, speed=4.9)
    assert not bench.at(60.0, speed=15.1)


def test_headings_may_lie_across_half_a_turn(tmp_path: Path) -> None:
    bench = GoalBench(tmp_path, Goal((0.0, 4.0), heading=(math.pi - 0.2, math.pi + 0.2)))
    assert bench.at(3.0, yaw=-math.pi + 0.1)
    assert bench.at(3.0, yaw=math.pi - 0.1)
    assert not bench.at(3.0, yaw=-math.pi + 0.3)


def test_areas_are_polygons_of_any_shape(tmp_path: Path) -> None:
    """An L: its notch is outside; a second area and a second goal count as well."""
    corner = np.array([(50.0, -2.0), (60.0, -2.0), (60.0, 0.0), (55.0, 0.0), (55.0, 2.0), (50.0, 2.0)])
    square = np.array([(70.0, -1.0), (72.0, -1.0), (72.0, 1.0), (70.0, 1.0)])
    bench = GoalBench(
        tmp_path, Goal((0.0, 4.0), areas=(corner, square)), Goal((0.0, 4.0), lanes=(0,), speed=(0.0, 1.0))
    )
    assert bench.at(52.0, 1.0)
    assert bench.at(58.0, -1.0)
    assert not bench.at(58.0, 1.0)
    assert bench.at(71.0, 0.5)
    assert not bench.at(65.0, 0.0)
    assert bench.at(20.0, speed=0.5)
    assert not bench.at(20.0, speed=5.0)


def test_a_goal_without_a_place_is_reached_by_lasting(tmp_path: Path) -> None:
    bench = GoalBench(tmp_path, Goal((3.3, 3.3)))
    assert not bench.at(5.0, time=3.25)
    assert bench.at(5.0, time=3.3)
    bench = GoalBench(tmp_path)
    assert not bench.at(5.0), "no goals, none reached"


def test_what_was_reached_stays_reached(tmp_path: Path) -> None:
    bench = GoalBench(tmp_path, Goal((0.0, 4.0), lanes=(1,)))
    assert bench.at(60.0)
    bench.arrays.pose.numpy()[0, 0, 0] = -100.0
    bench.replay.decide.launch()
    assert bench.replay.reached.numpy()[0] == 1


@needs_files
@pytest.mark.parametrize("path", sorted(SHARED.glob("*.xml")), ids=lambda path: path.stem)
def test_shared_files_are_played(path: Path) -> None:
    """Every actor on time, near the lane that it is said to be on; the ego's route leads to the goal."""
    recording = from_commonroad(path)
    replay, arrays, atlas = played(recording, actors=12)
    assert np.isfinite(atlas.routes.length.numpy()).all()
    assert abs(recording.start.turn) < 0.3
    origin = np.array(atlas.origin(0))
    many = without = 0
    for tick in range(1, 300):
        replay.move.launch()
        for k, actor in enumerate(recording.actors):
            there = actor.trajectory.time[0] <= tick * 0.01 + recording.problem.time <= actor.trajectory.time[-1]
            assert (arrays.kind.numpy()[0, 1 + k] >= 0) == (there or not actor.moves)
            if there and actor.moves:
                x, y, heading, _ = actor.trajectory.at(tick * 0.01 + recording.problem.time)
                pose = arrays.pose.numpy()[0, 1 + k]
                assert pose[:2] + origin == pytest.approx((x, y), abs=2e-3)
                assert pose[2] == pytest.approx(heading, abs=1e-3)
                many, without = many + 1, without + (arrays.lane.numpy()[0, 1 + k] < 0)
    assert without <= 0.05 * many

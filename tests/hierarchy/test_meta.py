"""From a task to legs, and what happens when the way is blocked. Times and places are worked by hand."""

from __future__ import annotations

import itertools
import math

import msgspec
import pytest

from coordination.messages import Assignment, Choice, Leg, LegKind, RobotStatus
from hierarchy.meta import BLOCKED_SECONDS, REPLANS, RETRY_SECONDS, STUCK_SECONDS, Intent, MetaMemory, View, step
from hierarchy.options import OPTIONS, OptionName, Situation
from sim.robot import MILLISECOND, SECOND

PERIOD = 100 * MILLISECOND
FETCH_DELIVER = Assignment(
    task="t1",
    attempt=1,
    legs=(Leg(cell=3, kind=LegKind.FETCH, dwell=1.0), Leg(cell=7, kind=LegKind.DELIVER, dwell=0.5)),
)


class Aisle:
    """A one-row floor with 1.2 m cells; cell i has its centre at x = 1.2 i."""

    def __init__(self) -> None:
        self.now = 0
        self.x = 0.0
        self.speed = 0.0
        self.memory = MetaMemory()
        self.granted: tuple[int, ...] = (0,)
        self.obstructed: tuple[int, ...] = ()
        self.held = False

    def step(self, assignment: Assignment | None) -> Intent:
        here = round(self.x / 1.2)
        view = View(
            now=self.now,
            position=(self.x, 0.0),
            speed=self.speed,
            assignment=assignment,
            ahead=tuple(cell for cell in self.granted if cell != here),
            path_left=abs(self.granted[-1] * 1.2 - self.x),
            distance=lambda cell: abs(cell * 1.2 - self.x),
            obstructed=self.obstructed,
            held=self.held,
        )
        intent, self.memory = step(view, self.memory)
        self.now += PERIOD
        return intent

    def steps(self, assignment: Assignment | None, seconds: float) -> list[Intent]:
        return [self.step(assignment) for _ in range(round(seconds * SECOND / PERIOD))]


def test_a_task_is_driven_leg_by_leg_with_its_dwell_times() -> None:
    aisle = Aisle()
    assert aisle.step(None).status is RobotStatus.IDLE
    aisle.granted = (0, 1, 2, 3)
    intent = aisle.step(FETCH_DELIVER)
    assert (intent.option, intent.goal, intent.status) == (OptionName.NAVIGATE, 3, RobotStatus.MOVING)
    aisle.x, aisle.granted = 3.6, (3,)
    work = aisle.steps(FETCH_DELIVER, 1.0)
    assert {intent.status for intent in work} == {RobotStatus.WORKING}
    assert {intent.legs_done for intent in work} == {0}
    intent = aisle.step(FETCH_DELIVER)  # 1.0 s after the first step at the cell
    assert (intent.legs_done, intent.goal, intent.status) == (1, 7, RobotStatus.WAITING)
    aisle.x, aisle.granted = 8.4, (7,)
    done = aisle.steps(FETCH_DELIVER, 0.7)
    assert (done[-1].legs_done, done[-1].goal, done[-1].status) == (2, -1, RobotStatus.IDLE)
    assert (done[-1].task, done[-1].attempt) == ("t1", 1)  # reported until the picture no longer assigns it
    assert aisle.step(None).task == ""


def test_passing_the_cell_at_speed_is_not_reaching_it() -> None:
    aisle = Aisle()
    aisle.x, aisle.granted, aisle.speed = 3.6, (3, 4), 0.8
    assert aisle.step(FETCH_DELIVER).status is RobotStatus.MOVING
    aisle.speed = 0.05
    assert aisle.step(FETCH_DELIVER).status is RobotStatus.WORKING


def test_a_robot_at_work_stays_although_the_fleet_grants_it_more_cells() -> None:
    aisle = Aisle()
    aisle.x, aisle.granted = 3.6, (3,)
    aisle.step(FETCH_DELIVER)
    aisle.granted = (3, 4, 5)
    assert {intent.status for intent in aisle.steps(FETCH_DELIVER, 0.9)} == {RobotStatus.WORKING}


def test_an_idle_robot_makes_room_when_it_is_granted_a_way_out() -> None:
    aisle = Aisle()
    aisle.granted = (0, 1)
    intent = aisle.step(None)
    assert (intent.option, intent.goal) == (OptionName.NAVIGATE, -1)
    aisle.x, aisle.granted = 1.2, (1,)
    assert aisle.step(None).status is RobotStatus.IDLE


def test_another_attempt_begins_at_the_first_leg() -> None:
    aisle = Aisle()
    aisle.x, aisle.granted = 3.6, (3,)
    aisle.steps(FETCH_DELIVER, 1.2)
    again = Assignment(task="t1", attempt=2, legs=FETCH_DELIVER.legs)
    intent = aisle.step(again)
    assert (intent.attempt, intent.legs_done) == (2, 0)


def test_a_robot_started_anew_goes_on_with_the_leg_that_the_coordinator_knows_to_be_open() -> None:
    done_one = msgspec.structs.replace(FETCH_DELIVER, legs_done=1)
    aisle = Aisle()
    intent = aisle.step(done_one)
    assert (intent.legs_done, intent.goal) == (1, 7)
    late = Aisle()  # its first picture is from before its own last report
    assert late.step(FETCH_DELIVER).goal == 3
    assert late.step(done_one).goal == 7
    assert late.step(FETCH_DELIVER).goal == 7, "an older picture takes nothing back"


@pytest.mark.parametrize(("told", "taken", "goal"), [(-3, 0, 3), (2, 2, -1), (10**9, 2, -1)])
def test_a_number_of_legs_that_cannot_be_is_taken_as_the_nearest_that_can(told: int, taken: int, goal: int) -> None:
    intent = Aisle().step(msgspec.structs.replace(FETCH_DELIVER, legs_done=told))
    assert (intent.legs_done, intent.goal) == (taken, goal)


def test_each_choice_of_an_option_is_told_with_its_probability_and_mission() -> None:
    aisle = Aisle()
    aisle.granted = (0, 1, 2, 3)
    first = aisle.step(FETCH_DELIVER)
    assert first.choice == Choice("t1/1", deterministic=True, log_probability=0.0, exploration=False)
    between = aisle.steps(FETCH_DELIVER, 0.9)
    assert [intent.choice for intent in between] == [None] * 9, "the option is reconsidered once a second"
    assert aisle.step(FETCH_DELIVER).choice == first.choice
    idle = Aisle().step(None).choice
    assert idle is not None
    assert idle.mission == ""


def test_an_errand_without_dwell_ends_on_arrival() -> None:
    aisle = Aisle()
    visit = Assignment(task="t2", attempt=1, legs=(Leg(cell=0, kind=LegKind.VISIT),))
    assert aisle.steps(visit, 0.2)[-1].legs_done == 1


def test_an_obstacle_in_the_corridor_is_reported_after_three_seconds_and_not_before() -> None:
    aisle = Aisle()
    aisle.granted = (0, 1, 2)
    aisle.obstructed = (2,)
    before = aisle.steps(FETCH_DELIVER, BLOCKED_SECONDS)
    assert all(intent.blocked == () and intent.status is RobotStatus.MOVING for intent in before)
    intent = aisle.step(FETCH_DELIVER)
    assert (intent.blocked, intent.status) == ((2,), RobotStatus.BLOCKED)


def test_an_obstacle_that_goes_away_is_forgotten() -> None:
    aisle = Aisle()
    aisle.granted = (0, 1, 2)
    aisle.obstructed = (2,)
    aisle.steps(FETCH_DELIVER, 2.0)
    aisle.obstructed = ()
    aisle.step(FETCH_DELIVER)
    aisle.obstructed = (2,)
    assert all(intent.blocked == () for intent in aisle.steps(FETCH_DELIVER, 2.0))


def test_a_robot_that_does_not_get_on_reports_the_next_cell() -> None:
    aisle = Aisle()
    aisle.granted = (0, 1, 2)
    aisle.step(FETCH_DELIVER)
    assert aisle.steps(FETCH_DELIVER, STUCK_SECONDS - 0.2)[-1].blocked == ()
    intents = aisle.steps(FETCH_DELIVER, 0.3)
    assert intents[-1].blocked == (1,)
    assert max(intent.stuck for intent in intents) == pytest.approx(STUCK_SECONDS, abs=0.2)


def test_no_time_runs_against_a_robot_that_a_stop_holds() -> None:
    aisle = Aisle()
    aisle.granted, aisle.obstructed, aisle.held = (0, 1, 2), (1,), True
    assert all(intent.blocked == () for intent in aisle.steps(FETCH_DELIVER, 2 * STUCK_SECONDS))


def test_a_robot_without_right_of_way_waits_without_complaint() -> None:
    aisle = Aisle()
    intents = aisle.steps(FETCH_DELIVER, 60.0)
    assert {intent.status for intent in intents} == {RobotStatus.WAITING}
    assert {intent.blocked for intent in intents} == {()}


def test_after_five_replans_the_attempt_fails_and_a_person_is_asked() -> None:
    aisle = Aisle()
    reports = 0
    for detour in range(REPLANS + 1):
        aisle.granted, aisle.obstructed = (0, 10 + detour), (10 + detour,)
        intents = aisle.steps(FETCH_DELIVER, BLOCKED_SECONDS + 0.1)
        reports += intents[-1].blocked == (10 + detour,)
        if detour < REPLANS:
            assert intents[-1].failed == ""
        aisle.granted, aisle.obstructed = (0, 20), ()  # another way is tried
        last = aisle.step(FETCH_DELIVER)
    assert reports == REPLANS + 1
    assert last.status is RobotStatus.OPERATOR
    assert "replans" in last.failed
    assert last.goal == -1
    assert aisle.step(None).status is not RobotStatus.OPERATOR  # the attempt was taken away


def test_each_leg_has_its_own_replans() -> None:
    aisle = Aisle()
    aisle.granted, aisle.obstructed = (0, 10), (10,)
    aisle.steps(FETCH_DELIVER, BLOCKED_SECONDS + 0.1)
    assert aisle.memory.replans == 1
    aisle.x, aisle.granted, aisle.obstructed = 3.6, (3,), ()
    aisle.steps(FETCH_DELIVER, 1.2)
    assert aisle.memory.replans == 0


def test_some_option_may_begin_in_every_situation_and_does_not_end_at_once() -> None:
    grid = itertools.product(
        (False, True), (0, 1, 2), (0.0, 0.25, 0.26, 5.0), (0.0, 0.25, 0.26), (0.0, 0.3), (-1, 0, SECOND)
    )
    for failed, legs_done, goal_distance, path_left, speed, working_since in grid:
        situation = Situation(
            now=SECOND,
            position=(0.0, 0.0),
            speed=speed,
            assignment=FETCH_DELIVER,
            legs_done=legs_done,
            failed=failed,
            working_since=working_since,
            goal_distance=goal_distance if legs_done < 2 and not failed else math.inf,
            path_left=path_left,
        )
        option = next(option for option in OPTIONS if option.initiation(situation))
        ends_with_leg = option.name is OptionName.WORK and situation.worked >= 1.0
        assert ends_with_leg or not option.termination(situation), situation


def test_a_report_stands_while_the_robot_goes_back_to_the_middle_of_its_cell() -> None:
    aisle = Aisle()
    aisle.granted, aisle.obstructed = (0, 1, 2), (1,)
    aisle.steps(FETCH_DELIVER, BLOCKED_SECONDS + 0.1)
    aisle.obstructed, aisle.x = (), -0.3  # it moves, and does not look while it does
    assert aisle.step(FETCH_DELIVER).blocked == (1,)
    aisle.granted = (0, 20)  # taken back: another way
    assert aisle.step(FETCH_DELIVER).blocked == ()


def test_a_report_without_another_way_counts_again_and_a_person_is_asked() -> None:
    aisle = Aisle()
    aisle.granted, aisle.obstructed = (0, 1, 2), (1,)
    asked = next(i for i, intent in enumerate(aisle.steps(FETCH_DELIVER, 120.0)) if intent.failed)
    assert asked / 10 == pytest.approx(BLOCKED_SECONDS + REPLANS * RETRY_SECONDS, abs=1.0)


def test_a_report_ends_when_what_stood_there_is_gone() -> None:
    aisle = Aisle()
    aisle.granted, aisle.obstructed = (0, 1, 2), (1,)
    aisle.steps(FETCH_DELIVER, BLOCKED_SECONDS + 0.1)
    aisle.obstructed = ()
    assert aisle.steps(FETCH_DELIVER, RETRY_SECONDS + 0.2)[-1].blocked == ()

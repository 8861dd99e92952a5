"""The watchdog: what it reads after a crash at any moment, when it speaks, and that a real process is stopped by it."""

from __future__ import annotations

import random
import signal
import time
from pathlib import Path

import pytest

from coordination.keys import new_keys, write_keys
from fleet import watchdog
from fleet.rundir import RunDirectory, create_run
from fleet.watchdog import Board, StoredPlan, Watch
from tests.fleet.lanes import REST, LaneFleet

PERIOD = 100_000_000
BRAKE = ((0.9, 0.1), (0.6, 0.07), (0.3, 0.03))
MS = 1_000_000
STOPPED = 3_000 * MS
"""Simulated time after which a robot whose loop died stands: 0.5 s of braking from 0.9 m/s, some rounds before it."""
HUNG = 180.0
"""Wall time after which a fleet in lockstep hangs, s: its rounds take as long as a loaded host makes them."""


@pytest.fixture
def board() -> Board:
    return Board(("r0", "r1"))


def test_the_reader_sees_the_newest_plan_of_each_robot(board: Board) -> None:
    assert board.plan(0) is None
    board.publish(0, StoredPlan(5, PERIOD, 1, ((1.0, 0.0),)))
    board.publish(0, StoredPlan(9, PERIOD, 2, BRAKE))
    plan = board.plan(0)
    assert plan is not None
    assert (plan.published, plan.round) == (9, 2)
    for command, expected in zip(plan.commands, BRAKE, strict=True):
        assert command == pytest.approx(expected)
    assert board.plan(1) is None


def test_both_ends_share_the_memory(board: Board) -> None:
    other = Board(("r0", "r1"), watchdog.os.dup(board.handle))
    board.publish(1, StoredPlan(7, PERIOD, 3, BRAKE))
    board.beat(123)
    assert other.plan(1) == board.plan(1)
    assert other.heartbeat(0) == (123, True)
    other.close()


def test_a_writer_killed_at_any_byte_leaves_a_whole_plan(board: Board) -> None:
    board.publish(0, StoredPlan(1, PERIOD, 1, BRAKE))
    before = bytes(board._map)
    board.publish(0, StoredPlan(2, PERIOD, 2, ((0.2, 0.0),)))
    after = bytes(board._map)
    for cut in range(len(before)):
        board._map[:] = after[:cut] + before[cut:]
        plan = board.plan(0)
        assert plan is not None
        assert plan.round in (1, 2)
        assert len(plan.commands) == (3 if plan.round == 1 else 1)


def test_a_plan_is_played_from_where_it_stands_and_ends_in_rest() -> None:
    plan = StoredPlan(1000, PERIOD, 4, BRAKE)
    assert plan.at(1000) == BRAKE[0]
    assert plan.at(1000 + PERIOD - 1) == BRAKE[0]
    assert plan.at(1000 + PERIOD) == BRAKE[1]
    assert plan.at(1000 + 3 * PERIOD) == (0.0, 0.0)
    assert plan.at(0) == BRAKE[0]  # a clock that reads early is no reason to skip


def test_the_watchdog_speaks_after_the_silence_and_not_before(board: Board) -> None:
    watch = Watch(board, 200 * MS, lockstep=False)
    assert watch.look(10_000 * MS) == ()  # no loop has begun to drive
    board.beat(10_000 * MS)
    assert watch.look(10_200 * MS) == ()
    assert watch.look(10_201 * MS) == ("r0", "r1")
    assert watch.look(10_300 * MS) == ()  # once
    board.beat(10_310 * MS)
    assert watch.look(10_320 * MS) == ()
    assert watch.commands(10_320 * MS, 5) == []
    assert watch.look(10_600 * MS) == ("r0", "r1")


def test_a_loop_that_ends_by_its_own_will_is_not_replaced(board: Board) -> None:
    watch = Watch(board, 200 * MS, lockstep=False)
    board.beat(10_000 * MS)
    assert not watch.over
    board.beat(10_050 * MS, driving=False)
    assert watch.look(99_000 * MS) == ()
    assert watch.over


def test_in_wall_time_each_period_gets_its_command_once(board: Board) -> None:
    watch = Watch(board, 200 * MS, lockstep=False)
    published = 10_000 * MS
    board.publish(0, StoredPlan(published, PERIOD, 7, BRAKE))
    board.publish(1, StoredPlan(published, PERIOD, 7, ()))
    board.beat(published)
    watch.look(published + 210 * MS)
    first = watch.commands(published + 210 * MS, 0)
    assert [(done.robot, done.role) for done in first] == [("r0", "watchdog"), ("r1", "watchdog")]
    assert first[0].command == pytest.approx(BRAKE[2])
    assert first[1].command == (0.0, 0.0)
    assert watch.commands(published + 220 * MS, 0) == []
    later = watch.commands(published + 310 * MS, 0)
    assert [done.command for done in later] == [(0.0, 0.0), (0.0, 0.0)]


def test_in_lockstep_the_open_round_is_answered_first_and_then_one_command_a_round(board: Board) -> None:
    watch = Watch(board, 200 * MS, lockstep=True)
    board.publish(0, StoredPlan(10_000 * MS, PERIOD, 7, BRAKE))
    board.beat(10_000 * MS)
    watch.look(11_500 * MS)
    said = [done for done in watch.commands(11_500 * MS, 0) if done.robot == "r0"]
    assert [done.round for done in said] == [8]
    assert said[0].command == pytest.approx(BRAKE[1])
    assert not [done for done in watch.commands(13_000 * MS, 8) if done.robot == "r0"]  # time stands still
    said = [done for done in watch.commands(13_100 * MS, 9) if done.robot == "r0"]
    assert said[0].command == pytest.approx(BRAKE[2])
    said = [done for done in watch.commands(13_200 * MS, 10) if done.robot == "r0"]
    assert said[0].command == (0.0, 0.0)


def test_a_robot_without_a_plan_is_told_to_stop(board: Board) -> None:
    watch = Watch(board, 200 * MS, lockstep=False)
    board.beat(10_000 * MS)
    watch.look(11_000 * MS)
    assert {done.command for done in watch.commands(11_000 * MS, 3)} == {(0.0, 0.0)}


def test_plans_survive_random_interleavings_of_writes_and_reads(board: Board) -> None:
    draw = random.Random(1)
    newest = 0
    for _ in range(300):
        if draw.random() < 0.5:
            newest += 1
            commands = tuple((float(newest), 0.0) for _ in range(draw.randrange(0, watchdog.PLAN_COMMANDS)))
            board.publish(0, StoredPlan(newest, PERIOD, newest, commands))
        plan = board.plan(0)
        assert (plan.round if plan else 0) == newest


@pytest.fixture
def run_directory(tmp_path: Path) -> RunDirectory:
    run = create_run(tmp_path)
    write_keys(run.key, new_keys())
    return run


def test_a_dead_or_hung_loop_comes_to_rest_by_its_watchdog(run_directory: RunDirectory) -> None:
    fleet = LaneFleet(run_directory, 1)
    try:
        for number in (signal.SIGSTOP, signal.SIGKILL):
            assert fleet.wait_until_driving([0], 40.0), (run_directory.logs / "robot-0.log").read_text()
            takeovers = len(fleet.plant.outcome.watched)
            fleet.strike(0, number)
            time.sleep(2.5)
            assert fleet.speeds([0]) < REST
            assert len(fleet.plant.outcome.watched) > takeovers, "nobody spoke for the robot"
            fleet.revive(0)
        assert fleet.wait_until_driving([0], 40.0)
    finally:
        fleet.close()


def test_in_lockstep_the_watchdog_answers_the_open_round_and_no_robot_is_lost(run_directory: RunDirectory) -> None:
    fleet = LaneFleet(run_directory, 1, clock="lockstep")
    try:
        assert fleet.wait_until_driving([0], HUNG), (run_directory.logs / "robot-0.log").read_text()
        fleet.strike(0, signal.SIGKILL)
        struck, deadline = fleet.world.stamp, time.monotonic() + HUNG
        while fleet.world.stamp < struck + STOPPED:  # how long a round takes is the host's load, not the robot's
            assert time.monotonic() < deadline, "the site's clock stands still: nobody answered the open round"
            time.sleep(0.02)
        assert fleet.plant.outcome.watched, "nobody spoke for the robot"
        assert fleet.speeds([0]) < REST
        assert fleet.plant.outcome.gone == []
        fleet.revive(0)
        assert fleet.wait_until_driving([0], HUNG)
    finally:
        fleet.close()


def test_without_a_watchdog_the_last_command_goes_on(run_directory: RunDirectory) -> None:
    """What the test above would see were there no watchdog: it bites."""
    fleet = LaneFleet(run_directory, 1, words=("--no-watchdog",))
    try:
        assert fleet.wait_until_driving([0], 40.0)
        fleet.strike(0, signal.SIGKILL)
        time.sleep(2.5)
        assert fleet.speeds([0]) > REST
    finally:
        fleet.close()

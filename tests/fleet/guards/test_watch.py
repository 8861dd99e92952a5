"""The guard's rule: what trips, how long it holds, when the breaker opens and what closes it."""

from __future__ import annotations

import math

import msgspec
import pytest

from agents.policy import SCORES
from fleet.guards.watch import (
    HOLD,
    LASTED,
    LASTING,
    SCANS,
    SINGLE,
    SPAN,
    SPAN_STEPS,
    START,
    TRIPS,
    GuardMemory,
    Reading,
    Trip,
    Watched,
    watch,
)
from hierarchy.skills import Answer
from safety.supervisor import Cause
from sim.robot import SECOND

PERIOD = SECOND // 10
COUNT = len(SCORES)
CALM = (0.2,) * (2 * COUNT)
SEEN = b"\0" * 8


def answer(*scores: float, policy: str = "p", action: tuple[float, ...] = (0.5, 0.0)) -> Answer:
    return Answer(action, policy=policy, novelty=scores or CALM)


def drive(memory: GuardMemory, answers: list[Answer], begin: int = 0) -> list[Watched]:
    told = []
    for index, each in enumerate(answers, begin):
        told.append(watch(memory, each, SEEN, index, index * PERIOD))
        memory = told[-1].memory
    return told


def driving() -> GuardMemory:
    """A robot past its first answers, next cycle START + 1."""
    return drive(GuardMemory(), [answer()] * (START + 1))[-1].memory


def test_the_first_answers_move_nothing_and_then_the_policy_drives() -> None:
    told = drive(GuardMemory(), [answer()] * (START + 2))
    assert [each.trip for each in told] == [Trip.START] * START + [Trip.NONE] * 2
    assert all(each.stands and each.cause is Cause.NONE for each in told[:START])
    assert not told[-1].stands


@pytest.mark.parametrize("score", range(len(SCORES)))
def test_one_score_at_its_limit_calls_the_fallback_in_that_step(score: int) -> None:
    spiked = [0.0] * (2 * COUNT)
    spiked[score] = 1.0
    (told,) = drive(driving(), [answer(*spiked)], START + 1)
    assert told.trip is SINGLE[score]
    assert told.trip.name == SCORES[score].upper()
    assert told.cause is Cause.POLICY
    spiked[score] = 0.999
    assert drive(driving(), [answer(*spiked)], START + 1)[0].trip is Trip.NONE


@pytest.mark.parametrize("score", range(len(SCORES)))
def test_a_lasting_score_trips_within_five_steps(score: int) -> None:
    lasting = [0.0] * (2 * COUNT)
    lasting[COUNT + score] = 2.0
    told = drive(driving(), [answer(*lasting)] * 4, START + 1)
    assert LASTED[score] in [each.trip for each in told]
    assert LASTED[score].name == f"{SCORES[score].upper()}_LASTING"
    lasting[COUNT + score] = 0.99
    assert all(each.trip is Trip.NONE for each in drive(driving(), [answer(*lasting)] * 9, START + 1))


def test_a_score_that_is_no_number_trips() -> None:
    assert drive(driving(), [answer(*([math.nan] * 2 * COUNT))], START + 1)[0].trip is Trip.ALONE


@pytest.mark.parametrize("count", [3, COUNT])
def test_without_a_step_before_no_change_counts(count: int) -> None:
    changed = answer(*2 * (0.0, 9.0, 9.0, *[0.5] * (count - 3)))
    assert drive(driving(), [changed], START + 50)[0].trip is Trip.NONE
    assert drive(driving(), [changed], START + 1)[0].trip is Trip.CHANGE


def test_the_fallback_drives_on_until_nothing_was_new_for_a_while() -> None:
    steps = HOLD // PERIOD
    told = drive(driving(), [answer(*([2.0] * 2 * COUNT)), *[answer()] * (steps + 1)], START + 1)
    held = [each.trip is Trip.HELD for each in told[1:]]
    assert sum(held) >= steps - LASTING
    assert told[-1].trip is Trip.NONE
    assert all(each.cause is Cause.POLICY for each in told[:-1] if each.trip is not Trip.NONE)


def opened(policy: str = "p") -> tuple[GuardMemory, int]:
    memory, cycle = driving(), START + 1
    for _ in range(TRIPS):
        (told,) = drive(memory, [answer(*([2.0] * 2 * COUNT), policy=policy)], cycle)
        memory, cycle = told.memory, cycle + HOLD // PERIOD + 1
    return memory, cycle


def test_the_breaker_opens_after_some_trips_and_no_calm_closes_it() -> None:
    memory, cycle = opened()
    assert memory.open
    told = drive(memory, [answer()] * 50, cycle + SPAN // PERIOD)
    assert {each.trip for each in told} == {Trip.OPEN}
    assert told[-1].cause is Cause.POLICY


def test_trips_that_lie_far_apart_open_nothing() -> None:
    memory, cycle = driving(), START + 1
    for _ in range(3 * TRIPS):
        (told,) = drive(memory, [answer(*([2.0] * 2 * COUNT))], cycle)
        memory, cycle = told.memory, cycle + SPAN // PERIOD // (TRIPS - 1) + 1
    assert not memory.open


def test_another_version_or_an_operator_closes_the_breaker() -> None:
    memory, cycle = opened()
    stamp = (cycle + SPAN // PERIOD) * PERIOD
    assert watch(memory, answer(policy="q"), SEEN, cycle, stamp).trip is Trip.NONE
    assert watch(memory, answer(), SEEN, cycle, stamp, epoch=memory.epoch).trip is Trip.OPEN
    assert watch(memory, answer(), SEEN, cycle, stamp, epoch=memory.epoch + 1).trip is Trip.NONE
    assert watch(memory, answer(), SEEN, cycle, stamp, jogged=True).trip is Trip.NONE


@pytest.mark.parametrize("action", [(1.01, 0.0), (0.0, -1.5), (math.nan, 0.0), (math.inf, 0.0)])
def test_an_action_outside_its_limits_is_not_obeyed(action: tuple[float, ...]) -> None:
    (told,) = drive(driving(), [answer(action=action)], START + 1)
    assert told.trip is Trip.ACTION
    assert told.cause is Cause.POLICY


def test_a_policy_that_tells_no_novelty_is_asked_as_ever() -> None:
    told = drive(GuardMemory(), [Answer((1.0, -1.0), policy="old")] * 9)
    assert all(each.trip is Trip.NONE and not each.stands for each in told)
    assert told[-1].memory.before == b""


def test_the_memory_survives_the_black_box() -> None:
    memory, _ = opened()
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(memory), type=GuardMemory) == memory


def test_a_graph_of_three_scores_trips_by_them() -> None:
    (told,) = drive(driving(), [answer(0.0, 0.0, 1.0, 0.0, 0.0, 0.0, policy="old")], START + 1)
    assert told.trip is Trip.DISTANCE
    assert told.memory.trail == ()


def test_numbers_of_trips_stay_what_recordings_have() -> None:
    assert (Trip.ALONE, Trip.DISTANCE_LASTING, Trip.ACTION, Trip.HELD, Trip.OPEN, Trip.ODOMETRY) == (2, 7, 8, 9, 10, 11)


def test_the_last_readings_in_a_row_are_remembered_and_two_of_their_scans() -> None:
    said, memory = msgspec.structs.replace(answer(), fix=(0.01, 0.0, 0.0)), GuardMemory()
    for cycle in range(SPAN_STEPS + 3):
        memory = watch(memory, said, SEEN, cycle, 0, Reading(pose_stamp=cycle, scan=b"1234")).memory
    assert [each.reading.pose_stamp for each in memory.trail] == list(range(3, SPAN_STEPS + 3))
    assert [bool(each.reading.scan) for each in memory.trail] == [False] * (SPAN_STEPS - SCANS) + [True] * SCANS
    memory = watch(memory, said, SEEN, SPAN_STEPS + 9, 0, Reading(pose_stamp=99)).memory
    assert [each.reading.pose_stamp for each in memory.trail] == [99], "after a gap nothing before belongs to it"
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(memory), type=GuardMemory) == memory

"""The supervisor over all modes, causes and events."""

from __future__ import annotations

import itertools

import pytest

from safety.supervisor import DEMANDS, RESUME, Cause, Mode, SupervisorMemory, may_drive, transition, worst

NOW = 1_000_000_000


def every_memory() -> list[SupervisorMemory]:
    return [
        SupervisorMemory(mode, cause, since)
        for mode, cause in itertools.product(Mode, Cause)
        for since in (-1, NOW - RESUME - 1, NOW - RESUME, NOW - 1)
    ]


EVENTS = list(itertools.product(Cause, (False, True), (False, True)))


def test_no_event_in_any_state_gives_more_authority_than_its_cause_demands() -> None:
    for memory, (cause, reset, handed_back) in itertools.product(every_memory(), EVENTS):
        after = transition(memory, cause, NOW, reset=reset, handed_back=handed_back)
        assert after.mode >= DEMANDS[cause], (memory, cause)
        assert isinstance(after.mode, Mode)
        assert after.cause >= cause or after.mode > DEMANDS[cause]


def test_latch_is_left_by_a_reset_alone_and_only_to_a_stop() -> None:
    for memory, (cause, reset, handed_back) in itertools.product(every_memory(), EVENTS):
        if memory.mode is not Mode.LATCHED:
            continue
        after = transition(memory, cause, NOW, reset=reset, handed_back=handed_back)
        if DEMANDS[cause] is Mode.LATCHED or not reset:
            assert after.mode is Mode.LATCHED
            assert after.cause >= memory.cause
        else:
            assert after.mode is Mode.STOPPED


def test_stop_ends_only_after_its_cause_was_clear_for_the_whole_while() -> None:
    for memory, (cause, reset, handed_back) in itertools.product(every_memory(), EVENTS):
        if memory.mode is not Mode.STOPPED:
            continue
        after = transition(memory, cause, NOW, reset=reset, handed_back=handed_back)
        if DEMANDS[cause] < Mode.STOPPED and memory.clear_since >= 0 and NOW - memory.clear_since >= RESUME:
            assert after.mode is DEMANDS[cause]
        else:
            assert after.mode >= Mode.STOPPED


def test_fallback_keeps_the_wheel_until_it_hands_back() -> None:
    driving = SupervisorMemory(Mode.FALLBACK, Cause.BLOCKED)
    assert transition(driving, Cause.NONE, NOW) == driving
    assert transition(driving, Cause.SHIELD, NOW) == driving
    assert transition(driving, Cause.NONE, NOW, handed_back=True).mode is Mode.POLICY
    assert transition(driving, Cause.POLICY, NOW, handed_back=True).mode is Mode.FALLBACK
    assert transition(driving, Cause.SCAN_STALE, NOW, handed_back=True).mode is Mode.STOPPED


@pytest.mark.parametrize(
    "cause", [Cause.SCAN_STALE, Cause.ODOMETRY_STALE, Cause.GRANT_STALE, Cause.PICTURE_STALE, Cause.TRACKING]
)
def test_input_withheld_stops_with_that_reason_and_work_goes_on_when_it_returns(cause: Cause) -> None:
    memory, now = SupervisorMemory(), 0
    modes = []
    for cycle in range(60):
        now += 100_000_000
        memory = transition(memory, cause if 10 <= cycle < 30 else Cause.NONE, now)
        modes.append(memory.mode)
        if memory.mode is Mode.STOPPED:
            assert memory.cause is cause
    assert modes[9] is Mode.POLICY
    assert all(mode is Mode.STOPPED for mode in modes[10:35])
    assert all(mode is Mode.POLICY for mode in modes[35:])


def test_cause_that_comes_and_goes_keeps_the_robot_stopped() -> None:
    memory, now = SupervisorMemory(), 0
    for cycle in range(100):
        now += 100_000_000
        memory = transition(memory, Cause.SCAN_STALE if cycle % 4 == 0 else Cause.NONE, now)
        assert memory.mode is Mode.STOPPED


def test_emergency_stop_stays_until_the_reset_and_the_worst_cause_is_told() -> None:
    memory = transition(SupervisorMemory(), Cause.BUMPER, NOW)
    memory = transition(memory, Cause.EMERGENCY_STOP, NOW + 1)
    assert memory == SupervisorMemory(Mode.LATCHED, Cause.EMERGENCY_STOP)
    for later in range(2, 200):
        memory = transition(memory, Cause.NONE, NOW + later * RESUME)
        assert memory.mode is Mode.LATCHED
    memory = transition(memory, Cause.NONE, NOW, reset=True)
    assert (memory.mode, memory.cause) == (Mode.STOPPED, Cause.EMERGENCY_STOP)
    assert transition(memory, Cause.NONE, NOW + RESUME - 1).mode is Mode.STOPPED
    assert transition(memory, Cause.NONE, NOW + RESUME).mode is Mode.POLICY


def test_every_stop_stands_above_an_operator() -> None:
    for memory, (cause, reset, handed_back) in itertools.product(every_memory(), EVENTS):
        alone = transition(memory, cause, NOW, reset=reset, handed_back=handed_back)
        after = transition(memory, cause, NOW, reset=reset, handed_back=handed_back, manual=True)
        if memory.mode is not Mode.MANUAL and not may_drive(alone.mode):
            assert after == alone, "as without one"
        else:
            wanted = DEMANDS[cause]
            assert after.mode is (Mode.MANUAL if may_drive(wanted) else wanted)


def test_a_robot_that_is_handed_back_stands_first_as_after_any_stop() -> None:
    for cause in Cause:
        after = transition(SupervisorMemory(Mode.MANUAL, cause), Cause.NONE, NOW)
        assert after == SupervisorMemory(Mode.STOPPED, Cause.NONE, NOW)
        assert transition(after, Cause.NONE, NOW + RESUME - 1).mode is Mode.STOPPED
        assert transition(after, Cause.NONE, NOW + RESUME).mode is Mode.POLICY
        assert transition(after, Cause.NONE, NOW + RESUME, manual=True).mode is Mode.MANUAL


def test_worst_of_several_causes_counts_and_only_four_modes_may_drive() -> None:
    assert worst(Cause.SHIELD, Cause.EMERGENCY_STOP, Cause.GRANT_STALE) is Cause.EMERGENCY_STOP
    assert worst() is Cause.NONE
    assert [mode for mode in Mode if may_drive(mode)] == [
        Mode.POLICY,
        Mode.SHIELDED,
        Mode.FALLBACK,
        Mode.MANUAL,
    ]
    demanded = [DEMANDS[cause] for cause in Cause]
    assert demanded == sorted(demanded)  # a worse cause never demands a freer mode
    assert list(Cause) == sorted(DEMANDS)

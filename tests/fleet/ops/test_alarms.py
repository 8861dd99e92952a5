"""Alarms: what of a look is one, how long it lasts, and that what cannot be seen is not over."""

from __future__ import annotations

import pytest

from coordination.messages import RobotStatus
from coordination.requests import FleetState, JogLine, RobotLine
from fleet.ops.alarms import (
    OVER_MAX,
    STANDING_MAX,
    STILL,
    STOPPED,
    Condition,
    Level,
    Memory,
    acknowledge,
    blind,
    conditions,
    step,
)
from fleet.ops.seen import Process, Robot, Rollout, Seen, Stop, robots_of
from safety.supervisor import Cause, Mode


def robot(name: str = "r0", **changes: object) -> Robot:
    told = {"pose": (1.0, 2.0, 0.0), "status": "moving", "battery": 0.8, "task": "", "age": 0.1, "mode": "policy"}
    return Robot(name, **{**told, "cause": "none", "why": "", **changes})  # pyright: ignore[reportArgumentType]


def look(*robots: Robot, **changes: object) -> Seen:
    return Seen(answered=True, robots=robots, **changes)  # pyright: ignore[reportArgumentType]


def keys(seen: Seen) -> set[str]:
    return {condition.key for condition in conditions(seen)} - {f"still:{seen.stamp}"}


def after(seen: Seen, seconds: float) -> list[str]:
    """Keys of the alarms where nothing but this has been seen for so long."""
    memory = step(Memory(), conditions(seen), 0.0)
    return list(step(memory, conditions(seen), seconds).standing)


@pytest.mark.parametrize(
    ("seen", "key"),
    [
        (look(robot(age=2.5)), "silent:r0"),
        (look(robot(mode="latched", cause="bumper")), "latched:r0"),
        (look(robot(mode="stopped", cause="scan_stale")), "stopped:r0"),
        (look(robot(mode="fallback", cause="blocked")), "fallback:r0"),
        (look(robot(status="operator")), "asks:r0"),
        (look(robot(), asking=("r0",)), "asks:r0"),
        (look(robot(battery=0.1)), "battery:r0"),
        (look(stop=Stop(True, 3, "ann", "smoke")), "stop:3"),
        (look(waiting=(("0190", "r1", "silent"),)), "waiting:0190"),
        (look(tasks={"failed": 2}), "failed:2"),
        (look(processes=(Process("host-0", "http://x", False, 9.0),)), "metrics:host-0"),
        (look(processes=(Process("host-0", "http://x", True, 0.0, {"lost": 3.0}),)), "lost:host-0"),
        (look(processes=(Process("host-0", "http://x", True, 0.0, {"faults": 1.0}),)), "faults:host-0"),
        (look(rollout=Rollout("spring", "part_5", "rolled_back", "near misses")), "rollout:spring:rolled_back"),
        (look(rollout=Rollout("spring", "part_5", "killed")), "rollout:spring:killed"),
        (look(rollout=Rollout("", "", "", error="not as it was written")), "rollout:unreadable"),
        (Seen(answered=False, error="silent"), "coordinator"),
    ],
)
def test_each_thing_that_is_wrong_is_one_alarm(seen: Seen, key: str) -> None:
    assert keys(seen) == {key}


@pytest.mark.parametrize(
    "seen",
    [
        look(robot()),
        look(robot(mode="shielded", cause="shield")),
        look(robot(mode="stopped", cause="none")),  # handed back, it goes on
        look(robot(status="operator", operator="ann", mode="manual"), asking=("r0",)),  # somebody came
        look(robot(battery=0.1, status="working")),  # it charges
        look(processes=(Process("host-0", "http://x", True, 0.0, {"lost": 0.0}),)),
        look(rollout=Rollout("spring", "part_5", "running")),
        Seen(answered=False, ended="the run has ended", robots=(robot(age=99.0),)),
    ],
)
def test_a_fleet_that_works_has_no_alarm(seen: Seen) -> None:
    assert keys(seen) == set()


def test_an_emergency_stop_is_one_alarm_and_not_one_for_each_robot() -> None:
    fleet = tuple(robot(f"r{number}", mode="latched", cause="emergency_stop") for number in range(16))
    assert keys(look(*fleet, stop=Stop(True, 1))) == {"stop:1"}


def test_the_stop_says_who_raised_it_and_why() -> None:
    (condition,) = conditions(look(stop=Stop(True, 3, "ann", "smoke in aisle 4")))
    assert condition.text == "Emergency stop 3 is latched, raised by ann: smoke in aisle 4"
    assert condition.level is Level.CRITICAL


def test_a_stop_that_ends_within_its_time_is_no_alarm() -> None:
    seen = look(robot(mode="stopped", cause="scan_stale"))
    assert "stopped:r0" not in after(seen, STOPPED - 0.1)
    assert "stopped:r0" in after(seen, STOPPED)


def test_a_clock_that_stands_still_is_an_alarm_and_one_that_goes_is_none() -> None:
    assert f"still:{7}" in after(look(robot(), stamp=7), STILL)
    memory = Memory()
    for second in range(20):
        memory = step(memory, conditions(look(robot(), stamp=second)), float(second))
    assert not memory.standing


def test_an_alarm_that_comes_again_is_another_one() -> None:
    bumper = conditions(look(robot(mode="latched", cause="bumper")))
    memory = step(step(Memory(), bumper, 0.0), bumper, 1.0)
    memory = acknowledge(memory, "latched:r0", "operator_ann")
    assert memory.standing["latched:r0"].acknowledged == "operator_ann"
    memory = step(memory, bumper, 2.0)
    assert memory.standing["latched:r0"].acknowledged == "operator_ann"  # it stands, and stays quiet
    memory = step(memory, (), 3.0)
    assert not memory.standing
    assert (memory.over[0].key, memory.over[0].begun, memory.over[0].over) == ("latched:r0", 0.0, 3.0)
    memory = step(step(memory, bumper, 4.0), bumper, 6.0)
    assert memory.standing["latched:r0"].acknowledged == ""


def test_nothing_is_over_because_it_cannot_be_seen() -> None:
    bumper = conditions(look(robot(mode="latched", cause="bumper")))
    memory = step(step(Memory(), bumper, 0.0), bumper, 2.0)
    dark = Seen(answered=False, error="silent")
    assert blind(dark)
    for second in (3.0, 5.0, 7.0):
        memory = step(memory, conditions(dark), second, blind=blind(dark))
    assert set(memory.standing) == {"latched:r0", "coordinator"}
    assert not memory.over


def test_an_acknowledgement_of_nothing_changes_nothing() -> None:
    memory = Memory()
    assert acknowledge(memory, "latched:r9", "ann") is memory


def test_alarms_are_bounded_and_the_worst_are_kept() -> None:
    many = [Condition(f"silent:r{number}", Level.WARNING, "t", "r") for number in range(3 * STANDING_MAX)]
    worst = Condition("stop:1", Level.CRITICAL, "t", "r")
    memory = step(Memory(), [*many, worst], 0.0)
    assert len(memory.standing) == STANDING_MAX
    assert next(iter(memory.standing)) == "stop:1"
    assert len(step(memory, (), 1.0).over) == OVER_MAX


def test_modes_and_their_causes_come_as_words() -> None:
    lines = tuple(RobotLine(f"r{number}", (0.0, 0.0, 0.0), RobotStatus.MOVING, 0.5) for number in range(3))
    modes = bytes((Mode.STOPPED, Cause.SCAN_STALE, Mode.MANUAL, Cause.NONE, 99, 98))
    state = FleetState("q", 1, {}, lines, jogs=(JogLine("r1", "operator_ann", "ann at desk 2", 5),), modes=modes)
    one, two, three = robots_of(state)
    assert (one.mode, one.cause, one.why) == ("stopped", "scan_stale", "no fresh scan")
    assert (two.mode, two.operator) == ("manual", "ann at desk 2")
    assert (three.mode, three.cause) == ("unknown", "unknown")
    (old, *_) = robots_of(FleetState("q", 1, {}, lines))  # an older coordinator tells no modes
    assert (old.mode, old.cause) == ("unknown", "none")


def test_what_was_acknowledged_before_the_page_began_again_is_known_and_what_comes_later_is_not() -> None:
    wrong = [Condition("latched:r1", Level.CRITICAL, "r1", "go"), Condition("late", Level.WARNING, "x", "y", 10.0)]
    memory = Memory(recalled={"latched:r1": "ann", "late": "ben", "gone": "cat"}, recalls=20.0)
    memory = step(memory, wrong, 1.0)
    assert memory.standing["latched:r1"].acknowledged == "ann"
    memory = step(memory, wrong, 12.0)
    assert memory.standing["late"].acknowledged == "ben"
    memory = step(memory, wrong[1:], 13.0)  # over
    memory = step(memory, wrong, 14.0)
    assert memory.standing["latched:r1"].acknowledged == "", "it came again"
    memory = step(memory, [*wrong, Condition("gone", Level.WARNING, "x", "y")], 21.0)
    assert memory.standing["gone"].acknowledged == "", "it did not stand when the page began"
    assert not memory.recalled

"""Quota, rotation and events that are locked."""

from pathlib import Path

import msgspec
import pytest

from fleet.blackbox import BlackBox, Layout, Step
from fleet.box.chain import EVENTS, Forgotten, Triggered, decode
from fleet.box.keep import EventError, files_of, read_event, read_events
from fleet.box.recover import scan
from fleet.box.trigger import robot_triggers
from fleet.box.window import is_event, read_segment, read_window
from safety.supervisor import Cause, Mode

SECOND = 10**9


def raised(before: object, steps: object) -> list[Triggered]:
    """A message of the data `!` is worth an event."""
    assert isinstance(steps, list)
    return [Triggered("shout", "", cycle, stamp) for _, cycle, stamp, data in steps if data == b"!"]


RAW = Layout(("a",), list, raised, 10.0)


def drive(box: BlackBox, begin: int, end: int, shouts: tuple[int, ...] = ()) -> None:
    """A message of a kilobyte a second, flushed each."""
    for second in range(begin, end):
        box.append((1, second, second * SECOND, b"!" if second in shouts else bytes(1000)))
        box.flush()


def test_a_trigger_locks_sixty_seconds_before_and_thirty_after_against_the_quota(tmp_path: Path) -> None:
    box = BlackBox(tmp_path, "r0", {}, {}, layout=RAW, quota_bytes=200_000)
    drive(box, 0, 400, shouts=(100,))
    box.close()
    (event,) = read_events(tmp_path)
    assert (event.begin, event.end, event.complete) == (40 * SECOND, 130 * SECOND, True)
    segment = read_segment(tmp_path / "events" / "r0-0.json")
    stamps = [m.stamp // SECOND for recording in segment.recordings for chunk in recording.chunks for m in chunk]
    assert stamps == list(range(40, 131))
    assert segment.missing == ()
    names = {path.name for path in files_of(tmp_path, "r0")}
    assert {*event.files} <= names
    assert "r0-0.mcap" not in names
    assert box.counts.deleted > 5


def test_what_the_quota_deleted_stands_in_the_log_with_its_head(tmp_path: Path) -> None:
    box = BlackBox(tmp_path, "r0", {}, {}, layout=RAW, quota_bytes=100_000)
    drive(box, 0, 200)
    box.close()
    files = files_of(tmp_path, "r0")
    own = [
        decode(record.data)
        for path in files
        for piece in scan(path.read_bytes()).pieces
        for record in piece.records
        if record.channel == EVENTS
    ]
    gone = [event for event in own if isinstance(event, Forgotten)]
    assert gone
    assert all(len(event.head) == 32 for event in gone)
    assert not {event.file for event in gone} & {path.name for path in files}


def test_triggers_that_follow_each_other_are_one_event_and_later_ones_another(tmp_path: Path) -> None:
    box = BlackBox(tmp_path, "r0", {}, {}, layout=RAW)
    drive(box, 0, 700, shouts=(100, 120, 500))
    box.close()
    first, second = read_events(tmp_path, "r0")
    assert [each.stamp // SECOND for each in first.triggers] == [100, 120]
    assert (first.end // SECOND, second.begin // SECOND) == (150, 440)


def test_triggers_without_end_leave_room_for_the_ring(tmp_path: Path) -> None:
    box = BlackBox(tmp_path, "r0", {}, {}, layout=RAW, quota_bytes=200_000)
    drive(box, 0, 800, shouts=tuple(range(0, 800, 50)))
    box.close()
    sizes = sum(path.stat().st_size for path in files_of(tmp_path, "r0"))
    assert box.counts.unlocked > 0
    assert sizes < 700_000
    assert box.counts.written == 800


def test_a_loop_can_ask_for_a_lock_itself(tmp_path: Path) -> None:
    box = BlackBox(tmp_path, "r0", {}, {}, layout=RAW)
    drive(box, 0, 100)
    box.trigger("operator", "somebody pressed the button")
    drive(box, 100, 160)
    box.close()
    (event,) = read_events(tmp_path)
    assert event.triggers[0].cause == "operator"
    assert event.triggers[0].stamp // SECOND in (99, 100)


def test_an_event_that_is_damaged_still_locks_what_it_names(tmp_path: Path) -> None:
    box = BlackBox(tmp_path, "r0", {}, {}, layout=RAW, quota_bytes=150_000)
    drive(box, 0, 90, shouts=(50,))
    path = tmp_path / "events" / "r0-0.json"
    names = read_event(path).files
    path.write_bytes(path.read_bytes().replace(b'"muster"', b'"mus'))
    drive(box, 90, 300)
    box.close()
    assert {*names} <= {each.name for each in files_of(tmp_path, "r0")}
    with pytest.raises(EventError, match="expected an event"):
        read_event(path)


def test_an_event_that_names_files_elsewhere_is_refused(tmp_path: Path) -> None:
    box = BlackBox(tmp_path, "r0", {}, {}, layout=RAW)
    drive(box, 0, 3, shouts=(1,))
    box.close()
    path = tmp_path / "events" / "r0-0.json"
    assert is_event(path)
    event = read_event(path)
    path.write_bytes(msgspec.json.encode(msgspec.structs.replace(event, files=("../../secret.mcap",))))
    with pytest.raises(EventError, match="altered"):
        read_segment(path)


def test_a_window_is_read_over_all_files_that_hold_it(tmp_path: Path) -> None:
    box = BlackBox(tmp_path, "r0", {}, {}, layout=RAW)
    drive(box, 0, 120)
    box.close()
    found = read_window(tmp_path, "r0", 15 * SECOND, 37 * SECOND)
    assert len(found) > 2
    assert [m.stamp // SECOND for each in found for chunk in each.chunks for m in chunk] == list(range(15, 38))


class Outputs(msgspec.Struct):
    mode: Mode
    cause: Cause


def test_a_robot_that_latches_or_drives_blind_is_an_event_and_one_that_waits_for_its_grant_is_none() -> None:
    modes = [
        (Mode.STOPPED, Cause.GRANT_STALE),
        (Mode.POLICY, Cause.NONE),
        (Mode.STOPPED, Cause.SCAN_STALE),
        (Mode.STOPPED, Cause.SCAN_STALE),
        (Mode.LATCHED, Cause.BUMPER),
    ]
    steps = [Step(number, number, {}, {}, Outputs(*mode)) for number, mode in enumerate(modes)]
    found = robot_triggers(None, steps)
    assert [(each.detail, each.cycle) for each in found] == [("stopped: scan stale", 2), ("latched: bumper", 4)]
    assert robot_triggers(steps[2], steps[3:4]) == []


def test_a_clock_that_jumps_hides_nothing_from_an_event(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = [10**12]
    monkeypatch.setattr("time.monotonic_ns", lambda: now[0])
    box = BlackBox(tmp_path, "r0", {}, {}, layout=RAW)
    stamps = [*range(1000, 1100), *range(200, 300)]  # 20 s before the trigger the clock was set back by 900 s
    for cycle, stamp in enumerate(stamps):
        now[0] += SECOND
        box.append((1, cycle, stamp * SECOND, b"!" if cycle == 120 else bytes(100)))
        box.flush()
    box.close()
    segment = read_segment(tmp_path / "events" / "r0-0.json")
    cycles = {m.cycle for recording in segment.recordings for chunk in recording.chunks for m in chunk}
    assert set(range(61, 150)) <= cycles
    assert 20 not in cycles
    assert 190 not in cycles

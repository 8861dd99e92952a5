"""The black box: whole at any cut, honest on a full disk, readable by others, and no burden to the control path."""

import errno
import json
import os
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
from mcap.reader import make_reader
from mcap.stream_reader import StreamReader

from fleet.blackbox import BlackBox, Message, Recorder, Step
from fleet.box.boxfile import BoxFile
from fleet.box.chain import EVENTS, ClockJump, DropOut, Kept, decode
from fleet.box.keep import files_of
from fleet.box.recover import scan
from fleet.box.verify import HeadNote, verify
from fleet.salvage import BlackBoxError, read_recording
from tests.fleet.oldbox import old_box

METADATA = {"robot": "r0", "versions": "{}"}


def step(cycle: int) -> Step:
    return Step(cycle, cycle * 100_000_000, {"scan": bytes(80)}, {"last": cycle - 1}, {"command": (0.5, float(cycle))})


def written(directory: Path, flushes: list[int], close: bool = True) -> Path:
    """A file of len(flushes) chunks with so many steps each."""
    box = BlackBox(directory, "r0", METADATA, {"site": b"floor"})
    cycle = 0
    for count in flushes:
        for _ in range(count):
            box.append(step(cycle))
            cycle += 1
        box.flush()
    if close:
        box.close()
    return directory / "r0-0.mcap"


def test_what_is_written_is_read_back_with_the_memory_at_each_chunk_start(tmp_path: Path) -> None:
    recording = read_recording(written(tmp_path, [2, 3]))
    assert recording.metadata == METADATA
    assert recording.attachments == {"site": b"floor"}
    assert recording.closed
    assert recording.damage == ""
    assert [[message.channel for message in chunk] for chunk in recording.chunks] == [
        ["memory", "inputs", "outputs", "inputs", "outputs"],
        ["memory", "inputs", "outputs", "inputs", "outputs", "inputs", "outputs"],
    ]
    assert msgspec.msgpack.decode(recording.chunks[1][0].data) == {"last": 1}
    assert [message.cycle for message in recording.chunks[1] if message.channel == "inputs"] == [2, 3, 4]


def test_a_memory_is_written_wherever_a_step_does_not_follow_on_the_one_before(tmp_path: Path) -> None:
    box = BlackBox(tmp_path, "r0", METADATA, {})
    for cycle in (7, 8, 11, 2, 3):  # two were passed over, then time began anew
        box.append(step(cycle))
    box.close()
    (chunk,) = read_recording(tmp_path / "r0-0.mcap").chunks
    assert [message.cycle for message in chunk if message.channel == "memory"] == [7, 11, 2]


def test_other_mcap_readers_accept_the_file(tmp_path: Path) -> None:
    path = written(tmp_path, [2, 3])
    with path.open("rb") as file:
        reader = make_reader(file)
        summary = reader.get_summary()
        assert summary.statistics.message_count == 12 + 8
        assert summary.statistics.chunk_count == 3
        seen = [(channel.topic, message.log_time) for _, channel, message in reader.iter_messages()]
    assert len(seen) == 12 + 8  # links, tables, what is kept, the closing seal
    assert ("outputs", 400_000_000) in seen
    with path.open("rb") as file:
        kinds = [type(record).__name__ for record in StreamReader(file, emit_chunks=True, validate_crcs=True).records]
    assert kinds[0] == "Header"
    assert kinds[-1] == "Footer"
    assert kinds.count("Chunk") == 3


def test_a_file_cut_at_any_byte_yields_every_whole_record(tmp_path: Path) -> None:
    path = written(tmp_path, [2, 3])
    whole = path.read_bytes()
    full = read_recording(path)
    everything = [message for chunk in full.chunks for message in chunk]
    # where each message ends in the file, found by searching for its bytes: independent of the reader
    ends, at = [], 0
    for message in everything:
        at = whole.index(message.data, at) + len(message.data)
        ends.append(at)
    cut = tmp_path / "cut.mcap"
    readable = 0
    for length in range(len(whole)):
        cut.write_bytes(whole[:length])
        try:
            recording = read_recording(cut)
        except BlackBoxError:
            assert length < ends[0]
            continue
        readable += 1
        got = [message for chunk in recording.chunks for message in chunk]
        assert got == everything[: sum(end <= length for end in ends)]
        assert not recording.closed
        assert recording.damage == ""
    assert readable > len(whole) // 2


def test_a_flipped_bit_costs_its_record_and_is_told(tmp_path: Path) -> None:
    path = written(tmp_path, [2, 3])
    data = bytearray(path.read_bytes())
    message = read_recording(path).chunks[0][1]
    data[bytes(data).index(message.data) + 10] ^= 4
    path.write_bytes(data)
    recording = read_recording(path)
    assert "1 damaged records" in recording.damage
    assert [message.channel for message in recording.chunks[0]] == ["memory", "outputs", "inputs", "outputs"]
    assert len(recording.chunks) == 2


@pytest.mark.parametrize(
    ("content", "words"),
    [(b"", "expected an MCAP file"), (b"PK\3\4zip", "expected an MCAP file"), (b"\x89MCAP0\r\n", "no readable header")],
)
def test_a_file_that_is_no_black_box_is_refused_in_one_line(tmp_path: Path, content: bytes, words: str) -> None:
    path = tmp_path / "x.mcap"
    path.write_bytes(content)
    with pytest.raises(BlackBoxError, match=words) as caught:
        read_recording(path)
    assert "\n" not in str(caught.value)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BlackBoxError, match="No such file"):
        read_recording(tmp_path / "none.mcap")


def test_a_restarted_robot_keeps_what_it_recorded_before(tmp_path: Path) -> None:
    written(tmp_path, [1])
    written(tmp_path, [1])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["r0-0.mcap", "r0-1.mcap"]


def test_a_long_recording_goes_on_in_the_next_file(tmp_path: Path) -> None:
    box = BlackBox(tmp_path, "r0", METADATA, {}, rotate_bytes=4000)
    for cycle in range(12):
        box.append(step(cycle))
        box.flush()
    box.close()
    files = files_of(tmp_path, "r0")
    assert len(files) > 2
    recordings = [read_recording(path) for path in files]
    assert all(recording.closed for recording in recordings)
    cycles = [m.cycle for r in recordings for chunk in r.chunks for m in chunk if m.channel == "inputs"]
    assert cycles == list(range(12))


def test_the_writer_thread_puts_steps_on_disk_within_two_chunks_of_time(tmp_path: Path) -> None:
    box = BlackBox(tmp_path, "r0", METADATA, {})
    recorder = Recorder([box], interval=0.02)
    box.append(step(0))
    deadline = time.monotonic() + 5.0
    while box.counts.written == 0 and time.monotonic() < deadline:
        time.sleep(0.005)
    assert len(read_recording(tmp_path / "r0-0.mcap").chunks) == 1
    recorder.close()
    assert read_recording(tmp_path / "r0-0.mcap").closed


FULL_DISK = """
    import resource, sys
    from pathlib import Path
    sys.path.insert(0, {root!r})
    from fleet.blackbox import BlackBox, Step
    from fleet.salvage import read_recording
    directory = Path({directory!r})
    box = BlackBox(directory, "r0", {{"robot": "r0"}}, {{}})
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    for cycle in range(60):
        if cycle == 20:
            resource.setrlimit(resource.RLIMIT_FSIZE, (box._file.size + 3000, hard))
        if cycle == 40:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        box.append(Step(cycle, cycle, {{"scan": bytes(400)}}, {{}}, {{}}))
        box.flush()
        assert box._file.size == (directory / "r0-0.mcap").stat().st_size, "half a chunk was left"
    box.close()
    counts = box.counts
    assert counts.written + counts.dropped == 60, counts
    assert 5 < counts.dropped < 20, counts
    assert counts.failed_writes == counts.dropped, counts
    recording = read_recording(directory / "r0-0.mcap")
    assert recording.closed and not recording.damage
    cycles = [m.cycle for chunk in recording.chunks for m in chunk if m.channel == "inputs"]
    assert len(cycles) == counts.written and cycles[-1] == 59 and cycles[:20] == list(range(20))
"""


def test_a_full_disk_is_counted_and_recording_goes_on_when_there_is_room(tmp_path: Path) -> None:
    # RLIMIT_FSIZE in a process of its own: the limit is the real kernel's, and it must not reach this one
    code = textwrap.dedent(FULL_DISK.format(root=str(Path.cwd()), directory=str(tmp_path)))
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr


def test_a_full_disk_from_the_start_leaves_no_half_file(tmp_path: Path) -> None:
    code = textwrap.dedent(f"""
        import resource, sys
        from pathlib import Path
        sys.path.insert(0, {str(Path.cwd())!r})
        from fleet.blackbox import BlackBox, Step
        resource.setrlimit(resource.RLIMIT_FSIZE, (10, resource.getrlimit(resource.RLIMIT_FSIZE)[1]))
        box = BlackBox(Path({str(tmp_path)!r}), "r0", {{}}, {{}})
        box.append(Step(0, 0, {{}}, {{}}, {{}}))
        box.flush()
        box.close()
        assert (box.counts.written, box.counts.dropped) == (0, 1)
    """)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert list(tmp_path.iterdir()) == []


def test_append_costs_the_control_path_less_than_fifty_microseconds(tmp_path: Path) -> None:
    box = BlackBox(tmp_path, "r0", METADATA, {})
    steps = [step(cycle) for cycle in range(2000)]
    started = time.thread_time()
    for each in steps:
        box.append(each)
    assert (time.thread_time() - started) / len(steps) < 50e-6


def test_a_stuck_disk_fills_the_queue_and_drops_the_rest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fleet.blackbox.QUEUE_STEPS", 5)
    box = BlackBox(tmp_path, "r0", METADATA, {})
    for cycle in range(8):
        box.append(step(cycle))
    box.close()
    assert (box.counts.written, box.counts.dropped) == (5, 3)


def test_a_file_of_before_links_and_tables_is_still_read(tmp_path: Path) -> None:
    chunks = [[(2, 0, 5, b"memory"), (1, 0, 5, b"in"), (3, 0, 5, b"out")], [(1, 1, 6, b"in"), (3, 1, 6, b"out")]]
    path = tmp_path / "r0-0.mcap"
    data = old_box(METADATA, chunks, ("inputs", "memory", "outputs"))
    path.write_bytes(data)
    recording = read_recording(path)
    assert (recording.metadata, recording.attachments, recording.damage) == (METADATA, {"site": b"floor"}, "")
    assert [[message.data for message in chunk] for chunk in recording.chunks] == [
        [b"memory", b"in", b"out"],
        [b"in", b"out"],
    ]
    path.write_bytes(data[:-1] + b"T")
    assert "wrong checksum" in read_recording(path).damage


def test_a_step_that_cannot_be_encoded_costs_itself_and_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    box = BlackBox(tmp_path, "r0", METADATA, {})
    for cycle, inputs in enumerate(({}, object(), {})):
        box.append(Step(cycle, cycle, inputs, {}, {}))
        box.flush()
    box.close()
    assert (box.counts.written, box.counts.dropped) == (2, 1)
    assert "cannot be recorded" in capsys.readouterr().err
    found = scan((tmp_path / "r0-0.mcap").read_bytes())
    own = [decode(record.data) for piece in found.pieces for record in piece.records if record.channel == EVENTS]
    assert own == [Kept("0"), DropOut(1, "step")]


def until(true: Callable[[], bool], patience: float = 10.0) -> None:
    end = time.monotonic() + patience
    while not true():
        assert time.monotonic() < end
        time.sleep(0.005)


def test_a_writer_that_makes_a_mistake_goes_on_for_every_box_and_tells_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Neither a step nor a disk: an error that nobody thought of, in the third chunk of one box."""
    real = BoxFile.write_chunk

    def write_chunk(file: BoxFile, messages: list[Message], closing: bool = False) -> int:
        if file.path.name == "r0-0.mcap" and file.chunks == 2:
            raise RuntimeError("nobody thought of it")
        return real(file, messages, closing)

    monkeypatch.setattr(BoxFile, "write_chunk", write_chunk)
    boxes = [BlackBox(tmp_path, name, METADATA, {}) for name in ("r0", "r1")]
    recorder = Recorder(boxes, interval=0.005)
    for cycle in range(6):
        for box in boxes:
            box.append(step(cycle))
        until(lambda seen=cycle + 1: all(box.counts.written + box.counts.dropped == seen for box in boxes))
    recorder.close()
    assert [(box.counts.written, box.counts.dropped, box.counts.faults) for box in boxes] == [(5, 1, 1), (6, 0, 0)]
    assert "the writer made a mistake and goes on (RuntimeError('nobody thought of it'))" in capsys.readouterr().err
    second = read_recording(tmp_path / "r0-1.mcap")
    assert [m.cycle for chunk in second.chunks for m in chunk if m.channel == "inputs"] == [3, 4, 5]
    records = [record for piece in scan((tmp_path / "r0-1.mcap").read_bytes()).pieces for record in piece.records]
    assert DropOut(1, "fault") in [decode(each.data) for each in records if each.channel == EVENTS]
    first, second_report = verify(files_of(tmp_path, "r0"), None)
    assert second_report.good
    assert first.faults == []
    assert any("confirmed by r0-1.mcap" in note for note in first.notes)


def test_a_sync_that_makes_a_mistake_is_counted_and_the_next_one_comes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, asked = os.fdatasync, list[int]()

    def fdatasync(handle: int) -> None:
        asked.append(handle)
        if len(asked) == 1:
            raise RuntimeError("nobody thought of it")
        real(handle)

    monkeypatch.setattr("os.fdatasync", fdatasync)
    box = BlackBox(tmp_path, "r0", METADATA, {})
    recorder = Recorder([box], interval=0.005, sync_interval=0.005)
    for cycle in range(2):
        box.append(step(cycle))
        until(lambda seen=cycle + 1: len(asked) == seen)
    recorder.close()
    assert (box.counts.written, box.counts.dropped, box.counts.faults) == (2, 0, 1)
    assert [path.name for path in files_of(tmp_path, "r0")] == ["r0-0.mcap"]


def test_a_clock_that_jumps_back_begins_another_file_and_stands_in_the_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [10**12]
    monkeypatch.setattr("time.monotonic_ns", lambda: now[0])
    box = BlackBox(tmp_path, "r0", METADATA, {})
    for cycle, stamp in enumerate((50, 51, 20, 21)):
        box.append(Step(cycle, stamp * 10**9, {}, {}, {}))
        box.flush()
        now[0] += 6 * 10**9
    box.close()
    first, second = files_of(tmp_path, "r0")
    stamps = [[m.stamp // 10**9 for chunk in read_recording(path).chunks for m in chunk] for path in (first, second)]
    assert {*stamps[0]} == {50, 51}
    assert {*stamps[1]} == {20, 21}
    records = [record for piece in scan(second.read_bytes()).pieces for record in piece.records]
    assert ClockJump(51 * 10**9, 20 * 10**9) in [decode(each.data) for each in records if each.channel == EVENTS]


@pytest.mark.parametrize("stamp", [-5, 2**64 + 3])
def test_a_clock_that_says_what_mcap_cannot_hold_loses_no_step(tmp_path: Path, stamp: int) -> None:
    box = BlackBox(tmp_path, "r0", METADATA, {})
    box.append(Step(0, stamp, {}, {}, {}))
    box.close()
    assert box.counts.written == 1
    assert len(read_recording(tmp_path / "r0-0.mcap").chunks) == 1


def test_heads_are_told_at_the_end_and_verify_asks_for_them(tmp_path: Path) -> None:
    box = BlackBox(tmp_path, "r0", METADATA, {})
    recorder = Recorder([box], interval=0.01, heads=tmp_path / "heads.jsonl")
    box.append(step(0))
    recorder.close()
    told = json.loads((tmp_path / "heads.jsonl").read_text())
    assert (told["file"], told["closed"], told["count"]) == ("r0-0.mcap", True, 3)
    note = HeadNote(told["file"], told["chunks"], bytes.fromhex(told["head"]))
    (report,) = verify([tmp_path / "r0-0.mcap"], None, [note])
    assert report.good, report.line()
    (report,) = verify([tmp_path / "r0-0.mcap"], None, [HeadNote("r0-1.mcap", 3, bytes(32))])
    assert "r0-1.mcap, whose head the fleet has, is missing" in report.line()


def test_a_disk_that_fills_while_a_robot_drives_costs_records_alone_and_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The loop appends on; the file system has no room for a while, as `writev` says."""
    real, room = os.writev, [True]

    def writev(handle: int, views: list[memoryview]) -> int:
        if not room[0]:
            raise OSError(errno.ENOSPC, "No space left on device")
        return real(handle, views)

    monkeypatch.setattr("os.writev", writev)
    box = BlackBox(tmp_path, "r0", METADATA, {})
    recorder = Recorder([box], interval=0.002)
    longest = 0.0
    for cycle in range(60):
        room[0] = not 20 <= cycle < 40
        began = time.thread_time()
        box.append(step(cycle))
        longest = max(longest, time.thread_time() - began)
        until(lambda seen=cycle + 1: box.counts.written + box.counts.dropped == seen)
    recorder.close()
    assert longest < 0.001
    assert (box.counts.written, box.counts.dropped, box.counts.failed_writes) == (40, 20, 20)
    said = capsys.readouterr().err
    assert said.count("a write failed, steps are lost until one succeeds") == 1
    assert "No space left on device" in said
    (path,) = files_of(tmp_path, "r0")
    own = [
        decode(each.data)
        for piece in scan(path.read_bytes()).pieces
        for each in piece.records
        if each.channel == EVENTS
    ]
    assert own == [Kept("0"), DropOut(20, "disk")]
    (report,) = verify([path], None)
    assert report.good


def test_a_full_disk_takes_the_oldest_file_that_nothing_locks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The disk has room for so many bytes, whatever the files are; `writev` says so as the kernel does."""
    real, room = os.writev, 60_000

    def writev(handle: int, views: list[memoryview]) -> int:
        used = sum(path.stat().st_size for path in tmp_path.glob("*.mcap"))
        if used + sum(map(len, views)) > room:
            raise OSError(errno.ENOSPC, "No space left on device")
        return real(handle, views)

    monkeypatch.setattr("os.writev", writev)
    box = BlackBox(tmp_path, "r0", METADATA, {}, rotate_bytes=9000)
    for cycle in range(200):
        box.append(Step(cycle, cycle * 10**10, {"scan": bytes(700)}, {}, {}))
        box.flush()
        if cycle == 20:
            box.trigger("button")
    box.close()
    assert box.counts.dropped == 0
    assert box.counts.deleted > 3
    cycles = {m.cycle for path in files_of(tmp_path, "r0") for chunk in read_recording(path).chunks for m in chunk}
    assert {18, 19, 20, 21, 22, 199} <= cycles
    assert all(report.good for report in verify(files_of(tmp_path, "r0"), None))

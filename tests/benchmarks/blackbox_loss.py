"""blackbox_loss: how much of a robot's newest past is missing after the process was killed or power was cut, ms.

`kill_ms`: a process records 3 kB steps at 50 Hz and notes each in shared memory as it appends it; it is killed
(SIGKILL) at a random instant and what `read_recording` finds in its files is compared: the newest note, less the newest
step that was read of which no older one is missing. The largest of 300 instants.

`power_ms`: a power cut keeps what `fdatasync` has confirmed, and of what was written since anything or nothing: the
model keeps all bytes confirmed at the instant, and of the rest a random part, 512-byte sectors of which may be zeros.
Every write and sync of a run of the same robot is logged with its time; the largest loss at 300 random instants of it.
Both hold what the machine itself stalled; that is printed beside (the longest gap of a thread that only sleeps 1 ms).
"""

from __future__ import annotations

import math
import os
import random
import signal
import struct
import subprocess
import sys
import tempfile
import textwrap
import threading
import time
from collections.abc import Iterable
from pathlib import Path

from figure import Figure

import fleet.box.boxfile
from fleet.blackbox import BlackBox, Layout, Recorder
from fleet.box.keep import files_of
from fleet.salvage import BlackBoxError, read_recording

SEED = 8
PERIOD = 0.02
RAW = Layout(("raw",), list, None, 60.0)

CHILD = """
    import mmap, os, struct, sys, time
    from pathlib import Path
    sys.path.insert(0, {root!r})
    from fleet.blackbox import BlackBox, Layout, Recorder
    note = mmap.mmap(os.open({note!r}, os.O_RDWR), 16)
    box = BlackBox(Path({folder!r}), "r0", {{}}, {{}}, layout=Layout(("raw",), list, None, 60.0))
    recorder = Recorder([box])
    data = os.urandom(3000)
    number, begun = 0, time.monotonic()
    while True:
        number += 1
        time.sleep(max(0.0, begun + number * {period} - time.monotonic()))
        stamp = time.monotonic_ns()
        box.append((1, number, stamp, data))
        note[:16] = struct.pack("<QQ", number, stamp)
"""


def measure(quick: bool) -> Iterable[Figure]:
    """Both parts."""
    instants = 12 if quick else 300
    draw = random.Random(SEED)
    lost = []
    with tempfile.TemporaryDirectory() as name:
        for number in range(instants):
            lost.append(_killed(Path(name) / str(number), draw))
    print(
        f"killed {instants} times: median {sorted(lost)[instants // 2]:.0f}, worst {max(lost):.0f} ms", file=sys.stderr
    )
    yield Figure("kill_ms", max(lost), "ms")
    lost = _power(instants, 10.0 if quick else 120.0, draw)
    print(
        f"power cut {instants} times: median {sorted(lost)[instants // 2]:.0f}, worst {max(lost):.0f} ms",
        file=sys.stderr,
    )
    yield Figure("power_ms", max(lost), "ms")


def _tell(what: str, lost: list[float]) -> None:
    middle, ninety = sorted(lost)[len(lost) // 2], sorted(lost)[int(0.9 * len(lost))]
    text = f"median {middle:.0f}, nine in ten {ninety:.0f}, worst {max(lost):.0f} ms"
    print(f"{what} {len(lost)} times: {text}", file=sys.stderr)


def _killed(folder: Path, draw: random.Random) -> float:
    """ms between the newest step that was appended and the newest that is read."""
    folder.mkdir()
    note = folder / "note"
    note.write_bytes(bytes(16))
    code = CHILD.format(root=str(Path(__file__).parents[2]), note=str(note), folder=str(folder), period=PERIOD)
    process = subprocess.Popen([sys.executable, "-c", textwrap.dedent(code)])
    try:
        deadline = time.monotonic() + 60.0
        while not struct.unpack("<Q", note.read_bytes()[:8])[0]:
            if process.poll() is not None or time.monotonic() > deadline:
                raise AssertionError("expected a process that records, it does not")
            time.sleep(0.01)
        time.sleep(draw.uniform(0.3, 1.5))
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    newest, stamp = struct.unpack("<QQ", note.read_bytes())
    return _lost(folder, newest, stamp)


def _lost(folder: Path, newest: int, stamp: int, data: bytes = b"") -> float:
    """ms from the newest step of which no older one is missing to a stamp."""
    steps = {
        message.cycle: message.stamp
        for path in files_of(folder, "r0")
        for chunk in _chunks(path)
        for message in chunk
        if not data or message.data == data
    }
    last = next(number for number in range(1, newest + 2) if number not in steps) - 1
    return max(stamp - steps[last], 0) / 1e6 if last else math.inf


def _chunks(path: Path) -> tuple:
    try:
        return read_recording(path).chunks
    except BlackBoxError:
        return ()


class _Disk:
    """Logs what was written and synced when: (time, size) of the one file. Stands for `os` in the writer's module."""

    def __init__(self) -> None:
        self.written: list[tuple[int, int]] = []
        self.synced: list[tuple[int, int]] = []
        """When fdatasync returned, and the size when it was called"""

    def __getattr__(self, name: str) -> object:
        return getattr(os, name)

    def writev(self, handle: int, views: list) -> int:
        written = os.writev(handle, views)
        self.written.append((time.monotonic_ns(), os.fstat(handle).st_size))
        return written

    def fdatasync(self, handle: int) -> None:
        size = os.fstat(handle).st_size
        os.fdatasync(handle)
        self.synced.append((time.monotonic_ns(), size))


def _power(instants: int, seconds: float, draw: random.Random) -> list[float]:
    disk, appended = _Disk(), []
    real = fleet.box.boxfile.os
    fleet.box.boxfile.os = disk  # type: ignore[assignment]  # a disk that keeps a log
    stalls: list[float] = []
    end = threading.Event()
    watch = threading.Thread(target=_watch, args=(stalls, end), daemon=True)
    watch.start()
    try:
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name) / "whole"
            box = BlackBox(folder, "r0", {}, {}, layout=Layout(("raw",), list))
            recorder = Recorder([box])
            data, begun = os.urandom(3000), time.monotonic()
            for number in range(1, round(seconds / PERIOD)):
                time.sleep(max(0.0, begun + number * PERIOD - time.monotonic()))
                stamp = time.monotonic_ns()
                box.append((1, number, stamp, data))
                appended.append(stamp)
            stop = time.monotonic_ns()
            recorder.close()
            whole = (folder / "r0-0.mcap").read_bytes()
            lost = []
            for number in range(instants):
                instant = draw.randrange(appended[0] + 10**9, stop)
                place = Path(name) / str(number)
                place.mkdir()
                (place / "r0-0.mcap").write_bytes(_torn(whole, disk, instant, draw))
                newest = sum(stamp <= instant for stamp in appended)
                lost.append(_lost(place, newest, instant, data))
    finally:
        fleet.box.boxfile.os = real
        end.set()
    print(f"longest stall of the machine itself {max(stalls) * 1e3:.0f} ms", file=sys.stderr)
    return lost


def _torn(whole: bytes, disk: _Disk, instant: int, draw: random.Random) -> bytes:
    """The file after power was cut: what was confirmed, and of what was written since a part with holes."""
    sure = max((size for when, size in disk.synced if when <= instant), default=0)
    written = max((size for when, size in disk.written if when <= instant), default=0)
    rest = bytearray(whole[sure : draw.randint(sure, max(sure, written))])
    for at in range(0, len(rest), 512):
        if draw.random() < 0.3:
            rest[at : at + 512] = bytes(len(rest[at : at + 512]))
    return whole[:sure] + bytes(rest)


def _watch(stalls: list[float], end: threading.Event) -> None:
    """How long a thread that sleeps 1 ms was away at most."""
    stalls.append(0.0)
    before = time.monotonic()
    while not end.is_set():
        time.sleep(0.001)
        now = time.monotonic()
        stalls[0] = max(stalls[0], now - before)
        before = now

"""The black box: every control step of one robot in an MCAP file that survives whatever ends the process.

One file holds three msgpack channels: `inputs` and `outputs` of every control step, and `memory`, the whole memory
that the step began with, for the first step of each chunk. A reader that has one chunk (fleet/salvage.py) can therefore
run the same steps again. The metadata record `muster` states versions, CPU features and hashes; attachments carry what
the steps need besides (the site). Two channels of the box itself, `chain` and `events`, show changes, losses, jumps of
the clock and triggers (fleet/box/chain.py).

What else is recorded step by step (drives: fleet/drivelog.py) has a `Layout` of its own: channels, and how steps become
messages.

The control path only appends a tuple to a deque; frozen records make that safe. A writer thread per process encodes
and writes one chunk per robot every 50 ms, another one syncs (fleet/box/recorder.py).

A write that fails (full disk) is counted, its steps are dropped and counted, the file is cut back to its last whole
chunk, and control goes on; nothing here raises into the control path. What was dropped the log itself says once it can
be written again. On a full disk the oldest file that no event locks makes room first (fleet/box/keep.py). Any other
error is a mistake of ours: it is counted and told, a new file begins, and both threads go on for all boxes.
"""

from __future__ import annotations

import contextlib
import errno
import sys
import threading
import time
from collections import Counter, deque
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fleet.box import chain
from fleet.box.boxfile import BoxFile
from fleet.box.chain import EVENTS, ClockJump, DropOut, Event, Triggered
from fleet.box.counts import Counts, Head, head_of
from fleet.box.keep import JUMP, QUOTA_BYTES, Keeper, Place, files_of
from fleet.box.layout import Message
from fleet.box.recorder import HEADS, Recorder
from fleet.box.recover import last_head
from fleet.box.sealkey import SealKey
from fleet.box.steps import ROBOT, Layout, Step
from sim.robot import SECOND

__all__ = ["HEADS", "ROBOT", "BlackBox", "Counts", "Head", "Layout", "Message", "Recorder", "Step"]

CHUNK_BYTES = 256 * 1024
"""About the most of one chunk: the interpreter's lock is held for as long as a chunk is encoded."""
BATCH = 128
"""Steps of one chunk at most; as above."""
QUEUE_STEPS = 20_000
"""Steps that wait for a stuck disk at most: 20,000 x 3 kB = 60 MB; later ones are dropped and counted."""
JUMP_PAUSE = 5 * SECOND
"""A jump of the site clock begins another file, but not so soon after the last one, ns: a clock may jump to and fro."""
ROTATE_BYTES = 256 * 1024 * 1024
"""A file that reached this size is closed and followed by the next number: more opens slowly in viewers."""


class BlackBox:
    """Owns the files of one robot: `<directory>/<robot>-<n>.mcap`.

    `append` and `trigger` belong to the control path; `flush` and `close` to one writer thread, `sync` to another one
    (`Recorder`).
    """

    def __init__(
        self,
        directory: Path,
        robot: str,
        metadata: Mapping[str, str],
        attachments: Mapping[str, bytes],
        *,
        rotate_bytes: int = ROTATE_BYTES,
        layout: Layout = ROBOT,
        key: SealKey | None = None,
        quota_bytes: int = QUOTA_BYTES,
        queue_steps: int = 0,
        previous: tuple[str, bytes] | None = None,
    ) -> None:
        """Open nothing yet: the first flush makes the first file, after the last one that is there.

        `key`: what its seals are made with (fleet/box/sealkey.py). `queue_steps`: QUEUE_STEPS where it is 0.
        `previous`: name and last head of the file that the first one follows on; the robot's own last one if not given.
        """
        self.robot = robot
        self.counts = Counts()
        self.told: Head | None = None
        """The head as the writer last told it: for the loop, which passes it on to the fleet"""
        self._directory = directory
        self._metadata = dict(metadata)
        self._attachments = dict(attachments)
        self._rotate_bytes = rotate_bytes
        self._layout = layout
        self._key = key
        self._keeper = Keeper(directory, robot, quota_bytes)
        self._queue: deque[Any] = deque()
        self._most = queue_steps
        self._batch = 16
        """Steps of one chunk, by the size of those of the last"""
        self._refused = 0
        """Steps that found the queue full; only the control path counts here"""
        self._told = 0
        """Of those, how many the log tells of"""
        self._events: list[Event] = []
        """For the next chunk"""
        self._dropped: Counter[str] = Counter()
        self._asked: deque[tuple[str, str]] = deque()
        self._before: Any = None  # whatever the layout takes: the last step of the chunk before
        self._previous = previous
        self._ended: Head | None = None
        self._file: BoxFile | None = None
        self._jump_time = -JUMP_PAUSE
        self._dirty = False
        self._latch = threading.Lock()
        """Between the thread that closes files and the one that syncs them"""
        self._complained: set[str] = set()

    def tell(self) -> Head | None:
        """`head`, and `told` from now on."""
        self.told = self.head
        return self.told

    @property
    def head(self) -> Head | None:
        """How far the newest file has come; None before the first."""
        file = self._file
        return self._ended if file is None else head_of(self.robot, file, closed=False)

    def waiting(self) -> int:
        """Steps that the writer has not taken yet."""
        return len(self._queue)

    def append(self, step: Any) -> None:  # whatever the layout takes
        """Hand one step to the writer; costs about a microsecond and never blocks or raises."""
        if len(self._queue) >= (self._most or QUEUE_STEPS):
            self._refused += 1
            self.counts.dropped += 1
            return
        self._queue.append(step)

    def trigger(self, cause: str, detail: str = "") -> None:
        """Lock what was recorded in the last 60 s and what will be in the next 30; costs and raises no more."""
        self._asked.append((cause, detail))

    def restate(self, **metadata: str) -> None:
        """Say something else of later files, whose steps another policy answers; the open one keeps what it says."""
        self._metadata = {**self._metadata, **metadata}

    def flush(self) -> None:
        """Write what waits, in chunks. A failed write is counted; its steps are dropped."""
        waiting = len(self._queue)
        while waiting > 0:
            steps = [self._queue.popleft() for _ in range(min(waiting, self._batch))]
            waiting -= len(steps)
            self._take(steps)
        try:
            if self._file is not None and (self._asked or self._file.due()):
                self._take([])
        except Exception as error:  # as in `_take`
            self.fault(error)

    def sync(self) -> None:
        """Ask the kernel to put what was written on the disk (fdatasync)."""
        with self._latch:
            file = self._file
            if file is None or not self._dirty:
                return
            self._dirty = False
            try:
                handle = file.duplicate()
            except OSError:  # too many files are open
                self.counts.failed_writes += 1
                return
        try:
            file.sync(handle)
        except OSError:
            self.counts.failed_writes += 1

    def close(self) -> None:
        """Write what waits, the index and the footer."""
        self.flush()
        self._finish()
        with contextlib.suppress(OSError):
            self._keeper.complete()

    def fault(self, error: Exception, *, half_done: bool = True) -> None:
        """Count an error that is no disk's and tell it, each kind once; a file that may be half written is left."""
        self.counts.faults += 1
        self._complain("the writer made a mistake and goes on", error)
        if half_done:
            self._drop_file()

    def _take(self, steps: list[Any]) -> None:
        """Encode steps and write them, with what happened besides."""
        try:
            messages = self._layout.messages(steps) if steps else []
            found = self._layout.triggers(self._before, steps) if self._layout.triggers and steps else []
        except Exception as error:  # a step of another kind, a field that cannot be encoded: the rest goes on
            self._complain("a step cannot be recorded", error)
            self._lost(len(steps), "step")
            return
        self._before = steps[-1] if steps else self._before
        if messages:
            self._batch = max(1, min(BATCH, CHUNK_BYTES * len(steps) // (1 + sum(len(each[3]) for each in messages))))
        try:
            done, why = self._write(messages, found), "disk"
        except Exception as error:  # whatever it is, the thread must live: every box of the process hangs on it
            self.fault(error)
            done, why = False, "fault"
        if done:
            self.counts.written += len(steps)
        else:
            self._lost(len(steps), why)

    def _complain(self, what: str, error: Exception) -> None:
        """Say on the console what went wrong, once for each kind of error."""
        kind = f"{what} {type(error).__name__}"
        if kind not in self._complained:
            self._complained.add(kind)
            print(f"black box of {self.robot}: {what} ({error!r})", file=sys.stderr, flush=True)

    def _write(self, messages: list[Message], found: list[Triggered]) -> bool:
        """Write messages as one chunk; whether that succeeded."""
        for attempt in range(2):
            try:
                self._put(messages, found)
                return True
            except OSError as error:
                self.counts.failed_writes += 1
                if self._file is not None and not self._file.usable:
                    self._drop_file()
                full = error.errno in (errno.ENOSPC, errno.EDQUOT)
                if attempt or not full or not self._make_room():
                    self._complain("a write failed, steps are lost until one succeeds", error)
                    return False
        return False

    def _put(self, messages: list[Message], found: list[Triggered]) -> None:
        """Into the file, which is opened or followed by the next where that is time. Raises OSError."""
        now = time.monotonic_ns()
        file = self._file
        jumped = file is not None and bool(messages) and self._jumped(file, messages[0][2])
        if jumped and now - self._jump_time > JUMP_PAUSE:
            self._jump_time = now
            self._finish()
        file = self._file or self._open()
        stamp = messages[0][2] if messages else file.last
        cycle = messages[0][1] if messages else 0
        found = found + [Triggered(*asked, cycle, stamp) for asked in self._drain()]
        refused = self._refused
        if refused > self._told:
            self._dropped["queue"] += refused - self._told
            self._told = refused
        events = [*self._events, *(DropOut(count, why) for why, count in self._dropped.items()), *found]
        own = [(EVENTS, cycle, stamp, chain.encode(event)) for event in events]
        try:
            self.counts.bytes += file.write_chunk([*own, *messages])
        except OSError:
            self._events += found
            raise
        self._events, self._dropped = [], Counter()
        with self._latch:
            self._dirty = True
        for trigger in found:
            self._keeper.trigger(trigger, file.path.name, file.first or 0)
        self._keeper.passed(file.last, file.path.name)
        self.counts.unlocked = self._keeper.unlocked
        span = file.last - (file.first or 0)
        if file.size >= self._rotate_bytes or 0 < self._layout.seconds * SECOND <= span:
            self._finish()

    def _jumped(self, file: BoxFile, stamp: int) -> bool:
        """Whether the site clock jumped to `stamp`; what came before and after it must not stand in one file."""
        if not file.count or (file.last <= stamp <= file.last + JUMP) or not self._layout.seconds:
            return False
        self._events.append(ClockJump(file.last, stamp))
        return True

    def _drain(self) -> list[tuple[str, str]]:
        return [self._asked.popleft() for _ in range(len(self._asked))]

    def _open(self) -> BoxFile:
        path = _next_path(self._directory, self.robot)
        if self._previous is None:  # of the process before this one
            files = files_of(self._directory, self.robot)
            self._previous = (files[-1].name, last_head(files[-1])) if files else ("", b"")
        file = BoxFile(
            path,
            self._metadata,
            self._attachments,
            self._layout.channels,
            key=self._key.spend() if self._key is not None else None,
            previous=self._previous,
        )
        with self._latch:
            self._file = file
        self._events += [*self._keeper.tidy(path.name), self._keeper.kept()]
        self.counts.deleted = self._keeper.deleted
        return file

    def _make_room(self) -> bool:
        """Let the oldest file go that nothing locks; whether there was one."""
        gone = self._keeper.free(self._file.path.name if self._file is not None else "")
        if gone is None:
            return False
        self._events.append(gone)
        self.counts.deleted = self._keeper.deleted
        return True

    def _lost(self, steps: int, why: str) -> None:
        self.counts.dropped += steps
        if steps:
            self._dropped[why] += steps

    def _finish(self) -> None:
        file = self._file
        if file is None:
            return
        with self._latch:
            self._file = None
        try:
            file.finish()
        except OSError:  # the chunks are whole; only the index is missing, and readers do without
            self.counts.failed_writes += 1
            file.abandon()
        self._closed(file)

    def _drop_file(self) -> None:
        file = self._file
        if file is None:
            return
        with self._latch:
            self._file = None
        file.abandon()
        self._closed(file)

    def _closed(self, file: BoxFile) -> None:
        self._previous = (file.path.name, file.head)
        self._ended = head_of(self.robot, file, closed=True)
        self._keeper.closed(Place(file.path, file.first or 0, file.last, file.head))


def _next_path(directory: Path, robot: str) -> Path:
    """The first number after all that are there, so that a restarted robot never overwrites what it recorded before.

    After all, not the first free one: the quota deletes the oldest.
    """
    files = files_of(directory, robot)
    number = int(files[-1].stem.rpartition("-")[2]) + 1 if files else 0
    return directory / f"{robot}-{number}.mcap"

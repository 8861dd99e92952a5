"""The black box: every control step of one robot in an MCAP file that survives whatever ends the process.

One file holds three msgpack channels: `inputs` and `outputs` of every control step, and `memory`, the whole memory
that the step began with, for the first step of each chunk. A reader that has one chunk (fleet/salvage.py) can therefore
run the same steps again. The metadata record `muster` states versions, CPU features and hashes; attachments carry what
the steps need besides (the site).

What else is recorded step by step (drives: fleet/drivelog.py) has a `Layout` of its own: channels, and how steps become
messages.

The control path only appends a tuple to a deque; frozen records make that safe. A writer thread per process encodes
and writes one chunk per robot every CHUNK_SECONDS, then syncs the files (fleet/mcapfile.py). A power cut thus costs at
most the newest CHUNK_SECONDS plus one sync; a killed process at most the newest CHUNK_SECONDS.

A write that fails (full disk) is counted, its steps are dropped and counted, the file is cut back to its last whole
chunk, and control goes on; nothing here raises into the control path.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from fleet.mcapfile import CHANNELS, McapFile

CHUNK_SECONDS = 0.1
"""A chunk is closed this often, s of wall time: half of the 200 ms that may be lost (research goal)."""
QUEUE_STEPS = 20_000
"""Steps that wait for a stuck disk at most: 20,000 x 3 kB = 60 MB; later ones are dropped and counted."""
ROTATE_BYTES = 256 * 1024 * 1024
"""A file that reached this size is closed and followed by the next number: more opens slowly in viewers."""


class Step(msgspec.Struct, frozen=True):
    """One control step as the control path hands it over; the parts are frozen records or mappings."""

    cycle: int
    """Number of the control cycle; a gap shows dropped steps."""
    stamp: int
    """Site clock, ns"""
    inputs: Any  # whatever the control step defines: the box only encodes it
    memory: Any  # as above
    """The memory that the step began with."""
    outputs: Any  # as above


Message = tuple[int, int, int, bytes]
"""Channel (its position from 1 on), cycle, stamp, data."""


@dataclass(frozen=True)
class Layout:
    """What a black box holds."""

    channels: tuple[str, ...]
    messages: Callable[[Sequence[Any]], list[Message]]
    """The messages of a chunk of steps, whatever these are"""


def robot_messages(steps: Sequence[Step]) -> list[Message]:
    """A robot's chunk: inputs and outputs of all steps, and the memory of each that does not follow on the one before.

    That is the first, and any whose cycle is not the next one: steps were passed over, or time began anew.
    """
    encode = _ENCODER.encode
    messages = []
    for before, step in zip((None, *steps), steps, strict=False):
        if before is None or step.cycle != before.cycle + 1:
            messages.append((2, step.cycle, step.stamp, encode(step.memory)))
        messages.append((1, step.cycle, step.stamp, encode(step.inputs)))
        messages.append((3, step.cycle, step.stamp, encode(step.outputs)))
    return messages


_ENCODER = msgspec.msgpack.Encoder()

ROBOT = Layout(CHANNELS, robot_messages)


@dataclass
class Counts:
    """What became of the steps of one black box."""

    written: int = 0
    """Steps in the file."""
    dropped: int = 0
    """Steps lost to a failed write or a full queue."""
    failed_writes: int = 0
    """Writes or syncs that failed."""
    bytes: int = 0
    """Bytes written, all files."""


class BlackBox:
    """Owns the files of one robot: `<directory>/<robot>-<n>.mcap`.

    `append` belongs to the control path; `flush`, `sync` and `close` to one writer thread (`Recorder`).
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
    ) -> None:
        """Open nothing yet: the first flush makes the first file, after the last one that is there."""
        self.robot = robot
        self.counts = Counts()
        self._directory = directory
        self._metadata = dict(metadata)
        self._attachments = dict(attachments)
        self._rotate_bytes = rotate_bytes
        self._layout = layout
        self._queue: deque[Any] = deque()
        self._file: McapFile | None = None
        self._dirty = False

    def append(self, step: Any) -> None:  # whatever the layout takes
        """Hand one step to the writer; costs about a microsecond and never blocks or raises."""
        if len(self._queue) >= QUEUE_STEPS:
            self.counts.dropped += 1
            return
        self._queue.append(step)

    def restate(self, **metadata: str) -> None:
        """Say something else of later files, whose steps another policy answers; the open one keeps what it says."""
        self._metadata = {**self._metadata, **metadata}

    def flush(self) -> None:
        """Write what waits as one chunk. A failed write is counted; its steps are dropped."""
        steps = [self._queue.popleft() for _ in range(len(self._queue))]
        if not steps:
            return
        try:
            if self._file is None:
                path = _next_path(self._directory, self.robot)
                self._file = McapFile(path, self._metadata, self._attachments, self._layout.channels)
            self.counts.bytes += self._file.write_chunk(self._layout.messages(steps))
        except OSError:
            self.counts.failed_writes += 1
            self.counts.dropped += len(steps)
            if self._file is not None and not self._file.usable:
                self._file.abandon()
                self._file = None
            return
        self.counts.written += len(steps)
        self._dirty = True
        if self._file.size >= self._rotate_bytes:
            self._finish()

    def sync(self) -> None:
        """Ask the kernel to put what was written on the disk (fdatasync)."""
        if self._file is None or not self._dirty:
            return
        self._dirty = False
        try:
            self._file.sync()
        except OSError:
            self.counts.failed_writes += 1

    def close(self) -> None:
        """Write what waits, the index and the footer."""
        self.flush()
        self._finish()

    def _finish(self) -> None:
        if self._file is None:
            return
        try:
            self._file.finish()
        except OSError:  # the chunks are whole; only the index is missing, and readers do without
            self.counts.failed_writes += 1
            self._file.abandon()
        self._file = None


class Recorder:
    """The writer thread of one process: flushes and syncs its black boxes, off the control path."""

    def __init__(self, boxes: Sequence[BlackBox], interval: float = CHUNK_SECONDS) -> None:
        self._boxes = list(boxes)
        self._interval = interval
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._work, name="blackbox", daemon=True)
        self._thread.start()

    def close(self, timeout: float = 10.0) -> None:
        """Write everything that waits and finish the files."""
        self._end.set()
        self._thread.join(timeout)

    def _work(self) -> None:
        while not self._end.wait(self._interval):
            for box in self._boxes:
                box.flush()
            for box in self._boxes:
                box.sync()
        for box in self._boxes:
            box.close()


def _next_path(directory: Path, robot: str) -> Path:
    """The first free number, so that a restarted robot never overwrites what it recorded before."""
    number = 0
    while (directory / f"{robot}-{number}.mcap").exists():
        number += 1
    return directory / f"{robot}-{number}.mcap"

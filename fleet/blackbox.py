"""The black box: every control step of one robot in an MCAP file that survives whatever ends the process.

One file holds three msgpack channels: `inputs` and `outputs` of every control step, and `memory`, the whole memory
that the step began with, for the first step of each chunk. A reader that has one chunk can therefore run the same
steps again. The metadata record `muster` states versions, CPU features and hashes; attachments carry what the steps
need besides (the site).

The control path only appends a tuple to a deque; frozen records make that safe. A writer thread per process encodes
and writes one chunk per robot every CHUNK_SECONDS, then syncs the files. A power cut thus costs at most the newest
CHUNK_SECONDS plus one sync; a killed process at most the newest CHUNK_SECONDS. The writer of the mcap package closes
chunks by size only (1 MiB is minutes at 10 Hz) and never syncs, hence this one; format: https://mcap.dev/spec.

Chunks are not compressed: noisy ranges hardly shrink, and a chunk that was cut in the middle still yields its whole
records. A write that fails (full disk) is counted, its steps are dropped and counted, the file is cut back to its
last whole chunk, and control goes on; nothing here raises into the control path.
"""

from __future__ import annotations

import contextlib
import os
import struct
import threading
import time
import zlib
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from sim.errors import MusterError

MAGIC = b"\x89MCAP0\r\n"
CHUNK_SECONDS = 0.1
"""A chunk is closed this often, s of wall time: half of the 200 ms that may be lost (research goal)."""
QUEUE_STEPS = 20_000
"""Steps that wait for a stuck disk at most: 20,000 x 3 kB = 60 MB; later ones are dropped and counted."""
ROTATE_BYTES = 256 * 1024 * 1024
"""A file that reached this size is closed and followed by the next number: more opens slowly in viewers."""
CHANNELS = ("inputs", "memory", "outputs")
"""Channel id = position + 1."""

HEADER, FOOTER, SCHEMA, CHANNEL, MESSAGE, CHUNK, MESSAGE_INDEX, CHUNK_INDEX, ATTACHMENT = range(1, 10)
STATISTICS, METADATA, SUMMARY_OFFSET, DATA_END = 11, 12, 14, 15


class BlackBoxError(MusterError):
    """A file is no black box, or too little of it is left to use."""


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


# writing ------------------------------------------------------------------------------------------------------


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
    ) -> None:
        """Open nothing yet: the first flush makes the first file, after the last one that is there."""
        self.robot = robot
        self.counts = Counts()
        self._directory = directory
        self._metadata = dict(metadata)
        self._attachments = dict(attachments)
        self._rotate_bytes = rotate_bytes
        self._queue: deque[Step] = deque()
        self._encoder = msgspec.msgpack.Encoder()
        self._file: _File | None = None
        self._dirty = False

    def append(self, step: Step) -> None:
        """Hand one step to the writer; costs about a microsecond and never blocks or raises."""
        if len(self._queue) >= QUEUE_STEPS:
            self.counts.dropped += 1
            return
        self._queue.append(step)

    def flush(self) -> None:
        """Write what waits as one chunk. A failed write is counted; its steps are dropped."""
        steps = [self._queue.popleft() for _ in range(len(self._queue))]
        if not steps:
            return
        try:
            if self._file is None:
                self._file = _File(_next_path(self._directory, self.robot), self._metadata, self._attachments)
            self.counts.bytes += self._file.write_chunk(self._encode(steps))
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

    def _encode(self, steps: Sequence[Step]) -> list[tuple[int, int, int, bytes]]:
        """(channel, cycle, stamp, data) of the chunk's messages: memory of the first step, then all steps."""
        encode = self._encoder.encode
        first = steps[0]
        messages = [(2, first.cycle, first.stamp, encode(first.memory))]
        for step in steps:
            messages.append((1, step.cycle, step.stamp, encode(step.inputs)))
            messages.append((3, step.cycle, step.stamp, encode(step.outputs)))
        return messages


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


@dataclass(frozen=True)
class _ChunkNote:
    """Where a chunk lies, for the index at the end of the file."""

    first: int
    last: int
    start: int
    length: int
    size: int
    index: dict[int, int]
    index_length: int


class _File:
    """One MCAP file that is being written. `size` is the end of the last whole chunk."""

    def __init__(self, path: Path, metadata: Mapping[str, str], attachments: Mapping[str, bytes]) -> None:
        self.usable = True
        self.size = 0
        self._notes: list[_ChunkNote] = []
        self._counts = dict.fromkeys(range(1, len(CHANNELS) + 1), 0)
        self._attachments = len(attachments)
        path.parent.mkdir(parents=True, exist_ok=True)
        self._handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
        self._path = path
        head = [MAGIC, _record(HEADER, _text("muster"), _text("muster 1"))]
        head.append(_record(METADATA, _text("muster"), _text_map(metadata)))
        head.extend(_attachment(name, data) for name, data in attachments.items())
        head.append(_definitions())
        try:
            self._put(b"".join(head))
            _sync_directory(path.parent)  # else a power cut may take the name, and with it what fdatasync saves later
        except OSError:
            self.usable = False
            os.close(self._handle)
            with contextlib.suppress(OSError):
                path.unlink()
            raise

    def write_chunk(self, messages: Sequence[tuple[int, int, int, bytes]]) -> int:
        """Append one chunk with its message indexes; returns the bytes written."""
        body = bytearray()
        offsets: dict[int, list[tuple[int, int]]] = {}
        for channel, cycle, stamp, data in messages:
            offsets.setdefault(channel, []).append((stamp, len(body)))
            body += struct.pack("<BQHIQQ", MESSAGE, 22 + len(data), channel, cycle & 0xFFFFFFFF, stamp, stamp)
            body += data
        stamps = [stamp for _, _, stamp, _ in messages]
        first, last = min(stamps), max(stamps)
        chunk = _record(
            CHUNK,
            struct.pack("<QQQI", first, last, len(body), zlib.crc32(body)),
            _text(""),
            struct.pack("<Q", len(body)),
            bytes(body),
        )
        indexes, at = [], {}
        length = 0
        for channel, entries in offsets.items():
            at[channel] = self.size + len(chunk) + length
            table = b"".join(struct.pack("<QQ", *entry) for entry in entries)
            indexes.append(_record(MESSAGE_INDEX, struct.pack("<HI", channel, len(table)), table))
            length += len(indexes[-1])
        note = _ChunkNote(first, last, self.size, len(chunk), len(body), at, length)
        written = self._put(chunk + b"".join(indexes))
        self._notes.append(note)
        for channel, entries in offsets.items():
            self._counts[channel] += len(entries)
        return written

    def sync(self) -> None:
        os.fdatasync(self._handle)

    def finish(self) -> None:
        """Write data end, summary and footer, and close."""
        end = _record(DATA_END, struct.pack("<I", 0))  # 0: each chunk has its own checksum
        summary_start = self.size + len(end)
        definitions = _definitions()
        indexes = b"".join(_chunk_index(note) for note in self._notes)
        first = min((note.first for note in self._notes), default=0)
        last = max((note.last for note in self._notes), default=0)
        counts = b"".join(struct.pack("<HQ", *item) for item in self._counts.items())
        total = sum(self._counts.values())
        statistics = _record(
            STATISTICS,
            struct.pack(
                "<QHIIIIQQ", total, len(CHANNELS), len(CHANNELS), self._attachments, 1, len(self._notes), first, last
            ),
            struct.pack("<I", len(counts)),
            counts,
        )
        summary = definitions + indexes + statistics
        footer = struct.pack("<BQQQ", FOOTER, 20, summary_start, 0)
        checksum = zlib.crc32(footer, zlib.crc32(summary))
        self._put(end + summary + footer + struct.pack("<I", checksum) + MAGIC)
        os.fsync(self._handle)
        os.close(self._handle)

    def abandon(self) -> None:
        """Close without a footer."""
        with contextlib.suppress(OSError):
            os.close(self._handle)

    def _put(self, data: bytes) -> int:
        """Write all of it, or cut the file back to where it was and raise."""
        view = memoryview(data)
        try:
            while view:
                view = view[os.write(self._handle, view) :]
        except OSError:
            try:
                os.ftruncate(self._handle, self.size)
                os.lseek(self._handle, self.size, os.SEEK_SET)
            except OSError:
                self.usable = False
            raise
        self.size += len(data)
        return len(data)


def _sync_directory(directory: Path) -> None:
    handle = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _next_path(directory: Path, robot: str) -> Path:
    """The first free number, so that a restarted robot never overwrites what it recorded before."""
    number = 0
    while (directory / f"{robot}-{number}.mcap").exists():
        number += 1
    return directory / f"{robot}-{number}.mcap"


def _text(value: str) -> bytes:
    data = value.encode()
    return struct.pack("<I", len(data)) + data


def _text_map(values: Mapping[str, str]) -> bytes:
    body = b"".join(_text(key) + _text(value) for key, value in values.items())
    return struct.pack("<I", len(body)) + body


def _record(opcode: int, *parts: bytes) -> bytes:
    body = b"".join(parts)
    return struct.pack("<BQ", opcode, len(body)) + body


def _attachment(name: str, data: bytes) -> bytes:
    now = time.time_ns()  # wall time appears only in log headers
    body = struct.pack("<QQ", 0, now) + _text(name) + _text("application/msgpack")
    body += struct.pack("<Q", len(data)) + data
    return _record(ATTACHMENT, body, struct.pack("<I", zlib.crc32(body)))


def _definitions() -> bytes:
    """Schemas and channels; msgpack is self-describing, so the schemas carry names alone."""
    out = []
    for number, name in enumerate(CHANNELS, 1):
        out.append(_record(SCHEMA, struct.pack("<H", number), _text(f"muster/{name}"), _text(""), struct.pack("<I", 0)))
    for number, name in enumerate(CHANNELS, 1):
        out.append(_record(CHANNEL, struct.pack("<HH", number, number), _text(name), _text("msgpack"), _text_map({})))
    return b"".join(out)


def _chunk_index(note: _ChunkNote) -> bytes:
    table = b"".join(struct.pack("<HQ", *item) for item in note.index.items())
    return _record(
        CHUNK_INDEX,
        struct.pack("<QQQQ", note.first, note.last, note.start, note.length),
        struct.pack("<I", len(table)),
        table,
        struct.pack("<Q", note.index_length),
        _text(""),
        struct.pack("<QQ", note.size, note.size),
    )


# reading ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Message:
    """One recorded message."""

    channel: str
    cycle: int
    stamp: int
    data: bytes


@dataclass(frozen=True)
class Recording:
    """What is left of one black box file."""

    path: Path
    metadata: dict[str, str]
    attachments: dict[str, bytes]
    chunks: tuple[tuple[Message, ...], ...]
    """Messages of each chunk, in file order; the last chunk may be cut short."""
    closed: bool
    """The file ends with its footer."""
    damage: str
    """What is wrong with the file, empty when nothing is; a missing footer alone is no damage."""
    unsure: bool = False
    """The last of `chunks` was cut: no checksum covers what is left of it."""


def read_recording(path: Path) -> Recording:
    """Read a black box, whole or cut at any byte: every record that is whole is returned.

    Raises BlackBoxError when the file is missing, is no MCAP file, or is cut before its metadata record.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise BlackBoxError(
            f"expected a black box file, {path}: {error.strerror}; name an .mcap file or a run"
        ) from error
    if data[: len(MAGIC)] != MAGIC:
        raise BlackBoxError(
            f"expected an MCAP file, {path} begins with {data[:8]!r}; name a file of <run>/blackbox/*.mcap"
        )
    metadata: dict[str, str] | None = None
    attachments: dict[str, bytes] = {}
    names: dict[int, str] = {}
    chunks: list[tuple[Message, ...]] = []
    closed, damage, unsure = False, "", False
    try:
        for opcode, start, end, whole in _records(data, len(MAGIC), len(data)):
            if opcode == CHUNK:
                messages, fault = _read_chunk(data, start, min(end, len(data)), whole, names)
                chunks.append(messages)
                unsure = bool(messages) and not whole
                damage = damage or fault
            elif not whole:
                break
            elif opcode == METADATA:
                name, at = _read_text(data, start)
                if name == "muster":
                    metadata = _read_text_map(data, at)
            elif opcode == ATTACHMENT:
                name, at = _read_text(data, start + 16)
                _, at = _read_text(data, at)
                (size,) = struct.unpack_from("<Q", data, at)
                if zlib.crc32(data[start : end - 4]) != struct.unpack_from("<I", data, end - 4)[0]:
                    damage = damage or f"attachment {name!r} has a wrong checksum"
                attachments[name] = data[at + 8 : at + 8 + size]
            elif opcode == CHANNEL:
                (number,) = struct.unpack_from("<H", data, start)
                names[number] = _read_text(data, start + 4)[0]
            elif opcode == FOOTER:
                closed = data[end:] == MAGIC
                break
    except (struct.error, UnicodeDecodeError, IndexError, ValueError) as error:
        damage = damage or f"a record cannot be read ({error})"
    if metadata is None:
        raise BlackBoxError(f"expected a muster black box, {path} has no readable header; it was cut or is another log")
    return Recording(path, metadata, attachments, tuple(chunk for chunk in chunks if chunk), closed, damage, unsure)


def _records(data: bytes, at: int, end: int) -> Iterator[tuple[int, int, int, bool]]:
    """(opcode, content start, content end, whole) of the records in data[at:end]; the last one may be cut."""
    while at + 9 <= end:
        opcode, length = struct.unpack_from("<BQ", data, at)
        start = at + 9
        at = start + length
        yield opcode, start, at, at <= end
        if at > end:
            return


def _read_chunk(
    data: bytes, start: int, end: int, whole: bool, names: Mapping[int, str]
) -> tuple[tuple[Message, ...], str]:
    """The whole messages of a chunk and what is wrong with it."""
    if start + 32 > end:
        return (), ""
    _, _, size, checksum = struct.unpack_from("<QQQI", data, start)
    compression, at = _read_text(data, start + 28)
    if compression:
        return (), f"a chunk is compressed with {compression!r}; muster writes none"
    at += 8
    if whole and zlib.crc32(data[at : at + size]) != checksum:
        return (), f"the chunk at byte {start - 9} has a wrong checksum and was left out"
    messages = []
    for opcode, first, last, complete in _records(data, at, min(at + size, end)):
        if opcode == MESSAGE and complete:
            channel, cycle, stamp, _ = struct.unpack_from("<HIQQ", data, first)
            messages.append(Message(names.get(channel, ""), cycle, stamp, data[first + 22 : last]))
    return tuple(messages), ""


def _read_text(data: bytes, at: int) -> tuple[str, int]:
    (size,) = struct.unpack_from("<I", data, at)
    return data[at + 4 : at + 4 + size].decode(), at + 4 + size


def _read_text_map(data: bytes, at: int) -> dict[str, str]:
    (size,) = struct.unpack_from("<I", data, at)
    at += 4
    end = at + size
    values: dict[str, str] = {}
    while at < end:
        key, at = _read_text(data, at)
        values[key], at = _read_text(data, at)
    return values

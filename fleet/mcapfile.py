"""One MCAP file that is being written, chunk by chunk, so that it can be read whatever ends it.

Format: https://mcap.dev/spec. The writer of the mcap package closes chunks by size only (1 MiB is minutes at 10 Hz) and
never syncs, hence this one. Chunks are not compressed: noisy ranges hardly shrink, and a chunk that was cut in the
middle still yields its whole records. A write that fails cuts the file back to its last whole chunk and raises.
"""

from __future__ import annotations

import contextlib
import os
import struct
import time
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

MAGIC = b"\x89MCAP0\r\n"
CHANNELS = ("inputs", "memory", "outputs")
"""A robot's; channel id = position + 1."""

HEADER, FOOTER, SCHEMA, CHANNEL, MESSAGE, CHUNK, MESSAGE_INDEX, CHUNK_INDEX, ATTACHMENT = range(1, 10)
STATISTICS, METADATA, DATA_END = 11, 12, 15


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


class McapFile:
    """Owns the file. `size` is the end of the last whole chunk; `usable` is false once not even that could be kept."""

    def __init__(
        self,
        path: Path,
        metadata: Mapping[str, str],
        attachments: Mapping[str, bytes],
        channels: Sequence[str] = CHANNELS,
    ) -> None:
        """Make the file with its header; raises OSError where that fails, and leaves none then."""
        self.usable = True
        self.size = 0
        self._notes: list[_ChunkNote] = []
        self._channels = tuple(channels)
        self._counts = dict.fromkeys(range(1, len(channels) + 1), 0)
        self._attachments = len(attachments)
        path.parent.mkdir(parents=True, exist_ok=True)
        self._handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
        self._path = path
        head = [MAGIC, _record(HEADER, _text("muster"), _text("muster 1"))]
        head.append(_record(METADATA, _text("muster"), _text_map(metadata)))
        head.extend(_attachment(name, data) for name, data in attachments.items())
        head.append(_definitions(self._channels))
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
        """Ask the kernel to put what was written on the disk."""
        os.fdatasync(self._handle)

    def finish(self) -> None:
        """Write data end, summary and footer, and close."""
        end = _record(DATA_END, struct.pack("<I", 0))  # 0: each chunk has its own checksum
        summary_start = self.size + len(end)
        definitions = _definitions(self._channels)
        indexes = b"".join(_chunk_index(note) for note in self._notes)
        first = min((note.first for note in self._notes), default=0)
        last = max((note.last for note in self._notes), default=0)
        counts = b"".join(struct.pack("<HQ", *item) for item in self._counts.items())
        total = sum(self._counts.values())
        statistics = _record(
            STATISTICS,
            struct.pack(
                "<QHIIIIQQ",
                total,
                len(self._channels),
                len(self._channels),
                self._attachments,
                1,
                len(self._notes),
                first,
                last,
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


def _definitions(channels: Sequence[str]) -> bytes:
    """Schemas and channels; msgpack is self-describing, so the schemas carry names alone."""
    out = []
    for number, name in enumerate(channels, 1):
        out.append(_record(SCHEMA, struct.pack("<H", number), _text(f"muster/{name}"), _text(""), struct.pack("<I", 0)))
    for number, name in enumerate(channels, 1):
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

"""MCAP in all its variants: with chunks or without, each index and each part of the summary by itself.

The black box needs one of these (fleet/box/boxfile.py); exports and the format's conformance suite need the others.
Nothing is compressed. Chunks hold schemas, channels and messages; everything else stands beside them.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import BinaryIO

from fleet.box import mcaprecords as mcap

PAD = b"\x01\xff\xff"
"""What a padded record has after its content: readers must pass over it."""
FIXED = {mcap.MESSAGE, mcap.CHUNK, mcap.DATA_END, mcap.FOOTER}
"""Records that end where they end: nothing may follow their content. Nor is anything in a chunk padded."""


@dataclass(frozen=True)
class Options:
    """Which parts a file has; the names of the conformance suite's features beside them."""

    chunks: bool = True
    """ch"""
    message_index: bool = True
    """mx"""
    chunk_index: bool = True
    """chx"""
    statistics: bool = True
    """st"""
    repeat_schemas: bool = True
    """rsh"""
    repeat_channels: bool = True
    """rch"""
    attachment_index: bool = True
    """ax"""
    metadata_index: bool = True
    """mdx"""
    summary_offsets: bool = True
    """sum"""
    pad: bool = False
    """pad"""
    chunk_bytes: int = 1 << 20
    """A chunk is closed when it has grown to this."""


class McapWriter:
    """Owns what is written: bytes into a stream, from the header on; `finish` ends the file, not the stream."""

    def __init__(self, stream: BinaryIO, options: Options, profile: str = "", library: str = "") -> None:
        """Write magic and header. Raises OSError, as everything here."""
        self._stream, self._options = stream, options
        self._size, self._crc = 0, 0
        self._schemas: dict[int, bytes] = {}
        self._channels: dict[int, bytes] = {}
        self._counts: dict[int, int] = {}
        self._chunk = bytearray()
        self._index: dict[int, list[int]] = {}
        self._span: tuple[int, int] | None = None
        self._all: tuple[int, int] | None = None
        self._chunk_indexes: list[bytes] = []
        self._attachment_indexes: list[bytes] = []
        self._metadata_indexes: list[bytes] = []
        self._attachments = self._metadata = self._chunks = 0
        self._put(mcap.MAGIC)
        self._put(self._record(mcap.HEADER, mcap.header(profile, library)))

    def schema(self, number: int, name: str, encoding: str, data: bytes) -> None:
        """Define a schema."""
        self._schemas[number] = mcap.schema(number, name, encoding, data)
        self._in_chunk(mcap.SCHEMA, self._schemas[number])

    def channel(self, number: int, schema: int, topic: str, encoding: str, metadata: Mapping[str, str]) -> None:
        """Define a channel; its schema, if any (not 0), before it."""
        self._channels[number] = mcap.channel(number, schema, topic, encoding, metadata)
        self._index.setdefault(number, [])
        self._in_chunk(mcap.CHANNEL, self._channels[number])

    def message(self, channel: int, sequence: int, log_time: int, publish_time: int, data: bytes) -> None:
        """Write a message of a channel that is defined."""
        if channel not in self._channels:
            raise ValueError(f"expected a channel that is defined, got {channel}; define it before its messages")
        self._index.setdefault(channel, []).extend((log_time, len(self._chunk)))
        self._counts[channel] = self._counts.get(channel, 0) + 1
        self._span, self._all = _wider(self._span, log_time), _wider(self._all, log_time)
        self._in_chunk(mcap.MESSAGE, mcap.message(channel, sequence, log_time, publish_time, data))
        if self._options.chunks and len(self._chunk) >= self._options.chunk_bytes:
            self.close_chunk()

    def attachment(self, log_time: int, create_time: int, name: str, kind: str, data: bytes) -> None:
        """Attach a file."""
        self.close_chunk()
        whole = self._record(mcap.ATTACHMENT, mcap.attachment(log_time, create_time, name, kind, data))
        numbers = (self._size, len(whole), log_time, create_time, len(data))
        self._attachment_indexes.append(mcap.attachment_index(*numbers, name, kind))
        self._attachments += 1
        self._put(whole)

    def metadata(self, name: str, values: Mapping[str, str]) -> None:
        """Write a metadata record."""
        self.close_chunk()
        whole = self._record(mcap.METADATA, mcap.metadata(name, values))
        self._metadata_indexes.append(mcap.metadata_index(self._size, len(whole), name))
        self._metadata += 1
        self._put(whole)

    def finish(self) -> None:
        """Close the last chunk; write data end, summary and footer."""
        self.close_chunk()
        self._put(self._record(mcap.DATA_END, mcap.data_end(self._crc)))
        options, start = self._options, self._size
        groups: list[tuple[int, list[bytes]]] = [
            (mcap.SCHEMA, list(self._schemas.values()) if options.repeat_schemas else []),
            (mcap.CHANNEL, list(self._channels.values()) if options.repeat_channels else []),
            (mcap.STATISTICS, [self._statistics()] if options.statistics else []),
            (mcap.METADATA_INDEX, self._metadata_indexes if options.metadata_index else []),
            (mcap.ATTACHMENT_INDEX, self._attachment_indexes if options.attachment_index else []),
            (mcap.CHUNK_INDEX, self._chunk_indexes if options.chunk_index else []),
        ]
        summary, offsets = b"", b""
        for opcode, contents in groups:
            group = b"".join(self._record(opcode, content) for content in contents)
            if group and options.summary_offsets:
                offset = mcap.summary_offset(opcode, start + len(summary), len(group))
                offsets += self._record(mcap.SUMMARY_OFFSET, offset)
            summary += group
        offsets_start = start + len(summary) if offsets else 0
        self._put(mcap.ending(summary + offsets, start if summary else 0, offsets_start))

    def _statistics(self) -> bytes:
        first, last = self._all or (0, 0)
        return mcap.statistics(
            self._counts,
            schemas=len(self._schemas),
            channels=len(self._channels),
            attachments=self._attachments,
            metadata=self._metadata,
            chunks=self._chunks,
            first=first,
            last=last,
        )

    def _in_chunk(self, opcode: int, content: bytes) -> None:
        if self._options.chunks:
            self._chunk += mcap.record(opcode, content)
        else:
            self._put(self._record(opcode, content))

    def close_chunk(self) -> None:
        """Write the open chunk, if anything is in it; what comes next begins another one."""
        if not self._chunk:
            return
        first, last = self._span or (0, 0)
        content = mcap.chunk(first, last, bytes(self._chunk), zlib.crc32(self._chunk))
        whole, start, size = self._record(mcap.CHUNK, content), self._size, len(self._chunk)
        self._put(whole)
        offsets, begun = {}, self._size
        for number, entries in self._index.items():
            if self._options.message_index:
                offsets[number] = self._size
                self._put(self._record(mcap.MESSAGE_INDEX, mcap.message_index(number, entries)))
        lengths = (len(whole), offsets, self._size - begun, size)
        self._chunk_indexes.append(mcap.chunk_index(first, last, start, *lengths))
        self._chunks += 1
        self._chunk, self._index, self._span = bytearray(), {}, None

    def _record(self, opcode: int, content: bytes) -> bytes:
        padded = self._options.pad and opcode not in FIXED
        return mcap.record(opcode, content, PAD) if padded else mcap.record(opcode, content)

    def _put(self, data: bytes) -> None:
        self._stream.write(data)
        self._size += len(data)
        self._crc = zlib.crc32(data, self._crc)


def _wider(span: tuple[int, int] | None, stamp: int) -> tuple[int, int]:
    return (stamp, stamp) if span is None else (min(span[0], stamp), max(span[1], stamp))

"""The records of MCAP as bytes, one function each: https://mcap.dev/spec. Little-endian; stamps are ns.

Everything that writes MCAP here is made of these: the black box (fleet/box/boxfile.py) and the general writer
(fleet/box/mcapwriter.py).
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Mapping, Sequence

MAGIC = b"\x89MCAP0\r\n"

HEADER, FOOTER, SCHEMA, CHANNEL, MESSAGE, CHUNK, MESSAGE_INDEX, CHUNK_INDEX, ATTACHMENT = range(1, 10)
ATTACHMENT_INDEX, STATISTICS, METADATA, METADATA_INDEX, SUMMARY_OFFSET, DATA_END = range(10, 16)

PREFIX = 9
"""Bytes of opcode and length before the content of a record."""
MESSAGE_PREFIX = 31
"""Bytes of a message record before its data."""
CHUNK_PREFIX = 49
"""Bytes of an uncompressed chunk record before its records."""

pack_message = struct.Struct("<BQHIQQ").pack
"""(MESSAGE, 22 + len(data), channel, sequence, log time, publish time): a message record up to its data."""


def record(opcode: int, *parts: bytes) -> bytes:
    """Opcode, length, content."""
    body = b"".join(parts)
    return struct.pack("<BQ", opcode, len(body)) + body


def text(value: str) -> bytes:
    """A string with its length."""
    data = value.encode()
    return struct.pack("<I", len(data)) + data


def text_map(values: Mapping[str, str]) -> bytes:
    """A map of strings with its length in bytes."""
    return sized(b"".join(text(key) + text(value) for key, value in values.items()))


def sized(data: bytes) -> bytes:
    """Bytes with their length, uint32."""
    return struct.pack("<I", len(data)) + data


def header(profile: str, library: str) -> bytes:
    """The content of a Header."""
    return text(profile) + text(library)


def schema(number: int, name: str, encoding: str, data: bytes) -> bytes:
    """The content of a Schema."""
    return struct.pack("<H", number) + text(name) + text(encoding) + sized(data)


def channel(number: int, schema_number: int, topic: str, encoding: str, metadata: Mapping[str, str]) -> bytes:
    """The content of a Channel."""
    return struct.pack("<HH", number, schema_number) + text(topic) + text(encoding) + text_map(metadata)


def message(number: int, sequence: int, log_time: int, publish_time: int, data: bytes) -> bytes:
    """The content of a Message."""
    return struct.pack("<HIQQ", number, sequence, log_time, publish_time) + data


def chunk(first: int, last: int, records: bytes, checksum: int) -> bytes:
    """The content of a Chunk that is not compressed."""
    head = struct.pack("<QQQI", first, last, len(records), checksum)
    return head + text("") + struct.pack("<Q", len(records)) + records


def message_index(number: int, entries: Sequence[int]) -> bytes:
    """The content of a MessageIndex; `entries`: stamp, offset in the chunk, stamp, offset ..."""
    return struct.pack("<H", number) + sized(struct.pack(f"<{len(entries)}Q", *entries))


def chunk_index(
    first: int, last: int, start: int, length: int, offsets: Mapping[int, int], index_length: int, size: int
) -> bytes:
    """The content of a ChunkIndex; `offsets`: where each channel's MessageIndex lies in the file."""
    table = b"".join(struct.pack("<HQ", *item) for item in offsets.items())
    head = struct.pack("<QQQQ", first, last, start, length) + sized(table)
    return head + struct.pack("<Q", index_length) + text("") + struct.pack("<QQ", size, size)


def attachment(log_time: int, create_time: int, name: str, kind: str, data: bytes) -> bytes:
    """The content of an Attachment."""
    body = struct.pack("<QQ", log_time, create_time) + text(name) + text(kind) + struct.pack("<Q", len(data)) + data
    return body + struct.pack("<I", zlib.crc32(body))


def attachment_index(
    start: int, length: int, log_time: int, create_time: int, size: int, name: str, kind: str
) -> bytes:
    """The content of an AttachmentIndex."""
    return struct.pack("<QQQQQ", start, length, log_time, create_time, size) + text(name) + text(kind)


def statistics(
    messages: Mapping[int, int],
    *,
    schemas: int,
    channels: int,
    attachments: int,
    metadata: int,
    chunks: int,
    first: int,
    last: int,
) -> bytes:
    """The content of Statistics; `messages`: how many each channel has."""
    counts = b"".join(struct.pack("<HQ", *item) for item in messages.items())
    total = sum(messages.values())
    numbers = (total, schemas, channels, attachments, metadata, chunks, first, last)
    return struct.pack("<QHIIIIQQ", *numbers) + sized(counts)


def metadata(name: str, values: Mapping[str, str]) -> bytes:
    """The content of Metadata."""
    return text(name) + text_map(values)


def metadata_index(start: int, length: int, name: str) -> bytes:
    """The content of a MetadataIndex."""
    return struct.pack("<QQ", start, length) + text(name)


def summary_offset(opcode: int, start: int, length: int) -> bytes:
    """The content of a SummaryOffset."""
    return struct.pack("<BQQ", opcode, start, length)


def data_end(checksum: int) -> bytes:
    """The content of a DataEnd; 0: no checksum."""
    return struct.pack("<I", checksum)


def ending(summary: bytes, start: int, offsets_start: int) -> bytes:
    """Summary section, Footer and magic, where the summary begins at byte `start` (0: there is none)."""
    footer = struct.pack("<BQQQ", FOOTER, 20, start, offsets_start)
    checksum = zlib.crc32(footer, zlib.crc32(summary))
    return summary + footer + struct.pack("<I", checksum) + MAGIC

"""One chunk as bytes: the same messages always give the same bytes, which is how `verify` looks at every byte.

    Chunk record [ Link, messages ..., Table ]   MessageIndex records of its channels

`encode_body` is the hot path: about 1 us a message of 1 kB, most of it the CRC; what is left (`tie`: SHA-256, which
frees the interpreter lock) is done once a chunk.
"""

from __future__ import annotations

import hashlib
import struct
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate

from fleet.box import chain
from fleet.box import mcaprecords as mcap
from fleet.box.chain import CHAIN, OWN, TABLE_SYNC, Link, Table
from fleet.box.mcaprecords import MESSAGE, pack_message

Message = tuple[int, int, int, bytes]
"""Channel (its position in the layout from 1 on, or one of the box's own), cycle, stamp, data."""

LATEST = 2**64 - 1
"""What MCAP can hold of a stamp, ns."""


@dataclass(frozen=True)
class Body:
    """A chunk's records up to its table."""

    link: Link
    records: bytes
    lengths: tuple[int, ...]
    digests: tuple[int, ...]
    index: dict[int, list[int]]
    """By channel: stamp, offset, stamp, offset ..."""
    first: int
    last: int
    """Smallest and largest stamp, ns"""
    newest: int
    """Stamp of the layout's last message; the link's where there is none"""

    @property
    def stamp(self) -> int:
        """Of link and table."""
        return self.index[CHAIN][0]

    @property
    def crc(self) -> int:
        """Of all records."""
        return self.digests[-1]


@dataclass(frozen=True)
class Tied:
    """A chunk that is ready to be written."""

    prefix: bytes
    """Of the chunk record"""
    table: bytes
    """The table's record"""
    indexes: bytes
    offsets: dict[int, int]
    """Of each channel's index, from the chunk's end"""
    head: bytes
    """head_{k+1}"""

    def parts(self, body: Body) -> tuple[bytes, bytes, bytes, bytes]:
        """What is written, in order."""
        return self.prefix, body.records, self.table, self.indexes

    def chunk_length(self, body: Body) -> int:
        """Bytes of the chunk record."""
        return len(self.prefix) + len(body.records) + len(self.table)


def encode_body(link: Link, messages: Sequence[Message], stamp: int) -> Body:
    """Link and messages; `stamp`: of the link, where there is no message before which it could stand."""
    try:
        return _encode(link, messages, stamp)
    except struct.error:  # a stamp that MCAP cannot hold
        return _encode(link, [(one, two, clamped(when), data) for one, two, when, data in messages], clamped(stamp))


def _encode(link: Link, messages: Sequence[Message], stamp: int) -> Body:
    stamps = [message[2] for message in messages]
    theirs = [when for message, when in zip(messages, stamps, strict=True) if message[0] < CHAIN] or [stamp]
    stamp = theirs[0]
    start = chain.encode(link)
    head = pack_message(MESSAGE, 22 + len(start), CHAIN, link.number & 0xFFFFFFFF, stamp, stamp)
    crc32, pack = zlib.crc32, pack_message
    running = crc32(start, crc32(head))
    parts, lengths, digests = [head, start], [len(head) + len(start)], [running]
    add, length, digest = parts.append, lengths.append, digests.append
    for number, cycle, when, data in messages:
        size = 22 + len(data)
        head = pack(MESSAGE, size, number, cycle & 0xFFFFFFFF, when, when)
        running = crc32(data, crc32(head, running))
        add(head)
        add(data)
        length(9 + size)
        digest(running)
    index: dict[int, list[int]] = {CHAIN: [stamp, 0]}
    for message, when, at in zip(messages, stamps, accumulate(lengths), strict=False):
        if (entries := index.get(message[0])) is None:
            entries = index[message[0]] = []
        entries += (when, at)
    first, last = min(stamps, default=stamp), max(stamps, default=stamp)
    return Body(link, b"".join(parts), tuple(lengths), tuple(digests), index, first, last, theirs[-1])


def clamped(stamp: int) -> int:
    """What MCAP can hold of a stamp: a clock may say anything, MCAP's is unsigned."""
    return max(0, min(stamp, LATEST))


def tie(body: Body, head: bytes) -> Tied:
    """Table, chunk header and indexes after chain head `head`."""
    stamp = body.stamp
    digest = hashlib.sha256(body.records).digest()
    count = len(body.lengths)
    table = chain.encode(
        Table(
            TABLE_SYNC,
            body.link.number,
            struct.pack(f"<{count}I", *body.lengths),
            struct.pack(f"<{count}I", *body.digests),
            head,
            digest,
            chain.next_head(head, digest),
        )
    )
    at = len(body.records)
    table = pack_message(MESSAGE, 22 + len(table), CHAIN, body.link.number & 0xFFFFFFFF, stamp, stamp) + table
    size = at + len(table)
    prefix = struct.pack(
        "<BQQQQIIQ", mcap.CHUNK, 40 + size, body.first, body.last, size, zlib.crc32(table, body.crc), 0, size
    )
    indexes, offsets, length = [], {}, 0
    for number, entries in body.index.items():
        entries = [*entries, stamp, at] if number == CHAIN else entries
        offsets[number] = length
        indexes.append(mcap.record(mcap.MESSAGE_INDEX, mcap.message_index(number, entries)))
        length += len(indexes[-1])
    return Tied(prefix, table, b"".join(indexes), offsets, chain.next_head(head, digest))


@dataclass(frozen=True)
class Note:
    """Where a chunk lies, for the index at the end of the file."""

    first: int
    last: int
    start: int
    length: int
    size: int
    index: dict[int, int]
    index_length: int


def note(body: Body, tied: Tied, start: int) -> Note:
    """Of a chunk that begins at byte `start`."""
    length = tied.chunk_length(body)
    return Note(
        body.first,
        body.last,
        start,
        length,
        len(body.records) + len(tied.table),
        {number: start + length + offset for number, offset in tied.offsets.items()},
        len(tied.indexes),
    )


def counted(body: Body) -> dict[int, int]:
    """Messages by channel, the table's too."""
    counts = {number: len(entries) // 2 for number, entries in body.index.items()}
    counts[CHAIN] += 1
    return counts


def definitions(channels: Sequence[str]) -> bytes:
    """Schemas and channels; msgpack is self-describing, so the schemas carry names alone."""
    named = [*enumerate(channels, 1), *OWN.items()]
    schemas = [mcap.record(mcap.SCHEMA, mcap.schema(number, f"muster/{name}", "", b"")) for number, name in named]
    both = [mcap.record(mcap.CHANNEL, mcap.channel(number, number, name, "msgpack", {})) for number, name in named]
    return b"".join(schemas + both)


def start_of_file(
    metadata: Mapping[str, str], attachments: Mapping[str, bytes], channels: Sequence[str], created: int
) -> bytes:
    """Everything before the first chunk. The metadata stand there twice: a bit that flips costs one copy."""
    stated = mcap.record(mcap.METADATA, mcap.metadata("muster", metadata))
    parts = [mcap.MAGIC, mcap.record(mcap.HEADER, mcap.header("muster", "muster 1")), stated]
    for name, data in attachments.items():
        parts.append(mcap.record(mcap.ATTACHMENT, mcap.attachment(0, created, name, "application/msgpack", data)))
    return b"".join([*parts, stated, definitions(channels)])


def end_of_file(
    size: int, channels: Sequence[str], notes: Sequence[Note], counts: Mapping[int, int], attachments: int
) -> bytes:
    """Everything after the last chunk, of a file whose chunks end at byte `size`."""
    end = mcap.record(mcap.DATA_END, mcap.data_end(0))  # 0: each chunk has its own checksum
    indexes = (
        mcap.chunk_index(each.first, each.last, each.start, each.length, each.index, each.index_length, each.size)
        for each in notes
    )
    statistics = mcap.statistics(
        counts,
        schemas=len(channels) + len(OWN),
        channels=len(channels) + len(OWN),
        attachments=attachments,
        metadata=2,
        chunks=len(notes),
        first=min((each.first for each in notes), default=0),
        last=max((each.last for each in notes), default=0),
    )
    summary = definitions(channels) + b"".join(mcap.record(mcap.CHUNK_INDEX, each) for each in indexes)
    summary += mcap.record(mcap.STATISTICS, statistics)
    return end + mcap.ending(summary, size + len(end), 0)

"""A black box as it was written before there were links and tables: chunks alone."""

import struct
import zlib
from collections.abc import Sequence

from fleet.box import mcaprecords as mcap
from fleet.box.layout import Message


def old_box(metadata: dict[str, str], chunks: Sequence[Sequence[Message]], channels: Sequence[str]) -> bytes:
    """The bytes of a file that a killed process left, without indexes."""
    parts = [mcap.MAGIC, mcap.record(mcap.HEADER, mcap.header("muster", "muster 1"))]
    parts.append(mcap.record(mcap.METADATA, mcap.metadata("muster", metadata)))
    parts.append(mcap.record(mcap.ATTACHMENT, mcap.attachment(0, 1, "site", "application/msgpack", b"floor")))
    for number, name in enumerate(channels, 1):
        parts.append(mcap.record(mcap.CHANNEL, mcap.channel(number, 0, name, "msgpack", {})))
    for messages in chunks:
        body = b"".join(
            struct.pack("<BQHIQQ", 5, 22 + len(data), channel, cycle, stamp, stamp) + data
            for channel, cycle, stamp, data in messages
        )
        stamps = [message[2] for message in messages]
        parts.append(mcap.record(mcap.CHUNK, mcap.chunk(min(stamps), max(stamps), body, zlib.crc32(body))))
    return b"".join(parts)

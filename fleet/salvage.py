"""What is left of a black box: every whole record of a file that may have been cut at any byte, and damaged anywhere.

Which records are whole fleet/box/recover.py finds out. Of a last chunk that was cut every message that is whole is
taken. A missing footer alone is no damage: that is how a killed process leaves its file.

Files of before there were links and tables are still read: a chunk whose checksum is wrong is left out there.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from fleet.box.chain import OWN
from fleet.box.mcaprecords import ATTACHMENT, CHANNEL, CHUNK, FOOTER, MAGIC, MESSAGE, METADATA
from fleet.box.recover import Scan, is_chained, read_text, read_text_map, scan
from sim.errors import MusterError


class BlackBoxError(MusterError):
    """A file is no black box, or too little of it is left to use."""


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
    box: dict[str, str] = field(default_factory=dict)
    """What the box says about the file itself (fleet/box/boxfile.py); empty in files of before"""


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
    return _chained(path, scan(data)) if is_chained(data) else _plain(path, data)


def _chained(path: Path, found: Scan) -> Recording:
    """A file with links and tables."""
    if found.metadata is None:
        raise BlackBoxError(f"expected a muster black box, {path} has no readable header; it was cut or is another log")
    faults, chunks, unsure = list(found.faults), list[tuple[Message, ...]](), False
    for piece in found.pieces:
        sure = any(record.sure for record in piece.records)
        last = piece is found.pieces[-1]
        taken = [
            Message(found.topics.get(record.channel, ""), record.cycle, record.stamp, record.data)
            for record in piece.records
            if record.channel not in OWN and (record.sure or (last and not sure))
        ]
        if piece.records and not sure and not last:
            faults.append(f"nothing says what of the chunk at byte {piece.start} is whole: it was left out")
        if taken:
            chunks.append(tuple(taken))
            unsure = not sure
    return Recording(
        path, found.metadata, found.attachments, tuple(chunks), found.closed, "; ".join(faults), unsure, found.box
    )


def _plain(path: Path, data: bytes) -> Recording:
    """A file of chunks alone."""
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
                name, at = read_text(data, start)
                if name == "muster":
                    metadata = read_text_map(data, at)
            elif opcode == ATTACHMENT:
                name, at = read_text(data, start + 16)
                _, at = read_text(data, at)
                (size,) = struct.unpack_from("<Q", data, at)
                if zlib.crc32(data[start : end - 4]) != struct.unpack_from("<I", data, end - 4)[0]:
                    damage = damage or f"attachment {name!r} has a wrong checksum"
                attachments[name] = data[at + 8 : at + 8 + size]
            elif opcode == CHANNEL:
                (number,) = struct.unpack_from("<H", data, start)
                names[number] = read_text(data, start + 4)[0]
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
    data: bytes, start: int, end: int, whole: bool, names: dict[int, str]
) -> tuple[tuple[Message, ...], str]:
    """The whole messages of a chunk and what is wrong with it."""
    if start + 32 > end:
        return (), ""
    _, _, size, checksum = struct.unpack_from("<QQQI", data, start)
    compression, at = read_text(data, start + 28)
    if compression:
        return (), f"a chunk is compressed with {compression!r}; muster writes none"
    at += 8
    if whole and zlib.crc32(data[at : at + size]) != checksum:
        return (), f"the chunk at byte {start - 9} has a wrong checksum and was left out"
    messages = []
    for opcode, first, last, complete in _records(data, at, min(at + size, end)):
        if opcode == CHANNEL and complete:
            names[struct.unpack_from("<H", data, first)[0]] = read_text(data, first + 4)[0]
        elif opcode == MESSAGE and complete:
            channel, cycle, stamp, _ = struct.unpack_from("<HIQQ", data, first)
            messages.append(Message(names.get(channel, ""), cycle, stamp, data[first + 22 : last]))
    return tuple(messages), ""

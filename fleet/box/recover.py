"""Every whole record of a black box file, whatever happened to it: cut at any byte, bits flipped, parts overwritten.

Nothing here walks from record to record in trust. Chunks are found by the sync words of their links and tables, and by
chunk records that are whole; a table says where each record lies and what its CRC is. So what is damaged costs the
records that it hit:

    a record's data or header      its CRC is wrong, the table says where the next one begins
    a link                         the table says where the chunk begins
    a table                        the records are walked; SHA-256, the digests that are whole, or the next link's CRC
                                   say that they are whole
    a chunk's header, an index     nothing is read from them

Of a chunk that was cut before its table the whole records are walked; no checksum says that they are sound (`sure`).
"""

from __future__ import annotations

import hashlib
import re
import struct
import zlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from fleet.box import chain
from fleet.box.boxfile import metadata_crc
from fleet.box.chain import LINK_OFFSET, LINK_SYNC, TABLE_OFFSET, TABLE_SYNC, Link, Table
from fleet.box.mcaprecords import (
    ATTACHMENT,
    CHUNK,
    CHUNK_PREFIX,
    MAGIC,
    MESSAGE,
    MESSAGE_PREFIX,
    METADATA,
    PREFIX,
    text,
)

TAIL = 4 << 20
"""Bytes at the end of a file in which its last table lies: larger than a chunk and the index of a file."""

_HEADS = re.compile(rb"[\x09\x0c].{4}\0{4}", re.DOTALL)
"""What an attachment or metadata record of less than 4 GiB begins with."""


@dataclass(frozen=True)
class Found:
    """One record of a chunk, whole."""

    channel: int
    cycle: int
    stamp: int
    data: bytes
    sure: bool
    """A checksum says that it is sound."""


@dataclass(frozen=True)
class Piece:
    """What is left of one chunk."""

    start: int
    """Where its chunk record begins, or began"""
    number: int
    """-1 where neither link nor table tells it"""
    link: Link | None
    table: Table | None
    records: tuple[Found, ...]
    """Whole ones; link and table are left out"""
    lost: int
    """Records that are damaged, as far as the table tells; link and table count"""
    whole: bool
    """Every record is there and sound"""


@dataclass(frozen=True)
class Scan:
    """What is left of one file."""

    metadata: dict[str, str] | None
    """None where neither copy is left"""
    box: dict[str, str]
    """What the box says about itself, from the same record"""
    attachments: dict[str, bytes]
    topics: dict[int, str]
    pieces: tuple[Piece, ...]
    closed: bool
    """It ends with its footer."""
    faults: tuple[str, ...]


def is_chained(data: bytes) -> bool:
    """Whether this is a file of the format that has links and tables."""
    return LINK_SYNC in data or TABLE_SYNC in data


def scan(data: bytes) -> Scan:
    """Everything whole in the bytes of a file. Never raises for what they say."""
    links, tables = dict(_links(data)), dict(_tables(data))
    faults: list[str] = []
    metadata = _metadata(data[: min([*links, len(data)])], faults)
    box = {key: value for key, value in (metadata or {}).items() if key.startswith("box")}
    own = _own(box, links)
    foreign = {begin for begin, link in links.items() if _differ(link.file, own)}
    links = {begin: link for begin, link in links.items() if begin not in foreign}
    tables = {at: table for at, table in tables.items() if at - sum(_numbers(table.lengths)) not in foreign}
    starts = _starts(data, links, tables)
    head = data[: starts[0] - CHUNK_PREFIX] if starts else data
    topics: dict[int, str] = {}
    pieces = []
    for begin, following in zip(starts, [*starts[1:], -1][: len(starts)], strict=True):
        end = following - CHUNK_PREFIX if following >= 0 else len(data)
        piece = _piece(data, begin, end, links.get(begin), tables, links.get(following))
        if piece.lost:
            faults.append(f"the chunk at byte {piece.start} has {piece.lost} damaged records, which were left out")
        if piece.link is not None:
            topics |= dict(enumerate(piece.link.topics, 1))
        pieces.append(piece)
    if foreign:
        faults.append(f"{len(foreign)} chunks of other files were left out")
    rest = None if metadata is None else {key: value for key, value in metadata.items() if key not in box}
    closed = data.endswith(MAGIC) and len(data) > len(MAGIC)
    return Scan(rest, box, _attachments(head, faults), topics, tuple(pieces), closed, tuple(faults))


def last_head(path: Path) -> bytes:
    """The chain's head after the last whole chunk of a file, from its end; empty where none is to be found."""
    try:
        with path.open("rb") as file:
            size = file.seek(0, 2)
            file.seek(max(size - TAIL, 0))
            data = file.read()
    except OSError:
        return b""
    found = dict(_tables(data))
    return found[max(found)].head if found else b""


def _own(box: dict[str, str], links: dict[int, Link]) -> bytes:
    """The number of this file: its metadata's, else the one that most links name."""
    try:
        return bytes.fromhex(box["box_file"])
    except (KeyError, ValueError):
        return Counter(link.file for link in links.values()).most_common(1)[0][0] if links else b""


def _differ(one: bytes, other: bytes) -> bool:
    """Whether these are numbers of two files, not of one of which a few bits flipped."""
    return (int.from_bytes(one, "big") ^ int.from_bytes(other, "big")).bit_count() > 16


def _finds(data: bytes, word: bytes) -> Iterator[int]:
    at = data.find(word)
    while at >= 0:
        yield at
        at = data.find(word, at + 1)


def _message_at(data: bytes, at: int) -> chain.Own | None:
    """The message of the box whose record begins at byte `at`; None where there is none. Opcode and channel may lie."""
    if at < 0 or at + MESSAGE_PREFIX > len(data):
        return None
    (length,) = struct.unpack_from("<Q", data, at + 1)
    if at + PREFIX + length > len(data):
        return None
    try:
        return chain.decode(data[at + MESSAGE_PREFIX : at + PREFIX + length])
    except ValueError:
        return None


def _links(data: bytes) -> Iterator[tuple[int, Link]]:
    """Links that can be read, by where their chunk's records begin."""
    for at in _finds(data, LINK_SYNC):
        begin = at - LINK_OFFSET - MESSAGE_PREFIX
        found = _message_at(data, begin)
        if isinstance(found, Link):
            yield begin, found


def _tables(data: bytes) -> Iterator[tuple[int, Table]]:
    """Tables that can be read, by where their record begins."""
    for at in _finds(data, TABLE_SYNC):
        begin = at - TABLE_OFFSET - MESSAGE_PREFIX
        found = _message_at(data, begin)
        if isinstance(found, Table) and len(found.lengths) % 4 == 0 and len(found.digests) == len(found.lengths):
            yield begin, found


def _starts(data: bytes, links: dict[int, Link], tables: dict[int, Table]) -> list[int]:
    """Where the records of chunks begin, by links, by tables, and by chunk records that are whole."""
    starts = set(links)
    numbers = {link.number for link in links.values()}
    for at, table in tables.items():
        begin = at - sum(_numbers(table.lengths))
        if begin >= CHUNK_PREFIX and table.number not in numbers:
            starts.add(begin)
    return sorted(starts | set(_walk(data)))


def _walk(data: bytes) -> Iterator[int]:
    """Where the records of chunks begin as the records of the file tell, until one of these is no record."""
    at = len(MAGIC)
    while at + PREFIX <= len(data):
        opcode, length = struct.unpack_from("<BQ", data, at)
        if opcode == CHUNK and at + CHUNK_PREFIX <= len(data):
            size, _, compression, again = struct.unpack_from("<QIIQ", data, at + PREFIX + 16)
            if length == 40 + size and compression == 0 and again == size:
                yield at + CHUNK_PREFIX
        if not 1 <= opcode <= 15:
            return
        at += PREFIX + length


def _piece(data: bytes, begin: int, end: int, link: Link | None, tables: dict[int, Table], after: Link | None) -> Piece:
    """A chunk whose records begin at `begin` and that ends before `end`."""
    at = next((at for at in sorted(tables) if begin < at < end), None)
    table = tables[at] if at is not None else None
    if table is not None and at is not None:
        spans = _told(begin, table)
        if (spans[-1][1] if spans else begin) != at:  # the lengths are damaged
            spans = list(_messages(data, begin, at))
    else:
        spans = list(_messages(data, begin, end))
        table = _last_table(data, spans, begin, after)
    stop = spans[-1][1] if spans else begin
    sound = _sound(data, begin, stop, spans, table, after)
    if sound and not sound[0]:
        link = None
    records, lost = [], 0
    for number, (first, last) in enumerate(spans):
        good = bool(sound and sound[number])
        if sound and not good:
            lost += 1
        elif number or (link is None and not isinstance(_message_at(data, first), Link)):
            _, _, channel, cycle, stamp = struct.unpack_from("<BQHIQ", data, first)
            records.append(Found(channel, cycle, stamp, data[first + MESSAGE_PREFIX : last], good))
    number = link.number if link is not None else table.number if table is not None else -1
    whole = bool(sound) and all(sound) and table is not None
    return Piece(begin - CHUNK_PREFIX, number, link, table, tuple(records), lost, whole)


def _told(begin: int, table: Table) -> list[tuple[int, int]]:
    """Begin and end of records as a table tells them."""
    spans = []
    for length in _numbers(table.lengths):
        spans.append((begin, begin + length))
        begin += length
    return spans


def _last_table(data: bytes, spans: list[tuple[int, int]], begin: int, after: Link | None) -> Table | None:
    """Take the table off the end of records that were walked, where one is there that no sync word tells."""
    if len(spans) < 2:
        return None
    first, last = spans[-1]
    found = _message_at(data, first)
    if isinstance(found, Table):
        spans.pop()
        return found if len(found.digests) == len(found.lengths) and len(found.lengths) % 4 == 0 else None
    if TABLE_SYNC in data[first:last] or (after is not None and zlib.crc32(data[begin:first]) == after.crc):
        spans.pop()
    return None


def _messages(data: bytes, at: int, end: int) -> Iterator[tuple[int, int]]:
    """Begin and end of whole message records, one after the other, until something is none."""
    while at + MESSAGE_PREFIX <= end:
        opcode, length = struct.unpack_from("<BQ", data, at)
        if opcode != MESSAGE or length < 22 or at + PREFIX + length > end:
            return
        yield at, at + PREFIX + length
        at += PREFIX + length


def _sound(
    data: bytes, begin: int, stop: int, spans: list[tuple[int, int]], table: Table | None, after: Link | None
) -> list[bool]:
    """Of each record whether a checksum says that it is sound; empty where there is none to ask."""
    if not spans:
        return []
    if table is not None:
        digests = _numbers(table.digests)
        sound, before = [], 0
        if len(digests) == len(spans):
            for (first, last), digest in zip(spans, digests, strict=True):
                sound.append(zlib.crc32(data[first:last], before) == digest)
                before = digest
            if all(sound):
                return sound
        if hashlib.sha256(data[begin:stop]).digest() == table.body:
            return [True] * len(spans)
        if sound:
            return sound
    if after is not None and zlib.crc32(data[begin:stop]) == after.crc:
        return [True] * len(spans)
    return []


def _numbers(packed: bytes) -> tuple[int, ...]:
    return struct.unpack(f"<{len(packed) // 4}I", packed)


def _metadata(head: bytes, faults: list[str]) -> dict[str, str] | None:
    """The metadata, from the copy whose checksum is right; a damaged one where none is."""
    copies, name = [], text("muster")
    for at in _finds(head, name):
        if at < PREFIX or head[at - PREFIX] != METADATA:
            continue
        try:
            copies.append(read_text_map(head, at + len(name)))
        except (struct.error, UnicodeDecodeError, ValueError):
            continue
    good = [copy for copy in copies if copy.get("box_crc") == f"{metadata_crc(copy):08x}"]
    if len(good) < 2:
        faults.append("a copy of the metadata is damaged" if good else "the metadata are damaged")
    if not good:
        return copies[0] if copies else None
    return good[0]


def _attachments(head: bytes, faults: list[str]) -> dict[str, bytes]:
    """Attachments whose checksum is right, wherever they lie."""
    found: dict[str, bytes] = {}
    at = len(MAGIC)
    while (match := _HEADS.search(head, at)) is not None:
        opcode, length = struct.unpack_from("<BQ", head, match.start())
        start, end = match.end(), match.end() + length
        at = match.start() + 1
        if opcode != ATTACHMENT or end > len(head) or length < 32:
            continue
        try:
            name, place = read_text(head, start + 16)
            _, place = read_text(head, place)
            (size,) = struct.unpack_from("<Q", head, place)
        except (struct.error, UnicodeDecodeError, ValueError):
            continue
        if place + 8 + size + 4 != end:
            continue
        if zlib.crc32(head[start : end - 4]) == struct.unpack_from("<I", head, end - 4)[0]:
            found[name] = head[place + 8 : place + 8 + size]
        else:
            faults.append(f"attachment {name!r} has a wrong checksum")
        at = end
    return found


def read_text(data: bytes, at: int) -> tuple[str, int]:
    """A string and where it ends; raises ValueError or struct.error where there is none."""
    (size,) = struct.unpack_from("<I", data, at)
    if at + 4 + size > len(data):
        raise ValueError(f"a text of {size} bytes does not fit")
    return data[at + 4 : at + 4 + size].decode(), at + 4 + size


def read_text_map(data: bytes, at: int) -> dict[str, str]:
    """A map of strings; raises ValueError or struct.error where there is none."""
    (size,) = struct.unpack_from("<I", data, at)
    at += 4
    end = at + size
    if end > len(data):
        raise ValueError(f"a map of {size} bytes does not fit")
    values: dict[str, str] = {}
    while at < end:
        key, at = read_text(data, at)
        values[key], at = read_text(data, at)
    return values

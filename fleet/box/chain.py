"""What ties a black box together: links, tables, heads and seals.

Every chunk begins with a `Link` and ends with a `Table`, both messages of the channel `chain`, so that the file stays
an MCAP file for everybody else:

    Link    where the chunk is meant to lie, its number, and the CRC of the chunk before
    ...     the messages
    Table   the length of each record, the running CRC-32 after each record, and the chain

    body_k = SHA-256(records of chunk k up to its table)
    head_0 = SHA-256(everything before the first chunk),   head_{k+1} = SHA-256(head_k || body_k)

The running CRC says of every record alone whether it is whole: a bit that flipped costs that record and no other. The
chain shows a change, a deletion, a reorder to everybody who holds one later head. Against somebody who computes it all
anew there are seals, at least one each SEAL_SECONDS: a MAC over the head by a key that evolves one way and is forgotten
(forward-secure sealing as in Schneier & Kelsey, "Secure audit logs to support computer forensics", 1999). Who breaks
into a robot holds the newest key and can seal nothing that lies in the past. The last chunk of a file that was closed
has nothing but a closing seal: a file that ends otherwise was cut.

Both sync words are random and constant: a reader that lost its place looks for them.
"""

from __future__ import annotations

import hashlib
import hmac
from typing import Any

import msgspec

LINK_SYNC = bytes.fromhex("9f3a6cd1e5b84702c8d94e17fb2350a6")
TABLE_SYNC = bytes.fromhex("d0e752b98c1f4a6633b1907ae25dc8f4")

CHAIN, EVENTS = 0xFFF0, 0xFFF1
"""Channel ids of the box's own two channels, far from those of any layout."""
OWN = {CHAIN: "chain", EVENTS: "events"}

SEAL_SECONDS = 1.0
"""A seal at least this often while something is written, s: what a thief of the newest key can change."""

FORMAT = "2"
"""Version of this layout, in the metadata as `box`; files without it are MCAP by chunks alone."""


class Link(msgspec.Struct, frozen=True, tag="link", tag_field="kind"):
    """The first message of a chunk."""

    sync: bytes
    file: bytes
    """16 random bytes of this file: a chunk of another one does not belong here"""
    number: int
    """Of the chunk, from 0 on"""
    at: int
    """Where the chunk record begins in the file"""
    count: int
    """Messages of the layout's channels before this chunk"""
    crc: int
    """CRC-32 of the records of the chunk before, up to its table; 0 for the first"""
    monotonic: int
    """Clock of the machine that only rises, ns: what a site clock that jumps is judged by"""
    topics: tuple[str, ...]
    """The layout's channels, ids from 1 on: a chunk can be read by itself"""


class Table(msgspec.Struct, frozen=True, tag="table", tag_field="kind"):
    """The last message of a chunk."""

    sync: bytes
    number: int
    lengths: bytes
    """Of each record before this one, opcode and length included: uint32 each"""
    digests: bytes
    """CRC-32 of all bytes from the chunk's first record to the end of each: uint32 each"""
    before: bytes
    """head_k"""
    body: bytes
    head: bytes
    """head_{k+1}"""


class Seal(msgspec.Struct, frozen=True, tag="seal", tag_field="kind"):
    """What is known of everything before the chunk that it stands in, under a key that exists no more."""

    number: int
    """From 0 on in each file"""
    chunk: int
    """Chunks before"""
    count: int
    """Messages of the layout's channels before"""
    head: bytes
    """head of the chunk before (head_0 in the first)"""
    stamp: int
    """Newest stamp of the site clock, ns"""
    monotonic: int
    closing: bool
    """Nothing follows: the file was closed"""
    mac: bytes = b""
    """HMAC-SHA-256 over `seal_text`; empty where the box has no key"""


class DropOut(msgspec.Struct, frozen=True, tag="drop-out", tag_field="kind"):
    """Steps that were lost before this place (ULog has the idea): a gap that the box knows of."""

    count: int
    why: str
    """queue (the disk did not keep up), disk (a write failed), step (a step could not be encoded), fault (the writer's
    own mistake)"""


class ClockJump(msgspec.Struct, frozen=True, tag="clock", tag_field="kind"):
    """The site clock went back, or ahead by more than the machine's own did: stamps before and after do not compare."""

    before: int
    """ns"""
    after: int


class Triggered(msgspec.Struct, frozen=True, tag="trigger", tag_field="kind"):
    """Something happened whose surroundings are locked (fleet/box/keep.py)."""

    cause: str
    detail: str
    cycle: int
    stamp: int


class Forgotten(msgspec.Struct, frozen=True, tag="forgotten", tag_field="kind"):
    """A file that the quota deleted: that it is missing is no tampering."""

    file: str
    head: bytes
    """Its last"""


class Kept(msgspec.Struct, frozen=True, tag="kept", tag_field="kind"):
    """Which of the robot's files were there when this one was begun: one that is missing later was taken away."""

    numbers: str
    """Ranges, as 4-11 54"""


Event = DropOut | ClockJump | Triggered | Forgotten | Kept
Own = Link | Table | Seal | DropOut | ClockJump | Triggered | Forgotten | Kept

encode = msgspec.msgpack.Encoder().encode
_decoder = msgspec.msgpack.Decoder(Own)


def decode(data: bytes) -> Own:
    """A message of the channels `chain` and `events`; raises ValueError for anything else."""
    return _decoder.decode(data)  # msgspec's errors are ValueErrors, and so is that for a key that is no UTF-8


LINK_OFFSET = encode(Link(LINK_SYNC, b"", 0, 0, 0, 0, 0, ())).index(LINK_SYNC)
"""Bytes of a link before its sync word."""
TABLE_OFFSET = encode(Table(TABLE_SYNC, 0, b"", b"", b"", b"", b"")).index(TABLE_SYNC)


def first_head(start: bytes) -> bytes:
    """head_0 of a file that begins with these bytes, up to its first chunk."""
    return hashlib.sha256(start).digest()


def next_head(head: bytes, body: bytes) -> bytes:
    """head_{k+1} of head_k and body_k."""
    return hashlib.sha256(head + body).digest()


def seal_text(file: bytes, seal: Seal) -> bytes:
    """What a seal's MAC is over: all that it says, and of which file."""
    return file + encode(msgspec.structs.replace(seal, mac=b""))


class Sealer:
    """Owns the evolving key of one file: key_0 by the robot's seal key, key_{i+1} = SHA-256("muster seal" || key_i)."""

    def __init__(self, key: bytes | None) -> None:
        """Without a key seals have no MAC: they show damage and clumsy changes, no forger."""
        self._key = key
        self.number = 0

    def seal(self, file: bytes, **said: Any) -> Seal:  # the fields of Seal but number and mac
        """The next seal; the key that made it is gone afterwards."""
        seal = Seal(number=self.number, **said)
        self.number += 1
        if self._key is None:
            return seal
        seal = msgspec.structs.replace(seal, mac=mac(self._key, file, seal))
        self._key = evolved(self._key)
        return seal


def mac(key: bytes, file: bytes, seal: Seal) -> bytes:
    """The MAC of a seal by the key of its number."""
    return hmac.digest(key, seal_text(file, seal), "sha256")


def evolved(key: bytes) -> bytes:
    """The key after this one; there is no way back."""
    return hashlib.sha256(b"muster seal" + key).digest()


def file_key(key: bytes, file: bytes) -> bytes:
    """key_0 of a file, from the robot's seal key of its epoch."""
    return hmac.digest(key, b"muster file" + file, "sha256")

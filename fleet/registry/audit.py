"""The registry's log: who did what when, one line after the other, each with the hash of the one before.

A line that is altered, removed or moved breaks the chain; lines cut off at the end show where somebody kept the head
(`muster registry log` prints it; a release that is rolled out carries it).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable

import msgspec

GENESIS = "0" * 64


class Entry(msgspec.Struct, frozen=True):
    """One line."""

    number: int
    when: int
    """ns since 1970: wall time, for people"""
    who: str
    deed: str
    """register, release, alias, ..."""
    what: dict[str, str]
    before: str
    """Hash of the line before; zeros for the first"""
    hash: str = ""

    def hashed(self) -> str:
        """What `hash` must be."""
        told = msgspec.to_builtins(msgspec.structs.replace(self, hash=""))
        return hashlib.sha256(json.dumps(told, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def following(last: Entry | None, when: int, who: str, deed: str, what: dict[str, str]) -> Entry:
    """The line after `last`."""
    number, before = (last.number + 1, last.hash) if last is not None else (1, GENESIS)
    entry = Entry(number, when, who, deed, what, before)
    return msgspec.structs.replace(entry, hash=entry.hashed())


def broken(entries: Iterable[Entry]) -> str:
    """Where the chain breaks, in words; empty where it holds."""
    number, before = 0, GENESIS
    for entry in entries:
        if entry.number != number + 1:
            return f"line {number + 1} is missing, {entry.number} comes in its place"
        if entry.before != before:
            return f"line {entry.number} does not follow the line before it"
        if entry.hash != entry.hashed():
            return f"line {entry.number} was altered"
        number, before = entry.number, entry.hash
    return ""

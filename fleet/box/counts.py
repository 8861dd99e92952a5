"""How far a black box has come, and what became of its steps."""

from __future__ import annotations

from dataclasses import dataclass

from fleet.box.boxfile import BoxFile


@dataclass
class Counts:
    """What became of the steps of one black box."""

    written: int = 0
    """Steps in the file."""
    dropped: int = 0
    """Steps lost to a failed write or a full queue."""
    failed_writes: int = 0
    """Writes or syncs that failed."""
    faults: int = 0
    """Errors of the writer that are no disk's, our own mistakes: it went on, what was at hand is lost"""
    bytes: int = 0
    """Bytes written, all files."""
    unlocked: int = 0
    """Triggers that locked nothing, because too much is locked already"""
    deleted: int = 0
    """Files that the quota or a full disk took"""


@dataclass(frozen=True)
class Head:
    """How far a black box has come: what a fleet keeps, to see later that nothing before it was changed or cut off."""

    robot: str
    file: str
    chunks: int
    count: int
    """Messages"""
    head: bytes
    stamp: int
    closed: bool


def head_of(robot: str, file: BoxFile, *, closed: bool) -> Head:
    """Of a file."""
    return Head(robot, file.path.name, file.chunks, file.count, file.head, file.last, closed)

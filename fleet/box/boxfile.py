"""One black box file that is being written, chunk by chunk, so that it can be read whatever ends it.

The writer of the mcap package closes chunks by size only (1 MiB is minutes at 10 Hz) and never syncs, hence this one.
Chunks are not compressed: noisy ranges hardly shrink, and a chunk that was cut in the middle still yields its whole
records. A write that fails cuts the file back to its last whole chunk and raises.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import time
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path

from fleet.box import chain
from fleet.box.chain import CHAIN, FORMAT, LINK_SYNC, OWN, SEAL_SECONDS, Link, Sealer
from fleet.box.layout import Message, Note, clamped, counted, encode_body, end_of_file, note, start_of_file, tie

CHANNELS = ("inputs", "memory", "outputs", "shadow")
"""A robot's; channel id = position + 1."""


class BoxFile:
    """Owns the file. `size` is the end of the last whole chunk; `usable` is false once not even that could be kept."""

    def __init__(
        self,
        path: Path,
        metadata: Mapping[str, str],
        attachments: Mapping[str, bytes],
        channels: Sequence[str] = CHANNELS,
        *,
        key: tuple[int, bytes] | None = None,
        previous: tuple[str, bytes] = ("", b""),
    ) -> None:
        """Make the file with its header; raises OSError where that fails, and leaves none then.

        `key`: epoch and seal key of the robot. `previous`: the robot's file before this one and its last head.
        """
        self.usable = True
        self.size = 0
        self.path = path
        self.file = secrets.token_bytes(16)
        self.count = 0
        """Messages of the layout's channels"""
        self.first: int | None = None
        """Stamp of the first message, ns"""
        self.last = 0
        """Newest stamp"""
        self._channels = tuple(channels)
        self._notes: list[Note] = []
        self._counts = dict.fromkeys([*range(1, len(channels) + 1), *OWN], 0)
        self._attachments = len(attachments)
        self._sealer = Sealer(chain.file_key(key[1], self.file) if key is not None else None)
        self._sealed, self._seal_time = 0, time.monotonic_ns()
        self._crc = 0
        stated = {
            **metadata,
            "box": FORMAT,
            "box_file": self.file.hex(),
            "box_name": path.name,
            "box_previous": previous[0],
            "box_previous_head": previous[1].hex(),
            "box_epoch": str(key[0]) if key is not None else "",
        }
        stated["box_crc"] = f"{metadata_crc(stated):08x}"
        start = start_of_file(stated, attachments, channels, time.time_ns())  # wall time appears only in log headers
        self.head = chain.first_head(start)
        """Of the chain, after the last chunk"""
        path.parent.mkdir(parents=True, exist_ok=True)
        self._handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
        try:
            self._put([start])
            _sync_directory(path.parent)  # else a power cut may take the name, and with it what fdatasync saves later
        except OSError:
            self.usable = False
            os.close(self._handle)
            with contextlib.suppress(OSError):
                path.unlink()
            raise

    def write_chunk(self, messages: Sequence[Message], closing: bool = False) -> int:
        """Append one chunk with its message indexes; returns the bytes written.

        It brings a seal of what stands before it when one is due.
        """
        messages = list(messages)
        now, sealed = time.monotonic_ns(), closing or self.due()
        if sealed:
            stamp = clamped(messages[0][2]) if messages else self.last
            messages.insert(0, (CHAIN, self._sealer.number, stamp, chain.encode(self._seal(stamp, now, closing))))
        link = Link(LINK_SYNC, self.file, len(self._notes), self.size, self.count, self._crc, now, self._channels)
        body = encode_body(link, messages, self.last)
        tied = tie(body, self.head)
        start = self.size
        written = self._put(tied.parts(body))
        self._notes.append(note(body, tied, start))
        self.head, self._crc = tied.head, body.crc
        for number, count in counted(body).items():
            self._counts[number] += count
            self.count += count if number not in OWN else 0
        self.first = body.stamp if self.first is None else self.first
        self.last = body.newest
        if sealed:
            self._sealed, self._seal_time = len(self._notes), now
        return written

    def due(self) -> bool:
        """Whether something waits for a seal that is due."""
        return len(self._notes) > self._sealed and time.monotonic_ns() - self._seal_time >= SEAL_SECONDS * 1e9

    @property
    def chunks(self) -> int:
        """Written so far."""
        return len(self._notes)

    def duplicate(self) -> int:
        """A handle of its own for `sync`, which may still work when the file is closed."""
        return os.dup(self._handle)

    def sync(self, handle: int) -> None:
        """Ask the kernel to put what was written on the disk; closes the handle, which `duplicate` gave."""
        try:
            os.fdatasync(handle)
        finally:
            os.close(handle)

    def finish(self) -> None:
        """Write the closing seal, data end, summary and footer, and close."""
        self.write_chunk([], closing=True)
        self._put([end_of_file(self.size, self._channels, self._notes, self._counts, self._attachments)])
        os.fsync(self._handle)
        os.close(self._handle)

    def abandon(self) -> None:
        """Close without a footer."""
        with contextlib.suppress(OSError):
            os.close(self._handle)

    def _seal(self, stamp: int, now: int, closing: bool) -> chain.Seal:
        return self._sealer.seal(
            self.file,
            chunk=len(self._notes),
            count=self.count,
            head=self.head,
            stamp=stamp,
            monotonic=now,
            closing=closing,
        )

    def _put(self, parts: Sequence[bytes]) -> int:
        """Write all of it, or cut the file back to where it was and raise."""
        views = [memoryview(part) for part in parts if part]
        total = sum(map(len, views))
        try:
            while views:
                written = os.writev(self._handle, views)
                while views and written >= len(views[0]):
                    written -= len(views.pop(0))
                if written:
                    views[0] = views[0][written:]
        except OSError:
            try:
                os.ftruncate(self._handle, self.size)
                os.lseek(self._handle, self.size, os.SEEK_SET)
            except OSError:
                self.usable = False
            raise
        self.size += total
        return total


def metadata_crc(stated: Mapping[str, str]) -> int:
    """Of the metadata but this number itself: which of the two copies is whole."""
    text = "\0".join(f"{key}\0{value}" for key, value in stated.items() if key != "box_crc")
    return zlib.crc32(text.encode())


def _sync_directory(directory: Path) -> None:
    handle = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)

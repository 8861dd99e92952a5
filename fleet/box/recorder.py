"""The threads that write the black boxes of one process, off the control path: one flushes, one syncs.

A slow disk thus does not hold up what a killed process leaves behind, which costs at most the newest CHUNK_SECONDS; a
power cut costs the newest CHUNK_SECONDS + SYNC_SECONDS, and what a write or a sync took.
"""

from __future__ import annotations

import contextlib
import json
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fleet.blackbox import BlackBox

CHUNK_SECONDS = 0.05
"""A chunk is closed this often, s of wall time: a quarter of the 200 ms that may be lost when a process is killed."""
SYNC_SECONDS = 0.15
"""And synced this often: with a chunk's time and a slow sync below the 500 ms that a power cut may cost."""
HEADS = "heads.jsonl"
"""File in a run that says how far each black box has come (muster blackbox verify --heads)"""
HEADS_SECONDS = 60.0
"""How often the heads are told to the fleet, s (research goal)."""
FIRST_SECONDS = 5.0
"""And when first: a log that is taken away within its first minute shows too."""


class Recorder:
    """The writer threads of one process: one flushes its black boxes, one syncs them, both off the control path."""

    def __init__(
        self,
        boxes: Sequence[BlackBox],
        interval: float = CHUNK_SECONDS,
        sync_interval: float = SYNC_SECONDS,
        heads: Path | None = None,
    ) -> None:
        """Begin. `heads`: where the heads of all boxes are written each HEADS_SECONDS and at the end."""
        self._boxes, self._heads = list(boxes), heads
        self._interval, self._sync_interval = interval, sync_interval
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._work, name="blackbox", daemon=True)
        self._syncer = threading.Thread(target=self._sync, name="blackbox-sync", daemon=True)
        self._thread.start()
        self._syncer.start()

    def close(self, timeout: float = 10.0) -> None:
        """Write everything that waits and finish the files."""
        self._end.set()
        self._thread.join(timeout)
        self._syncer.join(timeout)

    def _work(self) -> None:
        told = time.monotonic() - HEADS_SECONDS + FIRST_SECONDS
        while not self._end.wait(self._interval):
            self._each(lambda box: box.flush())
            if time.monotonic() - told >= HEADS_SECONDS:
                told = time.monotonic()
                self._tell()
        self._each(lambda box: box.close())
        self._tell()

    def _each(self, do: Callable[[BlackBox], None], *, half_done: bool = True) -> None:
        """Do something with every box; one that fails is not the end of the others, nor of the thread.

        `half_done`: what failed may have left a file half written.
        """
        for box in self._boxes:
            try:
                do(box)
            except Exception as error:  # whatever it is: the thread must live
                box.fault(error, half_done=half_done)

    def _tell(self) -> None:
        """Append the heads; several processes of a run share the file, so each line is one write."""
        heads = [head for box in self._boxes if (head := box.tell())]
        if self._heads is None:
            return
        lines = (json.dumps(asdict(head) | {"head": head.head.hex()}) for head in heads)
        with contextlib.suppress(OSError), self._heads.open("ab", buffering=0) as file:
            for line in lines:
                file.write(line.encode() + b"\n")

    def _sync(self) -> None:
        while not self._end.wait(self._sync_interval):
            self._each(lambda box: box.sync(), half_done=False)

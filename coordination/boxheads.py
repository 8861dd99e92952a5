"""How far each robot's black box has come, kept by the coordinator: what a thief of a robot's disk cannot take along.

A robot tells the head of its log's chain with a report, about once a minute (`messages.BoxHead`). Each is a JSON line
of the file, which `muster blackbox verify --heads FILE` reads: a log that was cut off, changed before that point, or
taken away as a whole does not pass it. Only a signed message counts, and only of the robot's own files.

A robot that tells one head after the other gets a line each EACH seconds at most; a disk that takes none costs heads,
never the coordinator.
"""

from __future__ import annotations

import json
import re
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from coordination.messages import Report
from coordination.wire import Received

FILE = "heads-fleet.jsonl"
"""In the coordinator's run directory."""
EACH = 5.0
"""s in which a robot gets BURST lines at most: a file that is closed and its successor may come at once."""
BURST = 2


class BoxHeads:
    """Owns the file of heads."""

    def __init__(self, path: Path, clock: Callable[[], float] = time.monotonic) -> None:
        """Nothing is written before the first head comes."""
        self.counts: Counter[str] = Counter()
        """Heads by what became of them: kept, refused, late, failed"""
        self._path, self._clock = path, clock
        self._newest: dict[str, bytes] = {}
        self._times: dict[str, tuple[float, ...]] = {}

    def take(self, message: Received) -> None:
        """Keep what a robot's report tells of its black box, if anything."""
        report, robot = message.body, message.sender
        head = report.box if isinstance(report, Report) else None
        if head is None or self._newest.get(robot) == head.head:
            return
        name = re.fullmatch(r"(.+)-\d{1,9}\.mcap", head.file)
        if not message.signed or name is None or name[1] != robot or len(head.head) != 32 or head.chunks < 0:
            self.counts["refused"] += 1
            return
        now = self._clock()
        recent = tuple(each for each in self._times.get(robot, ()) if now - each < EACH)
        if len(recent) >= BURST:
            self.counts["late"] += 1
            return
        self._newest[robot], self._times[robot] = head.head, (*recent, now)
        line = {"robot": robot, "file": head.file, "chunks": head.chunks, "count": head.count,
                "head": head.head.hex(), "stamp": head.stamp, "closed": head.closed}  # fmt: skip
        try:
            with self._path.open("ab", buffering=0) as file:
                file.write(json.dumps(line).encode() + b"\n")
        except OSError as error:
            if not self.counts["failed"]:
                print(f"heads of black boxes are not kept: {self._path}: {error.strerror}", file=sys.stderr, flush=True)
            self.counts["failed"] += 1
            return
        self.counts["kept"] += 1

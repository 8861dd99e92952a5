"""When the machine itself stood still: what a figure that counts missed deadlines has to know about its host.

On each core a process of its own does nothing but sleep for a millisecond, at real-time priority where that is allowed,
and notes when it came back late. Nothing of ours runs before it, so what it misses, the kernel or the host above a
virtual machine took. A run of misses is the machine's if its first one would have been in time without the stalls
within it; the misses that follow without a gap are its tail. The count of all misses stays the figure: this tells
beside it how many of them no stall explains.
"""

from __future__ import annotations

import contextlib
import gc
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

SLEEP = 0.001
"""s of one sleep."""
LEAST = 0.001
"""s beyond its time from which on a sleep counts as a stall: ten times what a wake-up costs at rest."""

Span = tuple[float, float]
"""s of CLOCK_MONOTONIC, which all processes of a machine share"""


@dataclass
class Stalls:
    """What the watchers of all cores saw; complete once `watched` has ended."""

    spans: list[list[Span]] = field(default_factory=list)
    """Of each core, in order of time"""
    real_time: bool = False
    """Whether the watchers ran before everything else"""

    def within(self, span: Span) -> float:
        """How long the worst core stood in that time, s."""
        begin, end = span
        return max((sum(max(0.0, min(end, b) - max(begin, a)) for a, b in core) for core in self.spans), default=0.0)

    def explain(self, span: Span, limit: float) -> bool:
        """Whether what was due at the span's begin, and done at its end, had else been done within `limit` s."""
        begin, end = span
        return self.within(span) >= end - begin - limit

    def unexplained(self, runs: Sequence[Sequence[Span]], limit: float) -> int:
        """Misses that are not the machine's, of runs of misses without a gap between them; see `explain`."""
        return sum(len(run) for run in runs if not self.explain(run[0], limit))

    def words(self) -> str:
        """One line for a log."""
        longest = max((b - a for core in self.spans for a, b in core), default=0.0)
        count, total = sum(map(len, self.spans)), sum(b - a for core in self.spans for a, b in core)
        how = "at" if self.real_time else "without"
        return (
            f"the machine stood {count} times, {total:.2f} s on all cores together, {1e3 * longest:.0f} ms at most "
            f"(seen {how} real-time priority)"
        )


@contextlib.contextmanager
def watched() -> Iterator[Stalls]:
    """Watch every core that this process may run on; read the result after the block."""
    stalls = Stalls()
    watchers = [
        subprocess.Popen(
            [sys.executable, "-S", str(Path(__file__).resolve()), str(core)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for core in sorted(os.sched_getaffinity(0))
    ]
    for watcher in watchers:
        assert watcher.stdout is not None
        watcher.stdout.readline()
    try:
        yield stalls
    finally:
        told = [json.loads(watcher.communicate("", timeout=10.0)[0]) for watcher in watchers]
        stalls.spans = [[(a, b) for a, b in each["spans"]] for each in told]
        stalls.real_time = all(each["real_time"] for each in told)


def watch(core: int) -> None:
    """One core, until standard input ends; prints what it saw."""
    import select

    os.sched_setaffinity(0, {core})
    real_time = True
    try:
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(90))
    except PermissionError:
        real_time = False
    spans: list[Span] = []
    gc.disable()
    print("ready", flush=True)
    look = 0.0
    while True:
        before = time.monotonic()
        time.sleep(SLEEP)
        after = time.monotonic()
        if after - before > SLEEP + LEAST:
            spans.append((before + SLEEP, after))
        if after > look:
            look = after + 0.1
            if select.select([sys.stdin], [], [], 0.0)[0]:
                break
    print(json.dumps({"spans": spans, "real_time": real_time}))


if __name__ == "__main__":
    watch(int(sys.argv[1]))

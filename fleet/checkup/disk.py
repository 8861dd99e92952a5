"""The disk that a run is written to.

Each robot's black box takes 30 kB/s, and a task store acknowledges nothing before it is on disk.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from fleet.checkup.finding import Finding, Section, readable

SECTION = Section("disk")

BLACKBOX = 30e3
"""Bytes that a robot's black box takes in a second (docs/decisions.md, "Running")"""
HOURS = 8.0
"""A shift: so long a run must fit, own choice"""
SYNC_USUAL, SYNC_WORST = 0.05, 0.5
"""s of one fdatasync, half of them and all: a task is granted only when it is on disk, and a robot asks again after
0.2 s; the black box waits on a thread of its own, and a crash loses what is not on disk yet. Own choice."""


@dataclass(frozen=True)
class DiskFacts:
    """What was seen of the place for runs."""

    place: str
    """The folder, or the nearest one above it that is there"""
    error: str = ""
    """Why nothing can be written; empty where it can"""
    free: int = 0
    """Bytes that are free to us"""
    syncs: tuple[float, ...] = ()
    """What each write of 4 KiB took until it was on disk, s"""


def look(runs: Path, writes: int = 20, patience: float = 5.0) -> DiskFacts:
    """Write a few pages into the folder for runs, or into the one that it would be made in; nothing stays."""
    folder = runs.absolute()
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    try:
        free = shutil.disk_usage(folder).free
        with tempfile.TemporaryFile(dir=folder) as stream:
            syncs: list[float] = []
            end = time.monotonic() + patience
            while len(syncs) < writes and time.monotonic() < end:
                began = time.perf_counter()
                os.write(stream.fileno(), bytes(4096))
                os.fdatasync(stream.fileno())
                syncs.append(time.perf_counter() - began)
    except OSError as error:
        return DiskFacts(str(folder), error.strerror or str(error))
    return DiskFacts(str(folder), "", free, tuple(syncs))


def check(facts: DiskFacts, robots: int = 1) -> list[Finding]:
    """Judge them for so many robots."""
    place = readable(facts.place)
    if facts.error:
        return [
            SECTION.mend(
                "writable", f"{place}: {facts.error}", "a folder that this user can write to",
                "give another folder by --runs, or change its owner (chown)",
            )
        ]  # fmt: skip
    wanted = robots * BLACKBOX * 3600.0 * HOURS
    syncs = sorted(facts.syncs)
    usual, worst = syncs[len(syncs) // 2], syncs[-1]
    return [
        SECTION.ok("writable", place),
        SECTION.judged(
            facts.free >= wanted, "free", f"{facts.free / 1e9:.1f} GB",
            f"{wanted / 1e9:.1f} GB: {HOURS:g} h of black boxes of {robots} robot{'s' if robots > 1 else ''}",
            "take old runs away, or give a larger disk by --runs",
        ),
        SECTION.judged(
            usual <= SYNC_USUAL and worst <= SYNC_WORST, "fdatasync",
            f"half within {usual * 1e3:.2f} ms, the worst {worst * 1e3:.2f} ms ({len(syncs)} writes)",
            f"at most {SYNC_USUAL * 1e3:g} ms and {SYNC_WORST * 1e3:g} ms",
            "let runs go to a faster disk than this (an SSD rather than an SD card), and nothing else write there",
        ),
    ]  # fmt: skip

"""Whether robots stood only on cells that were theirs: the plant's true poses against the coordinator's committed log.

The grant log says who holds which cell at each stamp; a footprint (exact rectangle) says which cells a robot covers.
Per period every covered cell must be held by the robot that covers it, from its first grant on. This judges planner,
shield, drive and localisation together, and shares no code with any of them. Kinds of findings:

    off_grant   a robot covers a cell that it does not hold
    shared      two robots cover one cell
"""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fleet.oracle import rectangles_overlap
from sim.robot import SECOND
from sim.trace import Trace


@dataclass(frozen=True)
class Strayed:
    """A robot began to cover a cell that was not its own."""

    kind: str
    stamp: int
    """ns"""
    detail: str


def judge_ground(trace: Trace, store: Path) -> list[Strayed]:
    """Every stay of a robot on ground that it did not hold, once per robot and cell; the store is only read."""
    connection = sqlite3.connect(f"file:{store.resolve()}?mode=ro", uri=True)
    try:
        log = connection.execute("SELECT stamp, robot, cell, event FROM grant_log ORDER BY seq").fetchall()
    finally:
        connection.close()
    period, robot, cell = covered_cells(trace)
    starts = np.searchsorted(period, np.arange(len(trace.stamps) + 1))
    holder: dict[int, str] = {}
    known: set[str] = set()
    seen: set[tuple[str, str, int]] = set()
    found: list[Strayed] = []

    def find(kind: str, stamp: int, name: str, where: int, detail: str) -> None:
        if (kind, name, where) not in seen:
            seen.add((kind, name, where))
            found.append(Strayed(kind, stamp, f"{stamp / SECOND:.1f} s: {detail}"))

    at = 0
    for k, stamp in enumerate(trace.stamps.tolist()):
        while at < len(log) and log[at][0] <= stamp:
            _, name, where, event = log[at]
            if event == "release":
                if holder.get(where) == name:
                    del holder[where]
            else:
                holder[where] = name
                known.add(name)
            at += 1
        covering: dict[int, str] = {}
        for index in range(starts[k], starts[k + 1]):
            name, where = trace.names[robot[index]], int(cell[index])
            if where in covering:
                find("shared", stamp, name, where, f"{covering[where]} and {name} cover cell {where}")
            covering[where] = name
            if name in known and holder.get(where) != name:
                owner = holder.get(where, "nobody")
                find("off_grant", stamp, name, where, f"{name} covers cell {where}, held by {owner}")
    return found


def covered_cells(trace: Trace) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Period, robot and cell of each overlap of a footprint with a cell, ordered by period."""
    site, (length, width, _) = trace.site, trace.footprint
    poses = trace.poses.astype(np.float64)
    column = np.floor(poses[..., 0] / site.cell).astype(int)
    row = site.height - 1 - np.floor(poses[..., 1] / site.cell).astype(int)
    rings = int(np.ceil(np.hypot(length, width) / 2 / site.cell))
    parts = []
    for down in range(-rings, rings + 1):
        for across in range(-rings, rings + 1):
            r, c = row + down, column + across
            inside = (r >= 0) & (r < site.height) & (c >= 0) & (c < site.width)
            centre = np.zeros_like(poses)
            centre[..., 0] = (c + 0.5) * site.cell
            centre[..., 1] = (site.height - 1 - r + 0.5) * site.cell
            period, robot = np.nonzero(inside)
            hit = rectangles_overlap(length, width, poses[period, robot], site.cell, site.cell, centre[period, robot])
            parts.append(np.stack([period[hit], robot[hit], (r * site.width + c)[period[hit], robot[hit]]]))
    period, robot, cell = np.concatenate(parts, axis=1)
    order = np.argsort(period, kind="stable")
    return period[order], robot[order], cell[order]

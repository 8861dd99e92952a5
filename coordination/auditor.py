"""Finds what must never happen, from what was committed: double grants, early releases, lost and doubled tasks.

The auditor shares no module with what it audits: it reads the SQLite file itself, folds the logs by itself, and takes
where robots are from whoever knows it (a plant, black boxes, a rehearsal). It can follow a live store round by round
(`follow`) and judge the end (`close`), or do both at once (`audit`).

    double_grant         a cell is given to a robot while another holds it
    grant_while_stopped  a cell is given after an emergency stop and before its reset
    bad_release          a cell is taken from a robot that does not hold it
    early_release        a robot covers a cell that was taken from it
    trespass             a robot covers a cell that it was never given
    shared_cell          two robots cover one cell
    holdings_differ      the table of holdings is not what the log adds up to
    lost_task            a task was taken in and is not there, or ended without an attempt that says so
    doubled_task         a task was done twice, or two attempts at it live at once
    doubled_robot        a robot has two live attempts
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

DONE = 3
LIVE = (1, 2)
"""States in the file: ASSIGNED and RUNNING have a live attempt; the numbers are the file format's."""


@dataclass(frozen=True)
class Finding:
    """One thing that must not be."""

    kind: str
    stamp: int
    """Site time, ns; 0 where it has none"""
    detail: str


class Auditor:
    """Owns a read-only connection and what the logs add up to so far."""

    def __init__(self, path: Path | str) -> None:
        """`path` is a store's SQLite file; it may be in use."""
        self.findings: list[Finding] = []
        self.grants = 0
        """Cells given so far"""
        self._file = sqlite3.connect(f"file:{Path(path).resolve()}?mode=ro", uri=True, isolation_level=None)
        self._holder: dict[int, str] = {}
        self._last_holder: dict[int, str] = {}
        self._last_grant = 0
        self._last_event = 0
        self._stops: list[tuple[int, int]] = []
        """(stamp, 1 for a stop and 0 for its reset)"""
        self._done: dict[str, int] = {}
        self._submitted: set[str] = set()
        self._seen: set[tuple[str, str, int]] = set()
        self._known: set[str] = set()

    def follow(self, stamp: int = 0, footprints: Mapping[str, Iterable[int]] | None = None) -> list[Finding]:
        """Read what was committed since the last call, then judge where robots are; returns the new findings.

        `footprints`: every cell that each robot covers at `stamp`. It must be the truth of the moment at which the
        newest commit was made, or later, before the next. Robots that no log names yet are left out.
        """
        before = len(self.findings)
        with self._snapshot():
            self._read_events()
            self._read_grants()
        covered: dict[int, str] = {}
        for robot, cells in (footprints or {}).items():
            for cell in cells:
                if robot not in self._known:
                    continue
                if cell in covered:
                    self._once("shared_cell", stamp, f"{covered[cell]} and {robot} cover cell {cell}", robot, cell)
                covered[cell] = robot
                if self._holder.get(cell) != robot:
                    holder = self._holder.get(cell, "nobody")
                    kind = "early_release" if self._last_holder.get(cell) == robot else "trespass"
                    self._once(kind, stamp, f"{robot} covers cell {cell}, held by {holder}", robot, cell)
        return self.findings[before:]

    def close(self) -> list[Finding]:
        """Read the rest, judge tasks and tables as they stand, and let go of the file; returns all findings."""
        with self._snapshot():
            self._read_events()
            self._read_grants()
            self._judge_holdings()
            self._judge_tasks()
        self.stop()
        return self.findings

    def stop(self) -> None:
        """Let go of the file; safe to call twice."""
        self._file.close()

    @contextmanager
    def _snapshot(self) -> Iterator[None]:
        """All tables as of one commit, while the writer goes on."""
        self._file.execute("BEGIN")
        try:
            yield
        finally:
            self._file.execute("COMMIT")

    # cells -----------------------------------------------------------------------------------------------------

    def _read_grants(self) -> None:
        query = "SELECT seq, stamp, robot, cell, event FROM grant_log WHERE seq > ? ORDER BY seq"
        for seq, stamp, robot, cell, event in self._file.execute(query, (self._last_grant,)):
            self._last_grant = seq
            holder = self._holder.get(cell)
            if event == "release":
                if holder != robot:
                    self._find("bad_release", stamp, f"cell {cell} is taken from {robot}, held by {holder or 'nobody'}")
                elif holder is not None:
                    self._last_holder[cell] = self._holder.pop(cell)
                continue
            self.grants += 1
            self._known.add(robot)
            if holder is not None:
                self._find("double_grant", stamp, f"cell {cell} is given to {robot} while {holder} holds it")
            if event == "grant" and self._stopped(stamp):
                self._find("grant_while_stopped", stamp, f"cell {cell} is given to {robot}")
            self._holder[cell] = robot

    def _stopped(self, stamp: int) -> bool:
        """Whether a stop came strictly before and no reset since; within one stamp the order is not known."""
        state = 0
        for when, stop in self._stops:
            if when < stamp:
                state = stop
        return bool(state)

    def _judge_holdings(self) -> None:
        table: dict[int, str] = {}
        for robot, cell in self._file.execute("SELECT robot, cell FROM holdings"):
            if cell in table:
                self._find("holdings_differ", 0, f"cell {cell} is held by {table[cell]} and {robot}")
            table[cell] = robot
        for cell in sorted(table.keys() | self._holder.keys()):
            if table.get(cell) != self._holder.get(cell):
                says, adds_up = table.get(cell, "nobody"), self._holder.get(cell, "nobody")
                self._find("holdings_differ", 0, f"cell {cell}: the table says {says}, the log {adds_up}")

    # tasks -----------------------------------------------------------------------------------------------------

    def _read_events(self) -> None:
        query = "SELECT seq, stamp, event, task FROM events WHERE seq > ? ORDER BY seq"
        for seq, stamp, event, task in self._file.execute(query, (self._last_event,)):
            self._last_event = seq
            if event == "submit":
                self._submitted.add(task)
            elif event == "finish":
                self._done[task] = self._done.get(task, 0) + 1
                if self._done[task] > 1:
                    self._find("doubled_task", stamp, f"task {task} is done for the {self._done[task]}. time")
            elif event in ("stop", "stop_reset"):
                self._stops.append((stamp, int(event == "stop")))

    def _judge_tasks(self) -> None:
        state = dict(self._file.execute("SELECT id, state FROM tasks"))
        for task in sorted(self._submitted - state.keys()):
            self._find("lost_task", 0, f"task {task} was taken in and is not there")
        for task in sorted(state.keys() - self._submitted):
            self._find("lost_task", 0, f"task {task} is there and was never taken in")
        live: dict[str, list[int]] = {}
        done: dict[str, int] = {}
        busy: dict[str, list[str]] = {}
        for task, attempt, robot, ended, outcome in self._file.execute(
            "SELECT task, attempt, robot, ended, outcome FROM attempts ORDER BY task, attempt"
        ):
            if ended is None:
                live.setdefault(task, []).append(attempt)
                busy.setdefault(robot, []).append(task)
            elif outcome == "done":
                done[task] = done.get(task, 0) + 1
        for task, attempts in live.items():
            if len(attempts) > 1:
                self._find("doubled_task", 0, f"task {task} has live attempts {attempts}")
        for robot, tasks in busy.items():
            if len(tasks) > 1:
                self._find("doubled_robot", 0, f"{robot} has {', '.join(tasks)} at once")
        for task, count in done.items():
            if count > 1:
                self._find("doubled_task", 0, f"task {task} was done in {count} attempts")
        for task, value in state.items():
            if value == DONE and (done.get(task, 0) == 0 or self._done.get(task, 0) == 0):
                self._find("lost_task", 0, f"task {task} counts as done and no attempt did it")
            if value != DONE and (done.get(task, 0) or self._done.get(task, 0)):
                self._find("lost_task", 0, f"task {task} was done and is in state {value}")
            if (value in LIVE) != (task in live):
                self._find("lost_task", 0, f"task {task} in state {value} has live attempts {live.get(task, [])}")

    def _find(self, kind: str, stamp: int, detail: str) -> None:
        self.findings.append(Finding(kind, stamp, detail))

    def _once(self, kind: str, stamp: int, detail: str, robot: str, cell: int) -> None:
        """A robot that stays where it must not be is one finding, not one in each round."""
        if (kind, robot, cell) not in self._seen:
            self._seen.add((kind, robot, cell))
            self._find(kind, stamp, detail)


def audit(path: Path | str) -> list[Finding]:
    """Everything that must never happen and did, by a store's logs."""
    return Auditor(path).close()

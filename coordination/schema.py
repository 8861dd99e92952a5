"""The tables of `tasks.sqlite`: tasks, their attempts, two logs, cells that robots hold, pods, the stop latch, leases.

The store (`tasks`) is their only writer; reports and auditors read them. A table or column that is added needs a new
version, so that an older program refuses the file instead of misreading it.
"""

from __future__ import annotations

from dataclasses import dataclass

SCHEMA_VERSION = 4
"""2 added `epochs`, 3 `pods`, 4 `leases`; an older store gets the tables when it is opened."""

SCHEMA = """
CREATE TABLE IF NOT EXISTS tasks (
    id TEXT PRIMARY KEY, body BLOB NOT NULL, state INTEGER NOT NULL, attempt INTEGER NOT NULL, robot TEXT NOT NULL,
    legs_done INTEGER NOT NULL, submitted INTEGER NOT NULL, changed INTEGER NOT NULL, reason TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS tasks_state ON tasks (state);
CREATE TABLE IF NOT EXISTS attempts (
    task TEXT NOT NULL, attempt INTEGER NOT NULL, robot TEXT NOT NULL, started INTEGER NOT NULL, ended INTEGER,
    outcome TEXT NOT NULL, PRIMARY KEY (task, attempt)
);
CREATE TABLE IF NOT EXISTS events (
    seq INTEGER PRIMARY KEY AUTOINCREMENT, stamp INTEGER NOT NULL, event TEXT NOT NULL, task TEXT NOT NULL,
    attempt INTEGER NOT NULL, robot TEXT NOT NULL, detail TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS holdings (
    robot TEXT NOT NULL, cell INTEGER NOT NULL, since INTEGER NOT NULL, grant_id INTEGER NOT NULL,
    PRIMARY KEY (robot, cell)
);
CREATE TABLE IF NOT EXISTS grant_log (
    seq INTEGER PRIMARY KEY AUTOINCREMENT, stamp INTEGER NOT NULL, robot TEXT NOT NULL, cell INTEGER NOT NULL,
    event TEXT NOT NULL, grant_id INTEGER NOT NULL
);
CREATE TABLE IF NOT EXISTS latch (
    id INTEGER PRIMARY KEY CHECK (id = 1), stopped INTEGER NOT NULL, stop_epoch INTEGER NOT NULL,
    stamp INTEGER NOT NULL, by TEXT NOT NULL, reason TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS epochs (
    seq INTEGER PRIMARY KEY AUTOINCREMENT, sender TEXT NOT NULL, epoch INTEGER NOT NULL, UNIQUE (sender, epoch)
);
CREATE TABLE IF NOT EXISTS pods (home INTEGER PRIMARY KEY, cell INTEGER NOT NULL, robot TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS leases (
    robot TEXT PRIMARY KEY, number INTEGER NOT NULL, operator TEXT NOT NULL, by TEXT NOT NULL,
    expires INTEGER NOT NULL, ended INTEGER NOT NULL
)
"""
"""The logs `events` and `grant_log` are append-only; `event` of the latter is `grant`, `release`, or `cover` for a cell
that a robot gets because it stands there already."""


@dataclass(frozen=True)
class Holding:
    """A cell that a robot holds."""

    cell: int
    since: int
    """Stamp, ns"""
    grant_id: int


@dataclass(frozen=True)
class Pod:
    """Where a pod is."""

    cell: int
    """In which it stands; -1 while it is carried"""
    robot: str = ""
    """Who carries it"""


@dataclass(frozen=True)
class Latch:
    """The fleet's emergency stop as it stands on disk."""

    stopped: bool = False
    stop_epoch: int = 0
    """Counts the stops; a reset names the one that it ends."""
    stamp: int = 0
    by: str = ""
    reason: str = ""

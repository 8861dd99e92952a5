"""Which operator has which robot, on disk: a row for each such robot, from the taking to the handing back.

A lease ends at its stamp; its row stays, because the robot does: until somebody hands it back it drives itself no more
than it was driven (`jog` says why, and who may). Reads come from memory; every change is on disk when it returns, or
with the caller's transaction.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from coordination.tasks import Store


@dataclass(frozen=True)
class Lease:
    """One operator's time with one robot."""

    number: int
    """Counts the leases on this store, from 1"""
    operator: str
    """Proven by a signature"""
    by: str
    """Which person and terminal, as they say themselves: an operator's name may be several's"""
    expires: int
    """Stamp at which it ends, ns"""
    ended: bool = False
    """Its end is in the log"""


class Leases:
    """Owns the table of leases and its mirror in memory."""

    def __init__(self, store: Store) -> None:
        """Read what the store has."""
        self.store = store
        self.held: Mapping[str, Lease] = {}
        """By robot; another mapping after every change"""
        store.follow(self._read)

    def take(self, robot: str, operator: str, by: str, expires: int, now: int) -> Lease:
        """A robot becomes an operator's; the lease that it was under before has ended."""
        query = "SELECT count(*) FROM events WHERE event = 'jog_take'"
        with self.store.transaction():
            number = self.store.connection.execute(query).fetchone()[0] + 1
            lease = Lease(number, operator, by, expires)
            self.store.note("jog_take", now, robot=robot, detail=f"{number} by {operator} ({by})")
            self._write(robot, lease)
        return lease

    def extend(self, robot: str, expires: int) -> Lease:
        """A lease goes on until `expires`."""
        lease = replace(self.held[robot], expires=expires)
        self._write(robot, lease)
        return lease

    def end(self, robot: str, now: int) -> None:
        """Put on record that a lease has ended by itself."""
        lease = self.held[robot]
        with self.store.transaction():
            self.store.note("jog_end", now, robot=robot, detail=f"{lease.number} by itself")
            self._write(robot, replace(lease, ended=True))

    def hand_back(self, robot: str, by: str, now: int) -> None:
        """The robot is its own again."""
        with self.store.transaction():
            self.store.note("jog_return", now, robot=robot, detail=f"{self.held[robot].number} by {by}")
            self.store.connection.execute("DELETE FROM leases WHERE robot = ?", (robot,))
            self.held = {other: lease for other, lease in self.held.items() if other != robot}

    def _write(self, robot: str, lease: Lease) -> None:
        row = (robot, lease.number, lease.operator, lease.by, lease.expires, int(lease.ended))
        with self.store.transaction():
            self.store.connection.execute(
                "INSERT OR REPLACE INTO leases (robot, number, operator, by, expires, ended) VALUES (?,?,?,?,?,?)", row
            )
            self.held = {**self.held, robot: lease}

    def _read(self) -> None:
        rows = self.store.connection.execute(
            "SELECT robot, number, operator, by, expires, ended FROM leases ORDER BY number"
        )
        self.held = {
            robot: Lease(number, operator, by, expires, bool(ended))
            for robot, number, operator, by, expires, ended in rows
        }

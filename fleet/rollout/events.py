"""The rollout's store: RUN/rollout.sqlite, one row per event, each with the hash of the one before.

    number, stamp, who, event (JSON), signature, before, hash

`append` folds what is there, asks `stages.handle` whether the event holds, and commits it before anybody acts on it:
whoever is killed in between finds at the next start what was decided. Two that write wait for each other for a moment,
and the second sees what the first wrote. Nobody keeps the file open, so an operator's command works beside the service.

A kill or a rollback takes authority away, and must not wait for room: beside the store lies a file of RESERVE bytes
that is given up for it on a full disk.

An operator's order is kept with its signature; whoever reads with the fleet key checks each again, so that a row that
was written past this module is found (`broken`) and nobody goes by such a store.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import msgspec

from coordination.database import Database, StoreError, StoreFull
from coordination.keys import Keys
from fleet.registry.audit import Entry, broken, following
from fleet.rollout import authority
from fleet.rollout.authority import Signed
from fleet.rollout.plan import RolloutError
from fleet.rollout.record import AnyEvent, Command, Order, State
from fleet.rollout.stages import handle

FILE = "rollout.sqlite"
"""Of a run's directory."""
VERSION = 1
SCHEMA = """
CREATE TABLE IF NOT EXISTS events (
    number INTEGER PRIMARY KEY, stamp INTEGER NOT NULL, who TEXT NOT NULL, event TEXT NOT NULL,
    signature TEXT NOT NULL, before TEXT NOT NULL, hash TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS refused (stamp INTEGER NOT NULL, who TEXT NOT NULL, verb TEXT NOT NULL, why TEXT NOT NULL)
"""
RESERVE = 1 << 20
"""Bytes: a store's write-ahead log takes some 10,000 for an order, and what SQLite shares between processes 32,000."""
WAIT = 5.0
"""s that a writer waits for another one: each holds the file for some milliseconds."""


class _File(Database):
    holder = "process that writes the rollout"
    place = "run directory"


@dataclass(frozen=True)
class Row:
    """One event as it is kept."""

    number: int
    stamp: int
    who: str
    event: AnyEvent
    signature: str
    entry: Entry


@dataclass(frozen=True)
class Refusal:
    """An order that was not taken."""

    stamp: int
    who: str
    verb: str
    why: str


class Store:
    """Knows where a rollout's events are and with which keys orders are checked; owns no open file.

    Raises RolloutError for an event that is refused and StoreError for a file that cannot be read or written (a full
    disk is its StoreFull): nothing of the event is then stored.
    """

    def __init__(self, path: Path, keys: Keys, clock: Callable[[], int] = time.time_ns) -> None:
        """`clock` dates events: ns of the site's."""
        self.path, self._keys, self._clock = path, keys, clock

    def append(self, event: AnyEvent, who: str = "rollout") -> tuple[State, tuple[Command, ...]]:
        """Add an event of the service's own; the state after it and what is to be done."""
        if isinstance(event, Order):
            raise RolloutError("expected an operator's order to be signed, this one is not; use `order`")
        return self._add(event, who, "")

    def order(self, signed: Signed, heard: int | None = None) -> tuple[State, tuple[Command, ...]]:
        """Take an operator's order; what is not proven, or refused, is noted and raises RolloutError.

        `heard`: when it came (ns), for one that could not be written then.
        """
        try:
            order = authority.proven(signed, self._keys, self._clock() if heard is None else heard)
            rollout = self.state().rollout
            if signed.rollout != rollout:
                raise RolloutError(f"the order is for {signed.rollout[:32]}, this rollout is {rollout}; give its run")
            return self._add(order, order.by, msgspec.json.encode(signed).decode(), order.verb in ("kill", "rollback"))
        except RolloutError as error:
            self._note_refusal(signed, str(error))
            raise

    def now(self) -> int:
        """The store's clock, ns."""
        return self._clock()

    def state(self) -> State:
        """The state now. Raises RolloutError where the log is not what was written."""
        rows = self.rows()
        return self._fold(rows)

    def newest(self) -> int:
        """Number of the newest event, without a look at the others; 0 for none."""
        if not self.path.exists():
            return 0
        with closing(self._open(read_only=True)) as file:
            return file.rows("SELECT COALESCE(MAX(number), 0) FROM events")[0][0]

    def rows(self) -> list[Row]:
        """Every event, the oldest first."""
        if not self.path.exists():
            return []
        with closing(self._open(read_only=True)) as file:
            return _rows(file)

    def refusals(self) -> list[Refusal]:
        """Orders that were not taken."""
        if not self.path.exists():
            return []
        with closing(self._open(read_only=True)) as file:
            return [Refusal(*row) for row in file.rows("SELECT * FROM refused ORDER BY rowid")]

    def _add(
        self, event: AnyEvent, who: str, signature: str, urgent: bool = False
    ) -> tuple[State, tuple[Command, ...]]:
        try:
            added = self._written(event, who, signature)
        except StoreFull:
            if not urgent or not self._reserve.exists():
                raise
            self._reserve.unlink(missing_ok=True)
            return self._written(event, who, signature)
        self._keep_reserve()
        return added

    @property
    def _reserve(self) -> Path:
        return self.path.with_suffix(".reserve")

    def _keep_reserve(self) -> None:
        """Lay the reserve by, if it is not there; without room for it there is none."""
        if self._reserve.exists():
            return
        try:
            with self._reserve.open("wb") as file:
                os.posix_fallocate(file.fileno(), 0, RESERVE)
        except OSError:
            self._reserve.unlink(missing_ok=True)

    def _written(self, event: AnyEvent, who: str, signature: str) -> tuple[State, tuple[Command, ...]]:
        with closing(self._open()) as file, file.transaction():
            rows = _rows(file)
            before = self._fold(rows)
            if signature and any(row.signature == signature for row in rows):
                raise RolloutError("expected a new order, this one was taken before; say it again with the key")
            now = self._clock()
            event = msgspec.structs.replace(event, stamp=now)
            state, commands = handle(before, event)
            text = msgspec.json.encode(event).decode()
            entry = following(rows[-1].entry if rows else None, now, who, "event", _what(text, signature))
            file.connection.execute(
                "INSERT INTO events VALUES (?, ?, ?, ?, ?, ?, ?)",
                (entry.number, now, who, text, signature, entry.before, entry.hash),
            )
        return state, commands

    def _fold(self, rows: list[Row]) -> State:
        if fault := broken(row.entry for row in rows):
            raise RolloutError(f"{self.path} is not as it was written: {fault}; robots go back to the old release")
        state = State()
        for row in rows:
            if isinstance(row.event, Order):
                self._check(row)
            state, _ = handle(state, row.event)
        return state

    def _check(self, row: Row) -> None:
        try:
            signed = msgspec.json.decode(row.signature, type=Signed)
            told = authority.proven(signed, self._keys)
        except (msgspec.MsgspecError, RolloutError) as error:
            raise RolloutError(
                f"event {row.number} in {self.path} is an order that nobody proved ({error}); restore the file"
            ) from error
        if msgspec.structs.replace(told, stamp=row.event.stamp) != row.event:
            raise RolloutError(f"event {row.number} in {self.path} is not the order that {signed.by} signed")

    def _note_refusal(self, signed: Signed, why: str) -> None:
        try:
            with closing(self._open()) as file, file.transaction():
                file.connection.execute(
                    "INSERT INTO refused VALUES (?, ?, ?, ?)",
                    (self._clock(), signed.by[:32], signed.verb[:32], why[:1000]),
                )
        except StoreError:
            pass  # the refusal itself is what counts, and it is raised

    def _open(self, *, read_only: bool = False) -> _File:
        deadline = time.monotonic() + WAIT
        while True:
            try:
                return _File(self.path, schema=SCHEMA, version=VERSION, read_only=read_only)
            except StoreError as error:
                if ("in use" not in str(error) and "locked" not in str(error)) or time.monotonic() > deadline:
                    raise
                time.sleep(0.02)


def _rows(file: Database) -> list[Row]:
    found = []
    for number, stamp, who, text, signature, before, digest in file.rows(
        "SELECT number, stamp, who, event, signature, before, hash FROM events ORDER BY number"
    ):
        try:
            event = _DECODE(text)
        except msgspec.MsgspecError as error:
            raise RolloutError(f"event {number} in {file.path} cannot be read ({error}); restore the file") from error
        entry = Entry(number, stamp, who, "event", _what(text, signature), before, digest)
        found.append(Row(number, stamp, who, event, signature, entry))
    return found


def _what(text: str, signature: str) -> dict[str, str]:
    return {"event": text, "signature": signature}


_DECODE = msgspec.json.Decoder(AnyEvent).decode

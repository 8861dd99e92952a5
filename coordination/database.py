"""One SQLite file that survives kill -9 and power loss: what is committed is on disk, what is not never happened.

WAL with synchronous=FULL syncs the log at each commit (NORMAL would lose commits at a power failure). Many changes
share one commit: `with database.transaction():` groups them, and an inner transaction joins the outer one. A lock
file beside the database keeps a second writer out; readers open the file read-only and need no lock.

Every failure becomes a `StoreError` of one line. After one raised from a transaction nothing of that transaction is
on disk: SQLite rolled it back, or its frames have no commit mark and are ignored at the next start.
"""

from __future__ import annotations

import fcntl
import os
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from sim.errors import MusterError

APPLICATION_ID = 0x4D535452
"""`MSTR`: tells our files from other SQLite files (PRAGMA application_id)."""

NO_SPACE = {sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR_WRITE, sqlite3.SQLITE_IOERR_FSYNC, sqlite3.SQLITE_IOERR_SHMSIZE}
"""What SQLite says when the disk takes no more: FULL for ENOSPC, IOERR_WRITE for a file size limit."""

PUT_AWAY = 1.0
"""s that a closing writer waits for readers, to leave one file behind instead of three."""

CORRUPT = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}


class StoreError(MusterError):
    """The database cannot be opened, read or written."""


class StoreFull(StoreError):
    """The disk takes no more; nothing of the transaction is stored."""


class Database:
    """Owns one SQLite connection (and, when it writes, the lock file beside it)."""

    holder = "coordinator"
    """Who writes such a file, for messages"""
    place = "run directory"
    """Where it lies"""

    def __init__(self, path: Path | str, *, schema: str, version: int, read_only: bool = False) -> None:
        """Open or create the file; check that it is ours, whole, and of a schema that we know.

        Raises StoreError with one line when the file is another program's, broken, newer, or in use.
        """
        self.path = Path(path)
        self.read_only = read_only
        self._depth = 0
        self._lock: IO[str] | None = None
        self._opened = False
        self._followers: list[Callable[[], None]] = []
        try:
            if not read_only:
                self._lock = self._take_lock()
            with self._explained("open"):
                self.connection = self._connect()
                self._check(schema, version)
            self._opened = True
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Close the connection and let the lock go; safe to call twice.

        A writer takes the log into the file and the file out of WAL mode: a later reader, who may not write, would
        else make -wal and -shm files and leave them.
        """
        connection = getattr(self, "connection", None)
        if connection is not None:
            if self._opened and not self.read_only:
                self._opened = False
                self._put_log_away()
            connection.close()
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Commit everything inside at once, or nothing of it. An inner transaction joins the outer one."""
        if self._depth:
            with self._nested():
                yield
            return
        with self._explained("write"):
            self.connection.execute("BEGIN IMMEDIATE")
        self._depth = 1
        try:
            with self._explained("write"):
                yield
                self.connection.execute("COMMIT")
        except BaseException:
            self._roll_back()
            raise
        finally:
            self._depth = 0

    @contextmanager
    def _nested(self) -> Iterator[None]:
        # A savepoint, so that a caller who catches the inner error goes on with nothing of it half done.
        with self._explained("write"):
            self.connection.execute("SAVEPOINT inner_part")
        self._depth += 1
        try:
            with self._explained("write"):
                yield
                self.connection.execute("RELEASE inner_part")
        except BaseException:
            if self.connection.in_transaction:
                self.connection.execute("ROLLBACK TO inner_part")
                self.connection.execute("RELEASE inner_part")
                self._forget_all()
            raise
        finally:
            self._depth -= 1

    def forget(self) -> None:
        """Called after a rollback: drop whatever was kept in memory of the transaction."""

    def follow(self, read: Callable[[], None]) -> None:
        """Call `read` now and after each rollback: for whoever keeps in memory what stands in a table."""
        with self._explained("read"):
            read()
        self._followers.append(read)

    def _forget_all(self) -> None:
        self.forget()
        for read in self._followers:
            read()

    def rows(self, query: str, values: tuple[str | int, ...] = ()) -> list[tuple]:
        """What a SELECT finds. Raises StoreError where the file cannot be read, or is not as it must be."""
        with self._explained("read"):
            return self.connection.execute(query, values).fetchall()

    def pragma(self, name: str) -> int | str:
        """The value of a pragma, as SQLite reports it."""
        return self.connection.execute(f"PRAGMA {name}").fetchone()[0]

    def _roll_back(self) -> None:
        try:
            if self.connection.in_transaction:
                self.connection.execute("ROLLBACK")
            self._forget_all()
        except sqlite3.Error:
            # The disk failed under us; closing loses the open transaction, which is what we want.
            self.connection.close()

    def _put_log_away(self) -> None:
        deadline = time.monotonic() + PUT_AWAY
        while True:
            try:
                self.connection.execute("PRAGMA journal_mode=DELETE")
                return
            except sqlite3.OperationalError as error:
                locked = error.sqlite_errorcode & 0xFF in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)
                if not locked or time.monotonic() > deadline:
                    return  # in a transaction, or read: what is committed is safe in the log all the same
                time.sleep(0.02)
            except sqlite3.Error:
                return  # closed already, or the disk failed

    def _take_lock(self) -> IO[str]:
        path = self.path.with_name(self.path.name + ".lock")
        try:
            lock = open(path, "w")  # noqa: SIM115 - held open for as long as this object lives
        except OSError as error:
            raise StoreError(f"cannot write {self.path}: {error.strerror}; name a directory that exists") from None
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            lock.close()
            raise StoreError(
                f"{self.path} is in use by another {self.holder}; stop it or name another {self.place}"
            ) from None
        return lock

    def _connect(self) -> sqlite3.Connection:
        if self.read_only:
            if not self.path.exists():
                raise StoreError(f"{self.path} does not exist; name the {self.place} of a {self.holder}")
            place = f"{self.path.absolute().as_uri()}?mode=ro"  # quoted: a name may hold `?`, `#` and `%`
            return sqlite3.connect(place, uri=True, isolation_level=None, timeout=2.0)
        return sqlite3.connect(os.fspath(self.path), isolation_level=None, timeout=2.0)

    def _check(self, schema: str, version: int) -> None:
        application, found = self.pragma("application_id"), int(self.pragma("user_version"))
        tables = self.connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
        if tables and application != APPLICATION_ID:
            raise StoreError(f"{self.path} is a database of another program; name another {self.place}")
        if self.read_only and not tables:
            raise StoreError(f"{self.path} holds nothing; restore it, or name another {self.place}")
        if found > version:
            raise StoreError(
                f"{self.path} has schema {found} and this muster knows schemas up to {version}; "
                f"use a newer muster or another {self.place}"
            )
        problem = self.pragma("quick_check")
        if problem != "ok":
            raise StoreError(f"{self.path} is damaged ({str(problem).splitlines()[0]}); restore it or move it away")
        if self.read_only:
            return
        mode = self.connection.execute("PRAGMA journal_mode=WAL").fetchone()[0]
        self.connection.execute("PRAGMA synchronous=FULL")
        if mode != "wal" or self.pragma("synchronous") != 2:
            raise StoreError(f"{self.path}: the file system gives no write-ahead log; use a local disk")
        if found < version:
            self.connection.execute("BEGIN IMMEDIATE")
            for statement in schema.split(";"):
                if statement.strip():
                    self.connection.execute(statement)
            self.connection.execute(f"PRAGMA application_id={APPLICATION_ID}")
            self.connection.execute(f"PRAGMA user_version={version}")
            self.connection.execute("COMMIT")

    @contextmanager
    def _explained(self, deed: str) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR)
            if code in NO_SPACE:
                raise StoreFull(f"cannot {deed} {self.path}: the disk takes no more; free some space") from error
            if code & 0xFF in CORRUPT:
                raise StoreError(f"{self.path} is damaged ({error}); restore it or move it away") from error
            raise StoreError(f"cannot {deed} {self.path}: {error}") from error

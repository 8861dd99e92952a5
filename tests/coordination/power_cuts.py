"""Power loss as an oracle: cut the write-ahead log at every frame, open the store, compare with what was committed.

Shared by a test and by the benchmark `coordinator_kill`. The cut log may also end in the middle of a frame, with or
without rubbish behind it, as a disk may leave it.
"""

from __future__ import annotations

import contextlib
import random
import shutil
import struct
from dataclasses import dataclass
from pathlib import Path

from coordination.lifecycle import TaskEvent
from coordination.messages import Leg, LegKind
from coordination.requests import Task, TaskState
from coordination.tasks import Store

WAL_HEADER, FRAME_HEADER = 32, 24  # bytes; https://www.sqlite.org/fileformat2.html#the_write_ahead_log

TABLES = ("tasks", "attempts", "events", "holdings", "grant_log", "latch", "pods")


@dataclass(frozen=True)
class Cuts:
    """What came of cutting one log everywhere."""

    tried: int
    lost: int
    """Cuts after which something committed was not there"""
    half: int
    """Cuts after which something was there that no commit had put there, or the store did not open"""


def cut_everywhere(folder: Path, *, ticks: int, seed: int, grouped: bool = True) -> Cuts:
    """Fill a store with random ticks, then lose power at every frame of its log.

    Each cut log is opened; it must hold exactly what the last commit whose frames are whole had left. With
    `grouped=False` the ticks are not transactions: the fault that this oracle is to find.
    """
    path = folder / "tasks.sqlite"
    log = folder / "tasks.sqlite-wal"
    store = Store(path)
    store.connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    store.connection.execute("PRAGMA wal_autocheckpoint=0")
    draw = random.Random(seed)
    states = [(0, _dump(store))]
    for number in range(1, ticks + 1):
        with store.transaction() if grouped else contextlib.nullcontext():
            _tick(store, draw, number)
        states.append((log.stat().st_size, _dump(store)))
    base, whole = path.read_bytes(), log.read_bytes()
    store.close()
    frame = FRAME_HEADER + struct.unpack(">I", whole[8:12])[0]
    frames = (len(whole) - WAL_HEADER) // frame
    tried = lost = half = 0
    for index in range(frames + 1):
        end = WAL_HEADER + index * frame
        torn = draw.randrange(1, frame) if index < frames else 0
        rubbish = draw.randbytes(frame - torn) if torn else b""
        expected = max(number for number, (size, _) in enumerate(states) if size <= end)
        for content in {whole[:end], whole[: end + torn], whole[: end + torn] + rubbish}:
            tried += 1
            found = _reopened(folder / "cut", base, content, goes_on=tried % 20 == 0)
            if found != states[expected][1]:
                earlier = any(found == state for _, state in states[:expected])
                lost, half = lost + earlier, half + (not earlier)
    return Cuts(tried, lost, half)


def _reopened(folder: Path, base: bytes, log: bytes, *, goes_on: bool) -> dict[str, list[tuple]] | None:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    (folder / "tasks.sqlite").write_bytes(base)
    (folder / "tasks.sqlite-wal").write_bytes(log)
    store = Store(folder / "tasks.sqlite", read_only=not goes_on)
    found = _dump(store)
    if goes_on:
        store.submit([Task("afterwards", (Leg(1, LegKind.VISIT),))], 10**12)
    store.close()
    return found


def _dump(store: Store) -> dict[str, list[tuple]]:
    return {table: store.connection.execute(f"SELECT * FROM {table} ORDER BY 1, 2").fetchall() for table in TABLES}


def _tick(store: Store, draw: random.Random, number: int) -> None:
    """Some of everything that a tick can change."""
    store.submit([Task(f"t{number}-{i}", (Leg(1, LegKind.VISIT),)) for i in range(draw.randrange(4))], number)
    for record in store.next_queued(number, limit=draw.randrange(3)):
        store.assign(record.task.id, f"r{draw.randrange(5)}", number)
    for record in list(store.open_tasks().values()):
        event = draw.random()
        if event < 0.2:
            store.progress(record.task.id, record.attempt, draw.randrange(3), number)
        elif event < 0.3:
            store.finish(record.task.id, record.attempt, TaskState.DONE, number)
        elif event < 0.35:
            store.requeue(record.task.id, record.attempt, "blocked", number)
        elif event < 0.4:
            store.change(record.task.id, TaskEvent.CANCEL, number)
    robot = f"r{draw.randrange(5)}"
    store.hold(robot, draw.sample(range(100), 3), number, number)
    store.release(robot, [holding.cell for holding in store.holdings(robot)[robot][:2]], number)
    if draw.random() < 0.1:
        store.set_latch(not store.latch().stopped, number, number, "ann")
    store.keep_pods((number % 7,))
    store.place_pod(number % 7, draw.randrange(-1, 100), robot, number)

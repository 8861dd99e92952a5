"""The task store: its state machine, its transactions, and what it survives."""

from __future__ import annotations

import itertools
import os
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from coordination.database import StoreError
from coordination.lifecycle import AGEING, TERMINAL, URGENT, TaskEvent, transition
from coordination.messages import Leg, LegKind
from coordination.requests import Task, TaskState
from coordination.schema import Holding
from coordination.tasks import Store
from coordination.wire import EPOCHS_REMEMBERED
from sim.robot import SECOND

S, E = TaskState, TaskEvent

ALLOWED = {
    (S.QUEUED, E.ASSIGN): S.ASSIGNED,
    (S.QUEUED, E.FAIL): S.FAILED,
    (S.QUEUED, E.CANCEL): S.CANCELLED,
    (S.QUEUED, E.SUSPEND): S.SUSPENDED,
    (S.ASSIGNED, E.START): S.RUNNING,
    (S.ASSIGNED, E.FINISH): S.DONE,
    (S.ASSIGNED, E.FAIL): S.FAILED,
    (S.ASSIGNED, E.CANCEL): S.CANCELLED,
    (S.ASSIGNED, E.REQUEUE): S.QUEUED,
    (S.ASSIGNED, E.SUSPEND): S.SUSPENDED,
    (S.RUNNING, E.FINISH): S.DONE,
    (S.RUNNING, E.FAIL): S.FAILED,
    (S.RUNNING, E.CANCEL): S.CANCELLED,
    (S.RUNNING, E.REQUEUE): S.QUEUED,
    (S.SUSPENDED, E.RESUME): S.QUEUED,
    (S.SUSPENDED, E.FAIL): S.FAILED,
    (S.SUSPENDED, E.CANCEL): S.CANCELLED,
}


def make_task(name: str, priority: int = 0, deadline: int = 0) -> Task:
    return Task(name, (Leg(3, LegKind.FETCH, 2.0), Leg(7, LegKind.DELIVER)), priority=priority, deadline=deadline)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with_store = Store(tmp_path / "tasks.sqlite")
    yield with_store
    with_store.close()


@pytest.mark.parametrize(("state", "event"), list(itertools.product(TaskState, TaskEvent)))
def test_every_state_answers_every_event_as_the_table_says(state: TaskState, event: TaskEvent) -> None:
    assert transition(state, event) == ALLOWED.get((state, event))


def test_nothing_leaves_a_terminal_state() -> None:
    assert {state for state in TaskState if all(transition(state, event) is None for event in TaskEvent)} == TERMINAL


def test_a_task_lives_from_submission_to_done_and_survives_a_reopening(tmp_path: Path) -> None:
    store = Store(tmp_path / "tasks.sqlite")
    assert store.submit([make_task("a")], now=1) == ("a",)
    attempt = store.assign("a", "r1", now=2)
    assert store.progress("a", attempt, 0, now=3)
    assert store.progress("a", attempt, 1, now=4)
    store.close()
    store = Store(tmp_path / "tasks.sqlite")
    record = store.open_tasks()["a"]
    assert (record.state, record.robot, record.attempt, record.legs_done) == (S.RUNNING, "r1", 1, 1)
    assert record.task == make_task("a")
    assert store.finish("a", attempt, S.DONE, now=5)
    assert store.counts()["DONE"] == 1
    assert store.open_tasks() == {}
    store.close()
    again = Store(tmp_path / "tasks.sqlite", read_only=True)
    assert again.counts()["DONE"] == 1
    log = [row[0] for row in again.connection.execute("SELECT event FROM events ORDER BY seq")]
    assert log == ["submit", "assign", "start", "leg", "finish"]
    again.close()


def test_a_task_submitted_twice_is_one_task(store: Store) -> None:
    store.submit([make_task("a")], now=1)
    assert store.submit([make_task("a"), make_task("b")], now=2) == ("a", "b")
    assert store.counts()["QUEUED"] == 2
    store.finish("a", store.assign("a", "r1", now=3), S.DONE, now=4)
    assert store.submit([make_task("a")], now=5) == ("a",)
    assert store.counts() == {**store.counts(), "DONE": 1, "QUEUED": 1}


def test_an_id_taken_by_another_task_refuses_the_whole_submission(store: Store) -> None:
    store.submit([make_task("a")], now=1)
    with store.transaction():
        with pytest.raises(StoreError, match="already here with other content"):
            store.submit([make_task("b"), make_task("a", priority=3)], now=2)
        store.submit([make_task("c")], now=2)
    assert set(store.open_tasks()) == {"a", "c"}


@pytest.mark.parametrize("name", ["", "a b", "x" * 65, "a;drop"])
def test_a_malformed_id_is_refused(store: Store, name: str) -> None:
    with pytest.raises(StoreError, match="is not 1 to 64"):
        store.submit([make_task(name)], now=1)


def test_an_older_attempt_is_not_heard(store: Store) -> None:
    store.submit([make_task("a")], now=1)
    first = store.assign("a", "r1", now=2)
    assert store.requeue("a", first, "gone", now=3)
    second = store.assign("a", "r2", now=4)
    assert second == first + 1
    assert not store.progress("a", first, 1, now=5)
    assert not store.finish("a", first, S.DONE, now=5)
    assert not store.requeue("a", first, "late", now=5)
    assert store.finish("a", second, S.DONE, now=6)
    assert not store.finish("a", second, S.DONE, now=7)
    rows = store.connection.execute("SELECT robot, outcome FROM attempts ORDER BY attempt").fetchall()
    assert rows == [("r1", "gone"), ("r2", "done")]


def test_only_a_queued_task_can_be_assigned(store: Store) -> None:
    store.submit([make_task("a")], now=1)
    store.assign("a", "r1", now=2)
    with pytest.raises(StoreError, match="not queued"):
        store.assign("a", "r2", now=3)


def test_the_most_pressing_task_comes_first_and_waiting_counts(store: Store) -> None:
    now = 10 * AGEING
    store.submit([make_task("late", deadline=20 * AGEING), make_task("due", deadline=15 * AGEING)], now)
    store.submit([make_task("high", priority=1)], now)
    assert [r.task.id for r in store.next_queued(now)] == ["high", "due", "late"]
    store.submit([make_task("old")], now - 3 * AGEING)
    assert [r.task.id for r in store.next_queued(now)][:2] == ["old", "high"]
    soon = 15 * AGEING - URGENT + SECOND
    assert [r.task.id for r in store.next_queued(soon, limit=2)] == ["old", "due"]


def test_cancel_and_suspend_act_where_the_law_allows(store: Store) -> None:
    store.submit([make_task("a"), make_task("b")], now=1)
    assert store.change("a", E.SUSPEND, now=2)
    assert [r.task.id for r in store.next_queued(3)] == ["b"]
    assert store.change("a", E.RESUME, now=3)
    attempt = store.assign("b", "r1", now=4)
    store.progress("b", attempt, 0, now=5)
    assert not store.change("b", E.SUSPEND, now=6)
    assert store.change("b", E.CANCEL, now=6, reason="client")
    assert not store.finish("b", attempt, S.DONE, now=7)
    assert store.counts()["CANCELLED"] == 1
    assert not store.change("a", E.FINISH, now=8)


def test_an_error_in_a_transaction_leaves_nothing_of_it(store: Store) -> None:
    store.submit([make_task("a")], now=1)
    with pytest.raises(RuntimeError, match="boom"), store.transaction():  # noqa: PT012 - the error comes last
        store.assign("a", "r1", now=2)
        store.hold("r1", [1, 2], 1, now=2)
        store.set_latch(True, 1, 2, "x")
        raise RuntimeError("boom")
    assert store.open_tasks()["a"].state is S.QUEUED
    assert store.holdings() == {}
    assert not store.latch().stopped
    assert store.connection.execute("SELECT count(*) FROM events").fetchone() == (1,)


def test_changes_of_one_transaction_are_one_commit(store: Store) -> None:
    reader = sqlite3.connect(f"file:{store.path}?mode=ro", uri=True)
    with store.transaction():
        store.submit([make_task("a")], now=1)
        store.hold("r1", [5], 1, now=1)
        assert reader.execute("SELECT count(*) FROM tasks").fetchone() == (0,)
    assert reader.execute("SELECT (SELECT count(*) FROM tasks) + (SELECT count(*) FROM holdings)").fetchone() == (2,)
    reader.close()


def test_holdings_keep_their_order_and_every_change_is_logged(store: Store) -> None:
    store.hold("r1", [4, 5, 6], 1, now=1)
    store.hold("r1", [6, 7], 2, now=2)
    store.release("r1", [4, 99], now=3)
    assert store.holdings() == {"r1": [Holding(5, 1, 1), Holding(6, 1, 1), Holding(7, 2, 2)]}
    log = store.connection.execute("SELECT stamp, robot, cell, event, grant_id FROM grant_log ORDER BY seq").fetchall()
    assert log == [
        (1, "r1", 4, "grant", 1),
        (1, "r1", 5, "grant", 1),
        (1, "r1", 6, "grant", 1),
        (2, "r1", 7, "grant", 2),
        (3, "r1", 4, "release", 1),
    ]
    assert store.last_grant_id() == 2


def test_the_latch_survives_a_reopening(tmp_path: Path) -> None:
    store = Store(tmp_path / "tasks.sqlite")
    store.set_latch(True, 4, 9, "ann", "smoke")
    store.close()
    store = Store(tmp_path / "tasks.sqlite")
    assert (store.latch().stopped, store.latch().stop_epoch, store.latch().reason) == (True, 4, "smoke")
    store.close()


def test_the_store_syncs_every_commit(store: Store) -> None:
    assert store.pragma("journal_mode") == "wal"
    assert store.pragma("synchronous") == 2


def test_a_second_coordinator_is_kept_out(store: Store) -> None:
    with pytest.raises(StoreError, match="in use by another coordinator"):
        Store(store.path)


def test_a_newer_schema_is_refused(tmp_path: Path) -> None:
    store = Store(tmp_path / "tasks.sqlite")
    store.connection.execute("PRAGMA user_version=99")
    store.close()
    with pytest.raises(StoreError, match="has schema 99 and this muster knows schemas up to 4"):
        Store(tmp_path / "tasks.sqlite")


def test_a_store_of_the_first_schema_gets_what_came_later(tmp_path: Path) -> None:
    store = Store(tmp_path / "tasks.sqlite")
    store.submit([make_task("kept")], 0)
    store.connection.execute("DROP TABLE epochs")
    store.connection.execute("DROP TABLE pods")
    store.connection.execute("DROP TABLE leases")
    store.connection.execute("PRAGMA user_version=1")
    store.close()
    again = Store(tmp_path / "tasks.sqlite")
    assert list(again.open_tasks()) == ["kept"]
    assert (again.epochs(), dict(again.pods())) == ({}, {})
    again.close()


def test_epochs_are_kept_in_order_and_no_more_than_a_receiver_remembers(store: Store) -> None:
    for epoch in (7, 3, 2**62 - 1, 3):
        store.hear("r1", epoch)
    store.hear("r2", 5)
    assert store.epochs() == {"r1": [7, 3, 2**62 - 1], "r2": [5]}
    for epoch in range(1000, 1000 + EPOCHS_REMEMBERED):
        store.hear("r1", epoch)
    assert store.epochs() == {"r1": [*range(1000, 1000 + EPOCHS_REMEMBERED)], "r2": [5]}


def test_a_database_of_another_program_is_refused(tmp_path: Path) -> None:
    other = sqlite3.connect(tmp_path / "tasks.sqlite")
    other.execute("CREATE TABLE cats (name TEXT)")
    other.close()
    with pytest.raises(StoreError, match="another program"):
        Store(tmp_path / "tasks.sqlite")


@pytest.mark.parametrize("damage", ["header", "middle"])
def test_a_damaged_database_is_one_clear_line(tmp_path: Path, damage: str) -> None:
    store = Store(tmp_path / "tasks.sqlite")
    store.submit([make_task(f"t{i}") for i in range(500)], now=1)
    store.close()
    content = bytearray((tmp_path / "tasks.sqlite").read_bytes())
    start, end = (0, 100) if damage == "header" else (4096, len(content) - 4096)
    content[start:end] = b"\xa5" * (end - start)
    (tmp_path / "tasks.sqlite").write_bytes(content)
    with pytest.raises(StoreError, match="damaged") as caught:
        Store(tmp_path / "tasks.sqlite")
    assert "\n" not in str(caught.value)


def test_a_missing_directory_and_a_missing_file_are_one_clear_line(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="cannot write"):
        Store(tmp_path / "nowhere" / "tasks.sqlite")
    with pytest.raises(StoreError, match="does not exist"):
        Store(tmp_path / "tasks.sqlite", read_only=True)


FULL_DISK = """
import resource, sys
from coordination.database import StoreFull
from coordination.messages import (Leg, LegKind)
from coordination.requests import (Task)
from coordination.tasks import Store

store = Store(sys.argv[1])
resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, resource.RLIM_INFINITY))
legs = (Leg(1, LegKind.VISIT),)
for number in range(10_000):
    try:
        with store.transaction():
            store.submit([Task(f"t{number}-{part}", legs) for part in range(5)], now=number)
            store.hold(f"r{number}", range(5), number, now=number)
    except StoreFull as error:
        assert len(store.open_tasks()) == number * 5, "memory ran ahead of the disk"
        print(number, error)
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        store.submit([Task("after", legs)], now=number)
        break
"""


def test_a_full_disk_stores_nothing_of_the_transaction_and_work_goes_on_when_there_is_space(tmp_path: Path) -> None:
    path = tmp_path / "tasks.sqlite"
    command = [sys.executable, "-c", FULL_DISK, str(path)]
    root = Path(__file__).parents[2]
    environment = {**os.environ, "PYTHONPATH": str(root)}
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, env=environment, cwd=root)
    assert done.returncode == 0, done.stderr
    number, _, message = done.stdout.partition(" ")
    assert int(number) > 0
    assert "the disk takes no more" in message
    store = Store(path)
    assert len(store.open_tasks()) == int(number) * 5 + 1
    assert len(store.holdings()) == int(number)
    store.close()


def test_a_closed_store_is_one_file_however_it_is_read_afterwards(tmp_path: Path) -> None:
    """A reader of a file in WAL mode would make -wal and -shm files, which it may not remove."""
    store = Store(tmp_path / "tasks.sqlite")
    store.submit([make_task("a")], now=1)
    reader = sqlite3.connect(f"file:{store.path}?mode=ro", uri=True)
    assert reader.execute("SELECT COUNT(*) FROM tasks").fetchone() == (1,)
    reader.close()
    store.close()
    reader = sqlite3.connect(f"file:{store.path}?mode=ro", uri=True)
    assert reader.execute("SELECT COUNT(*) FROM tasks").fetchone() == (1,)
    reader.close()
    assert {path.name for path in tmp_path.iterdir()} == {"tasks.sqlite", "tasks.sqlite.lock"}
    again = Store(tmp_path / "tasks.sqlite")
    assert again.pragma("journal_mode") == "wal"
    again.close()


def test_a_store_that_is_being_read_closes_with_its_log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("coordination.database.PUT_AWAY", 0.05)
    store = Store(tmp_path / "tasks.sqlite")
    store.submit([make_task("a")], now=1)
    reader = sqlite3.connect(f"file:{store.path}?mode=ro", uri=True)
    reader.execute("BEGIN")
    assert reader.execute("SELECT COUNT(*) FROM tasks").fetchone() == (1,)
    store.close()
    assert reader.execute("SELECT COUNT(*) FROM tasks").fetchone() == (1,)
    reader.close()
    again = Store(tmp_path / "tasks.sqlite", read_only=True)
    assert again.counts()["QUEUED"] == 1
    again.close()

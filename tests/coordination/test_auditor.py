"""Each fault is planted in a store, and must be reported: an auditor that never speaks proves nothing."""

import ast
import sqlite3
from pathlib import Path

import pytest

from coordination import auditor as auditor_module
from coordination.auditor import Auditor, audit
from coordination.messages import Leg, LegKind
from coordination.requests import Task, TaskState
from coordination.tasks import Store


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A store after an hour in which all went well."""
    store = Store(tmp_path / "tasks.sqlite")
    store.submit([Task(f"t{number}", (Leg(1, LegKind.VISIT),)) for number in range(4)], 1)
    first = store.assign("t0", "a", 2)
    store.progress("t0", first, 0, 3)
    store.finish("t0", first, TaskState.DONE, 4)
    again = store.assign("t1", "a", 5)
    store.requeue("t1", again, "blocked", 6)
    store.assign("t1", "b", 7)
    store.set_latch(True, 1, 20, "button")
    store.set_latch(False, 1, 30, "operator")
    store.exchange([("cover", "a", 5, 1), ("cover", "b", 9, 1), ("grant", "a", 6, 2)], 10)
    store.exchange([("release", "a", 5, 3), ("grant", "b", 5, 4)], 40)
    store.close()
    return tmp_path / "tasks.sqlite"


def plant(path: Path, *statements: str) -> None:
    connection = sqlite3.connect(path)
    for statement in statements:
        connection.execute(statement)
    connection.commit()
    connection.close()


def grant(stamp: int, robot: str, cell: int, event: str = "grant") -> str:
    return (
        "INSERT INTO grant_log (stamp, robot, cell, event, grant_id) "
        f"VALUES ({stamp}, '{robot}', {cell}, '{event}', 99)"
    )


def kinds(path: Path) -> list[str]:
    return [finding.kind for finding in audit(path)]


def test_a_good_hour_has_no_finding(path: Path) -> None:
    assert audit(path) == []


def test_a_double_grant_is_found(path: Path) -> None:
    plant(path, grant(50, "b", 6), "INSERT INTO holdings VALUES ('b', 6, 50, 99)")
    found = audit(path)
    assert "double_grant" in [finding.kind for finding in found]
    assert found[0].detail == "cell 6 is given to b while a holds it"
    assert found[0].stamp == 50


def test_a_grant_while_the_fleet_is_stopped_is_found(path: Path) -> None:
    plant(path, grant(25, "a", 7), "INSERT INTO holdings VALUES ('a', 7, 25, 99)")
    assert kinds(path) == ["grant_while_stopped"]


def test_a_robot_may_be_put_on_the_floor_while_the_fleet_is_stopped(path: Path) -> None:
    plant(path, grant(25, "c", 7, "cover"), "INSERT INTO holdings VALUES ('c', 7, 25, 99)")
    assert kinds(path) == []


def test_taking_a_cell_from_who_does_not_hold_it_is_found(path: Path) -> None:
    plant(path, grant(50, "b", 6, "release"))
    assert kinds(path) == ["bad_release"]


def test_an_early_release_is_found_where_the_robot_still_stands(path: Path) -> None:
    auditor = Auditor(path)
    assert auditor.follow(41, {"a": (6,), "b": (9, 5)}) == []
    found = auditor.follow(42, {"a": (5, 6), "b": (9,)})
    assert [finding.kind for finding in found] == ["early_release"]
    assert found[0].detail == "a covers cell 5, held by b"
    auditor.stop()


def test_trespass_and_contact_are_found_once(path: Path) -> None:
    auditor = Auditor(path)
    assert [finding.kind for finding in auditor.follow(41, {"a": (77,)})] == ["trespass"]
    assert auditor.follow(42, {"a": (77,)}) == []
    assert [finding.kind for finding in auditor.follow(43, {"a": (6,), "b": (6,)})] == ["shared_cell", "trespass"]
    assert auditor.follow(44, {"stranger": (6,)}) == [], "no log has named it yet: it has not joined"
    auditor.stop()


def test_a_lost_task_is_found(path: Path) -> None:
    plant(path, "DELETE FROM tasks WHERE id = 't3'")
    assert kinds(path) == ["lost_task"]


def test_a_task_from_nowhere_is_found(path: Path) -> None:
    plant(path, "DELETE FROM events WHERE task = 't3'")
    assert kinds(path) == ["lost_task"]


def test_a_task_that_counts_as_done_without_an_attempt_is_found(path: Path) -> None:
    plant(path, "UPDATE tasks SET state = 3 WHERE id = 't2'")
    assert kinds(path) == ["lost_task"]


def test_a_done_task_that_is_queued_again_is_found(path: Path) -> None:
    plant(path, "UPDATE tasks SET state = 0 WHERE id = 't0'")
    assert kinds(path) == ["lost_task"]


def test_an_assigned_task_without_a_live_attempt_is_found(path: Path) -> None:
    plant(path, "UPDATE attempts SET ended = 9 WHERE task = 't1'")
    assert kinds(path) == ["lost_task"]


def test_a_task_done_twice_is_found(path: Path) -> None:
    plant(
        path,
        "INSERT INTO attempts VALUES ('t0', 2, 'b', 50, 51, 'done')",
        "INSERT INTO events (stamp, event, task, attempt, robot, detail) VALUES (51, 'finish', 't0', 2, 'b', '')",
    )
    assert kinds(path) == ["doubled_task", "doubled_task"]


def test_two_live_attempts_are_found(path: Path) -> None:
    plant(path, "INSERT INTO attempts VALUES ('t1', 3, 'c', 50, NULL, '')")
    assert kinds(path) == ["doubled_task"]


def test_a_robot_with_two_tasks_is_found(path: Path) -> None:
    plant(
        path,
        "INSERT INTO attempts VALUES ('t2', 1, 'b', 50, NULL, '')",
        "UPDATE tasks SET state = 1, attempt = 1, robot = 'b' WHERE id = 't2'",
    )
    assert kinds(path) == ["doubled_robot"]


def test_holdings_that_the_log_does_not_explain_are_found(path: Path) -> None:
    plant(path, "DELETE FROM holdings WHERE cell = 6", "INSERT INTO holdings VALUES ('c', 5, 50, 99)")
    assert set(kinds(path)) == {"holdings_differ"}


def test_the_auditor_imports_nothing_of_what_it_audits() -> None:
    tree = ast.parse(Path(auditor_module.__file__).read_text())
    imported = {
        name
        for node in ast.walk(tree)
        for name in (
            [alias.name for alias in node.names]
            if isinstance(node, ast.Import)
            else [node.module or ""]
            if isinstance(node, ast.ImportFrom)
            else []
        )
    }
    assert imported == {"__future__", "sqlite3", "collections.abc", "contextlib", "dataclasses", "pathlib"}

"""What a restarted coordinator thinks of robots that it has not heard yet."""

from __future__ import annotations

from pathlib import Path

from coordination.coordinator import Coordinator
from coordination.messages import Leg, LegKind
from coordination.requests import Task, TaskState
from coordination.rules import Policy
from coordination.tasks import Store
from sim.robot import SECOND
from tests.coordination.puppets import make_floor


def test_a_restart_takes_no_task_from_a_robot_that_could_not_yet_report(tmp_path: Path) -> None:
    store = Store(tmp_path / "tasks.sqlite")
    store.submit([Task("a", (Leg(2, LegKind.VISIT),))], now=0)
    store.progress("a", store.assign("a", "r1", now=0), 0, now=1)
    core = Coordinator(make_floor(), store)
    lease, later = Policy().task_lease, 500 * SECOND
    core.tick(later)
    core.tick(later + lease)
    assert store.open_tasks()["a"].state is TaskState.RUNNING
    core.tick(later + lease + 1)
    assert store.open_tasks()["a"].state is TaskState.QUEUED, "silence for a whole lease is silence"
    store.close()

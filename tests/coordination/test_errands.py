"""What becomes of tasks: given, given up, waiting for an operator, cancelled, refused."""

import uuid
from pathlib import Path

import msgspec

from coordination.admission import unserved
from coordination.client import new_task_id
from coordination.coordinator import Coordinator
from coordination.lifecycle import TaskRecord
from coordination.messages import Choice, Leg, LegKind, Report, RobotStatus
from coordination.requests import Cancel, FleetState, Query, Submit, Submitted, Task, TaskState
from coordination.rules import Policy
from coordination.tasks import Store
from sim.robot import SECOND
from tests.coordination.floors import floor, task_id
from tests.coordination.rehearsed import AISLES, Rehearse


def test_a_silent_robot_keeps_its_cells_and_loses_its_untouched_task(rehearse: Rehearse, tmp_path: Path) -> None:
    rehearsal = rehearse(tmp_path, floor(*AISLES), [0, 83])
    task = rehearsal.give(3, 11)
    rehearsal.run(1)
    quiet = rehearsal.floor.actors["r0"]
    assert rehearsal.core.state("", 0).robots[0].task == task, "r0 is the nearer one"
    quiet.silent = quiet.held = True
    cells = {cell for cell in range(84) if rehearsal.core.right_of_way.ledger.holder(cell) == "r0"}
    rehearsal.run(120, until=1)
    assert rehearsal.done == 0, "the way to the fetch cell is the silent robot's"
    assert rehearsal.core.state("", 0).robots[1].task == task
    assert {cell for cell in range(84) if rehearsal.core.right_of_way.ledger.holder(cell) == "r0"} == cells
    quiet.silent = quiet.held = False
    assert rehearsal.run(120, until=1) == 1
    rehearsal.end()


def test_every_assignment_is_logged_with_how_it_was_chosen(rehearse: Rehearse, tmp_path: Path) -> None:
    rehearsal = rehearse(tmp_path, floor("......"), [0, 5])
    task = rehearsal.give(2)
    rehearsal.run(1)
    rows = rehearsal.store.connection.execute("SELECT detail FROM events WHERE event = 'assign'").fetchall()
    assert [msgspec.json.decode(detail, type=Choice) for (detail,) in rows] == [
        Choice(f"{task}/1", deterministic=True, log_probability=0.0, exploration=False)
    ]
    record = rehearsal.store.record(task)
    assert record is not None
    assert record.reason == "", "it is no reason of a failure"


def test_a_robot_that_dies_with_a_load_leaves_its_task_waiting_for_an_operator(
    rehearse: Rehearse, tmp_path: Path
) -> None:
    rehearsal = rehearse(tmp_path, floor(*AISLES), [0, 83])
    task = rehearsal.give(3, 11, kind=LegKind.FETCH)

    def record() -> TaskRecord:
        found = rehearsal.store.record(task)
        assert found is not None
        return found

    def events() -> list[str]:
        rows = rehearsal.store.connection.execute("SELECT event FROM events WHERE task = ? ORDER BY seq", (task,))
        return [event for (event,) in rows]

    while record().legs_done == 0:
        rehearsal.run(1)
    robot = record().robot
    quiet = rehearsal.floor.actors[robot]
    quiet.silent = quiet.held = True
    rehearsal.run(58)
    assert rehearsal.core.state("", 0).waiting == (), "within the task lease"
    for _ in range(2):  # the second time by another coordinator, that knows what is on disk alone
        rehearsal.run(65)
        (waiting,) = rehearsal.core.state("", rehearsal.floor.now).waiting
        assert (waiting.task, waiting.robot) == (task, robot)
        assert "on board" in waiting.reason
        assert "cancel" in waiting.reason
        assert (record().state, record().robot, record().reason) == (TaskState.RUNNING, robot, waiting.reason)
        assert "operator" in events()
        count = events().count("operator")
        rehearsal.run(120)
        assert events().count("operator") == count, "said once, not every round"
        rehearsal.restart()
    rehearsal.run(65)
    lines = {line.robot: line.status for line in rehearsal.core.state("", rehearsal.floor.now).robots}
    assert lines.get(robot, RobotStatus.OPERATOR) is RobotStatus.OPERATOR
    quiet.silent = quiet.held = False
    assert rehearsal.run(120, until=1) == 1, "it comes back, and nobody else had its task"
    assert rehearsal.core.state("", rehearsal.floor.now).waiting == ()
    assert events()[-2:] == ["operator_done", "finish"]
    rehearsal.end()


def test_a_task_that_waits_for_an_operator_can_be_cancelled(rehearse: Rehearse, tmp_path: Path) -> None:
    rehearsal = rehearse(tmp_path, floor("......"), [0])
    task = rehearsal.give(1, 5)
    while rehearsal.floor.report(rehearsal.floor.actors["r0"]).legs_done == 0:
        rehearsal.run(0.1)
    rehearsal.run(0.1)
    rehearsal.floor.actors["r0"].silent = rehearsal.floor.actors["r0"].held = True
    rehearsal.run(65)
    assert rehearsal.core.state("", 0).robots[0].status is RobotStatus.OPERATOR
    assert len(rehearsal.core.waiting) == 1
    rehearsal.core.handle("client", Cancel("q", task), rehearsal.floor.now)
    rehearsal.run(1)
    assert rehearsal.core.state("", 0).waiting == ()
    assert rehearsal.store.counts()["CANCELLED"] == 1
    rehearsal.end()


def test_a_robot_that_gives_up_hands_its_task_to_another_and_after_five_it_has_failed(
    rehearse: Rehearse, tmp_path: Path
) -> None:
    rehearsal = rehearse(tmp_path, floor("......"), [0, 5], policy=Policy(attempts=2))
    task = rehearsal.give(2)
    rehearsal.run(0.2)
    for robot, attempt, state in (("r0", 1, "QUEUED"), ("r1", 2, "FAILED")):
        actor = rehearsal.floor.actors[robot]
        report = rehearsal.floor.report(actor)
        record = rehearsal.store.record(task)
        assert record is not None
        assert (record.robot, record.attempt) == (robot, attempt)
        failed = Report(
            **{name: getattr(report, name) for name in report.__struct_fields__}
            | {"task": task, "attempt": attempt, "failed": "blocked", "status": RobotStatus.OPERATOR}
        )
        rehearsal.core.handle(robot, failed, rehearsal.floor.now)
        record = rehearsal.store.record(task)
        assert record is not None
        assert record.state.name == state
        rehearsal.core.tick(rehearsal.floor.now)
    rehearsal.end()


def test_a_robot_does_not_soon_get_a_task_again_that_it_gave_up(rehearse: Rehearse, tmp_path: Path) -> None:
    rehearsal = rehearse(tmp_path, floor("......"), [0], policy=Policy(rest=5 * SECOND, retry=60 * SECOND))
    rehearsal.give(2)
    rehearsal.run(0.2)
    content = rehearsal.floor.report(rehearsal.floor.actors["r0"])
    failed = {"task": task_id(0), "attempt": 1, "failed": "blocked"}
    report = Report(**{name: getattr(content, name) for name in content.__struct_fields__} | failed)
    rehearsal.core.handle("r0", report, rehearsal.floor.now)
    rehearsal.give(4)
    rehearsal.run(4)
    assert rehearsal.store.counts()["QUEUED"] == 2, "it rests first"
    assert rehearsal.run(60, until=1) == 1
    assert [record.task.id for record in rehearsal.store.open_tasks().values()] == [task_id(0)]
    rehearsal.run(20)
    assert rehearsal.store.counts()["QUEUED"] == 1
    assert rehearsal.run(60, until=2) == 2
    rehearsal.end()


def test_an_empty_battery_goes_to_a_free_charger_first(rehearse: Rehearse, tmp_path: Path) -> None:
    rehearsal = rehearse(tmp_path, floor(*AISLES, chargers=(0, 11)), [39, 45], policy=Policy(charge_seconds=20.0))
    for actor in rehearsal.floor.actors.values():
        actor.battery = 0.1
    rehearsal.run(1)
    places = {
        actor.picture.assignment.legs[0].cell
        for actor in rehearsal.floor.actors.values()
        if actor.picture is not None and actor.picture.assignment is not None
    }
    assert places == {0, 11}
    rehearsal.give(40)
    rehearsal.run(30)
    assert rehearsal.done == 0
    for actor in rehearsal.floor.actors.values():
        actor.battery = 0.9
    assert rehearsal.run(120, until=1) == 1
    rehearsal.end()


def test_tasks_that_cannot_be_are_refused_with_the_reason(tmp_path: Path) -> None:
    core = Coordinator(floor("..@.."), Store(tmp_path / "tasks.sqlite"))

    def answer(*legs: Leg, **fields: object) -> str:
        (_, reply) = core.handle("client", Submit("r", (Task(**{"id": task_id(0), "legs": legs} | fields),)), 0)[0]  # type: ignore
        assert isinstance(reply, Submitted)
        return reply.error

    go = Leg(0, LegKind.VISIT)
    assert "has no legs" in answer()
    assert "cell 2, which is no free cell" in answer(Leg(2, LegKind.VISIT))
    assert "cell 99" in answer(Leg(99, LegKind.VISIT))
    assert "no way leads from cell 0 to cell 3" in answer(Leg(0, LegKind.FETCH), Leg(3, LegKind.DELIVER))
    assert "-1.0 s" in answer(Leg(0, LegKind.FETCH, -1.0))
    assert "inf s" in answer(Leg(0, LegKind.FETCH, float("inf")))
    assert "priority 1000000000000; give one from -1000 to 1000" in answer(go, priority=10**12)
    assert "payload of nan kg" in answer(go, payload=float("nan"))
    for name in (
        "charge-r0",
        "not-a-uuid",
        "",
        task_id(1).upper().replace("A", "B") + "0",
        str(uuid.uuid4()),
        "a" * 99,
    ):
        assert "is no UUIDv7" in answer(go, id=name), name
    core.tick(0)
    assert core.store.counts()["QUEUED"] == 0
    core.store.close()


def test_ids_that_our_own_client_makes_are_taken(tmp_path: Path) -> None:
    core = Coordinator(floor("..@.."), Store(tmp_path / "tasks.sqlite"))
    tasks = tuple(Task(new_task_id(), (Leg(0, LegKind.VISIT),)) for _ in range(50))
    for _ in range(2):  # sent again, it changes nothing
        assert core.handle("client", Submit("r", tasks), 0) == [("client", Submitted("r", tuple(t.id for t in tasks)))]
    assert core.store.counts()["QUEUED"] == 50
    core.store.close()


def test_a_task_that_no_robot_can_do_is_taken_and_told(rehearse: Rehearse, tmp_path: Path) -> None:
    rehearsal = rehearse(tmp_path, floor("........."), [0])
    rehearsal.run(1)
    possible, heavy = rehearsal.give(8), rehearsal.give(8, payload=1e9)
    skilled = rehearsal.give(8, capability="fly")
    rehearsal.run(1)
    (_, state) = rehearsal.core.handle("client", Query("q"), rehearsal.floor.now)[0]
    assert isinstance(state, FleetState)
    reasons = {line.task: line.reason for line in state.waiting}
    assert reasons == {
        heavy: "none of 1 robots carries 1e+09 kg, at most 40 kg; bring one or cancel the task",
        skilled: 'none of 1 robots has the capability "fly"; bring one or cancel the task',
    }
    noted = rehearsal.store.connection.execute("SELECT task FROM events WHERE event = 'unserved'").fetchall()
    assert [row[0] for row in noted] == [heavy, skilled]
    rehearsal.run(60)
    record = rehearsal.store.record(possible)
    assert record is not None
    assert record.state.name == "DONE"
    rehearsal.end()


def test_what_is_told_of_a_task_names_what_the_robots_lack() -> None:
    def told(payload: float, capability: str, *able: tuple[float, tuple[str, ...]]) -> list[str]:
        task = Task(new_task_id(), (Leg(0, LegKind.LIFT),), capability=capability, payload=payload)
        record = TaskRecord(task, TaskState.QUEUED, attempt=0, robot="", legs_done=0, submitted=0, changed=0)
        return [line.reason for line in unserved([record], able)]

    carries, lifts = (40.0, ("carry",)), (25.0, ("carry", "lift"))
    assert told(30.0, "lift", carries, carries) == [
        'none of 2 robots has the capability "lift"; bring one or cancel the task'
    ]
    assert told(30.0, "lift", carries, lifts) == [
        'none of 1 robots with the capability "lift" carries 30 kg, at most 25 kg; bring one or cancel the task'
    ]
    assert told(50.0, "", carries, lifts) == [
        "none of 2 robots carries 50 kg, at most 40 kg; bring one or cancel the task"
    ]
    assert told(0.0, "") == ["none of 0 robots carries 0 kg; bring one or cancel the task"]
    assert told(25.0, "lift", carries, lifts) == []


def test_a_cancelled_task_leaves_its_robot_free(rehearse: Rehearse, tmp_path: Path) -> None:
    rehearsal = rehearse(tmp_path, floor("........."), [0])
    task = rehearsal.give(8)
    rehearsal.run(1)
    assert rehearsal.core.handle("client", Cancel("r", task), rehearsal.floor.now) == [
        ("client", Submitted("r", (task,)))
    ]
    again = rehearsal.core.handle("client", Cancel("r", task), rehearsal.floor.now)[0][1]
    assert isinstance(again, Submitted)
    assert "CANCELLED already" in again.error
    unknown = rehearsal.core.handle("client", Cancel("r", "nobody"), rehearsal.floor.now)[0][1]
    assert isinstance(unknown, Submitted)
    assert "no task nobody" in unknown.error
    rehearsal.give(4)
    assert rehearsal.run(60, until=1) == 1
    rehearsal.end()

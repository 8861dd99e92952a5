import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import numpy as np
import pytest

from coordination.admission import unserved
from coordination.auditor import Auditor
from coordination.client import new_task_id
from coordination.coordinator import Coordinator
from coordination.database import StoreError
from coordination.estop import raise_stop, reset_stop
from coordination.lifecycle import TaskRecord
from coordination.messages import Choice, Leg, LegKind, Picture, Report, RobotStatus
from coordination.mover import Mover
from coordination.rehearsal import Floor, Pace
from coordination.requests import Cancel, FleetState, Query, StopRaise, StopReset, Submit, Submitted, Task, TaskState
from coordination.rightofway import RightOfWay
from coordination.rules import Policy, Rules
from coordination.tasks import Store
from coordination.wire import FAR_OFF, HIGHEST_GRANT, LATEST
from sim.robot import SECOND
from sim.site import Site
from tests.coordination.floors import floor, task_id

DATA = Path(__file__).resolve().parents[3] / "shared" / "data"
AISLES = (
    "............",
    ".@@@.@@@@.@.",
    ".@@@.@@@@.@.",
    "............",
    ".@@@.@@@@.@.",
    ".@@@.@@@@.@.",
    "............",
)


def map_site(path: Path) -> Site:
    return floor(*path.read_text().splitlines()[4:])


class Rehearsal:
    """A floor with its store, robots that are audited in every cycle, and work by cell numbers."""

    def __init__(
        self, folder: Path, site: Site, starts: list[int], *, seed: int = 0, pace: Pace | None = None, **numbers: object
    ) -> None:
        assert set(starts) <= set(site.free_cells.tolist())
        self.path = folder / "tasks.sqlite"
        self.store = Store(self.path)
        self.site = site
        self.numbers = numbers
        core = Coordinator(site, self.store, **numbers)  # type: ignore[arg-type]
        self.floor = Floor(site, core, starts, seed=seed, pace=pace or Pace())
        self.auditor = Auditor(self.path)
        self.tasks = 0

    @property
    def core(self) -> Coordinator:
        return self.floor.coordinator

    def give(self, *cells: int, kind: LegKind = LegKind.VISIT, dwell: float = 0.0, **fields: object) -> str:
        """Submit one task with a leg to each cell."""
        task = Task(task_id(self.tasks), tuple(Leg(cell, kind, dwell) for cell in cells), **fields)  # type: ignore[arg-type]
        self.tasks += 1
        answer = self.core.handle("client", Submit("request", (task,)), self.floor.now)
        assert answer == [("client", Submitted("request", (task.id,)))]
        return task.id

    def run(self, seconds: float, *, until: int | None = None) -> int:
        """Cycle, and audit each cycle; stops early when `until` tasks are done. Returns tasks done."""
        for _ in range(round(seconds * 10)):
            self.floor.cycle()
            found = self.auditor.follow(self.floor.now, self.floor.footprints())
            assert not found, found
            if until is not None and self.done >= until:
                break
        return self.done

    @property
    def done(self) -> int:
        return self.store.counts()["DONE"]

    def restart(self) -> None:
        """Another coordinator goes on from what is on disk."""
        self.store.close()
        self.store = Store(self.path)
        self.floor.coordinator = Coordinator(self.site, self.store, **self.numbers)  # type: ignore[arg-type]

    def end(self) -> None:
        assert self.auditor.close() == []
        self.store.close()


Rehearse = Callable[..., Rehearsal]


@pytest.fixture
def rehearse() -> Iterator[Rehearse]:
    """Makes rehearsals, and closes what a failed test left open."""
    made: list[Rehearsal] = []

    def make(*arguments: object, **numbers: object) -> Rehearsal:
        made.append(Rehearsal(*arguments, **numbers))  # type: ignore[arg-type]
        return made[-1]

    yield make
    for rehearsal in made:
        rehearsal.store.close()
        rehearsal.auditor.stop()


SCENES: dict[str, tuple[tuple[str, ...], list[int], list[int]]] = {
    "head-on in an aisle of ten cells": (("............", ".@@@@@@@@@@.", "............"), [0, 11], [11, 0]),
    "a dead end whose owner wants out": (("....@@", "...@@@", "......"), [17, 15], [0, 17]),
    "a corridor with one niche": (("@@@@.@@@@@", ".........."), [10, 19], [19, 10]),
    "two that follow into a dead end": (("...@@@", "...@@@", "......"), [12, 14], [17, 16]),
    "a crossing of four": (("@.@", "...", "@.@"), [1, 3], [7, 5]),
    "a narrow door between two rooms": (
        ("...@...", "...@...", ".......", "...@...", "...@..."),
        [0, 1, 7, 6, 5, 13],
        [34, 33, 27, 28, 29, 21],
    ),
}


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("scene", SCENES)
def test_every_knot_is_undone(rehearse: Rehearse, tmp_path: Path, scene: str, seed: int) -> None:
    rows, starts, goals = SCENES[scene]
    rehearsal = rehearse(tmp_path, floor(*rows), starts, seed=seed, pace=Pace(pause=0.05))
    for index, goal in enumerate(goals):
        rehearsal.give(goal, capability=f"r{index}")
    assert rehearsal.run(180, until=len(goals)) == len(goals)
    rehearsal.end()


def test_a_ring_with_one_free_cell_turns(rehearse: Rehearse, tmp_path: Path) -> None:
    ring = [0, 1, 2, 3, 7, 11, 10, 9, 8, 4]
    rehearsal = rehearse(tmp_path, floor("....", ".@@.", "...."), ring[:-1])
    for index in range(18):
        rehearsal.give(ring[(3 * index) % 10])
    assert rehearsal.run(600, until=18) == 18
    rehearsal.end()


def test_nobody_waits_for_a_robot_that_he_does_not_meet(rehearse: Rehearse, tmp_path: Path) -> None:
    site = floor(*AISLES)
    cells = np.random.default_rng(1).permutation(site.free_cells).tolist()
    rehearsal = rehearse(tmp_path, site, cells[:7])
    for cell in np.random.default_rng(2).choice(site.free_cells, 400).tolist():
        rehearsal.give(cell)
    rehearsal.run(20)
    stands = rehearsal.floor.actors["r3"]
    stands.held = True
    others = [actor for actor in rehearsal.floor.actors.values() if actor is not stands]
    before = {actor.name: actor.travelled for actor in others}
    done = rehearsal.done
    rehearsal.run(60)
    assert all(actor.travelled - before[actor.name] > 15.0 for actor in others), "60 s at 1 m/s"
    assert rehearsal.done - done > 30
    stands.held = False
    done, moved = rehearsal.done, stands.travelled
    rehearsal.run(30)
    assert stands.travelled > moved + 5.0
    rehearsal.end()


@pytest.mark.parametrize("loss", [0.0, 0.1])
def test_work_goes_on_for_a_long_time(rehearse: Rehearse, tmp_path: Path, loss: float) -> None:
    site = floor(*AISLES)
    cells = np.random.default_rng(3).permutation(site.free_cells).tolist()
    rehearsal = rehearse(tmp_path, site, cells[:10], pace=Pace(loss=loss))
    for pair in np.random.default_rng(4).choice(site.free_cells, (600, 2)).tolist():
        rehearsal.give(*pair, dwell=0.5)
    rates = []
    for _ in range(4):
        done = rehearsal.done
        rehearsal.run(60)
        rates.append(rehearsal.done - done)
    assert max(rates) > 10, rates
    assert min(rates) > 0.4 * max(rates), rates
    rehearsal.end()


def test_a_law_that_frees_cells_too_early_is_caught(
    rehearse: Rehearse, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def hasty(law: RightOfWay, mover: Mover, report: Report) -> None:
        for cell in [*mover.path[: mover.at], *mover.returning]:
            law.ledger.release(mover, cell)
        del mover.path[: mover.at]
        mover.at, mover.returning = 0, {}

    monkeypatch.setattr(RightOfWay, "_leave_behind", hasty)
    site = floor(*AISLES)
    rehearsal = rehearse(tmp_path, site, site.free_cells[:8].tolist())
    for cell in site.free_cells.tolist():
        rehearsal.give(cell)
    with pytest.raises(AssertionError, match="early_release"):
        rehearsal.run(60)


def test_a_killed_coordinator_goes_on_where_the_disk_stands(rehearse: Rehearse, tmp_path: Path) -> None:
    site = floor(*AISLES)
    cells = np.random.default_rng(5).permutation(site.free_cells).tolist()
    rehearsal = rehearse(tmp_path, site, cells[:8], pace=Pace(loss=0.02))
    for pair in np.random.default_rng(6).choice(site.free_cells, (40, 2)).tolist():
        rehearsal.give(*pair, dwell=0.3)
    for _ in range(60):
        rehearsal.run(3.7)
        rehearsal.restart()
    assert rehearsal.run(300, until=40) == 40
    rehearsal.end()


def test_a_core_that_begins_anew_takes_robots_of_another_plant_where_they_are(
    rehearse: Rehearse, tmp_path: Path
) -> None:
    """Their time is older than all that it heard: it would grant the cells in which the former plant had them."""
    rehearsal = rehearse(tmp_path, floor(*AISLES), [0, 83])
    task = rehearsal.give(11)
    rehearsal.run(3.0)
    core, store = rehearsal.core, rehearsal.store
    epoch = core.epoch
    with store.transaction():
        core.begin(anew=True)
    assert core.epoch == epoch + 1
    assert store.record(task) is not None
    held = {robot: {holding.cell for holding in cells} for robot, cells in store.holdings().items()}
    place = {"r0": max(held["r1"]), "r1": 40}  # r0 stands where the store says that r1 does
    assert 40 not in held["r0"] | held["r1"]

    def report(cell: int, now: int, grant: int) -> Report:
        x, y = core.site.centre(cell).tolist()
        return Report(0, now, (x, y, 0.0), (0.0, 0.0), (cell,), 0.9, RobotStatus.IDLE, grant, epoch=core.epoch)

    granted: dict[str, int] = {}
    for cycle in range(1, 6):
        now = cycle * SECOND // 10
        for robot, cell in place.items():
            core.handle(robot, report(cell, now, granted.get(robot, 0)), now)
        for robot, picture in core.tick(now):
            assert isinstance(picture, Picture)
            assert picture.stamp == now
            if picture.grant is not None:
                granted[robot] = picture.grant.id
                assert picture.grant.expires <= now + 2 * SECOND
                assert place[robot] in picture.grant.cells
    assert granted.keys() == {"r0", "r1"}, "r0's cell is free once r1 has said where it is"


def test_no_cell_is_given_while_the_emergency_stop_is_latched(rehearse: Rehearse, tmp_path: Path) -> None:
    site = floor(*AISLES)
    rehearsal = rehearse(tmp_path, site, [0, 40, 60])
    for cell in site.free_cells[:40].tolist():
        rehearsal.give(cell)
    rehearsal.run(5)
    raise_stop(rehearsal.store, StopRaise("button"), "anyone", rehearsal.floor.now)
    rehearsal.run(1)
    places = rehearsal.floor.footprints()
    grants = rehearsal.auditor.grants
    rehearsal.run(20)
    rehearsal.restart()
    rehearsal.run(20)
    assert rehearsal.floor.footprints() == places
    assert rehearsal.auditor.grants == grants
    pictures = [body for _, body in rehearsal.core.tick(rehearsal.floor.now)]
    assert all(isinstance(picture, Picture) and picture.stopped and picture.stop_epoch == 1 for picture in pictures)
    reset_stop(rehearsal.store, StopReset("me", 1), "operator", True, rehearsal.floor.now)
    done = rehearsal.done
    rehearsal.run(60)
    assert rehearsal.done > done
    rehearsal.end()


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


def test_the_state_names_every_robot_and_counts_tasks(rehearse: Rehearse, tmp_path: Path) -> None:
    rehearsal = rehearse(tmp_path, floor("........."), [0, 8])
    rehearsal.give(4)
    rehearsal.run(1)
    ((peer, state),) = rehearsal.core.handle("client", Query("r"), rehearsal.floor.now)
    assert peer == "client"
    assert isinstance(state, FleetState)
    assert [line.robot for line in state.robots] == ["r0", "r1"]
    assert sum(state.counts.values()) == 1
    rehearsal.end()


def test_a_robot_on_another_floor_is_told_so_and_holds_nothing(rehearse: Rehearse, tmp_path: Path) -> None:
    rehearsal = rehearse(tmp_path, floor("...."), [0])
    report = rehearsal.floor.report(rehearsal.floor.actors["r0"])
    other = Report(**{name: getattr(report, name) for name in report.__struct_fields__} | {"site": "0" * 64})
    rehearsal.core.handle("r0", other, 1)
    ((_, picture),) = rehearsal.core.tick(1)
    assert isinstance(picture, Picture)
    assert picture.grant is None
    assert "load the same floor" in picture.error
    assert rehearsal.core.right_of_way.ledger.holder(0) == ""


def test_the_farthest_numbers_that_the_wire_lets_in_do_not_end_the_service(rehearse: Rehearse, tmp_path: Path) -> None:
    rehearsal = rehearse(tmp_path, floor("....", "...."), [0, 3])
    rehearsal.give(2, priority=1000)
    rehearsal.run(1)
    report = rehearsal.floor.report(rehearsal.floor.actors["r0"])
    wild = msgspec.structs.replace(
        report, pose=(FAR_OFF,) * 3, twist=(FAR_OFF,) * 2, grant=HIGHEST_GRANT, stamp=rehearsal.floor.now + 1
    )
    wilder = msgspec.structs.replace(report, grant=HIGHEST_GRANT, legs_done=2**63, round=2**63)
    for message, now in ((wild, LATEST - 2), (wilder, LATEST - 1), (report, LATEST)):
        with rehearsal.store.transaction():
            rehearsal.core.handle("r0", msgspec.structs.replace(message, stamp=now), now)
            rehearsal.core.tick(now)
    assert rehearsal.core.state("", LATEST).robots[0].pose == report.pose
    rehearsal.end()


def test_every_life_on_a_store_has_its_epoch_and_knows_a_later_one(tmp_path: Path) -> None:
    site = floor("......")
    for life in (1, 2, 3):
        store = Store(tmp_path / "tasks.sqlite")
        core = Coordinator(site, store)
        x, y = map(float, site.centre(2))
        report = Report(1, life * SECOND, (x, y, 0.0), (0.0, 0.0), (2,), 0.9, RobotStatus.IDLE, site=site.hash)
        core.handle("r0", msgspec.structs.replace(report, epoch=life - 1), life * SECOND)
        core.handle("r1", msgspec.structs.replace(report, epoch=life + 1), life * SECOND)
        pictures = dict(core.tick(life * SECOND))
        good, other = pictures["r0"], pictures["r1"]
        assert isinstance(good, Picture)
        assert isinstance(other, Picture)
        assert (good.epoch, good.site, good.error) == (life, site.hash, "")
        assert good.grant is not None
        assert other.grant is None
        assert f"r1 has heard a coordinator of epoch {life + 1}, this is epoch {life}" in other.error
        store.close()


def test_a_store_of_another_floor_is_refused(tmp_path: Path) -> None:
    store = Store(tmp_path / "tasks.sqlite")
    Coordinator(floor("...."), store)
    Coordinator(floor("...."), store)
    with pytest.raises(StoreError, match=r"belongs to floor [0-9a-f]{12}, this is floor .* give the same --site"):
        Coordinator(floor("..."), store)
    store.close()


def test_a_pose_that_is_no_number_is_not_taken_in(rehearse: Rehearse, tmp_path: Path) -> None:
    rehearsal = rehearse(tmp_path, floor("...."), [0])
    rehearsal.run(1)
    report = rehearsal.floor.report(rehearsal.floor.actors["r0"])
    content = {name: getattr(report, name) for name in report.__struct_fields__}
    broken = Report(**content | {"pose": (float("nan"), 0.6, 0.0), "stamp": rehearsal.floor.now + 1})
    rehearsal.core.handle("r0", broken, rehearsal.floor.now + 1)
    ((_, picture),) = rehearsal.core.tick(rehearsal.floor.now + 1)
    assert isinstance(picture, Picture)
    assert rehearsal.core.state("", 0).robots[0].pose == report.pose
    rehearsal.end()


def test_the_same_messages_give_the_same_replies(rehearse: Rehearse, tmp_path: Path) -> None:
    (tmp_path / "one").mkdir()
    (tmp_path / "two").mkdir()
    site = floor(*AISLES)
    one, two = (rehearse(tmp_path / name, site, [0, 11, 40, 83], seed=7) for name in ("one", "two"))
    for cell in site.free_cells[::3].tolist():
        one.give(cell)
        two.give(cell)
    for _ in range(300):
        one.floor.cycle()
        two.floor.cycle()
        assert [a.picture for a in one.floor.actors.values()] == [a.picture for a in two.floor.actors.values()]
    one.end()
    two.end()


def test_a_lone_robot_on_a_free_floor_never_brakes_for_want_of_grants(rehearse: Rehearse, tmp_path: Path) -> None:
    pace = Pace(slow=1.5, fast=1.5, pause=0.0)
    rehearsal = rehearse(tmp_path, floor("." * 60), [0], pace=pace)
    rehearsal.give(59)
    rehearsal.run(5)
    actor = rehearsal.floor.actors["r0"]
    for _ in range(450):
        rehearsal.run(0.1)
        if actor.cell > 50:
            break
        assert actor.speed == pytest.approx(1.5)
        assert actor.picture is not None
        assert actor.picture.grant is not None
        cells = actor.picture.grant.cells
        ahead = len(cells) - 1 - cells.index(actor.towards)
        assert 1.2 * (ahead + 0.5) > 1.5**2 / (2 * 1.5) + 0.43, "room to stop inside the grant"
    assert actor.cell > 50
    rehearsal.end()


def test_the_first_errands_of_the_random_instance_are_done_by_forty_robots(rehearse: Rehearse, tmp_path: Path) -> None:
    domain = DATA / "lorr2023" / "test" / "random.domain"
    if not domain.exists():
        pytest.skip(f"the League of Robot Runners instance is not at {domain}")
    site = map_site(domain / "maps" / "random-32-32-20.map")
    starts, errands = (
        [int(line) for line in path.read_text().split()[1:]]
        for path in (
            domain / "agents" / "random-32-32-20_1.agents",
            domain / "tasks" / "random-32-32-20_1.tasks",
        )
    )
    rehearsal = rehearse(tmp_path, site, list(dict.fromkeys(starts))[:40], pace=Pace(loss=0.01))
    for cell in errands[:200]:
        rehearsal.give(cell)
    assert rehearsal.run(400, until=200) == 200
    rehearsal.end()


def test_thirty_two_robots_work_on_a_warehouse_of_one_cell_aisles(rehearse: Rehearse, tmp_path: Path) -> None:
    path = DATA / "maps" / "warehouse-10-20-10-2-1.map"
    if not path.exists():
        pytest.skip(f"the MovingAI map is not at {path}")
    site = map_site(path)
    dice = np.random.default_rng(8)
    starts = dice.choice(site.free_cells, 32, replace=False).tolist()
    rehearsal = rehearse(tmp_path, site, starts, pace=Pace(loss=0.01))
    for cell in dice.choice(site.free_cells, 60).tolist():
        rehearsal.give(cell)
    assert rehearsal.run(400, until=60) == 60
    rehearsal.end()


@pytest.mark.slow
def test_a_thousand_robots_work_on_the_large_warehouse(rehearse: Rehearse, tmp_path: Path) -> None:
    domain = DATA / "lorr2023" / "test" / "warehouse.domain"
    if not domain.exists():
        pytest.skip(f"the League of Robot Runners instance is not at {domain}")
    site = map_site(domain / "maps" / "warehouse_large.map")
    starts = [int(line) for line in (domain / "agents" / "warehouse_large_1000.agents").read_text().split()[1:1001]]
    errands = [int(line) for line in (domain / "tasks" / "warehouse_large.tasks").read_text().split()[1:3001]]
    rehearsal = rehearse(tmp_path, site, starts, rules=Rules())
    for cell in errands:
        rehearsal.give(cell)
    rates = []
    for _ in range(3):
        done = rehearsal.done
        rehearsal.run(40)
        rates.append(rehearsal.done - done)
    assert min(rates) > 30, rates
    assert rehearsal.floor.now == 120 * SECOND
    rehearsal.end()

"""Where pods stand, in the books and in the right of way: robots that rehearse, and a floor that knows the truth."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from coordination.coordinator import Coordinator
from coordination.messages import LIFT, Leg, LegKind, Report, RobotStatus
from coordination.pods import lifted
from coordination.rehearsal import Actor, Floor, Pace
from coordination.requests import Cancel, FleetState, Query, Submit, Submitted, Task, TaskState
from coordination.rightofway import RightOfWay
from coordination.roadmap import Roadmap
from coordination.rules import Rules
from coordination.tasks import Store
from sim.fixtures import Fixtures
from sim.robot import SECOND, RobotSpec
from sim.site import Site, make_site, with_fixtures
from tests.coordination.floors import floor, task_id

NORTH, PLACE, WEST, EAST = (1, 4), 8, 6, 11
"""The homes of both pods, a place on the short way between the ends of the row below, and these ends."""


def hall(*, lifted: bool = True) -> Site:
    """A ring of cells of 2 m, and two pods in dead ends north of it."""
    blocked = floor("@.@@.@", "......", ".@@@@.", "......").blocked
    site = make_site("hall", blocked, cell=2.0, person_free=~blocked)
    return with_fixtures(site, Fixtures(pods=NORTH, pod_size=(1.2, 1.2, 2.0), pod_side=3 if lifted else None))


class Hall:
    """Robots on the hall's floor; in every cycle nobody with a pod is, or may drive, where another pod stands."""

    def __init__(self, folder: Path, starts: list[int], *, seed: int = 0, loss: float = 0.0) -> None:
        self.path, self.site, self.tasks = folder / "tasks.sqlite", hall(), 0
        self.store = Store(self.path)
        self.floor = Floor(self.site, Coordinator(self.site, self.store), starts, seed=seed, pace=Pace(loss=loss))
        self.beneath: set[str] = set()
        """Robots that were in a cell of a standing pod, without one"""
        self.seen: dict[str, set[int]] = {name: set() for name in self.floor.actors}
        """Cells in which each robot was with a pod"""

    @property
    def core(self) -> Coordinator:
        return self.floor.coordinator

    @property
    def standing(self) -> set[int]:
        return set(self.core.pods.standing)

    def submit(self, *tasks: tuple[Leg, ...], robot: str = "lift") -> str:
        """The refusal, or nothing."""
        made = tuple(Task(task_id(self.tasks + number), legs, capability=robot) for number, legs in enumerate(tasks))
        ((_, answer),) = self.core.handle("client", Submit("request", made), self.floor.now)
        assert isinstance(answer, Submitted)
        self.tasks += len(tasks) if not answer.error else 0
        return answer.error

    def give(self, robot: str, *legs: Leg) -> str:
        assert self.submit(legs, robot=robot) == ""
        return task_id(self.tasks - 1)

    def run(self, seconds: float, until: Callable[[], bool] = lambda: False) -> bool:
        for _ in range(round(seconds * 10)):
            self.floor.cycle()
            under = self.floor.footprints()
            for name, actor in self.floor.actors.items():
                if actor.loaded:
                    assert not self.floor.pods.intersection(under[name]), f"{name} drove its pod into another"
                    assert not self.floor.pods.intersection(self.ahead(actor)), f"{name} was told to"
                    self.seen[name] |= set(under[name])
                elif self.floor.pods.intersection(under[name]):
                    self.beneath.add(name)
            if until():
                return True
        return False

    def ahead(self, actor: Actor) -> list[int]:
        """What a robot is granted as of now beyond the cell that it drives to."""
        grant = self.core.right_of_way.grant(actor.name, self.floor.now)
        cells = list(grant.cells) if grant is not None else []
        return cells[cells.index(actor.towards) + 1 :] if actor.towards in cells else []

    def done(self, count: int) -> Callable[[], bool]:
        return lambda: self.store.counts()["DONE"] >= count

    def restart(self) -> None:
        self.store.close()
        self.store = Store(self.path)
        self.floor.coordinator = Coordinator(self.site, self.store)


Open = Callable[..., Hall]


@pytest.fixture
def begin(tmp_path: Path) -> Iterator[Open]:
    made: list[Hall] = []

    def make(starts: list[int], **numbers: float) -> Hall:
        made.append(Hall(tmp_path, starts, **numbers))  # type: ignore[arg-type]
        return made[-1]

    yield make
    for one in made:
        one.store.close()


def bring(pod: int, place: int) -> tuple[Leg, Leg]:
    return Leg(pod, LegKind.LIFT, 1.0), Leg(place, LegKind.SET_DOWN, 1.0)


@pytest.mark.parametrize("seed", range(3))
def test_a_robot_with_a_pod_goes_round_another_and_one_without_beneath_it(begin: Open, seed: int) -> None:
    here = begin([7, 10, 23], seed=seed, loss=0.02)
    assert here.standing == set(NORTH)
    here.give("r0", *bring(1, PLACE), Leg(18, LegKind.VISIT))
    assert here.run(120, here.done(1))
    assert here.standing == here.floor.pods == {4, PLACE}
    here.give("r1", *bring(4, WEST))
    assert here.run(180, here.done(2)), "round the ring"
    assert here.standing == here.floor.pods == {WEST, PLACE}
    assert {EAST, 17, 12} <= here.seen["r1"]
    here.give("r2", Leg(EAST, LegKind.VISIT), Leg(7, LegKind.VISIT))
    here.beneath.clear()
    assert here.run(120, here.done(3))
    assert "r2" in here.beneath, "the short way leads beneath the pod"


def test_a_restart_knows_where_every_pod_is_and_who_carries_one(begin: Open) -> None:
    here = begin([7, 10], seed=1)
    here.give("r0", *bring(1, PLACE), Leg(18, LegKind.VISIT))
    actor = here.floor.actors["r0"]
    assert here.run(60, lambda: actor.loaded)
    here.run(0.2)
    here.restart()
    assert (here.standing, set(here.core.pods.carried)) == ({4}, {"r0"})
    assert here.run(120, here.done(1))
    here.restart()
    assert here.standing == here.floor.pods == {4, PLACE}
    here.give("r1", *bring(4, WEST))
    for _ in range(60):
        here.run(3.7)
        here.restart()
        assert here.standing - here.floor.pods == set(), "the books put no pod where none stands"
        if here.done(2)():
            break
    assert here.standing == here.floor.pods == {WEST, PLACE}
    with here.store.transaction():
        here.core.begin(anew=True)
    assert here.standing == set(NORTH), "in another plant"


def test_in_another_plant_a_task_begins_again_with_its_first_leg(begin: Open) -> None:
    here = begin([7, 10], seed=1)
    here.give("r0", *bring(1, PLACE))
    actor = here.floor.actors["r0"]
    assert here.run(60, lambda: actor.loaded)
    here.run(0.2)
    (before,) = here.store.open_tasks().values()
    assert (before.robot, before.legs_done) == ("r0", 1)
    with here.store.transaction():
        here.core.begin(anew=True)
    assert here.standing == set(NORTH)
    (after,) = here.store.open_tasks().values()
    assert (after.state, after.robot, after.legs_done) == (TaskState.QUEUED, "", 0)
    assert lifted([after]) == {1}, "its pod is still to be taken away"


def test_a_pod_is_not_set_down_where_another_stands(begin: Open) -> None:
    here = begin([7, 10], seed=2)
    assert f"sets a pod down in cell {NORTH[1]}, where one stands; have that one lifted" in here.submit(bring(*NORTH))
    there = bring(1, PLACE)
    assert "where one stands" in here.submit((*there, *bring(4, PLACE))), "by the task itself"
    assert here.submit((*there, *bring(PLACE, 1))) == "", "there and back"
    assert here.run(240, here.done(1))
    assert here.submit(bring(*NORTH), bring(*reversed(NORTH))) == "", "both are lifted: they change places"
    assert here.run(240, here.done(3))
    assert here.standing == here.floor.pods == set(NORTH)
    assert sorted(pod.cell for pod in here.store.pods().values()) == sorted(NORTH)
    assert {home: pod.cell for home, pod in here.store.pods().items()} == {1: 4, 4: 1}
    first = here.store.record(task_id(1))
    assert first is not None
    assert here.core.handle("client", Submit("again", (first.task,)), here.floor.now) == [
        ("client", Submitted("again", (first.task.id,)))
    ], "what was taken once is taken again"


def test_who_finds_a_pod_in_the_place_of_its_own_waits_before_it_and_says_so(begin: Open) -> None:
    here = begin([7, 10], seed=3)
    here.give("r0", *bring(1, PLACE), Leg(18, LegKind.VISIT))
    late = here.give("r1", *bring(4, PLACE))
    assert here.run(120, here.done(1))
    here.run(60)
    ((_, state),) = here.core.handle("client", Query("q"), here.floor.now)
    assert isinstance(state, FleetState)
    assert [(line.task, line.robot) for line in state.waiting] == [(late, "r1")]
    assert f"brings a pod to cell {PLACE}, where one stands" in state.waiting[0].reason
    here.give("r0", *bring(PLACE, WEST), Leg(18, LegKind.VISIT))
    assert here.run(240, here.done(3)), "that one was taken away"
    assert here.standing == here.floor.pods == {WEST, PLACE}


def test_a_cancelled_carrier_keeps_its_pod_and_its_next_task_sets_it_down(begin: Open) -> None:
    here = begin([7, 10], seed=4)
    task = here.give("r0", *bring(1, PLACE))
    actor = here.floor.actors["r0"]
    assert here.run(60, lambda: actor.loaded)
    here.core.handle("client", Cancel("c", task), here.floor.now)  # before the leg was confirmed
    here.run(5)
    assert (here.standing, set(here.core.pods.carried)) == ({4}, {"r0"})
    actor.loaded = False  # a person takes it off
    here.floor.pods.add(actor.cell)
    here.run(1)
    assert here.standing == here.floor.pods
    assert len(here.standing) == 2


def test_a_robot_with_a_pod_and_without_a_task_gets_no_pod_to_lift(begin: Open) -> None:
    here = begin([7], seed=6)
    task = here.give("r0", *bring(1, PLACE))
    actor = here.floor.actors["r0"]
    assert here.run(60, lambda: actor.loaded)
    here.core.handle("client", Cancel("c", task), here.floor.now)
    here.run(5)
    here.give("r0", *bring(4, EAST))
    beneath = here.give("r0", Leg(4, LegKind.VISIT))
    here.run(30)
    assert here.store.counts()["QUEUED"] == 2, "it carries a pod and meets the other one"
    free = here.give("r0", Leg(EAST, LegKind.VISIT))
    assert here.run(60, here.done(1))
    assert [here.store.record(name).state.name for name in (beneath, free)] == ["QUEUED", "DONE"]  # type: ignore[union-attr]


@pytest.mark.parametrize("seed", range(8))
def test_trips_there_and_back_with_the_same_pods_all_end(begin: Open, seed: int) -> None:
    """Several tasks for each pod wait until it stands at home again, and no robot goes for one that is away."""
    here = begin([7, 10, 19], seed=seed)
    draws = random.Random(seed)
    trips = []
    for _ in range(5):
        pod, place = draws.choice(NORTH), draws.choice((PLACE, WEST, EAST))
        trips.append((*bring(pod, place), *bring(place, pod)))
    for trip in trips:
        assert here.submit(trip) == ""
    assert here.run(1500, here.done(len(trips)))
    assert here.standing == here.floor.pods == set(NORTH)
    assert here.store.counts()["FAILED"] == 0


def test_a_task_whose_pod_is_nowhere_waits_and_says_so(begin: Open) -> None:
    here = begin([7, 10], seed=7)
    there = here.give("r0", *bring(1, PLACE))
    absent = here.give("r1", *bring(WEST, EAST))
    brought = here.give("r1", *bring(PLACE, EAST))
    here.run(3)
    ((_, state),) = here.core.handle("client", Query("q"), here.floor.now)
    assert isinstance(state, FleetState)
    assert [(line.task, line.robot) for line in state.waiting] == [(absent, "")]
    assert f"no pod stands in cell {WEST}" in state.waiting[0].reason
    assert here.run(240, here.done(2))
    assert {here.store.record(name).state.name for name in (there, brought)} == {"DONE"}  # type: ignore[union-attr]


def test_a_robot_that_cannot_lift_pods_is_kept_from_under_them(begin: Open) -> None:
    here = begin([7], seed=5)
    here.floor.lifts = False
    here.give("r0", Leg(1, LegKind.VISIT))
    here.run(30)
    assert here.beneath == set()
    assert here.store.counts()["DONE"] == 0


class Law:
    """Right of way over one row of cells, and robots that stand where they are put."""

    def __init__(self) -> None:
        self.site, self.now = floor(".........."), SECOND
        self.law = RightOfWay(Roadmap(self.site), Rules(), RobotSpec())

    def report(self, robot: str, cell: int, *, loaded: bool = False) -> None:
        x, y = self.site.centre(cell).tolist()
        seen = self.law.grant(robot, self.now)
        told = seen.id if seen is not None else 0
        place, still, moving = (x, y, 0.0), (0.0, 0.0), RobotStatus.MOVING
        said = Report(0, self.now, place, still, (cell,), 1.0, moving, told, capabilities=(LIFT,), loaded=loaded)
        self.law.observe(robot, said, self.now)

    def tick(self, count: int = 1) -> None:
        for _ in range(count):
            self.now += SECOND // 10
            self.law.tick(self.now)

    def cells(self, robot: str) -> tuple[int, ...]:
        grant = self.law.grant(robot, self.now)
        return grant.cells if grant is not None else ()


def test_who_lifts_a_pod_loses_what_it_was_granted_beneath_others() -> None:
    here = Law()
    here.law.set_pods({4}, ())
    here.report("a", 1)
    here.law.set_goal("a", 9, here.now)
    here.tick(10)
    assert here.cells("a") == (1, 2, 3, 4, 5, 6), "without a pod it drives beneath"
    here.report("a", 1, loaded=True)
    here.tick(10)
    assert here.cells("a") == (1, 2, 3)
    here.law.set_pods((), {"a"})
    here.report("a", 1)
    here.tick(10)
    assert here.cells("a") == (1, 2, 3, 4, 5, 6)
    here.law.set_pods({4}, {"a"})
    here.tick(10)
    assert here.cells("a") == (1, 2, 3), "the books know that it carries one, whatever it says"


def test_a_cell_that_is_promised_is_not_granted_once_a_pod_stands_there() -> None:
    here = Law()
    here.report("a", 3)
    here.law.set_goal("a", 9, here.now)
    here.report("b", 1, loaded=True)
    here.law.set_goal("b", 9, here.now)
    here.tick(10)
    assert here.cells("b") == (1, 2)
    assert here.law.waits_for() == {"b": "a"}
    here.law.set_pods({3}, ())
    here.report("a", 5)
    here.tick(2)
    here.report("a", 5)
    here.report("b", 1, loaded=True)
    here.tick(10)
    assert here.law.ledger.holder(3) == "", "it is free"
    assert here.cells("b") == (1, 2)
    assert here.law.waits_for() == {}


def test_pods_that_stay_are_in_no_books(tmp_path: Path) -> None:
    store = Store(tmp_path / "tasks.sqlite")
    assert dict(Coordinator(hall(lifted=False), store).pods.standing) == {}
    store.close()

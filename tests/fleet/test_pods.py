"""A fleet moves pods: real plant, control step and coordinator, without sockets."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from coordination.client import new_task_id
from coordination.coordinator import Coordinator
from coordination.messages import Leg, LegKind, Picture
from coordination.requests import Submit, Task
from coordination.tasks import Store
from fleet.control import ControlConfig, Stepper
from fleet.records import Inputs, Memory, Outputs, at_start
from fleet.world import World
from hierarchy import meta
from sim.bodies.pod import DECK
from sim.fixtures import Fixtures
from sim.lifting import EMPTY_POD, why_not
from sim.people import Profile
from sim.readers import load_site
from sim.robot import RobotSpec
from sim.site import Site, make_site, with_fixtures
from tests.fleet.hand_policy import write_hand_policy

SPEC = RobotSpec()


def store_room(*, size: float = 1.2, cell: float = 2.0) -> Site:
    """Six by four cells, racks in the middle; a pod in the top row, lifted from the south, and a station."""
    blocked = np.zeros((5, 6), bool)
    blocked[2, 2:4] = True
    blocked[0, :] = True
    blocked[0, 1] = False
    site = make_site("room", blocked, stations=[4 * 6 + 4, 4 * 6 + 1], cell=cell, person_free=~blocked)
    return with_fixtures(site, Fixtures(pods=(1,), pod_size=(size, size, 2.0), pod_side=3))


class Floor:
    """Robots under the real coordinator in the real plant. Owns them all."""

    def __init__(self, site: Site, folder: Path, robots: int, starts: list[int], goods: float = 10.0) -> None:
        policy = write_hand_policy(folder, SPEC)
        cells = np.array(starts, np.int32)
        self.world = World(site, SPEC, robots, profile=Profile.STILL, starts=cells, goods=goods, seed=3)
        self.store = Store(folder / "tasks.sqlite")
        self.coordinator = Coordinator(site, self.store)
        names = [f"r{number}" for number in range(robots)]
        self.steppers = {name: Stepper(ControlConfig(name, SPEC, 0.0), site, policy) for name in names}
        self.memories: dict[str, Memory] = {name: at_start() for name in names}
        self.pictures: dict[str, Picture] = {}
        self.log: list[dict[str, Outputs]] = []
        self.steps: list[tuple[Inputs, Memory, Outputs]] = []
        """Of the first robot."""

    def give(self, *legs: Leg, payload: float = 30.0) -> str:
        task = Task(new_task_id(), legs, capability="lift", payload=payload)
        with self.store.transaction():
            (_, answer), *_ = self.coordinator.handle("client", Submit("q", (task,)), self.world.stamp)
        assert not answer.error  # type: ignore[attr-defined]  # an answer to a submission
        return task.id

    def run(self, seconds: float, until: Callable[[], bool]) -> bool:
        """Rounds until something is so; False when it never was."""
        world = self.world
        for _ in range(round(seconds * 10)):
            said: dict[str, Outputs] = {}
            for number, (name, stepper) in enumerate(self.steppers.items()):
                readings, stamp = world.readings(number), world.stamp
                x, y, yaw = (float(value) for value in readings.pose)
                v, w = (float(value) for value in readings.twist)
                inputs = Inputs(
                    len(self.log), stamp, readings.scan.tobytes(), stamp, (x, y, yaw), stamp, (v, w), stamp,
                    battery=readings.battery, picture=self.pictures.get(name), lift=readings.lift,
                )  # fmt: skip
                before = self.memories[name]
                said[name], self.memories[name] = stepper.step(inputs, before)
                if number == 0:
                    self.steps.append((inputs, before, said[name]))
            world.command(np.array([outputs.released for outputs in said.values()], np.float32))
            world.lift(np.array([outputs.lift for outputs in said.values()]))
            self.log.append(said)
            with self.store.transaction():
                for name, outputs in said.items():
                    self.coordinator.handle(name, outputs.report, world.stamp)
                replies = self.coordinator.tick(world.stamp)
            self.pictures |= {name: body for name, body in replies if isinstance(body, Picture)}
            world.step()
            if until():
                return True
        return False

    def state(self, task: str) -> str:
        record = self.store.record(task)
        assert record is not None
        return record.state.name


@pytest.fixture
def begin(tmp_path: Path) -> Iterator[Callable[..., Floor]]:
    floors: list[Floor] = []

    def make(site: Site, robots: int, starts: list[int], goods: float = 10.0) -> Floor:
        floors.append(Floor(site, tmp_path, robots, starts, goods))
        return floors[-1]

    yield make
    for floor in floors:
        floor.store.close()


def there_and_back(pod: int, station: int) -> tuple[Leg, ...]:
    return (
        Leg(pod, LegKind.LIFT),
        Leg(station, LegKind.SET_DOWN, 1.0),
        Leg(station, LegKind.LIFT),
        Leg(pod, LegKind.SET_DOWN),
    )


def test_a_pod_is_lifted_moved_by_a_cell_lifted_there_and_put_back(begin: Callable[..., Floor]) -> None:
    site = store_room()
    floor = begin(site, 1, [1 + 6])
    pods = floor.world.pods
    assert pods is not None
    task = floor.give(*there_and_back(1, 1 + 6))
    beside = 0

    def over() -> bool:
        nonlocal beside
        away = float(np.hypot(*(pods.poses()[0, :2] - site.centre(1 + 6))))
        beside += int(pods.carried[0] < 0 and away < 0.15)
        return floor.state(task) == "DONE"

    assert floor.run(110.0, over), floor.log[-1]
    assert beside >= 9  # it stood there for the second of the leg
    assert float(np.hypot(*(pods.poses()[0, :2] - site.centre(1)))) < 0.12
    assert len(floor.world.physics.contacts) == len(floor.world.oracle.contacts) == 0


@pytest.mark.slow
def test_a_pod_is_fetched_set_down_at_a_station_and_brought_back(begin: Callable[..., Floor]) -> None:
    site = store_room()
    floor = begin(site, 1, [4 * 6])
    pods = floor.world.pods
    assert pods is not None
    station, home = site.centre(4 * 6 + 4), site.centre(1)
    task = floor.give(*there_and_back(1, 4 * 6 + 4))
    assert floor.run(90.0, lambda: pods.carried[0] == 0), floor.log[-1]
    assert floor.world.readings(0).lift >= 0.0
    away = lambda place: float(np.hypot(*(pods.poses()[0, :2] - place)))  # noqa: E731
    assert floor.run(120.0, lambda: pods.carried[0] == -1), floor.log[-1]
    assert away(station) < 0.15  # it stands at the station, on its own feet
    assert floor.run(180.0, lambda: floor.state(task) == "DONE"), floor.log[-1]
    assert pods.carried[0] == -1
    assert away(home) < 0.15
    yaw = float(pods.poses()[0, 2])
    assert abs(yaw - np.round(yaw / (np.pi / 2)) * np.pi / 2) < 0.15
    world = floor.world
    assert (world.physics.collisions, world.oracle.collisions) == (0, 0)
    assert len(world.physics.contacts) == len(world.oracle.contacts) == 0
    loaded = [said["r0"] for said in floor.log if said["r0"].report.loaded]
    assert len(loaded) > 100
    assert max(abs(said.released[0]) for said in loaded) <= 0.6 + 1e-6
    assert sum(said.reason != 0 for said in loaded) < 0.2 * len(loaded)  # the shield lets it pass

    fresh = Stepper(ControlConfig("r0", SPEC, 0.0), site, floor.steppers["r0"].policy)
    for inputs, before, outputs in floor.steps[:: max(len(floor.steps) // 60, 1)]:
        assert fresh.step(inputs, before)[0] == outputs  # what was recorded replays


@pytest.mark.slow
def test_a_robot_without_a_pod_drives_beneath_one_that_stands_in_its_way(begin: Callable[..., Floor]) -> None:
    site, place = store_room(), 6 + 2
    floor = begin(site, 2, [6 + 1, 4 * 6 + 5])
    first = floor.give(Leg(1, LegKind.LIFT), Leg(place, LegKind.SET_DOWN, 1.0), Leg(4 * 6, LegKind.VISIT))
    assert floor.run(120.0, lambda: floor.state(first) == "DONE"), floor.log[-1]
    assert dict(floor.coordinator.pods.standing) == {place: 1}
    second = floor.give(Leg(6, LegKind.VISIT), Leg(6 + 5, LegKind.VISIT), payload=0.0)
    beneath: list[Outputs] = []

    def over() -> bool:
        for number, said in enumerate(floor.log[-1].values()):
            pose = np.array(floor.world.readings(number).pose[:2])
            if site.cell_at(pose) == place:
                beneath.append(said)
        return floor.state(second) == "DONE"

    assert floor.run(120.0, over), floor.log[-1]
    assert len(beneath) > 10
    assert all(said.reason == 0 for said in beneath), "the shield lets it pass"
    assert len(floor.world.physics.contacts) == len(floor.world.oracle.contacts) == 0


def test_both_witnesses_see_a_carried_pod_driven_into_a_rack(begin: Callable[..., Floor]) -> None:
    site = store_room()
    floor = begin(site, 1, [4 * 6])
    pods, world = floor.world.pods, floor.world
    assert pods is not None
    floor.give(*there_and_back(1, 4 * 6 + 4))
    assert floor.run(90.0, lambda: floor.world.readings(0).lift >= 0.05)
    for _ in range(60):  # a robot that obeys no shield turns under the pod and drives off
        world.command(np.array([(0.5, 0.3)], np.float32))
        world.lift(np.array([True]))
        world.step()
    assert world.physics.collisions > 0
    assert world.physics.collisions == world.oracle.collisions
    assert [contact.other for contact in world.physics.contacts] == [contact.other for contact in world.oracle.contacts]


def test_a_pod_that_is_too_heavy_is_lifted_by_nobody(
    begin: Callable[..., Floor], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(meta, "LIFT_SECONDS", 5.0)
    site = store_room()
    floor = begin(site, 1, [1 + 6], goods=SPEC.payload_max - EMPTY_POD + 1.0)
    pods = floor.world.pods
    assert pods is not None
    task = floor.give(*there_and_back(1, 4 * 6 + 4), payload=SPEC.payload_max)  # its order lies
    assert floor.run(150.0, lambda: bool(floor.log and floor.log[-1]["r0"].report.failed)), floor.log[-1]
    assert "too heavy" in floor.log[-1]["r0"].report.failed
    assert pods.carried[0] == -1
    honest = floor.give(*there_and_back(1, 4 * 6 + 4), payload=SPEC.payload_max + 1.0)
    floor.run(5.0, lambda: False)
    assert floor.state(honest) == "QUEUED"
    assert floor.state(task) != "DONE"


def test_goods_change_what_the_carrier_pushes_and_what_its_battery_gives(begin: Callable[..., Floor]) -> None:
    site = store_room()
    floor = begin(site, 1, [1 + 6], goods=15.0)
    pods, model = floor.world.pods, floor.world.model
    assert pods is not None
    assert model.body("pod0").mass[0] == pytest.approx(35.0)
    assert model.body("pod0").inertia[2] == pytest.approx(35.0 * (1.2**2 + 1.2**2) / 12.0)
    floor.give(*there_and_back(1, 4 * 6 + 4), payload=35.0)
    assert floor.run(90.0, lambda: pods.carried[0] == 0)
    assert pods.payload().tolist() == [35.0]


def test_who_can_lift_is_said_in_numbers() -> None:
    assert why_not(SPEC, store_room()) == ""
    narrow = why_not(SPEC, store_room(size=1.0))
    assert narrow.startswith(
        "needs 0.98 m between the legs of pods, they leave 0.92 m; make pods 1.06 m to 1.33 m long"
    )
    assert not why_not(SPEC, store_room(size=1.06))
    assert not why_not(SPEC, store_room(size=1.33))
    assert why_not(SPEC, store_room(size=1.05))
    assert why_not(SPEC, store_room(size=1.34))
    small = why_not(SPEC, store_room(size=1.0, cell=1.2))
    assert small.endswith("; make pods 1.06 m long and wide, and cells 1.62 m instead of 1.2 m")
    assert not why_not(SPEC, store_room(size=1.06, cell=1.62))
    assert "turns with a pod in cells of" in why_not(SPEC, store_room(size=1.2, cell=1.7))
    assert "an empty pod weighs 20 kg" in why_not(replace(SPEC, payload_max=10.0), store_room())
    assert not why_not(replace(SPEC, height=DECK - 0.02), store_room())
    assert "is 0.37 m high, under pods pass 0.36 m" in why_not(replace(SPEC, height=0.37), store_room())
    plain = with_fixtures(store_room(), replace(store_room().fixtures, pod_side=None))
    assert "no pods that are lifted" in why_not(SPEC, plain)


def test_a_pod_that_stays_leaves_a_floor_as_it_was(root: Path) -> None:
    site = load_site(str(root / "launch" / "sites" / "small_warehouse.yaml"))
    assert site.fixtures.pods
    assert site.standing.reshape(-1)[list(site.fixtures.pods)].all()
    assert site.hash.startswith("d4d8d0a094ed")  # of the time before pods could be lifted
    world = World(site, SPEC, 1, seed=1)
    assert world.pods is None

"""The coordinator's loop with a recording core: order, commits, answers and stops."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
import pytest
import zmq

import coordination.service as service_module
from coordination.database import StoreError, StoreFull
from coordination.keys import Keys, new_keys
from coordination.messages import Join, Joined, Leg, LegKind, Picture, Report, RobotStatus, Round
from coordination.meters import Meters
from coordination.requests import FleetState, Query, StopRaise, StopReset, StopState, Submit, Submitted, Task, Waiting
from coordination.service import Service
from coordination.tasks import Store
from coordination.timely import AHEAD
from coordination.transport import InProcessEnd, Network, TransportError
from coordination.zmq_transport import ZmqClient, ZmqServer
from sim.robot import MILLISECOND, SECOND

KEYS = new_keys()


class RecordingCore:
    """Keeps what it is given, stores one cell a tick, and sends every robot that it heard of a picture."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.waiting: dict[str, Waiting] = {}
        self.counts: Counter[str] = Counter()
        self.heard: list[tuple[str, msgspec.Struct, int]] = []
        self.robots: set[str] = set()
        self.ticks: list[int] = []
        self.lives = 1

    def begin(self, *, anew: bool = False) -> None:
        self.lives += 1

    def handle(self, sender: str, message: msgspec.Struct, now: int) -> list[tuple[str, msgspec.Struct]]:
        self.heard.append((sender, message, now))
        match message:
            case Report():
                self.robots.add(sender)
                return []
            case Submit(request=request, tasks=tasks):
                return [(sender, Submitted(request, self.store.submit(tasks, now)))]
            case Query(request=request):
                return [(sender, FleetState(request, now, self.store.counts()))]
        raise AssertionError(message)

    def tick(self, now: int) -> list[tuple[str, msgspec.Struct]]:
        self.ticks.append(now)
        self.store.hold("r1", [len(self.ticks)], len(self.ticks), now)
        latch = self.store.latch()
        return [
            (robot, Picture(0, now, "site", None, stop_epoch=latch.stop_epoch, stopped=latch.stopped))
            for robot in sorted(self.robots)
        ]


@dataclass
class Rig:
    """A service, its plant's end, and clients, driven turn by turn in one thread."""

    service: Service
    core: RecordingCore
    store: Store
    plant: ZmqServer | None
    ends: list[ZmqClient] = field(default_factory=list)

    def client(self, name: str, keys: Keys | None = KEYS) -> ZmqClient:
        assert isinstance(self.service.server, ZmqServer)
        end = ZmqClient(name, "coordinator", keys, self.service.server.address)
        self.ends.append(end)
        assert end.connected(2.0)
        return end

    def turn_until(self, condition: Callable[[], object], patience: float = 5.0) -> None:
        deadline = time.monotonic() + patience
        while not condition():
            assert time.monotonic() < deadline, "the service did not get there"
            self.service.turn()

    def answer(self, end: ZmqClient) -> msgspec.Struct:
        """The next message to a client, turning until it is there."""
        got: list[msgspec.Struct] = []
        self.turn_until(lambda: got.extend(m.body for m in end.receive(0.0)) or got)
        return got[0]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Rig]]:
    rigs: list[Rig] = []

    def start(clock: str, *, plant: bool, at: Callable[[str], None] = service_module.nothing) -> Rig:
        store = Store(tmp_path / "tasks.sqlite")
        plant_end = ZmqServer("plant", KEYS) if plant else None
        plant_client = ZmqClient("coordinator", "plant", KEYS, plant_end.address) if plant_end else None
        assert plant_client is None or plant_client.connected(2.0)
        core = RecordingCore(store)
        server = ZmqServer("coordinator", KEYS)
        service = Service(core, store, server, plant_client, clock=clock, site="site", at=at)
        rigs.append(Rig(service, core, store, plant_end))
        return rigs[-1]

    yield start
    for rig in rigs:
        for end in rig.ends:
            end.close()
        for end in (rig.service.server, rig.service.plant, rig.plant):
            if end is not None:
                end.close()
        rig.store.close()


def join(rig: Rig, stamp: int = 0) -> None:
    """Let the coordinator join the plant."""
    assert rig.plant is not None
    got: list[msgspec.Struct] = []
    plant = rig.plant
    rig.turn_until(lambda: got.extend(m.body for m in plant.receive(0.0)) or got)
    assert got == [Join("coordinator")]
    rig.plant.send("coordinator", Joined("site", "lockstep", stamp), stamp)


def make_report(number: int, stamp: int) -> Report:
    return Report(number, stamp, (1.0, 2.0, 0.5), (0.1, 0.0), (7,), 0.9, RobotStatus.MOVING)


def make_task(name: str) -> Task:
    return Task(name, (Leg(1, LegKind.VISIT),))


def test_every_report_is_shown_to_who_keeps_heads_of_black_boxes_also_one_that_comes_again(
    start: Callable[..., Rig],
) -> None:
    rig = start("wall", plant=False)
    seen: list[int] = []
    rig.service._heads = lambda message: seen.append(message.body.round)
    robot = rig.client("r1")
    for number in (1, 2, 2):
        robot.send("coordinator", make_report(number, rig.service.now + number), rig.service.now + number)
        rig.turn_until(lambda wanted=number: seen and seen[-1] == wanted)
    rig.turn_until(lambda: len(seen) == 3)
    assert seen == [1, 2, 2]


def test_a_lockstep_round_ends_when_every_named_robot_has_reported(start: Callable[..., Rig]) -> None:
    rig = start("lockstep", plant=True)
    assert rig.plant is not None
    join(rig)
    robots = {name: rig.client(name) for name in ("r3", "r1", "r2")}
    rig.plant.send("coordinator", Round(7, 700, ("r1", "r2", "r3")), 700)
    robots["r3"].send("coordinator", make_report(7, 650), 650)
    robots["r2"].send("coordinator", make_report(7, 700), 700)
    for _ in range(3):
        rig.service.turn()
    assert rig.core.ticks == [], "r1 has not reported"
    robots["r1"].send("coordinator", make_report(7, 700), 700)
    rig.turn_until(lambda: rig.core.ticks)
    assert [(sender, now) for sender, _, now in rig.core.heard] == [("r3", 700), ("r1", 700), ("r2", 700)]
    (told,) = rig.plant.receive(2.0)
    assert told.body == Round(7, 700)
    for robot in robots.values():
        (message,) = robot.receive(2.0)
        assert message.body.round == 7
        assert message.stamp == 700


def test_an_old_report_does_not_end_a_round_and_a_missing_one_holds_it_only_so_long(
    start: Callable[..., Rig], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service_module, "REPORTS", 0.15)
    rig = start("lockstep", plant=True)
    assert rig.plant is not None
    join(rig)
    robot = rig.client("r1")
    robot.send("coordinator", make_report(6, 600), 600)
    begin = time.monotonic()
    rig.plant.send("coordinator", Round(7, 700, ("r1",)), 700)
    rig.turn_until(lambda: rig.core.ticks)
    assert time.monotonic() - begin >= 0.15


def test_a_late_report_gets_its_picture_in_a_tick_without_time(start: Callable[..., Rig]) -> None:
    rig = start("lockstep", plant=True)
    assert rig.plant is not None
    join(rig, stamp=700)
    robot = rig.client("r1")
    robot.send("coordinator", make_report(7, 700), 700)
    for _ in range(3):
        rig.service.turn()
    assert rig.core.ticks == [], "the report of the open round waits for its end"
    robot.send("coordinator", make_report(6, 600), 600)
    other = rig.client("r2")
    other.send("coordinator", make_report(6, 600), 600)
    picture = rig.answer(other)
    assert isinstance(picture, Picture)
    assert (picture.round, picture.stamp) == (6, 700)
    assert set(rig.core.ticks) == {700}, "one tick for both, or one for each where they came apart"
    assert rig.plant.receive(0.05) == [], "the plant asked nothing"
    rig.plant.send("coordinator", Round(7, 700, ("r1",)), 700)
    rig.turn_until(lambda: len(rig.core.heard) == 2)
    heard = [(sender, m.round) for sender, m, _ in rig.core.heard if isinstance(m, Report)]
    assert heard == [("r2", 6), ("r1", 7)]


def test_joining_again_in_a_slow_round_takes_no_report_from_it(start: Callable[..., Rig]) -> None:
    rig = start("lockstep", plant=True)
    assert rig.plant is not None
    join(rig)
    robot = rig.client("r1")
    for number in (1, 2):
        robot.send("coordinator", make_report(number, number * 100), number * 100)
        if number == 2:
            rig.plant.send("coordinator", Joined("site", "lockstep", 200), 200)
            for _ in range(4):
                rig.service.turn()
            assert len(rig.core.ticks) == 1, "the report waits for its round"
        rig.plant.send("coordinator", Round(number, number * 100, ("r1",)), number * 100)
        begin = time.monotonic()
        rig.turn_until(lambda number=number: len(rig.core.ticks) == number)
        assert time.monotonic() - begin < service_module.REPORTS / 2
    assert [now for _, _, now in rig.core.heard] == [100, 200]


@pytest.mark.parametrize(("clock", "back"), [("lockstep", 100), ("wall", service_module.ANEW + 1)])
def test_another_plant_whose_time_begins_anew_finds_a_coordinator_that_begins_anew(
    start: Callable[..., Rig], clock: str, back: int
) -> None:
    rig = start(clock, plant=True)
    assert rig.plant is not None
    join(rig, stamp=100 * SECOND)
    robot = rig.client("r1")
    robot.send("coordinator", make_report(1, 100 * SECOND), 100 * SECOND)
    rig.plant.send("coordinator", Round(1, 100 * SECOND, ("r1",)), 100 * SECOND)
    rig.turn_until(lambda: rig.core.heard)
    now = rig.service.now
    assert rig.core.lives == 1
    rig.plant.send("coordinator", Joined("site", clock, now - back), now - back)
    rig.turn_until(lambda: rig.core.lives == 2)
    assert rig.service.now - SECOND < now - back <= rig.service.now
    robot.send("coordinator", make_report(2, now - back), now - back)
    rig.plant.send("coordinator", Round(2, now - back, ("r1",)), now - back)
    rig.turn_until(lambda: len(rig.core.heard) == 2)
    assert rig.core.ticks[-1] < now


def test_in_wall_mode_a_plant_that_is_a_little_behind_is_the_same_plant(start: Callable[..., Rig]) -> None:
    rig = start("wall", plant=True)
    assert rig.plant is not None
    join(rig, stamp=100 * SECOND)
    rig.turn_until(lambda: rig.core.ticks)
    now = rig.service.now
    rig.plant.send("coordinator", Joined("site", "wall", now - SECOND), now - SECOND)
    ticks = len(rig.core.ticks)
    rig.turn_until(lambda: len(rig.core.ticks) > ticks + 1)
    assert rig.core.lives == 1
    assert rig.service.now > now


def test_nothing_leaves_before_the_commit(start: Callable[..., Rig]) -> None:
    class Killed(Exception):
        pass

    def at(point: str) -> None:
        if point == killed_at:
            raise Killed

    killed_at = "round:commit"
    rig = start("lockstep", plant=True, at=at)
    assert rig.plant is not None
    join(rig)
    robot = rig.client("r1")
    robot.send("coordinator", make_report(7, 700), 700)
    rig.plant.send("coordinator", Round(7, 700, ("r1",)), 700)
    with pytest.raises(Killed):
        rig.turn_until(lambda: rig.core.ticks and False)
    assert robot.receive(0.1) == []
    assert rig.plant.receive(0.0) == []
    assert rig.store.holdings() == {}
    killed_at = "answer:committed"
    robot.send("coordinator", Submit("q", (make_task("a"),)), 0)
    with pytest.raises(Killed):
        rig.turn_until(lambda: False)
    assert robot.receive(0.1) == []
    assert set(rig.store.open_tasks()) == {"a"}, "committed, though nobody was told: the client asks again"


def test_a_request_is_answered_without_a_round(start: Callable[..., Rig]) -> None:
    rig = start("lockstep", plant=True)
    client = rig.client("client")
    client.send("coordinator", Submit("q", (make_task("a"), make_task("b"))), 0)
    assert rig.answer(client) == Submitted("q", ("a", "b"))
    assert rig.core.ticks == []


def test_a_refused_request_spoils_neither_the_service_nor_its_neighbours(start: Callable[..., Rig]) -> None:
    rig = start("lockstep", plant=True)
    client = rig.client("client")
    client.send("coordinator", Submit("1", (make_task("a"),)), 0)
    client.send("coordinator", Submit("2", (make_task("b"), Task("a", (), priority=3))), 0)
    client.send("coordinator", Submit("3", (make_task("c"),)), 0)
    answers: list[Submitted] = []
    rig.turn_until(lambda: answers.extend(m.body for m in client.receive(0.0)) or len(answers) == 3)
    assert [answer.accepted for answer in answers] == [("a",), (), ("c",)]
    assert "already here" in answers[1].error
    assert set(rig.store.open_tasks()) == {"a", "c"}


def test_a_message_that_raises_is_dropped_counted_and_said_once(
    start: Callable[..., Rig], monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    rig = start("lockstep", plant=True)
    assert rig.plant is not None
    join(rig)
    handle = rig.core.handle

    def fail_for_r1(sender: str, message: msgspec.Struct, now: int) -> list[tuple[str, msgspec.Struct]]:
        if sender == "r1":
            rig.store.submit([make_task("half_done")], now)
            raise OverflowError("too large")
        return handle(sender, message, now)

    monkeypatch.setattr(rig.core, "handle", fail_for_r1)
    robots = {name: rig.client(name) for name in ("r1", "r2")}
    for number in (1, 2):
        for robot in robots.values():
            robot.send("coordinator", make_report(number, 100 * number), 100 * number)
        rig.plant.send("coordinator", Round(number, 100 * number, ("r1", "r2")), 100 * number)
        rig.turn_until(lambda number=number: len(rig.core.ticks) == number)
        (message,) = robots["r2"].receive(2.0)
        assert message.body.round == number
    robots["r1"].send("coordinator", Query("q"), 0)
    answer = rig.answer(robots["r1"])
    assert isinstance(answer, FleetState)
    assert answer.error.startswith("this message failed (OverflowError in fail_for_r1, line ")
    assert rig.service.server.counts["failed"] == 3
    said = capfd.readouterr().err
    assert said.count("dropped report/1 of r1: OverflowError in fail_for_r1") == 1
    assert said.count("dropped query/1 of r1: OverflowError") == 1
    robots["r2"].send("coordinator", Query("q"), 0)
    answer = rig.answer(robots["r2"])
    assert isinstance(answer, FleetState)
    assert not answer.error


def test_a_request_that_raises_leaves_nothing_behind(
    start: Callable[..., Rig], monkeypatch: pytest.MonkeyPatch
) -> None:
    rig = start("wall", plant=False)

    def fail(sender: str, message: msgspec.Struct, now: int) -> list[tuple[str, msgspec.Struct]]:
        rig.store.submit([make_task("half_done")], now)
        raise KeyError("later")

    monkeypatch.setattr(rig.core, "handle", fail)
    client = rig.client("fleet")
    client.send("coordinator", Submit("1", (make_task("a"),)), 0)
    answer = rig.answer(client)
    while not isinstance(answer, Submitted):
        answer = rig.answer(client)
    assert answer.error.startswith("not stored: this message failed (KeyError")
    assert rig.store.counts()["QUEUED"] == 0


@pytest.mark.parametrize("fault", [StoreFull("the disk takes no more"), StoreError("disk I/O error")])
def test_what_the_store_raises_in_a_report_ends_the_service(
    start: Callable[..., Rig], monkeypatch: pytest.MonkeyPatch, fault: StoreError
) -> None:
    rig = start("lockstep", plant=True)
    assert rig.plant is not None
    join(rig)

    def fail(sender: str, message: msgspec.Struct, now: int) -> list[tuple[str, msgspec.Struct]]:
        raise fault

    monkeypatch.setattr(rig.core, "handle", fail)
    robot = rig.client("r1")
    robot.send("coordinator", make_report(1, 100), 100)
    rig.plant.send("coordinator", Round(1, 100, ("r1",)), 100)
    with pytest.raises(StoreError, match=str(fault)):
        rig.turn_until(lambda: rig.core.ticks)
    assert robot.receive(0.1) == [], "nothing is told of what is not on disk"


def test_a_strangers_stop_is_latched_answered_and_in_the_next_picture(start: Callable[..., Rig]) -> None:
    rig = start("wall", plant=False)
    robot, stranger = rig.client("r1"), rig.client("passer_by", None)
    robot.send("coordinator", make_report(1, 1), 1)
    picture = rig.answer(robot)
    assert isinstance(picture, Picture)
    assert not picture.stopped
    robot.receive(0.0)
    rig.turn_until(lambda: time.monotonic() < rig.service._next_tick)
    ticks = len(rig.core.ticks)
    stranger.send("coordinator", StopRaise("passer by", "smoke", "q"), 0)
    assert rig.answer(stranger) == StopState("q", True, 1)
    assert rig.store.latch().stopped
    rig.turn_until(lambda: len(rig.core.ticks) > ticks)
    rig.turn_until(lambda: any(m.body.stopped for m in robot.receive(0.0)))
    stranger.send("coordinator", StopReset("passer by", 1, "r"), 0)
    robot.send("coordinator", StopReset("r1", 1, "r"), 0)
    answers: list[msgspec.Struct] = []
    rig.turn_until(
        lambda: answers.extend(m.body for m in robot.receive(0.0) if isinstance(m.body, StopState)) or answers
    )
    assert isinstance(answers[0], StopState)
    assert "only a signed operator" in answers[0].error
    assert rig.service.server.counts["unsigned"] == 1
    operator = rig.client("operator_ann")
    operator.send("coordinator", StopReset("ann", 1, "s"), 0)
    assert rig.answer(operator) == StopState("s", False, 1)
    assert not rig.store.latch().stopped


def test_in_wall_mode_time_goes_on_without_reports(start: Callable[..., Rig]) -> None:
    rig = start("wall", plant=False)
    rig.turn_until(lambda: len(rig.core.ticks) == 4)
    steps = [after - before for before, after in zip(rig.core.ticks, rig.core.ticks[1:], strict=False)]
    assert all(step > 0 for step in steps)
    assert sum(steps) >= 250 * MILLISECOND


def test_in_wall_mode_without_a_plant_the_time_is_what_the_caller_says(tmp_path: Path) -> None:
    store = Store(tmp_path / "tasks.sqlite")
    core, times = RecordingCore(store), iter(range(1_700_000_000_000_000_000, 2**62, 7))
    server = Network().server("coordinator", KEYS)
    service = Service(core, store, server, None, clock="wall", wait=lambda timeout: None, moment=lambda: next(times))
    deadline = time.monotonic() + 5.0
    while len(core.ticks) < 3 and time.monotonic() < deadline:
        service.turn()
    store.close()
    assert core.ticks[0] >= 1_700_000_000_000_000_000
    assert core.ticks == sorted(core.ticks)


@dataclass
class Turned:
    """A service in wall mode without a plant, on a clock that a test turns."""

    service: Service
    core: RecordingCore
    server: InProcessEnd
    network: Network
    now: list[int]

    def tick(self, seconds: float) -> None:
        """The clock goes on, or back, and the service ticks."""
        self.now[0] += round(seconds * SECOND)
        self.service._next_tick = 0.0
        self.service.turn()


@pytest.fixture
def turned(tmp_path: Path) -> Iterator[Turned]:
    store, network, now = Store(tmp_path / "tasks.sqlite"), Network(), [1000 * SECOND]
    core, server = RecordingCore(store), network.server("coordinator", KEYS)
    service = Service(core, store, server, None, clock="wall", wait=lambda timeout: None, moment=lambda: now[0])
    yield Turned(service, core, server, network, now)
    store.close()


def test_a_robot_whose_clock_ran_ahead_is_said_and_heard_again_once_it_is_right(
    turned: Turned, capsys: pytest.CaptureFixture[str]
) -> None:
    robot = turned.network.client("r1", "coordinator", KEYS)
    turned.tick(0.1)
    ahead = turned.now[0] + 3600 * SECOND
    for _ in range(3):
        robot.send("coordinator", make_report(1, ahead), ahead)
        turned.tick(0.1)
    assert turned.core.heard == []
    assert turned.server.counts["report_ahead"] == 3
    said = capsys.readouterr().err
    assert said.count("dropped reports of r1: they are stamped ahead of the site's time, by 3599.9 s") == 1
    assert "synchronise its computer" in said
    robot.send("coordinator", make_report(2, turned.now[0]), turned.now[0])
    turned.tick(0.1)
    assert [report.round for _, report, _ in turned.core.heard] == [2]


def test_a_report_that_is_a_little_ahead_is_one_of_a_clock_as_good_as_ours(turned: Turned) -> None:
    robot = turned.network.client("r1", "coordinator", KEYS)
    turned.tick(0.1)
    stamp = turned.now[0] + AHEAD
    robot.send("coordinator", make_report(1, stamp), stamp)
    turned.tick(0.0)
    assert len(turned.core.heard) == 1


def test_a_robot_whose_clock_fell_behind_is_said(turned: Turned, capsys: pytest.CaptureFixture[str]) -> None:
    robot = turned.network.client("r1", "coordinator", KEYS)
    for back in (0.0, 1.0, 60.0, 60.0):
        turned.tick(0.1)
        stamp = turned.now[0] - round(back * SECOND)
        robot.send("coordinator", make_report(1, stamp), stamp)
        turned.tick(0.0)
    assert len(turned.core.heard) == 1
    assert turned.server.counts["report_behind"] == 2
    assert capsys.readouterr().err.count("reports of r1 say nothing new: older ones than it has sent before") == 1


@pytest.mark.parametrize(("back", "lives"), [(1.0, 1), (900.0, 2)])
def test_without_a_plant_a_clock_that_is_set_back_begins_another_life(turned: Turned, back: float, lives: int) -> None:
    """Else time would stand until it has come to where it was, and with it every lease."""
    robot = turned.network.client("r1", "coordinator", KEYS)
    turned.tick(0.1)
    robot.send("coordinator", make_report(1, turned.now[0]), turned.now[0])
    turned.tick(0.1)
    turned.tick(-back)
    assert turned.core.lives == lives
    robot.send("coordinator", make_report(2, turned.now[0]), turned.now[0])
    turned.tick(0.1)
    assert [report.round for _, report, _ in turned.core.heard] == ([1, 2] if lives == 2 else [1])
    assert (turned.core.ticks[-1] == turned.now[0]) == (lives == 2)


def test_in_wall_mode_a_plant_gives_the_time(start: Callable[..., Rig]) -> None:
    rig = start("wall", plant=True)
    for _ in range(3):
        rig.service.turn()
    assert rig.core.ticks == [], "no time yet"
    join(rig, stamp=5_000 * MILLISECOND)
    rig.turn_until(lambda: rig.core.ticks)
    assert 5_000 * MILLISECOND <= rig.core.ticks[0] < 6_000 * MILLISECOND


def test_a_plant_with_another_site_or_a_refusal_ends_the_service(start: Callable[..., Rig]) -> None:
    rig = start("lockstep", plant=True)
    assert rig.plant is not None
    rig.turn_until(lambda: rig.plant is not None and rig.plant.receive(0.0))
    rig.plant.send("coordinator", Joined("other", "lockstep", 0), 0)
    with pytest.raises(TransportError, match="the same --site"):
        rig.turn_until(lambda: False)
    rig.plant.send("coordinator", Joined(error="no room"), 0)
    with pytest.raises(TransportError, match="no room"):
        rig.turn_until(lambda: False)


def test_a_silent_plant_is_asked_again(start: Callable[..., Rig], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service_module, "REJOIN", 0.05)
    rig = start("lockstep", plant=True)
    joins: list[msgspec.Struct] = []
    rig.turn_until(lambda: rig.plant and (joins.extend(m.body for m in rig.plant.receive(0.0)) or len(joins) >= 3))
    assert joins[:3] == [Join("coordinator")] * 3


def test_rubbish_and_flooding_do_not_stop_the_service(start: Callable[..., Rig]) -> None:
    rig = start("lockstep", plant=True)
    assert rig.plant is not None
    join(rig)
    robot = rig.client("r1")
    rogue = zmq.Context.instance().socket(zmq.DEALER)
    rogue.setsockopt(zmq.LINGER, 0)
    assert isinstance(rig.service.server, ZmqServer)
    rogue.connect(rig.service.server.address)
    for number in range(2000):
        rogue.send(bytes([number % 256]) * (number % 300))
    head = b"".join(map(msgspec.msgpack.encode, ("stop_raise/1", "r1", 1, 1, 0, b"")))
    rogue.send(b"\x97" + head + b"\x91" * 5000 + bytes(17))  # arrays in arrays, deeper than a decoder may recurse
    robot.send("coordinator", make_report(1, 100), 100)
    robot.send("coordinator", Picture(1, 1, "site", None), 100)
    rig.plant.send("coordinator", Round(1, 100, ("r1",)), 100)
    rig.turn_until(lambda: rig.core.ticks)
    assert [type(message) for _, message, _ in rig.core.heard] == [Report]
    rogue.close()


def test_lockstep_without_a_plant_is_refused(tmp_path: Path) -> None:
    server, store = ZmqServer("coordinator", KEYS), Store(tmp_path / "tasks.sqlite")
    with pytest.raises(TransportError, match="needs the plant's address"):
        Service(RecordingCore(store), store, server, None, clock="lockstep")
    server.close()
    store.close()


def test_the_meters_show_rounds_tasks_and_messages(start: Callable[..., Rig]) -> None:
    from prometheus_client import generate_latest

    rig = start("wall", plant=False)
    client = rig.client("client")
    client.send("coordinator", Submit("q", (make_task("a"),)), 0)
    rig.turn_until(lambda: len(rig.core.ticks) == 2)
    rig.turn_until(lambda: rig.store.counts()["QUEUED"])
    ticks = len(rig.core.ticks)
    rig.turn_until(lambda: len(rig.core.ticks) > ticks)
    page = generate_latest(rig.service.meters.registry).decode()
    assert 'muster_coordinator_tasks{state="queued"} 1.0' in page
    assert f"muster_coordinator_rounds_total {float(len(rig.core.ticks))}" in page
    assert 'muster_coordinator_messages_total{kind="received",peer="fleet"} 1.0' in page
    assert "muster_coordinator_commit_seconds_count" in page


def test_a_metrics_port_in_use_is_one_clear_line() -> None:
    import socket

    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(TransportError, match="--metrics-port"):
        Meters().serve(taken.getsockname()[1])

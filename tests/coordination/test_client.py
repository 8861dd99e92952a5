"""Both kinds of clients: a robot's lease and a client's requests."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Callable, Iterator

import msgspec
import pytest

import coordination.client as client_module
from coordination.client import CoordinatorClient, FleetClient, NoAnswerError, RefusedError, View, new_task_id
from coordination.keys import new_keys
from coordination.messages import Grant, Leg, LegKind, Picture, Report, RobotStatus
from coordination.requests import Cancel, FleetState, Query, StopRaise, StopState, Submit, Submitted, Task
from coordination.transport import Network
from coordination.zmq_transport import ZmqClient, ZmqServer
from sim.robot import SECOND

KEYS = new_keys()


def make_picture(number: int, stamp: int, stopped: bool = False) -> Picture:
    return Picture(number, stamp, "site", Grant(1, (4, 5), stamp + 2 * SECOND), stopped=stopped)


def test_a_silent_coordinator_ends_the_lease() -> None:
    network = Network()
    server = network.server("coordinator", KEYS)
    end = network.client("r1", "coordinator", KEYS)
    robot = CoordinatorClient(end)
    assert robot.view(0).grant is None
    assert robot.view(0).age == float("inf")
    server.send("r1", make_picture(1, 10 * SECOND), 0)
    robot.poll()
    fresh = robot.view(11 * SECOND)
    assert fresh.grant is not None
    assert fresh.age == 1.0
    assert robot.view(12 * SECOND - 1).grant is not None
    assert robot.view(12 * SECOND).grant is None, "at its last instant the lease has ended"


def test_an_older_picture_replaces_no_newer_one() -> None:
    network = Network()
    server = network.server("coordinator", KEYS)
    robot = CoordinatorClient(network.client("r1", "coordinator", KEYS))
    server.send("r1", make_picture(7, 7 * SECOND), 0)
    server.send("r1", make_picture(6, 6 * SECOND), 0)
    robot.poll()
    picture = robot.view(7 * SECOND).picture
    assert picture is not None
    assert picture.round == 7


def test_a_grant_of_an_older_epoch_is_not_used() -> None:
    """A former coordinator that wakes up, or one on another store: whatever its stamp says."""
    network = Network()
    server = network.server("coordinator", KEYS)
    end = network.client("r1", "coordinator", KEYS)
    robot = CoordinatorClient(end)
    for number, epoch in ((1, 4), (2, 5), (3, 4), (4, 0)):
        server.send("r1", msgspec.structs.replace(make_picture(number, number * SECOND), epoch=epoch), 0)
    robot.poll()
    view = robot.view(3 * SECOND)
    assert view.picture is not None
    assert (view.picture.round, view.picture.epoch) == (2, 5)
    assert end.counts["older_epoch"] == 2
    assert robot.view(4 * SECOND).grant is None, "its lease ends as if nobody spoke"
    robot.report(Report(4, 4 * SECOND, (1.0, 2.0, 0.5), (0.1, 0.0), (7,), 0.9, RobotStatus.MOVING))
    (message,) = server.receive(0.1)
    assert message.body.epoch == 5


def test_a_newer_epoch_outranks_whatever_stamp_the_former_one_had() -> None:
    """A coordinator whose time began anew: its stamps are smaller than those of its former life."""
    network = Network()
    server = network.server("coordinator", KEYS)
    robot = CoordinatorClient(network.client("r1", "coordinator", KEYS))
    server.send("r1", msgspec.structs.replace(make_picture(900, 90 * SECOND), epoch=1), 0)
    server.send("r1", msgspec.structs.replace(make_picture(1, SECOND), epoch=2), 0)
    robot.poll()
    picture = robot.view(SECOND).picture
    assert picture is not None
    assert (picture.round, picture.epoch) == (1, 2)


def test_a_robot_whose_clock_begins_anew_forgets_what_it_was_told_and_no_epoch() -> None:
    """A grant of the former life would run until that time comes again."""
    network = Network()
    server = network.server("coordinator", KEYS)
    end = network.client("r1", "coordinator", KEYS)
    robot = CoordinatorClient(end)
    robot.report(Report(900, 90 * SECOND, (1.0, 2.0, 0.5), (0.1, 0.0), (7,), 0.9, RobotStatus.MOVING))
    server.send("r1", msgspec.structs.replace(make_picture(900, 90 * SECOND), epoch=3), 0)
    robot.poll()
    assert robot.view(SECOND).grant is not None
    robot.forget()
    assert robot.view(SECOND) == View(None, float("inf"), None, False)
    server.send("r1", msgspec.structs.replace(make_picture(1, SECOND), epoch=2), 0)
    server.send("r1", msgspec.structs.replace(make_picture(1, SECOND), epoch=3), 0)
    robot.poll()
    assert end.counts["older_epoch"] == 1
    view = robot.view(SECOND)
    assert view.picture is not None
    assert (view.picture.stamp, view.picture.epoch) == (SECOND, 3)


def test_a_latched_stop_takes_the_grant_away() -> None:
    network = Network()
    server = network.server("coordinator", KEYS)
    robot = CoordinatorClient(network.client("r1", "coordinator", KEYS))
    server.send("r1", make_picture(1, SECOND, stopped=True), 0)
    robot.poll()
    assert robot.view(SECOND).grant is None
    assert robot.view(SECOND).stopped


def test_a_robot_waits_for_its_round_and_no_longer_than_told() -> None:
    network = Network()
    server = network.server("coordinator", KEYS)
    robot = CoordinatorClient(network.client("r1", "coordinator", KEYS))
    robot.report(Report(3, 5, (1.0, 2.0, 0.5), (0.1, 0.0), (7,), 0.9, RobotStatus.IDLE))
    assert server.receive(0.0)[0].body.round == 3
    assert not robot.wait_for_round(3, 0.01)
    server.send("r1", make_picture(3, 5), 0)
    assert robot.wait_for_round(3, 0.01)
    assert robot.wait_for_round(2, 0.01)


def test_a_robot_that_waits_for_its_picture_repeats_its_report(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client_module, "REPORT_AGAIN", 0.01)
    network = Network()
    server = network.server("coordinator", KEYS)
    robot = CoordinatorClient(network.client("r1", "coordinator", KEYS))
    robot.remind()
    assert server.receive(0.0) == []
    robot.report(Report(3, 5, (1.0, 2.0, 0.5), (0.1, 0.0), (7,), 0.9, RobotStatus.IDLE))
    assert not robot.wait_for_round(3, 0.05)
    reports = [message.body for message in server.receive(0.0)]
    assert len(reports) >= 3
    assert len(set(reports)) == 1


Answer = Callable[[msgspec.Struct], "msgspec.Struct | None"]


@pytest.fixture
def fleet() -> Iterator[Callable[[Answer], FleetClient]]:
    """A client of a coordinator that answers by the test's function, in its own thread."""
    server = ZmqServer("coordinator", KEYS)
    ended = threading.Event()
    ends: list[ZmqClient] = []
    threads: list[threading.Thread] = []

    def serve(answer: Answer) -> FleetClient:
        def loop() -> None:
            while not ended.is_set():
                for message in server.receive(0.02):
                    reply = answer(message.body)
                    if reply is not None:
                        server.send(message.peer, reply, 0)

        threads.append(threading.Thread(target=loop))
        threads[-1].start()
        ends.append(ZmqClient("client", "coordinator", KEYS, server.address))
        return FleetClient(ends[-1])

    yield serve
    ended.set()
    for thread in threads:
        thread.join(5.0)
    for end in ends:
        end.close()
    server.close()


def make_tasks(count: int) -> list[Task]:
    return [Task(new_task_id(), (Leg(1, LegKind.VISIT),)) for _ in range(count)]


def test_an_unanswered_request_is_sent_again(fleet: Callable[[Answer], FleetClient]) -> None:
    heard: list[msgspec.Struct] = []

    def answer(body: msgspec.Struct) -> msgspec.Struct | None:
        heard.append(body)
        assert isinstance(body, Submit)
        if len(heard) == 1:
            return None
        return Submitted(body.request, tuple(task.id for task in body.tasks))

    tasks = make_tasks(3)
    assert fleet(answer).submit(tasks) == tuple(task.id for task in tasks)
    assert heard[0] == heard[1]


def test_many_tasks_travel_in_parts(fleet: Callable[[Answer], FleetClient]) -> None:
    def answer(body: msgspec.Struct) -> msgspec.Struct:
        assert isinstance(body, Submit)
        return Submitted(body.request, tuple(task.id for task in body.tasks))

    tasks = make_tasks(230)
    assert fleet(answer).submit(tasks) == tuple(task.id for task in tasks)


def test_a_refusal_is_raised_with_its_reason(fleet: Callable[[Answer], FleetClient]) -> None:
    def answer(body: msgspec.Struct) -> msgspec.Struct:
        if isinstance(body, (Submit, Cancel)):
            return Submitted(body.request, error="the disk is full")
        assert isinstance(body, StopRaise)
        return StopState(body.request, True, 4)

    client = fleet(answer)
    with pytest.raises(RefusedError, match="the disk is full"):
        client.submit(make_tasks(1))
    with pytest.raises(RefusedError, match="not cancelled"):
        client.cancel("x")
    assert client.stop("ann").stop_epoch == 4


def test_an_answer_to_another_request_is_passed_over(fleet: Callable[[Answer], FleetClient]) -> None:
    heard: list[str] = []

    def answer(body: msgspec.Struct) -> msgspec.Struct:
        assert isinstance(body, Query)
        heard.append(body.request)
        return FleetState("another" if len(heard) == 1 else body.request, 5, {"QUEUED": len(heard)})

    assert fleet(answer).query().counts == {"QUEUED": 2}


def test_silence_is_an_error_after_the_timeout(fleet: Callable[[Answer], FleetClient]) -> None:
    with pytest.raises(NoAnswerError, match=r"no answer from coordinator within 0\.2 s"):
        fleet(lambda body: None).query(timeout=0.2)


def test_task_ids_are_uuid_version_7_and_sort_by_time() -> None:
    ids = [new_task_id() for _ in range(3)]
    assert all(uuid.UUID(name).version == 7 for name in ids)
    assert all(uuid.UUID(name).variant == uuid.RFC_4122 for name in ids)
    assert len(set(ids)) == 3

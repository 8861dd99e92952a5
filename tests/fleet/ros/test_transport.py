"""Coordination over a bus: what acknowledgements, repetition and topics add to the contract of transports."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from coordination.keys import Keys, new_keys
from coordination.messages import MAX_MESSAGE, Heard, Leg, LegKind, Picture, Report, RobotStatus
from coordination.requests import StopRaise, StopState, Submit, Submitted, Task
from coordination.service import Service
from coordination.tasks import Store
from coordination.transport import TransportError
from coordination.wire import Received, Wire
from fleet.ros.loop import LoopBus, LoopNetwork
from fleet.ros.messages.std_msgs import UInt8MultiArray
from fleet.ros.outbox import AGAIN, GIVE_UP
from fleet.ros.transport import QUEUED, STRANGER, BusClient, BusServer, space_of, wait_any
from tests.coordination.floors import task_id
from tests.coordination.test_service import RecordingCore

KEYS = new_keys()


class Lossy(LoopNetwork):
    """A network that loses and doubles messages."""

    def __init__(self, loss: float, seed: int = 1) -> None:
        super().__init__()
        self.loss = loss
        self._draw = random.Random(seed)

    def carry(self, writer: Any, data: bytes) -> None:  # the loop's own writer
        for _ in range(1 + (self._draw.random() < 0.2)):
            if self._draw.random() >= self.loss:
                super().carry(writer, data)


@dataclass
class Hall:
    """A server and its clients on one network, each on a bus of its own, with a clock that the test moves."""

    network: LoopNetwork = field(default_factory=LoopNetwork)
    now: float = 0.0

    def server(self, keys: Keys | None = KEYS, space: str = "", *arguments: str) -> BusServer:
        bus = LoopBus(self.network)
        node = bus.node("coordinator", arguments=arguments)
        return BusServer(bus, node, "coordinator", keys, space, now=lambda: self.now)

    def client(self, name: str, keys: Keys | None = KEYS, space: str = "") -> BusClient:
        bus = LoopBus(self.network)
        return BusClient(bus, bus.node(name), name, "coordinator", keys, space, now=lambda: self.now)

    def joined(self, server: BusServer, name: str) -> BusClient:
        client = self.client(name)
        meet(server, client)
        return client


def meet(server: BusServer, client: BusClient) -> None:
    """The handshake: hello, heard."""
    client.gather()
    server.gather()
    assert client.connected(0.0)


def report(number: int) -> Report:
    return Report(number, number, (1.0, 2.0, 0.5), (0.1, 0.0), (7, 8), 0.9, RobotStatus.MOVING)


def picture(number: int) -> Picture:
    return Picture(number, number, "site", None)


def rounds(messages: list[Received]) -> list[int]:
    return [message.body.round for message in messages]


def test_what_is_lost_is_sent_again_and_what_is_doubled_is_heard_once() -> None:
    hall = Hall(Lossy(0.4))
    server, robot = hall.server(), hall.client("r1")
    heard: list[int] = []
    pictures: list[int] = []
    for cycle in range(200):
        hall.now += 0.1
        if cycle < 150:
            robot.send("coordinator", report(cycle), cycle)
            server.send("r1", picture(cycle), cycle)
        heard += rounds(server.receive(0.0))
        pictures += rounds(robot.receive(0.0))
    assert sorted(heard) == list(range(150)), "each once, though four of ten are lost"
    assert len(pictures) == len(set(pictures))
    first = pictures[0] if pictures else 0
    assert set(range(max(pictures) + 1)) - set(pictures) <= set(range(max(20, first))), "all, once the two have met"
    assert robot.counts["sent_again"] > 30
    assert server.counts["replayed"] > 30
    assert robot.counts["acknowledged"] == 150
    assert robot.counts["unacknowledged"] == 0


def test_where_nothing_is_lost_nothing_is_sent_again() -> None:
    hall = Hall()
    server = hall.server()
    robot = hall.joined(server, "r1")
    for cycle in range(30):
        hall.now += 0.1
        robot.send("coordinator", report(cycle), cycle)
        assert rounds(server.receive(0.0)) == [cycle]
        server.send("r1", picture(cycle), cycle)
        assert rounds(robot.receive(0.0)) == [cycle]
    server.gather()
    for end in (server, robot):
        assert end.counts["sent_again"] == end.counts["unacknowledged"] == 0
        assert end.counts["acknowledged"] == 30


def test_two_ends_that_have_nothing_to_say_are_silent() -> None:
    hall = Hall()
    server = hall.server()
    robot = hall.joined(server, "r1")
    before = robot.wire.sequence, server.wire.sequence
    for _ in range(20):
        hall.now += 1.0
        robot.gather()
        server.gather()
    assert (robot.wire.sequence, server.wire.sequence) == before, "no acknowledgement of acknowledgements"


def test_a_server_that_does_not_answer_is_sent_the_same_for_a_bounded_time() -> None:
    hall = Hall()
    server = hall.server()
    robot = hall.joined(server, "r1")
    robot.send("coordinator", report(1), 1)
    while hall.now < 3 * GIVE_UP:
        hall.now += AGAIN / 4
        robot.gather()
    assert GIVE_UP / AGAIN - 2 <= robot.counts["sent_again"] <= GIVE_UP / AGAIN
    assert robot.counts["unacknowledged"] == 1
    assert rounds(server.receive(0.0)) == [1]


def test_no_acknowledgement_is_believed_that_the_server_did_not_sign() -> None:
    hall = Hall()
    server = hall.server()
    robot = hall.joined(server, "r1")
    robot.send("coordinator", report(1), 1)
    bus = LoopBus(hall.network)
    liar = bus.node("liar").publisher(UInt8MultiArray, "/coordinator/replies/r1", QUEUED)
    said = Heard(robot.wire.epoch, robot.wire.sequence, b"\xff" * 128)
    for keys in (None, new_keys()):
        frame = Wire("coordinator", keys, server=True).encode("r1", said, 0)
        liar.publish(UInt8MultiArray(data=frame))  # pyright: ignore[reportArgumentType]: bytes do
    robot.gather()
    assert robot.counts["acknowledged"] == 0
    assert robot.counts["forged"] == robot.counts["unsigned"] == 1
    hall.now += AGAIN
    robot.gather()
    assert robot.counts["sent_again"] == 1
    server.gather()
    robot.gather()
    assert robot.counts["acknowledged"] == 1


def test_a_server_that_starts_again_is_told_what_the_former_did_not_hear() -> None:
    hall = Hall()
    server = hall.server()
    robot = hall.joined(server, "r1")
    robot.send("coordinator", report(1), 1)
    server.close()
    assert not robot.send("coordinator", report(2), 2), "nobody is there"
    assert robot.counts["unsent"] == 1
    server = hall.server()
    hall.now += AGAIN
    robot.gather()
    assert rounds(server.receive(0.0)) == [1]
    assert server.send("r1", picture(1), 1)
    assert rounds(robot.receive(0.0)) == [1]


def test_a_robot_that_starts_again_is_not_told_what_the_former_did_not_hear() -> None:
    hall = Hall()
    server = hall.server()
    robot = hall.joined(server, "r1")
    robot.close()
    assert not server.send("r1", picture(1), 1)
    robot = hall.joined(server, "r1")
    server.send("r1", picture(2), 2)
    robot.close()
    robot = hall.joined(server, "r1")
    hall.now += AGAIN
    server.gather()
    assert robot.receive(0.0) == []


def test_a_client_alone_is_not_connected_and_knows_it() -> None:
    hall = Hall()
    robot = hall.client("r1")
    assert not robot.connected(0.05)
    assert not robot.send("coordinator", report(1), 1)
    server = hall.server(new_keys())
    hall.now += 1.0
    robot.gather()
    server.gather()
    assert robot.reaches
    assert not robot.connected(0.0), "whoever listens there does not have our key"


def test_strangers_make_no_topic_and_are_answered_where_they_all_listen() -> None:
    hall = Hall()
    server = hall.server()
    strangers = [hall.client(f"s{i}", None) for i in range(3)]
    ends = len(hall.network.ends())
    for number, stranger in enumerate(strangers):
        assert stranger.connected(0.0)
        stranger.send("coordinator", StopRaise("passer by", request=f"q{number}"), 1)
    heard = server.receive(0.0)
    assert [(m.peer, m.signed) for m in heard] == [(f"{STRANGER}s{i}", False) for i in range(3)]
    assert len(hall.network.ends()) == ends
    server.send(heard[1].peer, StopState("q1", True, 1), 2)
    assert strangers[1].receive(0.0)[0].body == StopState("q1", True, 1)


def test_bytes_of_any_shape_from_anyone_do_not_stop_an_end() -> None:
    hall = Hall()
    server = hall.server()
    robot = hall.joined(server, "r1")
    rogue = LoopBus(hall.network).node("rogue")
    draw = random.Random(4)
    for topic, end in (("/coordinator/requests", server), ("/coordinator/replies/r1", robot)):
        publisher = rogue.publisher(UInt8MultiArray, topic, QUEUED)
        received = end.counts["received"]
        for data in (b"", b"x", bytes(MAX_MESSAGE + 1), bytes(8 * MAX_MESSAGE), *map(draw.randbytes, range(1, 150))):
            publisher.publish(UInt8MultiArray(data=data))  # pyright: ignore[reportArgumentType]: bytes do
        assert end.receive(0.0) == []
        assert end.counts["oversized"] == 2
        assert end.counts["received"] == received
        assert end.counts["malformed"] + end.counts["forged"] + end.counts["unsigned"] == 151
    robot.send("coordinator", report(1), 1)
    assert rounds(server.receive(0.0)) == [1]


def test_a_hall_of_its_own_has_topics_of_its_own() -> None:
    hall = Hall()
    first = hall.server()
    second = hall.server(KEYS, "~", "--ros-args", "-r", "__ns:=/hall2")
    assert (first.address, second.address) == ("loop /coordinator", "loop /hall2/coordinator")
    robot = hall.client("r1", space=space_of("ros:/hall2/coordinator", "coordinator"))
    meet(second, robot)
    robot.send("coordinator", report(1), 1)
    assert (rounds(first.receive(0.0)), rounds(second.receive(0.0))) == ([], [1])


@pytest.mark.parametrize("address", ["", "tcp://127.0.0.1:7410", "ros:", "ros:hall2", "rose"])
def test_an_address_that_names_no_space_is_one_clear_line(address: str) -> None:
    assert space_of("ros", "plant") == "/plant"
    with pytest.raises(TransportError, match="expected ros or ros:/SPACE"):
        space_of(address, "plant")


def test_waiting_on_many_ends_of_a_bus_returns_those_that_have_something() -> None:
    hall = Hall()
    server = hall.server()
    bus = LoopBus(hall.network)
    node = bus.node("robots")
    robots = [BusClient(bus, node, f"r{i}", "coordinator", KEYS, now=lambda: hall.now) for i in range(3)]
    for robot in robots:
        meet(server, robot)
    assert wait_any(bus, robots, 0.01) == []
    server.send("r2", picture(1), 1)
    assert wait_any(bus, robots, 1.0) == [robots[2]]
    assert wait_any(bus, robots, 1.0) == [robots[2]], "until it is received"
    assert rounds(robots[2].receive(0.0)) == [1]
    assert wait_any(bus, robots, 0.0) == []


def test_ends_that_closed_are_off_the_network_and_say_nothing() -> None:
    hall = Hall()
    server = hall.server()
    robot = hall.joined(server, "r1")
    for end in (robot, server):
        end.close()
        end.close()
        assert end.receive(0.1) == []
    assert hall.network.ends() == []


def test_a_coordinator_serves_robots_and_people_over_a_bus_as_over_sockets(tmp_path: Path) -> None:
    hall = Hall()
    bus = LoopBus(hall.network)
    server = BusServer(bus, bus.node("coordinator"), "coordinator", KEYS, "~", now=lambda: hall.now)
    store = Store(tmp_path / "tasks.sqlite")
    server.wire.know(store.epochs(), store.hear)
    core = RecordingCore(store)
    service = Service(core, store, server, None, clock="wall", wait=lambda timeout: wait_any(bus, [server], timeout))
    robot, person, passer_by = hall.client("r1"), hall.client("operator"), hall.client("passer_by", None)
    task = Task(task_id(1), (Leg(7, LegKind.VISIT),))
    robot.send("coordinator", report(1), 1)
    person.send("coordinator", Submit("q1", (task,)), 1)
    passer_by.send("coordinator", StopRaise("passer by", "smoke", "q2"), 1)
    while not core.ticks:
        service.turn()
    (seen,) = robot.receive(0.0)
    assert seen.body.stopped, "the stop was ticked at once"
    assert [m.body for m in person.receive(0.0)] == [Submitted("q1", (task.id,))]
    (answer,) = passer_by.receive(0.0)
    assert (answer.body.stopped, answer.body.request) == (True, "q2")
    assert dict(store.epochs())["r1"] == [robot.wire.epoch], "heard epochs are kept over restarts, as over sockets"
    store.close()

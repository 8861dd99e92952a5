"""One contract for every transport, and what each adds."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import msgspec
import pytest
import zmq

from coordination.client import CoordinatorClient, FleetClient, NoAnswerError
from coordination.keys import Keys, new_keys
from coordination.messages import MAX_MESSAGE, Picture, Report, RobotStatus
from coordination.requests import Query, StopRaise, StopState, Submitted
from coordination.transport import InProcessEnd, Network, Transport, TransportError
from coordination.wire import Received, WireError
from coordination.zmq_transport import CUTOFF, ZmqClient, ZmqServer, wait_any
from fleet.ros.transport import BusClient, BusServer
from tests.fleet.ros.buses import KINDS, rig_of

KEYS = new_keys()


@dataclass
class Rig:
    """One kind of transport: a server called coordinator, and how to make clients of it."""

    server: Transport
    client: Callable[..., Transport]


@pytest.fixture(params=["in_process", "zmq", *KINDS])
def rig(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Rig]:
    """Over a bus each end has one of its own, as if it were a process."""
    if request.param not in ("in_process", "zmq"):
        with rig_of(request.param, monkeypatch) as buses:
            bus = buses.bus()
            listening = BusServer(bus, bus.node("coordinator"), "coordinator", KEYS)

            def join(name: str, keys: Keys | None = KEYS) -> Transport:
                own = buses.bus()
                end = BusClient(own, own.node(name), name, "coordinator", keys)

                def found() -> bool:
                    listening.gather()
                    return end.connected(0.0) if keys in (KEYS, None) else end.reaches

                buses.until(found)
                return end

            yield Rig(listening, join)
        return
    made: list[Transport] = []
    if request.param == "in_process":
        network = Network()
        server: Transport = network.server("coordinator", KEYS)

        def client(name: str, keys: Keys | None = KEYS) -> Transport:
            made.append(network.client(name, "coordinator", keys))
            return made[-1]
    else:
        bound = server = ZmqServer("coordinator", KEYS)

        def client(name: str, keys: Keys | None = KEYS) -> Transport:
            end = ZmqClient(name, "coordinator", keys, bound.address)
            made.append(end)
            assert end.connected(2.0)
            return end

    yield Rig(server, client)
    for end in (*made, server):
        end.close()
        end.close()


def hear(end: Transport, count: int = 1, patience: float = 2.0) -> list[Received]:
    """Receive until so many messages have come, or none for a while."""
    messages: list[Received] = []
    while len(messages) < count:
        batch = end.receive(patience)
        if not batch:
            break
        messages += batch
    return messages


def make_report(number: int) -> Report:
    return Report(number, number, (1.0, 2.0, 0.5), (0.1, 0.0), (7, 8), 0.9, RobotStatus.MOVING)


def test_a_server_hears_its_clients_and_answers_each(rig: Rig) -> None:
    robots = {name: rig.client(name) for name in ("r1", "r2", "r3")}
    for number, (_, robot) in enumerate(robots.items()):
        assert robot.send("coordinator", make_report(number), number)
    heard = hear(rig.server, 3)
    assert {m.sender: m.body.round for m in heard} == {"r1": 0, "r2": 1, "r3": 2}
    for message in heard:
        assert rig.server.send(message.sender, Picture(message.body.round, 0, "site", None), 0)
    for number, robot in enumerate(robots.values()):
        (answer,) = hear(robot)
        assert answer.body.round == number


def test_one_client_is_heard_in_order(rig: Rig) -> None:
    robot = rig.client("r1")
    for number in range(100):
        robot.send("coordinator", make_report(number), number)
    assert [m.body.round for m in hear(rig.server, 100)] == list(range(100))


def test_receive_gives_up_at_its_timeout(rig: Rig) -> None:
    start = time.monotonic()
    assert rig.server.receive(0.05) == []
    assert rig.server.receive(0.0) == []
    assert time.monotonic() - start < 1.0


def test_an_answer_to_nobody_is_counted(rig: Rig) -> None:
    assert not rig.server.send("r9", Picture(1, 1, "site", None), 0)
    assert rig.server.counts["unreachable"] == 1


def test_a_client_that_starts_again_is_heard_again(rig: Rig) -> None:
    for life in range(3):
        robot = rig.client("r1")
        robot.send("coordinator", make_report(life), life)
        (message,) = hear(rig.server)
        assert message.body.round == life
        rig.server.send("r1", Picture(life, 0, "site", None), 0)
        (answer,) = hear(robot)
        assert answer.body.round == life
        robot.close()


def test_a_stranger_may_stop_the_fleet_and_nothing_else(rig: Rig) -> None:
    robot, stranger = rig.client("r1"), rig.client("passer_by", None)
    stranger.send("coordinator", Query("q"), 1)
    stranger.send("coordinator", StopRaise("passer by", "smoke"), 2)
    robot.send("coordinator", make_report(1), 1)
    heard = hear(rig.server, 2)
    assert {(m.name, m.signed) for m in heard} == {("stop_raise/1", False), ("report/1", True)}
    assert rig.server.counts["unsigned"] == 1


def test_a_forger_cannot_take_over_the_connection_of_a_robot(rig: Rig) -> None:
    robot = rig.client("r1")
    robot.send("coordinator", make_report(1), 1)
    assert len(hear(rig.server)) == 1
    if not isinstance(rig.server, InProcessEnd):
        forger = rig.client("r1", new_keys())
        forger.send("coordinator", make_report(2), 2)
        liar = rig.client("r1", None)
        liar.send("coordinator", StopRaise("r1"), 3)
        assert [m.signed for m in hear(rig.server, 1)] == [False]
        assert rig.server.counts["forged"] >= 1
        rig.server.send("r1", Picture(1, 0, "site", None), 0)
        assert len(hear(robot)) == 1
        assert forger.receive(0.05) == []


def test_a_message_that_is_too_long_is_refused_where_it_is_made(rig: Rig) -> None:
    with pytest.raises(WireError, match="may travel"):
        rig.client("r1").send("coordinator", Submitted("q", error="x" * MAX_MESSAGE), 1)


# the network in one process -----------------------------------------------------------------------------------


def test_the_same_seed_gives_the_same_mishaps() -> None:
    def run(seed: int) -> list[tuple[int, int]]:
        network = Network(seed=seed, loss=0.2, delay=0.003, duplicate=0.2, reorder=0.2)
        server, robot = network.server("coordinator", KEYS), network.client("r1", "coordinator", KEYS)
        heard = []
        for number in range(300):
            robot.send("coordinator", make_report(number), number)
            heard += [(network.now, m.body.round) for m in server.receive(0.001)]
        heard += [(network.now, m.body.round) for m in server.receive(1.0)]
        return heard

    first = run(5)
    assert first == run(5)
    assert first != run(6)
    rounds = [number for _, number in first]
    assert len(set(rounds)) == len(rounds), "a doubled message is heard once"
    assert 200 < len(rounds) < 280, "about a fifth is lost"
    assert rounds != sorted(rounds), "some overtake others"


def test_waiting_moves_virtual_time_to_the_next_message() -> None:
    network = Network(delay=0.1)
    server, robot = network.server("coordinator", KEYS), network.client("r1", "coordinator", KEYS)
    robot.send("coordinator", make_report(1), 1)
    assert server.receive(0.01) == []
    assert len(server.receive(1.0)) == 1
    assert 50_000_000 <= network.now <= 150_000_000


def test_a_name_is_served_once_on_a_network() -> None:
    network = Network()
    network.server("coordinator", KEYS)
    with pytest.raises(TransportError, match="in use"):
        network.server("coordinator", KEYS)


# sockets ------------------------------------------------------------------------------------------------------


@pytest.fixture
def server() -> Iterator[ZmqServer]:
    end = ZmqServer("coordinator", KEYS)
    yield end
    end.close()


def test_a_port_in_use_is_one_clear_line(server: ZmqServer) -> None:
    with pytest.raises(TransportError, match="in use by another process"):
        ZmqServer("other", KEYS, server.address)


@pytest.mark.parametrize("address", ["nonsense", "tcp://127.0.0.1:port", "tcp://1.2.3.4:5", "carrier://pigeon"])
def test_an_address_that_cannot_be_used_is_one_clear_line(address: str) -> None:
    with pytest.raises(TransportError, match="cannot listen on"):
        ZmqServer("coordinator", KEYS, address)
    if address != "tcp://1.2.3.4:5":
        with pytest.raises(TransportError, match="cannot connect to"):
            ZmqClient("r1", "coordinator", KEYS, address)


def test_frames_of_any_shape_from_anyone_do_not_stop_the_server(server: ZmqServer) -> None:
    rogue = zmq.Context.instance().socket(zmq.DEALER)
    rogue.setsockopt(zmq.LINGER, 0)
    rogue.connect(server.address)
    for parts in ([b""], [b"x", b"y"], [b"a"] * 20, [bytes(MAX_MESSAGE + 1)], [b"\xc1" * 100], [bytes(CUTOFF + 1)]):
        rogue.send_multipart(parts)
    robot = ZmqClient("r1", "coordinator", KEYS, server.address)
    assert robot.connected(2.0)
    robot.send("coordinator", make_report(1), 1)
    assert len(hear(server)) == 1
    server.receive(0.05)
    assert server.counts["malformed"] >= 4
    assert server.counts["oversized"] == 1
    assert server.counts["received"] == 1
    robot.close()
    rogue.close()


NESTED = bytes([0x97]) + b"".join(map(msgspec.msgpack.encode, ("stop_raise/1", "r1", 1, 1, 0, b""))) + b"\x91" * 5000
"""An unsigned stop whose seventh element is arrays in arrays, deeper than a decoder may recurse."""


def test_nested_arrays_from_anyone_stop_no_end() -> None:
    frame = NESTED + bytes(17)
    bound = ZmqServer("coordinator", KEYS)
    client = ZmqClient("r1", "coordinator", KEYS, bound.address)
    robot, person = CoordinatorClient(client), FleetClient(client)
    stranger = zmq.Context.instance().socket(zmq.DEALER)
    stranger.connect(bound.address)
    try:
        assert client.connected(2.0)
        stranger.send(frame)
        assert bound.receive(0.2) == []
        assert bound.counts["malformed"] == 1
        client.send("coordinator", Query("q"), 0)
        assert len(hear(bound)) == 1
        bound.socket.send_multipart([bound._routes["r1"], frame])
        robot.poll(0.2)
        bound.socket.send_multipart([bound._routes["r1"], frame])
        with pytest.raises(NoAnswerError):
            person.query(0.3)
        assert client.counts["malformed"] == 2
        bound.receive(0.1)
        bound.send("r1", Picture(4, 0, "site", None), 0)
        assert robot.wait_for_round(4, 2.0), "both ends go on"
    finally:
        stranger.close(0)
        client.close()
        bound.close()


def test_an_unsigned_stop_is_answered_on_its_own_connection(server: ZmqServer) -> None:
    stranger = ZmqClient("passer_by", "coordinator", None, server.address)
    assert stranger.connected(2.0)
    stranger.send("coordinator", StopRaise("passer by", request="q"), 1)
    (message,) = hear(server)
    assert message.peer != message.sender
    assert server.send(message.peer, StopState("q", True, 1), 2)
    (answer,) = hear(stranger)
    assert answer.body.stopped
    assert not answer.signed
    stranger.close()


def test_a_client_keeps_no_old_news_for_a_server_that_is_away() -> None:
    server = ZmqServer("coordinator", KEYS)
    address = server.address
    robot = ZmqClient("r1", "coordinator", KEYS, address)
    assert robot.connected(2.0)
    server.close()
    deadline = time.monotonic() + 5.0
    while robot.send("coordinator", make_report(0), 0) and time.monotonic() < deadline:
        robot.receive(0.01)
    assert not robot.send("coordinator", make_report(1), 1)
    server = ZmqServer("coordinator", KEYS, address)
    assert robot.connected(5.0)
    robot.send("coordinator", make_report(2), 2)
    assert [m.body.round for m in hear(server)] == [2]
    robot.close()
    server.close()


def test_a_peer_that_does_not_read_costs_the_server_no_wait(server: ZmqServer) -> None:
    robot = ZmqClient("r1", "coordinator", KEYS, server.address)
    assert robot.connected(2.0)
    robot.send("coordinator", make_report(1), 1)
    assert len(hear(server)) == 1
    start = time.monotonic()
    picture = Picture(1, 1, "s" * 60_000, None)
    while server.send("r1", picture, 1) and time.monotonic() - start < 10.0:
        pass
    assert server.counts["unsent"] == 1
    robot.close()


def test_waiting_on_many_ends_returns_those_that_have_something(server: ZmqServer) -> None:
    robots = [ZmqClient(f"r{i}", "coordinator", KEYS, server.address) for i in range(4)]
    assert all(robot.connected(2.0) for robot in robots)
    assert wait_any([server, *robots], 0.01) == []
    robots[2].send("coordinator", make_report(1), 1)
    assert wait_any([server, *robots], 2.0) == [server]
    assert len(server.receive(0.0)) == 1
    for robot in robots:
        robot.close()

"""What holds the process of robots behind a bus, and what must not."""

from __future__ import annotations

import time
from collections.abc import Callable
from itertools import count

import pytest

from coordination.client import CoordinatorClient
from coordination.keys import Keys
from coordination.messages import Picture, Report, RobotStatus
from coordination.transport import TransportError
from coordination.wire import Received
from coordination.zmq_transport import ZmqServer
from fleet.ros.busrobot import BusRobot
from fleet.ros.loop import LoopBus
from fleet.ros.messages.diagnostic_msgs import DiagnosticArray
from fleet.ros.robotnode import BURST, BusWires, check
from sim.robot import RobotSpec

KEYS = Keys(fleet=b"k" * 32)


@pytest.fixture
def wires() -> BusWires:
    ticks = count()
    wires = BusWires("loop", [], ["r0"], KEYS, "", "floor", clock=lambda: 0.001 * next(ticks))
    wires.robot("r0", RobotSpec(), "")
    return wires


def test_who_floods_a_topic_does_not_hold_the_loop(wires: BusWires, monkeypatch: pytest.MonkeyPatch) -> None:
    turns = 0

    def flooded(bus: LoopBus, timeout: float) -> bool:
        nonlocal turns
        turns += 1
        assert turns < 100
        return True

    monkeypatch.setattr(LoopBus, "spin", flooded)
    assert list(wires.wait(0.0)) == ["r0"]
    assert turns == pytest.approx(1000 * BURST, abs=2)


def test_a_look_at_the_bus_that_fails_is_told_once_and_driving_goes_on(
    wires: BusWires, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(robot: BusRobot) -> None:
        raise RuntimeError("the middleware's graph is gone")

    monkeypatch.setattr(BusRobot, "diagnose", broken)
    wires.housekeeping()
    wires.housekeeping()
    assert capsys.readouterr().out.count("the middleware's graph is gone") == 1


def test_a_coordinator_at_a_socket_is_reached_by_signed_messages_and_nothing_of_it_is_on_the_bus() -> None:
    server = ZmqServer("coordinator", KEYS)
    wires = BusWires("loop", [], ["r0"], KEYS, server.address, "floor")
    robot = wires.robot("r0", RobotSpec(), "")
    link = CoordinatorClient(wires.link("r0"))
    try:
        report = Report(3, 5, (1.0, 2.0, 0.5), (0.1, 0.0), (7,), 0.9, RobotStatus.IDLE)
        came = heard(server, lambda: link.report(report))
        assert [(one.sender, one.signed, one.body) for one in came[:1]] == [("r0", True, report)]
        server.send("r0", Picture(7, 9, "floor", None), 9)
        begun = time.monotonic()
        wires.wait(5.0)
        assert time.monotonic() - begun < 2.0, "a picture ends the wait"
        link.poll()
        picture = link.view(9).picture
        assert picture is not None
        assert (picture.round, wires._links["r0"].round) == (7, 7)
        topics = {end.topic for end in [*robot.node.publishers, *robot.node.subscriptions]}
        assert topics
        assert not [topic for topic in topics if "coordinator" in topic or "replies" in topic]
    finally:
        link.transport.close()
        wires.close()
        server.close()


def test_a_coordinators_address_is_one_of_the_bus_or_of_a_socket() -> None:
    for address in ("", "ros", "ros:/hall2/coordinator", "tcp://10.0.0.1:7410", "tcp://127.0.0.1:7410"):
        check("loop", [], ["r0"], address)
    with pytest.raises(TransportError, match=r'expected ros or ros:/SPACE, got "10.0.0.1:7410"'):
        check("loop", [], ["r0"], "10.0.0.1:7410")


def heard(server: ZmqServer, say: Callable[[], bool]) -> list[Received]:
    """What came to the server, saying it until something does: a connection takes its time."""
    deadline = time.monotonic() + 10.0
    while time.monotonic() < deadline:
        say()
        if came := server.receive(0.1):
            return came
    return []


def test_messages_of_nobody_in_the_fleet_are_told_for_a_while_and_repetitions_are_not(wires: BusWires) -> None:
    robot, link = wires._robots["r0"], wires.link("r0")
    robot.join(1.0)
    ears = wires._bus.node("ears").subscription(DiagnosticArray, "/diagnostics")

    def told() -> str:
        wires.housekeeping()
        wires.wait(0.0)
        came = [one.message for sample in iter(ears.take, None) for one in sample.message.status]
        return "\n".join(came)

    assert "coordination" not in told()
    link.counts["replayed"] += 3
    assert "coordination" not in told()
    link.counts["forged"] += 2
    assert "messages of nobody in this fleet come and are dropped (2 forged so far)" in told()
    assert "2 forged" in told()
    for _ in range(4):
        last = told()
    assert "coordination" not in last

"""The DDS bus on the wire: against a program that shares no code with it, and against what a network can do to it.

What every bus does alike is in test_bus_contract.py.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("cyclonedds", reason="Cyclone DDS's binding is not installed: pip install 'muster[ros]'")

from cyclonedds._clayer import ddspy_write_ts
from cyclonedds.core import Policy, Qos
from cyclonedds.domain import DomainParticipant
from cyclonedds.pub import DataWriter
from cyclonedds.topic import Topic

from fleet.ros.bus import BusError, Diagnostic
from fleet.ros.cdr import serialise
from fleet.ros.dds import DdsBus
from fleet.ros.ddsdomain import Discovery
from fleet.ros.ddsgraph import CROWD
from fleet.ros.ddssockets import sockets
from fleet.ros.ddstypes import BESIDES, from_dds, hash_in, idl_class, to_dds
from fleet.ros.messages.geometry_msgs import Twist, TwistStamped, Vector3
from fleet.ros.messages.rmw_dds_common import Gid, NodeEntitiesInfo, ParticipantEntitiesInfo
from fleet.ros.messages.std_msgs import String
from fleet.ros.qos import DEFAULT, LATCHED, SENSOR, QoS
from fleet.ros.typehash import hash_of

DOMAIN = 1 + os.getpid() % 100
"""The test processes of one machine do not meet."""
TWIST = Twist(Vector3(1.0, 2.0, 3.0), Vector3(-0.5, 0.0, 0.25))
"""What foreign_dds.py sends."""
PATIENCE = 20.0
"""s for a process to start and be found on a loaded machine"""


class Foreign:
    """The program foreign_dds.py, and what it printed."""

    def __init__(self, domain: int) -> None:
        script = Path(__file__).with_name("foreign_dds.py")
        self.process = subprocess.Popen([sys.executable, str(script), str(domain)], stdout=subprocess.PIPE, text=True)
        self.said: list[dict[str, Any]] = []
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.said.append(json.loads(line))

    def end(self) -> None:
        """Kill it."""
        self.process.kill()
        self.process.wait()
        self._thread.join()
        assert self.process.stdout is not None
        self.process.stdout.close()

    def says(self, holds: Callable[[dict[str, Any]], object]) -> dict[str, Any]:
        """The first line for which something holds, past or to come."""
        end = time.monotonic() + PATIENCE
        seen = 0
        while True:
            for line in self.said[seen:]:
                seen += 1
                if holds(line):
                    return line
            assert time.monotonic() < end, f"it said only {self.said}"
            time.sleep(0.01)


@pytest.fixture(scope="module")
def foreign() -> Iterator[Foreign]:
    peer = Foreign(DOMAIN)
    yield peer
    peer.end()


@pytest.fixture
def bus() -> Iterator[DdsBus]:
    bus = DdsBus(discovery=Discovery(DOMAIN))
    yield bus
    bus.close()


def until(bus: DdsBus, holds: Callable[[], object]) -> None:
    end = time.monotonic() + PATIENCE
    while not holds():
        assert time.monotonic() < end, "it never came to hold"
        bus.spin(0.02)


def told(bus: DdsBus, name: str, topic: str) -> Diagnostic:
    found: list[Diagnostic] = []

    def there() -> bool:
        found[:] = [each for each in bus.diagnostics() if (each.name, each.topic) == (name, topic)]
        return bool(found)

    until(bus, there)
    return found[0]


def test_a_program_without_our_code_reads_what_we_say_of_ourselves(foreign: Foreign, bus: DdsBus) -> None:
    node = bus.node("robot", "r1")
    node.subscription(String, "/anything")
    publisher = node.publisher(Twist, "/heard")
    until(bus, lambda: publisher.matched)
    publisher.publish(Twist(Vector3(1.5, -2.0), Vector3(z=0.125)))
    line = foreign.says(lambda line: "type" in line)
    assert line["type"] == "geometry_msgs::msg::dds_::Twist_"
    assert line["values"] == [1.5, -2.0, 0.125]
    # recorded from real ROS 2 Jazzy
    assert line["user_data"] == "typehash=RIHS01_9c45bf16fe0983d80e3cfe750d6835843d265a9a6c46bd2e609fcddde6fb8d2a;"
    assert foreign.says(lambda line: line.get("nodes") == [["/r1", "robot", 1, 1]])
    bus.close()
    assert foreign.says(lambda line: line.get("nodes") == [])


def test_we_read_what_a_program_without_our_code_sends(foreign: Foreign, bus: DdsBus) -> None:
    subscription = bus.node("robot").subscription(Twist, "/plain")
    until(bus, lambda: (sample := subscription.newest()) is not None and sample.message == TWIST)
    assert subscription.matched == 1
    assert not [each for each in bus.diagnostics() if each.topic == "/plain"]


def test_a_peer_with_another_hash_is_told_and_its_messages_are_dropped(foreign: Foreign, bus: DdsBus) -> None:
    subscription = bus.node("robot").subscription(Twist, "/other_hash")
    found = told(bus, "type_hash", "/other_hash")
    assert "another definition of geometry_msgs/msg/Twist" in found.text
    assert found.level == 2
    bus.spin(0.2)
    assert (subscription.matched, subscription.take()) == (0, None)


def test_a_peer_without_a_hash_is_believed_with_a_warning(foreign: Foreign, bus: DdsBus) -> None:
    subscription = bus.node("robot").subscription(Twist, "/no_hash")
    until(bus, lambda: (sample := subscription.newest()) is not None and sample.message == TWIST)
    found = told(bus, "type_hash", "/no_hash")
    assert "without telling a type hash" in found.text
    assert found.level == 1


def test_a_peer_that_speaks_xcdr2_alone_is_told(foreign: Foreign, bus: DdsBus) -> None:
    bus.node("robot").subscription(Twist, "/xcdr2")
    assert "XCDR2 alone" in told(bus, "qos", "/xcdr2").text


def test_messages_that_cannot_be_of_their_type_are_counted(foreign: Foreign, bus: DdsBus) -> None:
    subscription = bus.node("robot").subscription(Twist, "/broken")
    until(bus, lambda: subscription.malformed >= 3)
    assert subscription.take() is None
    assert "its bytes cannot be of this type" in told(bus, "malformed", "/broken").text


def test_nothing_listens_beyond_loopback(bus: DdsBus) -> None:
    devices = []
    for number in sockets():
        with socket.socket(fileno=os.dup(number)) as handle:
            if handle.type == socket.SOCK_DGRAM and handle.family == socket.AF_INET:
                address = handle.getsockname()[0]
                device = handle.getsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, 16).rstrip(b"\0")
                devices.append((address, device))
    assert len(devices) >= 2
    assert all(address == "127.0.0.1" or device == b"lo" for address, device in devices)
    assert not [each for each in bus.diagnostics() if each.name == "exposed"]


def test_what_lay_in_the_cache_is_as_old_as_it_is(bus: DdsBus) -> None:
    node = bus.node("robot")
    publisher, subscription = node.publisher(String, "chatter"), node.subscription(String, "chatter")
    before = time.monotonic_ns()
    publisher.publish(String("x"))
    after = time.monotonic_ns()
    time.sleep(0.05)  # a loop that does something else
    sample = subscription.take()
    assert sample is not None
    assert before <= sample.received <= after


@pytest.mark.parametrize("ahead", [-3600.0, 3600.0])
def test_a_sender_with_a_wrong_clock_makes_its_messages_no_younger(bus: DdsBus, ahead: float) -> None:
    subscription = bus.node("robot").subscription(Twist, "cmd_vel")
    idl = idl_class(Twist)
    writer = DataWriter(
        bus.participant, Topic(bus.participant, "rt/cmd_vel", idl), to_dds(DEFAULT, hash_of(Twist), writer=True)
    )
    bus.spin(0.0)
    looked = time.monotonic_ns()
    assert ddspy_write_ts(writer._ref, serialise(TWIST), time.time_ns() + round(ahead * 1e9)) == 0
    time.sleep(0.02)
    sample = subscription.take()
    assert sample is not None
    assert sample.received <= looked


def test_more_than_the_queue_holds_is_counted_as_lost(bus: DdsBus) -> None:
    node = bus.node("robot")
    publisher, subscription = node.publisher(String, "chatter"), node.subscription(String, "chatter", qos=QoS(depth=3))
    for number in range(3 + BESIDES):
        publisher.publish(String(str(number)))
    assert [sample.message.data for _ in range(3) if (sample := subscription.take()) is not None] == ["16", "17", "18"]
    assert subscription.lost == BESIDES


def test_a_writer_that_left_is_still_judged_by_its_type(bus: DdsBus) -> None:
    subscription = bus.node("robot").subscription(String, "chatter")
    other = DdsBus(discovery=Discovery(DOMAIN))
    publisher = other.node("brief").publisher(String, "chatter")
    publisher.publish(String("last words"))
    other.close()
    sample = subscription.take()
    assert sample is not None
    assert sample.message.data == "last words"
    assert subscription.malformed == 0


def test_a_full_domain_is_said_in_one_line() -> None:
    most = "<Discovery><MaxAutoParticipantIndex>0</MaxAutoParticipantIndex></Discovery>"
    none = f"<CycloneDDS><Domain>{most}</Domain></CycloneDDS>"
    domain = 1 + (DOMAIN + 50) % 100
    first = 7400 + 250 * domain + 10  # the port of participant index 0
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind(("127.0.0.1", first))
        with pytest.raises(BusError) as refused:
            DdsBus(discovery=Discovery(domain, extra=none))
    assert "full" in str(refused.value)
    assert "ROS_DOMAIN_ID" in str(refused.value)
    assert "\n" not in str(refused.value)
    DdsBus(discovery=Discovery(domain)).close()


def test_a_configuration_that_cyclone_refuses_is_said_in_one_line() -> None:
    domain = 1 + (DOMAIN + 51) % 100
    with pytest.raises(BusError, match="CYCLONEDDS_URI") as refused:
        DdsBus(discovery=Discovery(domain, extra="<CycloneDDS><Domain><Nonsense/></Domain></CycloneDDS>"))
    assert "\n" not in str(refused.value)


def test_two_settings_for_one_domain_in_one_process_are_refused(bus: DdsBus) -> None:
    with pytest.raises(BusError, match="open in this process with LOCALHOST"):
        DdsBus(discovery=Discovery(DOMAIN, "SUBNET"))


@pytest.mark.parametrize("qos", [DEFAULT, SENSOR, LATCHED, QoS(deadline_s=0.2, manual_liveliness=True, lease_s=0.5)])
def test_quality_of_service_comes_back_as_it_went_out(qos: QoS) -> None:
    assert from_dds(to_dds(qos, "RIHS01_x", writer=True)) == qos
    assert hash_in(to_dds(qos, "RIHS01_x", writer=False)) == "RIHS01_x"
    assert hash_in(Qos(Policy.Userdata(b"typehash=RIHS01_"))) == ""


def test_two_types_on_one_topic_of_one_node_are_told(bus: DdsBus) -> None:
    node = bus.node("robot")
    node.publisher(Twist, "cmd_vel")
    node.subscription(TwistStamped, "cmd_vel")
    assert "geometry_msgs/msg/TwistStamped" in told(bus, "type", "/cmd_vel").text


def test_a_crowded_domain_is_told(bus: DdsBus) -> None:
    participants = [DomainParticipant(DOMAIN) for _ in range(CROWD - 1)]
    assert "participants, and one machine holds 33" in told(bus, "crowded", "").text
    for participant in participants:
        participant.__del__()
    until(bus, lambda: not [each for each in bus.diagnostics() if each.name == "crowded"])


def test_a_publisher_waits_for_no_reader(foreign: Foreign, bus: DdsBus) -> None:
    publisher = bus.node("robot").publisher(Twist, "/heard")
    until(bus, lambda: publisher.matched)
    foreign.process.send_signal(signal.SIGSTOP)
    try:
        begun = time.monotonic()
        for _ in range(20_000):  # more than its socket holds
            publisher.publish(TWIST)
        assert time.monotonic() - begun < PATIENCE
    finally:
        foreign.process.send_signal(signal.SIGCONT)


def test_what_others_call_themselves_breaks_no_line(bus: DdsBus) -> None:
    odd = NodeEntitiesInfo("/r1", "nav\n\x1b[2J")
    ours = Gid(bus.participant.guid.bytes)  # pyright: ignore[reportArgumentType]: bytes do
    bus.graph.look()
    bus.graph.hear(serialise(ParticipantEntitiesInfo(ours, [odd, odd])))
    assert set(bus.graph.nodes()) == {"/r1/nav??[2J"}


def test_what_is_no_list_of_nodes_is_counted_and_told(bus: DdsBus) -> None:
    for data in (b"", b"\0\1\0\0", b"\0\1\0\0" + b"\xff" * 64):
        bus.graph.hear(data)
    assert "3 messages on ros_discovery_info" in told(bus, "malformed", "ros_discovery_info").text


def test_what_cyclone_warns_of_is_told(bus: DdsBus) -> None:
    line = b"1795310355.145427 [3]        tev: ddsi_udp_conn_write to udp/10.9.0.2:8160 failed with retcode -1\n"
    os.write(bus._shared._log, line)
    bus.spin(0.0)
    assert "udp/10.9.0.2:8160 failed with retcode -1" in told(bus, "transport", "").text

"""What stands around the backends: opening a bus, inboxes, and judging the ends of a topic."""

from __future__ import annotations

import dataclasses
import itertools
import sys
import threading
import time

import pytest

from fleet.ros.bus import BusError, Level, check_here, open_bus
from fleet.ros.graph import Endpoint, duplicates, judge, verdicts
from fleet.ros.inbox import Arrivals, Inbox
from fleet.ros.qos import DEFAULT, LATCHED, SENSOR
from sim.errors import MusterError
from tests.fleet.ros import fake_rclpy


def text(data: bytes) -> str:
    if data == b"bad":
        raise MusterError("bad bytes")
    return data.decode()


def filled(depth: int, *words: bytes) -> Inbox[str]:
    inbox = Inbox(depth, text, Arrivals())
    for received, word in enumerate(words):
        inbox.put(word, received, b"g")
    return inbox


END = Endpoint("/r1/scan", "a/msg/A", "RIHS01_" + "1" * 64, DEFAULT, False, "/r1/nav", b"r")
WRITER = dataclasses.replace(END, writer=True, node="/r1/laser", gid=b"w")


def test_an_inbox_gives_its_messages_in_order() -> None:
    inbox = filled(10, b"a", b"b")
    first, second = inbox.take(), inbox.take()
    assert first is not None
    assert second is not None
    assert (first.message, first.received, first.publisher) == ("a", 0, b"g")
    assert second.message == "b"
    assert inbox.take() is None


def test_a_full_inbox_loses_its_oldest_and_counts_them() -> None:
    inbox = filled(2, b"a", b"b", b"c", b"d")
    assert [sample.message for sample in (inbox.take(), inbox.take()) if sample] == ["c", "d"]
    assert inbox.lost == 2


def test_the_newest_good_message_is_had_past_bad_ones_and_the_rest_is_gone() -> None:
    inbox = filled(10, b"a", b"b", b"bad", b"bad")
    newest = inbox.newest()
    assert newest is not None
    assert newest.message == "b"
    assert (inbox.take(), inbox.lost, inbox.malformed, inbox.fault) == (None, 0, 2, "bad bytes")


def test_an_inbox_loses_no_count_between_threads() -> None:
    inbox = filled(5)
    threads = [threading.Thread(target=lambda: [inbox.put(b"x", 0, b"") for _ in range(2000)]) for _ in range(3)]
    for thread in threads:
        thread.start()
    taken = 0
    while any(thread.is_alive() for thread in threads):
        taken += inbox.take() is not None
    while inbox.take() is not None:
        taken += 1
    assert taken + inbox.lost == 6000


def test_what_came_since_the_last_wait_ends_the_next_at_once() -> None:
    arrivals = Arrivals()
    arrivals.wake()
    start = time.monotonic()
    arrivals.wait(5.0)
    assert time.monotonic() - start < 2.0
    start = time.monotonic()
    arrivals.wait(0.05)
    assert time.monotonic() - start >= 0.045


def test_ends_that_fit_are_not_spoken_of() -> None:
    assert judge(END, WRITER) is None
    assert judge(WRITER, END) is None
    assert judge(END, dataclasses.replace(END, type_name="b/msg/B")) is None
    assert judge(END, dataclasses.replace(WRITER, topic="/r2/scan", type_name="b/msg/B")) is None


def test_another_type_another_hash_and_what_is_offered_too_little_are_told() -> None:
    other = dataclasses.replace(WRITER, type_name="b/msg/B", type_hash="RIHS01_" + "2" * 64, qos=SENSOR)
    found = judge(END, other)
    assert found is not None
    assert (found.level, found.name, found.node, found.topic) == (Level.ERROR, "type", "/r1/nav", "/r1/scan")
    assert "/r1/laser publishes b/msg/B, /r1/nav subscribes to a/msg/A" in found.text
    found = judge(END, dataclasses.replace(other, type_name="a/msg/A"))
    assert found is not None
    assert found.name == "type_hash"
    assert "RIHS01_22222222" in found.text
    assert "RIHS01_11111111" in found.text
    found = judge(END, dataclasses.replace(WRITER, qos=SENSOR))
    assert found is not None
    assert found.name == "qos"
    found = judge(dataclasses.replace(WRITER, qos=SENSOR), END)
    assert found is not None
    assert "/r1/nav subscribes to it" in found.text


def test_what_is_not_told_is_not_held_against_anybody() -> None:
    for unknown in ({"type_hash": ""}, {"type_name": ""}, {"qos": None}):
        assert judge(END, dataclasses.replace(WRITER, **unknown)) is None
        assert judge(dataclasses.replace(END, **unknown), WRITER) is None


def test_each_verdict_is_said_once_and_each_end_is_met() -> None:
    others = [dataclasses.replace(WRITER, qos=SENSOR, gid=bytes([n])) for n in range(3)]
    assert len(verdicts([END], [*others, END])) == 1
    late = dataclasses.replace(END, topic="/map", qos=LATCHED)
    assert len(verdicts([END, late], [*others, dataclasses.replace(WRITER, topic="/map")])) == 2


def test_names_that_two_nodes_have_are_told_with_their_number() -> None:
    found = duplicates(["/r1/nav", "/r2/nav", "/r1/nav", "/r1/nav"])
    assert [(d.name, d.node) for d in found] == [("duplicate_node", "/r1/nav")]
    assert "3 nodes are called /r1/nav" in found[0].text


def test_a_bus_of_no_kind_is_refused_with_the_kinds() -> None:
    with pytest.raises(BusError, match='expected one of auto, rclpy, dds, loop, came rclp; did you mean "rclpy"'):
        open_bus("rclp")


@pytest.mark.parametrize("kind", ["auto", "rclpy", "dds"])
def test_where_no_bus_is_available_it_says_why_and_what_to_do(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("rclpy", "cyclonedds"):
        monkeypatch.setitem(sys.modules, name, None)  # an import of it fails
    with pytest.raises(BusError) as caught:
        open_bus(kind)
    said = str(caught.value)
    assert "\n" not in said
    assert "setup.bash" in said
    assert "muster[ros]" in said
    assert ("rclpy cannot be imported" in said) == (kind != "dds")
    assert ("cyclonedds cannot be imported" in said) == (kind != "rclpy")


@pytest.mark.parametrize("kind", ["auto", "rclpy", "dds"])
def test_where_no_bus_is_installed_a_command_line_is_refused_before_anything_is_opened(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fleet.ros.bus._is_there", lambda library: False)
    with pytest.raises(BusError, match="no ROS 2 bus here") as caught:
        check_here(kind)
    assert ("rclpy is not installed" in str(caught.value)) == (kind != "dds")
    assert ("cyclonedds is not installed" in str(caught.value)) == (kind != "rclpy")


@pytest.mark.parametrize(
    ("name", "value"), [("ROS_DOMAIN_ID", "abc"), ("ROS_DOMAIN_ID", "233"), ("ROS_AUTOMATIC_DISCOVERY_RANGE", "LAN")]
)
def test_a_variable_that_a_bus_would_refuse_is_refused_before_it_opens(
    name: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fleet.ros.bus._is_there", lambda library: True)
    monkeypatch.setenv(name, value)
    for kind in ("auto", "dds", "rclpy"):
        with pytest.raises(BusError, match=f"{name}: expected"):
            check_here(kind)
    for kind in ("none", "loop"):
        check_here(kind)  # neither reads it


def test_a_sourced_ros_is_preferred() -> None:
    with fake_rclpy.installed():
        bus = open_bus("auto", arguments=["--ros-args", "--log-level", "warn"], domain=7)
        assert bus.kind == "rclpy"
        context: fake_rclpy.Context = vars(bus)["context"]
        assert (context.domain, context.arguments) == (7, ["--ros-args", "--log-level", "warn"])
        bus.close()
        assert not context.ok()


def test_the_loop_takes_ros_arguments_and_is_alone() -> None:
    first, second = (open_bus("loop", arguments=["--ros-args", "-r", "__ns:=/r1"]) for _ in range(2))
    assert first.node("nav").fully_qualified == second.node("nav").fully_qualified == "/r1/nav"
    assert first.diagnostics() == second.diagnostics() == []
    with pytest.raises(MusterError, match="stands last"):
        open_bus("loop", arguments=["--ros-args", "-r"])


def test_levels_are_those_of_diagnostic_msgs() -> None:
    assert [level.value for level in Level] == list(range(4))
    assert [a < b for a, b in itertools.pairwise(Level)] == [True] * 3

"""What the doctor says of who is on a domain."""

from __future__ import annotations

import importlib.util
import os
from dataclasses import replace

import pytest

from fleet.checkup.finding import Verdict
from fleet.checkup.peers import MOST, Heard, check, listen
from fleet.ros.graph import Census, Endpoint
from fleet.ros.messages.geometry_msgs import Twist, TwistStamped
from fleet.ros.messages.sensor_msgs import LaserScan
from fleet.ros.qos import DEFAULT, LATCHED, SENSOR
from fleet.ros.typehash import hash_of


def end(topic: str, node: str, *, writer: bool, kind: type = LaserScan, gid: bytes = b"") -> Endpoint:
    name = getattr(kind, "__ros_name__")  # noqa: B009
    return Endpoint(topic, name, hash_of(kind), DEFAULT, writer, node, gid or f"{topic}{node}{writer}".encode())


SCAN = end("/r1/scan", "/r1/laser", writer=True)
HEARS = end("/r1/scan", "/r1/robot", writer=False)
DRIVES = end("/r1/cmd_vel", "/r1/robot", writer=True, kind=TwistStamped)


def heard(*ends: Endpoint, nodes: tuple[str, ...] = ("/r1/laser", "/r1/robot"), participants: int = 2) -> Heard:
    return Heard("dds", 3.0, Census(nodes, ends, participants))


def faults(found: Heard, expected: tuple[str, ...] = ()) -> dict[str, str]:
    return {each.name: each.found for each in check(found, expected) if each.verdict is Verdict.MEND}


def test_a_robot_whose_ends_fit_is_well() -> None:
    assert faults(heard(SCAN, HEARS, DRIVES), ("r1",)) == {}


def test_nobody_is_worth_a_note_and_a_missing_robot_is_to_be_mended() -> None:
    alone = heard(nodes=())
    assert faults(alone) == {}
    assert check(alone)[0].verdict is Verdict.NOTE
    assert faults(alone, ("r1", "r2")) == {"robots": "nobody of r1, r2"}
    assert faults(heard(nodes=("/r1/robot", "/r10/robot")), ("r1", "r10")) == {}
    assert faults(heard(nodes=("/r10/robot", "/x/r1/robot")), ("r1",)) == {"robots": "nobody of r1"}


def test_a_robot_that_a_plant_serves_is_heard_by_its_topics() -> None:
    plant = replace(SCAN, node="/plant")
    assert faults(heard(plant, nodes=("/plant",)), ("r1",)) == {}
    assert faults(heard(plant, nodes=("/plant",)), ("r1", "r2")) == {"robots": "nobody of r2"}


def test_two_robots_in_one_namespace_are_told_by_names_and_by_topics() -> None:
    other = replace(DRIVES, gid=b"other")
    found = faults(heard(DRIVES, other, nodes=("/r1/robot", "/r1/robot")))
    assert found["names"].startswith("2 nodes are called /r1/robot")
    assert found["publishers"] == "2 publish /r1/cmd_vel: /r1/robot"


def test_two_that_command_one_robot_in_two_types_are_told() -> None:
    joystick = end("/r1/cmd_vel", "/r1/joystick", writer=True, kind=Twist)
    found = faults(heard(DRIVES, joystick))
    assert found["publishers"] == (
        "2 publish /r1/cmd_vel as geometry_msgs/msg/Twist and geometry_msgs/msg/TwistStamped: /r1/joystick, /r1/robot"
    )


def test_another_type_hash_or_quality_is_told_between_strangers_too() -> None:
    base = end("/r1/cmd_vel", "/r1/base", writer=False, kind=Twist)
    assert (
        "/r1/robot publishes geometry_msgs/msg/TwistStamped, /r1/base subscribes to geometry_msgs/msg/Twist"
        in (faults(heard(base, DRIVES))["type"])
    )
    lossy = replace(SCAN, qos=SENSOR)
    assert "best effort is offered, reliable asked" in faults(heard(lossy, HEARS))["qos"]
    assert "volatile is offered" in faults(heard(SCAN, replace(HEARS, qos=LATCHED)))["qos"]
    changed = replace(SCAN, type_hash="RIHS01_" + "0" * 64)
    assert set(faults(heard(changed, HEARS))) == {"type_hash", "definition"}
    assert faults(heard(changed))["definition"].startswith("/r1/scan: /r1/laser has another sensor_msgs/msg/LaserScan")


def test_messages_that_muster_does_not_know_are_nobodys_business() -> None:
    assert faults(heard(replace(SCAN, type_name="a_msgs/msg/Thing", type_hash="RIHS01_" + "0" * 64))) == {}
    assert faults(heard(replace(SCAN, type_hash=""))) == {}


def test_a_crowded_domain_is_told() -> None:
    assert faults(heard(participants=22)) == {}
    assert faults(heard(participants=23)) == {"crowd": "24 processes on this domain"}


def test_many_faults_of_one_sort_are_counted() -> None:
    ends = [end(f"/r{k}/scan", f"/r{k}/laser", writer=True) for k in range(20)]
    ends = [replace(each, type_hash="RIHS01_" + "0" * 64) for each in ends]
    found = [each for each in check(heard(*ends)) if each.name == "definition"]
    assert len(found) == MOST + 1
    assert found[-1].found == f"{20 - MOST} more"


def test_trouble_of_the_bus_is_passed_on() -> None:
    assert faults(replace(heard(SCAN), trouble=("DDS listens on all interfaces",))) == {
        "transport": "DDS listens on all interfaces"
    }


@pytest.mark.skipif(importlib.util.find_spec("cyclonedds") is None, reason="pip install 'muster[ros]'")
def test_a_planted_pair_is_heard_over_dds(monkeypatch: pytest.MonkeyPatch) -> None:
    from fleet.ros.dds import DdsBus

    monkeypatch.setenv("ROS_AUTOMATIC_DISCOVERY_RANGE", "LOCALHOST")
    domain = 101 + os.getpid() % 100
    bus = DdsBus(domain=domain)
    try:
        bus.node("robot", "/r1").publisher(Twist, "cmd_vel")
        bus.node("robot", "/r1").subscription(TwistStamped, "cmd_vel")
        found = faults(listen("dds", domain, 1.0), ("r1",))
        assert set(found) == {"names", "type"}
    finally:
        bus.close()

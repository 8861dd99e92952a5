"""What the doctor says of the ways to others."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest

from fleet.checkup.finding import Verdict
from fleet.checkup.peers import Heard
from fleet.checkup.transports import Choice, Interface, Library, TransportFacts, check, look, pythons_of_ros
from fleet.ros.graph import Census

ABSENT = Library(there=False)
LO = Interface("lo", up=True, multicast=False)
LAN = Interface("eth0", up=True, multicast=True)
BARE = TransportFacts("x86_64", (3, 11), {}, Library("27"), ABSENT, ABSENT, (LO, LAN), 4 << 20)
EMBEDDED = replace(BARE, dds=Library("11.0.1"), chosen="dds", heard=Heard("dds", 3.0, Census((), ())))
SOURCED = replace(
    BARE,
    environment={"AMENT_PREFIX_PATH": "/opt/ros/jazzy", "ROS_DISTRO": "jazzy"},
    python=(3, 12),
    rclpy=Library("7.1.3"),
    chosen="rclpy",
    heard=Heard("rclpy", 3.0, Census((), ())),
    built_for=((3, 12),),
)


def faulty(facts: TransportFacts, choice: Choice = "auto") -> dict[str, str]:
    return {each.name: each.remedy for each in check(facts, choice) if each.verdict is Verdict.MEND}


def with_environment(facts: TransportFacts, **variables: str) -> TransportFacts:
    return replace(facts, environment={**facts.environment, **variables})


@pytest.mark.parametrize("facts", [BARE, EMBEDDED, SOURCED], ids=["bare", "embedded", "sourced"])
def test_a_bus_that_nobody_insists_on_may_be_missing(facts: TransportFacts) -> None:
    assert faulty(facts) == {}


def test_without_a_bus_zmq_alone_is_looked_at() -> None:
    assert [each.name for each in check(BARE, "none")] == ["zmq"]
    assert set(faulty(replace(BARE, zmq=Library("27", "Address in use")), "none")) == {"zmq"}
    assert set(faulty(replace(BARE, zmq=ABSENT), "none")) == {"zmq"}


def test_a_bus_that_is_asked_for_must_be_there() -> None:
    assert faulty(BARE, "dds") == {"dds": "pip install 'muster[ros]'"}
    assert faulty(BARE, "rclpy")["rclpy"].startswith("source ROS 2 in this shell")


@pytest.mark.parametrize("facts", [replace(BARE, machine="aarch64"), replace(BARE, python=(3, 14))])
def test_where_there_is_no_wheel_of_the_embedded_bus_rclpy_is_the_way(facts: TransportFacts) -> None:
    assert "source ROS 2 and use rclpy" in faulty(facts, "dds")["dds"]


def test_another_python_than_that_of_ros_is_named() -> None:
    wrong = replace(SOURCED, python=(3, 11), rclpy=ABSENT, heard=None)
    said = faulty(wrong, "rclpy")["rclpy"]
    assert "this is Python 3.11, the sourced ROS 2 is for 3.12" in said
    assert "python3.12 -m venv --system-site-packages" in said


def test_another_numpy_than_that_of_the_message_packages_is_named() -> None:
    broken = replace(SOURCED, rclpy=Library("7", "ImportError: numpy.core.multiarray failed to import"))
    assert "another NumPy" in faulty(broken)["rclpy"]


def test_what_is_installed_and_broken_is_to_be_mended_even_if_nobody_insists() -> None:
    assert set(faulty(replace(BARE, dds=Library("11", "opening a bus: no answer within 20 s")))) == {"dds"}


@pytest.mark.parametrize(
    ("name", "facts"),
    [
        ("discovery", with_environment(EMBEDDED, ROS_DOMAIN_ID="300")),
        ("discovery", with_environment(EMBEDDED, ROS_AUTOMATIC_DISCOVERY_RANGE="EVERYWHERE")),
        ("discovery", with_environment(EMBEDDED, ROS_STATIC_PEERS="10.0.0.7")),
        ("middleware", with_environment(EMBEDDED, RMW_IMPLEMENTATION="rmw_zenoh_cpp")),
        ("security", with_environment(EMBEDDED, ROS_SECURITY_ENABLE="true")),
        ("distribution", with_environment(EMBEDDED, ROS_DISTRO="humble")),
        ("loopback", replace(EMBEDDED, interfaces=(replace(LO, up=False), LAN))),
        (
            "multicast",
            replace(with_environment(EMBEDDED, ROS_AUTOMATIC_DISCOVERY_RANGE="SUBNET"), interfaces=(LO,)),
        ),
    ],
)
def test_a_planted_fault_is_named_with_what_to_do(name: str, facts: TransportFacts) -> None:
    found = faulty(facts)
    assert set(found) == {name}
    assert found[name]


def test_what_the_embedded_bus_cannot_is_no_fault_over_rclpy() -> None:
    assert faulty(with_environment(SOURCED, RMW_IMPLEMENTATION="rmw_zenoh_cpp", ROS_SECURITY_ENABLE="true")) == {}


def test_a_network_is_asked_for_only_where_the_range_is_wider_than_this_machine() -> None:
    wide = with_environment(EMBEDDED, ROS_AUTOMATIC_DISCOVERY_RANGE="SUBNET")
    said = {each.name: each.found for each in check(wide, "auto")}
    assert said["multicast"] == "by eth0"
    assert said["discovery"] == "domain 0, range SUBNET (the network, too)"
    assert "multicast" not in {each.name for each in check(EMBEDDED, "auto")}


def test_small_socket_buffers_are_worth_a_note() -> None:
    (note,) = [each for each in check(replace(EMBEDDED, buffer=212_992), "auto") if each.name == "socket buffers"]
    assert note.verdict is Verdict.NOTE


def test_the_pythons_of_a_sourced_ros_are_read_from_its_prefixes(tmp_path: Path) -> None:
    (tmp_path / "a" / "lib" / "python3.12" / "site-packages").mkdir(parents=True)
    (tmp_path / "b" / "lib" / "python3.9").mkdir(parents=True)
    variables = {"AMENT_PREFIX_PATH": f"{tmp_path}/a:{tmp_path}/b:{tmp_path}/none:"}
    assert pythons_of_ros(variables) == ((3, 9), (3, 12))
    assert pythons_of_ros({}) == ()


def test_a_look_without_a_bus_opens_zmq_alone() -> None:
    facts = look("none", None, 0.0)
    assert facts.zmq.version
    assert not facts.zmq.error
    assert (facts.chosen, facts.heard, facts.dds.there, facts.rclpy.there) == ("", None, False, False)


def test_a_bus_is_not_opened_by_variables_that_are_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ROS_DOMAIN_ID", "many")
    facts = look("auto", None, 0.0)
    assert facts.heard is None
    assert "discovery" in faulty(facts)


def test_an_rclpy_that_ends_the_process_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As one that was built for another Python does."""
    (tmp_path / "rclpy.py").write_text("import os, signal\nos.kill(os.getpid(), signal.SIGSEGV)\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")]))
    facts = look("rclpy", None, 0.0)
    assert facts.rclpy.error == "import rclpy: its process ended by SIGSEGV"
    assert "rclpy" in faulty(facts, "rclpy")

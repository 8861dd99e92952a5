"""Whom the DDS bus can meet: ROS 2's environment variables, and the configuration that Cyclone DDS gets."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree

import pytest

from fleet.ros.bus import BusError
from fleet.ros.ddsdomain import Discovery, configuration, from_environment


def test_nothing_leaves_the_machine_unless_somebody_asks_for_it() -> None:
    assert from_environment({}) == Discovery(0, "LOCALHOST", (), "")
    document = ElementTree.fromstring(configuration(from_environment({}), "/log", 7))
    assert [each.get("name") for each in document.iter("NetworkInterface")] == ["lo"]
    assert document.findtext("Domain/General/AllowMulticast") == "false"
    assert [each.get("address") for each in document.iter("Peer")] == ["localhost"]
    assert document.findtext("Domain/Discovery/ParticipantIndex") == "auto"
    assert document.findtext("Domain/Discovery/MaxAutoParticipantIndex") == "32"


def test_the_subnet_is_asked_for_as_in_ros_and_brings_its_peers() -> None:
    asked = {
        "ROS_AUTOMATIC_DISCOVERY_RANGE": "SUBNET",
        "ROS_STATIC_PEERS": "10.0.0.7; robot-3.local",
        "ROS_DOMAIN_ID": "5",
    }
    discovery = from_environment(asked)
    assert discovery == Discovery(5, "SUBNET", ("10.0.0.7", "robot-3.local"))
    document = ElementTree.fromstring(configuration(discovery, "/log", 7))
    assert not list(document.iter("NetworkInterface"))
    assert document.find("Domain/General") is None
    assert [each.get("address") for each in document.iter("Peer")] == ["10.0.0.7", "robot-3.local"]


def test_discovery_that_is_off_hides_behind_a_tag_of_its_own_process() -> None:
    document = ElementTree.fromstring(configuration(Discovery(reach="OFF"), "/log", 4711))
    assert document.findtext("Domain/Discovery/Tag") == "ros_discovery_off_4711"
    assert document.findtext("Domain/Discovery/ParticipantIndex") == "none"
    assert not list(document.iter("Peer"))
    assert [each.get("name") for each in document.iter("NetworkInterface")] == ["lo"]


def test_cyclones_own_configuration_comes_last_and_so_wins() -> None:
    discovery = from_environment({"CYCLONEDDS_URI": "file:///etc/cyclone.xml"})
    assert configuration(discovery, "/log", 7).endswith("</CycloneDDS>,file:///etc/cyclone.xml")


def test_the_variable_of_before_iron_still_means_this_machine() -> None:
    old = {"ROS_LOCALHOST_ONLY": "1", "ROS_AUTOMATIC_DISCOVERY_RANGE": "SUBNET"}
    assert from_environment(old).reach == "LOCALHOST"


def test_a_domain_that_is_given_stands_for_the_variable() -> None:
    assert from_environment({"ROS_DOMAIN_ID": "5"}, 7).domain == 7
    assert from_environment({"ROS_DOMAIN_ID": "232"}).domain == 232


@pytest.mark.parametrize(
    ("environment", "words"),
    [
        ({"ROS_DOMAIN_ID": "233"}, "expected a number from 0 to 232, came 233"),
        ({"ROS_DOMAIN_ID": "-1"}, "expected a number from 0 to 232"),
        ({"ROS_DOMAIN_ID": "²"}, "expected a number from 0 to 232"),
        ({"ROS_AUTOMATIC_DISCOVERY_RANGE": "LOCALHSOT"}, 'did you mean "LOCALHOST"'),
        ({"ROS_STATIC_PEERS": "10.0.0.7"}, "set ROS_AUTOMATIC_DISCOVERY_RANGE to SUBNET"),
        ({"ROS_STATIC_PEERS": '"/><Peer', "ROS_AUTOMATIC_DISCOVERY_RANGE": "SUBNET"}, "expected addresses"),
        ({"ROS_STATIC_PEERS": "10.0.0.7", "ROS_AUTOMATIC_DISCOVERY_RANGE": "OFF"}, "would not be looked for"),
    ],
)
def test_a_value_that_cannot_be_is_said_in_one_line(environment: dict[str, str], words: str) -> None:
    with pytest.raises(BusError) as told:
        from_environment(environment)
    assert words in str(told.value)
    assert "\n" not in str(told.value)

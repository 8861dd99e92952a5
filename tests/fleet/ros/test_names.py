"""Names as ROS 2 allows and resolves them; the examples are those of the ROS 2 design articles and rcl's tests."""

from __future__ import annotations

import pytest

from fleet.ros.names import (
    Remap,
    RosNameError,
    check_namespace,
    check_node_name,
    check_topic,
    dds_type,
    demangled,
    expand,
    mangled,
    resolve,
    ros_type,
)


@pytest.mark.parametrize(
    ("written", "absolute"),
    [
        ("scan", "/r1/scan"),
        ("/clock", "/clock"),
        ("~/state", "/r1/nav/state"),
        ("~", "/r1/nav"),
        ("lidar/scan", "/r1/lidar/scan"),
        ("{node}/scan", "/r1/nav/scan"),
        ("{ns}/scan", "/r1/scan"),
        ("/{node}/scan", "/nav/scan"),
        ("{namespace}/a/{node}", "/r1/a/nav"),
        ("_hidden", "/r1/_hidden"),
    ],
)
def test_a_topic_is_expanded_from_where_its_node_stands(written: str, absolute: str) -> None:
    assert expand(written, "nav", "/r1") == absolute


def test_the_root_namespace_adds_no_second_slash() -> None:
    assert expand("scan", "nav", "/") == "/scan"
    assert expand("~/scan", "nav", "/") == "/nav/scan"


@pytest.mark.parametrize(
    "topic",
    [
        "",
        "/",
        "//scan",
        "scan/",
        "a//b",
        "2d",
        "/r1/2d",
        "a b",
        "a-b",
        "scan~",
        "~scan",
        "a/~/b",
        "{odd}/x",
        "{node",
        "ä",
    ],
)
def test_a_topic_that_ros_forbids_is_refused_in_one_line(topic: str) -> None:
    with pytest.raises(RosNameError) as caught:
        expand(topic, "nav", "/r1")
    assert "\n" not in str(caught.value)


def test_the_limits_of_length_are_those_of_rmw() -> None:
    assert check_topic("/" + "a" * 246)
    assert check_namespace("/" + "a" * 244)
    assert check_node_name("a" * 255)
    for check, name in (
        (check_topic, "/" + "a" * 247),
        (check_namespace, "/" + "a" * 245),
        (check_node_name, "a" * 256),
    ):
        with pytest.raises(RosNameError, match="at most"):
            check(name)


@pytest.mark.parametrize("name", ["", "1st", "a.b", "a/b", "a-b", "naïve"])
def test_a_node_name_that_ros_forbids_is_refused(name: str) -> None:
    with pytest.raises(RosNameError):
        check_node_name(name)


def test_a_namespace_becomes_absolute() -> None:
    assert [check_namespace(n) for n in ("", "/", "r1", "/r1/a")] == ["/", "/", "/r1", "/r1/a"]
    for namespace in ("/r1/", "//r1", "/1", "~"):
        with pytest.raises(RosNameError):
            check_namespace(namespace)


def test_the_first_rule_that_fits_holds_and_is_not_remapped_again() -> None:
    rules = [Remap("scan", "lidar"), Remap("/r1/scan", "never"), Remap("lidar", "twice")]
    assert resolve("scan", "nav", "/r1", rules) == "/r1/lidar"
    assert resolve("lidar", "nav", "/r1", rules) == "/r1/twice"
    assert resolve("odom", "nav", "/r1", rules) == "/r1/odom"


def test_a_rule_is_compared_by_what_it_means() -> None:
    assert resolve("/r1/nav/a", "nav", "/r1", [Remap("~/a", "/b")]) == "/b"
    assert resolve("scan", "nav", "/r1", [Remap("/scan", "/b")]) == "/r1/scan"


def test_a_rule_for_another_node_is_not_ours() -> None:
    rules = [Remap("scan", "a", node="other"), Remap("scan", "b", node="nav")]
    assert resolve("scan", "nav", "/r1", rules) == "/r1/b"


def test_names_on_the_wire_and_back() -> None:
    assert mangled("/r1/scan") == "rt/r1/scan"
    assert demangled("rt/r1/scan") == "/r1/scan"
    assert [demangled(t) for t in ("rq/r1/setRequest", "ros_discovery_info", "rtscan")] == ["", "", ""]
    assert dds_type("std_msgs/msg/String") == "std_msgs::msg::dds_::String_"
    assert ros_type("std_msgs::msg::dds_::String_") == "std_msgs/msg/String"
    assert [ros_type(t) for t in ("std_msgs::msg::String", "a::b::dds_::c_", "x")] == ["", "", ""]
    for kind in ("String", "std_msgs/String", "std_msgs/msg/", "a/msg/B/c"):
        with pytest.raises(RosNameError):
            dds_type(kind)

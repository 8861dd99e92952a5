"""ROS arguments as rcl reads them; the cases of precedence are those of rcl's and rclpy's sources."""

from __future__ import annotations

import contextlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleet.ros.arguments import ArgumentError, RosArguments, parse
from sim.errors import MusterError


def values(ros: RosArguments, node: str) -> dict[str, object]:
    return {name: given.value for name, given in ros.given(node).items()}


def test_what_launch_passes_is_understood(tmp_path: Path) -> None:
    file = tmp_path / "robot.yaml"
    file.write_text("/**:\n  ros__parameters:\n    speed: 1.0\n    lidar: {range: 8.0}\n")
    command = ["--robot", "r7", "--ros-args", "-r", "__node:=nav", "-r", "__ns:=/r1", "--remap", "scan:=lidar/scan"]
    command += ["--params-file", str(file), "-p", "speed:=1.5", "--log-level", "DEBUG", "--", "more"]
    ros = parse(command)
    assert ros.identity("shuttle", "") == ("nav", "/r1")
    assert [(rule.match, rule.replacement) for rule in ros.remaps[2:]] == [("scan", "lidar/scan")]
    assert values(ros, "/r1/nav") == {"speed": 1.5, "lidar.range": 8.0}
    assert ros.log_level == "debug"
    assert ros.rest == ("--robot", "r7", "more")


def test_the_program_keeps_what_stands_outside() -> None:
    ros = parse(["robot:=r1", "--ros-args", "--", "-r", "a:=b"])
    assert ros.rest == ("robot:=r1", "-r", "a:=b")
    assert ros.remaps == ()


def test_ros_args_may_stand_twice() -> None:
    ros = parse(["--ros-args", "-r", "a:=b", "--", "x", "--ros-args", "--ros-args", "-r", "c:=d"])
    assert len(ros.remaps) == 2
    assert ros.rest == ("x",)


def test_rules_for_one_node_name_it_as_rcl_does() -> None:
    ros = parse(["--ros-args", "-r", "a:__node:=b", "-r", "b:__ns:=/one", "-r", "a:__ns:=/two", "-r", "__ns:=/all"])
    assert ros.identity("a", "") == ("b", "/one")
    assert ros.identity("c", "/mine") == ("c", "/all")
    assert RosArguments().identity("c", "mine") == ("c", "/mine")


def test_a_node_argument_outweighs_its_process() -> None:
    process = parse(["--ros-args", "-r", "scan:=p", "-p", "speed:=1", "-p", "far:=1"])
    both = parse(["--ros-args", "-r", "scan:=n", "-p", "speed:=2"]).over(process)
    assert [rule.replacement for rule in both.remaps] == ["n", "p"]
    assert values(both, "/nav") == {"speed": 2, "far": 1}


def test_a_pattern_of_nodes_keeps_the_place_at_which_it_first_stood(tmp_path: Path) -> None:
    file = tmp_path / "p.yaml"
    file.write_text("/**:\n  ros__parameters: {a: 1, b: 1}\n/r1/nav:\n  ros__parameters: {a: 2}\n")
    ros = parse(["--ros-args", "--params-file", str(file), "-p", "a:=3", "-p", "b:=3"])
    assert values(ros, "/r1/nav") == {"a": 2, "b": 3}
    assert values(ros, "/r2/nav") == {"a": 3, "b": 3}


def test_later_files_override(tmp_path: Path) -> None:
    for name, speed in (("one", 1), ("two", 2)):
        (tmp_path / name).write_text(f"nav:\n  ros__parameters: {{speed: {speed}}}\n")
    ros = parse(["--ros-args", "--params-file", str(tmp_path / "one"), "--params-file", str(tmp_path / "two")])
    assert values(ros, "/nav") == {"speed": 2}
    assert values(ros, "/r1/nav") == {}


def test_a_parameter_may_be_for_one_node() -> None:
    ros = parse(["--ros-args", "-p", "nav:speed:=2", "-p", "other:speed:=3", "-p", "text:='1'", "-p", "list:=[1, 2]"])
    assert values(ros, "/nav") == {"speed": 2, "text": "1", "list": [1, 2]}


def test_a_service_rule_is_read_and_concerns_no_topic() -> None:
    assert parse(["--ros-args", "-r", "rosservice://a:=b", "-r", "rostopic://c:=d"]).remaps[0].match == "c"


def test_logging_arguments_are_kept_for_rclpy() -> None:
    ros = parse(["--ros-args", "--log-level", "nav:=warn", "--disable-rosout-logs", "-e", "/site"])
    assert ros.logging == ("--log-level", "nav:=warn", "--disable-rosout-logs", "--enclave", "/site")
    assert (ros.log_level, ros.enclave) == ("", "/site")


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["-r"], "stands last"),
        (["-r", "scan"], "from:=to"),
        (["-r", "scan:="], "from:=to"),
        (["-r", "*:=a"], "expected"),
        (["-r", "a b:=c"], "topic"),
        (["-r", "__ns:=r1"], "from the root"),
        (["-r", "__node:=a/b"], "name"),
        (["-p", "speed"], "name:=value"),
        (["-p", "speed:="], "expected a value"),
        (["-p", "speed:={a: 1}"], "expected a number"),
        (["-p", "speed:=[1, 2.0]"], "one type"),
        (["-p", "sp eed:=1"], "name:=value"),
        (["-p", "speed:=[1, *a]"], "speed"),
        (["--params-file", "/nowhere/x.yaml"], "cannot be read"),
        (["--log-level", "loud"], "expected one of"),
        (["--remaps", "a:=b"], 'did you mean "--remap"'),
    ],
)
def test_a_wrong_argument_is_one_clear_line(words: list[str], says: str) -> None:
    with pytest.raises(MusterError) as caught:
        parse(["--ros-args", *words])
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


@given(st.lists(st.sampled_from(["-r", "-p", "--", "--log-level", "--ros-args"]) | st.text(max_size=12), max_size=6))
def test_no_command_line_raises_anything_else(words: list[str]) -> None:
    with contextlib.suppress(MusterError):
        parse(["--ros-args", *words])


def test_an_argument_error_is_a_muster_error() -> None:
    assert issubclass(ArgumentError, MusterError)

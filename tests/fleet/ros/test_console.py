"""What a process of robots says on its console, and how often."""

from __future__ import annotations

import pytest

from coordination.keys import Keys
from fleet.ros.arguments import parse
from fleet.ros.bus import Diagnostic, Level
from fleet.ros.console import LOOKS, Spoken, complaints_of, misspelt
from fleet.ros.robotnode import BusWires
from sim.robot import RobotSpec

SILENT = {"/r1/scan": "scan: nothing has come"}


def test_a_complaint_is_said_once_when_it_has_stood_and_once_when_it_is_over() -> None:
    spoken = Spoken("r1")
    before = [spoken.lines(SILENT) for _ in range(LOOKS - 1)]
    assert not any(before)  # drivers may start beside the robot
    assert spoken.lines(SILENT) == ["r1: scan: nothing has come"]
    assert not any(spoken.lines(SILENT) for _ in range(20))
    flapping = [spoken.lines({} if look % 2 else SILENT) for look in range(20)]
    assert not any(flapping)
    gone = [line for _ in range(LOOKS) for line in spoken.lines({})]
    assert gone == ["r1: /r1/scan is well again"]
    assert not any(spoken.lines({}) for _ in range(20))


def test_words_from_the_bus_control_no_terminal() -> None:
    spoken = Spoken("r1")
    said = [line for _ in range(LOOKS) for line in spoken.lines({"/r1/scan": "frame \x1b[2J"})]
    assert said
    assert "\x1b" not in said[0]


def test_what_keeps_a_robot_from_driving_is_told_and_what_does_not_is_not() -> None:
    scan = Diagnostic(Level.ERROR, "input", "scan: nothing has come", "/r1/robot", "/r1/scan")
    imu = Diagnostic(Level.WARN, "input", "imu: nothing has come", "/r1/robot", "/r1/imu")
    assert complaints_of("", True, True, [scan, imu]) == SILENT
    assert complaints_of("", True, True, [imu]) == {}
    assert list(complaints_of("two nodes are called /r1/robot", False, False, [])) == [
        "the bus",
        "/clock",
        "the coordinator",
    ]


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["-r", "pse:=amcl_pose"], '-r pse:=amcl_pose: a robot has no topic pse; did you mean "pose"?'),
        (["-r", "robot:lidar:=scan"], "-r lidar:=scan: a robot has no topic lidar; known:"),
        (["-r", "pose:=amcl_pose", "-r", "lift/position:=mast", "-r", "__ns:=/r9"], ""),
        (["-r", "other:pse:=amcl_pose", "-r", "/tf:=tf", "-r", "~/state:=life"], ""),  # another node's, or anybody's
    ],
)
def test_a_remapping_of_no_topic_is_told(words: list[str], expected: str) -> None:
    found = misspelt(parse(["--ros-args", *words]), "robot", "/r1")
    assert len(found) == bool(expected)
    assert all(expected in line for line in found)


def test_a_process_of_robots_says_at_its_start_what_changes_nothing_and_later_what_it_lacks(
    capsys: pytest.CaptureFixture[str],
) -> None:
    arguments = ["--ros-args", "-p", "frame_scn:=laser", "-r", "pse:=amcl_pose"]
    wires = BusWires("loop", arguments, ["r1"], Keys(fleet=b"k" * 32), "", "floor")
    try:
        robot = wires.robot("r1", RobotSpec(), "")
        said = capsys.readouterr().out
        assert 'r1: -r pse:=amcl_pose: a robot has no topic pse; did you mean "pose"?; it changes nothing' in said
        assert "has no parameter frame_scn; did you mean" in said
        robot.join(0.0)
        for _ in range(LOOKS):
            wires.housekeeping()
        said = capsys.readouterr().out.splitlines()
        assert any("scan: nothing has come" in line for line in said)
        assert any("no coordinator has spoken yet" in line for line in said)
        assert not any("imu" in line for line in said)
    finally:
        wires.close()

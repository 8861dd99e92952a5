"""The course of a calibration over a bus: the robot behind topics is the robot in process, and doubts end it."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pytest

from fleet.calibrate import calibrate
from fleet.ros.bus import BusError
from fleet.ros.loop import LoopBus
from fleet.ros.messages.rosgraph_msgs import Clock
from fleet.ros.planar import time_of
from fleet.ros.plantbase import Base
from fleet.ros.solo import SoloRobot, first
from fleet.ros.topics import CLOCK, TF
from fleet.stages import Demand
from sim.hall import Hall, HallRobot, draw_likeness
from sim.robot import RobotCommand, RobotSpec
from tests.fleet.ros.stacks import Turns

SPEC = RobotSpec()
LOCKSTEP = ("--ros-args", "-p", "use_sim_time:=true", "-p", "lockstep:=true")


class Hardware:
    """A simulated robot as a ROS 2 base on the same network, whose time waits for commands."""

    def __init__(self, bus: Turns, seed: int = 3) -> None:
        self.bus = LoopBus(bus.network)
        node = self.bus.node("base")
        self.base = Base(node, "r0", SPEC, "stamped", TF.publisher(node))
        self.clock = CLOCK.publisher(node)
        self.robot = HallRobot(Hall(draw_likeness(SPEC, seed), None, seed=seed))
        self.wall, self.opened = bus.wall, -1
        self.commands: list[tuple[float, float]] = []
        self.silent = False

    def turn(self) -> None:
        self.bus.spin(0.0)
        if self.opened >= 0:
            told = self.base.take(self.opened, self.opened, self.wall(), lockstep=True)
            if told is None or not told.current:
                return
            self.commands.append(told.command)
            self.robot.write(RobotCommand(*told.command))
        if self.silent:
            return
        readings = self.robot.read(0.0)
        assert readings is not None
        self.base.reckon(readings)
        rate = float(readings.twist[1])
        self.base.publish(replace(readings, yaw_rate=rate, yaw_rate_stamp=readings.stamp))
        self.clock.publish(Clock(time_of(readings.stamp)))
        self.opened = readings.stamp


@pytest.fixture
def bus() -> Turns:
    return Turns()


@pytest.fixture
def hardware(bus: Turns) -> Hardware:
    found = Hardware(bus)
    bus.others.append(found.turn)
    return found


def solo(bus: Turns, *arguments: str) -> SoloRobot:
    from fleet.ros.arguments import parse

    bus._ros = parse(arguments or LOCKSTEP)
    return SoloRobot(bus, "r0", SPEC, wall=bus.wall)


def test_a_robot_over_a_bus_says_and_does_what_it_says_and_does_in_process(bus: Turns, hardware: Hardware) -> None:
    robot, twin = solo(bus), HallRobot(Hall(draw_likeness(SPEC, 3), None, seed=3))
    first(robot, 5.0)
    twin.read(0.0)
    for number in range(30):
        command = RobotCommand(0.03 * number, 0.1)
        robot.write(command)
        twin.write(command)
        here, there = robot.read(5.0), twin.read(0.0)
        assert here is not None
        assert there is not None
        assert here.stamp == there.stamp
        np.testing.assert_array_equal(here.scan, there.scan)
        np.testing.assert_array_equal(here.pose, there.pose)
        np.testing.assert_array_equal(here.twist, there.twist)
    robot.close()
    hardware.turn()
    assert hardware.commands[-1] == (0.0, 0.0), "whatever ends it, the last command is to stand"


def test_a_robot_of_which_nothing_is_heard_is_said_with_what_is_missing(bus: Turns) -> None:
    robot = solo(bus, "--ros-args")
    with pytest.raises(BusError, match=r"expected readings of r0 within 2 s, none came: .*scan"):
        first(robot, 2.0)


def test_readings_that_stop_are_none_within_their_time(bus: Turns, hardware: Hardware) -> None:
    robot = solo(bus)
    first(robot, 5.0)
    hardware.silent = True
    robot.write(RobotCommand(0.1, 0.0))
    before = bus.wall()
    assert robot.read(2.0) is None
    assert 2.0 <= bus.wall() - before <= 2.2


def test_a_second_node_of_its_name_ends_the_course(bus: Turns, hardware: Hardware) -> None:
    robot = solo(bus)
    first(robot, 5.0)
    LoopBus(bus.network).node("robot", "/r0")
    bus.now += 1.0
    with pytest.raises(BusError, match="the course is not driven: 2 nodes are called /r0/robot"):
        robot.read(0.2)


@pytest.mark.slow
def test_a_course_over_a_bus_finds_what_it_finds_in_process(bus: Turns, hardware: Hardware) -> None:
    """Bit for bit: the same commands, the same readings, the same bounds."""
    robot, twin = solo(bus), HallRobot(Hall(draw_likeness(SPEC, 3), None, seed=3))
    first(robot, 5.0)
    twin.read(0.0)
    demand = Demand(0.5, 0.95, math.inf, 0)
    over, inside = (
        calibrate(one, SPEC, demand, site="hall", floor="a" * 64, now=datetime(2026, 11, 22, tzinfo=UTC), days=90.0)
        for one in (robot, twin)
    )
    assert over.record == inside.record
    assert over.spec == inside.spec


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--bus", "dds"], "--site: expected the floor that the robot stands on, got none"),
        (["--bus", "dds", "--site", "generate:7", "--planted", "3"], "expected no --planted and no --blocked-deg"),
        (["--bus", "dds", "--site", "generate:7", "--blocked-deg", "3"], "expected no --planted and no --blocked-deg"),
        (["--bus", "dds", "--site", "generate:7", "--robot", "r0,r1"], "--robot: expected one robot's name"),
        (["--bus", "dds", "--site", "generate:7", "--robot", "R"], '--robot: "R" is no robot id'),
        (["--ros-args", "-r", "a:=b"], "expected no ROS arguments without a bus"),
        (["--bus", "zenoh"], "--bus"),
    ],
)
def test_what_cannot_be_asked_is_one_line(refused: Callable[..., str], words: list[str], said: str) -> None:
    assert said in refused("calibrate", *words)

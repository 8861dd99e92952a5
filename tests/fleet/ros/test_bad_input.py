"""Bad input over every bus: a robot that drives is brought to rest by its stored plan, and says what was wrong."""

from __future__ import annotations

import importlib
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest

from agents.policy import Policy
from coordination.client import CoordinatorClient
from coordination.messages import Cycle, Grant, Picture
from coordination.transport import InProcessEnd, Network
from fleet.control import ControlConfig, Stepper
from fleet.hardware import FakeRobot
from fleet.metrics import RobotMetrics
from fleet.ros.bodymessages import scan_message
from fleet.ros.bus import Bus
from fleet.ros.busrobot import GRACE, BusRobot
from fleet.ros.cdr import serialise
from fleet.ros.loop import LoopBus
from fleet.ros.messages.sensor_msgs import LaserScan
from fleet.ros.planar import stamp_of, time_of
from fleet.ros.topics import SCAN
from fleet.seat import Seat
from fleet.watchdog import Board
from safety.supervisor import Cause, may_drive
from sim.robot import SECOND, RobotCommand
from tests.fleet.episodes import aisle, cell, delivery, walls
from tests.fleet.hand_policy import write_hand_policy
from tests.fleet.ros.bodies import SPEC, Body
from tests.fleet.ros.buses import KINDS, Rig, rig_of

SITE = aisle()
LOCKSTEP = ("--ros-args", "-p", "use_sim_time:=true", "-p", "lockstep:=true")
BEFORE, AFTER = 14, 8
"""Cycles in which it gets going, and in which it is spoiled: the stop begins in the second of these at the latest."""
LONG = 10.0
"""s of wall time for a cycle to come through a network."""


@pytest.fixture(scope="module")
def policy(tmp_path_factory: pytest.TempPathFactory) -> Policy:
    return write_hand_policy(tmp_path_factory.mktemp("policy"), SPEC)


@dataclass
class Bench:
    """A robot on a bus of its own, its body on another, its coordinator by hand."""

    rig: Rig
    bus: Bus
    robot: BusRobot
    seat: Seat
    body: Body
    coordinator: InProcessEnd
    wall: list[float]
    base: FakeRobot

    def cycle(self) -> list[tuple[float, float]]:
        """The next cycle of a body that does what it was told; the commands that came of it."""
        readings = self.base.read(0.0)
        assert readings is not None
        stamp = readings.stamp
        number = stamp // SPEC.period
        x, y, yaw = readings.pose.tolist()
        v, w = readings.twist.tolist()
        scan = readings.scan.astype(np.float32).tobytes()
        self.body.give(Cycle(number, stamp, scan, stamp, (x, y, yaw), stamp, (v, w), stamp, 1.0, False, False))
        here = int(x / SITE.cell)
        grant = Grant(number, tuple(cell(index) for index in range(max(here - 1, 0), here + 5)), stamp + 2 * SECOND)
        self.coordinator.send("r0", Picture(number, stamp, SITE.hash, grant, assignment=delivery(10)), stamp)
        self._wait(stamp)
        if self.seat.waiting_since >= 0.0:
            self.seat.step()
        told = self._commands(stamp)
        if told:
            self.base.write(RobotCommand(*told[-1]))
        return told

    def drive(self, cycles: int) -> list[tuple[float, float]]:
        """So many cycles."""
        return [command for _ in range(cycles) for command in self.cycle()]

    def complaints(self) -> str:
        """What the robot says of itself, once it has come here."""
        self.robot.diagnose()
        self.rig.quiet()
        return self.body.complaints()

    def _wait(self, stamp: int) -> None:
        """Until the cycle opens, or everything has come that will; what has not is waited for no more then."""
        begun = time.monotonic()
        while self.seat.waiting_since < 0.0 and time.monotonic() - begun < LONG:
            self.bus.spin(0.005)
            self.seat.take()
            senses = self.robot.senses
            came = {} if senses is None else senses.stamps()
            spoiled = {*self.body.spoil}
            if self.robot.blocked and time.monotonic() - begun > 0.2:
                return
            if spoiled and self.robot.node.clock.now() >= stamp:
                whole = all(at >= stamp for topic, at in came.items() if topic not in spoiled)
                self.wall[0] += GRACE if whole and time.monotonic() - begun > 0.05 else 0.0

    def _commands(self, stamp: int) -> list[tuple[float, float]]:
        """What answers the cycle."""
        begun, found = time.monotonic(), []
        while time.monotonic() - begun < (LONG if self.robot.cycle and self.robot.cycle.stamp == stamp else 0.1):
            found += [command for _, command in self.body.told()]
            if found:
                break
            self.body.bus.spin(0.005)
        return found


@pytest.fixture(params=KINDS)
def bench(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, policy: Policy) -> Iterator[Bench]:
    with rig_of(request.param, monkeypatch) as rig:
        bus, wall, other = rig.bus(*LOCKSTEP), [0.0], Network()
        robot = BusRobot(bus, "r0", SPEC, SITE.hash, wall=lambda: wall[0])
        body = Body(rig.bus())
        end = other.server("coordinator", None)
        link = CoordinatorClient(other.client("r0", "coordinator", None))
        stepper = Stepper(ControlConfig(spec=SPEC), SITE, policy)
        seat = Seat(0, robot, link, stepper, None, Board(("r0",)), RobotMetrics(("r0",)))
        robot.join(1.0)
        rig.until(lambda: body.commands.matched and all(each.matched for each in body.ends.values()))
        base = FakeRobot(SPEC, (0.6, 1.8, 0.0), walls(SITE, SPEC.lidar.rays, SPEC.lidar.range_max))
        bench = Bench(rig, bus, robot, seat, body, end, wall, base)
        assert bench.drive(BEFORE)[-1][0] > 0.2, "it drives"
        yield bench


Change = Callable[[Any], Any]  # of one message: what becomes of it


def framed(name: str) -> Change:
    def change(message: Any) -> Any:
        message.header.frame_id = name
        return message

    return change


def moved(seconds: float) -> Change:
    def change(message: Any) -> Any:
        message.header.stamp = time_of(max(stamp_of(message.header.stamp) + round(seconds * SECOND), 0))
        return message

    return change


def nan(message: Any) -> Any:
    message.ranges = message.ranges.copy()
    message.ranges[17] = math.nan
    return message


BAD: dict[str, tuple[str, Change, Cause, str]] = {
    "NaN in a scan": ("scan", nan, Cause.NOT_FINITE, "1 of 360 ranges are NaN"),
    "a scan without a frame": ("scan", framed(""), Cause.SCAN_STALE, "came none"),
    "a pose without a frame": ("pose", framed(""), Cause.ODOMETRY_STALE, "came none"),
    "odometry without a frame": ("odom", framed(""), Cause.ODOMETRY_STALE, "came none"),
    "a scan from the future": ("scan", moved(5.0), Cause.SCAN_STALE, "beyond what clocks may differ by"),
    "a scan from the past": ("scan", moved(-0.5), Cause.SCAN_STALE, "the newest message is"),
    "a pose from the future": ("pose", moved(5.0), Cause.ODOMETRY_STALE, "beyond what clocks may differ by"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input_brings_a_driving_robot_to_rest_and_is_told(name: str, bench: Bench) -> None:
    topic, change, cause, said = BAD[name]
    bench.body.spoil[topic] = change
    rests(bench, cause)
    assert said in bench.complaints()


@pytest.mark.parametrize("cut", [10, 700])
def test_a_truncated_scan_is_dropped_counted_and_told(bench: Bench, cut: int) -> None:
    if bench.rig.kind == "dds":
        pytest.skip("Cyclone sends no such bytes; those of another's writer are dropped and told in test_dds.py")

    def truncate(message: LaserScan) -> None:
        end: Any = bench.body.ends["scan"]  # below the codec, which makes whole messages
        end._writer.send(serialise(message)[:cut])

    bench.body.spoil["scan"] = truncate
    rests(bench, Cause.SCAN_STALE)
    assert "/r0/scan: " in bench.complaints()
    assert "could not be read" in bench.complaints()


def test_a_scan_of_another_definition_moves_nothing_and_is_told(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    other = bench.rig.bus().node("driver", "r0")
    scan = foreign(bench, other, monkeypatch)
    bench.rig.until(lambda: [one for one in bench.robot.look() if one.name == "type_hash"])
    assert "another definition of sensor_msgs/msg/LaserScan" in bench.complaints()
    assert bench.robot.blocked
    counted = bench.robot.counts["received"]
    scan()
    bench.rig.quiet()
    assert bench.seat.plant.read(0.0) is None
    if bench.rig.kind != "loop":
        assert bench.robot.counts["received"] == counted, "it was dropped, not misread"
    bench.robot.write(RobotCommand(1.0, 0.5))
    bench.rig.until(lambda: [command for _, command in bench.body.told()] == [(0.0, 0.0)])


def test_a_second_robot_in_the_namespace_lets_both_stand_and_is_told(bench: Bench) -> None:
    second = BusRobot(bench.rig.bus(*LOCKSTEP), "r0", SPEC, SITE.hash)
    bench.rig.until(lambda: (bench.robot.look(), bench.robot.blocked)[1])
    assert "2 nodes are called /r0/robot" in bench.complaints()
    bench.rig.until(lambda: (second.look(), second.blocked)[1])
    assert bench.cycle() == [], "it answers nothing"
    bench.robot.write(RobotCommand(1.0, 0.5))
    bench.rig.until(lambda: [command for _, command in bench.body.told()] == [(0.0, 0.0)])
    second.close()
    bench.rig.until(lambda: (bench.robot.look(), not bench.robot.blocked)[1])


def rests(bench: Bench, cause: Cause) -> None:
    """What is commanded from now on leads to rest, and nothing drives on."""
    told = bench.drive(AFTER)
    assert bench.seat.memory.supervisor.cause is cause
    assert not may_drive(bench.seat.memory.supervisor.mode)
    speeds = [v for v, _ in told[2:]]
    assert speeds == sorted(speeds, reverse=True)
    assert told[-1] == (0.0, 0.0)


def foreign(bench: Bench, node: Any, monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Another publisher of scans that means something else by them; says one."""
    kind, wrong = bench.rig.kind, "RIHS01_" + "0" * 64
    readings = bench.base.read(0.0)
    assert readings is not None
    message = scan_message(readings, SPEC, bench.body.frames)
    message.header.stamp = time_of(bench.robot.node.clock.now() + 1)
    if kind == "dds":
        sends = importlib.import_module("fleet.ros.ddsends")
        with monkeypatch.context() as patch:
            patch.setattr(sends, "hash_of", lambda kind: wrong)
            end = SCAN.publisher(node)
        return lambda: end.publish(message)
    end = SCAN.publisher(node)
    if kind == "loop":
        assert isinstance(bench.bus, LoopBus)
        network = bench.bus.network
        writer = network.writers("/r0/scan")[-1]
        writer.end = replace(writer.end, type_hash=wrong)
    elif kind == "fake_rclpy":
        fake = importlib.import_module("tests.fleet.ros.fake_rclpy")
        fake.MIDDLEWARE.hashes["sensor_msgs/msg/LaserScan"] = wrong
    else:
        pytest.skip("rclpy itself makes no publisher of another definition")
    return lambda: end.publish(message)

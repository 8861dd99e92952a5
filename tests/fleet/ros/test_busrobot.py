"""A robot's node: what opens its cycles, what it says, and that nothing bad that comes moves it unseen."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import msgspec
import numpy as np
import pytest

from agents.policy import Policy
from coordination.client import CoordinatorClient
from coordination.messages import Cycle, Picture
from coordination.transport import InProcessEnd, Network
from fleet.control import ControlConfig, Stepper
from fleet.hardware import FakeRobot
from fleet.metrics import RobotMetrics
from fleet.records import Memory, anew
from fleet.ros.arguments import parse
from fleet.ros.bus import BusError
from fleet.ros.busrobot import GRACE, BusRobot
from fleet.ros.lifecycle import State, Transition
from fleet.ros.loop import LoopBus, LoopNetwork
from fleet.ros.messages.geometry_msgs import PoseWithCovarianceStamped, Quaternion, Twist, TwistStamped
from fleet.ros.messages.nav_msgs import Odometry, Path
from fleet.ros.messages.rosgraph_msgs import Clock
from fleet.ros.messages.sensor_msgs import Imu, LaserScan, PointCloud2
from fleet.ros.messages.std_msgs import Bool, String
from fleet.ros.messages.visualization_msgs import MarkerArray
from fleet.ros.planar import stamp_of, time_of
from fleet.ros.qos import LATCHED
from fleet.ros.robotnode import check_names
from fleet.seat import Seat
from fleet.watchdog import Board
from safety.supervisor import Cause, Mode, may_drive
from sim.robot import SECOND, RobotCommand
from tests.fleet.episodes import Episode, FakeCoordinator, aisle, delivery, walls
from tests.fleet.hand_policy import write_hand_policy
from tests.fleet.ros.bodies import SPEC, Body, robot_on

SITE = aisle()
PERIOD = SPEC.period
STAMPS = ("stamp", "scan_stamp", "pose_stamp", "twist_stamp")
LOCKSTEP = ("use_sim_time:=true", "lockstep:=true")

Moments = list[tuple[Cycle, Picture | None]]


@pytest.fixture(scope="module")
def policy(tmp_path_factory: pytest.TempPathFactory) -> Policy:
    return write_hand_policy(tmp_path_factory.mktemp("policy"), SPEC)


@pytest.fixture(scope="module")
def moments(policy: Policy) -> Moments:
    """What a robot on its way down an aisle would be sent."""
    episode = Episode(
        Stepper(ControlConfig(spec=SPEC), SITE, policy),
        FakeRobot(SPEC, (0.6, 1.8, 0.0), walls(SITE, SPEC.lidar.rays, SPEC.lidar.range_max)),
        FakeCoordinator(SITE, delivery(10)),
    )
    episode.run(6.0)
    out: Moments = []
    for step in episode.steps:
        i = step.inputs
        pose, twist = (tuple(np.array(part, np.float32).tolist()) for part in (i.pose, i.twist))
        coordinator = i.picture is not None
        number = i.stamp // PERIOD
        cycle = Cycle(number, i.stamp, i.scan, i.stamp, pose, i.stamp, twist, i.stamp, 1.0, False, coordinator)
        out.append((cycle, i.picture))
    return out


@dataclass
class Bench:
    """A seat on a robot's node, with its body and its coordinator played by hand."""

    seat: Seat
    robot: BusRobot
    bus: LoopBus
    body: Body
    coordinator: InProcessEnd
    network: LoopNetwork
    wall: list[float]

    def drive(self, moments: Moments) -> list[tuple[int, tuple[float, float]]]:
        """Play some cycles; what was commanded."""
        told = []
        for cycle, picture in moments:
            if picture is not None:
                self.coordinator.send("r0", picture, picture.stamp)
            self.body.give(cycle)
            for _ in range(2):
                self.bus.spin(0.0)
                self.seat.take()
                self.wall[0] += GRACE  # what has not come by now is waited for no more
            if self.seat.waiting_since >= 0.0:
                self.seat.step()
            told += self.body.told()
        return told


@pytest.fixture
def bench(policy: Policy) -> Bench:
    network, other, wall = LoopNetwork(), Network(), [0.0]
    robot, bus = robot_on(network, *LOCKSTEP, wall=lambda: wall[0])
    body = Body(network)
    end = other.server("coordinator", None)
    link = CoordinatorClient(other.client("r0", "coordinator", None))
    stepper = Stepper(ControlConfig(spec=SPEC), SITE, policy)
    seat = Seat(0, robot, link, stepper, None, Board(("r0",)), RobotMetrics(("r0",)))
    robot.join(1.0)
    return Bench(seat, robot, bus, body, end, network, wall)


def test_every_input_enters_the_control_step_as_it_was_measured_and_the_command_answers_its_cycle(
    bench: Bench, moments: Moments
) -> None:
    told = bench.drive(moments[:30])
    assert [stamp for stamp, _ in told] == [cycle.stamp for cycle, _ in moments[:30]]
    assert max(command[0] for _, command in told) > 0.5, "it drives"
    cycle, given = bench.robot.cycle, moments[29][0]
    assert cycle is not None
    for name in ("round", "stamp", "scan", "scan_stamp", "pose", "pose_stamp", "twist", "twist_stamp", "battery"):
        assert getattr(cycle, name) == getattr(given, name), name


Change = Callable[[Any], Any]  # a message, and what becomes of it


def nan_in_scan(scan: Any) -> Any:
    scan.ranges = scan.ranges.copy()
    scan.ranges[17] = math.nan
    return scan


def short_scan(scan: Any) -> Any:
    scan.ranges = scan.ranges[:-1].copy()
    return scan


def frame(name: str) -> Change:
    def change(message: Any) -> Any:
        message.header.frame_id = name
        return message

    return change


def child(message: Any) -> Any:
    message.child_frame_id = "base_footprint"
    return message


def later(seconds: float) -> Change:
    def change(message: Any) -> Any:
        message.header.stamp = time_of(max(stamp_of(message.header.stamp) + round(seconds * SECOND), 0))
        return message

    return change


def no_rotation(message: Any) -> Any:
    message.pose.pose.orientation = Quaternion(0.0, 0.0, 0.0, 0.0)
    return message


def spread(row: int, variance: float) -> Change:
    def change(message: Any) -> Any:
        message.pose.covariance[row] = variance
        return message

    return change


def speed(value: float) -> Change:
    def change(message: Any) -> Any:
        message.twist.twist.linear.x = value
        return message

    return change


def across(value: float) -> Change:
    def change(message: Any) -> Any:
        message.twist.twist.linear.y = value
        return message

    return change


def charge(value: float) -> Change:
    def change(message: Any) -> Any:
        message.percentage = value
        return message

    return change


def angles(message: Any) -> Any:
    message.angle_min = 0.0
    return message


def number(name: str, value: float) -> Change:
    def change(message: Any) -> Any:
        setattr(message, name, value)
        return message

    return change


def below_zero(message: Any) -> Any:
    message.ranges = -message.ranges
    return message


BAD: dict[str, tuple[str, Change, Cause, str]] = {
    "NaN in a scan": ("scan", nan_in_scan, Cause.NOT_FINITE, "1 of 360 ranges are NaN"),
    "a malformed scan": ("scan", short_scan, Cause.NOT_FINITE, "expected 360 ranges"),
    "a scan turned": ("scan", angles, Cause.SCAN_STALE, "expected rays from -3.1416 rad"),
    "a scan whose angles are no numbers": ("scan", number("angle_increment", math.nan), Cause.SCAN_STALE, "and nan"),
    "a scan that sees as far as NaN": ("scan", number("range_max", math.nan), Cause.SCAN_STALE, "range_max above 0 m"),
    "a scan below zero": ("scan", below_zero, Cause.NOT_FINITE, "360 of 360 ranges are below 0 m"),
    "a scan without a frame": ("scan", frame(""), Cause.SCAN_STALE, 'expected frame_id "r0/base_scan", came none'),
    "a scan of another robot": ("scan", frame("r1/base_scan"), Cause.SCAN_STALE, 'came "r1/base_scan"'),
    "a scan whose frame is a terminal's": ("scan", frame("\x1b[31m"), Cause.SCAN_STALE, r'came "\x1b[31m"'),
    "no scan": ("scan", lambda message: None, Cause.SCAN_STALE, "scan: the newest message is"),
    "a scan from the past": ("scan", later(-0.5), Cause.SCAN_STALE, "scan: the newest message is"),
    "a scan from long ago": ("scan", later(-5.0), Cause.SCAN_STALE, "before it: expected stamps that rise"),
    "a scan from the future": ("scan", later(2.0), Cause.SCAN_STALE, "beyond what clocks may differ by"),
    "a pose in another frame": ("pose", frame("r0/odom"), Cause.ODOMETRY_STALE, 'pose: expected frame_id "map"'),
    "a pose from the future": ("pose", later(1.0), Cause.ODOMETRY_STALE, "beyond what clocks may differ by"),
    "a pose that is a period ahead": ("pose", later(0.1), Cause.NOT_FINITE, ""),
    "a pose without a rotation": ("pose", no_rotation, Cause.NOT_FINITE, "expected a finite pose on the floor"),
    "a pose of who is lost": ("pose", spread(0, 4.0), Cause.ODOMETRY_STALE, "came one to 2 m; localise the robot anew"),
    "a pose of who has lost his heading": ("pose", spread(35, 1.0), Cause.ODOMETRY_STALE, "a heading that is known to"),
    "a pose with a variance that is none": ("pose", spread(7, math.nan), Cause.ODOMETRY_STALE, "the root of nan"),
    "odometry of another base": ("odom", child, Cause.ODOMETRY_STALE, 'child_frame_id "r0/base_link"'),
    "odometry without a frame": ("odom", frame(""), Cause.ODOMETRY_STALE, "came none"),
    "odometry that is no number": ("odom", speed(math.nan), Cause.NOT_FINITE, "expected finite speeds"),
    "odometry that is no number across": ("odom", across(math.nan), Cause.NOT_FINITE, "nan across"),
    "odometry beyond float32": ("odom", speed(1e300), Cause.NOT_FINITE, "expected finite speeds"),
    "a battery that is no number": ("battery_state", charge(math.nan), Cause.NOT_FINITE, "expected a percentage"),
    "a battery in percent": ("battery_state", charge(87.0), Cause.NOT_FINITE, "from 0 to 1, came 87"),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_bad_input_stops_the_robot_and_is_told(name: str, bench: Bench, moments: Moments) -> None:
    topic, change, cause, said = BAD[name]
    before = bench.drive(moments[:25])
    assert before[-1][1][0] > 0.3
    bench.body.spoil[topic] = change
    told = bench.drive(moments[25:45])
    assert bench.seat.memory.supervisor.cause is cause
    assert not may_drive(bench.seat.memory.supervisor.mode)
    assert told[-1][1] == (0.0, 0.0)
    speeds = [command[0] for _, command in told[2:]]
    assert speeds == sorted(speeds, reverse=True), "the stored plan plays, and nothing drives on"
    bench.robot.diagnose()
    complaints = bench.body.complaints()
    assert said in complaints
    assert "r0: control: stopped" in complaints


def test_bytes_that_are_no_scan_are_dropped_and_told(bench: Bench, moments: Moments) -> None:
    bench.drive(moments[:25])
    bench.body.spoil["scan"] = lambda message: None
    (writer,) = bench.network.writers("/r0/scan")
    bench.network.carry(writer, b"\0\1\0\0 this is no scan")
    bench.drive(moments[25:45])
    assert bench.seat.memory.supervisor.cause is Cause.SCAN_STALE
    bench.robot.diagnose()
    assert "/r0/scan: 1 messages could not be read" in bench.body.complaints()


def test_a_robot_whose_input_comes_again_drives_on(bench: Bench, moments: Moments) -> None:
    bench.drive(moments[:20])
    bench.body.spoil["scan"] = frame("")
    bench.drive(moments[20:24])
    assert bench.seat.memory.supervisor.cause is Cause.SCAN_STALE
    bench.body.spoil.clear()
    bench.drive(moments[24:26])
    bench.robot.diagnose()
    assert bench.seat.memory.supervisor.cause is not Cause.SCAN_STALE or bench.robot.cycle is not None
    cycle = bench.robot.cycle
    assert cycle is not None
    assert cycle.scan_stamp == cycle.stamp


def test_while_another_node_has_its_name_a_robot_reads_nothing_and_commands_rest(
    bench: Bench, moments: Moments
) -> None:
    bench.drive(moments[:20])
    other, _ = robot_on(bench.network, *LOCKSTEP)
    bench.robot.diagnose()
    assert "2 nodes are called /r0/robot" in bench.body.complaints()
    assert other.blocked, "nor does the one that came later act"
    assert bench.drive(moments[20:24]) == []
    bench.robot.write(RobotCommand(1.0, 0.5))
    assert [command for _, command in bench.body.told()] == [(0.0, 0.0)]
    other.close()
    bench.robot.diagnose()
    assert bench.drive(moments[24:26])


@pytest.mark.parametrize(
    ("kind", "topic", "stands"),
    [(PointCloud2, "scan", True), (Twist, "odom", True), (PointCloud2, "imu", False), (Twist, "cmd_vel", True)],
)
def test_while_a_topic_that_it_drives_by_has_another_type_a_robot_stands(
    bench: Bench, moments: Moments, kind: type, topic: str, stands: bool
) -> None:
    bench.drive(moments[:20])
    foreign = LoopBus(bench.network).node("driver", "r0")
    end = foreign.subscription(kind, topic) if topic == "cmd_vel" else foreign.publisher(kind, topic)
    bench.robot.diagnose()
    assert f"/r0/{topic}: /r0/driver" in bench.body.complaints()
    assert bool(bench.robot.blocked) is stands
    assert (bench.drive(moments[20:24]) == []) is stands
    end.close()
    bench.robot.diagnose()
    assert not bench.robot.blocked
    assert bench.drive(moments[24:26])


@pytest.mark.parametrize(("topic", "stands"), [("scan", True), ("pose", True), ("imu", False)])
def test_while_a_topic_that_it_drives_by_has_another_definition_a_robot_stands(
    bench: Bench, moments: Moments, topic: str, stands: bool
) -> None:
    """Over rclpy the bytes of such a publisher come through."""
    bench.drive(moments[:20])
    foreign = LoopBus(bench.network).node("driver", "r0")
    publisher = foreign.publisher({"scan": LaserScan, "pose": PoseWithCovarianceStamped, "imu": Imu}[topic], topic)
    writer = bench.network.writers(f"/r0/{topic}")[-1]
    writer.end = replace(writer.end, type_hash="RIHS01_" + "0" * 64)
    bench.robot.diagnose()
    assert f"/r0/{topic}: /r0/driver publishes another definition" in bench.body.complaints()
    assert bool(bench.robot.blocked) is stands
    assert (bench.drive(moments[20:24]) == []) is stands
    bench.robot.write(RobotCommand(1.0, 0.5))
    publisher.close()
    bench.robot.diagnose()
    assert not bench.robot.blocked


@pytest.mark.parametrize("topic", ["scan", "odom", "pose", "bumper", "cmd_vel", "/clock"])
def test_while_a_second_one_says_what_it_drives_by_or_commands_its_base_a_robot_stands(
    bench: Bench, moments: Moments, topic: str
) -> None:
    kinds = {
        "scan": LaserScan,
        "odom": Odometry,
        "pose": PoseWithCovarianceStamped,
        "cmd_vel": TwistStamped,
        "bumper": Bool,
    }
    bench.drive(moments[:20])
    bench.robot.diagnose()
    assert not bench.robot.blocked
    rival = LoopBus(bench.network).node("rival", "r0").publisher(kinds.get(topic, Clock), topic)
    bench.robot.diagnose()
    assert "/r0/rival" in bench.robot.blocked
    assert bench.robot.blocked in bench.body.complaints()
    assert bench.drive(moments[20:24]) == []
    rival.close()
    bench.robot.diagnose()
    assert not bench.robot.blocked


def test_a_touch_that_is_over_before_the_cycle_begins_is_felt_once(bench: Bench, moments: Moments) -> None:
    bench.drive(moments[:20])
    bumper, felt = bench.body.ends["bumper"], []
    for number, moment in enumerate(moments[20:24]):
        if number == 1:
            bumper.publish(Bool(True))
        bench.drive([moment])
        assert bench.robot.cycle is not None
        felt.append(bench.robot.cycle.bumper)
    assert felt == [False, True, False, False]


@pytest.mark.parametrize("kind", [TwistStamped, Twist])
def test_in_shadow_another_one_commands_the_base_as_he_should(bench: Bench, kind: type) -> None:
    bench.robot.shadow = True
    LoopBus(bench.network).node("nav", "r0").publisher(kind, "cmd_vel")
    bench.robot.diagnose()
    assert not bench.robot.blocked
    assert ("/r0/nav publishes geometry_msgs/msg/Twist," in bench.body.complaints()) is (kind is Twist)


@pytest.mark.parametrize("lockstep", ["false", "true"])
def test_a_clock_that_stands_is_told_but_in_lockstep(moments: Moments, lockstep: str) -> None:
    network = LoopNetwork()
    robot, bus = robot_on(network, "use_sim_time:=true", f"lockstep:={lockstep}")
    body = Body(network)
    robot.join(1.0)
    found = []
    for moment in (moments[0], moments[1], None):
        if moment is not None:
            body.give(moment[0])
        bus.spin(0.0)
        robot.diagnose()
        found.append("/clock: expected time to go on, it stands at" in body.complaints())
    assert found == [False, False, lockstep == "false"]


def test_who_publishes_another_type_beside_its_own_is_told(bench: Bench) -> None:
    LoopBus(bench.network).node("other", "r0").publisher(LaserScan, "state")
    bench.robot.diagnose()
    assert "/r0/state: /r0/other publishes sensor_msgs/msg/LaserScan, /r0/robot publishes" in bench.body.complaints()


def test_a_base_of_another_type_or_quality_is_told(bench: Bench) -> None:
    foreign = LoopBus(bench.network).node("driver", "r0")
    foreign.publisher(PointCloud2, "scan")
    foreign.subscription(TwistStamped, "cmd_vel", qos=LATCHED)
    bench.robot.diagnose()
    said = bench.body.complaints()
    assert "/r0/driver publishes sensor_msgs/msg/PointCloud2" in said
    assert "/r0/cmd_vel: /r0/driver subscribes to it with incompatible quality of service" in said


def test_several_robots_are_not_put_into_one_namespace() -> None:
    words = ["--ros-args", "-r", "__ns:=/cell"]
    check_names(words, ["r0"])
    with pytest.raises(BusError, match="a namespace for each of r0, r1"):
        check_names(words, ["r0", "r1"])
    bus = LoopBus(arguments=parse(words))
    assert BusRobot(bus, "r0", SPEC, "floor").node.fully_qualified == "/cell/robot"


def test_a_robot_commands_by_a_twist_where_it_is_told_so_and_never_by_both(moments: Moments) -> None:
    network = LoopNetwork()
    robot, bus = robot_on(network, *LOCKSTEP, "cmd_vel_stamped:=false")
    body = Body(network, stamped=False)
    robot.join(1.0)
    body.give(moments[0][0])
    bus.spin(0.0)
    robot.read(0.0)
    robot.write(RobotCommand(0.25, -0.5))
    sample = body.commands.take()
    assert sample is not None
    assert isinstance(sample.message, Twist)
    assert (sample.message.linear.x, sample.message.angular.z) == (0.25, -0.5)
    assert [end.type_name for end in network.ends() if end.topic == "/r0/cmd_vel" and end.writer] == [
        "geometry_msgs/msg/Twist"
    ]


def test_the_life_cycle_says_whether_it_acts(moments: Moments) -> None:
    network = LoopNetwork()
    robot, bus = robot_on(network, *LOCKSTEP, "autostart:=false")
    body = Body(network)
    robot.join(1.0)
    assert robot.managed.state is State.UNCONFIGURED

    def cycle(number: int) -> bool:
        body.give(moments[number][0])
        bus.spin(0.0)
        there = robot.read(0.0) is not None
        robot.write(RobotCommand(0.5, 0.0))
        return there

    assert not cycle(0)
    robot.managed.trigger(Transition.CONFIGURE)
    assert not cycle(1)
    assert body.told() == []
    robot.managed.trigger(Transition.ACTIVATE)
    assert cycle(2)
    assert [command for _, command in body.told()] == [(0.5, 0.0)]
    robot.managed.trigger(Transition.DEACTIVATE)
    assert [command for _, command in body.told()] == [(0.0, 0.0)]
    assert not cycle(3)
    assert body.told() == []
    robot.managed.trigger(Transition.CLEANUP)
    assert body.commands.matched == 0
    robot.close()


def test_it_tells_what_it_does_where_its_plan_leads_and_what_the_shield_thinks(bench: Bench, moments: Moments) -> None:
    ears = LoopBus(bench.network).node("ears", "r0")
    states, paths = ears.subscription(String, "state"), ears.subscription(Path, "path")
    shields = ears.subscription(MarkerArray, "shield")
    bench.drive(moments[:26])
    state, path, shield = states.newest(), paths.newest(), shields.newest()
    assert state is not None
    said = json.loads(state.message.data)
    assert said["cycle"] == moments[25][0].round
    assert said["mode"] in ("POLICY", "SHIELDED")
    assert path is not None
    assert path.message.header.frame_id == "map"
    points = [pose.pose.position.x for pose in path.message.poses]
    assert points == sorted(points)
    assert points[-1] > points[0] + 0.1, "a moving robot needs room to stop"
    assert shield is not None
    assert [marker.ns for marker in shield.message.markers] == ["r0", "r0"]
    bench.robot.diagnose()
    assert bench.body.complaints() == ""


def test_on_a_wall_clock_a_scan_opens_a_cycle_with_the_newest_of_the_rest() -> None:
    now = [10 * SECOND]
    network = LoopNetwork()
    robot, bus = robot_on(
        network, "use_sim_time:=true"
    )  # whose clock a test can turn; a cycle is a scan's all the same
    body = Body(network)
    robot.join(1.0)

    def say(topic: str, age: float) -> None:
        stamp = now[0] - round(age * SECOND)
        scan, pose, twist = np.ones(360, np.float32).tobytes(), (1.0, 2.0, 0.5), (0.1, 0.0)
        cycle = Cycle(0, stamp, scan, stamp, pose, stamp, twist, stamp, 0.9, False, False)
        body.ends["/clock"].publish(Clock(time_of(now[0])))
        body.ends[topic].publish(body.messages(cycle)[topic])
        bus.spin(0.0)

    say("odom", 0.02)
    say("pose", 0.04)
    assert robot.read(0.0) is None, "no scan yet"
    say("scan", 0.03)
    readings = robot.read(0.0)
    assert readings is not None
    assert (readings.stamp, readings.scan_stamp) == (now[0], now[0] - 30_000_000)
    assert (readings.pose_stamp, readings.twist_stamp) == (now[0] - 40_000_000, now[0] - 20_000_000)
    robot.write(RobotCommand(0.0, 0.0))
    now[0] += PERIOD
    say("odom", 0.01)
    assert robot.read(0.0) is None, "odometry opens none"
    say("scan", 0.01)
    newer = robot.read(0.0)
    assert newer is not None
    assert (newer.twist_stamp, newer.pose_stamp) == (now[0] - 10_000_000, now[0] - PERIOD - 40_000_000)
    assert robot.cycle is not None
    assert not robot.cycle.coordinator, "nobody waits for a picture in real time"


@pytest.mark.parametrize("shadow", [False, True])
def test_in_shadow_a_base_that_something_else_drives_is_told_nothing(shadow: bool, moments: Moments) -> None:
    network = LoopNetwork()
    robot, bus = robot_on(network, "use_sim_time:=true")
    body = Body(network)
    robot.shadow = shadow
    robot.join(1.0)
    body.give(moments[0][0])
    bus.spin(0.0)
    assert robot.read(0.0) is not None
    robot.write(RobotCommand(0.2, 0.0))
    bus.spin(0.0)
    assert (body.commands.take() is None) == shadow
    robot.on_deactivate()
    bus.spin(0.0)
    assert (body.commands.take() is None) == shadow


def test_a_clock_that_begins_anew_is_another_life(bench: Bench, moments: Moments) -> None:
    bench.drive(moments[:20])
    told = bench.drive(moments[:3])
    assert [stamp for stamp, _ in told] == [2 * PERIOD, 3 * PERIOD], "the first one only shows that time began anew"


def test_in_another_life_a_robot_drives_by_nothing_of_the_former_one(bench: Bench, moments: Moments) -> None:
    """The same way once more from its begin, in a simulator that was started again."""
    later = [(at(cycle, 1000 * SECOND), None if picture is None else late(picture)) for cycle, picture in moments]
    bench.drive(later[:40])
    assert bench.seat.memory.controller != Memory().controller
    bench.body.ends["/clock"].publish(Clock(time_of(0)))
    before = bench.seat.memory
    bench.bus.spin(0.0)
    bench.seat.take()
    assert bench.seat.memory == anew(before) != before, "no stamp of then is one of now"
    first = moments[0][0]
    again = [(msgspec.structs.replace(cycle, pose=first.pose, twist=(0.0, 0.0)), p) for cycle, p in moments]
    told = bench.drive([(cycle, None) for cycle, _ in again[:6]])
    assert len(told) == 6
    speeds = [v for _, (v, _) in told]
    assert speeds[0] < 0.8
    assert speeds == sorted(speeds, reverse=True), "the stored plan plays: no grant of then is one of now"
    assert bench.seat.memory.supervisor.cause is Cause.GRANT_STALE
    assert bench.seat.link.view(0).picture is None
    told = bench.drive(again[6:24])
    assert max(v for _, (v, _) in told) > 0.1, "and it drives by those of now at once, not when that time has come"


def test_a_latch_outlives_the_clock(bench: Bench, moments: Moments) -> None:
    bench.drive(moments[:20])
    stopped = [(cycle, msgspec.structs.replace(p, stopped=True, stop_epoch=3)) for cycle, p in moments[20:24] if p]
    bench.drive(stopped)
    assert bench.seat.memory.supervisor.mode is Mode.LATCHED
    bench.drive([(cycle, None) for cycle, _ in moments[:3]])
    assert bench.seat.memory.supervisor.mode is Mode.LATCHED


def test_a_simulator_that_is_started_again_ends_no_loop_that_waits_for_its_sensors(
    moments: Moments, policy: Policy
) -> None:
    """In real time a silent robot steps on old readings; those of another life are none."""
    network = LoopNetwork()
    robot, bus = robot_on(network, "use_sim_time:=true")
    body = Body(network)
    link = CoordinatorClient(Network().client("r0", "coordinator", None))
    seat = Seat(
        0, robot, link, Stepper(ControlConfig(spec=SPEC), SITE, policy), None, Board(("r0",)), RobotMetrics(("r0",))
    )
    robot.join(1.0)
    seat.lockstep = False
    body.give(at(moments[0][0], 1000 * SECOND))
    bus.spin(0.0)
    seat.take()
    seat.step()
    body.ends["/clock"].publish(Clock(time_of(0)))
    bus.spin(0.0)
    seat.take()
    assert robot.life == 1
    assert not seat.silent(time.monotonic() + 10.0)


def at(cycle: Cycle, later: int) -> Cycle:
    """The same cycle, so many ns later."""
    moved = {name: getattr(cycle, name) + later for name in STAMPS}
    return msgspec.structs.replace(cycle, round=cycle.round + later // PERIOD, **moved)


def late(picture: Picture) -> Picture:
    """The same picture 1000 s later."""
    grant = picture.grant and msgspec.structs.replace(picture.grant, expires=picture.grant.expires + 1000 * SECOND)
    moved = picture.stamp + 1000 * SECOND
    return msgspec.structs.replace(picture, round=picture.round + 10_000, stamp=moved, grant=grant)


def test_in_lockstep_a_picture_is_waited_for_while_its_predecessor_came(moments: Moments) -> None:
    newest = [-1]
    network = LoopNetwork()
    robot, bus = robot_on(network, *LOCKSTEP, pictures=lambda: newest[0])
    body = Body(network)
    robot.join(1.0)
    waits = []
    for number in range(8):
        cycle = moments[0][0]
        body.give(msgspec.structs.replace(cycle, **{name: number * PERIOD for name in STAMPS}))
        bus.spin(0.0)
        robot.read(0.0)
        assert robot.cycle is not None
        waits.append(robot.cycle.coordinator)
        robot.write(RobotCommand(0.0, 0.0))
        newest[0] = number if number < 4 else newest[0]
    assert waits == [False, True, True, True, True, True, False, False]


def test_a_process_that_hung_commands_once_by_the_newest_inputs_and_by_none_of_those_in_between(
    moments: Moments,
) -> None:
    """Stopped and continued (SIGSTOP, SIGCONT), after its base has come to rest by itself."""
    network = LoopNetwork()
    robot, bus = robot_on(network, "use_sim_time:=true")
    body = Body(network)
    robot.join(1.0)
    for cycle, _ in moments[:30]:  # nobody spins
        body.give(cycle)
    while bus.spin(0.0):
        pass
    readings = robot.read(0.0)
    assert readings is not None
    last = moments[29][0].stamp
    assert (readings.stamp, readings.scan_stamp, readings.pose_stamp, readings.twist_stamp) == (last,) * 4
    robot.write(RobotCommand(0.2, 0.0))
    assert robot.read(0.0) is None
    assert [stamp for stamp, _ in body.told()] == [last]


@pytest.mark.parametrize("ends", [False, True])
def test_in_real_time_a_robot_waits_for_another_simulator_unless_it_is_told_to_end(
    moments: Moments, ends: bool
) -> None:
    network = LoopNetwork()
    robot, bus = robot_on(network, "use_sim_time:=true", f"ends_with_clock:={str(ends).lower()}")
    body = Body(network)
    robot.join(1.0)
    body.give(moments[0][0])
    bus.spin(0.0)
    assert robot.read(0.0) is not None
    body.ends["/clock"].close()
    robot.diagnose()
    assert (robot.left == "nobody publishes /clock any more") is ends


def test_lockstep_ends_with_the_clock_of_its_simulator(bench: Bench, moments: Moments) -> None:
    bench.drive(moments[:5])
    bench.robot.diagnose()
    assert bench.robot.left == ""
    bench.body.ends["/clock"].close()
    bench.robot.diagnose()
    assert bench.robot.left == "nobody publishes /clock any more"
    bench.robot.close()
    assert bench.network.readers("/clock") == []
